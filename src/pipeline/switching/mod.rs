//! The switch joined with sockets and journal: what is not ours is forwarded, answered, timed out, stood in for,
//! stored.
//!
//! A [`Line`] is one link as the switch sees it: what outlasts a crash ([`Trunk`]), what waits for answers
//! ([`Exchanges`]), and the sockets that are open. All of it has one lock, which is taken before the journal's and
//! never together with another line's or a shard's; before it comes that of the message's card; outboxes have locks of
//! their own, taken last. A forwarded message is handed to the socket of the party within the turn of the socket that
//! it came on, and so is its answer back.

mod again;
pub mod answer;
pub mod card_file;
pub mod cases;
pub mod forward;
pub mod left_out;
pub mod outbox;
pub mod store;
pub mod tick;
pub mod waiting;
pub mod way;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use parking_lot::MutexGuard;
use parking_lot::RwLock;

use crate::dialect::carry::Carriage;
use crate::dialect::inbound::Kept;
use crate::domain::card::Pan;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::forward::Forwarded;
use crate::domain::party::NameId;
use crate::domain::time::Now;
use crate::domain::time::Timestamp;
use crate::link::state::SocketId;
use crate::switch::card_file::CardFile;
use crate::switch::exchange::Exchanges;
use crate::switch::exchange::Open;
use crate::switch::queue::Item;
use crate::switch::queue::ItemId;
use crate::switch::route::LinkIndex;
use crate::switch::route::Table;
use crate::switch::settings::PartySettings;
use crate::switch::trunk::Trunk;

use self::card_file::AllSaid;
use self::cases::Case;
use self::cases::Cases;
use self::left_out::LeftOut;
use self::outbox::Outbox;
use super::channel::ChannelSettings;
use super::core::Pipeline;
use super::station::Station;

/// What an answer to a forwarded request goes back to. The socket owes the answer for as long as this is there.
#[derive(Debug)]
pub struct Return {
    /// The socket that it came on.
    pub outbox: Arc<Outbox>,
    /// The link of that socket.
    pub link: LinkIndex,
    /// When it was read.
    pub received: Now,
    /// The request: its answer takes over what it must echo.
    pub request: Kept,
}

impl Drop for Return {
    fn drop(&mut self) {
        self.outbox.settle();
    }
}

/// Where a message of ours went, and where its answer goes.
#[derive(Debug)]
pub struct Way {
    /// The socket that it was given to.
    pub there: Arc<Outbox>,
    /// Whoever asked; `None` for a stored message.
    pub back: Option<Return>,
    /// It was asked again when its first socket was gone.
    pub again: bool,
}

/// What changes under a line's lock.
pub(super) struct State {
    pub(super) trunk: Trunk,
    pub(super) exchanges: Exchanges<Way>,
    pub(super) cases: Cases,
    /// How many may be in flight now, in parts of [`PART`]: fewer after a time-out, a little more after each answer.
    pub(super) allowed_parts: u64,
    /// Time-outs in a row.
    pub(super) failures: u32,
    /// A sick party is tried again at this time.
    pub(super) probe_at_ns: u64,
    /// Smoothed time from asked to answered, nanoseconds.
    pub(super) latency_ns: u64,
    /// Where the next socket is looked for.
    pub(super) turn: usize,
    /// Stored messages that may go before the next second begins, and when that is.
    pub(super) pace: (u64, u32),
    /// Acknowledgements of stored messages: the second, and how many in it and in the one before.
    pub(super) drained: (u64, u32, u32),
    /// What a start has found open and is not reversed yet, the oldest last.
    pub(super) left_open: Vec<(Sequence, Forwarded)>,
    /// What the network has said about cards of ours.
    pub(super) said: AllSaid,
    /// The message that is written now, in clear.
    pub(super) scratch: Vec<u8>,
}

/// Without what is being written.
impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trunk, exchanges, cases, .. } = self;
        let mut shown = f.debug_struct("State");
        shown
            .field("trunk", trunk)
            .field("exchanges", exchanges)
            .field("cases", cases)
            .finish_non_exhaustive()
    }
}

/// The limit under which those stand whose end the journal did not take.
const WAIT_ON_NS: u64 = 0;
/// One more or fewer in flight is so many parts.
const PART: u64 = 1 << 20;

impl State {
    /// How many requests may be in flight now.
    pub(super) fn allowed(&self) -> usize {
        usize::try_from(self.allowed_parts / PART).unwrap_or(usize::MAX)
    }

    /// How many requests are. Stored messages have places of their own: they keep no request from its answer.
    pub(super) fn requests(&self) -> usize {
        self.exchanges.len().saturating_sub(self.trunk.queue().in_flight())
    }

    /// Goes on waiting for what was taken out, until its deadline: the journal did not take how it ended.
    pub(super) fn wait_on(&mut self, open: Open<Way>) {
        // It has just left its place and its name.
        let waits = self.exchanges.open(open, WAIT_ON_NS);
        debug_assert!(waits.is_ok(), "a place was free");
    }
}

/// One link as the switch sees it.
#[derive(Debug)]
pub struct Line {
    /// The link's name.
    pub name: Box<str>,
    /// Its number in records.
    pub id: NameId,
    /// How it is treated.
    pub settings: PartySettings,
    /// What goes along to it, and what does not.
    pub carriage: Carriage,
    /// Its network's file of cards that may not be used.
    pub card_file: Option<CardFile>,
    /// How its messages are read and written.
    pub channel: Arc<ChannelSettings>,
    /// Who is signed on.
    pub station: Arc<Station>,
    /// What it was not told, since its dialect has no place for it.
    pub left_out: LeftOut,
    state: Mutex<State>,
    sockets: RwLock<Vec<Arc<Outbox>>>,
    /// No new requests are forwarded to it: it drains.
    pub draining: AtomicBool,
    /// Stored messages stay where they are.
    pub paused: AtomicBool,
    /// So many of them go in a second at most; zero is no limit.
    pub per_second: AtomicU32,
    sick: AtomicBool,
    /// Requests that were asked again on another socket.
    pub asked_again: AtomicU64,
    /// A socket is gone, and what was asked on it may be asked again.
    has_lost: AtomicBool,
    /// Something was forwarded to it or stored for it: networks that only ask need not be looked at.
    used: AtomicBool,
}

/// Cards that are told apart when one message of a card comes after the other.
const GUARDS: usize = 64;

/// The routing table and the lines.
#[derive(Debug)]
pub struct Switchboard {
    table: RwLock<Arc<Table>>,
    /// Rises with every table.
    version: AtomicU64,
    lines: Box<[Line]>,
    /// What is kept of links that the configuration has no longer: it goes into every snapshot, until they are back.
    others: Vec<(NameId, Trunk)>,
    by_name: HashMap<NameId, LinkIndex>,
    turn: AtomicU64,
    /// Taken before a line's lock: between looking whether a message came before and sending it, nothing else of its
    /// card is looked for.
    guards: [Mutex<()>; GUARDS],
}

/// What must outlast a crash, of one link.
pub(super) enum OnRecord<'b> {
    Line(&'b Line),
    /// One that the configuration has no longer: nothing is appended about it.
    Other(NameId, &'b Trunk),
}

impl OnRecord<'_> {
    /// Looks at it, under its lock.
    pub(super) fn look<T>(&self, look: &mut dyn FnMut(NameId, &Trunk) -> T) -> T {
        match self {
            Self::Line(line) => look(line.id, &line.lock().trunk),
            Self::Other(name, trunk) => look(*name, trunk),
        }
    }
}

impl Line {
    /// A link with what a start has found of it.
    #[must_use]
    pub fn new(
        name: &str,
        (settings, carriage): (PartySettings, Carriage),
        channel: Arc<ChannelSettings>,
        station: Arc<Station>,
        trunk: Trunk,
    ) -> Self {
        let most = settings.in_flight.0;
        // Stored messages have places beside those of requests, so that a full line still drains.
        let exchanges = Exchanges::new(most + settings.window, trunk.last_stan());
        let used = trunk.last_stan().is_some();
        Self {
            name: name.into(),
            id: NameId::of(name),
            channel,
            station,
            state: Mutex::new(State {
                trunk,
                exchanges,
                cases: Cases::default(),
                allowed_parts: most as u64 * PART,
                failures: 0,
                probe_at_ns: 0,
                latency_ns: 0,
                turn: 0,
                pace: (0, 0),
                drained: (0, 0, 0),
                left_open: Vec::new(),
                said: AllSaid::default(),
                scratch: Vec::new(),
            }),
            settings,
            carriage,
            card_file: None,
            left_out: LeftOut::default(),
            sockets: RwLock::default(),
            draining: AtomicBool::new(false),
            paused: AtomicBool::new(false),
            per_second: AtomicU32::new(settings.per_second),
            sick: AtomicBool::new(false),
            asked_again: AtomicU64::new(0),
            has_lost: AtomicBool::new(false),
            used: AtomicBool::new(used),
        }
    }

    /// The same, which is told of cards that may not be used any more.
    #[must_use]
    pub fn with_card_file(self, card_file: Option<CardFile>) -> Self {
        Self { card_file, ..self }
    }

    /// Something is forwarded to it or stored for it from now on.
    pub(super) fn is_used(&self) {
        if !self.was_used() {
            self.used.store(true, Ordering::Release);
        }
    }

    /// Whether anything ever was.
    pub(super) fn was_used(&self) -> bool {
        self.used.load(Ordering::Acquire)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// A socket of the link is open.
    pub fn up(&self, outbox: Arc<Outbox>) {
        self.sockets.write().push(outbox);
    }

    /// It is gone.
    pub fn down(&self, socket: SocketId) {
        self.sockets.write().retain(|outbox| {
            let gone = outbox.socket == socket;
            if gone {
                outbox.close();
            }
            !gone
        });
        // Only now, since what finds its socket open until then is asked again too.
        self.has_lost.store(self.settings.one_host, Ordering::Release);
    }

    /// The sockets that are open.
    #[must_use]
    pub fn sockets(&self) -> Vec<Arc<Outbox>> {
        self.sockets.read().clone()
    }

    /// Whether a socket is open that takes messages, and whoever has to sign on has.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        self.station.serves() && self.sockets.read().iter().any(|outbox| outbox.has_room())
    }

    /// Whether it can be asked at all: it is reached, and does not drain.
    #[must_use]
    pub fn is_up(&self) -> bool {
        !self.draining.load(Ordering::Acquire) && self.is_reached()
    }

    /// Whether it has left too many requests unanswered in a row.
    #[must_use]
    pub fn is_sick(&self) -> bool {
        self.sick.load(Ordering::Acquire)
    }

    /// Whether a new request may be sent to it now.
    #[must_use]
    pub fn is_usable(&self, now: Now) -> bool {
        self.is_up() && (!self.is_sick() || self.lock().probe_at_ns <= now.elapsed_ns)
    }

    /// The next socket that takes a message.
    pub(super) fn pick(&self, state: &mut State) -> Option<Arc<Outbox>> {
        let sockets = self.sockets.read();
        let usable = |outbox: &&Arc<Outbox>| outbox.has_room() && !outbox.quarantined.load(Ordering::Relaxed);
        state.turn = state.turn.wrapping_add(1);
        let from = state.turn % sockets.len().max(1);
        sockets[from..].iter().chain(&sockets[..from]).find(usable).map(Arc::clone)
    }

    /// It has answered: it is well, and a little more may be in flight.
    pub(super) fn is_well(&self, state: &mut State, took_ns: u64) {
        state.failures = 0;
        state.latency_ns = if state.latency_ns == 0 { took_ns } else { (state.latency_ns * 7 + took_ns) / 8 };
        // One more once all that may be in flight has been answered.
        let most = self.settings.in_flight.0 as u64 * PART;
        state.allowed_parts = (state.allowed_parts + PART * PART / state.allowed_parts.max(PART)).min(most);
        if self.sick.load(Ordering::Relaxed) {
            self.sick.store(false, Ordering::Release);
        }
    }

    /// It has not answered in time: less may be in flight, and after some in a row it is left alone for a while.
    pub(super) fn is_slow(&self, state: &mut State, now: Now) {
        state.failures = state.failures.saturating_add(1);
        let fewest = self.settings.in_flight.1 as u64 * PART;
        state.allowed_parts = (state.allowed_parts / 10 * 9).max(fewest);
        if state.failures >= self.settings.sick_after {
            state.probe_at_ns = now.elapsed_ns + self.settings.probe_ns;
            self.sick.store(true, Ordering::Release);
        }
    }

    /// Whether nothing waits for an answer of it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.lock().exchanges.is_empty()
    }

    /// Stored messages after one of them, the oldest first.
    #[must_use]
    pub fn stored_after(&self, id: ItemId, most: usize) -> Vec<(ItemId, Item)> {
        let state = self.lock();
        state.trunk.queue().after(id).take(most).map(|(id, item)| (*id, *item)).collect()
    }

    /// The newest answers that answered nothing, newest last.
    #[must_use]
    pub fn cases(&self) -> Vec<Case> {
        self.lock().cases.iter().copied().collect()
    }

    /// What is shown of it.
    #[must_use]
    pub fn view(&self, now: Now) -> LineView {
        let state = self.lock();
        let queue = state.trunk.queue();
        LineView {
            up: self.is_up(),
            sick: self.is_sick(),
            draining: self.draining.load(Ordering::Acquire),
            paused: self.paused.load(Ordering::Acquire),
            in_flight: state.requests(),
            allowed: state.allowed(),
            oldest_ns: state.exchanges.oldest_ns(now.elapsed_ns),
            latency_ns: state.latency_ns,
            stored: queue.len(),
            sending: queue.in_flight(),
            dead: queue.dead(),
            per_second: state.drained.2,
            originals: state.trunk.originals().len(),
            originals_shortened: state.trunk.originals().shortened(),
            counts: *state.trunk.counts(),
            cases: state.cases.counts(),
            asked_again: self.asked_again.load(Ordering::Relaxed),
            dropped_elements: self.left_out.total(),
        }
    }
}

/// What is shown of a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LineView {
    /// It can be asked.
    pub up: bool,
    /// It has left too many requests unanswered in a row.
    pub sick: bool,
    /// Nothing new is forwarded to it.
    pub draining: bool,
    /// Stored messages stay.
    pub paused: bool,
    /// Messages that wait for an answer, and how many requests may.
    pub in_flight: usize,
    /// How many may.
    pub allowed: usize,
    /// For how long the oldest has waited, nanoseconds.
    pub oldest_ns: u64,
    /// Smoothed time from asked to answered, nanoseconds.
    pub latency_ns: u64,
    /// Stored messages, dead ones among them.
    pub stored: usize,
    /// Of them, those on their way.
    pub sending: usize,
    /// Of them, those that are dead.
    pub dead: usize,
    /// Acknowledgements in the last whole second.
    pub per_second: u32,
    /// Forwarded messages whose names are kept.
    pub originals: usize,
    /// Of those that were, how many left early since there were too many.
    pub originals_shortened: u64,
    /// What was counted.
    pub counts: crate::switch::trunk::Counts,
    /// Answers that answered nothing, by [`cases::Kind`].
    pub cases: [u64; cases::Kind::ALL.len()],
    /// Requests that were asked again on another socket.
    pub asked_again: u64,
    /// Elements of requests and answers to it that its dialect has no place for.
    pub dropped_elements: u64,
}

impl Switchboard {
    /// The lines in the order of the configuration's links, the table that routes to them, and what is kept of links
    /// that are no longer there.
    #[must_use]
    pub fn new(table: Table, lines: Vec<Line>, others: Vec<(NameId, Trunk)>) -> Self {
        let index = |n: usize| LinkIndex(u16::try_from(n).unwrap_or(u16::MAX));
        let by_name = lines.iter().enumerate().map(|(n, line)| (line.id, index(n))).collect();
        Self {
            table: RwLock::new(Arc::new(table)),
            version: AtomicU64::new(1),
            lines: lines.into_boxed_slice(),
            others,
            by_name,
            turn: AtomicU64::new(0),
            guards: [const { Mutex::new(()) }; GUARDS],
        }
    }

    /// Holds up other messages of a card.
    pub(super) fn guard(&self, pan: Pan) -> MutexGuard<'_, ()> {
        self.guards[(pan.value() % GUARDS as u64) as usize].lock()
    }

    /// Whether what came before may have gone elsewhere than the table says now.
    pub(super) fn has_changed(&self) -> bool {
        self.version() > 1
    }

    /// The table in force.
    #[must_use]
    pub fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read())
    }

    /// Its version: another one means another table.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Puts another table in force. Messages that are on their way stay with the old one.
    pub fn set_table(&self, table: Table) {
        *self.table.write() = Arc::new(table);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// All lines.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// What must outlast a crash, of each link.
    pub(super) fn trunks(&self) -> impl Iterator<Item = OnRecord<'_>> {
        self.lines
            .iter()
            .map(OnRecord::Line)
            .chain(self.others.iter().map(|(name, of)| OnRecord::Other(*name, of)))
    }

    /// One line.
    #[must_use]
    pub fn line(&self, index: LinkIndex) -> Option<&Line> {
        self.lines.get(usize::from(index.0))
    }

    /// The place of a link by its number in records.
    #[must_use]
    pub fn index_of(&self, name: NameId) -> Option<LinkIndex> {
        self.by_name.get(&name).copied()
    }

    pub(super) fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }
}

impl Pipeline {
    /// The switch, when there are routes.
    #[must_use]
    pub fn switchboard(&self) -> Option<&Arc<Switchboard>> {
        self.switchboard.get()
    }

    /// Gives the pipeline its switch, once.
    pub fn switch_with(&self, board: Arc<Switchboard>) {
        let _given_once = self.switchboard.set(board);
    }

    /// Appends an event of the switch to the journal and applies it, under the line's lock. `None` when the journal has
    /// no room; then nothing has changed.
    pub(super) fn commit_on(&self, state: &mut State, event: &Event, now: Now) -> Option<Sequence> {
        let (sequence, time): (Sequence, Timestamp) = self.append(event, now)?;
        state.trunk.apply(sequence, time, event);
        Some(sequence)
    }
}
