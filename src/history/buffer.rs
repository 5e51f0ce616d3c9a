//! Rows that are in memory only, until they are flushed.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;

use super::entry::Day;
use super::entry::VERSION;
use super::entry::key;
use super::error::Full;

/// A row with the day that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffered<const N: usize> {
    pub(super) day: Day,
    pub(super) row: [u64; N],
}

/// Rows by their keys, a bounded number of them; of two with one key the one that counts.
#[derive(Debug)]
pub(super) struct Buffer<const N: usize> {
    rows: BTreeMap<u128, Buffered<N>>,
    /// How many rows each day has.
    days: BTreeMap<Day, usize>,
    room: usize,
}

impl<const N: usize> Buffer<N> {
    pub(super) const fn with_room_for(rows: usize) -> Self {
        Self { rows: BTreeMap::new(), days: BTreeMap::new(), room: rows }
    }

    /// Takes a row, unless one with its key and the same or a later version is here.
    pub(super) fn insert(&mut self, day: Day, row: [u64; N]) -> Result<(), Full> {
        let key = key(row[0], row[1]);
        let full = self.rows.len() >= self.room;
        match self.rows.get_mut(&key) {
            None if full => return Err(Full),
            None => {
                self.rows.insert(key, Buffered { day, row });
            }
            Some(before) if before.row[VERSION] >= row[VERSION] => return Ok(()),
            Some(before) => {
                let Buffered { day: left, .. } = std::mem::replace(before, Buffered { day, row });
                self.leave(left, 1);
            }
        }
        *self.days.entry(day).or_default() += 1;
        Ok(())
    }

    fn leave(&mut self, day: Day, rows: usize) {
        if let Some(count) = self.days.get_mut(&day) {
            *count -= rows;
            if *count == 0 {
                self.days.remove(&day);
            }
        }
    }

    pub(super) fn get(&self, key: u128) -> Option<&Buffered<N>> {
        self.rows.get(&key)
    }

    pub(super) fn range(&self, from: u128, to: u128) -> Range<'_, u128, Buffered<N>> {
        self.rows.range(from..=to)
    }

    /// The rows of a day in the order of their keys.
    pub(super) fn of_day(&self, day: Day) -> impl Iterator<Item = &[u64; N]> {
        self.rows.values().filter(move |buffered| buffered.day == day).map(|buffered| &buffered.row)
    }

    /// The days that have rows.
    pub(super) fn days(&self) -> impl Iterator<Item = Day> {
        self.days.keys().copied()
    }

    pub(super) fn has_day(&self, day: Day) -> bool {
        self.days.contains_key(&day)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn clear(&mut self) {
        self.rows.clear();
        self.days.clear();
    }

    /// Lets go of the rows of earlier days.
    pub(super) fn drop_before(&mut self, day: Day) {
        if self.days().any(|known| known < day) {
            self.rows.retain(|_, buffered| buffered.day >= day);
            self.days.retain(|known, _| *known >= day);
        }
    }
}
