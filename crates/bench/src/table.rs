//! What is printed: rows as they are measured, or one JSON object.

use std::io::IsTerminal;

use serde_json::{Value, json};

use crate::pace::geometric_mean;
use crate::peer::Waiting;

/// What was measured, in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What it is.
    pub name: String,
    /// Our time.
    pub ours: f64,
    /// PyTorch's, and how it came to it.
    pub torch: Option<Torch>,
    /// ONNX Runtime's.
    pub onnxruntime: Option<f64>,
    /// Multiplications and additions, in thousands of millions.
    pub giga: Option<f64>,
}

/// PyTorch's time where it is fastest.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Torch {
    /// Milliseconds.
    pub time: f64,
    /// One of [`LAYOUTS`](crate::peer::LAYOUTS).
    pub layout: &'static str,
    /// What its threads do between two pieces of work.
    pub waiting: Waiting,
}

impl Row {
    /// Our time by PyTorch's.
    pub fn ratio(&self) -> Option<f64> {
        self.torch.map(|torch| self.ours / torch.time)
    }

    /// Our operations in a second, in thousands of millions.
    pub fn rate(&self) -> Option<f64> {
        self.giga.map(|giga| giga / (self.ours * 1e-3))
    }

    fn object(&self) -> Value {
        json!({
            "name": self.name, "ours_ms": self.ours, "peer_ms": self.torch.map(|torch| torch.time),
            "ratio": self.ratio(), "peer_layout": self.torch.map(|torch| torch.layout),
            "peer_threads": self.torch.map(|torch| torch.waiting.name()), "onnxruntime_ms": self.onnxruntime,
            "gflops": self.rate(),
        })
    }
}

/// All rows and what stands above them as one object.
pub fn object(networks: &[Row], layers: &[Row], head: Value) -> Value {
    let rows: Vec<&Row> = networks.iter().chain(layers).collect();
    let mut object = head;
    object["rows"] = rows.iter().map(|row| row.object()).collect();
    object["geomean"] = mean(rows).into();
    object["geomean_networks"] = mean(networks).into();
    object["geomean_layers"] = mean(layers).into();
    object
}

/// Of the ratios.
fn mean<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Option<f64> {
    geometric_mean(&rows.into_iter().filter_map(Row::ratio).collect::<Vec<_>>())
}

/// What a table says beside times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// PyTorch's layout alone.
    None,
    /// ONNX Runtime's time.
    OnnxRuntime,
    /// Our operations in a second.
    Rate,
}

/// How rows are printed as they come, in columns.
pub struct Table {
    /// Characters of the longest name.
    width: usize,
    column: Column,
    colours: bool,
}

impl Table {
    /// Prints the line above the rows.
    pub fn begin(title: &str, column: Column, names: &[String]) -> Self {
        let width = names.iter().map(|name| name.chars().count()).chain([title.len()]).max().unwrap_or(0);
        let more = match column {
            Column::None => "",
            Column::OnnxRuntime => "  onnxruntime ms",
            Column::Rate => "   GFLOP/s",
        };
        println!("\n{title:width$}  {:>9}  {:>9}  {:>6} {more}  theirs is", "ours ms", "theirs ms", "ratio");
        Self { width, column, colours: std::io::stdout().is_terminal() }
    }

    /// Prints a row.
    pub fn print(&self, row: &Row) {
        println!("{}", self.line(row));
    }

    /// Prints what all rows come to.
    pub fn end(&self, rows: &[Row]) {
        if let Some(mean) = mean(rows) {
            let slower = rows.iter().filter(|row| row.ratio().is_some_and(|ratio| ratio > 1.0)).count();
            let gap = self.width + 22;
            println!("{:gap$}  {mean:6.2}   {slower} of {} slower (*)", "geometric mean", rows.len());
        }
    }

    fn line(&self, row: &Row) -> String {
        let dash = || "-".to_string();
        let width = self.width;
        let ratio = format!("{:>6}", row.ratio().map_or_else(dash, |ratio| format!("{ratio:.2}")));
        let is_slower = row.ratio().is_some_and(|ratio| ratio > 1.0);
        let ratio = match (is_slower, self.colours) {
            (true, true) => format!("\x1b[31m{ratio}*\x1b[0m"),
            (true, false) => format!("{ratio}*"),
            (false, _) => format!("{ratio} "),
        };
        let more = match self.column {
            Column::None => String::new(),
            Column::OnnxRuntime => format!("{:>16}", row.onnxruntime.map_or_else(dash, milliseconds)),
            Column::Rate => format!("{:>10}", row.rate().map_or_else(dash, |rate| format!("{rate:.0}"))),
        };
        let ours = milliseconds(row.ours);
        let theirs = row.torch.map_or_else(dash, |torch| milliseconds(torch.time));
        let how = row.torch.map(|torch| format!("{}, {}", torch.layout, torch.waiting.name()));
        let how = how.unwrap_or_default();
        let line = format!("{:width$}  {ours:>9}  {theirs:>9}  {ratio}{more}  {how}", row.name);
        line.trim_end().to_string()
    }
}

/// Three digits that count.
fn milliseconds(time: f64) -> String {
    match time {
        100.0.. => format!("{time:.0}"),
        10.0.. => format!("{time:.1}"),
        1.0.. => format!("{time:.2}"),
        _ => format!("{time:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, theirs: Option<f64>) -> Row {
        let torch = theirs.map(|time| Torch { time, layout: "default", waiting: Waiting::Asleep });
        Row { name: "x".into(), ours, torch, onnxruntime: None, giga: Some(3.0) }
    }

    #[test]
    fn the_ratio_is_ours_by_theirs_and_the_rate_is_per_second() {
        assert_eq!(row(6.0, Some(3.0)).ratio(), Some(2.0));
        assert_eq!(row(6.0, None).ratio(), None);
        // 3 thousand million operations in 6 milliseconds are 500 thousand million a second.
        assert_eq!(row(6.0, None).rate(), Some(500.0));
    }

    #[test]
    fn the_object_has_every_row_and_the_means() {
        let networks = [row(2.0, Some(4.0))];
        let layers = [row(8.0, Some(1.0)), row(1.0, None)];
        let object = object(&networks, &layers, json!({"threads": 2}));
        assert_eq!(object["threads"], 2);
        let rows = object["rows"].as_array().expect("a list");
        assert_eq!(rows.len(), 3);
        let first = json!({
            "name": "x", "ours_ms": 2.0, "peer_ms": 4.0, "ratio": 0.5, "peer_layout": "default",
            "peer_threads": "asleep", "onnxruntime_ms": null, "gflops": 1500.0,
        });
        assert_eq!(rows[0], first);
        assert!(rows[2]["peer_ms"].is_null() && rows[2]["ratio"].is_null());
        // Ratios 1/2 and 8: the root of 4.
        let mean = |name: &str| object[name].as_f64().expect("a number");
        assert!((mean("geomean") - 2.0).abs() < 1e-12);
        assert!((mean("geomean_networks") - 0.5).abs() < 1e-12);
        assert!((mean("geomean_layers") - 8.0).abs() < 1e-12);
    }

    #[test]
    fn a_slower_row_is_marked() {
        let table = Table { width: 3, column: Column::Rate, colours: false };
        let line = table.line(&row(6.0, Some(3.0)));
        assert_eq!(line, "x         6.00       3.00    2.00*       500  default, asleep");
        assert!(table.line(&row(1.0, Some(3.0))).contains("  0.33  "));
    }
}
