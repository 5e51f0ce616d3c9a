//! Makes snapshots while the daemon serves: a thread of its own, by a timer and on demand. Two are kept, so that there
//! is another when the newest turns out to be damaged, or more, so that more of the past can be seen; what all of them
//! cover of the journal is recycled.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::crypto::keys::Keys;
use crate::domain::event::Configured;
use crate::domain::event::Seeded;
use crate::domain::event::Sequence;
use crate::domain::seal::SALT_BYTES;
use crate::edge::clock;
use crate::edge::disk::Disk;
use crate::edge::keys;
use crate::journal::recover::RecoverError;
use crate::journal::segment;
use crate::journal::snapshot;
use crate::journal::snapshot::Anchor;
use crate::journal::snapshot::Head;
use crate::journal::snapshot::SnapshotError;
use crate::journal::snapshot::Tail;
use crate::journal::snapshot_writer;
use crate::journal::snapshot_writer::SnapshotWriter;
use crate::journal::storage::Storage;
use crate::journal::storage::StorageError;
use crate::pipeline::core::Pipeline;
use crate::pipeline::past::Past;
use crate::pipeline::snapshot::Steps;

/// How long a snapshot waits for the journal, so that the history can be flushed before it.
const FLUSH_PATIENCE: Duration = Duration::from_secs(2);

/// How snapshots are made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How long after one the next is begun; `None` for on demand only.
    pub every: Option<Duration>,
    /// How fast they are written at most, bytes a second, so that the journal's own syncs do not wait behind them.
    pub bytes_per_s: u64,
    /// Snapshots that are kept; two at least.
    pub kept: usize,
    /// Segments that are kept though nothing needs them.
    pub retained_segments: usize,
    /// Segments that stand ready to be overwritten.
    pub spare_segments: usize,
    /// As many as are filled between two snapshots are recycled, when that is more.
    pub more_spares: bool,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Segments that are kept for a history that is behind, at most.
    pub behind_segments_max: usize,
}

impl Settings {
    /// As the configuration says.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let snapshots = &config.snapshots;
        Self {
            every: (snapshots.every_s > 0).then(|| Duration::from_secs(snapshots.every_s)),
            bytes_per_s: u64::from(snapshots.mib_per_s) << 20,
            kept: snapshots.kept as usize,
            retained_segments: config.journal.retained_segments as usize,
            spare_segments: config.journal.spare_segments as usize,
            more_spares: true,
            segment_bytes: u64::from(config.journal.segment_mib) << 20,
            behind_segments_max: config.history.behind_segments_max as usize,
        }
    }

    /// The same on a disk that is nearly full: room is worth more there than syncs that are fast.
    #[must_use]
    pub fn sparing(self) -> Self {
        Self { more_spares: false, ..self }
    }
}

/// A snapshot that was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Made {
    /// Its number.
    pub number: u64,
    /// What it covers.
    pub tail: Tail,
    /// How long its file is.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// When it was published.
    pub at: Instant,
    /// Segments of the journal that were recycled after it.
    pub released: usize,
}

/// Why there is no new snapshot. The daemon serves on, and the journal keeps what a snapshot would have covered.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotMade {
    /// It could not be written or read back.
    #[error("no snapshot was made: {0}")]
    Snapshot(#[from] SnapshotError),
    /// The journal's segments could not be looked at.
    #[error("no snapshot was made: {0}")]
    Journal(#[from] RecoverError),
    /// No random salt could be had.
    #[error("no snapshot was made: the system gives no random numbers")]
    Random,
    /// The journal has failed: what is in memory may never become durable.
    #[error("no snapshot was made: the journal has failed")]
    JournalFailed,
    /// The daemon stops.
    #[error("no snapshot was made: the daemon stops")]
    Stopping,
}

impl From<StorageError> for NotMade {
    fn from(error: StorageError) -> Self {
        Self::Snapshot(error.into())
    }
}

/// What became of the last attempts.
#[derive(Clone, Debug, Default)]
pub struct Status {
    /// The last one that was made since the start.
    pub last: Option<Made>,
    /// How many attempts failed since the start.
    pub failures: u64,
    /// Whether one is being made.
    pub running: bool,
}

type Answer = oneshot::Sender<Result<Made, NotMade>>;

/// The thread that makes snapshots, from outside.
pub struct Snapshots {
    orders: Mutex<Option<mpsc::Sender<Answer>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    stopping: Arc<AtomicBool>,
    status: Arc<Mutex<Status>>,
}

impl Snapshots {
    /// Starts the thread.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(maker: Maker) -> std::io::Result<Self> {
        let (orders, ordered) = mpsc::channel();
        let (stopping, status) = (Arc::clone(&maker.stopping), Arc::clone(&maker.status));
        let thread =
            std::thread::Builder::new().name("snapshots".to_owned()).spawn(move || maker.run(&ordered))?;
        Ok(Self { orders: Mutex::new(Some(orders)), thread: Mutex::new(Some(thread)), stopping, status })
    }

    /// Asks for a snapshot now.
    ///
    /// # Errors
    /// Why none was made.
    pub async fn make(&self) -> Result<Made, NotMade> {
        let (answer, made) = oneshot::channel();
        let ordered = self.orders.lock().as_ref().is_some_and(|orders| orders.send(answer).is_ok());
        if !ordered {
            return Err(NotMade::Stopping);
        }
        made.await.unwrap_or(Err(NotMade::Stopping))
    }

    /// What became of the last attempts.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status.lock().clone()
    }

    /// Gives up what is being made and ends the thread.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        drop(self.orders.lock().take());
        if let Some(thread) = self.thread.lock().take() {
            let _ = thread.join();
        }
    }
}

/// What makes snapshots.
pub struct Maker {
    pipeline: Arc<Pipeline>,
    disk: Disk,
    keys: Arc<Keys>,
    settings: Settings,
    configured: Configured,
    seeded: Option<Seeded>,
    /// What has left memory is in here, if there is a history.
    past: Wanted,
    stopping: Arc<AtomicBool>,
    status: Arc<Mutex<Status>>,
}

/// The history as far as snapshots go.
#[derive(Clone)]
pub enum Wanted {
    /// There is none.
    Nothing,
    /// It does not work: all that there is may be wanted.
    Everything,
    /// What is not in it yet.
    Rest(Arc<Past<Disk>>),
}

impl Wanted {
    /// Of a daemon that is to have a history, which may not work.
    #[must_use]
    pub fn by(history: Option<Option<&Arc<Past<Disk>>>>) -> Self {
        match history {
            None => Self::Nothing,
            Some(None) => Self::Everything,
            Some(Some(past)) => Self::Rest(Arc::clone(past)),
        }
    }
}

impl Maker {
    /// For this pipeline and its directory. `configured` and `seeded` are what the journal said last of them.
    #[must_use]
    pub fn new(
        pipeline: Arc<Pipeline>,
        disk: Disk,
        keys: Arc<Keys>,
        settings: Settings,
        configured: Configured,
        seeded: Option<Seeded>,
        past: Wanted,
    ) -> Self {
        let (stopping, status) = (Arc::default(), Arc::default());
        Self { pipeline, disk, keys, settings, configured, seeded, past, stopping, status }
    }

    fn run(self, orders: &mpsc::Receiver<Answer>) {
        // Nothing new has happened as long as only this start's own records are there.
        let mut covered = self.pipeline.appended();
        loop {
            let ordered = match self.settings.every {
                Some(every) => orders.recv_timeout(every),
                None => orders.recv().map_err(RecvTimeoutError::from),
            };
            let answer = match ordered {
                Ok(answer) => Some(answer),
                Err(RecvTimeoutError::Timeout) if self.pipeline.appended() == covered => continue,
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.status.lock().running = true;
            let made = self.make();
            if let Ok(made) = &made {
                covered = made.tail.last;
            }
            self.tell(&made);
            if let Some(answer) = answer {
                // Whoever asked may have gone.
                let _ = answer.send(made);
            }
        }
    }

    fn tell(&self, made: &Result<Made, NotMade>) {
        let mut status = self.status.lock();
        status.running = false;
        match made {
            Ok(made) => {
                status.last = Some(*made);
                let Made { number, tail, bytes, took, released, .. } = *made;
                let (covered, ms) = (tail.covered.0, took.as_millis() as u64);
                tracing::info!(number, covered, wallets = tail.wallets, bytes, ms, released, "snapshot made");
            }
            Err(NotMade::Stopping) => {}
            Err(error) => {
                status.failures += 1;
                tracing::error!("{error}; the journal keeps what it would have covered");
            }
        }
    }

    fn make(&self) -> Result<Made, NotMade> {
        let began = Instant::now();
        let number = snapshot::list(&self.disk)?.last().map_or(1, |last| last + 1);
        let mut salt = [0; SALT_BYTES];
        keys::fill_random(&mut salt).map_err(|_| NotMade::Random)?;
        let (configured, seeded) = (self.configured, self.seeded);
        let head = Head { number, salt, began: clock::wall(), configured, seeded };
        let mut writer = SnapshotWriter::begin(&self.disk, &head, &self.keys.vault)?;
        let mut written = 0;
        self.pipeline.copy_into(&mut writer, Steps::default(), &mut |bytes| {
            written += bytes as u64;
            self.pace(began, written);
        })?;
        let anchor = anchor(&self.disk)?;
        let unpublished = writer.end(anchor)?;
        let (tail, bytes) = (unpublished.tail, unpublished.bytes);
        if let Err(error) = self.until_durable(tail.last) {
            unpublished.discard();
            return Err(error);
        }
        // A start begins with the newest snapshot that has nothing that the history lacks.
        if let Wanted::Rest(past) = &self.past {
            let _says_so_itself = past.flush(&self.pipeline, FLUSH_PATIENCE);
        }
        unpublished.publish(&self.keys.vault)?;
        let settings = if self.pipeline.is_short_of_room() { self.settings.sparing() } else { self.settings };
        let contained_to = match &self.past {
            Wanted::Nothing => None,
            Wanted::Everything => Some(Sequence(0)),
            Wanted::Rest(past) => Some(past.contained_to()),
        };
        let released = release(&self.disk, &self.keys, &settings, contained_to)?;
        Ok(Made { number, tail, bytes, took: began.elapsed(), at: Instant::now(), released })
    }

    /// Waits while more was written than may have been by now.
    fn pace(&self, began: Instant, written: u64) {
        let due = Duration::from_micros(written.saturating_mul(1_000_000) / self.settings.bytes_per_s.max(1));
        let ahead = due.saturating_sub(began.elapsed());
        if !ahead.is_zero() && !self.stopping.load(Ordering::Acquire) {
            std::thread::sleep(ahead);
        }
    }

    /// Waits until the journal is durable up to this record: what a snapshot holds must never be undone by a crash.
    fn until_durable(&self, last: Sequence) -> Result<(), NotMade> {
        while self.pipeline.durable() < last {
            if self.pipeline.has_failed() {
                return Err(NotMade::JournalFailed);
            }
            if self.stopping.load(Ordering::Acquire) {
                return Err(NotMade::Stopping);
            }
            self.pipeline.wake_writer();
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.stopping.load(Ordering::Acquire) { Err(NotMade::Stopping) } else { Ok(()) }
    }
}

/// The snapshot that a start begins with so that the history misses nothing, or as little as can be: the newest that is
/// not newer than it, or the oldest that there is. What is damaged is none.
fn base_for<S: Storage>(
    disk: &S,
    keys: &Keys,
    numbers: &[u64],
    contained_to: Sequence,
) -> Result<Option<(u64, Tail)>, NotMade> {
    let mut oldest = None;
    for number in numbers.iter().rev() {
        match snapshot::read_tail(disk, *number, &keys.vault) {
            Ok(tail) if tail.last <= contained_to => return Ok(Some((*number, tail))),
            Ok(tail) => oldest = Some((*number, tail)),
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(oldest)
}

/// The segment that is being written.
///
/// # Errors
/// The disk failed, or a segment is damaged.
pub fn anchor<S: Storage>(disk: &S) -> Result<Anchor, RecoverError> {
    let last = segment::survey(disk)?.last().map(|last| last.header);
    Ok(last.map_or_else(Anchor::default, |header| Anchor {
        segment: header.number,
        epoch: header.epoch,
        first: header.first,
        chain: header.chain,
    }))
}

/// Removes all snapshots but the newest, as many as are to be kept, and the one that a start would begin with for the
/// history's sake, and recycles the journal's segments that none of them needs. Returns how many. A start does so, too:
/// the last process may have ended between the two. `contained_to` is up to which record the history has what left
/// memory; `None` for no history.
///
/// # Errors
/// The disk failed, or a file is damaged. What was released stays released.
pub fn release<S: Storage>(
    disk: &S,
    keys: &Keys,
    settings: &Settings,
    contained_to: Option<Sequence>,
) -> Result<usize, NotMade> {
    let numbers = snapshot::list(disk)?;
    if numbers.len() < 2 {
        return Ok(0);
    }
    let newest = &numbers[numbers.len() - numbers.len().min(settings.kept.max(2))..];
    let mut tail = snapshot::read_tail(disk, newest[0], &keys.vault)?;
    let mut kept = newest.to_vec();
    let segments = segment::survey(disk)?;
    if let Some(contained_to) = contained_to.filter(|contained_to| *contained_to < tail.last)
        && let Some((number, base)) = base_for(disk, keys, &numbers, contained_to)?
    {
        let behind = segments.iter().filter(|known| known.header.number >= base.anchor.segment).count();
        if behind <= settings.behind_segments_max {
            tail = base;
            kept.push(number);
        } else {
            tracing::error!(
                contained_to = contained_to.0,
                segments = behind,
                "the history is too far behind: what left memory since is not kept for it any longer"
            );
        }
    }
    // First: one that stays behind without its segments could not be told from one whose journal is lost.
    snapshot_writer::retire(disk, &kept)?;
    let retained = segments.len().saturating_sub(settings.retained_segments);
    // The segments that snapshots are told by stay as long as they do.
    let needless =
        segments.iter().take(retained).take_while(|known| known.header.number < tail.anchor.segment);
    // The next one stays too: where a segment ends is told by what follows it.
    let count = needless.count();
    let some = &segments[..segments.len().min(count + 1)];
    // As many as were filled since the snapshot before: the next are filled about as fast, and a sync of a file that
    // grows costs more than one that overwrites. The disk has had room for them until now. What piled up while no
    // snapshots were made is no measure; what stays is.
    let more = if settings.more_spares { count.min(segments.len() - count) } else { 0 };
    let spares_max = settings.spare_segments.max(more);
    Ok(segment::release(disk, some, tail.covered, settings.segment_bytes, spares_max)?)
}
