//! COCO's masks: polygons, or run lengths as numbers or as text.

use std::fmt;

use kiln_core::{Error, Result};
use kiln_tasks::average_precision::Runs;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A mask as it stands in a file.
#[derive(Debug, PartialEq)]
pub enum Segmentation {
    /// What is inside any of them: `x0, y0, x1, y1, …`.
    Polygons(Vec<Vec<f64>>),
    /// Lengths of runs.
    Runs {
        /// Height and width.
        size: [usize; 2],
        /// The lengths.
        counts: Counts,
    },
}

/// Lengths of runs as they stand in a file.
#[derive(Debug, PartialEq)]
pub enum Counts {
    /// As numbers.
    Numbers(Vec<u32>),
    /// As text.
    Text(String),
}

impl Segmentation {
    /// The mask, of an image of `[height, width]` where the truth says so.
    ///
    /// # Errors
    /// Polygons in an image of unknown size, and run lengths that do not fill theirs.
    pub fn runs(self, image: Option<[usize; 2]>) -> Result<Runs> {
        let runs = match self {
            Self::Runs { size, counts: Counts::Numbers(counts) } => Runs::new(size, counts),
            Self::Runs { size, counts: Counts::Text(text) } => Runs::from_text(size, &text),
            Self::Polygons(polygons) => {
                let hint = "polygons take the `width` and `height` of their image";
                let size = image.ok_or_else(|| Error::input("the image has no size").hint(hint))?;
                let mut whole = Runs::from_polygon(size, &[]);
                for polygon in polygons {
                    let (before, next) = (whole, Runs::from_polygon(size, &polygon));
                    whole = before.zip(next).map(|(before, next)| before.union(&next));
                }
                whole
            }
        };
        runs.ok_or_else(|| Error::input("the runs of `segmentation` do not fill its `size`"))
    }
}

impl<'de> Deserialize<'de> for Segmentation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        #[derive(Deserialize)]
        struct Lengths {
            size: [usize; 2],
            counts: Counts,
        }

        impl<'de> Visitor<'de> for Either {
            type Value = Segmentation;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("polygons, or an object with `size` and `counts`")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Segmentation, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(list)).map(Segmentation::Polygons)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Segmentation, A::Error> {
                let Lengths { size, counts } = Deserialize::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Segmentation::Runs { size, counts })
            }
        }

        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for Counts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Counts;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("lengths of runs, as a list or as a text")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Counts, A::Error> {
                Deserialize::deserialize(SeqAccessDeserializer::new(list)).map(Counts::Numbers)
            }

            fn visit_str<E>(self, text: &str) -> Result<Counts, E> {
                Ok(Counts::Text(text.to_string()))
            }
        }

        deserializer.deserialize_any(Either)
    }
}
