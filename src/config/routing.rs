//! `[routes.NAME]` and `[stand_in.NAME]`: whose a message is, and what we decide in a party's place.

use crate::config::lifecycle;
use crate::config::link::LinkSettings;
use crate::config::money;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::NameId;
use crate::settings::Section;
use crate::switch::route::Conditions;
use crate::switch::route::Group;
use crate::switch::route::IinRange;
use crate::switch::route::LinkIndex;
use crate::switch::route::Member;
use crate::switch::route::Row;
use crate::switch::route::Strategy;
use crate::switch::route::Table;
use crate::switch::route::Target;
use crate::switch::stand_in::Floor;
use crate::switch::stand_in::Rules;

/// The target that is no link: the cards that are ours.
const LEDGER: &str = "ledger";
/// Most of a page of rows, so that their numbers fit.
const ROWS_MAX: usize = 10_000;

/// The routing table, as the file has it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RoutingSettings {
    table: Table,
}

impl RoutingSettings {
    /// Whether everything is for the ledger.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// The table.
    #[must_use]
    pub const fn table(&self) -> &Table {
        &self.table
    }

    pub(super) fn read(root: &Section<'_>, links: &[LinkSettings]) -> Self {
        let rules: Vec<Rules> =
            root.sections("stand_in").into_iter().map(|(name, section)| read_rules(name, section)).collect();
        let sections = root.sections("routes");
        if sections.len() > ROWS_MAX {
            root.report_at("routes", format!("there are more than {ROWS_MAX} rows"));
            return Self::default();
        }
        let rows = sections.iter().map(|(name, section)| Row {
            name: (*name).into(),
            conditions: read_conditions(section, links),
            target: read_target(section, links, &rules),
        });
        let rows: Vec<Row> = rows.collect();
        let table = Table::new(rows, rules).unwrap_or_else(|ambiguous| {
            for found in ambiguous {
                let message = format!("{found}; name more of one of them, or a longer `iin`");
                let at = sections.iter().find(|(name, _)| **name == *found.second);
                match at {
                    Some((_, section)) => section.report(message),
                    None => root.report(message),
                }
            }
            Table::default()
        });
        sections.into_iter().for_each(|(_, section)| section.finish());
        Self { table }
    }
}

fn position(links: &[LinkSettings], name: &str) -> Option<LinkIndex> {
    let at = links.iter().position(|link| link.name == name)?;
    u16::try_from(at).ok().map(LinkIndex)
}

fn no_link(section: &Section<'_>, key: &str, name: &str, links: &[LinkSettings]) {
    let known: Vec<&str> = links.iter().map(|link| link.name.as_str()).collect();
    section.report_at(key, format!("there is no link `{name}`; there are {}", known.join(", ")));
}

fn read_conditions(section: &Section<'_>, links: &[LinkSettings]) -> Conditions {
    let conditions = Conditions {
        iins: list(
            section,
            "iin",
            "no beginning of a card number such as \"4\" or \"520000-529999\"",
            IinRange::from_text,
        ),
        transactions: transactions(section, "transaction"),
        mccs: if section.has("mcc") { mccs(section) } else { Vec::new() },
        amounts: read_amounts(section),
        currencies: list(section, "currency", "no currency: three digits (ISO 4217)", |text| {
            number(text, 3).and_then(Currency::new)
        }),
        countries: list(section, "country", "no country: three digits (ISO 3166)", |text| number(text, 3)),
        sources: read_sources(section, links),
    };
    if conditions.amounts.is_some() && conditions.currencies.len() != 1 {
        section.report_at("currency", "an amount is one of one currency: name that one");
    }
    if conditions == Conditions::default() {
        section.report(
            "a row without a condition would take every message that no other takes; name at least one",
        );
    }
    conditions
}

fn read_sources(section: &Section<'_>, links: &[LinkSettings]) -> Vec<NameId> {
    let mut found = Vec::new();
    for name in section.texts("from") {
        match position(links, name) {
            Some(_) => found.push(NameId::of(name)),
            None => no_link(section, "from", name, links),
        }
    }
    found
}

/// Items of a list of texts; what is none is reported, and so is a list of nothing.
fn list<T>(section: &Section<'_>, key: &str, none: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
    let texts = section.texts(key);
    if section.has(key) && texts.is_empty() {
        section.report_at(key, format!("nothing is named, so the row would never fit; leave `{key}` out"));
    }
    let mut found = Vec::new();
    for text in texts {
        match read(text) {
            Some(item) => found.push(item),
            None => section.report_at(key, format!("\"{text}\" is {none}")),
        }
    }
    found
}

fn number(text: &str, digits: usize) -> Option<u16> {
    let right = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| right)
}

fn transactions(section: &Section<'_>, key: &str) -> Vec<u8> {
    list(section, key, "no transaction type: two digits, as DE 3 begins", |text| {
        number(text, 2).and_then(|number| u8::try_from(number).ok())
    })
}

fn mccs(section: &Section<'_>) -> Vec<(u16, u16)> {
    lifecycle::mccs(section).into_iter().map(|range| (*range.start(), *range.end())).collect()
}

fn read_amounts(section: &Section<'_>) -> Option<(i64, i64)> {
    let most = i64::MAX as u64;
    let from = section.integer("amount_min", 0..=most);
    let to = section.integer("amount_max", 0..=most);
    if from.is_none() && to.is_none() {
        return None;
    }
    let range = (from.unwrap_or(0) as i64, to.unwrap_or(most) as i64);
    if range.0 > range.1 {
        section.report_at("amount_max", "less than `amount_min`: the row would never fit");
    }
    Some(range)
}

fn read_target(section: &Section<'_>, links: &[LinkSettings], rules: &[Rules]) -> Target {
    let names = section.texts("to");
    if names.is_empty() {
        section.report(format!("`{}.to` is missing: a list of links, or [\"{LEDGER}\"]", section.path()));
    }
    let strategy = section
        .choice(
            "strategy",
            &[
                ("failover", Strategy::Failover),
                ("round-robin", Strategy::RoundRobin),
                ("weighted", Strategy::Weighted),
            ],
        )
        .unwrap_or_default();
    let weights = section.integers("weights", 1..=1_000_000);
    let weighted = strategy == Strategy::Weighted;
    if weighted != section.has("weights") || weighted && weights.len() != names.len() {
        section.report_at(
            "weights",
            "there is one for each link in `to` where `strategy` is \"weighted\", else none",
        );
    }
    let stand_in = section.text("stand_in").and_then(|name| {
        let at = rules.iter().position(|rules| &*rules.name == name);
        if at.is_none() {
            section.report_at("stand_in", format!("there is no `[stand_in.{name}]`"));
        }
        u16::try_from(at?).ok()
    });
    if names == [LEDGER] {
        if let Some(key) = ["strategy", "weights", "stand_in"].iter().find(|key| section.has(key)) {
            section.report_at(key, "this is for rows that lead to links");
        }
        return Target::Ledger;
    }
    let mut members: Vec<Member> = Vec::new();
    for (n, name) in names.iter().enumerate() {
        match position(links, name) {
            None if *name == LEDGER => {
                section.report_at("to", "the ledger is no link among others: let it stand alone")
            }
            None => no_link(section, "to", name, links),
            Some(link) if members.iter().any(|member| member.link == link) => {
                section.report_at("to", format!("`{name}` stands there twice"));
            }
            Some(link) => {
                let weight = weights.get(n).map_or(1, |weight| u32::try_from(*weight).unwrap_or(1));
                members.push(Member { link, weight });
            }
        }
    }
    // Among the links that may be chosen is a bit for each.
    if members.len() > 64 {
        section.report_at("to", "a row leads to 64 links at most");
    }
    Target::Group(Group { members, strategy, stand_in })
}

fn read_rules(name: &str, section: Section<'_>) -> Rules {
    let transactions =
        if section.has("transaction") { transactions(&section, "transaction") } else { vec![0] };
    let money = |amounts: Vec<(Currency, i64)>| -> Vec<Money> {
        amounts.into_iter().map(|(currency, minor)| Money::new(minor, currency)).collect()
    };
    let mut floors = Vec::new();
    for (_, floor) in section.sections("floors") {
        let mccs = mccs(&floor);
        let amounts = floor.section("amount").map(money::read_amounts).unwrap_or_default();
        if amounts.is_empty() || mccs.is_empty() {
            floor.report("a floor of its own has `mcc` and `amount = { \"840\" = 5000 }`");
        }
        floors.extend(money(amounts).into_iter().map(|most| Floor { most, mccs: mccs.clone() }));
        floor.finish();
    }
    let general = section.section("floor").map(money::read_amounts).unwrap_or_default();
    floors.extend(money(general).into_iter().map(|most| Floor { most, mccs: Vec::new() }));
    if floors.is_empty() {
        section.report("without a floor limit nothing is approved; add `floor = { \"840\" = 5000 }`");
    }
    let exposure = section.section("exposure").map(money::read_amounts).unwrap_or_default();
    let count = section.integer_or("count", 1..=u32::MAX.into(), 5);
    let rules = Rules {
        name: name.into(),
        transactions,
        floors,
        exposure: money(exposure),
        count: u32::try_from(count).unwrap_or(u32::MAX),
    };
    section.finish();
    rules
}
