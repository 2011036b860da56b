//! A geometric step: a part of an image, scaled to a size, perhaps mirrored. It maps points; whatever a sample holds
//! follows from that map.

use std::borrow::Cow;

use image::{RgbImage, imageops};
use kiln_core::{BoundingBox, IGNORED, Keypoint, LabelMap, Mask, Object, Truth};

use super::Interpolation;
use super::resample::{BICUBIC, BILINEAR, scaled};
use crate::Sample;

/// Least area of an object's box in the new image; a smaller one is dropped.
const LEAST_AREA: f32 = 1.0;

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
    /// The axis-aligned affine map of points, in pixels: where a point of the old image lies in the new one.
    pub fn point(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let [height, width] = self.output;
        let x = (x - self.region.left as f32) * (width as f32 / self.region.width as f32);
        let y = (y - self.region.top as f32) * (height as f32 / self.region.height as f32);
        [if self.mirrored { width as f32 - x } else { x }, y]
    }

    /// A picture of any kind of pixel, row by row, with the nearest pixel taken and `fill` outside.
    fn nearest<T: Copy>(&self, pixels: &[T], [height, width]: [usize; 2], fill: T) -> Vec<T> {
        let rows = sources(self.region.top, self.region.height, self.output[0], height);
        let mut columns = sources(self.region.left, self.region.width, self.output[1], width);
        if self.mirrored {
            columns.reverse();
        }
        let columns = &columns;
        let line = |row: Option<usize>| columns.iter().map(move |column| Some(row? * width + (*column)?));
        rows.into_iter().flat_map(line).map(|place| place.map_or(fill, |i| pixels[i])).collect()
    }

    /// The image: cut out (black outside), scaled, mirrored.
    pub fn image(&self, image: &RgbImage, interpolation: Interpolation) -> RgbImage {
        let part = cut(image, self.region);
        let mut image = match interpolation {
            _ if self.output == [self.region.height, self.region.width] => part.into_owned(),
            Interpolation::Nearest => {
                let plain = Warp { mirrored: false, region: Region::whole(size(&part)), ..*self };
                let pixels: Vec<[u8; 3]> = part.pixels().map(|pixel| pixel.0).collect();
                let bytes = plain.nearest(&pixels, size(&part), [0; 3]).into_flattened();
                RgbImage::from_raw(self.output[1] as u32, self.output[0] as u32, bytes)
                    .expect("`nearest` makes a pixel for each place")
            }
            Interpolation::Bilinear => scaled(&part, self.output, BILINEAR),
            Interpolation::Bicubic => scaled(&part, self.output, BICUBIC),
        };
        if self.mirrored {
            imageops::flip_horizontal_in_place(&mut image);
        }
        image
    }

    /// The truth. Boxes are those of their four corners in the new image, clipped to it; an object whose box is then
    /// smaller than one square pixel is dropped. A keypoint outside the new image is no longer labelled. Masks and label
    /// maps take the nearest pixel; outside the old image there is no object, and the label is [`IGNORED`].
    pub fn truth(&self, truth: &Truth) -> Truth {
        let label_map = truth.label_map.as_ref().map(|map| LabelMap {
            width: self.output[1],
            height: self.output[0],
            labels: self.nearest(&map.labels, [map.height, map.width], IGNORED),
        });
        let objects = truth.objects.iter().filter_map(|object| self.object(object)).collect();
        Truth { class: truth.class, objects, label_map }
    }

    fn object(&self, object: &Object) -> Option<Object> {
        let [height, width] = self.output;
        let corners = object.bounding_box.corners().map(|corner| self.point(corner));
        let bounding_box = BoundingBox::around(corners)?.clipped(width as f32, height as f32);
        let mask = object.mask.as_ref().map(|mask| Mask {
            width,
            height,
            bits: self.nearest(&mask.bits, [mask.height, mask.width], false),
        });
        let keypoints = object.keypoints.iter().map(|&keypoint| self.keypoint(keypoint)).collect();
        (bounding_box.area() >= LEAST_AREA).then_some(Object {
            class: object.class,
            bounding_box,
            mask,
            keypoints,
            crowd: object.crowd,
        })
    }

    fn keypoint(&self, keypoint: Keypoint) -> Keypoint {
        let [x, y] = self.point([keypoint.x, keypoint.y]);
        let [height, width] = self.output.map(|side| side as f32);
        let labelled = keypoint.labelled && (0.0..=width).contains(&x) && (0.0..=height).contains(&y);
        Keypoint { x, y, labelled, visible: keypoint.visible && labelled }
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
