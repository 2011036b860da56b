//! What is drawn as one box: a layer with the normalization and the activation beside it.

use std::collections::{HashMap, HashSet};

use burn_ir::{
    BaseOperationIr as Base, InterpolateModeIr as Mode, ModuleOperationIr as Module, OperationIr, TensorId,
    TensorIr,
};

use crate::graph::{Graph, Node};

/// What a box is of: its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Class {
    Convolution,
    Linear,
    Norm,
    Activation,
    Pool,
    Resize,
    Join,
    Other,
}

/// A box.
#[derive(Debug, Clone)]
pub(super) struct Vertex {
    /// The module that it is in.
    pub module: String,
    /// Lines of text.
    pub lines: Vec<String>,
    pub class: Class,
    /// The boxes that it reads; `None` for the image.
    pub inputs: Vec<Option<usize>>,
    /// The shape of what it gives, without the batch.
    pub output: Vec<usize>,
    /// Whether what it gives has another shape than what it reads.
    pub reshapes: bool,
}

/// The boxes of a graph, in an order in which each stands behind what it reads.
pub(super) fn vertices(graph: &Graph) -> Vec<Vertex> {
    let nodes: Vec<Node> = nested(graph.nodes.iter().filter(|node| !node.constant).cloned().collect());
    let mut readers: HashMap<TensorId, Vec<usize>> = HashMap::new();
    for (at, node) in nodes.iter().enumerate() {
        node.inputs.iter().for_each(|id| readers.entry(*id).or_default().push(at));
    }
    let outputs: HashSet<TensorId> = graph.outputs.iter().map(|output| output.tensor).collect();
    let answer = graph.answer();
    let mut chains: Vec<Vec<usize>> = Vec::new();
    let mut of: HashMap<usize, usize> = HashMap::new();
    let mut answers = None;
    for (at, node) in nodes.iter().enumerate() {
        if of.contains_key(&at) {
            continue;
        }
        if answer.contains(&node.name) {
            let chain = *answers.get_or_insert_with(|| {
                chains.push(Vec::new());
                chains.len() - 1
            });
            chains[chain].push(at);
            of.insert(at, chain);
            continue;
        }
        let mut chain = vec![at];
        let mut last = at;
        while let Some([next]) = only(&readers, &nodes[last]) {
            let (from, to) = (&nodes[last], &nodes[next]);
            let goes = !outputs.contains(&from.output.id)
                && !answer.contains(&to.name)
                && (to.inputs.len() == 1 || sums(from, to))
                && joins(&chain.iter().map(|at| &nodes[*at]).collect::<Vec<_>>(), to);
            if !goes {
                break;
            }
            chain.push(next);
            last = next;
        }
        of.extend(chain.iter().map(|at| (*at, chains.len())));
        chains.push(chain);
    }
    let givers: HashMap<TensorId, usize> = nodes
        .iter()
        .enumerate()
        .flat_map(|(at, node)| node.operations.iter().flat_map(|o| o.outputs()).map(move |t| (t.id, at)))
        .collect();
    // What collects all answers reads the last of them, and stands at the end.
    let mut order: Vec<usize> =
        (0..chains.len()).filter(|chain| answers != Some(*chain)).chain(answers).collect();
    let place: HashMap<usize, usize> =
        order.iter().enumerate().map(|(place, chain)| (*chain, place)).collect();
    order
        .drain(..)
        .map(|chain| {
            let members: Vec<&Node> = chains[chain].iter().map(|at| &nodes[*at]).collect();
            let mut inputs: Vec<Option<usize>> = Vec::new();
            for id in members.iter().flat_map(|node| &node.inputs) {
                let input = givers.get(id).map(|at| place[&of[at]]);
                if input != Some(place[&chain]) && !inputs.contains(&input) {
                    inputs.push(input);
                }
            }
            vertex(&members, inputs, answers == Some(chain), graph)
        })
        .collect()
}

fn vertex(members: &[&Node], inputs: Vec<Option<usize>>, is_answer: bool, graph: &Graph) -> Vertex {
    let last = members[members.len() - 1];
    let output: Vec<usize> = last.shape().iter().skip(1).copied().collect();
    if is_answer {
        let names: Vec<&str> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
        let lines = vec![names.join(" and "), format!("{} operations", members.len())];
        return Vertex { module: String::new(), lines, class: Class::Other, inputs, output, reshapes: true };
    }
    let main = members.iter().find(|node| matches!(class(node), Class::Convolution | Class::Linear));
    let main = main.unwrap_or(&members[0]);
    let mut lines: Vec<String> = Vec::new();
    let mut beside: Vec<String> = Vec::new();
    for node in members {
        if node.name == main.name {
            if !beside.is_empty() {
                lines.push(beside.join(" · "));
                beside.clear();
            }
            lines.push(text(node));
        } else if !is_view(node) && !beside.contains(&text(node)) && text(node) != text(main) {
            beside.push(text(node));
        }
    }
    match (main.kind.as_str(), beside.is_empty()) {
        (_, true) => {}
        ("add" | "mul" | "batch_norm", false) => lines[0] = format!("{} · {}", lines[0], beside.join(" · ")),
        _ => lines.push(beside.join(" · ")),
    }
    let first = members[0].operations.iter().flat_map(OperationIr::inputs);
    let read: Vec<&TensorIr> = first.filter(|tensor| members[0].inputs.contains(&tensor.id)).collect();
    let reshapes = read.len() != 1 || read[0].shape.as_slice() != last.shape();
    Vertex { module: main.module().to_string(), lines, class: class(main), inputs, output, reshapes }
}

/// Tensors that are joined one after the other are joined with what was joined before.
fn nested(mut nodes: Vec<Node>) -> Vec<Node> {
    let mut joined: HashMap<Vec<TensorId>, TensorId> = HashMap::new();
    for node in &mut nodes {
        let [OperationIr::BaseFloat(Base::Cat(cat))] = node.operations.as_slice() else { continue };
        let all: Vec<TensorId> = cat.tensors.iter().map(|tensor| tensor.id).collect();
        if let Some(before) = joined.get(&all[..all.len() - 1]) {
            node.inputs = vec![*before, all[all.len() - 1]];
        }
        joined.insert(all, node.output.id);
    }
    nodes
}

fn only(readers: &HashMap<TensorId, Vec<usize>>, node: &Node) -> Option<[usize; 1]> {
    let all = node.operations.iter().flat_map(|operation| operation.outputs());
    let mut all = all.filter_map(|tensor| readers.get(&tensor.id)).flatten().copied();
    let first = all.next()?;
    all.next().is_none().then_some([first])
}

/// Whether two sums are one of more summands.
fn sums(from: &Node, to: &Node) -> bool {
    from.kind == "add" && to.kind == "add" && from.inputs.len() > 1
}

/// Whether a node belongs to the box of those before it.
fn joins(chain: &[&Node], next: &Node) -> bool {
    let is_main = |node: &Node| matches!(class(node), Class::Convolution | Class::Linear);
    let beside = |node: &Node| matches!(class(node), Class::Norm | Class::Activation);
    match chain[0] {
        _ if is_view(next) => true,
        first if first.kind == "slice" => next.kind == "slice",
        // Normalization and activation before a convolution.
        first if class(first) == Class::Norm => {
            !chain.iter().any(|node| is_main(node))
                && (beside(next) || (is_main(next) && next.module() == first.module()))
        }
        first if class(first) == Class::Join => class(next) == Class::Activation || sums(first, next),
        first => beside(next) && is_main(first),
    }
}

/// Whether a node only says how numbers are read.
fn is_view(node: &Node) -> bool {
    matches!(node.kind.as_str(), "reshape" | "permute" | "transpose" | "expand")
}

fn class(node: &Node) -> Class {
    match node.kind.as_str() {
        "conv2d" | "conv_transpose2d" => Class::Convolution,
        "linear" | "matmul" => Class::Linear,
        "batch_norm" | "layer_norm" | "response_norm" => Class::Norm,
        "relu" | "leaky_relu" | "silu" | "mish" | "hard_swish" | "gelu" | "prelu" | "sigmoid" | "tanh"
        | "softmax" | "clamp" => Class::Activation,
        "max_pool2d" | "avg_pool2d" | "adaptive_avg_pool2d" | "mean" => Class::Pool,
        "interpolate" | "max_unpool2d" => Class::Resize,
        "add" | "cat" | "mul" => Class::Join,
        _ => Class::Other,
    }
}

/// What a node is, in the words of a paper.
fn text(node: &Node) -> String {
    let square = |[rows, columns]: [usize; 2]| format!("{rows}×{columns}");
    let over = |stride: [usize; 2]| if stride == [1, 1] { String::new() } else { format!(" /{}", stride[0]) };
    // A pool may have its padding as an operation of its own before it.
    match node.operations.last() {
        Some(OperationIr::Module(Module::Conv2d(conv))) => {
            let [outputs, inputs, rows, columns] = conv.weight.shape.as_slice() else {
                return node.kind.clone();
            };
            let groups = conv.options.groups;
            let kind = if groups > 1 && *inputs == 1 { "depthwise" } else { "conv" };
            let grouped =
                if groups > 1 && *inputs > 1 { format!(", {groups} groups") } else { String::new() };
            let apart = conv.options.dilation[0];
            let apart = if apart > 1 { format!(", dilation {apart}") } else { String::new() };
            let stride = over(conv.options.stride);
            format!("{kind} {}, {outputs}{stride}{grouped}{apart}", square([*rows, *columns]))
        }
        Some(OperationIr::Module(Module::ConvTranspose2d(conv))) => {
            let [_, outputs, rows, columns] = conv.weight.shape.as_slice() else { return node.kind.clone() };
            format!("up-conv {}, {outputs} ×{}", square([*rows, *columns]), conv.options.stride[0])
        }
        Some(OperationIr::Module(Module::MaxPool2d(pool))) => {
            format!("max pool {}{}", square(pool.kernel_size), over(pool.stride))
        }
        Some(OperationIr::Module(Module::MaxPool2dWithIndices(pool))) => {
            format!("max pool {}{}", square(pool.kernel_size), over(pool.stride))
        }
        Some(OperationIr::Module(Module::AvgPool2d(pool))) => {
            format!("average pool {}{}", square(pool.kernel_size), over(pool.stride))
        }
        Some(OperationIr::Module(Module::AdaptiveAvgPool2d(pool))) => match pool.output_size {
            [1, 1] => "global average".to_string(),
            size => format!("average to {}", square(size)),
        },
        Some(OperationIr::Module(Module::Interpolate(resize))) => {
            let how = if matches!(resize.options.mode, Mode::Bilinear) { "bilinear" } else { "nearest" };
            format!("{how} to {}", square(resize.output_size))
        }
        _ => plain(node),
    }
}

/// Which channels, or that it is cut out of a map.
fn part(node: &Node) -> String {
    match node.operations.as_slice() {
        [OperationIr::BaseFloat(Base::Slice(slice))] => match slice.ranges.get(1) {
            Some(range) if 2 * slice.out.shape[1] == slice.tensor.shape[1] => {
                let which = if range.start == 0 { "first" } else { "second" };
                format!("{which} half of channels")
            }
            Some(range) if slice.out.shape[1] < slice.tensor.shape[1] => {
                format!("channels {}–{}", range.start, range.start + slice.out.shape[1] as isize - 1)
            }
            _ => "crop".to_string(),
        },
        _ => "part".to_string(),
    }
}

fn plain(node: &Node) -> String {
    let text = match node.kind.as_str() {
        "linear" | "matmul" => return format!("linear, {}", node.shape().last().unwrap_or(&0)),
        "batch_norm" => "batch norm",
        "layer_norm" => "layer norm",
        "response_norm" => "response norm",
        "relu" => "ReLU",
        "leaky_relu" => "leaky ReLU",
        "silu" => "SiLU",
        "mish" => "Mish",
        "hard_swish" => "hard swish",
        "gelu" => "GELU",
        "add" => "+",
        "mul" => "×",
        "cat" => "concat",
        "max_unpool2d" => "max unpool",
        "channel_shuffle" => "channel shuffle",
        "slice" => return part(node),
        other => return other.replace('_', " "),
    };
    text.to_string()
}
