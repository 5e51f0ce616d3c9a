//! Sockets: one large read, every complete frame served, one write.
//!
//! A socket's task never hands a message to another thread. It serves so many bytes in a turn and then lets the
//! other sockets of its thread have theirs; what it has not read stays with the system, in a buffer that is bounded
//! too. A peer that does not read its answers is not read either; one that stops in the middle of a frame, says
//! nothing for too long, or breaks the framing is closed, with a reason that is counted. One that has shut down its
//! writing side is closed once what it asked before is answered.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use rustix::net::sockopt;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use crate::config::tcp::KeepAlive;
use crate::config::tcp::TcpSettings;
use crate::domain::party::NameId;
use crate::edge::busy_poll;
use crate::edge::clock;
use crate::edge::link::Call;
use crate::edge::link::LinkRuntime;
use crate::edge::link::Phase;
use crate::edge::link::Place;
use crate::edge::telemetry::Window;
use crate::iso8583::frame::FrameError;
use crate::pipeline::asking::Mailbox;
use crate::pipeline::channel::Channel;
use crate::pipeline::core::Pipeline;
use crate::pipeline::gate::Reply;
use crate::pipeline::notice::Notice;
use crate::pipeline::notice::Reason;
use crate::pipeline::station::Seat;
use crate::pipeline::switching::Line;
use crate::pipeline::switching::outbox::Outbox;
use crate::pipeline::switching::way::Home;

/// Bytes that a socket serves in its turn under load: some hundred messages, since all of them share a read and a
/// write, and no more, since every other socket of the thread waits for it.
pub const TURN_BYTES: usize = 64 * 1024;
/// The same with [`Reply::Fsync`]: answers wait for the disk and then for the turns of all sockets that were ready
/// before theirs is.
pub const FSYNC_TURN_BYTES: usize = 16 * 1024;
/// A turn, and room for a frame whose end has not come yet.
const INPUT_BYTES_MAX: usize = TURN_BYTES + u16::MAX as usize + 16;
/// What a socket reads into until it needs more: most of a thousand idle ones cost little.
const INPUT_BYTES_MIN: usize = 1024;
/// How long nothing must have come before what has grown is given back: longer than any lull of a busy link.
const RESTS_AFTER: Duration = Duration::from_secs(10);
/// How soon a socket that is left unread is looked at again though nothing has become durable: the journal may be past
/// its bounds by then.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Lines about messages that one socket may log in a window of time, so that it leaves some to the others of its link.
const LINES_MAX_PER_SOCKET: u32 = 20;

/// What a socket's task sees of the daemon.
#[derive(Clone)]
pub struct Surroundings {
    /// The rooms.
    pub pipeline: Arc<Pipeline>,
    /// The durable sequence, whenever it rises.
    pub durable: watch::Receiver<u64>,
}

/// Why a socket was closed.
enum Close {
    /// The peer closed it, or the connection broke.
    ByPeer,
    /// We did.
    For(Reason),
    /// We did: its place in the stream is lost.
    Unframed(FrameError),
    /// The drain is over.
    Drained,
}

/// Serves one socket until it is closed.
pub async fn serve(socket: TcpStream, place: Place, surroundings: Surroundings) {
    let Some(mut calls) = place.link.calls() else { return };
    // The first look at it is at once: the session may have waited for a socket.
    calls.mark_changed();
    let now = Instant::now();
    let looked_up = Arc::new(Notify::new());
    let mut channel = Channel::default();
    let wake = Arc::clone(&looked_up);
    channel.ask_with(Arc::new(Mailbox::new(move || wake.notify_one())));
    let outbox = join_switch(&place, &surroundings.pipeline, &looked_up, &mut channel);
    place.link.station.with(|session| session.up(place.id, clock::moment(now)));
    let mut connection = Connection {
        link: &place.link,
        place: &place,
        surroundings,
        calls,
        channel,
        looked_up,
        outbox,
        opened: now,
        has_read: false,
        input: vec![0; INPUT_BYTES_MIN],
        filled: 0,
        out: Vec::new(),
        rests: true,
        last_read: now,
        last_message: now,
        last_tick: now,
        half_closed: false,
        partial_since: None,
        quiet_since: None,
        lines: Window::default(),
        shown_in_flight: 0,
        turn_is_over: false,
        is_unread: false,
    };
    let close = connection.run(socket).await;
    connection.end(&close);
}

/// Gives the socket its place in the switch, where there is one: an outbox, by which others reach it.
fn join_switch(
    place: &Place,
    pipeline: &Pipeline,
    wake: &Arc<Notify>,
    channel: &mut Channel,
) -> Option<Arc<Outbox>> {
    let board = pipeline.switchboard()?;
    let index = board.index_of(NameId::of(&place.link.name))?;
    let wake = Arc::clone(wake);
    let outbox = Arc::new(Outbox::new(place.id, move || wake.notify_one()));
    board.line(index)?.up(Arc::clone(&outbox));
    channel.lives_at(Home::new(Arc::clone(board), index, Arc::clone(&outbox)));
    Some(outbox)
}

/// Whether a line about this link may be logged now. Says how many were left out before it.
pub(super) fn may_log(link: &LinkRuntime) -> bool {
    let left_out = link.metrics.lines.take(clock::wall());
    if let Some(left_out @ 1..) = left_out {
        tracing::warn!(link = link.name, left_out, "lines were left out; the counters have all");
    }
    left_out.is_some()
}

/// Bounds what the system keeps of a socket that is not read: unread requests must not grow old there. Sockets that a
/// listening one accepts have its bound.
pub(super) fn bound_unread(socket: impl AsFd, tcp: &TcpSettings) -> std::io::Result<()> {
    match tcp.receive_buffer {
        Some(bytes) => Ok(sockopt::set_socket_recv_buffer_size(socket, bytes)?),
        None => Ok(()),
    }
}

/// Has the system find out when the peer is gone without a word, so that its socket does not stay open for ever.
fn watch_peer(socket: &TcpStream, tcp: &TcpSettings) -> std::io::Result<()> {
    if let Some(KeepAlive { after, interval, probes }) = tcp.keep_alive {
        sockopt::set_tcp_keepidle(socket, after)?;
        sockopt::set_tcp_keepintvl(socket, interval)?;
        sockopt::set_tcp_keepcnt(socket, probes)?;
        sockopt::set_socket_keepalive(socket, true)?;
    }
    #[cfg(target_os = "linux")]
    if let Some(timeout) = tcp.user_timeout {
        let ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
        sockopt::set_tcp_user_timeout(socket, ms)?;
    }
    Ok(())
}

struct Connection<'l> {
    link: &'l LinkRuntime,
    place: &'l Place,
    surroundings: Surroundings,
    calls: watch::Receiver<Call>,
    channel: Channel,
    input: Vec<u8>,
    /// Bytes of `input` that wait to be served.
    filled: usize,
    out: Vec<u8>,
    /// Nothing has grown since memory was given back.
    rests: bool,
    last_read: Instant,
    last_message: Instant,
    last_tick: Instant,
    /// The peer sends nothing more, and waits for the answers to what it has sent.
    half_closed: bool,
    /// When the first byte of a frame came that is not whole yet.
    partial_since: Option<Instant>,
    quiet_since: Option<Instant>,
    lines: Window,
    /// What the link's gauge has of this socket.
    shown_in_flight: usize,
    /// It has read all that it may in one turn, and more seems to wait.
    turn_is_over: bool,
    /// What the peer sends is left with the system for now, so that its silence says nothing.
    is_unread: bool,
    /// A look-up in the history has ended, or others have something for this socket to write.
    looked_up: Arc<Notify>,
    /// What others have for it; `None` without a switch.
    outbox: Option<Arc<Outbox>>,
    opened: Instant,
    /// Something has come.
    has_read: bool,
}

impl Connection<'_> {
    async fn run(&mut self, mut socket: TcpStream) -> Close {
        // Answers leave as one write for each batch: nothing is gained by waiting for more.
        if socket.set_nodelay(true).is_err() {
            return Close::ByPeer;
        }
        if let Err(error) = watch_peer(&socket, &self.link.limits.tcp)
            && may_log(self.link)
        {
            let (link, peer) = (self.link.name.as_str(), self.place.socket.peer);
            tracing::warn!(link, %peer, %error, "the system does not watch this peer");
        }
        let mut tick = tokio::time::interval(self.link.limits.tick);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.surroundings.durable.mark_unchanged();
        loop {
            // A message that waits for a look-up does not wait for the disk, of which nothing more may come.
            let parked =
                self.channel.waiting() > 0 || self.outbox.as_ref().is_some_and(|outbox| outbox.waits());
            self.is_unread = self.is_full();
            let reads = !self.half_closed && !self.is_unread;
            let turn = self.input.len().min(self.filled + self.turn_bytes());
            let close = tokio::select! {
                biased;
                changed = self.calls.changed() => match changed {
                    Ok(()) => self.after_call(),
                    Err(_) => Some(Close::Drained),
                },
                changed = self.surroundings.durable.changed(), if parked || self.is_unread => match changed {
                    Ok(()) => { self.release(); None }
                    Err(_) => Some(Close::Drained),
                },
                () = self.looked_up.notified() => { self.after_look_up(); None }
                read = socket.read(&mut self.input[self.filled..turn]), if reads => self.after_read(read, turn),
                _ = tick.tick() => self.after_tick(),
                () = tokio::time::sleep(LOOK_AGAIN), if self.is_unread => None,
            };
            let written = self.write(&mut socket).await;
            self.show_in_flight();
            if let Some(close) = close.or(written) {
                return close;
            }
            // Answers that are too late are dropped, so that this ends.
            if self.half_closed && !self.waits() {
                return Close::ByPeer;
            }
            if std::mem::take(&mut self.turn_is_over) {
                tokio::task::yield_now().await;
            }
        }
    }

    fn turn_bytes(&self) -> usize {
        match self.surroundings.pipeline.policy().reply {
            Reply::Async => TURN_BYTES,
            Reply::Fsync => FSYNC_TURN_BYTES,
        }
    }

    /// Whether so many answers wait that more requests are better left unread: read, they would be answered 91, or grow
    /// old behind those that are ahead of the disk already. A journal that is past its bounds may not catch up; then
    /// they are read and answered 91 (R2). Every answer that waits leaves or is dropped by its deadline, so that a
    /// socket that is left is read again.
    fn is_full(&self) -> bool {
        // A quarter is left for what one more turn brings, and for sockets that have nothing waiting.
        let near = |most: usize| most - most / 4;
        let (waiting, pipeline) = (self.channel.waiting(), &self.surroundings.pipeline);
        let full = waiting >= near(self.link.channel.parked_max)
            || waiting > 0 && pipeline.parked() >= near(pipeline.policy().parked_max)
            || pipeline.is_ahead();
        full && pipeline.admits(clock::now())
    }

    fn release(&mut self) {
        let (pipeline, now) = (&self.surroundings.pipeline, clock::now());
        self.channel.release(pipeline, now, &mut self.out);
        if let Some(outbox) = &self.outbox {
            let late = outbox.take(pipeline.durable(), now, &mut self.out);
            self.channel.tally.drop_late(late);
        }
    }

    /// Whether the peer still gets an answer.
    fn waits(&self) -> bool {
        self.channel.waits() || self.outbox.as_ref().is_some_and(|outbox| outbox.owes())
    }

    fn after_look_up(&mut self) {
        let seat = Seat {
            station: &self.link.station,
            socket: self.place.id,
            moment: clock::moment(Instant::now()),
        };
        let pipeline = &self.surroundings.pipeline;
        self.channel.take_outcomes(&self.link.channel, pipeline, seat, clock::now(), &mut self.out);
        self.release();
    }

    /// `turn` is up to where `input` was free to be filled.
    fn after_read(&mut self, read: std::io::Result<usize>, turn: usize) -> Option<Close> {
        let bytes = match read {
            Ok(0) => {
                self.half_closed = true;
                return None;
            }
            Err(_) => return Some(Close::ByPeer),
            Ok(bytes) => bytes,
        };
        self.filled += bytes;
        self.has_read = true;
        self.rests = false;
        self.last_read = Instant::now();
        busy_poll::beat();
        self.turn_is_over = self.filled == turn;
        let served = self.channel.receive(
            &self.link.channel,
            &self.surroundings.pipeline,
            Seat {
                station: &self.link.station,
                socket: self.place.id,
                moment: clock::moment(self.last_read),
            },
            &clock::now,
            &self.input[..self.filled],
            &mut self.out,
        );
        // What became durable meanwhile need not wait for the next change.
        if self.channel.waits() {
            self.release();
        }
        let management = self.channel.tally.management > 0;
        self.place.socket.frames.fetch_add(self.channel.tally.frames, Ordering::Relaxed);
        self.log_notices();
        self.link.metrics.add(&mut self.channel.tally);
        self.quiet_since = None;
        let served = match served {
            Ok(served) => served,
            Err(error) => return Some(Close::Unframed(error)),
        };
        if served > 0 {
            self.last_message = self.last_read;
        }
        self.input.copy_within(served..self.filled, 0);
        self.filled -= served;
        // Room for the rest of a frame, and for more at once when more seems to wait.
        if (self.turn_is_over || self.filled > self.input.len() / 2) && self.input.len() < INPUT_BYTES_MAX {
            self.input.resize(INPUT_BYTES_MAX.min(self.input.len() * 4), 0);
        }
        match (self.filled > 0, self.partial_since, served > 0) {
            (false, _, _) => self.partial_since = None,
            (true, None, _) | (true, Some(_), true) => self.partial_since = Some(self.last_read),
            (true, Some(_), false) => {}
        }
        // A socket that always has something to read must not put its timers off.
        if self.last_read.duration_since(self.last_tick) >= self.link.limits.tick {
            return self.after_tick();
        }
        if management { self.ask(self.last_read) } else { None }
    }

    /// Sends what the session has for this socket.
    fn ask(&mut self, now: Instant) -> Option<Close> {
        let (link, id) = (self.link, self.place.id);
        let seat = Seat { station: &link.station, socket: id, moment: clock::moment(now) };
        let last_message = clock::moment(self.last_message);
        let closes = self.channel.ask(&link.channel, seat, last_message, clock::wall(), &mut self.out);
        link.report();
        closes.then_some(Close::For(Reason::EchoesMissed))
    }

    fn after_call(&mut self) -> Option<Close> {
        let phase = self.calls.borrow_and_update().phase;
        match phase {
            // Who sends nothing more answers nothing.
            Phase::Serving | Phase::Draining if self.half_closed => None,
            Phase::Serving | Phase::Draining => self.ask(Instant::now()),
            Phase::Closing => Some(Close::Drained),
        }
    }

    fn after_tick(&mut self) -> Option<Close> {
        self.last_tick = Instant::now();
        self.after_look_up();
        self.log_notices();
        self.link.metrics.add(&mut self.channel.tally);
        if self.half_closed {
            return None;
        }
        if self.is_unread {
            self.last_read = self.last_tick;
            self.last_message = self.last_tick;
            self.partial_since = self.partial_since.map(|_| self.last_tick);
        }
        if !self.rests && self.last_read.elapsed() >= RESTS_AFTER {
            self.rest();
        }
        if let Some(close) = self.ask(self.last_tick) {
            return Some(close);
        }
        let limits = &self.link.limits;
        if self.partial_since.is_some_and(|since| since.elapsed() > limits.partial_frame) {
            return Some(Close::For(Reason::PartialFrame));
        }
        let silent = |limit| !self.has_read && self.opened.elapsed() > limit;
        if limits.first_byte.is_some_and(silent) {
            return Some(Close::For(Reason::Idle));
        }
        if self.outbox.as_ref().is_some_and(|outbox| outbox.is_condemned()) {
            return Some(Close::For(Reason::NothingAnswered));
        }
        if limits.idle.is_some_and(|idle| self.last_read.elapsed() > idle) {
            return Some(Close::For(Reason::Idle));
        }
        let draining = self.calls.borrow().phase == Phase::Draining;
        if draining
            && self.link.station.with(|session| session.has_left())
            && !self.waits()
            && self.is_answered()
            && self.filled == 0
        {
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
        self.channel.written(clock::now());
        None
    }

    fn show_in_flight(&mut self) {
        let in_flight = self.channel.waiting();
        if in_flight != self.shown_in_flight {
            let gauge = &self.link.metrics.in_flight;
            gauge.increment(in_flight as f64);
            gauge.decrement(self.shown_in_flight as f64);
            self.shown_in_flight = in_flight;
        }
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

    /// Nothing more is written to it.
    fn leave_switch(&self) {
        if let Some(board) = self.surroundings.pipeline.switchboard()
            && let Some(index) = board.index_of(NameId::of(&self.link.name))
            && let Some(line) = board.line(index)
        {
            line.down(self.place.id);
        }
    }

    /// Gives back what a burst made grow.
    fn rest(&mut self) {
        if self.filled == 0 {
            self.input = vec![0; INPUT_BYTES_MIN];
        }
        self.out.shrink_to(0);
        self.rests = self.channel.rest() && self.filled == 0;
    }

    fn log_notices(&mut self) {
        let (link, peer) = (self.link.name.as_str(), self.place.socket.peer);
        for rejection in self.channel.take_rejections() {
            self.link.rejected(peer, &rejection);
        }
        for Notice { reason, fault, mti } in self.channel.take_notices() {
            if !self.lines.take(LINES_MAX_PER_SOCKET, clock::wall()) {
                self.link.metrics.lines.leave_out();
                continue;
            }
            if may_log(self.link) {
                let fault = fault.map(|fault| fault.to_string()).unwrap_or_default();
                let mti = mti.map(|mti| format!("{mti:04}")).unwrap_or_default();
                tracing::warn!(link, %peer, reason = reason.name(), mti, fault, "message");
            }
        }
    }

    /// Whether nothing that was asked of the peer waits for its answer.
    fn is_answered(&self) -> bool {
        let line = self.surroundings.pipeline.switchboard().and_then(|board| {
            let index = board.index_of(NameId::of(&self.link.name))?;
            board.line(index)
        });
        line.is_none_or(Line::is_idle)
    }

    fn end(&mut self, close: &Close) {
        self.leave_switch();
        self.channel.abandon(&self.surroundings.pipeline, clock::now());
        self.show_in_flight();
        self.log_notices();
        self.link.metrics.add(&mut self.channel.tally);
        let (link, peer) = (self.link.name.as_str(), self.place.socket.peer);
        match close {
            Close::ByPeer => tracing::debug!(link, %peer, "closed by the peer"),
            Close::Drained => tracing::debug!(link, %peer, "closed after the drain"),
            Close::For(reason) => {
                self.link.metrics.count(*reason);
                if may_log(self.link) {
                    tracing::warn!(link, %peer, reason = reason.name(), "closed");
                }
            }
            // It was counted where it was found.
            Close::Unframed(error) => {
                if may_log(self.link) {
                    tracing::warn!(link, %peer, reason = Reason::Framing.name(), %error, "closed");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_is_told_how_to_watch_a_peer() {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("an event loop");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("bound");
            let _peer = TcpStream::connect(address).await.expect("it listens");
            let (socket, _) = listener.accept().await.expect("a connection");
            watch_peer(&socket, &TcpSettings { keep_alive: None, user_timeout: None, receive_buffer: None })
                .expect("nothing to do");
            assert_eq!(sockopt::socket_keepalive(&socket), Ok(false));
            let seconds = Duration::from_secs;
            let keep_alive = KeepAlive { after: seconds(31), interval: seconds(11), probes: 4 };
            let tcp = TcpSettings {
                keep_alive: Some(keep_alive),
                user_timeout: Some(seconds(75)),
                receive_buffer: Some(48 << 10),
            };
            watch_peer(&socket, &tcp).expect("the system can do so");
            assert_eq!(sockopt::socket_keepalive(&socket), Ok(true));
            assert_eq!(sockopt::tcp_keepidle(&socket), Ok(keep_alive.after));
            assert_eq!(sockopt::tcp_keepintvl(&socket), Ok(keep_alive.interval));
            assert_eq!(sockopt::tcp_keepcnt(&socket), Ok(keep_alive.probes));
            #[cfg(target_os = "linux")]
            assert_eq!(sockopt::tcp_user_timeout(&socket), Ok(75_000));
            bound_unread(&listener, &tcp).expect("the system can do so");
            let _peer = TcpStream::connect(address).await.expect("it listens");
            let (socket, _) = listener.accept().await.expect("a connection");
            let bytes = sockopt::socket_recv_buffer_size(&socket).expect("a size");
            // Linux keeps its own records in as much again.
            assert!([48 << 10, 96 << 10].contains(&bytes), "{bytes}");
        });
    }
}
