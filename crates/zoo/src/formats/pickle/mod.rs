//! Python's pickles, as far as PyTorch writes them (protocols 2 to 5): a stack machine that builds plain values.
//!
//! Nothing is imported or called. The few functions that state dicts are made of are known by name ([`torch`]); every
//! other class gives an [`Object`], of which its class and its attributes are kept. Values are handles into the vectors of
//! [`Pickle`], so a pickle that nests a million tuples or holds itself is neither a deep recursion nor a copy.

mod input;
mod machine;
mod torch;

use kiln_core::Error;

use super::{COPY_AGAIN, Dtype};

pub use input::Input;
pub use machine::read;

/// The byte that a pickle begins with.
pub const PROTOCOL: u8 = 0x80;

/// A Python value.
#[derive(Debug, Clone, Copy)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Text(Text),
    Tuple(Items),
    /// A list or a set.
    List(u32),
    Dict(u32),
    /// A class or a function: `collections.OrderedDict`.
    Class(Text),
    Object(u32),
    Storage(u32),
    Tensor(u32),
    /// A float, bytes, a large integer: nothing that a state dict is made of.
    Other,
}

/// Something made by a class or a function that is not known here: a record, which does nothing.
#[derive(Debug, Clone, Copy)]
pub struct Object {
    pub class: Text,
    /// Its attributes: a dictionary, but for classes that keep them otherwise.
    pub state: Value,
}

/// A part of [`Pickle`]'s text.
#[derive(Debug, Clone, Copy)]
pub struct Text {
    start: u32,
    length: u32,
}

/// A part of [`Pickle`]'s items.
#[derive(Debug, Clone, Copy)]
pub struct Items {
    start: u32,
    length: u32,
}

impl Items {
    /// How many there are.
    pub fn len(self) -> u32 {
        self.length
    }
}

/// The numbers behind tensors, as the pickle names them.
#[derive(Debug, Clone, Copy)]
pub struct Storage {
    /// `None` where the storage does not know what it holds.
    pub dtype: Option<Dtype>,
    pub key: Value,
    /// Numbers in it; bytes where it does not know.
    pub count: Value,
}

/// A view of a storage; sizes are as they stand in the pickle, not checked.
#[derive(Debug, Clone, Copy)]
pub struct Tensor {
    pub storage: u32,
    pub dtype: Dtype,
    pub offset: Value,
    pub shape: Items,
    pub strides: Items,
}

/// A pickle that was read: a value, and what the handles in it stand for.
#[derive(Debug)]
pub struct Pickle {
    pub root: Value,
    text: String,
    items: Vec<Value>,
    lists: Vec<Vec<Value>>,
    dicts: Vec<Vec<(Value, Value)>>,
    objects: Vec<Object>,
    pub storages: Vec<Storage>,
    pub tensors: Vec<Tensor>,
}

impl Pickle {
    /// What a text says.
    pub fn text(&self, text: Text) -> &str {
        &self.text[text.start as usize..][..text.length as usize]
    }

    /// What is in a tuple, or in a list; nothing is in all else.
    pub fn items(&self, value: Value) -> &[Value] {
        match value {
            Value::Tuple(items) => self.tuple(items),
            Value::List(list) => &self.lists[list as usize],
            _ => &[],
        }
    }

    /// What is in a tuple.
    pub fn tuple(&self, items: Items) -> &[Value] {
        &self.items[items.start as usize..][..items.length as usize]
    }

    /// What is in a dictionary.
    pub fn dict(&self, dict: u32) -> &[(Value, Value)] {
        &self.dicts[dict as usize]
    }

    /// The name of a class, or of an object's.
    pub fn class(&self, value: Value) -> Option<Text> {
        match value {
            Value::Class(class) => Some(class),
            Value::Object(object) => Some(self.object(object).class),
            _ => None,
        }
    }

    /// What an object is.
    pub fn object(&self, object: u32) -> Object {
        self.objects[object as usize]
    }

    /// The value of a key, where `value` is a dictionary that has it.
    pub fn get(&self, value: Value, key: &str) -> Option<Value> {
        let Value::Dict(dict) = value else { return None };
        let found =
            |(name, _): &&(Value, Value)| matches!(name, Value::Text(text) if self.text(*text) == key);
        self.dict(dict).iter().find(found).map(|(_, value)| *value)
    }

    /// A text or an integer as a key; `None` for all else.
    pub fn key(&self, value: Value) -> Option<String> {
        match value {
            Value::Text(text) => Some(self.text(text).to_string()),
            Value::Int(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// How long a key is at most.
    pub fn key_length(&self, value: Value) -> usize {
        match value {
            Value::Text(text) => text.length as usize,
            // Of the longest integer, with its sign.
            _ => 20,
        }
    }

    /// Whether two values are the same text.
    pub fn are_one_text(&self, value: Value, other: Value) -> bool {
        matches!((value, other), (Value::Text(a), Value::Text(b)) if self.text(a) == self.text(b))
    }
}

/// What a pickle that breaks the rules calls for.
pub fn damaged(message: impl Into<String>) -> Error {
    Error::input(message).hint(COPY_AGAIN)
}
