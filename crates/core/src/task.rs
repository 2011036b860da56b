//! The contract of a task: how an output is compared with the truth, and how well it does.

use burn::prelude::*;

use crate::Batch;

/// What is learned. It knows outputs and truths, no network and no data set.
pub trait Task {
    /// What a network must say of a batch.
    type Output: Clone;
    /// How well it is said.
    type Score: Score<Output = Self::Output>;

    /// What is to decrease, in named parts.
    fn loss(&self, output: Self::Output, batch: &Batch) -> Losses;

    /// A score over nothing yet.
    fn score(&self) -> Self::Score;
}

/// What is to improve, gathered batch by batch.
pub trait Score {
    /// What a network says of a batch.
    type Output;

    /// Counts one more batch.
    fn update(&mut self, output: Self::Output, batch: &Batch);

    /// Named figures between 0 and 1, the one that decides which epoch is best first; more is better.
    fn figures(&self) -> Vec<(&'static str, f64)>;
}

/// The parts of a loss, each a scalar averaged over the batch.
#[derive(Debug, Clone)]
pub struct Losses {
    parts: Vec<(&'static str, Tensor<1>)>,
}

impl Losses {
    /// A loss of one part.
    pub fn new(name: &'static str, value: Tensor<1>) -> Self {
        Self { parts: vec![(name, value)] }
    }

    /// One more part.
    pub fn and(mut self, name: &'static str, value: Tensor<1>) -> Self {
        self.parts.push((name, value));
        self
    }

    /// The parts by name.
    pub fn parts(&self) -> &[(&'static str, Tensor<1>)] {
        &self.parts
    }

    /// The sum that is differentiated.
    pub fn total(&self) -> Tensor<1> {
        let mut values = self.parts.iter().map(|(_, value)| value.clone());
        let first = values.next().expect("`new` puts the first part");
        values.fold(first, |sum, value| sum + value)
    }
}
