//! The end of an authorization that nothing has ended (R19), and how it is found.
//!
//! The table of authorizations is looked through from end to end, again and again, some hundred places under one lock:
//! a pass over ten million reads one cache line of each and takes a small part of a second, once a minute. Lists by
//! time would be exact to the second, but cost every approval and every reversal two or three lines of memory that are
//! not in the cache, which together is a hundred times as much.

use crate::domain::card::CardIdentity;
use crate::domain::event::Expired;
use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::time::Timestamp;

use super::apply::ApplyError;
use super::authorization::AuthorizationState;
use super::shard::Shard;

impl Shard {
    /// The first authorization whose time is over at `now_s` (seconds since 1970) among the `places` from `from` on,
    /// and where to go on looking. After the last place it begins again from the first.
    #[must_use]
    pub fn overdue(&self, from: u32, places: u32, now_s: u32) -> (Option<Expired>, u32) {
        let end = self.authorizations.used();
        let last = from.saturating_add(places).min(end);
        for position in from..last {
            let entry = self.authorizations.at(position);
            if entry.hold_until_s != 0 && entry.hold_until_s <= now_s && entry.state.is_open() {
                let card = self.cards.at(entry.card);
                let slot = Slot::of_wallet(self.wallet_of(card));
                let found = Expired { slot, card: card.reference, authorization: entry.sequence };
                return (Some(found), position + 1);
            }
        }
        (None, if last >= end { 0 } else { last })
    }

    pub(super) fn expired(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &Expired,
    ) -> Result<(), ApplyError> {
        let card = self.position_of(CardIdentity::Known(event.card))?;
        let position = self.position_on(card, event.authorization);
        let position = position.ok_or(ApplyError::NoSuchAuthorization)?;
        if !self.authorizations.at(position).state.is_open() {
            return Err(ApplyError::NoSuchAuthorization);
        }
        self.give_back(position, AuthorizationState::Expired)?;
        self.close(event.slot, position, sequence, time);
        Ok(())
    }
}
