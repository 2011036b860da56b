//! Local response normalization, with Burn's name and settings; on the CPU, the kernel of `kiln-kernels`.

use burn::config::Config;
use burn::module::{Content, DisplaySettings, ModuleDisplay};
use burn::prelude::*;
use kiln_kernels::response::Response;

/// The settings of a [`LocalResponseNorm`].
#[derive(Config, Debug)]
pub struct LocalResponseNormConfig {
    /// Channels of a window.
    pub size: usize,
    /// What the mean square is multiplied by.
    #[config(default = 0.0001)]
    pub alpha: f64,
    /// The exponent.
    #[config(default = 0.75)]
    pub beta: f64,
    /// What is added to the mean square.
    #[config(default = 1.0)]
    pub k: f64,
}

/// `x / (k + alpha * mean square)^beta`, the mean being that of `size` neighbouring channels; beyond the first and the last
/// there are zeros. Krizhevsky et al. 2012, Section 3.3, where alpha is not divided by the size; it is in PyTorch's and
/// Caffe's.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct LocalResponseNorm {
    size: usize,
    alpha: f64,
    beta: f64,
    k: f64,
}

impl LocalResponseNormConfig {
    /// With an alpha that the sum of squares is multiplied by, as in the paper, where the layer's is that of their mean.
    pub fn with_alpha_of_sum(self, alpha: f64) -> Self {
        let size = self.size as f64;
        self.with_alpha(alpha * size)
    }

    /// The layer.
    ///
    /// # Panics
    /// If the window has no channel.
    pub fn init(&self) -> LocalResponseNorm {
        let Self { size, alpha, beta, k } = *self;
        assert!(size > 0, "a window of no channel");
        LocalResponseNorm { size, alpha, beta, k }
    }
}

impl LocalResponseNorm {
    /// # Shapes
    /// `[batch, channels, height, width]` to the same
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let Self { size, alpha, beta, k } = *self;
        kiln_kernels::response_norm(x, Response { size, alpha, beta, k })
    }
}

impl ModuleDisplay for LocalResponseNorm {
    fn custom_settings(&self) -> Option<DisplaySettings> {
        DisplaySettings::new().with_new_line_after_attribute(false).optional()
    }

    fn custom_content(&self, content: Content) -> Option<Content> {
        content
            .add("size", &self.size)
            .add("alpha", &self.alpha)
            .add("beta", &self.beta)
            .add("k", &self.k)
            .optional()
    }
}
