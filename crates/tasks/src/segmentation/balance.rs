//! How often classes are met, and what a pixel of each should count.

use kiln_core::{IGNORED, LabelMap};

/// How many pixels of each class the label maps of a data set have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelCounts {
    /// Pixels of each class.
    pixels: Vec<u64>,
    /// All labelled pixels of the images that have the class.
    around: Vec<u64>,
}

impl LabelCounts {
    /// Of `num_classes` classes, nothing counted.
    pub fn new(num_classes: usize) -> Self {
        Self { pixels: vec![0; num_classes], around: vec![0; num_classes] }
    }

    /// Counts one more image.
    ///
    /// # Panics
    /// If a class is not below the number of classes.
    pub fn add(&mut self, map: &LabelMap) {
        let mut of_image = [0_u64; 256];
        map.labels.iter().for_each(|label| of_image[usize::from(*label)] += 1);
        of_image[usize::from(IGNORED)] = 0;
        let num_classes = self.pixels.len();
        let beyond = of_image.iter().rposition(|count| *count > 0).filter(|class| *class >= num_classes);
        assert!(beyond.is_none(), "class {beyond:?} of {num_classes}");
        let labelled: u64 = of_image.iter().sum();
        for (class, count) in of_image[..num_classes].iter().enumerate().filter(|(_, count)| **count > 0) {
            self.pixels[class] += count;
            self.around[class] += labelled;
        }
    }

    /// Pixels of each class.
    pub fn pixels(&self) -> &[u64] {
        &self.pixels
    }

    /// Median frequency balancing (Eigen and Fergus 2015, "Predicting depth, surface normals and semantic labels with a common
    /// multi-scale convolutional architecture", Section 6.3.2): the median of the frequencies of the classes over that of each. The
    /// frequency of a class is its share of the pixels of the images that have it; of two in the middle the median is their mean.
    /// Pixels that do not count are none, and a class that is nowhere gets 0 and is not in the median.
    pub fn median_frequency_weights(&self) -> Vec<f32> {
        let frequency = |(pixels, around): (&u64, &u64)| *pixels as f64 / (*around).max(1) as f64;
        let frequencies: Vec<f64> = self.pixels.iter().zip(&self.around).map(frequency).collect();
        let mut sorted: Vec<f64> = frequencies.iter().copied().filter(|f| *f > 0.0).collect();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.get(sorted.len() / 2).zip(sorted.get(sorted.len().saturating_sub(1) / 2));
        let median = middle.map_or(0.0, |(above, below)| (above + below) / 2.0);
        frequencies.iter().map(|f| if *f > 0.0 { (median / f) as f32 } else { 0.0 }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(num_classes: usize, maps: &[&[u8]]) -> LabelCounts {
        let mut counts = LabelCounts::new(num_classes);
        for labels in maps {
            counts.add(&LabelMap { width: labels.len(), height: 1, labels: labels.to_vec() });
        }
        counts
    }

    #[test]
    fn weights_are_the_median_frequency_over_that_of_each_class() {
        // Class 0: 3 of 4 and 1 of 2 labelled pixels, 4/6. Class 1: 1 of 4. Class 2: 1 of 2. Class 3 is nowhere.
        let maps: [&[u8]; 2] = [&[0, 0, 0, 1, IGNORED], &[0, 2, IGNORED, IGNORED]];
        let counts = counted(4, &maps);
        assert_eq!(counts.pixels(), [4, 1, 1, 0]);
        assert_eq!(counts.median_frequency_weights(), [0.75, 2.0, 1.0, 0.0]);
    }

    #[test]
    fn of_an_even_number_of_classes_the_median_is_between_two() {
        // 3/4 and 1/4, in the middle 1/2.
        let weights = counted(2, &[&[0, 0, 0, 1]]).median_frequency_weights();
        assert_eq!(weights, [0.5 / 0.75, 2.0]);
        assert_eq!(counted(2, &[&[IGNORED]]).median_frequency_weights(), [0.0, 0.0]);
    }

    #[test]
    #[should_panic(expected = "class Some(7) of 2")]
    fn a_class_beyond_the_classes_is_a_bug() {
        counted(2, &[&[0, 7]]);
    }
}
