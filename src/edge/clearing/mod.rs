//! Posting of clearing files while the daemon serves (R20): a file comes over HTTP, is looked through to its end, and
//! is then posted record by record by a thread of its own. One file at a time.
//!
//! Between the two the file lies on disk, sealed under a key that is in memory only (`spool`): no card number is on
//! disk in clear, and nothing can be read after a crash. The file is then sent again, and goes on behind what the
//! journal says was posted.

mod api;
pub mod command;
mod intake;
mod posting;
mod report;
mod spool;

use std::collections::VecDeque;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::config::clearing::ClearingSettings;
use crate::crypto::keys::Keys;
use crate::domain::cleared::Clearance;
use crate::edge::clearing::intake::Intake;
use crate::edge::clearing::intake::Portion;
use crate::edge::clearing::intake::Refused;
use crate::edge::clearing::posting::Posting;
use crate::edge::clearing::report::Explain;
use crate::pipeline::core::Pipeline;

pub(super) use api::routes;

/// Where reports are, in the data directory.
pub const DIRECTORY: &str = "clearing";
/// Files whose state can be asked for.
const FILES_KEPT: usize = 64;
/// Portions of a file that wait to be looked through.
const PORTIONS_AHEAD: usize = 8;

/// What all postings have in common.
struct Office {
    pipeline: Arc<Pipeline>,
    keys: Arc<Keys>,
    settings: ClearingSettings,
    directory: PathBuf,
    records_per_note: u64,
    stopping: AtomicBool,
    counters: Counters,
}

/// Records by what became of them, since the start.
#[derive(Debug, Default)]
pub struct Counters {
    outcomes: [AtomicU64; Clearance::ALL.len()],
    repeated: AtomicU64,
}

impl Counters {
    /// Each with the name of the outcome.
    pub fn readings(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let outcomes = Clearance::ALL.iter().zip(&self.outcomes);
        let outcomes = outcomes.map(|((_, name), count)| (*name, count.load(Ordering::Relaxed)));
        outcomes.chain([("repeated", self.repeated.load(Ordering::Relaxed))])
    }

    fn count(&self, outcome: Option<Clearance>) {
        let counter = outcome.map_or(&self.repeated, |outcome| &self.outcomes[outcome as usize]);
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Takes clearing files and posts them.
pub struct Clearing {
    office: Arc<Office>,
    /// The newest last.
    files: Mutex<VecDeque<Arc<Progress>>>,
    /// A file is being taken or posted.
    busy: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// A file that is or was posted, as it stands.
struct Progress {
    checksum: u128,
    state: Mutex<Value>,
}

/// A file is being posted already, or the daemon stops.
struct Busy;

/// A file that is being sent.
struct Upload {
    portions: mpsc::Sender<Portion>,
    outcome: oneshot::Receiver<Result<Arc<Progress>, Refused>>,
}

impl Clearing {
    /// For this pipeline and the directory of its data. Reports of files that nobody can send again are removed.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>, keys: Arc<Keys>, config: &Config) -> Self {
        let directory = config.daemon.data_dir.join(DIRECTORY);
        report::remove_old(&directory);
        let (stopping, counters) = (AtomicBool::new(false), Counters::default());
        let records_per_note = posting::records_per_note(&config.ledger.bounds);
        let settings = config.clearing;
        let office = Office { pipeline, keys, settings, directory, records_per_note, stopping, counters };
        Self {
            office: Arc::new(office),
            files: Mutex::default(),
            busy: AtomicBool::new(false),
            thread: Mutex::default(),
        }
    }

    /// Records by what became of them.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.office.counters
    }

    /// Begins to take a file.
    fn begin(self: &Arc<Self>, explain: Explain) -> Result<Upload, Busy> {
        let mut thread = self.thread.lock();
        if self.office.stopping.load(Ordering::Acquire) || self.busy.swap(true, Ordering::AcqRel) {
            return Err(Busy);
        }
        let (portions, incoming) = mpsc::channel(PORTIONS_AHEAD);
        let (answer, outcome) = oneshot::channel();
        let clearing = Arc::clone(self);
        let worker = move || clearing.take(incoming, answer, explain);
        let spawned = thread::Builder::new().name("clearing".to_owned()).spawn(worker);
        let Ok(spawned) = spawned else {
            self.busy.store(false, Ordering::Release);
            return Err(Busy);
        };
        *thread = Some(spawned);
        Ok(Upload { portions, outcome })
    }

    /// Takes a file to its end and posts it: the whole life of the thread.
    fn take(
        &self,
        incoming: mpsc::Receiver<Portion>,
        answer: oneshot::Sender<Result<Arc<Progress>, Refused>>,
        explain: Explain,
    ) {
        let taken = Intake::take(&self.office, incoming);
        let posting = taken.and_then(|taken| Posting::open(&self.office, taken, explain));
        match posting {
            Err(refused) => {
                self.busy.store(false, Ordering::Release);
                // Whoever sent it may be gone.
                let _ = answer.send(Err(refused));
            }
            Ok(posting) => {
                let progress =
                    Arc::new(Progress { checksum: posting.checksum(), state: Mutex::new(posting.state()) });
                self.keep(Arc::clone(&progress));
                let _ = answer.send(Ok(Arc::clone(&progress)));
                let ended = posting.run(&self.office, |state| *progress.state.lock() = state);
                // Whoever sees that it has ended may send the next file.
                self.busy.store(false, Ordering::Release);
                *progress.state.lock() = ended;
            }
        }
    }

    fn keep(&self, progress: Arc<Progress>) {
        let mut files = self.files.lock();
        files.retain(|known| known.checksum != progress.checksum);
        while files.len() >= FILES_KEPT {
            files.pop_front();
        }
        files.push_back(progress);
    }

    fn states(&self) -> Vec<Value> {
        self.files.lock().iter().rev().map(|file| file.state.lock().clone()).collect()
    }

    fn state_of(&self, checksum: u128) -> Option<Value> {
        let files = self.files.lock();
        files.iter().find(|file| file.checksum == checksum).map(|file| file.state.lock().clone())
    }

    fn directory(&self) -> &Path {
        &self.office.directory
    }

    /// Stops at the next record; what is posted stays posted, and the file can be sent again.
    pub fn stop(&self) {
        self.office.stopping.store(true, Ordering::Release);
        let thread = self.thread.lock().take();
        if let Some(thread) = thread {
            let _ended = thread.join();
        }
    }
}
