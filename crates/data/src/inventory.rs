//! What is known and what is there (`data list`), and whether it is whole (`data check`).

use std::path::PathBuf;

use kiln_core::{Error, Result};
use rayon::prelude::*;

use crate::catalog::{Layout, Opened, Roots, SHAPES, folder_at, names, open};
use crate::fetch::{FileState, states};
use crate::manifest::Manifest;

/// A line of `data list`.
#[derive(Debug, Clone)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What it is.
    pub title: String,
    /// Its licence, where it is known.
    pub licence: Option<String>,
    /// Number of images: those that are there, else those that the manifest promises.
    pub items: usize,
    /// Where it is, if it is there; a generated one is nowhere and always there.
    pub root: Option<PathBuf>,
    /// True where it can be opened.
    pub present: bool,
    /// What is wrong with it, where it is there and cannot be opened.
    pub problem: Option<Error>,
    /// What to do to get it, where it is not there.
    pub advice: Option<String>,
}

/// What is known: `shapes`, everything with a manifest, and every folder of the roots that is recognized.
///
/// # Errors
/// A manifest with a mistake in it. A data set that cannot be opened is listed with its problem.
pub fn list(roots: &Roots) -> Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for name in names(roots) {
        let manifest = Manifest::find(&name, &roots.datasets)?;
        let licence = manifest.as_ref().map(|manifest| manifest.licence.clone());
        let opened = match name == SHAPES {
            true => Ok(Some(Opened::shapes())),
            false => roots.places(&name).iter().filter(|root| root.is_dir()).try_fold(None, |found, root| {
                match found {
                    Some(found) => Ok(Some(found)),
                    None => Opened::at(&name, root, &roots.datasets),
                }
            }),
        };
        match (opened, manifest) {
            (Ok(Some(opened)), manifest) => listed.push(Listed {
                title: manifest.map_or_else(|| described(&opened), |manifest| manifest.title),
                licence,
                items: opened.items(),
                root: opened.root,
                present: true,
                problem: None,
                advice: None,
                name,
            }),
            (Ok(None), Some(manifest)) => listed.push(Listed {
                items: manifest.items(),
                advice: Some(manifest.advice()),
                title: manifest.title,
                licence,
                root: None,
                present: false,
                problem: None,
                name,
            }),
            (Ok(None), None) => {}
            (Err(error), manifest) => listed.push(Listed {
                title: manifest.map_or_else(String::new, |manifest| manifest.title),
                licence,
                items: 0,
                root: roots.places(&name).into_iter().find(|root| root.is_dir()),
                present: false,
                problem: Some(error),
                advice: None,
                name,
            }),
        }
    }
    Ok(listed)
}

fn described(opened: &Opened) -> String {
    let kind = match opened.layout {
        Layout::Generated => "generated coloured shapes, with everything a truth can hold".to_string(),
        layout => layout.name().to_string(),
    };
    format!("{kind}, {} classes", opened.classes.len())
}

/// What `data check` found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The data set's name.
    pub name: String,
    /// Where it is; `None` where it is generated.
    pub root: Option<PathBuf>,
    /// Every file of the manifest and its state; empty where no manifest knows the files.
    pub files: Vec<(PathBuf, FileState)>,
    /// Images that were decoded, where no manifest knows the files.
    pub images: usize,
    /// What is wrong, a line each.
    pub wrong: Vec<Error>,
}

impl Report {
    /// True where nothing is wrong.
    pub fn is_whole(&self) -> bool {
        self.wrong.is_empty()
    }
}

/// Looks whether a data set is whole: its files' sizes and checksums where a manifest knows them, else every image.
///
/// # Errors
/// As [`open`]. What is wrong with files and images is in the report.
pub fn check(name_or_path: &str, roots: &Roots) -> Result<Report> {
    let folder = match name_or_path {
        SHAPES => None,
        path => folder_at(path)?,
    };
    let (name, places) = match folder {
        Some((name, root)) => (name, vec![root]),
        None => (name_or_path.to_string(), roots.places(name_or_path)),
    };
    if let Some(manifest) = Manifest::find(&name, &roots.datasets)? {
        for root in places.into_iter().filter(|root| root.is_dir()) {
            let files = states(&manifest, &root)?;
            // Files of other names are the same data in another form: those are looked at one by one.
            if files.iter().any(|(_, state)| *state != FileState::Missing) {
                let wrong = files.iter().filter_map(|(path, state)| state.complaint(path)).collect();
                return Ok(Report { name, root: Some(root), files, images: 0, wrong });
            }
        }
    }

    let opened = open(name_or_path, roots)?;
    let (mut images, mut wrong) = (0, Vec::new());
    for (split, _) in &opened.splits {
        match opened.split(split) {
            Err(error) => wrong.push(error),
            Ok(dataset) => {
                let bad: Vec<Error> =
                    (0..dataset.len()).into_par_iter().filter_map(|i| dataset.get(i).err()).collect();
                images += dataset.len();
                wrong.extend(bad);
            }
        }
    }
    Ok(Report { name: opened.name, root: opened.root, files: Vec::new(), images, wrong })
}
