//! What the processor could do at most.

use std::hint::black_box;
use std::time::{Duration, Instant};

use crate::isa::Isa;

/// Billions of floating-point operations a second that `threads` threads reach together with multiply-adds in registers
/// and nothing else: the best of a fifth of a second. The roof of every kernel here.
pub fn peak_gflops(threads: usize) -> f64 {
    let one = || {
        let (begin, mut best) = (Instant::now(), 0.0f64);
        while begin.elapsed() < Duration::from_millis(200) {
            let start = Instant::now();
            let operations = multiply_adds(Isa::best(), black_box(0.5), 1 << 20);
            best = best.max(operations as f64 / start.elapsed().as_secs_f64());
        }
        best / 1e9
    };
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..threads).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|thread| thread.join().expect("arithmetic does not panic")).sum()
    })
}

/// Does `steps` multiply-adds on each of some vectors; the number of operations.
fn multiply_adds(isa: Isa, factor: f32, steps: usize) -> usize {
    match isa {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` comes from `Isa::available`, which asked the processor.
        Isa::Avx512 => unsafe { avx512(factor, steps) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: as above.
        Isa::Avx2 => unsafe { avx2(factor, steps) },
        _ => any::<4, false>(factor, steps),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx2,fma")]
fn avx512(factor: f32, steps: usize) -> usize {
    use std::arch::x86_64::*;
    let factor = _mm512_set1_ps(factor);
    let mut sums = [_mm512_set1_ps(1.0); 12];
    for _ in 0..steps {
        for sum in &mut sums {
            *sum = _mm512_fmadd_ps(*sum, factor, factor);
        }
    }
    black_box(sums);
    2 * 16 * sums.len() * steps
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2(factor: f32, steps: usize) -> usize {
    any::<6, true>(factor, steps)
}

/// `N` vectors of 16 floats: enough to hide the latency of one multiply-add, few enough to stay in registers.
#[inline(always)]
fn any<const N: usize, const FUSED: bool>(factor: f32, steps: usize) -> usize {
    let mut sums = [[1.0f32; 16]; N];
    for _ in 0..steps {
        for sum in &mut sums {
            *sum = sum.map(|sum| if FUSED { sum.mul_add(factor, factor) } else { sum * factor + factor });
        }
    }
    black_box(sums);
    2 * 16 * N * steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_a_number_of_this_world() {
        // More than one operation a cycle of the slowest processor, less than 128 a cycle of one at 8 GHz.
        let peak = peak_gflops(1);
        assert!((0.1..1024.0).contains(&peak), "{peak}");
    }
}
