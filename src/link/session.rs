//! The session of one link: signing on and off on either side, stored advices, echoes, and our own requests.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use crate::domain::action::ActionCode;
use crate::domain::request::NetworkManagement;
use crate::domain::request::Scope;
use crate::domain::request::Stan;
use crate::domain::request::network_management_outcome;

use super::members::Members;
use super::orders::NotTaken;
use super::orders::Order;
use super::orders::Orders;
use super::orders::Outcome;
use super::orders::Ticket;
use super::state::Advices;
use super::state::Counts;
use super::state::Happening;
use super::state::Moment;
use super::state::Ours;
use super::state::PeerRequest;
use super::state::Settings;
use super::state::SignOn;
use super::state::SocketId;
use super::state::Step;

/// Sign-ons and sign-offs of the peer that are remembered, so that a repeat changes nothing.
const REPEATS: usize = 8;
/// Happenings kept between two looks at them.
const HAPPENINGS_MAX: usize = 16;

/// One socket as the session sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Socket {
    /// Echoes in a row that were not answered.
    pub echo_misses: u32,
    /// Microseconds of the last echo there and back.
    pub round_trip_us: Option<u64>,
    /// When something last came, went up, or an echo went out.
    quiet_since: Moment,
    last_message: Moment,
    /// Its echo that waits for an answer.
    echo: Option<Stan>,
}

/// A request of ours that waits for its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Asked {
    stan: Stan,
    what: NetworkManagement,
    scope: Scope,
    socket: SocketId,
    at: Moment,
}

/// The session of one link, which all its sockets share.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    settings: Settings,
    sockets: BTreeMap<SocketId, Socket>,
    /// Oldest first.
    asked: VecDeque<Asked>,
    next_stan: u32,
    /// Whether we are to be signed on.
    wanted: bool,
    ours: Ours,
    /// Which of the scopes is next, signing on or off.
    progress: usize,
    /// Nothing of the kind is asked before this.
    pause_until: Moment,
    /// The peer has taken our sign-on, and the link was not lost since.
    accepted: bool,
    advices: Advices,
    peer: Members,
    repeats: [Option<(PeerRequest, ActionCode)>; REPEATS],
    next_repeat: usize,
    orders: Orders,
    /// The echo that an operator waits for, once it is sent.
    ordered_echo: Option<Stan>,
    draining: bool,
    round_trip_us: Option<u64>,
    counts: Counts,
    happenings: Vec<Happening>,
}

impl Session {
    /// A session without a socket.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            wanted: settings.sign_on != SignOn::Peer,
            settings,
            sockets: BTreeMap::new(),
            asked: VecDeque::new(),
            next_stan: 1,
            ours: Ours::Off,
            progress: 0,
            pause_until: Moment::default(),
            accepted: false,
            advices: Advices::NotAsked,
            peer: Members::default(),
            repeats: [None; REPEATS],
            next_repeat: 0,
            orders: Orders::default(),
            ordered_echo: None,
            draining: false,
            round_trip_us: None,
            counts: Counts::default(),
            happenings: Vec::with_capacity(HAPPENINGS_MAX),
        }
    }

    // ---- sockets

    /// A socket is there, whoever connected.
    pub fn up(&mut self, id: SocketId, now: Moment) {
        if self.sockets.is_empty() && self.counts.losses > 0 {
            self.happened(Happening::Returned);
        }
        let quiet_since = now;
        let socket =
            Socket { echo_misses: 0, round_trip_us: None, quiet_since, last_message: now, echo: None };
        self.sockets.insert(id, socket);
    }

    /// A socket is gone. What was asked on it is asked again on another one, or after the return. Tells whether another
    /// one has to be told.
    pub fn down(&mut self, id: SocketId) -> bool {
        if self.sockets.remove(&id).is_none() {
            return false;
        }
        let mut lost = Vec::new();
        self.asked.retain(|asked| {
            lost.extend((asked.socket == id).then_some(*asked));
            asked.socket != id
        });
        for asked in &lost {
            self.end_ordered_echo(asked.stan, Outcome::Lost);
            if asked.what == NetworkManagement::StoredAdvices && self.advices == Advices::Asked {
                self.advices = Advices::NotAsked;
            }
        }
        if self.sockets.is_empty() {
            self.lost();
        }
        !self.sockets.is_empty() && lost.iter().any(|asked| asked.what != NetworkManagement::Echo)
    }

    fn lost(&mut self) {
        self.counts.losses += 1;
        self.happened(Happening::Lost);
        // Where nobody has to sign on, a peer that has signed off and gone is back when it connects.
        if self.settings.sign_on == SignOn::Peer && !self.settings.decline_before_sign_on {
            self.peer.forget_sign_off();
        }
        self.wanted &= self.settings.sign_on != SignOn::Peer;
        self.ours = Ours::Off;
        self.progress = 0;
        self.pause_until = Moment::default();
        self.accepted = false;
        self.advices = Advices::NotAsked;
        self.orders.end_all(Outcome::Lost);
    }

    // ---- the peer asks

    /// Carries out what the peer asks, and says how it is answered. A repeat gets the first answer and changes nothing.
    pub fn peer_asks(&mut self, request: PeerRequest) -> ActionCode {
        let on = match request.what {
            NetworkManagement::SignOn => true,
            NetworkManagement::SignOff => false,
            what => {
                let exchange = matches!(what, NetworkManagement::KeyExchange(_));
                self.counts.key_exchanges += u64::from(exchange);
                return network_management_outcome(what);
            }
        };
        if let Some((_, outcome)) = self.repeats.iter().flatten().find(|(known, _)| *known == request) {
            return *outcome;
        }
        let outcome = match self.peer.set(request.scope, on) {
            Ok(()) => {
                *(if on { &mut self.counts.sign_ons } else { &mut self.counts.sign_offs }) += 1;
                let happening = if on { Happening::PeerSignedOn } else { Happening::PeerSignedOff };
                self.happened(happening(request.scope));
                network_management_outcome(request.what)
            }
            Err(_) => ActionCode::SystemMalfunction,
        };
        self.repeats[self.next_repeat] = Some((request, outcome));
        self.next_repeat = (self.next_repeat + 1) % REPEATS;
        outcome
    }

    /// What the peer says without asking (0820).
    pub fn peer_says(&mut self, what: NetworkManagement) {
        let under_way = matches!(self.advices, Advices::Asked | Advices::Running);
        if what == NetworkManagement::StoredAdvicesEnd && under_way {
            self.advices = Advices::Ended;
            self.happened(Happening::AdvicesEnded);
        }
    }

    // ---- the peer answers

    /// What was asked under a number and is not answered yet, and for whom.
    #[must_use]
    pub fn asked(&self, stan: Stan) -> Option<(NetworkManagement, Scope)> {
        self.asked.iter().find(|asked| asked.stan == stan).map(|asked| (asked.what, asked.scope))
    }

    /// Takes an 0810. `refusal` is its DE 39 unless that is "00". Returns what it answers; `None` when nothing was
    /// asked under that number, or no longer.
    pub fn answered(
        &mut self,
        stan: Stan,
        refusal: Option<[u8; 2]>,
        now: Moment,
    ) -> Option<NetworkManagement> {
        let at = self.asked.iter().position(|asked| asked.stan == stan)?;
        let asked = self.asked.remove(at)?;
        let round_trip_us = now.since(asked.at);
        if let Some(code) = refusal {
            self.counts.refused += 1;
            self.happened(Happening::Refused(asked.what, code));
        }
        let outcome = refusal.map_or(Outcome::Accepted { round_trip_us }, Outcome::Refused);
        match asked.what {
            NetworkManagement::Echo => self.echoed(asked, round_trip_us, outcome),
            NetworkManagement::SignOn if refusal.is_some() => self.not_signed_on(outcome, now),
            NetworkManagement::SignOn => self.one_signed_on(outcome),
            // Whatever the peer says to it, we are leaving.
            NetworkManagement::SignOff => self.one_signed_off(outcome),
            NetworkManagement::StoredAdvices if refusal.is_some() => self.advices_not_asked(now),
            NetworkManagement::StoredAdvices if self.advices == Advices::Asked => {
                self.advices = Advices::Running;
            }
            _ => {}
        }
        Some(asked.what)
    }

    /// Any answer shows that the peer is there.
    fn echoed(&mut self, asked: Asked, round_trip_us: u64, outcome: Outcome) {
        self.round_trip_us = Some(round_trip_us);
        if let Some(socket) = self.sockets.get_mut(&asked.socket) {
            socket.echo = None;
            socket.echo_misses = 0;
            socket.round_trip_us = Some(round_trip_us);
        }
        self.end_ordered_echo(asked.stan, outcome);
    }

    fn end_ordered_echo(&mut self, stan: Stan, outcome: Outcome) {
        if self.ordered_echo == Some(stan) {
            self.ordered_echo = None;
            self.orders.end(Order::Echo, outcome);
        }
    }

    fn one_signed_on(&mut self, outcome: Outcome) {
        self.progress += 1;
        if self.progress < self.settings.scopes.len() {
            return;
        }
        self.ours = Ours::On;
        self.accepted = true;
        if self.advices != Advices::Asked {
            self.advices = Advices::NotAsked;
        }
        self.counts.sign_ons += 1;
        self.peer.forget_sign_off();
        self.orders.end(Order::SignOn, outcome);
        self.happened(Happening::SignedOn);
    }

    fn not_signed_on(&mut self, outcome: Outcome, now: Moment) {
        self.pause_until = now.plus(self.settings.pause_us);
        // Where the peer signs on, ours was an order, and is not tried again.
        self.wanted &= self.settings.sign_on != SignOn::Peer;
        self.orders.end(Order::SignOn, outcome);
    }

    fn advices_not_asked(&mut self, now: Moment) {
        if self.advices == Advices::Asked {
            self.advices = Advices::NotAsked;
            self.pause_until = now.plus(self.settings.pause_us);
        }
    }

    fn one_signed_off(&mut self, outcome: Outcome) {
        self.progress += 1;
        if self.progress < self.settings.scopes.len() {
            return;
        }
        self.ours = Ours::Off;
        self.counts.sign_offs += 1;
        self.orders.end(Order::SignOff, outcome);
        self.happened(Happening::SignedOff);
    }

    // ---- orders

    /// Takes an order of an operator.
    ///
    /// # Errors
    /// Why it cannot be carried out now.
    pub fn order(&mut self, order: Order, now: Moment) -> Result<Ticket, NotTaken> {
        if self.draining {
            return Err(NotTaken::Draining);
        }
        if self.sockets.is_empty() {
            return Err(NotTaken::NoSocket);
        }
        if self.orders.is_open(order) || order != Order::Echo && self.ours == Ours::Leaving {
            return Err(NotTaken::Busy);
        }
        match order {
            Order::Echo => {}
            Order::SignOn if self.is_signing_on() => return Err(NotTaken::Busy),
            Order::SignOn => {
                self.wanted = true;
                self.ours = Ours::Off;
                self.progress = 0;
                self.pause_until = now;
            }
            Order::SignOff => self.leave(now),
        }
        Ok(self.orders.take(order))
    }

    /// How an order went; `None` while it is under way.
    #[must_use]
    pub fn outcome(&self, order: Order, ticket: Ticket) -> Option<Outcome> {
        self.orders.outcome(order, ticket)
    }

    /// The daemon is being stopped: we sign off, once for the link, and never on again (R26).
    pub fn drain(&mut self, now: Moment) {
        if self.draining {
            return;
        }
        self.draining = true;
        self.wanted = false;
        // Where we sign on, there is something to take back only once we have begun to.
        let begun = self.ours == Ours::On || self.progress > 0 || self.is_signing_on();
        let present = self.settings.sign_on == SignOn::Peer || begun;
        if self.settings.sign_off_on_drain && present && self.ours != Ours::Leaving {
            self.leave(now);
        }
    }

    /// Whether a drain need not wait for an answer to our sign-off any more.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.draining && self.ours != Ours::Leaving
    }

    /// A sign-on that is under way is given up. Its answer, if one comes, answers nothing.
    fn leave(&mut self, now: Moment) {
        self.wanted = false;
        self.asked.retain(|asked| asked.what != NetworkManagement::SignOn);
        self.orders.end(Order::SignOn, Outcome::Lost);
        self.ours = Ours::Leaving;
        self.progress = 0;
        self.pause_until = now;
    }

    // ---- what is to be done

    /// What this socket has to do now; asked again until there is nothing. `last_message` is when its last message
    /// came. A socket that is gone has nothing to do.
    pub fn next(&mut self, id: SocketId, last_message: Moment, now: Moment) -> Option<Step> {
        self.expire(now);
        let socket = self.sockets.get_mut(&id)?;
        if last_message > socket.last_message {
            socket.last_message = last_message;
            socket.quiet_since = socket.quiet_since.max(last_message);
            socket.echo_misses = 0;
        }
        if self.settings.echo_us.is_some() && socket.echo_misses >= self.settings.echo_misses {
            return Some(Step::Close);
        }
        let stan = Stan(self.next_stan);
        let (what, scope) = self.of_the_link(now).or_else(|| self.echo(id, stan, now))?;
        self.next_stan = self.next_stan % 999_999 + 1;
        self.asked.push_back(Asked { stan, what, scope, socket: id, at: now });
        Some(Step::Ask { what, scope, stan })
    }

    /// What the link has to ask, on whichever socket comes first. At most one sign-on or sign-off is under way.
    fn of_the_link(&mut self, now: Moment) -> Option<(NetworkManagement, Scope)> {
        let scope = self.settings.scopes.get(self.progress).copied().unwrap_or_default();
        let paused = now < self.pause_until;
        let asks = |session: &Self, what| !paused && !session.is_asked(what);
        match self.ours {
            Ours::Leaving if self.advices == Advices::Running && self.settings.stop_stored_advices => {
                self.advices = Advices::Stopped;
                Some((NetworkManagement::StoredAdvicesStop, Scope::Link))
            }
            Ours::Leaving if asks(self, NetworkManagement::SignOff) => {
                Some((NetworkManagement::SignOff, scope))
            }
            Ours::Off if self.wanted && asks(self, NetworkManagement::SignOn) => {
                Some((NetworkManagement::SignOn, scope))
            }
            Ours::On if self.asks_for_advices() && asks(self, NetworkManagement::StoredAdvices) => {
                self.advices = Advices::Asked;
                Some((NetworkManagement::StoredAdvices, Scope::Link))
            }
            _ => None,
        }
    }

    fn asks_for_advices(&self) -> bool {
        !self.draining
            && self.settings.stored_advices
            && self.settings.sign_on != SignOn::Peer
            && self.advices == Advices::NotAsked
    }

    fn echo(&mut self, id: SocketId, stan: Stan, now: Moment) -> Option<(NetworkManagement, Scope)> {
        let ordered = self.orders.is_open(Order::Echo) && self.ordered_echo.is_none();
        let socket = self.sockets.get_mut(&id).filter(|socket| socket.echo.is_none())?;
        let idle = self.settings.echo_us.is_some_and(|echo_us| now.since(socket.quiet_since) >= echo_us);
        if !(ordered || idle && !self.draining) {
            return None;
        }
        socket.quiet_since = now;
        socket.echo = Some(stan);
        if ordered {
            self.ordered_echo = Some(stan);
        }
        Some((NetworkManagement::Echo, Scope::Link))
    }

    fn is_asked(&self, what: NetworkManagement) -> bool {
        self.asked.iter().any(|asked| asked.what == what)
    }

    /// Gives up what was not answered in time. What was asked first is due first.
    fn expire(&mut self, now: Moment) {
        while let Some(asked) =
            self.asked.pop_front_if(|asked| now.since(asked.at) >= self.settings.answer_us)
        {
            self.counts.unanswered += 1;
            self.happened(Happening::NotAnswered(asked.what));
            self.not_answered(asked, now);
        }
    }

    fn not_answered(&mut self, asked: Asked, now: Moment) {
        let outcome = Outcome::NotAnswered;
        match asked.what {
            NetworkManagement::Echo => {
                self.end_ordered_echo(asked.stan, outcome);
                if let Some(socket) = self.sockets.get_mut(&asked.socket) {
                    socket.echo = None;
                    // A peer that says something else meanwhile is there.
                    socket.echo_misses += u32::from(socket.last_message <= asked.at);
                }
            }
            NetworkManagement::SignOn => self.not_signed_on(outcome, now),
            NetworkManagement::SignOff => {
                self.pause_until = now.plus(self.settings.pause_us);
                if !self.draining {
                    self.ours = Ours::Off;
                    self.orders.end(Order::SignOff, outcome);
                }
            }
            NetworkManagement::StoredAdvices => self.advices_not_asked(now),
            _ => {}
        }
    }

    // ---- what is shown

    /// Whether requests are declined, because whoever has to sign on has not, or the peer has signed off.
    #[must_use]
    pub fn refuses_requests(&self) -> bool {
        self.settings.decline_before_sign_on && !self.in_service()
    }

    /// Whether whoever has to sign on has done so. Our own sign-off does not end it: what comes after it is from a peer
    /// that has not seen it yet (R26).
    #[must_use]
    pub fn in_service(&self) -> bool {
        match self.settings.sign_on {
            SignOn::Peer => self.peer.any_on(),
            SignOn::Us => self.accepted && !self.peer.has_left(),
            SignOn::Both => self.accepted && self.peer.any_on(),
        }
    }

    /// Whether requests may be sent to the peer: there is a socket, we are not leaving, the peer has not, and whoever
    /// has to sign on has where requests before that are declined.
    #[must_use]
    pub fn takes_requests(&self) -> bool {
        let signed_on = match self.settings.sign_on {
            SignOn::Peer if !self.settings.decline_before_sign_on => !self.peer.has_left(),
            _ => self.signed_on(),
        };
        !self.sockets.is_empty() && !self.draining && signed_on
    }

    /// Whether the link is signed on by whoever has to, and we have not signed off.
    #[must_use]
    pub fn signed_on(&self) -> bool {
        self.in_service() && (self.settings.sign_on == SignOn::Peer || self.ours == Ours::On)
    }

    /// What it goes by.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where we are with signing on.
    #[must_use]
    pub const fn ours(&self) -> Ours {
        self.ours
    }

    /// Whether a sign-on of ours waits for its answer.
    #[must_use]
    pub fn is_signing_on(&self) -> bool {
        self.is_asked(NetworkManagement::SignOn)
    }

    /// What the peer has said of itself.
    #[must_use]
    pub const fn peer(&self) -> &Members {
        &self.peer
    }

    /// Where the request for stored advices is.
    #[must_use]
    pub const fn advices(&self) -> Advices {
        self.advices
    }

    /// Microseconds of the last echo there and back, on whichever socket.
    #[must_use]
    pub const fn round_trip_us(&self) -> Option<u64> {
        self.round_trip_us
    }

    /// The sockets that are open, by their names.
    #[must_use]
    pub const fn sockets(&self) -> &BTreeMap<SocketId, Socket> {
        &self.sockets
    }

    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What is worth a line in the log, since the last time. What is too much is only counted.
    pub fn take_happenings(&mut self) -> impl Iterator<Item = Happening> + '_ {
        self.happenings.drain(..)
    }

    fn happened(&mut self, happening: Happening) {
        if self.happenings.len() < HAPPENINGS_MAX {
            self.happenings.push(happening);
        }
    }
}
