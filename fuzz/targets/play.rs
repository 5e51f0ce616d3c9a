//! What a link does in the steps of an input, and whether it may.
//!
//! Whatever comes, nothing is answered that was not asked, every answer names its request, whole frames leave that can
//! be read, we ask nothing that the settings or an operator do not have us ask, no approval leaves without its record,
//! what waits is bounded, and every message that came is counted once by what became of it.

use turnpike::dialect::Dialect;
use turnpike::dialect::answer::response_mti;
use turnpike::dialect::inbound::Inbound;
use turnpike::dialect::inbound::NetworkRequest;
use turnpike::domain::action::ActionCode;
use turnpike::domain::event::Event;
use turnpike::domain::event::Sequence;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::NetworkManagement;
use turnpike::domain::request::Stan;
use turnpike::domain::time::Now;
use turnpike::domain::time::Timestamp;
use turnpike::iso8583::frame::Kind;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::view::Spans;
use turnpike::iso8583::view::View;
use turnpike::link::members::MEMBERS_MAX;
use turnpike::link::orders::Order;
use turnpike::link::state::Moment;
use turnpike::link::state::SignOn;
use turnpike::link::state::SocketId;
use turnpike::pipeline::channel::Channel;
use turnpike::pipeline::channel::ChannelSettings;
use turnpike::pipeline::notice::Reason;
use turnpike::pipeline::station::Seat;
use turnpike::pipeline::station::Station;

use super::frames;
use super::house;
use super::house::House;
use super::session::SOCKETS;
use super::session::Setting;
use super::session::Step;
use super::session::split;

const ANSWER_DEADLINE_MS: u64 = 4_000;
/// Notices and happenings that are kept for the log.
const LINES_MAX: usize = 16;
/// What one look at a socket may have it ask: for the link, an echo, and what follows a stop of stored advices.
const ASKED_AT_ONCE_MAX: usize = 3;

/// What is left of a play.
pub struct Played {
    /// What was sent on each socket, in order.
    pub sent: [Vec<u8>; SOCKETS],
    /// The books, everything on disk.
    pub house: House,
}

/// Plays the steps. In pieces, bytes are served as a socket delivers them, with sizes that come from the seed.
pub fn played(setting: &Setting, steps: &[Step], in_pieces: bool) -> Played {
    let max_unsynced_ns = if setting.hurried { 1_000_000_000 } else { u64::MAX };
    let mut play = Play {
        setting,
        settings: ChannelSettings {
            dialect: setting.dialect.clone(),
            context: frames::context(),
            answer_deadline_ms: ANSWER_DEADLINE_MS,
            parked_max: if setting.narrow { 3 } else { 1 << 16 },
        },
        house: house::house(setting.fsync, max_unsynced_ns),
        station: Station::new(setting.session.clone()),
        lines: Default::default(),
        now_us: 1,
        sockets: 0,
        size: in_pieces.then(|| u32::from(setting.seed)),
        asked: Vec::new(),
        said: Said::default(),
        ordered: Vec::new(),
        draining: false,
        promised: Vec::new(),
        sent: Default::default(),
    };
    play.turn(0);
    for step in steps {
        play.step(step);
        play.look();
    }
    play.end()
}

/// One socket and what is known of it.
#[derive(Default)]
struct Line {
    id: u64,
    channel: Channel,
    /// What was read and is not a whole frame yet.
    input: Vec<u8>,
    last_message: Moment,
    came: Came,
    /// MTI of the answer, DE 11 and DE 37 of what came and is not answered.
    open: Vec<Name>,
    answers: u64,
    courtesies: u64,
    bytes_in: usize,
    bytes_out: usize,
}

/// MTI, DE 11 and DE 37.
type Name = (u16, Option<String>, Option<String>);

/// Messages that came, by what they are.
#[derive(Default)]
struct Came {
    messages: u64,
    courtesies: u64,
    served: u64,
    management: u64,
    responses: u64,
    undelivered: u64,
    rejects: u64,
    unsupported: u64,
    malformed: u64,
}

/// Who has said that it is signed on, ever.
#[derive(Default)]
struct Said {
    peer: bool,
    ours: bool,
}

/// An answer that says yes, and the last record that it may depend on.
struct Promise {
    mti: u16,
    stan: Stan,
    known: Sequence,
}

struct Play<'s> {
    setting: &'s Setting,
    settings: ChannelSettings,
    house: House,
    station: Station,
    lines: [Option<Line>; SOCKETS],
    now_us: u64,
    sockets: u64,
    /// The size of the last piece, when bytes come in pieces.
    size: Option<u32>,
    /// Our requests: DE 7, 11 and 70.
    asked: Vec<[String; 3]>,
    said: Said,
    ordered: Vec<Order>,
    draining: bool,
    promised: Vec<Promise>,
    sent: [Vec<u8>; SOCKETS],
}

impl Play<'_> {
    fn now(&self) -> Now {
        Now::by(Timestamp(house::NOW.wall.0 + self.now_us * 1_000))
    }

    fn moment(&self) -> Moment {
        Moment(self.now_us)
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Sends(at, bytes) => self.receive(*at, bytes),
            Step::Answers(at, which, refused) => {
                if let Some(bytes) = self.answer_to(*which, *refused) {
                    self.receive(*at, &bytes);
                }
            }
            Step::Passes(us) => self.now_us += us,
            Step::Syncs => self.house.sync(),
            Step::Turns(at) => self.turn(*at),
            Step::Drains => {
                self.draining = true;
                let now = self.moment();
                self.station.with(|session| session.drain(now));
            }
            Step::Orders(order) => {
                let now = self.moment();
                if self.station.with(|session| session.order(*order, now)).is_ok() {
                    self.ordered.push(*order);
                }
            }
        }
    }

    /// The peer's answer to a request of ours, counted from the latest.
    fn answer_to(&self, which: usize, refused: bool) -> Option<Vec<u8>> {
        let [transmission, stan, code] = self.asked.iter().rev().nth(which % self.asked.len().max(1))?;
        let outcome = if refused { "91" } else { "00" };
        let values: [(u8, Value<'_>); 4] = [
            (7, transmission.as_str().into()),
            (11, stan.as_str().into()),
            (39, outcome.into()),
            (70, code.as_str().into()),
        ];
        let mut out = Vec::new();
        self.settings.dialect.compose(810, &values, &mut out).expect("an answer of the peer's");
        Some(out)
    }

    /// Opens a socket, or loses an open one.
    fn turn(&mut self, at: usize) {
        if self.lines[at].is_some() {
            return self.close(at);
        }
        self.sockets += 1;
        let (id, now) = (self.sockets, self.moment());
        self.station.with(|session| session.up(SocketId(id), now));
        self.lines[at] = Some(Line { id, last_message: now, ..Line::default() });
    }

    fn close(&mut self, at: usize) {
        let Some(mut line) = self.lines[at].take() else { return };
        self.counted(&line);
        line.channel.abandon(&self.house.pipeline, self.now());
        assert!(!line.channel.waits(), "nothing waits on a socket that is gone");
        self.station.with(|session| session.down(SocketId(line.id)));
    }

    fn receive(&mut self, at: usize, bytes: &[u8]) {
        let Some(mut line) = self.lines[at].take() else { return };
        let (now, moment) = (self.now(), self.moment());
        line.input.extend_from_slice(bytes);
        line.bytes_in += bytes.len();
        self.note_what_came(&mut line);
        let mut out = Vec::new();
        let (mut start, mut end) = (0, line.input.len() - bytes.len());
        let mut is_framed = true;
        while is_framed && end < line.input.len() {
            end = (end + self.piece(line.input.len() - end)).min(line.input.len());
            let seat = Seat { station: &self.station, socket: SocketId(line.id), moment };
            let arrived = &line.input[start..end];
            match line.channel.receive(&self.settings, &self.house.pipeline, seat, &|| now, arrived, &mut out)
            {
                Ok(served) => {
                    start += served;
                    if served > 0 {
                        line.last_message = moment;
                    }
                }
                Err(_) => is_framed = false,
            }
        }
        line.input.drain(..start);
        self.left(at, &mut line, &out);
        self.lines[at] = Some(line);
        if !is_framed {
            self.close(at);
        }
    }

    /// How many bytes come at once.
    fn piece(&mut self, all: usize) -> usize {
        let Some(size) = &mut self.size else { return all };
        *size = size.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (*size >> 16) as usize % 300
    }

    fn note_what_came(&mut self, line: &mut Line) {
        let dialect = &self.settings.dialect;
        for (kind, _, body) in split(dialect, &line.input) {
            if kind != Kind::Message {
                line.came.courtesies += 1;
                continue;
            }
            let came = &mut line.came;
            came.messages += 1;
            let mut spans = Spans::default();
            let view = match dialect.decode(&body, frames::context(), &mut spans) {
                Ok(received) => {
                    let count = match &received.inbound {
                        Inbound::Authorization(_)
                        | Inbound::Reversal(_)
                        | Inbound::Advice(_)
                        | Inbound::Administrative(_) => &mut came.served,
                        Inbound::NetworkManagement(NetworkRequest { what, .. }) => {
                            self.said.peer |= *what == NetworkManagement::SignOn;
                            came.management += 1;
                            &mut came.served
                        }
                        Inbound::NetworkAdvice(_) => &mut came.management,
                        Inbound::Response(response) => {
                            self.said.ours |= response.mti == 810 && response.response_code == *b"00";
                            came.management += 1;
                            &mut came.responses
                        }
                        Inbound::Undelivered(_) => &mut came.undelivered,
                        Inbound::Reject(_) => &mut came.rejects,
                        Inbound::Unsupported { .. } => &mut came.unsupported,
                    };
                    *count += 1;
                    Some(received.view)
                }
                Err(malformed) => {
                    came.malformed += 1;
                    malformed.view
                }
            };
            if let Some(view) = view {
                let (mti, stan, rrn) = name_of(dialect, &view);
                line.open.push((response_mti(mti), stan, rrn));
            }
        }
    }

    /// What was sent because of what came.
    fn left(&mut self, at: usize, line: &mut Line, out: &[u8]) {
        self.sent[at].extend_from_slice(out);
        line.bytes_out += out.len();
        let dialect = &self.settings.dialect;
        let sent = whole_frames(dialect, out);
        for (kind, _, body) in sent {
            if kind != Kind::Message {
                line.courtesies += 1;
                continue;
            }
            let mut spans = Spans::default();
            let Ok(received) = dialect.decode(&body, frames::context(), &mut spans) else {
                panic!("an answer of ours is read")
            };
            let view = &received.view;
            let name = name_of(dialect, view);
            let known = line.open.iter().position(|open| *open == name);
            // An answer that does not carry DE 37 is told by the other two.
            let known = known.or_else(|| {
                line.open.iter().position(|o| name.2.is_none() && (o.0, &o.1) == (name.0, &name.1))
            });
            line.open.swap_remove(known.unwrap_or_else(|| panic!("{name:?} answers nothing")));
            line.answers += 1;
            self.promised.extend(promise(&self.house, self.setting, dialect, view, &self.said));
        }
        assert!(line.courtesies <= line.came.courtesies, "a courtesy is returned once");
        let most = line.bytes_in + line.answers as usize * frames::ANSWER_ADDS_MAX;
        assert!(line.bytes_out <= most, "what is answered is bounded by what came");
    }

    /// What every socket does when something happened or time has passed.
    fn look(&mut self) {
        let (now, moment) = (self.now(), self.moment());
        for at in 0..SOCKETS {
            let Some(mut line) = self.lines[at].take() else { continue };
            let mut out = Vec::new();
            line.channel.release(&self.house.pipeline, now, &mut out);
            self.left(at, &mut line, &out);
            out.clear();
            let seat = Seat { station: &self.station, socket: SocketId(line.id), moment };
            let gives_up = line.channel.ask(&self.settings, seat, line.last_message, now.wall, &mut out);
            self.ours(&out);
            self.sent[at].extend_from_slice(&out);
            line.channel.written(now);
            assert!(line.channel.take_notices().count() <= LINES_MAX, "what goes to the log is bounded");
            let rejections = line.channel.take_rejections().len() as u64;
            assert!(rejections <= line.came.rejects, "an alarm for each reject");
            self.counted(&line);
            self.lines[at] = Some(line);
            if gives_up {
                assert!(
                    self.setting.session.echo_us.is_some(),
                    "a socket is closed for echoes that went out"
                );
                self.close(at);
            }
        }
        let waiting: usize = self.lines.iter().flatten().map(|line| line.channel.waiting()).sum();
        assert_eq!(self.house.pipeline.parked(), waiting, "what waits in all waits somewhere");
        let refuses = self.station.refuses_requests();
        self.station.with(|session| {
            assert_eq!(session.refuses_requests(), refuses);
            assert_eq!(session.sockets().len(), self.lines.iter().flatten().count());
            assert!(session.peer().listed().len() <= MEMBERS_MAX);
            assert!(session.take_happenings().count() <= LINES_MAX, "what goes to the log is bounded");
        });
    }

    /// Requests of ours, which are all that the settings and an operator have us ask.
    fn ours(&mut self, out: &[u8]) {
        let dialect = &self.settings.dialect;
        let sent = whole_frames(dialect, out);
        assert!(sent.len() <= ASKED_AT_ONCE_MAX, "{} requests at once", sent.len());
        let session = &self.setting.session;
        let may = |order| self.ordered.contains(&order);
        for (kind, _, body) in &sent {
            let mut spans = Spans::default();
            let received = dialect.decode(body, frames::context(), &mut spans);
            let Ok(received) = received else { panic!("a request of ours is read") };
            let Inbound::NetworkManagement(request) = received.inbound else { panic!("it is no 0800") };
            assert_eq!((*kind, received.view.mti()), (Kind::Message, 800));
            let signs = matches!(request.what, NetworkManagement::SignOn | NetworkManagement::SignOff);
            assert!(!signs || session.scopes.contains(&request.scope), "for whom we sign");
            let reason = match request.what {
                NetworkManagement::SignOn => {
                    !self.draining && (session.sign_on != SignOn::Peer || may(Order::SignOn))
                }
                NetworkManagement::SignOff => {
                    self.draining && session.sign_off_on_drain || may(Order::SignOff)
                }
                NetworkManagement::Echo => session.echo_us.is_some() || may(Order::Echo),
                NetworkManagement::StoredAdvices => {
                    !self.draining && session.stored_advices && self.said.ours
                }
                NetworkManagement::StoredAdvicesStop => session.stored_advices && self.said.ours,
                _ => false,
            };
            assert!(reason, "{:?} for no reason", request.what);
            let value = |field| dialect.value(&received.view, field).expect("we send DE 7, 11 and 70");
            self.asked.push([7, 11, 70].map(value));
        }
    }

    /// Every message that came is counted once by what it is and once by what became of it.
    fn counted(&self, line: &Line) {
        let (tally, came) = (&line.channel.tally, &line.came);
        let dropped = |reason| tally.dropped(reason);
        assert_eq!((tally.frames, tally.keep_alives), (came.messages, came.courtesies), "frames");
        assert_eq!(tally.management, came.management, "network management");
        let malformed = dropped(Reason::Malformed) + dropped(Reason::MalformedUnanswered);
        assert_eq!(malformed, came.malformed, "malformed");
        let counts = [Reason::Unsupported, Reason::Rejected, Reason::Undelivered].map(dropped);
        assert_eq!(counts, [came.unsupported, came.rejects, came.undelivered], "dropped by what they are");
        assert!(dropped(Reason::UnmatchedResponse) <= came.responses, "responses");
        let answered: u64 = tally.answers().iter().map(|answers| u64::from(answers.count)).sum();
        let decided = answered + dropped(Reason::Unkept) + dropped(Reason::Unwritable);
        let least = came.served + dropped(Reason::Malformed);
        assert!((least..=least + came.unsupported).contains(&decided), "each is answered or dropped");
        let gone = dropped(Reason::Late) + dropped(Reason::JournalFailed);
        let waiting = line.channel.waiting() as u64;
        assert_eq!(answered, line.answers + waiting + gone, "an answer was sent, waits or was dropped");
        assert!(waiting <= self.settings.parked_max as u64, "what waits is bounded");
        let frame_max =
            self.settings.dialect.framing().prefix_bytes() + self.settings.dialect.framing().max as usize;
        assert!(line.input.len() < frame_max.max(1) + 16, "what is not whole is bounded");
    }

    fn end(mut self) -> Played {
        self.house.sync();
        self.look();
        let waits = self.lines.iter().flatten().any(|line| line.channel.waits());
        assert!(!waits && self.house.pipeline.parked() == 0, "nothing waits for ever");
        (0..SOCKETS).for_each(|at| self.close(at));
        self.house.sync();
        assert!(!self.house.pipeline.has_failed());
        for totals in self.house.pipeline.audit().totals {
            assert_eq!(totals.sum(), 0, "the books sum to zero");
        }
        if !self.promised.is_empty() {
            let events = self.house.events();
            self.promised.iter().for_each(|promise| {
                assert!(promise.is_kept(&events), "{:04} to {:?} without a record", promise.mti, promise.stan)
            });
        }
        Played { sent: self.sent, house: self.house }
    }
}

fn name_of(dialect: &Dialect, view: &View<'_>) -> Name {
    (view.mti(), dialect.value(view, 11), dialect.value(view, 37))
}

/// What an answer promises, when it says yes to something that is kept.
fn promise(
    house: &House,
    setting: &Setting,
    dialect: &Dialect,
    view: &View<'_>,
    said: &Said,
) -> Option<Promise> {
    let mti = view.mti();
    let code = dialect.value(view, 39)?;
    let yes =
        [ActionCode::Approved, ActionCode::ApprovedPartially].map(|action| dialect.response_code(action));
    if !yes.iter().any(|yes| yes == code.as_bytes()) || mti / 100 == 8 {
        return None;
    }
    let asked = matches!(mti, 110 | 210);
    let session = &setting.session;
    let signed_on = match session.sign_on {
        SignOn::Peer => said.peer,
        SignOn::Us => said.ours,
        SignOn::Both => said.peer && said.ours,
    };
    assert!(!asked || signed_on || !session.decline_before_sign_on, "an approval before the sign-on");
    let pipeline = &house.pipeline;
    // What an advice or a reversal says is on disk before it is acknowledged, whatever the policy for requests is.
    let known = if setting.fsync || !asked { pipeline.durable() } else { pipeline.appended() };
    let stan = Stan(dialect.value(view, 11)?.parse().ok()?);
    Some(Promise { mti, stan, known })
}

impl Promise {
    fn is_kept(&self, events: &[(Sequence, Timestamp, Event)]) -> bool {
        let class = if self.mti / 100 == 1 { MessageClass::Authorization } else { MessageClass::Financial };
        events.iter().take_while(|(sequence, ..)| *sequence <= self.known).any(|(.., event)| match event {
            Event::Decided(event) => {
                let fits =
                    matches!(self.mti, 110 | 210) && event.class == class && event.action.is_approval();
                fits && event.key.stan == self.stan
            }
            // What is undone already is so by a record with the key of another reversal, or of an advice.
            Event::Advised(event) => {
                let fits = matches!(self.mti, 130 | 230) && event.class == class;
                fits && event.key.stan == self.stan || matches!(self.mti, 410 | 430)
            }
            Event::Reversed(_) => matches!(self.mti, 410 | 430),
            Event::Noted(event) => self.mti == 630 && event.key.stan == self.stan,
            _ => false,
        })
    }
}

/// The frames of what was sent, which end where it ends.
fn whole_frames(dialect: &Dialect, out: &[u8]) -> Vec<(Kind, Vec<u8>, Vec<u8>)> {
    let sent = split(dialect, out);
    assert_eq!(sent.iter().map(|(_, whole, _)| whole.len()).sum::<usize>(), out.len(), "whole frames only");
    sent
}
