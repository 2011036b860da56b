//! Models of any kind as graphs.

use kiln_core::{Network, Result};
use kiln_graph::{Graph, Output};
use kiln_zoo::{Entry, Model, Output as Said};

/// The graph of a model with fresh weights, as it is used, or as it trains. No number is drawn for it.
///
/// # Errors
/// Images that shrink to nothing on the way.
///
/// # Panics
/// If the model does: images that its linear layers are not made for.
pub fn fresh(entry: &Entry, classes: usize, images: [usize; 4], trains: bool) -> Result<Graph> {
    let run = |model: &Model, images| {
        outputs(&if trains { model.forward_train(images) } else { model.forward(images) })
    };
    Graph::record(images, |device| entry.model(classes, device), run)
}

/// The graph of a model with its weights.
///
/// # Errors
/// As [`fresh`].
///
/// # Panics
/// As [`fresh`].
pub fn loaded(model: &Model, images: [usize; 4]) -> Result<Graph> {
    Graph::capture(model, images, |model, images| outputs(&model.forward(images)))
}

/// What a model says, by names.
fn outputs(said: &Said) -> Vec<Output> {
    let all = |main: Output, auxiliary: Vec<Output>| std::iter::once(main).chain(auxiliary).collect();
    let name = |at: usize| format!("auxiliary{}", at + 1);
    match said {
        Said::Logits(said) => {
            let auxiliary = said.auxiliary.iter().enumerate();
            let auxiliary = auxiliary.map(|(at, logits)| Output::new(name(at), logits)).collect();
            all(Output::new("logits", &said.main), auxiliary)
        }
        Said::Labels(said) => {
            let auxiliary = said.auxiliary.iter().enumerate();
            let auxiliary = auxiliary.map(|(at, logits)| Output::new(name(at), logits)).collect();
            all(Output::new("logits", &said.main), auxiliary)
        }
        Said::Predictions(said) => {
            vec![Output::new("boxes", &said.boxes), Output::new("scores", &said.scores)]
        }
    }
}
