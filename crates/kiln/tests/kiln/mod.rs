//! The binary in a folder of its own.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// An experiment of seconds.
pub const TINY: &str = "\
seed = 1

[data]
name = \"shapes\"
train_items = 96
test_items = 40
train_transforms = [{ name = \"horizontal-flip\" }]
[model]
name = \"cifar10-resnet20\"
[train]
epochs = 3
batch_size = 16
lr = 0.05
[optimizer]
name = \"sgd\"
momentum = 0.9
";

/// `shared/data`, if it is here.
pub fn shared_data() -> Option<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let found = here.ancestors().map(|folder| folder.join("shared/data")).find(|place| place.is_dir());
    if found.is_none() {
        println!("skipped: shared/data is not there");
    }
    found
}

/// `kiln`, run in a temporary folder that holds `tiny.toml`.
pub struct Kiln {
    folder: TempDir,
}

impl Kiln {
    pub fn new() -> Self {
        let kiln = Self { folder: TempDir::new().unwrap() };
        kiln.write("tiny.toml", TINY.as_bytes());
        kiln
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        let file = self.path(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        String::from_utf8(self.bytes(name)).unwrap()
    }

    pub fn bytes(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|why| panic!("{name}: {why}"))
    }

    /// Lines of a file; 0 if it is not there.
    pub fn lines(&self, name: &str) -> usize {
        std::fs::read_to_string(self.path(name)).map_or(0, |text| text.lines().count())
    }

    /// Every file in the folder.
    pub fn files(&self) -> BTreeSet<String> {
        fn walk(folder: &Path, files: &mut BTreeSet<String>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => walk(&path, files),
                    false => _ = files.insert(path.display().to_string()),
                }
            }
        }
        let mut files = BTreeSet::new();
        walk(self.folder.path(), &mut files);
        files
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.args(arguments).current_dir(self.folder.path()).env_remove("KILN_DATA");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Starts a server, and gives the address that its first line ends with.
    pub fn serve(&self, arguments: &[&str]) -> (Child, String) {
        let mut command = self.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (_, address) = line.trim_end().rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        (child, address.to_string())
    }

    /// The one object that a command prints with `--json`.
    pub fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Fresh weights of `cifar10-resnet20`.
    pub fn weights(&self, name: &str) {
        let entry = kiln_zoo::find("cifar10-resnet20").unwrap();
        let device = kiln_core::device("flex").unwrap();
        kiln_zoo::save(&entry.init(10, &device), None, &self.path(name)).unwrap();
    }
}

/// A small picture.
pub fn jpeg() -> Vec<u8> {
    let picture = image::RgbImage::from_fn(40, 32, |x, y| image::Rgb([(x * 6) as u8, (y * 7) as u8, 90]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}
