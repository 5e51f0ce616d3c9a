//! `[history]`: how long closed authorizations can be found after they have left memory, and what that may take.

use crate::config;
use crate::settings::Section;

/// `[history]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistorySettings {
    /// How many days what has left memory can be found on disk (R9); zero for no history.
    pub match_days: u32,
    /// The most of the file system that it takes, in hundredths; past it the oldest days are let go of early.
    pub disk_share_percent: u32,
    /// How fast runs are merged at most, MiB a second, read and written.
    pub mib_per_s: u32,
    /// What has left memory is on disk after so many seconds at most.
    pub flush_every_s: u32,
    /// Segments of the journal that are kept for a history that is behind, at most.
    pub behind_segments_max: u32,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            match_days: 45,
            disk_share_percent: 25,
            mib_per_s: 32,
            flush_every_s: 30,
            behind_segments_max: 256,
        }
    }
}

impl HistorySettings {
    pub(super) fn read(section: Option<Section<'_>>) -> Self {
        let mut history = Self::default();
        let Some(section) = section else { return history };
        let read = |key, range, default| config::integer_or(&section, key, range, default);
        history.match_days = read("match_days", 0..=366, history.match_days);
        history.disk_share_percent = read("disk_share_percent", 1..=90, history.disk_share_percent);
        history.mib_per_s = read("mib_per_s", 1..=100_000, history.mib_per_s);
        history.flush_every_s = read("flush_every_s", 1..=3_600, history.flush_every_s);
        history.behind_segments_max =
            read("behind_segments_max", 1..=16_777_216, history.behind_segments_max);
        section.finish();
        history
    }
}
