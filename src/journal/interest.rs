//! Records of interest: [`InterestSet`], [`InterestPaid`].

use crate::domain::interest::DayCount;
use crate::domain::interest::DayNumber;
use crate::domain::interest::InterestPaid;
use crate::domain::interest::InterestSet;
use crate::domain::interest::PaidOut;
use crate::domain::interest::Payout;
use crate::domain::interest::Terms;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::time::Timestamp;
use crate::journal::field::Take;
use crate::journal::kind::Kind;
use crate::journal::record::RECORD_BYTES_MAX;
use crate::journal::record::RecordError;
use crate::journal::record::begin;

pub(super) fn put_set(event: &InterestSet, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::InterestSet, Some(event.slot), time, out);
    put.u64(event.wallet.0);
    put.u16(event.account);
    put.u8(u8::from(event.terms.is_some()));
    if let Some(Terms { rate_ppm, day_count, paid_out }) = event.terms {
        put.u32(rate_ppm);
        put.u8(day_count as u8);
        put.u8(paid_out as u8);
    }
    put.finish()
}

pub(super) fn take_set(slot: Slot, take: &mut Take<'_>) -> Result<InterestSet, RecordError> {
    let (wallet, account) = (WalletId(take.u64()?), take.u16()?);
    let terms = match take.u8()? {
        0 => None,
        1 => Some(Terms {
            rate_ppm: take.u32()?,
            day_count: DayCount::from_code(take.u8()?).ok_or(RecordError::Field("day count"))?,
            paid_out: PaidOut::from_code(take.u8()?).ok_or(RecordError::Field("day of interest"))?,
        }),
        _ => return Err(RecordError::Field("flags")),
    };
    Ok(InterestSet { slot, wallet, account, terms })
}

pub(super) fn put_paid(event: &InterestPaid, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::InterestPaid, Some(event.slot), time, out);
    put.u64(event.wallet.0);
    put.u16(event.account);
    put.u32(event.payout.through.0);
    put.i64(event.payout.units);
    put.bytes(event.payout.rest.to_le_bytes());
    put.finish()
}

pub(super) fn take_paid(slot: Slot, take: &mut Take<'_>) -> Result<InterestPaid, RecordError> {
    let (wallet, account) = (WalletId(take.u64()?), take.u16()?);
    let payout = Payout {
        through: DayNumber(take.u32()?),
        units: take.i64()?,
        rest: u128::from_le_bytes(take.bytes()?),
    };
    Ok(InterestPaid { slot, wallet, account, payout })
}
