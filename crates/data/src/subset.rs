//! Part of a split.

use std::sync::Arc;

use kiln_core::Result;

use crate::{Dataset, Sample};

/// Images of a split, picked evenly from its beginning to its end: where they lie sorted by class, each class keeps its share.
pub struct Subset {
    all: Arc<dyn Dataset>,
    items: usize,
}

impl Subset {
    /// `items` images of `all`; all of them if there are no more.
    pub fn evenly(all: Arc<dyn Dataset>, items: usize) -> Self {
        let items = items.min(all.len());
        Self { all, items }
    }

    fn place(&self, index: usize) -> usize {
        index * self.all.len() / self.items
    }
}

impl Dataset for Subset {
    fn len(&self) -> usize {
        self.items
    }

    fn get(&self, index: usize) -> Result<Sample> {
        self.all.get(self.place(index))
    }

    fn origin(&self, index: usize) -> String {
        self.all.origin(self.place(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Shapes, ShapesConfig};

    #[test]
    fn a_subset_is_picked_evenly_and_without_repetition() {
        let all = Arc::new(Shapes::new(ShapesConfig::new("train", 10, 0)).expect("a good configuration"));
        let subset = Subset::evenly(all, 4);
        // 0 * 10 / 4, 1 * 10 / 4, 2 * 10 / 4, 3 * 10 / 4, rounded down.
        let places: Vec<usize> = (0..subset.len()).map(|index| subset.place(index)).collect();
        assert_eq!(places, [0, 2, 5, 7]);
    }
}
