//! Classification: one class an image, or shares of several where images are mixed.

use kiln_core::{Batch, Logits, Losses, Score, Task, Truth};

use crate::{ClassificationLoss, ConfusionMatrix};

/// What an auxiliary classifier's loss counts beside the main one's: Szegedy et al. 2014, Section 5.
const AUXILIARY_WEIGHT: f64 = 0.3;

/// Logits `[batch, num_classes]` compared with classes, scored by accuracy.
#[derive(Debug, Clone)]
pub struct Classification {
    /// Classes to tell apart.
    pub num_classes: usize,
    /// The share of the target that is spread evenly over all classes: Szegedy et al. 2015, *Rethinking the Inception
    /// architecture for computer vision*, Section 7. 0 to below 1.
    pub label_smoothing: f64,
    /// How logits are compared with the targets.
    pub loss: ClassificationLoss,
}

impl Classification {
    /// Cross entropy without label smoothing.
    pub fn new(num_classes: usize) -> Self {
        Self { num_classes, label_smoothing: 0.0, loss: ClassificationLoss::default() }
    }
}

impl Task for Classification {
    type Output = Logits;
    type Score = ClassificationScore;

    fn loss(&self, logits: Logits, batch: &Batch) -> Losses {
        let loss = |logits| self.loss.of(logits, &batch.truths, self.label_smoothing);
        let losses = Losses::new(self.loss.name(), loss(logits.main));
        let auxiliary = logits.auxiliary.into_iter().map(loss);
        match auxiliary.reduce(|sum, loss| sum + loss) {
            Some(sum) => losses.and("auxiliary", sum * AUXILIARY_WEIGHT),
            None => losses,
        }
    }

    fn score(&self) -> ClassificationScore {
        ClassificationScore { confusion: ConfusionMatrix::new(self.num_classes), in_top5: 0 }
    }
}

/// How often the class is right, and how often it is among the five most probable.
#[derive(Debug, Clone)]
pub struct ClassificationScore {
    confusion: ConfusionMatrix,
    in_top5: u64,
}

impl ClassificationScore {
    /// Which classes are taken for which.
    pub fn confusion(&self) -> &ConfusionMatrix {
        &self.confusion
    }

    /// Images scored so far.
    pub fn items(&self) -> u64 {
        self.confusion.total()
    }
}

impl Score for ClassificationScore {
    type Output = Logits;

    fn update(&mut self, logits: Logits, batch: &Batch) {
        let [_, num_classes] = logits.main.dims();
        let targets = batch.truths.iter().map(class);
        let logits = logits.main.into_data().convert::<f32>();
        let logits = logits.as_slice::<f32>().expect("converted to f32 above");
        for (row, target) in logits.chunks(num_classes).zip(targets) {
            // Of equal logits the first wins, as PyTorch's argmax has it.
            let ahead =
                |index: usize| row[index] > row[target] || (row[index] == row[target] && index < target);
            let rank = (0..num_classes).filter(|index| ahead(*index)).count();
            let first = |best: usize, index: usize| if row[index] > row[best] { index } else { best };
            self.confusion.count(target, (0..num_classes).fold(0, first));
            self.in_top5 += u64::from(rank < 5);
        }
    }

    fn figures(&self) -> Vec<(&'static str, f64)> {
        let top5 = self.in_top5 as f64 / self.items().max(1) as f64;
        vec![("accuracy", self.confusion.accuracy()), ("top5", top5)]
    }
}

pub(crate) fn class(truth: &Truth) -> usize {
    truth.class.expect("a data set for classification has a class an image")
}

#[cfg(test)]
mod tests {
    use burn::prelude::*;

    use super::*;

    fn batch(classes: &[usize]) -> Batch {
        Batch {
            images: Tensor::zeros([classes.len(), 3, 1, 1], &Device::flex()),
            truths: classes.iter().map(|c| Truth { class: Some(*c), ..Truth::default() }).collect(),
            indices: (0..classes.len()).collect(),
        }
    }

    #[test]
    fn the_loss_is_the_mean_negative_log_probability_of_the_class() {
        // Row 1: p = e^ln3 / (e^ln3 + 1) = 3/4; row 2: p = 1/2. Mean of -ln: (ln(4/3) + ln 2) / 2 = 0.490414627.
        let logits = Tensor::<2>::from_data([[3f32.ln(), 0.0], [0.0, 0.0]], &Device::flex());
        let losses = Classification::new(2).loss(logits.into(), &batch(&[0, 1]));
        let loss = losses.total().into_scalar::<f32>();
        assert!((loss - 0.490_414_63).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn label_smoothing_spreads_a_share_of_the_target_over_all_classes() {
        // p = 3/4 and 1/4; target 0.9 + 0.1 / 2 and 0.1 / 2: 0.95 ln(4/3) + 0.05 ln 4 = 0.342612686.
        let logits = Tensor::<2>::from_data([[3f32.ln(), 0.0]], &Device::flex());
        let task = Classification { label_smoothing: 0.1, ..Classification::new(2) };
        let loss = task.loss(logits.into(), &batch(&[0])).total().into_scalar::<f32>();
        assert!((loss - 0.342_612_7).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn auxiliary_classifiers_count_three_tenths() {
        // Both auxiliary classifiers are undecided between two classes: 0.3 * (ln 2 + ln 2) = 0.415888308.
        let zeros = || Tensor::<2>::zeros([1, 2], &Device::flex());
        let logits = Logits { main: zeros(), auxiliary: vec![zeros(), zeros()] };
        let losses = Classification::new(2).loss(logits, &batch(&[1]));
        let [(_, main), (name, auxiliary)] = losses.parts() else { panic!("two parts") };
        assert_eq!(*name, "auxiliary");
        assert!((main.clone().into_scalar::<f32>() - std::f32::consts::LN_2).abs() < 1e-6);
        assert!((auxiliary.clone().into_scalar::<f32>() - 0.415_888_3).abs() < 1e-6);
    }

    #[test]
    fn accuracy_counts_the_largest_logit_and_top5_the_five_largest() {
        let logits = Tensor::<2>::from_data(
            [
                [9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], // class 0 is first
                [9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], // class 3 is fifth: 0, 6, 5, 4, 3
                [9.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], // class 2 is sixth
                [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], // all equal: class 0 is taken, 4 is the fifth
            ],
            &Device::flex(),
        );
        let mut score = Classification::new(7).score();
        score.update(logits.into(), &batch(&[0, 3, 2, 4]));
        assert_eq!(score.figures(), [("accuracy", 0.25), ("top5", 0.75)]);
        assert_eq!(score.confusion().rows().nth(3).expect("class 3")[0], 1);
    }
}
