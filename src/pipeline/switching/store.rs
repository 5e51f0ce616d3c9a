//! What peers tell about what is not ours: reversals and advices are stored, acknowledged once they are on disk, and
//! told to the party for as long as it takes.
//!
//! So a peer need not wait for a party that is slow or gone, and one message is told once however often it comes. A
//! reversal of something that was never forwarded is told too: the party may know of it by another way.

use crate::dialect::inbound::Received;
use crate::domain::action::ActionCode;
use crate::domain::answer::Answer;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::forward::Carried;
use crate::domain::forward::Message;
use crate::domain::forward::Settlement;
use crate::domain::forward::Stored;
use crate::domain::forward::Tells;
use crate::domain::party::InstitutionId;
use crate::domain::party::Slot;
use crate::domain::request::Advice;
use crate::domain::request::Legs;
use crate::domain::request::MessageClass;
use crate::domain::request::OriginalData;
use crate::domain::request::ReversalRequest;
use crate::domain::time::Now;
use crate::domain::time::TransmissionTime;
use crate::pipeline::core::Outcome;
use crate::pipeline::core::Pipeline;
use crate::pipeline::gate::Wait;
use crate::pipeline::recall::Told;
use crate::switch::originals::Known;
use crate::switch::originals::Standing;
use crate::switch::queue::ItemId;
use crate::switch::queue::Place;
use crate::switch::route::Group;
use crate::switch::route::LinkIndex;
use crate::switch::trunk::told_prints;

use super::Line;
use super::State;
use super::Switchboard;

impl Pipeline {
    /// Stores what a peer tells about what is not ours. It is answered once it is on disk (R1). `group` is whose it is
    /// by the table; `None` where the table cannot tell, so that it is another's only if what it is about went there.
    /// `None` comes back when it is ours.
    #[must_use]
    pub fn store(
        &self,
        board: &Switchboard,
        group: Option<&Group>,
        from: LinkIndex,
        told: &Told,
        message: Option<&Received<'_>>,
        now: Now,
    ) -> Option<Outcome> {
        let forwarder = InstitutionId(message.and_then(|message| message.view.number(33)).unwrap_or(0));
        let carried = carried(told, forwarder);
        let _one_at_a_time = board.guard(carried.pan);
        let known = went_to(board, &carried, told);
        // What is not answered comes once only.
        let once = message.is_none();
        let Some(group) = group else {
            // It is about a card of ours, unless what it is about has gone elsewhere.
            return known.map(|line| self.store_on(line, told, carried, once, now));
        };
        if known.is_none() && self.has_here(told) {
            return None;
        }
        // An answer that did not arrive and was nobody else's leaves nothing to undo (R4).
        if known.is_none() && once {
            return Some(Outcome::Silence);
        }
        let lines = || group.members.iter().map(|member| member.link).filter(|index| *index != from);
        let usable = |index| index != from && board.line(index).is_some_and(|line| line.is_usable(now));
        let elsewhere = || group.choose(board.next_turn(), usable).or_else(|| lines().next());
        let line = known.or_else(|| elsewhere().and_then(|index| board.line(index)));
        let Some(line) = line else { return Some(Outcome::Silence) };
        Some(self.store_on(line, told, carried, once, now))
    }

    /// Whether the ledger has what a message is about: the table may have led here before.
    fn has_here(&self, told: &Told) -> bool {
        let (shard, position) = self.locate(told.pan());
        let Some(card) = position.map(|position| shard.card(position)) else { return false };
        match told {
            Told::Reversal(reversal) => shard.original_of(card, reversal).is_some(),
            Told::Advice(advice) => shard.advised_by(card, advice).is_some(),
        }
    }

    fn store_on(&self, line: &Line, told: &Told, carried: Carried, once: bool, now: Now) -> Outcome {
        let taken = |record: Sequence| {
            Outcome::Answer(Answer::decline(ActionCode::Approved, record), Wait::until(record))
        };
        let mut state = line.lock();
        let mut known = state.trunk.originals().about(&carried.key, carried.pan, original_of(told)).copied();
        let tells = tells(told, known.as_ref());
        let [print, of_repeats] = told_prints(&carried, &tells);
        let before = state.trunk.originals().told(print);
        let of_first = || told.is_repeat().then(|| state.trunk.originals().told(of_repeats)).flatten();
        if let Some(before) = before.or_else(of_first) {
            return taken(before);
        }
        let reversal = matches!(told, Told::Reversal(_));
        // A peer has told before the request came, or since.
        let heard = state.trunk.originals().has_heard_of(&carried, original_of(told));
        if let Some(known) = &mut known {
            known.advised |= heard;
        }
        let said = known.map_or(Said::Not, |known| said(&state, &known, reversal, &tells));
        if said == Said::All {
            return taken(state.trunk.applied());
        }
        // A new one is not acknowledged, so that the peer keeps it (R2).
        if state.trunk.is_full() && !once {
            return Outcome::Silence;
        }
        let Ok(own) = state.exchanges.name(TransmissionTime::at(now.wall)) else { return Outcome::Silence };
        let exchange = known.map(|known| known.exchange);
        let slot = Slot::of_unknown_card(carried.pan.masked());
        let message = Message { own, carried, tells };
        let event = Event::Stored(Stored { slot, to: line.id, exchange, message });
        line.is_used();
        let Some(sequence) = self.commit_on(&mut state, &event, now) else { return Outcome::Silence };
        let id = ItemId { stored: sequence, advice: false };
        if let (Said::ButForLegs, Some(item)) = (said, state.trunk.queue().get(id).copied()) {
            let _told = self.settle(line, &mut state, id, &item, Settlement::NotNeeded, now);
        }
        taken(sequence)
    }
}

/// How much of what a message tells about a request without an answer the party knows already (R29).
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    Not,
    All,
    /// The party has no decision but its own, which ours takes back: what is more to be known of it is known here.
    ButForLegs,
}

fn said(state: &State, known: &Known, reversal: bool, tells: &Tells) -> Said {
    // A peer's advice since has replaced what was decided in the party's place, and it is that which stands.
    if reversal && known.advised && matches!(tells, Tells::Advice { .. }) {
        return Said::All;
    }
    let ours = state.trunk.reversal_of(known.own).and_then(|id| state.trunk.queue().get(id));
    let refused = ours.is_some_and(|ours| ours.place == Place::Dead);
    if known.standing != Standing::GivenUp || known.advised || known.purged || refused {
        return Said::Not;
    }
    match tells {
        Tells::Reversal { replacement: None, legs: Legs::Both, .. } if !known.reversed => Said::ButForLegs,
        Tells::Reversal { replacement: None, .. } => Said::All,
        // It comes to nothing, since it was reversed as a whole before (R4).
        Tells::Advice { .. } if known.reversed => Said::All,
        _ => Said::Not,
    }
}

/// Where what a message is about has gone, or the message itself when it came before.
fn went_to<'b>(board: &'b Switchboard, carried: &Carried, told: &Told) -> Option<&'b Line> {
    let prints = told_prints(carried, &tells(told, None));
    let prints = if told.is_repeat() { &prints[..] } else { &prints[..1] };
    let used = || board.lines().iter().filter(|line| line.was_used());
    let mut heard = None;
    for line in used() {
        let state = line.lock();
        let originals = state.trunk.originals();
        if prints.iter().any(|print| originals.told(*print).is_some())
            || originals.about(&carried.key, carried.pan, original_of(told)).is_some()
        {
            return Some(line);
        }
        if heard.is_none() && originals.has_heard_of(carried, original_of(told)) {
            heard = Some(line);
        }
    }
    heard
}

/// DE 90 of a message.
const fn original_of(told: &Told) -> Option<&OriginalData> {
    match told {
        Told::Reversal(reversal) => reversal.original.as_ref(),
        Told::Advice(advice) => advice.original.as_ref(),
    }
}

/// What a message carries.
fn carried(told: &Told, forwarder: InstitutionId) -> Carried {
    match told {
        Told::Reversal(reversal) => {
            let ReversalRequest { key, pan, processing_code, amount, billing, ref original, .. } = *reversal;
            let class = original.and_then(|original| original.class).unwrap_or(MessageClass::Authorization);
            let (expiry, mcc, country, entry_mode) = (None, 0, 0, 0);
            Carried {
                key,
                class,
                pan,
                expiry,
                processing_code,
                amount,
                billing,
                mcc,
                country,
                entry_mode,
                forwarder,
            }
        }
        Told::Advice(advice) => {
            let Advice { key, class, pan, processing_code, amount, billing, mcc, country, .. } = *advice;
            let (expiry, entry_mode) = (None, 0);
            Carried {
                key,
                class,
                pan,
                expiry,
                processing_code,
                amount,
                billing,
                mcc,
                country,
                entry_mode,
                forwarder,
            }
        }
    }
}

/// What it tells the party, in the names that the party knows.
fn tells(told: &Told, known: Option<&Known>) -> Tells {
    let original = known.map(Known::original);
    match told {
        // Our answer that came too late was our own decision: to the party it was decided elsewhere, and is no more.
        Told::Reversal(ReversalRequest { legs: Legs::Ours, replacement: None, .. })
            if known.is_some_and(|known| matches!(known.standing, Standing::StoodIn(..))) =>
        {
            Tells::Advice { approved: false, approval_code: None, original }
        }
        Told::Reversal(reversal) => Tells::Reversal {
            replacement: reversal.replacement,
            legs: reversal.legs,
            approval_code: reversal.approval_code,
            original,
            as_received: if original.is_none() { reversal.original } else { None },
        },
        Told::Advice(advice) => {
            let Advice { approved, approval_code, .. } = *advice;
            Tells::Advice { approved, approval_code, original }
        }
    }
}
