//! Operations as ONNX has them.

use burn::tensor::IndexingUpdateOp;
use burn_ir::{
    ActivationOperationIr as Activation, BaseOperationIr as Base, FloatOperationIr as Float,
    IntOperationIr as Int, NumericOperationIr as Numeric, OperationIr, PadModeIr as PadMode, ScalarIr,
    TensorIr,
};

use super::{File, element, float, int, ints, text};

impl File {
    /// Writes an operation; `None` if ONNX is not known to have it.
    pub(super) fn operation(&mut self, operation: &OperationIr) -> Option<()> {
        match operation {
            OperationIr::Module(operation) => self.module(operation),
            OperationIr::Activation(operation) => self.activation(operation),
            OperationIr::Float(_, operation) => self.float(operation),
            OperationIr::NumericFloat(_, operation) | OperationIr::NumericInt(_, operation) => {
                self.numeric(operation)
            }
            OperationIr::BaseFloat(operation)
            | OperationIr::BaseInt(operation)
            | OperationIr::BaseBool(operation) => self.base(operation),
            OperationIr::Int(Int::IntoFloat(cast)) => self.cast(&cast.input, &cast.out),
            _ => None,
        }
    }

    fn activation(&mut self, operation: &Activation) -> Option<()> {
        match operation {
            Activation::Relu(op) => self.unary("Relu", &op.input, &op.out),
            Activation::Sigmoid(op) => self.unary("Sigmoid", &op.input, &op.out),
            Activation::LeakyRelu(op) => {
                let inputs = self.all([Some(&op.lhs)]);
                self.write("LeakyRelu", inputs, &op.out, vec![float("alpha", op.rhs.elem::<f64>())])
            }
            Activation::HardSigmoid(op) => {
                let inputs = self.all([Some(&op.tensor)]);
                let attributes =
                    vec![float("alpha", op.alpha.elem::<f64>()), float("beta", op.beta.elem::<f64>())];
                self.write("HardSigmoid", inputs, &op.out, attributes)
            }
            Activation::Softmax(op) => {
                let inputs = self.all([Some(&op.input)]);
                self.write("Softmax", inputs, &op.out, vec![int("axis", op.axis as i64)])
            }
            Activation::LogSoftmax(op) => {
                let inputs = self.all([Some(&op.input)]);
                self.write("LogSoftmax", inputs, &op.out, vec![int("axis", op.axis as i64)])
            }
            Activation::LogSigmoid(op) => {
                let x = self.name(&op.input);
                let negated = self.between("Neg", vec![x], vec![]);
                let softplus = self.between("Softplus", vec![negated], vec![]);
                self.write("Neg", vec![softplus], &op.out, vec![])
            }
            Activation::Gelu(op) => {
                // x / 2 (1 + erf(x / sqrt(2)))
                let x = self.name(&op.input);
                let [root, one, half] =
                    [0.5f64.sqrt(), 1.0, 0.5].map(|number| self.scalar(number, op.input.dtype));
                let scaled = self.between("Mul", vec![x.clone(), root], vec![]);
                let erf = self.between("Erf", vec![scaled], vec![]);
                let sum = self.between("Add", vec![erf, one], vec![]);
                let product = self.between("Mul", vec![x, sum], vec![]);
                self.write("Mul", vec![product, half], &op.out, vec![])
            }
            _ => None,
        }
    }

    fn float(&mut self, operation: &Float) -> Option<()> {
        match operation {
            Float::Matmul(op) => {
                let inputs = self.all([Some(&op.lhs), Some(&op.rhs)]);
                self.write("MatMul", inputs, &op.out, vec![])
            }
            Float::Exp(op) => self.unary("Exp", &op.input, &op.out),
            Float::Log(op) => self.unary("Log", &op.input, &op.out),
            Float::Sqrt(op) => self.unary("Sqrt", &op.input, &op.out),
            Float::Tanh(op) => self.unary("Tanh", &op.input, &op.out),
            Float::Erf(op) => self.unary("Erf", &op.input, &op.out),
            Float::Recip(op) => self.unary("Reciprocal", &op.input, &op.out),
            Float::Log1p(op) => {
                let (x, one) = (self.name(&op.input), self.scalar(1.0, op.input.dtype));
                let sum = self.between("Add", vec![x, one], vec![]);
                self.write("Log", vec![sum], &op.out, vec![])
            }
            Float::PowfScalar(op) => self.with_scalar("Pow", &op.lhs, op.rhs, &op.out),
            _ => None,
        }
    }

    fn numeric(&mut self, operation: &Numeric) -> Option<()> {
        match operation {
            Numeric::Add(op) => self.binary("Add", &op.lhs, &op.rhs, &op.out),
            Numeric::Sub(op) => self.binary("Sub", &op.lhs, &op.rhs, &op.out),
            Numeric::Mul(op) => self.binary("Mul", &op.lhs, &op.rhs, &op.out),
            Numeric::Div(op) => self.binary("Div", &op.lhs, &op.rhs, &op.out),
            Numeric::AddScalar(op) => self.with_scalar("Add", &op.lhs, op.rhs, &op.out),
            Numeric::SubScalar(op) => self.with_scalar("Sub", &op.lhs, op.rhs, &op.out),
            Numeric::MulScalar(op) => self.with_scalar("Mul", &op.lhs, op.rhs, &op.out),
            Numeric::DivScalar(op) => self.with_scalar("Div", &op.lhs, op.rhs, &op.out),
            Numeric::PowiScalar(op) => self.with_scalar("Pow", &op.lhs, op.rhs, &op.out),
            Numeric::GreaterElem(op) => self.with_scalar("Greater", &op.lhs, op.rhs, &op.out),
            Numeric::Neg(op) => self.unary("Neg", &op.input, &op.out),
            Numeric::Abs(op) => self.unary("Abs", &op.input, &op.out),
            Numeric::Clamp(op) => {
                let x = self.name(&op.tensor);
                let [min, max] = [op.min, op.max].map(|end| self.scalar(end.elem::<f64>(), op.tensor.dtype));
                self.write("Clip", vec![x, min, max], &op.out, vec![])
            }
            Numeric::ClampMin(op) => {
                let (x, min) = (self.name(&op.lhs), self.scalar(op.rhs.elem::<f64>(), op.lhs.dtype));
                self.write("Clip", vec![x, min], &op.out, vec![])
            }
            Numeric::ClampMax(op) => {
                let (x, max) = (self.name(&op.lhs), self.scalar(op.rhs.elem::<f64>(), op.lhs.dtype));
                self.write("Clip", vec![x, String::new(), max], &op.out, vec![])
            }
            Numeric::MeanDim(op) => self.reduced("ReduceMean", &op.input, op.axis, &op.out),
            Numeric::MaxDim(op) => self.reduced("ReduceMax", &op.input, op.axis, &op.out),
            Numeric::SumDim(op) => {
                let (x, axes) = (self.name(&op.input), self.integers(&[op.axis as i64]));
                self.write("ReduceSum", vec![x, axes], &op.out, vec![])
            }
            Numeric::SumDims(op) => {
                let axes: Vec<i64> = op.axes.iter().map(|axis| *axis as i64).collect();
                let (x, axes) = (self.name(&op.input), self.integers(&axes));
                self.write("ReduceSum", vec![x, axes], &op.out, vec![])
            }
            Numeric::Full(op) => self.filled(op.value.elem::<f64>(), &op.out),
            Numeric::Pad(op) => {
                let (mode, value) = match op.mode {
                    PadMode::Constant(value) => ("constant", Some(value.elem::<f64>())),
                    PadMode::Reflect => ("reflect", None),
                    PadMode::Edge => ("edge", None),
                };
                let (before, behind) =
                    (op.padding.iter().map(|pad| pad.0), op.padding.iter().map(|pad| pad.1));
                let pads: Vec<i64> = before.chain(behind).map(|pad| pad as i64).collect();
                let mut inputs = vec![self.name(&op.input), self.integers(&pads)];
                inputs.extend(value.map(|value| self.scalar(value, op.input.dtype)));
                self.write("Pad", inputs, &op.out, vec![text("mode", mode)])
            }
            _ => None,
        }
    }

    fn base(&mut self, operation: &Base) -> Option<()> {
        match operation {
            Base::Reshape(op) => self.shaped("Reshape", &op.input, &op.out),
            Base::Expand(op) => self.shaped("Expand", &op.input, &op.out),
            Base::SwapDims(op) => {
                let mut axes: Vec<usize> = (0..op.input.shape.len()).collect();
                axes.swap(op.dim1, op.dim2);
                self.transposed(&op.input, axes, &op.out)
            }
            Base::Permute(op) => self.transposed(&op.input, op.axes.clone(), &op.out),
            Base::Slice(op) => {
                let sides = op.tensor.shape.iter().zip(&op.ranges);
                let ranges: Option<Vec<[i64; 3]>> = sides
                    .map(|(side, range)| {
                        let at = |place: isize| if place < 0 { place + *side as isize } else { place };
                        let end = range.end.map_or(*side as isize, at);
                        (range.step >= 1).then_some([at(range.start) as i64, end as i64, range.step as i64])
                    })
                    .collect();
                let ranges = ranges?;
                let [starts, ends, steps] = [0, 1, 2]
                    .map(|part| self.integers(&ranges.iter().map(|range| range[part]).collect::<Vec<_>>()));
                let axes = self.integers(&(0..ranges.len() as i64).collect::<Vec<_>>());
                let x = self.name(&op.tensor);
                self.write("Slice", vec![x, starts, ends, axes, steps], &op.out, vec![])
            }
            Base::Cat(op) => {
                let inputs = op.tensors.iter().map(|tensor| self.name(tensor)).collect();
                self.write("Concat", inputs, &op.out, vec![int("axis", op.dim as i64)])
            }
            Base::RepeatDim(op) => {
                let mut times = vec![1; op.tensor.shape.len()];
                times[op.dim] = op.times as i64;
                let (x, times) = (self.name(&op.tensor), self.integers(&times));
                self.write("Tile", vec![x, times], &op.out, vec![])
            }
            Base::Scatter(op) if op.update == IndexingUpdateOp::Add => {
                let inputs = self.all([Some(&op.tensor), Some(&op.indices), Some(&op.value)]);
                let attributes = vec![int("axis", op.dim as i64), text("reduction", "add")];
                self.write("ScatterElements", inputs, &op.out, attributes)
            }
            Base::Gather(op) => {
                let inputs = self.all([Some(&op.tensor), Some(&op.indices)]);
                self.write("GatherElements", inputs, &op.out, vec![int("axis", op.dim as i64)])
            }
            Base::Select(op) => {
                let inputs = self.all([Some(&op.tensor), Some(&op.indices)]);
                self.write("Gather", inputs, &op.out, vec![int("axis", op.dim as i64)])
            }
            Base::Zeros(op) => self.filled(0.0, &op.out),
            Base::Ones(op) => self.filled(1.0, &op.out),
            Base::Cast(op) => self.cast(&op.input, &op.out),
            Base::MaskFill(op) => {
                let (mask, tensor) = (self.name(&op.mask), self.name(&op.tensor));
                let value = self.scalar(op.value.elem::<f64>(), op.tensor.dtype);
                self.write("Where", vec![mask, value, tensor], &op.out, vec![])
            }
            Base::MaskWhere(op) => {
                let inputs = self.all([Some(&op.mask), Some(&op.value), Some(&op.tensor)]);
                self.write("Where", inputs, &op.out, vec![])
            }
            _ => None,
        }
    }

    fn unary(&mut self, kind: &str, x: &TensorIr, out: &TensorIr) -> Option<()> {
        let inputs = self.all([Some(x)]);
        self.write(kind, inputs, out, vec![])
    }

    fn binary(&mut self, kind: &str, a: &TensorIr, b: &TensorIr, out: &TensorIr) -> Option<()> {
        let inputs = self.all([Some(a), Some(b)]);
        self.write(kind, inputs, out, vec![])
    }

    fn with_scalar(&mut self, kind: &str, x: &TensorIr, scalar: ScalarIr, out: &TensorIr) -> Option<()> {
        let inputs = vec![self.name(x), self.scalar(scalar.elem::<f64>(), x.dtype)];
        self.write(kind, inputs, out, vec![])
    }

    fn reduced(&mut self, kind: &str, x: &TensorIr, axis: usize, out: &TensorIr) -> Option<()> {
        let inputs = self.all([Some(x)]);
        self.write(kind, inputs, out, vec![ints("axes", [axis])])
    }

    /// An operation that is told the shape of what it gives.
    fn shaped(&mut self, kind: &str, x: &TensorIr, out: &TensorIr) -> Option<()> {
        let shape: Vec<i64> = out.shape.iter().map(|side| *side as i64).collect();
        let inputs = vec![self.name(x), self.integers(&shape)];
        self.write(kind, inputs, out, vec![])
    }

    fn transposed(&mut self, x: &TensorIr, axes: Vec<usize>, out: &TensorIr) -> Option<()> {
        let inputs = self.all([Some(x)]);
        self.write("Transpose", inputs, out, vec![ints("perm", axes)])
    }

    fn filled(&mut self, value: f64, out: &TensorIr) -> Option<()> {
        let shape: Vec<i64> = out.shape.iter().map(|side| *side as i64).collect();
        let inputs = vec![self.scalar(value, out.dtype), self.integers(&shape)];
        self.write("Expand", inputs, out, vec![])
    }

    fn cast(&mut self, x: &TensorIr, out: &TensorIr) -> Option<()> {
        let inputs = self.all([Some(x)]);
        self.write("Cast", inputs, out, vec![int("to", i64::from(element(out.dtype)))])
    }
}
