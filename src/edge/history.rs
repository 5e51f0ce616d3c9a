//! The history in the running daemon: opened and fed at the start, then kept by threads of its own.
//!
//! One thread takes over what has left memory, makes it durable, merges and lets go; another one looks up what messages
//! may be about. Neither is waited for by a thread that serves sockets.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;
use rustix::fs::statvfs;

use crate::config::Config;
use crate::crypto::keys::Keys;
use crate::domain::event::Sequence;
use crate::edge::clock;
use crate::edge::crew::Threads;
use crate::edge::disk::Disk;
use crate::history::error::HistoryError;
use crate::history::index;
use crate::history::index::Facts;
use crate::history::index::History;
use crate::journal::recover::Opener;
use crate::journal::segment;
use crate::ledger::departed::Departed;
use crate::pipeline::core::Pipeline;
use crate::pipeline::past;
use crate::pipeline::past::Past;
use crate::pipeline::past::Standing;
use crate::pipeline::past::Unknown;
use crate::recovery;
use crate::recovery::Listener;
use crate::recovery::RebuildError;
use crate::recovery::Rebuilt;

/// What shards note, in all, until it is fetched: at a million a second so many leave in a quarter of one.
const NOTED_MAX: usize = 262_144;
/// How often what has left memory is fetched.
const ROUND: Duration = Duration::from_millis(50);
/// How long a flush waits for the journal.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often days are let go of.
const LET_GO_EVERY: Duration = Duration::from_secs(60);
/// How often a line is logged while something fails.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// How it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    match_days: u32,
    disk_share_percent: u32,
    bytes_per_s: u64,
    flush_every: Duration,
}

impl Settings {
    /// As the configuration says; `None` when there is to be no history.
    #[must_use]
    pub fn of(config: &Config) -> Option<Self> {
        let history = &config.history;
        (history.match_days > 0).then(|| Self {
            match_days: history.match_days,
            disk_share_percent: history.disk_share_percent,
            bytes_per_s: u64::from(history.mib_per_s) << 20,
            flush_every: Duration::from_secs(history.flush_every_s.into()),
        })
    }

    /// What each shard notes.
    #[must_use]
    pub const fn noted_per_shard(shards: u16) -> usize {
        NOTED_MAX / if shards == 0 { 1 } else { shards as usize }
    }
}

/// The history while the books are rebuilt.
pub struct Starting {
    history: Option<History<Disk>>,
    fed: u64,
}

impl Starting {
    /// Opens it. One that is damaged is begun anew where the journal has all that was in it; otherwise it is left as it
    /// is, and the daemon serves without.
    #[must_use]
    pub fn open(disk: &Disk) -> Self {
        let mut starting = Self { history: None, fed: 0 };
        match History::open(disk.clone(), index::Settings::default()) {
            Ok(history) => {
                if let Some(error) = history.damaged() {
                    tracing::warn!("{error}; the one before it is used, and what came later is fed again");
                }
                starting.history = Some(history);
            }
            Err(error @ HistoryError::Storage(_)) => starting.give_up(&error),
            Err(error) if is_journal_whole(disk) => {
                tracing::error!("{error}; the journal is whole, so the history is built again from it");
                starting.begin_anew(disk);
            }
            Err(error) => starting.give_up(&error),
        }
        starting
    }

    fn give_up(&mut self, error: &HistoryError) {
        tracing::error!(
            "{error}; the daemon serves without it: what has left memory is not found; put the file back, or run \
             `turnpike history rebuild`"
        );
        self.history = None;
    }

    /// Removes what there is, to be fed from the beginning.
    pub fn begin_anew(&mut self, disk: &Disk) {
        match History::rebuild(disk.clone(), index::Settings::default()) {
            Ok(history) => self.history = Some(history),
            Err(error) => self.give_up(&error),
        }
    }

    /// Everything that left memory up to this record is in it; `None` without a history.
    #[must_use]
    pub fn known_to(&self) -> Option<Sequence> {
        self.history.as_ref().map(|history| history.facts().contained_to)
    }

    /// Rebuilds the books, and feeds what left memory and is not in the history.
    ///
    /// # Errors
    /// The books cannot be rebuilt. The history is never why.
    pub fn restore(
        &mut self,
        disk: &Disk,
        keys: &Keys,
        settings: recovery::Settings,
    ) -> Result<Rebuilt, RebuildError> {
        let opener = Opener { seal: &keys.vault, fingerprint: keys.vault.fingerprint() };
        let known_to = self.known_to();
        let mut left = |departed: &Departed| self.give(departed);
        let listener = known_to.map(|known_to| Listener { known_to, left: &mut left });
        let crew = Threads::for_each_processor();
        let rebuilt = recovery::restore_telling(disk, opener, &keys.vault, settings, listener, &crew)?;
        if known_to.is_none_or(|known_to| known_to <= rebuilt.recovered.last) {
            return Ok(rebuilt);
        }
        tracing::error!(
            contained_to = known_to.unwrap_or_default().0,
            last = rebuilt.recovered.last.0,
            "the history is of another journal, or of a later state of this one; it is built again from this one"
        );
        drop(rebuilt);
        self.begin_anew(disk);
        self.restore(disk, keys, settings)
    }

    /// Takes something that left memory, in the order of the records.
    fn give(&mut self, departed: &Departed) {
        let Some(history) = &mut self.history else { return };
        if past::give(history, departed).is_err() {
            // All that left before this record is in.
            if let Err(error) = history.flush(Sequence(departed.by.0 - 1)) {
                return self.give_up(&error);
            }
            let _there_is_room = past::give(history, departed);
        }
        self.fed += 1;
    }

    /// Makes it durable, once the journal is up to its last record. `told_after`: nothing that left up to this record
    /// was given. `None` if it does not work.
    #[must_use]
    pub fn end(mut self, told_after: Sequence, last: Sequence) -> Option<Arc<Past<Disk>>> {
        if let Some(history) = &mut self.history {
            let known_to = history.facts().contained_to;
            if told_after > known_to && last > Sequence(0) {
                tracing::warn!(
                    after = known_to.0,
                    up_to = told_after.0,
                    "what left memory between these records is not in the history: the journal and its snapshots do \
                     not reach back so far"
                );
            }
            if let Err(error) = history.flush(last) {
                self.give_up(&error);
            }
        }
        if let Some(history) = &self.history {
            let Facts { entries, bytes_on_disk, runs, contained_to, .. } = history.facts();
            let fed = self.fed;
            tracing::info!(
                entries,
                bytes_on_disk,
                runs,
                contained_to = contained_to.0,
                fed,
                "history opened"
            );
        }
        self.history.map(|history| Arc::new(Past::new(history)))
    }
}

fn is_journal_whole(disk: &Disk) -> bool {
    let segments = segment::survey(disk);
    segments.is_ok_and(|segments| segments.first().is_none_or(|first| first.header.first == Sequence(1)))
}

/// What is known of it from outside.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// What there is.
    pub facts: Facts,
    /// How it stands; `None` where it could not be opened.
    pub standing: Option<Standing>,
    /// Writes that failed since the start.
    pub failures: u64,
    /// Days that were let go of early for want of room, since the start.
    pub shortened_days: u64,
}

impl Status {
    /// Whether what has left memory is found.
    #[must_use]
    pub fn works(&self) -> bool {
        self.standing == Some(Standing::Works)
    }
}

/// The threads, from outside.
pub struct Keeper {
    past: Option<Arc<Past<Disk>>>,
    pipeline: Arc<Pipeline>,
    stop: Mutex<Option<mpsc::Sender<()>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    status: Arc<Mutex<Status>>,
}

impl Keeper {
    /// Starts them. Without a history that works, one that says so.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub fn start(
        past: Option<Arc<Past<Disk>>>,
        pipeline: Arc<Pipeline>,
        settings: Settings,
        data_dir: &Path,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let standing = past.as_ref().map(|past| past.standing());
        let status = Arc::new(Mutex::new(Status { standing, ..Status::default() }));
        let mut threads = Vec::new();
        if past.is_none() {
            pipeline.lacks_history();
        }
        if let Some(past) = &past {
            Past::join(past, &pipeline);
            let keeping = Keeping {
                past: Arc::clone(past),
                pipeline: Arc::clone(&pipeline),
                settings,
                data_dir: data_dir.to_owned(),
                status: Arc::clone(&status),
                flushed: Instant::now(),
                let_go: None,
                complained: None,
            };
            let spawn = |name: &str| std::thread::Builder::new().name(name.to_owned());
            threads.push(spawn("history").spawn(move || keeping.run(&stopped))?);
            let asked = Arc::clone(&pipeline);
            threads.push(spawn("look-ups").spawn(move || asked.run_look_ups(&clock::now))?);
        }
        let (stop, threads) = (Mutex::new(Some(stop)), Mutex::new(threads));
        Ok(Self { past, pipeline, stop, threads, status })
    }

    /// The history, if it could be opened.
    #[must_use]
    pub const fn past(&self) -> Option<&Arc<Past<Disk>>> {
        self.past.as_ref()
    }

    /// What is known of it.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.lock().clone()
    }

    /// Looks up what still waits, makes everything durable and ends the threads. The journal's must still run.
    pub fn stop(&self) {
        self.pipeline.stop_looking();
        drop(self.stop.lock().take());
        for thread in self.threads.lock().drain(..) {
            let _ = thread.join();
        }
        if let Some(past) = &self.past {
            past.close();
        }
    }
}

/// The thread that keeps it.
struct Keeping {
    past: Arc<Past<Disk>>,
    pipeline: Arc<Pipeline>,
    settings: Settings,
    data_dir: std::path::PathBuf,
    status: Arc<Mutex<Status>>,
    flushed: Instant,
    let_go: Option<Instant>,
    complained: Option<Instant>,
}

impl Keeping {
    fn run(mut self, stopped: &mpsc::Receiver<()>) {
        self.tell();
        loop {
            let waited = stopped.recv_timeout(ROUND);
            if self.pipeline.is_closed() {
                return;
            }
            if waited == Err(RecvTimeoutError::Disconnected) {
                let flushed = self.past.flush(&self.pipeline, PATIENCE);
                self.note(flushed.map(|_| ()));
                return;
            }
            let round = self.round();
            self.note(round);
            self.tell();
        }
    }

    fn round(&mut self) -> Result<(), Unknown> {
        let much = self.past.feed(&self.pipeline)?;
        // What room is left is the journal's: memory takes what leaves for as long as it can.
        let has_room = !self.pipeline.is_short_of_room();
        if much || has_room && self.flushed.elapsed() >= self.settings.flush_every {
            self.past.flush(&self.pipeline, PATIENCE)?;
            self.flushed = Instant::now();
        }
        if has_room {
            let of_round = self.settings.bytes_per_s * ROUND.as_millis() as u64 / 1_000;
            self.past.merge(of_round)?;
        }
        let due = self.let_go.is_none_or(|last| last.elapsed() >= LET_GO_EVERY);
        // A clock that cannot be trusted lets go of nothing.
        if due && !self.pipeline.expiring().is_halted() {
            self.let_go = Some(Instant::now());
            let bytes_max = self.bytes_max();
            let shortened = self.past.let_go(self.settings.match_days, bytes_max)?;
            if shortened > 0 {
                self.status.lock().shortened_days += u64::from(shortened);
                tracing::warn!(
                    days = shortened,
                    bytes_max,
                    "the history has no room for `match_days`; its oldest days were let go of"
                );
            }
        }
        Ok(())
    }

    /// The part of the file system that it may take.
    fn bytes_max(&self) -> u64 {
        let bytes = statvfs(&self.data_dir).map_or(u64::MAX, |fs| fs.f_blocks.saturating_mul(fs.f_frsize));
        bytes / 100 * u64::from(self.settings.disk_share_percent)
    }

    /// Complains of what failed, once in a while.
    fn note(&mut self, result: Result<(), Unknown>) {
        let standing = self.past.standing();
        let stood = self.status.lock().standing.replace(standing);
        if stood != Some(standing) {
            let standing = standing.name();
            tracing::error!(
                standing,
                "the history is neither fed nor asked any more; a start feeds it again"
            );
        }
        let Err(error) = result else { return };
        if matches!(error, Unknown::NotWorking) {
            return;
        }
        self.status.lock().failures += 1;
        if self.complained.is_none_or(|last| last.elapsed() >= COMPLAIN_EVERY) {
            self.complained = Some(Instant::now());
            tracing::error!("{error}");
        }
    }

    fn tell(&self) {
        let facts = self.past.facts();
        self.status.lock().facts = facts;
    }
}
