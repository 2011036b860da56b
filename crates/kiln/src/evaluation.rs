//! A network on a split of a data set: its score, and what it says of every image.

use burn::prelude::*;
use burn::tensor::activation::softmax;
use kiln_core::{Batches, ClassProbability, Network, Result, Score, Task};
use kiln_tasks::{Classification, ClassificationScore};
use kiln_zoo::Classifier;

/// What came of it.
pub struct Evaluation {
    /// Accuracy and the confusion matrix.
    pub score: ClassificationScore,
    /// Image by image, in the order of the split.
    pub predictions: Vec<Prediction>,
    /// Images left out because they could not be read.
    pub skipped: usize,
}

/// What the network says of one image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    /// Its place in the split.
    pub index: usize,
    /// Its class.
    pub truth: usize,
    /// The class the network named.
    pub predicted: usize,
    /// The probability the network gave to the class it named.
    pub probability: f32,
}

/// Runs a network, in evaluation mode, over `batches`; `progress` hears of the images done.
///
/// # Errors
/// An image that cannot be read.
pub fn evaluate(
    network: &Classifier,
    num_classes: usize,
    batches: &impl Batches,
    mut progress: impl FnMut(usize),
) -> Result<Evaluation> {
    let mut score = Classification::new(num_classes).score();
    let mut predictions = Vec::with_capacity(batches.items());
    for batch in batches.epoch(0, 0) {
        let batch = batch?;
        let logits = network.forward(batch.images.clone());
        for (at, classes) in most_probable(logits.main.clone(), 1).into_iter().enumerate() {
            let ClassProbability { class, probability } = classes[0];
            let truth = batch.truths[at].class.unwrap_or_default();
            predictions.push(Prediction { index: batch.indices[at], truth, predicted: class, probability });
        }
        score.update(logits, &batch);
        progress(predictions.len());
    }
    Ok(Evaluation { score, predictions, skipped: batches.skipped() })
}

/// The `count` most probable classes of each image, the most probable first.
pub fn most_probable(logits: Tensor<2>, count: usize) -> Vec<Vec<ClassProbability>> {
    let [_, num_classes] = logits.dims();
    let probabilities = softmax(logits, 1).into_data().convert::<f32>();
    let probabilities = probabilities.as_slice::<f32>().expect("converted to f32 above");
    let ranked = |row: &[f32]| {
        let classes = row
            .iter()
            .enumerate()
            .map(|(class, probability)| ClassProbability { class, probability: *probability });
        let mut classes: Vec<_> = classes.collect();
        classes.sort_by(|a, b| b.probability.total_cmp(&a.probability));
        classes.truncate(count);
        classes
    };
    probabilities.chunks(num_classes).map(ranked).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_ranked_by_probability() {
        // Logits ln 1, ln 6, ln 3: probabilities 0.1, 0.6, 0.3.
        let logits = Tensor::<2>::from_data([[0.0, 6f32.ln(), 3f32.ln()]], &Device::flex());
        let ranked = most_probable(logits, 2);
        let classes: Vec<usize> = ranked[0].iter().map(|c| c.class).collect();
        assert_eq!(classes, [1, 2]);
        assert!(
            (ranked[0][0].probability - 0.6).abs() < 1e-6 && (ranked[0][1].probability - 0.3).abs() < 1e-6
        );
    }
}
