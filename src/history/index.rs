//! The history: what is in memory, which runs count, and how they change.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::event::Sequence;
use crate::journal::storage::Storage;

use super::buffer::Buffer;
use super::entry::Day;
use super::entry::Entry;
use super::error::Full;
use super::error::HistoryError;
use super::manifest;
use super::manifest::Manifest;
use super::manifest::Named;
use super::manifest::named;
use super::merging::Merging;
use super::merging::choose;
use super::run;
use super::run::Run;
use super::run_writer::RunWriter;

pub use super::run::DIRECTORY;

/// How much is kept in memory before it is flushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Most entries, at about 230 bytes each; one at least.
    pub entries_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { entries_max: 65_536 }
    }
}

/// The history of one data directory. After an error of the disk it is as it was before the call that failed, and the
/// call may be made again.
#[derive(Debug)]
pub struct History<S: Storage> {
    storage: S,
    manifest: Manifest,
    /// The manifest before it that is kept: its number and its runs.
    before: (u64, Vec<u64>),
    pub(super) runs: Vec<Arc<Run<S::File>>>,
    pub(super) authorizations: Buffer,
    merging: Option<Merging<S::File>>,
    next_run: u64,
    next_manifest: u64,
    damaged: Option<HistoryError>,
}

/// What a step of merging did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Merged {
    /// Bytes that were read and written.
    pub bytes: u64,
    /// There is more to merge.
    pub more: bool,
}

/// What there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// Entries on disk; one of which there are several versions in several runs counts as often.
    pub entries: u64,
    /// Entries that are in memory only.
    pub entries_unflushed: usize,
    /// Bytes of the runs that count.
    pub bytes_on_disk: u64,
    /// Bytes of memory for the runs' footers.
    pub bytes_resident: u64,
    /// Runs that count.
    pub runs: usize,
    /// The first day of which there are runs.
    pub oldest_day: Option<Day>,
    /// Earlier days were let go of.
    pub first_day: Day,
    /// Everything up to this record is on disk.
    pub contained_to: Sequence,
}

impl<S: Storage> History<S> {
    /// Opens the history; there may be none yet. What the last manifest does not name is removed. If that manifest is
    /// damaged, the one before it serves: see [`History::damaged`].
    ///
    /// # Errors
    /// The disk failed, or something that counts is missing or damaged. Nothing was changed then.
    pub fn open(storage: S, settings: Settings) -> Result<Self, HistoryError> {
        let names = Names::list(&storage)?;
        let (mut damaged, mut read) = (None, Vec::new());
        for number in names.manifests.iter().rev() {
            match Manifest::read(&storage, *number) {
                Ok(manifest) => read.push(manifest),
                Err(error @ HistoryError::Damaged { .. }) if read.is_empty() && damaged.is_none() => {
                    damaged = Some(error);
                }
                // An old one that cannot be read is of no use, and stands in nobody's way.
                Err(_) if !read.is_empty() => {}
                Err(error) => return Err(damaged.unwrap_or(error)),
            }
        }
        let mut read = read.into_iter();
        let Some(manifest) = read.next() else {
            return match (damaged, names.runs.is_empty()) {
                (Some(error), _) => Err(error),
                (None, true) => Self::begin(storage, settings, &names),
                (None, false) => Err(HistoryError::Missing { file: manifest::name(1) }),
            };
        };
        let before = read.next().map_or((0, Vec::new()), |before| (before.number, numbers(&before)));
        let mut runs = Vec::with_capacity(manifest.runs.len());
        for described in &manifest.runs {
            if !names.runs.contains(&described.number) {
                return Err(HistoryError::Missing { file: run::name(described.number) });
            }
            runs.push(Arc::new(Run::open(&storage, *described)?));
        }
        let mut history = Self::with(storage, settings, manifest, &names);
        (history.before, history.runs, history.damaged) = (before, runs, damaged);
        if history.damaged.is_none() {
            history.remove_what_does_not_count();
        }
        Ok(history)
    }

    /// Removes all that there is and begins anew, for the journal to be fed from its oldest record on.
    ///
    /// # Errors
    /// The disk failed. The history cannot be opened then until this was done, or is as it was.
    pub fn rebuild(storage: S, settings: Settings) -> Result<Self, HistoryError> {
        let names = Names::list(&storage)?;
        // Without a manifest no run counts, so the manifests go first.
        for number in names.manifests.iter().rev() {
            storage.remove(&manifest::name(*number))?;
        }
        storage.sync_directory(DIRECTORY)?;
        for number in &names.runs {
            storage.remove(&run::name(*number))?;
        }
        Self::begin(storage, settings, &names)
    }

    /// An empty history, which is durable from here on: runs without a manifest are proof that one was lost.
    fn begin(storage: S, settings: Settings, names: &Names) -> Result<Self, HistoryError> {
        let mut history = Self::with(storage, settings, Manifest::default(), names);
        history.commit(Vec::new(), Sequence(0), Day(0))?;
        Ok(history)
    }

    fn with(storage: S, settings: Settings, manifest: Manifest, names: &Names) -> Self {
        let after = |numbers: &BTreeSet<u64>| numbers.last().map_or(1, |last| last + 1);
        Self {
            storage,
            before: (0, Vec::new()),
            runs: Vec::new(),
            authorizations: Buffer::with_room_for(settings.entries_max.max(1)),
            merging: None,
            next_run: after(&names.runs).max(manifest.next_run),
            next_manifest: after(&names.manifests),
            damaged: None,
            manifest,
        }
    }

    /// Why the newest manifest could not be used, so that the one before it was. [`Facts::contained_to`] is that one's:
    /// if the journal still has every record after it, nothing is lost.
    #[must_use]
    pub const fn damaged(&self) -> Option<&HistoryError> {
        self.damaged.as_ref()
    }

    /// Takes an entry that left memory at the record `entry.version`. `day` is of that record's time: the same entry
    /// then always belongs to the same day, and to take it twice changes nothing. Entries of days that were let go of
    /// are not taken.
    ///
    /// # Errors
    /// There is no room until the next flush.
    pub fn insert(&mut self, day: Day, entry: &Entry) -> Result<(), Full> {
        self.take(day, entry, false)
    }

    /// The same for an entry of which the history may have an earlier version. It hides that one from then on.
    ///
    /// # Errors
    /// There is no room until the next flush.
    pub fn replace(&mut self, day: Day, entry: &Entry) -> Result<(), Full> {
        self.take(day, entry, true)
    }

    fn take(&mut self, day: Day, entry: &Entry, again: bool) -> Result<(), Full> {
        if day < self.manifest.first_day {
            return Ok(());
        }
        self.authorizations.insert(day, entry.row(again))
    }

    /// Makes what is in memory durable. `contained_to`: everything up to this record of the journal was taken; after a
    /// crash the caller feeds what comes after it again.
    ///
    /// # Errors
    /// The disk failed or is full. Memory keeps what it has.
    pub fn flush(&mut self, contained_to: Sequence) -> Result<(), HistoryError> {
        let contained_to = contained_to.max(self.manifest.contained_to);
        let mut runs = self.runs.clone();
        for day in self.authorizations.days().collect::<Vec<Day>>() {
            let number = self.number();
            runs.push(Arc::new(write_run(&self.storage, number, day, &self.authorizations)?));
        }
        if runs.len() > self.runs.len() {
            // Not every file system keeps names in the order in which they were given.
            self.storage.sync_directory(DIRECTORY)?;
        } else if contained_to == self.manifest.contained_to {
            return Ok(());
        }
        self.commit(runs, contained_to, self.manifest.first_day)?;
        self.authorizations.clear();
        Ok(())
    }

    fn number(&mut self) -> u64 {
        self.next_run += 1;
        self.next_run - 1
    }

    /// Merges runs until about `budget` bytes were read and written: a caller that makes a step from time to time holds
    /// merging to a rate. The last step of a merge also waits for a sync.
    ///
    /// # Errors
    /// The disk failed or is full, or a run is damaged: then this fails until the history is built again.
    pub fn merge_step(&mut self, budget: u64) -> Result<Merged, HistoryError> {
        let merging = match self.merging.take() {
            Some(merging) => Some(merging),
            None => {
                let (chosen, number) = (choose(&self.runs), self.next_run);
                self.next_run += u64::from(!chosen.is_empty());
                Merging::begin(&self.storage, number, &chosen)?
            }
        };
        let Some(mut merging) = merging else { return Ok(Merged::default()) };
        match merging.step(budget) {
            Err(error) => {
                self.give_up(&merging);
                Err(error)
            }
            Ok((bytes, false)) => {
                self.merging = Some(merging);
                Ok(Merged { bytes, more: true })
            }
            Ok((bytes, true)) => {
                self.storage.sync_directory(DIRECTORY)?;
                let others = |run: &&Arc<Run<_>>| !merging.inputs.contains(&run.described.number);
                let mut runs: Vec<Arc<Run<S::File>>> = self.runs.iter().filter(others).cloned().collect();
                runs.push(Arc::new(merging.into_run()));
                self.commit(runs, self.manifest.contained_to, self.manifest.first_day)?;
                Ok(Merged { bytes, more: !choose(&self.runs).is_empty() })
            }
        }
    }

    /// No manifest was ever to name the run that was being made.
    fn give_up(&self, merging: &Merging<S::File>) {
        // What is left over is removed after the next change.
        let _ = self.storage.remove(&run::name(merging.output));
    }

    /// Lets go of everything that left memory on earlier days than this one. The files go with the next change after
    /// this one.
    ///
    /// # Errors
    /// The disk failed or is full. Nothing was let go of.
    pub fn drop_older_than(&mut self, day: Day) -> Result<(), HistoryError> {
        if day <= self.manifest.first_day {
            return Ok(());
        }
        let runs = self.runs.iter().filter(|run| run.described.day >= day).cloned().collect();
        if let Some(merging) = self.merging.take_if(|merging| merging.day < day) {
            self.give_up(&merging);
        }
        self.commit(runs, self.manifest.contained_to, day)?;
        self.authorizations.drop_before(day);
        Ok(())
    }

    /// Whether so much is in memory that it should be flushed.
    #[must_use]
    pub fn is_half_full(&self) -> bool {
        self.authorizations.is_half_full()
    }

    /// What there is.
    #[must_use]
    pub fn facts(&self) -> Facts {
        let mut facts = Facts {
            entries_unflushed: self.authorizations.len(),
            runs: self.runs.len(),
            oldest_day: self.runs.iter().map(|run| run.described.day).min(),
            first_day: self.manifest.first_day,
            contained_to: self.manifest.contained_to,
            ..Facts::default()
        };
        for run in &self.runs {
            facts.entries += run.described.rows;
            facts.bytes_on_disk += run.described.bytes;
            facts.bytes_resident += run.resident();
        }
        facts
    }

    /// Makes these the runs that count.
    fn commit(
        &mut self,
        mut runs: Vec<Arc<Run<S::File>>>,
        contained_to: Sequence,
        first_day: Day,
    ) -> Result<(), HistoryError> {
        runs.sort_by_key(|run| (run.described.day, run.described.number));
        // A manifest that failed may be there all the same, so its number is not used again.
        let number = self.next_manifest;
        self.next_manifest += 1;
        let described = runs.iter().map(|run| run.described).collect();
        let manifest = Manifest { number, contained_to, first_day, next_run: self.next_run, runs: described };
        manifest.write(&self.storage)?;
        self.before = (self.manifest.number, numbers(&self.manifest));
        (self.manifest, self.runs) = (manifest, runs);
        self.remove_what_does_not_count();
        Ok(())
    }

    /// Removes what neither of the two last manifests names. What cannot be removed now will be the next time.
    fn remove_what_does_not_count(&self) {
        let Ok(names) = Names::list(&self.storage) else { return };
        let counts: BTreeSet<u64> =
            numbers(&self.manifest).into_iter().chain(self.before.1.clone()).collect();
        for number in &names.manifests {
            if ![self.manifest.number, self.before.0].contains(number) {
                let _ = self.storage.remove(&manifest::name(*number));
            }
        }
        for number in &names.runs {
            let is_made = self.merging.as_ref().is_some_and(|merging| merging.output == *number);
            if !counts.contains(number) && !is_made {
                let _ = self.storage.remove(&run::name(*number));
            }
        }
    }
}

fn numbers(manifest: &Manifest) -> Vec<u64> {
    manifest.runs.iter().map(|run| run.number).collect()
}

/// Writes the rows of one day as a run, which is durable but for its name.
fn write_run<S: Storage>(
    storage: &S,
    number: u64,
    day: Day,
    buffer: &Buffer,
) -> Result<Run<S::File>, HistoryError> {
    let mut writer = RunWriter::create(storage, number, day, buffer.cards_of_day(day))?;
    let mut write = || {
        for row in buffer.of_day(day) {
            writer.push(row)?;
        }
        writer.end(u64::MAX).map(|_| ())
    };
    if let Err(error) = write() {
        // On a full disk the journal needs the room more than a part of a run does.
        let _ = storage.remove(&run::name(number));
        return Err(error.into());
    }
    Ok(writer.into_run())
}

/// The files of the history, by their numbers.
#[derive(Debug, Default)]
struct Names {
    manifests: BTreeSet<u64>,
    runs: BTreeSet<u64>,
}

impl Names {
    fn list<S: Storage>(storage: &S) -> Result<Self, HistoryError> {
        let mut names = Self::default();
        for name in storage.list(DIRECTORY)? {
            match named(&name) {
                Named::Manifest(number) => names.manifests.insert(number),
                Named::Run(number) => names.runs.insert(number),
                Named::Unfinished | Named::Other => false,
            };
        }
        Ok(names)
    }
}
