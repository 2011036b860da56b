//! Operators on images that are not learned: where brightness changes, how fast and which way.
//!
//! A kernel is laid over the image as it stands (a correlation, as everywhere in deep learning; turning it over, as the word convolution
//! means elsewhere, changes the sign of every difference below).

use burn::prelude::*;
use burn::tensor::ops::PadMode;

/// What stands around the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Border {
    /// Nothing: the result is two pixels smaller.
    Valid,
    /// Zeros, which draw an edge around every image that is not black there.
    Zeros,
    /// The pixels of the border once more.
    Replicate,
    /// The image turned over at its border pixel, which is not repeated: OpenCV's default, `BORDER_REFLECT_101`.
    Reflect,
}

/// A pair of kernels of 3 by 3 pixels: a difference along one side, smoothed along the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// Smoothed by 1, 2, 1. Sobel and Feldman 1968.
    Sobel,
    /// Smoothed by 3, 10, 3, whose direction is nearer to the truth in smooth images. Scharr 2000.
    Scharr,
    /// Smoothed by 1, 1, 1. Prewitt 1970.
    Prewitt,
}

impl Difference {
    /// What it is smoothed by.
    pub fn smoothing(self) -> [f64; 3] {
        match self {
            Self::Sobel => [1.0, 2.0, 1.0],
            Self::Scharr => [3.0, 10.0, 3.0],
            Self::Prewitt => [1.0, 1.0, 1.0],
        }
    }

    /// The two kernels, row by row: the first is large at vertical edges, where brightness changes along x, the second, its transpose, at
    /// horizontal ones.
    pub fn kernels(self) -> [[f64; 9]; 2] {
        let (smoothing, difference) = (self.smoothing(), [-1.0, 0.0, 1.0]);
        [[smoothing, difference], [difference, smoothing]]
            .map(|[down, along]| std::array::from_fn(|at| down[at / 3] * along[at % 3]))
    }

    /// What a slope of 1 a pixel is multiplied by: 8 for Sobel's.
    pub fn gain(self) -> f64 {
        2.0 * self.smoothing().iter().sum::<f64>()
    }
}

/// The change of every pixel along both sides.
#[derive(Debug, Clone)]
pub struct Gradients {
    /// To the right, the size of the image (with [`Border::Valid`], two pixels less).
    pub x: Tensor<4>,
    /// Downwards.
    pub y: Tensor<4>,
}

impl Gradients {
    /// How fast brightness changes: the length of the two.
    pub fn magnitude(&self) -> Tensor<4> {
        let square = self.x.clone().square() + self.y.clone().square();
        // The root has no slope at 0, where nothing changes.
        let flat = square.clone().equal_elem(0.0);
        square.mask_fill(flat.clone(), 1.0).sqrt().mask_fill(flat, 0.0)
    }

    /// The sum of both sizes, a cheaper length that is up to `sqrt(2)` times too large.
    pub fn magnitude_l1(&self) -> Tensor<4> {
        self.x.clone().abs() + self.y.clone().abs()
    }

    /// Which way it grows, as an angle from -pi to pi: 0 to the right, pi / 2 downwards.
    pub fn direction(&self) -> Tensor<4> {
        self.y.clone().atan2(self.x.clone())
    }
}

/// The change of brightness along both sides, of each channel for itself.
///
/// # Shapes
/// `[batch, channels, height, width]` to twice the same, with [`Border::Valid`] two pixels less a side
///
/// # Panics
/// If a side is shorter than the border needs: 3 pixels for [`Border::Valid`], 2 for [`Border::Reflect`].
pub fn image_gradients(images: Tensor<4>, difference: Difference, border: Border) -> Gradients {
    let [x, y] = filtered(images, &difference.kernels(), border).try_into().expect("a map a kernel");
    Gradients { x, y }
}

/// The neighbours of a pixel that [`laplacian`] counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Neighbours {
    /// Those beside it and above and below: OpenCV's `Laplacian` with `ksize=1`.
    Four,
    /// The diagonal ones too.
    Eight,
}

/// The sum of the neighbours less as many times the pixel: about the second derivative, along both sides together.
///
/// # Shapes
/// As [`image_gradients`], once.
///
/// # Panics
/// As [`image_gradients`].
pub fn laplacian(images: Tensor<4>, neighbours: Neighbours, border: Border) -> Tensor<4> {
    let kernel = match neighbours {
        Neighbours::Four => [0.0, 1.0, 0.0, 1.0, -4.0, 1.0, 0.0, 1.0, 0.0],
        Neighbours::Eight => [1.0, 1.0, 1.0, 1.0, -8.0, 1.0, 1.0, 1.0, 1.0],
    };
    filtered(images, &[kernel], border).remove(0)
}

/// `0.299 red + 0.587 green + 0.114 blue`: ITU-R BT.601, OpenCV's and Pillow's.
///
/// # Shapes
/// `[batch, 3, height, width]` to `[batch, 1, height, width]`
///
/// # Panics
/// If there are not three channels.
pub fn grey(images: Tensor<4>) -> Tensor<4> {
    assert_eq!(images.dims()[1], 3, "{:?}: red, green and blue", images.dims());
    let weights = TensorData::from([0.299, 0.587, 0.114]);
    let weights = Tensor::<1>::from_data(weights, (&images.device(), images.dtype()));
    (images * weights.reshape([1, 3, 1, 1])).sum_dim(1)
}

/// Each kernel laid over every pixel of every channel: the kernels' maps.
fn filtered(images: Tensor<4>, kernels: &[[f64; 9]], border: Border) -> Vec<Tensor<4>> {
    let images = match border {
        Border::Valid => images,
        Border::Zeros => images.pad((1, 1, 1, 1), PadMode::Constant(0.0)),
        Border::Replicate => images.pad((1, 1, 1, 1), PadMode::Edge),
        Border::Reflect => images.pad((1, 1, 1, 1), PadMode::Reflect),
    };
    let [_, _, height, width] = images.dims();
    assert!(height >= 3 && width >= 3, "3x3 kernels over {height}x{width} pixels");
    let moved = |at: usize| images.clone().narrow(2, at / 3, height - 2).narrow(3, at % 3, width - 2);
    let laid = |kernel: &[f64; 9]| {
        let taps = kernel.iter().enumerate().filter(|(_, weight)| **weight != 0.0);
        let sum = taps.map(|(at, weight)| moved(at) * *weight).reduce(|sum, tap| sum + tap);
        sum.expect("a kernel that is not zero")
    };
    kernels.iter().map(laid).collect()
}
