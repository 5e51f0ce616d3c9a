//! What time does to the switch: requests that were not answered in time, stored messages whose turn it is, parties
//! that are silent.

use core::sync::atomic::Ordering;

use crate::dialect::inbound::Inbound;
use crate::domain::answer::Answer;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::forward::Carried;
use crate::domain::forward::Concluded;
use crate::domain::forward::Ended;
use crate::domain::forward::Forwarded;
use crate::domain::forward::Message;
use crate::domain::forward::OwnKey;
use crate::domain::forward::Settlement;
use crate::domain::forward::Tells;
use crate::domain::party::NameId;
use crate::domain::party::Slot;
use crate::domain::request::MessageClass;
use crate::domain::request::Presented;
use crate::domain::time::Now;
use crate::domain::time::TransmissionTime;
use crate::iso8583::view::Spans;
use crate::pipeline::core::Pipeline;
use crate::pipeline::gate::Reply;
use crate::pipeline::gate::Wait;
use crate::switch::exchange::Open;
use crate::switch::exchange::Purpose;
use crate::switch::queue::ItemId;
use crate::switch::queue::Place;
use crate::switch::route::Asked;
use crate::switch::route::Table;
use crate::switch::route::Target;
use crate::switch::stand_in::Rules;
use crate::switch::stand_in::Verdict;

use super::Line;
use super::Return;
use super::State;
use super::Switchboard;
use super::Way;
use super::answer::backoff;

/// Requests that are given up, and stored messages that go, under one hold of a line's lock.
const STEP: usize = 256;
/// How soon a stored message is tried again whose name is taken for the moment.
const SOON_NS: u64 = 10_000_000;
/// Requests without an answer in a row after which a socket is asked nothing more until an echo comes back, if others
/// of the link are answered.
const SILENT_MAX: u64 = 32;
/// How long a socket may be without an echo then.
const QUARANTINE_NS: u64 = 30_000_000_000;

/// Why an operator's verb about a stored message was not carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotDone {
    /// There is none of this name.
    Unknown,
    /// It is on its way: it can be told once that has ended.
    OnItsWay,
    /// The journal takes nothing now.
    Unavailable,
}

impl Pipeline {
    /// Does on every line what time asks for. Called every few milliseconds.
    pub fn tick_switch(&self, board: &Switchboard, now: Now) {
        for line in board.lines() {
            self.reverse_left(&mut line.lock(), line.id, now);
            self.ask_again(board, line, now);
            while self.give_up(board, line, now) {}
            self.watch_sockets(line, now);
            if !line.paused.load(Ordering::Acquire) {
                self.send_stored(board, line, now);
            }
        }
        self.wake_writer();
    }

    /// Ends requests that were not answered in time. True when there may be more.
    fn give_up(&self, board: &Switchboard, line: &Line, now: Now) -> bool {
        let mut state = line.lock();
        let state = &mut *state;
        for _ in 0..STEP {
            let Some(handle) = state.exchanges.overdue(now.elapsed_ns) else { return false };
            // A second in which every STAN was given is over soon: until then nothing can be reversed.
            let Ok(reversal) = state.exchanges.name(TransmissionTime::at(now.wall)) else { return false };
            let Some(open) = state.exchanges.end(handle) else { return false };
            match open.purpose {
                Purpose::Item(id) => {
                    let attempts = state.trunk.queue().get(id).map_or(1, |item| item.attempts);
                    let later = now.elapsed_ns + backoff(line.settings.again_ns, attempts);
                    state.trunk.queue_mut().again(id, later, false);
                    // It may be acknowledged yet, and nobody waits for that: only requests tell how a party is.
                    continue;
                }
                // Nothing but the first answer would be right (R5): whoever asked reverses it, or asks again.
                Purpose::Again { .. } => {}
                Purpose::Request(exchange) => {
                    if !self.timed_out(board, line, state, &open, exchange, reversal, now) {
                        // Its time is over all the same: it is not asked again.
                        let way = Way { again: true, ..open.way };
                        state.wait_on(Open { deadline_ns: now.elapsed_ns + SOON_NS, way, ..open });
                        return false;
                    }
                }
            }
            line.is_slow(state, now);
            open.way.there.silent.fetch_add(1, Ordering::Relaxed);
        }
        true
    }

    /// A request had no answer: it is reversed, and whoever asked is told what we say in the party's place (R29). False
    /// when the journal takes nothing now: then it has not ended.
    fn timed_out(
        &self,
        board: &Switchboard,
        line: &Line,
        state: &mut State,
        open: &Open<Way>,
        exchange: Sequence,
        reversal: OwnKey,
        now: Now,
    ) -> bool {
        let carried = &open.carried;
        let slot = Slot::of_unknown_card(carried.pan.masked());
        let back = open.way.back.as_ref();
        let table = board.table();
        let rules = stand_in(&table, carried);
        let presented = rules.and_then(|_| presented(board, back?));
        let approves = |rules: &Rules| {
            presented.is_some_and(|presented| {
                rules.decide(carried, presented, state.trunk.exposure(carried)) == Verdict::Approve
            })
        };
        // Whoever asked has told already what became of it.
        let is_told = state.trunk.queue().waiting_for(exchange).next().is_some()
            || state.trunk.originals().has_heard_of(carried, None);
        let stands_in = rules.is_some_and(approves) && !is_told;
        let name = TransmissionTime::at(now.wall);
        let advice = if stands_in { state.exchanges.name(name).ok() } else { None };
        let (ended, answer) = match advice {
            Some(advice) => {
                let (action, approval_code) = self.approval(slot, exchange);
                let ended =
                    Ended::StoodIn { reversal: Some(reversal), advice: Some(advice), action, approval_code };
                (ended, Some(Answer { approval_code, ..Answer::decline(action, Sequence(0)) }))
            }
            None => (Ended::TimedOut { reversal }, None),
        };
        let event = Event::Concluded(Concluded { slot, to: line.id, exchange, ended });
        let Some(sequence) = self.commit_on(state, &event, now) else { return false };
        let Some(back) = back else { return true };
        match answer {
            Some(answer) => {
                let waits = self.policy.answer_waits(carried.amount, carried.billing, true);
                let wait = if waits { Wait::until(sequence) } else { Wait::NONE };
                self.answer_here(board, back, &answer, wait, now);
            }
            None => self.answer_unavailable(board, back, now),
        }
        true
    }

    /// Sends stored messages whose turn it is.
    pub fn send_stored(&self, board: &Switchboard, line: &Line, now: Now) {
        if !line.is_reached() {
            return;
        }
        let mut state = line.lock();
        let state = &mut *state;
        for _ in 0..STEP {
            if state.trunk.queue().in_flight() >= line.settings.window || !may_go(line, state, now) {
                return;
            }
            let Some(id) = state.trunk.queue().next(now.elapsed_ns) else { return };
            if !self.send_one(board, line, state, id, now) {
                return;
            }
        }
    }

    /// Sends one stored message. False when nothing more can go now.
    fn send_one(&self, board: &Switchboard, line: &Line, state: &mut State, id: ItemId, now: Now) -> bool {
        let Some(item) = state.trunk.queue().get(id).copied() else { return false };
        let own = item.message.own;
        if !state.exchanges.is_free(own) {
            state.trunk.queue_mut().again(id, now.elapsed_ns + SOON_NS, false);
            return true;
        }
        let elements = match item.message.tells {
            Tells::CardEnded { status } => line.card_elements(status, &item),
            _ => None,
        };
        if elements.is_none() && matches!(item.message.tells, Tells::CardEnded { .. }) {
            // Nobody says any more what is told of it: it waits for whoever writes the configuration.
            state.trunk.queue_mut().again(id, now.elapsed_ns + line.settings.again_ns.1, false);
            return true;
        }
        let Some(outbox) = line.pick(state) else { return false };
        let mut frame = core::mem::take(&mut state.scratch);
        frame.clear();
        let repeat = item.attempts > 0;
        let source = board.index_of(item.message.carried.key.link).and_then(|index| board.line(index));
        let source = source.map(|source| &source.channel.dialect);
        let dialect = &line.channel.dialect;
        let written = match elements {
            Some(elements) => {
                dialect.write_card_file(item.message.carried.pan, &elements, repeat, &mut frame)
            }
            None => dialect.write_stored(&item.message, source, repeat, &mut frame),
        };
        let limit_ns = line.settings.timeout_ns;
        let deadline_ns = now.elapsed_ns + limit_ns;
        // What a crash could take back is not told to anybody.
        let record = if self.policy.reply == Reply::Fsync { id.stored } else { Sequence(0) };
        let goes = written.is_ok() && outbox.put(&frame, record, deadline_ns, self.durable(), now);
        state.scratch = frame;
        if written.is_err() {
            // The party's dialect cannot say it: a person has to look at it.
            let _stays = self.settle(line, state, id, &item, Settlement::DeadLetter, now);
            return true;
        }
        if !goes {
            return false;
        }
        state.pace.1 = state.pace.1.saturating_sub(1);
        state.trunk.queue_mut().sent(id);
        let open = Open {
            purpose: Purpose::Item(id),
            own,
            answer_mti: answer_mti(&item.message),
            carried: item.message.carried,
            source: None,
            sent_ns: now.elapsed_ns,
            deadline_ns,
            way: Way { there: outbox, back: None, again: false },
        };
        if state.exchanges.open(open, limit_ns).is_err() {
            state.trunk.queue_mut().again(id, now.elapsed_ns + SOON_NS, false);
        }
        true
    }

    /// Sockets that answer nothing are asked nothing more until an echo comes back; a second time, or without an echo
    /// for too long, they are closed. One that is all the link has is closed at once: a new one may be better.
    fn watch_sockets(&self, line: &Line, now: Now) {
        let sockets = line.sockets();
        let others_answer = sockets.iter().any(|outbox| outbox.silent.load(Ordering::Relaxed) == 0);
        for outbox in &sockets {
            let silent = outbox.silent.load(Ordering::Relaxed) >= SILENT_MAX;
            let since_ns = outbox.quarantined_at_ns.load(Ordering::Relaxed);
            if outbox.quarantined.load(Ordering::Relaxed) {
                if now.elapsed_ns.saturating_sub(since_ns) >= QUARANTINE_NS {
                    outbox.condemn();
                }
            } else if silent && others_answer && since_ns == 0 {
                outbox.quarantined_at_ns.store(now.elapsed_ns, Ordering::Relaxed);
                outbox.quarantined.store(true, Ordering::Release);
            } else if silent && (others_answer || sockets.len() == 1) {
                outbox.condemn();
            }
        }
    }

    /// Requests that were open when the daemon ended are reversed: what the party did about them is not known.
    pub fn reverse_open(&self, board: &Switchboard, now: Now) {
        for line in board.lines() {
            let mut state = line.lock();
            state.trunk.queue_mut().recovered();
            state.left_open = state.trunk.open().into_iter().rev().collect();
            self.reverse_left(&mut state, line.id, now);
        }
        self.wake_writer();
    }

    /// Reverses what a start has found open, as far as the journal takes it now.
    fn reverse_left(&self, state: &mut State, to: NameId, now: Now) {
        while let Some((exchange, Forwarded { slot, .. })) = state.left_open.last().copied() {
            let Ok(reversal) = state.exchanges.name(TransmissionTime::at(now.wall)) else { return };
            let ended = Ended::TimedOut { reversal };
            let event = Event::Concluded(Concluded { slot, to, exchange, ended });
            if self.commit_on(state, &event, now).is_none() {
                return;
            }
            state.left_open.pop();
        }
    }

    /// Holds a stored message back, lets it go on, or takes it out. On record before this returns its sequence.
    ///
    /// # Errors
    /// There is none, it is on its way, or the journal takes nothing.
    pub fn settle_stored(
        &self,
        line: &Line,
        id: ItemId,
        settlement: Settlement,
        now: Now,
    ) -> Result<Sequence, NotDone> {
        let mut state = line.lock();
        let item = state.trunk.queue().get(id).copied().ok_or(NotDone::Unknown)?;
        if item.place == Place::InFlight {
            return Err(NotDone::OnItsWay);
        }
        if !self.settle(line, &mut state, id, &item, settlement, now) {
            return Err(NotDone::Unavailable);
        }
        let sequence = state.trunk.applied();
        drop(state);
        self.wake_writer();
        Ok(sequence)
    }
}

/// What a request brought to be verified. It could be read before.
fn presented(board: &Switchboard, back: &Return) -> Option<Presented> {
    let settings = &board.line(back.link)?.channel;
    let mut spans = Spans::default();
    let asked = settings.dialect.decode(&back.request, settings.context, &mut spans).ok()?;
    match asked.inbound {
        Inbound::Authorization(request) => Some(request.presented),
        _ => None,
    }
}

/// The rules by which somebody stands in for the party of a message.
fn stand_in<'t>(table: &'t Table, carried: &Carried) -> Option<&'t Rules> {
    match &table.find(&Asked::of_carried(carried))?.target {
        Target::Ledger => None,
        Target::Group(group) => group.stand_in.and_then(|rules| table.stand_in(rules)),
    }
}

/// Whether one more stored message may go in this second.
fn may_go(line: &Line, state: &mut State, now: Now) -> bool {
    let most = line.per_second.load(Ordering::Acquire);
    if most == 0 {
        return true;
    }
    let second = now.elapsed_ns / 1_000_000_000;
    if state.pace.0 != second {
        state.pace = (second, most);
    }
    state.pace.1 > 0
}

/// The MTI of the acknowledgement of a stored message.
pub(super) const fn answer_mti(message: &Message) -> u16 {
    match (message.tells, message.carried.class) {
        (Tells::Reversal { .. }, _) => 430,
        (Tells::Advice { .. }, MessageClass::Authorization) => 130,
        (Tells::Advice { .. }, MessageClass::Financial) => 230,
        (Tells::CardEnded { .. }, _) => 312,
    }
}
