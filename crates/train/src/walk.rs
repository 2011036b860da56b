//! Walks over what a module is made of, each value flat and without autodiff, so that what is done to them need not be
//! written for every number of dimensions.

use std::collections::HashMap;

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;

/// Whether a path ends in a running statistic. By Burn's layers, and by ours, these alone begin so.
pub(crate) fn is_statistic(path: &str) -> bool {
    path.rsplit('.').next().is_some_and(|name| name.starts_with("running_"))
}

/// Where in a module a walk is, in the names that weight files have: an enum's variants have none there.
#[derive(Default)]
pub(crate) struct Path(Vec<Option<String>>);

impl Path {
    pub fn enter(&mut self, name: &str, container: &str) {
        self.0.push((!container.starts_with("Enum:")).then(|| name.to_string()));
    }

    pub fn exit(&mut self) {
        self.0.pop();
    }

    /// As `layer1.0.conv1.weight`.
    pub fn text(&self) -> String {
        self.0.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

/// Flat values by their paths.
pub(crate) type Values = HashMap<String, Tensor<1>>;

/// The parameters and running statistics of a module.
pub(crate) fn values<M: Module>(module: &M) -> Values {
    let mut values = Values::new();
    each(module, |path, value| _ = values.insert(path.to_string(), value));
    values
}

/// Shows every parameter and running statistic of a module, by its path.
pub(crate) fn each<M: Module>(module: &M, see: impl FnMut(&str, Tensor<1>)) {
    module.visit(&mut Each { path: Path::default(), see });
}

/// The module with other values in place of its parameters and running statistics. Whether a parameter trains stays.
pub(crate) fn mapped<M: Module>(module: M, change: impl FnMut(&str, Tensor<1>) -> Tensor<1>) -> M {
    module.map(&mut Mapped { path: Path::default(), change })
}

/// Gradients as `change` leaves them.
pub(crate) fn mapped_gradients<M: Module>(
    module: &M,
    gradients: GradientsParams,
    change: impl FnMut(&str, Tensor<1>) -> Tensor<1>,
) -> GradientsParams {
    let mut walk = MappedGradients { path: Path::default(), change, gradients };
    module.visit(&mut walk);
    walk.gradients
}

struct Each<F> {
    path: Path,
    see: F,
}

impl<F: FnMut(&str, Tensor<1>)> ModuleVisitor for Each<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        (self.see)(&self.path.text(), param.val().without_autodiff().reshape([-1]));
    }
}

struct Mapped<F> {
    path: Path,
    change: F,
}

impl<F: FnMut(&str, Tensor<1>) -> Tensor<1>> ModuleMapper for Mapped<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let (trains, tracked) = (value.is_require_grad(), value.device().is_autodiff());
        let strategy = value.gradient_checkpointing_strategy();
        let shape = value.shape();
        let value = (self.change)(&self.path.text(), value.without_autodiff().reshape([-1]));
        let mut value = value.reshape(shape);
        if tracked {
            value = Tensor::from_inner(value);
            if let Some(strategy) = strategy {
                value = value.with_gradient_checkpointing_strategy(strategy);
            }
            value = value.set_require_grad(trains);
        }
        Param::from_mapped_value(id, value, mapper)
    }
}

struct MappedGradients<F> {
    path: Path,
    change: F,
    gradients: GradientsParams,
}

impl<F: FnMut(&str, Tensor<1>) -> Tensor<1>> ModuleVisitor for MappedGradients<F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let Some(gradient) = self.gradients.remove::<D>(param.id) else { return };
        let shape = gradient.shape();
        let gradient = (self.change)(&self.path.text(), gradient.reshape([-1]));
        self.gradients.register::<D>(param.id, gradient.reshape(shape));
    }
}
