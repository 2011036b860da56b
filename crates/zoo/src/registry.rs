//! The models by name, one row each.

use burn::prelude::*;
use kiln_alexnet::AlexNetConfig;
use kiln_core::{Error, Result, nearest};
use kiln_resnet::{CifarResNetConfig, Depth, ResNetConfig, Shortcut, Version};

use crate::{Classifier, Preprocessing};

/// A family of models: one paper, one crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Krizhevsky et al. 2012.
    AlexNet,
    /// He et al. 2015.
    ResNet,
}

impl Family {
    /// The name people use.
    pub fn name(self) -> &'static str {
        match self {
            Self::AlexNet => "AlexNet",
            Self::ResNet => "ResNet",
        }
    }
}

/// A model that can be asked for by name.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// What `--model` and a config's `name` take.
    pub name: &'static str,
    /// Learnable parameters, as published for [`num_classes`](Self::num_classes) classes.
    pub params: usize,
    /// Published accuracy in percent: the most probable class, and the five most probable; where it is from.
    pub published: Option<(f64, f64, &'static str)>,
    architecture: Architecture,
}

#[derive(Debug, Clone, Copy)]
#[allow(clippy::enum_variant_names)] // The names are their papers'.
enum Architecture {
    AlexNet,
    ResNet(Depth, Version),
    CifarResNet(usize, Shortcut),
}

use Architecture as A;
use Shortcut::{Padded, Projected};

const TORCHVISION: &str = "torchvision, IMAGENET1K_V1";

/// Every model, the families in the order of their papers.
#[rustfmt::skip]
pub const REGISTRY: &[Entry] = &[
    row("alexnet",            61_100_840, Some((56.522, 79.066, TORCHVISION)), A::AlexNet),
    row("resnet18",           11_689_512, Some((69.758, 89.078, TORCHVISION)), A::ResNet(Depth::D18, Version::V15)),
    row("resnet34",           21_797_672, Some((73.314, 91.420, TORCHVISION)), A::ResNet(Depth::D34, Version::V15)),
    row("resnet50",           25_557_032, Some((76.130, 92.862, TORCHVISION)), A::ResNet(Depth::D50, Version::V15)),
    row("resnet101",          44_549_160, Some((77.374, 93.546, TORCHVISION)), A::ResNet(Depth::D101, Version::V15)),
    row("resnet152",          60_192_808, Some((78.312, 94.046, TORCHVISION)), A::ResNet(Depth::D152, Version::V15)),
    row("resnet50-v1",        25_557_032, None,                                A::ResNet(Depth::D50, Version::V1)),
    row("resnet101-v1",       44_549_160, None,                                A::ResNet(Depth::D101, Version::V1)),
    row("resnet152-v1",       60_192_808, None,                                A::ResNet(Depth::D152, Version::V1)),
    row("cifar10-resnet20",      269_722, None,                                A::CifarResNet(20, Padded)),
    row("cifar10-resnet32",      464_154, None,                                A::CifarResNet(32, Padded)),
    row("cifar10-resnet44",      658_586, None,                                A::CifarResNet(44, Padded)),
    row("cifar10-resnet56",      853_018, None,                                A::CifarResNet(56, Padded)),
    row("cifar10-resnet110",   1_727_962, None,                                A::CifarResNet(110, Padded)),
    row("cifar10-resnet20-b",    272_474, None,                                A::CifarResNet(20, Projected)),
    row("cifar10-resnet32-b",    466_906, None,                                A::CifarResNet(32, Projected)),
    row("cifar10-resnet44-b",    661_338, None,                                A::CifarResNet(44, Projected)),
    row("cifar10-resnet56-b",    855_770, None,                                A::CifarResNet(56, Projected)),
    row("cifar10-resnet110-b", 1_730_714, None,                                A::CifarResNet(110, Projected)),
];

const fn row(
    name: &'static str,
    params: usize,
    published: Option<(f64, f64, &'static str)>,
    architecture: Architecture,
) -> Entry {
    Entry { name, params, published, architecture }
}

/// The model of a name.
///
/// # Errors
/// A name that is not in the registry; the nearest one is suggested.
pub fn find(name: &str) -> Result<&'static Entry> {
    REGISTRY.iter().find(|entry| entry.name == name).ok_or_else(|| {
        let near = nearest(name, REGISTRY.iter().map(|entry| entry.name));
        Error::input(format!("unknown model `{name}`")).hint(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "`kiln models` lists them".to_string(),
        })
    })
}

impl Entry {
    /// The family it belongs to.
    pub fn family(&self) -> Family {
        match self.architecture {
            A::AlexNet => Family::AlexNet,
            A::ResNet(..) | A::CifarResNet(..) => Family::ResNet,
        }
    }

    /// The model with fresh weights.
    pub fn init(&self, num_classes: usize, device: &Device) -> Classifier {
        match self.architecture {
            A::AlexNet => Classifier::AlexNet(AlexNetConfig::new(num_classes).init(device)),
            A::ResNet(depth, version) => {
                Classifier::ResNet(ResNetConfig { depth, version, num_classes }.init(device))
            }
            A::CifarResNet(depth, shortcut) => {
                Classifier::CifarResNet(CifarResNetConfig { depth, shortcut, num_classes }.init(device))
            }
        }
    }

    /// Classes that its published weights tell apart.
    pub fn num_classes(&self) -> usize {
        if self.is_for_cifar() { 10 } else { 1000 }
    }

    /// The input it was published for: `[batch, 3, height, width]`.
    pub fn input(&self) -> [usize; 4] {
        let side = if self.is_for_cifar() { 32 } else { 224 };
        [1, 3, side, side]
    }

    /// How images are prepared for its published weights, where the weight file does not say.
    pub fn preprocessing(&self) -> Preprocessing {
        // The mean and standard deviation of ImageNet's training images; the reference CIFAR ResNets use them too.
        let (mean, std) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
        let (resize, size) = if self.is_for_cifar() { (32, 32) } else { (256, 224) };
        Preprocessing { resize, size, mean, std, classes: Vec::new() }
    }

    /// The weight of the last linear layer: its first dimension is the number of classes.
    pub fn classifier_key(&self) -> &'static str {
        match self.architecture {
            A::AlexNet => "classifier.6.weight",
            A::ResNet(..) | A::CifarResNet(..) => "fc.weight",
        }
    }

    /// Names that published weight files of this model have for ours: `(theirs, ours)`, replaced anywhere in a key.
    pub fn aliases(&self) -> &'static [(&'static str, &'static str)] {
        match self.architecture {
            // The most used CIFAR ResNet weights say `linear` and `shortcut` where torchvision says `fc` and `downsample`.
            A::CifarResNet(..) => &[("linear.", "fc."), ("shortcut.", "downsample.")],
            A::AlexNet | A::ResNet(..) => &[],
        }
    }

    fn is_for_cifar(&self) -> bool {
        matches!(self.architecture, A::CifarResNet(..))
    }
}
