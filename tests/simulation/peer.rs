//! The networks: what they send and when, what they make of what they hear, and how they settle what they do not know.

use turnpike::domain::request::NetworkManagement;
use turnpike::domain::time::TransmissionTime;
use turnpike::link::state::SignOn;

use super::exchange::APPROVED;
use super::exchange::Exchange;
use super::exchange::Follow;
use super::exchange::Kind;
use super::exchange::Told;
use super::exchange::Which;
use super::messages;
use super::messages::Management;
use super::messages::Named;
use super::messages::Read;
use super::messages::Seen;
use super::population;
use super::world::End;
use super::world::Event;
use super::world::MS;
use super::world::Random;
use super::world::S;
use super::world::World;

/// One network with its sockets.
pub(crate) struct Peer {
    pub(crate) connections: Vec<u64>,
    /// How many sockets it keeps open.
    pub(crate) wanted: usize,
    signs_on: bool,
    signed_on: bool,
    /// DE 11 of its last sign-on.
    sign_on: u32,
    stan: u32,
    /// Between two purchases, about.
    pace: u64,
}

impl Peer {
    pub(crate) fn new(sign_on: SignOn, random: &mut Random) -> Self {
        Self {
            connections: Vec::new(),
            wanted: random.between(1, 4) as usize,
            signs_on: sign_on != SignOn::Us,
            signed_on: false,
            sign_on: 0,
            stan: random.below(900_000) as u32,
            pace: random.between(80 * MS, 400 * MS),
        }
    }
}

impl World {
    // ---- sockets and sessions

    pub(crate) fn peer_connected(&mut self, link: usize, connection: u64) {
        let peer = &mut self.peers[link];
        peer.connections.push(connection);
        // Another process may answer there, while an old socket has not yet told that the last one is gone.
        peer.signed_on = false;
        self.after(0, 500 * MS, Event::SignOn { link });
        if self.peers[link].connections.len() < self.peers[link].wanted {
            self.after(0, S, Event::Connect { link });
        }
    }

    pub(crate) fn peer_lost(&mut self, link: usize, connection: u64) {
        self.peers[link].connections.retain(|other| *other != connection);
        self.after(50 * MS, 3 * S, Event::Connect { link });
    }

    fn name(&mut self, link: usize, mti: u16) -> Named {
        let transmission = format!("{:010}", TransmissionTime::at(self.peers_time()).digits());
        let peer = &mut self.peers[link];
        peer.stan = peer.stan % 999_999 + 1;
        Named { mti, stan: peer.stan, transmission }
    }

    /// A socket of a link that can be written to, whichever.
    fn any_socket(&mut self, link: usize) -> Option<u64> {
        let writable = |connection: &&u64| self.wire.get(connection).is_some_and(|wire| wire.writable);
        let open: Vec<u64> = self.peers[link].connections.iter().filter(writable).copied().collect();
        if open.is_empty() { None } else { Some(open[self.random.below(open.len() as u64) as usize]) }
    }

    pub(crate) fn sign_on(&mut self, link: usize) {
        let peer = &self.peers[link];
        if !peer.signs_on || peer.signed_on || peer.connections.is_empty() {
            return;
        }
        self.manage(link, Management::SignOn);
        self.peers[link].sign_on = self.peers[link].stan;
        self.after(3 * S, 5 * S, Event::SignOn { link });
    }

    /// An echo on this very socket.
    pub(crate) fn say_something(&mut self, link: usize, connection: u64) {
        let named = self.name(link, 800);
        let frame = messages::management(&self.links[link].settings.dialect, &named, Management::Echo);
        self.send(connection, End::Daemon, &frame);
    }

    fn manage(&mut self, link: usize, what: Management) {
        let named = self.name(link, 800);
        let frame = messages::management(&self.links[link].settings.dialect, &named, what);
        if let Some(socket) = self.any_socket(link) {
            self.trace(|| format!("{}: {what:?} {:06}", self.links[link].name, named.stan));
            self.send(socket, End::Daemon, &frame);
        }
    }

    /// An echo now and then, and a sign-off from time to time.
    pub(crate) fn echo(&mut self, link: usize) {
        self.after(3 * S, 20 * S, Event::Echo { link });
        let peer = &mut self.peers[link];
        if !self.calm && peer.signs_on && peer.signed_on && self.random.one_in(8) {
            peer.signed_on = false;
            self.manage(link, Management::SignOff);
            self.after(500 * MS, 3 * S, Event::SignOn { link });
        } else if self.calm && peer.signs_on {
            // A sign-off may have been overtaken by the sign-on after it.
            self.manage(link, Management::SignOn);
        } else {
            self.manage(link, Management::Echo);
        }
    }

    /// Whole frames are taken out of what has come on a socket.
    pub(crate) fn peer_reads(&mut self, connection: u64) {
        loop {
            let Some(wire) = self.wire.get_mut(&connection) else { return };
            let (link, settings) = (wire.link, &self.links[wire.link].settings);
            let Some(frame) = settings.dialect.frame(&wire.input).expect("right framing") else { return };
            let whole: Vec<u8> = wire.input.drain(..frame.total).collect();
            let read =
                messages::read(&settings.dialect, settings.context, &whole[frame.body.start..frame.body.end]);
            match read {
                Read::Answer(seen) if seen.mti == 810 => self.managed(link, &seen),
                Read::Answer(seen) => {
                    // The network itself may lose it on its way back.
                    if self.calm || !self.random.one_in(60) {
                        self.hears(link, &seen);
                    }
                }
                Read::Asks(request, answering) => {
                    let silent = !self.calm && self.random.one_in(12);
                    let refuses =
                        !self.calm && request.what == NetworkManagement::SignOn && self.random.one_in(8);
                    let answer = if refuses { answering.refused } else { answering.accepted };
                    let socket = self.any_socket(link).filter(|_| !silent);
                    if let Some(socket) = socket {
                        self.send(socket, End::Daemon, &answer);
                    }
                }
            }
        }
    }

    fn managed(&mut self, link: usize, seen: &Seen) {
        let peer = &mut self.peers[link];
        if seen.stan == peer.sign_on && seen.code == APPROVED {
            peer.signed_on = true;
        }
    }

    // ---- purchases

    /// A cardholder buys something.
    pub(crate) fn shop(&mut self, link: usize) {
        if self.calm {
            return;
        }
        let pace = self.peers[link].pace;
        self.after(pace / 4, pace * 2, Event::Shop { link });
        let random = &mut self.random;
        let kind = match random.below(20) {
            0..=1 => Kind::Cash,
            2..=3 => Kind::Partial,
            4..=6 => Kind::Sale,
            7 => Kind::Refund,
            8 => Kind::Inquiry,
            _ => Kind::Purchase,
        };
        let wallet = random.between(1, population::WALLETS + 1);
        let most = [3_000, 8_000, 40_000][random.below(3) as usize];
        let amount = random.between(1, most) as i64;
        let currency = population::CURRENCIES[random.below(2) as usize];
        let named = self.name(link, kind.mti());
        let number = self.exchanges.len() as u32 + 1;
        self.awaited.insert((link, kind.mti() + 10, named.stan), (number, Which::Request));
        let card = (wallet, population::pan(wallet));
        self.exchanges.push(Exchange::new(link, card, kind, (number, named), (amount, currency)));
        if self.random.one_in(40) {
            // Its reversal overtakes it.
            self.exchange(number).over = true;
            self.settle_by_reversal(number);
            self.after(0, 2 * S, Event::Send { number, repeat: false });
            self.tale("reversals before their requests");
            return;
        }
        self.at(self.now, Event::Send { number, repeat: false });
        self.after(5 * S, 9 * S, Event::Due { number });
    }

    pub(crate) fn exchange(&mut self, number: u32) -> &mut Exchange {
        &mut self.exchanges[number as usize - 1]
    }

    pub(crate) fn send_request(&mut self, number: u32, repeat: bool) {
        let exchange = self.exchange(number);
        let (link, over) = (exchange.link, exchange.over);
        if over && exchange.sent == 0 && !exchange.is_settled_by_network() {
            // The network has declined it by itself: it never went out.
            return;
        }
        // Who has been told 91 does not ask again; if it does, it cannot know which of the answers is true.
        let unsure = exchange.heard.as_ref().is_some_and(Told::is_refusal);
        let mut message = exchange.request.clone();
        message.named.mti += u16::from(repeat);
        let lost = !self.calm && self.random.one_in(50);
        let Some(socket) = self.any_socket(link) else {
            if !over {
                self.after(200 * MS, S, Event::Send { number, repeat });
            }
            return;
        };
        self.exchange(number).sent += 1;
        if unsure {
            self.settle_by_reversal(number);
        }
        if !lost {
            self.write(socket, link, number, &message);
        }
        let enough = self.exchange(number).sent > 4;
        match self.random.below(if enough { 1 } else { 12 }) {
            // The same frame once more, or a repeat.
            10 => self.after(MS, 4 * S, Event::Send { number, repeat: false }),
            11 => self.after(MS, 6 * S, Event::Send { number, repeat: true }),
            _ => {}
        }
    }

    fn write(&mut self, socket: u64, link: usize, number: u32, message: &messages::Message) {
        let frame = messages::compose(&self.links[link].settings.dialect, message);
        self.trace(|| {
            let Named { mti, stan, .. } = &message.named;
            let (name, amount, currency) = (self.links[link].name, message.amount, message.currency);
            format!("{name}: {mti:04} {stan:06} purchase {number}: {amount} {currency} on socket {socket}")
        });
        self.send(socket, End::Daemon, &frame);
    }

    /// Nothing was heard in time.
    pub(crate) fn due(&mut self, number: u32) {
        let exchange = self.exchange(number);
        if exchange.over {
            return;
        }
        exchange.over = true;
        let (link, kind) = (exchange.link, exchange.kind);
        if exchange.sent == 0 || kind == Kind::Inquiry {
            return;
        }
        self.tale("time-outs");
        // Visa and Mastercard say that a reversal is about our answer alone; others can only approve.
        let tells_legs = link < 2;
        match self.random.below(6) {
            0..=1 if kind != Kind::Refund => {
                self.stand_in(number, true, tells_legs);
            }
            2 if tells_legs && kind != Kind::Refund => self.stand_in(number, false, true),
            _ => self.settle_by_reversal(number),
        }
    }

    fn stand_in(&mut self, number: u32, approves: bool, tells_legs: bool) {
        self.tale("stand-ins");
        if tells_legs {
            self.begin_follow(number, Which::Timeout, true, None);
        }
        self.begin_follow(number, Which::Advice, approves, None);
        if self.random.one_in(5) {
            self.after(10 * S, 30 * S, Event::Cancel { number });
        }
    }

    /// Both legs are undone, once.
    pub(crate) fn settle_by_reversal(&mut self, number: u32) {
        let advice = self.random.one_in(2);
        let exchange = self.exchange(number);
        if exchange.reversal.is_some() || exchange.completion.is_some() || exchange.kind == Kind::Inquiry {
            return;
        }
        self.tale("reversals");
        self.begin_follow(number, Which::Reversal, advice, None);
    }

    fn begin_follow(&mut self, number: u32, which: Which, advice: bool, amount: Option<i64>) {
        let link = self.exchange(number).link;
        let named = self.name(link, 0);
        let exchange = self.exchange(number);
        let mut message = exchange.following(which, advice, named);
        message.amount = amount.unwrap_or(message.amount);
        let key = (link, message.named.mti + 10, message.named.stan);
        *exchange.follow_mut(which) = Some(Follow { message, sent: 0, told: false, heard: false });
        self.awaited.insert(key, (number, which));
        self.after(0, 2 * S, Event::Follow { number, which });
    }

    /// A reversal or an advice goes out, again and again until it is acknowledged.
    pub(crate) fn send_follow(&mut self, number: u32, which: Which) {
        let Some(follow) = self.exchange(number).follow_mut(which).as_mut().filter(|follow| !follow.heard)
        else {
            return;
        };
        let mut message = follow.message.clone();
        let again = follow.sent > 0;
        follow.sent += 1;
        let link = self.exchange(number).link;
        // A repeat says so, as a rule.
        message.named.mti += u16::from(again && !self.random.one_in(4));
        let lost = !self.calm && self.random.one_in(40);
        if let Some(socket) = self.any_socket(link).filter(|_| !lost) {
            self.write(socket, link, number, &message);
        }
        self.after(2 * S, 7 * S, Event::Follow { number, which });
    }

    /// An answer has arrived.
    fn hears(&mut self, link: usize, seen: &Seen) {
        let Some((number, which)) = self.awaited.get(&(link, seen.mti, seen.stan)).copied() else { return };
        if which != Which::Request {
            if let Some(follow) = self.exchange(number).follow_mut(which) {
                follow.heard = true;
            }
            return;
        }
        let told = Told { code: seen.code.clone(), approval: seen.approval.clone(), amount: seen.amount };
        let exchange = self.exchange(number);
        if let Some(heard) = &exchange.heard {
            if *heard != told {
                // Two answers say different things.
                self.settle_by_reversal(number);
            }
            return;
        }
        exchange.heard = Some(told.clone());
        let sent = exchange.sent;
        if exchange.over {
            self.tale("answers after the time-out");
            return;
        }
        exchange.over = true;
        if told.is_refusal() {
            self.tale("answers 91");
            if sent > 1 {
                self.settle_by_reversal(number);
            }
        } else if told.approves() {
            self.tale("approvals");
            self.goes_on(number, &told);
        } else {
            self.tale("declines");
        }
    }

    /// What becomes of an approved purchase.
    fn goes_on(&mut self, number: u32, told: &Told) {
        match self.random.below(8) {
            0 => self.after(100 * MS, 20 * S, Event::Cancel { number }),
            1 => self.complete(number, told.amount),
            _ => {}
        }
    }

    fn complete(&mut self, number: u32, amount: i64) {
        let durable = self.daemon.as_ref().map_or(0, |daemon| daemon.pipeline.durable().0);
        let exchange = self.exchange(number);
        let holds = matches!(exchange.kind, Kind::Purchase | Kind::Partial);
        // A completion of what a crash may still take would name nothing.
        if !holds || amount < 2 || exchange.record == 0 || exchange.record > durable {
            return;
        }
        let amount = self.random.between(1, amount as u64 + 1) as i64;
        self.tale("completions");
        self.begin_follow(number, Which::Completion, true, Some(amount));
    }
}
