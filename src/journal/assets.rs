//! Records of assets and rates, and of the order in which a wallet's accounts are spent: [`AssetSet`], [`RateSet`],
//! [`SpendingSet`].

use crate::domain::asset::AssetCode;
use crate::domain::asset::AssetSet;
use crate::domain::asset::Price;
use crate::domain::asset::Quote;
use crate::domain::asset::Rate;
use crate::domain::asset::RateSet;
use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::party::Text;
use crate::domain::party::WalletId;
use crate::domain::share::Spending;
use crate::domain::share::SpendingSet;
use crate::domain::time::Timestamp;
use crate::journal::field::Take;
use crate::journal::kind::Kind;
use crate::journal::record::RECORD_BYTES_MAX;
use crate::journal::record::RecordError;
use crate::journal::record::begin;

/// Assets and rates are of no wallet, and have this slot.
const HOME: Slot = Slot::wrapping(0);

pub(super) fn put_asset(event: &AssetSet, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::AssetSet, Some(HOME), time, out);
    put.u16(event.asset.numeric());
    put.bytes(event.code.bytes());
    put.bytes(event.name.0);
    put.finish()
}

pub(super) fn take_asset(slot: Slot, take: &mut Take<'_>) -> Result<AssetSet, RecordError> {
    at_home(slot)?;
    let asset = take.currency()?;
    let code = AssetCode::from_bytes(take.bytes()?).ok_or(RecordError::Field("asset"))?;
    Ok(AssetSet { asset, code, name: Text(take.bytes()?) })
}

pub(super) fn put_rate(event: &RateSet, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::RateSet, Some(HOME), time, out);
    put.u16(event.from.numeric());
    put.u16(event.to.numeric());
    put.u8(u8::from(event.quote.is_some()));
    if let Some(Quote { price, spread_ppm }) = event.quote {
        put.u64(price.digits);
        put.u8(price.decimals);
        put.u32(spread_ppm);
    }
    put.finish()
}

pub(super) fn take_rate(slot: Slot, take: &mut Take<'_>) -> Result<RateSet, RecordError> {
    at_home(slot)?;
    let (from, to) = (take.currency()?, take.currency()?);
    let quote = match take.u8()? {
        0 => None,
        1 => {
            let price = Price { digits: take.u64()?, decimals: take.u8()? };
            let quote = Quote { price, spread_ppm: take.u32()? };
            let decimals = quote.price.decimals <= Price::DECIMALS_MAX;
            let rate = Rate::new(from, to, quote, Sequence(0)).filter(|_| decimals);
            Some(rate.ok_or(RecordError::Field("rate"))?.quote)
        }
        _ => return Err(RecordError::Field("flags")),
    };
    Ok(RateSet { from, to, quote })
}

pub(super) fn put_spending(event: &SpendingSet, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::SpendingSet, Some(event.slot), time, out);
    put.u64(event.wallet.0);
    put.u8(event.order.as_slice().len() as u8);
    event.order.as_slice().iter().for_each(|account| put.u16(*account));
    put.finish()
}

pub(super) fn take_spending(slot: Slot, take: &mut Take<'_>) -> Result<SpendingSet, RecordError> {
    let wallet = WalletId(take.u64()?);
    let accounts = (0..take.u8()?).map(|_| take.u16()).collect::<Result<Vec<_>, _>>()?;
    let order = Spending::new(&accounts).ok_or(RecordError::Field("order of accounts"))?;
    Ok(SpendingSet { slot, wallet, order })
}

fn at_home(slot: Slot) -> Result<(), RecordError> {
    if slot == HOME { Ok(()) } else { Err(RecordError::Field("slot")) }
}
