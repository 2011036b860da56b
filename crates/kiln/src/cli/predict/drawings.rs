//! The images of `--out`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use image::RgbImage;
use kiln_core::{Error, Result};
use kiln_data::decode_rgb;

use super::photographs::Photographs;

/// A folder with a drawing for each image that was read, called as it is.
pub struct Drawings {
    folder: PathBuf,
    /// How often a name was wanted.
    names: HashMap<String, usize>,
}

impl Drawings {
    /// Makes the folder.
    ///
    /// # Errors
    /// A place that cannot be written; a folder that holds the images themselves.
    pub fn new(folder: &Path, photographs: &Photographs) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|why| Error::unwritable(folder, &why))?;
        let absolute = |path: &Path| path.canonicalize().ok();
        let ours = absolute(folder);
        if photographs.files().iter().any(|file| file.parent().and_then(absolute) == ours) {
            let error = Error::input("holds images to be named, which drawings could overwrite").file(folder);
            return Err(error.hint("give another folder to `--out`"));
        }
        Ok(Self { folder: folder.to_path_buf(), names: HashMap::new() })
    }

    /// Draws an image with what is said of it; images of one name are numbered.
    ///
    /// # Errors
    /// An image that cannot be read again; a place that cannot be written.
    pub fn add(&mut self, file: &Path, draw: impl FnOnce(&RgbImage) -> RgbImage) -> Result<PathBuf> {
        let stem = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let count = self.names.entry(stem.clone()).or_default();
        *count += 1;
        let name = if *count == 1 { format!("{stem}.png") } else { format!("{stem}-{count}.png") };
        let (whole, part) = (self.folder.join(&name), self.folder.join(format!("{name}.part")));
        let saved = draw(&decode_rgb(file)?).save_with_format(&part, image::ImageFormat::Png);
        saved.map_err(|why| Error::input(format!("cannot be written: {why}")).file(&whole))?;
        std::fs::rename(&part, &whole).map_err(|why| Error::unwritable(&whole, &why))?;
        Ok(whole)
    }
}
