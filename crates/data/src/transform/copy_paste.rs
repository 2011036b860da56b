//! Objects of another image put into an image (Ghiasi et al. 2021, "Simple copy-paste is a strong data augmentation method for
//! instance segmentation", <https://arxiv.org/abs/2012.07177>, Section 3). Edges are not blended, which the paper found to make
//! no difference (Section 3, "Blending pasted objects").

use image::RgbImage;
use kiln_core::{BoundingBox, IGNORED, LabelMap, Mask, Object, Truth};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Framing, Interpolation, Region, Warp, warp};
use crate::Sample;

/// What is pasted, with nothing left to chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CopyPaste {
    /// Whether the other image is mirrored, left to right, before all else.
    pub mirrored: bool,
    /// Where the other image would lie over the image.
    pub framing: Framing,
    /// Object number `i` of the other image is pasted if bit `i % 64` is set.
    pub subset: u64,
    /// An object of which less of what was seen remains is dropped.
    pub least_visible: f64,
}

impl CopyPaste {
    /// For an image of height and width `size` and another of `input`: mirrored or not, fitted into the image and scaled by a
    /// factor of a range, at any place where it lies inside the image or covers it, and any of its objects, each as likely.
    pub fn draw(
        size: [usize; 2],
        input: [usize; 2],
        scale: [f64; 2],
        least_visible: f64,
        rng: &mut ChaCha8Rng,
    ) -> Self {
        let mirrored = rng.random_bool(0.5);
        let fit = (0..2).map(|i| size[i] as f64 / input[i] as f64).fold(f64::INFINITY, f64::min);
        let factor = fit * rng.random_range(scale[0]..=scale[1]);
        let scaled = input.map(|length| ((length as f64 * factor).round() as usize).max(1));
        let offset = [0, 1].map(|i| {
            let room = size[i] as i64 - scaled[i] as i64;
            rng.random_range(room.min(0)..=room.max(0))
        });
        let scale = [0, 1].map(|i| scaled[i] as f64 / input[i] as f64);
        let framing = Framing { input, scaled, output: size, offset, scale };
        Self { mirrored, framing, subset: rng.random(), least_visible }
    }

    /// The image with objects of the other one over it: their masks, or the whole boxes of those that have none. Crowds are not
    /// pasted.
    ///
    /// What they cover of an object is taken from its mask, its keypoints there are no longer visible, and its box becomes the
    /// smallest around what is left of the mask, or of the box where there is no mask.
    pub fn sample(&self, mut sample: Sample, other: &Sample, interpolation: Interpolation) -> Sample {
        let input = warp::size(&other.image);
        let mirror = Warp { region: Region::whole(input), output: input, mirrored: self.mirrored };
        let mirrored = mirror.sample(other.clone(), interpolation);
        let other = self.framing.sample(&mirrored, interpolation, [0; 3]);
        let chosen = |at: usize| self.subset >> (at % 64) & 1 == 1;
        let objects = other.truth.objects.into_iter().enumerate();
        let objects = objects.filter(|(at, object)| chosen(*at) && !object.crowd).map(|(_, object)| object);
        // An object is covered by those after it, as it was in its own image.
        let [height, width] = self.framing.output;
        let mut covered = vec![false; height * width];
        let mut pasted = Vec::new();
        for object in objects {
            let bits = seen(&object, [height, width]);
            if bits.contains(&true) {
                covered.iter_mut().zip(&bits).for_each(|(covered, bit)| *covered |= bit);
                pasted.push(object);
            }
        }
        paste(&mut sample.image, &other.image, &covered);
        let Truth { objects, label_map, .. } = &mut sample.truth;
        let left = std::mem::take(objects).into_iter();
        objects.extend(left.filter_map(|object| self.uncovered(object, &covered)));
        objects.extend(pasted);
        if let Some(map) = label_map {
            label(map, other.truth.label_map.as_ref(), &covered);
        }
        sample
    }

    /// An object without what is covered of it; `None` where too little is left.
    fn uncovered(&self, mut object: Object, covered: &[bool]) -> Option<Object> {
        let [height, width] = self.framing.output;
        let mut bits = seen(&object, [height, width]);
        let before = bits.iter().filter(|bit| **bit).count();
        bits.iter_mut().zip(covered).for_each(|(bit, covered)| *bit &= !covered);
        let after = bits.iter().filter(|bit| **bit).count();
        if after < before {
            if (after as f64) < (before as f64 * self.least_visible).max(1.0) {
                return None;
            }
            object.bounding_box = narrowed(&object.bounding_box, &bits, width);
        }
        for keypoint in object.keypoints.iter_mut().filter(|keypoint| keypoint.labelled) {
            let at = [keypoint.y, keypoint.x].map(|at| at.max(0.0) as usize);
            let place = at[0].min(height - 1) * width + at[1].min(width - 1);
            keypoint.visible &= !covered[place];
        }
        object.mask = object.mask.map(|_| Mask { width, height, bits });
        Some(object)
    }
}

/// The pixels in which an object is seen: its mask, or those whose centre lies in its box.
fn seen(object: &Object, [height, width]: [usize; 2]) -> Vec<bool> {
    if let Some(mask) = &object.mask {
        return mask.bits.clone();
    }
    let BoundingBox { x1, y1, x2, y2 } = object.bounding_box;
    let inside = |place: usize, low: f32, high: f32| (low..high).contains(&(place as f32 + 0.5));
    (0..height * width).map(|i| inside(i % width, x1, x2) && inside(i / width, y1, y2)).collect()
}

/// A box without the rows and columns at its edges in which nothing is left.
fn narrowed(bounds: &BoundingBox, bits: &[bool], width: usize) -> BoundingBox {
    let pixels = bits.iter().enumerate().filter(|(_, bit)| **bit);
    let corners = pixels.flat_map(|(at, _)| {
        let (x, y) = ((at % width) as f32, (at / width) as f32);
        [[x, y], [x + 1.0, y + 1.0]]
    });
    let Some(left) = BoundingBox::around(corners) else { return *bounds };
    // A box may end within a pixel.
    BoundingBox {
        x1: bounds.x1.max(left.x1),
        y1: bounds.y1.max(left.y1),
        x2: bounds.x2.min(left.x2),
        y2: bounds.y2.min(left.y2),
    }
}

fn paste(image: &mut RgbImage, other: &RgbImage, covered: &[bool]) {
    let pixels = image.pixels_mut().zip(other.pixels()).zip(covered);
    pixels.filter(|(_, covered)| **covered).for_each(|((pixel, other), _)| *pixel = *other);
}

fn label(map: &mut LabelMap, other: Option<&LabelMap>, covered: &[bool]) {
    for (place, label) in map.labels.iter_mut().enumerate().filter(|(place, _)| covered[*place]) {
        *label = other.map_or(IGNORED, |other| other.labels[place]);
    }
}

#[cfg(test)]
mod tests {
    use image::Rgb;
    use kiln_core::Keypoint;
    use rand::SeedableRng;

    use super::*;

    /// Twelve pixels square, with a label map of zeros.
    const SIDE: usize = 12;

    fn object(class: usize, edges: [f32; 4], masked: bool) -> Object {
        let object = Object {
            class,
            bounding_box: BoundingBox::from_xyxy(edges),
            mask: None,
            keypoints: Vec::new(),
            crowd: false,
            difficult: false,
        };
        let bits = seen(&object, [SIDE; 2]);
        Object { mask: masked.then_some(Mask { width: SIDE, height: SIDE, bits }), ..object }
    }

    /// An image of one grey and label, with objects.
    fn sample(grey: u8, objects: Vec<Object>) -> Sample {
        let label_map = Some(LabelMap { width: SIDE, height: SIDE, labels: vec![grey; SIDE * SIDE] });
        Sample {
            image: RgbImage::from_pixel(SIDE as u32, SIDE as u32, Rgb([grey; 3])),
            truth: Truth { objects, label_map, ..Truth::default() },
        }
    }

    /// Nothing is scaled or moved, all objects are pasted, and a quarter of an object must be left.
    fn plain() -> CopyPaste {
        let (size, scale) = ([SIDE; 2], [1.0; 2]);
        let framing = Framing { input: size, scaled: size, output: size, offset: [0, 0], scale };
        CopyPaste { mirrored: false, framing, subset: u64::MAX, least_visible: 0.25 }
    }

    /// What is there, what is pasted, and what is left of the first.
    type Row = (&'static str, [f32; 4], Vec<[f32; 4]>, Option<[f32; 4]>);

    #[test]
    fn what_is_covered_is_taken_from_boxes_and_masks_and_objects_with_too_little_left_are_dropped() {
        let own = [2.0, 2.0, 10.0, 10.0];
        let rows: [Row; 7] = [
            ("nothing is covered", own, vec![[10.0, 0.0, 12.0, 12.0]], Some(own)),
            ("a corner: the box stays", own, vec![[0.0, 0.0, 5.0, 5.0]], Some(own)),
            ("the left half", own, vec![[0.0, 0.0, 6.0, 12.0]], Some([6.0, 2.0, 10.0, 10.0])),
            ("a quarter is left", own, vec![[0.0, 0.0, 8.0, 12.0]], Some([8.0, 2.0, 10.0, 10.0])),
            ("less is left", own, vec![[0.0, 0.0, 9.0, 12.0]], None),
            (
                "two cover more",
                own,
                vec![[0.0, 0.0, 6.0, 12.0], [6.0, 0.0, 12.0, 6.0]],
                Some([6.0, 6.0, 10.0, 10.0]),
            ),
            // The left edge lies within a pixel, and stays there.
            (
                "parts of a pixel",
                [2.25, 2.0, 10.0, 10.0],
                vec![[0.0, 8.0, 12.0, 12.0]],
                Some([2.25, 2.0, 10.0, 8.0]),
            ),
        ];
        for masked in [false, true] {
            for (what, own, over, expected) in &rows {
                let other = sample(200, over.iter().map(|edges| object(1, *edges, masked)).collect());
                let pasted = plain().sample(
                    sample(50, vec![object(0, *own, masked)]),
                    &other,
                    Interpolation::Bilinear,
                );
                let left: Vec<_> = pasted.truth.objects.iter().filter(|object| object.class == 0).collect();
                let boxes: Vec<_> = left.iter().map(|object| object.bounding_box.xyxy()).collect();
                assert_eq!(boxes, expected.iter().copied().collect::<Vec<_>>(), "{what}, {masked}");
                // Those that were pasted are nearest to the viewer: last.
                let last: Vec<_> = pasted.truth.objects.iter().rev().take(over.len()).rev().collect();
                let boxes: Vec<_> = last.iter().map(|object| object.bounding_box.xyxy()).collect();
                assert_eq!(boxes, *over, "{what}, {masked}");
                // No pixel is of two objects, and every pixel and label is of the image whose object is seen there.
                for place in 0..SIDE * SIDE {
                    let over = over.iter().any(|edges| seen(&object(1, *edges, false), [SIDE; 2])[place]);
                    let grey = if over { 200 } else { 50 };
                    let (x, y) = ((place % SIDE) as u32, (place / SIDE) as u32);
                    assert_eq!(pasted.image.get_pixel(x, y).0, [grey; 3], "{what}, {masked}: {x}, {y}");
                    assert_eq!(pasted.truth.label_map.as_ref().map(|map| map.labels[place]), Some(grey));
                    let masks = left.iter().filter_map(|object| object.mask.as_ref());
                    assert!(masks.into_iter().all(|mask| !(over && mask.bits[place])), "{what}: {x}, {y}");
                }
            }
        }
    }

    #[test]
    fn a_subset_is_pasted_where_the_other_image_lies() {
        let objects = || {
            [[0.0, 0.0, 4.0, 4.0], [4.0, 4.0, 8.0, 8.0], [0.0, 6.0, 2.0, 12.0]]
                .map(|edges| object(1, edges, true))
        };
        let crowd = Object { crowd: true, ..object(2, [6.0, 0.0, 12.0, 4.0], true) };
        let other = sample(200, objects().into_iter().chain([crowd]).collect());
        let size = [SIDE; 2];
        let half = Framing { scaled: [6, 6], offset: [6, 3], scale: [0.5; 2], ..plain().framing };
        let boxes = |paste: CopyPaste| {
            let pasted = paste.sample(sample(50, vec![]), &other, Interpolation::Bilinear);
            assert_eq!([pasted.image.height() as usize, pasted.image.width() as usize], size);
            pasted.truth.objects.iter().map(|object| object.bounding_box.xyxy()).collect::<Vec<_>>()
        };
        // Of three the second; the fourth is a crowd.
        assert_eq!(boxes(CopyPaste { subset: 0b1010, ..plain() }), [[4.0, 4.0, 8.0, 8.0]]);
        assert_eq!(boxes(CopyPaste { subset: 0b0001, mirrored: true, ..plain() }), [[8.0, 0.0, 12.0, 4.0]]);
        // Half as large, three columns to the right and six rows down.
        assert_eq!(
            boxes(CopyPaste { subset: 0b0011, framing: half, ..plain() }),
            [[3.0, 6.0, 5.0, 8.0], [5.0, 8.0, 7.0, 10.0]]
        );
        assert_eq!(boxes(CopyPaste { subset: 0, ..plain() }), [[0.0; 4]; 0]);
    }

    #[test]
    fn a_keypoint_under_what_is_pasted_is_no_longer_visible() {
        let keypoint = |x, y, labelled| Keypoint { x, y, visible: labelled, labelled };
        let keypoints = vec![keypoint(3.5, 3.5, true), keypoint(9.5, 9.5, true), keypoint(3.0, 3.0, false)];
        let own = Object { keypoints, ..object(0, [2.0, 2.0, 11.0, 11.0], false) };
        let other = sample(200, vec![object(1, [0.0, 0.0, 5.0, 5.0], false)]);
        let pasted = plain().sample(sample(50, vec![own]), &other, Interpolation::Bilinear);
        let seen: Vec<_> =
            pasted.truth.objects[0].keypoints.iter().map(|point| (point.labelled, point.visible)).collect();
        assert_eq!(seen, [(true, false), (true, true), (false, false)]);
    }

    #[test]
    fn the_other_image_lies_inside_or_covers_the_image_at_the_scale_that_is_drawn() {
        let mut mirrored = 0;
        for seed in 0..200 {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            // 60 x 30 fits into 100 x 100 if it is 5/3 as large.
            let drawn = CopyPaste::draw([100, 100], [30, 60], [0.5, 2.0], 0.1, &mut rng);
            let Framing { scaled, offset, .. } = drawn.framing;
            assert!((50..=200).contains(&scaled[1]) && scaled[0].abs_diff(scaled[1] / 2) <= 1, "{scaled:?}");
            for i in 0..2 {
                let (start, end) = (offset[i], offset[i] + scaled[i] as i64);
                assert!((start >= 0 && end <= 100) || (start <= 0 && end >= 100), "{start} to {end}");
            }
            mirrored += usize::from(drawn.mirrored);
        }
        // Half of 200, within four deviations of 7.
        assert!((72..=128).contains(&mirrored), "{mirrored}");
    }
}
