//! The two inner loops, compiled for each instruction set.
//!
//! Neither knows a convolution: a matrix's row is a pointer, so the columns of im2col are never written down.

use super::plan::Run;
use crate::isa::Isa;

/// Output channels of one tile of [`product`].
pub const ROWS: usize = 8;
/// Most vectors of 16 positions in one tile of [`product`]: 8 x 3 sums, 3 loads and a broadcast fill 32 registers.
pub const VECTORS: usize = 3;
/// Rows of the left matrix in one tile of [`dots`]; they begin on a cache line, and are many for that.
pub const LEFT: usize = 8;
/// Rows of the right matrix in one tile of [`dots`]: they begin anywhere, so a load takes two lines. 8 x 3 sums.
pub const RIGHT: usize = 3;

/// The sums of one tile of [`product`], a row an output channel.
#[repr(C, align(64))]
pub struct Tile(pub [[f32; 16 * VECTORS]; ROWS]);

/// `tile[m][n] = sum over k of weights[k * ROWS + m] * *(base + offsets[k] + n)` for `n` below `16 * vectors`.
///
/// # Safety
/// `weights` holds `offsets.len() * ROWS` floats; `base + offset` has `16 * vectors` floats behind it for every offset;
/// the processor has `isa`.
pub unsafe fn product(
    isa: Isa,
    vectors: usize,
    weights: &[f32],
    offsets: &[u32],
    base: *const f32,
    tile: &mut Tile,
) {
    debug_assert!(weights.len() >= offsets.len() * ROWS && (1..=VECTORS).contains(&vectors));
    // SAFETY: the caller's promise, passed on.
    unsafe {
        match (isa, vectors) {
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, 3) => avx512::product::<3>(weights, offsets, base, tile),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, 2) => avx512::product::<2>(weights, offsets, base, tile),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx512, _) => avx512::product::<1>(weights, offsets, base, tile),
            #[cfg(target_arch = "x86_64")]
            (Isa::Avx2, _) => product_avx2(vectors, weights, offsets, base, tile),
            _ => product_any::<false>(vectors, weights, offsets, base, tile),
        }
    }
}

/// `sums[j][i] = sum over n of *(left[i] + n) * *(right[j] + n)` for `n` below `16 * vectors`.
///
/// # Safety
/// Every pointer has `16 * vectors` floats behind it; the processor has `isa`.
pub unsafe fn dots(
    isa: Isa,
    vectors: usize,
    left: [*const f32; LEFT],
    right: [*const f32; RIGHT],
    sums: &mut [[f32; LEFT]; RIGHT],
) {
    // SAFETY: the caller's promise, passed on.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::dots(vectors, left, right, sums),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => dots_avx2(vectors, left, right, sums),
            _ => dots_any::<false>(vectors, left, right, sums),
        }
    }
}

/// Copies the first `rows` rows of the tile out: row `m`, positions of a run, to `out + m * stride + run.to`.
///
/// # Safety
/// Those places must be writable and no other thread's; the processor has `isa`.
pub unsafe fn store(isa: Isa, tile: &Tile, rows: usize, runs: &[Run], out: *mut f32, stride: usize) {
    // SAFETY: the caller's promise, passed on.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::store(tile, rows, runs, out, stride),
            _ => {
                for (m, row) in tile.0.iter().enumerate().take(rows) {
                    for run in runs {
                        let from = &row[run.from as usize..][..run.len as usize];
                        std::ptr::copy_nonoverlapping(
                            from.as_ptr(),
                            out.add(m * stride + run.to),
                            from.len(),
                        );
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn multiply_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// # Safety
/// As [`product`].
#[inline(always)]
unsafe fn product_any<const FUSED: bool>(
    vectors: usize,
    weights: &[f32],
    offsets: &[u32],
    base: *const f32,
    tile: &mut Tile,
) {
    const HALF: usize = ROWS / 2; // 4 x 16 sums: eight registers of AVX2, sixteen of SSE2.
    for vector in 0..vectors {
        for half in [0, HALF] {
            let mut sums = [[0.0f32; 16]; HALF];
            for (weights, &offset) in weights.chunks_exact(ROWS).zip(offsets) {
                // SAFETY: the caller's promise: 16 * vectors floats behind every offset.
                let values = unsafe { base.add(offset as usize + 16 * vector).cast::<[f32; 16]>().read() };
                for (sums, &weight) in sums.iter_mut().zip(&weights[half..half + HALF]) {
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = multiply_add::<FUSED>(weight, value, *sum);
                    }
                }
            }
            for (row, sums) in tile.0[half..half + HALF].iter_mut().zip(sums) {
                row[16 * vector..16 * vector + 16].copy_from_slice(&sums);
            }
        }
    }
}

/// # Safety
/// As [`dots`].
#[inline(always)]
unsafe fn dots_any<const FUSED: bool>(
    vectors: usize,
    left: [*const f32; LEFT],
    right: [*const f32; RIGHT],
    sums: &mut [[f32; LEFT]; RIGHT],
) {
    const QUARTER: usize = LEFT / 4; // 2 x 3 sums of two registers (AVX2).
    for first in (0..LEFT).step_by(QUARTER) {
        let mut lanes = [[[0.0f32; 16]; QUARTER]; RIGHT];
        for step in 0..vectors {
            for (lanes, right) in lanes.iter_mut().zip(right) {
                // SAFETY: the caller's promise: 16 * vectors floats behind every pointer.
                let r = unsafe { right.add(16 * step).cast::<[f32; 16]>().read() };
                for (lanes, left) in lanes.iter_mut().zip(&left[first..]) {
                    // SAFETY: as above.
                    let l = unsafe { left.add(16 * step).cast::<[f32; 16]>().read() };
                    for ((lane, l), r) in lanes.iter_mut().zip(l).zip(r) {
                        *lane = multiply_add::<FUSED>(l, r, *lane);
                    }
                }
            }
        }
        for (sums, lanes) in sums.iter_mut().zip(lanes) {
            for (sum, lanes) in sums[first..].iter_mut().zip(lanes) {
                *sum = lanes.iter().sum::<f32>();
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn product_avx2(vectors: usize, weights: &[f32], offsets: &[u32], base: *const f32, tile: &mut Tile) {
    // SAFETY: the caller's promise, passed on.
    unsafe { product_any::<true>(vectors, weights, offsets, base, tile) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn dots_avx2(
    vectors: usize,
    left: [*const f32; LEFT],
    right: [*const f32; RIGHT],
    sums: &mut [[f32; LEFT]; RIGHT],
) {
    // SAFETY: the caller's promise, passed on.
    unsafe { dots_any::<true>(vectors, left, right, sums) }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{LEFT, RIGHT, ROWS, Run, Tile};

    /// # Safety
    /// As [`super::store`].
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
    pub unsafe fn store(tile: &Tile, rows: usize, runs: &[Run], out: *mut f32, stride: usize) {
        for run in runs {
            let mask = ((1u32 << run.len) - 1) as __mmask16;
            for (m, row) in tile.0.iter().enumerate().take(rows) {
                // SAFETY: the mask keeps to the run, which lies within the tile's row and within the output.
                unsafe {
                    let values = _mm512_maskz_loadu_ps(mask, row.as_ptr().add(run.from as usize));
                    _mm512_mask_storeu_ps(out.add(m * stride + run.to), mask, values);
                }
            }
        }
    }

    /// # Safety
    /// As [`super::product`].
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
    pub unsafe fn product<const VECTORS: usize>(
        weights: &[f32],
        offsets: &[u32],
        base: *const f32,
        tile: &mut Tile,
    ) {
        let mut sums = [[_mm512_setzero_ps(); VECTORS]; ROWS];
        let mut weight = weights.as_ptr();
        for &offset in offsets {
            // SAFETY: 16 * VECTORS floats lie behind every offset, ROWS weights belong to it, a tile's row has room
            // for VECTORS vectors: the caller's promise.
            unsafe {
                let row = base.add(offset as usize);
                let mut values = [_mm512_setzero_ps(); VECTORS];
                for (vector, value) in values.iter_mut().enumerate() {
                    *value = _mm512_loadu_ps(row.add(16 * vector));
                }
                for (m, sums) in sums.iter_mut().enumerate() {
                    let factor = _mm512_set1_ps(*weight.add(m));
                    for (sum, value) in sums.iter_mut().zip(values) {
                        *sum = _mm512_fmadd_ps(factor, value, *sum);
                    }
                }
                weight = weight.add(ROWS);
            }
        }
        for (row, sums) in tile.0.iter_mut().zip(sums) {
            for (vector, sum) in sums.into_iter().enumerate() {
                // SAFETY: a row of the tile holds three vectors and VECTORS is at most that.
                unsafe { _mm512_storeu_ps(row.as_mut_ptr().add(16 * vector), sum) };
            }
        }
    }

    /// # Safety
    /// As [`super::dots`].
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
    pub unsafe fn dots(
        vectors: usize,
        left: [*const f32; LEFT],
        right: [*const f32; RIGHT],
        sums: &mut [[f32; LEFT]; RIGHT],
    ) {
        // Each sum is a variable of its own: an array of 24 went to the stack and back at every step.
        macro_rules! sums {
            ($($i:literal: $a:ident $b:ident $c:ident),*) => {{
                $(let (mut $a, mut $b, mut $c) = (_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps());)*
                for step in 0..vectors {
                    // SAFETY: 16 * vectors floats lie behind every pointer: the caller's promise.
                    unsafe {
                        let r0 = _mm512_loadu_ps(right[0].add(16 * step));
                        let r1 = _mm512_loadu_ps(right[1].add(16 * step));
                        let r2 = _mm512_loadu_ps(right[2].add(16 * step));
                        $(
                            let l = _mm512_loadu_ps(left[$i].add(16 * step));
                            $a = _mm512_fmadd_ps(l, r0, $a);
                            $b = _mm512_fmadd_ps(l, r1, $b);
                            $c = _mm512_fmadd_ps(l, r2, $c);
                        )*
                    }
                }
                [[$($a),*], [$($b),*], [$($c),*]]
            }};
        }
        let lanes = sums!(
            0: a0 b0 c0, 1: a1 b1 c1, 2: a2 b2 c2, 3: a3 b3 c3, 4: a4 b4 c4, 5: a5 b5 c5, 6: a6 b6 c6, 7: a7 b7 c7
        );
        for (sums, lanes) in sums.iter_mut().zip(lanes) {
            let total = totals(lanes);
            // SAFETY: `sums` has the eight floats of the vector.
            unsafe { _mm256_storeu_ps(sums.as_mut_ptr(), total) };
        }
    }

    /// The sum over each of eight vectors.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
    fn totals(lanes: [__m512; LEFT]) -> __m256 {
        let half = lanes.map(|lane| {
            let high = _mm256_castpd_ps(_mm512_extractf64x4_pd::<1>(_mm512_castps_pd(lane)));
            _mm256_add_ps(_mm512_castps512_ps256(lane), high)
        });
        let pairs = [0, 2, 4, 6].map(|i| _mm256_hadd_ps(half[i], half[i + 1]));
        let low = _mm256_hadd_ps(pairs[0], pairs[1]);
        let high = _mm256_hadd_ps(pairs[2], pairs[3]);
        let sides = _mm256_permute2f128_ps::<0x21>(low, high);
        _mm256_add_ps(_mm256_blend_ps::<0xF0>(low, high), sides)
    }
}
