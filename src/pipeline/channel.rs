//! One socket's way through the rooms, without the socket: bytes in, answers out.
//!
//! Every complete frame in the buffer is decoded, decided and answered in a loop; the caller reads once and writes
//! once. Answers whose record must be durable first are parked here until the gate lets them go.

use crate::dialect::Courtesy;
use crate::dialect::Dialect;
use crate::dialect::inbound::Context;
use crate::dialect::inbound::Fault;
use crate::dialect::inbound::Inbound;
use crate::dialect::inbound::Malformed;
use crate::dialect::inbound::NetworkRequest;
use crate::dialect::inbound::Received;
use crate::dialect::inbound::Response;
use crate::dialect::network::OwnRequest;
use crate::dialect::unknown::Path;
use crate::domain::action::ActionCode;
use crate::domain::answer::Answer;
use crate::domain::event::Sequence;
use crate::domain::party::NameId;
use crate::domain::request::Presented;
use crate::domain::time::Timestamp;
use crate::iso8583::frame::Frame;
use crate::iso8583::frame::FrameError;
use crate::iso8583::frame::Kind;
use crate::iso8583::view::Spans;
use crate::link::state::Moment;
use crate::link::state::PeerRequest;
use crate::link::state::Step;

use super::core::Outcome;
use super::core::Pipeline;
use super::gate::Parked;
use super::lookahead::AHEAD;
use super::lookahead::Need;
use super::station::Seat;
use super::unknown::UnknownElements;

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

/// Why a message was not answered or not served, or a socket closed. Each is a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Reason {
    /// The stream's framing was lost; the socket is closed.
    Framing,
    /// A message that cannot be read, answered as the dialect says (R24).
    Malformed,
    /// The same, and what must be echoed could not be read either.
    MalformedUnanswered,
    /// A message that is right and not served.
    Unsupported,
    /// A response to nothing that was asked.
    UnmatchedResponse,
    /// The network did not take an answer of ours.
    Rejected,
    /// The network says that an answer of ours did not arrive (0190).
    Undelivered,
    /// An answer that does not fit its dialect.
    Unwritable,
    /// A reversal or advice that could not be kept, so that the peer sends it again (R2).
    Unkept,
    /// An answer whose record was not durable by its deadline (R3).
    Late,
    /// An answer that waited when the journal failed (R2).
    JournalFailed,
    /// The peer stopped in the middle of a frame.
    PartialFrame,
    /// The peer was silent for too long.
    Idle,
    /// The peer does not read its answers.
    NotReading,
    /// More sockets than the link may have.
    TooManyConnections,
    /// More sockets from one address than the link may have.
    TooManyFromPeer,
    /// An address that may not connect.
    PeerNotAllowed,
    /// A request before the sign-on, or after the peer's sign-off, which is declined.
    NotSignedOn,
    /// The peer has left too many echoes unanswered.
    EchoesMissed,
}

impl Reason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 19] = [
        Self::Framing,
        Self::Malformed,
        Self::MalformedUnanswered,
        Self::Unsupported,
        Self::UnmatchedResponse,
        Self::Rejected,
        Self::Undelivered,
        Self::Unwritable,
        Self::Unkept,
        Self::Late,
        Self::JournalFailed,
        Self::PartialFrame,
        Self::Idle,
        Self::NotReading,
        Self::TooManyConnections,
        Self::TooManyFromPeer,
        Self::PeerNotAllowed,
        Self::NotSignedOn,
        Self::EchoesMissed,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Framing => "framing",
            Self::Malformed => "malformed",
            Self::MalformedUnanswered => "malformed-unanswered",
            Self::Unsupported => "unsupported",
            Self::UnmatchedResponse => "unmatched-response",
            Self::Rejected => "rejected",
            Self::Undelivered => "undelivered",
            Self::Unwritable => "unwritable",
            Self::Unkept => "unkept",
            Self::Late => "late",
            Self::JournalFailed => "journal-failed",
            Self::PartialFrame => "partial-frame",
            Self::Idle => "idle",
            Self::NotReading => "not-reading",
            Self::TooManyConnections => "too-many-connections",
            Self::TooManyFromPeer => "too-many-from-peer",
            Self::PeerNotAllowed => "peer-not-allowed",
            Self::NotSignedOn => "not-signed-on",
            Self::EchoesMissed => "echoes-missed",
        }
    }
}

/// Room for every [`ActionCode`].
const ACTIONS: usize = 96;

/// What a socket has counted since it was last asked.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Messages read.
    pub frames: u64,
    /// Frames without a message.
    pub keep_alives: u64,
    /// Network management messages, whatever became of them (R23).
    pub management: u64,
    /// Approvals although something was presented that nobody verified (R28).
    pub unverified: u64,
    /// Elements that the dialect does not have.
    pub unknown: UnknownElements,
    answers: [u32; ACTIONS],
    dropped: [u32; Reason::ALL.len()],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            frames: 0,
            keep_alives: 0,
            management: 0,
            unverified: 0,
            unknown: UnknownElements::default(),
            answers: [0; ACTIONS],
            dropped: [0; Reason::ALL.len()],
        }
    }
}

impl Tally {
    /// Answers of this outcome.
    #[must_use]
    pub fn answers(&self, action: ActionCode) -> u64 {
        self.answers.get(action as usize).copied().unwrap_or(0).into()
    }

    /// Things dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: Reason) -> u64 {
        self.dropped[reason as usize].into()
    }

    /// Counts from zero again.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Counts something that is dropped.
    pub fn drop_for(&mut self, reason: Reason) {
        self.dropped[reason as usize] += 1;
    }

    fn answer(&mut self, action: ActionCode) {
        if let Some(count) = self.answers.get_mut(action as usize) {
            *count += 1;
        }
    }
}

/// Something for the log. It never holds card data.
#[derive(Clone, Copy, Debug)]
pub struct Notice {
    /// What was done about it.
    pub reason: Reason,
    /// What was wrong, when a message was.
    pub fault: Option<Fault>,
    /// The MTI, when it could be read.
    pub mti: Option<u16>,
}

/// Notices kept between two looks at them; what comes beyond is only counted.
const NOTICES_MAX: usize = 8;

/// One socket.
#[derive(Debug, Default)]
pub struct Channel {
    /// Lent to a batch while it is served; `None` then, and while the socket rests.
    spans: Option<Box<[Spans; AHEAD]>>,
    parked: Parked,
    notices: Vec<Notice>,
    /// What it has counted.
    pub tally: Tally,
}

/// What the messages of one batch have in common.
struct Batch<'b> {
    settings: &'b ChannelSettings,
    pipeline: &'b Pipeline,
    seat: Seat<'b>,
    received: Timestamp,
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
        clock: &dyn Fn() -> Timestamp,
        buffer: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<usize, FrameError> {
        let received = clock();
        let batch = Batch { settings, pipeline, seat, received };
        let mut spans = self.spans.take().unwrap_or_default();
        let (mut at, mut served) = (0, 0);
        let result = loop {
            let mut group: Group<'_> = [const { None }; AHEAD];
            let stopped = read_group(settings, buffer, &mut at, &mut spans, &mut group);
            look_ahead(pipeline, &group);
            let now = clock();
            for message in group.iter().flatten() {
                served += 1;
                self.message(&batch, message, now, out);
            }
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
        if served > 0 {
            pipeline.wake_writer();
        }
        if result.is_err() {
            self.note(Reason::Framing, None, None);
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

    fn message(&mut self, batch: &Batch<'_>, message: &Read<'_>, now: Timestamp, out: &mut Vec<u8>) {
        self.tally.frames += 1;
        match message {
            Ok(message) => {
                if message.strange {
                    let (dialect, unknown) = (&batch.settings.dialect, &mut self.tally.unknown);
                    dialect.unknown_elements(&message.view, |path| unknown.count(path));
                }
                self.serve(batch, message, now, out);
            }
            Err(malformed) => self.malformed(batch, malformed, out),
        }
    }

    fn serve(&mut self, batch: &Batch<'_>, message: &Received<'_>, now: Timestamp, out: &mut Vec<u8>) {
        match &message.inbound {
            Inbound::Authorization(request) => {
                let refused = batch.seat.station.refuses_requests();
                let outcome = if refused || !self.has_room(batch) {
                    self.tally.dropped[Reason::NotSignedOn as usize] += u32::from(refused);
                    Outcome::UNAVAILABLE
                } else {
                    batch.pipeline.authorize(request, batch.received, now)
                };
                if let Outcome::Answer(answer, when) = outcome {
                    let unverified = answer.action.is_approval() && request.presented != Presented::default();
                    self.tally.unverified += u64::from(unverified);
                    self.answer(batch, message, &answer, when, out);
                }
            }
            Inbound::Reversal(reversal) => {
                let outcome = if self.has_room(batch) {
                    batch.pipeline.reverse(reversal, batch.received, now)
                } else {
                    Outcome::Silence
                };
                self.acknowledge(batch, message, outcome, out);
            }
            Inbound::Advice(advice) => {
                let outcome = if self.has_room(batch) {
                    batch.pipeline.advise(advice, batch.received, now)
                } else {
                    Outcome::Silence
                };
                self.acknowledge(batch, message, outcome, out);
            }
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
                self.note(Reason::Rejected, None, Some(reject.mti));
                if let Some(answer) = &reject.answer {
                    batch.pipeline.undelivered(answer, batch.received, now);
                }
            }
            Inbound::Unsupported { mti } => self.unsupported(batch, message, *mti, out),
        }
    }

    /// Answers an advice or a reversal once it is kept; what could not be kept is sent again (R2).
    fn acknowledge(
        &mut self,
        batch: &Batch<'_>,
        message: &Received<'_>,
        outcome: Outcome,
        out: &mut Vec<u8>,
    ) {
        match outcome {
            Outcome::Answer(answer, when) => self.answer(batch, message, &answer, when, out),
            Outcome::Silence => self.note(Reason::Unkept, None, Some(message.view.mti())),
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
        self.tally.answer(action);
        if batch.settings.dialect.write_network_outcome(message, action, out).is_err() {
            self.note(Reason::Unwritable, None, Some(message.view.mti()));
        }
    }

    /// We ask for nothing but network management: any other answer answers nothing.
    fn response(&mut self, batch: &Batch<'_>, response: &Response) {
        self.tally.management += 1;
        let approved = batch.settings.dialect.response_code(ActionCode::Approved);
        let refusal = (response.response_code != approved).then_some(response.response_code);
        let (stan, moment) = (response.stan, batch.seat.moment);
        let matched = response.mti == 810
            && batch.seat.station.with(|session| session.answered(stan, refusal, moment)).is_some();
        if !matched {
            self.note(Reason::UnmatchedResponse, None, Some(response.mti));
        }
    }

    /// Whether an answer that must wait would find room, here and in all.
    fn has_room(&self, batch: &Batch<'_>) -> bool {
        self.parked.len() < batch.settings.parked_max
            && batch.pipeline.parked() < batch.pipeline.policy().parked_max
    }

    fn answer(
        &mut self,
        batch: &Batch<'_>,
        message: &Received<'_>,
        answer: &Answer,
        when: Sequence,
        out: &mut Vec<u8>,
    ) {
        let from = out.len();
        if batch.settings.dialect.write_answer(message, answer, out).is_err() {
            self.note(Reason::Unwritable, None, Some(message.view.mti()));
            return;
        }
        self.tally.answer(answer.action);
        if when > batch.pipeline.durable() {
            let deadline = batch.received.plus_ms(batch.settings.answer_deadline_ms);
            self.parked.park(when, deadline.0, out, from);
            batch.pipeline.count_parked(1);
        }
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
            self.tally.answer(action);
        }
        self.note(Reason::Unsupported, None, Some(mti));
    }

    fn malformed(&mut self, batch: &Batch<'_>, malformed: &Malformed<'_>, out: &mut Vec<u8>) {
        let answered = batch.settings.dialect.write_malformed(malformed, out);
        let reason = if answered { Reason::Malformed } else { Reason::MalformedUnanswered };
        if answered {
            self.tally.answer(ActionCode::FormatError);
        }
        if let Some(path) = Path::of_fault(&malformed.fault) {
            self.tally.unknown.count(path);
        }
        self.note(reason, Some(malformed.fault), malformed.view.map(|view| view.mti()));
    }

    fn note(&mut self, reason: Reason, fault: Option<Fault>, mti: Option<u16>) {
        self.tally.drop_for(reason);
        if self.notices.len() < NOTICES_MAX {
            self.notices.push(Notice { reason, fault, mti });
        }
    }

    /// What is worth a line in the log, since the last time.
    pub fn take_notices(&mut self) -> impl Iterator<Item = Notice> + '_ {
        self.notices.drain(..)
    }

    /// Whether answers wait for the disk.
    #[must_use]
    pub fn waits(&self) -> bool {
        !self.parked.is_empty()
    }

    /// Lets go of answers whose records are durable, and drops those that are too late (R3), or all when the journal
    /// has failed (R2).
    pub fn release(&mut self, pipeline: &Pipeline, now: Timestamp, out: &mut Vec<u8>) {
        let before = self.parked.len();
        let released = self.parked.release(pipeline.durable(), now.0, out);
        for _ in 0..released.late {
            self.note(Reason::Late, None, None);
        }
        if pipeline.has_failed() {
            for _ in 0..self.parked.drop_all() {
                self.note(Reason::JournalFailed, None, None);
            }
        }
        pipeline.count_released(before - self.parked.len());
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
        let rests = self.parked.is_empty();
        if rests {
            self.spans = None;
            self.parked = Parked::default();
        }
        rests
    }

    /// The socket is gone: what waits will never be sent.
    pub fn abandon(&mut self, pipeline: &Pipeline) {
        pipeline.count_released(self.parked.drop_all());
    }
}

impl ChannelSettings {
    /// The context of a link by its name and its network's.
    #[must_use]
    pub fn context_of(link: &str, network: &str) -> Context {
        Context { network: NameId::of(network), link: NameId::of(link) }
    }
}
