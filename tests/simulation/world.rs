//! Time, chance, the wire, and the life of the daemon: what happens, in which order.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use turnpike::crypto::keys::Keys;
use turnpike::dialect::Dialect;
use turnpike::domain::event::Configured;
use turnpike::domain::event::Event as Record;
use turnpike::domain::moved::KeysKept;
use turnpike::domain::party::WalletId;
use turnpike::domain::seal::SnapshotKeys;
use turnpike::domain::time::Timestamp;
use turnpike::edge::snapshots;
use turnpike::journal::recover::Opener;
use turnpike::journal::snapshot;
use turnpike::journal::snapshot::Head;
use turnpike::journal::snapshot_writer::SnapshotWriter;
use turnpike::journal::storage::Operation;
use turnpike::journal::writer;
use turnpike::journal::writer::Writer;
use turnpike::ledger::authorization::Authorization;
use turnpike::ledger::books::Layout;
use turnpike::ledger::state_hash::StateHash;
use turnpike::link::state;
use turnpike::link::state::SignOn;
use turnpike::pipeline::channel::ChannelSettings;
use turnpike::pipeline::core::Pipeline;
use turnpike::pipeline::gate::Policy;
use turnpike::pipeline::gate::Reply;
use turnpike::pipeline::snapshot::Steps;
use turnpike::recovery;
use turnpike::recovery::RebuildError;
use turnpike::recovery::Rebuilt;
use turnpike::recovery::crew::Alone;
use zeroize::Zeroizing;

use super::callers;
use super::callers::Errand;
use super::daemon::Clock;
use super::daemon::Daemon;
use super::daemon::Link;
use super::exchange::Exchange;
use super::exchange::Which;
use super::memory::Crash;
use super::memory::Fault;
use super::memory::Memory;
use super::memory::next;
use super::peer::Peer;
use super::population;
use super::population::BOUNDS;
use super::population::CAPACITY;
use super::population::LARGE;

pub(crate) const MS: u64 = 1_000;
pub(crate) const S: u64 = 1_000 * MS;
/// 24 November 2026, 12:34:56 UTC.
const START: Timestamp = Timestamp::from_seconds(1_795_523_696);
pub(crate) const DEADLINE_MS: u64 = 4_000;
const TICK: u64 = 250 * MS;
/// A journal that is idle for this long marks what is durable.
const IDLE_MARK: u64 = 50 * MS;
/// The wall clock is never further from the truth than this, seconds.
const OFFSET_MAX_S: i64 = 1_200;
const LAYOUTS: [u16; 4] = [1, 2, 4, 8];
/// A simulation that has not come to rest by then never will.
const REST_LIMIT: u64 = 20 * 60 * S;

/// The one source of chance.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) const fn below(&mut self, bound: u64) -> u64 {
        next(&mut self.0) % bound
    }

    pub(crate) const fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least)
    }

    pub(crate) const fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn crash(&mut self) -> Crash {
        match self.below(4) {
            0 => Crash::LoseUnsynced,
            1 => Crash::KeepWritten,
            _ => Crash::Tear(self.below(u64::MAX)),
        }
    }
}

/// An end of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    Daemon,
    Peer,
}

/// What will happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// Bytes come out of the wire.
    Arrive {
        connection: u64,
        end: End,
        bytes: Vec<u8>,
    },
    /// The peer's side of the stream has ended in order.
    Finish {
        connection: u64,
    },
    /// The line is cut somewhere.
    Break {
        connection: u64,
    },
    /// One end learns of it.
    Reset {
        connection: u64,
        end: End,
    },
    Tick {
        connection: u64,
    },
    /// A peer wants one more socket.
    Connect {
        link: usize,
    },
    SignOn {
        link: usize,
    },
    Echo {
        link: usize,
    },
    /// A new purchase.
    Shop {
        link: usize,
    },
    /// The request of a purchase goes out, perhaps once more.
    Send {
        number: u32,
        repeat: bool,
    },
    /// A network's timer for an answer.
    Due {
        number: u32,
    },
    /// Something that is sent until it is acknowledged.
    Follow {
        number: u32,
        which: Which,
    },
    /// A cardholder or a merchant thinks again.
    Cancel {
        number: u32,
    },
    Take {
        generation: u64,
    },
    Written {
        generation: u64,
    },
    Mark {
        generation: u64,
    },
    Crash,
    /// A process ends: its write is not lived to see, or an operator restarts one whose journal has failed.
    Restart {
        generation: u64,
    },
    /// The operator stops the daemon in order, first with a sign-off.
    Stop,
    Stopped {
        generation: u64,
    },
    Start,
    Snapshot,
    Step,
    /// The daemon looks for what is over.
    Expire {
        generation: u64,
    },
    /// Something is added to an estimate.
    Add {
        number: u32,
    },
    /// An estimate is completed or undone, with what was added to it.
    End {
        number: u32,
    },
    /// A hold is completed, perhaps when its time is over.
    Complete {
        number: u32,
    },
    /// Somebody has money moved over HTTP.
    Errand,
    /// It is asked for.
    Ask {
        number: u32,
    },
}

/// One TCP connection.
pub(crate) struct Connection {
    pub(crate) link: usize,
    /// When the last piece arrives, in each direction.
    arrives: [u64; 2],
    open: [bool; 2],
    /// The peer may write to it.
    pub(crate) writable: bool,
    /// What the peer has not yet read as a frame.
    pub(crate) input: Vec<u8>,
}

/// How rough it is.
struct Plan {
    /// How long until it calms down.
    chaos: u64,
    crashes_every: u64,
    breaks_every: u64,
    steps: bool,
    snapshots_every: u64,
    /// One write in so many fails.
    failures: u64,
    hashes: bool,
    verifies: bool,
}

/// How often things happened.
pub(crate) type Tales = BTreeMap<&'static str, u64>;

/// One seed.
pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) now: u64,
    pub(crate) links: Rc<[Link]>,
    pub(crate) peers: Vec<Peer>,
    /// By number, from 1.
    pub(crate) exchanges: Vec<Exchange>,
    /// What callers have asked for over HTTP.
    pub(crate) errands: Vec<Errand>,
    /// By link, MTI of the answer and DE 11: what is answered.
    pub(crate) awaited: BTreeMap<(usize, u16, u32), (u32, Which)>,
    pub(crate) wire: BTreeMap<u64, Connection>,
    pub(crate) daemon: Option<Daemon>,
    pub(crate) tales: Tales,
    /// From here on nothing goes wrong any more.
    pub(crate) calm: bool,
    pub(crate) policy: Policy,
    pub(crate) disk: Memory,
    pub(crate) keys: Arc<Keys>,
    pub(crate) traced: bool,
    offset_ns: i64,
    queue: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    plan: Plan,
    next_connection: u64,
    generations: u64,
    copying: bool,
    /// The next write is not lived to see.
    doomed: bool,
    epoch: u32,
    /// Up to here the journal has been durable.
    pub(crate) floor: u64,
    /// State hashes at the ends of the last groups.
    pub(crate) hashes: BTreeMap<u64, StateHash>,
    /// The latest that the wall clock has shown while a daemon was there.
    pub(crate) latest: Timestamp,
}

thread_local! {
    /// Read from their tables once for all seeds of a thread.
    static SETTINGS: [Arc<ChannelSettings>; 4] = DIALECTS.map(|(dialect, link)| Arc::new(ChannelSettings {
        dialect: Dialect::built_in(dialect).expect("a dialect that is compiled in"),
        context: ChannelSettings::context_of(link, link),
        answer_deadline_ms: DEADLINE_MS,
        parked_max: 64,
    }));
    static KEYS: Arc<Keys> = Arc::new(Keys::from_master(Zeroizing::new([7; 32])));
}

const DIALECTS: [(&str, &str); 4] = [
    ("visa", "visa-1"),
    ("mastercard", "mastercard-1"),
    ("iso87-ascii", "acquirer-1"),
    ("iso87-binary", "acquirer-2"),
];

fn links(random: &mut Random) -> Rc<[Link]> {
    let link = |(at, (_, name)): (usize, (&str, &'static str))| {
        let sign_on = [SignOn::Peer, SignOn::Us, SignOn::Both][random.below(3) as usize];
        let session = state::Settings {
            sign_on,
            decline_before_sign_on: random.one_in(2),
            answer_us: 5 * S,
            pause_us: 3 * S,
            echo_us: (!random.one_in(3)).then(|| random.between(3 * S, 20 * S)),
            ..state::Settings::default()
        };
        Link { name, settings: SETTINGS.with(|settings| Arc::clone(&settings[at])), session }
    };
    DIALECTS.into_iter().enumerate().map(link).collect()
}

/// Begins the next snapshot, and gives its number.
pub(crate) fn begin_snapshot(
    disk: &Memory,
    keys: &Keys,
    began: Timestamp,
    random: &mut Random,
) -> Option<(u64, SnapshotWriter<Memory>)> {
    let number = snapshot::list(disk).ok()?.last().map_or(1, |last| last + 1);
    let mut salt = [0; 32];
    salt.fill_with(|| random.below(256) as u8);
    let configured = Configured { version: 1, bounds: BOUNDS, keys: KeysKept::default() };
    let head = Head { number, salt, began, configured, seeded: None };
    Some((number, SnapshotWriter::begin(disk, &head, &keys.vault).ok()?))
}

impl World {
    pub(crate) fn new(seed: u64, traced: bool) -> Self {
        let mut random = Random(seed);
        let links = links(&mut random);
        let peers = links.iter().map(|link| Peer::new(link.session.sign_on, &mut random)).collect();
        let policy = Policy {
            reply: if random.one_in(3) { Reply::Fsync } else { Reply::Async },
            fsync_above: population::fsync_above(),
            max_unsynced_ns: 50_000_000,
            max_unsynced_records: random.between(8, 64),
            gather_ns: random.below(2_000_000),
            pace_ns: random.below(1_000_000),
            ahead_max: 1 + random.below(64) as usize,
            parked_max: 200,
        };
        let plan = Plan {
            chaos: random.between(60 * S, 180 * S),
            crashes_every: random.between(15 * S, 60 * S),
            breaks_every: random.between(10 * S, 90 * S),
            steps: random.one_in(2),
            snapshots_every: random.between(4 * S, 30 * S),
            failures: random.between(500, 5_000),
            hashes: random.one_in(4),
            verifies: random.one_in(4),
        };
        Self {
            disk: Memory::seeded(random.below(u64::MAX)),
            random,
            now: 0,
            links,
            peers,
            exchanges: Vec::new(),
            errands: Vec::new(),
            awaited: BTreeMap::new(),
            wire: BTreeMap::new(),
            daemon: None,
            tales: Tales::new(),
            calm: false,
            policy,
            keys: KEYS.with(Arc::clone),
            traced,
            offset_ns: 0,
            queue: BTreeMap::new(),
            scheduled: 0,
            plan,
            next_connection: 0,
            generations: 0,
            copying: false,
            doomed: false,
            epoch: 0,
            floor: 0,
            hashes: BTreeMap::new(),
            latest: Timestamp(0),
        }
    }

    /// Lives through it all, and comes to rest. Returns microseconds of simulated time.
    pub(crate) fn live(&mut self) -> u64 {
        self.start();
        for link in 0..self.links.len() {
            for _ in 0..self.peers[link].wanted {
                self.after(0, 500 * MS, Event::Connect { link });
            }
            self.after(S, 2 * S, Event::Shop { link });
            self.after(5 * S, 15 * S, Event::Echo { link });
        }
        self.after(S, 2 * S, Event::Errand);
        let Plan { chaos, crashes_every, snapshots_every, steps, .. } = self.plan;
        self.after(0, crashes_every * 2, Event::Crash);
        self.after(S, snapshots_every, Event::Snapshot);
        if steps {
            self.after(S, 30 * S, Event::Step);
        }
        self.run_until(chaos);
        self.come_to_rest();
        self.let_time_pass();
        self.expect_books();
        self.end();
        self.now
    }

    // ---- time

    pub(crate) fn clock(&self) -> Clock {
        let true_ns = START.0 + self.now * 1_000;
        Clock { now: self.now, wall: Timestamp(true_ns.saturating_add_signed(self.offset_ns)) }
    }

    /// What a peer's clock shows.
    pub(crate) fn peers_time(&self) -> Timestamp {
        Timestamp(START.0 + self.now * 1_000)
    }

    pub(crate) fn at(&mut self, time: u64, event: Event) {
        self.scheduled += 1;
        self.queue.insert((time, self.scheduled), event);
    }

    /// Schedules something for a random time from now on.
    pub(crate) fn after(&mut self, least: u64, most: u64, event: Event) {
        let time = self.now + self.random.between(least, most);
        self.at(time, event);
    }

    pub(crate) fn run_until(&mut self, time: u64) {
        while let Some(first) = self.queue.first_entry().filter(|first| first.key().0 <= time) {
            let ((at, _), event) = first.remove_entry();
            self.now = at.max(self.now);
            self.happen(event);
        }
        self.now = self.now.max(time);
    }

    pub(crate) fn tale(&mut self, what: &'static str) {
        *self.tales.entry(what).or_default() += 1;
    }

    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        if self.traced {
            eprintln!("{:>4}.{:06} {}", self.now / S, self.now % S, line());
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Arrive { connection, end, bytes } => self.arrive(connection, end, bytes),
            Event::Finish { connection } => {
                self.drive(|daemon, links, clock| daemon.finish(connection, links, clock));
            }
            Event::Break { connection } => self.cut(connection),
            Event::Reset { connection, end } => self.reset(connection, end),
            Event::Tick { connection } => {
                if self.daemon.as_ref().is_some_and(|daemon| daemon.has(connection)) {
                    self.drive(|daemon, links, clock| daemon.tick(connection, links, clock));
                    self.at(self.now + TICK, Event::Tick { connection });
                }
            }
            Event::Connect { link } => self.connect(link),
            Event::SignOn { link } => self.sign_on(link),
            Event::Echo { link } => self.echo(link),
            Event::Shop { link } => self.shop(link),
            Event::Send { number, repeat } => self.send_request(number, repeat),
            Event::Due { number } => self.due(number),
            Event::Follow { number, which } => self.send_follow(number, which),
            Event::Cancel { number } => self.settle_by_reversal(number),
            Event::Take { generation } => self.take(generation),
            Event::Written { generation } => self.written(generation),
            Event::Mark { generation } => self.mark(generation),
            Event::Crash => {
                if !self.calm {
                    // As a rule in the middle of a write.
                    if self.random.one_in(3) {
                        self.crash();
                    } else {
                        self.doomed = true;
                    }
                    self.after(self.plan.crashes_every / 2, self.plan.crashes_every * 2, Event::Crash);
                }
            }
            Event::Restart { generation } => {
                if self.is_alive(generation) {
                    self.crash();
                }
            }
            Event::Stop => self.stop(),
            Event::Stopped { generation } => self.stopped(generation),
            Event::Start => self.start(),
            Event::Snapshot => self.snapshot(),
            Event::Step => self.step(),
            Event::Expire { generation } => self.expire(generation),
            Event::Add { number } => self.add(number),
            Event::End { number } => self.end_estimate(number),
            Event::Complete { number } => self.complete_all(number),
            Event::Errand => self.errand(),
            Event::Ask { number } => self.ask_for(number),
        }
    }

    fn expire(&mut self, generation: u64) {
        if !self.is_alive(generation) {
            return;
        }
        let now = self.clock().both();
        self.latest = self.latest.max(now.wall);
        let ended = self.daemon.as_mut().map_or(Some(0), |daemon| daemon.expire(now));
        match ended {
            Some(0) => {}
            Some(count) => {
                *self.tales.entry("holds that expired").or_default() += count;
                self.trace(|| format!("{count} holds have expired"));
                self.wake_writer();
            }
            None => self.tale("passes that the clock halted"),
        }
        self.after(500 * MS, 3 * S, Event::Expire { generation });
    }

    /// The clock goes past the end of every short hold, and the daemon starts anew, since such a step halts expiry.
    fn let_time_pass(&mut self) {
        self.offset_ns = (OFFSET_MAX_S + 600) * 1_000_000_000;
        self.trace(|| "time passes".to_owned());
        self.crash();
        self.come_to_rest();
        // Of a pass that the journal's window has cut short, the next one does the rest.
        let limit = self.now + REST_LIMIT;
        self.run_until(self.now + 4 * S);
        while self.is_overdue() {
            assert!(self.now < limit, "what is over stays");
            self.run_until(self.now + S);
        }
        self.come_to_rest();
    }

    /// Whether a hold stands whose time is over.
    fn is_overdue(&self) -> bool {
        let now_s = self.clock().both().wall.seconds();
        let daemon = self.daemon.as_ref().expect("it runs");
        (1..=population::WALLETS).any(|wallet| {
            let views = daemon.pipeline.wallet_authorizations(WalletId(wallet)).expect("the wallet");
            let over =
                |entry: &Authorization| entry.state.is_open() && u64::from(entry.hold_until_s) <= now_s;
            views.iter().any(|view| over(&view.authorization))
        })
    }

    /// Somebody sets the wall clock.
    fn step(&mut self) {
        if self.calm {
            return;
        }
        let by_s = self.random.between(1, 600) as i64;
        let by_s = if self.random.one_in(2) { by_s } else { -by_s };
        let offset = (self.offset_ns / 1_000_000_000 + by_s).clamp(-OFFSET_MAX_S, OFFSET_MAX_S);
        self.offset_ns = offset * 1_000_000_000;
        self.tale("clock steps");
        self.trace(|| format!("the wall clock is off by {offset} s"));
        self.after(5 * S, 60 * S, Event::Step);
    }

    // ---- the wire

    /// Lets the daemon do something, and takes what comes of it.
    pub(crate) fn drive(&mut self, work: impl FnOnce(&mut Daemon, &[Link], Clock)) {
        let (clock, links) = (self.clock(), Rc::clone(&self.links));
        self.latest = self.latest.max(clock.wall);
        let Some(daemon) = &mut self.daemon else { return };
        work(daemon, &links, clock);
        let (out, closed) = (std::mem::take(&mut daemon.out), std::mem::take(&mut daemon.closed));
        let late = std::mem::take(&mut daemon.late);
        *self.tales.entry("answers too late to be sent").or_default() += late;
        for (connection, bytes) in out {
            self.leaves(connection, &bytes);
            self.send(connection, End::Peer, &bytes);
        }
        for connection in closed {
            let arrives = self.wire.get(&connection).map_or(0, |connection| connection.arrives[1]);
            self.at(arrives.max(self.now), Event::Reset { connection, end: End::Peer });
        }
        self.wake_writer();
    }

    /// Puts bytes on a wire: they arrive in order, in pieces, each when it likes.
    pub(crate) fn send(&mut self, connection: u64, end: End, bytes: &[u8]) {
        let most = [bytes.len().max(1), 400, 60][self.random.below(3) as usize] as u64;
        let (mut rest, mut delay) = (bytes, self.delay());
        while !rest.is_empty() {
            let piece = rest.len().min(1 + self.random.below(most) as usize);
            let (bytes, later) = rest.split_at(piece);
            rest = later;
            delay += self.random.below(4 * MS);
            let Some(wire) = self.wire.get_mut(&connection) else { return };
            let arrives = &mut wire.arrives[end as usize];
            *arrives = (self.now + delay).max(*arrives);
            let time = *arrives;
            self.at(time, Event::Arrive { connection, end, bytes: bytes.to_vec() });
        }
    }

    fn delay(&mut self) -> u64 {
        let random = &mut self.random;
        match random.below(if self.calm { 50 } else { 1_000 }) {
            980..=992 => random.between(500 * MS, 2 * S),
            993..=999 => random.between(2 * S, 9 * S),
            950..=979 => random.between(20 * MS, 500 * MS),
            _ => random.between(200, 20 * MS),
        }
    }

    fn arrive(&mut self, connection: u64, end: End, bytes: Vec<u8>) {
        let Some(wire) = self.wire.get_mut(&connection).filter(|wire| wire.open[end as usize]) else {
            return;
        };
        match end {
            End::Daemon => {
                self.drive(|daemon, links, clock| daemon.receive(connection, &bytes, links, clock));
            }
            End::Peer => {
                wire.input.extend_from_slice(&bytes);
                self.peer_reads(connection);
            }
        }
    }

    fn cut(&mut self, connection: u64) {
        if self.calm {
            return;
        }
        let Some(wire) = self.wire.get_mut(&connection) else { return };
        if self.random.one_in(3) {
            // In order: the peer says all, and reads what is still to come.
            wire.writable = false;
            let time = wire.arrives[End::Daemon as usize].max(self.now);
            self.at(time, Event::Finish { connection });
            return;
        }
        let link = wire.link;
        self.say_something(link, connection);
        for (end, most) in [(End::Daemon, 60 * MS), (End::Peer, 3 * S)] {
            // Most often in the middle of what is on its way.
            let on_its_way = |event: &Event| match event {
                Event::Arrive { connection: of, end: to, .. } => (*of, *to) == (connection, end),
                _ => false,
            };
            let first = self.queue.iter().find(|(_, event)| on_its_way(event)).map(|((time, _), _)| *time);
            match first {
                Some(time) if !self.random.one_in(4) => self.at(time, Event::Reset { connection, end }),
                _ => self.after(0, most, Event::Reset { connection, end }),
            }
        }
    }

    fn reset(&mut self, connection: u64, end: End) {
        let Some(wire) = self.wire.get_mut(&connection) else { return };
        if !std::mem::take(&mut wire.open[end as usize]) {
            return;
        }
        let link = wire.link;
        match end {
            End::Daemon => {
                let within_frame =
                    self.daemon.as_ref().is_some_and(|daemon| daemon.is_within_frame(connection));
                if within_frame {
                    self.tale("requests cut in the middle");
                }
                self.drive(|daemon, links, clock| daemon.end(connection, links, clock));
            }
            End::Peer => {
                wire.writable = false;
                if !wire.input.is_empty() {
                    self.tale("answers cut in the middle");
                }
                self.peer_lost(link, connection);
            }
        }
        if self.wire.get(&connection).is_some_and(|wire| wire.open == [false; 2]) {
            self.wire.remove(&connection);
        }
    }

    /// A peer connects, when somebody is there who accepts.
    fn connect(&mut self, link: usize) {
        let peer = &self.peers[link];
        if peer.connections.len() >= peer.wanted {
            return;
        }
        let serves = self.daemon.as_ref().is_some_and(|daemon| !daemon.draining);
        if !serves || !self.calm && self.random.one_in(8) {
            self.after(200 * MS, 2 * S, Event::Connect { link });
            return;
        }
        self.next_connection += 1;
        let connection = self.next_connection;
        let wire =
            Connection { link, arrives: [self.now; 2], open: [true; 2], writable: true, input: Vec::new() };
        self.wire.insert(connection, wire);
        self.peer_connected(link, connection);
        self.trace(|| format!("socket {connection} of {} is open", self.links[link].name));
        self.drive(|daemon, links, clock| daemon.accept(connection, link, links, clock));
        self.at(self.now + TICK, Event::Tick { connection });
        self.after(self.plan.breaks_every / 4, self.plan.breaks_every * 2, Event::Break { connection });
    }

    // ---- the journal

    pub(crate) fn is_alive(&self, generation: u64) -> bool {
        self.daemon.as_ref().is_some_and(|daemon| daemon.generation == generation)
    }

    pub(crate) fn wake_writer(&mut self) {
        let Some(daemon) = &mut self.daemon else { return };
        if !daemon.wants_to_write() || daemon.take_is_due {
            return;
        }
        daemon.take_is_due = true;
        let (generation, parked) = (daemon.generation, daemon.pipeline.parked());
        let hurry = self.policy.reply == Reply::Fsync || parked > 0;
        let gather = if hurry { 0 } else { self.policy.gather_ns / 1_000 };
        self.after(20 + gather, 100 + gather, Event::Take { generation });
    }

    fn take(&mut self, generation: u64) {
        let hashes = self.plan.hashes;
        let Some(daemon) = self.daemon.as_mut().filter(|daemon| daemon.generation == generation) else {
            return;
        };
        daemon.take_is_due = false;
        if !daemon.wants_to_write() || !daemon.pipeline.take_gathered(&mut daemon.pending) {
            return;
        }
        (daemon.taken, daemon.writing) = (daemon.pipeline.appended().0, true);
        if hashes {
            let (hash, last) = daemon.pipeline.state_hash();
            self.hashes.insert(last.0, hash);
            while self.hashes.len() > 3 {
                self.hashes.pop_first();
            }
        }
        let random = &mut self.random;
        let latency = match random.below(if self.calm { 400 } else { 420 }) {
            0..=4 => random.between(20 * MS, 200 * MS),
            400..=417 => random.between(50 * MS, 500 * MS),
            418..=419 => random.between(500 * MS, 8 * S),
            _ => random.between(100, 3 * MS),
        };
        self.at(self.now + latency, Event::Written { generation });
        if std::mem::take(&mut self.doomed) {
            self.after(0, latency, Event::Restart { generation });
        }
    }

    fn written(&mut self, generation: u64) {
        if !self.is_alive(generation) {
            return;
        }
        if !self.calm && self.random.one_in(self.plan.failures) {
            let fault = [Fault::Error, Fault::Short, Fault::Dropped][self.random.below(3) as usize];
            let operation = [Operation::Write, Operation::Sync][self.random.below(2) as usize];
            self.disk.inject(operation, 0, fault);
        }
        let Some(daemon) = &mut self.daemon else { return };
        daemon.writing = false;
        let written = daemon.writer.write(&mut daemon.pending);
        let failed = daemon.pipeline.written(written).is_err();
        if failed {
            self.tale("journals that failed");
            self.trace(|| "the journal fails".to_owned());
            self.after(S, 6 * S, Event::Restart { generation });
        }
        self.drive(Daemon::release_all);
        self.at(self.now + IDLE_MARK, Event::Mark { generation });
    }

    fn mark(&mut self, generation: u64) {
        let Some(daemon) = self.daemon.as_mut().filter(|daemon| daemon.generation == generation) else {
            return;
        };
        let idle = !daemon.writing && !daemon.take_is_due && !daemon.wants_to_write();
        if idle && !daemon.pipeline.has_failed() {
            let marked = daemon.writer.write_mark();
            daemon.pipeline.written(marked).expect("a good disk");
        }
    }

    // ---- the daemon's life

    /// The process or the power is gone, in the middle of whatever it did.
    fn crash(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        if daemon.writing && !daemon.pipeline.has_failed() && !self.random.one_in(3) {
            // The write was under way: it stops somewhere.
            let operations = [Operation::Write, Operation::Sync, Operation::Create, Operation::SyncDirectory];
            let fault = [Fault::Error, Fault::Short][self.random.below(2) as usize];
            self.disk.inject(operations[self.random.below(4) as usize], self.random.below(2), fault);
            let _stopped = daemon.writer.write(&mut daemon.pending);
        }
        let crash = self.random.crash();
        self.tale(if crash == Crash::KeepWritten { "kills" } else { "power failures" });
        self.lay_down(&daemon, crash);
    }

    fn lay_down(&mut self, daemon: &Daemon, crash: Crash) {
        let (durable, appended) = (daemon.pipeline.durable().0, daemon.pipeline.appended().0);
        self.trace(|| format!("{crash:?}: {durable} records are durable of {appended}"));
        self.disk = self.disk.after(crash);
        self.floor = self.floor.max(durable);
        let connections: Vec<u64> = self.wire.keys().copied().collect();
        for connection in connections {
            if let Some(wire) = self.wire.get_mut(&connection) {
                wire.open[End::Daemon as usize] = false;
            }
            self.after(0, S, Event::Reset { connection, end: End::Peer });
        }
        if self.calm {
            self.at(self.now, Event::Start);
        } else {
            self.after(100 * MS, 6 * S, Event::Start);
        }
    }

    /// A stop in order (R26), after which nothing at all may be missing.
    fn stop(&mut self) {
        let Some(generation) = self.daemon.as_ref().map(|daemon| daemon.generation) else { return };
        self.trace(|| "the daemon drains".to_owned());
        self.drive(Daemon::drain);
        self.after(2 * S, 4 * S, Event::Stopped { generation });
    }

    fn stopped(&mut self, generation: u64) {
        if !self.is_alive(generation) {
            return;
        }
        self.drive(Daemon::close_all);
        let Some(mut daemon) = self.daemon.take() else { return };
        if daemon.pipeline.has_failed() {
            self.lay_down(&daemon, Crash::KeepWritten);
            return;
        }
        if daemon.writing {
            let written = daemon.writer.write(&mut daemon.pending);
            daemon.pipeline.written(written).expect("a good disk");
        }
        daemon.pipeline.close();
        daemon.pipeline.run_writer(&mut daemon.writer, &|_| ()).expect("a good disk");
        let (hash, last) = daemon.pipeline.state_hash();
        assert_eq!(daemon.pipeline.durable(), last);
        self.hashes.insert(last.0, hash);
        self.tale("stops in order");
        let crash = self.random.crash();
        self.lay_down(&daemon, crash);
    }

    pub(crate) fn restored(&self, shards: u16) -> Result<Rebuilt, RebuildError> {
        recovery::restore(&self.disk, self.opener(), &self.keys.vault, self.settings(shards), &Alone)
    }

    pub(crate) fn opener(&self) -> Opener<'_> {
        Opener { seal: &self.keys.vault, fingerprint: SnapshotKeys::fingerprint(&self.keys.vault) }
    }

    pub(crate) fn settings(&self, shards: u16) -> recovery::Settings {
        recovery::Settings { layout: Layout::new(shards), capacity: CAPACITY, seed: self.keys.table_seed() }
    }

    pub(crate) fn layout(&mut self) -> u16 {
        LAYOUTS[self.random.below(LAYOUTS.len() as u64) as usize]
    }

    fn start(&mut self) {
        if self.daemon.is_some() {
            return;
        }
        self.disk.mend();
        self.inspect();
        let harmed = !self.calm && self.random.one_in(4);
        if harmed {
            let operations = [
                Operation::List,
                Operation::Open,
                Operation::Read,
                Operation::Length,
                Operation::Create,
                Operation::Write,
                Operation::Sync,
                Operation::Rename,
                Operation::SyncDirectory,
                Operation::Truncate,
            ];
            let operation = operations[self.random.below(10) as usize];
            self.disk.inject(operation, self.random.below(4), Fault::Error);
        }
        let begun = self.begin(harmed);
        self.disk.mend();
        let Some(daemon) = begun else {
            self.tale("starts that failed");
            self.disk = self.disk.after(self.random.crash());
            self.after(100 * MS, S, Event::Start);
            return;
        };
        let epoch = daemon.writer.start().epoch;
        assert!(epoch > self.epoch, "no epoch is used twice");
        self.epoch = epoch;
        self.trace(|| format!("epoch {epoch} begins after record {}", daemon.taken));
        self.daemon = Some(daemon);
        self.tale("starts");
        if !self.calm && self.random.one_in(8) {
            // Again, before anything was served.
            self.crash();
            return;
        }
        let first = self.floor == 0;
        self.open(first);
        let generation = self.generations;
        self.after(0, 3 * S, Event::Expire { generation });
        if !self.calm && self.random.one_in(6) {
            self.after(5 * S, 20 * S, Event::Stop);
        }
    }

    /// Recovers the books and begins an epoch. A disk that was harmed may refuse anything.
    fn begin(&mut self, harmed: bool) -> Option<Daemon> {
        let layout = self.layout();
        let rebuilt = match self.restored(layout) {
            Ok(rebuilt) => rebuilt,
            Err(_) if harmed => return None,
            Err(error) => panic!("the disk is not damaged: {error}"),
        };
        assert_eq!(rebuilt.damaged, Vec::new());
        if rebuilt.snapshot.is_some() {
            self.tale("starts from a snapshot");
        }
        if rebuilt.recovered.torn.is_some() {
            self.tale("torn tails");
        }
        snapshots::release(&self.disk, &self.keys, &self.recycling(), None).ok()?;
        let epoch_min = u32::try_from(self.clock().wall.seconds()).expect("before 2106");
        let settings = writer::Settings { segment_bytes: 0, epoch_min };
        let fingerprint = self.keys.vault.fingerprint();
        let writer = Writer::begin(self.disk.clone(), &rebuilt.recovered, fingerprint, settings).ok()?;
        self.generations += 1;
        let (keys, begun) = (Arc::clone(&self.keys), self.clock().both());
        Some(Daemon::new(
            rebuilt.books,
            writer,
            keys,
            self.policy.clone(),
            &self.links,
            (self.generations, begun),
        ))
    }

    /// What every start records, and at the first one everybody with their cards.
    fn open(&mut self, first: bool) {
        let now = self.clock().both();
        let Some(daemon) = &mut self.daemon else { return };
        let configured =
            Record::Configured(Configured { version: 1, bounds: BOUNDS, keys: KeysKept::default() });
        daemon.pipeline.commit_to_all(&configured, now).expect("room");
        if first {
            callers::set_rate(&daemon.pipeline, now);
            population::open(&daemon.pipeline, now, || {
                assert!(daemon.pipeline.take_gathered(&mut daemon.pending));
                let written = daemon.writer.write(&mut daemon.pending);
                daemon.pipeline.written(written).expect("a good disk");
            });
            daemon.taken = daemon.pipeline.appended().0;
            self.floor = daemon.taken;
        }
        self.wake_writer();
    }

    fn recycling(&self) -> snapshots::Settings {
        snapshots::Settings {
            every: None,
            bytes_per_s: u64::MAX,
            kept: 2,
            retained_segments: 1,
            spare_segments: 1,
            more_spares: true,
            segment_bytes: 1 << 20,
            behind_segments_max: 8,
        }
    }

    // ---- snapshots

    fn snapshot(&mut self) {
        if self.copying || self.calm {
            return;
        }
        self.after(self.plan.snapshots_every / 2, self.plan.snapshots_every * 2, Event::Snapshot);
        let Some(daemon) = self.daemon.as_ref().filter(|daemon| !daemon.pipeline.has_failed()) else {
            return;
        };
        let (pipeline, generation) = (Arc::clone(&daemon.pipeline), daemon.generation);
        self.copying = true;
        let made = self.copy(&pipeline, generation);
        self.copying = false;
        self.tale(if made.is_some() { "snapshots" } else { "snapshots that were given up" });
    }

    /// Makes a snapshot while everything goes on. `None` when the daemon or the disk did not live to see it.
    fn copy(&mut self, pipeline: &Pipeline, generation: u64) -> Option<()> {
        let disk = self.disk.clone();
        let keys = Arc::clone(&self.keys);
        let began = self.clock().wall;
        let (number, mut writer) = begin_snapshot(&disk, &keys, began, &mut self.random)?;
        let steps = Steps {
            hold_bytes: self.random.between(1, 400) as usize,
            block_bytes: self.random.between(1, 2_000) as usize,
        };
        self.trace(|| format!("snapshot {number} begins"));
        let copied = pipeline.copy_into(&mut writer, steps, &mut |_| {
            if self.is_alive(generation) {
                let pause = self.random.below(80 * MS);
                self.run_until(self.now + pause);
            }
        });
        copied.ok()?;
        let unpublished = writer.end(snapshots::anchor(&disk).ok()?).ok()?;
        while pipeline.durable() < unpublished.tail.last {
            if pipeline.has_failed() || !self.is_alive(generation) {
                unpublished.discard();
                return None;
            }
            self.run_until(self.now + MS);
        }
        if !self.is_alive(generation) {
            return None;
        }
        if self.random.one_in(8) {
            let operations = [Operation::Read, Operation::Open, Operation::Rename, Operation::SyncDirectory];
            disk.inject(operations[self.random.below(4) as usize], 0, Fault::Error);
        }
        let published = unpublished.publish(&keys.vault);
        disk.mend();
        published.ok()?;
        let released = snapshots::release(&disk, &keys, &self.recycling(), None).expect("a good disk");
        *self.tales.entry("segments that were recycled").or_default() += released as u64;
        self.trace(|| format!("snapshot {number} is made; {released} segments are recycled"));
        Some(())
    }

    // ---- the end

    fn come_to_rest(&mut self) {
        (self.calm, self.doomed) = (true, false);
        self.trace(|| "from here on nothing goes wrong".to_owned());
        let failed =
            self.daemon.as_ref().is_some_and(|daemon| daemon.pipeline.has_failed() || daemon.draining);
        if failed {
            self.crash();
        }
        let limit = self.now + REST_LIMIT;
        while !self.rests() {
            assert!(self.now < limit, "it does not come to rest: {}", self.unrest());
            self.run_until(self.now + 100 * MS);
        }
    }

    fn rests(&self) -> bool {
        let Some(daemon) = &self.daemon else { return false };
        let pipeline = &daemon.pipeline;
        pipeline.parked() == 0
            && pipeline.appended() == pipeline.durable()
            && daemon.out_of_service().is_empty()
            && self.exchanges.iter().all(Exchange::is_settled)
            && self.errands.iter().all(Errand::is_over)
    }

    fn unrest(&self) -> String {
        let off = self.daemon.as_ref().map(Daemon::out_of_service);
        let open = self.exchanges.iter().filter(|exchange| !exchange.is_settled());
        let errands = self.errands.iter().filter(|errand| !errand.is_over());
        let (open, errands): (Vec<_>, Vec<_>) = (open.take(3).collect(), errands.take(3).collect());
        format!("not signed on: {off:?}; not settled: {open:?}; not known: {errands:?}")
    }

    /// The daemon goes, and what it leaves is what it was.
    fn end(&mut self) {
        let Some(daemon) = self.daemon.take() else { return };
        let (hash, last) = daemon.pipeline.state_hash();
        self.hashes.insert(last.0, hash);
        self.disk = self.disk.after(Crash::LoseUnsynced);
        self.floor = self.floor.max(daemon.pipeline.durable().0);
        self.inspect();
        if self.plan.verifies {
            self.verify_snapshots();
        }
        let large = self.exchanges.iter().filter(|exchange| exchange.request.amount > LARGE).count();
        *self.tales.entry("large amounts").or_default() += large as u64;
    }
}
