//! Matrices turned over: planes to rows of channels, and weights to panels.

use rayon::prelude::*;

use crate::isa::Isa;
use crate::memory::Output;

/// For each of `batch` matrices `[rows, columns]`: `[columns, rows]`.
///
/// # Panics
/// If `x` does not hold that many floats.
pub fn transpose(isa: Isa, batch: usize, [rows, columns]: [usize; 2], x: &[f32]) -> Vec<f32> {
    let area = rows * columns;
    assert_eq!(x.len(), batch * area);
    let mut y = Output::unwritten(x.len());
    let shared = y.shared();
    // Bands of the result: as many pieces of work as are worth a thread.
    let band = columns.min((1usize << 15).div_ceil(rows.max(1))).next_multiple_of(16);
    let bands = columns.div_ceil(band.max(1));
    (0..batch * bands).into_par_iter().for_each(|unit| {
        let (image, first) = (unit / bands, unit % bands * band);
        let count = band.min(columns - first);
        let from = &x[image * area..][..area];
        // SAFETY: these rows of this image's result are no other unit's, and `y` outlives the loop.
        let to = unsafe { shared.blank(image * area + first * rows, count * rows) };
        turn(isa, from, columns, [first, count], rows, to.as_mut_ptr().cast());
    });
    // SAFETY: the bands cover every image's columns.
    unsafe { y.written(x.len()) }
}

/// `to[j * rows + i] = from[i * stride + first + j]` for `i` below `rows` and `j` below `count`.
fn turn(isa: Isa, from: &[f32], stride: usize, [first, count]: [usize; 2], rows: usize, to: *mut f32) {
    assert!(rows == 0 || from.len() >= (rows - 1) * stride + first + count);
    for row in (0..rows).step_by(16) {
        for column in (0..count).step_by(16) {
            let size = [16.min(rows - row), 16.min(count - column)];
            // SAFETY: the square lies within `from` by the assertion above, and within the `count * rows` floats of `to`.
            unsafe {
                let from = from.as_ptr().add(row * stride + first + column);
                square(isa, from, stride, size, to.add(column * rows + row), rows);
            }
        }
    }
}

/// `to[j * to_stride + i] = from[i * from_stride + j]` for `i` and `j` below `size`, at most 16 each.
///
/// # Safety
/// Both sides reach that far, `to` is no one else's, and the processor has `isa`.
pub unsafe fn square(
    isa: Isa,
    from: *const f32,
    from_stride: usize,
    size: [usize; 2],
    to: *mut f32,
    to_stride: usize,
) {
    // SAFETY: the caller's promise, passed on.
    unsafe {
        match isa {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => avx512::square(from, from_stride, size, to, to_stride),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => {
                for i in (0..size[0]).step_by(8) {
                    for j in (0..size[1]).step_by(8) {
                        let (from, to) = (from.add(i * from_stride + j), to.add(j * to_stride + i));
                        let size = [8.min(size[0] - i), 8.min(size[1] - j)];
                        match size {
                            [8, 8] => avx2::square(from, from_stride, to, to_stride),
                            _ => one_by_one(from, from_stride, size, to, to_stride),
                        }
                    }
                }
            }
            _ => one_by_one(from, from_stride, size, to, to_stride),
        }
    }
}

/// # Safety
/// As [`square`].
unsafe fn one_by_one(from: *const f32, from_stride: usize, size: [usize; 2], to: *mut f32, to_stride: usize) {
    for j in 0..size[1] {
        for i in 0..size[0] {
            // SAFETY: the caller's promise.
            unsafe { *to.add(j * to_stride + i) = *from.add(i * from_stride + j) };
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::*;

    /// Eight rows of eight.
    ///
    /// # Safety
    /// As [`super::square`].
    #[target_feature(enable = "avx2,fma")]
    pub unsafe fn square(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: the caller's promise.
        let r: [__m256; 8] = std::array::from_fn(|i| unsafe { _mm256_loadu_ps(from.add(i * from_stride)) });
        // Pairs, fours, then halves of 128 bits.
        let s: [__m256; 8] = std::array::from_fn(|i| match i % 2 {
            0 => _mm256_unpacklo_ps(r[i], r[i + 1]),
            _ => _mm256_unpackhi_ps(r[i - 1], r[i]),
        });
        let (low, high) = (_mm256_shuffle_ps::<0x44>, _mm256_shuffle_ps::<0xEE>);
        let fours: [__m256; 8] = [
            low(s[0], s[2]),
            high(s[0], s[2]),
            low(s[1], s[3]),
            high(s[1], s[3]),
            low(s[4], s[6]),
            high(s[4], s[6]),
            low(s[5], s[7]),
            high(s[5], s[7]),
        ];
        for i in 0..4 {
            let first = _mm256_permute2f128_ps::<0x20>(fours[i], fours[i + 4]);
            let second = _mm256_permute2f128_ps::<0x31>(fours[i], fours[i + 4]);
            // SAFETY: as above.
            unsafe {
                _mm256_storeu_ps(to.add(i * to_stride), first);
                _mm256_storeu_ps(to.add((i + 4) * to_stride), second);
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    /// # Safety
    /// As [`super::square`].
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
    pub unsafe fn square(
        from: *const f32,
        from_stride: usize,
        [rows, columns]: [usize; 2],
        to: *mut f32,
        to_stride: usize,
    ) {
        let mask = |count: usize| ((1u32 << count) - 1) as __mmask16;
        let mut r = [_mm512_setzero_ps(); 16];
        for (i, r) in r.iter_mut().enumerate().take(rows) {
            // SAFETY: the mask keeps to the row: the caller's promise.
            *r = unsafe { _mm512_maskz_loadu_ps(mask(columns), from.add(i * from_stride)) };
        }
        // Pairs, fours, then quarters of 128 bits twice: the usual four rounds.
        let mut s = [_mm512_setzero_ps(); 16];
        for i in 0..8 {
            s[2 * i] = _mm512_unpacklo_ps(r[2 * i], r[2 * i + 1]);
            s[2 * i + 1] = _mm512_unpackhi_ps(r[2 * i], r[2 * i + 1]);
        }
        let double = |x| _mm512_castps_pd(x);
        let single = |x| _mm512_castpd_ps(x);
        for i in 0..4 {
            let [a, b, c, d] = [s[4 * i], s[4 * i + 1], s[4 * i + 2], s[4 * i + 3]].map(double);
            r[4 * i] = single(_mm512_unpacklo_pd(a, c));
            r[4 * i + 1] = single(_mm512_unpackhi_pd(a, c));
            r[4 * i + 2] = single(_mm512_unpacklo_pd(b, d));
            r[4 * i + 3] = single(_mm512_unpackhi_pd(b, d));
        }
        for i in 0..4 {
            s[i] = _mm512_shuffle_f32x4::<0x88>(r[i], r[i + 4]);
            s[i + 4] = _mm512_shuffle_f32x4::<0xDD>(r[i], r[i + 4]);
            s[i + 8] = _mm512_shuffle_f32x4::<0x88>(r[i + 8], r[i + 12]);
            s[i + 12] = _mm512_shuffle_f32x4::<0xDD>(r[i + 8], r[i + 12]);
        }
        for i in 0..4 {
            r[i] = _mm512_shuffle_f32x4::<0x88>(s[i], s[i + 8]);
            r[i + 4] = _mm512_shuffle_f32x4::<0x88>(s[i + 4], s[i + 12]);
            r[i + 8] = _mm512_shuffle_f32x4::<0xDD>(s[i], s[i + 8]);
            r[i + 12] = _mm512_shuffle_f32x4::<0xDD>(s[i + 4], s[i + 12]);
        }
        for (j, r) in r.iter().enumerate().take(columns) {
            // SAFETY: the mask keeps to the row: the caller's promise.
            unsafe { _mm512_mask_storeu_ps(to.add(j * to_stride), mask(rows), *r) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_finds_its_place() {
        let shapes =
            [[1, 1, 1], [2, 3, 50], [1, 16, 16], [1, 19, 17], [3, 33, 19], [2, 64, 49], [1, 5, 5000]];
        for [batch, rows, columns] in shapes.into_iter().take(if cfg!(miri) { 4 } else { 7 }) {
            let x: Vec<f32> = (0..batch * rows * columns).map(|i| i as f32).collect();
            for &isa in Isa::available() {
                let y = transpose(isa, batch, [rows, columns], &x);
                for (at, value) in y.iter().enumerate() {
                    let (image, j, i) = (at / (rows * columns), at / rows % columns, at % rows);
                    assert!(
                        *value == x[(image * rows + i) * columns + j],
                        "{isa:?} [{batch}, {rows}, {columns}] at {at}"
                    );
                }
            }
        }
    }
}
