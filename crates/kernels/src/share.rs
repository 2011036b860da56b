//! Work cut among threads.

use std::ops::Range;

use rayon::prelude::*;

/// Floats that are worth a thread: waking one costs about as much as copying them.
pub const SHARE: usize = 1 << 15;

/// Does `work` on ranges that make up `0..units`, each unit being of `floats` floats. The ranges depend on nothing else.
pub fn in_shares(units: usize, floats: usize, work: impl Fn(Range<usize>) + Sync) {
    let share = SHARE.div_ceil(floats.max(1));
    if units <= share {
        return if units > 0 {
            work(0..units)
        };
    }
    let range = |index: usize| index * share..units.min((index + 1) * share);
    (0..units.div_ceil(share)).into_par_iter().for_each(|index| work(range(index)));
}
