//! The idx files of MNIST and of the data sets made in its likeness, plain or gzipped.
//!
//! Four bytes of magic (two zeros, the type of the numbers, how many dimensions), a big-endian u32 a dimension, the
//! numbers. Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", 1998.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use image::{Rgb, RgbImage};
use kiln_core::{Error, Result, Truth};

use crate::readers::{name_of, no_such_split};
use crate::{Dataset, Sample};

/// Type 0x08 is an unsigned byte; the last byte is the number of dimensions.
const IMAGES: [u8; 4] = [0, 0, 8, 3];
const LABELS: [u8; 4] = [0, 0, 8, 1];

/// Split names and the beginnings of their files' names.
const SPLITS: [(&str, &str); 2] = [("train", "train"), ("test", "t10k")];

/// One split of an idx data set, in memory.
#[derive(Debug)]
pub struct Idx {
    file: String,
    height: u32,
    width: u32,
    pixels: Vec<u8>,
    labels: Vec<u8>,
}

impl Idx {
    /// The splits of the folder and their number of images, read from the headers alone; empty where it holds no idx
    /// files.
    ///
    /// # Errors
    /// A header that is not one of an idx image file.
    pub fn splits(root: &Path) -> Result<Vec<(String, usize)>> {
        let mut splits = Vec::new();
        for (split, prefix) in SPLITS {
            if let Some(file) = find(root, prefix, "images", 3) {
                let [items, ..] = header(&mut open(&file)?, &file, IMAGES)?;
                splits.push((split.to_string(), items as usize));
            }
        }
        Ok(splits)
    }

    /// Reads a split of the folder.
    ///
    /// # Errors
    /// A split or label file that is not there; a wrong magic; a file shorter or longer than its header says; corrupt
    /// gzip; another number of labels than of images; a label that is not below `num_classes`.
    pub fn open(root: &Path, split: &str, num_classes: usize) -> Result<Self> {
        let known: Vec<&str> =
            SPLITS.iter().filter(|(_, p)| find(root, p, "images", 3).is_some()).map(|(s, _)| *s).collect();
        let prefix = SPLITS.iter().find(|(name, _)| *name == split && known.contains(name)).map(|(_, p)| *p);
        let prefix = prefix.ok_or_else(|| no_such_split(split, &known, root))?;
        let images = find(root, prefix, "images", 3).ok_or_else(|| no_such_split(split, &known, root))?;
        let labels = find(root, prefix, "labels", 1).ok_or_else(|| {
            Error::input("no such file")
                .file(root.join(format!("{prefix}-labels-idx1-ubyte")))
                .hint(format!("every `{prefix}-images-…` needs its labels beside it; a .gz does too"))
        })?;

        let ([items, height, width], pixels) = read(&images, IMAGES)?;
        let ([num_labels, ..], label_bytes) = read(&labels, LABELS)?;
        if items != num_labels {
            let message = format!("{num_labels} labels for the {items} images of {}", name_of(&images));
            return Err(Error::input(message).file(&labels).hint("the two files are not of one split"));
        }
        if items == 0 || height == 0 || width == 0 {
            let message = format!("{items} images of {height}x{width} pixels: nothing to learn from");
            return Err(Error::input(message).file(&images).place("byte 4"));
        }
        if let Some(at) = label_bytes.iter().position(|label| usize::from(*label) >= num_classes) {
            return Err(Error::input(format!("label {} is not below {num_classes}", label_bytes[at]))
                .file(&labels)
                .place(format!("label {at} (byte {})", 8 + at)));
        }
        Ok(Self { file: name_of(&images), height, width, pixels, labels: label_bytes })
    }
}

impl Dataset for Idx {
    fn len(&self) -> usize {
        self.labels.len()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let area = self.height as usize * self.width as usize;
        let grey = &self.pixels[index * area..(index + 1) * area];
        let image =
            RgbImage::from_fn(self.width, self.height, |x, y| Rgb([grey[(y * self.width + x) as usize]; 3]));
        Ok(Sample { image, truth: Truth { class: Some(self.labels[index].into()), ..Truth::default() } })
    }

    fn origin(&self, index: usize) -> String {
        format!("image {index} of {}", self.file)
    }
}

/// `train-images-idx3-ubyte`, or with a dot as some mirrors have it, plain rather than gzipped where both are there.
fn find(root: &Path, prefix: &str, what: &str, dimensions: usize) -> Option<PathBuf> {
    let names = ["-", "."].map(|dot| format!("{prefix}-{what}{dot}idx{dimensions}-ubyte"));
    let plain = names.iter().map(|name| root.join(name));
    let zipped = names.iter().map(|name| root.join(format!("{name}.gz")));
    plain.chain(zipped).find(|path| path.is_file())
}

fn open(file: &Path) -> Result<Box<dyn Read>> {
    let reader = File::open(file).map_err(|why| Error::unreadable(file, &why))?;
    let reader = io::BufReader::new(reader);
    let zipped = file.extension().is_some_and(|extension| extension == "gz");
    Ok(if zipped { Box::new(GzDecoder::new(reader)) } else { Box::new(reader) })
}

/// Dimensions that the magic announces; those beyond are 1.
fn header(reader: &mut dyn Read, file: &Path, magic: [u8; 4]) -> Result<[u32; 3]> {
    let mut found = [0; 4];
    exactly(reader, &mut found, file)?;
    if let Some(at) = (0..4).find(|at| found[*at] != magic[*at]) {
        let hex = |bytes: [u8; 4]| bytes.map(|byte| format!("{byte:02x}")).join(" ");
        let message = format!("wrong magic: expected {}, found {}", hex(magic), hex(found));
        return Err(Error::input(message).file(file).place(format!("byte {at}")));
    }
    let mut dimensions = [1; 3];
    for dimension in dimensions.iter_mut().take(magic[3].into()) {
        let mut bytes = [0; 4];
        exactly(reader, &mut bytes, file)?;
        *dimension = u32::from_be_bytes(bytes);
    }
    Ok(dimensions)
}

fn exactly(reader: &mut dyn Read, bytes: &mut [u8], file: &Path) -> Result<()> {
    reader.read_exact(bytes).map_err(|why| match why.kind() {
        io::ErrorKind::UnexpectedEof if !is_corrupt_gzip(file) => {
            Error::input("ends within its header").file(file).hint("download it again")
        }
        _ => corrupt(file, &why),
    })
}

/// True where the gzip layer itself ends too early.
fn is_corrupt_gzip(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "gz")
        && open(file).is_ok_and(|mut reader| io::copy(&mut reader, &mut io::sink()).is_err())
}

fn corrupt(file: &Path, why: &io::Error) -> Error {
    match file.extension() {
        Some(extension) if extension == "gz" => {
            Error::input(format!("corrupt gzip: {why}")).file(file).hint("download it again")
        }
        _ => Error::unreadable(file, why),
    }
}

/// The dimensions and the bytes of a file.
fn read(file: &Path, magic: [u8; 4]) -> Result<([u32; 3], Vec<u8>)> {
    let mut reader = open(file)?;
    let dimensions = header(&mut *reader, file, magic)?;
    let header_bytes = 4 + 4 * u64::from(magic[3]);
    let expected = dimensions.iter().try_fold(1_u64, |product, n| product.checked_mul((*n).into()));
    let expected = expected.filter(|bytes| *bytes < u64::MAX - header_bytes - 1).ok_or_else(|| {
        Error::input("its header announces more bytes than there can be").file(file).place("byte 4")
    })?;

    // The buffer grows with what is really there, never by what the header promises.
    let mut bytes = Vec::new();
    reader.take(expected + 1).read_to_end(&mut bytes).map_err(|why| corrupt(file, &why))?;
    let found = bytes.len() as u64;
    if found == expected {
        return Ok((dimensions, bytes));
    }
    let total = |bytes: u64| bytes + header_bytes;
    let size = if found < expected {
        total(found).to_string()
    } else {
        match fs::metadata(file) {
            Ok(metadata) if file.extension().is_none_or(|extension| extension != "gz") => {
                metadata.len().to_string()
            }
            _ => "more".to_string(),
        }
    };
    let message = format!("expected {} bytes as its header says, found {size}", total(expected));
    Err(Error::input(message).file(file).hint("download it again"))
}
