//! Rows of the routing table in words, for `turnpike route` and the HTTP face.

use std::collections::BTreeSet;

use crate::domain::party::NameId;
use crate::switch::route::Conditions;
use crate::switch::route::Group;
use crate::switch::route::LinkIndex;
use crate::switch::route::Strategy;
use crate::switch::route::Table;
use crate::switch::route::Target;

/// A table, and what its links are called.
pub(super) struct RouteTexts<'t> {
    /// The links in the order of the configuration.
    pub(super) names: Vec<&'t str>,
    pub(super) table: &'t Table,
}

impl<'t> RouteTexts<'t> {
    /// The link of this number.
    pub(super) fn name_of(&self, id: NameId) -> &'t str {
        self.names.iter().find(|name| NameId::of(name) == id).copied().unwrap_or_default()
    }

    /// Conditions as they are written.
    pub(super) fn conditions(&self, of: &Conditions) -> String {
        let range = |(from, to): &(u16, u16)| match from == to {
            true => format!("{from:04}"),
            false => format!("{from:04}-{to:04}"),
        };
        let sources: BTreeSet<&str> = of.sources.iter().map(|source| self.name_of(*source)).collect();
        let lists = [
            ("iin", of.iins.iter().map(ToString::to_string).collect()),
            ("transaction", of.transactions.iter().map(|transaction| format!("{transaction:02}")).collect()),
            ("mcc", of.mccs.iter().map(range).collect()),
            ("amount", of.amounts.into_iter().map(amounts_text).collect()),
            ("currency", of.currencies.iter().map(ToString::to_string).collect()),
            ("country", of.countries.iter().map(|country| format!("{country:03}")).collect()),
            ("from", sources.into_iter().map(str::to_owned).collect()),
        ];
        let told = |(name, values): (&str, Vec<String>)| {
            (!values.is_empty()).then(|| format!("{name} {}", values.join(" or ")))
        };
        lists.into_iter().filter_map(told).collect::<Vec<_>>().join(", ")
    }

    /// Where a row leads.
    pub(super) fn target(&self, target: &Target) -> String {
        let Group { members, strategy, stand_in } = match target {
            Target::Ledger => return "ledger".to_owned(),
            Target::Group(group) => group,
        };
        let name =
            |index: LinkIndex| self.names.get(usize::from(index.0)).copied().unwrap_or_default().to_owned();
        let (joined, words) = match strategy {
            Strategy::Failover => (", else ", ""),
            Strategy::RoundRobin => (", ", " by turns"),
            Strategy::Weighted => (", ", " by weight"),
        };
        let names = members.iter().map(|member| match strategy {
            Strategy::Weighted => format!("{} ({})", name(member.link), member.weight),
            _ => name(member.link),
        });
        let mut text = names.collect::<Vec<_>>().join(joined);
        text += words;
        match stand_in.and_then(|rules| self.table.stand_in(rules)) {
            Some(rules) => text + &format!("; without an answer `stand_in.{}` decides", rules.name),
            None => text + "; without an answer it is declined",
        }
    }
}

fn amounts_text((from, to): (i64, i64)) -> String {
    match (from, to) {
        (from, i64::MAX) => format!("from {from}"),
        (0, to) => format!("up to {to}"),
        (from, to) => format!("{from} to {to}"),
    }
}
