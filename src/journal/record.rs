//! Records: one event each, laid out by hand.
//!
//! ```text
//! 0  length   u16   of the whole record
//! 2  kind     u8    which event
//! 3  version  u8    of the kind's layout
//! 4  slot     u16   0xFFFF when it touches every slot or none
//! 6  time     u64   nanoseconds since 1970
//! 14 body           by kind and version; integers little-endian, optional parts last, told by flags
//! ```
//!
//! A layout never changes once it was written: a new one gets a new version, and the old one stays readable. Card
//! numbers are in [`CardOpened`] only, sealed. Track data, CVV2 and PIN blocks have no place to be written.

use crate::domain::action::ActionCode;
use crate::domain::card::CardIdentity;
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
use crate::domain::event::Configured;
use crate::domain::event::Decided;
use crate::domain::event::Effect;
use crate::domain::event::Event;
use crate::domain::event::Facts;
use crate::domain::event::Reversed;
use crate::domain::event::Seeded;
use crate::domain::event::Sequence;
use crate::domain::event::WalletStatusSet;
use crate::domain::money::Money;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::domain::request::MessageClass;
use crate::domain::request::OriginalData;
use crate::domain::request::Presented;
use crate::domain::request::ProcessingCode;
use crate::domain::request::Stan;
use crate::domain::time::Expiry;
use crate::domain::time::Timestamp;
use crate::journal::field::Put;
use crate::journal::field::Take;

/// The most bytes that a record takes.
pub const RECORD_BYTES_MAX: usize = 192;
/// Bytes before the body.
pub const FRAME_BYTES: usize = 14;
/// The slot of a record that touches every slot or none.
const NO_SLOT: u16 = 0xFFFF;
/// The only layout so far, of every kind.
const VERSION: u8 = 1;

/// Which event a record holds, as its kind byte says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// [`Event::Configured`].
    Configured = 1,
    /// [`Event::Seeded`].
    Seeded = 2,
    /// [`Event::CardOpened`].
    CardOpened = 3,
    /// [`Event::AccountFunded`].
    AccountFunded = 4,
    /// [`Event::Decided`].
    Decided = 5,
    /// [`Event::Reversed`].
    Reversed = 6,
    /// [`Event::WalletStatusSet`].
    WalletStatusSet = 7,
}

impl Kind {
    /// Every kind with its name in listings.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Configured, "configured"),
        (Self::Seeded, "seeded"),
        (Self::CardOpened, "card-opened"),
        (Self::AccountFunded, "account-funded"),
        (Self::Decided, "decided"),
        (Self::Reversed, "reversed"),
        (Self::WalletStatusSet, "wallet-status-set"),
    ];

    /// The kind of this byte.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Configured),
            2 => Some(Self::Seeded),
            3 => Some(Self::CardOpened),
            4 => Some(Self::AccountFunded),
            5 => Some(Self::Decided),
            6 => Some(Self::Reversed),
            7 => Some(Self::WalletStatusSet),
            _ => None,
        }
    }
}

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
        Event::Decided(decided) => put_decided(decided, time, out),
        Event::Reversed(reversed) => put_reversed(reversed, time, out),
        Event::CardOpened(opened) => {
            let nonce = SealNonce { epoch, sequence: sequence.0 };
            put_card_opened(opened, time, nonce, seal, out)
        }
        Event::AccountFunded(funded) => put_account_funded(funded, time, out),
        Event::Configured(configured) => put_configured(configured, time, out),
        Event::Seeded(seeded) => put_seeded(seeded, time, out),
        Event::WalletStatusSet(set) => put_wallet_status(set, time, out),
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
    let slot = match slot {
        NO_SLOT => None,
        number => Some(Slot::new(number).ok_or(RecordError::Field("slot"))?),
    };
    Ok(Frame { length, kind, version, slot, time })
}

/// Reads the first record in `bytes`: its frame and its event. `place` is where it stands in the journal.
///
/// # Errors
/// The bytes are no record, or one of a newer version, or a card number does not open.
#[inline]
pub fn decode(bytes: &[u8], place: SealNonce, opener: &dyn PanSeal) -> Result<(Frame, Event), RecordError> {
    let frame = frame(bytes)?;
    if frame.version != VERSION {
        return Err(RecordError::Version { kind: frame.kind as u8, version: frame.version });
    }
    let mut take = Take::new(&bytes[FRAME_BYTES..frame.length]);
    let slot = frame.slot.ok_or(RecordError::Field("slot"));
    let event = match frame.kind {
        Kind::Decided => Event::Decided(take_decided(slot?, &mut take)?),
        Kind::Reversed => Event::Reversed(take_reversed(slot?, &mut take)?),
        Kind::CardOpened => Event::CardOpened(take_card_opened(slot?, &mut take, place, opener)?),
        Kind::AccountFunded => Event::AccountFunded(take_account_funded(slot?, &mut take)?),
        Kind::Configured => Event::Configured(take_configured(&mut take)?),
        Kind::Seeded => Event::Seeded(take_seeded(&mut take)?),
        Kind::WalletStatusSet => Event::WalletStatusSet(take_wallet_status(slot?, &mut take)?),
    };
    take.finish()?;
    Ok((frame, event))
}

#[inline(always)]
fn begin(kind: Kind, slot: Option<Slot>, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> Put<'_> {
    let mut put = Put::new(out);
    put.u16(0);
    put.u8(kind as u8);
    put.u8(VERSION);
    put.u16(slot.map_or(NO_SLOT, Slot::number));
    put.u64(time.0);
    put
}

/// Flags of a `Decided` record.
mod decided {
    pub(super) const FINANCIAL: u16 = 1;
    pub(super) const REPEAT: u16 = 1 << 1;
    pub(super) const UNKNOWN_CARD: u16 = 1 << 2;
    pub(super) const BILLING: u16 = 1 << 3;
    pub(super) const APPROVAL_CODE: u16 = 1 << 4;
    pub(super) const HOLD: u16 = 1 << 5;
    pub(super) const POST: u16 = 1 << 6;
    /// The effect's amount is not what was billed, so it is written.
    pub(super) const OTHER_AMOUNT: u16 = 1 << 7;
    pub(super) const OVERDRAFT: u16 = 1 << 8;
    pub(super) const ALL: u16 = (1 << 9) - 1;
}

#[inline(always)]
const fn flag(condition: bool, bit: u16) -> u16 {
    if condition { bit } else { 0 }
}

#[inline]
fn put_decided(event: &Decided, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let billed = event.billing.unwrap_or(event.amount).minor;
    let (effect, effect_amount) = match event.effect {
        Effect::None => (0, billed),
        Effect::Hold(amount) => (decided::HOLD, amount),
        Effect::Post(amount) => (decided::POST, amount),
    };
    let flags = flag(matches!(event.class, MessageClass::Financial), decided::FINANCIAL)
        | flag(event.repeat, decided::REPEAT)
        | flag(matches!(event.card, CardIdentity::Unknown(_)), decided::UNKNOWN_CARD)
        | flag(event.billing.is_some(), decided::BILLING)
        | flag(event.approval_code.is_some(), decided::APPROVAL_CODE)
        | effect
        | flag(effect_amount != billed, decided::OTHER_AMOUNT)
        | flag(event.overdraft != 0, decided::OVERDRAFT);
    let mut put = begin(Kind::Decided, Some(event.slot), time, out);
    put.u16(flags);
    put.card(event.card);
    put.u64(event.wallet.0);
    put.u16(event.account);
    put.key(&event.key);
    put.u32(event.processing_code.0);
    put.u16(event.mcc);
    put.u16(event.country);
    put.u16(event.entry_mode);
    put.money(event.amount);
    put.u8(event.presented.0);
    put.u16(event.facts.0);
    put.u8(event.action as u8);
    put.i64(event.posted_before);
    put.i64(event.held_before);
    put.u32(event.configuration);
    put.u32(event.hold_until_s);
    put.u32(event.decided_after_us);
    if let Some(code) = event.approval_code {
        put.bytes(code.0);
    }
    if let Some(billing) = event.billing {
        put.money(billing);
    }
    if flags & decided::OTHER_AMOUNT != 0 {
        put.i64(effect_amount);
    }
    if flags & decided::OVERDRAFT != 0 {
        put.i64(event.overdraft);
    }
    put.finish()
}

#[inline]
fn take_decided(slot: Slot, take: &mut Take<'_>) -> Result<Decided, RecordError> {
    let flags = take.u16()?;
    let has = |bit| flags & bit != 0;
    if flags & !decided::ALL != 0 || (has(decided::HOLD) && has(decided::POST)) {
        return Err(RecordError::Field("flags"));
    }
    let mut event = Decided {
        slot,
        card: take.card(has(decided::UNKNOWN_CARD))?,
        wallet: WalletId(take.u64()?),
        account: take.u16()?,
        key: take.key()?,
        class: if has(decided::FINANCIAL) { MessageClass::Financial } else { MessageClass::Authorization },
        repeat: has(decided::REPEAT),
        processing_code: ProcessingCode(take.u32()?),
        mcc: take.u16()?,
        country: take.u16()?,
        entry_mode: take.u16()?,
        amount: take.money()?,
        presented: Presented(take.u8()?),
        facts: Facts(take.u16()?),
        action: ActionCode::from_code(take.u8()?).ok_or(RecordError::Field("action code"))?,
        posted_before: take.i64()?,
        held_before: take.i64()?,
        configuration: take.u32()?,
        hold_until_s: take.u32()?,
        decided_after_us: take.u32()?,
        approval_code: None,
        billing: None,
        effect: Effect::None,
        overdraft: 0,
    };
    if has(decided::APPROVAL_CODE) {
        event.approval_code = Some(take.approval_code()?);
    }
    if has(decided::BILLING) {
        event.billing = Some(take.money()?);
    }
    let billed: Money = event.billing.unwrap_or(event.amount);
    let amount = if has(decided::OTHER_AMOUNT) { take.i64()? } else { billed.minor };
    if has(decided::HOLD) {
        event.effect = Effect::Hold(amount);
    } else if has(decided::POST) {
        event.effect = Effect::Post(amount);
    }
    if has(decided::OVERDRAFT) {
        event.overdraft = take.i64()?;
    }
    Ok(event)
}

/// Flags of a `Reversed` record.
mod reversed {
    pub(super) const ADVICE: u16 = 1;
    pub(super) const REPEAT: u16 = 1 << 1;
    pub(super) const UNKNOWN_CARD: u16 = 1 << 2;
    pub(super) const APPROVAL_CODE: u16 = 1 << 3;
    pub(super) const ORIGINAL: u16 = 1 << 4;
    pub(super) const ORIGINAL_TRANSMISSION: u16 = 1 << 5;
    /// Two bits: the digit of the original's class, or zero.
    pub(super) const ORIGINAL_CLASS_SHIFT: u16 = 6;
    pub(super) const ALL: u16 = (1 << 8) - 1;
}

fn put_reversed(event: &Reversed, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let original = event.original.map_or(0, |original| {
        reversed::ORIGINAL
            | flag(original.transmission.is_some(), reversed::ORIGINAL_TRANSMISSION)
            | original.class.map_or(0, |class| class as u16) << reversed::ORIGINAL_CLASS_SHIFT
    });
    let flags = flag(event.advice, reversed::ADVICE)
        | flag(event.repeat, reversed::REPEAT)
        | flag(matches!(event.card, CardIdentity::Unknown(_)), reversed::UNKNOWN_CARD)
        | flag(event.approval_code.is_some(), reversed::APPROVAL_CODE)
        | original;
    let mut put = begin(Kind::Reversed, Some(event.slot), time, out);
    put.u16(flags);
    put.card(event.card);
    put.key(&event.key);
    put.u32(event.processing_code.0);
    put.money(event.amount);
    put.u64(event.undoes.0);
    put.u32(event.configuration);
    put.u32(event.decided_after_us);
    if let Some(code) = event.approval_code {
        put.bytes(code.0);
    }
    if let Some(original) = event.original {
        put.u32(original.stan.0);
        put.institution(original.acquirer);
        if let Some(transmission) = original.transmission {
            put.u32(transmission.digits());
        }
    }
    put.finish()
}

fn take_reversed(slot: Slot, take: &mut Take<'_>) -> Result<Reversed, RecordError> {
    let flags = take.u16()?;
    let has = |bit| flags & bit != 0;
    if flags & !reversed::ALL != 0 {
        return Err(RecordError::Field("flags"));
    }
    let mut event = Reversed {
        slot,
        card: take.card(has(reversed::UNKNOWN_CARD))?,
        key: take.key()?,
        advice: has(reversed::ADVICE),
        repeat: has(reversed::REPEAT),
        processing_code: ProcessingCode(take.u32()?),
        amount: take.money()?,
        undoes: Sequence(take.u64()?),
        configuration: take.u32()?,
        decided_after_us: take.u32()?,
        approval_code: None,
        original: None,
    };
    if has(reversed::APPROVAL_CODE) {
        event.approval_code = Some(take.approval_code()?);
    }
    let class = flags >> reversed::ORIGINAL_CLASS_SHIFT;
    if has(reversed::ORIGINAL) {
        event.original = Some(OriginalData {
            class: match class {
                0 => None,
                digit => Some(
                    MessageClass::from_digit(digit as u8).ok_or(RecordError::Field("original's class"))?,
                ),
            },
            stan: Stan(take.u32()?),
            acquirer: take.institution()?,
            transmission: match has(reversed::ORIGINAL_TRANSMISSION) {
                true => Some(take.transmission()?),
                false => None,
            },
        });
    } else if class != 0 || has(reversed::ORIGINAL_TRANSMISSION) {
        return Err(RecordError::Field("flags"));
    }
    Ok(event)
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
    put.finish()
}

fn take_card_opened(
    slot: Slot,
    take: &mut Take<'_>,
    place: SealNonce,
    opener: &dyn PanSeal,
) -> Result<CardOpened, RecordError> {
    let (wallet, card) = (WalletId(take.u64()?), CardRef(take.u64()?));
    let sealed = SealedPan(take.bytes()?);
    let expiry = Expiry::new(take.u16()?).ok_or(RecordError::Field("expiry"))?;
    let service_code = ServiceCode(take.u16()?);
    let status = CardStatus::from_code(take.u8()?).ok_or(RecordError::Field("card status"))?;
    let verification = Verification::from_code(take.u8()?).ok_or(RecordError::Field("verification"))?;
    let pan = opener.open(&sealed, place, card).ok_or(RecordError::Seal)?;
    Ok(CardOpened { slot, wallet, card, pan, expiry, service_code, status, verification })
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

fn put_configured(event: &Configured, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::Configured, None, time, out);
    put.u64(event.version);
    put.u32(event.bounds.repeat_window_s);
    put.u32(event.bounds.answers_per_slot);
    put.u32(event.bounds.closed_per_slot);
    put.u32(event.bounds.closed_window_s);
    put.u32(event.bounds.authorizations_per_card);
    put.finish()
}

fn take_configured(take: &mut Take<'_>) -> Result<Configured, RecordError> {
    Ok(Configured {
        version: take.u64()?,
        bounds: Bounds {
            repeat_window_s: take.u32()?,
            answers_per_slot: take.u32()?,
            closed_per_slot: take.u32()?,
            closed_window_s: take.u32()?,
            authorizations_per_card: take.u32()?,
        },
    })
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
