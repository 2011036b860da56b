//! What is known of a model beside its network.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use burn::prelude::*;
use kiln_alexnet::AlexNetConfig;
use kiln_core::{Error, Result};
use kiln_densenet::{Activations, DenseNetConfig};
use kiln_googlenet::GoogLeNetConfig;
use kiln_resnet::{CifarResNetConfig, CifarResNetV2Config, ResNetConfig, ResNetV2Config};
use kiln_shufflenet::ShuffleNetV2Config;
use kiln_vgg::VggConfig;
use kiln_yolo::{Cfg, CspDarknet53Classifier, Darknet19Classifier, Darknet53Classifier};

use crate::detector::DetectorConfig;
use crate::formats::legible;
use crate::known;
use crate::segmenter::SegmenterConfig;
use crate::{Classifier, Detector, Model, Preprocessing, Segmenter, StateDict};

/// A model that can be asked for by name, or that a Darknet cfg describes.
#[derive(Debug, Clone)]
pub struct Entry {
    /// What `--model` and a config's `name` take: a name of the registry, or the path of a cfg.
    pub name: Cow<'static, str>,
    /// Learnable parameters for [`num_classes`](Self::num_classes) classes; of a classifier, without auxiliary ones; of a
    /// segmenter, with its auxiliary heads: as torchvision counts.
    pub params: usize,
    /// How good it was published to be.
    pub published: Option<Published>,
    pub(crate) architecture: Architecture,
}

/// What a model says of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its class.
    Classifier,
    /// Its objects: a class and a box each.
    Detector,
    /// The class of every pixel.
    Segmenter,
}

/// As in a sentence: "is a detector".
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Classifier => "classifier",
            Self::Detector => "detector",
            Self::Segmenter => "segmenter",
        })
    }
}

/// A published result, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Published {
    /// Of a classifier, how often the most probable class is right; of a detector, the average precision: COCO's over IoU 0.50
    /// to 0.95, if that is known; of a segmenter, the mean over the classes of the IoU of their pixels.
    pub first: Option<f64>,
    /// Of a classifier, how often one of the five most probable is right; of a detector, the average precision at IoU 0.50;
    /// of a segmenter, how often a pixel's class is right.
    pub second: Option<f64>,
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
    Darknet19,
    Darknet53,
    CspDarknet53,
    Detector(DetectorConfig),
    Segmenter(SegmenterConfig),
}

use Architecture as A;

impl Entry {
    /// The detector that a Darknet cfg describes, under the file's path as its name. Of how good it is nothing is known.
    ///
    /// # Errors
    /// A file that cannot be read, is no cfg, or has layers that are not known or do not fit each other: the line is named.
    pub fn of_cfg(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file).map_err(|why| Error::unreadable(file, &why))?;
        let text =
            String::from_utf8(bytes).map_err(|_| Error::input("no Darknet cfg: no text").file(file))?;
        let cfg = Cfg::parse(&text).map_err(|error| legible(error).file(file))?;
        Ok(Self {
            name: file.display().to_string().into(),
            params: cfg.parameters(),
            published: None,
            architecture: A::Detector(DetectorConfig::Configured(cfg)),
        })
    }

    /// The name of its family: one paper or one line of papers, one crate.
    pub fn family(&self) -> &'static str {
        match &self.architecture {
            A::AlexNet(_) => "AlexNet",
            A::Vgg(_) => "VGG",
            A::GoogLeNet(_) => "GoogLeNet",
            A::ResNet(_) | A::ResNetV2(_) | A::CifarResNet(_) | A::CifarResNetV2(_) => "ResNet",
            A::DenseNet(..) | A::CifarDenseNet(..) => "DenseNet",
            A::ShuffleNetV2(_) => "ShuffleNetV2",
            A::Darknet19 | A::Darknet53 | A::CspDarknet53 => "Darknet",
            A::Detector(config) => config.family(),
            A::Segmenter(config) => config.family(),
        }
    }

    /// What it says of an image.
    pub fn kind(&self) -> Kind {
        match self.architecture {
            A::Detector(_) => Kind::Detector,
            A::Segmenter(_) => Kind::Segmenter,
            _ => Kind::Classifier,
        }
    }

    /// The detector with fresh weights; `None` if it is another kind of model.
    pub fn detector(&self, num_classes: usize, device: &Device) -> Option<Detector> {
        match &self.architecture {
            A::Detector(config) => Some(config.init(num_classes, device)),
            _ => None,
        }
    }

    /// The segmenter with fresh weights; `None` if it is another kind of model.
    pub fn segmenter(&self, num_classes: usize, device: &Device) -> Option<Segmenter> {
        match &self.architecture {
            A::Segmenter(config) => Some(config.init(num_classes, device)),
            _ => None,
        }
    }

    /// The model with fresh weights, whatever it says of an image.
    pub fn model(&self, num_classes: usize, device: &Device) -> Model {
        match &self.architecture {
            A::Detector(config) => Model::Detector(config.init(num_classes, device)),
            A::Segmenter(config) => Model::Segmenter(config.init(num_classes, device)),
            _ => Model::Classifier(self.init(num_classes, device)),
        }
    }

    /// The classifier with fresh weights.
    ///
    /// # Panics
    /// If it is of another [`Kind`].
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
            A::Darknet19 => Classifier::Darknet19(Darknet19Classifier::new(num_classes, device)),
            A::Darknet53 => Classifier::Darknet53(Darknet53Classifier::new(num_classes, device)),
            A::CspDarknet53 => Classifier::CspDarknet53(CspDarknet53Classifier::new(num_classes, device)),
            A::Detector(_) | A::Segmenter(_) => panic!("{} is no classifier", self.name),
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

    /// The same model with so many times fewer channels, for small machines and small data; `None` if it knows no other width.
    pub fn narrowed(&self, times: usize) -> Option<Self> {
        match &self.architecture {
            A::Segmenter(config) => {
                Some(Self { architecture: A::Segmenter(config.narrowed(times)), ..self.clone() })
            }
            _ => None,
        }
    }

    /// Classes that its published weights tell apart.
    pub fn num_classes(&self) -> usize {
        match &self.architecture {
            A::Detector(config) => config.num_classes(),
            A::Segmenter(config) => config.num_classes(),
            _ if self.is_for_cifar() => 10,
            _ => 1000,
        }
    }

    /// The input it was published for: `[batch, 3, height, width]`.
    pub fn input(&self) -> [usize; 4] {
        let side = match &self.architecture {
            A::Detector(config) => {
                let [height, width] = config.size();
                return [1, 3, height, width];
            }
            A::Segmenter(config) => {
                let [height, width] = config.size();
                return [1, 3, height, width];
            }
            // The paper says 224, which its own layers do not fit; BVLC has 227.
            A::AlexNet(config) if config.version == kiln_alexnet::Version::Paper => 227,
            A::Darknet53 | A::CspDarknet53 => 256,
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
    pub fn classifier_keys(&self) -> Vec<Cow<'static, str>> {
        let keys: &[&str] = match &self.architecture {
            A::Detector(config) => return config.class_keys(),
            A::AlexNet(_) => &["classifier.6."],
            A::Vgg(config) if config.head == kiln_vgg::Head::ImageNet => &["classifier.6."],
            A::Vgg(_) | A::DenseNet(..) | A::CifarDenseNet(..) => &["classifier."],
            A::GoogLeNet(_) => &["fc.", "aux1.fc2.", "aux2.fc2."],
            A::ResNetV2(_) => &["head.fc."],
            A::ResNet(_) | A::CifarResNet(_) | A::CifarResNetV2(_) | A::ShuffleNetV2(_) => &["fc."],
            A::Darknet19 => &["conv."],
            A::Darknet53 | A::CspDarknet53 => &["fc."],
            A::Segmenter(config) => config.class_keys(),
        };
        keys.iter().map(|key| Cow::Borrowed(*key)).collect()
    }

    /// Our name of a weight that published files of this model name otherwise.
    pub fn rename(&self, name: &str) -> String {
        let rules: &[(&str, &str)] = match &self.architecture {
            // The most used CIFAR ResNet weights say `linear` and `shortcut` where torchvision says `fc` and `downsample`.
            A::ResNet(_) | A::CifarResNet(_) => &[("linear.", "fc."), ("shortcut.", "downsample.")],
            // torchvision's files of 2017 are older than its code.
            A::DenseNet(..) => &[
                (".norm.1.", ".norm1."),
                (".norm.2.", ".norm2."),
                (".conv.1.", ".conv1."),
                (".conv.2.", ".conv2."),
            ],
            A::Detector(config) => config.renames(),
            _ => &[],
        };
        rules.iter().fold(name.to_string(), |name, (theirs, ours)| name.replace(theirs, ours))
    }

    /// Classes that a last layer of so many outputs tells apart.
    pub(crate) fn classes_of(&self, outputs: usize) -> Option<usize> {
        match &self.architecture {
            A::Detector(config) => config.classes_of(outputs),
            _ => Some(outputs),
        }
    }

    /// Numbers of a model that nothing learns, and that files may leave out.
    pub(crate) fn constants(&self) -> &'static [&'static str] {
        match &self.architecture {
            A::Detector(config) => config.constants(),
            _ => &[],
        }
    }

    pub(crate) fn is_for_cifar(&self) -> bool {
        self.kind() == Kind::Classifier && self.name.starts_with("cifar10-")
    }
}
