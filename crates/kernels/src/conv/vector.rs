//! Vectors of neighbouring channels, one type an instruction set.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// As many channels as a register holds.
pub trait Vector: Copy {
    /// Where the lanes' channels are.
    type Index: Copy;
    const LEN: usize;

    /// # Safety
    /// There are `LEN` floats; the processor has the instructions. So for all of these.
    unsafe fn load(from: *const f32) -> Self;
    unsafe fn store(self, to: *mut f32);
    /// `self * factor + sum`
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self;
    unsafe fn index(from: *const i32) -> Self::Index;
    /// One float in all lanes.
    unsafe fn splat(from: *const f32) -> Self;
    /// The floats at `index`, below `LEN`.
    unsafe fn pick(from: *const f32, index: Self::Index) -> Self;
}

/// A register of x86.
#[cfg(target_arch = "x86_64")]
macro_rules! register {
    ($vector:ty, $index:ty, $len:literal, $load:ident, $splat:ident, $store:ident, $multiply_add:ident, $load_index:ident, $pick:expr) => {
        impl Vector for $vector {
            type Index = $index;
            const LEN: usize = $len;

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller's promise. So for all of these.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn splat(from: *const f32) -> Self {
                // SAFETY: as above.
                unsafe { $splat(*from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: as above.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
                // SAFETY: as above.
                unsafe { $multiply_add(self, factor, sum) }
            }

            #[inline(always)]
            unsafe fn index(from: *const i32) -> $index {
                // SAFETY: as above.
                unsafe { $load_index(from.cast()) }
            }

            #[inline(always)]
            unsafe fn pick(from: *const f32, index: $index) -> Self {
                // SAFETY: as above.
                unsafe { $pick($load(from), index) }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
register!(
    __m512,
    __m512i,
    16,
    _mm512_loadu_ps,
    _mm512_set1_ps,
    _mm512_storeu_ps,
    _mm512_fmadd_ps,
    _mm512_loadu_si512,
    |floats, index| _mm512_permutexvar_ps(index, floats)
);

#[cfg(target_arch = "x86_64")]
register!(
    __m256,
    __m256i,
    8,
    _mm256_loadu_ps,
    _mm256_set1_ps,
    _mm256_storeu_ps,
    _mm256_fmadd_ps,
    _mm256_loadu_si256,
    |floats, index| _mm256_permutevar8x32_ps(floats, index)
);

impl Vector for [f32; 4] {
    type Index = [i32; 4];
    const LEN: usize = 4;

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise. So for all of these.
        unsafe { from.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        // SAFETY: as above.
        unsafe { [*from; 4] }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }

    #[inline(always)]
    unsafe fn multiply_add(self, factor: Self, sum: Self) -> Self {
        std::array::from_fn(|i| self[i] * factor[i] + sum[i])
    }

    #[inline(always)]
    unsafe fn index(from: *const i32) -> [i32; 4] {
        // SAFETY: as above.
        unsafe { from.cast::<[i32; 4]>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn pick(from: *const f32, index: [i32; 4]) -> Self {
        // SAFETY: as above.
        index.map(|at| unsafe { *from.offset(at as isize) })
    }
}
