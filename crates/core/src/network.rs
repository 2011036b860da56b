//! The contract of a network.

use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::Gradients;

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
    let mut learnable = Learnable::default();
    module.visit(&mut learnable);
    learnable.total
}

/// The learnable parameters of a module whose gradient is missing, or zero everywhere: a backward pass does not reach them.
pub fn without_gradient<M: Module>(module: &M, gradients: &Gradients) -> Vec<String> {
    let mut learnable = Learnable { gradients: Some(gradients), ..Learnable::default() };
    module.visit(&mut learnable);
    learnable.without_gradient
}

/// Goes through the learnable parameters of a module.
#[derive(Default)]
struct Learnable<'a> {
    gradients: Option<&'a Gradients>,
    path: Vec<String>,
    total: usize,
    without_gradient: Vec<String>,
}

impl ModuleVisitor for Learnable<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.path.last().is_some_and(|name| name.starts_with("running_")) {
            return;
        }
        self.total += param.lazy_shape().num_elements();
        let reached = |gradients: &Gradients| {
            param.val().grad(gradients).is_some_and(|g| g.abs().sum().into_scalar::<f32>() > 0.0)
        };
        if self.gradients.is_some_and(|gradients| !reached(gradients)) {
            self.without_gradient.push(self.path.join("."));
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::nn::{Linear, LinearConfig};

    use super::*;

    #[test]
    fn a_parameter_that_the_loss_does_not_depend_on_is_named() {
        #[derive(Module, Debug)]
        struct Two {
            used: Linear,
            idle: Linear,
        }
        let device = Device::flex().autodiff();
        let linear = || LinearConfig::new(2, 3).init(&device);
        let module = Two { used: linear(), idle: linear() };
        // (2 + 1) * 3 numbers each.
        assert_eq!(learnable_parameters(&module), 18);
        let gradients = module.used.forward(Tensor::<2>::ones([1, 2], &device)).sum().backward();
        assert_eq!(without_gradient(&module, &gradients), ["idle.weight", "idle.bias"]);
    }
}
