//! Random numbers for tests.

use cairn_machine::size::Size;

/// A small generator of numbers (splitmix64): the same in every run.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn maybe<T>(&mut self, value: impl FnOnce(&mut Numbers) -> T) -> Option<T> {
        (self.below(3) == 0).then(|| value(self))
    }

    pub fn size(&mut self) -> Size {
        // Up to 4 GiB, rarely a whole number of MiB.
        Size::from_bytes(self.below(4 << 30))
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
