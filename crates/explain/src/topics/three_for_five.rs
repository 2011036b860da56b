//! Small kernels one after the other.

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::Distribution;
use kiln_nn::{Conv2d, Conv2dConfig, padded};

use super::cost::{Cost, compared};
use super::receptive_field::chained;
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "three-for-five",
    title: "3x3 in place of 5x5",
    summary: "Two small kernels see as much as a large one, with fewer weights and one more activation between.",
    explain,
};

const CHANNELS: usize = 64;

/// So many layers of kernels of a side, at 64 channels and 56 by 56 pixels.
pub fn stacked(side: usize, layers: usize) -> Cost {
    let config = Conv2dConfig::new([CHANNELS; 2], [side; 2]).with_padding(padded(side / 2)).with_bias(false);
    Cost::of(
        |device| (0..layers).map(|_| config.init(device)).collect::<Vec<Conv2d>>(),
        [CHANNELS, 56, 56],
        |convs, x| convs.iter().fold(x, |x, conv| conv.forward(x)),
    )
}

fn explain(seed: u64) -> Page {
    let (table, figure) = compared(
        "64 channels of 56 by 56 pixels; the first two see 5 by 5 pixels, the others 7 by 7",
        &[
            ("one of 5x5", stacked(5, 1)),
            ("two of 3x3", stacked(3, 2)),
            ("one of 7x7", stacked(7, 1)),
            ("three of 3x3", stacked(3, 3)),
        ],
    );
    let mut fields = Table::new("Pixels a side that an output sees", &["layers", "pixels"]);
    for (name, side, layers) in
        [("one of 5x5", 5, 1), ("two of 3x3", 3, 2), ("one of 7x7", 7, 1), ("three of 3x3", 3, 3)]
    {
        let layers = vec![Conv2dConfig::new([1, 1], [side; 2]); layers];
        fields.row(name, [chained(&layers).size.to_string()]);
    }
    let device = Device::flex();
    device.seed(seed);
    let random = |sides: [usize; 4]| Tensor::<4>::random(sides, Distribution::Normal(0.0, 1.0), &device);
    let conv = |weight: Tensor<4>, padding: usize| {
        let [_, _, side, _] = weight.dims();
        let config = Conv2dConfig::new([1, 1], [side, side]).with_padding(padded(padding)).with_bias(false);
        Conv2d { weight: Param::from_tensor(weight), ..config.init(&device) }
    };
    let [first, second] = [random([1, 1, 3, 3]), random([1, 1, 3, 3])];
    let both = conv(second.clone().flip([2, 3]), 2).forward(first.clone());
    let x = random([1, 1, 16, 16]);
    let two = conv(second.clone(), 0).forward(conv(first.clone(), 0).forward(x.clone()));
    let one = conv(both.clone(), 0).forward(x.clone());
    let apart = (two.clone() - one).abs().max().into_scalar::<f32>();
    let bent = conv(second.clone(), 0).forward(kiln_nn::relu(conv(first.clone(), 0).forward(x)));
    let bend = (bent - two.clone()).abs().max().into_scalar::<f32>() / two.abs().max().into_scalar::<f32>();
    let rows = |x: Tensor<4>| -> Vec<Vec<f64>> {
        let side = x.dims()[3];
        let flat: Vec<f64> = x.into_data().iter().collect();
        flat.chunks(side).map(<[f64]>::to_vec).collect()
    };
    let mut drawing = Drawing::new("Two kernels and the one that they make", [420.0, 176.0]).at_most(560.0);
    for (name, corner, kernel) in
        [("first", [8.0, 26.0], first), ("second", [128.0, 26.0], second), ("both", [258.0, 26.0], both)]
    {
        drawing.text([corner[0], 18.0], Anchor::Start, "name", name);
        drawing.grid(corner, if name == "both" { 29.0 } else { 32.0 }, &rows(kernel), Some(1));
    }
    let kernels = Figure {
        name: "kernels".into(),
        caption:
            "Two random kernels of 3 by 3 and the kernel of 5 by 5 that they make, with nothing between."
                .into(),
        picture: Picture::Drawing(drawing),
    };
    Page {
        idea: [
            "An output of two 3x3 convolutions, one after the other, sees 5 by 5 pixels; three see 7 by 7.",
            "Two of them have 18 weights for each pair of channels in place of 25, three 27 in place of 49.",
            "Between them there is room for activations, so that they can say what one large kernel cannot; but not every 5x5 kernel can be made of two of 3x3.",
        ],
        formulas: vec![
            formula(r"2 \cdot 9 C^2 = 18 C^2 < 25 C^2", "2·9C² = 18C² < 25C²"),
            formula(r"3 \cdot 9 C^2 = 27 C^2 < 49 C^2", "3·9C² = 27C² < 49C²"),
        ],
        figures: vec![kernels, figure],
        tables: vec![table, fields],
        experiment: Experiment {
            question: "Are two small kernels a large one?".into(),
            method: "Two random 3x3 kernels, one after the other, and the 5x5 kernel that is one of them convolved with the other, see the same random image.".into(),
            result: format!(
                "With nothing between them, the two give the same as the one, to within {apart:.1e}. With a ReLU between them the result differs by up to {:.0} % of its largest value: what the activation adds.",
                100.0 * bend
            ),
            figures: Vec::new(),
            tables: Vec::new(),
        },
        code: vec!["crates/nn/src/conv/conv2d.rs: Conv2d"],
        tests: vec![
            "crates/nn/tests/convolutions.rs: two_of_three_are_one_of_five_where_nothing_is_between",
            "crates/explain/tests/costs.rs: layers_cost_what_the_papers_say",
        ],
        sources: vec![["Simonyan and Zisserman 2015, Very deep convolutional networks for large-scale image recognition, Section 2.3", "https://arxiv.org/abs/1409.1556"]],
    }
}
