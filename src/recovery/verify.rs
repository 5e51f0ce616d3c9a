//! Whether snapshots and journal tell the same story: the books are built from the oldest there is, and compared with
//! every later snapshot at each of its cuts, slot by slot.

use crate::domain::event::Bounds;
use crate::domain::event::Sequence;
use crate::domain::seal::SnapshotKeys;
use crate::journal::recover::Opener;
use crate::journal::recover::recover;
use crate::journal::segment;
use crate::journal::snapshot;
use crate::journal::snapshot::Part;
use crate::journal::snapshot::SnapshotError;
use crate::journal::snapshot::Tail;
use crate::journal::storage::Storage;
use crate::ledger::books::Books;
use crate::ledger::room::Needs;

use super::Listener;
use super::RebuildError;
use super::Rebuilt;
use super::Replay;
use super::is_of_this_journal;

/// What was found.
#[derive(Debug)]
pub struct Verified {
    /// The books of the oldest beginning that there is, with every record after it.
    pub rebuilt: Rebuilt,
    /// Snapshots that were compared: their numbers, what they cover, and the first slot that differs, if one does.
    pub compared: Vec<(u64, Tail, Option<u16>)>,
    /// Snapshots that are damaged.
    pub damaged: Vec<SnapshotError>,
}

/// Reads everything twice, to count what there is and to compare it. Only what is there bounds the room for it: a slot
/// is a shard here, and each has room for its own. `seed` is what snapshots were made under. A listener is told what
/// left memory, as far back as there is anything to begin with.
///
/// # Errors
/// The journal is damaged or foreign, a snapshot is foreign, or something does not fit.
pub fn verify<S: Storage>(
    storage: &S,
    opener: Opener<'_>,
    keys: &dyn SnapshotKeys,
    seed: u64,
    listener: Option<&mut Listener<'_>>,
) -> Result<Verified, RebuildError> {
    let first = segment::survey(storage)?.first().map(|first| first.header.first);
    let mut base = None;
    if first.is_none_or(|first| first == Sequence(1)) {
        base = Some(from_nothing(storage, opener, seed)?);
    }
    let (mut damaged, mut comparisons) = (Vec::new(), Vec::new());
    for number in snapshot::list(storage).map_err(SnapshotError::from)? {
        // Where the journal's beginning is gone, the oldest snapshot stands for it.
        let later = base.is_none().then_some(opener);
        match from_snapshot(storage, number, keys, later, seed) {
            Ok(begun) if base.is_none() => base = Some(begun),
            Ok(begun) => comparisons.push(Comparison::new(begun)),
            Err(RebuildError::Snapshot(error)) if error.is_damage() => damaged.push(error),
            Err(error) => return Err(error),
        }
    }
    let (mut base, tail) = match base {
        Some(base) => base,
        None => from_nothing(storage, opener, seed)?,
    };
    let mut compare = |books: &Books, sequence| {
        comparisons.iter_mut().for_each(|comparison: &mut Comparison| comparison.before(books, sequence));
    };
    base.journal_in_order(storage, opener, tail, &mut compare, listener)?;
    let rebuilt = base.end()?;
    let compared = comparisons.into_iter().map(|comparison| comparison.end(&rebuilt.books)).collect();
    Ok(Verified { rebuilt, compared, damaged })
}

/// Empty books with room for the whole journal.
fn from_nothing<S: Storage>(
    storage: &S,
    opener: Opener<'_>,
    seed: u64,
) -> Result<(Replay, Tail), RebuildError> {
    let mut needs = Needs::default();
    recover(storage, opener, Sequence(0), |_, _, event| needs.count(&event))?;
    Ok((Replay::new(Books::by_slot(&needs, Bounds::default(), seed)), Tail::default()))
}

/// The books of a snapshot, with room for it and, given what opens them, for the records after it.
fn from_snapshot<S: Storage>(
    storage: &S,
    number: u64,
    keys: &dyn SnapshotKeys,
    later: Option<Opener<'_>>,
    seed: u64,
) -> Result<(Replay, Tail), RebuildError> {
    let mut needs = Needs::default();
    let (_, tail) = snapshot::read(storage, number, keys, &mut |part, _, body| match part {
        Part::Wallets => needs.count_wallets(body).map_err(|cause| cause.to_string()),
        Part::Shard => needs.count_rules(body).map_err(|cause| cause.to_string()),
        Part::End | Part::Trunk | Part::TrunkMore => Ok(()),
    })?;
    is_of_this_journal(storage, number, &tail)?;
    if let Some(opener) = later {
        recover(storage, opener, tail.covered, |_, _, event| needs.count(&event))?;
    }
    Ok(Replay::from_snapshot(storage, number, keys, |bounds| Books::by_slot(&needs, bounds, seed))?)
}

/// A snapshot whose slots are compared as the replay comes to their cuts.
struct Comparison {
    number: u64,
    tail: Tail,
    books: Books,
    /// Cuts with their slots, the first one last.
    due: Vec<(Sequence, u16)>,
    differs: Option<u16>,
}

impl Comparison {
    fn new((replay, tail): (Replay, Tail)) -> Self {
        let mut due: Vec<(Sequence, u16)> = replay.stamps.iter().copied().zip(0..).collect();
        due.sort_unstable_by(|one, other| other.cmp(one));
        let number = replay.snapshot.map_or(0, |(number, _)| number);
        Self { number, tail, books: replay.books, due, differs: None }
    }

    /// Compares what is complete before this record is applied.
    fn before(&mut self, books: &Books, sequence: Sequence) {
        while let Some((_, slot)) = self.due.pop_if(|(cut, _)| *cut < sequence) {
            self.compare(books, slot);
        }
    }

    fn compare(&mut self, books: &Books, slot: u16) {
        let at = usize::from(slot);
        if books.shards[at].state_hash() != self.books.shards[at].state_hash() {
            self.differs.get_or_insert(slot);
        }
    }

    fn end(mut self, books: &Books) -> (u64, Tail, Option<u16>) {
        while let Some((_, slot)) = self.due.pop() {
            self.compare(books, slot);
        }
        (self.number, self.tail, self.differs)
    }
}
