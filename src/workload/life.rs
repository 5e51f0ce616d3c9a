//! One life cycle under way, and what its messages did to the books so far: the model's own rules, from answers only.
//!
//! - An approved 0100 holds its amount, one that adds to it the amount on top; of a credit nothing is held (R15, R17).
//! - An approved 0200 posts, and so does every 0220; that one ends all that is held (R14).
//! - A 0120 is what is held of what it is about, or of itself (R4).
//! - A reversal leaves nothing of what it names; of a purchase that it names by its first message, nothing at all (R7).
//! - A partial reversal leaves its amount, and never takes more.
//! - A record of a clearing file posts its amount and ends what is held, unless a message has posted that already, or
//!   another part of the purchase is still to come; one that takes it back leaves nothing posted (R20).
//! - Nothing is held any more once its time has run out (R19).
//!
//! A message waits for the answers to those before it, so that there is one order of events; where a script lets
//! several go at once, their order makes no difference.

use crate::workload::chance::Chance;
use crate::workload::presenting::Cleared;
use crate::workload::script::Act;
use crate::workload::script::Manner;
use crate::workload::script::Portion;
use crate::workload::script::SCRIPTS;
use crate::workload::script::STEPS_MAX;
use crate::workload::script::Script;
use crate::workload::script::Step;

/// What is held and what was posted, minor units; posted with its sign, so that a debit is negative.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Totals {
    pub(super) held: i64,
    pub(super) posted: i64,
}

/// A life cycle under way.
#[derive(Clone, Debug)]
pub(super) struct Life {
    pub(super) script: &'static Script,
    /// The place of its account in the population.
    pub(super) account: u32,
    /// The connection that it began on.
    pub(super) stream: u16,
    /// What it began with, minor units.
    pub(super) whole: u32,
    /// Our approvals that nothing was sent for that could undo them, minor units.
    pub(super) firm: i64,
    /// Something was sent that may undo an approval.
    pub(super) loose: bool,
    /// A request of it was declined: nothing more is sent.
    pub(super) over: bool,
    /// Answers that are waited for.
    pub(super) waiting: u8,
    order: [u8; STEPS_MAX],
    at: usize,
    held: [i64; STEPS_MAX],
    posted: [i64; STEPS_MAX],
    /// Steps that were sent, that were answered, and that were undone for good, a bit each.
    sent: u8,
    answered: u8,
    gone: u8,
}

impl Life {
    pub(super) fn new(script: &'static Script, account: u32, whole: u32, chance: &mut Chance) -> Self {
        let mut order = [0, 1, 2, 3, 4, 5];
        let steps = script.steps.len();
        for at in script.shuffled_from..steps {
            order.swap(at, at + chance.below((steps - at) as u32) as usize);
        }
        Self {
            script,
            account,
            stream: 0,
            whole,
            firm: 0,
            loose: false,
            over: false,
            waiting: 0,
            order,
            at: 0,
            held: [0; STEPS_MAX],
            posted: [0; STEPS_MAX],
            sent: 0,
            answered: 0,
            gone: 0,
        }
    }

    /// The step that is sent next.
    pub(super) fn next(&self) -> Option<usize> {
        (self.at < self.script.steps.len()).then(|| usize::from(self.order[self.at]))
    }

    /// Whether the next message goes out without waiting for an answer.
    pub(super) fn goes_on_at_once(&self) -> bool {
        self.next().is_some() && !self.script.waits(self.at)
    }

    /// A step was written. A repeat may do what it repeats.
    pub(super) fn write(&mut self, step: usize) {
        self.at += 1;
        self.waiting += 1;
        let repeated = self.step(step).named().filter(|_| self.step(step).act == Act::Repeat);
        self.sent |= 1 << repeated.unwrap_or(step);
    }

    pub(super) const fn step(&self, step: usize) -> &'static Step {
        &self.script.steps[step]
    }

    /// Whether a step was answered with an approval that still stands, so that what follows is about it.
    pub(super) const fn stands(&self, step: usize) -> bool {
        self.held[step] != 0 || self.posted[step] != 0
    }

    /// Which of two steps came first: the one that is written first.
    pub(super) fn is_before(&self, one: usize, other: usize) -> bool {
        let place = |step| self.order.iter().position(|at| usize::from(*at) == step);
        place(one) < place(other)
    }

    /// A step was answered: it took place, or it did not.
    pub(super) fn answer(&mut self, step: usize, took_place: bool) {
        self.answered |= 1 << step;
        if took_place {
            self.apply(step);
        } else {
            let goes_on = self.step(step).act == Act::Authorize(Manner::OverLimit);
            self.over |= !goes_on;
        }
    }

    /// What a step does.
    fn apply(&mut self, step: usize) {
        let Step { act, .. } = *self.step(step);
        let amount = i64::from(self.step(step).amount(self.whole));
        let named = self.step(step).named();
        match act {
            Act::Authorize(_) | Act::Increment | Act::LateIncrement => {
                if !self.script.credit && self.gone & 1 << step == 0 {
                    self.held[step] = amount;
                }
            }
            Act::Sell => self.post(step, amount),
            Act::StandIn | Act::PumpEnd => {
                let of = named.filter(|of| self.stands(*of)).unwrap_or(step);
                self.held[of] = amount;
            }
            Act::StandInDecline => self.undo(named.unwrap_or(step)),
            Act::Complete => match named.filter(|of| self.posted[*of] != 0) {
                Some(sale) if self.step(sale).act == Act::Sell => self.post(sale, amount),
                _ => {
                    self.held = [0; STEPS_MAX];
                    self.post(step, amount);
                }
            },
            Act::Reverse | Act::ReverseByAdvice => self.undo(self.undone_by(step)),
            Act::Cut => {
                let of = named.unwrap_or(step);
                self.held[of] = self.held[of].min(amount);
                self.posted[of] = self.posted[of].max(-amount);
            }
            Act::Repeat => {}
            Act::Present(portion) => self.present(step, (portion, amount)),
            Act::TakeBack => self.posted[named.unwrap_or(step)] = 0,
            Act::Expire => self.held = [0; STEPS_MAX],
        }
    }

    fn present(&mut self, step: usize, (portion, amount): (Portion, i64)) {
        match self.becomes(step) {
            Cleared::AlreadyPosted => return,
            Cleared::Captured if portion == Portion::First => {
                let of = self.step(step).named().unwrap_or(step);
                self.held[of] -= amount.min(self.held[of]);
            }
            _ => self.held = [0; STEPS_MAX],
        }
        self.post(step, amount);
    }

    /// What a record of a clearing file becomes as things stand.
    pub(super) fn becomes(&self, step: usize) -> Cleared {
        if self.step(step).act == Act::TakeBack {
            return Cleared::Returned;
        }
        let Some(of) = self.step(step).named() else { return Cleared::Forced };
        let posts = |act| matches!(act, Act::Sell | Act::Complete);
        let mut steps = self.script.steps.iter().zip(self.posted);
        if steps.any(|(step, posted)| posts(step.act) && posted != 0) {
            return Cleared::AlreadyPosted;
        }
        // Of a credit nothing is held; it pends until it is posted.
        let pends = self.script.credit && self.posted == [0; STEPS_MAX];
        if self.held[of] != 0 || pends { Cleared::Captured } else { Cleared::Late }
    }

    fn post(&mut self, step: usize, amount: i64) {
        if self.gone & 1 << step == 0 {
            self.posted[step] = if self.script.credit { amount } else { -amount };
        }
    }

    /// The step that a reversal undoes. An advice that set the outcome of what it is about has nothing of its own.
    pub(super) fn undone_by(&self, reversal: usize) -> usize {
        let named = self.step(reversal).named().unwrap_or(reversal);
        let set = || self.step(named).named().filter(|of| self.stands(*of));
        if self.step(named).act == Act::StandIn { set().unwrap_or(named) } else { named }
    }

    /// Nothing is left of a step, nor of what adds to it.
    pub(super) fn undo(&mut self, step: usize) {
        self.gone |= 1 << step;
        (self.held[step], self.posted[step]) = (0, 0);
        if step == self.script.root() && !matches!(self.step(step).act, Act::Sell | Act::Complete) {
            self.held = [0; STEPS_MAX];
        }
    }

    pub(super) fn totals(&self) -> Totals {
        Totals { held: self.held.iter().sum(), posted: self.posted.iter().sum() }
    }

    /// What it may have done at the least and at the most, whichever of the messages without an answer took place.
    pub(super) fn between(&self) -> (Totals, Totals) {
        let unknown = self.sent & !self.answered;
        let (mut least, mut most) = (self.totals(), self.totals());
        // All subsets of what is not known.
        let mut subset = unknown;
        while subset != 0 {
            let mut life = self.clone();
            for step in self.order.into_iter().filter(|step| subset & 1 << step != 0) {
                life.apply(usize::from(step));
            }
            let totals = life.totals();
            least = Totals { held: least.held.min(totals.held), posted: least.posted.min(totals.posted) };
            most = Totals { held: most.held.max(totals.held), posted: most.posted.max(totals.posted) };
            subset = (subset - 1) & unknown;
        }
        (least, most)
    }
}

/// A script by its name in a mix.
pub(super) fn script_named(name: &str) -> Option<u8> {
    SCRIPTS.iter().zip(0..).find(|(script, _)| script.name == name).map(|(_, place)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is held and posted after each step of a script of 1,000, in the order of the steps.
    #[test]
    fn each_script_leaves_what_its_rules_say() {
        let table: [(&str, &[(i64, i64)]); 26] = [
            ("increment", &[(1_000, 0), (1_251, 0), (1_251, 0), (1_752, 0), (0, -1_250)]),
            ("increment-reversal", &[(1_000, 0), (1_501, 0), (1_000, 0), (1_000, 0), (0, -1_000)]),
            ("increment-whole", &[(1_000, 0), (1_251, 0), (1_752, 0), (0, 0), (0, 0)]),
            ("increment-after", &[(1_000, 0), (0, -1_000), (251, -1_000), (0, -1_000)]),
            ("extension", &[(1_000, 0), (1_000, 0), (0, 0)]),
            ("estimate", &[(1_000, 0), (1_501, 0), (752, 0), (0, -501), (0, -501)]),
            ("partial-reversal", &[(1_000, 0), (501, 0), (501, 0), (501, 0), (0, -501)]),
            ("partial-of-sale", &[(0, -1_000), (0, -501), (0, -501), (0, 0)]),
            ("completion-twice", &[(1_000, 0), (0, -501), (0, -752)]),
            ("completion-late", &[(1_000, 0), (0, 0), (0, -501)]),
            ("completion-reversal", &[(1_000, 0), (0, -501), (0, 0), (0, 0)]),
            ("pump", &[(1_000, 0), (1_250, 0), (1_250, 0), (0, -1_250)]),
            ("stand-in-decline", &[(1_000, 0), (0, 0), (0, 0)]),
            ("single-message", &[(0, -1_000), (0, -1_000), (0, -501), (0, 0), (0, 0)]),
            ("refund", &[(0, 0), (0, 0), (0, 1_000), (0, 1_000)]),
            ("refund-sale", &[(0, 1_000), (0, 1_000), (0, 0), (0, 0)]),
            ("presentment", &[(1_000, 0), (0, -1_000), (0, -1_000)]),
            ("presentment-over", &[(1_000, 0), (0, -1_250)]),
            ("presentment-parts", &[(1_000, 0), (499, -501), (0, -752), (0, -752)]),
            ("presentment-late", &[(1_000, 0), (0, 0), (0, -501)]),
            ("presentment-twice", &[(1_000, 0), (0, -501), (0, -752)]),
            ("presentment-reversal", &[(1_000, 0), (0, -1_000), (0, 0), (0, 0), (0, 0)]),
            ("presentment-completed", &[(1_000, 0), (0, -1_000), (0, -1_000)]),
            ("presentment-refund", &[(0, 0), (0, 1_000), (0, 1_000)]),
            ("expiry-presentment", &[(1_000, 0), (0, 0), (0, -1_000)]),
            ("expiry-completion", &[(1_000, 0), (0, 0), (0, -1_000), (0, -1_000)]),
        ];
        for (name, expected) in table {
            let place = script_named(name).expect(name);
            let mut life = Life::new(&SCRIPTS[usize::from(place)], 0, 1_000, &mut Chance::new(1));
            for (at, (held, posted)) in expected.iter().enumerate() {
                let step = life.next().expect(name);
                life.write(step);
                assert_eq!(step, at, "{name}");
                life.answer(step, true);
                assert_eq!(life.totals(), Totals { held: *held, posted: *posted }, "{name} {at}");
            }
            assert_eq!(life.next(), None);
        }
    }

    #[test]
    fn what_is_not_answered_may_have_taken_place() {
        let place = script_named("completion").expect("a script");
        let mut life = Life::new(&SCRIPTS[usize::from(place)], 0, 1_000, &mut Chance::new(1));
        life.write(0);
        let totals = |held, posted| Totals { held, posted };
        assert_eq!(life.between(), (totals(0, 0), totals(1_000, 0)));
        life.answer(0, true);
        life.write(1);
        assert_eq!(life.between(), (totals(0, -1_000), totals(1_000, 0)));
        life.answer(1, true);
        assert_eq!(life.between(), (totals(0, -1_000), totals(0, -1_000)));
    }

    #[test]
    fn a_storm_leaves_nothing_in_any_order_of_its_answers() {
        let place = script_named("early-storm").expect("a script");
        for seed in 0..200 {
            let mut life = Life::new(&SCRIPTS[usize::from(place)], 0, 1_000, &mut Chance::new(seed));
            while let Some(step) = life.next() {
                life.write(step);
            }
            let (one, other) = if seed % 2 == 0 { (0, 2) } else { (2, 0) };
            life.answer(one, true);
            life.answer(other, true);
            assert_eq!(life.totals(), Totals::default());
        }
    }
}
