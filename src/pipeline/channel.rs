//! One socket's way through the rooms, without the socket: bytes in, answers out.
//!
//! Every complete frame in the buffer is decoded, decided and answered in a loop; the caller reads once and writes
//! once. Answers whose record must be durable first are parked here until the gate lets them go.

use std::sync::Arc;

use crate::dialect::Courtesy;
use crate::dialect::Dialect;
use crate::dialect::inbound::Context;
use crate::dialect::inbound::Fault;
use crate::dialect::inbound::Inbound;
use crate::dialect::inbound::Kept;
use crate::dialect::inbound::Malformed;
use crate::dialect::inbound::NetworkRequest;
use crate::dialect::inbound::Received;
use crate::dialect::inbound::Response;
use crate::dialect::network::OwnRequest;
use crate::dialect::unknown::Path;
use crate::domain::action::ActionCode;
use crate::domain::answer::Answer;
use crate::domain::party::NameId;
use crate::domain::request::Presented;
use crate::domain::time::Now;
use crate::domain::time::Timestamp;
use crate::iso8583::frame::Frame;
use crate::iso8583::frame::FrameError;
use crate::iso8583::frame::Kind;
use crate::iso8583::view::Spans;
use crate::link::state::Moment;
use crate::link::state::PeerRequest;
use crate::link::state::Step;

use super::asking::Asked;
use super::asking::Mailbox;
use super::core::Admission;
use super::core::Outcome;
use super::core::Pipeline;
use super::gate::Fate;
use super::gate::Parked;
use super::gate::Wait;
use super::gate::Waiting;
use super::lookahead::AHEAD;
use super::lookahead::Need;
use super::notice::Notice;
use super::notice::Reason;
use super::notice::Rejection;
use super::recall::Told;
use super::station::Seat;
use super::switching::way::Home;
use super::tally::Tally;

/// What a socket is served with.
#[derive(Debug)]
pub struct ChannelSettings {
    /// How the peer writes.
    pub dialect: Dialect,
    /// The link's and its network's numbers.
    pub context: Context,
    /// How long after its request an answer may leave, in milliseconds (R3).
    pub answer_deadline_ms: u64,
    /// How many answers of this socket may wait for the disk.
    pub parked_max: usize,
}

/// Notices kept between two looks at them; what comes beyond is only counted.
const NOTICES_MAX: usize = 8;

/// Reads that are told apart until their answers are written; what comes beyond counts with the last.
const UNWRITTEN_MAX: usize = 64;

/// One socket.
#[derive(Debug, Default)]
pub struct Channel {
    /// Lent to a batch while it is served; `None` then, and while the socket rests.
    spans: Option<Box<[Spans; AHEAD]>>,
    parked: Parked,
    /// Where outcomes of look-ups in the history are left; `None` for a socket that has none looked up.
    mailbox: Option<Arc<Mailbox>>,
    asking: Vec<Asking>,
    ticket: u64,
    notices: Vec<Notice>,
    rejections: Vec<Rejection>,
    /// Where it stands in the switch; `None` without routes.
    pub(super) home: Option<Home>,
    /// When requests were read whose answers leave with the next write, by [`Now::elapsed_ns`], and how many of each.
    unwritten: Vec<(u64, u32)>,
    /// What it has counted.
    pub tally: Tally,
}

/// A message that waits for a look-up in the history.
#[derive(Debug)]
struct Asking {
    ticket: u64,
    received: Now,
    message: Kept,
}

/// What the messages of one batch have in common.
pub(super) struct Batch<'b> {
    pub(super) settings: &'b ChannelSettings,
    pub(super) pipeline: &'b Pipeline,
    pub(super) seat: Seat<'b>,
    pub(super) received: Now,
    /// When they are decided.
    pub(super) now: Now,
}

/// A message that was read, or what is wrong with it.
type Read<'a> = Result<Received<'a>, Malformed<'a>>;

/// Messages that are worked on side by side.
type Group<'a> = [Option<Read<'a>>; AHEAD];

/// Reads messages from `at` on until the group is full. Returns what else stopped it: a frame without a message, which
/// has its turn after the group, the end of what is whole, or framing that is lost.
fn read_group<'a>(
    settings: &'a ChannelSettings,
    buffer: &'a [u8],
    at: &mut usize,
    spans: &'a mut [Spans; AHEAD],
    group: &mut Group<'a>,
) -> Option<Result<Option<Frame>, FrameError>> {
    for (place, spans) in group.iter_mut().zip(spans) {
        let frame = match settings.dialect.frame(&buffer[*at..]) {
            Ok(Some(frame)) if frame.kind == Kind::Message => frame,
            other => return Some(other),
        };
        let body = &buffer[*at + frame.body.start..*at + frame.body.end];
        *place = Some(settings.dialect.decode(body, settings.context, spans));
        *at += frame.total;
    }
    None
}

/// Asks for the memory that the messages will need.
fn look_ahead(pipeline: &Pipeline, group: &Group<'_>) {
    let mut needs = [const { None }; AHEAD];
    for (need, message) in needs.iter_mut().zip(group) {
        if let Some(Ok(message)) = message {
            *need = Need::of(&message.inbound, pipeline);
        }
    }
    pipeline.look_ahead(&mut needs);
}

impl Channel {
    /// Serves every complete frame of `buffer` and appends the answers that may leave to `out`. Returns how many
    /// bytes were served.
    ///
    /// # Errors
    /// The stream's framing is lost: what came before was served, and the socket must be closed.
    pub fn receive(
        &mut self,
        settings: &ChannelSettings,
        pipeline: &Pipeline,
        seat: Seat<'_>,
        clock: &dyn Fn() -> Now,
        buffer: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, FrameError> {
        let received = clock();
        if let Some(home) = &mut self.home {
            home.look();
        }
        let mut spans = self.spans.take().unwrap_or_default();
        let (mut at, mut served, mut deciding) = (0, 0, 0);
        let result = loop {
            let mut group: Group<'_> = [const { None }; AHEAD];
            let stopped = read_group(settings, buffer, &mut at, &mut spans, &mut group);
            look_ahead(pipeline, &group);
            let now = clock();
            // The group before this one was decided until now. No clock is read for it alone.
            self.tally.decided.add(now.since(received), std::mem::take(&mut deciding));
            let batch = Batch { settings, pipeline, seat, received, now };
            for message in group.iter().flatten() {
                deciding += 1;
                self.message(&batch, message, out);
            }
            served += deciding;
            match stopped {
                None => {}
                Some(Ok(Some(frame))) => {
                    served += 1;
                    self.courtesy(settings, frame.kind, &buffer[at..at + frame.total], out);
                    at += frame.total;
                }
                Some(Ok(None)) => break Ok(at),
                Some(Err(error)) => break Err(error),
            }
        };
        self.spans = Some(spans);
        if deciding > 0 {
            self.tally.decided.add(clock().since(received), deciding);
        }
        if served > 0 {
            pipeline.wake_writer();
        }
        if result.is_err() {
            self.tally.drop_for(Reason::Framing);
        }
        result
    }

    /// A frame without a message.
    fn courtesy(&mut self, settings: &ChannelSettings, kind: Kind, frame: &[u8], out: &mut Vec<u8>) {
        self.tally.keep_alives += 1;
        let courtesy = match kind {
            Kind::SessionControl => settings.dialect.session_control(),
            _ => settings.dialect.keep_alive(),
        };
        if courtesy == Courtesy::Echo {
            out.extend_from_slice(frame);
        }
    }

    fn message(&mut self, batch: &Batch<'_>, message: &Read<'_>, out: &mut Vec<u8>) {
        self.tally.frames += 1;
        match message {
            Ok(message) => {
                if message.strange {
                    let (dialect, unknown) = (&batch.settings.dialect, &mut self.tally.unknown);
                    dialect.unknown_elements(&message.view, |path| unknown.count(path));
                }
                if self.home.is_none() || !self.elsewhere(batch, message, out) {
                    self.serve(batch, message, out);
                }
            }
            Err(malformed) => self.malformed(batch, malformed, out),
        }
    }

    fn serve(&mut self, batch: &Batch<'_>, message: &Received<'_>, out: &mut Vec<u8>) {
        let now = batch.now;
        match &message.inbound {
            Inbound::Authorization(request) => {
                let refused = batch.seat.station.refuses_requests();
                if refused {
                    self.tally.drop_for(Reason::NotSignedOn);
                }
                let admission = Admission { new: !refused, wait: self.has_room(batch) };
                let outcome = batch.pipeline.authorize(request, admission, batch.received, now);
                if let Outcome::Answer(answer, _) = &outcome {
                    let unverified = answer.action.is_approval() && request.presented != Presented::default();
                    self.tally.unverified += u64::from(unverified);
                }
                self.acknowledge(batch, message, outcome, out);
            }
            Inbound::Reversal(reversal) => self.told(batch, message, &Told::Reversal(*reversal), out),
            Inbound::Advice(advice) => self.told(batch, message, &Told::Advice(*advice), out),
            Inbound::Administrative(advice) => {
                let outcome =
                    if self.has_room(batch) { batch.pipeline.note(advice, now) } else { Outcome::Silence };
                self.acknowledge(batch, message, outcome, out);
            }
            Inbound::Undelivered(what) => {
                self.note(Reason::Undelivered, None, Some(message.view.mti()));
                if let Some(what) = what {
                    batch.pipeline.undelivered(what, batch.received, now);
                }
            }
            Inbound::NetworkManagement(request) => {
                self.network_management(batch, message, request, out);
            }
            Inbound::NetworkAdvice(advice) => {
                self.tally.management += 1;
                batch.seat.station.with(|session| session.peer_says(advice.what));
            }
            Inbound::Response(response) => self.response(batch, response),
            Inbound::Reject(reject) => {
                self.tally.drop_for(Reason::Rejected);
                self.rejections.push(Rejection::of(reject));
                if let Some(answer) = &reject.answer {
                    batch.pipeline.undelivered(answer, batch.received, now);
                }
            }
            Inbound::Unsupported { mti } => self.unsupported(batch, message, *mti, out),
        }
    }

    /// A reversal or an advice. Where the history has to be looked at, the message waits without a lock, and other
    /// messages go on.
    fn told(&mut self, batch: &Batch<'_>, message: &Received<'_>, told: &Told, out: &mut Vec<u8>) {
        let mut outcome = Outcome::Silence;
        if self.has_room(batch) {
            outcome = batch.pipeline.told(told, self.mailbox.is_some(), batch.received, batch.now);
        }
        if outcome == Outcome::Look && self.ask_history(batch, message, told) {
            return;
        }
        self.acknowledge(batch, message, outcome, out);
    }

    fn ask_history(&mut self, batch: &Batch<'_>, message: &Received<'_>, told: &Told) -> bool {
        let Some(mailbox) = self.mailbox.clone() else { return false };
        // A part of what may wait: requests go on while the disk stalls.
        if self.asking.len() >= batch.settings.parked_max.div_ceil(4) {
            return false;
        }
        self.ticket += 1;
        let (ticket, received) = (self.ticket, batch.received);
        let asked = batch.pipeline.ask(Asked { told: *told, received, ticket, mailbox });
        if asked {
            self.asking.push(Asking { ticket, received, message: message.kept() });
        }
        asked
    }

    /// Gives it its place in the switch.
    pub fn lives_at(&mut self, home: Home) {
        self.home = Some(home);
    }

    /// Has the history looked at where nothing in memory is what a message is about, with the outcomes left here.
    pub fn ask_with(&mut self, mailbox: Arc<Mailbox>) {
        self.mailbox = Some(mailbox);
    }

    /// Answers the messages whose look-ups have ended, and gives up those that have waited for too long: what becomes
    /// of them stands, and their repeats are told.
    pub fn take_outcomes(
        &mut self,
        settings: &ChannelSettings,
        pipeline: &Pipeline,
        seat: Seat<'_>,
        now: Now,
        out: &mut Vec<u8>,
    ) {
        let Some(mailbox) = self.mailbox.clone() else { return };
        let mut spans = Spans::default();
        for (ticket, outcome) in mailbox.take() {
            let Some(at) = self.asking.iter().position(|asking| asking.ticket == ticket) else { continue };
            let Asking { received, message, .. } = self.asking.swap_remove(at);
            // It could be read before.
            let Ok(message) = settings.dialect.decode(&message, settings.context, &mut spans) else {
                continue;
            };
            let batch = Batch { settings, pipeline, seat, received, now };
            self.acknowledge(&batch, &message, outcome, out);
        }
        let waiting = self.asking.len();
        let due = |asking: &Asking| asking.received.plus_ms(settings.answer_deadline_ms).elapsed_ns;
        self.asking.retain(|asking| due(asking) >= now.elapsed_ns);
        (self.asking.len()..waiting).for_each(|_| self.note(Reason::Unkept, None, None));
    }

    /// Answers a message as it was decided. What could not be kept, or would have to wait where nothing more may, is
    /// not answered, and the peer sends it again (R2).
    pub(super) fn acknowledge(
        &mut self,
        batch: &Batch<'_>,
        message: &Received<'_>,
        outcome: Outcome,
        out: &mut Vec<u8>,
    ) {
        match outcome {
            Outcome::Answer(answer, wait) => self.answer(batch, message, &answer, wait, out),
            Outcome::Silence | Outcome::Look => self.note(Reason::Unkept, None, Some(message.view.mti())),
        }
    }

    fn network_management(
        &mut self,
        batch: &Batch<'_>,
        message: &Received<'_>,
        request: &NetworkRequest,
        out: &mut Vec<u8>,
    ) {
        self.tally.management += 1;
        let NetworkRequest { what, scope, stan, transmission, .. } = *request;
        let request = PeerRequest { what, scope, stan, transmission };
        let action = batch.seat.station.with(|session| session.peer_asks(request));
        self.tally.answer(message.view.mti(), action);
        match batch.settings.dialect.write_network_outcome(message, action, out) {
            Ok(()) => self.leaves(batch.received),
            Err(_) => self.note(Reason::Unwritable, None, Some(message.view.mti())),
        }
    }

    /// We ask for nothing but network management: any other answer answers nothing. An 0810 answers what was asked
    /// under its DE 11 and, when it has one, with its DE 70.
    fn response(&mut self, batch: &Batch<'_>, response: &Response) {
        self.tally.management += 1;
        let dialect = &batch.settings.dialect;
        let approved = dialect.response_code(ActionCode::Approved);
        let refusal = (response.response_code != approved).then_some(response.response_code);
        let (stan, moment) = (response.stan, batch.seat.moment);
        let matched = response.mti == 810
            && batch.seat.station.with(|session| {
                let asked = session.asked(stan);
                let fits =
                    asked.is_some_and(|(what, scope)| dialect.answers(response.network_code, what, scope));
                fits && session.answered(stan, refusal, moment).is_some()
            });
        if let (true, Some(home)) = (matched, &self.home) {
            home.is_proven();
        }
        if !matched {
            self.note(Reason::UnmatchedResponse, None, Some(response.mti));
        }
    }

    /// Whether an answer that must wait would find room, here and in all.
    pub(super) fn has_room(&self, batch: &Batch<'_>) -> bool {
        self.parked.len() < batch.settings.parked_max
            && batch.pipeline.parked() < batch.pipeline.policy().parked_max
    }

    fn answer(
        &mut self,
        batch: &Batch<'_>,
        message: &Received<'_>,
        answer: &Answer,
        wait: Wait,
        out: &mut Vec<u8>,
    ) {
        let from = out.len();
        if batch.settings.dialect.write_answer(message, answer, out).is_err() {
            self.note(Reason::Unwritable, None, Some(message.view.mti()));
            return;
        }
        self.tally.answer(message.view.mti(), answer.action);
        // The disk may have caught up since the ones before it were parked: it does not overtake them.
        let follows = self.parked.newest().is_some_and(|newest| newest < wait.record);
        if follows || wait.record > batch.pipeline.durable() {
            let deadline = batch.received.plus_ms(batch.settings.answer_deadline_ms).elapsed_ns;
            let (received, decided) = (batch.received.elapsed_ns, batch.now.elapsed_ns);
            self.parked.park(Waiting { wait, received, decided, deadline }, out, from);
            batch.pipeline.count_parked(&wait);
        } else {
            self.leaves(batch.received);
        }
    }

    /// Counts an answer that leaves with the next write.
    fn leaves(&mut self, received: Now) {
        leave(&mut self.unwritten, received.elapsed_ns);
    }

    /// Everything that was to leave was written to the socket.
    pub fn written(&mut self, now: Now) {
        for (received, count) in self.unwritten.drain(..) {
            self.tally.written.add(now.elapsed_ns.saturating_sub(received), count);
        }
    }

    /// How many answers wait for the disk.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.parked.len()
    }

    /// A request that is not served is refused, so that the peer need not wait for its timer; an advice, or what could
    /// not be matched with its answer, is only counted.
    fn unsupported(&mut self, batch: &Batch<'_>, message: &Received<'_>, mti: u16, out: &mut Vec<u8>) {
        // A file update (0302, 0322) is a thing of its own that networks know a code for.
        let file_update = mti / 100 == 3;
        let action =
            if file_update { ActionCode::FunctionNotSupported } else { ActionCode::InvalidTransaction };
        let function = mti / 10 % 10;
        let asks = (function == 0 || file_update && function == 2) && message.view.has(11);
        if asks && batch.settings.dialect.write_refusal(message, action, out).is_ok() {
            self.tally.answer(mti, action);
            self.leaves(batch.received);
        }
        self.note(Reason::Unsupported, None, Some(mti));
    }

    fn malformed(&mut self, batch: &Batch<'_>, malformed: &Malformed<'_>, out: &mut Vec<u8>) {
        let answered = batch.settings.dialect.write_malformed(malformed, out);
        let reason = if answered { Reason::Malformed } else { Reason::MalformedUnanswered };
        if answered {
            let mti = malformed.view.map_or(0, |view| view.mti());
            self.tally.answer(mti, ActionCode::FormatError);
            self.leaves(batch.received);
        }
        if let Some(path) = Path::of_fault(&malformed.fault) {
            self.tally.unknown.count(path);
        }
        self.note(reason, Some(malformed.fault), malformed.view.map(|view| view.mti()));
    }

    pub(super) fn note(&mut self, reason: Reason, fault: Option<Fault>, mti: Option<u16>) {
        self.tally.drop_for(reason);
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(Notice { reason, fault, mti });
        }
    }

    /// What is worth a line in the log, since the last time.
    pub fn take_notices(&mut self) -> impl Iterator<Item = Notice> + '_ {
        self.notices.drain(..)
    }

    /// Our messages that the network did not take, since the last time: all of them, since each is an alarm. What was
    /// read at once bounds how many there are.
    pub fn take_rejections(&mut self) -> Vec<Rejection> {
        std::mem::take(&mut self.rejections)
    }

    /// Whether answers wait for the disk, or messages for a look-up.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.parked.is_empty() || !self.asking.is_empty()
    }

    /// Lets go of answers whose records are durable, and drops those that are too late (R3), or all when the journal
    /// has failed (R2).
    pub fn release(&mut self, pipeline: &Pipeline, now: Now, out: &mut Vec<u8>) {
        let before = (self.parked.len(), self.parked.approvals());
        let mut late = 0;
        let (tally, unwritten) = (&mut self.tally, &mut self.unwritten);
        self.parked.release(pipeline.durable(), now.elapsed_ns, out, |waiting, fate| match fate {
            Fate::Leaves => {
                tally.durable.add(now.elapsed_ns.saturating_sub(waiting.decided), 1);
                leave(unwritten, waiting.received);
            }
            Fate::Late => {
                late += 1;
                if let Some(card) = waiting.wait.authorizes {
                    pipeline.mark_unanswered(card, waiting.wait.record, now);
                }
            }
        });
        let mut failed = 0;
        if pipeline.has_failed() {
            self.parked.drop_all(|_| failed += 1);
        }
        for (reason, count) in [(Reason::Late, late), (Reason::JournalFailed, failed)] {
            (0..count).for_each(|_| self.note(reason, None, None));
        }
        let (answers, approvals) = before;
        pipeline.count_released(answers - self.parked.len(), approvals - self.parked.approvals());
    }

    /// Appends everything that this socket has to ask of the peer now (R23). Tells whether it is to be closed, since
    /// the peer has left too many echoes unanswered.
    pub fn ask(
        &mut self,
        settings: &ChannelSettings,
        seat: Seat<'_>,
        last_message: Moment,
        now: Timestamp,
        out: &mut Vec<u8>,
    ) -> bool {
        loop {
            match seat.station.with(|session| session.next(seat.socket, last_message, seat.moment)) {
                None => return false,
                Some(Step::Close) => return true,
                Some(Step::Ask { what, scope, stan }) => {
                    let request = OwnRequest { what, scope, stan, now, stations: (0, 0) };
                    if settings.dialect.write_network_request(&request, out).is_err() {
                        self.note(Reason::Unwritable, None, Some(800));
                    }
                }
            }
        }
    }

    /// Gives back the memory that is needed under load only. False, and nothing is given back, while answers wait.
    pub fn rest(&mut self) -> bool {
        let rests = !self.waits();
        if rests {
            self.spans = None;
            self.parked = Parked::default();
            self.asking = Vec::new();
        }
        rests
    }

    /// The socket is gone: what waits will never be sent (R3).
    pub fn abandon(&mut self, pipeline: &Pipeline, now: Now) {
        self.asking.clear();
        pipeline.count_released(self.parked.len(), self.parked.approvals());
        self.parked.drop_all(|wait| {
            if let Some(card) = wait.authorizes {
                pipeline.mark_unanswered(card, wait.record, now);
            }
        });
    }
}

/// Counts an answer that leaves with the next write by when its request was read.
fn leave(unwritten: &mut Vec<(u64, u32)>, received: u64) {
    let is_full = unwritten.len() >= UNWRITTEN_MAX;
    match unwritten.last_mut() {
        Some((known, count)) if *known == received || is_full => *count += 1,
        _ => unwritten.push((received, 1)),
    }
}

impl ChannelSettings {
    /// The context of a link by its name and its network's.
    #[must_use]
    pub fn context_of(link: &str, network: &str) -> Context {
        Context { network: NameId::of(network), link: NameId::of(link) }
    }
}
