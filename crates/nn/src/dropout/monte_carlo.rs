//! What a network that drops says many times over, and how sure it is.

use burn::prelude::*;

use crate::Draws;

/// Mean and variance of what a network says in many passes.
#[derive(Debug, Clone)]
pub struct Spread<const D: usize> {
    /// Of each value.
    pub mean: Tensor<D>,
    /// Of each value, divided by the passes. The paper adds the noise of the data, `1 / tau`.
    pub variance: Tensor<D>,
}

/// Mean and variance of `passes` passes of something that draws, dropout's layers by their `dropped` methods: they drop on every device. Gal and
/// Ghahramani 2016, *Dropout as a Bayesian approximation*.
///
/// # Panics
/// If there is no pass.
pub fn monte_carlo<const D: usize>(
    passes: usize,
    draws: &mut Draws,
    mut pass: impl FnMut(&mut Draws) -> Tensor<D>,
) -> Spread<D> {
    assert!(passes > 0, "a mean of no passes");
    let all: Vec<Tensor<D>> = (0..passes).map(|_| pass(draws)).collect();
    let mean_of = |all: &[Tensor<D>]| {
        let sum = all.iter().cloned().reduce(|sum, one| sum + one).expect("a pass");
        sum / passes as f64
    };
    let mean = mean_of(&all);
    let squares: Vec<Tensor<D>> = all.iter().map(|one| (one.clone() - mean.clone()).square()).collect();
    Spread { variance: mean_of(&squares), mean }
}

/// How unsure a classifier is, in nats.
#[derive(Debug, Clone)]
pub struct Doubt {
    /// The entropy of the mean of all passes: all doubt, `[batch]`.
    pub entropy: Tensor<1>,
    /// What of it is the passes' disagreement, and more data could take away: the mutual information of class and weights, `[batch]`. Houlsby et al. 2011.
    pub disagreement: Tensor<1>,
}

/// How unsure a classifier is, by the probabilities it gave in each pass.
///
/// # Shapes
/// `[passes, batch, classes]`
pub fn doubt(probabilities: Tensor<3>) -> Doubt {
    let [_, batch, _] = probabilities.dims();
    let entropy = |p: Tensor<3>| -(p.clone() * p.clamp_min(1e-38).log()).sum_dim(2);
    let whole = entropy(probabilities.clone().mean_dim(0)).reshape([batch]);
    let within = entropy(probabilities).mean_dim(0).reshape([batch]);
    Doubt { entropy: whole.clone(), disagreement: whole - within }
}
