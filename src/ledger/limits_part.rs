//! What limits have counted of one authorization, and where it goes when a part of it is posted by a record of its own
//! (R18, R20).

use crate::domain::closed;
use crate::domain::event::Sequence;
use crate::domain::money::Money;

use super::limits::Counted;
use super::limits::Full;
use super::limits::Limits;
use super::limits::Owners;
use super::slab::NONE;

impl Limits {
    /// What was counted of an authorization, the latest first.
    pub(super) fn counted_of(&self, authorization: Sequence) -> impl Iterator<Item = &Counted> {
        let newest = self.newest_of(authorization).map(|at| self.counted.at(at));
        std::iter::successors(newest, |entry| (entry.older != NONE).then(|| self.counted.at(entry.older)))
    }

    /// What is kept of what was counted of an authorization that leaves memory: the latest.
    pub(super) fn kept_of(&self, authorization: Sequence) -> Option<closed::Counted> {
        let latest = *self.counted_of(authorization).next()?;
        let Counted { record, amount, at_s, by, currency, first, product, .. } = latest;
        Some(closed::Counted { record, amount, at_s, by, currency, first, product })
    }

    /// Takes it back with an authorization that comes back.
    ///
    /// # Errors
    /// The table of counted authorizations is full.
    pub(super) fn take_back(&mut self, authorization: Sequence, of: &closed::Counted) -> Result<(), Full> {
        let closed::Counted { record, amount, at_s, by, currency, first, product } = *of;
        let older = NONE;
        let entry = Counted { authorization, record, amount, at_s, older, by, currency, first, product };
        self.insert_counted(entry)
    }

    /// Whether there is room for what comes back.
    #[must_use]
    pub fn has_room_to_take_back(&self) -> bool {
        !self.counted.is_full()
    }

    /// Gives as much of what was counted of an authorization as its part takes to the record that posts the
    /// part, in the window in which it was counted, so that a reversal of the part gives it back there. What
    /// the part takes `beyond` what that one held is counted with it. Nothing happens where the authorization
    /// was not counted, or in another currency: then it returns `false`.
    ///
    /// # Errors
    /// The table of counted authorizations is full.
    pub(super) fn part_over(
        &mut self,
        owners: Owners,
        held: Sequence,
        part: Sequence,
        taken: Money,
        beyond: i64,
    ) -> Result<bool, Full> {
        let Some(newest) = self.newest_of(held) else { return Ok(false) };
        let entry = *self.counted.at(newest);
        if entry.currency != taken.currency {
            return Ok(false);
        }
        let moved = taken.minor.min(entry.amount).max(0);
        self.counted.at_mut(newest).amount = entry.amount - moved;
        self.insert_counted(Counted {
            authorization: part,
            amount: moved,
            older: NONE,
            first: false,
            ..entry
        })?;
        if beyond > 0 {
            self.change(owners, part, beyond);
        }
        Ok(true)
    }
}
