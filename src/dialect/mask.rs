//! What may be shown of a value: card data is masked, and so is anything that could be a card number, wherever it
//! stands. There is no way around it.

/// Fewest and most digits that are taken for a card number in free text.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// How much of a field or a part may be shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Secrecy {
    /// All of it, but what could be a card number.
    Open,
    /// The first six and the last four digits.
    CardNumber,
    /// Its length.
    Hidden,
}

/// Fields of network management that carry keys when keys are exchanged, in one network or another.
const KEY_FIELDS: [u16; 9] = [48, 53, 105, 110, 111, 120, 123, 126, 127];

/// Tags with a card number, track 2 equivalent, track 1 and 2 discretionary data, a cardholder's name, enciphered PIN.
const SECRET_TAGS: [u32; 9] = [0x5a, 0x57, 0x56, 0x9f1f, 0x9f20, 0x9f6b, 0x5f20, 0x5f0b, 0x99];

/// How much of a field, or of a part (126, 10), of a message of this type may be shown, whatever the dialect.
///
/// Hidden are the extended card number, tracks 2, 3 and 1, PIN blocks and what the third bitmap keeps of one, message
/// security codes and new PINs, keys, Visa's CVV2 (126.10) and Mastercard's CVC 2 (48.92) with its neighbours.
pub(super) const fn secrecy(visa: bool, mti: u16, path: &[u16]) -> Secrecy {
    match *path {
        [2] | [48, 33, 2] => Secrecy::CardNumber,
        [34 | 35 | 36 | 45 | 52 | 96 | 125 | 152] | [48, 10 | 11 | 43 | 92, ..] => Secrecy::Hidden,
        [126, 10] if visa => Secrecy::Hidden,
        [field] if mti / 100 % 10 == 8 && is_key_field(field) => Secrecy::Hidden,
        _ => Secrecy::Open,
    }
}

const fn is_key_field(field: u16) -> bool {
    let mut at = 0;
    while at < KEY_FIELDS.len() {
        if KEY_FIELDS[at] == field {
            return true;
        }
        at += 1;
    }
    false
}

/// The same of a BER-TLV tag.
pub(super) fn secrecy_of_tag(tag: u32) -> Secrecy {
    if SECRET_TAGS.contains(&tag) { Secrecy::Hidden } else { Secrecy::Open }
}

/// A value as it may be shown. `bytes` is its length on the wire.
pub(super) fn masked(secrecy: Secrecy, clear: &str, bytes: usize) -> String {
    match secrecy {
        Secrecy::Open => shown(clear),
        Secrecy::CardNumber => mask_card_number(clear),
        Secrecy::Hidden => format!("({bytes} bytes, not shown)"),
    }
}

/// First six and last four, of a number that is long enough; of a short one the last four.
fn mask_card_number(number: &str) -> String {
    let length = number.len();
    let first = if length >= *CARD_DIGITS.start() { 6 } else { 0 };
    let last = length.saturating_sub(4);
    number
        .chars()
        .enumerate()
        .map(|(at, digit)| if at < first || (at >= last && length > 4) { digit } else { '*' })
        .collect()
}

/// A value fit for a terminal: control characters as dots, and everything that could be a card number masked.
#[must_use]
pub fn shown(clear: &str) -> String {
    let mut characters: Vec<char> =
        clear.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '.' }).collect();
    mask_where_digits(&mut characters, |c| c.to_digit(10));
    // Text that stands in a binary field: hex pairs 30 to 39 (ASCII) or F0 to F9 (EBCDIC).
    mask_hex_digits(&mut characters, '3');
    mask_hex_digits(&mut characters, 'F');
    characters.into_iter().collect()
}

fn mask_where_digits(characters: &mut [char], digit: impl Fn(char) -> Option<u32>) {
    let found: Vec<Option<u32>> = characters.iter().map(|c| digit(*c)).collect();
    for range in card_numbers(&found) {
        for character in &mut characters[range.start + 6..range.end - 4] {
            *character = '*';
        }
    }
}

fn mask_hex_digits(characters: &mut [char], zone: char) {
    for shift in 0..2 {
        let Some(shifted) = characters.get_mut(shift..) else { return };
        let pairs: Vec<Option<u32>> = shifted
            .chunks_exact(2)
            .map(|pair| if pair[0].eq_ignore_ascii_case(&zone) { pair[1].to_digit(10) } else { None })
            .collect();
        for range in card_numbers(&pairs) {
            for character in &mut shifted[(range.start + 6) * 2..(range.end - 4) * 2] {
                *character = '*';
            }
        }
    }
}

/// Where card numbers may stand: 13 to 19 digits in a row with a right check digit, anywhere in a longer run too.
fn card_numbers(digits: &[Option<u32>]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    for start in 0..digits.len() {
        for length in CARD_DIGITS {
            let Some(run) = digits.get(start..start + length) else { break };
            let Some(run) = run.iter().copied().collect::<Option<Vec<u32>>>() else { break };
            // No card number starts with a zero: amounts and dates with leading zeros stay readable.
            if luhn(&run) && run[0] != 0 {
                found.push(start..start + length);
            }
        }
    }
    found
}

/// Whether a card number has the check digit that it should have.
pub(super) fn has_check_digit(number: &str) -> bool {
    let digits: Option<Vec<u32>> = number.chars().map(|c| c.to_digit(10)).collect();
    digits.is_some_and(|digits| luhn(&digits))
}

fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
}
