//! Mandates by the slot of their payers: what they allow, what was charged by them, and when they leave memory.

use std::collections::BTreeMap;

use crate::domain::event::Sequence;
use crate::domain::mandate::MandateCancelled;
use crate::domain::mandate::MandateGiven;
use crate::domain::mandate::Period;
use crate::domain::mandate::Terms;
use crate::domain::moved::Side;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::time::Timestamp;

use super::apply::ApplyError;
use super::image::put;
use super::image::put_side;
use super::restore::ImageError;
use super::restore::Take;
use super::shard::Shard;
use super::state_hash::StateHash;

/// How mandates are told apart in the state hash from what else is in it.
const MANDATE_KIND: u8 = 41;
/// Charges that are shown of each mandate, the latest ones.
pub const CHARGES_SHOWN: usize = 12;
/// How long a mandate that has ended can be looked at.
const ENDED_KEPT_S: u32 = 400 * 86_400;

/// A charge by a mandate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Charge {
    /// Its record.
    pub sequence: Sequence,
    /// What the payee got, minor units.
    pub amount: i64,
    /// When, seconds since 1970.
    pub at_s: u32,
}

/// A mandate.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mandate {
    /// Its record, which is its name.
    pub sequence: Sequence,
    /// What it allows.
    pub terms: Terms,
    /// The period that was charged last.
    period: u32,
    /// What was charged in it, minor units, and how often.
    used: i64,
    charges: u16,
    /// When it was cancelled, seconds since 1970; zero for never.
    pub cancelled_s: u32,
    /// The latest charges, oldest first.
    pub latest: Vec<Charge>,
}

/// Why a mandate lets a charge not pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exceeds {
    /// It was cancelled, or its time is over.
    Ended,
    /// So much is left in this period, minor units.
    Amount(i64),
    /// As many charges as may be in a period have been.
    Charges,
}

impl Mandate {
    /// What was charged in the period of a time, minor units, and how often. A clock that went back opens no period
    /// again.
    #[must_use]
    pub fn used(&self, seconds: u64) -> (i64, u16) {
        let over = self.terms.period.index(seconds) > self.period;
        if over { (0, 0) } else { (self.used, self.charges) }
    }

    /// Whether it has ended at a time.
    #[must_use]
    pub fn has_ended(&self, seconds: u64) -> bool {
        let until = self.terms.until_s;
        self.cancelled_s != 0 || until != 0 && u64::from(until) <= seconds
    }

    /// Why so much may not be charged at a time; `None` when it may.
    #[must_use]
    pub fn refuses(&self, amount: i64, seconds: u64) -> Option<Exceeds> {
        let Terms { max, charges_max, .. } = self.terms;
        let (used, charges) = self.used(seconds);
        if self.has_ended(seconds) {
            Some(Exceeds::Ended)
        } else if charges_max != 0 && charges >= charges_max {
            Some(Exceeds::Charges)
        } else if amount > max.saturating_sub(used) {
            Some(Exceeds::Amount(max.saturating_sub(used)))
        } else {
            None
        }
    }

    /// Whether it ended so long ago that it need not be shown any more.
    fn is_past(&self, now_s: u32) -> bool {
        let mut ended = [self.cancelled_s, self.terms.until_s].into_iter().filter(|ended| *ended != 0);
        ended.any(|ended| ended.saturating_add(ENDED_KEPT_S) < now_s)
    }

    fn charge(&mut self, charge: Charge) {
        let (used, charges) = self.used(charge.at_s.into());
        self.period = self.period.max(self.terms.period.index(charge.at_s.into()));
        self.used = used.saturating_add(charge.amount);
        self.charges = charges.saturating_add(1);
        if self.latest.len() == CHARGES_SHOWN {
            self.latest.remove(0);
        }
        self.latest.push(charge);
    }
}

/// Those of one slot, by their records.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Mandates(BTreeMap<Sequence, Mandate>);

impl Mandates {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Lets go of those that ended long ago. Returns how many that were.
    fn drop_ended(&mut self, now_s: u32) -> u64 {
        let before = self.0.len();
        self.0.retain(|_, mandate| !mandate.is_past(now_s));
        (before - self.0.len()) as u64
    }

    /// Adds them to the image of a shard.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        put(out, (self.0.len() as u32).to_le_bytes());
        self.0.values().for_each(|mandate| put_mandate(mandate, out));
    }

    /// Reads them back.
    pub(super) fn take(&mut self, take: &mut Take<'_>) -> Result<(), ImageError> {
        for _ in 0..take.u32()? {
            let mandate = take_mandate(take)?;
            self.0.insert(mandate.sequence, mandate);
        }
        Ok(())
    }

    /// Adds everything to the state hash.
    pub(super) fn hash_into(&self, hash: &mut StateHash) {
        let mut bytes = Vec::new();
        for mandate in self.0.values() {
            bytes.clear();
            put_mandate(mandate, &mut bytes);
            hash.add_bytes(MANDATE_KIND, &bytes);
        }
    }
}

impl Shard {
    /// A mandate of a payer in a slot.
    #[must_use]
    pub fn mandate(&self, slot: Slot, mandate: Sequence) -> Option<&Mandate> {
        self.kept[self.slot_of(slot)].mandates.0.get(&mandate)
    }

    /// Those of a payer, oldest first.
    pub fn mandates_of(&self, payer: WalletId) -> impl Iterator<Item = &Mandate> {
        let slot = self.slot_of(Slot::of_wallet(payer));
        self.kept[slot].mandates.0.values().filter(move |mandate| mandate.terms.payer.wallet == payer)
    }

    /// Whether a slot lets go of a mandate with the next one that is given in it.
    #[must_use]
    pub fn forgets_mandate(&self, slot: Slot, now_s: u32) -> bool {
        self.kept[self.slot_of(slot)].mandates.0.values().any(|mandate| mandate.is_past(now_s))
    }

    pub(super) fn give_mandate(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &MandateGiven,
    ) -> Result<(), ApplyError> {
        let Side { wallet, account } = event.terms.payer;
        let found = self.account_for_verb(wallet, Some(account), event.terms.currency);
        found.ok_or(ApplyError::NoSuchAccount)?;
        let (at, now_s) = (self.slot_of(event.slot), time.seconds() as u32);
        self.kept_counts[2] -= self.kept[at].mandates.drop_ended(now_s);
        let mandate = Mandate {
            sequence,
            terms: event.terms,
            period: 0,
            used: 0,
            charges: 0,
            cancelled_s: 0,
            latest: Vec::new(),
        };
        self.kept[at].mandates.0.insert(sequence, mandate);
        self.kept_counts[2] += 1;
        self.remember_key(event.slot, &event.key, sequence);
        self.drop_kept(event.slot, now_s);
        Ok(())
    }

    pub(super) fn cancel_mandate(
        &mut self,
        time: Timestamp,
        event: &MandateCancelled,
    ) -> Result<(), ApplyError> {
        let at = self.slot_of(event.slot);
        let mandate = self.kept[at].mandates.0.get_mut(&event.mandate).ok_or(ApplyError::NoSuchMandate)?;
        mandate.cancelled_s = time.seconds() as u32;
        Ok(())
    }

    /// Counts a charge by a mandate of a payer in a slot.
    pub(super) fn charge_mandate(
        &mut self,
        slot: Slot,
        mandate: Sequence,
        charge: Charge,
    ) -> Result<(), ApplyError> {
        let at = self.slot_of(slot);
        let mandate = self.kept[at].mandates.0.get_mut(&mandate).ok_or(ApplyError::NoSuchMandate)?;
        mandate.charge(charge);
        Ok(())
    }
}

fn put_mandate(mandate: &Mandate, out: &mut Vec<u8>) {
    let Terms { payer, payee, currency, max, charges_max, period, until_s } = mandate.terms;
    put(out, mandate.sequence.0.to_le_bytes());
    [payer, payee].into_iter().for_each(|side| put_side(out, side));
    put(out, currency.numeric().to_le_bytes());
    put(out, max.to_le_bytes());
    put(out, charges_max.to_le_bytes());
    put(out, [period as u8]);
    put(out, until_s.to_le_bytes());
    put(out, mandate.period.to_le_bytes());
    put(out, mandate.used.to_le_bytes());
    put(out, mandate.charges.to_le_bytes());
    put(out, mandate.cancelled_s.to_le_bytes());
    put(out, [mandate.latest.len() as u8]);
    for charge in &mandate.latest {
        put(out, charge.sequence.0.to_le_bytes());
        put(out, charge.amount.to_le_bytes());
        put(out, charge.at_s.to_le_bytes());
    }
}

fn take_mandate(take: &mut Take<'_>) -> Result<Mandate, ImageError> {
    let sequence = take.sequence()?;
    let terms = Terms {
        payer: take.side()?,
        payee: take.side()?,
        currency: take.currency()?,
        max: take.i64()?,
        charges_max: take.u16()?,
        period: Period::from_code(take.u8()?).ok_or(ImageError::Value("period"))?,
        until_s: take.u32()?,
    };
    let (period, used, charges) = (take.u32()?, take.i64()?, take.u16()?);
    let cancelled_s = take.u32()?;
    let count = usize::from(take.u8()?);
    if count > CHARGES_SHOWN {
        return Err(ImageError::Value("charges"));
    }
    let mut latest = Vec::with_capacity(count);
    for _ in 0..count {
        latest.push(Charge { sequence: take.sequence()?, amount: take.i64()?, at_s: take.u32()? });
    }
    Ok(Mandate { sequence, terms, period, used, charges, cancelled_s, latest })
}
