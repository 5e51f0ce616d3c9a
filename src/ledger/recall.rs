//! Bringing a closed authorization back that a message may be about (R9).

use crate::domain::card::CardIdentity;
use crate::domain::event::Recalled;
use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;

use super::apply::ApplyError;
use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::shard::Shard;

impl Shard {
    /// Puts it behind its card's and its slot's other closed ones, as if it had been closed by this record: it stays as
    /// long as any other, and so does what limits had counted of it. One that is here already stays as it is.
    pub(super) fn recall(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &Recalled,
    ) -> Result<(), ApplyError> {
        let card = self.position_of(CardIdentity::Known(event.card))?;
        if self.position_on(card, event.closed.sequence).is_some() {
            return Ok(());
        }
        let entry = Authorization::recalled(&event.closed).ok_or(ApplyError::NoSuchAuthorization)?;
        let position = self.place(event.slot, card, entry).ok_or(ApplyError::Full("authorizations"))?;
        if entry.state != AuthorizationState::Tombstone {
            let fingerprint = self.fingerprint_of(self.authorizations.at(position));
            self.messages.insert(fingerprint, position);
        }
        if let Some(counted) = &event.counted {
            self.limits.take_back(event.closed.sequence, counted)?;
            let wallet = self.cards.at(card).wallet;
            self.mark_limited(wallet);
        }
        self.close(event.slot, position, sequence, time);
        Ok(())
    }
}
