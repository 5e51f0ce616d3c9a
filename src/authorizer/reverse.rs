//! What a full reversal does (0400, 0420 and their repeats). It is never declined.

use crate::domain::action::ActionCode;
use crate::domain::answer::Answer;
use crate::domain::card::CardIdentity;
use crate::domain::event::Event;
use crate::domain::event::Reversed;
use crate::domain::event::Sequence;
use crate::domain::money::part_of;
use crate::domain::party::Slot;
use crate::domain::request::Legs;
use crate::domain::request::Replacement;
use crate::domain::request::ReversalRequest;
use crate::domain::time::Timestamp;
use crate::ledger::authorization::Authorization;
use crate::ledger::authorization::AuthorizationState;
use crate::ledger::authorization::LegState;
use crate::ledger::authorization::undone_by;
use crate::ledger::chain::First;
use crate::ledger::chain::Original;
use crate::ledger::chain::REVERSAL_CLASS;
use crate::ledger::chain::fingerprint;
use crate::ledger::shard::Card;
use crate::ledger::shard::Shard;

use super::Authorizer;
use super::Decision;

impl Authorizer {
    /// What becomes of an authorization whose answer did not arrive (Mastercard 0190, a rejected 0110): our leg of it
    /// is undone (R4). `None` when there is nothing to undo, since then there is nothing to wait for either.
    #[must_use]
    pub fn undelivered(
        &self,
        reversal: &ReversalRequest,
        now: Timestamp,
        decided_after_us: u32,
        shard: &Shard,
        card: Option<&Card>,
    ) -> Option<Decision> {
        let original = shard.original_of(card?, reversal)?;
        let known = original.authorization.legs.has(undone_by(Legs::Ours));
        (!known).then(|| self.reverse(reversal, now, decided_after_us, shard, card)).flatten()
    }

    /// Finds what a reversal undoes (R7). `None` when there is no room for what it must leave: then it gets no answer,
    /// and the network sends it again (R2).
    #[must_use]
    pub fn reverse(
        &self,
        reversal: &ReversalRequest,
        now: Timestamp,
        decided_after_us: u32,
        shard: &Shard,
        card: Option<&Card>,
    ) -> Option<Decision> {
        self.reverse_or_miss(reversal, now, decided_after_us, shard, card).map(|(decision, _)| decision)
    }

    /// The same, and whether it misses: its card is ours, and no authorization that is here is what it is about. The
    /// tombstone that one like it has left is none.
    #[must_use]
    pub fn reverse_or_miss(
        &self,
        reversal: &ReversalRequest,
        now: Timestamp,
        decided_after_us: u32,
        shard: &Shard,
        card: Option<&Card>,
    ) -> Option<(Decision, bool)> {
        let identity = card
            .map_or(CardIdentity::Unknown(reversal.pan.masked()), |card| CardIdentity::Known(card.reference));
        if card.is_none() || reversal.replacement.is_some() {
            let print = fingerprint(&reversal.key, REVERSAL_CLASS, identity, shard.seed());
            match shard.first_of(print, &reversal.key, REVERSAL_CLASS, true, now) {
                Some(First::Answer(first)) => return Some((Decision::Repeat(done(first.sequence)), false)),
                Some(First::Authorization(first)) => {
                    return Some((Decision::Repeat(done(first.sequence)), false));
                }
                None => {}
            }
        }
        let aim = match card {
            Some(card) => match aim(reversal, shard, card)? {
                Aimed::At(aim) => aim,
                Aimed::Again(depends_on, misses) => {
                    return Some((Decision::Repeat(done(depends_on)), misses));
                }
            },
            None => Aim::default(),
        };
        let event = Reversed {
            slot: match card {
                Some(card) => Slot::of_wallet(shard.wallet_of(card)),
                None => Slot::of_unknown_card(reversal.pan.masked()),
            },
            card: identity,
            key: reversal.key,
            advice: reversal.advice,
            repeat: reversal.repeat,
            processing_code: reversal.processing_code,
            amount: reversal.amount,
            original: reversal.original,
            approval_code: reversal.approval_code,
            undoes: aim.undoes,
            whole: aim.whole,
            keeps: aim.keeps,
            legs: reversal.legs,
            reason: reversal.reason,
            configuration: self.configuration,
            decided_after_us,
        };
        Some((Decision::New(Event::Reversed(event), done(Sequence(0))), aim.misses))
    }
}

/// A reversal is never declined.
fn done(depends_on: Sequence) -> Answer {
    Answer::decline(ActionCode::Approved, depends_on)
}

/// What a reversal undoes.
#[derive(Default)]
struct Aim {
    /// The authorization, or the tombstone that is made stronger; zero for a new tombstone.
    undoes: Sequence,
    whole: bool,
    keeps: Option<i64>,
    /// No authorization is what it is about.
    misses: bool,
}

enum Aimed {
    At(Aim),
    /// It was undone before, and the answer depends on this record; or, where it misses, all that it does was done.
    Again(Sequence, bool),
}

/// `None` when what it must leave has no room.
fn aim(reversal: &ReversalRequest, shard: &Shard, card: &Card) -> Option<Aimed> {
    // Which record undid the second leg is not kept; it is not after the shard's last one.
    let again = |entry: &Authorization| {
        let later = entry.legs.has(LegState::UNDONE_LATER);
        let misses = entry.state == AuthorizationState::Tombstone;
        Some(Aimed::Again(if later { shard.applied() } else { entry.closed_by }, misses))
    };
    let leaves = || shard.has_room_for_authorization(card);
    let original = shard.original_of(card, reversal);
    if let Some((undoes, whole)) = original.and_then(|found| part_or_whole(reversal, shard, card, &found)) {
        let ended = !undoes.state.is_open() && undoes.legs.has(undone_by(reversal.legs));
        let Some(replacement) = reversal.replacement else {
            if ended {
                return again(undoes);
            }
            return Some(Aimed::At(Aim { undoes: undoes.sequence, whole, keeps: None, misses: false }));
        };
        if ended {
            return again(undoes);
        }
        let keeps = keeps(reversal, replacement, shard, undoes, whole);
        let aim = Aim { undoes: undoes.sequence, whole, keeps: Some(keeps), misses: false };
        return leaves().then_some(Aimed::At(aim));
    }
    // In the currency of the transaction, since no account is known.
    let keeps = reversal.replacement.map(|replacement| replacement.amount);
    let Some(tombstone) = shard.tombstone_of(card, reversal) else {
        let aim = Aim { undoes: Sequence(0), whole: false, keeps, misses: true };
        return leaves().then_some(Aimed::At(aim));
    };
    let known = match keeps {
        None => tombstone.legs.has(undone_by(reversal.legs)),
        Some(keeps) => {
            tombstone.legs.has(LegState::BOTH_UNDONE)
                || tombstone.legs.has(LegState::CUT) && tombstone.taken <= keeps
        }
    };
    if known {
        return again(tombstone);
    }
    Some(Aimed::At(Aim { undoes: tombstone.sequence, whole: false, keeps, misses: true }))
}

/// Which authorization a reversal undoes, and whether all others of its purchase with it (R7).
///
/// One that names a message undoes that message; a full one of the request that began the purchase, or one with the
/// amount of all that is open, undoes the whole. One that names the purchase alone undoes the message whose amount it
/// has, else the whole; but not if DE 90 names a message that has not come: `None`, since it is about that one.
fn part_or_whole<'s>(
    reversal: &ReversalRequest,
    shard: &'s Shard,
    card: &Card,
    original: &Original<'s>,
) -> Option<(&'s Authorization, bool)> {
    let found = original.authorization;
    let asked = reversal.amount;
    let has_amount =
        |entry: &Authorization| entry.amount == asked.minor && entry.currency == asked.currency.numeric();
    if found.network_reference == 0 {
        return Some((found, false));
    }
    let members = || shard.open_members(card, found);
    let has_total = || {
        members().all(|entry| entry.currency == asked.currency.numeric())
            && members().fold(0_i64, |sum, entry| sum.saturating_add(entry.amount)) == asked.minor
    };
    if original.named {
        let others = || members().filter(|entry| entry.sequence != found.sequence);
        if reversal.legs == Legs::Ours || others().next().is_none() {
            return Some((found, false));
        }
        // Another first request with the same id is a purchase of its own, whatever gave it that id.
        let begins = reversal.replacement.is_none() && !found.is_increment() && found.state.is_open();
        let ends_purchase = begins && others().all(Authorization::is_increment);
        // What is closed is no part of what is open together, whatever amount that has.
        return Some((found, ends_purchase || found.state.is_open() && has_total()));
    }
    if let Some(entry) = members().find(|entry| has_amount(entry)) {
        return Some((entry, false));
    }
    if reversal.original.is_some_and(|original| original.class.is_some()) && !has_total() {
        return None;
    }
    Some((found, reversal.legs == Legs::Both))
}

/// What a partial reversal leaves, in the account's currency: what the network says in that currency, else the same
/// part of what was approved as DE 95 is of DE 4. Of several accounts it leaves that part each: then DE 95 itself.
fn keeps(
    reversal: &ReversalRequest,
    replacement: Replacement,
    shard: &Shard,
    original: &Authorization,
    whole: bool,
) -> i64 {
    if whole && shard.takes_from_several(original) {
        return replacement.amount;
    }
    let currency = shard.account_currency(original);
    let billing = reversal.billing.filter(|billing| Some(billing.currency) == currency);
    if let (Some(_), Some(kept)) = (billing, replacement.billing) {
        return kept;
    }
    if Some(reversal.amount.currency) == currency {
        return replacement.amount;
    }
    let base = match billing {
        Some(billing) => billing.minor,
        None => shard.left_of(&shard.as_it_stands(original), whole),
    };
    part_of(base, replacement.amount, reversal.amount.minor)
}
