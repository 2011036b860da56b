//! Rows in long rows, cut among threads.

use std::ops::Range;

use rayon::prelude::*;

use crate::memory::with_scratch;

/// How rows are walked; by the number of channels alone, and so are the sums that are rounded.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    /// Floats of a row.
    pub channels: usize,
    /// Floats of a long row.
    pub long: usize,
    /// Floats of a task, in long rows.
    block: usize,
}

impl Walk {
    /// The walk over rows of so many floats.
    pub fn of(channels: usize) -> Self {
        let channels = channels.max(1);
        // Sixteen floats, or as many rows as have a whole number of them.
        let vectors = channels << (4 - channels.trailing_zeros().min(4));
        let period = if vectors <= 4096 { vectors } else { channels };
        let long = period * 512usize.div_ceil(period);
        // Enough rows that adding up the tasks' sums is no work beside theirs.
        let block = long * (1usize << 15).max(64 * channels).div_ceil(long);
        Self { channels, long, block }
    }

    /// What the columns of a long row have, of what the channels have.
    pub fn columns(self, channels: &[f32]) -> Vec<f32> {
        assert_eq!(channels.len(), self.channels);
        channels.repeat(self.long / self.channels)
    }

    /// Floats, in long rows, that stay in the innermost cache.
    pub fn piece(self) -> usize {
        self.long * 1024usize.div_ceil(self.long)
    }

    fn range(self, block: usize, len: usize) -> Range<usize> {
        block * self.block..len.min((block + 1) * self.block)
    }

    /// Calls `work` on ranges of whole rows that make up `0..len`.
    pub fn for_each(self, len: usize, work: impl Fn(Range<usize>) + Sync) {
        assert!(len.is_multiple_of(self.channels), "{len} floats in rows of {}", self.channels);
        match len.div_ceil(self.block) {
            0 => {}
            1 => work(0..len),
            blocks => (0..blocks).into_par_iter().for_each(|block| work(self.range(block, len))),
        }
    }

    /// Two sums for every channel: `work` adds a block to the columns of a long row.
    pub fn sums(self, len: usize, work: impl Fn(Range<usize>, [&mut [f32]; 2]) + Sync) -> [Vec<f64>; 2] {
        let Self { channels, long, .. } = self;
        assert!(len.is_multiple_of(channels), "{len} floats in rows of {channels}");
        let mut partial = vec![0.0f64; len.div_ceil(self.block) * 2 * channels];
        let block_sums = |(block, sums): (usize, &mut [f64])| {
            with_scratch(2 * long, |columns| {
                columns.fill(0.0);
                let (first, second) = columns.split_at_mut(long);
                work(self.range(block, len), [first, second]);
                for (sums, columns) in sums.chunks_exact_mut(channels).zip(columns.chunks_exact(long)) {
                    for columns in columns.chunks_exact(channels) {
                        sums.iter_mut().zip(columns).for_each(|(sum, column)| *sum += f64::from(*column));
                    }
                }
            });
        };
        match len <= self.block {
            true => partial.chunks_exact_mut(2 * channels).enumerate().for_each(block_sums),
            false => partial.par_chunks_exact_mut(2 * channels).enumerate().for_each(block_sums),
        }
        let mut totals = [vec![0.0; channels], vec![0.0; channels]];
        for partial in partial.chunks_exact(2 * channels) {
            for (totals, partial) in totals.iter_mut().zip(partial.chunks_exact(channels)) {
                totals.iter_mut().zip(partial).for_each(|(total, sum)| *total += sum);
            }
        }
        totals
    }
}
