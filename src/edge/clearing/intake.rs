//! Takes a clearing file as it comes: finds out its format, looks through it, and keeps it for the posting.

use std::fs;
use std::io;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;
use xxhash_rust::xxh3::Xxh3;

use crate::clearing::Context;
use crate::clearing::Format;
use crate::clearing::Reader;
use crate::clearing::check::Check;
use crate::clearing::check::Findings;
use crate::clearing::check::Summary;
use crate::clearing::detect::HEAD;
use crate::clearing::error::ClearingError;
use crate::config::clearing::ClearingSettings;
use crate::domain::day::Day;
use crate::domain::party::NameId;
use crate::domain::seal::SALT_BYTES;
use crate::domain::seal::SnapshotKeys;
use crate::edge::clearing::Office;
use crate::edge::clearing::spool::Spool;
use crate::edge::clock;
use crate::edge::keys;

/// How long nothing of a file may come before it is given up: another one may be waiting.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long to wait when nothing has come.
const PAUSE: Duration = Duration::from_millis(1);

/// A piece of a file, or its end. A file that has no end was not sent whole.
pub(super) enum Portion {
    Bytes(Bytes),
    End,
}

/// Why nothing of a file is posted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// It was not sent to its end.
    #[error("the file did not come to its end; send it again")]
    Broken,
    /// It is too long.
    #[error("the file is larger than `clearing.file_mib_max`, {0} MiB; split it, or raise the setting")]
    TooLong(u32),
    /// Its first bytes are of no format that is known.
    #[error("{0}")]
    Format(#[from] ClearingError),
    /// It is wrong.
    #[error("{0}nothing of it was posted")]
    Findings(#[from] Findings),
    /// It is only a test.
    #[error("the file's header says that it is a test; nothing of it was posted")]
    Test,
    /// It could not be kept.
    #[error("the file could not be kept until it is posted: {0}")]
    Io(#[from] io::Error),
    /// No random number could be had for its key.
    #[error("the system gives no random numbers to seal the file with")]
    Random,
    /// The daemon stops.
    #[error("the daemon stops; send the file again when it is back")]
    Stopping,
}

/// A file that is right, and lies ready to be posted.
pub(super) struct Taken {
    pub(super) spool: Spool,
    pub(super) checksum: u128,
    pub(super) format: Format,
    pub(super) context: Context,
    pub(super) summary: Summary,
}

/// The network that files of a format are from. Plain files name it in every line.
pub(super) fn network_of(format: Format, settings: &ClearingSettings) -> NameId {
    match format {
        Format::Ipm { .. } => settings.ipm_network,
        Format::BaseTwo { .. } => settings.base_two_network,
        Format::Csv | Format::JsonLines => NameId::default(),
    }
}

/// Takes a file piece by piece.
pub(super) struct Intake {
    spool: Spool,
    hasher: Xxh3,
    /// The first bytes, until there are enough to tell the format.
    head: Vec<u8>,
    reading: Option<(Format, Context, Reader)>,
    check: Check,
    settings: ClearingSettings,
}

impl Intake {
    /// Takes all of a file.
    pub(super) fn take(office: &Office, mut incoming: mpsc::Receiver<Portion>) -> Result<Taken, Refused> {
        fs::create_dir_all(&office.directory)?;
        let mut salt = [0; SALT_BYTES];
        keys::fill_random(&mut salt).map_err(|_| Refused::Random)?;
        let spool = Spool::create(&office.directory, office.keys.vault.of_snapshot(&salt))?;
        let mut intake = Self {
            spool,
            hasher: Xxh3::new(),
            head: Vec::with_capacity(HEAD),
            reading: None,
            check: Check::new(),
            settings: office.settings,
        };
        let mut since = Instant::now();
        loop {
            match incoming.try_recv() {
                Ok(Portion::Bytes(bytes)) => intake.add(&bytes)?,
                Ok(Portion::End) => return intake.finish(),
                Err(TryRecvError::Disconnected) => return Err(Refused::Broken),
                Err(TryRecvError::Empty) if office.stopping.load(Ordering::Acquire) => {
                    return Err(Refused::Stopping);
                }
                Err(TryRecvError::Empty) if since.elapsed() > SILENCE_MAX => return Err(Refused::Broken),
                Err(TryRecvError::Empty) => {
                    thread::sleep(PAUSE);
                    continue;
                }
            }
            since = Instant::now();
        }
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        let mib = self.settings.file_mib_max;
        if self.spool.bytes() + bytes.len() as u64 > u64::from(mib) << 20 {
            return Err(Refused::TooLong(mib));
        }
        self.spool.write(bytes)?;
        self.hasher.update(bytes);
        if self.reading.is_some() {
            self.read(bytes);
            return Ok(());
        }
        self.head.extend_from_slice(bytes);
        if self.head.len() >= HEAD { self.begin() } else { Ok(()) }
    }

    /// Finds out the format, and reads the head.
    fn begin(&mut self) -> Result<(), Refused> {
        let format = Format::detect(&self.head)?;
        let context = Context { network: network_of(format, &self.settings), day: Day::at(clock::wall()) };
        self.reading = Some((format, context, Reader::new(format, context)));
        let head = std::mem::take(&mut self.head);
        self.read(&head);
        Ok(())
    }

    fn read(&mut self, bytes: &[u8]) {
        if let Some((_, _, reader)) = &mut self.reading {
            reader.feed(bytes);
            while let Some(next) = reader.next_item() {
                self.check.take(&next);
            }
        }
    }

    fn finish(mut self) -> Result<Taken, Refused> {
        if self.reading.is_none() {
            self.begin()?;
        }
        if let Some((_, _, reader)) = &mut self.reading {
            reader.end();
        }
        self.read(&[]);
        let Some((format, context, _)) = self.reading else { return Err(Refused::Broken) };
        let summary = self.check.finish()?;
        if summary.test {
            return Err(Refused::Test);
        }
        self.spool.finish()?;
        Ok(Taken { spool: self.spool, checksum: self.hasher.digest128(), format, context, summary })
    }
}
