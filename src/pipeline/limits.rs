//! What is set on cards and wallets from outside: status, limits and controls. Journaled like anything else, effective
//! for the next message, and acknowledged once it is on disk (R1).

use crate::domain::card::CardRef;
use crate::domain::card::CardStatus;
use crate::domain::control::Control;
use crate::domain::control::ControlSet;
use crate::domain::event::CardStatusSet;
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
use crate::domain::zone::Zone;
use crate::domain::zone::ZoneTable;
use crate::ledger::limits::ControlView;
use crate::ledger::limits::LimitView;
use crate::ledger::shard::Shard;
use crate::ledger::view::CardView;

use super::core::Pipeline;
use super::seeding::NotSet;
use super::zones;

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
            let [ended, ends] = [before, status].map(|of| CardStatus::ENDED.contains(&of));
            if ended && !ends || before == CardStatus::Closed && status != CardStatus::Closed {
                return Err(NotSet::Ended(before));
            }
            let set = Event::CardStatusSet(CardStatusSet { slot, card, status });
            Ok(if before == status { Vec::new() } else { vec![set] })
        })
    }

    /// Sets a limit, or removes it. With a time zone, its window goes by that one, of which the slot is told if it was
    /// not told before.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn set_limit(
        &self,
        subject: Subject,
        number: Number,
        limit: Option<Limit>,
        zone: Option<&ZoneTable>,
        now: Now,
    ) -> Result<Sequence, NotSet> {
        let slot = subject.slot().ok_or(NotSet::NotThere(name_of(subject)))?;
        self.set(slot, now, |shard| {
            let known = shard.limits_of(subject, now.wall).ok_or(NotSet::NotThere(name_of(subject)))?;
            if limit.is_none() && !known.iter().any(|view| view.number == number) {
                return Err(NotSet::NotThere("limit"));
            }
            if !shard.limits().has_room_for_limit(subject, number) {
                return Err(NotSet::Full("limits_max"));
            }
            let (mut limit, mut events) = (limit, Vec::new());
            if let (Some(limit), Some(zone)) = (&mut limit, zone) {
                let named = in_slot(shard, slot, zone, &mut events)?;
                limit.window = limit.window.in_zone(named);
            }
            events.push(Event::LimitSet(LimitSet { slot, subject, number, limit }));
            Ok(events)
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
        let slot = subject.slot().ok_or(NotSet::NotThere(name_of(subject)))?;
        self.set(slot, now, |shard| {
            let known = shard.controls_of(subject).ok_or(NotSet::NotThere(name_of(subject)))?;
            if control.is_none() && !known.iter().any(|view| view.number == number) {
                return Err(NotSet::NotThere("control"));
            }
            if !shard.limits().has_room_for_control(subject, number) {
                return Err(NotSet::Full("limits_max"));
            }
            Ok(vec![Event::ControlSet(ControlSet { slot, subject, number, control })])
        })
    }

    /// Journals and applies what is to be set, if anything has to be. Returns the record that must be durable before
    /// this is acknowledged, which is the last one when there was nothing to do.
    fn set(
        &self,
        slot: Slot,
        now: Now,
        events: impl FnOnce(&Shard) -> Result<Vec<Event>, NotSet>,
    ) -> Result<Sequence, NotSet> {
        if !self.admits(now) {
            return Err(NotSet::Unavailable);
        }
        let mut shard = self.lock(slot);
        let mut last = Ok(shard.applied());
        for event in events(&shard)? {
            last =
                self.commit(&mut shard, &event, now).map(|(sequence, _)| sequence).ok_or(NotSet::Unavailable);
            if last.is_err() {
                break;
            }
        }
        drop(shard);
        self.wake_writer();
        last
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
        self.lock(subject.slot()?).limits_of(subject, now)
    }

    /// The controls of a card or a wallet in the order of their numbers; `None` when there is no such card or wallet.
    #[must_use]
    pub fn controls(&self, subject: Subject) -> Option<Vec<ControlView>> {
        self.lock(subject.slot()?).controls_of(subject)
    }
}

/// A zone as a slot knows it; what tells the slot of it, if it does not.
pub(super) fn in_slot(
    shard: &Shard,
    slot: Slot,
    zone: &ZoneTable,
    events: &mut Vec<Event>,
) -> Result<Zone, NotSet> {
    if let Some(known) = shard.limits().zone_named(slot, zone.name()) {
        return Ok(Zone::Named(known));
    }
    let number = shard.limits().next_zone(slot).ok_or(NotSet::NotThere("time zone"))?;
    let first = zone.changes().first().map_or(0, |first| first.from_s);
    events.extend(zones::told(slot, number, zone, first));
    Ok(Zone::Named(number))
}

/// What a subject is called.
#[must_use]
pub const fn name_of(subject: Subject) -> &'static str {
    match subject {
        Subject::Card(_) => "card",
        Subject::Wallet(_) => "wallet",
        Subject::EachCard(_) | Subject::EachWallet(_) => "product",
    }
}
