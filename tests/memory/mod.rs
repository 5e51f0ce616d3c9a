//! A disk in memory that keeps apart what was written from what was synced. It can lose power in between, fail,
//! shorten or stall any call, drop what a failed sync should have written, and run full. Everything that it does is
//! told by seeds, so that a failure can be seen again.

#![expect(dead_code, reason = "each of the tests that share it uses a part")]

mod content;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use turnpike::journal::storage::Operation;
use turnpike::journal::storage::Storage;
use turnpike::journal::storage::StorageError;
use turnpike::journal::storage::StorageFile;

use content::Content;

/// What a file system hands out at once.
const PAGE: u64 = 4096;

/// A disk in memory. Clones are handles to the same disk, so that a test can look at it, or crash it, while a
/// writer holds it.
#[derive(Clone, Default, Debug)]
pub(crate) struct Memory {
    // A test's handle and a writer's thread both reach the disk, so it has a lock like a kernel would.
    state: Arc<Mutex<State>>,
    stalled: Arc<Mutex<Option<Stalled>>>,
}

/// What is left of unsynced work after a crash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Crash {
    /// The power failed: only what was synced.
    LoseUnsynced,
    /// The process was killed, the kernel was not: all that was written. What was not synced is still not on disk,
    /// and a power failure after this one may take it.
    KeepWritten,
    /// The power failed: of each sector any of the states that it was in since its sync, of unsynced names and of
    /// unsynced lengths any first part, chosen from this seed.
    Tear(u64),
}

/// What goes wrong with one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// It fails and has done nothing.
    Error,
    /// A write or a sync has done a part of its work when it fails. What a sync has not done is still to be done.
    Short,
    /// A sync fails, and what it has not done never will be: the pages count as clean, and a later sync succeeds
    /// without them. As long as the kernel lives they are read as if they had been written.
    Dropped,
    /// It takes so many milliseconds. Meanwhile what [`Memory::while_stalled`] was given is called.
    Stall(u64),
}

#[derive(Clone, Copy, Debug)]
struct Trap {
    operation: Operation,
    /// How many calls go well before.
    after: u64,
    fault: Fault,
    /// For this call and every later one.
    lasts: bool,
}

/// What runs while a call is stalled; it is told for how many milliseconds.
struct Stalled(Box<dyn FnMut(u64) + Send>);

impl fmt::Debug for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stalled")
    }
}

#[derive(Clone, Default, Debug)]
struct State {
    files: BTreeMap<u64, Content>,
    names: BTreeMap<String, u64>,
    durable_names: BTreeMap<String, u64>,
    /// The names after each change since the last sync of the directory. A journaling file system keeps a first
    /// part of them.
    renames: Vec<BTreeMap<String, u64>>,
    next_file: u64,
    writes: u64,
    syncs: u64,
    traps: Vec<Trap>,
    /// Most bytes in all, in pages; none for a disk that never runs full.
    capacity: Option<u64>,
    random: u64,
}

impl Memory {
    /// An empty disk.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// An empty disk whose short writes and dropped pages are chosen from this seed.
    #[must_use]
    pub(crate) fn seeded(seed: u64) -> Self {
        let memory = Self::default();
        memory.lock().random = seed;
        memory
    }

    /// The disk as it is found after a crash, in working order. This one stays as it is.
    #[must_use]
    pub(crate) fn after(&self, crash: Crash) -> Self {
        let mut state = self.lock().clone();
        let mut random = match crash {
            Crash::Tear(seed) => seed,
            _ => 0,
        };
        state.traps.clear();
        if crash != Crash::KeepWritten {
            state.names = match crash {
                Crash::Tear(_) => {
                    let kept = next(&mut random) as usize % (state.renames.len() + 1);
                    let last = kept.checked_sub(1).and_then(|index| state.renames.get(index));
                    last.unwrap_or(&state.durable_names).clone()
                }
                _ => state.durable_names.clone(),
            };
            for content in state.files.values_mut() {
                match crash {
                    Crash::Tear(_) => content.tear(&mut random),
                    _ => content.forget(),
                }
            }
            state.durable_names.clone_from(&state.names);
            state.renames.clear();
        }
        Self { state: Arc::new(Mutex::new(state)), stalled: Arc::default() }
    }

    /// Lets the `after`-th operation of this kind from now on fail (0 is the next), and every one after it.
    pub(crate) fn fail(&self, operation: Operation, after: u64) {
        self.lock().traps = vec![Trap { operation, after, fault: Fault::Error, lasts: true }];
    }

    /// Lets this happen to the `after`-th operation of this kind from now on (0 is the next), and to no other.
    pub(crate) fn inject(&self, operation: Operation, after: u64, fault: Fault) {
        self.lock().traps.push(Trap { operation, after, fault, lasts: false });
    }

    /// From now on nothing more goes wrong, and there is room.
    pub(crate) fn mend(&self) {
        let mut state = self.lock();
        state.traps.clear();
        state.capacity = None;
    }

    /// Leaves room for so many more bytes.
    pub(crate) fn leave_room(&self, bytes: u64) {
        let mut state = self.lock();
        state.capacity = Some(state.used() + bytes);
    }

    /// Calls this while a call is stalled, with the stall's milliseconds. The disk can be used meanwhile; what
    /// stalls then is not told.
    pub(crate) fn while_stalled(&self, call: impl FnMut(u64) + Send + 'static) {
        *self.stalled.lock().unwrap_or_else(PoisonError::into_inner) = Some(Stalled(Box::new(call)));
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
        state.files.insert(file, Content::durable(bytes));
        state.names.insert(name.to_owned(), file);
        state.durable_names.insert(name.to_owned(), file);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts an operation. What is to go wrong with it goes wrong here, but for what only a write or a sync can do.
    fn begin(&self, operation: Operation, name: &str) -> Result<Option<Fault>, StorageError> {
        let fault = self.lock().count(operation);
        match fault {
            Some(Fault::Error) => Err(error(operation, name, "told to fail")),
            Some(Fault::Stall(ms)) => {
                // Lent to this stall, so that one within it finds nothing to call.
                let lent = |stalled: &Mutex<Option<Stalled>>| {
                    stalled.lock().unwrap_or_else(PoisonError::into_inner).take()
                };
                if let Some(mut call) = lent(&self.stalled) {
                    (call.0)(ms);
                    *self.stalled.lock().unwrap_or_else(PoisonError::into_inner) = Some(call);
                }
                Ok(None)
            }
            other => Ok(other),
        }
    }
}

impl State {
    /// Counts an operation, and tells what is to go wrong with it.
    fn count(&mut self, operation: Operation) -> Option<Fault> {
        match operation {
            Operation::Write => self.writes += 1,
            Operation::Sync => self.syncs += 1,
            _ => {}
        }
        let mut sprung = None;
        for (index, trap) in self.traps.iter_mut().enumerate().filter(|(_, trap)| trap.operation == operation)
        {
            match trap.after.checked_sub(1) {
                Some(fewer) => trap.after = fewer,
                None => sprung = sprung.or(Some(index)),
            }
        }
        let index = sprung?;
        let fault = self.traps[index].fault;
        if !self.traps[index].lasts {
            self.traps.remove(index);
        }
        Some(fault)
    }

    fn file(&mut self, file: u64, operation: Operation, name: &str) -> Result<&mut Content, StorageError> {
        self.files.get_mut(&file).ok_or_else(|| error(operation, name, "no such file"))
    }

    fn named(&mut self) {
        self.renames.push(self.names.clone());
    }

    /// Bytes of all files that have a name, in pages.
    fn used(&self) -> u64 {
        let length = |file: &u64| self.files.get(file).map_or(0, |content| content.written.len() as u64);
        self.names.values().map(|file| length(file).next_multiple_of(PAGE)).sum()
    }

    /// How long a file may become that is this long now.
    fn longest(&self, length: u64) -> u64 {
        let room = self.capacity.map_or(u64::MAX / 2, |capacity| capacity.saturating_sub(self.used()));
        length.next_multiple_of(PAGE) + room / PAGE * PAGE
    }
}

/// SplitMix64: a seed in, a number out.
pub(crate) const fn next(state: &mut u64) -> u64 {
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
        self.begin(Operation::List, directory)?;
        let inside = |name: &&String| name.rsplit_once('/').is_some_and(|(of, _)| of == directory);
        Ok(self.lock().names.keys().filter(inside).cloned().collect())
    }

    fn open(&self, name: &str) -> Result<MemoryFile, StorageError> {
        self.begin(Operation::Open, name)?;
        let state = self.lock();
        let file = *state.names.get(name).ok_or_else(|| error(Operation::Open, name, "no such file"))?;
        Ok(MemoryFile { disk: self.clone(), file, name: name.to_owned() })
    }

    fn create(&self, name: &str) -> Result<MemoryFile, StorageError> {
        self.begin(Operation::Create, name)?;
        let mut state = self.lock();
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
        self.begin(Operation::Rename, from)?;
        let mut state = self.lock();
        let file = state.names.remove(from).ok_or_else(|| error(Operation::Rename, from, "no such file"))?;
        state.names.insert(to.to_owned(), file);
        state.named();
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), StorageError> {
        self.begin(Operation::Remove, name)?;
        let mut state = self.lock();
        state.names.remove(name).ok_or_else(|| error(Operation::Remove, name, "no such file"))?;
        state.named();
        Ok(())
    }

    fn sync_directory(&self, directory: &str) -> Result<(), StorageError> {
        self.begin(Operation::SyncDirectory, directory)?;
        let mut state = self.lock();
        state.durable_names = state.names.clone();
        state.renames.clear();
        Ok(())
    }
}

impl StorageFile for MemoryFile {
    fn length(&self) -> Result<u64, StorageError> {
        self.disk.begin(Operation::Length, &self.name)?;
        let mut state = self.disk.lock();
        Ok(state.file(self.file, Operation::Length, &self.name)?.written.len() as u64)
    }

    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, StorageError> {
        self.disk.begin(Operation::Read, &self.name)?;
        let mut state = self.disk.lock();
        let written = &state.file(self.file, Operation::Read, &self.name)?.written;
        let from = written.len().min(offset as usize);
        let count = into.len().min(written.len() - from);
        into[..count].copy_from_slice(&written[from..from + count]);
        Ok(count)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        let fault = self.disk.begin(Operation::Write, &self.name)?;
        let mut state = self.disk.lock();
        let part = next(&mut state.random) as usize % (bytes.len() + 1);
        let length = state.file(self.file, Operation::Write, &self.name)?.written.len() as u64;
        let fits = state.longest(length).saturating_sub(offset).min(bytes.len() as u64) as usize;
        let content = state.file(self.file, Operation::Write, &self.name)?;
        if fault.is_some() {
            content.write(offset as usize, &bytes[..part.min(fits)]);
            return Err(error(Operation::Write, &self.name, "told to fail after a part"));
        }
        content.write(offset as usize, &bytes[..fits]);
        if fits < bytes.len() {
            let full = error(Operation::Write, &self.name, "no space left");
            return Err(StorageError { full: true, ..full });
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        let fault = self.disk.begin(Operation::Sync, &self.name)?;
        let mut state = self.disk.lock();
        let mut random = next(&mut state.random);
        let content = state.file(self.file, Operation::Sync, &self.name)?;
        match fault {
            None => {
                content.sync();
                Ok(())
            }
            Some(fault) => {
                content.sync_in_part(&mut random, fault == Fault::Dropped);
                Err(error(Operation::Sync, &self.name, "told to fail after a part"))
            }
        }
    }

    fn truncate(&mut self, length: u64) -> Result<(), StorageError> {
        self.disk.begin(Operation::Truncate, &self.name)?;
        let mut state = self.disk.lock();
        state.file(self.file, Operation::Truncate, &self.name)?.truncate(length as usize);
        Ok(())
    }
}
