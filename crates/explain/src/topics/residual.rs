//! What a shortcut does to gradients, and what dropout does to a normalization.

use burn::module::Param;
use burn::prelude::*;
use kiln_core::learnable_parameters;
use kiln_kernels::cross_entropy;
use kiln_nn::*;
use kiln_page::chart::{Chart, Look, Series};
use kiln_page::scale::{Scale, Spelling};
use kiln_page::text::grouped;
use kiln_resnet::{CifarResNetConfig, Shortcut};

use super::{Topic, formula};
use crate::draw::{Anchor, Drawing};
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "residual",
    title: "Residual learning",
    summary: "y = F(x) + x: gradients by depth with and without shortcuts, and what dropout does to a normalization behind it.",
    explain,
};

const CHANNELS: usize = 8;
const SIDE: usize = 8;
const BATCH: usize = 16;
const CLASSES: usize = 10;

/// Blocks of two convolutions of 3 by 3 with their normalizations, as in a ResNet, and a classifier.
struct Stack {
    blocks: Vec<[(Conv2d, BatchNorm); 2]>,
    linear: Linear,
    shortcuts: bool,
}

impl Stack {
    fn new(blocks: usize, shortcuts: bool, draws: &mut Draws, device: &Device) -> Self {
        let like = Tensor::<1>::zeros([1], device);
        // He et al. 2015: variance 2 / fan-in.
        let deviation = (2.0 / (9 * CHANNELS) as f64).sqrt();
        let mut layer = || {
            let mut layer = conv([CHANNELS; 2], 3, 1).init(device);
            layer.weight = Param::from_tensor(draws.normal([CHANNELS, CHANNELS, 3, 3], &like) * deviation);
            (layer, BatchNormConfig::new(CHANNELS).init(device))
        };
        let blocks = (0..blocks).map(|_| [layer(), layer()]).collect();
        let mut linear = LinearConfig::new(CHANNELS, CLASSES).init(device);
        let weights = linear.weight.dims();
        linear.weight = Param::from_tensor(draws.normal(weights, &like) / (CHANNELS as f64).sqrt());
        linear.bias = constant_bias(0.0, CLASSES, device);
        Self { blocks, linear, shortcuts }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.blocks.iter().fold(x, |x, [(conv1, norm1), (conv2, norm2)]| {
            let inner = conv_norm_relu(conv1, norm1, x.clone());
            match self.shortcuts {
                true => conv_norm_add_relu(conv2, norm2, inner, x),
                false => conv_norm_relu(conv2, norm2, inner),
            }
        });
        self.linear.forward(global_average(x))
    }

    /// The length of the gradient of each convolution's weights, the first one's first.
    fn gradients(&self, images: Tensor<4>, classes: &[usize]) -> Vec<f64> {
        let gradients = cross_entropy(self.forward(images), classes, 0.0).backward();
        let length = |conv: &Conv2d| {
            let gradient = conv.weight.val().grad(&gradients).expect("weights that learn");
            f64::from(gradient.square().sum().sqrt().into_scalar::<f32>())
        };
        self.blocks.iter().flatten().map(|(conv, _)| length(conv)).collect()
    }
}

fn lengths(blocks: usize, shortcuts: bool, seed: u64) -> Vec<f64> {
    let device = Device::flex().autodiff();
    let mut draws = Draws::new(seed);
    let network = Stack::new(blocks, shortcuts, &mut draws, &device);
    let images = draws.normal([BATCH, CHANNELS, SIDE, SIDE], &Tensor::<1>::zeros([1], &device));
    let classes: Vec<usize> = (0..BATCH).map(|_| draws.below(CLASSES)).collect();
    network.gradients(images, &classes)
}

/// The variance of what a batch normalization gives in evaluation, where it should be 1, if what it normalizes has been dropped in training with a probability of 1 - `keep`:
/// of values of this mean and a variance of 1.
pub fn variance_shift(mean: f64, keep: f64, seed: u64) -> f64 {
    const VALUES: usize = 100_000;
    let plain = Device::flex();
    let mut draws = Draws::new(seed);
    let mut values = || draws.normal::<2, 1>([VALUES, 1], &Tensor::<1>::zeros([1], &plain)) + mean;
    let (train, eval) = (values(), values());
    // What one batch says is all that is remembered.
    let norm = BatchNormConfig::new(1).with_momentum(1.0).init(&plain.clone().autodiff());
    let dropped = PartDropoutConfig::new(1.0 - keep).init().dropped(train, &mut Draws::new(seed + 1));
    norm.forward(dropped.autodiff());
    let y: Vec<f64> = norm.valid().forward(eval).into_data().iter().collect();
    let middle = y.iter().sum::<f64>() / VALUES as f64;
    y.iter().map(|one| (one - middle).powi(2)).sum::<f64>() / VALUES as f64
}

fn block() -> Drawing {
    let mut drawing = Drawing::new("A residual block", [400.0, 96.0]).at_most(600.0);
    let parts = [("conv", 78.0), ("norm", 130.0), ("ReLU", 182.0), ("conv", 234.0), ("norm", 286.0)];
    drawing.text([10.0, 64.0], Anchor::Start, "name", "x");
    drawing.arrow([20.0, 60.0], [56.0, 60.0]);
    for (at, (name, x)) in parts.into_iter().enumerate() {
        drawing.frame([x - 21.0, 47.0, 42.0, 26.0], "node colour-1");
        drawing.text([x, 64.0], Anchor::Middle, "name", name);
        if at > 0 {
            drawing.line([x - 31.0, 60.0], [x - 21.0, 60.0], "flow");
        }
    }
    drawing.arrow([307.0, 60.0], [325.0, 60.0]);
    drawing.circle([334.0, 60.0], 9.0, "node colour-2");
    drawing.text([334.0, 64.0], Anchor::Middle, "name", "+");
    drawing.arrow([343.0, 60.0], [362.0, 60.0]);
    drawing.text([366.0, 64.0], Anchor::Start, "name", "ReLU");
    drawing.path(&[[38.0, 60.0], [38.0, 22.0], [334.0, 22.0]], "flow");
    drawing.arrow([334.0, 22.0], [334.0, 50.0]);
    drawing.text([186.0, 16.0], Anchor::Middle, "tick", "the shortcut: x as it is");
    drawing.text([182.0, 90.0], Anchor::Middle, "tick", "F(x)");
    drawing
}

fn explain(seed: u64) -> Page {
    let mut parameters = Table::new(
        "Weights of the paper's networks for images of 32 by 32 (ten classes, shortcuts without weights): plain networks of the same depth have as many",
        &["layers", "parameters"],
    );
    for depth in [20, 32, 44, 56, 110] {
        let config = CifarResNetConfig { depth, shortcut: Shortcut::Padded, num_classes: 10 };
        parameters
            .row(depth.to_string(), [grouped(learnable_parameters(&config.init(&Device::flex())) as u64)]);
    }
    let kinds = [("plain", false, 2), ("with shortcuts", true, 1)];
    let mut ratios = Table::new(
        "How many times as long the gradient of the first convolution's weights is as that of the last one's, in fresh networks",
        &["convolutions", "plain", "with shortcuts"],
    );
    for blocks in [2, 5, 10, 20] {
        let ratio = |shortcuts| {
            let lengths = lengths(blocks, shortcuts, seed + 1);
            lengths[0] / lengths[lengths.len() - 1]
        };
        ratios
            .row((2 * blocks).to_string(), [false, true].map(|shortcuts| format!("{:.1}", ratio(shortcuts))));
    }
    let deep = kinds.map(|(_, shortcuts, _)| lengths(30, shortcuts, seed + 1));
    let series = kinds.iter().zip(&deep).map(|((name, _, colour), lengths)| Series {
        name: (*name).into(),
        colour: *colour,
        look: Look::Line,
        points: lengths.iter().zip(1..).map(|(length, layer)| [f64::from(layer), *length]).collect(),
    });
    let chart = Chart {
        title: "Length of the gradient by layer".into(),
        x_name: "convolution, from the image on",
        x: Scale::counts(60.0),
        y: Scale::around(&deep.concat()),
        spelling: Spelling::Number,
        series: series.collect(),
        marked: None,
    };
    let ratio = |lengths: &[f64]| lengths[0] / lengths[lengths.len() - 1];

    let mut shifts = Table::new(
        "Values of variance 1 are dropped and then normalized: the variance behind the normalization in evaluation, where 1 is meant, as measured with 100,000 values and as the formula has it",
        &["mean c", "q = 0.9", "formula", "q = 0.5", "formula"],
    );
    let by_formula = |mean: f64, keep: f64| 1.0 / ((mean * mean + 1.0) / keep - mean * mean);
    for mean in [0.0, 0.5, 1.0, 2.0] {
        let cells = [0.9, 0.5].map(|keep| [variance_shift(mean, keep, seed), by_formula(mean, keep)]);
        shifts.row(mean.to_string(), cells.as_flattened().iter().map(|one| format!("{one:.3}")));
    }
    Page {
        idea: [
            "Beyond some depth plain networks have a higher error even on the images that they learn from, though a deeper one could do what a shallower one does and pass its result on.",
            "A residual block learns only what is to be added to its input, so that to pass it on it only has to bring F(x) to 0.",
            "On the way back the gradient reaches every block along the shortcuts too, past the layers beside them (in the first ResNet through the ReLU behind each sum).",
        ],
        formulas: vec![
            formula(r"x_{l+1} = x_l + F(x_l) \quad \Rightarrow \quad x_L = x_l + \sum_{i=l}^{L-1} F(x_i)", "x_(l+1) = x_l + F(x_l)  ⇒  x_L = x_l + Σ F(x_i)"),
            formula(r"\frac{\partial E}{\partial x_l} = \frac{\partial E}{\partial x_L} \left( 1 + \frac{\partial}{\partial x_l} \sum_{i=l}^{L-1} F(x_i) \right) \text{ (ResNet v2)}", "∂E/∂x_l = ∂E/∂x_L (1 + ∂/∂x_l Σ F(x_i)), both where no ReLU follows the sum (ResNet v2)"),
            formula(r"\Delta = \frac{v}{(c^2 + v) / q - c^2}", "variance shift Δ = v / ((c² + v) / q − c²), of values of mean c and variance v that are kept with probability q"),
        ],
        figures: vec![
            Figure {
                name: "block".into(),
                caption: "A block of the first ResNet: what two convolutions make of x is added to x.".into(),
                picture: Picture::Drawing(block()),
            },
            Figure {
                name: "gradients".into(),
                caption: format!(
                    "The length of the gradient of each convolution's weights in fresh networks of 60 convolutions, each with batch normalization, on noise; the scale is logarithmic. Without shortcuts the first one's is {:.0} \
                     times as long as the last one's, with them {:.1} times. With batch normalization it does not vanish but grows towards the image, exponentially without shortcuts (Yang et al.), so that one learning rate hardly suits all layers.",
                    ratio(&deep[0]),
                    ratio(&deep[1])
                ),
                picture: Picture::Chart(Box::new(chart)),
            },
        ],
        tables: vec![parameters, ratios],
        experiment: Experiment {
            question: "What would dropout do in these blocks?".into(),
            method: "He et al. use none. A normalization remembers the variance that it saw in training, and dropout before it makes that larger than in evaluation, when nothing is dropped: of values of mean c and variance v each is kept with probability q, and then divided by q. Δ is the one variance over the other.".into(),
            result: format!(
                "Behind a dropout that keeps half, values of mean 0 have a variance of {:.3} in evaluation instead of 1: Δ is q where the mean is 0, and less the farther the mean is from 0. The layers behind meet values of another size than those that they learned from (Li et al.). That is one reason; that batch \
                 normalization makes networks need less dropout is another (Ioffe and Szegedy).",
                variance_shift(0.0, 0.5, seed)
            ),
            figures: Vec::new(),
            tables: vec![shifts],
        },
        code: vec!["crates/models/resnet/src: ResNet, CifarResNet, BasicBlock, Bottleneck", "crates/nn/src/conv/conv_norm.rs: conv_norm_add_relu"],
        tests: vec![
            "crates/models/resnet/src/cifar.rs: parameters_and_outputs_are_the_published_ones",
            "crates/explain/tests/fields.rs: dropout_before_a_normalization_shifts_its_variance",
        ],
        sources: vec![
            ["He et al. 2016, Deep residual learning for image recognition", "https://arxiv.org/abs/1512.03385"],
            ["He et al. 2016, Identity mappings in deep residual networks", "https://arxiv.org/abs/1603.05027"],
            ["Li et al. 2019, Understanding the disharmony between dropout and batch normalization by variance shift", "https://arxiv.org/abs/1801.05134"],
            ["Ioffe and Szegedy 2015, Batch normalization: accelerating deep network training by reducing internal covariate shift", "https://arxiv.org/abs/1502.03167"],
            ["Yang et al. 2019, A mean field theory of batch normalization", "https://arxiv.org/abs/1902.08129"],
        ],
    }
}
