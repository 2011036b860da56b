//! A convolution backward as a layer of its own.

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::{Conv2d, Conv2dConfig, ConvTranspose2d, ConvTranspose2dConfig, Draws, nearest};

use super::values::{ends, flat, minus, rows, tensor};
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "transposed",
    title: "Transposed convolution",
    summary: "The gradient of a convolution as a layer: what it adds where, the same by zeros between, and its checkerboards.",
    explain,
};

/// A layer of one channel.
fn layer(kernel: &Tensor<4>, stride: usize, padding: usize) -> ConvTranspose2d {
    let [_, _, side, _] = kernel.dims();
    let config =
        ConvTranspose2dConfig::new([1, 1], [side; 2]).with_stride([stride; 2]).with_padding([padding; 2]);
    let layer = config.with_bias(false).init(&Device::flex());
    ConvTranspose2d { weight: Param::from_tensor(kernel.clone()), ..layer }
}

/// FCN's, which begins as bilinear interpolation.
fn bilinear(kernel: usize, stride: usize) -> ConvTranspose2d {
    let layer = ConvTranspose2d::bilinear(1, kernel, stride, &Device::flex());
    let weight = layer.weight.val().cast(DType::F64);
    ConvTranspose2d { weight: Param::from_tensor(weight), ..layer }
}

/// Without padding.
fn convolved(x: Tensor<4>, kernel: &Tensor<4>) -> Tensor<4> {
    let [_, _, side, _] = kernel.dims();
    let conv = Conv2dConfig::new([1, 1], [side; 2]).with_bias(false).init(&Device::flex());
    Conv2d { weight: Param::from_tensor(kernel.clone()), ..conv }.forward(x)
}

/// A map with `stride - 1` zeros between its values and a border of zeros.
fn stuffed(x: Tensor<4>, stride: usize, border: usize) -> Tensor<4> {
    let values = rows(x);
    let side = (values.len() - 1) * stride + 1 + 2 * border;
    let mut wide = vec![0.0; side * side];
    for (row, list) in values.iter().enumerate() {
        for (column, value) in list.iter().enumerate() {
            wide[(border + stride * row) * side + border + stride * column] = *value;
        }
    }
    tensor(wide, [side; 2])
}

/// The smallest and the largest value away from the border.
fn within(y: Tensor<4>, border: usize) -> [f64; 2] {
    let inner = y.dims()[3] - 2 * border;
    ends(flat(y.narrow(2, border, inner).narrow(3, border, inner)))
}

fn explain(seed: u64) -> Page {
    let x = tensor(vec![1.0, 2.0, 3.0, 4.0], [2, 2]);
    let ones = |side: usize| tensor(vec![1.0; side * side], [side; 2]);
    let counted = tensor((1..=9).map(f64::from).collect(), [3, 3]);
    let written = |map: Vec<Vec<f64>>| {
        let rows = map.iter().map(|row| row.iter().map(f64::to_string).collect::<Vec<_>>().join(" "));
        format!("[{}]", rows.collect::<Vec<_>>().join("; "))
    };
    let mut table = Table::new(
        "The map [1 2; 3 4], enlarged by kernels of 3 by 3; a side becomes (2 − 1) · stride − 2 · padding + 3. Beside that, how far the convolution with zeros between is from it",
        &["kernel", "stride", "padding", "side", "apart", "result"],
    );
    let cases =
        [("ones", ones(3), 1, 0), ("ones", ones(3), 2, 0), ("1 to 9, row by row", counted.clone(), 2, 1)];
    for (name, kernel, stride, padding) in cases {
        let y = layer(&kernel, stride, padding).forward(x.clone());
        let by_zeros = convolved(stuffed(x.clone(), stride, 2 - padding), &kernel.flip([2, 3]));
        let apart = flat((y.clone() - by_zeros).abs().max())[0];
        let counts = [stride, padding, y.dims()[3]].map(|count| count.to_string());
        table.row(name, counts.into_iter().chain([apart.to_string(), written(rows(y))]));
    }

    let mut drawing =
        Drawing::new("Zeros between, the turned kernel, and the result", [420.0, 170.0]).at_most(560.0);
    let turned = counted.clone().flip([2, 3]);
    let parts = [
        ("with zeros", 8.0, stuffed(x.clone(), 2, 1)),
        ("kernel, turned", 166.0, turned),
        ("result", 300.0, layer(&counted, 2, 1).forward(x)),
    ];
    for (name, left, map) in parts {
        drawing.text([left, 18.0], Anchor::Start, "name", name);
        drawing.grid([left, 26.0], 27.0, &rows(map), Some(0));
    }
    let flat_map = || ones(5);
    let small = |(name, y): (&str, Tensor<4>)| {
        let values = rows(y);
        let cell = 160.0 / values.len() as f64;
        let mut drawing = Drawing::new(format!("A map of ones, {name}"), [164.0, 164.0]).at_most(230.0);
        drawing.grid([2.0, 2.0], cell, &values, None);
        (name.to_string(), drawing)
    };
    let boards = [
        ("kernel 3, stride 2", layer(&ones(3), 2, 0).forward(flat_map())),
        ("kernel 4, stride 2", layer(&ones(4), 2, 0).forward(flat_map())),
        ("kernel 4, stride 2, bilinear weights", bilinear(4, 2).forward(flat_map())),
        ("nearest, then a convolution of 3", convolved(nearest(flat_map(), 2), &ones(3))),
    ];

    let mut draws = Draws::new(seed);
    let like = Tensor::<1>::zeros([1], (&Device::flex(), DType::F64));
    let mut board = Table::new(
        "A map of ones behind each, with weights of ones and with random ones: the smallest and the largest value away from the border",
        &["way", "ones: from", "to", "random: from", "to"],
    );
    let (mut uneven, mut by_chance) = (Vec::new(), 0);
    let number = |value: f64| minus(format!("{value:.3}").trim_end_matches('0').trim_end_matches('.').into());
    let sides = [(2, 2), (3, 2), (4, 2), (3, 3), (5, 3), (6, 3)];
    for (side, stride) in sides {
        let kernels = [ones(side), draws.normal([1, 1, side, side], &like)];
        let found = kernels.map(|kernel| within(layer(&kernel, stride, 0).forward(ones(8)), side));
        board.row(format!("{side} x {side}, stride {stride}"), found.concat().into_iter().map(number));
        if found[0][0] != found[0][1] {
            uneven.push(format!("{side} by {stride}"));
        }
        by_chance += usize::from(found[1][1] - found[1][0] > 1e-9);
    }
    let kernels = [ones(3), draws.normal([1, 1, 3, 3], &like)];
    let resized = kernels.map(|kernel| within(convolved(nearest(ones(8), 2), &kernel), 3));
    board.row("nearest by 2, then 3 x 3", resized.concat().into_iter().map(number));
    let even = resized.iter().all(|[low, high]| high - low < 1e-9);
    Page {
        idea: [
            "A transposed convolution lets every input add the kernel, times its value, to the output, a stride apart from its neighbour's; where kernels overlap they add up.",
            "It is what a convolution does backward: the gradient of its input, and so the transpose of its matrix, but not its inverse.",
            "An ordinary convolution does the same with the kernel turned by half a circle, if s − 1 zeros are put between the inputs and k − 1 − p around them.",
        ],
        formulas: vec![
            formula(r"y = C^\top x, \quad \langle C a, b \rangle = \langle a, C^\top b \rangle", "y = Cᵀ x,  ⟨C a, b⟩ = ⟨a, Cᵀ b⟩"),
            formula(r"n_{\text{out}} = (n - 1) s - 2p + d (k - 1) + p_{\text{out}} + 1", "n_out = (n − 1) s − 2p + d (k − 1) + p_out + 1"),
            formula(r"\text{bilinear weights: } w_i = 1 - \frac{|i - c|}{f}, \quad f = \left\lfloor \frac{k + 1}{2} \right\rfloor", "bilinear weights: w_i = 1 − |i − c| / f, f = ⌊(k + 1) / 2⌋, c = f − 1 for odd k, f − 0.5 for even k"),
        ],
        figures: vec![
            Figure {
                name: "zeros".into(),
                caption: "The last row of the table by an ordinary convolution: the map [1 2; 3 4] with a zero between its values and one around them (stride 2, padding 1), and the kernel of 1 to 9, turned.".into(),
                picture: Picture::Drawing(drawing),
            },
            Figure {
                name: "boards".into(),
                caption: "What four ways make of a map of 5 by 5 ones, the fuller the larger. The first overlaps unevenly; the others are even away from the border.".into(),
                picture: Picture::Small(boards.map(small).into()),
            },
        ],
        tables: vec![table],
        experiment: Experiment {
            question: "Where does the checkerboard come from?".into(),
            method: "Maps of 8 by 8 ones are enlarged by transposed convolutions, and, for comparison, by repeating every value and a convolution behind that. A result that is even has one value everywhere.".into(),
            result: format!(
                "With weights of ones it is uneven where the stride does not divide the kernel ({}): some outputs get more of it than others. With random weights {by_chance} of {} are uneven, as each place between two inputs meets \
                 weights of its own, so that a network has to learn evenness. A convolution behind the repeated values is {} either way (Odena et al.).",
                uneven.join(", "),
                sides.len(),
                if even { "even" } else { "uneven" }
            ),
            figures: Vec::new(),
            tables: vec![board],
        },
        code: vec!["crates/nn/src/conv/conv_transpose2d.rs: ConvTranspose2d, ConvTranspose2d::bilinear"],
        tests: vec![
            "crates/nn/tests/convolutions.rs: a_transposed_convolution_gives_the_worked_numbers",
            "crates/nn/tests/convolutions.rs: a_transposed_convolution_is_the_gradient_of_one_and_its_adjoint",
            "crates/nn/tests/convolutions.rs: bilinear_kernels_have_the_worked_weights",
        ],
        sources: vec![
            ["Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning", "https://arxiv.org/abs/1603.07285"],
            ["Long et al. 2015, Fully convolutional networks for semantic segmentation", "https://arxiv.org/abs/1411.4038"],
            ["Odena et al. 2016, Deconvolution and checkerboard artifacts", "https://distill.pub/2016/deconv-checkerboard/"],
        ],
    }
}
