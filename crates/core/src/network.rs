//! The contract of a network.

use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;

/// A module from images `[batch, 3, height, width]` to an output that a task understands.
///
/// Whether it trains or is in evaluation mode is a property of the device its parameters are on, as everywhere in
/// Burn: `network.valid()` is the same network in evaluation mode.
pub trait Network: Module {
    /// What it says of a batch.
    type Output;

    /// Runs the network on a batch of images.
    fn forward(&self, images: Tensor<4>) -> Self::Output;

    /// Runs the network on a batch that it learns from, with what only training needs: auxiliary classifiers. Most
    /// networks have nothing of the kind.
    fn forward_train(&self, images: Tensor<4>) -> Self::Output {
        self.forward(images)
    }
}

/// Learnable numbers of a module: every parameter, without running statistics, which Burn's own `num_params` counts too.
pub fn learnable_parameters<M: Module>(module: &M) -> usize {
    #[derive(Default)]
    struct Count {
        path: Vec<String>,
        total: usize,
    }
    impl ModuleVisitor for Count {
        fn enter_module(&mut self, name: &str, _container: &str) {
            self.path.push(name.to_string());
        }
        fn exit_module(&mut self, _name: &str, _container: &str) {
            self.path.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !self.path.last().is_some_and(|name| name.starts_with("running_")) {
                self.total += param.lazy_shape().num_elements();
            }
        }
    }
    let mut count = Count::default();
    module.visit(&mut count);
    count.total
}
