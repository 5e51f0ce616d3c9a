//! The authorizations of one purchase: what adds to which (R17), what they take together, and how long they live.

use crate::domain::event::Sequence;
use crate::domain::money::Currency;
use crate::domain::request::MessageKey;
use crate::domain::request::ProcessingCode;

use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::authorization::LegState;
use super::chain::is_named;
use super::chain::names_message;
use super::chain::network_bits;
use super::shard::Card;
use super::shard::Shard;

impl Shard {
    /// Whether a reversal that came before an increment was about it, and not only about its purchase (R17).
    #[must_use]
    pub fn awaits_increment(&self, card: &Card, key: &MessageKey) -> bool {
        self.tombstones(card).any(|entry| entry.network == network_bits(key) && names_message(entry, key))
    }

    /// The open authorization that an increment with this key, DE 49 and DE 3 adds to (R17): of the same purchase by
    /// the network's id, with the same merchant, currency and transaction type.
    #[must_use]
    pub fn incremented_by(
        &self,
        card: &Card,
        key: &MessageKey,
        currency: Currency,
        code: ProcessingCode,
    ) -> Option<&Authorization> {
        let merchant = self.merchant_bits(key);
        let mut open = self.open_of(card).map(|(_, entry)| entry);
        open.find(|entry| {
            is_named(entry, key)
                && entry.merchant == merchant
                && entry.currency == currency.numeric()
                && entry.coded.processing_code().transaction_type() == code.transaction_type()
        })
    }

    /// Whether an increment adds to an authorization: to an open one, or to one that is yet to come. What is open and
    /// of another merchant or currency is not what it adds to.
    #[must_use]
    pub fn adds(&self, card: &Card, key: &MessageKey, currency: Currency, code: ProcessingCode) -> bool {
        self.incremented_by(card, key, currency, code).is_some() || !self.has_open(card, key)
    }

    /// Whether anything is open of the purchase that a message names by the network's id.
    #[must_use]
    pub fn has_open(&self, card: &Card, key: &MessageKey) -> bool {
        self.open_of(card).any(|(_, entry)| is_named(entry, key))
    }

    /// Whether the purchase that a message names by the network's id was undone, and nothing of it is open.
    #[must_use]
    pub fn is_undone(&self, card: &Card, key: &MessageKey) -> bool {
        let undone = |entry: &Authorization| {
            let settled = entry.state == AuthorizationState::Settled && entry.is_of_message();
            (settled || entry.state == AuthorizationState::Reversed)
                && is_named(entry, key)
                && entry.legs.has(LegState::BOTH_UNDONE)
        };
        !self.has_open(card, key) && self.closed_of(card).any(|(_, entry)| undone(entry))
    }

    /// Whether the request that began the purchase of an authorization is known, which is no increment.
    pub(super) fn knows_beginning(&self, card: u32, of: &Authorization) -> bool {
        let owner = self.cards.at(card);
        let begins = |entry: &Authorization| {
            let of_purchase = entry.sequence == of.sequence || entry.is_of_group(of);
            of_purchase && entry.state.is_authorization() && !entry.is_capture() && !entry.is_increment()
        };
        self.open_of(owner).chain(self.closed_of(owner)).any(|(_, entry)| begins(entry))
    }

    /// Whether an increment is what is left of its purchase: what it adds to is not open, and nothing was posted of it.
    #[must_use]
    pub fn is_alone(&self, card: &Card, increment: &Authorization) -> bool {
        let others =
            |entry: &Authorization| entry.is_of_group(increment) && entry.sequence != increment.sequence;
        let mut open = self.open_of(card).map(|(_, entry)| entry);
        let mut closed = self.closed_of(card).map(|(_, entry)| entry);
        !open.any(|entry| others(entry) && !entry.is_increment())
            && !closed.any(|entry| others(entry) && entry.is_capture())
    }

    /// Whether something of the purchase that a message names by the network's id was posted.
    #[must_use]
    pub fn is_captured(&self, card: &Card, key: &MessageKey) -> bool {
        self.closed_of(card).any(|(_, entry)| is_named(entry, key) && entry.is_capture())
    }

    /// What the messages of one purchase have asked for and not been reversed: the open authorizations with a network's
    /// id, as many as they are.
    pub fn open_members<'s>(
        &'s self,
        card: &Card,
        of: &'s Authorization,
    ) -> impl Iterator<Item = &'s Authorization> {
        let open = self.open_of(card).map(|(_, entry)| entry);
        open.filter(move |entry| entry.sequence == of.sequence || entry.is_of_group(of))
    }

    /// An open authorization of the same group.
    pub(super) fn open_member_besides(&self, card: u32, named: &Authorization) -> Option<u32> {
        let mut open = self.open_of(self.cards.at(card));
        let other = |entry: &Authorization| entry.is_of_group(named) && entry.sequence != named.sequence;
        open.find(|(_, entry)| other(entry)).map(|(position, _)| position)
    }

    /// An open increment of the same group.
    pub(super) fn open_increment_besides(&self, card: u32, named: &Authorization) -> Option<u32> {
        let mut open = self.open_of(self.cards.at(card));
        let adds = |entry: &Authorization| {
            entry.is_increment() && entry.is_of_group(named) && entry.sequence != named.sequence
        };
        open.find(|(_, entry)| adds(entry)).map(|(position, _)| position)
    }

    /// What an authorization, or its whole group, still holds, pends or has posted of its account, as an amount without
    /// a sign.
    #[must_use]
    pub fn left_of(&self, named: &Authorization, whole: bool) -> i64 {
        let own = if named.state == AuthorizationState::Posted { named.taken.saturating_abs() } else { 0 };
        let open = self.open_of(self.cards.at(named.card)).map(|(_, entry)| entry);
        open.filter(|entry| entry.sequence == named.sequence || whole && entry.is_of_group(named))
            .filter(|entry| entry.account == named.account)
            .fold(own, |sum, entry| sum.saturating_add(entry.taken.saturating_abs()))
    }

    /// Whether what is open of a whole group was taken from other accounts than that of one of it too, so that there is
    /// no sum of it.
    #[must_use]
    pub fn takes_from_several(&self, named: &Authorization) -> bool {
        self.open_members(self.cards.at(named.card), named).any(|entry| entry.account != named.account)
    }

    /// How much partial reversals have said is to stay of an authorization, in its account's currency and without a
    /// sign, which may be more than it took; `None` when there was none.
    #[must_use]
    pub fn left_by_partial_reversals(&self, card: &Card, of: &Authorization) -> Option<i64> {
        if !of.legs.has(LegState::CUT) {
            return None;
        }
        let left = of.taken.saturating_abs();
        let mut least = None;
        for (_, cut) in self.closed_of(card).filter(|(_, cut)| cut.state == AuthorizationState::Cut) {
            match cut.cuts() {
                Some(one) if one == of.sequence && cut.account == of.account => {
                    least = Some(least.map_or(cut.taken, |least: i64| least.min(cut.taken)));
                }
                // What it said about each of the whole is not kept: what it left is.
                None if cut.is_of_group(of) && cut.sequence > of.sequence => return Some(left),
                _ => {}
            }
        }
        Some(least.unwrap_or(left))
    }

    /// Lets all open authorizations of a group live as long as the one of it that lives longest.
    pub(super) fn extend(&mut self, position: u32) {
        let named = *self.authorizations.at(position);
        let card = self.cards.at(named.card);
        let latest = self.open_members(card, &named).map(|entry| entry.hold_until_s).max().unwrap_or(0);
        let mut at = card.open;
        while let Some(&member) = self.authorizations.get(at) {
            if member.is_of_group(&named) {
                self.authorizations.at_mut(at).hold_until_s = latest;
            }
            at = member.chain_next;
        }
    }
}

impl Authorization {
    /// Of what a partial reversal is remembered by: the one message that it was about; `None` when it was about a whole
    /// purchase.
    #[must_use]
    pub const fn cuts(&self) -> Option<Sequence> {
        match self.state {
            AuthorizationState::Cut if self.answered != 0 => Some(Sequence(self.answered as u64)),
            _ => None,
        }
    }
}
