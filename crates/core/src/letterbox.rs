//! An image scaled into a frame that keeps its aspect, the rest of the frame filled up: what YOLO's networks are shown.

use crate::BoundingBox;

/// How the scaled size is rounded and where in the frame the image lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letterboxing {
    /// To the nearest pixel, in the middle; an odd row or column is filled up below or to the right: YOLOv5 to v9.
    Centred,
    /// Down, in the upper left corner: YOLOX.
    TopLeft,
    /// Down, in the middle, and coordinates are scaled as the rounded size has it: Darknet, YOLO to v4.
    Darknet,
}

/// Where an image lies in its frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Letterbox {
    /// Height and width of the image.
    pub input: [usize; 2],
    /// Height and width it is scaled to.
    pub scaled: [usize; 2],
    /// Height and width of the frame.
    pub output: [usize; 2],
    /// Rows above it and columns to its left that are filled up.
    pub offset: [usize; 2],
    /// What y and x are multiplied by.
    pub scale: [f64; 2],
}

impl Letterbox {
    /// As large as a frame of height and width `output` allows.
    ///
    /// # Panics
    /// If the image or the frame has no pixels.
    pub fn new(kind: Letterboxing, input: [usize; 2], output: [usize; 2]) -> Self {
        Self::scaled_by(kind, input, output, fitting(input, output))
    }

    /// As large as the frame allows, but never larger than the image is: how YOLOv5 to v9 are scored.
    ///
    /// # Panics
    /// If the image or the frame has no pixels.
    pub fn not_enlarged(kind: Letterboxing, input: [usize; 2], output: [usize; 2]) -> Self {
        Self::scaled_by(kind, input, output, fitting(input, output).min(1.0))
    }

    fn scaled_by(kind: Letterboxing, input: [usize; 2], output: [usize; 2], ratio: f64) -> Self {
        let scaled: [usize; 2] = [0, 1].map(|i| {
            let exact = input[i] as f64 * ratio;
            let rounded = match kind {
                // Python's rounding: halves go to the even number.
                Letterboxing::Centred => exact.round_ties_even(),
                Letterboxing::TopLeft => exact.floor(),
                // A division of whole numbers there; here nothing may be lost to the ratio's last bit.
                Letterboxing::Darknet => (exact * (1.0 + 1e-12)).floor(),
            };
            (rounded as usize).clamp(1, output[i])
        });
        let scale = match kind {
            Letterboxing::Centred | Letterboxing::TopLeft => [ratio; 2],
            Letterboxing::Darknet => [0, 1].map(|i| scaled[i] as f64 / input[i] as f64),
        };
        let offset = match kind {
            Letterboxing::TopLeft => [0; 2],
            Letterboxing::Centred | Letterboxing::Darknet => [0, 1].map(|i| (output[i] - scaled[i]) / 2),
        };
        Self { input, scaled, output, offset, scale }
    }

    /// The same image in the smallest frame whose sides differ from this one's by multiples of `stride`: Ultralytics' `auto`,
    /// for single images. Only for an image in the middle of its frame.
    ///
    /// # Panics
    /// If `stride` is 0.
    pub fn trimmed(self, stride: usize) -> Self {
        let fill = [0, 1].map(|i| (self.output[i] - self.scaled[i]) % stride);
        let output = [0, 1].map(|i| self.scaled[i] + fill[i]);
        Self { output, offset: fill.map(|fill| fill / 2), ..self }
    }

    /// A box of the image, in the frame.
    pub fn into_frame(&self, bounding_box: &BoundingBox) -> BoundingBox {
        let [down, across] = self.scale.map(|scale| scale as f32);
        let [top, left] = self.offset.map(|offset| offset as f32);
        bounding_box.scaled([across, down]).moved([left, top])
    }

    /// A box of the frame, in the image and clipped to it.
    pub fn out_of_frame(&self, bounding_box: &BoundingBox) -> BoundingBox {
        let [down, across] = self.scale.map(|scale| (1.0 / scale) as f32);
        let [top, left] = self.offset.map(|offset| offset as f32);
        let [height, width] = self.input.map(|side| side as f32);
        bounding_box.moved([-left, -top]).scaled([across, down]).clipped(width, height)
    }
}

/// The largest factor by which an image fits into a frame.
fn fitting(input: [usize; 2], output: [usize; 2]) -> f64 {
    assert!(!input.contains(&0) && !output.contains(&0), "an image of {input:?} in a frame of {output:?}");
    let [down, across] = [0, 1].map(|i| output[i] as f64 / input[i] as f64);
    down.min(across)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Letterboxing::{Centred, Darknet, TopLeft};

    type Row = (Letterboxing, [usize; 2], [usize; 2], [usize; 2], [usize; 2]);

    /// Image, frame; scaled, offset. Arithmetic: the ratio is the smaller of the sides', the fill is halved.
    const EXPECTED: [Row; 10] = [
        // 640/1280 = 0.5: 360 rows, 280 to fill.
        (Centred, [720, 1280], [640, 640], [360, 640], [140, 0]),
        // 640/427: 500 x 1.4988 = 749.4 is too wide, so 640/500 = 1.28: 546.56 rows; 93 to fill, the odd one below.
        (Centred, [427, 500], [640, 640], [547, 640], [46, 0]),
        (TopLeft, [427, 500], [640, 640], [546, 640], [0, 0]),
        (Darknet, [427, 500], [640, 640], [546, 640], [47, 0]),
        // 416/576 x 768 = 554.67 is too wide; 416/768 x 576 = 312, exactly: Darknet's dog.jpg.
        (Darknet, [576, 768], [416, 416], [312, 416], [52, 0]),
        // 4/8 x 5 = 2.5, and 4/8 x 7 = 3.5: to the even number.
        (Centred, [5, 8], [4, 4], [2, 4], [1, 0]),
        (Centred, [7, 8], [4, 4], [4, 4], [0, 0]),
        // 640/77 x 77 is 639.9999999999999 in 64 bits, and YOLOX rounds it down; Darknet's numbers are whole.
        (TopLeft, [77, 77], [640, 640], [639, 639], [0, 0]),
        (Darknet, [77, 77], [640, 640], [640, 640], [0, 0]),
        // A line keeps a pixel.
        (TopLeft, [1, 2000], [640, 640], [1, 640], [0, 0]),
    ];

    #[test]
    fn the_image_is_scaled_and_placed_as_each_yolo_has_it() {
        for (kind, input, output, scaled, offset) in EXPECTED {
            let found = Letterbox::new(kind, input, output);
            assert_eq!((found.scaled, found.offset), (scaled, offset), "{kind:?} {input:?} {output:?}");
        }
        let small = Letterbox::not_enlarged(Centred, [100, 50], [640, 640]);
        assert_eq!((small.scaled, small.offset, small.scale), ([100, 50], [270, 295], [1.0; 2]));
    }

    #[test]
    fn a_trimmed_frame_has_sides_of_whole_strides() {
        // 280 rows to fill are 8 strides of 32 and 24 rows: a frame of 384.
        let wide = Letterbox::new(Centred, [720, 1280], [640, 640]).trimmed(32);
        assert_eq!((wide.output, wide.offset), ([384, 640], [12, 0]));
        // 93 are 2 strides and 29 rows: 14 above, 15 below.
        let odd = Letterbox::new(Centred, [427, 500], [640, 640]).trimmed(32);
        assert_eq!((odd.output, odd.offset), ([576, 640], [14, 0]));
    }

    #[test]
    fn boxes_go_into_the_frame_and_come_back() {
        let whole = Letterbox::new(Centred, [720, 1280], [640, 640]);
        let bounding_box = BoundingBox::from_xyxy([100.0, 200.0, 300.0, 720.0]);
        assert_eq!(whole.into_frame(&bounding_box).xyxy(), [50.0, 240.0, 150.0, 500.0]);
        // Beyond the image is clipped: row 140 of the frame is its upper edge.
        let beyond = BoundingBox::from_xyxy([-5.0, 100.0, 20.0, 150.0]);
        assert_eq!(whole.out_of_frame(&beyond).xyxy(), [0.0, 0.0, 40.0, 20.0]);
        for kind in [Centred, TopLeft, Darknet] {
            for input in [[427, 500], [333, 77], [1000, 1001]] {
                let letterbox = Letterbox::new(kind, input, [416, 608]);
                let [height, width] = input.map(|side| side as f32);
                let inside = BoundingBox::from_xyxy([0.1 * width, 0.2 * height, 0.7 * width, height]);
                let back = letterbox.out_of_frame(&letterbox.into_frame(&inside)).xyxy();
                assert!(back.iter().zip(inside.xyxy()).all(|(a, b)| (a - b).abs() < 1e-3), "{back:?}");
            }
        }
    }
}
