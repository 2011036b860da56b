//! What PyTorch's pickles call, and what they call storages.

use kiln_core::{Error, Result};

use super::machine::Machine;
use super::{Storage, Tensor, Value, damaged};
use crate::formats::Dtype;

/// What a function gives for its arguments.
pub fn call(machine: &mut Machine, function: Value, arguments: Value) -> Result<Value> {
    let class = machine.pickle.class(function);
    let name = class.ok_or_else(|| damaged("a call of what is no function"))?;
    let pickle = &machine.pickle;
    let called = pickle.text(name);
    match (called, pickle.items(arguments)) {
        ("collections.OrderedDict", []) => machine.new_dict(),
        // As Python 2 writes it: a list of pairs.
        ("collections.OrderedDict", [pairs]) => {
            let pair = |pair: &Value| match pickle.items(*pair) {
                [key, value] => Ok((*key, *value)),
                _ => Err(damaged("an ordered dictionary of what are no pairs")),
            };
            let pairs: Vec<_> = pickle.items(*pairs).iter().map(pair).collect::<Result<_>>()?;
            let made = machine.new_dict()?;
            if let Value::Dict(dict) = made {
                machine.extend_dict(dict, pairs.into_iter())?;
            }
            Ok(made)
        }
        ("__builtin__.set" | "builtins.set", [items @ Value::List(_)]) => Ok(*items),
        ("torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state", [data, ..]) => {
            Ok(*data)
        }
        // A tensor with attributes: the function that makes it, its type, what the function is given.
        ("torch._tensor._rebuild_from_type_v2", [Value::Class(maker), _, given, ..])
            if pickle.text(*maker) != called =>
        {
            call(machine, Value::Class(*maker), *given)
        }
        (
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2",
            [Value::Storage(storage), offset, Value::Tuple(shape), Value::Tuple(strides), ..],
        ) => {
            let dtype = pickle.storages[*storage as usize].dtype;
            let dtype = dtype.ok_or_else(|| damaged("a tensor that does not say what its numbers are"))?;
            let (storage, offset, shape, strides) = (*storage, *offset, *shape, *strides);
            machine.new_tensor(Tensor { storage, dtype, offset, shape, strides })
        }
        // For types that have no storage class of their own: after `requires_grad` and hooks, the type.
        (
            "torch._utils._rebuild_tensor_v3",
            [
                Value::Storage(storage),
                offset,
                Value::Tuple(shape),
                Value::Tuple(strides),
                _,
                _,
                Value::Class(dtype),
                ..,
            ],
        ) => {
            let named = pickle.text(*dtype).trim_start_matches("torch.");
            let dtype = Dtype::of_torch(named);
            let dtype = dtype.ok_or_else(|| unread(named))?;
            let (storage, offset, shape, strides) = (*storage, *offset, *shape, *strides);
            machine.new_tensor(Tensor { storage, dtype, offset, shape, strides })
        }
        (
            "torch._utils._rebuild_tensor"
            | "torch._utils._rebuild_tensor_v2"
            | "torch._utils._rebuild_tensor_v3",
            _,
        ) => Err(damaged("a tensor that is made of something else than a storage, a shape and strides")),
        _ => machine.new_object(name),
    }
}

/// What an identifier stands for: `('storage', torch.FloatStorage, key, device, count)`, or in old files of whole modules
/// `('module', class, file, source)`.
pub fn persistent(machine: &mut Machine, id: Value) -> Result<Value> {
    let pickle = &machine.pickle;
    let [Value::Text(kind), rest @ ..] = pickle.items(id) else {
        return Err(damaged("an identifier that is no tuple"));
    };
    match (pickle.text(*kind), rest) {
        ("storage", [Value::Class(class) | Value::Text(class), key, _, count, view @ ..]) => {
            if matches!(view, [Value::Tuple(_), ..]) {
                return Err(damaged("a view of a storage, as PyTorch wrote them before 0.4")
                    .hint("load it in PyTorch and save it again"));
            }
            let name = pickle.text(*class).rsplit('.').next().unwrap_or_default();
            let dtype = Dtype::of_torch(name);
            if dtype.is_none() && name != "UntypedStorage" {
                return Err(unread(name));
            }
            let (key, count) = (*key, *count);
            machine.new_storage(Storage { dtype, key, count })
        }
        ("module", [class @ Value::Class(_), ..]) => Ok(*class),
        _ => Err(damaged("an identifier of what is no storage")),
    }
}

fn unread(dtype: &str) -> Error {
    Error::input(format!("numbers of the type `{dtype}` are not read")).hint("save them as floats in PyTorch")
}
