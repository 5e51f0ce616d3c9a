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
use crate::domain::forward::Stored;
use crate::domain::forward::Tells;
use crate::domain::party::InstitutionId;
use crate::domain::party::Slot;
use crate::domain::request::Advice;
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
use crate::switch::queue::Place;
use crate::switch::route::Group;
use crate::switch::route::LinkIndex;
use crate::switch::trunk::told_print;

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
        let known = went_to(board, &carried, told);
        let Some(group) = group else {
            // It is about a card of ours, unless what it is about has gone elsewhere.
            return known.map(|line| self.store_on(line, told, carried, now));
        };
        let lines = || group.members.iter().map(|member| member.link).filter(|index| *index != from);
        let usable = |index| index != from && board.line(index).is_some_and(|line| line.is_usable(now));
        let elsewhere = || group.choose(board.next_turn(), usable).or_else(|| lines().next());
        let line = known.or_else(|| elsewhere().and_then(|index| board.line(index)));
        let Some(line) = line else { return Some(Outcome::Silence) };
        Some(self.store_on(line, told, carried, now))
    }

    fn store_on(&self, line: &Line, told: &Told, carried: Carried, now: Now) -> Outcome {
        let taken = |record: Sequence| {
            Outcome::Answer(Answer::decline(ActionCode::Approved, record), Wait::until(record))
        };
        let mut state = line.lock();
        let known = state.trunk.originals().about(&carried.key, carried.pan, original_of(told)).copied();
        let tells = tells(told, known.as_ref());
        if let Some(before) = state.trunk.originals().told(told_print(&carried, &tells)) {
            return taken(before);
        }
        let reversal = matches!(tells, Tells::Reversal { .. });
        if known.is_some_and(|known| reversal && is_reversed(&state, &known)) {
            return taken(state.trunk.applied());
        }
        // A new one is not acknowledged, so that the peer keeps it (R2).
        if state.trunk.is_full() {
            return Outcome::Silence;
        }
        let Ok(own) = state.exchanges.name(TransmissionTime::at(now.wall)) else { return Outcome::Silence };
        let exchange = known.map(|known| known.exchange);
        let slot = Slot::of_unknown_card(carried.pan.masked());
        let message = Message { own, carried, tells };
        let event = Event::Stored(Stored { slot, to: line.id, exchange, message });
        let Some(sequence) = self.commit_on(&mut state, &event, now) else { return Outcome::Silence };
        taken(sequence)
    }
}

/// Whether our own reversal of a request says all that another could say: there was no answer to it, nobody has told
/// since that it was approved elsewhere, and the party has not refused ours (R29).
fn is_reversed(state: &State, known: &Known) -> bool {
    let ours = state.trunk.reversal_of(known.own).and_then(|id| state.trunk.queue().get(id));
    let refused = ours.is_some_and(|ours| ours.place == Place::Dead);
    known.standing == Standing::GivenUp && !known.advised && !refused
}

/// Where what a message is about has gone, or the message itself when it came before.
fn went_to<'b>(board: &'b Switchboard, carried: &Carried, told: &Told) -> Option<&'b Line> {
    let print = told_print(carried, &tells(told, None));
    let knows = |line: &&Line| {
        let state = line.lock();
        let originals = state.trunk.originals();
        originals.told(print).is_some()
            || originals.about(&carried.key, carried.pan, original_of(told)).is_some()
    };
    let has_heard = |line: &&Line| line.lock().trunk.originals().has_heard_of(carried, original_of(told));
    board.lines().iter().find(knows).or_else(|| board.lines().iter().find(has_heard))
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
