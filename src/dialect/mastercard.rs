//! What Mastercard says in private fields: DE 48 with its subelements, DE 61 by position, DE 63 with DE 15.

use xxhash_rust::xxh3::xxh3_64;

use crate::dialect::Dialect;
use crate::domain::money::Money;
use crate::domain::request::Finality;
use crate::domain::request::Presented;
use crate::domain::request::ProcessingCode;
use crate::domain::request::TransactionKind;
use crate::iso8583::digits;
use crate::iso8583::spec::Encoding;
use crate::iso8583::subfields::Element;
use crate::iso8583::subfields::Subfields;
use crate::iso8583::subfields::Tagging;
use crate::iso8583::view::View;

/// DE 48, additional data: the transaction category code, then subelements.
pub(super) const PRIVATE_DATA: u8 = 48;
/// DE 61, point of service data.
const POINT_OF_SERVICE: u8 = 61;
/// DE 63, network code and reference.
const NETWORK_DATA: u8 = 63;
/// DE 15, the day on which the network settles.
const SETTLEMENT_DATE: u8 = 15;

/// Subelements of DE 48 that no answer repeats, whatever a table says: encrypted keys and CVC 2.
pub(super) const NEVER_ECHOED: [u16; 3] = [10, 11, CVC2];
/// Universal cardholder authentication field: what 3-D Secure gave.
pub(super) const UCAF: u16 = 43;
/// Multi-purpose merchant indicator, and in it who started the payment.
const MERCHANT_INDICATOR: u16 = 22;
const INITIATED_BY: u16 = 5;
/// Extended condition codes of the point of service.
const EXTENDED_CONDITIONS: u16 = 61;
/// Trace id: network code, reference and settlement date of an earlier message.
const TRACE_ID: u16 = 63;
/// What became of the card verification code.
const CVC_RESULT: u16 = 87;
/// The code on the card's back.
pub(super) const CVC2: u16 = 92;

/// The position of the cardholder's presence in DE 61 (subfield 4).
const PRESENCE_AT: usize = 3;
/// The position of the transaction status in DE 61 (subfield 7).
const STATUS_AT: usize = 6;

/// Its value for a preauthorization.
const PREAUTHORIZATION: u8 = b'4';
/// The position in SE 61 of whether the amount is final (subfield 5).
const FINAL_AT: usize = 4;

/// Base of the digits of a reference: 0-9 and A-Z.
const ALPHANUMERIC: u64 = 36;
/// Not one of them. No digit has its bit.
const NO_DIGIT: u8 = 0x80;
/// The digits' values by their characters.
const ASCII_DIGITS: [u8; 256] = digits_of(false);
const EBCDIC_DIGITS: [u8; 256] = digits_of(true);

const fn digits_of(ebcdic: bool) -> [u8; 256] {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < ALPHANUMERIC as u8 {
        let character = if value < 10 { b'0' + value } else { b'A' + value - 10 };
        let byte = if ebcdic { digits::to_ebcdic(character) } else { character };
        digits[byte as usize] = value;
        value += 1;
    }
    digits
}

/// Characters of a network code with its reference, and of a day.
const NAME: usize = 9;
const DATE: usize = 4;
/// Days of a year of twelve months with 31 each.
const DAYS: u64 = 12 * 31;
/// Marks a reference that is a hash: too long, or with other characters.
const HASHED: u64 = 1 << 63;
/// Characters of DE 63 that count.
const NETWORK_DATA_MAX: usize = 28;

/// What DE 48 says. Of elements that come twice the first one counts, but anything that was presented is kept.
#[derive(Clone, Copy)]
pub(super) struct PrivateData<'a> {
    conditions: Option<&'a [u8]>,
    initiator: Option<&'a [u8]>,
    trace_id: Option<&'a [u8]>,
    presented: Presented,
}

impl<'a> PrivateData<'a> {
    /// Of a message without it.
    pub(super) const NONE: Self =
        Self { conditions: None, initiator: None, trace_id: None, presented: Presented(0) };

    #[inline(always)]
    pub(super) fn take(&mut self, element: &Element<'a>) {
        match element.id {
            EXTENDED_CONDITIONS => _ = self.conditions.get_or_insert(element.content),
            MERCHANT_INDICATOR => _ = self.initiator.get_or_insert(element.content),
            TRACE_ID => _ = self.trace_id.get_or_insert(element.content),
            CVC2 if !element.content.is_empty() => self.presented = self.presented.with(Presented::CVV2),
            UCAF if !element.content.is_empty() => {
                self.presented = self.presented.with(Presented::AUTHENTICATION);
            }
            _ => {}
        }
    }

    /// A CVC 2 and what 3-D Secure gave, when something is in them.
    pub(super) const fn presented(&self) -> Presented {
        self.presented
    }
}

impl Dialect {
    fn private_is_ebcdic(&self) -> bool {
        let tagging = self.subfields(PRIVATE_DATA).and_then(Subfields::tagging);
        tagging.is_some_and(|tagging| tagging.encoding == Encoding::Ebcdic)
    }

    /// SE 61, subfield 1: the terminal can take a part of the amount (R12).
    pub(super) fn mastercard_partial(&self, private: &PrivateData<'_>) -> bool {
        let Some(first) = private.conditions.and_then(<[u8]>::first) else { return false };
        *first == if self.private_is_ebcdic() { digits::to_ebcdic(b'1') } else { b'1' }
    }

    /// DE 61, subfield 7: a preauthorization, whose amount is an estimate; SE 61, subfield 5: the amount is final.
    pub(super) fn mastercard_finality(&self, view: &View<'_>, private: &PrivateData<'_>) -> Finality {
        let last = private.conditions.and_then(|conditions| conditions.get(FINAL_AT));
        let one = if self.private_is_ebcdic() { digits::to_ebcdic(b'1') } else { b'1' };
        match status(view) {
            Some(PREAUTHORIZATION) => Finality::Estimated,
            _ if last == Some(&one) => Finality::Final,
            _ => Finality::Undefined,
        }
    }

    /// A preauthorization that names an earlier one (R17).
    pub(super) fn mastercard_increment(view: &View<'_>, private: &PrivateData<'_>) -> bool {
        private.trace_id.is_some() && status(view) == Some(PREAUTHORIZATION)
    }

    /// SE 22, subfield 5, begins with M; or DE 61, subfield 4, says that a payment recurs (R12).
    pub(super) fn mastercard_merchant_initiated(&self, view: &View<'_>, private: &PrivateData<'_>) -> bool {
        let indicator = || {
            let tagging = self.subfields(PRIVATE_DATA)?.tagging()?;
            let parts = Tagging { lead: 0, ..tagging };
            let first = *parts.find(private.initiator?, INITIATED_BY)?.first()?;
            Some(if tagging.encoding == Encoding::Ebcdic { digits::from_ebcdic(first) } else { first })
        };
        indicator() == Some(b'M') || view.character(POINT_OF_SERVICE, PRESENCE_AT) == Some(b'4')
    }

    /// DE 61, subfield 7: 8 asks for the account's status, for no amount; 9 for a token (R16).
    pub(super) fn mastercard_kind(view: &View<'_>, code: ProcessingCode, amount: Money) -> TransactionKind {
        match status(view) {
            Some(b'8') if amount.minor == 0 => TransactionKind::AccountVerification,
            Some(b'9') => TransactionKind::TokenRequest,
            _ => code.kind(),
        }
    }

    /// The network's id of the transaction (R7): the trace id that the message names, else its own, which is DE 63
    /// with DE 15.
    ///
    /// A request that is no increment names another transaction in SE 63, the first of a series for instance. Its own
    /// id is what a later reversal of it will name, so that goes first.
    pub(super) fn mastercard_reference(&self, view: &View<'_>, private: &PrivateData<'_>) -> Option<u64> {
        let own = || own_reference(view);
        let named = || {
            let mut buffer = [0; 40];
            let content = private.trace_id?;
            let ebcdic = self.private_is_ebcdic();
            for (to, from) in buffer.iter_mut().zip(content) {
                *to = if ebcdic { digits::from_ebcdic(*from) } else { *from };
            }
            reference(buffer.get(..content.len().min(40))?)
        };
        let asks_anew = matches!(view.mti(), 100 | 101 | 200 | 201) && status(view) != Some(PREAUTHORIZATION);
        if asks_anew { own().or_else(named) } else { named().or_else(own) }
    }

    /// SE 87 of an answer to a message with a CVC 2: P, not processed (R28).
    pub(super) fn cvc_not_processed(&self) -> (u16, u8) {
        (CVC_RESULT, if self.private_is_ebcdic() { digits::to_ebcdic(b'P') } else { b'P' })
    }
}

/// DE 61, subfield 7: the transaction status.
fn status(view: &View<'_>) -> Option<u8> {
    view.character(POINT_OF_SERVICE, STATUS_AT)
}

fn own_reference(view: &View<'_>) -> Option<u64> {
    // Without its day a reference means another transaction on every day.
    let date = view.number(SETTLEMENT_DATE)?;
    let content = view.content(NETWORK_DATA)?;
    // A name without padding, as it comes nearly always.
    if let (Ok(name), Some(DATE)) = (<&[u8; NAME]>::try_from(content), view.units(SETTLEMENT_DATE)) {
        let packed = match view.layout().field(NETWORK_DATA)?.encoding {
            Encoding::Ascii => pack(name, &ASCII_DIGITS, date / 100, date % 100),
            Encoding::Ebcdic => pack(name, &EBCDIC_DIGITS, date / 100, date % 100),
            _ => None,
        };
        if packed.is_some() {
            return packed;
        }
    }
    let mut buffer = [0; NETWORK_DATA_MAX + DATE];
    let (data, date) = buffer.split_at_mut(NETWORK_DATA_MAX);
    let length = view.text(NETWORK_DATA, data)?.len();
    view.text(SETTLEMENT_DATE, date)?;
    buffer.copy_within(NETWORK_DATA_MAX.., length);
    reference(buffer.get(..length + DATE)?)
}

/// A trace id as a number that is never zero; `None` when nothing but spaces and zeros is in it.
///
/// Three characters of network code, six of reference and a day fit without loss below bit 56. Anything else becomes a
/// hash, which has bit 63. Spaces do not count: peers pad with them, or do not.
fn reference(text: &[u8]) -> Option<u64> {
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

fn packed(text: &[u8]) -> Option<u64> {
    let (name, date) = text.split_first_chunk::<NAME>()?;
    let [m1, m2, d1, d2] = *date else { return None };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    pack(name, &ASCII_DIGITS, digit(m1)? * 10 + digit(m2)?, digit(d1)? * 10 + digit(d2)?)
}

/// A name of letters and digits and a day as one number.
#[inline(never)]
fn pack(name: &[u8; NAME], digits: &[u8; 256], month: u64, day: u64) -> Option<u64> {
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
            .map(|(text, fits)| {
                let number = reference(text.as_bytes()).expect("a number");
                assert_eq!(number >> 56 == 0, *fits, "{text}");
                assert_eq!(number & HASHED == 0, *fits, "{text}");
                assert_ne!(number, 0);
                number
            })
            .collect();
        assert_eq!(numbers.len(), table.len(), "all differ");
    }
}
