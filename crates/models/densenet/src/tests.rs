use burn::module::{ModuleVisitor, Param};
use burn::store::{ModuleSnapshot, bridge};
use burn::tensor::{Distribution, Gradients};
use kiln_core::learnable_parameters;

use super::*;

#[test]
fn parameters_and_outputs_are_the_published_ones() {
    let device = Device::flex();
    // torchvision.models.densenet*, num_params.
    let rows = [
        (Depth::D121, 7_978_856),
        (Depth::D161, 28_681_000),
        (Depth::D169, 14_149_480),
        (Depth::D201, 20_013_928),
    ];
    for (depth, params) in rows {
        let network = DenseNetConfig::imagenet(depth, 1000).init(&device);
        assert_eq!(learnable_parameters(&network), params, "{depth:?}");
    }
    let network = DenseNetConfig::imagenet(Depth::D121, 1000).init(&device);
    assert_eq!(network.forward(Tensor::zeros([2, 3, 64, 64], &device)).dims(), [2, 1000]);
}

/// Parameters of a network of Table 2 by arithmetic: of a layer with `c` inputs and growth `k`, 2c + 9ck, or with the
/// bottleneck 2c + 4kc + 8k + 36kk.
#[test]
fn parameters_of_the_cifar_networks_are_those_of_table_2() {
    let device = Device::flex();
    // (L, k): Table 2 has 1.0 M, 7.0 M, 27.2 M; 0.8 M, 15.3 M, 25.6 M. Exactly, for 10 and for 100 classes:
    let rows = [
        (40, 12, Kind::Plain, 1_019_722, 448),
        (100, 12, Kind::Plain, 6_979_642, 1168),
        (100, 24, Kind::Plain, 27_249_082, 2320),
        (100, 12, Kind::Bc, 769_162, 342),
        (250, 24, Kind::Bc, 15_324_406, 1734),
        (190, 40, Kind::Bc, 25_624_430, 2190),
    ];
    for (depth, growth, kind, params, channels) in rows {
        let count = |classes| {
            learnable_parameters(&DenseNetConfig::cifar(depth, growth, kind, classes).init(&device))
        };
        assert_eq!(count(10), params, "{depth} {growth} {kind:?}");
        // 90 classes more, each with a weight for every channel and a bias.
        assert_eq!(count(100), params + 90 * (channels + 1), "{depth} {growth} {kind:?}");
    }
}

#[test]
fn features_have_the_channels_of_table_1_and_its_strides() {
    let device = Device::flex();
    let network = DenseNetConfig::imagenet(Depth::D121, 10).init(&device);
    let features = network.features(Tensor::zeros([1, 3, 224, 224], &device));
    // 64 + 6 * 32; 128 + 12 * 32; 256 + 24 * 32; 512 + 16 * 32.
    let rows = [(256, 56), (512, 28), (1024, 14), (1024, 7)];
    assert_eq!(features.len(), rows.len());
    for (feature, (channels, side)) in features.iter().zip(rows) {
        assert_eq!(feature.dims(), [1, channels, side, side]);
    }
    let network = DenseNetConfig::cifar(40, 12, Kind::Plain, 10).init(&device);
    let features = network.features(Tensor::zeros([1, 3, 32, 32], &device));
    // 16 + 12 * 12, then 144 more in each block.
    let rows = [(160, 32), (304, 16), (448, 8)];
    assert_eq!(features.len(), rows.len());
    for (feature, (channels, side)) in features.iter().zip(rows) {
        assert_eq!(feature.dims(), [1, channels, side, side]);
    }
}

#[test]
#[should_panic(expected = "depth 99 is not 6n + 4")]
fn a_depth_that_three_blocks_do_not_make_is_a_bug() {
    DenseNetConfig::cifar(99, 12, Kind::Bc, 10);
}

fn small(kind: Kind, stem: Stem) -> DenseNetConfig {
    let (drop_rate, activations) = (0.0, Activations::Keep);
    DenseNetConfig { growth: 4, blocks: vec![2, 3], kind, stem, num_classes: 10, drop_rate, activations }
}

/// The gradient of every learnable parameter, `None` where there is none.
struct GradientsOf<'a>(&'a Gradients, Vec<Option<TensorData>>);

impl ModuleVisitor for GradientsOf<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            self.1.push(param.val().grad(self.0).map(Tensor::into_data));
        }
    }
}

/// The loss and all gradients of a step whose output is multiplied with `factors`.
fn step(network: &DenseNet, images: &Tensor<4>, factors: &Tensor<2>) -> Vec<Option<TensorData>> {
    let loss = (network.forward(images.clone()) * factors.clone()).sum();
    let gradients = loss.clone().backward();
    let mut all = GradientsOf(&gradients, vec![Some(loss.into_data())]);
    network.visit(&mut all);
    all.1
}

#[test]
fn every_parameter_receives_a_gradient() {
    let device = Device::flex().autodiff();
    for config in [small(Kind::Plain, Stem::Cifar), small(Kind::Bc, Stem::ImageNet)] {
        for activations in [Activations::Keep, Activations::Recompute] {
            let config = DenseNetConfig { activations, drop_rate: 0.2, ..config.clone() };
            let images = Tensor::random([4, 3, 32, 32], Distribution::Normal(0.0, 1.0), &device);
            let factors = Tensor::random([4, 10], Distribution::Default, &device);
            for gradient in step(&config.init(&device), &images, &factors) {
                let gradient = gradient.unwrap_or_else(|| panic!("{config:?}"));
                assert!(gradient.iter::<f32>().any(|value| value != 0.0), "{config:?}");
            }
        }
    }
}

#[test]
fn recomputing_changes_no_loss_no_gradient_and_no_running_statistic() {
    let device = Device::flex().autodiff();
    for config in [small(Kind::Plain, Stem::Cifar), small(Kind::Bc, Stem::ImageNet)] {
        let keep = config.init(&device);
        let recompute = DenseNetConfig { activations: Activations::Recompute, ..config };
        let recompute = recompute.init(&device).load_record(keep.clone().into_record());
        let images = Tensor::random([4, 3, 32, 32], Distribution::Normal(0.0, 1.0), &device);
        let factors = Tensor::random([4, 10], Distribution::Default, &device);
        // Two steps, so that the second begins with statistics that the first has left.
        for _ in 0..2 {
            let [kept, recomputed] = [&keep, &recompute].map(|network| step(network, &images, &factors));
            assert_eq!(kept.len(), recomputed.len());
            for (kept, recomputed) in kept.into_iter().zip(recomputed) {
                recomputed.expect("a gradient").assert_eq(&kept.expect("a gradient"), true);
            }
        }
        let [kept, recomputed] = [&keep, &recompute].map(|network| network.valid().collect(None, None, true));
        assert_eq!(kept.len(), recomputed.len());
        for (kept, recomputed) in kept.into_iter().zip(recomputed) {
            assert_eq!(kept.name, recomputed.name);
            let [kept, recomputed] =
                [kept, recomputed].map(|tensor| bridge::into_data(tensor).expect("values"));
            recomputed.assert_eq(&kept, true);
        }
    }
}
