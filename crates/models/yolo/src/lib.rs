//! YOLO, from the first to the fifth and the eighth, and the Darknets that most of them stand on.
//!
//! Every version is a file: a backbone, a neck, a head, and what the head's numbers mean; one more is whatever a cfg of Darknet's
//! describes ([`Cfg`]). All of them say
//! [`Predictions`](kiln_core::Predictions): maps for a loss, boxes and scores for use.

mod block;
mod cfg;
mod configured;
mod csp;
mod darknet;
mod v1;
mod v2;
mod v3;
mod v4;
mod v5;
mod v8;

pub use block::focus;
pub use cfg::Cfg;
pub use configured::Configured;
pub use csp::{CspDarknet53, CspDarknet53Classifier};
pub use darknet::{Darknet19, Darknet19Classifier, Darknet53, Darknet53Classifier};
pub use v1::{Edition, YoloV1, YoloV1Config};
pub use v2::{Priors, YoloV2, YoloV2Config, YoloV2Tiny};
pub use v3::{ANCHORS as V5_ANCHORS, Neck, YoloV3, YoloV3Config, YoloV3Tiny};
pub use v4::{YoloV4, YoloV4Config, YoloV4Tiny};
pub use v5::{Scale, YoloV5, YoloV5Config};
pub use v8::{BINS, YoloV8, YoloV8Config};

#[cfg(test)]
mod tests;
