//! What becomes of a clearing record (R14, R15, R20). It is never declined: the network has paid the merchant. What no
//! wallet can take waits on the suspense account.

use crate::domain::card::CardIdentity;
use crate::domain::cleared::Clearance;
use crate::domain::cleared::Cleared;
use crate::domain::cleared::MatchedBy;
use crate::domain::clearing::Presentment;
use crate::domain::clearing::Usage;
use crate::domain::event::Sequence;
use crate::domain::fee::Charge;
use crate::domain::money::Money;
use crate::domain::money::part_of;
use crate::domain::party::Slot;
use crate::domain::request::MessageClass;
use crate::domain::share::Shares;
use crate::ledger::authorization::Authorization;
use crate::ledger::presented::NearMiss;
use crate::ledger::presented::Presented;
use crate::ledger::shard::Card;
use crate::ledger::shard::Shard;

use super::Authorizer;
use super::advise::charge_of_posting;
use super::share::shares_of;
use super::takes;

/// What is to be done about a clearing record.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are the large one, and a box would be an allocation"
)]
pub enum Clearing {
    /// Journal and apply the event; the rest explains it.
    New(Cleared, Explanation),
    /// The same record was handled by this record of the journal: nothing happens.
    Again(Sequence),
    /// A table is full: nothing may happen until there is room.
    Full(&'static str),
}

/// Why a clearing record was handled as it was, for its report.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// What it belongs to, as that stood before.
    pub matched: Option<Matched>,
    /// What it nearly fits, where it belongs to nothing.
    pub near: Vec<NearMiss>,
}

/// An authorization or a posting that a clearing record belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Matched {
    /// As it stood.
    pub authorization: Authorization,
    /// What its purchase still held, minor units of its account.
    pub held: i64,
}

/// To which account how much is posted.
struct Target {
    account: u16,
    amount: Money,
}

impl Authorizer {
    /// Decides what becomes of a clearing record. `card` is `None` for a card that is not ours.
    #[must_use]
    pub fn clear(&self, presentment: &Presentment, shard: &Shard, card: Option<&Card>) -> Clearing {
        let slot = match card {
            Some(card) => Slot::of_wallet(shard.wallet_of(card)),
            None => Slot::of_unknown_card(presentment.pan.masked()),
        };
        let before = card.and_then(|card| shard.cleared_before(card, presentment));
        if let Some(before) = before.or_else(|| shard.suspended_before(slot, presentment.key().print())) {
            return Clearing::Again(before);
        }
        let suspend = |outcome| {
            if !shard.has_room_to_suspend(slot) {
                return Clearing::Full("suspense");
            }
            let amount = signed(presentment, presentment.billed());
            let target = Target { account: 0, amount };
            let event = self.cleared(presentment, slot, card, outcome, &target);
            Clearing::New(event, Explanation::default())
        };
        let Some(card) = card else { return suspend(Clearance::UnknownCard) };
        if presentment.function.usage == Usage::Second {
            return suspend(Clearance::SecondPresentment);
        }
        let found = if presentment.function.reversal {
            shard.returned_by(card, presentment)
        } else {
            shard.presented(card, presentment, self.clearing_tolerance)
        };
        let Some(target) = target(presentment, shard, card, found.as_ref()) else {
            return suspend(Clearance::CurrencyNotHeld);
        };
        let outcome = outcome(presentment, found.as_ref());
        let posted = match found {
            _ if outcome.posts() => target.amount.minor,
            Some(found) if outcome == Clearance::AlreadyPosted => difference(found.authorization, &target),
            Some(found) if shard.returns_part(card, presentment, &found, self.clearing_tolerance) => {
                let part = part_returned(presentment, shard, card, found.authorization);
                let Some(part) = part else { return suspend(Clearance::CurrencyNotHeld) };
                part
            }
            _ => 0,
        };
        // What is given back was taken once, and can be refused no more.
        if posted != 0 && outcome != Clearance::Returned && !fits(shard, card, &target) {
            return suspend(Clearance::AmountOutOfRange);
        }
        // The end of a hold makes room on its card for what it posts.
        let ends = outcome == Clearance::Captured && presentment.part.is_final();
        if !shard.has_room_for_posting(card, ends) || !shard.has_room_to_count(card) {
            return Clearing::Full("authorizations");
        }
        let matched = found.map(|found| Matched {
            authorization: *found.authorization,
            held: shard.left_of(found.authorization, true),
        });
        let near = match found {
            Some(_) => Vec::new(),
            None => shard.near_misses(card, presentment, self.clearing_tolerance),
        };
        let event = self.cleared(presentment, slot, Some(card), outcome, &target);
        let event = Cleared {
            charge: charge_of(&event, presentment, shard, card, found.as_ref()),
            matches: found.map_or(Sequence(0), |found| found.authorization.sequence),
            by: found.map_or(MatchedBy::Nothing, |found| found.by),
            posted,
            ..event
        };
        let shares = shares_of_posting(&event, shard, card, found.as_ref());
        Clearing::New(Cleared { shares, ..event }, Explanation { matched, near })
    }

    fn cleared(
        &self,
        presentment: &Presentment,
        slot: Slot,
        card: Option<&Card>,
        outcome: Clearance,
        target: &Target,
    ) -> Cleared {
        let unknown = CardIdentity::Unknown(presentment.pan.masked());
        Cleared {
            slot,
            card: card.map_or(unknown, |card| CardIdentity::Known(card.reference)),
            account: target.account,
            network: presentment.network,
            function: presentment.function,
            part: presentment.part,
            arn: presentment.arn,
            amount: presentment.amount,
            billing: presentment.billing,
            approval_code: presentment.approval_code,
            network_reference: presentment.network_reference,
            rrn: presentment.rrn,
            terminal: presentment.terminal,
            merchant: presentment.merchant,
            acquirer: presentment.acquirer,
            mcc: presentment.mcc,
            outcome,
            by: MatchedBy::Nothing,
            matches: Sequence(0),
            posted: target.amount.minor,
            posted_in: target.amount.currency,
            charge: None,
            shares: Shares::NONE,
            configuration: self.configuration,
        }
    }
}

/// What a record that posts is charged by: what was authorized was told, or else what the card's product says now.
fn charge_of(
    event: &Cleared,
    presentment: &Presentment,
    shard: &Shard,
    card: &Card,
    found: Option<&Presented<'_>>,
) -> Option<Charge> {
    let given = presentment.function.reversal || presentment.function.is_credit();
    if !event.outcome.posts() || given {
        return None;
    }
    match found.filter(|found| found.authorization.account == event.account) {
        Some(found) => charge_of_posting(found.authorization, shard, card),
        None => shard.charge_for(card, &event.usage(), event.posted_in),
    }
}

/// What further accounts bear of what a record posts beyond what was held for it.
fn shares_of_posting(event: &Cleared, shard: &Shard, card: &Card, found: Option<&Presented<'_>>) -> Shares {
    let account = shard.account_numbered(card, event.account);
    let Some(account) = account.filter(|_| event.outcome.posts() && event.posted > 0) else {
        return Shares::NONE;
    };
    let held = found.map_or(0, |found| shard.held_for_posting(card, found.authorization, account.number));
    // A part leaves the hold of another account as it is.
    let known = found.map(|found| found.authorization).filter(|_| event.part.is_final());
    shares_of(shard, card, account, (event.posted, event.charge), (known, held))
}

fn outcome(presentment: &Presentment, found: Option<&Presented<'_>>) -> Clearance {
    match found {
        None => Clearance::Forced,
        Some(_) if presentment.function.reversal => Clearance::Returned,
        Some(found) if found.posted => Clearance::AlreadyPosted,
        Some(found) if found.authorization.state.is_open() => Clearance::Captured,
        Some(_) => Clearance::Late,
    }
}

/// What a credit that was given when it was authorized got too little, or too much (R15). What a 02xx posted stands as
/// it is (R14).
fn difference(posted: &Authorization, target: &Target) -> i64 {
    let at_once = posted.class() == Some(MessageClass::Authorization) && posted.account == target.account;
    if at_once { target.amount.minor.saturating_sub(posted.taken) } else { 0 }
}

/// How much a reversal gives back of what a message has posted of more than its presentment; zero for all of
/// it. Where the record says nothing in the account's currency, it is the same part of what was posted as it is
/// of what is left of the transaction. `None` when it is not in the currency of that either.
fn part_returned(
    presentment: &Presentment,
    shard: &Shard,
    card: &Card,
    posted: &Authorization,
) -> Option<i64> {
    let of_account = shard.account_currency(posted)?;
    let said = [presentment.billed(), presentment.amount];
    let amount = match said.into_iter().find(|said| said.currency == of_account) {
        Some(said) => signed(presentment, said).minor,
        None if presentment.amount.currency.numeric() == posted.currency => {
            -part_of(posted.taken, presentment.amount.minor, posted.amount - shard.returned_of(card, posted))
        }
        None => return None,
    };
    let less = amount.saturating_abs() < posted.taken.saturating_abs();
    Some(if less { amount } else { 0 })
}

/// Where a record is posted: to the account that was authorized, if that is in one of the record's
/// currencies; else to the wallet's first in the cardholder's currency, or in that of the transaction (R11).
/// `None` when it has neither, but for what was posted before, where nothing more is to be posted (R14).
fn target(
    presentment: &Presentment,
    shard: &Shard,
    card: &Card,
    found: Option<&Presented<'_>>,
) -> Option<Target> {
    let amounts = [Some(presentment.billed()), Some(presentment.amount)];
    let authorized = found.and_then(|found| {
        let currency = shard.account_currency(found.authorization)?;
        let amount = amounts.into_iter().flatten().find(|amount| amount.currency == currency)?;
        Some((found.authorization.account, amount))
    });
    let first = || {
        amounts.into_iter().flatten().find_map(|amount| {
            shard.account_in(card, amount.currency).map(|account| (account.number, amount))
        })
    };
    // What is given back goes where it came from.
    let returns = presentment.function.reversal && found.is_some_and(|found| found.posted);
    if let Some((account, amount)) = authorized.or_else(|| if returns { None } else { first() }) {
        return Some(Target { account, amount: signed(presentment, amount) });
    }
    // What is posted already needs no account that takes it.
    let posted = found.filter(|found| found.posted)?.authorization;
    let amount = Money::new(posted.taken, shard.account_currency(posted)?);
    Some(Target { account: posted.account, amount })
}

/// What leaves the account.
const fn signed(presentment: &Presentment, amount: Money) -> Money {
    let minor = if presentment.function.is_credit() { -amount.minor } else { amount.minor };
    Money::new(minor, amount.currency)
}

/// Whether the balance can take it in either direction, with what is held.
fn fits(shard: &Shard, card: &Card, target: &Target) -> bool {
    let account = shard.account_in(card, target.amount.currency);
    account.is_some_and(|account| takes(account, target.amount.minor))
}
