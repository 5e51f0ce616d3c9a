//! A card network with a life of its own: it asks, waits, and settles by itself what it was not told in time.
//!
//! It knows messages and answers only, and in the end a book: what was approved and not given back is held (01xx) or
//! posted (02xx); what it reversed leaves nothing; what it decided by itself and told by an advice stands in place of
//! any answer. A reversal or an advice goes again until it is acknowledged, so that whoever is behind it has the same
//! book once [`Network::open`] is zero. Everything that it does is drawn from a seed and the purchase's place, whatever
//! comes in between. It knows no clock and no socket: times are arguments, milliseconds of the run.

use core::fmt;
use std::collections::BTreeMap;
use std::collections::BTreeSet;

use xxhash_rust::xxh3::xxh3_64;

use crate::dialect::Dialect;
use crate::dialect::inbound::Response;
use crate::domain::action::ActionCode;
use crate::domain::card::Pan;
use crate::domain::card::PanError;
use crate::domain::money::Currency;
use crate::domain::request::MessageClass;
use crate::domain::time::Timestamp;
use crate::iso8583::value::Value;
use crate::workload::chance::Chance;
use crate::workload::identity;
use crate::workload::identity::Run;
use crate::workload::party::Fate;
use crate::workload::party::Faults;
use crate::workload::party::Taken;
use crate::workload::party::noise;
use crate::workload::population::GOOD_UNTIL;
use crate::workload::population::Iin;
use crate::workload::template::Fill;
use crate::workload::template::TemplateError;
use crate::workload::template::Templates;

mod purchase;
#[cfg(test)]
mod tests;

use self::purchase::Message;
use self::purchase::NUMBERS;
use self::purchase::OnTimeout;
use self::purchase::Plan;
use self::purchase::Purchase;
use self::purchase::Told;
use self::purchase::Which;

/// A reversal or an advice goes again after the time-out, then after twice that and so on, so often doubled.
const DOUBLED_MAX: u16 = 3;
/// How soon something is tried again while nobody can be reached.
const UNREACHED_MS: u64 = 200;
/// What was due longer ago than this, while nothing could be sent, was bought elsewhere.
const BEHIND_US: u64 = 1_000_000;
/// Purchases begin before this place.
const FIRST_MAX: u32 = 200_000;
/// DE 3 of cash.
const CASH: u32 = 10_000;

/// What a network is like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Everything is drawn from it.
    pub seed: u64,
    /// Purchases a second, one at least.
    pub rate: u64,
    /// How its cards begin, and how many there are.
    pub iin: Iin,
    /// One at least.
    pub cards: u32,
    /// One at least.
    pub currencies: Vec<Currency>,
    /// The least and the most of a purchase, minor units.
    pub amounts: (u32, u32),
    /// How long an answer is waited for.
    pub timeout_ms: u64,
    /// What goes wrong with its messages.
    pub faults: Faults,
}

/// Why there is no such network.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NetworkError {
    /// The dialect cannot carry its messages.
    #[error("{0}")]
    Template(#[from] TemplateError),
    /// There are not so many cards.
    #[error("{0}")]
    Card(#[from] PanError),
}

/// A message on its way out. It has a card's number in clear, and so it cannot print.
pub struct Leaving {
    /// The whole frame; of [`Fate::Garbled`], what is sent in its place.
    pub frame: Vec<u8>,
    /// What becomes of it.
    pub fate: Fate,
    /// How long it takes to leave.
    pub delay_ms: u32,
    /// Chance by which its socket is chosen.
    pub pick: u32,
}

impl fmt::Debug for Leaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {:?} after {} ms", self.frame.len(), self.fate, self.delay_ms)
    }
}

/// What is to happen to a purchase.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Event {
    Send(Which),
    TimedOut,
    Cancelled,
}

/// A network, its purchases, and what it knows of them.
#[derive(Clone, Debug)]
pub struct Network {
    settings: Settings,
    dialect: Dialect,
    templates: Templates,
    run: Run,
    cards: Vec<Pan>,
    purchases: Vec<Purchase>,
    /// The number of the first of them, in steps of [`NUMBERS`]: no two networks begin with the same trace numbers.
    first: u32,
    schedule: BTreeSet<(u64, u32, Event)>,
    /// When the next purchase is due, microseconds; `None` while nothing new is bought.
    next_us: Option<u64>,
    /// DE 7 of what is made now, and the second that it is of.
    transmission: (u32, u64),
    open: u64,
    /// Messages that left, by MTI, and answers by MTI and DE 39.
    sent: BTreeMap<u16, u64>,
    answers: BTreeMap<(u16, [u8; 2]), u64>,
    happened: BTreeMap<&'static str, u64>,
}

impl Network {
    /// A network that does nothing yet.
    ///
    /// # Errors
    /// The dialect cannot carry its messages.
    pub fn new(settings: Settings, dialect: &Dialect, run: Run) -> Result<Self, NetworkError> {
        let cards: Result<Vec<Pan>, PanError> =
            (1..=settings.cards.max(1)).map(|n| settings.iin.card(n, settings.seed)).collect();
        Ok(Self {
            templates: Templates::compose(dialect, run)?,
            dialect: dialect.clone(),
            run,
            cards: cards?,
            purchases: Vec::new(),
            first: Chance::new(settings.seed).below(FIRST_MAX),
            schedule: BTreeSet::new(),
            next_us: None,
            transmission: (0, 0),
            open: 0,
            sent: BTreeMap::new(),
            answers: BTreeMap::new(),
            happened: BTreeMap::new(),
            settings,
        })
    }

    /// From now on there are purchases.
    pub const fn begin(&mut self, now_ms: u64) {
        self.next_us = Some(now_ms * 1_000);
    }

    /// From now on nothing new is bought or given back; what is open is settled.
    pub const fn end(&mut self) {
        self.next_us = None;
    }

    /// Messages that wait for their answer. At zero everything is settled.
    #[must_use]
    pub const fn open(&self) -> u64 {
        self.open
    }

    /// How many purchases there were.
    #[must_use]
    pub const fn purchases(&self) -> usize {
        self.purchases.len()
    }

    /// When something is to be done next; `None` when nothing is.
    #[must_use]
    pub fn due_ms(&self) -> Option<u64> {
        let next = self.schedule.first().map(|(at, _, _)| *at);
        [next, self.next_us.map(|us| us / 1_000)].into_iter().flatten().min()
    }

    /// Does what is due, and appends what is to be sent. `reached`: there is somebody to send it to.
    pub fn tick(&mut self, now_ms: u64, wall: Timestamp, reached: bool, out: &mut Vec<Leaving>) {
        if self.transmission.0 == 0 || self.transmission.1 != wall.seconds() {
            self.transmission = (self.templates.set_time(wall), wall.seconds());
        }
        let now_us = now_ms * 1_000;
        while let Some(due_us) = self.next_us.filter(|due_us| *due_us <= now_us) {
            let due_us = due_us.max(now_us.saturating_sub(BEHIND_US));
            self.next_us = Some(due_us + 1_000_000 / self.settings.rate.clamp(1, 1_000_000));
            self.buy(now_ms, reached);
        }
        while let Some((at, place, event)) = self.schedule.first().copied().filter(|(at, ..)| *at <= now_ms) {
            self.schedule.remove(&(at, place, event));
            match event {
                Event::Send(which) => self.send(place, which, now_ms, reached, out),
                Event::TimedOut => self.timed_out(place, now_ms),
                Event::Cancelled => self.cancelled(place, now_ms),
            }
        }
    }

    fn plan(&self, place: u32) -> Plan {
        let Settings { seed, currencies, amounts, .. } = &self.settings;
        let count = currencies.len() as u32;
        Plan::draw(*seed, place, self.cards.len() as u32, count, (amounts.0.max(1), amounts.1.max(amounts.0)))
    }

    /// What names a message.
    const fn number(&self, place: u32, which: Which) -> u32 {
        (self.first + place) * NUMBERS + which as u32
    }

    fn count(&mut self, what: &'static str) {
        *self.happened.entry(what).or_default() += 1;
    }

    /// An issuer has told it of a card that may not be used any more.
    pub fn is_told_of_card(&mut self) {
        self.count("cards told to be lost, stolen or closed");
    }

    fn purchase(&mut self, place: u32) -> &mut Purchase {
        &mut self.purchases[place as usize]
    }

    /// A cardholder buys something.
    fn buy(&mut self, now_ms: u64, reached: bool) {
        let place = self.purchases.len() as u32;
        // What names its messages would be used up.
        if place >= identity::NUMBER_MAX / NUMBERS - FIRST_MAX {
            return self.end();
        }
        let plan = self.plan(place);
        self.purchases.push(Purchase::default());
        self.count("purchases");
        match (plan.alone, plan.on_timeout(u8::MAX)) {
            (Some(approves), _) => self.decide(place, approves, now_ms),
            (None, _) if reached => self.begin_message(place, Which::Request, now_ms),
            // Nobody can be asked.
            (None, OnTimeout::StandIn(approves)) => self.decide(place, approves, now_ms),
            (None, _) => self.count("declined without asking"),
        }
    }

    /// The network decides by itself, and tells.
    fn decide(&mut self, place: u32, approves: bool, now_ms: u64) {
        self.count(if approves { "stood in, approved" } else { "stood in, declined" });
        self.purchase(place).approves = approves;
        self.begin_message(place, Which::Advice, now_ms);
    }

    fn reverse(&mut self, place: u32, now_ms: u64) {
        if !self.purchase(place).reversal.is_begun() {
            self.count("reversed");
            self.begin_message(place, Which::Reversal, now_ms);
        }
    }

    fn begin_message(&mut self, place: u32, which: Which, now_ms: u64) {
        let transmission = self.transmission.0;
        *self.purchase(place).message_mut(which) = Message { transmission, sent: 0, over: false };
        self.open += 1;
        self.schedule.insert((now_ms, place, Event::Send(which)));
    }

    fn end_message(&mut self, place: u32, which: Which) {
        let message = self.purchase(place).message_mut(which);
        let was_over = core::mem::replace(&mut message.over, true);
        self.open -= u64::from(!was_over);
    }

    fn send(&mut self, place: u32, which: Which, now_ms: u64, reached: bool, out: &mut Vec<Leaving>) {
        let message = *self.purchase(place).message(which);
        if message.over {
            return;
        }
        if !reached {
            self.schedule.insert((now_ms + UNREACHED_MS, place, Event::Send(which)));
            return;
        }
        let name = u64::from(self.number(place, which)).to_le_bytes();
        let (fate, delay_ms) = self.settings.faults.of(&name, message.sent.into());
        let mut frame = Vec::with_capacity(300);
        let mti = self.write(place, which, message.sent > 0, &mut frame);
        *self.sent.entry(mti).or_default() += 1;
        if let Fate::Garbled(bits) = fate {
            frame = self.garbage(bits);
        }
        // What may have left twice may be answered twice.
        let sent = message.sent.saturating_add(1 + u16::from(fate == Fate::Twice));
        self.purchase(place).message_mut(which).sent = sent;
        let (event, wait) = match which {
            Which::Request => (Event::TimedOut, 0),
            Which::Advice | Which::Reversal => (Event::Send(which), (sent - 1).min(DOUBLED_MAX)),
        };
        let again_ms = now_ms + (self.settings.timeout_ms.max(1) << wait);
        self.schedule.insert((again_ms, place, event));
        let pick = xxh3_64(&[name, u64::from(sent).to_le_bytes()].concat()) as u32;
        out.push(Leaving { frame, fate, delay_ms, pick });
    }

    /// Appends the frame of a message, and returns its MTI.
    fn write(&self, place: u32, which: Which, repeat: bool, out: &mut Vec<u8>) -> u16 {
        let (plan, purchase) = (self.plan(place), &self.purchases[place as usize]);
        let number = |which: Which| self.number(place, which);
        // What began the purchase: DE 90 names it.
        let first = if purchase.request.is_begun() { Which::Request } else { Which::Advice };
        let began = purchase.message(first).transmission;
        let form = plan.form(which, purchase);
        let mti = plan.class as u16 * 100 + if first == Which::Advice { 20 } else { 0 };
        let fill = Fill {
            number: number(which),
            reference: number(Which::Request),
            original: number(Which::Request),
            named: number(first),
            pan: self.cards.get(plan.card as usize).map_or(0, |pan| pan.value()),
            expiry: GOOD_UNTIL,
            category: identity::category(number(Which::Request)),
            amount: plan.amount,
            other_amount: 0,
            currency: self.currency(&plan).numeric(),
            processing_code: if plan.cash { CASH } else { 0 },
            original_data: (mti, began),
            root_transmission: began,
            approval: purchase.approval(),
            transmission: purchase.message(which).transmission,
            repeat,
        };
        self.templates.write(form, &fill, out);
        form.mti() + u16::from(repeat)
    }

    fn currency(&self, plan: &Plan) -> Currency {
        self.settings.currencies.get(plan.currency as usize).copied().unwrap_or_default()
    }

    /// What is no message of this network: an answer to nothing, or bytes without framing.
    fn garbage(&self, bits: u32) -> Vec<u8> {
        let stan = format!("{:06}", bits % 1_000_000);
        let values = [(11, stan.as_str()), (37, "GARBAGE00000"), (39, "00"), (41, "GARBAGE0")];
        let values = values.map(|(field, text)| (field, Value::Text(text)));
        let mut frame = Vec::new();
        if Fate::is_noise(bits) || self.dialect.compose(110, &values, &mut frame).is_err() {
            return noise(bits);
        }
        frame
    }

    /// No answer came in time.
    fn timed_out(&mut self, place: u32, now_ms: u64) {
        let plan = self.plan(place);
        let purchase = self.purchase(place);
        if purchase.request.over {
            return;
        }
        let times = purchase.timeouts;
        purchase.timeouts += 1;
        self.count("time-outs");
        match plan.on_timeout(times) {
            OnTimeout::Repeat => {
                self.schedule.insert((now_ms, place, Event::Send(Which::Request)));
                return;
            }
            OnTimeout::Reverse => self.reverse(place, now_ms),
            OnTimeout::StandIn(approves) => self.decide(place, approves, now_ms),
        }
        self.end_message(place, Which::Request);
    }

    /// The cardholder gives back what was bought.
    fn cancelled(&mut self, place: u32, now_ms: u64) {
        if self.next_us.is_none() || self.purchase(place).reversal.is_begun() {
            return;
        }
        self.count("given back by cardholders");
        self.begin_message(place, Which::Reversal, now_ms);
    }

    fn may_be_cancelled(&mut self, place: u32, now_ms: u64) {
        if let Some(after) = self.plan(place).cancelled_after {
            self.schedule.insert((now_ms + after, place, Event::Cancelled));
        }
    }

    /// Takes an answer in. One that answers nothing that was sent is counted, and changes nothing.
    pub fn hears(&mut self, response: &Response, now_ms: u64) {
        *self.answers.entry((response.mti, response.response_code)).or_default() += 1;
        let Some((place, which)) = self.answered_by(response) else {
            return self.count("answers to nothing");
        };
        if which == Which::Request {
            return self.hears_decision(place, response, now_ms);
        }
        let approves = self.dialect.is_approval(response.response_code);
        let purchase = self.purchase(place);
        if purchase.message(which).over {
            self.count("acknowledgements that came again");
        } else if approves {
            self.end_message(place, which);
            if which == Which::Advice && self.purchase(place).approves {
                self.may_be_cancelled(place, now_ms);
            }
        } else {
            self.count("refused to acknowledge");
        }
    }

    /// Which message an answer is to: it echoes DE 37, DE 11 and DE 7.
    fn answered_by(&self, response: &Response) -> Option<(u32, Which)> {
        let place = (self.run.number_in(response.rrn.0)? / NUMBERS).checked_sub(self.first)?;
        let purchase = self.purchases.get(place as usize)?;
        let plan = self.plan(place);
        let is_it = |which: &Which| {
            let message = purchase.message(*which);
            let same_time = response.transmission.is_none_or(|time| time.digits() == message.transmission);
            message.sent > 0
                && same_time
                && response.stan.0 == identity::stan(self.number(place, *which))
                && response.mti == plan.form(*which, purchase).mti() + 10
        };
        let which = Which::ALL.into_iter().find(is_it)?;
        // More than was asked for is somebody else's.
        let fits = response.amount.money().is_none_or(|amount| amount.minor <= i64::from(plan.amount));
        fits.then_some((place, which))
    }

    fn hears_decision(&mut self, place: u32, response: &Response, now_ms: u64) {
        let code = response.response_code;
        let whole = i64::from(self.plan(place).amount);
        let action = self.dialect.action_of(code);
        let in_part = action == Some(ActionCode::ApprovedPartially);
        let amount = match response.amount.money() {
            _ if !self.dialect.is_approval(code) => 0,
            Some(stated) => {
                if !in_part && stated.minor != whole {
                    self.count("whole approvals of another amount");
                }
                stated.minor
            }
            None => whole,
        };
        let approval = response.approval_code.map_or([0; 6], |code| code.0);
        let told = Told { code, approval, amount };
        let purchase = self.purchase(place);
        if let Some(heard) = purchase.heard {
            let settled = purchase.is_settled_by_us();
            if heard == told {
                return self.count("answers that came again");
            }
            self.count("answers that differ from the first");
            // Which of them is true nobody can know.
            if !settled {
                self.reverse(place, now_ms);
            }
            return;
        }
        purchase.heard = Some(told);
        let (sent, is_late) = (purchase.request.sent, purchase.request.over);
        if is_late {
            return self.count(if amount > 0 { "late approvals" } else { "late declines" });
        }
        self.end_message(place, Which::Request);
        let undecided = [ActionCode::Unavailable, ActionCode::SystemMalfunction].map(Some).contains(&action);
        if amount > 0 {
            self.count("approved");
            self.may_be_cancelled(place, now_ms);
        } else {
            self.count("declined");
            // Of several that left, another may yet be approved.
            if undecided && sent > 1 {
                self.reverse(place, now_ms);
            }
        }
    }

    /// Messages that left by MTI, answers by MTI and DE 39, and what has happened.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        let sent = self.sent.iter().map(|(mti, count)| (format!("{mti:04}"), *count));
        let answers = self.answers.iter().map(|((mti, code), count)| {
            let code: String = code.iter().map(|byte| char::from(*byte)).collect();
            (format!("{mti:04} with {}", code.trim()), *count)
        });
        let happened = self.happened.iter().map(|(what, count)| ((*what).to_owned(), *count));
        let open = [("open".to_owned(), self.open)];
        sent.chain(answers).chain(happened).chain(open).collect()
    }

    /// What is taken, by card as it may be shown and by currency; cards of which nothing is are not there.
    #[must_use]
    pub fn taken(&self) -> BTreeMap<(String, u16), Taken> {
        let mut sums: BTreeMap<(String, u16), Taken> = BTreeMap::new();
        for (purchase, place) in self.purchases.iter().zip(0..) {
            let plan = self.plan(place);
            let left = purchase.left(&plan);
            let Some(pan) = self.cards.get(plan.card as usize).filter(|_| left != 0) else { continue };
            let sum = sums.entry((pan.masked().to_string(), self.currency(&plan).numeric())).or_default();
            let posts = plan.class == MessageClass::Financial;
            *(if posts { &mut sum.posted } else { &mut sum.held }) += left;
        }
        sums
    }
}
