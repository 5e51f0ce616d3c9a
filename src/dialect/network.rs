//! Network management both ways: what DE 70 means, what we ask ourselves (0800), and how we answer (0810).

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::answer::Added;
use crate::dialect::answer::WriteError;
use crate::dialect::answer::at;
use crate::dialect::inbound::NetworkRequest;
use crate::dialect::inbound::Received;
use crate::dialect::table::required;
use crate::dialect::table::two_characters;
use crate::domain::action::ActionCode;
use crate::domain::request::MemberId;
use crate::domain::request::NetworkManagement;
use crate::domain::request::Scope;
use crate::domain::request::SecurityCode;
use crate::domain::request::Stan;
use crate::domain::request::network_management_outcome;
use crate::domain::time::Timestamp;
use crate::domain::time::TransmissionTime;
use crate::iso8583::build::Builder;
use crate::iso8583::spec::Bitmaps;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::value::Value;
use crate::settings::Section;

/// Visa DE 63 with 63.1 only: network 0002.
const VISA_NETWORK: [u8; 5] = [0x80, 0, 0, 0, 0x02];
/// What a table without a list of them takes for key exchanges.
const KEY_EXCHANGE: [u64; 2] = [161, 162];

/// DE 70 of network management. The first of each list is the one that we send; any of them is understood. A code of
/// the group or prefix lists speaks for the whole link when its message has no DE 2.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct NetworkCodes {
    sign_on: Vec<u16>,
    sign_off: Vec<u16>,
    group_sign_on: Vec<u16>,
    group_sign_off: Vec<u16>,
    prefix_sign_on: Vec<u16>,
    prefix_sign_off: Vec<u16>,
    echo: Vec<u16>,
    stored_advices: Vec<u16>,
    stored_advices_stop: Vec<u16>,
    stored_advices_end: Vec<u16>,
    key_exchange: Vec<u16>,
    /// DE 39 of what is not carried out; `None` is that of an invalid transaction.
    refused: Option<[u8; 2]>,
}

impl NetworkCodes {
    fn meanings(&self) -> [(NetworkManagement, [&[u16]; 3]); 7] {
        [
            (NetworkManagement::Echo, [&self.echo, &[], &[]]),
            (NetworkManagement::SignOn, [&self.sign_on, &self.group_sign_on, &self.prefix_sign_on]),
            (NetworkManagement::SignOff, [&self.sign_off, &self.group_sign_off, &self.prefix_sign_off]),
            (NetworkManagement::StoredAdvices, [&self.stored_advices, &[], &[]]),
            (NetworkManagement::StoredAdvicesStop, [&self.stored_advices_stop, &[], &[]]),
            (NetworkManagement::StoredAdvicesEnd, [&self.stored_advices_end, &[], &[]]),
            (NetworkManagement::KeyExchange(0), [&self.key_exchange, &[], &[]]),
        ]
    }

    /// What a code of DE 70 asks for.
    pub(super) fn meaning(&self, code: u16) -> NetworkManagement {
        let is_meant = |lists: &[&[u16]; 3]| lists.iter().any(|list| list.contains(&code));
        match self.meanings().into_iter().find(|(_, lists)| is_meant(lists)) {
            Some((NetworkManagement::KeyExchange(_), _)) => NetworkManagement::KeyExchange(code),
            Some((what, _)) => what,
            None => NetworkManagement::Unsupported(code),
        }
    }

    /// For whom a message with this code and DE 2 speaks.
    pub(super) fn scope(&self, code: u16, member: MemberId) -> Scope {
        if self.group_sign_on.contains(&code) || self.group_sign_off.contains(&code) {
            Scope::Group(member)
        } else if self.prefix_sign_on.contains(&code) || self.prefix_sign_off.contains(&code) {
            Scope::Prefix(member)
        } else {
            Scope::Link
        }
    }

    /// The code that we send.
    fn code(&self, what: NetworkManagement, scope: Scope) -> Option<u16> {
        let list = match (what, scope) {
            (NetworkManagement::SignOn, Scope::Link) => &self.sign_on,
            (NetworkManagement::SignOn, Scope::Group(_)) => &self.group_sign_on,
            (NetworkManagement::SignOn, Scope::Prefix(_)) => &self.prefix_sign_on,
            (NetworkManagement::SignOff, Scope::Link) => &self.sign_off,
            (NetworkManagement::SignOff, Scope::Group(_)) => &self.group_sign_off,
            (NetworkManagement::SignOff, Scope::Prefix(_)) => &self.prefix_sign_off,
            (NetworkManagement::Echo, _) => &self.echo,
            (NetworkManagement::StoredAdvices, _) => &self.stored_advices,
            (NetworkManagement::StoredAdvicesStop, _) => &self.stored_advices_stop,
            (NetworkManagement::StoredAdvicesEnd, _) => &self.stored_advices_end,
            (NetworkManagement::KeyExchange(code) | NetworkManagement::Unsupported(code), _) => {
                return Some(code);
            }
        };
        list.first().copied()
    }
}

/// What names us in network management of ours, where a network wants it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sender {
    /// DE 33, digits.
    pub forwarding_institution: Option<Box<str>>,
    /// DE 94.
    pub service_indicator: Option<Box<str>>,
    /// DE 96; hex where the field is binary.
    pub security_code: Option<SecurityCode>,
}

/// A network management request of ours (0800).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnRequest {
    /// What we ask for.
    pub what: NetworkManagement,
    /// For whom a sign-on or a sign-off speaks; it goes into DE 2.
    pub scope: Scope,
    /// DE 7, and the first half of Visa's DE 37.
    pub now: Timestamp,
    /// DE 11.
    pub stan: Stan,
    /// Our station and theirs, six digits each (Visa H6, H5); zeros before they are assigned.
    pub stations: (u32, u32),
}

impl Dialect {
    /// Appends the whole frame of the usual answer to network management (0810).
    ///
    /// # Errors
    /// The answer does not fit the frame or a field; nothing was appended.
    pub fn write_network_answer(
        &self,
        received: &Received<'_>,
        request: &NetworkRequest,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        self.write_network_outcome(received, network_management_outcome(request.what), out)
    }

    /// Appends the whole frame of an answer to network management (0810) with this outcome.
    ///
    /// # Errors
    /// The answer does not fit the frame or a field; nothing was appended.
    pub fn write_network_outcome(
        &self,
        received: &Received<'_>,
        outcome: ActionCode,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let refused = self.network_codes.refused.filter(|_| outcome == ActionCode::InvalidTransaction);
        let code = refused.unwrap_or_else(|| self.response_code(outcome));
        self.write_response(received.header, &received.view, received.open, &Added::only(code), out)
    }

    /// Whether the table has a code for this, so that it can be sent.
    #[must_use]
    pub fn can_ask(&self, what: NetworkManagement, scope: Scope) -> bool {
        self.network_codes.code(what, scope).is_some()
    }

    /// Whether DE 70 of an 0810 is the one with which we ask this. Peers may leave it out.
    #[must_use]
    pub fn answers(&self, code: Option<u16>, what: NetworkManagement, scope: Scope) -> bool {
        code.is_none_or(|code| self.network_codes.code(what, scope) == Some(code))
    }

    /// DE 70 of our network management requests for the whole link; zero when the table has no code for it.
    #[must_use]
    pub fn network_code(&self, what: NetworkManagement) -> u16 {
        self.network_codes.code(what, Scope::Link).unwrap_or(0)
    }

    /// Appends the whole frame of a network management request of ours (0800).
    ///
    /// # Errors
    /// It does not fit the frame or a field; nothing was appended.
    pub fn write_network_request(&self, request: &OwnRequest, out: &mut Vec<u8>) -> Result<(), WriteError> {
        let code = u64::from(self.network_codes.code(request.what, request.scope).unwrap_or(0));
        let visa = self.mapping == Mapping::Visa;
        let (ours, theirs) = request.stations;
        let sender = &self.sender;
        self.framed(theirs, ours, out, |out| {
            let mut builder = Builder::begin(&self.layout, out, 800, FieldSet::of(&[70]), Bitmaps::AS_NEEDED);
            if let Scope::Group(member) | Scope::Prefix(member) = request.scope {
                at(2, builder.text(2, member.to_string().as_bytes()))?;
            }
            let transmission = TransmissionTime::at(request.now);
            at(7, builder.number(7, u64::from(transmission.digits())))?;
            at(11, builder.number(11, u64::from(request.stan.0)))?;
            if let Some(institution) = &sender.forwarding_institution {
                at(33, builder.value(33, Value::Text(institution)))?;
            }
            if visa {
                at(37, builder.text(37, &visa_reference_number(request.now, request.stan)))?;
                at(63, builder.value(63, Value::Bytes(&VISA_NETWORK)))?;
            }
            at(70, builder.number(70, code))?;
            if let Some(indicator) = &sender.service_indicator {
                at(94, builder.value(94, Value::Text(indicator)))?;
            }
            if let Some(SecurityCode(code)) = &sender.security_code {
                at(96, builder.value(96, Value::Text(code)))?;
            }
            builder.finish();
            Ok(())
        })
    }
}

/// Visa's DE 37: last digit of the year, day of the year, hour, then DE 11.
fn visa_reference_number(now: Timestamp, stan: Stan) -> [u8; 12] {
    let civil = now.civil();
    let leap = civil.year % 4 == 0 && (civil.year % 100 != 0 || civil.year % 400 == 0);
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let month = (civil.month.max(1) - 1) as usize % before.len();
    let day = before[month] + civil.day + u32::from(leap && civil.month > 2);
    let year = civil.year.rem_euclid(10) as u64;
    let head = (year * 1000 + u64::from(day)) * 100 + u64::from(civil.hour);
    let mut rest = head * 1_000_000 + u64::from(stan.0 % 1_000_000);
    let mut text = [b'0'; 12];
    for byte in text.iter_mut().rev() {
        *byte = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    text
}

/// Reads `[network_management]`. Only signing on and off and echo must be there.
pub(super) fn read_network_codes(root: &Section<'_>) -> NetworkCodes {
    let Some(section) = required(root, "network_management") else { return NetworkCodes::default() };
    let narrow = |codes: Vec<u64>| -> Vec<u16> { codes.into_iter().map(|code| code as u16).collect() };
    let optional = |key: &str| narrow(section.integers(key, 0..=999));
    let needed = |key: &str| {
        let codes = optional(key);
        if codes.is_empty() {
            section.report_at(key, format!("`network_management.{key}` needs at least one code of DE 70"));
        }
        codes
    };
    let found = NetworkCodes {
        sign_on: needed("sign_on"),
        sign_off: needed("sign_off"),
        group_sign_on: optional("group_sign_on"),
        group_sign_off: optional("group_sign_off"),
        prefix_sign_on: optional("prefix_sign_on"),
        prefix_sign_off: optional("prefix_sign_off"),
        echo: needed("echo"),
        stored_advices: optional("stored_advices"),
        stored_advices_stop: optional("stored_advices_stop"),
        stored_advices_end: optional("stored_advices_end"),
        key_exchange: if section.has("key_exchange") {
            optional("key_exchange")
        } else {
            narrow(KEY_EXCHANGE.to_vec())
        },
        refused: read_refused(&section),
    };
    check_meanings(&found, &section);
    section.finish();
    found
}

fn read_refused(section: &Section<'_>) -> Option<[u8; 2]> {
    let code = two_characters(section.text("refused")?);
    match code {
        None => section.report_at("refused", "`network_management.refused` must be two letters or digits"),
        Some([b'0', b'0']) => section.report_at("refused", "a refusal cannot be \"00\""),
        Some(_) => {}
    }
    code
}

/// A code with two meanings would be carried out as the wrong one: a key exchange answered 00, or a sign-off taken for
/// a sign-on.
fn check_meanings(codes: &NetworkCodes, section: &Section<'_>) {
    let meanings = codes.meanings();
    for (n, (_, lists)) in meanings.iter().enumerate() {
        let others = || meanings[n + 1..].iter().flat_map(|(_, others)| others.iter().copied().flatten());
        if let Some(code) = lists.iter().copied().flatten().find(|code| others().any(|other| other == *code))
        {
            section.report(format!("code {code} of DE 70 stands in two lists that mean different things"));
        }
    }
    let both = |one: &[u16], other: &[u16]| one.iter().any(|code| other.contains(code));
    if both(&codes.group_sign_on, &codes.prefix_sign_on)
        || both(&codes.group_sign_off, &codes.prefix_sign_off)
    {
        section.report("a code of DE 70 cannot stand for both a group and a prefix");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = include_str!("tables/iso87-ascii.toml");
    const CODES: &str = "sign_on = [1, 71]\nsign_off = [2, 72]\necho = [301]\n";

    fn read(codes: &str) -> Result<Dialect, Vec<String>> {
        assert!(TABLE.contains(CODES));
        let table = TABLE.replace("refused = \"12\"\n", "").replace(CODES, codes);
        let findings = Dialect::from_toml("f.toml", &table);
        findings.map_err(|findings| findings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn r23_a_code_means_what_its_list_says() {
        let codes = "sign_on = [1]\nsign_off = [2]\necho = [270]\ngroup_sign_on = [61]\nprefix_sign_on = [1, 65]\n\
            stored_advices = [60]\nstored_advices_stop = [79]\nstored_advices_end = [363]\n";
        let dialect = read(codes).expect("a right table");
        let codes = &dialect.network_codes;
        let member = MemberId::from_digits("00123").expect("digits");
        let (group, prefix) = (Scope::Group(member), Scope::Prefix(member));
        let table = [
            (1, NetworkManagement::SignOn, prefix),
            (61, NetworkManagement::SignOn, group),
            (65, NetworkManagement::SignOn, prefix),
            (2, NetworkManagement::SignOff, Scope::Link),
            (270, NetworkManagement::Echo, Scope::Link),
            (60, NetworkManagement::StoredAdvices, Scope::Link),
            (79, NetworkManagement::StoredAdvicesStop, Scope::Link),
            (363, NetworkManagement::StoredAdvicesEnd, Scope::Link),
            (161, NetworkManagement::KeyExchange(161), Scope::Link),
            (301, NetworkManagement::Unsupported(301), Scope::Link),
        ];
        for (code, what, scope) in table {
            assert_eq!((codes.meaning(code), codes.scope(code, member)), (what, scope), "{code}");
        }
        // What we send is the first of the list, and needs one.
        let sent = [Scope::Link, group, prefix].map(|scope| codes.code(NetworkManagement::SignOn, scope));
        assert_eq!(sent, [Some(1), Some(61), Some(1)]);
        assert!(!dialect.can_ask(NetworkManagement::SignOff, group));
    }

    #[test]
    fn r23_mistakes_in_the_codes_have_their_places() {
        let more = |more: &str| format!("{CODES}{more}\n");
        let table = [
            ("sign_on = [1]\nsign_off = [2]\n".to_owned(), "`network_management.echo` needs at least one"),
            (more("group_sign_on = [1000]"), "`network_management.group_sign_on` is not one of the integers"),
            (more("stored_advices = [301]"), "code 301 of DE 70 stands in two lists"),
            (more("key_exchange = [71]"), "code 71 of DE 70 stands in two lists"),
            (more("prefix_sign_off = [161]"), "code 161 of DE 70 stands in two lists"),
            (more("group_sign_on = [61]\nprefix_sign_on = [61]"), "both a group and a prefix"),
            (more("refused = \"00\""), "a refusal cannot be \"00\""),
            (more("refused = \"0\""), "must be two letters or digits"),
            (more("colour = 1"), "unknown key `network_management.colour`"),
        ];
        for (codes, words) in table {
            let findings = read(&codes).err().unwrap_or_default();
            assert_eq!(findings.len(), 1, "{codes}: {findings:?}");
            assert!(findings[0].contains(words), "{codes}: {findings:?}");
            let line = findings[0].split(':').nth(1).and_then(|line| line.parse::<usize>().ok());
            let heading = TABLE.lines().position(|line| line == "[network_management]").expect("a table") + 1;
            let last = heading + codes.lines().count();
            assert!(line.is_some_and(|line| (heading..=last).contains(&line)), "{codes}: {findings:?}");
        }
    }
}
