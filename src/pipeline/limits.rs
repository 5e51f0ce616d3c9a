//! What is set on cards and wallets from outside: status, limits and controls. Journaled like anything else, effective
//! for the next message, and acknowledged once it is on disk (R1).

use crate::domain::card::CardRef;
use crate::domain::card::CardStatus;
use crate::domain::control::Control;
use crate::domain::event::CardStatusSet;
use crate::domain::event::ControlSet;
use crate::domain::event::Event;
use crate::domain::event::LimitSet;
use crate::domain::event::Sequence;
use crate::domain::limit::Limit;
use crate::domain::limit::Number;
use crate::domain::limit::Subject;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::time::Now;
use crate::domain::time::Timestamp;
use crate::ledger::limits::ControlView;
use crate::ledger::limits::LimitView;
use crate::ledger::shard::Shard;
use crate::ledger::view::CardView;

use super::core::Pipeline;
use super::seeding::NotSet;

impl Pipeline {
    /// Gives a card a status. Lost, stolen and closed are for good: from there a card goes on to another of the three,
    /// but never back into use.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn set_card_status(&self, card: CardRef, status: CardStatus, now: Now) -> Result<Sequence, NotSet> {
        let slot = Slot::of_card(card);
        self.set(slot, now, |shard| {
            let before = shard.card_by_reference(card).ok_or(NotSet::NotThere("card"))?.status;
            let ended = matches!(before, CardStatus::Lost | CardStatus::Stolen | CardStatus::Closed);
            let usable = matches!(status, CardStatus::Active | CardStatus::Frozen);
            if ended && usable || before == CardStatus::Closed && status != CardStatus::Closed {
                return Err(NotSet::Ended(before));
            }
            Ok((before != status).then_some(Event::CardStatusSet(CardStatusSet { slot, card, status })))
        })
    }

    /// Sets a limit, or removes it.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn set_limit(
        &self,
        subject: Subject,
        number: Number,
        limit: Option<Limit>,
        now: Now,
    ) -> Result<Sequence, NotSet> {
        let slot = slot_of(subject);
        self.set(slot, now, |shard| {
            let known = shard.limits_of(subject, now.wall).ok_or(NotSet::NotThere(name_of(subject)))?;
            if limit.is_none() && !known.iter().any(|view| view.number == number) {
                return Err(NotSet::NotThere("limit"));
            }
            if !shard.limits().has_room_for_limit(subject, number) {
                return Err(NotSet::Full("limits_max"));
            }
            Ok(Some(Event::LimitSet(LimitSet { slot, subject, number, limit })))
        })
    }

    /// Sets a control, or removes it.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn set_control(
        &self,
        subject: Subject,
        number: Number,
        control: Option<Control>,
        now: Now,
    ) -> Result<Sequence, NotSet> {
        let slot = slot_of(subject);
        self.set(slot, now, |shard| {
            let known = shard.controls_of(subject).ok_or(NotSet::NotThere(name_of(subject)))?;
            if control.is_none() && !known.iter().any(|view| view.number == number) {
                return Err(NotSet::NotThere("control"));
            }
            if !shard.limits().has_room_for_control(subject, number) {
                return Err(NotSet::Full("limits_max"));
            }
            Ok(Some(Event::ControlSet(ControlSet { slot, subject, number, control })))
        })
    }

    /// Journals and applies what is to be set, if anything has to be. Returns the record that must be durable before
    /// this is acknowledged, which is the last one when there was nothing to do.
    fn set(
        &self,
        slot: Slot,
        now: Now,
        event: impl FnOnce(&Shard) -> Result<Option<Event>, NotSet>,
    ) -> Result<Sequence, NotSet> {
        if !self.admits(now) {
            return Err(NotSet::Unavailable);
        }
        let mut shard = self.lock(slot);
        let Some(event) = event(&shard)? else { return Ok(shard.applied()) };
        let committed = self.commit(&mut shard, &event, now);
        drop(shard);
        self.wake_writer();
        committed.map(|(sequence, _)| sequence).ok_or(NotSet::Unavailable)
    }

    /// A card; `None` when there is none with this reference.
    #[must_use]
    pub fn card(&self, card: CardRef) -> Option<CardView> {
        self.lock(Slot::of_card(card)).card_view(card)
    }

    /// The cards of a wallet, newest first; `None` when there is no such wallet.
    #[must_use]
    pub fn wallet_cards(&self, wallet: WalletId) -> Option<Vec<CardView>> {
        self.lock(Slot::of_wallet(wallet)).wallet_cards(wallet)
    }

    /// The limits of a card or a wallet in the order of their numbers; `None` when there is no such card or wallet.
    #[must_use]
    pub fn limits(&self, subject: Subject, now: Timestamp) -> Option<Vec<LimitView>> {
        self.lock(slot_of(subject)).limits_of(subject, now)
    }

    /// The controls of a card or a wallet in the order of their numbers; `None` when there is no such card or wallet.
    #[must_use]
    pub fn controls(&self, subject: Subject) -> Option<Vec<ControlView>> {
        self.lock(slot_of(subject)).controls_of(subject)
    }
}

fn slot_of(subject: Subject) -> Slot {
    match subject {
        Subject::Card(card) => Slot::of_card(card),
        Subject::Wallet(wallet) => Slot::of_wallet(wallet),
    }
}

/// What a subject is called.
#[must_use]
pub const fn name_of(subject: Subject) -> &'static str {
    match subject {
        Subject::Card(_) => "card",
        Subject::Wallet(_) => "wallet",
    }
}
