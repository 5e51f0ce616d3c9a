//! The daemon without its sockets, threads and clock: the rooms joined as `edge` joins them, driven step by step.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::sync::Arc;

use turnpike::authorizer::Authorizer;
use turnpike::authorizer::CreditsAt;
use turnpike::authorizer::approval_code::ApprovalCodes;
use turnpike::authorizer::expiry::ExpiryTable;
use turnpike::authorizer::expiry::Row;
use turnpike::authorizer::increase::Increases;
use turnpike::crypto::keys::Keys;
use turnpike::domain::time::Now;
use turnpike::domain::time::Timestamp;
use turnpike::journal::buffer::Pending;
use turnpike::journal::writer::Writer;
use turnpike::ledger::books::Books;
use turnpike::ledger::presented::Tolerance;
use turnpike::link::state;
use turnpike::link::state::Moment;
use turnpike::link::state::SocketId;
use turnpike::pipeline::channel::Channel;
use turnpike::pipeline::channel::ChannelSettings;
use turnpike::pipeline::core::Pipeline;
use turnpike::pipeline::expiry::Pass;
use turnpike::pipeline::gate::Policy;
use turnpike::pipeline::notice::Reason;
use turnpike::pipeline::station::Seat;
use turnpike::pipeline::station::Station;

use super::exchange::SHORT_MERCHANT;
use super::exchange::SHORT_S;
use super::memory::Memory;
use super::world::DEADLINE_MS;

/// A frame must be complete this long after its first byte, microseconds.
const PARTIAL_FRAME_US: u64 = 15_000_000;
/// What may be dropped in a simulation. Anything else is a mistake of one side.
const MAY_BE_DROPPED: [Reason; 6] = [
    Reason::Unkept,
    Reason::Late,
    Reason::JournalFailed,
    Reason::UnmatchedResponse,
    Reason::NotSignedOn,
    Reason::EchoesMissed,
];

/// How far the wall clock may step before nothing expires any more (R19), nanoseconds.
const STEP_MAX_NS: u64 = 300_000_000_000;

/// Holds of one kind of merchant end soon.
fn short_lives() -> Row {
    Row {
        network: None,
        finality: None,
        initiator: None,
        card_present: None,
        credit: None,
        mccs: vec![SHORT_MERCHANT..=SHORT_MERCHANT],
        lives_s: SHORT_S,
    }
}

/// How requests are decided.
pub(crate) fn authorizer() -> Authorizer {
    Authorizer {
        codes: ApprovalCodes::new([3; 16]),
        time_zone_offset_minutes: 0,
        expiry: ExpiryTable { rows: vec![short_lives()], otherwise_s: 7 * 86_400 },
        increases: Increases::default(),
        credits: CreditsAt::Clearing,
        clearing_tolerance: Tolerance(20),
        configuration: 1,
    }
}

/// What time it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Microseconds that never go back.
    pub(crate) now: u64,
    /// The wall clock, which may be set.
    pub(crate) wall: Timestamp,
}

impl Clock {
    const fn moment(self) -> Moment {
        Moment(self.now)
    }

    pub(crate) const fn both(self) -> Now {
        Now { wall: self.wall, elapsed_ns: self.now * 1_000 + 1 }
    }
}

/// A link: how it is served.
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) settings: Arc<ChannelSettings>,
    pub(crate) session: state::Settings,
}

struct Socket {
    link: usize,
    channel: Channel,
    input: Vec<u8>,
    last_message: u64,
    half_closed: bool,
    partial_since: Option<u64>,
    /// When requests came whose answers wait for the disk, oldest first.
    waiting: VecDeque<u64>,
}

impl Socket {
    /// What waits no longer has left, or was dropped since it was late by the clock that nobody sets (R3).
    fn expect_in_time(&mut self, clock: Clock, failed: bool) {
        let gone = self.waiting.len() - self.channel.waiting();
        let late = self.waiting.drain(..gone).filter(|came| clock.now - came > DEADLINE_MS * 1_000).count();
        // With the journal failed all are dropped, for another reason.
        if !failed {
            assert_eq!(self.channel.tally.dropped(Reason::Late), late as u64);
        }
    }
}

/// A process, from its start to its end.
pub(crate) struct Daemon {
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) generation: u64,
    pub(crate) writer: Writer<Memory>,
    pub(crate) pending: Pending,
    /// The last record that the writer took.
    pub(crate) taken: u64,
    /// What was taken is on its way to the disk.
    pub(crate) writing: bool,
    pub(crate) take_is_due: bool,
    pub(crate) draining: bool,
    stations: Vec<Station>,
    sockets: BTreeMap<u64, Socket>,
    /// What it sends, by socket.
    pub(crate) out: Vec<(u64, Vec<u8>)>,
    /// Sockets that it has closed.
    pub(crate) closed: Vec<u64>,
    pub(crate) late: u64,
    begun: Now,
    pass: Pass,
}

impl Daemon {
    pub(crate) fn new(
        books: Books,
        writer: Writer<Memory>,
        keys: Arc<Keys>,
        policy: Policy,
        links: &[Link],
        (generation, begun): (u64, Now),
    ) -> Self {
        let start = writer.start();
        let pipeline = Pipeline::new(books, start, authorizer(), keys, policy);
        let pending = pipeline.spare();
        Self {
            pipeline: Arc::new(pipeline),
            generation,
            writer,
            pending,
            taken: start.last.0,
            writing: false,
            take_is_due: false,
            draining: false,
            stations: links.iter().map(|link| Station::new(link.session.clone())).collect(),
            sockets: BTreeMap::new(),
            out: Vec::new(),
            closed: Vec::new(),
            late: 0,
            begun,
            pass: Pass::default(),
        }
    }

    /// A peer has connected.
    pub(crate) fn accept(&mut self, id: u64, link: usize, links: &[Link], clock: Clock) {
        self.stations[link].with(|session| session.up(SocketId(id), clock.moment()));
        let socket = Socket {
            link,
            channel: Channel::default(),
            input: Vec::new(),
            last_message: clock.now,
            half_closed: false,
            partial_since: None,
            waiting: VecDeque::new(),
        };
        self.sockets.insert(id, socket);
        self.ask(id, links, clock);
    }

    pub(crate) fn has(&self, id: u64) -> bool {
        self.sockets.contains_key(&id)
    }

    pub(crate) fn is_within_frame(&self, id: u64) -> bool {
        self.sockets.get(&id).is_some_and(|socket| !socket.input.is_empty())
    }

    /// Bytes have come.
    pub(crate) fn receive(&mut self, id: u64, bytes: &[u8], links: &[Link], clock: Clock) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.input.extend_from_slice(bytes);
        let mut out = Vec::new();
        let settings = &links[socket.link].settings;
        let seat =
            Seat { station: &self.stations[socket.link], socket: SocketId(id), moment: clock.moment() };
        let served =
            socket.channel.receive(settings, &self.pipeline, seat, &|| clock.both(), &socket.input, &mut out);
        let served = served.expect("right framing");
        socket.waiting.resize(socket.channel.waiting(), clock.now);
        // Before what is released: of what was just decided in `fsync`, nothing may have left.
        self.sent(id, out);
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if served > 0 {
            socket.last_message = clock.now;
        }
        socket.input.drain(..served);
        socket.partial_since = match (socket.input.is_empty(), served > 0, socket.partial_since) {
            (true, ..) => None,
            (false, false, Some(since)) => Some(since),
            (false, ..) => Some(clock.now),
        };
        let management = socket.channel.tally.management > 0;
        if socket.channel.waits() {
            self.release(id, clock);
        }
        self.count(id);
        if management {
            self.ask(id, links, clock);
        }
    }

    fn sent(&mut self, id: u64, out: Vec<u8>) {
        if !out.is_empty() {
            self.out.push((id, out));
        }
    }

    /// Nothing is dropped that need not be.
    fn count(&mut self, id: u64) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        for reason in Reason::ALL {
            let count = socket.channel.tally.dropped(reason);
            assert!(count == 0 || MAY_BE_DROPPED.contains(&reason), "{}", reason.name());
        }
        self.late += socket.channel.tally.dropped(Reason::Late);
        socket.channel.tally.clear();
        assert!(socket.channel.take_notices().count() <= 8);
    }

    /// Sends what the session has for this socket.
    fn ask(&mut self, id: u64, links: &[Link], clock: Clock) {
        let Some(socket) = self.sockets.get_mut(&id).filter(|socket| !socket.half_closed) else { return };
        let mut out = Vec::new();
        let seat =
            Seat { station: &self.stations[socket.link], socket: SocketId(id), moment: clock.moment() };
        let settings = &links[socket.link].settings;
        let last = Moment(socket.last_message);
        let closes = socket.channel.ask(settings, seat, last, clock.wall, &mut out);
        self.sent(id, out);
        if closes {
            self.close(id, links, clock);
        }
    }

    fn release(&mut self, id: u64, clock: Clock) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        let mut out = Vec::new();
        socket.channel.release(&self.pipeline, clock.both(), &mut out);
        socket.expect_in_time(clock, self.pipeline.has_failed());
        let ends = socket.half_closed && !socket.channel.waits();
        self.sent(id, out);
        self.count(id);
        if ends {
            self.closed.push(id);
        }
    }

    /// The durable sequence has risen, or the journal has failed.
    pub(crate) fn release_all(&mut self, links: &[Link], clock: Clock) {
        let waiting: Vec<u64> =
            self.sockets.iter().filter(|(_, socket)| socket.channel.waits()).map(|(id, _)| *id).collect();
        for id in waiting {
            self.release(id, clock);
        }
        self.end_finished(links, clock);
    }

    fn end_finished(&mut self, links: &[Link], clock: Clock) {
        for id in self.closed.clone() {
            if self.has(id) {
                self.end(id, links, clock);
            }
        }
    }

    pub(crate) fn tick(&mut self, id: u64, links: &[Link], clock: Clock) {
        self.release(id, clock);
        self.ask(id, links, clock);
        let partial = self.sockets.get(&id).and_then(|socket| socket.partial_since);
        if partial.is_some_and(|since| clock.now - since > PARTIAL_FRAME_US) {
            self.close(id, links, clock);
        }
        self.end_finished(links, clock);
    }

    /// The peer sends nothing more.
    pub(crate) fn finish(&mut self, id: u64, links: &[Link], clock: Clock) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.half_closed = true;
        self.release(id, clock);
        self.end_finished(links, clock);
    }

    fn close(&mut self, id: u64, links: &[Link], clock: Clock) {
        if self.has(id) {
            self.closed.push(id);
            self.end(id, links, clock);
        }
    }

    /// The socket is gone.
    pub(crate) fn end(&mut self, id: u64, links: &[Link], clock: Clock) {
        let Some(mut socket) = self.sockets.remove(&id) else { return };
        socket.channel.abandon(&self.pipeline, clock.both());
        let rings = self.stations[socket.link].with(|session| session.down(SocketId(id)));
        if rings {
            let others: Vec<u64> = self
                .sockets
                .iter()
                .filter(|(_, other)| other.link == socket.link)
                .map(|(other, _)| *other)
                .collect();
            for other in others {
                self.ask(other, links, clock);
            }
        }
    }

    /// Signs off and goes on answering (R26).
    pub(crate) fn drain(&mut self, links: &[Link], clock: Clock) {
        self.draining = true;
        for station in &self.stations {
            station.with(|session| session.drain(clock.moment()));
        }
        let sockets: Vec<u64> = self.sockets.keys().copied().collect();
        for id in sockets {
            self.ask(id, links, clock);
        }
    }

    pub(crate) fn close_all(&mut self, links: &[Link], clock: Clock) {
        let sockets: Vec<u64> = self.sockets.keys().copied().collect();
        for id in sockets {
            self.close(id, links, clock);
        }
    }

    /// The links that are not signed on.
    pub(crate) fn out_of_service(&self) -> Vec<usize> {
        let off = |link: &usize| !self.stations[*link].with(|session| session.signed_on());
        (0..self.stations.len()).filter(off).collect()
    }

    /// Ends what is over, in one pass. `None` when the clock has stepped and nothing expires; else how many ended.
    pub(crate) fn expire(&mut self, now: Now) -> Option<u64> {
        let passed = now.elapsed_ns - self.begun.elapsed_ns;
        let halted = now.wall.0.abs_diff(self.begun.wall.0.saturating_add(passed)) > STEP_MAX_NS;
        let expiring = self.pipeline.expiring();
        expiring.set_halted(halted);
        if halted {
            return None;
        }
        let before = expiring.expired();
        for _ in 0..self.pipeline.steps_of_pass() {
            if self.pipeline.has_failed() || !self.pipeline.expire(&mut self.pass, now) {
                break;
            }
        }
        Some(expiring.expired() - before)
    }

    pub(crate) fn wants_to_write(&self) -> bool {
        !self.writing && !self.pipeline.has_failed() && self.pipeline.appended().0 > self.taken
    }
}
