//! `[daemon]` and `[admin]`: the process and its HTTP face.

use core::net::Ipv4Addr;
use core::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config;
use crate::domain::party::SLOTS;
use crate::settings::Section;

/// `[daemon]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DaemonSettings {
    /// Where journal and keys are kept.
    pub data_dir: PathBuf,
    /// The key that seals card numbers; relative to the data directory unless it is absolute.
    pub key_file: PathBuf,
    /// Threads that read, decide and answer.
    pub worker_threads: usize,
    /// How long a worker goes on looking at its sockets after something came before it sleeps.
    pub busy_poll: Duration,
    /// Parts of the ledger that have a lock each: a power of two, 1 to 1,024.
    pub shards: u16,
    /// A drained link is closed after this many milliseconds without a message (R26).
    pub drain_quiet_ms: u64,
    /// A drain ends after this many milliseconds, quiet or not.
    pub drain_limit_ms: u64,
    /// Minutes east of UTC of the product's time zone, in which a card's month ends (R27).
    pub time_zone_offset_minutes: i32,
    /// Most answers, over all links, that wait for the disk.
    pub parked_max: u32,
}

impl Default for DaemonSettings {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("data"),
            key_file: PathBuf::from("keys/master.key"),
            worker_threads: 1,
            busy_poll: Duration::ZERO,
            shards: 256,
            drain_quiet_ms: 2_000,
            drain_limit_ms: 30_000,
            time_zone_offset_minutes: 0,
            parked_max: 65_536,
        }
    }
}

impl DaemonSettings {
    /// Where the key file is.
    #[must_use]
    pub fn key_path(&self) -> PathBuf {
        self.data_dir.join(&self.key_file)
    }

    pub(super) fn read(section: Option<Section<'_>>) -> Self {
        let mut daemon = Self::default();
        let Some(section) = section else { return daemon };
        if let Some(path) = path(&section, "data_dir") {
            daemon.data_dir = path;
        }
        if let Some(path) = path(&section, "key_file") {
            daemon.key_file = path;
        }
        daemon.worker_threads = config::integer_or(&section, "worker_threads", 1..=256, 1) as usize;
        daemon.busy_poll = Duration::from_micros(section.integer_or("busy_poll_us", 0..=1_000_000, 0));
        let shards = config::integer_or(&section, "shards", 1..=u32::from(SLOTS), u32::from(daemon.shards));
        if !shards.is_power_of_two() {
            section.report_at("shards", format!("`daemon.shards` is {shards}; it must be a power of two"));
        }
        daemon.shards = shards as u16;
        daemon.drain_quiet_ms = section.integer_or("drain_quiet_ms", 0..=600_000, daemon.drain_quiet_ms);
        daemon.drain_limit_ms = section.integer_or("drain_limit_ms", 0..=600_000, daemon.drain_limit_ms);
        if daemon.drain_quiet_ms > daemon.drain_limit_ms {
            let message = format!("longer than `daemon.drain_limit_ms`, which is {}", daemon.drain_limit_ms);
            section.report_at("drain_quiet_ms", message);
        }
        // The zones of the world lie between UTC-12 and UTC+14.
        daemon.time_zone_offset_minutes = section.signed_or("time_zone_offset_minutes", -720..=840, 0) as i32;
        daemon.parked_max = config::integer_or(&section, "parked_max", 1..=16_777_216, daemon.parked_max);
        section.finish();
        daemon
    }
}

/// `[admin]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdminSettings {
    /// Where the HTTP face listens.
    pub listen: SocketAddr,
    /// Most sockets at once; whoever comes then waits until one of them is closed.
    pub sockets_max: u32,
    /// A socket is closed after so long without a byte either way. An answer must not take longer.
    pub idle: Duration,
    /// Most looks into the past at once, each a thread that reads snapshots and journal.
    pub reads_max: u32,
    /// Most streams of events at once; fewer than sockets, unless there is one alone.
    pub streams_max: u32,
}

impl Default for AdminSettings {
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 8580));
        Self { listen, sockets_max: 512, idle: Duration::from_secs(600), reads_max: 2, streams_max: 16 }
    }
}

impl AdminSettings {
    pub(super) fn read(section: Option<Section<'_>>) -> Self {
        let mut admin = Self::default();
        let Some(section) = section else { return admin };
        admin.listen = config::address(&section, "listen").unwrap_or(admin.listen);
        admin.sockets_max = config::integer_or(&section, "sockets_max", 1..=65_536, admin.sockets_max);
        admin.idle = Duration::from_secs(section.integer_or("idle_s", 1..=86_400, admin.idle.as_secs()));
        admin.reads_max = config::integer_or(&section, "reads_max", 1..=64, admin.reads_max);
        let half = (admin.sockets_max / 2).max(1);
        admin.streams_max =
            config::integer_or(&section, "streams_max", 1..=1_024, admin.streams_max.min(half));
        if admin.streams_max >= admin.sockets_max && admin.sockets_max > 1 {
            section.report_at("streams_max", "below `sockets_max`, or streams take every place of the face");
        }
        section.finish();
        admin
    }
}

/// A path that is not empty; `None` when absent.
pub(super) fn path(section: &Section<'_>, key: &str) -> Option<PathBuf> {
    let text = section.text(key)?;
    if text.is_empty() {
        section.report_at(key, "an empty path");
    }
    Some(PathBuf::from(text))
}
