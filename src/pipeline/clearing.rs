//! Posting of clearing records (R20), one after the other, from a thread that may wait: each is decided, journaled and
//! applied under its shard's lock like anything else.

use crate::authorizer::clear::Clearing;
use crate::authorizer::clear::Explanation;
use crate::domain::card::CardRef;
use crate::domain::cleared::Cleared;
use crate::domain::cleared::FilePosted;
use crate::domain::cleared::slot_of_file;
use crate::domain::clearing::Presentment;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::time::Now;
use crate::history::entry::Entry;
use crate::ledger::suspense::PostedFile;
use crate::ledger::suspense::Suspended;

use super::core::Pipeline;
use super::past::Unknown;
use super::recall::Keys;

/// What came of a clearing record.
#[derive(Clone, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly all are the large one, and a box would be an allocation"
)]
pub enum Posting {
    /// It was handled by this record of the journal, and why.
    Done(Sequence, Cleared, Explanation),
    /// This record of the journal had handled it before; nothing has changed.
    Again(Sequence),
    /// This table is full; nothing has changed.
    Full(&'static str),
    /// The journal is past its bounds or short of room; nothing has changed. Try again in a while.
    Later,
    /// The journal has failed.
    Failed,
}

impl Pipeline {
    /// Posts a clearing record, or finds that it was posted before. It is on disk once its record is.
    #[must_use]
    pub fn clear(&self, presentment: &Presentment, now: Now) -> Posting {
        if self.has_failed() {
            return Posting::Failed;
        }
        if !self.admits(now) || self.lags(now) {
            return Posting::Later;
        }
        let unknown = Slot::of_unknown_card(presentment.pan.masked());
        // The card may have been opened after the record came for the first time.
        if let Some(before) = self.lock(unknown).suspended_before(unknown, presentment.key().print()) {
            return Posting::Again(before);
        }
        let (shard, position) = self.locate(presentment.pan);
        let known = position.map(|position| shard.card(position));
        let before = known.and_then(|card| shard.cleared_before(card, presentment));
        let card = known.map(|card| card.reference);
        drop(shard);
        let posting = match (before, card) {
            (Some(before), _) => Posting::Again(before),
            (None, Some(card)) => self.clear_after_recall(presentment, card, now),
            (None, None) => self.clear_with(presentment, &[], now),
        };
        self.wake_writer();
        posting
    }

    /// Posts a record after bringing back what it may be about, itself in another file included (R9). Without a history
    /// that works it is posted by what is in memory.
    fn clear_after_recall(&self, presentment: &Presentment, card: CardRef, now: Now) -> Posting {
        let Some(past) = self.past.get().filter(|_| self.may_look()) else {
            return self.clear_with(presentment, &[], now);
        };
        let mut posting = Posting::Later;
        let searches = Keys::of_presentment(presentment).searches();
        let looked = past.look(self, card, &searches, &mut |entries| {
            posting = self.clear_with(presentment, &entries, now);
        });
        match looked {
            Ok(()) => {
                self.desk.count_look_up();
                posting
            }
            Err(Unknown::Full(_)) => Posting::Later,
            Err(Unknown::NotWorking | Unknown::Failed(_)) => {
                self.desk.count_failure();
                self.clear_with(presentment, &[], now)
            }
        }
    }

    /// Brings these entries of its card back and decides about a record, under one lock of the shard.
    fn clear_with(&self, presentment: &Presentment, entries: &[Entry], now: Now) -> Posting {
        let (mut shard, position) = self.locate(presentment.pan);
        if let Some(position) = position {
            shard.expect_card(position);
            let card = shard.card(position).reference;
            if self.bring_back(&mut shard, card, entries, &|_, _| true, now).short {
                let full = !shard.has_room_for_authorization(shard.card(position));
                return if full { Posting::Full("authorizations") } else { self.not_taken() };
            }
        }
        let card = position.map(|position| shard.card(position));
        match self.authorizer.clear(presentment, &shard, card) {
            Clearing::Again(before) => Posting::Again(before),
            Clearing::Full(table) => Posting::Full(table),
            Clearing::New(event, explanation) => match self.commit(&mut shard, &Event::Cleared(event), now) {
                Some((sequence, _)) => Posting::Done(sequence, event, explanation),
                None => self.not_taken(),
            },
        }
    }

    fn not_taken(&self) -> Posting {
        if self.has_failed() { Posting::Failed } else { Posting::Later }
    }

    /// Whether the disk is so far behind that clearing should wait: it can, and requests cannot.
    fn lags(&self, now: Now) -> bool {
        self.unsynced(now).records > self.policy().max_unsynced_records / 4
    }

    /// Notes how far the posting of a file has come. Everything that was posted before is on disk when this is. `None`
    /// when the journal takes nothing now.
    #[must_use]
    pub fn note_file(&self, posted: &FilePosted, now: Now) -> Option<Sequence> {
        let mut shard = self.lock(posted.slot);
        let committed = self.commit(&mut shard, &Event::FilePosted(*posted), now);
        drop(shard);
        self.wake_writer();
        committed.map(|(sequence, _)| sequence)
    }

    /// How far the posting of a file has come; `None` when it was never begun.
    #[must_use]
    pub fn posted_file(&self, checksum: u128) -> Option<PostedFile> {
        let slot = slot_of_file(checksum);
        self.lock(slot).posted_file(slot, checksum)
    }

    /// What waits on the suspense account, the oldest first, after a record, at most `most`; and how many there are in
    /// all.
    #[must_use]
    pub fn suspended(&self, after: Sequence, most: usize) -> (Vec<Suspended>, u64) {
        let (mut found, mut count) = (Vec::new(), 0);
        for shard in &self.shards {
            for entry in shard.lock().suspended() {
                count += 1;
                if entry.sequence > after {
                    found.push(*entry);
                }
            }
        }
        found.sort_unstable_by_key(|entry| entry.sequence);
        found.truncate(most);
        (found, count)
    }
}
