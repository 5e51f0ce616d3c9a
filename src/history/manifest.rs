//! The manifest: which runs count, and up to which record of the journal they hold everything.
//!
//! ```text
//! 0   magic         "TPKHIST1"
//! 8   format        u16
//! 10  nothing       [6]
//! 16  number        u64   the one in its name
//! 24  contained to  u64   the record
//! 32  first day     u32   earlier ones were let go of
//! 36  runs          u32   how many
//! 40  next run      u64   the number of the next run
//! 48  runs                48 bytes each: number u64, rows u64, bytes u64, the footer's checksum u128, day u32,
//!                         nothing [4]
//!     checksum      u128  xxh3 seeded with the number, over all before it
//! ```
//! It is written whole under another name and synced, then renamed, then the directory is synced: a power failure
//! leaves this one or the one before.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::domain::event::Sequence;
use crate::journal::storage::Storage;
use crate::journal::storage::StorageError;
use crate::journal::storage::StorageFile;

use super::entry::Day;
use super::error::HistoryError;
use super::run::DIRECTORY;
use super::run::Described;
use super::run::part;

/// The only format so far.
const MANIFEST_FORMAT: u16 = 1;
const MAGIC: [u8; 8] = *b"TPKHIST1";
const HEADER_BYTES: usize = 48;
const RUN_BYTES: usize = 48;
const CHECKSUM_BYTES: usize = 16;
pub(super) const UNFINISHED: &str = "history/next.tmp";

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Manifest {
    pub(super) number: u64,
    pub(super) contained_to: Sequence,
    pub(super) first_day: Day,
    pub(super) next_run: u64,
    pub(super) runs: Vec<Described>,
}

/// The name of a manifest's file.
pub(super) fn name(number: u64) -> String {
    format!("{DIRECTORY}/{number:08}.manifest")
}

/// What a name in the directory stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Named {
    Manifest(u64),
    Run(u64),
    Unfinished,
    /// Not ours; it is left alone.
    Other,
}

pub(super) fn named(name: &str) -> Named {
    let number = |digits: &str| {
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
    };
    if name == UNFINISHED {
        return Named::Unfinished;
    }
    let file = name.strip_prefix(DIRECTORY).and_then(|name| name.strip_prefix('/'));
    match file.and_then(|file| file.split_once('.')) {
        Some((digits, "manifest")) => number(digits).map_or(Named::Other, Named::Manifest),
        Some((digits, "run")) => number(digits).map_or(Named::Other, Named::Run),
        _ => Named::Other,
    }
}

impl Manifest {
    fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.runs.len() * RUN_BYTES + CHECKSUM_BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&MANIFEST_FORMAT.to_le_bytes());
        out.extend_from_slice(&[0; 6]);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.contained_to.0.to_le_bytes());
        out.extend_from_slice(&self.first_day.0.to_le_bytes());
        out.extend_from_slice(&(self.runs.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.next_run.to_le_bytes());
        for run in &self.runs {
            for number in [run.number, run.rows, run.bytes] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(&run.checksum.to_le_bytes());
            out.extend_from_slice(&run.day.0.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
        }
        let checksum = xxh3_128_with_seed(&out, self.number);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Writes it and makes it the newest. After an error it may be the newest all the same.
    pub(super) fn write<S: Storage>(&self, storage: &S) -> Result<(), StorageError> {
        if storage.list(DIRECTORY)?.iter().any(|name| name == UNFINISHED) {
            storage.remove(UNFINISHED)?;
        }
        let mut file = storage.create(UNFINISHED)?;
        file.write_at(0, &self.bytes())?;
        file.sync()?;
        storage.rename(UNFINISHED, &name(self.number))?;
        storage.sync_directory(DIRECTORY)
    }

    pub(super) fn read<S: Storage>(storage: &S, number: u64) -> Result<Self, HistoryError> {
        let name = name(number);
        let file = storage.open(&name)?;
        let mut bytes = vec![0; file.length()? as usize];
        let read = file.read_at(0, &mut bytes)?;
        bytes.truncate(read);
        Self::parse(&bytes, &name, number)
    }

    fn parse(bytes: &[u8], name: &str, number: u64) -> Result<Self, HistoryError> {
        let damaged = |offset, what| HistoryError::Damaged { file: name.to_owned(), offset, what };
        if bytes.len() < HEADER_BYTES + CHECKSUM_BYTES || bytes[..8] != MAGIC {
            return Err(damaged(0, "it does not begin as a manifest does"));
        }
        let format = u16::from_le_bytes(part(bytes, 8));
        if format > MANIFEST_FORMAT {
            return Err(HistoryError::NewerFormat { file: name.to_owned(), format });
        }
        let (content, checksum) = bytes.split_at(bytes.len() - CHECKSUM_BYTES);
        if u128::from_le_bytes(part(checksum, 0)) != xxh3_128_with_seed(content, number) {
            return Err(damaged(0, "it does not fit its checksum"));
        }
        let (header, rest) = content.split_at(HEADER_BYTES);
        let (runs, left) = rest.as_chunks::<RUN_BYTES>();
        let long = |at| u64::from_le_bytes(part(header, at));
        let narrow = |at| u32::from_le_bytes(part(header, at));
        if long(16) != number || narrow(36) as usize != runs.len() || !left.is_empty() {
            return Err(damaged(16, "it is not the one of its name and length"));
        }
        let run = |bytes: &[u8; RUN_BYTES]| Described {
            number: u64::from_le_bytes(part(bytes, 0)),
            rows: u64::from_le_bytes(part(bytes, 8)),
            bytes: u64::from_le_bytes(part(bytes, 16)),
            checksum: u128::from_le_bytes(part(bytes, 24)),
            day: Day(u32::from_le_bytes(part(bytes, 40))),
        };
        Ok(Self {
            number,
            contained_to: Sequence(long(24)),
            first_day: Day(narrow(32)),
            next_run: long(40),
            runs: runs.iter().map(run).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_and_no_bit_of_it_may_change() {
        let run = |number, day| Described {
            number,
            day: Day(day),
            rows: 5,
            bytes: 16_640,
            checksum: u128::MAX - 7,
        };
        let runs = vec![run(3, 20_000), run(8, 20_001)];
        let (contained_to, first_day) = (Sequence(77), Day(19_955));
        let manifest = Manifest { number: 4, contained_to, first_day, next_run: 9, runs };
        let bytes = manifest.bytes();
        let parse = |bytes: &[u8]| Manifest::parse(bytes, "m", 4);
        assert_eq!(parse(&bytes).as_ref(), Ok(&manifest));
        assert!(Manifest::parse(&bytes, "m", 5).is_err());
        for length in 0..bytes.len() {
            assert!(parse(&bytes[..length]).is_err(), "cut at {length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&changed).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn names_are_told_apart() {
        let table = [
            ("history/00000012.run", Named::Run(12)),
            ("history/00000007.manifest", Named::Manifest(7)),
            ("history/next.tmp", Named::Unfinished),
            ("history/notes.txt", Named::Other),
            ("history/+7.run", Named::Other),
            ("journal/00000001.run", Named::Other),
        ];
        for (name, meaning) in table {
            assert_eq!(named(name), meaning, "{name}");
        }
        assert_eq!(
            (named(&name(7)), named(&crate::history::run::name(12))),
            (Named::Manifest(7), Named::Run(12))
        );
    }
}
