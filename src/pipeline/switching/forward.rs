//! A request that is not ours goes on: where to, under which name, and what whoever asks is told if it cannot.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::dialect::carry::CarryError;
use crate::dialect::inbound::Received;
use crate::domain::action::ActionCode;
use crate::domain::answer::Answer;
use crate::domain::card::CardIdentity;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::forward::Carried;
use crate::domain::forward::Concluded;
use crate::domain::forward::Ended;
use crate::domain::forward::Forwarded;
use crate::domain::forward::OwnKey;
use crate::domain::party::InstitutionId;
use crate::domain::party::Slot;
use crate::domain::request::AuthorizationRequest;
use crate::domain::request::MessageClass;
use crate::domain::time::Now;
use crate::domain::time::TransmissionTime;
use crate::ledger::chain::fingerprint;
use crate::pipeline::channel::ChannelSettings;
use crate::pipeline::core::Outcome;
use crate::pipeline::core::Pipeline;
use crate::pipeline::gate::Reply;
use crate::pipeline::gate::Wait;
use crate::switch::exchange::Open;
use crate::switch::exchange::Purpose;
use crate::switch::exchange::source_print;
use crate::switch::originals::Known;
use crate::switch::originals::Standing;
use crate::switch::route::Group;
use crate::switch::route::LinkIndex;
use crate::switch::route::Table;
use crate::switch::stand_in::Verdict;

use super::Line;
use super::Return;
use super::State;
use super::Switchboard;
use super::Way;
use super::cases::Case;
use super::cases::Kind;
use super::outbox::Outbox;

/// What came of a request that is to be forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forwarding {
    /// It is on its way, or was already: the answer comes by itself.
    Sent,
    /// It is answered here.
    Here(Outcome),
}

/// A request on its way, and where it came from.
pub struct Asking<'a> {
    /// As it was read.
    pub message: &'a Received<'a>,
    /// What it asks.
    pub request: &'a AuthorizationRequest,
    /// The link that it came on, and its socket.
    pub from: (LinkIndex, &'a Arc<Outbox>),
    /// How that link's messages are read and written.
    pub settings: &'a ChannelSettings,
    /// When it was read.
    pub received: Now,
    /// When it is decided.
    pub now: Now,
    /// New requests are taken on its link now; repeats always are (R6).
    pub new: bool,
}

/// What one line has made of it.
enum Tried {
    Done(Forwarding),
    /// Not by this one: nothing was sent.
    Next,
}

impl Asking<'_> {
    fn carried(&self) -> Carried {
        carried(self.message, self.request)
    }
}

/// What a request carries.
fn carried(message: &Received<'_>, request: &AuthorizationRequest) -> Carried {
    Carried {
        key: request.key,
        class: request.class,
        pan: request.pan,
        expiry: request.expiry,
        processing_code: request.processing_code,
        amount: request.amount,
        billing: request.billing,
        mcc: request.mcc,
        country: request.country,
        entry_mode: request.entry_mode,
        forwarder: InstitutionId(message.view.number(33).unwrap_or(0)),
    }
}

/// The fingerprint of a request.
fn print_of(carried: &Carried) -> u64 {
    source_print(&carried.key, carried.pan, carried.class as u8)
}

impl Pipeline {
    /// Forwards a request to one of a group of links, or answers it in their place. Without a group the table has it
    /// for the ledger: `None` comes back, unless the same came before and went elsewhere. So it does when the ledger
    /// has answered the same before.
    #[must_use]
    pub fn forward(
        &self,
        board: &Switchboard,
        table: &Table,
        group: Option<&Group>,
        asking: &Asking<'_>,
    ) -> Option<Forwarding> {
        let carried = asking.carried();
        let _one_at_a_time = board.guard(carried.pan);
        // What was answered before can be said again, whatever the journal does.
        let bound = match self.known_already(board, asking, &carried) {
            ControlFlow::Continue(bound) => bound,
            ControlFlow::Break(known) => return Some(known),
        };
        let group = group?;
        if self.has_answered(asking) {
            return None;
        }
        let unavailable = Forwarding::Here(Outcome::UNAVAILABLE);
        if self.has_come_back(board, asking, &carried) || !asking.new || !self.admits(asking.now) {
            return Some(unavailable);
        }
        if let Some(bound) = bound {
            let line = board.line(bound).filter(|line| bound != asking.from.0 && line.is_usable(asking.now));
            let tried = line.map(|line| self.forward_on(line, asking, &carried, None));
            return Some(if let Some(Tried::Done(done)) = tried { done } else { unavailable });
        }
        let (mut tried, turn) = (0_u64, board.next_turn());
        // A row has 64 links at most.
        let bit = |index| {
            let place = group.members.iter().position(|member| member.link == index);
            1_u64 << (place.unwrap_or(0) & 63)
        };
        let usable = |tried: u64, index: LinkIndex| {
            let line = board.line(index).filter(|_| index != asking.from.0);
            tried & bit(index) == 0 && line.is_some_and(|line| line.is_usable(asking.now))
        };
        while let Some(index) = group.choose(turn, |index| usable(tried, index)) {
            tried |= bit(index);
            let Some(line) = board.line(index) else { break };
            if let Tried::Done(done) = self.forward_on(line, asking, &carried, None) {
                return Some(done);
            }
        }
        Some(self.unreachable(board, table, group, asking, &carried))
    }

    /// Whether the ledger has answered this request: the table may have led there when it came first.
    fn has_answered(&self, asking: &Asking<'_>) -> bool {
        let AuthorizationRequest { key, pan, class, repeat, .. } = asking.request;
        let (shard, position) = self.locate(*pan);
        let Some(card) = position.map(|position| shard.card(position)) else { return false };
        let print = fingerprint(key, *class as u8, CardIdentity::Known(card.reference), shard.seed());
        shard.first_of(print, key, *class as u8, *repeat, asking.now.wall).is_some()
    }

    /// A request that came before: what waits for its answer goes on waiting, what was answered is asked again under
    /// the same name, and what was decided here is decided the same (R5, R30). That is the break; a new one goes on,
    /// with the link that was told of it before it came: then it is for nobody else.
    fn known_already(
        &self,
        board: &Switchboard,
        asking: &Asking<'_>,
        carried: &Carried,
    ) -> ControlFlow<Forwarding, Option<LinkIndex>> {
        let print = print_of(carried);
        let mut bound = None;
        let duplicate = || {
            let answer = Answer::decline(ActionCode::DuplicateTransmission, Sequence(0));
            Forwarding::Here(Outcome::Answer(answer, Wait::NONE))
        };
        for (line, index) in board.lines().iter().zip(0..).filter(|(line, _)| line.was_used()) {
            let mut state = line.lock();
            let waiting = state.exchanges.of_source(print);
            if let Some(open) = waiting.and_then(|handle| state.exchanges.get_mut(handle)) {
                if open.carried.amount != carried.amount
                    || open.carried.processing_code != carried.processing_code
                {
                    return ControlFlow::Break(duplicate());
                }
                // Its answer goes to where it was asked last.
                open.way.back = Some(way_back(asking));
                return ControlFlow::Break(Forwarding::Sent);
            }
            let known = state.trunk.originals().repeated_by(carried, asking.request.repeat).copied();
            // How it ended is a record up to here.
            let applied = state.trunk.applied();
            // Its reversal came first: forwarded now, it could be approved before that is told (R4).
            if let Some(reversed) = state.trunk.originals().tombstone(carried) {
                let answer = Answer::decline(ActionCode::ReversedBeforeArrival, reversed);
                return ControlFlow::Break(Forwarding::Here(Outcome::Answer(answer, Wait::until(reversed))));
            }
            if state.trunk.originals().has_heard_of(carried, None) {
                bound = bound.or(Some(LinkIndex(index)));
            }
            drop(state);
            if let Some(known) = known {
                if known.differs_from(carried) {
                    return ControlFlow::Break(duplicate());
                }
                return ControlFlow::Break(self.said_again(line, asking, carried, &known, applied));
            }
        }
        ControlFlow::Continue(bound)
    }

    fn said_again(
        &self,
        line: &Line,
        asking: &Asking<'_>,
        carried: &Carried,
        known: &Known,
        record: Sequence,
    ) -> Forwarding {
        match known.standing {
            Standing::StoodIn(action, approval_code) => {
                let answer = Answer { approval_code, ..Answer::decline(action, record) };
                Forwarding::Here(Outcome::Answer(answer, Wait::until(record)))
            }
            // Its reversal is stored: asked again it would be held again.
            Standing::GivenUp | Standing::Open | Standing::Unsent => Forwarding::Here(Outcome::UNAVAILABLE),
            // Nothing but the first answer would be right, and only the party has it (R5).
            Standing::Answered(_) if !line.is_usable(asking.now) => Forwarding::Here(Outcome::Silence),
            Standing::Answered(_) => match self.forward_on(line, asking, carried, Some(known)) {
                Tried::Done(done) => done,
                Tried::Next => Forwarding::Here(Outcome::Silence),
            },
        }
    }

    /// Sends a request on one line. `known`: the party has answered it before, under that name.
    fn forward_on(
        &self,
        line: &Line,
        asking: &Asking<'_>,
        carried: &Carried,
        known: Option<&Known>,
    ) -> Tried {
        let now = asking.now;
        let mut state = line.lock();
        let state = &mut *state;
        // Who does not take what is stored for it is asked nothing that may have to be stored.
        if known.is_none() && state.trunk.is_full() {
            return Tried::Next;
        }
        let limit_ns = limit(line, asking);
        // What cannot be answered in time is not asked (R3). One at a time is all the same: nothing else would find out
        // that the party is faster by now, or that it may have more.
        let (left_ns, requests) = (limit_ns.saturating_sub(now.since(asking.received)), state.requests());
        let too_late = left_ns == 0 || requests > 0 && left_ns <= state.latency_ns;
        if requests >= state.allowed() || too_late {
            return Tried::Next;
        }
        if line.is_sick() {
            state.probe_at_ns = now.elapsed_ns + line.settings.probe_ns;
        }
        let Some(outbox) = line.pick(state) else { return Tried::Next };
        let named = known
            .map(|known| known.own)
            .map_or_else(|| state.exchanges.name(TransmissionTime::at(now.wall)), Ok);
        let Ok(own) = named else { return Tried::Next };
        let mut frame = core::mem::take(&mut state.scratch);
        frame.clear();
        let (settings, to) = (&asking.settings.dialect, &line.channel.dialect);
        let written = settings.carry_request(asking.message, to, own, &line.carriage, false, &mut frame);
        let done = match written {
            Err(error) => Tried::Done(refused(&error)),
            Ok(dropped) => {
                line.left_out.add(dropped);
                self.send(line, state, asking, carried, known, own, limit_ns, &outbox, &frame)
            }
        };
        state.scratch = frame;
        done
    }

    #[expect(clippy::too_many_arguments, reason = "all of it is one message and where it goes")]
    fn send(
        &self,
        line: &Line,
        state: &mut State,
        asking: &Asking<'_>,
        carried: &Carried,
        known: Option<&Known>,
        own: OwnKey,
        limit_ns: u64,
        outbox: &Arc<Outbox>,
        frame: &[u8],
    ) -> Tried {
        if state.exchanges.is_full() || !state.exchanges.is_free(own) {
            return Tried::Next;
        }
        let now = asking.now;
        let slot = Slot::of_unknown_card(carried.pan.masked());
        let forwarded = Forwarded { slot, to: line.id, own, carried: *carried };
        let event = Event::Forwarded(forwarded);
        line.is_used();
        let (purpose, sequence) = match known {
            Some(known) => {
                let record = state.trunk.applied();
                let first = if let Standing::Answered(first) = known.standing { first } else { *b"  " };
                (Purpose::Again { record, first }, record)
            }
            None => match self.commit_on(state, &event, now) {
                Some(sequence) => (Purpose::Request(sequence), sequence),
                None => return Tried::Done(Forwarding::Here(Outcome::UNAVAILABLE)),
            },
        };
        let deadline_ns = asking.received.elapsed_ns + limit_ns;
        let durable = self.durable();
        // With `fsync` nothing leaves of which no record is on disk; with `async` the network's own reversal of what a
        // crash has lost is forwarded like any other.
        let record = if self.policy.reply == Reply::Fsync { sequence } else { Sequence(0) };
        if !outbox.put(frame, record, deadline_ns, durable, now) {
            if known.is_some() {
                return Tried::Next;
            }
            let ended = Ended::Unsent;
            let event = Event::Concluded(Concluded { slot, to: line.id, exchange: sequence, ended });
            if self.commit_on(state, &event, now).is_none() {
                // It is reversed later, though nobody has heard of it.
                state.left_open.push((sequence, forwarded));
            }
            return Tried::Next;
        }
        outbox.asked.fetch_add(1, core::sync::atomic::Ordering::Relaxed);
        let financial = carried.class == MessageClass::Financial;
        let open = Open {
            purpose,
            own,
            answer_mti: if financial { 210 } else { 110 },
            carried: *carried,
            source: Some(print_of(carried)),
            sent_ns: now.elapsed_ns,
            deadline_ns,
            way: Way { there: Arc::clone(outbox), back: Some(way_back(asking)), again: false },
        };
        // There is a place, and its name is free: both were looked at.
        let opened = state.exchanges.open(open, limit_ns);
        debug_assert!(opened.is_ok(), "a place was free");
        Tried::Done(Forwarding::Sent)
    }

    /// No link of the group can be asked: somebody stands in, or the request is answered 91 (R29).
    fn unreachable(
        &self,
        board: &Switchboard,
        table: &Table,
        group: &Group,
        asking: &Asking<'_>,
        carried: &Carried,
    ) -> Forwarding {
        let unavailable = Forwarding::Here(Outcome::UNAVAILABLE);
        let Some(rules) = group.stand_in.and_then(|rules| table.stand_in(rules)) else { return unavailable };
        // Not whoever asks.
        let first = group.members.iter().find(|member| member.link != asking.from.0);
        let Some(line) = first.and_then(|member| board.line(member.link)) else { return unavailable };
        let now = asking.now;
        let mut state = line.lock();
        let state = &mut *state;
        let verdict = rules.decide(carried, asking.request.presented, state.trunk.exposure(carried));
        if verdict != Verdict::Approve || state.trunk.is_full() {
            return unavailable;
        }
        let name = TransmissionTime::at(now.wall);
        let (Ok(own), Ok(advice)) = (state.exchanges.name(name), state.exchanges.name(name)) else {
            return unavailable;
        };
        let slot = Slot::of_unknown_card(carried.pan.masked());
        let forwarded = Forwarded { slot, to: line.id, own, carried: *carried };
        line.is_used();
        let Some(exchange) = self.commit_on(state, &Event::Forwarded(forwarded), now) else {
            return unavailable;
        };
        let (action, approval_code) = self.approval(slot, exchange);
        let ended = Ended::StoodIn { reversal: None, advice: Some(advice), action, approval_code };
        let event = Event::Concluded(Concluded { slot, to: line.id, exchange, ended });
        let Some(sequence) = self.commit_on(state, &event, now) else {
            state.left_open.push((exchange, forwarded));
            return unavailable;
        };
        let answer = Answer { approval_code, ..Answer::decline(action, sequence) };
        let waits = self.policy.answer_waits(carried.amount, carried.billing, true);
        Forwarding::Here(Outcome::Answer(answer, if waits { Wait::until(sequence) } else { Wait::NONE }))
    }

    /// Whether a party sends back to us what we have sent to it. That would go round until somebody's time is over.
    fn has_come_back(&self, board: &Switchboard, asking: &Asking<'_>, carried: &Carried) -> bool {
        let Some(line) = board.line(asking.from.0) else { return false };
        let mut state = line.lock();
        let came_back = state.exchanges.has_gone(carried);
        if came_back {
            state.cases.add(case_of_loop(carried, asking.now));
        }
        came_back
    }
}

const fn case_of_loop(carried: &Carried, now: Now) -> Case {
    Case {
        at: now.wall,
        kind: Kind::Loop,
        mti: carried.class as u16 * 100,
        stan: carried.key.stan,
        rrn: Some(carried.key.rrn),
        code: *b"  ",
        card: Some(carried.pan.masked()),
        nearest: None,
        differs: None,
        fits: None,
    }
}

fn way_back(asking: &Asking<'_>) -> Return {
    asking.from.1.owe();
    Return {
        outbox: Arc::clone(asking.from.1),
        link: asking.from.0,
        received: asking.received,
        request: asking.message.kept(),
    }
}

/// From when a request was read to when it is given up: what the party may take, and what whoever asked leaves of its
/// own time.
fn limit(line: &Line, asking: &Asking<'_>) -> u64 {
    let theirs_ns = asking.settings.answer_deadline_ms * 1_000_000;
    line.settings.timeout_ns.min(theirs_ns.saturating_sub(line.settings.margin_ns).max(theirs_ns / 2))
}

/// What cannot go on is declined, and nothing was sent: a PIN that nobody could check, a field that would be lost.
fn refused(error: &CarryError) -> Forwarding {
    let action = match error {
        CarryError::Pin => ActionCode::PinNotVerifiable,
        CarryError::Mac => ActionCode::CryptogramNotVerifiable,
        _ => ActionCode::FormatError,
    };
    Forwarding::Here(Outcome::Answer(Answer::decline(action, Sequence(0)), Wait::NONE))
}
