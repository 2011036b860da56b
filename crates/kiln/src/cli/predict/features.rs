//! What a layer gives, of `kiln predict --features`.

use std::path::{Path, PathBuf};

use burn::backend::Dispatch;
use burn::backend::tensor::FloatTensor;
use burn::tensor::{Tensor, TensorData};
use kiln_core::{Error, Result};
use kiln_graph::{Graph, Weights};
use kiln_zoo::Model;

use crate::cli::explain::layer;
use crate::cli::output::{png, write};
use crate::cli::pictures::{maps, npy};
use crate::recorded;

/// Writes what a layer gives for each image: as NumPy's file, and its maps as a picture.
pub struct Features<'a> {
    network: &'a Model,
    named: &'a str,
    folder: &'a Path,
    weights: Weights,
    /// Of batches of the last one's shape.
    graph: Option<Graph>,
}

impl<'a> Features<'a> {
    /// Of a layer or a module, by its path.
    pub fn new(network: &'a Model, named: &'a str, folder: &'a Path) -> Self {
        Self { network, named, folder, weights: Weights::of(network), graph: None }
    }

    /// Those of a batch of images, called as the files are; the .npy files.
    ///
    /// # Errors
    /// There is no such layer; a file that cannot be written.
    pub fn write(&mut self, images: Tensor<4>, stems: &[String]) -> Result<Vec<PathBuf>> {
        if self.graph.as_ref().is_none_or(|graph| graph.images != images.dims()) {
            self.graph = Some(recorded::loaded(self.network, images.dims())?);
        }
        let Some(graph) = &self.graph else { return Ok(Vec::new()) };
        let node = layer(graph, Some(self.named)).map_err(|error| error.place("--features"))?;
        let device = images.device();
        let given = [(graph.input, images.into_dispatch())];
        let value = graph.run(&self.weights, given, &[node.output.id], &device)?.remove(0);
        let values = numbers(value, node.shape())?;
        let of_one = &node.shape()[1..];
        let count: usize = of_one.iter().product();
        if values.len() != count * stems.len() {
            let error =
                Error::input(format!("`{}` gives {:?}: not so much an image", node.name, node.shape()));
            return Err(error.place("--features"));
        }
        let mut files = Vec::new();
        for (values, stem) in values.chunks(count).zip(stems) {
            let file = self.folder.join(format!("{stem}.{}.npy", self.named));
            write(&file, npy(values, of_one))?;
            if let [channels, height, width] = of_one {
                let picture = maps(values, [*channels, *height, *width]);
                write(&self.folder.join(format!("{stem}.{}.png", self.named)), png(&picture)?)?;
            }
            files.push(file);
        }
        Ok(files)
    }
}

/// The numbers of a tensor of any rank, in their order.
fn numbers(value: FloatTensor<Dispatch>, shape: &[usize]) -> Result<Vec<f32>> {
    let data: TensorData = match shape.len() {
        1 => Tensor::<1>::from_dispatch(value).into_data(),
        2 => Tensor::<2>::from_dispatch(value).into_data(),
        3 => Tensor::<3>::from_dispatch(value).into_data(),
        4 => Tensor::<4>::from_dispatch(value).into_data(),
        5 => Tensor::<5>::from_dispatch(value).into_data(),
        _ => Tensor::<6>::from_dispatch(value).into_data(),
    };
    data.try_into_vec::<f32>().map_err(|why| Error::failure(format!("what the layer gives: {why:?}")))
}
