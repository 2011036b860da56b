//! The parts of a recipe beside its optimizer and its schedule.

use burn::module::Module;
use kiln_core::{Error, Result};
use serde::{Deserialize, Serialize};

use crate::{Average, Clip, EpochSummary, Freeze, Sam, freeze};

/// What a run does beside following its optimizer and its schedule. By default, nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Recipe {
    /// Batches whose gradients make one step: their average, each weighed by its images, is that of the large batch. Batch
    /// normalization still sees the small ones.
    pub accumulate: usize,
    /// What is done to gradients before a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<Clip>,
    /// The gradient is taken uphill.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sam: Option<Sam>,
    /// An average of the weights is kept beside them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<Average>,
    /// Parts that do not learn for a while.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<Freeze>,
    /// The run ends when it gets no better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub early_stop: Option<EarlyStop>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self { accumulate: 1, clip: None, sam: None, average: None, freeze: Vec::new(), early_stop: None }
    }
}

impl Recipe {
    /// Makes sure that it makes sense in a run of so many epochs.
    ///
    /// # Errors
    /// A value that does not, named by its key in an experiment.
    pub fn check(&self, epochs: usize) -> Result<()> {
        if self.accumulate == 0 {
            return Err(Error::input("is 0").place("train.accumulate").hint("give 1 or more"));
        }
        self.clip.iter().try_for_each(Clip::check)?;
        self.sam.iter().try_for_each(Sam::check)?;
        self.average.iter().try_for_each(|average| average.check(epochs))?;
        self.early_stop.iter().try_for_each(EarlyStop::check)?;
        match (&self.average, &self.early_stop) {
            (Some(Average::Swa { .. }), Some(_)) => {
                Err(Error::input("a run that may end early has no last epochs to average")
                    .place("train.early_stop")
                    .hint("leave it out, or take `ema` as the average"))
            }
            _ => Ok(()),
        }
    }

    /// Makes sure that what is to be frozen is part of a network, and something is left to learn.
    ///
    /// # Errors
    /// A part that is not, as `train.freeze`.
    pub fn check_parts<M: Module>(&self, network: &M, epochs: usize) -> Result<()> {
        freeze::check(&self.freeze, network, epochs)
    }

    /// Whether a run ends after these epochs.
    pub(crate) fn ends_after(&self, history: &[EpochSummary]) -> bool {
        self.early_stop.as_ref().is_some_and(|stop| stop.ends_after(history))
    }
}

/// A run ends after `patience` epochs in a row that are no better than the best before them (Prechelt, *Early Stopping: But
/// When?*, 1998, Section 2).
///
/// It looks at the epochs done, and so has no state that a resumed run could lose.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EarlyStop {
    /// Epochs that may pass without a gain.
    pub patience: usize,
    /// What a gain is at least, in the figure that decides which epoch is best.
    #[serde(default)]
    pub min_gain: f64,
}

impl EarlyStop {
    fn check(&self) -> Result<()> {
        let reject = |key: &str, message: String, hint: &str| {
            Err(Error::input(message).place(format!("train.early_stop.{key}")).hint(hint))
        };
        match self {
            Self { patience: 0, .. } => reject("patience", "is 0".into(), "give 1 or more"),
            Self { min_gain, .. } if !(min_gain.is_finite() && *min_gain >= 0.0) => {
                reject("min_gain", format!("{min_gain} is no gain"), "give 0 or more, as 0.001")
            }
            _ => Ok(()),
        }
    }

    fn ends_after(&self, history: &[EpochSummary]) -> bool {
        let (mut best, mut without) = (f64::NEG_INFINITY, 0);
        for epoch in history {
            match epoch.merit() > best + self.min_gain {
                true => (best, without) = (epoch.merit(), 0),
                false => without += 1,
            }
        }
        without >= self.patience
    }
}
