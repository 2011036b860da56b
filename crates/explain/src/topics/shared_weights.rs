//! One kernel for all places.

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::Distribution;
use kiln_nn::{Conv2d, Conv2dConfig, LocallyConnected2d, LocallyConnected2dConfig, padded};
use kiln_page::text::grouped;

use super::cost::Cost;
use super::values::rows;
use super::{Topic, distance, formula};
use crate::draw::Drawing;
use crate::page::{Experiment, Figure, Page, Picture, Table};

pub(super) const TOPIC: Topic = Topic {
    name: "shared-weights",
    title: "Shared weights",
    summary: "What a convolution saves by having one kernel for all places, and why it moves with its image.",
    explain,
};

/// Parameters of YOLOv1's locally connected layer (256 filters of 3x3 over 7x7 places and 1024 channels), by a layer of a sixteenth of its channels on both sides,
/// times 16 squared and 16 for weights and biases; and those of a convolution of these channels.
pub fn yolo() -> [u64; 2] {
    let device = Device::flex();
    let local = LocallyConnected2dConfig::new([64, 16], [7, 7], 3).with_padding(1).init(&device);
    let conv = Conv2dConfig::new([64, 16], [3, 3]).init(&device);
    let scaled = |weights: usize, biases: usize| (weights * 256 + biases * 16) as u64;
    let biases = conv.bias.as_ref().map_or(0, |bias| bias.num_params());
    [scaled(local.weight.num_params(), local.bias.num_params()), scaled(conv.weight.num_params(), biases)]
}

/// VGG's first layer: 3 to 64 channels by 3x3 at 224 by 224 pixels.
pub fn first_of_vgg() -> Cost {
    let config = Conv2dConfig::new([3, 64], [3, 3]).with_padding(padded(1));
    Cost::of(|device| config.init(device), [3, 224, 224], Conv2d::forward)
}

/// A layer on eight pixels in a line as a matrix, found by what it makes of each of them alone.
fn matrix(layer: impl Fn(Tensor<4>) -> Tensor<4>, device: &Device) -> Drawing {
    let pixels = Tensor::<2>::eye(8, device).reshape([8, 1, 1, 8]);
    // Without the bias.
    let columns = layer(pixels.clone()) - layer(pixels.zeros_like());
    Drawing::matrix("Outputs (rows) by inputs (columns)", &rows(columns.permute([1, 2, 3, 0])))
}

fn explain(seed: u64) -> Page {
    let [own, shared] = yolo();
    let mut table = Table::new(
        "Parameters of one layer with its biases: the local layer of YOLOv1 as released, and VGG's first convolution, as a convolution and with a kernel for each place",
        &["layer", "shared", "a kernel a place"],
    );
    table.row("256 of 3x3 over 1024 channels, 7 by 7 places", [grouped(shared), grouped(own)]);
    let first = first_of_vgg();
    // A place has 3 * 9 * 64 weights and 64 biases, and there are 224 * 224 of them.
    table.row(
        "64 of 3x3 over 3 channels, 224 by 224 places",
        [grouped(first.parameters), grouped(first.parameters * 224 * 224)],
    );

    let bars = [
        ("one kernel for all", shared as f64, grouped(shared)),
        ("a kernel a place", own as f64, grouped(own)),
    ];
    let device = Device::flex().autodiff();
    device.seed(seed);
    let line = Conv2dConfig::new([1, 1], [3, 3]).with_padding(padded(1)).init(&device);
    let each = LocallyConnected2dConfig::new([1, 1], [1, 8], 3).with_padding(1).init(&device);
    let matrices = vec![
        ("a convolution".to_string(), matrix(|x| line.forward(x), &device)),
        ("locally connected".to_string(), matrix(|x| each.forward(x), &device)),
    ];
    let conv = Conv2dConfig::new([3, 4], [3, 3]).with_padding(padded(1)).init(&device);
    let local = LocallyConnected2d::tied(&conv, [8, 8], 1);
    let x = Tensor::<4>::random([2, 3, 8, 8], Distribution::Normal(0.0, 1.0), &device);
    let (of_all, of_each) = (conv.forward(x.clone()), local.forward(x.clone()));
    let values = (of_all.clone() - of_each.clone()).abs().max().into_scalar::<f32>();
    let weights = Tensor::random(of_all.dims(), Distribution::Normal(0.0, 1.0), &device);
    let gradients = (of_all * weights.clone()).sum().backward();
    let of_places = (of_each * weights).sum().backward();
    let sum =
        local.weight.val().grad(&of_places).expect("weights that learn").sum_dim(0).reshape([4, 3, 3, 3]);
    let whole = conv.weight.val().grad(&gradients).expect("weights that learn");
    let size = whole.clone().abs().max().into_scalar::<f32>();
    let apart = (whole - sum).abs().max().into_scalar::<f32>();
    // Around a torus: borders on the left and right, above and below, are neighbours.
    let plain = Conv2d { padding: kiln_nn::PaddingConfig2d::Valid, ..conv.valid() };
    let around = |x: Tensor<4>| {
        let x = Tensor::cat(vec![x.clone().narrow(2, 7, 1), x.clone(), x.narrow(2, 0, 1)], 2);
        plain.forward(Tensor::cat(vec![x.clone().narrow(3, 7, 1), x.clone(), x.narrow(3, 0, 1)], 3))
    };
    let moved = |x: Tensor<4>| x.roll(&[3, 2], &[2, 3]);
    let x = x.inner();
    let shifted = (around(moved(x.clone())) - moved(around(x))).abs().max().into_scalar::<f32>();
    let mut checks = Table::new("3 to 4 channels by 3x3 on 8 by 8 pixels", &["", "largest distance"]);
    checks.row("values: convolution and local layer with one kernel everywhere", [distance(values)]);
    checks.row(
        format!("gradients (up to {size:.1}): of the kernel, and summed over the places"),
        [distance(apart)],
    );
    checks.row("values: the image moved first, or the result moved", [distance(shifted)]);
    Page {
        idea: [
            "A convolution has one kernel for all places, where a locally connected layer has one for each.",
            "So it needs no more weights for a large image than for a small one, and the gradient of its kernel is the sum of what every place asks for.",
            "And what it finds moves with the image (by whole strides): a pattern is seen the same wherever it stands, borders left aside.",
        ],
        formulas: vec![
            formula(r"\text{shared: } C_{\text{out}} C_{\text{in}} k^2, \quad \text{local: } H' W' C_{\text{out}} C_{\text{in}} k^2", "shared: C_out C_in k²,  local: H′W′ C_out C_in k²"),
            formula(r"f(T x) = T f(x) \text{ for a shift } T", "f(T x) = T f(x) for a shift T"),
        ],
        figures: vec![
            Figure {
                name: "matrices".into(),
                caption: "Which weight leads from which of eight pixels in a line (columns) to which output (rows), kernels being three wide: the same three in every row, or three for each.".into(),
                picture: Picture::Small(matrices),
            },
            Figure {
                name: "parameters".into(),
                caption: "Parameters of a layer of YOLOv1 as it was released (yolov1.cfg), where every place has its own kernel.".into(),
                picture: Picture::Drawing(Drawing::bars("Parameters of both", &bars)),
            },
        ],
        tables: vec![table],
        experiment: Experiment {
            question: "Is a convolution a local layer whose kernels are tied?".into(),
            method: "A local layer gets the same kernel at all 64 places; values and gradients of both are compared. Then an image whose borders are joined (a torus) is moved before and after a convolution.".into(),
            result: format!(
                "Values agree to within {}, and the kernel's gradient is the sum over the places, to within {}. An image that is moved gives the moved result, {}.",
                distance(values),
                distance(apart),
                if shifted == 0.0 { "exactly".into() } else { format!("to within {}", distance(shifted)) }
            ),
            figures: Vec::new(),
            tables: vec![checks],
        },
        code: vec!["crates/nn/src/conv/local.rs: LocallyConnected2d"],
        tests: vec![
            "crates/nn/tests/convolutions.rs: a_local_layer_with_one_kernel_everywhere_is_a_convolution",
            "crates/nn/tests/convolutions.rs: a_convolution_moves_with_its_image",
            "crates/explain/tests/costs.rs: layers_cost_what_the_papers_say",
        ],
        sources: vec![
            ["LeCun et al. 1989, Backpropagation applied to handwritten zip code recognition", "https://doi.org/10.1162/neco.1989.1.4.541"],
            ["Redmon et al. 2016, You only look once", "https://arxiv.org/abs/1506.02640"],
            ["J. Redmon, yolov1.cfg of Darknet", "https://github.com/pjreddie/darknet/blob/master/cfg/yolov1.cfg"],
        ],
    }
}
