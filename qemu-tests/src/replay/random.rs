//! Random numbers that are the same in every run: SplitMix64.

/// A generator.
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// One that begins here.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// The next number.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below this one, which is not 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.draw() % limit as u64) as usize
    }

    /// Heads or tails.
    pub fn coin(&mut self) -> bool {
        self.draw() >> 63 == 1
    }
}

/// Spreads a number over all bits.
pub fn mix(number: u64) -> u64 {
    let z = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
