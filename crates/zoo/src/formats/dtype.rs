//! Types of numbers.

use std::fmt;
use std::io::{self, Read};

use half::{bf16, f16};
use serde::Deserialize;

/// The type of a tensor's numbers, under its name in safetensors files.
#[allow(missing_docs)] // The names say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Dtype {
    F64,
    F32,
    F16,
    BF16,
    I64,
    I32,
    I16,
    I8,
    U64,
    U32,
    U16,
    U8,
    #[serde(rename = "BOOL")]
    Bool,
}

impl Dtype {
    /// The type of `torch.FloatStorage`, or of `torch.float32`.
    pub fn of_torch(name: &str) -> Option<Self> {
        Some(match name {
            "DoubleStorage" | "float64" => Self::F64,
            "FloatStorage" | "float32" => Self::F32,
            "HalfStorage" | "float16" => Self::F16,
            "BFloat16Storage" | "bfloat16" => Self::BF16,
            "LongStorage" | "int64" => Self::I64,
            "IntStorage" | "int32" => Self::I32,
            "ShortStorage" | "int16" => Self::I16,
            "CharStorage" | "int8" => Self::I8,
            "uint64" => Self::U64,
            "uint32" => Self::U32,
            "uint16" => Self::U16,
            "ByteStorage" | "uint8" => Self::U8,
            "BoolStorage" | "bool" => Self::Bool,
            _ => return None,
        })
    }

    /// Bytes of one number.
    pub fn size(self) -> u64 {
        match self {
            Self::F64 | Self::I64 | Self::U64 => 8,
            Self::F32 | Self::I32 | Self::U32 => 4,
            Self::F16 | Self::BF16 | Self::I16 | Self::U16 => 2,
            Self::I8 | Self::U8 | Self::Bool => 1,
        }
    }

    /// Whether it is for weights; integers count steps and index tables.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F64 | Self::F32 | Self::F16 | Self::BF16)
    }

    /// Reads that many little-endian floats of this type as 32-bit ones, without a copy of them all as bytes.
    pub(super) fn read_floats(
        self,
        reader: &mut impl Read,
        count: usize,
        values: &mut Vec<f32>,
    ) -> io::Result<()> {
        const CHUNK: usize = 64 << 10;
        let mut left = count * self.size() as usize;
        let mut chunk = vec![0; left.min(CHUNK)];
        while left > 0 {
            let bytes = &mut chunk[..left.min(CHUNK)];
            reader.read_exact(bytes)?;
            left -= bytes.len();
            match self {
                Self::F64 => numbers(bytes, |b| f64::from_le_bytes(b) as f32, values),
                Self::F32 => numbers(bytes, f32::from_le_bytes, values),
                Self::F16 => numbers(bytes, |b| f16::from_le_bytes(b).to_f32(), values),
                Self::BF16 => numbers(bytes, |b| bf16::from_le_bytes(b).to_f32(), values),
                _ => unreachable!("only floats are read"),
            }
        }
        Ok(())
    }
}

fn numbers<const N: usize>(bytes: &[u8], number: impl Fn([u8; N]) -> f32, values: &mut Vec<f32>) {
    values.extend(bytes.as_chunks::<N>().0.iter().map(|chunk| number(*chunk)));
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("BOOL"),
            _ => write!(f, "{self:?}"),
        }
    }
}
