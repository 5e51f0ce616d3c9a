//! `turnpike route`: which row of the routing table takes a message and why, or the table itself.

use std::path::PathBuf;

use clap::Args;

use crate::config::Config;
use crate::config::link::LinkSettings;
use crate::dialect::Dialect;
use crate::dialect::inbound::Context;
use crate::dialect::inbound::Inbound;
use crate::domain::card::Pan;
use crate::domain::money::Currency;
use crate::domain::party::NameId;
use crate::edge::commands::complain;
use crate::edge::commands::read_config;
use crate::edge::commands::say;
use crate::edge::decode;
use crate::edge::dialects;
use crate::edge::exit;
use crate::edge::route_texts::RouteTexts;
use crate::iso8583::frame::Kind;
use crate::iso8583::view::Spans;
use crate::switch::route::Asked;
use crate::switch::route::Explanation;
use crate::switch::route::IinRange;
use crate::switch::route::Judged;
use crate::switch::route::Row;
use crate::switch::route::Said;
use crate::switch::route::Table;

/// Digits of a card number that are shown.
const SHOWN: usize = 6;

/// `turnpike route`.
#[derive(Args, Debug)]
pub struct RouteArgs {
    /// The configuration file.
    #[arg(long)]
    config: PathBuf,
    /// Tells where a message goes, and why.
    #[arg(long, requires = "link", conflicts_with = "iin")]
    explain: bool,
    /// The link that it comes on, in whose dialect it is written.
    #[arg(long)]
    link: Option<String>,
    /// Tells where cards that begin with these digits go.
    #[arg(long, value_name = "DIGITS", value_parser = beginning)]
    iin: Option<IinRange>,
    /// Of these cards: DE 18.
    #[arg(long, requires = "iin", value_parser = clap::value_parser!(u16).range(..=9_999))]
    mcc: Option<u16>,
    /// DE 4, minor units.
    #[arg(long, requires = "iin", value_parser = clap::value_parser!(i64).range(0..))]
    amount: Option<i64>,
    /// DE 49, ISO 4217, three digits.
    #[arg(long, requires = "iin", value_parser = currency)]
    currency: Option<Currency>,
    /// How DE 3 begins, two digits.
    #[arg(long = "type", value_name = "TYPE", requires = "iin", value_parser = clap::value_parser!(u8).range(..=99))]
    transaction: Option<u8>,
    /// DE 19, ISO 3166, three digits.
    #[arg(long, requires = "iin", value_parser = clap::value_parser!(u16).range(..=999))]
    country: Option<u16>,
    /// The message in hex, or as a dump; `-` is standard input.
    #[arg(value_name = "MESSAGE", requires = "explain", default_value = "-")]
    message: String,
}

fn beginning(text: &str) -> Result<IinRange, &'static str> {
    let range = if text.contains('-') { None } else { IinRange::from_text(text) };
    range.ok_or("a card number begins with 1 to 19 digits")
}

fn currency(text: &str) -> Result<Currency, &'static str> {
    let numeric = text.parse().ok().filter(|_| text.len() == 3);
    numeric.and_then(Currency::new).ok_or("a currency is three digits such as 840")
}

/// Runs `turnpike route` and returns the exit code.
#[must_use]
pub fn run(arguments: &RouteArgs) -> u8 {
    let config = match read_config(&arguments.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let link = match link(&config, arguments.link.as_deref()) {
        Ok(link) => link,
        Err(code) => return code,
    };
    let outcome = match (link, arguments.iin) {
        (_, Some(iin)) => {
            explain_cards(&config, arguments, iin);
            Ok(())
        }
        (Some(link), None) if arguments.explain => explain_messages(&config, link, &arguments.message),
        (link, None) => {
            list(&config, link);
            Ok(())
        }
    };
    outcome.err().unwrap_or(exit::OK)
}

/// The link of this name; complains and returns the exit code when there is none.
pub(super) fn link<'c>(config: &'c Config, name: Option<&str>) -> Result<Option<&'c LinkSettings>, u8> {
    let Some(name) = name else { return Ok(None) };
    let found = config.links.iter().find(|link| link.name == name);
    if found.is_none() {
        let names: Vec<&str> = config.links.iter().map(|link| link.name.as_str()).collect();
        complain(format!("there is no link `{}`; there are {}", name.escape_default(), names.join(", ")));
        return Err(exit::USAGE);
    }
    Ok(found)
}

/// Rows, and whose cards they take. Of a link, those that its messages can be taken by.
fn list(config: &Config, link: Option<&LinkSettings>) {
    let table = config.routes.table();
    let from = link.map(|link| NameId::of(&link.name));
    let taking = |row: &&Row| {
        let sources = &row.conditions.sources;
        from.is_none_or(|from| sources.is_empty() || sources.contains(&from))
    };
    for row in table.rows().iter().filter(taking) {
        let conditions = told(config).conditions(&row.conditions);
        say(format!("{}: {conditions} -> {}", row.name, told(config).target(&row.target)));
    }
    say("whatever no row takes: ledger");
}

fn explain_cards(config: &Config, arguments: &RouteArgs, iin: IinRange) {
    let said = Said {
        transaction: arguments.transaction,
        amount: arguments.amount,
        currency: arguments.currency,
        mcc: arguments.mcc,
        country: arguments.country,
        source: arguments.link.as_deref().map(NameId::of),
    };
    let digits = iin.to_string();
    let shown = match digits.len() > SHOWN + 2 {
        true => format!("{}{}", &digits[..SHOWN], "*".repeat(digits.len() - SHOWN)),
        false => digits,
    };
    say(format!("cards that begin with {shown}: {}", said_text(config, &said)));
    explain_some(config, &Asked::of_prefix(iin, said));
    if config.routes.table().divides(iin) {
        say("a row names more digits than these: cards that begin so may go to different rows");
    }
}

fn explain_messages(config: &Config, link: &LinkSettings, message: &str) -> Result<(), u8> {
    let dialect = dialects::of_link(config, link).map_err(|_| exit::CONFIGURATION)?;
    let bytes = decode::read_message(message)?;
    let context = Context { network: NameId::of(&link.network), link: NameId::of(&link.name) };
    for (n, body) in bodies(&dialect, &bytes).into_iter().enumerate() {
        if n > 0 {
            say("");
        }
        let mut spans = Spans::default();
        let received = dialect.decode(body, context, &mut spans).map_err(|malformed| {
            complain(format!("the message cannot be read in the dialect of `{}`: {malformed:?}", link.name));
            exit::DATA
        })?;
        let (asked, pan) = asked(&received.inbound).ok_or_else(|| {
            let mti = received.view.mti();
            complain(format!("{mti:04} is for the link itself: no row takes it"));
            exit::DATA
        })?;
        let (mti, said) = (received.view.mti(), said_text(config, asked.said()));
        say(format!("{mti:04} of {}: {said}", pan.masked()));
        if asked.said().mcc.is_none() {
            say("a reversal has no merchant category and no country; what went elsewhere is reversed there");
        }
        explain(config, &asked);
    }
    Ok(())
}

/// The messages in a stream of frames; all of it where it is no such stream.
fn bodies<'b>(dialect: &Dialect, bytes: &'b [u8]) -> Vec<&'b [u8]> {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Ok(Some(frame)) = dialect.frame(&bytes[at..]) {
        if frame.kind == Kind::Message {
            found.push(&bytes[at..][frame.body]);
        }
        at += frame.total;
    }
    if found.is_empty() || at < bytes.len() { vec![bytes] } else { found }
}

fn asked(inbound: &Inbound) -> Option<(Asked, Pan)> {
    match inbound {
        Inbound::Authorization(request) => Some((Asked::of_request(request), request.pan)),
        Inbound::Reversal(reversal) => Some((Asked::of_reversal(reversal), reversal.pan)),
        Inbound::Advice(advice) => Some((Asked::of_advice(advice), advice.pan)),
        Inbound::Undelivered(Some(reversal)) => Some((Asked::of_reversal(reversal), reversal.pan)),
        _ => None,
    }
}

/// What becomes of a message: the switch takes what it does not say for whatever a row asks.
fn explain(config: &Config, asked: &Asked) {
    let explanation = config.routes.table().explain(asked);
    let fitting: Vec<&Judged> = explanation.rows.iter().filter(|judged| judged.fails.is_none()).collect();
    match fitting.split_first() {
        None => say("no row takes it: it is for the ledger"),
        Some((won, others)) => {
            say(format!("taken by `{}`: {}", won.row, why(won, others.first().copied())));
            say(format!("goes to {}", target_of(config, won)));
        }
    }
    say_rows(config, &explanation, None);
}

/// What becomes of cards of which a person has not said everything: a row that asks for more may take some of them.
fn explain_some(config: &Config, asked: &Asked) {
    let table = config.routes.table();
    let explanation = table.explain(asked);
    let fitting: Vec<&Judged> = explanation.rows.iter().filter(|judged| judged.fails.is_none()).collect();
    let unsaid = |judged: &Judged| unsaid(table, judged, asked.said());
    let mut first = "";
    for judged in fitting.iter().take_while(|judged| !unsaid(judged).is_empty()) {
        let (conditions, target) = (unsaid(judged).join(", "), target_of(config, judged));
        say(format!("{first}taken by `{}` given its {conditions}: goes to {target}", judged.row));
        first = "else ";
    }
    let mut sure = fitting.iter().copied().filter(|judged| unsaid(judged).is_empty());
    match sure.next() {
        None => say(format!("{first}no row takes it: it is for the ledger")),
        Some(won) => {
            say(format!("{first}taken by `{}`: {}", won.row, why(won, sure.next())));
            say(format!("goes to {}", target_of(config, won)));
        }
    }
    say_rows(config, &explanation, Some(asked.said()));
}

/// Every row. Of a message, for which there is nothing that was not said, `said` is `None`.
fn say_rows(config: &Config, explanation: &Explanation, said: Option<&Said>) {
    let table = config.routes.table();
    for judged in &explanation.rows {
        let conditions = row_text(config, table, judged);
        let may = match said.is_some_and(|said| !unsaid(table, judged, said).is_empty()) {
            true => "may fit",
            false => "fits",
        };
        match judged.fails {
            None => say(format!("  `{}` {may} ({}): {conditions}", judged.row, strength_text(judged))),
            Some(condition) => {
                say(format!("  `{}` does not, by its `{condition}`: {conditions}", judged.row))
            }
        }
    }
}

/// The conditions of a row about what was not said.
fn unsaid(table: &Table, judged: &Judged, said: &Said) -> Vec<&'static str> {
    let Some(Row { conditions, .. }) = row(table, &judged.row) else { return Vec::new() };
    [
        ("transaction", !conditions.transactions.is_empty() && said.transaction.is_none()),
        ("mcc", !conditions.mccs.is_empty() && said.mcc.is_none()),
        ("amount", conditions.amounts.is_some() && said.amount.is_none()),
        ("currency", !conditions.currencies.is_empty() && said.currency.is_none()),
        ("country", !conditions.countries.is_empty() && said.country.is_none()),
        ("from", !conditions.sources.is_empty() && said.source.is_none()),
    ]
    .into_iter()
    .filter_map(|(name, open)| open.then_some(name))
    .collect()
}

fn target_of(config: &Config, judged: &Judged) -> String {
    let row = row(config.routes.table(), &judged.row);
    row.map_or_else(String::new, |row| told(config).target(&row.target))
}

fn row<'t>(table: &'t Table, name: &str) -> Option<&'t Row> {
    table.rows().iter().find(|row| &*row.name == name)
}

fn row_text(config: &Config, table: &Table, judged: &Judged) -> String {
    row(table, &judged.row).map_or_else(String::new, |row| told(config).conditions(&row.conditions))
}

fn strength_text(judged: &Judged) -> String {
    let (digits, others) = judged.strength;
    format!("{digits} digit{}, {others} more", if digits == 1 { "" } else { "s" })
}

/// Why a row that fits comes before the next that does.
fn why(won: &Judged, next: Option<&Judged>) -> String {
    let Some(next) = next else { return "no other row fits".to_owned() };
    let ((digits, others), (next_digits, next_others)) = (won.strength, next.strength);
    if digits > next_digits {
        return format!("it names {digits} digits of the card, `{}` names {next_digits}", next.row);
    }
    if others > next_others {
        return format!(
            "of as many digits it has {others} more conditions, `{}` has {next_others}",
            next.row
        );
    }
    format!("`{}` is as strong, and what tells them apart is not said", next.row)
}

fn said_text(config: &Config, said: &Said) -> String {
    let Said { transaction, amount, currency, mcc, country, source } = *said;
    let mut parts = Vec::new();
    parts.extend(transaction.map(|transaction| format!("transaction {transaction:02}")));
    parts.extend(match (amount, currency) {
        (Some(amount), Some(currency)) => Some(format!("{amount} minor units of {currency}")),
        (Some(amount), None) => Some(format!("{amount} minor units")),
        (None, Some(currency)) => Some(format!("currency {currency}")),
        (None, None) => None,
    });
    parts.extend(mcc.map(|mcc| format!("merchant category {mcc:04}")));
    parts.extend(country.map(|country| format!("country {country:03}")));
    parts.extend(source.map(|source| format!("from `{}`", told(config).name_of(source))));
    if parts.is_empty() { "whatever else they say".to_owned() } else { parts.join(", ") }
}

fn told(config: &Config) -> RouteTexts<'_> {
    let names = config.links.iter().map(|link| link.name.as_str()).collect();
    RouteTexts { names, table: config.routes.table() }
}
