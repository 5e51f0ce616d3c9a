//! `[lifecycle]`, `[expiry.NAME]` and `[hold_increase.NAME]`: what an authorization holds, how long, and what ends it.

use core::ops::RangeInclusive;

use crate::authorizer::CreditsAt;
use crate::authorizer::expiry::ExpiryTable;
use crate::authorizer::expiry::Initiator;
use crate::authorizer::expiry::Row;
use crate::authorizer::increase;
use crate::authorizer::increase::Increases;
use crate::config;
use crate::config::money::read_amounts;
use crate::domain::money::Money;
use crate::domain::party::NameId;
use crate::domain::request::Finality;
use crate::settings::Section;

const SECONDS_PER_HOUR: u32 = 3_600;
/// A year and a day: longer than any network holds.
const HOURS_MAX: u32 = 366 * 24;
/// Nobody leaves a tip of more than what was bought.
const PERCENT_MAX: u32 = 100;

/// `[lifecycle]`, `[expiry.NAME]` and `[hold_increase.NAME]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LifecycleSettings {
    /// How long holds live (R19).
    pub expiry: ExpiryTable,
    /// How much more is held than is asked for.
    pub increases: Increases,
    /// When money from somebody else reaches the account (R15).
    pub credits: CreditsAt,
    /// How often the table of authorizations is looked through for those whose time is over, in seconds.
    pub expire_every_s: u32,
}

impl LifecycleSettings {
    /// Reads all of them. `hold_days` is how long a hold lives that no row is for.
    pub(super) fn read(root: &Section<'_>, hold_days: u32) -> Self {
        let otherwise_s = hold_days * 24 * SECONDS_PER_HOUR;
        let mut settings = Self {
            expiry: ExpiryTable { rows: Vec::new(), otherwise_s },
            increases: Increases::default(),
            credits: CreditsAt::default(),
            expire_every_s: 60,
        };
        if let Some(section) = root.section("lifecycle") {
            let names = [("clearing", CreditsAt::Clearing), ("authorization", CreditsAt::Authorization)];
            settings.credits = section.choice("credits_at", &names).unwrap_or_default();
            settings.expire_every_s =
                config::integer_or(&section, "expire_every_s", 1..=3_600, settings.expire_every_s);
            section.finish();
        }
        for (name, section) in root.sections("expiry") {
            settings.expiry.rows.push(row(name, &section));
            section.finish();
        }
        for (name, section) in root.sections("hold_increase") {
            settings.increases.rows.push(increase(name, &section));
            section.finish();
        }
        settings
    }
}

fn row(name: &str, section: &Section<'_>) -> Row {
    let finalities =
        [("estimated", Finality::Estimated), ("final", Finality::Final), ("undefined", Finality::Undefined)];
    let initiators = [("cardholder", Initiator::Cardholder), ("merchant", Initiator::Merchant)];
    let flag = |key| section.has(key).then(|| section.flag_or(key, false));
    let units = [("days", 24 * SECONDS_PER_HOUR), ("hours", SECONDS_PER_HOUR), ("seconds", 1)];
    if units.iter().filter(|(unit, _)| section.has(unit)).count() != 1 {
        section.report(format!("`expiry.{name}` needs `days`, `hours` or `seconds`, one of them"));
    }
    let most = HOURS_MAX * SECONDS_PER_HOUR;
    let lives_s = units.map(|(unit, of)| config::integer_or(section, unit, 1..=most / of, 0) * of);
    Row {
        network: section.text("network").map(NameId::of),
        finality: section.choice("finality", &finalities),
        initiator: section.choice("initiator", &initiators),
        card_present: flag("card_present"),
        credit: flag("credit"),
        mccs: mccs(section),
        lives_s: lives_s.into_iter().sum(),
    }
}

fn increase(name: &str, section: &Section<'_>) -> increase::Row {
    if !section.has("mcc") {
        section.report(format!("`hold_increase.{name}` needs `mcc`, the categories that it is for"));
    }
    if !section.has("percent") && !section.has("at_least") {
        section.report(format!("`hold_increase.{name}` needs `percent` or `at_least`: how much is held"));
    }
    let at_least = section.section("at_least").map(read_amounts).unwrap_or_default();
    increase::Row {
        network: section.text("network").map(NameId::of),
        mccs: mccs(section),
        percent: config::integer_or(section, "percent", 1..=PERCENT_MAX, 0),
        at_least: at_least.into_iter().map(|(currency, minor)| Money::new(minor, currency)).collect(),
    }
}

/// `mcc = ["3501-3999", "7011"]`.
pub(super) fn mccs(section: &Section<'_>) -> Vec<RangeInclusive<u16>> {
    let (mut ranges, texts) = (Vec::new(), section.texts("mcc"));
    if section.has_nothing("mcc") {
        section
            .report_at("mcc", "no category is named, so the row would be for all; leave `mcc` out for that");
    }
    for text in texts {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let code = |text: &str| {
            let right = text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit());
            if right { text.parse::<u16>().ok() } else { None }
        };
        match (code(first), code(last)) {
            (Some(first), Some(last)) if first <= last => ranges.push(first..=last),
            _ => {
                let message = format!("\"{text}\" is no merchant category such as \"7011\" or \"3501-3999\"");
                section.report_at("mcc", message);
            }
        }
    }
    ranges
}
