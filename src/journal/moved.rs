//! Records of money that a verb has moved: [`Moved`].
//!
//! The record's slot is that of the caller's key. The body begins with those of the wallets, so that whoever sorts
//! records need not read the rest.

use crate::domain::event::Sequence;
use crate::domain::moved::CallerKey;
use crate::domain::moved::Converted;
use crate::domain::moved::Moved;
use crate::domain::moved::Side;
use crate::domain::moved::Sides;
use crate::domain::moved::Verb;
use crate::domain::party::Slot;
use crate::domain::party::Text;
use crate::domain::party::WalletId;
use crate::domain::time::Timestamp;
use crate::journal::field::Put;
use crate::journal::field::Take;
use crate::journal::field::flag;
use crate::journal::kind::Kind;
use crate::journal::record::NO_SLOT;
use crate::journal::record::RECORD_BYTES_MAX;
use crate::journal::record::RecordError;
use crate::journal::record::begin;

const FROM: u8 = 1;
const TO: u8 = 1 << 1;
const FEE: u8 = 1 << 2;
const ABOUT: u8 = 1 << 3;
const REFUNDABLE: u8 = 1 << 4;
const REASON: u8 = 1 << 5;
/// From the second layout on.
const CONVERTED: u8 = 1 << 6;
/// What each layout knows.
const ALL: [u8; 2] = [(1 << 6) - 1, (1 << 7) - 1];

pub(super) fn put_key(put: &mut Put<'_>, key: &CallerKey) {
    put.bytes(key.print.to_le_bytes());
    put.u64(key.body);
    put.u32(key.until_s);
}

pub(super) fn take_key(take: &mut Take<'_>) -> Result<CallerKey, RecordError> {
    let print = u128::from_le_bytes(take.bytes()?);
    Ok(CallerKey { print, body: take.u64()?, until_s: take.u32()? })
}

pub(super) fn put_moved(event: &Moved, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::Moved, Some(event.key.slot()), time, out);
    event.others().iter().for_each(|slot| put.u16(slot.map_or(NO_SLOT, Slot::number)));
    put.u8(event.verb as u8);
    put.u8(flag(event.from.is_some(), FROM)
        | flag(event.to.is_some(), TO)
        | flag(event.fee != 0, FEE)
        | flag(event.about != Sequence(0), ABOUT)
        | flag(event.refundable_until_s != 0, REFUNDABLE)
        | flag(!event.reason.is_blank(), REASON)
        | flag(event.converted.is_some(), CONVERTED));
    put_key(&mut put, &event.key);
    put.u16(event.currency.numeric());
    put.i64(event.amount);
    put.u32(event.configuration);
    for side in [event.from, event.to].into_iter().flatten() {
        put.u64(side.wallet.0);
        put.u16(side.account);
    }
    if event.fee != 0 {
        put.i64(event.fee);
    }
    if event.about != Sequence(0) {
        put.u64(event.about.0);
    }
    if event.refundable_until_s != 0 {
        put.u32(event.refundable_until_s);
    }
    if !event.reason.is_blank() {
        put.bytes(event.reason.0);
    }
    if let Some(converted) = event.converted {
        put.u16(converted.currency.numeric());
        put.i64(converted.amount);
        put.u64(converted.rate.0);
    }
    put.finish()
}

pub(super) fn take_moved(slot: Slot, version: u8, take: &mut Take<'_>) -> Result<Moved, RecordError> {
    let others = [take.u16()?, take.u16()?];
    let verb = Verb::from_code(take.u8()?).ok_or(RecordError::Field("verb"))?;
    let flags = take.u8()?;
    let has = |bit| flags & bit != 0;
    let known = ALL.get(usize::from(version).saturating_sub(1)).copied().unwrap_or_default();
    if flags & !known != 0 || flags & (FROM | TO) == 0 {
        return Err(RecordError::Field("flags"));
    }
    let key = take_key(take)?;
    let (currency, amount, configuration) = (take.currency()?, take.i64()?, take.u32()?);
    let mut side = |bit| match has(bit) {
        true => Ok(Some(Side { wallet: WalletId(take.u64()?), account: take.u16()? })),
        false => Ok(None),
    };
    let (from, to) = (side(FROM)?, side(TO)?);
    let event = Moved {
        verb,
        key,
        from,
        to,
        currency,
        amount,
        fee: if has(FEE) { take.i64()? } else { 0 },
        about: if has(ABOUT) { Sequence(take.u64()?) } else { Sequence(0) },
        refundable_until_s: if has(REFUNDABLE) { take.u32()? } else { 0 },
        reason: if has(REASON) { Text(take.bytes()?) } else { Text::BLANK },
        converted: match has(CONVERTED) {
            true => Some(Converted {
                currency: take.currency()?,
                amount: take.i64()?,
                rate: Sequence(take.u64()?),
            }),
            false => None,
        },
        configuration,
        sides: Sides::ALL,
    };
    // Whoever sorts records goes by the slots alone.
    let slots = event.others().map(|slot| slot.map_or(NO_SLOT, Slot::number));
    if event.key.slot() != slot || slots != others {
        return Err(RecordError::Field("slot"));
    }
    Ok(event)
}
