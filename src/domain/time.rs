//! Points in time, and the shortened dates that messages carry.

use std::fmt;

/// Nanoseconds in a second.
pub const NANOS_PER_SECOND: u64 = 1_000_000_000;
const NANOS_PER_MS: u64 = 1_000_000;
/// Seconds in a day without a leap second.
pub const SECONDS_PER_DAY: i64 = 86_400;

/// A point in time: nanoseconds since 1970-01-01 UTC. Always an argument, never read from a clock here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This many whole seconds since 1970.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND))
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0 / NANOS_PER_SECOND
    }

    /// Later by this many milliseconds.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms.saturating_mul(NANOS_PER_MS)))
    }

    /// Year, month, day, hour, minute and second in UTC.
    #[must_use]
    pub fn civil(self) -> Civil {
        let seconds = self.seconds() as i64;
        let (year, month, day) = civil_from_days(seconds.div_euclid(SECONDS_PER_DAY));
        let rest = seconds.rem_euclid(SECONDS_PER_DAY) as u32;
        Civil { year, month, day, hour: rest / 3600, minute: rest / 60 % 60, second: rest % 60 }
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.civil();
        let ms = self.0 / 1_000_000 % 1000;
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{ms:03}Z",
            c.year, c.month, c.day, c.hour, c.minute, c.second
        )
    }
}

/// What time it is, by two clocks. Records carry the wall clock's time, which somebody may set; how long something has
/// taken, and whether it is too late (R3), goes by a clock that only runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// The wall clock.
    pub wall: Timestamp,
    /// Nanoseconds since a moment that is fixed for the process; they never go back, and are never zero.
    pub elapsed_ns: u64,
}

impl Now {
    /// By a wall clock that nobody sets.
    #[must_use]
    pub const fn by(wall: Timestamp) -> Self {
        Self { wall, elapsed_ns: wall.0 }
    }

    /// So many milliseconds later, by both clocks.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        let elapsed_ns = self.elapsed_ns.saturating_add(ms.saturating_mul(NANOS_PER_MS));
        Self { wall: self.wall.plus_ms(ms), elapsed_ns }
    }

    /// Nanoseconds that have passed since then.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.elapsed_ns.saturating_sub(earlier.elapsed_ns)
    }
}

/// A date and time of the proleptic Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Civil {
    /// For example 2026.
    pub year: i32,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
}

const fn civil_from_days(days: i64) -> (i32, u32, u32) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = (day_of_year - (153 * month_from_march + 2) / 5 + 1) as u32;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 } as u32;
    let year = (year_of_era + era * 400 + if month <= 2 { 1 } else { 0 }) as i32;
    (year, month, day)
}

/// Days from 1970-01-01 to a date: whole 400-year eras plus the day within one, years starting in March.
#[must_use]
pub const fn days_from_civil(year: i32, month: u32, day: u32) -> i64 {
    let year = year as i64 - if month <= 2 { 1 } else { 0 };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month as i64 + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day as i64 - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Transmission date and time (DE 7): MMDDhhmmss in UTC, without a year.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TransmissionTime(u32);

impl TransmissionTime {
    /// From the ten digits as a number; `None` when that is no date or no time of day. 29 February is a date.
    #[must_use]
    pub const fn new(mmddhhmmss: u32) -> Option<Self> {
        let (hour, minute, second) = (mmddhhmmss / 10_000 % 100, mmddhhmmss / 100 % 100, mmddhhmmss % 100);
        let valid = Self::is_date(mmddhhmmss / 1_000_000) && hour < 24 && minute < 60 && second < 60;
        if valid { Some(Self(mmddhhmmss)) } else { None }
    }

    /// Whether four digits, MMDD (DE 13), are a date. 29 February is one.
    #[must_use]
    pub const fn is_date(mmdd: u32) -> bool {
        /// Days by month of a year with 29 February; none where there is no month.
        const DAYS: [u32; 16] = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31, 0, 0, 0];
        let (month, day) = (mmdd / 100, mmdd % 100);
        month < 16 && day >= 1 && day <= DAYS[month as usize]
    }

    /// The ten digits as a number.
    #[must_use]
    pub const fn digits(self) -> u32 {
        self.0
    }

    /// What a message sent at `now` carries.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        let c = now.civil();
        Self((((c.month * 100 + c.day) * 100 + c.hour) * 100 + c.minute) * 100 + c.second)
    }
}

impl fmt::Debug for TransmissionTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}", self.0)
    }
}

/// Expiration date of a card (DE 14): YYMM, valid through the month's last day (R27).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Expiry(u16);

impl Expiry {
    /// From the four digits as a number; `None` when the month is not 1 to 12.
    #[must_use]
    pub const fn new(yymm: u16) -> Option<Self> {
        if yymm <= 9912 && yymm % 100 >= 1 && yymm % 100 <= 12 { Some(Self(yymm)) } else { None }
    }

    /// The four digits as a number.
    #[must_use]
    pub const fn digits(self) -> u16 {
        self.0
    }

    /// Whether the month is over at `now`, seen from a time zone `offset_minutes` east of UTC.
    #[must_use]
    pub fn is_past(self, now: Timestamp, offset_minutes: i32) -> bool {
        let local = (now.seconds() as i64).saturating_add(i64::from(offset_minutes) * 60).max(0) as u64;
        let c = Timestamp::from_seconds(local).civil();
        (c.year, c.month) > (2000 + i32::from(self.0 / 100), u32::from(self.0 % 100))
    }
}

impl fmt::Debug for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(year: i32, month: u32, day: u32, of_day: i64) -> Timestamp {
        Timestamp::from_seconds((days_from_civil(year, month, day) * SECONDS_PER_DAY + of_day) as u64)
    }

    #[test]
    fn civil_dates_there_and_back() {
        for days in -200_000..200_000 {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
        assert_eq!(at(2026, 11, 23, 3661).to_string(), "2026-11-23T01:01:01.000Z");
    }

    #[test]
    fn r27_what_is_no_moment_of_any_year_is_refused() {
        for none in [1_331_000_000, 230_000_000, 431_000_000, 101_240_000, 101_006_000, 0] {
            assert_eq!(TransmissionTime::new(none), None);
        }
        assert!(TransmissionTime::new(229_120_000).is_some());
    }

    #[test]
    fn r27_a_card_is_valid_through_its_months_last_day() {
        let expiry = Expiry::new(2612).expect("a month");
        let last_second = at(2026, 12, 31, 86_399);
        for (now, offset, past) in
            [(last_second, 0, false), (last_second, 60, true), (at(2027, 1, 1, 0), 0, true)]
        {
            assert_eq!(expiry.is_past(now, offset), past);
        }
        assert!(!expiry.is_past(at(2027, 1, 1, 0), -60));
        assert_eq!((Expiry::new(2613), Expiry::new(2600)), (None, None));
    }
}
