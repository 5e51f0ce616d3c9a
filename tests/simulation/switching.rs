//! The switch between networks and hosts, under the same clock of one seed: networks ask, hosts answer, late, twice,
//! wrongly or not at all, wires are cut, hosts go and come back, the daemon is killed and starts from its disk.
//!
//! What must come out is that of each purchase the hosts together hold what its network knows: what it was told, or
//! what it has settled by a reversal or an advice of its own. With `async` nothing is killed: what a crash may take
//! there is not the switch's.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use turnpike::config::Config;
use turnpike::crypto::keys::Keys;
use turnpike::dialect::Dialect;
use turnpike::domain::event::Configured;
use turnpike::domain::event::Event as Record;
use turnpike::domain::moved::KeysKept;
use turnpike::domain::party::NameId;
use turnpike::domain::seal::SnapshotKeys;
use turnpike::domain::time::Now;
use turnpike::domain::time::Timestamp;
use turnpike::domain::time::TransmissionTime;
use turnpike::edge::snapshots;
use turnpike::journal::buffer::Pending;
use turnpike::journal::recover::Opener;
use turnpike::journal::writer;
use turnpike::journal::writer::Writer;
use turnpike::ledger::books::Layout;
use turnpike::link::state;
use turnpike::link::state::Moment;
use turnpike::link::state::SocketId;
use turnpike::pipeline::channel::Channel;
use turnpike::pipeline::channel::ChannelSettings;
use turnpike::pipeline::core::Pipeline;
use turnpike::pipeline::gate::Policy;
use turnpike::pipeline::gate::Reply;
use turnpike::pipeline::snapshot::Steps;
use turnpike::pipeline::station::Seat;
use turnpike::pipeline::station::Station;
use turnpike::pipeline::switching::Line;
use turnpike::pipeline::switching::Switchboard;
use turnpike::pipeline::switching::outbox::Outbox;
use turnpike::pipeline::switching::way::Home;
use turnpike::recovery;
use turnpike::recovery::crew::Alone;
use turnpike::switch::route::LinkIndex;
use turnpike::switch::trunk::Trunk;

use super::daemon::authorizer;
use super::exchange::APPROVED;
use super::exchange::Exchange;
use super::exchange::Follow;
use super::exchange::Kind;
use super::exchange::Left;
use super::exchange::Told;
use super::exchange::Which;
use super::host;
use super::host::Host;
use super::memory::Crash;
use super::memory::Memory;
use super::messages;
use super::messages::Named;
use super::messages::Read;
use super::population::BOUNDS;
use super::population::CAPACITY;
use super::world;
use super::world::MS;
use super::world::Random;
use super::world::S;
use super::world::Tales;

/// 24 November 2026, 12:34:56 UTC.
const START_S: u64 = 1_795_523_696;
const NETWORKS: usize = 2;
const HOSTS: usize = 2;
const DIALECTS: [&str; 4] = ["visa", "mastercard", "iso87-ascii", "iso87-binary"];
const CARDS: u64 = 5;
const CURRENCY: u16 = 840;
/// A simulation that has not come to rest by then never will.
const REST_LIMIT: u64 = 20 * 60 * S;

/// What must have happened in a run of some seeds.
pub(crate) const MUST_HAPPEN: [&str; 20] = [
    "approvals",
    "declines",
    "answers 91",
    "answers after the time-out",
    "approvals in a host's place",
    "repeats",
    "reversals",
    "reversals before their requests",
    "time-outs of networks",
    "stand-ins of networks",
    "answers of hosts that were lost",
    "answers of hosts that came late",
    "answers of hosts that came twice",
    "answers of hosts that were wrong",
    "hosts that went",
    "kills and power failures",
    "starts from a snapshot",
    "snapshots",
    "purchases that the second host holds",
    "requests asked again on another socket",
];

#[derive(Clone, Debug)]
enum Event {
    ToDaemon { socket: u64, bytes: Vec<u8> },
    ToPeer { socket: u64, bytes: Vec<u8> },
    Connect { link: usize },
    Break { link: usize },
    Tick { generation: u64 },
    Write { generation: u64 },
    Kill,
    Start,
    Snapshot,
    Shop { link: usize },
    Send { number: u32, repeat: bool },
    Due { number: u32 },
    Follow { number: u32, which: Which },
    Cancel { number: u32 },
}

struct Socket {
    link: usize,
    channel: Channel,
    outbox: Arc<Outbox>,
}

/// A process, from its start to its end.
struct Node {
    generation: u64,
    pipeline: Arc<Pipeline>,
    board: Arc<Switchboard>,
    writer: Writer<Memory>,
    pending: Pending,
    taken: u64,
    write_is_due: bool,
    stations: Vec<Arc<Station>>,
    sockets: BTreeMap<u64, Socket>,
}

/// One seed.
pub(crate) struct World {
    random: Random,
    now: u64,
    queue: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    config: Rc<Config>,
    settings: Vec<Arc<ChannelSettings>>,
    policy: Policy,
    kills: bool,
    node: Option<Node>,
    disk: Memory,
    keys: Arc<Keys>,
    generations: u64,
    /// The socket of each link, while it is open.
    wires: Vec<Option<u64>>,
    next_socket: u64,
    stans: [u32; NETWORKS],
    purchases: Vec<Exchange>,
    /// By link, MTI of the answer and DE 11: what is answered.
    awaited: BTreeMap<(usize, u16, u32), (u32, Which)>,
    hosts: [Host; HOSTS],
    calm: bool,
    copying: bool,
    traced: bool,
    pub(crate) tales: Tales,
}

fn config(dialects: &[&str; NETWORKS + HOSTS], random: &mut Random) -> Config {
    let forward = "timeout_ms = 2000\nagain_ms = 500\nagain_max_ms = 4000\nsick_after = 4\nprobe_ms = 500\n";
    let window = random.between(1, 9);
    let one_host = random.one_in(2);
    let link = |name: &str, dialect: &str, more: &str| {
        format!("[links.{name}]\ndialect = \"{dialect}\"\nanswer_deadline_ms = 4000\n{more}\n")
    };
    let mut text = String::new();
    for (n, dialect) in dialects[..NETWORKS].iter().enumerate() {
        text += &link(&format!("network-{n}"), dialect, &format!("listen = \"127.0.0.1:{}\"", 8_100 + n));
    }
    for (n, dialect) in dialects[NETWORKS..].iter().enumerate() {
        let more = format!(
            "connect = [\"127.0.0.1:{}\"]\n[links.host-{n}.forward]\n{forward}window = {window}\n\
             one_host = {one_host}\n",
            8_200 + n
        );
        text += &link(&format!("host-{n}"), dialect, &more);
    }
    let stand_in = if random.one_in(4) { "" } else { "stand_in = \"small\"\n" };
    text += &format!(
        "[routes.hosts]\niin = [\"520474\"]\nto = [\"host-0\", \"host-1\"]\n{stand_in}\
         [stand_in.small]\nfloor = {{ \"840\" = 3000 }}\nexposure = {{ \"840\" = 9000 }}\ncount = 6\n"
    );
    Config::from_toml("simulation.toml", &text).unwrap_or_else(|findings| panic!("{findings:?}"))
}

impl World {
    pub(crate) fn new(seed: u64, traced: bool) -> Self {
        let mut random = Random(seed.wrapping_add(0x5eed));
        let mut dialects = [""; NETWORKS + HOSTS];
        dialects.iter_mut().for_each(|dialect| *dialect = DIALECTS[random.below(4) as usize]);
        let config = Rc::new(config(&dialects, &mut random));
        let settings = config.links.iter().map(|link| {
            Arc::new(ChannelSettings {
                dialect: Dialect::built_in(&link.dialect).expect("a dialect that is compiled in"),
                context: ChannelSettings::context_of(&link.network, &link.name),
                answer_deadline_ms: link.answer_deadline_ms,
                parked_max: 64,
            })
        });
        let kills = !random.one_in(3);
        let policy = Policy {
            reply: if kills { Reply::Fsync } else { Reply::Async },
            fsync_above: Vec::new(),
            max_unsynced_ns: 50_000_000,
            max_unsynced_records: 64,
            gather_ns: 0,
            pace_ns: 0,
            ahead_max: 64,
            parked_max: 200,
        };
        Self {
            settings: settings.collect(),
            disk: Memory::seeded(random.below(u64::MAX)),
            stans: [random.below(900_000) as u32, random.below(900_000) as u32],
            random,
            now: 0,
            queue: BTreeMap::new(),
            scheduled: 0,
            config,
            policy,
            kills,
            node: None,
            keys: Arc::new(Keys::from_master(zeroize::Zeroizing::new([7; 32]))),
            generations: 0,
            wires: vec![None; NETWORKS + HOSTS],
            next_socket: 0,
            purchases: Vec::new(),
            awaited: BTreeMap::new(),
            hosts: [Host::default(), Host::default()],
            calm: false,
            copying: false,
            traced,
            tales: Tales::new(),
        }
    }

    /// Lives through it all, and comes to rest. Returns microseconds of simulated time.
    pub(crate) fn live(&mut self) -> u64 {
        self.start();
        for link in 0..NETWORKS {
            self.after(S, 2 * S, Event::Shop { link });
        }
        if self.kills {
            self.after(5 * S, 40 * S, Event::Kill);
            self.after(3 * S, 20 * S, Event::Snapshot);
        }
        let chaos = self.random.between(40 * S, 120 * S);
        self.run_until(chaos);
        self.come_to_rest();
        self.expect_books();
        self.now
    }

    // ---- time

    fn clock(&self) -> Now {
        let wall = Timestamp(START_S * 1_000_000_000 + self.now * 1_000);
        Now { wall, elapsed_ns: self.now * 1_000 + 1 }
    }

    fn after(&mut self, least: u64, most: u64, event: Event) {
        let time = self.now + self.random.between(least, most);
        self.scheduled += 1;
        self.queue.insert((time, self.scheduled), event);
    }

    fn run_until(&mut self, time: u64) {
        while let Some(first) = self.queue.first_entry().filter(|first| first.key().0 <= time) {
            let ((at, _), event) = first.remove_entry();
            self.now = at.max(self.now);
            self.happen(event);
        }
        self.now = self.now.max(time);
    }

    fn tale(&mut self, what: &'static str) {
        *self.tales.entry(what).or_default() += 1;
    }

    fn trace(&self, line: impl FnOnce() -> String) {
        if self.traced {
            eprintln!("{:>4}.{:06} {}", self.now / S, self.now % S, line());
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToDaemon { socket, bytes } => self.daemon_reads(socket, &bytes),
            Event::ToPeer { socket, bytes } => self.peer_reads(socket, &bytes),
            Event::Connect { link } => self.connect(link),
            Event::Break { link } => self.cut(link),
            Event::Tick { generation } => self.tick(generation),
            Event::Write { generation } => self.write(generation),
            Event::Kill => self.kill(),
            Event::Start => self.start(),
            Event::Snapshot => self.snapshot(),
            Event::Shop { link } => self.shop(link),
            Event::Send { number, repeat } => self.send_request(number, repeat),
            Event::Due { number } => self.due(number),
            Event::Follow { number, which } => self.send_follow(number, which),
            Event::Cancel { number } => self.reverse(number),
        }
    }

    // ---- wires

    fn connect(&mut self, link: usize) {
        let pause = if link < NETWORKS { S } else { 400 * MS };
        let Some(node) = self.node.as_mut().filter(|_| self.wires[link].is_none()) else {
            if self.node.is_none() {
                self.after(100 * MS, pause, Event::Connect { link });
            }
            return;
        };
        self.next_socket += 1;
        let (id, now) = (self.next_socket, Moment(self.now));
        let outbox = Arc::new(Outbox::new(SocketId(id), || ()));
        let index = LinkIndex(link as u16);
        node.stations[link].with(|session| session.up(SocketId(id), now));
        node.board.line(index).expect("a line").up(Arc::clone(&outbox));
        let mut channel = Channel::default();
        channel.lives_at(Home::new(Arc::clone(&node.board), index, Arc::clone(&outbox)));
        node.sockets.insert(id, Socket { link, channel, outbox });
        self.wires[link] = Some(id);
        self.trace(|| format!("socket {id} of {} is open", self.config.links[link].name));
        let most = if link < NETWORKS { 60 * S } else { 40 * S };
        self.after(2 * S, most, Event::Break { link });
        self.drive();
    }

    /// The wire is cut; what is on it is lost. A host may be gone for longer.
    fn cut(&mut self, link: usize) {
        if self.calm {
            return;
        }
        let Some(id) = self.wires[link].take() else { return };
        self.trace(|| format!("socket {id} of {} is cut", self.config.links[link].name));
        if let Some(node) = &mut self.node {
            node.end(id);
        }
        let gone = link >= NETWORKS && self.random.one_in(3);
        if gone {
            self.tale("hosts that went");
        }
        let (least, most) = if gone { (5 * S, 25 * S) } else { (20 * MS, S) };
        self.after(least, most, Event::Connect { link });
        self.drive();
    }

    fn delay(&mut self) -> u64 {
        let random = &mut self.random;
        match random.below(if self.calm { 50 } else { 1_000 }) {
            985..=999 => random.between(300 * MS, 3 * S),
            950..=984 => random.between(20 * MS, 300 * MS),
            _ => random.between(100, 15 * MS),
        }
    }

    fn wire_to_daemon(&mut self, link: usize, bytes: Vec<u8>) {
        if let Some(socket) = self.wires[link] {
            let delay = self.delay();
            self.after(delay, delay + 1, Event::ToDaemon { socket, bytes });
        }
    }

    fn daemon_reads(&mut self, id: u64, bytes: &[u8]) {
        let now = self.clock();
        let Some(node) = &mut self.node else { return };
        let Some(socket) = node.sockets.get_mut(&id) else { return };
        let settings = &self.settings[socket.link];
        let seat =
            Seat { station: &node.stations[socket.link], socket: SocketId(id), moment: Moment(self.now) };
        let mut out = Vec::new();
        let served = socket.channel.receive(settings, &node.pipeline, seat, &|| now, bytes, &mut out);
        assert_eq!(served.expect("right framing"), bytes.len());
        socket.channel.tally.clear();
        let _shown = socket.channel.take_notices().count();
        self.leaves(id, out);
        self.drive();
    }

    fn leaves(&mut self, socket: u64, bytes: Vec<u8>) {
        if !bytes.is_empty() {
            let delay = self.delay();
            self.after(delay, delay + 1, Event::ToPeer { socket, bytes });
        }
    }

    /// Everything that may leave leaves, and what was appended is to be written.
    fn drive(&mut self) {
        let now = self.clock();
        let Some(node) = &mut self.node else { return };
        let mut out = Vec::new();
        for (id, socket) in &mut node.sockets {
            let mut bytes = Vec::new();
            socket.channel.release(&node.pipeline, now, &mut bytes);
            socket.outbox.take(node.pipeline.durable(), now, &mut bytes);
            out.push((*id, bytes));
        }
        let due = node.pipeline.appended().0 > node.taken && !node.write_is_due;
        node.write_is_due |= due;
        let generation = node.generation;
        out.into_iter().for_each(|(id, bytes)| self.leaves(id, bytes));
        if due {
            let most = if self.random.one_in(50) { 150 * MS } else { 3 * MS };
            self.after(50, most, Event::Write { generation });
        }
    }

    fn is_alive(&self, generation: u64) -> bool {
        self.node.as_ref().is_some_and(|node| node.generation == generation)
    }

    fn tick(&mut self, generation: u64) {
        if self.is_alive(generation) {
            let now = self.clock();
            if let Some(node) = &self.node {
                node.pipeline.tick_switch(&node.board, now);
            }
            self.drive();
            let condemned = |socket: &Socket| socket.outbox.is_condemned().then_some(socket.link);
            let links: Vec<usize> =
                self.node.iter().flat_map(|node| node.sockets.values().filter_map(condemned)).collect();
            for link in links {
                let calm = std::mem::take(&mut self.calm);
                self.cut(link);
                self.calm = calm;
            }
            self.after(5 * MS, 20 * MS, Event::Tick { generation });
        }
    }

    // ---- the daemon's life

    fn write(&mut self, generation: u64) {
        let Some(node) = self.node.as_mut().filter(|node| node.generation == generation) else { return };
        node.write_is_due = false;
        if node.pipeline.take_gathered(&mut node.pending) {
            node.taken = node.pipeline.appended().0;
            let written = node.writer.write(&mut node.pending);
            node.pipeline.written(written).expect("a good disk");
        }
        self.drive();
    }

    /// It ends with the daemon.
    fn count_asked_again(&mut self) {
        let lines = self.node.iter().flat_map(|node| node.board.lines());
        let asked: u64 = lines.map(|line| line.asked_again.load(Ordering::Relaxed)).sum();
        *self.tales.entry("requests asked again on another socket").or_default() += asked;
    }

    fn kill(&mut self) {
        if self.calm {
            return;
        }
        self.after(5 * S, 40 * S, Event::Kill);
        self.count_asked_again();
        if self.node.take().is_none() {
            return;
        }
        self.tale("kills and power failures");
        let crash = match self.random.below(3) {
            0 => Crash::LoseUnsynced,
            1 => Crash::KeepWritten,
            _ => Crash::Tear(self.random.below(u64::MAX)),
        };
        self.trace(|| format!("{crash:?}"));
        self.disk = self.disk.after(crash);
        self.wires.iter_mut().for_each(|wire| *wire = None);
        self.after(50 * MS, 4 * S, Event::Start);
    }

    fn start(&mut self) {
        let opener =
            Opener { seal: &self.keys.vault, fingerprint: SnapshotKeys::fingerprint(&self.keys.vault) };
        let (layout, seed) = (Layout::new(2), self.keys.table_seed());
        let settings = recovery::Settings { layout, capacity: CAPACITY, seed };
        let rebuilt = recovery::restore(&self.disk, opener, &self.keys.vault, settings, &Alone);
        let mut rebuilt = rebuilt.unwrap_or_else(|error| panic!("the disk is not damaged: {error}"));
        if rebuilt.snapshot.is_some() {
            self.tale("starts from a snapshot");
        }
        let now = self.clock();
        let epoch_min = u32::try_from(now.wall.seconds()).expect("before 2106");
        let begun = writer::Settings { segment_bytes: 0, epoch_min };
        let fingerprint = self.keys.vault.fingerprint();
        let writer =
            Writer::begin(self.disk.clone(), &rebuilt.recovered, fingerprint, begun).expect("a good disk");
        let start = writer.start();
        let (keys, policy) = (Arc::clone(&self.keys), self.policy.clone());
        let pipeline = Arc::new(Pipeline::new(rebuilt.books, start, authorizer(), keys, policy));
        let session = || state::Settings { sign_on: state::SignOn::Peer, ..state::Settings::default() };
        let stations: Vec<Arc<Station>> =
            self.settings.iter().map(|_| Arc::new(Station::new(session()))).collect();
        let line = |(n, link): (usize, &turnpike::config::link::LinkSettings)| {
            let bounds = link.forward.party.bounds;
            let trunk = rebuilt.trunks.remove(&NameId::of(&link.name).0);
            let mut trunk = trunk.unwrap_or_else(|| Trunk::new(bounds));
            trunk.bound(bounds);
            let treated = (link.forward.party, link.forward.carriage.clone());
            Line::new(&link.name, treated, Arc::clone(&self.settings[n]), Arc::clone(&stations[n]), trunk)
        };
        let lines: Vec<Line> = self.config.links.iter().enumerate().map(line).collect();
        let board = Arc::new(Switchboard::new(self.config.routes.table().clone(), lines, Vec::new()));
        pipeline.switch_with(Arc::clone(&board));
        let configured =
            Record::Configured(Configured { version: 1, bounds: BOUNDS, keys: KeysKept::default() });
        pipeline.commit_to_all(&configured, now).expect("room");
        pipeline.reverse_open(&board, now);
        self.generations += 1;
        let (generation, pending) = (self.generations, pipeline.spare());
        self.trace(|| format!("epoch {} begins after record {}", start.epoch, start.last.0));
        self.node = Some(Node {
            generation,
            pipeline,
            board,
            writer,
            pending,
            taken: start.last.0,
            write_is_due: false,
            stations,
            sockets: BTreeMap::new(),
        });
        for link in 0..NETWORKS + HOSTS {
            self.after(0, 500 * MS, Event::Connect { link });
        }
        self.after(0, 20 * MS, Event::Tick { generation });
        self.drive();
    }

    fn snapshot(&mut self) {
        if self.calm || self.copying {
            return;
        }
        self.after(3 * S, 20 * S, Event::Snapshot);
        let Some(node) = &self.node else { return };
        let (pipeline, generation) = (Arc::clone(&node.pipeline), node.generation);
        self.copying = true;
        let made = self.copy(&pipeline, generation);
        self.copying = false;
        if made.is_some() {
            self.tale("snapshots");
        }
    }

    /// Makes a snapshot while everything goes on. `None` when the daemon did not live to see it.
    fn copy(&mut self, pipeline: &Pipeline, generation: u64) -> Option<()> {
        let (disk, keys) = (self.disk.clone(), Arc::clone(&self.keys));
        let began = self.clock().wall;
        let (_, mut writer) = world::begin_snapshot(&disk, &keys, began, &mut self.random)?;
        let steps = Steps {
            hold_bytes: self.random.between(1, 300) as usize,
            block_bytes: self.random.between(1, 900) as usize,
        };
        let copied = pipeline.copy_into(&mut writer, steps, &mut |_| {
            if self.is_alive(generation) && self.random.one_in(4) {
                let pause = self.random.below(40 * MS);
                self.run_until(self.now + pause);
            }
        });
        copied.ok()?;
        let unpublished = writer.end(snapshots::anchor(&disk).ok()?).ok()?;
        while pipeline.durable() < unpublished.tail.last {
            if !self.is_alive(generation) {
                unpublished.discard();
                return None;
            }
            self.run_until(self.now + MS);
        }
        if self.is_alive(generation) {
            unpublished.publish(&keys.vault).expect("a good disk");
            return Some(());
        }
        None
    }

    // ---- hosts

    fn host_reads(&mut self, host: usize, frame: &[u8]) {
        let link = NETWORKS + host;
        let said = self.hosts[host].hears(&self.settings[link], frame, &mut self.random);
        self.trace(|| {
            let held = self.hosts[host].book[&said.number].held();
            format!("host {host} gets {:04} of purchase {}: {held} held", said.mti, said.number)
        });
        if self.calm {
            return self.wire_to_daemon(link, said.answer);
        }
        match self.random.below(60) {
            0..=2 => self.tale("answers of hosts that were lost"),
            3..=4 => {
                self.tale("answers of hosts that came twice");
                self.wire_to_daemon(link, said.answer.clone());
                self.wire_to_daemon(link, said.answer);
            }
            5..=7 => {
                self.tale("answers of hosts that came late");
                let Some(socket) = self.wires[link] else { return };
                self.after(S, 6 * S, Event::ToDaemon { socket, bytes: said.answer });
            }
            8 => {
                self.tale("answers of hosts that were wrong");
                self.wire_to_daemon(link, said.wrong);
            }
            _ => self.wire_to_daemon(link, said.answer),
        }
    }

    // ---- networks

    fn peer_reads(&mut self, socket: u64, bytes: &[u8]) {
        let Some(link) = self.wires.iter().position(|wire| *wire == Some(socket)) else { return };
        let settings = Arc::clone(&self.settings[link]);
        let mut at = 0;
        while let Some(frame) = settings.dialect.frame(&bytes[at..]).expect("right framing") {
            let body = &bytes[at + frame.body.start..at + frame.body.end];
            at += frame.total;
            if link >= NETWORKS {
                self.host_reads(link - NETWORKS, body);
                continue;
            }
            match messages::read(&settings.dialect, settings.context, body) {
                Read::Answer(seen) => self.network_hears(link, &seen),
                Read::Asks(..) => panic!("nothing was asked for"),
            }
        }
        assert_eq!(at, bytes.len(), "whole frames only");
    }

    fn purchase(&mut self, number: u32) -> &mut Exchange {
        &mut self.purchases[number as usize - 1]
    }

    fn name(&mut self, link: usize, mti: u16) -> Named {
        let transmission = format!("{:010}", TransmissionTime::at(self.clock().wall).digits());
        self.stans[link] = self.stans[link] % 999_999 + 1;
        Named { mti, stan: self.stans[link], transmission }
    }

    fn shop(&mut self, link: usize) {
        if self.calm {
            return;
        }
        self.after(20 * MS, 500 * MS, Event::Shop { link });
        let card = self.random.between(1, CARDS + 1);
        let most = [2_000, 8_000][self.random.below(2) as usize];
        let amount = self.random.between(1, most) as i64;
        let named = self.name(link, 100);
        let number = self.purchases.len() as u32 + 1;
        self.awaited.insert((link, 110, named.stan), (number, Which::Request));
        let card = (card, 5_204_740_000_000_000 + card);
        let purchase = Exchange::new(link, card, Kind::Purchase, (number, named), (amount, CURRENCY));
        self.purchases.push(purchase);
        if self.random.one_in(40) {
            self.purchase(number).over = true;
            self.reverse(number);
            self.after(0, 2 * S, Event::Send { number, repeat: false });
            self.tale("reversals before their requests");
            return;
        }
        self.send_request(number, false);
        self.after(5 * S, 8 * S, Event::Due { number });
    }

    fn compose(&mut self, number: u32, mut message: messages::Message, repeat: bool) {
        message.named.mti += u16::from(repeat);
        let link = self.purchase(number).link;
        let frame = messages::compose(&self.settings[link].dialect, &message);
        self.trace(|| {
            let (mti, stan) = (message.named.mti, message.named.stan);
            format!("network {link}: {mti:04} {stan:06} purchase {number}: {}", message.amount)
        });
        if self.calm || !self.random.one_in(50) {
            self.wire_to_daemon(link, frame);
        }
    }

    fn send_request(&mut self, number: u32, repeat: bool) {
        let purchase = self.purchase(number);
        // Who was told 91 and asks again cannot know which of the answers is true.
        let unsure = purchase.heard.as_ref().is_some_and(Told::is_refusal);
        purchase.sent += 1;
        let (message, enough) = (purchase.request.clone(), purchase.sent > 3);
        if unsure {
            self.reverse(number);
        }
        self.compose(number, message, repeat);
        if repeat {
            self.tale("repeats");
        }
        match self.random.below(if enough { 1 } else { 10 }) {
            8 => self.after(MS, 3 * S, Event::Send { number, repeat: false }),
            9 => self.after(MS, 6 * S, Event::Send { number, repeat: true }),
            _ => {}
        }
    }

    fn due(&mut self, number: u32) {
        let purchase = self.purchase(number);
        if std::mem::replace(&mut purchase.over, true) {
            return;
        }
        self.tale("time-outs of networks");
        match self.random.below(4) {
            0 => self.stand_in(number, true),
            1 => self.stand_in(number, false),
            _ => self.reverse(number),
        }
    }

    /// The network decides by itself; its time-out of our answer, where it tells that, goes with it.
    fn stand_in(&mut self, number: u32, approves: bool) {
        self.tale("stand-ins of networks");
        let link = self.purchase(number).link;
        let tells_legs = ["visa", "mastercard"].contains(&self.settings[link].dialect.name());
        if tells_legs && self.random.one_in(2) {
            self.begin(number, Which::Timeout, true);
        }
        self.begin(number, Which::Advice, approves);
        if self.random.one_in(4) {
            self.after(2 * S, 20 * S, Event::Cancel { number });
        }
    }

    fn reverse(&mut self, number: u32) {
        if self.purchase(number).reversal.is_none() {
            self.tale("reversals");
            let advice = self.random.one_in(2);
            self.begin(number, Which::Reversal, advice);
        }
    }

    fn begin(&mut self, number: u32, which: Which, advice: bool) {
        let link = self.purchase(number).link;
        let named = self.name(link, 0);
        let purchase = self.purchase(number);
        let message = purchase.following(which, advice, named);
        let key = (link, message.named.mti + 10, message.named.stan);
        *purchase.follow_mut(which) = Some(Follow { message, sent: 0, told: false, heard: false });
        self.awaited.insert(key, (number, which));
        self.after(0, S, Event::Follow { number, which });
    }

    fn send_follow(&mut self, number: u32, which: Which) {
        let follow = self.purchase(number).follow_mut(which).as_mut();
        let Some(follow) = follow.filter(|follow| !follow.heard) else { return };
        let (message, again) = (follow.message.clone(), follow.sent > 0);
        follow.sent += 1;
        self.compose(number, message, again);
        self.after(2 * S, 6 * S, Event::Follow { number, which });
    }

    fn network_hears(&mut self, link: usize, seen: &messages::Seen) {
        let awaited = self.awaited.get(&(link, seen.mti, seen.stan)).copied();
        let (number, which) = awaited.unwrap_or_else(|| panic!("{seen:?} answers nothing"));
        self.trace(|| {
            let messages::Seen { mti, stan, code, approval, .. } = seen;
            format!("network {link} hears {mti:04} {stan:06} \"{code}\" {approval} of purchase {number}")
        });
        if which != Which::Request {
            assert_eq!(seen.code, APPROVED, "what has happened is never declined");
            if let Some(follow) = self.purchase(number).follow_mut(which) {
                follow.heard = true;
            }
            return;
        }
        let told = Told { code: seen.code.clone(), approval: seen.approval.clone(), amount: seen.amount };
        assert!(told.is_possible(), "{told:?} to purchase {number}");
        if told.approves() {
            assert_eq!(told.amount, self.purchase(number).request.amount);
            let by_host = told.approval.starts_with('H') && told.approval.len() == 6;
            if by_host && told.approval[1..].bytes().all(|byte| byte.is_ascii_digit()) {
                assert_eq!(told.approval, host::code(number), "an answer of another request");
            } else if !self.purchase(number).over {
                self.tale("approvals in a host's place");
            }
        }
        let purchase = self.purchase(number);
        if let Some(heard) = &purchase.heard {
            if *heard != told {
                // Two answers say different things.
                self.reverse(number);
            }
            return;
        }
        purchase.heard = Some(told.clone());
        let sent = purchase.sent;
        if std::mem::replace(&mut purchase.over, true) {
            return self.tale("answers after the time-out");
        }
        if told.is_refusal() {
            self.tale("answers 91");
            match self.random.below(6) {
                0 => self.stand_in(number, true),
                _ if sent > 1 => self.reverse(number),
                _ => {}
            }
        } else if told.approves() {
            self.tale("approvals");
            if self.random.one_in(8) {
                self.after(100 * MS, 15 * S, Event::Cancel { number });
            }
        } else {
            self.tale("declines");
        }
    }

    // ---- the end

    fn come_to_rest(&mut self) {
        self.calm = true;
        self.trace(|| "from here on nothing goes wrong".to_owned());
        let limit = self.now + REST_LIMIT;
        while !self.rests() {
            assert!(self.now < limit, "it does not come to rest: {}", self.unrest());
            self.run_until(self.now + 100 * MS);
        }
    }

    fn rests(&self) -> bool {
        let Some(node) = &self.node else { return false };
        self.queue.values().all(|event| !matches!(event, Event::ToDaemon { .. } | Event::ToPeer { .. }))
            && self.purchases.iter().all(Exchange::is_settled)
            && node.board.lines().iter().all(|line| line.is_idle() && line.view(self.clock()).stored == 0)
            && node.pipeline.appended() == node.pipeline.durable()
    }

    fn unrest(&self) -> String {
        let open: Vec<_> = self.purchases.iter().filter(|purchase| !purchase.is_settled()).take(3).collect();
        let lines = self.node.iter().flat_map(|node| node.board.lines());
        let lines: Vec<_> = lines.map(|line| (&line.name, line.view(self.clock()))).collect();
        format!("not settled: {open:?}; {lines:?}")
    }

    fn expect_books(&mut self) {
        let mut second = 0;
        for (purchase, number) in self.purchases.iter().zip(1..) {
            let held: Vec<i64> = self
                .hosts
                .iter()
                .map(|host| host.book.get(&number).map_or(0, |entry| entry.held()))
                .collect();
            let expected = match purchase.left() {
                Left::Held(amount) => amount,
                _ => 0,
            };
            let entries: Vec<_> = self.hosts.iter().map(|host| host.book.get(&number)).collect();
            assert_eq!(held.iter().sum::<i64>(), expected, "purchase {number}: {purchase:#?} {entries:#?}");
            second += u64::from(held[1] > 0);
        }
        *self.tales.entry("purchases that the second host holds").or_default() += second;
        self.count_asked_again();
        let Some(node) = &self.node else { return };
        for line in node.board.lines() {
            let view = line.view(self.clock());
            assert_eq!((view.dead, view.in_flight), (0, 0), "{}", line.name);
        }
    }
}

impl Node {
    /// A socket is gone.
    fn end(&mut self, id: u64) {
        let Some(mut socket) = self.sockets.remove(&id) else { return };
        socket.channel.abandon(&self.pipeline, Now { wall: Timestamp(0), elapsed_ns: 0 });
        self.board.lines()[socket.link].down(SocketId(id));
        self.stations[socket.link].with(|session| session.down(SocketId(id)));
    }
}
