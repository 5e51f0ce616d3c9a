//! Mastercard's trace id: what names a transaction from its authorization to its clearing, as a number.

use xxhash_rust::xxh3::xxh3_64;

/// Base of the digits of a reference: 0-9 and A-Z.
const ALPHANUMERIC: u64 = 36;
/// Not one of them. No digit has its bit.
pub const NO_DIGIT: u8 = 0x80;
/// The digits' values by their ASCII characters.
pub const ASCII_DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < ALPHANUMERIC as u8 {
        digits[character_of(value) as usize] = value;
        value += 1;
    }
    digits
};

/// Characters of a network code with its reference.
pub const NAME: usize = 9;
/// Characters of a trace id without padding: a name, and a day as MMDD.
pub const TRACE_ID: usize = NAME + 4;
/// Days of a year of twelve months with 31 each.
const DAYS: u64 = 12 * 31;
/// Marks a reference that is a hash: too long, or with other characters.
const HASHED: u64 = 1 << 63;

/// The ASCII character of a digit below 36.
#[must_use]
pub const fn character_of(value: u8) -> u8 {
    if value < 10 { b'0' + value } else { b'A' + value - 10 }
}

/// A trace id as a number that is never zero; `None` when nothing but spaces and zeros is in it.
///
/// Three characters of network code, six of reference and a day fit without loss below bit 56. Anything else becomes a
/// hash, which has bit 63. Spaces do not count: peers pad with them, or do not.
#[must_use]
pub fn reference(text: &[u8]) -> Option<u64> {
    let mut buffer = [0; 40];
    let mut length = 0;
    for character in text.iter().filter(|character| **character != b' ') {
        *buffer.get_mut(length)? = *character;
        length += 1;
    }
    let text = buffer.get(..length)?;
    if text.iter().all(|character| *character == b'0') {
        return None;
    }
    Some(packed(text).unwrap_or_else(|| xxh3_64(text) | HASHED))
}

/// The trace id that a number stands for; `None` for a hash, and for zero.
#[must_use]
pub fn text(reference: u64) -> Option<[u8; TRACE_ID]> {
    let packed = reference.checked_sub(1)?;
    let (mut name, day) = (packed / DAYS, packed % DAYS);
    let mut text = [b'0'; TRACE_ID];
    for character in text[..NAME].iter_mut().rev() {
        *character = character_of((name % ALPHANUMERIC) as u8);
        name /= ALPHANUMERIC;
    }
    let date = (day / 31 + 1) * 100 + day % 31 + 1;
    for (character, power) in text[NAME..].iter_mut().zip([1000, 100, 10, 1]) {
        *character = b'0' + (date / power % 10) as u8;
    }
    (name == 0).then_some(text)
}

fn packed(text: &[u8]) -> Option<u64> {
    let (name, date) = text.split_first_chunk::<NAME>()?;
    let [m1, m2, d1, d2] = *date else { return None };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    pack(name, &ASCII_DIGITS, digit(m1)? * 10 + digit(m2)?, digit(d1)? * 10 + digit(d2)?)
}

/// A name of letters and digits and a day as one number; `digits` has the digits' values by their characters, and
/// [`NO_DIGIT`] for all others. `None` when a character is none, and for what is no day.
#[inline(never)]
#[must_use]
pub fn pack(name: &[u8; NAME], digits: &[u8; 256], month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (mut number, mut wrong) = (0, 0);
    for byte in name {
        let digit = digits[usize::from(*byte)];
        wrong |= digit;
        number = number * ALPHANUMERIC + u64::from(digit);
    }
    (wrong < NO_DIGIT).then_some(1 + number * DAYS + (month - 1) * 31 + day - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn r7_a_trace_id_becomes_a_number_without_loss_or_a_hash() {
        let same = [
            ["MWB3947990822", "MWB3947990822  "],
            ["MRW0110NZ1206", "MRW0110NZ1206  "],
            ["MCC123   0614", "MCC1230614"],
            ["MCCabc1230614", "MCCabc1230614 "],
        ];
        for [one, other] in same {
            assert_eq!(reference(one.as_bytes()), reference(other.as_bytes()), "{one}");
        }
        for blank in ["", "   ", "000000000", "0000000000000  "] {
            assert_eq!(reference(blank.as_bytes()), None, "{blank}");
        }
        // Text, and whether it fits without loss.
        let table = [
            ("MCC0000010101", true),
            ("MCC0000010131", true),
            ("MCC0000010201", true),
            ("MCC0000020101", true),
            ("MCS0000010101", true),
            ("ZZZZZZZZZ1231", true),
            ("0000000000102", true),
            ("MCC0000011301", false),
            ("MCC0000010100", false),
            ("MCC0000010132", false),
            ("MCC00000a0101", false),
            ("MCC1234567890101", false),
            ("MCC123450101", false),
            ("MCC123456", false),
        ];
        let numbers: HashSet<u64> = table
            .iter()
            .map(|(written, fits)| {
                let number = reference(written.as_bytes()).expect("a number");
                assert_eq!(number >> 56 == 0, *fits, "{written}");
                assert_eq!(number & HASHED == 0, *fits, "{written}");
                let again = text(number);
                assert_eq!(again.as_ref().map(<[u8; TRACE_ID]>::as_slice), fits.then(|| written.as_bytes()));
                assert_ne!(number, 0);
                number
            })
            .collect();
        assert_eq!(numbers.len(), table.len(), "all differ");
        assert_eq!(text(0), None);
    }
}
