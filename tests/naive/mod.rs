//! A naive model of wallets and authorizations. It shares no code with the ledger: plain maps, one list of everything
//! that was ever said, and searches from one end to the other.

use std::collections::BTreeMap;

use turnpike::domain::action::ActionCode;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::money::Money;
use turnpike::domain::request::Advice;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::domain::request::Legs;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
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
    /// What it has taken, while it is open.
    takes: Option<Taken>,
    approved: bool,
    code: [u8; 6],
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
    said: Vec<Said>,
    told: Vec<Told>,
    waiting: Vec<Waiting>,
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
            takes,
            approved: takes.is_some(),
            code: [0; 6],
            closed_by: None,
            undone_by: 0,
            legs: SaidLegs::default(),
        });
        expected
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
        let late = self.waiting.iter().any(|waiting| waits_for(waiting, pan, &request.key, class));
        if late {
            return plain(ActionCode::ReversedBeforeArrival);
        }
        if request.kind == TransactionKind::Refund {
            return self.refund(request, *card, takes);
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
            TransactionKind::Purchase | TransactionKind::Cash | TransactionKind::Refund => {}
        }
        let Some(asked) = self.offered(card.wallet, request.billing, request.amount) else {
            return plain(ActionCode::CurrencyNotHeld);
        };
        if asked.minor <= 0 {
            return plain(ActionCode::InvalidAmount);
        }
        let currency = asked.currency.numeric();
        let b = self.balances[&(card.wallet, currency)];
        let available = b.posted + b.overdraft - b.held;
        let how = if class == MessageClass::Authorization { How::Held } else { How::Posted };
        let taken = |amount| Some(Taken { wallet: card.wallet, currency, amount, how });
        if asked.minor <= available {
            *takes = taken(asked.minor);
            return plain(ActionCode::Approved);
        }
        let takes_part = request.partial_supported && !request.merchant_initiated;
        if takes_part && request.kind == TransactionKind::Purchase && available > 0 {
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

    fn refund(&self, request: &AuthorizationRequest, card: ModelCard, takes: &mut Option<Taken>) -> Expected {
        if card.status == CardStatus::Closed {
            return plain(ActionCode::CardClosed);
        }
        if self.blocked.get(&card.wallet) == Some(&true) {
            return plain(ActionCode::WalletNotActive);
        }
        let Some(back) = self.offered(card.wallet, request.billing, request.amount) else {
            return plain(ActionCode::CurrencyNotHeld);
        };
        if back.minor <= 0 {
            return plain(ActionCode::InvalidAmount);
        }
        let (how, amount) = match request.class {
            MessageClass::Authorization => (How::Pending, back.minor),
            MessageClass::Financial => (How::Posted, -back.minor),
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
        let ranked: Vec<(bool, u8, usize)> = self
            .said
            .iter()
            .enumerate()
            .filter(|(_, said)| said.pan == pan && said.approved)
            .filter_map(|(at, said)| {
                rank_of_advice(said, advice).map(|rank| (said.closed_by.is_none(), rank, at))
            })
            .collect();
        let known = ranked.into_iter().max().map(|(_, _, at)| at);
        let open = known.filter(|at| self.said[*at].closed_by.is_none());
        let posted = open.and_then(|at| self.said[at].takes).is_some_and(|taken| taken.how == How::Posted);
        if posted && advice.class == MessageClass::Authorization {
            return None;
        }
        let undone = match (open, known) {
            (Some(_), _) => false,
            (None, Some(closed)) => self.said[closed].legs.both_undone,
            (None, None) => self
                .waiting
                .iter()
                .any(|waiting| waiting.both_undone && waits_for(waiting, pan, &advice.key, advice.class)),
        };
        if undone {
            return None;
        }
        let none = !advice.approved || advice.billing.unwrap_or(advice.amount).minor == 0;
        let offer = self.offered(card.wallet, advice.billing, advice.amount);
        let taken = if none {
            None
        } else {
            let offer = offer.filter(|offer| offer.minor > 0)?;
            let credit = advice.processing_code.0 / 10_000 == 20;
            let (how, amount) = match (advice.class, credit) {
                (MessageClass::Authorization, false) => (How::Held, offer.minor),
                (MessageClass::Financial, false) => (How::Posted, offer.minor),
                (MessageClass::Authorization, true) => (How::Pending, offer.minor),
                (MessageClass::Financial, true) => (How::Posted, -offer.minor),
            };
            Some(Taken { wallet: card.wallet, currency: offer.currency.numeric(), amount, how })
        };
        if let Some(at) = open {
            if let Some(before) = self.said[at].takes.take() {
                self.take(before, -1);
            }
            self.said[at].takes = taken;
            self.said[at].legs.network_approved |= taken.is_some();
            if taken.is_none() {
                self.said[at].closed_by = Some(sequence);
            }
        } else if taken.is_some() {
            self.said.push(Said {
                sequence,
                pan,
                key: advice.key,
                class,
                processing_code: advice.processing_code.0,
                amount: advice.amount.minor,
                currency: advice.amount.currency.numeric(),
                expected: plain(ActionCode::Approved),
                takes: taken,
                approved: true,
                code: advice.approval_code.map_or([0; 6], |code| code.0),
                closed_by: None,
                undone_by: 0,
                legs: SaidLegs { network_approved: true, ..SaidLegs::default() },
            });
        }
        if let Some(taken) = taken {
            self.take(taken, 1);
        }
        None
    }

    /// The record that a reversal's answer depends on at least; `None` when it made a new one.
    pub(crate) fn reverse(&mut self, sequence: u64, reversal: &ReversalRequest) -> Option<u64> {
        let pan = reversal.pan.value();
        let ranked = self.said.iter().enumerate().filter(|(_, said)| said.pan == pan && said.approved);
        let best = ranked
            .filter_map(|(at, said)| {
                let undone = said.legs.both_undone || reversal.legs == Legs::Ours && said.legs.ours_undone;
                let claim = match said.closed_by {
                    Some(_) if reversal.repeat && undone => 2,
                    Some(_) => 0,
                    None => 1,
                };
                rank(said, reversal).map(|rank| (rank, claim, at))
            })
            .max();
        if let Some((_, _, at)) = best {
            let Said { legs, undone_by, .. } = &mut self.said[at];
            let known = legs.ours_undone && (legs.both_undone || reversal.legs == Legs::Ours);
            if !known {
                *undone_by = sequence;
            }
            legs.ours_undone = true;
            legs.both_undone |= reversal.legs == Legs::Both;
            let stands = legs.network_approved && reversal.legs == Legs::Ours;
            if let Said { closed_by: Some(closed_by), undone_by, .. } = self.said[at] {
                return known.then_some(closed_by.max(undone_by));
            }
            if stands {
                return None;
            }
            if let Some(taken) = self.said[at].takes.take() {
                self.take(taken, -1);
            }
            self.said[at].closed_by = Some(sequence);
            return None;
        }
        let known = self.cards.contains_key(&pan);
        let again = self.waiting.iter_mut().find(|waiting| {
            let before = &waiting.reversal;
            let same_original = original_named(before) == original_named(reversal);
            let by_original = (before.key.network, before.key.rrn, before.key.network_reference)
                == (reversal.key.network, reversal.key.rrn, reversal.key.network_reference)
                && same_original;
            waiting.pan == pan && if known { by_original } else { same_key(&before.key, &reversal.key) }
        });
        let both_undone = reversal.legs == Legs::Both;
        if let Some(again) = again {
            if known && both_undone && !again.both_undone {
                again.both_undone = true;
                again.undone_by = sequence;
                return None;
            }
            return Some(again.undone_by);
        }
        self.waiting.push(Waiting { undone_by: sequence, pan, reversal: *reversal, both_undone });
        None
    }

    /// A card number of the model's population.
    pub(crate) fn pan(n: u64) -> Pan {
        Pan::from_value(4_000_000_000_000_000 + n, 16).expect("a card number")
    }
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
        return before.key.network_reference == key.network_reference;
    }
    match before.original {
        Some(original) => {
            original.stan == key.stan
                && original.transmission.is_none_or(|time| time == key.transmission)
                && (original.acquirer.0 == 0 || original.acquirer == key.acquirer)
                && original.class.is_none_or(|of| of == class)
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
    let completes = advice.class == MessageClass::Financial;
    let (stan, time, acquirer, class) = match advice.original {
        Some(original) => (original.stan, original.transmission, original.acquirer, original.class),
        None => (key.stan, Some(key.transmission), key.acquirer, (!completes).then_some(advice.class)),
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
        return if by_original || by_trace { Some(6) } else { (completes || same_amount).then_some(5) };
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
        return same.then_some(if leg { 5 } else { 4 });
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
