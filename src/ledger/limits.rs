//! Limits and controls of the cards and wallets of one shard: what may pass, what was counted, and giving it back
//! (R18).
//!
//! A counter exists once its limit is set, and counts what is authorized from then on. Whatever was counted leaves a
//! small entry under its authorization's record: which limits counted it, when, and how much. So a reversal gives back
//! exactly what was taken, to the window in which it was counted; a window that is over is left alone. An entry leaves
//! with its authorization. Nobody else pays for any of this: a card without limits is told by a flag in its own line.
//!
//! Time is the records' time, which never goes back, so that replay counts as live did.

use crate::domain::action::ActionCode;
use crate::domain::card::CardRef;
use crate::domain::control::Control;
use crate::domain::event::Sequence;
use crate::domain::limit::Limit;
use crate::domain::limit::Measure;
use crate::domain::limit::Number;
use crate::domain::limit::Subject;
use crate::domain::limit::Window;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::WalletId;
use crate::domain::product::ProductNumber;
use crate::domain::time::Timestamp;
use crate::domain::usage::MerchantPrint;
use crate::domain::usage::Usage;
use crate::domain::zone::ZoneName;

use super::index::Index;
use super::products::Rules;
use super::shard::hash_u64;
use super::slab::NONE;
use super::slab::Slab;
use super::sliding::Sliding;
use super::zones::Zones;

/// Marks a position in the index of subjects as one of a control.
const CONTROL_BIT: u32 = 1 << 31;
/// How many limits, and how many controls, a subject has at most.
const NUMBERS: usize = Number::MAX as usize;

/// Whose limits a use of a card is counted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Owners {
    /// The card.
    pub card: CardRef,
    /// Its wallet.
    pub wallet: WalletId,
    /// Its product.
    pub product: Option<ProductNumber>,
}

impl Owners {
    pub(super) const fn subjects(self) -> [Subject; 2] {
        [Subject::Card(self.card), Subject::Wallet(self.wallet)]
    }
}

/// A limit and what it has counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Counter {
    pub(super) subject: Subject,
    /// The record that set it: it counts only what came after.
    pub(super) since: Sequence,
    pub(super) limit: Limit,
    /// In a calendar window.
    pub(super) used: i64,
    /// Its number; of a sliding window, where its parts are.
    pub(super) window: u32,
    /// `None` when the place is empty.
    pub(super) number: Option<Number>,
    /// Of which product's limit it is, if it is not the subject's own.
    pub(super) product: Option<ProductNumber>,
}

/// A control, and the merchant that it is locked to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    pub(super) subject: Subject,
    pub(super) locked: MerchantPrint,
    pub(super) control: Control,
    /// `None` when the place is empty.
    pub(super) number: Option<Number>,
}

/// What an authorization has taken from counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Counted {
    /// The record of the authorization that owns it; zero when the place is empty.
    pub(super) authorization: Sequence,
    /// The record at which it was counted: another one, when what was authorized has been posted by a message of its
    /// own.
    pub(super) record: Sequence,
    /// Minor units of the account's currency.
    pub(super) amount: i64,
    /// When, seconds since 1970.
    pub(super) at_s: u32,
    /// The next older entry of the same authorization.
    pub(super) older: u32,
    /// The limits that counted it: bits by number, of the card, of the wallet and of the product.
    pub(super) by: [u16; 3],
    pub(super) currency: Currency,
    /// It was counted as one more, not as a part of what was counted before.
    pub(super) first: bool,
    /// The product whose limits counted it.
    pub(super) product: Option<ProductNumber>,
}

// What README says a limit costs is the sum of these.
const _: () = assert!(size_of::<Counter>() == 112 && size_of::<Gate>() == 96);
const _: () = assert!(size_of::<Sliding>() == 504 && size_of::<Counted>() == 48);

/// A limit as it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitView {
    /// Its number.
    pub number: Number,
    /// The limit.
    pub limit: Limit,
    /// What counts against it now.
    pub used: i64,
    /// When its calendar window ends, seconds since 1970.
    pub ends_s: Option<u64>,
    /// The time zone that it goes by, if it names one.
    pub zone: Option<ZoneName>,
}

/// A control as it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ControlView {
    /// Its number.
    pub number: Number,
    /// The control.
    pub control: Control,
    /// The merchant that it is locked to; zero for none.
    pub locked: MerchantPrint,
}

/// A table is full.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the table of {0} is full")]
pub struct Full(pub &'static str);

/// The limits and controls of a shard.
#[derive(Debug)]
pub struct Limits {
    pub(super) counters: Slab<Counter>,
    pub(super) sliding: Slab<Sliding>,
    pub(super) gates: Slab<Gate>,
    pub(super) subjects: Index,
    pub(super) counted: Slab<Counted>,
    pub(super) authorizations: Index,
    pub(super) zones: Zones,
    pub(super) rules: Rules,
    pub(super) seed: u64,
}

impl Limits {
    /// Room for so many limits, as many controls, and so many counted authorizations. Memory is touched as it is used.
    #[must_use]
    pub fn with_capacity(limits: usize, counted: usize, seed: u64) -> Self {
        Self {
            counters: Slab::with_capacity(limits),
            sliding: Slab::with_capacity(limits),
            gates: Slab::with_capacity(limits),
            subjects: Index::with_capacity(2 * limits),
            counted: Slab::with_capacity(counted),
            authorizations: Index::with_capacity(counted),
            zones: Zones::default(),
            rules: Rules::default(),
            seed,
        }
    }

    pub(super) fn hash_of(&self, subject: Subject) -> u64 {
        let (kind, number) = subject.parts();
        hash_u64(number, self.seed ^ u64::from(kind))
    }

    /// Where a subject's limits are, by number.
    pub(super) fn counters_of(&self, subject: Subject) -> [u32; NUMBERS] {
        let mut found = [NONE; NUMBERS];
        let _ = self.subjects.find(self.hash_of(subject), |position| {
            if position & CONTROL_BIT == 0 {
                let counter = self.counters.at(position);
                let own = counter.subject == subject && counter.product.is_none();
                if let (true, Some(number)) = (own, counter.number) {
                    found[number.at()] = position;
                }
            }
            false
        });
        found
    }

    /// Where the first counter of a subject is that is the one, those of product limits included.
    pub(super) fn find_counter(
        &self,
        subject: Subject,
        mut is_it: impl FnMut(&Counter) -> bool,
    ) -> Option<u32> {
        self.subjects.find(self.hash_of(subject), |position| {
            let counter = (position & CONTROL_BIT == 0).then(|| self.counters.at(position));
            counter.is_some_and(|counter| {
                counter.subject == subject && counter.number.is_some() && is_it(counter)
            })
        })
    }

    /// Where a subject's controls are, by number.
    pub(super) fn gates_of(&self, subject: Subject) -> [u32; NUMBERS] {
        let mut found = [NONE; NUMBERS];
        let _ = self.subjects.find(self.hash_of(subject), |position| {
            if position & CONTROL_BIT != 0 {
                let gate = self.gates.at(position & !CONTROL_BIT);
                if let (true, Some(number)) = (gate.subject == subject, gate.number) {
                    found[number.at()] = position & !CONTROL_BIT;
                }
            }
            false
        });
        found
    }

    // ---- what may pass

    /// Why a use is declined by the first control that does not let it pass: the card's first, then the wallet's, then
    /// the product's, each in the order of their numbers.
    #[must_use]
    pub fn refused_by_control(&self, owners: Owners, usage: &Usage) -> Option<ActionCode> {
        let gates = owners.subjects().into_iter().flat_map(|subject| self.gates_of(subject));
        let gates = gates.filter(|at| *at != NONE).map(|at| self.gates.at(at));
        let own = gates.filter(|gate| !gate.control.passes(usage, gate.locked)).map(|gate| &gate.control);
        let refusing = own.into_iter().next().or_else(|| self.refusing_control(owners, usage));
        refusing.map(Control::refusal)
    }

    /// Why taking an amount from an account now, as `one_more` or as more of what was counted before, is declined by
    /// the first limit that it would pass, in the same order.
    #[must_use]
    pub fn refused_by_limit(
        &self,
        owners: Owners,
        usage: &Usage,
        amount: Money,
        one_more: bool,
        now: Timestamp,
    ) -> Option<ActionCode> {
        let counters = owners.subjects().into_iter().flat_map(|subject| self.counters_of(subject));
        let takes = |limit: &Limit| if limit.filter.fits(usage) { limit.takes(amount, one_more) } else { 0 };
        let passes = |counter: &&Counter| {
            let (limit, takes) = (&counter.limit, takes(&counter.limit));
            takes == 0 || self.used(counter, now.seconds()).saturating_add(takes) <= limit.max
        };
        let mut counters = counters.filter(|at| *at != NONE).map(|at| self.counters.at(at));
        let own = counters.find(|counter| !passes(counter)).map(|counter| &counter.limit);
        own.or_else(|| self.refusing_rule(owners, takes, now)).map(Limit::refusal)
    }

    /// Whether one more authorization of these can be counted, by all that counts it.
    #[must_use]
    pub fn has_room_to_count(&self, owners: Owners) -> bool {
        let rules = self.rules.of(owners).len();
        let free = self.counters.capacity() - self.counters.len();
        !self.counted.is_full() && (free >= rules || free >= self.missing_counters(owners))
    }

    /// Whether anything is counted of a card's uses.
    pub(super) fn has_limits(&self, owners: Owners) -> bool {
        let own = owners.subjects().into_iter().any(|subject| self.counters(subject).next().is_some());
        own || !self.rules.of(owners).is_empty()
    }

    /// The currencies in which limits of these count amounts.
    pub(super) fn amounts_counted(&self, owners: Owners) -> impl Iterator<Item = Currency> {
        let own = owners.subjects().into_iter().flat_map(|subject| self.counters_of(subject));
        let own = own.filter(|at| *at != NONE).map(|at| self.counters.at(at).limit.measure);
        let rules = self.rules.of(owners).iter().map(|rule| rule.limit.measure);
        own.chain(rules).filter_map(|measure| match measure {
            Measure::Amount(currency) => Some(currency),
            Measure::Count => None,
        })
    }

    /// What counts against a limit at a time.
    pub(super) fn used(&self, counter: &Counter, seconds: u64) -> i64 {
        let index = self.zones.index(counter.subject, counter.limit.window, seconds);
        match counter.limit.window {
            Window::Transaction => 0,
            Window::Sliding(_) => self.sliding.at(counter.window).used(index),
            _ if index > counter.window => 0,
            _ => counter.used,
        }
    }

    // ---- setting

    /// Whether a limit of this number can be set: it is there already, or there is room for it.
    #[must_use]
    pub fn has_room_for_limit(&self, subject: Subject, number: Number) -> bool {
        !self.counters.is_full() || self.counters_of(subject)[number.at()] != NONE
    }

    /// The same of a control.
    #[must_use]
    pub fn has_room_for_control(&self, subject: Subject, number: Number) -> bool {
        !self.gates.is_full() || self.gates_of(subject)[number.at()] != NONE
    }

    /// Sets a limit, or removes it. One that counts the same as the one that it replaces goes on from its count: only
    /// how much there may be has changed. Any other begins with nothing.
    ///
    /// # Errors
    /// There is no room; nothing was changed.
    pub(super) fn set_limit(
        &mut self,
        by: Sequence,
        time: Timestamp,
        subject: Subject,
        number: Number,
        limit: Option<Limit>,
    ) -> Result<(), Full> {
        let known = self.counters_of(subject)[number.at()];
        if let (true, Some(limit)) = (known != NONE, limit) {
            let counter = self.counters.at_mut(known);
            if limit.counts_like(&counter.limit) {
                counter.limit.max = limit.max;
                return Ok(());
            }
        }
        if known != NONE {
            self.remove_counter(known);
        }
        let Some(limit) = limit else { return Ok(()) };
        let index = self.zones.index(subject, limit.window, time.seconds());
        let (number, product) = (Some(number), None);
        let counter = Counter { subject, since: by, limit, used: 0, window: index, number, product };
        self.insert_counter(counter, Sliding::new(index))
    }

    /// Puts a counter into the table, with its parts if it is of a sliding window.
    pub(super) fn insert_counter(&mut self, mut counter: Counter, parts: Sliding) -> Result<(), Full> {
        if self.counters.is_full() {
            return Err(Full("limits"));
        }
        if let Window::Sliding(_) = counter.limit.window {
            // There is room for the parts of as many as there are limits.
            counter.window = self.sliding.insert(parts).map_err(|_| Full("limits"))?;
        }
        let position = self.counters.insert(counter).map_err(|_| Full("limits"))?;
        self.subjects.insert(self.hash_of(counter.subject), position);
        Ok(())
    }

    /// Sets a control, or removes it. A lock that is set again keeps its merchant.
    ///
    /// # Errors
    /// There is no room; nothing was changed.
    pub(super) fn set_control(
        &mut self,
        subject: Subject,
        number: Number,
        control: Option<Control>,
    ) -> Result<(), Full> {
        let known = self.gates_of(subject)[number.at()];
        let mut locked = MerchantPrint(0);
        if known != NONE {
            let gate = *self.gates.at(known);
            if control.is_some_and(|control| control == gate.control) {
                locked = gate.locked;
            }
            self.subjects.remove(self.hash_of(subject), known | CONTROL_BIT);
            self.gates.at_mut(known).number = None;
            self.gates.remove(known);
        }
        let Some(control) = control else { return Ok(()) };
        self.insert_gate(Gate { subject, locked, control, number: Some(number) })
    }

    pub(super) fn insert_gate(&mut self, gate: Gate) -> Result<(), Full> {
        let position = self.gates.insert(gate).map_err(|_| Full("limits"))?;
        self.subjects.insert(self.hash_of(gate.subject), position | CONTROL_BIT);
        Ok(())
    }

    // ---- what is shown

    /// A subject's limits in the order of their numbers, with what counts against them at a time.
    #[must_use]
    pub fn limits_of(&self, subject: Subject, now: Timestamp) -> Vec<LimitView> {
        let found = self.counters_of(subject).into_iter().filter(|at| *at != NONE);
        let view = |counter: &Counter| {
            let window = counter.limit.window;
            let index = self.zones.index(subject, window, now.seconds());
            Some(LimitView {
                number: counter.number?,
                limit: counter.limit,
                used: self.used(counter, now.seconds()),
                ends_s: self.zones.begins(subject, window, index.saturating_add(1)),
                zone: self.zone_name(subject, window),
            })
        };
        found.filter_map(|at| view(self.counters.at(at))).collect()
    }

    /// A subject's controls in the order of their numbers.
    #[must_use]
    pub fn controls_of(&self, subject: Subject) -> Vec<ControlView> {
        let found = self.gates_of(subject).into_iter().filter(|at| *at != NONE).map(|at| self.gates.at(at));
        found
            .filter_map(|gate| {
                Some(ControlView { number: gate.number?, control: gate.control, locked: gate.locked })
            })
            .collect()
    }

    /// A subject's limits, for copies.
    pub(super) fn counters(&self, subject: Subject) -> impl Iterator<Item = &Counter> {
        self.counters_of(subject).into_iter().filter(|at| *at != NONE).map(|at| self.counters.at(at))
    }

    /// A subject's counters, of its own limits or of a product's, and where they are.
    pub(super) fn counters_at(
        &self,
        subject: Subject,
        product: Option<ProductNumber>,
    ) -> impl Iterator<Item = (u32, &Counter)> {
        let numbers = (1..=Number::MAX).filter_map(Number::new);
        numbers.filter_map(move |number| {
            let is_it = |counter: &Counter| counter.product == product && counter.number == Some(number);
            self.find_counter(subject, is_it).map(|at| (at, self.counters.at(at)))
        })
    }

    /// All counters of a subject, for copies.
    pub(super) fn all_counters(&self, subject: Subject) -> Vec<&Counter> {
        let mut found = Vec::new();
        let _ = self.find_counter(subject, |counter| {
            found.push((counter.product, counter.number));
            false
        });
        found.sort_unstable();
        let at = |(product, number)| {
            self.find_counter(subject, |counter| (counter.product, counter.number) == (product, number))
        };
        found.into_iter().filter_map(at).map(|at| self.counters.at(at)).collect()
    }

    /// A subject's controls, for copies.
    pub(super) fn gates(&self, subject: Subject) -> impl Iterator<Item = &Gate> {
        self.gates_of(subject).into_iter().filter(|at| *at != NONE).map(|at| self.gates.at(at))
    }
}

#[cfg(test)]
mod tests;
