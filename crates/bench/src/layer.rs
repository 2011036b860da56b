//! Single convolutions, with the shapes they have in a network: the output, and both gradients.

use std::fmt;
use std::hint::black_box;

use burn::prelude::*;
use burn_ir::{ModuleOperationIr, OperationIr};
use kiln_core::{Error, Network, Result};
use kiln_kernels::Isa;
use kiln_kernels::conv::{Conv, forward, input_gradient, weight_gradient};

use crate::network::Workload;

/// What of a convolution is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The output.
    Forward,
    /// The gradient of the input.
    InputGradient,
    /// The gradient of the weights.
    WeightGradient,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Forward => "forward",
            Self::InputGradient => "input gradient",
            Self::WeightGradient => "weight gradient",
        })
    }
}

/// One part of one convolution.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    model: &'static str,
    /// Its shapes.
    pub conv: Conv,
    /// What of it is computed.
    pub part: Part,
}

/// All parts of every distinct convolution of a network, in the network's order. Images need no gradient.
///
/// # Errors
/// A network that cannot be recorded.
pub fn layers(work: Workload) -> Result<Vec<Layer>> {
    let mut layers = Vec::new();
    for conv in convolutions(work)? {
        let parts = [Part::Forward, Part::InputGradient, Part::WeightGradient];
        let needed = parts.into_iter().filter(|part| *part != Part::InputGradient || conv.channels[0] > 3);
        layers.extend(needed.map(|part| Layer { model: work.model, conv, part }));
    }
    Ok(layers)
}

/// The distinct convolutions that a forward pass goes through. It is recorded, not computed.
fn convolutions(work: Workload) -> Result<Vec<Conv>> {
    let recorder = Device::capture();
    let mut forward = Ok(());
    let captured = recorder.capture_scope(|scope| {
        let images = Tensor::zeros([work.batch, 3, work.side, work.side], &recorder);
        forward = work.network(&recorder).map(|network| drop(network.forward(images)));
        scope.complete([], [])
    });
    forward?;
    let graph = captured.map_err(|why| Error::failure(format!("the graph cannot be recorded: {why}")))?.graph;
    let mut found = Vec::new();
    for operation in &graph.operations {
        let OperationIr::Module(ModuleOperationIr::Conv2d(conv)) = operation else { continue };
        let (x, weight) = (conv.x.shape.as_slice(), conv.weight.shape.as_slice());
        let (&[batch, input, rows, columns], &[output, _, high, wide]) = (x, weight) else { continue };
        let conv = Conv {
            batch,
            channels: [input, output],
            size: [rows, columns],
            kernel: [high, wide],
            stride: conv.options.stride,
            padding: conv.options.padding,
            dilation: conv.options.dilation,
            groups: conv.options.groups,
        };
        if !found.contains(&conv) {
            found.push(conv);
        }
    }
    Ok(found)
}

impl Layer {
    /// The name of its row.
    pub fn name(&self) -> String {
        let Conv { batch, channels: [input, output], size: [rows, columns], kernel, stride, groups, .. } =
            self.conv;
        let [kernel, stride] = [kernel[0], stride[0]];
        let groups = match groups {
            1 => String::new(),
            groups if groups == input => " depthwise".to_string(),
            groups => format!(" {groups} groups"),
        };
        let Self { model, part, .. } = self;
        format!(
            "{model} {batch}x{input}x{rows}x{columns} to {output} {kernel}x{kernel}/{stride}{groups} {part}"
        )
    }

    /// `[out channels, in channels / groups, kernel rows, kernel columns]`
    pub fn weight(&self) -> [usize; 4] {
        let Conv { channels: [input, output], kernel: [high, wide], groups, .. } = self.conv;
        [output, input / groups, high, wide]
    }

    /// `[batch, in channels, rows, columns]`
    pub fn input(&self) -> [usize; 4] {
        let Conv { batch, channels: [input, _], size: [rows, columns], .. } = self.conv;
        [batch, input, rows, columns]
    }

    /// `[batch, out channels, rows, columns]`
    fn output(&self) -> [usize; 4] {
        let [rows, columns] = self.conv.out().expect("a network went through it");
        [self.conv.batch, self.conv.channels[1], rows, columns]
    }

    /// Multiplications and additions, in thousands of millions; each part has as many.
    pub fn giga(&self) -> f64 {
        let [_, weights @ ..] = self.weight();
        2e-9 * (self.output().iter().product::<usize>() * weights.iter().product::<usize>()) as f64
    }
}

/// A convolution computed again and again: rows of channels, as networks on the CPU hand them over.
pub struct Running {
    layer: Layer,
    x: Vec<f32>,
    weight: Vec<f32>,
    grad: Vec<f32>,
    result: Vec<f32>,
}

impl Running {
    /// Ready for the first run.
    pub fn new(layer: &Layer) -> Self {
        // Numbers between -1 and 1 in no order.
        let values = |sides: [usize; 4]| -> Vec<f32> {
            (0..sides.iter().product()).map(|i: usize| (i * 7919 % 2003) as f32 / 1001.0 - 1.0).collect()
        };
        let [x, weight, grad] = [layer.input(), layer.weight(), layer.output()].map(values);
        Self { layer: layer.clone(), x, weight, grad, result: Vec::new() }
    }

    /// Computes it once.
    pub fn step(&mut self) {
        let (isa, conv) = (Isa::best(), black_box(&self.layer.conv));
        self.result = match self.layer.part {
            Part::Forward => forward(isa, conv, &self.x, &self.weight, None),
            Part::InputGradient => input_gradient(isa, conv, &self.weight, &self.grad),
            Part::WeightGradient => weight_gradient(isa, conv, &self.x, &self.grad),
        };
    }

    /// Whether the last result is made of numbers.
    pub fn is_finite(&self) -> bool {
        self.result.iter().all(|value| value.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resnet50_has_the_convolutions_of_table_1() {
        let work = Workload { model: "resnet50", batch: 4, side: 224 };
        let convolutions = convolutions(work).expect("it is recorded");
        // A stem. Stage one: into the block from 64 and from 256 channels, the 3x3, out of it (the shortcut of the first
        // block is the same). Each of the others: into the first block (at the larger size) and the rest, the 3x3
        // with and without a stride, out of the block, the shortcut.
        assert_eq!(convolutions.len(), 1 + 4 + 3 * 6);
        let stem = convolutions[0];
        assert_eq!((stem.channels, stem.size, stem.kernel, stem.stride), ([3, 64], [224; 2], [7; 2], [2; 2]));
        // 112 * 112 outputs of 64 channels for 4 images, 3 * 49 products each, two operations a product.
        let layer = Layer { model: "resnet50", conv: stem, part: Part::Forward };
        assert!((layer.giga() - 2e-9 * (4 * 112 * 112 * 64 * 147) as f64).abs() < 1e-9);
        assert_eq!(layer.name(), "resnet50 4x3x224x224 to 64 7x7/2 forward");
        // All three parts of each, but for the gradient of the images.
        assert_eq!(layers(work).expect("it is recorded").len(), 3 * 23 - 1);
    }

    #[test]
    fn a_depthwise_convolution_is_said_to_be_one() {
        let work = Workload { model: "shufflenet_v2_x1_0", batch: 16, side: 96 };
        let names: Vec<String> = layers(work).expect("recorded").iter().map(Layer::name).collect();
        let name = "shufflenet_v2_x1_0 16x58x12x12 to 58 3x3/1 depthwise input gradient";
        assert!(names.iter().any(|other| other == name), "{names:?}");
    }
}
