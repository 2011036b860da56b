//! What a node sees of the image.

mod passage;
mod step;

use std::collections::HashMap;
use std::ops::RangeInclusive;

use burn_ir::{FloatOperationIr as Float, ModuleOperationIr as Module, OperationIr, TensorId, TensorIr};

use crate::graph::{Graph, Node};
use passage::Passage;
pub use step::Side;
use step::Step;

/// What each number of a tensor sees of the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// Along rows and along columns. Where branches of different fields are joined, of the largest.
    pub sides: [Side; 2],
    /// Which axes tell where in the image a number's field is; `None` if they no longer do.
    pub axes: Option<[usize; 2]>,
    /// Whether every number sees all that the network looks at.
    pub whole: bool,
    /// Whether all branches that were joined on the way had the same stride and the same centre.
    pub aligned: bool,
    /// Pixels that all numbers see together.
    extent: [f64; 2],
}

/// Centres closer than this, in pixels, are the same.
const NEAR: f64 = 1e-6;

/// Rows and columns from the first to the last.
pub type Pixels = [RangeInclusive<usize>; 2];

impl Graph {
    /// What every node sees, in their order; `None` where an operation on the way is not known.
    pub fn fields(&self) -> Vec<Option<Field>> {
        let known = self.tensor_fields();
        self.nodes.iter().map(|node| known.get(&node.output.id).copied()).collect()
    }

    /// What one of them sees.
    pub fn field(&self, node: &Node) -> Option<Field> {
        self.tensor_fields().get(&node.output.id).copied()
    }

    fn tensor_fields(&self) -> HashMap<TensorId, Field> {
        let [_, _, rows, columns] = self.images;
        let image = Field {
            sides: [Side::PIXEL; 2],
            axes: Some([2, 3]),
            whole: false,
            aligned: true,
            extent: [rows as f64, columns as f64],
        };
        let mut known = HashMap::from([(self.input, image)]);
        for look in self.nodes.iter().filter(|node| !node.constant).flat_map(looks) {
            let fields = look.inputs.iter().map(|tensor| self.after(&look, tensor, known.get(&tensor.id)?));
            let fields: Option<Vec<Field>> = fields.collect();
            let Some(field) = fields.and_then(|fields| fields.into_iter().reduce(joined)) else { continue };
            for output in look.outputs {
                let mut field = field;
                if let Some(axes) = field.axes {
                    field.extent = [0, 1].map(|side| field.sides[side].extent(output.shape[axes[side]]));
                }
                known.insert(output.id, field);
            }
        }
        known
    }

    /// What an operation makes of the field of one of its inputs.
    fn after(&self, look: &Look, input: &TensorIr, field: &Field) -> Option<Field> {
        let Some(axes) = field.axes else {
            let sums = matches!(
                look.operation,
                OperationIr::Float(_, Float::Matmul(_)) | OperationIr::Module(Module::Linear(_))
            );
            if !sums {
                return Some(*field);
            }
            let side = |side: usize| Side { size: field.extent[side], ..field.sides[side] };
            return Some(Field { sides: [side(0), side(1)], whole: true, ..*field });
        };
        let Passage { axes: left, steps } = self.passage(look, input, axes)?;
        let side = |side: usize| steps[side].field(field.sides[side], input.shape[axes[side]]);
        let whole = field.whole || steps.iter().all(|step| *step == Step::Whole);
        Some(Field { sides: [side(0), side(1)], axes: left, whole, ..*field })
    }

    fn passage(&self, look: &Look, input: &TensorIr, axes: [usize; 2]) -> Option<Passage> {
        match look.layer {
            Some(node) => passage::of_layer(node),
            None => passage::of(look.operation, input.id, axes, |id| self.constants.get(&id).cloned()),
        }
    }

    /// The pixels that one number of a node sees, from the first row and column to the last: exact, borders and phases of
    /// resized maps included. `None` if an operation on the way is not known, or nothing is seen.
    ///
    /// # Panics
    /// If the node has no rows and columns, or not so many.
    pub fn sees(&self, node: &Node, [row, column]: [usize; 2]) -> Option<Pixels> {
        let fields = self.tensor_fields();
        let shape = |tensor: &TensorIr| {
            let axes = fields.get(&tensor.id)?.axes?;
            Some(axes.map(|axis| tensor.shape[axis]))
        };
        let sides = shape(&node.output).unwrap_or([1, 1]);
        assert!(row < sides[0] && column < sides[1], "row {row} and column {column} of {sides:?}");
        let mut needed: HashMap<TensorId, Pixels> =
            HashMap::from([(node.output.id, [row..=row, column..=column])]);
        let looks: Vec<Look> = self.nodes.iter().filter(|node| !node.constant).flat_map(looks).collect();
        for look in looks.iter().rev() {
            let wanted = look.outputs.iter().find_map(|output| needed.get(&output.id).cloned());
            let Some(wanted) = wanted else { continue };
            for input in &look.inputs {
                let Some(Field { axes: Some(axes), .. }) = fields.get(&input.id) else {
                    needed.insert(input.id, wanted.clone());
                    continue;
                };
                let sizes = axes.map(|axis| input.shape[axis]);
                let Passage { axes: kept, steps } = self.passage(look, input, *axes)?;
                let looked = |side: usize| match kept {
                    Some(_) => steps[side].needs(&wanted[side], sizes[side]),
                    None => Some(0..=sizes[side] - 1),
                };
                let (Some(rows), Some(columns)) = (looked(0), looked(1)) else { continue };
                needed
                    .entry(input.id)
                    .and_modify(|seen| *seen = [hull(&seen[0], &rows), hull(&seen[1], &columns)])
                    .or_insert([rows, columns]);
            }
        }
        needed.remove(&self.input)
    }
}

/// An operation that sees the image, or a layer of several that is looked at as one.
struct Look<'a> {
    operation: &'a OperationIr,
    layer: Option<&'a Node>,
    /// What of its inputs comes from the image.
    inputs: Vec<&'a TensorIr>,
    outputs: Vec<&'a TensorIr>,
}

fn looks(node: &Node) -> Vec<Look<'_>> {
    if passage::of_layer(node).is_some() {
        let operation = &node.operations[0];
        let read = node.operations.iter().flat_map(|operation| operation.inputs());
        // Of what it reads, the map: places of maxima come first and are whole numbers.
        let map = read.filter(|tensor| tensor.dtype.is_float() && node.inputs.contains(&tensor.id));
        let inputs = map.take(1).collect();
        return vec![Look { operation, layer: Some(node), inputs, outputs: vec![&node.output] }];
    }
    let mut moving: Vec<TensorId> = node.inputs.clone();
    let mut all = Vec::with_capacity(node.operations.len());
    for operation in &node.operations {
        let inputs: Vec<&TensorIr> =
            operation.inputs().filter(|tensor| moving.contains(&tensor.id)).collect();
        if !inputs.is_empty() {
            let outputs: Vec<&TensorIr> = operation.outputs().collect();
            moving.extend(outputs.iter().map(|output| output.id));
            all.push(Look { operation, layer: None, inputs, outputs });
        }
    }
    all
}

fn hull(a: &RangeInclusive<usize>, b: &RangeInclusive<usize>) -> RangeInclusive<usize> {
    *a.start().min(b.start())..=*a.end().max(b.end())
}

/// What a number sees that is made of two. Of one stride, the two fields together; if their centres are one, that is the
/// larger. Of two strides, how far each reaches differs from place to place, and the larger is given.
fn joined(a: Field, b: Field) -> Field {
    let larger = if a.sides[0].size >= b.sides[0].size { a } else { b };
    let near = |a: f64, b: f64| (a - b).abs() < NEAR;
    let one_stride = [0, 1].iter().all(|side| near(a.sides[*side].stride, b.sides[*side].stride));
    let one_center = [0, 1].iter().all(|side| near(a.sides[*side].center, b.sides[*side].center));
    let placed = a.axes.is_some() && a.axes == b.axes;
    let aligned = a.aligned && b.aligned && (!placed || (one_stride && one_center));
    let sides = [0, 1].map(|side| match one_stride && placed {
        true => union(a.sides[side], b.sides[side]),
        false => larger.sides[side],
    });
    let extent = [0, 1].map(|side| a.extent[side].max(b.extent[side]));
    Field { sides, axes: a.axes.filter(|_| placed), whole: a.whole || b.whole, aligned, extent }
}

fn union(a: Side, b: Side) -> Side {
    let reach = |side: &Side| (side.size - 1.0) / 2.0;
    let first = (a.center - reach(&a)).min(b.center - reach(&b));
    let last = (a.center + reach(&a)).max(b.center + reach(&b));
    Side { size: last - first + 1.0, stride: a.stride, center: (first + last) / 2.0 }
}
