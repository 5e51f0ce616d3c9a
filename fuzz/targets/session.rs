//! A link with everything behind it but sockets and disks: what a peer and an operator do to it while time passes, over
//! books in memory. [`super::play`] says what holds.
//!
//! An input is a head of three bytes, which is [`Setting`]'s, and steps. A step is a byte, whose low bits say what it
//! does and whose bits 4 and 5 say on which socket, and what it takes: a length and that many bytes, a byte, or
//! nothing.

use turnpike::dialect::Dialect;
use turnpike::domain::request::MemberId;
use turnpike::domain::request::NetworkManagement;
use turnpike::domain::request::Scope;
use turnpike::iso8583::frame::Kind;
use turnpike::link::orders::Order;
use turnpike::link::state::Settings;
use turnpike::link::state::SignOn;

use super::frames;
use super::house::House;
use super::play;

const INPUT_BYTES_MAX: usize = 16 * 1024;
const HEAD_BYTES: usize = 3;
/// Sockets of the link.
pub const SOCKETS: usize = 3;
/// An echo goes out after a minute without a message.
const ECHO_US: u64 = 60_000_000;

/// What the head says.
pub struct Setting {
    /// How the peer writes.
    pub dialect: &'static Dialect,
    /// Every answer waits for the disk.
    pub fsync: bool,
    /// Only a few answers may wait, so that others are refused.
    pub narrow: bool,
    /// Nothing may be off the disk for more than a second.
    pub hurried: bool,
    /// What the session goes by.
    pub session: Settings,
    /// Seeds the sizes of pieces.
    pub seed: u8,
}

impl Setting {
    pub fn of(bytes: &[u8]) -> Self {
        let [first, second, seed] = [0, 1, 2].map(|at| super::byte(bytes, at));
        let dialects: [&'static Dialect; 4] =
            [&super::VISA, &super::ISO87, &super::MASTERCARD, &super::ISO87_BINARY];
        let dialect = dialects[usize::from(first & 3)];
        let member = |digits| MemberId::from_digits(digits).expect("digits");
        let (group, prefix) = (Scope::Group(member("00042")), Scope::Prefix(member("4111")));
        let scopes = match second >> 2 & 3 {
            0 => vec![Scope::Link],
            1 => vec![group],
            2 => vec![prefix],
            _ => vec![group, prefix],
        };
        let can_ask = |what, scope| dialect.can_ask(what, scope);
        let sign = |scope: &Scope| {
            can_ask(NetworkManagement::SignOn, *scope) && can_ask(NetworkManagement::SignOff, *scope)
        };
        let session = Settings {
            sign_on: [SignOn::Peer, SignOn::Us, SignOn::Both, SignOn::Us][usize::from(second & 3)],
            scopes: if scopes.iter().all(sign) { scopes } else { vec![Scope::Link] },
            stored_advices: first & 0x40 != 0 && can_ask(NetworkManagement::StoredAdvices, Scope::Link),
            stop_stored_advices: can_ask(NetworkManagement::StoredAdvicesStop, Scope::Link),
            decline_before_sign_on: first & 0x20 != 0,
            echo_us: (second & 0x10 != 0).then_some(ECHO_US),
            echo_misses: 1 + u32::from(second >> 5 & 1),
            sign_off_on_drain: first & 0x80 == 0,
            ..Settings::default()
        };
        let [fsync, narrow, hurried] = [first & 4, first & 8, first & 0x10].map(|bit| bit != 0);
        Self { dialect, fsync, narrow, hurried, session, seed }
    }
}

/// One step of an input.
pub enum Step {
    /// The peer sends bytes, which may be a part of a frame or several.
    Sends(usize, Vec<u8>),
    /// The peer answers one of our requests, counted from the latest, with 00 or, when told to, another code.
    Answers(usize, usize, bool),
    /// So many microseconds pass.
    Passes(u64),
    /// The disk has what was appended.
    Syncs,
    /// A socket is opened, or an open one lost.
    Turns(usize),
    /// The daemon is being stopped.
    Drains,
    /// An operator orders something.
    Orders(Order),
}

const ORDERS: [Order; 3] = [Order::Echo, Order::SignOn, Order::SignOff];

const FRAMED: u8 = 0;
const RAW: u8 = 1;
const ANSWERS: u8 = 2;
const PASSES: u8 = 3;
const SYNCS: u8 = 4;
const TURNS: u8 = 5;
const DRAINS: u8 = 6;

fn steps(dialect: &Dialect, bytes: &[u8]) -> Vec<Step> {
    let mut rest = bytes.get(HEAD_BYTES..).unwrap_or_default();
    let mut steps = Vec::new();
    while let Some((tag, after)) = rest.split_first() {
        let socket = usize::from(tag >> 4 & 3) % SOCKETS;
        let argument = super::byte(after, 0);
        let (step, taken) = match tag & 7 {
            kind @ (FRAMED | RAW) => {
                let length = usize::from(argument) << 8 | usize::from(super::byte(after, 1));
                let content = after.get(2..).unwrap_or_default();
                let content = &content[..length.min(content.len())];
                let sent = if kind == RAW { content.to_vec() } else { framed(dialect, content) };
                (Step::Sends(socket, sent), 2 + content.len())
            }
            ANSWERS => (Step::Answers(socket, usize::from(argument & 0x7f), argument & 0x80 != 0), 1),
            PASSES => (Step::Passes(1 << (argument % 40)), 1),
            SYNCS => (Step::Syncs, 0),
            TURNS => (Step::Turns(socket), 0),
            DRAINS => (Step::Drains, 0),
            _ => (Step::Orders(ORDERS[usize::from(argument) % ORDERS.len()]), 1),
        };
        steps.push(step);
        rest = after.get(taken..).unwrap_or_default();
    }
    steps
}

/// The frame of a body; nothing when it has none.
pub fn framed(dialect: &Dialect, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let start = dialect.framing().begin(&mut out);
    out.extend_from_slice(body);
    if dialect.framing().finish(&mut out, start).is_err() {
        out.clear();
    }
    out
}

pub fn run(bytes: &[u8]) {
    if bytes.len() > INPUT_BYTES_MAX {
        return;
    }
    let setting = Setting::of(bytes);
    let steps = steps(setting.dialect, bytes);
    let whole = play::played(&setting, &steps, false);
    let pieces = play::played(&setting, &steps, true);
    assert!(whole.sent == pieces.sent, "how bytes are cut makes no difference");
    let hash = |house: &House| house.pipeline.state_hash().0;
    assert_eq!(hash(&whole.house), hash(&pieces.house), "how bytes are cut makes no difference");
    assert_eq!(pieces.house.rebuilt(), hash(&pieces.house), "the journal tells the same books");
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for dialect in 0..4 {
        let sent: Vec<u8> = frames::bodies(Setting::of(&[dialect]).dialect)
            .iter()
            .flat_map(|body| [&[FRAMED], &(body.len() as u16).to_be_bytes()[..], body].concat())
            .collect();
        // Everything twice: the second time all are repeats.
        for gate in [0, 4, 0x0c, 0x1c] {
            seeds.push([&[dialect | gate, 0, 3], &sent[..], &[PASSES, 24, SYNCS], &sent].concat());
        }
        for role in [0x10, 0x11, 0x32, 0x1d, 0x15] {
            // We sign on, are told so and echo; a second socket comes, the first goes; time passes, and we leave.
            let begin = [ANSWERS, 0, ANSWERS, 0, ANSWERS, 0, PASSES, 26, ANSWERS, 0, TURNS | 0x10];
            let end = [PASSES, 26, TURNS, 7, 0, PASSES, 23, 7, 2, ANSWERS | 0x10, 0, 7, 1, SYNCS, DRAINS];
            let tail = [PASSES, 24, ANSWERS | 0x10, 0x80, PASSES, 26, PASSES, 26, PASSES, 26];
            seeds.push([&[dialect | 0x60, role, 3], &begin[..], &sent, &end, &tail].concat());
        }
        let stream = frames::frames(Setting::of(&[dialect]).dialect).concat();
        let (one, two) = stream.split_at(stream.len() / 3);
        let raw = |bytes: &[u8]| [&[RAW][..], &(bytes.len() as u16).to_be_bytes(), bytes].concat();
        seeds.push([&[dialect | 4, 0, 3][..], &raw(one), &[SYNCS], &raw(two), &[PASSES, 22]].concat());
    }
    seeds
}

/// The dialect of an input, and the bodies of its messages.
pub fn messages(bytes: &[u8]) -> (&'static Dialect, Vec<Vec<u8>>) {
    let dialect = Setting::of(bytes).dialect;
    let sent = steps(dialect, bytes).into_iter().filter_map(|step| match step {
        Step::Sends(_, bytes) => Some(bytes),
        _ => None,
    });
    (dialect, sent.flat_map(|bytes| split(dialect, &bytes)).map(|(_, _, body)| body).collect())
}

/// The frames of a stream: what each holds, the whole of it, and its body.
pub fn split(dialect: &Dialect, stream: &[u8]) -> Vec<(Kind, Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Ok(Some(frame)) = dialect.frame(&stream[at..]) {
        let whole = stream[at..at + frame.total].to_vec();
        found.push((frame.kind, whole, stream[at + frame.body.start..at + frame.body.end].to_vec()));
        at += frame.total;
    }
    found
}
