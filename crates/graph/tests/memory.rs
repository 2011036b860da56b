//! The memory that a graph says is needed, beside what is allocated.

#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod zoo;

use burn::prelude::*;
use burn::tensor::Distribution;
use kiln_core::Network;
use kiln_graph::Graph;
use kiln_zoo::{Model, Output as Said, find};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

fn logits(said: Said) -> Tensor<2> {
    match said {
        Said::Logits(said) => said.main,
        _ => panic!("no classifier"),
    }
}

/// Numbers of a fresh model, all of them there.
fn model(device: &Device) -> Model {
    let model = find("resnet50").unwrap().model(1000, device);
    drop(kiln_graph::Weights::of(&model));
    model
}

/// Within 15 %.
fn near(what: &str, batch: usize, measured: usize, said: u64) {
    println!("to {what}, batch {batch}: {:.1} MiB, said {:.1}", measured as f64 / MIB, said as f64 / MIB);
    let ratio = said as f64 / measured as f64;
    assert!((0.85..=1.15).contains(&ratio), "to {what}, batch {batch}: {ratio}");
}

const MIB: f64 = 1_048_576.0;

#[test]
fn as_much_is_allocated_as_was_said() {
    let plain = Device::flex();
    for batch in [1, 8] {
        let size = [batch, 3, 224, 224];
        let said = Graph::record(
            size,
            |device| find("resnet50").unwrap().model(1000, device),
            |m, x| zoo::outputs(&m.forward(x)),
        );
        let said = said.unwrap().memory();
        let before = ALLOCATED.current_usage();
        {
            let model = model(&plain);
            let images = Tensor::<4>::random(size, Distribution::Default, &plain);
            ALLOCATED.reset_peak_usage();
            let _said = logits(model.forward(images)).into_data();
            let peak = ALLOCATED.peak_usage() - before;
            near("answer", batch, peak, said.inference);
        }
        {
            let device = plain.clone().autodiff();
            let model = model(&device);
            let images = Tensor::<4>::random(size, Distribution::Default, &device);
            ALLOCATED.reset_peak_usage();
            let gradients = logits(model.forward_train(images)).sum().backward();
            let gradients = burn::optim::GradientsParams::from_grads(gradients, &model);
            let peak = ALLOCATED.peak_usage() - before;
            drop(gradients);
            near("learn", batch, peak, said.training);
        }
    }
}
