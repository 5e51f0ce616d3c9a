//! What answers mean: they are matched by number, judged, and entered in the model's books.

use crate::workload::acquirer::Acquirer;
use crate::workload::acquirer::Codes;
use crate::workload::exchange::AHEAD;
use crate::workload::exchange::DONE;
use crate::workload::exchange::Exchange;
use crate::workload::exchange::GIVEN_UP;
use crate::workload::exchange::Kind;
use crate::workload::exchange::RELEASED;
use crate::workload::exchange::REVERSAL_SENT;
use crate::workload::exchange::SENT;
use crate::workload::exchange::TOOK;
use crate::workload::model::Book;
use crate::workload::model::Example;
use crate::workload::model::Mistake;
use crate::workload::reading::Incoming;
use crate::workload::reading::Reading;

/// What a latency belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(usize)]
pub enum Group {
    /// 01xx and 02xx.
    Authorization,
    /// 0400 and 0401.
    Reversal,
    /// Advices: 0420 and 0421.
    Advice,
    /// 08xx.
    Management,
}

impl Group {
    /// How many there are.
    pub const COUNT: usize = 4;
}

/// What became of a frame that came in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Received {
    /// The answer to a message that was waited for.
    Answer {
        /// What it belongs to.
        group: Group,
        /// Nanoseconds since the message was due.
        since_due: u64,
        /// Nanoseconds since it was sent.
        since_sent: u64,
    },
    /// An answer that nobody waits for, or waits for no longer.
    Stray,
    /// A network management request, to be answered.
    Request,
}

impl Acquirer {
    /// Takes in the body of a frame that came on a connection at `now`, nanoseconds of the run.
    #[inline]
    pub fn receive(&mut self, stream: usize, body: &[u8], now: u64) -> Received {
        let network = self.network_of(stream);
        let Some(reader) = self.reader(network) else { return Received::Stray };
        match reader.read(body) {
            Incoming::Answer(reading) => self.answer(network, &reading, now),
            Incoming::Request => Received::Request,
            Incoming::Unreadable => {
                self.wrong(Mistake::Unreadable, None, *b"  ");
                Received::Stray
            }
        }
    }

    pub(super) fn wrong(&mut self, mistake: Mistake, exchange: Option<&Exchange>, code: [u8; 2]) {
        let (number, kind) = (exchange.map(|e| e.number), exchange.map(|e| e.kind));
        self.model.mistake(Example { mistake, number, kind, code, cleared: None });
    }

    fn answer(&mut self, network: usize, reading: &Reading, now: u64) -> Received {
        let codes = self.networks[network].codes;
        let found = reading.number.and_then(|number| self.exchanges.get_mut(number));
        let Some(exchange) = found.filter(|exchange| exchange.has(SENT | AHEAD)) else {
            self.wrong(Mistake::ToNothing, None, reading.code);
            return Received::Stray;
        };
        if !matches!(exchange.kind, Kind::SignOn | Kind::SignOff) {
            self.codes_seen[code_place(reading.code)] += 1;
        }
        if exchange.kind.repeats() {
            // A repeat goes under the number of its first.
            let copy = *exchange;
            self.wrong(Mistake::ToNothing, Some(&copy), reading.code);
            return Received::Stray;
        }
        if reading.mti != answer_mti(exchange.kind) && !self.echo {
            let copy = *exchange;
            self.wrong(Mistake::Unreadable, Some(&copy), reading.code);
        }
        let Some(exchange) = reading.number.and_then(|number| self.exchanges.get_mut(number)) else {
            return Received::Stray;
        };
        let first = exchange.answers == 0;
        exchange.answers = exchange.answers.saturating_add(1);
        let copy = *exchange;
        if first {
            if !copy.has(AHEAD) {
                exchange.flags |= DONE;
            }
            exchange.keep(reading);
            if !self.echo {
                self.judge(&copy, reading, &codes);
            }
            self.late_answers += u64::from(copy.has(GIVEN_UP));
            if copy.kind.is_of_life() {
                self.go_on(&copy);
            }
            return if copy.has(AHEAD) { self.repeated(&copy, now) } else { timed(&copy, now) };
        }
        if copy.answers > copy.expected {
            self.wrong(Mistake::Second, Some(&copy), reading.code);
            return Received::Stray;
        }
        if !self.echo {
            self.again(&copy, reading, &codes);
        }
        if copy.kind.is_of_life() {
            self.go_on(&copy);
        }
        self.repeated(&copy, now)
    }

    /// An answer came that is its repeat's, which has an exchange of its own; or its own, where that one came first.
    fn repeated(&mut self, copy: &Exchange, now: u64) -> Received {
        let again = self.exchanges.get_mut(copy.again).filter(|again| !again.has(DONE));
        let timed_as = match again {
            Some(again) => {
                again.flags |= DONE;
                Exchange { kind: copy.kind, ..*again }
            }
            None => match self.exchanges.get_mut(copy.number).filter(|first| !first.has(DONE)) {
                Some(first) => {
                    first.flags |= DONE;
                    *copy
                }
                None => return Received::Stray,
            },
        };
        timed(&timed_as, now)
    }

    /// The answer to a repeat: the same as the first, unless the first was a refusal that changed nothing.
    fn again(&mut self, copy: &Exchange, reading: &Reading, codes: &Codes) {
        if codes.refusals.contains(&reading.code) {
            return;
        }
        if codes.refusals.contains(&copy.code) {
            let transmission =
                self.exchanges.get(copy.again).map_or(copy.transmission, |again| again.transmission);
            if let Some(exchange) = self.exchanges.get_mut(copy.number) {
                exchange.keep(reading);
                // What was decided is the repeat, so that a reversal names its DE 7.
                exchange.transmission = transmission;
            }
            self.judge(copy, reading, codes);
        } else if !copy.is_said_again(reading) {
            self.wrong(Mistake::RepeatDiffers, Some(copy), reading.code);
        }
    }

    /// Judges the first answer to a message and enters what it did.
    fn judge(&mut self, exchange: &Exchange, reading: &Reading, codes: &Codes) {
        let code = reading.code;
        if exchange.kind.is_of_life() {
            return self.judge_life(exchange, reading, codes);
        }
        if exchange.kind.takes() {
            return self.judge_request_for_money(exchange, reading, codes);
        }
        if exchange.kind.undoes() {
            if code != codes.approved {
                return self.wrong(Mistake::NotAcknowledged, Some(exchange), code);
            }
            return self.release(exchange.other);
        }
        let expected = match exchange.kind {
            Kind::UnknownCard => codes.unknown,
            Kind::Verification => codes.verified,
            Kind::BlockedCard => self.refusal_of(exchange),
            _ => codes.approved,
        };
        let management = answer_mti(exchange.kind) == 810;
        if code != expected && (management || !codes.refusals.contains(&code)) {
            let mistake = if management { Mistake::NotAcknowledged } else { Mistake::UnexpectedCode };
            self.wrong(mistake, Some(exchange), code);
        }
    }

    fn refusal_of(&self, exchange: &Exchange) -> [u8; 2] {
        let network = self.network_of(usize::from(exchange.stream));
        let dialect = self.networks[network].reader.dialect();
        let card = self.population.blocked.get(exchange.card as usize);
        card.map_or(*b"  ", |card| dialect.response_code(card.expected))
    }

    fn judge_request_for_money(&mut self, exchange: &Exchange, reading: &Reading, codes: &Codes) {
        let code = reading.code;
        let partially = code == codes.partially;
        if code != codes.approved && !partially {
            let refused = codes.refusals.contains(&code);
            // A request that was refused leaves nothing: its reversal then comes before what is decided, the repeat.
            let reversed_first =
                exchange.kind == Kind::Late || exchange.answers > 1 && exchange.has(REVERSAL_SENT);
            let right = code == codes.insufficient || reversed_first && code == codes.late;
            if !right && !refused {
                self.wrong(Mistake::UnexpectedCode, Some(exchange), code);
            }
            return;
        }
        if exchange.kind == Kind::Late && exchange.has(RELEASED) && self.was_sent_once(exchange.other) {
            self.wrong(Mistake::ApprovedAfterReversal, Some(exchange), code);
        }
        if partially && exchange.kind != Kind::Partial {
            self.wrong(Mistake::UnexpectedCode, Some(exchange), code);
        }
        let whole = u64::from(exchange.amount);
        if partially && reading.amount > whole {
            self.wrong(Mistake::PartAboveWhole, Some(exchange), code);
        }
        let taken = if partially { reading.amount.min(whole) } else { whole } as u32;
        let (reversed, released) = (exchange.has(REVERSAL_SENT), exchange.has(RELEASED));
        if let Some(exchange) = self.exchanges.get_mut(exchange.number) {
            exchange.flags |= TOOK;
            exchange.taken = taken;
        }
        let Some(account) = self.population.accounts.get(exchange.account as usize) else { return };
        let within = self.model.take(exchange.account, account, (exchange.kind, taken), (reversed, released));
        if !within {
            self.wrong(Mistake::AboveAvailable, Some(exchange), code);
        }
    }

    fn release(&mut self, original: u32) {
        let Some(original) = self.exchanges.get_mut(original).filter(|original| !original.has(RELEASED))
        else {
            return;
        };
        original.flags |= RELEASED;
        let original = *original;
        if original.kind.is_of_life() {
            return self.release_of_life(&original);
        }
        if original.has(TOOK) {
            self.model.give_back(original.account, original.kind, original.taken);
            if original.kind == Kind::Late && self.was_sent_once(original.other) {
                self.wrong(Mistake::ApprovedAfterReversal, Some(&original), original.code);
            }
        }
    }

    /// Whether a reversal that is acknowledged was taken when it was sent first. One that was passed over (R2) leaves
    /// no trace, so that its original, coming after it, may be approved until the reversal is sent again.
    fn was_sent_once(&self, reversal: u32) -> bool {
        self.exchanges.get(reversal).is_some_and(|reversal| reversal.expected == 1)
    }

    /// Requests for money of which nobody knows what was decided: those without an answer, and those that were refused
    /// and have a repeat without an answer, since a repeat of what was refused is decided anew.
    pub(super) fn undecided(&self) -> impl Iterator<Item = &Exchange> {
        let asked = |open: &Exchange| match open.kind {
            Kind::Repeat => self.exchanges.get(open.other).filter(|first| self.was_refused(first)),
            _ => self.exchanges.get(open.number),
        };
        let asked = self.exchanges.unanswered().filter_map(asked);
        asked.filter(|exchange| exchange.kind.takes())
    }

    /// Whether all that was answered to a request is that nothing was decided.
    fn was_refused(&self, exchange: &Exchange) -> bool {
        let codes = &self.networks[self.network_of(usize::from(exchange.stream))].codes;
        exchange.has(DONE) && !exchange.has(TOOK) && codes.refusals.contains(&exchange.code)
    }

    /// How many answers had each DE 39, those that came only.
    pub fn codes_seen(&self) -> impl Iterator<Item = ([u8; 2], u64)> {
        let seen = self.codes_seen.iter().enumerate().filter(|(_, count)| **count > 0);
        seen.map(|(place, count)| (code_at(place), *count))
    }

    /// How many answers had one of the DE 39 that say "not now" (91) or "out of order" (96).
    #[must_use]
    pub fn refusals_seen(&self) -> u64 {
        let mut places: Vec<usize> =
            self.networks.iter().flat_map(|network| network.codes.refusals.map(code_place)).collect();
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| self.codes_seen[place]).sum()
    }

    /// What may have been taken from each account while some exchanges have no answer: approvals whose reversal was
    /// never sent at the least, and those and all that is open at the most.
    #[must_use]
    pub fn taken_between(&self) -> Vec<Between> {
        let of_answers = |book: &Book| Between {
            held: (book.firm - book.firm_posted, book.held),
            posted: (book.firm_posted, -book.posted),
        };
        let mut between: Vec<Between> = self.model.books().iter().map(of_answers).collect();
        for (account, life) in between.iter_mut().zip(self.model.lives()) {
            account.held = (account.held.0 + life.held, account.held.1 + life.held);
            account.posted = (account.posted.0 - life.posted, account.posted.1 - life.posted);
        }
        self.widen_by_lives(&mut between);
        for exchange in self.undecided().filter(|exchange| !exchange.has(RELEASED)) {
            if let Some(account) = between.get_mut(exchange.account as usize) {
                let range = if exchange.kind == Kind::Sale { &mut account.posted } else { &mut account.held };
                range.1 += i64::from(exchange.amount);
            }
        }
        between
    }
}

/// What may have been taken from an account, at the least and at the most, minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Between {
    /// Held by 01xx.
    pub held: (i64, i64),
    /// Posted by 02xx.
    pub posted: (i64, i64),
}

fn timed(exchange: &Exchange, now: u64) -> Received {
    let group = match answer_mti(exchange.kind) {
        110 | 210 => Group::Authorization,
        410 => Group::Reversal,
        810 => Group::Management,
        _ => Group::Advice,
    };
    if exchange.has(GIVEN_UP) {
        return Received::Stray;
    }
    let (since_due, since_sent) = (now.saturating_sub(exchange.due), now.saturating_sub(exchange.sent));
    Received::Answer { group, since_due, since_sent }
}

/// The MTI of the answer to a first message of this kind.
const fn answer_mti(kind: Kind) -> u16 {
    match kind {
        Kind::Sale | Kind::LifeSale => 210,
        Kind::Reversal | Kind::LifeReversal => 410,
        Kind::ReversalAdvice | Kind::EarlyReversal | Kind::LifeReversalAdvice => 430,
        Kind::LifeAdvice => 130,
        Kind::LifeCompletion => 230,
        Kind::Echo | Kind::SignOn | Kind::SignOff => 810,
        _ => 110,
    }
}

/// A place for every DE 39 of two letters or digits; the last for all others.
fn code_place(code: [u8; 2]) -> usize {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(usize::from(byte - b'0')),
        b'A'..=b'Z' => Some(usize::from(byte - b'A') + 10),
        _ => None,
    };
    match (digit(code[0]), digit(code[1])) {
        (Some(high), Some(low)) => high * 36 + low,
        _ => 36 * 36,
    }
}

fn code_at(place: usize) -> [u8; 2] {
    const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    if place >= 36 * 36 { *b"??" } else { [DIGITS[place / 36], DIGITS[place % 36]] }
}
