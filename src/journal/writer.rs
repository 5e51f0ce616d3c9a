//! The writer: stamps batches, writes them, and syncs once for all of them.

use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;
use crate::journal::batch::BATCH_HEADER_BYTES;
use crate::journal::batch::BLOCK_BYTES;
use crate::journal::batch::BatchHeader;
use crate::journal::buffer::Cut;
use crate::journal::buffer::Pending;
use crate::journal::buffer::Start;
use crate::journal::recover::Recovered;
use crate::journal::segment;
use crate::journal::segment::SEGMENT_BYTES_DEFAULT;
use crate::journal::segment::SEGMENT_BYTES_MIN;
use crate::journal::segment::SegmentHeader;
use crate::journal::storage::Storage;
use crate::journal::storage::StorageError;
use crate::journal::storage::StorageFile;

/// How the journal is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Bytes of a segment; at least [`SEGMENT_BYTES_MIN`].
    pub segment_bytes: u64,
    /// The epoch is at least this. Card numbers are sealed under (epoch, sequence): with the seconds of the wall
    /// clock here, two data directories that were made one after the other with the same key share no nonce.
    pub epoch_min: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { segment_bytes: SEGMENT_BYTES_DEFAULT, epoch_min: 1 }
    }
}

/// The journal cannot be written. It stays so until the daemon has started again from disk.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk did not do what was asked.
    #[error("the journal is closed for good: {0}; make the disk good and start again")]
    Storage(#[from] StorageError),
    /// All epochs are used up.
    #[error("the journal has used all of its 4,294,967,295 epochs")]
    EpochsUsedUp,
}

/// Writes batches to the current segment and owns it.
///
/// After the first failure it never touches a file again: once a sync has failed, the system may have dropped
/// what was to be written, and a later sync that succeeds proves nothing.
#[derive(Debug)]
pub struct Writer<S: Storage> {
    storage: S,
    file: S::File,
    segment_bytes: u64,
    fingerprint: [u8; 8],
    start: Start,
    /// The current segment's number.
    segment: u64,
    /// Where the next batch goes.
    at: u64,
    next_batch: u64,
    chain: u128,
    written: Sequence,
    time: Timestamp,
    durable: Sequence,
    durable_batch: u64,
    /// The highest batch that is marked as durable by a batch that is durable itself.
    marked_batch: u64,
    failed: Option<JournalError>,
}

impl<S: Storage> Writer<S> {
    /// Begins a new epoch after what was recovered: in a new segment, which is durable when this returns. The
    /// last recovered segment is cut where its batches end.
    ///
    /// # Errors
    /// The disk failed or is full, or no epoch is left.
    pub fn begin(
        storage: S,
        recovered: &Recovered,
        fingerprint: [u8; 8],
        settings: Settings,
    ) -> Result<Self, JournalError> {
        let epoch = recovered.epoch.checked_add(1).ok_or(JournalError::EpochsUsedUp)?;
        let epoch = epoch.max(settings.epoch_min);
        let number = recovered.segments.last().map_or(1, |last| last.header.number + 1);
        let header = SegmentHeader {
            partition: 0,
            epoch,
            number,
            first: recovered.last.next(),
            first_batch: recovered.last_batch + 1,
            chain: recovered.chain,
            fingerprint,
            recycled: false,
        };
        // The new header says that all before it is durable, so that has to be true first.
        if let Some(last) = recovered.segments.last() {
            segment::settle(&storage, last)?;
        }
        let file = segment::create(&storage, header)?;
        // Only now is the dead tail of no use to anyone.
        if let Some(last) = recovered.segments.last().filter(|last| last.end < last.length) {
            let mut file = storage.open(&segment::name(last.header.number))?;
            file.truncate(last.end)?;
            file.sync()?;
        }
        Ok(Self {
            storage,
            file,
            segment_bytes: settings.segment_bytes.max(SEGMENT_BYTES_MIN),
            fingerprint,
            start: Start { epoch, last: recovered.last, time: recovered.time },
            segment: number,
            at: BLOCK_BYTES as u64,
            next_batch: recovered.last_batch + 1,
            chain: recovered.chain,
            written: recovered.last,
            time: recovered.time,
            durable: recovered.last,
            durable_batch: recovered.last_batch,
            // The new segment's header continues it, which says as much as a mark.
            marked_batch: recovered.last_batch,
            failed: None,
        })
    }

    /// Where this epoch begins, for [`crate::journal::buffer::Buffer::new`].
    #[must_use]
    pub const fn start(&self) -> Start {
        self.start
    }

    /// The highest durable sequence.
    #[must_use]
    pub const fn durable(&self) -> Sequence {
        self.durable
    }

    /// The number of the current segment.
    #[must_use]
    pub const fn segment(&self) -> u64 {
        self.segment
    }

    /// Writes all that is pending and makes it durable: one write and one sync, unless a segment ends in between.
    /// Returns the highest durable sequence.
    ///
    /// # Errors
    /// The disk failed or is full, now or earlier: the writer stays closed.
    pub fn write(&mut self, pending: &mut Pending) -> Result<Sequence, JournalError> {
        self.unless_failed(|writer| writer.write_batches(pending))
    }

    /// Writes an empty batch, so that what is durable is also marked as durable; nothing when it is already. To
    /// be called when nothing is pending for a while: damage to the last batches is told from a torn tail then.
    ///
    /// # Errors
    /// The disk failed or is full, now or earlier: the writer stays closed.
    pub fn write_mark(&mut self) -> Result<Sequence, JournalError> {
        if self.marked_batch >= self.durable_batch {
            return self.failed.clone().map_or(Ok(self.durable), Err);
        }
        self.unless_failed(|writer| {
            let mut block = [0; BLOCK_BYTES];
            writer.make_room(BLOCK_BYTES)?;
            writer.stamp(&mut block[..BATCH_HEADER_BYTES], 0, writer.written.next());
            writer.put(&block)?;
            // A mark need not be marked itself, or an idle journal would grow for ever.
            writer.marked_batch = writer.durable_batch;
            Ok(())
        })
    }

    fn unless_failed(
        &mut self,
        work: impl FnOnce(&mut Self) -> Result<(), JournalError>,
    ) -> Result<Sequence, JournalError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        match work(self) {
            Ok(()) => Ok(self.durable),
            Err(error) => {
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }

    fn write_batches(&mut self, pending: &mut Pending) -> Result<(), JournalError> {
        let Pending { bytes, cuts, .. } = pending;
        let mut rest = cuts.as_slice();
        while let Some(first) = rest.first() {
            self.make_room((first.end - first.start).next_multiple_of(BLOCK_BYTES))?;
            let room = self.segment_bytes - self.at;
            let fits = |cut: &&Cut| (cut.end.next_multiple_of(BLOCK_BYTES) - first.start) as u64 <= room;
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            let mut end = first.start;
            for cut in now {
                self.written = Sequence(cut.first.0 + u64::from(cut.count) - 1);
                self.time = cut.time;
                self.stamp(&mut bytes[cut.start..cut.end], cut.count, cut.first);
                end = cut.end.next_multiple_of(BLOCK_BYTES);
            }
            self.put(&bytes[first.start..end])?;
            rest = later;
        }
        Ok(())
    }

    /// Writes the header of the next batch before its records.
    fn stamp(&mut self, batch: &mut [u8], count: u32, first: Sequence) {
        let header = BatchHeader {
            partition: 0,
            epoch: self.start.epoch,
            count,
            number: self.next_batch,
            first,
            time: self.time,
            durable: self.durable,
            durable_batch: self.durable_batch,
            body_bytes: (batch.len() - BATCH_HEADER_BYTES) as u32,
            chain: self.chain,
        };
        self.chain = header.stamp(batch, self.segment);
        self.next_batch += 1;
    }

    /// Writes stamped batches where the last ones ended, and makes them durable.
    fn put(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        self.file.write_at(self.at, bytes)?;
        self.file.sync()?;
        self.at += bytes.len() as u64;
        self.marked_batch = self.durable_batch;
        self.durable = self.written;
        self.durable_batch = self.next_batch - 1;
        Ok(())
    }

    /// Goes on in a new segment when this one has no room for so many bytes. All that is in this one is durable,
    /// and the new one's header says so by continuing it.
    fn make_room(&mut self, bytes: usize) -> Result<(), JournalError> {
        if self.at + bytes as u64 <= self.segment_bytes {
            return Ok(());
        }
        let header = SegmentHeader {
            partition: 0,
            epoch: self.start.epoch,
            number: self.segment + 1,
            first: self.written.next(),
            first_batch: self.next_batch,
            chain: self.chain,
            fingerprint: self.fingerprint,
            recycled: false,
        };
        self.file = segment::create(&self.storage, header)?;
        self.segment += 1;
        self.at = BLOCK_BYTES as u64;
        Ok(())
    }
}
