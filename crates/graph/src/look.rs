//! What a network looks at, measured: gradients through the model itself.

use burn::prelude::*;
use kiln_core::{Error, Result};

use crate::graph::{Graph, Node};
use crate::run::Weights;

/// How much each pixel matters, `height` rows of `width` numbers from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Heat {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Row by row.
    pub values: Vec<f32>,
}

impl Heat {
    fn of(map: Tensor<2>) -> Result<Self> {
        let [height, width] = map.dims();
        let values = map.into_data().convert::<f32>().try_into_vec::<f32>();
        let values = values.map_err(|why| Error::failure(format!("a map of numbers: {why:?}")))?;
        let most = values.iter().copied().fold(0.0, f32::max);
        let scale = if most > 0.0 { 1.0 / most } else { 0.0 };
        Ok(Self { height, width, values: values.into_iter().map(|value| value * scale).collect() })
    }

    /// The standard deviation along rows and along columns, in pixels, the heat being a distribution.
    pub fn spread(&self) -> [f64; 2] {
        let total: f64 = self.values.iter().map(|value| f64::from(*value)).sum();
        let places = || self.values.iter().enumerate().map(|(at, value)| (at, f64::from(*value) / total));
        [0, 1].map(|side| {
            let place = |at: usize| if side == 0 { at / self.width } else { at % self.width } as f64;
            let mean: f64 = places().map(|(at, share)| share * place(at)).sum();
            places().map(|(at, share)| share * (place(at) - mean).powi(2)).sum::<f64>().sqrt()
        })
    }
}

fn is_map(node: &Node) -> Result<()> {
    match node.shape() {
        [_, _, _, _] => Ok(()),
        other => Err(Error::input(format!("`{}` gives no map but {other:?}", node.name))),
    }
}

impl Graph {
    /// The effective receptive field of one place of a node's map: how much its numbers, of all channels, change with each pixel,
    /// on average over the images (Luo and others 2016). The device of the images has no gradients; the weights are the
    /// model's.
    ///
    /// # Errors
    /// An operation that is not known; a node that is no map.
    ///
    /// # Panics
    /// If the images are not of the graph's shape, or the map has no such place.
    pub fn effective_field(
        &self,
        weights: &Weights,
        images: Tensor<4>,
        node: &Node,
        [row, column]: [usize; 2],
    ) -> Result<Heat> {
        is_map(node)?;
        assert_eq!(images.dims(), self.images, "images of the graph's shape");
        let device = images.device().autodiff();
        let images = Tensor::from_inner(images).require_grad();
        let given = [(self.input, images.clone().into_dispatch())];
        let mut map = self.run(weights, given, &[node.output.id], &device)?;
        let map = Tensor::<4>::from_dispatch(map.remove(0));
        let gradients = map.narrow(2, row, 1).narrow(3, column, 1);
        let gradients = gradients.sum().backward();
        let gradient = images.grad(&gradients);
        let gradient = gradient.ok_or_else(|| Error::failure("no gradient reaches the images"))?;
        let [_, _, height, width] = gradient.dims();
        Heat::of(gradient.abs().sum_dims(&[0, 1]).reshape([height, width]))
    }

    /// Grad-CAM (Selvaraju and others 2017): where in a node's map the evidence for a class is, for one image.
    ///
    /// # Errors
    /// As [`Graph::effective_field`]; logits that are no vector.
    pub fn class_activation(
        &self,
        weights: &Weights,
        image: Tensor<4>,
        node: &Node,
        class: usize,
    ) -> Result<Heat> {
        is_map(node)?;
        let plain = image.device();
        let device = plain.clone().autodiff();
        let map =
            self.run(weights, [(self.input, image.into_dispatch())], &[node.output.id], &plain)?.remove(0);
        let map = Tensor::<4>::from_inner(Tensor::from_dispatch(map)).require_grad();
        let given = [(node.output.id, map.clone().into_dispatch())];
        let logits = self.run(weights, given, &[self.outputs[0].tensor], &device)?.remove(0);
        let logits = Tensor::<2>::from_dispatch(logits);
        let gradients = logits.narrow(1, class, 1).sum().backward();
        let gradient = map.grad(&gradients);
        let gradient =
            gradient.ok_or_else(|| Error::failure(format!("no gradient reaches `{}`", node.name)))?;
        let [_, _, height, width] = gradient.dims();
        // A channel's weight is its mean gradient.
        let weight = gradient.mean_dims(&[2, 3]);
        let heat = (map.inner() * weight).sum_dim(1).clamp_min(0.0);
        Heat::of(heat.reshape([height, width]))
    }

    /// The node whose map is the last before what a classifier makes of it is no map any more: where Grad-CAM looks if it
    /// is not told where.
    pub fn last_map(&self) -> Option<&Node> {
        let is_large =
            |node: &Node| matches!(node.shape(), [_, _, rows, columns] if *rows > 1 && *columns > 1);
        self.nodes.iter().filter(|node| !node.constant).rfind(|node| is_large(node))
    }
}
