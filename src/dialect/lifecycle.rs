//! Where in the life of a purchase a message stands: an increment (R17), an estimate or the last word about an amount
//! (R19), what is to stay of it (DE 95), the end of what was authorized before.

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::decode;
use crate::dialect::elements::Elements;
use crate::dialect::inbound::Fault;
use crate::dialect::inbound::Problem;
use crate::domain::request::Finality;
use crate::domain::request::Replacement;
use crate::iso8583::view::View;

/// DE 95.
pub(super) const REPLACEMENT_AMOUNTS: u8 = 95;
/// Digits of each amount in DE 95 and in Visa's DE 61.
pub(super) const AMOUNT: usize = 12;
/// Visa DE 61: other amounts, of which the third is what stays in billing currency.
const VISA_OTHER_AMOUNTS: u8 = 61;
/// Visa DE 63.3 of an increment.
const VISA_INCREMENT: u16 = 3900;
/// Visa DE 63.3 of an advice that tells what a terminal approved by itself or at its end.
const VISA_ACQUIRER_ADVICE: u16 = 2104;
/// Visa DE 25 of a completion.
const VISA_COMPLETION: u64 = 6;
/// Mastercard DE 60 of an advice of the amount at the end of an authorization at a fuel pump.
const MASTERCARD_COMPLETION: u16 = 191;

impl Dialect {
    /// What is said about the amount.
    #[inline]
    pub(super) fn finality(&self, view: &View<'_>, elements: &Elements<'_>) -> Finality {
        match self.mapping() {
            Mapping::Visa if matches!(decode::visa_indicator(view), Some(2 | 3)) => Finality::Estimated,
            Mapping::Mastercard => self.mastercard_finality(view, &elements.private),
            Mapping::Visa | Mapping::Iso87 => Finality::Undefined,
        }
    }

    /// Whether it adds to what the network's id of the transaction names. `reason` is Visa's DE 63.3.
    #[inline]
    pub(super) fn is_increment(&self, view: &View<'_>, elements: &Elements<'_>, reason: Option<u16>) -> bool {
        match self.mapping() {
            Mapping::Visa => reason == Some(VISA_INCREMENT),
            Mapping::Mastercard => Self::mastercard_increment(view, &elements.private),
            Mapping::Iso87 => false,
        }
    }

    /// Whether an advice of a hold (0120) tells the amount at the end of what was authorized before.
    pub(super) fn completes(&self, view: &View<'_>, reason: u16) -> bool {
        match self.mapping() {
            Mapping::Visa => {
                view.number(25) == Some(VISA_COMPLETION)
                    || self.private_use(view, 3) == Some(VISA_ACQUIRER_ADVICE)
            }
            Mapping::Mastercard => reason == MASTERCARD_COMPLETION,
            Mapping::Iso87 => false,
        }
    }

    /// DE 95: what is to stay of the amounts; `None` when there is none, or it is all zeros (a full reversal, R7).
    ///
    /// # Errors
    /// The first amount cannot be read: carried out as a full reversal it would give too much back.
    #[inline]
    pub(super) fn replacement(&self, view: &View<'_>) -> Result<Option<Replacement>, Fault> {
        if view.has(REPLACEMENT_AMOUNTS) { self.read_replacement(view) } else { Ok(None) }
    }

    #[cold]
    fn read_replacement(&self, view: &View<'_>) -> Result<Option<Replacement>, Fault> {
        let mut buffer = [0; 3 * AMOUNT];
        // Visa has one amount and uses nothing behind it.
        let amounts = if self.mapping() == Mapping::Visa { AMOUNT } else { buffer.len() };
        let text = view.text(REPLACEMENT_AMOUNTS, &mut buffer[..amounts]).unwrap_or_default();
        if text.iter().all(|byte| matches!(byte, b'0' | b' ')) {
            return Ok(None);
        }
        let wrong = Fault::Field { field: REPLACEMENT_AMOUNTS, problem: Problem::NotANumber };
        let amount = part(text, 0).ok_or(wrong)?;
        let billing = match self.mapping() {
            Mapping::Visa => {
                let mut buffer = [0; 3 * AMOUNT];
                view.text(VISA_OTHER_AMOUNTS, &mut buffer).and_then(|text| part(text, 2))
            }
            Mapping::Mastercard | Mapping::Iso87 => part(text, 2),
        };
        Ok(Some(Replacement { amount, billing: billing.filter(|amount| *amount > 0) }))
    }
}

/// Whether this way of entry says that the card was read by chip, contactless or magnetic stripe.
#[inline]
pub(super) const fn card_present(mode: u16) -> bool {
    matches!(mode, 2 | 5..=8 | 79 | 80 | 90..=92 | 95)
}

/// One of several amounts of twelve digits side by side. Spaces in front of it count as zeros.
fn part(text: &[u8], number: usize) -> Option<i64> {
    let digits = text.get(number * AMOUNT..(number + 1) * AMOUNT)?;
    digits.iter().try_fold(0_i64, |value, byte| match byte {
        b'0'..=b'9' => Some(value * 10 + i64::from(byte - b'0')),
        b' ' if value == 0 => Some(0),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_twelve_digits() {
        let table: [(&str, usize, Option<i64>); 6] = [
            ("000000001234", 0, Some(1234)),
            ("000000001234000000005678", 1, Some(5678)),
            ("      001234", 0, Some(1234)),
            ("00000000123X", 0, None),
            ("000000001 34", 0, None),
            ("00000000123", 0, None),
        ];
        for (text, number, expected) in table {
            assert_eq!(part(text.as_bytes(), number), expected, "{text}");
        }
    }
}
