//! What has left memory, joined with the pipeline: the history behind a lock, fed with what the shards let go of.
//!
//! ```text
//! shard: departures, bounded --- feed ---> history in memory --- flush, once durable ---> runs on disk
//!                                              ^                                            ^
//!                                              +------------- look-ups (recall) ------------+
//! ```
//! Workers never come here. The history's lock is taken before any shard's, so that what a look-up finds cannot leave
//! memory again behind its back. Nothing is written of a record that is not durable: a crash could undo it.
//!
//! Where what left a shard was not fetched in time, or the history cannot be read or written, it is behind for good:
//! it is not asked any more, since what it has may be older than what was lost, and a start feeds it again.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parking_lot::Condvar;
use parking_lot::MappedMutexGuard;
use parking_lot::Mutex;
use parking_lot::MutexGuard;

use crate::domain::card::CardRef;
use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;
use crate::history::entry::Day;
use crate::history::entry::Entry;
use crate::history::error::Full;
use crate::history::error::HistoryError;
use crate::history::index::Facts;
use crate::history::index::History;
use crate::history::index::Merged;
use crate::history::search::Limit;
use crate::history::search::Search;
use crate::journal::storage::Storage;
use crate::ledger::departed::Departed;

use super::core::Pipeline;

/// Most entries and blocks of one look-up by one key: a card with more that are alike is not looked through.
pub const LOOK_UP: Limit = Limit { entries: 32, blocks: 64 };
/// Most that is fetched and has no room in the history yet; what comes then stays with the shards.
const FETCHED_MAX: usize = 65_536;
/// How often a durable record that is waited for is looked at.
const DURABLE_POLL: Duration = Duration::from_micros(200);

/// How it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum Standing {
    /// It is fed and asked.
    #[default]
    Works = 0,
    /// Something that left memory was not fetched in time: the next start feeds it again.
    Behind = 1,
    /// It could not be read or written.
    Failed = 2,
}

impl Standing {
    /// Its name in logs and answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Works => "works",
            Self::Behind => "behind",
            Self::Failed => "failed",
        }
    }
}

/// Why nothing was found out.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Unknown {
    /// It does not work, and has not before.
    #[error("the history does not work")]
    NotWorking,
    /// It has just failed.
    #[error(transparent)]
    Failed(#[from] HistoryError),
    /// What left memory has no room until a flush, for which the journal is too slow.
    #[error(transparent)]
    Full(#[from] Full),
}

/// The history of a daemon.
pub struct Past<S: Storage> {
    /// `None` once it was closed.
    inner: Mutex<Option<Inner<S>>>,
    /// Nobody wakes it.
    pause: (Mutex<()>, Condvar),
    standing: AtomicU8,
    contained_to: AtomicU64,
}

struct Inner<S: Storage> {
    history: History<S>,
    /// Fetched, and not yet in the history.
    fetched: Vec<Departed>,
    /// The last record that is not older than anything in the history.
    newest: Sequence,
    /// Everything that left up to this record was fetched.
    fetched_to: Sequence,
    /// The latest time of a record at which something left.
    time: Timestamp,
}

/// What a look-up is done with, whatever the disk is.
pub(super) trait Memory: Send + Sync {
    /// Finds the entries of a card that are like one of these, each once, oldest first, and hands them to `then` while
    /// nothing else can be brought back.
    fn look(
        &self,
        pipeline: &Pipeline,
        card: CardRef,
        searches: &[Search],
        then: &mut dyn FnMut(Vec<Entry>),
    ) -> Result<(), Unknown>;

    fn works(&self) -> bool;
}

impl<S: Storage> Past<S> {
    /// Of a history that has everything that left memory before the pipeline began.
    #[must_use]
    pub fn new(history: History<S>) -> Self {
        let contained_to = history.facts().contained_to;
        let inner = Inner {
            history,
            fetched: Vec::new(),
            newest: contained_to,
            fetched_to: contained_to,
            time: Timestamp::default(),
        };
        Self {
            inner: Mutex::new(Some(inner)),
            pause: Default::default(),
            standing: AtomicU8::new(Standing::Works as u8),
            contained_to: AtomicU64::new(contained_to.0),
        }
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match self.standing.load(Ordering::Acquire) {
            0 => Standing::Works,
            1 => Standing::Behind,
            _ => Standing::Failed,
        }
    }

    fn is_now(&self, standing: Standing) {
        self.standing.fetch_max(standing as u8, Ordering::AcqRel);
    }

    /// Everything that left memory up to this record is on disk.
    #[must_use]
    pub fn contained_to(&self) -> Sequence {
        Sequence(self.contained_to.load(Ordering::Acquire))
    }

    /// What there is. Waits while something else is done with it.
    #[must_use]
    pub fn facts(&self) -> Facts {
        self.inner.lock().as_ref().map_or_else(Facts::default, |inner| inner.history.facts())
    }

    /// Ends it, with what was flushed.
    pub fn close(&self) {
        drop(self.inner.lock().take());
    }

    /// Takes over what has left memory. Returns whether so much has gathered that it should be flushed.
    ///
    /// # Errors
    /// The history does not work, or has failed now.
    pub fn feed(&self, pipeline: &Pipeline) -> Result<bool, Unknown> {
        let mut inner = self.working()?;
        self.take(&mut inner, pipeline)?;
        Ok(inner.history.is_half_full())
    }

    /// Takes over what has left memory and makes it durable, once its records are. Returns up to which record
    /// everything is contained now; that is as before when the journal takes longer than `patience`.
    ///
    /// # Errors
    /// The history does not work, or has failed now.
    pub fn flush(&self, pipeline: &Pipeline, patience: Duration) -> Result<Sequence, Unknown> {
        let mut inner = self.working()?;
        self.take(&mut inner, pipeline)?;
        self.flush_inner(&mut inner, pipeline, patience)?;
        Ok(self.contained_to())
    }

    /// Merges runs until about so many bytes were read and written.
    ///
    /// # Errors
    /// The history does not work, or has failed now.
    pub fn merge(&self, budget: u64) -> Result<Merged, Unknown> {
        let mut inner = self.working()?;
        let merged = inner.history.merge_step(budget);
        self.written(merged)
    }

    /// Lets go of what left memory more than so many days ago by the journal's time, and of the oldest days while more
    /// than `bytes_max` are on disk. The newest day stays. Returns how many days went for want of room.
    ///
    /// # Errors
    /// The history does not work, or has failed now.
    pub fn let_go(&self, match_days: u32, bytes_max: u64) -> Result<u32, Unknown> {
        let mut inner = self.working()?;
        let today = Day::of(inner.time);
        let mut first = Day(today.0.saturating_sub(match_days));
        let mut early = 0;
        loop {
            let dropped = inner.history.drop_older_than(first);
            self.written(dropped)?;
            let facts = inner.history.facts();
            match facts.oldest_day {
                Some(oldest) if facts.bytes_on_disk > bytes_max && oldest < today => {
                    first = Day(oldest.0 + 1);
                    early += 1;
                }
                _ => return Ok(early),
            }
        }
    }

    /// Runs something with the history, which waits until nothing else is done with it.
    ///
    /// # Errors
    /// The history does not work, or has failed now.
    pub fn read<T>(&self, read: impl FnOnce(&History<S>) -> Result<T, HistoryError>) -> Result<T, Unknown> {
        let inner = self.working()?;
        let found = read(&inner.history);
        self.found(found)
    }

    fn working(&self) -> Result<MappedMutexGuard<'_, Inner<S>>, Unknown> {
        let inner = self.inner.lock();
        if self.standing() != Standing::Works {
            return Err(Unknown::NotWorking);
        }
        MutexGuard::try_map(inner, Option::as_mut).map_err(|_| Unknown::NotWorking)
    }

    /// What could not be read may never be: it is not asked again before a start.
    fn found<T>(&self, result: Result<T, HistoryError>) -> Result<T, Unknown> {
        result.map_err(|error| {
            self.is_now(Standing::Failed);
            error.into()
        })
    }

    /// What the disk did not take can be written again; nothing was changed.
    fn written<T>(&self, result: Result<T, HistoryError>) -> Result<T, Unknown> {
        match result {
            Err(error @ HistoryError::Storage(_)) => Err(error.into()),
            result => self.found(result),
        }
    }

    /// Fetches what has left all shards, and puts into the history what it has room for.
    fn take(&self, inner: &mut Inner<S>, pipeline: &Pipeline) -> Result<(), Unknown> {
        if inner.fetched.len() < FETCHED_MAX {
            // What was appended by now is applied once its shard's lock can be had.
            let fetched_to = pipeline.appended();
            if pipeline.fetch_departed(&mut inner.fetched).is_some() {
                self.is_now(Standing::Behind);
                return Err(Unknown::NotWorking);
            }
            inner.fetched_to = fetched_to;
        }
        self.put(inner, pipeline)
    }

    /// The same for the shard of one card. What has left others stays there.
    fn take_of(&self, inner: &mut Inner<S>, pipeline: &Pipeline, card: CardRef) -> Result<(), Unknown> {
        if inner.fetched.len() >= FETCHED_MAX {
            self.put(inner, pipeline)?;
        }
        if pipeline.fetch_departed_of(card, &mut inner.fetched).is_some() {
            self.is_now(Standing::Behind);
            return Err(Unknown::NotWorking);
        }
        self.put(inner, pipeline)
    }

    fn put(&self, inner: &mut Inner<S>, pipeline: &Pipeline) -> Result<(), Unknown> {
        while inner.put().is_err() {
            let before = self.contained_to();
            self.flush_inner(inner, pipeline, Duration::from_millis(100))?;
            if self.contained_to() == before {
                // The journal is slow; shards have room for what leaves meanwhile.
                return Err(Full.into());
            }
        }
        Ok(())
    }

    fn flush_inner(
        &self,
        inner: &mut Inner<S>,
        pipeline: &Pipeline,
        patience: Duration,
    ) -> Result<(), Unknown> {
        let mut left = patience;
        while pipeline.durable() < inner.newest {
            if left.is_zero() || pipeline.has_failed() {
                return Ok(());
            }
            pipeline.wake_writer();
            let (lock, pause) = &self.pause;
            pause.wait_for(&mut lock.lock(), DURABLE_POLL);
            left = left.saturating_sub(DURABLE_POLL);
        }
        // What was fetched and is not in the history yet is not contained.
        let not_in = inner.fetched.iter().map(|departed| departed.by.0).min();
        let all_in = not_in.map_or(inner.fetched_to.0, |first| first.saturating_sub(1));
        let contained_to = Sequence(all_in.min(pipeline.durable().0));
        let flushed = inner.history.flush(contained_to);
        self.written(flushed)?;
        self.contained_to.store(inner.history.facts().contained_to.0, Ordering::Release);
        Ok(())
    }
}

impl<S: Storage> Inner<S> {
    /// Puts what was fetched into the history, as long as there is room.
    fn put(&mut self) -> Result<(), Full> {
        let mut done = 0;
        let mut result = Ok(());
        for departed in &self.fetched {
            result = give(&mut self.history, departed);
            if result.is_err() {
                break;
            }
            self.newest = self.newest.max(departed.by);
            self.time = self.time.max(departed.time);
            done += 1;
        }
        self.fetched.drain(..done);
        result
    }
}

/// Gives the history something that has left memory.
///
/// # Errors
/// There is no room until the next flush.
pub fn give<S: Storage>(history: &mut History<S>, departed: &Departed) -> Result<(), Full> {
    let entry = Entry::new(departed.card, departed.by, &departed.authorization, departed.counted);
    let day = Day::of(departed.time);
    if departed.authorization.is_recalled() {
        history.replace(day, &entry)
    } else {
        history.insert(day, &entry)
    }
}

impl<S> Past<S>
where
    S: Storage + Send + Sync + 'static,
    S::File: Send + Sync,
{
    /// From here on the pipeline asks it. The first one that is joined stays.
    pub fn join(past: &Arc<Self>, pipeline: &Pipeline) {
        pipeline.remember(Arc::clone(past) as Arc<dyn Memory>);
    }
}

impl<S> Memory for Past<S>
where
    S: Storage + Send + Sync + 'static,
    S::File: Send + Sync,
{
    fn look(
        &self,
        pipeline: &Pipeline,
        card: CardRef,
        searches: &[Search],
        then: &mut dyn FnMut(Vec<Entry>),
    ) -> Result<(), Unknown> {
        let mut inner = self.working()?;
        self.take_of(&mut inner, pipeline, card)?;
        let mut entries: Vec<Entry> = Vec::new();
        for search in searches {
            let found = inner.history.find(card, search, LOOK_UP);
            let found = self.found(found)?.entries;
            let known = |entry: &Entry, entries: &[Entry]| {
                entries.iter().any(|known| known.authorization.sequence == entry.authorization.sequence)
            };
            for entry in found {
                if !known(&entry, &entries) {
                    entries.push(entry);
                }
            }
        }
        entries.sort_by_key(|entry| entry.authorization.sequence);
        then(entries);
        Ok(())
    }

    fn works(&self) -> bool {
        self.standing() == Standing::Works
    }
}
