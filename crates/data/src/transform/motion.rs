//! What follows when pixels move: boxes, masks, keypoints and label maps, whatever moved them.

use kiln_core::{BoundingBox, IGNORED, Keypoint, LabelMap, Mask, Object, Truth};

/// Least area of an object's box in the new image, where a motion has no rule of its own; a smaller one is dropped.
const LEAST_AREA: f32 = 1.0;

/// A geometric step for a certain image.
pub trait Motion {
    /// Height and width of the new image.
    fn output(&self) -> [usize; 2];

    /// Where a point of the old image lies in the new one, in pixels.
    fn point(&self, point: [f32; 2]) -> [f32; 2];

    /// For each pixel of the new image, row by row, the nearest one of an old image of height and width `input`; `None`
    /// where there is none.
    fn places(&self, input: [usize; 2]) -> Vec<Option<usize>>;

    /// Whether an object stays whose box was `before` in the old image and is `after` in the new one, clipped to it.
    fn keeps(&self, _before: &BoundingBox, after: &BoundingBox) -> bool {
        after.area() >= LEAST_AREA
    }

    /// The truth. A box is the smallest around the part of the moved old one that is inside the new image; an object whose box
    /// the motion does not keep is dropped: one smaller than a square pixel, where it has no rule of its own. A keypoint outside the new image is no longer labelled. Masks and label
    /// maps take the nearest pixel; outside the old image there is no object, and the label is [`IGNORED`].
    fn truth(&self, truth: &Truth) -> Truth {
        let [height, width] = self.output();
        let label_map = truth.label_map.as_ref().map(|map| LabelMap {
            width,
            height,
            labels: carried(self, &map.labels, [map.height, map.width], IGNORED),
        });
        let objects = truth.objects.iter().filter_map(|object| moved(self, object)).collect();
        Truth { class: truth.class, mixture: truth.mixture.clone(), objects, label_map }
    }
}

/// A picture of any kind of pixel, row by row, with `fill` where there was none.
fn carried<T: Copy>(motion: &(impl Motion + ?Sized), pixels: &[T], input: [usize; 2], fill: T) -> Vec<T> {
    motion.places(input).into_iter().map(|place| place.map_or(fill, |i| pixels[i])).collect()
}

fn moved(motion: &(impl Motion + ?Sized), object: &Object) -> Option<Object> {
    let [height, width] = motion.output();
    let corners = object.bounding_box.corners().map(|corner| motion.point(corner));
    let bounding_box = BoundingBox::around(inside(corners.to_vec(), [width as f32, height as f32]))?;
    if !motion.keeps(&object.bounding_box, &bounding_box) {
        return None;
    }
    let mask = object.mask.as_ref().map(|mask| Mask {
        width,
        height,
        bits: carried(motion, &mask.bits, [mask.height, mask.width], false),
    });
    let keypoint = |old: &Keypoint| {
        let [x, y] = motion.point([old.x, old.y]);
        let inside = (0.0..=width as f32).contains(&x) && (0.0..=height as f32).contains(&y);
        let labelled = old.labelled && inside;
        Keypoint { x, y, labelled, visible: old.visible && labelled }
    };
    let keypoints = object.keypoints.iter().map(keypoint).collect();
    let Object { class, crowd, difficult, .. } = *object;
    Some(Object { class, bounding_box, mask, keypoints, crowd, difficult })
}

/// The corners of the part of a convex figure inside an image, side by side (Sutherland and Hodgman 1974, "Reentrant polygon
/// clipping"): a turned box that is cut off has another box around it than the whole one, cut off.
fn inside(mut figure: Vec<[f32; 2]>, size: [f32; 2]) -> Vec<[f32; 2]> {
    for (axis, limit, sign) in [(0, 0.0, 1.0), (0, size[0], -1.0), (1, 0.0, 1.0), (1, size[1], -1.0)] {
        let distance = |point: &[f32; 2]| sign * (point[axis] - limit);
        let mut kept = Vec::with_capacity(figure.len() + 1);
        for (i, point) in figure.iter().enumerate() {
            let next = &figure[(i + 1) % figure.len()];
            let (here, there) = (distance(point), distance(next));
            if here >= 0.0 {
                kept.push(*point);
            }
            if (here >= 0.0) != (there >= 0.0) {
                let part = here / (here - there);
                let mut crossing = [0, 1].map(|i| point[i] + (next[i] - point[i]) * part);
                crossing[axis] = limit;
                kept.push(crossing);
            }
        }
        figure = kept;
    }
    figure
}
