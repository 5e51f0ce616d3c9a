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
use crate::domain::party::SLOTS;
use crate::domain::party::Slot;
use crate::domain::request::AdministrativeAdvice;
use crate::domain::request::Advice;
use crate::domain::request::MessageClass;
use crate::domain::time::Timestamp;
use crate::ledger::authorization::Authorization;
use crate::ledger::authorization::AuthorizationState;
use crate::ledger::authorization::LegState;
use crate::ledger::chain::First;
use crate::ledger::chain::advice_class;
use crate::ledger::chain::fingerprint;
use crate::ledger::shard::Card;
use crate::ledger::shard::Shard;

use super::Authorizer;
use super::Decision;

/// What an advice changes.
struct Change {
    /// The open authorization whose outcome it sets; zero for a new one, or for none.
    sets: Sequence,
    action: ActionCode,
    effect: Effect,
    account: u16,
}

impl Change {
    const fn none(action: ActionCode) -> Self {
        Self { sets: Sequence(0), action, effect: Effect::None, account: 0 }
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
        let slot = match card {
            Some(card) => Slot::of_wallet(shard.wallet_of(card)),
            None => Slot::of_unknown_card(advice.pan.masked()),
        };
        let change = match card {
            Some(card) => change(advice, shard, card),
            None => Change::none(ActionCode::UnknownCard),
        };
        let opens = change.sets == Sequence(0) && change.effect != Effect::None;
        if opens && !card.is_some_and(|card| shard.has_room_for_authorization(card)) {
            return None;
        }
        let holds = matches!(change.effect, Effect::Hold(_));
        let event = Advised {
            slot,
            card: identity,
            account: change.account,
            key: advice.key,
            class: advice.class,
            repeat: advice.repeat,
            processing_code: advice.processing_code,
            amount: advice.amount,
            billing: advice.billing,
            approved: advice.approved,
            reason: advice.reason,
            approval_code: advice.approval_code,
            sets: change.sets,
            action: change.action,
            effect: change.effect,
            configuration: self.configuration,
            hold_until_s: if holds { self.hold_until_s(now) } else { 0 },
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
}

/// Where an administrative advice is kept that is about no card of ours.
#[must_use]
pub fn slot_of_note(advice: &AdministrativeAdvice) -> Slot {
    match advice.pan {
        Some(pan) => Slot::of_unknown_card(pan.masked()),
        None => Slot::new((advice.key.stan.0 % u32::from(SLOTS)) as u16).unwrap_or_default(),
    }
}

fn change(advice: &Advice, shard: &Shard, card: &Card) -> Change {
    let known = shard.advised_by(card, advice);
    let open = known.filter(|known| known.state.is_open());
    if let Some(open) = open {
        let posted = open.state == AuthorizationState::Posted;
        if posted && advice.class == MessageClass::Authorization {
            // What was posted is more than a hold: the stand-in advice of its request comes late.
            return Change::none(ActionCode::Approved);
        }
    } else if undone_before(advice, shard, card, known) {
        return Change::none(ActionCode::ReversedBeforeArrival);
    }
    let sets = open.map_or(Sequence(0), |open| open.sequence);
    let account_of_open = open.map_or(0, |open| open.account);
    let billed = advice.billed();
    if !advice.approved || billed.minor == 0 {
        return Change { sets, action: ActionCode::Approved, effect: Effect::None, account: account_of_open };
    }
    let by_billing = shard.account_in(card, billed.currency).map(|account| (account, billed.minor));
    let found = by_billing.or_else(|| {
        shard.account_in(card, advice.amount.currency).map(|account| (account, advice.amount.minor))
    });
    let Some((account, amount)) = found else { return Change::none(ActionCode::CurrencyNotHeld) };
    if !fits(account.held, amount) || !fits(account.posted, amount) {
        return Change::none(ActionCode::InvalidAmount);
    }
    let effect = match (advice.class, advice.is_credit()) {
        (MessageClass::Authorization, false) => Effect::Hold(amount),
        (MessageClass::Financial, false) => Effect::Post(amount),
        (MessageClass::Authorization, true) => Effect::Pend(amount),
        (MessageClass::Financial, true) => Effect::Post(-amount),
    };
    Change { sets, action: ActionCode::Approved, effect, account: account.number }
}

/// Whether a reversal of both legs came before the advice: then the two come to nothing. A reversal of our leg alone
/// says only that the network decided by itself, which is what the advice is about.
fn undone_before(advice: &Advice, shard: &Shard, card: &Card, closed: Option<&Authorization>) -> bool {
    let undone = |entry: &Authorization| entry.legs.has(LegState::BOTH_UNDONE);
    match closed {
        Some(closed) => undone(closed),
        None => shard.tombstones_for(card, &advice.key, advice.class).any(undone),
    }
}

/// Whether a balance can take an amount in either direction: so that an impossible amount is refused before it is
/// journaled.
const fn fits(balance: i64, amount: i64) -> bool {
    amount > 0 && balance.checked_add(amount).is_some() && balance.checked_sub(amount).is_some()
}
