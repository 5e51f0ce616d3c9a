//! Asking for the memory that events will need, many events side by side: what one of them touches lies anywhere in
//! gigabytes, each line found through the one before. The live path does the same with messages.

use crate::domain::card::CardIdentity;
use crate::domain::event::Event;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::request::MessageKey;

use super::chain::fingerprint;
use super::directory::Directory;
use super::directory::PanHash;
use super::shard::Card;
use super::shard::Shard;
use super::shard::hash_u64;

/// Wallets that are copied between two steps of asking for what others have.
const COPIED_BETWEEN: u32 = 8;

/// What an event is about: the card, and the message that an authorization or an answer will be found by.
struct Need<'e> {
    card: CardIdentity,
    message: Option<(&'e MessageKey, u8)>,
}

impl<'e> Need<'e> {
    const fn of(event: &'e Event) -> Option<Self> {
        let (card, message) = match event {
            Event::Decided(event) => (event.card, Some((&event.key, event.class as u8))),
            Event::Reversed(event) => (event.card, None),
            Event::Advised(event) => (event.card, None),
            Event::Expired(event) => (CardIdentity::Known(event.card), None),
            Event::CardOpened(event) => (CardIdentity::Known(event.card), None),
            _ => return None,
        };
        Some(Self { card, message })
    }
}

impl Shard {
    /// Asks for what [`Shard::first_of`] will read first, and for where an authorization would be put.
    pub fn prefetch_message(&self, fingerprint: u64) {
        self.messages.prefetch(fingerprint);
        self.authorizations.prefetch_next();
    }

    /// The first step of a message, with its card: what was closed first in its slot, which every event looks at.
    /// Returns where that is, if the message closes something and so has it leave.
    pub fn ask_for_oldest(&self, slot: Slot, closes: bool) -> Option<u32> {
        let slot = &self.slots[self.slot_of(slot)];
        // Times and places in a slot's list stand in the second half.
        self.authorizations.prefetch_end(slot.closed_oldest);
        if !closes {
            return None;
        }
        self.authorizations.prefetch_end(slot.closed_newest);
        let leaves = slot.closed_len >= self.bounds.closed_per_slot;
        leaves.then_some(slot.closed_oldest).inspect(|oldest| self.authorizations.prefetch(*oldest))
    }

    /// The second step: the card's wallet, what is open of it where that matters, and what belongs to what leaves.
    pub fn ask_for_owned(&self, card: &Card, closes: bool, ahead: &mut Ahead) {
        self.wallets.prefetch(card.wallet);
        if closes {
            self.authorizations.prefetch(card.open);
            ahead.open = Some(card.open);
        }
        if let Some(entry) = ahead.leaves.and_then(|leaves| self.authorizations.get(leaves)) {
            self.cards.prefetch(entry.card);
            self.authorizations.prefetch_end(entry.closed_next);
        }
    }

    /// The last step: what is open before the newest, and where what leaves stands in the index.
    pub fn ask_for_lists(&self, ahead: &Ahead) {
        if let Some(entry) = ahead.open.and_then(|open| self.authorizations.get(open)) {
            self.authorizations.prefetch(entry.chain_next);
        }
        self.ask_for_place_of(ahead.leaves);
    }

    /// What wallets behind this one have, asked for while it is copied: the further behind, the earlier the step.
    pub(super) fn ask_for_copy(&self, wallet: u32) {
        let behind = |step: u32| self.wallets.get(wallet + step * COPIED_BETWEEN);
        self.wallets.prefetch(wallet + 3 * COPIED_BETWEEN);
        if let Some(wallet) = behind(2) {
            self.cards.prefetch(wallet.newest_card);
        }
        if let Some(card) = behind(1).and_then(|wallet| self.cards.get(wallet.newest_card)) {
            self.authorizations.prefetch(card.open);
            self.authorizations.prefetch(card.closed_oldest);
        }
    }

    /// Asks for where what leaves stands in the index.
    fn ask_for_place_of(&self, leaves: Option<u32>) {
        if let Some(entry) = leaves.and_then(|leaves| self.authorizations.get(leaves))
            && self.cards.get(entry.card).is_some()
        {
            self.messages.prefetch(self.fingerprint_of(entry));
        }
    }

    /// Asks for where a wallet is looked up.
    pub fn ask_for_index_of(&self, wallet: WalletId) {
        self.wallet_index.prefetch(hash_u64(wallet.0, self.seed));
    }

    /// Asks for a wallet, once [`Shard::ask_for_index_of`] has arrived.
    pub fn ask_for_wallet_of(&self, wallet: WalletId) {
        if let Some(position) = self.wallet_index.find_first(hash_u64(wallet.0, self.seed)) {
            self.wallets.prefetch(position);
        }
    }

    /// The first step: where card and wallet are looked up, where a card that is opened will be listed, and what leaves
    /// memory to make room. Returns the position of that.
    pub fn ask_for_index(&self, directory: &Directory, event: &Event, closing: &mut Closing) -> Option<u32> {
        match event {
            Event::AccountFunded(event) => {
                self.wallet_index.prefetch(hash_u64(event.wallet.0, self.seed));
                return None;
            }
            Event::CardOpened(event) => {
                self.wallet_index.prefetch(hash_u64(event.wallet.0, self.seed));
                directory.prefetch(PanHash::of(event.pan, self.seed));
            }
            _ => {}
        }
        if let Some(Need { card: CardIdentity::Known(card), .. }) = Need::of(event) {
            self.card_index.prefetch(hash_u64(card.0, self.seed));
        }
        let Event::Reversed(event) = event else { return None };
        let at = self.slot_of(event.slot);
        let before = closing.one_more(at)?;
        let slot = &self.slots[at];
        if slot.closed_len < self.bounds.closed_per_slot {
            return None;
        }
        // Those before it were asked for when their turn was: the way along them is short and in the caches.
        let mut leaves = slot.closed_oldest;
        for _ in 0..before {
            leaves = self.authorizations.get(leaves)?.closed_next;
        }
        let entry = self.authorizations.get(leaves)?;
        self.cards.prefetch(entry.card);
        self.authorizations.prefetch(entry.closed_next);
        Some(leaves)
    }

    /// The second step, when the first has arrived: card or wallet, and the message's place in the index. Returns the
    /// card's position.
    pub fn ask_for_card(&self, event: &Event) -> Option<u32> {
        if let Event::CardOpened(event) = event {
            let wallet = self.wallet_index.find_first(hash_u64(event.wallet.0, self.seed))?;
            self.wallets.prefetch(wallet);
            return None;
        }
        let need = Need::of(event)?;
        if let Some((key, class)) = need.message {
            self.messages.prefetch(fingerprint(key, class, need.card, self.seed));
        }
        let CardIdentity::Known(card) = need.card else { return None };
        let position = self.card_index.find_first(hash_u64(card.0, self.seed))?;
        self.cards.prefetch(position);
        Some(position)
    }

    /// The last step: the card's wallet and its newest authorization, and where what leaves stands in the index.
    pub fn ask_for_wallet(&self, card: Option<u32>, leaves: Option<u32>) {
        if let Some(card) = card.and_then(|card| self.cards.get(card)) {
            self.wallets.prefetch(card.wallet);
            self.authorizations.prefetch(card.open);
        }
        self.ask_for_place_of(leaves);
    }
}

/// What a message was found to need, from step to step: positions that the decision finds again by itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ahead {
    /// What leaves memory when the message closes something.
    pub leaves: Option<u32>,
    /// What is open of its card, the newest of it.
    pub open: Option<u32>,
}

/// How many events of each slot of a shard are asked for, not applied yet, and will close something.
#[derive(Debug, Default)]
pub struct Closing(Vec<u32>);

impl Closing {
    /// None of this shard's slots.
    pub fn begin(&mut self, shard: &Shard) {
        self.0.clear();
        self.0.resize(shard.slots.len(), 0);
    }

    /// Counts one of a slot, and returns how many there were before it.
    fn one_more(&mut self, slot: usize) -> Option<u32> {
        let count = self.0.get_mut(slot)?;
        *count += 1;
        Some(*count - 1)
    }

    /// An event that was counted is about to be applied.
    pub fn applies(&mut self, shard: &Shard, event: &Event) {
        if let Event::Reversed(event) = event
            && let Some(count) = self.0.get_mut(shard.slot_of(event.slot))
        {
            *count = count.saturating_sub(1);
        }
    }
}
