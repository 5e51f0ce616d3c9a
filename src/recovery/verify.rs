//! Whether snapshots and journal tell the same story: the books are built from the oldest there is, and compared with
//! every later snapshot at each of its cuts, slot by slot.

use crate::domain::event::Sequence;
use crate::domain::party::SLOTS;
use crate::domain::seal::SnapshotKeys;
use crate::journal::recover::Opener;
use crate::journal::segment;
use crate::journal::snapshot;
use crate::journal::snapshot::SnapshotError;
use crate::journal::snapshot::Tail;
use crate::journal::storage::Storage;
use crate::ledger::books::Books;
use crate::ledger::books::Layout;

use super::RebuildError;
use super::Rebuilt;
use super::Replay;
use super::Settings;

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

/// Reads everything and compares. Only the room of `settings` and the seed are used: a slot is a shard here.
///
/// # Errors
/// The journal is damaged or foreign, a snapshot is foreign, or something does not fit.
pub fn verify<S: Storage>(
    storage: &S,
    opener: Opener<'_>,
    keys: &dyn SnapshotKeys,
    settings: Settings,
) -> Result<Verified, RebuildError> {
    let settings = Settings { layout: Layout::new(SLOTS), ..settings };
    let (mut damaged, mut snapshots) = (Vec::new(), Vec::new());
    for number in snapshot::list(storage).map_err(SnapshotError::from)? {
        match Replay::from_snapshot(storage, number, keys, settings) {
            Ok(replay) => snapshots.push(replay),
            Err(error) if error.is_damage() => damaged.push(error),
            Err(error) => return Err(error.into()),
        }
    }
    let first = segment::survey(storage)?.first().map(|first| first.header.first);
    let whole = first.is_none_or(|first| first == Sequence(1));
    let (mut base, tail) = if whole || snapshots.is_empty() {
        (Replay::from_nothing(settings), Tail::default())
    } else {
        snapshots.remove(0)
    };
    let mut comparisons: Vec<Comparison> = snapshots.into_iter().map(Comparison::new).collect();
    base.journal(storage, opener, tail, &mut |books, sequence| {
        comparisons.iter_mut().for_each(|comparison| comparison.before(books, sequence));
    })?;
    let rebuilt = base.end()?;
    let compared = comparisons.into_iter().map(|comparison| comparison.end(&rebuilt.books)).collect();
    Ok(Verified { rebuilt, compared, damaged })
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
