//! A CSV file of a run whose first column counts steps.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use kiln_core::{Error, Result};

/// Whoever watches the file waits no longer for a row.
const PATIENCE: Duration = Duration::from_secs(1);

/// Appends rows. A run that goes on drops those of steps that it will take again.
pub struct Rows {
    path: PathBuf,
    header: &'static str,
    file: Option<BufWriter<File>>,
    flushed: Instant,
}

impl Rows {
    /// Of the file at `path`, which begins with this header.
    pub fn new(path: PathBuf, header: &'static str) -> Self {
        Self { path, header, file: None, flushed: Instant::now() }
    }

    /// Begins with the rows up to step `done`, written beside and renamed: until then the old file is whole.
    ///
    /// # Errors
    /// A file that holds something else; a place that cannot be written.
    pub fn begin(&mut self, done: usize) -> Result<()> {
        let kept = match done {
            0 => Vec::new(),
            _ => read(&self.path, |cells| Some((cells.first()?.parse::<usize>().ok()?, cells.join(","))))?,
        };
        let begun = || -> std::io::Result<BufWriter<File>> {
            let beside = self.path.with_extension("csv.part");
            let mut file = BufWriter::new(File::create(&beside)?);
            writeln!(file, "{}", self.header)?;
            for (_, row) in kept.iter().filter(|(step, _)| *step <= done) {
                writeln!(file, "{row}")?;
            }
            synced(&mut file)?;
            std::fs::rename(beside, &self.path)?;
            Ok(file)
        };
        self.file = Some(begun().map_err(|why| Error::unwritable(&self.path, &why))?);
        Ok(())
    }

    /// Appends a row. It is in the file a second later, if another one follows.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn push(&mut self, row: &str) -> Result<()> {
        let due = self.flushed.elapsed() >= PATIENCE;
        self.write(|file| {
            writeln!(file, "{row}")?;
            if due { file.flush() } else { Ok(()) }
        })?;
        if due {
            self.flushed = Instant::now();
        }
        Ok(())
    }

    /// All rows are in the file.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn flush(&mut self) -> Result<()> {
        self.write(BufWriter::flush)
    }

    /// All rows are on the disk, where a run that goes on must find them.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn sync(&mut self) -> Result<()> {
        self.write(synced)
    }

    fn write(&mut self, write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>) -> Result<()> {
        let written = self.file.as_mut().map_or(Ok(()), write);
        written.map_err(|why| Error::unwritable(&self.path, &why))
    }
}

fn synced(file: &mut BufWriter<File>) -> std::io::Result<()> {
    file.flush()?;
    file.get_ref().sync_data()
}

/// The rows written so far, the last one only if it is complete; none if there is no such file.
///
/// # Errors
/// A file that cannot be read, or a row that `parse` makes nothing of.
pub fn read<T>(path: &Path, parse: impl Fn(&[&str]) -> Option<T>) -> Result<Vec<T>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(path).map_err(|why| Error::unreadable(path, &why))?;
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let rows = complete.lines().enumerate().skip(1).map(|(number, line)| {
        let wrong =
            || Error::input(format!("`{line}` is no step")).file(path).place(format!("line {}", number + 1));
        parse(&line.split(',').collect::<Vec<_>>()).ok_or_else(wrong)
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn rows_are_seen_within_a_second_and_cut_back_to_where_a_run_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("steps.csv");
        let text = || std::fs::read_to_string(&path).unwrap();
        let mut rows = Rows::new(path.clone(), "step,loss");
        rows.begin(0).unwrap();
        rows.push("1,2.5").unwrap();
        assert_eq!(text(), "step,loss\n");
        std::thread::sleep(PATIENCE);
        rows.push("2,2.25").unwrap();
        assert_eq!(text(), "step,loss\n1,2.5\n2,2.25\n");
        rows.push("3,2").unwrap();
        rows.sync().unwrap();
        // Killed in the middle of a row.
        std::fs::write(&path, text() + "4,1.").unwrap();
        let steps = read(&path, |cells| cells[0].parse::<usize>().ok()).unwrap();
        assert_eq!(steps, [1, 2, 3]);
        Rows::new(path.clone(), "step,loss").begin(2).unwrap();
        assert_eq!(text(), "step,loss\n1,2.5\n2,2.25\n");
        std::fs::write(&path, "step,loss\nx,1\n").unwrap();
        let error = Rows::new(path.clone(), "step,loss").begin(2).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("`x,1` is no step"), "{error}");
    }
}
