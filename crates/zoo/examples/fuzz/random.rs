//! Numbers from a seed, and sizes that readers stumble over.

/// splitmix64.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64, case: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ case.wrapping_mul(0xD1B5_4A32_D192_ED03))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// From 0 to `end`, without it.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// A size that is wrong: near a power of two, or anything.
    pub fn hostile(&mut self) -> u64 {
        let power = 1u64 << self.below(64);
        match self.below(6) {
            0 => self.next(),
            1 => u64::MAX - self.below(3) as u64,
            2 => power - 1,
            3 => power + self.below(3) as u64,
            4 => self.below(300) as u64,
            _ => (1 << 31) - 1 + self.below(3) as u64,
        }
    }

    /// The size as it is; seldom another.
    pub fn perhaps(&mut self, size: usize) -> u64 {
        if self.once_in(120) { self.hostile() } else { size as u64 }
    }
}
