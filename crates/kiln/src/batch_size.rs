//! The largest batch whose training step fits into memory: what is tried, and what follows from it.

use kiln_core::{Error, Result};

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// Images.
    pub batch: usize,
    /// Bytes that the line through the trials before it promised.
    pub predicted: Option<f64>,
    /// The most bytes it took; `None` where it was ended for wanting more than there is.
    pub peak: Option<u64>,
    /// Images a second; `None` where it was ended.
    pub speed: Option<f64>,
}

/// Memory as a line over the images of a batch: weights, what the optimizer remembers and the program on the one side, what is
/// kept of every image on the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Line {
    /// Bytes of a batch without images.
    pub fixed: f64,
    /// Bytes that an image adds.
    pub per_image: f64,
}

impl Line {
    /// The line with the least squares from points of images and bytes; `None` through fewer than two, and where images add
    /// nothing.
    pub fn through(points: &[[f64; 2]]) -> Option<Self> {
        let count = points.len() as f64;
        let mean = |at: usize| points.iter().map(|point| point[at]).sum::<f64>() / count;
        let [x, y] = [mean(0), mean(1)];
        let sum =
            |at: usize| points.iter().map(|point| (point[0] - x) * (point[at] - [x, y][at])).sum::<f64>();
        let per_image = sum(1) / sum(0);
        (points.len() > 1 && per_image > 0.0).then_some(Self { fixed: y - per_image * x, per_image })
    }

    /// Bytes of a batch.
    pub fn at(&self, batch: usize) -> f64 {
        self.fixed + self.per_image * batch as f64
    }

    /// The largest batch of so many bytes.
    pub fn largest(&self, bytes: u64) -> usize {
        ((bytes as f64 - self.fixed) / self.per_image).max(0.0) as usize
    }
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Search {
    /// Bytes that there are.
    pub memory: u64,
    /// The largest batch that is of interest.
    pub most: usize,
    /// Batches are multiples of it.
    pub unit: usize,
}

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What was tried, by batch.
    pub trials: Vec<Trial>,
    /// The line through the largest that fit.
    pub line: Option<Line>,
    /// The largest that fits. The next larger, an eighth of a power of two above it, was tried and does not, unless it is
    /// more than [`Search::most`].
    pub largest: Trial,
    /// The smallest that fits at [`ENOUGH`] of the highest speed: larger ones go through no more images a second.
    pub fast: Trial,
}

/// The share of the highest speed that is as good as it.
pub const ENOUGH: f64 = 0.95;

/// A batch that is promised to take so many times what there is need not be tried.
const FAR: f64 = 1.2;

impl Search {
    /// Tries batches, each twice the one before it, as long as they fit; then, led by the line through what they took, those
    /// between the last that fits and the first that does not.
    ///
    /// # Errors
    /// The smallest batch does not fit; what `measure` fails with, which gives the peak and the speed of a batch.
    pub fn run(&self, mut measure: impl FnMut(usize) -> Result<(Option<u64>, Option<f64>)>) -> Result<Found> {
        let mut trials: Vec<Trial> = Vec::new();
        let mut attempt = |batch: usize, trials: &mut Vec<Trial>| {
            let predicted = self.line(trials).map(|line| line.at(batch));
            let (peak, speed) = measure(batch)?;
            trials.push(Trial { batch, predicted, peak, speed });
            Ok::<_, Error>(self.fits(&trials[trials.len() - 1]))
        };
        let (mut fits, mut over) = (0, self.unit);
        while over <= self.most {
            let promised = self.line(&trials).map_or(0.0, |line| line.at(over));
            if promised > FAR * self.memory as f64 || !attempt(over, &mut trials)? {
                break;
            }
            (fits, over) = (over, 2 * over);
        }
        if fits == 0 {
            return Err(self.too_small(&trials));
        }
        let step = self.unit * (fits / self.unit / 8).max(1);
        over = over.min((self.most / step + 1) * step);
        let doubled = trials.len();
        loop {
            let next = match over - fits > step {
                // Should the line mislead, halves lead there.
                true if trials.len() > doubled + 2 => fits + (over - fits) / step / 2 * step,
                true => {
                    let promised = self.line(&trials).map_or(over, |line| line.largest(self.memory));
                    (promised / step * step).clamp(fits + step, over - step)
                }
                false if over <= self.most && trials.iter().all(|trial| trial.batch != over) => over,
                false => break,
            };
            match attempt(next, &mut trials)? {
                true if next == over => (fits, over) = (next, next + step),
                true => fits = next,
                false => over = next,
            }
        }
        let line = self.line(&trials);
        trials.sort_by_key(|trial| trial.batch);
        let fitting = || trials.iter().filter(|trial| self.fits(trial));
        let best = fitting().filter_map(|trial| trial.speed).fold(0.0, f64::max);
        let fast = fitting().find(|trial| trial.speed.is_some_and(|speed| speed >= ENOUGH * best));
        let (Some(largest), Some(fast)) = (fitting().next_back().copied(), fast.copied()) else {
            return Err(self.too_small(&trials));
        };
        Ok(Found { trials, line, largest, fast })
    }

    /// Whether a batch that was tried fits.
    pub fn fits(&self, trial: &Trial) -> bool {
        trial.peak.is_some_and(|peak| peak <= self.memory)
    }

    /// The line through what fit, without the smallest batches, which say less of an image than of the program.
    fn line(&self, trials: &[Trial]) -> Option<Line> {
        let largest = trials.iter().filter(|trial| self.fits(trial)).map(|trial| trial.batch).max()?;
        let counts = trials.iter().filter(|trial| trial.batch * 8 >= largest);
        let points: Vec<[f64; 2]> =
            counts.filter_map(|trial| Some([trial.batch as f64, trial.peak? as f64])).collect();
        Line::through(&points)
    }

    fn too_small(&self, trials: &[Trial]) -> Error {
        let images = match self.unit {
            1 => "a batch of one image".to_string(),
            unit => format!("a batch of {unit} images"),
        };
        let takes = match trials.first().and_then(|trial| trial.peak) {
            Some(peak) => format!("takes {:.0} MiB", mebibytes(peak as f64)),
            None => "takes more".to_string(),
        };
        let given = mebibytes(self.memory as f64);
        Error::input(format!("{images} does not fit into {given:.0} MiB: its training step {takes}"))
            .hint("give more `--memory`, or take smaller images or a smaller model")
    }
}

/// Bytes in MiB.
pub fn mebibytes(bytes: f64) -> f64 {
    bytes / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_line_goes_through_the_middle_of_the_points() {
        // 100 + 3 x at 1, 2 and 4, the middle one 6 higher: at their mean, 7 / 3, it is 107 and 2 more. Distances from the mean are -4,
        // -1 and 5 thirds, so that the slope is higher by 6 * (-1 / 3) / (42 / 9) = -3 / 7: 18 / 7; the rest is 109 - 6 = 103.
        let line = Line::through(&[[1.0, 103.0], [2.0, 112.0], [4.0, 112.0]]).expect("it rises");
        assert!((line.per_image - 18.0 / 7.0).abs() < 1e-12, "{line:?}");
        assert!((line.fixed - 103.0).abs() < 1e-12, "{line:?}");
        // 103 + 18 / 7 x <= 150 up to x = 18.3.
        assert_eq!(line.largest(150), 18);
        assert_eq!(line.largest(50), 0);
        for none in [&[][..], &[[1.0, 2.0]], &[[1.0, 2.0], [2.0, 1.0]], &[[1.0, 2.0], [1.0, 3.0]]] {
            assert_eq!(Line::through(none), None, "{none:?}");
        }
    }

    /// A search in a machine that takes so many bytes of a batch, and what it tried.
    fn searched(search: Search, bytes: impl Fn(usize) -> u64) -> (Result<Found>, Vec<usize>) {
        let mut tried = Vec::new();
        let found = search.run(|batch| {
            tried.push(batch);
            let peak = bytes(batch);
            // Half as much again ends it; speed rises up to 16 images.
            let speed = 100.0 * batch.min(16) as f64 / 16.0;
            Ok(match peak <= search.memory + search.memory / 2 {
                true => (Some(peak), Some(speed)),
                false => (None, None),
            })
        });
        (found, tried)
    }

    #[test]
    fn the_largest_that_fits_is_found_by_the_line_and_its_neighbour_does_not_fit() {
        // 100 MiB and 3 an image: 1000 MiB are 300 images; in steps of an eighth of 256, 288, and 320 are over.
        let search = Search { memory: 1000 * MIB, most: 4096, unit: 1 };
        let (found, tried) = searched(search, |batch| (100 + 3 * batch as u64) * MIB);
        let found = found.expect("it fits");
        // 512 images are promised to take 1636 MiB, and left out.
        assert_eq!(tried, [1, 2, 4, 8, 16, 32, 64, 128, 256, 288, 320]);
        assert_eq!((found.largest.batch, found.largest.peak), (288, Some(964 * MIB)));
        let predicted = found.largest.predicted.expect("a line");
        assert!((predicted / MIB as f64 - 964.0).abs() < 1e-6);
        let line = found.line.expect("a line");
        assert!(
            (line.per_image / MIB as f64 - 3.0).abs() < 1e-9
                && (line.fixed / MIB as f64 - 100.0).abs() < 1e-6
        );
        assert_eq!(found.fast.batch, 16);
        assert!(!search.fits(&found.trials[found.trials.len() - 1]));
    }

    #[test]
    fn a_line_that_misleads_costs_trials_and_no_more() {
        // Memory rises in one leap at 300 images.
        let search = Search { memory: 1000 * MIB, most: 4096, unit: 1 };
        let (found, tried) =
            searched(search, |batch| (100 + batch as u64 + if batch > 300 { 900 } else { 0 }) * MIB);
        assert_eq!(found.expect("it fits").largest.batch, 288);
        assert!(tried.len() <= 9 + 6, "{tried:?}");
    }

    #[test]
    fn the_end_of_interest_and_the_unit_are_kept() {
        let bytes = |batch: usize| (100 + 3 * batch as u64) * MIB;
        // 100 is no multiple of 8, an eighth of 64.
        let (found, tried) = searched(Search { memory: 1000 * MIB, most: 100, unit: 1 }, bytes);
        assert_eq!(found.expect("it fits").largest.batch, 96);
        assert!(tried.iter().all(|batch| *batch <= 100), "{tried:?}");
        let (found, tried) = searched(Search { memory: 1000 * MIB, most: 4096, unit: 3 }, bytes);
        // 192 = 3 * 64 and steps of 24: 288.
        assert_eq!(found.expect("it fits").largest.batch, 288);
        assert!(tried.iter().all(|batch| batch.is_multiple_of(3)), "{tried:?}");
        // 2 fit, 3 do not: both are tried.
        let (found, tried) = searched(Search { memory: 106 * MIB, most: 4096, unit: 1 }, bytes);
        assert_eq!((found.expect("it fits").largest.batch, tried), (2, vec![1, 2, 4, 3]));
    }

    #[test]
    fn one_image_that_does_not_fit_is_one_line() {
        let (found, _) = searched(Search { memory: 100 * MIB, most: 64, unit: 1 }, |_| 103 * MIB);
        let line = "a batch of one image does not fit into 100 MiB: its training step takes 103 MiB; give more `--memory`, or \
                    take smaller images or a smaller model";
        assert_eq!(found.expect_err("too much").to_string(), line);
        let (found, _) = searched(Search { memory: 100 * MIB, most: 64, unit: 1 }, |_| 200 * MIB);
        assert!(found.expect_err("too much").to_string().contains("takes more;"));
    }
}
