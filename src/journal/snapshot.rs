//! Snapshot files: images of shards, sealed, each as of one record.
//!
//! ```text
//! snapshots/00000007.snap   a whole snapshot: a header of 4,096 bytes, blocks, and a last block that ends it
//! snapshots/next.tmp        one that is being made; left over only by a crash
//!
//! block   0  checksum  u128  xxh3 seeded with the snapshot's number, over the rest of the block
//!         16 magic     "TPKS"
//!         20 part      u8    1 shard part, 2 wallets, 3 the end, 4 a link of the switch
//!         21 nothing   [3]
//!         24 index     u32   0, 1, 2 and so on
//!         28 length    u32   of the sealed body
//!         32 cut       u64   the body is of everything up to this record
//!         40 body            sealed
//! ```
//! A file has its name only after it was read back whole, and after the journal is durable up to its last cut: a
//! snapshot holds nothing that a crash could have undone. What it holds is the ledger's; here it is bytes.

use xxhash_rust::xxh3::Xxh3;

use crate::domain::event::Bounds;
use crate::domain::event::Configured;
use crate::domain::event::Seeded;
use crate::domain::event::Sequence;
use crate::domain::moved::KeysKept;
use crate::domain::seal::BlockSeal;
use crate::domain::seal::SALT_BYTES;
use crate::domain::seal::SEAL_BYTES;
use crate::domain::seal::SnapshotKeys;
use crate::domain::time::Timestamp;
use crate::journal::storage::Storage;
use crate::journal::storage::StorageError;
use crate::journal::storage::StorageFile;

/// The directory of snapshots.
pub const DIRECTORY: &str = "snapshots";
/// The format that is written, and the one that is read: the third counts a wallet's limits in 32 bits, and has time
/// zones; the fourth has products. Older ones are passed over, as damaged ones are, and the journal is read instead.
pub const SNAPSHOT_FORMAT: u16 = 4;
/// A block's body is at most this long before it is sealed.
pub const BODY_BYTES_MAX: usize = 256 << 20;

const MAGIC: [u8; 8] = *b"TPKSNAPS";
pub(crate) const BLOCK_MAGIC: [u8; 4] = *b"TPKS";
pub(crate) const HEADER_BYTES: usize = 4096;
const HEADER_CHECKSUM_AT: usize = HEADER_BYTES - 16;
pub(crate) const BLOCK_HEADER_BYTES: usize = 40;

/// What stands first in a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The number in its name.
    pub number: u64,
    /// Drawn for this snapshot alone.
    pub salt: [u8; SALT_BYTES],
    /// When it was begun.
    pub began: Timestamp,
    /// The configuration in force.
    pub configured: Configured,
    /// The last word about a seed file.
    pub seeded: Option<Seeded>,
}

/// A segment that the snapshot's journal has: by it a snapshot of another data directory is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Anchor {
    /// The segment's number.
    pub segment: u64,
    /// Its epoch.
    pub epoch: u32,
    /// Its first record.
    pub first: Sequence,
    /// The checksum of the batch before it.
    pub chain: u128,
}

/// What stands last: a file without it is not whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tail {
    /// The lowest cut: a start needs the journal's records after it.
    pub covered: Sequence,
    /// The highest cut: the journal reaches at least up to it.
    pub last: Sequence,
    /// Wallets in all.
    pub wallets: u64,
    /// The journal's segment that was being written when the copy was complete.
    pub anchor: Anchor,
}

/// What a block's body is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Part {
    /// What the slots of one shard have for themselves. It comes before their wallets.
    Shard = 1,
    /// Wallets of the shard before it.
    Wallets = 2,
    /// The tail.
    End = 3,
    /// What the switch keeps of one link: what is open.
    Trunk = 4,
    /// The rest of the same, in as many parts as it takes.
    TrunkMore = 5,
}

impl Part {
    fn of(code: u8) -> Option<Self> {
        [Self::Shard, Self::Wallets, Self::End, Self::Trunk, Self::TrunkMore]
            .into_iter()
            .find(|part| *part as u8 == code)
    }
}

/// Why a snapshot cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk did not do what was asked.
    #[error("{0}")]
    Storage(#[from] StorageError),
    /// Something else has the name of a snapshot.
    #[error("{file} is not a snapshot; move it out of the directory")]
    NotASnapshot {
        /// The file.
        file: String,
    },
    /// A newer version wrote it.
    #[error(
        "{file} has format {format}, which is newer than this turnpike reads; start the version that wrote it"
    )]
    NewerFormat {
        /// The file.
        file: String,
        /// Its format.
        format: u16,
    },
    /// A snapshot has the name of another.
    #[error("{file} is snapshot {number} by its header; give it back the name of that number")]
    Misnamed {
        /// The file.
        file: String,
        /// Its number.
        number: u64,
    },
    /// It was sealed with another key.
    #[error("{file} was written with another key; name the key file that this data directory was made with")]
    WrongKey {
        /// The file.
        file: String,
    },
    /// Its journal is another one.
    #[error(
        "{file} is a snapshot of another data directory: segment {segment} of its journal is not the one that is here; \
         move the snapshot out, or put its journal back"
    )]
    OtherJournal {
        /// The file.
        file: String,
        /// The segment that is not the same.
        segment: u64,
    },
    /// Its journal is not here.
    #[error(
        "{file} continues in {segment}, which is missing; put the journal's newest files back, or move it out"
    )]
    JournalMissing {
        /// The file.
        file: String,
        /// The segment's file.
        segment: String,
    },
    /// Something of it is missing or changed.
    #[error("{file} is damaged at offset {offset}: {what}")]
    Damaged {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What was found.
        what: &'static str,
    },
    /// What it holds does not fit.
    #[error("{file} cannot be taken: {cause}")]
    Unfit {
        /// The file.
        file: String,
        /// Why.
        cause: String,
    },
}

impl SnapshotError {
    /// Whether the file is damaged, so that an older snapshot may serve; anything else is for the operator to mend.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}

/// The name of a snapshot's file.
#[must_use]
pub fn name(number: u64) -> String {
    format!("{DIRECTORY}/{number:08}.snap")
}

/// The numbers of all snapshots, in order.
///
/// # Errors
/// The directory cannot be read.
pub fn list<S: Storage>(storage: &S) -> Result<Vec<u64>, StorageError> {
    let number = |name: &String| {
        let digits = name.strip_prefix(DIRECTORY)?.strip_prefix('/')?.strip_suffix(".snap")?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    let mut numbers: Vec<u64> = storage.list(DIRECTORY)?.iter().filter_map(number).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// Takes one body after the other, with its part and its cut; says why one cannot be taken.
pub type TakePart<'a> = dyn FnMut(Part, Sequence, &[u8]) -> Result<(), String> + 'a;

/// Reads a snapshot. Every block is checked and opened before it is handed on.
///
/// # Errors
/// It is damaged, foreign, or does not fit. What was handed on until then must not be used.
pub fn read<S: Storage>(
    storage: &S,
    number: u64,
    keys: &dyn SnapshotKeys,
    take: &mut TakePart<'_>,
) -> Result<(Head, Tail), SnapshotError> {
    read_file(storage, &name(number), number, keys, take)
}

/// Reads a snapshot's head alone.
///
/// # Errors
/// It is no snapshot, a damaged one, or of another key.
pub fn read_head<S: Storage>(
    storage: &S,
    number: u64,
    keys: &dyn SnapshotKeys,
) -> Result<Head, SnapshotError> {
    let file = name(number);
    read_header(&storage.open(&file)?, &file, number, keys)
}

/// Reads a snapshot's tail by walking over its blocks, without opening any but the last.
///
/// # Errors
/// It is damaged or foreign.
pub fn read_tail<S: Storage>(
    storage: &S,
    number: u64,
    keys: &dyn SnapshotKeys,
) -> Result<Tail, SnapshotError> {
    let name = name(number);
    let file = storage.open(&name)?;
    let head = read_header(&file, &name, number, keys)?;
    let mut blocks = Blocks { file: &file, name: &name, number, at: HEADER_BYTES as u64, index: 0 };
    let mut body = Vec::new();
    loop {
        let (part, length, _) = blocks.header()?.1;
        if part == Part::End as u8 {
            return blocks.next(&*keys.of_snapshot(&head.salt), &mut body).and_then(|_| blocks.tail(&body));
        }
        blocks.skip(length);
    }
}

/// What is done with a block, by its part alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// It is opened and handed on.
    Yes,
    /// It is passed over without a look at its body.
    No,
    /// Nothing more is wanted.
    Enough,
}

/// Reads some blocks of a snapshot: each is checked and opened before it is handed on, and what is not wanted costs a
/// look at its header. Whether the file is whole is not known then.
///
/// # Errors
/// It is damaged as far as it was read, foreign, or does not fit. What was handed on until then must not be used.
pub fn read_some<S: Storage>(
    storage: &S,
    number: u64,
    keys: &dyn SnapshotKeys,
    wants: &mut dyn FnMut(Part) -> Wanted,
    take: &mut TakePart<'_>,
) -> Result<Head, SnapshotError> {
    let name = name(number);
    let file = storage.open(&name)?;
    let head = read_header(&file, &name, number, keys)?;
    let seal = keys.of_snapshot(&head.salt);
    let mut blocks = Blocks { file: &file, name: &name, number, at: HEADER_BYTES as u64, index: 0 };
    let mut body = Vec::new();
    loop {
        let (part, length, _) = blocks.header()?.1;
        let part = Part::of(part).ok_or_else(|| blocks.damaged("a block is of no known part"))?;
        if part == Part::End {
            return Ok(head);
        }
        match wants(part) {
            Wanted::Enough => return Ok(head),
            Wanted::No => blocks.skip(length),
            Wanted::Yes => {
                let (part, cut) = blocks.next(&*seal, &mut body)?;
                take(part, cut, &body).map_err(|cause| SnapshotError::Unfit { file: name.clone(), cause })?;
            }
        }
    }
}

pub(crate) fn read_file<S: Storage>(
    storage: &S,
    name: &str,
    number: u64,
    keys: &dyn SnapshotKeys,
    take: &mut TakePart<'_>,
) -> Result<(Head, Tail), SnapshotError> {
    let file = storage.open(name)?;
    let head = read_header(&file, name, number, keys)?;
    let seal = keys.of_snapshot(&head.salt);
    let mut blocks = Blocks { file: &file, name, number, at: HEADER_BYTES as u64, index: 0 };
    let mut body = Vec::new();
    loop {
        let (part, cut) = blocks.next(&*seal, &mut body)?;
        if part == Part::End {
            let tail = blocks.tail(&body)?;
            return if blocks.at == file.length()? {
                Ok((head, tail))
            } else {
                Err(blocks.damaged("more follows its end"))
            };
        }
        take(part, cut, &body).map_err(|cause| SnapshotError::Unfit { file: name.to_owned(), cause })?;
    }
}

/// The blocks of a file, one after the other.
struct Blocks<'a, F> {
    file: &'a F,
    name: &'a str,
    number: u64,
    at: u64,
    index: u32,
}

/// A block's part, the length of its body, and its cut.
type Described = (u8, usize, Sequence);

impl<F: StorageFile> Blocks<'_, F> {
    fn damaged(&self, what: &'static str) -> SnapshotError {
        SnapshotError::Damaged { file: self.name.to_owned(), offset: self.at, what }
    }

    fn header(&self) -> Result<([u8; BLOCK_HEADER_BYTES], Described), SnapshotError> {
        let mut header = [0; BLOCK_HEADER_BYTES];
        if self.file.read_at(self.at, &mut header)? < BLOCK_HEADER_BYTES {
            return Err(self.damaged("it ends before its last block"));
        }
        let index = u32::from_le_bytes(part_of(&header, 24));
        if header[16..20] != BLOCK_MAGIC || index != self.index {
            return Err(self.damaged("no block begins where one should"));
        }
        let length = u32::from_le_bytes(part_of(&header, 28)) as usize;
        if !(SEAL_BYTES..=BODY_BYTES_MAX + SEAL_BYTES).contains(&length) {
            return Err(self.damaged("a block has a length that none has"));
        }
        let end = self.at + (BLOCK_HEADER_BYTES + length) as u64;
        if end > self.file.length()? {
            return Err(self.damaged("it ends in the middle of a block"));
        }
        Ok((header, (header[20], length, Sequence(u64::from_le_bytes(part_of(&header, 32))))))
    }

    fn skip(&mut self, length: usize) {
        self.at += (BLOCK_HEADER_BYTES + length) as u64;
        self.index += 1;
    }

    fn next(&mut self, seal: &dyn BlockSeal, body: &mut Vec<u8>) -> Result<(Part, Sequence), SnapshotError> {
        let (header, (part, length, cut)) = self.header()?;
        body.resize(length, 0);
        if self.file.read_at(self.at + BLOCK_HEADER_BYTES as u64, body)? < length {
            return Err(self.damaged("it ends in the middle of a block"));
        }
        if checksum(&header, body, self.number) != u128::from_le_bytes(part_of(&header, 0)) {
            return Err(self.damaged("a block does not fit its checksum"));
        }
        let part = Part::of(part).ok_or_else(|| self.damaged("a block is of no known part"))?;
        seal.open(self.index, body).ok_or_else(|| self.damaged("a block does not open"))?;
        self.skip(length);
        Ok((part, cut))
    }

    fn tail(&self, body: &[u8]) -> Result<Tail, SnapshotError> {
        let Some(body) = body.first_chunk::<TAIL_BYTES>() else {
            return Err(self.damaged("its last block is too short"));
        };
        let number = |at| u64::from_le_bytes(part_of(body, at));
        Ok(Tail {
            covered: Sequence(number(0)),
            last: Sequence(number(8)),
            wallets: number(16),
            anchor: Anchor {
                segment: number(24),
                first: Sequence(number(32)),
                epoch: u32::from_le_bytes(part_of(body, 40)),
                chain: u128::from_le_bytes(part_of(body, 44)),
            },
        })
    }
}

const TAIL_BYTES: usize = 60;

pub(crate) fn tail_body(tail: &Tail) -> [u8; TAIL_BYTES] {
    let mut body = [0; TAIL_BYTES];
    let numbers = [tail.covered.0, tail.last.0, tail.wallets, tail.anchor.segment, tail.anchor.first.0];
    for (place, number) in body.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    body[40..44].copy_from_slice(&tail.anchor.epoch.to_le_bytes());
    body[44..60].copy_from_slice(&tail.anchor.chain.to_le_bytes());
    body
}

pub(crate) fn header_block(head: &Head, fingerprint: [u8; 8]) -> Vec<u8> {
    let mut block = vec![0; HEADER_BYTES];
    block[..8].copy_from_slice(&MAGIC);
    block[8..10].copy_from_slice(&SNAPSHOT_FORMAT.to_le_bytes());
    block[16..24].copy_from_slice(&head.number.to_le_bytes());
    block[24..32].copy_from_slice(&fingerprint);
    block[32..64].copy_from_slice(&head.salt);
    block[64..72].copy_from_slice(&head.began.0.to_le_bytes());
    block[72..80].copy_from_slice(&head.configured.version.to_le_bytes());
    let Bounds {
        repeat_window_s,
        answers_per_slot,
        closed_per_slot,
        closed_window_s,
        authorizations_per_card,
    } = head.configured.bounds;
    let bounds =
        [repeat_window_s, answers_per_slot, closed_per_slot, closed_window_s, authorizations_per_card];
    for (place, bound) in block[80..100].chunks_exact_mut(4).zip(bounds) {
        place.copy_from_slice(&bound.to_le_bytes());
    }
    if let Some(seeded) = head.seeded {
        block[100] = 1 + u8::from(seeded.complete);
        block[101..109].copy_from_slice(&seeded.lines.to_le_bytes());
        block[109..125].copy_from_slice(&seeded.checksum.to_le_bytes());
    }
    block[125..129].copy_from_slice(&head.configured.keys.window_s.to_le_bytes());
    block[129..133].copy_from_slice(&head.configured.keys.since_s.to_le_bytes());
    let checksum = xxhash_rust::xxh3::xxh3_128(&block[..HEADER_CHECKSUM_AT]);
    block[HEADER_CHECKSUM_AT..].copy_from_slice(&checksum.to_le_bytes());
    block
}

fn read_header<F: StorageFile>(
    file: &F,
    name: &str,
    number: u64,
    keys: &dyn SnapshotKeys,
) -> Result<Head, SnapshotError> {
    let named = || name.to_owned();
    let damaged = |what| SnapshotError::Damaged { file: named(), offset: 0, what };
    let mut block = [0; HEADER_BYTES];
    if file.read_at(0, &mut block)? < HEADER_BYTES {
        return Err(damaged("it is shorter than its header"));
    }
    if block[..8] != MAGIC {
        return Err(SnapshotError::NotASnapshot { file: named() });
    }
    let format = u16::from_le_bytes(part_of(&block, 8));
    if format > SNAPSHOT_FORMAT {
        return Err(SnapshotError::NewerFormat { file: named(), format });
    }
    let checksum = xxhash_rust::xxh3::xxh3_128(&block[..HEADER_CHECKSUM_AT]);
    if format == 0 || checksum != u128::from_le_bytes(part_of(&block, HEADER_CHECKSUM_AT)) {
        return Err(damaged("its header does not fit its checksum"));
    }
    let found = u64::from_le_bytes(part_of(&block, 16));
    if format < SNAPSHOT_FORMAT {
        return Err(damaged("its format is older than this turnpike reads"));
    }
    if found != number {
        return Err(SnapshotError::Misnamed { file: named(), number: found });
    }
    if part_of::<8>(&block, 24) != keys.fingerprint() {
        return Err(SnapshotError::WrongKey { file: named() });
    }
    let bound = |n: usize| u32::from_le_bytes(part_of(&block, 80 + 4 * n));
    let bounds = Bounds {
        repeat_window_s: bound(0),
        answers_per_slot: bound(1),
        closed_per_slot: bound(2),
        closed_window_s: bound(3),
        authorizations_per_card: bound(4),
    };
    if bounds.answers_per_slot > Bounds::ANSWERS_PER_SLOT_MAX {
        return Err(damaged("its bounds are no possible ones"));
    }
    let seeded = (block[100] != 0).then(|| Seeded {
        complete: block[100] == 2,
        lines: u64::from_le_bytes(part_of(&block, 101)),
        checksum: u128::from_le_bytes(part_of(&block, 109)),
    });
    Ok(Head {
        number,
        salt: part_of(&block, 32),
        began: Timestamp(u64::from_le_bytes(part_of(&block, 64))),
        configured: Configured {
            version: u64::from_le_bytes(part_of(&block, 72)),
            bounds,
            // Zeros where it was not told yet.
            keys: KeysKept {
                window_s: u32::from_le_bytes(part_of(&block, 125)),
                since_s: u32::from_le_bytes(part_of(&block, 129)),
            },
        },
        seeded,
    })
}

pub(crate) fn checksum(header: &[u8; BLOCK_HEADER_BYTES], body: &[u8], number: u64) -> u128 {
    let mut hasher = Xxh3::with_seed(number);
    hasher.update(&header[16..]);
    hasher.update(body);
    hasher.digest128()
}

/// `N` bytes at a constant offset of something that is long enough.
fn part_of<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&bytes[at..at + N]);
    value
}
