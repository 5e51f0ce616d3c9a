//! What an advice does (0120, 0220 and their repeats; R4, R14), and what is kept of an administrative one (0620). It is
//! never declined: it tells what has happened.

use crate::domain::action::ActionCode;
use crate::domain::answer::Answer;
use crate::domain::card::CardIdentity;
use crate::domain::event::Advised;
use crate::domain::event::Effect;
use crate::domain::event::Event;
use crate::domain::event::Noted;
use crate::domain::event::Sequence;
use crate::domain::fee::Charge;
use crate::domain::money::Money;
use crate::domain::money::part_of;
use crate::domain::party::SLOTS;
use crate::domain::party::Slot;
use crate::domain::request::AdministrativeAdvice;
use crate::domain::request::Advice;
use crate::domain::request::MessageClass;
use crate::domain::share::Shares;
use crate::domain::time::Timestamp;
use crate::domain::usage::Usage;
use crate::ledger::advise::completes;
use crate::ledger::authorization::Authorization;
use crate::ledger::authorization::AuthorizationState;
use crate::ledger::authorization::LegState;
use crate::ledger::chain::First;
use crate::ledger::chain::advice_class;
use crate::ledger::chain::fingerprint;
use crate::ledger::shard::Account;
use crate::ledger::shard::Card;
use crate::ledger::shard::Shard;

use super::Authorizer;
use super::Decision;
use super::expiry::Terms;
use super::share::opened_for;
use super::share::shares_of;
use super::takes;

/// What an advice changes.
struct Change {
    /// The open authorization whose outcome it sets; zero for a new one, or for none.
    sets: Sequence,
    action: ActionCode,
    effect: Effect,
    account: u16,
    /// Its clearing record came first: what it posts is posted, and that is kept.
    cleared: bool,
    /// It adds to another authorization (R17).
    increment: bool,
    /// It ends what is open, which makes the room that its own posting needs.
    ends: bool,
    /// What is charged on top of the effect.
    charge: Option<Charge>,
    /// What further accounts bear of what is not held for it yet.
    shares: Shares,
}

impl Change {
    const fn none(action: ActionCode) -> Self {
        Self {
            sets: Sequence(0),
            action,
            effect: Effect::None,
            account: 0,
            cleared: false,
            increment: false,
            ends: false,
            charge: None,
            shares: Shares::NONE,
        }
    }
}

impl Authorizer {
    /// Takes over what the network decided. Whatever we answered before, its outcome is set; money that is not there is
    /// taken all the same, since it was promised to a merchant. `None` when there is no room for the authorization that
    /// it would open: then it gets no answer, and the network sends it again (R2).
    #[must_use]
    pub fn advise(
        &self,
        advice: &Advice,
        now: Timestamp,
        decided_after_us: u32,
        shard: &Shard,
        card: Option<&Card>,
    ) -> Option<Decision> {
        let done = |depends_on| Answer::decline(ActionCode::Approved, depends_on);
        let identity = card
            .map_or(CardIdentity::Unknown(advice.pan.masked()), |card| CardIdentity::Known(card.reference));
        let class = advice_class(advice.class);
        let print = fingerprint(&advice.key, class, identity, shard.seed());
        let first = shard.first_of(print, &advice.key, class, advice.repeat, now);
        if let Some(First::Answer(first)) = first {
            return Some(Decision::Repeat(done(first.sequence)));
        }
        if let Some(first) = posted_before(advice, identity, shard, now) {
            return Some(Decision::Repeat(done(first)));
        }
        let slot = match card {
            Some(card) => Slot::of_wallet(shard.wallet_of(card)),
            None => Slot::of_unknown_card(advice.pan.masked()),
        };
        let change = match card {
            Some(card) => self.change(advice, shard, card),
            None => Change::none(ActionCode::UnknownCard),
        };
        let opens = match change.effect {
            Effect::None => change.cleared,
            Effect::Post(_) => true,
            Effect::Hold(_) | Effect::Pend(_) => change.sets == Sequence(0),
        };
        if opens && !card.is_some_and(|card| shard.has_room_for_posting(card, change.ends)) {
            return None;
        }
        // What another amount adds is counted as well.
        let counts = opens || change.effect != Effect::None;
        if counts && !card.is_none_or(|card| shard.has_room_to_count(card)) {
            return None;
        }
        let lives = matches!(change.effect, Effect::Hold(_) | Effect::Pend(_));
        let event = Advised {
            slot,
            card: identity,
            account: change.account,
            key: advice.key,
            class: advice.class,
            repeat: advice.repeat,
            processing_code: advice.processing_code,
            mcc: advice.mcc,
            country: advice.country,
            channel: advice.channel,
            amount: advice.amount,
            billing: advice.billing,
            approved: advice.approved,
            reason: advice.reason,
            approval_code: advice.approval_code,
            sets: change.sets,
            action: change.action,
            effect: change.effect,
            charge: change.charge,
            shares: change.shares,
            increment: change.increment,
            configuration: self.configuration,
            hold_until_s: if lives { self.expiry.until_s(&Terms::of_advice(advice), now) } else { 0 },
            decided_after_us,
        };
        Some(Decision::New(Event::Advised(event), done(Sequence(0))))
    }

    /// The record of an administrative advice.
    #[must_use]
    pub fn note(&self, advice: &AdministrativeAdvice, shard: &Shard, card: Option<&Card>) -> Event {
        let identity = card.map(|card| CardIdentity::Known(card.reference));
        Event::Noted(Noted {
            slot: match card {
                Some(card) => Slot::of_wallet(shard.wallet_of(card)),
                None => slot_of_note(advice),
            },
            card: identity.or_else(|| advice.pan.map(|pan| CardIdentity::Unknown(pan.masked()))),
            key: advice.key,
            mti: advice.mti,
            reason: advice.reason,
        })
    }

    fn change(&self, advice: &Advice, shard: &Shard, card: &Card) -> Change {
        let class = advice.class;
        let posts = class == MessageClass::Financial && advice.approved;
        let cleared = || shard.cleared_of_purchase(card, advice, self.clearing_tolerance);
        if let Some(cleared) = posts.then(cleared).flatten() {
            let (sets, account) = (cleared.sequence, cleared.account);
            return Change { sets, account, cleared: true, ..Change::none(ActionCode::Approved) };
        }
        let known = match standing(advice, shard, card) {
            Standing::Settled(action) => return Change::none(action),
            Standing::Sets(known) => Some(known),
            Standing::New => None,
        };
        let sets = known.map_or(Sequence(0), |known| known.sequence);
        let (billed, key) = (advice.billed(), &advice.key);
        let (currency, code) = (advice.amount.currency, advice.processing_code);
        let ends = known.is_some_and(|known| completes(known, class) && known.state.is_open());
        let increment = known.is_none() && advice.increment && shard.adds(card, key, currency, code);
        // An increment of nothing only extends what it adds to (R17).
        let extends = increment && advice.approved && billed.minor == 0 && shard.has_open(card, key);
        if (!advice.approved || billed.minor == 0) && !extends {
            let account = known.map_or(0, |known| known.account);
            let change = Change { sets, account, ..Change::none(ActionCode::Approved) };
            return match known {
                // Nothing was bought, and nothing of what was held is needed any more.
                Some(_) if ends && advice.approved => Change { effect: Effect::Post(0), ends, ..change },
                // A completion that was declined says nothing about what it would have completed.
                Some(known) if completes(known, class) => Change { sets: Sequence(0), ..change },
                _ => change,
            };
        }
        let Some((account, amount, opens)) = account_of(advice, shard, card, known) else {
            return Change::none(ActionCode::CurrencyNotHeld);
        };
        let account = &account;
        if amount <= 0 && !extends || !takes(account, amount) {
            return Change::none(ActionCode::InvalidAmount);
        }
        let amount = amount.min(left_by_partial_reversal(advice, shard, card, known, account, amount));
        let effect = match (class, advice.is_credit()) {
            (MessageClass::Authorization, false) => Effect::Hold(amount),
            (MessageClass::Financial, false) => Effect::Post(amount),
            (MessageClass::Authorization, true) => Effect::Pend(amount),
            (MessageClass::Financial, true) => Effect::Post(-amount),
        };
        let charge =
            if advice.is_credit() { None } else { charge_of(advice, shard, card, account, known, increment) };
        let taken = match effect {
            Effect::Hold(amount) | Effect::Post(amount) => amount,
            Effect::None | Effect::Pend(_) => 0,
        };
        let before = known.map_or(0, |known| there_already(known, class, account, shard, card));
        let mut shares = shares_of(shard, card, account, (taken, charge), (known, before));
        match opens {
            true if shares.is_empty() => return Change::none(ActionCode::CurrencyNotHeld),
            true => shares = shares.opening(account.currency),
            false => {}
        }
        Change {
            sets,
            effect,
            account: account.number,
            increment,
            ends,
            charge,
            shares,
            ..Change::none(ActionCode::Approved)
        }
    }
}

/// The account that an advice is about, the amount in its currency, and whether it is one that is opened with it: as
/// with a request, since the network has approved for us what we would have approved.
fn account_of(
    advice: &Advice,
    shard: &Shard,
    card: &Card,
    known: Option<&Authorization>,
) -> Option<(Account, i64, bool)> {
    let both = [advice.billed(), advice.amount];
    let held = |amount: Money| {
        shard.account_in(card, amount.currency).map(|account| (*account, amount.minor, false))
    };
    let may_open = known.is_none() && !advice.is_credit();
    let opened = || opened_for(both, shard, card).filter(|_| may_open);
    let opened = || opened().map(|(account, amount)| (account, amount, true));
    both.into_iter().find_map(held).or_else(opened)
}

/// What an authorization has taken of an account already of what an advice sets or completes.
fn there_already(
    known: &Authorization,
    class: MessageClass,
    account: &Account,
    shard: &Shard,
    card: &Card,
) -> i64 {
    if completes(known, class) {
        return shard.held_for_posting(card, known, account.number);
    }
    let same = known.account == account.number && known.taken > 0;
    let takes = matches!(known.state, AuthorizationState::Held | AuthorizationState::Posted);
    if same && takes { known.taken.saturating_add(shard.fee_of(known)) } else { 0 }
}

/// What an advice is charged by that takes from an account: what the authorization that it is about was told, or else
/// what its card's product says now.
fn charge_of(
    advice: &Advice,
    shard: &Shard,
    card: &Card,
    account: &Account,
    known: Option<&Authorization>,
    increment: bool,
) -> Option<Charge> {
    let known = known.filter(|known| known.account == account.number);
    if let Some(known) = known {
        return if completes(known, advice.class) {
            charge_of_posting(known, shard, card)
        } else {
            known.coded.charge()
        };
    }
    let Advice { key, processing_code: code, amount, .. } = advice;
    let by_rules = || {
        let usage = Usage::of(key, *code, amount.currency, advice.channel, advice.mcc, advice.country);
        shard.charge_for(card, &usage, account.currency)
    };
    if !increment {
        return by_rules();
    }
    let open = shard.incremented_by(card, key, amount.currency, *code);
    let open = open.filter(|open| open.account == account.number);
    open.map_or_else(by_rules, |open| open.coded.charge()).map(Charge::rest)
}

/// What the posting of an authorization is charged by. Once it was captured, what comes after it is a further part; an
/// increment alone stands for its whole purchase.
pub(super) fn charge_of_posting(known: &Authorization, shard: &Shard, card: &Card) -> Option<Charge> {
    let charge = known.coded.charge();
    match known.state {
        AuthorizationState::Captured => charge.map(Charge::rest),
        _ if known.is_increment() && shard.is_alone(card, known) => charge.map(Charge::whole),
        _ => charge,
    }
}

/// Where an administrative advice is kept that is about no card of ours.
#[must_use]
pub fn slot_of_note(advice: &AdministrativeAdvice) -> Slot {
    match advice.pan {
        Some(pan) => Slot::of_unknown_card(pan.masked()),
        None => Slot::new((advice.key.stan.0 % u32::from(SLOTS)) as u16).unwrap_or_default(),
    }
}

/// The record of a posting that this completion, or one of its repeats, has made. It is remembered longer than answers
/// are, for as long as the posting is.
fn posted_before(advice: &Advice, card: CardIdentity, shard: &Shard, now: Timestamp) -> Option<Sequence> {
    if advice.class != MessageClass::Financial {
        return None;
    }
    let class = advice.class as u8;
    let print = fingerprint(&advice.key, class, card, shard.seed());
    match shard.first_of(print, &advice.key, class, advice.repeat, now)? {
        First::Authorization(first) if first.is_capture() || first.settles().is_some() => {
            Some(first.sequence)
        }
        First::Authorization(_) | First::Answer(_) => None,
    }
}

/// What an advice finds.
enum Standing<'s> {
    /// Nothing is to be changed any more, for this reason.
    Settled(ActionCode),
    /// It sets the outcome of this authorization, or completes it.
    Sets(&'s Authorization),
    /// It opens one of its own.
    New,
}

fn standing<'s>(advice: &Advice, shard: &'s Shard, card: &Card) -> Standing<'s> {
    let holds = advice.class == MessageClass::Authorization;
    let Some(known) = shard.advised_by(card, advice) else {
        let mut tombstones = shard.tombstones_for_advice(card, advice);
        let undone = tombstones.any(|entry| entry.legs.has(LegState::BOTH_UNDONE));
        return if undone || advice.increment && shard.is_undone(card, &advice.key) {
            Standing::Settled(ActionCode::ReversedBeforeArrival)
        } else if holds && shard.is_captured(card, &advice.key) {
            // It was posted before the network told that it had been approved: it is never held as well (R14).
            Standing::Settled(ActionCode::Approved)
        } else {
            Standing::New
        };
    };
    match known.state {
        AuthorizationState::Held | AuthorizationState::Pending => Standing::Sets(known),
        // A credit that was given at once (R15): the network never gave it.
        AuthorizationState::Posted
            if holds && !advice.approved && completes(known, MessageClass::Financial) =>
        {
            Standing::Sets(known)
        }
        // What was posted is more than a hold, and is not posted again (R14).
        AuthorizationState::Posted if holds || known.class() == Some(MessageClass::Authorization) => {
            Standing::Settled(ActionCode::Approved)
        }
        AuthorizationState::Posted => Standing::Sets(known),
        // Its hold has ended; a completion comes late and posts all the same.
        AuthorizationState::Captured | AuthorizationState::Expired if holds => {
            Standing::Settled(ActionCode::Approved)
        }
        AuthorizationState::Captured | AuthorizationState::Expired => Standing::Sets(known),
        // What completes an authorization is paid, whatever became of it (R14).
        _ if completes(known, advice.class) => Standing::Sets(known),
        // A reversal of both legs came before the advice: then the two come to nothing. A reversal of our leg alone
        // says only that the network decided by itself, which is what the advice is about.
        _ if known.legs.has(LegState::BOTH_UNDONE) => Standing::Settled(ActionCode::ReversedBeforeArrival),
        _ => Standing::New,
    }
}

/// What a partial reversal that came before the advice left of its amount, in the account's currency.
fn left_by_partial_reversal(
    advice: &Advice,
    shard: &Shard,
    card: &Card,
    known: Option<&Authorization>,
    account: &Account,
    amount: i64,
) -> i64 {
    if let Some(known) = known {
        // What completes a hold posts its own amount (R14).
        let same = known.account == account.number && !completes(known, advice.class);
        let left = if same { shard.left_by_partial_reversals(card, known) } else { None };
        return left.unwrap_or(amount);
    }
    let cuts = shard
        .tombstones_for_advice(card, advice)
        .filter(|entry| entry.state == AuthorizationState::Tombstone && entry.legs.has(LegState::CUT));
    // Of the transaction's amount so much stays; of the account's the same part.
    cuts.fold(amount, |left, entry| left.min(part_of(amount, entry.taken, advice.amount.minor)))
}
