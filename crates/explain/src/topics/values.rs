//! Tensors as the numbers of pages, and how these are written.

use burn::prelude::*;
use burn::tensor::DType;

/// A map of one channel, in 64 bits.
pub(super) fn tensor(values: Vec<f64>, sides: [usize; 2]) -> Tensor<4> {
    Tensor::from_data(TensorData::new(values, [1, 1, sides[0], sides[1]]), (&Device::flex(), DType::F64))
}

/// The numbers of a tensor, in their order.
pub(super) fn flat<const D: usize>(x: Tensor<D>) -> Vec<f64> {
    x.into_data().iter().collect()
}

/// The rows of a tensor's maps, one after the other.
pub(super) fn rows(x: Tensor<4>) -> Vec<Vec<f64>> {
    let columns = x.dims()[3];
    flat(x).chunks(columns).map(<[f64]>::to_vec).collect()
}

/// The smallest and the largest of some.
pub(super) fn ends(values: impl IntoIterator<Item = f64>) -> [f64; 2] {
    let none = [f64::INFINITY, f64::NEG_INFINITY];
    values.into_iter().fold(none, |[low, high], one| [low.min(one), high.max(one)])
}

/// A number with a minus sign in place of a hyphen.
pub(super) fn minus(text: String) -> String {
    text.replace('-', "\u{2212}")
}
