//! `[snapshots]`: how often the books are copied to disk, and how fast.

use crate::config;
use crate::settings::Section;

/// `[snapshots]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotSettings {
    /// A snapshot is begun this many seconds after the one before it; zero for on demand only.
    pub every_s: u64,
    /// How fast it is written at most, MiB a second.
    pub mib_per_s: u32,
    /// How many are kept, with the journal after the oldest of them: so far back the past can be seen.
    pub kept: u32,
}

impl Default for SnapshotSettings {
    fn default() -> Self {
        Self { every_s: 300, mib_per_s: 64, kept: 2 }
    }
}

impl SnapshotSettings {
    pub(super) fn read(section: Option<Section<'_>>) -> Self {
        let mut snapshots = Self::default();
        let Some(section) = section else { return snapshots };
        snapshots.every_s = section.integer_or("every_s", 0..=86_400, snapshots.every_s);
        snapshots.mib_per_s = config::integer_or(&section, "mib_per_s", 1..=100_000, snapshots.mib_per_s);
        snapshots.kept = config::integer_or(&section, "kept", 2..=10_000, snapshots.kept);
        section.finish();
        snapshots
    }
}
