//! Functions of two numbers that optimizers are tried on, and their pictures.

use crate::draw::{Anchor, Drawing};

/// A function of two numbers, and a place to start from.
pub struct Surface {
    /// Its name.
    pub name: &'static str,
    /// Its value at a place.
    pub value: fn([f64; 2]) -> f64,
    /// Its gradient there.
    pub gradient: fn([f64; 2]) -> [f64; 2],
    /// Where walks begin.
    pub start: [f64; 2],
    /// What is drawn: the least and the largest of both numbers.
    window: [[f64; 2]; 2],
    /// The values at which lines are drawn.
    levels: &'static [f64],
}

/// Side of a picture, in its units.
const SIZE: f64 = 170.0;
/// Squares a side in which a level line is a straight piece.
const SQUARES: usize = 40;
/// Of the paths of a picture.
const COLOURS: [usize; 3] = [1, 2, 4];

/// A narrow valley (Rosenbrock 1960), a saddle, and a bowl with waves (after Rastrigin 1974).
pub const SURFACES: [Surface; 3] = [
    Surface {
        name: "valley",
        value: |[x, y]| (1.0 - x).powi(2) + 100.0 * (y - x * x).powi(2),
        gradient: |[x, y]| [-2.0 * (1.0 - x) - 400.0 * x * (y - x * x), 200.0 * (y - x * x)],
        start: [-1.2, 1.0],
        window: [[-1.8, 1.8], [-1.0, 2.6]],
        levels: &[10.0, 30.0, 100.0, 300.0, 900.0],
    },
    Surface {
        name: "saddle",
        value: |[x, y]| x * x - y * y + y.powi(4) / 4.0,
        gradient: |[x, y]| [2.0 * x, -2.0 * y + y.powi(3)],
        start: [1.2, 0.001],
        window: [[-1.8, 1.8], [-1.8, 1.8]],
        levels: &[-0.9, -0.6, -0.3, -0.05, 0.05, 0.4, 1.0, 2.0],
    },
    Surface {
        name: "waves",
        value: |[x, y]| x * x + y * y + 2.0 - (TURN * x).cos() - (TURN * y).cos(),
        gradient: |[x, y]| [2.0 * x + TURN * (TURN * x).sin(), 2.0 * y + TURN * (TURN * y).sin()],
        start: [-1.7, 1.3],
        window: [[-2.2, 2.2], [-2.2, 2.2]],
        levels: &[0.5, 1.5, 2.5, 3.5, 5.0, 7.0],
    },
];

const TURN: f64 = std::f64::consts::TAU;

impl Surface {
    /// Paths over the level lines, each in a colour of its own and with its name below; places outside are left out.
    pub(super) fn picture(&self, title: String, paths: &[(String, Vec<[f64; 2]>)]) -> Drawing {
        let mut drawing = Drawing::new(title, [SIZE, SIZE + 16.0 * paths.len() as f64 + 4.0]).at_most(340.0);
        self.levels.iter().for_each(|level| drawing.path(&self.line(*level), "grid"));
        drawing.frame([0.5, 0.5, SIZE - 1.0, SIZE - 1.0], "cell");
        drawing.circle(self.at(self.start), 3.5, "ring");
        for (at, (name, path)) in paths.iter().enumerate() {
            let colour = COLOURS[at];
            let places: Vec<[f64; 2]> = path.iter().map(|place| self.seen(*place)).collect();
            drawing.path(&places, &format!("line thin colour-{colour}"));
            if let Some(end) = places.last().filter(|end| end[0].is_finite()) {
                drawing.circle(*end, 3.2, &format!("dot colour-{colour}"));
            }
            let below = SIZE + 16.0 * (at + 1) as f64 - 2.0;
            drawing.text([2.0, below], Anchor::Start, &format!("tinted colour-{colour}"), name);
        }
        drawing
    }

    /// Where a place is in the picture, if it is.
    fn seen(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [[left, right], [low, high]] = self.window;
        match (left..=right).contains(&x) && (low..=high).contains(&y) {
            true => self.at([x, y]),
            false => [f64::NAN; 2],
        }
    }

    /// Where a place is in the picture.
    fn at(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        let [[left, right], [low, high]] = self.window;
        [SIZE * (x - left) / (right - left), SIZE * (high - y) / (high - low)]
    }

    /// The line of a level: a piece for each square that it crosses (marching squares, Lorensen and Cline 1987 in two dimensions), with gaps between them.
    fn line(&self, level: f64) -> Vec<[f64; 2]> {
        let [[left, right], [low, high]] = self.window;
        let place = |column: usize, row: usize| {
            let share = |at: usize| at as f64 / SQUARES as f64;
            [left + share(column) * (right - left), low + share(row) * (high - low)]
        };
        let mut line = Vec::new();
        for row in 0..SQUARES {
            for column in 0..SQUARES {
                let corners = [[0, 0], [1, 0], [1, 1], [0, 1]].map(|[c, r]| place(column + c, row + r));
                let mut crossed = Vec::new();
                for (a, b) in (0..4).map(|side| (corners[side], corners[(side + 1) % 4])) {
                    let [of_a, of_b] = [a, b].map(|place| (self.value)(place) - level);
                    if (of_a < 0.0) != (of_b < 0.0) {
                        let share = of_a / (of_a - of_b);
                        crossed.push(self.at([a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1])]));
                    }
                }
                for pair in crossed.chunks_exact(2) {
                    line.extend([pair[0], pair[1], [f64::NAN; 2]]);
                }
            }
        }
        line
    }
}
