//! Gradients against central differences.
//!
//! What is checked is a module and a function of it; inputs are parameters too. A layer of one's own joins like this:
//!
//! ```
//! # use burn::prelude::*;
//! # use kiln_nn::Conv2dConfig;
//! use kiln_explain::gradcheck::{check, input};
//!
//! # let device = Device::flex();
//! let layer = Conv2dConfig::new([2, 3], [3, 3]).init(&device);
//! let x = input([1, 2, 5, 5], &device);
//! let found = check((layer, x), &device, |(layer, x)| layer.forward(x.val()));
//! assert!(found.precise < 1e-6 && found.running < 1e-4);
//! ```
//!
//! The function's values are multiplied by numbers that stay the same and summed; of that sum the differences are taken, in 64 bits on flex. With them
//! are compared the gradients in 64 bits (where the operations of Burn are at work) and those in 32 bits on the device (where, on flex, the
//! kernels are).

mod catalog;
mod detection;
mod layers;
mod losses;
mod perturb;
mod pools;

use burn::module::{Module, Param};
use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::Draws;

pub use catalog::{Check, Group, all};
use perturb::{Cast, Gradient, Move, Sizes};

/// Differences are taken this far to both sides, if nothing else is said.
const STEP: f64 = 1e-5;
/// Of a parameter of more values, so many are looked at, evenly spread.
const MOST: usize = 48;

/// How far gradients are from differences: the largest distance over the largest difference, of each parameter, and of them the worst.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// In 64 bits.
    pub precise: f64,
    /// In 32 bits, on the device.
    pub running: f64,
    /// How many derivatives were compared.
    pub compared: usize,
}

/// Compares the gradients of a function with differences.
///
/// The function must be one of the module alone: what draws takes a seed of its own, each time the same. Near a kink a difference is neither of
/// the two slopes: inputs are to keep away from kinks.
///
/// # Panics
/// If the function does so, or a parameter has no gradient.
pub fn check<M: Module, const D: usize>(
    module: M,
    device: &Device,
    function: impl Fn(&M) -> Tensor<D>,
) -> Found {
    check_by(STEP, module, device, function)
}

/// As [`check`], by differences of another step: a larger one where 32 bits are within.
///
/// # Panics
/// As [`check`].
pub fn check_by<M: Module, const D: usize>(
    step: f64,
    module: M,
    device: &Device,
    function: impl Fn(&M) -> Tensor<D>,
) -> Found {
    compare(step, module, device, &function, |moved, _| function(moved))
}

/// As [`check`], of a function that takes something which it computes for a constant. `held` is given the module that moves and, for
/// the constant, the one that stands still; of it the differences are taken.
///
/// # Panics
/// As [`check`].
pub fn check_held<M: Module, const D: usize>(
    module: M,
    device: &Device,
    function: impl Fn(&M) -> Tensor<D>,
    held: impl Fn(&M, &M) -> Tensor<D>,
) -> Found {
    compare(STEP, module, device, function, held)
}

fn compare<M: Module, const D: usize>(
    step: f64,
    module: M,
    device: &Device,
    function: impl Fn(&M) -> Tensor<D>,
    held: impl Fn(&M, &M) -> Tensor<D>,
) -> Found {
    // Numbers that 32 bits hold, so that both see the same.
    let precise = module.clone().to_device(&Device::flex()).train().map(&mut Cast(DType::F64));
    let sizes = Sizes::of(&precise);
    let cost = |y: Tensor<D>, dtype: DType| (y.clone() * weights(&y, dtype)).sum();
    let value = |moved: &M| cost(held(moved, &precise), DType::F64).into_scalar::<f64>();
    let differences: Vec<Vec<(usize, f64)>> = sizes
        .0
        .iter()
        .enumerate()
        .map(|(parameter, size)| {
            let places = (0..*size).step_by(size.div_ceil(MOST).max(1));
            places
                .map(|place| {
                    let moved = |by: f64| value(&precise.clone().map(&mut Move::new(parameter, place, by)));
                    (place, (moved(step) - moved(-step)) / (2.0 * step))
                })
                .collect()
        })
        .collect();
    let gradients_of =
        |module: M, dtype: DType| Gradient::of(&module, cost(function(&module), dtype).backward());
    let running = module.to_device(device).train().map(&mut Cast(DType::F32));
    let [precise, running] =
        [gradients_of(precise, DType::F64), gradients_of(running, DType::F32)].map(|gradients| {
            let worst = gradients
                .iter()
                .zip(&differences)
                .map(|(gradient, differences)| distance(gradient, differences));
            worst.fold(0.0, f64::max)
        });
    Found { precise, running, compared: differences.iter().map(Vec::len).sum() }
}

/// The largest distance over the largest difference.
fn distance(gradient: &[f64], differences: &[(usize, f64)]) -> f64 {
    let largest = differences.iter().fold(0.0, |most: f64, (_, one)| most.max(one.abs()));
    let apart = |(place, one): &(usize, f64)| {
        let apart = (gradient[*place] - one).abs();
        // A gradient that is no number is as far as can be.
        if apart.is_finite() { apart } else { f64::INFINITY }
    };
    let apart = differences.iter().map(apart).fold(0.0, f64::max);
    // Where nothing changes, the distance itself.
    if largest > 1e-9 { apart / largest } else { apart }
}

/// What values are multiplied by: from 0.5 to 1.5, in an order without a pattern.
fn weights<const D: usize>(y: &Tensor<D>, dtype: DType) -> Tensor<D> {
    let sides = y.dims();
    let values: Vec<f64> =
        (0..sides.iter().product::<usize>()).map(|at| 0.5 + (at as f64 * 0.618_033_988_75).fract()).collect();
    Tensor::from_data(TensorData::new(values, sides), (&y.device(), dtype))
}

/// A parameter of normal numbers: the input of what is checked.
pub fn input<const D: usize>(sides: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let x: Tensor<D> = Draws::new(17).normal(sides, &Tensor::<1>::zeros([1], device));
    // Nothing nearer than 0.05 to a kink at 0.
    let sign = x.clone().greater_equal_elem(0.0).float() * 2.0 - 1.0;
    Param::from_tensor(x.abs().clamp_min(0.05) * sign)
}

/// A parameter of numbers that all differ, the nearest by 0.03: maxima of it stay where they are.
pub fn apart<const D: usize>(sides: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let count = sides.iter().product::<usize>();
    // 7919 is a prime: a permutation of all places.
    let values: Vec<f32> = (0..count).map(|at| (at * 7919 % count) as f32 * 0.03 + 0.02).collect();
    Param::from_data(TensorData::new(values, sides), device)
}
