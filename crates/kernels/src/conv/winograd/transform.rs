//! The matrices of F(4 x 4, 3 x 3) with the points 0, 1, -1, 2, -2 and infinity.

use crate::conv::vector::Vector;

/// Sides of a tile of outputs, of inputs, and of the kernel.
pub const OUT: usize = 4;
pub const IN: usize = 6;
pub const KERNEL: usize = 3;
/// Products of a tile and a pair of channels: 36 in place of 144.
pub const POINTS: usize = IN * IN;

/// One of the matrices, `M` rows of `N` numbers.
pub trait Matrix<const N: usize, const M: usize> {
    /// The matrix times a column.
    fn times<V: Vector>(column: [V; N]) -> [V; M];
}

/// `Bᵀ`: inputs to points.
pub struct Inputs;

impl Matrix<IN, IN> for Inputs {
    #[inline(always)]
    fn times<V: Vector>(d: [V; IN]) -> [V; IN] {
        let (even, odd) = (d[2].scaled(-4.0, d[4]), d[1].scaled(-4.0, d[3]));
        let (near, far) = (d[4].sub(d[2]), d[3].sub(d[1]).times(2.0));
        [
            d[0].sub(d[2]).scaled(4.0, near),
            even.add(odd),
            even.sub(odd),
            near.add(far),
            near.sub(far),
            d[1].sub(d[3]).scaled(4.0, d[5].sub(d[3])),
        ]
    }
}

/// `G`: weights to points.
pub struct Weights;

impl Matrix<KERNEL, IN> for Weights {
    #[inline(always)]
    fn times<V: Vector>(g: [V; KERNEL]) -> [V; IN] {
        let (sides, middle) = (g[0].add(g[2]).times(-1.0 / 6.0), g[1].times(1.0 / 6.0));
        let (far, half) = (g[0].scaled(1.0 / 24.0, g[2].times(1.0 / 6.0)), g[1].times(1.0 / 12.0));
        [g[0].times(0.25), sides.sub(middle), sides.add(middle), far.add(half), far.sub(half), g[2]]
    }
}

/// `Aᵀ`: points to outputs.
pub struct Outputs;

impl Matrix<IN, OUT> for Outputs {
    #[inline(always)]
    fn times<V: Vector>(m: [V; IN]) -> [V; OUT] {
        let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (far_sum, far_difference) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(sum).add(far_sum),
            far_difference.scaled(2.0, difference),
            far_sum.scaled(4.0, sum),
            far_difference.scaled(8.0, difference).add(m[5]),
        ]
    }
}

/// `A`: gradients of outputs to points.
pub struct Gradients;

impl Matrix<OUT, IN> for Gradients {
    #[inline(always)]
    fn times<V: Vector>(y: [V; OUT]) -> [V; IN] {
        let (even, odd) = (y[0].add(y[2]), y[1].add(y[3]));
        let (far_even, far_odd) = (y[2].scaled(4.0, y[0]), y[3].scaled(8.0, y[1].times(2.0)));
        [y[0], even.add(odd), even.sub(odd), far_even.add(far_odd), far_even.sub(far_odd), y[3]]
    }
}

/// `Gᵀ`: points to gradients of weights.
pub struct WeightGradients;

impl Matrix<IN, KERNEL> for WeightGradients {
    #[inline(always)]
    fn times<V: Vector>(m: [V; IN]) -> [V; KERNEL] {
        let (sum, difference) = (m[1].add(m[2]).times(-1.0 / 6.0), m[2].sub(m[1]).times(1.0 / 6.0));
        let (far_sum, far_difference) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            far_sum.scaled(1.0 / 24.0, m[0].scaled(0.25, sum)),
            far_difference.scaled(1.0 / 12.0, difference),
            far_sum.scaled(1.0 / 6.0, sum).add(m[5]),
        ]
    }
}

/// The matrix times the square times the matrix turned over; values are fetched and left one by one.
#[inline(always)]
pub fn both<T: Matrix<N, M>, V: Vector, const N: usize, const M: usize>(
    load: impl Fn(usize, usize) -> V,
    mut store: impl FnMut(usize, usize, V),
) {
    let mut halfway = [[V::ZERO; N]; M];
    for column in 0..N {
        let mut values = [V::ZERO; N];
        for (row, value) in values.iter_mut().enumerate() {
            *value = load(row, column);
        }
        let values = T::times(values);
        for (halfway, value) in halfway.iter_mut().zip(values) {
            halfway[column] = value;
        }
    }
    for (row, halfway) in halfway.into_iter().enumerate() {
        for (column, value) in T::times(halfway).into_iter().enumerate() {
            store(row, column, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `y[o] = sum over k of d[o + k] g[k]`, and the gradients of a loss `sum of y[o] c[o]`.
    #[test]
    fn products_of_points_are_the_convolution_and_its_gradient() {
        let lanes = |x: f32| [x; 4];
        let d = [0.5, -1.0, 2.0, 3.0, -0.25, 1.5].map(lanes);
        let g = [1.0, -2.0, 0.75].map(lanes);
        let points = |a: [[f32; 4]; IN], b: [[f32; 4]; IN]| -> [[f32; 4]; IN] {
            std::array::from_fn(|i| std::array::from_fn(|lane| a[i][lane] * b[i][lane]))
        };
        let y = Outputs::times(points(Inputs::times(d), Weights::times(g)));
        for o in 0..OUT {
            let expected: f32 = (0..KERNEL).map(|k| d[o + k][0] * g[k][0]).sum();
            assert!((y[o][0] - expected).abs() < 1e-5);
        }
        let c = [1.0, 0.5, -3.0, 2.0].map(lanes);
        let dg = WeightGradients::times(points(Inputs::times(d), Gradients::times(c)));
        for k in 0..KERNEL {
            let expected: f32 = (0..OUT).map(|o| d[o + k][0] * c[o][0]).sum();
            assert!((dg[k][3] - expected).abs() < 1e-5);
        }
    }
}
