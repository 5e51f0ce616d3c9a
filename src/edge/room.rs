//! Room on the disk at a start: segments that are recycled or made beforehand, and the reserve.

use crate::config::Config;
use crate::crypto::keys::Keys;
use crate::domain::event::Sequence;
use crate::edge::disk::Disk;
use crate::edge::snapshots;
use crate::journal::segment;
use crate::journal::storage::StorageError;

/// Recycles the segments that neither snapshots nor the history need, and sets room aside.
///
/// # Errors
/// The disk failed, or has no room for segments.
pub(super) fn make(
    disk: &Disk,
    keys: &Keys,
    config: &Config,
    known_to: Option<Sequence>,
) -> Result<(), StorageError> {
    if let Err(error) = snapshots::release(disk, keys, &snapshots::Settings::of(config), known_to) {
        tracing::warn!("segments that snapshots cover were not recycled: {error}");
    }
    keep_reserve(disk, config);
    make_spares(disk, config)
}

/// Sets the reserve aside. A start without room for it is better than none: the watch has the alarm.
fn keep_reserve(disk: &Disk, config: &Config) {
    let bytes = u64::from(config.journal.reserve_mib) << 20;
    if let Err(error) = disk.reserve().fill(bytes) {
        tracing::warn!(bytes, "the reserve for a full disk cannot be set aside: {error}");
    }
}

/// Makes the segments that are kept ready: overwriting written blocks syncs faster than growing a file. This is done
/// before anything is served, since writing zeros in bulk would hold up the journal's own syncs.
fn make_spares(disk: &Disk, config: &Config) -> Result<(), StorageError> {
    let (bytes, wanted) =
        (u64::from(config.journal.segment_mib) << 20, config.journal.spare_segments as usize);
    while segment::spares(disk)? < wanted {
        segment::make_spare(disk, bytes)?;
    }
    Ok(())
}
