//! DeepLab, in four versions.
//!
//! Liang-Chieh Chen, George Papandreou, Iasonas Kokkinos, Kevin Murphy, Alan L. Yuille:
//! - [`DeepLabVgg`] with [`Rates::LargeFov`]: *Semantic image segmentation with deep convolutional nets and fully connected
//!   CRFs*, 2014, <https://arxiv.org/abs/1412.7062>;
//! - with the others, and [`DeepLabV2`]: *DeepLab: semantic image segmentation with deep convolutional nets, atrous
//!   convolution, and fully connected CRFs*, 2016, <https://arxiv.org/abs/1606.00915>.
//!
//! Liang-Chieh Chen, George Papandreou, Florian Schroff, Hartwig Adam, and Yukun Zhu for the second:
//! - [`DeepLabV3`]: *Rethinking atrous convolution for semantic image segmentation*, 2017,
//!   <https://arxiv.org/abs/1706.05587>, as torchvision has it, from where its weights come;
//! - [`DeepLabV3Plus`]: *Encoder-decoder with atrous separable convolution for semantic image segmentation*, 2018,
//!   <https://arxiv.org/abs/1802.02611>, on a ResNet, with dense convolutions.
//!
//! The random field of the first two comes after the networks: `kiln_tasks::DenseCrf`, `kiln predict --crf`. v2's three scales at once,
//! of which the largest score counts, and v3's rates that differ within the last stage are not here.

mod aspp;
mod v2;
mod v3;
mod v3plus;
mod vgg;

pub use aspp::OutputStride;
pub use v2::{DeepLabV2, DeepLabV2Config};
pub use v3::{DeepLabV3, DeepLabV3Config};
pub use v3plus::{DeepLabV3Plus, DeepLabV3PlusConfig};
pub use vgg::{DeepLabVgg, DeepLabVggConfig, Rates};
