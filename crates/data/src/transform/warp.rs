//! A geometric step: a part of an image, scaled to a size, perhaps mirrored. It maps points; whatever a sample holds
//! follows from that map.

use std::borrow::Cow;

use image::{RgbImage, imageops};

use super::opencv;
use super::resample::{BICUBIC, BILINEAR, scaled};
use super::{Interpolation, Motion};
use crate::Sample;

/// A rectangle of whole pixels; it may reach beyond the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// First row.
    pub top: i64,
    /// First column.
    pub left: i64,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Region {
    /// All of an image of this height and width.
    pub fn whole([height, width]: [usize; 2]) -> Self {
        Self { top: 0, left: 0, height, width }
    }
}

/// What a transform does to a certain image, with nothing left to chance: `region` becomes an image of height and width
/// `output`, mirrored left to right if so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Warp {
    /// The part of the old image.
    pub region: Region,
    /// Height and width of the new one.
    pub output: [usize; 2],
    /// Whether it is mirrored, left to right, after all else.
    pub mirrored: bool,
}

impl Warp {
    /// The image: cut out (black outside), scaled, mirrored.
    pub fn image(&self, image: &RgbImage, interpolation: Interpolation) -> RgbImage {
        let part = cut(image, self.region);
        let mut image = match interpolation {
            _ if self.output == [self.region.height, self.region.width] => part.into_owned(),
            Interpolation::Nearest => {
                let plain = Warp { mirrored: false, region: Region::whole(size(&part)), ..*self };
                let pixels: Vec<[u8; 3]> = part.pixels().map(|pixel| pixel.0).collect();
                let places = plain.places(size(&part)).into_iter();
                let bytes: Vec<[u8; 3]> = places.map(|place| place.map_or([0; 3], |i| pixels[i])).collect();
                let bytes = bytes.into_flattened();
                RgbImage::from_raw(self.output[1] as u32, self.output[0] as u32, bytes)
                    .expect("`places` has one for each pixel")
            }
            Interpolation::Bilinear => scaled(&part, self.output, BILINEAR),
            Interpolation::BilinearAliased => opencv::scaled(&part, self.output),
            Interpolation::Bicubic => scaled(&part, self.output, BICUBIC),
        };
        if self.mirrored {
            imageops::flip_horizontal_in_place(&mut image);
        }
        image
    }

    /// The whole sample.
    pub fn sample(&self, sample: Sample, interpolation: Interpolation) -> Sample {
        if self.changes_nothing(size(&sample.image)) {
            return sample;
        }
        Sample { image: self.image(&sample.image, interpolation), truth: self.truth(&sample.truth) }
    }

    fn changes_nothing(&self, input: [usize; 2]) -> bool {
        *self == Self { region: Region::whole(input), output: input, mirrored: false }
    }
}

impl Motion for Warp {
    fn output(&self) -> [usize; 2] {
        self.output
    }

    fn point(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let [height, width] = self.output;
        let x = (x - self.region.left as f32) * (width as f32 / self.region.width as f32);
        let y = (y - self.region.top as f32) * (height as f32 / self.region.height as f32);
        [if self.mirrored { width as f32 - x } else { x }, y]
    }

    fn places(&self, [height, width]: [usize; 2]) -> Vec<Option<usize>> {
        let rows = sources(self.region.top, self.region.height, self.output[0], height);
        let mut columns = sources(self.region.left, self.region.width, self.output[1], width);
        if self.mirrored {
            columns.reverse();
        }
        let columns = &columns;
        let line = |row: Option<usize>| columns.iter().map(move |column| Some(row? * width + (*column)?));
        rows.into_iter().flat_map(line).collect()
    }
}

/// For each of `count` new pixels, the old one that holds its centre, when `length` pixels from `start` are scaled to
/// `count`; `None` outside the image of `limit` pixels. The centre is stepped along, as PIL does: where it falls between
/// two pixels, rounding decides, and must decide alike.
fn sources(start: i64, length: usize, count: usize, limit: usize) -> Vec<Option<usize>> {
    let step = length as f64 / count as f64;
    let centres = std::iter::successors(Some(0.5 * step), |centre| Some(centre + step));
    let pixel = |centre: f64| usize::try_from(start + centre as i64).ok().filter(|i| *i < limit);
    centres.take(count).map(pixel).collect()
}

/// Height and width of an image.
pub(super) fn size(image: &RgbImage) -> [usize; 2] {
    [image.height() as usize, image.width() as usize]
}

fn cut(image: &RgbImage, region: Region) -> Cow<'_, RgbImage> {
    if region == Region::whole(size(image)) {
        return Cow::Borrowed(image);
    }
    let [height, width] = size(image);
    let mut part = RgbImage::new(region.width as u32, region.height as u32);
    // The columns of the region that lie in the image.
    let first = region.left.clamp(0, width as i64);
    let last = (region.left + region.width as i64).clamp(first, width as i64);
    let bytes = 3 * (last - first) as usize;
    let offset = 3 * (first - region.left) as usize;
    for (row, line) in part.chunks_exact_mut(3 * region.width).enumerate() {
        let from = region.top + row as i64;
        if bytes > 0 && (0..height as i64).contains(&from) {
            let start = 3 * (from as usize * width + first as usize);
            line[offset..offset + bytes].copy_from_slice(&image.as_raw()[start..start + bytes]);
        }
    }
    Cow::Owned(part)
}
