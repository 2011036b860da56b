//! The pixels of a batch in a row: what each is, and what is said of it.

use burn::prelude::*;
use kiln_core::{IGNORED, Truth};

use super::score::true_labels;

/// What the pixels of a batch are, image by image, row by row.
#[derive(Debug, Clone)]
pub struct Labels {
    /// Images, rows, columns.
    size: [usize; 3],
    /// The class of each pixel; 0 where it does not count.
    classes: Vec<usize>,
    /// False for pixels that do not count.
    counted: Vec<bool>,
}

impl Labels {
    /// The label maps of a batch.
    ///
    /// # Panics
    /// If an image has no label map, one of another size than the first, or a class that is not below `num_classes`.
    pub fn of(truths: &[Truth], num_classes: usize) -> Self {
        let maps = truths.iter().map(true_labels);
        let [height, width] = maps.clone().next().map_or([0; 2], |map| [map.height, map.width]);
        let (mut classes, mut counted) = (Vec::new(), Vec::new());
        for map in maps {
            assert_eq!([map.height, map.width], [height, width], "label maps of one batch");
            let highest = map.labels.iter().filter(|label| **label != IGNORED).max();
            let is_known = highest.is_none_or(|label| usize::from(*label) < num_classes);
            assert!(is_known, "a label {highest:?} of {num_classes} classes");
            let class = |label: &u8| if *label == IGNORED { 0 } else { usize::from(*label) };
            classes.extend(map.labels.iter().map(class));
            counted.extend(map.labels.iter().map(|label| *label != IGNORED));
        }
        Self { size: [truths.len(), height, width], classes, counted }
    }

    /// The class of each pixel; 0 where it does not count.
    pub(super) fn classes(&self) -> &[usize] {
        &self.classes
    }

    /// The classes beside a tensor of a row a pixel, `[pixels, 1]`.
    pub(super) fn column(&self, device: &Device) -> Tensor<2, Int> {
        let classes: Vec<i64> = self.classes.iter().map(|class| *class as i64).collect();
        Tensor::<1, Int>::from_data(classes.as_slice(), device).unsqueeze_dim(1)
    }

    /// The class of each pixel, `None` where it does not count.
    pub(super) fn iter(&self) -> impl Iterator<Item = Option<usize>> {
        self.classes.iter().zip(&self.counted).map(|(class, counted)| counted.then_some(*class))
    }

    /// A number for each pixel, by its class; 0 where it does not count.
    pub(super) fn numbers(&self, of_class: impl Fn(usize) -> f32) -> Vec<f32> {
        self.iter().map(|class| class.map_or(0.0, &of_class)).collect()
    }

    /// How many pixels count.
    pub(super) fn count(&self) -> usize {
        self.counted.iter().filter(|counted| **counted).count()
    }

    /// A row of logits for each pixel. Where channels lie side by side in memory, nothing is moved.
    ///
    /// # Shapes
    /// `[batch, num_classes, height, width]` to `[batch * height * width, num_classes]`
    ///
    /// # Panics
    /// If there are not the logits of every pixel.
    pub(super) fn rows(&self, logits: Tensor<4>) -> Tensor<2> {
        let [batch, num_classes, height, width] = logits.dims();
        assert_eq!([batch, height, width], self.size, "images, height and width of logits and of label maps");
        logits.permute([0, 2, 3, 1]).reshape([batch * height * width, num_classes])
    }
}
