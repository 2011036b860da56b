//! Every object detector as one type, so that one loop trains them all.

use std::borrow::Cow;
use std::path::Path;

use burn::prelude::*;
use kiln_core::{Error, Network, Predictions, Result};
use kiln_yolo::{
    Cfg, Configured, Edition, Neck, YoloV1, YoloV1Config, YoloV2, YoloV2Config, YoloV2Tiny, YoloV3,
    YoloV3Config, YoloV3Tiny, YoloV4, YoloV4Config, YoloV4Tiny, YoloV5, YoloV5Config, YoloV8, YoloV8Config,
};

use crate::{Entry, Fit, StateDict};

/// A detector of any family: images to boxes.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant)] // There is one of it, not thousands.
pub enum Detector {
    /// YOLO v1.
    YoloV1(YoloV1),
    /// YOLO v2.
    YoloV2(YoloV2),
    /// The small YOLO v2.
    YoloV2Tiny(YoloV2Tiny),
    /// YOLO v3.
    YoloV3(YoloV3),
    /// The small YOLO v3.
    YoloV3Tiny(YoloV3Tiny),
    /// YOLO v4.
    YoloV4(YoloV4),
    /// The small YOLO v4.
    YoloV4Tiny(YoloV4Tiny),
    /// YOLO v5.
    YoloV5(YoloV5),
    /// YOLO v8.
    YoloV8(YoloV8),
    /// Any that a Darknet cfg describes.
    Configured(Configured),
}

impl Network for Detector {
    type Output = Predictions;

    /// # Shapes
    /// `[batch, 3, height, width]` to boxes `[batch, predictions, 4]` and scores `[batch, predictions, num_classes]`
    fn forward(&self, images: Tensor<4>) -> Predictions {
        match self {
            Self::YoloV1(network) => network.forward(images),
            Self::YoloV2(network) => network.forward(images),
            Self::YoloV2Tiny(network) => network.forward(images),
            Self::YoloV3(network) => network.forward(images),
            Self::YoloV3Tiny(network) => network.forward(images),
            Self::YoloV4(network) => network.forward(images),
            Self::YoloV4Tiny(network) => network.forward(images),
            Self::YoloV5(network) => network.forward(images),
            Self::YoloV8(network) => network.forward(images),
            Self::Configured(network) => network.forward(images),
        }
    }
}

/// The settings of a detector of any family.
#[derive(Debug, Clone)]
pub(crate) enum DetectorConfig {
    YoloV1(YoloV1Config),
    YoloV2(YoloV2Config),
    YoloV2Tiny(YoloV2Config),
    YoloV3(YoloV3Config),
    YoloV3Tiny(YoloV3Config),
    YoloV4(YoloV4Config),
    YoloV4Tiny(YoloV4Config),
    YoloV5(YoloV5Config),
    YoloV8(YoloV8Config),
    Configured(Cfg),
}

use DetectorConfig as D;

impl DetectorConfig {
    pub fn family(&self) -> &'static str {
        match self {
            D::YoloV1(_) => "YOLO v1",
            D::YoloV2(_) | D::YoloV2Tiny(_) => "YOLO v2",
            D::YoloV3(_) | D::YoloV3Tiny(_) => "YOLO v3",
            D::YoloV4(_) | D::YoloV4Tiny(_) => "YOLO v4",
            D::YoloV5(_) => "YOLO v5",
            D::YoloV8(_) => "YOLO v8",
            D::Configured(_) => "Darknet",
        }
    }

    pub fn init(&self, num_classes: usize, device: &Device) -> Detector {
        match self.clone() {
            D::YoloV1(config) => Detector::YoloV1(YoloV1Config { num_classes, ..config }.init(device)),
            D::YoloV2(config) => Detector::YoloV2(YoloV2Config { num_classes, ..config }.init(device)),
            D::YoloV2Tiny(config) => {
                Detector::YoloV2Tiny(YoloV2Config { num_classes, ..config }.init_tiny(device))
            }
            D::YoloV3(config) => Detector::YoloV3(YoloV3Config { num_classes, ..config }.init(device)),
            D::YoloV3Tiny(config) => {
                Detector::YoloV3Tiny(YoloV3Config { num_classes, ..config }.init_tiny(device))
            }
            D::YoloV4(_) => Detector::YoloV4(YoloV4Config { num_classes }.init(device)),
            D::YoloV4Tiny(_) => Detector::YoloV4Tiny(YoloV4Config { num_classes }.init_tiny(device)),
            D::YoloV5(config) => Detector::YoloV5(YoloV5Config { num_classes, ..config }.init(device)),
            D::YoloV8(config) => Detector::YoloV8(YoloV8Config { num_classes, ..config }.init(device)),
            D::Configured(cfg) => Detector::Configured(cfg.with_classes(num_classes).init(device)),
        }
    }

    /// Classes it was published for.
    pub fn num_classes(&self) -> usize {
        match self {
            D::YoloV1(config) => config.num_classes,
            D::YoloV2(config) | D::YoloV2Tiny(config) => config.num_classes,
            D::YoloV3(config) | D::YoloV3Tiny(config) => config.num_classes,
            D::YoloV4(config) | D::YoloV4Tiny(config) => config.num_classes,
            D::YoloV5(config) => config.num_classes,
            D::YoloV8(config) => config.num_classes,
            D::Configured(cfg) => cfg.num_classes,
        }
    }

    /// Height and width of the images it was published for.
    pub fn size(&self) -> [usize; 2] {
        let side = match self {
            D::Configured(cfg) => return cfg.size,
            D::YoloV1(_) => 448,
            D::YoloV2(_) | D::YoloV2Tiny(_) | D::YoloV3Tiny(_) | D::YoloV4Tiny(_) => 416,
            D::YoloV3(config) if config.neck == Neck::Pyramid => 416,
            D::YoloV3(_) | D::YoloV4(_) => 608,
            D::YoloV5(_) | D::YoloV8(_) => 640,
        };
        [side; 2]
    }

    /// How an image becomes what it was published for: Darknet stretched images for v1, and its fork that v4 comes from does so
    /// unless told otherwise.
    pub fn fit(&self) -> Fit {
        match self {
            D::YoloV1(_) | D::YoloV4(_) | D::YoloV4Tiny(_) | D::Configured(_) => Fit::Stretch,
            D::YoloV2(_) | D::YoloV2Tiny(_) | D::YoloV3(_) | D::YoloV3Tiny(_) => Fit::DarknetLetterbox,
            D::YoloV5(_) | D::YoloV8(_) => Fit::Letterbox,
        }
    }

    /// The layers that a number of classes belongs to, as their weights' names begin.
    pub fn class_keys(&self) -> Vec<Cow<'static, str>> {
        let keys: &[&str] = match self {
            D::Configured(cfg) => {
                let each = cfg.outputs().flat_map(|(index, _, normalized)| {
                    let parts = if normalized { &["conv", "bn"][..] } else { &["conv"] };
                    parts.iter().map(move |part| format!("layers.{index}.{part}.").into())
                });
                return each.collect();
            }
            D::YoloV1(_) => &["fc."],
            D::YoloV2(_) | D::YoloV2Tiny(_) => &["out."],
            D::YoloV3(_) => &["p5.out.", "p4.out.", "p3.out."],
            D::YoloV3Tiny(_) => &["out5.", "out4."],
            D::YoloV4(_) => &["head3.1.", "head4.1.", "head5.1."],
            D::YoloV4Tiny(_) => &["head5.1.", "head4.1."],
            D::YoloV5(_) => &["head.0.", "head.1.", "head.2."],
            // As wide as there are classes, up to a hundred.
            D::YoloV8(_) => &["head.cv3.0.2.", "head.cv3."],
        };
        keys.iter().map(|key| Cow::Borrowed(*key)).collect()
    }

    /// Classes that a last layer of so many outputs tells apart.
    pub fn classes_of(&self, outputs: usize) -> Option<usize> {
        match self {
            D::YoloV1(config) => {
                let boxes = if config.edition == Edition::Released { 3 } else { 2 };
                (outputs / 49).checked_sub(5 * boxes)
            }
            D::YoloV2(_) | D::YoloV2Tiny(_) => (outputs / 5).checked_sub(5),
            D::YoloV3(_) | D::YoloV3Tiny(_) | D::YoloV4(_) | D::YoloV4Tiny(_) | D::YoloV5(_) => {
                (outputs / 3).checked_sub(5)
            }
            D::YoloV8(_) => Some(outputs),
            D::Configured(cfg) => {
                let (_, anchors, _) = cfg.outputs().next()?;
                (outputs / anchors).checked_sub(5)
            }
        }
    }

    /// Theirs and our names: published files of v5 and v8 number the parts from the stem to the head.
    pub fn renames(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            D::YoloV5(_) => &V5,
            D::YoloV8(_) => &V8,
            _ => &[],
        }
    }

    /// Numbers that nothing learns, and that files may leave out.
    pub fn constants(&self) -> &'static [&'static str] {
        match self {
            D::YoloV8(_) => &["head.dfl.conv.weight"],
            _ => &[],
        }
    }
}

const V5: [(&str, &str); 19] = [
    ("model.0.", "stem."),
    ("model.1.", "stages.0.0."),
    ("model.2.", "stages.0.1."),
    ("model.3.", "stages.1.0."),
    ("model.4.", "stages.1.1."),
    ("model.5.", "stages.2.0."),
    ("model.6.", "stages.2.1."),
    ("model.7.", "stages.3.0."),
    ("model.8.", "stages.3.1."),
    ("model.9.", "pools."),
    ("model.10.", "up4."),
    ("model.13.", "top4."),
    ("model.14.", "up3."),
    ("model.17.", "top3."),
    ("model.18.", "down4."),
    ("model.20.", "bottom4."),
    ("model.21.", "down5."),
    ("model.23.", "bottom5."),
    ("model.24.m.", "head."),
];

const V8: [(&str, &str); 17] = [
    ("model.0.", "stem."),
    ("model.1.", "stages.0.0."),
    ("model.2.", "stages.0.1."),
    ("model.3.", "stages.1.0."),
    ("model.4.", "stages.1.1."),
    ("model.5.", "stages.2.0."),
    ("model.6.", "stages.2.1."),
    ("model.7.", "stages.3.0."),
    ("model.8.", "stages.3.1."),
    ("model.9.", "pools."),
    ("model.12.", "top4."),
    ("model.15.", "top3."),
    ("model.16.", "down4."),
    ("model.18.", "bottom4."),
    ("model.19.", "down5."),
    ("model.21.", "bottom5."),
    ("model.22.", "head."),
];

/// What YOLOv5's files have beside weights: the sizes that boxes start from, in cells.
pub(crate) const ANCHORS: &str = "model.24.anchors";

impl StateDict {
    /// Without the anchors, which are the model's own.
    ///
    /// # Errors
    /// Anchors that are others.
    pub(crate) fn without_anchors(mut self, entry: &Entry, file: &Path) -> Result<Self> {
        let Some((_, found)) = self.tensors.remove(ANCHORS) else { return Ok(self) };
        let sizes = kiln_yolo::V5_ANCHORS.into_iter().zip([8.0, 16.0, 32.0]);
        let ours =
            sizes.flat_map(|(level, stride)| level.into_iter().flatten().map(move |side| side / stride));
        // Files of 16-bit numbers have them to three digits.
        match ours.clone().count() == found.len() && ours.zip(&found).all(|(a, b)| (a - b).abs() <= 2e-3 * a)
        {
            true => Ok(self),
            false => Err(Error::input(format!("its anchors are not those of {}", entry.name)).file(file)),
        }
    }
}
