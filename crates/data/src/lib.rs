//! Files on disk to batches: readers, manifests, transforms, the loader, and the generated data set `shapes`.

mod anchors;
mod archive;
mod batching;
mod boxed;
mod canvas;
mod caption;
mod catalog;
mod contact_sheet;
mod fetch;
mod inventory;
mod loader;
mod manifest;
mod mixing;
mod overlay;
mod readers;
mod recognized;
mod sample;
mod shapes;
mod subset;
mod transform;
mod workers;

pub use anchors::Anchors;
pub use batching::Batching;
pub use boxed::{boxed, class_colour};
pub use canvas::{Canvas, INK, PAPER, mix, width_of};
pub use caption::captioned;
pub use catalog::{Layout, Normalization, Opened, Roots, describe, open};
pub use contact_sheet::ContactSheet;
pub use fetch::{FileState, Progress, fetch};
pub use inventory::{Listed, Report, check, list};
pub use loader::{Loader, LoaderOptions, OnCorrupt};
pub use manifest::{Manifest, ManifestFile, ManifestSplit};
pub use mixing::Mixing;
pub use overlay::{label_colour, overlaid, tinted};
pub use readers::{BoxedImages, Cifar, Idx, ImageFolder, LabelledImages, decode_rgb, image_files};
pub use sample::{Dataset, Sample};
pub use shapes::{Shapes, ShapesConfig};
pub use subset::Subset;
pub use transform::{
    Affine, Colour, CopyPaste, Erasure, Filling, Framing, Interpolation, Mosaic, Motion, Operation, Partner,
    Pipeline, Placement, Policy, Projective, Ranges, Ready, Region, Size, Space, Step, SubPolicy, Transform,
    UpsideDown, Warp,
};
