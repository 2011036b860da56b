//! `datasets/<name>/manifest.toml`: what the files of a data set cannot say of themselves.

use std::fs;
use std::path::Path;

use kiln_core::{Error, Result};
use serde::Deserialize;

/// The manifests that every build knows, so that the installed binary needs no folder `datasets/`.
const EMBEDDED: [(&str, &str); 4] = [
    ("cifar10", include_str!("../../../datasets/cifar10/manifest.toml")),
    ("cifar100", include_str!("../../../datasets/cifar100/manifest.toml")),
    ("fashion-mnist", include_str!("../../../datasets/fashion-mnist/manifest.toml")),
    ("mnist", include_str!("../../../datasets/mnist/manifest.toml")),
];

/// A public data set: where it comes from, and what is in it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name of its folder.
    #[serde(skip)]
    pub name: String,
    /// One line that says what it is.
    pub title: String,
    /// Under which licence it is published.
    pub licence: String,
    /// The page that describes it.
    pub source: String,
    /// Class names in the order of the labels.
    pub classes: Vec<String>,
    /// Mean of the training pixels divided by 255, channel by channel.
    pub mean: [f32; 3],
    /// Standard deviation of the training pixels divided by 255, channel by channel.
    pub std: [f32; 3],
    /// What is to be downloaded.
    pub files: Vec<ManifestFile>,
    /// The splits.
    pub splits: Vec<ManifestSplit>,
}

/// A file to download.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Its address; what follows the last `/` is its name on disk.
    pub url: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// True for a `.tar.gz` that is unpacked.
    #[serde(default)]
    pub unpack: bool,
}

/// A split and its size.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestSplit {
    /// `train`, `test` …
    pub name: String,
    /// Number of images.
    pub items: usize,
}

impl ManifestFile {
    /// Its name on disk.
    pub fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or(&self.url)
    }
}

impl Manifest {
    /// The manifest of a name: the one in `datasets/<name>/` if it is there, else the one built in.
    ///
    /// # Errors
    /// A manifest with a mistake in it.
    pub fn find(name: &str, datasets: &Path) -> Result<Option<Self>> {
        let file = datasets.join(name).join("manifest.toml");
        if file.is_file() {
            let text = fs::read_to_string(&file).map_err(|why| Error::unreadable(&file, &why))?;
            return Self::parse(name, &text).map(Some).map_err(|error| error.file(&file));
        }
        let embedded = EMBEDDED.iter().find(|(known, _)| *known == name);
        embedded.map(|(name, text)| Self::parse(name, text)).transpose()
    }

    /// The names that have a manifest, built in or in the folder `datasets/`, sorted.
    pub fn names(datasets: &Path) -> Vec<String> {
        let on_disk = fs::read_dir(datasets).into_iter().flatten().flatten();
        let on_disk = on_disk.filter(|entry| entry.path().join("manifest.toml").is_file());
        let on_disk = on_disk.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> =
            EMBEDDED.iter().map(|(name, _)| name.to_string()).chain(on_disk).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// Anything but the keys above, with the line; a checksum that is none; an address without a file name; a standard
    /// deviation that is not positive.
    pub fn parse(name: &str, text: &str) -> Result<Self> {
        let mut manifest: Self = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            Error::input(error.message().lines().collect::<Vec<_>>().join(" ")).place(format!("line {line}"))
        })?;
        manifest.name = name.to_string();
        for file in &manifest.files {
            let place = || format!("file `{}`", file.url);
            let hex = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
            if file.sha256.len() != 64 || !file.sha256.bytes().all(hex) {
                return Err(Error::input("`sha256` must be 64 lower-case hexadecimal digits").place(place()));
            }
            // It becomes a path: it must not lead anywhere.
            if matches!(file.name(), "" | "." | "..") || file.name().contains(['\\', ':', '?', '#']) {
                return Err(Error::input("the address ends in no file name").place(place()));
            }
        }
        if manifest.std.iter().any(|std| std.is_nan() || *std <= 0.0) {
            return Err(Error::input("`std` must be positive"));
        }
        Ok(manifest)
    }

    /// Images of all splits.
    pub fn items(&self) -> usize {
        self.splits.iter().map(|split| split.items).sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_manifest_built_in_is_whole() {
        // Splits and classes as the papers count them.
        let rows = [
            ("mnist", 4, [60_000, 10_000], 10),
            ("fashion-mnist", 4, [60_000, 10_000], 10),
            ("cifar10", 1, [50_000, 10_000], 10),
            ("cifar100", 1, [50_000, 10_000], 100),
        ];
        assert_eq!(rows.len(), EMBEDDED.len());
        for (name, files, items, classes) in rows {
            let manifest = Manifest::find(name, Path::new("nowhere")).unwrap().unwrap();
            assert_eq!(manifest.files.len(), files, "{name}");
            assert_eq!(manifest.splits.iter().map(|split| split.items).collect::<Vec<_>>(), items, "{name}");
            assert_eq!(
                manifest.splits.iter().map(|s| s.name.as_str()).collect::<Vec<_>>(),
                ["train", "test"]
            );
            assert_eq!(manifest.classes.len(), classes, "{name}");
            assert_eq!(manifest.items(), items.iter().sum::<usize>());
        }
    }

    #[test]
    fn a_mistake_in_a_manifest_is_one_line_with_its_place() {
        let text = EMBEDDED[3].1;
        let says = |text: &str| {
            let error = Manifest::parse("mnist", text).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
            error
        };
        assert!(says(&format!("colour = 1\n{text}")).contains("line 1: unknown field `colour`"));
        assert!(says(&text.replace("size = 28881", "size = \"big\"")).contains("invalid type"));
        assert!(says(&text.replace("440fcabf", "440FCABF")).contains("64 lower-case hexadecimal digits"));
        assert!(says(&text.replace("t10k-labels-idx1-ubyte.gz", "..")).contains("no file name"));
        assert!(says(&text.replace("std = [0.3081", "std = [0.0")).contains("must be positive"));
    }

    #[test]
    fn the_manifest_on_disk_goes_before_the_one_built_in() {
        let datasets = tempfile::tempdir().unwrap();
        fs::create_dir(datasets.path().join("mnist")).unwrap();
        let text = EMBEDDED[3].1.replace("title = \"MNIST", "title = \"My MNIST");
        fs::write(datasets.path().join("mnist/manifest.toml"), text).unwrap();
        let manifest = Manifest::find("mnist", datasets.path()).unwrap().unwrap();
        assert!(manifest.title.starts_with("My MNIST"), "{}", manifest.title);
        assert_eq!(Manifest::find("cats", datasets.path()).unwrap(), None);
        assert_eq!(Manifest::names(datasets.path()), ["cifar10", "cifar100", "fashion-mnist", "mnist"]);
    }
}
