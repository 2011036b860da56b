//! Linear layers beside plain loops and beside Burn's own.

use burn::prelude::*;
use burn::tensor::{Distribution, Tolerance, module};
use kiln_kernels::linear::{Linear, forward, input_gradient, weight_gradient};
use kiln_kernels::{Isa, linear};

/// Numbers between -0.5 and 0.5 from a seed (Knuth's multiplicative hash).
fn numbers(len: usize, seed: u32) -> Vec<f32> {
    let hash = |i: usize| (i as u32 + seed).wrapping_mul(2_654_435_761) >> 8;
    (0..len).map(|i| hash(i) as f32 / (1 << 24) as f32 - 0.5).collect()
}

/// `sum over k of a(row, k) * b(k, column)` in 64 bits, against `ours`.
fn check(
    what: &str,
    [rows, depth, columns]: [usize; 3],
    ours: &[f32],
    a: impl Fn(usize, usize) -> f32,
    b: impl Fn(usize, usize) -> f32,
    start: impl Fn(usize) -> f32,
) {
    assert_eq!(ours.len(), rows * columns, "{what}");
    for (index, ours) in ours.iter().enumerate() {
        let (row, column) = (index / columns, index % columns);
        let terms = (0..depth).map(|k| f64::from(a(row, k)) * f64::from(b(k, column)));
        let (sum, size) =
            terms.fold((f64::from(start(column)), 1.0), |(sum, size), t| (sum + t, size + t.abs()));
        // Roundings of one sign do not last: their sum grows as the root of their number.
        let most = 4e-7 * (depth as f64).sqrt() * size;
        assert!((f64::from(*ours) - sum).abs() < most, "{what} [{row}, {column}]: {ours}, not {sum}");
    }
}

fn layer(sides: Linear) {
    let Linear { rows, inputs, outputs } = sides;
    let (x, weight) = (numbers(rows * inputs, 1), numbers(inputs * outputs, 2));
    let (bias, grad) = (numbers(outputs, 3), numbers(rows * outputs, 4));
    for &isa in Isa::available() {
        let what = |name: &str| format!("{isa:?} {sides:?} {name}");
        let (x_at, weight_at) =
            (|r: usize, i: usize| x[r * inputs + i], |i: usize, o: usize| weight[i * outputs + o]);
        let grad_at = |r: usize, o: usize| grad[r * outputs + o];
        let y = forward(isa, sides, &x, &weight, Some(&bias));
        check(&what("forward"), [rows, inputs, outputs], &y, x_at, weight_at, |o| bias[o]);
        let y = forward(isa, sides, &x, &weight, None);
        check(&what("without bias"), [rows, inputs, outputs], &y, x_at, weight_at, |_| 0.0);
        let dx = input_gradient(isa, sides, &weight, &grad);
        check(&what("dx"), [rows, outputs, inputs], &dx, grad_at, |o, i| weight_at(i, o), |_| 0.0);
        let dw = weight_gradient(isa, sides, &x, &grad);
        check(&what("dw"), [inputs, rows, outputs], &dw, |i, r| x_at(r, i), grad_at, |_| 0.0);
    }
}

#[test]
fn small_layers_and_their_gradients_are_the_sums_that_define_them() {
    for [rows, inputs, outputs] in [[1, 1, 1], [2, 3, 5], [3, 17, 15], [17, 5, 33], [34, 16, 2]] {
        layer(Linear { rows, inputs, outputs });
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many products")]
fn layers_and_their_gradients_are_the_sums_that_define_them() {
    for [rows, inputs, outputs] in [[16, 70, 33], [5, 130, 64], [30, 20, 16], [128, 64, 10], [9, 600, 511]] {
        layer(Linear { rows, inputs, outputs });
    }
}

#[test]
#[cfg_attr(miri, ignore = "too many products")]
fn a_gradient_that_passes_by_the_caches_is_complete() {
    // 2049 x 2064 floats are more than the limit, and neither side is a whole number of tiles.
    layer(Linear { rows: 1, inputs: 2049, outputs: 2064 });
}

#[test]
#[cfg_attr(miri, ignore = "needs threads of its own")]
fn the_same_bits_come_from_any_number_of_threads() {
    let sides = Linear { rows: 20, inputs: 300, outputs: 400 };
    let (x, weight) = (numbers(20 * 300, 1), numbers(300 * 400, 2));
    let grad = numbers(20 * 400, 3);
    let all = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let isa = Isa::best();
            let forward = forward(isa, sides, &x, &weight, None);
            [forward, input_gradient(isa, sides, &weight, &grad), weight_gradient(isa, sides, &x, &grad)]
        })
    };
    assert!(all(1) == all(3), "one thread and three");
}

#[test]
#[cfg_attr(miri, ignore = "Burn's own operations")]
fn the_operation_and_its_gradients_are_burns() {
    let device = Device::flex();
    device.seed(3);
    let random = |dims: [usize; 2]| Tensor::<2>::random(dims, Distribution::Default, &device);
    let (x, weight, bias) = (random([7, 50]), random([50, 37]), random([1, 37]).reshape([37]));
    let factors = random([7, 37]);
    type Layer = fn(Tensor<2>, Tensor<2>, Option<Tensor<1>>) -> Tensor<2>;
    let run = |layer: Layer, turned: bool, biased: bool| {
        let leaf = |tensor: Tensor<2>| Tensor::<2>::from_inner(tensor).require_grad();
        let flat = |tensor: Tensor<1>| Tensor::<1>::from_inner(tensor).require_grad();
        // The other way round in memory, or not.
        let laid = |tensor: Tensor<2>| match turned {
            true => Tensor::<2>::from_data(tensor.clone().transpose().into_data(), &device).transpose(),
            false => tensor,
        };
        let (x, weight, bias) = (leaf(laid(x.clone())), leaf(laid(weight.clone())), flat(bias.clone()));
        let y = layer(x.clone(), weight.clone(), biased.then(|| bias.clone()));
        let grads = (y.clone() * Tensor::from_inner(laid(factors.clone()))).sum().backward();
        let mut all = vec![y.into_data()];
        all.extend([x.grad(&grads), weight.grad(&grads)].map(|grad| grad.expect("a gradient").into_data()));
        all.extend(bias.grad(&grads).map(|grad| grad.into_data()));
        all
    };
    for (turned, biased) in [(false, true), (true, true), (false, false)] {
        let (ours, stock) = (run(linear, turned, biased), run(module::linear, false, biased));
        assert_eq!(ours.len(), stock.len());
        for (ours, stock) in ours.iter().zip(&stock) {
            ours.assert_approx_eq(stock, Tolerance::<f32>::rel_abs(1e-5, 1e-5));
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "Burn's own operations")]
fn what_needs_no_gradient_gets_none() {
    let device = Device::flex().autodiff();
    let x = Tensor::<2>::from_data([[1.0, 2.0]], &device);
    let weight = Tensor::<2>::from_data([[3.0, 4.0], [5.0, 6.0]], &device);
    let y = linear(x.clone().require_grad(), weight.clone(), None);
    // 1 * 3 + 2 * 5 and 1 * 4 + 2 * 6.
    assert_eq!(y.to_data(), TensorData::from([[13.0f32, 16.0]]));
    let leaf = x.clone().require_grad();
    let grads = linear(leaf.clone(), weight.clone(), None).sum().backward();
    assert_eq!(leaf.grad(&grads).expect("a gradient").into_data(), TensorData::from([[7.0f32, 11.0]]));
    let leaf = weight.require_grad();
    let grads = linear(x, leaf.clone(), None).sum().backward();
    assert_eq!(
        leaf.grad(&grads).expect("a gradient").into_data(),
        TensorData::from([[1.0f32, 1.0], [2.0, 2.0]])
    );
}
