//! Limits and controls as JSON, in both directions. A mistake is told in words, and what is not known is refused: a key
//! with a typing error must not leave a card without its limit.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::domain::control::Aspect;
use crate::domain::control::Control;
use crate::domain::control::Rule;
use crate::domain::limit::Filter;
use crate::domain::limit::LIMIT_MCC_MAX;
use crate::domain::limit::Limit;
use crate::domain::limit::Measure;
use crate::domain::limit::Number;
use crate::domain::limit::Window;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::time::Timestamp;
use crate::domain::usage::Channel;
use crate::domain::usage::Channels;
use crate::domain::usage::Kinds;
use crate::domain::usage::MCC_GROUPS;
use crate::domain::usage::MccRange;
use crate::domain::usage::MerchantPrint;
use crate::domain::zone::UtcOffset;
use crate::domain::zone::Zone;
use crate::domain::zone::ZoneName;
use crate::domain::zone::ZoneTable;
use crate::ledger::limits::ControlView;
use crate::ledger::limits::LimitView;
use crate::ledger::products::RuleView;

/// The keys of an object that is being read; each is taken once.
pub(super) struct Keys {
    rest: Map<String, Value>,
}

impl Keys {
    pub(super) fn of(body: Value) -> Result<Self, String> {
        match body {
            Value::Object(rest) => Ok(Self { rest }),
            _ => Err("an object is expected".to_owned()),
        }
    }

    pub(super) fn take(&mut self, key: &str) -> Option<Value> {
        self.rest.remove(key)
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, String> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(format!("`{key}` must be a text")),
        }
    }

    pub(super) fn required(&mut self, key: &str) -> Result<String, String> {
        self.text(key)?.ok_or_else(|| format!("`{key}` is missing"))
    }

    pub(super) fn integer(&mut self, key: &str) -> Result<Option<i64>, String> {
        let wrong = || format!("`{key}` must be a whole number");
        self.take(key).map(|value| value.as_i64().ok_or_else(wrong)).transpose()
    }

    /// A list of texts; `None` when there is no such key.
    fn list(&mut self, key: &str) -> Result<Option<Vec<String>>, String> {
        let wrong = || format!("`{key}` must be a list of texts that is not empty");
        let Some(value) = self.take(key) else { return Ok(None) };
        let texts = value.as_array().filter(|list| !list.is_empty()).ok_or_else(wrong)?;
        let texts = texts.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>();
        texts.map(Some).ok_or_else(wrong)
    }

    pub(super) fn finish(self) -> Result<(), String> {
        self.rest.keys().next().map_or(Ok(()), |key| Err(format!("`{}` is not known", key.escape_default())))
    }
}

/// A limit that is asked for, and the time zone that its window is to go by, if it names one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    /// The limit; a zone is still to be put into its window.
    pub(super) limit: Limit,
    /// The zone.
    pub(super) zone: Option<ZoneTable>,
}

/// What is known of a time zone by its name.
pub(super) type LookUp<'l> = &'l dyn Fn(&str) -> Option<ZoneTable>;

/// Reads a limit.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn limit_of(body: Value, look_up: LookUp<'_>) -> Result<Asked, String> {
    let mut keys = Keys::of(body)?;
    let (window, zone) = window(&mut keys, look_up)?;
    let measure = match keys.required("measure")?.as_str() {
        "amount" => Measure::Amount(currency(&keys.required("currency")?, "currency")?),
        "count" if window == Window::Transaction => {
            return Err("a count needs a window longer than a transaction".to_owned());
        }
        "count" => Measure::Count,
        _ => return Err("`measure` must be one of amount, count".to_owned()),
    };
    let max = keys.integer("max")?.filter(|max| *max >= 0);
    let max = max.ok_or("`max` must be a whole number, zero or more")?;
    let filter = filter(&mut keys)?;
    keys.finish()?;
    Ok(Asked { limit: Limit { measure, max, window, filter }, zone })
}

fn window(keys: &mut Keys, look_up: LookUp<'_>) -> Result<(Window, Option<ZoneTable>), String> {
    let name = keys.required("window")?;
    let zone = Zone::default();
    let calendar = match name.as_str() {
        "day" => Some(Window::Day(zone)),
        "week" => Some(Window::Week(zone)),
        "month" => Some(Window::Month(zone)),
        "year" => Some(Window::Year(zone)),
        _ => None,
    };
    if let Some(window) = calendar {
        return in_zone(keys, window, look_up);
    }
    let window = match name.as_str() {
        "transaction" => Window::Transaction,
        "lifetime" => Window::Lifetime,
        "sliding" => {
            let seconds = keys.integer("seconds")?.and_then(|seconds| u32::try_from(seconds).ok());
            let most = Window::SLIDING_MAX_S;
            seconds
                .and_then(Window::sliding)
                .ok_or_else(|| format!("`seconds` must be whole minutes, from 60 to {most}"))?
        }
        _ => {
            return Err(
                "`window` must be one of transaction, day, week, month, year, lifetime, sliding".into()
            );
        }
    };
    Ok((window, None))
}

/// A calendar window where the customer's midnight is: by a zone's name, or so far from UTC.
fn in_zone(
    keys: &mut Keys,
    window: Window,
    look_up: LookUp<'_>,
) -> Result<(Window, Option<ZoneTable>), String> {
    let (name, minutes) = (keys.text("time_zone")?, keys.integer("utc_offset_minutes")?);
    match (name, minutes) {
        (Some(_), Some(_)) => {
            Err("`time_zone` and `utc_offset_minutes` are two ways to say one thing; give one of them"
                .to_owned())
        }
        (Some(name), None) => {
            let zone = look_up(&name);
            let words = "`time_zone` must be a name of the IANA database such as America/New_York";
            zone.map(|zone| (window, Some(zone))).ok_or_else(|| words.to_owned())
        }
        (None, minutes) => {
            let range = UtcOffset::RANGE;
            let offset = i16::try_from(minutes.unwrap_or(0)).ok().and_then(UtcOffset::new);
            offset.map(|offset| (window.in_zone(Zone::Fixed(offset)), None)).ok_or_else(|| {
                format!("`utc_offset_minutes` must be between {} and {}", range.start(), range.end())
            })
        }
    }
}

pub(super) fn filter(keys: &mut Keys) -> Result<Filter, String> {
    let mut filter = Filter::ALL;
    if let Some(names) = keys.list("channels")? {
        filter.channels = channels(&names)?;
    }
    if let Some(names) = keys.list("kinds")? {
        for name in names {
            let kind = Kinds::ALL.iter().find(|(_, known)| *known == name);
            filter.kinds.0 |= kind.ok_or("`kinds` must be of purchase, cash, other")?.0.0;
        }
    }
    if let Some(texts) = keys.list("mcc")? {
        let ranges = ranges(&texts)?;
        let places = filter.mcc.get_mut(..ranges.len());
        let places = places.ok_or_else(|| format!("`mcc` has more than {LIMIT_MCC_MAX} ranges"))?;
        places.copy_from_slice(&ranges);
    }
    if let Some(text) = keys.text("country")? {
        filter.country = country(&text)?;
    }
    if let Some(text) = keys.text("transaction_currency")? {
        filter.currency = Some(currency(&text, "transaction_currency")?);
    }
    if let Some(text) = keys.text("merchant")? {
        filter.merchant = merchant(&text)?;
    }
    if let Some(text) = keys.text("merchant_fingerprint")? {
        if filter.merchant != MerchantPrint::default() {
            return Err(
                "`merchant` and `merchant_fingerprint` are two ways to name one; give one of them".to_owned()
            );
        }
        filter.merchant = fingerprint(&text)?;
    }
    Ok(filter)
}

/// Reads a control.
///
/// # Errors
/// What is wrong with it, in words.
pub(super) fn control_of(body: Value) -> Result<Control, String> {
    const LISTS: &str = "one of mcc, countries, currencies, channels, merchants, merchant_fingerprints";
    let mut keys = Keys::of(body)?;
    let rule = match keys.required("rule")?.as_str() {
        "allow" => Rule::Allow,
        "deny" => Rule::Deny,
        "lock" => {
            keys.finish()?;
            return Ok(Control::FIRST_MERCHANT);
        }
        "stop" => Rule::Stop,
        _ => return Err("`rule` must be one of allow, deny, lock, stop".to_owned()),
    };
    let mut control = None;
    let mut keep = |made: Option<Control>, key: &str| {
        let made = made.ok_or_else(|| format!("`{key}` is too long for one control"))?;
        if control.replace(made).is_some() { Err(format!("a control has {LISTS}")) } else { Ok(()) }
    };
    if let Some(texts) = keys.list("mcc")? {
        keep(Control::mcc(rule, &ranges(&texts)?), "mcc")?;
    }
    if let Some(texts) = keys.list("countries")? {
        keep(Control::countries(rule, &each(&texts, country)?), "countries")?;
    }
    if let Some(texts) = keys.list("currencies")? {
        let list = each(&texts, |text| currency(text, "currencies"))?;
        keep(Control::currencies(rule, &list), "currencies")?;
    }
    if let Some(names) = keys.list("channels")? {
        keep(Control::channels(rule, channels(&names)?), "channels")?;
    }
    if let Some(texts) = keys.list("merchants")? {
        keep(Control::merchants(rule, &each(&texts, merchant)?), "merchants")?;
    }
    if let Some(texts) = keys.list("merchant_fingerprints")? {
        keep(Control::merchants(rule, &each(&texts, fingerprint)?), "merchant_fingerprints")?;
    }
    for (key, named) in [
        ("payments", merchant as fn(&str) -> Result<MerchantPrint, String>),
        ("payment_fingerprints", fingerprint),
    ] {
        if let Some(texts) = keys.list(key)? {
            if rule != Rule::Stop {
                return Err(format!("`{key}` are for a stop"));
            }
            keep(Control::payments(&each(&texts, |text| payment(text, named))?), key)?;
        }
    }
    keys.finish()?;
    match control {
        None if rule == Rule::Stop => Ok(Control::STOP_RECURRING),
        Some(control)
            if rule == Rule::Stop && !matches!(control.aspect(), Aspect::Merchant | Aspect::Payment) =>
        {
            Err("a stop has merchants, payments or fingerprints of these, or nothing for all of them"
                .to_owned())
        }
        control => control.ok_or_else(|| format!("a control has {LISTS}")),
    }
}

/// `CLUB 999 840`: a merchant, minor units, and a currency.
fn payment(
    text: &str,
    named: fn(&str) -> Result<MerchantPrint, String>,
) -> Result<(MerchantPrint, Money), String> {
    let wrong =
        || "`payments` are texts such as \"CLUB 999 840\": merchant, minor units, currency".to_owned();
    let mut parts = text.rsplitn(3, ' ');
    let code = parts.next().unwrap_or_default();
    let minor =
        parts.next().and_then(|minor| minor.parse().ok()).filter(|minor| *minor > 0).ok_or_else(wrong)?;
    let merchant = named(parts.next().ok_or_else(wrong)?)?;
    Ok((merchant, Money::new(minor, currency(code, "payments")?)))
}

fn each<T>(texts: &[String], read: impl Fn(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    texts.iter().map(|text| read(text)).collect()
}

fn ranges(texts: &[String]) -> Result<Vec<MccRange>, String> {
    let lists = each(texts, |text| {
        MccRange::of_text(text).ok_or_else(|| {
            let groups: Vec<&str> = MCC_GROUPS.iter().map(|(name, _)| *name).collect();
            let groups = groups.join(", ");
            format!("`mcc` must be of codes such as 5411, ranges such as 5500-5599, and groups: {groups}")
        })
    });
    Ok(lists?.concat())
}

fn channels(names: &[String]) -> Result<Channels, String> {
    let mut channels = Channels(0);
    for name in names {
        let channel = Channel::ALL.iter().find(|(_, known)| known == name);
        let known = Channel::ALL.map(|(_, name)| name).join(", ");
        let (channel, _) = channel.ok_or_else(|| format!("`channels` must be of {known}"))?;
        channels = channels.with(*channel);
    }
    Ok(channels)
}

fn three_digits(text: &str) -> Option<u16> {
    if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

pub(super) fn currency(text: &str, key: &str) -> Result<Currency, String> {
    let found = three_digits(text).and_then(Currency::new);
    found.ok_or_else(|| format!("`{key}` must be an ISO 4217 code of three digits such as 840"))
}

pub(super) fn country(text: &str) -> Result<u16, String> {
    let found = three_digits(text).filter(|country| *country != 0);
    found.ok_or_else(|| "a country is an ISO 3166 code of three digits such as 840".to_owned())
}

fn merchant(text: &str) -> Result<MerchantPrint, String> {
    MerchantPrint::of_text(text).ok_or_else(|| "a merchant is DE 42, 1 to 15 printable characters".to_owned())
}

fn fingerprint(text: &str) -> Result<MerchantPrint, String> {
    let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let found = if digits { u64::from_str_radix(text, 16).ok() } else { None };
    found.filter(|print| *print != 0).map(MerchantPrint).ok_or_else(|| {
        "a merchant's fingerprint is sixteen digits to the base of 16, as they are shown".to_owned()
    })
}

/// A limit with what counts against it.
pub(super) fn limit_json(view: &LimitView) -> Value {
    let ends = view.ends_s.map(|seconds| Timestamp::from_seconds(seconds).to_string());
    json!({
        "number": view.number.get(),
        "limit": definition(&view.limit, view.zone),
        "used": view.used,
        "remaining": view.limit.max.saturating_sub(view.used).max(0),
        "ends": ends,
    })
}

/// A limit of a product.
pub(super) fn rule_json(view: &RuleView) -> Value {
    let mut limit = definition(&view.limit, view.zone);
    limit["per"] = json!(if view.per_wallet { "wallet" } else { "card" });
    json!({ "number": view.number.get(), "limit": limit })
}

/// A limit as [`limit_of`] reads it.
fn definition(limit: &Limit, zone: Option<ZoneName>) -> Value {
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    match limit.measure {
        Measure::Count => put("measure", json!("count")),
        Measure::Amount(currency) => {
            put("measure", json!("amount"));
            put("currency", json!(currency.to_string()))
        }
    };
    put("max", json!(limit.max));
    put("window", json!(limit.window.name()));
    match (limit.window, limit.window.zone()) {
        (_, Some(Zone::Fixed(offset))) => _ = put("utc_offset_minutes", json!(offset.minutes())),
        (_, Some(Zone::Named(_))) => _ = put("time_zone", json!(zone.map(|name| name.to_string()))),
        (Window::Sliding(seconds), None) => _ = put("seconds", json!(seconds)),
        _ => {}
    }
    put_filter(&limit.filter, &mut object);
    Value::Object(object)
}

/// What uses are meant, as [`filter`] reads it.
pub(super) fn put_filter(filter: &Filter, object: &mut Map<String, Value>) {
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    let Filter { channels, kinds, mcc, country, currency, merchant } = *filter;
    if channels.0 != 0 {
        put("channels", channels.names().collect());
    }
    if kinds.0 != 0 {
        put("kinds", kinds.names().collect());
    }
    if mcc[0] != MccRange::NONE {
        let ranges = mcc.iter().filter(|range| **range != MccRange::NONE);
        put("mcc", ranges.map(MccRange::to_string).collect());
    }
    if country != 0 {
        put("country", json!(format!("{country:03}")));
    }
    if let Some(currency) = currency {
        put("transaction_currency", json!(currency.to_string()));
    }
    if merchant.0 != 0 {
        put("merchant_fingerprint", json!(merchant.to_string()));
    }
}

/// A control, and what it is locked to.
pub(super) fn control_json(view: &ControlView) -> Value {
    let mut shown = plain_control_json(view.number, &view.control);
    if view.control.aspect() == Aspect::FirstMerchant {
        shown["locked_to_fingerprint"] = json!((view.locked.0 != 0).then(|| view.locked.to_string()));
    }
    shown
}

/// A control as [`control_of`] reads it, under its number.
pub(super) fn plain_control_json(number: Number, control: &Control) -> Value {
    let key = match control.aspect() {
        Aspect::Mcc => "mcc",
        Aspect::Country => "countries",
        Aspect::Currency => "currencies",
        Aspect::Channel => "channels",
        Aspect::Merchant => "merchant_fingerprints",
        Aspect::Payment => "payment_fingerprints",
        Aspect::FirstMerchant => {
            return json!({ "number": number.get(), "control": { "rule": "lock" } });
        }
        Aspect::Recurring => {
            return json!({ "number": number.get(), "control": { "rule": "stop" } });
        }
    };
    let mut object = Map::new();
    object.insert("rule".to_owned(), json!(control.rule().name()));
    object.insert(key.to_owned(), control.listed().into_iter().collect());
    json!({ "number": number.get(), "control": object })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::zone::ZoneChange;
    use crate::domain::zone::ZoneNumber;

    fn look_up(name: &str) -> Option<ZoneTable> {
        let name = (name == "Some/Where").then(|| ZoneName::from_ascii(name.as_bytes()));
        ZoneTable::new(name?, vec![ZoneChange::default()])
    }

    fn parsed(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn what_is_shown_can_be_set_again() {
        let limits = [
            r#"{"measure":"amount","currency":"840","max":0,"window":"transaction"}"#,
            r#"{"measure":"count","max":3,"window":"sliding","seconds":3600,"channels":["ecommerce","atm"]}"#,
            r#"{"measure":"amount","currency":"048","max":5,"window":"week","utc_offset_minutes":-300,
                "kinds":["cash"],"mcc":["7995","5500-5599"],"country":"048","transaction_currency":"978",
                "merchant_fingerprint":"00000000deadbeef"}"#,
            r#"{"measure":"count","max":9,"window":"lifetime"}"#,
            r#"{"measure":"count","max":9,"window":"month","time_zone":"Some/Where"}"#,
        ];
        for text in limits {
            let asked = limit_of(parsed(text), &look_up).expect("a right limit");
            let named = Zone::Named(ZoneNumber::new(1).expect("a number"));
            let mut limit = asked.limit;
            if asked.zone.is_some() {
                limit.window = limit.window.in_zone(named);
            }
            let mut shown = definition(&limit, asked.zone.as_ref().map(ZoneTable::name));
            assert_eq!(limit_of(shown.clone(), &look_up), Ok(asked), "{text}");
            shown["extra"] = json!(1);
            assert_eq!(limit_of(shown, &look_up), Err("`extra` is not known".to_owned()));
        }
        let controls = [
            r#"{"rule":"deny","mcc":["gambling","0742"]}"#,
            r#"{"rule":"allow","countries":["840","048"]}"#,
            r#"{"rule":"deny","currencies":["840"]}"#,
            r#"{"rule":"allow","channels":["chip","other"]}"#,
            r#"{"rule":"deny","merchants":["SHOP 1","SHOP 2"]}"#,
            r#"{"rule":"lock"}"#,
            r#"{"rule":"stop"}"#,
            r#"{"rule":"stop","merchants":["M 1","M 2"]}"#,
            r#"{"rule":"stop","payments":["M 1 999 840","M 2 1 392"]}"#,
        ];
        for text in controls {
            let control = control_of(parsed(text)).expect("a right control");
            let number = Number::new(1).expect("a number");
            let view = ControlView { number, control, locked: MerchantPrint(0) };
            assert_eq!(control_of(control_json(&view)["control"].clone()), Ok(control), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_told_in_words() {
        let amount = r#""measure":"amount","currency":"840","max":1"#;
        let limits = [
            ("[]".to_owned(), "an object"),
            (r#"{"measure":"amount","max":1}"#.to_owned(), "`window` is missing"),
            (format!("{{{amount},\"window\":\"hour\"}}"), "`window` must be one of"),
            (format!("{{{amount},\"window\":\"sliding\"}}"), "`seconds` must be whole minutes"),
            (
                format!("{{{amount},\"window\":\"sliding\",\"seconds\":90}}"),
                "`seconds` must be whole minutes",
            ),
            (format!("{{{amount},\"window\":\"day\",\"utc_offset_minutes\":900}}"), "between -720 and 840"),
            (format!("{{{amount},\"window\":\"lifetime\",\"utc_offset_minutes\":0}}"), "is not known"),
            (format!("{{{amount},\"window\":\"day\",\"time_zone\":\"No/Where\"}}"), "`time_zone` must be"),
            (
                format!("{{{amount},\"window\":\"day\",\"time_zone\":\"UTC\",\"utc_offset_minutes\":0}}"),
                "give one of them",
            ),
            (format!("{{{amount},\"window\":\"lifetime\",\"time_zone\":\"UTC\"}}"), "is not known"),
            (r#"{"measure":"amount","max":1,"window":"day"}"#.to_owned(), "`currency` is missing"),
            (r#"{"measure":"count","currency":"840","max":1,"window":"day"}"#.to_owned(), "not known"),
            (r#"{"measure":"count","max":1,"window":"transaction"}"#.to_owned(), "longer than a transaction"),
            (r#"{"measure":"count","max":-1,"window":"day"}"#.to_owned(), "zero or more"),
            (r#"{"measure":"count","max":1.5,"window":"day"}"#.to_owned(), "whole number"),
            (format!("{{{amount},\"window\":\"day\",\"channels\":[]}}"), "not empty"),
            (format!("{{{amount},\"window\":\"day\",\"channels\":[\"web\"]}}"), "of other, chip"),
            (format!("{{{amount},\"window\":\"day\",\"mcc\":[\"54\"]}}"), "`mcc` must be"),
            (
                format!("{{{amount},\"window\":\"day\",\"mcc\":[\"groceries\",\"fuel\"]}}"),
                "more than 8 ranges",
            ),
            (format!("{{{amount},\"window\":\"day\",\"country\":\"US\"}}"), "ISO 3166"),
        ];
        for (text, words) in limits {
            let error = limit_of(parsed(&text), &look_up).expect_err("a mistake");
            assert!(error.contains(words), "{text}: {error}");
        }
        let long: Vec<String> = (1..=33).map(|code| format!("\"{code:03}\"")).collect();
        let controls = [
            (r#"{"rule":"deny"}"#.to_owned(), "a control has one of"),
            (r#"{"rule":"deny","mcc":["cash"],"countries":["840"]}"#.to_owned(), "a control has one of"),
            (r#"{"rule":"forbid","mcc":["cash"]}"#.to_owned(), "one of allow, deny, lock, stop"),
            (r#"{"rule":"stop","mcc":["cash"]}"#.to_owned(), "a stop has merchants"),
            (r#"{"rule":"deny","payments":["M 1 999 840"]}"#.to_owned(), "are for a stop"),
            (r#"{"rule":"stop","payments":["M 0 840"]}"#.to_owned(), "merchant, minor units, currency"),
            (r#"{"rule":"stop","payments":["999 840"]}"#.to_owned(), "merchant, minor units, currency"),
            (r#"{"rule":"stop","payments":["M 9.99 840"]}"#.to_owned(), "merchant, minor units, currency"),
            (
                r#"{"rule":"stop","payments":["M 1 840","M 2 840","M 3 840","M 4 840"]}"#.to_owned(),
                "too long for one control",
            ),
            (r#"{"rule":"lock","mcc":["cash"]}"#.to_owned(), "not known"),
            (format!("{{\"rule\":\"deny\",\"countries\":[{}]}}", long.join(",")), "too long"),
            (r#"{"rule":"deny","merchants":[""]}"#.to_owned(), "printable"),
            (r#"{"rule":"deny","merchant_fingerprints":["xyz"]}"#.to_owned(), "base of 16"),
        ];
        for (text, words) in controls {
            let error = control_of(parsed(&text)).expect_err("a mistake");
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
