//! The words of a graph.

use std::collections::BTreeMap;

use burn::module::ParamId;
use burn::tensor::TensorData;
use burn_ir::{OperationIr, TensorId, TensorIr};

/// What a network computes: its layers in the order in which they run.
#[derive(Debug, Clone)]
pub struct Graph {
    /// The shape of what goes in: `[batch, 3, height, width]`.
    pub images: [usize; 4],
    /// What goes in.
    pub input: TensorId,
    /// In the order in which they run.
    pub nodes: Vec<Node>,
    /// What comes out.
    pub outputs: Vec<Output>,
    /// Every parameter and running statistic of the module, whether a node uses it or not.
    pub weights: Vec<Weight>,
    /// The types of the module's parts, by their paths.
    pub modules: BTreeMap<String, String>,
    /// Numbers that the module makes while it runs.
    pub constants: BTreeMap<TensorId, TensorData>,
}

/// A tensor that comes out of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// What it is.
    pub name: String,
    /// Which it is.
    pub tensor: TensorId,
}

/// A parameter, by its name. Its values stay with the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Weight {
    /// The path in the module, which is the checkpoint's key.
    pub name: String,
    /// Its sides.
    pub shape: Vec<usize>,
    /// Who changes it.
    pub role: Role,
    /// Burn's name of it.
    pub parameter: ParamId,
    /// `None` if nothing that was recorded has asked for it.
    pub tensor: Option<TensorId>,
}

/// Who changes a weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// An optimizer.
    Trainable,
    /// Nobody.
    Frozen,
    /// The layer itself: running statistics.
    Buffer,
}

/// An operation, or several that are one layer.
#[derive(Debug, Clone)]
pub struct Node {
    /// Unique: of a layer with weights, its path in the module; of any other, the path of the module that it was found to
    /// be in, and its kind.
    pub name: String,
    /// What it is, in the field's words; of an operation that is not known, Burn's name.
    pub kind: String,
    /// Whether the operation is known: totals that others touch are incomplete.
    pub known: bool,
    /// What Burn would execute, with all attributes.
    pub operations: Vec<OperationIr>,
    /// Which of the graph's weights it uses.
    pub weights: Vec<usize>,
    /// What it reads that depends on the network's input.
    pub inputs: Vec<TensorId>,
    /// What it gives.
    pub output: TensorIr,
    /// Whether it depends on weights alone, and not on the network's input.
    pub constant: bool,
}

impl Weight {
    /// Whether it was learned, and not counted.
    pub fn is_parameter(&self) -> bool {
        self.role != Role::Buffer
    }

    /// Numbers in it.
    pub fn count(&self) -> u64 {
        product(&self.shape)
    }
}

impl Node {
    /// The shape of what it gives.
    pub fn shape(&self) -> &[usize] {
        self.output.shape.as_slice()
    }

    /// The path of the module that it is in: empty for the network itself.
    pub fn module(&self) -> &str {
        self.name.rsplit_once('.').map_or("", |(module, _)| module)
    }
}

impl Graph {
    /// Numbers in all weights of a role.
    pub fn parameters(&self, role: Role) -> u64 {
        self.weights.iter().filter(|weight| weight.role == role).map(Weight::count).sum()
    }

    /// The node that gives a tensor.
    pub fn giver(&self, tensor: TensorId) -> Option<&Node> {
        self.nodes.iter().find(|node| node.operations.iter().any(|operation| gives(operation, tensor)))
    }

    /// The node of this name; else the last one in the module of this name, which is what the module gives.
    pub fn find(&self, name: &str) -> Option<&Node> {
        let inside = |node: &&Node| node.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
        let exact = self.nodes.iter().find(|node| node.name == name);
        exact.or_else(|| self.nodes.iter().filter(|node| !node.constant).rfind(inside))
    }
}

pub(crate) fn gives(operation: &OperationIr, tensor: TensorId) -> bool {
    operation.outputs().any(|output| output.id == tensor)
}

pub(crate) fn product(dims: &[usize]) -> u64 {
    dims.iter().map(|side| *side as u64).product()
}
