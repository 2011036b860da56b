//! What nodes are called, and so in which module they are.

use std::collections::{BTreeSet, HashMap};

use burn_ir::TensorId;

use crate::graph::{Node, Weight};

/// Gives every node its name. A layer with weights has its path in the module. Of any other nothing is recorded but what it reads
/// and who reads it: what follows a layer is taken to be in that layer's module, what joins branches in the smallest module
/// that has them all, what changes the size of a map or its shape in the smallest that has both its neighbours.
pub(crate) fn give(nodes: &mut [Node], weights: &[Weight]) {
    let named = Named::new(nodes, weights);
    let mut modules: Vec<String> = Vec::with_capacity(nodes.len());
    for (node, layer) in nodes.iter().zip(&named.layers) {
        let module = match layer {
            Some(layer) => parent(layer).to_string(),
            None => named.module(node, &modules),
        };
        modules.push(module);
    }
    let mut uses: HashMap<String, usize> = HashMap::new();
    for (at, node) in nodes.iter_mut().enumerate() {
        let name = match &named.layers[at] {
            Some(layer) => layer.clone(),
            None => join(&modules[at], &node.kind),
        };
        let count = uses.entry(name.clone()).or_default();
        *count += 1;
        node.name = if *count == 1 { name } else { format!("{name}:{count}") };
    }
}

/// The nodes that have weights, and who reads whom.
struct Named {
    /// The layer's path, of nodes with weights.
    layers: Vec<Option<String>>,
    /// Which node gives a tensor.
    givers: HashMap<TensorId, usize>,
    /// Which nodes read what a node gives.
    readers: Vec<Vec<usize>>,
}

impl Named {
    fn new(nodes: &[Node], weights: &[Weight]) -> Self {
        let layer = |node: &Node| {
            let first = weights.get(*node.weights.first()?)?;
            (!node.constant).then(|| parent(&first.name).to_string())
        };
        let mut givers: HashMap<TensorId, usize> = HashMap::new();
        let mut readers: Vec<Vec<usize>> = vec![Vec::new(); nodes.len()];
        for (at, node) in nodes.iter().enumerate() {
            for giver in node.inputs.iter().filter_map(|tensor| givers.get(tensor)) {
                readers[*giver].push(at);
            }
            let given = node.operations.iter().flat_map(|operation| operation.outputs());
            givers.extend(given.map(|tensor| (tensor.id, at)));
        }
        Self { layers: nodes.iter().map(layer).collect(), givers, readers }
    }

    /// The module of a node without weights; those of the nodes before it are known.
    fn module(&self, node: &Node, modules: &[String]) -> String {
        let mut sources: Vec<usize> =
            node.inputs.iter().filter_map(|tensor| self.givers.get(tensor)).copied().collect();
        sources.sort_unstable();
        let Some(latest) = sources.pop() else { return String::new() };
        let module = modules[latest].as_str();
        match node.kind.as_str() {
            _ if !sources.is_empty() => {
                let holds = |module: &&str| sources.iter().all(|source| self.knows(module, *source, modules));
                ancestors(module).find(holds).unwrap_or_default().to_string()
            }
            "relu" | "leaky_relu" | "silu" | "mish" | "hard_swish" | "gelu" | "sigmoid" | "tanh"
            | "clamp" | "prelu" | "channel_shuffle" | "response_norm" | "softmax" | "mul" | "add" | "div" => {
                module.to_string()
            }
            _ => self.between(latest, module),
        }
    }

    /// The module of what reads a node and is neither clearly of its module nor of that of the layers behind.
    fn between(&self, latest: usize, module: &str) -> String {
        let mut next: Vec<usize> =
            self.readers[latest].iter().filter_map(|reader| self.next(*reader)).collect();
        next.sort_unstable();
        next.dedup();
        let layer = |at: usize| self.layers[at].as_deref().map_or("", parent);
        let Some(first) = next.first().map(|at| layer(*at)) else { return String::new() };
        let shared = common(module, first);
        let theirs = next.iter().fold(first, |all, at| common(all, layer(*at)));
        let ends = !self.layers.iter().flatten().any(|layer| parent(layer) == module);
        match next.len() {
            2.. if theirs.len() > shared.len() => theirs.to_string(),
            // A block ends with several branches joined, and all that reads them is of the next.
            2.. if ends => ancestors(first).find(|path| parent(path) == shared).unwrap_or(shared).to_string(),
            _ => shared.to_string(),
        }
    }

    /// Whether a node is in a module, or is read by a layer of it, be it through nodes without weights.
    fn knows(&self, module: &str, node: usize, modules: &[String]) -> bool {
        let inside = |path: &str| common(path, module) == module;
        inside(&modules[node])
            || self.readers[node].iter().any(|reader| {
                self.next(*reader).is_some_and(|at| self.layers[at].as_deref().is_some_and(&inside))
            })
    }

    /// The first layer with weights that is a node or depends on it.
    fn next(&self, from: usize) -> Option<usize> {
        let mut waiting = BTreeSet::from([from]);
        while let Some(at) = waiting.pop_first() {
            if self.layers[at].is_some() {
                return Some(at);
            }
            waiting.extend(&self.readers[at]);
        }
        None
    }
}

/// The path without its last word.
pub(crate) fn parent(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(parent, _)| parent)
}

/// The path and those above it, the last one being empty.
pub(crate) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| (!path.is_empty()).then(|| parent(path)))
}

/// The words that two paths begin with.
pub(crate) fn common<'a>(a: &'a str, b: &str) -> &'a str {
    ancestors(a).find(|path| ancestors(b).any(|other| other == *path)).unwrap_or_default()
}

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_string() } else { format!("{module}.{name}") }
}
