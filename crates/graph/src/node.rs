//! Recorded operations become nodes: one each, or one of several that are a layer together.

use std::collections::{HashMap, HashSet};

use burn_ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, FloatOperationIr as Float,
    ModuleOperationIr as Module, NumericOperationIr as Numeric, OperationIr, TensorId, TensorIr,
};

use crate::graph::{Node, Output, Weight};

/// What operations are one layer: their kinds in the order in which they run, and the layer's name. Nothing outside
/// reads what they give on the way.
const LAYERS: [(&[&str], &str); 10] = [
    // A bias is laid out between its use and the product.
    (&["matmul", "reshape", "add"], LINEAR),
    (&["matmul", "add"], LINEAR),
    (&["sigmoid", "mul"], "silu"),
    (&["hard_sigmoid", "mul"], "hard_swish"),
    (&["mul", "erf", "add", "mul", "mul"], "gelu"),
    (&["mul", "greater", "mask_fill", "exp", "log1p", "div", "mask_where", "tanh", "mul"], "mish"),
    (&["reshape", "transpose", "reshape"], SHUFFLE),
    (&["zeros", "reshape", "reshape", "scatter", "reshape"], "max_unpool2d"),
    (&["pad", "max_pool2d"], "max_pool2d"),
    (
        &[
            "mul",
            "reshape",
            "transpose",
            "reshape",
            "avg_pool1d",
            "reshape",
            "transpose",
            "reshape",
            "mul",
            "add",
            "pow",
            "div",
        ],
        "response_norm",
    ),
];

/// Of which one factor is a weight.
const LINEAR: &str = "linear";
/// Which only moves channels.
const SHUFFLE: &str = "channel_shuffle";

/// The nodes of operations, still without names.
pub(crate) fn nodes(
    operations: Vec<OperationIr>,
    input: TensorId,
    weights: &[Weight],
    outputs: &[Output],
) -> Vec<Node> {
    let at: HashMap<TensorId, usize> =
        weights.iter().enumerate().filter_map(|(at, weight)| Some((weight.tensor?, at))).collect();
    let mut moving = HashSet::from([input]);
    let mut of_weights: HashMap<TensorId, Vec<usize>> = HashMap::new();
    // Numbers that come from outside are values of the graph.
    let operations = operations.into_iter().filter(|operation| !matches!(operation, OperationIr::Init(_)));
    let layers = grouped(operations.collect(), &at.keys().copied().collect(), outputs);
    let mut nodes = Vec::with_capacity(layers.len());
    for (kind, operations) in layers {
        let inside: HashSet<TensorId> =
            operations.iter().flat_map(|operation| operation.outputs()).map(|tensor| tensor.id).collect();
        let mut read: Vec<TensorId> = Vec::new();
        for tensor in operations.iter().flat_map(|operation| operation.inputs()) {
            if !inside.contains(&tensor.id) && !read.contains(&tensor.id) {
                read.push(tensor.id);
            }
        }
        let mut weights: Vec<usize> = Vec::new();
        for id in &read {
            weights.extend(at.get(id));
            weights.extend(of_weights.get(id).into_iter().flatten());
        }
        let inputs: Vec<TensorId> = read.into_iter().filter(|id| moving.contains(id)).collect();
        let constant = inputs.is_empty();
        for id in inside {
            match constant {
                true => drop(of_weights.insert(id, weights.clone())),
                false => drop(moving.insert(id)),
            }
        }
        let Some(output) = operations.last().and_then(|last| last.outputs().next().cloned()) else {
            continue;
        };
        nodes.push(Node {
            name: String::new(),
            known: kind.is_some(),
            kind: kind.map_or_else(|| unknown(&operations[0]), str::to_string),
            operations,
            weights,
            inputs,
            output,
            constant,
        });
    }
    nodes
}

/// Operations by layers, with what the layers are.
fn grouped(
    operations: Vec<OperationIr>,
    weights: &HashSet<TensorId>,
    outputs: &[Output],
) -> Vec<(Option<&'static str>, Vec<OperationIr>)> {
    let kinds: Vec<Option<&'static str>> = operations.iter().map(kind).collect();
    let mut readers: HashMap<TensorId, Vec<usize>> = HashMap::new();
    for (at, operation) in operations.iter().enumerate() {
        operation.inputs().for_each(|tensor| readers.entry(tensor.id).or_default().push(at));
    }
    let is_one = |start: usize, pattern: &[&str], name: &str| {
        let end = start + pattern.len();
        let same = kinds.get(start..end).is_some_and(|kinds| {
            kinds.iter().zip(pattern).all(|(kind, wanted)| kind.is_some_and(|kind| kind == *wanted))
        });
        let moves = || {
            let [first, last] = [&operations[start], &operations[end - 1]];
            let shape = |tensor: Option<&TensorIr>| tensor.map(|tensor| tensor.shape.clone());
            shape(first.inputs().next()) == shape(last.outputs().next())
        };
        let learned = || match &operations[start] {
            OperationIr::Float(_, Float::Matmul(matmul)) => weights.contains(&matmul.rhs.id),
            _ => false,
        };
        same && (name != SHUFFLE || moves())
            && (name != LINEAR || learned())
            && operations[start..end - 1].iter().flat_map(|operation| operation.outputs()).all(|tensor| {
                readers.get(&tensor.id).into_iter().flatten().all(|reader| (start..end).contains(reader))
                    && outputs.iter().all(|output| output.tensor != tensor.id)
            })
    };
    let mut layers = Vec::new();
    let mut lengths = Vec::new();
    let mut start = 0;
    while start < kinds.len() {
        let layer = LAYERS.iter().find(|(pattern, name)| is_one(start, pattern, name));
        let (length, kind) = layer.map_or((1, kinds[start]), |(pattern, name)| (pattern.len(), Some(*name)));
        lengths.push((length, kind));
        start += length;
    }
    let mut operations = operations.into_iter();
    for (length, kind) in lengths {
        layers.push((kind, operations.by_ref().take(length).collect()));
    }
    layers
}

/// Burn's name of an operation.
fn unknown(operation: &OperationIr) -> String {
    let text = format!("{operation:?}");
    let inner = text.split_once('(').map_or("", |(_, inner)| inner);
    // The element's type stands before the name of a numeric operation.
    let inner =
        inner.split_once(", ").filter(|(dtype, _)| !dtype.contains('(')).map_or(inner, |(_, rest)| rest);
    inner.split(['(', ' ']).next().unwrap_or_default().to_lowercase()
}

/// What an operation is; `None` if it is not known.
fn kind(operation: &OperationIr) -> Option<&'static str> {
    Some(match operation {
        OperationIr::Module(operation) => match operation {
            Module::Conv2d(_) => "conv2d",
            Module::ConvTranspose2d(_) => "conv_transpose2d",
            Module::Linear(_) => "linear",
            Module::BatchNorm(_) => "batch_norm",
            Module::LayerNorm(_) => "layer_norm",
            Module::MaxPool2d(_) | Module::MaxPool2dWithIndices(_) => "max_pool2d",
            Module::AvgPool2d(_) => "avg_pool2d",
            Module::AvgPool1d(_) => "avg_pool1d",
            Module::AdaptiveAvgPool2d(_) => "adaptive_avg_pool2d",
            Module::Interpolate(_) => "interpolate",
            _ => return None,
        },
        OperationIr::Activation(operation) => match operation {
            Activation::Relu(_) => "relu",
            Activation::LeakyRelu(_) => "leaky_relu",
            Activation::PRelu(_) => "prelu",
            Activation::Gelu(_) => "gelu",
            Activation::Sigmoid(_) => "sigmoid",
            Activation::HardSigmoid(_) => "hard_sigmoid",
            Activation::LogSigmoid(_) => "log_sigmoid",
            Activation::Softmax(_) => "softmax",
            Activation::LogSoftmax(_) => "log_softmax",
            _ => return None,
        },
        OperationIr::Float(_, operation) => match operation {
            Float::Matmul(_) => "matmul",
            Float::Exp(_) => "exp",
            Float::Log(_) => "log",
            Float::Log1p(_) => "log1p",
            Float::Sqrt(_) => "sqrt",
            Float::Tanh(_) => "tanh",
            Float::Erf(_) => "erf",
            Float::Recip(_) => "reciprocal",
            Float::PowfScalar(_) => "pow",
            Float::Random(_) => "random",
            _ => return None,
        },
        OperationIr::NumericFloat(_, operation) | OperationIr::NumericInt(_, operation) => match operation {
            Numeric::Add(_) | Numeric::AddScalar(_) => "add",
            Numeric::Sub(_) | Numeric::SubScalar(_) => "sub",
            Numeric::Mul(_) | Numeric::MulScalar(_) => "mul",
            Numeric::Div(_) | Numeric::DivScalar(_) => "div",
            Numeric::PowiScalar(_) => "pow",
            Numeric::Neg(_) => "neg",
            Numeric::Abs(_) => "abs",
            Numeric::GreaterElem(_) => "greater",
            Numeric::Clamp(_) => "clamp",
            Numeric::ClampMin(_) => "clamp_min",
            Numeric::ClampMax(_) => "clamp_max",
            Numeric::MeanDim(_) => "mean",
            Numeric::SumDim(_) | Numeric::SumDims(_) => "sum",
            Numeric::MaxDim(_) => "max",
            Numeric::Full(_) => "full",
            Numeric::Pad(_) => "pad",
            _ => return None,
        },
        OperationIr::BaseFloat(operation) | OperationIr::BaseInt(operation) => match operation {
            Base::Reshape(_) => "reshape",
            Base::SwapDims(_) => "transpose",
            Base::Permute(_) => "permute",
            Base::Expand(_) => "expand",
            Base::Slice(_) => "slice",
            Base::SliceAssign(_) => "slice_assign",
            Base::Cat(_) => "cat",
            Base::RepeatDim(_) => "repeat",
            Base::MaskFill(_) => "mask_fill",
            Base::MaskWhere(_) => "mask_where",
            Base::Scatter(_) => "scatter",
            Base::Gather(_) => "gather",
            Base::Select(_) => "select",
            Base::Zeros(_) => "zeros",
            Base::Ones(_) => "ones",
            Base::Empty(_) => "empty",
            Base::Cast(_) => "cast",
            Base::Flip(_) => "flip",
            _ => return None,
        },
        OperationIr::Int(burn_ir::IntOperationIr::IntoFloat(_)) => "cast",
        _ => return None,
    })
}
