//! The stack machine.

use std::io::BufRead;

use kiln_core::Result;

use super::{Input, Items, Object, PROTOCOL, Pickle, Storage, Tensor, Text, Value, damaged, torch};
use crate::formats::budget::Budget;

/// Values that wait on the stack at most. Python hands a dictionary over in portions of a thousand.
const STACK: usize = 1 << 16;

/// What a value takes in a vector at most: three times its size, while the vector grows to double its room.
const VALUE: u64 = 3 * size_of::<Value>() as u64;

/// What an empty list or dictionary takes, with room for the four values that it makes at first.
const EMPTY: u64 = 3 * size_of::<Vec<Value>>() as u64 + 4 * VALUE;

/// Reads one pickle, up to and with its last byte.
pub fn read(input: &mut Input<impl BufRead>, budget: &mut Budget) -> Result<Pickle> {
    let pickle = Pickle {
        root: Value::None,
        text: String::new(),
        items: Vec::new(),
        lists: Vec::new(),
        dicts: Vec::new(),
        objects: Vec::new(),
        storages: Vec::new(),
        tensors: Vec::new(),
    };
    let mut machine = Machine { pickle, stack: Vec::new(), marks: Vec::new(), memo: Vec::new(), budget };
    loop {
        let at = input.position();
        match machine.step(input) {
            Ok(false) => {}
            Ok(true) => return Ok(machine.pickle),
            Err(error) => return Err(error.place(format!("byte {at}"))),
        }
    }
}

pub struct Machine<'a> {
    pub pickle: Pickle,
    stack: Vec<Value>,
    /// How high the stack was at each mark that is still open.
    marks: Vec<usize>,
    memo: Vec<Option<Value>>,
    budget: &'a mut Budget,
}

impl Machine<'_> {
    /// Follows one instruction; true at the last.
    fn step(&mut self, input: &mut Input<impl BufRead>) -> Result<bool> {
        match input.byte()? {
            PROTOCOL => {
                input.byte()?;
            }
            // How long the next part is, which only hastens Python's reading.
            0x95 => input.skip(8)?,
            b'.' => {
                self.pickle.root = self.pop()?;
                return Ok(true);
            }
            b'(' => {
                self.room()?;
                self.marks.push(self.stack.len());
            }
            b'0' => {
                // A mark is taken off, too, if that is what is on top.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let top = self.top()?;
                self.push(top)?;
            }

            // Constants and numbers.
            b'N' => self.push(Value::None)?,
            0x88 => self.push(Value::Bool(true))?,
            0x89 => self.push(Value::Bool(false))?,
            b'K' => self.push(Value::Int(input.byte()?.into()))?,
            b'M' => self.push(Value::Int(u16::from_le_bytes(input.array()?).into()))?,
            b'J' => self.push(Value::Int(i32::from_le_bytes(input.array()?).into()))?,
            0x8a => self.long::<1>(input)?,
            0x8b => self.long::<4>(input)?,
            b'G' => {
                input.skip(8)?;
                self.push(Value::Other)?;
            }

            // Texts: Python 3's, and the byte strings that Python 2 has for them.
            0x8c | b'U' => self.read_text::<1>(input)?,
            b'X' | b'T' => self.read_text::<4>(input)?,
            0x8d => self.read_text::<8>(input)?,
            b'C' => self.skip_bytes::<1>(input)?,
            b'B' => self.skip_bytes::<4>(input)?,
            0x8e | 0x96 => self.skip_bytes::<8>(input)?,

            // Tuples, lists, dictionaries; a set is a list here.
            b')' => self.make_tuple(self.stack.len())?,
            0x85 => self.make_tuple(self.below(1)?)?,
            0x86 => self.make_tuple(self.below(2)?)?,
            0x87 => self.make_tuple(self.below(3)?)?,
            b't' => {
                let mark = self.mark()?;
                self.make_tuple(mark)?;
            }
            b']' | 0x8f => self.make_list(Vec::new())?,
            b'l' | 0x91 => {
                let items = self.pop_mark()?;
                self.make_list(items)?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(&[item])?;
            }
            b'e' | 0x90 => {
                let items = self.pop_mark()?;
                self.append(&items)?;
            }
            b'}' => {
                let dict = self.new_dict()?;
                self.push(dict)?;
            }
            b'd' => {
                let items = self.pop_mark()?;
                let dict = self.new_dict()?;
                self.push(dict)?;
                self.set_items(&items)?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set_items(&[key, value])?;
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(&items)?;
            }

            // The memo: a value is kept under a number, and fetched again.
            b'q' => self.remember(input.length::<1>()?)?,
            b'r' => self.remember(input.length::<4>()?)?,
            0x94 => self.remember(self.memo.len() as u64)?,
            b'h' => self.recall(input.length::<1>()?)?,
            b'j' => self.recall(input.length::<4>()?)?,

            // Classes, calls, objects.
            b'c' => {
                let (module, name) = (input.line()?, input.line()?);
                self.class(&module, &name)?;
            }
            0x93 => {
                let (Value::Text(name), Value::Text(module)) = (self.pop()?, self.pop()?) else {
                    return Err(damaged("a class whose name is no text"));
                };
                let [module, name] = [module, name].map(|text| self.pickle.text(text).as_bytes().to_vec());
                self.class(&module, &name)?;
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                let made = torch::call(self, function, arguments)?;
                self.push(made)?;
            }
            0x81 => self.make_object(2)?,
            0x92 => self.make_object(3)?,
            // Attributes of an object; those of a dictionary (a state dict's `_metadata`) are not kept.
            b'b' => {
                let state = self.pop()?;
                if let Value::Object(object) = self.top()? {
                    self.pickle.objects[object as usize].state = state;
                }
            }
            b'Q' => {
                let id = self.pop()?;
                let found = torch::persistent(self, id)?;
                self.push(found)?;
            }
            byte => {
                return Err(damaged(format!("no instruction of a pickle of protocol 2 to 5: {byte:#04x}")));
            }
        }
        Ok(false)
    }

    fn room(&self) -> Result<()> {
        let used = self.stack.len() + self.marks.len();
        if used < STACK {
            Ok(())
        } else {
            Err(damaged(format!("more than {STACK} values wait on the stack")))
        }
    }

    fn push(&mut self, value: Value) -> Result<()> {
        self.room()?;
        self.stack.push(value);
        Ok(())
    }

    /// Where the topmost `count` values begin, which must be above the last mark.
    fn below(&self, count: usize) -> Result<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let place = self.stack.len().checked_sub(count).filter(|place| *place >= floor);
        place.ok_or_else(|| damaged("an instruction finds too few values on the stack"))
    }

    fn pop(&mut self) -> Result<Value> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn top(&self) -> Result<Value> {
        Ok(self.stack[self.below(1)?])
    }

    fn mark(&mut self) -> Result<usize> {
        self.marks.pop().ok_or_else(|| damaged("an instruction finds no mark on the stack"))
    }

    fn pop_mark(&mut self) -> Result<Vec<Value>> {
        let mark = self.mark()?;
        Ok(self.stack.split_off(mark))
    }

    /// An integer of any length; none that counts anything is longer than eight bytes.
    fn long<const N: usize>(&mut self, input: &mut Input<impl BufRead>) -> Result<()> {
        let length = input.length::<N>()?;
        if length > 8 {
            input.skip(length)?;
            return self.push(Value::Other);
        }
        let bytes = input.bytes(length)?;
        let sign = if bytes.last().is_some_and(|last| *last >= 0x80) { 0xff } else { 0 };
        let mut all = [sign; 8];
        all[..bytes.len()].copy_from_slice(&bytes);
        self.push(Value::Int(i64::from_le_bytes(all)))
    }

    fn skip_bytes<const N: usize>(&mut self, input: &mut Input<impl BufRead>) -> Result<()> {
        let length = input.length::<N>()?;
        input.skip(length)?;
        self.push(Value::Other)
    }

    fn read_text<const N: usize>(&mut self, input: &mut Input<impl BufRead>) -> Result<()> {
        let length = input.length::<N>()?;
        self.budget.take(length)?;
        let bytes = input.bytes(length)?;
        let text = self.keep(&[&bytes])?;
        self.push(Value::Text(text))
    }

    fn class(&mut self, module: &[u8], name: &[u8]) -> Result<()> {
        let name = self.keep(&[module, b".", name])?;
        self.push(Value::Class(name))
    }

    fn keep(&mut self, parts: &[&[u8]]) -> Result<Text> {
        let start = self.pickle.text.len();
        for part in parts {
            let part = String::from_utf8_lossy(part);
            self.budget.take(3 * part.len() as u64)?;
            self.pickle.text.push_str(&part);
        }
        let (start, length) = handle(start, self.pickle.text.len())?;
        Ok(Text { start, length })
    }

    fn make_tuple(&mut self, from: usize) -> Result<()> {
        let start = self.pickle.items.len();
        self.budget.take((self.stack.len() - from) as u64 * VALUE)?;
        self.pickle.items.extend(self.stack.drain(from..));
        let (start, length) = handle(start, self.pickle.items.len())?;
        self.push(Value::Tuple(Items { start, length }))
    }

    fn make_list(&mut self, items: Vec<Value>) -> Result<()> {
        self.budget.take(EMPTY + items.len() as u64 * VALUE)?;
        self.pickle.lists.push(items);
        self.push(Value::List(self.pickle.lists.len() as u32 - 1))
    }

    fn append(&mut self, items: &[Value]) -> Result<()> {
        // All else is an object that extends a list: nothing is kept of it.
        if let Value::List(list) = self.top()? {
            self.budget.take(items.len() as u64 * VALUE)?;
            self.pickle.lists[list as usize].extend(items);
        }
        Ok(())
    }

    fn set_items(&mut self, items: &[Value]) -> Result<()> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(damaged("a key without a value"));
        }
        if let Value::Dict(dict) = self.top()? {
            self.extend_dict(dict, pairs.iter().map(|[key, value]| (*key, *value)))?;
        }
        Ok(())
    }

    /// An empty dictionary.
    pub fn new_dict(&mut self) -> Result<Value> {
        self.budget.take(EMPTY)?;
        self.pickle.dicts.push(Vec::new());
        Ok(Value::Dict(self.pickle.dicts.len() as u32 - 1))
    }

    pub fn extend_dict(
        &mut self,
        dict: u32,
        pairs: impl ExactSizeIterator<Item = (Value, Value)>,
    ) -> Result<()> {
        self.budget.take(pairs.len() as u64 * 2 * VALUE)?;
        self.pickle.dicts[dict as usize].extend(pairs);
        Ok(())
    }

    pub fn new_storage(&mut self, storage: Storage) -> Result<Value> {
        self.budget.take(3 * VALUE)?;
        self.pickle.storages.push(storage);
        Ok(Value::Storage(self.pickle.storages.len() as u32 - 1))
    }

    pub fn new_tensor(&mut self, tensor: Tensor) -> Result<Value> {
        self.budget.take(3 * VALUE)?;
        self.pickle.tensors.push(tensor);
        Ok(Value::Tensor(self.pickle.tensors.len() as u32 - 1))
    }

    fn remember(&mut self, index: u64) -> Result<()> {
        let top = self.top()?;
        let missing = (index + 1).saturating_sub(self.memo.len() as u64);
        self.budget.take(missing.saturating_mul(VALUE))?;
        if missing > 0 {
            self.memo.resize(index as usize + 1, None);
        }
        self.memo[index as usize] = Some(top);
        Ok(())
    }

    fn recall(&mut self, index: u64) -> Result<()> {
        let value = self.memo.get(index as usize).copied().flatten();
        self.push(value.ok_or_else(|| damaged(format!("refers to value {index}, which is not there")))?)
    }

    /// `parts` are the class and what the object is made of, which is not kept.
    fn make_object(&mut self, parts: usize) -> Result<()> {
        let place = self.below(parts)?;
        let class = self.stack[place];
        self.stack.truncate(place);
        let made = match self.pickle.class(class) {
            Some(class) => self.new_object(class)?,
            None => Value::Other,
        };
        self.push(made)
    }

    pub fn new_object(&mut self, class: Text) -> Result<Value> {
        self.budget.take(3 * size_of::<Object>() as u64)?;
        self.pickle.objects.push(Object { class, state: Value::None });
        Ok(Value::Object(self.pickle.objects.len() as u32 - 1))
    }
}

/// A part of a vector, as a handle: where it begins and how long it is.
fn handle(start: usize, end: usize) -> Result<(u32, u32)> {
    match (u32::try_from(start), u32::try_from(end)) {
        (Ok(start), Ok(end)) => Ok((start, end - start)),
        _ => Err(damaged("a pickle of more than four gigabytes")),
    }
}
