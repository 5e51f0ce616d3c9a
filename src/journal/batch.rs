//! Batches: what is written and synced at once, and later what is replicated.
//!
//! ```text
//! 0  checksum           u128  xxh3 seeded with the segment's number, over the rest of the header and the body
//! 16 magic              "TPKB"
//! 20 format             u16
//! 22 partition          u16   0 until there are several
//! 24 epoch              u32
//! 28 count              u32   records; 0 in a mark
//! 32 number             u64   of the batch: 1, 2, 3 and so on through all segments
//! 40 first sequence     u64   of the first record, or the next one's in a mark
//! 48 time               u64   of the last record up to here
//! 56 durable sequence   u64   the mark: what was durable when this was written
//! 64 durable batch      u64   the same, as the number of a batch
//! 72 body length        u32
//! 76 nothing            u32   zero
//! 80 chain              u128  checksum of the batch before it
//! 96 body                     the records
//! ```
//!
//! A batch starts on a multiple of 4,096 bytes and is filled up with zeros to the next: a disk tears between
//! sectors of 512 bytes and the page cache works in pages of 4,096, so a write never touches a page that an
//! earlier batch lies in, and never has to read one first. The magic is not what makes a batch valid; the checksum
//! is. Its seed keeps what an earlier life of a recycled file left from being taken for this one's.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::domain::event::Sequence;
use crate::domain::time::Timestamp;

/// The most bytes of a batch, header and filling included.
pub const BATCH_BYTES_MAX: usize = 256 * 1024;
/// Batches start on multiples of this.
pub const BLOCK_BYTES: usize = 4096;
/// Bytes of a batch's header.
pub const BATCH_HEADER_BYTES: usize = 96;
/// The only format so far.
pub const BATCH_FORMAT: u16 = 1;

const MAGIC: [u8; 4] = *b"TPKB";
/// The checksum covers what comes after it.
const CHECKSUM_BYTES: usize = 16;

/// What stands before the records of a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// Which part of the slots; 0 until there are several.
    pub partition: u16,
    /// Rises at every start.
    pub epoch: u32,
    /// How many records; 0 in a mark.
    pub count: u32,
    /// 1, 2, 3 and so on through all segments.
    pub number: u64,
    /// Of the first record; of the next one in a mark.
    pub first: Sequence,
    /// Of the last record up to here.
    pub time: Timestamp,
    /// The highest sequence that was durable when this was written.
    pub durable: Sequence,
    /// The highest batch that was durable when this was written.
    pub durable_batch: u64,
    /// Bytes of all records.
    pub body_bytes: u32,
    /// The checksum of the batch before it.
    pub chain: u128,
}

/// Why a place in a segment holds no batch of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BatchFault {
    /// No batch was ever begun here.
    #[error("no batch begins here")]
    Absent,
    /// A length that no batch has, or one past the file's end.
    #[error("a batch begins here and is cut short")]
    Short,
    /// Not all of it was written, or something was changed since.
    #[error("the checksum does not fit")]
    Checksum,
    /// It was written by a newer version.
    #[error("its format is {0}, newer than this version of turnpike reads")]
    Format(u16),
}

impl BatchHeader {
    /// The last record's sequence; the one before `first` in a mark.
    #[must_use]
    pub const fn last(&self) -> Sequence {
        Sequence(self.first.0.wrapping_add(self.count as u64).wrapping_sub(1))
    }

    /// Bytes on disk, filling included.
    #[must_use]
    pub const fn bytes_on_disk(&self) -> usize {
        (BATCH_HEADER_BYTES + self.body_bytes as usize).next_multiple_of(BLOCK_BYTES)
    }

    /// Reads a header, without a look at its checksum. A format that is not known is not looked at either.
    ///
    /// # Errors
    /// No header is there, or one with a length that no batch has.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchFault> {
        let header = bytes.first_chunk::<BATCH_HEADER_BYTES>().ok_or(BatchFault::Short)?;
        if header[16..20] != MAGIC {
            return Err(BatchFault::Absent);
        }
        let parsed = Self {
            partition: u16::from_le_bytes(part(header, 22)),
            epoch: u32::from_le_bytes(part(header, 24)),
            count: u32::from_le_bytes(part(header, 28)),
            number: u64::from_le_bytes(part(header, 32)),
            first: Sequence(u64::from_le_bytes(part(header, 40))),
            time: Timestamp(u64::from_le_bytes(part(header, 48))),
            durable: Sequence(u64::from_le_bytes(part(header, 56))),
            durable_batch: u64::from_le_bytes(part(header, 64)),
            body_bytes: u32::from_le_bytes(part(header, 72)),
            chain: u128::from_le_bytes(part(header, 80)),
        };
        if parsed.body_bytes as usize > BATCH_BYTES_MAX - BATCH_HEADER_BYTES {
            return Err(BatchFault::Short);
        }
        Ok(parsed)
    }

    /// Checks the batch that `bytes` begin with, and returns its checksum. `bytes` are at least header and body.
    ///
    /// # Errors
    /// The checksum does not fit this segment, or the format is not known.
    pub fn check(&self, bytes: &[u8], segment: u64) -> Result<u128, BatchFault> {
        let end = BATCH_HEADER_BYTES + self.body_bytes as usize;
        let batch = bytes.get(..end).ok_or(BatchFault::Short)?;
        let stored = u128::from_le_bytes(part(batch, 0));
        if checksum(batch, segment) != stored {
            return Err(BatchFault::Checksum);
        }
        match u16::from_le_bytes(part(batch, 20)) {
            BATCH_FORMAT => Ok(stored),
            newer => Err(BatchFault::Format(newer)),
        }
    }

    /// Writes the header before a body that is in place already, and returns the checksum. `batch` is header and
    /// body, without the filling.
    pub fn stamp(&self, batch: &mut [u8], segment: u64) -> u128 {
        batch[16..20].copy_from_slice(&MAGIC);
        batch[20..22].copy_from_slice(&BATCH_FORMAT.to_le_bytes());
        batch[22..24].copy_from_slice(&self.partition.to_le_bytes());
        batch[24..28].copy_from_slice(&self.epoch.to_le_bytes());
        batch[28..32].copy_from_slice(&self.count.to_le_bytes());
        batch[32..40].copy_from_slice(&self.number.to_le_bytes());
        batch[40..48].copy_from_slice(&self.first.0.to_le_bytes());
        batch[48..56].copy_from_slice(&self.time.0.to_le_bytes());
        batch[56..64].copy_from_slice(&self.durable.0.to_le_bytes());
        batch[64..72].copy_from_slice(&self.durable_batch.to_le_bytes());
        batch[72..76].copy_from_slice(&self.body_bytes.to_le_bytes());
        batch[76..80].fill(0);
        batch[80..96].copy_from_slice(&self.chain.to_le_bytes());
        let checksum = checksum(batch, segment);
        batch[..CHECKSUM_BYTES].copy_from_slice(&checksum.to_le_bytes());
        checksum
    }
}

fn checksum(batch: &[u8], segment: u64) -> u128 {
    xxh3_128_with_seed(&batch[CHECKSUM_BYTES..], segment)
}

/// `N` bytes at a constant offset of a header that is long enough.
fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}
