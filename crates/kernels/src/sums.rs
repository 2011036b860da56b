//! Sums over rows.

use rayon::prelude::*;

use crate::isa::{Isa, for_every_isa};

/// Floats that are added before they join a sum of sums.
const CHUNK: usize = 1 << 15;

/// The sum of every column of `rows` `[.., channels]`, in an order that depends on the shape alone.
pub fn column_sums(isa: Isa, channels: usize, rows: &[f32]) -> Vec<f32> {
    let chunk = (CHUNK / channels.max(1)).max(1) * channels.max(1);
    let partial: Vec<Vec<f32>> = match rows.len() <= chunk {
        true => vec![chunk_sums(isa, channels, rows)],
        false => rows.par_chunks(chunk).map(|rows| chunk_sums(isa, channels, rows)).collect(),
    };
    let mut totals = vec![0.0f64; channels];
    for partial in partial {
        totals.iter_mut().zip(partial).for_each(|(total, sum)| *total += f64::from(sum));
    }
    totals.into_iter().map(|total| total as f32).collect()
}

for_every_isa! {
    fn chunk_sums(channels: usize, rows: &[f32]) -> Vec<f32> {
        let mut sums = vec![0.0f32; channels];
        for (block, sums) in sums.chunks_mut(32).enumerate() {
            let mut block_sums = [0.0f32; 32];
            for row in rows.chunks_exact(channels) {
                let row = &row[block * 32..][..sums.len()];
                match <&[f32; 32]>::try_from(row) {
                    Ok(row) => block_sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value),
                    Err(_) => block_sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += value),
                }
            }
            sums.copy_from_slice(&block_sums[..sums.len()]);
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_add_up() {
        // 1 + 2 + … + n = n (n + 1) / 2 in the first column, twice that in the second, and so on.
        for (rows, channels) in [(3, 1), (7, 5), (700, 40), (2, 64)] {
            let values: Vec<f32> =
                (0..rows * channels).map(|i| ((i / channels + 1) * (i % channels + 1)) as f32).collect();
            for &isa in Isa::available() {
                let expected: Vec<f32> = (1..=channels).map(|c| (c * rows * (rows + 1) / 2) as f32).collect();
                assert_eq!(column_sums(isa, channels, &values), expected, "{isa:?}");
            }
        }
    }
}
