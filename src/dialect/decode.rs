//! Bytes to domain: which fields a message must have, and what they mean in each mapping.

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::channel::way_of_entry;
use crate::dialect::elements::Elements;
use crate::dialect::header;
use crate::dialect::inbound::Context;
use crate::dialect::inbound::Fault;
use crate::dialect::inbound::Inbound;
use crate::dialect::inbound::Malformed;
use crate::dialect::inbound::NetworkRequest;
use crate::dialect::inbound::Problem;
use crate::dialect::inbound::Received;
use crate::dialect::inbound::Reject;
use crate::dialect::inbound::Response;
use crate::dialect::lifecycle;
use crate::dialect::lifecycle::REPLACEMENT_AMOUNTS;
use crate::dialect::meaning;
use crate::dialect::numbers::Any;
use crate::dialect::numbers::Digits;
use crate::dialect::numbers::Packed;
use crate::dialect::numbers::Writing;
use crate::dialect::numbers::Zoned;
use crate::domain::card::Pan;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::InstitutionId;
use crate::domain::party::MerchantId;
use crate::domain::party::Rrn;
use crate::domain::party::TerminalId;
use crate::domain::party::Text;
use crate::domain::request::ApprovalCode;
use crate::domain::request::AuthorizationRequest;
use crate::domain::request::MemberId;
use crate::domain::request::MessageClass;
use crate::domain::request::MessageKey;
use crate::domain::request::OriginalData;
use crate::domain::request::Presented;
use crate::domain::request::ProcessingCode;
use crate::domain::request::ReversalRequest;
use crate::domain::request::Scope;
use crate::domain::request::Stan;
use crate::domain::request::TransactionKind;
use crate::domain::time::Expiry;
use crate::domain::time::TransmissionTime;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::view::Broken;
use crate::iso8583::view::Rule;
use crate::iso8583::view::Spans;
use crate::iso8583::view::View;

/// Visa DE 123 with a postal code and a street, in bytes, and the dataset that has them otherwise.
const ADDRESS_BYTES: usize = 29;
const ADDRESS_DATASET: u8 = 0x66;
/// The byte of Visa DE 60 whose low digit is 60.10, additional authorization indicators.
const ADDITIONAL_INDICATORS: usize = 5;
/// Visa DE 25: not a purchase, the account is to be verified (R16).
const VISA_ACCOUNT_VERIFICATION: u64 = 51;
/// What says which message a reversal or an advice is about and what it tells.
const CARRIED_OUT_BY: [u8; 22] =
    [2, 3, 4, 6, 7, 11, 15, 32, 35, 37, 38, 39, 41, 42, 48, 49, 51, 60, 62, 63, 90, REPLACEMENT_AMOUNTS];
/// The first two digits of the reasons in Visa DE 63.3 that are a merchant's.
const VISA_MERCHANT_REASONS: u16 = 39;
/// The first two digits of the reasons in Visa DE 63.3 that are about tokens.
const VISA_TOKEN_REASONS: u16 = 37;

impl Dialect {
    /// Reads a frame's body: the network's header and the message to its end. Allocates nothing.
    ///
    /// # Errors
    /// What is wrong, with the fields that could be read, so that it can be answered (R24).
    #[inline]
    pub fn decode<'a>(
        &'a self,
        body: &'a [u8],
        context: Context,
        spans: &'a mut Spans,
    ) -> Result<Received<'a>, Malformed<'a>> {
        let split = match header::split(self.heading(), body) {
            Ok(split) => split,
            Err(error) => return Err(Malformed { header: &[], view: None, fault: Fault::Header(error) }),
        };
        let header = split.header;
        let view = match View::parse(&self.layout, split.message, spans) {
            Ok(view) => view,
            Err(broken) if split.rejected || self.can_be_carried_out(&broken) => broken.view,
            Err(broken) => {
                let fault = Fault::Wire(broken.error);
                return Err(Malformed { header, view: Some(broken.view), fault });
            }
        };
        let elements = self.elements(&view);
        if let (false, 100 | 101 | 200 | 201) = (split.rejected, view.mti()) {
            // Nearly all messages.
            return match self.usual.in_message(&view) {
                Some(Writing::Zoned) => self.request::<Zoned>(header, &view, context, &elements),
                Some(Writing::Packed) => self.request::<Packed>(header, &view, context, &elements),
                None => self.request::<Any>(header, &view, context, &elements),
            };
        }
        let inbound = if split.rejected {
            // Whatever the network sent back: the code counts, and the message as far as it can be read.
            let stan = view.number(11).map(|stan| Stan(stan as u32));
            let mti = view.mti();
            // An answer of ours that the network did not take.
            let answer =
                if matches!(mti, 110 | 210) { self.undelivered(&view, context, &elements) } else { None };
            Ok(Inbound::Reject(Reject { code: split.reject_code, mti, stan, answer }))
        } else {
            self.meaning(&view, context, &elements)
        };
        match inbound {
            Ok(inbound) => {
                let Elements { strange, open, .. } = elements;
                Ok(Received { header, view, strange, open, inbound })
            }
            Err(fault) => Err(Malformed { header, view: Some(view), fault }),
        }
    }

    /// A request for an authorization, put together where it stays, and not copied.
    #[inline(never)]
    fn request<'a, D: Digits>(
        &'a self,
        header: &'a [u8],
        view: &View<'a>,
        context: Context,
        elements: &Elements<'a>,
    ) -> Result<Received<'a>, Malformed<'a>> {
        match self.authorization::<D>(view, context, elements) {
            Ok(request) => Ok(Received {
                header,
                view: *view,
                strange: elements.strange,
                open: elements.open,
                inbound: Inbound::Authorization(request),
            }),
            Err(fault) => Err(Malformed { header, view: Some(*view), fault }),
        }
    }

    /// What a message means that is no request for an authorization.
    #[inline(never)]
    fn meaning(&self, view: &View<'_>, context: Context, elements: &Elements<'_>) -> Result<Inbound, Fault> {
        let mti = view.mti();
        match mti {
            120 | 121 | 220 | 221 => Ok(Inbound::Advice(self.advice(view, context, elements)?)),
            190 | 191 => Ok(Inbound::Undelivered(self.undelivered(view, context, elements))),
            620 | 621 => Ok(Inbound::Administrative(self.administrative(view, context, elements)?)),
            400 | 401 | 420 | 421 => Ok(Inbound::Reversal(self.reversal(view, context, elements)?)),
            800 | 801 => Ok(Inbound::NetworkManagement(self.network_request(view)?)),
            820 | 821 => Ok(Inbound::NetworkAdvice(self.network_request(view)?)),
            // The third digit of an answer is odd.
            100..=899 if mti / 10 % 2 == 1 => Ok(Inbound::Response(Response::read(view)?)),
            _ => Ok(Inbound::Unsupported { mti }),
        }
    }

    #[inline(always)]
    fn authorization<D: Digits>(
        &self,
        view: &View<'_>,
        context: Context,
        elements: &Elements<'_>,
    ) -> Result<AuthorizationRequest, Fault> {
        let mti = view.mti();
        let mut texts = Texts { rrn: Text::BLANK, terminal: Text::BLANK, merchant: Text::BLANK };
        Texts::read(view, &mut texts);
        let track = Track2::of(view);
        let pan = pan(view, track.as_ref())?;
        let processing_code = ProcessingCode(required::<D>(view, 3)? as u32);
        let transmission = transmission::<D>(view)?;
        let stan = Stan(required::<D>(view, 11)? as u32);
        // A balance inquiry moves nothing, so that it may come without an amount.
        let inquiry = processing_code.kind() == TransactionKind::BalanceInquiry;
        let amount = amount::<D>(view, inquiry)?;
        let billing = billing::<D>(view)?;
        dates::<D>(view)?;
        let partial_supported = self.partial_supported(view, elements);
        let reason = if self.mapping == Mapping::Visa { self.private_use(view, 3) } else { None };
        let kind = self.kind(view, processing_code, amount, reason);
        let (mcc, entry_mode) = (small::<D>(view, 18)?, small::<D>(view, 22)?);
        let entry = way_of_entry(view, entry_mode);
        Ok(AuthorizationRequest {
            key: self.key(view, context, elements, stan, transmission, &texts)?,
            class: if mti < 200 { MessageClass::Authorization } else { MessageClass::Financial },
            repeat: mti % 2 == 1,
            pan,
            expiry: expiry::<D>(view, track.as_ref())?,
            processing_code,
            kind,
            amount,
            billing,
            mcc,
            country: self.country(view, small::<D>(view, 19)?),
            entry_mode,
            channel: self.channel(view, entry, processing_code, mcc),
            partial_supported,
            merchant_initiated: self.merchant_initiated(view, elements, reason),
            increment: self.is_increment(view, elements, reason),
            finality: self.finality(view, elements),
            card_present: lifecycle::card_present(entry),
            presented: self.presented(view, elements),
        })
    }

    fn reversal(
        &self,
        view: &View<'_>,
        context: Context,
        elements: &Elements<'_>,
    ) -> Result<ReversalRequest, Fault> {
        let mti = view.mti();
        let mut texts = Texts { rrn: Text::BLANK, terminal: Text::BLANK, merchant: Text::BLANK };
        Texts::read(view, &mut texts);
        let pan = pan(view, Track2::of(view).as_ref())?;
        let processing_code = ProcessingCode(required::<Any>(view, 3)? as u32);
        let amount = amount::<Any>(view, false)?;
        let transmission = transmission::<Any>(view)?;
        let stan = Stan(required::<Any>(view, 11)? as u32);
        let (reason, legs) = self.reversal_reason(view);
        Ok(ReversalRequest {
            key: self.key(view, context, elements, stan, transmission, &texts)?,
            advice: mti >= 420,
            repeat: mti % 2 == 1,
            pan,
            processing_code,
            amount,
            billing: billing::<Any>(view)?,
            replacement: self.replacement(view)?,
            approval_code: approval_code(view),
            original: original(view),
            legs,
            reason,
        })
    }

    fn network_request(&self, view: &View<'_>) -> Result<NetworkRequest, Fault> {
        let code = required::<Any>(view, 70)? as u16;
        let stan = Stan(required::<Any>(view, 11)? as u32);
        let what = self.network_codes.meaning(code);
        let transmission = transmission::<Any>(view)?;
        let scope = match number::<Any>(view, 2)? {
            Some(value) => self.network_codes.scope(code, member(view, value)?),
            None => Scope::Link,
        };
        Ok(NetworkRequest { what, scope, code, stan, transmission })
    }

    #[inline(always)]
    pub(super) fn key(
        &self,
        view: &View<'_>,
        context: Context,
        elements: &Elements<'_>,
        stan: Stan,
        transmission: TransmissionTime,
        texts: &Texts,
    ) -> Result<MessageKey, Fault> {
        Ok(MessageKey {
            network: context.network,
            link: context.link,
            stan,
            transmission,
            acquirer: InstitutionId(number::<Any>(view, 32)?.unwrap_or(0)),
            rrn: texts.rrn,
            terminal: texts.terminal,
            merchant: texts.merchant,
            network_reference: self.network_reference(view, elements).unwrap_or(0),
        })
    }

    /// What DE 3 asks for, unless the network says in a private field that it is something else (R16). `reason` is
    /// Visa's DE 63.3, the message reason.
    #[inline(always)]
    fn kind(
        &self,
        view: &View<'_>,
        code: ProcessingCode,
        amount: Money,
        reason: Option<u16>,
    ) -> TransactionKind {
        match self.mapping {
            Mapping::Visa if amount.minor == 0 && view.number(25) == Some(VISA_ACCOUNT_VERIFICATION) => {
                TransactionKind::AccountVerification
            }
            Mapping::Visa if reason.is_some_and(|reason| reason / 100 == VISA_TOKEN_REASONS) => {
                TransactionKind::TokenRequest
            }
            Mapping::Mastercard => Self::mastercard_kind(view, code, amount),
            Mapping::Visa | Mapping::Iso87 => code.kind(),
        }
    }

    /// The network's own id of the transaction: Visa DE 62.2, the transaction identifier; Mastercard's trace id.
    pub(super) fn network_reference(&self, view: &View<'_>, elements: &Elements<'_>) -> Option<u64> {
        match self.mapping {
            Mapping::Visa => self.subfields(62)?.number(view.content(62)?, 2),
            Mapping::Mastercard => self.mastercard_reference(view, &elements.private),
            Mapping::Iso87 => None,
        }
    }

    /// Visa DE 60.10: 1 is "can take a part", 3 is that and "the amount is estimated". Mastercard DE 48 SE 61 (R12).
    fn partial_supported(&self, view: &View<'_>, elements: &Elements<'_>) -> bool {
        match self.mapping {
            Mapping::Visa => matches!(visa_indicator(view), Some(1 | 3)),
            Mapping::Mastercard => self.mastercard_partial(&elements.private),
            Mapping::Iso87 => false,
        }
    }

    /// Visa DE 126.13 (recurring, installment, credential on file) and 63.3 (3900 to 3904); Mastercard DE 48 SE 22 and
    /// DE 61 (R12).
    fn merchant_initiated(&self, view: &View<'_>, elements: &Elements<'_>, reason: Option<u16>) -> bool {
        match self.mapping {
            Mapping::Visa => {
                let environment = || {
                    let part = self.subfields(126)?.find(view.content(126)?, 13)?;
                    part.text(&mut [0]).first().copied()
                };
                matches!(environment(), Some(b'R' | b'I' | b'C'))
                    || reason.is_some_and(|reason| reason / 100 == VISA_MERCHANT_REASONS)
            }
            Mapping::Mastercard => self.mastercard_merchant_initiated(view, &elements.private),
            Mapping::Iso87 => false,
        }
    }

    /// Whether a reversal or an advice with a mistake can be carried out all the same: only the content of fields is
    /// wrong, and none of those that say what is to be done. Where the peer is told the field, it repairs it (R24).
    #[cold]
    fn can_be_carried_out(&self, broken: &Broken<'_>) -> bool {
        let (view, error) = (&broken.view, broken.error);
        let tells = matches!(view.mti(), 120 | 121 | 220 | 221 | 400 | 401 | 420 | 421);
        let content = matches!(
            error.rule,
            Rule::NotNumeric | Rule::WrongPad | Rule::NotTrack | Rule::NoSign | Rule::NotHex
        );
        let last = view.named().iter().last();
        let whole = last.is_some_and(|last| view.has(last) || error.field == Some(last));
        let needed = FieldSet::of(&CARRIED_OUT_BY).and(view.named());
        tells && content && whole && !self.name_malformed_field && view.fields().includes(needed)
    }

    fn presented(&self, view: &View<'_>, elements: &Elements<'_>) -> Presented {
        let mut presented = elements.private.presented();
        if view.has(52) {
            presented = presented.with(Presented::PIN);
        }
        if view.has(35) || view.has(45) {
            presented = presented.with(Presented::TRACK);
        }
        // Visa's third bitmap carried a cryptogram before DE 55 did.
        if elements.cryptogram || self.mapping == Mapping::Visa && view.has(136) {
            presented = presented.with(Presented::CRYPTOGRAM);
        }
        if self.mapping == Mapping::Visa && self.has_visa_cvv2(view) {
            presented = presented.with(Presented::CVV2);
        }
        if self.mapping == Mapping::Visa && view.content(123).is_some_and(is_address) {
            presented = presented.with(Presented::ADDRESS);
        }
        presented
    }

    /// Visa DE 126.9: what 3-D Secure gave.
    pub(super) fn cavv_came(&self, view: &View<'_>) -> bool {
        let found = || self.subfields(126)?.find(view.content(126)?, 9).map(|_| ());
        self.mapping == Mapping::Visa && found().is_some()
    }

    /// Visa DE 126.10: its first character says that a CVV2 is present (1, or 3 for a dynamic one).
    fn has_visa_cvv2(&self, view: &View<'_>) -> bool {
        let (Some(content), Some(subfields)) = (view.content(126), self.subfields(126)) else { return false };
        let mut buffer = [0; 6];
        let Some(part) = subfields.find(content, 10) else { return false };
        matches!(part.text(&mut buffer).first(), Some(b'1' | b'3'))
    }
}

/// Visa DE 123 with an address: postal code and street, nine and twenty characters, or a dataset of its own (66) among
/// others, each with its length in two bytes.
fn is_address(content: &[u8]) -> bool {
    if content.len() == ADDRESS_BYTES {
        return true;
    }
    let mut rest = content;
    while let [dataset, high, low, more @ ..] = rest {
        if *dataset == ADDRESS_DATASET {
            return true;
        }
        rest = more.get(usize::from(u16::from_be_bytes([*high, *low]))..).unwrap_or(&[]);
    }
    false
}

/// Visa DE 60.10.
pub(super) fn visa_indicator(view: &View<'_>) -> Option<u8> {
    view.content(60)?.get(ADDITIONAL_INDICATORS).map(|byte| byte & 0x0f)
}

/// DE 13, and DE 15 and 17, where hosts send zeros for none, are dates.
#[inline(always)]
fn dates<D: Digits>(view: &View<'_>) -> Result<(), Fault> {
    date::<D>(view, 13, false)?;
    date::<D>(view, 15, true)?;
    date::<D>(view, 17, true)
}

#[inline(always)]
fn date<D: Digits>(view: &View<'_>, field: u8, zeros: bool) -> Result<(), Fault> {
    match number::<D>(view, field)? {
        Some(0) if zeros => Ok(()),
        Some(date) if !u32::try_from(date).is_ok_and(TransmissionTime::is_date) => {
            Err(fault(field, Problem::NotADate))
        }
        _ => Ok(()),
    }
}

fn fault(field: u8, problem: Problem) -> Fault {
    Fault::Field { field, problem }
}

#[inline(always)]
fn number<D: Digits>(view: &View<'_>, field: u8) -> Result<Option<u64>, Fault> {
    match D::number(view, field) {
        Some(number) => Ok(Some(number)),
        None if view.has(field) => Err(fault(field, Problem::NotANumber)),
        None => Ok(None),
    }
}

#[inline(always)]
pub(super) fn required<D: Digits>(view: &View<'_>, field: u8) -> Result<u64, Fault> {
    number::<D>(view, field)?.ok_or(fault(field, Problem::Missing))
}

/// A number of up to four digits; zero when absent.
#[inline(always)]
fn small<D: Digits>(view: &View<'_>, field: u8) -> Result<u16, Fault> {
    let number = number::<D>(view, field)?.unwrap_or(0);
    u16::try_from(number).map_err(|_| fault(field, Problem::NotANumber))
}

#[inline(always)]
fn text<const N: usize>(view: &View<'_>, field: u8, to: &mut Text<N>) {
    if !view.exact_text(field, &mut to.0) {
        *to = Text::BLANK;
        let _written = view.text(field, &mut to.0);
    }
}

/// The text fields that name a message.
pub(super) struct Texts {
    pub(super) rrn: Rrn,
    pub(super) terminal: TerminalId,
    pub(super) merchant: MerchantId,
}

impl Texts {
    /// Read before anything else: what is written byte by byte has then reached the cache when it is copied as a
    /// whole, and never goes through registers.
    #[inline(never)]
    pub(super) fn read(view: &View<'_>, to: &mut Self) {
        text(view, 37, &mut to.rrn);
        text(view, 41, &mut to.terminal);
        text(view, 42, &mut to.merchant);
    }
}

#[inline(always)]
pub(super) fn currency<D: Digits>(view: &View<'_>, field: u8) -> Result<Option<Currency>, Fault> {
    let Some(numeric) = D::number(view, field) else {
        return if view.has(field) { letters(view, field) } else { Ok(None) };
    };
    let currency = u16::try_from(numeric).ok().and_then(Currency::new);
    currency.map(Some).ok_or(fault(field, Problem::NotANumber))
}

/// A currency by its letters, where the field may have any: `USD`.
#[cold]
fn letters(view: &View<'_>, field: u8) -> Result<Option<Currency>, Fault> {
    let mut buffer = [0; 3];
    let Some(text) = view.text(field, &mut buffer) else { return Ok(None) };
    let numeric = std::str::from_utf8(text).ok().and_then(meaning::numeric_of);
    let currency = numeric.and_then(Currency::new);
    currency.map(Some).ok_or(fault(field, Problem::NotANumber))
}

#[inline(always)]
pub(super) fn amount<D: Digits>(view: &View<'_>, optional: bool) -> Result<Money, Fault> {
    let (minor, currency) = (number::<D>(view, 4)?, currency::<D>(view, 49)?);
    let minor = match minor {
        None if optional => 0,
        minor => minor.ok_or(fault(4, Problem::Missing))?,
    };
    let currency = match currency {
        None if optional => Currency::default(),
        currency => currency.ok_or(fault(49, Problem::Missing))?,
    };
    let minor = i64::try_from(minor).map_err(|_| fault(4, Problem::NotANumber))?;
    Ok(Money::new(minor, currency))
}

/// DE 6 in DE 51, when both are there.
#[inline(always)]
pub(super) fn billing<D: Digits>(view: &View<'_>) -> Result<Option<Money>, Fault> {
    Ok(match (number::<D>(view, 6)?, currency::<D>(view, 51)?) {
        (Some(minor), Some(currency)) => Some(Money::new(minor as i64, currency)),
        _ => None,
    })
}

#[inline(always)]
pub(super) fn transmission<D: Digits>(view: &View<'_>) -> Result<TransmissionTime, Fault> {
    let digits = u32::try_from(required::<D>(view, 7)?).ok();
    digits.and_then(TransmissionTime::new).ok_or(fault(7, Problem::NotADate))
}

/// Of card number and expiry what only DE 35 has. It lives on the stack of one decoding only.
pub(super) struct Track2 {
    pan: Option<Pan>,
    expiry: Option<Expiry>,
}

impl Track2 {
    #[inline(never)]
    pub(super) fn of(view: &View<'_>) -> Option<Self> {
        if view.has(2) && view.has(14) || !view.has(35) {
            return None;
        }
        let mut buffer = [0; 40];
        let track = view.text(35, &mut buffer)?;
        let separator = track.iter().position(|character| !character.is_ascii_digit())?;
        let pan = if view.has(2) { None } else { Pan::from_ascii(track.get(..separator)?).ok() };
        let date = track.get(separator + 1..separator + 5);
        let expiry = date.and_then(|date| {
            let digits = date.iter().map(|byte| byte.wrapping_sub(b'0'));
            digits.into_iter().try_fold(0, |value, digit| (digit < 10).then(|| value * 10 + u16::from(digit)))
        });
        Some(Self { pan, expiry: expiry.and_then(Expiry::new) })
    }
}

#[inline(always)]
pub(super) fn pan(view: &View<'_>, track: Option<&Track2>) -> Result<Pan, Fault> {
    if let Some(value) = number::<Any>(view, 2)? {
        let digits = view.units(2).unwrap_or(0).min(usize::from(u8::MAX)) as u8;
        return Pan::from_value(value, digits).map_err(|_| fault(2, Problem::NotACardNumber));
    }
    if view.has(35) {
        return track.and_then(|track| track.pan).ok_or(fault(35, Problem::NotACardNumber));
    }
    Err(fault(2, Problem::Missing))
}

#[inline(always)]
fn expiry<D: Digits>(view: &View<'_>, track: Option<&Track2>) -> Result<Option<Expiry>, Fault> {
    let Some(digits) = number::<D>(view, 14)? else { return Ok(track.and_then(|track| track.expiry)) };
    let expiry = u16::try_from(digits).ok().and_then(Expiry::new);
    expiry.map(Some).ok_or(fault(14, Problem::NotADate))
}

/// DE 2 of network management: a group or a prefix. A whole card number has no business there.
fn member(view: &View<'_>, value: u64) -> Result<MemberId, Fault> {
    let digits = view.units(2).unwrap_or(0).min(usize::from(u8::MAX)) as u8;
    MemberId::new(value, digits).ok_or(fault(2, Problem::NotANumber))
}

pub(super) fn approval_code(view: &View<'_>) -> Option<ApprovalCode> {
    let mut code = Text::<6>::BLANK;
    text(view, 38, &mut code);
    (!code.is_blank()).then_some(ApprovalCode(code.0))
}

/// DE 90: MTI 4, DE 11 6, DE 7 10, DE 32 11, DE 33 11. It is never a format error (R7): what makes no sense is left
/// out, and the message is matched by other means.
pub(super) fn original(view: &View<'_>) -> Option<OriginalData> {
    let mut buffer = [0; 42];
    let text = view.text(90, &mut buffer)?;
    let part = |from: usize, to: usize| -> Option<u64> {
        let digits = text.get(from..to)?;
        digits
            .iter()
            .try_fold(0_u64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u64::from(byte - b'0')))
    };
    let mti = part(0, 4).unwrap_or(0);
    let class = if mti < 1000 { MessageClass::from_digit((mti / 100) as u8) } else { None };
    let transmission = part(10, 20).and_then(|digits| u32::try_from(digits).ok());
    Some(OriginalData {
        class,
        stan: Stan(part(4, 10)? as u32),
        transmission: transmission.and_then(TransmissionTime::new),
        acquirer: InstitutionId(part(20, 31).unwrap_or(0)),
    })
}
