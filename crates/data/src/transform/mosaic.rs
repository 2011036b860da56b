//! Four images around a random point of a canvas of twice the size (Bochkovskiy et al. 2020, "YOLOv4: Optimal speed and accuracy
//! of object detection", Section 3.3), placed as YOLOv5 has them.

use image::{Rgb, RgbImage};
use kiln_core::{IGNORED, LabelMap, Truth};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Framing, Interpolation, Motion, warp};
use crate::Sample;

/// A mosaic with nothing left to chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mosaic {
    /// The longer side of each image, half a side of the canvas.
    pub side: usize,
    /// Row and column where the images meet.
    pub centre: [usize; 2],
}

impl Mosaic {
    /// With its centre anywhere in the middle half of the canvas.
    pub fn draw(side: usize, rng: &mut ChaCha8Rng) -> Self {
        let centre = [(); 2].map(|()| rng.random_range(side / 2..=(3 * side / 2)));
        Self { side, centre }
    }

    /// The images, the first to the upper left of the centre, then upper right, lower left and lower right, each with a corner
    /// at the centre and cut off by the canvas. An object of which less than a square pixel is left is dropped. Where all have label
    /// maps the result has one.
    pub fn sample(&self, parts: &[Sample; 4], interpolation: Interpolation, fill: [u8; 3]) -> Sample {
        let canvas = 2 * self.side;
        let mut image = RgbImage::from_pixel(canvas as u32, canvas as u32, Rgb(fill));
        let labels = vec![IGNORED; canvas * canvas];
        let map = LabelMap { width: canvas, height: canvas, labels };
        let has_labels = parts.iter().all(|part| part.truth.label_map.is_some());
        let mut truth = Truth { label_map: has_labels.then_some(map), ..Truth::default() };
        for (number, part) in parts.iter().enumerate() {
            let tile = self.tile(number, warp::size(&part.image));
            tile.paint(&mut image, &part.image, interpolation);
            let moved = tile.truth(&part.truth);
            truth.objects.extend(moved.objects);
            if let (Some(map), Some(moved)) = (&mut truth.label_map, moved.label_map) {
                let pairs = map.labels.iter_mut().zip(moved.labels);
                pairs.filter(|(_, label)| *label != IGNORED).for_each(|(to, label)| *to = label);
            }
        }
        Sample { image, truth }
    }

    /// Where an image of height and width `input` lies that is number `number` of the four.
    fn tile(&self, number: usize, input: [usize; 2]) -> Framing {
        let ratio = self.side as f64 / input[0].max(input[1]) as f64;
        let scaled = input.map(|length| ((length as f64 * ratio).round_ties_even() as usize).max(1));
        // Before the centre or behind it, in rows and in columns.
        let before = [number < 2, number.is_multiple_of(2)];
        let offset = [0, 1].map(|i| self.centre[i] as i64 - if before[i] { scaled[i] as i64 } else { 0 });
        let scale = [0, 1].map(|i| scaled[i] as f64 / input[i] as f64);
        Framing { input, scaled, output: [2 * self.side; 2], offset, scale }
    }
}
