//! Models of the registry as graphs.

use kiln_core::Network;
use kiln_graph::{Graph, Output};
use kiln_zoo::{Entry, Output as Said};

/// Of a model as it is used, on images of the size it was published for.
pub fn graph(entry: &Entry) -> Graph {
    Graph::record(
        entry.input(),
        |device| entry.model(entry.num_classes(), device),
        |m, x| outputs(&m.forward(x)),
    )
    .unwrap()
}

pub fn named(name: &str) -> Graph {
    graph(kiln_zoo::find(name).unwrap())
}

pub fn outputs(said: &Said) -> Vec<Output> {
    match said {
        Said::Logits(said) => vec![Output::new("logits", &said.main)],
        Said::Labels(said) => vec![Output::new("logits", &said.main)],
        Said::Predictions(said) => {
            vec![Output::new("boxes", &said.boxes), Output::new("scores", &said.scores)]
        }
    }
}
