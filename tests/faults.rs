//! The whole way of a message over a simulated disk: faults, stalls, crashes and restarts, told by seeds.
//!
//! Each seed is a small world: one wallet, one socket, a disk in memory, and some generations of a daemon that begin
//! with a recovery and end with a crash. `TURNPIKE_SEEDS` says how many are tried (10,000 unless it is set),
//! `TURNPIKE_SEED` tries one alone; a seed that fails names itself.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;

use memory::Crash;
use memory::Fault;
use memory::Memory;
use memory::next;
use turnpike::authorizer::Authorizer;
use turnpike::authorizer::CreditsAt;
use turnpike::authorizer::approval_code::ApprovalCodes;
use turnpike::authorizer::expiry::ExpiryTable;
use turnpike::authorizer::increase::Increases;
use turnpike::authorizer::moving::Order;
use turnpike::authorizer::moving::Party;
use turnpike::authorizer::moving::Turned;
use turnpike::crypto::keys::Keys;
use turnpike::dialect::Dialect;
use turnpike::domain::asset::Quote;
use turnpike::domain::asset::RateSet;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::card::ServiceCode;
use turnpike::domain::card::Verification;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::Configured;
use turnpike::domain::event::Event;
use turnpike::domain::event::Sequence;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::moved::CallerKey;
use turnpike::domain::moved::KeysKept;
use turnpike::domain::moved::Reason;
use turnpike::domain::moved::Verb;
use turnpike::domain::party::WalletId;
use turnpike::domain::share::Spending;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::Now;
use turnpike::domain::time::Timestamp;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::view::Spans;
use turnpike::journal::recover::Opener;
use turnpike::journal::recover::RecoverError;
use turnpike::journal::recover::recover;
use turnpike::journal::segment;
use turnpike::journal::storage::Operation;
use turnpike::journal::writer;
use turnpike::journal::writer::Writer;
use turnpike::ledger::books::Books;
use turnpike::ledger::books::Layout;
use turnpike::ledger::presented::Tolerance;
use turnpike::ledger::shard::Capacity;
use turnpike::ledger::state_hash::StateHash;
use turnpike::link::state;
use turnpike::link::state::Moment;
use turnpike::link::state::SocketId;
use turnpike::pipeline::channel::Channel;
use turnpike::pipeline::channel::ChannelSettings;
use turnpike::pipeline::core::Pipeline;
use turnpike::pipeline::gate::Policy;
use turnpike::pipeline::gate::Reply;
use turnpike::pipeline::seeding::NewAccount;
use turnpike::pipeline::seeding::NewCard;
use turnpike::pipeline::station::Seat;
use turnpike::pipeline::station::Station;
use turnpike::recovery;
use turnpike::recovery::RebuildError;
use turnpike::recovery::Rebuilt;
use turnpike::recovery::crew::Alone;
use zeroize::Zeroizing;

const SEEDS: u64 = 10_000;
const START: Timestamp = Timestamp::from_seconds(1_795_523_696);
const CAPACITY: Capacity =
    Capacity { wallets: 4, further_accounts: 4, cards: 2, authorizations: 400, limits: 64, counted: 4_000 };
/// The wallet that verbs move money to.
const OTHER: WalletId = WalletId(2);
const PAN: u64 = 4_111_111_111_111_111;
const DEADLINE_MS: u64 = 4_000;
const UNSYNCED_MS: u64 = 50;
const UNSYNCED_RECORDS: u64 = 12;
/// Approvals above this wait for the disk in every mode, in minor units.
const LARGE: u64 = 5_000;
/// Only the last so many messages are repeated or reversed.
const RECENT: u64 = 24;
/// Small rings, since the state hash walks all of them, and large enough for what is repeated.
const BOUNDS: Bounds = Bounds {
    repeat_window_s: 600,
    answers_per_slot: 32,
    closed_per_slot: 64,
    closed_window_s: 2 * 86_400,
    authorizations_per_card: 64,
};
/// What the wallet has, and more than which nothing is approved.
const BALANCE: u64 = 30_000;

#[test]
fn r2_no_fault_loses_what_was_said() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("TURNPIKE_SEED") {
        let told = Arc::default();
        World::new(seed, &told).live();
        println!("seed {seed}: {told:?}");
        return;
    }
    let (seeds, told) = (number("TURNPIKE_SEEDS").unwrap_or(SEEDS), Arc::<Tales>::default());
    let threads = thread::available_parallelism().map_or(1, usize::from) as u64;
    thread::scope(|scope| {
        for first in 0..threads {
            let told = &told;
            scope.spawn(move || {
                (first..seeds).step_by(threads as usize).for_each(|seed| World::new(seed, told).live());
            });
        }
    });
    println!("{seeds} seeds: {told:?}");
    // A simulation in which something never happens proves nothing about it.
    for (what, count) in told.all() {
        let count = count.load(Ordering::Relaxed);
        assert!(count * 100 >= seeds, "{what} {count} times in {seeds} seeds");
    }
}

/// How often things happened, over all seeds.
#[derive(Default, Debug)]
struct Tales {
    approvals: AtomicU64,
    unavailable: AtomicU64,
    acknowledged: AtomicU64,
    repeats: AtomicU64,
    while_stalled: AtomicU64,
    failures: AtomicU64,
    full: AtomicU64,
    torn: AtomicU64,
    lost_in_async: AtomicU64,
    failed_starts: AtomicU64,
    verbs: AtomicU64,
    verbs_again: AtomicU64,
    verbs_lost: AtomicU64,
}

impl Tales {
    fn all(&self) -> [(&'static str, &AtomicU64); 13] {
        [
            ("approvals", &self.approvals),
            ("refusals with 91", &self.unavailable),
            ("acknowledgements", &self.acknowledged),
            ("repeats", &self.repeats),
            ("messages while the disk stalled", &self.while_stalled),
            ("failures", &self.failures),
            ("full disks", &self.full),
            ("torn tails", &self.torn),
            ("answers lost within the bounds", &self.lost_in_async),
            ("starts that failed", &self.failed_starts),
            ("verbs that were done", &self.verbs),
            ("verbs that were done before", &self.verbs_again),
            ("verbs that nobody was told of and that are lost", &self.verbs_lost),
        ]
    }
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// Names the seed when its world ends with a panic.
struct Naming(u64);

impl Drop for Naming {
    fn drop(&mut self) {
        if thread::panicking() {
            let Self(seed) = self;
            eprintln!("seed {seed} failed; alone: TURNPIKE_SEED={seed} cargo test --test faults");
        }
    }
}

#[derive(Clone)]
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        next(&mut self.0) % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn crash(&mut self) -> Crash {
        match self.below(5) {
            0 => Crash::LoseUnsynced,
            1 => Crash::KeepWritten,
            _ => Crash::Tear(self.below(u64::MAX)),
        }
    }
}

/// Something that was sent, and what came of it.
#[derive(Clone, Debug)]
struct Told {
    mti: u16,
    amount: u64,
    /// The message that it is about: itself, or what a reversal reverses or a repeat repeats.
    stan: u32,
    /// The record that it made.
    record: Option<u64>,
    /// DE 39 and DE 38 of its first answer.
    answer: Option<(String, String)>,
    /// Its answer promised that its record is on disk.
    firm: bool,
    received: Timestamp,
}

/// A verb that was asked for over HTTP, under a key of its own.
#[derive(Clone, Copy, Debug)]
struct Asked {
    key: u128,
    amount: i64,
    /// To the other wallet, or to a pocket of another currency.
    converts: bool,
    /// The record that did it.
    record: Option<u64>,
    /// Its answer has left, which waits for the disk (R1).
    firm: bool,
}

type Records = Vec<(Sequence, Timestamp, Event)>;

/// One seed.
struct World {
    _naming: Naming,
    tales: Arc<Tales>,
    disk: Memory,
    keys: Arc<Keys>,
    peer: Arc<Mutex<Peer>>,
    epoch: u32,
    /// The records that the last start found.
    known: Records,
    random: Random,
}

/// The peer with its socket, and all that it knows; it outlives every crash.
struct Peer {
    random: Random,
    reply: Reply,
    told: Vec<Told>,
    asked: Vec<Asked>,
    stan: u32,
    /// The state hash at the last record of every group that the writer took.
    hashes: BTreeMap<u64, StateHash>,
    /// When the records of messages were made.
    times: BTreeMap<u64, Timestamp>,
    settings: Arc<ChannelSettings>,
    station: Station,
    channel: Channel,
    now: Now,
}

fn lock(peer: &Mutex<Peer>) -> MutexGuard<'_, Peer> {
    peer.lock().unwrap_or_else(PoisonError::into_inner)
}

fn policy(reply: Reply) -> Policy {
    Policy {
        reply,
        fsync_above: vec![Money::new(LARGE as i64, Currency::new(840).expect("a currency"))],
        max_unsynced_ns: UNSYNCED_MS * 1_000_000,
        max_unsynced_records: UNSYNCED_RECORDS,
        gather_ns: 0,
        pace_ns: 0,
        ahead_max: usize::MAX,
        parked_max: 8,
    }
}

fn settings() -> ChannelSettings {
    ChannelSettings {
        dialect: Dialect::built_in("iso87-ascii").expect("a dialect that is compiled in"),
        context: ChannelSettings::context_of("link", "network"),
        answer_deadline_ms: DEADLINE_MS,
        parked_max: 6,
    }
}

thread_local! {
    /// Read from their tables once for all seeds of a thread.
    static SETTINGS: Arc<ChannelSettings> = Arc::new(settings());
    static KEYS: Arc<Keys> = Arc::new(Keys::from_master(Zeroizing::new([7; 32])));
}

impl World {
    fn new(seed: u64, tales: &Arc<Tales>) -> Self {
        let mut random = Random(seed);
        let reply = if random.one_in(2) { Reply::Fsync } else { Reply::Async };
        let peer = Peer {
            random: Random(random.below(u64::MAX)),
            reply,
            told: Vec::new(),
            asked: Vec::new(),
            stan: 0,
            hashes: BTreeMap::new(),
            times: BTreeMap::new(),
            settings: SETTINGS.with(Arc::clone),
            station: Station::new(state::Settings::default()),
            channel: Channel::default(),
            now: Now::by(START),
        };
        Self {
            _naming: Naming(seed),
            tales: Arc::clone(tales),
            disk: Memory::seeded(random.below(u64::MAX)),
            keys: KEYS.with(Arc::clone),
            peer: Arc::new(Mutex::new(peer)),
            epoch: 0,
            known: Vec::new(),
            random,
        }
    }

    fn live(mut self) {
        let generations = 2 + self.random.below(2);
        for _ in 0..generations {
            if self.random.one_in(4) {
                let _full = segment::make_spare(&self.disk, 1 << 16);
            }
            let (pipeline, writer) = self.start();
            self.serve(&Arc::new(pipeline), writer);
            let crash = self.random.crash();
            self.disk = self.disk.after(crash);
        }
        self.rebuild().expect("a whole journal");
    }

    /// Recovers and begins an epoch, if need be in several attempts with crashes in between.
    fn start(&mut self) -> (Pipeline, Writer<Memory>) {
        if self.random.one_in(3) {
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
            let fault = [Fault::Error, Fault::Short, Fault::Dropped][self.random.below(3) as usize];
            self.disk.inject(operation, self.random.below(3), fault);
        }
        // The disk may still be full, too.
        if let Some(begun) = self.begin() {
            self.disk.mend();
            return begun;
        }
        count(&self.tales.failed_starts);
        self.disk = self.disk.after(self.random.crash());
        self.disk.mend();
        self.begin().expect("a start on a good disk")
    }

    fn begin(&mut self) -> Option<(Pipeline, Writer<Memory>)> {
        let (rebuilt, records) = match self.rebuild() {
            Ok(rebuilt) => rebuilt,
            Err(RebuildError::Journal(RecoverError::Storage(_))) => return None,
            Err(other) => panic!("never damage: {other}"),
        };
        let settings = writer::Settings { segment_bytes: 1 << 20, epoch_min: 1 };
        let fingerprint = self.keys.vault.fingerprint();
        let writer = Writer::begin(self.disk.clone(), &rebuilt.recovered, fingerprint, settings).ok()?;
        let start = writer.start();
        assert!(start.epoch > self.epoch, "(epoch, sequence) is never used twice");
        self.epoch = start.epoch;
        self.known = records;
        let authorizer = Authorizer {
            codes: ApprovalCodes::new([3; 16]),
            time_zone_offset_minutes: 0,
            expiry: ExpiryTable { rows: Vec::new(), otherwise_s: 7 * 86_400 },
            increases: Increases::default(),
            credits: CreditsAt::Clearing,
            clearing_tolerance: Tolerance(20),
            configuration: 1,
        };
        let policy = policy(lock(&self.peer).reply);
        let pipeline = Pipeline::new(rebuilt.books, start, authorizer, Arc::clone(&self.keys), policy);
        // A run of the writer ends when nothing is left to write.
        pipeline.close();
        Some((pipeline, writer))
    }

    /// What is on disk, compared with what was said.
    fn rebuild(&self) -> Result<(Rebuilt, Records), RebuildError> {
        let keys = Arc::clone(&self.keys);
        let opener = Opener { seal: &keys.vault, fingerprint: keys.vault.fingerprint() };
        let settings = recovery::Settings { layout: Layout::new(1), capacity: CAPACITY, seed: 42 };
        let rebuilt = recovery::rebuild(&self.disk, opener, settings, &Alone)?;
        let hash = rebuilt.books.state_hash();
        let mut records = Vec::new();
        let mut again = Books::new(Layout::new(2), CAPACITY, BOUNDS, 43);
        let recovered = recover(&self.disk, opener, Sequence(0), |sequence, time, event| {
            again.apply(sequence, time, &event).expect("a record that fits");
            records.push((sequence, time, event));
        })?;
        assert_eq!((again.state_hash(), &recovered), (hash, &rebuilt.recovered), "twice is as once");
        for totals in rebuilt.books.totals() {
            assert_eq!(totals.sum(), 0, "{totals:?}");
        }
        assert_eq!(rebuilt.books.audit(), Ok(()));
        if rebuilt.recovered.torn.is_some() {
            count(&self.tales.torn);
        }
        let last = rebuilt.recovered.last.0;
        assert!(records.iter().map(|(sequence, ..)| sequence.0).eq(1..=last), "no gap");
        let lost = self.known.len().saturating_sub(records.len());
        assert_eq!(lost, 0, "what was recovered once is there for good");
        assert_eq!(records[..self.known.len()], self.known, "and is the same");
        lock(&self.peer).forget_beyond(last, hash, &self.tales);
        Ok((rebuilt, records))
    }

    fn serve(&mut self, pipeline: &Arc<Pipeline>, mut writer: Writer<Memory>) {
        lock(&self.peer).open(pipeline);
        pipeline.run_writer(&mut writer, &|_| ()).expect("a good disk");
        self.listen_while_stalled(pipeline);
        let steps = 8 + self.random.below(14);
        for _ in 0..steps {
            if self.random.one_in(8) {
                self.harm();
            }
            match self.random.below(8) {
                0 => {
                    let mut peer = lock(&self.peer);
                    peer.now = peer.now.plus_ms(1 + self.random.below(60));
                }
                1 => {
                    let _marked = writer.write_mark();
                }
                2 | 3 => {
                    lock(&self.peer).remember(pipeline);
                    let failed = pipeline.run_writer(&mut writer, &|_| ()).err();
                    if let Some(error) = failed {
                        self.after_failure(pipeline, &mut writer, &error);
                        return;
                    }
                    lock(&self.peer).release(pipeline, &self.tales);
                }
                _ if self.random.one_in(4) => lock(&self.peer).ask(pipeline, &self.tales),
                _ => lock(&self.peer).send(pipeline, &self.tales),
            }
        }
        // Answers may still leave at the last moment.
        lock(&self.peer).release(pipeline, &self.tales);
    }

    /// Something will go wrong with one of the next calls.
    fn harm(&mut self) {
        let after = self.random.below(2);
        match self.random.below(8) {
            0 => self.disk.inject(Operation::Write, after, Fault::Error),
            1 => self.disk.inject(Operation::Write, after, Fault::Short),
            2 => self.disk.inject(Operation::Sync, after, Fault::Short),
            3 => self.disk.inject(Operation::Sync, after, Fault::Dropped),
            4 => self.disk.leave_room(self.random.below(3) * 4096),
            5 => self.disk.inject(Operation::Write, after, Fault::Stall(1 + self.random.below(80))),
            _ => {
                // A short one, one past the bound of the window, or one past every deadline.
                let ms = [20, UNSYNCED_MS + 40, DEADLINE_MS + 500][self.random.below(3) as usize];
                self.disk.inject(Operation::Sync, after, Fault::Stall(ms));
            }
        }
    }

    /// Messages go on coming while the writer waits for the disk.
    fn listen_while_stalled(&self, pipeline: &Arc<Pipeline>) {
        let (pipeline, peer, tales) = (Arc::clone(pipeline), Arc::clone(&self.peer), Arc::clone(&self.tales));
        self.disk.while_stalled(move |ms| {
            let mut peer = lock(&peer);
            for _ in 0..3 {
                peer.now = peer.now.plus_ms(ms / 4);
                peer.send(&pipeline, &tales);
                count(&tales.while_stalled);
                peer.release(&pipeline, &tales);
            }
            peer.now = peer.now.plus_ms(ms / 4);
            peer.release(&pipeline, &tales);
            peer.remember(&pipeline);
        });
    }

    /// A writer that has failed stays so, whatever the disk does, and nothing more is taken.
    fn after_failure(
        &mut self,
        pipeline: &Arc<Pipeline>,
        writer: &mut Writer<Memory>,
        error: &writer::JournalError,
    ) {
        count(&self.tales.failures);
        if matches!(error, writer::JournalError::Storage(error) if error.full) {
            count(&self.tales.full);
        }
        self.disk.mend();
        let (durable, operations) = (pipeline.durable(), self.disk.operations());
        let (hash, _) = pipeline.state_hash();
        let mut peer = lock(&self.peer);
        peer.release(pipeline, &self.tales);
        assert_eq!(pipeline.parked(), 0, "what waited is dropped");
        for _ in 0..4 {
            peer.send(pipeline, &self.tales);
            peer.ask(pipeline, &self.tales);
            peer.release(pipeline, &self.tales);
            let again = pipeline.run_writer(writer, &|_| ()).err();
            assert!(again.is_none_or(|again| again == *error), "there is nothing to write, or it cannot be");
            assert_eq!(writer.write_mark().as_ref().err(), Some(error));
        }
        assert_eq!((pipeline.durable(), writer.durable()), (durable, durable));
        assert_eq!(self.disk.operations(), operations, "no file is touched again");
        assert_eq!(pipeline.state_hash().0, hash, "nothing changes");
    }
}

impl Peer {
    /// What every start records, and the wallet when it is not there yet.
    fn open(&mut self, pipeline: &Pipeline) {
        self.channel = Channel::default();
        let now = self.now;
        let configured =
            Event::Configured(Configured { version: 1, bounds: BOUNDS, keys: KeysKept::default() });
        pipeline.commit_to_all(&configured, now).expect("room");
        let (wallet, currency) = (WalletId(1), Currency::new(840).expect("a currency"));
        let account = NewAccount { wallet, currency, balance: BALANCE as i64, overdraft: 0 };
        let _opened = pipeline.open_account(&account, now);
        let card = NewCard {
            wallet,
            pan: Pan::from_value(PAN, 16).expect("a card number"),
            expiry: Expiry::new(3012).expect("a month"),
            service_code: ServiceCode(201),
            status: CardStatus::Active,
            verification: Verification::None,
            key: None,
        };
        let _opened = pipeline.open_card(&card, now);
        let other = NewAccount { wallet: OTHER, balance: 0, ..account };
        let _opened = pipeline.open_account(&other, now);
        // A pocket in euros, which the card spends too. What is there already makes no record.
        let euros = Currency::new(978).expect("a currency");
        let order = Spending::new(&[0, 1]).expect("an order");
        let quote = |price: &str| Some(Quote { price: price.parse().expect("a price"), spread_ppm: 900 });
        let rates = [(euros, currency, quote("1.0837")), (currency, euros, quote("0.9231"))];
        let rates = rates.map(|(from, to, quote)| RateSet { from, to, quote });
        let _opened = pipeline.open_pocket(wallet, (1, euros), 0, now);
        let _set = pipeline.set_spending(wallet, order, now);
        if pipeline.quotes().rates().count() == 0 {
            let _set = pipeline.set_rates(&rates, now);
        }
        self.remember(pipeline);
    }

    /// A verb over HTTP: a new one, or one that was asked for before.
    fn ask(&mut self, pipeline: &Pipeline, tales: &Tales) {
        let known = self.asked.len() as u64;
        let about = if known > 0 && self.random.one_in(3) {
            self.random.below(known) as usize
        } else {
            let amount = 1 + self.random.below(BALANCE / 8) as i64;
            let (key, converts) = (u128::from(self.random.below(u64::MAX)), self.random.one_in(2));
            self.asked.push(Asked { key, amount, converts, record: None, firm: false });
            self.asked.len() - 1
        };
        let Asked { key, amount, converts, record, .. } = self.asked[about];
        let party = |wallet, account| Some(Party { wallet, account: Some(account) });
        let [dollars, euros] = [840, 978].map(|numeric| Currency::new(numeric).expect("a currency"));
        let order = Order {
            verb: if converts { Verb::Conversion } else { Verb::Transfer },
            key: CallerKey { print: key, body: amount as u64, until_s: 0 },
            from: party(WalletId(1), 0),
            to: if converts { party(WalletId(1), 1) } else { party(OTHER, 0) },
            currency: dollars,
            amount,
            fee: 0,
            into: converts.then_some(Turned { currency: euros, at_least: 0 }),
            about: Sequence(0),
            returns_fee: false,
            refundable_until_s: 0,
            reason: Reason::BLANK,
        };
        let before = pipeline.appended().0;
        match pipeline.move_money(&order, self.now.wall.seconds(), self.now) {
            Ok(carried) if carried.again => {
                assert_eq!(Some(carried.sequence.0), record, "it was done before, by that record");
                count(&tales.verbs_again);
            }
            Ok(carried) => {
                assert_eq!((record, carried.sequence.0), (None, before + 1), "it is done once");
                self.asked[about].record = Some(carried.sequence.0);
                self.times.insert(carried.sequence.0, self.now.wall);
                count(&tales.verbs);
            }
            Err(_) => {
                assert_eq!(pipeline.appended().0, before, "what is refused makes no record");
                assert!(record.is_none(), "what was done is answered so");
            }
        }
        self.answer_verbs(pipeline);
    }

    /// Those whose records are on disk are answered.
    fn answer_verbs(&mut self, pipeline: &Pipeline) {
        let durable = pipeline.durable().0;
        for asked in &mut self.asked {
            asked.firm |= asked.record.is_some_and(|record| record <= durable);
        }
    }

    /// Keeps the state hash of the last record, before the writer takes what there is: a crash leaves whole groups.
    fn remember(&mut self, pipeline: &Pipeline) {
        let (hash, Sequence(last)) = pipeline.state_hash();
        self.hashes.insert(last, hash);
    }

    /// Records after this one are gone. What was promised must not be among them.
    fn forget_beyond(&mut self, last: u64, hash: StateHash, tales: &Tales) {
        if last > 0 {
            assert_eq!(self.hashes.get(&last), Some(&hash), "the books at record {last} as they were live");
        }
        self.hashes.split_off(&(last + 1));
        self.times.split_off(&(last + 1));
        let mut lost = 0;
        for told in &mut self.told {
            if told.record.is_some_and(|record| record > last) {
                assert!(!told.firm, "its record was promised: {told:?}, the last is {last}");
                lost += u64::from(told.answer.is_some());
                told.record = None;
                // The network settles it; it is not asked for again.
                told.answer = None;
                told.mti = 0;
            }
        }
        assert!(lost <= UNSYNCED_RECORDS, "{lost} answers are lost");
        for asked in self.asked.iter_mut().filter(|asked| asked.record.is_some_and(|record| record > last)) {
            assert!(!asked.firm, "its answer has left: {asked:?}, the last is {last}");
            asked.record = None;
            count(&tales.verbs_lost);
        }
        tales.lost_in_async.fetch_add(lost, Ordering::Relaxed);
    }

    fn send(&mut self, pipeline: &Pipeline, tales: &Tales) {
        let known = self.told.len() as u64;
        let about = (known > 0).then(|| (known - 1 - self.random.below(known.min(RECENT))) as usize);
        let kind = self.random.below(12);
        let (mti, told) = match (kind, about.map(|about| (about, self.told[about].clone()))) {
            (0..=1, Some((_, told))) if told.mti / 100 == 1 || told.mti / 100 == 2 => {
                (if told.stan % 2 == 0 { 400 } else { 420 }, Some(told))
            }
            (2..=3, Some((about, told))) if told.mti != 0 => {
                self.repeat(pipeline, about, &told, tales);
                return;
            }
            (4, _) => (120, None),
            (5, _) => (200, None),
            _ => (100, None),
        };
        let (stan, amount) = told.map_or_else(
            || {
                self.stan += 1;
                // Now and then more than there is.
                let most = [LARGE, 2 * LARGE, 2 * BALANCE][self.random.below(3) as usize];
                (self.stan, 1 + self.random.below(most))
            },
            |told| (told.stan, told.amount),
        );
        let told =
            Told { mti, amount, stan, record: None, answer: None, firm: false, received: self.now.wall };
        // A reversal that was sent before is a repeat of it.
        if let Some(before) = self.told.iter().position(|one| (one.mti, one.stan) == (mti, stan)) {
            let told = self.told[before].clone();
            self.repeat(pipeline, before, &told, tales);
            return;
        }
        self.told.push(told);
        self.deliver(pipeline, mti, self.told.len() - 1, tales);
    }

    fn repeat(&mut self, pipeline: &Pipeline, about: usize, told: &Told, tales: &Tales) {
        self.told[about].received = self.now.wall;
        if told.record.is_some() {
            count(&tales.repeats);
        }
        let mti = if told.mti == 120 { 121 } else { told.mti + 1 };
        self.deliver(pipeline, mti, about, tales);
    }

    /// Sends a message and looks at what leaves at once.
    fn deliver(&mut self, pipeline: &Pipeline, mti: u16, about: usize, tales: &Tales) {
        let told = self.told[about].clone();
        let frame = self.frame(mti, &told);
        let before = pipeline.appended().0;
        let looks = self.random.one_in(8).then(|| pipeline.state_hash());
        let seat = Seat { station: &self.station, socket: SocketId(1), moment: Moment(1) };
        let (now, mut out) = (self.now, Vec::new());
        let settings = Arc::clone(&self.settings);
        let served = self.channel.receive(&settings, pipeline, seat, &|| now, &frame, &mut out);
        assert_eq!(served, Ok(frame.len()));
        let after = pipeline.appended().0;
        assert!(after <= before + 1, "a message makes one record at most");
        if after > before {
            assert!(!pipeline.has_failed() || told.record.is_some(), "a failed journal takes nothing");
            assert_eq!(told.record, None, "a repeat makes no record: {told:?}");
            self.told[about].record = Some(after);
            self.times.insert(after, self.now.wall);
        } else if let Some(state) = looks {
            assert_eq!(pipeline.state_hash(), state, "no change without a record");
        }
        self.left(pipeline, &out, tales);
    }

    fn frame(&self, mti: u16, told: &Told) -> Vec<u8> {
        let (pan, stan, amount) =
            (PAN.to_string(), format!("{:06}", told.stan), format!("{:012}", told.amount));
        let rrn = format!("REF{stan}000");
        let mut values = vec![
            (2, pan.as_str()),
            (3, "000000"),
            (4, &amount),
            (7, "1124123456"),
            (11, &stan),
            (32, "12345678901"),
            (37, &rrn),
            (41, "TERMID01"),
            (49, "840"),
        ];
        if told.mti == 120 {
            values.insert(7, (39, "00"));
        }
        let values: Vec<(u8, Value<'_>)> = values.iter().map(|(f, v)| (*f, Value::Text(v))).collect();
        let mut frame = Vec::new();
        self.settings.dialect.compose(mti, &values, &mut frame).expect("values that fit");
        frame
    }

    /// Lets the gate look again.
    fn release(&mut self, pipeline: &Pipeline, tales: &Tales) {
        let mut out = Vec::new();
        self.channel.release(pipeline, self.now, &mut out);
        self.left(pipeline, &out, tales);
        self.answer_verbs(pipeline);
    }

    /// Every answer that leaves is held against what it promises.
    fn left(&mut self, pipeline: &Pipeline, out: &[u8], tales: &Tales) {
        let settings = Arc::clone(&self.settings);
        let mut at = 0;
        while let Some(frame) = settings.dialect.frame(&out[at..]).expect("right framing") {
            let body = &out[at + frame.body.start..at + frame.body.end];
            at += frame.total;
            let mut spans = Spans::default();
            let view = match settings.dialect.decode(body, settings.context, &mut spans) {
                Ok(received) => received.view,
                Err(malformed) => malformed.view.expect("a message"),
            };
            let value = |field| settings.dialect.value(&view, field).unwrap_or_default();
            let stan: u32 = value(11).parse().expect("a number");
            self.judge(pipeline, view.mti(), stan, (value(39), value(38)), tales);
        }
    }

    fn judge(&mut self, pipeline: &Pipeline, mti: u16, stan: u32, answer: (String, String), tales: &Tales) {
        let asked = mti - 10;
        let about = self.told.iter().position(|told| told.mti == asked && told.stan == stan);
        let told = &mut self.told[about.expect("an answer to what was asked")];
        if answer.0 == "91" {
            count(&tales.unavailable);
            assert_eq!(told.record, None, "91 changes nothing: {told:?}");
            assert_eq!(mti % 100 / 10, 1, "only requests are refused");
            return;
        }
        let record = told.record.unwrap_or_else(|| panic!("no answer without a record: {told:?} {answer:?}"));
        if let Some(first) = &told.answer {
            assert_eq!(*first, answer, "a repeat gets the first answer: {told:?}");
        }
        let approval = answer.0 == "00";
        let request = mti % 100 == 10;
        let waits = self.reply == Reply::Fsync || !request || approval && told.amount > LARGE;
        let first = told.answer.is_none();
        told.answer = Some(answer);
        if waits || !first {
            assert!(record <= pipeline.durable().0, "it waits for the disk: {told:?}");
            let in_time = self.now.wall <= told.received.plus_ms(DEADLINE_MS);
            assert!(in_time, "too late is not sent: {told:?} at {:?}", self.now.wall);
            told.firm = true;
        } else if record > pipeline.durable().0 {
            let oldest = self.times.range(pipeline.durable().0 + 1..).next();
            let age = oldest.map_or(0, |(_, time)| self.now.wall.0.saturating_sub(time.0));
            assert!(age <= UNSYNCED_MS * 1_000_000, "the window is bounded by age: {age} ns");
            let records = record - pipeline.durable().0;
            assert!(records <= UNSYNCED_RECORDS, "and by count: {records}");
        }
        count(if request { &tales.approvals } else { &tales.acknowledged });
    }
}
