//! The record of a closed authorization that came back from the history: [`Recalled`].

use crate::domain::action::ActionCode;
use crate::domain::card::CardRef;
use crate::domain::closed::Closed;
use crate::domain::event::Recalled;
use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::time::Timestamp;
use crate::journal::field::Take;
use crate::journal::record::Kind;
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
    let Closed { stan, transmission, terminal, merchant, processing_code, .. } = *of;
    for number in [stan, transmission, terminal, merchant, processing_code, of.changed_s, of.hold_until_s] {
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
    put.finish()
}

pub(super) fn take_recalled(slot: Slot, take: &mut Take<'_>) -> Result<Recalled, RecordError> {
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
        processing_code: take.u32()?,
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
    Ok(Recalled { slot, card, closed })
}
