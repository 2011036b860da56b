//! What a network costs.

use burn::prelude::*;
use burn_ir::{FloatOperationIr, ModuleOperationIr, OperationIr, TensorIr};
use kiln_core::{Error, Result};

/// Multiply-accumulate operations of what `run` computes on the device it is given.
///
/// Convolutions and matrix products count, as in torchvision's tables; biases, normalizations, activations and pools do
/// not. A multiplication and the addition behind it are one.
///
/// # Errors
/// A tensor that has shrunk to nothing on the way: the images are too small. Another capture that is not finished.
pub fn macs<T>(run: impl FnOnce(&Device) -> T) -> Result<u64> {
    let recorder = Device::capture();
    let captured = recorder.capture_scope(|scope| {
        run(&recorder);
        scope.complete([], [])
    });
    let graph = captured.map_err(|why| Error::failure(format!("the graph cannot be recorded: {why}")))?.graph;
    // A kernel that is larger than its input leaves no pixel, or as many as an underflow makes of it.
    let shrunk = |tensor: &TensorIr| dims(tensor).iter().any(|side| *side == 0 || *side > MOST);
    match graph.operations.iter().any(|operation| operation.outputs().any(shrunk)) {
        true => Err(Error::input("a tensor shrinks to nothing on the way")),
        false => Ok(graph.operations.iter().map(cost).sum()),
    }
}

/// No side of a tensor that fits a memory is longer.
const MOST: usize = 1 << 40;

fn cost(operation: &OperationIr) -> u64 {
    match operation {
        // Every output is a sum over the weights of its channel.
        OperationIr::Module(ModuleOperationIr::Conv2d(conv)) => {
            let [_, weights @ ..] = dims(&conv.weight) else { return 0 };
            product(dims(&conv.out)) * product(weights)
        }
        // Every input is multiplied by the weights of its channel.
        OperationIr::Module(ModuleOperationIr::ConvTranspose2d(conv)) => {
            let [_, weights @ ..] = dims(&conv.weight) else { return 0 };
            product(dims(&conv.x)) * product(weights)
        }
        OperationIr::Module(ModuleOperationIr::Linear(linear)) => {
            product(dims(&linear.out)) * dims(&linear.x).last().map_or(0, |inputs| *inputs as u64)
        }
        OperationIr::Float(_, FloatOperationIr::Matmul(matmul)) => {
            product(dims(&matmul.out)) * dims(&matmul.lhs).last().map_or(0, |inner| *inner as u64)
        }
        _ => 0,
    }
}

fn dims(tensor: &TensorIr) -> &[usize] {
    tensor.shape.as_slice()
}

fn product(dims: &[usize]) -> u64 {
    dims.iter().map(|side| *side as u64).product()
}

#[cfg(test)]
mod tests {
    use kiln_nn::{Conv2dConfig, LinearConfig};

    use super::*;

    #[test]
    fn an_image_that_shrinks_to_nothing_is_an_error() {
        let network = |side: usize| {
            move |device: &Device| {
                Conv2dConfig::new([1, 1], [3, 3])
                    .init(device)
                    .forward(Tensor::zeros([1, 1, side, side], device))
            }
        };
        assert_eq!(macs(network(3)).ok(), Some(9));
        assert!(macs(network(2)).is_err());
    }

    #[test]
    fn convolutions_and_linear_layers_count_and_nothing_else() {
        let cost = |groups: usize| {
            let network = |device: &Device| {
                let config = Conv2dConfig::new([4, 6], [3, 3]).with_stride([2, 2]).with_groups(groups);
                let x = config.init(device).forward(Tensor::zeros([2, 4, 9, 7], device));
                LinearConfig::new(6 * 4 * 3, 5).init(device).forward(x.flatten::<2>(1, 3))
            };
            macs(network).unwrap_or_default()
        };
        // Two images: 6 channels of 4x3 outputs, 4 * 3 * 3 products each; then 72 inputs times 5 outputs.
        assert_eq!(cost(1), 2 * (6 * 4 * 3 * 36 + 72 * 5));
        // In two groups a channel sees half of the inputs.
        assert_eq!(cost(2), 2 * (6 * 4 * 3 * 18 + 72 * 5));
    }
}
