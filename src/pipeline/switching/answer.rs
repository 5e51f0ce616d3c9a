//! An answer comes from a party: whose it is, and back to whoever asked.

use core::sync::atomic::Ordering;

use crate::dialect::Dialect;
use crate::dialect::inbound::Received;
use crate::dialect::inbound::Response;
use crate::domain::action::ActionCode;
use crate::domain::answer::Answer;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::forward::Carried;
use crate::domain::forward::Concluded;
use crate::domain::forward::Ended;
use crate::domain::forward::OwnKey;
use crate::domain::forward::Settled;
use crate::domain::forward::Settlement;
use crate::domain::forward::Tells;
use crate::domain::money::Stated;
use crate::domain::party::Slot;
use crate::domain::request::ApprovalCode;
use crate::domain::request::Legs;
use crate::domain::time::Now;
use crate::domain::time::TransmissionTime;
use crate::iso8583::view::Spans;
use crate::pipeline::core::Outcome;
use crate::pipeline::core::Pipeline;
use crate::pipeline::gate::Wait;
use crate::switch::exchange::Found;
use crate::switch::exchange::Handle;
use crate::switch::exchange::Open;
use crate::switch::exchange::Purpose;
use crate::switch::matching::Answering;
use crate::switch::matching::STAN;
use crate::switch::matching::Sent;
use crate::switch::matching::TRANSMISSION;
use crate::switch::matching::difference;
use crate::switch::matching::given;
use crate::switch::originals::Standing;
use crate::switch::queue::Item;
use crate::switch::queue::ItemId;
use crate::switch::queue::Place;
use crate::switch::route::LinkIndex;

use super::Line;
use super::Return;
use super::State;
use super::Switchboard;
use super::Way;
use super::cases::Case;
use super::cases::Kind;
use super::outbox::Outbox;
use super::tick::answer_mti;

const NANOS_PER_MS: u64 = 1_000_000;

impl Pipeline {
    /// Takes an answer that came on a link. False when it answers nothing that waits: then it is a case.
    pub fn answered(
        &self,
        board: &Switchboard,
        from: (LinkIndex, &Outbox),
        message: &Received<'_>,
        response: &Response,
        now: Now,
    ) -> bool {
        let Some(line) = board.line(from.0) else { return false };
        let answering = answering(&line.channel.dialect, response);
        let mut state = line.lock();
        match state.exchanges.find(&answering, line.settings.match_on) {
            Found::Answer(handle) => {
                self.taken(board, line, &mut state, handle, message, response, now);
                true
            }
            Found::Differs { nearest, field } => {
                let nearest = state.exchanges.get(nearest).map(|open| open.carried);
                // Mixed up by the party: the name of one, and all the rest of another.
                let other = state.exchanges.fits_but_for_name(&answering).map(|open| open.own.stan);
                let kind = if other.is_some() { Kind::Collision } else { Kind::Mismatch };
                let case = case(kind, response, now, nearest.as_ref(), Some(field));
                state.cases.add(Case { fits: other, ..case });
                false
            }
            Found::Nothing => {
                let taken = self.acknowledged_late(line, &mut state, response, now);
                if !taken {
                    self.late(line, &mut state, response, now);
                }
                taken
            }
        }
    }

    fn taken(
        &self,
        board: &Switchboard,
        line: &Line,
        state: &mut State,
        handle: Handle,
        message: &Received<'_>,
        response: &Response,
        now: Now,
    ) {
        let Some(open) = state.exchanges.end(handle) else { return };
        // Only requests tell how a party is: one that decides nothing may yet acknowledge what it is told.
        if !matches!(open.purpose, Purpose::Item(_)) {
            open.way.there.answered.fetch_add(1, Ordering::Relaxed);
            open.way.there.silent.store(0, Ordering::Relaxed);
            line.is_well(state, now.elapsed_ns.saturating_sub(open.sent_ns));
        }
        match open.purpose {
            Purpose::Request(exchange) => {
                if !self.answer_came(board, line, state, &open, exchange, message, response, now) {
                    state.wait_on(open);
                }
            }
            Purpose::Again { record, first } => {
                // Whoever asked would not know which of two answers is true: without one they reverse it.
                if is_approval(line, first) == is_approval(line, response.response_code) {
                    self.said_again_by_party(board, line, state, &open, record, message, now);
                } else {
                    state.cases.add(case(Kind::Duplicate, response, now, Some(&open.carried), Some(39)));
                }
            }
            Purpose::Item(id) => self.acknowledged(line, state, id, response, now),
        }
    }

    /// Back to whoever asked, in their own words. False when the journal takes nothing now: then it has not come, and
    /// if it does not come again it was not in time (R2).
    #[expect(clippy::too_many_arguments, reason = "all of it is one answer and where it goes")]
    fn answer_came(
        &self,
        board: &Switchboard,
        line: &Line,
        state: &mut State,
        open: &Open<Way>,
        exchange: Sequence,
        message: &Received<'_>,
        response: &Response,
        now: Now,
    ) -> bool {
        let slot = Slot::of_unknown_card(open.carried.pan.masked());
        let mut frame = core::mem::take(&mut state.scratch);
        frame.clear();
        let told =
            open.way.back.as_ref().and_then(|back| self.told_back(board, line, back, message, &mut frame));
        // What whoever asked cannot be told has not happened: it is reversed, and they are told so.
        let ended = match told {
            Some(_) => Ended::Answered(response.response_code),
            None => match state.exchanges.name(TransmissionTime::at(now.wall)) {
                Ok(reversal) => Ended::TimedOut { reversal },
                Err(_) => {
                    state.scratch = frame;
                    return false;
                }
            },
        };
        let event = Event::Concluded(Concluded { slot, to: line.id, exchange, ended });
        let committed = self.commit_on(state, &event, now);
        if let (Some(sequence), Some(back)) = (committed, &open.way.back) {
            match told {
                Some(approved) => {
                    let waits = self.policy.answer_waits(open.carried.amount, open.carried.billing, approved);
                    let record = if waits { sequence } else { Sequence(0) };
                    if let Some(asker) = board.line(back.link) {
                        self.put_answer(asker, back, &frame, record, now);
                    }
                }
                None => self.answer_unavailable(board, back, now),
            }
        }
        state.scratch = frame;
        committed.is_some()
    }

    /// The party has said again what it said before: so do we.
    fn said_again_by_party(
        &self,
        board: &Switchboard,
        line: &Line,
        state: &mut State,
        open: &Open<Way>,
        before: Sequence,
        message: &Received<'_>,
        now: Now,
    ) {
        let Some(back) = &open.way.back else { return };
        let mut frame = core::mem::take(&mut state.scratch);
        frame.clear();
        let told = self.told_back(board, line, back, message, &mut frame);
        if let (Some(_), Some(asker)) = (told, board.line(back.link)) {
            self.put_answer(asker, back, &frame, before, now);
        }
        state.scratch = frame;
    }

    /// Writes the party's answer in the words of whoever asked, and tells whether it approves.
    fn told_back(
        &self,
        board: &Switchboard,
        line: &Line,
        back: &Return,
        message: &Received<'_>,
        frame: &mut Vec<u8>,
    ) -> Option<bool> {
        let asker = board.line(back.link)?;
        let (dialect, context) = (&asker.channel.dialect, asker.channel.context);
        let mut spans = Spans::default();
        // It could be read before.
        let asked = dialect.decode(&back.request, context, &mut spans).ok()?;
        let carriage = &line.carriage;
        let told = dialect.carry_answer(&asked, &line.channel.dialect, message, carriage, frame);
        let told = told.ok()?;
        asker.left_out.add(told.left_out);
        Some(told.approved)
    }

    /// Tells whoever asked that nobody can be asked now (91).
    pub(super) fn answer_unavailable(&self, board: &Switchboard, back: &Return, now: Now) {
        if let Outcome::Answer(answer, wait) = Outcome::UNAVAILABLE {
            self.answer_here(board, back, &answer, wait, now);
        }
    }

    /// Gives the socket that a request came on its answer.
    pub(super) fn put_answer(
        &self,
        asker: &Line,
        returns: &Return,
        frame: &[u8],
        record: Sequence,
        now: Now,
    ) {
        let deadline_ns = returns.received.elapsed_ns + asker.channel.answer_deadline_ms * NANOS_PER_MS;
        if deadline_ns >= now.elapsed_ns {
            let _gone_or_full = returns.outbox.put(frame, record, deadline_ns, self.durable(), now);
        }
    }

    /// Writes an answer of our own to a request that was forwarded, and gives it to the socket.
    pub(super) fn answer_here(
        &self,
        board: &Switchboard,
        returns: &Return,
        answer: &Answer,
        wait: Wait,
        now: Now,
    ) {
        let Some(asker) = board.line(returns.link) else { return };
        let mut spans = Spans::default();
        let settings = &asker.channel;
        let Ok(asked) = settings.dialect.decode(&returns.request, settings.context, &mut spans) else {
            return;
        };
        let mut frame = Vec::new();
        if settings.dialect.write_answer(&asked, answer, &mut frame).is_ok() {
            self.put_answer(asker, returns, &frame, wait.record, now);
        }
    }

    /// An acknowledgement of a stored message that came when nobody waited for it any more. Whoever always takes longer
    /// than that would be told the same for ever. False when it is none.
    fn acknowledged_late(&self, line: &Line, state: &mut State, response: &Response, now: Now) -> bool {
        let key = line.settings.match_on;
        let answering = answering(&line.channel.dialect, response);
        let queue = state.trunk.queue();
        let echoed = answering.transmission.filter(|_| key.has(TRANSMISSION));
        let id = match echoed {
            Some(transmission) => queue.of_name(OwnKey { stan: response.stan, transmission }),
            // Without DE 7, DE 37 has to say whose it is, unless the link's key takes DE 11 for enough.
            None => queue.of_stan(response.stan).filter(|_| answering.rrn.is_some() || key.is_weak()),
        };
        let told = id.filter(|id| queue.can_have_gone(*id));
        let Some((id, item)) = told.and_then(|id| Some((id, *queue.get(id)?))) else { return false };
        let message = &item.message;
        let sent = Sent::of(message.own, answer_mti(message), &message.carried);
        if difference(key, &sent, &answering).is_some() {
            return false;
        }
        // What a person holds or looks at stays there, and of one attempt one answer counts.
        let stays = item.place != Place::Waiting || item.is_answered;
        if stays && !is_taken(line, response.response_code) {
            return false;
        }
        self.acknowledged(line, state, id, response, now);
        true
    }

    /// A stored message was acknowledged, or refused.
    fn acknowledged(&self, line: &Line, state: &mut State, id: ItemId, response: &Response, now: Now) {
        let Some(item) = state.trunk.queue().get(id).copied() else { return };
        let settings = &line.settings;
        let taken = is_taken(line, response.response_code);
        state.said.note(&item, response.response_code, taken, now);
        let settlement = if taken {
            let (second, before, count) = (now.wall.seconds(), state.drained.0, state.drained.1);
            state.drained = if second == before {
                (second, count + 1, state.drained.2)
            } else {
                (second, 1, if second == before + 1 { count } else { 0 })
            };
            Some(Settlement::Acknowledged)
        } else if item.refusals + 1 >= settings.refusals_max && is_refusal(line, response.response_code) {
            Some(Settlement::DeadLetter)
        } else {
            None
        };
        let later = now.elapsed_ns + backoff(settings.again_ns, item.attempts);
        match settlement {
            Some(settlement) if self.settle(line, state, id, &item, settlement, now) => {}
            // Not on record: it goes again, and is acknowledged again.
            _ => {
                let refused = settlement.is_none() && is_refusal(line, response.response_code);
                state.trunk.queue_mut().again(id, later, refused);
                if settlement.is_none() {
                    state.trunk.queue_mut().is_answered(id);
                }
            }
        }
    }

    /// Says on record what became of a stored message.
    pub(super) fn settle(
        &self,
        line: &Line,
        state: &mut State,
        id: ItemId,
        item: &Item,
        settlement: Settlement,
        now: Now,
    ) -> bool {
        let (stored, advice) = (id.stored, id.advice);
        let event = Event::Settled(Settled { slot: item.slot, to: line.id, stored, advice, settlement });
        self.commit_on(state, &event, now).is_some()
    }

    /// An answer to nothing that waits: too late, said before, or about nothing that we know of (R29).
    fn late(&self, line: &Line, state: &mut State, response: &Response, now: Now) {
        let key = line.settings.match_on;
        let answering = answering(&line.channel.dialect, response);
        let echoed = response.transmission.map(|transmission| OwnKey { stan: response.stan, transmission });
        // A party that is not known by its DE 7 may have changed it.
        let own = if key.has(7) { echoed } else { state.trunk.named_lately(response.stan) };
        let reversal = own.and_then(|own| {
            let id = state.trunk.reversal_of(own)?;
            Some((own, id, *state.trunk.queue().get(id)?))
        });
        let Some((own, id, item)) = reversal else {
            let approved = is_approval(line, response.response_code);
            let kind = match own.and_then(|own| state.trunk.standing_of(own)) {
                Some(Standing::GivenUp) if approved => Kind::LateApproval,
                Some(Standing::GivenUp) => Kind::LateDecline,
                Some(_) => Kind::Duplicate,
                None => Kind::Orphan,
            };
            // Of what nobody has asked, the one that it would answer under another name.
            let nearest =
                (kind == Kind::Orphan).then(|| state.exchanges.fits_but_for_name(&answering)).flatten();
            let nearest = nearest.map(|open| (open.carried, open.own.stan));
            let differs = nearest.map(|_| STAN);
            let case = case(kind, response, now, nearest.as_ref().map(|(carried, _)| carried), differs);
            state.cases.add(Case { fits: nearest.map(|(_, stan)| stan), ..case });
            return;
        };
        let carried = &item.message.carried;
        let answer_mti = carried.class as u16 * 100 + 10;
        if let Some(field) = difference(key, &Sent::of(own, answer_mti, carried), &answering) {
            state.cases.add(case(Kind::Mismatch, response, now, Some(carried), Some(field)));
            return;
        }
        let approved = is_approval(line, response.response_code);
        let kind = if approved { Kind::LateApproval } else { Kind::LateDecline };
        state.cases.add(case(kind, response, now, Some(carried), None));
        // What is not known for a decline may be none.
        let declined = !approved && is_refusal(line, response.response_code);
        // What undoes more than the party's own decision is told all the same.
        let of_theirs = matches!(item.message.tells, Tells::Reversal { legs: Legs::Ours, .. });
        if declined && of_theirs && item.place == Place::Waiting && item.attempts == 0 {
            let _stays = self.settle(line, state, id, &item, Settlement::NotNeeded, now);
        }
    }

    /// What we approve in a party's place, and under which code (R8).
    pub(super) fn approval(&self, slot: Slot, exchange: Sequence) -> (ActionCode, Option<ApprovalCode>) {
        (ActionCode::Approved, Some(self.authorizer.codes.code(slot, exchange.0)))
    }
}

/// How long after so many attempts the next one is made.
pub(super) fn backoff((first_ns, most_ns): (u64, u64), attempts: u32) -> u64 {
    first_ns.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(most_ns)
}

fn is_approval(line: &Line, code: [u8; 2]) -> bool {
    line.channel.dialect.is_approval(code)
}

/// Whether a party has decided against something, and has not only been unable to decide.
fn is_refusal(line: &Line, code: [u8; 2]) -> bool {
    let unable = [ActionCode::Unavailable, ActionCode::SystemMalfunction];
    let unable = line.channel.dialect.action_of(code).is_some_and(|action| unable.contains(&action));
    // Nothing at all says nothing.
    !unable && code != *b"  " && !is_approval(line, code)
}

/// Whether an answer to an advice or a reversal says that it was taken. What the party says that it knows already was.
fn is_taken(line: &Line, code: [u8; 2]) -> bool {
    let action = line.channel.dialect.action_of(code);
    action.is_some_and(|action| action.is_approval() || action == ActionCode::DuplicateTransmission)
}

/// What an answer in a party's dialect says of what it answers.
#[must_use]
pub fn answering(dialect: &Dialect, response: &Response) -> Answering {
    // What else is answered is told and not asked: its answer decides nothing, whatever amount it states.
    let decides = matches!(response.mti, 110 | 210);
    let stated = |amount| if decides { amount } else { Stated::NOTHING };
    Answering {
        mti: response.mti,
        stan: response.stan,
        transmission: response.transmission,
        acquirer: given(response.acquirer),
        rrn: Some(response.rrn).filter(|rrn| !rrn.is_blank()),
        terminal: Some(response.terminal).filter(|terminal| !terminal.is_blank()),
        amount: stated(response.amount),
        billing: stated(response.billing),
        whole: decides && dialect.is_whole_approval(response.response_code),
    }
}

fn case(kind: Kind, response: &Response, now: Now, nearest: Option<&Carried>, differs: Option<u8>) -> Case {
    Case {
        at: now.wall,
        kind,
        mti: response.mti,
        stan: response.stan,
        rrn: Some(response.rrn).filter(|rrn| !rrn.is_blank()),
        code: response.response_code,
        card: nearest.map(|nearest| nearest.pan.masked()),
        nearest: nearest.map(|nearest| nearest.key.rrn),
        differs,
        fits: None,
    }
}
