//! What names an exchange on the wire (R5, R33): all of it follows from the exchange's own number.
//!
//! DE 37 carries the number itself, so that answers find it without a search. DE 11 with DE 32 is unique for ten
//! billion exchanges, but never DE 11 with DE 7 alone: at a million a second those are used up in a second.

/// The largest number of an exchange.
pub const NUMBER_MAX: u32 = u32::MAX - 1;

/// Characters of Mastercard's reference.
pub const REFERENCE_WIDTH: usize = 6;

const DIGITS: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
/// Trace numbers, 1 to 999,999.
const STANS: u32 = 999_999;
/// Merchants, each with [`TERMINALS_PER_MERCHANT`] terminals.
const MERCHANTS: u32 = 5_000;
const TERMINALS_PER_MERCHANT: u32 = 8;
/// What merchants sell (DE 18).
const CATEGORIES: [u16; 8] = [5411, 5812, 5541, 5912, 5999, 4111, 7832, 5732];

/// What merchants sell whose holds live for seconds: tolls (MCC 4784).
pub const BRIEF_CATEGORY: u16 = 4784;

/// One run among others on the same daemon: two characters of DE 37, so that two runs never share a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    number: u16,
}

impl Run {
    /// How many runs are told apart.
    pub const COUNT: u16 = 36 * 36;

    /// A run of this number, modulo [`Self::COUNT`].
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self { number: (number % Self::COUNT as u64) as u16 }
    }

    /// The first two characters of DE 37.
    #[must_use]
    pub fn tag(self) -> [u8; 2] {
        [DIGITS[usize::from(self.number / 36)], DIGITS[usize::from(self.number % 36)]]
    }

    /// DE 37: the run's two characters and ten digits.
    #[must_use]
    pub fn rrn(self, number: u32) -> [u8; 12] {
        let mut rrn = [b'0'; 12];
        rrn[..2].copy_from_slice(&self.tag());
        let mut rest = number;
        for byte in rrn[2..].iter_mut().rev() {
            *byte = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        rrn
    }

    /// The number in a DE 37; `None` when that is not of this run.
    #[inline]
    #[must_use]
    pub fn number_in(self, rrn: [u8; 12]) -> Option<u32> {
        let ours = rrn[..2] == self.tag() && rrn[2..].iter().all(u8::is_ascii_digit);
        let number = rrn[2..].iter().fold(0_u64, |value, byte| value * 10 + u64::from(byte & 0x0f));
        if ours { u32::try_from(number).ok() } else { None }
    }

    /// The six letters and digits of Mastercard's reference (DE 63). They repeat after two billion exchanges; runs
    /// begin at places of their own.
    #[must_use]
    pub fn reference(self, number: u32) -> [u8; REFERENCE_WIDTH] {
        let mut rest = u64::from(self.number) * 36_u64.pow(4) + u64::from(number);
        let mut reference = [b'0'; REFERENCE_WIDTH];
        for byte in reference.iter_mut().rev() {
            *byte = DIGITS[(rest % 36) as usize];
            rest /= 36;
        }
        reference
    }

    /// The acquirer reference number of a clearing record, 23 digits.
    #[must_use]
    pub fn arn(self, number: u32) -> String {
        format!("74{:04}{number:010}0000000", self.number)
    }

    /// Visa DE 62.2, fifteen digits.
    #[must_use]
    pub const fn transaction_id(self, number: u32) -> u64 {
        300_000_000_000_000 + self.number as u64 * 10_000_000_000 + number as u64
    }
}

/// DE 11.
#[inline]
#[must_use]
pub const fn stan(number: u32) -> u32 {
    1 + number % STANS
}

/// DE 32, eight digits.
#[inline]
#[must_use]
pub const fn acquirer(number: u32) -> u32 {
    40_000_000 + number % 7 * 10_000 + number / STANS
}

/// DE 42's number.
#[inline]
#[must_use]
pub const fn merchant(number: u32) -> u32 {
    number.wrapping_mul(2_654_435_761) % MERCHANTS
}

/// DE 41, eight digits.
#[inline]
#[must_use]
pub const fn terminal(number: u32) -> u32 {
    10_000_000 + merchant(number) * TERMINALS_PER_MERCHANT + number % TERMINALS_PER_MERCHANT
}

/// DE 18.
#[inline]
#[must_use]
pub const fn category(number: u32) -> u16 {
    CATEGORIES[merchant(number) as usize % CATEGORIES.len()]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn r33_keys_never_repeat_and_do_not_lean_on_the_trace_number() {
        let numbers = || (0..2_000_000).step_by(97).chain((0..4).map(|n| n * STANS + 5));
        let (mut rrns, mut traces, mut references) = (HashSet::new(), HashSet::new(), HashSet::new());
        for number in numbers().collect::<HashSet<u32>>() {
            let run = Run::new(1_295);
            assert!(rrns.insert(run.rrn(number)));
            assert_eq!(run.number_in(run.rrn(number)), Some(number));
            assert_eq!(Run::new(7).number_in(run.rrn(number)), None);
            assert!(references.insert(run.reference(number)));
            assert!(traces.insert((stan(number), acquirer(number))));
            assert!((1..=999_999).contains(&stan(number)));
            assert!((10_000_000..100_000_000).contains(&terminal(number)));
        }
        let spread = |part: fn(u32) -> u32| (0..10_000).map(part).collect::<HashSet<u32>>().len();
        assert!(spread(acquirer) >= 7 && spread(terminal) > 1_000);
        assert_eq!(&Run::new(1_295).rrn(4_000_000_000), b"ZZ4000000000");
        assert_eq!(Run::new(1_295).transaction_id(7), 312_950_000_000_007);
        assert_eq!(&Run::new(0).reference(36 * 36 + 35), b"00010Z");
        assert_eq!(&Run::new(1_295).reference(0), b"ZZ0000");
    }
}
