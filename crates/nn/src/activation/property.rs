//! What is true of an activation: where its values lie and those of its derivative, how smooth it is, and what can be told from its
//! numbers.

use std::f64::consts::{E, FRAC_PI_2};

use super::{Activation, LECUN, SELU};

/// The values that a function takes.
#[derive(Debug, Clone, PartialEq)]
pub enum ActivationRange {
    /// These.
    Values(Vec<f64>),
    /// All between two ends.
    Between {
        /// The ends; infinite where there is none.
        ends: [f64; 2],
        /// Whether an end is a value.
        closed: [bool; 2],
    },
    /// One value, and all between two ends.
    And(f64, Box<ActivationRange>),
}

/// How many derivatives are continuous.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Smoothness {
    /// Not even the function.
    Jumps,
    /// The function alone.
    Continuous,
    /// Its first derivative too.
    Once,
    /// All.
    Smooth,
}

/// What is true of an activation.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationProperties {
    /// Where its values lie.
    pub range: ActivationRange,
    /// Where those of its derivative lie, kinks left out.
    pub derivative_range: ActivationRange,
    /// How many derivatives are continuous.
    pub smoothness: Smoothness,
    /// Whether it never falls.
    pub monotonic: bool,
    /// Whether its derivative never falls, or never rises.
    pub monotonic_derivative: bool,
    /// Whether `f(x)` is nearly `x` around 0.
    pub identity_at_origin: bool,
    /// `f(-x) = f(x)`
    pub even: bool,
    /// `f(-x) = -f(x)`
    pub odd: bool,
    /// Whether its derivative decays towards zero on one side at least: a gradient that passes many such layers vanishes.
    pub saturates: bool,
    /// Whether its derivative is zero on a whole interval: a unit that lies there for all images learns no more.
    pub dies: bool,
    /// Whether its derivative is somewhere above 1: a gradient that passes many such layers may explode.
    pub explodes: bool,
}

impl Activation {
    /// Ranges and smoothness as the formula gives them; the rest is read off the formula's values for `x` from -20 to 20.
    pub fn properties(self) -> ActivationProperties {
        // Off the round numbers, so that no kink is met.
        let points: Vec<f64> = (0..4000).map(|at| -20.0 + 0.01 * f64::from(at) + 0.0037).collect();
        let values: Vec<f64> = points.iter().map(|x| self.value(*x)).collect();
        let slopes: Vec<f64> = points.iter().map(|x| self.derivative(*x)).collect();
        let never =
            |list: &[f64], sign: f64| list.windows(2).all(|pair| sign * (pair[1] - pair[0]) >= -1e-12);
        let mirrored = |sign: f64| {
            points.iter().all(|x| (self.value(-x) - sign * self.value(*x)).abs() <= 1e-12 * (1.0 + x.abs()))
        };
        let near_identity = |x: f64| (self.value(x) - x).abs() < 0.01 * x.abs();
        let steepest = |list: &[f64]| list.iter().fold(0.0, |most: f64, slope| most.max(slope.abs()));
        // The hundred points beyond 19, against those from 4 to 5.
        let decays = |out: &[f64], within: &[f64]| {
            let out = steepest(out);
            out > 0.0 && out < 0.5 * steepest(within)
        };
        let (range, derivative_range, smoothness) = self.analytic();
        ActivationProperties {
            range,
            derivative_range,
            smoothness,
            monotonic: never(&values, 1.0),
            monotonic_derivative: never(&slopes, 1.0) || never(&slopes, -1.0),
            identity_at_origin: near_identity(1e-3) && near_identity(-1e-3),
            even: mirrored(1.0),
            odd: mirrored(-1.0),
            saturates: decays(&slopes[..100], &slopes[1500..1600])
                || decays(&slopes[3900..], &slopes[2400..2500]),
            // Between -6 and 6, where no exponential of an exponential has underflowed yet.
            dies: slopes[1400..2600].windows(20).any(|near| steepest(near) == 0.0),
            explodes: slopes.iter().any(|slope| *slope > 1.0 + 1e-9),
        }
    }

    fn analytic(self) -> (ActivationRange, ActivationRange, Smoothness) {
        use Smoothness::{Continuous, Jumps, Once, Smooth};
        const ALL: f64 = f64::INFINITY;
        let between =
            |low: f64, high: f64, closed: [bool; 2]| ActivationRange::Between { ends: [low, high], closed };
        let open = |low, high| between(low, high, [false; 2]);
        let closed = |low, high| between(low, high, [true; 2]);
        let from = |low| between(low, ALL, [true, false]);
        let values = |list: &[f64]| {
            let mut list = list.to_vec();
            list.sort_by(f64::total_cmp);
            list.dedup();
            ActivationRange::Values(list)
        };
        let real = || open(-ALL, ALL);
        let leaky =
            |slope: f64| (if slope > 0.0 { real() } else { from(0.0) }, values(&[slope, 1.0]), Continuous);
        match self {
            Self::Step => (values(&[0.0, 1.0]), values(&[0.0]), Jumps),
            Self::Identity => (real(), values(&[1.0]), Smooth),
            Self::Relu => (from(0.0), values(&[0.0, 1.0]), Continuous),
            Self::Sigmoid => (open(0.0, 1.0), between(0.0, 0.25, [false, true]), Smooth),
            Self::Tanh => (open(-1.0, 1.0), between(0.0, 1.0, [false, true]), Smooth),
            Self::LeakyRelu { slope } | Self::PRelu { slope } => leaky(slope),
            Self::RRelu { lower, upper } => leaky((lower + upper) / 2.0),
            Self::Elu { alpha } => {
                let below = between(0.0, alpha, [false, true]);
                let slopes = if alpha == 1.0 { below } else { ActivationRange::And(1.0, Box::new(below)) };
                (open(-alpha, ALL), slopes, if alpha == 1.0 { Once } else { Continuous })
            }
            // Of the side below zero; that above has the first constant, which lies within.
            Self::Selu => (open(-SELU[0] * SELU[1], ALL), open(0.0, SELU[0] * SELU[1]), Continuous),
            Self::SRelu { left, right } => (real(), values(&[left[1], 1.0, right[1]]), Continuous),
            Self::HardSigmoid { slope } => (closed(0.0, 1.0), values(&[0.0, slope]), Continuous),
            Self::HardTanh => (closed(-1.0, 1.0), values(&[0.0, 1.0]), Continuous),
            Self::LecunTanh => {
                (open(-LECUN[0], LECUN[0]), between(0.0, LECUN[0] * LECUN[1], [false, true]), Smooth)
            }
            Self::ArcTan => (open(-FRAC_PI_2, FRAC_PI_2), between(0.0, 1.0, [false, true]), Smooth),
            Self::SoftSign => (open(-1.0, 1.0), between(0.0, 1.0, [false, true]), Once),
            Self::SoftPlus => (open(0.0, ALL), open(0.0, 1.0), Smooth),
            Self::Signum => (values(&[-1.0, 0.0, 1.0]), values(&[0.0]), Jumps),
            Self::BentIdentity => (real(), open(0.5, 1.5), Smooth),
            Self::SymmetricSigmoid => (open(-1.0, 1.0), between(0.0, 0.5, [false, true]), Smooth),
            Self::LogLog => (open(0.0, 1.0), between(0.0, 1.0 / E, [false, true]), Smooth),
            Self::Gaussian => {
                let steepest = (2.0 / E).sqrt();
                (between(0.0, 1.0, [false, true]), closed(-steepest, steepest), Smooth)
            }
            Self::Absolute => (from(0.0), values(&[-1.0, 1.0]), Continuous),
            Self::Sinusoid | Self::Cosine => (closed(-1.0, 1.0), closed(-1.0, 1.0), Smooth),
            // The lowest value at the first root of tan x = x, 4.4934; the steepest slopes at 2.0816.
            Self::Sinc => {
                (closed(-0.217_233_628_211_222, 1.0), closed(-0.436_181_817_271, 0.436_181_817_271), Smooth)
            }
            // Minima at -1.27846, -1.19243 and -0.75179; extreme slopes at +-2.39936, at -2.25638 and 1.49057, at +-1.41421.
            Self::Silu => (from(-0.278_464_542_761), closed(-0.099_839_320_129, 1.099_839_320_129), Smooth),
            Self::Mish => (from(-0.308_843_413_017), closed(-0.112_526_122_389, 1.088_498_161_252), Smooth),
            Self::Relu6 => (closed(0.0, 6.0), values(&[0.0, 1.0]), Continuous),
            Self::HardSwish => (from(-0.375), closed(-0.5, 1.5), Continuous),
            Self::Gelu => (from(-0.169_971_207_480), closed(-0.128_904_145_185, 1.128_904_145_185), Smooth),
        }
    }
}
