//! What a window becomes, pool by pool.

use burn::prelude::*;
use burn::tensor::DType;
use kiln_nn::*;

use super::values::flat;
use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "pooling",
    title: "Pooling",
    summary: "What each pool makes of a window, and where its gradient goes.",
    explain,
};

type Pool = (&'static str, fn(Tensor<4>) -> Tensor<4>);

fn window(reduce: Reduce) -> WindowPool2d {
    WindowPool2dConfig::new(reduce, [2, 2]).init()
}

/// Those that have no weights and draw nothing.
pub(super) const POOLS: [Pool; 9] = [
    ("maximum", |x| max_pool(2, 2).init().forward(x)),
    ("mean", |x| AvgPool2dConfig::new([2, 2]).init().forward(x)),
    ("sum", |x| window(Reduce::Sum).forward(x)),
    ("mixed, a half each", |x| window(Reduce::Mixed { share: 0.5 }).forward(x)),
    ("SoftPool", |x| window(Reduce::Soft).forward(x)),
    ("norm, p = 2", |x| window(Reduce::Norm { p: 2.0 }).forward(x)),
    ("root mean square", |x| window(Reduce::PowerAverage { p: 2.0 }).forward(x)),
    ("power average, p = 3", |x| window(Reduce::PowerAverage { p: 3.0 }).forward(x)),
    ("log-sum-exp, r = 1", |x| window(Reduce::LogSumExp { r: 1.0 }).forward(x)),
];

/// Of the experiment.
const MAPS: usize = 64;
/// The window of the table.
const WINDOW: [f64; 4] = [1.0, 2.0, 5.0, 6.0];

fn image(values: &[f64], sides: [usize; 2]) -> Tensor<4> {
    let device = Device::flex().autodiff();
    Tensor::from_data(TensorData::new(values.to_vec(), [1, 1, sides[0], sides[1]]), (&device, DType::F64))
        .require_grad()
}

fn explain(seed: u64) -> Page {
    let mut table = Table::new(
        "The window [[1, 2], [5, 6]]: what each pool makes of it, and the derivative of that by each of the four values. A stochastic pool draws one value, each with a probability in proportion to its size, and gives the mean of that in evaluation",
        &["pool", "value", "by 1", "by 2", "by 5", "by 6"],
    );
    for (name, pool) in POOLS {
        let x = image(&WINDOW, [2, 2]);
        let y = pool(x.clone());
        let gradient = flat(x.grad(&y.clone().sum().backward()).expect("an input that is followed"));
        let cells = std::iter::once(format!("{:.6}", flat(y)[0]))
            .chain(gradient.iter().map(|one| format!("{one:.4}")));
        table.row(name, cells);
    }
    let stochastic = StochasticPool2dConfig::new([2, 2]).init();
    let mean = flat(stochastic.forward(image(&WINDOW, [2, 2]).inner(), &mut Draws::new(seed)))[0];
    let none = std::iter::repeat_n("–".to_string(), 4);
    table.row("stochastic, in evaluation", std::iter::once(format!("{mean:.6}")).chain(none));

    // A ramp with a spike.
    let mut values: Vec<f64> = (0..64).map(|at| 0.1 * f64::from(at % 8)).collect();
    values[3 * 8 + 2] = 1.0;
    let rows = |values: &[f64], columns: usize| -> Vec<Vec<f64>> {
        values.chunks(columns).map(<[f64]>::to_vec).collect()
    };
    let mut drawing =
        Drawing::new("A map of 8 by 8 and what four pools make of it", [420.0, 300.0]).at_most(620.0);
    drawing.text([10.0, 20.0], Anchor::Start, "name", "before");
    drawing.grid_of([10.0, 30.0], 22.0, &rows(&values, 8), None, 1.0);
    for (at, which) in [0, 1, 4, 3].into_iter().enumerate() {
        let (name, pool) = POOLS[which];
        let corner = [220.0 + 100.0 * (at % 2) as f64, 30.0 + 130.0 * (at / 2) as f64];
        drawing.text(
            [corner[0], corner[1] - 10.0],
            Anchor::Start,
            "name",
            name.split(',').next().unwrap_or(name),
        );
        drawing.grid_of(corner, 22.0, &rows(&flat(pool(image(&values, [8, 8]))), 4), None, 1.0);
    }

    // The experiment: how far a shift by a pixel moves the result.
    let mut draws = Draws::new(seed);
    let like = Tensor::<1>::zeros([1], (&Device::flex(), DType::F64));
    let noise: Tensor<4> = draws.uniform(0.0..1.0, [MAPS, 1, 33, 33], &like);
    let smooth = AvgPool2dConfig::new([3, 3]).with_strides([1, 1]).init().forward(noise);
    let mut moved = Table::new(
        "The change (its root mean square) as a part of the spread of the values (their standard deviation)",
        &["pool", "change"],
    );
    let none: Pool = ("none: every second value", |x| pixel_unshuffle(x, 2).narrow(1, 0, 1));
    let mut changes = Vec::new();
    for (name, pool) in std::iter::once(none).chain(POOLS) {
        let [still, shifted] = [0, 1].map(|by| pool(smooth.clone().narrow(2, 0, 30).narrow(3, by, 30)));
        let spread = (still.clone() - still.clone().mean().reshape([1, 1, 1, 1])).square().mean().sqrt();
        let change = flat((still - shifted).square().mean().sqrt() / spread)[0];
        moved.row(name, [format!("{change:.3}")]);
        changes.push(change);
    }
    Page {
        idea: [
            "A pool makes one value of each window of a map, so that the map gets smaller and small shifts matter less.",
            "The maximum keeps what is strongest and sends its whole gradient there; the mean keeps everything alike and shares the gradient.",
            "Most others lie between the two: they weigh large values more, by a fixed rule, a learned one, or by chance; a sum and a norm also grow with the size of the window.",
        ],
        formulas: vec![
            formula(r"y_{\max} = \max_i a_i, \quad y_{\text{mean}} = \frac{1}{n} \sum_i a_i", "max: max a_i,  mean: (1/n) Σ a_i"),
            formula(r"y_{\text{soft}} = \sum_i \frac{e^{a_i}}{\sum_j e^{a_j}} a_i", "SoftPool: Σ a_i e^a_i / Σ e^a_j"),
            formula(r"y_{p} = \left( \frac{1}{n} \sum_i a_i^p \right)^{1/p}", "power average: ((1/n) Σ a_i^p)^(1/p)"),
            formula(r"y_{\text{lse}} = \frac{1}{r} \log \frac{1}{n} \sum_i e^{r a_i}", "log-sum-exp: (1/r) log((1/n) Σ e^(r a_i))"),
        ],
        figures: vec![Figure {
            name: "maps".into(),
            caption: "A ramp from left to right with one bright pixel, and what four pools of 2 by 2 make of it, on one scale: the maximum keeps the pixel, the mean dims it.".into(),
            picture: Picture::Drawing(drawing),
        }],
        tables: vec![table],
        experiment: Experiment {
            question: "How much changes when the image moves by a pixel?".into(),
            method: format!("{MAPS} maps of noise, smoothed over 3 by 3 pixels, are pooled as they are and moved by one pixel, which is half a window; beside the pools, every second value is kept as it is."),
            result: format!(
                "Without a pool the change is {:.3} of the spread, behind the maximum {:.3} and behind the mean {:.3}. How much a pool helps depends on how smooth the maps are.",
                changes[0], changes[1], changes[2]
            ),
            figures: Vec::new(),
            tables: vec![moved],
        },
        code: vec!["crates/nn/src/pool: WindowPool2d, MaxPool2d, AvgPool2d, StochasticPool2d, MixedPool2d, GemPool, roi_align, crow, r_mac"],
        tests: vec![
            "crates/nn/tests/pools.rs: the_worked_window_gives_the_worked_numbers",
            "crates/nn/tests/pools.rs: gradients_go_where_the_values_came_from",
        ],
        sources: vec![
            ["Lee et al. 2016, Generalizing pooling functions in convolutional neural networks: mixed, gated, and tree", "https://arxiv.org/abs/1509.08985"],
            ["Stergiou et al. 2021, Refining activation downsampling with SoftPool", "https://arxiv.org/abs/2101.00440"],
            ["Zeiler and Fergus 2013, Stochastic pooling for regularization of deep convolutional neural networks", "https://arxiv.org/abs/1301.3557"],
        ],
    }
}
