//! Whether a network takes images of some size.

use std::panic::AssertUnwindSafe;

use kiln_core::{Error, Result, caught};
use kiln_zoo::Entry;

use crate::recorded;

/// Runs a model on images of `[height, width]` as a graph, in which no number is computed; as it trains, or as it is used.
///
/// # Errors
/// It does not take them: they shrink to nothing, or its linear layers are made for others.
pub fn takes(entry: &Entry, classes: usize, [height, width]: [usize; 2], trains: bool) -> Result<()> {
    let tried = caught(AssertUnwindSafe(|| recorded::fresh(entry, classes, [1, 3, height, width], trains)));
    if let Ok(Ok(_)) = tried {
        return Ok(());
    }
    let [_, _, rows, columns] = entry.input();
    let error = Error::input(format!("{} takes no images of {height}x{width} pixels", entry.name));
    Err(error.hint(format!("it is made for {rows}x{columns}")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use kiln_graph::Graph;
    use kiln_zoo::{Kind, REGISTRY};

    use super::*;

    #[test]
    fn every_detector_takes_the_images_it_was_published_for() {
        for entry in REGISTRY.iter().filter(|entry| entry.kind() == Kind::Detector) {
            let [_, _, height, width] = entry.input();
            assert!(takes(entry, 7, [height, width], true).is_ok(), "{}", entry.name);
        }
    }

    #[test]
    fn every_classifier_takes_the_images_it_was_published_for_and_gives_a_logit_a_class() {
        for entry in REGISTRY.iter().filter(|entry| entry.kind() == Kind::Classifier) {
            let [_, channels, height, width] = entry.input();
            let graph = |trains| recorded::fresh(entry, 7, [2, channels, height, width], trains).unwrap();
            let shapes = |graph: Graph| -> Vec<Vec<usize>> {
                let nodes = graph.outputs.iter().map(|output| graph.giver(output.tensor).unwrap());
                nodes.map(|node| node.shape().to_vec()).collect()
            };
            let shapes = [shapes(graph(true)), shapes(graph(false))].concat();
            assert!(shapes.iter().all(|shape| *shape == [2, 7]), "{}: {shapes:?}", entry.name);
            let auxiliary = if entry.name.starts_with("googlenet") { 2 } else { 0 };
            assert_eq!(shapes.len(), 2 + auxiliary, "{}", entry.name);
        }
    }
}
