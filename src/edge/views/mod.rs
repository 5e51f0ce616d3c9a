//! What has happened, as others may see it: balances now and as of a point, statements, what is open, and the stream
//! of all records. Only what is durable is shown. The past is read from snapshots and journal by threads of its own,
//! few at once, and no lock of the books is held while a disk is read.

mod balance;
mod entries;
mod open;
mod query;
mod sheet;
mod statement;
mod stream;
mod token;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::response::IntoResponse;
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::sync::watch;

use crate::authorizer::moving::Refusal;
use crate::config::Config;
use crate::crypto::keys::Keys;
use crate::domain::event::Sequence;
use crate::domain::party::WalletId;
use crate::domain::time::Timestamp;
use crate::edge::api::Face;
use crate::edge::api::is_durable;
use crate::edge::clock;
use crate::edge::daemon;
use crate::edge::disk::Disk;
use crate::edge::verbs::problem::Problem;
use crate::journal::follow::FollowError;
use crate::ledger::shard::Account;
use crate::ledger::shard::Capacity;
use crate::pipeline::moving::NotMoved;
use crate::recovery::one_slot::PastError;
use crate::recovery::one_slot::Source;

use self::query::Point;

/// A record that is appended late may have read its clock so long before: what is asked as of a time is answered when
/// that time is so long ago.
const SETTLED: Duration = Duration::from_secs(1);
/// How often a stream says that it is still there, unless sockets are closed sooner than that.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// How long a daemon that stops waits for streams.
const TELLING: Duration = Duration::from_secs(1);

/// The routes.
pub(super) fn routes() -> Router<Arc<Face>> {
    Router::new()
        .route("/v1/wallets/{wallet}/balance", get(balance::balance))
        .route("/v1/wallets/{wallet}/statement", get(statement::statement))
        .route("/v1/wallets/{wallet}/holds", get(open::holds))
        .route("/v1/wallets/{wallet}/pending-credits", get(open::pending_credits))
        .route("/v1/events", get(stream::events))
}

/// What looks into the past and streams events.
pub struct Views {
    disk: Disk,
    keys: Arc<Keys>,
    most: Capacity,
    /// The durable sequence, whenever it rises.
    durable: watch::Receiver<u64>,
    reads: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    keep_alive: Duration,
    streams_max: u32,
}

impl Views {
    /// Of a data directory that a daemon writes to.
    #[must_use]
    pub fn new(config: &Config, keys: &Arc<Keys>, durable: watch::Receiver<u64>) -> Self {
        Self {
            // It writes nothing, and does not keep the directory locked when the daemon has ended.
            disk: Disk::look_at(&config.daemon.data_dir),
            keys: Arc::clone(keys),
            most: daemon::capacity(config),
            durable,
            reads: Arc::new(Semaphore::new(config.admin.reads_max as usize)),
            streams: Arc::new(Semaphore::new(config.admin.streams_max as usize)),
            keep_alive: KEEP_ALIVE.min(config.admin.idle / 3),
            streams_max: config.admin.streams_max,
        }
    }

    /// Waits until streams have told what was written last, which they do once the journal is closed. Whoever does not
    /// read is not waited for.
    pub async fn told(&self) {
        let all = self.streams.acquire_many(self.streams_max);
        let _ended_or_late = tokio::time::timeout(TELLING, all).await;
    }
}

fn of(face: &Face) -> Result<&Views, Problem> {
    face.views.get().ok_or_else(|| Problem::from(NotMoved::Unavailable))
}

/// An answer, or why there is none. Whoever finds all places taken may come again.
fn answered(answer: Result<Response, Problem>) -> Response {
    let problem = match answer {
        Ok(answer) => return answer,
        Err(problem) => problem,
    };
    let is_busy = problem.name == "busy";
    let mut answer = problem.into_response();
    if is_busy {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

fn busy(what: &str, setting: &str) -> Problem {
    let words = format!("as many {what} are open as may be (`admin.{setting}`); try again");
    Problem::new("busy", StatusCode::SERVICE_UNAVAILABLE, words)
}

fn of_the_future(words: impl Into<String>) -> Problem {
    Problem::new("of-the-future", StatusCode::UNPROCESSABLE_ENTITY, words)
}

fn recycled(words: impl Into<String>) -> Problem {
    Problem::new("recycled", StatusCode::GONE, words)
}

fn unreadable(error: impl std::fmt::Display) -> Problem {
    tracing::error!("the past cannot be seen: {error}");
    let words = "journal or snapshots cannot be read; the log says why";
    Problem::new("unavailable", StatusCode::SERVICE_UNAVAILABLE, words)
}

fn no_such_wallet(wallet: WalletId) -> Problem {
    NotMoved::from(Refusal::NoSuchWallet(wallet)).into()
}

impl From<PastError> for Problem {
    fn from(why: PastError) -> Self {
        match why {
            PastError::Gone { oldest: Sequence(oldest) } => recycled(format!(
                "journal and snapshots reach back to record {oldest}: the oldest point is the one after it"
            )),
            // Whoever asked is gone.
            PastError::GivenUp => Self::new(
                "unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "the look into the past was given up",
            ),
            other => unreadable(other),
        }
    }
}

impl From<FollowError> for Problem {
    fn from(why: FollowError) -> Self {
        match why {
            FollowError::Gone { oldest: Sequence(oldest) } => {
                recycled(format!("the journal begins with record {oldest}: what was before it is gone"))
            }
            other => unreadable(other),
        }
    }
}

/// What a thread reads with.
struct Reader {
    disk: Disk,
    keys: Arc<Keys>,
    most: Capacity,
    /// The last durable record when it was asked.
    durable: Sequence,
    given_up: Arc<AtomicBool>,
}

impl Reader {
    fn source(&self) -> Source<'_, Disk> {
        Source {
            storage: &self.disk,
            seal: &self.keys.vault,
            keys: &self.keys.vault,
            seed: self.keys.table_seed(),
            most: self.most,
            durable: self.durable,
        }
    }

    fn goes_on(&self) -> bool {
        !self.given_up.load(Ordering::Relaxed)
    }
}

/// Gives up a read when whoever asked is gone.
struct Asking(Arc<AtomicBool>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does a read on a thread that may wait for the disk. There are few of them.
async fn read<T: Send + 'static>(
    face: &Face,
    job: impl FnOnce(&Reader) -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    let views = of(face)?;
    let place = Arc::clone(&views.reads).try_acquire_owned();
    let place = place.map_err(|_| busy("looks into the past", "reads_max"))?;
    let asking = Asking(Arc::default());
    let reader = Reader {
        disk: views.disk.clone(),
        keys: Arc::clone(&views.keys),
        most: views.most,
        durable: face.pipeline.durable(),
        given_up: Arc::clone(&asking.0),
    };
    let read = tokio::task::spawn_blocking(move || {
        let _place = place;
        job(&reader)
    });
    read.await.map_err(unreadable)?
}

/// Waits until nothing can be appended any more that would belong before a point, and is durable.
async fn settled(face: &Face, point: Option<Point>) -> Result<(), Problem> {
    let time = match point {
        None => return Ok(()),
        Some(Point::Record(record)) if record <= face.pipeline.durable() => return Ok(()),
        Some(Point::Record(_)) => {
            let durable = face.pipeline.durable().0;
            return Err(of_the_future(format!("the last durable record is {durable}")));
        }
        Some(Point::Time(time)) => time,
    };
    let now = clock::wall();
    if time > now {
        return Err(of_the_future(format!("it is {now} now")));
    }
    tokio::time::sleep(SETTLED.saturating_sub(Duration::from_nanos(now.0 - time.0))).await;
    if is_durable(face, face.pipeline.appended()).await { Ok(()) } else { Err(NotMoved::Unavailable.into()) }
}

/// An account as it was, which may be long ago: only what its balances are.
fn account_json(account: &Account) -> Value {
    json!({
        "account": account.number,
        "currency": account.currency.to_string(),
        "posted": account.posted,
        "held": account.held,
        "overdraft": account.overdraft,
        "available": account.available(),
    })
}

/// A time with as many decimals as records have.
fn time_of(text: &str) -> Option<Timestamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(time.as_nanosecond()).ok().map(Timestamp)
}
