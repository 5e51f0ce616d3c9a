//! Time zones as the books know them: by which offsets from UTC a customer's days begin, as the journal tells.
//!
//! The rules of a zone are changed by governments, and each machine may know another version of them. So no decision
//! asks for them: when a limit names a zone, its changes for the years ahead are journaled, in a record of the slot
//! ([`ZoneSet`]), and counted by from then on. Replay counts as live did, whatever it runs on.

use std::num::NonZeroU16;

use super::party::Slot;
use super::party::Text;
use super::time::SECONDS_PER_DAY;

/// The name of a zone in the IANA time zone database: `America/New_York`. The longest there is has 32 characters.
pub type ZoneName = Text<32>;

/// Minutes east of UTC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct UtcOffset(i16);

impl UtcOffset {
    /// The furthest west and east that time zones are.
    pub const RANGE: std::ops::RangeInclusive<i16> = -720..=840;

    /// An offset; `None` outside [`UtcOffset::RANGE`].
    #[must_use]
    pub const fn new(minutes: i16) -> Option<Self> {
        if minutes >= *Self::RANGE.start() && minutes <= *Self::RANGE.end() {
            Some(Self(minutes))
        } else {
            None
        }
    }

    /// Minutes east of UTC.
    #[must_use]
    pub const fn minutes(self) -> i16 {
        self.0
    }

    /// Seconds east of UTC.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0 as i64 * 60
    }

    /// The number of the day that a time is in: days since 1970.
    const fn day(self, seconds: i64) -> i64 {
        let local = seconds.saturating_add(self.seconds());
        if local < 0 { 0 } else { local / SECONDS_PER_DAY }
    }

    /// When a day begins, seconds since 1970.
    const fn midnight(self, day: i64) -> i64 {
        let begins = day.saturating_mul(SECONDS_PER_DAY).saturating_sub(self.seconds());
        if begins < 0 { 0 } else { begins }
    }
}

/// The number of a zone among those of its slot, from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ZoneNumber(NonZeroU16);

impl ZoneNumber {
    /// A number; `None` when it is 0.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        match NonZeroU16::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// From 1.
    #[must_use]
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    /// Its place in the list of its slot's zones.
    #[must_use]
    pub const fn at(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Where a customer's days begin.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Zone {
    /// Always so far from UTC.
    Fixed(UtcOffset),
    /// As the table of this zone says.
    Named(ZoneNumber),
}

impl Default for Zone {
    /// UTC.
    fn default() -> Self {
        Self::Fixed(UtcOffset::default())
    }
}

impl Zone {
    /// The number of the day that a time is in: days since 1970 in this zone. It never falls as time goes on.
    #[must_use]
    pub fn day(self, seconds: u64, zones: &[ZoneTable]) -> i64 {
        match self {
            Self::Fixed(offset) => offset.day(seconds as i64),
            Self::Named(number) => zones
                .get(number.at())
                .map_or(UtcOffset::default().day(seconds as i64), |zone| zone.day(seconds)),
        }
    }

    /// When a day begins, seconds since 1970.
    #[must_use]
    pub fn midnight(self, day: i64, zones: &[ZoneTable]) -> u64 {
        let begins = match self {
            Self::Fixed(offset) => offset.midnight(day),
            Self::Named(number) => {
                zones.get(number.at()).map_or(UtcOffset::default().midnight(day), |zone| zone.midnight(day))
            }
        };
        begins as u64
    }
}

/// From when on a zone is so far from UTC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ZoneChange {
    /// Seconds since 1970.
    pub from_s: u32,
    /// The offset from then on.
    pub offset: UtcOffset,
}

/// Changes of a zone in the order of time, as many as a record holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ZoneChanges {
    list: [ZoneChange; Self::MAX],
    len: u8,
}

impl ZoneChanges {
    /// The most that it holds: eight years of a zone with daylight saving.
    pub const MAX: usize = 16;

    /// These; `None` when there are none, too many, or they are not in the order of time.
    #[must_use]
    pub fn new(changes: &[ZoneChange]) -> Option<Self> {
        let in_order = changes.is_sorted_by(|one, next| one.from_s < next.from_s);
        if changes.is_empty() || !in_order {
            return None;
        }
        let mut list = [ZoneChange::default(); Self::MAX];
        list.get_mut(..changes.len())?.copy_from_slice(changes);
        Some(Self { list, len: changes.len() as u8 })
    }

    /// The changes.
    #[must_use]
    pub fn as_slice(&self) -> &[ZoneChange] {
        self.list.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// A zone as a slot knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZoneTable {
    name: ZoneName,
    /// In the order of time. Before the first one its offset counts too.
    changes: Vec<ZoneChange>,
}

impl ZoneTable {
    /// A zone with these changes; `None` when there are none, or they are not in the order of time.
    #[must_use]
    pub fn new(name: ZoneName, changes: Vec<ZoneChange>) -> Option<Self> {
        let in_order = changes.is_sorted_by(|one, next| one.from_s < next.from_s);
        (in_order && !changes.is_empty()).then_some(Self { name, changes })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> ZoneName {
        self.name
    }

    /// Its changes in the order of time.
    #[must_use]
    pub fn changes(&self) -> &[ZoneChange] {
        &self.changes
    }

    /// Puts these changes in the place of all that come at the time of the first of them or later.
    pub fn change(&mut self, changes: &ZoneChanges) {
        let changes = changes.as_slice();
        if let Some(first) = changes.first() {
            self.changes.truncate(self.changes.partition_point(|known| known.from_s < first.from_s));
            self.changes.extend_from_slice(changes);
        }
    }

    /// The offset at a time.
    #[must_use]
    pub fn offset(&self, seconds: u64) -> UtcOffset {
        let at = self.at(seconds as i64);
        self.changes.get(at).map_or_else(UtcOffset::default, |change| change.offset)
    }

    /// What is known from one time on, up to another: the offset then, and the changes between the two.
    #[must_use]
    pub fn from(&self, from_s: u32, until_s: u32) -> Vec<ZoneChange> {
        let first = ZoneChange { from_s, offset: self.offset(from_s.into()) };
        let later = self.changes.iter().filter(|change| change.from_s > from_s && change.from_s <= until_s);
        [first].into_iter().chain(later.copied()).collect()
    }

    /// The place of the change that counts at a time.
    fn at(&self, seconds: i64) -> usize {
        self.changes.partition_point(|change| i64::from(change.from_s) <= seconds).saturating_sub(1)
    }

    /// The number of the day that a time is in. Clocks that are set back over midnight do not begin the day before
    /// anew: a day lasts until the next one has begun, once.
    fn day(&self, seconds: u64) -> i64 {
        let (seconds, at) = (seconds as i64, self.at(seconds as i64));
        let Some(change) = self.changes.get(at) else { return UtcOffset::default().day(seconds) };
        let day = change.offset.day(seconds);
        let before = at.checked_sub(1).and_then(|before| self.changes.get(before));
        before.map_or(day, |before| day.max(before.offset.day(i64::from(change.from_s) - 1)))
    }

    /// When a day begins: at midnight, or where clocks are set forward over it, then.
    fn midnight(&self, day: i64) -> i64 {
        let ends = self.changes.iter().skip(1).map(|next| i64::from(next.from_s)).chain([i64::MAX]);
        let mut begins = 0;
        for ((n, change), end) in self.changes.iter().enumerate().zip(ends) {
            let start = if n == 0 { 0 } else { i64::from(change.from_s) };
            begins = change.offset.midnight(day).max(start);
            if begins < end {
                break;
            }
        }
        begins
    }
}

/// From when on a time zone is how far from UTC, for the limits of a slot. What was known of it from the first of these
/// changes on counts no more. A zone's first record gives it its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ZoneSet {
    /// The slot.
    pub slot: Slot,
    /// The zone's number in the slot.
    pub zone: ZoneNumber,
    /// Its name.
    pub name: ZoneName,
    /// The changes.
    pub changes: ZoneChanges,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::days_from_civil;

    const fn at(year: i32, month: u32, day: u32, minute: i64) -> i64 {
        days_from_civil(year, month, day) * SECONDS_PER_DAY + minute * 60
    }

    fn table(changes: &[(i64, i16)]) -> ZoneTable {
        let change = |(from_s, minutes): &(i64, i16)| ZoneChange {
            from_s: *from_s as u32,
            offset: UtcOffset::new(*minutes).expect("an offset"),
        };
        ZoneTable::new(ZoneName::from_ascii(b"Some/Where"), changes.iter().map(change).collect())
            .expect("a zone")
    }

    /// A day of the calendar, when it begins and when it ends, minutes of UTC on that date.
    type Row = (&'static [(i64, i16)], (i32, u32, u32), i64, i64);

    #[test]
    fn r18_days_are_as_long_as_the_clocks_say() {
        // Each zone has one change, at a minute of UTC of the date of the row before it.
        const ROWS: &[Row] = &[
            // Forward at two in the morning: 23 hours. Back: 25.
            (&[(0, -300), (at(2027, 3, 14, 420), -240)], (2027, 3, 14), 300, 1_680),
            (&[(0, -240), (at(2026, 11, 1, 360), -300)], (2026, 11, 1), 240, 1_740),
            // Forward at midnight: the day begins at one. Back at midnight: the day before has 25 hours.
            (&[(0, 120), (at(2026, 4, 23, 1_320), 180)], (2026, 4, 24), -120, 1_260),
            (&[(0, 180), (at(2026, 10, 29, 1_260), 120)], (2026, 10, 29), -180, 1_320),
            // Back over a midnight that was: the day has begun, and does not end again.
            (&[(0, -150), (at(2026, 11, 1, 151), -210)], (2026, 11, 1), 150, 1_650),
            // Half an hour, and a zone that leaves summer for good.
            (&[(0, 630), (at(2026, 10, 3, 930), 660)], (2026, 10, 4), -630, 780),
            (&[(0, 180), (at(2026, 10, 25, 60), 180)], (2026, 10, 25), -180, 1_260),
        ];
        let zone = Zone::Named(ZoneNumber::new(1).expect("a number"));
        for (n, (changes, (year, month, date), begins, ends)) in ROWS.iter().enumerate() {
            let zones = [table(changes)];
            let day = days_from_civil(*year, *month, *date);
            let [begins, ends] = [*begins, *ends].map(|minute| at(*year, *month, *date, minute));
            assert_eq!(zone.midnight(day, &zones) as i64, begins, "row {n}");
            assert_eq!(zone.midnight(day + 1, &zones) as i64, ends, "row {n}");
            let days = [begins - 1, begins, ends - 1, ends].map(|time| zone.day(time as u64, &zones) - day);
            assert_eq!(days, [-1, 0, 0, 1], "row {n}");
        }
    }

    #[test]
    fn a_day_never_comes_twice_and_begins_where_it_says() {
        // Changes of all sizes at all minutes around midnight, a day that is left out among them.
        for before in [-720, -210, 0, 60, 330, 840] {
            for after in [-720, -150, 0, 60, 120, 840] {
                for minute in (-90..90).step_by(7) {
                    let change = at(2026, 6, 10, minute - i64::from(before));
                    let zones = [table(&[(0, before), (change, after)])];
                    let zone = Zone::Named(ZoneNumber::new(1).expect("a number"));
                    let times = (change - 200_000..change + 200_000).step_by(300);
                    let days: Vec<i64> = times.clone().map(|time| zone.day(time as u64, &zones)).collect();
                    assert!(days.is_sorted(), "{before} {after} {minute}");
                    for (time, day) in times.zip(days) {
                        let begun = zone.midnight(day, &zones) as i64;
                        let next = zone.midnight(day + 1, &zones) as i64;
                        assert!(begun <= time && time < next, "{before} {after} {minute}: {time}");
                    }
                }
            }
        }
    }

    #[test]
    fn later_changes_take_the_place_of_those_that_were_expected() {
        let mut zone = table(&[(0, -300), (100, -240), (200, -300), (300, -240)]);
        let changes = |list: &[(u32, i16)]| {
            let list: Vec<ZoneChange> = list
                .iter()
                .map(|(from_s, minutes)| ZoneChange { from_s: *from_s, offset: UtcOffset(*minutes) })
                .collect();
            ZoneChanges::new(&list)
        };
        zone.change(&changes(&[(200, -180)]).expect("changes"));
        zone.change(&changes(&[(400, -300)]).expect("changes"));
        let known: Vec<(u32, i16)> = zone.changes().iter().map(|c| (c.from_s, c.offset.minutes())).collect();
        assert_eq!(known, [(0, -300), (100, -240), (200, -180), (400, -300)]);
        assert_eq!((zone.offset(0).minutes(), zone.offset(399).minutes()), (-300, -180));
        assert_eq!(changes(&[]), None);
        assert_eq!(changes(&[(2, 0), (2, 60)]), None);
        assert_eq!(changes(&[(0, 0); 17]), None);
    }
}
