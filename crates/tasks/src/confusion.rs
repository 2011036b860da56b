//! Which class is taken for which.

/// Counts by true class (row) and predicted class (column).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfusionMatrix {
    num_classes: usize,
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// Of `num_classes` classes, nothing counted.
    pub fn new(num_classes: usize) -> Self {
        Self { num_classes, counts: vec![0; num_classes * num_classes] }
    }

    /// Counts one thing.
    ///
    /// # Panics
    /// If a class is not below the number of classes.
    pub fn count(&mut self, truth: usize, predicted: usize) {
        let n = self.num_classes;
        assert!(truth < n && predicted < n, "class {} of {n}", truth.max(predicted));
        self.counts[truth * n + predicted] += 1;
    }

    /// A row of counts for each true class.
    pub fn rows(&self) -> impl Iterator<Item = &[u64]> {
        self.counts.chunks(self.num_classes)
    }

    /// Everything counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How much there is of each true class.
    pub fn actual(&self) -> Vec<u64> {
        self.rows().map(|row| row.iter().sum()).collect()
    }

    /// How much of each class is predicted.
    pub fn predicted(&self) -> Vec<u64> {
        (0..self.num_classes).map(|class| self.rows().map(|row| row[class]).sum()).collect()
    }

    /// What is predicted right of each class.
    pub fn right(&self) -> Vec<u64> {
        self.counts.iter().step_by(self.num_classes + 1).copied().collect()
    }

    /// Of each class the share of what is there that is predicted right; `None` where nothing is there.
    pub fn recalls(&self) -> Vec<Option<f64>> {
        self.right().iter().zip(self.actual()).map(|(right, actual)| share(*right, actual)).collect()
    }

    /// Of each class what is predicted right over what is there or predicted; `None` where it is neither.
    pub fn intersections_over_unions(&self) -> Vec<Option<f64>> {
        let counts = self.right().into_iter().zip(self.actual()).zip(self.predicted());
        counts.map(|((right, actual), predicted)| share(right, actual + predicted - right)).collect()
    }

    /// The share on the diagonal; 0 of nothing.
    pub fn accuracy(&self) -> f64 {
        let right: u64 = self.right().iter().sum();
        right as f64 / self.total().max(1) as f64
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accuracy_is_the_share_on_the_diagonal() {
        let mut confusion = ConfusionMatrix::new(3);
        assert_eq!(confusion.accuracy(), 0.0);
        for (truth, predicted) in [(0, 0), (1, 1), (1, 2), (2, 2), (2, 2)] {
            confusion.count(truth, predicted);
        }
        assert_eq!(confusion.accuracy(), 4.0 / 5.0);
        assert_eq!(confusion.rows().nth(1), Some([0, 1, 1].as_slice()));
    }
}
