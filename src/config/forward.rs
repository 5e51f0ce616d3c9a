//! `[links.NAME.forward]`: a link as a party that requests are forwarded to.

use crate::config;
use crate::dialect::carry::Carriage;
use crate::dialect::carry::Carry;
use crate::settings::Section;
use crate::switch::matching::MatchKey;
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
        one_host: false,
        match_on: MatchKey::STRONG,
        bounds: Bounds { stored_max: 1_000_000, originals_max: 262_144, reversal_window_s: 7 * 86_400 },
    };
    let Some(section) = section else {
        return ForwardSettings { party: defaults(), carriage: Carriage::default() };
    };
    let ms = |key, range, default| section.integer_or(key, range, default) * NANOS_PER_MS;
    let count = |key, range, default| section.integer_or(key, range, default) as usize;
    let most = count("in_flight_max", 1..=65_536, 4_096);
    let least = count("in_flight_min", 1..=65_536, 16);
    let party = PartySettings {
        timeout_ns: ms("timeout_ms", 1..=60_000, 3_000),
        margin_ns: ms("margin_ms", 0..=60_000, 250),
        in_flight: (most, least.min(most)),
        sick_after: config::integer_or(&section, "sick_after", 1..=1_000_000, 8),
        probe_ns: ms("probe_ms", 1..=3_600_000, 1_000),
        window: count("window", 1..=65_536, 64),
        per_second: config::integer_or(&section, "per_second", 0..=1_000_000, 0),
        again_ns: (ms("again_ms", 1..=600_000, 1_000), ms("again_max_ms", 1..=86_400_000, 60_000)),
        refusals_max: config::integer_or(&section, "refusals_max", 1..=1_000_000, 3),
        one_host: section.flag_or("one_host", false),
        match_on: match_on(&section),
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
        let message = format!("less than `again_ms`, which is {}", party.again_ns.0 / NANOS_PER_MS);
        section.report_at("again_max_ms", message);
    }
    if section.has("in_flight_min") && least > most {
        section.report_at("in_flight_min", format!("more than `in_flight_max`, which is {most}"));
    }
    section.finish();
    ForwardSettings { party, carriage }
}

/// What answers are known by: all that can be compared where nothing is written.
fn match_on(section: &Section<'_>) -> MatchKey {
    const KEY: &str = "match_on";
    let before = section.mistakes();
    let elements = section.integers(KEY, 1..=u64::from(u8::MAX));
    if !section.has(KEY) || section.mistakes() > before {
        return MatchKey::STRONG;
    }
    let elements: Vec<u8> = elements.iter().filter_map(|element| u8::try_from(*element).ok()).collect();
    MatchKey::of(&elements).unwrap_or_else(|error| {
        section.report_at(KEY, format!("`{}.{KEY}`: {error}", section.path()));
        MatchKey::STRONG
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const LINK: &str =
        "[links.there]\ndialect = \"visa\"\nconnect = [\"127.0.0.1:9000\"]\n[links.there.forward]\n";

    #[test]
    fn what_is_written_is_taken_and_the_rest_has_a_default() {
        let of = |text: &str| {
            let config = Config::from_toml("f.toml", &format!("{LINK}{text}")).expect("a right file");
            config.links[0].forward.clone()
        };
        let plain = of("");
        assert_eq!((plain.party.timeout_ns, plain.party.margin_ns), (3_000_000_000, 250_000_000));
        assert_eq!((plain.party.in_flight, plain.party.sick_after, plain.party.window), ((4_096, 16), 8, 64));
        assert_eq!(plain.party.again_ns, (1_000_000_000, 60_000_000_000));
        assert_eq!((plain.party.per_second, plain.party.refusals_max, plain.party.one_host), (0, 3, false));
        assert_eq!(plain.carriage, Carriage { pin: Carry::Refuse, mac: Carry::Refuse, mappings: Vec::new() });
        assert_eq!(plain.party.bounds.reversal_window_s, 604_800);
        assert_eq!((plain.party.match_on, plain.party.match_on.is_named()), (MatchKey::STRONG, false));
        let listens = "[links.there]\ndialect = \"visa\"\nlisten = \"127.0.0.1:9000\"\n";
        assert_eq!(Config::from_toml("f.toml", listens).expect("a right file").links[0].forward, plain);
        let text = "timeout_ms = 400\nmargin_ms = 0\nin_flight_max = 8\nsick_after = 2\nprobe_ms = 5\nwindow = 1\n\
            per_second = 10\nagain_ms = 100\nagain_max_ms = 100\nrefusals_max = 1\n\
            one_host = true\npin = \"pass\"\nmac = \"drop\"\n\
            map = [\"48:112\", \"55:55\"]\nstored_max = 1\noriginals_max = 2\nreversal_window_s = 3\n\
            match_on = [41, 7, 11]\n";
        let bounds = Bounds { stored_max: 1, originals_max: 2, reversal_window_s: 3 };
        let party = PartySettings {
            timeout_ns: 400_000_000,
            margin_ns: 0,
            // Fewer than the least that there would be: so it is the least too.
            in_flight: (8, 8),
            sick_after: 2,
            probe_ns: 5_000_000,
            window: 1,
            per_second: 10,
            again_ns: (100_000_000, 100_000_000),
            refusals_max: 1,
            one_host: true,
            match_on: MatchKey::of(&[7, 11, 41]).expect("a key"),
            bounds,
        };
        let carriage = Carriage { pin: Carry::Pass, mac: Carry::Drop, mappings: vec![(48, 112), (55, 55)] };
        assert_eq!(of(text), ForwardSettings { party, carriage });
    }

    #[test]
    fn every_mistake_has_its_place_and_its_words() {
        let table = [
            ("timeout_ms = 0", 5, "`links.there.forward.timeout_ms` must be between 1 and 60000"),
            ("margin_ms = 60001", 5, "between 0 and 60000"),
            ("in_flight_max = 0", 5, "between 1 and 65536"),
            ("in_flight_max = 5\nin_flight_min = 6", 6, "more than `in_flight_max`, which is 5"),
            ("sick_after = 0", 5, "between 1 and"),
            ("probe_ms = 0", 5, "between 1 and"),
            ("window = 0", 5, "between 1 and"),
            ("per_second = 1000001", 5, "between 0 and 1000000"),
            ("again_ms = 500\nagain_max_ms = 499", 6, "less than `again_ms`, which is 500"),
            ("again_ms = 60001", 4, "less than `again_ms`, which is 60001"),
            ("refusals_max = 0", 5, "between 1 and"),
            ("pin = \"drop\"", 5, "one of refuse, pass"),
            ("mac = \"no\"", 5, "one of refuse, pass, drop"),
            ("map = [\"48\"]", 5, "\"48\" is no pair of data elements"),
            ("map = [\"48:1\"]", 5, "\"48:1\" is no pair"),
            ("map = [\"193:48\"]", 5, "\"193:48\" is no pair"),
            ("map = \"48:48\"", 5, "must be a list of strings"),
            ("stored_max = 0", 5, "between 1 and"),
            ("originals_max = 0", 5, "between 1 and"),
            ("reversal_window_s = 31622401", 5, "between 1 and 31622400"),
            ("match_on = [7, 37]", 5, "`links.there.forward.match_on`: DE 11 is missing"),
            ("match_on = []", 5, "DE 11 is missing"),
            ("match_on = [7, 11, 37, 7]", 5, "DE 7 stands there twice"),
            (
                "match_on = [7, 11, 42]",
                5,
                "compared by DE 42; those that can be named are 7, 11, 32, 37 and 41",
            ),
            ("match_on = [7, 11, 4]", 5, "DE 4 is not what a message is known by but what is decided"),
            ("match_on = [7, 11, 51]", 5, "DE 51 is not what"),
            ("match_on = [11, 0]", 5, "not one of the integers allowed here"),
            ("match_on = [11, 256]", 5, "not one of the integers allowed here"),
            ("match_on = [11, \"37\"]", 5, "not one of the integers allowed here"),
            ("match_on = 11", 5, "must be a list of integers"),
            ("timeout_s = 1", 5, "unknown key `links.there.forward.timeout_s`"),
        ];
        for (text, line, words) in table {
            let findings = Config::from_toml("f.toml", &format!("{LINK}{text}\n")).err().unwrap_or_default();
            let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
            assert_eq!(findings.len(), 1, "{text}: {findings:?}");
            assert!(findings[0].starts_with(&format!("f.toml:{line}:")), "{text}: {findings:?}");
            assert!(findings[0].contains(words), "{text}: {findings:?}");
        }
    }
}
