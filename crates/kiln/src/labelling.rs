//! How a segmenter is asked: of an image at several sizes, mirrored too, window by window; and the random field behind it.

use burn::prelude::*;
use burn::tensor::activation::softmax;
use kiln_core::{LabelLogits, Network};
use kiln_data::Pipeline;
use kiln_nn::{Corners, bilinear};
use kiln_tasks::DenseCrf;
use kiln_zoo::{Model, Output};

/// By default an image is shown once, as it is, whole.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labelling {
    /// Mirrored, left to right, too.
    pub flip: bool,
    /// At these multiples of its size; as it is if there are none.
    pub scales: Vec<f64>,
    /// Window by window.
    pub windows: Option<Windows>,
    /// The field that moves labels to the edges of the image.
    pub field: Option<DenseCrf>,
}

/// Square windows that cover an image. The last of a row and of a column end with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    /// Of a window, in pixels.
    pub side: usize,
    /// From one window to the next.
    pub stride: usize,
}

impl Labelling {
    /// What a model says of images that a pipeline made: of a segmenter the logarithms of the probabilities' means over all ways of
    /// showing them.
    ///
    /// # Shapes
    /// `[batch, 3, height, width]` to the model's
    pub fn forward(&self, model: &Model, images: Tensor<4>, pipeline: &Pipeline) -> Output {
        let said = |images: Tensor<4>| match model.forward(images) {
            Output::Labels(logits) => logits.main,
            _ => panic!("of other models than segmenters nothing of this is asked"),
        };
        if *self == Self::default() {
            return model.forward(images);
        }
        let logits = self.averaged(&said, images.clone());
        let logits = match &self.field {
            Some(field) => field.refined(logits, pipeline.colours(images)),
            None => logits,
        };
        Output::Labels(LabelLogits::from(logits))
    }

    fn averaged(&self, said: &dyn Fn(Tensor<4>) -> Tensor<4>, images: Tensor<4>) -> Tensor<4> {
        let [.., height, width] = images.dims();
        let scales = if self.scales.is_empty() { &[1.0][..] } else { &self.scales };
        let mirrored: &[bool] = if self.flip { &[false, true] } else { &[false] };
        let shown = scales.iter().flat_map(|scale| mirrored.iter().map(move |mirrored| (*scale, *mirrored)));
        let probabilities = shown.map(|(scale, mirrored)| {
            let mirror = |x: Tensor<4>| if mirrored { x.flip([3]) } else { x };
            let size = [height, width].map(|side| ((side as f64 * scale).round() as usize).max(1));
            let x = mirror(bilinear(images.clone(), size, Corners::Edges));
            let logits = match self.windows {
                Some(windows) => windows.said(said, x),
                None => said(x),
            };
            softmax(bilinear(mirror(logits), [height, width], Corners::Edges), 1)
        });
        let ways = scales.len() * mirrored.len();
        match probabilities.reduce(|sum, probabilities| sum + probabilities) {
            Some(sum) => (sum / ways as f64).log(),
            None => panic!("an image is shown once at least"),
        }
    }
}

impl Windows {
    /// The means of the logits of the windows that a pixel lies in.
    fn said(self, said: &dyn Fn(Tensor<4>) -> Tensor<4>, images: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = images.dims();
        let mut sums: Option<Tensor<4>> = None;
        let mut counts = Tensor::<4>::zeros([1, 1, height, width], &images.device());
        for rows in self.along(height) {
            for columns in self.along(width) {
                let logits =
                    said(images.clone().slice([0..batch, 0..channels, rows.clone(), columns.clone()]));
                let [_, classes, ..] = logits.dims();
                let all =
                    sums.unwrap_or_else(|| Tensor::zeros([batch, classes, height, width], &images.device()));
                let place = [0..batch, 0..classes, rows.clone(), columns.clone()];
                let here = all.clone().slice(place.clone()) + logits;
                sums = Some(all.slice_assign(place, here));
                let place = [0..1, 0..1, rows.clone(), columns.clone()];
                let here = counts.clone().slice(place.clone()) + 1.0;
                counts = counts.slice_assign(place, here);
            }
        }
        match sums {
            Some(sums) => sums / counts,
            None => panic!("an image without pixels"),
        }
    }

    /// Where windows lie along a side.
    fn along(self, length: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
        let side = self.side.min(length);
        let count = (length - side).div_ceil(self.stride) + 1;
        (0..count).map(move |number| {
            let start = (number * self.stride).min(length - side);
            start..start + side
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Distribution, Tolerance};

    use super::*;

    /// Logits of two classes: what a pixel is, and how far from the left it lies.
    fn said(images: Tensor<4>) -> Tensor<4> {
        let [batch, _, height, width] = images.dims();
        let place = Tensor::<1, Int>::arange(0..width as i64, &images.device()).float() / width as f64;
        let place = place.reshape([1, 1, 1, width]).expand([batch, 1, height, width]);
        Tensor::cat(vec![images.narrow(1, 0, 1), place], 1)
    }

    fn image(size: [usize; 2]) -> Tensor<4> {
        Tensor::random([2, 3, size[0], size[1]], Distribution::Default, &Device::flex())
    }

    fn same(ours: Tensor<4>, expected: Tensor<4>) {
        ours.into_data().assert_approx_eq(&expected.into_data(), Tolerance::<f32>::absolute(1e-5));
    }

    #[test]
    fn windows_cover_an_image_and_end_with_it() {
        let windows = |side, stride, length| Windows { side, stride }.along(length).collect::<Vec<_>>();
        assert_eq!(windows(4, 3, 10), [0..4, 3..7, 6..10]);
        assert_eq!(windows(4, 3, 11), [0..4, 3..7, 6..10, 7..11]);
        assert_eq!(windows(4, 4, 8), [0..4, 4..8]);
        assert_eq!(windows(9, 3, 8), vec![0..8; 1]);
    }

    #[test]
    fn a_network_that_sees_single_pixels_says_the_same_through_windows() {
        let images = image([11, 17]);
        let pixelwise = |x: Tensor<4>| x * 2.0 - 1.0;
        let windows = Windows { side: 5, stride: 3 };
        same(windows.said(&pixelwise, images.clone()), pixelwise(images));
    }

    #[test]
    fn a_mirrored_image_is_mirrored_back_and_both_are_averaged() {
        let images = image([4, 6]);
        let both = Labelling { flip: true, ..Labelling::default() }.averaged(&said, images.clone()).exp();
        let once = softmax(said(images.clone()), 1);
        let other = softmax(said(images.flip([3])), 1).flip([3]);
        same(both, (once + other) / 2.0);
    }

    #[test]
    fn scales_are_undone() {
        // An image of one colour has it at every size.
        let images = Tensor::<4>::full([1, 3, 6, 8], 0.7, &Device::flex());
        let pixelwise =
            |x: Tensor<4>| Tensor::cat(vec![x.clone().narrow(1, 0, 1), x.narrow(1, 0, 1) * 3.0], 1);
        let labelling = Labelling { scales: vec![0.5, 1.0, 1.75], ..Labelling::default() };
        same(labelling.averaged(&pixelwise, images.clone()).exp(), softmax(pixelwise(images), 1));
    }
}
