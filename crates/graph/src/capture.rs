//! A network is run on Burn's capture device, and what it did becomes a [`Graph`].

use std::collections::{BTreeMap, HashMap, HashSet};

use burn::module::{ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::prelude::*;
use burn::tensor::{Bool, TensorData};
use burn_capture::CaptureBackend;
use burn_ir::{BaseOperationIr, IrVisitorMut, OperationIr, TensorId, TensorIr};
use kiln_core::{Error, Result};

use crate::graph::{Graph, Output, Role, Weight};
use crate::{name, node};

/// No side of a tensor that fits a memory is longer.
const MOST: usize = 1 << 40;

impl Output {
    /// A tensor that a network gives while it is recorded, under a name.
    ///
    /// # Panics
    /// If the tensor is on another device.
    pub fn new<const D: usize>(name: impl Into<String>, tensor: &Tensor<D>) -> Self {
        Self { name: name.into(), tensor: id(tensor) }
    }
}

impl Graph {
    /// The graph of a module that takes images `[batch, 3, height, width]`. Its weights are not copied: the graph has their names
    /// and shapes. `run` gives what the module says; operations that it does not depend on are left out.
    ///
    /// # Errors
    /// A tensor that shrinks to nothing on the way: the images are too small.
    ///
    /// # Panics
    /// If the module does: shapes that do not fit it.
    pub fn capture<M: Module>(
        module: &M,
        images: [usize; 4],
        run: impl FnOnce(&M, Tensor<4>) -> Vec<Output>,
    ) -> Result<Self> {
        let mut frozen = Frozen::default();
        module.visit(&mut frozen);
        // In evaluation mode, and with running statistics of its own: a clone would share them.
        let module = module.valid();
        let mut graph =
            Self::record(images, |device| module.map(&mut Blank { device: device.clone() }), run)?;
        for weight in graph.weights.iter_mut().filter(|weight| frozen.found.contains(&weight.parameter)) {
            weight.role = Role::Frozen;
        }
        Ok(graph)
    }

    /// As [`Graph::capture`], of a module that `build` makes on the recording device: nothing is drawn for its weights.
    ///
    /// # Errors
    /// As [`Graph::capture`].
    ///
    /// # Panics
    /// As [`Graph::capture`].
    pub fn record<M: Module>(
        images: [usize; 4],
        build: impl FnOnce(&Device) -> M,
        run: impl FnOnce(&M, Tensor<4>) -> Vec<Output>,
    ) -> Result<Self> {
        let device = Device::capture();
        let (mut weights, mut ends) = (Weights::default(), None);
        let captured = device.capture_scope(|scope| {
            let module = build(&device);
            let x = Tensor::<4>::zeros(images, &device);
            let input = id(&x);
            let outputs = run(&module, x);
            module.visit(&mut weights);
            ends = Some((input, outputs));
            scope.complete([], [])
        });
        let captured =
            captured.map_err(|why| Error::failure(format!("the graph cannot be recorded: {why}")))?;
        let (input, outputs) = ends.unwrap_or_else(|| unreachable!("the scope has run"));
        // A kernel that is larger than its input leaves no pixel, or as many as an underflow makes of it.
        let shrunk = |tensor: &TensorIr| tensor.shape.iter().any(|side| *side == 0 || *side > MOST);
        if captured.graph.operations.iter().any(|operation| operation.outputs().any(shrunk)) {
            return Err(Error::input("a tensor shrinks to nothing on the way"));
        }
        let Weights { found: weights, modules, .. } = weights;
        let ours: HashSet<TensorId> = weights.iter().filter_map(|weight| weight.tensor).collect();
        let boundary = |id: &TensorId| *id == input || ours.contains(id);
        let (operations, outputs) = without_copies(captured.graph.operations, outputs);
        let operations = needed(operations, &outputs, boundary);
        let used: HashSet<TensorId> =
            operations.iter().flat_map(|operation| operation.inputs()).map(|tensor| tensor.id).collect();
        let constants: BTreeMap<TensorId, TensorData> =
            captured.values.into_iter().filter(|(id, _)| used.contains(id) && !ours.contains(id)).collect();
        let mut nodes = node::nodes(operations, input, &weights, &outputs);
        name::give(&mut nodes, &weights);
        Ok(Self { images, input, nodes, outputs, weights, modules, constants })
    }
}

/// The operations without those that give what they are given: whole slices, one tensor joined with none.
fn without_copies(operations: Vec<OperationIr>, outputs: Vec<Output>) -> (Vec<OperationIr>, Vec<Output>) {
    struct Originals(HashMap<TensorId, TensorId>);
    impl IrVisitorMut for Originals {
        fn visit_tensor_mut(&mut self, tensor: &mut TensorIr) {
            tensor.id = self.of(tensor.id);
        }
    }
    impl Originals {
        fn of(&self, id: TensorId) -> TensorId {
            self.0.get(&id).copied().unwrap_or(id)
        }
    }
    let mut originals = Originals(HashMap::new());
    let mut kept = Vec::with_capacity(operations.len());
    for mut operation in operations {
        operation.visit_mut(&mut originals);
        let copied = match &operation {
            OperationIr::BaseFloat(BaseOperationIr::Cat(cat)) if cat.tensors.len() == 1 => {
                Some((&cat.tensors[0], &cat.out))
            }
            OperationIr::BaseFloat(BaseOperationIr::Slice(slice)) => Some((&slice.tensor, &slice.out)),
            OperationIr::BaseFloat(BaseOperationIr::Reshape(reshape)) => Some((&reshape.input, &reshape.out)),
            _ => None,
        };
        match copied.filter(|(from, to)| from.shape == to.shape) {
            Some((from, to)) => drop(originals.0.insert(to.id, from.id)),
            None => kept.push(operation),
        }
    }
    let outputs = outputs.into_iter().map(|output| Output { tensor: originals.of(output.tensor), ..output });
    (kept, outputs.collect())
}

/// The operations that outputs depend on, in their order; what boundary tensors come from is nobody's matter.
fn needed(
    operations: Vec<OperationIr>,
    outputs: &[Output],
    boundary: impl Fn(&TensorId) -> bool,
) -> Vec<OperationIr> {
    let mut wanted: HashSet<TensorId> =
        outputs.iter().map(|output| output.tensor).filter(|id| !boundary(id)).collect();
    let mut kept: Vec<OperationIr> = Vec::new();
    for operation in operations.into_iter().rev() {
        if operation.outputs().any(|tensor| wanted.contains(&tensor.id)) {
            wanted.extend(operation.inputs().map(|tensor| tensor.id).filter(|id| !boundary(id)));
            kept.push(operation);
        }
    }
    kept.reverse();
    kept
}

fn id<const D: usize>(tensor: &Tensor<D>) -> TensorId {
    let tensor = tensor.clone().try_into_primitive::<CaptureBackend>();
    tensor.unwrap_or_else(|_| panic!("a tensor that is not recorded")).id()
}

/// Puts a tensor without numbers in the place of every parameter.
struct Blank {
    device: Device,
}

impl ModuleMapper for Blank {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        Param::initialized(param.id, Tensor::empty(param.lazy_shape(), &self.device))
    }
    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        param.map(|tensor| tensor.to_device(&self.device))
    }
    fn map_bool<const D: usize>(&mut self, param: Param<Tensor<D, Bool>>) -> Param<Tensor<D, Bool>> {
        param.map(|tensor| tensor.to_device(&self.device))
    }
}

/// Finds the parameters of a module in training that are not to learn.
#[derive(Default)]
struct Frozen {
    statistic: bool,
    found: HashSet<ParamId>,
}

impl ModuleVisitor for Frozen {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.statistic = name.starts_with("running_");
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !self.statistic && param.lazy_device().is_autodiff() && !param.is_require_grad() {
            self.found.insert(param.id);
        }
    }
}

/// Reads the names of a recorded module's parameters.
#[derive(Default)]
struct Weights {
    path: Vec<Option<String>>,
    modules: BTreeMap<String, String>,
    found: Vec<Weight>,
}

impl Weights {
    fn path(&self) -> String {
        self.path.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(".")
    }
}

impl ModuleVisitor for Weights {
    fn enter_module(&mut self, name: &str, container: &str) {
        if let Some(kind) = container.strip_prefix("Struct:") {
            self.modules.insert(self.path(), kind.to_string());
        }
        // An enum's variants have no name in weight files.
        self.path.push((!container.starts_with("Enum:")).then(|| name.to_string()));
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let is_state = self
            .path
            .last()
            .is_some_and(|name| name.as_deref().is_some_and(|name| name.starts_with("running_")));
        self.found.push(Weight {
            name: self.path(),
            shape: param.lazy_shape().to_vec(),
            role: if is_state { Role::Buffer } else { Role::Trainable },
            // One that no operation has asked for has no value.
            parameter: param.id,
            tensor: param.is_initialized().then(|| id(&param.val())),
        });
    }
}
