//! What makes a batch of training images more than images in a row: images mixed with each other, images that come several
//! times, sizes that change from batch to batch.

use kiln_core::{Error, Result};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::mixing::Mixing;

/// How training batches are put together. By default a batch is its images, each once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Batching {
    /// Mixes each image with another of its batch: the alpha of MixUp (Zhang et al. 2018, "mixup: Beyond empirical risk
    /// minimization"), whose share is drawn from Beta(alpha, alpha); 0 is never.
    pub mixup: f64,
    /// Puts a part of another image of its batch into each image: the alpha of CutMix (Yun et al. 2019, "CutMix:
    /// Regularization strategy to train strong classifiers with localizable features"); 0 is never. Where both are given,
    /// a batch has one of them, each as likely.
    pub cutmix: f64,
    /// How many of the batches are mixed.
    pub mix_probability: f64,
    /// How many times a batch has each of its images, every time augmented anew (Hoffer et al. 2020, "Augment your batch:
    /// Improving generalization through instance repetition"). An epoch is as long as ever and has fewer images.
    pub repeats: usize,
    /// Sides of the square images of a batch, each as likely; none leaves what the transforms make.
    pub sizes: Vec<usize>,
    /// Batches in a row that have one size.
    pub sizes_every: usize,
    /// The first epoch, counted from 0, without mosaics and without pasted objects: what YOLOv8 calls `close_mosaic = 10` is 90 of
    /// 100 epochs. Left out, all epochs have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mosaic_until: Option<usize>,
}

impl Default for Batching {
    fn default() -> Self {
        Self {
            mixup: 0.0,
            cutmix: 0.0,
            mix_probability: 1.0,
            repeats: 1,
            sizes: Vec::new(),
            sizes_every: 1,
            mosaic_until: None,
        }
    }
}

/// No side is longer, in pixels.
const MOST: usize = 16384;

impl Batching {
    /// Whether the numbers make sense for batches of `batch_size` images.
    ///
    /// # Errors
    /// The key that does not, and what would.
    pub fn check(&self, batch_size: usize) -> Result<()> {
        let wrong = |key: &str, message: String, hint: &str| {
            Err(Error::input(message).place(key.to_string()).hint(hint))
        };
        for (key, alpha) in [("mixup", self.mixup), ("cutmix", self.cutmix)] {
            if !(alpha.is_finite() && alpha >= 0.0) {
                return wrong(key, format!("is {alpha}"), "0 or more, as 0.2 or 1.0");
            }
        }
        if !(0.0..=1.0).contains(&self.mix_probability) {
            let hint = "a number from 0 to 1";
            return wrong("mix_probability", format!("is {}", self.mix_probability), hint);
        }
        if self.repeats == 0 || !batch_size.is_multiple_of(self.repeats) {
            let message = format!("is {}, which does not divide a batch of {batch_size}", self.repeats);
            return wrong("repeats", message, "1 is every image once");
        }
        if let Some(side) = self.sizes.iter().find(|side| !(1..=MOST).contains(*side)) {
            return wrong("sizes", format!("has a side of {side}"), "sides from 1 to 16384 pixels");
        }
        match self.sizes_every {
            0 => wrong("sizes_every", "is 0".to_string(), "1 draws a size for every batch"),
            _ => Ok(()),
        }
    }

    /// Which of a split's images, by their place in an epoch's order, are in the places `batch` of the epoch, and which
    /// time of its `repeats` it is.
    ///
    /// It is the sampler of DeiT and torchvision (`RASampler`) on as many processes as there are repeats, with their
    /// batches put together: a batch's images in order, then once more in order.
    pub(crate) fn places(&self, batch: std::ops::Range<usize>, batch_size: usize) -> Vec<(usize, usize)> {
        let first = batch.start / batch_size * (batch_size / self.repeats);
        let different = batch.len().div_ceil(self.repeats);
        (0..batch.len()).map(|i| (first + i % different, i / different)).collect()
    }

    /// The side of a batch's images; `rng` is that of the batch's row of batches.
    pub(crate) fn side(&self, rng: &mut ChaCha8Rng) -> Option<usize> {
        (!self.sizes.is_empty()).then(|| self.sizes[rng.random_range(0..self.sizes.len())])
    }

    /// How a batch of images of height and width `size` is mixed, if it is.
    pub(crate) fn mixing(&self, size: [usize; 2], rng: &mut ChaCha8Rng) -> Option<Mixing> {
        let (mixup, cutmix) = (self.mixup > 0.0, self.cutmix > 0.0);
        if !(mixup || cutmix) || !rng.random_bool(self.mix_probability) {
            return None;
        }
        Some(match mixup && (!cutmix || rng.random_bool(0.5)) {
            true => Mixing::mixup(self.mixup, rng),
            false => Mixing::cutmix(self.cutmix, size, rng),
        })
    }
}
