//! A naive model of wallets and authorizations. It shares no code with the ledger: plain maps, one list of everything
//! that was ever said, and searches from one end to the other.

pub(crate) mod clearing;

use std::collections::BTreeMap;

use clearing::Record;
use turnpike::domain::action::ActionCode;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::money::Money;
use turnpike::domain::request::Advice;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::domain::request::Finality;
use turnpike::domain::request::Legs;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::Replacement;
use turnpike::domain::request::ReversalRequest;
use turnpike::domain::request::TransactionKind;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Balance {
    pub(crate) posted: i64,
    pub(crate) held: i64,
    pub(crate) overdraft: i64,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct ModelCard {
    pub(crate) wallet: u64,
    pub(crate) status: CardStatus,
    pub(crate) expiry: u16,
}

/// What the model expects of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Expected {
    pub(crate) action: ActionCode,
    /// The record that the answer depends on; `None` for a new one.
    pub(crate) repeats: Option<u64>,
    pub(crate) partial: Option<(i64, i64)>,
    pub(crate) balances: Option<(i64, i64)>,
}

#[derive(Clone, Debug)]
struct Said {
    sequence: u64,
    pan: u64,
    key: MessageKey,
    class: u8,
    processing_code: u32,
    amount: i64,
    currency: u16,
    expected: Expected,
    /// The currency of the account that it took from.
    own_currency: u16,
    /// What it has taken and not given back.
    takes: Option<Taken>,
    stands: Stands,
    /// It posted what another one held, or what none was known for.
    capture: bool,
    /// No first request was known for what it posted.
    orphan: bool,
    increment: bool,
    /// A partial reversal left less of it.
    cut: bool,
    approved: bool,
    code: [u8; 6],
    /// The clearing record that had posted what this message was about to post, by its place.
    settles: Option<usize>,
    closed_by: Option<u64>,
    /// The record that undid the last of its legs.
    undone_by: u64,
    legs: SaidLegs,
}

/// An amount on an account of a wallet, and what became of it there.
#[derive(Clone, Copy, Debug)]
struct Taken {
    wallet: u64,
    currency: u16,
    amount: i64,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Held,
    Posted,
    Pending,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stands {
    /// It took nothing.
    Nothing,
    /// It holds or pends.
    Open,
    Posted,
    Reversed,
    Captured,
    Expired,
    /// A clearing record had posted it.
    Settled,
}

/// Who undid or decided what.
#[derive(Clone, Copy, Debug, Default)]
struct SaidLegs {
    ours_undone: bool,
    both_undone: bool,
    network_approved: bool,
}

/// An advice that came before.
#[derive(Clone, Debug)]
struct Told {
    sequence: u64,
    pan: u64,
    key: MessageKey,
    class: u8,
}

/// A reversal that found nothing.
#[derive(Clone, Debug)]
struct Waiting {
    /// The record that undid the last of its legs.
    undone_by: u64,
    pan: u64,
    reversal: ReversalRequest,
    both_undone: bool,
    ours_undone: bool,
    /// What is to stay, in the currency of the transaction, when it was a partial one.
    keeps: Option<i64>,
}

/// A partial reversal that found something, for its repeats.
#[derive(Clone, Debug)]
struct Cut {
    sequence: u64,
    pan: u64,
    key: MessageKey,
    /// The one message that it was about; `None` for all of a purchase.
    of: Option<usize>,
    /// One of its messages.
    purchase: MessageKey,
    keeps: i64,
    currency: u16,
}

/// What is held on top of a meal, in hundredths, and where meals are sold.
pub(crate) const TIP_PERCENT: u32 = 30;
pub(crate) const MEALS: u16 = 5812;

/// Whether the first request of a purchase is about a meal whose price is not final.
fn is_meal(request: &AuthorizationRequest) -> bool {
    request.mcc == MEALS
        && request.kind == TransactionKind::Purchase
        && request.class == MessageClass::Authorization
        && request.finality != Finality::Final
        && !request.increment
}

#[derive(Default)]
/// What was said, and what the books must be.
pub(crate) struct Model {
    pub(crate) cards: BTreeMap<u64, ModelCard>,
    pub(crate) balances: BTreeMap<(u64, u16), Balance>,
    /// A wallet's currencies in the order of their opening.
    pub(crate) currencies: BTreeMap<u64, Vec<u16>>,
    /// Wallets that may not be used now, and whether they are closed for good.
    pub(crate) blocked: BTreeMap<u64, bool>,
    /// What others send reaches the account when it is authorized.
    pub(crate) credits_at_once: bool,
    said: Vec<Said>,
    told: Vec<Told>,
    waiting: Vec<Waiting>,
    cuts: Vec<Cut>,
    records: Vec<Record>,
    /// What waits on the suspense account, by currency: the opposite of what was paid to networks.
    pub(crate) suspense: BTreeMap<u16, i128>,
}

/// Whether two messages are of one purchase by the network's id.
fn same_purchase(a: &MessageKey, b: &MessageKey) -> bool {
    a.network_reference != 0 && (a.network, a.network_reference) == (b.network, b.network_reference)
}

/// Whether something open is of the trade of a message with this merchant, currency and transaction type.
fn same_trade(said: &Said, key: &MessageKey, amount: Money, code: ProcessingCode) -> bool {
    said.stands == Stands::Open
        && said.key.merchant == key.merchant
        && said.currency == amount.currency.numeric()
        && said.processing_code / 10_000 == code.0 / 10_000
}

fn same_key(a: &MessageKey, b: &MessageKey) -> bool {
    (a.network, a.stan, a.acquirer, a.rrn, a.terminal) == (b.network, b.stan, b.acquirer, b.rrn, b.terminal)
}

impl Model {
    pub(crate) fn request(&mut self, sequence: u64, request: &AuthorizationRequest, month: u16) -> Expected {
        let class = request.class as u8;
        let pan = request.pan.value();
        let firsts = self.said.iter().filter(|said| {
            said.pan == pan
                && said.class == class
                && same_key(&said.key, &request.key)
                && said.expected.action != ActionCode::DuplicateTransmission
        });
        let same_time = |said: &&Said| said.key.transmission == request.key.transmission;
        let newest = if request.repeat { firsts.clone().next_back() } else { None };
        let first = firsts.clone().find(same_time).or(newest);
        if let Some(first) = first {
            let same = first.processing_code == request.processing_code.0
                && first.amount == request.amount.minor
                && first.currency == request.amount.currency.numeric();
            if same {
                return Expected { repeats: Some(first.sequence), ..first.expected };
            }
        }
        let duplicate = first.is_some();
        let mut takes = None;
        let expected = if duplicate {
            plain(ActionCode::DuplicateTransmission)
        } else {
            self.decide(request, month, &mut takes)
        };
        let adds = request.increment && self.adds(pan, &request.key, request.amount, request.processing_code);
        if let Some(taken) = takes {
            self.take(taken, 1);
        }
        self.said.push(Said {
            sequence,
            pan,
            key: request.key,
            class,
            processing_code: request.processing_code.0,
            amount: request.amount.minor,
            currency: request.amount.currency.numeric(),
            expected,
            own_currency: takes.map_or(0, |taken| taken.currency),
            takes,
            stands: stands(takes),
            capture: false,
            orphan: false,
            increment: takes.is_some() && adds,
            cut: false,
            approved: takes.is_some(),
            code: [0; 6],
            settles: None,
            closed_by: closed_at_once(takes, sequence),
            undone_by: 0,
            legs: SaidLegs::default(),
        });
        expected
    }

    /// What a record opened holds or pends no more, because its time was over.
    pub(crate) fn expire(&mut self, sequence: u64, authorization: u64) {
        let at = self.said.iter().position(|said| said.sequence == authorization && said.approved);
        let at = at.expect("an authorization");
        assert_eq!(self.said[at].stands, Stands::Open, "only what is open expires");
        self.end(at, Stands::Expired, sequence);
    }

    /// Ends what is open and gives back what it took.
    fn end(&mut self, at: usize, stands: Stands, by: u64) {
        assert_eq!(self.said[at].stands, Stands::Open);
        if let Some(taken) = self.said[at].takes.take() {
            self.take(taken, -1);
        }
        self.said[at].stands = stands;
        self.said[at].closed_by = Some(by);
    }

    /// The others of a purchase that are open.
    fn open_others(&self, at: usize) -> Vec<usize> {
        let of = &self.said[at];
        let open = self.said.iter().enumerate().filter(|(_, said)| {
            said.pan == of.pan && said.stands == Stands::Open && same_purchase(&said.key, &of.key)
        });
        open.map(|(other, _)| other).filter(|other| *other != at).collect()
    }

    /// What is open of the purchase of a message with this key.
    fn open_of(&self, pan: u64, key: &MessageKey) -> impl Iterator<Item = &Said> {
        let open = self.said.iter().filter(move |said| said.pan == pan && said.stands == Stands::Open);
        open.filter(|said| same_purchase(&said.key, key))
    }

    /// Whether an increment adds to another: to an open one of the same trade, or to one that is yet to come.
    fn adds(&self, pan: u64, key: &MessageKey, amount: Money, code: ProcessingCode) -> bool {
        let none = self.open_of(pan, key).next().is_none();
        none || self.open_of(pan, key).any(|said| same_trade(said, key, amount, code))
    }

    /// Notes the approval code that was given for a record: the model can't know it beforehand.
    pub(crate) fn given_code(&mut self, sequence: u64, code: [u8; 6]) {
        if let Some(said) = self.said.iter_mut().find(|said| said.sequence == sequence) {
            said.code = code;
        }
    }

    /// Takes an amount, or gives it back with a sign of -1.
    fn take(&mut self, taken: Taken, sign: i64) {
        let balance = self.balances.entry((taken.wallet, taken.currency)).or_default();
        match taken.how {
            How::Held => balance.held += sign * taken.amount,
            How::Posted => balance.posted -= sign * taken.amount,
            How::Pending => {}
        }
    }

    /// What a message takes in which currency of the wallet: what was billed, else what was asked for.
    fn offered(&self, wallet: u64, billing: Option<Money>, amount: Money) -> Option<Money> {
        let own = &self.currencies[&wallet];
        [billing, Some(amount)].into_iter().flatten().find(|money| own.contains(&money.currency.numeric()))
    }

    fn decide(&self, request: &AuthorizationRequest, month: u16, takes: &mut Option<Taken>) -> Expected {
        let Some(card) = self.cards.get(&request.pan.value()) else { return plain(ActionCode::UnknownCard) };
        let (pan, class) = (request.pan.value(), request.class);
        let late = self.waiting.iter().any(|waiting| {
            if request.increment {
                waits_for_message(waiting, pan, &request.key, None)
            } else {
                waits_for(waiting, pan, &request.key, class)
            }
        });
        let of_purchase: Vec<&Said> = self
            .said
            .iter()
            .filter(|said| said.pan == pan && said.approved && same_purchase(&said.key, &request.key))
            .collect();
        let cleared = self.cleared_of(pan, &request.key).any(Record::is_orphan);
        let posted = !request.increment && (cleared || of_purchase.iter().any(|said| said.orphan));
        let open = of_purchase.iter().any(|said| said.stands == Stands::Open);
        let undone = of_purchase.iter().any(|said| said.legs.both_undone && said.stands == Stands::Reversed)
            || self.cleared_of(pan, &request.key).any(|record| record.both_undone);
        if late || posted || request.increment && undone && !open {
            return plain(ActionCode::ReversedBeforeArrival);
        }
        if matches!(
            request.kind,
            TransactionKind::Refund | TransactionKind::OriginalCredit | TransactionKind::Payment
        ) {
            return self.credit(request, *card, takes);
        }
        let by_status = match card.status {
            CardStatus::Active => None,
            CardStatus::Frozen => Some(ActionCode::CardFrozen),
            CardStatus::Lost => Some(ActionCode::CardLost),
            CardStatus::Stolen => Some(ActionCode::CardStolen),
            CardStatus::Closed => Some(ActionCode::CardClosed),
        };
        if let Some(action) = by_status {
            return plain(action);
        }
        if self.blocked.contains_key(&card.wallet) {
            return plain(ActionCode::WalletNotActive);
        }
        if card.expiry < month || request.expiry.is_some_and(|expiry| expiry.digits() != card.expiry) {
            return plain(ActionCode::CardExpired);
        }
        let own = &self.currencies[&card.wallet];
        match request.kind {
            TransactionKind::Other(_) => return plain(ActionCode::InvalidTransaction),
            TransactionKind::AccountVerification => return plain(ActionCode::NoReasonToDecline),
            TransactionKind::TokenRequest => return plain(ActionCode::NotPermitted),
            TransactionKind::BalanceInquiry => {
                let asked = request.amount.currency.numeric();
                let currency = if own.contains(&asked) { asked } else { own[0] };
                let b = self.balances[&(card.wallet, currency)];
                let balances = Some((b.posted, b.posted + b.overdraft - b.held));
                return Expected { balances, ..plain(ActionCode::Approved) };
            }
            _ => {}
        }
        let Some(asked) = self.offered(card.wallet, request.billing, request.amount) else {
            return plain(ActionCode::CurrencyNotHeld);
        };
        let same = |said: &Said| same_trade(said, &request.key, request.amount, request.processing_code);
        let added_to = request.increment && of_purchase.iter().any(|said| same(said));
        if asked.minor < 0 || asked.minor == 0 && !added_to {
            return plain(ActionCode::InvalidAmount);
        }
        let currency = asked.currency.numeric();
        let b = self.balances[&(card.wallet, currency)];
        let available = b.posted + b.overdraft - b.held;
        let how = if class == MessageClass::Authorization { How::Held } else { How::Posted };
        let taken = |amount| Some(Taken { wallet: card.wallet, currency, amount, how });
        if asked.minor <= available || asked.minor == 0 {
            // Of a meal a tip is held too, as far as it is there.
            let tip = if is_meal(request) { asked.minor * i64::from(TIP_PERCENT) / 100 } else { 0 };
            *takes = taken((asked.minor + tip).min(available).max(asked.minor));
            return plain(ActionCode::Approved);
        }
        let takes_part = request.partial_supported && !request.merchant_initiated;
        let divisible =
            matches!(request.kind, TransactionKind::Purchase | TransactionKind::PurchaseWithCashBack);
        if takes_part && divisible && available > 0 {
            // What the merchant hears is the whole in proportion to what can be had of what was offered.
            let shrunk =
                |whole: i64| (i128::from(whole) * i128::from(available) / i128::from(asked.minor)) as i64;
            let part = shrunk(request.amount.minor);
            if part > 0 {
                assert!(part < request.amount.minor, "a part is less than the whole");
                let billed = request.billing.map_or(part, |billing| shrunk(billing.minor));
                *takes = taken(available);
                return Expected { partial: Some((part, billed)), ..plain(ActionCode::ApprovedPartially) };
            }
        }
        plain(ActionCode::InsufficientFunds)
    }

    fn credit(&self, request: &AuthorizationRequest, card: ModelCard, takes: &mut Option<Taken>) -> Expected {
        if card.status == CardStatus::Closed {
            return plain(ActionCode::CardClosed);
        }
        if self.blocked.get(&card.wallet) == Some(&true) {
            return plain(ActionCode::WalletNotActive);
        }
        let Some(back) = self.offered(card.wallet, request.billing, request.amount) else {
            return plain(ActionCode::CurrencyNotHeld);
        };
        let mut of_purchase = self.said.iter().filter(|said| {
            said.pan == request.pan.value() && said.approved && same_purchase(&said.key, &request.key)
        });
        let same = |said: &Said| same_trade(said, &request.key, request.amount, request.processing_code);
        let added_to = request.increment && of_purchase.any(same);
        if back.minor < 0 || back.minor == 0 && !added_to {
            return plain(ActionCode::InvalidAmount);
        }
        let at_once = self.credits_at_once && request.kind != TransactionKind::Refund;
        let (how, amount) = match request.class {
            MessageClass::Authorization if !at_once => (How::Pending, back.minor),
            _ => (How::Posted, -back.minor),
        };
        *takes = Some(Taken { wallet: card.wallet, currency: back.currency.numeric(), amount, how });
        plain(ActionCode::Approved)
    }

    /// The record that an advice's answer depends on; `None` when it made a new one.
    pub(crate) fn advise(&mut self, sequence: u64, advice: &Advice) -> Option<u64> {
        let (pan, class) = (advice.pan.value(), advice.class as u8);
        let before = self
            .told
            .iter()
            .filter(|told| told.pan == pan && told.class == class && same_key(&told.key, &advice.key));
        let newest = if advice.repeat { before.clone().next_back() } else { None };
        let same_time = |told: &&Told| told.key.transmission == advice.key.transmission;
        if let Some(first) = before.clone().find(same_time).or(newest) {
            return Some(first.sequence);
        }
        self.told.push(Told { sequence, pan, key: advice.key, class });
        let card = self.cards.get(&pan).copied()?;
        let holds = advice.class == MessageClass::Authorization;
        let ranked: Vec<(bool, u8, bool, usize)> = self
            .said
            .iter()
            .enumerate()
            .filter(|(_, said)| said.pan == pan && said.approved && !said.capture)
            .filter_map(|(at, said)| {
                rank_of_advice(said, advice)
                    .map(|rank| (said.stands == Stands::Open, rank, !said.increment, at))
            })
            .collect();
        let known = ranked.into_iter().max().map(|(_, _, _, at)| at);
        if let Some(record) = self.cleared_before(advice, known) {
            self.settle(sequence, advice, record);
            return None;
        }
        let waits: Vec<&Waiting> = self
            .waiting
            .iter()
            .filter(|waiting| {
                if advice.increment {
                    waits_for_message(waiting, pan, &advice.key, None)
                } else {
                    waits_for(waiting, pan, &advice.key, advice.class)
                }
            })
            .collect();
        let was_posted = || {
            let mut said = self.said.iter().filter(|said| said.pan == pan && said.capture);
            said.any(|said| same_purchase(&said.key, &advice.key))
                || self.cleared_of(pan, &advice.key).next().is_some()
        };
        let is_open = self.open_of(pan, &advice.key).next().is_some();
        let posting_undone = self.said.iter().any(|said| {
            let undone = if advice.increment {
                !is_open && said.approved && said.stands == Stands::Reversed
            } else {
                said.orphan
            };
            said.pan == pan && undone && said.legs.both_undone && same_purchase(&said.key, &advice.key)
        }) || self
            .cleared_of(pan, &advice.key)
            .any(|record| record.both_undone && if advice.increment { !is_open } else { record.is_orphan() });
        let sets = match known {
            None if waits.iter().any(|waiting| waiting.both_undone) || posting_undone => return None,
            None if holds && was_posted() => return None,
            None => None,
            Some(at) => match (self.said[at].stands, self.said[at].class) {
                // A credit that was given at once, and that the network declined.
                (Stands::Posted, 1) if holds && !advice.approved => Some(at),
                (Stands::Posted, class) if holds || class == 1 => return None,
                (Stands::Captured | Stands::Expired, _) if holds => return None,
                (Stands::Reversed, 1) if !holds => Some(at),
                (Stands::Reversed, _) if self.said[at].legs.both_undone => return None,
                (Stands::Reversed, _) => None,
                _ => Some(at),
            },
        };
        let completes = sets.is_some_and(|at| !holds && self.said[at].class == 1);
        let adds = sets.is_none()
            && advice.increment
            && self.adds(pan, &advice.key, advice.amount, advice.processing_code);
        let nothing = advice.billing.unwrap_or(advice.amount).minor == 0;
        let extends = adds && is_open && nothing;
        if !advice.approved || nothing && !extends {
            if let Some(at) = sets {
                if completes && advice.approved && self.said[at].stands == Stands::Open {
                    // Nothing was bought.
                    self.capture(at, sequence);
                    let currency = self.said[at].own_currency;
                    let taken = Taken { wallet: card.wallet, currency, amount: 0, how: How::Posted };
                    self.tell(sequence, advice, taken, (true, false));
                    return None;
                }
                self.declined(at, advice, sequence);
            }
            return None;
        }
        let offer = self.offered(card.wallet, advice.billing, advice.amount);
        let offer = offer.filter(|offer| offer.minor > 0 || extends)?;
        let mut left = offer.minor;
        if let Some(at) = sets {
            if !completes && self.said[at].own_currency == offer.currency.numeric() {
                left = left.min(self.kept_of(at).unwrap_or(left));
            }
        } else {
            for waiting in &waits {
                if let Some(keeps) = waiting.keeps {
                    let of = i128::from(advice.amount.minor.max(1));
                    left = left.min((i128::from(offer.minor) * i128::from(keeps) / of) as i64);
                }
            }
        }
        let credit = is_credit(advice.processing_code.0);
        let (how, amount) = match (advice.class, credit) {
            (MessageClass::Authorization, false) => (How::Held, left),
            (MessageClass::Financial, false) => (How::Posted, left),
            (MessageClass::Authorization, true) => (How::Pending, left),
            (MessageClass::Financial, true) => (How::Posted, -left),
        };
        let taken = Taken { wallet: card.wallet, currency: offer.currency.numeric(), amount, how };
        match sets {
            // It posts what the other one held.
            Some(at) if !holds && self.said[at].class == 1 => {
                self.capture(at, sequence);
                let orphan = !self.knows_beginning(at);
                self.tell(sequence, advice, taken, (true, orphan));
            }
            Some(at) => {
                if let Some(before) = self.said[at].takes.take() {
                    self.take(before, -1);
                }
                self.said[at].takes = Some(taken);
                self.said[at].own_currency = taken.currency;
                self.said[at].legs.network_approved = true;
                self.take(taken, 1);
            }
            None => {
                self.tell(sequence, advice, taken, (!holds, !holds));
                self.said.last_mut().expect("what was told").increment = adds;
            }
        }
        None
    }

    /// Ends what a completion posts, and the increments of its purchase.
    fn capture(&mut self, at: usize, sequence: u64) {
        let mut ends = self.open_others(at);
        ends.retain(|other| self.said[*other].increment);
        ends.extend((self.said[at].stands == Stands::Open).then_some(at));
        for other in ends {
            self.end(other, Stands::Captured, sequence);
        }
    }

    /// How much partial reversals have said is to stay of a message, if they were about it.
    fn kept_of(&self, at: usize) -> Option<i64> {
        let said = &self.said[at];
        if !said.cut {
            return None;
        }
        let left = said.takes.map_or(0, |taken| taken.amount.abs());
        let with_all = self.cuts.iter().any(|cut| {
            cut.of.is_none()
                && cut.pan == said.pan
                && cut.sequence > said.sequence
                && same_purchase(&cut.purchase, &said.key)
        });
        let mine = self.cuts.iter().filter(|cut| cut.of == Some(at) && cut.currency == said.own_currency);
        let least = mine.map(|cut| cut.keeps).min();
        Some(if with_all { left } else { least.unwrap_or(left) })
    }

    /// The network declined what we know.
    fn declined(&mut self, at: usize, advice: &Advice, sequence: u64) {
        if advice.class == MessageClass::Financial && self.said[at].class == 1 {
            return;
        }
        if self.said[at].stands == Stands::Open {
            self.end(at, Stands::Reversed, sequence);
        } else if self.said[at].stands == Stands::Posted {
            let taken = self.said[at].takes.take().expect("what was posted");
            self.take(taken, -1);
            self.said[at].stands = Stands::Reversed;
        }
    }

    /// An authorization or a posting that only the network tells of.
    fn tell(&mut self, sequence: u64, advice: &Advice, taken: Taken, (capture, orphan): (bool, bool)) {
        self.take(taken, 1);
        self.said.push(Said {
            sequence,
            pan: advice.pan.value(),
            key: advice.key,
            class: advice.class as u8,
            processing_code: advice.processing_code.0,
            amount: advice.amount.minor,
            currency: advice.amount.currency.numeric(),
            expected: plain(ActionCode::Approved),
            own_currency: taken.currency,
            takes: Some(taken),
            stands: stands(Some(taken)),
            capture,
            orphan,
            increment: false,
            cut: false,
            approved: true,
            code: advice.approval_code.map_or([0; 6], |code| code.0),
            settles: None,
            closed_by: closed_at_once(Some(taken), sequence),
            undone_by: 0,
            legs: SaidLegs { network_approved: true, ..SaidLegs::default() },
        });
    }

    /// A message of which a clearing record has posted all.
    fn settle(&mut self, sequence: u64, advice: &Advice, record: usize) {
        let Some(posted) = self.records[record].takes else { return };
        self.tell(sequence, advice, Taken { amount: 0, ..posted }, (true, false));
        let said = self.said.last_mut().expect("what was told");
        (said.stands, said.takes, said.settles) = (Stands::Settled, None, Some(record));
    }

    /// What something said has taken, or the clearing record that it stands for.
    fn taken_by(&self, said: &Said) -> Option<Taken> {
        said.takes.or_else(|| self.records[said.settles?].takes)
    }

    /// The record that a reversal's answer depends on at least; `None` when it made a new one.
    pub(crate) fn reverse(&mut self, sequence: u64, reversal: &ReversalRequest) -> Option<u64> {
        let pan = reversal.pan.value();
        let known_card = self.cards.contains_key(&pan);
        if known_card && reversal.replacement.is_some() {
            let before = self.cuts.iter().filter(|cut| cut.pan == pan && same_key(&cut.key, &reversal.key));
            let same_time = |cut: &&Cut| cut.key.transmission == reversal.key.transmission;
            if let Some(first) = before.clone().find(same_time).or(before.clone().next_back()) {
                return Some(first.sequence);
            }
        }
        let ranked = self.said.iter().enumerate().filter(|(_, said)| said.pan == pan && said.approved);
        let best = ranked
            .filter_map(|(at, said)| {
                let undone = said.legs.both_undone || reversal.legs == Legs::Ours && said.legs.ours_undone;
                let claim = match said.stands {
                    Stands::Open | Stands::Posted => 1,
                    _ if reversal.repeat && undone => 2,
                    _ => 0,
                };
                rank(said, reversal).map(|rank| (rank, rank != BY_PURCHASE || !said.capture, claim, at))
            })
            .max();
        let Some((rank, _, _, at)) = best else { return self.reverse_unknown(sequence, reversal) };
        let Some((at, whole)) = self.part_or_whole(at, rank != BY_PURCHASE, reversal) else {
            return self.reverse_unknown(sequence, reversal);
        };
        let legs = self.said[at].legs;
        let ended = self.said[at].stands != Stands::Open
            && legs.ours_undone
            && (legs.both_undone || reversal.legs == Legs::Ours);
        if ended {
            let Said { closed_by, undone_by, .. } = self.said[at];
            return Some(closed_by.unwrap_or(0).max(undone_by));
        }
        if let Some(replacement) = reversal.replacement {
            let keeps = self.cut(at, whole, reversal, replacement);
            let (purchase, currency) = (self.said[at].key, self.said[at].own_currency);
            let of = (!whole).then_some(at);
            self.cuts.push(Cut { sequence, pan, key: reversal.key, of, purchase, keeps, currency });
            return None;
        }
        if whole {
            for other in self.open_others(at) {
                self.undo(other, reversal.legs, sequence);
            }
        }
        self.undo(at, reversal.legs, sequence);
        None
    }

    fn undo(&mut self, at: usize, legs: Legs, sequence: u64) {
        let said = &mut self.said[at];
        said.legs.ours_undone = true;
        said.legs.both_undone |= legs == Legs::Both;
        said.undone_by = sequence;
        if said.legs.network_approved && legs == Legs::Ours {
            return;
        }
        match said.stands {
            Stands::Open => self.end(at, Stands::Reversed, sequence),
            Stands::Posted => {
                let taken = said.takes.take().expect("what was posted");
                said.stands = Stands::Reversed;
                self.take(taken, -1);
            }
            Stands::Settled => {
                said.stands = Stands::Reversed;
                let record = &mut self.records[said.settles.expect("a record")];
                record.both_undone |= legs == Legs::Both;
                if let Some(taken) = record.takes.take() {
                    self.take(taken, -1);
                }
            }
            _ => {}
        }
    }

    /// Which of a purchase's messages a reversal is about, and whether about all of them; `None` when it is about one
    /// that has not come.
    fn part_or_whole(&self, at: usize, named: bool, reversal: &ReversalRequest) -> Option<(usize, bool)> {
        if self.said[at].key.network_reference == 0 {
            return Some((at, false));
        }
        let others = self.open_others(at);
        let mut members = others.clone();
        members.extend((self.said[at].stands == Stands::Open).then_some(at));
        let same_currency =
            |member: &usize| self.said[*member].currency == reversal.amount.currency.numeric();
        let sum: i64 = members.iter().map(|member| self.said[*member].amount).sum();
        let is_total = members.iter().all(same_currency) && sum == reversal.amount.minor;
        let both = reversal.legs == Legs::Both;
        if named {
            let said = &self.said[at];
            let all_add = others.iter().all(|other| self.said[*other].increment);
            let began =
                reversal.replacement.is_none() && !said.increment && said.stands == Stands::Open && all_add;
            let whole = both && !others.is_empty() && (began || said.stands == Stands::Open && is_total);
            return Some((at, whole));
        }
        let asked = (reversal.amount.minor, reversal.amount.currency.numeric());
        let same_amount = |member: &usize| (self.said[*member].amount, self.said[*member].currency) == asked;
        if let Some(member) = members.into_iter().filter(same_amount).max() {
            return Some((member, false));
        }
        let names_another = reversal.original.is_some_and(|original| original.class.is_some());
        if names_another && !is_total { None } else { Some((at, both)) }
    }

    /// Leaves a part of one message's amount, or of all of the purchase's, the newest giving back first; of several
    /// accounts the same part of each. Returns what is to stay together.
    fn cut(&mut self, at: usize, whole: bool, reversal: &ReversalRequest, replacement: Replacement) -> i64 {
        let mut members = if whole { self.open_others(at) } else { Vec::new() };
        members.sort_unstable();
        members.reverse();
        match self.said[at].stands {
            // What was posted gives back before what is held.
            Stands::Posted | Stands::Settled => members.insert(0, at),
            Stands::Open => {
                members.push(at);
                members.sort_unstable();
                members.reverse();
            }
            _ => {}
        }
        let taken = |member: &usize| self.taken_by(&self.said[*member]).map_or(0, |taken| taken.amount.abs());
        let total: i64 = members.iter().map(taken).sum();
        let own = self.said[at].own_currency;
        let billing = reversal.billing.filter(|billing| billing.currency.numeric() == own);
        let keeps = match (billing, replacement.billing) {
            (Some(_), Some(kept)) => kept,
            _ if reversal.amount.currency.numeric() == own => replacement.amount,
            _ => {
                let base = billing.map_or(total, |billing| billing.minor);
                let of = i128::from(reversal.amount.minor.max(1));
                (i128::from(base) * i128::from(replacement.amount) / of) as i64
            }
        };
        let in_other = |said: &Said| said.takes.is_some_and(|taken| taken.currency != own);
        let several = whole && members.iter().any(|member| in_other(&self.said[*member]));
        let mut surplus = (total - keeps).max(0);
        for member in members {
            self.said[member].cut = true;
            let Some(mut taken) = self.taken_by(&self.said[member]) else { continue };
            if several {
                let all = i128::from(taken.amount.abs());
                let stays = all * i128::from(replacement.amount) / i128::from(reversal.amount.minor.max(1));
                surplus = (all - stays).max(0) as i64;
            }
            let less = surplus.min(taken.amount.abs());
            let back = Taken { amount: less * taken.amount.signum(), ..taken };
            self.take(back, -1);
            taken.amount -= back.amount;
            match self.said[member].settles {
                Some(record) => self.records[record].takes = Some(taken),
                None => self.said[member].takes = Some(taken),
            }
            surplus -= less;
        }
        keeps
    }

    /// A reversal that is about nothing that we know.
    fn reverse_unknown(&mut self, sequence: u64, reversal: &ReversalRequest) -> Option<u64> {
        let pan = reversal.pan.value();
        let known = self.cards.contains_key(&pan);
        let again = self.waiting.iter_mut().find(|waiting| {
            let before = &waiting.reversal;
            let same_original = original_named(before) == original_named(reversal);
            let by_original = (before.key.network, before.key.rrn, before.key.network_reference)
                == (reversal.key.network, reversal.key.rrn, reversal.key.network_reference)
                && same_original;
            waiting.pan == pan && if known { by_original } else { same_key(&before.key, &reversal.key) }
        });
        let both_undone = reversal.legs == Legs::Both && reversal.replacement.is_none();
        let ours_undone = reversal.replacement.is_none();
        let keeps = reversal.replacement.map(|replacement| replacement.amount);
        if let Some(again) = again {
            let stronger = match keeps {
                None => both_undone && !again.both_undone || !again.ours_undone,
                Some(keeps) => !again.both_undone && again.keeps.is_none_or(|kept| keeps < kept),
            };
            if known && stronger {
                again.both_undone |= both_undone;
                again.ours_undone |= ours_undone;
                again.keeps = again.keeps.into_iter().chain(keeps).min();
                again.undone_by = sequence;
                return None;
            }
            return Some(again.undone_by);
        }
        let reversal = *reversal;
        self.waiting.push(Waiting { undone_by: sequence, pan, reversal, both_undone, ours_undone, keeps });
        None
    }

    /// A card number of the model's population.
    pub(crate) fn pan(n: u64) -> Pan {
        Pan::from_value(4_000_000_000_000_000 + n, 16).expect("a card number")
    }
}

/// Whether a transaction of this DE 3 gives money to the cardholder.
const fn is_credit(processing_code: u32) -> bool {
    matches!(processing_code / 10_000, 20 | 26 | 28)
}

/// Where an authorization stands that has just taken this.
fn stands(takes: Option<Taken>) -> Stands {
    match takes.map(|taken| taken.how) {
        Some(How::Posted) => Stands::Posted,
        Some(How::Held | How::Pending) => Stands::Open,
        None => Stands::Nothing,
    }
}

/// What posts at once has nothing more to come.
fn closed_at_once(takes: Option<Taken>, sequence: u64) -> Option<u64> {
    (stands(takes) == Stands::Posted).then_some(sequence)
}

fn plain(action: ActionCode) -> Expected {
    Expected { action, repeats: None, partial: None, balances: None }
}

/// Which original a reversal names: class, DE 11, DE 7 and DE 32, zeros for what it leaves open.
fn original_named(reversal: &ReversalRequest) -> (u8, u32, u32, u64) {
    match reversal.original {
        Some(original) => {
            let class = original.class.map_or(0, |class| class as u8);
            let time = original.transmission.map_or(0, |time| time.digits());
            (class, original.stan.0, time, original.acquirer.0)
        }
        None => (0, reversal.key.stan.0, 0, reversal.key.acquirer.0),
    }
}

fn waits_for(waiting: &Waiting, pan: u64, key: &MessageKey, class: MessageClass) -> bool {
    let before = &waiting.reversal;
    if waiting.pan != pan || before.key.network != key.network {
        return false;
    }
    if before.key.network_reference != 0 && key.network_reference != 0 {
        let of = before.original.and_then(|original| original.class);
        let same = before.key.network_reference == key.network_reference;
        return same && of.is_none_or(|of| of == class);
    }
    waits_for_message(waiting, pan, key, Some(class))
}

/// Whether it waits for this very message.
fn waits_for_message(waiting: &Waiting, pan: u64, key: &MessageKey, class: Option<MessageClass>) -> bool {
    let before = &waiting.reversal;
    if waiting.pan != pan || before.key.network != key.network {
        return false;
    }
    match before.original {
        Some(original) => {
            original.stan == key.stan
                && original.transmission.is_none_or(|time| time == key.transmission)
                && (original.acquirer.0 == 0 || original.acquirer == key.acquirer)
                && (class.is_none() || original.class.is_none() || original.class == class)
        }
        None => {
            before.key.stan == key.stan && (before.key.acquirer.0 == 0 || before.key.acquirer == key.acquirer)
        }
    }
}

/// How strongly an advice names something said. It carries the keys of the request itself, or DE 90.
fn rank_of_advice(said: &Said, advice: &Advice) -> Option<u8> {
    let key = &advice.key;
    if said.key.network != key.network {
        return None;
    }
    let completes = advice.completes;
    let holds = advice.class == MessageClass::Authorization;
    let (stan, time, acquirer, class) = match advice.original {
        Some(original) => (original.stan, original.transmission, original.acquirer, original.class),
        None => (key.stan, Some(key.transmission), key.acquirer, holds.then_some(advice.class)),
    };
    let by_original = stan == said.key.stan
        && time.is_none_or(|time| time == said.key.transmission)
        && (acquirer.0 == 0 || acquirer == said.key.acquirer)
        && class.is_none_or(|class| class as u8 == said.class);
    let by_trace = (key.stan, key.rrn) == (said.key.stan, said.key.rrn);
    let same_amount = said.amount == advice.amount.minor;
    if key.network_reference != 0 && said.key.network_reference != 0 {
        if key.network_reference != said.key.network_reference {
            return None;
        }
        let by_id = completes || same_amount && !advice.increment;
        return if by_original || by_trace { Some(6) } else { by_id.then_some(5) };
    }
    if by_original {
        return Some(4);
    }
    let same_acquirer = key.acquirer.0 == 0 || key.acquirer == said.key.acquirer;
    if by_trace && same_acquirer && !key.rrn.is_blank() {
        return Some(3);
    }
    let same_currency = said.currency == advice.amount.currency.numeric();
    let by_code = advice.approval_code.is_some_and(|code| code.0 == said.code);
    if by_code && same_currency && (same_amount || completes) {
        return Some(2);
    }
    let same_place =
        (said.key.rrn, said.key.terminal, said.key.merchant) == (key.rrn, key.terminal, key.merchant);
    (same_place && !key.rrn.is_blank()).then_some(1)
}

/// The rank of what a reversal names by its purchase only.
const BY_PURCHASE: u8 = 4;

/// How strongly a reversal names something said (R7).
fn rank(said: &Said, reversal: &ReversalRequest) -> Option<u8> {
    let key = &reversal.key;
    if said.key.network != key.network {
        return None;
    }
    let by_original = reversal.original.is_some_and(|original| {
        original.stan == said.key.stan
            && original.transmission.is_none_or(|time| time == said.key.transmission)
            && (original.acquirer.0 == 0 || original.acquirer == said.key.acquirer)
            && original.class.is_none_or(|class| class as u8 == said.class)
    });
    if key.network_reference != 0 && said.key.network_reference != 0 {
        let same = key.network_reference == said.key.network_reference;
        let leg = by_original || (key.stan, key.rrn) == (said.key.stan, said.key.rrn);
        let other_class = reversal
            .original
            .and_then(|original| original.class)
            .is_some_and(|class| class as u8 != said.class);
        return match (same, leg) {
            (false, _) => None,
            (true, true) => Some(5),
            (true, false) => (!other_class).then_some(BY_PURCHASE),
        };
    }
    if by_original {
        return Some(3);
    }
    let same_amount =
        (said.amount, said.currency) == (reversal.amount.minor, reversal.amount.currency.numeric());
    if same_amount && reversal.approval_code.is_some_and(|code| code.0 == said.code) {
        return Some(2);
    }
    let same_place =
        (said.key.rrn, said.key.terminal, said.key.merchant) == (key.rrn, key.terminal, key.merchant);
    (same_place && !key.rrn.is_blank()).then_some(1)
}
