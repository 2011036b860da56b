//! Regions of an image as COCO stores them: lengths of runs of pixels, column by column.

use std::iter;

/// A region of an image. Its pixels are counted down the columns, from the left one to the right; runs of pixels outside
/// and inside take turns, outside first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runs {
    height: usize,
    width: usize,
    counts: Vec<u32>,
}

impl Runs {
    /// The region of these runs in an image of `[height, width]`; `None` if they do not have its pixels together.
    pub fn new(size: [usize; 2], counts: Vec<u32>) -> Option<Self> {
        let pixels = pixels(size)?;
        let [height, width] = size;
        let counted: u64 = counts.iter().map(|count| u64::from(*count)).sum();
        (counted == pixels as u64).then_some(Self { height, width, counts })
    }

    /// The region of runs that are written as text, as [`new`](Self::new): five bits a letter, the lowest first, the sixth
    /// says that more follow; from the fourth run on a number is what is added to the run before the last.
    pub fn from_text(size: [usize; 2], text: &str) -> Option<Self> {
        let mut counts: Vec<u32> = Vec::new();
        let mut letters = text.bytes();
        while let Some(first) = letters.next() {
            let (mut value, mut shift, mut letter) = (0i64, 0, first);
            loop {
                let bits = i64::from(letter.checked_sub(48).filter(|bits| *bits < 64)?);
                value |= (bits & 31) << shift;
                shift += 5;
                if bits & 32 == 0 {
                    // The highest bit is the sign.
                    value |= if bits & 16 != 0 { -1 << shift } else { 0 };
                    break;
                }
                // More letters than a count of pixels has bits.
                letter = letters.next().filter(|_| shift <= 35)?;
            }
            let before = if counts.len() > 2 { i64::from(counts[counts.len() - 2]) } else { 0 };
            counts.push(u32::try_from(value + before).ok()?);
        }
        Self::new(size, counts)
    }

    /// The region inside a polygon of corners `x0, y0, x1, y1, …`: the pixels that pycocotools takes. It walks the outline
    /// in fifths of a pixel and counts a column where the outline crosses its middle. `None` for an image of 2^32 pixels.
    pub fn from_polygon(size: [usize; 2], corners: &[f64]) -> Option<Self> {
        const SCALE: f64 = 5.0;
        // Far outside of any image.
        const MOST: f64 = (1 << 22) as f64;
        let ([height, width], pixels) = (size, pixels(size)?);
        let fine = |at: f64| (SCALE * at.clamp(-MOST, MOST) + 0.5) as i32;
        let mut corners: Vec<[i32; 2]> =
            corners.chunks_exact(2).map(|at| [fine(at[0]), fine(at[1])]).collect();
        corners.extend(corners.first().copied());
        let outline: Vec<[i32; 2]> = corners.windows(2).flat_map(|ends| line(ends[0], ends[1])).collect();

        let mut crossings = Vec::new();
        for ends in outline.windows(2).filter(|ends| ends[0][0] != ends[1][0]) {
            let ([x0, y0], [x1, y1]) = (ends[0], ends[1]);
            let x = (f64::from(if x1 < x0 { x1 } else { x1 - 1 }) + 0.5) / SCALE - 0.5;
            if x.floor() != x || x < 0.0 || x > width as f64 - 1.0 {
                continue;
            }
            let y = ((f64::from(y0.min(y1)) + 0.5) / SCALE - 0.5).clamp(0.0, height as f64).ceil();
            crossings.push(x as usize * height + y as usize);
        }
        crossings.sort_unstable();
        crossings.push(pixels);
        // Between two crossings it is in turn outside and inside; two at the same place cancel.
        let mut counts: Vec<u32> = Vec::new();
        let mut before = 0;
        let mut joins = false;
        for crossing in crossings {
            let run = (crossing - before) as u32;
            before = crossing;
            match counts.last_mut() {
                Some(last) if joins => {
                    *last += run;
                    joins = false;
                }
                Some(_) if run == 0 => joins = true,
                _ => counts.push(run),
            }
        }
        Some(Self { height, width, counts })
    }

    /// Height and width of the image.
    pub fn size(&self) -> [usize; 2] {
        [self.height, self.width]
    }

    /// The pixels of either region.
    ///
    /// # Panics
    /// If they are of images of different sizes.
    pub fn union(&self, other: &Self) -> Self {
        let mut counts = vec![0];
        let mut inside = false;
        self.walk(other, |run, here, there| {
            if (here || there) != inside {
                counts.push(0);
                inside = !inside;
            }
            if let Some(last) = counts.last_mut() {
                *last += run;
            }
        });
        Self { height: self.height, width: self.width, counts }
    }

    /// Number of pixels.
    pub fn area(&self) -> u64 {
        self.counts.iter().skip(1).step_by(2).map(|count| u64::from(*count)).sum()
    }

    /// Number of pixels that are in both regions.
    ///
    /// # Panics
    /// If they are of images of different sizes.
    pub fn intersection(&self, other: &Self) -> u64 {
        let mut both = 0;
        self.walk(other, |run, here, there| both += if here && there { u64::from(run) } else { 0 });
        both
    }

    /// Calls `step` with lengths over which both regions stay inside or outside.
    fn walk(&self, other: &Self, mut step: impl FnMut(u32, bool, bool)) {
        assert_eq!(self.size(), other.size(), "sizes of two regions");
        let runs = |of: &Self| {
            of.counts.clone().into_iter().zip(iter::successors(Some(false), |inside| Some(!inside)))
        };
        let (mut ours, mut theirs) = (runs(self), runs(other));
        let (mut here, mut there) = (ours.next(), theirs.next());
        while let (Some((left, is_here)), Some((rest, is_there))) = (&mut here, &mut there) {
            let run = (*left).min(*rest);
            if run > 0 {
                step(run, *is_here, *is_there);
            }
            (*left, *rest) = (*left - run, *rest - run);
            let (ours_ended, theirs_ended) = (*left == 0, *rest == 0);
            if ours_ended {
                here = ours.next();
            }
            if theirs_ended {
                there = theirs.next();
            }
        }
    }
}

fn pixels([height, width]: [usize; 2]) -> Option<usize> {
    height.checked_mul(width).filter(|pixels| u32::try_from(*pixels).is_ok())
}

/// The points from one corner to the next, both included, one a step along the longer side.
fn line(from: [i32; 2], to: [i32; 2]) -> Vec<[i32; 2]> {
    let [dx, dy] = [0, 1].map(|axis| (to[axis] - from[axis]).abs());
    // Along the axis it always rises, so that it is rounded alike in both directions.
    let (along, across, steps) = if dx >= dy { (0, 1, dx) } else { (1, 0, dy) };
    let is_falling = from[along] > to[along];
    let (start, end) = if is_falling { (to, from) } else { (from, to) };
    let slope = f64::from(end[across] - start[across]) / f64::from(steps.max(1));
    let point = |step: i32| {
        let mut point = [0; 2];
        point[along] = start[along] + step;
        point[across] = (f64::from(start[across]) + slope * f64::from(step) + 0.5) as i32;
        point
    };
    let points = (0..=steps).map(point);
    if is_falling { points.rev().collect() } else { points.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What, size of the image, corners, pycocotools' text of the runs, pixels.
    type Row = (&'static str, [usize; 2], &'static [f64], &'static str, u64);

    #[rustfmt::skip]
    const ROWS: [Row; 8] = [
        ("a square", [8, 9], &[2.0, 1.0, 6.0, 1.0, 6.0, 5.0, 2.0, 5.0], "a04400000g0", 16),
        ("a triangle on halves", [8, 9], &[0.5, 0.5, 7.5, 2.5, 3.5, 6.5], "9172N2OO0O1O?", 18),
        ("a star that crosses itself", [12, 12], &[6.0, 0.0, 9.0, 11.0, 0.0, 4.0, 12.0, 4.0, 2.0, 11.0], "`01;1IO154LK16OJO30K24OM0205O9", 29),
        ("beyond the image", [6, 7], &[-3.0, -2.0, 9.7, 1.2, 4.4, 12.3], "051o0", 41),
        ("a corner twice", [8, 8], &[1.0, 1.0, 1.0, 1.0, 6.0, 2.0, 6.0, 2.0, 3.0, 7.0], "9173M10M2O?", 13),
        ("nothing wide", [8, 8], &[3.0, 1.0, 3.0, 6.0, 3.0, 2.0], "P2", 0),
        ("the whole image", [4, 5], &[0.0, 0.0, 5.0, 0.0, 5.0, 4.0, 0.0, 4.0], "0d0", 20),
        ("eleven corners", [20, 24], &[18.51, 13.61, 17.94, 14.02, 18.0, 14.89, 16.67, 16.59, 12.82, 17.97, 7.03, 14.69, 4.48, 12.68, 3.59, 10.19, 6.37, 4.57, 11.5, 0.04, 15.1, 0.46], "h25=2N3O1N1O2N2N101O00O2O4L4J6Kh2", 180),
    ];

    #[test]
    fn polygons_have_the_pixels_that_pycocotools_gives_them() {
        for (what, size, corners, text, area) in ROWS {
            let expected = Runs::from_text(size, text).expect(what);
            let runs = Runs::from_polygon(size, corners).expect(what);
            assert_eq!(runs, expected, "{what}");
            assert_eq!(runs.area(), area, "{what}");
        }
    }

    #[test]
    fn two_regions_meet_pixel_by_pixel() {
        // Columns 2 to 5 and rows 1 to 4; columns 4 to 7 and rows 3 to 7: they share 2 x 2.
        let square = Runs::from_polygon([8, 9], ROWS[0].2).expect("small");
        let other = Runs::from_polygon([8, 9], &[4.0, 3.0, 8.0, 3.0, 8.0, 8.0, 4.0, 8.0]).expect("small");
        assert_eq!((other.area(), square.intersection(&other)), (20, 4));
        let union = square.union(&other);
        assert_eq!((union.area(), union.intersection(&square), union.intersection(&other)), (32, 16, 20));
        let nothing = Runs::new([8, 9], vec![72]).expect("72 pixels");
        assert_eq!((nothing.union(&square), nothing.intersection(&square)), (square, 0));
    }

    #[test]
    fn runs_that_do_not_fill_their_image_are_refused() {
        assert_eq!(Runs::new([8, 9], vec![70, 1]), None);
        assert_eq!(Runs::new([usize::MAX, 2], vec![1]), None);
        // Another size, a letter that is none, an end too early, a number too large, one below 0.
        for text in ["a04400000g01", "a044 0000g0", "a04400000g", "ooooooooooooo0", "O1"] {
            assert_eq!(Runs::from_text([8, 9], text), None, "{text}");
        }
    }
}
