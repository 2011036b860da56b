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

    /// Width in pixels.
    pub fn width(&self) -> f32 {
        (self.x2 - self.x1).max(0.0)
    }

    /// Height in pixels.
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
    fn a_box_around_points_is_clipped_to_the_image() {
        let bounds = BoundingBox::around([[-2.0, 3.0], [4.0, 1.0], [1.0, 9.0]]).expect("three points");
        assert_eq!(bounds, BoundingBox { x1: -2.0, y1: 1.0, x2: 4.0, y2: 9.0 });
        assert_eq!(bounds.clipped(8.0, 8.0).area(), 4.0 * 7.0);
        assert_eq!(BoundingBox::around([]), None);
    }
}
