//! What codes mean, in words: message types, processing codes, response codes, entry modes, currencies, tags. The
//! tables hold what the dialects have in common; what a dialect's own table says comes first.

use crate::dialect::Dialect;
use crate::dialect::codes::ACCOUNTS;
use crate::dialect::codes::CATEGORIES;
use crate::dialect::codes::CONDITIONS;
use crate::dialect::codes::CURRENCIES;
use crate::dialect::codes::ENTRY_MODES;
use crate::dialect::codes::KINDS;
use crate::dialect::codes::MONTHS;
use crate::dialect::codes::NETWORK_CODES;
use crate::dialect::codes::RESPONSES;
use crate::dialect::codes::TAGS;
use crate::dialect::codes::Words;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::request::NetworkManagement;
use crate::iso8583::view::View;

fn find<K: PartialEq>(table: &[(K, Words)], key: &K) -> Option<Words> {
    table.iter().find(|(known, _)| known == key).map(|(_, words)| *words)
}

/// An MTI spelled out: version, class, function, origin.
#[must_use]
pub fn message_type(mti: u16) -> String {
    let digit = |divisor: u16| mti / divisor % 10;
    let version = match digit(1000) {
        0 => "ISO 8583:1987",
        1 => "ISO 8583:1993",
        2 => "ISO 8583:2003",
        8 => "national use",
        9 => "private use",
        _ => "no known version",
    };
    let class = match digit(100) {
        1 => "authorization",
        2 => "financial",
        3 => "file action",
        4 => "reversal",
        5 => "reconciliation",
        6 => "administrative",
        7 => "fee collection",
        8 => "network management",
        _ => "no known class",
    };
    let function = match digit(10) {
        0 => "request",
        1 => "response",
        2 => "advice",
        3 => "advice response",
        4 => "notification",
        5 => "notification acknowledgement",
        8 => "acknowledgement",
        9 => "negative acknowledgement",
        _ => "no known function",
    };
    let origin = match digit(1) {
        0 => "acquirer",
        1 => "acquirer, repeat",
        2 => "issuer",
        3 => "issuer, repeat",
        4 => "other",
        5 => "other, repeat",
        _ => "no known origin",
    };
    format!("{version}, {class} {function}, {origin}")
}

/// Whether an MTI is one that hosts send: a known version, class, function and origin.
pub(super) const fn is_message_type(mti: u16) -> bool {
    matches!(mti / 1000, 0..=2 | 8 | 9)
        && matches!(mti / 100 % 10, 1..=8)
        && matches!(mti / 10 % 10, 0..=5 | 8 | 9)
        && mti % 10 <= 5
}

/// What the value of a field means, beside its characters; `None` when nothing is known.
pub(super) fn field(dialect: &Dialect, view: &View<'_>, field: u8, clear: &str) -> Option<String> {
    match field {
        3 => processing_code(clear),
        4..=6 => amount(view, clear, [49, 50, 51][usize::from(field) - 4]),
        7 => date_and_time(clear),
        12 if clear.len() == 6 => time_of_day(clear),
        13 | 15..=17 if clear.len() == 4 => date(clear),
        14 => Some(format!("month {} of 20{}", clear.get(2..4)?, clear.get(..2)?)),
        18 => find(CATEGORIES, &clear).map(str::to_owned),
        22 => entry_mode(clear),
        25 => find(CONDITIONS, &clear).map(str::to_owned),
        39 => response_code(dialect, clear),
        49..=51 => currency(clear),
        70 => network_code(dialect, clear),
        _ => None,
    }
}

fn processing_code(clear: &str) -> Option<String> {
    let (kind, from, to) = (clear.get(..2)?, clear.get(2..4)?, clear.get(4..6)?);
    let kind = find(KINDS, &kind)?;
    let account = |code: &str| match find(ACCOUNTS, &code) {
        Some(words) => words.to_owned(),
        None => format!("account {code}"),
    };
    Some(format!("{kind}, from {}, to {}", account(from), account(to)))
}

fn amount(view: &View<'_>, clear: &str, currency: u8) -> Option<String> {
    let minor = clear.parse::<i64>().ok()?;
    let currency = numeric_currency(view, currency)?;
    let (alpha, _) = name_of(currency.numeric())?;
    // Without the number of the currency, which the amount ends with.
    let text = Money::new(minor, currency).to_string();
    Some(format!("{} {alpha}", text.split(' ').next()?))
}

/// The currency in a field, which may be numeric or text.
fn numeric_currency(view: &View<'_>, field: u8) -> Option<Currency> {
    let mut buffer = [0; 4];
    let text = view.text(field, &mut buffer)?;
    Currency::new(std::str::from_utf8(text).ok()?.trim().parse().ok()?)
}

fn currency(clear: &str) -> Option<String> {
    name_of(clear.trim().parse().ok()?).map(|(alpha, name)| format!("{alpha}, {name}"))
}

/// Whether a numeric code is that of a currency in use.
pub(super) fn is_currency(numeric: u16) -> bool {
    name_of(numeric).is_some()
}

fn name_of(numeric: u16) -> Option<(Words, Words)> {
    CURRENCIES.iter().find(|(known, _, _)| *known == numeric).map(|(_, alpha, name)| (*alpha, *name))
}

fn two_digits(clear: &str, at: usize) -> Option<u32> {
    clear.get(at..at + 2)?.parse().ok()
}

fn date(clear: &str) -> Option<String> {
    let (month, day) = (two_digits(clear, 0)?, two_digits(clear, 2)?);
    let name = MONTHS.get(usize::try_from(month).ok()?.checked_sub(1)?)?;
    (1..=31).contains(&day).then(|| format!("{day} {name}"))
}

fn time_of_day(clear: &str) -> Option<String> {
    let (hour, minute, second) = (two_digits(clear, 0)?, two_digits(clear, 2)?, two_digits(clear, 4)?);
    (hour < 24 && minute < 60 && second < 60).then(|| format!("{hour:02}:{minute:02}:{second:02}"))
}

fn date_and_time(clear: &str) -> Option<String> {
    Some(format!("{}, {} UTC", date(clear.get(..4)?)?, time_of_day(clear.get(4..)?)?))
}

/// Whether DE 7 is a date and a time.
pub(super) fn is_date_and_time(clear: &str) -> bool {
    clear.len() == 10 && date_and_time(clear).is_some()
}

/// Whether DE 12 is a time of day.
pub(super) fn is_time_of_day(clear: &str) -> bool {
    time_of_day(clear).is_some()
}

/// Whether DE 13 and its like are dates. Hosts send zeros for none.
pub(super) fn is_date(clear: &str) -> bool {
    clear == "0000" || date(clear).is_some()
}

/// DE 22: how the card number came (two digits), and whether the terminal takes a PIN (the third).
fn entry_mode(clear: &str) -> Option<String> {
    let mode = find(ENTRY_MODES, &clear.get(..2)?)?;
    let pin = match clear.as_bytes().get(2) {
        Some(b'1') => ", takes a PIN",
        Some(b'2') => ", takes no PIN",
        Some(b'8') => ", PIN pad out of order",
        _ => "",
    };
    Some(format!("{mode}{pin}"))
}

fn response_code(dialect: &Dialect, clear: &str) -> Option<String> {
    if let Some(words) = find(RESPONSES, &clear) {
        return Some(words.to_owned());
    }
    let own = dialect.response_codes.iter().filter(|(_, code)| code == clear.as_bytes());
    let own: Vec<&str> = own.map(|(action, _)| action.name()).collect();
    (!own.is_empty()).then(|| own.join(" or "))
}

/// Whether DE 39 is a code that hosts send.
pub(super) fn is_response_code(dialect: &Dialect, clear: &str) -> bool {
    response_code(dialect, clear).is_some()
}

fn network_code(dialect: &Dialect, clear: &str) -> Option<String> {
    let code = clear.parse::<u16>().ok()?;
    let own = match dialect.network_codes.meaning(code) {
        NetworkManagement::SignOn => Some("sign-on"),
        NetworkManagement::SignOff => Some("sign-off"),
        NetworkManagement::Echo => Some("echo test"),
        NetworkManagement::StoredAdvices => Some("send stored advices"),
        NetworkManagement::StoredAdvicesStop => Some("stop sending stored advices"),
        NetworkManagement::StoredAdvicesEnd => Some("end of stored advices"),
        NetworkManagement::KeyExchange(_) => Some("key exchange"),
        NetworkManagement::Unsupported(_) => None,
    };
    own.or_else(|| find(NETWORK_CODES, &code)).map(str::to_owned)
}

/// Whether a processing code is of a known kind.
pub(super) fn is_processing_code(clear: &str) -> bool {
    clear.get(..2).is_some_and(|kind| find(KINDS, &kind).is_some())
}

/// Whether DE 70 is a code that is known.
pub(super) fn is_network_code(dialect: &Dialect, clear: &str) -> bool {
    network_code(dialect, clear).is_some()
}

/// The name of a tag of chip data; empty when it is not known.
pub(super) fn tag(tag: u32) -> Words {
    find(TAGS, &tag).unwrap_or("")
}

/// What the value of a tag means, from its hex.
pub(super) fn tag_value(tag: u32, hex: &str) -> Option<String> {
    match tag {
        0x5f2a | 0x9f42 => currency(hex.get(1..)?),
        0x9a => Some(format!("{} 20{}", date(hex.get(2..)?)?, hex.get(..2)?)),
        0x9f21 => time_of_day(hex),
        0x9c => find(KINDS, &hex).map(str::to_owned),
        0x9f27 => match u8::from_str_radix(hex, 16).ok()? & 0xc0 {
            0x00 => Some("AAC, declined offline".to_owned()),
            0x40 => Some("TC, approved offline".to_owned()),
            0x80 => Some("ARQC, asks online".to_owned()),
            _ => None,
        },
        _ => None,
    }
}
