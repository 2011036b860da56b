//! Larger maps: transposed convolution, interpolation, unpooling.

use burn::module::Param;
use burn::prelude::*;
use kiln_nn::{ConvTranspose2d, ConvTranspose2dConfig, Corners, bilinear, max_pool, max_unpool, nearest};

use super::values::rows;
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "transposed",
    title: "Transposed convolution and upsampling",
    summary: "Four ways to a larger map: a transposed convolution, the nearest value, lines between values, and unpooling.",
    explain,
};

type Map = Vec<Vec<f64>>;

fn layer(kernel: &[Vec<f64>], stride: usize, padding: usize) -> ConvTranspose2d {
    let device = Device::flex();
    let side = kernel.len();
    let weight: Vec<f32> = kernel.concat().iter().map(|w| *w as f32).collect();
    let config =
        ConvTranspose2dConfig::new([1, 1], [side, side]).with_stride([stride; 2]).with_padding([padding; 2]);
    let weight = Param::from_data(TensorData::new(weight, [1, 1, side, side]), &device);
    ConvTranspose2d { weight, ..config.with_bias(false).init(&device) }
}

fn explain(_seed: u64) -> Page {
    let device = Device::flex();
    let x = || Tensor::<4>::from_data([[[[1.0, 2.0], [3.0, 4.0]]]], &device);
    let ones = vec![vec![1.0; 3]; 3];
    let counted: Map =
        (0..3).map(|row| (1..=3).map(|column| f64::from(3 * row + column)).collect()).collect();
    let written = |map: &Map| {
        let rows = map.iter().map(|row| row.iter().map(|one| format!("{one}")).collect::<Vec<_>>().join(" "));
        format!("[{}]", rows.collect::<Vec<_>>().join("; "))
    };
    let mut table = Table::new(
        "The map [1 2; 3 4], enlarged by kernels of 3 by 3; a side becomes (side − 1) · stride − 2 · padding + 3",
        &["kernel", "stride", "padding", "result"],
    );
    let cases: [(&str, &Map, usize, usize); 3] =
        [("ones", &ones, 1, 0), ("ones", &ones, 2, 0), ("1 to 9, row by row", &counted, 2, 1)];
    for (name, kernel, stride, padding) in cases {
        let y = rows(layer(kernel, stride, padding).forward(x()));
        table.row(name, [stride.to_string(), padding.to_string(), written(&y)]);
    }
    let pooled = Tensor::<4>::from_data(
        [[[[1., 0., 2., 1.], [3., 1., 0., 5.], [4., 2., 1., 0.], [0., 1., 0., 6.]]]],
        &device,
    );
    let (maxima, places) = max_pool(2, 2).init().forward_with_places(pooled.clone());
    let unpooled = rows(max_unpool(maxima.clone(), places, [4, 4]));
    let ways: [(&str, Map); 4] = [
        ("transposed, stride 2", rows(layer(&ones, 2, 0).forward(x()))),
        ("nearest", rows(nearest(x(), 2))),
        ("bilinear", rows(bilinear(x(), [4, 4], Corners::Edges))),
        ("unpooled", unpooled.clone()),
    ];
    let mut drawing = Drawing::new("A small map and four larger ones", [420.0, 420.0]).at_most(600.0);
    drawing.text([10.0, 20.0], Anchor::Start, "name", "before");
    drawing.grid([10.0, 28.0], 30.0, &rows(x()), Some(0));
    drawing.text([150.0, 20.0], Anchor::Start, "name", "before unpooling, and its maxima");
    drawing.grid([150.0, 28.0], 24.0, &rows(pooled), Some(0));
    drawing.grid([280.0, 40.0], 30.0, &rows(maxima), Some(0));
    for (at, (name, values)) in ways.iter().enumerate() {
        let corner = [10.0 + 205.0 * (at % 2) as f64, 160.0 + 140.0 * (at / 2) as f64];
        drawing.text([corner[0], corner[1] - 6.0], Anchor::Start, "name", name);
        let cell = if values.len() == 5 { 22.0 } else { 27.0 };
        drawing.grid(corner, cell, values, Some(usize::from(*name == "bilinear")));
    }

    let mut board = Table::new(
        "A map of ones, enlarged by kernels of ones: the smallest and the largest value away from the border",
        &["kernel", "stride", "smallest", "largest"],
    );
    let mut uneven = Vec::new();
    for (side, stride) in [(2, 2), (3, 2), (4, 2), (3, 3), (5, 3), (6, 3)] {
        let flat = Tensor::<4>::ones([1, 1, 8, 8], &device);
        let y = rows(layer(&vec![vec![1.0; side]; side], stride, 0).forward(flat));
        let middle = || y[side..y.len() - side].iter().flat_map(|row| &row[side..row.len() - side]);
        let (low, high) =
            middle().fold((f64::INFINITY, 0.0f64), |(low, high), one| (low.min(*one), high.max(*one)));
        board.row(format!("{side} x {side}"), [stride.to_string(), low.to_string(), high.to_string()]);
        if low != high {
            uneven.push(format!("{side} by {stride}"));
        }
    }
    Page {
        idea: [
            "A transposed convolution lets every input add the kernel, times its value, to the output; where kernels overlap they add up.",
            "It is what a convolution does backward: the gradient of its input, and the transpose of its matrix, not its inverse.",
            "Without weights to learn there are the nearest value, lines between values, and unpooling, which puts each value back where a max pool found it.",
        ],
        formulas: vec![
            formula(r"y = C^\top x, \quad \langle C a, b \rangle = \langle a, C^\top b \rangle", "y = Cᵀ x,  ⟨C a, b⟩ = ⟨a, Cᵀ b⟩"),
            formula(r"n_{\text{out}} = (n - 1) s - 2p + d (k - 1) + p_{\text{out}} + 1", "n_out = (n − 1) s − 2p + d (k − 1) + p_out + 1"),
        ],
        figures: vec![Figure {
            name: "ways".into(),
            caption: "A 2 by 2 map, enlarged by a kernel of nine ones, by the nearest value and by lines between; and a pooled map, its maxima put back to their places.".into(),
            picture: Picture::Drawing(drawing),
        }],
        tables: vec![table],
        experiment: Experiment {
            question: "Where does the checkerboard come from?".into(),
            method: "Maps of ones are enlarged by kernels of ones; an even result has one value everywhere.".into(),
            result: format!("It is uneven where the stride does not divide the kernel ({}): some outputs get more kernels than others.", uneven.join(", ")),
            figures: Vec::new(),
            tables: vec![board],
        },
        code: vec!["crates/nn/src/conv/conv_transpose2d.rs: ConvTranspose2d", "crates/nn/src/resize: nearest, bilinear", "crates/nn/src/pool/unpool.rs: max_unpool"],
        tests: vec![
            "crates/nn/tests/convolutions.rs: a_transposed_convolution_gives_the_worked_numbers",
            "crates/nn/tests/convolutions.rs: a_transposed_convolution_is_the_gradient_of_one_and_its_adjoint",
            "crates/nn/tests/resizing.rs: unpooling_puts_values_where_the_maxima_were",
        ],
        sources: vec![
            ["Dumoulin and Visin 2016, A guide to convolution arithmetic for deep learning", "https://arxiv.org/abs/1603.07285"],
            ["Odena et al. 2016, Deconvolution and checkerboard artifacts", "https://distill.pub/2016/deconv-checkerboard/"],
        ],
    }
}
