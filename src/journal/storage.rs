//! What the journal asks of a disk. `edge` has the real one; the tests have one in memory that can lose power.
//!
//! Names are relative to the data directory, with `/` between directory and file: `journal/00000001.seg`.

use std::fmt;

/// What was asked of the disk when it failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Operation {
    /// Reading the names in a directory.
    List,
    /// Opening a file that should be there.
    Open,
    /// Creating a file that should not be there.
    Create,
    /// Asking for a file's length.
    Length,
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Making a file's content durable.
    Sync,
    /// Making a directory's names durable.
    SyncDirectory,
    /// Cutting a file.
    Truncate,
    /// Giving a file another name.
    Rename,
    /// Removing a file.
    Remove,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "list",
            Self::Open => "open",
            Self::Create => "create",
            Self::Length => "ask the length of",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::SyncDirectory => "sync the directory",
            Self::Truncate => "truncate",
            Self::Rename => "rename",
            Self::Remove => "remove",
        })
    }
}

/// The disk did not do what was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("could not {operation} {file}: {cause}")]
pub struct StorageError {
    /// What was asked.
    pub operation: Operation,
    /// Of which file or directory.
    pub file: String,
    /// What the system said.
    pub cause: String,
    /// No space is left, so that room can be made; anything else is a fault.
    pub full: bool,
}

/// Files under one data directory.
pub trait Storage {
    /// An open file.
    type File: StorageFile;

    /// The names of the files in a directory, in any order, each with the directory before it.
    ///
    /// # Errors
    /// The directory cannot be read.
    fn list(&self, directory: &str) -> Result<Vec<String>, StorageError>;

    /// Opens a file that is there, for reading and writing.
    ///
    /// # Errors
    /// It is not there, or may not be opened.
    fn open(&self, name: &str) -> Result<Self::File, StorageError>;

    /// Creates an empty file.
    ///
    /// # Errors
    /// It is there already, or cannot be created.
    fn create(&self, name: &str) -> Result<Self::File, StorageError>;

    /// Gives a file another name in the same directory, in place of what had that name.
    ///
    /// # Errors
    /// The file is not there, or the system refuses.
    fn rename(&self, from: &str, to: &str) -> Result<(), StorageError>;

    /// Removes a file.
    ///
    /// # Errors
    /// The file is not there, or the system refuses.
    fn remove(&self, name: &str) -> Result<(), StorageError>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// The system refuses, or the disk failed.
    fn sync_directory(&self, directory: &str) -> Result<(), StorageError>;
}

/// One open file.
pub trait StorageFile {
    /// Its length in bytes.
    ///
    /// # Errors
    /// The system refuses.
    fn length(&self) -> Result<u64, StorageError>;

    /// Reads from `offset` until `into` is full or the file ends, and returns how many bytes were read.
    ///
    /// # Errors
    /// The disk failed.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, StorageError>;

    /// Writes all of `bytes` at `offset`; the file grows as needed.
    ///
    /// # Errors
    /// The disk failed or is full. How much was written is not known then.
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), StorageError>;

    /// Makes content and length durable. After an error nothing is known about what was written before it, and no
    /// later sync can be believed.
    ///
    /// # Errors
    /// The disk failed or is full.
    fn sync(&mut self) -> Result<(), StorageError>;

    /// Cuts or extends the file to this length.
    ///
    /// # Errors
    /// The system refuses.
    fn truncate(&mut self, length: u64) -> Result<(), StorageError>;
}
