//! What leaves when, and what is refused: a pipeline over a disk in memory that fails, stalls or is slow, with messages
//! of one socket.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

mod memory;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use memory::Memory;
use turnpike::authorizer::Authorizer;
use turnpike::authorizer::CreditsAt;
use turnpike::authorizer::approval_code::ApprovalCodes;
use turnpike::authorizer::expiry::ExpiryTable;
use turnpike::authorizer::increase::Increases;
use turnpike::crypto::keys::Keys;
use turnpike::dialect::Dialect;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::card::ServiceCode;
use turnpike::domain::card::Verification;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::Configured;
use turnpike::domain::event::Event;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::moved::KeysKept;
use turnpike::domain::party::WalletId;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::Now;
use turnpike::domain::time::Timestamp;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::view::Spans;
use turnpike::journal::recover::Opener;
use turnpike::journal::recover::Recovered;
use turnpike::journal::storage::Operation;
use turnpike::journal::writer::Settings;
use turnpike::journal::writer::Writer;
use turnpike::ledger::authorization::LegState;
use turnpike::ledger::books::Books;
use turnpike::ledger::books::Layout;
use turnpike::ledger::presented::Tolerance;
use turnpike::ledger::shard::Capacity;
use turnpike::link::state;
use turnpike::link::state::Moment;
use turnpike::link::state::SocketId;
use turnpike::pipeline::channel::Channel;
use turnpike::pipeline::channel::ChannelSettings;
use turnpike::pipeline::core::Pipeline;
use turnpike::pipeline::gate::Policy;
use turnpike::pipeline::gate::Reply;
use turnpike::pipeline::notice::Reason;
use turnpike::pipeline::seeding::NewAccount;
use turnpike::pipeline::seeding::NewCard;
use turnpike::pipeline::seeding::Opened;
use turnpike::pipeline::station::Seat;
use turnpike::pipeline::station::Station;
use turnpike::recovery;
use turnpike::recovery::crew::Alone;
use zeroize::Zeroizing;

const START: Timestamp = Timestamp::from_seconds(1_795_523_696);
const CAPACITY: Capacity =
    Capacity { wallets: 4, further_accounts: 4, cards: 4, authorizations: 64, limits: 64, counted: 4_000 };
const PAN: u64 = 4_111_111_111_111_111;
const BALANCE: i64 = 100_000;
const DEADLINE_MS: u64 = 4_000;

/// A pipeline with one wallet, one socket of a link in front of it, and its disk.
struct House {
    pipeline: Pipeline,
    writer: Writer<Memory>,
    memory: Memory,
    keys: Arc<Keys>,
    settings: ChannelSettings,
    station: Station,
    channel: Channel,
    now: Now,
    out: Vec<u8>,
}

fn policy(reply: Reply) -> Policy {
    Policy {
        reply,
        fsync_above: Vec::new(),
        max_unsynced_ns: 50_000_000,
        max_unsynced_records: 1_000,
        gather_ns: 0,
        pace_ns: 0,
        ahead_max: usize::MAX,
        parked_max: 1_000,
    }
}

impl House {
    /// One whose writer ends when nothing is left to write.
    fn new(policy: Policy, parked_max: usize, link: state::Settings) -> Self {
        let mut house = Self::open(policy, parked_max, link);
        house.pipeline.close();
        house.sync();
        house
    }

    /// One whose writer waits for more.
    fn open(policy: Policy, parked_max: usize, link: state::Settings) -> Self {
        let books = Books::new(Layout::new(1), CAPACITY, Bounds::default(), 42);
        let keys = Arc::new(Keys::from_master(Zeroizing::new([7; 32])));
        let memory = Memory::new();
        let settings = Settings { segment_bytes: 1 << 20, epoch_min: 1 };
        let writer = Writer::begin(memory.clone(), &Recovered::default(), keys.vault.fingerprint(), settings);
        let writer = writer.expect("a disk that works");
        let authorizer = Authorizer {
            codes: ApprovalCodes::new([3; 16]),
            time_zone_offset_minutes: 0,
            expiry: ExpiryTable { rows: Vec::new(), otherwise_s: 7 * 86_400 },
            increases: Increases::default(),
            credits: CreditsAt::Clearing,
            clearing_tolerance: Tolerance(20),
            configuration: 1,
        };
        let pipeline = Pipeline::new(books, writer.start(), authorizer, Arc::clone(&keys), policy);
        let settings = ChannelSettings {
            dialect: Dialect::built_in("iso87-ascii").expect("a dialect that is compiled in"),
            context: ChannelSettings::context_of("link", "network"),
            answer_deadline_ms: DEADLINE_MS,
            parked_max,
        };
        let (station, channel) = (Station::new(link), Channel::default());
        let (now, out) = (Now::by(START), Vec::new());
        let house = Self { pipeline, writer, memory, keys, settings, station, channel, now, out };
        house.populate();
        house
    }

    /// One in another dialect, with room at its gate.
    fn with(dialect: &str, policy: Policy) -> Self {
        let mut house = Self::new(policy, 100, state::Settings::default());
        house.settings.dialect = Dialect::built_in(dialect).expect("a dialect that is compiled in");
        house
    }

    fn populate(&self) {
        let configured = Event::Configured(Configured {
            version: 1,
            bounds: Bounds::default(),
            keys: KeysKept::default(),
        });
        self.pipeline.commit_to_all(&configured, Now::by(START)).expect("room");
        let (wallet, currency) = (WalletId(1), Currency::new(840).expect("a currency"));
        let account = NewAccount { wallet, currency, balance: BALANCE, overdraft: 0 };
        let card = NewCard {
            wallet,
            pan: Pan::from_value(PAN, 16).expect("a card number"),
            expiry: Expiry::new(3012).expect("a month"),
            service_code: ServiceCode(201),
            status: CardStatus::Active,
            verification: Verification::None,
            key: None,
        };
        assert_eq!(self.pipeline.open_account(&account, Now::by(START)), Opened::New);
        assert_eq!(self.pipeline.open_card(&card, Now::by(START)), Opened::New);
    }

    /// Lets the disk do what waits for it.
    fn sync(&mut self) {
        let _failed = self.pipeline.run_writer(&mut self.writer, &|_| ());
    }

    fn pass(&mut self, ms: u64) {
        self.now = self.now.plus_ms(ms);
    }

    /// Somebody sets the wall clock.
    fn set_clock(&mut self, by_s: i64) {
        self.now.wall.0 = self.now.wall.0.saturating_add_signed(by_s * 1_000_000_000);
    }

    /// Sends a message, and tells DE 39 of what is answered at once.
    fn send(&mut self, mti: u16, stan: &str, amount: &str) -> Vec<String> {
        self.send_with(mti, stan, amount, &[])
    }

    fn send_with(&mut self, mti: u16, stan: &str, amount: &str, more: &[(u8, &str)]) -> Vec<String> {
        let frame = self.frame(mti, stan, amount, more);
        let seat = Seat { station: &self.station, socket: SocketId(1), moment: Moment(1) };
        let now = self.now;
        let served =
            self.channel.receive(&self.settings, &self.pipeline, seat, &|| now, &frame, &mut self.out);
        assert_eq!(served, Ok(frame.len()));
        self.sent()
    }

    fn frame(&self, mti: u16, stan: &str, amount: &str, more: &[(u8, &str)]) -> Vec<u8> {
        let (pan, rrn) = (PAN.to_string(), format!("REF{stan}000"));
        let values = [
            (2, pan.as_str()),
            (3, "000000"),
            (4, amount),
            (7, "1124123456"),
            (11, stan),
            (32, "12345678901"),
            (37, rrn.as_str()),
            (41, "TERMID01"),
            (49, "840"),
        ];
        let mut values: Vec<(u8, Value<'_>)> =
            values.iter().chain(more).map(|(f, v)| (*f, Value::Text(v))).collect();
        values.sort_by_key(|(field, _)| *field);
        let mut frame = Vec::new();
        self.settings.dialect.compose(mti, &values, &mut frame).expect("values that fit");
        frame
    }

    /// DE 39 of what leaves once the gate has looked again.
    fn release(&mut self) -> Vec<String> {
        self.channel.release(&self.pipeline, self.now, &mut self.out);
        self.sent()
    }

    fn sent(&mut self) -> Vec<String> {
        let bytes = std::mem::take(&mut self.out);
        let dialect = &self.settings.dialect;
        let (mut at, mut codes) = (0, Vec::new());
        while let Some(frame) = dialect.frame(&bytes[at..]).expect("right framing") {
            let mut spans = Spans::default();
            let body = &bytes[at + frame.body.start..at + frame.body.end];
            let view = match dialect.decode(body, self.settings.context, &mut spans) {
                Ok(received) => received.view,
                Err(malformed) => malformed.view.expect("a message"),
            };
            codes.push(dialect.value(&view, 39).expect("an answer has DE 39"));
            at += frame.total;
        }
        codes
    }

    fn dropped(&self, reason: Reason) -> u64 {
        self.channel.tally.dropped(reason)
    }

    fn held(&self) -> i64 {
        let (_, accounts) = self.pipeline.wallet(WalletId(1)).expect("the wallet");
        accounts[0].held
    }

    /// Which authorizations are marked as unanswered, by DE 11.
    fn unanswered(&self) -> BTreeMap<u32, bool> {
        let views = self.pipeline.wallet_authorizations(WalletId(1)).expect("the wallet");
        let mark = |view: &turnpike::ledger::view::AuthorizationView| {
            (view.authorization.stan, view.authorization.legs.has(LegState::UNANSWERED))
        };
        views.iter().map(mark).collect()
    }

    /// The journal tells the same books.
    fn expect_replay(&self) {
        let opener = Opener { seal: &self.keys.vault, fingerprint: self.keys.vault.fingerprint() };
        let settings = recovery::Settings { layout: Layout::new(1), capacity: CAPACITY, seed: 43 };
        let rebuilt = recovery::rebuild(&self.memory, opener, settings, &Alone).expect("a whole journal");
        assert_eq!(rebuilt.books.state_hash(), self.pipeline.state_hash().0);
    }
}

const NONE: [&str; 0] = [];

#[test]
fn r2_after_a_failed_sync_nothing_is_approved_and_nothing_changes() {
    for operation in [Operation::Write, Operation::Sync] {
        let mut house = House::new(policy(Reply::Fsync), 100, state::Settings::default());
        assert_eq!(house.send(100, "000001", "000000001000"), NONE);
        house.sync();
        assert_eq!(house.release(), ["00"], "it is on disk");
        assert_eq!(house.send(100, "000002", "000000002000"), NONE);
        house.memory.fail(operation, 0);
        house.sync();
        assert!(house.pipeline.has_failed());
        assert_eq!(house.release(), NONE, "what waited is dropped, not answered");
        assert_eq!(house.dropped(Reason::JournalFailed), 1);
        let held = house.held();

        assert_eq!(house.send(100, "000003", "000000000100"), ["91"], "{operation}: a request");
        assert_eq!(house.send(400, "000001", "000000001000"), NONE, "{operation}: a reversal");
        assert_eq!(house.send(120, "000004", "000000000500"), NONE, "{operation}: an advice");
        assert_eq!(house.dropped(Reason::Unkept), 2);
        assert_eq!(
            house.send(101, "000001", "000000001000"),
            ["00"],
            "{operation}: a repeat of what is on disk"
        );
        assert_eq!(house.send(101, "000002", "000000002000"), NONE, "{operation}: and of what is not");
        assert_eq!(house.release(), NONE);
        assert_eq!(house.held(), held, "{operation}: nothing has changed");
        assert_eq!(house.pipeline.parked(), 0);
    }
}

#[test]
fn r2_past_its_bounds_requests_get_91_until_the_disk_has_caught_up() {
    let bounds: [(&str, Policy, usize, u64); 2] = [
        ("by count", Policy { max_unsynced_records: 3, ..policy(Reply::Async) }, 3, 0),
        ("by age", policy(Reply::Async), 1, 51),
    ];
    for (name, policy, fit, ms) in bounds {
        let mut house = House::new(policy, 100, state::Settings::default());
        for n in 0..fit {
            let stan = format!("{:06}", n + 1);
            assert_eq!(house.send(100, &stan, "000000001000"), ["00"], "{name}");
        }
        house.pass(ms);
        let held = house.held();
        assert_eq!(house.send(100, "000100", "000000001000"), ["91"], "{name}");
        assert_eq!(house.held(), held, "{name}: nothing has changed");
        house.sync();
        assert_eq!(house.send(100, "000101", "000000001000"), ["00"], "{name}");
        house.sync();
        house.expect_replay();
    }
}

#[test]
fn r2_a_clock_that_is_set_neither_widens_nor_narrows_the_window() {
    for by_s in [-3_600, 3_600] {
        let mut house = House::new(policy(Reply::Async), 100, state::Settings::default());
        assert_eq!(house.send(100, "000001", "000000001000"), ["00"]);
        house.set_clock(by_s);
        house.pass(50);
        assert_eq!(house.send(100, "000002", "000000001000"), ["00"], "the window is not over, by {by_s} s");
        house.pass(1);
        assert_eq!(house.send(100, "000003", "000000001000"), ["91"], "it is over, by {by_s} s");
        house.sync();
        assert_eq!(house.send(100, "000004", "000000001000"), ["00"]);
        house.sync();
        house.expect_replay();
    }
}

#[test]
fn r3_a_clock_that_is_set_neither_makes_an_answer_late_nor_lets_a_late_one_out() {
    for by_s in [-3_600, 3_600] {
        for (ms, answered) in [(DEADLINE_MS, true), (DEADLINE_MS + 1, false)] {
            let mut house = House::new(policy(Reply::Fsync), 100, state::Settings::default());
            assert_eq!(house.send(100, "000001", "000000001000"), NONE);
            house.set_clock(by_s);
            house.pass(ms);
            house.sync();
            let expected: &[&str] = if answered { &["00"] } else { &[] };
            assert_eq!(house.release(), expected, "set by {by_s} s, {ms} ms later");
            assert_eq!(house.dropped(Reason::Late), u64::from(!answered));
            assert_eq!(house.unanswered(), BTreeMap::from([(1, !answered)]));
            house.sync();
            house.expect_replay();
        }
    }
}

#[test]
fn r6_a_repeat_gets_its_first_answer_also_where_nothing_new_is_taken() {
    let refusing = state::Settings { decline_before_sign_on: true, ..state::Settings::default() };
    let mut house = House::new(policy(Reply::Async), 100, refusing);
    let management = |house: &House, sign_on| {
        house.station.with(|session| {
            let what = if sign_on {
                turnpike::domain::request::NetworkManagement::SignOn
            } else {
                turnpike::domain::request::NetworkManagement::SignOff
            };
            session.peer_asks(state::PeerRequest {
                what,
                scope: turnpike::domain::request::Scope::Link,
                stan: turnpike::domain::request::Stan(900),
                transmission: turnpike::domain::time::TransmissionTime::default(),
            })
        })
    };
    assert_eq!(house.send(100, "000001", "000000001000"), ["91"], "nobody has signed on");
    management(&house, true);
    assert_eq!(house.send(100, "000002", "000000001000"), ["00"]);
    management(&house, false);
    house.sync();
    assert_eq!(house.send(100, "000003", "000000001000"), ["91"]);
    assert_eq!(house.send(101, "000002", "000000001000"), ["00"], "a repeat");
    assert_eq!(house.dropped(Reason::NotSignedOn), 3);
    assert_eq!(house.held(), 1_000);
}

#[test]
fn a_full_gate_refuses_only_what_would_have_to_wait() {
    let large = turnpike::domain::money::Money::new(5_000, Currency::new(840).expect("a currency"));
    let policy = Policy { fsync_above: vec![large], ..policy(Reply::Async) };
    let mut house = House::new(policy, 1, state::Settings::default());
    assert_eq!(house.send(100, "000001", "000000001000"), ["00"]);
    house.sync();
    assert_eq!(house.send(100, "000002", "000000006000"), NONE, "a large one waits, and the gate is full");
    assert_eq!(house.send(100, "000003", "000000006000"), ["91"], "another large one");
    assert_eq!(house.send(100, "000004", "000000002000"), ["00"], "a small one need not wait");
    assert_eq!(house.send(101, "000001", "000000001000"), ["00"], "a repeat of what is on disk");
    assert_eq!(house.send(101, "000004", "000000002000"), NONE, "a repeat of what is not would have to wait");
    assert_eq!(house.send(400, "000001", "000000001000"), NONE, "so would a reversal");
    assert_eq!(house.dropped(Reason::Unkept), 2);
    assert_eq!(house.held(), 9_000, "the refused ones have changed nothing");
    house.sync();
    assert_eq!(house.release(), ["00"]);
    house.expect_replay();
}

#[test]
fn an_answer_that_waits_does_not_overtake_those_before_it() {
    let mut house = House::with("iso87-ascii", policy(Reply::Fsync));
    assert_eq!(house.send(100, "000001", "000000001000"), NONE);
    // A second socket of the link brings a request whose repeat comes on the first.
    let mut channel = std::mem::take(&mut house.channel);
    assert_eq!(house.send(100, "000002", "000000999999"), NONE);
    std::mem::swap(&mut house.channel, &mut channel);
    house.sync();
    assert_eq!(
        house.send(101, "000002", "000000999999"),
        NONE,
        "both are on disk, and the first has not left"
    );
    assert_eq!(house.release(), ["00", "51"]);
}

#[test]
fn a_group_for_which_many_wait_is_written_once_it_is_large() {
    // Longer than anybody waits: only a group of half of what may be ahead is written before.
    let policy = Policy { pace_ns: 3_600_000_000_000, ahead_max: 160, ..policy(Reply::Fsync) };
    let house = House::open(policy, 1_000, state::Settings::default());
    let frames: Vec<Vec<u8>> =
        (0..80).map(|n| house.frame(100, &format!("{n:06}"), "000000000001", &[])).collect();
    let House { pipeline, mut writer, settings, station, mut channel, now, .. } = house;
    let mut receive = |frames: &[Vec<u8>]| {
        let seat = Seat { station: &station, socket: SocketId(1), moment: Moment(1) };
        let frames = frames.concat();
        let served = channel.receive(&settings, &pipeline, seat, &|| now, &frames, &mut Vec::new());
        assert_eq!(served, Ok(frames.len()));
    };
    receive(&frames[..70]);
    let groups = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let count = |_| {
                groups.fetch_add(1, Ordering::Relaxed);
            };
            pipeline.run_writer(&mut writer, &count).expect("a good disk");
        });
        // Time for a writer that does not wait to write what there is.
        std::thread::sleep(Duration::from_millis(50));
        receive(&frames[70..]);
        let begun = Instant::now();
        while pipeline.durable() < pipeline.appended() && begun.elapsed() < Duration::from_secs(20) {
            std::thread::yield_now();
        }
        let durable = pipeline.durable();
        pipeline.close();
        assert_eq!(durable, pipeline.appended());
    });
    assert_eq!(groups.load(Ordering::Relaxed), 1, "all in one group");
}

#[test]
fn what_is_told_afterwards_gathers_in_async_until_an_approval_waits_too() {
    // How many reversals wait, and whether they are written though no approval waits.
    for (reversals, at_once) in [(4, true), (5, false), (40, false)] {
        let fsync_above = vec![Money::new(900, Currency::new(840).expect("a currency"))];
        let policy = Policy { pace_ns: 3_600_000_000_000, fsync_above, ..policy(Reply::Async) };
        let house = House::open(policy, 1_000, state::Settings::default());
        let reversal = |n| house.frame(400, &format!("{n:06}"), "000000000001", &[]);
        let reversals = (0..reversals).map(reversal).collect::<Vec<_>>().concat();
        let approval = house.frame(100, "000100", "000000000901", &[]);
        let House { pipeline, mut writer, settings, station, mut channel, now, .. } = house;
        let mut receive = |frames: &[u8]| {
            let seat = Seat { station: &station, socket: SocketId(1), moment: Moment(1) };
            let served = channel.receive(&settings, &pipeline, seat, &|| now, frames, &mut Vec::new());
            assert_eq!(served, Ok(frames.len()));
        };
        let comes = |limit: Duration| {
            let begun = Instant::now();
            while pipeline.durable() < pipeline.appended() && begun.elapsed() < limit {
                std::thread::yield_now();
            }
            pipeline.durable() == pipeline.appended()
        };
        receive(&reversals);
        std::thread::scope(|scope| {
            scope.spawn(|| pipeline.run_writer(&mut writer, &|_| ()).expect("a good disk"));
            let written = comes(if at_once { Duration::from_secs(20) } else { Duration::from_millis(50) });
            receive(&approval);
            let approved = comes(Duration::from_secs(20));
            pipeline.close();
            assert_eq!((written, approved), (at_once, true));
        });
    }
}

#[test]
fn r1_a_reversal_of_the_second_leg_is_acknowledged_once_its_own_record_is_on_disk() {
    // Of a request that has not come, and of one that the network's time-out has undone.
    for came in [false, true] {
        let mut house = House::with("mastercard", policy(Reply::Async));
        if came {
            assert_eq!(house.send(100, "000001", "000000001000"), ["00"]);
        }
        assert_eq!(house.send_with(420, "000001", "000000001000", &[(39, "82")]), NONE);
        house.sync();
        assert_eq!(house.release(), ["00"]);
        assert_eq!(house.send(420, "000001", "000000001000"), NONE);
        assert_eq!(house.send(421, "000001", "000000001000"), NONE, "its repeat must wait, too");
        house.sync();
        assert_eq!(house.release(), ["00", "00"]);
        house.expect_replay();
    }
}

#[test]
fn r3_an_approval_that_is_not_sent_is_marked_and_its_hold_stays() {
    let mut house = House::new(policy(Reply::Fsync), 100, state::Settings::default());
    assert_eq!(house.send(100, "000001", "000000001000"), NONE);
    house.pass(DEADLINE_MS - 1);
    // A clock's step makes the first one late and not the second.
    house.sync();
    assert_eq!(house.send(100, "000002", "000000002000"), NONE);
    house.pass(2);
    house.sync();
    assert_eq!(house.release(), ["00"], "the second is in time");
    assert_eq!(house.dropped(Reason::Late), 1);
    assert_eq!(house.unanswered(), BTreeMap::from([(1, true), (2, false)]));
    assert_eq!(house.held(), 3_000);
    // The socket goes while answers wait.
    assert_eq!(house.send(100, "000003", "000000000500"), NONE);
    house.channel.abandon(&house.pipeline, house.now);
    assert_eq!(house.unanswered(), BTreeMap::from([(1, true), (2, false), (3, true)]));
    assert_eq!((house.held(), house.pipeline.parked()), (3_500, 0));
    house.sync();
    house.expect_replay();
    // The network's reversal settles it.
    assert_eq!(house.send(420, "000001", "000000001000"), NONE);
    house.sync();
    assert_eq!(house.release(), ["00"]);
    assert_eq!(house.held(), 2_500);
    house.expect_replay();
}
