//! All shards and the whole card directory as one plain value: what recovery builds, what `journal verify` checks,
//! and what the pipeline takes apart and puts behind locks.

use crate::domain::card::Pan;
use crate::domain::event::Bounds;
use crate::domain::event::CardOpened;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::party::SLOTS;
use crate::domain::party::Slot;
use crate::domain::time::Timestamp;

use super::apply::ApplyError;
use super::directory::Directory;
use super::directory::Location;
use super::directory::PanHash;
use super::lookahead::Closing;
use super::room::Needs;
use super::shard::Capacity;
use super::shard::Shard;
use super::state_hash::StateHash;
use super::totals::Totals;

/// So many events are asked for at once: enough to hide the memory's latency, few enough to stay in the cache.
pub const AHEAD: usize = 32;

/// How slots are divided among shards: equal ranges.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    slots_per_shard: u16,
}

impl Layout {
    /// Ranges for a number of shards: a power of two up to the number of slots. Anything else is taken down to one.
    #[must_use]
    pub const fn new(shards: u16) -> Self {
        let shards = if shards == 0 {
            1
        } else if shards > SLOTS {
            SLOTS
        } else {
            1 << shards.ilog2()
        };
        Self { slots_per_shard: SLOTS / shards }
    }

    /// How many shards there are.
    #[must_use]
    pub const fn shards(self) -> u16 {
        SLOTS / self.slots_per_shard
    }

    /// The shard that holds a slot.
    #[must_use]
    pub const fn shard_of(self, slot: Slot) -> usize {
        (slot.number() / self.slots_per_shard) as usize
    }
}

/// Every shard, and the directory.
#[derive(Debug)]
pub struct Books {
    /// Which slots each shard holds.
    pub layout: Layout,
    /// The shards, lowest slots first.
    pub shards: Vec<Shard>,
    /// The directory.
    pub directory: Directory,
    /// What keys the hashes of this process.
    pub seed: u64,
}

/// An event that does not fit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("record {} does not fit what came before it: {cause}", sequence.0)]
pub struct Misfit {
    /// The record.
    pub sequence: Sequence,
    /// Why.
    pub cause: ApplyError,
}

impl Books {
    /// Empty books with room for `totals` in all.
    #[must_use]
    pub fn new(layout: Layout, totals: Capacity, bounds: Bounds, seed: u64) -> Self {
        let capacity = Capacity::share(totals, usize::from(layout.shards()));
        Self::with(layout, totals.cards, bounds, seed, |_| capacity)
    }

    /// Empty books of a shard for each slot, with room for what each of them needs.
    #[must_use]
    pub fn by_slot(needs: &Needs, bounds: Bounds, seed: u64) -> Self {
        Self::with(Layout::new(SLOTS), needs.cards(), bounds, seed, |slot| needs.of(slot))
    }

    fn with(
        layout: Layout,
        cards: usize,
        bounds: Bounds,
        seed: u64,
        room: impl Fn(Slot) -> Capacity,
    ) -> Self {
        let slots = layout.slots_per_shard;
        let first = |n: u16| Slot::new(n * slots).unwrap_or_default();
        let shard = |n| Shard::new(first(n), slots, room(first(n)), bounds, seed);
        Self {
            layout,
            shards: (0..layout.shards()).map(shard).collect(),
            directory: Directory::with_capacity(cards),
            seed,
        }
    }

    /// Applies one event where it belongs.
    ///
    /// # Errors
    /// It does not fit; the journal and the configuration's bounds do not belong together.
    pub fn apply(&mut self, sequence: Sequence, time: Timestamp, event: &Event) -> Result<(), Misfit> {
        let misfit = |cause| Misfit { sequence, cause };
        let Some(slot) = event.slot() else {
            for shard in &mut self.shards {
                shard.apply(sequence, time, event).map_err(misfit)?;
            }
            return Ok(());
        };
        let first = self.layout.shard_of(slot);
        let [second, third] = event.other_slots().map(|other| other.map(|slot| self.layout.shard_of(slot)));
        let second = second.filter(|second| *second != first);
        let third = third.filter(|third| *third != first && Some(*third) != second);
        for other in [second, third].into_iter().flatten() {
            self.shards[other].apply(sequence, time, event).map_err(misfit)?;
        }
        let shard = &mut self.shards[first];
        let applied = shard.apply(sequence, time, event).map_err(misfit)?;
        if let (Some(location), Event::CardOpened(opened)) = (applied.opened, event) {
            shard.enter(&self.directory, opened, location).map_err(misfit)?;
        }
        Ok(())
    }

    /// Asks for the memory that events will need which are about to be applied, some dozens at a time.
    pub fn look_ahead<'e>(&self, events: impl Iterator<Item = &'e Event> + Clone) {
        let shards = || {
            let shard_of =
                |event: &'e Event| event.slot().map(|slot| &self.shards[self.layout.shard_of(slot)]);
            events.clone().filter_map(move |event| Some((shard_of(event)?, event)))
        };
        let (mut closing, mut leaves, mut cards) = (Closing::default(), [None; AHEAD], [None; AHEAD]);
        for ((shard, event), leaves) in shards().zip(&mut leaves) {
            closing.begin(shard);
            *leaves = shard.ask_for_index(&self.directory, event, &mut closing);
        }
        for ((shard, event), card) in shards().zip(&mut cards) {
            *card = shard.ask_for_card(event);
        }
        for ((shard, _), (card, leaves)) in shards().zip(cards.into_iter().zip(leaves)) {
            shard.ask_for_wallet(card, leaves);
        }
    }

    /// Where a card of ours is.
    #[must_use]
    pub fn locate(&self, pan: Pan) -> Option<Location> {
        let hash = PanHash::of(pan, self.seed);
        let mut cursor = 0;
        while let Some((location, next)) = self.directory.candidate(hash, cursor) {
            if self.shards[self.layout.shard_of(location.slot)].card_at(location.card, pan).is_some() {
                return Some(location);
            }
            cursor = next;
        }
        None
    }

    /// The sums of each currency over all shards, by currency.
    #[must_use]
    pub fn totals(&self) -> Vec<Totals> {
        sum_totals(self.shards.iter().map(Shard::totals))
    }

    /// The hash of everything.
    #[must_use]
    pub fn state_hash(&self) -> StateHash {
        let mut hash = self.shards.iter().map(Shard::state_hash).fold(StateHash::default(), StateHash::join);
        hash.add_totals(&self.totals());
        hash
    }

    /// Checks every shard against itself.
    ///
    /// # Errors
    /// The first thing that does not hold, in words.
    pub fn audit(&self) -> Result<(), String> {
        self.shards.iter().try_for_each(Shard::audit)?;
        match self.totals().iter().find(|totals| totals.transit != 0) {
            Some(Totals { currency, transit, .. }) => {
                Err(format!("currency {currency}: {transit} has left a wallet and reached none"))
            }
            None => Ok(()),
        }
    }
}

impl Shard {
    /// Puts a card that was opened in this shard into the directory.
    ///
    /// # Errors
    /// The directory is full.
    pub fn enter(
        &self,
        directory: &Directory,
        opened: &CardOpened,
        location: Location,
    ) -> Result<(), ApplyError> {
        let hash = PanHash::of(opened.pan, self.seed);
        directory.insert(hash, location).map_err(|_| ApplyError::Full("cards"))
    }
}

/// Adds up the totals of several shards, by currency.
pub fn sum_totals<'t>(shards: impl Iterator<Item = &'t [Totals]>) -> Vec<Totals> {
    let mut all: Vec<Totals> = Vec::new();
    for totals in shards.flatten() {
        match all.iter_mut().find(|sum| sum.currency == totals.currency) {
            Some(sum) => sum.add(totals),
            None => all.push(*totals),
        }
    }
    all.sort_by_key(|totals| totals.currency);
    all
}
