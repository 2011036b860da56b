//! A graph as an ONNX file (opset 17), its weights in it.

mod module;
mod operation;
mod proto;

use std::collections::{BTreeMap, HashMap};

use burn::module::{ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::{DType, TensorData};
use burn_ir::{TensorId, TensorIr};
use kiln_core::{Error, Result};
use prost::Message;

use crate::graph::{Graph, Node};
use proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto,
};

/// The set of operators.
const OPSET: i64 = 17;
/// What the input is called.
const IMAGES: &str = "images";

impl Graph {
    /// An ONNX file of the graph with the weights of the module that it was captured from. It takes `images` of the captured
    /// shape, and gives what the outputs are called; weights are called as in PyTorch; `metadata` is written beside them.
    ///
    /// # Errors
    /// An operation that ONNX is not known to have; a weight that the module does not have.
    pub fn onnx<M: Module>(&self, module: &M, metadata: &[(&str, String)]) -> Result<Vec<u8>> {
        let mut values = Values::default();
        module.visit(&mut values);
        let mut file = File::default();
        file.names.insert(self.input, IMAGES.to_string());
        let outputs = self.outputs.iter().map(|output| (output.tensor, output.name.clone()));
        file.names.extend(outputs);
        for weight in &self.weights {
            let Some(id) = weight.tensor else { continue };
            let name = pytorch(&weight.name);
            let used = self.nodes.iter().any(|node| reads(node, id));
            if used {
                let value = values.found.remove(&weight.name);
                let value = value
                    .ok_or_else(|| Error::failure(format!("the module has no weight `{}`", weight.name)))?;
                file.initializer(name.clone(), value)?;
            }
            file.names.insert(id, name);
        }
        for (id, value) in &self.constants {
            let name = format!("constant_{}", file.names.len());
            file.initializer(name.clone(), value.clone())?;
            file.names.insert(*id, name);
        }
        for node in &self.nodes {
            file.node(node)?;
        }
        let shape = |id: TensorId| self.shape_of(id);
        let images: Vec<usize> = self.images.to_vec();
        let entry = |(key, value): &(&str, String)| StringStringEntryProto {
            key: key.to_string(),
            value: value.clone(),
        };
        let model = ModelProto {
            ir_version: 8,
            producer_name: "kiln".to_string(),
            producer_version: env!("CARGO_PKG_VERSION").to_string(),
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            metadata_props: metadata.iter().map(entry).collect(),
            graph: Some(GraphProto {
                name: "kiln".to_string(),
                node: file.nodes,
                initializer: file.initializers,
                input: vec![value_info(IMAGES, &images)],
                output: self
                    .outputs
                    .iter()
                    .map(|output| value_info(&output.name, &shape(output.tensor)))
                    .collect(),
            }),
        };
        Ok(model.encode_to_vec())
    }

    fn shape_of(&self, id: TensorId) -> Vec<usize> {
        let given = self
            .nodes
            .iter()
            .flat_map(|node| node.operations.iter().flat_map(|operation| operation.outputs()));
        given
            .into_iter()
            .find(|tensor| tensor.id == id)
            .map_or(self.images.to_vec(), |tensor| tensor.shape.to_vec())
    }
}

fn reads(node: &Node, id: TensorId) -> bool {
    node.operations.iter().any(|operation| operation.inputs().any(|tensor| tensor.id == id))
}

/// PyTorch's name of a weight.
fn pytorch(name: &str) -> String {
    let (module, last) = name.rsplit_once('.').unwrap_or(("", name));
    let last = match last {
        "gamma" => "weight",
        "beta" => "bias",
        other => other,
    };
    if module.is_empty() { last.to_string() } else { format!("{module}.{last}") }
}

/// Reads a module's numbers.
#[derive(Default)]
struct Values {
    path: Vec<Option<String>>,
    found: HashMap<String, TensorData>,
}

impl ModuleVisitor for Values {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push((!container.starts_with("Enum:")).then(|| name.to_string()));
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path: Vec<&str> = self.path.iter().flatten().map(String::as_str).collect();
        self.found.insert(path.join("."), param.val().into_data());
    }
}

/// What is written so far.
#[derive(Default)]
struct File {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    names: HashMap<TensorId, String>,
    /// Numbers of shapes and scalars, by what is in them.
    small: BTreeMap<String, String>,
    /// The node that is being written, and how many names it has given.
    at: (String, usize),
}

impl File {
    fn node(&mut self, node: &Node) -> Result<()> {
        self.at = (node.name.clone(), 0);
        self.names.entry(node.output.id).or_insert_with(|| node.name.clone());
        if self.layer(node) {
            return Ok(());
        }
        for operation in &node.operations {
            if self.operation(operation).is_none() {
                let error =
                    Error::input(format!("`{}` cannot be written as ONNX", node.kind)).place(&node.name);
                return Err(error.hint("operations without a counterpart in opset 17 cannot"));
            }
        }
        Ok(())
    }

    /// The name of a tensor.
    fn name(&mut self, tensor: &TensorIr) -> String {
        if let Some(name) = self.names.get(&tensor.id) {
            return name.clone();
        }
        let name = self.fresh();
        self.names.insert(tensor.id, name.clone());
        name
    }

    /// A name that nothing has.
    fn fresh(&mut self) -> String {
        self.at.1 += 1;
        format!("{}/{}", self.at.0, self.at.1)
    }

    /// An operation from named tensors to another.
    fn push(&mut self, kind: &str, inputs: Vec<String>, output: String, attributes: Vec<AttributeProto>) {
        self.push_all(kind, inputs, vec![output], attributes);
    }

    fn push_all(
        &mut self,
        kind: &str,
        inputs: Vec<String>,
        outputs: Vec<String>,
        attributes: Vec<AttributeProto>,
    ) {
        let name = format!("{}/{kind}_{}", self.at.0, self.nodes.len());
        self.nodes.push(NodeProto {
            input: inputs,
            output: outputs,
            name,
            op_type: kind.to_string(),
            attribute: attributes,
        });
    }

    /// An operation whose result only the next one reads: its name.
    fn between(&mut self, kind: &str, inputs: Vec<String>, attributes: Vec<AttributeProto>) -> String {
        let name = self.fresh();
        self.push(kind, inputs, name.clone(), attributes);
        name
    }

    /// A tensor of whole numbers, as a shape.
    fn integers(&mut self, numbers: &[i64]) -> String {
        let key = format!("{numbers:?}");
        if let Some(name) = self.small.get(&key) {
            return name.clone();
        }
        let name = format!("shape_{}", self.small.len());
        self.initializers.push(TensorProto {
            dims: vec![numbers.len() as i64],
            data_type: INT64,
            name: name.clone(),
            raw_data: numbers.iter().flat_map(|number| number.to_le_bytes()).collect(),
        });
        self.small.insert(key, name.clone());
        name
    }

    /// A number of a tensor's kind.
    fn scalar(&mut self, number: f64, dtype: DType) -> String {
        let key = format!("{number:?} {dtype:?}");
        if let Some(name) = self.small.get(&key) {
            return name.clone();
        }
        let name = format!("number_{}", self.small.len());
        let data_type = element(dtype);
        let raw_data = match data_type {
            INT64 => (number as i64).to_le_bytes().to_vec(),
            INT32 => (number as i32).to_le_bytes().to_vec(),
            _ => (number as f32).to_le_bytes().to_vec(),
        };
        self.initializers.push(TensorProto { dims: Vec::new(), data_type, name: name.clone(), raw_data });
        self.small.insert(key, name.clone());
        name
    }

    fn initializer(&mut self, name: String, value: TensorData) -> Result<()> {
        let dims = value.shape().iter().map(|side| *side as i64).collect();
        let dtype = value.dtype();
        let (data_type, raw_data) = match element(dtype) {
            FLOAT => {
                let numbers = value.convert::<f32>().try_into_vec::<f32>();
                let numbers = numbers.map_err(|why| Error::failure(format!("`{name}`: {why:?}")))?;
                (FLOAT, numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
            }
            _ => {
                let numbers = value.convert::<i64>().try_into_vec::<i64>();
                let numbers = numbers.map_err(|why| Error::failure(format!("`{name}`: {why:?}")))?;
                (INT64, numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
            }
        };
        self.initializers.push(TensorProto { dims, data_type, name, raw_data });
        Ok(())
    }
}

const FLOAT: i32 = 1;
const INT32: i32 = 6;
const INT64: i32 = 7;
const BOOL: i32 = 9;

/// ONNX's number of a kind of numbers.
fn element(dtype: DType) -> i32 {
    match dtype {
        DType::I64 | DType::U64 => INT64,
        DType::I32 | DType::U32 => INT32,
        DType::Bool(_) => BOOL,
        _ => FLOAT,
    }
}

fn value_info(name: &str, shape: &[usize]) -> ValueInfoProto {
    let dim = shape.iter().map(|side| DimensionProto { dim_value: Some(*side as i64) }).collect();
    let tensor_type = Some(TensorTypeProto { elem_type: FLOAT, shape: Some(TensorShapeProto { dim }) });
    ValueInfoProto { name: name.to_string(), r#type: Some(TypeProto { tensor_type }) }
}

fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.to_string(), i: Some(value), r#type: 2, ..AttributeProto::default() }
}

fn float(name: &str, value: f64) -> AttributeProto {
    AttributeProto { name: name.to_string(), f: Some(value as f32), r#type: 1, ..AttributeProto::default() }
}

fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_string(),
        s: Some(value.as_bytes().to_vec()),
        r#type: 3,
        ..AttributeProto::default()
    }
}

fn ints(name: &str, values: impl IntoIterator<Item = usize>) -> AttributeProto {
    let ints = values.into_iter().map(|value| value as i64).collect();
    AttributeProto { name: name.to_string(), ints, r#type: 7, ..AttributeProto::default() }
}
