//! Where the optimizer's results are written.

use burn::backend::Flex;
use burn::nn::{Linear, LinearConfig};
use burn::optim::GradientsParams;
use burn::prelude::*;
use kiln_train::OptimizerConfig;
use serde_json::json;

fn place(linear: &Linear) -> *const f32 {
    let weight = linear.weight.val().inner().try_into_primitive::<Flex>().expect("on flex");
    weight.storage::<f32>().as_ptr()
}

#[test]
fn a_step_is_taken_in_the_weights_own_memory() {
    let device = Device::flex().autodiff();
    for config in [json!({"name": "sgd", "momentum": 0.9}), json!({"name": "adam"})] {
        let config: OptimizerConfig = serde_json::from_value(config).expect("a config");
        let mut optimizer = config.init().expect("sane options");
        let mut linear = LinearConfig::new(3, 2).init(&device);
        let before = place(&linear);
        for _ in 0..2 {
            let x = Tensor::<2>::from_data([[1.0, 2.0, 3.0]], &device);
            let values = linear.weight.val().into_data();
            let grads = linear.forward(x).square().sum().backward();
            let grads = GradientsParams::from_grads(grads, &linear);
            linear = optimizer.step(0.1, linear, grads);
            assert_ne!(linear.weight.val().into_data(), values);
            assert_eq!(place(&linear), before);
        }
    }
}
