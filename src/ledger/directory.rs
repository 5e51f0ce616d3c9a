//! The card directory: which slot and which card a card number belongs to.
//!
//! An entry is one word of eight bytes: 22 bits of a keyed hash, the slot, and the card's position in its shard. A
//! look-up proposes candidates; the shard compares the whole number (R34), so a chance match of the 22 bits costs a
//! look and nothing more. Cards are never removed, so that a look-up needs no lock: a word is there or not yet.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::domain::card::Pan;
use crate::domain::party::Slot;

use super::prefetch::prefetch;

/// The keyed hash of a card number that the directory is searched by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PanHash(pub u64);

impl PanHash {
    /// Hashes a whole card number under a seed that is drawn anew at every start.
    #[must_use]
    pub fn of(pan: Pan, seed: u64) -> Self {
        let mut bytes = [0; 9];
        bytes[..8].copy_from_slice(&pan.value().to_le_bytes());
        bytes[8] = pan.digits();
        Self(xxh3_64_with_seed(&bytes, seed))
    }

    const fn tag(self) -> u64 {
        self.0 >> 30 & 0x3F_FFFF
    }
}

/// Where a card may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Location {
    /// The wallet's slot.
    pub slot: Slot,
    /// The card's position in the slot's shard.
    pub card: u32,
}

/// All cards. It is read without a lock, also while one is added.
#[derive(Debug)]
pub struct Directory {
    /// Tag (22 bits), slot (10 bits), position + 1 (32 bits). Zero is an empty place; a place is filled once.
    table: Box<[AtomicU64]>,
    mask: usize,
    len: AtomicUsize,
    capacity: usize,
}

impl Directory {
    /// Room for `capacity` cards.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let capacity = capacity.max(8);
        let places = (capacity * 4 / 3).next_power_of_two();
        Self {
            table: (0..places).map(|_| AtomicU64::new(0)).collect(),
            mask: places - 1,
            len: AtomicUsize::new(0),
            capacity,
        }
    }

    /// Asks for the cache line that a look-up begins in.
    pub fn prefetch(&self, hash: PanHash) {
        prefetch(&self.table[hash.0 as usize & self.mask]);
    }

    /// Candidates for a hash, one by one: pass the cursor zero first and then the one that came back.
    #[must_use]
    pub fn candidate(&self, hash: PanHash, cursor: usize) -> Option<(Location, usize)> {
        let mut step = cursor;
        loop {
            let place = (hash.0 as usize).wrapping_add(step) & self.mask;
            let entry = self.table[place].load(Ordering::Acquire);
            if entry == 0 {
                return None;
            }
            step += 1;
            if entry >> 42 == hash.tag() {
                let slot = Slot::new((entry >> 32 & 0x3FF) as u16)?;
                return Some((Location { slot, card: entry as u32 - 1 }, step));
            }
        }
    }

    /// Whether one more card fits.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.room() > 0
    }

    /// How many more cards fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(self.len.load(Ordering::Relaxed))
    }

    /// Adds a card, which is in its shard already.
    ///
    /// # Errors
    /// The directory is full; nothing was added.
    pub fn insert(&self, hash: PanHash, location: Location) -> Result<(), DirectoryFull> {
        if self.len.fetch_add(1, Ordering::Relaxed) >= self.capacity {
            self.len.fetch_sub(1, Ordering::Relaxed);
            return Err(DirectoryFull);
        }
        let slot = u64::from(location.slot.number());
        let entry = hash.tag() << 42 | slot << 32 | u64::from(location.card + 1);
        let mut place = hash.0 as usize & self.mask;
        // Whoever meets another one at a place goes on to the next.
        while self.table[place].compare_exchange(0, entry, Ordering::Release, Ordering::Relaxed).is_err() {
            place = (place + 1) & self.mask;
        }
        Ok(())
    }
}

/// No more cards fit: `cards_max` is too small for what is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the card directory is full; raise `ledger.cards_max`")]
pub struct DirectoryFull;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r34_every_card_is_among_its_candidates() {
        let cards = 5000_u32;
        let directory = Directory::with_capacity(cards as usize);
        let pan = |n: u32| Pan::from_value(4_000_000_000_000_000 + u64::from(n), 16).expect("a card number");
        for n in 0..cards {
            let slot = Slot::new((n % 1024) as u16).expect("a slot");
            directory.insert(PanHash::of(pan(n), 7), Location { slot, card: n }).expect("room");
        }
        assert_eq!(
            directory.insert(PanHash(1), Location { slot: Slot::default(), card: 0 }),
            Err(DirectoryFull)
        );
        for n in 0..cards {
            let hash = PanHash::of(pan(n), 7);
            let mut cursor = 0;
            loop {
                let (location, next) = directory.candidate(hash, cursor).expect("it was put in");
                if location.card == n {
                    assert_eq!(u32::from(location.slot.number()), n % 1024);
                    break;
                }
                cursor = next;
            }
        }
        let unknown =
            (cards..2 * cards).filter(|n| directory.candidate(PanHash::of(pan(*n), 7), 0).is_some()).count();
        assert!(unknown < 5, "a chance match is rare: {unknown}");
    }
}
