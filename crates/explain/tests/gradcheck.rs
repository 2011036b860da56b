//! All gradients are the slopes that they should be, and a wrong one is found.

#![allow(clippy::unwrap_used)]

use burn::module::Module;
use burn::prelude::*;
use kiln_explain::gradcheck::{all, check, check_held, input};
use kiln_nn::{Conv2dConfig, straight_through};

#[test]
fn every_layer_loss_and_kernel_passes_on_flex() {
    let device = Device::flex();
    let mut failed = Vec::new();
    let mut names = std::collections::BTreeSet::new();
    for one in all() {
        assert!(names.insert(one.name.clone()), "{} twice", one.name);
        let Ok(found) = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| one.run(&device))) else {
            failed.push(format!("{}: panics", one.name));
            continue;
        };
        // Where all slopes are 0 there is nothing to be right about, but of steps.
        let is_flat = found.precise == 0.0 && !["step", "signum"].contains(&&*one.name);
        if !one.passes(&found) || found.compared == 0 || is_flat {
            failed.push(format!("{}: {found:?}", one.name));
        }
    }
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
    assert!(names.len() > 155, "{}", names.len());
}

#[test]
fn the_table_in_the_docs_has_a_row_for_each() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/gradcheck.md");
    let text = std::fs::read_to_string(file).unwrap();
    let (_, table) = text.split_once("64 bits  32 bits\n").unwrap();
    let (table, _) = table.split_once(" checked on flex, 0 wrong").unwrap();
    let rows: Vec<&str> = table.lines().filter_map(|line| line.split_once(' ')).map(|row| row.0).collect();
    let names: Vec<String> = all().into_iter().map(|one| one.name).collect();
    assert_eq!(rows, names);
}

#[test]
fn a_layer_of_ones_own_joins_with_three_lines() {
    #[derive(Module, Debug)]
    struct Mine {
        conv: kiln_nn::Conv2d,
    }
    let device = Device::flex();
    let layer = Mine { conv: Conv2dConfig::new([2, 3], [2, 2]).init(&device) };
    let x = input([1, 2, 4, 4], &device);
    let found = check((layer, x), &device, |(layer, x)| layer.conv.forward(x.val()).square());
    // 3 * 2 * 4 weights, 3 biases, 32 inputs.
    assert_eq!(found.compared, 24 + 3 + 32);
    assert!(found.precise < 1e-6 && found.running < 1e-4, "{found:?}");
}

#[test]
fn a_wrong_gradient_is_found() {
    let device = Device::flex();
    // The values of the square, the gradient of 1.01 times the square; of nothing at all; and one that is no number.
    let check = |wrong: fn(Tensor<1>) -> Tensor<1>| check(input([6], &device), &device, |x| wrong(x.val()));
    let found = check(|x| straight_through(x.clone().square(), x.square() * 1.01));
    assert!((found.precise - 0.01).abs() < 1e-6 && (found.running - 0.01).abs() < 1e-4, "{found:?}");
    let found = check(|x| straight_through(x.clone().square(), x * 0.0));
    assert!((found.precise - 1.0).abs() < 1e-6, "{found:?}");
    let found = check(|x| x.clone().square() + (x.abs() + 1e4).exp().recip());
    assert_eq!(found.running, f64::INFINITY);
}

#[test]
fn a_constant_that_is_computed_stands_still() {
    let device = Device::flex();
    // The slope of x times a constant that is x: x, not 2 x.
    let scaled = |x: &burn::module::Param<Tensor<1>>| x.val() * x.val().detach();
    let found = check_held(input([6], &device), &device, scaled, |moved, still| moved.val() * still.val());
    assert!(found.precise < 1e-9 && found.running < 1e-6, "{found:?}");
    let found = check(input([6], &device), &device, scaled);
    assert!((found.precise - 0.5).abs() < 1e-6, "{found:?}");
}
