//! What is averaged over what, and what the figures are called: pycocotools' parameters.

use std::fmt;

/// The similarities that a prediction must have at least to have found an object: numpy's `linspace(0.5, 0.95, 10)`, to
/// the bit.
pub const THRESHOLDS: [f64; 10] = {
    let step = (0.95 - 0.5) / 9.0;
    let mut thresholds = [0.95; 10];
    let mut at = 0;
    while at < 9 {
        thresholds[at] = at as f64 * step + 0.5;
        at += 1;
    }
    thresholds
};

/// No kind of prediction has more areas.
pub(super) const MAX_AREAS: usize = 4;

/// A range of areas, both ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Its name.
    pub name: &'static str,
    /// Square pixels.
    pub least: f64,
    /// Square pixels.
    pub most: f64,
}

impl Area {
    const ALL: Self = Self { name: "all", least: 0.0, most: 1e10 };
    const SMALL: Self = Self { name: "small", least: 0.0, most: 1024.0 };
    const MEDIUM: Self = Self { name: "medium", least: 1024.0, most: 9216.0 };
    const LARGE: Self = Self { name: "large", least: 9216.0, most: 1e10 };

    /// Whether it has things of `area` square pixels.
    pub fn has(&self, area: f64) -> bool {
        !(area < self.least || area > self.most)
    }
}

/// What is averaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The precision at 101 recalls.
    Precision,
    /// The recall of all predictions.
    Recall,
}

/// One of the figures.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure {
    /// Its short name: `AP50`.
    pub name: &'static str,
    /// What is averaged.
    pub kind: Kind,
    /// At which of the [`THRESHOLDS`]; the average over all of them if at none.
    pub threshold: Option<usize>,
    /// Of what area.
    pub area: Area,
    /// How many predictions of a class an image may have.
    pub most: usize,
}

/// As pycocotools prints it, without the value.
impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (title, short) = match self.kind {
            Kind::Precision => ("Average Precision", "(AP)"),
            Kind::Recall => ("Average Recall", "(AR)"),
        };
        let similarity = match self.threshold {
            Some(at) => format!("{:.2}", THRESHOLDS[at]),
            None => format!("{:.2}:{:.2}", THRESHOLDS[0], THRESHOLDS[9]),
        };
        let (area, most) = (self.area.name, self.most);
        write!(f, "{title:<18} {short} @[ IoU={similarity:<9} | area={area:>6} | maxDets={most:>3} ]")
    }
}

/// What holds for one kind of prediction.
#[derive(Debug, PartialEq)]
pub struct Rules {
    /// Things of these areas are also scored alone; the first has all.
    pub areas: &'static [Area],
    /// How many predictions of a class an image may have, ascending.
    pub most: &'static [usize],
    /// The figures, the one that is called "the" average precision first.
    pub figures: &'static [Figure],
}

const fn precision(name: &'static str, threshold: Option<usize>, area: Area, most: usize) -> Figure {
    Figure { name, kind: Kind::Precision, threshold, area, most }
}

const fn recall(name: &'static str, threshold: Option<usize>, area: Area, most: usize) -> Figure {
    Figure { name, kind: Kind::Recall, threshold, area, most }
}

/// For boxes and masks.
pub(super) static DETECTION: Rules = Rules {
    areas: &[Area::ALL, Area::SMALL, Area::MEDIUM, Area::LARGE],
    most: &[1, 10, 100],
    figures: &[
        precision("AP", None, Area::ALL, 100),
        precision("AP50", Some(0), Area::ALL, 100),
        precision("AP75", Some(5), Area::ALL, 100),
        precision("APs", None, Area::SMALL, 100),
        precision("APm", None, Area::MEDIUM, 100),
        precision("APl", None, Area::LARGE, 100),
        recall("AR1", None, Area::ALL, 1),
        recall("AR10", None, Area::ALL, 10),
        recall("AR100", None, Area::ALL, 100),
        recall("ARs", None, Area::SMALL, 100),
        recall("ARm", None, Area::MEDIUM, 100),
        recall("ARl", None, Area::LARGE, 100),
    ],
};

/// For keypoints, of which people's small ones have none.
pub(super) static KEYPOINTS: Rules = Rules {
    areas: &[Area::ALL, Area::MEDIUM, Area::LARGE],
    most: &[20],
    figures: &[
        precision("AP", None, Area::ALL, 20),
        precision("AP50", Some(0), Area::ALL, 20),
        precision("AP75", Some(5), Area::ALL, 20),
        precision("APm", None, Area::MEDIUM, 20),
        precision("APl", None, Area::LARGE, 20),
        recall("AR", None, Area::ALL, 20),
        recall("AR50", Some(0), Area::ALL, 20),
        recall("AR75", Some(5), Area::ALL, 20),
        recall("ARm", None, Area::MEDIUM, 20),
        recall("ARl", None, Area::LARGE, 20),
    ],
};
