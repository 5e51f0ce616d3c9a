//! One slot's books by themselves: what a look into the past is built in. They are a shard of that slot alone, with
//! room that is found out by trying, since what a journal holds of one slot is not known beforehand.

use crate::domain::event::Bounds;
use crate::domain::event::Sequence;
use crate::domain::party::SLOTS;
use crate::domain::party::Slot;

use super::books::Books;
use super::books::Layout;
use super::directory::Directory;
use super::restore::ImageError;
use super::restore::Restoring;
use super::room::Needs;
use super::shard::Capacity;
use super::shard::Shard;

/// How many slots the shard part of an image is of; `None` when it is none.
#[must_use]
pub fn slots_in(shard_part: &[u8]) -> Option<u16> {
    shard_part
        .first_chunk()
        .map(|count| u16::from_le_bytes(*count))
        .filter(|count| (1..=SLOTS).contains(count))
}

/// The room of a shard and so much more.
#[must_use]
pub fn with_room(needs: Capacity, more: Capacity) -> Capacity {
    Capacity {
        wallets: needs.wallets + more.wallets,
        further_accounts: needs.further_accounts + more.further_accounts,
        cards: needs.cards + more.cards,
        authorizations: needs.authorizations + more.authorizations,
        limits: needs.limits + more.limits,
        counted: needs.counted + more.counted,
    }
}

/// What a snapshot holds of one shard: its own part, then wallets.
#[derive(Debug, Default)]
pub struct ShardImage {
    /// Up to which record.
    pub cut: Sequence,
    /// The shard's own part.
    pub shard: Vec<u8>,
    /// Images of wallets, some in each.
    pub wallets: Vec<Vec<u8>>,
}

impl ShardImage {
    /// The books of one of its slots, with room for what is there and so much more. All of the image is read, so that
    /// what it adds up to is compared.
    ///
    /// # Errors
    /// It cannot be read, does not add up, or is not of this slot.
    pub fn restore(
        &self,
        slot: Slot,
        bounds: Bounds,
        more: Capacity,
        seed: u64,
    ) -> Result<Shard, ImageError> {
        let mut needs = Needs::default();
        needs.count_rules(&self.shard)?;
        for images in &self.wallets {
            needs.count_wallets(images)?;
        }
        // Slots of other shards stay empty, and are made as small as can be.
        let count = slots_in(&self.shard).ok_or(ImageError::Value("shard"))?;
        let first = slot.number() - slot.number() % count;
        let empty = Bounds { answers_per_slot: 1, ..bounds };
        let shard = |number: u16| {
            let of = Slot::new(number).unwrap_or_default();
            if !(first..first + count).contains(&number) {
                return Shard::new(of, 1, Capacity::default(), empty, seed);
            }
            let room = if of == slot { with_room(needs.of(of), more) } else { needs.of(of) };
            Shard::new(of, 1, room, bounds, seed)
        };
        let books = Books {
            layout: Layout::new(SLOTS),
            shards: (0..SLOTS).map(shard).collect(),
            directory: Directory::with_capacity(needs.cards()),
            seed,
        };
        let mut restoring = Restoring::new(books);
        if !restoring.shard_part(&self.shard, self.cut)?.contains(&slot) {
            return Err(ImageError::Value("slot"));
        }
        for images in &self.wallets {
            restoring.wallets(images)?;
        }
        let mut books = restoring.finish()?;
        Ok(books.shards.swap_remove(usize::from(slot.number())))
    }
}

impl Drop for ShardImage {
    fn drop(&mut self) {
        // Images hold card numbers.
        self.wallets.iter_mut().for_each(|images| images.fill(0));
    }
}
