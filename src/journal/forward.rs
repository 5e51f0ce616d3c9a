//! The records of the switch: [`Forwarded`], [`Concluded`], [`Stored`], [`Settled`].

use crate::domain::action::ActionCode;
use crate::domain::card::CardRef;
use crate::domain::card::CardStatus;
use crate::domain::card::PanSeal;
use crate::domain::card::SealNonce;
use crate::domain::card::SealedPan;
use crate::domain::event::Sequence;
use crate::domain::forward::Carried;
use crate::domain::forward::Concluded;
use crate::domain::forward::Ended;
use crate::domain::forward::Forwarded;
use crate::domain::forward::Message;
use crate::domain::forward::Original;
use crate::domain::forward::OwnKey;
use crate::domain::forward::Settled;
use crate::domain::forward::Settlement;
use crate::domain::forward::Stored;
use crate::domain::forward::Tells;
use crate::domain::party::NameId;
use crate::domain::party::Slot;
use crate::domain::request::ApprovalCode;
use crate::domain::request::Legs;
use crate::domain::request::MessageClass;
use crate::domain::request::OriginalData;
use crate::domain::request::ProcessingCode;
use crate::domain::request::Replacement;
use crate::domain::request::Stan;
use crate::domain::time::Expiry;
use crate::domain::time::Timestamp;
use crate::journal::field::Put;
use crate::journal::field::Take;
use crate::journal::field::flag;
use crate::journal::kind::Kind;
use crate::journal::record::RECORD_BYTES_MAX;
use crate::journal::record::RecordError;
use crate::journal::record::begin;

/// Flags of what is carried.
mod carried {
    pub(super) const FINANCIAL: u8 = 1;
    pub(super) const EXPIRY: u8 = 1 << 1;
    pub(super) const BILLING: u8 = 1 << 2;
    pub(super) const ALL: u8 = FINANCIAL | EXPIRY | BILLING;
}

/// Flags of what a stored message tells.
mod tells {
    pub(super) const ADVICE: u16 = 1;
    pub(super) const APPROVED: u16 = 1 << 1;
    pub(super) const APPROVAL_CODE: u16 = 1 << 2;
    pub(super) const ORIGINAL: u16 = 1 << 3;
    pub(super) const ORIGINAL_FINANCIAL: u16 = 1 << 4;
    pub(super) const AS_RECEIVED: u16 = 1 << 5;
    pub(super) const AS_RECEIVED_TRANSMISSION: u16 = 1 << 6;
    /// Two bits: the digit of the class, or zero.
    pub(super) const AS_RECEIVED_CLASS_SHIFT: u16 = 7;
    pub(super) const REPLACEMENT: u16 = 1 << 9;
    pub(super) const REPLACEMENT_BILLING: u16 = 1 << 10;
    pub(super) const EXCHANGE: u16 = 1 << 11;
    pub(super) const OURS: u16 = 1 << 12;
    /// Two bits: a card that is lost (1), stolen (2) or closed (3); zero for anything else.
    pub(super) const CARD_ENDED_SHIFT: u16 = 13;
    pub(super) const ALL: u16 = (1 << 15) - 1;
}

/// How a forwarded request ended, as its byte says.
mod ended {
    pub(super) const ANSWERED: u8 = 0;
    pub(super) const TIMED_OUT: u8 = 1;
    pub(super) const UNSENT: u8 = 2;
    pub(super) const STOOD_IN: u8 = 3;
}

/// Card numbers of others are sealed under no reference: their place in the journal is enough.
const NO_CARD: CardRef = CardRef(0);

fn put_own(put: &mut Put<'_>, own: OwnKey) {
    put.u32(own.stan.0);
    put.u32(own.transmission.digits());
}

fn take_own(take: &mut Take<'_>) -> Result<OwnKey, RecordError> {
    Ok(OwnKey { stan: Stan(take.u32()?), transmission: take.transmission()? })
}

fn put_carried(put: &mut Put<'_>, of: &Carried, place: SealNonce, seal: &dyn PanSeal) {
    let flags = flag(of.class == MessageClass::Financial, carried::FINANCIAL)
        | flag(of.expiry.is_some(), carried::EXPIRY)
        | flag(of.billing.is_some(), carried::BILLING);
    put.u8(flags);
    put.key(&of.key);
    put.bytes(seal.seal(of.pan, place, NO_CARD).0);
    put.u32(of.processing_code.0);
    put.money(of.amount);
    put.u16(of.mcc);
    put.u16(of.country);
    put.u16(of.entry_mode);
    put.institution(of.forwarder);
    if let Some(expiry) = of.expiry {
        put.u16(expiry.digits());
    }
    if let Some(billing) = of.billing {
        put.money(billing);
    }
}

fn take_carried(take: &mut Take<'_>, place: SealNonce, opener: &dyn PanSeal) -> Result<Carried, RecordError> {
    let flags = take.u8()?;
    if flags & !carried::ALL != 0 {
        return Err(RecordError::Field("flags"));
    }
    let has = |bit| flags & bit != 0;
    let key = take.key()?;
    let sealed = SealedPan(take.bytes()?);
    Ok(Carried {
        key,
        class: if has(carried::FINANCIAL) { MessageClass::Financial } else { MessageClass::Authorization },
        pan: opener.open(&sealed, place, NO_CARD).ok_or(RecordError::Seal)?,
        processing_code: ProcessingCode(take.u32()?),
        amount: take.money()?,
        mcc: take.u16()?,
        country: take.u16()?,
        entry_mode: take.u16()?,
        forwarder: take.institution()?,
        expiry: match has(carried::EXPIRY) {
            true => Some(Expiry::new(take.u16()?).ok_or(RecordError::Field("expiry"))?),
            false => None,
        },
        billing: if has(carried::BILLING) { Some(take.money()?) } else { None },
    })
}

pub(super) fn put_forwarded(
    event: &Forwarded,
    time: Timestamp,
    place: SealNonce,
    seal: &dyn PanSeal,
    out: &mut [u8; RECORD_BYTES_MAX],
) -> usize {
    let mut put = begin(Kind::Forwarded, Some(event.slot), time, out);
    put.u32(event.to.0);
    put_own(&mut put, event.own);
    put_carried(&mut put, &event.carried, place, seal);
    put.finish()
}

pub(super) fn take_forwarded(
    slot: Slot,
    take: &mut Take<'_>,
    place: SealNonce,
    opener: &dyn PanSeal,
) -> Result<Forwarded, RecordError> {
    let (to, own) = (NameId(take.u32()?), take_own(take)?);
    Ok(Forwarded { slot, to, own, carried: take_carried(take, place, opener)? })
}

pub(super) fn put_concluded(event: &Concluded, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::Concluded, Some(event.slot), time, out);
    put.u32(event.to.0);
    put.u64(event.exchange.0);
    match event.ended {
        Ended::Answered(code) => {
            put.u8(ended::ANSWERED);
            put.bytes(code);
        }
        Ended::TimedOut { reversal } => {
            put.u8(ended::TIMED_OUT);
            put_own(&mut put, reversal);
        }
        Ended::Unsent => put.u8(ended::UNSENT),
        Ended::StoodIn { reversal, advice, action, approval_code } => {
            put.u8(ended::STOOD_IN);
            put.u8(action as u8);
            put.u8(u8::from(reversal.is_some())
                | u8::from(advice.is_some()) << 1
                | u8::from(approval_code.is_some()) << 2);
            [reversal, advice].into_iter().flatten().for_each(|own| put_own(&mut put, own));
            if let Some(code) = approval_code {
                put.bytes(code.0);
            }
        }
    }
    put.finish()
}

pub(super) fn take_concluded(slot: Slot, take: &mut Take<'_>) -> Result<Concluded, RecordError> {
    let (to, exchange) = (NameId(take.u32()?), Sequence(take.u64()?));
    let ended = match take.u8()? {
        ended::ANSWERED => Ended::Answered(take.bytes()?),
        ended::TIMED_OUT => Ended::TimedOut { reversal: take_own(take)? },
        ended::UNSENT => Ended::Unsent,
        ended::STOOD_IN => {
            let action = ActionCode::from_code(take.u8()?).ok_or(RecordError::Field("action code"))?;
            let flags = take.u8()?;
            if flags > 0b111 {
                return Err(RecordError::Field("flags"));
            }
            let reversal = if flags & 1 != 0 { Some(take_own(take)?) } else { None };
            let advice = if flags & 2 != 0 { Some(take_own(take)?) } else { None };
            let approval_code = if flags & 4 != 0 { Some(take.approval_code()?) } else { None };
            Ended::StoodIn { reversal, advice, action, approval_code }
        }
        _ => return Err(RecordError::Field("end of an exchange")),
    };
    Ok(Concluded { slot, to, exchange, ended })
}

/// The flags of a stored message, and what they announce.
#[derive(Clone, Copy, Default)]
struct Told {
    flags: u16,
    approval_code: Option<ApprovalCode>,
    original: Option<Original>,
    as_received: Option<OriginalData>,
    replacement: Option<Replacement>,
}

impl Told {
    fn of(tells: &Tells) -> Self {
        let mut told = match *tells {
            Tells::Reversal { replacement, legs, approval_code, original, as_received } => {
                let flags = flag(legs == Legs::Ours, tells::OURS);
                Self { flags, approval_code, original, as_received, replacement }
            }
            Tells::Advice { approved, approval_code, original } => {
                let flags = tells::ADVICE | flag(approved, tells::APPROVED);
                Self { flags, approval_code, original, ..Self::default() }
            }
            Tells::CardEnded { status } => {
                let code = (1..)
                    .zip(CardStatus::ENDED)
                    .find(|(_, other)| *other == status)
                    .map_or(0, |(code, _)| code);
                Self { flags: code << tells::CARD_ENDED_SHIFT, ..Self::default() }
            }
        };
        told.flags |= flag(told.approval_code.is_some(), tells::APPROVAL_CODE);
        if let Some(original) = told.original {
            let financial = original.class == MessageClass::Financial;
            told.flags |= tells::ORIGINAL | flag(financial, tells::ORIGINAL_FINANCIAL);
        }
        if let Some(as_received) = told.as_received {
            told.flags |= tells::AS_RECEIVED
                | flag(as_received.transmission.is_some(), tells::AS_RECEIVED_TRANSMISSION)
                | as_received.class.map_or(0, |class| class as u16) << tells::AS_RECEIVED_CLASS_SHIFT;
        }
        if let Some(replacement) = told.replacement {
            told.flags |=
                tells::REPLACEMENT | flag(replacement.billing.is_some(), tells::REPLACEMENT_BILLING);
        }
        told
    }

    fn put(&self, put: &mut Put<'_>) {
        if let Some(code) = self.approval_code {
            put.bytes(code.0);
        }
        if let Some(original) = self.original {
            put_own(put, original.key);
            put.institution(original.acquirer);
            put.institution(original.forwarder);
        }
        if let Some(as_received) = self.as_received {
            put.u32(as_received.stan.0);
            put.institution(as_received.acquirer);
            if let Some(transmission) = as_received.transmission {
                put.u32(transmission.digits());
            }
        }
        if let Some(replacement) = self.replacement {
            put.i64(replacement.amount);
            if let Some(billing) = replacement.billing {
                put.i64(billing);
            }
        }
    }

    fn take(flags: u16, take: &mut Take<'_>) -> Result<Tells, RecordError> {
        let has = |bit| flags & bit != 0;
        let approval_code = if has(tells::APPROVAL_CODE) { Some(take.approval_code()?) } else { None };
        let original = match has(tells::ORIGINAL) {
            true => Some(Original {
                class: match has(tells::ORIGINAL_FINANCIAL) {
                    true => MessageClass::Financial,
                    false => MessageClass::Authorization,
                },
                key: take_own(take)?,
                acquirer: take.institution()?,
                forwarder: take.institution()?,
            }),
            false => None,
        };
        let as_received = match has(tells::AS_RECEIVED) {
            true => Some(OriginalData {
                class: MessageClass::from_digit((flags >> tells::AS_RECEIVED_CLASS_SHIFT & 0b11) as u8),
                stan: Stan(take.u32()?),
                acquirer: take.institution()?,
                transmission: match has(tells::AS_RECEIVED_TRANSMISSION) {
                    true => Some(take.transmission()?),
                    false => None,
                },
            }),
            false => None,
        };
        let replacement = match has(tells::REPLACEMENT) {
            true => Some(Replacement {
                amount: take.i64()?,
                billing: if has(tells::REPLACEMENT_BILLING) { Some(take.i64()?) } else { None },
            }),
            false => None,
        };
        let code = usize::from(flags >> tells::CARD_ENDED_SHIFT & 0b11);
        let ended = code.checked_sub(1).and_then(|at| CardStatus::ENDED.get(at)).copied();
        let tells = match (ended, has(tells::ADVICE)) {
            (Some(status), _) => Tells::CardEnded { status },
            (None, false) => {
                let legs = if has(tells::OURS) { Legs::Ours } else { Legs::Both };
                Tells::Reversal { replacement, legs, approval_code, original, as_received }
            }
            (None, true) => Tells::Advice { approved: has(tells::APPROVED), approval_code, original },
        };
        // A flag about something that is not there would be lost when the record is written again.
        match Self::of(&tells).flags == flags & !tells::EXCHANGE {
            true => Ok(tells),
            false => Err(RecordError::Field("flags")),
        }
    }
}

pub(super) fn put_stored(
    event: &Stored,
    time: Timestamp,
    place: SealNonce,
    seal: &dyn PanSeal,
    out: &mut [u8; RECORD_BYTES_MAX],
) -> usize {
    let told = Told::of(&event.message.tells);
    let mut put = begin(Kind::Stored, Some(event.slot), time, out);
    put.u32(event.to.0);
    put.u16(told.flags | flag(event.exchange.is_some(), tells::EXCHANGE));
    if let Some(exchange) = event.exchange {
        put.u64(exchange.0);
    }
    put_own(&mut put, event.message.own);
    put_carried(&mut put, &event.message.carried, place, seal);
    told.put(&mut put);
    put.finish()
}

pub(super) fn take_stored(
    slot: Slot,
    take: &mut Take<'_>,
    place: SealNonce,
    opener: &dyn PanSeal,
) -> Result<Stored, RecordError> {
    let to = NameId(take.u32()?);
    let flags = take.u16()?;
    if flags & !tells::ALL != 0 {
        return Err(RecordError::Field("flags"));
    }
    let exchange = if flags & tells::EXCHANGE != 0 { Some(Sequence(take.u64()?)) } else { None };
    let own = take_own(take)?;
    let carried = take_carried(take, place, opener)?;
    let tells = Told::take(flags, take)?;
    Ok(Stored { slot, to, exchange, message: Message { own, carried, tells } })
}

pub(super) fn put_settled(event: &Settled, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::Settled, Some(event.slot), time, out);
    put.u32(event.to.0);
    put.u64(event.stored.0);
    put.u8(u8::from(event.advice));
    put.u8(event.settlement as u8);
    put.finish()
}

pub(super) fn take_settled(slot: Slot, take: &mut Take<'_>) -> Result<Settled, RecordError> {
    let (to, stored) = (NameId(take.u32()?), Sequence(take.u64()?));
    let advice = match take.u8()? {
        0 => false,
        1 => true,
        _ => return Err(RecordError::Field("which of two messages")),
    };
    let settlement = Settlement::from_code(take.u8()?).ok_or(RecordError::Field("settlement"))?;
    Ok(Settled { slot, to, stored, advice, settlement })
}
