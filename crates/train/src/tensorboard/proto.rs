//! The messages of TensorBoard's event files, as far as they are written here, by the encoding of Protocol Buffers
//! (<https://protobuf.dev/programming-guides/encoding>). Their fields are those of TensorFlow's `event.proto`, `summary.proto`,
//! `histogram.proto` and `tensor.proto`.

use crate::Histogram;

/// A line of an event file.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Record<'a> {
    /// Seconds since 1970.
    pub time: f64,
    pub step: usize,
    pub what: What<'a>,
}

/// What a line says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) enum What<'a> {
    /// The first of a file: its layout.
    #[default]
    Version,
    /// A run starts or goes on here: what was said of this step and of those after it is void.
    Start,
    /// Values of a step by their tags.
    Values(Vec<(String, Value<'a>)>),
}

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Scalar(f32),
    Histogram(&'a Histogram),
    /// Markdown.
    Text(String),
}

impl Record<'_> {
    /// An `Event`.
    pub fn bytes(&self) -> Vec<u8> {
        let mut event = Message::default();
        event.double(1, self.time);
        if self.step > 0 {
            event.number(2, self.step as u64);
        }
        match &self.what {
            What::Version => event.text(3, "brain.Event:2"),
            What::Start => event.message(7, |session| session.number(1, 1)),
            What::Values(values) => event.message(5, |summary| {
                for (tag, value) in values {
                    summary.message(1, |one| value.write(tag, one));
                }
            }),
        }
        event.0
    }
}

impl Value<'_> {
    /// A `Summary.Value`.
    fn write(&self, tag: &str, to: &mut Message) {
        to.text(1, tag);
        match self {
            Self::Scalar(value) => to.float(2, *value),
            Self::Histogram(histogram) => to.message(5, |to| {
                let Histogram { count, min, max, mean, std, bins, .. } = histogram;
                let count = *count as f64;
                for (field, value) in [
                    (1, *min),
                    (2, *max),
                    (3, count),
                    (4, mean * count),
                    (5, (std * std + mean * mean) * count),
                ] {
                    to.double(field, value);
                }
                to.doubles(6, histogram.ends());
                to.doubles(7, bins.iter().map(|count| *count as f64));
            }),
            Self::Text(text) => {
                to.message(9, |metadata| metadata.message(1, |plugin| plugin.text(1, "text")));
                // A tensor of one string: its type is `DT_STRING`.
                to.message(8, |tensor| {
                    tensor.number(1, 7);
                    tensor.message(2, |shape| shape.message(2, |side| side.number(1, 1)));
                    tensor.text(8, text);
                });
            }
        }
    }
}

/// The bytes of a message.
#[derive(Debug, Default)]
struct Message(Vec<u8>);

impl Message {
    /// Seven bits a byte, the lowest first; all but the last have the eighth set.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    /// A field's number and how its value is laid out: 0 as a varint, 1 in 8 bytes, 2 with its length before it, 5 in 4 bytes.
    fn key(&mut self, field: u32, layout: u64) {
        self.varint(u64::from(field) << 3 | layout);
    }

    fn number(&mut self, field: u32, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn double(&mut self, field: u32, value: f64) {
        self.key(field, 1);
        self.0.extend(value.to_le_bytes());
    }

    fn float(&mut self, field: u32, value: f32) {
        self.key(field, 5);
        self.0.extend(value.to_le_bytes());
    }

    fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    fn doubles(&mut self, field: u32, values: impl Iterator<Item = f64>) {
        self.bytes(field, &values.flat_map(f64::to_le_bytes).collect::<Vec<_>>());
    }

    fn message(&mut self, field: u32, write: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        write(&mut inner);
        self.bytes(field, &inner.0);
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, 2);
        self.varint(bytes.len() as u64);
        self.0.extend(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys are `field << 3 | layout`: 0x09 is field 1 in 8 bytes, 0x10 field 2 as a varint, 0x2a field 5 with a length.
    #[test]
    fn events_are_the_bytes_of_the_specification() {
        // 1.5 is 0x3ff8 and zeros, its lowest byte first.
        let time = [0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f];
        let record = |step, what| Record { time: 1.5, step, what }.bytes();
        assert_eq!(record(0, What::Version), [&time[..], b"\x1a\x0dbrain.Event:2"].concat());
        // 300 is 0b10_0101100: the specification's own example of two bytes. Field 7 holds a message of 2 bytes: field 1 is 1.
        assert_eq!(record(300, What::Start), [&time[..], &[0x10, 0xac, 0x02, 0x3a, 2, 0x08, 1]].concat());

        // 0.5 as a float is 0x3f00_0000.
        let scalar = [0x0a, 1, b'a', 0x15, 0, 0, 0, 0x3f];
        let values = What::Values(vec![("a".into(), Value::Scalar(0.5))]);
        assert_eq!(record(1, values), [&time[..], &[0x10, 1, 0x2a, 10, 0x0a, 8], &scalar].concat());
    }

    #[test]
    fn a_text_and_a_histogram_are_the_bytes_of_the_specification() {
        let time = [0x09, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f];
        let record =
            |value| Record { time: 1.5, step: 0, what: What::Values(vec![("a".into(), value)]) }.bytes();
        let metadata = [&[0x4a, 8, 0x0a, 6, 0x0a, 4][..], b"text"].concat();
        let tensor = [0x42, 11, 0x08, 7, 0x12, 4, 0x12, 2, 0x08, 1, 0x42, 1, b'x'];
        let value = [&[0x0a, 1, b'a'][..], &metadata, &tensor].concat();
        let lengths = [0x2a, value.len() as u8 + 2, 0x0a, value.len() as u8];
        assert_eq!(record(Value::Text("x".into())), [&time[..], &lengths, &value].concat());

        // Twice 1: from 1 to 1, 2 numbers, their sum 2, that of their squares 2, one bin up to 1 with 2 in it.
        let (one, two) = (1f64.to_le_bytes(), 2f64.to_le_bytes());
        let fields = [(0x09, one), (0x11, one), (0x19, two), (0x21, two), (0x29, two)];
        let fields: Vec<u8> = fields.iter().flat_map(|(key, value)| [&[*key], &value[..]].concat()).collect();
        let histogram = [&fields[..], &[0x32, 8], &one, &[0x3a, 8], &two].concat();
        let value = [&[0x0a, 1, b'a', 0x2a, histogram.len() as u8][..], &histogram].concat();
        let lengths = [0x2a, value.len() as u8 + 2, 0x0a, value.len() as u8];
        let ours = Histogram::of(&[1.0, 1.0]);
        assert_eq!(record(Value::Histogram(&ours)), [&time[..], &lengths, &value].concat());
    }
}
