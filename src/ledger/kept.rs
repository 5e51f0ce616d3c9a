//! What a slot keeps of verbs: the callers' keys, so that nothing is done twice (R10), the payments that a merchant may
//! give back, and mandates.
//!
//! All are dropped by the records' time, so that replay drops them where live did. How many there may be is asked
//! before anything is journaled; what a record says is always taken.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;

use crate::domain::event::Sequence;
use crate::domain::money::Currency;
use crate::domain::moved::CallerKey;
use crate::domain::moved::Side;
use crate::domain::party::Slot;

use super::image::put;
use super::image::put_side;
use super::mandates::Mandates;
use super::restore::ImageError;
use super::restore::Take;
use super::shard::Shard;
use super::state_hash::StateHash;

/// How keys and payments are told apart in the state hash from what else is in it.
const KEY_KIND: u8 = 39;
const PAYMENT_KIND: u8 = 40;

/// Takes numbers that are spread already, or are spread by one multiplication; what it makes depends on nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(self.0 ^ u64::from(*byte)));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    }

    fn write_u128(&mut self, print: u128) {
        self.0 = print as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Map<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// A verb that was done under a caller's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Done {
    /// Its record.
    pub sequence: Sequence,
    /// Stands for what was asked for.
    pub body: u64,
    until_s: u32,
}

/// A payment that its merchant may give back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Payment {
    /// Its record.
    pub sequence: Sequence,
    /// Who paid.
    pub payer: Side,
    /// The merchant's account.
    pub payee: Side,
    /// In which currency.
    pub currency: Currency,
    /// What was paid, minor units.
    pub amount: i64,
    /// What of it went to the fee account.
    pub fee: i64,
    /// What of it the payer has back.
    pub refunded: i64,
    /// What of the fee the merchant has back.
    pub fee_refunded: i64,
    /// Until when it may be given back, seconds since 1970.
    pub until_s: u32,
}

/// What one slot keeps, in the order in which it came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Kept {
    keys: Map<u128, Done>,
    keys_in_order: VecDeque<u128>,
    payments: Map<u64, Payment>,
    payments_in_order: VecDeque<u64>,
    pub(super) mandates: Mandates,
}

impl Kept {
    pub(super) fn is_empty(&self) -> bool {
        self.keys_in_order.is_empty() && self.payments_in_order.is_empty() && self.mandates.is_empty()
    }

    /// Lets go of the oldest ones whose time is over. Returns how many keys and payments that were.
    fn drop_overdue(&mut self, now_s: u32) -> [u64; 2] {
        let before = [self.keys_in_order.len(), self.payments_in_order.len()];
        while let Some(print) = self.keys_in_order.front()
            && self.keys.get(print).is_none_or(|done| done.until_s < now_s)
        {
            self.keys.remove(print);
            self.keys_in_order.pop_front();
        }
        while let Some(sequence) = self.payments_in_order.front()
            && self.payments.get(sequence).is_none_or(|payment| payment.until_s < now_s)
        {
            self.payments.remove(sequence);
            self.payments_in_order.pop_front();
        }
        let [keys, payments] = before;
        [(keys - self.keys_in_order.len()) as u64, (payments - self.payments_in_order.len()) as u64]
    }

    /// Whether it is a new one.
    fn add_key(&mut self, print: u128, done: Done) -> bool {
        let is_new = self.keys.insert(print, done).is_none();
        if is_new {
            self.keys_in_order.push_back(print);
        }
        is_new
    }

    /// Whether it is a new one.
    fn add_payment(&mut self, payment: Payment) -> bool {
        let is_new = self.payments.insert(payment.sequence.0, payment).is_none();
        if is_new {
            self.payments_in_order.push_back(payment.sequence.0);
        }
        is_new
    }

    pub(super) fn payment_mut(&mut self, sequence: Sequence) -> Option<&mut Payment> {
        self.payments.get_mut(&sequence.0)
    }

    fn keys(&self) -> impl Iterator<Item = (u128, &Done)> {
        self.keys_in_order.iter().filter_map(|print| Some((*print, self.keys.get(print)?)))
    }

    fn payments(&self) -> impl Iterator<Item = &Payment> {
        self.payments_in_order.iter().filter_map(|sequence| self.payments.get(sequence))
    }

    /// Adds it to the image of a shard.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put(out, (self.keys_in_order.len() as u32).to_le_bytes());
        self.keys().for_each(|(print, done)| put_key(print, done, out));
        put(out, (self.payments_in_order.len() as u32).to_le_bytes());
        self.payments().for_each(|payment| put_payment(payment, out));
        self.mandates.put(out);
    }

    /// Reads it back.
    pub(super) fn take(&mut self, take: &mut Take<'_>) -> Result<(), ImageError> {
        for _ in 0..take.u32()? {
            let print = take.u128()?;
            let done = Done { sequence: take.sequence()?, body: take.u64()?, until_s: take.u32()? };
            let _is_new = self.add_key(print, done);
        }
        for _ in 0..take.u32()? {
            let _is_new = self.add_payment(take_payment(take)?);
        }
        self.mandates.take(take)
    }

    /// Adds everything to the state hash.
    pub(super) fn hash_into(&self, slot: u16, hash: &mut StateHash) {
        let mut bytes = Vec::new();
        for (print, done) in self.keys() {
            bytes.clear();
            put(&mut bytes, slot.to_le_bytes());
            put_key(print, done, &mut bytes);
            hash.add_bytes(KEY_KIND, &bytes);
        }
        for payment in self.payments() {
            bytes.clear();
            put_payment(payment, &mut bytes);
            hash.add_bytes(PAYMENT_KIND, &bytes);
        }
        self.mandates.hash_into(hash);
    }
}

impl Shard {
    /// What was done under a caller's key.
    #[must_use]
    pub fn done_under(&self, slot: Slot, print: u128) -> Option<Done> {
        self.kept[self.slot_of(slot)].keys.get(&print).copied()
    }

    /// Whether a slot lets go of a key, or of a payment, with the next record about it.
    #[must_use]
    pub fn forgets_next(&self, slot: Slot, now_s: u32) -> [bool; 2] {
        let kept = &self.kept[self.slot_of(slot)];
        let key = kept.keys_in_order.front().and_then(|print| kept.keys.get(print));
        let payment = kept.payments_in_order.front().and_then(|sequence| kept.payments.get(sequence));
        [key.is_some_and(|done| done.until_s < now_s), payment.is_some_and(|payment| payment.until_s < now_s)]
    }

    /// A merchant's payment that may be given back.
    #[must_use]
    pub fn payment(&self, slot: Slot, sequence: Sequence) -> Option<&Payment> {
        self.kept[self.slot_of(slot)].payments.get(&sequence.0)
    }

    /// How many callers' keys, payments and mandates it keeps.
    #[must_use]
    pub const fn kept_counts(&self) -> [u64; 3] {
        self.kept_counts
    }

    /// The same, added up again.
    pub(super) fn count_kept(&self) -> [u64; 3] {
        self.kept.iter().fold([0; 3], |[keys, payments, mandates], kept| {
            [
                keys + kept.keys_in_order.len() as u64,
                payments + kept.payments_in_order.len() as u64,
                mandates + kept.mandates.len() as u64,
            ]
        })
    }

    /// Reads what a slot keeps from the image of a shard.
    pub(super) fn take_kept(&mut self, take: &mut Take<'_>, slot: Slot) -> Result<(), ImageError> {
        let at = self.slot_of(slot);
        self.kept[at].take(take)?;
        self.kept_counts = self.count_kept();
        Ok(())
    }

    /// Keeps a payment of a merchant's slot.
    pub(super) fn add_payment(&mut self, slot: Slot, payment: Payment) {
        let at = self.slot_of(slot);
        self.kept_counts[1] += u64::from(self.kept[at].add_payment(payment));
    }

    /// Remembers what a verb has done.
    pub(super) fn remember_key(&mut self, slot: Slot, key: &CallerKey, sequence: Sequence) {
        let at = self.slot_of(slot);
        let CallerKey { print, body, until_s } = *key;
        let is_new = self.kept[at].add_key(print, Done { sequence, body, until_s });
        self.kept_counts[0] += u64::from(is_new);
    }

    /// Lets go of what a slot need not keep any longer.
    pub(super) fn drop_kept(&mut self, slot: Slot, now_s: u32) {
        let at = self.slot_of(slot);
        let [keys, payments] = self.kept[at].drop_overdue(now_s);
        self.kept_counts[0] -= keys;
        self.kept_counts[1] -= payments;
    }
}

fn put_key(print: u128, done: &Done, out: &mut Vec<u8>) {
    put(out, print.to_le_bytes());
    put(out, done.sequence.0.to_le_bytes());
    put(out, done.body.to_le_bytes());
    put(out, done.until_s.to_le_bytes());
}

fn put_payment(payment: &Payment, out: &mut Vec<u8>) {
    put(out, payment.sequence.0.to_le_bytes());
    [payment.payer, payment.payee].into_iter().for_each(|side| put_side(out, side));
    put(out, payment.currency.numeric().to_le_bytes());
    for amount in [payment.amount, payment.fee, payment.refunded, payment.fee_refunded] {
        put(out, amount.to_le_bytes());
    }
    put(out, payment.until_s.to_le_bytes());
}

fn take_payment(take: &mut Take<'_>) -> Result<Payment, ImageError> {
    Ok(Payment {
        sequence: take.sequence()?,
        payer: take.side()?,
        payee: take.side()?,
        currency: take.currency()?,
        amount: take.i64()?,
        fee: take.i64()?,
        refunded: take.i64()?,
        fee_refunded: take.i64()?,
        until_s: take.u32()?,
    })
}
