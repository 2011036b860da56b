//! The channels of groups that have few, by vectors.

use std::borrow::Cow;

use super::lanes::Place;
use crate::isa::Isa;
use crate::memory::Buffer;
use crate::transpose::square;

/// The channels of the result by vectors; the last vector overlaps the one before.
#[derive(Debug, Clone, Copy)]
pub struct Blocks {
    pub lanes: usize,
    /// Channels of the result and of the input.
    pub channels: [usize; 2],
    /// The same of one group.
    pub group: [usize; 2],
}

impl Blocks {
    pub fn count(self) -> usize {
        self.channels[0].div_ceil(self.lanes)
    }

    /// Channels of the result's rows while it is worked on.
    pub fn pitch(self) -> usize {
        self.channels[0].max(self.lanes)
    }

    /// The first channel of a block.
    pub fn start(self, block: usize) -> usize {
        (block * self.lanes).min(self.pitch() - self.lanes)
    }

    /// Channels of a block that are real.
    pub fn real(self) -> usize {
        self.lanes.min(self.channels[0])
    }

    /// The first input channel that a channel of the result sees.
    pub fn source(self, channel: usize) -> usize {
        channel.min(self.channels[0] - 1) / self.group[0] * self.group[1]
    }

    /// For each block its first channel in the input and in the result, where its channels are, and, where they are near,
    /// how far behind the first: `[block, source, lane]`. Nothing if they are farther.
    pub fn places(self) -> Option<(Vec<[usize; 2]>, Place, Vec<i32>)> {
        let near = self.channels[1].checked_sub(self.lanes);
        let same = |block: usize| {
            let start = self.start(block);
            self.source(start) == self.source(start + self.lanes - 1)
        };
        let starts = |first: &dyn Fn(usize) -> usize| -> Vec<[usize; 2]> {
            (0..self.count()).map(|block| self.start(block)).map(|start| [first(start), start]).collect()
        };
        if self.group == [1, 1] {
            return near.map(|_| (starts(&|start| start), Place::InOrder, Vec::new()));
        }
        if self.channels[0] >= self.lanes && (0..self.count()).all(same) {
            return Some((starts(&|start| self.source(start)), Place::Same, Vec::new()));
        }
        let last = near?;
        let starts = starts(&|start| self.source(start).min(last));
        let mut spread = Vec::with_capacity(starts.len() * self.group[1] * self.lanes);
        for [from, to] in &starts {
            for source in 0..self.group[1] {
                for lane in 0..self.lanes {
                    let at = self.source(to + lane) + source - from;
                    spread.push(i32::try_from(at).ok().filter(|_| at < self.lanes)?);
                }
            }
        }
        Some((starts, Place::Near, spread))
    }

    /// Rows of fewer channels than a vector has as rows of vectors.
    pub fn widened(self, rows: &[f32]) -> Cow<'_, [f32]> {
        let channels = self.channels[0];
        if channels >= self.lanes {
            return Cow::Borrowed(rows);
        }
        let mut wide = vec![0.0f32; rows.len() / channels * self.lanes];
        for (wide, row) in wide.chunks_exact_mut(self.lanes).zip(rows.chunks_exact(channels)) {
            wide[..channels].copy_from_slice(row);
        }
        Cow::Owned(wide)
    }

    /// The way back of [`widened`](Self::widened).
    pub fn narrowed(self, rows: Vec<f32>) -> Vec<f32> {
        match self.channels[0] < self.lanes {
            true => rows.chunks_exact(self.lanes).flat_map(|row| &row[..self.channels[0]]).copied().collect(),
            false => rows,
        }
    }

    /// Weights `[channels, sources, taps]` as `[block, sources, taps, lane]`.
    pub fn pack(self, isa: Isa, taps: usize, weights: &[f32]) -> Buffer {
        let row = self.group[1] * taps;
        assert_eq!(weights.len(), self.channels[0] * row);
        let mut packed = Buffer::zeros(self.count() * row * self.lanes);
        for (block, packed) in packed.chunks_exact_mut(row * self.lanes).enumerate() {
            let weights = &weights[self.start(block) * row..][..self.real() * row];
            for (first, packed) in packed.chunks_mut(16 * self.lanes).enumerate() {
                let size = [self.real(), packed.len() / self.lanes];
                let (from, to) = (weights[first * 16..].as_ptr(), packed.as_mut_ptr());
                // SAFETY: the square lies within the block's weights, and its turned copy within `packed`.
                unsafe { square(isa, from, row, size, to, self.lanes) };
            }
        }
        packed
    }

    /// The way back of [`pack`](Self::pack).
    pub fn unpack(self, isa: Isa, taps: usize, packed: &[f32]) -> Vec<f32> {
        let row = self.group[1] * taps;
        let mut weights = vec![0.0f32; self.channels[0] * row];
        for (block, packed) in packed.chunks_exact(row * self.lanes).enumerate() {
            let weights = &mut weights[self.start(block) * row..][..self.real() * row];
            for (first, packed) in packed.chunks(16 * self.lanes).enumerate() {
                let size = [packed.len() / self.lanes, self.real()];
                let (from, to) = (packed.as_ptr(), weights[first * 16..].as_mut_ptr());
                // SAFETY: as in `pack`.
                unsafe { square(isa, from, self.lanes, size, to, row) };
            }
        }
        weights
    }
}
