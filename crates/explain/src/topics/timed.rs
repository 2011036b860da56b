//! How long layers take.

use std::time::Instant;

use burn::prelude::*;
use kiln_nn::Draws;

/// What a layer does, or several.
pub(super) type Run = Box<dyn Fn(Tensor<4>) -> Tensor<4>>;

/// Something that is timed on an image of noise, always the same one.
pub(super) struct Timed {
    input: Tensor<4>,
    run: Run,
    /// The shortest of all times.
    pub milliseconds: f64,
}

impl Timed {
    /// On an image of these channels, height and width; not timed yet.
    pub fn new([channels, height, width]: [usize; 3], run: Run) -> Self {
        let like = Tensor::<1>::zeros([1], &Device::flex());
        let input = Draws::new(0).normal([1, channels, height, width], &like);
        Self { input, run, milliseconds: f64::INFINITY }
    }

    /// Once more.
    pub fn time(&mut self) {
        let start = Instant::now();
        let y = (self.run)(self.input.clone());
        let seconds = start.elapsed().as_secs_f64();
        drop(y);
        self.milliseconds = self.milliseconds.min(1000.0 * seconds);
    }
}
