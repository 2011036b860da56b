//! How logits are compared with classes, or with shares of classes.

use burn::prelude::*;
use burn::tensor::TensorData;
use burn::tensor::activation::{log_sigmoid, log_softmax};
use kiln_core::{Error, Result, Truth};
use serde::{Deserialize, Serialize};

use crate::classification::class;

/// The loss of a classifier.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ClassificationLoss {
    /// Cross entropy between the target and the softmax of the logits.
    CrossEntropy {},
    /// Each class on its own: the mean over all of the cross entropy between its share of the target and the sigmoid of
    /// its logit (Wightman et al. 2021, "ResNet strikes back", Section 3.1).
    BinaryCrossEntropy {
        /// Shares above it, smoothed as they may be, become 1 and all others 0; shares stay what they are if left out. The
        /// paper's is 0.2.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        threshold: Option<f32>,
    },
}

impl Default for ClassificationLoss {
    fn default() -> Self {
        Self::CrossEntropy {}
    }
}

impl ClassificationLoss {
    /// Its name in metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::CrossEntropy {} => "cross_entropy",
            Self::BinaryCrossEntropy { .. } => "binary_cross_entropy",
        }
    }

    /// Whether the numbers make sense.
    ///
    /// # Errors
    /// A threshold that no share, or every one, is above.
    pub fn check(self) -> Result<()> {
        match self {
            Self::BinaryCrossEntropy { threshold: Some(threshold) } if !(0.0..1.0).contains(&threshold) => {
                Err(Error::input(format!("`threshold` is {threshold}")).hint("0 to below 1, as 0.2"))
            }
            _ => Ok(()),
        }
    }

    /// The mean over a batch. A share `smoothing` of each target is spread evenly over all classes.
    ///
    /// # Shapes
    /// `[batch, num_classes]` to `[1]`
    ///
    /// # Panics
    /// If an image has no class.
    pub fn of(self, logits: Tensor<2>, truths: &[Truth], smoothing: f64) -> Tensor<1> {
        match self {
            Self::CrossEntropy {} if truths.iter().all(|truth| truth.mixture.is_empty()) => {
                let classes: Vec<usize> = truths.iter().map(class).collect();
                kiln_kernels::cross_entropy(logits, &classes, smoothing)
            }
            Self::CrossEntropy {} => {
                let [batch, _] = logits.dims();
                let targets = targets(&logits, truths, smoothing, |share| share);
                (log_softmax(logits, 1) * targets).sum() / -(batch as f64)
            }
            Self::BinaryCrossEntropy { threshold } => {
                let level = |share: f32| threshold.map_or(share, |least| f32::from(share > least));
                let targets = targets(&logits, truths, smoothing, level);
                // -t ln s(x) - (1 - t) ln s(-x), where ln s(-x) = ln s(x) - x.
                (logits.clone() * (targets.neg() + 1.0) - log_sigmoid(logits)).mean()
            }
        }
    }
}

/// The shares of the classes, `[batch, num_classes]`, beside `logits`.
fn targets(logits: &Tensor<2>, truths: &[Truth], smoothing: f64, level: impl Fn(f32) -> f32) -> Tensor<2> {
    let [batch, num_classes] = logits.dims();
    assert_eq!(batch, truths.len(), "rows and truths");
    let spread = (smoothing / num_classes as f64) as f32;
    let mut shares = vec![spread; batch * num_classes];
    for (row, truth) in shares.chunks_exact_mut(num_classes).zip(truths) {
        let alone = [(0, 1.0)];
        let mixture = match truth.mixture.as_slice() {
            [] => &alone.map(|(_, share)| (class(truth), share)),
            mixture => mixture,
        };
        for (class, share) in mixture {
            row[*class] += share * (1.0 - smoothing) as f32;
        }
        row.iter_mut().for_each(|share| *share = level(*share));
    }
    Tensor::from_data(TensorData::new(shares, [batch, num_classes]), (&logits.device(), logits.dtype()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [[f32; 4]; 3] = [[2.0, -1.0, 0.5, 0.0], [0.0, 0.0, -3.0, 4.0], [90.0, -90.0, 1.0, 0.0]];

    /// Two mixed images and one that is not.
    fn truths() -> Vec<Truth> {
        let of = |class: usize, mixture: Vec<(usize, f32)>| Truth {
            class: Some(class),
            mixture,
            ..Truth::default()
        };
        vec![of(0, vec![(0, 0.7), (2, 0.3)]), of(3, Vec::new()), of(1, vec![(1, 0.15), (0, 0.85)])]
    }

    type Row = (ClassificationLoss, f64, f32, [[f32; 4]; 3]);

    /// Loss, smoothing, value and gradient. PyTorch 2.15, with `t` the shares of `truths`:
    /// `F.cross_entropy(x, t, label_smoothing=s)` and `F.binary_cross_entropy_with_logits(x, t * (1 - s) + s / 4)`, the
    /// latter's target compared with the threshold where there is one.
    #[rustfmt::skip]
    const EXPECTED: [Row; 6] = [
        (ClassificationLoss::CrossEntropy {}, 0.0, 9.276402, [[0.0033666315, 0.011784598, -0.047185108, 0.03203386], [0.005884297, 0.005884297, 0.0002929619, -0.012061557], [0.050000012, -0.050000004, 0.0, 0.0]]),
        (ClassificationLoss::CrossEntropy {}, 0.1, 11.532235, [[0.018366631, 0.003451265, -0.045518443, 0.023700528], [-0.0024490363, -0.0024490363, -0.008040372, 0.012938449], [0.06999999, -0.05333334, -0.008333334, -0.008333334]]),
        (ClassificationLoss::BinaryCrossEntropy { threshold: None }, 0.0, 2.7514045, [[0.01506642, 0.022411786, 0.026871612, 0.041666668], [0.041666668, 0.041666668, 0.0039521563, -0.0014988532], [0.012499998, -0.0125, 0.06092155, 0.041666668]]),
        (ClassificationLoss::BinaryCrossEntropy { threshold: None }, 0.1, 3.3153627, [[0.01881642, 0.020328453, 0.027288279, 0.039583333], [0.039583333, 0.039583333, 0.0018688227, 0.004751151], [0.017500004, -0.013333335, 0.05883822, 0.039583333]]),
        (ClassificationLoss::BinaryCrossEntropy { threshold: Some(0.2) }, 0.0, 0.42223787, [[-0.009933581, 0.022411786, -0.03146172, 0.041666668], [0.041666668, 0.041666668, 0.0039521563, -0.0014988532], [0.0, 0.0, 0.06092155, 0.041666668]]),
        (ClassificationLoss::BinaryCrossEntropy { threshold: Some(0.2) }, 0.1, 0.42223787, [[-0.009933581, 0.022411786, -0.03146172, 0.041666668], [0.041666668, 0.041666668, 0.0039521563, -0.0014988532], [0.0, 0.0, 0.06092155, 0.041666668]]),
    ];

    #[test]
    fn losses_and_gradients_of_shares_are_pytorchs() {
        for (loss, smoothing, value, gradient) in EXPECTED {
            let logits = Tensor::<2>::from_data(LOGITS, &Device::flex().autodiff()).require_grad();
            let found = loss.of(logits.clone(), &truths(), smoothing);
            let gradients = found.backward();
            let found = found.into_scalar::<f32>();
            assert!((found - value).abs() < 1e-5 * value, "{loss:?}, {smoothing}: {found}");
            let found = logits.grad(&gradients).expect("logits are learned").into_data();
            for (found, expected) in found.iter::<f32>().zip(gradient.as_flattened()) {
                assert!((found - expected).abs() < 1e-6, "{loss:?}, {smoothing}: {found}, {expected}");
            }
        }
    }

    #[test]
    fn an_image_of_one_class_costs_the_same_either_way() {
        let alone = |mixture: Vec<(usize, f32)>| Truth { class: Some(2), mixture, ..Truth::default() };
        for smoothing in [0.0, 0.1] {
            let cost = |truth: Truth| {
                let logits = Tensor::<2>::from_data([LOGITS[0]], &Device::flex());
                ClassificationLoss::default().of(logits, &[truth], smoothing).into_scalar::<f32>()
            };
            let (fused, shares) = (cost(alone(Vec::new())), cost(alone(vec![(2, 1.0)])));
            assert!((fused - shares).abs() < 1e-6, "{fused}, {shares}");
        }
    }

    #[test]
    fn a_loss_is_named_and_its_threshold_is_a_share() {
        let parsed = |text: &str| toml::from_str::<ClassificationLoss>(text);
        let loss = ClassificationLoss::BinaryCrossEntropy { threshold: Some(0.2) };
        assert_eq!(parsed("name = 'binary-cross-entropy'\nthreshold = 0.2"), Ok(loss));
        assert_eq!(parsed("name = 'cross-entropy'"), Ok(ClassificationLoss::default()));
        assert!(parsed("name = 'cross-entropy'\nthreshold = 0.2").is_err());
        assert!(loss.check().is_ok());
        for threshold in [-0.1, 1.0, f32::NAN] {
            assert!(ClassificationLoss::BinaryCrossEntropy { threshold: Some(threshold) }.check().is_err());
        }
    }
}
