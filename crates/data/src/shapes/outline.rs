//! The ten outlines: signed distances and extreme points, each in a frame in which it just fits the circle of radius 1
//! around the origin (x to the right, y down).

use std::f32::consts::{PI, SQRT_2};

/// The half width of the bar, as a part of its half length.
const BAR: f32 = 0.36;
/// The radius of the star's inner corners.
const STAR: f32 = 0.45;
/// The half width of the cross's arms.
const CROSS: f32 = 0.3;
/// The radius of the ring's hole.
const RING: f32 = 0.55;
/// The crescent is the unit disc less the disc of this radius around (`CRESCENT_SHIFT`, 0).
const CRESCENT: f32 = 0.8;
const CRESCENT_SHIFT: f32 = 0.5;
/// The heart is a square with half discs on two of its sides; with its tip in the origin and corners at (-1, -1) and
/// (1, -1) it just fits the circle of this radius around (0, -`HEART`): the farthest point of a half disc, whose centre
/// is (0.5, -1.5) and whose radius is 1/√2, is as far from there as the tip.
const HEART: f32 = 2.0 / (3.0 - SQRT_2);

/// The shape of an object, and so its class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Bar,
    Star,
    Cross,
    Ring,
    Heart,
    Crescent,
    Arrow,
}

impl Shape {
    /// In the order of the classes.
    pub(super) const ALL: [Self; 10] = [
        Self::Circle,
        Self::Square,
        Self::Triangle,
        Self::Bar,
        Self::Star,
        Self::Cross,
        Self::Ring,
        Self::Heart,
        Self::Crescent,
        Self::Arrow,
    ];

    pub(super) fn outline(self) -> Outline {
        match self {
            Self::Circle => Outline::Disc,
            Self::Ring => Outline::Ring,
            Self::Heart => Outline::Heart,
            Self::Crescent => Outline::Crescent,
            Self::Square => Outline::Polygon(around(4, &[1.0])),
            Self::Triangle => Outline::Polygon(around(3, &[1.0])),
            Self::Star => Outline::Polygon(around(10, &[1.0, STAR])),
            Self::Bar => {
                let x = 1.0 / 1f32.hypot(BAR);
                let y = BAR * x;
                Outline::Polygon(vec![[-x, -y], [x, -y], [x, y], [-x, y]])
            }
            Self::Cross => {
                let (w, l) = (CROSS, (1.0 - CROSS * CROSS).sqrt());
                let arm = [[w, w], [w, l], [-w, l]];
                Outline::Polygon(
                    (0..4).flat_map(|turns| arm.map(|p| (0..turns).fold(p, |[x, y], _| [-y, x]))).collect(),
                )
            }
            Self::Arrow => {
                let head = [[-0.96, -0.25], [0.1, -0.25], [0.1, -0.75], [1.0, 0.0]];
                let below = head[..3].iter().rev().map(|&[x, y]| [x, -y]);
                Outline::Polygon(head.iter().copied().chain(below).collect())
            }
        }
    }
}

/// `count` corners around the origin at equal angles, at these radii in turn.
fn around(count: usize, radii: &[f32]) -> Vec<[f32; 2]> {
    let corner = |i: usize| {
        let (sin, cos) = (2.0 * PI * i as f32 / count as f32).sin_cos();
        [cos * radii[i % radii.len()], sin * radii[i % radii.len()]]
    };
    (0..count).map(corner).collect()
}

/// A region of the plane inside the unit circle.
#[derive(Debug, Clone)]
pub(super) enum Outline {
    Polygon(Vec<[f32; 2]>),
    Disc,
    Ring,
    Heart,
    Crescent,
}

impl Outline {
    /// How far `p` is outside; negative inside. The sign is exact everywhere, the distance next to the outline.
    pub(super) fn distance(&self, p: [f32; 2]) -> f32 {
        match self {
            Self::Polygon(corners) => distance_to_polygon(corners, p),
            Self::Disc => p[0].hypot(p[1]) - 1.0,
            Self::Ring => {
                let r = p[0].hypot(p[1]);
                (r - 1.0).max(RING - r)
            }
            Self::Heart => {
                // Back to the frame of `HEART`, folded on its axis.
                let [x, y] = [p[0].abs() * HEART, (p[1] - 1.0) * HEART];
                let lobe = (x - 0.5).hypot(y + 1.5) - 0.5 * SQRT_2;
                let square = (x + (y + 1.0).abs() - 1.0) / SQRT_2;
                lobe.min(square) / HEART
            }
            Self::Crescent => {
                let bite = (p[0] - CRESCENT_SHIFT).hypot(p[1]) - CRESCENT;
                (p[0].hypot(p[1]) - 1.0).max(-bite)
            }
        }
    }

    /// The point farthest in a direction (a unit vector): where the outline touches its box.
    pub(super) fn extreme(&self, direction: [f32; 2]) -> [f32; 2] {
        let [dx, dy] = direction;
        match self {
            Self::Polygon(corners) => farthest(corners, direction),
            Self::Disc | Self::Ring => direction,
            Self::Heart => {
                let lobe = |x: f32| [x + 0.5 * SQRT_2 * dx, -1.5 + 0.5 * SQRT_2 * dy];
                let [x, y] = farthest(&[lobe(-0.5), lobe(0.5), [0.0, 0.0]], direction);
                [x / HEART, y / HEART + 1.0]
            }
            Self::Crescent => {
                let [x, y] = crescent_horn();
                if dx <= x { direction } else { farthest(&[[x, y], [x, -y]], direction) }
            }
        }
    }
}

/// Where the two circles of the crescent meet: x² + y² = 1 and (x - shift)² + y² = radius².
fn crescent_horn() -> [f32; 2] {
    let x = (1.0 + CRESCENT_SHIFT * CRESCENT_SHIFT - CRESCENT * CRESCENT) / (2.0 * CRESCENT_SHIFT);
    [x, (1.0 - x * x).sqrt()]
}

fn farthest(points: &[[f32; 2]], [dx, dy]: [f32; 2]) -> [f32; 2] {
    let along = |p: [f32; 2]| p[0] * dx + p[1] * dy;
    points.iter().copied().fold(points[0], |best, p| if along(p) > along(best) { p } else { best })
}

fn distance_to_polygon(corners: &[[f32; 2]], [x, y]: [f32; 2]) -> f32 {
    let mut nearest = f32::INFINITY;
    let mut inside = false;
    let mut from = corners[corners.len() - 1];
    for &to in corners {
        let (ex, ey) = (to[0] - from[0], to[1] - from[1]);
        let (px, py) = (x - from[0], y - from[1]);
        let along = ((px * ex + py * ey) / (ex * ex + ey * ey)).clamp(0.0, 1.0);
        let (rx, ry) = (px - along * ex, py - along * ey);
        nearest = nearest.min(rx * rx + ry * ry);
        // A ray to the right crosses this side.
        if (from[1] > y) != (to[1] > y) && px < ex * py / ey {
            inside = !inside;
        }
        from = to;
    }
    if inside { -nearest.sqrt() } else { nearest.sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The region by brute force: the points of a fine grid.
    fn grid(outline: &Outline) -> impl Iterator<Item = [f32; 2]> {
        let at = |i: i32| i as f32 / 400.0;
        (-440..=440)
            .flat_map(move |i| (-440..=440).map(move |j| [at(i), at(j)]))
            .filter(|&p| outline.distance(p) <= 0.0)
    }

    #[test]
    fn areas_are_those_of_the_formulas() {
        // Lens of two circles (radii 1 and r, centres d apart), for the crescent.
        let (r, d) = (CRESCENT, CRESCENT_SHIFT);
        let lens = r * r * ((d * d + r * r - 1.0) / (2.0 * d * r)).acos()
            + ((d * d + 1.0 - r * r) / (2.0 * d)).acos()
            - 0.5 * ((r + 1.0 - d) * (d + r - 1.0) * (d - r + 1.0) * (d + r + 1.0)).sqrt();
        let bar = 1.0 / 1f32.hypot(BAR);
        let table = [
            (Shape::Circle, PI),
            (Shape::Square, 2.0),
            (Shape::Triangle, 3.0 * 3f32.sqrt() / 4.0),
            (Shape::Bar, 4.0 * bar * bar * BAR),
            (Shape::Star, 10.0 * 0.5 * STAR * (PI / 5.0).sin()),
            (Shape::Cross, 8.0 * CROSS * (1.0 - CROSS * CROSS).sqrt() - 4.0 * CROSS * CROSS),
            (Shape::Ring, PI * (1.0 - RING * RING)),
            (Shape::Heart, (2.0 + PI / 2.0) / (HEART * HEART)),
            (Shape::Crescent, PI - lens),
            (Shape::Arrow, 0.5 * 0.9 * 1.5 + 1.06 * 0.5),
        ];
        for (shape, area) in table {
            let counted = grid(&shape.outline()).count() as f32 / (400.0 * 400.0);
            assert!((counted / area - 1.0).abs() < 0.01, "{shape:?}: {counted} is not {area}");
        }
    }

    #[test]
    fn extreme_points_bound_the_region_and_touch_it() {
        for shape in Shape::ALL {
            let outline = shape.outline();
            let region: Vec<_> = grid(&outline).collect();
            for turn in 0..24 {
                let (dy, dx) = (turn as f32 * PI / 12.0).sin_cos();
                let [x, y] = outline.extreme([dx, dy]);
                let reached = region.iter().map(|p| p[0] * dx + p[1] * dy).fold(f32::MIN, f32::max);
                let said = x * dx + y * dy;
                assert!((said - reached).abs() < 0.02, "{shape:?} {turn}: {said} is not {reached}");
                assert!(
                    outline.distance([x, y]).abs() < 1e-3,
                    "{shape:?} {turn}: ({x}, {y}) is off the outline"
                );
                assert!(x.hypot(y) < 1.0 + 1e-5, "{shape:?} leaves the unit circle");
            }
        }
    }
}
