//! The ledger and the authorizer against a naive model, over long random histories: every answer, every balance, the
//! books after each step, and the same state again from the events alone.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

mod naive;

use std::collections::BTreeMap;

use turnpike::authorizer::Authorizer;
use turnpike::authorizer::CreditsAt;
use turnpike::authorizer::Decision;
use turnpike::authorizer::approval_code::ApprovalCodes;
use turnpike::authorizer::clear::Clearing;
use turnpike::authorizer::expiry::ExpiryTable;
use turnpike::authorizer::increase;
use turnpike::authorizer::increase::Increases;
use turnpike::domain::action::ActionCode;
use turnpike::domain::answer::Answer;
use turnpike::domain::asset::Quote;
use turnpike::domain::asset::RateSet;
use turnpike::domain::card::CardIdentity;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::card::ServiceCode;
use turnpike::domain::card::Verification;
use turnpike::domain::cleared::Clearance;
use turnpike::domain::cleared::Cleared;
use turnpike::domain::cleared::MatchedBy;
use turnpike::domain::clearing::Arn;
use turnpike::domain::clearing::Function;
use turnpike::domain::clearing::Part;
use turnpike::domain::clearing::Presentment;
use turnpike::domain::clearing::Purpose;
use turnpike::domain::clearing::Usage;
use turnpike::domain::event::AccountFunded;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::CardOpened;
use turnpike::domain::event::Configured;
use turnpike::domain::event::Effect;
use turnpike::domain::event::Event;
use turnpike::domain::event::Facts;
use turnpike::domain::event::LimitSet;
use turnpike::domain::event::Sequence;
use turnpike::domain::event::WalletStatusSet;
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
use turnpike::domain::request::Advice;
use turnpike::domain::request::ApprovalCode;
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
use turnpike::domain::share::Spending;
use turnpike::domain::share::SpendingSet;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::Timestamp;
use turnpike::domain::time::TransmissionTime;
use turnpike::domain::usage::Channel;
use turnpike::ledger::authorization::AuthorizationState;
use turnpike::ledger::directory::Location;
use turnpike::ledger::presented::Tolerance;
use turnpike::ledger::shard::Capacity;
use turnpike::ledger::shard::Shard;
use turnpike::ledger::state_hash::StateHash;
use turnpike::ledger::totals::Totals;

/// 2026-11-23, so cards of 2610 are past and cards of 2611 are not.
const START_S: u64 = 1_795_392_000;
const MONTH: u16 = 2611;

/// Shards without locks, and where each card is.
struct Ledger {
    shards: Vec<Shard>,
    cards: BTreeMap<u64, Location>,
}

impl Ledger {
    fn new(shards: u16, seed: u64) -> Self {
        let capacity = Capacity {
            wallets: 64,
            further_accounts: 64,
            cards: 64,
            authorizations: 20_000,
            limits: 64,
            counted: 20_000,
        };
        let slots = SLOTS / shards;
        let shard = |n: u16| {
            let first = Slot::new(n * slots).expect("a slot");
            Shard::new(first, slots, capacity, Bounds::default(), seed)
        };
        Self { shards: (0..shards).map(shard).collect(), cards: BTreeMap::new() }
    }

    fn shard_of(&self, slot: Slot) -> usize {
        usize::from(slot.number()) * self.shards.len() / usize::from(SLOTS)
    }

    fn apply(&mut self, sequence: u64, time: Timestamp, event: &Event) {
        let Some(slot) = event.slot() else {
            for shard in &mut self.shards {
                shard.apply(Sequence(sequence), time, event).expect("it touches every shard");
            }
            return;
        };
        let shard = self.shard_of(slot);
        let applied =
            self.shards[shard].apply(Sequence(sequence), time, event).expect("a decided event applies");
        if let (Some(location), Event::CardOpened(opened)) = (applied.opened, event) {
            self.cards.insert(opened.pan.value(), location);
        }
    }

    fn locate(&self, pan: Pan) -> (usize, Option<u32>) {
        match self.cards.get(&pan.value()) {
            Some(location) => (self.shard_of(location.slot), Some(location.card)),
            None => (self.shard_of(Slot::of_unknown_card(pan.masked())), None),
        }
    }

    fn totals(&self) -> Vec<Totals> {
        let mut all = BTreeMap::<u16, Totals>::new();
        for totals in self.shards.iter().flat_map(Shard::totals) {
            let currency = totals.currency;
            all.entry(currency.numeric()).or_insert(Totals { currency, ..Totals::default() }).add(totals);
        }
        all.into_values().collect()
    }

    fn state_hash(&self) -> StateHash {
        let mut hash = self.shards.iter().map(Shard::state_hash).fold(StateHash::default(), StateHash::join);
        hash.add_totals(&self.totals());
        hash
    }
}

/// A small generator of random numbers (splitmix64), so that a failing seed replays anywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}

fn currency(numeric: u16) -> Currency {
    Currency::new(numeric).expect("a currency")
}

/// One history: the ledger, its model, and every event that happened.
struct History {
    random: Random,
    ledger: Ledger,
    model: naive::Model,
    authorizer: Authorizer,
    events: Vec<(u64, Timestamp, Event)>,
    now: Timestamp,
    requests: Vec<AuthorizationRequest>,
    codes: Vec<ApprovalCode>,
    reversals: Vec<ReversalRequest>,
    advices: Vec<Advice>,
    /// What clearing is about: messages that were approved, and how much of them was.
    purchases: Vec<Purchase>,
    presentments: Vec<Presentment>,
    /// How often things happened.
    tally: BTreeMap<&'static str, u64>,
    /// Some wallets have their dollars on several accounts, which are spent together (R13).
    shared: bool,
}

/// The currency of accounts that others are spent with, and that of a further one: two of its units are one.
const SHARED_IN: u16 = 840;
const POCKET: u16 = 36;

/// What a clearing record says of the message that it is about.
#[derive(Clone, Copy)]
struct Purchase {
    key: MessageKey,
    pan: Pan,
    processing_code: ProcessingCode,
    amount: Money,
    billing: Option<Money>,
    /// What was approved of both, when that was a part.
    part: Option<(Money, Money)>,
    code: Option<ApprovalCode>,
}

/// What must have happened over all histories: a test in which something never happens proves nothing of it.
const MUST_HAPPEN: [&str; 20] = [
    "captured",
    "late",
    "already-posted",
    "forced",
    "returned",
    "suspense-unknown-card",
    "suspense-currency-not-held",
    "suspense-second-presentment",
    "suspense-amount-out-of-range",
    "repeated",
    "by network-reference",
    "by approval-code",
    "by reference",
    "parts of what is open",
    "credits that were captured",
    "differences of credits",
    "parts that were returned",
    "records of what expired",
    "records of what was reversed",
    "messages of what was cleared",
];

impl History {
    fn new(seed: u64, credits: CreditsAt, shared: bool) -> Self {
        let authorizer = Authorizer {
            codes: ApprovalCodes::new([3; 16]),
            time_zone_offset_minutes: 0,
            expiry: ExpiryTable { rows: Vec::new(), otherwise_s: 7_200 },
            increases: Increases {
                rows: vec![increase::Row {
                    mccs: vec![naive::MEALS..=naive::MEALS],
                    percent: naive::TIP_PERCENT,
                    ..increase::Row::default()
                }],
            },
            credits,
            clearing_tolerance: Tolerance(naive::clearing::TOLERANCE_PERCENT),
            configuration: 1,
        };
        let mut history = Self {
            random: Random(seed),
            ledger: Ledger::new(4, seed),
            model: naive::Model::default(),
            authorizer,
            events: Vec::new(),
            now: Timestamp::from_seconds(START_S),
            requests: Vec::new(),
            codes: Vec::new(),
            reversals: Vec::new(),
            advices: Vec::new(),
            purchases: Vec::new(),
            presentments: Vec::new(),
            tally: BTreeMap::new(),
            shared,
        };
        history.model.credits_at_once = credits == CreditsAt::Authorization;
        history.populate();
        history
    }

    fn record(&mut self, event: Event) -> u64 {
        let sequence = self.events.len() as u64 + 1;
        self.ledger.apply(sequence, self.now, &event);
        self.events.push((sequence, self.now, event));
        sequence
    }

    fn populate(&mut self) {
        // Bounds wide enough that nothing is let go: the model remembers everything.
        let wide = Bounds {
            repeat_window_s: 30 * 86_400,
            closed_window_s: 30 * 86_400,
            answers_per_slot: 512,
            closed_per_slot: 20_000,
            authorizations_per_card: 60_000,
        };
        self.record(Event::Configured(Configured { version: 1, bounds: wide, keys: KeysKept::default() }));
        if self.shared {
            let quote = Quote { price: "0.5".parse().expect("a price"), spread_ppm: 0 };
            let (from, to) = (currency(POCKET), currency(SHARED_IN));
            self.record(Event::RateSet(RateSet { from, to, quote: Some(quote) }));
            let quotes = self.ledger.shards[0].quotes().clone();
            self.ledger.shards.iter_mut().for_each(|shard| shard.copy_quotes(&quotes));
        }
        for n in 0..6_u64 {
            let wallet = WalletId(n + 1);
            let slot = Slot::of_wallet(wallet);
            let currencies: &[u16] = if n % 2 == 0 { &[840, 978] } else { &[392] };
            for (account, &numeric) in currencies.iter().enumerate() {
                let (amount, overdraft) = (self.random.below(50_000) as i64, if n == 3 { 5_000 } else { 0 });
                let currency = currency(numeric);
                // Where accounts are spent together, this one has a third of it.
                let part = if self.shared && numeric == SHARED_IN { amount / 3 } else { 0 };
                self.record(Event::AccountFunded(AccountFunded {
                    slot,
                    wallet,
                    account: account as u16,
                    currency,
                    amount: amount - 2 * part,
                    overdraft,
                }));
                if self.shared && numeric == SHARED_IN {
                    self.further(wallet, part, n);
                }
                self.model
                    .balances
                    .insert((wallet.0, numeric), naive::Balance { posted: amount, held: 0, overdraft });
            }
            self.model.currencies.insert(wallet.0, currencies.to_vec());
            self.limit_for_ever(slot, Subject::Wallet(wallet));
            for (card, status) in
                [(n * 10, CardStatus::Active), (n * 10 + 1, self.random.pick(&CardStatus::ALL).0)]
            {
                let expiry = if n == 5 && card % 10 == 1 { 2610 } else { 2812 };
                let pan = naive::Model::pan(card);
                let shard = self.ledger.shard_of(slot);
                let reference = self.ledger.shards[shard].next_card_ref(slot);
                self.record(Event::CardOpened(CardOpened {
                    slot,
                    wallet,
                    card: reference,
                    pan,
                    expiry: Expiry::new(expiry).expect("a month"),
                    service_code: ServiceCode(201),
                    status,
                    verification: Verification::None,
                    key: None,
                }));
                self.limit_for_ever(slot, Subject::Card(reference));
                self.model.cards.insert(pan.value(), naive::ModelCard { wallet: wallet.0, status, expiry });
            }
        }
    }

    /// Sets limits that decline nothing and count everything, one for each currency.
    /// Opens two further accounts for a wallet that has an account in dollars: one in dollars, and one of which two
    /// units are one of the other's. They are spent together, in one order or another.
    fn further(&mut self, wallet: WalletId, part: i64, n: u64) {
        let slot = Slot::of_wallet(wallet);
        let halves = currency(POCKET);
        for (account, currency, amount) in [(8, currency(SHARED_IN), part), (9, halves, 2 * part)] {
            let funded = AccountFunded { slot, wallet, account, currency, amount, overdraft: 0 };
            self.record(Event::AccountFunded(funded));
        }
        let order = [[0, 8, 9], [9, 0, 8], [8, 9, 0]][(n as usize / 2) % 3];
        let order = Spending::new(&order).expect("an order");
        self.record(Event::SpendingSet(SpendingSet { slot, wallet, order }));
    }

    /// What the accounts of a wallet have that are spent together, in the currency of the first.
    fn together(&self, wallet: WalletId, numeric: u16) -> naive::Balance {
        let shard = self.ledger.shard_of(Slot::of_wallet(wallet));
        let accounts = self.ledger.shards[shard].wallet_accounts(wallet).expect("the wallet");
        let worth = |of: u16| match of {
            _ if of == numeric => 1,
            POCKET if numeric == SHARED_IN => 2,
            _ => 0,
        };
        let mut sum = naive::Balance { posted: 0, held: 0, overdraft: 0 };
        for (account, worth) in accounts.iter().map(|account| (account, worth(account.currency.numeric()))) {
            if worth != 0 {
                assert_eq!((account.posted % worth, account.held % worth), (0, 0), "{account:?}");
                sum.posted += account.posted / worth;
                sum.held += account.held / worth;
                sum.overdraft += account.overdraft;
            }
        }
        sum
    }

    fn limit_for_ever(&mut self, slot: Slot, subject: Subject) {
        for (n, numeric) in [840, 978, 392].into_iter().enumerate() {
            let limit = Limit {
                measure: Measure::Amount(currency(numeric)),
                max: i64::MAX,
                window: Window::Lifetime,
                filter: Filter::ALL,
            };
            let number = Number::new(n as u8 + 1).expect("a number");
            self.record(Event::LimitSet(LimitSet { slot, subject, number, limit: Some(limit) }));
        }
    }

    /// A limit for ever has counted what is held and was posted, whatever became of it on the way (R18).
    fn limits_agree(&self) {
        let wallets = self.model.currencies.keys().map(|wallet| WalletId(*wallet));
        for wallet in wallets {
            let shard = &self.ledger.shards[self.ledger.shard_of(Slot::of_wallet(wallet))];
            let views = shard.wallet_authorizations(wallet).expect("a wallet");
            let mut taken = BTreeMap::<(Subject, Currency), i64>::new();
            for view in &views {
                let entry = &view.authorization;
                if matches!(entry.state, AuthorizationState::Held | AuthorizationState::Posted) {
                    for subject in [Subject::Card(view.card), Subject::Wallet(wallet)] {
                        *taken.entry((subject, view.account_currency)).or_default() += entry.taken.max(0);
                    }
                }
            }
            let cards = shard.wallet_cards(wallet).expect("a wallet");
            let cards = cards.iter().map(|card| Subject::Card(card.card));
            for subject in cards.chain([Subject::Wallet(wallet)]) {
                for view in shard.limits_of(subject, self.now).expect("it is there") {
                    let Measure::Amount(currency) = view.limit.measure else { continue };
                    let expected = taken.get(&(subject, currency)).copied().unwrap_or(0);
                    assert_eq!(view.used, expected, "{subject:?} in {currency}");
                }
            }
        }
    }

    fn key(&mut self) -> MessageKey {
        let r = &mut self.random;
        let digits = 1_123_000_000 + r.below(3) as u32;
        MessageKey {
            network: NameId::of(r.pick(&["visa", "iso87"])),
            link: NameId::of("a"),
            stan: Stan(r.below(400) as u32),
            transmission: TransmissionTime::new(digits).expect("a date"),
            acquirer: InstitutionId(r.pick(&[0, 12_345, 99])),
            rrn: Text::from_ascii(format!("{:012}", r.below(300)).as_bytes()),
            terminal: Text::from_ascii(r.pick(&[b"TERM0001", b"TERM0002"])),
            merchant: Text::from_ascii(r.pick(&[b"SHOP", b"BANK"])),
            network_reference: if r.one_in(3) { 0 } else { r.below(1000) + 1 },
        }
    }

    fn new_request(&mut self) -> AuthorizationRequest {
        let key = self.key();
        let r = &mut self.random;
        let types =
            [0, 0, 0, 0, 0, 0, 10_000, 90_000, 100_000, 110_000, 300_000, 200_000, 260_000, 280_000, 400_000];
        let processing_code = ProcessingCode(r.pick(&types));
        let verification = r.one_in(12);
        let kind = match (verification, r.one_in(60)) {
            (true, _) => TransactionKind::AccountVerification,
            (false, true) => TransactionKind::TokenRequest,
            (false, false) => processing_code.kind(),
        };
        let zero = verification || kind == TransactionKind::BalanceInquiry || r.one_in(30);
        let amount = Money::new(
            if zero { 0 } else { r.below(9_000) as i64 + 1 },
            currency(r.pick(&[840, 840, 978, 392, 756])),
        );
        let rate = r.below(30) as i64 + 1;
        AuthorizationRequest {
            key,
            class: if r.one_in(4) { MessageClass::Financial } else { MessageClass::Authorization },
            repeat: r.one_in(20),
            pan: naive::Model::pan(r.below(6) * 10 + r.below(3)),
            expiry: if r.one_in(10) { Expiry::new(r.pick(&[2812, 2901])) } else { None },
            processing_code,
            kind,
            amount,
            billing: r
                .one_in(4)
                .then_some(Money::new(amount.minor * rate / 10, currency(r.pick(&[840, 392])))),
            mcc: r.pick(&[5999, naive::MEALS]),
            country: 840,
            entry_mode: 51,
            channel: Channel::Chip,
            partial_supported: r.one_in(2),
            merchant_initiated: r.one_in(4),
            increment: false,
            finality: r.pick(&[Finality::Undefined, Finality::Estimated, Finality::Final]),
            card_present: r.one_in(2),
            presented: Presented::TRACK,
        }
    }

    /// A request: a new one, a repeat of an old one, or one with an old key and other contents.
    fn request(&mut self) {
        let mut request = self.new_request();
        if !self.requests.is_empty() && self.random.one_in(3) {
            let old = self.random.below(self.requests.len() as u64) as usize;
            request = self.requests[old];
            request.repeat = self.random.one_in(2);
            if self.random.one_in(4) {
                request.amount.minor += 1;
            }
        } else if !self.requests.is_empty() && self.random.one_in(3) {
            self.add_to_old(&mut request);
        }
        let (shard, position) = self.ledger.locate(request.pan);
        let shard = &self.ledger.shards[shard];
        let card = position.and_then(|at| shard.card_at(at, request.pan));
        let decision = self.authorizer.decide(&request, Facts::default(), self.now, 0, shard, card);
        let sequence = self.events.len() as u64 + 1;
        let expected = self.model.request(sequence, &request, MONTH);
        let answer = match decision {
            Decision::New(event, answer) => {
                assert_eq!(expected.repeats, None, "decided anew: {request:?}");
                if matches!(&event, Event::Decided(decided) if !decided.shares.is_empty()) {
                    self.tell("shared");
                }
                self.record(event);
                answer
            }
            Decision::Repeat(answer) => {
                assert_eq!(expected.repeats, Some(answer.depends_on.0), "answered as a repeat: {request:?}");
                answer
            }
        };
        // What is told of a balance is that of the one account.
        let told = (!self.shared).then_some(&expected.balances);
        check_answer(&answer, &expected, told, &request);
        if let (Some(code), None) = (answer.approval_code, expected.repeats) {
            assert!(!self.codes.contains(&code), "r8: {code} was given before");
            self.model.given_code(sequence, code.0);
            self.codes.push(code);
            let AuthorizationRequest { key, pan, processing_code, amount, billing, .. } = request;
            let part = answer.partial.map(|part| (part.amount, part.billing));
            let code = Some(code);
            self.purchases.push(Purchase { key, pan, processing_code, amount, billing, part, code });
        }
        self.requests.push(request);
    }

    /// Makes a request one of an old one's purchase.
    fn add_to_old(&mut self, request: &mut AuthorizationRequest) {
        let r = &mut self.random;
        // One of the newest, which is likely to be open.
        let last = self.requests.len() as u64 - 1;
        let old = self.requests[(last - r.below(30).min(last)) as usize];
        request.pan = old.pan;
        request.key.network = old.key.network;
        request.key.network_reference = old.key.network_reference;
        request.increment = !r.one_in(4);
        if !r.one_in(4) {
            request.key.merchant = old.key.merchant;
            request.processing_code = old.processing_code;
            request.kind = old.processing_code.kind();
            let minor = if r.one_in(4) { 0 } else { request.amount.minor };
            request.amount = Money::new(minor, old.amount.currency);
            request.billing = None;
        }
    }

    /// Lets time pass, and what is over expire.
    fn expire(&mut self) {
        self.now = self.now.plus_ms(self.random.below(5_400_000));
        for at in 0..self.ledger.shards.len() {
            let mut from = 0;
            loop {
                let now_s = self.now.seconds() as u32;
                let (found, next) = self.ledger.shards[at].overdue(from, 50, now_s);
                if let Some(expired) = found {
                    self.model.expire(self.events.len() as u64 + 1, expired.authorization.0);
                    self.record(Event::Expired(expired));
                }
                from = next;
                if from == 0 {
                    break;
                }
            }
            let views = |wallet: u64| self.ledger.shards[at].wallet_authorizations(WalletId(wallet));
            for view in (1..=6).filter_map(views).flatten() {
                let until_s = u64::from(view.authorization.hold_until_s);
                let lives = !view.authorization.state.is_open() || until_s > self.now.seconds();
                assert!(lives, "r19: {:?} outlives its time", view.authorization.sequence);
            }
        }
    }

    fn set_wallet_status(&mut self) {
        let wallet = WalletId(self.random.below(6) + 1);
        let often = WalletStatus::Active;
        let status = self.random.pick(&[often, often, WalletStatus::Frozen, WalletStatus::Closed]);
        if status == WalletStatus::Active {
            self.model.blocked.remove(&wallet.0);
        } else {
            self.model.blocked.insert(wallet.0, status == WalletStatus::Closed);
        }
        let slot = Slot::of_wallet(wallet);
        self.record(Event::WalletStatusSet(WalletStatusSet { slot, wallet, status }));
    }

    fn new_reversal(&mut self) -> ReversalRequest {
        let own = self.key();
        let request = if self.requests.is_empty() || self.random.one_in(5) {
            self.new_request()
        } else {
            let old = self.random.below(self.requests.len() as u64) as usize;
            self.requests[old]
        };
        let r = &mut self.random;
        let original = r.one_in(2).then_some(OriginalData {
            class: if r.one_in(5) { None } else { Some(request.class) },
            stan: request.key.stan,
            transmission: if r.one_in(5) { None } else { Some(request.key.transmission) },
            acquirer: if r.one_in(3) { InstitutionId(0) } else { request.key.acquirer },
        });
        let mut key =
            if r.one_in(2) { request.key } else { MessageKey { network: request.key.network, ..own } };
        if r.one_in(3) {
            key.network_reference = request.key.network_reference;
        }
        ReversalRequest {
            key,
            advice: r.one_in(2),
            repeat: r.one_in(4),
            pan: request.pan,
            processing_code: request.processing_code,
            amount: match r.below(8) {
                0 => Money::new(r.below(9_000) as i64 + 1, request.amount.currency),
                _ => request.amount,
            },
            billing: if r.one_in(2) { request.billing } else { None },
            replacement: r.one_in(4).then_some(Replacement {
                amount: r.below(9_000) as i64 + 1,
                billing: r.one_in(2).then_some(r.below(9_000) as i64 + 1),
            }),
            approval_code: if r.one_in(3) && !self.codes.is_empty() {
                Some(r.pick(&self.codes))
            } else {
                None
            },
            original,
            legs: if r.one_in(3) { Legs::Ours } else { Legs::Both },
            reason: r.below(100) as u16,
        }
    }

    /// An advice about a request that was seen or not, with the keys of the request or with its own.
    fn new_advice(&mut self) -> Advice {
        let reversal = self.new_reversal();
        let old = self.requests.iter().rev().find(|request| request.pan == reversal.pan);
        let (class, billing) = old.map_or((None, None), |old| (Some(old.class), old.billing));
        let r = &mut self.random;
        let completes = r.one_in(3);
        let class = if completes { None } else { class };
        let increment = class == Some(MessageClass::Authorization) && r.one_in(3);
        let amount = match r.below(6) {
            0 => Money::new(r.below(9_000) as i64, reversal.amount.currency),
            _ => reversal.amount,
        };
        Advice {
            key: reversal.key,
            class: class.unwrap_or(MessageClass::Financial),
            repeat: r.one_in(4),
            pan: reversal.pan,
            processing_code: reversal.processing_code,
            mcc: 5999,
            country: 840,
            channel: Channel::Chip,
            finality: Finality::Undefined,
            card_present: true,
            amount,
            billing: if r.one_in(2) { billing } else { None },
            approved: !r.one_in(4),
            reason: reversal.reason,
            approval_code: reversal.approval_code,
            original: reversal.original,
            increment,
            completes: class.is_none() || completes || !increment && r.one_in(6),
        }
    }

    fn advise(&mut self) {
        let mut advice = self.new_advice();
        if !self.advices.is_empty() && self.random.one_in(3) {
            let old = self.random.below(self.advices.len() as u64) as usize;
            advice = Advice { repeat: true, ..self.advices[old] };
        }
        let (shard, position) = self.ledger.locate(advice.pan);
        let shard = &self.ledger.shards[shard];
        let card = position.and_then(|at| shard.card_at(at, advice.pan));
        let decision = self.authorizer.advise(&advice, self.now, 0, shard, card).expect("there is room");
        let sequence = self.events.len() as u64 + 1;
        let expected = self.model.advise(sequence, &advice);
        match decision {
            Decision::New(event, answer) => {
                assert_eq!(expected, None, "handled anew: {advice:?}");
                assert_eq!(answer.action, ActionCode::Approved, "an advice is never declined");
                self.note_advice(&advice, &event);
                self.record(event);
            }
            Decision::Repeat(answer) => assert_eq!(expected, Some(answer.depends_on.0), "{advice:?}"),
        }
        self.advices.push(advice);
    }

    fn tell(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// Keeps what clearing may be about later, and notes whether it was cleared before.
    fn note_advice(&mut self, advice: &Advice, event: &Event) {
        let Event::Advised(advised) = event else { return };
        if self.is_of_cleared(advised.sets) {
            self.tell("messages of what was cleared");
        }
        let acts = advised.effect != Effect::None || self.is_of_cleared(advised.sets);
        if advice.approved && advice.amount.minor > 0 && (acts || self.purchases.len().is_multiple_of(8)) {
            let Advice { key, pan, processing_code, amount, billing, approval_code: code, .. } = *advice;
            self.purchases.push(Purchase { key, pan, processing_code, amount, billing, part: None, code });
        }
    }

    /// Whether this record of the journal is that of a clearing record.
    fn is_of_cleared(&self, sequence: Sequence) -> bool {
        let at = sequence.0.checked_sub(1);
        at.is_some_and(|at| matches!(self.events[at as usize].2, Event::Cleared(_)))
    }

    /// What a new clearing record is about: mostly a message that was approved.
    fn purchase(&mut self) -> Purchase {
        if self.purchases.is_empty() || self.random.one_in(10) {
            let AuthorizationRequest { key, pan, processing_code, amount, billing, .. } = self.new_request();
            let amount = Money::new(amount.minor.max(1), amount.currency);
            return Purchase { key, pan, processing_code, amount, billing, part: None, code: None };
        }
        let last = self.purchases.len() as u64;
        let among = if self.random.one_in(3) { last } else { last.min(12) };
        self.purchases[(last - 1 - self.random.below(among)) as usize]
    }

    /// A clearing record: a new one, one that came before, or one that has something to do with that.
    fn new_presentment(&mut self) -> Presentment {
        if !self.presentments.is_empty() && self.random.one_in(4) {
            let last = self.presentments.len() as u64;
            let old = self.presentments[(last - 1 - self.random.below(last.min(60))) as usize];
            return self.presented_again(old);
        }
        let Purchase { key, pan, processing_code, amount, billing, part: approved, code } = self.purchase();
        let r = &mut self.random;
        let (amount, billing) = match approved {
            Some((amount, billed)) if r.one_in(2) => (amount, billing.map(|_| billed)),
            _ => (amount, billing),
        };
        let purpose = match processing_code.0 / 10_000 {
            1 => Purpose::Cash,
            20 => Purpose::Refund,
            26 | 28 => Purpose::OriginalCredit,
            _ => Purpose::Purchase,
        };
        let purpose = if r.one_in(12) { r.pick(&Purpose::ALL).0 } else { purpose };
        let usage = if r.one_in(40) { Usage::Second } else { Usage::First };
        let part = if r.one_in(3) { r.pick(&PARTS) } else { Part::Whole };
        let scale = match part {
            Part::Whole => r.pick(&[10, 10, 10, 10, 10, 10, 11, 15, 20, 6, 3]),
            _ => r.pick(&[10, 7, 6, 4, 3]),
        };
        let billing = billing.filter(|_| !r.one_in(8));
        Presentment {
            network: key.network,
            function: function(purpose, false, usage),
            part,
            pan,
            arn: new_arn(r),
            amount: if r.one_in(150) { Money::new(i64::MAX, amount.currency) } else { scaled(amount, scale) },
            billing: billing.map(|billing| scaled(billing, scale)),
            settlement: None,
            authorized: None,
            approval_code: code.filter(|_| !r.one_in(3)),
            network_reference: match r.below(12) {
                0 => r.below(1_000) + 1,
                1..=4 => 0,
                _ => key.network_reference,
            },
            rrn: if r.one_in(2) { key.rrn } else { Text::BLANK },
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

    fn presented_again(&mut self, old: Presentment) -> Presentment {
        let r = &mut self.random;
        let (purpose, usage) = (old.function.purpose, old.function.usage);
        match r.below(6) {
            0 => old,
            // A file in another format says less.
            1 => Presentment { rrn: Text::BLANK, network_reference: 0, approval_code: None, ..old },
            // Another one of the same acquirer reference.
            2 => Presentment { part: r.pick(&PARTS), amount: scaled(old.amount, r.pick(&[10, 4])), ..old },
            n => Presentment {
                function: function(purpose, true, usage),
                amount: scaled(old.amount, if n == 3 && r.one_in(2) { 6 } else { 10 }),
                ..old
            },
        }
    }

    /// A clearing record comes.
    fn clear(&mut self) {
        let presentment = self.new_presentment();
        let (shard, position) = self.ledger.locate(presentment.pan);
        let shard = &self.ledger.shards[shard];
        let card = position.and_then(|at| shard.card_at(at, presentment.pan));
        let clearing = self.authorizer.clear(&presentment, shard, card);
        let sequence = self.events.len() as u64 + 1;
        let expected = self.model.clear(sequence, &presentment);
        match clearing {
            Clearing::New(event, explanation) => {
                let currency = if event.posted == 0 { 0 } else { event.posted_in.numeric() };
                let seen = naive::clearing::Expected::New {
                    outcome: event.outcome,
                    by: event.by,
                    matches: event.matches.0,
                    posted: event.posted,
                    currency,
                };
                assert_eq!(seen, expected, "{presentment:?}, of {explanation:?}");
                let state = explanation.matched.map(|matched| matched.authorization.state);
                self.note_cleared(&event, state);
                self.record(Event::Cleared(event));
            }
            Clearing::Again(before) => {
                assert_eq!(naive::clearing::Expected::Again(before.0), expected, "{presentment:?}");
                self.tell("repeated");
            }
            Clearing::Full(table) => assert_eq!(table, "", "there is room"),
        }
        self.presentments.push(presentment);
    }

    fn note_cleared(&mut self, event: &Cleared, state: Option<AuthorizationState>) {
        self.tell(event.outcome.name());
        match event.by {
            MatchedBy::NetworkReference => self.tell("by network-reference"),
            MatchedBy::ApprovalCode => self.tell("by approval-code"),
            MatchedBy::Reference => self.tell("by reference"),
            MatchedBy::Nothing | MatchedBy::Arn => {}
        }
        match (event.outcome, state) {
            (Clearance::Captured, _) if !event.part.is_final() => self.tell("parts of what is open"),
            (Clearance::Captured, _) if event.function.is_credit() => self.tell("credits that were captured"),
            (Clearance::AlreadyPosted, _) if event.posted != 0 => self.tell("differences of credits"),
            (Clearance::Returned, _) if event.posted != 0 => self.tell("parts that were returned"),
            (Clearance::Late, Some(AuthorizationState::Expired)) => self.tell("records of what expired"),
            (Clearance::Late, Some(AuthorizationState::Reversed)) => {
                self.tell("records of what was reversed")
            }
            _ => {}
        }
    }

    fn reverse(&mut self) {
        let mut reversal = self.new_reversal();
        if !self.reversals.is_empty() && self.random.one_in(3) {
            let old = self.random.below(self.reversals.len() as u64) as usize;
            reversal = ReversalRequest { repeat: true, ..self.reversals[old] };
        }
        let (shard, position) = self.ledger.locate(reversal.pan);
        let shard = &self.ledger.shards[shard];
        let card = position.and_then(|at| shard.card_at(at, reversal.pan));
        let applied = shard.applied();
        let decision = self.authorizer.reverse(&reversal, self.now, 0, shard, card).expect("there is room");
        let sequence = self.events.len() as u64 + 1;
        let expected = self.model.reverse(sequence, &reversal);
        match decision {
            Decision::New(event, _) => {
                assert_eq!(expected, None, "handled anew: {reversal:?}");
                self.record(event);
            }
            Decision::Repeat(answer) => {
                let (record, depends_on) = (expected.unwrap_or_default(), answer.depends_on.0);
                // Where a record of its own undid the second leg, it may be any up to the shard's last one.
                let fits = depends_on == record || depends_on > record && answer.depends_on == applied;
                assert!(expected.is_some() && fits, "{record}, not {depends_on}: {reversal:?}");
            }
        }
        self.reversals.push(reversal);
    }

    fn check_books(&self) {
        for shard in &self.ledger.shards {
            shard.audit().expect("the books hold");
        }
        self.limits_agree();
        for (&(wallet, numeric), balance) in &self.model.balances {
            assert_eq!(self.together(WalletId(wallet), numeric), *balance, "wallet {wallet} in {numeric}");
        }
        for totals in self.ledger.totals() {
            assert_eq!(totals.sum(), 0, "{totals:?}");
            let suspense = self.model.suspense.get(&totals.currency.numeric()).copied().unwrap_or(0);
            assert_eq!(totals.suspense, suspense, "{totals:?}");
        }
        self.check_views();
    }

    /// What is shown of a wallet is what events made with its cards, and nothing has left memory.
    fn check_views(&self) {
        let (mut wallets, mut made) = (BTreeMap::new(), BTreeMap::<WalletId, Vec<u64>>::new());
        let (mut tombstones, mut classes) = (Vec::new(), BTreeMap::new());
        for (sequence, _, event) in &self.events {
            match event {
                Event::Decided(decided) => _ = classes.insert(*sequence, decided.class),
                Event::Advised(advised) => _ = classes.insert(*sequence, advised.class),
                Event::Reversed(reversed) if reversed.undoes == Sequence(0) => tombstones.push(*sequence),
                _ => {}
            }
            let card = match event {
                Event::CardOpened(opened) => {
                    wallets.insert(opened.card, opened.wallet);
                    made.entry(opened.wallet).or_default();
                    continue;
                }
                Event::Decided(decided) if decided.effect != Effect::None => decided.card,
                Event::Reversed(reversed) if reversed.undoes == Sequence(0) => reversed.card,
                // A partial reversal is remembered; one that makes a tombstone stronger is not.
                Event::Reversed(reversed)
                    if reversed.keeps.is_some() && !tombstones.contains(&reversed.undoes.0) =>
                {
                    reversed.card
                }
                Event::Cleared(cleared) if cleared.outcome.is_suspended() => continue,
                Event::Cleared(cleared) => cleared.card,
                // What finds itself cleared is remembered.
                Event::Advised(advised) if self.is_of_cleared(advised.sets) => advised.card,
                Event::Advised(advised) if advised.effect != Effect::None => match advised.effect {
                    _ if advised.sets == Sequence(0) => advised.card,
                    Effect::Post(_) if classes.get(&advised.sets.0) == Some(&MessageClass::Authorization) => {
                        advised.card
                    }
                    _ => continue,
                },
                _ => continue,
            };
            if let CardIdentity::Known(card) = card {
                made.entry(wallets[&card]).or_default().insert(0, *sequence);
            }
        }
        let mut open = 0;
        for (wallet, made) in made {
            let shard = &self.ledger.shards[self.ledger.shard_of(Slot::of_wallet(wallet))];
            let views = shard.wallet_authorizations(wallet).expect("the wallet");
            let shown: Vec<u64> = views.iter().map(|view| view.authorization.sequence.0).collect();
            assert_eq!(shown, made, "wallet {}: all, newest first", wallet.0);
            assert!(views.iter().all(|view| wallets[&view.card] == wallet), "wallet {}", wallet.0);
            open += views.iter().filter(|view| view.authorization.state.is_open()).count() as u64;
        }
        let counted: u64 = self.ledger.shards.iter().map(|shard| shard.fill().open_authorizations).sum();
        assert_eq!(counted, open, "open authorizations");
    }

    /// Applies the events alone, over another number of shards and with other hash seeds.
    fn replay(&self, shards: u16) -> StateHash {
        let mut ledger = Ledger::new(shards, !u64::from(shards));
        for (sequence, time, event) in &self.events {
            ledger.apply(*sequence, *time, event);
        }
        for shard in &ledger.shards {
            shard.audit().expect("the books hold");
        }
        ledger.state_hash()
    }
}

fn check_answer(
    answer: &Answer,
    expected: &naive::Expected,
    balances: Option<&Option<(i64, i64)>>,
    request: &AuthorizationRequest,
) {
    assert_eq!(answer.action, expected.action, "{request:?}");
    assert_eq!(answer.approval_code.is_some(), expected.action.is_approval());
    assert_eq!(
        answer.partial.map(|part| (part.amount.minor, part.billing.minor)),
        expected.partial,
        "{request:?}"
    );
    let told = answer.balances.map(|balances| (balances.ledger, balances.available));
    assert!(balances.is_none_or(|expected| *expected == told), "{told:?}, {request:?}");
}

const PARTS: [Part; 6] = [
    Part::Partial,
    Part::Partial,
    Part::Final,
    Part::Numbered { sequence: 1, count: 3 },
    Part::Numbered { sequence: 2, count: 3 },
    Part::Numbered { sequence: 3, count: 3 },
];

/// So many tenths of an amount, and at least one unit.
fn scaled(amount: Money, tenths: i64) -> Money {
    Money::new(
        (i128::from(amount.minor) * i128::from(tenths) / 10).clamp(1, i64::MAX.into()) as i64,
        amount.currency,
    )
}

fn function(purpose: Purpose, reversal: bool, usage: Usage) -> Function {
    let code = match purpose {
        Purpose::Purchase => 501,
        Purpose::Refund => 601,
        Purpose::OriginalCredit => 621,
        Purpose::Cash => 701,
    };
    let code = code + if reversal { 2_000 } else { 0 } + usage as u32;
    Function { purpose, reversal, usage, code }
}

/// An acquirer's reference; some acquirers give none.
fn new_arn(random: &mut Random) -> Arn {
    let number = if random.one_in(15) { 0 } else { random.next() };
    Arn::new(*format!("{number:023}").as_bytes().first_chunk().expect("23 digits")).expect("digits")
}

/// So many histories are tried, or what the environment says.
fn cases() -> u64 {
    std::env::var("TURNPIKE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(12)
}

/// One history from its beginning to its end, and what happened in it.
fn live(seed: u64, clears: bool, shared: bool) -> BTreeMap<&'static str, u64> {
    let at_once = clears && seed % 3 == 2;
    let credits = if at_once { CreditsAt::Authorization } else { CreditsAt::Clearing };
    let mut history = History::new(seed, credits, shared);
    for step in 0..1500 {
        history.now = history.now.plus_ms(history.random.below(40));
        if history.random.one_in(100) {
            history.set_wallet_status();
        } else if history.random.one_in(60) {
            history.expire();
        } else if clears && history.random.one_in(4) {
            history.clear();
        } else if history.random.one_in(3) {
            history.reverse();
        } else if history.random.one_in(4) {
            history.advise();
        } else {
            history.request();
        }
        if step % 100 == 99 {
            history.check_books();
        }
    }
    let live = history.ledger.state_hash();
    assert_eq!(live, history.replay(1), "seed {seed}: one shard");
    assert_eq!(live, history.replay(256), "seed {seed}: 256 shards");
    history.tally
}

#[test]
fn the_ledger_agrees_with_a_naive_model_over_long_histories() {
    for seed in 0..cases() {
        live(seed, false, false);
    }
}

/// What several accounts have together is what the model has on one, whatever happens and in whichever order.
#[test]
fn r13_accounts_that_are_spent_together_agree_with_the_naive_model_over_long_histories() {
    let mut shared = 0;
    for seed in 0..cases() {
        for clears in [false, true] {
            shared += live(seed, clears, true).get("shared").copied().unwrap_or(0);
        }
    }
    assert!(shared > 100, "{shared} authorizations were shared");
}

#[test]
fn r14_r20_clearing_agrees_with_the_naive_model_over_long_histories() {
    let mut all = BTreeMap::<&str, u64>::new();
    for seed in 0..cases() {
        for (what, count) in live(seed, true, false) {
            *all.entry(what).or_default() += count;
        }
    }
    println!("{all:#?}");
    if cases() >= 12 {
        let missing = MUST_HAPPEN.iter().find(|what| !all.contains_key(*what));
        assert_eq!(missing, None, "this never happens");
    }
}
