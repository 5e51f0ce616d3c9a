//! Rows that are in memory only, until they are flushed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::collections::btree_map::Range;

use super::entry::Day;
use super::entry::Row;
use super::entry::VERSION;
use super::entry::key;
use super::error::Full;

/// A row with the day that it belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Buffered {
    pub(super) day: Day,
    pub(super) row: Row,
}

/// Rows by their keys, a bounded number of them; of two with one key the one that counts.
#[derive(Debug)]
pub(super) struct Buffer {
    /// Where the row of a key is: rows are large, and a tree would move them about.
    places: BTreeMap<u128, u32>,
    rows: Vec<Buffered>,
    /// How many rows each day has.
    days: BTreeMap<Day, usize>,
    room: usize,
}

impl Buffer {
    pub(super) const fn with_room_for(rows: usize) -> Self {
        Self { places: BTreeMap::new(), rows: Vec::new(), days: BTreeMap::new(), room: rows }
    }

    /// Takes a row, unless one with its key and the same or a later version is here.
    pub(super) fn insert(&mut self, day: Day, row: Row) -> Result<(), Full> {
        let next = self.rows.len();
        match self.places.entry(key(&row)) {
            Entry::Vacant(_) if next >= self.room => return Err(Full),
            Entry::Vacant(place) => {
                place.insert(next as u32);
                self.rows.push(Buffered { day, row });
            }
            Entry::Occupied(place) => {
                let before = &mut self.rows[*place.get() as usize];
                if before.row[VERSION] >= row[VERSION] {
                    return Ok(());
                }
                let Buffered { day: left, .. } = std::mem::replace(before, Buffered { day, row });
                self.leave(left);
            }
        }
        *self.days.entry(day).or_default() += 1;
        Ok(())
    }

    fn leave(&mut self, day: Day) {
        if let Some(count) = self.days.get_mut(&day) {
            *count -= 1;
            if *count == 0 {
                self.days.remove(&day);
            }
        }
    }

    pub(super) fn get(&self, key: u128) -> Option<&Buffered> {
        self.places.get(&key).map(|place| &self.rows[*place as usize])
    }

    /// The rows between two keys, in the order of their keys.
    pub(super) fn range(&self, from: u128, to: u128) -> InOrder<'_> {
        InOrder { places: self.places.range(from..=to), rows: &self.rows }
    }

    /// The rows of a day in the order of their keys.
    pub(super) fn of_day(&self, day: Day) -> impl Iterator<Item = &Row> {
        let rows = self.range(0, u128::MAX).map(|(_, buffered)| buffered);
        rows.filter(move |buffered| buffered.day == day).map(|buffered| &buffered.row)
    }

    /// How many different cards a day has.
    pub(super) fn cards_of_day(&self, day: Day) -> u64 {
        // Mostly there is one day only, and then no row has to be looked at.
        let is_only = self.days.len() == 1;
        let is_of_day = |place: u32| is_only || self.rows[place as usize].day == day;
        let (mut cards, mut last) = (0, None);
        for (key, _) in self.places.iter().filter(|(_, place)| is_of_day(**place)) {
            cards += u64::from(last != Some(key >> 64));
            last = Some(key >> 64);
        }
        cards
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

    pub(super) fn is_half_full(&self) -> bool {
        self.rows.len() >= self.room.div_ceil(2)
    }

    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.rows.clear();
        self.days.clear();
    }

    /// Lets go of the rows of earlier days.
    pub(super) fn drop_before(&mut self, day: Day) {
        if self.days().all(|known| known >= day) {
            return;
        }
        self.rows.retain(|buffered| buffered.day >= day);
        self.days.retain(|known, _| *known >= day);
        let keys = self.rows.iter().map(|buffered| key(&buffered.row));
        self.places = keys.zip(0..).collect();
    }
}

/// Rows in the order of their keys.
#[derive(Debug)]
pub(super) struct InOrder<'a> {
    places: Range<'a, u128, u32>,
    rows: &'a [Buffered],
}

impl<'a> Iterator for InOrder<'a> {
    type Item = (u128, &'a Buffered);

    fn next(&mut self) -> Option<Self::Item> {
        self.places.next().map(|(key, place)| (*key, &self.rows[*place as usize]))
    }
}
