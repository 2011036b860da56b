//! What follows when pixels move: boxes, masks, keypoints and label maps, whatever moved them.

use kiln_core::{BoundingBox, IGNORED, Keypoint, LabelMap, Mask, Object, Truth};

/// Least area of an object's box in the new image; a smaller one is dropped.
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

    /// The truth. Boxes are those of their four corners in the new image, clipped to it; an object whose box is then
    /// smaller than one square pixel is dropped. A keypoint outside the new image is no longer labelled. Masks and label
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
    let bounding_box = BoundingBox::around(corners)?.clipped(width as f32, height as f32);
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
    (bounding_box.area() >= LEAST_AREA).then_some(Object {
        class: object.class,
        bounding_box,
        mask,
        keypoints,
        crowd: object.crowd,
    })
}
