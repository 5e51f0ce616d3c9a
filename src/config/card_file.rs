//! `[links.NAME.card_file]`: what the link's network is told of cards that may not be used any more (R32).

use std::collections::BTreeMap;

use crate::config;
use crate::config::routing;
use crate::domain::card::CardStatus;
use crate::settings::Section;
use crate::switch::card_file::CardFile;
use crate::switch::card_file::EXPIRY;
use crate::switch::card_file::UNTIL;

/// Elements that are ours to say: the card, the names of the message, and what the other keys say.
const OURS: [u8; 8] = [1, 2, 7, 11, 37, 39, 91, 101];
const FILE_NAME_MAX: usize = 17;

/// What stands there; `None` where nothing does.
pub(super) fn read(section: Option<Section<'_>>) -> Option<CardFile> {
    let section = section?;
    let iins = routing::iins(&section);
    if iins.is_empty() && !section.has("iin") {
        section.report(format!("`{}.iin` is missing: which cards are this network's", section.path()));
    }
    let name = section.required_text("name").unwrap_or_default();
    if name.len() > FILE_NAME_MAX || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
        section.report_at("name", format!("DE 101 has {FILE_NAME_MAX} letters and digits at most"));
    }
    let code = section.text("code").unwrap_or("1");
    if code.len() != 1 || !code.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        section.report_at("code", "DE 91 is one letter or digit; 1 adds a record");
    }
    let records: Vec<_> = CardStatus::ENDED
        .into_iter()
        .filter_map(|status| Some((status, record(&section.section(status.name())?))))
        .collect();
    if records.is_empty() {
        section.report(
            "nothing is told: name `lost`, `stolen` or `closed` and what the record has, if only `{}`",
        );
    }
    let days = config::integer_or(&section, "days", 1..=3_660, 90);
    section.finish();
    Some(CardFile { iins, name: name.into(), code: code.into(), days, records })
}

/// Elements by number: `lost = { "127" = "..." }`.
fn record(section: &Section<'_>) -> BTreeMap<u8, Box<str>> {
    let mut record = BTreeMap::new();
    for key in section.keys() {
        let element = key.parse::<u8>().ok().filter(|element| (2..=128).contains(element));
        match (element.filter(|element| !OURS.contains(element)), section.text(&key)) {
            (Some(element), Some(text)) => {
                if text.replace(UNTIL, "").replace(EXPIRY, "").contains(['{', '}']) {
                    section
                        .report_at(&key, format!("in braces stand {UNTIL} and {EXPIRY}, and nothing else"));
                }
                record.insert(element, text.into());
            }
            (None, _) => section.report_at(
                &key,
                format!("\"{}\" is no data element that is yours to say", key.escape_default()),
            ),
            // That it is no text was reported.
            (Some(_), None) => {}
        }
    }
    record
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::switch::route::IinRange;

    const LINK: &str =
        "[links.there]\ndialect = \"visa\"\nlisten = \"127.0.0.1:9000\"\n[links.there.card_file]\n";

    #[test]
    fn what_is_written_is_taken() {
        let text = "iin = [\"4\", \"520474\"]\nname = \"E2\"\nlost = { \"73\" = \"{until}\", \"127\" = \"C1\" }\n\
                    closed = {}\n";
        let config = Config::from_toml("f.toml", &format!("{LINK}{text}")).expect("a right file");
        let iins = ["4", "520474"].into_iter().filter_map(IinRange::from_text).collect();
        let lost = BTreeMap::from([(73, "{until}".into()), (127, "C1".into())]);
        let records = vec![(CardStatus::Lost, lost), (CardStatus::Closed, BTreeMap::new())];
        let expected = CardFile { iins, name: "E2".into(), code: "1".into(), days: 90, records };
        assert_eq!(config.links[0].card_file, Some(expected));
    }

    #[test]
    fn what_makes_no_sense_is_reported() {
        let right = "iin = [\"4\"]\nname = \"E2\"\n";
        let table = [
            ("name = \"E2\"\nlost = {}", "`links.there.card_file.iin` is missing"),
            ("iin = [\"4\"]\nlost = {}", "name"),
            ("iin = [\"x\"]\nname = \"E2\"\nlost = {}", "no beginning of a card number"),
            ("iin = [\"4\"]\nname = \"E 2\"\nlost = {}", "DE 101"),
            (right, "nothing is told"),
            (&format!("{right}lost = {{}}\ncode = \"12\""), "DE 91"),
            (&format!("{right}lost = {{}}\ndays = 0"), "between 1 and"),
            (
                &format!("{right}lost = {{ \"2\" = \"4000000000000002\" }}"),
                "is no data element that is yours",
            ),
            (&format!("{right}lost = {{ \"127\" = 5 }}"), "127"),
            (&format!("{right}lost = {{ \"37\" = \"000000000001\" }}"), "is no data element that is yours"),
            (
                &format!("{right}lost = {{ \"120\" = \"{{untill}}\" }}"),
                "in braces stand {until} and {expiry}",
            ),
            (&format!("{right}lost = {{}}\nfrozen = {{}}"), "frozen"),
        ];
        for (text, words) in table {
            let findings = Config::from_toml("f.toml", &format!("{LINK}{text}\n")).expect_err(text);
            assert!(findings.iter().any(|finding| finding.message.contains(words)), "{text}: {findings:?}");
        }
    }
}
