//! What lies beside YOLO's labels: class names and splits, in Ultralytics' `*.yaml` or Darknet's `*.data` and `*.names`.

use std::fs;
use std::path::{Path, PathBuf};

use kiln_core::{Error, Result};
use yaml_rust2::{Yaml, YamlLoader};

use super::{entries, name_of};

/// What is known of a data set with YOLO's labels before its images are looked for.
pub(super) struct Described {
    /// Class names in the order of the labels.
    pub names: Option<Vec<String>>,
    /// Splits by name, each with folders of images or lists of them; none where nothing names them.
    pub splits: Vec<(String, Vec<PathBuf>)>,
}

/// Reads what a folder says of itself; `None` where nothing speaks for YOLO's labels.
///
/// # Errors
/// YAML with a mistake in it; a file or a folder that is named and not there.
pub(super) fn described(root: &Path) -> Result<Option<Described>> {
    let files: Vec<PathBuf> = entries(root)?.into_iter().filter(|path| path.is_file()).collect();
    let ending = |ends: &[&'static str]| {
        let ends = ends.to_vec();
        files.iter().filter(move |file| ends.iter().any(|end| name_of(file).ends_with(end)))
    };
    for file in ending(&[".yaml", ".yml"]) {
        if let Some(described) = yaml(file, root)? {
            return Ok(Some(described));
        }
    }
    let names = match ending(&[".names", "classes.txt"]).next() {
        Some(file) => Some(lines(file)?),
        None => None,
    };
    if let Some(file) = ending(&[".data"]).next() {
        let described = darknet(file, root)?;
        return Ok(Some(Described { names: described.names.or(names), ..described }));
    }
    let has_labels = |folder: &Path| folder.join("images").is_dir() && folder.join("labels").is_dir();
    let in_splits = || entries(root).is_ok_and(|folders| folders.iter().any(|folder| has_labels(folder)));
    Ok((has_labels(root) || in_splits()).then_some(Described { names, splits: Vec::new() }))
}

/// The lines of a file that hold something.
fn lines(file: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(file).map_err(|why| Error::unreadable(file, &why))?;
    Ok(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(String::from).collect())
}

/// A path that a file beside the data names: below its folder, else below the root, else as it is.
fn found(path: &str, file: &Path, root: &Path) -> Option<PathBuf> {
    let beside = file.parent().unwrap_or(root).join(path);
    // Ultralytics' own and Roboflow's files name folders one above where they are.
    let lower = root.join(path.trim_start_matches("../"));
    [beside, root.join(path), lower].into_iter().find(|path| path.exists())
}

fn yaml(file: &Path, root: &Path) -> Result<Option<Described>> {
    let text = fs::read_to_string(file).map_err(|why| Error::unreadable(file, &why))?;
    let documents = YamlLoader::load_from_str(&text)
        .map_err(|why| Error::input(format!("not readable as YAML: {why}")).file(file))?;
    let Some(document) = documents.first() else { return Ok(None) };
    let name = |name: &Yaml| match name {
        Yaml::String(name) => Some(name.clone()),
        Yaml::Integer(name) => Some(name.to_string()),
        Yaml::Real(name) => Some(name.clone()),
        Yaml::Boolean(name) => Some(name.to_string()),
        _ => None,
    };
    let names: Option<Vec<String>> = match &document["names"] {
        Yaml::Array(names) => names.iter().map(name).collect(),
        Yaml::Hash(names) => {
            (0..names.len()).map(|number| names.get(&Yaml::Integer(number as i64)).and_then(name)).collect()
        }
        Yaml::BadValue => return Ok(None),
        _ => None,
    };
    let Some(names) = names else {
        let error = Error::input("no list of names").file(file).place("names");
        return Err(error.hint("expected `names: [cat, dog]`, or `0: cat` and so on without gaps"));
    };
    if let Yaml::Integer(count) = document["nc"]
        && count != names.len() as i64
    {
        let message = format!("is {count}, and there are {} names", names.len());
        return Err(Error::input(message).file(file).place("nc"));
    }
    let base = document["path"].as_str().and_then(|path| found(path, file, root));
    let base = base.filter(|base| base.is_dir()).unwrap_or_else(|| root.to_path_buf());
    let mut splits = Vec::new();
    for split in ["train", "val", "test"] {
        let paths: Vec<&str> = match &document[split] {
            Yaml::Array(paths) => paths.iter().filter_map(Yaml::as_str).collect(),
            Yaml::String(path) => vec![path.as_str()],
            _ => continue,
        };
        // A split whose images were not fetched is no mistake.
        let places: Vec<PathBuf> = paths
            .iter()
            .filter_map(|path| Some(base.join(path)).filter(|path| path.exists()).or(found(path, file, root)))
            .collect();
        if !places.is_empty() {
            splits.push((split.to_string(), places));
        }
    }
    Ok(Some(Described { names: Some(names), splits }))
}

/// Darknet's `key = value` lines.
fn darknet(file: &Path, root: &Path) -> Result<Described> {
    let mut described = Described { names: None, splits: Vec::new() };
    for line in lines(file)? {
        let Some((key, value)) = line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
            continue;
        };
        if !["train", "valid", "names"].contains(&key) {
            continue;
        }
        // Darknet starts in its own folder: of a path that is not here, the file's name is looked for.
        let name = Path::new(value).file_name().map(|name| name.to_string_lossy().into_owned());
        let place = found(value, file, root).or_else(|| found(&name?, file, root));
        let Some(place) = place else {
            return Err(Error::input(format!("`{value}` is not there")).file(file).place(key.to_string()));
        };
        match key {
            "names" => described.names = Some(lines(&place)?),
            "valid" => described.splits.push(("val".to_string(), vec![place])),
            _ => described.splits.push((key.to_string(), vec![place])),
        }
    }
    Ok(described)
}
