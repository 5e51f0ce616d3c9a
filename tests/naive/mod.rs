//! A naive model of wallets and authorizations. It shares no code with the ledger: plain maps, one list of everything
//! that was ever said, and searches from one end to the other.

use std::collections::BTreeMap;

use turnpike::domain::action::ActionCode;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::request::AuthorizationRequest;
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
    /// Wallet, currency and amount taken, while it is open.
    takes: Option<(u64, u16, i64)>,
    approved: bool,
    code: [u8; 6],
    closed_by: Option<u64>,
}

/// A reversal that found nothing.
#[derive(Clone, Debug)]
struct Waiting {
    sequence: u64,
    pan: u64,
    reversal: ReversalRequest,
}

#[derive(Default)]
/// What was said, and what the books must be.
pub(crate) struct Model {
    pub(crate) cards: BTreeMap<u64, ModelCard>,
    pub(crate) balances: BTreeMap<(u64, u16), Balance>,
    /// A wallet's currencies in the order of their opening.
    pub(crate) currencies: BTreeMap<u64, Vec<u16>>,
    /// Wallets that may not be used now.
    pub(crate) blocked: std::collections::BTreeSet<u64>,
    said: Vec<Said>,
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
        let first = firsts.rev().find(same_time).or(newest);
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
        if let Some((wallet, currency, amount)) = takes {
            self.take(wallet, currency, amount, class);
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
        });
        expected
    }

    /// Notes the approval code that was given for a record: the model can't know it beforehand.
    pub(crate) fn given_code(&mut self, sequence: u64, code: [u8; 6]) {
        if let Some(said) = self.said.iter_mut().find(|said| said.sequence == sequence) {
            said.code = code;
        }
    }

    fn take(&mut self, wallet: u64, currency: u16, amount: i64, class: u8) {
        let balance = self.balances.entry((wallet, currency)).or_default();
        if class == MessageClass::Authorization as u8 {
            balance.held += amount;
        } else {
            balance.posted -= amount;
        }
    }

    fn decide(
        &self,
        request: &AuthorizationRequest,
        month: u16,
        takes: &mut Option<(u64, u16, i64)>,
    ) -> Expected {
        let Some(card) = self.cards.get(&request.pan.value()) else { return plain(ActionCode::UnknownCard) };
        let late = self.waiting.iter().any(|waiting| waits_for(waiting, request));
        if late {
            return plain(ActionCode::ReversedBeforeArrival);
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
        if self.blocked.contains(&card.wallet) {
            return plain(ActionCode::WalletNotActive);
        }
        if card.expiry < month || request.expiry.is_some_and(|expiry| expiry.digits() != card.expiry) {
            return plain(ActionCode::CardExpired);
        }
        let own = &self.currencies[&card.wallet];
        match request.kind {
            TransactionKind::Other(_) => return plain(ActionCode::InvalidTransaction),
            TransactionKind::AccountVerification => return plain(ActionCode::NoReasonToDecline),
            TransactionKind::BalanceInquiry => {
                let asked = request.amount.currency.numeric();
                let currency = if own.contains(&asked) { asked } else { own[0] };
                let b = self.balances[&(card.wallet, currency)];
                let balances = Some((b.posted, b.posted + b.overdraft - b.held));
                return Expected { balances, ..plain(ActionCode::Approved) };
            }
            TransactionKind::Purchase | TransactionKind::Cash => {}
        }
        let offers = [request.billing, Some(request.amount)];
        let Some(asked) = offers.into_iter().flatten().find(|money| own.contains(&money.currency.numeric()))
        else {
            return plain(ActionCode::CurrencyNotHeld);
        };
        if asked.minor <= 0 {
            return plain(ActionCode::InvalidAmount);
        }
        let currency = asked.currency.numeric();
        let b = self.balances[&(card.wallet, currency)];
        let available = b.posted + b.overdraft - b.held;
        if asked.minor <= available {
            *takes = Some((card.wallet, currency, asked.minor));
            return plain(ActionCode::Approved);
        }
        let billed = request.billing.unwrap_or(request.amount).minor;
        if request.partial_supported && request.kind == TransactionKind::Purchase && available > 0 {
            let part = (i128::from(request.amount.minor) * i128::from(available) / i128::from(billed)) as i64;
            if part > 0 {
                *takes = Some((card.wallet, currency, available));
                return Expected { partial: Some((part, available)), ..plain(ActionCode::ApprovedPartially) };
            }
        }
        plain(ActionCode::InsufficientFunds)
    }

    /// The record that a reversal's answer depends on; `None` when it made a new one.
    pub(crate) fn reverse(&mut self, sequence: u64, reversal: &ReversalRequest) -> Option<u64> {
        let pan = reversal.pan.value();
        let ranked = self.said.iter().enumerate().filter(|(_, said)| said.pan == pan && said.approved);
        let best = ranked
            .filter_map(|(at, said)| {
                rank(said, reversal).map(|rank| (rank, said.closed_by.is_some() == reversal.repeat, at))
            })
            .max();
        if let Some((_, _, at)) = best {
            if let Some(closed_by) = self.said[at].closed_by {
                return Some(closed_by);
            }
            let class = self.said[at].class;
            if let Some((wallet, currency, amount)) = self.said[at].takes.take() {
                self.take(wallet, currency, -amount, class);
            }
            self.said[at].closed_by = Some(sequence);
            return None;
        }
        let known = self.cards.contains_key(&pan);
        let again = self.waiting.iter().find(|waiting| {
            let before = &waiting.reversal;
            let same_original = original_named(before) == original_named(reversal);
            let by_original = (before.key.network, before.key.rrn, before.key.network_reference)
                == (reversal.key.network, reversal.key.rrn, reversal.key.network_reference)
                && same_original;
            waiting.pan == pan && if known { by_original } else { same_key(&before.key, &reversal.key) }
        });
        if let Some(again) = again {
            return Some(again.sequence);
        }
        self.waiting.push(Waiting { sequence, pan, reversal: *reversal });
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

fn waits_for(waiting: &Waiting, request: &AuthorizationRequest) -> bool {
    let (before, key) = (&waiting.reversal, &request.key);
    if waiting.pan != request.pan.value() || before.key.network != key.network {
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
                && original.class.is_none_or(|class| class == request.class)
        }
        None => {
            before.key.stan == key.stan && (before.key.acquirer.0 == 0 || before.key.acquirer == key.acquirer)
        }
    }
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
