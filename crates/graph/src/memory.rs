//! What a network needs of memory, in bytes of 32-bit numbers.

use std::collections::{HashMap, HashSet};

use burn_ir::{OperationIr, TensorId, TensorIr};

use crate::graph::{Graph, Node, Role, product};

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Parameters and running statistics.
    pub weights: u64,
    /// What all layers give, together.
    pub activations: u64,
    /// The most that is there at a time when the network answers: weights, and what is still read by a layer to come. A layer
    /// that changes numbers one by one writes over them if nobody else reads them.
    pub inference: u64,
    /// The most that is there at a time when the network learns: weights, their gradients, what an optimizer with one
    /// number a parameter remembers, and what every layer keeps for its gradient.
    pub training: u64,
    /// What is read and written when the network answers: every layer's inputs, weights and outputs once.
    pub traffic: u64,
}

impl Graph {
    /// What it needs of memory.
    pub fn memory(&self) -> Memory {
        let weights: u64 = self.weights.iter().map(|weight| 4 * weight.count()).sum();
        let trainable = 4 * self.parameters(Role::Trainable);
        let moving = || self.nodes.iter().filter(|node| !node.constant);
        let read = |node: &Node| node.weights.iter().map(|at| 4 * self.weights[*at].count()).sum::<u64>();
        let given: HashMap<TensorId, u64> = moving()
            .map(|node| (node.output.id, bytes(&node.output)))
            .chain([(self.input, 4 * product(&self.images))])
            .collect();
        let inputs = |node: &Node| node.inputs.iter().filter_map(|id| given.get(id)).sum::<u64>();
        let traffic = moving()
            .filter(|node| !is_view(node))
            .map(|node| inputs(node) + read(node) + bytes(&node.output));
        let kept = self.kept();
        // Backwards, the gradients of two neighbouring layers are there at a time.
        let widest = moving().map(|node| inputs(node) + bytes(&node.output)).max().unwrap_or(0);
        Memory {
            weights,
            activations: moving().map(|node| bytes(&node.output)).sum(),
            inference: weights + self.most_live(&given),
            training: weights + 2 * trainable + kept + widest,
            traffic: traffic.sum(),
        }
    }

    /// The most bytes of activations that are there at a time.
    fn most_live(&self, given: &HashMap<TensorId, u64>) -> u64 {
        let mut last: HashMap<TensorId, usize> = HashMap::new();
        for (at, node) in self.nodes.iter().enumerate() {
            last.extend(node.inputs.iter().map(|id| (*id, at)));
        }
        last.extend(self.outputs.iter().map(|output| (output.tensor, self.nodes.len())));
        // The caller has the images.
        let mut live = given.get(&self.input).copied().unwrap_or(0);
        let mut most = live;
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.constant) {
            let over = is_elementwise(node)
                && node.inputs.iter().any(|id| {
                    *id != self.input
                        && last.get(id) == Some(&at)
                        && given.get(id) == Some(&bytes(&node.output))
                });
            let new = if over || is_view(node) { 0 } else { bytes(&node.output) };
            live += new;
            most = most.max(live);
            let ended = node.inputs.iter().filter(|id| **id != self.input && last.get(*id) == Some(&at));
            let freed: u64 = ended.filter_map(|id| given.get(id)).sum();
            live = live.saturating_sub(if over || is_view(node) {
                freed.saturating_sub(bytes(&node.output))
            } else {
                freed
            });
        }
        most
    }

    /// Bytes that are kept from the way forward for the way back: what convolutions, linear layers and normalizations read,
    /// what ReLUs give, and of max pools which number was the largest.
    fn kept(&self) -> u64 {
        let mut tensors: HashMap<TensorId, u64> = HashMap::new();
        let mut places = 0;
        let moving: HashSet<TensorId> = self
            .nodes
            .iter()
            .filter(|node| !node.constant)
            .map(|node| node.output.id)
            .chain([self.input])
            .collect();
        for node in self.nodes.iter().filter(|node| !node.constant) {
            let keeps_inputs = !matches!(
                node.kind.as_str(),
                "add"
                    | "sub"
                    | "relu"
                    | "leaky_relu"
                    | "cat"
                    | "slice"
                    | "reshape"
                    | "permute"
                    | "transpose"
                    | "expand"
                    | "interpolate"
                    | "avg_pool2d"
                    | "adaptive_avg_pool2d"
                    | "max_pool2d"
                    | "mean"
                    | "sum"
                    | "pad"
                    | "channel_shuffle"
                    | "sigmoid"
                    | "softmax"
                    | "tanh"
                    | "max_unpool2d"
            );
            if keeps_inputs {
                let read = node
                    .operations
                    .iter()
                    .flat_map(OperationIr::inputs)
                    .filter(|tensor| moving.contains(&tensor.id));
                tensors.extend(read.map(|tensor| (tensor.id, bytes(tensor))));
            }
            match node.kind.as_str() {
                "relu" | "leaky_relu" | "sigmoid" | "softmax" | "tanh" => {
                    tensors.insert(node.output.id, bytes(&node.output));
                }
                "max_pool2d" => places += product(node.shape()),
                _ => {}
            }
        }
        tensors.values().sum::<u64>() + places
    }
}

/// Whether a node only says how numbers that are there are read.
fn is_view(node: &Node) -> bool {
    matches!(node.kind.as_str(), "reshape" | "permute" | "transpose" | "slice" | "expand")
}

/// Whether a node changes numbers one by one.
fn is_elementwise(node: &Node) -> bool {
    matches!(
        node.kind.as_str(),
        "batch_norm"
            | "relu"
            | "leaky_relu"
            | "silu"
            | "mish"
            | "hard_swish"
            | "sigmoid"
            | "tanh"
            | "add"
            | "sub"
            | "mul"
            | "div"
            | "exp"
            | "clamp"
            | "softmax"
            | "gelu"
    )
}

fn bytes(tensor: &TensorIr) -> u64 {
    4 * product(tensor.shape.as_slice())
}
