//! The permutohedral lattice: a Gaussian filter over points of several dimensions, in time proportional to their number.
//!
//! Andrew Adams, Jongmin Baek, Abe Davis, *Fast high-dimensional filtering using the permutohedral lattice*, 2010. Every point lies in
//! a simplex of a lattice that spans the space; its values are spread over the corners, the corners are blurred with their neighbours,
//! and the point takes from its corners what they have then.

use std::collections::HashMap;

/// No point has more dimensions: place and colour.
const MOST: usize = 5;
/// A corner of the lattice. What a point lacks of dimensions is 0.
type Corner = [i16; MOST];

/// The corners around some points.
pub(super) struct Lattice {
    dimensions: usize,
    /// Of each point its corners, and what share of it each has.
    around: Vec<(u32, f32)>,
    /// Along each of the axes, the neighbours of each corner on both sides. Corner 0 is one that is nowhere and holds nothing.
    neighbours: Vec<Vec<[u32; 2]>>,
}

impl Lattice {
    /// For a Gaussian of standard deviation 1 in the units of the points.
    ///
    /// # Panics
    /// If points have more than five dimensions.
    pub fn new<const D: usize>(points: impl Iterator<Item = [f32; D]>) -> Self {
        assert!(D <= MOST, "points of {D} dimensions");
        let mut numbers: HashMap<Corner, u32> = HashMap::new();
        let mut around = Vec::new();
        for point in points {
            let (corners, shares) = simplex(point);
            for (corner, share) in corners.into_iter().zip(shares).take(D + 1) {
                let next = numbers.len() as u32 + 1;
                around.push((*numbers.entry(corner).or_insert(next), share));
            }
        }
        let number = |corner: Corner| numbers.get(&corner).copied().unwrap_or(0);
        let along = |axis: usize| {
            let mut neighbours = vec![[0; 2]; numbers.len() + 1];
            for (corner, own) in &numbers {
                neighbours[*own as usize] = [1, -1].map(|side| {
                    let mut other = *corner;
                    other[..D].iter_mut().for_each(|place| *place -= side);
                    // The coordinates of a corner add up to 0, so that the last is not kept.
                    if let Some(place) = other[..D].get_mut(axis) {
                        *place += side * (D as i16 + 1);
                    }
                    number(other)
                });
            }
            neighbours
        };
        Self { dimensions: D, neighbours: (0..=D).map(along).collect(), around }
    }

    /// Of every point the sum of all points' values, each times what a Gaussian gives to its distance. Nearly: the filter is wider
    /// in some directions than in others, by a few percent.
    ///
    /// # Shapes
    /// `channels` values a point, to the same
    pub fn filter(&self, values: &[f32], channels: usize) -> Vec<f32> {
        let corners = self.dimensions + 1;
        let mut spread = vec![0.0f32; self.neighbours[0].len() * channels];
        for (value, around) in values.chunks(channels).zip(self.around.chunks(corners)) {
            for (corner, share) in around {
                let place = *corner as usize * channels;
                let at = &mut spread[place..place + channels];
                at.iter_mut().zip(value).for_each(|(sum, value)| *sum += share * value);
            }
        }
        for neighbours in &self.neighbours {
            let mut blurred = spread.clone();
            for (own, sides) in blurred.chunks_mut(channels).zip(neighbours).skip(1) {
                for side in sides.iter().filter(|side| **side != 0) {
                    let place = *side as usize * channels;
                    let other = &spread[place..place + channels];
                    own.iter_mut().zip(other).for_each(|(own, other)| *own += 0.5 * other);
                }
            }
            spread = blurred;
        }
        // What the blur gives a value that stays in its place is then 1.
        let whole = 1.0 / (1.0 + 0.5f32.powi(self.dimensions as i32));
        let mut gathered = vec![0.0f32; values.len()];
        for (value, around) in gathered.chunks_mut(channels).zip(self.around.chunks(corners)) {
            for (corner, share) in around {
                let place = *corner as usize * channels;
                let at = &spread[place..place + channels];
                value.iter_mut().zip(at).for_each(|(sum, at)| *sum += whole * share * at);
            }
        }
        gathered
    }
}

/// The corners of the simplex that a point lies in, and the point's shares of them (Section 3.1 and Proposition 4.2).
fn simplex<const D: usize>(point: [f32; D]) -> ([Corner; MOST + 1], [f32; MOST + 1]) {
    let span = D as f32 + 1.0;
    // Into the plane whose coordinates add up to 0, where the blur of the corners is a Gaussian of standard deviation 1.
    let deviation = (2.0f32 / 3.0).sqrt() * span;
    let mut place = [0.0f32; MOST + 1];
    let mut sum = 0.0;
    for axis in (1..=D).rev() {
        let scaled = point[axis - 1] * deviation / ((axis * (axis + 1)) as f32).sqrt();
        place[axis] = sum - axis as f32 * scaled;
        sum += scaled;
    }
    place[0] = sum;
    // The nearest corner of those whose coordinates are all multiples of D + 1, but for their sum.
    let mut nearest = place.map(|x| (x / span).round() * span);
    let surplus = (nearest[..=D].iter().sum::<f32>() / span).round() as i32;
    // The order in which the differences decrease says which simplex around that corner it is.
    let difference = |nearest: &[f32], axis: usize| place[axis] - nearest[axis];
    let mut rank = [0i32; MOST + 1];
    for first in 0..D {
        for second in first + 1..=D {
            match difference(&nearest, first) < difference(&nearest, second) {
                true => rank[first] += 1,
                false => rank[second] += 1,
            }
        }
    }
    // Coordinates that add up to too much go down where they were rounded up the most, and the other way round.
    for axis in 0..=D {
        rank[axis] += surplus;
        if rank[axis] > D as i32 {
            rank[axis] -= D as i32 + 1;
            nearest[axis] -= span;
        } else if rank[axis] < 0 {
            rank[axis] += D as i32 + 1;
            nearest[axis] += span;
        }
    }
    let mut shares = [0.0f32; MOST + 2];
    for (axis, rank) in rank.iter().enumerate().take(D + 1) {
        let part = difference(&nearest, axis) / span;
        let behind = D - *rank as usize;
        shares[behind] += part;
        shares[behind + 1] -= part;
    }
    shares[0] += 1.0 + shares[D + 1];
    let mut corners = [[0i16; MOST]; MOST + 1];
    for (number, corner) in corners.iter_mut().enumerate().take(D + 1) {
        for axis in 0..D {
            // Corner number i is i along the axes of low rank, and i - (D + 1) along the i others.
            let beyond = rank[axis] as usize + number > D;
            corner[axis] = nearest[axis] as i16 + number as i16 - if beyond { D as i16 + 1 } else { 0 };
        }
    }
    (corners, std::array::from_fn(|corner| shares[corner]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A grid of points a third of a deviation apart.
    fn grid() -> Vec<[f32; 2]> {
        (0..40 * 40).map(|at| [at % 40, at / 40].map(|place| place as f32 / 3.0)).collect()
    }

    #[test]
    fn shares_of_a_point_are_positive_and_add_up_to_it() {
        for point in grid() {
            let point = [point[0], point[1] * 2.3, -point[0], point[1] - 5.0, 1.7];
            let (_, shares) = simplex(point);
            assert!(shares.iter().all(|share| (-1e-4..=1.0001).contains(share)), "{shares:?}");
            assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{shares:?}");
        }
    }

    #[test]
    fn an_impulse_becomes_a_gaussian_of_deviation_1() {
        let points = grid();
        let mut impulse = vec![0.0; points.len()];
        let (row, column) = (20, 20);
        impulse[row * 40 + column] = 1.0;
        let spread = Lattice::new(points.iter().copied()).filter(&impulse, 1);
        let all: f32 = spread.iter().sum();
        // The second moments about the impulse.
        let moment = |of: fn([f32; 2]) -> f32| {
            let centre = points[row * 40 + column];
            let parts = points.iter().zip(&spread);
            parts.map(|(p, s)| s * of([p[0] - centre[0], p[1] - centre[1]])).sum::<f32>() / all
        };
        let [xx, yy, xy] = [moment(|[x, _]| x * x), moment(|[_, y]| y * y), moment(|[x, y]| x * y)];
        assert!((xx - 1.0).abs() < 0.2 && (yy - 1.0).abs() < 0.2 && xy.abs() < 0.1, "{xx} {yy} {xy}");
    }

    #[test]
    fn a_constant_stays_one_far_from_the_borders() {
        let filtered = Lattice::new(grid().into_iter()).filter(&[1.0; 1600], 1);
        let middle: Vec<f32> = (15..25)
            .flat_map(|row| (15..25).map(move |column| row * 40 + column))
            .map(|at| filtered[at])
            .collect();
        let mean = middle.iter().sum::<f32>() / middle.len() as f32;
        assert!(middle.iter().all(|value| (value / mean - 1.0).abs() < 0.05), "{middle:?}");
    }
}
