//! The steps of optimizers beside the same formulas, one operation after the other. (`kiln-train` holds them against
//! PyTorch's traces.)

use burn::backend::Flex;
use burn::prelude::*;
use burn::tensor::DType;
use kiln_kernels::{Adam, Isa, Sgd, adam, sgd, update};

/// Numbers between -0.5 and 0.5 from a seed (Knuth's multiplicative hash).
fn numbers(len: usize, seed: u32) -> Vec<f32> {
    let hash = |i: usize| (i as u32 + seed).wrapping_mul(2_654_435_761) >> 8;
    (0..len).map(|i| hash(i) as f32 / (1 << 24) as f32 - 0.5).collect()
}

const SGD: Sgd = Sgd { rate: 0.1, momentum: 0.9, dampening: 0.25, nesterov: false, l2: 1e-2 };
const ADAM: Adam = Adam { rate: 1e-2, betas: [0.9, 0.999], eps: 1e-8, l2: 1e-2, shrink: 1.0, steps: 3 };

/// More than one stretch, and no whole number of vectors.
const LENGTHS: [usize; 3] = [1, 37, if cfg!(miri) { 50 } else { 70_003 }];

#[test]
fn a_step_of_sgd_has_the_bits_of_its_formula() {
    for (len, &isa) in LENGTHS.into_iter().flat_map(|len| Isa::available().iter().map(move |isa| (len, isa)))
    {
        let (start, grad, past) = (numbers(len, 1), numbers(len, 2), numbers(len, 3));
        for step in [SGD, Sgd { l2: 0.0, ..SGD }, Sgd { nesterov: true, dampening: 0.0, ..SGD }] {
            let [rate, momentum, share, l2] = [0.1, 0.9, 1.0 - step.dampening, step.l2].map(|c| c as f32);
            let (mut x, mut velocity) = (start.clone(), past.clone());
            update::sgd_with_momentum(isa, step, &mut x, &grad, &mut velocity);
            let expected = |i: usize| {
                let grad = if l2 > 0.0 { grad[i] + start[i] * l2 } else { grad[i] };
                let velocity = past[i] * momentum + grad * share;
                let along = if step.nesterov { grad + velocity * momentum } else { velocity };
                (start[i] - along * rate, velocity)
            };
            let wrong = (0..len).find(|&i| (x[i], velocity[i]) != expected(i));
            assert_eq!(wrong, None, "{isa:?}, {len}, {step:?}");

            let mut x = start.clone();
            update::sgd(isa, step, &mut x, &grad);
            let grad = |i: usize| if l2 > 0.0 { grad[i] + start[i] * l2 } else { grad[i] };
            assert_eq!(
                (0..len).find(|&i| x[i] != start[i] - grad(i) * rate),
                None,
                "{isa:?}, {len}, {step:?}"
            );
        }
    }
}

#[test]
fn a_step_of_adam_has_the_bits_of_its_formula() {
    for (len, &isa) in LENGTHS.into_iter().flat_map(|len| Isa::available().iter().map(move |isa| (len, isa)))
    {
        let (start, grad, past) = (numbers(len, 1), numbers(len, 2), numbers(len, 3));
        let past_square: Vec<f32> = numbers(len, 4).into_iter().map(|x| x * x).collect();
        for step in [ADAM, Adam { l2: 0.0, shrink: 0.999, ..ADAM }] {
            let (mut x, mut first, mut second) = (start.clone(), past.clone(), past_square.clone());
            update::adam(isa, step, &mut x, &grad, [&mut first, &mut second]);
            // 1 - 0.9^3 and 1 - 0.999^3.
            let [rate, root] = [1e-2 / 0.271, 2.997_001e-3_f64.sqrt()].map(|c| c as f32);
            let [l2, shrink, eps, new, new_square] =
                [step.l2, step.shrink, 1e-8, 1.0 - 0.9, 1.0 - 0.999].map(|c| c as f32);
            let expected = |i: usize| {
                let grad = if l2 > 0.0 { grad[i] + start[i] * l2 } else { grad[i] };
                let first = past[i] * 0.9 + grad * new;
                let second = past_square[i] * 0.999 + grad * grad * new_square;
                (start[i] * shrink - first / (second.sqrt() / root + eps) * rate, first, second)
            };
            let wrong = (0..len).find(|&i| (x[i], first[i], second[i]) != expected(i));
            assert_eq!(wrong, None, "{isa:?}, {len}, {step:?}");
        }
    }
}

fn place(x: &Tensor<1>) -> *const f32 {
    let x = x.clone().try_into_primitive::<Flex>().expect("on flex");
    x.storage::<f32>().as_ptr()
}

#[test]
fn weights_and_moments_are_written_over_and_shared_ones_are_not() {
    let device = Device::flex();
    let tensor = |values: [f32; 3]| Tensor::<1>::from_data(values, &device);
    let (x, velocity) = (tensor([1.0, 2.0, 3.0]), tensor([0.0; 3]));
    let places = [place(&x), place(&velocity)];
    let (x, velocity) = sgd(x, tensor([1.0; 3]), Some(velocity), Sgd { dampening: 0.0, l2: 0.0, ..SGD });
    let velocity = velocity.expect("momentum");
    assert_eq!([place(&x), place(&velocity)], places);
    // 1 - 0.1 * 1, and so on.
    x.clone().into_data().assert_eq(&TensorData::from([0.9f32, 1.9, 2.9]), true);

    let (first, second) = (tensor([0.0; 3]), tensor([0.0; 3]));
    let places = [place(&x), place(&first), place(&second)];
    let (y, [first, second]) = adam(x, tensor([1.0; 3]), Some([first, second]), ADAM);
    assert_eq!([place(&y), place(&first), place(&second)], places);

    let held = y.clone();
    let before = held.to_data();
    let (z, _) = sgd(y, tensor([1.0; 3]), None, SGD);
    assert_ne!(place(&z), place(&held));
    assert_eq!(held.into_data(), before);
}

#[test]
fn other_precisions_take_burns_operations_and_the_same_steps() {
    let device = Device::flex();
    let run = |dtype: DType| {
        let tensor = |seed: u32| Tensor::<1>::from_data(numbers(5, seed).as_slice(), &device).cast(dtype);
        let mut state = (tensor(1), None);
        let mut moments = (tensor(2), None);
        for (seed, steps) in [(3, 1), (4, 2), (5, 3)] {
            state = sgd(state.0, tensor(seed), state.1, Sgd { nesterov: true, ..SGD });
            let (x, both) = adam(moments.0, tensor(seed), moments.1, Adam { shrink: 0.9, steps, ..ADAM });
            moments = (x, Some(both));
        }
        [state.0, moments.0].map(|x| x.cast(DType::F32).into_data())
    };
    for (ours, stock) in run(DType::F32).iter().zip(run(DType::F64)) {
        ours.assert_approx_eq(&stock, burn::tensor::Tolerance::<f32>::rel_abs(1e-5, 1e-6));
    }
}
