//! Products: named sets of cards, told by the first digits of their numbers.

use std::fmt;
use std::num::NonZeroU8;

use super::card::CardRef;
use super::card::Pan;
use super::party::Slot;

/// A product as records name it: 1 to 127. Which name it has is said by the configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProductNumber(NonZeroU8);

impl ProductNumber {
    /// The highest.
    pub const MAX: u8 = 127;

    /// A number; `None` when it is 0 or above [`ProductNumber::MAX`].
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        match NonZeroU8::new(number) {
            Some(value) if number <= Self::MAX => Some(Self(value)),
            _ => None,
        }
    }

    /// 1 to 127.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0.get()
    }

    /// Its bit in a set of products.
    #[must_use]
    pub const fn bit(self) -> u128 {
        1 << self.0.get()
    }
}

/// Card numbers that begin with one of a range of digits, both ends included: `411111`, `411111-411119`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PanRange {
    digits: u8,
    first: u64,
    last: u64,
}

impl PanRange {
    /// Most digits of either end.
    pub const DIGITS_MAX: usize = 12;

    /// The range of a text; `None` when it is none: both ends have as many digits, 1 to 12, and are in order.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |digits: &str| {
            let fits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if fits { digits.parse::<u64>().ok() } else { None }
        };
        let fits = first.len() == last.len() && first.len() <= Self::DIGITS_MAX;
        let range = Self { digits: first.len() as u8, first: number(first)?, last: number(last)? };
        (fits && range.first <= range.last).then_some(range)
    }

    /// Whether a number could be in both, and neither goes before the other.
    #[must_use]
    pub const fn clashes(&self, other: &Self) -> bool {
        self.digits == other.digits && self.first <= other.last && other.first <= self.last
    }

    /// A card number of so many digits that begins with one of it, its last digit the check digit (Luhn). Which one, a
    /// draw says: other draws give other numbers. `None` where the beginnings leave no room.
    #[must_use]
    pub fn number(&self, draw: u128, digits: u8) -> Option<Pan> {
        let free = digits.checked_sub(self.digits + 1)?;
        let span = u128::from(self.last - self.first) + 1;
        let begins = self.first + (draw % span) as u64;
        let unit = 10_u64.checked_pow(free.into())?;
        let body = begins.checked_mul(unit)? + (draw / span % u128::from(unit)) as u64;
        let value = body.checked_mul(10)? + check_digit(body);
        Pan::from_value(value, digits).ok()
    }

    /// Whether a card number begins with it.
    fn has(&self, pan: Pan) -> bool {
        let behind = u32::from(pan.digits().saturating_sub(self.digits));
        let begins = 10_u64.checked_pow(behind).map_or(0, |unit| pan.value() / unit);
        pan.digits() >= self.digits && (self.first..=self.last).contains(&begins)
    }
}

/// The digit behind these that makes the whole pass the check (Luhn, ISO/IEC 7812-1).
fn check_digit(body: u64) -> u64 {
    let (mut rest, mut sum, mut doubles) = (body, 0, true);
    while rest > 0 {
        let digit = rest % 10 * if doubles { 2 } else { 1 };
        sum += digit / 10 + digit % 10;
        (rest, doubles) = (rest / 10, !doubles);
    }
    (10 - sum % 10) % 10
}

impl fmt::Display for PanRange {
    /// As [`PanRange::of_text`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = usize::from(self.digits);
        if self.first == self.last {
            return write!(f, "{:0width$}", self.first);
        }
        write!(f, "{:0width$}-{:0width$}", self.first, self.last)
    }
}

/// Which cards are of which product: of the ranges that a number begins with, the one with the most digits counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Products {
    /// Those with the most digits first, then by their beginnings.
    ranges: Vec<(PanRange, ProductNumber)>,
}

impl Products {
    /// Those of these ranges, no two of which clash.
    #[must_use]
    pub fn new(mut ranges: Vec<(PanRange, ProductNumber)>) -> Self {
        ranges.sort_by_key(|(range, _)| (std::cmp::Reverse(range.digits), range.first));
        Self { ranges }
    }

    /// The product of a card.
    #[must_use]
    pub fn of(&self, pan: Pan) -> Option<ProductNumber> {
        self.ranges.chunk_by(|(one, _), (next, _)| one.digits == next.digits).find_map(|alike| {
            let (range, _) = alike.first()?;
            let behind = u32::from(pan.digits().checked_sub(range.digits)?);
            let begins = pan.value() / 10_u64.checked_pow(behind)?;
            let at = alike.partition_point(|(range, _)| range.first <= begins).checked_sub(1)?;
            alike.get(at).filter(|(range, _)| range.has(pan)).map(|(_, product)| *product)
        })
    }
}

/// A card was put into a product, or taken out of one: the configuration says another one of its number than before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CardProductSet {
    /// The wallet's slot.
    pub slot: Slot,
    /// The card.
    pub card: CardRef,
    /// Its product from now on.
    pub product: Option<ProductNumber>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pan(value: u64, digits: u8) -> Pan {
        Pan::from_value(value, digits).expect("a card number")
    }

    #[test]
    fn a_range_is_read_and_shown() {
        for text in ["4", "411111", "411111-411119", "000000000001-999999999999", "0042"] {
            assert_eq!(PanRange::of_text(text).expect("a range").to_string(), text);
        }
        for none in ["", "4-", "41-4", "5-4", "4111111111111", "41x", "+4", "4 ", "41-42-43"] {
            assert_eq!(PanRange::of_text(none), None, "{none}");
        }
    }

    #[test]
    fn a_number_is_drawn_from_a_range_and_has_its_check_digit() {
        for (text, digits) in
            [("411111", 16), ("411111-411119", 16), ("4", 13), ("520474", 19), ("34-37", 15)]
        {
            let range = PanRange::of_text(text).expect("a range");
            for draw in (0..200_u128).map(|n| n * n * 0x9E37_79B9_7F4A_7C15) {
                let pan = range.number(draw, digits).expect("room");
                assert!(range.has(pan) && pan.digits() == digits, "{text}");
                let text = format!("{:0width$}", pan.value(), width = usize::from(digits));
                let sum = text.bytes().rev().enumerate().fold(0, |sum, (at, byte)| {
                    let digit = u32::from(byte - b'0') * if at % 2 == 1 { 2 } else { 1 };
                    sum + digit / 10 + digit % 10
                });
                assert_eq!(sum % 10, 0, "the check digit");
            }
        }
        let range = PanRange::of_text("411111111111").expect("a range");
        assert_eq!([12, 13].map(|digits| range.number(7, digits).is_some()), [false, true]);
        assert_eq!(check_digit(411_111_111_111_111), 1);
    }

    #[test]
    fn the_longest_range_wins() {
        let ranges = [("4", 1), ("4111-4113", 2), ("411112", 3), ("51-55", 4), ("4112", 5)];
        let number = |number| ProductNumber::new(number).expect("a number");
        let of_text = |text| PanRange::of_text(text).expect("a range");
        // The last clashes with the second, so it is left out.
        assert!(of_text("4112").clashes(&of_text("4111-4113")));
        let listed = ranges[..4].iter().map(|(text, product)| (of_text(text), number(*product)));
        let products = Products::new(listed.collect());
        let table = [
            (pan(4_000_000_000_000_002, 16), Some(1)),
            (pan(4_111_111_111_111_111, 16), Some(2)),
            (pan(4_111_121_111_111_111, 16), Some(3)),
            (pan(4_113_999_999_999_999, 16), Some(2)),
            (pan(4_114_000_000_000_000, 16), Some(1)),
            (pan(5_555_555_555_554_444, 16), Some(4)),
            (pan(5_000_000_000_000_000, 16), None),
            (pan(41_111_200, 8), Some(3)),
            (pan(4_111_120_000_000_000_000, 19), Some(3)),
            (pan(6_011_000_000_000_004, 16), None),
        ];
        for (pan, product) in table {
            assert_eq!(products.of(pan).map(ProductNumber::get), product, "{pan:?}");
        }
        assert_eq!(Products::default().of(pan(4_000_000_000_000_002, 16)), None);
        assert_eq!((ProductNumber::new(0), ProductNumber::new(128)), (None, None));
    }
}
