//! The record of a closed authorization that came back from the history: [`Recalled`].

use crate::domain::action::ActionCode;
use crate::domain::card::CardRef;
use crate::domain::closed::Closed;
use crate::domain::closed::Counted;
use crate::domain::event::Recalled;
use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::product::ProductNumber;
use crate::domain::time::Timestamp;
use crate::journal::field::Take;
use crate::journal::kind::Kind;
use crate::journal::record::RECORD_BYTES_MAX;
use crate::journal::record::RecordError;
use crate::journal::record::begin;

pub(super) fn put_recalled(event: &Recalled, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::Recalled, Some(event.slot), time, out);
    let of = &event.closed;
    for number in [event.card.0, of.sequence.0, of.closed_by.0, of.network_reference, of.acquirer] {
        put.u64(number);
    }
    for amount in [of.amount, of.taken, of.answered] {
        put.i64(amount);
    }
    let Closed { stan, transmission, terminal, merchant, coded, .. } = *of;
    for number in [stan, transmission, terminal, merchant, coded.bits(), of.changed_s, of.hold_until_s] {
        put.u32(number);
    }
    for number in [of.network, of.currency, of.account] {
        put.u16(number);
    }
    for byte in [of.action as u8, of.class, of.state, of.legs] {
        put.u8(byte);
    }
    put.bytes(of.rrn);
    put.bytes(of.approval_code);
    put.u8(u8::from(event.counted.is_some()));
    if let Some(counted) = &event.counted {
        put.u64(counted.record.0);
        put.i64(counted.amount);
        put.u32(counted.at_s);
        counted.by.iter().for_each(|by| put.u16(*by));
        put.u16(counted.currency.numeric());
        put.u8(u8::from(counted.first));
        put.u8(counted.product.map_or(0, ProductNumber::get));
    }
    put.finish()
}

pub(super) fn take_recalled(slot: Slot, version: u8, take: &mut Take<'_>) -> Result<Recalled, RecordError> {
    let card = CardRef(take.u64()?);
    let closed = Closed {
        sequence: Sequence(take.u64()?),
        closed_by: Sequence(take.u64()?),
        network_reference: take.u64()?,
        acquirer: take.u64()?,
        amount: take.i64()?,
        taken: take.i64()?,
        answered: take.i64()?,
        stan: take.u32()?,
        transmission: take.u32()?,
        terminal: take.u32()?,
        merchant: take.u32()?,
        coded: take.coded(version > 2)?,
        changed_s: take.u32()?,
        hold_until_s: take.u32()?,
        network: take.u16()?,
        currency: take.u16()?,
        account: take.u16()?,
        action: ActionCode::from_code(take.u8()?).ok_or(RecordError::Field("action code"))?,
        class: take.u8()?,
        state: take.u8()?,
        legs: take.u8()?,
        rrn: take.bytes()?,
        approval_code: take.bytes()?,
    };
    let counted = match version {
        1 => None,
        _ => take_flag(take)?.then(|| take_counted(take)).transpose()?,
    };
    Ok(Recalled { slot, card, closed, counted })
}

fn take_flag(take: &mut Take<'_>) -> Result<bool, RecordError> {
    match take.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(RecordError::Field("flags")),
    }
}

fn take_counted(take: &mut Take<'_>) -> Result<Counted, RecordError> {
    Ok(Counted {
        record: Sequence(take.u64()?),
        amount: take.i64()?,
        at_s: take.u32()?,
        by: [take.u16()?, take.u16()?, take.u16()?],
        currency: take.currency()?,
        first: take_flag(take)?,
        product: match take.u8()? {
            0 => None,
            number => Some(ProductNumber::new(number).ok_or(RecordError::Field("product"))?),
        },
    })
}
