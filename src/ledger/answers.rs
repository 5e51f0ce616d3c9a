//! Outcomes of requests that left nothing on an account (declines, inquiries, verifications), remembered so that a
//! repeat gets its first answer (R5, R6).
//!
//! Each slot has a ring of `answers_per_slot`; the oldest is overwritten. What is older than `repeat_window` is there
//! but no longer found.

use crate::domain::action::ActionCode;
use crate::domain::event::Sequence;
use crate::domain::money::Money;
use crate::domain::request::MessageKey;
use crate::domain::request::ProcessingCode;
use crate::domain::time::Timestamp;

/// One remembered outcome.
#[derive(Clone, Copy, Debug)]
pub struct Remembered {
    /// Fingerprint of the message's key and card.
    pub fingerprint: u64,
    /// The record of the outcome; zero for an empty place.
    pub sequence: Sequence,
    /// DE 4.
    pub amount: i64,
    /// What was posted when it was answered, for an inquiry.
    pub posted: i64,
    /// What was available when it was answered, for an inquiry.
    pub available: i64,
    /// DE 7.
    pub transmission: u32,
    /// When it was answered, seconds since 1970.
    pub answered_s: u32,
    /// DE 3.
    pub processing_code: u32,
    /// DE 49.
    pub currency: u16,
    /// The currency of the account that was looked at.
    pub account_currency: u16,
    /// DE 38; zeros for none.
    pub approval_code: [u8; 6],
    /// The outcome.
    pub action: ActionCode,
}

impl Remembered {
    /// That of an advice or a reversal, which is never declined.
    pub(super) const fn acknowledged(
        fingerprint: u64,
        sequence: Sequence,
        time: Timestamp,
        key: &MessageKey,
        code: ProcessingCode,
        amount: Money,
    ) -> Self {
        Self {
            fingerprint,
            sequence,
            amount: amount.minor,
            transmission: key.transmission.digits(),
            answered_s: time.seconds() as u32,
            processing_code: code.0,
            currency: amount.currency.numeric(),
            account_currency: amount.currency.numeric(),
            ..EMPTY
        }
    }
}

const EMPTY: Remembered = Remembered {
    fingerprint: 0,
    sequence: Sequence(0),
    amount: 0,
    posted: 0,
    available: 0,
    transmission: 0,
    answered_s: 0,
    processing_code: 0,
    currency: 0,
    account_currency: 0,
    approval_code: [0; 6],
    action: ActionCode::Approved,
};

/// The rings of one shard's slots, side by side.
#[derive(Debug)]
pub struct Answers {
    entries: Box<[Remembered]>,
    next: Box<[u32]>,
    per_slot: u32,
}

impl Answers {
    /// Rings of `per_slot` for `slots` slots.
    #[must_use]
    pub fn new(slots: usize, per_slot: u32) -> Self {
        let per_slot = per_slot.max(1);
        Self {
            entries: vec![EMPTY; slots * per_slot as usize].into_boxed_slice(),
            next: vec![0; slots].into_boxed_slice(),
            per_slot,
        }
    }

    /// The entry at a position.
    #[must_use]
    pub fn at(&self, position: u32) -> &Remembered {
        &self.entries[position as usize]
    }

    /// How many fit in all.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.entries.len()
    }

    /// Remembers an outcome in a slot's ring. Returns where it stands, and what it overwrote there.
    pub fn push(&mut self, slot: usize, entry: Remembered) -> (u32, Option<Remembered>) {
        let position = slot as u32 * self.per_slot + self.next[slot];
        self.next[slot] = (self.next[slot] + 1) % self.per_slot;
        let old = std::mem::replace(&mut self.entries[position as usize], entry);
        (position, (old.sequence != Sequence(0)).then_some(old))
    }

    /// What a slot remembers, oldest first.
    pub fn of_slot(&self, slot: usize) -> impl Iterator<Item = Remembered> + '_ {
        let (per_slot, next) = (self.per_slot as usize, self.next[slot] as usize);
        let ring = &self.entries[slot * per_slot..(slot + 1) * per_slot];
        let oldest_first = ring[next..].iter().chain(&ring[..next]);
        oldest_first.filter(|entry| entry.sequence != Sequence(0)).copied()
    }

    /// Everything that is remembered, with where it stands.
    pub fn positions(&self) -> impl Iterator<Item = (u32, &Remembered)> {
        let numbered = self.entries.iter().enumerate().map(|(position, entry)| (position as u32, entry));
        numbered.filter(|(_, entry)| entry.sequence != Sequence(0))
    }

    /// Everything that is remembered.
    pub fn iter(&self) -> impl Iterator<Item = &Remembered> {
        self.entries.iter().filter(|entry| entry.sequence != Sequence(0))
    }
}
