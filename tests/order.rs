//! What commutes (R21): every order of up to six events of one purchase, over the authorizer and the ledger. Two orders
//! that differ by two neighbours changing places must end in the same books, unless docs/lifecycle.md has a row for the
//! two; and each row is shown to be needed, with the books that it promises.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use turnpike::authorizer::Authorizer;
use turnpike::authorizer::CreditsAt;
use turnpike::authorizer::Decision;
use turnpike::authorizer::approval_code::ApprovalCodes;
use turnpike::authorizer::clear::Clearing;
use turnpike::authorizer::expiry::ExpiryTable;
use turnpike::domain::card::CardRef;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::card::ServiceCode;
use turnpike::domain::card::Verification;
use turnpike::domain::clearing::Arn;
use turnpike::domain::clearing::Function;
use turnpike::domain::clearing::Part;
use turnpike::domain::clearing::Presentment;
use turnpike::domain::clearing::Purpose;
use turnpike::domain::clearing::Usage;
use turnpike::domain::event::AccountFunded;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::CardOpened;
use turnpike::domain::event::Event;
use turnpike::domain::event::Facts;
use turnpike::domain::event::Sequence;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::party::InstitutionId;
use turnpike::domain::party::NameId;
use turnpike::domain::party::Slot;
use turnpike::domain::party::Text;
use turnpike::domain::party::WalletId;
use turnpike::domain::request::Advice;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::domain::request::Finality;
use turnpike::domain::request::Legs;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
use turnpike::domain::request::OriginalData;
use turnpike::domain::request::Presented;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::Replacement;
use turnpike::domain::request::ReversalRequest;
use turnpike::domain::request::Stan;
use turnpike::domain::request::TransactionKind;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::Timestamp;
use turnpike::domain::time::TransmissionTime;
use turnpike::domain::usage::Channel;
use turnpike::ledger::presented::Tolerance;
use turnpike::ledger::shard::Capacity;
use turnpike::ledger::shard::Shard;

/// What can happen to a purchase of 100.00: an increment of 20.00, a partial reversal that leaves 70.00 of the first
/// 100.00, a reversal of those 100.00, the network's word that it approved them, a completion with 110.00, its
/// clearing record with the same amount, that record in a second file, and the end of its time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Step {
    Request,
    Repeat,
    Increment,
    PartialReversal,
    Reversal,
    ReversalRepeat,
    Advice,
    Completion,
    Clearing,
    ClearingAgain,
    Expiry,
}

const STEPS: [(Step, &str); 11] = [
    (Step::Request, "request"),
    (Step::Repeat, "repeat"),
    (Step::Increment, "increment"),
    (Step::PartialReversal, "partial reversal"),
    (Step::Reversal, "reversal"),
    (Step::ReversalRepeat, "repeat of the reversal"),
    (Step::Advice, "stand-in advice"),
    (Step::Completion, "completion"),
    (Step::Clearing, "clearing"),
    (Step::ClearingAgain, "clearing again"),
    (Step::Expiry, "expiry"),
];

/// What the wallet has posted and held.
type Books = (i64, i64);

const WALLET: WalletId = WalletId(7);
const FUNDED: i64 = 100_000;
const HOLD_S: u32 = 3_600;

struct House {
    shard: Shard,
    card: u32,
    authorizer: Authorizer,
    now: Timestamp,
    records: u64,
}

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::new(840).expect("a currency"))
}

fn pan() -> Pan {
    Pan::from_value(4_111_111_111_111_111, 16).expect("a card number")
}

/// The key of a message of the purchase.
fn key(stan: u32) -> MessageKey {
    MessageKey {
        network: NameId::of("visa"),
        link: NameId::of("visa"),
        stan: Stan(stan),
        transmission: TransmissionTime::new(1_123_000_000 + stan).expect("a time"),
        acquirer: InstitutionId(12_345),
        rrn: Text::from_ascii(format!("{stan:012}").as_bytes()),
        terminal: Text::from_ascii(b"TERM0001"),
        merchant: Text::from_ascii(b"SHOP"),
        network_reference: 99,
    }
}

fn request(stan: u32, amount: i64) -> AuthorizationRequest {
    AuthorizationRequest {
        key: key(stan),
        class: MessageClass::Authorization,
        repeat: false,
        pan: pan(),
        expiry: None,
        processing_code: ProcessingCode(0),
        kind: TransactionKind::Purchase,
        amount: usd(amount),
        billing: None,
        mcc: 5999,
        country: 840,
        entry_mode: 51,
        channel: Channel::Chip,
        partial_supported: false,
        merchant_initiated: false,
        increment: false,
        finality: Finality::Estimated,
        card_present: true,
        presented: Presented::default(),
    }
}

fn advice(stan: u32, class: MessageClass, amount: i64) -> Advice {
    Advice {
        key: key(stan),
        class,
        repeat: false,
        pan: pan(),
        processing_code: ProcessingCode(0),
        mcc: 5999,
        country: 840,
        channel: Channel::Chip,
        finality: Finality::Estimated,
        card_present: true,
        amount: usd(amount),
        billing: None,
        approved: true,
        reason: 0,
        approval_code: None,
        original: None,
        completes: class == MessageClass::Financial,
    }
}

/// A reversal of the first request, or of a part of it.
fn reversal(stan: u32, replacement: Option<i64>) -> ReversalRequest {
    let first = key(1);
    ReversalRequest {
        key: key(stan),
        advice: true,
        repeat: false,
        pan: pan(),
        processing_code: ProcessingCode(0),
        amount: usd(10_000),
        billing: None,
        replacement: replacement.map(|amount| Replacement { amount, billing: None }),
        approval_code: None,
        original: Some(OriginalData {
            class: Some(MessageClass::Authorization),
            stan: first.stan,
            transmission: Some(first.transmission),
            acquirer: first.acquirer,
        }),
        legs: Legs::Both,
        reason: 0,
    }
}

/// The clearing record of the purchase.
fn presentment(amount: i64) -> Presentment {
    let key = key(1);
    Presentment {
        network: key.network,
        function: Function { purpose: Purpose::Purchase, reversal: false, usage: Usage::First, code: 501 },
        part: Part::Whole,
        pan: pan(),
        arn: Arn::new(*b"24445006331001234567890").expect("digits"),
        amount: usd(amount),
        billing: None,
        settlement: None,
        authorized: None,
        approval_code: None,
        network_reference: key.network_reference,
        rrn: Text::BLANK,
        stan: None,
        terminal: key.terminal,
        merchant: key.merchant,
        mcc: 5999,
        country: Text::from_ascii(b"US"),
        acquirer: key.acquirer,
        local_date: None,
        local_time: None,
    }
}

impl House {
    fn new() -> Self {
        let slot = Slot::of_wallet(WALLET);
        let capacity = Capacity {
            wallets: 1,
            further_accounts: 0,
            cards: 1,
            authorizations: 32,
            limits: 8,
            counted: 32,
        };
        let bounds = Bounds { answers_per_slot: 32, closed_per_slot: 32, ..Bounds::default() };
        let mut house = Self {
            shard: Shard::new(slot, 1, capacity, bounds, 5),
            card: 0,
            authorizer: Authorizer {
                codes: ApprovalCodes::new([3; 16]),
                time_zone_offset_minutes: 0,
                expiry: ExpiryTable { rows: Vec::new(), otherwise_s: HOLD_S },
                credits: CreditsAt::Clearing,
                clearing_tolerance: Tolerance(20),
                configuration: 1,
            },
            now: Timestamp::from_seconds(1_795_000_000),
            records: 0,
        };
        let currency = usd(0).currency;
        let (wallet, amount) = (WALLET, FUNDED);
        house.record(&Event::AccountFunded(AccountFunded {
            slot,
            wallet,
            account: 0,
            currency,
            amount,
            overdraft: 0,
        }));
        house.record(&Event::CardOpened(CardOpened {
            slot,
            wallet,
            card: CardRef::new(slot, 1),
            pan: pan(),
            expiry: Expiry::new(4_912).expect("a month"),
            service_code: ServiceCode(201),
            status: CardStatus::Active,
            verification: Verification::None,
        }));
        house
    }

    fn record(&mut self, event: &Event) {
        self.records += 1;
        let applied = self.shard.apply(Sequence(self.records), self.now, event).expect("it fits");
        if let Some(location) = applied.opened {
            self.card = location.card;
        }
    }

    fn keep(&mut self, decision: Option<Decision>) {
        if let Decision::New(event, _) = decision.expect("there is room") {
            self.record(&event);
        }
    }

    fn decide(&mut self, request: &AuthorizationRequest) {
        let card = self.shard.card(self.card);
        let decision =
            self.authorizer.decide(request, Facts::default(), self.now, 0, &self.shard, Some(card));
        self.keep(Some(decision));
    }

    fn reverse(&mut self, reversal: &ReversalRequest) {
        let card = self.shard.card(self.card);
        let decision = self.authorizer.reverse(reversal, self.now, 0, &self.shard, Some(card));
        self.keep(decision);
    }

    fn advise(&mut self, advice: &Advice) {
        let card = self.shard.card(self.card);
        let decision = self.authorizer.advise(advice, self.now, 0, &self.shard, Some(card));
        self.keep(decision);
    }

    fn clear(&mut self, presentment: &Presentment) {
        let card = self.shard.card(self.card);
        match self.authorizer.clear(presentment, &self.shard, Some(card)) {
            Clearing::New(event, _) => self.record(&Event::Cleared(event)),
            Clearing::Again(_) => {}
            Clearing::Full(table) => panic!("{table} is full"),
        }
    }

    fn expire(&mut self) {
        self.now = self.now.plus_ms(u64::from(HOLD_S + 1) * 1_000);
        let now_s = self.now.seconds() as u32;
        while let (Some(expired), _) = self.shard.overdue(0, 32, now_s) {
            self.record(&Event::Expired(expired));
        }
    }

    fn take(&mut self, step: Step) {
        self.now = self.now.plus_ms(1_000);
        match step {
            Step::Request => self.decide(&request(1, 10_000)),
            Step::Repeat => self.decide(&AuthorizationRequest { repeat: true, ..request(1, 10_000) }),
            Step::Increment => {
                self.decide(&AuthorizationRequest { increment: true, ..request(2, 2_000) });
            }
            Step::PartialReversal => self.reverse(&reversal(3, Some(7_000))),
            Step::Reversal => self.reverse(&reversal(4, None)),
            Step::ReversalRepeat => self.reverse(&ReversalRequest { repeat: true, ..reversal(4, None) }),
            Step::Advice => self.advise(&advice(1, MessageClass::Authorization, 10_000)),
            Step::Completion => self.advise(&advice(5, MessageClass::Financial, 11_000)),
            Step::Clearing | Step::ClearingAgain => self.clear(&presentment(11_000)),
            Step::Expiry => self.expire(),
        }
    }

    fn books(&self) -> Books {
        self.shard.audit().expect("the books hold");
        let account = self.shard.wallet_accounts(WALLET).expect("the wallet")[0];
        (account.posted - FUNDED, account.held)
    }
}

fn books_after(steps: &[Step]) -> Books {
    let mut house = House::new();
    steps.iter().for_each(|step| house.take(*step));
    house.books()
}

/// Every order of every set of up to `most` steps, and the books after it.
fn all_orders(most: usize) -> BTreeMap<Vec<Step>, Books> {
    let mut found = BTreeMap::new();
    let mut open: Vec<Vec<Step>> = vec![Vec::new()];
    while let Some(order) = open.pop() {
        if order.len() < most {
            let more = STEPS.iter().map(|(step, _)| *step).filter(|step| !order.contains(step));
            open.extend(more.map(|step| order.iter().copied().chain([step]).collect()));
        }
        let books = books_after(&order);
        found.insert(order, books);
    }
    found
}

/// A row of the table: two events, an order of events in which they are neighbours, and the books after it and after
/// the two have changed places.
struct Row {
    pair: (Step, Step),
    order: Vec<Step>,
    books: [Books; 2],
}

fn step(name: &str) -> Step {
    let found = STEPS.iter().find(|(_, known)| *known == name.trim());
    found.unwrap_or_else(|| panic!("docs/lifecycle.md names `{name}`, which is no event")).0
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lifecycle.md");
    let text = fs::read_to_string(path).expect("a document");
    let (_, section) = text.split_once("## What does not commute").expect("the section");
    let section = section.split("\n## ").next().expect("a section");
    let lines = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| first"));
    let books = |cell: &str| -> Books {
        let (posted, held) = cell.trim().split_once(" / ").expect("posted / held");
        (posted.parse().expect("a number"), held.parse().expect("a number"))
    };
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let [first, second, order, one, other, _why] = cells[..] else { panic!("six cells: {line}") };
        Row {
            pair: (step(first), step(second)),
            order: order.split(',').map(step).collect(),
            books: [books(one), books(other)],
        }
    };
    lines.map(row).collect()
}

fn swapped(order: &[Step], at: usize) -> Vec<Step> {
    let mut other = order.to_vec();
    other.swap(at, at + 1);
    other
}

#[test]
fn r21_what_does_not_commute_is_in_the_table_and_nothing_else_is() {
    let most = std::env::var("TURNPIKE_ORDER").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let orders = all_orders(most);
    let rows = rows();
    let listed: BTreeSet<(Step, Step)> = rows.iter().map(|row| row.pair).collect();
    let mut missing: BTreeMap<(Step, Step), (Vec<Step>, Books, Books)> = BTreeMap::new();
    for (order, books) in &orders {
        for at in 0..order.len().saturating_sub(1) {
            let pair = (order[at], order[at + 1]);
            if pair.0 > pair.1 || listed.contains(&pair) {
                continue;
            }
            let other = orders[&swapped(order, at)];
            if other != *books {
                let found = missing.entry(pair).or_insert((order.clone(), *books, other));
                if order.len() < found.0.len() {
                    *found = (order.clone(), *books, other);
                }
            }
        }
    }
    let told: Vec<String> = missing
        .iter()
        .map(|(pair, (order, one, other))| format!("{pair:?} in {order:?}: {one:?}, {other:?}"))
        .collect();
    assert!(missing.is_empty(), "not in docs/lifecycle.md:\n{}", told.join("\n"));
    for Row { pair, order, books } in rows {
        let at = order.windows(2).position(|two| (two[0], two[1]) == pair);
        let at = at.unwrap_or_else(|| panic!("{pair:?} are no neighbours in {order:?}"));
        let found = [books_after(&order), books_after(&swapped(&order, at))];
        assert_eq!(found, books, "{pair:?} in {order:?}");
        assert_ne!(books[0], books[1], "{pair:?} needs no row");
    }
}
