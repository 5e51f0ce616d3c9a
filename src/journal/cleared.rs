//! Records of clearing: [`Cleared`], [`FilePosted`].

use crate::domain::card::CardIdentity;
use crate::domain::cleared::Clearance;
use crate::domain::cleared::Cleared;
use crate::domain::cleared::FilePosted;
use crate::domain::cleared::MatchedBy;
use crate::domain::cleared::slot_of_file;
use crate::domain::clearing::Arn;
use crate::domain::clearing::Function;
use crate::domain::clearing::Part;
use crate::domain::clearing::Purpose;
use crate::domain::clearing::Usage;
use crate::domain::event::Sequence;
use crate::domain::fee::Charge;
use crate::domain::party::NameId;
use crate::domain::party::Slot;
use crate::domain::party::Text;
use crate::domain::share::Shares;
use crate::domain::time::Timestamp;
use crate::journal::field::Take;
use crate::journal::field::flag;
use crate::journal::kind::Kind;
use crate::journal::record::RECORD_BYTES_MAX;
use crate::journal::record::RecordError;
use crate::journal::record::begin;

const UNKNOWN_CARD: u8 = 1;
const BILLING: u8 = 1 << 1;
const APPROVAL_CODE: u8 = 1 << 2;
const REVERSAL: u8 = 1 << 3;
const SECOND: u8 = 1 << 4;
/// From the second layout on.
const CHARGE: u8 = 1 << 5;
/// From the third layout on.
const SHARED: u8 = 1 << 6;
/// What each layout knows.
const ALL: [u8; 3] = [(1 << 5) - 1, (1 << 6) - 1, (1 << 7) - 1];

pub(super) fn put_cleared(event: &Cleared, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let function = event.function;
    let flags = flag(matches!(event.card, CardIdentity::Unknown(_)), UNKNOWN_CARD)
        | flag(event.billing.is_some(), BILLING)
        | flag(event.approval_code.is_some(), APPROVAL_CODE)
        | flag(function.reversal, REVERSAL)
        | flag(function.usage == Usage::Second, SECOND)
        | flag(event.charge.is_some(), CHARGE)
        | flag(!event.shares.is_empty(), SHARED);
    let mut put = begin(Kind::Cleared, Some(event.slot), time, out);
    put.u8(flags);
    put.card(event.card);
    put.u16(event.account);
    put.u32(event.network.0);
    put.u8(function.purpose as u8);
    put.u32(function.code);
    put.bytes(event.part.bytes());
    put.bytes(event.arn.packed());
    put.money(event.amount);
    put.u64(event.network_reference);
    put.bytes(event.rrn.0);
    put.bytes(event.terminal.0);
    put.bytes(event.merchant.0);
    put.institution(event.acquirer);
    put.u16(event.mcc);
    put.u8(event.outcome as u8);
    put.u8(event.by as u8);
    put.u64(event.matches.0);
    put.i64(event.posted);
    put.u16(event.posted_in.numeric());
    put.u32(event.configuration);
    if let Some(code) = event.approval_code {
        put.bytes(code.0);
    }
    if let Some(billing) = event.billing {
        put.money(billing);
    }
    if let Some(charge) = event.charge {
        put.u16(charge.code());
    }
    if !event.shares.is_empty() {
        put.shares(&event.shares);
    }
    put.finish()
}

pub(super) fn take_cleared(slot: Slot, version: u8, take: &mut Take<'_>) -> Result<Cleared, RecordError> {
    let flags = take.u8()?;
    let has = |bit| flags & bit != 0;
    let known = ALL.get(usize::from(version).saturating_sub(1)).copied().unwrap_or_default();
    if flags & !known != 0 {
        return Err(RecordError::Field("flags"));
    }
    let (card, account, network) = (take.card(has(UNKNOWN_CARD))?, take.u16()?, NameId(take.u32()?));
    let function = Function {
        purpose: Purpose::from_code(take.u8()?).ok_or(RecordError::Field("purpose"))?,
        reversal: has(REVERSAL),
        usage: if has(SECOND) { Usage::Second } else { Usage::First },
        code: take.u32()?,
    };
    let mut event = Cleared {
        slot,
        card,
        account,
        network,
        function,
        part: Part::from_bytes(take.bytes()?).ok_or(RecordError::Field("part"))?,
        arn: Arn::from_packed(take.bytes()?).ok_or(RecordError::Field("acquirer reference"))?,
        amount: take.money()?,
        billing: None,
        approval_code: None,
        network_reference: take.u64()?,
        rrn: Text(take.bytes()?),
        terminal: Text(take.bytes()?),
        merchant: Text(take.bytes()?),
        acquirer: take.institution()?,
        mcc: take.u16()?,
        outcome: Clearance::from_code(take.u8()?).ok_or(RecordError::Field("outcome"))?,
        by: MatchedBy::from_code(take.u8()?).ok_or(RecordError::Field("match"))?,
        matches: Sequence(take.u64()?),
        posted: take.i64()?,
        posted_in: take.currency()?,
        charge: None,
        shares: Shares::NONE,
        configuration: take.u32()?,
    };
    if has(APPROVAL_CODE) {
        event.approval_code = Some(take.approval_code()?);
    }
    if has(BILLING) {
        event.billing = Some(take.money()?);
    }
    if has(CHARGE) {
        event.charge = Some(Charge::from_code(take.u16()?).ok_or(RecordError::Field("charge"))?);
    }
    if has(SHARED) {
        event.shares = take.shares()?;
    }
    Ok(event)
}

pub(super) fn put_file_posted(
    event: &FilePosted,
    time: Timestamp,
    out: &mut [u8; RECORD_BYTES_MAX],
) -> usize {
    let mut put = begin(Kind::FilePosted, Some(event.slot), time, out);
    put.bytes(event.checksum.to_le_bytes());
    put.u64(event.records);
    put.u64(event.of);
    put.finish()
}

pub(super) fn take_file_posted(slot: Slot, take: &mut Take<'_>) -> Result<FilePosted, RecordError> {
    let checksum = u128::from_le_bytes(take.bytes()?);
    if slot != slot_of_file(checksum) {
        return Err(RecordError::Field("slot"));
    }
    Ok(FilePosted { slot, checksum, records: take.u64()?, of: take.u64()? })
}
