//! Which instructions the processor has, asked once at run time.

/// A set of vector instructions that the kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isa {
    /// x86 with AVX-512 F: 32 registers of 16 floats.
    Avx512,
    /// x86 with AVX2 and FMA: 16 registers of 8 floats.
    Avx2,
    /// What the target of the build has: SSE2 on x86-64, NEON on AArch64.
    Portable,
}

impl Isa {
    /// The best this processor has.
    pub fn best() -> Self {
        Self::available()[0]
    }

    /// Everything this processor has, best first.
    pub fn available() -> &'static [Self] {
        #[cfg(target_arch = "x86_64")]
        {
            use std::is_x86_feature_detected as has;
            if has!("avx2") && has!("fma") {
                if has!("avx512f") && has!("avx512vl") && has!("avx512dq") {
                    return &[Self::Avx512, Self::Avx2, Self::Portable];
                }
                return &[Self::Avx2, Self::Portable];
            }
        }
        &[Self::Portable]
    }
}

/// Compiles one function body for every [`Isa`]; the function's first argument chooses.
///
/// A multiply-add is fused by `fused(a, b, c)` where the instructions have it (a library call where they have not).
macro_rules! for_every_isa {
    ($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $kind:ty),* $(,)?) $(-> $out:ty)? $body:block) => {
        $(#[$doc])*
        $vis fn $name(isa: $crate::isa::Isa, $($arg: $kind),*) $(-> $out)? {
            #[inline(always)]
            fn body($($arg: $kind),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
            fn avx512($($arg: $kind),*) $(-> $out)? { body($($arg),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $kind),*) $(-> $out)? { body($($arg),*) }

            match isa {
                #[cfg(target_arch = "x86_64")]
                // SAFETY: an `Isa` comes from `Isa::available`, which asked the processor.
                $crate::isa::Isa::Avx512 => unsafe { avx512($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: as above.
                $crate::isa::Isa::Avx2 => unsafe { avx2($($arg),*) },
                _ => body($($arg),*),
            }
        }
    };
}
pub(crate) use for_every_isa;
