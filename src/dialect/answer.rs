//! Domain to bytes: answers that take over what they echo from the request's own bytes.

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::MessageHeader;
use crate::dialect::header;
use crate::dialect::inbound::Inbound;
use crate::dialect::inbound::Malformed;
use crate::dialect::inbound::Received;
use crate::domain::action::ActionCode;
use crate::domain::answer::Answer;
use crate::domain::answer::PartialApproval;
use crate::domain::money::Currency;
use crate::domain::request::Presented;
use crate::domain::request::TransactionKind;
use crate::iso8583::build::Builder;
use crate::iso8583::frame::FrameError;
use crate::iso8583::spec::Bitmaps;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::subfields::Added as Element;
use crate::iso8583::value::ValueError;
use crate::iso8583::view::View;

/// Why a message cannot be written. The buffer is then as it was before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WriteError {
    /// Its frame.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// One of its fields.
    #[error("field {field}: {error}")]
    Field {
        /// The data element.
        field: u8,
        /// Why.
        error: ValueError,
    },
}

/// DE 54 entries: two balances, or the original amount. Twenty characters each.
const AMOUNTS_MAX: usize = 40;
/// Visa DE 44 up to 44.13, where what came to be verified was not (R28): 44.2 U, nothing is known of the address; 44.10
/// P, a CVV2 was not processed; 44.13 6, a CAVV was not validated. A blank says of 44.5 and 44.8 that they were not
/// verified.
const NOT_VERIFIED: [u8; 15] = [b' '; 15];
const ADDRESS_RESULT_AT: usize = 1;
const CVV2_RESULT_AT: usize = 10;
const CAVV_RESULT_AT: usize = 14;

/// What an answer adds to the fields that it echoes.
#[derive(Clone, Copy)]
pub(super) struct Added<'t> {
    action: [u8; 2],
    approval_code: Option<[u8; 6]>,
    response_data: &'t [u8],
    amounts: &'t [u8],
    /// DE 4, DE 5 and DE 6.
    amounts_replaced: Option<[u64; 3]>,
    /// Parts of DE 48 (Mastercard SE 83, SE 84, SE 87), in the order of their ids.
    private: &'t [Element],
}

impl Added<'_> {
    pub(super) const fn only(action: [u8; 2]) -> Self {
        Added {
            action,
            approval_code: None,
            response_data: &[],
            amounts: &[],
            amounts_replaced: None,
            private: &[],
        }
    }

    fn fields(&self) -> FieldSet {
        let mut fields = FieldSet::of(&[39]);
        if self.approval_code.is_some() {
            fields.insert(38);
        }
        if !self.response_data.is_empty() {
            fields.insert(44);
        }
        if !self.amounts.is_empty() {
            fields.insert(54);
        }
        fields
    }

    /// The amounts that a partial approval replaces, where the request has them.
    fn replaced(&self) -> FieldSet {
        if self.amounts_replaced.is_some() { FieldSet::of(&[4, 5, 6]) } else { FieldSet::EMPTY }
    }

    #[inline(always)]
    fn write(&self, field: u8, builder: &mut Builder<'_>) -> Result<(), ValueError> {
        match field {
            38 => builder.exact_text(38, &self.approval_code.unwrap_or(*b"      ")),
            39 => builder.exact_text(39, &self.action),
            _ => self.write_other(field, builder),
        }
    }

    #[cold]
    fn write_other(&self, field: u8, builder: &mut Builder<'_>) -> Result<(), ValueError> {
        match field {
            4..=6 => {
                let at = usize::from(field) - 4;
                builder.number(field, self.amounts_replaced.map_or(0, |amounts| amounts[at]))
            }
            44 => builder.text(44, self.response_data),
            _ => builder.text(54, self.amounts),
        }
    }
}

impl Dialect {
    /// Appends the whole frame of an answer to an authorization or a reversal.
    ///
    /// # Errors
    /// The answer does not fit the frame or a field; nothing was appended.
    #[inline]
    pub fn write_answer(
        &self,
        received: &Received<'_>,
        answer: &Answer,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let view = &received.view;
        // Advices and reversals get neither a new DE 38 nor amounts (R8, R25).
        let request = match &received.inbound {
            Inbound::Authorization(request) => Some(request),
            _ => None,
        };
        let refund = request.is_some_and(|request| request.kind == TransactionKind::Refund);
        let code = if refund { self.refund_code(answer.action) } else { self.response_code(answer.action) };
        let mut added = Added::only(code);
        let mut amounts = [0; AMOUNTS_MAX];
        let (mut results, mut private) = (NOT_VERIFIED, [Element::default(); 3]);
        if let Some(request) = request {
            if answer.action.is_approval() {
                added.approval_code = answer.approval_code.map(|code| code.0);
            }
            added.amounts = additional_amounts(view, answer, &mut amounts);
            added.amounts_replaced = answer.partial.as_ref().map(|part| replaced(view, part));
            if self.mapping == Mapping::Mastercard {
                added.private = self.mastercard_results(answer.action, request.presented, &mut private);
            } else if self.mapping == Mapping::Visa && (view.has(126) || view.has(123)) {
                added.response_data = self.visa_not_verified(view, request.presented, &mut results);
            }
        }
        self.write_response(received.header, view, received.open, &added, out)
    }

    /// Visa DE 44 about an address, a CVV2 and a CAVV, of which nothing was verified; empty when none came.
    fn visa_not_verified<'t>(
        &self,
        view: &View<'_>,
        presented: Presented,
        results: &'t mut [u8; 15],
    ) -> &'t [u8] {
        let mut length = 0;
        for (came, at, result) in [
            (presented.has(Presented::ADDRESS), ADDRESS_RESULT_AT, b'U'),
            (presented.has(Presented::CVV2), CVV2_RESULT_AT, b'P'),
            (self.cavv_came(view), CAVV_RESULT_AT, b'6'),
        ] {
            if came {
                results[at] = result;
                length = at + 1;
            }
        }
        &results[..length]
    }

    /// Appends the whole frame of an answer with nothing but DE 39 and what is echoed, whatever the request is.
    ///
    /// # Errors
    /// The answer does not fit the frame or a field; nothing was appended.
    pub fn write_refusal(
        &self,
        received: &Received<'_>,
        action: ActionCode,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let added = Added::only(self.response_code(action));
        self.write_response(received.header, &received.view, received.open, &added, out)
    }

    /// Appends the answer to a malformed request when it can be answered (R24), and tells whether it did.
    ///
    /// Where the dialect names the field at fault, its three digits go into DE 44. Otherwise everything that the
    /// answer must echo has to be readable.
    pub fn write_malformed(&self, malformed: &Malformed<'_>, out: &mut Vec<u8>) -> bool {
        let Some(view) = &malformed.view else { return false };
        let mti = view.mti();
        let known = self.responses.iter().any(|(known, _)| *known == response_mti(mti));
        if mti / 10 % 2 == 1 || !known || !view.has(11) {
            return false;
        }
        let echoed = self.response_fields(response_mti(mti)).and(view.named());
        if !(self.name_malformed_field || view.has(7) && view.fields().includes(echoed)) {
            return false;
        }
        let mut added = Added::only(self.response_code(ActionCode::FormatError));
        let field = malformed.fault.field().unwrap_or(0);
        let number = [field / 100, field / 10 % 10, field % 10].map(|digit| b'0' + digit);
        if self.name_malformed_field && field > 0 {
            added.response_data = &number;
        }
        self.write_response(malformed.header, view, false, &added, out).is_ok()
    }

    pub(super) fn write_response(
        &self,
        request_header: &[u8],
        view: &View<'_>,
        open: bool,
        added: &Added<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let mti = response_mti(view.mti());
        let mut fields = self.response_fields(mti).and(view.fields()).or(added.fields());
        let mut guarded = FieldSet::EMPTY;
        if !open || !added.private.is_empty() {
            (fields, guarded) = self.guard(view, fields, added.private);
        }
        let start = self.framing.begin(out);
        let like = answered_like(view);
        let body = header::begin_answer(self.heading(), request_header, self.station, out);
        let mut builder = Builder::begin(&self.layout, out, mti, fields, like);
        let new = added.fields().or(added.replaced()).or(guarded).and(fields);
        let written = builder.echo(view, fields, new, |field, builder| {
            if guarded.has(field) {
                self.write_guarded(view, field, added.private, builder)
            } else {
                added.write(field, builder)
            }
        });
        if let Err((field, error)) = written {
            out.truncate(start);
            return Err(WriteError::Field { field, error });
        }
        builder.finish();
        header::finish(self.answer_header(request_header), body, out);
        Ok(self.framing.finish(out, start)?)
    }

    /// Of the fields of an answer, those of which something is left when the parts that never go back are taken out;
    /// and those that must be written without these parts.
    #[cold]
    pub(super) fn guard(&self, view: &View<'_>, fields: FieldSet, added: &[Element]) -> (FieldSet, FieldSet) {
        let guarded = self.guarded.and(fields);
        let mut fields = fields;
        for field in guarded.iter() {
            let division = self.subfields(field).zip(view.content(field));
            if !division.is_some_and(|(division, content)| division.has_open(content, added)) {
                fields.remove(field);
            }
        }
        (fields, guarded)
    }

    #[cold]
    pub(super) fn write_guarded(
        &self,
        view: &View<'_>,
        field: u8,
        added: &[Element],
        builder: &mut Builder<'_>,
    ) -> Result<(), ValueError> {
        let (division, content) =
            self.subfields(field).zip(view.content(field)).ok_or(ValueError::UnknownField)?;
        builder.filled(field, |out| division.append_open(content, added, out))
    }

    pub(super) const fn answer_header(&self, request_header: &[u8]) -> MessageHeader {
        if request_header.is_empty() { MessageHeader::None } else { self.header }
    }

    /// A frame with a header of ours around what `write` appends.
    pub(super) fn framed<E: From<FrameError>>(
        &self,
        to: u32,
        from: u32,
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.framing.begin(out);
        let body = header::begin_own(self.heading(), to, from, out);
        if let Err(error) = write(out) {
            out.truncate(start);
            return Err(error);
        }
        header::finish(self.header, body, out);
        Ok(self.framing.finish(out, start)?)
    }
}

/// The bitmaps of the answer to this request: in the same case, and a second one where that has one unannounced.
#[inline(always)]
pub(super) const fn answered_like(view: &View<'_>) -> Bitmaps {
    let bitmaps = view.bitmaps();
    let lower_case = bitmaps.lower_case;
    if bitmaps.unannounced_second { bitmaps } else { Bitmaps { lower_case, ..Bitmaps::AS_NEEDED } }
}

pub(super) fn at(field: u8, written: Result<(), ValueError>) -> Result<(), WriteError> {
    written.map_err(|error| WriteError::Field { field, error })
}

/// The MTI of the answer: 0101 -> 0110, 0421 -> 0430. The repeat digit is not carried over.
#[must_use]
pub const fn response_mti(mti: u16) -> u16 {
    let origin = mti % 10;
    mti - origin + 10 + (origin & !1)
}

/// DE 4, 5 and 6 of a partial approval. The settlement amount is scaled down as the transaction's is (R12).
#[cold]
fn replaced(view: &View<'_>, part: &PartialApproval) -> [u64; 3] {
    let (amount, billing) = (part.amount.minor.unsigned_abs(), part.billing.minor.unsigned_abs());
    let whole = u128::from(part.original.minor.unsigned_abs()).max(1);
    let settlement = u128::from(view.number(5).unwrap_or(0)) * u128::from(amount) / whole;
    [amount, u64::try_from(settlement).unwrap_or(u64::MAX), billing]
}

fn additional_amounts<'t>(view: &View<'_>, answer: &Answer, buffer: &'t mut [u8; AMOUNTS_MAX]) -> &'t [u8] {
    let (first, second) = buffer.split_at_mut(AMOUNTS_MAX / 2);
    let length = if let Some(balances) = answer.balances {
        // DE 3's middle digits: the account that was asked about.
        let account = (view.number(3).unwrap_or(0) / 100 % 100) as u8;
        put_amount(first, account, b"01", balances.currency, balances.ledger);
        put_amount(second, account, b"02", balances.currency, balances.available);
        AMOUNTS_MAX
    } else if let Some(part) = answer.partial {
        // What the cardholder would have paid: a debit, as cash back in DE 54 is.
        let original = part.original;
        put_amount(first, 0, b"57", original.currency, -original.minor.saturating_abs());
        AMOUNTS_MAX / 2
    } else {
        0
    };
    &buffer[..length]
}

/// One entry of DE 54: account type 2, amount type 2, currency 3, C or D, amount 12.
fn put_amount(entry: &mut [u8], account: u8, kind: &[u8; 2], currency: Currency, minor: i64) {
    let mut put = |from: usize, width: usize, value: u64| {
        let mut rest = value;
        for byte in entry[from..from + width].iter_mut().rev() {
            *byte = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
    };
    put(0, 2, u64::from(account));
    put(4, 3, u64::from(currency.numeric()));
    put(8, 12, minor.unsigned_abs().min(999_999_999_999));
    entry[2..4].copy_from_slice(kind);
    entry[7] = if minor < 0 { b'D' } else { b'C' };
}
