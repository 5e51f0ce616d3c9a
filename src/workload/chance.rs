//! Seeded draws: SplitMix64 (Steele, Lea, Flood 2014), which passes BigCrush and has one word of state.

/// A seeded source of draws.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// A source whose draws this seed tells.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    #[inline]
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`, which must not be zero to mean something; by multiplication, without a division.
    #[inline]
    pub fn below(&mut self, end: u32) -> u32 {
        ((u64::from(self.next() as u32) * u64::from(end)) >> 32) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_draw_equal_numbers_and_all_of_them() {
        let (mut one, mut other) = (Chance::new(7), Chance::new(7));
        let mut seen = [0_u32; 10];
        for _ in 0..1000 {
            let drawn = one.below(10);
            assert_eq!(drawn, other.below(10));
            seen[drawn as usize] += 1;
        }
        assert!(seen.iter().all(|times| (50..150).contains(times)), "{seen:?}");
        assert_ne!(Chance::new(8).next(), Chance::new(7).next());
    }
}
