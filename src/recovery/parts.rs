//! Replay in parts: a shard is one, and the switch another. A record is about one of them, or about all, and what it
//! changes is nothing that another part reads; so each part's records are applied in their order, and which part is
//! ahead of which does not matter. Records of one part after the other also find more of their memory in the caches.

use std::collections::BTreeMap;

use crate::domain::card::PanSeal;
use crate::domain::event::Configured;
use crate::domain::event::Event;
use crate::domain::event::Seeded;
use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::time::Timestamp;
use crate::journal::chunk::Chunk;
use crate::journal::chunk::Chunks;
use crate::journal::chunk::Entry;
use crate::journal::chunk::Route;
use crate::journal::kind::Kind;
use crate::journal::record::Frame;
use crate::journal::record::RecordError;
use crate::journal::storage::Storage;
use crate::ledger::apply::ApplyError;
use crate::ledger::books::Books;
use crate::ledger::books::Layout;
use crate::ledger::books::Misfit;
use crate::ledger::departed::Departed;
use crate::ledger::directory::Directory;
use crate::ledger::lookahead::Closing;
use crate::ledger::prefetch::prefetch_bytes;
use crate::ledger::shard::Shard;
use crate::switch::trunk;
use crate::switch::trunk::Trunk;

use super::Trunks;
use super::crew::Crew;
use super::crew::Work;

/// So many records are decoded together: two such groups are in the first cache, with what they need.
const GROUP: usize = 16;

/// A chunk that was read, and what sorting it has found out.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) chunk: Chunk,
    /// The first record that opens a card for which the directory has no room.
    full_from: Sequence,
}

/// Sorts records into parts while they are read.
pub(super) struct Sorting<'b> {
    layout: Layout,
    stamps: &'b [Sequence],
    /// How many more cards the directory takes, if all were opened in their order.
    room: usize,
    full_from: Sequence,
}

impl<'b> Sorting<'b> {
    pub(super) fn new(books: &Books, stamps: &'b [Sequence]) -> Self {
        Self { layout: books.layout, stamps, room: books.directory.room(), full_from: Sequence(u64::MAX) }
    }

    /// Room for a chunk that is sorted here.
    pub(super) fn room(&self) -> Read {
        Read { chunk: Chunk::new(self.switch() + 1), full_from: self.full_from }
    }

    /// The switch's part: the one after the shards.
    fn switch(&self) -> usize {
        usize::from(self.layout.shards())
    }

    pub(super) fn next<S: Storage>(&mut self, chunks: &mut Chunks<'_, S>, into: &mut Read) {
        chunks.next(&mut into.chunk, &mut |frame, sequence| self.route(frame, sequence));
        into.full_from = self.full_from;
    }

    fn route(&mut self, frame: &Frame, sequence: Sequence) -> Route {
        let Some(slot) = frame.slot else { return Route::ToAll };
        match frame.kind {
            Kind::Forwarded | Kind::Concluded | Kind::Stored | Kind::Settled => {
                return Route::To(self.switch());
            }
            Kind::CardOpened if sequence > self.stamps[usize::from(slot.number())] => {
                match self.room.checked_sub(1) {
                    Some(room) => self.room = room,
                    None => self.full_from = self.full_from.min(sequence),
                }
            }
            _ => {}
        }
        let shard_of = |slot: Slot| self.layout.shard_of(slot);
        match frame.others {
            [None, None] => Route::To(shard_of(slot)),
            others => Route::ToSome(shard_of(slot), others.map(|other| other.map(shard_of))),
        }
    }
}

/// What all parts read and none changes.
#[derive(Clone, Copy)]
pub(super) struct Common<'c> {
    pub(super) read: &'c Read,
    pub(super) seal: &'c dyn PanSeal,
    /// By slot: records up to here are in the books already.
    pub(super) stamps: &'c [Sequence],
    /// What left up to this record is not asked for.
    pub(super) known_to: Sequence,
}

/// A shard's replay.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) applied: u64,
    /// The first record that did not fit. None after it was applied.
    pub(super) misfit: Option<Misfit>,
    /// The first record that cannot be read.
    unreadable: Option<(Entry, RecordError)>,
    /// What left memory.
    departed: Vec<Departed>,
    /// Decoded and asked for: what is applied next.
    events: Vec<(Sequence, Timestamp, Event)>,
    /// What comes after it.
    next: Vec<(Sequence, Timestamp, Event)>,
    closing: Closing,
}

impl Part {
    /// Applies a shard's records of a chunk. A group of them is decoded and has its memory asked for, step by step,
    /// while the one before it is applied.
    fn replay(&mut self, number: usize, shard: &mut Shard, directory: &Directory, common: Common<'_>) {
        let chunk = &common.read.chunk;
        let mut groups = chunk.part(number).chunks(GROUP).peekable();
        let (mut cards, mut leaves) = ([None; GROUP], [None; GROUP]);
        self.closing.begin(shard);
        while let Some(group) = groups.next() {
            for entry in groups.peek().copied().unwrap_or_default() {
                prefetch_bytes(chunk.bytes(*entry));
            }
            self.ask_for_wallets(shard, &cards, &leaves);
            for (entry, leaves) in group.iter().zip(&mut leaves) {
                match chunk.decode(*entry, common.seal) {
                    Ok(read) => {
                        *leaves = shard.ask_for_index(directory, &read.2, &mut self.closing);
                        self.next.push(read);
                    }
                    Err(error) => {
                        self.unreadable = Some((*entry, error));
                        return;
                    }
                }
            }
            self.apply(number, shard, directory, common);
            for ((_, _, event), card) in self.next.iter().zip(&mut cards) {
                *card = shard.ask_for_card(event);
            }
            std::mem::swap(&mut self.events, &mut self.next);
        }
        self.ask_for_wallets(shard, &cards, &leaves);
        self.apply(number, shard, directory, common);
        let unknown = |departed: &&Departed| departed.by > common.known_to;
        self.departed.extend(shard.departed().iter().filter(unknown));
        shard.forget_departed();
    }

    fn ask_for_wallets(&self, shard: &Shard, cards: &[Option<u32>], leaves: &[Option<u32>]) {
        let asked = cards.iter().zip(leaves).take(self.events.len());
        asked.for_each(|(card, leaves)| shard.ask_for_wallet(*card, *leaves));
    }

    /// Applies what has been asked for.
    fn apply(&mut self, number: usize, shard: &mut Shard, directory: &Directory, common: Common<'_>) {
        for (sequence, time, event) in self.events.drain(..) {
            self.closing.applies(shard, &event);
            if self.misfit.is_some() {
                continue;
            }
            // What touches every slot happens at a start, never while a snapshot is made: all slots have it, or none.
            let is_due = |slot: Slot| sequence > common.stamps[usize::from(slot.number())];
            let is_everywhere = event.slot().is_none();
            let is_here = |slot: Slot| is_everywhere || shard.holds(slot);
            if let Some(due) = event.within(|slot| is_due(slot) && is_here(slot)) {
                // It is counted once, and so is what has several sides.
                let counts = event.slot().map_or(number == 0, |slot| shard.holds(slot) || !is_due(slot));
                self.applied += u64::from(counts);
                let has_room = sequence < common.read.full_from;
                let applied = apply(shard, directory, has_room, sequence, time, &due);
                self.misfit = applied.err().map(|cause| Misfit { sequence, cause });
            }
        }
    }
}

/// Applies a record to its shard, and puts a card that it opens into the directory. Others fill the directory at the
/// same time, so whether it has room for this one is known from their order in the journal.
fn apply(
    shard: &mut Shard,
    directory: &Directory,
    has_room: bool,
    sequence: Sequence,
    time: Timestamp,
    event: &Event,
) -> Result<(), ApplyError> {
    let applied = shard.apply(sequence, time, event)?;
    match (applied.opened, event) {
        (Some(_), Event::CardOpened(_)) if !has_room => Err(ApplyError::Full("cards")),
        (Some(location), Event::CardOpened(opened)) => shard.enter(directory, opened, location),
        _ => Ok(()),
    }
}

/// What is no shard's: what the switch keeps of each link, and what starts have told.
#[derive(Debug, Default)]
pub(super) struct Switch {
    pub(super) trunks: Trunks,
    /// By link: records up to here are in its trunk already.
    pub(super) stamps: BTreeMap<u32, Sequence>,
    pub(super) seeded: Option<Seeded>,
    pub(super) configured: Option<Configured>,
    pub(super) applied: u64,
    unreadable: Option<(Entry, RecordError)>,
}

impl Switch {
    /// With what a snapshot has of starts.
    pub(super) fn begun(seeded: Option<Seeded>, configured: Configured) -> Self {
        Self { seeded, configured: Some(configured), ..Self::default() }
    }

    fn replay(&mut self, number: usize, common: Common<'_>) {
        for entry in common.read.chunk.part(number) {
            match common.read.chunk.decode(*entry, common.seal) {
                Ok((sequence, time, event)) => {
                    let _is_its_own = self.record(sequence, time, &event);
                }
                Err(error) => {
                    self.unreadable = Some((*entry, error));
                    return;
                }
            }
        }
    }

    /// Takes what it keeps of a record. Whether that is all there is to it: shards have nothing to do with it then.
    pub(super) fn record(&mut self, sequence: Sequence, time: Timestamp, event: &Event) -> bool {
        match event {
            Event::Seeded(event) => self.seeded = Some(*event),
            Event::Configured(event) => self.configured = Some(*event),
            _ => {}
        }
        let Some(name) = event.trunk() else { return false };
        let stamp = self.stamps.get(&name.0).copied().unwrap_or_default();
        if sequence > stamp {
            self.applied += 1;
            let trunk = self.trunks.entry(name.0).or_insert_with(|| Trunk::new(trunk::Bounds::default()));
            trunk.apply(sequence, time, event);
        }
        true
    }
}

/// All parts.
pub(super) struct Parts<'b> {
    books: &'b mut Books,
    switch: &'b mut Switch,
    parts: Vec<Part>,
}

impl<'b> Parts<'b> {
    pub(super) fn of(books: &'b mut Books, switch: &'b mut Switch) -> Self {
        let parts = books.shards.iter().map(|_| Part::default()).collect();
        Self { books, switch, parts }
    }

    /// Applies a chunk, every part side by side with the others and with `own`. Returns the first record that cannot be
    /// read, if there is one; the books are of no use then.
    pub(super) fn replay(
        &mut self,
        common: Common<'_>,
        crew: &dyn Crew,
        own: &mut dyn FnMut(),
    ) -> Option<(Entry, RecordError)> {
        let Books { shards, directory, .. } = &mut *self.books;
        let (switch, directory, last) = (&mut *self.switch, &*directory, shards.len());
        let has_records = |number: &usize| !common.read.chunk.part(*number).is_empty();
        let mut work: Vec<Work<'_>> = Vec::with_capacity(last + 1);
        if has_records(&last) {
            work.push(Box::new(move || switch.replay(last, common)));
        }
        for (number, (shard, part)) in shards.iter_mut().zip(&mut self.parts).enumerate() {
            if has_records(&number) {
                work.push(Box::new(move || part.replay(number, shard, directory, common)));
            }
        }
        crew.share(own, work);
        let unreadable = self.parts.iter().filter_map(|part| part.unreadable).chain(self.switch.unreadable);
        unreadable.min_by_key(|(entry, _)| common.read.chunk.sequence(*entry))
    }

    /// Moves what has left memory to `into`, in the order of the records.
    pub(super) fn departed(&mut self, into: &mut Vec<Departed>) {
        self.parts.iter_mut().for_each(|part| into.append(&mut part.departed));
        into.sort_by_key(|departed| departed.by);
    }

    /// How many records were applied to shards, and the first that did not fit.
    pub(super) fn end(self) -> (u64, Option<Misfit>) {
        let misfit = self.parts.iter().filter_map(|part| part.misfit).min_by_key(|misfit| misfit.sequence);
        (self.parts.iter().map(|part| part.applied).sum(), misfit)
    }
}
