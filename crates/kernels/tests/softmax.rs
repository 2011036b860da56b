//! The cross entropy of a softmax beside PyTorch's and beside Burn's operations.

use burn::prelude::*;
use burn::tensor::activation::log_softmax;
use burn::tensor::{DType, Distribution, Tolerance};
use kiln_kernels::{cross_entropy, weighted_cross_entropy};

/// torch 2.15.0: `cross_entropy(x, tensor([2, 0]), label_smoothing=s)` of `x` below, and 3 times its gradient.
#[test]
fn the_loss_and_its_gradient_are_pytorchs() {
    let device = Device::flex().autodiff();
    let rows = [
        (0.0, 6.966_761, [[0.380_574_3, 1.034_508_2, -1.415_082_5], [-1.499_976_4, 1.409_848, 0.090_128_6]]),
        (
            0.1,
            6.579_261,
            [[0.330_574_3, 0.984_508_1, -1.315_082_3], [-1.399_976_3, 1.359_847_7, 0.040_128_5]],
        ),
    ];
    for (smoothing, loss, gradient) in rows {
        let x = Tensor::<2>::from_data([[0.5, 1.5, -1.0], [-8.0, 3.0, 0.25]], &device).require_grad();
        let ours = cross_entropy(x.clone(), &[2, 0], smoothing);
        ours.to_data().assert_approx_eq(&TensorData::from([loss]), Tolerance::<f32>::rel_abs(1e-6, 1e-6));
        let grads = (ours * 3.0).backward();
        let ours = x.grad(&grads).expect("a gradient").into_data();
        ours.assert_approx_eq(&TensorData::from(gradient), Tolerance::<f32>::rel_abs(1e-5, 1e-6));
    }
}

#[test]
fn many_rows_and_classes_are_burns_operations() {
    let device = Device::flex();
    device.seed(9);
    let x = Tensor::<2>::random([70, 1000], Distribution::Normal(0.0, 3.0), &device);
    let classes: Vec<usize> = (0..70).map(|row| row * 37 % 1000).collect();
    let targets: Vec<i64> = classes.iter().map(|class| *class as i64).collect();
    for smoothing in [0.0, 0.2] {
        let run = |ours: bool| {
            // Rows that lie otherwise in memory are read in order.
            let leaf = Tensor::<2>::from_inner(x.clone().transpose()).require_grad();
            let x = leaf.clone().transpose();
            let loss = match ours {
                true => cross_entropy(x, &classes, smoothing),
                false => {
                    let targets = Tensor::<1, Int>::from_data(targets.as_slice(), &device.clone().autodiff());
                    let log = log_softmax(x, 1);
                    let hit = log.clone().gather(1, targets.unsqueeze_dim(1)).mean().neg();
                    hit * (1.0 - smoothing) - log.mean() * smoothing
                }
            };
            let grads = loss.backward();
            (loss.into_data(), leaf.grad(&grads).expect("a gradient").into_data())
        };
        let ((ours, grad), (stock, stock_grad)) = (run(true), run(false));
        ours.assert_approx_eq(&stock, Tolerance::<f32>::rel_abs(1e-5, 1e-6));
        grad.assert_approx_eq(&stock_grad, Tolerance::<f32>::rel_abs(1e-4, 1e-8));
    }
}

/// torch 2.15.0: `(cross_entropy(x, tensor([2, 0, 1]), reduction="none") * w).sum() / w.sum()`, and 3 times its gradient.
#[test]
fn a_row_counts_as_much_as_its_weight_says() {
    let expected =
        [[0.152_229_73, 0.413_803_28, -0.566_033], [-2.399_962_4, 2.255_756_9, 0.144_205_69], [0.0; 3]];
    for dtype in [DType::F32, DType::F64] {
        let leaf = Tensor::<2>::from_data(
            [[0.5, 1.5, -1.0], [-8.0, 3.0, 0.25], [1.0, 2.0, 0.0]],
            &Device::flex().autodiff(),
        );
        let leaf = leaf.cast(dtype).require_grad();
        let loss = |weights: [f32; 3]| weighted_cross_entropy(leaf.clone(), vec![2, 0, 1], weights.into());
        let grads = (loss([0.5, 2.0, 0.0]) * 3.0).backward();
        let value = loss([0.5, 2.0, 0.0]).into_data().convert::<f32>();
        value.assert_approx_eq(&TensorData::from([9.423_895_f32]), Tolerance::<f32>::rel_abs(1e-6, 1e-6));
        let gradient = leaf.grad(&grads).expect("a gradient").into_data().convert::<f32>();
        gradient.assert_approx_eq(&TensorData::from(expected), Tolerance::<f32>::rel_abs(1e-5, 1e-6));
        // Where no row counts, nothing is to be learned.
        let nothing = loss([0.0; 3]);
        let grads = nothing.backward();
        assert_eq!(nothing.into_data().convert::<f32>(), TensorData::from([0.0_f32]));
        let gradient = leaf.grad(&grads).expect("a gradient").into_data().convert::<f32>();
        assert_eq!(gradient, TensorData::from([[0.0_f32; 3]; 3]));
    }
}

#[test]
fn logits_of_any_size_have_a_loss_and_those_that_are_no_numbers_have_none() {
    let device = Device::flex();
    let loss =
        |row: [f32; 3]| cross_entropy(Tensor::from_data([row], &device), &[1], 0.0).into_scalar::<f32>();
    // All but one part in e^20000 is in the first class: 1e4 - -1e4.
    assert_eq!(loss([1e4, -1e4, 0.0]), 20_000.0);
    assert!(loss([1.0, f32::NAN, 0.0]).is_nan());
    assert!(loss([f32::NAN, 0.0, 0.0]).is_nan());
}

#[test]
fn doubles_are_burns_stock_operations() {
    // Two classes that are as likely as each other: ln 2.
    let x = Tensor::<2>::zeros([1, 2], &Device::flex()).cast(DType::F64);
    let loss = cross_entropy(x, &[1], 0.0).into_data();
    assert_eq!(loss, TensorData::from([std::f64::consts::LN_2]));
}
