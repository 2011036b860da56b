//! All that is checked, by name.

use burn::prelude::*;

use super::{Found, detection, layers, losses, pools};

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// A function of each value.
    Activation,
    /// A layer with or without weights.
    Layer,
    /// A pool.
    Pool,
    /// A normalization.
    Norm,
    /// Dropout, with a seed that stays the same.
    Dropout,
    /// A loss, or an overlap that is one.
    Loss,
}

impl Group {
    /// In a table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Activation => "activation",
            Self::Layer => "layer",
            Self::Pool => "pool",
            Self::Norm => "norm",
            Self::Dropout => "dropout",
            Self::Loss => "loss",
        }
    }
}

/// Something whose gradients can be checked.
pub struct Check {
    /// By which it is asked for.
    pub name: String,
    /// What it is.
    pub group: Group,
    /// What gradients may be apart from differences, in 64 bits and in 32.
    pub bounds: [f64; 2],
    run: Box<dyn Fn(&Device) -> Found>,
}

/// Differences of a smooth function in 64 bits are good to ten digits, those of one as curved as a quotient of small numbers to seven.
const PRECISE: f64 = 1e-6;
/// Sums of 32-bit products, Winograd's among them, differ in the fifth digit.
const RUNNING: f64 = 1e-4;

impl Check {
    pub(super) fn new(
        group: Group,
        name: impl Into<String>,
        run: impl Fn(&Device) -> Found + 'static,
    ) -> Self {
        Self { name: name.into(), group, bounds: [PRECISE, RUNNING], run: Box::new(run) }
    }

    /// Compares, on a device without gradients.
    pub fn run(&self, device: &Device) -> Found {
        (self.run)(device)
    }

    /// Whether what was found is within the bounds.
    pub fn passes(&self, found: &Found) -> bool {
        found.precise <= self.bounds[0] && found.running <= self.bounds[1]
    }
}

/// Every layer, loss and kernel.
pub fn all() -> Vec<Check> {
    let mut all = layers::activations();
    all.extend(layers::layers());
    all.extend(layers::norms());
    all.extend(pools::pools());
    all.extend(pools::dropouts());
    all.extend(losses::losses());
    all.extend(detection::detectors());
    all
}
