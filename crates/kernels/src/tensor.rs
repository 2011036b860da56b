//! Burn's flex tensors as the kernels see them: rows of channels.
//!
//! A tensor `[batch, channels, ..]` keeps its shape, but its channels lie side by side in memory (*channels last*), so that a
//! vector register holds neighbouring channels of one pixel. Every kernel takes either layout and gives this one;
//! Burn's own operations follow the strides and need not know.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::TensorData;

use crate::isa::Isa;
use crate::transpose::transpose;

pub type FlexTensor = FloatTensor<Flex>;

/// The sides of a tensor `[batch, channels, ..]`; a row is a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sides {
    /// Images.
    pub batch: usize,
    /// Floats of a row.
    pub channels: usize,
    /// Pixels of an image.
    pub area: usize,
}

impl Sides {
    pub fn of(x: &FlexTensor) -> Self {
        let shape = x.shape();
        let shape: &[usize] = shape.as_slice();
        Self { batch: shape[0], channels: shape[1], area: shape[2..].iter().product() }
    }
}

pub fn dims<const D: usize>(x: &FlexTensor) -> [usize; D] {
    x.shape().dims()
}

/// A tensor of the values in order.
pub fn in_order_of(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// A tensor `[batch, channels, ..]` of rows of channels.
pub fn from_rows(values: Vec<f32>, shape: &[usize]) -> FlexTensor {
    let mut last: Vec<usize> = shape.to_vec();
    let channels = last.remove(1);
    last.push(channels);
    let rank = shape.len();
    let axes: Vec<usize> = [0, rank - 1].into_iter().chain(1..rank - 1).collect();
    in_order_of(values, &last).permute(&axes)
}

/// The values in order; a copy only where they lie otherwise in memory. (Takes the tensor: a second handle to the same
/// memory would make the first writer copy it.)
pub fn in_order(x: FlexTensor) -> FlexTensor {
    match is_in_order(&x) {
        true => x,
        false => x.to_contiguous(),
    }
}

pub fn is_in_order(x: &FlexTensor) -> bool {
    x.is_contiguous() && x.layout().start_offset() == 0
}

/// The channels side by side; a copy only where they lie otherwise in memory.
pub fn channels_last(x: FlexTensor) -> FlexTensor {
    if is_channels_last(&x) {
        return x;
    }
    let shape: Vec<usize> = x.shape().as_slice().to_vec();
    let Sides { batch, channels, area } = Sides::of(&x);
    let x = in_order(x);
    from_rows(transpose(Isa::best(), batch, [channels, area], values(&x)), &shape)
}

pub fn is_channels_last(x: &FlexTensor) -> bool {
    let (shape, layout) = (x.shape(), x.layout());
    let shape: &[usize] = shape.as_slice();
    let rank = shape.len();
    let mut expected = 1;
    let sides = [1].into_iter().chain((2..rank).rev()).chain([0]);
    layout.start_offset() == 0
        && sides.into_iter().all(|side| {
            let fits = shape[side] == 1 || layout.strides()[side] == expected;
            expected *= shape[side] as isize;
            fits
        })
}

/// The values in memory's order, of a tensor that [`in_order`] or [`channels_last`] gave.
pub fn values(x: &FlexTensor) -> &[f32] {
    &x.storage()[..x.shape().num_elements()]
}

/// Lets `work` write over the values in memory's order, where no one else has them, or over a copy.
pub fn overwrite(mut x: FlexTensor, work: impl FnOnce(&mut [f32])) -> FlexTensor {
    let len = x.shape().num_elements();
    work(&mut x.storage_mut()[..len]);
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_channels_are_the_same_tensor() {
        // Two images of three channels and 2 x 2 pixels; value = 100 image + 10 channel + pixel.
        let planes: Vec<f32> = (0..24).map(|i| (100 * (i / 12) + 10 * (i / 4 % 3) + i % 4) as f32).collect();
        let shape = [2, 3, 2, 2];
        let x = in_order_of(planes.clone(), &shape);
        assert!(!is_channels_last(&x));
        let last = channels_last(x);
        assert!(is_channels_last(&last));
        assert_eq!(values(&last)[..6], [0.0, 10.0, 20.0, 1.0, 11.0, 21.0]);
        assert_eq!(dims(&last), shape);
        assert_eq!(values(&in_order(last)), planes);
    }

    #[test]
    fn a_part_of_a_tensor_is_not_taken_for_the_whole() {
        let x = from_rows((0..24).map(|i| i as f32).collect(), &[2, 3, 2, 2]);
        let part = channels_last(x.narrow(1, 1, 2));
        assert_eq!(values(&part)[..4], [1.0, 2.0, 4.0, 5.0]);
        let second =
            channels_last(in_order_of((0..24).map(|i| i as f32).collect(), &[2, 3, 2, 2]).narrow(0, 1, 1));
        assert_eq!(values(&second)[..3], [12.0, 16.0, 20.0]);
    }
}
