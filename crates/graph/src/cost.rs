//! What a node costs, in the units that people count in.
//!
//! A multiply-accumulate operation (MAC) is a multiplication and the addition behind it, and only convolutions, linear layers and
//! products of matrices have them. A floating-point operation (FLOP) is one addition, multiplication, division, comparison
//! or elementary function of one number, wherever it is: a MAC is two. What others print as "FLOPs" is one or the other, with
//! additions of their own: [`Cost`] has a field for each.

use std::iter::Sum;
use std::ops::Add;

use burn_ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, FloatOperationIr as Float,
    InterpolateModeIr as Mode, ModuleOperationIr as Module, NumericOperationIr as Numeric, OperationIr,
    TensorIr,
};

use crate::graph::{Graph, Node, product};

/// What something costs, each field in its own unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-accumulate operations of convolutions, linear layers and products of matrices: the number in torchvision's
    /// tables.
    pub macs: u64,
    /// Floating-point operations of everything.
    pub flops: u64,
    /// What fvcore's `FlopCountAnalysis` prints: MACs; and of a normalization two a value, of an adaptive average pool its
    /// inputs, of bilinear resizing four an output, of nearest one.
    pub fvcore: u64,
    /// What thop's `profile` prints: MACs, a transposed convolution's counted at its outputs; of a normalization four a value, of
    /// an average pool its outputs, of an adaptive one its inputs too.
    pub thop: u64,
    /// What ptflops prints: MACs; a bias one an output, a normalization two a value, resizing and most activations one an output;
    /// and, as of 0.7.5, twice what a ReLU and a pool read, once for the module and once for the function it calls.
    pub ptflops: u64,
    /// What Darknet prints, which it calls BFLOPs and divides by 10^9: two a MAC of a convolution or linear layer.
    pub darknet: u64,
    /// Whether every operation is known. One that is not counts nothing.
    pub complete: bool,
}

impl Cost {
    /// Of nothing.
    pub const NONE: Self =
        Self { macs: 0, flops: 0, fvcore: 0, thop: 0, ptflops: 0, darknet: 0, complete: true };

    /// So much in every tool's count.
    fn alike(macs: u64) -> Self {
        Self {
            macs,
            flops: 2 * macs,
            fvcore: macs,
            thop: macs,
            ptflops: macs,
            darknet: 2 * macs,
            complete: true,
        }
    }

    /// No MACs.
    fn flops(flops: u64) -> Self {
        Self { flops, ..Self::NONE }
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            macs: self.macs + other.macs,
            flops: self.flops + other.flops,
            fvcore: self.fvcore + other.fvcore,
            thop: self.thop + other.thop,
            ptflops: self.ptflops + other.ptflops,
            darknet: self.darknet + other.darknet,
            complete: self.complete && other.complete,
        }
    }
}

impl Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::NONE, Self::add)
    }
}

impl Graph {
    /// What all of it costs.
    pub fn cost(&self) -> Cost {
        self.nodes.iter().map(Node::cost).sum()
    }
}

impl Node {
    /// What it costs. What depends on weights alone costs nothing: it is computed once.
    pub fn cost(&self) -> Cost {
        if self.constant {
            return Cost::NONE;
        }
        let unknown = Cost { complete: false, ..Cost::NONE };
        let cost: Cost = self.operations.iter().map(|operation| of(operation).unwrap_or(unknown)).sum();
        // A linear layer's sum with its bias is an operation of its own here.
        let more = if matches!(self.kind.as_str(), "linear" | "silu") { product(self.shape()) } else { 0 };
        Cost { ptflops: cost.ptflops + more, complete: cost.complete && self.known, ..cost }
    }
}

/// What an operation costs; `None` if that is not known.
fn of(operation: &OperationIr) -> Option<Cost> {
    Some(match operation {
        OperationIr::Module(operation) => return module(operation),
        OperationIr::Float(_, Float::Matmul(matmul)) => {
            Cost::alike(numbers(&matmul.out) * matmul.lhs.shape.last().map_or(0, |inner| *inner as u64))
        }
        OperationIr::Activation(operation) => match operation {
            // A comparison each; the slope's product is a second.
            Activation::Relu(op) => ptflops(numbers(&op.out), 2 * numbers(&op.out)),
            Activation::LeakyRelu(op) => ptflops(2 * numbers(&op.out), numbers(&op.out)),
            Activation::PRelu(op) => ptflops(2 * numbers(&op.out), numbers(&op.out)),
            Activation::Gelu(op) => ptflops(5 * numbers(&op.out), numbers(&op.out)),
            // Negation, exponential, sum, reciprocal.
            Activation::Sigmoid(op) => Cost::flops(4 * numbers(&op.out)),
            Activation::LogSigmoid(op) => Cost::flops(4 * numbers(&op.out)),
            Activation::HardSigmoid(op) => Cost::flops(4 * numbers(&op.out)),
            // Exponential, sum, division.
            Activation::Softmax(op) => ptflops(3 * numbers(&op.out), numbers(&op.out)),
            Activation::LogSoftmax(op) => Cost::flops(4 * numbers(&op.out)),
            _ => return None,
        },
        OperationIr::Float(_, Float::Random(_)) => Cost::NONE,
        OperationIr::NumericFloat(_, Numeric::Full(_) | Numeric::Pad(_)) => Cost::NONE,
        OperationIr::NumericFloat(_, Numeric::MeanDim(op) | Numeric::SumDim(op) | Numeric::MaxDim(op)) => {
            Cost::flops(numbers(&op.input))
        }
        OperationIr::NumericFloat(_, Numeric::SumDims(op)) => Cost::flops(numbers(&op.input)),
        OperationIr::NumericFloat(_, Numeric::Clamp(op)) => Cost::flops(2 * numbers(&op.out)),
        // One of each number that comes out: arithmetic and elementary functions.
        OperationIr::NumericFloat(..) | OperationIr::Float(..) => {
            let given: u64 = operation.outputs().map(numbers).sum();
            Cost::flops(given)
        }
        OperationIr::BaseFloat(Base::MaskWhere(_) | Base::MaskFill(_)) => Cost::NONE,
        // Numbers are moved, not computed.
        OperationIr::BaseFloat(_) | OperationIr::BaseInt(_) | OperationIr::BaseBool(_) => Cost::NONE,
        OperationIr::NumericInt(..) | OperationIr::Int(_) | OperationIr::Init(_) => Cost::NONE,
        _ => return None,
    })
}

fn module(operation: &Module) -> Option<Cost> {
    Some(match operation {
        // Every output is a sum over the weights of its channel.
        Module::Conv2d(conv) => {
            let macs = numbers(&conv.out) * product(conv.weight.shape.get(1..)?);
            with_bias(Cost::alike(macs), conv.bias.is_some(), &conv.out)
        }
        // Every input is multiplied by the weights of its channel.
        Module::ConvTranspose2d(conv) => {
            let [_, outputs, kernel @ ..] = conv.weight.shape.as_slice() else { return None };
            let cost = Cost::alike(numbers(&conv.x) * *outputs as u64 * product(kernel));
            let inputs = (conv.x.shape[1] / conv.options.groups) as u64;
            let cost = Cost { thop: numbers(&conv.out) * inputs * product(kernel), ..cost };
            with_bias(cost, conv.bias.is_some(), &conv.out)
        }
        Module::Linear(linear) => {
            let cost = Cost::alike(numbers(&linear.out) * *linear.x.shape.last()? as u64);
            with_bias(cost, linear.bias.is_some(), &linear.out)
        }
        // A factor and a summand: what of them depends on weights alone is computed once.
        Module::BatchNorm(norm) => {
            let values = numbers(&norm.x);
            Cost {
                flops: 2 * values,
                fvcore: 2 * values,
                thop: 4 * values,
                ptflops: 2 * values,
                ..Cost::NONE
            }
        }
        Module::LayerNorm(norm) => {
            let values = numbers(&norm.input);
            Cost {
                flops: 7 * values,
                fvcore: 5 * values,
                thop: 4 * values,
                ptflops: 2 * values,
                ..Cost::NONE
            }
        }
        Module::MaxPool2d(pool) => {
            ptflops(numbers(&pool.out) * product(&pool.kernel_size), 2 * numbers(&pool.x))
        }
        Module::MaxPool2dWithIndices(pool) => {
            ptflops(numbers(&pool.out) * product(&pool.kernel_size), 2 * numbers(&pool.x))
        }
        Module::AvgPool2d(pool) => {
            let cost = ptflops(numbers(&pool.out) * (product(&pool.kernel_size) + 1), 2 * numbers(&pool.x));
            Cost { thop: numbers(&pool.out), ..cost }
        }
        Module::AvgPool1d(pool) => Cost::flops(numbers(&pool.out) * (pool.kernel_size as u64 + 1)),
        Module::AdaptiveAvgPool2d(pool) => {
            let (inputs, outputs) = (numbers(&pool.x), numbers(&pool.out));
            Cost { fvcore: inputs, thop: inputs + outputs, ..ptflops(inputs + outputs, 2 * inputs) }
        }
        Module::Interpolate(resize) => {
            let outputs = numbers(&resize.out);
            // Of four neighbours.
            let (flops, fvcore) = match resize.options.mode {
                Mode::Nearest | Mode::NearestExact => (0, 1),
                Mode::Bilinear => (7, 4),
                _ => return None,
            };
            Cost { fvcore: fvcore * outputs, ..ptflops(flops * outputs, outputs) }
        }
        _ => return None,
    })
}

fn ptflops(flops: u64, ptflops: u64) -> Cost {
    Cost { flops, ptflops, ..Cost::NONE }
}

fn with_bias(cost: Cost, bias: bool, out: &TensorIr) -> Cost {
    let added = if bias { numbers(out) } else { 0 };
    Cost { flops: cost.flops + added, ptflops: cost.ptflops + added, ..cost }
}

fn numbers(tensor: &TensorIr) -> u64 {
    product(tensor.shape.as_slice())
}
