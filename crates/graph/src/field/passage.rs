//! What an operation does to the sides of a map.

use burn::tensor::{Slice, TensorData};
use burn_ir::{
    BaseOperationIr as Base, FloatOperationIr as Float, InterpolateModeIr as Mode,
    ModuleOperationIr as Module, NumericOperationIr as Numeric, OperationIr, TensorId, TensorIr,
};

use super::step::Step;
use crate::graph::Node;

/// Where the rows and columns of an input are in the output, and what happened along them.
pub(super) struct Passage {
    /// The axes of rows and columns in the output; `None` if places are no longer told apart.
    pub axes: Option<[usize; 2]>,
    /// Along rows and along columns.
    pub steps: [Step; 2],
}

impl Passage {
    fn through(axes: [usize; 2], steps: [Step; 2]) -> Option<Self> {
        Some(Self { axes: Some(axes), steps })
    }

    fn same(axes: [usize; 2]) -> Option<Self> {
        Self::through(axes, [Step::Same, Step::Same])
    }

    /// Each number is still made of the same pixels, but where they are its index does not tell.
    const LOST: Self = Self { axes: None, steps: [Step::Same, Step::Same] };
}

/// What becomes of an input whose rows and columns are these axes; `None` if it is not known. `constants` are numbers that
/// operations look up.
pub(super) fn of(
    operation: &OperationIr,
    input: TensorId,
    axes: [usize; 2],
    constants: impl Fn(TensorId) -> Option<TensorData>,
) -> Option<Passage> {
    let on_map = axes == [2, 3];
    match operation {
        OperationIr::Module(operation) if on_map => module(operation),
        OperationIr::Module(Module::Linear(linear)) => contracted(&linear.x, axes),
        OperationIr::Module(_) => None,
        OperationIr::Float(_, Float::Matmul(matmul)) => {
            if matmul.lhs.id == input {
                contracted(&matmul.lhs, axes)
            } else {
                None
            }
        }
        OperationIr::Float(_, Float::GridSample2d(_) | Float::Cross(_)) => None,
        OperationIr::Float(..) => Passage::same(axes),
        OperationIr::Activation(operation) => {
            use burn_ir::ActivationOperationIr::{LogSoftmax, Softmax, Softmin};
            match operation {
                Softmax(op) | LogSoftmax(op) | Softmin(op) => reduced(&[op.axis], axes),
                _ => Passage::same(axes),
            }
        }
        OperationIr::NumericFloat(_, operation) => match operation {
            Numeric::MeanDim(op) | Numeric::SumDim(op) | Numeric::MaxDim(op) | Numeric::MinDim(op) => {
                reduced(&[op.axis], axes)
            }
            Numeric::SumDims(op) => reduced(&op.axes, axes),
            Numeric::Pad(op) => {
                let start = |axis: usize| -(op.padding[axis].0 as isize);
                Passage::through(axes, axes.map(|axis| Step::Shift { start: start(axis), step: 1 }))
            }
            Numeric::CumSum(_) | Numeric::Sort(_) | Numeric::Mean(_) | Numeric::Sum(_) => None,
            _ => broadcast(operation_output(operation)?, input, operation, axes),
        },
        OperationIr::BaseFloat(operation) => base(operation, axes, constants),
        _ => None,
    }
}

/// What becomes of the map that a layer of several operations reads; `None` if they tell it one by one.
pub(super) fn of_layer(node: &Node) -> Option<Passage> {
    match node.kind.as_str() {
        "channel_shuffle" | "response_norm" => Passage::same([2, 3]),
        // The places of the maxima are no numbers that a gradient goes through.
        "max_unpool2d" => {
            let from = node.operations.get(2)?.inputs().next()?;
            let step = |axis: usize| {
                let (from, to) = (from.shape[axis], node.output.shape[axis]);
                Step::Resize { from, to, taps: 1, corners: false }
            };
            Passage::through([2, 3], [step(2), step(3)])
        }
        _ => None,
    }
}

fn module(operation: &Module) -> Option<Passage> {
    let map = [2, 3];
    let window = |kernel: [usize; 2], stride: [usize; 2], before: [usize; 2], dilation: [usize; 2]| {
        Passage::through(
            map,
            [0, 1].map(|side| Step::Window {
                reach: dilation[side] * (kernel[side] - 1) + 1,
                stride: stride[side],
                before: before[side],
            }),
        )
    };
    match operation {
        Module::Conv2d(conv) => {
            let [_, _, rows, columns] = conv.weight.shape.as_slice() else { return None };
            let options = &conv.options;
            let before = options.padding.map(|(before, _)| before);
            window([*rows, *columns], options.stride, before, options.dilation)
        }
        Module::ConvTranspose2d(conv) => {
            let [_, _, rows, columns] = conv.weight.shape.as_slice() else { return None };
            let (options, kernel) = (&conv.options, [*rows, *columns]);
            Passage::through(
                map,
                [0, 1].map(|side| Step::Transposed {
                    reach: options.dilation[side] * (kernel[side] - 1) + 1,
                    stride: options.stride[side],
                    before: options.padding[side],
                }),
            )
        }
        Module::MaxPool2d(pool) => window(pool.kernel_size, pool.stride, pool.padding, pool.dilation),
        Module::MaxPool2dWithIndices(pool) => {
            window(pool.kernel_size, pool.stride, pool.padding, pool.dilation)
        }
        Module::AvgPool2d(pool) => window(pool.kernel_size, pool.stride, pool.padding, [1, 1]),
        Module::BatchNorm(_) => Passage::same(map),
        Module::AdaptiveAvgPool2d(pool) => {
            let steps = [0, 1].map(|side| match (pool.x.shape[2 + side], pool.output_size[side]) {
                (_, 1) => Step::Whole,
                (from, to) => Step::Bins { from, to },
            });
            Passage::through(map, steps)
        }
        Module::Interpolate(resize) => {
            let taps = match resize.options.mode {
                Mode::Nearest => 1,
                Mode::Bilinear => 2,
                _ => return None,
            };
            let corners = resize.options.align_corners && taps > 1;
            let steps = [0, 1].map(|side| Step::Resize {
                from: resize.x.shape[2 + side],
                to: resize.output_size[side],
                taps,
                corners,
            });
            Passage::through(map, steps)
        }
        _ => None,
    }
}

fn base(
    operation: &Base,
    axes: [usize; 2],
    constants: impl Fn(TensorId) -> Option<TensorData>,
) -> Option<Passage> {
    match operation {
        Base::Reshape(op) => Some(reshaped(op.input.shape.as_slice(), op.out.shape.as_slice(), axes)),
        Base::SwapDims(op) => {
            let swapped = |axis| match axis {
                axis if axis == op.dim1 => op.dim2,
                axis if axis == op.dim2 => op.dim1,
                axis => axis,
            };
            Passage::same(axes.map(swapped))
        }
        Base::Permute(op) => {
            let place = |axis: usize| op.axes.iter().position(|from| *from == axis);
            Passage::same([place(axes[0])?, place(axes[1])?])
        }
        Base::Expand(op) => {
            let more = op.out.shape.len() - op.input.shape.len();
            let kept = axes.iter().all(|axis| op.input.shape[*axis] == op.out.shape[axis + more]);
            if kept { Passage::same(axes.map(|axis| axis + more)) } else { None }
        }
        Base::RepeatDim(op) => {
            if axes.contains(&op.dim) {
                None
            } else {
                Passage::same(axes)
            }
        }
        Base::Cat(op) => {
            if axes.contains(&op.dim) {
                Some(Passage::LOST)
            } else {
                Passage::same(axes)
            }
        }
        Base::Slice(op) => {
            let step = |axis: usize| match op.ranges.get(axis) {
                None => Some(Step::Same),
                Some(slice) if slice.step >= 1 => Some(sliced(slice, op.tensor.shape[axis])),
                Some(_) => None,
            };
            Passage::through(axes, [step(axes[0])?, step(axes[1])?])
        }
        Base::Select(op) if !axes.contains(&op.dim) => Passage::same(axes),
        Base::Select(op) => {
            let places = constants(op.indices.id)?.convert::<i64>().try_into_vec::<i64>().ok()?;
            let places: Vec<usize> = places.into_iter().map(|place| place as usize).collect();
            let step = |axis| if axis == op.dim { Step::Select(places.clone()) } else { Step::Same };
            Passage::through(axes, axes.map(step))
        }
        Base::Cast(_) => Passage::same(axes),
        Base::MaskWhere(_) | Base::MaskFill(_) => Passage::same(axes),
        _ => None,
    }
}

fn sliced(slice: &Slice, side: usize) -> Step {
    let start = if slice.start < 0 { slice.start + side as isize } else { slice.start };
    Step::Shift { start, step: slice.step.unsigned_abs() }
}

/// Of a sum over the last axis.
fn contracted(input: &TensorIr, axes: [usize; 2]) -> Option<Passage> {
    reduced(&[input.shape.len() - 1], axes)
}

fn reduced(over: &[usize], axes: [usize; 2]) -> Option<Passage> {
    Passage::through(axes, axes.map(|axis| if over.contains(&axis) { Step::Whole } else { Step::Same }))
}

fn operation_output(operation: &Numeric) -> Option<TensorIr> {
    OperationIr::NumericFloat(burn::tensor::DType::F32, operation.clone()).outputs().next().cloned()
}

/// Of arithmetic on numbers of the same place: an input with fewer axes has those of the output's end.
fn broadcast(output: TensorIr, input: TensorId, operation: &Numeric, axes: [usize; 2]) -> Option<Passage> {
    let operation = OperationIr::NumericFloat(output.dtype, operation.clone());
    let input = operation.inputs().find(|tensor| tensor.id == input)?.clone();
    let same = |axis: &usize| input.shape[*axis] == output.shape[*axis];
    if input.shape.len() == output.shape.len() && axes.iter().all(same) { Passage::same(axes) } else { None }
}

/// Each side of the map is found again where as many numbers stand before it; a side that was split or joined with one
/// that is none of the map's is a window or an enlarging.
fn reshaped(from: &[usize], to: &[usize], axes: [usize; 2]) -> Passage {
    let before = |shape: &[usize], axis: usize| shape[..axis].iter().product::<usize>();
    let mut found = [(0, Step::Same), (0, Step::Same)];
    for (side, axis) in axes.into_iter().enumerate() {
        let size = from[axis];
        let other = axes[1 - side];
        let places = (0..to.len()).filter(|place| before(to, *place) == before(from, axis));
        let step = |place: usize| match to[place] {
            same if same == size => Some(Step::Same),
            fewer if fewer > 1 && size.is_multiple_of(fewer) => {
                let factor = size / fewer;
                Some(Step::Window { reach: factor, stride: factor, before: 0 })
            }
            more if more > size && more.is_multiple_of(size) && other != axis + 1 => {
                Some(Step::Resize { from: size, to: more, taps: 1, corners: false })
            }
            _ => None,
        };
        let Some(place) = places.filter_map(|place| Some((place, step(place)?))).next_back() else {
            return Passage::LOST;
        };
        found[side] = place;
    }
    let [(row, along_rows), (column, along_columns)] = found;
    if row == column {
        return Passage::LOST;
    }
    Passage { axes: Some([row, column]), steps: [along_rows, along_columns] }
}
