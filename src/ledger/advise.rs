//! Applying an advice: it sets the outcome of an authorization, whatever was decided before (R4, R14).

use crate::domain::event::Advised;
use crate::domain::event::Effect;
use crate::domain::event::Sequence;
use crate::domain::fee::CodeAndCharge;
use crate::domain::money::Money;
use crate::domain::party::Slot;
use crate::domain::request::MessageClass;
use crate::domain::time::Timestamp;

use super::answers::Remembered;
use super::apply::ApplyError;
use super::apply::moved;
use super::apply::state_after;
use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::authorization::LegState;
use super::chain::advice_class;
use super::chain::fingerprint;
use super::limited::Counts;
use super::shard::Shard;

/// What a capture has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Captured {
    /// What was held, all of it together, minor units.
    pub(super) held: i64,
    /// What began the purchase was among it, and not only increments.
    pub(super) began: bool,
}

impl Shard {
    /// Sets an outcome, opens an authorization that only the network knows of, or does nothing; and remembers the
    /// advice for its repeats (R5).
    pub(super) fn advised(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &Advised,
    ) -> Result<(), ApplyError> {
        if event.sets != Sequence(0) {
            self.set_outcome(sequence, time, event)?;
        } else if event.effect != Effect::None {
            let card = self.position_of(event.card)?;
            let entry = self.advised_entry(sequence, time, event);
            let posts = entry.state == AuthorizationState::Posted;
            let legs = if posts { entry.legs.with(LegState::CAPTURE) } else { entry.legs };
            // One that adds to nothing that is open is a use of its own.
            let more = event.increment && self.has_open(self.cards.at(card), &event.key);
            let counts = if more { Counts::More } else { Counts::One };
            self.open_for_shares(card, event.account, &event.shares)?;
            self.expect_shares(&event.shares);
            self.open(event.slot, card, Authorization { legs, ..entry }, || counts(event.usage()), time)?;
            if event.increment && entry.state.is_open() {
                self.extend(self.cards.at(card).open);
            }
        }
        self.remember_advice(sequence, time, event);
        Ok(())
    }

    /// An authorization as the advice tells it.
    fn advised_entry(&self, sequence: Sequence, time: Timestamp, event: &Advised) -> Authorization {
        Authorization {
            account: event.account,
            taken: event.effect.amount(),
            answered: event.effect.amount(),
            hold_until_s: event.hold_until_s,
            approval_code: event.approval_code.map_or([0; 6], |code| code.0),
            legs: LegState::NETWORK_APPROVED,
            ..self.entry(
                sequence,
                time,
                &event.key,
                event.amount,
                CodeAndCharge::new(event.processing_code, event.charge),
                event.class as u8 | if event.increment { Authorization::INCREMENT } else { 0 },
                state_after(event.effect),
            )
        }
    }

    fn set_outcome(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &Advised,
    ) -> Result<(), ApplyError> {
        let card = self.position_of(event.card)?;
        let position = self.position_on(card, event.sets).ok_or(ApplyError::NoSuchAuthorization)?;
        let entry = *self.authorizations.at(position);
        if entry.is_clearing() {
            // Its clearing record came first, and has posted it.
            let told = self.advised_entry(sequence, time, event);
            let settled = Authorization {
                state: AuthorizationState::Settled,
                taken: 0,
                answered: event.sets.0 as i64,
                legs: told.legs.with(LegState::CAPTURE),
                ..told
            };
            let linked = self.link_closed(event.slot, card, settled, time);
            return linked.map(|_| ()).ok_or(ApplyError::Full("authorizations"));
        }
        if event.effect == Effect::None {
            let legs = entry.legs.with(LegState::NETWORK_DECLINED);
            if entry.state.is_open() {
                self.give_back(position, AuthorizationState::Reversed)?;
                self.close(event.slot, position, sequence, time);
            } else {
                self.give_back_posting(position)?;
            }
            self.authorizations.at_mut(position).legs = legs;
            return Ok(());
        }
        if completes(&entry, event.class) {
            self.was_charged(position, event.charge);
            let posted = self.advised_entry(sequence, time, event);
            let total = posted.taken.saturating_add(self.fee_on(card, &posted, posted.taken));
            self.hand_over_all_shares(position, event.account, total)?;
            self.expect_shares(&event.shares);
            // What was held goes first, so that a balance near its limit can take what is posted.
            let captured = self.capture(sequence, time, event.slot, position)?;
            let counts = || match captured {
                Some(captured) => Counts::Before(captured, event.usage()),
                None if entry.state == AuthorizationState::Captured => Counts::More(event.usage()),
                // It was given back, and is paid all the same.
                None => Counts::One(event.usage()),
            };
            let answered = if self.knows_beginning(card, &entry) { 0 } else { posted.taken };
            let legs = posted.legs.with(LegState::CAPTURE);
            let posted = Authorization { legs, answered, ..posted };
            return self.open(event.slot, card, posted, counts, time);
        }
        self.replace_amount(sequence, time, position, event)
    }

    /// What an authorization took becomes what the advice tells. It stays where it stands, and lives no shorter.
    fn replace_amount(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        position: u32,
        event: &Advised,
    ) -> Result<(), ApplyError> {
        let entry = *self.authorizations.at(position);
        let wallet = self.cards.at(entry.card).wallet;
        let (state, taken) = (state_after(event.effect), event.effect.amount());
        if state.is_open() != entry.state.is_open() {
            return Err(ApplyError::NoSuchAuthorization);
        }
        if !self.makes_room_to_count(entry.card) {
            return Err(ApplyError::Full("counted"));
        }
        // What it took goes back first, so that an amount that only grows by a little can't overflow.
        let back = entry.taken.checked_neg().ok_or(ApplyError::Overflow)?;
        let fee_back = -self.fee_of(&entry);
        let coded = CodeAndCharge::new(entry.coded.processing_code(), event.charge);
        let fee = self.fee_on(entry.card, &Authorization { state, coded, ..entry }, taken);
        let before = *self.account_mut(wallet, entry.account).ok_or(ApplyError::NoSuchAccount)?;
        let freed = moved(before, entry.state, back, fee_back)?;
        let target = if event.account == entry.account {
            freed
        } else {
            *self.account_mut(wallet, event.account).ok_or(ApplyError::NoSuchAccount)?
        };
        let after = moved(target, state, taken, fee)?;
        self.settle(wallet, freed, entry.state, back, fee_back);
        self.settle(wallet, after, state, taken, fee);
        // On another account, or where it takes nothing any more, nothing of them is left.
        let stays = event.account == entry.account && state == entry.state;
        let (total, now) = (-(back + fee_back), if stays { taken + fee } else { 0 });
        self.give_back_shares(position, total, total - now)?;
        let (taken_now, usage) = (Money::new(taken, after.currency), || event.usage());
        self.recount_outcome(position, state, taken_now, usage, (sequence, time))?;
        let place = self.authorizations.at_mut(position);
        place.state = state;
        place.taken = taken;
        place.coded = coded;
        place.account = event.account;
        place.hold_until_s = place.hold_until_s.max(event.hold_until_s);
        place.legs = place.legs.with(LegState::NETWORK_APPROVED);
        self.expect_shares(&event.shares);
        self.bear_shares(position)?;
        if entry.is_increment() && state.is_open() {
            self.extend(position);
        }
        Ok(())
    }

    /// Gives back what an authorization and the increments of its purchase hold: it is posted by a message of its own,
    /// and that is final. What was counted of them goes with it. `None` when nothing was open any more.
    pub(super) fn capture(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        slot: Slot,
        position: u32,
    ) -> Result<Option<Captured>, ApplyError> {
        let named = *self.authorizations.at(position);
        let mut all = None;
        let mut end = |shard: &mut Self, position| {
            // What pends was not counted.
            let entry = shard.authorizations.at(position);
            let taken = if entry.state == AuthorizationState::Held { entry.taken } else { 0 };
            let Captured { held, began } = all.unwrap_or_default();
            all = Some(Captured { held: held.saturating_add(taken), began: began || !entry.is_increment() });
            shard.hand_over(position, sequence);
            shard.give_back(position, AuthorizationState::Captured)?;
            shard.close(slot, position, sequence, time);
            Ok::<_, ApplyError>(())
        };
        while let Some(other) = self.open_increment_besides(named.card, &named) {
            end(self, other)?;
        }
        if named.state.is_open() {
            end(self, position)?;
        }
        Ok(all)
    }

    fn remember_advice(&mut self, sequence: Sequence, time: Timestamp, event: &Advised) {
        let class = advice_class(event.class);
        let print = fingerprint(&event.key, class, event.card, self.seed);
        let (code, amount) = (event.processing_code, event.amount);
        let entry = Remembered::acknowledged(print, sequence, time, &event.key, code, amount);
        self.remember(event.slot, time, entry);
    }
}

/// Whether an advice of this class posts what the authorization holds, instead of saying what its outcome was (R14).
#[must_use]
pub const fn completes(authorization: &Authorization, class: MessageClass) -> bool {
    matches!(authorization.class(), Some(MessageClass::Authorization))
        && matches!(class, MessageClass::Financial)
}
