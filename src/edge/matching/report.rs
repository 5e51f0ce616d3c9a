//! What a capture tells about a party's answers, as a person reads it and as a program does. It has positions, data
//! elements and DE 11, and no other value of a message.

use std::fmt::Write;

use serde_json::Value as Json;
use serde_json::json;

use crate::dialect::Dialect;
use crate::edge::matching::pairs::Echoes;
use crate::edge::matching::pairs::Finding;
use crate::edge::matching::pairs::Pairs;
use crate::edge::matching::pairs::Place;
use crate::edge::matching::pairs::Tally;
use crate::edge::matching::pairs::What;
use crate::switch::matching::MatchKey;

/// What was found in a capture, and the names of its inputs.
pub(super) struct Report<'r> {
    pub(super) dialect: &'r Dialect,
    pub(super) pairs: &'r Pairs<'r>,
    pub(super) inputs: &'r [String],
}

fn list(key: MatchKey) -> String {
    key.elements().map(|element| element.to_string()).collect::<Vec<String>>().join(", ")
}

impl Report<'_> {
    /// The key is unique, and every answer has its request. A capture without an answer proves nothing.
    pub(super) fn is_right(&self) -> bool {
        self.pairs.counts.findings == 0 && self.pairs.counts.paired > 0
    }

    /// The strongest key that the party's answers can be known by, when it is one: of any capture with an answer in
    /// which nothing but that key is wrong.
    fn proven(&self) -> Option<(MatchKey, Tally)> {
        let (key, tally) = self.pairs.strongest();
        (self.pairs.counts.paired > 0 && tally.is_right()).then_some((key, tally))
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        let counts = &self.pairs.counts;
        let (key, tally) = self.pairs.asked();
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{} requests ({} without an answer, {} repeats), {} answers, {} other messages",
            counts.requests, counts.unanswered, counts.repeats, counts.answers, counts.others
        );
        let how = if key.is_named() { "" } else { ", as far as answers have them" };
        let _ = writeln!(text, "key: MTI and DE {}{how}", list(key));
        let unique = match (tally.is_unique(), counts.paired) {
            (_, 0) => "nothing is proved: no answer has its request in the capture".to_owned(),
            (true, _) => {
                "unique: no two open requests share it, and no answer fits another's request".to_owned()
            }
            (false, _) => format!(
                "NOT unique: {} pairs of open requests share it, {} answers would be taken for another's",
                tally.collisions, tally.mistaken
            ),
        };
        let _ = writeln!(text, "{unique}");
        let _ = writeln!(text, "matched: {} of {} answers", counts.matched, counts.answers);
        self.elements(&mut text);
        self.advice(&mut text);
        text
    }

    fn elements(&self, text: &mut String) {
        let mut heading = true;
        for (element, Echoes { same, changed, absent }) in self.pairs.echoes() {
            if core::mem::take(&mut heading) {
                let _ = writeln!(
                    text,
                    "\n{:<44} {:>9} {:>9} {:>9}",
                    "in answers", "the same", "changed", "absent"
                );
            }
            let name = format!("DE {element} {}", self.dialect.field_name(element));
            let name: String = name.chars().take(44).collect();
            let _ = writeln!(text, "{name:<44} {same:>9} {changed:>9} {absent:>9}");
        }
    }

    fn advice(&self, text: &mut String) {
        if self.pairs.counts.paired == 0 {
            return;
        }
        let (key, tally) = self.pairs.strongest();
        let _ = writeln!(text, "\nall answers agree in DE {}", list(key));
        let others = MatchKey::STRONG.elements().filter(|element| !key.has(*element));
        for element in others {
            let found = self.pairs.echoes().find(|(other, _)| *other == element).map(|(_, echoes)| echoes);
            let why = match found.unwrap_or_default() {
                Echoes { same: 0, changed: 0, absent: 0 } => "no request with an answer has it".to_owned(),
                Echoes { same: 0, changed: 0, .. } => "they never echo it".to_owned(),
                Echoes { changed: 0, absent, .. } => format!("{absent} leave it out"),
                Echoes { changed, .. } => format!("{changed} change it"),
            };
            let _ = writeln!(text, "not in DE {element}: {why}");
        }
        match self.proven() {
            Some((key, _)) => {
                let _ = writeln!(text, "the strongest key of this party, in `[links.NAME.forward]`:");
                let _ = writeln!(text, "match_on = [{}]", list(key));
            }
            None => {
                let _ = writeln!(
                    text,
                    "that is no key: {} pairs of open requests share it, {} answers would be taken for another's",
                    tally.collisions, tally.mistaken
                );
            }
        }
        if key.is_weak() {
            let _ = writeln!(
                text,
                "without DE 7 and DE 37 an answer that comes a round of DE 11 too late may be taken for another's"
            );
        }
    }

    /// What is wrong, a line for each.
    pub(super) fn findings(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.pairs.findings.iter().map(|finding| self.line(finding)).collect();
        let more = self.pairs.counts.findings - lines.len() as u64;
        if more > 0 {
            lines.push(format!("and {more} more"));
        }
        lines
    }

    fn place(&self, place: Place) -> String {
        let name = self.inputs.get(place.input).map_or("", String::as_str);
        format!("{name}, offset {}", place.offset)
    }

    fn line(&self, finding: &Finding) -> String {
        let at = self.place(finding.at);
        let named =
            finding.named.map_or_else(String::new, |(mti, stan)| format!("{mti:04} with DE 11 {stan:06} "));
        let request = |n: usize| {
            let place = finding.requests.get(n).copied().flatten();
            place.map_or_else(String::new, |place| format!("the request at {}", self.place(place)))
        };
        let what = match &finding.what {
            What::Collision => format!("has the key of {}, which is open", request(0)),
            What::Ambiguous if finding.requests[0].is_none() => {
                format!("would be taken for that to {}", request(1))
            }
            What::Ambiguous => {
                format!("answers {} and would be taken for that to {}", request(0), request(1))
            }
            What::Crossed if finding.requests[0].is_none() => {
                format!("has a DE 11 of nothing that is open, and DE 37 of {}", request(1))
            }
            What::Crossed => format!("has DE 11 of {}, and DE 37 of {}", request(0), request(1)),
            What::Differs(0) => format!("is of another type than an answer to {}", request(0)),
            What::Differs(element) => format!("does not agree in DE {element} with {}", request(0)),
            What::Orphan => "answers nothing that is open".to_owned(),
            What::Again => format!("answers {}, which was answered before", request(0)),
            What::Broken(why) => why.clone(),
        };
        format!("{at}: {named}{what}")
    }

    pub(super) fn json(&self) -> Json {
        let counts = &self.pairs.counts;
        let (key, tally) = self.pairs.asked();
        let elements: Vec<Json> = self
            .pairs
            .echoes()
            .map(|(element, Echoes { same, changed, absent })| {
                let name = self.dialect.field_name(element);
                json!({ "element": element, "name": name, "same": same, "changed": changed, "absent": absent })
            })
            .collect();
        json!({
            "dialect": self.dialect.name(),
            "key": key.elements().collect::<Vec<u8>>(),
            "key_must_be_there": key.is_named(),
            "right": self.is_right(),
            "unique": tally.is_unique() && counts.paired > 0,
            "requests": counts.requests,
            "repeats": counts.repeats,
            "unanswered": counts.unanswered,
            "answers": counts.answers,
            "matched": counts.matched,
            "others": counts.others,
            "collisions": tally.collisions,
            "mistaken": tally.mistaken,
            "elements": elements,
            "match_on": self.proven().map(|(key, _)| key.elements().collect::<Vec<u8>>()),
            "findings_in_all": counts.findings,
            "findings": self.pairs.findings.iter().map(|finding| self.finding_json(finding)).collect::<Vec<Json>>(),
        })
    }

    fn finding_json(&self, finding: &Finding) -> Json {
        let place = |place: Place| json!({ "input": self.inputs.get(place.input), "offset": place.offset });
        let (what, element) = match finding.what {
            What::Differs(element) => (finding.what.name(), Some(element)),
            _ => (finding.what.name(), None),
        };
        json!({
            "what": what,
            "at": place(finding.at),
            "mti": finding.named.map(|(mti, _)| format!("{mti:04}")),
            "stan": finding.named.map(|(_, stan)| format!("{stan:06}")),
            "element": element,
            "request": finding.requests[0].map(place),
            "other_request": finding.requests[1].map(place),
            "text": self.line(finding),
        })
    }
}
