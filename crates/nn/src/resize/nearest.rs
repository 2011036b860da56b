//! Larger maps from smaller ones.

use burn::prelude::*;
use burn::tensor::module::interpolate;
use burn::tensor::ops::{InterpolateMode, InterpolateOptions};
use kiln_kernels::is_recorded;

/// Every value as a square of `factor` times `factor`: the nearest neighbour's.
///
/// # Shapes
/// `[batch, channels, height, width]` to `[batch, channels, height * factor, width * factor]`
pub fn nearest(x: Tensor<4>, factor: usize) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    if is_recorded(&x.device()) {
        let options = InterpolateOptions::new(InterpolateMode::Nearest);
        return interpolate(x, options.with_output_size([height * factor, width * factor]));
    }
    // With the channels last, as the kernels leave them, a copy is a row of memory.
    let x = x.permute([0, 2, 3, 1]).reshape([batch, height, 1, width, 1, channels]);
    let x = x.expand([batch, height, factor, width, factor, channels]);
    x.reshape([batch, height * factor, width * factor, channels]).permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_becomes_a_square_and_gets_the_sum_of_its_gradients() {
        let device = Device::flex().autodiff();
        let x = Tensor::<4>::from_data([[[[1.0, 2.0], [3.0, 4.0]]], [[[5.0, 6.0], [7.0, 8.0]]]], &device);
        let x = x.require_grad();
        let y = nearest(x.clone(), 2);
        assert_eq!(y.dims(), [2, 1, 4, 4]);
        let first = y.clone().narrow(0, 0, 1).into_data().try_to_vec::<f32>().expect("f32");
        assert_eq!(first, [1., 1., 2., 2., 1., 1., 2., 2., 3., 3., 4., 4., 3., 3., 4., 4.]);
        // The weights of y are 0 to 31; those of the first square, 0, 1, 4 and 5.
        let weights = Tensor::<1, Int>::arange(0..32, &device).float().reshape([2, 1, 4, 4]);
        let gradient = x.grad(&(y * weights).sum().backward()).expect("a gradient");
        let gradient = gradient.into_data().try_to_vec::<f32>().expect("f32");
        assert_eq!(gradient, [10., 18., 42., 50., 74., 82., 106., 114.]);
    }
}
