//! What layers cost: parameters, and multiplications with their additions.

use burn::module::Module;
use burn::prelude::*;
use kiln_graph::{Graph, Output, Role};
use kiln_page::text::grouped;

use crate::draw::Drawing;
use crate::page::{Figure, Picture, Table};

/// Parameters of something, and its multiplications with their additions for one image of a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Numbers that it learns.
    pub parameters: u64,
    /// Multiplications, each with an addition.
    pub macs: u64,
}

impl Cost {
    /// Counted on the module itself and on the graph of what it computes of images `[1, channels, height, width]`.
    ///
    /// # Panics
    /// If the image is too small for it.
    pub fn of<M: Module, const D: usize>(
        init: impl FnOnce(&Device) -> M,
        image: [usize; 3],
        forward: impl Fn(&M, Tensor<4>) -> Tensor<D>,
    ) -> Self {
        let graph = recorded(image, init, forward);
        Self { parameters: graph.parameters(Role::Trainable), macs: graph.cost().macs }
    }
}

/// The graph of what a module computes of an image `[1, channels, height, width]`.
///
/// # Panics
/// If the image is too small for it.
pub(super) fn recorded<M: Module, const D: usize>(
    [channels, height, width]: [usize; 3],
    init: impl FnOnce(&Device) -> M,
    forward: impl Fn(&M, Tensor<4>) -> Tensor<D>,
) -> Graph {
    let output = |module: &M, images| vec![Output::new("y", &forward(module, images))];
    Graph::record([1, channels, height, width], init, output).expect("an image that is large enough")
}

/// Costs as a table, the first being what the others are compared with, and as bars of their multiplications.
pub(super) fn compared(caption: &str, rows: &[(&str, Cost)]) -> (Table, Figure) {
    let mut table = Table::new(caption, &["", "parameters", "multiplications", "of the first"]);
    let first = rows[0].1.macs as f64;
    for (name, Cost { parameters, macs }) in rows {
        table.row(*name, [grouped(*parameters), grouped(*macs), format!("{:.4}", *macs as f64 / first)]);
    }
    let bars: Vec<(&str, f64, String)> =
        rows.iter().map(|(name, cost)| (*name, cost.macs as f64, grouped(cost.macs))).collect();
    let figure = Figure {
        name: "cost".into(),
        caption: "Multiplications, each with its addition, for one image.".into(),
        picture: Picture::Drawing(Drawing::bars("Multiplications of each", &bars)),
    };
    (table, figure)
}
