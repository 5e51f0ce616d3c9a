//! `[links.NAME.forward]`: a link as a party that requests are forwarded to.

use crate::config;
use crate::dialect::carry::Carriage;
use crate::dialect::carry::Carry;
use crate::settings::Section;
use crate::switch::settings::PartySettings;
use crate::switch::trunk::Bounds;

const NANOS_PER_MS: u64 = 1_000_000;

/// `[links.NAME.forward]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ForwardSettings {
    /// How the party is treated.
    pub party: PartySettings,
    /// What goes along to it, and what does not.
    pub carriage: Carriage,
}

/// What stands there, or the defaults where nothing does.
pub(super) fn read(section: Option<Section<'_>>) -> ForwardSettings {
    let defaults = || PartySettings {
        timeout_ns: 3_000 * NANOS_PER_MS,
        margin_ns: 250 * NANOS_PER_MS,
        in_flight: (4_096, 16),
        sick_after: 8,
        probe_ns: 1_000 * NANOS_PER_MS,
        window: 64,
        per_second: 0,
        again_ns: (1_000 * NANOS_PER_MS, 60_000 * NANOS_PER_MS),
        refusals_max: 3,
        bounds: Bounds { stored_max: 1_000_000, originals_max: 262_144, reversal_window_s: 7 * 86_400 },
    };
    let Some(section) = section else {
        return ForwardSettings { party: defaults(), carriage: Carriage::default() };
    };
    let ms = |key, range, default| section.integer_or(key, range, default) * NANOS_PER_MS;
    let count = |key, range, default| section.integer_or(key, range, default) as usize;
    let most = count("in_flight_max", 1..=65_536, 4_096);
    let party = PartySettings {
        timeout_ns: ms("timeout_ms", 1..=60_000, 3_000),
        margin_ns: ms("margin_ms", 0..=60_000, 250),
        in_flight: (most, count("in_flight_min", 1..=65_536, 16).min(most)),
        sick_after: config::integer_or(&section, "sick_after", 1..=1_000_000, 8),
        probe_ns: ms("probe_ms", 1..=3_600_000, 1_000),
        window: count("window", 1..=65_536, 64),
        per_second: config::integer_or(&section, "per_second", 0..=1_000_000, 0),
        again_ns: (ms("again_ms", 1..=600_000, 1_000), ms("again_max_ms", 1..=86_400_000, 60_000)),
        refusals_max: config::integer_or(&section, "refusals_max", 1..=1_000_000, 3),
        bounds: Bounds {
            stored_max: count("stored_max", 1..=100_000_000, 1_000_000),
            originals_max: count("originals_max", 1..=100_000_000, 262_144),
            reversal_window_s: config::integer_or(&section, "reversal_window_s", 1..=31_622_400, 7 * 86_400),
        },
    };
    let carriage = Carriage {
        pin: section
            .choice("pin", &[("refuse", Carry::Refuse), ("pass", Carry::Pass)])
            .unwrap_or(Carry::Refuse),
        mac: section
            .choice("mac", &[("refuse", Carry::Refuse), ("pass", Carry::Pass), ("drop", Carry::Drop)])
            .unwrap_or(Carry::Refuse),
        mappings: mappings(&section),
    };
    if party.again_ns.1 < party.again_ns.0 {
        section.report_at("again_max_ms", "less than `again_ms`");
    }
    section.finish();
    ForwardSettings { party, carriage }
}

/// Elements that mean the same in both dialects: `"48:48"`, from and to.
fn mappings(section: &Section<'_>) -> Vec<(u8, u8)> {
    let mut found = Vec::new();
    for text in section.texts("map") {
        let number = |text: &str| text.parse().ok().filter(|field| (2..=192).contains(field));
        match text.split_once(':').map(|(from, to)| (number(from), number(to))) {
            Some((Some(from), Some(to))) => found.push((from, to)),
            _ => {
                section.report_at("map", format!("\"{text}\" is no pair of data elements such as \"48:48\""))
            }
        }
    }
    found
}
