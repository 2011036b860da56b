//! What an explanation consists of.

use kiln_page::chart::Chart;

use crate::draw::Drawing;

/// An explanation: everything on it was just computed.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// The idea, in three sentences.
    pub idea: [&'static str; 3],
    /// What is computed.
    pub formulas: Vec<Formula>,
    /// What it looks like.
    pub figures: Vec<Figure>,
    /// What it gives.
    pub tables: Vec<Table>,
    /// What was tried, and what came of it.
    pub experiment: Experiment,
    /// Where the code is: file and item.
    pub code: Vec<&'static str>,
    /// The tests that prove it: file and name.
    pub tests: Vec<&'static str>,
    /// Where it comes from, and the address.
    pub sources: Vec<[&'static str; 2]>,
}

/// A formula, for pages and for the terminal.
#[derive(Debug, Clone)]
pub struct Formula {
    /// In LaTeX, of which pages get MathML.
    pub latex: &'static str,
    /// In one line of text.
    pub text: &'static str,
}

/// A picture with what it shows.
#[derive(Debug, Clone)]
pub struct Figure {
    /// A word for its file.
    pub name: String,
    /// What it shows, in a sentence.
    pub caption: String,
    /// The picture.
    pub picture: Picture,
}

/// A picture.
#[derive(Debug, Clone)]
pub enum Picture {
    /// Lines over axes.
    Chart(Box<Chart>),
    /// Anything else.
    Drawing(Drawing),
    /// Many small ones, each with its name.
    Small(Vec<(String, Drawing)>),
}

/// A table.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// What it says.
    pub caption: String,
    /// The names of its columns.
    pub header: Vec<String>,
    /// Its rows, the first cell of each being its name.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// A table of these columns, without rows yet.
    pub fn new(caption: &str, header: &[&str]) -> Self {
        let header = header.iter().map(|name| name.to_string()).collect();
        Self { caption: caption.into(), header, rows: Vec::new() }
    }

    /// One row more.
    pub fn row(&mut self, name: impl Into<String>, cells: impl IntoIterator<Item = String>) {
        self.rows.push(std::iter::once(name.into()).chain(cells).collect());
    }
}

/// What was tried.
#[derive(Debug, Clone, Default)]
pub struct Experiment {
    /// What was asked.
    pub question: String,
    /// What was done.
    pub method: String,
    /// What came of it.
    pub result: String,
    /// What it looks like.
    pub figures: Vec<Figure>,
    /// Its numbers.
    pub tables: Vec<Table>,
}

impl Page {
    /// All figures, in order.
    pub fn all_figures(&self) -> impl Iterator<Item = &Figure> {
        self.figures.iter().chain(&self.experiment.figures)
    }

    /// All tables, in order.
    pub fn all_tables(&self) -> impl Iterator<Item = &Table> {
        self.tables.iter().chain(&self.experiment.tables)
    }
}
