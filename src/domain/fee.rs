//! Fees of the issuer for the use of a card: what is charged, for which uses, and how an authorization names it.
//!
//! A fee is a part of the authorization that it is charged for. It is held and posted with the amount, shrinks with a
//! partial reversal, and goes back with a reversal or at the end of the hold: at each time it is what its tariff says
//! of the amount that is taken then. So it needs no record of its own, and nothing can be given back twice.

use std::fmt;

use super::limit::Filter;
use super::limit::Number;
use super::money::Currency;
use super::party::Slot;
use super::product::ProductNumber;
use super::request::ProcessingCode;
use super::usage::Usage;

/// What is charged for an amount, in the currency of the account that it is taken from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tariff {
    /// Once for a purchase, minor units.
    pub flat: i64,
    /// So many ten-thousandths of the amount, rounded to the nearest minor unit, halves up.
    pub basis_points: u16,
    /// Never less than this, minor units.
    pub least: i64,
    /// Never more than this, minor units.
    pub most: i64,
}

impl Tariff {
    /// The highest share: all of the amount once more.
    pub const BASIS_POINTS_MAX: u16 = 10_000;
    /// The most that may be charged at once: far from what a balance can hold.
    pub const MOST_MAX: i64 = 1_000_000_000_000_000;

    /// A tariff; `None` when an amount is negative or above [`Tariff::MOST_MAX`], `least` is above `most`, or the share
    /// is above [`Tariff::BASIS_POINTS_MAX`].
    #[must_use]
    pub const fn new(flat: i64, basis_points: u16, least: i64, most: i64) -> Option<Self> {
        let amounts =
            flat >= 0 && flat <= Self::MOST_MAX && least >= 0 && least <= most && most <= Self::MOST_MAX;
        if amounts && basis_points <= Self::BASIS_POINTS_MAX {
            Some(Self { flat, basis_points, least, most })
        } else {
            None
        }
    }

    /// What is charged for an amount, minor units; nothing for nothing, and nothing for a credit. With `rest` the
    /// purchase was charged its flat part before, and its least: only the share is left.
    #[must_use]
    pub fn of(&self, taken: i64, rest: bool) -> i64 {
        if taken <= 0 {
            return 0;
        }
        let share = (i128::from(taken) * i128::from(self.basis_points) + 5_000) / 10_000;
        let fee = if rest { share } else { (share + i128::from(self.flat)).max(self.least.into()) };
        i64::try_from(fee).unwrap_or(i64::MAX).min(self.most)
    }

    /// The largest amount up to `available` that leaves room for what is charged for it.
    #[must_use]
    pub fn affordable(&self, available: i64, rest: bool) -> i64 {
        let fits = |amount: i64| amount.saturating_add(self.of(amount, rest)) <= available;
        if available <= 0 || !fits(1) {
            return available.min(0);
        }
        // A fee never falls when the amount rises.
        let (mut fitting, mut beyond) = (1, available.saturating_add(1));
        while beyond - fitting > 1 {
            let middle = fitting + (beyond - fitting) / 2;
            if fits(middle) { fitting = middle } else { beyond = middle }
        }
        fitting
    }
}

/// A fee that a product charges.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fee {
    /// Only what is taken from an account in this currency: amounts of the tariff are in it.
    pub currency: Currency,
    /// Only outside of this country (DE 19, ISO 3166 numeric), where the message says where it is; zero for everywhere.
    pub outside: u16,
    /// Only what is asked for in another currency than the account's (DE 49).
    pub converted: bool,
    /// Only these uses.
    pub filter: Filter,
    /// How much.
    pub tariff: Tariff,
}

impl Fee {
    /// Whether a use that takes from an account in this currency is charged.
    #[must_use]
    pub fn fits(&self, usage: &Usage, account: Currency) -> bool {
        self.currency == account
            && (self.outside == 0 || usage.country != 0 && usage.country != self.outside)
            && (!self.converted || usage.currency != account)
            && self.filter.fits(usage)
    }
}

/// A fee of a product was set or removed. It is charged for what comes after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeeSet {
    /// The slot.
    pub slot: Slot,
    /// Whose fee.
    pub product: ProductNumber,
    /// Which one.
    pub number: Number,
    /// What it is from now on; `None` when it was removed.
    pub fee: Option<Fee>,
}

impl fmt::Display for Fee {
    /// On one line: `840 flat 250 basis-points 175 least 0 most 2000 outside=840 converted kind=cash`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tariff { flat, basis_points, least, most } = self.tariff;
        let currency = self.currency;
        write!(f, "{currency} flat {flat} basis-points {basis_points} least {least} most {most}")?;
        if self.outside != 0 {
            write!(f, " outside={:03}", self.outside)?;
        }
        if self.converted {
            f.write_str(" converted")?;
        }
        write!(f, "{}", self.filter)
    }
}

/// The fee of an authorization: a tariff of its slot, in twelve bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Charge(u16);

impl Charge {
    /// How many tariffs a slot has at most, over all its time.
    pub const TARIFFS_MAX: u16 = 2_047;
    const REST: u16 = 1 << 11;

    /// The tariff with this number, 1 to [`Charge::TARIFFS_MAX`]; `None` beyond.
    #[must_use]
    pub const fn new(tariff: u16) -> Option<Self> {
        if tariff == 0 || tariff > Self::TARIFFS_MAX { None } else { Some(Self(tariff)) }
    }

    /// The charge of this code; `None` for zero, which stands for none, and for what is no charge.
    #[must_use]
    pub const fn from_code(code: u16) -> Option<Self> {
        match Self::new(code & !Self::REST) {
            Some(charge) if code & Self::REST != 0 => Some(charge.rest()),
            charge => charge,
        }
    }

    /// As a number below 4,096, above zero.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }

    /// Its tariff's number in the slot, from 1.
    #[must_use]
    pub const fn tariff(self) -> u16 {
        self.0 & !Self::REST
    }

    /// The same where the purchase was charged its flat part before.
    #[must_use]
    pub const fn rest(self) -> Self {
        Self(self.0 | Self::REST)
    }

    /// The same with the flat part.
    #[must_use]
    pub const fn whole(self) -> Self {
        Self(self.tariff())
    }

    /// Whether the purchase was charged its flat part before.
    #[must_use]
    pub const fn is_rest(self) -> bool {
        self.0 & Self::REST != 0
    }
}

/// DE 3 and the fee of an authorization in one number: six digits take twenty bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CodeAndCharge(u32);

impl CodeAndCharge {
    /// Zeros, and nothing is charged.
    pub const NONE: Self = Self(0);
    const CODE_BITS: u32 = 20;

    /// Both together.
    #[must_use]
    pub fn new(code: ProcessingCode, charge: Option<Charge>) -> Self {
        let charge = charge.map_or(0, |charge| u32::from(charge.code()));
        Self(code.0 & ((1 << Self::CODE_BITS) - 1) | charge << Self::CODE_BITS)
    }

    /// The two of this number; `None` when it has no such charge.
    #[must_use]
    pub fn from_bits(bits: u32) -> Option<Self> {
        let code = (bits >> Self::CODE_BITS) as u16;
        (code == 0 || Charge::from_code(code).is_some()).then_some(Self(bits))
    }

    /// As a number.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// DE 3.
    #[must_use]
    pub const fn processing_code(self) -> ProcessingCode {
        ProcessingCode(self.0 & ((1 << Self::CODE_BITS) - 1))
    }

    /// The fee.
    #[must_use]
    pub const fn charge(self) -> Option<Charge> {
        Charge::from_code((self.0 >> Self::CODE_BITS) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tariff(flat: i64, basis_points: u16, least: i64, most: i64) -> Tariff {
        Tariff::new(flat, basis_points, least, most).expect("a tariff")
    }

    #[test]
    fn a_tariff_says_what_is_charged() {
        const ALL: i64 = Tariff::MOST_MAX;
        let table = [
            (tariff(250, 0, 0, ALL), 10_000, false, 250),
            (tariff(250, 0, 0, ALL), 10_000, true, 0),
            (tariff(250, 100, 0, ALL), 10_000, false, 350),
            (tariff(250, 100, 0, ALL), 10_000, true, 100),
            (tariff(0, 175, 0, ALL), 1_999, false, 35),
            (tariff(0, 50, 0, ALL), 100, false, 1),
            (tariff(0, 49, 0, ALL), 100, false, 0),
            (tariff(0, 300, 500, 2_000), 1_000, false, 500),
            (tariff(0, 300, 500, 2_000), 1_000, true, 30),
            (tariff(0, 300, 500, 2_000), 100_000, false, 2_000),
            (tariff(250, 100, 0, ALL), 0, false, 0),
            (tariff(250, 100, 0, ALL), -10_000, false, 0),
            (tariff(ALL, 10_000, 0, ALL), i64::MAX, false, ALL),
        ];
        for (tariff, taken, rest, fee) in table {
            assert_eq!(tariff.of(taken, rest), fee, "{tariff:?} of {taken}");
        }
        let none = [
            (-1, 0, 0, 0),
            (0, 10_001, 0, 0),
            (0, 0, -1, 0),
            (0, 0, 2, 1),
            (0, 0, 0, ALL + 1),
            (ALL + 1, 0, 0, 0),
        ];
        for (flat, basis_points, least, most) in none {
            assert_eq!(Tariff::new(flat, basis_points, least, most), None);
        }
    }

    #[test]
    fn what_is_affordable_is_the_most_that_fits() {
        for tariff in [tariff(250, 100, 0, 900), tariff(0, 0, 0, 0), tariff(0, 10_000, 3, 500)] {
            for rest in [false, true] {
                for available in -3..600 {
                    let fits = |amount: &i64| amount + tariff.of(*amount, rest) <= available;
                    let most = (1..=available.max(0)).rev().find(fits).unwrap_or(available.min(0));
                    assert_eq!(tariff.affordable(available, rest), most, "{tariff:?} of {available}");
                }
            }
        }
        assert_eq!(tariff(0, 0, 0, 0).affordable(i64::MAX, false), i64::MAX - 1);
    }

    #[test]
    fn a_processing_code_and_a_charge_share_a_number() {
        let codes = [0, 10_000, 999_999].map(ProcessingCode);
        let charges = [1, 7, Charge::TARIFFS_MAX].map(Charge::new);
        for code in codes {
            for charge in charges.into_iter().chain([None]).flat_map(|of| [of, of.map(Charge::rest)]) {
                let both = CodeAndCharge::new(code, charge);
                assert_eq!((both.processing_code(), both.charge()), (code, charge));
                assert_eq!(CodeAndCharge::from_bits(both.bits()), Some(both));
            }
        }
        assert_eq!([0, 2_048].map(Charge::new), [None; 2]);
        assert_eq!(CodeAndCharge::from_bits(1 << 31), None);
    }
}
