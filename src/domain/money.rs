//! Amounts in integer minor units, and the currencies they are in.

use std::fmt;

/// What an amount is of: an ISO 4217 currency by its numeric code (DE 49, 50, 51), for example 840 for the US dollar,
/// or an asset of the house: a stablecoin, a deposit token, a unit of a fund.
///
/// The number of an asset says how many decimals it has, which therefore never change: 1,000 for none, 2,000 for one
/// and so on, plus a serial number below 1,000. No message of a network has such a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Currency(u16);

impl Currency {
    /// Most decimals of an asset.
    pub const ASSET_DECIMALS_MAX: u16 = 12;
    /// Assets of as many decimals are told apart by numbers below this.
    pub const ASSET_SERIALS: u16 = 1_000;

    /// The ISO 4217 currency with this numeric code; `None` above 999.
    #[must_use]
    pub const fn new(numeric: u16) -> Option<Self> {
        if numeric <= 999 { Some(Self(numeric)) } else { None }
    }

    /// The asset with so many decimals and this serial number; `None` beyond [`Currency::ASSET_DECIMALS_MAX`] and
    /// [`Currency::ASSET_SERIALS`].
    #[must_use]
    pub const fn asset(decimals: u16, serial: u16) -> Option<Self> {
        if decimals > Self::ASSET_DECIMALS_MAX || serial >= Self::ASSET_SERIALS {
            return None;
        }
        Some(Self((decimals + 1) * Self::ASSET_SERIALS + serial))
    }

    /// The currency or asset of a number of ours, which no network sends; `None` when none can have it.
    #[must_use]
    pub const fn from_number(number: u16) -> Option<Self> {
        let end = (Self::ASSET_DECIMALS_MAX + 2) * Self::ASSET_SERIALS;
        if number < end { Some(Self(number)) } else { None }
    }

    /// The number: of a currency its code, 0 to 999.
    #[must_use]
    pub const fn numeric(self) -> u16 {
        self.0
    }

    /// Whether it is an asset of the house and no currency.
    #[must_use]
    pub const fn is_asset(self) -> bool {
        self.0 >= Self::ASSET_SERIALS
    }

    /// How many decimals the minor unit stands for (ISO 4217, "minor unit"). Unlisted currencies have two.
    #[must_use]
    pub const fn exponent(self) -> u32 {
        match self.0 {
            Self::ASSET_SERIALS.. => (self.0 / Self::ASSET_SERIALS - 1) as u32,
            // Burundi, Chile, Djibouti, Guinea, Iceland, Japan, Comoros, Korea, Paraguay, Rwanda, Uganda, Vietnam,
            // Vanuatu, and the CFA and CFP francs.
            108 | 152 | 174 | 262 | 324 | 352 | 392 | 410 | 548 | 600 | 646 | 704 | 800 | 950 | 952 | 953 => {
                0
            }
            // Bahrain, Iraq, Jordan, Kuwait, Libya, Oman, Tunisia.
            48 | 368 | 400 | 414 | 434 | 512 | 788 => 3,
            _ => 2,
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An amount in minor units of one currency (DE 4 with DE 49, DE 6 with DE 51).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Money {
    /// Minor units: cents, yen, fils.
    pub minor: i64,
    /// What the units are of.
    pub currency: Currency,
}

impl Money {
    /// `minor` units of `currency`.
    #[must_use]
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }
}

/// An amount as a message states it, which may leave out one half of it: DE 4 without DE 49.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stated {
    /// Minor units.
    pub minor: Option<i64>,
    /// What the units are of.
    pub currency: Option<Currency>,
}

impl Stated {
    /// Neither.
    pub const NOTHING: Self = Self { minor: None, currency: None };

    /// All of an amount.
    #[must_use]
    pub const fn of(money: Money) -> Self {
        Self { minor: Some(money.minor), currency: Some(money.currency) }
    }

    /// The amount, when both halves are there.
    #[must_use]
    pub fn money(self) -> Option<Money> {
        self.minor.zip(self.currency).map(|(minor, currency)| Money { minor, currency })
    }
}

/// The same part of an amount as `of` is of `whole`, rounded down. It does not leave 64 bits.
#[must_use]
pub fn part_of(amount: i64, of: i64, whole: i64) -> i64 {
    let part = i128::from(amount) * i128::from(of) / i128::from(whole.max(1));
    i64::try_from(part).unwrap_or(if part < 0 { i64::MIN } else { i64::MAX })
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exponent = self.currency.exponent();
        let unit = 10_u64.pow(exponent);
        let sign = if self.minor < 0 { "-" } else { "" };
        let minor = self.minor.unsigned_abs();
        if exponent == 0 {
            return write!(f, "{sign}{minor} {}", self.currency);
        }
        let width = exponent as usize;
        write!(f, "{sign}{}.{:0width$} {}", minor / unit, minor % unit, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_print_with_the_decimals_of_their_currency() {
        let table = [
            (1234, 840, "12.34 840"),
            (-5, 840, "-0.05 840"),
            (1234, 392, "1234 392"),
            (1234, 414, "1.234 414"),
        ];
        for (minor, numeric, text) in table {
            let currency = Currency::new(numeric).expect("a valid code");
            assert_eq!(Money::new(minor, currency).to_string(), text);
        }
        assert_eq!(Currency::new(1000), None);
    }

    #[test]
    fn the_number_of_an_asset_says_its_decimals() {
        for (decimals, serial, number) in [(0, 0, 1_000), (6, 1, 7_001), (8, 999, 9_999), (12, 0, 13_000)] {
            let asset = Currency::asset(decimals, serial).expect("an asset");
            assert_eq!(
                (asset.numeric(), asset.exponent(), asset.is_asset()),
                (number, decimals.into(), true)
            );
            assert_eq!((Currency::from_number(number), Currency::new(number)), (Some(asset), None));
        }
        assert_eq!(
            [Currency::asset(13, 0), Currency::asset(6, 1_000), Currency::from_number(14_000)],
            [None; 3]
        );
        assert_eq!(Currency::from_number(840), Currency::new(840));
        assert_eq!(
            Money::new(1_500_000, Currency::asset(6, 1).expect("an asset")).to_string(),
            "1.500000 7001"
        );
    }
}
