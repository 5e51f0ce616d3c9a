//! What limits and controls have to do with a shard's cards: whose they are, what is counted, and what is given back
//! (R18). Everything here is behind a card's flag, which a card without limits does not have.

use crate::domain::action::ActionCode;
use crate::domain::card::CardRef;
use crate::domain::control::ControlSet;
use crate::domain::event::LimitSet;
use crate::domain::event::Sequence;
use crate::domain::limit::Subject;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::time::Timestamp;
use crate::domain::usage::Usage;

use super::advise::Captured;
use super::apply::ApplyError;
use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::limits::ControlView;
use super::limits::Full;
use super::limits::LimitView;
use super::limits::Owners;
use super::shard::Card;
use super::shard::Shard;

impl From<Full> for ApplyError {
    fn from(Full(table): Full) -> Self {
        Self::Full(table)
    }
}

/// How what an authorization takes is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Counts {
    /// As one more use.
    One(Usage),
    /// As more of a use that was counted: an increment, a further posting of what was posted before.
    More(Usage),
    /// It posts what was authorized before, of which so much was held and is counted already.
    Before(Captured, Usage),
    /// It posts a part of what was authorized; the rest stays held.
    Part {
        /// The record of the authorization.
        held: Sequence,
        /// How much it posts beyond what that one held.
        beyond: i64,
        /// How that is counted where the authorization was not, or on another account.
        usage: Usage,
    },
}

impl Shard {
    /// Whose limits a card's uses are counted by.
    pub(super) fn owners(&self, card: &Card) -> Owners {
        Owners { card: card.reference, wallet: self.wallet_of(card), product: card.product() }
    }

    /// Whether limits or controls may have a say about a card: its own, its wallet's, or its product's.
    #[must_use]
    pub fn watches(&self, card: &Card) -> bool {
        card.limited() || card.product().is_some_and(|product| self.limits.has_rules(product))
    }

    /// Why a control of the card or of its wallet does not let a use pass.
    #[must_use]
    pub fn refused_by_control(&self, card: &Card, usage: &Usage) -> Option<ActionCode> {
        self.limits.refused_by_control(self.owners(card), usage)
    }

    /// Why a limit of the card or of its wallet does not let an amount be taken from an account now, as one more use or
    /// as more of one.
    #[must_use]
    pub fn refused_by_limit(
        &self,
        card: &Card,
        usage: &Usage,
        amount: Money,
        one_more: bool,
        now: Timestamp,
    ) -> Option<ActionCode> {
        self.limits.refused_by_limit(self.owners(card), usage, amount, one_more, now)
    }

    /// Whether limits count amounts of a card, and none of them in a currency.
    #[must_use]
    pub fn counts_other_amounts(&self, card: &Card, currency: Currency) -> bool {
        if !self.watches(card) {
            return false;
        }
        let mut measured = self.limits.amounts_counted(self.owners(card)).peekable();
        measured.peek().is_some() && !measured.any(|counted| counted == currency)
    }

    /// Whether one more use of a card fits: an authorization, and what limits keep of it.
    #[must_use]
    pub fn has_room_for_use(&self, card: &Card) -> bool {
        self.has_room_for_authorization(card) && self.has_room_to_count(card)
    }

    /// Whether one more use of a card can be counted, or no limit counts it.
    #[must_use]
    pub fn has_room_to_count(&self, card: &Card) -> bool {
        if !self.watches(card) {
            return true;
        }
        let owners = self.owners(card);
        self.limits.has_room_to_count(owners) || !self.limits.has_limits(owners)
    }

    /// The same while an event is applied: stale counters give up their places.
    pub(super) fn makes_room_to_count(&mut self, card: u32) -> bool {
        if self.has_room_to_count(self.cards.at(card)) {
            return true;
        }
        self.drop_stale();
        self.has_room_to_count(self.cards.at(card))
    }

    /// Marks a card that its product's limits have counted: what was counted is kept and given back as with any other.
    fn mark_counted(&mut self, card: u32, authorization: Sequence) {
        let owner = self.cards.at(card);
        if !owner.limited() && self.limits.counted_of(authorization).next().is_some() {
            self.mark_limited(owner.wallet);
        }
    }

    /// Counts what a new authorization takes. What gives money to the cardholder is not counted.
    pub(super) fn count(
        &mut self,
        entry: &Authorization,
        currency: Currency,
        counts: &Counts,
        time: Timestamp,
    ) -> Result<(), Full> {
        let taken = Money::new(counted(entry.state, entry.taken), currency);
        let owners = self.owners(self.cards.at(entry.card));
        let (record, limits) = (entry.sequence, &mut self.limits);
        let counted = match counts {
            // Also where nothing is left of it: a credit may take the place of what was held.
            Counts::Before(captured, _) if limits.counted_of(record).next().is_some() => {
                limits.change_to(owners, record, captured.held, taken);
                // What began the purchase was given back, its increments were not, and now it is used.
                if !captured.began && taken.minor != 0 {
                    limits.count_use(owners, record);
                }
                Ok(())
            }
            _ if taken.minor == 0 => Ok(()),
            Counts::Part { held, beyond, usage } => {
                // It may have been held before there was a limit, or on another account.
                let counted = limits.part_over(owners, *held, record, taken, *beyond)?;
                let beyond = Money::new(*beyond, currency);
                if counted || beyond.minor == 0 {
                    Ok(())
                } else {
                    limits.count(owners, [record; 2], usage, beyond, false, time)
                }
            }
            // It was held before there was a limit.
            Counts::Before(captured, _) if captured.held != 0 => Ok(()),
            Counts::One(usage) | Counts::Before(_, usage) => {
                limits.count(owners, [record; 2], usage, taken, true, time)
            }
            Counts::More(usage) => limits.count(owners, [record; 2], usage, taken, false, time),
        };
        self.mark_counted(entry.card, record);
        counted
    }

    /// Counts that an authorization takes less than before: what it keeps of it.
    pub(super) fn recount(&mut self, position: u32, keeps: Money) {
        let entry = *self.authorizations.at(position);
        let owner = self.cards.at(entry.card);
        if !owner.limited() {
            return;
        }
        let owners = self.owners(owner);
        let (before, after) = (counted(entry.state, entry.taken), counted(entry.state, keeps.minor));
        self.limits.change_to(owners, entry.sequence, before, Money::new(after, keeps.currency));
    }

    /// Counts that an advice, at this record, has made another of an authorization: in which state, and how much of
    /// which account. It may not have been counted at all until then.
    pub(super) fn recount_outcome(
        &mut self,
        position: u32,
        state: AuthorizationState,
        taken: Money,
        usage: impl FnOnce() -> Usage,
        (record, time): (Sequence, Timestamp),
    ) -> Result<(), Full> {
        let entry = *self.authorizations.at(position);
        let owner = self.cards.at(entry.card);
        if !self.watches(owner) {
            return Ok(());
        }
        let owners = self.owners(owner);
        let before = counted(entry.state, entry.taken);
        let after = Money::new(counted(state, taken.minor), taken.currency);
        if before == 0 && after.minor != 0 {
            let one_more = !entry.is_increment();
            self.limits.count(owners, [entry.sequence, record], &usage(), after, one_more, time)?;
            self.mark_counted(entry.card, entry.sequence);
            return Ok(());
        }
        self.limits.change_to(owners, entry.sequence, before, after);
        Ok(())
    }

    /// Gives what was counted of an authorization to the record that posts it.
    pub(super) fn hand_over(&mut self, position: u32, to: Sequence) {
        let entry = self.authorizations.at(position);
        if self.cards.at(entry.card).limited() {
            self.limits.hand_over(entry.sequence, to);
        }
    }

    /// Sets or removes a limit.
    pub(super) fn set_limit(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &LimitSet,
    ) -> Result<(), ApplyError> {
        if let Some(product) = event.subject.product() {
            return self.set_product_limit(sequence, event, product);
        }
        let wallet = self.wallet_of_subject(event.subject).ok_or(ApplyError::NoSuchAccount)?;
        if event.limit.is_some_and(|limit| !self.limits.zones.has(event.slot, limit.window)) {
            return Err(ApplyError::NoSuchZone);
        }
        self.limits.set_limit(sequence, time, event.subject, event.number, event.limit)?;
        self.mark_limited(wallet);
        Ok(())
    }

    /// Sets or removes a control.
    pub(super) fn set_control(&mut self, event: &ControlSet) -> Result<(), ApplyError> {
        if let Some((product, _)) = event.subject.product() {
            self.limits.rules.put_control(event.slot, product, event.number, event.control);
            return Ok(());
        }
        let wallet = self.wallet_of_subject(event.subject).ok_or(ApplyError::NoSuchAccount)?;
        self.limits.set_control(event.subject, event.number, event.control)?;
        self.mark_limited(wallet);
        Ok(())
    }

    /// The position of the wallet that a limit or a control is about.
    #[must_use]
    pub(super) fn wallet_of_subject(&self, subject: Subject) -> Option<u32> {
        match subject {
            Subject::Wallet(wallet) => self.wallet_position(wallet),
            Subject::Card(card) => Some(self.cards.at(self.card_position(card)?).wallet),
            Subject::EachCard(_) | Subject::EachWallet(_) => None,
        }
    }

    /// From now on every use of the wallet's cards is looked at. The mark stays when the last limit is removed: what
    /// was counted is kept until its authorizations leave.
    pub(super) fn mark_limited(&mut self, wallet: u32) {
        self.wallets.at_mut(wallet).limited = true;
        let mut card = self.wallets.at(wallet).newest_card;
        while self.cards.get(card).is_some() {
            let place = self.cards.at_mut(card);
            place.set_limited();
            card = place.older_card;
        }
    }

    /// Whether a card, or a wallet, is here.
    #[must_use]
    pub fn has_subject(&self, subject: Subject) -> bool {
        self.wallet_of_subject(subject).is_some()
    }

    /// A card by its reference.
    #[must_use]
    pub fn card_by_reference(&self, card: CardRef) -> Option<&Card> {
        Some(self.cards.at(self.card_position(card)?))
    }

    /// The limits of a card or a wallet, with what counts against them; `None` without one.
    #[must_use]
    pub fn limits_of(&self, subject: Subject, now: Timestamp) -> Option<Vec<LimitView>> {
        self.has_subject(subject).then(|| self.limits.limits_of(subject, now))
    }

    /// The limits of its product that count a card, with what counts against them; `None` without such a card.
    #[must_use]
    pub fn product_limits_of(&self, card: CardRef, now: Timestamp) -> Option<Vec<LimitView>> {
        let card = self.cards.at(self.card_position(card)?);
        Some(self.limits.product_limits_of(self.owners(card), now))
    }

    /// The controls of a card or a wallet; `None` without one.
    #[must_use]
    pub fn controls_of(&self, subject: Subject) -> Option<Vec<ControlView>> {
        self.has_subject(subject).then(|| self.limits.controls_of(subject))
    }
}

/// What is counted of so much in this state: what is held or was posted, and not what the cardholder gets.
fn counted(state: AuthorizationState, taken: i64) -> i64 {
    match state {
        AuthorizationState::Held | AuthorizationState::Posted => taken.max(0),
        _ => 0,
    }
}
