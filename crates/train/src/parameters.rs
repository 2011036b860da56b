//! Parameters beside their gradients, for those who watch.

use burn::module::{ModuleVisitor, Param, ParamId};
use burn::optim::GradientsParams;
use burn::prelude::*;

use crate::walk::{Path, is_statistic};

/// A parameter between the backward pass and the step.
#[derive(Debug, Clone)]
pub struct Parameter<'a> {
    /// Its name in weight files, as `layer1.0.conv1.weight`.
    pub path: &'a str,
    /// Its name in memory, by which a layer knows it.
    pub id: ParamId,
    /// Its numbers, flat and without autodiff.
    pub value: Tensor<1>,
    /// Its gradient, flat; none where the backward pass does not come, as in a frozen part.
    pub gradient: Option<Tensor<1>>,
}

/// Shows every parameter of a module with its gradient, in the module's order. Running statistics are none.
pub fn parameters<M: Module>(module: &M, gradients: &GradientsParams, see: impl FnMut(Parameter<'_>)) {
    module.visit(&mut Walk { path: Path::default(), gradients, see });
}

struct Walk<'a, F> {
    path: Path,
    gradients: &'a GradientsParams,
    see: F,
}

impl<F: FnMut(Parameter<'_>)> ModuleVisitor for Walk<'_, F> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.exit();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.text();
        if is_statistic(&path) {
            return;
        }
        let value = param.val().without_autodiff().reshape([-1]);
        let gradient = self.gradients.get::<D>(param.id).map(|gradient| gradient.reshape([-1]));
        (self.see)(Parameter { path: &path, id: param.id, value, gradient });
    }
}
