//! From the journal to the books: every record goes through the same `apply` as when it happened.

use crate::domain::event::Bounds;
use crate::domain::event::Configured;
use crate::domain::event::Event;
use crate::domain::event::Seeded;
use crate::domain::event::Sequence;
use crate::journal::recover::Opener;
use crate::journal::recover::RecoverError;
use crate::journal::recover::Recovered;
use crate::journal::recover::recover;
use crate::journal::storage::Storage;
use crate::ledger::books::Books;
use crate::ledger::books::Layout;
use crate::ledger::books::Misfit;
use crate::ledger::shard::Capacity;

/// What the books are built with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How slots are divided.
    pub layout: Layout,
    /// Room in all.
    pub capacity: Capacity,
    /// Keys the hash tables of this process.
    pub seed: u64,
}

/// The books as the journal tells them.
#[derive(Debug)]
pub struct Rebuilt {
    /// The books.
    pub books: Books,
    /// Where the journal ends.
    pub recovered: Recovered,
    /// The last word about a seed file.
    pub seeded: Option<Seeded>,
    /// The configuration of the last start.
    pub configured: Option<Configured>,
}

/// Why the books cannot be rebuilt.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RebuildError {
    /// The journal cannot be trusted.
    #[error(transparent)]
    Journal(#[from] RecoverError),
    /// A record does not fit the books; most often a table is smaller than when it was written.
    #[error(transparent)]
    Misfit(#[from] Misfit),
}

/// Reads the journal from its start and applies every record.
///
/// # Errors
/// The journal is damaged or foreign, or a record does not fit. Nothing on disk was changed.
pub fn rebuild<S: Storage>(
    storage: &S,
    opener: Opener<'_>,
    settings: Settings,
) -> Result<Rebuilt, RebuildError> {
    let mut books = Books::new(settings.layout, settings.capacity, Bounds::default(), settings.seed);
    let (mut seeded, mut configured, mut misfit) = (None, None, None);
    let recovered = recover(storage, opener, Sequence(0), |sequence, time, event| {
        match event {
            Event::Seeded(event) => seeded = Some(event),
            Event::Configured(event) => configured = Some(event),
            _ => {}
        }
        if misfit.is_none() {
            misfit = books.apply(sequence, time, &event).err();
        }
    })?;
    match misfit {
        Some(misfit) => Err(misfit.into()),
        None => Ok(Rebuilt { books, recovered, seeded, configured }),
    }
}
