//! What is known of a model beside its network.

use std::path::Path;

use burn::prelude::*;
use kiln_alexnet::AlexNetConfig;
use kiln_densenet::{Activations, DenseNetConfig};
use kiln_googlenet::GoogLeNetConfig;
use kiln_resnet::{CifarResNetConfig, CifarResNetV2Config, ResNetConfig, ResNetV2Config};
use kiln_shufflenet::ShuffleNetV2Config;
use kiln_vgg::VggConfig;

use crate::known;
use crate::{Classifier, Preprocessing, StateDict};

/// A model that can be asked for by name.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What `--model` and a config's `name` take.
    pub name: &'static str,
    /// Learnable parameters for [`num_classes`](Self::num_classes) classes, without auxiliary classifiers.
    pub params: usize,
    /// The accuracy that was published.
    pub published: Option<Published>,
    pub(crate) architecture: Architecture,
}

/// A published accuracy, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Published {
    /// How often the most probable class is right.
    pub top1: f64,
    /// How often one of the five most probable is.
    pub top5: Option<f64>,
    /// By whom.
    pub source: &'static str,
}

/// The settings of a network of any family.
#[derive(Debug, Clone)]
#[allow(clippy::enum_variant_names)] // The names are their papers'.
pub(crate) enum Architecture {
    AlexNet(AlexNetConfig),
    Vgg(VggConfig),
    GoogLeNet(GoogLeNetConfig),
    ResNet(ResNetConfig),
    ResNetV2(ResNetV2Config),
    CifarResNet(CifarResNetConfig),
    CifarResNetV2(CifarResNetV2Config),
    DenseNet(kiln_densenet::Depth, Activations),
    /// Depth and growth first.
    CifarDenseNet(usize, usize, kiln_densenet::Kind, Activations),
    ShuffleNetV2(ShuffleNetV2Config),
}

use Architecture as A;

impl Entry {
    /// The name of its family: one paper or one line of papers, one crate.
    pub fn family(&self) -> &'static str {
        match self.architecture {
            A::AlexNet(_) => "AlexNet",
            A::Vgg(_) => "VGG",
            A::GoogLeNet(_) => "GoogLeNet",
            A::ResNet(_) | A::ResNetV2(_) | A::CifarResNet(_) | A::CifarResNetV2(_) => "ResNet",
            A::DenseNet(..) | A::CifarDenseNet(..) => "DenseNet",
            A::ShuffleNetV2(_) => "ShuffleNetV2",
        }
    }

    /// The model with fresh weights.
    pub fn init(&self, num_classes: usize, device: &Device) -> Classifier {
        match self.architecture.clone() {
            A::AlexNet(config) => Classifier::AlexNet(AlexNetConfig { num_classes, ..config }.init(device)),
            A::Vgg(config) => Classifier::Vgg(VggConfig { num_classes, ..config }.init(device)),
            A::GoogLeNet(config) => {
                Classifier::GoogLeNet(GoogLeNetConfig { num_classes, ..config }.init(device))
            }
            A::ResNet(config) => Classifier::ResNet(ResNetConfig { num_classes, ..config }.init(device)),
            A::ResNetV2(config) => {
                Classifier::ResNetV2(ResNetV2Config { num_classes, ..config }.init(device))
            }
            A::CifarResNet(config) => {
                Classifier::CifarResNet(CifarResNetConfig { num_classes, ..config }.init(device))
            }
            A::CifarResNetV2(config) => {
                Classifier::CifarResNetV2(CifarResNetV2Config { num_classes, ..config }.init(device))
            }
            A::DenseNet(depth, activations) => {
                let config = DenseNetConfig::imagenet(depth, num_classes);
                Classifier::DenseNet(DenseNetConfig { activations, ..config }.init(device))
            }
            A::CifarDenseNet(depth, growth, kind, activations) => {
                let config = DenseNetConfig::cifar(depth, growth, kind, num_classes);
                Classifier::DenseNet(DenseNetConfig { activations, ..config }.init(device))
            }
            A::ShuffleNetV2(config) => {
                Classifier::ShuffleNetV2(ShuffleNetV2Config { num_classes, ..config }.init(device))
            }
        }
    }

    /// The same model, which computes anew what it would otherwise keep for its gradients; `None` if it knows no such mode.
    pub fn saving_memory(&self) -> Option<Self> {
        let mut entry = self.clone();
        match &mut entry.architecture {
            A::DenseNet(.., activations) | A::CifarDenseNet(.., activations) => {
                *activations = Activations::Recompute;
                Some(entry)
            }
            _ => None,
        }
    }

    /// Classes that its published weights tell apart.
    pub fn num_classes(&self) -> usize {
        if self.is_for_cifar() { 10 } else { 1000 }
    }

    /// The input it was published for: `[batch, 3, height, width]`.
    pub fn input(&self) -> [usize; 4] {
        let side = match &self.architecture {
            // The paper says 224, which its own layers do not fit; BVLC has 227.
            A::AlexNet(config) if config.version == kiln_alexnet::Version::Paper => 227,
            _ if self.is_for_cifar() => 32,
            _ => 224,
        };
        [1, 3, side, side]
    }

    /// How images are prepared for weights of this model: as the weight file says, else as is known of a file of that
    /// name, else as for the model's most used weights.
    pub fn preprocessing(&self, dict: &StateDict, file: &Path) -> Preprocessing {
        if let Some(said) = &dict.preprocessing {
            return said.clone();
        }
        let classes = known::classes(self, dict.classes(self).unwrap_or(self.num_classes()));
        Preprocessing { classes, ..known::preprocessing(self, file) }
    }

    /// The layers that a number of classes belongs to, as their weights' names begin; the main classifier's first.
    pub fn classifier_keys(&self) -> &'static [&'static str] {
        match &self.architecture {
            A::AlexNet(_) => &["classifier.6."],
            A::Vgg(config) if config.head == kiln_vgg::Head::ImageNet => &["classifier.6."],
            A::Vgg(_) | A::DenseNet(..) | A::CifarDenseNet(..) => &["classifier."],
            A::GoogLeNet(_) => &["fc.", "aux1.fc2.", "aux2.fc2."],
            A::ResNetV2(_) => &["head.fc."],
            A::ResNet(_) | A::CifarResNet(_) | A::CifarResNetV2(_) | A::ShuffleNetV2(_) => &["fc."],
        }
    }

    /// Our name of a weight that published files of this model name otherwise.
    pub fn rename(&self, name: &str) -> String {
        let rules: &[(&str, &str)] = match self.architecture {
            // The most used CIFAR ResNet weights say `linear` and `shortcut` where torchvision says `fc` and `downsample`.
            A::ResNet(_) | A::CifarResNet(_) => &[("linear.", "fc."), ("shortcut.", "downsample.")],
            // torchvision's files of 2017 are older than its code.
            A::DenseNet(..) => &[
                (".norm.1.", ".norm1."),
                (".norm.2.", ".norm2."),
                (".conv.1.", ".conv1."),
                (".conv.2.", ".conv2."),
            ],
            _ => &[],
        };
        rules.iter().fold(name.to_string(), |name, (theirs, ours)| name.replace(theirs, ours))
    }

    pub(crate) fn is_for_cifar(&self) -> bool {
        self.name.starts_with("cifar10-")
    }
}
