//! Amounts in integer minor units, and the currencies they are in.

use std::fmt;

/// An ISO 4217 currency by its numeric code (DE 49, 50, 51), for example 840 for the US dollar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Currency(u16);

impl Currency {
    /// The currency with this numeric code; `None` above 999.
    #[must_use]
    pub const fn new(numeric: u16) -> Option<Self> {
        if numeric <= 999 { Some(Self(numeric)) } else { None }
    }

    /// The numeric code, 0 to 999.
    #[must_use]
    pub const fn numeric(self) -> u16 {
        self.0
    }

    /// How many decimals the minor unit stands for (ISO 4217, "minor unit"). Unlisted currencies have two.
    #[must_use]
    pub const fn exponent(self) -> u32 {
        match self.0 {
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
}
