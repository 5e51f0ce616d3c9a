//! Days of the calendar, for what carries a date and no moment: clearing records above all.

use std::fmt;

use crate::domain::time::Timestamp;

/// A day of the Gregorian calendar in the years 1 to 9999. It knows no time zone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    year: u16,
    month: u8,
    day: u8,
}

impl Day {
    /// This day; `None` when there is none such.
    #[must_use]
    pub const fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let exists = year >= 1 && year <= 9999 && day >= 1 && day <= days_of(year, month);
        if exists { Some(Self { year, month, day }) } else { None }
    }

    /// The day that `now` is in, in UTC.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        let civil = now.civil();
        // Nanoseconds since 1970 in 64 bits end in the year 2554.
        Self { year: civil.year as u16, month: civil.month as u8, day: civil.day as u8 }
    }

    /// The day of this month and date that is nearest to `to` (R27); `None` when no year has it. Of two that are
    /// equally near it is the earlier one. 29 February is looked for in leap years.
    #[must_use]
    pub fn nearest(month: u8, day: u8, to: Self) -> Option<Self> {
        // Between two leap years there are at most eight years.
        let years = to.year.saturating_sub(8)..=to.year.saturating_add(8);
        let days = years.filter_map(|year| Self::new(year, month, day));
        days.min_by_key(|other| other.number().abs_diff(to.number()))
    }

    /// The year.
    #[must_use]
    pub const fn year(self) -> u16 {
        self.year
    }

    /// The month, 1 to 12.
    #[must_use]
    pub const fn month(self) -> u8 {
        self.month
    }

    /// The day of the month, 1 to 31.
    #[must_use]
    pub const fn day(self) -> u8 {
        self.day
    }

    /// The day of the year, 1 to 366.
    #[must_use]
    pub const fn of_year(self) -> u16 {
        let (mut month, mut before) = (1, 0);
        while month < self.month {
            before += days_of(self.year, month) as u16;
            month += 1;
        }
        before + self.day as u16
    }

    /// Days since the last day of the year 0, so that days can be counted.
    #[must_use]
    pub const fn number(self) -> u32 {
        let years = self.year as u32 - 1;
        years * 365 + years / 4 - years / 100 + years / 400 + self.of_year() as u32
    }
}

const fn days_of(year: u16, month: u8) -> u8 {
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => 0,
    }
}

impl fmt::Display for Day {
    /// ISO 8601.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A time of day in an unknown zone, to the second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeOfDay(u32);

impl TimeOfDay {
    /// From six digits hhmmss as a number; `None` when that is no time of day.
    #[must_use]
    pub const fn new(hhmmss: u32) -> Option<Self> {
        let valid = hhmmss / 10_000 < 24 && hhmmss / 100 % 100 < 60 && hhmmss % 100 < 60;
        if valid { Some(Self(hhmmss)) } else { None }
    }

    /// The six digits as a number.
    #[must_use]
    pub const fn digits(self) -> u32 {
        self.0
    }
}

impl fmt::Display for TimeOfDay {
    /// ISO 8601.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.0 / 10_000, self.0 / 100 % 100, self.0 % 100)
    }
}

impl fmt::Debug for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: u16, month: u8, day: u8) -> Day {
        Day::new(year, month, day).expect("a day")
    }

    #[test]
    fn days_are_counted_one_by_one() {
        let first = day(1970, 1, 1).number();
        for days in 0..90 * 366 {
            let of_clock = Day::at(Timestamp::from_seconds(u64::from(days) * 86_400 + 86_399));
            assert_eq!(of_clock.number(), first + days, "{of_clock}");
            assert_eq!(Day::new(of_clock.year(), of_clock.month(), of_clock.day()), Some(of_clock));
        }
        assert_eq!((day(2024, 12, 31).of_year(), day(2026, 3, 1).of_year()), (366, 60));
        for (year, month, date) in [(0, 1, 1), (2026, 0, 1), (2026, 13, 1), (2026, 2, 29), (2100, 2, 29)] {
            assert_eq!(Day::new(year, month, date), None);
        }
    }

    #[test]
    fn r27_a_date_without_a_year_takes_the_nearest_one() {
        let table = [
            // Month and date, seen from, and the year.
            ((12, 31), day(2027, 1, 1), 2026),
            ((1, 1), day(2026, 12, 31), 2027),
            ((11, 28), day(2026, 11, 28), 2026),
            ((6, 1), day(2026, 11, 28), 2026),
            ((5, 1), day(2026, 11, 28), 2027),
            ((2, 29), day(2026, 11, 28), 2028),
            ((2, 29), day(2026, 1, 28), 2024),
            ((2, 29), day(2104, 1, 1), 2104),
            ((2, 29), day(2098, 1, 1), 2096),
            ((2, 29), day(2102, 1, 1), 2104),
        ];
        for ((month, date), to, year) in table {
            assert_eq!(Day::nearest(month, date, to), Some(day(year, month, date)), "{to}");
        }
        for (month, date) in [(2, 30), (13, 1), (0, 0), (4, 31)] {
            assert_eq!(Day::nearest(month, date, day(2026, 11, 28)), None);
        }
    }

    #[test]
    fn times_of_day() {
        assert_eq!(TimeOfDay::new(235_959).map(|time| time.to_string()), Some("23:59:59".to_owned()));
        for none in [240_000, 6_000, 60, 1_000_000] {
            assert_eq!(TimeOfDay::new(none), None);
        }
    }
}
