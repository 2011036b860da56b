//! Walks over a module's parameters.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::{DType, Gradients};

/// In another precision, as leaves of a new graph.
pub struct Cast(pub DType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let learns = param.is_require_grad();
        param.map(|value| value.detach().cast(self.0).detach().set_require_grad(learns))
    }
}

/// How many values each parameter has, in the order of the walk; those that do not learn are none.
#[derive(Default)]
pub struct Sizes(pub Vec<usize>);

impl Sizes {
    pub fn of<M: Module>(module: &M) -> Self {
        let mut sizes = Self::default();
        module.visit(&mut sizes);
        sizes
    }
}

impl ModuleVisitor for Sizes {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            self.0.push(param.dims().iter().product());
        }
    }
}

/// A step of one value of one parameter.
pub struct Move {
    parameter: usize,
    place: usize,
    by: f64,
    seen: usize,
}

impl Move {
    pub fn new(parameter: usize, place: usize, by: f64) -> Self {
        Self { parameter, place, by, seen: 0 }
    }
}

impl ModuleMapper for Move {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !param.is_require_grad() {
            return param;
        }
        self.seen += 1;
        if self.seen - 1 != self.parameter {
            return param;
        }
        param.map(|value| {
            let sides = value.dims();
            let mut step = vec![0.0; sides.iter().product()];
            step[self.place] = self.by;
            let step = Tensor::<D>::from_data(TensorData::new(step, sides), (&value.device(), value.dtype()));
            (value.detach() + step).detach().require_grad()
        })
    }
}

/// The gradient of each parameter, in the order of the walk.
pub struct Gradient {
    gradients: Gradients,
    found: Vec<Vec<f64>>,
}

impl Gradient {
    /// # Panics
    /// If a parameter has none.
    pub fn of<M: Module>(module: &M, gradients: Gradients) -> Vec<Vec<f64>> {
        let mut all = Self { gradients, found: Vec::new() };
        module.visit(&mut all);
        all.found
    }
}

impl ModuleVisitor for Gradient {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if param.is_require_grad() {
            let gradient = param.val().grad(&self.gradients).expect("a parameter that plays a part");
            self.found.push(gradient.into_data().iter::<f64>().collect());
        }
    }
}
