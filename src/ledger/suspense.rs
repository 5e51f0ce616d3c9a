//! What clearing has paid and no wallet could take, and which clearing files were posted (R20). Both belong to a slot,
//! so that they depend on no number of shards; there are few of them, and no decision reads them.

use std::collections::BTreeMap;

use crate::domain::card::CardIdentity;
use crate::domain::card::MaskedPan;
use crate::domain::cleared::Clearance;
use crate::domain::cleared::Cleared;
use crate::domain::cleared::FilePosted;
use crate::domain::cleared::RecordPrint;
use crate::domain::clearing::Arn;
use crate::domain::event::Sequence;
use crate::domain::money::Money;
use crate::domain::party::NameId;
use crate::domain::party::Slot;
use crate::domain::time::Timestamp;

use super::apply::ApplyError;
use super::image::put;
use super::restore::ImageError;
use super::restore::Take;
use super::shard::Shard;
use super::state_hash::StateHash;

/// Most records of one slot that wait on the suspense account.
pub const SUSPENDED_PER_SLOT_MAX: usize = 1_024;
/// How long it is known that a file was posted.
const FILE_KEPT_S: u64 = 400 * 86_400;

/// A clearing record whose amount waits on the suspense account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Suspended {
    /// The record of the journal.
    pub sequence: Sequence,
    /// The network that the file was from.
    pub network: NameId,
    /// The acquirer's name for it.
    pub arn: Arn,
    /// The card number, masked.
    pub card: MaskedPan,
    /// What left the suspense account for settlement; negative when it got it.
    pub amount: Money,
    /// Why no wallet could take it.
    pub outcome: Clearance,
    /// When, seconds since 1970.
    pub since_s: u32,
}

/// A clearing file that was posted, or is being posted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PostedFile {
    /// Presentments and reversals that are done.
    pub records: u64,
    /// How many there are.
    pub of: u64,
    /// When that was, seconds since 1970.
    pub changed_s: u32,
}

/// Both, by slot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Filed {
    suspended: BTreeMap<(Slot, RecordPrint), Suspended>,
    files: BTreeMap<(Slot, u128), PostedFile>,
}

impl Filed {
    fn of_slot<K: Copy + Ord, V>(
        all: &BTreeMap<(Slot, K), V>,
        slot: Slot,
        (least, most): (K, K),
    ) -> impl Iterator<Item = (&(Slot, K), &V)> {
        all.range((slot, least)..=(slot, most))
    }

    fn suspended_of(&self, slot: Slot) -> impl Iterator<Item = (&(Slot, RecordPrint), &Suspended)> {
        Self::of_slot(&self.suspended, slot, (RecordPrint(0), RecordPrint(u128::MAX)))
    }

    fn files_of(&self, slot: Slot) -> impl Iterator<Item = (&(Slot, u128), &PostedFile)> {
        Self::of_slot(&self.files, slot, (0, u128::MAX))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.suspended.is_empty() && self.files.is_empty()
    }
}

impl Shard {
    /// The record by which a clearing record's amount was put on the suspense account before.
    #[must_use]
    pub fn suspended_before(&self, slot: Slot, record: RecordPrint) -> Option<Sequence> {
        self.filed.suspended.get(&(slot, record)).map(|suspended| suspended.sequence)
    }

    /// Whether one more record of a slot may wait on the suspense account.
    #[must_use]
    pub fn has_room_to_suspend(&self, slot: Slot) -> bool {
        self.filed.suspended_of(slot).count() < SUSPENDED_PER_SLOT_MAX
    }

    /// What waits on the suspense account, by slot.
    pub fn suspended(&self) -> impl Iterator<Item = &Suspended> {
        self.filed.suspended.values()
    }

    /// How far the posting of a file has come; `None` when it was never begun.
    #[must_use]
    pub fn posted_file(&self, slot: Slot, checksum: u128) -> Option<PostedFile> {
        self.filed.files.get(&(slot, checksum)).copied()
    }

    /// Puts a record's amount on the suspense account.
    pub(super) fn suspend(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &Cleared,
    ) -> Result<(), ApplyError> {
        if !self.has_room_to_suspend(event.slot) {
            return Err(ApplyError::Full("suspense"));
        }
        let card = match event.card {
            CardIdentity::Unknown(card) => card,
            CardIdentity::Known(_) => self.cards.at(self.position_of(event.card)?).masked(),
        };
        let amount = Money::new(event.posted, event.posted_in);
        let suspended = Suspended {
            sequence,
            network: event.network,
            arn: event.arn,
            card,
            amount,
            outcome: event.outcome,
            since_s: time.seconds() as u32,
        };
        if self.filed.suspended.insert((event.slot, event.key(card).print()), suspended).is_some() {
            return Err(ApplyError::AlreadyOpen);
        }
        let totals = self.totals_mut(amount.currency);
        totals.suspense -= i128::from(amount.minor);
        totals.settlement += i128::from(amount.minor);
        Ok(())
    }

    /// Notes how far the posting of a file has come, and lets go of what is known of old ones.
    pub(super) fn file_posted(&mut self, time: Timestamp, event: &FilePosted) {
        let now_s = time.seconds();
        let old = |file: &PostedFile| u64::from(file.changed_s) + FILE_KEPT_S < now_s;
        self.filed.files.retain(|(slot, _), file| *slot != event.slot || !old(file));
        let file = PostedFile { records: event.records, of: event.of, changed_s: now_s as u32 };
        self.filed.files.insert((event.slot, event.checksum), file);
    }

    /// Adds what a slot knows of both to the image of a shard.
    pub(super) fn put_filed(&self, slot: Slot, out: &mut Vec<u8>) {
        put(out, (self.filed.suspended_of(slot).count() as u32).to_le_bytes());
        for ((_, RecordPrint(print)), entry) in self.filed.suspended_of(slot) {
            put(out, print.to_le_bytes());
            put_suspended(entry, out);
        }
        put(out, (self.filed.files_of(slot).count() as u32).to_le_bytes());
        for ((_, checksum), file) in self.filed.files_of(slot) {
            put(out, checksum.to_le_bytes());
            put_file(file, out);
        }
    }

    /// Reads it back.
    pub(super) fn take_filed(&mut self, take: &mut Take<'_>, slot: Slot) -> Result<(), ImageError> {
        for _ in 0..take.u32()? {
            let print = RecordPrint(take.u128()?);
            let entry = take_suspended(take)?;
            let totals = self.totals_mut(entry.amount.currency);
            totals.suspense -= i128::from(entry.amount.minor);
            self.filed.suspended.insert((slot, print), entry);
        }
        for _ in 0..take.u32()? {
            let checksum = take.u128()?;
            let file = PostedFile { records: take.u64()?, of: take.u64()?, changed_s: take.u32()? };
            self.filed.files.insert((slot, checksum), file);
        }
        Ok(())
    }

    /// Adds both to the state hash.
    pub(super) fn hash_filed(&self, hash: &mut StateHash) {
        let mut bytes = Vec::new();
        for ((_, RecordPrint(print)), entry) in &self.filed.suspended {
            bytes.clear();
            put(&mut bytes, print.to_le_bytes());
            put_suspended(entry, &mut bytes);
            hash.add_bytes(SUSPENDED_KIND, &bytes);
        }
        for ((_, checksum), file) in &self.filed.files {
            bytes.clear();
            put(&mut bytes, checksum.to_le_bytes());
            put_file(file, &mut bytes);
            hash.add_bytes(FILE_KIND, &bytes);
        }
    }

    /// Checks that the suspense accounts are the sums of what waits on them.
    ///
    /// # Errors
    /// The first currency that differs, in words.
    pub(super) fn audit_suspense(&self) -> Result<(), String> {
        for totals in &self.totals {
            let of_currency = self.suspended().filter(|entry| entry.amount.currency == totals.currency);
            let waits: i128 = of_currency.map(|entry| i128::from(entry.amount.minor)).sum();
            if totals.suspense != -waits {
                let (currency, suspense) = (totals.currency, totals.suspense);
                return Err(format!("currency {currency}: {suspense} on suspense, {waits} waits there"));
            }
        }
        Ok(())
    }
}

/// How both are told apart in the state hash from what else is in it.
const SUSPENDED_KIND: u8 = 32;
const FILE_KIND: u8 = 33;

fn put_suspended(entry: &Suspended, out: &mut Vec<u8>) {
    let (first6, last4, digits) = entry.card.parts();
    put(out, entry.sequence.0.to_le_bytes());
    put(out, entry.network.0.to_le_bytes());
    put(out, entry.arn.packed());
    put(out, first6.to_le_bytes());
    put(out, last4.to_le_bytes());
    put(out, [digits]);
    put(out, entry.amount.minor.to_le_bytes());
    put(out, entry.amount.currency.numeric().to_le_bytes());
    put(out, [entry.outcome as u8]);
    put(out, entry.since_s.to_le_bytes());
}

fn take_suspended(take: &mut Take<'_>) -> Result<Suspended, ImageError> {
    Ok(Suspended {
        sequence: take.sequence()?,
        network: NameId(take.u32()?),
        arn: Arn::from_packed(take.bytes()?).ok_or(ImageError::Value("acquirer reference"))?,
        card: MaskedPan::new(take.u32()?, take.u16()?, take.u8()?),
        amount: {
            let minor = take.i64()?;
            Money::new(minor, take.currency()?)
        },
        outcome: Clearance::from_code(take.u8()?).ok_or(ImageError::Value("outcome"))?,
        since_s: take.u32()?,
    })
}

fn put_file(file: &PostedFile, out: &mut Vec<u8>) {
    put(out, file.records.to_le_bytes());
    put(out, file.of.to_le_bytes());
    put(out, file.changed_s.to_le_bytes());
}
