//! Records of mandates: [`MandateGiven`], [`MandateCancelled`].

use crate::domain::event::Sequence;
use crate::domain::mandate::MandateCancelled;
use crate::domain::mandate::MandateGiven;
use crate::domain::mandate::Period;
use crate::domain::mandate::Terms;
use crate::domain::moved::Side;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::time::Timestamp;
use crate::journal::field::Take;
use crate::journal::kind::Kind;
use crate::journal::moved::put_key;
use crate::journal::moved::take_key;
use crate::journal::record::RECORD_BYTES_MAX;
use crate::journal::record::RecordError;
use crate::journal::record::begin;

pub(super) fn put_given(event: &MandateGiven, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::MandateGiven, Some(event.slot), time, out);
    let Terms { payer, payee, currency, max, charges_max, period, until_s } = event.terms;
    for side in [payer, payee] {
        put.u64(side.wallet.0);
        put.u16(side.account);
    }
    put.u16(currency.numeric());
    put.i64(max);
    put.u16(charges_max);
    put.u8(period as u8);
    put.u32(until_s);
    put_key(&mut put, &event.key);
    put.finish()
}

pub(super) fn take_given(slot: Slot, take: &mut Take<'_>) -> Result<MandateGiven, RecordError> {
    let side = |take: &mut Take<'_>| {
        Ok::<_, RecordError>(Side { wallet: WalletId(take.u64()?), account: take.u16()? })
    };
    let terms = Terms {
        payer: side(take)?,
        payee: side(take)?,
        currency: take.currency()?,
        max: take.i64()?,
        charges_max: take.u16()?,
        period: Period::from_code(take.u8()?).ok_or(RecordError::Field("period"))?,
        until_s: take.u32()?,
    };
    Ok(MandateGiven { slot, terms, key: take_key(take)? })
}

pub(super) fn put_cancelled(
    event: &MandateCancelled,
    time: Timestamp,
    out: &mut [u8; RECORD_BYTES_MAX],
) -> usize {
    let mut put = begin(Kind::MandateCancelled, Some(event.slot), time, out);
    put.u64(event.mandate.0);
    put.finish()
}

pub(super) fn take_cancelled(slot: Slot, take: &mut Take<'_>) -> Result<MandateCancelled, RecordError> {
    Ok(MandateCancelled { slot, mandate: Sequence(take.u64()?) })
}
