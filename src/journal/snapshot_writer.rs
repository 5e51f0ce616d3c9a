//! Writes snapshots. The file has its name only once it was read back whole.

use crate::domain::event::Sequence;
use crate::domain::seal::BlockSeal;
use crate::domain::seal::SnapshotKeys;
use crate::journal::snapshot::Anchor;
use crate::journal::snapshot::BLOCK_HEADER_BYTES;
use crate::journal::snapshot::BLOCK_MAGIC;
use crate::journal::snapshot::DIRECTORY;
use crate::journal::snapshot::HEADER_BYTES;
use crate::journal::snapshot::Head;
use crate::journal::snapshot::Part;
use crate::journal::snapshot::SnapshotError;
use crate::journal::snapshot::Tail;
use crate::journal::snapshot::checksum;
use crate::journal::snapshot::header_block;
use crate::journal::snapshot::list;
use crate::journal::snapshot::name;
use crate::journal::snapshot::read_file;
use crate::journal::snapshot::tail_body;
use crate::journal::storage::Storage;
use crate::journal::storage::StorageError;
use crate::journal::storage::StorageFile;

const UNFINISHED: &str = "snapshots/next.tmp";
/// So much is written between two syncs: the journal's own syncs do not wait long behind it.
const SYNC_BYTES: u64 = 4 << 20;

/// Writes one snapshot.
pub struct SnapshotWriter<S: Storage> {
    storage: S,
    file: S::File,
    number: u64,
    seal: Box<dyn BlockSeal>,
    at: u64,
    synced: u64,
    index: u32,
    tail: Tail,
    block: Vec<u8>,
}

impl<S: Storage + Clone> SnapshotWriter<S> {
    /// Begins a file that has no name of its own yet.
    ///
    /// # Errors
    /// The disk failed or is full.
    pub fn begin(storage: &S, head: &Head, keys: &dyn SnapshotKeys) -> Result<Self, StorageError> {
        if storage.list(DIRECTORY)?.iter().any(|found| found == UNFINISHED) {
            storage.remove(UNFINISHED)?;
        }
        let mut file = storage.create(UNFINISHED)?;
        file.write_at(0, &header_block(head, keys.fingerprint()))?;
        let seal = keys.of_snapshot(&head.salt);
        let tail = Tail { covered: Sequence(u64::MAX), ..Tail::default() };
        let (storage, number, at) = (storage.clone(), head.number, HEADER_BYTES as u64);
        Ok(Self { storage, file, number, seal, at, synced: 0, index: 0, tail, block: Vec::new() })
    }

    /// Writes a part; empty ones are left out. `wallets` is how many there are in it.
    ///
    /// # Errors
    /// The disk failed or is full.
    pub fn part(&mut self, part: Part, cut: Sequence, wallets: u64, body: &[u8]) -> Result<(), StorageError> {
        if body.is_empty() {
            return Ok(());
        }
        self.tail.covered = self.tail.covered.min(cut);
        self.tail.last = self.tail.last.max(cut);
        self.tail.wallets += wallets;
        self.write(part, cut, body)
    }

    fn write(&mut self, part: Part, cut: Sequence, body: &[u8]) -> Result<(), StorageError> {
        let mut sealed = std::mem::take(&mut self.block);
        sealed.clear();
        sealed.extend_from_slice(body);
        self.seal.seal(self.index, &mut sealed);
        let mut header = [0; BLOCK_HEADER_BYTES];
        header[16..20].copy_from_slice(&BLOCK_MAGIC);
        header[20] = part as u8;
        header[24..28].copy_from_slice(&self.index.to_le_bytes());
        header[28..32].copy_from_slice(&(sealed.len() as u32).to_le_bytes());
        header[32..40].copy_from_slice(&cut.0.to_le_bytes());
        let checksum = checksum(&header, &sealed, self.number);
        header[..16].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_at(self.at, &header)?;
        self.file.write_at(self.at + BLOCK_HEADER_BYTES as u64, &sealed)?;
        self.at += (BLOCK_HEADER_BYTES + sealed.len()) as u64;
        self.index += 1;
        self.block = sealed;
        if self.at - self.synced >= SYNC_BYTES {
            self.file.sync()?;
            self.synced = self.at;
        }
        Ok(())
    }

    /// Ends the copy and makes it durable, still without a name of its own. `anchor` is the segment that is being
    /// written now.
    ///
    /// # Errors
    /// The disk failed or is full.
    pub fn end(mut self, anchor: Anchor) -> Result<Unpublished<S>, StorageError> {
        self.tail.anchor = anchor;
        let tail = self.tail;
        self.write(Part::End, tail.last, &tail_body(&tail))?;
        self.file.sync()?;
        Ok(Unpublished { storage: self.storage, number: self.number, tail, bytes: self.at })
    }
}

/// A snapshot that is whole on disk and not to be found yet.
pub struct Unpublished<S: Storage> {
    storage: S,
    number: u64,
    /// What it covers.
    pub tail: Tail,
    /// How long the file is.
    pub bytes: u64,
}

impl<S: Storage> Unpublished<S> {
    /// Reads the file back, then gives it its name. The caller has seen to it that the journal is durable up to the
    /// snapshot's last cut.
    ///
    /// # Errors
    /// The disk failed, or what was read is not what was written.
    pub fn publish(self, keys: &dyn SnapshotKeys) -> Result<(), SnapshotError> {
        let (_, found) = read_file(&self.storage, UNFINISHED, self.number, keys, &mut |_, _, _| Ok(()))?;
        if found != self.tail {
            let what = "what was read back is not what was written";
            return Err(SnapshotError::Damaged { file: UNFINISHED.to_owned(), offset: 0, what });
        }
        self.storage.rename(UNFINISHED, &name(self.number))?;
        self.storage.sync_directory(DIRECTORY)?;
        Ok(())
    }

    /// Gives it up.
    pub fn discard(self) {
        // What is left over is overwritten by the next one.
        let _ = self.storage.remove(UNFINISHED);
    }
}

/// Removes all snapshots but those of these numbers.
///
/// # Errors
/// The disk failed.
pub fn retire<S: Storage>(storage: &S, kept: &[u64]) -> Result<(), StorageError> {
    for number in list(storage)?.iter().filter(|number| !kept.contains(number)) {
        storage.remove(&name(*number))?;
        storage.sync_directory(DIRECTORY)?;
    }
    Ok(())
}
