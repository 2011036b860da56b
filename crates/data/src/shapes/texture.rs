//! Colours, and the textured backgrounds.

use std::f32::consts::PI;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Red, green and blue between 0 and 1.
pub(super) type Colour = [f32; 3];

pub(super) fn any_colour(rng: &mut ChaCha8Rng) -> Colour {
    rng.random()
}

/// The colour a part `t` of the way from `a` to `b`.
pub(super) fn mix(a: Colour, b: Colour, t: f32) -> Colour {
    [0, 1, 2].map(|c| a[c] + (b[c] - a[c]) * t)
}

/// Brightness as the eye sees it (ITU-R BT.601).
fn brightness([red, green, blue]: Colour) -> f32 {
    0.299 * red + 0.587 * green + 0.114 * blue
}

/// A colour that is brighter than each of `others` by `contrast` at least, or the brightest of many tries.
pub(super) fn colour_brighter_than(others: &[Colour], contrast: f32, rng: &mut ChaCha8Rng) -> Colour {
    let brightest = others.iter().map(|&other| brightness(other)).fold(0.0, f32::max);
    let mut best = [0.0; 3];
    for _ in 0..64 {
        let colour = any_colour(rng);
        if brightness(colour) > brightness(best) {
            best = colour;
        }
        if brightness(colour) >= brightest + contrast {
            return colour;
        }
    }
    best
}

/// A background between two colours.
pub(super) struct Background {
    colours: [Colour; 2],
    pattern: Pattern,
}

/// Each turns a place (0 to 1 across the image) into a part between 0 and 1.
enum Pattern {
    Gradient { direction: [f32; 2] },
    Stripes { wave: [f32; 2], phase: f32, sharpness: f32 },
    Checks { waves: [[f32; 2]; 2], phases: [f32; 2] },
    Noise { coarse: Lattice, fine: Lattice },
    Blobs(Vec<Blob>),
}

struct Blob {
    centre: [f32; 2],
    radius: f32,
    strength: f32,
}

impl Background {
    pub(super) fn sample(rng: &mut ChaCha8Rng) -> Self {
        // Dark enough to leave room for brighter objects.
        let dark = |most: f32, rng: &mut ChaCha8Rng| mix([0.0; 3], any_colour(rng), most);
        let first = dark(rng.random_range(0.3..0.7), rng);
        let second = mix(first, dark(0.7, rng), rng.random_range(0.4..1.0));
        let pattern = match rng.random_range(0..5) {
            0 => Pattern::Gradient { direction: turned(rng.random_range(0.0..2.0 * PI), 1.0) },
            1 => Pattern::Stripes {
                wave: turned(rng.random_range(0.0..PI), rng.random_range(2.5..9.0) * 2.0 * PI),
                phase: rng.random_range(0.0..2.0 * PI),
                sharpness: rng.random_range(0.6..4.0),
            },
            2 => {
                let (angle, frequency) =
                    (rng.random_range(0.0..PI / 2.0), rng.random_range(1.5..5.0) * 2.0 * PI);
                Pattern::Checks {
                    waves: [turned(angle, frequency), turned(angle + PI / 2.0, frequency)],
                    phases: [rng.random_range(0.0..2.0 * PI), rng.random_range(0.0..2.0 * PI)],
                }
            }
            3 => Pattern::Noise {
                coarse: Lattice::sample(rng.random_range(3..6), rng),
                fine: Lattice::sample(rng.random_range(8..14), rng),
            },
            _ => Pattern::Blobs(
                (0..rng.random_range(3..8))
                    .map(|_| Blob {
                        centre: rng.random(),
                        radius: rng.random_range(0.08..0.3),
                        strength: rng.random_range(0.4..1.0),
                    })
                    .collect(),
            ),
        };
        Self { colours: [first, second], pattern }
    }

    /// What an object must stand out from.
    pub(super) fn colours(&self) -> [Colour; 3] {
        let [a, b] = self.colours;
        [a, b, mix(a, b, 0.5)]
    }

    /// The colour at a place, 0 to 1 across the image.
    pub(super) fn at(&self, [x, y]: [f32; 2]) -> Colour {
        let wave = |[wx, wy]: [f32; 2], phase: f32| (wx * x + wy * y + phase).sin();
        let t = match &self.pattern {
            Pattern::Gradient { direction } => 0.5 + direction[0] * (x - 0.5) + direction[1] * (y - 0.5),
            Pattern::Stripes { wave: w, phase, sharpness } => 0.5 + 0.5 * wave(*w, *phase) * sharpness,
            Pattern::Checks { waves, phases } => {
                0.5 + 2.0 * wave(waves[0], phases[0]) * wave(waves[1], phases[1])
            }
            Pattern::Noise { coarse, fine } => 1.6 * (0.65 * coarse.at(x, y) + 0.35 * fine.at(x, y)) - 0.3,
            Pattern::Blobs(blobs) => blobs
                .iter()
                .map(|blob| {
                    let away = ((x - blob.centre[0]).hypot(y - blob.centre[1]) / blob.radius).powi(2);
                    blob.strength * (-away).exp()
                })
                .sum(),
        };
        mix(self.colours[0], self.colours[1], t.clamp(0.0, 1.0))
    }
}

fn turned(angle: f32, length: f32) -> [f32; 2] {
    [angle.cos() * length, angle.sin() * length]
}

/// Value noise: random numbers on a square lattice, smoothly joined.
struct Lattice {
    cells: usize,
    values: Vec<f32>,
}

impl Lattice {
    fn sample(cells: usize, rng: &mut ChaCha8Rng) -> Self {
        Self { cells, values: (0..(cells + 1) * (cells + 1)).map(|_| rng.random()).collect() }
    }

    fn at(&self, x: f32, y: f32) -> f32 {
        let place = |v: f32| {
            let v = v * self.cells as f32;
            let cell = (v as usize).min(self.cells - 1);
            let t = v - cell as f32;
            (cell, t * t * (3.0 - 2.0 * t))
        };
        let ((column, tx), (row, ty)) = (place(x), place(y));
        let row_at = |row: usize| {
            let left = self.values[row * (self.cells + 1) + column];
            let right = self.values[row * (self.cells + 1) + column + 1];
            left + (right - left) * tx
        };
        let (above, below) = (row_at(row), row_at(row + 1));
        above + (below - above) * ty
    }
}
