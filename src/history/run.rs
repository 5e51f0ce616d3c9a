//! Runs: immutable files of rows in the order of their keys.
//!
//! ```text
//! 0        blocks of 16 KiB, see `block`
//! footer   first key of each block   u128 each
//!          filter by card            blocks of 64 bytes, see `filter`
//!          rewritten                 sequence u64 and version u64 each, by sequence
//!          trailer                   128 bytes:
//!   0   magic        "TPKHRUN1"
//!   8   format       u16
//!   10  kind         u8    1: its rows are authorizations; no other kind is read
//!   11  nothing      u8
//!   12  day          u32   days since 1970
//!   16  number       u64   of the run
//!   24  rows         u64
//!   32  blocks       u32
//!   36  filter       u32   its blocks
//!   40  rewritten    u64   how many
//!   48  cards        u64   how many different ones
//!   56  newest       u64   the highest sequence of an authorization's own record
//!   64  closed       u32   the first time of closing, then u32 the last, seconds since 1970
//!   72  last key     u128
//!   88  nothing      [24]
//!   112 checksum     u128  xxh3 seeded with the number, over the footer up to here
//! ```
//! A block is named by its run's number in its checksum, and the manifest names the footer's checksum, so that no file
//! passes for another.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::journal::storage::Storage;
use crate::journal::storage::StorageFile;

use super::block::BLOCK_BYTES;
use super::block::Block;
use super::entry::Day;
use super::error::HistoryError;
use super::filter;
use super::filter::Filter;

/// The directory of the history.
pub const DIRECTORY: &str = "history";
/// The only format so far.
pub(super) const RUN_FORMAT: u16 = 2;
pub(super) const MAGIC: [u8; 8] = *b"TPKHRUN1";
pub(super) const TRAILER_BYTES: usize = 128;
const CHECKSUM_AT: usize = TRAILER_BYTES - 16;
const KIND_AT: usize = 10;
/// What the rows are.
const AUTHORIZATIONS: u8 = 1;

/// What the manifest says of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Described {
    pub(super) number: u64,
    pub(super) day: Day,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Of the footer.
    pub(super) checksum: u128,
}

/// What is known of a run's rows without reading them.
#[derive(Debug)]
pub(super) struct Footer {
    pub(super) index: Vec<u128>,
    pub(super) filter: Filter,
    /// Rows of which an earlier version may be in the runs of another day: their sequences and versions.
    pub(super) again: Vec<(u64, u64)>,
    pub(super) cards: u64,
    pub(super) newest_made: u64,
    pub(super) closed_s: (u32, u32),
    pub(super) last_key: u128,
}

/// A run that can be read.
#[derive(Debug)]
pub(super) struct Run<F> {
    pub(super) file: F,
    pub(super) described: Described,
    pub(super) footer: Footer,
}

/// The name of a run's file.
pub(super) fn name(number: u64) -> String {
    format!("{DIRECTORY}/{number:08}.run")
}

impl Footer {
    /// The footer's bytes, with the checksum at the end.
    pub(super) fn write(&self, number: u64, day: Day, rows: u64) -> (Vec<u8>, u128) {
        let mut out = Vec::new();
        self.index.iter().for_each(|key| out.extend_from_slice(&key.to_le_bytes()));
        self.filter.write(&mut out);
        for (sequence, version) in &self.again {
            out.extend_from_slice(&sequence.to_le_bytes());
            out.extend_from_slice(&version.to_le_bytes());
        }
        let trailer = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&RUN_FORMAT.to_le_bytes());
        out.extend_from_slice(&[AUTHORIZATIONS, 0]);
        out.extend_from_slice(&day.0.to_le_bytes());
        out.extend_from_slice(&number.to_le_bytes());
        out.extend_from_slice(&rows.to_le_bytes());
        out.extend_from_slice(&(self.index.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.filter.blocks().to_le_bytes());
        for number in [self.again.len() as u64, self.cards, self.newest_made] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.closed_s.0.to_le_bytes());
        out.extend_from_slice(&self.closed_s.1.to_le_bytes());
        out.extend_from_slice(&self.last_key.to_le_bytes());
        out.resize(trailer + CHECKSUM_AT, 0);
        let checksum = xxh3_128_with_seed(&out, number);
        out.extend_from_slice(&checksum.to_le_bytes());
        (out, checksum)
    }

    /// Bytes of memory.
    fn resident(&self) -> u64 {
        16 * (self.index.len() + self.again.len()) as u64 + self.filter.bytes()
    }
}

impl<F: StorageFile> Run<F> {
    /// Opens the run that the manifest describes and reads its footer.
    pub(super) fn open<S: Storage<File = F>>(
        storage: &S,
        described: Described,
    ) -> Result<Self, HistoryError> {
        let name = name(described.number);
        let file = storage.open(&name)?;
        let footer = read_footer(&file, &name, &described)?;
        Ok(Self { file, described, footer })
    }

    pub(super) fn resident(&self) -> u64 {
        self.footer.resident()
    }

    pub(super) fn blocks(&self) -> u32 {
        self.footer.index.len() as u32
    }

    /// Whether a row with a key between these could be in here, as far as its ends tell.
    pub(super) fn reaches(&self, from: u128, to: u128) -> bool {
        let first = self.footer.index.first();
        first.is_some_and(|first| *first <= to) && from <= self.footer.last_key
    }

    /// The block in which a key is, if it is anywhere.
    pub(super) fn block_of(&self, key: u128) -> u32 {
        self.footer.index.partition_point(|first| *first <= key).saturating_sub(1) as u32
    }

    /// Reads a block into this memory and checks it.
    pub(super) fn read_block(&self, index: u32, mut bytes: Vec<u8>) -> Result<Block, HistoryError> {
        bytes.resize(BLOCK_BYTES, 0);
        let offset = u64::from(index) * BLOCK_BYTES as u64;
        let read = self.file.read_at(offset, &mut bytes)?;
        bytes.truncate(read);
        Block::read(bytes, self.described.number, index).map_err(|what| self.damaged(offset, what))
    }

    pub(super) fn damaged(&self, offset: u64, what: &'static str) -> HistoryError {
        HistoryError::Damaged { file: name(self.described.number), offset, what }
    }
}

fn read_footer<F: StorageFile>(file: &F, name: &str, described: &Described) -> Result<Footer, HistoryError> {
    let length = file.length()?;
    let trailer_at = length.saturating_sub(TRAILER_BYTES as u64);
    let damaged = |offset, what| HistoryError::Damaged { file: name.to_owned(), offset, what };
    if length != described.bytes {
        return Err(damaged(length.min(described.bytes), "it is not as long as the manifest says"));
    }
    let mut trailer = [0; TRAILER_BYTES];
    if file.read_at(trailer_at, &mut trailer)? < TRAILER_BYTES || trailer[..8] != MAGIC {
        return Err(damaged(trailer_at, "it does not end as a run does"));
    }
    let format = u16::from_le_bytes(part(&trailer, 8));
    if format > RUN_FORMAT {
        return Err(HistoryError::NewerFormat { file: name.to_owned(), format });
    }
    // The first had not what limits have counted.
    if format < RUN_FORMAT {
        return Err(damaged(trailer_at, "its format is older than this turnpike reads"));
    }
    let number = |at| u64::from_le_bytes(part(&trailer, at));
    let narrow = |at| u32::from_le_bytes(part(&trailer, at));
    let (blocks, filter_blocks, again) = (u64::from(narrow(32)), u64::from(narrow(36)), number(40));
    let lengths = [
        blocks.checked_mul(BLOCK_BYTES as u64 + 16),
        filter_blocks.checked_mul(filter::BLOCK_BYTES as u64),
        again.checked_mul(16),
        Some(TRAILER_BYTES as u64),
    ];
    let sum = lengths.into_iter().try_fold(0_u64, |sum, length| sum.checked_add(length?));
    if sum != Some(length) {
        return Err(damaged(trailer_at, "its parts do not make up its length"));
    }
    let start = blocks * BLOCK_BYTES as u64;
    let mut bytes = vec![0; (length - start) as usize];
    if file.read_at(start, &mut bytes)? < bytes.len() {
        return Err(damaged(start, "it ends in the middle of its footer"));
    }
    let checksum = xxh3_128_with_seed(&bytes[..bytes.len() - 16], described.number);
    let stored = u128::from_le_bytes(part(&trailer, CHECKSUM_AT));
    if checksum != stored || checksum != described.checksum {
        return Err(damaged(start, "its footer does not fit its checksum and the manifest"));
    }
    if trailer[KIND_AT] != AUTHORIZATIONS {
        return Err(damaged(trailer_at + KIND_AT as u64, "its rows are of a kind that is not known"));
    }
    let (index, rest) = bytes.split_at(16 * blocks as usize);
    let (filter, rest) = rest.split_at(filter_blocks as usize * filter::BLOCK_BYTES);
    let (again, _) = rest[..16 * again as usize].as_chunks::<16>();
    let half = |pair: &[u8; 16], at| u64::from_le_bytes(part(pair, at));
    Ok(Footer {
        index: index.as_chunks::<16>().0.iter().map(|key| u128::from_le_bytes(*key)).collect(),
        filter: Filter::read(filter),
        again: again.iter().map(|pair| (half(pair, 0), half(pair, 8))).collect(),
        cards: number(48),
        newest_made: number(56),
        closed_s: (narrow(64), narrow(68)),
        last_key: u128::from_le_bytes(part(&trailer, 72)),
    })
}

/// `N` bytes at a constant offset of something that is long enough.
pub(super) fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}
