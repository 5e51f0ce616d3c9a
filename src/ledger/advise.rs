//! Applying an advice: it sets the outcome of an authorization, whatever was decided before (R4, R14).

use crate::domain::action::ActionCode;
use crate::domain::event::Advised;
use crate::domain::event::Effect;
use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;

use super::answers::Remembered;
use super::apply::ApplyError;
use super::apply::moved;
use super::apply::state_after;
use super::authorization::Authorization;
use super::authorization::LegState;
use super::chain::advice_class;
use super::chain::fingerprint;
use super::shard::Shard;

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
            let entry = Authorization {
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
                    event.processing_code.0,
                    event.class as u8,
                    state_after(event.effect),
                )
            };
            self.open(event.slot, card, entry)?;
        }
        self.remember_advice(sequence, time, event);
        Ok(())
    }

    fn set_outcome(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &Advised,
    ) -> Result<(), ApplyError> {
        let card = self.position_of(event.card)?;
        let set = self.open_of(self.cards.at(card)).find(|(_, entry)| entry.sequence == event.sets);
        let Some((position, &entry)) = set else { return Err(ApplyError::NoSuchAuthorization) };
        if event.effect == Effect::None {
            self.give_back(position)?;
            self.authorizations.at_mut(position).legs = entry.legs.with(LegState::NETWORK_DECLINED);
            self.close(event.slot, position, sequence, time);
            return Ok(());
        }
        let wallet = self.cards.at(card).wallet;
        let (state, taken) = (state_after(event.effect), event.effect.amount());
        // What it took goes back first, so that an amount that only grows by a little can't overflow.
        let back = entry.taken.checked_neg().ok_or(ApplyError::Overflow)?;
        let before = *self.account_mut(wallet, entry.account).ok_or(ApplyError::NoSuchAccount)?;
        let freed = moved(before, entry.state, back)?;
        let target = if event.account == entry.account {
            freed
        } else {
            *self.account_mut(wallet, event.account).ok_or(ApplyError::NoSuchAccount)?
        };
        let after = moved(target, state, taken)?;
        self.settle(wallet, freed, entry.state, back);
        self.settle(wallet, after, state, taken);
        let place = self.authorizations.at_mut(position);
        place.state = state;
        place.taken = taken;
        place.account = event.account;
        place.hold_until_s = event.hold_until_s;
        place.legs = place.legs.with(LegState::NETWORK_APPROVED);
        Ok(())
    }

    fn remember_advice(&mut self, sequence: Sequence, time: Timestamp, event: &Advised) {
        let class = advice_class(event.class);
        self.remember(
            event.slot,
            time,
            Remembered {
                fingerprint: fingerprint(&event.key, class, event.card, self.seed),
                sequence,
                amount: event.amount.minor,
                posted: 0,
                available: 0,
                transmission: event.key.transmission.digits(),
                answered_s: time.seconds() as u32,
                processing_code: event.processing_code.0,
                currency: event.amount.currency.numeric(),
                account_currency: event.amount.currency.numeric(),
                approval_code: [0; 6],
                action: ActionCode::Approved,
            },
        );
    }
}
