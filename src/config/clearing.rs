//! `[clearing]`: how clearing files are posted (R20).

use crate::config;
use crate::domain::party::NameId;
use crate::ledger::presented::Tolerance;
use crate::settings::Section;

/// `[clearing]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClearingSettings {
    /// How far above what was authorized a record may be that is matched by less than the network's id.
    pub tolerance: Tolerance,
    /// The network that IPM files are from, as links name it.
    pub ipm_network: NameId,
    /// The network that BASE II files are from, as links name it.
    pub base_two_network: NameId,
    /// The largest file that is taken, in MiB. It lies on the journal's disk while it is posted.
    pub file_mib_max: u32,
}

impl ClearingSettings {
    /// Reads it.
    pub(super) fn read(root: &Section<'_>) -> Self {
        let mut settings = Self {
            tolerance: Tolerance(20),
            ipm_network: NameId::of("mastercard"),
            base_two_network: NameId::of("visa"),
            file_mib_max: 4_096,
        };
        if let Some(section) = root.section("clearing") {
            let percent = config::integer_or(&section, "tolerance_percent", 0..=1_000, 20);
            settings.tolerance = Tolerance(percent as u16);
            settings.file_mib_max =
                config::integer_or(&section, "file_mib_max", 1..=1_048_576, settings.file_mib_max);
            let network = |key, otherwise| section.text(key).map_or(otherwise, NameId::of);
            settings.ipm_network = network("ipm_network", settings.ipm_network);
            settings.base_two_network = network("base_two_network", settings.base_two_network);
            section.finish();
        }
        settings
    }
}
