//! `[routes.NAME]` and `[stand_in.NAME]`: whose a message is, and what we decide in a party's place.

use crate::config::lifecycle;
use crate::config::link::LinkSettings;
use crate::config::money;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::NameId;
use crate::domain::request::ProcessingCode;
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
use crate::switch::stand_in::can_wait;

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
        let rows = sections.iter().filter_map(|(name, section)| {
            let before = section.mistakes();
            let (conditions, target) = (read_conditions(section, links), read_target(section, links, &rules));
            report_return(section, &conditions, &target, links);
            // What is wrong by itself is not compared with others.
            let right = section.mistakes() == before;
            right.then(|| Row { name: (*name).into(), conditions, target })
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

/// `iin`.
pub(super) fn iins(section: &Section<'_>) -> Vec<IinRange> {
    let mistake = "no beginning of a card number such as \"4\" or \"520000-529999\"";
    list(section, "iin", mistake, IinRange::from_text)
}

fn read_conditions(section: &Section<'_>, links: &[LinkSettings]) -> Conditions {
    let before = section.mistakes();
    let conditions = Conditions {
        iins: iins(section),
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
    if conditions == Conditions::default() && section.mistakes() == before {
        section.report(
            "a row without a condition would take every message that no other takes; name at least one",
        );
    }
    conditions
}

/// A message never goes back to where it came from: a row that leads there alone declines everything of it.
fn report_return(section: &Section<'_>, conditions: &Conditions, target: &Target, links: &[LinkSettings]) {
    let Target::Group(Group { members, .. }) = target else { return };
    let [member] = members.as_slice() else { return };
    let Some(link) = links.get(usize::from(member.link.0)) else { return };
    if conditions.sources.contains(&NameId::of(&link.name)) {
        let name = &link.name;
        section.report_at("to", format!("what comes from `{name}` leads nowhere but back to it"));
    }
}

fn read_sources(section: &Section<'_>, links: &[LinkSettings]) -> Vec<NameId> {
    report_nothing(section, "from");
    let mut found = Vec::new();
    for name in section.texts("from") {
        match position(links, name) {
            Some(_) => found.push(NameId::of(name)),
            None => no_link(section, "from", name, links),
        }
    }
    found
}

fn report_nothing(section: &Section<'_>, key: &str) {
    if section.has_nothing(key) {
        section.report_at(key, format!("nothing is named; leave `{key}` out if it does not matter"));
    }
}

/// Items of a list of texts; what is none is reported, and so is a list of nothing.
fn list<T>(section: &Section<'_>, key: &str, none: &str, read: impl Fn(&str) -> Option<T>) -> Vec<T> {
    report_nothing(section, key);
    let mut found = Vec::new();
    for text in section.texts(key) {
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
    if !section.has("to") || section.has_nothing("to") {
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
    let before = section.mistakes();
    let transactions =
        if section.has("transaction") { transactions(&section, "transaction") } else { vec![0] };
    for never in transactions.iter().filter(|kind| can_wait(ProcessingCode(u32::from(**kind) * 10_000))) {
        section.report_at("transaction", format!("\"{never:02}\" is never approved in a party's place"));
    }
    let money = |amounts: Vec<(Currency, i64)>| -> Vec<Money> {
        amounts.into_iter().map(|(currency, minor)| Money::new(minor, currency)).collect()
    };
    let mut floors = Vec::new();
    for (_, floor) in section.sections("floors") {
        let before = floor.mistakes();
        let mccs = mccs(&floor);
        let amounts = floor.section("amount").map(money::read_amounts).unwrap_or_default();
        if (amounts.is_empty() || mccs.is_empty()) && floor.mistakes() == before {
            floor.report("a floor of its own has `mcc` and `amount = { \"840\" = 5000 }`");
        }
        floors.extend(money(amounts).into_iter().map(|most| Floor { most, mccs: mccs.clone() }));
        floor.finish();
    }
    let general = section.section("floor").map(money::read_amounts).unwrap_or_default();
    floors.extend(money(general).into_iter().map(|most| Floor { most, mccs: Vec::new() }));
    if floors.is_empty() && section.mistakes() == before {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    /// Two links, and the head of a row.
    const LINKS: &str = "[links.visa]\ndialect = \"visa\"\nlisten = \"127.0.0.1:8583\"\n\
        [links.there]\ndialect = \"visa\"\nconnect = [\"127.0.0.1:9000\"]\n";
    const ROW: &str = "[routes.there]\n";

    fn findings(text: &str) -> Vec<String> {
        let findings = Config::from_toml("f.toml", text).err().unwrap_or_default();
        findings.iter().map(ToString::to_string).collect()
    }

    fn config(text: &str) -> Config {
        Config::from_toml("f.toml", text).expect("a right file")
    }

    #[test]
    fn what_is_written_is_taken() {
        assert!(config(LINKS).routes.is_empty(), "without rows everything is ours");
        let text = format!(
            "{LINKS}{ROW}iin = [\"4\", \"520000-529999\"]\ntransaction = [\"00\", \"01\"]\n\
             mcc = [\"5411\", \"7011-7099\"]\namount_min = 100\ncurrency = [\"840\"]\ncountry = [\"250\"]\n\
             from = [\"visa\"]\nto = [\"there\", \"visa\"]\nstrategy = \"weighted\"\nweights = [9, 1]\n\
             stand_in = \"small\"\n[routes.ours]\niin = [\"41\"]\nto = [\"ledger\"]\n\
             [stand_in.small]\ntransaction = [\"00\", \"09\"]\nfloor = {{ \"840\" = 5000, \"978\" = 4000 }}\n\
             exposure = {{ \"840\" = 9000 }}\ncount = 3\n\
             [stand_in.small.floors.fuel]\nmcc = [\"5542\"]\namount = {{ \"840\" = 10000 }}\n"
        );
        let routes = config(&text).routes;
        let [there, ours] = routes.table().rows() else { panic!("two rows") };
        let iins: Vec<IinRange> =
            ["4", "520000-529999"].into_iter().filter_map(IinRange::from_text).collect();
        let dollars = Currency::new(840).expect("a currency");
        let conditions = Conditions {
            iins,
            transactions: vec![0, 1],
            mccs: vec![(5411, 5411), (7011, 7099)],
            amounts: Some((100, i64::MAX)),
            currencies: vec![dollars],
            countries: vec![250],
            sources: vec![NameId::of("visa")],
        };
        assert_eq!((&*there.name, &there.conditions), ("there", &conditions));
        let members =
            vec![Member { link: LinkIndex(1), weight: 9 }, Member { link: LinkIndex(0), weight: 1 }];
        let group = Group { members, strategy: Strategy::Weighted, stand_in: Some(0) };
        assert_eq!((&there.target, &ours.target), (&Target::Group(group), &Target::Ledger));
        let rules = routes.table().stand_in(0).expect("rules");
        let euros = Currency::new(978).expect("a currency");
        let floor = |minor, currency, mccs: &[(u16, u16)]| Floor {
            most: Money::new(minor, currency),
            mccs: mccs.to_vec(),
        };
        // A floor of its own counts before the one of all.
        let floors = vec![
            floor(10_000, dollars, &[(5542, 5542)]),
            floor(5_000, dollars, &[]),
            floor(4_000, euros, &[]),
        ];
        let exposure = vec![Money::new(9_000, dollars)];
        let expected = Rules { name: "small".into(), transactions: vec![0, 9], floors, exposure, count: 3 };
        assert_eq!(rules, &expected);
        assert_eq!(routes.table().stand_in(1), None);
    }

    #[test]
    fn what_is_not_written_has_a_default() {
        let text =
            format!("{LINKS}{ROW}iin = [\"4\"]\nto = [\"there\"]\n[stand_in.a]\nfloor = {{ \"840\" = 1 }}\n");
        let routes = config(&text).routes;
        let members = vec![Member { link: LinkIndex(1), weight: 1 }];
        let group = Group { members, strategy: Strategy::Failover, stand_in: None };
        assert_eq!(routes.table().rows()[0].target, Target::Group(group));
        let rules = routes.table().stand_in(0).expect("rules");
        assert_eq!((rules.transactions.as_slice(), rules.count, rules.exposure.len()), (&[0][..], 5, 0));
    }

    /// The heading of a row is line 7.
    #[test]
    fn every_mistake_has_its_place_and_its_words() {
        let row = |lines: &str| format!("{LINKS}{ROW}{lines}\n");
        let to = |line: &str| row(&format!("iin = [\"4\"]\n{line}"));
        let when = |line: &str| row(&format!("to = [\"there\"]\n{line}"));
        let rules = |line: &str| format!("{LINKS}[stand_in.small]\nfloor = {{ \"840\" = 1 }}\n{line}\n");
        let table = [
            (when("iin = [\"4x\"]"), 9, "\"4x\" is no beginning of a card number"),
            (when("iin = [\"55-44\"]"), 9, "\"55-44\" is no beginning"),
            (when("iin = [\"4\", \"40-411\"]"), 9, "\"40-411\" is no beginning"),
            (when("iin = []"), 9, "nothing is named; leave `iin` out"),
            (when("iin = \"4\""), 9, "must be a list of strings"),
            (when("transaction = [\"0\"]"), 9, "\"0\" is no transaction type"),
            (when("transaction = [\"+1\"]"), 9, "\"+1\" is no transaction type"),
            (when("mcc = [\"541\"]"), 9, "\"541\" is no merchant category"),
            (when("mcc = [\"+541\"]"), 9, "\"+541\" is no merchant category"),
            (when("mcc = [\"5412-5411\"]"), 9, "is no merchant category"),
            (when("mcc = []"), 9, "no category is named"),
            (when("currency = [\"USD\"]"), 9, "\"USD\" is no currency"),
            (when("currency = [\"84\"]"), 9, "\"84\" is no currency"),
            (when("country = [\"US\"]"), 9, "\"US\" is no country"),
            (when("from = [\"nowhere\"]"), 9, "there is no link `nowhere`; there are visa, there"),
            (when("from = []"), 9, "nothing is named; leave `from` out"),
            (when("amount_max = 5"), 7, "an amount is one of one currency"),
            (when("amount_max = 5\ncurrency = [\"840\", \"978\"]"), 10, "an amount is one of one currency"),
            (when("amount_min = 6\namount_max = 5\ncurrency = [\"840\"]"), 10, "less than `amount_min`"),
            (when("amount_min = -1\ncurrency = [\"840\"]"), 9, "between 0 and"),
            (when(""), 7, "a row without a condition would take every message"),
            (when("iin = [\"4\"]\ncolour = 1"), 10, "unknown key `routes.there.colour`"),
            (to(""), 7, "`routes.there.to` is missing"),
            (to("to = []"), 7, "`routes.there.to` is missing"),
            (to("to = \"there\""), 9, "must be a list of strings"),
            (to("to = [\"nowhere\"]"), 9, "there is no link `nowhere`"),
            (to("to = [\"there\", \"there\"]"), 9, "`there` stands there twice"),
            (to("to = [\"there\", \"ledger\"]"), 9, "the ledger is no link among others"),
            (
                to("from = [\"visa\", \"there\"]\nto = [\"there\"]"),
                10,
                "what comes from `there` leads nowhere",
            ),
            (to("to = [\"there\"]\nstrategy = \"best\""), 10, "one of failover, round-robin, weighted"),
            (to("to = [\"there\"]\nweights = [1]"), 10, "where `strategy` is \"weighted\""),
            (to("to = [\"there\"]\nstrategy = \"weighted\""), 7, "there is one for each link in `to`"),
            (to("to = [\"there\"]\nstrategy = \"weighted\"\nweights = [1, 2]"), 11, "there is one for each"),
            (to("to = [\"there\"]\nstand_in = \"none\""), 10, "there is no `[stand_in.none]`"),
            (to("to = [\"ledger\"]\nstrategy = \"failover\""), 10, "this is for rows that lead to links"),
            (
                to("to = [\"there\"]\n[routes.more]\niin = [\"4-5\"]\nto = [\"visa\"]"),
                10,
                "the rows `there` and `more` are as strong as each other, and both fit cards that begin with 4; name",
            ),
            (rules("transaction = [\"1\"]"), 9, "\"1\" is no transaction type"),
            (rules("transaction = [\"00\", \"20\"]"), 9, "\"20\" is never approved"),
            (rules("transaction = [\"30\"]"), 9, "\"30\" is never approved"),
            (rules("exposure = { USD = 1 }"), 9, "no ISO 4217 code"),
            (rules("count = 0"), 9, "between 1 and"),
            (rules("limit = 1"), 9, "unknown key `stand_in.small.limit`"),
            (rules("[stand_in.small.floors.a]\nmcc = [\"5411\"]"), 9, "a floor of its own has `mcc`"),
            (rules("[stand_in.small.floors.a]\namount = { \"840\" = 5 }"), 9, "a floor of its own has `mcc`"),
            (rules("[stand_in.small.floors.a]\nmcc = [\"x\"]\namount = { \"840\" = 5 }"), 10, "no merchant"),
            (format!("{LINKS}[stand_in.small]\n"), 7, "without a floor limit nothing is approved"),
            (format!("{LINKS}[stand_in.small]\nfloor = {{ \"840\" = -1 }}\n"), 8, "between 0 and"),
        ];
        for (text, line, words) in table {
            let findings = findings(&text);
            assert_eq!(findings.len(), 1, "{text}: {findings:?}");
            assert!(findings[0].starts_with(&format!("f.toml:{line}:")), "{text}: {findings:?}");
            assert!(findings[0].contains(words), "{text}: {findings:?}");
        }
    }

    #[test]
    fn rows_and_links_of_a_row_are_bounded() {
        let mut text = String::new();
        for n in 0..65 {
            text += &format!("[links.l{n}]\ndialect = \"visa\"\nconnect = [\"127.0.0.1:{}\"]\n", 9_000 + n);
        }
        let names: Vec<String> = (0..65).map(|n| format!("\"l{n}\"")).collect();
        let to = |count: usize| {
            format!("{text}[routes.all]\niin = [\"4\"]\nto = [{}]\n", names[..count].join(", "))
        };
        assert_eq!(findings(&to(64)), [""; 0]);
        assert!(findings(&to(65))[0].ends_with("a row leads to 64 links at most"));
        let mut text = LINKS.to_owned();
        for n in 0..=ROWS_MAX {
            text += &format!("[routes.r{n}]\niin = [\"{n:05}\"]\nto = [\"there\"]\n");
        }
        assert!(findings(&text)[0].ends_with("there are more than 10000 rows"));
    }
}
