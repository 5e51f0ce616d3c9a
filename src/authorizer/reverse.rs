//! What a full reversal does (0400, 0420 and their repeats). It is never declined.

use crate::domain::action::ActionCode;
use crate::domain::answer::Answer;
use crate::domain::card::CardIdentity;
use crate::domain::event::Event;
use crate::domain::event::Reversed;
use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::request::Legs;
use crate::domain::request::ReversalRequest;
use crate::domain::time::Timestamp;
use crate::ledger::authorization::Authorization;
use crate::ledger::authorization::LegState;
use crate::ledger::authorization::undone_by;
use crate::ledger::chain::First;
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
        let known = original.legs.has(undone_by(Legs::Ours));
        (!known).then(|| self.reverse(reversal, now, decided_after_us, shard, card)).flatten()
    }

    /// Finds what a reversal undoes (R7). `None` when there is no room for the tombstone that it must leave: then it
    /// gets no answer, and the network sends it again (R2).
    #[must_use]
    pub fn reverse(
        &self,
        reversal: &ReversalRequest,
        now: Timestamp,
        decided_after_us: u32,
        shard: &Shard,
        card: Option<&Card>,
    ) -> Option<Decision> {
        let done = |depends_on| Answer { depends_on, ..Answer::decline(ActionCode::Approved, depends_on) };
        // Which record undid the second leg is not kept; it is not after the shard's last one.
        let again = |entry: &Authorization| {
            let later = entry.legs.has(LegState::UNDONE_LATER);
            Decision::Repeat(done(if later { shard.applied() } else { entry.closed_by }))
        };
        let event = |slot, card, undoes| {
            Event::Reversed(Reversed {
                slot,
                card,
                key: reversal.key,
                advice: reversal.advice,
                repeat: reversal.repeat,
                processing_code: reversal.processing_code,
                amount: reversal.amount,
                original: reversal.original,
                approval_code: reversal.approval_code,
                undoes,
                legs: reversal.legs,
                reason: reversal.reason,
                configuration: self.configuration,
                decided_after_us,
            })
        };
        let Some(card) = card else {
            let identity = CardIdentity::Unknown(reversal.pan.masked());
            let print = fingerprint(&reversal.key, REVERSAL_CLASS, identity, shard.seed());
            let first = shard.first_of(print, &reversal.key, REVERSAL_CLASS, true, now);
            if let Some(First::Answer(first)) = first {
                return Some(Decision::Repeat(done(first.sequence)));
            }
            let slot = Slot::of_unknown_card(reversal.pan.masked());
            return Some(Decision::New(event(slot, identity, Sequence(0)), done(Sequence(0))));
        };
        let identity = CardIdentity::Known(card.reference);
        let slot = Slot::of_wallet(shard.wallet_of(card));
        if let Some(original) = shard.original_of(card, reversal) {
            if !original.state.is_open() && original.legs.has(undone_by(reversal.legs)) {
                return Some(again(original));
            }
            return Some(Decision::New(event(slot, identity, original.sequence), done(Sequence(0))));
        }
        if let Some(tombstone) = shard.tombstone_of(card, reversal) {
            if tombstone.legs.has(undone_by(reversal.legs)) {
                return Some(again(tombstone));
            }
            return Some(Decision::New(event(slot, identity, tombstone.sequence), done(Sequence(0))));
        }
        let room = shard.has_room_for_authorization(card);
        room.then(|| Decision::New(event(slot, identity, Sequence(0)), done(Sequence(0))))
    }
}
