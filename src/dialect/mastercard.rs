//! What Mastercard says in private fields: DE 48 with its subelements, DE 61 by position, DE 63 with DE 15.

use crate::dialect::Dialect;
use crate::domain::action::ActionCode;
use crate::domain::money::Money;
use crate::domain::request::Finality;
use crate::domain::request::Presented;
use crate::domain::request::ProcessingCode;
use crate::domain::request::TransactionKind;
use crate::domain::trace;
use crate::domain::trace::ASCII_DIGITS;
use crate::domain::trace::NAME;
use crate::domain::trace::pack;
use crate::domain::trace::reference;
use crate::iso8583::digits;
use crate::iso8583::spec::Encoding;
use crate::iso8583::subfields::Added;
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
pub(super) const TRACE_ID: u16 = 63;
/// Whether an address is to be verified, and what became of it.
const ADDRESS: u16 = 82;
const ADDRESS_RESULT: u16 = 83;
/// What a merchant whose request was declined is to do.
const MERCHANT_ADVICE: u16 = 84;
/// It is not to ask again by itself: the cardholder has stopped that.
const DO_NOT_ASK_AGAIN: [u8; 2] = *b"21";
/// What became of the card verification code.
const CVC_RESULT: u16 = 87;
/// What an issuer found of them, which only an issuer says.
pub(super) const RESULTS: [u16; 2] = [ADDRESS_RESULT, CVC_RESULT];
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

/// The digits' values of a reference by their characters.
const EBCDIC_DIGITS: [u8; 256] = {
    let mut digits = [trace::NO_DIGIT; 256];
    let mut byte = 0;
    while byte < digits.len() {
        digits[byte] = ASCII_DIGITS[digits::from_ebcdic(byte as u8) as usize];
        byte += 1;
    }
    digits
};

/// Characters of a day.
const DATE: usize = trace::TRACE_ID - NAME;
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
            ADDRESS if !element.content.is_empty() => {
                self.presented = self.presented.with(Presented::ADDRESS);
            }
            UCAF if !element.content.is_empty() => {
                self.presented = self.presented.with(Presented::AUTHENTICATION);
            }
            _ => {}
        }
    }

    /// A CVC 2, what 3-D Secure gave, and that an address is to be verified, when something is in them.
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

    /// What an answer says in DE 48, in the order of ids: of what came to be verified (R28) SE 83 = U, nothing is known
    /// of the address, and SE 87 = P, the CVC 2 was not processed; SE 84 = 21, the merchant is not to ask again by
    /// itself.
    pub(super) fn mastercard_results<'p>(
        &self,
        action: ActionCode,
        presented: Presented,
        parts: &'p mut [Added; 3],
    ) -> &'p [Added] {
        let coded = |byte| if self.private_is_ebcdic() { digits::to_ebcdic(byte) } else { byte };
        let stopped = matches!(
            action,
            ActionCode::RecurringStopped | ActionCode::AllRecurringStopped | ActionCode::PaymentStopped
        );
        let results = [
            (presented.has(Presented::ADDRESS), Added::one(ADDRESS_RESULT, coded(b'U'))),
            (stopped, Added::two(MERCHANT_ADVICE, DO_NOT_ASK_AGAIN.map(coded))),
            (presented.has(Presented::CVV2), Added::one(CVC_RESULT, coded(b'P'))),
        ];
        let mut count = 0;
        for (_, result) in results.into_iter().filter(|(says, _)| *says) {
            parts[count] = result;
            count += 1;
        }
        &parts[..count]
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
