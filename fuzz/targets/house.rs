//! Books with a few cards and a journal in memory, for a link to be served from.

use std::sync::Arc;

use turnpike::authorizer::Authorizer;
use turnpike::authorizer::CreditsAt;
use turnpike::authorizer::approval_code::ApprovalCodes;
use turnpike::authorizer::expiry::ExpiryTable;
use turnpike::authorizer::increase::Increases;
use turnpike::crypto::keys::Keys;
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
use turnpike::domain::moved::KeysKept;
use turnpike::domain::party::WalletId;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::Now;
use turnpike::domain::time::Timestamp;
use turnpike::journal::recover::Opener;
use turnpike::journal::recover::Recovered;
use turnpike::journal::recover::recover;
use turnpike::journal::writer::Settings;
use turnpike::journal::writer::Writer;
use turnpike::ledger::books::Books;
use turnpike::ledger::books::Layout;
use turnpike::ledger::presented::Tolerance;
use turnpike::ledger::shard::Capacity;
use turnpike::ledger::state_hash::StateHash;
use turnpike::pipeline::core::Pipeline;
use turnpike::pipeline::gate::Policy;
use turnpike::pipeline::gate::Reply;
use turnpike::pipeline::seeding::NewAccount;
use turnpike::pipeline::seeding::NewCard;
use turnpike::pipeline::seeding::Opened;
use turnpike::recovery;
use turnpike::recovery::crew::Alone;
use zeroize::Zeroizing;

use super::memory::Memory;

/// 24 November 2026, 12:34:56 UTC.
pub const NOW: Now = Now::by(Timestamp::from_seconds(1_795_523_696));
const CAPACITY: Capacity =
    Capacity { wallets: 4, further_accounts: 4, cards: 4, authorizations: 24, limits: 64, counted: 64 };
/// Records that may wait for the writer: more than such an input causes.
const RECORDS_MAX: u64 = 2_048;
const CARDS: [(u64, u64, u16, CardStatus, Verification); 4] = [
    (1, 4_111_111_111_111_111, 840, CardStatus::Active, Verification::None),
    (2, 4_222_222_222_222_220, 978, CardStatus::Active, Verification::None),
    (3, 4_000_000_000_000_036, 840, CardStatus::Active, Verification::Required),
    (4, 4_000_000_000_000_044, 840, CardStatus::Lost, Verification::None),
];

/// The books with a journal in memory.
pub struct House {
    pub pipeline: Pipeline,
    writer: Writer<Memory>,
    memory: Memory,
    keys: Arc<Keys>,
}

/// Books with four cards. `max_unsynced_ns` bounds how old what is not on disk may be.
pub fn house(fsync: bool, max_unsynced_ns: u64) -> House {
    let bounds =
        Bounds { answers_per_slot: 2, closed_per_slot: 2, authorizations_per_card: 6, ..Bounds::default() };
    let books = Books::new(Layout::new(1), CAPACITY, bounds, 42);
    let keys = Arc::new(Keys::from_master(Zeroizing::new([7; 32])));
    let memory = Memory::default();
    let settings = Settings { segment_bytes: 1 << 20, epoch_min: 1 };
    let fingerprint = keys.vault.fingerprint();
    let writer = Writer::begin(memory.clone(), &Recovered::default(), fingerprint, settings);
    let writer = writer.expect("memory does not fail");
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
        reply: if fsync { Reply::Fsync } else { Reply::Async },
        fsync_above: vec![Money::new(4_000, Currency::new(840).expect("a currency"))],
        max_unsynced_ns,
        max_unsynced_records: RECORDS_MAX,
        gather_ns: 0,
        pace_ns: 0,
        ahead_max: usize::MAX,
        parked_max: 1 << 16,
    };
    let pipeline = Pipeline::new(books, writer.start(), authorizer, Arc::clone(&keys), policy);
    // From here on a run of the writer ends when nothing is left to write.
    pipeline.close();
    let mut house = House { pipeline, writer, memory, keys };
    populate(&house.pipeline, bounds);
    house.sync();
    house
}

fn populate(pipeline: &Pipeline, bounds: Bounds) {
    let configured = Event::Configured(Configured { version: 1, bounds, keys: KeysKept::default() });
    assert!(pipeline.commit_to_all(&configured, NOW).is_some());
    for (wallet, number, currency, status, verification) in CARDS {
        let wallet = WalletId(wallet);
        let currency = Currency::new(currency).expect("a currency");
        let account = NewAccount { wallet, currency, balance: 20_000, overdraft: 500 };
        let card = NewCard {
            wallet,
            pan: Pan::from_value(number, 16).expect("a card number"),
            expiry: Expiry::new(3012).expect("a month"),
            service_code: ServiceCode(201),
            status,
            verification,
            key: None,
        };
        assert_eq!(pipeline.open_account(&account, NOW), Opened::New);
        assert_eq!(pipeline.open_card(&card, NOW), Opened::New);
    }
}

impl House {
    /// Makes everything durable that was appended.
    pub fn sync(&mut self) {
        self.pipeline.run_writer(&mut self.writer, &|_| ()).expect("memory does not fail");
        assert_eq!(self.pipeline.durable(), self.pipeline.appended());
    }

    /// Every record, in order.
    pub fn events(&self) -> Vec<(Sequence, Timestamp, Event)> {
        let mut events = Vec::new();
        let opener = Opener { seal: &self.keys.vault, fingerprint: self.keys.vault.fingerprint() };
        let recovered = recover(&self.memory, opener, Sequence(0), |sequence, time, event| {
            events.push((sequence, time, event));
        });
        recovered.unwrap_or_else(|error| panic!("{error}"));
        events
    }

    /// The books as the journal tells them.
    pub fn rebuilt(&self) -> StateHash {
        let opener = Opener { seal: &self.keys.vault, fingerprint: self.keys.vault.fingerprint() };
        let settings = recovery::Settings { layout: Layout::new(1), capacity: CAPACITY, seed: 43 };
        let rebuilt = recovery::rebuild(&self.memory, opener, settings, &Alone);
        let books = rebuilt.unwrap_or_else(|error| panic!("{error}")).books;
        assert_eq!(books.audit(), Ok(()), "held is the sum of open holds, and every chain is whole");
        books.state_hash()
    }
}
