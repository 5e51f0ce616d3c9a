//! From disk to the books: the newest snapshot that is whole, then every record after it through the same `apply` as
//! when it happened.

pub mod crew;
pub mod one_slot;
pub mod verify;

mod parts;

use std::collections::BTreeMap;

use crate::domain::event::Bounds;
use crate::domain::event::Configured;
use crate::domain::event::Event;
use crate::domain::event::Seeded;
use crate::domain::event::Sequence;
use crate::domain::party::SLOTS;
use crate::domain::seal::SnapshotKeys;
use crate::domain::time::Timestamp;
use crate::journal::chunk::CHUNK_BYTES;
use crate::journal::chunk::Chunks;
use crate::journal::recover::Opener;
use crate::journal::recover::RecoverError;
use crate::journal::recover::Recovered;
use crate::journal::recover::recover;
use crate::journal::segment;
use crate::journal::snapshot;
use crate::journal::snapshot::Head;
use crate::journal::snapshot::Part;
use crate::journal::snapshot::SnapshotError;
use crate::journal::snapshot::Tail;
use crate::journal::storage::Storage;
use crate::ledger::books::AHEAD;
use crate::ledger::books::Books;
use crate::ledger::books::Layout;
use crate::ledger::books::Misfit;
use crate::ledger::departed::Departed;
use crate::ledger::restore::ImageError;
use crate::ledger::restore::Restoring;
use crate::ledger::shard::Capacity;
use crate::switch::image;
use crate::switch::trunk;
use crate::switch::trunk::Trunk;

use self::crew::Crew;
use self::parts::Common;
use self::parts::Parts;
use self::parts::Sorting;
use self::parts::Switch;

/// What the switch keeps of each link, by its number in records.
pub type Trunks = BTreeMap<u32, Trunk>;

/// What the books are built with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How slots are divided.
    pub layout: Layout,
    /// Room in all.
    pub capacity: Capacity,
    /// Keys the hash tables. Snapshots are read under the seed that they were made under.
    pub seed: u64,
}

/// The books as the disk tells them.
#[derive(Debug)]
pub struct Rebuilt {
    /// The books.
    pub books: Books,
    /// What the switch keeps of each link, by its number in records.
    pub trunks: Trunks,
    /// Where the journal ends.
    pub recovered: Recovered,
    /// The last word about a seed file.
    pub seeded: Option<Seeded>,
    /// The configuration of the last start.
    pub configured: Option<Configured>,
    /// The snapshot that they began with.
    pub snapshot: Option<(u64, Tail)>,
    /// How many records were applied; those that the snapshot had were not.
    pub applied: u64,
    /// Snapshots that are damaged, so that they could not be used.
    pub damaged: Vec<SnapshotError>,
    /// Everything that left memory after this record was told.
    pub told_after: Sequence,
}

/// Who is told what leaves memory while the books are rebuilt.
pub struct Listener<'l> {
    /// What left up to this record is known already. The books begin with a snapshot that is not newer, if they can.
    pub known_to: Sequence,
    /// Is told of each, in the order of the records.
    pub left: &'l mut dyn FnMut(&Departed),
}

/// Why the books cannot be rebuilt.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RebuildError {
    /// The journal cannot be trusted.
    #[error(transparent)]
    Journal(#[from] RecoverError),
    /// A record does not fit the books; most often a table is smaller than when it was written.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// A snapshot cannot be used.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
}

/// Reads the journal from its start and applies every record, side by side on as many threads as `crew` has; snapshots
/// are not looked at.
///
/// # Errors
/// The journal is damaged or foreign, or a record does not fit. Nothing on disk was changed.
pub fn rebuild<S: Storage>(
    storage: &S,
    opener: Opener<'_>,
    settings: Settings,
    crew: &dyn Crew,
) -> Result<Rebuilt, RebuildError> {
    let Settings { layout, capacity, seed } = settings;
    let mut replay = Replay::new(Books::new(layout, capacity, Bounds::default(), seed));
    replay.journal(storage, opener, Tail::default(), None, crew)?;
    replay.end()
}

/// Builds the books from the newest snapshot that is whole and the records after it, or from the whole journal where
/// there is no snapshot.
///
/// # Errors
/// The journal or a snapshot is foreign, or something does not fit. A damaged snapshot is passed over as long as an
/// older one, or the whole journal, is there. Nothing on disk was changed.
pub fn restore<S: Storage>(
    storage: &S,
    opener: Opener<'_>,
    keys: &dyn SnapshotKeys,
    settings: Settings,
    crew: &dyn Crew,
) -> Result<Rebuilt, RebuildError> {
    restore_telling(storage, opener, keys, settings, None, crew)
}

/// As [`restore`], with somebody who wants to know what leaves memory. Where the journal is whole, or has a snapshot
/// that is old enough, that one misses nothing; otherwise the oldest snapshot is begun with, and what left before it is
/// not told. [`Rebuilt::told_after`] says so.
///
/// # Errors
/// As [`restore`]'s.
pub fn restore_telling<S: Storage>(
    storage: &S,
    opener: Opener<'_>,
    keys: &dyn SnapshotKeys,
    settings: Settings,
    mut listener: Option<Listener<'_>>,
    crew: &dyn Crew,
) -> Result<Rebuilt, RebuildError> {
    let (bases, mut damaged) = bases(storage, keys, listener.as_ref().map(|listener| listener.known_to))?;
    let books = |bounds| Books::new(settings.layout, settings.capacity, bounds, settings.seed);
    for (at, base) in bases.iter().enumerate() {
        let (mut replay, tail) = match base {
            Base::WholeJournal => (Replay::new(books(Bounds::default())), Tail::default()),
            Base::Snapshot(number) => match Replay::from_snapshot(storage, *number, keys, books) {
                Ok(begun) => begun,
                Err(error) if error.is_damage() => {
                    damaged.push(error);
                    continue;
                }
                Err(error) => return Err(error.into()),
            },
        };
        let is_last = at + 1 == bases.len();
        match (replay.journal(storage, opener, tail, listener.as_mut(), crew), damaged.first()) {
            (Ok(()), _) => return Ok(Rebuilt { damaged, ..replay.end()? }),
            // What the journal lacks was in the snapshots, so their damage is what is to be mended.
            (Err(RebuildError::Journal(RecoverError::StartMissing { .. })), Some(error)) if is_last => {
                return Err(error.clone().into());
            }
            // Only whoever listens needs so old a part of the journal; the books may do without.
            (Err(_), _) if listener.is_some() && !is_last => {}
            (Err(error), _) => return Err(error),
        }
    }
    rebuild(storage, opener, settings, crew)
}

/// What the books can begin with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Base {
    Snapshot(u64),
    WholeJournal,
}

/// What to begin with, the best first; and the snapshots of which that much shows that they are damaged.
fn bases<S: Storage>(
    storage: &S,
    keys: &dyn SnapshotKeys,
    known_to: Option<Sequence>,
) -> Result<(Vec<Base>, Vec<SnapshotError>), RebuildError> {
    let numbers = snapshot::list(storage).map_err(SnapshotError::from)?;
    let newest_first = numbers.iter().rev().map(|number| Base::Snapshot(*number));
    let Some(known_to) = known_to else {
        return Ok((newest_first.chain([Base::WholeJournal]).collect(), Vec::new()));
    };
    let (mut old_enough, mut too_new, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
    for number in numbers.iter().rev() {
        match snapshot::read_tail(storage, *number, keys) {
            Ok(tail) if tail.last <= known_to => old_enough.push(Base::Snapshot(*number)),
            Ok(_) => too_new.push(Base::Snapshot(*number)),
            Err(error) if error.is_damage() => damaged.push(error),
            Err(error) => return Err(error.into()),
        }
    }
    let begins = segment::list(storage).map_err(RecoverError::from)?;
    let first = begins.first().map(|number| segment::header(storage, *number)).transpose()?.flatten();
    let is_whole = first.is_none_or(|header| header.first == Sequence(1));
    let mut bases = old_enough;
    let too_new = too_new.into_iter().rev();
    if is_whole {
        bases.push(Base::WholeJournal);
        bases.extend(too_new);
    } else {
        bases.extend(too_new);
        bases.push(Base::WholeJournal);
    }
    Ok((bases, damaged))
}

/// What has been read so far.
pub struct Replay {
    books: Books,
    switch: Switch,
    /// By slot: records up to here are in the books already.
    stamps: Box<[Sequence]>,
    recovered: Recovered,
    snapshot: Option<(u64, Tail)>,
    /// Records that were applied to shards.
    applied: u64,
    misfit: Option<Misfit>,
    /// What left memory and was not told yet.
    departed: Vec<Departed>,
}

impl Replay {
    /// Begins with these books, which are empty.
    #[must_use]
    pub fn new(books: Books) -> Self {
        Self {
            books,
            switch: Switch::default(),
            stamps: vec![Sequence(0); usize::from(SLOTS)].into_boxed_slice(),
            recovered: Recovered::default(),
            snapshot: None,
            applied: 0,
            misfit: None,
            departed: Vec::new(),
        }
    }

    /// Begins with the books of one snapshot. `books` makes empty ones under the bounds that it was made under.
    ///
    /// # Errors
    /// It is damaged, of another key or journal, or does not fit.
    pub fn from_snapshot<S: Storage>(
        storage: &S,
        number: u64,
        keys: &dyn SnapshotKeys,
        books: impl FnOnce(Bounds) -> Books,
    ) -> Result<(Self, Tail), SnapshotError> {
        let head = snapshot::read_head(storage, number, keys)?;
        let Head { configured, seeded, .. } = head;
        let mut restoring = Restoring::new(books(configured.bounds));
        let mut stamps = vec![Sequence(0); usize::from(SLOTS)].into_boxed_slice();
        let mut wallets = 0;
        let mut switch = Switch::begun(seeded, configured);
        let unfit = |cause: ImageError| cause.to_string();
        let (_, tail) = snapshot::read(storage, number, keys, &mut |part, cut, body| {
            match part {
                Part::Shard => {
                    for slot in restoring.shard_part(body, cut).map_err(unfit)? {
                        stamps[usize::from(slot.number())] = cut;
                    }
                }
                Part::Wallets => wallets += restoring.wallets(body).map_err(unfit)?,
                Part::Trunk => {
                    let mut trunk = Trunk::new(trunk::Bounds::default());
                    let name = image::take(body, &mut trunk).map_err(|error| error.to_string())?;
                    switch.trunks.insert(name.0, trunk);
                    switch.stamps.insert(name.0, cut);
                }
                Part::TrunkMore => {
                    let more = image::take_more(body, |name| switch.trunks.get_mut(&name.0));
                    more.map_err(|error| error.to_string())?;
                }
                Part::End => {}
            }
            Ok(())
        })?;
        let unfit = |cause: String| SnapshotError::Unfit { file: snapshot::name(number), cause };
        if wallets != tail.wallets || stamps.contains(&Sequence(0)) {
            return Err(unfit("it does not hold all wallets and slots that it should".to_owned()));
        }
        is_of_this_journal(storage, number, &tail)?;
        switch.trunks.values_mut().for_each(Trunk::restored);
        let books = restoring.finish().map_err(|error| unfit(error.to_string()))?;
        Ok((Self { switch, stamps, snapshot: Some((number, tail)), ..Self::new(books) }, tail))
    }

    /// Reads the journal's records that `tail` does not cover and applies them, those of different shards side by side
    /// and while the next ones are read. `listener` is told what leaves memory.
    ///
    /// # Errors
    /// The journal is damaged, foreign, or does not reach as far as the snapshot.
    pub fn journal<S: Storage>(
        &mut self,
        storage: &S,
        opener: Opener<'_>,
        tail: Tail,
        mut listener: Option<&mut Listener<'_>>,
        crew: &dyn Crew,
    ) -> Result<(), RebuildError> {
        if listener.is_some() {
            self.books.note_departures(usize::MAX, 0);
        }
        let Self { books, switch, stamps, departed, .. } = self;
        let mut chunks = Chunks::begin(storage, opener, tail.covered, CHUNK_BYTES)?;
        let mut sorting = Sorting::new(books, stamps);
        let mut parts = Parts::of(books, switch);
        let (mut read, mut next) = (sorting.room(), sorting.room());
        sorting.next(&mut chunks, &mut read);
        loop {
            let known_to = listener.as_ref().map_or(Sequence(0), |listener| listener.known_to);
            let common = Common { read: &read, seal: opener.seal, stamps, known_to };
            let unreadable = parts.replay(common, crew, &mut || {
                tell(departed, listener.as_deref_mut());
                if !read.chunk.is_last() {
                    sorting.next(&mut chunks, &mut next);
                }
            });
            if let Some((entry, error)) = unreadable {
                return Err(read.chunk.unreadable(entry, error).into());
            }
            if let Some(failure) = read.chunk.take_failure() {
                return Err(failure.into());
            }
            parts.departed(departed);
            if read.chunk.is_last() {
                break;
            }
            std::mem::swap(&mut read, &mut next);
        }
        tell(departed, listener);
        (self.applied, self.misfit) = parts.end();
        self.ends(chunks.end(), tail)
    }

    /// As [`Replay::journal`], one record after the other; `before` sees the books before each.
    ///
    /// # Errors
    /// As [`Replay::journal`]'s.
    pub fn journal_in_order<S: Storage>(
        &mut self,
        storage: &S,
        opener: Opener<'_>,
        tail: Tail,
        before: &mut dyn FnMut(&Books, Sequence),
        mut listener: Option<&mut Listener<'_>>,
    ) -> Result<(), RebuildError> {
        if listener.is_some() {
            self.books.note_departures(usize::MAX, 0);
        }
        let mut read: Vec<(Sequence, Timestamp, Event)> = Vec::with_capacity(AHEAD);
        let recovered = recover(storage, opener, tail.covered, |sequence, time, event| {
            read.push((sequence, time, event));
            if read.len() == AHEAD {
                self.records(&mut read, before);
                tell(&mut self.departed, listener.as_deref_mut());
            }
        })?;
        self.records(&mut read, before);
        tell(&mut self.departed, listener);
        self.ends(recovered, tail)
    }

    fn ends(&mut self, recovered: Recovered, tail: Tail) -> Result<(), RebuildError> {
        self.books.note_departures(0, 0);
        if recovered.last < tail.last {
            return Err(RecoverError::EndMissing { last: recovered.last, covered: tail.last }.into());
        }
        self.recovered = recovered;
        Ok(())
    }

    /// Applies records that were read, with their memory asked for ahead.
    fn records(
        &mut self,
        read: &mut Vec<(Sequence, Timestamp, Event)>,
        before: &mut dyn FnMut(&Books, Sequence),
    ) {
        self.books.look_ahead(read.iter().map(|(_, _, event)| event));
        for (sequence, time, event) in read.drain(..) {
            if self.misfit.is_none() {
                before(&self.books, sequence);
                self.record(sequence, time, &event);
            }
        }
    }

    fn record(&mut self, sequence: Sequence, time: Timestamp, event: &Event) {
        if self.switch.record(sequence, time, event) {
            return;
        }
        // What touches every slot happens at a start, never while a snapshot is made: all slots have it, or none.
        let stamps = &self.stamps;
        let Some(due) = event.within(|slot| sequence > stamps[usize::from(slot.number())]) else { return };
        self.applied += 1;
        self.misfit = self.books.apply(sequence, time, &due).err();
        let slot = event.slot().unwrap_or_default();
        let shard = &mut self.books.shards[self.books.layout.shard_of(slot)];
        if !shard.departed().is_empty() {
            let _nothing_missing = shard.fetch_departed(&mut self.departed);
        }
    }

    /// What came of it.
    ///
    /// # Errors
    /// A record did not fit.
    pub fn end(self) -> Result<Rebuilt, RebuildError> {
        let Self { books, switch, recovered, snapshot, applied, misfit, .. } = self;
        let Switch { trunks, seeded, configured, applied: of_switch, .. } = switch;
        let applied = applied + of_switch;
        if let Some(misfit) = misfit {
            return Err(misfit.into());
        }
        let told_after = snapshot.map_or(Sequence(0), |(_, tail)| tail.last);
        let damaged = Vec::new();
        Ok(Rebuilt { books, trunks, recovered, seeded, configured, snapshot, applied, damaged, told_after })
    }
}

/// Tells what the last records have let go of.
fn tell(departed: &mut Vec<Departed>, listener: Option<&mut Listener<'_>>) {
    if let Some(listener) = listener {
        let unknown = departed.iter().filter(|departed| departed.by > listener.known_to);
        unknown.for_each(|departed| (listener.left)(departed));
    }
    departed.clear();
}

/// Whether the journal that is here is the one that a snapshot was made beside.
fn is_of_this_journal<S: Storage>(storage: &S, number: u64, tail: &Tail) -> Result<(), SnapshotError> {
    let file = snapshot::name(number);
    let unfit = |error: RecoverError| SnapshotError::Unfit { file: file.clone(), cause: error.to_string() };
    let anchor = tail.anchor;
    match segment::header(storage, anchor.segment).map_err(unfit)? {
        Some(header)
            if (header.epoch, header.first, header.chain) == (anchor.epoch, anchor.first, anchor.chain) =>
        {
            Ok(())
        }
        Some(_) => Err(SnapshotError::OtherJournal { file, segment: anchor.segment }),
        None => Err(SnapshotError::JournalMissing { file, segment: segment::name(anchor.segment) }),
    }
}
