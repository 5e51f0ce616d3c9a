//! Posting of clearing records (R20), one after the other, from a thread that may wait: each is decided, journaled and
//! applied under its shard's lock like anything else.

use crate::authorizer::clear::Clearing;
use crate::authorizer::clear::Explanation;
use crate::domain::cleared::Cleared;
use crate::domain::cleared::FilePosted;
use crate::domain::cleared::slot_of_file;
use crate::domain::clearing::Presentment;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::time::Now;
use crate::ledger::suspense::PostedFile;
use crate::ledger::suspense::Suspended;

use super::core::Pipeline;

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
        let (mut shard, position) = self.locate(presentment.pan);
        if let Some(position) = position {
            shard.expect_card(position);
        }
        let card = position.map(|position| shard.card(position));
        match self.authorizer.clear(presentment, &shard, card) {
            Clearing::Again(before) => Posting::Again(before),
            Clearing::Full(table) => Posting::Full(table),
            Clearing::New(event, explanation) => {
                let committed = self.commit(&mut shard, &Event::Cleared(event), now);
                drop(shard);
                self.wake_writer();
                match committed {
                    Some((sequence, _)) => Posting::Done(sequence, event, explanation),
                    None if self.has_failed() => Posting::Failed,
                    None => Posting::Later,
                }
            }
        }
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
