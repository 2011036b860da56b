//! Where networks are linear.

use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::{Activation, Draws};

use super::{Topic, formula};
use crate::draw::Drawing;
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "linear-regions",
    title: "Linear regions",
    summary: "Into how many pieces ReLUs cut the plane, and where activations without a kink are nearly straight.",
    explain,
};

/// `n` over `k`.
fn choose(n: u64, k: u64) -> u64 {
    (0..k).fold(1, |product, at| product * n.saturating_sub(at) / (at + 1))
}

/// The most pieces into which `units` ReLUs cut a space of so many dimensions: Zaslavsky 1975.
pub fn most_regions(units: u64, dimensions: u64) -> u64 {
    (0..=dimensions).map(|j| choose(units, j)).sum()
}

/// So many pieces some deep network of these widths has at least: Montúfar et al. 2014, *On the number of linear regions of deep neural networks*, Theorem 4.
///
/// # Panics
/// If there is no layer.
pub fn deep_regions(widths: &[u64], dimensions: u64) -> u64 {
    let (last, before) = widths.split_last().expect("a layer");
    let folds: u64 = before.iter().map(|width| (width / dimensions).pow(dimensions as u32)).product();
    folds * most_regions(*last, dimensions)
}

/// How far from 0 a function stays within `tolerance` of its tangent there.
pub fn straight_until(activation: Activation, tolerance: f64) -> f64 {
    let (value, slope) = (activation.value(0.0), activation.derivative(0.0));
    let apart = |x: f64| [x, -x].iter().any(|x| (activation.value(*x) - value - slope * x).abs() > tolerance);
    // In steps of a thousandth, then halving.
    let Some(first) = (1..10_000).map(|at| f64::from(at) * 1e-3).find(|x| apart(*x)) else {
        return f64::INFINITY;
    };
    let (mut low, mut high) = (first - 1e-3, first);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if apart(middle) { high = middle } else { low = middle }
    }
    low
}

/// Weights `[units, 2]` and biases of ReLUs over the plane, and so many points a side of the square from -1 to 1: which units are on at each point, and how
/// many such patterns there are.
fn counted(weights: &[[f64; 3]], side: usize) -> (Vec<Vec<u64>>, usize) {
    let at = |index: usize| 2.0 * (index as f64 + 0.5) / side as f64 - 1.0;
    let pattern = |x: f64, y: f64| -> u64 {
        let on = |(bit, [a, b, c]): (usize, &[f64; 3])| u64::from(a * x + b * y + c > 0.0) << bit;
        weights.iter().enumerate().map(on).sum()
    };
    let patterns: Vec<Vec<u64>> =
        (0..side).map(|row| (0..side).map(|column| pattern(at(column), at(row))).collect()).collect();
    let mut all: Vec<u64> = patterns.concat();
    all.sort_unstable();
    all.dedup();
    (patterns, all.len())
}

/// Lines through the square: units whose kinks lie within it.
fn lines(units: usize, draws: &mut Draws) -> Vec<[f64; 3]> {
    let like = Tensor::<1>::zeros([1], (&Device::flex(), DType::F64));
    let numbers: Vec<f64> = draws.uniform::<1, 1>(0.0..1.0, [2 * units], &like).into_data().iter().collect();
    let line = |pair: &[f64]| {
        let angle = std::f64::consts::TAU * pair[0];
        [angle.cos(), angle.sin(), 0.5 * (2.0 * pair[1] - 1.0)]
    };
    numbers.chunks(2).map(line).collect()
}

fn explain(seed: u64) -> Page {
    let mut draws = Draws::new(seed);
    let mut table = Table::new(
        "One layer of n ReLUs over the plane: the most regions that there can be (of the whole plane), and the most that one of ten random layers has within a square",
        &["units", "1 + n + n(n−1)/2", "found"],
    );
    let mut found_of = Vec::new();
    for units in [1, 2, 3, 4, 6, 8] {
        let found = (0..10).map(|_| counted(&lines(units, &mut draws), 300).1).max().unwrap_or(0);
        found_of.push((units, found));
        table.row(units.to_string(), [most_regions(units as u64, 2).to_string(), found.to_string()]);
    }
    let small = |units: usize| {
        let side = 48;
        let (patterns, count) = counted(&lines(units, &mut Draws::new(seed + units as u64)), side);
        let mut drawing =
            Drawing::new(format!("The regions of {units} units"), [164.0, 164.0]).at_most(240.0);
        let cell = 160.0 / side as f64;
        for (row, list) in patterns.iter().enumerate() {
            for (column, pattern) in list.iter().enumerate() {
                // Neighbouring regions differ in one unit: the count of those that are on tells them apart.
                let on = pattern.count_ones();
                let corner = [2.0 + column as f64 * cell, 2.0 + row as f64 * cell, cell, cell];
                drawing.shade(
                    corner,
                    if on % 2 == 0 { 1 } else { 2 },
                    0.25 + 0.6 * f64::from(on) / units as f64,
                );
            }
        }
        (format!("{units} units, {count} regions seen"), drawing)
    };
    let mut zones = Table::new(
        "How far from 0 a function without a kink stays within 0.01 of its tangent, and the share of normal numbers (mean 0, variance 1) that falls there",
        &["function", "straight until", "share"],
    );
    for activation in [
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::ArcTan,
        Activation::SoftSign,
        Activation::SoftPlus,
        Activation::SymmetricSigmoid,
        Activation::Silu,
        Activation::Gelu,
    ] {
        let reach = straight_until(activation, 0.01);
        let share = 2.0 * (Activation::Gelu.value(reach) / reach) - 1.0;
        zones.row(activation.name(), [format!("{reach:.3}"), format!("{:.1} %", 100.0 * share)]);
    }
    let last = found_of[found_of.len() - 1];
    Page {
        idea: [
            "A ReLU is linear on each side of its kink, so a layer of them is linear in every region that their kinks, lines in the plane, do not cross.",
            "The more regions, the more a network can bend: one layer has at most as many as its lines cut the plane into, and layers behind each other can multiply them.",
            "Sigmoids have no kinks but are almost straight near 0; batch normalization brings inputs there, and its factor and summand let a network leave.",
        ],
        formulas: vec![
            formula(r"N \le \sum_{j=0}^{d} \binom{n}{j}", "N ≤ Σ_(j=0..d) C(n, j)"),
            formula(
                r"N_{\text{deep}} \ge \left( \prod_{l < L} \left\lfloor \frac{n_l}{d} \right\rfloor^{d} \right) \sum_{j=0}^{d} \binom{n_L}{j}",
                "N_deep ≥ (Π_(l<L) ⌊n_l/d⌋^d) · Σ_(j=0..d) C(n_L, j), for some weights",
            ),
        ],
        figures: vec![Figure {
            name: "regions".into(),
            caption: "The square from −1 to 1, a colour by how many units are on: across every line one more, or one less.".into(),
            picture: Picture::Small([2, 3, 5, 8].map(small).into()),
        }],
        tables: vec![table, zones],
        experiment: Experiment {
            question: "Do random layers reach the bound?".into(),
            method: "Ten layers of each width, whose lines pass a square from −1 to 1 at most half a unit from its middle; the patterns of units that are on are counted at 300 by 300 points.".into(),
            result: format!(
                "{} lines cut the plane into at most {} regions, of which at most {} were found within the square: lines that cross outside of it have regions there, and very small ones fall between the points. By the bounds above, two layers of two units \
                 over one dimension can have {} regions, one layer of four at most {}.",
                last.0,
                most_regions(last.0 as u64, 2),
                last.1,
                deep_regions(&[2, 2], 1),
                most_regions(4, 1)
            ),
            figures: Vec::new(),
            tables: Vec::new(),
        },
        code: vec!["crates/explain/src/topics/linear_regions.rs: most_regions, deep_regions, straight_until"],
        tests: vec!["crates/explain/tests/worked.rs: regions_are_as_many_as_the_theorems_say"],
        sources: vec![
            ["Montúfar et al. 2014, On the number of linear regions of deep neural networks", "https://arxiv.org/abs/1402.1869"],
            ["Pascanu et al. 2014, On the number of response regions of deep feed forward networks with piece-wise linear activations", "https://arxiv.org/abs/1312.6098"],
        ],
    }
}
