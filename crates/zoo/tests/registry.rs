//! What holds for every model of the registry.

#![allow(clippy::unwrap_used)]

use burn::prelude::*;
use burn::tensor::Distribution;
use kiln_core::{Network, learnable_parameters, without_gradient};
use kiln_zoo::{Entry, REGISTRY, StateDict, find, load, save};

/// Learnable numbers of a model, without GoogLeNet's auxiliary classifiers, as torchvision counts.
fn parameters(entry: &Entry, device: &Device) -> usize {
    let network = entry.model(entry.num_classes(), device);
    let all = learnable_parameters(&network);
    if entry.family() != "GoogLeNet" {
        return all;
    }
    let shapes = kiln_zoo::shapes(&network);
    let auxiliary = shapes.iter().filter(|(name, _)| name.starts_with("aux") && !name.contains("running_"));
    all - auxiliary.map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>()
}

#[test]
fn every_model_has_its_published_parameters() {
    let device = Device::flex();
    for entry in REGISTRY {
        assert_eq!(parameters(entry, &device), entry.params, "{}", entry.name);
    }
}

#[test]
fn names_are_written_once() {
    for (index, entry) in REGISTRY.iter().enumerate() {
        assert!(REGISTRY[..index].iter().all(|other| other.name != entry.name), "{}", entry.name);
        assert_eq!(find(&entry.name).unwrap().params, entry.params);
    }
}

/// A model of every kind of block, and the side of its images here; the larger ones repeat them.
const SMALL: [(&str, usize); 19] = [
    ("alexnet", 95),
    ("alexnet-2012", 95),
    ("cifar10-vgg11_bn", 32),
    ("vgg11", 32),
    ("googlenet", 64),
    ("googlenet-2014", 224), // Its auxiliary heads are made for no other side.
    ("resnet18", 64),
    ("resnet50", 64),
    ("resnet50-v1", 64),
    ("resnext50_32x4d", 64),
    ("resnetv2_50", 64),
    ("cifar10-resnet18", 16),
    ("cifar10-resnet20", 32),
    ("cifar10-resnet20-b", 32),
    ("cifar10-resnetv2-164", 16),
    ("densenet121", 64),
    ("cifar10-densenet-40-12", 16),
    ("cifar10-densenetbc-100-12", 16),
    ("cifar10-shufflenet_v2_x0_5", 32),
];

#[test]
fn every_parameter_receives_a_gradient() {
    let device = Device::flex().autodiff();
    for (name, side) in SMALL {
        let network = find(name).unwrap().init(10, &device);
        let images = Tensor::random([4, 3, side, side], Distribution::Normal(0.0, 1.0), &device);
        let logits = network.forward_train(images);
        let all = std::iter::once(logits.main).chain(logits.auxiliary).reduce(|sum, one| sum + one).unwrap();
        assert_eq!(all.dims(), [4, 10], "{name}");
        let gradients = (all * Tensor::random([4, 10], Distribution::Default, &device)).sum().backward();
        let without = without_gradient(&network, &gradients);
        assert_eq!(without, Vec::<String>::new(), "{name}: parameters without a gradient");
    }
}

#[test]
fn saved_and_loaded_weights_give_the_same_output_bit_for_bit() {
    let device = Device::flex();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.safetensors");
    for (name, side) in SMALL {
        let entry = find(name).unwrap();
        let network = entry.init(7, &device);
        let preprocessing = entry.preprocessing(&StateDict::default(), &file);
        save(&network, Some(preprocessing.clone()), &file).unwrap();
        let dict = StateDict::read(&file).unwrap();
        assert_eq!(dict.preprocessing, Some(preprocessing), "{name}");
        let loaded = load(entry.init(7, &device), entry, dict, &file).unwrap();
        let images = Tensor::random([1, 3, side, side], Distribution::Default, &device);
        let [ours, theirs] = [network.forward(images.clone()).main, loaded.forward(images).main];
        assert!(ours.into_data() == theirs.into_data(), "{name}");
    }
}

/// Of the reference's floating-point state dict: entries, and the FNV-1a hash of the sorted lines `name [shape]`. From
/// torchvision 0.29.2 (GoogLeNet with `aux_logits=True`, segmenters with `aux_loss=True`) and timm 1.0.31:
///
/// ```python
/// rows = sorted(f"{k} {list(v.shape)}\n" for k, v in model.state_dict().items() if v.is_floating_point())
/// print(len(rows), hex(fnv1a64("".join(rows))))
/// ```
const KEYS: [(&str, usize, u64); 35] = [
    ("alexnet", 16, 0x8AEF_27C5_A301_D050),
    ("vgg11", 22, 0x288D_104A_E091_EE95),
    ("vgg11_bn", 54, 0x2CB7_05FC_D527_6415),
    ("vgg13", 26, 0x202F_819E_D780_229C),
    ("vgg13_bn", 66, 0x524F_736B_7E3A_2262),
    ("vgg16", 32, 0xC289_28E3_9D00_7D16),
    ("vgg16_bn", 84, 0x6368_E90F_C807_17FB),
    ("vgg19", 38, 0x36D3_3BF2_95DF_503E),
    ("vgg19_bn", 102, 0x1D6A_738F_8088_1BCC),
    ("googlenet", 305, 0x4BB5_6CDD_8102_6599),
    ("resnet18", 102, 0x18B0_56AA_6AA6_FEA6),
    ("resnet34", 182, 0xD3F2_0FB1_A6EB_EC98),
    ("resnet50", 267, 0xD296_B015_CAAE_1553),
    ("resnet101", 522, 0x53DE_BE43_3849_4EAE),
    ("resnet152", 777, 0x0CCB_B95C_5A95_6870),
    ("resnext50_32x4d", 267, 0x738D_0374_AF5A_481A),
    ("resnext101_32x8d", 522, 0xC67F_73DB_8408_6A41),
    ("resnext101_64x4d", 522, 0x8A00_119E_7CD8_8864),
    ("wide_resnet50_2", 267, 0xB99D_2668_8C06_62C7),
    ("wide_resnet101_2", 522, 0x1A33_094F_5506_400E),
    ("densenet121", 606, 0xFB86_7CA5_94E7_9589),
    ("densenet161", 806, 0x2C36_51C4_70E2_DAB4),
    ("densenet169", 846, 0x9FA8_EB9B_B9BE_01B1),
    ("densenet201", 1006, 0x9C5A_7544_7D0A_94CB),
    ("shufflenet_v2_x0_5", 282, 0xD248_22D8_4571_F90B),
    ("shufflenet_v2_x1_0", 282, 0xC11E_AB98_4ED1_3FD7),
    ("shufflenet_v2_x1_5", 282, 0x39D9_4F7C_3151_8571),
    ("shufflenet_v2_x2_0", 282, 0x77FE_E543_D045_EDC0),
    ("resnetv2_50", 251, 0x68CE_6E65_0869_5F9D),
    ("resnetv2_101", 506, 0x96E0_5D95_4F39_6ABD),
    ("resnetv2_152", 761, 0x8CBC_D2F0_3FEA_60D4),
    ("fcn_resnet50", 279, 0x28D2_E882_0343_0583),
    ("fcn_resnet101", 534, 0xE9E6_748D_2DE7_B541),
    ("deeplabv3_resnet50", 309, 0xF537_940B_9A8C_D9A3),
    ("deeplabv3_resnet101", 564, 0x4A18_BAE9_FA62_A3D9),
];

#[test]
fn names_and_shapes_of_weights_are_the_references() {
    let device = Device::flex();
    for (name, entries, hash) in KEYS {
        let entry = find(name).unwrap();
        let shapes = kiln_zoo::shapes(&entry.model(entry.num_classes(), &device));
        let mut lines: Vec<String> =
            shapes.iter().map(|(name, shape)| format!("{name} {shape:?}\n")).collect();
        lines.sort();
        let ours = lines.concat().bytes().fold(0xCBF2_9CE4_8422_2325u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        assert_eq!((lines.len(), ours), (entries, hash), "{name}: {:?}", lines.first());
    }
}
