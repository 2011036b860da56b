//! Activations, layers and normalizations.

use std::f64::consts::PI;

use burn::module::{Module, Param};
use burn::prelude::*;
use kiln_kernels::Then;
use kiln_nn::*;

use super::{Check, Found, Group, check, check_held, input};

/// A check of one tensor function.
pub(super) fn of<const D: usize, const E: usize>(
    group: Group,
    name: impl Into<String>,
    x: fn([usize; D], &Device) -> Param<Tensor<D>>,
    sides: [usize; D],
    function: impl Fn(Tensor<D>) -> Tensor<E> + 'static,
) -> Check {
    Check::new(group, name, move |device| check(x(sides, device), device, |x| function(x.val())))
}

/// A check of a module and its input.
pub(super) fn module<M: Module, const D: usize, const E: usize>(
    group: Group,
    name: &str,
    sides: [usize; D],
    init: impl Fn(&Device) -> M + 'static,
    forward: impl Fn(&M, Tensor<D>) -> Tensor<E> + 'static,
) -> Check {
    Check::new(group, name, move |device| -> Found {
        // Fresh weights are the device's.
        device.seed(17);
        let x = input(sides, device);
        check((init(device), x), device, |(module, x)| forward(module, x.val()))
    })
}

/// A check of steps, whose slopes are by design not those of their values, but of a smooth function.
fn surrogate(name: &str, surrogate: Surrogate, smooth: impl Fn(Tensor<2>) -> Tensor<2> + 'static) -> Check {
    Check::new(Group::Activation, name, move |device| {
        let steps = |x: &Param<Tensor<2>>| {
            surrogate_step(x.val(), surrogate) + surrogate_sign(x.val(), surrogate) * 2.0
        };
        check_held(input([4, 6], device), device, steps, |moved, _| smooth(moved.val()) * 3.0)
    })
}

pub(super) fn activations() -> Vec<Check> {
    let group = Group::Activation;
    let named = Activation::TABLE.into_iter().chain(Activation::OTHERS);
    let mut all: Vec<Check> = named
        .map(|activation| {
            let name = activation.name().to_lowercase().replace(' ', "-");
            // Off the kinks at whole numbers, and at 2.5 of the hard sigmoid.
            let x = |sides, device: &Device| {
                let x = input(sides, device).into_value();
                Param::from_tensor((x * 8.0).round() / 8.0 + 0.03)
            };
            let mut check = of(group, name, x, [4, 12], move |x| activation.forward(x));
            if activation == Activation::Gelu {
                // Burn's error function has six digits, of which differences make fewer.
                check.bounds = [1e-5, 1e-4];
            }
            check
        })
        .collect();
    all.push(module(
        group,
        "prelu-learned",
        [2, 3, 4],
        |device| PReluConfig::new().with_num_parameters(3).init(device),
        PRelu::forward,
    ));
    all.push(module(
        group,
        "srelu-learned",
        [2, 3, 4],
        |device| SReluConfig::new(3).with_left(-0.51).with_right(0.77).init(device),
        SRelu::forward,
    ));
    all.push(of(group, "rrelu-drawn", input, [3, 8], |x| {
        RReluConfig::new().init().forward(x, &mut Draws::new(1))
    }));
    all.push(of(group, "glu", input, [2, 4, 3], glu));
    all.extend([
        surrogate("straight-through", Surrogate::Identity, |x| x),
        surrogate("straight-through-clipped", Surrogate::Clipped, |x| Activation::HardTanh.forward(x)),
        surrogate("surrogate-arctan", Surrogate::ArcTan, |x| (x * PI).atan() / PI),
        surrogate("surrogate-sigmoid", Surrogate::Sigmoid(3.0), |x| ((x * -3.0).exp() + 1.0).recip()),
        surrogate("surrogate-triangle", Surrogate::Triangle, |x| {
            let x = x.clamp(-1.0, 1.0);
            x.clone() - x.clone() * x.abs() / 2.0
        }),
    ]);
    all.push(of(group, "maxout", super::apart, [2, 4, 3], |x| maxout(x, 2)));
    all
}

pub(super) fn layers() -> Vec<Check> {
    let group = Group::Layer;
    let conv = |name: &str, sides: [usize; 4], config: Conv2dConfig| {
        module(group, name, sides, move |device| config.init(device), Conv2d::forward)
    };
    let transposed = |name: &str, config: ConvTranspose2dConfig| {
        module(group, name, [2, 3, 4, 3], move |device| config.init(device), ConvTranspose2d::forward)
    };
    vec![
        conv("conv", [2, 3, 7, 6], Conv2dConfig::new([3, 4], [3, 2])),
        conv("conv-1x1", [2, 5, 4, 4], Conv2dConfig::new([5, 6], [1, 1])),
        conv(
            "conv-strided",
            [2, 3, 8, 7],
            Conv2dConfig::new([3, 4], [3, 3]).with_stride([2, 3]).with_padding(padded(1)),
        ),
        conv("conv-dilated", [2, 3, 9, 8], dilated([3, 4], 2)),
        conv("conv-grouped", [2, 6, 6, 6], Conv2dConfig::new([6, 4], [3, 3]).with_groups(2)),
        conv(
            "conv-depthwise",
            [2, 6, 7, 6],
            Conv2dConfig::new([6, 6], [3, 3]).with_groups(6).with_padding(padded(1)),
        ),
        conv("conv-1x1-strided", [2, 5, 5, 4], Conv2dConfig::new([5, 6], [1, 1]).with_stride([2, 2])),
        conv(
            "conv-depthwise-strided",
            [2, 6, 7, 6],
            Conv2dConfig::new([6, 6], [3, 3]).with_groups(6).with_stride([2, 2]).with_padding(padded(1)),
        ),
        conv("conv-depthwise-multiplied", [2, 4, 5, 6], Conv2dConfig::new([4, 8], [3, 3]).with_groups(4)),
        // Enough channels and tiles for Winograd's transforms.
        conv("conv-winograd", [1, 16, 28, 28], Conv2dConfig::new([16, 16], [3, 3]).with_padding(padded(1))),
        module(
            group,
            "conv-separable",
            [2, 3, 6, 6],
            |device| SeparableConv2dConfig::new([3, 4], [3, 3]).init(device),
            SeparableConv2d::forward,
        ),
        module(
            group,
            "conv-local",
            [2, 2, 5, 4],
            |device| LocallyConnected2dConfig::new([2, 3], [5, 4], 3).with_padding(1).init(device),
            LocallyConnected2d::forward,
        ),
        transposed(
            "conv-transposed",
            ConvTranspose2dConfig::new([3, 2], [3, 3]).with_stride([2, 2]).with_padding([1, 1]),
        ),
        transposed("conv-transposed-squares", ConvTranspose2dConfig::new([3, 2], [2, 2]).with_stride([2, 2])),
        transposed(
            "conv-transposed-grouped",
            ConvTranspose2dConfig::new([3, 6], [3, 2])
                .with_groups(3)
                .with_stride([2, 3])
                .with_dilation([2, 1])
                .with_padding_out([1, 0]),
        ),
        module(
            group,
            "linear-without-bias",
            [4, 7],
            |device| LinearConfig::new(7, 5).with_bias(false).init(device),
            Linear::forward,
        ),
        module(group, "linear", [4, 7], |device| LinearConfig::new(7, 5).init(device), Linear::forward),
        module(
            group,
            "conv-norm-relu",
            [4, 3, 6, 5],
            |device| (kiln_nn::conv([3, 4], 3, 1).init(device), BatchNormConfig::new(4).init(device)),
            |(conv, norm), x| conv_norm_relu(conv, norm, x),
        ),
        module(
            group,
            "conv-norm",
            [4, 3, 6, 5],
            |device| (kiln_nn::conv([3, 4], 3, 2).init(device), BatchNormConfig::new(4).init(device)),
            |(conv, norm), x| conv_norm(conv, norm, x),
        ),
        module(
            group,
            "conv-norm-add-relu",
            [4, 3, 6, 5],
            |device| (kiln_nn::conv([3, 3], 3, 1).init(device), BatchNormConfig::new(3).init(device)),
            |(conv, norm), x| conv_norm_add_relu(conv, norm, x.clone(), x),
        ),
        module(
            group,
            "conv-relu",
            [2, 3, 7, 6],
            |device| Conv2dConfig::new([3, 4], [3, 2]).init(device),
            conv_relu,
        ),
        module(
            group,
            "norm-relu-conv",
            [4, 3, 6, 5],
            |device| (BatchNormConfig::new(6).init(device), kiln_nn::conv([6, 4], 3, 1).init(device)),
            |(norm, conv), x| norm_relu_conv(norm, conv, vec![x.clone(), x * 2.0]),
        ),
        of(group, "add", input, [2, 3, 4, 4], |x| add(x.clone(), x * 0.5)),
        of(group, "add-relu", input, [2, 3, 4, 4], |x| add_relu(x.clone(), x * 0.5)),
        of(group, "cat-channels", input, [2, 3, 4, 4], |x| cat_channels(vec![x.clone(), x * 2.0])),
        of(group, "cat-channels-many", input, [2, 1, 3, 2], |x| {
            // More than are joined at once.
            cat_channels((1..=70).map(|times| x.clone() * (times as f64 / 70.0)).collect())
        }),
        of(group, "halves", input, [2, 4, 3, 3], |x| {
            let [a, b] = halves(x);
            a * b
        }),
        of(group, "interleave", input, [2, 3, 4, 4], |x| interleave(x.clone(), x * 3.0)),
        of(group, "nearest", input, [2, 3, 3, 4], |x| nearest(x, 2)),
        of(group, "bilinear", input, [2, 3, 4, 5], |x| bilinear(x, [7, 3], Corners::Edges)),
        of(group, "bilinear-corners", input, [2, 3, 4, 5], |x| bilinear(x, [7, 3], Corners::Centres)),
        of(group, "pixel-shuffle", input, [2, 8, 3, 2], |x| pixel_shuffle(x, 2)),
        of(group, "pixel-unshuffle", input, [2, 2, 4, 6], |x| pixel_unshuffle(x, 2)),
        of(group, "sobel-magnitude", input, [1, 2, 5, 6], |x| {
            image_gradients(x, Difference::Sobel, Border::Reflect).magnitude()
        }),
        of(group, "sobel-magnitude-l1", input, [1, 2, 5, 6], |x| {
            image_gradients(x, Difference::Sobel, Border::Zeros).magnitude_l1()
        }),
        of(group, "sobel-direction", super::apart, [1, 1, 5, 6], |x| {
            image_gradients(x, Difference::Sobel, Border::Valid).direction()
        }),
        of(group, "laplacian", input, [1, 2, 5, 6], |x| laplacian(x, Neighbours::Eight, Border::Replicate)),
        of(group, "grey", input, [2, 3, 3, 3], grey),
    ]
}

pub(super) fn norms() -> Vec<Check> {
    let group = Group::Norm;
    let sides = [4, 4, 3, 2];
    vec![
        module(group, "batch-norm", sides, |device| BatchNormConfig::new(4).init(device), BatchNorm::forward),
        module(
            group,
            "batch-norm-relu",
            sides,
            |device| BatchNormConfig::new(4).init(device),
            BatchNorm::forward_relu,
        ),
        module(
            group,
            "batch-norm-add-relu",
            sides,
            |device| BatchNormConfig::new(4).init(device),
            |norm, x| norm.forward_add_relu(x.clone(), x),
        ),
        module(
            group,
            "layer-norm",
            sides,
            |device| LayerNormConfig::new([4, 3, 2]).init(device),
            LayerNorm::forward,
        ),
        module(
            group,
            "group-norm",
            sides,
            |device| GroupNormConfig::new(2, 4).init(device),
            GroupNorm::forward,
        ),
        module(
            group,
            "instance-norm",
            sides,
            |device| InstanceNormConfig::new(4).with_affine(true).init(device),
            InstanceNorm::forward,
        ),
        module(
            group,
            "switch-norm",
            sides,
            |device| SwitchNormConfig::new(4).init(device),
            SwitchNorm::forward,
        ),
        Check::new(group, "batch-norm-frozen", |device| {
            let learned = (input([4, 4, 3, 2], device), input([4], device), input([4], device));
            check(learned, device, |(x, gamma, beta)| {
                let x = x.val();
                let given = |numbers: [f64; 4]| Tensor::from_data(numbers, (&x.device(), x.dtype()));
                let statistics = [given([0.3, -0.2, 0.1, 0.0]), given([1.4, 0.6, 0.9, 2.1])];
                let affine = [gamma.val(), beta.val()];
                kiln_kernels::batch_norm(x.clone(), affine, statistics, Then::Relu, 1e-5)
            })
        }),
        of(group, "response-norm", input, [2, 6, 2, 3], |x| {
            LocalResponseNormConfig::new(5).with_alpha(0.5).init().forward(x)
        }),
        of(group, "weight-norm", input, [3, 2, 3, 3], |v| {
            let g = v.clone().reshape([3, 18]).narrow(1, 0, 1).reshape([3]);
            weight_norm(v, g)
        }),
    ]
}
