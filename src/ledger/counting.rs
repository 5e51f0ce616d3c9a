//! Counting what authorizations take, and giving it back to the window in which it was counted (R18).

use crate::domain::control::Aspect;
use crate::domain::event::Sequence;
use crate::domain::limit::Measure;
use crate::domain::limit::Number;
use crate::domain::limit::Window;
use crate::domain::money::Money;
use crate::domain::time::Timestamp;
use crate::domain::usage::MerchantPrint;
use crate::domain::usage::Usage;

use super::limits::Counted;
use super::limits::Full;
use super::limits::Limits;
use super::limits::Owners;
use super::shard::hash_u64;
use super::slab::NONE;

impl Limits {
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
        let mut by = [0; 3];
        by[2] = self.open_counters(owners, record, usage, time)?;
        for (subject, by) in owners.subjects().into_iter().zip(&mut by) {
            for counter in self.counters(subject) {
                let counts = counter.limit.window != Window::Transaction && counter.limit.filter.fits(usage);
                *by |= counter.number.filter(|_| counts).map_or(0, Number::bit);
            }
        }
        if by != [0; 3] {
            let entry = Counted {
                authorization,
                record,
                amount: amount.minor,
                at_s: time.seconds() as u32,
                older: NONE,
                by,
                currency: amount.currency,
                first: one_more,
                product: owners.product.filter(|_| by[2] != 0),
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
    pub(super) fn undo(&mut self, owners: Owners, authorization: Sequence) {
        let Some(newest) = self.newest_of(authorization) else { return };
        self.for_each(newest, |limits, _, entry| {
            limits.shift(owners, entry, -entry.amount, -i64::from(entry.first));
        });
        self.forget(authorization);
    }

    /// An authorization takes so much more than before, or less. What is less goes back to where it was counted, the
    /// latest first; what is more is counted with the latest.
    pub(super) fn change(&mut self, owners: Owners, authorization: Sequence, more: i64) {
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
    pub(super) fn replace(&mut self, owners: Owners, authorization: Sequence, amount: Money) {
        let Some(newest) = self.newest_of(authorization) else { return };
        self.for_each(newest, |limits, position, entry| {
            limits.shift(owners, entry, -entry.amount, 0);
            *limits.counted.at_mut(position) = Counted { amount: 0, currency: amount.currency, ..*entry };
        });
        self.change(owners, authorization, amount.minor);
    }

    /// Counts one more use with what was counted of an authorization, unless one was counted with it already.
    pub(super) fn count_use(&mut self, owners: Owners, authorization: Sequence) {
        let counted = self.counted_of(authorization).any(|entry| entry.first);
        let Some(newest) = self.newest_of(authorization).filter(|_| !counted) else { return };
        let entry = Counted { first: true, ..*self.counted.at(newest) };
        *self.counted.at_mut(newest) = entry;
        self.shift(owners, &entry, 0, 1);
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
        let mut positions = [NONE; 4 * Number::MAX as usize];
        let mut places = positions.iter_mut();
        for (subject, by) in owners.subjects().into_iter().zip(entry.by) {
            let own = if by == 0 { [NONE; Number::MAX as usize] } else { self.counters_of(subject) };
            for (n, at) in own.into_iter().enumerate().filter(|(_, at)| *at != NONE) {
                if let (true, Some(place)) = (by >> n & 1 != 0, places.next()) {
                    *place = at;
                }
            }
        }
        if let Some(product) = entry.product {
            let numbers = (1..=Number::MAX).filter_map(Number::new);
            for number in numbers.filter(|number| entry.by[2] & number.bit() != 0) {
                for subject in owners.subjects() {
                    if let (Some(at), Some(place)) =
                        (self.product_counter(subject, product, number), places.next())
                    {
                        *place = at;
                    }
                }
            }
        }
        for position in positions.into_iter().filter(|at| *at != NONE) {
            self.shift_one(position, entry, amount, count);
        }
    }

    /// Adds to one counter, unless it was set after the entry was counted: one of the same number is another then.
    fn shift_one(&mut self, position: u32, entry: &Counted, amount: i64, count: i64) {
        let counter = self.counters.at_mut(position);
        if counter.since > entry.record {
            return;
        }
        let more = match counter.limit.measure {
            Measure::Count => count,
            Measure::Amount(currency) if currency == entry.currency => amount,
            Measure::Amount(_) => 0,
        };
        let index = self.zones.index(counter.subject, counter.limit.window, entry.at_s.into());
        if let Window::Sliding(_) = counter.limit.window {
            self.sliding.at_mut(counter.window).add(index, more);
            return;
        }
        if index > counter.window {
            (counter.window, counter.used) = (index, 0);
        }
        if index == counter.window {
            counter.used = counter.used.saturating_add(more);
        }
    }

    pub(super) fn newest_of(&self, authorization: Sequence) -> Option<u32> {
        let hash = hash_u64(authorization.0, self.seed);
        self.authorizations.find(hash, |at| self.counted.at(at).authorization == authorization)
    }
}
