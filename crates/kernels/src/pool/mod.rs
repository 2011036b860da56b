//! Pooling: every output is the maximum, or the mean, of a window of pixels, channel by channel.
//!
//! Which inputs a window has is a matter of its row and of its column; [`Side`] lists both, so that sliding windows, the
//! windows of an adaptive pool and the whole image are one loop. Backward, every input gathers from the windows that have
//! it: nothing is zeroed first, and no two threads write to one place.

mod max;
mod mean;

pub use max::{Maxima, max, max_gradient, maxima};
pub use mean::{mean, mean_gradient};

/// The inputs of one window along one side: `taps` of them from `first`, every `step`-th.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    first: usize,
    taps: usize,
    step: usize,
    /// The first one's number, where padding comes before it.
    tap: usize,
    /// What a mean is divided by.
    count: usize,
}

/// The windows along one side of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Side {
    size: usize,
    /// Taps of a window at most.
    kernel: usize,
    windows: Vec<Window>,
    /// For every input the windows that have it, as numbers of window and tap: those of input `i` are
    /// `readers[starts[i]..starts[i + 1]]`.
    readers: Vec<(usize, usize)>,
    starts: Vec<usize>,
}

/// How windows slide along one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slide {
    /// Taps of a window.
    pub kernel: usize,
    /// From one window to the next.
    pub stride: usize,
    /// Before the first input and after the last.
    pub padding: (usize, usize),
    /// From tap to tap.
    pub dilation: usize,
    /// Whether a last window may reach beyond the padding; not so far that it begins in it.
    pub ceil: bool,
}

impl Slide {
    /// The windows along a side of `size` inputs. Means count padding (but nothing beyond it) if `count_padding`.
    pub fn along(self, size: usize, count_padding: bool) -> Side {
        let Self { kernel, stride, padding: (before, after), dilation, ceil } = self;
        let (padded, reach) = (before + size + after, dilation * (kernel - 1) + 1);
        let windows = match padded.checked_sub(reach) {
            None => usize::from(ceil),
            Some(rest) if ceil => {
                let windows = rest.div_ceil(stride) + 1;
                windows - usize::from((windows - 1) * stride >= before + size)
            }
            Some(rest) => rest / stride + 1,
        };
        let window = |window: usize| {
            // Inputs are counted from the first of the padding.
            let start = window * stride;
            let tap = before.saturating_sub(start).div_ceil(dilation).min(kernel);
            let end = (before + size).saturating_sub(start).div_ceil(dilation).min(kernel);
            let taps = end.saturating_sub(tap);
            let count = if count_padding { kernel.min(padded.saturating_sub(start)) } else { taps };
            let first = (start + tap * dilation).saturating_sub(before);
            Window { first, taps, step: dilation, tap, count: count.max(1) }
        };
        Side::new(size, kernel, (0..windows).map(window).collect())
    }
}

impl Side {
    /// `windows` windows that share out a side of `size` inputs; neighbours overlap where it does not divide.
    pub fn shared_out(size: usize, windows: usize) -> Self {
        let window = |window: usize| {
            let first = window * size / windows;
            let taps = ((window + 1) * size).div_ceil(windows) - first;
            Window { first, taps, step: 1, tap: 0, count: taps }
        };
        Self::new(size, size.div_ceil(windows) + 1, (0..windows).map(window).collect())
    }

    fn new(size: usize, kernel: usize, windows: Vec<Window>) -> Self {
        let mut readers = Vec::new();
        for (number, window) in windows.iter().enumerate() {
            let taps = 0..window.taps;
            readers.extend(taps.map(|tap| (window.first + tap * window.step, number, window.tap + tap)));
        }
        readers.sort_by_key(|&(input, ..)| input); // stable: windows stay in order
        let starts = (0..=size).map(|i| readers.partition_point(|&(input, ..)| input < i)).collect();
        let readers = readers.into_iter().map(|(_, window, tap)| (window, tap)).collect();
        Self { size, kernel, windows, readers, starts }
    }

    /// Inputs.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Outputs.
    pub fn windows(&self) -> usize {
        self.windows.len()
    }

    fn readers(&self, input: usize) -> &[(usize, usize)] {
        &self.readers[self.starts[input]..self.starts[input + 1]]
    }
}

/// Channels in as few strips as possible: `strip!(N, first)` does N of them. The last strip is moved back over channels that
/// are done, where there are enough.
macro_rules! strips {
    ($channels:expr, |$first:ident, $lanes:ident| $strip:expr) => {{
        let channels: usize = $channels;
        let mut $first = 0;
        {
            const $lanes: usize = 64;
            while $first + $lanes <= channels {
                $strip;
                $first += $lanes;
            }
        }
        {
            const $lanes: usize = 16;
            while $first < channels && channels >= $lanes {
                $first = $first.min(channels - $lanes);
                $strip;
                $first += $lanes;
            }
        }
        {
            const $lanes: usize = 1;
            while $first < channels {
                $strip;
                $first += $lanes;
            }
        }
    }};
}
use strips;
