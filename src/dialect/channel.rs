//! How and where a card was used, as the networks tell it in DE 19, DE 22, DE 25 and private fields.

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::domain::request::ProcessingCode;
use crate::domain::usage::Channel;
use crate::iso8583::view::View;

/// DE 18 of a cash machine, and of cash at a counter.
const MACHINE: u16 = 6011;
const COUNTER: u16 = 6010;
/// First two digits of DE 3 of a withdrawal; other cash is paid out by hand.
const WITHDRAWAL: u8 = 1;
/// DE 25: electronic commerce.
const ELECTRONIC_COMMERCE: u64 = 59;
/// Mastercard's data of the point of service, and where the terminal's country begins in it.
const POINT_OF_SERVICE: u8 = 61;
const COUNTRY_AT: usize = 13;
/// The byte of Visa DE 60 that is 60.8: 05 to 08 are electronic commerce.
const VISA_INDICATOR: usize = 4;

impl Dialect {
    /// The channel of a message with this way of entry, DE 3 and DE 18.
    #[inline]
    pub(super) fn channel(&self, view: &View<'_>, mode: u16, code: ProcessingCode, mcc: u16) -> Channel {
        if mcc == MACHINE || code.transaction_type() == WITHDRAWAL && mcc != COUNTER {
            return Channel::Atm;
        }
        match mode {
            5 | 95 => Channel::Chip,
            7 | 8 | 91 => Channel::Contactless,
            2 | 80 | 90 => Channel::MagneticStripe,
            9 | 10 | 81 => Channel::Ecommerce,
            _ if self.is_electronic_commerce(view) => Channel::Ecommerce,
            _ => Channel::Other,
        }
    }

    /// The acquirer's country by its ISO 3166 numeric code: DE 19 as it was read, or where that is zero, of Mastercard
    /// DE 61.13, the terminal's; zero for none.
    #[inline]
    pub(super) fn country(&self, view: &View<'_>, acquirer: u16) -> u16 {
        if acquirer == 0 && self.mapping() == Mapping::Mastercard {
            return terminal_country(view).unwrap_or(0);
        }
        acquirer
    }

    fn is_electronic_commerce(&self, view: &View<'_>) -> bool {
        let indicator = || view.content(60)?.get(VISA_INDICATOR).copied();
        view.number(25) == Some(ELECTRONIC_COMMERCE)
            || self.mapping() == Mapping::Visa && matches!(indicator(), Some(0x05..=0x08))
    }
}

/// Mastercard DE 61, subfield 13.
fn terminal_country(view: &View<'_>) -> Option<u16> {
    (0..3).try_fold(0, |country, at| {
        let digit = view.character(POINT_OF_SERVICE, COUNTRY_AT + at)?;
        digit.is_ascii_digit().then(|| country * 10 + u16::from(digit - b'0'))
    })
}

/// How the card number came: the first two digits of DE 22, which was read as this number. Visa has one behind them and
/// a filler, others have one.
#[inline]
pub(super) fn way_of_entry(view: &View<'_>, entry_mode: u16) -> u16 {
    match view.units(22) {
        Some(4..) => entry_mode / 100,
        Some(3) => entry_mode / 10,
        _ => entry_mode,
    }
}
