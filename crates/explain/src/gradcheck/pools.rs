//! Pools and dropout.

use kiln_core::BoundingBox;
use kiln_nn::*;

use super::layers::{module, of};
use super::{Check, Group, apart, input};

const SIDES: [usize; 4] = [2, 3, 5, 6];

pub(super) fn pools() -> Vec<Check> {
    let group = Group::Pool;
    let window = |name: &str, reduce: Reduce| {
        let config = WindowPool2dConfig::new(reduce, [2, 3]).with_strides([2, 1]);
        of(group, name, apart, SIDES, move |x| config.init().forward(x * 0.2))
    };
    let regions = || {
        let region = |image, edges| Region { image, bounding_box: BoundingBox::from_xyxy(edges) };
        [region(0, [0.4, 0.7, 9.2, 8.1]), region(1, [3.2, -2.0, 12.0, 6.0])]
    };
    let aligned = Align { scale: 0.5, points: Some(2), aligned: true };
    vec![
        of(group, "max-pool", apart, SIDES, |x| max_pool(2, 2).init().forward(x)),
        of(group, "max-pool-overlapping", apart, SIDES, |x| {
            max_pool(3, 2).with_ceil_mode(true).init().forward(x)
        }),
        of(group, "average-pool", input, SIDES, |x| {
            AvgPool2dConfig::new([3, 2]).with_padding(padded(1)).init().forward(x)
        }),
        of(group, "average-pool-of-pixels", input, SIDES, |x| {
            AvgPool2dConfig::new([3, 2])
                .with_padding(padded(1))
                .with_count_include_pad(false)
                .init()
                .forward(x)
        }),
        of(group, "adaptive-average-pool", input, SIDES, |x| {
            AdaptiveAvgPool2dConfig::new([3, 4]).init().forward(x)
        }),
        of(group, "adaptive-max-pool", apart, SIDES, |x| {
            AdaptiveMaxPool2dConfig::new([3, 4]).init().forward(x)
        }),
        of(group, "global-average", input, SIDES, global_average),
        of(group, "global-max", apart, SIDES, global_max),
        window("sum-pool", Reduce::Sum),
        window("mixed-pool", Reduce::Mixed { share: 0.3 }),
        window("soft-pool", Reduce::Soft),
        window("norm-pool", Reduce::Norm { p: 3.0 }),
        window("power-average-pool", Reduce::PowerAverage { p: 2.0 }),
        window("log-sum-exp-pool", Reduce::LogSumExp { r: 2.0 }),
        module(
            group,
            "mixed-pool-learned",
            SIDES,
            |device| MixedPool2dConfig::new([2, 2]).init(device),
            MixedPool2d::forward,
        ),
        module(
            group,
            "gated-pool",
            SIDES,
            |device| GatedPool2dConfig::new([2, 2]).init(device),
            GatedPool2d::forward,
        ),
        module(
            group,
            "gem",
            SIDES,
            |device| GemPoolConfig::new().init(device),
            |pool, x| pool.forward(x.abs()),
        ),
        of(group, "mixed-pool-drawn", apart, SIDES, |x| {
            RandomMixedPool2dConfig::new([2, 2]).init().forward(x, &mut Draws::new(3))
        }),
        of(group, "windows", input, SIDES, |x| windows(x, [2, 3], [2, 1])),
        of(group, "unit-length", input, [3, 4], unit_length),
        of(group, "stochastic-pool", apart, SIDES, |x| {
            // A step so small changes nothing of what is drawn.
            StochasticPool2dConfig::new([2, 2]).init().forward(x, &mut Draws::new(3))
        }),
        of(group, "pyramid-pool", apart, SIDES, |x| pyramid_pool(x, &[2, 1])),
        of(group, "roi-pool", apart, SIDES, move |x| roi_pool(x, &regions(), [2, 2], 0.5)),
        of(group, "roi-align", input, SIDES, move |x| roi_align(x, &regions(), [2, 2], aligned)),
        of(group, "crow", apart, SIDES, |x| crow(x * 0.1)),
        of(group, "r-mac", apart, SIDES, |x| r_mac(x, 2)),
        of(group, "max-unpool", apart, SIDES, |x| {
            let (y, places) = max_pool(2, 2).init().forward_with_places(x);
            max_unpool(y, places, [5, 6])
        }),
    ]
}

pub(super) fn dropouts() -> Vec<Check> {
    let group = Group::Dropout;
    let part = |name: &str, part: Part| {
        let config = PartDropoutConfig::new(0.4).with_part(part);
        of(group, name, input, [3, 4, 5], move |x| config.init().forward(x, &mut Draws::new(1)))
    };
    vec![
        part("dropout", Part::Value),
        part("spatial-dropout", Part::Channel),
        part("drop-path", Part::Sample),
        part("locked-dropout", Part::Feature),
        of(group, "gaussian-dropout", input, [3, 4, 5], |x| {
            GaussianDropoutConfig::new(0.3).init().forward(x, &mut Draws::new(1))
        }),
        of(group, "drop-block", input, SIDES, |x| {
            DropBlock2dConfig::new(0.3).with_block(2).init().forward(x, &mut Draws::new(1))
        }),
        of(group, "cutout", input, SIDES, |x| cutout(x, 3, &mut Draws::new(1))),
        of(group, "max-drop", apart, SIDES, |x| max_drop(x, 0.5, Among::Channel, &mut Draws::new(1))),
        of(group, "max-pool-dropout", apart, SIDES, |x| {
            MaxPoolDropout2dConfig::new(0.4, [2, 2]).init().forward(x, &mut Draws::new(1))
        }),
        of(group, "zoneout", input, [3, 6], |x| zoneout(x.clone() * 0.5, x, 0.3, &mut Draws::new(1))),
        module(
            group,
            "drop-connect",
            [3, 4],
            |device| DropConnectConfig::new(4, 5).with_activation(Activation::Tanh).init(device),
            |layer, x| layer.forward(x, &mut Draws::new(1)),
        ),
        module(
            group,
            "standout",
            [3, 4],
            |device| StandoutConfig::new(4, 5).with_activation(Activation::Tanh).init(device),
            |layer, x| layer.forward(x, &mut Draws::new(1)),
        ),
        of(group, "variational-gain", input, [3, 4], variational_gain),
        of(group, "sparse-gain", input, [3, 4], sparse_gain),
        of(group, "doubt", apart, [3, 2, 4], |p| {
            let doubt = doubt(p * 1.3);
            doubt.entropy + doubt.disagreement * 2.0
        }),
        module(
            group,
            "variational",
            [3, 4],
            |device| VariationalLinearConfig::new(4, 5).with_log_variance(-2.0).init(device),
            |layer, x| layer.forward(x, &mut Draws::new(1)),
        ),
        module(
            group,
            "variational-divergence",
            [3, 4],
            |device| VariationalLinearConfig::new(4, 5).with_log_variance(-2.0).init(device),
            |layer, x| layer.divergence() + layer.linear.forward(x).mean(),
        ),
        module(
            group,
            "concrete-dropout",
            [3, 8],
            |device| ConcreteDropoutConfig::new().with_temperature(0.5).init(device),
            |layer, x| layer.forward(x, &mut Draws::new(1)),
        ),
    ]
}
