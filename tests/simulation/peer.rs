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
        let kind = match random.below(30) {
            0..=1 => Kind::Cash,
            2..=3 => Kind::Partial,
            4..=6 => Kind::Sale,
            7 => Kind::Refund,
            8 => Kind::Inquiry,
            // Only these networks give ids by which something can be added.
            9..=13 if link < 2 => Kind::Estimate,
            14..=15 => Kind::Fuel,
            16..=17 => Kind::Credit,
            18..=20 => Kind::Short,
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
        let stands_in = matches!(kind, Kind::Purchase | Kind::Cash | Kind::Partial | Kind::Sale);
        match self.random.below(6) {
            0..=1 if stands_in => {
                self.stand_in(number, true, tells_legs);
            }
            2 if tells_legs && stands_in => self.stand_in(number, false, true),
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
        if exchange.reversal.is_some() || exchange.is_presented() || exchange.kind == Kind::Inquiry {
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
        if which != Which::Clearing {
            self.awaited.insert(key, (number, which));
        }
        self.after(0, 2 * S, Event::Follow { number, which });
    }

    /// A reversal or an advice goes out, again and again until it is acknowledged.
    pub(crate) fn send_follow(&mut self, number: u32, which: Which) {
        if which == Which::Clearing {
            return self.present(number);
        }
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
        let kind = self.exchange(number).kind;
        match (kind, self.random.below(8)) {
            (Kind::Estimate, chance) => {
                for _ in 0..chance % 4 {
                    self.after(100 * MS, 4 * S, Event::Add { number });
                }
                self.after(5 * S, 20 * S, Event::End { number });
            }
            (Kind::Fuel, 0..=4) => self.end_at_pump(number, told.amount),
            (Kind::Short, 0..=2) | (Kind::Credit, 0..=3) => {
                self.after(100 * MS, 40 * S, Event::Complete { number });
            }
            (_, 0) => self.after(100 * MS, 20 * S, Event::Cancel { number }),
            (_, 1) => self.complete(number, told.amount),
            (_, 3) => self.clear(number, told.amount),
            (_, 2) => self.cut_back(number, told.amount),
            _ => {}
        }
    }

    /// Whether an approval is on disk, so that what follows it is about something.
    fn is_durable(&mut self, number: u32) -> bool {
        let durable = self.daemon.as_ref().map_or(0, |daemon| daemon.pipeline.durable().0);
        let exchange = self.exchange(number);
        exchange.heard.as_ref().is_some_and(Told::approves)
            && exchange.record != 0
            && exchange.record <= durable
            && exchange.reversal.is_none()
    }

    /// A part of a hold, or of what was posted, is given back; sometimes the merchant then completes or undoes it all.
    fn cut_back(&mut self, number: u32, amount: i64) {
        let fit =
            matches!(self.exchange(number).kind, Kind::Purchase | Kind::Cash | Kind::Partial | Kind::Sale);
        if !fit || amount < 4 || !self.is_durable(number) || self.exchange(number).is_presented() {
            return;
        }
        let keeps = self.random.between(1, amount as u64 + amount as u64 / 4) as i64;
        self.tale("partial reversals");
        self.begin_follow(number, Which::Cut, true, None);
        if let Some(cut) = &mut self.exchange(number).cut {
            (cut.message.keeps, cut.message.amount) = (Some(keeps), amount);
        }
        match self.random.below(4) {
            0 => self.after(0, 10 * S, Event::Cancel { number }),
            1 => self.complete(number, amount),
            _ => {}
        }
    }

    /// The pump tells how much it was, and the merchant perhaps that he is paid.
    fn end_at_pump(&mut self, number: u32, amount: i64) {
        if amount < 4 || !self.is_durable(number) {
            return;
        }
        let end = self.random.between(1, amount as u64 + amount as u64 / 4) as i64;
        self.tale("ends at a pump");
        self.begin_follow(number, Which::PumpEnd, true, Some(end));
        if self.random.one_in(4) {
            self.after(0, 10 * S, Event::Cancel { number });
        }
    }

    /// Something is added to an estimate, by a request of its own.
    pub(crate) fn add(&mut self, number: u32) {
        let parent = self.exchange(number);
        let (link, card, currency) =
            (parent.link, (parent.wallet, parent.request.pan), parent.request.currency);
        // Who was told two things may yet undo it, with what was added before.
        let ended = parent.is_presented() || parent.refused;
        if self.calm || ended || !self.is_durable(number) {
            return;
        }
        let of_group: Vec<u32> = self.exchange(number).increments.iter().copied().chain([number]).collect();
        let mut amounts: Vec<i64> = of_group.iter().map(|of| self.exchange(*of).request.amount).collect();
        let amount = self.random.between(1, 4_000) as i64;
        amounts.push(amount);
        if is_sum_of_others(&amounts) {
            return;
        }
        let named = self.name(link, 100);
        let added = self.exchanges.len() as u32 + 1;
        self.awaited.insert((link, 110, named.stan), (added, Which::Request));
        let mut exchange = Exchange::new(link, card, Kind::Increment, (added, named), (amount, currency));
        exchange.request.root = number;
        self.exchanges.push(exchange);
        self.exchange(number).increments.push(added);
        self.tale("increments");
        self.at(self.now, Event::Send { number: added, repeat: false });
        self.after(5 * S, 9 * S, Event::Due { number: added });
    }

    /// Once all that was added is settled, the whole is completed or undone; or nothing more comes of it.
    pub(crate) fn end_estimate(&mut self, number: u32) {
        let durable = self.daemon.as_ref().map_or(0, |daemon| daemon.pipeline.durable().0);
        if !self.is_durable(number) {
            return;
        }
        let increments = self.exchange(number).increments.clone();
        let settled = |exchange: &Exchange| {
            let stands = exchange.told.as_ref().is_some_and(Told::approves);
            exchange.is_settled() && (!stands || exchange.record <= durable)
        };
        if !increments.iter().all(|increment| settled(self.exchange(*increment))) {
            self.after(500 * MS, 2 * S, Event::End { number });
            return;
        }
        match self.random.below(3) {
            0 => self.settle_by_reversal(number),
            1 => {
                let amount = self.random.between(1, 10_000) as i64;
                self.tale("completions of estimates");
                self.begin_follow(number, Which::Completion, true, Some(amount));
            }
            _ => return,
        }
        for increment in increments {
            self.exchange(increment).ended = true;
        }
    }

    /// A completion, or a clearing record, that comes some time later.
    pub(crate) fn complete_all(&mut self, number: u32) {
        let amount = self.exchange(number).request.amount;
        if self.calm || !self.is_durable(number) || self.exchange(number).is_presented() {
            return;
        }
        if self.random.one_in(3) {
            self.tale("late clearing records");
            self.begin_follow(number, Which::Clearing, true, Some(amount));
        } else {
            self.tale("late completions");
            self.begin_follow(number, Which::Completion, true, Some(amount));
        }
    }

    /// The merchant's bank presents it, for less or for more.
    fn clear(&mut self, number: u32, amount: i64) {
        if self.is_fit_to_post(number, amount) {
            let amount = self.random.between(1, amount as u64 * 5 / 4 + 1) as i64;
            self.tale("clearing records");
            self.begin_follow(number, Which::Clearing, true, Some(amount));
        }
    }

    /// Whether it holds what a completion or a clearing record can be about. What a crash may still take would be
    /// nothing that they name.
    fn is_fit_to_post(&mut self, number: u32, amount: i64) -> bool {
        let durable = self.daemon.as_ref().map_or(0, |daemon| daemon.pipeline.durable().0);
        let exchange = self.exchange(number);
        let holds = matches!(exchange.kind, Kind::Purchase | Kind::Partial);
        holds && amount >= 2 && exchange.record != 0 && exchange.record <= durable
    }

    fn complete(&mut self, number: u32, amount: i64) {
        if !self.is_fit_to_post(number, amount) {
            return;
        }
        let amount = self.random.between(1, amount as u64 * 5 / 4 + 1) as i64;
        self.tale("completions");
        self.begin_follow(number, Which::Completion, true, Some(amount));
        // Some networks clear what they have completed too.
        if self.random.one_in(3) {
            self.tale("clearing records of completions");
            self.begin_follow(number, Which::Clearing, true, Some(amount));
        }
    }
}

/// Whether one of them is the sum of some of the others: a reversal may go by the amount of one of a purchase's
/// messages, or by that of all which are open.
fn is_sum_of_others(amounts: &[i64]) -> bool {
    (1_u64..1 << amounts.len().min(16)).any(|some| {
        let (of, others): (Vec<_>, Vec<_>) = (0..).zip(amounts).partition(|(at, _)| some >> at & 1 == 1);
        let sum: i64 = of.iter().map(|(_, amount)| **amount).sum();
        others.iter().any(|(_, amount)| **amount == sum)
    })
}
