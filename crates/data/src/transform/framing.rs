//! An image scaled and placed on a canvas: in a letterbox, or as a tile of a mosaic.

use image::{Rgb, RgbImage};
use kiln_core::{Letterbox, Letterboxing};
use serde::{Deserialize, Serialize};

use super::{Interpolation, Motion, Region, Warp};
use crate::Sample;

/// Where in its frame a letterboxed image lies, and how its size is rounded; see [`Letterboxing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// In the middle, rounded to the nearest pixel: YOLOv5 to v9.
    #[default]
    Centred,
    /// In the upper left corner, rounded down: YOLOX.
    TopLeft,
    /// In the middle, rounded down: Darknet.
    Darknet,
}

impl From<Placement> for Letterboxing {
    fn from(placement: Placement) -> Self {
        match placement {
            Placement::Centred => Self::Centred,
            Placement::TopLeft => Self::TopLeft,
            Placement::Darknet => Self::Darknet,
        }
    }
}

/// An image at another size on a canvas; what reaches beyond the canvas is cut off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Framing {
    /// Height and width of the image.
    pub input: [usize; 2],
    /// Height and width it is scaled to.
    pub scaled: [usize; 2],
    /// Height and width of the canvas.
    pub output: [usize; 2],
    /// Row and column of its upper left corner.
    pub offset: [i64; 2],
    /// What y and x are multiplied by.
    pub scale: [f64; 2],
}

impl From<Letterbox> for Framing {
    fn from(Letterbox { input, scaled, output, offset, scale }: Letterbox) -> Self {
        Self { input, scaled, output, offset: offset.map(|pixels| pixels as i64), scale }
    }
}

impl Framing {
    /// The sample on a canvas of one colour.
    pub fn sample(&self, sample: &Sample, interpolation: Interpolation, fill: [u8; 3]) -> Sample {
        let [height, width] = self.output;
        let mut canvas = RgbImage::from_pixel(width as u32, height as u32, Rgb(fill));
        self.paint(&mut canvas, &sample.image, interpolation);
        Sample { image: canvas, truth: self.truth(&sample.truth) }
    }

    /// Draws the image on a canvas.
    pub(super) fn paint(&self, canvas: &mut RgbImage, image: &RgbImage, interpolation: Interpolation) {
        let scaled = self.plain().image(image, interpolation);
        let [top, left] = self.offset;
        image::imageops::replace(canvas, &scaled, left, top);
    }

    fn plain(&self) -> Warp {
        Warp { region: Region::whole(self.input), output: self.scaled, mirrored: false }
    }
}

impl Motion for Framing {
    fn output(&self) -> [usize; 2] {
        self.output
    }

    fn point(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let [down, across] = self.scale.map(|scale| scale as f32);
        let [top, left] = self.offset.map(|offset| offset as f32);
        [x * across + left, y * down + top]
    }

    fn places(&self, input: [usize; 2]) -> Vec<Option<usize>> {
        let [height, width] = self.output;
        let [rows, columns] = self.scaled;
        let mut places = vec![None; height * width];
        for (i, place) in self.plain().places(input).into_iter().enumerate() {
            let (y, x) = ((i / columns) as i64 + self.offset[0], (i % columns) as i64 + self.offset[1]);
            debug_assert!(i < rows * columns);
            if (0..height as i64).contains(&y) && (0..width as i64).contains(&x) {
                places[y as usize * width + x as usize] = place;
            }
        }
        places
    }
}

/// The image upside down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpsideDown {
    /// Height and width of the image.
    pub size: [usize; 2],
}

impl UpsideDown {
    /// The whole sample.
    pub fn sample(&self, mut sample: Sample) -> Sample {
        image::imageops::flip_vertical_in_place(&mut sample.image);
        Sample { truth: self.truth(&sample.truth), ..sample }
    }
}

impl Motion for UpsideDown {
    fn output(&self) -> [usize; 2] {
        self.size
    }

    fn point(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        [x, self.size[0] as f32 - y]
    }

    fn places(&self, [height, width]: [usize; 2]) -> Vec<Option<usize>> {
        (0..height * width).map(|i| Some((height - 1 - i / width) * width + i % width)).collect()
    }
}
