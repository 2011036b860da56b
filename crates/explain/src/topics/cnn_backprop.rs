//! A convolution backward.

use burn::module::Param;
use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::{AvgPool2dConfig, Conv2d, Conv2dConfig, max_pool};

use super::values::{flat, minus, rows};
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::gradcheck::{check, input};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "cnn-backprop",
    title: "Backpropagation through a convolution",
    summary: "Gradients of kernel, bias and input by hand and by automatic differentiation, and those of pools.",
    explain,
};

/// One map of one image, by rows.
pub type Map = Vec<Vec<f64>>;

/// The kernel laid over every place: a correlation, as networks compute it.
pub fn correlate(x: &Map, kernel: &Map) -> Map {
    let sides = [x.len() - kernel.len() + 1, x[0].len() - kernel[0].len() + 1];
    let place = |row: usize, column: usize| -> f64 {
        let taps = kernel
            .iter()
            .enumerate()
            .flat_map(|(a, taps)| taps.iter().enumerate().map(move |(b, tap)| (a, b, tap)));
        taps.map(|(a, b, tap)| tap * x[row + a][column + b]).sum()
    };
    (0..sides[0]).map(|row| (0..sides[1]).map(|column| place(row, column)).collect()).collect()
}

/// The gradients of a correlation by its kernel, its bias and its input, of the gradient of its result: the input correlated with it; its sum; and it, with a
/// border of zeros, correlated with the kernel turned by half a circle.
pub fn backward(x: &Map, kernel: &Map, dy: &Map) -> (Map, f64, Map) {
    let (rows, columns) = (kernel.len(), kernel[0].len());
    let width = dy[0].len() + 2 * (columns - 1);
    let mut bordered = vec![vec![0.0; width]; dy.len() + 2 * (rows - 1)];
    for (row, list) in dy.iter().enumerate() {
        bordered[row + rows - 1][columns - 1..columns - 1 + list.len()].copy_from_slice(list);
    }
    let turned: Map = kernel.iter().rev().map(|row| row.iter().rev().copied().collect()).collect();
    (correlate(x, dy), dy.iter().flatten().sum(), correlate(&bordered, &turned))
}

/// The worked example: input, kernel and gradient of the result.
pub fn worked() -> [Map; 3] {
    let rows = |list: &[&[f64]]| list.iter().map(|row| row.to_vec()).collect();
    [
        rows(&[&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], &[7.0, 8.0, 9.0]]),
        rows(&[&[1.0, 0.0], &[0.0, -1.0]]),
        rows(&[&[1.0, 2.0], &[3.0, 4.0]]),
    ]
}

fn tensor(map: &Map) -> Tensor<4> {
    let data = TensorData::new(map.concat(), [1, 1, map.len(), map[0].len()]);
    Tensor::from_data(data, (&Device::flex().autodiff(), DType::F64)).require_grad()
}

fn written(map: &Map) -> String {
    let number = |value: &f64| minus(value.to_string());
    let rows = map.iter().map(|row| row.iter().map(number).collect::<Vec<_>>().join(" "));
    format!("[{}]", rows.collect::<Vec<_>>().join("; "))
}

fn explain(seed: u64) -> Page {
    let [x, kernel, dy] = worked();
    let y = correlate(&x, &kernel);
    let (dk, db, dx) = backward(&x, &kernel, &dy);
    // The same by tensors.
    let (tx, tk) = (tensor(&x), tensor(&kernel));
    let tb = Tensor::<1>::zeros([1], (&Device::flex().autodiff(), DType::F64)).require_grad();
    let conv = Conv2d {
        weight: Param::from_tensor(tk.clone()),
        bias: Some(Param::from_tensor(tb.clone())),
        ..Conv2dConfig::new([1, 1], [2, 2]).init(&Device::flex().autodiff())
    };
    let gradients = (conv.forward(tx.clone()) * tensor(&dy).detach()).sum().backward();
    let of_kernel = rows(tk.grad(&gradients).expect("a kernel that learns"));
    let of_bias = flat(tb.grad(&gradients).expect("a bias that learns"))[0];
    let of_input = rows(tx.grad(&gradients).expect("an input that is followed"));
    let mut table = Table::new(
        "Gradients of the example, by hand and by automatic differentiation",
        &["of", "by hand", "by autodiff"],
    );
    table.row("kernel", [written(&dk), written(&of_kernel)]);
    table.row("bias", [db, of_bias].map(|one| one.to_string()));
    table.row("input", [written(&dx), written(&of_input)]);

    let pooled = |max: bool| {
        let corners = [[9., 1., 0., 1.], [1., 1., 1., 7.], [0., 5., 2., 1.], [1., 2., 6., 0.]];
        let x = tensor(&corners.map(|row: [f64; 4]| row.to_vec()).to_vec());
        let y = match max {
            true => max_pool(2, 2).init().forward(x.clone()),
            false => AvgPool2dConfig::new([2, 2]).init().forward(x.clone()),
        };
        let delta = tensor(&vec![vec![2.0, 8.0], vec![4.0, 6.0]]).detach();
        rows(x.grad(&(y * delta).sum().backward()).expect("an input that is followed"))
    };
    let mut pools = Table::new(
        "The gradients [2 8; 4 6] of four windows of 2x2, passed back by a pool; the maxima stand at the upper left, lower right, upper right and lower left of their windows",
        &["pool", "gradient of the input"],
    );
    pools.row("maximum", [written(&pooled(true))]);
    pools.row("mean", [written(&pooled(false))]);

    let mut drawing =
        Drawing::new("Input, kernel and result, and their gradients", [420.0, 270.0]).at_most(560.0);
    let cell = 34.0;
    let parts: [(&str, [f64; 2], &Map); 6] = [
        ("input x", [10.0, 30.0], &x),
        ("kernel K", [160.0, 30.0], &kernel),
        ("result y", [300.0, 30.0], &y),
        ("∂L/∂x", [10.0, 165.0], &dx),
        ("∂L/∂K", [160.0, 165.0], &dk),
        ("∂L/∂y, given", [300.0, 165.0], &dy),
    ];
    for (name, corner, values) in parts {
        drawing.text([corner[0], corner[1] - 8.0], Anchor::Start, "name", name);
        drawing.grid(corner, cell, values, Some(0));
    }

    let device = Device::flex();
    device.seed(seed);
    let mut errors = Table::new(
        "The largest distance between gradients and central differences, as a part of the largest central difference",
        &["convolution", "derivatives", "64 bits", "32 bits, kernels"],
    );
    let mut worst = [0.0f64; 2];
    let rows = [
        ("3x3", Conv2dConfig::new([4, 6], [3, 3])),
        (
            "stride 2, padding 1",
            Conv2dConfig::new([4, 6], [3, 3]).with_stride([2, 2]).with_padding(kiln_nn::padded(1)),
        ),
        ("dilation 2", Conv2dConfig::new([4, 6], [3, 3]).with_dilation([2, 2])),
        ("2 groups", Conv2dConfig::new([4, 6], [3, 3]).with_groups(2)),
        ("depthwise", Conv2dConfig::new([4, 4], [3, 3]).with_groups(4)),
    ];
    for (name, config) in rows {
        let found = check((config.init(&device), input([2, 4, 8, 7], &device)), &device, |(conv, x)| {
            conv.forward(x.val())
        });
        worst = [worst[0].max(found.precise), worst[1].max(found.running)];
        errors.row(
            name,
            [found.compared.to_string(), format!("{:.1e}", found.precise), format!("{:.1e}", found.running)],
        );
    }
    Page {
        idea: [
            "Every weight of a kernel is used at all places, so its gradient is the sum over the places of the result's gradient times the input that the weight met there.",
            "Every input pixel met the weights of the kernel one after the other, so its gradient is a correlation again: of the result's gradient, with zeros around it, and the kernel turned by half a circle.",
            "A max pool sends the gradient to where the maximum was, a mean shares it out, and where windows overlap gradients add up.",
        ],
        formulas: vec![
            formula(r"\frac{\partial L}{\partial K_{ab}} = \sum_{i,j} \frac{\partial L}{\partial y_{ij}} x_{i+a,\, j+b}", "∂L/∂K_ab = Σ_ij ∂L/∂y_ij · x_(i+a, j+b)"),
            formula(r"\frac{\partial L}{\partial b} = \sum_{i,j} \frac{\partial L}{\partial y_{ij}}", "∂L/∂b = Σ_ij ∂L/∂y_ij"),
            formula(r"\frac{\partial L}{\partial x_{mn}} = \sum_{a,b} K_{ab} \frac{\partial L}{\partial y_{m-a,\, n-b}}", "∂L/∂x_mn = Σ_ab K_ab · ∂L/∂y_(m−a, n−b), which is 0 outside of the map (one channel, stride 1, no padding)"),
        ],
        figures: vec![Figure {
            name: "maps".into(),
            caption: "One channel, stride 1, no padding. Above what is computed forward, from left to right; below the gradients, from right to left. Blue is positive, orange negative.".into(),
            picture: Picture::Drawing(drawing),
        }],
        tables: vec![table, pools],
        experiment: Experiment {
            question: "Are the gradients of real convolutions right?".into(),
            method: "The gradients of convolutions with stride, padding, dilation and groups, with random weights and inputs (up to 48 of each), are compared with central differences of 64-bit numbers.".into(),
            result: format!("The worst of them is {:.1e} away in 64 bits and {:.1e} in 32 bits, as is expected of the precision of such numbers; “kiln gradcheck” checks every layer so.", worst[0], worst[1]),
            figures: Vec::new(),
            tables: vec![errors],
        },
        code: vec!["crates/explain/src/topics/cnn_backprop.rs: correlate, backward", "crates/explain/src/gradcheck/mod.rs: check"],
        tests: vec![
            "crates/explain/tests/worked.rs: a_convolution_by_hand_has_the_worked_gradients",
            "crates/nn/tests/convolutions.rs: a_convolution_has_the_worked_gradients",
            "crates/nn/tests/pools.rs: gradients_go_where_the_values_came_from",
        ],
        sources: vec![["LeCun et al. 1989, Backpropagation applied to handwritten zip code recognition", "https://doi.org/10.1162/neco.1989.1.4.541"]],
    }
}
