//! Messages that tell what has happened: advices (0120, 0220), negative acknowledgements (0190), administrative
//! advices (0620), answers, and why a reversal was sent.

use crate::domain::money::Currency;
use crate::domain::money::Stated;
use crate::domain::party::InstitutionId;
use crate::domain::party::MerchantId;
use crate::domain::party::Rrn;
use crate::domain::party::TerminalId;
use crate::domain::request::AdministrativeAdvice;
use crate::domain::request::Advice;
use crate::domain::request::Legs;
use crate::domain::request::MessageClass;
use crate::domain::request::MessageKey;
use crate::domain::request::OriginalData;
use crate::domain::request::ProcessingCode;
use crate::domain::request::ReversalRequest;
use crate::domain::request::Stan;
use crate::domain::time::TransmissionTime;
use crate::iso8583::view::View;

use super::Dialect;
use super::Mapping;
use super::channel::way_of_entry;
use super::decode;
use super::decode::Texts;
use super::decode::Track2;
use super::elements::Elements;
use super::inbound::Context;
use super::inbound::Fault;
use super::inbound::Response;
use super::lifecycle;
use super::numbers::Any;

/// Mastercard DE 39 of a 0420: the network's timer ran out before our answer came.
pub(super) const TIMED_OUT_MASTERCARD: &[u8; 2] = b"82";
/// The same in the standard's own words: the response was received too late.
pub(super) const TIMED_OUT_ISO87: &[u8; 2] = b"68";

impl Dialect {
    pub(super) fn advice(
        &self,
        view: &View<'_>,
        context: Context,
        elements: &Elements<'_>,
    ) -> Result<Advice, Fault> {
        let mti = view.mti();
        let texts = Texts::of(view);
        let (transmission, stan) =
            (decode::transmission::<Any>(view)?, Stan(decode::required::<Any>(view, 11)? as u32));
        let reason = self.advice_reason(view);
        let processing_code = ProcessingCode(decode::required::<Any>(view, 3)? as u32);
        let small = |field| view.number(field).and_then(|number| u16::try_from(number).ok()).unwrap_or(0);
        let (mcc, entry) = (small(18), way_of_entry(view, small(22)));
        let completes = mti >= 200 || self.completes(view, reason);
        // Visa's 63.4 stands before 63.3 in `reason`.
        let increment = !completes && self.is_increment(view, elements, self.private_use(view, 3));
        Ok(Advice {
            key: self.key(view, context, elements, stan, transmission, &texts)?,
            class: if mti < 200 { MessageClass::Authorization } else { MessageClass::Financial },
            repeat: mti % 2 == 1,
            pan: decode::pan(view, Track2::of(view).as_ref())?,
            processing_code,
            mcc,
            country: self.country(view, small(19)),
            channel: self.channel(view, entry, processing_code, mcc),
            finality: self.finality(view, elements),
            card_present: lifecycle::card_present(entry),
            amount: decode::amount::<Any>(view, false)?,
            billing: decode::billing::<Any>(view)?,
            approved: self.tells_approval(view),
            reason,
            approval_code: decode::approval_code(view),
            original: decode::original(view),
            increment,
            completes,
        })
    }

    /// DE 39 of an advice says what was decided; without it, what it tells has taken place.
    fn tells_approval(&self, view: &View<'_>) -> bool {
        let mut code = [b' '; 2];
        view.text(39, &mut code).is_none() || self.approved_codes.contains(&code)
    }

    /// Mastercard DE 60: three digits of reason. Visa: 63.4, why the network decided, or 63.3, why it was sent.
    fn advice_reason(&self, view: &View<'_>) -> u16 {
        match self.mapping {
            Mapping::Mastercard => {
                let mut text = [0; 3];
                let _written = view.text(60, &mut text);
                digits(&text).unwrap_or(0)
            }
            Mapping::Visa => self.private_use(view, 4).or_else(|| self.private_use(view, 3)).unwrap_or(0),
            Mapping::Iso87 => 0,
        }
    }

    /// Why a reversal was sent, and whose decision it undoes: a time-out of the network's is about our answer only, and
    /// its own decision comes as an advice (R4).
    pub(super) fn reversal_reason(&self, view: &View<'_>) -> (u16, Legs) {
        let timed_out = match self.mapping {
            Mapping::Mastercard => TIMED_OUT_MASTERCARD,
            Mapping::Iso87 => TIMED_OUT_ISO87,
            Mapping::Visa => {
                let ours = self.private_use(view, 4).is_some();
                let legs = if ours { Legs::Ours } else { Legs::Both };
                return (self.private_use(view, 3).unwrap_or(0), legs);
            }
        };
        let mut code = [0; 2];
        let _written = view.text(39, &mut code);
        let ours = view.mti() >= 420 && code == *timed_out;
        (digits(&code).unwrap_or(0), if ours { Legs::Ours } else { Legs::Both })
    }

    /// A part of Visa's DE 63.
    pub(super) fn private_use(&self, view: &View<'_>, number: u16) -> Option<u16> {
        u16::try_from(self.subfields(63)?.number(view.content(63)?, number)?).ok()
    }

    /// What a message says of a request of theirs whose answer did not arrive: the answer itself in a reject frame, or
    /// a 0190 that names it by the same keys. `None` when it does not name a card and a message.
    pub(super) fn undelivered(
        &self,
        view: &View<'_>,
        context: Context,
        elements: &Elements<'_>,
    ) -> Option<ReversalRequest> {
        let stan = Stan(view.number(11)? as u32);
        let transmission = decode::transmission::<Any>(view).ok()?;
        let key = self.key(view, context, elements, stan, transmission, &Texts::of(view)).ok()?;
        let class = match view.mti() / 100 {
            2 => MessageClass::Financial,
            _ => MessageClass::Authorization,
        };
        Some(ReversalRequest {
            key,
            advice: true,
            repeat: false,
            pan: decode::pan(view, None).ok()?,
            processing_code: ProcessingCode(view.number(3).unwrap_or(0) as u32),
            amount: decode::amount::<Any>(view, true).ok()?,
            billing: None,
            replacement: None,
            approval_code: None,
            original: Some(OriginalData {
                class: Some(class),
                stan,
                transmission: Some(transmission),
                acquirer: key.acquirer,
            }),
            legs: Legs::Ours,
            reason: 0,
        })
    }

    pub(super) fn administrative(
        &self,
        view: &View<'_>,
        context: Context,
        elements: &Elements<'_>,
    ) -> Result<AdministrativeAdvice, Fault> {
        let stan = Stan(decode::required::<Any>(view, 11)? as u32);
        let transmission = view.number(7).and_then(|digits| TransmissionTime::new(digits as u32));
        let Texts { rrn, terminal, merchant } = Texts::of(view);
        Ok(AdministrativeAdvice {
            key: MessageKey {
                network: context.network,
                link: context.link,
                stan,
                transmission: transmission.unwrap_or_default(),
                acquirer: InstitutionId(view.number(32).unwrap_or(0)),
                rrn,
                terminal,
                merchant,
                network_reference: self.network_reference(view, elements).unwrap_or(0),
            },
            mti: view.mti(),
            pan: decode::pan(view, None).ok(),
            reason: self.advice_reason(view),
        })
    }
}

impl Response {
    /// Reads what names a message and what it says: of an answer, or of a request that answers are compared with. Only
    /// DE 11 must be there: what a peer leaves out does not tell answers apart.
    ///
    /// # Errors
    /// It has no DE 11.
    pub fn read(view: &View<'_>) -> Result<Self, Fault> {
        let mut response_code = [b' '; 2];
        let _written = view.text(39, &mut response_code);
        let Texts { rrn, terminal, .. } = Texts::of(view);
        Ok(Self {
            mti: view.mti(),
            stan: Stan(decode::required::<Any>(view, 11)? as u32),
            transmission: view.number(7).and_then(|digits| TransmissionTime::new(digits as u32)),
            acquirer: InstitutionId(view.number(32).unwrap_or(0)),
            rrn,
            terminal,
            amount: stated(view, 4, 49),
            billing: stated(view, 6, 51),
            approval_code: decode::approval_code(view),
            response_code,
            network_code: view.number(70).map(|code| code as u16),
        })
    }
}

impl Texts {
    fn of(view: &View<'_>) -> Self {
        let mut texts = Self { rrn: Rrn::BLANK, terminal: TerminalId::BLANK, merchant: MerchantId::BLANK };
        Self::read(view, &mut texts);
        texts
    }
}

/// An amount of an answer, whichever half of it is there. A currency that makes no sense is none that anybody asked in.
fn stated(view: &View<'_>, amount: u8, in_currency: u8) -> Stated {
    let minor = view.number(amount).and_then(|minor| i64::try_from(minor).ok());
    let currency = decode::currency::<Any>(view, in_currency).unwrap_or(Some(Currency::default()));
    Stated { minor, currency }
}

/// Digits as a number; `None` when there is anything else.
fn digits(text: &[u8]) -> Option<u16> {
    text.iter()
        .try_fold(0, |value: u16, byte| byte.is_ascii_digit().then(|| value * 10 + u16::from(byte - b'0')))
}
