//! Normalizations against worked numbers and PyTorch.

#![allow(clippy::unwrap_used)]
#![allow(clippy::excessive_precision)] // as the references print them

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::{Distribution, Tolerance};
use kiln_nn::*;

fn near<const D: usize>(ours: Tensor<D>, expected: &[f32]) {
    let expected = TensorData::new(expected.to_vec(), ours.dims());
    ours.into_data().assert_approx_eq(&expected, Tolerance::<f32>::rel_abs(1e-5, 4e-6));
}

fn device() -> Device {
    Device::flex().autodiff()
}

fn list(values: &[f32], device: &Device) -> Param<Tensor<1>> {
    Param::from_data(TensorData::new(values.to_vec(), [values.len()]), device)
}

/// Two images of two channels of one row: `[[1, 2], [3, 4]]` and `[[5, 6], [7, 8]]`.
fn worked() -> Tensor<4> {
    Tensor::from_data([[[[1.0, 2.0]], [[3.0, 4.0]]], [[[5.0, 6.0]], [[7.0, 8.0]]]], &device())
}

#[test]
fn the_worked_first_value_differs_by_what_it_is_normalized_over() {
    // Computed by an independent script, as mean and variance are: the switchable's are the means of the others'.
    let first = |x: Tensor<4>| x.into_data().iter::<f32>().next().unwrap();
    let rows = [
        (
            "batch",
            first(BatchNormConfig::new(2).init(&device()).forward(worked())),
            [3.5, 4.25],
            -1.2126766985,
        ),
        (
            "layer",
            first(LayerNormConfig::new([2, 1, 2]).init(&device()).forward(worked())),
            [2.5, 1.25],
            -1.3416354200,
        ),
        (
            "instance",
            first(InstanceNormConfig::new(2).init(&device()).forward(worked())),
            [1.5, 0.25],
            -0.9999800006,
        ),
        (
            "switchable",
            first(SwitchNormConfig::new(2).init(&device()).forward(worked())),
            [2.5, 1.9166667],
            -1.0834698514,
        ),
    ];
    for (name, ours, [mean, variance], expected) in rows {
        assert!((ours - expected).abs() < 1e-6, "{name}: {ours}, not {expected}");
        let said = (1.0 - mean) / (variance + 1e-5f32).sqrt();
        assert!((ours - said).abs() < 1e-6, "{name}: {ours}, not {said}");
    }
    let norm = BatchNormConfig::new(2).with_momentum(1.0).init(&device());
    norm.forward(worked());
    near(norm.running_mean.value_sync(), &[3.5, 5.5]);
    // Unbiased: 4.25 * 4 / 3.
    near(norm.running_var.value_sync(), &[5.6666667, 5.6666667]);
}

#[test]
fn batch_normalization_has_the_worked_gradients() {
    let x = Tensor::<2>::from_data([[1.0], [2.0], [5.0], [6.0]], &device()).require_grad();
    let norm = BatchNormConfig::new(1).init(&device());
    let y = norm.forward(x.clone()) * Tensor::from_data([[0.1], [-0.2], [0.3], [0.4]], &device());
    let gradients = y.sum().backward();
    near(norm.beta.val().grad(&gradients).unwrap(), &[0.6]);
    near(norm.gamma.val().grad(&gradients).unwrap(), &[0.7276060191]);
    near(x.grad(&gradients).unwrap(), &[0.0827470994, -0.1055743578, 0.0085602219, 0.0142670365]);
}

#[test]
fn gamma_and_beta_can_undo_it() {
    // gamma the deviation and beta the mean give back what came in: what a layer could say without normalization it still can.
    let x = Tensor::<4>::random([8, 3, 4, 4], Distribution::Normal(2.0, 3.0), &device());
    let mut norm = BatchNormConfig::new(3).init(&device());
    let rows = x.clone().swap_dims(0, 1).reshape([3, 128]);
    let mean = rows.clone().mean_dim(1);
    let variance = (rows - mean.clone()).square().mean_dim(1);
    norm.gamma = Param::from_tensor((variance + 1e-5).sqrt().reshape([3]));
    norm.beta = Param::from_tensor(mean.reshape([3]));
    let back = norm.forward(x.clone());
    back.into_data().assert_approx_eq(&x.into_data(), Tolerance::<f32>::absolute(1e-5));
}

/// `(i % 7) * 1.3 + (i % 11) * 0.37 + 0.1`
fn images(sides: [usize; 4]) -> Tensor<4> {
    let values = (0..sides.iter().product()).map(|i| (i % 7) as f32 * 1.3 + (i % 11) as f32 * 0.37 + 0.1);
    Tensor::from_data(TensorData::new(values.collect::<Vec<f32>>(), sides), &device()).require_grad()
}

/// Values, and the gradient of the sum of `(i * i % 5) y_i`.
fn check(x: Tensor<4>, y: Tensor<4>, values: &[f32], gradient: &[f32]) {
    near(y.clone(), values);
    let count = values.len() as i64;
    let at = Tensor::<1, Int>::arange(0..count, &device());
    let weights = (at.clone() * at % 5).float().reshape(y.dims());
    near(x.grad(&(y * weights).sum().backward()).unwrap(), gradient);
}

#[test]
#[rustfmt::skip]
fn group_layer_and_instance_normalization_are_pytorchs() {
    // torch 2.15.0 in 64 bits. GroupNorm(2, 4) with weight [1, 0.5, 2, -1], bias [0, 1, -1, 0.5].
    let mut norm = GroupNormConfig::new(2, 4).init(&device());
    (norm.gamma, norm.beta) = (list(&[1.0, 0.5, 2.0, -1.0], &device()), list(&[0.0, 1.0, -1.0, 0.5], &device()));
    let x = images([2, 4, 1, 2]);
    check(x.clone(), norm.forward(x),
        &[-1.341639, -0.447213, 1.223606, 1.670819, -1.166692, 0.043639, -0.626985, 2.065458, -1.216821, 0.149291, 1.757701, 0.776064, 0.363967, 1.477818, 1.738909, 1.181984],
        &[-0.107118, 0.053558, 0.214234, -0.160674, 1.034043, 0.036919, -0.59783, -0.473131, 0.917536, -0.155879, 0.406768, -1.168424, 0.473132, -0.297921, 0.131177, -0.306388]);
    // LayerNorm([4, 1, 2]) with weight 0, 0.5, 1, …, bias 0, -0.25, -0.5, ….
    let mut norm = LayerNormConfig::new([4, 1, 2]).init(&device());
    let counted = || Tensor::<1, Int>::arange(0..8, &device()).float().reshape([4, 1, 2]);
    (norm.gamma, norm.beta) = (Param::from_tensor(counted() * 0.5), Param::from_tensor(counted() * -0.25));
    let x = images([2, 4, 1, 2]);
    check(x.clone(), norm.forward(x),
        &[-0.0, -0.720906, -0.924009, -0.60931, 0.223192, 1.573497, 3.441604, -4.047943, -0.0, -0.112197, 0.490578, -0.805389, 0.356092, 2.232544, -6.863894, -5.505475],
        &[-1.405342, -1.157369, 0.020788, 0.733852, -0.413452, -0.940633, 0.082494, 3.079662, -0.899965, -1.224369, -1.976901, -0.560864, 1.683492, 2.001277, 1.400089, -0.422759]);
    // InstanceNorm2d(2), and with affine=True, track_running_stats=True, weight [1, 0.5], bias [0, 1].
    let x = images([2, 2, 2, 2]);
    check(x.clone(), InstanceNormConfig::new(2).init(&device()).forward(x),
        &[-1.341639, -0.447213, 0.447213, 1.341639, -0.083346, 0.521819, 1.126985, -1.565458, -1.216821, 0.149291, 1.515402, -0.447872, 0.681984, 1.238909, -1.238909, -0.681984],
        &[-3e-06, -0.267793, 0.535586, -0.267789, -0.220588, -0.29688, 0.351578, 0.16589, 0.759556, -0.251296, 0.373914, -0.882174, 0.217171, -0.082067, 0.248812, -0.383916]);
    let mut norm = InstanceNormConfig::new(2).with_affine(true).with_momentum(Some(0.1)).init(&device());
    norm.affine = Some([list(&[1.0, 0.5], &device()), list(&[0.0, 1.0], &device())]);
    let x = images([2, 2, 2, 2]);
    check(x.clone(), norm.forward(x.clone()),
        &[-1.341639, -0.447213, 0.447213, 1.341639, 0.958327, 1.26091, 1.563492, 0.217271, -1.216821, 0.149291, 1.515402, -0.447872, 1.340992, 1.619455, 0.380545, 0.659008],
        &[-3e-06, -0.267793, 0.535586, -0.267789, -0.110294, -0.14844, 0.175789, 0.082945, 0.759556, -0.251296, 0.373914, -0.882174, 0.108586, -0.041034, 0.124406, -0.191958]);
    let norm = norm.valid();
    near(norm.forward(x.inner()),
        &[-0.29066, 1.213879, 2.718419, 4.222958, 3.18222, 3.771604, 4.360988, 1.738759, 3.547267, 5.051806, 6.556346, 4.394133, 3.249276, 3.838659, 1.216431, 1.805815]);
    // torch._weight_norm(v, [2, 3], 0)
    let v = images([2, 1, 2, 2]);
    check(v.clone(), weight_norm(v, Tensor::from_data([2.0, 3.0], &device())),
        &[0.031201, 0.552259, 1.073316, 1.594374, 1.34995, 1.682459, 2.014969, 0.535599],
        &[-0.027314, -0.171451, 0.308434, -0.147713, 0.034631, -0.204989, -0.046394, 0.731174]);
}

#[test]
fn one_group_is_the_layer_and_a_group_a_channel_the_instance() {
    let x = Tensor::<4>::random([3, 6, 4, 5], Distribution::Normal(1.0, 2.0), &Device::flex());
    let group = |groups| GroupNormConfig::new(groups, 6).init(&Device::flex()).forward(x.clone()).into_data();
    let tolerance = Tolerance::<f32>::absolute(1e-6);
    let layer = LayerNormConfig::new([6, 4, 5]).init(&Device::flex()).forward(x.clone());
    group(1).assert_approx_eq(&layer.into_data(), tolerance);
    let instance = InstanceNormConfig::new(6).init(&Device::flex()).forward(x.clone());
    group(6).assert_approx_eq(&instance.into_data(), tolerance);
}

#[test]
fn switchable_normalization_is_each_of_the_three_when_it_wants_to() {
    let x = Tensor::<4>::random([4, 3, 5, 5], Distribution::Normal(1.0, 2.0), &device());
    let alone: [Tensor<4>; 3] = [
        InstanceNormConfig::new(3).init(&device()).forward(x.clone()),
        LayerNormConfig::new([3, 5, 5]).init(&device()).forward(x.clone()),
        BatchNormConfig::new(3).init(&device()).forward(x.clone()),
    ];
    for (at, alone) in alone.into_iter().enumerate() {
        let mut norm = SwitchNormConfig::new(3).init(&device());
        // A softmax that is 1 to the last digit.
        let mut logits = [0.0f32; 3];
        logits[at] = 40.0;
        (norm.mean_weight, norm.var_weight) = (list(&logits, &device()), list(&logits, &device()));
        let y = norm.forward(x.clone());
        y.into_data().assert_approx_eq(&alone.into_data(), Tolerance::<f32>::absolute(2e-5));
    }
    // In evaluation the batch's statistics are the running ones: of one batch with momentum 1, its own.
    let norm = SwitchNormConfig::new(3).with_momentum(1.0).init(&device());
    let training = norm.forward(x.clone());
    let evaluation = norm.valid().forward(x.inner());
    evaluation.into_data().assert_approx_eq(&training.into_data(), Tolerance::<f32>::absolute(1e-5));
}

#[test]
fn a_folded_convolution_is_the_two() {
    let mut norm = BatchNormConfig::new(4).init(&device());
    (norm.gamma, norm.beta) =
        (list(&[1.0, 0.5, 2.0, -1.0], &device()), list(&[0.0, 1.0, -1.0, 0.5], &device()));
    norm.forward(Tensor::<4>::random([4, 4, 5, 5], Distribution::Normal(0.5, 2.0), &device()));
    let norm = norm.valid();
    let x = Tensor::<4>::random([2, 3, 6, 6], Distribution::Default, &Device::flex());
    for bias in [true, false] {
        let conv = Conv2dConfig::new([3, 4], [3, 3]).with_bias(bias).init(&Device::flex());
        let both = norm.forward(conv.forward(x.clone()));
        let alone = folded(&conv, &norm).forward(x.clone());
        alone.into_data().assert_approx_eq(&both.into_data(), Tolerance::<f32>::absolute(1e-5));
    }
}

#[test]
fn response_normalization_takes_the_papers_alpha_or_pytorchs() {
    // Krizhevsky's: one channel of 2 among five, 2 / (2 + 0.1 * 4)^0.75; PyTorch's: 2 / (2 + 0.1 * 4 / 5)^0.75.
    let x = Tensor::<4>::from_data([[[[0.0]], [[0.0]], [[2.0]], [[0.0]], [[0.0]]]], &Device::flex());
    let config = LocalResponseNormConfig::new(5).with_k(2.0);
    let middle = |config: LocalResponseNormConfig| {
        config.init().forward(x.clone()).narrow(1, 2, 1).into_scalar::<f64>()
    };
    let [paper, torch] = [middle(config.clone().with_alpha_of_sum(0.1)), middle(config.with_alpha(0.1))];
    assert!((paper - 2.0 / 2.4f64.powf(0.75)).abs() < 1e-6, "{paper}");
    assert!((torch - 2.0 / 2.08f64.powf(0.75)).abs() < 1e-6, "{torch}");
}
