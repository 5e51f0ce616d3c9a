//! Why the history cannot be used.

use crate::journal::storage::StorageError;

/// Why the history cannot be used. Whatever is wrong with its files, the journal has what is needed to build it again.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HistoryError {
    /// The disk did not do what was asked.
    #[error("{0}")]
    Storage(#[from] StorageError),
    /// Something of a file is changed or missing.
    #[error("{file} is damaged at offset {offset}: {what}; build the history again from the journal")]
    Damaged {
        /// The file.
        file: String,
        /// Where.
        offset: u64,
        /// What was found.
        what: &'static str,
    },
    /// A file that counts is not there.
    #[error("{file} is missing; put it back, or build the history again from the journal")]
    Missing {
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
}

/// There is no room in memory until the next flush. Nothing was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("what the history keeps in memory is full; it has to be flushed")]
pub struct Full;
