//! What a network needs of memory, in bytes of 32-bit numbers.

use std::collections::HashMap;

use burn_ir::{TensorId, TensorIr};

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
    /// The most that is there at a time when the network learns: weights, what every layer keeps for its gradient until that is
    /// computed, and the gradients that there are by then. What an optimizer remembers comes on top.
    pub training: u64,
    /// What is read and written when the network answers: every layer's inputs, weights and outputs once.
    pub traffic: u64,
}

impl Graph {
    /// What it needs of memory.
    pub fn memory(&self) -> Memory {
        let weights: u64 = self.weights.iter().map(|weight| 4 * weight.count()).sum();
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
        Memory {
            weights,
            activations: moving().map(|node| bytes(&node.output)).sum(),
            inference: weights + self.most_live(&given),
            training: weights + self.most_learned(&given),
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
        let mut packed: HashMap<&[usize], u64> = HashMap::new();
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.constant) {
            let over = is_elementwise(node)
                && node.inputs.iter().any(|id| {
                    *id != self.input
                        && last.get(id) == Some(&at)
                        && given.get(id) == Some(&bytes(&node.output))
                });
            let new = if over || is_view(node) { 0 } else { bytes(&node.output) };
            live += new;
            // A convolution's weights are laid out anew, in memory that is kept for the next of its kernel.
            for weight in node.weights.iter().map(|at| &self.weights[*at]).filter(|_| node.kind == "conv2d") {
                let room = packed.entry(weight.shape.get(2..).unwrap_or_default()).or_default();
                *room = 4 * weight.count().max(*room / 4);
            }
            most = most.max(live + packed.values().sum::<u64>());
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

    /// The most bytes of kept activations and of gradients that are there at a time on the way back.
    fn most_learned(&self, given: &HashMap<TensorId, u64>) -> u64 {
        let mut giver: HashMap<TensorId, usize> = HashMap::new();
        // The first and the last node that read a tensor, and the first that keeps it.
        let mut readers: HashMap<TensorId, [usize; 2]> = HashMap::new();
        let mut keepers: HashMap<TensorId, usize> = HashMap::new();
        let mut places = 0;
        for (at, node) in self.nodes.iter().enumerate().filter(|(_, node)| !node.constant) {
            giver.insert(node.output.id, at);
            for id in node.inputs.iter().filter(|id| given.contains_key(id)) {
                readers.entry(*id).and_modify(|ends| ends[1] = at).or_insert([at, at]);
                if keeps_inputs(node) {
                    keepers.entry(*id).or_insert(at);
                }
            }
            if keeps_output(node) {
                keepers.entry(node.output.id).or_insert(at);
            }
            places += if node.kind == "max_pool2d" { product(node.shape()) } else { 0 };
        }
        let mut kept: Vec<u64> = vec![0; self.nodes.len() + 1];
        keepers.iter().for_each(|(id, keeper)| kept[*keeper] += given[id]);
        let mut alive = kept.iter().sum::<u64>() + places;
        let (mut most, mut counted) = (alive, vec![false; self.weights.len()]);
        for (at, node) in self.nodes.iter().enumerate().rev().filter(|(_, node)| !node.constant) {
            // Its inputs' gradients, where it is the last that reads them; a view's is its output's.
            let new = node
                .inputs
                .iter()
                .filter(|id| **id != self.input && readers.get(*id).is_some_and(|ends| ends[1] == at));
            let new: u64 = new.filter_map(|id| given.get(id)).sum();
            let of_weights =
                node.weights.iter().filter(|weight| self.weights[**weight].role == Role::Trainable);
            let of_weights = of_weights.filter(|weight| !std::mem::replace(&mut counted[**weight], true));
            let of_weights: u64 = of_weights.map(|weight| 4 * self.weights[*weight].count()).sum();
            let over = is_elementwise(node) || is_view(node);
            let own = if readers.contains_key(&node.output.id) { bytes(&node.output) } else { 0 };
            alive += of_weights + if over { new.saturating_sub(own) } else { new };
            most = most.max(alive);
            alive = alive.saturating_sub(kept[at] + if over { own.saturating_sub(new) } else { own });
        }
        most
    }
}

/// Whether a node needs what it reads for its gradients.
fn keeps_inputs(node: &Node) -> bool {
    !matches!(
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
    )
}

/// Whether a node needs what it gives for its gradients.
fn keeps_output(node: &Node) -> bool {
    matches!(node.kind.as_str(), "relu" | "leaky_relu" | "sigmoid" | "softmax" | "tanh")
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
