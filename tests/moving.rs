//! Verbs that move money, without sockets: long random histories against a naive model that shares no code with the
//! ledger, the same books again from the events alone over any number of shards, and from images in between.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

use std::collections::BTreeMap;

use turnpike::authorizer::Authorizer;
use turnpike::authorizer::CreditsAt;
use turnpike::authorizer::approval_code::ApprovalCodes;
use turnpike::authorizer::expiry::ExpiryTable;
use turnpike::authorizer::increase::Increases;
use turnpike::authorizer::moving::Moving;
use turnpike::authorizer::moving::Order;
use turnpike::authorizer::moving::Party;
use turnpike::authorizer::moving::Refusal;
use turnpike::authorizer::moving::Turned;
use turnpike::domain::asset::Quote;
use turnpike::domain::asset::RateSet;
use turnpike::domain::event::AccountFunded;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::Event;
use turnpike::domain::event::Sequence;
use turnpike::domain::event::WalletStatusSet;
use turnpike::domain::mandate::MandateCancelled;
use turnpike::domain::mandate::MandateGiven;
use turnpike::domain::mandate::Period;
use turnpike::domain::mandate::Terms;
use turnpike::domain::money::Currency;
use turnpike::domain::moved::CallerKey;
use turnpike::domain::moved::Reason;
use turnpike::domain::moved::Side;
use turnpike::domain::moved::Verb;
use turnpike::domain::party::Slot;
use turnpike::domain::party::WalletId;
use turnpike::domain::party::WalletStatus;
use turnpike::domain::time::Timestamp;
use turnpike::ledger::books::Books;
use turnpike::ledger::books::Layout;
use turnpike::ledger::presented::Tolerance;
use turnpike::ledger::restore::Restoring;
use turnpike::ledger::shard::Capacity;

/// A while before midnight, UTC.
const START_S: u64 = 1_795_392_000 - 100;
const SEED: u64 = 11;
const WALLETS: u64 = 8;
const CURRENCIES: [u16; 2] = [840, 978];
/// How long keys and payments are kept.
const KEPT_S: u64 = 50;

const CAPACITY: Capacity =
    Capacity { wallets: 64, further_accounts: 64, cards: 8, authorizations: 64, limits: 8, counted: 8 };

/// SplitMix64: the histories are the same on every machine.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn currency(numeric: u16) -> Currency {
    Currency::new(numeric).expect("a currency")
}

/// What the model knows of a payment.
#[derive(Clone, Copy, Debug)]
struct Paid {
    payer: (u64, u16),
    merchant: u64,
    currency: u16,
    amount: i64,
    fee: i64,
    refunded: i64,
    fee_back: i64,
    until_s: u64,
}

/// What the model knows of a mandate.
#[derive(Clone, Copy, Debug)]
struct Allowed {
    payer: u64,
    payee: u64,
    currency: u16,
    max: i64,
    charges_max: u16,
    /// It begins anew each day; else it is for its whole life.
    daily: bool,
    until_s: u64,
    cancelled: bool,
    day: u64,
    used: i64,
    charges: u16,
}

/// Accounts by wallet and currency, and what else counts; plain additions and nothing of the ledger's.
#[derive(Debug, Default)]
struct Model {
    balances: BTreeMap<(u64, u16), i64>,
    overdrafts: BTreeMap<(u64, u16), i64>,
    closed: BTreeMap<u64, WalletStatus>,
    house: BTreeMap<(&'static str, u16), i64>,
    payments: BTreeMap<u64, Paid>,
    mandates: BTreeMap<u64, Allowed>,
    keys: BTreeMap<u128, (u64, u64, u64)>,
}

/// What is asked of both.
#[derive(Clone, Copy, Debug)]
struct Ask {
    verb: Verb,
    key: (u128, u64),
    from: Option<u64>,
    to: Option<u64>,
    currency: u16,
    amount: i64,
    fee: i64,
    about: u64,
    returns_fee: bool,
    /// Of a conversion what it is turned into, and how much must come.
    into: Option<(u16, i64)>,
}

/// From the first currency to the second there is a rate of 0.7, of which the house keeps a hundredth; not back.
const PRICE: &str = "0.7";
const SPREAD_PPM: u32 = 10_000;

impl Model {
    /// What should come of it: the record that did it before, or nothing for a refusal.
    fn take(&mut self, ask: &Ask, sequence: u64, now_s: u64) -> Result<Option<u64>, &'static str> {
        if let Some((body, record, _)) = self.keys.get(&ask.key.0).filter(|(.., until_s)| *until_s >= now_s) {
            return if *body == ask.key.1 { Ok(Some(*record)) } else { Err("key") };
        }
        if ask.amount <= 0 || ask.fee < 0 || ask.fee >= ask.amount {
            return Err("amount");
        }
        let (mut leaves, mut arrives, mut fees, mut to) = (ask.amount, ask.amount - ask.fee, ask.fee, ask.to);
        if ask.verb == Verb::Refund {
            let found = self.payments.get_mut(&ask.about);
            let right = |paid: &&mut Paid| {
                Some(paid.merchant) == ask.from && paid.until_s >= now_s && paid.currency == ask.currency
            };
            let paid = found.filter(right).ok_or("payment")?;
            if ask.amount > paid.amount - paid.refunded {
                return Err("refund");
            }
            let back = if ask.returns_fee {
                // No product of the two is past 64 bits here.
                paid.fee * (paid.refunded + ask.amount) / paid.amount - paid.fee * paid.refunded / paid.amount
            } else {
                0
            };
            assert!((0..=ask.amount).contains(&back), "a merchant earns nothing by giving back");
            (leaves, arrives, fees, to) = (ask.amount - back, ask.amount, -back, Some(paid.payer.0));
        }
        if ask.verb == Verb::Charge {
            let found = self.mandates.get_mut(&ask.about);
            let mandate = found.filter(|of| Some(of.payer) == ask.from).ok_or("mandate")?;
            if mandate.cancelled || mandate.until_s != 0 && mandate.until_s <= now_s {
                return Err("mandate ended");
            }
            if mandate.daily && mandate.day != now_s / 86_400 {
                (mandate.day, mandate.used, mandate.charges) = (now_s / 86_400, 0, 0);
            }
            if mandate.charges_max != 0 && mandate.charges >= mandate.charges_max {
                return Err("mandate used");
            }
            if ask.amount > mandate.max - mandate.used {
                return Err("mandate exhausted");
            }
            to = Some(mandate.payee);
        }
        if let Some((into, at_least)) = ask.into {
            if (ask.currency, into) != (CURRENCIES[0], CURRENCIES[1]) {
                return Err("rate");
            }
            arrives = ask.amount * 7 * 99 / 1_000;
            if arrives == 0 || arrives < at_least {
                return Err("comes to less");
            }
        }
        let comes_in = ask.into.map_or(ask.currency, |(into, _)| into);
        for (wallet, currency) in [(ask.from, ask.currency), (to, comes_in)] {
            let Some(wallet) = wallet else { continue };
            if wallet > WALLETS {
                return Err("wallet");
            }
            if !self.balances.contains_key(&(wallet, currency)) {
                return Err("account");
            }
        }
        if ask.from.is_some() && ask.from == to && comes_in == ask.currency {
            return Err("itself");
        }
        if let Some(from) = ask.from {
            let status = self.closed.get(&from);
            let may = match ask.verb {
                Verb::Adjustment => status != Some(&WalletStatus::Closed),
                _ => status.is_none(),
            };
            if !may {
                return Err("status");
            }
            let place = (from, ask.currency);
            let available = self.balances[&place] + self.overdrafts.get(&place).copied().unwrap_or(0);
            if ask.verb != Verb::Adjustment && available < leaves {
                return Err("funds");
            }
        }
        if to.is_some_and(|to| self.closed.get(&to) == Some(&WalletStatus::Closed)) {
            return Err("status");
        }
        if let Some(from) = ask.from {
            *self.balances.get_mut(&(from, ask.currency)).expect("it is there") -= leaves;
        }
        if let Some(to) = to {
            *self.balances.get_mut(&(to, comes_in)).expect("it is there") += arrives;
        }
        if ask.into.is_some() {
            *self.house.entry(("exchange", ask.currency)).or_default() += leaves;
            *self.house.entry(("exchange", comes_in)).or_default() -= arrives;
        }
        *self.house.entry(("fees", ask.currency)).or_default() += fees;
        let account = if ask.verb == Verb::Adjustment { "adjustments" } else { "funding" };
        let house = self.house.entry((account, ask.currency)).or_default();
        *house += if to.is_none() { leaves } else { 0 } - if ask.from.is_none() { arrives } else { 0 };
        match (ask.verb, ask.from, to) {
            (Verb::Payment, Some(payer), Some(merchant)) => {
                let Ask { currency, amount, fee, .. } = *ask;
                let until_s = now_s + KEPT_S;
                let (refunded, fee_back) = (0, 0);
                let payer = (payer, 0);
                let paid = Paid { payer, merchant, currency, amount, fee, refunded, fee_back, until_s };
                self.payments.insert(sequence, paid);
            }
            (Verb::Charge, ..) => {
                let mandate = self.mandates.get_mut(&ask.about).expect("it was found");
                mandate.used += ask.amount;
                mandate.charges += 1;
            }
            (Verb::Refund, ..) => {
                let paid = self.payments.get_mut(&ask.about).expect("it was found");
                paid.refunded += ask.amount;
                paid.fee_back -= fees;
            }
            _ => {}
        }
        self.keys.insert(ask.key.0, (ask.key.1, sequence, now_s + KEPT_S));
        Ok(None)
    }
}

/// The name that the model has for a refusal.
const fn name_of(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::KeyReused(_) => "key",
        Refusal::InvalidAmount => "amount",
        Refusal::NoSuchWallet(_) => "wallet",
        Refusal::NoSuchAccount(..) => "account",
        Refusal::ToItself => "itself",
        Refusal::WalletStatus(..) => "status",
        Refusal::NoSuchPayment(_) => "payment",
        Refusal::RefundTooLarge(_) => "refund",
        Refusal::NoSuchMandate(..) => "mandate",
        Refusal::MandateEnded => "mandate ended",
        Refusal::MandateExhausted(_) => "mandate exhausted",
        Refusal::MandateUsed => "mandate used",
        Refusal::InsufficientFunds(..) => "funds",
        Refusal::NoRate(..) => "rate",
        Refusal::ComesToLess(..) => "comes to less",
        Refusal::OutOfRange(_) => "range",
    }
}

fn books(shards: u16) -> Books {
    Books::new(Layout::new(shards), CAPACITY, Bounds::default(), SEED)
}

fn authorizer() -> Authorizer {
    Authorizer {
        codes: ApprovalCodes::new([3; 16]),
        time_zone_offset_minutes: 0,
        expiry: ExpiryTable { rows: Vec::new(), otherwise_s: 3_600 },
        increases: Increases::default(),
        credits: CreditsAt::Clearing,
        clearing_tolerance: Tolerance(20),
        configuration: 1,
    }
}

fn ask(chance: &mut Chance, model: &Model, keys: &mut Vec<(u128, u64)>) -> Ask {
    let verb = Verb::ALL[chance.below(8) as usize].0;
    let wallet = |chance: &mut Chance| {
        let most = WALLETS + u64::from(chance.one_in(20));
        1 + chance.below(most)
    };
    let (one, other) = (wallet(chance), wallet(chance));
    let (from, to) = match verb {
        Verb::Fund => (None, Some(one)),
        Verb::Withdraw => (Some(one), None),
        Verb::Transfer | Verb::Payment => (Some(one), Some(other)),
        Verb::Refund | Verb::Charge => (Some(one), None),
        Verb::Conversion => (Some(one), Some(one)),
        Verb::Adjustment if chance.one_in(2) => (None, Some(one)),
        Verb::Adjustment => (Some(one), None),
    };
    let body = chance.next();
    let key = match keys.last() {
        // Asked again, or a key that is used for something else.
        Some(_) if chance.one_in(6) => {
            // One of the last, since of older ones the ledger may forget some later than it must.
            let recent = keys.len().saturating_sub(15);
            let (print, known) = keys[recent + chance.below((keys.len() - recent) as u64) as usize];
            (print, if chance.one_in(3) { body } else { known })
        }
        _ => (u128::from(chance.next()) << 64 | u128::from(chance.next()), body),
    };
    keys.push(key);
    let mut of = |known: Vec<u64>| match known.len() as u64 {
        0 => 0,
        count => known[chance.below(count) as usize],
    };
    let (payments, mandates) =
        (model.payments.keys().copied().collect(), model.mandates.keys().copied().collect());
    let about = if verb == Verb::Charge { of(mandates) } else { of(payments) };
    // A charge is mostly of whom the mandate is, in its currency.
    let right = model.mandates.get(&about).filter(|_| verb == Verb::Charge && !chance.one_in(8));
    let from = right.map_or(from, |mandate| Some(mandate.payer));
    let charged = model.mandates.get(&about).filter(|_| verb == Verb::Charge);
    let in_currency = if chance.one_in(5) { CURRENCIES[1] } else { CURRENCIES[0] };
    Ask {
        verb,
        key,
        from,
        to,
        currency: charged.map_or(in_currency, |mandate| mandate.currency),
        amount: chance.below(2_000) as i64 - i64::from(chance.one_in(15)) * 2_000,
        fee: if verb == Verb::Payment { chance.below(60) as i64 } else { 0 },
        about,
        returns_fee: chance.one_in(2),
        into: (verb == Verb::Conversion).then(|| {
            let other = if in_currency == CURRENCIES[0] { CURRENCIES[1] } else { CURRENCIES[0] };
            (if chance.one_in(10) { in_currency } else { other }, chance.below(500) as i64)
        }),
    }
}

/// A history: every record, with its time.
type Records = Vec<(Sequence, Timestamp, Event)>;

struct Lived {
    model: Model,
    books: Books,
    records: Records,
    refusals: BTreeMap<&'static str, u32>,
    again: u32,
}

fn live(seed: u64, steps: u32, shards: u16) -> Lived {
    let mut lived = Lived {
        model: Model::default(),
        books: books(shards),
        records: Vec::new(),
        refusals: BTreeMap::new(),
        again: 0,
    };
    let mut chance = Chance(seed);
    let (mut now_s, authorizer) = (START_S, authorizer());
    let apply = |lived: &mut Lived, now_s: u64, event: Event| {
        let sequence = Sequence(lived.records.len() as u64 + 1);
        let time = Timestamp::from_seconds(now_s);
        lived.books.apply(sequence, time, &event).expect("it was decided and fits");
        lived.records.push((sequence, time, event));
    };
    for wallet in 1..=WALLETS {
        for (account, numeric) in (0..).zip(&CURRENCIES[..1 + usize::from(wallet % 3 == 0)]) {
            let overdraft = if wallet == 2 { 500 } else { 0 };
            let wallet_id = WalletId(wallet);
            let slot = Slot::of_wallet(wallet_id);
            let (amount, currency) = (5_000, currency(*numeric));
            let funded = AccountFunded { slot, wallet: wallet_id, account, currency, amount, overdraft };
            apply(&mut lived, now_s, Event::AccountFunded(funded));
            lived.model.balances.insert((wallet, *numeric), amount);
            lived.model.overdrafts.insert((wallet, *numeric), overdraft);
            *lived.model.house.entry(("funding", *numeric)).or_default() -= amount;
        }
    }
    let quote = Quote { price: PRICE.parse().expect("a price"), spread_ppm: SPREAD_PPM };
    let [from, to] = CURRENCIES.map(currency);
    apply(&mut lived, now_s, Event::RateSet(RateSet { from, to, quote: Some(quote) }));
    let quotes = lived.books.shards[0].quotes().clone();
    lived.books.shards.iter_mut().for_each(|shard| shard.copy_quotes(&quotes));
    let mut keys = Vec::new();
    for _ in 0..steps {
        now_s += chance.below(2);
        if chance.one_in(60) {
            let wallet = 1 + chance.below(WALLETS);
            let status =
                [WalletStatus::Active, WalletStatus::Frozen, WalletStatus::Closed][chance.below(3) as usize];
            let slot = Slot::of_wallet(WalletId(wallet));
            let set = WalletStatusSet { slot, wallet: WalletId(wallet), status };
            apply(&mut lived, now_s, Event::WalletStatusSet(set));
            lived.model.closed.remove(&wallet);
            if status != WalletStatus::Active {
                lived.model.closed.insert(wallet, status);
            }
            continue;
        }
        if chance.one_in(12) {
            mandate(&mut lived, &mut chance, now_s, &apply);
            continue;
        }
        let ask = ask(&mut chance, &lived.model, &mut keys);
        let sequence = lived.records.len() as u64 + 1;
        let expected = lived.model.take(&ask, sequence, now_s);
        let kept_s = (now_s + KEPT_S) as u32;
        let party =
            |wallet: Option<u64>| wallet.map(|wallet| Party { wallet: WalletId(wallet), account: None });
        let order = Order {
            verb: ask.verb,
            key: CallerKey { print: ask.key.0, body: ask.key.1, until_s: kept_s },
            from: party(ask.from),
            to: party(ask.to),
            currency: currency(ask.currency),
            amount: ask.amount,
            fee: ask.fee,
            into: ask.into.map(|(into, at_least)| Turned { currency: currency(into), at_least }),
            about: Sequence(ask.about),
            returns_fee: ask.returns_fee,
            refundable_until_s: if ask.verb == Verb::Payment { kept_s } else { 0 },
            reason: Reason::BLANK,
        };
        let decided = {
            let Books { shards, layout, .. } = &lived.books;
            let shard_of = |slot| shards.get(layout.shard_of(slot));
            authorizer.move_money(&order, Timestamp::from_seconds(now_s), &shard_of)
        };
        match (decided, expected) {
            (Ok(Moving::New(event)), Ok(None)) => {
                apply(&mut lived, now_s, Event::Moved(event));
            }
            (Ok(Moving::Again(of)), Ok(Some(record))) if of == Sequence(record) => lived.again += 1,
            (Err(refusal), Err(name)) if name_of(refusal) == name => {
                *lived.refusals.entry(name).or_default() += 1
            }
            (decided, expected) => {
                panic!("seed {seed}, record {sequence}: {ask:?}\n{decided:?}\n{expected:?}")
            }
        }
        assert_books(&lived, seed);
    }
    lived
}

/// Gives a mandate, or cancels one.
fn mandate(lived: &mut Lived, chance: &mut Chance, now_s: u64, apply: &dyn Fn(&mut Lived, u64, Event)) {
    let known: Vec<u64> = lived.model.mandates.keys().copied().collect();
    if !known.is_empty() && chance.one_in(4) {
        let mandate = known[chance.below(known.len() as u64) as usize];
        let allowed = lived.model.mandates.get_mut(&mandate).expect("it is known");
        allowed.cancelled = true;
        let slot = Slot::of_wallet(WalletId(allowed.payer));
        apply(lived, now_s, Event::MandateCancelled(MandateCancelled { slot, mandate: Sequence(mandate) }));
        return;
    }
    let payer = 1 + chance.below(WALLETS);
    let payee = 1 + (payer + chance.below(WALLETS - 1)) % WALLETS;
    let (max, charges_max) = (1 + chance.below(3_000) as i64, chance.below(4) as u16);
    let daily = chance.one_in(2);
    let until_s = if chance.one_in(4) { now_s + 30 } else { 0 };
    let side = |wallet| Side { wallet: WalletId(wallet), account: 0 };
    let terms = Terms {
        payer: side(payer),
        payee: side(payee),
        currency: currency(840),
        max,
        charges_max,
        period: if daily { Period::Day } else { Period::Once },
        until_s: until_s as u32,
    };
    let print = u128::from(chance.next());
    let key = CallerKey { print, body: 1, until_s: (now_s + KEPT_S) as u32 };
    let sequence = lived.records.len() as u64 + 1;
    apply(
        lived,
        now_s,
        Event::MandateGiven(MandateGiven { slot: Slot::of_wallet(WalletId(payer)), terms, key }),
    );
    let (cancelled, day, used, charges) = (false, 0, 0, 0);
    let allowed = Allowed {
        payer,
        payee,
        currency: 840,
        max,
        charges_max,
        daily,
        until_s,
        cancelled,
        day,
        used,
        charges,
    };
    lived.model.mandates.insert(sequence, allowed);
}

fn assert_books(lived: &Lived, seed: u64) {
    lived.books.audit().unwrap_or_else(|words| panic!("seed {seed}: {words}"));
    for totals in lived.books.totals() {
        let numeric = totals.currency.numeric();
        let of_house = |name| i128::from(lived.model.house.get(&(name, numeric)).copied().unwrap_or(0));
        let found =
            (totals.funding, totals.fees, totals.adjustments, totals.exchange, totals.transit, totals.sum());
        let expected =
            (of_house("funding"), of_house("fees"), of_house("adjustments"), of_house("exchange"), 0, 0);
        assert_eq!(found, expected, "seed {seed}, {numeric}");
    }
    for (&(wallet, numeric), balance) in &lived.model.balances {
        let slot = Slot::of_wallet(WalletId(wallet));
        let shard = &lived.books.shards[lived.books.layout.shard_of(slot)];
        let account = shard.account_for_verb(WalletId(wallet), None, currency(numeric)).expect("it is open");
        assert_eq!(account.posted, *balance, "seed {seed}: wallet {wallet} in {numeric}");
    }
}

fn replayed(records: &Records, shards: u16) -> Books {
    let mut books = books(shards);
    for (sequence, time, event) in records {
        books.apply(*sequence, *time, event).expect("a record that fits");
    }
    books
}

#[test]
fn r10_verbs_agree_with_a_naive_model_and_are_the_same_again_over_any_number_of_shards() {
    let seeds = std::env::var("TURNPIKE_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let (mut refusals, mut again) = (BTreeMap::<&str, u32>::new(), 0);
    for seed in 0..seeds {
        let lived = live(seed, 400, 16);
        let hash = lived.books.state_hash();
        for shards in [1, 4, 1024] {
            assert_eq!(replayed(&lived.records, shards).state_hash(), hash, "seed {seed}, {shards} shards");
        }
        lived.refusals.iter().for_each(|(name, count)| *refusals.entry(name).or_default() += count);
        again += lived.again;
    }
    let met: Vec<&str> = refusals.keys().copied().collect();
    let all = [
        "account",
        "amount",
        "comes to less",
        "funds",
        "itself",
        "key",
        "mandate",
        "mandate ended",
        "mandate exhausted",
        "mandate used",
        "payment",
        "rate",
        "refund",
        "status",
        "wallet",
    ];
    assert_eq!(met, all, "every refusal is met");
    assert!(again > 100, "{again}");
}

/// Copies of shards are of different records: what has left a wallet of one slot may be in its copy, and its arrival
/// in none.
#[test]
fn a_movement_between_two_cuts_arrives_once() {
    for seed in 0..12 {
        let lived = live(seed, 300, 8);
        let records = &lived.records;
        for to in [1, 8, 64] {
            let mut source = books(8);
            let (mut images, mut cuts) = (Vec::new(), BTreeMap::new());
            let begin = records.len() / 3;
            for (at, (sequence, time, event)) in records.iter().enumerate() {
                source.apply(*sequence, *time, event).expect("it fits");
                let due = at.checked_sub(begin).filter(|since| since % 9 == 0).map(|since| since / 9);
                let Some(shard) = due.and_then(|due| source.shards.get_mut(due)) else { continue };
                let (mut part, mut wallets) = (Vec::new(), Vec::new());
                shard.begin_copy(&mut part);
                while shard.copy_on(4_096, &mut wallets).more {}
                let (early, _) = shard.end_copy();
                wallets.extend(early);
                cuts.extend(shard.slots().map(|slot| (slot, *sequence)));
                images.push((part, wallets, *sequence));
            }
            assert_eq!(images.len(), 8, "every shard was copied");
            let mut restoring = Restoring::new(books(to));
            for (part, wallets, cut) in &images {
                restoring.shard_part(part, *cut).expect("a shard");
                restoring.wallets(wallets).expect("wallets");
            }
            let mut restored = restoring.finish().expect("they add up");
            for (sequence, time, event) in records {
                if let Some(due) = event.within(|slot| *sequence > cuts[&slot]) {
                    restored.apply(*sequence, *time, &due).expect("it fits");
                }
            }
            restored.audit().expect("the books hold");
            assert_eq!(restored.state_hash(), lived.books.state_hash(), "seed {seed}, to {to} shards");
        }
    }
}

#[test]
fn r10_keys_and_payments_are_forgotten_when_their_time_is_over() {
    let mut books = books(4);
    let (wallet, merchant) = (WalletId(1), WalletId(2));
    for owner in [wallet, merchant] {
        let slot = Slot::of_wallet(owner);
        let (amount, currency) = (5_000, currency(840));
        let funded = AccountFunded { slot, wallet: owner, account: 0, currency, amount, overdraft: 0 };
        books
            .apply(Sequence(1), Timestamp::from_seconds(START_S), &Event::AccountFunded(funded))
            .expect("room");
    }
    let authorizer = authorizer();
    let party = |wallet| Some(Party { wallet, account: None });
    // Keys of one slot.
    for (at, now_s) in (0_u64..).zip([START_S, START_S + 10, START_S + 100, START_S + 200]) {
        let until_s = (now_s + 50) as u32;
        let order = Order {
            verb: Verb::Payment,
            key: CallerKey { print: u128::from(at) << 64, body: at, until_s },
            from: party(wallet),
            to: party(merchant),
            currency: currency(840),
            amount: 10,
            fee: 1,
            into: None,
            about: Sequence(0),
            returns_fee: false,
            refundable_until_s: until_s,
            reason: Reason::BLANK,
        };
        let now = Timestamp::from_seconds(now_s);
        let decided =
            authorizer.move_money(&order, now, &|slot| books.shards.get(books.layout.shard_of(slot)));
        let Ok(Moving::New(event)) = decided else { panic!("{decided:?}") };
        books.apply(Sequence(at + 2), now, &Event::Moved(event)).expect("it fits");
        let kept = books.shards.iter().map(turnpike::ledger::shard::Shard::kept_counts);
        let kept = kept.fold([0, 0], |sum, [keys, payments, _]| [sum[0] + keys, sum[1] + payments]);
        assert_eq!(kept, [[1, 1], [2, 2], [1, 1], [1, 1]][at as usize], "after {now_s}");
    }
}

/// What was charged is counted in the period of its record, and a clock that is set back opens no earlier one.
#[test]
fn a_clock_that_goes_back_opens_no_period_again() {
    let mut books = books(4);
    let authorizer = authorizer();
    let [payer, payee] = [1, 2].map(|wallet| Side { wallet: WalletId(wallet), account: 0 });
    // Five minutes into a day.
    let morning = START_S - START_S % 86_400 + 300;
    let mut sequence = 0;
    let mut apply = |books: &mut Books, now_s: u64, event: Event| {
        sequence += 1;
        books.apply(Sequence(sequence), Timestamp::from_seconds(now_s), &event).expect("it fits");
        Sequence(sequence)
    };
    for Side { wallet, account } in [payer, payee] {
        let (slot, currency) = (Slot::of_wallet(wallet), currency(840));
        let funded = AccountFunded { slot, wallet, account, currency, amount: 5_000, overdraft: 0 };
        apply(&mut books, morning, Event::AccountFunded(funded));
    }
    let (currency, max, period) = (currency(840), 1_000, Period::Day);
    let terms = Terms { payer, payee, currency, max, charges_max: 2, period, until_s: 0 };
    let key = |print: u64| CallerKey { print: print.into(), body: 1, until_s: u32::MAX };
    let given = MandateGiven { slot: payer.slot(), terms, key: key(0) };
    let mandate = apply(&mut books, morning, Event::MandateGiven(given));
    // When a charge is decided, and when its record is from: never before the one before it.
    let table = [
        (morning, 600, Ok(())),
        (morning - 600, 600, Err(Refusal::MandateExhausted(400))),
        (morning - 600, 400, Ok(())),
        (morning - 600, 1, Err(Refusal::MandateUsed)),
        (morning + 86_400, 1_000, Ok(())),
    ];
    let mut latest = morning;
    for (print, (now_s, amount, expected)) in (1..).zip(table) {
        latest = latest.max(now_s);
        let order = Order {
            verb: Verb::Charge,
            key: key(print),
            from: Some(Party { wallet: payer.wallet, account: None }),
            to: Some(Party { wallet: payee.wallet, account: Some(0) }),
            currency,
            amount,
            fee: 0,
            into: None,
            about: mandate,
            returns_fee: false,
            refundable_until_s: 0,
            reason: Reason::BLANK,
        };
        let shard_of = |slot| books.shards.get(books.layout.shard_of(slot));
        let decided = authorizer.move_money(&order, Timestamp::from_seconds(now_s), &shard_of);
        let done = match decided {
            Ok(Moving::New(event)) => {
                apply(&mut books, latest, Event::Moved(event));
                Ok(())
            }
            Ok(Moving::Again(_)) => panic!("no key comes twice"),
            Err(refusal) => Err(refusal),
        };
        assert_eq!(done, expected, "charge {print}");
    }
}
