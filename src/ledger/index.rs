//! A hash index of fixed capacity: it never grows, rehashes or allocates after it was made.
//!
//! Open addressing with linear probing. An entry packs half of the hash with a 32-bit position, so that a look-up
//! that finds nothing touches one cache line and nothing else. Removing shifts the followers back, so there are no
//! tombstones to clean up.

use super::prefetch::prefetch;

/// Positions must stay below this.
pub const POSITION_MAX: u32 = u32::MAX - 1;

/// Hashes to positions. Several entries may share a hash; the caller compares what it finds.
#[derive(Debug)]
pub struct Index {
    /// Upper half: the tag; lower half: position + 1. Zero is an empty place.
    table: Box<[u64]>,
}

impl Index {
    /// An index for `capacity` entries, at most three quarters full: for what is put in once and then found.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self::with_places(capacity.max(4) * 4 / 3)
    }

    /// An index for `capacity` entries, at most half full: for what comes and goes with every message. Each of them is
    /// first looked for in vain, which takes 2 places here and 6 where three quarters may be taken.
    #[must_use]
    pub fn half_full(capacity: usize) -> Self {
        Self::with_places(capacity.max(4) * 2)
    }

    fn with_places(places: usize) -> Self {
        // Look-ups go anywhere in the table: its pages are touched now, not one by one under load.
        let mut table = vec![u64::MAX; places].into_boxed_slice();
        table.fill(0);
        Self { table }
    }

    const fn tag(hash: u64) -> u64 {
        hash >> 32
    }

    /// The place where an entry with this tag would like to be: as far into the table as the tag is into its range, so
    /// that the table may have any size.
    const fn home(&self, tag: u64) -> usize {
        ((tag * self.table.len() as u64) >> u32::BITS) as usize
    }

    /// The place after this one; the first is after the last.
    const fn after(&self, place: usize) -> usize {
        if place + 1 < self.table.len() { place + 1 } else { 0 }
    }

    /// Asks for the cache line that a look-up of this hash begins in.
    pub fn prefetch(&self, hash: u64) {
        prefetch(&self.table[self.home(Self::tag(hash))]);
    }

    /// The first position under this hash that `is_it` accepts.
    #[must_use]
    pub fn find(&self, hash: u64, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        let tag = Self::tag(hash);
        let mut place = self.home(tag);
        loop {
            let entry = self.table[place];
            if entry == 0 {
                return None;
            }
            let position = entry as u32 - 1;
            if entry >> 32 == tag && is_it(position) {
                return Some(position);
            }
            place = self.after(place);
        }
    }

    /// The first position under this hash, whatever it is: most often the one that is looked for.
    #[must_use]
    pub fn find_first(&self, hash: u64) -> Option<u32> {
        self.find(hash, |_| true)
    }

    /// Adds an entry. The caller keeps the number of entries within the capacity.
    pub fn insert(&mut self, hash: u64, position: u32) {
        debug_assert!(position <= POSITION_MAX, "a position fits its half of an entry");
        let tag = Self::tag(hash);
        let mut place = self.home(tag);
        while self.table[place] != 0 {
            place = self.after(place);
        }
        self.table[place] = tag << 32 | u64::from(position + 1);
    }

    /// Removes the entry of this hash and position, if it is there.
    pub fn remove(&mut self, hash: u64, position: u32) {
        let wanted = Self::tag(hash) << 32 | u64::from(position + 1);
        let mut hole = self.home(Self::tag(hash));
        while self.table[hole] != wanted {
            if self.table[hole] == 0 {
                return;
            }
            hole = self.after(hole);
        }
        let mut place = hole;
        loop {
            place = self.after(place);
            let entry = self.table[place];
            if entry == 0 {
                break;
            }
            let home = self.home(entry >> 32);
            // The follower may move into the hole only if that is not before its home, going back from it and past the
            // table's first place: what lies behind the end is further than all before, whatever the table's size.
            if place.wrapping_sub(home) >= place.wrapping_sub(hole) {
                self.table[hole] = entry;
                hole = place;
            }
        }
        self.table[hole] = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// Homes are spread over the whole table, whatever its size, and none is beyond it.
    #[test]
    fn homes_are_spread_evenly_over_a_table_of_any_size() {
        for capacity in [1, 6, 77, 96, 1_000, 24_181] {
            let index = Index::with_capacity(capacity);
            let places = index.table.len();
            assert!(places > capacity, "a look-up that finds nothing ends at an empty place");
            let mut entries = vec![0_u32; places];
            (0..places as u64 * 64).for_each(|n| {
                let hash = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                entries[index.home(Index::tag(hash))] += 1;
            });
            let (least, most) = (entries.iter().min(), entries.iter().max());
            assert!(least >= Some(&56) && most <= Some(&72), "{capacity}: {least:?} to {most:?}");
            assert_eq!(index.home(u64::from(u32::MAX)), places - 1);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        /// The index holds exactly what a plain set of pairs holds, with few distinct hashes to force collisions.
        #[test]
        fn agrees_with_a_set(
            capacity in 1_usize..120,
            steps in prop::collection::vec((any::<bool>(), 0_u64..24, 0_u32..40), 1..600),
        ) {
            let mut index = Index::with_capacity(capacity);
            let mut model = BTreeSet::new();
            for (add, key, position) in steps {
                let hash = key.wrapping_mul(0xD1B5_4A32_D192_ED03);
                if add && model.len() < capacity && model.insert((hash, position)) {
                    index.insert(hash, position);
                } else if !add {
                    model.remove(&(hash, position));
                    index.remove(hash, position);
                }
                for key in 0..24_u64 {
                    let hash = key.wrapping_mul(0xD1B5_4A32_D192_ED03);
                    let mut found = BTreeSet::new();
                    let none = index.find(hash, |position| {
                        found.insert((hash, position));
                        false
                    });
                    prop_assert_eq!(none, None);
                    let expected: BTreeSet<_> = model.range((hash, 0)..=(hash, u32::MAX)).copied().collect();
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}
