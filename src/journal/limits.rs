//! Records of what was set on a card or a wallet, [`LimitSet`] and [`ControlSet`], of the time zones that limits name,
//! [`ZoneSet`], and of cards' products, [`CardProductSet`].

use crate::domain::card::CardRef;
use crate::domain::control::CONTROL_VALUES;
use crate::domain::control::Control;
use crate::domain::control::ControlSet;
use crate::domain::event::LimitSet;
use crate::domain::limit::Filter;
use crate::domain::limit::LIMIT_MCC_MAX;
use crate::domain::limit::Limit;
use crate::domain::limit::Measure;
use crate::domain::limit::Number;
use crate::domain::limit::Subject;
use crate::domain::limit::Window;
use crate::domain::money::Currency;
use crate::domain::party::Slot;
use crate::domain::party::Text;
use crate::domain::product::CardProductSet;
use crate::domain::product::ProductNumber;
use crate::domain::time::Timestamp;
use crate::domain::usage::Channels;
use crate::domain::usage::Kinds;
use crate::domain::usage::MccRange;
use crate::domain::usage::MerchantPrint;
use crate::domain::zone::UtcOffset;
use crate::domain::zone::ZoneChange;
use crate::domain::zone::ZoneChanges;
use crate::domain::zone::ZoneNumber;
use crate::domain::zone::ZoneSet;
use crate::journal::field::Put;
use crate::journal::field::Take;
use crate::journal::kind::Kind;
use crate::journal::record::RECORD_BYTES_MAX;
use crate::journal::record::RecordError;
use crate::journal::record::begin;

/// Stands for no currency.
const NO_CURRENCY: u16 = 0xFFFF;

fn put_place(put: &mut Put<'_>, subject: Subject, number: Number, set: bool) {
    let (kind, of) = subject.parts();
    put.u8(kind);
    put.u64(of);
    put.u8(number.get());
    put.u8(u8::from(set));
}

/// Whose, which one, and whether it was set and not removed.
fn take_place(take: &mut Take<'_>) -> Result<(Subject, Number, bool), RecordError> {
    let (kind, of) = (take.u8()?, take.u64()?);
    let subject = Subject::from_parts(kind, of).ok_or(RecordError::Field("subject"))?;
    let number = Number::new(take.u8()?).ok_or(RecordError::Field("number"))?;
    match take.u8()? {
        0 => Ok((subject, number, false)),
        1 => Ok((subject, number, true)),
        _ => Err(RecordError::Field("flags")),
    }
}

pub(super) fn put_limit_set(event: &LimitSet, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::LimitSet, Some(event.slot), time, out);
    put_place(&mut put, event.subject, event.number, event.limit.is_some());
    if let Some(limit) = &event.limit {
        put_limit(&mut put, limit);
    }
    put.finish()
}

pub(super) fn take_limit_set(slot: Slot, take: &mut Take<'_>) -> Result<LimitSet, RecordError> {
    let (subject, number, set) = take_place(take)?;
    Ok(LimitSet { slot, subject, number, limit: if set { Some(take_limit(take)?) } else { None } })
}

fn put_limit(put: &mut Put<'_>, limit: &Limit) {
    put.u16(match limit.measure {
        Measure::Count => NO_CURRENCY,
        Measure::Amount(currency) => currency.numeric(),
    });
    put.i64(limit.max);
    let (window, length) = limit.window.parts();
    put.u8(window);
    put.u32(length);
    put_filter(put, &limit.filter);
}

pub(super) fn put_filter(put: &mut Put<'_>, filter: &Filter) {
    put.u8(filter.channels.0);
    put.u8(filter.kinds.0);
    put.u16(filter.country);
    put.u16(filter.currency.map_or(NO_CURRENCY, Currency::numeric));
    put.u64(filter.merchant.0);
    let ranges = || filter.mcc.iter().filter(|range| **range != MccRange::NONE);
    put.u8(ranges().count() as u8);
    for range in ranges() {
        put.u16(range.first);
        put.u16(range.last);
    }
}

/// A currency that may be none.
fn currency(number: u16) -> Result<Option<Currency>, RecordError> {
    match number {
        NO_CURRENCY => Ok(None),
        number => Currency::from_number(number).map(Some).ok_or(RecordError::Field("currency")),
    }
}

fn take_limit(take: &mut Take<'_>) -> Result<Limit, RecordError> {
    let measure = currency(take.u16()?)?.map_or(Measure::Count, Measure::Amount);
    let max = take.i64()?;
    let (window, length) = (take.u8()?, take.u32()?);
    let window = Window::from_parts(window, length).ok_or(RecordError::Field("window"))?;
    let filter = take_filter(take)?;
    if max < 0 {
        return Err(RecordError::Field("limit"));
    }
    Ok(Limit { measure, max, window, filter })
}

pub(super) fn take_filter(take: &mut Take<'_>) -> Result<Filter, RecordError> {
    let (channels, kinds) = (take.u8()?, take.u8()?);
    if channels & !Channels::MASK != 0 || kinds & !Kinds::MASK != 0 {
        return Err(RecordError::Field("filter"));
    }
    let mut filter = Filter {
        channels: Channels(channels),
        kinds: Kinds(kinds),
        country: take.u16()?,
        currency: currency(take.u16()?)?,
        merchant: MerchantPrint(take.u64()?),
        ..Filter::ALL
    };
    let ranges = usize::from(take.u8()?);
    if ranges > LIMIT_MCC_MAX {
        return Err(RecordError::Field("category codes"));
    }
    for place in &mut filter.mcc[..ranges] {
        let (first, last) = (take.u16()?, take.u16()?);
        *place = MccRange::new(first, last).ok_or(RecordError::Field("category codes"))?;
    }
    Ok(filter)
}

pub(super) fn put_control_set(
    event: &ControlSet,
    time: Timestamp,
    out: &mut [u8; RECORD_BYTES_MAX],
) -> usize {
    let mut put = begin(Kind::ControlSet, Some(event.slot), time, out);
    put_place(&mut put, event.subject, event.number, event.control.is_some());
    if let Some(control) = &event.control {
        put.u8(control.rule() as u8);
        put.u8(control.aspect() as u8);
        put.u8(control.values().len() as u8);
        for value in control.values() {
            put.u16(*value);
        }
    }
    put.finish()
}

pub(super) fn take_control_set(slot: Slot, take: &mut Take<'_>) -> Result<ControlSet, RecordError> {
    let (subject, number, set) = take_place(take)?;
    if !set {
        return Ok(ControlSet { slot, subject, number, control: None });
    }
    let (rule, aspect, length) = (take.u8()?, take.u8()?, usize::from(take.u8()?));
    let mut values = [0; CONTROL_VALUES];
    let list = values.get_mut(..length).ok_or(RecordError::Field("control"))?;
    for value in &mut *list {
        *value = take.u16()?;
    }
    let control = Control::from_parts(rule, aspect, list).ok_or(RecordError::Field("control"))?;
    Ok(ControlSet { slot, subject, number, control: Some(control) })
}

pub(super) fn put_zone_set(event: &ZoneSet, time: Timestamp, out: &mut [u8; RECORD_BYTES_MAX]) -> usize {
    let mut put = begin(Kind::ZoneSet, Some(event.slot), time, out);
    put.u16(event.zone.get());
    put.bytes(event.name.0);
    let changes = event.changes.as_slice();
    put.u8(changes.len() as u8);
    for change in changes {
        put.u32(change.from_s);
        put.u16(change.offset.minutes() as u16);
    }
    put.finish()
}

pub(super) fn take_zone_set(slot: Slot, take: &mut Take<'_>) -> Result<ZoneSet, RecordError> {
    let zone = ZoneNumber::new(take.u16()?).ok_or(RecordError::Field("zone"))?;
    let name = Text(take.bytes()?);
    let mut changes = [ZoneChange::default(); ZoneChanges::MAX];
    let length = usize::from(take.u8()?);
    let list = changes.get_mut(..length).ok_or(RecordError::Field("changes"))?;
    for change in &mut *list {
        let (from_s, minutes) = (take.u32()?, take.u16()? as i16);
        let offset = UtcOffset::new(minutes).ok_or(RecordError::Field("offset"))?;
        *change = ZoneChange { from_s, offset };
    }
    let changes = ZoneChanges::new(list).ok_or(RecordError::Field("changes"))?;
    Ok(ZoneSet { slot, zone, name, changes })
}

pub(super) fn put_card_product(
    event: &CardProductSet,
    time: Timestamp,
    out: &mut [u8; RECORD_BYTES_MAX],
) -> usize {
    let mut put = begin(Kind::CardProductSet, Some(event.slot), time, out);
    put.u64(event.card.0);
    put.u8(event.product.map_or(0, ProductNumber::get));
    put.finish()
}

pub(super) fn take_card_product(slot: Slot, take: &mut Take<'_>) -> Result<CardProductSet, RecordError> {
    let card = CardRef(take.u64()?);
    let product = match take.u8()? {
        0 => None,
        number => Some(ProductNumber::new(number).ok_or(RecordError::Field("product"))?),
    };
    Ok(CardProductSet { slot, card, product })
}
