//! Boxes as what is to be added to others: Girshick et al. 2014, *Rich feature hierarchies for accurate object detection
//! and semantic segmentation*, Appendix C.

use crate::BoundingBox;

/// Deltas from a proposal to a box: `[(x - px) / pw, (y - py) / ph, ln(w / pw), ln(h / ph)]` of the centres and sizes, each
/// times its weight.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxRegression {
    /// What the deltas are multiplied by, so that all vary alike: 1 over their standard deviations.
    pub weights: [f32; 4],
}

/// A size grows by at most this factor, which keeps a wild prediction finite: Detectron's, for images of up to 1000 pixels
/// and strides of 16.
const MOST_GROWTH: f32 = 1000.0 / 16.0;

impl BoxRegression {
    /// Deltas as they are: R-CNN and region proposals.
    pub const PLAIN: Self = Self { weights: [1.0; 4] };

    /// Of standard deviations 0.1 and 0.2: Fast R-CNN and its successors.
    pub const FAST_RCNN: Self = Self { weights: [10.0, 10.0, 5.0, 5.0] };

    /// What leads from `proposal` to `truth`; finite where both have an area.
    pub fn deltas(&self, proposal: &BoundingBox, truth: &BoundingBox) -> [f32; 4] {
        let ([px, py, pw, ph], [x, y, w, h]) = (proposal.cxcywh(), truth.cxcywh());
        let deltas = [(x - px) / pw, (y - py) / ph, (w / pw).ln(), (h / ph).ln()];
        std::array::from_fn(|i| deltas[i] * self.weights[i])
    }

    /// The box that `deltas` lead to from `proposal`. Sizes grow to at most 62.5 times the proposal's.
    pub fn decoded(&self, proposal: &BoundingBox, deltas: [f32; 4]) -> BoundingBox {
        let [px, py, pw, ph] = proposal.cxcywh();
        let [dx, dy, dw, dh]: [f32; 4] = std::array::from_fn(|i| deltas[i] / self.weights[i]);
        let grown = |size: f32, by: f32| size * by.min(MOST_GROWTH.ln()).exp();
        BoundingBox::from_cxcywh([px + pw * dx, py + ph * dy, grown(pw, dw), grown(ph, dh)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_are_those_of_the_formula_and_lead_back() {
        // P = (100, 100, 50, 40), G = (110, 95, 60, 50): 10/50, -5/40, ln 1.2, ln 1.25.
        let proposal = BoundingBox::from_cxcywh([100.0, 100.0, 50.0, 40.0]);
        let truth = BoundingBox::from_cxcywh([110.0, 95.0, 60.0, 50.0]);
        let plain = [0.2, -0.125, 0.182_321_56, 0.223_143_55];
        for (regression, weights) in
            [(BoxRegression::PLAIN, [1.0; 4]), (BoxRegression::FAST_RCNN, [10.0, 10.0, 5.0, 5.0])]
        {
            let deltas = regression.deltas(&proposal, &truth);
            for i in 0..4 {
                assert!((deltas[i] - plain[i] * weights[i]).abs() < 1e-6, "{deltas:?}");
            }
            let back = regression.decoded(&proposal, deltas).xyxy();
            assert!(back.iter().zip(truth.xyxy()).all(|(a, b)| (a - b).abs() < 1e-4), "{back:?}");
        }
    }

    #[test]
    fn a_wild_prediction_stays_finite() {
        let proposal = BoundingBox::from_xywh([0.0, 0.0, 16.0, 16.0]);
        let found = BoxRegression::PLAIN.decoded(&proposal, [0.0, 0.0, 1e9, f32::NEG_INFINITY]).cxcywh();
        assert!((found[2] - 1000.0).abs() < 1e-2 && found[3] == 0.0, "{found:?}");
    }
}
