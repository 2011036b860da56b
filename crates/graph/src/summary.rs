//! A graph as rows: layers, and modules of which only the sum is of interest.

use std::collections::HashSet;

use burn_ir::{OperationIr, TensorId};

use crate::cost::Cost;
use crate::field::Field;
use crate::graph::{Graph, Node};

/// A layer, or a module with all that is in it.
#[derive(Debug, Clone)]
pub struct Row {
    /// The path.
    pub name: String,
    /// What it is: of a layer its kind, of a module its type.
    pub kind: String,
    /// The shape of what it gives.
    pub output: Vec<usize>,
    /// Learnable numbers, each counted where it is first used.
    pub params: u64,
    /// What it costs.
    pub cost: Cost,
    /// What a number of its output sees; `None` if that is not known.
    pub field: Option<Field>,
    /// Nodes in it.
    pub nodes: usize,
}

/// More operations than these that make a network's answer of its last layer's are one row.
const FEW: usize = 4;

impl Graph {
    /// The graph as rows in the order in which they run. What lies deeper than `depth` words of its path is in the row of its
    /// module; weights that nothing uses are in the last.
    pub fn rows(&self, depth: usize) -> Vec<Row> {
        let fields = self.fields();
        let mut counted = vec![false; self.weights.len()];
        let mut rows: Vec<Row> = Vec::new();
        let answer = self.answer();
        for (node, field) in self.nodes.iter().zip(fields).filter(|(node, _)| !node.constant) {
            let name = if answer.contains(&node.name) { "(answer)" } else { cut(&node.name, depth) };
            let mut params = 0;
            for weight in &node.weights {
                if !std::mem::replace(&mut counted[*weight], true) && self.weights[*weight].is_parameter() {
                    params += self.weights[*weight].count();
                }
            }
            let row = match rows.iter_mut().find(|row| row.name == name) {
                Some(row) => row,
                None => {
                    rows.push(Row {
                        name: name.to_string(),
                        kind: self.kind(name, node),
                        output: Vec::new(),
                        params: 0,
                        cost: Cost::NONE,
                        field: None,
                        nodes: 0,
                    });
                    rows.last_mut().unwrap_or_else(|| unreachable!("it was pushed"))
                }
            };
            row.output = node.shape().to_vec();
            row.params += params;
            row.cost = row.cost + node.cost();
            row.field = field;
            row.nodes += 1;
        }
        let idle =
            self.weights.iter().zip(&counted).filter(|(weight, counted)| !**counted && weight.is_parameter());
        let params: u64 = idle.map(|(weight, _)| weight.count()).sum();
        if params > 0 {
            let (name, kind) = ("(not used)".to_string(), "weights".to_string());
            rows.push(Row {
                name,
                kind,
                output: Vec::new(),
                params,
                cost: Cost::NONE,
                field: None,
                nodes: 0,
            });
        }
        rows
    }

    /// The names of the operations that make the answer of what the last layers give, as a detector's boxes: those behind
    /// which no layer has weights. None, if they are few.
    pub(crate) fn answer(&self) -> HashSet<String> {
        let mut learned: HashSet<TensorId> = HashSet::new();
        let mut names = HashSet::new();
        for node in self.nodes.iter().rev().filter(|node| !node.constant) {
            let before = node
                .operations
                .iter()
                .flat_map(OperationIr::outputs)
                .any(|given| learned.contains(&given.id));
            if before || !node.weights.is_empty() {
                learned.extend(&node.inputs);
            } else {
                names.insert(node.name.clone());
            }
        }
        if names.len() > FEW { names } else { HashSet::new() }
    }

    fn kind(&self, name: &str, node: &Node) -> String {
        match name == node.name {
            true if node.known => node.kind.clone(),
            true => format!("{} (unknown)", node.kind),
            false => self.modules.get(name).cloned().unwrap_or_else(|| "operations".to_string()),
        }
    }
}

/// The first words of a path.
fn cut(path: &str, words: usize) -> &str {
    path.match_indices('.').nth(words.max(1) - 1).map_or(path, |(end, _)| &path[..end])
}
