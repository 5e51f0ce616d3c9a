//! Limits, controls and what was counted, as bytes: for images of wallets, and for the state hash.
//!
//! ```text
//! of a wallet  limits u32, controls u32, counted u32
//!   limit      subject u8 u64, number u8, product u8, since u64, measure u16, max i64, window u8 u32, channels u8,
//!              kinds u8, country u16, currency u16, merchant u64, 8 ranges u16 u16, used i64, window's number u32
//!              and of a sliding window: newest part u32, 61 parts i64
//!   control    subject u8 u64, number u8, locked to u64, rule u8, aspect u8, values u8, each u16
//!   counted    authorization u64, record u64, amount i64, time u32, by the card's limits u16, by the wallet's u16, by
//!              the product's u16, currency u16, one more u8, product u8
//! of a slot    products' limits u16, controls u16
//!   limit      product u8, number u8, since u64, each wallet u8, measure to ranges as above
//!   control    product u8, number u8, rule to values as above
//! ```

use crate::domain::control::CONTROL_VALUES;
use crate::domain::control::Control;
use crate::domain::event::Sequence;
use crate::domain::limit::Filter;
use crate::domain::limit::Limit;
use crate::domain::limit::Measure;
use crate::domain::limit::Number;
use crate::domain::limit::Subject;
use crate::domain::limit::Window;
use crate::domain::money::Currency;
use crate::domain::party::Slot;
use crate::domain::product::ProductNumber;
use crate::domain::usage::Channels;
use crate::domain::usage::Kinds;
use crate::domain::usage::MccRange;
use crate::domain::usage::MerchantPrint;

use super::image::put;
use super::limits::Counted;
use super::limits::Counter;
use super::limits::Gate;
use super::limits::Limits;
use super::products::Rule;
use super::products::Rules;
use super::restore::ImageError;
use super::restore::Take;
use super::shard::Capacity;
use super::shard::Shard;
use super::slab::NONE;
use super::sliding::PARTS;
use super::sliding::Sliding;
use super::state_hash::StateHash;

/// How rules of products are told apart in the state hash from what else is in it.
const RULE_KIND: u8 = 35;
const PRODUCT_CONTROL_KIND: u8 = 36;

/// Stands for no currency.
const NO_CURRENCY: u16 = 0xFFFF;

impl Shard {
    /// Appends what a wallet and its cards have of limits.
    pub(super) fn put_limits(&self, wallet: u32, out: &mut Vec<u8>) {
        let heading = out.len();
        put(out, [0; 12]);
        let (mut limits, mut controls, mut counted) = (0_u32, 0_u32, 0_u32);
        let cards = || self.cards_of(wallet);
        let subjects = || {
            let of_wallet = Subject::Wallet(self.wallets.at(wallet).id);
            std::iter::once(of_wallet).chain(cards().map(|card| Subject::Card(card.reference)))
        };
        for counter in subjects().flat_map(|subject| self.limits.all_counters(subject)) {
            self.limits.put_counter(counter, out);
            limits += 1;
        }
        for gate in subjects().flat_map(|subject| self.limits.gates(subject)) {
            put_gate(gate, out);
            controls += 1;
        }
        for card in cards() {
            for (_, entry) in self.open_of(card).chain(self.closed_of(card)) {
                for entry in self.limits.counted_of(entry.sequence) {
                    put_counted(entry, out);
                    counted += 1;
                }
            }
        }
        for (n, count) in [limits, controls, counted].into_iter().enumerate() {
            out[heading + 4 * n..heading + 4 * (n + 1)].copy_from_slice(&count.to_le_bytes());
        }
    }

    /// Reads what a wallet has of limits, once its cards are there.
    pub(super) fn take_limits(&mut self, take: &mut Take<'_>, wallet: u32) -> Result<(), ImageError> {
        let (limits, controls, counted) = (take.u32()?, take.u32()?, take.u32()?);
        for _ in 0..limits {
            let (counter, parts) = take_counter(take)?;
            self.limits.insert_counter(counter, parts).map_err(|_| ImageError::Full("limits"))?;
        }
        for _ in 0..controls {
            self.limits.insert_gate(take_gate(take)?).map_err(|_| ImageError::Full("limits"))?;
        }
        for _ in 0..counted {
            self.limits.insert_counted(take_counted(take)?).map_err(|_| ImageError::Full("counted"))?;
        }
        self.mark_limited(wallet);
        Ok(())
    }
}

/// Counts what a wallet has of limits, to make room for it.
pub(super) fn count_limits(take: &mut Take<'_>, needs: &mut Capacity) -> Result<(), ImageError> {
    let (limits, controls, counted) = (take.u32()?, take.u32()?, take.u32()?);
    for _ in 0..limits {
        take_counter(take)?;
    }
    for _ in 0..controls {
        take_gate(take)?;
    }
    for _ in 0..counted {
        take_counted(take)?;
    }
    needs.limits += limits.max(controls) as usize;
    needs.counted += counted as usize;
    Ok(())
}

impl Limits {
    /// Adds everything to the state hash.
    pub(super) fn hash_into(&self, hash: &mut StateHash) {
        self.zones.hash_into(hash);
        self.rules.hash_into(hash);
        let mut bytes = Vec::new();
        let mut add = |kind, put: &dyn Fn(&mut Vec<u8>)| {
            bytes.clear();
            put(&mut bytes);
            hash.add_bytes(kind, &bytes);
        };
        let counters = self.counters.iter().filter(|(_, counter)| counter.number.is_some());
        for (_, counter) in counters.filter(|(_, counter)| self.is_live(counter)) {
            add(6, &|out| self.put_counter(counter, out));
        }
        for (_, gate) in self.gates.iter().filter(|(_, gate)| gate.number.is_some()) {
            add(7, &|out| put_gate(gate, out));
        }
        for (_, entry) in self.counted.iter().filter(|(_, entry)| entry.authorization != Sequence(0)) {
            add(8, &|out| put_counted(entry, out));
        }
    }

    fn put_counter(&self, counter: &Counter, out: &mut Vec<u8>) {
        let limit = &counter.limit;
        put_subject(counter.subject, counter.number, out);
        put_product(counter.product, out);
        put(out, counter.since.0.to_le_bytes());
        put_limit(limit, out);
        put(out, counter.used.to_le_bytes());
        let Window::Sliding(_) = limit.window else {
            put(out, counter.window.to_le_bytes());
            return;
        };
        // Where its parts are is nobody's business.
        put(out, 0_u32.to_le_bytes());
        let sliding = self.sliding.at(counter.window);
        put(out, sliding.newest.to_le_bytes());
        sliding.parts.iter().for_each(|part| put(out, part.to_le_bytes()));
    }
}

fn put_product(product: Option<ProductNumber>, out: &mut Vec<u8>) {
    put(out, [product.map_or(0, ProductNumber::get)]);
}

fn take_product(take: &mut Take<'_>) -> Result<Option<ProductNumber>, ImageError> {
    match take.u8()? {
        0 => Ok(None),
        number => ProductNumber::new(number).map(Some).ok_or(ImageError::Value("product")),
    }
}

fn put_limit(limit: &Limit, out: &mut Vec<u8>) {
    let measure = match limit.measure {
        Measure::Count => NO_CURRENCY,
        Measure::Amount(currency) => currency.numeric(),
    };
    put(out, measure.to_le_bytes());
    put(out, limit.max.to_le_bytes());
    let (window, length) = limit.window.parts();
    put(out, [window]);
    put(out, length.to_le_bytes());
    put_filter(&limit.filter, out);
}

pub(super) fn put_filter(filter: &Filter, out: &mut Vec<u8>) {
    put(out, [filter.channels.0, filter.kinds.0]);
    put(out, filter.country.to_le_bytes());
    put(out, filter.currency.map_or(NO_CURRENCY, Currency::numeric).to_le_bytes());
    put(out, filter.merchant.0.to_le_bytes());
    for range in filter.mcc {
        put(out, range.first.to_le_bytes());
        put(out, range.last.to_le_bytes());
    }
}

fn put_subject(subject: Subject, number: Option<Number>, out: &mut Vec<u8>) {
    let (kind, of) = subject.parts();
    put(out, [kind]);
    put(out, of.to_le_bytes());
    put(out, [number.map_or(0, Number::get)]);
}

fn put_gate(gate: &Gate, out: &mut Vec<u8>) {
    let control = &gate.control;
    put_subject(gate.subject, gate.number, out);
    put(out, gate.locked.0.to_le_bytes());
    put_control(control, out);
}

fn put_control(control: &Control, out: &mut Vec<u8>) {
    put(out, [control.rule() as u8, control.aspect() as u8, control.values().len() as u8]);
    control.values().iter().for_each(|value| put(out, value.to_le_bytes()));
}

fn put_counted(entry: &Counted, out: &mut Vec<u8>) {
    put(out, entry.authorization.0.to_le_bytes());
    put(out, entry.record.0.to_le_bytes());
    put(out, entry.amount.to_le_bytes());
    put(out, entry.at_s.to_le_bytes());
    entry.by.iter().for_each(|by| put(out, by.to_le_bytes()));
    put(out, entry.currency.numeric().to_le_bytes());
    put(out, [u8::from(entry.first)]);
    put_product(entry.product, out);
}

fn take_subject(take: &mut Take<'_>) -> Result<(Subject, Option<Number>), ImageError> {
    let (kind, of) = (take.u8()?, take.u64()?);
    let subject = Subject::from_parts(kind, of).ok_or(ImageError::Value("subject"))?;
    let number = Number::new(take.u8()?).ok_or(ImageError::Value("number"))?;
    Ok((subject, Some(number)))
}

/// A currency that may be none.
fn currency(number: u16) -> Result<Option<Currency>, ImageError> {
    match number {
        NO_CURRENCY => Ok(None),
        number => Currency::from_number(number).map(Some).ok_or(ImageError::Value("currency")),
    }
}

fn take_limit(take: &mut Take<'_>) -> Result<Limit, ImageError> {
    let measure = currency(take.u16()?)?.map_or(Measure::Count, Measure::Amount);
    let max = take.i64()?;
    let (window, length) = (take.u8()?, take.u32()?);
    let window = Window::from_parts(window, length).ok_or(ImageError::Value("window"))?;
    Ok(Limit { measure, max, window, filter: take_filter(take)? })
}

pub(super) fn take_filter(take: &mut Take<'_>) -> Result<Filter, ImageError> {
    let (channels, kinds) = (Channels(take.u8()?), Kinds(take.u8()?));
    let (country, of_currency) = (take.u16()?, currency(take.u16()?)?);
    let merchant = MerchantPrint(take.u64()?);
    let mut filter = Filter { channels, kinds, country, currency: of_currency, merchant, ..Filter::ALL };
    for range in &mut filter.mcc {
        *range = MccRange { first: take.u16()?, last: take.u16()? };
    }
    Ok(filter)
}

fn take_counter(take: &mut Take<'_>) -> Result<(Counter, Sliding), ImageError> {
    let (subject, number) = take_subject(take)?;
    let (product, since, limit) = (take_product(take)?, take.sequence()?, take_limit(take)?);
    let counter = Counter { subject, since, limit, used: take.i64()?, window: take.u32()?, number, product };
    let mut sliding = Sliding::new(0);
    if let Window::Sliding(_) = limit.window {
        sliding.newest = take.u32()?;
        for part in 0..PARTS {
            sliding.parts[part] = take.i64()?;
        }
        sliding.total = sliding.parts.iter().copied().fold(0, i64::saturating_add);
    }
    Ok((counter, sliding))
}

fn take_gate(take: &mut Take<'_>) -> Result<Gate, ImageError> {
    let (subject, number) = take_subject(take)?;
    let locked = MerchantPrint(take.u64()?);
    Ok(Gate { subject, locked, control: take_control(take)?, number })
}

fn take_control(take: &mut Take<'_>) -> Result<Control, ImageError> {
    let (rule, aspect, length) = (take.u8()?, take.u8()?, usize::from(take.u8()?));
    let mut values = [0; CONTROL_VALUES];
    let list = values.get_mut(..length).ok_or(ImageError::Value("control"))?;
    for value in &mut *list {
        *value = take.u16()?;
    }
    Control::from_parts(rule, aspect, list).ok_or(ImageError::Value("control"))
}

fn take_counted(take: &mut Take<'_>) -> Result<Counted, ImageError> {
    Ok(Counted {
        authorization: take.sequence()?,
        record: take.sequence()?,
        amount: take.i64()?,
        at_s: take.u32()?,
        older: NONE,
        by: [take.u16()?, take.u16()?, take.u16()?],
        currency: take.currency()?,
        first: take.u8()? != 0,
        product: take_product(take)?,
    })
}

impl Rules {
    /// Adds what a slot has of products' rules to the image of a shard.
    pub(super) fn put(&self, slot: Slot, out: &mut Vec<u8>) {
        let limits = self.limits.iter().filter(|((of, _), _)| *of == slot);
        let limits = limits.flat_map(|((_, product), rules)| rules.iter().map(move |rule| (*product, rule)));
        put(out, (limits.clone().count() as u16).to_le_bytes());
        limits.for_each(|(product, rule)| put_rule(product, rule, out));
        let controls = self.controls.iter().filter(|((of, _), _)| *of == slot);
        let controls = controls.flat_map(|((_, product), list)| list.iter().map(move |of| (*product, of)));
        put(out, (controls.clone().count() as u16).to_le_bytes());
        for (product, (number, control)) in controls {
            put(out, [product.get(), number.get()]);
            put_control(control, out);
        }
    }

    /// Reads it back.
    pub(super) fn take(&mut self, take: &mut Take<'_>, slot: Slot) -> Result<(), ImageError> {
        for _ in 0..take.u16()? {
            let product = take_product(take)?.ok_or(ImageError::Value("product"))?;
            let number = Number::new(take.u8()?).ok_or(ImageError::Value("number"))?;
            let (since, per_wallet, limit) = (take.sequence()?, take.u8()? != 0, take_limit(take)?);
            self.put_limit(slot, product, number, Some(Rule { number, since, limit, per_wallet }));
        }
        for _ in 0..take.u16()? {
            let product = take_product(take)?.ok_or(ImageError::Value("product"))?;
            let number = Number::new(take.u8()?).ok_or(ImageError::Value("number"))?;
            self.put_control(slot, product, number, Some(take_control(take)?));
        }
        Ok(())
    }

    fn hash_into(&self, hash: &mut StateHash) {
        let mut bytes = Vec::new();
        for ((slot, product), rules) in &self.limits {
            for rule in rules {
                bytes.clear();
                put(&mut bytes, slot.number().to_le_bytes());
                put_rule(*product, rule, &mut bytes);
                hash.add_bytes(RULE_KIND, &bytes);
            }
        }
        for ((slot, product), list) in &self.controls {
            for (number, control) in list {
                bytes.clear();
                put(&mut bytes, slot.number().to_le_bytes());
                put(&mut bytes, [product.get(), number.get()]);
                put_control(control, &mut bytes);
                hash.add_bytes(PRODUCT_CONTROL_KIND, &bytes);
            }
        }
    }
}

fn put_rule(product: ProductNumber, rule: &Rule, out: &mut Vec<u8>) {
    put(out, [product.get(), rule.number.get()]);
    put(out, rule.since.0.to_le_bytes());
    put(out, [u8::from(rule.per_wallet)]);
    put_limit(&rule.limit, out);
}
