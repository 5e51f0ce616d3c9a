//! Asking for the memory that events will need, many events side by side: what one of them touches lies anywhere in
//! gigabytes, each line found through the one before. The live path does the same with messages.

use crate::domain::card::CardIdentity;
use crate::domain::card::CardRef;
use crate::domain::event::Effect;
use crate::domain::event::Event;
use crate::domain::request::MessageKey;

use super::chain::fingerprint;
use super::shard::Shard;
use super::shard::hash_u64;

/// What an event is about: the card, and the message that an authorization or an answer will be found by.
struct Need<'e> {
    card: CardRef,
    message: Option<(&'e MessageKey, u8)>,
}

impl<'e> Need<'e> {
    const fn of(event: &'e Event) -> Option<Self> {
        let (card, message) = match event {
            Event::Decided(event) if matches!(event.effect, Effect::None) => return None,
            Event::Decided(event) => (event.card, Some((&event.key, event.class as u8))),
            Event::Reversed(event) => (event.card, None),
            Event::Advised(event) => (event.card, None),
            _ => return None,
        };
        match card {
            CardIdentity::Known(card) => Some(Self { card, message }),
            CardIdentity::Unknown(_) => None,
        }
    }
}

impl Shard {
    /// Asks for what [`Shard::first_of`] will read first, and for where an authorization would be put.
    pub fn prefetch_message(&self, fingerprint: u64) {
        self.messages.prefetch(fingerprint);
        self.authorizations.prefetch_next();
    }

    /// The first step: where the card is looked up.
    pub(super) fn ask_for_index(&self, event: &Event) {
        if let Some(need) = Need::of(event) {
            self.card_index.prefetch(hash_u64(need.card.0, self.seed));
        }
        if let Some(oldest) = self.about_to_leave(event) {
            self.authorizations.prefetch(oldest);
        }
    }

    /// The closed authorization that has to make room when one more of its slot is closed.
    fn about_to_leave(&self, event: &Event) -> Option<u32> {
        let Event::Reversed(event) = event else { return None };
        let slot = &self.slots[self.slot_of(event.slot)];
        (slot.closed_len >= self.bounds.closed_per_slot).then_some(slot.closed_oldest)
    }

    /// The second step, when the first has arrived: the card, and the message's place in the index.
    pub(super) fn ask_for_card(&self, event: &Event) -> Option<u32> {
        if let Some(entry) = self.about_to_leave(event).and_then(|oldest| self.authorizations.get(oldest)) {
            self.cards.prefetch(entry.card);
            self.authorizations.prefetch(entry.closed_next);
        }
        let need = Need::of(event)?;
        let position = self.card_index.find_first(hash_u64(need.card.0, self.seed))?;
        self.cards.prefetch(position);
        if let Some((key, class)) = need.message {
            let print = fingerprint(key, class, CardIdentity::Known(need.card), self.seed);
            self.messages.prefetch(print);
        }
        Some(position)
    }

    /// The last step: the card's wallet and its newest authorization, and where what leaves stands in the index.
    pub(super) fn ask_for_wallet(&self, event: &Event, card: Option<u32>) {
        if let Some(card) = card.and_then(|card| self.cards.get(card)) {
            self.wallets.prefetch(card.wallet);
            self.authorizations.prefetch(card.open);
        }
        if let Some(entry) = self.about_to_leave(event).and_then(|oldest| self.authorizations.get(oldest)) {
            self.messages.prefetch(self.fingerprint_of(entry));
        }
    }
}
