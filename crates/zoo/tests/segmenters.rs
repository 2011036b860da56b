//! What holds for every segmenter. What would take long is done at a reduced width.

#![allow(clippy::unwrap_used)]

use burn::optim::{AdamConfig, GradientsParams};
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::log_softmax;
use kiln_core::{LabelLogits, Network, without_gradient};
use kiln_deeplab::{
    DeepLabV2Config, DeepLabV3Config, DeepLabV3PlusConfig, DeepLabVggConfig, OutputStride, Rates,
};
use kiln_fcn::{FcnAlexNetConfig, FcnResNetConfig, FcnVggConfig, Version};
use kiln_graph::{Graph, Output};
use kiln_pspnet::PspNetConfig;
use kiln_resnet::Depth;
use kiln_segnet::SegNetConfig;
use kiln_unet::{Borders, UNetConfig};
use kiln_zoo::{Kind, REGISTRY, StateDict, find, load, load_partial, save};

const CLASSES: usize = 3;

/// Does something with a network of every kind, by the name of its row in the registry.
fn each(device: &Device, check: impl Check) {
    let num_classes = CLASSES;
    let unet = UNetConfig { width: 8, ..UNetConfig::new(num_classes) };
    let padded = UNetConfig { borders: Borders::Padded, batch_norm: true, dropout: 0.0, ..unet.clone() };
    check.of("unet", || unet.init(device));
    check.of("unet_bn", || padded.init(device));
    check.of("segnet", || SegNetConfig { num_classes, narrower: 8 }.init(device));
    for (name, version) in [
        ("fcn32s_vgg16", Version::S32),
        ("fcn16s_vgg16", Version::S16),
        ("fcn8s_vgg16", Version::S8),
        ("fcn8s_vgg16-at-once", Version::S8AtOnce),
    ] {
        check.of(name, || FcnVggConfig { version, num_classes, narrower: 8 }.init(device));
    }
    check.of("fcn_alexnet", || FcnAlexNetConfig { num_classes, narrower: 8 }.init(device));
    for (name, rates) in [("deeplabv1_vgg16", Rates::LargeFov), ("deeplabv2_vgg16", Rates::AsppL)] {
        check.of(name, || DeepLabVggConfig { rates, num_classes, narrower: 8 }.init(device));
    }
    let (depth, narrower) = (Depth::D50, 8);
    check.of("deeplabv2_resnet101", || DeepLabV2Config { depth, num_classes, narrower }.init(device));
    let depth = Depth::D18;
    check.of("fcn_resnet50", || FcnResNetConfig { depth, num_classes, narrower }.init(device));
    check.of("pspnet_resnet50", || PspNetConfig { depth, num_classes, narrower }.init(device));
    for (name, output_stride) in
        [("deeplabv3_resnet50", OutputStride::S8), ("deeplabv3_resnet50-os16", OutputStride::S16)]
    {
        let config = DeepLabV3Config { depth, output_stride, num_classes, narrower };
        check.of(name, || config.init(device));
    }
    for (name, output_stride) in
        [("deeplabv3plus_resnet18", OutputStride::S16), ("deeplabv3plus_resnet18-os8", OutputStride::S8)]
    {
        let config = DeepLabV3PlusConfig { depth, output_stride, num_classes, narrower };
        check.of(name, || config.init(device));
    }
}

/// One thing to find out of networks of several types.
trait Check {
    fn of<N: Network<Output = LabelLogits>>(&self, name: &str, network: impl Fn() -> N);
}

/// Two images: a bright square before darkness with a grey bar below it, and their mirror image. What is where is a class.
fn batch([height, width]: [usize; 2], device: &Device) -> (Tensor<4>, Tensor<4>) {
    let noise = Tensor::random([1, CLASSES, height, width], Distribution::Normal(0.0, 0.1), device);
    let class = |index: usize| {
        let (mut pixels, y) = (Vec::new(), |row: usize| row * 8 / height);
        for (row, column) in (0..height).flat_map(|row| (0..width).map(move |column| (row, column))) {
            let here = match (y(row), column * 8 / width) {
                (1..=3, 1..=4) => 1,
                (6.., _) => 2,
                _ => 0,
            };
            pixels.push(if here == index { 1.0f32 } else { 0.0 });
        }
        Tensor::<4>::from_data(TensorData::new(pixels, [1, 1, height, width]), device)
    };
    let targets = Tensor::cat((0..CLASSES).map(class).collect(), 1);
    let brightness = Tensor::<1>::from_floats([-1.0, 1.0, 0.2], device).reshape([1, CLASSES, 1, 1]);
    let image = (targets.clone() * brightness).sum_dim(1).expand([1, 3, height, width]) + noise;
    let both = |x: Tensor<4>| Tensor::cat(vec![x.clone(), x.flip([3])], 0);
    (both(image), both(targets))
}

/// The mean cross-entropy of pixels, of the auxiliary heads weighed by 0.4.
fn loss(said: LabelLogits, targets: &Tensor<4>) -> Tensor<1> {
    let [batch, _, height, width] = targets.dims();
    let pixels = (batch * height * width) as f64;
    let one = |logits: Tensor<4>| (log_softmax(logits, 1) * targets.clone()).sum() / -pixels;
    said.auxiliary.into_iter().fold(one(said.main), |sum, logits| sum + one(logits) * 0.4)
}

/// In which a network has to learn; most need 10 or 20.
const STEPS: usize = 80;

struct Learns;

impl Check for Learns {
    fn of<N: Network<Output = LabelLogits>>(&self, name: &str, network: impl Fn() -> N) {
        let device = Device::flex().autodiff();
        device.seed(7);
        let mut network = network().materialize();
        let (images, targets) = batch([48, 40], &device);
        let mut optimizer = AdamConfig::new().init();
        let mut losses = Vec::new();
        while losses.len() < STEPS && !losses.last().is_some_and(|last| *last < 0.6 * losses[0]) {
            let loss = loss(network.forward_train(images.clone()), &targets);
            losses.push(loss.clone().into_scalar::<f32>());
            let gradients = loss.backward();
            // At the first step scores of zero let nothing through.
            if losses.len() == 2 {
                assert_eq!(without_gradient(&network, &gradients), Vec::<String>::new(), "{name}");
            }
            let gradients = GradientsParams::from_grads(gradients, &network);
            network = optimizer.step(1.5e-3, network, gradients);
        }
        println!("{name}: {} steps", losses.len());
        assert!((3..STEPS).contains(&losses.len()), "{name}: {losses:?}");
    }
}

#[test]
fn every_segmenter_learns_two_images_and_every_parameter_of_it() {
    each(&Device::flex().autodiff(), Learns);
}

struct Sizes;

impl Check for Sizes {
    fn of<N: Network<Output = LabelLogits>>(&self, name: &str, network: impl Fn() -> N) {
        let network = network();
        for [height, width] in [[64, 48], [33, 57], [71, 16]] {
            let images = Tensor::zeros([2, 3, height, width], &Device::flex());
            let said = network.forward_train(images.clone());
            for logits in [said.main.clone()].into_iter().chain(said.auxiliary) {
                assert_eq!(logits.dims(), [2, CLASSES, height, width], "{name}");
            }
            let main = network.forward(images).main;
            assert!(
                main.into_data() == said.main.into_data(),
                "{name}: the auxiliary head changes the answer"
            );
        }
    }
}

#[test]
fn labels_have_the_size_of_the_images_whatever_it_is() {
    each(&Device::flex(), Sizes);
}

struct Saved;

impl Check for Saved {
    fn of<N: Network<Output = LabelLogits>>(&self, name: &str, network: impl Fn() -> N) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("w.safetensors");
        let first = network();
        save(&first, None, &file).unwrap();
        let dict = StateDict::read(&file).unwrap();
        let entry = find(name).unwrap();
        // The names that belong to a number of classes are there, and the first tells it.
        assert_eq!(dict.classes(entry), Some(CLASSES), "{name}");
        for key in entry.classifier_keys() {
            let of_layer = |tensor: &&String| tensor.starts_with(&*key);
            let optional = key.starts_with("skips.") || key.starts_with("branches.");
            assert!(optional || dict.tensors.keys().any(|tensor| of_layer(&tensor)), "{name}: {key}");
        }
        let second = load(network(), entry, dict, &file).unwrap();
        let images = Tensor::random([1, 3, 48, 40], Distribution::Default, &Device::flex());
        let [first, second] = [first.forward(images.clone()).main, second.forward(images).main];
        assert!(first.into_data() == second.into_data(), "{name}");
    }
}

#[test]
fn saved_and_loaded_weights_give_the_same_labels_bit_for_bit() {
    each(&Device::flex(), Saved);
}

#[test]
fn every_segmenter_takes_the_images_it_was_published_for() {
    for entry in REGISTRY.iter().filter(|entry| entry.kind() == Kind::Segmenter) {
        let mut dims = Vec::new();
        let [_, _, height, width] = entry.input();
        let build = |device: &Device| entry.segmenter(entry.num_classes(), device).unwrap();
        let graph = Graph::record(entry.input(), build, |network, images| {
            let said = network.forward_train(images);
            let all: Vec<_> = [said.main].into_iter().chain(said.auxiliary).collect();
            dims.extend(all.iter().map(|logits| logits.dims()));
            all.iter().map(|logits| Output::new("logits", logits)).collect()
        });
        let macs = graph.unwrap().cost().macs;
        assert!(dims.iter().all(|dims| *dims == [1, entry.num_classes(), height, width]), "{}", entry.name);
        // torchvision's `_ops` of the weights' metadata, in billions, at 520x520 and with the auxiliary head.
        let published = [
            ("fcn_resnet50", 152.717),
            ("fcn_resnet101", 232.738),
            ("deeplabv3_resnet50", 178.722),
            ("deeplabv3_resnet101", 258.743),
        ];
        if let Some((name, billions)) = published.iter().find(|(name, _)| *name == entry.name) {
            assert_eq!(format!("{:.3}", macs as f64 / 1e9), format!("{billions:.3}"), "{name}");
        }
    }
}

#[test]
fn a_segmenter_takes_what_it_stands_on_of_a_classifiers_file() {
    let (device, folder) = (Device::flex(), tempfile::tempdir().unwrap());
    let file = folder.path().join("classifier.safetensors");
    // A ResNet's weights have `backbone.` before their names, and its linear layer has no place.
    let resnet = find("resnet18").unwrap();
    save(&resnet.init(1000, &device), None, &file).unwrap();
    let theirs = StateDict::read(&file).unwrap();
    let entry = find("deeplabv3plus_resnet18").unwrap();
    let (network, misfit) =
        load_partial(entry.model(CLASSES, &device), entry, theirs.clone(), &file).unwrap();
    assert_eq!(misfit.unused, ["fc.bias", "fc.weight"]);
    assert!(misfit.missing.iter().all(|(name, _)| name.starts_with("classifier.")), "{misfit}");
    save(&network, None, &file).unwrap();
    let ours = StateDict::read(&file).unwrap();
    for (name, tensor) in theirs.tensors.iter().filter(|(name, _)| !name.starts_with("fc.")) {
        assert!(ours.tensors[&format!("backbone.{name}")] == *tensor, "{name}");
    }

    // VGG's linear layers are convolutions here, of the same numbers in the same order.
    let entry = find("fcn32s_vgg16").unwrap().narrowed(8).unwrap();
    save(&entry.model(CLASSES, &device), None, &file).unwrap();
    let convolutions = StateDict::read(&file).unwrap();
    let mut vgg = convolutions.clone();
    for (ours, theirs, shape) in [
        ("fc6.weight", "classifier.0.weight", vec![512, 64 * 49]),
        ("fc7.weight", "classifier.3.weight", vec![512, 512]),
    ] {
        let (_, values) = vgg.tensors.remove(ours).unwrap();
        vgg.tensors.insert(theirs.to_string(), (shape, values));
    }
    let (network, misfit) = load_partial(entry.model(CLASSES, &device), &entry, vgg, &file).unwrap();
    assert!(misfit.is_empty(), "{misfit}");
    save(&network, None, &file).unwrap();
    assert!(StateDict::read(&file).unwrap().tensors == convolutions.tensors);
}
