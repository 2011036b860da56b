//! One sample, and where samples come from.

use image::RgbImage;
use kiln_core::{Result, Truth};

/// An image with what is known of it; coordinates of the truth are pixels of this image.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Eight bits a channel; a grey image has three equal ones.
    pub image: RgbImage,
    /// Its class, objects and label map, as far as the data set has them.
    pub truth: Truth,
}

/// One split of a data set, read image by image, from any thread.
pub trait Dataset: Send + Sync {
    /// Number of images.
    fn len(&self) -> usize;

    /// True without images.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The image number `index` with its truth.
    ///
    /// # Errors
    /// A file that cannot be read or decoded; it is named.
    fn get(&self, index: usize) -> Result<Sample>;

    /// Where image number `index` comes from, for people: `train/cat/0001.jpg`, `image 17 of data_batch_1.bin`.
    fn origin(&self, index: usize) -> String;
}
