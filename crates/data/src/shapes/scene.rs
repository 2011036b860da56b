//! A scene: where the objects are and what covers what, then its image and its truth.

use std::f32::consts::PI;

use image::{Rgb, RgbImage};
use kiln_core::{BoundingBox, Keypoint, LabelMap, Mask, Object, Truth};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::outline::{Outline, Shape};
use super::texture::{Background, Colour, any_colour, colour_brighter_than, mix};

/// Radius of the principal object, in sides of the image.
const PRINCIPAL: std::ops::Range<f32> = 0.24..0.42;
/// Radius of the others, in radii of the principal one.
const OTHERS: std::ops::Range<f32> = 0.4..0.55;
/// How far the principal object's circle may leave the image, in its radii.
const OVERHANG: f32 = 0.12;
/// How much brighter than its background an object is, from hard to see to plain.
const CONTRAST: std::ops::Range<f32> = 0.25..0.6;
/// Least part of an object that is seen.
const VISIBLE: f32 = 0.5;
/// Standard deviation of the grain of each pixel.
const GRAIN: f32 = 0.03;

/// All that decides an image.
pub(super) struct Scene {
    size: usize,
    background: Background,
    /// The farthest first, the principal one last.
    objects: Vec<Placed>,
    masks: Vec<Mask>,
    grain: ChaCha8Rng,
}

/// A shape at its place in the image, in pixels.
struct Placed {
    shape: Shape,
    outline: Outline,
    centre: [f32; 2],
    radius: f32,
    /// Cosine and sine of its rotation.
    turn: [f32; 2],
    colours: [Colour; 2],
}

impl Scene {
    pub(super) fn sample(size: usize, rng: &mut ChaCha8Rng) -> Self {
        let side = size as f32;
        let background = Background::sample(rng);
        let backgrounds = background.colours();

        // Nearest first, so that each is tried against all that may cover it.
        let radius = rng.random_range(PRINCIPAL);
        let margin = radius * (1.0 - OVERHANG);
        let mut objects = vec![Placed::sample(side, radius, margin, &backgrounds, rng)];
        for _ in 0..[0, 0, 0, 1, 1, 1, 2][rng.random_range(0..7)] {
            for _ in 0..8 {
                let radius = radius * rng.random_range(OTHERS);
                let object = Placed::sample(side, radius, 0.4 * radius, &backgrounds, rng);
                if object.part_seen(size, &objects) >= VISIBLE {
                    objects.push(object);
                    break;
                }
            }
        }
        objects.reverse();

        let masks = (0..objects.len()).map(|i| objects[i].mask(size, &objects[i + 1..])).collect();
        Self { size, background, objects, masks, grain: ChaCha8Rng::from_seed(rng.random()) }
    }

    pub(super) fn image(&self) -> RgbImage {
        let size = self.size;
        let at = |i: usize| (i as f32 + 0.5) / size as f32;
        let mut colours: Vec<Colour> = (0..size)
            .flat_map(|row| (0..size).map(move |column| [at(column), at(row)]))
            .map(|place| self.background.at(place))
            .collect();
        for object in &self.objects {
            for (column, row) in object.pixels(size) {
                let [x, y] = object.to_frame([column as f32 + 0.5, row as f32 + 0.5]);
                // The part of the pixel that is covered, as if the outline were straight within it.
                let coverage = (0.5 - object.outline.distance([x, y]) * object.radius).clamp(0.0, 1.0);
                if coverage > 0.0 {
                    let colour = &mut colours[row * size + column];
                    let shaded = mix(object.colours[0], object.colours[1], 0.5 + 0.5 * x);
                    *colour = mix(*colour, shaded, coverage);
                }
            }
        }
        let mut grain = self.grain.clone();
        RgbImage::from_fn(size as u32, size as u32, |column, row| {
            let bytes = grain.random::<u64>().to_le_bytes();
            let colour = colours[row as usize * size + column as usize];
            Rgb([0, 1, 2].map(|c| {
                // Two even bytes make a triangular distribution of deviation 1/√6 between -1 and 1.
                let even = (f32::from(bytes[2 * c]) + f32::from(bytes[2 * c + 1])) / 255.0 - 1.0;
                ((colour[c] + GRAIN * 6f32.sqrt() * even) * 255.0).round().clamp(0.0, 255.0) as u8
            }))
        })
    }

    pub(super) fn truth(&self) -> Truth {
        let size = self.size;
        let mut labels = vec![0; size * size];
        let mut objects = Vec::with_capacity(self.objects.len());
        for (i, (object, mask)) in self.objects.iter().zip(&self.masks).enumerate() {
            let class = object.shape as usize;
            for (label, _) in labels.iter_mut().zip(&mask.bits).filter(|(_, bit)| **bit) {
                *label = class as u8 + 1;
            }
            objects.push(Object {
                class,
                bounding_box: object.bounding_box().clipped(size as f32, size as f32),
                mask: Some(mask.clone()),
                keypoints: object.keypoints(size, &self.objects[i + 1..]),
                crowd: false,
                difficult: false,
            });
        }
        Truth {
            class: self.objects.last().map(|principal| principal.shape as usize),
            objects,
            label_map: Some(LabelMap { width: size, height: size, labels }),
            ..Truth::default()
        }
    }
}

impl Placed {
    /// A random shape of `radius` (in sides of the image), its centre at least `margin` from the borders.
    fn sample(side: f32, radius: f32, margin: f32, backgrounds: &[Colour], rng: &mut ChaCha8Rng) -> Self {
        let shape = Shape::ALL[rng.random_range(0..Shape::ALL.len())];
        let angle = rng.random_range(0.0..2.0 * PI);
        let contrast = rng.random_range(CONTRAST);
        let colour = colour_brighter_than(backgrounds, contrast, rng);
        let shade = mix(colour, any_colour(rng), rng.random_range(0.0..0.15));
        Self {
            shape,
            outline: shape.outline(),
            centre: [0, 1].map(|_| side * rng.random_range(margin..1.0 - margin)),
            radius: side * radius,
            turn: [angle.cos(), angle.sin()],
            colours: [colour, shade],
        }
    }

    fn to_frame(&self, [x, y]: [f32; 2]) -> [f32; 2] {
        let [x, y] = [(x - self.centre[0]) / self.radius, (y - self.centre[1]) / self.radius];
        let [cos, sin] = self.turn;
        [cos * x + sin * y, cos * y - sin * x]
    }

    /// The point of the outline farthest in a direction of the image, in pixels.
    fn extreme(&self, [dx, dy]: [f32; 2]) -> [f32; 2] {
        let [cos, sin] = self.turn;
        let [x, y] = self.outline.extreme([cos * dx + sin * dy, cos * dy - sin * dx]);
        [
            self.centre[0] + self.radius * (cos * x - sin * y),
            self.centre[1] + self.radius * (sin * x + cos * y),
        ]
    }

    fn bounding_box(&self) -> BoundingBox {
        BoundingBox {
            x1: self.extreme([-1.0, 0.0])[0],
            y1: self.extreme([0.0, -1.0])[1],
            x2: self.extreme([1.0, 0.0])[0],
            y2: self.extreme([0.0, 1.0])[1],
        }
    }

    fn covers(&self, p: [f32; 2]) -> bool {
        let [x, y] = self.to_frame(p);
        x * x + y * y <= 1.0 && self.outline.distance([x, y]) <= 0.0
    }

    /// The pixels of the image that the object may touch.
    fn pixels(&self, size: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let reach = |centre: f32, out: f32| (centre + out).clamp(0.0, size as f32) as usize;
        let [columns, rows] = self.centre.map(|c| reach(c, -self.radius - 1.0)..reach(c, self.radius + 2.0));
        rows.flat_map(move |row| columns.clone().map(move |column| (column, row)))
    }

    fn mask(&self, size: usize, nearer: &[Placed]) -> Mask {
        let mut bits = vec![false; size * size];
        for (column, row) in self.pixels(size) {
            let centre = [column as f32 + 0.5, row as f32 + 0.5];
            bits[row * size + column] =
                self.covers(centre) && !nearer.iter().any(|other| other.covers(centre));
        }
        Mask { width: size, height: size, bits }
    }

    /// The part of the object that is in the image and not covered.
    fn part_seen(&self, size: usize, nearer: &[Placed]) -> f32 {
        let side = size as f32;
        let (mut whole, mut seen) = (0, 0);
        // Twelve steps a radius see enough, at every size of image.
        for i in -12..=12 {
            for j in -12..=12 {
                let [x, y] = [i as f32 / 12.0, j as f32 / 12.0];
                if x * x + y * y > 1.0 || self.outline.distance([x, y]) > 0.0 {
                    continue;
                }
                let [cos, sin] = self.turn;
                let p = [
                    self.centre[0] + self.radius * (cos * x - sin * y),
                    self.centre[1] + self.radius * (sin * x + cos * y),
                ];
                let inside = p.iter().all(|&v| (0.0..side).contains(&v));
                whole += 1;
                seen += u32::from(inside && !nearer.iter().any(|other| other.covers(p)));
            }
        }
        seen as f32 / whole as f32
    }

    fn keypoints(&self, size: usize, nearer: &[Placed]) -> Vec<Keypoint> {
        [self.centre, self.extreme([0.0, -1.0]), self.extreme([0.0, 1.0])]
            .map(|p| {
                let labelled = p.iter().all(|&v| (0.0..=size as f32).contains(&v));
                let visible = labelled && !nearer.iter().any(|other| other.covers(p));
                Keypoint { x: p[0], y: p[1], visible, labelled }
            })
            .to_vec()
    }
}
