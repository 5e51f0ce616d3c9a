//! The memory that records are appended to, and that the writer takes.
//!
//! Records are laid out as they will stand on disk, with room for each batch's header before its records, so the
//! writer only stamps the headers and hands the bytes to the disk: nothing is copied in between.

use std::fmt;
use std::mem;

use crate::domain::card::PanSeal;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;
use crate::journal::batch::BATCH_BYTES_MAX;
use crate::journal::batch::BATCH_HEADER_BYTES;
use crate::journal::batch::BLOCK_BYTES;
use crate::journal::record::RECORD_BYTES_MAX;
use crate::journal::record::encode;

/// Where an epoch begins: what the first batch and record of it follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// The epoch that begins.
    pub epoch: u32,
    /// The last record before it; zero when there is none.
    pub last: Sequence,
    /// That record's time.
    pub time: Timestamp,
}

/// No room: as many records wait for the writer as may.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the journal's buffer is full: the disk does not keep up")]
pub struct Full;

/// One batch of what is pending.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// Where its header begins.
    pub(crate) start: usize,
    /// Where its records end; the filling follows.
    pub(crate) end: usize,
    pub(crate) count: u32,
    pub(crate) first: Sequence,
    /// Of its last record.
    pub(crate) time: Timestamp,
}

/// Records on their way from the buffer to the disk.
pub struct Pending {
    /// Zeroed once; later content is overwritten, so that appending never grows anything.
    pub(crate) bytes: Box<[u8]>,
    pub(crate) cuts: Vec<Cut>,
    records: usize,
    records_max: usize,
}

impl Pending {
    /// Room for this many records.
    #[must_use]
    pub fn new(records_max: usize) -> Self {
        // A batch is closed when one more record of full size might not fit.
        let batches = records_max / ((BATCH_BYTES_MAX - BATCH_HEADER_BYTES) / RECORD_BYTES_MAX - 1) + 1;
        let bytes = records_max * RECORD_BYTES_MAX + (batches + 1) * (BLOCK_BYTES + RECORD_BYTES_MAX);
        Self {
            bytes: vec![0; bytes.next_multiple_of(BLOCK_BYTES)].into_boxed_slice(),
            cuts: Vec::with_capacity(batches + 1),
            records: 0,
            records_max,
        }
    }

    /// How many records are in it.
    #[must_use]
    pub const fn records(&self) -> usize {
        self.records
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Forgets what is in it.
    fn clear(&mut self) {
        self.cuts.clear();
        self.records = 0;
    }

    /// Fills the last batch up with zeros to the next block, and returns where that begins.
    fn close(&mut self) -> usize {
        let Some(last) = self.cuts.last() else { return 0 };
        let next = last.end.next_multiple_of(BLOCK_BYTES);
        self.bytes[last.end..next].fill(0);
        next
    }

    fn open(&mut self, first: Sequence) {
        let start = self.close();
        let end = start + BATCH_HEADER_BYTES;
        self.cuts.push(Cut { start, end, count: 0, first, time: Timestamp::default() });
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pending").field("records", &self.records).finish_non_exhaustive()
    }
}

/// The journal's memory: records are appended in the order in which they were applied.
#[derive(Debug)]
pub struct Buffer {
    filling: Pending,
    epoch: u32,
    next: Sequence,
    time: Timestamp,
}

impl Buffer {
    /// An empty buffer for `records_max` records, whose first record follows `start`.
    #[must_use]
    pub fn new(start: Start, records_max: usize) -> Self {
        Self {
            filling: Pending::new(records_max),
            epoch: start.epoch,
            next: start.last.next(),
            time: start.time,
        }
    }

    /// Appends one record and returns its sequence and its time: `now`, or that of the record before it when the
    /// clock went back.
    ///
    /// # Errors
    /// There is no room; nothing has changed.
    #[inline]
    pub fn append(
        &mut self,
        event: &Event,
        now: Timestamp,
        seal: &dyn PanSeal,
    ) -> Result<(Sequence, Timestamp), Full> {
        let filling = &mut self.filling;
        if filling.records == filling.records_max {
            return Err(Full);
        }
        let is_full = |cut: &Cut| cut.end - cut.start + RECORD_BYTES_MAX > BATCH_BYTES_MAX;
        if filling.cuts.last().is_none_or(is_full) {
            filling.open(self.next);
        }
        let Pending { bytes, cuts, records, .. } = filling;
        let cut = cuts.last_mut().ok_or(Full)?;
        let out = bytes.get_mut(cut.end..).and_then(<[u8]>::first_chunk_mut).ok_or(Full)?;
        let (sequence, time) = (self.next, now.max(self.time));
        cut.end += encode(event, time, sequence, self.epoch, seal, out);
        cut.count += 1;
        cut.time = time;
        *records += 1;
        self.time = time;
        self.next = sequence.next();
        Ok((sequence, time))
    }

    /// Takes out all that was appended, and goes on with the memory of `spare`, which is forgotten. Nothing is
    /// copied or allocated.
    pub fn take(&mut self, spare: &mut Pending) {
        self.filling.close();
        spare.clear();
        mem::swap(&mut self.filling, spare);
    }

    /// Memory of the same size, to be swapped with in [`Buffer::take`].
    #[must_use]
    pub fn spare(&self) -> Pending {
        Pending::new(self.filling.records_max)
    }

    /// The last record that was appended.
    #[must_use]
    pub const fn last(&self) -> Sequence {
        Sequence(self.next.0 - 1)
    }

    /// Whether nothing waits to be taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.filling.is_empty()
    }

    /// How many records wait to be taken.
    #[must_use]
    pub const fn records(&self) -> usize {
        self.filling.records()
    }
}
