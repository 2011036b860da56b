//! A network for this comparison alone: the 3x3 convolutions of a U-Net's way down.

use burn::prelude::*;
use kiln_core::Network;
use kiln_nn::{
    BatchNorm, BatchNormConfig, Conv2d, Linear, LinearConfig, MaxPool2d, conv, conv_norm_relu,
    global_average, max_pool,
};

/// Classes that the network tells apart.
pub const CLASSES: usize = 10;

/// Two convolutions at each of three sizes, with a max pool between the sizes.
#[derive(Module, Debug)]
pub struct Stack {
    stages: Vec<[(Conv2d, BatchNorm); 2]>,
    pool: MaxPool2d,
    fc: Linear,
}

impl Stack {
    /// A network with fresh weights.
    pub fn new(device: &Device) -> Self {
        let step = |channels: [usize; 2]| {
            (conv(channels, 3, 1).init(device), BatchNormConfig::new(channels[1]).init(device))
        };
        let stages = [[3, 64], [64, 128], [128, 256]];
        Self {
            stages: stages.map(|[input, output]| [step([input, output]), step([output; 2])]).into(),
            pool: max_pool(2, 2).init(),
            fc: LinearConfig::new(256, CLASSES).init(device),
        }
    }
}

impl Network for Stack {
    type Output = Tensor<2>;

    /// # Shapes
    /// `[batch, 3, height, width]` to logits `[batch, 10]`
    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let step = |x, (conv, norm): &(Conv2d, BatchNorm)| conv_norm_relu(conv, norm, x);
        let mut x = images;
        for (index, stage) in self.stages.iter().enumerate() {
            if index > 0 {
                x = self.pool.forward(x);
            }
            x = stage.iter().fold(x, step);
        }
        self.fc.forward(global_average(x))
    }
}

#[cfg(test)]
mod tests {
    use kiln_core::learnable_parameters;

    use super::*;

    #[test]
    fn the_stack_has_the_parameters_of_its_layers() {
        // 3x3 weights: 9 * (3*64 + 64*64 + 64*128 + 128*128 + 128*256 + 256*256) = 1,144,512; two numbers of
        // normalization for each of 2 * (64 + 128 + 256) channels: 1,792; 256 * 10 + 10 = 2,570.
        let stack = Stack::new(&Device::flex());
        assert_eq!(learnable_parameters(&stack), 1_144_512 + 1_792 + 2_570);
        assert_eq!(stack.forward(Tensor::zeros([2, 3, 8, 12], &Device::flex())).dims(), [2, 10]);
    }
}
