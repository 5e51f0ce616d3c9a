//! Mandates: a payer lets a payee charge up to an amount a period. A subscription, a membership, a tip jar.

use super::event::Sequence;
use super::limit::Window;
use super::money::Currency;
use super::moved::CallerKey;
use super::moved::Side;
use super::party::Slot;
use super::zone::Zone;

/// How often what may be charged begins anew: calendar days, weeks from Monday on, months and years in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Period {
    /// Each day.
    Day = 1,
    /// Each week.
    Week = 2,
    /// Each month.
    Month = 3,
    /// Each year.
    Year = 4,
    /// Never: it is for its whole life.
    Once = 5,
}

impl Period {
    /// Every period with its name.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Day, "day"),
        (Self::Week, "week"),
        (Self::Month, "month"),
        (Self::Year, "year"),
        (Self::Once, "once"),
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        // They count from one.
        Self::ALL[self as usize - 1].1
    }

    /// The period of this code.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code).checked_sub(1)?).map(|(period, _)| *period)
    }

    /// The number of the one that a time is in, seconds since 1970. It only grows with time.
    #[must_use]
    pub fn index(self, seconds: u64) -> u32 {
        let utc = Zone::default();
        let window = match self {
            Self::Day => Window::Day(utc),
            Self::Week => Window::Week(utc),
            Self::Month => Window::Month(utc),
            Self::Year => Window::Year(utc),
            Self::Once => Window::Lifetime,
        };
        window.index(seconds, &[])
    }
}

/// What a payer allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// Whose account is charged.
    pub payer: Side,
    /// Whose account gets it.
    pub payee: Side,
    /// The currency of both.
    pub currency: Currency,
    /// The most that may be charged in a period, minor units; above zero.
    pub max: i64,
    /// How many charges there may be in a period; zero for any number.
    pub charges_max: u16,
    /// How often both begin anew.
    pub period: Period,
    /// When it ends by itself, seconds since 1970; zero for never.
    pub until_s: u32,
}

/// A mandate was given. Its record is its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MandateGiven {
    /// The payer's slot.
    pub slot: Slot,
    /// What it allows.
    pub terms: Terms,
    /// The caller's name for it, among those of the payer's wallet.
    pub key: CallerKey,
}

/// A mandate was cancelled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MandateCancelled {
    /// The payer's slot.
    pub slot: Slot,
    /// The mandate.
    pub mandate: Sequence,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_have_codes_and_begin_anew() {
        for (period, name) in Period::ALL {
            assert_eq!((Period::from_code(period as u8), period.name()), (Some(period), name));
        }
        assert_eq!([0, 6].map(Period::from_code), [None; 2]);
        // Monday 2026-11-30 00:00 UTC.
        let monday = 1_795_996_800;
        let steps = |period: Period, seconds: i64| {
            let then = period.index((monday as u64).checked_add_signed(seconds).expect("a time"));
            i64::from(period.index(monday as u64)) - i64::from(then)
        };
        let table = [
            (Period::Day, -1, 1),
            (Period::Day, 86_399, 0),
            (Period::Week, -1, 1),
            (Period::Week, 6 * 86_400, 0),
            (Period::Month, -86_400, 0),
            (Period::Month, 86_400, -1),
            (Period::Year, 86_400 * 40, -1),
            (Period::Once, 86_400 * 4_000, 0),
        ];
        for (period, seconds, expected) in table {
            assert_eq!(steps(period, seconds), expected, "{period:?} {seconds}");
        }
    }
}
