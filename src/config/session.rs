//! The keys of `[links.NAME]` about signing on, stored advices and echoes (R23).

use crate::config;
use crate::dialect::network::Sender;
use crate::domain::request::MemberId;
use crate::domain::request::Scope;
use crate::domain::request::SecurityCode;
use crate::link::state::SignOn;
use crate::settings::Section;

/// Most prefixes that we sign on for, one request each.
const PREFIXES_MAX: usize = 64;
/// Most characters of DE 94 and DE 96. The dialect knows better; this only bounds the text.
const TEXT_MAX: usize = 64;

/// How a link is signed on, and how its peer is watched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SessionSettings {
    /// Who signs on.
    pub sign_on: SignOn,
    /// For whom we do: the whole link, or a group and prefixes.
    pub scopes: Vec<Scope>,
    /// Whether we ask for stored advices once we are signed on.
    pub stored_advices: bool,
    /// Whether requests are declined before the sign-on.
    pub decline_before_sign_on: bool,
    /// How many milliseconds an answer to a request of ours may take.
    pub network_timeout_ms: u64,
    /// How many milliseconds we wait before we ask again.
    pub sign_on_pause_ms: u64,
    /// After how many milliseconds without a message a socket gets an echo; `None` for never.
    pub echo_ms: Option<u64>,
    /// How many echoes in a row without an answer close a socket.
    pub echo_misses: u32,
    /// What names us in our requests.
    pub sender: Sender,
}

impl SessionSettings {
    pub(super) fn read(section: &Section<'_>, idle_s: u64) -> Self {
        let who = [("peer", SignOn::Peer), ("us", SignOn::Us), ("both", SignOn::Both)];
        let before = [("serve", false), ("decline", true)];
        let sign_on = section.choice("sign_on", &who).unwrap_or(SignOn::Peer);
        let echo_s = section.integer_or("echo_s", 0..=86_400, 0);
        if idle_s > 0 && echo_s >= idle_s {
            section.report_at(
                "echo_s",
                format!("a silent socket is closed before, by `idle_s`, which is {idle_s}"),
            );
        }
        Self {
            sign_on,
            scopes: read_scopes(section, sign_on),
            stored_advices: section.flag_or("stored_advices", true),
            decline_before_sign_on: section.choice("before_sign_on", &before).unwrap_or(false),
            network_timeout_ms: section.integer_or("network_timeout_ms", 1..=600_000, 10_000),
            sign_on_pause_ms: section.integer_or("sign_on_pause_ms", 1..=3_600_000, 10_000),
            echo_ms: (echo_s > 0).then_some(echo_s * 1_000),
            echo_misses: config::integer_or(section, "echo_misses", 1..=1_000, 3),
            sender: Sender {
                forwarding_institution: read_institution(section),
                service_indicator: read_text(section, "service_indicator"),
                security_code: read_text(section, "security_code").map(SecurityCode),
            },
        }
    }
}

fn read_scopes(section: &Section<'_>, sign_on: SignOn) -> Vec<Scope> {
    let member = |key: &str, digits: &str| {
        let id = MemberId::from_digits(digits);
        if id.is_none() {
            let most = MemberId::DIGITS_MAX;
            section.report_at(key, format!("`{key}`: \"{digits}\" is not 1 to {most} digits"));
        }
        id
    };
    let mut scopes = Vec::new();
    let group = section.text("sign_on_group").and_then(|digits| member("sign_on_group", digits));
    scopes.extend(group.map(Scope::Group));
    let prefixes = section.texts("sign_on_prefixes");
    if prefixes.len() > PREFIXES_MAX {
        section.report_at("sign_on_prefixes", format!("there can be {PREFIXES_MAX} prefixes"));
    }
    for digits in prefixes {
        let Some(id) = member("sign_on_prefixes", digits) else { continue };
        if scopes.contains(&Scope::Prefix(id)) {
            section.report_at("sign_on_prefixes", format!("prefix {id} stands there twice"));
        }
        scopes.push(Scope::Prefix(id));
    }
    for key in ["sign_on_group", "sign_on_prefixes"] {
        if sign_on == SignOn::Peer && section.has(key) {
            section.report_at(key, format!("`{key}` is for `sign_on` \"us\" or \"both\""));
        }
    }
    if scopes.is_empty() {
        scopes.push(Scope::Link);
    }
    scopes
}

fn read_institution(section: &Section<'_>) -> Option<Box<str>> {
    let digits = section.text("forwarding_id")?;
    if MemberId::from_digits(digits).is_none() {
        section.report_at("forwarding_id", "an institution has 1 to 11 digits");
    }
    Some(digits.into())
}

/// A text of which nothing is told when it is wrong: it may be a secret.
fn read_text(section: &Section<'_>, key: &str) -> Option<Box<str>> {
    let text = section.text(key)?;
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if text.is_empty() || text.len() > TEXT_MAX || !printable {
        section.report_at(key, format!("`{key}` must be 1 to {TEXT_MAX} printable ASCII characters"));
    }
    Some(text.into())
}
