//! The journal's disk with a meter: how long each sync takes, and how much it makes durable.

use std::sync::Arc;
use std::time::Instant;

use crate::edge::histogram::Histogram;
use crate::edge::histogram::Unit;
use crate::journal::storage::Storage;
use crate::journal::storage::StorageError;
use crate::journal::storage::StorageFile;

/// What is measured of group commits.
pub(super) struct Meter {
    /// The time of each sync.
    pub(super) sync: Histogram,
    /// What was written since the sync before.
    pub(super) bytes: Histogram,
    /// Records that became durable together.
    pub(super) records: Histogram,
}

impl Default for Meter {
    fn default() -> Self {
        Self {
            sync: Histogram::new("turnpike_journal_sync_seconds", Unit::Seconds, &[]),
            bytes: Histogram::new("turnpike_journal_commit_bytes", Unit::Bytes, &[]),
            records: Histogram::new("turnpike_journal_commit_records", Unit::Count, &[]),
        }
    }
}

/// A storage whose files are measured.
pub(super) struct Metered<S> {
    storage: S,
    meter: Arc<Meter>,
}

impl<S> Metered<S> {
    pub(super) const fn new(storage: S, meter: Arc<Meter>) -> Self {
        Self { storage, meter }
    }

    fn file<F>(&self, file: F) -> MeteredFile<F> {
        MeteredFile { file, meter: Arc::clone(&self.meter), written: 0 }
    }
}

impl<S: Storage> Storage for Metered<S> {
    type File = MeteredFile<S::File>;

    fn list(&self, directory: &str) -> Result<Vec<String>, StorageError> {
        self.storage.list(directory)
    }

    fn open(&self, name: &str) -> Result<Self::File, StorageError> {
        self.storage.open(name).map(|file| self.file(file))
    }

    fn create(&self, name: &str) -> Result<Self::File, StorageError> {
        self.storage.create(name).map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        self.storage.rename(from, to)
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.storage.remove(name)
    }

    fn sync_directory(&self, directory: &str) -> Result<(), StorageError> {
        self.storage.sync_directory(directory)
    }
}

/// An open file that is measured.
pub(super) struct MeteredFile<F> {
    file: F,
    meter: Arc<Meter>,
    /// Bytes since the last sync.
    written: u64,
}

impl<F: StorageFile> StorageFile for MeteredFile<F> {
    fn length(&self) -> Result<u64, StorageError> {
        self.file.length()
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, StorageError> {
        self.file.read_at(offset, into)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        self.written += bytes.len() as u64;
        self.file.write_at(offset, bytes)
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        let began = Instant::now();
        let synced = self.file.sync();
        self.meter.sync.record(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
        self.meter.bytes.record(std::mem::take(&mut self.written));
        synced
    }

    fn truncate(&mut self, length: u64) -> Result<(), StorageError> {
        self.file.truncate(length)
    }
}
