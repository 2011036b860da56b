//! Kernels with holes.

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::Distribution;
use kiln_nn::{Conv2d, Conv2dConfig, padded};

use super::receptive_field::{Field, Window, window};
use super::{Topic, distance, formula};
use crate::draw::Drawing;
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "dilated",
    title: "Dilated convolution",
    summary: "Kernels with holes see far with few weights; rates without a common divisor see everything on the way.",
    explain,
};

/// How many ways lead from each pixel of a row to the middle output of 3-wide convolutions of these rates.
pub fn ways(rates: &[usize]) -> Vec<u64> {
    let reach: usize = rates.iter().sum();
    let mut ways = vec![0; 2 * reach + 1];
    ways[reach] = 1;
    for rate in rates {
        let at = |place: usize, by: i64| {
            let from = place as i64 + by * *rate as i64;
            usize::try_from(from).ok().and_then(|from| ways.get(from)).copied().unwrap_or(0)
        };
        ways = (0..ways.len()).map(|place| at(place, -1) + at(place, 0) + at(place, 1)).collect();
    }
    ways
}

fn layers(rates: &[usize]) -> Vec<Window> {
    rates.iter().map(|dilation| Window { dilation: *dilation, ..window(3, 1, *dilation) }).collect()
}

fn explain(seed: u64) -> Page {
    let mut table =
        Table::new("3x3 convolutions one after the other: the field after each", &["rates", "fields"]);
    for rates in [&[1, 1, 1][..], &[1, 2, 4], &[1, 2, 4, 8, 16, 1]] {
        let fields = (1..=rates.len()).map(|count| Field::of(&layers(&rates[..count])).size.to_string());
        table.row(
            rates.iter().map(usize::to_string).collect::<Vec<_>>().join(", "),
            [fields.collect::<Vec<_>>().join(", ")],
        );
    }
    let small = |rates: [usize; 3]| {
        let row = ways(&rates);
        // Along both sides the ways multiply.
        let grid: Vec<Vec<f64>> =
            row.iter().map(|a| row.iter().map(|b| (*a * *b) as f64).collect()).collect();
        let names = rates.map(|rate| rate.to_string()).join(", ");
        let mut drawing = Drawing::new(format!("What rates {names} see"), [168.0, 168.0]).at_most(230.0);
        drawing.grid([4.0, 4.0], 160.0 / row.len() as f64, &grid, None);
        (format!("rates {names}"), drawing)
    };
    let mut seen = Table::new(
        "Of the pixels of the field, how many the middle output depends on",
        &["rates", "field", "seen"],
    );
    let mut shares = Vec::new();
    for rates in [[1, 1, 1], [1, 2, 4], [2, 2, 2], [2, 4, 8], [1, 2, 5]] {
        let row = ways(&rates);
        let share = row.iter().filter(|ways| **ways > 0).count() as f64 / row.len() as f64;
        let names = rates.map(|rate| rate.to_string()).join(", ");
        seen.row(names.clone(), [row.len().to_string(), format!("{:.0} %", 100.0 * share * share)]);
        shares.push((names, share * share));
    }
    let device = Device::flex();
    device.seed(seed);
    let small_kernel = Tensor::<4>::random([2, 3, 3, 3], Distribution::Normal(0.0, 1.0), &device);
    let stuffed =
        Tensor::zeros([2, 3, 5, 5], &device).slice_assign(s![.., .., 0..5;2, 0..5;2], small_kernel.clone());
    let conv = |weight: Tensor<4>, dilation: usize| {
        let side = weight.dims()[3];
        let config = Conv2dConfig::new([3, 2], [side; 2])
            .with_dilation([dilation; 2])
            .with_padding(padded(2))
            .with_bias(false);
        Conv2d { weight: Param::from_tensor(weight), ..config.init(&device) }
    };
    let x = Tensor::<4>::random([1, 3, 12, 12], Distribution::Normal(0.0, 1.0), &device);
    let apart = (conv(small_kernel, 2).forward(x.clone()) - conv(stuffed, 1).forward(x))
        .abs()
        .max()
        .into_scalar::<f32>();
    let whole: Vec<&str> =
        shares.iter().filter(|(_, share)| *share == 1.0).map(|(name, _)| name.as_str()).collect();
    Page {
        idea: [
            "A dilated convolution leaves pixels out between those that its kernel looks at, so that it sees farther with the same weights.",
            "With rates that double, the field doubles with every layer, where layers without holes add two pixels each.",
            "Rates with a common divisor see only every second, third … pixel, whatever the depth (gridding); rates of 1, 2, 5 see all.",
        ],
        formulas: vec![
            formula(r"\tilde{k} = d (k - 1) + 1, \quad p = \frac{d (k - 1)}{2}", "k̃ = d (k − 1) + 1,  p = d (k − 1)/2 keeps the size"),
        ],
        figures: vec![Figure {
            name: "fields".into(),
            caption: "What the middle output of three 3x3 convolutions depends on, the fuller the more ways lead there; what is blank is not seen.".into(),
            picture: Picture::Small([[1, 1, 1], [1, 2, 4], [2, 2, 2], [1, 2, 5]].map(small).into()),
        }],
        tables: vec![table],
        experiment: Experiment {
            question: "Which rates see everything?".into(),
            method: "The ways from each pixel of the field to the output are counted for three layers of several rates.".into(),
            result: format!(
                "All pixels are seen by the rates {}. A kernel with holes is a larger one with zeros in them: the two differ by {} at most.",
                whole.join("; "),
                distance(apart)
            ),
            figures: Vec::new(),
            tables: vec![seen],
        },
        code: vec!["crates/nn/src/conv/mod.rs: dilated", "crates/explain/src/topics/dilated.rs: ways"],
        tests: vec![
            "crates/nn/tests/convolutions.rs: dilation_is_a_kernel_with_zeros_between",
            "crates/explain/tests/worked.rs: receptive_fields_are_the_published_ones",
        ],
        sources: vec![
            ["Yu and Koltun 2016, Multi-scale context aggregation by dilated convolutions", "https://arxiv.org/abs/1511.07122"],
            ["Wang et al. 2018, Understanding convolution for semantic segmentation", "https://arxiv.org/abs/1702.08502"],
        ],
    }
}
