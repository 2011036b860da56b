//! Geometry in pixels: x to the right, y down, the centre of the first pixel at (0.5, 0.5).

/// An axis-aligned rectangle by its corners, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundingBox {
    /// Left edge.
    pub x1: f32,
    /// Upper edge.
    pub y1: f32,
    /// Right edge.
    pub x2: f32,
    /// Lower edge.
    pub y2: f32,
}

impl BoundingBox {
    /// Of `[left, upper, right, lower]` edges: torchvision's `xyxy`.
    pub fn from_xyxy([x1, y1, x2, y2]: [f32; 4]) -> Self {
        Self { x1, y1, x2, y2 }
    }

    /// Of `[left edge, upper edge, width, height]`: what COCO's files hold.
    pub fn from_xywh([x, y, width, height]: [f32; 4]) -> Self {
        Self { x1: x, y1: y, x2: x + width, y2: y + height }
    }

    /// Of `[centre x, centre y, width, height]`: what YOLO's files hold, in parts of the image, and its heads predict.
    pub fn from_cxcywh([x, y, width, height]: [f32; 4]) -> Self {
        Self { x1: x - width / 2.0, y1: y - height / 2.0, x2: x + width / 2.0, y2: y + height / 2.0 }
    }

    /// `[left, upper, right, lower]` edges.
    pub fn xyxy(&self) -> [f32; 4] {
        [self.x1, self.y1, self.x2, self.y2]
    }

    /// `[left edge, upper edge, width, height]`.
    pub fn xywh(&self) -> [f32; 4] {
        [self.x1, self.y1, self.width(), self.height()]
    }

    /// `[centre x, centre y, width, height]`.
    pub fn cxcywh(&self) -> [f32; 4] {
        let [x, y] = self.centre();
        [x, y, self.width(), self.height()]
    }

    /// The smallest box around `points`; `None` without points.
    pub fn around(points: impl IntoIterator<Item = [f32; 2]>) -> Option<Self> {
        points.into_iter().fold(None, |bounds, [x, y]| {
            let b = bounds.unwrap_or(Self { x1: x, y1: y, x2: x, y2: y });
            Some(Self { x1: b.x1.min(x), y1: b.y1.min(y), x2: b.x2.max(x), y2: b.y2.max(y) })
        })
    }

    /// The four corners, clockwise from the upper left.
    pub fn corners(&self) -> [[f32; 2]; 4] {
        [[self.x1, self.y1], [self.x2, self.y1], [self.x2, self.y2], [self.x1, self.y2]]
    }

    /// The part inside an image of `width` x `height` pixels; its area is 0 if there is none.
    pub fn clipped(&self, width: f32, height: f32) -> Self {
        Self {
            x1: self.x1.clamp(0.0, width),
            y1: self.y1.clamp(0.0, height),
            x2: self.x2.clamp(0.0, width),
            y2: self.y2.clamp(0.0, height),
        }
    }

    /// Its coordinates times `[across, down]`: from parts of an image to pixels, or back.
    pub fn scaled(&self, [across, down]: [f32; 2]) -> Self {
        Self { x1: self.x1 * across, y1: self.y1 * down, x2: self.x2 * across, y2: self.y2 * down }
    }

    /// Its coordinates moved by `[right, down]`.
    pub fn moved(&self, [right, down]: [f32; 2]) -> Self {
        Self { x1: self.x1 + right, y1: self.y1 + down, x2: self.x2 + right, y2: self.y2 + down }
    }

    /// Whether both may share an area; where not, their IoU is 0. Quicker to find than that.
    #[inline]
    pub fn meets(&self, other: &Self) -> bool {
        self.x1 < other.x2 && other.x1 < self.x2 && self.y1 < other.y2 && other.y1 < self.y2
    }

    /// `[x, y]` of its centre.
    pub fn centre(&self) -> [f32; 2] {
        [(self.x1 + self.x2) / 2.0, (self.y1 + self.y2) / 2.0]
    }

    /// Width in pixels; 0 where the edges are the wrong way round.
    pub fn width(&self) -> f32 {
        (self.x2 - self.x1).max(0.0)
    }

    /// Height in pixels; 0 where the edges are the wrong way round.
    pub fn height(&self) -> f32 {
        (self.y2 - self.y1).max(0.0)
    }

    /// Area in square pixels.
    pub fn area(&self) -> f32 {
        self.width() * self.height()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_the_same_in_every_format() {
        // 30 wide and 20 high, its corner at (10, 40): the centre is (25, 50).
        let (xyxy, xywh, cxcywh) =
            ([10.0, 40.0, 40.0, 60.0], [10.0, 40.0, 30.0, 20.0], [25.0, 50.0, 30.0, 20.0]);
        let boxes =
            [BoundingBox::from_xyxy(xyxy), BoundingBox::from_xywh(xywh), BoundingBox::from_cxcywh(cxcywh)];
        for b in boxes {
            assert_eq!((b.xyxy(), b.xywh(), b.cxcywh(), b.area()), (xyxy, xywh, cxcywh, 600.0));
        }
        // In parts of an image of 100 x 80.
        let parts = boxes[0].scaled([1.0 / 100.0, 1.0 / 80.0]);
        assert_eq!(parts.cxcywh().map(|v| (v * 1e4).round()), [2500.0, 6250.0, 3000.0, 2500.0]);
        assert_eq!(boxes[0].moved([5.0, -40.0]).xyxy(), [15.0, 0.0, 45.0, 20.0]);
        // Side by side they do not meet.
        assert!(
            boxes[0].meets(&boxes[0].moved([29.0, 19.0])) && !boxes[0].meets(&boxes[0].moved([30.0, 0.0]))
        );
        // The wrong way round: no size.
        let inverted = BoundingBox::from_xyxy([40.0, 40.0, 10.0, 60.0]);
        assert_eq!((inverted.xywh(), inverted.area()), ([40.0, 40.0, 0.0, 20.0], 0.0));
    }

    #[test]
    fn a_box_around_points_is_clipped_to_the_image() {
        let bounds = BoundingBox::around([[-2.0, 3.0], [4.0, 1.0], [1.0, 9.0]]).expect("three points");
        assert_eq!(bounds, BoundingBox { x1: -2.0, y1: 1.0, x2: 4.0, y2: 9.0 });
        assert_eq!(bounds.clipped(8.0, 8.0).area(), 4.0 * 7.0);
        assert_eq!(BoundingBox::around([]), None);
    }
}
