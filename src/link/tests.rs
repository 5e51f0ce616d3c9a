//! The session by tables, and by chance.

use proptest::prelude::ProptestConfig;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_assert;
use proptest::proptest;

use crate::domain::action::ActionCode;
use crate::domain::request::MemberId;
use crate::domain::request::NetworkManagement;
use crate::domain::request::Scope;
use crate::domain::request::Stan;
use crate::domain::time::TransmissionTime;

use super::members::MEMBERS_MAX;
use super::orders::NotTaken;
use super::orders::Order;
use super::orders::Outcome;
use super::session::Session;
use super::state::Advices;
use super::state::Moment;
use super::state::Ours;
use super::state::PeerRequest;
use super::state::Settings;
use super::state::SignOn;
use super::state::SocketId;
use super::state::Step;

const ANSWER: u64 = 100;
const PAUSE: u64 = 1_000;
const ECHO: u64 = 500;

fn settings(sign_on: SignOn) -> Settings {
    Settings {
        sign_on,
        scopes: vec![Scope::Link],
        stored_advices: true,
        stop_stored_advices: true,
        decline_before_sign_on: true,
        answer_us: ANSWER,
        pause_us: PAUSE,
        echo_us: None,
        echo_misses: 2,
        sign_off_on_drain: true,
    }
}

fn group(digits: &str) -> Scope {
    Scope::Group(MemberId::from_digits(digits).expect("digits"))
}

fn prefix(digits: &str) -> Scope {
    Scope::Prefix(MemberId::from_digits(digits).expect("digits"))
}

fn request(what: NetworkManagement, scope: Scope, stan: u32) -> PeerRequest {
    let transmission = TransmissionTime::new(604_123_456).expect("a time");
    PeerRequest { what, scope, stan: Stan(stan), transmission }
}

/// What happens to a session, and what it is seen to do then.
#[derive(Clone, Copy)]
enum Do {
    Up(u64),
    Down(u64),
    /// The same, and what was asked on it is to be asked on another.
    DownAndAgain(u64),
    /// Time passes.
    Wait(u64),
    /// This socket asks for this, and for nothing more.
    Asks(u64, NetworkManagement, Scope),
    /// This socket has nothing to do.
    Quiet(u64),
    /// This socket is to be closed.
    Closes(u64),
    /// A message comes on this socket.
    Hears(u64),
    /// The request before the last ones, counted from the last, is answered 00, or refused.
    Answer(usize),
    Refuse(usize),
    Peer(NetworkManagement, Scope, u32, ActionCode),
    Says(NetworkManagement),
    Drain,
    /// Where we are, whether requests are refused, and where stored advices are.
    Is(Ours, bool, Advices),
    Left(bool),
}

use NetworkManagement as Nm;

struct Walk {
    session: Session,
    now: u64,
    heard: [u64; 4],
    stans: Vec<Stan>,
}

impl Walk {
    fn next(&mut self, id: u64) -> Option<Step> {
        let heard = Moment(self.heard[id as usize]);
        self.session.next(SocketId(id), heard, Moment(self.now))
    }

    fn stan(&self, back: usize) -> Stan {
        self.stans[self.stans.len() - 1 - back]
    }

    fn carry_out(&mut self, what: Do, row: &str) {
        match what {
            Do::Up(id) => self.session.up(SocketId(id), Moment(self.now)),
            Do::Down(id) => assert!(!self.session.down(SocketId(id)), "{row}"),
            Do::DownAndAgain(id) => assert!(self.session.down(SocketId(id)), "{row}"),
            Do::Wait(us) => self.now += us,
            Do::Asks(id, wanted, wanted_scope) => match self.next(id) {
                Some(Step::Ask { what, scope, stan }) => {
                    assert_eq!((what, scope), (wanted, wanted_scope), "{row}");
                    self.stans.push(stan);
                }
                other => panic!("{row}: {other:?}"),
            },
            Do::Quiet(id) => assert_eq!(self.next(id), None, "{row}"),
            Do::Closes(id) => assert_eq!(self.next(id), Some(Step::Close), "{row}"),
            Do::Hears(id) => self.heard[id as usize] = self.now,
            Do::Answer(back) => {
                let matched = self.session.answered(self.stan(back), None, Moment(self.now));
                assert!(matched.is_some(), "{row}");
            }
            Do::Refuse(back) => {
                let matched = self.session.answered(self.stan(back), Some(*b"91"), Moment(self.now));
                assert!(matched.is_some(), "{row}");
            }
            Do::Peer(what, scope, stan, outcome) => {
                assert_eq!(self.session.peer_asks(request(what, scope, stan)), outcome, "{row}");
            }
            Do::Says(what) => self.session.peer_says(what),
            Do::Drain => self.session.drain(Moment(self.now)),
            Do::Is(ours, refuses, advices) => {
                let session = &self.session;
                assert_eq!((session.ours(), session.refuses_requests()), (ours, refuses), "{row}");
                assert_eq!(session.advices(), advices, "{row}");
            }
            Do::Left(left) => assert_eq!(self.session.has_left(), left, "{row}"),
        }
    }
}

fn walk(name: &str, settings: Settings, rows: &[Do]) -> Session {
    let mut walk = Walk { session: Session::new(settings), now: 10_000, heard: [0; 4], stans: Vec::new() };
    for (n, row) in rows.iter().enumerate() {
        walk.carry_out(*row, &format!("{name}, row {n}"));
    }
    walk.session
}

const L: Scope = Scope::Link;

#[test]
fn r23_we_sign_on_ask_for_stored_advices_and_begin_anew_after_a_loss() {
    let first = [
        Do::Is(Ours::Off, true, Advices::NotAsked),
        Do::Up(1),
        Do::Asks(1, Nm::SignOn, L),
        Do::Up(2),
        Do::Quiet(2),
        Do::Answer(0),
        Do::Is(Ours::On, false, Advices::NotAsked),
        Do::Asks(2, Nm::StoredAdvices, L),
        Do::Quiet(1),
        Do::Answer(0),
        Do::Is(Ours::On, false, Advices::Running),
        Do::Says(Nm::StoredAdvicesEnd),
        Do::Is(Ours::On, false, Advices::Ended),
        // One of two sockets is no loss of the link.
        Do::Down(1),
        Do::Quiet(2),
        Do::Is(Ours::On, false, Advices::Ended),
        Do::Down(2),
        Do::Is(Ours::Off, true, Advices::NotAsked),
        Do::Up(3),
        Do::Asks(3, Nm::SignOn, L),
    ];
    let session = walk("loss and return", settings(SignOn::Us), &first);
    assert_eq!((session.counts().losses, session.counts().sign_ons), (1, 1));
}

#[test]
fn r23_a_sign_on_is_tried_again_after_a_pause_and_never_given_up() {
    let mut rows = vec![Do::Up(1)];
    for round in 0..20 {
        rows.extend([Do::Asks(1, Nm::SignOn, L), Do::Quiet(1)]);
        rows.extend(if round % 2 == 0 {
            [Do::Refuse(0), Do::Quiet(1)]
        } else {
            [Do::Wait(ANSWER), Do::Quiet(1)]
        });
        rows.extend([Do::Wait(PAUSE - 1), Do::Quiet(1), Do::Wait(1)]);
    }
    rows.extend([Do::Asks(1, Nm::SignOn, L), Do::Answer(0), Do::Is(Ours::On, false, Advices::NotAsked)]);
    // The same for the request for stored advices.
    rows.extend([Do::Asks(1, Nm::StoredAdvices, L), Do::Refuse(0), Do::Quiet(1), Do::Wait(PAUSE)]);
    rows.extend([Do::Asks(1, Nm::StoredAdvices, L), Do::Wait(ANSWER), Do::Quiet(1), Do::Wait(PAUSE)]);
    rows.extend([Do::Asks(1, Nm::StoredAdvices, L), Do::Answer(0), Do::Wait(PAUSE * 10), Do::Quiet(1)]);
    let session = walk("refusals", settings(SignOn::Us), &rows);
    assert_eq!((session.counts().refused, session.counts().unanswered), (11, 11));
}

#[test]
fn r23_a_request_goes_to_another_socket_when_its_own_is_gone() {
    let rows = [
        Do::Up(1),
        Do::Up(2),
        Do::Asks(1, Nm::SignOn, L),
        Do::Quiet(2),
        Do::DownAndAgain(1),
        Do::Asks(2, Nm::SignOn, L),
        Do::Answer(0),
        Do::Up(3),
        Do::Asks(3, Nm::StoredAdvices, L),
        Do::DownAndAgain(3),
        Do::Asks(2, Nm::StoredAdvices, L),
        // The answer may come after the end: there was nothing stored.
        Do::Says(Nm::StoredAdvicesEnd),
        Do::Answer(0),
        Do::Is(Ours::On, false, Advices::Ended),
    ];
    walk("another socket", settings(SignOn::Us), &rows);
}

#[test]
fn r23_groups_and_prefixes_of_ours_are_signed_on_one_by_one() {
    let (one, two) = (group("00123"), prefix("520474"));
    let settings = Settings { scopes: vec![one, two], stop_stored_advices: false, ..settings(SignOn::Us) };
    let rows = [
        Do::Up(1),
        Do::Asks(1, Nm::SignOn, one),
        Do::Answer(0),
        Do::Is(Ours::Off, true, Advices::NotAsked),
        Do::Asks(1, Nm::SignOn, two),
        Do::Refuse(0),
        Do::Wait(PAUSE),
        // What was accepted is not asked again.
        Do::Asks(1, Nm::SignOn, two),
        Do::Answer(0),
        Do::Is(Ours::On, false, Advices::NotAsked),
        Do::Asks(1, Nm::StoredAdvices, L),
        Do::Answer(0),
        Do::Drain,
        Do::Left(false),
        Do::Asks(1, Nm::SignOff, one),
        Do::Quiet(1),
        Do::Answer(0),
        Do::Asks(1, Nm::SignOff, two),
        Do::Left(false),
        Do::Answer(0),
        Do::Left(true),
        Do::Quiet(1),
    ];
    walk("groups and prefixes", settings, &rows);
}

#[test]
fn r23_who_signs_on_decides_when_the_link_is_in_service() {
    use ActionCode::Approved;
    let peer = [
        Do::Up(1),
        Do::Quiet(1),
        Do::Is(Ours::Off, true, Advices::NotAsked),
        Do::Peer(Nm::SignOn, L, 1, Approved),
        Do::Is(Ours::Off, false, Advices::NotAsked),
        Do::Quiet(1),
        // The peer's word is the link's: it outlives its socket.
        Do::Down(1),
        Do::Is(Ours::Off, false, Advices::NotAsked),
        Do::Peer(Nm::SignOff, L, 2, Approved),
        Do::Is(Ours::Off, true, Advices::NotAsked),
    ];
    let us = [
        Do::Up(1),
        Do::Peer(Nm::SignOn, L, 1, Approved),
        Do::Is(Ours::Off, true, Advices::NotAsked),
        Do::Asks(1, Nm::SignOn, L),
        Do::Answer(0),
        Do::Is(Ours::On, false, Advices::NotAsked),
        Do::Peer(Nm::SignOff, L, 2, Approved),
        Do::Is(Ours::On, true, Advices::NotAsked),
        Do::Down(1),
        Do::Up(2),
        Do::Asks(2, Nm::SignOn, L),
        Do::Answer(0),
        Do::Is(Ours::On, false, Advices::NotAsked),
    ];
    let both = [
        Do::Up(1),
        Do::Asks(1, Nm::SignOn, L),
        Do::Answer(0),
        Do::Is(Ours::On, true, Advices::NotAsked),
        Do::Peer(Nm::SignOn, prefix("4111"), 1, Approved),
        Do::Is(Ours::On, false, Advices::NotAsked),
        Do::Peer(Nm::SignOff, prefix("4111"), 2, Approved),
        Do::Is(Ours::On, true, Advices::NotAsked),
    ];
    for (name, sign_on, rows) in
        [("peer", SignOn::Peer, &peer[..]), ("us", SignOn::Us, &us[..]), ("both", SignOn::Both, &both[..])]
    {
        walk(name, settings(sign_on), rows);
        let serving = Settings { decline_before_sign_on: false, ..settings(sign_on) };
        assert!(!Session::new(serving).refuses_requests(), "{name}: nothing is declined unless it is set");
    }
}

#[test]
fn r23_a_repeat_gets_its_answer_again_and_changes_nothing() {
    use ActionCode::Approved;
    let rows = [
        Do::Peer(Nm::SignOn, L, 1, Approved),
        Do::Peer(Nm::SignOff, L, 2, Approved),
        // Late repeats of both, crosswise.
        Do::Peer(Nm::SignOn, L, 1, Approved),
        Do::Is(Ours::Off, true, Advices::NotAsked),
        Do::Peer(Nm::SignOn, L, 3, Approved),
        Do::Peer(Nm::SignOff, L, 2, Approved),
        Do::Is(Ours::Off, false, Advices::NotAsked),
        Do::Peer(Nm::KeyExchange(161), L, 4, ActionCode::InvalidTransaction),
        Do::Peer(Nm::KeyExchange(161), L, 4, ActionCode::InvalidTransaction),
        Do::Peer(Nm::StoredAdvices, L, 5, ActionCode::InvalidTransaction),
        Do::Peer(Nm::Unsupported(999), L, 6, ActionCode::InvalidTransaction),
        Do::Peer(Nm::Echo, L, 7, Approved),
    ];
    let session = walk("repeats", settings(SignOn::Peer), &rows);
    let counts = session.counts();
    assert_eq!((counts.sign_ons, counts.sign_offs, counts.key_exchanges), (2, 1, 2));
}

#[test]
fn r23_echoes_on_idle_and_what_becomes_of_a_socket_that_misses_them() {
    let settings = Settings { echo_us: Some(ECHO), ..settings(SignOn::Peer) };
    let rows = [
        Do::Up(1),
        Do::Up(2),
        Do::Wait(ECHO - 1),
        Do::Hears(2),
        Do::Wait(1),
        Do::Asks(1, Nm::Echo, L),
        Do::Quiet(1),
        Do::Quiet(2),
        Do::Answer(0),
        Do::Wait(ECHO - 1),
        Do::Quiet(1),
        Do::Hears(2),
        Do::Wait(1),
        Do::Asks(1, Nm::Echo, L),
        Do::Wait(ANSWER),
        Do::Quiet(1),
        // One was missed; a message shows that the peer is there.
        Do::Hears(1),
        Do::Quiet(1),
        Do::Wait(ECHO),
        Do::Asks(1, Nm::Echo, L),
        Do::Wait(ECHO),
        Do::Asks(1, Nm::Echo, L),
        Do::Asks(2, Nm::Echo, L),
        Do::Wait(ANSWER),
        Do::Closes(1),
        Do::Quiet(2),
        Do::Down(1),
        Do::Quiet(1),
    ];
    let session = walk("echoes", settings, &rows);
    assert_eq!(session.counts().unanswered, 4);
    assert_eq!(session.round_trip_us(), Some(0));
}

#[test]
fn r26_we_sign_off_once_for_the_link_and_wait_for_its_answer() {
    let rows = [
        Do::Up(1),
        Do::Up(2),
        Do::Left(false),
        Do::Drain,
        Do::Asks(2, Nm::SignOff, L),
        Do::Quiet(1),
        Do::Quiet(2),
        Do::Left(false),
        // Without an answer it is asked again, on whichever socket is left.
        Do::Wait(ANSWER),
        Do::Quiet(1),
        Do::Wait(PAUSE),
        Do::Asks(2, Nm::SignOff, L),
        Do::DownAndAgain(2),
        Do::Asks(1, Nm::SignOff, L),
        Do::Answer(0),
        Do::Left(true),
        Do::Quiet(1),
    ];
    walk("drain", settings(SignOn::Peer), &rows);
    let stops = [
        Do::Up(1),
        Do::Asks(1, Nm::SignOn, L),
        Do::Answer(0),
        Do::Asks(1, Nm::StoredAdvices, L),
        Do::Answer(0),
        Do::Drain,
        Do::Asks(1, Nm::StoredAdvicesStop, L),
        Do::Asks(1, Nm::SignOff, L),
        Do::Is(Ours::Leaving, false, Advices::Stopped),
        Do::Answer(0),
        Do::Left(true),
    ];
    walk("stored advices are stopped first", settings(SignOn::Us), &stops);
    let never_on =
        [Do::Up(1), Do::Asks(1, Nm::SignOn, L), Do::Refuse(0), Do::Drain, Do::Left(true), Do::Quiet(1)];
    walk("who never came need not leave", settings(SignOn::Us), &never_on);
    let silent = Settings { sign_off_on_drain: false, ..settings(SignOn::Peer) };
    walk("without a sign-off", silent, &[Do::Up(1), Do::Drain, Do::Left(true), Do::Quiet(1)]);
}

#[test]
fn r23_orders_are_carried_out_or_refused_with_a_reason() {
    let settings = Settings { stored_advices: false, ..settings(SignOn::Us) };
    let mut walk = Walk { session: Session::new(settings), now: 0, heard: [0; 4], stans: Vec::new() };
    let orders = [Order::Echo, Order::SignOn, Order::SignOff];
    for order in orders {
        assert_eq!(walk.session.order(order, Moment(0)), Err(NotTaken::NoSocket));
    }
    let rows = [Do::Up(1), Do::Asks(1, Nm::SignOn, L), Do::Refuse(0), Do::Quiet(1)];
    rows.iter().for_each(|row| walk.carry_out(*row, "before"));
    // Order, what goes out for it, how it is answered, and what the order's outcome is then.
    let accepted = Outcome::Accepted { round_trip_us: 0 };
    let table = [
        (Order::SignOn, Nm::SignOn, Do::Answer(0), accepted, Ours::On),
        (Order::Echo, Nm::Echo, Do::Answer(0), accepted, Ours::On),
        (Order::Echo, Nm::Echo, Do::Refuse(0), Outcome::Refused(*b"91"), Ours::On),
        (Order::Echo, Nm::Echo, Do::Wait(ANSWER), Outcome::NotAnswered, Ours::On),
        (Order::SignOff, Nm::SignOff, Do::Answer(0), accepted, Ours::Off),
        (Order::SignOn, Nm::SignOn, Do::Wait(ANSWER), Outcome::NotAnswered, Ours::Off),
        (Order::SignOff, Nm::SignOff, Do::Wait(ANSWER), Outcome::NotAnswered, Ours::Off),
        (Order::Echo, Nm::Echo, Do::Down(1), Outcome::Lost, Ours::Off),
    ];
    for (order, what, answer, outcome, ours) in table {
        let name = format!("{order:?} {outcome:?}");
        let ticket = walk.session.order(order, Moment(walk.now)).expect(&name);
        assert_eq!(walk.session.order(order, Moment(walk.now)), Err(NotTaken::Busy), "{name}");
        walk.carry_out(Do::Asks(1, what, L), &name);
        assert_eq!(walk.session.outcome(order, ticket), None, "{name}");
        walk.carry_out(answer, &name);
        let _expires = walk.next(2);
        assert_eq!(walk.session.outcome(order, ticket), Some(outcome), "{name}");
        assert_eq!(walk.session.ours(), ours, "{name}");
        if what == Nm::SignOff {
            walk.carry_out(Do::Wait(PAUSE), &name);
            walk.carry_out(Do::Quiet(1), &name);
        }
    }
    // A sign-off that was ordered stands, whatever comes and goes.
    [Do::Up(2), Do::Quiet(2), Do::Drain].iter().for_each(|row| walk.carry_out(*row, "after"));
    assert_eq!(walk.session.order(Order::Echo, Moment(walk.now)), Err(NotTaken::Draining));
}

/// One thing that can happen, by chance.
#[derive(Clone, Copy, Debug)]
enum Chance {
    Up,
    Down(usize),
    Wait(u64),
    Next(usize),
    Hears,
    /// One of all requests so far is answered, again perhaps.
    Answer(usize, bool),
    Peer(bool, u64, u32),
    AdvicesEnd,
    Order(u8),
}

fn chances() -> impl Strategy<Value = Vec<Chance>> {
    let one = (0_u8..20, any::<u16>(), any::<bool>()).prop_map(|(kind, n, yes)| {
        let place = usize::from(n);
        match kind {
            0..2 => Chance::Up,
            2..4 => Chance::Down(place),
            4..7 => Chance::Wait(u64::from(n) % (2 * PAUSE)),
            7..12 => Chance::Next(place),
            12 => Chance::Hears,
            13..17 => Chance::Answer(place, yes),
            17 => Chance::Peer(yes, u64::from(n) % 200, u32::from(n)),
            18 => Chance::AdvicesEnd,
            _ => Chance::Order(n as u8 % 3),
        }
    });
    proptest::collection::vec(one, 1..200)
}

/// What a peer would know of us: the requests that it has not answered yet, by the sockets that they came on.
#[derive(Default)]
struct Witness {
    open: Vec<u64>,
    ids: u64,
    now: u64,
    heard: u64,
    /// Every request: what, on which socket, when.
    asked: Vec<(Stan, Nm, u64, u64)>,
    waiting: Vec<Stan>,
}

impl Witness {
    fn pick(&self, place: usize) -> Option<u64> {
        (!self.open.is_empty()).then(|| self.open[place % self.open.len()])
    }

    fn sees(&mut self, step: Option<Step>, id: u64) -> std::result::Result<(), String> {
        let Some(Step::Ask { what, stan, .. }) = step else { return Ok(()) };
        if !self.open.contains(&id) {
            return Err(format!("{what:?} on a socket that is gone"));
        }
        let now = self.now;
        let waiting = &self.waiting;
        let open = |(known, _, _, at): &(Stan, Nm, u64, u64)| waiting.contains(known) && now - at < ANSWER;
        for before in self.asked.iter().filter(|before| open(before)) {
            let same = before.1 == what && (what != Nm::Echo || before.2 == id);
            if same || before.0 == stan {
                return Err(format!("{what:?} again while {before:?} waits"));
            }
        }
        self.asked.push((stan, what, id, self.now));
        self.waiting.push(stan);
        Ok(())
    }

    fn happens(&mut self, session: &mut Session, chance: Chance) -> std::result::Result<(), String> {
        match chance {
            Chance::Up if self.open.len() < 5 => {
                self.ids += 1;
                self.open.push(self.ids);
                session.up(SocketId(self.ids), Moment(self.now));
            }
            Chance::Up => {}
            Chance::Down(place) => {
                if let Some(id) = self.pick(place) {
                    self.open.retain(|open| *open != id);
                    let of_it =
                        |stan: &Stan| self.asked.iter().any(|asked| asked.0 == *stan && asked.2 == id);
                    self.waiting.retain(|stan| !of_it(stan));
                    session.down(SocketId(id));
                }
            }
            Chance::Wait(us) => self.now += us,
            // Sockets that are gone ask too.
            Chance::Next(place) => {
                let id = if place % 7 == 0 {
                    place as u64 % (self.ids + 1)
                } else {
                    self.pick(place).unwrap_or(0)
                };
                let step = session.next(SocketId(id), Moment(self.heard), Moment(self.now));
                self.sees(step, id)?;
            }
            Chance::Hears => self.heard = self.now,
            Chance::Answer(place, accepted) => {
                if !self.asked.is_empty() {
                    let stan = self.asked[place % self.asked.len()].0;
                    let refusal = (!accepted).then_some(*b"91");
                    let matched = session.answered(stan, refusal, Moment(self.now)).is_some();
                    let waited = self.waiting.contains(&stan);
                    self.waiting.retain(|waiting| *waiting != stan);
                    if matched && !waited {
                        return Err(format!("{stan:?} was answered twice, or on a socket that is gone"));
                    }
                }
            }
            Chance::Peer(on, number, stan) => {
                let what = if on { Nm::SignOn } else { Nm::SignOff };
                let member = MemberId::new(number, 5).ok_or("five digits")?;
                let scope = if number == 0 { Scope::Link } else { Scope::Prefix(member) };
                session.peer_asks(request(what, scope, stan));
            }
            Chance::AdvicesEnd => session.peer_says(Nm::StoredAdvicesEnd),
            Chance::Order(n) => {
                let order = [Order::Echo, Order::SignOn, Order::SignOff][usize::from(n)];
                let _ticket = session.order(order, Moment(self.now));
                if order == Order::SignOff {
                    // It gives up a sign-on that is under way.
                    let sign_ons = |stan: &Stan| self.asked.iter().any(|a| a.0 == *stan && a.1 == Nm::SignOn);
                    self.waiting.retain(|stan| session.is_signing_on() || !sign_ons(stan));
                }
            }
        }
        Ok(())
    }
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("TURNPIKE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(500);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn r23_whatever_happens_one_request_of_a_kind_waits_and_we_come_back(
        chances in chances(),
        sign_on in 0_usize..3,
        orders in any::<bool>(),
        two_scopes in any::<bool>(),
    ) {
        let sign_on = [SignOn::Peer, SignOn::Us, SignOn::Both][sign_on];
        let scopes = if two_scopes { vec![group("1"), prefix("2")] } else { vec![Scope::Link] };
        let settings = Settings { scopes: scopes.clone(), echo_us: Some(ECHO), ..settings(sign_on) };
        let mut session = Session::new(settings);
        let mut witness = Witness { now: 10_000, ..Witness::default() };
        for chance in chances {
            if !orders && matches!(chance, Chance::Order(_)) {
                continue;
            }
            let happened = witness.happens(&mut session, chance);
            prop_assert!(happened.is_ok(), "{chance:?}: {happened:?}");
            prop_assert!(session.peer().listed().len() <= MEMBERS_MAX);
            prop_assert!(session.take_happenings().count() <= 16);
            prop_assert!(!session.sockets().is_empty() || session.ours() == Ours::Off);
        }
        // The link is lost and comes back, and the peer takes what it is asked.
        for id in witness.open.clone() {
            session.down(SocketId(id));
        }
        session.up(SocketId(999), Moment(witness.now));
        let mut asked = Vec::new();
        while let Some(Step::Ask { what, scope, stan }) =
            session.next(SocketId(999), Moment(0), Moment(witness.now))
        {
            asked.push((what, scope));
            session.answered(stan, None, Moment(witness.now));
        }
        if !orders && sign_on != SignOn::Peer {
            let mut expected: Vec<_> = scopes.iter().map(|scope| (Nm::SignOn, *scope)).collect();
            expected.push((Nm::StoredAdvices, Scope::Link));
            prop_assert!(asked == expected, "{asked:?}");
            prop_assert!(session.ours() == Ours::On);
        }
        if sign_on == SignOn::Peer {
            prop_assert!(asked.is_empty(), "{asked:?}");
        }
    }
}
