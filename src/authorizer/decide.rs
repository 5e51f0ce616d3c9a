//! The decision about a request (0100, 0200 and their repeats).

use crate::domain::action::ActionCode;
use crate::domain::answer::Answer;
use crate::domain::answer::Balances;
use crate::domain::answer::PartialApproval;
use crate::domain::card::CardIdentity;
use crate::domain::card::CardStatus;
use crate::domain::event::Decided;
use crate::domain::event::Effect;
use crate::domain::event::Event;
use crate::domain::event::Facts;
use crate::domain::event::Sequence;
use crate::domain::fee::Charge;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::domain::request::ApprovalCode;
use crate::domain::request::AuthorizationRequest;
use crate::domain::request::MessageClass;
use crate::domain::request::TransactionKind;
use crate::domain::share::Shares;
use crate::domain::time::Timestamp;
use crate::ledger::answers::Remembered;
use crate::ledger::authorization::Authorization;
use crate::ledger::chain::First;
use crate::ledger::chain::fingerprint;
use crate::ledger::shard::Account;
use crate::ledger::shard::Card;
use crate::ledger::shard::Shard;

use super::Authorizer;
use super::CreditsAt;
use super::Decision;
use super::expiry::Terms;
use super::needs::Needs;
use super::needs::needs;
use super::share::Purse;
use super::share::opened_for;
use super::takes;

/// What the column of checks found: the outcome and what it takes from which account.
struct Outcome {
    action: ActionCode,
    effect: Effect,
    account: Option<Account>,
    /// It adds to an open authorization (R17).
    increment: bool,
    /// What is charged on top of the effect.
    charge: Option<Charge>,
    /// What further accounts bear of both.
    shares: Shares,
}

impl Outcome {
    const fn approve(action: ActionCode, effect: Effect, account: Account) -> Self {
        let shares = Shares::NONE;
        Self { action, effect, account: Some(account), increment: false, charge: None, shares }
    }

    const fn decline(action: ActionCode, account: Option<Account>) -> Self {
        let (effect, shares) = (Effect::None, Shares::NONE);
        Self { action, effect, account, increment: false, charge: None, shares }
    }
}

impl Authorizer {
    /// Decides a request. `card` is the card that the directory and the shard found for its number, and `now` is when
    /// its last byte was read plus `decided_after_us`.
    #[must_use]
    pub fn decide(
        &self,
        request: &AuthorizationRequest,
        facts: Facts,
        now: Timestamp,
        decided_after_us: u32,
        shard: &Shard,
        card: Option<&Card>,
    ) -> Decision {
        let identity = card
            .map_or(CardIdentity::Unknown(request.pan.masked()), |card| CardIdentity::Known(card.reference));
        let class = request.class as u8;
        let print = fingerprint(&request.key, class, identity, shard.seed());
        let mut outcome = None;
        if let Some(first) = shard.first_of(print, &request.key, class, request.repeat, now) {
            if let Some(answer) = first_answer(&first, request, shard) {
                return Decision::Repeat(answer);
            }
            outcome = Some(Outcome::decline(ActionCode::DuplicateTransmission, None));
        }
        let slot = slot_of(request, shard, card);
        let outcome = outcome.unwrap_or_else(|| match card {
            Some(card) => self.check(request, facts, now, shard, card),
            None => Outcome::decline(ActionCode::UnknownCard, None),
        });
        let Outcome { action, account, .. } = outcome;
        let approval_code = action.is_approval().then(|| self.codes.code(slot, shard.approvals(slot)));
        let lives = matches!(outcome.effect, Effect::Hold(_) | Effect::Pend(_));
        let hold_until_s = if lives { self.expiry.until_s(&Terms::of(request), now) } else { 0 };
        let event = Decided {
            slot,
            card: identity,
            wallet: card.map_or(WalletId(0), |card| shard.wallet_of(card)),
            account: account.map_or(0, |account| account.number),
            key: request.key,
            class: request.class,
            repeat: request.repeat,
            processing_code: request.processing_code,
            mcc: request.mcc,
            country: request.country,
            entry_mode: request.entry_mode,
            channel: request.channel,
            amount: request.amount,
            billing: request.billing,
            presented: request.presented,
            facts,
            action,
            approval_code,
            effect: outcome.effect,
            charge: outcome.charge,
            shares: outcome.shares,
            increment: outcome.increment,
            posted_before: account.map_or(0, |account| account.posted),
            held_before: account.map_or(0, |account| account.held),
            overdraft: account.map_or(0, |account| account.overdraft),
            configuration: self.configuration,
            hold_until_s,
            decided_after_us,
        };
        let answer = Answer {
            action,
            approval_code,
            partial: partial(request, action, outcome.effect.amount(), account.map(|a| a.currency)),
            balances: account
                .filter(|_| request.kind == TransactionKind::BalanceInquiry)
                .map(|a| balances(&a)),
            depends_on: Sequence(0),
        };
        Decision::New(Event::Decided(event), answer)
    }

    /// The column of checks for a card of ours, in order of precedence.
    fn check(
        &self,
        request: &AuthorizationRequest,
        facts: Facts,
        now: Timestamp,
        shard: &Shard,
        card: &Card,
    ) -> Outcome {
        let decline = |action| Outcome::decline(action, None);
        if request.kind.is_credit() {
            return self.credit(request, shard, card);
        }
        if came_too_late(request, shard, card) {
            return decline(ActionCode::ReversedBeforeArrival);
        }
        match card.status {
            CardStatus::Active => {}
            CardStatus::Frozen => return decline(ActionCode::CardFrozen),
            CardStatus::Lost => return decline(ActionCode::CardLost),
            CardStatus::Stolen => return decline(ActionCode::CardStolen),
            CardStatus::Closed => return decline(ActionCode::CardClosed),
        }
        if !shard.wallet_is_active(card) {
            return decline(ActionCode::WalletNotActive);
        }
        let other_month = request.expiry.is_some_and(|expiry| expiry != card.expiry);
        if other_month || card.expiry.is_past(now, self.time_zone_offset_minutes) {
            return decline(ActionCode::CardExpired);
        }
        if matches!(request.kind, TransactionKind::Other(_)) {
            return decline(ActionCode::InvalidTransaction);
        }
        let missing = needs(request.presented, card, facts);
        if missing.has(Needs::PIN) {
            return decline(ActionCode::PinNotVerifiable);
        }
        if missing.has(Needs::CRYPTOGRAM) {
            return decline(ActionCode::CryptogramNotVerifiable);
        }
        if shard.watches(card)
            && let Some(action) = shard.refused_by_control(card, &request.usage())
        {
            return decline(action);
        }
        match request.kind {
            TransactionKind::AccountVerification => decline(ActionCode::NoReasonToDecline),
            TransactionKind::TokenRequest => decline(ActionCode::NotPermitted),
            TransactionKind::BalanceInquiry => {
                let account = shard.account_in(card, request.amount.currency);
                let account = account.unwrap_or_else(|| shard.first_account(card));
                Outcome::approve(ActionCode::Approved, Effect::None, *account)
            }
            _ => self.funds(request, now, shard, card),
        }
    }

    /// Money for the cardholder (R15). It is the customer's: a card that is frozen, lost or past its month gets it all
    /// the same. A refund pends until it is cleared; what somebody else sends, by setting.
    fn credit(&self, request: &AuthorizationRequest, shard: &Shard, card: &Card) -> Outcome {
        let decline = |action| Outcome::decline(action, None);
        if came_too_late(request, shard, card) {
            return decline(ActionCode::ReversedBeforeArrival);
        }
        if card.status == CardStatus::Closed {
            return decline(ActionCode::CardClosed);
        }
        if shard.wallet_status_of(card) == WalletStatus::Closed {
            return decline(ActionCode::WalletNotActive);
        }
        let (account, amount, _) = match account_for(request, shard, card, false) {
            Ok(found) => found,
            Err((action, account)) => return Outcome::decline(action, account),
        };
        let at_once = request.kind != TransactionKind::Refund && self.credits == CreditsAt::Authorization;
        let effect = match request.class {
            MessageClass::Authorization if !at_once => Effect::Pend(amount),
            MessageClass::Authorization | MessageClass::Financial => Effect::Post(-amount),
        };
        let increment = adds(request, shard, card);
        Outcome { increment, ..Outcome::approve(ActionCode::Approved, effect, account) }
    }

    /// The last checks: whether the limits let the amount pass (R18), and whether the account has it, or a part of it
    /// that the terminal would take (R12).
    fn funds(&self, request: &AuthorizationRequest, now: Timestamp, shard: &Shard, card: &Card) -> Outcome {
        let (account, asked, opened) = match account_for(request, shard, card, true) {
            Ok(found) => found,
            Err((action, account)) => return Outcome::decline(action, account),
        };
        let take = |amount| match request.class {
            MessageClass::Authorization => Effect::Hold(amount),
            MessageClass::Financial => Effect::Post(amount),
        };
        let increment = adds(request, shard, card);
        let mut more = self.increases.of(request, asked, account.currency);
        if shard.watches(card) {
            // What adds to nothing that is open is a use of its own.
            let one_more = !increment || !adds_to_open(request, shard, card);
            let refused = |amount| {
                let amount = Money::new(amount, account.currency);
                shard.refused_by_limit(card, &request.usage(), amount, one_more, now)
            };
            if let Some(action) = refused(asked) {
                return Outcome::decline(action, Some(account).filter(|_| !opened));
            }
            if more > 0 && refused(asked.saturating_add(more)).is_some() {
                more = 0;
            }
        }
        let charge = charge_of(request, shard, card, &account, increment);
        let purse = Purse::of(shard, card, &account);
        let all = purse.as_ref().map_or(account, Purse::together);
        let available = shard.affordable(card, charge, &all);
        let approve = |action, amount: i64| {
            let approved = Outcome::approve(action, take(amount), account);
            let need = || amount.saturating_add(shard.charged_for(card, charge, amount));
            let shares = purse.as_ref().map_or(Shares::NONE, |purse| purse.bear(need()));
            let shares = if opened { shares.opening(account.currency) } else { shares };
            Outcome { increment, charge, shares, ..approved }
        };
        // Nothing is always there: what only extends an authorization takes nothing.
        if opened && asked == 0 {
            return Outcome::decline(ActionCode::CurrencyNotHeld, None);
        }
        if asked <= available.max(0) {
            let held = asked.saturating_add(more).min(available).max(asked);
            return approve(ActionCode::Approved, held);
        }
        let takes_part = request.partial_supported && !request.merchant_initiated;
        let partially = takes_part && request.kind.is_divisible() && available > 0;
        let in_transaction = partially.then(|| part_of(request, available, account.currency)).flatten();
        if in_transaction.is_some_and(|part| part.amount.minor > 0) {
            return approve(ActionCode::ApprovedPartially, available);
        }
        // An account that would have been opened is none to tell of.
        Outcome::decline(ActionCode::InsufficientFunds, Some(account).filter(|_| !opened))
    }
}

/// Whether a request adds to an authorization (R17): to an open one, or to one that is yet to come.
fn adds(request: &AuthorizationRequest, shard: &Shard, card: &Card) -> bool {
    let (currency, code) = (request.amount.currency, request.processing_code);
    request.increment && shard.adds(card, &request.key, currency, code)
}

fn adds_to_open(request: &AuthorizationRequest, shard: &Shard, card: &Card) -> bool {
    let (currency, code) = (request.amount.currency, request.processing_code);
    shard.incremented_by(card, &request.key, currency, code).is_some()
}

/// What a request that takes from an account is charged by. What is added to a purchase costs what that one costs, but
/// for its flat part: that is the beginning's, whichever of them came first.
fn charge_of(
    request: &AuthorizationRequest,
    shard: &Shard,
    card: &Card,
    account: &Account,
    increment: bool,
) -> Option<Charge> {
    let by_rules = || shard.charge_for(card, &request.usage(), account.currency);
    if !increment {
        return by_rules();
    }
    let (currency, code) = (request.amount.currency, request.processing_code);
    let open = shard.incremented_by(card, &request.key, currency, code);
    let open = open.filter(|open| open.account == account.number);
    open.map_or_else(by_rules, |open| open.coded.charge()).map(Charge::rest)
}

fn slot_of(request: &AuthorizationRequest, shard: &Shard, card: Option<&Card>) -> Slot {
    match card {
        Some(card) => Slot::of_wallet(shard.wallet_of(card)),
        None => Slot::of_unknown_card(request.pan.masked()),
    }
}

/// Whether what a request asks for has been undone before it came, or posted without it (R4); or it adds to what was
/// undone.
fn came_too_late(request: &AuthorizationRequest, shard: &Shard, card: &Card) -> bool {
    let key = &request.key;
    if request.increment {
        // What adds to a purchase that was posted is one of its own (R17).
        return shard.awaits_increment(card, key) || shard.is_undone(card, key);
    }
    shard.tombstones_for(card, key, request.class).next().is_some()
}

/// The account that a request is about and the amount in its currency, if both can be and one more authorization fits;
/// and whether the account is one that `may_open` lets be opened with it.
fn account_for(
    request: &AuthorizationRequest,
    shard: &Shard,
    card: &Card,
    may_open: bool,
) -> Result<(Account, i64, bool), (ActionCode, Option<Account>)> {
    // What the network billed counts (R11), if the wallet has that currency, else what was asked for.
    let billed = request.billed();
    let both = [billed, request.amount];
    let known = both.into_iter().find_map(|amount| {
        shard.account_in(card, amount.currency).map(|account| (*account, amount.minor, false))
    });
    // Only where the network gave no amount in any currency of the wallet is our own rate asked for.
    let opened = || opened_for(both, shard, card).map(|(account, amount)| (account, amount, true));
    let found = known.or_else(|| if may_open { opened() } else { None });
    let Some((account, asked, opens)) = found else {
        return Err((ActionCode::CurrencyNotHeld, None));
    };
    let looked_at = Some(account).filter(|_| !opens);
    // Nothing is asked for where only the time of an open one is extended.
    let extends = asked == 0 && request.increment && adds_to_open(request, shard, card);
    if asked < 0 || asked == 0 && !extends || !takes(&account, asked) {
        return Err((ActionCode::InvalidAmount, looked_at));
    }
    if !shard.has_room_for_use(card) {
        return Err((ActionCode::SystemMalfunction, looked_at));
    }
    Ok((account, asked, opens))
}

/// The amounts of a partial approval, when `held` of an account in this currency is what can be had (R12). DE 4 and
/// DE 6 shrink by the same ratio, rounded down: held to what was asked for in the account's currency, which is DE 6
/// where the wallet has the currency that the network billed, else DE 4 ([`account_for`]).
fn part_of(request: &AuthorizationRequest, held: i64, currency: Currency) -> Option<PartialApproval> {
    let billed = request.billed();
    let asked = if currency == billed.currency { billed } else { request.amount };
    let part = |of: Money| {
        let part = i128::from(of.minor) * i128::from(held) / i128::from(asked.minor.max(1));
        Some(Money::new(i64::try_from(part).ok()?, of.currency))
    };
    Some(PartialApproval { amount: part(request.amount)?, billing: part(billed)?, original: request.amount })
}

fn partial(
    request: &AuthorizationRequest,
    action: ActionCode,
    held: i64,
    currency: Option<Currency>,
) -> Option<PartialApproval> {
    (action == ActionCode::ApprovedPartially).then(|| part_of(request, held, currency?)).flatten()
}

const fn balances(account: &Account) -> Balances {
    Balances { ledger: account.posted, available: account.available(), currency: account.currency }
}

/// The first answer of a message whose first was found; `None` when DE 3, DE 4 or DE 49 differ (R5: 94).
fn first_answer(first: &First<'_>, request: &AuthorizationRequest, shard: &Shard) -> Option<Answer> {
    match first {
        First::Authorization(authorization) => of_authorization(authorization, request, shard),
        First::Answer(remembered) => of_remembered(remembered, request),
    }
}

fn of_authorization(first: &Authorization, request: &AuthorizationRequest, shard: &Shard) -> Option<Answer> {
    let same = first.coded.processing_code() == request.processing_code
        && first.amount == request.amount.minor
        && first.currency == request.amount.currency.numeric();
    if !same {
        return None;
    }
    let currency = shard.account_currency(first);
    Some(Answer {
        action: first.action,
        // An advice may have come without one.
        approval_code: (first.approval_code != [0; 6]).then_some(ApprovalCode(first.approval_code)),
        partial: partial(request, first.action, first.answered, currency),
        balances: None,
        depends_on: first.sequence,
    })
}

fn of_remembered(first: &Remembered, request: &AuthorizationRequest) -> Option<Answer> {
    let same = first.processing_code == request.processing_code.0
        && first.amount == request.amount.minor
        && first.currency == request.amount.currency.numeric();
    if !same {
        return None;
    }
    let shows_balances =
        request.kind == TransactionKind::BalanceInquiry && first.action == ActionCode::Approved;
    let currency = Currency::from_number(first.account_currency)?;
    Some(Answer {
        action: first.action,
        approval_code: (first.approval_code != [0; 6]).then_some(ApprovalCode(first.approval_code)),
        partial: None,
        balances: shows_balances.then_some(Balances {
            ledger: first.posted,
            available: first.available,
            currency,
        }),
        depends_on: first.sequence,
    })
}
