//! Segment files, and the spares that become the next ones.
//!
//! ```text
//! journal/00000001.seg     a segment: a header of 4,096 bytes, then batches
//! journal/spare-0001.seg   a file whose blocks are written already: zeros, or a segment that nothing needs
//! journal/next.tmp         a segment that is being made; left over only by a crash
//! ```
//!
//! Overwriting blocks that are written syncs about twice as fast as growing a file, so the next segment is made
//! from a spare when there is one. Its header is synced under the old name, then the name is changed and the
//! directory synced: a `.seg` file always has a whole header.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::domain::event::Sequence;
use crate::journal::batch::BATCH_BYTES_MAX;
use crate::journal::batch::BLOCK_BYTES;
use crate::journal::recover::RecoverError;
use crate::journal::storage::Storage;
use crate::journal::storage::StorageError;
use crate::journal::storage::StorageFile;
use crate::journal::walk::headers;
use crate::journal::walk::passed_by;

/// The directory of segments and spares.
pub const DIRECTORY: &str = "journal";
/// The size of a segment unless it is set.
pub const SEGMENT_BYTES_DEFAULT: u64 = 64 << 20;
/// The smallest size of a segment: some batches of full size must fit.
pub const SEGMENT_BYTES_MIN: u64 = 1 << 20;
const _: () = assert!(SEGMENT_BYTES_MIN >= (BLOCK_BYTES + BATCH_BYTES_MAX) as u64);

/// The only format so far.
pub const SEGMENT_FORMAT: u16 = 1;
const MAGIC: [u8; 8] = *b"TURNPIKE";
/// The header's checksum is the last thing in its block.
const CHECKSUM_AT: usize = BLOCK_BYTES - 16;
const UNFINISHED: &str = "journal/next.tmp";
/// How much of a spare is written between two syncs, so that the writer's own syncs do not wait long behind it.
const SPARE_STEP_BYTES: usize = 1 << 20;

/// What a segment's first block says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    /// Which part of the slots; 0 until there are several.
    pub partition: u16,
    /// The epoch of all its batches.
    pub epoch: u32,
    /// The number in its name.
    pub number: u64,
    /// The sequence of its first record.
    pub first: Sequence,
    /// The number of its first batch.
    pub first_batch: u64,
    /// The checksum of the last batch before it; zero when there is none.
    pub chain: u128,
    /// Tells which key card numbers are sealed with.
    pub fingerprint: [u8; 8],
    /// Made from a file that may hold what an earlier segment left.
    pub recycled: bool,
}

impl SegmentHeader {
    /// The first block of the file.
    #[must_use]
    pub fn block(&self) -> Vec<u8> {
        let mut block = vec![0; BLOCK_BYTES];
        block[..8].copy_from_slice(&MAGIC);
        block[8..10].copy_from_slice(&SEGMENT_FORMAT.to_le_bytes());
        block[10..12].copy_from_slice(&self.partition.to_le_bytes());
        block[12..16].copy_from_slice(&self.epoch.to_le_bytes());
        block[16..24].copy_from_slice(&self.number.to_le_bytes());
        block[24..32].copy_from_slice(&self.first.0.to_le_bytes());
        block[32..40].copy_from_slice(&self.first_batch.to_le_bytes());
        block[40..56].copy_from_slice(&self.chain.to_le_bytes());
        block[56..64].copy_from_slice(&self.fingerprint);
        block[64] = u8::from(self.recycled);
        let checksum = xxh3_128_with_seed(&block[..CHECKSUM_AT], 0);
        block[CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
        block
    }

    /// Reads the first block of `file`.
    ///
    /// # Errors
    /// It is no segment, a damaged one, one of a newer version, or has the name of another.
    pub fn read(bytes: &[u8], file: &str, number: u64) -> Result<Self, RecoverError> {
        let named = || file.to_owned();
        let Some(block) = bytes.first_chunk::<BLOCK_BYTES>() else {
            return Err(RecoverError::HeaderDamaged { file: named() });
        };
        if block[..8] != MAGIC {
            return Err(RecoverError::NotASegment { file: named() });
        }
        let format = u16::from_le_bytes([block[8], block[9]]);
        if format > SEGMENT_FORMAT {
            return Err(RecoverError::NewerFormat { file: named(), format });
        }
        let stored = u128::from_le_bytes(part(block, CHECKSUM_AT));
        if format != SEGMENT_FORMAT || xxh3_128_with_seed(&block[..CHECKSUM_AT], 0) != stored {
            return Err(RecoverError::HeaderDamaged { file: named() });
        }
        let header = Self {
            partition: u16::from_le_bytes(part(block, 10)),
            epoch: u32::from_le_bytes(part(block, 12)),
            number: u64::from_le_bytes(part(block, 16)),
            first: Sequence(u64::from_le_bytes(part(block, 24))),
            first_batch: u64::from_le_bytes(part(block, 32)),
            chain: u128::from_le_bytes(part(block, 40)),
            fingerprint: part(block, 56),
            recycled: block[64] != 0,
        };
        // No journal counts so far; what follows may add to them without a second thought.
        if header.first.0 == 0 || (header.first.0 | header.first_batch | header.number) >> 62 != 0 {
            return Err(RecoverError::HeaderDamaged { file: named() });
        }
        if header.number != number {
            return Err(RecoverError::Misnamed { file: named(), number: header.number });
        }
        Ok(header)
    }
}

/// `N` bytes at a constant offset of the block.
fn part<const N: usize>(block: &[u8; BLOCK_BYTES], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&block[at..at + N]);
    value
}

/// The name of a segment's file.
#[must_use]
pub fn name(number: u64) -> String {
    format!("{DIRECTORY}/{number:08}.seg")
}

fn spare_name(number: u64) -> String {
    format!("{DIRECTORY}/spare-{number:04}.seg")
}

fn number_between(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(DIRECTORY)?.strip_prefix(prefix)?.strip_suffix(".seg")?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// The numbers of all segments, in order.
///
/// # Errors
/// The directory cannot be read.
pub fn list<S: Storage>(storage: &S) -> Result<Vec<u64>, StorageError> {
    numbers(storage, "/")
}

fn numbers<S: Storage>(storage: &S, prefix: &str) -> Result<Vec<u64>, StorageError> {
    let names = storage.list(DIRECTORY)?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_between(name, prefix)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// How many spares are ready.
///
/// # Errors
/// The directory cannot be read.
pub fn spares<S: Storage>(storage: &S) -> Result<usize, StorageError> {
    numbers(storage, "/spare-").map(|numbers| numbers.len())
}

/// Makes one spare of `bytes` zeros. This writes and syncs all of them, so it is done in the background, by one
/// thread at a time; a writer may take spares meanwhile.
///
/// # Errors
/// The disk failed or is full. The journal itself is not touched.
pub fn make_spare<S: Storage>(storage: &S, bytes: u64) -> Result<(), StorageError> {
    const UNFINISHED_SPARE: &str = "journal/spare.tmp";
    let number = numbers(storage, "/spare-")?.last().map_or(1, |last| last + 1);
    if let Err(error) = write_zeros(storage, UNFINISHED_SPARE, bytes) {
        // On a full disk the journal needs the room more than a half-made spare does.
        let _ = storage.remove(UNFINISHED_SPARE);
        return Err(error);
    }
    storage.rename(UNFINISHED_SPARE, &spare_name(number))?;
    storage.sync_directory(DIRECTORY)
}

fn write_zeros<S: Storage>(storage: &S, name: &str, bytes: u64) -> Result<(), StorageError> {
    let mut file = create_anew(storage, name)?;
    let zeros = vec![0; SPARE_STEP_BYTES];
    let mut at = 0;
    while at < bytes {
        let step = (bytes - at).min(SPARE_STEP_BYTES as u64);
        file.write_at(at, &zeros[..step as usize])?;
        file.sync()?;
        at += step;
    }
    Ok(())
}

/// Makes the segment of this header, from a spare if one is ready, and syncs it, then its name. The `recycled` of
/// the header is set here. Returns the open file.
///
/// # Errors
/// The disk failed or is full; the segment may or may not be there.
pub fn create<S: Storage>(storage: &S, header: SegmentHeader) -> Result<S::File, StorageError> {
    let spare = numbers(storage, "/spare-")?.first().map(|number| spare_name(*number));
    let (mut file, from, recycled) = match spare {
        Some(spare) => {
            let file = storage.open(&spare)?;
            let mut start = [0; 8];
            let recycled = file.read_at(0, &mut start)? > 0 && start != [0; 8];
            (file, spare, recycled)
        }
        None => (create_anew(storage, UNFINISHED)?, UNFINISHED.to_owned(), false),
    };
    file.write_at(0, &SegmentHeader { recycled, ..header }.block())?;
    file.sync()?;
    storage.rename(&from, &name(header.number))?;
    storage.sync_directory(DIRECTORY)?;
    // Opened again, so that errors name the segment.
    storage.open(&name(header.number))
}

/// Creates a file in place of what a crash may have left under its name.
fn create_anew<S: Storage>(storage: &S, name: &str) -> Result<S::File, StorageError> {
    if storage.list(DIRECTORY)?.iter().any(|found| found == name) {
        storage.remove(name)?;
    }
    storage.create(name)
}

/// One segment as recovery found it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segment {
    /// What its first block says.
    pub header: SegmentHeader,
    /// Its last record; the one before its first when it has none.
    pub last: Sequence,
    /// Where its batches begin that no later one marks as durable.
    pub unmarked: u64,
    /// Where its batches end.
    pub end: u64,
    /// The file's length.
    pub length: u64,
}

/// The header of one segment; `None` when there is no such file.
///
/// # Errors
/// The disk failed, or the file is damaged or no segment.
pub fn header<S: Storage>(storage: &S, number: u64) -> Result<Option<SegmentHeader>, RecoverError> {
    if !list(storage)?.contains(&number) {
        return Ok(None);
    }
    let file = name(number);
    let mut block = vec![0; BLOCK_BYTES];
    let read = storage.open(&file)?.read_at(0, &mut block)?;
    SegmentHeader::read(&block[..read], &file, number).map(Some)
}

/// All segments by their headers alone. The last one may be growing: where it ends is not known.
///
/// # Errors
/// The disk failed, or a segment is missing or damaged.
pub fn survey<S: Storage>(storage: &S) -> Result<Vec<Segment>, RecoverError> {
    let headers = headers(storage, None)?;
    let mut segments = Vec::with_capacity(headers.len());
    for (index, header) in headers.iter().enumerate() {
        segments.push(match headers.get(index + 1) {
            Some(next) => passed_by(storage, *header, next)?,
            None => Segment { header: *header, last: Sequence(u64::MAX), unmarked: 0, end: 0, length: 0 },
        });
    }
    Ok(segments)
}

/// Writes the batches of a recovered segment once more that no later one marks as durable, and syncs them. That they
/// could be read proves nothing: after a failed sync the system reads from memory what it will never write, and a sync
/// alone would succeed without it. The bytes stay the same, so that a crash meanwhile tears no more than one before.
///
/// # Errors
/// The disk failed. What was durable before still is.
pub fn settle<S: Storage>(storage: &S, segment: &Segment) -> Result<(), StorageError> {
    const STEP_BYTES: u64 = 1 << 20;
    let mut at = segment.unmarked;
    if at >= segment.end {
        return Ok(());
    }
    let mut file = storage.open(&name(segment.header.number))?;
    let mut bytes = vec![0; STEP_BYTES.min(segment.end - at) as usize];
    while at < segment.end {
        let step = STEP_BYTES.min(segment.end - at) as usize;
        match file.read_at(at, &mut bytes[..step])? {
            0 => break,
            read => {
                file.write_at(at, &bytes[..read])?;
                at += read as u64;
            }
        }
    }
    file.sync()
}

/// Turns segments whose records are all covered by snapshots into spares, oldest first; what is too short to be
/// one, or more than `spares_max`, is removed. The last segment stays. Returns how many were released.
///
/// # Errors
/// The disk failed; what was released before stays released.
pub fn release<S: Storage>(
    storage: &S,
    segments: &[Segment],
    covered: Sequence,
    segment_bytes: u64,
    spares_max: usize,
) -> Result<usize, StorageError> {
    let mut spares = numbers(storage, "/spare-")?;
    let but_last = segments.split_last().map_or(segments, |(_, before)| before);
    let mut released = 0;
    for segment in but_last.iter().take_while(|segment| segment.last <= covered) {
        let file = name(segment.header.number);
        // One that grew until it was full ends where the next batch did not fit.
        if segment.length >= segment_bytes - segment_bytes / 4 && spares.len() < spares_max {
            let number = spares.last().map_or(1, |last| last + 1);
            storage.rename(&file, &spare_name(number))?;
            spares.push(number);
        } else {
            storage.remove(&file)?;
        }
        // One name at a time: after a crash the oldest are gone, never one from the middle.
        storage.sync_directory(DIRECTORY)?;
        released += 1;
    }
    Ok(released)
}
