//! Copies of rows: too short for a call of `memcpy` each.

use crate::isa::Isa;

/// How far behind a row [`spread`] may write.
pub const SPILL: usize = 16;

/// `to[i] = from[i * stride + shift]`, zero where there is none; `to` has [`SPILL`] floats behind the row.
pub fn spread(isa: Isa, from: &[f32], to: &mut [f32], stride: usize, shift: isize) {
    match (isa, stride) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` comes from `Isa::available`, which asked the processor.
        (Isa::Avx512, 1) => unsafe { avx512::shift(from, to, shift) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        (Isa::Avx512, 2) => unsafe { avx512::halve(from, to, shift) },
        _ => spread_any(from, to, stride, shift),
    }
}

/// `to = from`
pub fn copy(isa: Isa, from: &[f32], to: &mut [f32]) {
    assert_eq!(from.len(), to.len());
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` comes from `Isa::available`, which asked the processor.
        Isa::Avx512 => unsafe { avx512::copy(from, to) },
        _ => to.copy_from_slice(from),
    }
}

fn spread_any(from: &[f32], to: &mut [f32], stride: usize, shift: isize) {
    let row = to.len() - SPILL;
    let to = &mut to[..row];
    let step = stride as isize;
    let begin = (-shift).max(0).unsigned_abs().div_ceil(stride).min(row);
    let end = (from.len() as isize - shift + step - 1).div_euclid(step).clamp(begin as isize, row as isize);
    let end = end as usize;
    to[..begin].fill(0.0);
    to[end..].fill(0.0);
    if begin < end {
        let from = &from[(begin as isize * step + shift) as usize..];
        if stride == 1 {
            to[begin..end].copy_from_slice(&from[..end - begin]);
        } else {
            for (to, from) in to[begin..end].iter_mut().zip(from.iter().step_by(stride)) {
                *to = *from;
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::SPILL;

    /// The lanes `i` with `0 <= start + i < len`.
    fn within(start: isize, len: usize) -> __mmask16 {
        let from_start = 0xFFFFu32 << (-start).clamp(0, 16);
        let to_end = (1u32 << (len as isize - start).clamp(0, 16)) - 1;
        (from_start & to_end) as __mmask16
    }

    /// `to[i] = from[i + shift]`, zero where there is none.
    ///
    /// # Safety
    /// The processor has AVX-512.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
    pub unsafe fn shift(from: &[f32], to: &mut [f32], shift: isize) {
        for at in (0..to.len() - SPILL).step_by(16) {
            let start = at as isize + shift;
            // SAFETY: the mask keeps to `from`; a vector that begins within the row ends before its SPILL does.
            unsafe {
                let values =
                    _mm512_maskz_loadu_ps(within(start, from.len()), from.as_ptr().wrapping_offset(start));
                _mm512_storeu_ps(to.as_mut_ptr().add(at), values);
            }
        }
    }

    /// `to[i] = from[2 * i + shift]`, zero where there is none.
    ///
    /// # Safety
    /// The processor has AVX-512.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
    pub unsafe fn halve(from: &[f32], to: &mut [f32], shift: isize) {
        let even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
        for at in (0..to.len() - SPILL).step_by(16) {
            let start = 2 * at as isize + shift;
            // SAFETY: the masks keep to `from`; a vector that begins within the row ends before its SPILL does.
            unsafe {
                let half = |start: isize| {
                    _mm512_maskz_loadu_ps(within(start, from.len()), from.as_ptr().wrapping_offset(start))
                };
                let values = _mm512_permutex2var_ps(half(start), even, half(start + 16));
                _mm512_storeu_ps(to.as_mut_ptr().add(at), values);
            }
        }
    }

    /// `to = from`
    ///
    /// # Safety
    /// The processor has AVX-512; the slices are of one length.
    #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
    pub unsafe fn copy(from: &[f32], to: &mut [f32]) {
        for at in (0..from.len()).step_by(16) {
            let mask = within(at as isize, from.len());
            // SAFETY: the mask keeps to both slices.
            unsafe {
                let values = _mm512_maskz_loadu_ps(mask, from.as_ptr().add(at));
                _mm512_mask_storeu_ps(to.as_mut_ptr().add(at), mask, values);
            }
        }
    }
}
