//! A batch, and where batches come from.

use burn::prelude::*;

use crate::{Result, Truth};

/// Images ready for a network, with what is known of them.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[batch, 3, height, width]`, normalized.
    pub images: Tensor<4>,
    /// The truth of each image, in the same order.
    pub truths: Vec<Truth>,
    /// The index of each image in its split.
    pub indices: Vec<usize>,
}

/// A source of batches whose order is a function of the epoch alone, so that a run can be resumed anywhere.
pub trait Batches {
    /// Images an epoch goes through.
    fn items(&self) -> usize;

    /// Batches an epoch consists of.
    fn steps(&self) -> usize;

    /// The batches of an epoch (counted from 0), beginning with batch number `first` of it.
    fn epoch(&self, epoch: usize, first: usize) -> impl Iterator<Item = Result<Batch>>;

    /// Images left out so far because they could not be read.
    fn skipped(&self) -> usize {
        0
    }
}

/// Batches that are all in memory, in the same order every epoch.
impl Batches for Vec<Batch> {
    fn items(&self) -> usize {
        self.iter().map(|batch| batch.indices.len()).sum()
    }

    fn steps(&self) -> usize {
        self.len()
    }

    fn epoch(&self, _epoch: usize, first: usize) -> impl Iterator<Item = Result<Batch>> {
        self[first..].iter().cloned().map(Ok)
    }
}
