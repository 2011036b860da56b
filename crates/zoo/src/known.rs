//! What is known of published weight files that do not say it themselves: how their images are prepared, and what their
//! classes are called.

use std::path::Path;

use kiln_resnet::{CifarResNetConfig, Shortcut};

use crate::class_names;
use crate::entry::{Architecture as A, Entry};
use crate::{Fit, Interpolation, Kind, Preprocessing};

/// Mean and standard deviation of each channel.
type Statistics = ([f32; 3], [f32; 3]);

/// Of ImageNet's training images.
const IMAGENET: Statistics = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);
/// Pixels from -1 to 1.
const SYMMETRIC: Statistics = ([0.5; 3], [0.5; 3]);
/// The mean of CIFAR-10's training images, and the mean over these of an image's deviation.
const CIFAR10: Statistics = ([0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]);

/// Pixels from 0 to 1.
const PLAIN: Statistics = ([0.0; 3], [1.0; 3]);

/// Files of torchvision's newer training, IMAGENET1K_V2: made for a shorter side of 232 pixels, not 256.
const RESIZED_TO_232: [&str; 7] = [
    "resnet50-11ad3fa6",
    "resnet101-cd907fc2",
    "resnet152-f82ba261",
    "resnext50_32x4d-1a0047aa",
    "resnext101_32x8d-110c445d",
    "wide_resnet50_2-9ba9bcbe",
    "wide_resnet101_2-d733dc28",
];

/// How images are prepared for a weight file of a model, without names of classes.
pub(crate) fn preprocessing(entry: &Entry, file: &Path) -> Preprocessing {
    use Interpolation::{Bicubic, Bilinear};
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let [_, _, size, _] = entry.input();
    if let A::Detector(config) = &entry.architecture {
        let ((mean, std), fit) = (PLAIN, config.fit());
        let interpolation = if fit == Fit::Letterbox { Interpolation::BilinearAliased } else { Bilinear };
        return Preprocessing { resize: size, size, fit, interpolation, mean, std, classes: Vec::new() };
    }
    let (resize, interpolation, (mean, std)) = match (&entry.architecture, &*entry.name) {
        // torchvision's see a whole image, its shorter side of that size; so do all others here.
        (A::Segmenter(_), _) => (size, Bilinear, IMAGENET),
        // akamaster's; all others for CIFAR-10 as chenyaofo's.
        (A::CifarResNet(CifarResNetConfig { shortcut: Shortcut::Padded, .. }), _) => {
            (size, Bilinear, IMAGENET)
        }
        _ if entry.is_for_cifar() => (size, Bilinear, CIFAR10),
        // torchvision's, which changes ImageNet's statistics to these before its first layer.
        (A::GoogLeNet(_), _) => (256, Bilinear, SYMMETRIC),
        // timm's: 224 / 0.95.
        (A::ResNetV2(_), _) => (235, Bicubic, SYMMETRIC),
        (_, "resnext101_64x4d" | "shufflenet_v2_x1_5" | "shufflenet_v2_x2_0") => (232, Bilinear, IMAGENET),
        _ if RESIZED_TO_232.contains(&stem) => (232, Bilinear, IMAGENET),
        _ => (256, Bilinear, IMAGENET),
    };
    let fit = if entry.kind() == Kind::Segmenter { Fit::Whole } else { Fit::Crop };
    Preprocessing { resize, size, fit, interpolation, mean, std, classes: Vec::new() }
}

/// The names of the classes of a model that tells `count` of them apart: those of ImageNet-1k, CIFAR-10, CIFAR-100,
/// COCO or VOC, if it was made for one of these; else none.
pub(crate) fn classes(entry: &Entry, count: usize) -> Vec<String> {
    if entry.kind() == Kind::Detector {
        return match count {
            80 => class_names::coco(),
            20 => class_names::voc(),
            _ => Vec::new(),
        };
    }
    match (entry.is_for_cifar(), count) {
        (false, 1000) => class_names::imagenet(),
        (true, 10) => class_names::cifar10(),
        (true, 100) => class_names::cifar100(),
        _ => Vec::new(),
    }
}
