//! How well the boundaries between classes are found (Csurka et al. 2013, "What is a good evaluation measure for semantic
//! segmentation?").

use kiln_core::{IGNORED, LabelMap};

/// A point of a boundary is found by one nearer than this part of the image's diagonal: the paper's theta.
const TOLERANCE: f64 = 0.0075;

/// The mean over images of their boundary F.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BoundaryScore {
    sum: f64,
    images: u64,
}

impl BoundaryScore {
    /// Counts one more image; one without classes does not count.
    pub fn add(&mut self, of_image: Option<f64>) {
        self.sum += of_image.unwrap_or(0.0);
        self.images += u64::from(of_image.is_some());
    }

    /// The mean; 0 of nothing.
    pub fn mean(&self) -> f64 {
        self.sum / self.images.max(1) as f64
    }
}

/// The boundary F of an image: the mean over the classes that are there or predicted; `None` where there is none.
///
/// The boundary of a class is its pixels with a neighbour, of four, within the image, that is not of the class. Precision is the share of
/// the predicted boundary's pixels that are nearer to the true one than 0.75 % of the diagonal, recall the share of the true one's
/// that are so near to the predicted one, and F = 2 precision recall / (precision + recall). Of two classes without a boundary (both
/// fill the image) it is 1, of one without a boundary and one with it is 0, as where the class is only there or only
/// predicted. Pixels that do not count are of no class in either map, so where one ends at them the other does.
///
/// # Panics
/// If the maps are not of one size.
pub fn boundary_f(predicted: &LabelMap, truth: &LabelMap) -> Option<f64> {
    let size = [truth.height, truth.width];
    assert_eq!([predicted.height, predicted.width], size, "height and width of predicted and true labels");
    let within = TOLERANCE * (size[0] as f64).hypot(size[1] as f64);
    let counted = predicted.labels.iter().zip(&truth.labels);
    let shown: Vec<u8> = counted.map(|(p, t)| if *t == IGNORED { IGNORED } else { *p }).collect();
    let mut is_there = [false; 256];
    shown.iter().chain(&truth.labels).for_each(|label| is_there[usize::from(*label)] = true);
    let classes = (0..IGNORED).filter(|class| is_there[usize::from(*class)]);
    let of_class = |class: u8| {
        let [found, real] = [&shown, &truth.labels].map(|labels| boundary(labels, size, class));
        let has = |labels: &[u8]| labels.contains(&class);
        match [found.is_empty(), real.is_empty()] {
            [true, true] => f64::from(has(&shown) && has(&truth.labels)),
            [false, false] => {
                let precision = share_near(&found, &real, size, within);
                let recall = share_near(&real, &found, size, within);
                if precision + recall > 0.0 { 2.0 * precision * recall / (precision + recall) } else { 0.0 }
            }
            _ => 0.0,
        }
    };
    let scores: Vec<f64> = classes.map(of_class).collect();
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

/// The pixels of a class with a neighbour of another.
fn boundary(labels: &[u8], [height, width]: [usize; 2], class: u8) -> Vec<usize> {
    let is_edge = |pixel: &usize| {
        let (y, x) = (pixel / width, pixel % width);
        let other = |neighbour: usize| labels[neighbour] != class;
        labels[*pixel] == class
            && ((y > 0 && other(pixel - width))
                || (y + 1 < height && other(pixel + width))
                || (x > 0 && other(pixel - 1))
                || (x + 1 < width && other(pixel + 1)))
    };
    (0..labels.len()).filter(is_edge).collect()
}

/// The share of `pixels` that have one of `others` nearer than `within`.
fn share_near(pixels: &[usize], others: &[usize], [height, width]: [usize; 2], within: f64) -> f64 {
    let mut is_other = vec![false; height * width];
    others.iter().for_each(|other| is_other[*other] = true);
    let reach = within.floor() as usize;
    let is_near = |pixel: &&usize| {
        let (y, x) = (*pixel / width, *pixel % width);
        let mut rows = y.saturating_sub(reach)..height.min(y + reach + 1);
        rows.any(|row| {
            let down = row.abs_diff(y) as f64;
            let mut columns = x.saturating_sub(reach)..width.min(x + reach + 1);
            columns.any(|column| {
                is_other[row * width + column] && down.hypot(column.abs_diff(x) as f64) < within
            })
        })
    };
    // The nearest place first: most pixels lie on the other boundary itself.
    let near = pixels.iter().filter(|pixel| is_other[**pixel] || is_near(pixel)).count();
    near as f64 / pixels.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A map of `rows` equal rows.
    fn rows(row: &[u8], rows: usize) -> LabelMap {
        LabelMap { width: row.len(), height: rows, labels: row.repeat(rows) }
    }

    /// Classes 0 and 1, `left` pixels of the first in each row of `width`.
    fn halves(left: usize, width: usize) -> Vec<u8> {
        (0..width).map(|x| u8::from(x >= left)).collect()
    }

    #[test]
    fn a_boundary_is_found_where_it_is_less_far_than_three_quarters_of_a_percent_of_the_diagonal() {
        // 300 x 400: the diagonal is 500, so nearer than 3.75 pixels.
        for (shift, expected) in [(0, 1.0), (1, 1.0), (3, 1.0), (4, 0.0)] {
            let [truth, found] = [200, 200 + shift].map(|left| rows(&halves(left, 400), 300));
            assert_eq!(boundary_f(&found, &truth), Some(expected), "{shift} pixels beside it");
        }
        // 30 x 40: nearer than 0.375 pixels, on it.
        for (shift, expected) in [(0, 1.0), (1, 0.0)] {
            let [truth, found] = [20, 20 + shift].map(|left| rows(&halves(left, 40), 30));
            assert_eq!(boundary_f(&found, &truth), Some(expected), "{shift} pixels beside it");
        }
    }

    #[test]
    fn precision_and_recall_are_shares_of_the_boundaries_pixels() {
        // In a row of ten, class 1 is truly pixels 2 to 7 and predicted in 2 to 4; the diagonal of 1 x 10 is 10.05, so a pixel must lie
        // on the boundary. Class 0: true 1, 8; predicted 1, 5: both a half. Class 1: true 2, 7; predicted 2, 4: both a half.
        let truth = rows(&[0, 0, 1, 1, 1, 1, 1, 1, 0, 0], 1);
        let found = rows(&[0, 0, 1, 1, 1, 0, 0, 0, 0, 0], 1);
        assert_eq!(boundary_f(&found, &truth), Some(0.5));
        // Class 1 not there from pixel 2 on: true 2 and 7, predicted 2 alone: precision 1, recall 1/2, F = 2/3. Class 0: true 1 and 8,
        // predicted 1: the same.
        let found = rows(&[0, 0, 1, 1, 1, 1, 1, 1, 1, 1], 1);
        assert!((boundary_f(&found, &truth).expect("classes") - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn what_is_absent_and_what_does_not_count() {
        let ignored = IGNORED;
        type Row<'a> = (&'a str, &'a [u8], &'a [u8], Option<f64>);
        let table: [Row<'_>; 6] = [
            ("both fill the image", &[1, 1, 1], &[1, 1, 1], Some(1.0)),
            ("one fills it in place of the other", &[0, 0, 0], &[1, 1, 1], Some(0.0)),
            ("a class is there and not predicted", &[0, 0, 0], &[0, 1, 0], Some(0.0)),
            ("nothing counts", &[0, 1, 0], &[ignored; 3], None),
            // Class 1 does not reach the pixel that does not count; class 0 ends before it in both.
            ("what is predicted where nothing counts", &[0, 1, 1], &[0, ignored, ignored], Some(1.0)),
            // Class 0: pixel 0 in both. Class 1: pixel 2 in both.
            ("a border that does not count", &[0, 1, 1], &[0, ignored, 1], Some(1.0)),
        ];
        for (what, found, truth, expected) in table {
            assert_eq!(boundary_f(&rows(found, 1), &rows(truth, 1)), expected, "{what}");
        }
        let mut score = BoundaryScore::default();
        assert_eq!(score.mean(), 0.0);
        [Some(1.0), None, Some(0.5)].into_iter().for_each(|of_image| score.add(of_image));
        assert_eq!(score.mean(), 0.75);
    }
}
