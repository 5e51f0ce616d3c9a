//! Records of what came in messages: [`Decided`], [`Reversed`], [`Advised`], [`Noted`].

use crate::domain::action::ActionCode;
use crate::domain::card::CardIdentity;
use crate::domain::event::Advised;
use crate::domain::event::Decided;
use crate::domain::event::Effect;
use crate::domain::event::Facts;
use crate::domain::event::Noted;
use crate::domain::event::Reversed;
use crate::domain::event::Sequence;
use crate::domain::fee::CodeAndCharge;
use crate::domain::money::Money;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::request::Legs;
use crate::domain::request::MessageClass;
use crate::domain::request::OriginalData;
use crate::domain::request::Presented;
use crate::domain::request::ProcessingCode;
use crate::domain::request::Stan;
use crate::domain::share::Shares;
use crate::domain::time::Timestamp;
use crate::domain::usage::Channel;
use crate::journal::field::Take;
use crate::journal::field::flag;
use crate::journal::kind::Kind;
use crate::journal::record::RECORD_BYTES_MAX;
use crate::journal::record::RecordError;
use crate::journal::record::begin;

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
    pub(super) const PEND: u16 = 1 << 9;
    /// It adds to an open authorization. From the second layout on.
    pub(super) const INCREMENT: u16 = 1 << 10;
    /// Three bits: the code of the channel. From the third layout on.
    pub(super) const CHANNEL_SHIFT: u16 = 11;
    /// Further accounts bear shares of it. From the fifth layout on.
    pub(super) const SHARED: u16 = 1 << 14;
    /// One of these at most.
    pub(super) const EFFECTS: u16 = HOLD | POST | PEND;
    pub(super) const ALL: u16 = (1 << 15) - 1;
    pub(super) const ALL_OF_FIRST: u16 = (1 << 10) - 1;
    pub(super) const ALL_OF_SECOND: u16 = (1 << 11) - 1;
    pub(super) const ALL_OF_FOURTH: u16 = (1 << 14) - 1;
}

#[inline]
pub(super) fn put_decided(event: &Decided, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let billed = event.billing.unwrap_or(event.amount).minor;
    let (effect, effect_amount) = match event.effect {
        Effect::None => (0, billed),
        Effect::Hold(amount) => (decided::HOLD, amount),
        Effect::Post(amount) => (decided::POST, amount),
        Effect::Pend(amount) => (decided::PEND, amount),
    };
    let flags = flag(matches!(event.class, MessageClass::Financial), decided::FINANCIAL)
        | flag(event.repeat, decided::REPEAT)
        | flag(matches!(event.card, CardIdentity::Unknown(_)), decided::UNKNOWN_CARD)
        | flag(event.billing.is_some(), decided::BILLING)
        | flag(event.approval_code.is_some(), decided::APPROVAL_CODE)
        | effect
        | flag(effect_amount != billed, decided::OTHER_AMOUNT)
        | flag(event.overdraft != 0, decided::OVERDRAFT)
        | flag(event.increment, decided::INCREMENT)
        | flag(!event.shares.is_empty(), decided::SHARED)
        | (event.channel as u16) << decided::CHANNEL_SHIFT;
    let mut put = begin(Kind::Decided, Some(event.slot), time, out);
    put.u16(flags);
    put.card(event.card);
    put.u64(event.wallet.0);
    put.u16(event.account);
    put.key(&event.key);
    put.u32(CodeAndCharge::new(event.processing_code, event.charge).bits());
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
    if flags & decided::SHARED != 0 {
        put.shares(&event.shares);
    }
    put.finish()
}

#[inline]
pub(super) fn take_decided(slot: Slot, version: u8, take: &mut Take<'_>) -> Result<Decided, RecordError> {
    let flags = take.u16()?;
    let has = |bit| flags & bit != 0;
    let known = match version {
        1 => decided::ALL_OF_FIRST,
        2 => decided::ALL_OF_SECOND,
        3 | 4 => decided::ALL_OF_FOURTH,
        _ => decided::ALL,
    };
    if flags & !known != 0 || (flags & decided::EFFECTS).count_ones() > 1 {
        return Err(RecordError::Field("flags"));
    }
    let coded;
    let mut event = Decided {
        slot,
        card: take.card(has(decided::UNKNOWN_CARD))?,
        wallet: WalletId(take.u64()?),
        account: take.u16()?,
        key: take.key()?,
        class: if has(decided::FINANCIAL) { MessageClass::Financial } else { MessageClass::Authorization },
        repeat: has(decided::REPEAT),
        processing_code: {
            coded = take.coded(version > 3)?;
            coded.processing_code()
        },
        mcc: take.u16()?,
        country: take.u16()?,
        entry_mode: take.u16()?,
        channel: channel(flags >> decided::CHANNEL_SHIFT)?,
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
        charge: coded.charge(),
        shares: Shares::NONE,
        increment: has(decided::INCREMENT),
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
    } else if has(decided::PEND) {
        event.effect = Effect::Pend(amount);
    }
    if has(decided::OVERDRAFT) {
        event.overdraft = take.i64()?;
    }
    if has(decided::SHARED) {
        event.shares = take.shares()?;
    }
    Ok(event)
}

/// The channel of three bits of flags, the lowest ones.
fn channel(bits: u16) -> Result<Channel, RecordError> {
    Channel::from_code((bits & 7) as u8).ok_or(RecordError::Field("channel"))
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
    /// Only our leg is undone. From the second layout on.
    pub(super) const OURS: u16 = 1 << 8;
    /// The whole purchase is undone. From the third layout on, as the next.
    pub(super) const WHOLE: u16 = 1 << 9;
    /// A part is to stay.
    pub(super) const KEEPS: u16 = 1 << 10;
    /// What each layout knows.
    pub(super) const ALL: [u16; 3] = [(1 << 8) - 1, (1 << 9) - 1, (1 << 11) - 1];
}

pub(super) fn put_reversed(event: &Reversed, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let original = event.original.map_or(0, |original| {
        reversed::ORIGINAL
            | flag(original.transmission.is_some(), reversed::ORIGINAL_TRANSMISSION)
            | original.class.map_or(0, |class| class as u16) << reversed::ORIGINAL_CLASS_SHIFT
    });
    let flags = flag(event.advice, reversed::ADVICE)
        | flag(event.repeat, reversed::REPEAT)
        | flag(matches!(event.card, CardIdentity::Unknown(_)), reversed::UNKNOWN_CARD)
        | flag(event.approval_code.is_some(), reversed::APPROVAL_CODE)
        | flag(event.legs == Legs::Ours, reversed::OURS)
        | flag(event.whole, reversed::WHOLE)
        | flag(event.keeps.is_some(), reversed::KEEPS)
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
    put.u16(event.reason);
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
    if let Some(keeps) = event.keeps {
        put.i64(keeps);
    }
    put.finish()
}

/// Reads any layout: the first knew neither legs nor reasons, the second no parts and no groups.
pub(super) fn take_reversed(slot: Slot, version: u8, take: &mut Take<'_>) -> Result<Reversed, RecordError> {
    let flags = take.u16()?;
    let has = |bit| flags & bit != 0;
    let first = version == 1;
    let known = reversed::ALL.get(usize::from(version).saturating_sub(1)).copied().unwrap_or_default();
    if flags & !known != 0 {
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
        reason: if first { 0 } else { take.u16()? },
        legs: if has(reversed::OURS) { Legs::Ours } else { Legs::Both },
        whole: has(reversed::WHOLE),
        keeps: None,
        approval_code: None,
        original: None,
    };
    if has(reversed::APPROVAL_CODE) {
        event.approval_code = Some(take.approval_code()?);
    }
    let class = flags >> reversed::ORIGINAL_CLASS_SHIFT & 3;
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
    if has(reversed::KEEPS) {
        event.keeps = Some(take.i64()?);
    }
    Ok(event)
}

/// Flags of an `Advised` record.
mod advised {
    pub(super) const FINANCIAL: u16 = 1;
    pub(super) const REPEAT: u16 = 1 << 1;
    pub(super) const UNKNOWN_CARD: u16 = 1 << 2;
    pub(super) const BILLING: u16 = 1 << 3;
    pub(super) const APPROVAL_CODE: u16 = 1 << 4;
    pub(super) const HOLD: u16 = 1 << 5;
    pub(super) const POST: u16 = 1 << 6;
    pub(super) const PEND: u16 = 1 << 7;
    pub(super) const APPROVED: u16 = 1 << 8;
    /// Three bits: the code of the channel. From the second layout on.
    pub(super) const CHANNEL_SHIFT: u16 = 9;
    /// It adds to an open authorization. From the third layout on.
    pub(super) const INCREMENT: u16 = 1 << 12;
    /// Further accounts bear shares of it. From the fifth layout on.
    pub(super) const SHARED: u16 = 1 << 13;
    /// One of these at most.
    pub(super) const EFFECTS: u16 = HOLD | POST | PEND;
    /// What each layout knows.
    pub(super) const ALL: [u16; 5] =
        [(1 << 9) - 1, (1 << 12) - 1, (1 << 13) - 1, (1 << 13) - 1, (1 << 14) - 1];
}

pub(super) fn put_advised(event: &Advised, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let effect = match event.effect {
        Effect::None => 0,
        Effect::Hold(_) => advised::HOLD,
        Effect::Post(_) => advised::POST,
        Effect::Pend(_) => advised::PEND,
    };
    let flags = flag(matches!(event.class, MessageClass::Financial), advised::FINANCIAL)
        | flag(event.repeat, advised::REPEAT)
        | flag(matches!(event.card, CardIdentity::Unknown(_)), advised::UNKNOWN_CARD)
        | flag(event.billing.is_some(), advised::BILLING)
        | flag(event.approval_code.is_some(), advised::APPROVAL_CODE)
        | flag(event.approved, advised::APPROVED)
        | flag(event.increment, advised::INCREMENT)
        | flag(!event.shares.is_empty(), advised::SHARED)
        | (event.channel as u16) << advised::CHANNEL_SHIFT
        | effect;
    let mut put = begin(Kind::Advised, Some(event.slot), time, out);
    put.u16(flags);
    put.card(event.card);
    put.u16(event.account);
    put.key(&event.key);
    put.u32(CodeAndCharge::new(event.processing_code, event.charge).bits());
    put.money(event.amount);
    put.u16(event.reason);
    put.u64(event.sets.0);
    put.u8(event.action as u8);
    put.i64(event.effect.amount());
    put.u32(event.configuration);
    put.u32(event.hold_until_s);
    put.u32(event.decided_after_us);
    put.u16(event.mcc);
    put.u16(event.country);
    if let Some(code) = event.approval_code {
        put.bytes(code.0);
    }
    if let Some(billing) = event.billing {
        put.money(billing);
    }
    if !event.shares.is_empty() {
        put.shares(&event.shares);
    }
    put.finish()
}

/// Reads any layout: the first did not know where and how the card was used, the second no increments, the third no
/// fees.
pub(super) fn take_advised(slot: Slot, version: u8, take: &mut Take<'_>) -> Result<Advised, RecordError> {
    let flags = take.u16()?;
    let has = |bit| flags & bit != 0;
    let first = version == 1;
    let known = advised::ALL.get(usize::from(version).saturating_sub(1)).copied().unwrap_or_default();
    if flags & !known != 0 || (flags & advised::EFFECTS).count_ones() > 1 {
        return Err(RecordError::Field("flags"));
    }
    let card = take.card(has(advised::UNKNOWN_CARD))?;
    let (account, key) = (take.u16()?, take.key()?);
    let (coded, amount) = (take.coded(version > 3)?, take.money()?);
    let (reason, sets) = (take.u16()?, Sequence(take.u64()?));
    let action = ActionCode::from_code(take.u8()?).ok_or(RecordError::Field("action code"))?;
    let moved = take.i64()?;
    let effect = match flags & advised::EFFECTS {
        0 if moved == 0 => Effect::None,
        advised::HOLD => Effect::Hold(moved),
        advised::POST => Effect::Post(moved),
        advised::PEND => Effect::Pend(moved),
        _ => return Err(RecordError::Field("flags")),
    };
    Ok(Advised {
        slot,
        card,
        account,
        key,
        class: if has(advised::FINANCIAL) { MessageClass::Financial } else { MessageClass::Authorization },
        repeat: has(advised::REPEAT),
        processing_code: coded.processing_code(),
        amount,
        approved: has(advised::APPROVED),
        reason,
        sets,
        action,
        effect,
        charge: coded.charge(),
        increment: has(advised::INCREMENT),
        channel: channel(flags >> advised::CHANNEL_SHIFT)?,
        configuration: take.u32()?,
        hold_until_s: take.u32()?,
        decided_after_us: take.u32()?,
        mcc: if first { 0 } else { take.u16()? },
        country: if first { 0 } else { take.u16()? },
        approval_code: if has(advised::APPROVAL_CODE) { Some(take.approval_code()?) } else { None },
        billing: if has(advised::BILLING) { Some(take.money()?) } else { None },
        shares: if has(advised::SHARED) { take.shares()? } else { Shares::NONE },
    })
}

/// Flags of a `Noted` record.
mod noted {
    pub(super) const CARD: u8 = 1;
    pub(super) const UNKNOWN_CARD: u8 = 1 << 1;
    pub(super) const ALL: u8 = 3;
}

pub(super) fn put_noted(event: &Noted, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::Noted, Some(event.slot), time, out);
    put.u8(match event.card {
        None => 0,
        Some(CardIdentity::Known(_)) => noted::CARD,
        Some(CardIdentity::Unknown(_)) => noted::CARD | noted::UNKNOWN_CARD,
    });
    put.key(&event.key);
    put.u16(event.mti);
    put.u16(event.reason);
    if let Some(card) = event.card {
        put.card(card);
    }
    put.finish()
}

pub(super) fn take_noted(slot: Slot, take: &mut Take<'_>) -> Result<Noted, RecordError> {
    let flags = take.u8()?;
    if flags & !noted::ALL != 0 || flags == noted::UNKNOWN_CARD {
        return Err(RecordError::Field("flags"));
    }
    let (key, mti, reason) = (take.key()?, take.u16()?, take.u16()?);
    let named = flags & noted::CARD != 0;
    let card = if named { Some(take.card(flags & noted::UNKNOWN_CARD != 0)?) } else { None };
    Ok(Noted { slot, card, key, mti, reason })
}
