//! Sockets: one large read, every complete frame served, one write.
//!
//! A socket's task never hands a message to another thread. A peer that does not read its answers is not read either;
//! one that stops in the middle of a frame, says nothing for too long, or breaks the framing is closed, with a reason
//! that is counted.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::edge::clock;
use crate::edge::telemetry::LinkMetrics;
use crate::link::session::LinkState;
use crate::pipeline::channel::Channel;
use crate::pipeline::channel::ChannelSettings;
use crate::pipeline::channel::Notice;
use crate::pipeline::channel::Reason;
use crate::pipeline::core::Pipeline;

/// Bytes read at once under load, some hundred messages, the more the cheaper each; and room for a frame whose end has
/// not come yet.
const INPUT_BYTES_MAX: usize = 128 * 1024 + u16::MAX as usize + 16;
/// What a socket reads into until it needs more: most of a thousand idle ones cost little.
const INPUT_BYTES_MIN: usize = 1024;
/// How long nothing must have come before what has grown is given back: longer than any lull of a busy link.
const RESTS_AFTER: Duration = Duration::from_secs(10);
/// How often timers are looked at.
const TICK: Duration = Duration::from_millis(250);
/// Lines that one socket may log; what comes beyond is only counted.
const LOG_LINES_PER_SOCKET: u32 = 20;

/// Where the daemon is in its life, for every socket to see.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    /// Requests are served.
    Serving,
    /// We have signed off, and go on answering until it is quiet (R26).
    Draining,
    /// Sockets are closed.
    Closing,
}

/// Limits of one link's sockets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SocketLimits {
    /// Sockets at once.
    pub connections_max: usize,
    /// A peer may be silent for this long; `None` for ever.
    pub idle: Option<Duration>,
    /// A frame must be complete this long after its first byte.
    pub partial_frame: Duration,
    /// A peer must take an answer within this time.
    pub write: Duration,
    /// While draining: how long it must be quiet after the sign-off was acknowledged.
    pub drain_quiet: Duration,
    /// Whether we send a sign-off when we drain.
    pub sign_off_on_drain: bool,
}

/// A link with all that its sockets share.
pub struct LinkRuntime {
    /// Its name.
    pub name: String,
    /// How its messages are served.
    pub channel: ChannelSettings,
    /// Limits.
    pub limits: SocketLimits,
    /// Who is signed on.
    pub state: Mutex<LinkState>,
    /// Metrics.
    pub metrics: Arc<LinkMetrics>,
    /// Sockets open now.
    pub connections: AtomicUsize,
}

/// What a socket's task sees of the daemon.
#[derive(Clone)]
pub struct Surroundings {
    /// The rooms.
    pub pipeline: Arc<Pipeline>,
    /// The durable sequence, whenever it rises.
    pub durable: watch::Receiver<u64>,
    /// The daemon's phase.
    pub phase: watch::Receiver<Phase>,
}

/// Why a socket was closed.
enum Close {
    /// The peer closed it, or the connection broke.
    ByPeer,
    /// We did.
    For(Reason),
    /// The drain is over.
    Drained,
}

/// Serves one socket until it is closed.
pub async fn serve(socket: TcpStream, link: Arc<LinkRuntime>, surroundings: Surroundings) {
    let open = link.connections.fetch_add(1, Ordering::AcqRel) + 1;
    link.metrics.connections.set(open as f64);
    if open > link.limits.connections_max {
        link.metrics.count(Reason::TooManyConnections);
        if may_log(&link) {
            let limit = link.limits.connections_max;
            tracing::warn!(link = link.name, limit, "closed: too many connections");
        }
    } else {
        let mut connection = Connection {
            link: &link,
            surroundings,
            channel: Channel::default(),
            input: vec![0; INPUT_BYTES_MIN],
            filled: 0,
            out: Vec::new(),
            rests: true,
            last_read: Instant::now(),
            partial_since: None,
            quiet_since: None,
            log_lines: 0,
        };
        let close = connection.run(socket).await;
        connection.end(&close);
    }
    let open = link.connections.fetch_sub(1, Ordering::AcqRel) - 1;
    link.metrics.connections.set(open as f64);
}

/// Whether a line about this link may be logged now. Says how many were left out before it.
pub(super) fn may_log(link: &LinkRuntime) -> bool {
    let left_out = link.metrics.lines.take(clock::now());
    if let Some(left_out @ 1..) = left_out {
        tracing::warn!(link = link.name, left_out, "lines were left out; the counters have all");
    }
    left_out.is_some()
}

struct Connection<'l> {
    link: &'l LinkRuntime,
    surroundings: Surroundings,
    channel: Channel,
    input: Vec<u8>,
    /// Bytes of `input` that wait to be served.
    filled: usize,
    out: Vec<u8>,
    /// Nothing has grown since memory was given back.
    rests: bool,
    last_read: Instant,
    partial_since: Option<Instant>,
    quiet_since: Option<Instant>,
    log_lines: u32,
}

impl Connection<'_> {
    async fn run(&mut self, mut socket: TcpStream) -> Close {
        // Answers leave as one write for each batch: nothing is gained by waiting for more.
        if socket.set_nodelay(true).is_err() {
            return Close::ByPeer;
        }
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.surroundings.durable.mark_unchanged();
        loop {
            let waits = self.channel.waits();
            let close = tokio::select! {
                biased;
                changed = self.surroundings.phase.changed() => match changed {
                    Ok(()) => self.after_phase(),
                    Err(_) => Some(Close::Drained),
                },
                changed = self.surroundings.durable.changed(), if waits => match changed {
                    Ok(()) => { self.release(); None }
                    Err(_) => Some(Close::Drained),
                },
                read = socket.read(&mut self.input[self.filled..]) => self.after_read(read),
                _ = tick.tick() => self.after_tick(),
            };
            let written = self.write(&mut socket).await;
            if let Some(close) = close.or(written) {
                return close;
            }
        }
    }

    fn release(&mut self) {
        self.channel.release(&self.surroundings.pipeline, clock::now(), &mut self.out);
    }

    fn after_read(&mut self, read: std::io::Result<usize>) -> Option<Close> {
        let bytes = match read {
            Ok(0) | Err(_) => return Some(Close::ByPeer),
            Ok(bytes) => bytes,
        };
        self.filled += bytes;
        self.rests = false;
        self.last_read = Instant::now();
        let was_full = self.filled == self.input.len();
        let served = self.channel.receive(
            &self.link.channel,
            &self.surroundings.pipeline,
            &self.link.state,
            &clock::now,
            &self.input[..self.filled],
            &mut self.out,
        );
        // What became durable meanwhile need not wait for the next change.
        if self.channel.waits() {
            self.release();
        }
        self.log_notices();
        self.show_sign_on();
        self.link.metrics.add(&mut self.channel.tally);
        self.quiet_since = None;
        let Ok(served) = served else { return Some(Close::For(Reason::Framing)) };
        self.input.copy_within(served..self.filled, 0);
        self.filled -= served;
        // Room for the rest of a frame, and for more at once when more seems to wait.
        if (was_full || self.filled > self.input.len() / 2) && self.input.len() < INPUT_BYTES_MAX {
            self.input.resize(INPUT_BYTES_MAX.min(self.input.len() * 4), 0);
        }
        match (self.filled > 0, self.partial_since, served > 0) {
            (false, _, _) => self.partial_since = None,
            (true, None, _) | (true, Some(_), true) => self.partial_since = Some(self.last_read),
            (true, Some(_), false) => {}
        }
        None
    }

    fn after_phase(&mut self) -> Option<Close> {
        match *self.surroundings.phase.borrow_and_update() {
            Phase::Serving => None,
            Phase::Draining => {
                if self.link.limits.sign_off_on_drain {
                    self.channel.sign_off(&self.link.channel, clock::now(), &mut self.out);
                }
                None
            }
            Phase::Closing => Some(Close::Drained),
        }
    }

    fn after_tick(&mut self) -> Option<Close> {
        self.release();
        self.log_notices();
        self.link.metrics.add(&mut self.channel.tally);
        if !self.rests && self.last_read.elapsed() >= RESTS_AFTER {
            self.rest();
        }
        let limits = &self.link.limits;
        if self.partial_since.is_some_and(|since| since.elapsed() > limits.partial_frame) {
            return Some(Close::For(Reason::PartialFrame));
        }
        if limits.idle.is_some_and(|idle| self.last_read.elapsed() > idle) {
            return Some(Close::For(Reason::Idle));
        }
        let draining = *self.surroundings.phase.borrow() == Phase::Draining;
        let acknowledged = self.channel.has_signed_off() || !limits.sign_off_on_drain;
        if draining && acknowledged && !self.channel.waits() && self.filled == 0 {
            let since = *self.quiet_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= limits.drain_quiet {
                return Some(Close::Drained);
            }
        }
        None
    }

    async fn write(&mut self, socket: &mut TcpStream) -> Option<Close> {
        if self.out.is_empty() {
            return None;
        }
        // The usual write takes all at once, and needs no timer.
        let sent = socket.try_write(&self.out).unwrap_or(0);
        if sent < self.out.len() {
            let limit = self.link.limits.write;
            match tokio::time::timeout(limit, self.write_rest(socket, sent)).await {
                Ok(true) => {}
                Ok(false) => return Some(Close::ByPeer),
                Err(_) => return Some(Close::For(Reason::NotReading)),
            }
        }
        self.out.clear();
        None
    }

    /// Writes what the socket did not take at once. Answers that become durable meanwhile queue up behind it: a peer
    /// that does not read must not take up room at the gate, which all share. False when the connection broke.
    async fn write_rest(&mut self, socket: &mut TcpStream, mut sent: usize) -> bool {
        while sent < self.out.len() {
            let waits = self.channel.waits();
            tokio::select! {
                written = socket.write(&self.out[sent..]) => match written {
                    Ok(bytes) if bytes > 0 => sent += bytes,
                    _ => return false,
                },
                changed = self.surroundings.durable.changed(), if waits => match changed {
                    Ok(()) => self.release(),
                    Err(_) => return false,
                },
            }
        }
        true
    }

    /// Gives back what a burst made grow.
    fn rest(&mut self) {
        if self.filled == 0 {
            self.input = vec![0; INPUT_BYTES_MIN];
        }
        self.out.shrink_to(0);
        self.rests = self.channel.rest() && self.filled == 0;
    }

    /// Under the lock, so that of two sockets the later one has the last word.
    fn show_sign_on(&self) {
        if self.channel.tally.management > 0 {
            let state = self.link.state.lock();
            self.link.metrics.signed_on.set(f64::from(u8::from(state.signed_on)));
        }
    }

    fn log_notices(&mut self) {
        let link = self.link.name.as_str();
        for Notice { reason, fault, mti } in self.channel.take_notices() {
            self.log_lines += 1;
            if self.log_lines > LOG_LINES_PER_SOCKET || !may_log(self.link) {
                continue;
            }
            let fault = fault.map(|fault| fault.to_string()).unwrap_or_default();
            let mti = mti.map(|mti| format!("{mti:04}")).unwrap_or_default();
            tracing::warn!(link, reason = reason.name(), mti, fault, "message");
            if self.log_lines == LOG_LINES_PER_SOCKET {
                tracing::warn!(link, "no more lines for this socket; the counters go on");
            }
        }
    }

    fn end(&mut self, close: &Close) {
        self.channel.abandon(&self.surroundings.pipeline);
        self.log_notices();
        self.link.metrics.add(&mut self.channel.tally);
        let link = self.link.name.as_str();
        match close {
            Close::ByPeer => tracing::debug!(link, "closed by the peer"),
            Close::Drained => tracing::debug!(link, "closed after the drain"),
            Close::For(reason) => {
                // Lost framing was counted where it was found.
                if *reason != Reason::Framing {
                    self.link.metrics.count(*reason);
                }
                if may_log(self.link) {
                    tracing::warn!(link, reason = reason.name(), "closed");
                }
            }
        }
    }
}
