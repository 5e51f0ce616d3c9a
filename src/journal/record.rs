//! Records: one event each, laid out by hand.
//!
//! ```text
//! 0  length   u16   of the whole record
//! 2  kind     u8    which event
//! 3  version  u8    of the kind's layout
//! 4  slot     u16   0xFFFF when it touches every slot or none
//! 6  time     u64   nanoseconds since 1970
//! 14 body           by kind and version, of `Moved` first two more slots u16; integers little-endian, optional parts
//!                   last, told by flags
//! ```
//!
//! A layout never changes once it was written: a new one gets a new version, and the old one stays readable. Card
//! numbers are in [`CardOpened`], and in what is forwarded or stored for another party, sealed. Track data, CVV2 and
//! PIN blocks have no place to be written.

use crate::domain::card::CardRef;
use crate::domain::card::CardStatus;
use crate::domain::card::PanSeal;
use crate::domain::card::SealNonce;
use crate::domain::card::SealedPan;
use crate::domain::card::ServiceCode;
use crate::domain::card::Verification;
use crate::domain::event::AccountFunded;
use crate::domain::event::Bounds;
use crate::domain::event::CardOpened;
use crate::domain::event::CardStatusSet;
use crate::domain::event::Configured;
use crate::domain::event::Event;
use crate::domain::event::Expired;
use crate::domain::event::Seeded;
use crate::domain::event::Sequence;
use crate::domain::event::Unanswered;
use crate::domain::event::WalletStatusSet;
use crate::domain::moved::KeysKept;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::domain::time::Expiry;
use crate::domain::time::Timestamp;
use crate::journal::assets;
use crate::journal::cleared;
use crate::journal::exchange;
use crate::journal::fees;
use crate::journal::field::Put;
use crate::journal::field::Take;
use crate::journal::forward;
use crate::journal::interest;
use crate::journal::kind::FIRST_VERSION;
use crate::journal::kind::Kind;
use crate::journal::limits;
use crate::journal::mandates;
use crate::journal::moved;
use crate::journal::recalled;

/// The most bytes that a record takes.
pub const RECORD_BYTES_MAX: usize = 320;
/// Bytes before the body.
pub const FRAME_BYTES: usize = 14;
/// The slot of a record that touches every slot or none.
pub(super) const NO_SLOT: u16 = 0xFFFF;

/// Why bytes are no record that can be read here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecordError {
    /// Cut short, or longer than its kind allows.
    #[error("the record's length does not fit its kind")]
    Length,
    /// A kind that is not known.
    #[error("record kind {0} is not known; a newer turnpike wrote it: start that version")]
    Kind(u8),
    /// A layout that is not known.
    #[error(
        "layout {version} of record kind {kind} is not known; a newer turnpike wrote it: start that version"
    )]
    Version {
        /// The record's kind.
        kind: u8,
        /// The layout's number.
        version: u8,
    },
    /// A field holds what it cannot hold.
    #[error("the record's {0} holds no possible value")]
    Field(&'static str),
    /// The key does not fit, or the record was moved or changed.
    #[error("the record's sealed card number does not open with this key")]
    Seal,
}

/// What stands before the body of every record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Bytes of the whole record.
    pub length: usize,
    /// Which event.
    pub kind: Kind,
    /// Of the kind's layout.
    pub version: u8,
    /// `None` when it touches every slot or none.
    pub slot: Option<Slot>,
    /// Further slots that it touches.
    pub others: [Option<Slot>; 2],
    /// When it was appended.
    pub time: Timestamp,
}

/// Writes one record and returns how many bytes it took.
///
/// `sequence` and `epoch` are where it will stand: a card number is sealed for that place.
#[inline]
pub fn encode(
    event: &Event,
    time: Timestamp,
    sequence: Sequence,
    epoch: u32,
    seal: &dyn PanSeal,
    out: &mut [u8; RECORD_BYTES_MAX],
) -> usize {
    match event {
        Event::Decided(decided) => exchange::put_decided(decided, time, out),
        Event::Reversed(reversed) => exchange::put_reversed(reversed, time, out),
        Event::CardOpened(opened) => {
            let nonce = SealNonce { epoch, sequence: sequence.0 };
            put_card_opened(opened, time, nonce, seal, out)
        }
        Event::AccountFunded(funded) => put_account_funded(funded, time, out),
        Event::Configured(configured) => put_configured(configured, time, out),
        Event::Seeded(seeded) => put_seeded(seeded, time, out),
        Event::WalletStatusSet(set) => put_wallet_status(set, time, out),
        Event::Advised(advised) => exchange::put_advised(advised, time, out),
        Event::Noted(noted) => exchange::put_noted(noted, time, out),
        Event::Unanswered(event) => {
            let named = (event.slot, event.card, event.authorization);
            put_authorization(Kind::Unanswered, named, time, out)
        }
        Event::Expired(event) => {
            let named = (event.slot, event.card, event.authorization);
            put_authorization(Kind::Expired, named, time, out)
        }
        Event::CardStatusSet(set) => put_card_status(set, time, out),
        Event::LimitSet(set) => limits::put_limit_set(set, time, out),
        Event::ControlSet(set) => limits::put_control_set(set, time, out),
        Event::Cleared(event) => cleared::put_cleared(event, time, out),
        Event::FilePosted(event) => cleared::put_file_posted(event, time, out),
        Event::Recalled(recalled) => recalled::put_recalled(recalled, time, out),
        Event::ZoneSet(set) => limits::put_zone_set(set, time, out),
        Event::CardProductSet(set) => limits::put_card_product(set, time, out),
        Event::Forwarded(event) => {
            let place = SealNonce { epoch, sequence: sequence.0 };
            forward::put_forwarded(event, time, place, seal, out)
        }
        Event::Concluded(event) => forward::put_concluded(event, time, out),
        Event::Stored(event) => {
            let place = SealNonce { epoch, sequence: sequence.0 };
            forward::put_stored(event, time, place, seal, out)
        }
        Event::Settled(event) => forward::put_settled(event, time, out),
        Event::FeeSet(set) => fees::put_fee_set(set, time, out),
        Event::Moved(event) => moved::put_moved(event, time, out),
        Event::MandateGiven(event) => mandates::put_given(event, time, out),
        Event::MandateCancelled(event) => mandates::put_cancelled(event, time, out),
        Event::AssetSet(event) => assets::put_asset(event, time, out),
        Event::RateSet(event) => assets::put_rate(event, time, out),
        Event::SpendingSet(event) => assets::put_spending(event, time, out),
        Event::InterestSet(event) => interest::put_set(event, time, out),
        Event::InterestPaid(event) => interest::put_paid(event, time, out),
    }
}

/// Reads what stands before the body of the first record in `bytes`. The length is at least [`FRAME_BYTES`] and
/// within `bytes`.
///
/// # Errors
/// The bytes are cut short, or the kind is not known.
#[inline]
pub fn frame(bytes: &[u8]) -> Result<Frame, RecordError> {
    let mut take = Take::new(bytes);
    let length = usize::from(take.u16()?);
    let (kind, version, slot, time) = (take.u8()?, take.u8()?, take.u16()?, Timestamp(take.u64()?));
    if length < FRAME_BYTES || length > bytes.len().min(RECORD_BYTES_MAX) {
        return Err(RecordError::Length);
    }
    let kind = Kind::from_code(kind).ok_or(RecordError::Kind(kind))?;
    let slot_of = |number| match number {
        NO_SLOT => Ok(None),
        number => Slot::new(number).map(Some).ok_or(RecordError::Field("slot")),
    };
    let slot = slot_of(slot)?;
    let others = match kind {
        Kind::Moved => [slot_of(take.u16()?)?, slot_of(take.u16()?)?],
        _ => [None; 2],
    };
    Ok(Frame { length, kind, version, slot, others, time })
}

/// Reads the first record in `bytes`: its frame and its event. `place` is where it stands in the journal.
///
/// # Errors
/// The bytes are no record, or one of a newer version, or a card number does not open.
#[inline]
pub fn decode(bytes: &[u8], place: SealNonce, opener: &dyn PanSeal) -> Result<(Frame, Event), RecordError> {
    let frame = frame(bytes)?;
    if !(FIRST_VERSION..=frame.kind.version()).contains(&frame.version) {
        return Err(RecordError::Version { kind: frame.kind as u8, version: frame.version });
    }
    let mut take = Take::new(&bytes[FRAME_BYTES..frame.length]);
    let slot = frame.slot.ok_or(RecordError::Field("slot"));
    let event = match frame.kind {
        Kind::Decided => Event::Decided(exchange::take_decided(slot?, frame.version, &mut take)?),
        Kind::Reversed => Event::Reversed(exchange::take_reversed(slot?, frame.version, &mut take)?),
        Kind::CardOpened => {
            Event::CardOpened(take_card_opened(slot?, frame.version, &mut take, (place, opener))?)
        }
        Kind::AccountFunded => Event::AccountFunded(take_account_funded(slot?, &mut take)?),
        Kind::Configured => Event::Configured(take_configured(frame.version, &mut take)?),
        Kind::Seeded => Event::Seeded(take_seeded(&mut take)?),
        Kind::WalletStatusSet => Event::WalletStatusSet(take_wallet_status(slot?, &mut take)?),
        Kind::Advised => Event::Advised(exchange::take_advised(slot?, frame.version, &mut take)?),
        Kind::Noted => Event::Noted(exchange::take_noted(slot?, &mut take)?),
        Kind::Unanswered => {
            let (card, authorization) = take_authorization(&mut take)?;
            Event::Unanswered(Unanswered { slot: slot?, card, authorization })
        }
        Kind::Expired => {
            let (card, authorization) = take_authorization(&mut take)?;
            Event::Expired(Expired { slot: slot?, card, authorization })
        }
        Kind::CardStatusSet => Event::CardStatusSet(take_card_status(slot?, &mut take)?),
        Kind::LimitSet => Event::LimitSet(limits::take_limit_set(slot?, &mut take)?),
        Kind::ControlSet => Event::ControlSet(limits::take_control_set(slot?, &mut take)?),
        Kind::Cleared => Event::Cleared(cleared::take_cleared(slot?, frame.version, &mut take)?),
        Kind::FilePosted => Event::FilePosted(cleared::take_file_posted(slot?, &mut take)?),
        Kind::Recalled => Event::Recalled(recalled::take_recalled(slot?, frame.version, &mut take)?),
        Kind::ZoneSet => Event::ZoneSet(limits::take_zone_set(slot?, &mut take)?),
        Kind::CardProductSet => Event::CardProductSet(limits::take_card_product(slot?, &mut take)?),
        Kind::Forwarded => Event::Forwarded(forward::take_forwarded(slot?, &mut take, place, opener)?),
        Kind::Concluded => Event::Concluded(forward::take_concluded(slot?, &mut take)?),
        Kind::Stored => Event::Stored(forward::take_stored(slot?, &mut take, place, opener)?),
        Kind::Settled => Event::Settled(forward::take_settled(slot?, &mut take)?),
        Kind::FeeSet => Event::FeeSet(fees::take_fee_set(slot?, &mut take)?),
        Kind::Moved => Event::Moved(moved::take_moved(slot?, frame.version, &mut take)?),
        Kind::MandateGiven => Event::MandateGiven(mandates::take_given(slot?, &mut take)?),
        Kind::MandateCancelled => Event::MandateCancelled(mandates::take_cancelled(slot?, &mut take)?),
        Kind::AssetSet => Event::AssetSet(assets::take_asset(slot?, &mut take)?),
        Kind::RateSet => Event::RateSet(assets::take_rate(slot?, &mut take)?),
        Kind::SpendingSet => Event::SpendingSet(assets::take_spending(slot?, &mut take)?),
        Kind::InterestSet => Event::InterestSet(interest::take_set(slot?, &mut take)?),
        Kind::InterestPaid => Event::InterestPaid(interest::take_paid(slot?, &mut take)?),
    };
    take.finish()?;
    Ok((frame, event))
}

#[inline(always)]
pub(super) fn begin(
    kind: Kind,
    slot: Option<Slot>,
    time: Timestamp,
    out: &mut [u8; RECORD_BYTES_MAX],
) -> Put<'_> {
    let mut put = Put::new(out);
    put.u16(0);
    put.u8(kind as u8);
    put.u8(kind.version());
    put.u16(slot.map_or(NO_SLOT, Slot::number));
    put.u64(time.0);
    put
}

fn put_card_opened(
    event: &CardOpened,
    time: Timestamp,
    place: SealNonce,
    seal: &dyn PanSeal,
    out: &mut [u8; RECORD_BYTES_MAX],
) -> usize {
    let mut put = begin(Kind::CardOpened, Some(event.slot), time, out);
    put.u64(event.wallet.0);
    put.u64(event.card.0);
    put.bytes(seal.seal(event.pan, place, event.card).0);
    put.u16(event.expiry.digits());
    put.u16(event.service_code.0);
    put.u8(event.status as u8);
    put.u8(event.verification as u8);
    put.u8(u8::from(event.key.is_some()));
    if let Some(key) = &event.key {
        moved::put_key(&mut put, key);
    }
    put.finish()
}

fn take_card_opened(
    slot: Slot,
    version: u8,
    take: &mut Take<'_>,
    (place, opener): (SealNonce, &dyn PanSeal),
) -> Result<CardOpened, RecordError> {
    let (wallet, card) = (WalletId(take.u64()?), CardRef(take.u64()?));
    let sealed = SealedPan(take.bytes()?);
    let expiry = Expiry::new(take.u16()?).ok_or(RecordError::Field("expiry"))?;
    let service_code = ServiceCode(take.u16()?);
    let status = CardStatus::from_code(take.u8()?).ok_or(RecordError::Field("card status"))?;
    let verification = Verification::from_code(take.u8()?).ok_or(RecordError::Field("verification"))?;
    let key = match if version == 1 { 0 } else { take.u8()? } {
        0 => None,
        1 => Some(moved::take_key(take)?),
        _ => return Err(RecordError::Field("flags")),
    };
    let pan = opener.open(&sealed, place, card).ok_or(RecordError::Seal)?;
    Ok(CardOpened { slot, wallet, card, pan, expiry, service_code, status, verification, key })
}

fn put_account_funded(event: &AccountFunded, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::AccountFunded, Some(event.slot), time, out);
    put.u64(event.wallet.0);
    put.u16(event.account);
    put.u16(event.currency.numeric());
    put.i64(event.amount);
    put.i64(event.overdraft);
    put.finish()
}

fn take_account_funded(slot: Slot, take: &mut Take<'_>) -> Result<AccountFunded, RecordError> {
    Ok(AccountFunded {
        slot,
        wallet: WalletId(take.u64()?),
        account: take.u16()?,
        currency: take.currency()?,
        amount: take.i64()?,
        overdraft: take.i64()?,
    })
}

fn put_wallet_status(event: &WalletStatusSet, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::WalletStatusSet, Some(event.slot), time, out);
    put.u64(event.wallet.0);
    put.u8(event.status as u8);
    put.finish()
}

fn take_wallet_status(slot: Slot, take: &mut Take<'_>) -> Result<WalletStatusSet, RecordError> {
    Ok(WalletStatusSet {
        slot,
        wallet: WalletId(take.u64()?),
        status: WalletStatus::from_code(take.u8()?).ok_or(RecordError::Field("status"))?,
    })
}

fn put_card_status(event: &CardStatusSet, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::CardStatusSet, Some(event.slot), time, out);
    put.u64(event.card.0);
    put.u8(event.status as u8);
    put.finish()
}

fn take_card_status(slot: Slot, take: &mut Take<'_>) -> Result<CardStatusSet, RecordError> {
    Ok(CardStatusSet {
        slot,
        card: CardRef(take.u64()?),
        status: CardStatus::from_code(take.u8()?).ok_or(RecordError::Field("card status"))?,
    })
}

/// A record that only names an authorization: its slot, its card, its own record.
fn put_authorization(
    kind: Kind,
    (slot, card, authorization): (Slot, CardRef, Sequence),
    time: Timestamp,
    out: &mut [u8; RECORD_BYTES_MAX],
) -> usize {
    let mut put = begin(kind, Some(slot), time, out);
    put.u64(card.0);
    put.u64(authorization.0);
    put.finish()
}

fn take_authorization(take: &mut Take<'_>) -> Result<(CardRef, Sequence), RecordError> {
    Ok((CardRef(take.u64()?), Sequence(take.u64()?)))
}

fn put_configured(event: &Configured, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::Configured, None, time, out);
    put.u64(event.version);
    put.u32(event.bounds.repeat_window_s);
    put.u32(event.bounds.answers_per_slot);
    put.u32(event.bounds.closed_per_slot);
    put.u32(event.bounds.closed_window_s);
    put.u32(event.bounds.authorizations_per_card);
    put.u32(event.keys.window_s);
    put.u32(event.keys.since_s);
    put.finish()
}

fn take_configured(version: u8, take: &mut Take<'_>) -> Result<Configured, RecordError> {
    let checksum = take.u64()?;
    let bounds = Bounds {
        repeat_window_s: take.u32()?,
        answers_per_slot: take.u32()?,
        closed_per_slot: take.u32()?,
        closed_window_s: take.u32()?,
        authorizations_per_card: take.u32()?,
    };
    // Room is made for these when the record is applied.
    if bounds.answers_per_slot > Bounds::ANSWERS_PER_SLOT_MAX {
        return Err(RecordError::Field("answers per slot"));
    }
    let keys = match version {
        1 => KeysKept::default(),
        _ => KeysKept { window_s: take.u32()?, since_s: take.u32()? },
    };
    Ok(Configured { version: checksum, bounds, keys })
}

fn put_seeded(event: &Seeded, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::Seeded, None, time, out);
    put.bytes(event.checksum.to_le_bytes());
    put.u64(event.lines);
    put.u8(u8::from(event.complete));
    put.finish()
}

fn take_seeded(take: &mut Take<'_>) -> Result<Seeded, RecordError> {
    Ok(Seeded {
        checksum: u128::from_le_bytes(take.bytes()?),
        lines: take.u64()?,
        complete: match take.u8()? {
            0 => false,
            1 => true,
            _ => return Err(RecordError::Field("completeness")),
        },
    })
}
