//! Brings clearing files to the daemon, one at a time, on a thread of its own, and comes back with what became of their
//! records.

use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::sync::mpsc::TryRecvError;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::edge::client;
use crate::workload::acquirer::Acquirer;
use crate::workload::presenting::Cleared;
use crate::workload::presenting::ClearingFile;
use crate::workload::presenting::Presented;

/// How often a file is brought that did not arrive: a daemon that was killed may be back.
const TRIES: u32 = 20;
/// How long it is waited before that, and while another file is posted.
const AGAIN: Duration = Duration::from_millis(500);
/// How often it is asked whether a file is posted.
const LOOK: Duration = Duration::from_millis(5);

/// Why a file is not posted.
#[derive(Debug, thiserror::Error)]
pub(super) enum CourierError {
    /// The HTTP face does not answer.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The daemon refuses the file.
    #[error("the daemon refuses the clearing file: {0}")]
    Refused(#[from] client::Refused),
    /// It has begun to post it and has stopped.
    #[error("the daemon has stopped posting: {0}")]
    Stopped(String),
    /// The thread is gone.
    #[error("no clearing file is brought any more")]
    Gone,
}

/// What came back.
struct Brought {
    records: Vec<Presented>,
    outcomes: Vec<Option<Cleared>>,
    twice: bool,
}

/// The thread's other end.
pub(super) struct Courier {
    files: mpsc::Sender<ClearingFile>,
    brought: mpsc::Receiver<Result<Brought, CourierError>>,
    /// A file is under way.
    away: bool,
}

impl Courier {
    /// One who goes to this HTTP face.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn new(daemon: SocketAddr) -> io::Result<Self> {
        let (files, waiting) = mpsc::channel::<ClearingFile>();
        let (results, brought) = mpsc::channel();
        thread::Builder::new().name("courier".to_owned()).spawn(move || {
            while let Ok(file) = waiting.recv() {
                if results.send(bring(daemon, file)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { files, brought, away: false })
    }

    /// Takes in what became of the file that is under way, and sends the next. Waits for nothing. True when something
    /// came back.
    ///
    /// # Errors
    /// The file is not posted: its life cycles do not go on.
    pub(super) fn look(&mut self, acquirer: &mut Acquirer) -> Result<bool, CourierError> {
        let mut came = false;
        if self.away {
            let brought = match self.brought.try_recv() {
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => return Err(CourierError::Gone),
                Ok(brought) => brought?,
            };
            self.away = false;
            acquirer.cleared(&brought.records, &brought.outcomes, brought.twice);
            came = true;
        }
        if let Some(file) = acquirer.take_clearing_file() {
            self.files.send(file).map_err(|_| CourierError::Gone)?;
            self.away = true;
        }
        Ok(came)
    }
}

/// Brings a file until it is posted, and reads its report.
fn bring(daemon: SocketAddr, file: ClearingFile) -> Result<Brought, CourierError> {
    let records = file.records().to_vec();
    let bytes = file.into_bytes();
    let mut tries = 0;
    loop {
        tries += 1;
        let posted = post(daemon, &bytes).and_then(|id| outcomes(daemon, &id, records.len()));
        match posted {
            Ok(outcomes) => return Ok(Brought { records, outcomes, twice: tries > 1 }),
            // Another's file is being posted: nothing of this one was taken.
            Err(CourierError::Refused(client::Refused(409, _))) => tries -= 1,
            Err(error @ CourierError::Refused(client::Refused(422, _))) => return Err(error),
            Err(error) if tries >= TRIES => return Err(error),
            Err(_) => {}
        }
        thread::sleep(AGAIN);
    }
}

/// Posts a file. Returns its name once it is posted to its end.
fn post(daemon: SocketAddr, bytes: &[u8]) -> Result<String, CourierError> {
    let mut socket = client::begin_post(daemon, "/v1/clearing?explain=all", bytes.len() as u64)?;
    socket.write_all(bytes)?;
    let mut state = client::json_of(client::answer(&mut socket)?)?;
    let id = state["file"].as_str().unwrap_or_default().to_owned();
    loop {
        match state["state"].as_str() {
            Some("posted") => return Ok(id),
            Some("posting") => thread::sleep(LOOK),
            _ => return Err(CourierError::Stopped(state["error"].as_str().unwrap_or_default().to_owned())),
        }
        state = client::json_of(client::get(daemon, &format!("/v1/clearing/{id}"))?)?;
    }
}

/// What a file's report says of each of its records.
fn outcomes(daemon: SocketAddr, id: &str, records: usize) -> Result<Vec<Option<Cleared>>, CourierError> {
    let mut found = vec![None; records];
    client::lines_from(daemon, &format!("/v1/clearing/{id}/records"), 0, |line| {
        let line: Value = serde_json::from_slice(line).unwrap_or_default();
        let place = line["record"].as_u64().and_then(|record| usize::try_from(record).ok()?.checked_sub(1));
        if let (Some(place), Some(outcome)) = (place, line["outcome"].as_str())
            && let Some(of_record) = found.get_mut(place)
        {
            *of_record = Cleared::named(outcome);
        }
    })?;
    Ok(found)
}
