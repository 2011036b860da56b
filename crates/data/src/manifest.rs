//! `datasets/<name>/manifest.toml`: what the files of a data set cannot say of themselves.

use std::fs;
use std::path::Path;

use kiln_core::{Error, Result};
use serde::Deserialize;

/// A name, `manifest.toml` and, if there is one, `classes.txt`.
type Embedded = (&'static str, &'static str, Option<&'static str>);

/// What every build knows, so that the installed binary needs no folder `datasets/`.
const EMBEDDED: [Embedded; 10] = [
    ("bccd", include_str!("../../../datasets/bccd/manifest.toml"), None),
    (
        "camvid",
        include_str!("../../../datasets/camvid/manifest.toml"),
        Some(include_str!("../../../datasets/camvid/classes.txt")),
    ),
    (
        "cifar10",
        include_str!("../../../datasets/cifar10/manifest.toml"),
        Some(include_str!("../../../datasets/cifar10/classes.txt")),
    ),
    (
        "cifar100",
        include_str!("../../../datasets/cifar100/manifest.toml"),
        Some(include_str!("../../../datasets/cifar100/classes.txt")),
    ),
    ("coco", include_str!("../../../datasets/coco/manifest.toml"), None),
    (
        "coco128",
        include_str!("../../../datasets/coco128/manifest.toml"),
        Some(include_str!("../../../datasets/coco128/classes.txt")),
    ),
    ("fashion-mnist", include_str!("../../../datasets/fashion-mnist/manifest.toml"), None),
    (
        "imagenet",
        include_str!("../../../datasets/imagenet/manifest.toml"),
        Some(include_str!("../../../datasets/imagenet/classes.txt")),
    ),
    ("mnist", include_str!("../../../datasets/mnist/manifest.toml"), None),
    (
        "voc",
        include_str!("../../../datasets/voc/manifest.toml"),
        Some(include_str!("../../../datasets/voc/classes.txt")),
    ),
];

/// What a manifest without its class names should do.
const NAMES: &str = "write `classes = [\"a\", \"b\"]`, or a line a class in `classes.txt` beside it";

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
    /// What to do to get it, where it cannot be downloaded.
    pub by_hand: Option<String>,
    /// Class names in the order of the labels. If left out they are in `classes.txt` beside the manifest, a line each; in
    /// front of a name there may be the name of the class's folder and a tab.
    #[serde(default)]
    pub classes: Vec<String>,
    /// The data set whose class names they are, where it is another's: one that is built in.
    pub classes_of: Option<String>,
    /// The folder of each class, where the data set is a folder of images.
    #[serde(skip)]
    pub folders: Vec<String>,
    /// Mean of the training pixels divided by 255, channel by channel.
    pub mean: [f32; 3],
    /// Standard deviation of the training pixels divided by 255, channel by channel.
    pub std: [f32; 3],
    /// What is to be downloaded.
    #[serde(default)]
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
        let folder = datasets.join(name);
        let (file, names) = (folder.join("manifest.toml"), folder.join("classes.txt"));
        if file.is_file() {
            let read = |file: &Path| fs::read_to_string(file).map_err(|why| Error::unreadable(file, &why));
            let names = names.is_file().then(|| read(&names)).transpose()?;
            let manifest = Self::parse(name, &read(&file)?, names.as_deref());
            return manifest.map(Some).map_err(|error| error.file(&file));
        }
        let embedded = EMBEDDED.iter().find(|(known, ..)| *known == name);
        embedded.map(|(name, text, names)| Self::parse(name, text, *names)).transpose()
    }

    /// The names that have a manifest, built in or in the folder `datasets/`, sorted.
    pub fn names(datasets: &Path) -> Vec<String> {
        let on_disk = fs::read_dir(datasets).into_iter().flatten().flatten();
        let on_disk = on_disk.filter(|entry| entry.path().join("manifest.toml").is_file());
        let on_disk = on_disk.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> =
            EMBEDDED.iter().map(|(name, ..)| name.to_string()).chain(on_disk).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Reads a manifest and, if there is one, the `classes.txt` beside it.
    ///
    /// # Errors
    /// Anything but the keys above, with the line; a checksum that is none; an address without a file name; a standard
    /// deviation that is not positive; class names in neither or in both files.
    pub fn parse(name: &str, text: &str, names: Option<&str>) -> Result<Self> {
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
        let others = manifest.classes_of.as_deref().map(|other| {
            let found = EMBEDDED.iter().find(|(known, ..)| *known == other).and_then(|(.., names)| *names);
            found.ok_or_else(|| {
                Error::input(format!("`classes_of`: no class names of `{other}` are built in"))
            })
        });
        match (names.or(others.transpose()?), manifest.classes.is_empty()) {
            (None, true) => return Err(Error::input("no class names").hint(NAMES)),
            (Some(_), false) => return Err(Error::input("class names here and in `classes.txt`").hint(NAMES)),
            (None, false) => manifest.folders = manifest.classes.clone(),
            (Some(names), true) => {
                let row = |line: &str| match line.split_once('\t') {
                    Some((folder, name)) => (folder.to_string(), name.to_string()),
                    None => (line.to_string(), line.to_string()),
                };
                (manifest.folders, manifest.classes) = names.lines().map(row).unzip();
            }
        }
        Ok(manifest)
    }

    /// What to do to get it.
    pub fn advice(&self) -> String {
        self.by_hand.clone().unwrap_or_else(|| format!("run `kiln data fetch {}`", self.name))
    }

    /// The name of the class whose images are in a folder of this name; the folder's where no class is known for it.
    pub(crate) fn class_of(&self, folder: &str) -> String {
        let class = self.folders.iter().position(|known| known == folder);
        class.map_or_else(|| folder.to_string(), |class| self.classes[class].clone())
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
            ("mnist", 4, &[("train", 60_000), ("test", 10_000)][..], 10),
            ("fashion-mnist", 4, &[("train", 60_000), ("test", 10_000)], 10),
            ("cifar10", 1, &[("train", 50_000), ("test", 10_000)], 10),
            ("cifar100", 1, &[("train", 50_000), ("test", 10_000)], 100),
            ("imagenet", 0, &[("train", 1_281_167), ("val", 50_000)], 1_000),
            ("coco128", 0, &[("train2017", 128)], 80),
            ("coco", 0, &[("train2017", 118_287), ("val2017", 5_000)], 80),
            ("bccd", 0, &[("train", 205), ("val", 87), ("trainval", 292), ("test", 72)], 3),
            ("camvid", 0, &[("train", 367), ("val", 101), ("test", 233)], 11),
            ("voc", 0, &[("trainval", 16_551), ("test", 4_952)], 20),
        ];
        assert_eq!(rows.len(), EMBEDDED.len());
        for (name, files, splits, classes) in rows {
            let manifest = Manifest::find(name, Path::new("nowhere")).unwrap().unwrap();
            assert_eq!(manifest.files.len(), files, "{name}");
            let found: Vec<_> =
                manifest.splits.iter().map(|split| (split.name.as_str(), split.items)).collect();
            assert_eq!(found, splits, "{name}");
            assert_eq!(manifest.classes.len(), classes, "{name}");
            assert_eq!(manifest.items(), splits.iter().map(|(_, items)| items).sum::<usize>());
        }
    }

    #[test]
    fn a_mistake_in_a_manifest_is_one_line_with_its_place() {
        let (_, text, _) = *EMBEDDED.iter().find(|(name, ..)| *name == "mnist").unwrap();
        let says = |text: &str| {
            let error = Manifest::parse("mnist", text, None).unwrap_err().to_string();
            assert!(!error.contains('\n'), "{error}");
            error
        };
        assert!(says(&format!("colour = 1\n{text}")).contains("line 1: unknown field `colour`"));
        assert!(says(&text.replace("size = 28881", "size = \"big\"")).contains("invalid type"));
        assert!(says(&text.replace("440fcabf", "440FCABF")).contains("64 lower-case hexadecimal digits"));
        assert!(says(&text.replace("t10k-labels-idx1-ubyte.gz", "..")).contains("no file name"));
        assert!(says(&text.replace("std = [0.3081", "std = [0.0")).contains("must be positive"));
        let (before, after) = text.split_once("classes = [").unwrap();
        assert!(says(&format!("{before}{}", after.split_once(']').unwrap().1)).contains("no class names"));
        let twice = Manifest::parse("mnist", text, Some("zero\none\n")).unwrap_err().to_string();
        assert!(twice.contains("here and in `classes.txt`"), "{twice}");
    }

    #[test]
    fn classes_have_names_and_folders() {
        let imagenet = Manifest::find("imagenet", Path::new("nowhere")).unwrap().unwrap();
        // torchvision's spelling, in the order of the WordNet numbers.
        let rows =
            [(0, "n01440764", "tench"), (281, "n02123045", "tabby"), (999, "n15075141", "toilet tissue")];
        for (class, folder, name) in rows {
            assert_eq!((imagenet.folders[class].as_str(), imagenet.classes[class].as_str()), (folder, name));
            assert_eq!(imagenet.class_of(folder), name);
        }
        assert!(imagenet.folders.is_sorted());
        assert_eq!(imagenet.class_of("n00000000"), "n00000000");
        let cifar10 = Manifest::find("cifar10", Path::new("nowhere")).unwrap().unwrap();
        assert_eq!((cifar10.classes[9].as_str(), &cifar10.folders), ("truck", &cifar10.classes));
    }

    #[test]
    fn what_cannot_be_downloaded_says_how_it_is_got() {
        let advice = |name| Manifest::find(name, Path::new("nowhere")).unwrap().unwrap().advice();
        assert_eq!(advice("mnist"), "run `kiln data fetch mnist`");
        assert!(advice("imagenet").contains("train/n01440764/*.JPEG"), "{}", advice("imagenet"));
    }

    #[test]
    fn the_manifest_on_disk_goes_before_the_one_built_in() {
        let datasets = tempfile::tempdir().unwrap();
        fs::create_dir(datasets.path().join("mnist")).unwrap();
        let (_, mnist, _) = EMBEDDED.iter().find(|(name, ..)| *name == "mnist").unwrap();
        let text = mnist.replace("title = \"MNIST", "title = \"My MNIST");
        fs::write(datasets.path().join("mnist/manifest.toml"), text).unwrap();
        let manifest = Manifest::find("mnist", datasets.path()).unwrap().unwrap();
        assert!(manifest.title.starts_with("My MNIST"), "{}", manifest.title);
        assert_eq!(Manifest::find("cats", datasets.path()).unwrap(), None);
        assert_eq!(
            Manifest::names(datasets.path()),
            [
                "bccd",
                "camvid",
                "cifar10",
                "cifar100",
                "coco",
                "coco128",
                "fashion-mnist",
                "imagenet",
                "mnist",
                "voc"
            ]
        );
    }
}
