//! The published binary layout of CIFAR-10 and CIFAR-100: labels, then 3072 bytes of 32x32 pixels, channel by channel.
//!
//! Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009,
//! <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::fs;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use kiln_core::{Error, Result, Truth};

use crate::readers::{entries, name_of, no_such_split};
use crate::{Dataset, Sample};

const SIDE: u32 = 32;
const AREA: usize = (SIDE * SIDE) as usize;

/// The files of a CIFAR data set.
#[derive(Debug, Clone)]
pub struct Cifar {
    root: PathBuf,
    /// CIFAR-10 has a label an image; CIFAR-100 a coarse and a fine one, of which the fine one is the class.
    num_labels: usize,
    splits: Vec<(String, Vec<PathBuf>)>,
}

impl Cifar {
    /// The CIFAR files of a folder, or of `cifar-10-batches-bin` or `cifar-100-binary` in it; `None` without any.
    ///
    /// # Errors
    /// A folder that cannot be read.
    pub fn recognize(folder: &Path) -> Result<Option<Self>> {
        let inner = ["cifar-10-batches-bin", "cifar-100-binary"].map(|name| folder.join(name));
        for root in std::iter::once(folder.to_path_buf()).chain(inner).filter(|root| root.is_dir()) {
            let files: Vec<PathBuf> = entries(&root)?.into_iter().filter(|path| path.is_file()).collect();
            let named =
                |name: &str| files.iter().filter(|path| name_of(path) == name).cloned().collect::<Vec<_>>();
            let mut batches: Vec<(u32, PathBuf)> =
                files.iter().filter_map(|path| Some((batch_number(&name_of(path))?, path.clone()))).collect();
            batches.sort();
            let batches: Vec<PathBuf> = batches.into_iter().map(|(_, path)| path).collect();
            for (num_labels, train, test) in
                [(1, batches, named("test_batch.bin")), (2, named("train.bin"), named("test.bin"))]
            {
                let splits =
                    [("train", train), ("test", test)].map(|(name, files)| (name.to_string(), files));
                let splits: Vec<_> = splits.into_iter().filter(|(_, files)| !files.is_empty()).collect();
                if !splits.is_empty() {
                    return Ok(Some(Self { root, num_labels, splits }));
                }
            }
        }
        Ok(None)
    }

    /// The splits and their number of images, from the sizes of the files.
    ///
    /// # Errors
    /// A file that is not a whole number of images.
    pub fn splits(&self) -> Result<Vec<(String, usize)>> {
        let count = |file: &PathBuf| {
            let metadata = fs::metadata(file).map_err(|why| Error::unreadable(file, &why))?;
            self.items_in(metadata.len(), file)
        };
        let items = |files: &[PathBuf]| files.iter().map(count).sum::<Result<usize>>();
        self.splits.iter().map(|(name, files)| Ok((name.clone(), items(files)?))).collect()
    }

    /// The class names that lie beside the images, if they do.
    ///
    /// # Errors
    /// A list of names that is no text or is empty.
    pub fn class_names(&self) -> Result<Option<Vec<String>>> {
        let file =
            self.root.join(if self.num_labels == 1 { "batches.meta.txt" } else { "fine_label_names.txt" });
        if !file.is_file() {
            return Ok(None);
        }
        let text = fs::read_to_string(&file).map_err(|why| Error::unreadable(&file, &why))?;
        let names: Vec<String> =
            text.lines().map(str::trim).filter(|n| !n.is_empty()).map(String::from).collect();
        match names.is_empty() {
            true => Err(Error::input("no class name in it").file(file).hint("expected one a line")),
            false => Ok(Some(names)),
        }
    }

    /// Classes that the published set of this layout has.
    pub fn published_classes(&self) -> usize {
        if self.num_labels == 1 { 10 } else { 100 }
    }

    /// Reads a split into memory.
    ///
    /// # Errors
    /// A split that is not there, a file that is not a whole number of images, a label that is not below
    /// `num_classes`.
    pub fn open(&self, split: &str, num_classes: usize) -> Result<impl Dataset + use<>> {
        let known: Vec<&str> = self.splits.iter().map(|(name, _)| name.as_str()).collect();
        let (_, files) = self
            .splits
            .iter()
            .find(|(name, _)| name == split)
            .ok_or_else(|| no_such_split(split, &known, &self.root))?;
        let mut batches = Vec::new();
        for file in files {
            let bytes = fs::read(file).map_err(|why| Error::unreadable(file, &why))?;
            let items = self.items_in(bytes.len() as u64, file)?;
            for item in 0..items {
                let at = item * self.record() + self.num_labels - 1;
                if usize::from(bytes[at]) >= num_classes {
                    return Err(Error::input(format!("label {} is not below {num_classes}", bytes[at]))
                        .file(file)
                        .place(format!("image {item} (byte {at})")));
                }
            }
            batches.push(Binary { file: name_of(file), items, bytes });
        }
        Ok(CifarSplit { num_labels: self.num_labels, batches })
    }

    fn record(&self) -> usize {
        self.num_labels + 3 * AREA
    }

    fn items_in(&self, bytes: u64, file: &Path) -> Result<usize> {
        let record = self.record() as u64;
        let (items, rest) = (bytes / record, bytes % record);
        if rest == 0 && items > 0 {
            return Ok(items as usize);
        }
        let message =
            format!("{bytes} bytes are no whole number of images: {items} of {record} bytes and {rest} over");
        Err(Error::input(message).file(file).hint("download it again"))
    }
}

#[derive(Debug)]
struct Binary {
    file: String,
    items: usize,
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct CifarSplit {
    num_labels: usize,
    batches: Vec<Binary>,
}

impl CifarSplit {
    /// The file that holds an image, and its number there.
    fn locate(&self, mut index: usize) -> (&Binary, usize) {
        for batch in &self.batches {
            if index < batch.items {
                return (batch, index);
            }
            index -= batch.items;
        }
        panic!("image {index} beyond the last of {}", self.len());
    }
}

impl Dataset for CifarSplit {
    fn len(&self) -> usize {
        self.batches.iter().map(|batch| batch.items).sum()
    }

    fn get(&self, index: usize) -> Result<Sample> {
        let (batch, item) = self.locate(index);
        let record = self.num_labels + 3 * AREA;
        let (labels, planes) = batch.bytes[item * record..(item + 1) * record].split_at(self.num_labels);
        let image = RgbImage::from_fn(SIDE, SIDE, |x, y| {
            let at = (y * SIDE + x) as usize;
            Rgb([planes[at], planes[at + AREA], planes[at + 2 * AREA]])
        });
        let class = labels.last().map(|label| usize::from(*label));
        Ok(Sample { image, truth: Truth { class, ..Truth::default() } })
    }

    fn origin(&self, index: usize) -> String {
        let (batch, item) = self.locate(index);
        format!("image {item} of {}", batch.file)
    }
}

fn batch_number(name: &str) -> Option<u32> {
    name.strip_prefix("data_batch_")?.strip_suffix(".bin")?.parse().ok()
}
