//! Vectors of neighbouring channels, one type an instruction set.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// As many channels as a register holds.
pub trait Vector: Copy {
    /// Where the lanes' channels are.
    type Index: Copy;
    const LEN: usize;
    const ZERO: Self;

    /// # Safety
    /// There are `LEN` floats; the processor has the instructions, here and in all that follows.
    unsafe fn load(from: *const f32) -> Self;
    /// # Safety
    /// There are `count` floats, at most `LEN`; the rest become zeros.
    unsafe fn load_some(from: *const f32, count: usize) -> Self;
    /// # Safety
    /// There is room for `LEN` floats.
    unsafe fn store(self, to: *mut f32);
    /// # Safety
    /// There is room for `count` floats, at most `LEN`.
    unsafe fn store_some(self, to: *mut f32, count: usize);
    /// One float in all lanes.
    ///
    /// # Safety
    /// There is a float.
    unsafe fn splat(from: *const f32) -> Self;
    /// # Safety
    /// There are `LEN` numbers.
    unsafe fn index(from: *const i32) -> Self::Index;
    /// The floats at `index`, below `LEN`.
    ///
    /// # Safety
    /// There are `LEN` floats.
    unsafe fn pick(from: *const f32, index: Self::Index) -> Self;

    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn max(self, other: Self) -> Self;
    fn times(self, factor: f32) -> Self;
    /// `self * factor + sum`
    fn multiply_add(self, factor: Self, sum: Self) -> Self;
    /// `self * factor + other`
    fn scaled(self, factor: f32, other: Self) -> Self;
}

/// A register of x86.
#[cfg(target_arch = "x86_64")]
macro_rules! register {
    (
        $vector:ty, $index:ty, $len:literal, $load:ident, $store:ident, $splat:ident, $load_index:ident, $add:ident,
        $sub:ident, $max:ident, $multiply:ident, $multiply_add:ident,
        $pick:expr, $load_some:expr, $store_some:expr $(,)?
    ) => {
        // SAFETY of all blocks below: the pointers are as good as the caller promised; and the methods without a pointer
        // are called where the processor has the instructions, because only there values of this type are loaded.
        impl Vector for $vector {
            type Index = $index;
            const LEN: usize = $len;
            // SAFETY: any bits are floats.
            const ZERO: Self = unsafe { std::mem::transmute([0.0f32; $len]) };

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: see above. So for all of these.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn load_some(from: *const f32, count: usize) -> Self {
                // SAFETY: as above.
                unsafe { $load_some(from, count) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: as above.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn store_some(self, to: *mut f32, count: usize) {
                // SAFETY: as above.
                unsafe { $store_some(self, to, count) }
            }

            #[inline(always)]
            unsafe fn splat(from: *const f32) -> Self {
                // SAFETY: as above.
                unsafe { $splat(*from) }
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

            #[inline(always)]
            fn add(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $add(self, other) }
            }

            #[inline(always)]
            fn sub(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $sub(self, other) }
            }

            #[inline(always)]
            fn max(self, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $max(self, other) }
            }

            #[inline(always)]
            fn times(self, factor: f32) -> Self {
                // SAFETY: as above.
                unsafe { $multiply(self, $splat(factor)) }
            }

            #[inline(always)]
            fn multiply_add(self, factor: Self, sum: Self) -> Self {
                // SAFETY: as above.
                unsafe { $multiply_add(self, factor, sum) }
            }

            #[inline(always)]
            fn scaled(self, factor: f32, other: Self) -> Self {
                // SAFETY: as above.
                unsafe { $multiply_add(self, $splat(factor), other) }
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
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_loadu_si512,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_max_ps,
    _mm512_mul_ps,
    _mm512_fmadd_ps,
    |floats, index| _mm512_permutexvar_ps(index, floats),
    |from, count: usize| _mm512_maskz_loadu_ps(((1u32 << count) - 1) as __mmask16, from),
    |floats, to, count: usize| _mm512_mask_storeu_ps(to, ((1u32 << count) - 1) as __mmask16, floats),
);

#[cfg(target_arch = "x86_64")]
register!(
    __m256,
    __m256i,
    8,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_loadu_si256,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_max_ps,
    _mm256_mul_ps,
    _mm256_fmadd_ps,
    |floats, index| _mm256_permutevar8x32_ps(floats, index),
    |from, count| _mm256_maskload_ps(from, first_of_eight(count)),
    |floats, to, count| _mm256_maskstore_ps(to, first_of_eight(count), floats),
);

/// The mask of the first `count` lanes.
///
/// # Safety
/// The processor has AVX.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn first_of_eight(count: usize) -> __m256i {
    const ONES_THEN_ZEROS: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: eight of the sixteen, from one of the first nine on.
    unsafe { _mm256_loadu_si256(ONES_THEN_ZEROS[8 - count..].as_ptr().cast()) }
}

impl Vector for [f32; 4] {
    type Index = [i32; 4];
    const LEN: usize = 4;
    const ZERO: Self = [0.0; 4];

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller's promise. So for all of these.
        unsafe { from.cast::<Self>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_some(from: *const f32, count: usize) -> Self {
        // SAFETY: as above.
        std::array::from_fn(|i| if i < count { unsafe { *from.add(i) } } else { 0.0 })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: as above.
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }

    #[inline(always)]
    unsafe fn store_some(self, to: *mut f32, count: usize) {
        // SAFETY: as above.
        self.iter().take(count).enumerate().for_each(|(i, lane)| unsafe { *to.add(i) = *lane });
    }

    #[inline(always)]
    unsafe fn splat(from: *const f32) -> Self {
        // SAFETY: as above.
        unsafe { [*from; 4] }
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

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] - other[i])
    }

    #[inline(always)]
    fn max(self, other: Self) -> Self {
        std::array::from_fn(|i| if self[i] > other[i] { self[i] } else { other[i] })
    }

    #[inline(always)]
    fn times(self, factor: f32) -> Self {
        self.map(|lane| lane * factor)
    }

    #[inline(always)]
    fn multiply_add(self, factor: Self, sum: Self) -> Self {
        std::array::from_fn(|i| self[i] * factor[i] + sum[i])
    }

    #[inline(always)]
    fn scaled(self, factor: f32, other: Self) -> Self {
        std::array::from_fn(|i| self[i] * factor + other[i])
    }
}

/// Compiles one function body, generic over a [`Vector`], for every instruction set; the function's first argument chooses.
macro_rules! for_every_vector {
    ($(#[$doc:meta])* $vis:vis fn $name:ident<$vector:ident>($($arg:ident: $kind:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        $vis fn $name(isa: $crate::isa::Isa, $($arg: $kind),*) {
            #[inline(always)]
            fn body<$vector: $crate::conv::vector::Vector>($($arg: $kind),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
            fn avx512($($arg: $kind),*) { body::<std::arch::x86_64::__m512>($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $kind),*) { body::<std::arch::x86_64::__m256>($($arg),*) }

            match isa {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: an `Isa` comes from `Isa::available`, which asked the processor.
                $crate::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => body::<[f32; 4]>($($arg),*),
            }
        }
    };
}
pub(crate) use for_every_vector;
