//! What may be shown of a value: card data is masked, and so is anything that could be a card number, wherever it
//! stands. There is no way around it.

use crate::iso8583::digits;

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
const SECRET_TAGS: [u32; 9] = [0x5a, 0x57, 0x56, 0x9f1f, 0x9f20, 0x9f6b, 0x5f20, 0x9f0b, 0x99];

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

/// First six and last four, of a number that is long enough; of a short one the last four. What a peer put in place of
/// digits is fit for a terminal too.
fn mask_card_number(number: &str) -> String {
    let length = number.len();
    let first = if length >= *CARD_DIGITS.start() { 6 } else { 0 };
    let last = length.saturating_sub(4);
    number
        .chars()
        .enumerate()
        .map(|(at, digit)| match at < first || (at >= last && length > 4) {
            true if digit.is_ascii_graphic() || digit == ' ' => digit,
            true => '.',
            false => '*',
        })
        .collect()
}

/// A value fit for a terminal: control characters as dots, and everything that could be a card number masked.
#[must_use]
pub fn shown(clear: &str) -> String {
    let mut characters: Vec<char> =
        clear.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '.' }).collect();
    let units: Vec<Unit> = characters.iter().map(|character| Unit::of(*character)).collect();
    let mut stars = hidden(&units);
    // Text that stands in a binary field, as pairs of hex.
    for convert in [ascii, digits::from_ebcdic] {
        for shift in 0..2 {
            let pairs = characters.get(shift..).unwrap_or_default().as_chunks::<2>().0;
            let unit = |[high, low]: &[char; 2]| match (high.to_digit(16), low.to_digit(16)) {
                (Some(high), Some(low)) => Unit::of(char::from(convert((high << 4 | low) as u8))),
                _ => Unit::Other,
            };
            let units: Vec<Unit> = pairs.iter().map(unit).collect();
            stars.extend(hidden(&units).into_iter().flat_map(|at| [shift + 2 * at, shift + 2 * at + 1]));
        }
    }
    for at in stars {
        characters[at] = '*';
    }
    characters.into_iter().collect()
}

const fn ascii(byte: u8) -> u8 {
    byte
}

/// A character as far as card data is made of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Digit(u32),
    /// What people write between groups of digits.
    Gap,
    /// What stands behind the card number of a track: `=` or D on track 2, `^` on track 1.
    Separator(char),
    Other,
}

impl Unit {
    fn of(character: char) -> Self {
        match (character.to_digit(10), character) {
            (Some(digit), _) => Self::Digit(digit),
            (None, ' ' | '-') => Self::Gap,
            (None, '=' | 'D' | 'd' | '^') => Self::Separator(character),
            _ => Self::Other,
        }
    }
}

/// What must not be shown: the middle of every card number, digits in groups too, and of a track all that follows it.
fn hidden(units: &[Unit]) -> Vec<usize> {
    let mut hidden = Vec::new();
    let mut run: Vec<(usize, u32)> = Vec::new();
    for at in 0..=units.len() {
        match units.get(at) {
            Some(Unit::Digit(digit)) => run.push((at, *digit)),
            // One at a time: two blanks are no group's end.
            Some(Unit::Gap) if matches!(units.get(at + 1), Some(Unit::Digit(_))) => {}
            end => {
                let separator = if let Some(Unit::Separator(found)) = end { Some(*found) } else { None };
                hide_run(&run, separator, &mut hidden);
                let rest = units.get(at + 1..).unwrap_or_default();
                if let Some(separator) = separator.filter(|found| is_track(&run, *found, rest)) {
                    hidden.extend(tail(units, at + 1, separator));
                }
                run.clear();
            }
        }
    }
    hidden
}

/// Whether a run of digits with this character behind it is the start of a track. D stands in any hex and in front of
/// amounts, so that it takes a check digit and a month too.
fn is_track(run: &[(usize, u32)], separator: char, rest: &[Unit]) -> bool {
    let has_month = matches!(
        rest,
        [Unit::Digit(_), Unit::Digit(_), Unit::Digit(0), Unit::Digit(1..=9), ..]
            | [Unit::Digit(_), Unit::Digit(_), Unit::Digit(1), Unit::Digit(0..=2), ..]
    );
    let digits: Vec<u32> = run.iter().map(|(_, digit)| *digit).collect();
    let ends_with = |right: &dyn Fn(&[u32]) -> bool| {
        CARD_DIGITS.filter_map(|length| digits.get(digits.len().checked_sub(length)?..)).any(right)
    };
    match separator {
        'D' | 'd' => has_month && ends_with(&|number| luhn(number) && number[0] != 0),
        _ => ends_with(&|_| true),
    }
}

/// Everything of a track behind its card number: to the end sentinel, on track 2 as long as it is digits.
fn tail(units: &[Unit], from: usize, separator: char) -> impl Iterator<Item = usize> {
    let belongs = |unit: &Unit| match separator {
        '^' => true,
        _ => !matches!(unit, Unit::Other | Unit::Separator('^')),
    };
    let length = units.get(from..).unwrap_or_default().iter().take_while(|unit| belongs(unit)).count();
    from..from + length
}

/// Where card numbers may stand: 13 to 19 digits in a row with a right check digit, anywhere in a longer run too; and
/// what stands right before `=` or `^`, whatever its check digit.
fn hide_run(run: &[(usize, u32)], separator: Option<char>, hidden: &mut Vec<usize>) {
    let certain =
        separator.is_some_and(|found| matches!(found, '=' | '^')) && CARD_DIGITS.contains(&run.len());
    for length in CARD_DIGITS {
        for number in run.windows(length) {
            let digits: Vec<u32> = number.iter().map(|(_, digit)| *digit).collect();
            // No card number starts with a zero: amounts and dates with leading zeros stay readable.
            if certain && length == run.len() || luhn(&digits) && digits[0] != 0 {
                hidden.extend(number[6..length - 4].iter().map(|(at, _)| *at));
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_place_of_a_card_number_is_fit_for_a_terminal() {
        let table = [
            ("4111111111111111", "411111******1111"),
            ("\u{1b}[2J11111111\u{7}\u{1b}[m", ".[2J11******..[m"),
            ("4\n11", "****"),
        ];
        for (clear, masked) in table {
            assert_eq!(mask_card_number(clear), masked, "{clear:?}");
        }
    }

    const PAN: &str = "4111111111111111";

    #[test]
    fn card_data_is_masked_wherever_it_stands() {
        let hex = |text: &str| digits::hex_text(text.as_bytes());
        let ebcdic = |text: &str| digits::hex_text(&text.bytes().map(digits::to_ebcdic).collect::<Vec<u8>>());
        let stars = |count| "*".repeat(count);
        let table = [
            (format!("card {PAN}."), "card 411111******1111.".to_owned()),
            (format!("x{PAN}y"), "x411111******1111y".to_owned()),
            ("4111 1111 1111 1111".to_owned(), "4111 11** **** 1111".to_owned()),
            ("4111-1111-1111-1111 x".to_owned(), "4111-11**-****-1111 x".to_owned()),
            ("no 4 111111 1111111 11 1".to_owned(), "no 4 11111* *****11 11 1".to_owned()),
            ("4111  1111  1111  1111".to_owned(), "4111  1111  1111  1111".to_owned()),
            (format!("{PAN}=29121011234567890?"), format!("411111******1111={}?", stars(17))),
            (format!("{PAN}D29121011234567890F"), format!("411111******1111D{}F", stars(17))),
            (format!("B{PAN}^NAME/A B^29121011?"), format!("B411111******1111^{}", stars(18))),
            // No check digit: `=` says that it is a track all the same.
            ("4111111111111112=2912101123".to_owned(), format!("411111******1112={}", stars(10))),
            ("1234567890123D0000".to_owned(), "1234567890123D0000".to_owned()),
            (
                "2001978D0000000012502002978C000000000099".to_owned(),
                "2001978D0000000012502002978C000000000099".to_owned(),
            ),
            ("000000005000 0604123456".to_owned(), "000000005000 0604123456".to_owned()),
        ];
        for (clear, expected) in table {
            assert_eq!(shown(&clear), expected);
        }
        // Text in a binary field, and how many of its characters from where on are masked at least.
        let spaced = "4111 1111 1111 1111";
        let track = format!("{PAN}=2912101");
        let table = [
            (hex(PAN), 12, 12),
            (ebcdic(PAN), 12, 12),
            (format!("A{}", hex(PAN)), 13, 12),
            (hex(spaced), 14, 4),
            (ebcdic(spaced), 20, 8),
            (hex(&track), 34, 14),
            (ebcdic(&track), 34, 14),
        ];
        for (clear, from, count) in table {
            assert_eq!(shown(&clear)[from..from + count], stars(count), "{clear}");
        }
    }
}
