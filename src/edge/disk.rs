//! The real disk: a data directory that only one daemon writes to.

use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::FlockOperation;
use rustix::fs::flock;

use crate::edge::reserve;
use crate::edge::reserve::Reserve;
use crate::history::index;
use crate::journal::segment;
use crate::journal::snapshot;
use crate::journal::storage::Operation;
use crate::journal::storage::Storage;
use crate::journal::storage::StorageError;
use crate::journal::storage::StorageFile;

const LOCK_FILE: &str = "LOCK";

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// Another process has it.
    #[error("{directory} is in use by another turnpike; stop that one first, or name another data directory")]
    Locked {
        /// The data directory.
        directory: PathBuf,
    },
    /// The system refuses.
    #[error("{path}: {error}")]
    Refused {
        /// What was opened or created.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// A data directory. Clones share it; it stays locked until the last one is gone.
#[derive(Clone, Debug)]
pub struct Disk {
    directory: Arc<Path>,
    _lock: Option<Arc<File>>,
    reserve: Arc<Reserve>,
}

impl Disk {
    /// Opens a data directory and makes it if it is not there. No other process can open it until this is closed,
    /// by whatever means, the end of the process included.
    ///
    /// # Errors
    /// Another process has it, or the system refuses.
    pub fn open(directory: &Path) -> Result<Self, DiskError> {
        let journal = directory.join(segment::DIRECTORY);
        let refused = |path: &Path| {
            let path = path.to_owned();
            move |error| DiskError::Refused { path, error }
        };
        for directory in [&journal, &directory.join(snapshot::DIRECTORY), &directory.join(index::DIRECTORY)] {
            DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(refused(directory))?;
        }
        let path = directory.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let lock = options.open(&path).map_err(refused(&path))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(DiskError::Locked { directory: directory.to_owned() });
            }
            Err(errno) => return Err(DiskError::Refused { path, error: errno.into() }),
        }
        // The journal's directory itself must outlast a power failure, or its files would not.
        let sync = |path: &Path| File::open(path).and_then(|opened| opened.sync_all()).map_err(refused(path));
        sync(directory)?;
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync(parent)?;
        }
        let reserve = Arc::new(Reserve::of(directory));
        Ok(Self { directory: directory.into(), _lock: Some(Arc::new(lock)), reserve })
    }

    /// Looks at a data directory that a daemon may have open. Nothing may be written through it.
    #[must_use]
    pub fn look_at(directory: &Path) -> Self {
        Self { directory: directory.into(), _lock: None, reserve: Arc::new(Reserve::of(directory)) }
    }

    /// The room that is kept back for a full disk.
    #[must_use]
    pub fn reserve(&self) -> &Arc<Reserve> {
        &self.reserve
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn opened(
        &self,
        name: &str,
        operation: Operation,
        options: &OpenOptions,
    ) -> Result<DiskFile, StorageError> {
        let path = self.path(name);
        match self.reserve.relieve(|| options.open(&path)) {
            Ok(file) => Ok(DiskFile { file, path: path.into(), reserve: Arc::clone(&self.reserve) }),
            Err(error) => Err(failed(operation, &path, &error)),
        }
    }
}

fn failed(operation: Operation, path: &Path, error: &io::Error) -> StorageError {
    let full = reserve::is_full(error);
    StorageError { operation, file: path.display().to_string(), cause: error.to_string(), full }
}

/// An open file of a data directory.
#[derive(Debug)]
pub struct DiskFile {
    file: File,
    path: Box<Path>,
    reserve: Arc<Reserve>,
}

impl DiskFile {
    fn failed(&self, operation: Operation) -> impl Fn(io::Error) -> StorageError {
        move |error| failed(operation, &self.path, &error)
    }
}

impl Storage for Disk {
    type File = DiskFile;

    fn list(&self, directory: &str) -> Result<Vec<String>, StorageError> {
        let path = self.path(directory);
        let refused = |error| failed(Operation::List, &path, &error);
        let mut names = Vec::new();
        let entries = match path.read_dir() {
            // A directory that was never made holds nothing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(names),
            entries => entries.map_err(refused)?,
        };
        for entry in entries {
            // A name that is not UTF-8 is none of ours.
            if let Ok(name) = entry.map_err(refused)?.file_name().into_string() {
                names.push(format!("{directory}/{name}"));
            }
        }
        Ok(names)
    }

    fn open(&self, name: &str) -> Result<DiskFile, StorageError> {
        self.opened(name, Operation::Open, OpenOptions::new().read(true).write(self._lock.is_some()))
    }

    fn create(&self, name: &str) -> Result<DiskFile, StorageError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        self.opened(name, Operation::Create, &options)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let path = self.path(from);
        let renamed = self.reserve.relieve(|| std::fs::rename(&path, self.path(to)));
        renamed.map_err(|error| failed(Operation::Rename, &path, &error))
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        let path = self.path(name);
        std::fs::remove_file(&path).map_err(|error| failed(Operation::Remove, &path, &error))
    }

    fn sync_directory(&self, directory: &str) -> Result<(), StorageError> {
        let path = self.path(directory);
        let synced = File::open(&path).and_then(|opened| opened.sync_all());
        synced.map_err(|error| failed(Operation::SyncDirectory, &path, &error))
    }
}

impl StorageFile for DiskFile {
    fn length(&self) -> Result<u64, StorageError> {
        self.file.metadata().map(|metadata| metadata.len()).map_err(self.failed(Operation::Length))
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, StorageError> {
        let mut count = 0;
        while count < into.len() {
            match self.file.read_at(&mut into[count..], offset + count as u64) {
                Ok(0) => break,
                Ok(more) => count += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(Operation::Read)(error)),
            }
        }
        Ok(count)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        // A write that found no room has changed nothing but what it would write again: that it may be tried once more
        // is no contradiction to a failed sync being the end.
        let written = self.reserve.relieve(|| self.file.write_all_at(bytes, offset));
        written.map_err(self.failed(Operation::Write))
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.file.sync_data().map_err(self.failed(Operation::Sync))
    }

    fn truncate(&mut self, length: u64) -> Result<(), StorageError> {
        self.file.set_len(length).map_err(self.failed(Operation::Truncate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_directory_has_one_daemon() {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("data");
        let first = Disk::open(&data).expect("a free directory");
        let clone = first.clone();
        drop(first);
        let refusal = Disk::open(&data).expect_err("a directory in use").to_string();
        assert!(refusal.contains("in use by another turnpike"), "{refusal}");
        assert!(Disk::look_at(&data).list(segment::DIRECTORY).expect("its names").is_empty());
        drop(clone);
        Disk::open(&data).expect("a directory that is free again");
    }

    #[test]
    fn errors_name_the_operation_and_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let disk = Disk::open(directory.path()).expect("a free directory");
        let error = disk.open("journal/none.seg").expect_err("no such file");
        assert_eq!((error.operation, error.full), (Operation::Open, false));
        assert!(error.to_string().contains("journal/none.seg"), "{error}");
    }

    #[test]
    fn a_full_disk_is_told_from_a_bad_one() {
        // ENOSPC, EDQUOT, EIO.
        for (code, full) in [(28, true), (122, true), (5, false)] {
            let error = failed(Operation::Write, Path::new("x"), &io::Error::from_raw_os_error(code));
            assert_eq!(error.full, full, "{error}");
        }
    }
}
