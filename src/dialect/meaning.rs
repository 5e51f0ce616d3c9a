//! What codes mean, in words: message types, processing codes, response codes, entry modes, currencies, tags. The
//! tables hold what the dialects have in common; what a dialect's own table says comes first.

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::codes::ACCOUNTS;
use crate::dialect::codes::CATEGORIES;
use crate::dialect::codes::CONDITIONS;
use crate::dialect::codes::CURRENCIES;
use crate::dialect::codes::ENTRY_MODES;
use crate::dialect::codes::KINDS;
use crate::dialect::codes::MASTERCARD_RESPONSES;
use crate::dialect::codes::MONTHS;
use crate::dialect::codes::NETWORK_CODES;
use crate::dialect::codes::RESPONSES;
use crate::dialect::codes::REVERSAL_REASONS;
use crate::dialect::codes::TAGS;
use crate::dialect::codes::VISA_RESPONSES;
use crate::dialect::codes::Words;
use crate::dialect::parts;
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
        22 if clear.len() <= 4 => entry_mode(clear),
        25 => find(CONDITIONS, &clear).map(str::to_owned),
        39 => response_code(dialect, view.mti(), clear),
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
    let text = std::str::from_utf8(view.text(field, &mut buffer)?).ok()?;
    Currency::new(numeric_code(text)?)
}

fn currency(clear: &str) -> Option<String> {
    name_of(numeric_code(clear)?).map(|(alpha, name)| format!("{alpha}, {name}"))
}

/// The numeric code of a currency that is written in digits or in letters.
fn numeric_code(text: &str) -> Option<u16> {
    text.trim().parse().ok().or_else(|| numeric_of(text))
}

/// The numeric code of a currency in use by its three letters.
pub(super) fn numeric_of(letters: &str) -> Option<u16> {
    CURRENCIES.iter().find(|(_, alpha, _)| *alpha == letters).map(|(numeric, ..)| *numeric)
}

/// Whether digits or letters are the code of a currency in use.
pub(super) fn is_currency(text: &str) -> bool {
    numeric_code(text).is_some_and(|numeric| name_of(numeric).is_some())
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

/// DE 39: what the network makes of the code, what the dialect's own table says, what most dialects mean by it. In a
/// Mastercard reversal it is the reason.
fn response_code(dialect: &Dialect, mti: u16, clear: &str) -> Option<String> {
    let is_reason = dialect.mapping() == Mapping::Mastercard && matches!(mti, 400 | 401 | 420 | 421);
    let reason = find(REVERSAL_REASONS, &clear).filter(|_| is_reason);
    let of_network = match dialect.mapping() {
        Mapping::Visa => find(VISA_RESPONSES, &clear),
        Mapping::Mastercard => find(MASTERCARD_RESPONSES, &clear),
        Mapping::Iso87 => None,
    };
    if let Some(words) = reason.or(of_network) {
        return Some(words.to_owned());
    }
    let own = dialect.response_codes.iter().filter(|(_, code)| code == clear.as_bytes());
    let own: Vec<String> = own.map(|(action, _)| action.name().replace('-', " ")).collect();
    if own.is_empty() { find(RESPONSES, &clear).map(str::to_owned) } else { Some(own.join(" or ")) }
}

/// What the value of a part means: `path` is the field's number, then those of parts.
pub(super) fn part(dialect: &Dialect, view: &View<'_>, path: &[u16], clear: &str) -> Option<String> {
    let mapping = dialect.mapping();
    match (mapping, path) {
        (_, [54, 1]) => find(ACCOUNTS, &clear).map(str::to_owned),
        (_, [54, 3]) => currency(clear),
        (_, [90, 1]) => clear.parse().ok().filter(|mti| is_message_type(*mti)).map(message_type),
        (_, [90, 3]) | (Mapping::Mastercard, [48, 15]) => date_and_time(clear),
        (_, [95, 1]) => amount(view, clear, 49),
        (Mapping::Mastercard | Mapping::Iso87, [95, 2]) => amount(view, clear, 50),
        (Mapping::Mastercard | Mapping::Iso87, [95, 3]) => amount(view, clear, 51),
        (Mapping::Visa, [44, 11]) => response_code(dialect, view.mti(), clear),
        (Mapping::Visa, [61, 1]) => amount(view, clear, 49),
        (Mapping::Visa, [61, 2 | 3]) => amount(view, clear, 51),
        (Mapping::Visa, [62, 14]) => amount(view, clear, 49),
        (Mapping::Mastercard, [48, 42, 1 | 2]) => security_level(clear),
        (Mapping::Mastercard, [48, 63]) => trace_id(clear),
        _ => parts::find(mapping, path, clear).map(str::to_owned),
    }
}

/// What the characters in front of a field's first element mean.
pub(super) fn lead(dialect: &Dialect, path: &[u16], clear: &str) -> Option<String> {
    let is_category = dialect.mapping() == Mapping::Mastercard && *path == [48];
    parts::category(clear).filter(|_| is_category).map(str::to_owned)
}

/// Mastercard DE 48 SE 42: security of the channel, authentication of the cardholder, and what came of it.
fn security_level(clear: &str) -> Option<String> {
    let [channel, cardholder, collected] = <[u8; 3]>::try_from(clear.as_bytes()).ok()?;
    let channel = match channel {
        b'2' => "channel encrypted",
        b'9' => "no security",
        _ => return None,
    };
    let cardholder = if cardholder == b'1' { "cardholder certificate" } else { "no certificate" };
    let collected = match collected {
        b'0' => "authentication not supported",
        b'1' => "supported, no data given",
        b'2' => "authentication data given",
        b'4' => "merchant initiated or partial",
        b'5'..=b'7' => "static or device data given",
        _ => return None,
    };
    Some(format!("{channel}, {cardholder}, {collected}"))
}

/// Mastercard DE 48 SE 63: network code, reference, and the day on which the network settles.
fn trace_id(clear: &str) -> Option<String> {
    let (network, reference, day) = (clear.get(..3)?, clear.get(3..9)?, clear.get(9..13)?);
    Some(format!("network {network}, reference {}, {}", reference.trim(), date(day)?))
}

/// Whether DE 39 is a code that hosts send.
pub(super) fn is_response_code(dialect: &Dialect, clear: &str) -> bool {
    response_code(dialect, 0, clear).is_some()
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
