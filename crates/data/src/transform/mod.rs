//! Transforms: what a configuration names, drawn at random into plain [`Step`]s: geometric ones ([`Warp`], [`Affine`]),
//! which images and truths follow alike, and changes of colour ([`Colour`]). They do what torchvision's of the same names
//! do to a PIL image, so that published recipes mean the same.

mod affine;
#[cfg(test)]
mod box_tests;
mod check;
mod colour;
mod copy_paste;
mod erasure;
mod framing;
mod geometry;
mod histogram;
mod hsv;
mod interpolation;
#[cfg(test)]
mod label_tests;
mod mosaic;
mod motion;
mod opencv;
mod operation;
mod pipeline;
mod policy;
mod projective;
mod resample;
mod size;
mod step;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod truth_tests;
mod warp;

use serde::{Deserialize, Serialize};

pub use affine::Affine;
pub use colour::Colour;
pub use copy_paste::CopyPaste;
pub use erasure::{Erasure, Filling};
pub use framing::{Framing, Placement, UpsideDown};
pub use interpolation::Interpolation;
pub use mosaic::Mosaic;
pub use motion::Motion;
pub use operation::{Operation, Space};
pub use pipeline::{Partner, Pipeline, Ready};
pub use policy::{Policy, SubPolicy};
pub use projective::{Projective, Ranges};
pub use size::Size;
pub use step::Step;
pub use warp::{Region, Warp};

/// One step from an image as it is read to an image as a network wants it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Transform {
    /// Scales the image.
    Resize {
        /// One number is the shorter side, the aspect is kept; two are height and width.
        size: Size,
        /// How pixels are computed.
        #[serde(default)]
        interpolation: Interpolation,
    },
    /// Scales the image to a random size and keeps its aspect: the "scale jittering" of VGG (Simonyan and Zisserman 2014,
    /// Section 3.1), the "scale augmentation" of ResNet (He et al. 2015, Section 3.4).
    RandomResize {
        /// Smallest and largest shorter side, each as likely as any between.
        size: [usize; 2],
        /// How pixels are computed.
        #[serde(default)]
        interpolation: Interpolation,
    },
    /// Cuts out the middle; what is missing is black.
    CenterCrop {
        /// Of the cut; one number is a square.
        size: Size,
    },
    /// Cuts out a random part, every place as likely.
    RandomCrop {
        /// Of the cut; one number is a square.
        size: Size,
    },
    /// Cuts out a random part of random aspect and scales it (Szegedy et al. 2015, "Going deeper with convolutions").
    RandomResizedCrop {
        /// Of the result; one number is a square.
        size: Size,
        /// Range of the part, in areas of the image.
        #[serde(default = "default_scale")]
        scale: [f64; 2],
        /// Range of the part's width over its height.
        #[serde(default = "default_ratio")]
        ratio: [f64; 2],
        /// How pixels are computed.
        #[serde(default)]
        interpolation: Interpolation,
    },
    /// Scales the image by a random factor, keeps its aspect, and cuts out a random part. Where it is then smaller than the cut it lies
    /// at the cut's upper or left edge and the rest is filled: DeepLab's recipe (Chen et al. 2017, "Rethinking atrous convolution for
    /// semantic image segmentation", Section 4.1).
    RandomScaleCrop {
        /// Of the cut; one number is a square.
        size: Size,
        /// Range of the factor, each as likely as any between.
        #[serde(default = "half_to_two")]
        scale: [f64; 2],
        /// The colour where there is no image.
        #[serde(default = "imagenet_mean")]
        fill: [u8; 3],
        /// How pixels are computed.
        #[serde(default)]
        interpolation: Interpolation,
    },
    /// Adds a black border and cuts out a random part: the augmentation of CIFAR (He et al. 2015, Section 4.2).
    PadAndCrop {
        /// Of the cut; one number is a square.
        size: Size,
        /// Width of the border on each side, in pixels.
        pad: usize,
    },
    /// Mirrors the image, left to right.
    HorizontalFlip {
        /// How often.
        #[serde(default = "default_probability")]
        probability: f64,
    },
    /// Mirrors the image, top to bottom.
    VerticalFlip {
        /// How often.
        #[serde(default = "default_probability")]
        probability: f64,
    },
    /// Scales the image to fit into a frame, keeps its aspect and fills the rest of the frame.
    Letterbox {
        /// Of the frame; one number is a square.
        size: Size,
        /// Where the image lies and how its size is rounded.
        #[serde(default)]
        placement: Placement,
        /// False: an image that is smaller than the frame keeps its size.
        #[serde(default = "yes")]
        enlarge: bool,
        /// The colour of the rest.
        #[serde(default = "frame_grey")]
        fill: [u8; 3],
        /// How pixels are computed.
        #[serde(default)]
        interpolation: Interpolation,
    },
    /// Puts the image and three others around a random point of a canvas of twice the size (Bochkovskiy et al. 2020, "YOLOv4:
    /// Optimal speed and accuracy of object detection"), or else letterboxes it in the middle of a frame of the size. It comes
    /// before all others, with a `random-perspective` of the same size somewhere after it.
    Mosaic {
        /// Side of an image; the canvas has twice that.
        size: usize,
        /// How often.
        #[serde(default = "always")]
        probability: f64,
        /// The colour where there is no image.
        #[serde(default = "frame_grey")]
        fill: [u8; 3],
    },
    /// Puts any of another image's objects over the image: by their masks, whole boxes where there are none (Ghiasi et al. 2021,
    /// "Simple copy-paste is a strong data augmentation method for instance segmentation"). The other image is as it was read,
    /// mirrored or not; what is to happen to both alike comes after it.
    CopyPaste {
        /// How often.
        #[serde(default = "default_probability")]
        probability: f64,
        /// Range of the factor by which the other image is scaled once it fits into the image.
        #[serde(default = "pasted_scale")]
        scale: [f64; 2],
        /// An object is dropped of which less of what was seen is left: a part of its mask, or of its box.
        #[serde(default = "tenth")]
        least_visible: f64,
    },
    /// Turns, scales, shears, shifts the image about its middle and tilts it, each by a random measure (YOLOv5's of the same
    /// name). An object is dropped whose box is then not wider and higher than 2 pixels, is 100 times as long as wide, or has
    /// less than a tenth of the area that it would have if it had not left the image.
    RandomPerspective {
        /// Of the result, about the middle of the image; as large as the image if left out.
        size: Option<Size>,
        /// A turn of at most this, either way.
        #[serde(default)]
        degrees: f64,
        /// A shift of at most this part of the result, either way.
        #[serde(default = "tenth")]
        translate: f64,
        /// A factor from 1 - scale to 1 + scale.
        #[serde(default = "default_probability")]
        scale: f64,
        /// A shear of at most this, either way, in degrees.
        #[serde(default)]
        shear: f64,
        /// A tilt: how much nearer or farther a point is for each pixel from the middle, at most; 0.001 is much.
        #[serde(default)]
        perspective: f64,
        /// The colour where there is no image.
        #[serde(default = "frame_grey")]
        fill: [u8; 3],
    },
    /// Multiplies hue, saturation and value, as OpenCV has them in eight bits, each by a factor from 1 - x to 1 + x: the jitter of
    /// YOLOv5 to v9.
    HsvJitter {
        /// Range of the factor to the hue.
        #[serde(default = "hue_gain")]
        hue: f64,
        /// Range of the factor to the saturation.
        #[serde(default = "saturation_gain")]
        saturation: f64,
        /// Range of the factor to the value.
        #[serde(default = "value_gain")]
        value: f64,
    },
    /// Adds one random colour to all pixels, along the principal components of ImageNet's colours (Krizhevsky et al. 2012,
    /// Section 4.1). The numbers of the components are those of fb.resnet.torch; the sum is rounded to grey levels.
    Lighting {
        /// Standard deviation of the share of each component; the paper's is 0.1.
        std: f64,
    },
    /// Changes brightness, contrast, saturation and hue, in random order. A factor is drawn from 1 - x to 1 + x, but never
    /// below 0; 0 leaves the image as it is.
    ColorJitter {
        /// Range of the factor between black (0) and the image (1).
        #[serde(default)]
        brightness: f64,
        /// Range of the factor between the image's mean grey (0) and the image (1).
        #[serde(default)]
        contrast: f64,
        /// Range of the factor between the image in grey (0) and the image (1).
        #[serde(default)]
        saturation: f64,
        /// Hues are turned by at most this part of the circle, either way; 0.5 is all hues.
        #[serde(default)]
        hue: f64,
    },
    /// One of 25 pairs of operations that were found by a search on a data set (Cubuk et al. 2018, "AutoAugment: Learning
    /// augmentation strategies from data").
    AutoAugment {
        /// The data set that was searched on.
        #[serde(default)]
        policy: Policy,
        /// How pixels are computed where they move.
        #[serde(default = "nearest")]
        interpolation: Interpolation,
        /// The colour where there was no image.
        #[serde(default)]
        fill: [u8; 3],
    },
    /// Operations in a row, each as likely, all of one strength (Cubuk et al. 2019, "RandAugment: Practical automated data
    /// augmentation with a reduced search space").
    RandAugment {
        /// How many.
        #[serde(default = "two")]
        operations: usize,
        /// Their strength, from 0 to below `bins`.
        #[serde(default = "nine")]
        magnitude: usize,
        /// How many strengths there are.
        #[serde(default = "default_bins")]
        bins: usize,
        /// How pixels are computed where they move.
        #[serde(default = "nearest")]
        interpolation: Interpolation,
        /// The colour where there was no image.
        #[serde(default)]
        fill: [u8; 3],
    },
    /// One operation of any strength, of the wide space (Müller and Hutter 2021, "TrivialAugment: Tuning-free yet
    /// state-of-the-art data augmentation").
    TrivialAugment {
        /// How many strengths there are.
        #[serde(default = "default_bins")]
        bins: usize,
        /// How pixels are computed where they move.
        #[serde(default = "nearest")]
        interpolation: Interpolation,
        /// The colour where there was no image.
        #[serde(default)]
        fill: [u8; 3],
    },
    /// Erases a random part of random aspect (Zhong et al. 2017, "Random erasing data augmentation"). It works on
    /// normalized numbers and so comes after all others.
    RandomErasing {
        /// How often.
        #[serde(default = "default_probability")]
        probability: f64,
        /// Range of the part, in areas of the image.
        #[serde(default = "erased_scale")]
        scale: [f64; 2],
        /// Range of the part's height over its width.
        #[serde(default = "erased_ratio")]
        ratio: [f64; 2],
        /// What is put there.
        #[serde(default)]
        fill: Filling,
    },
    /// Erases squares whose centres are anywhere in the image, with the mean colour (DeVries and Taylor 2017, "Improved
    /// regularization of convolutional neural networks with cutout"). It works on normalized numbers and so comes after
    /// all others.
    Cutout {
        /// Side of a square, in pixels.
        size: usize,
        /// How many.
        #[serde(default = "one")]
        count: usize,
    },
}

/// No side is longer, in pixels: a slip of the finger must not ask for all memory.
const MOST: usize = 16384;

fn default_scale() -> [f64; 2] {
    [0.08, 1.0]
}

fn half_to_two() -> [f64; 2] {
    [0.5, 2.0]
}

fn imagenet_mean() -> [u8; 3] {
    [124, 116, 104]
}

fn default_ratio() -> [f64; 2] {
    [3.0 / 4.0, 4.0 / 3.0]
}

fn default_probability() -> f64 {
    0.5
}

fn always() -> f64 {
    1.0
}

fn tenth() -> f64 {
    0.1
}

/// The paper's "standard" jitter.
fn pasted_scale() -> [f64; 2] {
    [0.8, 1.25]
}

fn hue_gain() -> f64 {
    0.015
}

fn saturation_gain() -> f64 {
    0.7
}

fn value_gain() -> f64 {
    0.4
}

fn yes() -> bool {
    true
}

fn frame_grey() -> [u8; 3] {
    [114; 3]
}

fn erased_scale() -> [f64; 2] {
    [0.02, 0.33]
}

fn erased_ratio() -> [f64; 2] {
    [0.3, 3.3]
}

fn nearest() -> Interpolation {
    Interpolation::Nearest
}

fn default_bins() -> usize {
    31
}

fn nine() -> usize {
    9
}

fn two() -> usize {
    2
}

fn one() -> usize {
    1
}
