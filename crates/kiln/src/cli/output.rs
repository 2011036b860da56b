//! What goes to standard output, lines for people or one JSON object, and to files that were asked for.

use std::io::{Cursor, Write};
use std::path::Path;

use image::{ImageFormat, RgbImage};
use kiln_core::{Error, Result};
use serde_json::Value;

/// How a command answers.
pub struct Output {
    /// One JSON object instead of lines.
    pub json: bool,
}

impl Output {
    /// The whole answer, in both forms.
    pub fn answer(&self, lines: &str, json: Value) {
        let mut out = std::io::stdout();
        let said = match self.json {
            true => writeln!(out, "{json}"),
            false => writeln!(out, "{}", lines.trim_end()),
        };
        // Who has closed the pipe, as `head` does, has read enough.
        drop(said);
    }
}

/// Rows as a table: columns as wide as their widest cell, numbers to the right.
pub fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let header = header.map(str::to_string);
    let all = || std::iter::once(&header).chain(rows);
    let widths: [usize; N] =
        std::array::from_fn(|i| all().map(|row| row[i].chars().count()).max().unwrap_or(0));
    let is_number = |cell: &str| cell.chars().next().is_some_and(|c| c.is_ascii_digit()) || cell == "-";
    let right: [bool; N] =
        std::array::from_fn(|i| !rows.is_empty() && rows.iter().all(|row| is_number(&row[i])));
    let mut text = String::new();
    for row in all() {
        let cells = row.iter().enumerate().map(|(i, cell)| match right[i] {
            true => format!("{cell:>width$}", width = widths[i]),
            false => format!("{cell:<width$}", width = widths[i]),
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// Writes a file, beside and then renamed.
pub fn write(file: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    std::fs::write(&part, content)
        .and_then(|()| std::fs::rename(&part, file))
        .map_err(|why| Error::unwritable(file, &why))
}

/// An image as a PNG file's bytes.
///
/// # Errors
/// An image that is no PNG's, as one without pixels.
pub fn png(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    let written = image.write_to(&mut bytes, ImageFormat::Png);
    written.map_err(|why| Error::failure(format!("the picture cannot be written: {why}")))?;
    Ok(bytes.into_inner())
}

/// `11,689,512`.
pub fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
    groups.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_stand_to_the_right() {
        assert_eq!(thousands(11_689_512), "11,689,512");
        assert_eq!(thousands(12), "12");
        let rows = [["a".to_string(), "9".to_string()], ["bcd".to_string(), "1,000".to_string()]];
        assert_eq!(table(["x", "n"], &rows), "x        n\na        9\nbcd  1,000\n");
    }
}
