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
use crate::domain::control::Aspect;
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
use crate::domain::time::Timestamp;
use crate::domain::usage::MerchantPrint;
use crate::domain::usage::Usage;

use super::index::Index;
use super::shard::hash_u64;
use super::slab::NONE;
use super::slab::Slab;
use super::sliding::Sliding;

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
}

impl Owners {
    const fn subjects(self) -> [Subject; 2] {
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
    /// The limits that counted it: bits by number, of the card and of the wallet.
    pub(super) by: [u16; 2],
    pub(super) currency: Currency,
    /// It was counted as one more, not as a part of what was counted before.
    pub(super) first: bool,
}

// What README says a limit costs is the sum of these.
const _: () = assert!(size_of::<Counter>() == 112 && size_of::<Gate>() == 96);
const _: () = assert!(size_of::<Sliding>() == 504 && size_of::<Counted>() == 40);

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
    subjects: Index,
    pub(super) counted: Slab<Counted>,
    authorizations: Index,
    seed: u64,
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
            seed,
        }
    }

    fn hash_of(&self, subject: Subject) -> u64 {
        let (kind, number) = subject.parts();
        hash_u64(number, self.seed ^ u64::from(kind))
    }

    /// Where a subject's limits are, by number.
    fn counters_of(&self, subject: Subject) -> [u32; NUMBERS] {
        let mut found = [NONE; NUMBERS];
        let _ = self.subjects.find(self.hash_of(subject), |position| {
            if position & CONTROL_BIT == 0 {
                let counter = self.counters.at(position);
                if let (true, Some(number)) = (counter.subject == subject, counter.number) {
                    found[number.at()] = position;
                }
            }
            false
        });
        found
    }

    /// Where a subject's controls are, by number.
    fn gates_of(&self, subject: Subject) -> [u32; NUMBERS] {
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

    /// Why a use is declined by the first control that does not let it pass: the card's first, then the wallet's, each
    /// in the order of their numbers.
    #[must_use]
    pub fn refused_by_control(&self, owners: Owners, usage: &Usage) -> Option<ActionCode> {
        let gates = owners.subjects().into_iter().flat_map(|subject| self.gates_of(subject));
        gates.filter(|at| *at != NONE).map(|at| self.gates.at(at)).find_map(|gate| {
            (!gate.control.passes(usage, gate.locked)).then(|| gate.control.aspect().refusal())
        })
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
        counters.filter(|at| *at != NONE).map(|at| self.counters.at(at)).find_map(|counter| {
            let limit = &counter.limit;
            let takes = if limit.filter.fits(usage) { limit.takes(amount, one_more) } else { 0 };
            let passes = takes == 0 || self.used(counter, now.seconds()).saturating_add(takes) <= limit.max;
            (!passes).then(|| limit.refusal())
        })
    }

    /// Whether one more authorization can be counted.
    #[must_use]
    pub fn has_room_to_count(&self) -> bool {
        !self.counted.is_full()
    }

    /// Whether anything is counted of a card's uses.
    pub(super) fn has_limits(&self, owners: Owners) -> bool {
        owners.subjects().into_iter().any(|subject| self.counters(subject).next().is_some())
    }

    /// What counts against a limit at a time.
    fn used(&self, counter: &Counter, seconds: u64) -> i64 {
        let index = counter.limit.window.index(seconds);
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
            let counter = *self.counters.at(known);
            if let Window::Sliding(_) = counter.limit.window {
                self.sliding.remove(counter.window);
            }
            self.subjects.remove(self.hash_of(subject), known);
            self.counters.at_mut(known).number = None;
            self.counters.remove(known);
        }
        let Some(limit) = limit else { return Ok(()) };
        let index = limit.window.index(time.seconds());
        let counter = Counter { subject, since: by, limit, used: 0, window: index, number: Some(number) };
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

    // ---- counting

    /// Counts what an authorization takes from an account, as `one_more` or as more of what was counted before, at a
    /// record, which may be another one than the authorization's.
    ///
    /// # Errors
    /// There is no room; nothing was changed.
    pub(super) fn count(
        &mut self,
        owners: Owners,
        [authorization, record]: [Sequence; 2],
        usage: &Usage,
        amount: Money,
        one_more: bool,
        time: Timestamp,
    ) -> Result<(), Full> {
        let mut by = [0; 2];
        for (subject, by) in owners.subjects().into_iter().zip(&mut by) {
            for counter in self.counters(subject) {
                let counts = counter.limit.window != Window::Transaction && counter.limit.filter.fits(usage);
                *by |= counter.number.filter(|_| counts).map_or(0, Number::bit);
            }
        }
        if by != [0; 2] {
            let entry = Counted {
                authorization,
                record,
                amount: amount.minor,
                at_s: time.seconds() as u32,
                older: NONE,
                by,
                currency: amount.currency,
                first: one_more,
            };
            self.insert_counted(entry)?;
            self.shift(owners, &entry, amount.minor, i64::from(one_more));
        }
        self.lock_merchants(owners, usage.merchant);
        Ok(())
    }

    pub(super) fn insert_counted(&mut self, entry: Counted) -> Result<(), Full> {
        let position = self.counted.insert(entry).map_err(|_| Full("counted"))?;
        self.link(position);
        Ok(())
    }

    /// Puts an entry among those of its authorization, the latest first.
    fn link(&mut self, position: u32) {
        let Counted { authorization, record, .. } = *self.counted.at(position);
        let hash = hash_u64(authorization.0, self.seed);
        let mut next = self.newest_of(authorization).unwrap_or(NONE);
        let mut newer = NONE;
        while next != NONE && self.counted.at(next).record > record {
            (newer, next) = (next, self.counted.at(next).older);
        }
        self.counted.at_mut(position).older = next;
        if newer != NONE {
            self.counted.at_mut(newer).older = position;
            return;
        }
        if next != NONE {
            self.authorizations.remove(hash, next);
        }
        self.authorizations.insert(hash, position);
    }

    /// Gives what was counted of one authorization to another, which posts it.
    pub(super) fn hand_over(&mut self, from: Sequence, to: Sequence) {
        let Some(newest) = self.newest_of(from) else { return };
        self.authorizations.remove(hash_u64(from.0, self.seed), newest);
        self.for_each(newest, |limits, position, _| {
            limits.counted.at_mut(position).authorization = to;
            limits.link(position);
        });
    }

    /// Locks what is not locked yet to the merchant of an approved use.
    fn lock_merchants(&mut self, owners: Owners, merchant: MerchantPrint) {
        for subject in owners.subjects() {
            for position in self.gates_of(subject).into_iter().filter(|at| *at != NONE) {
                let gate = self.gates.at_mut(position);
                if gate.control.aspect() == Aspect::FirstMerchant && gate.locked.0 == 0 {
                    gate.locked = merchant;
                }
            }
        }
    }

    /// Gives back all that was counted of an authorization, as if it had not been.
    fn undo(&mut self, owners: Owners, authorization: Sequence) {
        let Some(newest) = self.newest_of(authorization) else { return };
        self.for_each(newest, |limits, _, entry| {
            limits.shift(owners, entry, -entry.amount, -i64::from(entry.first));
        });
        self.forget(authorization);
    }

    /// An authorization takes so much more than before, or less. What is less goes back to where it was counted, the
    /// latest first; what is more is counted with the latest.
    fn change(&mut self, owners: Owners, authorization: Sequence, more: i64) {
        let Some(newest) = self.newest_of(authorization) else { return };
        let mut rest = more;
        self.for_each(newest, |limits, position, entry| {
            let step = rest.max(-entry.amount);
            limits.shift(owners, entry, step, 0);
            limits.counted.at_mut(position).amount += step;
            rest -= step;
        });
    }

    /// An authorization takes from another account: nothing from the one before.
    fn replace(&mut self, owners: Owners, authorization: Sequence, amount: Money) {
        let Some(newest) = self.newest_of(authorization) else { return };
        self.for_each(newest, |limits, position, entry| {
            limits.shift(owners, entry, -entry.amount, 0);
            *limits.counted.at_mut(position) = Counted { amount: 0, currency: amount.currency, ..*entry };
        });
        self.change(owners, authorization, amount.minor);
    }

    /// Whether anything is kept of an authorization.
    pub(super) fn has_counted(&self, authorization: Sequence) -> bool {
        self.newest_of(authorization).is_some()
    }

    /// An authorization that took `before` takes `after` from now on, maybe from another account. With nothing left it
    /// is as if it had not been.
    pub(super) fn change_to(&mut self, owners: Owners, authorization: Sequence, before: i64, after: Money) {
        let Some(newest) = self.newest_of(authorization) else { return };
        // A group's messages may have taken from several accounts.
        let mut same = true;
        self.for_each(newest, |_, _, entry| same &= entry.currency == after.currency);
        if after.minor == 0 {
            self.undo(owners, authorization);
        } else if same {
            self.change(owners, authorization, after.minor.saturating_sub(before));
        } else {
            self.replace(owners, authorization, after);
        }
    }

    /// Lets go of what was kept of an authorization; what it took stays counted.
    pub(super) fn forget(&mut self, authorization: Sequence) {
        let Some(newest) = self.newest_of(authorization) else { return };
        self.authorizations.remove(hash_u64(authorization.0, self.seed), newest);
        self.for_each(newest, |limits, position, _| {
            limits.counted.at_mut(position).authorization = Sequence(0);
            limits.counted.remove(position);
        });
    }

    /// Does something with each entry of an authorization, as it was before, the latest first.
    fn for_each(&mut self, newest: u32, mut work: impl FnMut(&mut Self, u32, &Counted)) {
        let mut position = newest;
        while position != NONE {
            let entry = *self.counted.at(position);
            work(self, position, &entry);
            position = entry.older;
        }
    }

    /// Adds to the counters that have counted an entry, in the window in which they did.
    fn shift(&mut self, owners: Owners, entry: &Counted, amount: i64, count: i64) {
        for (subject, by) in owners.subjects().into_iter().zip(entry.by) {
            if by == 0 {
                continue;
            }
            for position in self.counters_of(subject).into_iter().filter(|at| *at != NONE) {
                let counter = self.counters.at_mut(position);
                let counted = counter.number.is_some_and(|number| by & number.bit() != 0);
                // One of the same number that was set later is another.
                if !counted || counter.since > entry.record {
                    continue;
                }
                let more = match counter.limit.measure {
                    Measure::Count => count,
                    Measure::Amount(currency) if currency == entry.currency => amount,
                    Measure::Amount(_) => 0,
                };
                let index = counter.limit.window.index(entry.at_s.into());
                if let Window::Sliding(_) = counter.limit.window {
                    self.sliding.at_mut(counter.window).add(index, more);
                    continue;
                }
                if index > counter.window {
                    (counter.window, counter.used) = (index, 0);
                }
                if index == counter.window {
                    counter.used = counter.used.saturating_add(more);
                }
            }
        }
    }

    fn newest_of(&self, authorization: Sequence) -> Option<u32> {
        let hash = hash_u64(authorization.0, self.seed);
        self.authorizations.find(hash, |at| self.counted.at(at).authorization == authorization)
    }

    // ---- what is shown

    /// A subject's limits in the order of their numbers, with what counts against them at a time.
    #[must_use]
    pub fn limits_of(&self, subject: Subject, now: Timestamp) -> Vec<LimitView> {
        let found = self.counters_of(subject).into_iter().filter(|at| *at != NONE);
        let view = |counter: &Counter| {
            let window = counter.limit.window;
            let index = window.index(now.seconds());
            Some(LimitView {
                number: counter.number?,
                limit: counter.limit,
                used: self.used(counter, now.seconds()),
                ends_s: window.begins(index.saturating_add(1)),
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

    /// A subject's controls, for copies.
    pub(super) fn gates(&self, subject: Subject) -> impl Iterator<Item = &Gate> {
        self.gates_of(subject).into_iter().filter(|at| *at != NONE).map(|at| self.gates.at(at))
    }

    /// What was counted of an authorization, the latest first.
    pub(super) fn counted_of(&self, authorization: Sequence) -> impl Iterator<Item = &Counted> {
        let newest = self.newest_of(authorization).map(|at| self.counted.at(at));
        std::iter::successors(newest, |entry| (entry.older != NONE).then(|| self.counted.at(entry.older)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::control::Rule;
    use crate::domain::limit::Filter;
    use crate::domain::limit::UtcOffset;
    use crate::domain::request::TransactionKind;
    use crate::domain::usage::Channel;
    use crate::domain::usage::Channels;
    use crate::domain::usage::Kinds;
    use crate::domain::usage::MccRange;

    /// Numbers that look random and are the same every time (SplitMix64).
    struct Chance(u64);

    impl Chance {
        fn next(&mut self) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ mixed >> 31
        }

        fn below(&mut self, bound: u64) -> u64 {
            self.next() % bound
        }

        fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
            list[self.below(list.len() as u64) as usize]
        }
    }

    /// What was counted at one record.
    struct Piece {
        record: u64,
        /// The authorization that can give it back; zero for none any more.
        owner: u64,
        owners: Owners,
        usage: Usage,
        at: u64,
        amount: Money,
        one_more: bool,
    }

    /// Limits as a list of everything that was set, and a list of everything that was approved.
    #[derive(Default)]
    struct Model {
        limits: Vec<(Subject, u8, u64, Limit)>,
        controls: Vec<(Subject, u8, Control, u64)>,
        pieces: Vec<Piece>,
    }

    impl Model {
        fn set_limit(&mut self, record: u64, subject: Subject, number: u8, limit: Option<Limit>) {
            let known = self.limits.iter().position(|(of, n, ..)| (*of, *n) == (subject, number));
            let before = known.map(|at| self.limits.remove(at));
            let Some(limit) = limit else { return };
            let same = before.filter(|(.., old)| Limit { max: limit.max, ..*old } == limit);
            self.limits.push((subject, number, same.map_or(record, |(_, _, since, _)| since), limit));
            self.limits.sort_by_key(|(of, n, ..)| (*of, *n));
        }

        /// What counts now, by walking everything.
        fn used(&self, (subject, _, since, limit): &(Subject, u8, u64, Limit), now: u64) -> i64 {
            let index = limit.window.index(now);
            let mut used = 0;
            for piece in self.pieces.iter().filter(|piece| piece.record > *since) {
                let owned = piece.owners.subjects().contains(subject);
                let of = limit.window.index(piece.at);
                let counts = match limit.window {
                    Window::Transaction => false,
                    Window::Sliding(_) => index - of <= 60,
                    _ => of == index,
                };
                let more = match limit.measure {
                    Measure::Count => i64::from(piece.one_more),
                    Measure::Amount(currency) if currency == piece.amount.currency => piece.amount.minor,
                    Measure::Amount(_) => 0,
                };
                used += if owned && counts && limit.filter.fits(&piece.usage) { more } else { 0 };
            }
            used
        }

        fn refuses(
            &self,
            owners: Owners,
            usage: &Usage,
            amount: Money,
            one_more: bool,
            now: u64,
        ) -> Option<ActionCode> {
            owners.subjects().into_iter().find_map(|subject| {
                self.limits.iter().filter(|(of, ..)| *of == subject).find_map(|set| {
                    let limit = &set.3;
                    let (takes, code) = match limit.measure {
                        Measure::Count if one_more => (1, ActionCode::CountLimitExceeded),
                        Measure::Amount(currency) if currency == amount.currency => {
                            (amount.minor, ActionCode::AmountLimitExceeded)
                        }
                        Measure::Count | Measure::Amount(_) => return None,
                    };
                    let passed = limit.filter.fits(usage) && self.used(set, now) + takes > limit.max;
                    passed.then_some(code)
                })
            })
        }

        fn bars(&self, owners: Owners, usage: &Usage) -> Option<ActionCode> {
            owners.subjects().into_iter().find_map(|subject| {
                let own = self.controls.iter().filter(|(of, ..)| *of == subject);
                own.filter(|(_, _, control, locked)| !control.passes(usage, MerchantPrint(*locked)))
                    .map(|(_, _, control, _)| control.aspect().refusal())
                    .next()
            })
        }
    }

    fn currency(chance: &mut Chance) -> Currency {
        Currency::new(chance.one_of(&[840, 978])).expect("a currency")
    }

    fn usage(chance: &mut Chance) -> Usage {
        Usage {
            channel: chance.one_of(&[Channel::Chip, Channel::Ecommerce, Channel::Atm]),
            kind: Kinds::of(chance.one_of(&[TransactionKind::Purchase, TransactionKind::Cash])),
            mcc: chance.one_of(&[0, 5411, 7995]),
            country: chance.one_of(&[0, 276, 840]),
            currency: currency(chance),
            merchant: MerchantPrint(chance.below(3)),
        }
    }

    fn filter(chance: &mut Chance) -> Filter {
        let mut filter = Filter::ALL;
        match chance.below(9) {
            0 => filter.channels = Channels(0).with(Channel::Ecommerce).with(Channel::Atm),
            1 => filter.kinds = Kinds::of(TransactionKind::Cash),
            2 => filter.mcc[0] = MccRange { first: 5000, last: 5999 },
            3 => filter.country = 276,
            4 => filter.currency = Some(currency(chance)),
            5 => filter.merchant = MerchantPrint(1),
            _ => {}
        }
        filter
    }

    fn limit(chance: &mut Chance) -> Limit {
        let offset = UtcOffset::new(chance.one_of(&[0, -300, 345])).expect("an offset");
        let sliding = |seconds| Window::sliding(seconds).expect("a window");
        let window = chance.one_of(&[
            Window::Transaction,
            Window::Day(offset),
            Window::Week(offset),
            Window::Month(offset),
            Window::Year(offset),
            Window::Lifetime,
            sliding(3_600),
            sliding(86_400),
            sliding(30 * 86_400),
        ]);
        let counts = chance.below(3) == 0 && window != Window::Transaction;
        Limit {
            measure: if counts { Measure::Count } else { Measure::Amount(currency(chance)) },
            max: if counts { chance.below(6) as i64 } else { chance.below(900) as i64 },
            window,
            filter: filter(chance),
        }
    }

    fn control(chance: &mut Chance) -> Control {
        let rule = chance.one_of(&[Rule::Allow, Rule::Deny, Rule::Deny]);
        let made = match chance.below(5) {
            0 => Control::mcc(rule, &[MccRange { first: 7995, last: 7995 }]),
            1 => Control::countries(rule, &[276]),
            2 => Control::channels(rule, Channels(0).with(Channel::Atm)),
            3 => Control::merchants(rule, &[MerchantPrint(2)]),
            _ => Some(Control::FIRST_MERCHANT),
        };
        made.expect("a control")
    }

    const CARDS: u64 = 3;

    /// Cards 1 and 2 are of wallet 1, card 3 of wallet 2.
    fn owners(chance: &mut Chance) -> Owners {
        let card = chance.below(CARDS) + 1;
        Owners { card: CardRef(card), wallet: WalletId(card / 3 + 1) }
    }

    fn subject(chance: &mut Chance) -> Subject {
        let owners = owners(chance);
        chance.one_of(&owners.subjects())
    }

    fn number(chance: &mut Chance) -> u8 {
        chance.one_of(&[1, 2, 3, 16])
    }

    /// How far time goes on from one event to the next, seconds.
    fn pause(chance: &mut Chance) -> u64 {
        let longest = chance.one_of(&[1, 60, 1_500, 40_000, 700_000, 12_000_000]);
        chance.below(longest + 1)
    }

    struct History {
        chance: Chance,
        limits: Limits,
        model: Model,
        record: u64,
        now: u64,
    }

    impl History {
        fn new(seed: u64) -> Self {
            Self {
                chance: Chance(seed),
                limits: Limits::with_capacity(24, 400, seed),
                model: Model::default(),
                record: 1,
                now: 1_790_000_000 + seed % 10_000_000,
            }
        }

        fn time(&self) -> Timestamp {
            Timestamp::from_seconds(self.now)
        }

        fn step(&mut self) {
            self.record += 1;
            self.now += pause(&mut self.chance);
            match self.chance.below(12) {
                0 | 1 => self.set_limit(),
                2 => self.set_control(),
                3..=7 => self.authorize(),
                8 => self.change(),
                9 => self.capture(),
                _ => self.end(),
            }
        }

        fn set_limit(&mut self) {
            let (subject, number) = (subject(&mut self.chance), number(&mut self.chance));
            let known = self.model.limits.iter().find(|(of, n, ..)| (*of, *n) == (subject, number));
            let limit = match (self.chance.below(4), known) {
                (0, _) => None,
                // Only how much.
                (1, Some((.., limit))) => Some(Limit { max: limit.max + 100, ..*limit }),
                _ => Some(limit(&mut self.chance)),
            };
            let at = Number::new(number).expect("a number");
            let set = self.limits.set_limit(Sequence(self.record), self.time(), subject, at, limit);
            set.expect("room");
            self.model.set_limit(self.record, subject, number, limit);
        }

        fn set_control(&mut self) {
            let (subject, number) = (subject(&mut self.chance), number(&mut self.chance));
            let control = (self.chance.below(3) > 0).then(|| control(&mut self.chance));
            let at = Number::new(number).expect("a number");
            self.limits.set_control(subject, at, control).expect("room");
            let known = self.model.controls.iter().position(|(of, n, ..)| (*of, *n) == (subject, number));
            let before = known.map(|at| self.model.controls.remove(at));
            let kept = before.filter(|before| Some(before.2) == control).map_or(0, |before| before.3);
            self.model.controls.extend(control.map(|control| (subject, number, control, kept)));
            self.model.controls.sort_by_key(|(of, n, ..)| (*of, *n));
        }

        /// Decides as the authorizer does; some uses are forced, as an advice does.
        fn authorize(&mut self) {
            let (owners, usage) = (owners(&mut self.chance), usage(&mut self.chance));
            let amount = Money::new(self.chance.below(300) as i64 + 1, currency(&mut self.chance));
            let barred = self.limits.refused_by_control(owners, &usage);
            assert_eq!(barred, self.model.bars(owners, &usage), "controls of {owners:?} and {usage:?}");
            let one_more = self.chance.below(5) > 0;
            let refused = self.limits.refused_by_limit(owners, &usage, amount, one_more, self.time());
            let expected = self.model.refuses(owners, &usage, amount, one_more, self.now);
            assert_eq!(refused, expected, "limits of {owners:?} and {usage:?}");
            let forced = self.chance.below(5) == 0;
            if !forced && barred.or(refused).is_some() {
                return;
            }
            let part = if forced { amount } else { Money::new((amount.minor + 1) / 2, amount.currency) };
            let counted =
                self.limits.count(owners, [Sequence(self.record); 2], &usage, part, one_more, self.time());
            counted.expect("room");
            for (of, _, control, locked) in &mut self.model.controls {
                let owned = owners.subjects().contains(of) && control.aspect() == Aspect::FirstMerchant;
                *locked = if owned && *locked == 0 { usage.merchant.0 } else { *locked };
            }
            let (record, at) = (self.record, self.now);
            let piece = Piece { record, owner: record, owners, usage, at, amount: part, one_more };
            self.model.pieces.push(piece);
        }

        /// An authorization that can still be changed, with the pieces that the limits keep, the latest first.
        fn known(&mut self) -> Option<(Owners, Sequence, Vec<usize>)> {
            let open: Vec<u64> =
                self.model.pieces.iter().map(|piece| piece.owner).filter(|owner| *owner != 0).collect();
            let owner = (!open.is_empty()).then(|| self.chance.one_of(&open))?;
            let kept: Vec<u64> =
                self.limits.counted_of(Sequence(owner)).map(|counted| counted.record.0).collect();
            let at = |record: &u64| self.model.pieces.iter().position(|piece| piece.record == *record);
            let pieces: Vec<usize> = kept.iter().filter_map(at).collect();
            assert!(pieces.iter().all(|at| self.model.pieces[*at].owner == owner));
            assert!(kept.is_sorted_by(|later, earlier| later > earlier));
            let owners = self.model.pieces.iter().find(|piece| piece.owner == owner)?.owners;
            Some((owners, Sequence(owner), pieces))
        }

        /// A reversal of a part, or an advice with another amount, and sometimes of another account.
        fn change(&mut self) {
            let Some((owners, owner, kept)) = self.known() else { return };
            let mut more = self.chance.below(400) as i64 - 200;
            if self.chance.below(6) == 0 {
                let currency = currency(&mut self.chance);
                more = more.abs() + 1;
                self.limits.replace(owners, owner, Money::new(more, currency));
                kept.iter().for_each(|at| self.model.pieces[*at].amount = Money::new(0, currency));
            } else {
                self.limits.change(owners, owner, more);
            }
            for (n, at) in kept.into_iter().enumerate() {
                let amount = &mut self.model.pieces[at].amount.minor;
                let step = if more > 0 { if n == 0 { more } else { 0 } } else { more.max(-*amount) };
                *amount += step;
                more -= step;
            }
        }

        /// An authorization is posted by a message of its own, alone or with another one of the same card.
        fn capture(&mut self) {
            let Some((owners, owner, _)) = self.known() else { return };
            let (other_owners, other, _) = self.known().unwrap_or((owners, owner, Vec::new()));
            let both = if other_owners == owners { vec![owner, other] } else { vec![owner] };
            for from in both {
                self.limits.hand_over(from, Sequence(self.record));
                let pieces = self.model.pieces.iter_mut().filter(|piece| piece.owner == from.0);
                pieces.for_each(|piece| piece.owner = self.record);
            }
        }

        /// It is reversed, or leaves memory as it is.
        fn end(&mut self) {
            let Some((owners, owner, kept)) = self.known() else { return };
            if self.chance.below(3) == 0 {
                self.limits.forget(owner);
            } else {
                self.limits.undo(owners, owner);
                kept.iter().for_each(|at| {
                    let piece = &mut self.model.pieces[*at];
                    (piece.amount.minor, piece.one_more) = (0, false);
                });
            }
            self.model.pieces.iter_mut().filter(|piece| piece.owner == owner.0).for_each(|p| p.owner = 0);
            assert_eq!(self.limits.counted_of(owner).next(), None);
        }

        /// Every limit shows what the model adds up.
        fn compare(&self) {
            let mut shown = 0;
            let subjects = (1..=CARDS).map(|card| Subject::Card(CardRef(card)));
            for subject in subjects.chain([1, 2].map(|wallet| Subject::Wallet(WalletId(wallet)))) {
                let views = self.limits.limits_of(subject, self.time());
                assert!(views.is_sorted_by_key(|view| view.number));
                for view in views {
                    let set = self.model.limits.iter();
                    let known = set.clone().find(|(of, n, ..)| (*of, *n) == (subject, view.number.get()));
                    let known = known.expect("a limit that was set");
                    assert_eq!((view.limit, view.used), (known.3, self.model.used(known, self.now)));
                    shown += 1;
                }
            }
            assert_eq!(shown, self.model.limits.len());
        }
    }

    #[test]
    fn r18_counters_agree_with_a_model_that_adds_everything_up_again() {
        for seed in 0..3_000 {
            let mut history = History::new(seed);
            for _ in 0..80 {
                history.step();
                history.compare();
            }
        }
    }

    #[test]
    fn r18_a_sliding_window_is_exact_to_a_sixtieth_of_its_length() {
        let mut chance = Chance(18);
        for length in [60, 3_600, 86_400] {
            let window = Window::sliding(length).expect("a window");
            let (length, part) = (u64::from(length), u64::from(length) / 60);
            let mut now = 1_790_000_000;
            let mut sliding = Sliding::new(window.index(now));
            let mut added: Vec<(u64, i64)> = Vec::new();
            for _ in 0..3_000 {
                now += chance.below(length / 20 + 2);
                let amount = chance.below(1_000) as i64;
                sliding.add(window.index(now), amount);
                added.push((now, amount));
                let later = now + chance.below(length + part * 3);
                let within = |longest: u64| {
                    let recent = added.iter().filter(|(at, _)| later - at < longest);
                    recent.map(|(_, amount)| amount).sum::<i64>()
                };
                let used = sliding.used(window.index(later));
                assert!(within(length) <= used, "no window of this length holds more than is counted");
                assert!(
                    used <= within(length + part),
                    "what is counted is let go of a sixtieth late at most"
                );
            }
        }
    }

    const DOLLARS: u16 = 840;
    const OWNERS: Owners = Owners { card: CardRef(7), wallet: WalletId(9) };

    fn dollars(minor: i64) -> Money {
        Money::new(minor, Currency::new(DOLLARS).expect("dollars"))
    }

    fn of_day(max: i64, window: Window) -> Limit {
        let measure = Measure::Amount(Currency::new(DOLLARS).expect("dollars"));
        Limit { measure, max, window, filter: Filter::ALL }
    }

    /// A limit of 100.00 a day on the card, and what is left of it after some events.
    #[test]
    fn r18_what_is_given_back_goes_to_where_it_was_counted() {
        let day = Window::Day(UtcOffset::default());
        let (first, number) = (1_790_000_000 - 1_790_000_000 % 86_400, Number::new(1).expect("a number"));
        let at = |day: u64, second: u64| Timestamp::from_seconds(first + day * 86_400 + second);
        let subject = Subject::Card(OWNERS.card);
        let mut limits = Limits::with_capacity(4, 8, 1);
        let set =
            |limits: &mut Limits, by, limit| limits.set_limit(Sequence(by), at(0, 0), subject, number, limit);
        set(&mut limits, 1, Some(of_day(10_000, day))).expect("room");
        let used = |limits: &Limits, now| limits.limits_of(subject, now)[0].used;
        let usage = Usage::default();
        let count = |limits: &mut Limits, record, amount, time| {
            limits.count(OWNERS, [Sequence(record); 2], &usage, dollars(amount), true, time).expect("room");
        };
        count(&mut limits, 2, 6_000, at(0, 86_399));
        count(&mut limits, 3, 3_000, at(1, 0));
        assert_eq!((used(&limits, at(0, 86_399)), used(&limits, at(1, 0))), (3_000, 3_000));
        // The day of the first is over: it gives nothing back to the next.
        limits.undo(OWNERS, Sequence(2));
        assert_eq!(used(&limits, at(1, 1)), 3_000);
        // A part of the second, then the whole, and the whole again.
        limits.change(OWNERS, Sequence(3), -2_000);
        assert_eq!(used(&limits, at(1, 2)), 1_000);
        for _ in 0..2 {
            limits.undo(OWNERS, Sequence(3));
            assert_eq!(used(&limits, at(1, 3)), 0);
        }
        // A limit of this number that was set later has not counted it.
        count(&mut limits, 4, 5_000, at(1, 4));
        set(&mut limits, 5, Some(of_day(10_000, Window::Lifetime))).expect("room");
        count(&mut limits, 6, 700, at(1, 5));
        limits.undo(OWNERS, Sequence(4));
        assert_eq!(used(&limits, at(1, 6)), 700);
        // More may be spent, and what was counted stays.
        set(&mut limits, 7, Some(of_day(99_999, Window::Lifetime))).expect("room");
        assert_eq!(used(&limits, at(9, 0)), 700);
        set(&mut limits, 8, None).expect("room");
        assert!(limits.limits_of(subject, at(9, 0)).is_empty());
        limits.undo(OWNERS, Sequence(6));
        assert!(limits.counted.is_empty() && limits.counters.is_empty());
    }

    #[test]
    fn r18_full_tables_are_told_and_change_nothing() {
        let mut limits = Limits::with_capacity(1, 1, 1);
        let (one, two) = (Number::new(1).expect("a number"), Number::new(2).expect("a number"));
        let subject = Subject::Wallet(OWNERS.wallet);
        let limit = Some(of_day(100, Window::sliding(3_600).expect("a window")));
        let now = Timestamp::from_seconds(1_790_000_000);
        assert!(limits.has_room_for_limit(subject, two) && limits.has_room_for_control(subject, two));
        limits.set_limit(Sequence(1), now, subject, one, limit).expect("room");
        assert!(limits.has_room_for_limit(subject, one) && !limits.has_room_for_limit(subject, two));
        let full = limits.set_limit(Sequence(2), now, subject, two, limit);
        assert_eq!(full, Err(Full("limits")));
        // The same number again needs no room, and neither does another after it was removed.
        for n in 3..9 {
            limits
                .set_limit(Sequence(n), now, subject, one, Some(of_day(1, Window::Lifetime)))
                .expect("room");
            limits.set_limit(Sequence(n), now, subject, one, None).expect("room");
            limits.set_limit(Sequence(n), now, subject, one, limit).expect("room");
        }
        let usage = Usage::default();
        assert!(limits.has_room_to_count());
        limits.count(OWNERS, [Sequence(10); 2], &usage, dollars(5), true, now).expect("room");
        assert!(!limits.has_room_to_count());
        let full = limits.count(OWNERS, [Sequence(11); 2], &usage, dollars(5), true, now);
        assert_eq!(full, Err(Full("counted")));
        assert_eq!(limits.limits_of(subject, now)[0].used, 5);
        limits.forget(Sequence(10));
        limits.count(OWNERS, [Sequence(12); 2], &usage, dollars(5), true, now).expect("room");
        assert_eq!(limits.limits_of(subject, now)[0].used, 10);
    }
}
