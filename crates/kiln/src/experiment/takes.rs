//! Whether a network takes images of some size.

use std::panic::AssertUnwindSafe;

use burn::tensor::Tensor;
use kiln_core::{Error, Network, Result, caught};
use kiln_zoo::Entry;

/// Runs a model on images of `[height, width]` as a graph, in which no number is computed; as it trains, or as it is used.
///
/// # Errors
/// It does not take them: they shrink to nothing, or its linear layers are made for others.
pub fn takes(entry: &Entry, classes: usize, [height, width]: [usize; 2], trains: bool) -> Result<()> {
    let tried = caught(AssertUnwindSafe(|| {
        kiln_graph::macs(|device| {
            let images = Tensor::zeros([1, 3, height, width], device);
            let model = entry.model(classes, device);
            drop(if trains { model.forward_train(images) } else { model.forward(images) });
        })
    }));
    if let Ok(Ok(_)) = tried {
        return Ok(());
    }
    let [_, _, rows, columns] = entry.input();
    let error = Error::input(format!("{} takes no images of {height}x{width} pixels", entry.name));
    Err(error.hint(format!("it is made for {rows}x{columns}")))
}

#[cfg(test)]
mod tests {
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
            let mut shapes = Vec::new();
            let counted = kiln_graph::macs(|device| {
                let network = entry.init(7, device);
                let images = Tensor::zeros([2, channels, height, width], device);
                let trained = network.forward_train(images.clone());
                shapes.extend(trained.auxiliary.iter().map(|logits| logits.dims()));
                shapes.extend([trained.main.dims(), network.forward(images).main.dims()]);
            });
            assert!(counted.is_ok(), "{}", entry.name);
            assert!(shapes.iter().all(|shape| *shape == [2, 7]), "{}: {shapes:?}", entry.name);
            let auxiliary = if entry.name.starts_with("googlenet") { 2 } else { 0 };
            assert_eq!(shapes.len(), 2 + auxiliary, "{}", entry.name);
        }
    }
}
