//! A disk in memory that keeps apart what was written from what was synced, and can lose power in between.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use turnpike::journal::storage::Operation;
use turnpike::journal::storage::Storage;
use turnpike::journal::storage::StorageError;
use turnpike::journal::storage::StorageFile;

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

/// A disk in memory. Clones are handles to the same disk, so that a test can look at it, or crash it, while a
/// writer holds it.
#[derive(Clone, Default, Debug)]
pub(crate) struct Memory {
    // A test's handle and a writer's thread both reach the disk, so it has a lock like a kernel would.
    state: Arc<Mutex<State>>,
}

/// What is left of unsynced work when the power fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Crash {
    /// Only what was synced.
    LoseUnsynced,
    /// All that was written: the process was killed, the kernel was not.
    KeepWritten,
    /// Of each unsynced write any sectors, and of unsynced names any first part, chosen from this seed.
    Tear(u64),
}

#[derive(Clone, Default, Debug)]
struct State {
    files: BTreeMap<u64, Content>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    renames: Vec<BTreeMap<String, u64>>,
    next_file: u64,
    writes: u64,
    syncs: u64,
    fail: Option<(Operation, u64)>,
}

#[derive(Clone, Default, Debug)]
struct Content {
    written: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Truncate(usize),
}

impl Memory {
    /// An empty disk.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The disk as it is found after a crash. This one stays as it is.
    #[must_use]
    pub(crate) fn after(&self, crash: Crash) -> Self {
        let mut state = self.lock().clone();
        let mut random = match crash {
            Crash::Tear(seed) => seed,
            _ => 0,
        };
        state.names = match crash {
            Crash::LoseUnsynced => state.durable_names.clone(),
            Crash::KeepWritten => state.names.clone(),
            Crash::Tear(_) => {
                let kept = next(&mut random) as usize % (state.renames.len() + 1);
                let last = kept.checked_sub(1).and_then(|index| state.renames.get(index));
                last.unwrap_or(&state.durable_names).clone()
            }
        };
        for content in state.files.values_mut() {
            content.written = match crash {
                Crash::LoseUnsynced => content.durable.clone(),
                Crash::KeepWritten => content.written.clone(),
                Crash::Tear(_) => content.torn(&mut random),
            };
            content.durable.clone_from(&content.written);
            content.unsynced.clear();
        }
        state.durable_names.clone_from(&state.names);
        state.renames.clear();
        state.fail = None;
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Lets the `after`-th operation of this kind from now on fail (0 is the next), and every one after it.
    pub(crate) fn fail(&self, operation: Operation, after: u64) {
        self.lock().fail = Some((operation, after));
    }

    /// How many writes and how many syncs of files there were.
    #[must_use]
    pub(crate) fn operations(&self) -> (u64, u64) {
        let state = self.lock();
        (state.writes, state.syncs)
    }

    /// What was written to a file; `None` when it is not there.
    #[must_use]
    pub(crate) fn content(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.lock();
        state.names.get(name).and_then(|file| state.files.get(file)).map(|content| content.written.clone())
    }

    /// Puts a file on the disk, durably, in place of what had its name.
    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.lock();
        let file = state.next_file;
        state.next_file += 1;
        let content = Content { written: bytes.to_vec(), durable: bytes.to_vec(), unsynced: Vec::new() };
        state.files.insert(file, content);
        state.names.insert(name.to_owned(), file);
        state.durable_names.insert(name.to_owned(), file);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts an operation, and fails it when it was told to.
    fn begin(&mut self, operation: Operation, name: &str) -> Result<(), StorageError> {
        match operation {
            Operation::Write => self.writes += 1,
            Operation::Sync => self.syncs += 1,
            _ => {}
        }
        match &mut self.fail {
            Some((failing, 0)) if *failing == operation => Err(error(operation, name, "told to fail")),
            Some((failing, after)) if *failing == operation => {
                *after -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn file(&mut self, file: u64, operation: Operation, name: &str) -> Result<&mut Content, StorageError> {
        self.files.get_mut(&file).ok_or_else(|| error(operation, name, "no such file"))
    }

    fn named(&mut self) {
        self.renames.push(self.names.clone());
    }
}

impl Content {
    fn torn(&self, random: &mut u64) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for change in &self.unsynced {
            match change {
                Change::Truncate(length) if next(random).is_multiple_of(2) => bytes.resize(*length, 0),
                Change::Truncate(_) => {}
                Change::Write { offset, bytes: written } => {
                    // Sectors are counted from the start of the file, not of the write.
                    let mut from = 0;
                    while from < written.len() {
                        let to = written.len().min(from + SECTOR - (offset + from) % SECTOR);
                        if next(random).is_multiple_of(2) {
                            apply(&mut bytes, offset + from, &written[from..to]);
                        }
                        from = to;
                    }
                }
            }
        }
        bytes
    }
}

fn apply(content: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    let end = offset + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(bytes);
}

/// SplitMix64: a seed in, a number out.
const fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut value = *state;
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

fn error(operation: Operation, name: &str, cause: &str) -> StorageError {
    StorageError { operation, file: name.to_owned(), cause: cause.to_owned(), full: false }
}

/// A file on a disk in memory.
#[derive(Debug)]
pub(crate) struct MemoryFile {
    disk: Memory,
    file: u64,
    name: String,
}

impl Storage for Memory {
    type File = MemoryFile;

    fn list(&self, directory: &str) -> Result<Vec<String>, StorageError> {
        let mut state = self.lock();
        state.begin(Operation::List, directory)?;
        let inside = |name: &&String| name.rsplit_once('/').is_some_and(|(of, _)| of == directory);
        Ok(state.names.keys().filter(inside).cloned().collect())
    }

    fn open(&self, name: &str) -> Result<MemoryFile, StorageError> {
        let mut state = self.lock();
        state.begin(Operation::Open, name)?;
        let file = *state.names.get(name).ok_or_else(|| error(Operation::Open, name, "no such file"))?;
        Ok(MemoryFile { disk: self.clone(), file, name: name.to_owned() })
    }

    fn create(&self, name: &str) -> Result<MemoryFile, StorageError> {
        let mut state = self.lock();
        state.begin(Operation::Create, name)?;
        if state.names.contains_key(name) {
            return Err(error(Operation::Create, name, "the file exists"));
        }
        let file = state.next_file;
        state.next_file += 1;
        state.files.insert(file, Content::default());
        state.names.insert(name.to_owned(), file);
        state.named();
        Ok(MemoryFile { disk: self.clone(), file, name: name.to_owned() })
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError> {
        let mut state = self.lock();
        state.begin(Operation::Rename, from)?;
        let file = state.names.remove(from).ok_or_else(|| error(Operation::Rename, from, "no such file"))?;
        state.names.insert(to.to_owned(), file);
        state.named();
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        let mut state = self.lock();
        state.begin(Operation::Remove, name)?;
        state.names.remove(name).ok_or_else(|| error(Operation::Remove, name, "no such file"))?;
        state.named();
        Ok(())
    }

    fn sync_directory(&self, directory: &str) -> Result<(), StorageError> {
        let mut state = self.lock();
        state.begin(Operation::SyncDirectory, directory)?;
        state.durable_names = state.names.clone();
        state.renames.clear();
        Ok(())
    }
}

impl StorageFile for MemoryFile {
    fn length(&self) -> Result<u64, StorageError> {
        let mut state = self.disk.lock();
        state.begin(Operation::Length, &self.name)?;
        Ok(state.file(self.file, Operation::Length, &self.name)?.written.len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, StorageError> {
        let mut state = self.disk.lock();
        state.begin(Operation::Read, &self.name)?;
        let written = &state.file(self.file, Operation::Read, &self.name)?.written;
        let from = written.len().min(offset as usize);
        let count = into.len().min(written.len() - from);
        into[..count].copy_from_slice(&written[from..from + count]);
        Ok(count)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let mut state = self.disk.lock();
        state.begin(Operation::Write, &self.name)?;
        let content = state.file(self.file, Operation::Write, &self.name)?;
        apply(&mut content.written, offset as usize, bytes);
        content.unsynced.push(Change::Write { offset: offset as usize, bytes: bytes.to_vec() });
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        let mut state = self.disk.lock();
        state.begin(Operation::Sync, &self.name)?;
        let content = state.file(self.file, Operation::Sync, &self.name)?;
        for change in content.unsynced.drain(..) {
            match change {
                Change::Write { offset, bytes } => apply(&mut content.durable, offset, &bytes),
                Change::Truncate(length) => content.durable.resize(length, 0),
            }
        }
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> Result<(), StorageError> {
        let mut state = self.disk.lock();
        state.begin(Operation::Truncate, &self.name)?;
        let content = state.file(self.file, Operation::Truncate, &self.name)?;
        content.written.resize(length as usize, 0);
        content.unsynced.push(Change::Truncate(length as usize));
        Ok(())
    }
}
