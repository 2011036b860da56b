//! Alone in its process: the device's random numbers are shared by all threads.

use burn::prelude::*;
use kiln_nn::{Conv2dConfig, LinearConfig};

#[test]
fn fresh_weights_are_burns() {
    let device = Device::flex();
    device.seed(7);
    let ours = Conv2dConfig::new([3, 4], [3, 3]).init(&device);
    let ours = (ours.weight.to_data(), ours.bias.map(|bias| bias.to_data()));
    device.seed(7);
    let burns = nn::conv::Conv2dConfig::new([3, 4], [3, 3]).init(&device);
    let burns = (burns.weight.to_data(), burns.bias.map(|bias| bias.to_data()));
    assert_eq!(ours, burns);

    device.seed(7);
    let ours = LinearConfig::new(3, 4).init(&device);
    let ours = (ours.weight.to_data(), ours.bias.map(|bias| bias.to_data()));
    device.seed(7);
    let burns = nn::LinearConfig::new(3, 4).init(&device);
    let burns = (burns.weight.to_data(), burns.bias.map(|bias| bias.to_data()));
    assert_eq!(ours, burns);
}
