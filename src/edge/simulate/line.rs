//! One socket of a simulated party: frames in, messages out, each with its fate, and the sign-on.

use std::cell::Cell;
use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::dialect::Dialect;
use crate::dialect::inbound::Context;
use crate::dialect::inbound::Inbound;
use crate::dialect::inbound::Received;
use crate::dialect::inbound::Response;
use crate::dialect::network::OwnRequest;
use crate::domain::request::NetworkManagement;
use crate::domain::request::Scope;
use crate::domain::request::Stan;
use crate::edge::clock;
use crate::iso8583::frame::Kind;
use crate::iso8583::view::Spans;
use crate::pipeline::channel::ChannelSettings;
use crate::workload::party::Fate;

/// A sign-on that is not answered goes again after this.
const SIGN_ON_AGAIN: Duration = Duration::from_secs(1);
/// A peer that takes nothing for so long is left.
const WRITE_MAX: Duration = Duration::from_secs(10);
/// So many messages may wait to leave on a socket; what comes then is lost.
const DUE_MAX: usize = 65_536;
/// The MTI of an answer to network management.
const MANAGED: u16 = 810;

/// Who speaks, and how.
pub(super) struct Voice {
    pub(super) dialect: Dialect,
    pub(super) context: Context,
    /// We sign on, on each socket that opens.
    pub(super) signs_on: bool,
    began: Instant,
    /// From when to when it is silent, counted from its beginning.
    silent: Option<(Duration, Duration)>,
    /// DE 11 of the last sign-on.
    stan: Cell<u32>,
}

impl Voice {
    pub(super) fn new(dialect: Dialect, name: &str, signs_on: bool, silent: Option<(u64, u64)>) -> Self {
        let silent =
            silent.map(|(after, lasts)| (Duration::from_secs(after), Duration::from_secs(after + lasts)));
        let context = ChannelSettings::context_of(name, name);
        Self { dialect, context, signs_on, began: Instant::now(), silent, stan: Cell::new(0) }
    }

    /// Until when it is silent, if it is.
    pub(super) fn silent_until(&self) -> Option<Instant> {
        let now = self.began.elapsed();
        let (_, to) = self.silent.filter(|(from, to)| (*from..*to).contains(&now))?;
        Some(self.began + to)
    }

    fn sign_on(&self, frame: &mut Vec<u8>) -> Stan {
        let stan = Stan(self.stan.get() % 999_999 + 1);
        self.stan.set(stan.0);
        let (what, scope) = (NetworkManagement::SignOn, Scope::Link);
        let request = OwnRequest { what, scope, now: clock::wall(), stan, stations: (0, 0) };
        // What the dialect cannot say is not said: the peer then serves without it, or does not.
        let _not_written = self.dialect.write_network_request(&request, frame);
        stan
    }
}

/// What a party does with its sockets.
pub(super) trait Party {
    /// Who speaks.
    fn voice(&self) -> &Voice;

    /// It takes no bytes while it is silent, and does not only leave them unanswered.
    fn is_deaf_while_silent(&self) -> bool;

    /// Takes a message that is no network management.
    fn hears(&self, message: &Received<'_>, body: &[u8], line: &Line);

    /// A socket is open.
    fn opened(&self, _line: &Rc<Line>) {}

    /// It is gone.
    fn closed(&self, _line: &Rc<Line>) {}
}

/// What waits to leave on a socket.
#[derive(Default)]
pub(super) struct Line {
    /// With the time at which each leaves, and whether the socket ends with it.
    due: RefCell<Vec<(Instant, Vec<u8>, bool)>>,
    /// To be sent after the next one.
    later: RefCell<Option<Vec<u8>>>,
    /// Something was put here.
    put: Notify,
    /// DE 11 of the sign-on that waits for its answer, and when it goes again.
    signing_on: Cell<Option<(Stan, Instant)>>,
    signed_on: Cell<bool>,
}

impl Line {
    /// Whether messages may go: whoever has to sign on has.
    pub(super) const fn serves(&self) -> bool {
        self.signed_on.get()
    }

    /// Sends a sign-on, or will once it is no longer silent.
    fn sign_on(&self, voice: &Voice) {
        if let Some(end) = voice.silent_until() {
            return self.signing_on.set(Some((Stan(0), end)));
        }
        let mut frame = Vec::new();
        let stan = voice.sign_on(&mut frame);
        let now = Instant::now();
        self.signing_on.set(Some((stan, now + SIGN_ON_AGAIN)));
        self.due.borrow_mut().push((now, frame, false));
    }

    /// Puts a message here with its fate; for one that is garbled, what is sent in its place.
    pub(super) fn put(&self, frame: Vec<u8>, fate: Fate, delay_ms: u32) {
        let at = Instant::now() + Duration::from_millis(delay_ms.into());
        self.put.notify_one();
        let (mut due, mut later) = (self.due.borrow_mut(), self.later.borrow_mut());
        if due.len() >= DUE_MAX {
            return;
        }
        let before = later.take().map(|before| (at, before, false));
        match fate {
            Fate::Sent => due.push((at, frame, false)),
            Fate::Dropped => {}
            Fate::Twice => due.extend([(at, frame.clone(), false), (at, frame, false)]),
            Fate::Later => *later = Some(frame),
            Fate::Cut => {
                let half = frame.len() / 2;
                due.push((at, frame.into_iter().take(half).collect(), true));
            }
            Fate::Garbled(bits) => due.push((at, frame, Fate::is_noise(bits))),
        }
        due.extend(before);
    }

    fn next(&self) -> Option<Instant> {
        let first = self.due.borrow().iter().map(|(at, _, _)| *at).min();
        [first, self.signing_on.get().map(|(_, again)| again)].into_iter().flatten().min()
    }

    /// What leaves now, in order.
    fn leaving(&self) -> Vec<(Instant, Vec<u8>, bool)> {
        let now = Instant::now();
        let mut due = self.due.borrow_mut();
        due.sort_by_key(|(at, _, _)| *at);
        let leaving = due.iter().take_while(|(at, _, _)| *at <= now).count();
        due.drain(..leaving).collect()
    }

    fn managed(&self, voice: &Voice, response: &Response) {
        if let Some((stan, _)) = self.signing_on.get()
            && stan == response.stan
            && voice.dialect.is_approval(response.response_code)
        {
            self.signing_on.set(None);
            self.signed_on.set(true);
        }
    }
}

/// Speaks on a socket until it ends. True when messages could go on it.
pub(super) async fn converse<P: Party>(party: &P, socket: TcpStream) -> bool {
    let line = Rc::new(Line::default());
    if party.voice().signs_on {
        line.sign_on(party.voice());
    } else {
        line.signed_on.set(true);
    }
    party.opened(&line);
    // A peer that goes away is not this side's fault.
    let _gone = pass(party, &line, socket).await;
    party.closed(&line);
    line.serves()
}

async fn pass<P: Party>(party: &P, line: &Line, mut socket: TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let voice = party.voice();
    let (mut unread, mut bytes) = (Vec::new(), vec![0; 65_536]);
    loop {
        let next = line.next();
        tokio::select! {
            read = socket.read(&mut bytes) => match read? {
                0 => return Ok(()),
                read => unread.extend_from_slice(&bytes[..read]),
            },
            () = line.put.notified() => {}
            () = until(next), if next.is_some() => {}
        }
        if let Some(end) = voice.silent_until().filter(|_| party.is_deaf_while_silent()) {
            tokio::time::sleep_until(end.into()).await;
        }
        loop {
            match voice.dialect.frame(&unread) {
                Ok(None) => break,
                // Its place in the stream is lost.
                Err(_) => return Ok(()),
                Ok(Some(frame)) => {
                    if frame.kind == Kind::Message {
                        hear(party, line, &unread[frame.body.clone()]);
                    }
                    unread.drain(..frame.total);
                }
            }
        }
        if line.signing_on.get().is_some_and(|(_, again)| again <= Instant::now()) {
            line.sign_on(voice);
        }
        for (_, frame, ends) in line.leaving() {
            tokio::time::timeout(WRITE_MAX, socket.write_all(&frame)).await??;
            if ends {
                return Ok(());
            }
        }
    }
}

fn hear<P: Party>(party: &P, line: &Line, body: &[u8]) {
    let voice = party.voice();
    let mut spans = Spans::default();
    let Ok(message) = voice.dialect.decode(body, voice.context, &mut spans) else { return };
    match &message.inbound {
        Inbound::NetworkManagement(request) => {
            let mut frame = Vec::new();
            // What cannot be written is not answered; the peer asks again.
            if voice.silent_until().is_none()
                && voice.dialect.write_network_answer(&message, request, &mut frame).is_ok()
            {
                line.put(frame, Fate::Sent, 0);
            }
        }
        Inbound::Response(response) if response.mti == MANAGED => line.managed(voice, response),
        _ => party.hears(&message, body, line),
    }
}

async fn until(at: Option<Instant>) {
    if let Some(at) = at {
        tokio::time::sleep_until(at.into()).await;
    }
}
