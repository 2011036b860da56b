//! 16 channels of one place, in a register or, where there is none so wide, in an array.

/// 16 floats.
pub trait Vector: Copy {
    const ZERO: Self;
    /// # Safety
    /// There are `count` floats, at most 16; the rest become zeros. The processor has the instructions.
    unsafe fn load(from: *const f32, count: usize) -> Self;
    /// # Safety
    /// There is room for `count` floats, at most 16. The processor has the instructions.
    unsafe fn store(self, to: *mut f32, count: usize);
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    /// `self * factor + other`
    fn scaled(self, factor: f32, other: Self) -> Self;
    fn times(self, factor: f32) -> Self;
}

impl Vector for [f32; 16] {
    const ZERO: Self = [0.0; 16];

    #[inline(always)]
    unsafe fn load(from: *const f32, count: usize) -> Self {
        if count == 16 {
            // SAFETY: 16 floats are there.
            return unsafe { from.cast::<Self>().read() };
        }
        let mut lanes = Self::ZERO;
        // SAFETY: `count` floats are there, fewer than 16.
        unsafe { std::ptr::copy_nonoverlapping(from, lanes.as_mut_ptr(), count) };
        lanes
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32, count: usize) {
        // SAFETY: there is room for `count` floats.
        unsafe { std::ptr::copy_nonoverlapping(self.as_ptr(), to, count) };
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
    fn scaled(self, factor: f32, other: Self) -> Self {
        std::array::from_fn(|i| self[i] * factor + other[i])
    }

    #[inline(always)]
    fn times(self, factor: f32) -> Self {
        self.map(|lane| lane * factor)
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::Vector;

    // SAFETY of all blocks below: a value of this type is only made where the processor has AVX-512, in functions that are
    // compiled for it, by `load` and `ZERO`; loads and stores keep to `count` floats by their masks.
    impl Vector for __m512 {
        // SAFETY: any bits are floats.
        const ZERO: Self = unsafe { std::mem::transmute([0.0f32; 16]) };

        #[inline(always)]
        unsafe fn load(from: *const f32, count: usize) -> Self {
            // SAFETY: see above.
            unsafe { _mm512_maskz_loadu_ps(((1u32 << count) - 1) as __mmask16, from) }
        }

        #[inline(always)]
        unsafe fn store(self, to: *mut f32, count: usize) {
            // SAFETY: see above.
            unsafe { _mm512_mask_storeu_ps(to, ((1u32 << count) - 1) as __mmask16, self) }
        }

        #[inline(always)]
        fn add(self, other: Self) -> Self {
            // SAFETY: see above.
            unsafe { _mm512_add_ps(self, other) }
        }

        #[inline(always)]
        fn sub(self, other: Self) -> Self {
            // SAFETY: see above.
            unsafe { _mm512_sub_ps(self, other) }
        }

        #[inline(always)]
        fn scaled(self, factor: f32, other: Self) -> Self {
            // SAFETY: see above.
            unsafe { _mm512_fmadd_ps(self, _mm512_set1_ps(factor), other) }
        }

        #[inline(always)]
        fn times(self, factor: f32) -> Self {
            // SAFETY: see above.
            unsafe { _mm512_mul_ps(self, _mm512_set1_ps(factor)) }
        }
    }
}

/// Compiles one function body, generic over a [`Vector`], for every instruction set; the function's first argument chooses.
macro_rules! for_every_vector {
    ($(#[$doc:meta])* $vis:vis fn $name:ident<$vector:ident>($($arg:ident: $kind:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        $vis fn $name(isa: $crate::isa::Isa, $($arg: $kind),*) {
            #[inline(always)]
            fn body<$vector: $crate::conv::winograd::vector::Vector>($($arg: $kind),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
            fn avx512($($arg: $kind),*) { body::<std::arch::x86_64::__m512>($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $kind),*) { body::<[f32; 16]>($($arg),*) }

            match isa {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: an `Isa` comes from `Isa::available`, which asked the processor.
                $crate::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => body::<[f32; 16]>($($arg),*),
            }
        }
    };
}
pub(crate) use for_every_vector;
