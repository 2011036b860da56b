//! A graph, computed: with Burn's own operations, from any tensor to any other, and with gradients where the device has them.

use std::collections::{HashMap, HashSet};

use burn::backend::Dispatch;
use burn::backend::ops::{ActivationOps, FloatTensorOps, IntTensorOps, ModuleOps};
use burn::backend::tensor::FloatTensor;
use burn::module::{ModuleVisitor, Param, ParamId};
use burn::prelude::*;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{BoolDType, FloatDType, IntDType};
use burn_ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, FloatOperationIr as Float,
    InterpolateModeIr as Mode, ModuleOperationIr as Layer, NumericOperationIr as Numeric, OperationIr,
    ScalarIr, TensorId, TensorIr,
};
use kiln_core::{Error, Result};

use crate::graph::{Graph, Weight};

/// A tensor of any rank and kind.
pub type Value = FloatTensor<Dispatch>;

/// The numbers of a module's weights, by Burn's names of them. They are the module's, not copies.
#[derive(Debug, Clone, Default)]
pub struct Weights {
    values: HashMap<ParamId, Value>,
}

impl Weights {
    /// Those of a module.
    pub fn of<M: Module>(module: &M) -> Self {
        let mut weights = Self::default();
        module.visit(&mut weights);
        weights
    }
}

impl Graph {
    /// The numbers of one of the graph's weights.
    ///
    /// # Errors
    /// The module does not have it.
    pub fn weight<M: Module>(&self, module: &M, weight: &Weight) -> Result<Vec<f32>> {
        struct One<'a>(&'a Weight, Option<TensorData>);
        impl ModuleVisitor for One<'_> {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if param.lazy_shape().as_slice() == self.0.shape && param.id == self.0.parameter {
                    self.1 = Some(param.val().into_data());
                }
            }
        }
        let mut one = One(weight, None);
        module.visit(&mut one);
        let data = one.1.ok_or_else(|| Error::failure(format!("no weight `{}`", weight.name)))?;
        data.try_into_vec().map_err(|why| Error::failure(format!("`{}`: {why:?}", weight.name)))
    }
}

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.values.insert(param.id, param.val().into_dispatch());
    }
}

impl Graph {
    /// What tensors are if others are given. Nothing is computed that they do not depend on.
    ///
    /// # Errors
    /// An operation that is not known; a weight that the module does not have.
    pub fn run(
        &self,
        weights: &Weights,
        given: impl IntoIterator<Item = (TensorId, Value)>,
        wanted: &[TensorId],
        device: &Device,
    ) -> Result<Vec<Value>> {
        let mut known: HashMap<TensorId, Value> = given.into_iter().collect();
        let mut needed: HashSet<TensorId> =
            wanted.iter().copied().filter(|id| !known.contains_key(id)).collect();
        let all: Vec<&OperationIr> = self.nodes.iter().flat_map(|node| &node.operations).collect();
        let mut operations = Vec::new();
        for operation in all.into_iter().rev() {
            if operation.outputs().any(|tensor| needed.contains(&tensor.id)) {
                needed
                    .extend(operation.inputs().map(|tensor| tensor.id).filter(|id| !known.contains_key(id)));
                operations.push(operation);
            }
        }
        operations.reverse();
        let mut last: HashMap<TensorId, usize> = HashMap::new();
        for (at, operation) in operations.iter().enumerate() {
            last.extend(operation.inputs().map(|tensor| (tensor.id, at)));
        }
        let kept: HashSet<TensorId> = wanted.iter().copied().collect();
        for weight in &self.weights {
            let Some(id) = weight.tensor.filter(|id| needed.contains(id)) else { continue };
            let value = weights.values.get(&weight.parameter).cloned();
            known.insert(id, value.ok_or_else(|| Error::failure(format!("no weight `{}`", weight.name)))?);
        }
        let place = device.as_dispatch();
        for (id, value) in self.constants.iter().filter(|(id, _)| needed.contains(id)) {
            let value = match value.dtype().is_float() {
                true => Dispatch::float_from_data(value.clone(), place),
                false => Dispatch::int_from_data(value.clone(), place),
            };
            known.insert(*id, value);
        }
        for (at, operation) in operations.iter().enumerate() {
            let mut step = Step { known: &known, device, more: None };
            let Some(value) = step.run(operation) else {
                let error = Error::failure("an operation of the graph cannot be computed");
                return Err(error.hint(format!("{operation:?}").chars().take(120).collect::<String>()));
            };
            let more = step.more;
            let mut outputs = operation.outputs().map(|tensor| tensor.id);
            known.extend(outputs.next().map(|id| (id, value)));
            known.extend(outputs.next().zip(more));
            for tensor in operation.inputs() {
                if last.get(&tensor.id) == Some(&at) && !kept.contains(&tensor.id) {
                    known.remove(&tensor.id);
                }
            }
        }
        let found: Option<Vec<Value>> = wanted.iter().map(|id| known.get(id).cloned()).collect();
        found.ok_or_else(|| Error::failure("the graph does not give a tensor that is wanted"))
    }
}

/// One operation.
struct Step<'a> {
    known: &'a HashMap<TensorId, Value>,
    device: &'a Device,
    /// A second output.
    more: Option<Value>,
}

impl Step<'_> {
    fn get(&self, tensor: &TensorIr) -> Option<Value> {
        self.known.get(&tensor.id).cloned()
    }

    /// `None` if the operation is not known.
    fn run(&mut self, operation: &OperationIr) -> Option<Value> {
        match operation {
            OperationIr::Module(operation) => self.layer(operation),
            OperationIr::Activation(operation) => self.activation(operation),
            OperationIr::Float(_, operation) => self.float(operation),
            OperationIr::NumericFloat(_, operation) => self.numeric(operation),
            OperationIr::BaseFloat(operation) => self.base(operation),
            OperationIr::BaseInt(operation) => self.integers(operation),
            OperationIr::Int(burn_ir::IntOperationIr::IntoFloat(cast)) => {
                Some(Dispatch::int_into_float(self.get(&cast.input)?, FloatDType::F32))
            }
            _ => None,
        }
    }

    fn layer(&mut self, operation: &Layer) -> Option<Value> {
        let optional = |tensor: &Option<TensorIr>| tensor.as_ref().and_then(|tensor| self.get(tensor));
        Some(match operation {
            Layer::Conv2d(conv) => {
                let ir = &conv.options;
                let options = ConvOptions::new_with_padding(ir.stride, ir.padding, ir.dilation, ir.groups);
                Dispatch::conv2d(self.get(&conv.x)?, self.get(&conv.weight)?, optional(&conv.bias), options)
            }
            Layer::ConvTranspose2d(conv) => {
                let ir = &conv.options;
                let options =
                    ConvTransposeOptions::new(ir.stride, ir.padding, ir.padding_out, ir.dilation, ir.groups);
                Dispatch::conv_transpose2d(
                    self.get(&conv.x)?,
                    self.get(&conv.weight)?,
                    optional(&conv.bias),
                    options,
                )
            }
            Layer::Linear(linear) => {
                Dispatch::linear(self.get(&linear.x)?, self.get(&linear.weight)?, optional(&linear.bias))
            }
            Layer::BatchNorm(norm) => {
                let [x, gamma, beta] = [self.get(&norm.x)?, self.get(&norm.gamma)?, self.get(&norm.beta)?];
                let (mean, variance) = (self.get(&norm.mean)?, self.get(&norm.variance)?);
                Dispatch::batch_norm(x, gamma, beta, mean, variance, norm.epsilon.elem())
            }
            Layer::MaxPool2d(op) => Dispatch::max_pool2d(
                self.get(&op.x)?,
                op.kernel_size,
                op.stride,
                op.padding,
                op.dilation,
                op.ceil_mode,
            ),
            Layer::MaxPool2dWithIndices(op) => {
                let (x, dtype) = (self.get(&op.x)?, IntDType::I64);
                let both = Dispatch::max_pool2d_with_indices(
                    x,
                    op.kernel_size,
                    op.stride,
                    op.padding,
                    op.dilation,
                    op.ceil_mode,
                    dtype,
                );
                self.more = Some(both.indices);
                both.output
            }
            Layer::AvgPool2d(op) => {
                let x = self.get(&op.x)?;
                Dispatch::avg_pool2d(
                    x,
                    op.kernel_size,
                    op.stride,
                    op.padding,
                    op.count_include_pad,
                    op.ceil_mode,
                )
            }
            Layer::AvgPool1d(op) => {
                let x = self.get(&op.x)?;
                Dispatch::avg_pool1d(
                    x,
                    op.kernel_size,
                    op.stride,
                    op.padding,
                    op.count_include_pad,
                    op.ceil_mode,
                )
            }
            Layer::AdaptiveAvgPool2d(op) => Dispatch::adaptive_avg_pool2d(self.get(&op.x)?, op.output_size),
            Layer::Interpolate(op) => {
                let mode = match op.options.mode {
                    Mode::Nearest => InterpolateMode::Nearest,
                    Mode::Bilinear => InterpolateMode::Bilinear,
                    _ => return None,
                };
                let options = InterpolateOptions::new(mode).with_align_corners(op.options.align_corners);
                Dispatch::interpolate(self.get(&op.x)?, op.output_size, options)
            }
            _ => return None,
        })
    }

    fn activation(&self, operation: &Activation) -> Option<Value> {
        Some(match operation {
            Activation::Relu(op) => Dispatch::relu(self.get(&op.input)?),
            Activation::LeakyRelu(op) => Dispatch::leaky_relu(self.get(&op.lhs)?, op.rhs.into()),
            Activation::PRelu(op) => Dispatch::prelu(self.get(&op.lhs)?, self.get(&op.rhs)?),
            Activation::Gelu(op) => Dispatch::gelu(self.get(&op.input)?),
            Activation::Sigmoid(op) => Dispatch::sigmoid(self.get(&op.input)?),
            Activation::HardSigmoid(op) => {
                Dispatch::hard_sigmoid(self.get(&op.tensor)?, op.alpha.into(), op.beta.into())
            }
            Activation::LogSigmoid(op) => Dispatch::log_sigmoid(self.get(&op.input)?),
            Activation::Softmax(op) => Dispatch::softmax(self.get(&op.input)?, op.axis),
            Activation::LogSoftmax(op) => Dispatch::log_softmax(self.get(&op.input)?, op.axis),
            _ => return None,
        })
    }

    fn float(&self, operation: &Float) -> Option<Value> {
        Some(match operation {
            Float::Matmul(op) => Dispatch::float_matmul(self.get(&op.lhs)?, self.get(&op.rhs)?),
            Float::Exp(op) => Dispatch::float_exp(self.get(&op.input)?),
            Float::Log(op) => Dispatch::float_log(self.get(&op.input)?),
            Float::Log1p(op) => Dispatch::float_log1p(self.get(&op.input)?),
            Float::Sqrt(op) => Dispatch::float_sqrt(self.get(&op.input)?),
            Float::Tanh(op) => Dispatch::float_tanh(self.get(&op.input)?),
            Float::Erf(op) => Dispatch::float_erf(self.get(&op.input)?),
            Float::Recip(op) => Dispatch::float_recip(self.get(&op.input)?),
            Float::PowfScalar(op) => Dispatch::float_powf_scalar(self.get(&op.lhs)?, op.rhs.into()),
            _ => return None,
        })
    }

    fn numeric(&self, operation: &Numeric) -> Option<Value> {
        let both = |op: &burn_ir::BinaryOpIr| Some((self.get(&op.lhs)?, self.get(&op.rhs)?));
        Some(match operation {
            Numeric::Add(op) => both(op).map(|(a, b)| Dispatch::float_add(a, b))?,
            Numeric::Sub(op) => both(op).map(|(a, b)| Dispatch::float_sub(a, b))?,
            Numeric::Mul(op) => both(op).map(|(a, b)| Dispatch::float_mul(a, b))?,
            Numeric::Div(op) => both(op).map(|(a, b)| Dispatch::float_div(a, b))?,
            Numeric::AddScalar(op) => Dispatch::float_add_scalar(self.get(&op.lhs)?, op.rhs.into()),
            Numeric::SubScalar(op) => Dispatch::float_sub_scalar(self.get(&op.lhs)?, op.rhs.into()),
            Numeric::MulScalar(op) => Dispatch::float_mul_scalar(self.get(&op.lhs)?, op.rhs.into()),
            Numeric::DivScalar(op) => Dispatch::float_div_scalar(self.get(&op.lhs)?, op.rhs.into()),
            Numeric::PowiScalar(op) => Dispatch::float_powi_scalar(self.get(&op.lhs)?, op.rhs.into()),
            Numeric::GreaterElem(op) => {
                Dispatch::float_greater_elem(self.get(&op.lhs)?, op.rhs.into(), BoolDType::Native)
            }
            Numeric::Neg(op) => Dispatch::float_neg(self.get(&op.input)?),
            Numeric::Abs(op) => Dispatch::float_abs(self.get(&op.input)?),
            Numeric::Clamp(op) => Dispatch::float_clamp(self.get(&op.tensor)?, op.min.into(), op.max.into()),
            Numeric::ClampMin(op) => Dispatch::float_clamp_min(self.get(&op.lhs)?, op.rhs.into()),
            Numeric::ClampMax(op) => Dispatch::float_clamp_max(self.get(&op.lhs)?, op.rhs.into()),
            Numeric::MeanDim(op) => Dispatch::float_mean_dim(self.get(&op.input)?, op.axis),
            Numeric::SumDim(op) => Dispatch::float_sum_dim(self.get(&op.input)?, op.axis),
            Numeric::MaxDim(op) => Dispatch::float_max_dim(self.get(&op.input)?, op.axis),
            Numeric::Full(op) => self.filled(op.value, &op.out),
            Numeric::Pad(op) => Dispatch::float_pad(self.get(&op.input)?, &op.padding, op.mode.into()),
            _ => return None,
        })
    }

    fn base(&self, operation: &Base) -> Option<Value> {
        Some(match operation {
            Base::Reshape(op) => Dispatch::float_reshape(self.get(&op.input)?, op.out.shape.clone()),
            Base::Expand(op) => Dispatch::float_expand(self.get(&op.input)?, op.out.shape.clone()),
            Base::SwapDims(op) => Dispatch::float_swap_dims(self.get(&op.input)?, op.dim1, op.dim2),
            Base::Permute(op) => Dispatch::float_permute(self.get(&op.input)?, &op.axes),
            Base::Flip(op) => Dispatch::float_flip(self.get(&op.input)?, &op.axes),
            Base::Slice(op) => Dispatch::float_slice(self.get(&op.tensor)?, &op.ranges),
            Base::Cat(op) => {
                let tensors: Option<Vec<Value>> = op.tensors.iter().map(|tensor| self.get(tensor)).collect();
                Dispatch::float_cat(tensors?, op.dim)
            }
            Base::RepeatDim(op) => Dispatch::float_repeat_dim(self.get(&op.tensor)?, op.dim, op.times),
            Base::Scatter(op) => {
                let (tensor, indices, value) =
                    (self.get(&op.tensor)?, self.get(&op.indices)?, self.get(&op.value)?);
                Dispatch::float_scatter(op.dim, tensor, indices, value, op.update)
            }
            Base::Gather(op) => Dispatch::float_gather(op.dim, self.get(&op.tensor)?, self.get(&op.indices)?),
            Base::Select(op) => Dispatch::float_select(self.get(&op.tensor)?, op.dim, self.get(&op.indices)?),
            Base::MaskFill(op) => {
                Dispatch::float_mask_fill(self.get(&op.tensor)?, self.get(&op.mask)?, op.value.into())
            }
            Base::MaskWhere(op) => {
                Dispatch::float_mask_where(self.get(&op.tensor)?, self.get(&op.mask)?, self.get(&op.value)?)
            }
            Base::Zeros(op) => self.filled(ScalarIr::Float(0.0), &op.out),
            Base::Ones(op) => self.filled(ScalarIr::Float(1.0), &op.out),
            _ => return None,
        })
    }

    fn integers(&self, operation: &Base) -> Option<Value> {
        Some(match operation {
            Base::Reshape(op) => Dispatch::int_reshape(self.get(&op.input)?, op.out.shape.clone()),
            Base::Expand(op) => Dispatch::int_expand(self.get(&op.input)?, op.out.shape.clone()),
            Base::RepeatDim(op) => Dispatch::int_repeat_dim(self.get(&op.tensor)?, op.dim, op.times),
            Base::Slice(op) => Dispatch::int_slice(self.get(&op.tensor)?, &op.ranges),
            _ => return None,
        })
    }

    fn filled(&self, value: ScalarIr, out: &TensorIr) -> Value {
        Dispatch::float_full(out.shape.clone(), value.into(), self.device.as_dispatch(), FloatDType::F32)
    }
}
