//! Where a run is, and what it has reached so far.

use serde::{Deserialize, Serialize};

use crate::average::Progress;

/// A place in a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Whole epochs done.
    pub epoch: usize,
    /// Steps done in the epoch that comes after them.
    pub step: usize,
    /// Steps done in all.
    pub global_step: usize,
}

/// What an epoch came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochSummary {
    /// Counted from 1.
    pub epoch: usize,
    /// Steps done in all.
    pub step: usize,
    /// The learning rate of its last step.
    #[serde(with = "exact")]
    pub rate: f64,
    /// The average over its images, each when it was trained on.
    #[serde(with = "exact")]
    pub train_loss: f64,
    /// The average over the test images, after it; NaN without test images.
    #[serde(with = "exact")]
    pub test_loss: f64,
    /// The task's figures on the test images, the one that decides which epoch is best first.
    #[serde(with = "exact_figures")]
    pub figures: Vec<(String, f64)>,
    /// What the average of the weights came to, where it was tried.
    pub average: Option<Tried>,
}

/// What a network came to on the test images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tried {
    /// The average loss; NaN without test images.
    #[serde(with = "exact")]
    pub loss: f64,
    /// The task's figures.
    #[serde(with = "exact_figures")]
    pub figures: Vec<(String, f64)>,
}

impl EpochSummary {
    /// What decides which epoch is best: the first figure, or a low test loss for a task that has none; of the average of the
    /// weights, where it was tried.
    pub fn merit(&self) -> f64 {
        let (loss, figures) = match &self.average {
            Some(average) => (average.loss, &average.figures),
            None => (self.test_loss, &self.figures),
        };
        figures.first().map_or(-loss, |(_, figure)| *figure)
    }
}

/// The best epoch; the earlier of two that are equal; the first if none has a merit that is a number.
pub(crate) fn best(history: &[EpochSummary]) -> Option<&EpochSummary> {
    history.iter().reduce(|best, epoch| match epoch.merit() > best.merit() || best.merit().is_nan() {
        true if !epoch.merit().is_nan() => epoch,
        _ => best,
    })
}

/// What of a run is in no tensor.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    pub place: Place,
    /// Of the epoch that is under way: the losses of its images, added up.
    #[serde(with = "exact")]
    pub loss_sum: f64,
    /// Of the epoch that is under way: images seen.
    pub items_seen: usize,
    /// The learning rate of the last step.
    #[serde(with = "exact")]
    pub rate: f64,
    /// The loss of the last step.
    #[serde(with = "exact")]
    pub last_loss: f64,
    /// How far the average of the weights is. The average itself is ahead of this but in a checkpoint.
    pub average: Progress,
    /// The epochs done.
    pub history: Vec<EpochSummary>,
}

impl State {
    /// Counts a step: its loss, averaged over `items` images, and its rate.
    pub fn end_step(&mut self, loss: f32, items: usize, rate: f64) {
        self.place.step += 1;
        self.place.global_step += 1;
        self.loss_sum += f64::from(loss) * items as f64;
        self.items_seen += items;
        self.rate = rate;
        self.last_loss = f64::from(loss);
    }

    /// Closes the epoch that is under way; true if it is the best so far.
    pub fn end_epoch(&mut self, tried: Tried, average: Option<Tried>) -> bool {
        self.history.push(EpochSummary {
            epoch: self.place.epoch + 1,
            step: self.place.global_step,
            rate: self.rate,
            train_loss: self.loss_sum / self.items_seen as f64,
            test_loss: tried.loss,
            figures: tried.figures,
            average,
        });
        self.place = Place { epoch: self.place.epoch + 1, step: 0, ..self.place };
        self.loss_sum = 0.0;
        self.items_seen = 0;
        best(&self.history).is_some_and(|best| best.epoch == self.place.epoch)
    }
}

/// Numbers as text: JSON has no NaN, and its readers may round the last bit.
pub(crate) mod exact {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom(format!("`{text}` is no number")))
    }
}

mod exact_figures {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(figures: &[(String, f64)], to: S) -> Result<S::Ok, S::Error> {
        figures.iter().map(|(name, value)| (name, value.to_string())).collect::<Vec<_>>().serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, f64)>, D::Error> {
        let figures = Vec::<(String, String)>::deserialize(from)?;
        let parsed = figures.into_iter().map(|(name, text)| match text.parse() {
            Ok(value) => Ok((name, value)),
            Err(_) => Err(D::Error::custom(format!("`{text}` is no number"))),
        });
        parsed.collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn tried(loss: f64, figures: &[(&str, f64)]) -> Tried {
        Tried { loss, figures: figures.iter().map(|(name, value)| (name.to_string(), *value)).collect() }
    }

    fn run(figures: &[f64]) -> Vec<bool> {
        let mut state = State::default();
        let mut step = |figure: &f64| {
            state.end_step(1.0, 10, 0.1);
            state.end_epoch(tried(0.5, &[("accuracy", *figure)]), None)
        };
        figures.iter().map(&mut step).collect()
    }

    #[test]
    fn the_best_epoch_is_the_first_of_the_highest() {
        assert_eq!(run(&[0.5, 0.7, 0.7, 0.6, 0.9]), [true, true, false, false, true]);
        assert_eq!(run(&[f64::NAN, 0.2, f64::NAN]), [true, true, false]);
    }

    #[test]
    fn where_an_average_was_tried_it_decides_which_epoch_is_best() {
        let mut state = State::default();
        let accuracy = |value| tried(0.5, &[("accuracy", value)]);
        let mut epoch = |weights, average: Option<f64>| {
            state.end_step(1.0, 10, 0.1);
            state.end_epoch(accuracy(weights), average.map(accuracy))
        };
        // 0.6, then 0.5 (not 0.9), then 0.7.
        assert!(epoch(0.6, None));
        assert!(!epoch(0.9, Some(0.5)));
        assert!(epoch(0.1, Some(0.7)));
        assert_eq!(best(&state.history).unwrap().epoch, 3);
    }

    #[test]
    fn an_epochs_loss_is_the_average_over_its_images() {
        let mut state = State::default();
        state.end_step(2.0, 30, 0.1);
        state.end_step(1.0, 10, 0.1);
        state.end_epoch(tried(0.0, &[]), None);
        // (2.0 * 30 + 1.0 * 10) / 40
        assert_eq!(state.history[0].train_loss, 1.75);
        assert_eq!(state.place, Place { epoch: 1, step: 0, global_step: 2 });
        assert_eq!((state.loss_sum, state.items_seen), (0.0, 0));
    }

    #[test]
    fn numbers_come_back_from_json_to_the_last_bit() {
        let mut state = State { loss_sum: 0.1 + 0.2, ..State::default() };
        state.end_step(1.0 / 3.0, 7, 2.2250738585072014e-308);
        state.end_epoch(
            tried(f64::NAN, &[("a", f64::INFINITY), ("b", 1.0 - f64::EPSILON / 2.0)]),
            Some(tried(f64::NAN, &[("a", f64::NEG_INFINITY)])),
        );
        let back: State = serde_json::from_str(&serde_json::to_string(&state).unwrap()).unwrap();
        let bits = |s: &State| {
            let e = &s.history[0];
            let figures = e.figures.iter().map(|f| f.1.to_bits());
            figures.chain([e.rate, e.train_loss, s.last_loss].map(f64::to_bits)).collect::<Vec<_>>()
        };
        assert_eq!(bits(&back), bits(&state));
        assert!(back.history[0].test_loss.is_nan());
        let average = back.history[0].average.as_ref().unwrap();
        assert!(average.loss.is_nan() && average.figures[0].1 == f64::NEG_INFINITY);
    }
}
