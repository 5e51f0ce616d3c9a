//! Applying a reversal: it gives back what its original took, or leaves what waits for the original (R4, R7).

use crate::domain::card::CardIdentity;
use crate::domain::event::Reversed;
use crate::domain::event::Sequence;
use crate::domain::fee::CodeAndCharge;
use crate::domain::money::Money;
use crate::domain::money::part_of;
use crate::domain::request::Legs;
use crate::domain::time::Timestamp;

use super::answers::Remembered;
use super::apply::ApplyError;
use super::apply::moved;
use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::authorization::LegState;
use super::authorization::undone_by;
use super::chain::Named;
use super::chain::REVERSAL_CLASS;
use super::chain::fingerprint;
use super::shard::Shard;
use super::slab::NONE;

impl Shard {
    /// Undoes an authorization or its whole group, leaves a part of it, or leaves what waits for it.
    pub(super) fn reversed(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &Reversed,
    ) -> Result<(), ApplyError> {
        let CardIdentity::Known(_) = event.card else {
            self.remember_reversal(sequence, time, event);
            return Ok(());
        };
        let card = self.position_of(event.card)?;
        if event.undoes == Sequence(0) {
            return self.leave_tombstone(sequence, time, event, card);
        }
        let target = self.position_on(card, event.undoes).ok_or(ApplyError::NoSuchAuthorization)?;
        if let Some(keeps) = event.keeps {
            return self.cut(sequence, time, event, target, keeps);
        }
        let named = *self.authorizations.at(target);
        // First of all, since what the others leave behind may take the place of a closed one.
        self.undo(sequence, time, event, target)?;
        while let Some(other) = self.open_member_besides(card, &named).filter(|_| event.whole) {
            self.undo(sequence, time, event, other)?;
        }
        Ok(())
    }

    fn undo(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &Reversed,
        position: u32,
    ) -> Result<(), ApplyError> {
        let entry = *self.authorizations.at(position);
        let legs = entry.legs.with(undone_by(event.legs));
        // Where the network has approved it by itself, it stands as before without our leg (R4).
        let stands = event.legs == Legs::Ours && legs.has(LegState::NETWORK_APPROVED);
        match entry.state {
            AuthorizationState::Held | AuthorizationState::Pending if stands => {
                self.authorizations.at_mut(position).legs = legs;
            }
            AuthorizationState::Held | AuthorizationState::Pending => {
                self.give_back(position, AuthorizationState::Reversed)?;
                self.authorizations.at_mut(position).legs = legs;
                self.close(event.slot, position, sequence, time);
            }
            AuthorizationState::Posted if !stands => {
                self.give_back_posting(position)?;
                self.authorizations.at_mut(position).legs = legs.with(LegState::UNDONE_LATER);
            }
            AuthorizationState::Settled if !stands => {
                // It found its amount posted by a clearing record, and stands for that.
                let posting = entry.settles().and_then(|posting| self.position_on(entry.card, posting));
                if let Some(posting) = posting {
                    self.give_back_posting(posting)?;
                    let place = self.authorizations.at_mut(posting);
                    place.legs = place.legs.with(undone_by(event.legs));
                }
                self.authorizations.at_mut(position).legs = legs.with(LegState::UNDONE_LATER);
            }
            // Nothing is left to give back.
            _ => self.authorizations.at_mut(position).legs = legs.with(LegState::UNDONE_LATER),
        }
        Ok(())
    }

    /// Gives back what an open authorization took, and takes it off its card's list of open ones.
    pub(super) fn give_back(&mut self, position: u32, state: AuthorizationState) -> Result<(), ApplyError> {
        self.take_less(position, 0)?;
        self.unlink_open(position);
        self.authorizations.at_mut(position).state = state;
        Ok(())
    }

    /// Posts the opposite of what was posted (R14). It stays where it is among the closed ones, and was closed by what
    /// posted it.
    pub(super) fn give_back_posting(&mut self, position: u32) -> Result<(), ApplyError> {
        if self.authorizations.at(position).state != AuthorizationState::Posted {
            return Ok(());
        }
        self.take_less(position, 0)?;
        self.authorizations.at_mut(position).state = AuthorizationState::Reversed;
        Ok(())
    }

    /// Gives back all of what an authorization took but `keeps`. What it is said to have taken is the caller's.
    fn take_less(&mut self, position: u32, keeps: i64) -> Result<(), ApplyError> {
        let entry = *self.authorizations.at(position);
        let wallet = self.cards.at(entry.card).wallet;
        let account = *self.account_mut(wallet, entry.account).ok_or(ApplyError::NoSuchAccount)?;
        let change = keeps.checked_sub(entry.taken).ok_or(ApplyError::Overflow)?;
        let fee = self.fee_on(entry.card, &entry, keeps) - self.fee_of(&entry);
        let after = moved(account, entry.state, change, fee)?;
        self.settle(wallet, after, entry.state, change, fee);
        let total = entry.taken.saturating_add(self.fee_of(&entry));
        // Where nothing stays, nothing is borne of it.
        let less = if keeps == 0 { i64::MAX } else { (change + fee).saturating_neg() };
        self.give_back_shares(position, total, less)?;
        self.recount(position, Money::new(keeps, account.currency));
        Ok(())
    }

    /// Leaves `keeps` of what an authorization or its whole group took, and is remembered for its repeats. What is
    /// less already stays as it is: a reversal never takes more.
    fn cut(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &Reversed,
        target: u32,
        keeps: i64,
    ) -> Result<(), ApplyError> {
        let named = self.as_it_stands(self.authorizations.at(target));
        if named.state == AuthorizationState::Tombstone {
            let place = self.authorizations.at_mut(target);
            let less = !place.legs.has(LegState::CUT) || keeps < place.taken;
            place.taken = if less { keeps } else { place.taken };
            place.legs = place.legs.with(LegState::CUT).with(LegState::UNDONE_LATER);
            return Ok(());
        }
        // Amounts of several accounts have no sum: each gives back the same part.
        let several = event.whole && self.takes_from_several(&named);
        let part = |left: i64| part_of(left, keeps, event.amount.minor);
        let own = self.left_of(&named, event.whole);
        let entry = Authorization {
            account: named.account,
            network_reference: named.network_reference,
            taken: if several { part(own) } else { keeps },
            answered: if event.whole { 0 } else { named.sequence.0 as i64 },
            ..self.entry(
                sequence,
                time,
                &event.key,
                event.amount,
                CodeAndCharge::new(event.processing_code, None),
                REVERSAL_CLASS,
                AuthorizationState::Cut,
            )
        };
        let card = named.card;
        let mut left = own.saturating_sub(keeps).max(0);
        let mut cut_one = |shard: &mut Self, at| {
            let taken = shard.authorizations.at(at).taken.saturating_abs();
            let surplus = if several { taken.saturating_sub(part(taken)).max(0) } else { left };
            left = shard.cut_one(at, surplus)?;
            Ok::<_, ApplyError>(())
        };
        if named.state == AuthorizationState::Posted {
            let posting = self.authorizations.at(target).settles();
            let posting = posting.and_then(|posting| self.position_on(card, posting));
            cut_one(self, posting.unwrap_or(target))?;
        }
        let mut at = self.cards.at(card).open;
        while at != NONE {
            let member = *self.authorizations.at(at);
            if member.sequence == named.sequence || event.whole && member.is_of_group(&named) {
                cut_one(self, at)?;
            }
            at = member.chain_next;
        }
        self.link_closed(event.slot, card, entry, time).ok_or(ApplyError::Full("authorizations"))?;
        Ok(())
    }

    /// Gives back up to `surplus` of what one authorization took. Returns what is still to be given back by others.
    fn cut_one(&mut self, position: u32, surplus: i64) -> Result<i64, ApplyError> {
        let taken = self.authorizations.at(position).taken;
        let less = surplus.min(taken.saturating_abs());
        if less > 0 {
            let keeps = taken - less * taken.signum();
            self.take_less(position, keeps)?;
            self.authorizations.at_mut(position).taken = keeps;
        }
        let place = self.authorizations.at_mut(position);
        place.legs = place.legs.with(LegState::CUT);
        Ok(surplus - less)
    }

    fn leave_tombstone(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &Reversed,
        card: u32,
    ) -> Result<(), ApplyError> {
        let named = Named::by(&event.key, event.original.as_ref());
        let state = AuthorizationState::Tombstone;
        let coded = CodeAndCharge::new(event.processing_code, None);
        let entry = Authorization {
            stan: named.stan,
            transmission: named.transmission,
            acquirer: named.acquirer,
            taken: event.keeps.unwrap_or(0),
            legs: if event.keeps.is_some() { LegState::CUT } else { undone_by(event.legs) },
            ..self.entry(sequence, time, &event.key, event.amount, coded, named.class, state)
        };
        let position = self.place(event.slot, card, entry).ok_or(ApplyError::Full("authorizations"))?;
        self.close(event.slot, position, sequence, time);
        Ok(())
    }

    /// A reversal for a card that is not ours leaves only its answer.
    fn remember_reversal(&mut self, sequence: Sequence, time: Timestamp, event: &Reversed) {
        let print = fingerprint(&event.key, REVERSAL_CLASS, event.card, self.seed);
        let (code, amount) = (event.processing_code, event.amount);
        let entry = Remembered::acknowledged(print, sequence, time, &event.key, code, amount);
        self.remember(event.slot, time, entry);
    }
}
