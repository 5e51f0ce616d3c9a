//! How values are spread, in buckets of fixed bounds: a socket counts here, and hands it on once a batch.

/// Buckets with a bound; one more takes what is beyond the last.
pub const BOUNDS: usize = 23;

/// Counts of values by powers of two of a step.
///
/// `STEP` is the first bound; each next bound is twice the one before it. A value on a bound is within it.
#[derive(Clone, Debug)]
pub struct Spread<const STEP: u64> {
    counts: [u32; BOUNDS + 1],
    /// The sum of all values.
    sum: u64,
    /// A bit for each bucket with anything in it.
    touched: u32,
}

/// A spread of times in nanoseconds, from 1 us to 4.2 s.
pub type Times = Spread<1_000>;

impl<const STEP: u64> Default for Spread<STEP> {
    fn default() -> Self {
        Self { counts: [0; BOUNDS + 1], sum: 0, touched: 0 }
    }
}

impl<const STEP: u64> Spread<STEP> {
    /// The bucket of a value, from 0 to [`BOUNDS`].
    #[must_use]
    pub const fn bucket(value: u64) -> usize {
        let steps = value.div_ceil(STEP);
        let power = if steps <= 1 { 0 } else { (u64::BITS - (steps - 1).leading_zeros()) as usize };
        if power < BOUNDS { power } else { BOUNDS }
    }

    /// Counts so many equal values.
    #[inline]
    pub const fn add(&mut self, value: u64, count: u32) {
        if count > 0 {
            let bucket = Self::bucket(value);
            self.counts[bucket] += count;
            self.sum = self.sum.saturating_add(value.saturating_mul(count as u64));
            self.touched |= 1 << bucket;
        }
    }

    /// Hands every bucket that has something with its count to `each`, returns the sum of all values, and begins
    /// anew.
    pub fn drain(&mut self, mut each: impl FnMut(usize, u64)) -> u64 {
        while self.touched != 0 {
            let bucket = self.touched.trailing_zeros() as usize;
            self.touched &= self.touched - 1;
            each(bucket, std::mem::take(&mut self.counts[bucket]).into());
        }
        std::mem::take(&mut self.sum)
    }

    /// Whether nothing was counted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.touched == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_is_within_it() {
        let table = [
            (0, 0),
            (1_000, 0),
            (1_001, 1),
            (2_000, 1),
            (2_001, 2),
            (4_000, 2),
            (4_194_304_000, 22),
            (4_194_304_001, 23),
            (u64::MAX, 23),
        ];
        for (value, bucket) in table {
            assert_eq!(Times::bucket(value), bucket, "{value} ns");
        }
    }

    #[test]
    fn what_was_counted_is_handed_on_once() {
        let mut times = Times::default();
        times.add(1_500, 3);
        times.add(900, 1);
        times.add(7, 0);
        let mut seen = Vec::new();
        assert_eq!(times.drain(|bucket, count| seen.push((bucket, count))), 5_400);
        assert_eq!(seen, [(0, 1), (1, 3)]);
        assert!(times.is_empty());
        assert_eq!(times.drain(|_, _| seen.clear()), 0);
        assert_eq!(seen.len(), 2);
    }
}
