//! Assets of the house, and at which rates it turns one into another.

use std::fmt;
use std::str::FromStr;

use super::event::Sequence;
use super::money::Currency;
use super::party::Text;

/// The short name of an asset, for example `USDC`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetCode([u8; 12]);

impl AssetCode {
    /// Fewest characters: one more than ISO 4217 has, so that no code of an asset is one of a currency.
    pub const LEN_MIN: usize = 4;

    /// The code of these bytes, padded with zeros, as they are stored.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 12]) -> Option<Self> {
        let len = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let code: Self = std::str::from_utf8(&bytes[..len]).ok()?.parse().ok()?;
        (code.0 == bytes).then_some(code)
    }

    /// As it is stored: padded with zeros.
    #[must_use]
    pub const fn bytes(self) -> [u8; 12] {
        self.0
    }
}

/// A text is no code of an asset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the code of an asset is 4 to 12 capital letters and digits, the first of them a letter")]
pub struct NoAssetCode;

impl FromStr for AssetCode {
    type Err = NoAssetCode;

    fn from_str(text: &str) -> Result<Self, NoAssetCode> {
        let mut code = [0; 12];
        let fits = (Self::LEN_MIN..=code.len()).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            && text.starts_with(|first: char| first.is_ascii_uppercase());
        if !fits {
            return Err(NoAssetCode);
        }
        code[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(code))
    }
}

impl fmt::Display for AssetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = self;
        let len = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        f.write_str(std::str::from_utf8(&bytes[..len]).unwrap_or_default())
    }
}

impl fmt::Debug for AssetCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What an asset is called.
pub type AssetName = Text<32>;

/// An asset was made known. It is there for good, and has as many decimals for good ([`Currency::asset`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AssetSet {
    /// Its number.
    pub asset: Currency,
    /// Its code.
    pub code: AssetCode,
    /// What it is called.
    pub name: AssetName,
}

/// How much of one asset a whole unit of another is worth, as a decimal number: 1.0845 dollars for a euro.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Price {
    /// Without its point.
    pub digits: u64,
    /// How many of its digits stand behind the point.
    pub decimals: u8,
}

impl Price {
    /// Most decimals.
    pub const DECIMALS_MAX: u8 = 12;
}

/// A text is no price.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a price is a decimal number above zero as a text, as in \"1.0845\", of at most 15 digits, 12 of them decimals"
)]
pub struct NoPrice;

impl FromStr for Price {
    type Err = NoPrice;

    fn from_str(text: &str) -> Result<Self, NoPrice> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        let fits = !whole.is_empty()
            && all_digits(whole)
            && all_digits(decimals)
            && (!text.contains('.') || !decimals.is_empty())
            && decimals.len() <= usize::from(Self::DECIMALS_MAX)
            && whole.len() + decimals.len() <= 15;
        if !fits {
            return Err(NoPrice);
        }
        let digits = format!("{whole}{decimals}").parse().map_err(|_| NoPrice)?;
        if digits == 0 { Err(NoPrice) } else { Ok(Self { digits, decimals: decimals.len() as u8 }) }
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = 10_u64.saturating_pow(self.decimals.into());
        if self.decimals == 0 {
            return write!(f, "{}", self.digits);
        }
        let width = usize::from(self.decimals);
        write!(f, "{}.{:0width$}", self.digits / unit, self.digits % unit)
    }
}

/// A price, and what the house keeps of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Quote {
    /// What a whole unit is worth.
    pub price: Price,
    /// What the customer gets less than that, in millionths of it.
    pub spread_ppm: u32,
}

impl Quote {
    /// The spread takes less than all.
    pub const SPREAD_MAX_PPM: u32 = 999_999;
}

/// A rate was set or withdrawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateSet {
    /// What is given.
    pub from: Currency,
    /// What comes for it.
    pub to: Currency,
    /// From now on; `None` when this is turned into that no more.
    pub quote: Option<Quote>,
}

/// At which rate the house turns one asset into another: after its spread, and between their smallest units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// What is given.
    pub from: Currency,
    /// What comes for it.
    pub to: Currency,
    /// As it was set.
    pub quote: Quote,
    /// The record that set it.
    pub version: Sequence,
    /// For so many minor units of what is given
    per: u128,
    /// come so many of the other.
    units: u128,
}

impl Rate {
    /// The rate of a quote. `None` when it is none: both assets are the same one, the price is zero, or the spread
    /// takes all.
    #[must_use]
    pub fn new(from: Currency, to: Currency, quote: Quote, version: Sequence) -> Option<Self> {
        let Quote { price, spread_ppm } = quote;
        if from == to || spread_ppm > Quote::SPREAD_MAX_PPM || price.digits == 0 {
            return None;
        }
        let ten = |power: u32| 10_u128.checked_pow(power);
        // The six are those of the spread's millionths.
        let (more, less) = (to.exponent(), from.exponent() + u32::from(price.decimals) + 6);
        let kept = u128::from(price.digits).checked_mul((Quote::SPREAD_MAX_PPM + 1 - spread_ppm).into())?;
        let units = kept.checked_mul(ten(more.saturating_sub(less))?)?;
        let per = ten(less.saturating_sub(more))?;
        let common = common_divisor(units, per);
        Some(Self { from, to, quote, version, per: per / common, units: units / common })
    }

    /// What comes for an amount, rounded down to a whole unit; `None` beyond 64 bits.
    #[must_use]
    pub fn bought_with(&self, amount: i64) -> Option<i64> {
        let (bought, _) = divided(u64::try_from(amount).ok()?, self.units, self.per)?;
        i64::try_from(bought).ok()
    }

    /// What must be given so that an amount comes, rounded up to a whole unit; `None` beyond 64 bits.
    #[must_use]
    pub fn cost_of(&self, amount: i64) -> Option<i64> {
        let (cost, even) = divided(u64::try_from(amount).ok()?, self.per, self.units)?;
        i64::try_from(cost.checked_add(u64::from(!even))?).ok()
    }
}

/// `amount * by / of`, rounded down, and whether it comes out even; `None` beyond 64 bits. The product has up to 192
/// bits.
fn divided(amount: u64, by: u128, of: u128) -> Option<(u64, bool)> {
    let (low, high) = (u128::from(amount) * (by & u128::from(u64::MAX)), u128::from(amount) * (by >> 64));
    let middle = high + (low >> 64);
    // From the highest bit down: what is left is always below the divisor, which is far below 128 bits.
    let (mut left, mut quotient) = (0_u128, 0_u64);
    for bit in (0..192).rev() {
        let next = if bit < 64 { low >> bit & 1 } else { middle >> (bit - 64) & 1 };
        left = left.checked_mul(2)? | next;
        if quotient >> 63 != 0 {
            return None;
        }
        quotient <<= 1;
        if left >= of {
            left -= of;
            quotient |= 1;
        }
    }
    Some((quotient, left == 0))
}

fn common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a.max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quote(price: &str, spread_ppm: u32) -> Quote {
        Quote { price: price.parse().expect("a price"), spread_ppm }
    }

    fn iso(numeric: u16) -> Currency {
        Currency::new(numeric).expect("a currency")
    }

    fn asset(decimals: u16) -> Currency {
        Currency::asset(decimals, 1).expect("an asset")
    }

    #[test]
    fn codes_and_prices_are_read_strictly_and_print_as_they_were() {
        for code in ["USDC", "EURO", "FUND1", "ABCDEFGHIJKL"] {
            let read: AssetCode = code.parse().expect("a code");
            assert_eq!((read.to_string().as_str(), AssetCode::from_bytes(read.bytes())), (code, Some(read)));
        }
        for text in ["", "ABC", "840", "USD", "1USD", "usdc", "US-DC", "ABCDEFGHIJKLM", "USD\u{e9}"] {
            assert_eq!(text.parse::<AssetCode>(), Err(NoAssetCode), "{text}");
        }
        assert_eq!(AssetCode::from_bytes(*b"USDC\0X\0\0\0\0\0\0"), None);
        for price in ["1", "1.0845", "0.000001", "150.25", "123456789012345"] {
            assert_eq!(price.parse::<Price>().expect("a price").to_string(), price);
        }
        let none =
            ["", "0", "0.000", ".5", "1.", "-1", "+1", "1e3", "1,5", "1234567890123456", "0.0000000000001"];
        for text in none {
            assert_eq!(text.parse::<Price>(), Err(NoPrice), "{text}");
        }
    }

    #[test]
    fn a_rate_goes_between_smallest_units_and_rounds_for_the_house() {
        // What is given, what comes, the quote; an amount, what it buys; an amount, what it costs.
        let table = [
            (iso(978), iso(840), quote("1.0845", 0), (10_000, 10_845), (10_845, 10_000)),
            (iso(978), iso(840), quote("1.0845", 5_000), (10_000, 10_790), (10_791, 10_001)),
            (iso(392), iso(840), quote("0.0064", 0), (1_000, 640), (1, 2)),
            (iso(840), iso(392), quote("156.25", 0), (1, 1), (156, 100)),
            (asset(6), iso(840), quote("0.9998", 0), (1_000_000, 99), (100, 1_000_201)),
            (asset(8), iso(840), quote("12.5", 1_000), (100_000_000, 1_248), (1_248, 99_939_940)),
            (iso(840), asset(8), quote("0.08", 0), (1, 80_000), (80_001, 2)),
            (
                asset(12),
                Currency::asset(12, 2).expect("an asset"),
                quote("0.333333333333", 1),
                (i64::MAX, 3_074_454_271_157_838_529),
                (1, 4),
            ),
            (
                asset(12),
                iso(392),
                quote("123456789012345", 999_999),
                (i64::MAX, 1_138_687_895_536_342),
                (1, 8_101),
            ),
        ];
        for (from, to, quote, (given, bought), (wanted, cost)) in table {
            let rate = Rate::new(from, to, quote, Sequence(1)).expect("a rate");
            assert_eq!(rate.bought_with(given), Some(bought), "{quote:?} of {given}");
            assert_eq!(rate.cost_of(wanted), Some(cost), "{quote:?} for {wanted}");
        }
    }

    #[test]
    fn what_is_bought_never_costs_more_than_was_given() {
        for text in ["1.0845", "0.333333333333", "97", "0.000001", "12.5"] {
            for (from, to) in [(iso(978), iso(840)), (asset(8), iso(392)), (iso(414), asset(6))] {
                let rate = Rate::new(from, to, quote(text, 1_234), Sequence(1)).expect("a rate");
                for given in (0..200).chain([12_345, 999_999_999, 1 << 40]) {
                    let bought = rate.bought_with(given).expect("64 bits");
                    let cost = rate.cost_of(bought).expect("64 bits");
                    assert!(cost <= given, "{text}: {given} buys {bought}, which costs {cost}");
                    assert!(rate.bought_with(cost).expect("64 bits") >= bought);
                }
            }
        }
    }

    #[test]
    fn a_rate_that_is_none_is_refused_and_amounts_beyond_64_bits_are_none() {
        let one = quote("1", 0);
        assert_eq!(Rate::new(iso(840), iso(840), one, Sequence(1)), None);
        assert_eq!(Rate::new(iso(840), iso(978), Quote { spread_ppm: 1_000_000, ..one }, Sequence(1)), None);
        let zero = Quote { price: Price { digits: 0, decimals: 0 }, spread_ppm: 0 };
        assert_eq!(Rate::new(iso(840), iso(978), zero, Sequence(1)), None);
        let rate = Rate::new(iso(840), asset(12), one, Sequence(1)).expect("a rate");
        assert_eq!((rate.bought_with(i64::MAX), rate.bought_with(-1), rate.cost_of(-1)), (None, None, None));
    }
}
