//! Records of the fees of products: [`FeeSet`].

use crate::domain::fee::Fee;
use crate::domain::fee::FeeSet;
use crate::domain::fee::Tariff;
use crate::domain::limit::Number;
use crate::domain::party::Slot;
use crate::domain::product::ProductNumber;
use crate::domain::time::Timestamp;
use crate::journal::field::Put;
use crate::journal::field::Take;
use crate::journal::kind::Kind;
use crate::journal::limits::put_filter;
use crate::journal::limits::take_filter;
use crate::journal::record::RECORD_BYTES_MAX;
use crate::journal::record::RecordError;
use crate::journal::record::begin;

const SET: u8 = 1;
const CONVERTED: u8 = 1 << 1;

pub(super) fn put_fee_set(event: &FeeSet, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::FeeSet, Some(event.slot), time, out);
    put.u8(event.product.get());
    put.u8(event.number.get());
    put.u8(event.fee.map_or(0, |fee| SET | if fee.converted { CONVERTED } else { 0 }));
    if let Some(fee) = &event.fee {
        put_fee(&mut put, fee);
    }
    put.finish()
}

fn put_fee(put: &mut Put<'_>, fee: &Fee) {
    put.u16(fee.currency.numeric());
    put.u16(fee.outside);
    let Tariff { flat, basis_points, least, most } = fee.tariff;
    put.i64(flat);
    put.u16(basis_points);
    put.i64(least);
    put.i64(most);
    put_filter(put, &fee.filter);
}

pub(super) fn take_fee_set(slot: Slot, take: &mut Take<'_>) -> Result<FeeSet, RecordError> {
    let product = ProductNumber::new(take.u8()?).ok_or(RecordError::Field("product"))?;
    let number = Number::new(take.u8()?).ok_or(RecordError::Field("number"))?;
    let flags = take.u8()?;
    if flags & !(SET | CONVERTED) != 0 || flags == CONVERTED {
        return Err(RecordError::Field("flags"));
    }
    let fee = if flags & SET != 0 { Some(take_fee(take, flags & CONVERTED != 0)?) } else { None };
    Ok(FeeSet { slot, product, number, fee })
}

fn take_fee(take: &mut Take<'_>, converted: bool) -> Result<Fee, RecordError> {
    let (currency, outside) = (take.currency()?, take.u16()?);
    let (flat, basis_points, least, most) = (take.i64()?, take.u16()?, take.i64()?, take.i64()?);
    let tariff = Tariff::new(flat, basis_points, least, most).ok_or(RecordError::Field("tariff"))?;
    Ok(Fee { currency, outside, converted, filter: take_filter(take)?, tariff })
}
