//! The card directory: which slot and which card a card number belongs to.
//!
//! It is cut into stripes by hash, so that each can stand behind a lock of its own. An entry is eight bytes: 22 bits
//! of a keyed hash, the slot, and the card's position in its shard. A look-up proposes candidates; the shard compares
//! the whole number (R34), so a chance match of the 22 bits costs a look and nothing more. Cards are never removed.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::domain::card::Pan;
use crate::domain::party::Slot;

/// The keyed hash of a card number that stripes are looked up with.
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

    /// Which of `stripes` (a power of two) holds it.
    #[must_use]
    pub const fn stripe(self, stripes: usize) -> usize {
        (self.0 >> 52) as usize & (stripes - 1)
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

/// One stripe of the directory.
#[derive(Debug)]
pub struct Stripe {
    /// Tag (22 bits), slot (10 bits), position + 1 (32 bits). Zero is an empty place.
    table: Box<[u64]>,
    mask: usize,
    len: usize,
    capacity: usize,
}

impl Stripe {
    /// Room for `capacity` cards.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        let places = (capacity.max(8) * 4 / 3).next_power_of_two();
        Self {
            table: vec![0; places].into_boxed_slice(),
            mask: places - 1,
            len: 0,
            capacity: capacity.max(8),
        }
    }

    /// Loads the cache line that a look-up begins in; the result only keeps the load alive.
    #[must_use]
    pub fn touch(&self, hash: PanHash) -> u64 {
        self.table[hash.0 as usize & self.mask]
    }

    /// Candidates for a hash, one by one: pass the cursor zero first and then the one that came back.
    #[must_use]
    pub fn candidate(&self, hash: PanHash, cursor: usize) -> Option<(Location, usize)> {
        let mut step = cursor;
        loop {
            let entry = self.table[(hash.0 as usize).wrapping_add(step) & self.mask];
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
    pub const fn has_room(&self) -> bool {
        self.len < self.capacity
    }

    /// Adds a card.
    ///
    /// # Errors
    /// The stripe is full; nothing was added.
    pub fn insert(&mut self, hash: PanHash, location: Location) -> Result<(), StripeFull> {
        if self.len >= self.capacity {
            return Err(StripeFull);
        }
        let mut place = hash.0 as usize & self.mask;
        while self.table[place] != 0 {
            place = (place + 1) & self.mask;
        }
        let slot = u64::from(location.slot.number());
        self.table[place] = hash.tag() << 42 | slot << 32 | u64::from(location.card + 1);
        self.len += 1;
        Ok(())
    }
}

/// No more cards fit: `cards_max` is too small for what is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the card directory is full; raise `ledger.cards_max`")]
pub struct StripeFull;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r34_every_card_is_among_its_candidates() {
        let cards = 5000_u32;
        let mut stripe = Stripe::with_capacity(cards as usize);
        let pan = |n: u32| Pan::from_value(4_000_000_000_000_000 + u64::from(n), 16).expect("a card number");
        for n in 0..cards {
            let slot = Slot::new((n % 1024) as u16).expect("a slot");
            stripe.insert(PanHash::of(pan(n), 7), Location { slot, card: n }).expect("room");
        }
        assert_eq!(stripe.insert(PanHash(1), Location { slot: Slot::default(), card: 0 }), Err(StripeFull));
        for n in 0..cards {
            let hash = PanHash::of(pan(n), 7);
            let mut cursor = 0;
            loop {
                let (location, next) = stripe.candidate(hash, cursor).expect("it was put in");
                if location.card == n {
                    assert_eq!(u32::from(location.slot.number()), n % 1024);
                    break;
                }
                cursor = next;
            }
        }
        let unknown =
            (cards..2 * cards).filter(|n| stripe.candidate(PanHash::of(pan(*n), 7), 0).is_some()).count();
        assert!(unknown < 5, "a chance match is rare: {unknown}");
    }
}
