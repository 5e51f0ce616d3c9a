//! Snapshots: a copy that is made in steps while the books change is the books as of its cuts, and a start from it and
//! the journal's later records gives the same books as a start from the whole journal.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

mod memory;

use std::sync::Arc;
use std::time::Duration;

use memory::Crash;
use memory::Memory;
use turnpike::authorizer::Authorizer;
use turnpike::authorizer::CreditsAt;
use turnpike::authorizer::approval_code::ApprovalCodes;
use turnpike::authorizer::expiry::ExpiryTable;
use turnpike::authorizer::increase::Increases;
use turnpike::crypto::keys::Keys;
use turnpike::domain::asset::Price;
use turnpike::domain::asset::Quote;
use turnpike::domain::asset::RateSet;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::card::ServiceCode;
use turnpike::domain::card::Verification;
use turnpike::domain::cleared::FilePosted;
use turnpike::domain::clearing::Arn;
use turnpike::domain::clearing::Function;
use turnpike::domain::clearing::Part;
use turnpike::domain::clearing::Presentment;
use turnpike::domain::clearing::Purpose;
use turnpike::domain::clearing::Usage;
use turnpike::domain::control::Control;
use turnpike::domain::control::Rule;
use turnpike::domain::event::AccountFunded;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::Configured;
use turnpike::domain::event::Event;
use turnpike::domain::event::Sequence;
use turnpike::domain::interest::DayCount;
use turnpike::domain::interest::PaidOut;
use turnpike::domain::interest::Terms;
use turnpike::domain::limit::Filter;
use turnpike::domain::limit::Limit;
use turnpike::domain::limit::Measure;
use turnpike::domain::limit::Number;
use turnpike::domain::limit::Subject;
use turnpike::domain::limit::Window;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::moved::KeysKept;
use turnpike::domain::party::InstitutionId;
use turnpike::domain::party::NameId;
use turnpike::domain::party::SLOTS;
use turnpike::domain::party::Slot;
use turnpike::domain::party::Text;
use turnpike::domain::party::WalletId;
use turnpike::domain::party::WalletStatus;
use turnpike::domain::product::ProductNumber;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::domain::request::Finality;
use turnpike::domain::request::Legs;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
use turnpike::domain::request::Presented;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::ReversalRequest;
use turnpike::domain::request::Stan;
use turnpike::domain::seal::SnapshotKeys;
use turnpike::domain::share::Spending;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::Now;
use turnpike::domain::time::Timestamp;
use turnpike::domain::time::TransmissionTime;
use turnpike::domain::usage::Channel;
use turnpike::domain::zone::Zone;
use turnpike::domain::zone::ZoneTable;
use turnpike::edge::crew::Threads;
use turnpike::edge::snapshots;
use turnpike::edge::zones;
use turnpike::history::entry::Day;
use turnpike::history::entry::Entry;
use turnpike::history::index;
use turnpike::history::index::History;
use turnpike::history::search;
use turnpike::history::search::Search;
use turnpike::journal::recover::Opener;
use turnpike::journal::recover::Recovered;
use turnpike::journal::recover::recover;
use turnpike::journal::segment;
use turnpike::journal::snapshot;
use turnpike::journal::snapshot::Anchor;
use turnpike::journal::snapshot::Head;
use turnpike::journal::snapshot::SnapshotError;
use turnpike::journal::snapshot_writer;
use turnpike::journal::snapshot_writer::SnapshotWriter;
use turnpike::journal::storage::Operation;
use turnpike::journal::storage::Storage;
use turnpike::journal::writer::Settings;
use turnpike::journal::writer::Writer;
use turnpike::ledger::books::Books;
use turnpike::ledger::books::Layout;
use turnpike::ledger::departed::Departed;
use turnpike::ledger::presented::Tolerance;
use turnpike::ledger::restore::Restoring;
use turnpike::ledger::shard::Capacity;
use turnpike::ledger::state_hash::StateHash;
use turnpike::pipeline::clearing::Posting;
use turnpike::pipeline::core::Admission;
use turnpike::pipeline::core::Pipeline;
use turnpike::pipeline::gate::Policy;
use turnpike::pipeline::gate::Reply;
use turnpike::pipeline::interest;
use turnpike::pipeline::past;
use turnpike::pipeline::past::Past;
use turnpike::pipeline::past::Standing;
use turnpike::pipeline::past::Unknown;
use turnpike::pipeline::products::Assigning;
use turnpike::pipeline::seeding::NewAccount;
use turnpike::pipeline::seeding::NewCard;
use turnpike::pipeline::seeding::NotSet;
use turnpike::pipeline::seeding::Opened;
use turnpike::pipeline::snapshot::Steps;
use turnpike::recovery;
use turnpike::recovery::Listener;
use turnpike::recovery::RebuildError;
use turnpike::recovery::Rebuilt;
use turnpike::recovery::Replay;
use turnpike::recovery::crew::Alone;
use turnpike::recovery::crew::Crew;
use turnpike::recovery::crew::Work;
use turnpike::recovery::verify::Verified;
use turnpike::recovery::verify::verify;
use zeroize::Zeroizing;

const START_S: u64 = 1_795_523_696;

/// Where the customers of calendar windows are.
fn zone() -> ZoneTable {
    zones::look_up("America/New_York", Timestamp::from_seconds(START_S)).expect("a zone")
}

const CAPACITY: Capacity = Capacity {
    wallets: 400,
    further_accounts: 400,
    cards: 800,
    authorizations: 6_000,
    limits: 6_000,
    counted: 4_000,
};
const CAPACITY_OF_MANY: Capacity = Capacity { further_accounts: 2_000, ..CAPACITY };
/// Narrow, so that closed authorizations and answers are let go of while a copy is made.
const BOUNDS: Bounds = Bounds {
    repeat_window_s: 600,
    answers_per_slot: 3,
    closed_per_slot: 4,
    closed_window_s: 60,
    authorizations_per_card: 12,
};
/// What a shard notes of what leaves memory, until it is fetched.
const NOTED: usize = 300;
const LAYOUTS: [u16; 4] = [1, 4, 16, 256];

struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    const fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn keys(byte: u8) -> Arc<Keys> {
    Arc::new(Keys::from_master(Zeroizing::new([byte; 32])))
}

/// Random traffic of requests, reversals, new wallets and cards.
struct Traffic {
    random: Random,
    now: Now,
    wallets: u64,
    cards: Vec<u64>,
    /// Accounts that were opened later.
    pockets: u64,
    sent: Vec<AuthorizationRequest>,
}

impl Traffic {
    fn new(seed: u64) -> Self {
        let now = Now::by(Timestamp::from_seconds(START_S));
        Self { random: Random(seed), now, wallets: 0, cards: Vec::new(), pockets: 0, sent: Vec::new() }
    }

    /// A wallet with one or two accounts and cards.
    fn open(&mut self, pipeline: &Pipeline) {
        self.wallets += 1;
        let wallet = WalletId(self.wallets);
        for numeric in [840, 978].into_iter().take(1 + self.random.below(2) as usize) {
            let currency = Currency::new(numeric).expect("a currency");
            let account = NewAccount { wallet, currency, balance: 50_000, overdraft: 100 };
            assert_eq!(pipeline.open_account(&account, self.now), Opened::New);
        }
        for _ in 0..=self.random.below(2) {
            self.open_card(pipeline, wallet);
        }
    }

    /// What is done with several accounts: rates, further ones, the order in which they are spent, and interest, for
    /// which a day may pass.
    fn pocket(&mut self, pipeline: &Pipeline, wallet: WalletId) {
        let [dollars, euros] = [840, 978].map(|numeric| Currency::new(numeric).expect("a currency"));
        let there = pipeline.wallet(wallet).expect("the wallet").1.len() as u16;
        let done = match self.random.below(8) {
            0 => {
                let price = Price { digits: 900 + self.random.below(400), decimals: 3 };
                let quote = Some(Quote { price, spread_ppm: self.random.below(5_000) as u32 });
                let set = [RateSet { from: euros, to: dollars, quote }];
                assert_eq!(pipeline.set_rates(&set, self.now).0, 1);
                pipeline.check_rates(&set)
            }
            1 | 2 if self.pockets < 150 && there < 4 => {
                self.pockets += 1;
                let currency = if self.random.one_in(2) { dollars } else { euros };
                pipeline.open_pocket(wallet, (there, currency), 0, self.now).map(|_| ())
            }
            3..=5 => {
                let mut order: Vec<u16> = (0..there).collect();
                let by = self.random.below(u64::from(there)) as usize;
                order.rotate_left(by);
                order.truncate(self.random.below(5) as usize);
                let order = Spending::new(&order).expect("an order");
                pipeline.set_spending(wallet, order, self.now).map(|_| ())
            }
            6 => {
                let rate_ppm = 100_000 + self.random.below(900_000) as u32;
                let day_count = DayCount::ALL[self.random.below(3) as usize].0;
                let terms = Terms { rate_ppm, day_count, paid_out: PaidOut::Daily };
                let terms = Some(terms).filter(|_| !self.random.one_in(4));
                let account = self.random.below(u64::from(there)) as u16;
                pipeline.set_interest(wallet, account, terms, self.now).map(|_| ())
            }
            _ if self.random.one_in(8) => {
                self.now = self.now.plus_ms(86_400_000);
                let mut pass = interest::Pass::default();
                while pipeline.pay_interest(&mut pass, self.now) == interest::Step::More {}
                Ok(())
            }
            _ => Ok(()),
        };
        assert_eq!(done, Ok(()));
    }

    fn open_card(&mut self, pipeline: &Pipeline, wallet: WalletId) {
        let number = 4_000_000_000_000_000 + self.cards.len() as u64;
        let card = NewCard {
            wallet,
            pan: Pan::from_value(number, 16).expect("a card number"),
            expiry: Expiry::new(3012).expect("a month"),
            service_code: ServiceCode(201),
            status: CardStatus::Active,
            verification: Verification::None,
            key: None,
        };
        assert_eq!(pipeline.open_card(&card, self.now), Opened::New);
        self.cards.push(number);
    }

    /// Sets or removes a limit or a control of a wallet or of one of its cards, or gives a card a status.
    fn restrict(&mut self, pipeline: &Pipeline, wallet: WalletId) {
        let wallet = WalletId(wallet.0.min(9));
        let cards = pipeline.wallet_cards(wallet).expect("the wallet");
        let card = cards.first().expect("a card").card;
        let subject = if self.random.one_in(2) { Subject::Card(card) } else { Subject::Wallet(wallet) };
        let number = Number::new(1 + self.random.below(2) as u8).expect("a number");
        let dollars = Currency::new(840).expect("a currency");
        let windows =
            [Window::Sliding(60), Window::Sliding(86_400), Window::Lifetime, Window::Day(Zone::default())];
        if self.random.one_in(12) {
            // A government leaves daylight saving, or returns to it.
            let told = zone();
            let first = told.changes().first().copied().into_iter().collect();
            let without = ZoneTable::new(told.name(), first).expect("a zone");
            let known = if self.random.one_in(2) { told } else { without };
            pipeline.renew_zones(&|_| Some(known.clone()), self.now).expect("room");
        }
        // Each writes a record for every slot.
        if self.random.one_in(40) {
            return self.rule(pipeline);
        }
        let done = match self.random.below(8) {
            0 => pipeline.set_limit(subject, number, None, None, self.now),
            1 => {
                let status = if self.random.one_in(2) { CardStatus::Active } else { CardStatus::Frozen };
                pipeline.set_card_status(card, status, self.now)
            }
            2 => pipeline.set_control(subject, number, Some(Control::FIRST_MERCHANT), self.now),
            3 => pipeline.set_control(subject, number, Control::countries(Rule::Deny, &[840]), self.now),
            measure => {
                let window = windows[self.random.below(4) as usize];
                let measure = if measure == 4 { Measure::Count } else { Measure::Amount(dollars) };
                let max = self.random.below(20_000) as i64;
                let limit = Limit { measure, max, window, filter: Filter::ALL };
                let zone = zone();
                let zone = window.zone().map(|_| &zone);
                pipeline.set_limit(subject, number, Some(limit), zone, self.now)
            }
        };
        // What is not there cannot be removed.
        assert!(matches!(done, Ok(_) | Err(NotSet::NotThere(_))), "{done:?}");
    }

    /// Puts cards into products, or sets or removes a limit or a control of one.
    fn rule(&mut self, pipeline: &Pipeline) {
        let product = |number: u64| ProductNumber::new(number as u8);
        if self.random.one_in(3) {
            let shift = self.random.below(2);
            let of = |pan: Pan| product((pan.value() / 7 + shift * (pan.value() % 2)) % 3);
            assert!(pipeline.assign_products(&of, &mut Assigning::default(), self.now));
            return;
        }
        let product = product(1 + self.random.below(2)).expect("a number");
        let number = Number::new(1 + self.random.below(2) as u8).expect("a number");
        let removes = self.random.one_in(3);
        let done = if self.random.one_in(5) {
            let control = Control::countries(Rule::Deny, &[276]).filter(|_| !removes);
            pipeline.set_product_control(product, number, control, self.now)
        } else {
            let windows = [Window::Sliding(86_400), Window::Lifetime, Window::Month(Zone::default())];
            let window = windows[self.random.below(3) as usize];
            let max = self.random.below(30) as i64;
            let limit = Limit { measure: Measure::Count, max, window, filter: Filter::ALL };
            let (zone, of) = (zone(), (product, self.random.one_in(2)));
            let zone = window.zone().map(|_| &zone);
            pipeline.set_product_limit(of, number, Some(limit).filter(|_| !removes), zone, self.now)
        };
        assert!(matches!(done, Ok(_) | Err(NotSet::NotThere(_))), "{done:?}");
        assert_eq!(pipeline.level_products(self.now), Some(0));
    }

    /// One thing that happens.
    fn step(&mut self, pipeline: &Pipeline) {
        self.now = self.now.plus_ms(self.random.below(900));
        let wallet = WalletId(1 + self.random.below(self.wallets));
        match self.random.below(20) {
            0 if self.wallets < 300 => self.open(pipeline),
            1 if self.cards.len() < 700 => self.open_card(pipeline, wallet),
            2 => {
                let status = if self.random.one_in(2) { WalletStatus::Active } else { WalletStatus::Frozen };
                pipeline.set_wallet_status(wallet, status, self.now).expect("the wallet");
            }
            9 => self.restrict(pipeline, wallet),
            12 => self.pocket(pipeline, wallet),
            10 | 11 if !self.sent.is_empty() => self.clear(pipeline),
            3..=8 if !self.sent.is_empty() => self.reverse(pipeline),
            _ => self.authorize(pipeline),
        }
    }

    fn authorize(&mut self, pipeline: &Pipeline) {
        let r = &mut self.random;
        let card = self.cards[r.below(self.cards.len() as u64) as usize];
        let serial = r.next();
        let kind = [0, 0, 0, 30, 20][r.below(5) as usize];
        let processing_code = ProcessingCode(kind * 10_000);
        let amount = Money::new(1 + r.below(20_000) as i64, Currency::new(840).expect("a currency"));
        let request = AuthorizationRequest {
            key: MessageKey {
                network: NameId::of("visa"),
                link: NameId::of("a"),
                stan: Stan((serial % 1_000_000) as u32),
                transmission: TransmissionTime::new(1_124_123_456).expect("a date"),
                acquirer: InstitutionId(12_345),
                rrn: Text::from_ascii(format!("{:012}", serial % 1_000_000_000_000).as_bytes()),
                terminal: Text::from_ascii(b"TERM0001"),
                merchant: Text::from_ascii(b"SHOP"),
                network_reference: if r.one_in(2) { 0 } else { serial | 1 },
            },
            class: if r.one_in(4) { MessageClass::Financial } else { MessageClass::Authorization },
            repeat: false,
            pan: Pan::from_value(card, 16).expect("a card number"),
            expiry: None,
            processing_code,
            kind: processing_code.kind(),
            amount,
            billing: None,
            mcc: 5999,
            country: 840,
            entry_mode: 0,
            channel: Channel::Chip,
            partial_supported: r.one_in(3),
            merchant_initiated: r.one_in(5),
            increment: r.one_in(5),
            finality: Finality::Undefined,
            card_present: true,
            presented: Presented::default(),
        };
        let admission = Admission { new: true, wait: true };
        let _answer = pipeline.authorize(&request, admission, self.now, self.now);
        self.sent.push(request);
    }

    /// A clearing record of a purchase or of nothing, in part, of another amount, or reversed; and how far its file is.
    fn clear(&mut self, pipeline: &Pipeline) {
        let which = self.random.below(self.sent.len() as u64) as usize;
        let request = self.sent[which];
        let r = &mut self.random;
        let purpose =
            if request.processing_code.kind().is_credit() { Purpose::Refund } else { Purpose::Purchase };
        let (reversal, second, unknown) = (r.one_in(6), r.one_in(12), r.one_in(12));
        let usage = if second { Usage::Second } else { Usage::First };
        let arn = format!("2444500{:016}", if r.one_in(4) { which as u64 } else { r.next() % 1_000_000 });
        let presentment = Presentment {
            network: request.key.network,
            function: Function { purpose, reversal, usage, code: 501 },
            part: if r.one_in(4) { Part::Partial } else { Part::Whole },
            pan: if unknown {
                Pan::from_value(5_000_000_000_000_000 + r.below(9), 16).expect("a number")
            } else {
                request.pan
            },
            arn: Arn::new(*arn.as_bytes().first_chunk().expect("23 digits")).expect("digits"),
            amount: if r.one_in(3) {
                Money::new(1 + r.below(20_000) as i64, request.amount.currency)
            } else {
                request.amount
            },
            billing: None,
            settlement: None,
            authorized: None,
            approval_code: None,
            network_reference: request.key.network_reference,
            rrn: request.key.rrn,
            stan: None,
            terminal: request.key.terminal,
            merchant: request.key.merchant,
            mcc: request.mcc,
            country: Text::from_ascii(b"US"),
            acquirer: request.key.acquirer,
            local_date: None,
            local_time: None,
        };
        if let Posting::Done(..) = pipeline.clear(&presentment, self.now) {
            let again = pipeline.clear(&presentment, self.now);
            assert!(matches!(again, Posting::Again(_)), "{again:?} of {presentment:?}");
        }
        let posted =
            FilePosted::new(u128::from(self.random.below(50)) << 64, self.random.below(1_000), 1_000);
        let _noted = pipeline.note_file(&posted, self.now);
    }

    fn reverse(&mut self, pipeline: &Pipeline) {
        let which = self.random.below(self.sent.len() as u64) as usize;
        let request = self.sent[which];
        let reversal = ReversalRequest {
            key: request.key,
            advice: self.random.one_in(2),
            repeat: self.random.one_in(3),
            pan: request.pan,
            processing_code: request.processing_code,
            amount: request.amount,
            billing: None,
            replacement: None,
            approval_code: None,
            original: None,
            legs: if self.random.one_in(3) { Legs::Ours } else { Legs::Both },
            reason: 0,
        };
        let _answer = pipeline.reverse(&reversal, self.now, self.now);
    }
}

/// Books with a journal on a disk in memory.
struct House {
    pipeline: Pipeline,
    writer: Writer<Memory>,
    memory: Memory,
    keys: Arc<Keys>,
    configured: Configured,
}

impl House {
    fn new(shards: u16, traffic: &mut Traffic) -> Self {
        Self::begun(shards, traffic, 1)
    }

    /// Epochs are the seconds of a start, so that two directories have different ones.
    fn begun(shards: u16, traffic: &mut Traffic, epoch_min: u32) -> Self {
        let mut house = Self::empty(shards, epoch_min);
        for _ in 0..40 {
            traffic.open(&house.pipeline);
        }
        house.sync();
        house
    }

    fn empty(shards: u16, epoch_min: u32) -> Self {
        let books = Books::new(Layout::new(shards), CAPACITY, BOUNDS, keys(7).table_seed());
        Self::over(Memory::new(), books, &Recovered::default(), epoch_min)
    }

    fn over(memory: Memory, mut books: Books, recovered: &Recovered, epoch_min: u32) -> Self {
        books.note_departures(NOTED, 0);
        let keys = keys(7);
        let settings = Settings { segment_bytes: 0, epoch_min };
        let fingerprint = keys.vault.fingerprint();
        let writer = Writer::begin(memory.clone(), recovered, fingerprint, settings).expect("a good disk");
        let authorizer = Authorizer {
            codes: ApprovalCodes::new([3; 16]),
            time_zone_offset_minutes: 0,
            expiry: ExpiryTable { rows: Vec::new(), otherwise_s: 7 * 86_400 },
            increases: Increases::default(),
            credits: CreditsAt::Clearing,
            clearing_tolerance: Tolerance(20),
            configuration: 1,
        };
        let policy = Policy {
            reply: Reply::Async,
            fsync_above: Vec::new(),
            max_unsynced_ns: u64::MAX,
            max_unsynced_records: 100_000,
            gather_ns: 0,
            pace_ns: 0,
            ahead_max: usize::MAX,
            parked_max: 1_000,
        };
        let pipeline = Pipeline::new(books, writer.start(), authorizer, Arc::clone(&keys), policy);
        // From here on a run of the writer ends when nothing is left to write.
        pipeline.close();
        let configured = Configured { version: 1, bounds: BOUNDS, keys: KeysKept::default() };
        let house = Self { pipeline, writer, memory, keys, configured };
        house.configure(recovered.time)
    }

    fn configure(self, time: Timestamp) -> Self {
        let now = Now::by(Timestamp::from_seconds(START_S).max(time));
        self.pipeline.commit_to_all(&Event::Configured(self.configured), now).expect("room");
        self
    }

    /// Other bounds from here on.
    fn bounded(self, bounds: Bounds) -> Self {
        let configured = Configured { version: 2, bounds, keys: KeysKept::default() };
        Self { configured, ..self }.configure(Timestamp::default())
    }

    fn sync(&mut self) {
        self.pipeline.run_writer(&mut self.writer, &|_| ()).expect("a good disk");
    }

    /// Makes a snapshot of this number, with traffic between any two blocks.
    fn snapshot(&mut self, number: u64, traffic: &mut Traffic) {
        let salt = [number as u8; 32];
        let head = Head { number, salt, began: traffic.now.wall, configured: self.configured, seeded: None };
        let mut writer = SnapshotWriter::begin(&self.memory, &head, &self.keys.vault).expect("a good disk");
        let pipeline = &self.pipeline;
        let copied = pipeline.copy_into(&mut writer, Steps::default(), &mut |_| {
            for _ in 0..traffic.random.below(4) {
                traffic.step(pipeline);
            }
        });
        copied.expect("a good disk");
        let last = segment::survey(&self.memory).expect("a journal").pop().expect("a segment").header;
        let anchor = Anchor { segment: last.number, epoch: last.epoch, first: last.first, chain: last.chain };
        let unpublished = writer.end(anchor).expect("a good disk");
        self.sync();
        assert!(self.pipeline.durable() >= unpublished.tail.last);
        unpublished.publish(&self.keys.vault).expect("it can be read back");
    }

    fn hash(&self) -> StateHash {
        self.pipeline.state_hash().0
    }
}

fn settings(shards: u16) -> recovery::Settings {
    recovery::Settings { layout: Layout::new(shards), capacity: CAPACITY, seed: keys(7).table_seed() }
}

fn restored(memory: &Memory, key: u8, shards: u16) -> Result<Rebuilt, RebuildError> {
    let keys = keys(key);
    let opener = Opener { seal: &keys.vault, fingerprint: SnapshotKeys::fingerprint(&keys.vault) };
    recovery::restore(memory, opener, &keys.vault, settings(shards), &Threads::new(2))
}

/// The same, and what left memory after a record.
fn restored_telling(memory: &Memory, shards: u16, known_to: Sequence) -> (Rebuilt, Vec<Departed>) {
    let keys = keys(7);
    let opener = Opener { seal: &keys.vault, fingerprint: SnapshotKeys::fingerprint(&keys.vault) };
    let mut told = Vec::new();
    let listener = Listener { known_to, left: &mut |departed| told.push(*departed) };
    let rebuilt = recovery::restore_telling(
        memory,
        opener,
        &keys.vault,
        settings(shards),
        Some(listener),
        &Threads::new(2),
    );
    (rebuilt.expect("a good disk"), told)
}

/// Which authorizations left, and when.
fn names(departed: &[Departed], after: Sequence) -> Vec<(Sequence, Sequence)> {
    let later = departed.iter().filter(|departed| departed.by > after);
    later.map(|departed| (departed.by, departed.authorization.sequence)).collect()
}

/// The events of a journal, with their sequences and times.
fn events(memory: &Memory) -> Vec<(Sequence, Timestamp, Event)> {
    let keys = keys(7);
    let opener = Opener { seal: &keys.vault, fingerprint: SnapshotKeys::fingerprint(&keys.vault) };
    let mut events = Vec::new();
    recover(memory, opener, Sequence(0), |sequence, time, event| events.push((sequence, time, event)))
        .expect("a whole journal");
    events
}

fn cases() -> u64 {
    std::env::var("TURNPIKE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(12)
}

/// More currencies than the marks of an image leave room for in one number.
#[test]
fn a_shard_of_many_currencies_is_copied_whole() {
    for many in [1_000, 1_023, 1_024, 1_100] {
        let books = || Books::new(Layout::new(1), CAPACITY_OF_MANY, Bounds::default(), keys(7).table_seed());
        let (mut from, mut restoring) = (books(), Restoring::new(books()));
        for (account, sequence) in (0..many).zip(1..) {
            let wallet = WalletId(1);
            let currency = Currency::from_number(1_000 + account).expect("a number");
            let funded = AccountFunded {
                slot: Slot::of_wallet(wallet),
                wallet,
                account,
                currency,
                amount: 5,
                overdraft: 0,
            };
            let time = Timestamp::from_seconds(START_S);
            from.apply(Sequence(sequence), time, &Event::AccountFunded(funded)).expect("room");
        }
        let (mut image, mut wallets) = (Vec::new(), Vec::new());
        from.shards[0].begin_copy(&mut image);
        while from.shards[0].copy_on(100_000, &mut wallets).more {}
        restoring.shard_part(&image, Sequence(many.into())).expect("an image");
        assert_eq!(restoring.wallets(&wallets).expect("an image"), 1);
        let to = restoring.finish().expect("it adds up");
        assert_eq!(to.state_hash(), from.state_hash(), "{many} currencies");
    }
}

#[test]
fn a_copy_made_wallet_by_wallet_while_the_books_change_is_of_its_cut() {
    for seed in 0..cases() {
        let mut traffic = Traffic::new(seed);
        let mut house = House::new(4, &mut traffic);
        (0..600).for_each(|_| traffic.step(&house.pipeline));
        house.sync();
        let events = events(&house.memory);
        let mut random = Random(seed);
        let mut books = Books::new(Layout::new(4), CAPACITY, Bounds::default(), keys(7).table_seed());
        let mut to = LAYOUTS[random.below(LAYOUTS.len() as u64) as usize];
        if seed == 0 {
            to = 4;
        }
        let mut restoring =
            Restoring::new(Books::new(Layout::new(to), CAPACITY, BOUNDS, keys(7).table_seed()));
        let mut stamps = vec![Sequence(0); 1024];
        // Each shard is copied over a part of the history, a wallet at a time; the parts overlap.
        let spans: Vec<(usize, usize)> = (0..4)
            .map(|_| {
                let start = 1 + random.below(events.len() as u64 / 2) as usize;
                (start, start + random.below(events.len() as u64 / 2) as usize)
            })
            .collect();
        for (index, (sequence, time, event)) in events.iter().enumerate() {
            books.apply(*sequence, *time, event).expect("it has happened");
            for (shard, (start, end)) in spans.iter().enumerate() {
                let mut image = Vec::new();
                if index == *start {
                    books.shards[shard].begin_copy(&mut image);
                    for slot in restoring.shard_part(&image, *sequence).expect("an image") {
                        stamps[usize::from(slot.number())] = *sequence;
                    }
                } else if index > *start && index < *end && random.one_in(3) {
                    let step = books.shards[shard].copy_on(1, &mut image);
                    assert!(step.wallets <= 1);
                    assert_eq!(restoring.wallets(&image).expect("an image"), step.wallets);
                } else if index == *end {
                    while books.shards[shard].copy_on(100, &mut image).more {}
                    let (early, wallets) = books.shards[shard].end_copy();
                    restoring.wallets(&image).expect("an image");
                    assert_eq!(restoring.wallets(&early).expect("an image"), wallets);
                }
            }
        }
        for (shard, (start, end)) in spans.iter().enumerate() {
            if start == end {
                let mut image = Vec::new();
                while books.shards[shard].copy_on(100, &mut image).more {}
                // The copy was begun at the last look, and nothing is to come.
                let (early, _) = books.shards[shard].end_copy();
                restoring.wallets(&image).expect("an image");
                restoring.wallets(&early).expect("an image");
            }
        }
        let mut again = restoring.finish().unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        for (sequence, time, event) in &events {
            let slot = event.slot().unwrap_or_default();
            if *sequence > stamps[usize::from(slot.number())] {
                again.apply(*sequence, *time, event).expect("it fits");
            }
        }
        again.audit().unwrap_or_else(|finding| panic!("seed {seed}: {finding}"));
        assert_eq!(again.state_hash(), books.state_hash(), "seed {seed}, over {to} shards");
        assert_eq!(books.state_hash(), house.hash(), "seed {seed}");
    }
}

#[test]
fn a_start_from_a_snapshot_gives_the_books_of_the_whole_journal() {
    for seed in 0..cases() {
        let mut traffic = Traffic::new(seed);
        let shards = LAYOUTS[seed as usize % LAYOUTS.len()];
        let mut house = House::new(shards, &mut traffic);
        for number in 1..=3 {
            for _ in 0..200 {
                traffic.step(&house.pipeline);
                if traffic.random.one_in(30) {
                    house.sync();
                }
            }
            house.snapshot(number, &mut traffic);
            snapshot_writer::retire(&house.memory, &[number - 1, number]).expect("a good disk");
            (0..50).for_each(|_| traffic.step(&house.pipeline));
            house.sync();
            let crash = [Crash::LoseUnsynced, Crash::KeepWritten, Crash::Tear(seed)][number as usize % 3];
            let disk = house.memory.after(crash);
            let to = LAYOUTS[traffic.random.below(LAYOUTS.len() as u64) as usize];
            let from_snapshot = restored(&disk, 7, to).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            assert_eq!(from_snapshot.snapshot.map(|(number, _)| number), Some(number));
            assert!(from_snapshot.applied < from_snapshot.recovered.records);
            from_snapshot.books.audit().expect("the books hold");
            assert_eq!(
                from_snapshot.books.state_hash(),
                house.hash(),
                "seed {seed}, {shards} to {to} shards"
            );
            assert_eq!(restored(&disk, 7, to).expect("again").books.state_hash(), house.hash());
            // A new epoch goes on from there, over what is left of the journal.
            let Rebuilt { books, recovered, .. } = restored(&disk, 7, shards).expect("again");
            house = House::over(disk, books, &recovered, 1);
            house.sync();
        }
    }
}

/// Does what it is given from the last piece to the first.
struct Backwards;

impl Crew for Backwards {
    fn share<'w>(&self, own: &mut dyn FnMut(), work: Vec<Work<'w>>) {
        work.into_iter().rev().for_each(|piece| piece());
        own();
    }
}

/// One record after the other, over as many shards as rebuilt it otherwise.
fn in_order(memory: &Memory, settings: recovery::Settings) -> Result<Rebuilt, RebuildError> {
    let keys = keys(7);
    let opener = Opener { seal: &keys.vault, fingerprint: SnapshotKeys::fingerprint(&keys.vault) };
    let books = Books::new(settings.layout, settings.capacity, Bounds::default(), settings.seed);
    let mut replay = Replay::new(books);
    replay.journal_in_order(memory, opener, snapshot::Tail::default(), &mut |_, _| (), None)?;
    replay.end()
}

#[test]
fn whoever_rebuilds_the_books_and_in_which_order_they_are_the_same() {
    let crews: [&dyn Crew; 4] = [&Alone, &Backwards, &Threads::new(2), &Threads::new(5)];
    for seed in 0..cases() {
        let mut traffic = Traffic::new(seed);
        let mut house = House::new(4, &mut traffic);
        for _ in 0..400 {
            traffic.step(&house.pipeline);
            if traffic.random.one_in(20) {
                house.sync();
            }
        }
        house.sync();
        let keys = keys(7);
        let opener = Opener { seal: &keys.vault, fingerprint: SnapshotKeys::fingerprint(&keys.vault) };
        for shards in LAYOUTS {
            let once = in_order(&house.memory, settings(shards)).expect("a whole journal");
            for crew in crews {
                let rebuilt = recovery::rebuild(&house.memory, opener, settings(shards), crew);
                let rebuilt = rebuilt.expect("a whole journal");
                assert_eq!(rebuilt.books.state_hash(), house.hash(), "seed {seed}, {shards} shards");
                assert_eq!((rebuilt.applied, &rebuilt.recovered), (once.applied, &once.recovered));
                assert_eq!((rebuilt.seeded, rebuilt.configured), (once.seeded, once.configured));
                assert_eq!(rebuilt.books.audit(), Ok(()));
            }
        }
        // What does not fit is the same record, also where all shards together fill one table.
        for cards in [1, 5, 8, 9] {
            let small = Capacity { cards, ..CAPACITY };
            let settings = recovery::Settings { capacity: small, ..settings(64) };
            let once = in_order(&house.memory, settings).map(|rebuilt| rebuilt.applied);
            for crew in crews {
                let rebuilt = recovery::rebuild(&house.memory, opener, settings, crew);
                assert_eq!(rebuilt.map(|rebuilt| rebuilt.applied), once, "seed {seed}, {cards} cards");
            }
        }
    }
}

fn verified(memory: &Memory) -> Verified {
    let keys = keys(7);
    let opener = Opener { seal: &keys.vault, fingerprint: SnapshotKeys::fingerprint(&keys.vault) };
    verify(memory, opener, &keys.vault, keys.table_seed(), None).expect("a whole journal")
}

/// Room for verification is what each slot needs: its even share of this journal would be some 70 authorizations.
#[test]
fn verification_has_room_for_a_journal_whose_traffic_is_on_few_wallets() {
    for wallets in [1, 2] {
        let mut traffic = Traffic::new(wallets);
        let bounds = Bounds { closed_per_slot: 1_000, authorizations_per_card: 1_000, ..BOUNDS };
        let mut house = House::empty(1, 1).bounded(bounds);
        (0..wallets).for_each(|_| traffic.open(&house.pipeline));
        for number in 1..=2 {
            for _ in 0..300 {
                (0..5).for_each(|_| traffic.authorize(&house.pipeline));
                house.sync();
            }
            house.snapshot(number, &mut traffic);
        }
        (0..500).for_each(|_| traffic.authorize(&house.pipeline));
        house.sync();
        let even = house.pipeline.durable().0.div_ceil(u64::from(SLOTS));
        let busiest = |books: &Books| books.shards.iter().map(|shard| shard.fill().open_authorizations).max();
        let found = verified(&house.memory);
        assert!(busiest(&found.rebuilt.books) > Some(2 * (even + even / 8 + 64)), "{wallets} wallets");
        assert_eq!(found.rebuilt.books.state_hash(), house.hash(), "{wallets} wallets");
        let differing = |found: &Verified| Vec::from_iter(found.compared.iter().map(|(_, _, slot)| *slot));
        assert_eq!(differing(&found), [None, None], "{wallets} wallets");

        // The same when the first snapshot stands for the journal's beginning.
        let tail = snapshot::read_tail(&house.memory, 1, &house.keys.vault).expect("a snapshot");
        let segments = segment::survey(&house.memory).expect("a journal");
        let released = segment::release(&house.memory, &segments, tail.covered, 1 << 20, 0);
        assert!(released.expect("a good disk") > 0);
        let found = verified(&house.memory);
        assert_eq!(found.rebuilt.snapshot.map(|(number, _)| number), Some(1));
        assert_eq!(found.rebuilt.books.state_hash(), house.hash(), "{wallets} wallets");
        assert_eq!(differing(&found), [None], "{wallets} wallets");
    }
}

#[test]
fn verification_compares_every_snapshot_with_the_journal() {
    for seed in 0..cases().min(12) {
        let mut traffic = Traffic::new(seed);
        let mut house = House::new(16, &mut traffic);
        for number in 1..=2 {
            (0..150).for_each(|_| traffic.step(&house.pipeline));
            house.snapshot(number, &mut traffic);
        }
        (0..50).for_each(|_| traffic.step(&house.pipeline));
        house.sync();
        let found = verified(&house.memory);
        let compared: Vec<(u64, Option<u16>)> =
            found.compared.iter().map(|(number, _, slot)| (*number, *slot)).collect();
        assert_eq!(compared, [(1, None), (2, None)], "seed {seed}");
        assert_eq!(found.rebuilt.books.state_hash(), house.hash());
        // The books of another history under the same name: whole, sealed with the same key, and not true.
        let mut other_traffic = Traffic::new(seed);
        let mut other = House::new(16, &mut other_traffic);
        (0..160).for_each(|_| other_traffic.step(&other.pipeline));
        other.snapshot(2, &mut other_traffic);
        house.memory.put(&snapshot::name(2), &other.memory.content(&snapshot::name(2)).expect("a file"));
        let found = verified(&house.memory);
        assert!(found.compared.iter().any(|(number, _, slot)| *number == 2 && slot.is_some()), "seed {seed}");
    }
}

#[test]
fn segments_go_once_two_snapshots_cover_them_and_a_start_does_not_miss_them() {
    let mut traffic = Traffic::new(5);
    let mut house = House::new(16, &mut traffic);
    for number in 1..=2 {
        for _ in 0..800 {
            (0..5).for_each(|_| traffic.step(&house.pipeline));
            house.sync();
        }
        house.snapshot(number, &mut traffic);
    }
    let tail = snapshot::read_tail(&house.memory, 1, &house.keys.vault).expect("a snapshot");
    let segments = segment::survey(&house.memory).expect("a journal");
    assert!(segments.len() > 2, "{}", segments.len());
    let released = segment::release(&house.memory, &segments, tail.covered, 1 << 20, 2).expect("a good disk");
    assert!(released > 0 && released < segments.len());
    (0..50).for_each(|_| traffic.step(&house.pipeline));
    house.sync();
    for newest in [2, 1] {
        let again = restored(&house.memory, 7, 4).expect("the snapshots and the rest");
        assert_eq!(again.snapshot.map(|(number, _)| number), Some(newest));
        assert_eq!(again.books.state_hash(), house.hash(), "from snapshot {newest}");
        house.memory.put(&snapshot::name(newest), b"TPKSNAPS");
    }
    // Both are damaged now, and the journal's beginning is gone.
    let refusal = restored(&house.memory, 7, 4).expect_err("nothing to begin with");
    assert!(matches!(refusal, RebuildError::Snapshot(SnapshotError::Damaged { .. })), "{refusal}");
}

#[test]
fn a_snapshot_goes_before_the_segments_that_it_needs() {
    // What piled up before the first one, and whether there is room for more spares than the configuration has.
    for (rounds, more_spares) in [(300, true), (1_500, true), (300, false)] {
        let mut traffic = Traffic::new(5);
        let mut house = House::new(16, &mut traffic);
        // A process that ended after it had made its snapshot, and before it removed the oldest.
        for (number, rounds) in [(1, rounds), (2, 300), (3, 300)] {
            for _ in 0..rounds {
                (0..5).for_each(|_| traffic.step(&house.pipeline));
                house.sync();
            }
            house.snapshot(number, &mut traffic);
        }
        let settings = snapshots::Settings {
            every: None,
            bytes_per_s: 1,
            kept: 2,
            retained_segments: 1,
            spare_segments: 0,
            more_spares,
            segment_bytes: 1 << 20,
            behind_segments_max: 8,
        };
        let released = snapshots::release(&house.memory, &house.keys, &settings, None).expect("a good disk");
        assert!(released > 0);
        let left = segment::list(&house.memory).expect("a good disk").len();
        let recycled = if more_spares { released.min(left) } else { 0 };
        assert_eq!(segment::spares(&house.memory), Ok(recycled), "{released} released, {left} left");
        assert_eq!(released > left, rounds > 300, "{released} released, {left} left");
        assert_eq!(snapshot::list(&house.memory).expect("a good disk"), [2, 3]);
        let found = verified(&house.memory);
        assert_eq!(found.rebuilt.books.state_hash(), house.hash());
        assert_eq!(found.compared.len(), 1, "the newer one with the older one and the journal");
    }
}

#[test]
fn what_is_no_snapshot_of_this_directory_is_refused_with_what_to_do() {
    let mut traffic = Traffic::new(9);
    let mut house = House::new(4, &mut traffic);
    (0..200).for_each(|_| traffic.step(&house.pipeline));
    house.snapshot(1, &mut traffic);
    let (name, good) = (snapshot::name(1), house.memory.content(&snapshot::name(1)).expect("a file"));
    let mut other_traffic = Traffic::new(10);
    let mut other = House::begun(4, &mut other_traffic, 77);
    (0..200).for_each(|_| other_traffic.step(&other.pipeline));
    other.snapshot(1, &mut other_traffic);

    let refusal = |memory: &Memory, key| restored(memory, key, 4).expect_err("a refusal").to_string();
    let with = |bytes: &[u8]| {
        let memory = house.memory.after(Crash::KeepWritten);
        memory.put(&name, bytes);
        memory
    };
    let foreign = other.memory.content(&name).expect("a file");
    let told = refusal(&with(&foreign), 7);
    assert!(told.contains("another data directory") && told.contains("move the snapshot out"), "{told}");
    assert!(refusal(&house.memory, 8).contains("another key"));
    let mut newer = good.clone();
    newer[8] = 9;
    assert!(refusal(&with(&newer), 7).contains("format 9, which is newer"));
    assert!(refusal(&with(&[b'x'; 5000]), 7).contains("is not a snapshot"));
    let memory = house.memory.after(Crash::KeepWritten);
    memory.put(&snapshot::name(2), &good);
    assert!(refusal(&memory, 7).contains("is snapshot 1 by its header"));
    // The segment that it continues in is gone.
    let memory = house.memory.after(Crash::KeepWritten);
    let last = segment::list(&memory).expect("a journal").pop().expect("a segment");
    memory.remove(&segment::name(last)).expect("it is there");
    let told = refusal(&memory, 7);
    assert!(told.contains("is missing") && told.contains("put the journal's newest files back"), "{told}");
    // A table that is smaller than what it holds.
    let keys = keys(7);
    let opener = Opener { seal: &keys.vault, fingerprint: SnapshotKeys::fingerprint(&keys.vault) };
    let small = Capacity { wallets: 10, ..CAPACITY };
    let settings = recovery::Settings { capacity: small, ..settings(1) };
    let told = recovery::restore(&house.memory, opener, &keys.vault, settings, &Alone)
        .expect_err("no room")
        .to_string();
    assert!(told.contains("ledger.wallets_max"), "{told}");
}

#[test]
fn no_flipped_bit_of_a_snapshot_is_read_as_truth() {
    let mut traffic = Traffic::new(11);
    let mut house = House::new(4, &mut traffic);
    (0..30).for_each(|_| traffic.step(&house.pipeline));
    house.snapshot(1, &mut traffic);
    let good = house.memory.content(&snapshot::name(1)).expect("a file");
    let hash = house.hash();
    // Every bit of the header and of the first bytes of blocks, and one in so many of the rest.
    let bits = (0..good.len() * 8).filter(|bit| *bit < 200 * 8 || bit % 97 == 0);
    for bit in bits {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        house.memory.put(&snapshot::name(1), &bytes);
        // The whole journal is there: either the snapshot is passed over, or the start is refused.
        match restored(&house.memory, 7, 4) {
            Ok(again) => {
                assert_eq!(again.books.state_hash(), hash, "bit {bit}");
                assert!(again.snapshot.is_none() && again.damaged.len() == 1, "bit {bit}");
            }
            Err(error) => {
                assert!(error.to_string().contains("snapshots/00000001.snap"), "bit {bit}: {error}")
            }
        }
    }
    for length in (0..good.len()).step_by(61) {
        house.memory.put(&snapshot::name(1), &good[..length]);
        let again = restored(&house.memory, 7, 4).expect("the whole journal is there");
        assert_eq!((again.books.state_hash(), again.damaged.len()), (hash, 1), "cut at {length}");
    }
}

#[test]
fn a_crash_while_a_snapshot_is_made_loses_nothing() {
    let operations =
        [Operation::Create, Operation::Write, Operation::Sync, Operation::Rename, Operation::SyncDirectory];
    for (seed, operation) in (0..).zip(operations.into_iter().cycle()).take(cases() as usize * 5) {
        let mut traffic = Traffic::new(seed);
        let mut house = House::new(4, &mut traffic);
        (0..80).for_each(|_| traffic.step(&house.pipeline));
        house.snapshot(1, &mut traffic);
        (0..80).for_each(|_| traffic.step(&house.pipeline));
        house.sync();
        let hash = house.hash();
        let configured = Configured { version: 1, bounds: BOUNDS, keys: KeysKept::default() };
        let head = Head { number: 2, salt: [2; 32], began: traffic.now.wall, configured, seeded: None };
        house.memory.fail(operation, seed % 4);
        let tried = SnapshotWriter::begin(&house.memory, &head, &house.keys.vault).and_then(|mut writer| {
            house.pipeline.copy_into(&mut writer, Steps::default(), &mut |_| ())?;
            writer.end(Anchor::default())
        });
        if let Ok(unpublished) = tried {
            let _failed = unpublished.publish(&house.keys.vault);
        }
        for crash in [Crash::LoseUnsynced, Crash::KeepWritten, Crash::Tear(seed)] {
            let disk = house.memory.after(crash);
            // Its anchor is none of this journal's: if the file has its name, that is told.
            match restored(&disk, 7, 4) {
                Ok(again) => assert_eq!(again.books.state_hash(), hash, "{operation} {seed}"),
                Err(error) => assert!(error.to_string().contains("00000002.snap"), "{error}"),
            }
        }
    }
}

#[test]
fn r9_a_start_tells_what_left_memory_as_far_back_as_the_disk_does() {
    for seed in 0..cases() {
        let mut traffic = Traffic::new(seed);
        let shards = LAYOUTS[seed as usize % LAYOUTS.len()];
        let mut house = House::new(shards, &mut traffic);
        let mut lasts = Vec::new();
        for number in 1..=4 {
            for _ in 0..150 {
                traffic.step(&house.pipeline);
            }
            house.snapshot(number, &mut traffic);
            let tail = snapshot::read_tail(&house.memory, number, &house.keys.vault).expect("a snapshot");
            lasts.push(tail.last);
            house.sync();
        }
        let (whole, all) = restored_telling(&house.memory, shards, Sequence(0));
        assert!(all.len() > 50 && whole.told_after == Sequence(0) && whole.snapshot.is_none());
        assert_eq!(whole.books.state_hash(), house.hash());
        let last = house.pipeline.appended();
        let random = Sequence(1 + traffic.random.below(last.0));
        for known_to in [lasts[0], lasts[2], Sequence(lasts[2].0 - 1), last, random] {
            let (rebuilt, told) = restored_telling(&house.memory, shards, known_to);
            assert!(rebuilt.told_after <= known_to, "seed {seed}: {known_to:?}");
            assert_eq!(names(&told, Sequence(0)), names(&all, known_to), "seed {seed}: {known_to:?}");
            assert_eq!(rebuilt.books.state_hash(), house.hash());
        }
        // What a history that is behind still needs stays, and no more.
        let mut settings = snapshots::Settings {
            every: None,
            bytes_per_s: 1,
            kept: 2,
            retained_segments: 1,
            spare_segments: 0,
            more_spares: false,
            segment_bytes: 1 << 20,
            behind_segments_max: usize::MAX,
        };
        let table = [(lasts[1], vec![2, 3, 4], lasts[1]), (Sequence(3), vec![2, 3, 4], lasts[1])];
        for (known_to, kept, told_after) in table {
            let released = snapshots::release(&house.memory, &house.keys, &settings, Some(known_to));
            released.expect("a good disk");
            assert_eq!(snapshot::list(&house.memory), Ok(kept), "seed {seed}");
            let (rebuilt, told) = restored_telling(&house.memory, shards, known_to);
            let is_whole = segment::list(&house.memory).expect("a journal").first() == Some(&1);
            let told_after = if is_whole && told_after > known_to { Sequence(0) } else { told_after };
            assert_eq!(rebuilt.told_after, told_after, "seed {seed}");
            assert_eq!(names(&told, Sequence(0)), names(&all, known_to.max(told_after)), "seed {seed}");
            assert_eq!(rebuilt.books.state_hash(), house.hash());
        }
        settings.behind_segments_max = 0;
        snapshots::release(&house.memory, &house.keys, &settings, Some(Sequence(3))).expect("a good disk");
        assert_eq!(snapshot::list(&house.memory), Ok(vec![3, 4]), "seed {seed}");
    }
}

/// Whether a history has an authorization as it was when it left, or later.
fn has(history: &History<Memory>, departed: &Departed) -> bool {
    let made = departed.authorization.sequence;
    let search = Search { made: Some(made..=made), ..Search::default() };
    let found = history.find(departed.card, &search, past::LOOK_UP).expect("a good disk");
    let expected = Entry::new(departed.card, departed.by, &departed.authorization, departed.counted);
    found.entries.iter().any(|entry| entry.version > departed.by || *entry == expected)
}

#[test]
fn r9_what_left_memory_is_in_the_history_after_any_crash() {
    let small = index::Settings { entries_max: 40 };
    for seed in 0..cases() {
        let mut traffic = Traffic::new(seed);
        let shards = LAYOUTS[seed as usize % LAYOUTS.len()];
        let mut house = House::new(shards, &mut traffic);
        let past = Past::new(History::open(house.memory.clone(), small).expect("a good disk"));
        for round in 0..3 {
            for _ in 0..200 {
                traffic.step(&house.pipeline);
                match traffic.random.below(12) {
                    0 => house.sync(),
                    1 => {
                        // While the journal is behind, it may have no room for more.
                        let fed = past.feed(&house.pipeline);
                        assert!(matches!(fed, Ok(_) | Err(Unknown::Full(_))), "seed {seed}: {fed:?}");
                    }
                    2 => {
                        let flushed = past.flush(&house.pipeline, Duration::ZERO);
                        let contained_to = past.contained_to();
                        assert!(contained_to <= house.pipeline.durable(), "seed {seed}: {flushed:?}");
                    }
                    3 => drop(past.merge(10_000).expect("a good disk")),
                    _ => {}
                }
            }
            assert_eq!(past.standing(), Standing::Works, "seed {seed}");
            let crash = [Crash::LoseUnsynced, Crash::KeepWritten, Crash::Tear(seed)][round];
            let disk = house.memory.after(crash);
            let mut history = History::open(disk.clone(), small).expect("what counts is whole");
            let known_to = history.facts().contained_to;
            let (rebuilt, told) = restored_telling(&disk, shards, known_to);
            let (days, limit) = (Day(0)..=Day(u32::MAX), search::Limit { entries: 9_999, blocks: 9_999 });
            let page = history.search(&days, &Search::default(), None, limit).expect("a good disk");
            let newest = page.entries.iter().map(|entry| entry.version).max().unwrap_or_default();
            let last = rebuilt.recovered.last;
            assert!(known_to.max(newest) <= last, "seed {seed}: nothing that a crash undid is in it");
            for departed in &told {
                if past::give(&mut history, departed).is_err() {
                    history.flush(Sequence(departed.by.0 - 1)).expect("a good disk");
                    past::give(&mut history, departed).expect("there is room now");
                }
            }
            let (_, all) = restored_telling(&disk, shards, Sequence(0));
            assert!(round < 2 || all.len() > 20, "seed {seed}: {}", all.len());
            let missing = all.iter().filter(|departed| !has(&history, departed)).count();
            assert_eq!(missing, 0, "seed {seed}, round {round}, of {}", all.len());
        }
    }
}

#[test]
fn r9_what_was_not_fetched_in_time_is_known_to_be_missing() {
    let mut traffic = Traffic::new(11);
    let mut house = House::new(1, &mut traffic);
    let past =
        Past::new(History::open(house.memory.clone(), index::Settings::default()).expect("a good disk"));
    (0..300).for_each(|_| traffic.step(&house.pipeline));
    house.sync();
    let contained_to = past.flush(&house.pipeline, Duration::ZERO).expect("it works");
    assert_eq!(contained_to, house.pipeline.durable());
    while names(&restored_telling(&house.memory, 1, contained_to).1, contained_to).len() <= NOTED {
        (0..300).for_each(|_| traffic.step(&house.pipeline));
        house.sync();
    }
    assert!(matches!(past.feed(&house.pipeline), Err(Unknown::NotWorking)));
    assert_eq!((past.standing(), past.contained_to()), (Standing::Behind, contained_to));
    assert!(matches!(past.flush(&house.pipeline, Duration::ZERO), Err(Unknown::NotWorking)));
    let (rebuilt, told) = restored_telling(&house.memory, 1, contained_to);
    assert!(rebuilt.told_after <= contained_to && told.len() > NOTED, "a start feeds it again");
}
