//! Interest on an account: how it accrues from day to day, to the last unit.
//!
//! Each day in UTC an account earns `balance * rate / days of the year` of its balance at the day's end, as far as that
//! is above zero. What it earns is counted in parts of a unit that every rule comes out even in: a millionth of the
//! 1,603,080th, which 360, 365 and 366 all divide. So nothing is ever rounded but what is paid out: the whole units,
//! rounded down, and the rest stays for the next time.

use super::party::Slot;
use super::party::WalletId;
use super::time::SECONDS_PER_DAY;
use super::time::Timestamp;

/// How many days a year has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum DayCount {
    /// 365, in leap years too.
    Fixed365 = 1,
    /// 360: a year earns five or six days more than its rate.
    Fixed360 = 2,
    /// As many as it has.
    Actual = 3,
}

impl DayCount {
    /// Every rule with its name.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Fixed365, "actual/365"), (Self::Fixed360, "actual/360"), (Self::Actual, "actual/actual")];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        // They count from one.
        Self::ALL[self as usize - 1].1
    }

    /// The rule of this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).map(|(rule, _)| *rule)
    }

    /// How many parts of [`PARTS_OF_YEAR`] a day is.
    fn parts(self, day: DayNumber) -> u64 {
        match self {
            Self::Fixed365 => PARTS_OF_YEAR / 365,
            Self::Fixed360 => PARTS_OF_YEAR / 360,
            Self::Actual if day.is_of_leap_year() => PARTS_OF_YEAR / 366,
            Self::Actual => PARTS_OF_YEAR / 365,
        }
    }
}

/// What 360, 365 and 366 all divide.
const PARTS_OF_YEAR: u64 = 1_603_080;
/// So many parts are a whole unit.
pub const PARTS_OF_UNIT: u128 = PARTS_OF_YEAR as u128 * 1_000_000;

/// When interest is paid out.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum PaidOut {
    /// After each day.
    Daily = 1,
    /// After the last day of each month.
    Monthly = 2,
}

impl PaidOut {
    /// Each with its name.
    pub const ALL: [(Self, &'static str); 2] = [(Self::Daily, "daily"), (Self::Monthly, "monthly")];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        // They count from one.
        Self::ALL[self as usize - 1].1
    }

    /// The one of this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).map(|(paid, _)| *paid)
    }

    fn is_after(self, day: DayNumber) -> bool {
        match self {
            Self::Daily => true,
            Self::Monthly => day.is_last_of_month(),
        }
    }
}

/// What an account earns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Terms {
    /// So many millionths of the balance in a year.
    pub rate_ppm: u32,
    /// How many days the year has.
    pub day_count: DayCount,
    /// When it is paid out.
    pub paid_out: PaidOut,
}

impl Terms {
    /// The highest rate: ten times the balance in a year.
    pub const RATE_MAX_PPM: u32 = 10_000_000;

    /// How many parts a balance earns in a day; none when it is below zero.
    #[must_use]
    pub fn earned(&self, balance: i64, day: DayNumber) -> u128 {
        let balance = u128::from(balance.max(0).unsigned_abs());
        balance * u128::from(self.rate_ppm) * u128::from(self.day_count.parts(day))
    }
}

/// A day in UTC: days since 1970-01-01.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DayNumber(pub u32);

impl DayNumber {
    /// The day that a time is in.
    #[must_use]
    pub const fn of(time: Timestamp) -> Self {
        Self((time.seconds() / SECONDS_PER_DAY as u64) as u32)
    }

    /// The day before, or the first one.
    #[must_use]
    pub const fn before(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// When it begins.
    #[must_use]
    pub const fn begins(self) -> Timestamp {
        Timestamp::from_seconds(self.0 as u64 * SECONDS_PER_DAY as u64)
    }

    fn is_of_leap_year(self) -> bool {
        let year = self.begins().civil().year;
        year % 4 == 0 && year % 100 != 0 || year % 400 == 0
    }

    fn is_last_of_month(self) -> bool {
        Self(self.0 + 1).begins().civil().day == 1
    }
}

/// What an account has earned and not been paid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Accrual {
    /// What it earns.
    pub terms: Terms,
    /// The last day that is counted.
    pub through: DayNumber,
    /// How many parts that is, without what is owed.
    pub parts: u128,
    /// Whole units that were to be paid out on a day that is counted. They earn as if they had been.
    pub owed: u128,
}

/// What is to be paid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payout {
    /// The last day that is counted.
    pub through: DayNumber,
    /// Whole units.
    pub units: i64,
    /// How many parts are left for the next time.
    pub rest: u128,
}

impl Accrual {
    /// An account begins to earn, on this day.
    #[must_use]
    pub const fn begun(terms: Terms, today: DayNumber) -> Self {
        Self { terms, through: today.before(), parts: 0, owed: 0 }
    }

    /// Counts the days up to this one, at the end of all of which the account had this balance.
    pub fn count_to(&mut self, last: DayNumber, balance: i64) {
        for day in self.through.0 + 1..=last.0 {
            self.count(DayNumber(day), balance);
        }
    }

    fn count(&mut self, day: DayNumber, balance: i64) {
        self.through = day;
        let owed = i64::try_from(self.owed).unwrap_or(i64::MAX);
        self.parts = self.parts.saturating_add(self.terms.earned(balance.saturating_add(owed), day));
        if self.terms.paid_out.is_after(day) {
            self.owed += self.parts / PARTS_OF_UNIT;
            self.parts %= PARTS_OF_UNIT;
        }
    }

    /// The first payout that is due on a day, where the balance has not changed since the last day that is counted.
    #[must_use]
    pub fn due(&self, today: DayNumber, balance: i64) -> Option<Payout> {
        let mut later = *self;
        while later.owed == 0 && later.through < today.before() {
            later.count(DayNumber(later.through.0 + 1), balance);
        }
        // What was counted by a clock that ran ahead is paid when that day has come.
        (later.owed != 0 && later.through < today).then(|| later.payout())
    }

    /// What is owed, and is to be paid out.
    #[must_use]
    pub fn payout(&self) -> Payout {
        Payout { through: self.through, units: whole(self.owed), rest: self.parts }
    }

    /// All whole units that were earned, for an account that earns no more.
    #[must_use]
    pub fn last_payout(&self) -> Payout {
        let units = whole(self.owed.saturating_add(self.parts / PARTS_OF_UNIT));
        Payout { through: self.through, units, rest: self.parts % PARTS_OF_UNIT }
    }

    /// The same once it is paid out; `None` where that is not what was earned.
    #[must_use]
    pub fn paid(self, payout: &Payout) -> Option<Self> {
        let all = |units: u128, parts: u128| units.checked_mul(PARTS_OF_UNIT)?.checked_add(parts);
        let units = u128::try_from(payout.units).ok()?;
        let is_all = self.through == payout.through
            && units >= self.owed
            && all(units, payout.rest) == all(self.owed, self.parts);
        is_all.then_some(Self { parts: payout.rest, owed: 0, ..self })
    }
}

/// What cannot be paid is more than any balance has room for.
fn whole(units: u128) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// An account earns interest from now on, at other terms, or no more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterestSet {
    /// The wallet's slot.
    pub slot: Slot,
    /// Whose account it is.
    pub wallet: WalletId,
    /// Its number in the wallet.
    pub account: u16,
    /// `None` when it earns no more; parts of a unit are forgotten then.
    pub terms: Option<Terms>,
}

/// Interest was paid out: from the interest account to the wallet's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterestPaid {
    /// The wallet's slot.
    pub slot: Slot,
    /// Whose account it is.
    pub wallet: WalletId,
    /// Its number in the wallet.
    pub account: u16,
    /// How much, and for which days.
    pub payout: Payout,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::days_from_civil;

    fn day(year: i32, month: u32, date: u32) -> DayNumber {
        DayNumber(days_from_civil(year, month, date) as u32)
    }

    fn terms(rate_ppm: u32, day_count: DayCount, paid_out: PaidOut) -> Terms {
        Terms { rate_ppm, day_count, paid_out }
    }

    /// From one day to the day before another one, paying out as it becomes due. Returns what was paid, how often, and
    /// the parts that are left.
    fn lived(terms: Terms, balance: i64, from: DayNumber, to: DayNumber) -> (i64, u32, u128) {
        let (mut accrual, mut balance, mut paid, mut payouts) = (Accrual::begun(terms, from), balance, 0, 0);
        while let Some(payout) = accrual.due(to, balance) {
            accrual.count_to(payout.through, balance);
            assert_eq!(accrual.payout(), payout);
            accrual = accrual.paid(&payout).expect("what was earned");
            (balance, paid, payouts) = (balance + payout.units, paid + payout.units, payouts + 1);
        }
        accrual.count_to(to.before(), balance);
        (paid, payouts, accrual.parts)
    }

    #[test]
    fn rules_have_codes_and_names() {
        for (rule, name) in DayCount::ALL {
            assert_eq!((DayCount::from_code(rule as u8), rule.name()), (Some(rule), name));
        }
        for (paid, name) in PaidOut::ALL {
            assert_eq!((PaidOut::from_code(paid as u8), paid.name()), (Some(paid), name));
        }
        assert_eq!([0, 4].map(DayCount::from_code), [None; 2]);
        assert_eq!([0, 3].map(PaidOut::from_code), [None; 2]);
        assert!([360, 365, 366].iter().all(|days| PARTS_OF_YEAR.is_multiple_of(*days)));
    }

    /// Without compounding a year earns exactly its rate: what is left over is exactly what a year is longer than the
    /// rule's.
    #[test]
    fn a_year_earns_its_rate_to_the_last_part() {
        const UNIT: u128 = PARTS_OF_UNIT;
        // 1,000.00 at 3.65 % are 36.50 a year, and 0.10 a day.
        let year = |rule, year: i32| {
            let terms = terms(36_500, rule, PaidOut::Monthly);
            let days = day(year, 1, 1).0..=day(year, 12, 31).0;
            days.map(|day| terms.earned(100_000, DayNumber(day))).sum::<u128>()
        };
        let table = [
            (DayCount::Fixed365, 2027, 3_650 * UNIT),
            (DayCount::Fixed365, 2028, 3_660 * UNIT),
            (DayCount::Actual, 2027, 3_650 * UNIT),
            (DayCount::Actual, 2028, 3_650 * UNIT),
            (DayCount::Fixed360, 2027, 3_650 * UNIT * 365 / 360),
            (DayCount::Fixed360, 2028, 3_650 * UNIT * 366 / 360),
        ];
        for (rule, of, parts) in table {
            assert_eq!(year(rule, of), parts, "{rule:?} {of}");
        }
    }

    /// Twenty years by another calculation: fractions with one denominator for each day, and nothing of this module.
    #[test]
    fn twenty_years_are_right_to_the_last_unit() {
        let (from, to) = (day(2026, 3, 15), day(2046, 3, 15));
        for (balance, rate_ppm) in [(1, 42_500), (99, 999_999), (123_456_789, 31_700), (5_000_000_000_000, 1)]
        {
            for (rule, name) in DayCount::ALL {
                for (paid_out, often) in PaidOut::ALL {
                    let mut posted = i128::from(balance);
                    // A numerator over a million years of 360 * 365 * 366 days each.
                    let (mut rest, whole) = (0_i128, 360 * 365 * 366 * 1_000_000_i128);
                    let mut payouts = 0;
                    for number in from.0..to.0 {
                        let civil = DayNumber(number).begins().civil();
                        let leap = civil.year % 4 == 0 && civil.year % 100 != 0;
                        let of_days = match rule {
                            DayCount::Fixed365 => 360 * 366,
                            DayCount::Fixed360 => 365 * 366,
                            DayCount::Actual if leap => 360 * 365,
                            DayCount::Actual => 360 * 366,
                        };
                        rest += posted * i128::from(rate_ppm) * of_days;
                        let tomorrow = DayNumber(number + 1).begins().civil().day;
                        if (paid_out == PaidOut::Daily || tomorrow == 1) && rest >= whole {
                            posted += rest / whole;
                            rest %= whole;
                            payouts += 1;
                        }
                    }
                    let terms = terms(rate_ppm, rule, paid_out);
                    let (paid, often_paid, parts) = lived(terms, balance, from, to);
                    let case = format!("{balance} at {rate_ppm}, {name}, {often}");
                    assert_eq!((i128::from(balance + paid), often_paid), (posted, payouts), "{case}");
                    // The same part of a unit, in the other denominator.
                    assert_eq!(parts * (whole as u128 / 1_000_000), rest as u128 * 1_603_080, "{case}");
                }
            }
        }
    }

    #[test]
    fn what_was_to_be_paid_on_a_day_that_is_counted_is_owed() {
        let daily = terms(36_500, DayCount::Fixed365, PaidOut::Daily);
        let mut accrual = Accrual::begun(daily, day(2027, 1, 30));
        assert_eq!(accrual.due(day(2027, 1, 30), 100_000), None, "the day is not over");
        let payout = |through, units| Payout { through, units, rest: 0 };
        assert_eq!(accrual.due(day(2027, 1, 31), 100_000), Some(payout(day(2027, 1, 30), 10)));
        // The first is paid with the second, where both were counted before; it earns as if it had been paid.
        accrual.count_to(day(2027, 1, 31), 10_000_000);
        assert_eq!(
            accrual.due(day(2027, 2, 1), 0),
            Some(Payout { rest: PARTS_OF_UNIT / 10, ..payout(day(2027, 1, 31), 2_000) })
        );
        let monthly = terms(36_500, DayCount::Fixed365, PaidOut::Monthly);
        let mut accrual = Accrual::begun(monthly, day(2027, 1, 30));
        assert_eq!(accrual.due(day(2027, 1, 31), 100_000), None);
        assert_eq!(accrual.due(day(2027, 3, 15), 100_000), Some(payout(day(2027, 1, 31), 20)));
        // Nothing is earned below zero, and less than a unit is paid later.
        accrual.count_to(day(2027, 2, 28), -100_000);
        assert_eq!((accrual.parts, accrual.owed), (0, 0));
        accrual.count_to(day(2027, 3, 31), 50);
        assert_eq!((accrual.due(day(2027, 4, 1), 50), accrual.owed), (None, 0));
        // Whoever earns no more is paid what is counted since; what was not earned is paid to nobody.
        accrual.count_to(day(2027, 4, 15), 100_000);
        let last = accrual.last_payout();
        assert_eq!((accrual.payout().units, last.units), (0, 150));
        assert!(accrual.paid(&last).is_some_and(|left| left.parts < PARTS_OF_UNIT));
        for wrong in [
            Payout { units: 151, ..last },
            Payout { rest: last.rest + 1, ..last },
            Payout { units: -1, ..last },
        ] {
            assert_eq!(accrual.paid(&wrong), None, "{wrong:?}");
        }
    }
}
