//! TOML text -> checked settings of the daemon.
//!
//! [`Config::from_toml`] reports every mistake of a file at once, each with its place: wrong types, values out of
//! bounds, unknown keys, and what does not fit together across keys. Reading files, and so the dialects of links, is
//! the edge's part; [`Config::finding`] gives it the places of what it finds there.

pub mod card_file;
pub mod clearing;
pub mod dial;
pub mod forward;
pub mod history;
pub mod lifecycle;
pub mod link;
pub mod money;
pub mod peers;
pub mod process;
pub mod products;
pub mod routing;
pub mod seed;
pub mod session;
pub mod snapshots;
pub mod tcp;
pub mod wallets;

use core::net::SocketAddr;

use xxhash_rust::xxh3::xxh3_64;

use crate::config::clearing::ClearingSettings;
use crate::config::history::HistorySettings;
use crate::config::lifecycle::LifecycleSettings;
use crate::config::link::LinkSettings;
use crate::config::money::JournalSettings;
use crate::config::money::LedgerSettings;
use crate::config::process::AdminSettings;
use crate::config::process::DaemonSettings;
use crate::config::products::ProductSettings;
use crate::config::snapshots::SnapshotSettings;
use crate::config::wallets::WalletSettings;
use crate::domain::card::Verification;
use crate::domain::party::NameId;
use crate::settings::Document;
use crate::settings::Finding;
use crate::settings::Places;
use crate::settings::Section;

/// The daemon's settings, each within its bounds and all of them fitting together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// `[daemon]`: the process.
    pub daemon: DaemonSettings,
    /// `[admin]`: the HTTP face.
    pub admin: AdminSettings,
    /// `[ledger]`: how much there is room for, and how long what is remembered.
    pub ledger: LedgerSettings,
    /// `[wallets]`: what the verbs of wallets are bounded by.
    pub wallets: WalletSettings,
    /// `[clearing]`: how clearing files are posted.
    pub clearing: ClearingSettings,
    /// `[lifecycle]` and `[expiry.NAME]`: how authorizations end.
    pub lifecycle: LifecycleSettings,
    /// `[journal]`: what must be durable before an answer leaves.
    pub journal: JournalSettings,
    /// `[snapshots]`: how often the books are copied to disk.
    pub snapshots: SnapshotSettings,
    /// `[history]`.
    pub history: HistorySettings,
    /// `[product] verification`: what seeded cards ask for (R28).
    pub verification: Verification,
    /// `[products.NAME]` in the order of the file.
    pub products: Vec<ProductSettings>,
    /// `[routes.NAME]` and `[stand_in.NAME]`.
    pub routes: routing::RoutingSettings,
    /// `[links.NAME]` in the order of the file. There is at least one.
    pub links: Vec<LinkSettings>,
    /// Where each link stands, by its name.
    places: Vec<(String, Places)>,
    file: String,
    checksum: u64,
}

impl Config {
    /// Reads a configuration file's text. `file` is its name for the findings.
    ///
    /// # Errors
    /// Every mistake in the text, in the order of their places.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, Vec<Finding>> {
        let (config, findings) = Self::read(file, text);
        if findings.is_empty() { Ok(config) } else { Err(findings) }
    }

    /// The same, with what could be read of a text that has mistakes: enough to go on and look for more.
    #[must_use]
    pub fn read(file: &str, text: &str) -> (Self, Vec<Finding>) {
        let document = Document::parse(file, text);
        let root = document.root();
        let ledger = LedgerSettings::read(root.section("ledger"));
        let mut config = Self {
            daemon: DaemonSettings::read(root.section("daemon")),
            admin: AdminSettings::read(root.section("admin")),
            wallets: WalletSettings::read(root.section("wallets")),
            clearing: ClearingSettings::read(&root),
            lifecycle: LifecycleSettings::read(&root, ledger.hold_days),
            ledger,
            journal: JournalSettings::read(root.section("journal")),
            snapshots: SnapshotSettings::read(root.section("snapshots")),
            history: HistorySettings::read(root.section("history")),
            verification: read_product(root.section("product")),
            products: products::read(&root),
            routes: routing::RoutingSettings::default(),
            links: Vec::new(),
            places: Vec::new(),
            file: file.to_owned(),
            checksum: xxh3_64(text.as_bytes()),
        };
        config.read_links(&root);
        config.routes = routing::RoutingSettings::read(&root, &config.links);
        root.finish();
        (config, document.into_findings())
    }

    /// A mistake of a link that shows only when its dialect is read: at a key of its, or at its heading when the key is
    /// absent.
    #[must_use]
    pub fn finding(&self, link: &str, key: &str, message: impl Into<String>) -> Finding {
        match self.places.iter().find(|(name, _)| name == link) {
            Some((_, places)) => places.finding(key, message),
            // A link that was not read from the file.
            None => Finding { file: self.file.clone(), line: 1, column: 1, message: message.into() },
        }
    }

    /// Checksum of the text it was read from: the version that `Configured` records.
    #[must_use]
    pub fn checksum(&self) -> u64 {
        self.checksum
    }

    /// Reads every link, and reports what two of them cannot share.
    fn read_links(&mut self, root: &Section<'_>) {
        let sections = root.sections("links");
        if sections.is_empty() {
            root.report("there is no link; add a table `[links.NAME]`");
        }
        for (name, section) in sections {
            let link = LinkSettings::read(name, &section);
            self.check_address(&link, &section);
            check_names(&link, &self.links, &section);
            if link.parked_max > self.daemon.parked_max {
                let message = format!("more than `daemon.parked_max`, which is {}", self.daemon.parked_max);
                section.report_at("parked_max", message);
            }
            self.links.push(link);
            self.places.push((name.to_owned(), section.places()));
            section.finish();
        }
    }

    fn check_address(&self, link: &LinkSettings, section: &Section<'_>) {
        let Some(listen) = link.listen else { return };
        if clash(listen, self.admin.listen) {
            section.report_at("listen", format!("{listen} is where `admin.listen` is"));
        }
        let clashes = |other: &&LinkSettings| other.listen.is_some_and(|other| clash(listen, other));
        for other in self.links.iter().filter(clashes) {
            section.report_at("listen", format!("{listen} is where link `{}` listens", other.name));
        }
    }
}

/// Whether two sockets cannot both listen. Port 0 takes any free one.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let one_covers_other = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() != 0 && one.port() == other.port() && one_covers_other
}

/// Records name links and networks by a 32-bit number: no two names may share one.
fn check_names(link: &LinkSettings, others: &[LinkSettings], section: &Section<'_>) {
    for other in others {
        if NameId::of(&link.name) == NameId::of(&other.name) {
            section.report(format!("the names `{}` and `{}` have one number", link.name, other.name));
        }
        if link.network != other.network && NameId::of(&link.network) == NameId::of(&other.network) {
            let message = format!("the names `{}` and `{}` have one number", link.network, other.network);
            section.report_at("network", message);
        }
    }
}

fn read_product(section: Option<Section<'_>>) -> Verification {
    let Some(section) = section else { return Verification::None };
    let names = [("none", Verification::None), ("required", Verification::Required)];
    let verification = section.choice("verification", &names).unwrap_or(Verification::None);
    section.finish();
    verification
}

/// Reads an integer that fits 32 bits, or takes the default when it is absent or wrong.
fn integer_or(section: &Section<'_>, key: &str, range: core::ops::RangeInclusive<u32>, default: u32) -> u32 {
    let wide = u64::from(*range.start())..=u64::from(*range.end());
    u32::try_from(section.integer_or(key, wide, default.into())).unwrap_or(default)
}

/// Reads an address and port such as `127.0.0.1:8583`. Names are not looked up.
fn address(section: &Section<'_>, key: &str) -> Option<SocketAddr> {
    let text = section.text(key)?;
    let address = text.parse().ok();
    if address.is_none() {
        section.report_at(key, format!("\"{text}\" is no address and port such as 127.0.0.1:8583"));
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::money::Reply;
    use crate::domain::event::Bounds;
    use crate::domain::request::MemberId;
    use crate::domain::request::Scope;
    use crate::link::state::SignOn;

    const LINK: &str = "[links.visa]\ndialect = \"visa\"\nlisten = \"127.0.0.1:8583\"\n";

    fn findings(text: &str) -> Vec<String> {
        let findings = Config::from_toml("f.toml", text).err().unwrap_or_default();
        findings.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_not_written_has_a_default() {
        let config = Config::from_toml("f.toml", LINK).expect("a right file");
        assert_eq!(config.daemon, DaemonSettings::default());
        assert_eq!(config.ledger, LedgerSettings::default());
        assert_eq!(config.ledger.bounds, Bounds::default());
        assert_eq!(config.journal.reply, Reply::Async);
        assert_eq!(config.snapshots, SnapshotSettings::default());
        assert_eq!(config.history, HistorySettings::default());
        assert_eq!(config.admin.listen.to_string(), "127.0.0.1:8580");
        assert_eq!(config.verification, Verification::None);
        let link = &config.links[0];
        assert_eq!((link.name.as_str(), link.network.as_str(), link.max_frame_bytes), ("visa", "visa", 4096));
        assert_ne!(
            config.checksum(),
            Config::from_toml("f.toml", &format!("{LINK}\n")).expect("same").checksum()
        );
    }

    #[test]
    fn what_is_written_is_taken() {
        let text = "[daemon]\ndata_dir = \"/var/lib/turnpike\"\ntime_zone_offset_minutes = -300\nshards = 64\n\
            [journal]\nreply = \"fsync\"\nfsync_above = { \"840\" = 10_000, \"048\" = 5 }\n\
            [product]\nverification = \"required\"\n\
            [ledger]\nclosed_days = 3\n\
            [links.a]\ndialect = \"mine\"\ndialect_file = \"mine.toml\"\nlisten = \"[::1]:9000\"\n\
            network = \"visa\"\nstation_id = \"012345\"\nidle_s = 60\nsign_off_on_drain = false\n";
        let config = Config::from_toml("f.toml", text).expect("a right file");
        assert_eq!((config.daemon.time_zone_offset_minutes, config.daemon.shards), (-300, 64));
        assert_eq!(config.daemon.key_path().to_string_lossy(), "/var/lib/turnpike/keys/master.key");
        assert_eq!(config.journal.reply, Reply::Fsync);
        let above: Vec<(u16, i64)> = config
            .journal
            .fsync_above()
            .iter()
            .map(|above| (above.currency.numeric(), above.minor))
            .collect();
        assert_eq!(above, [(48, 5), (840, 10_000)]);
        assert_eq!(config.ledger.bounds.closed_window_s, 3 * 86_400);
        assert_eq!(config.verification, Verification::Required);
        let link = &config.links[0];
        assert_eq!((link.station_id, link.idle_s, link.sign_off_on_drain), (Some(12_345), Some(60), false));
        assert_eq!((link.dialect.as_str(), link.network.as_str()), ("mine", "visa"));
    }

    #[test]
    fn r23_what_is_written_about_a_session_is_taken() {
        let plain = Config::from_toml("f.toml", LINK).expect("a right file");
        let session = &plain.links[0].session;
        assert_eq!((session.sign_on, session.scopes.as_slice()), (SignOn::Peer, &[Scope::Link][..]));
        assert_eq!((session.echo_ms, session.decline_before_sign_on), (None, false));
        let text = format!(
            "{LINK}sign_on = \"both\"\nsign_on_group = \"00123\"\nsign_on_prefixes = [\"4111\"]\necho_s = 5\n\
             before_sign_on = \"decline\"\nallow = [\"10.0.0.0/8\", \"::1\"]\nconnections_per_peer_max = 2\n\
             security_code = \"topsecret\"\n"
        );
        let config = Config::from_toml("f.toml", &text).expect("a right file");
        let link = &config.links[0];
        let member = |digits| MemberId::from_digits(digits).expect("digits");
        assert_eq!(link.session.scopes, [Scope::Group(member("00123")), Scope::Prefix(member("4111"))]);
        assert_eq!((link.session.sign_on, link.session.echo_ms), (SignOn::Both, Some(5_000)));
        assert!(link.session.decline_before_sign_on);
        assert_eq!((link.allow.as_ref().map(Vec::len), link.connections_per_peer_max), (Some(2), 2));
        assert_eq!(plain.links[0].allow, None);
        assert!(!format!("{config:?}").contains("topsecret"), "a password is not shown");
    }

    #[test]
    fn the_time_for_unacknowledged_bytes_follows_the_keep_alive() {
        // What is written, then silence, interval and probes, and the user timeout, in seconds.
        let table = [
            ("", Some((30, 10, 3)), Some(60)),
            ("tcp_keep_alive_s = 300\ntcp_keep_alive_probes = 5", Some((300, 10, 5)), Some(350)),
            ("tcp_keep_alive_interval_s = 1\ntcp_user_timeout_s = 90", Some((30, 1, 3)), Some(90)),
            ("tcp_user_timeout_s = 0", Some((30, 10, 3)), None),
            ("tcp_keep_alive_s = 0", None, None),
            ("tcp_keep_alive_s = 0\ntcp_user_timeout_s = 5", None, Some(5)),
        ];
        for (text, keep_alive, user_timeout) in table {
            let config = Config::from_toml("f.toml", &format!("{LINK}{text}")).expect("a right file");
            let tcp = config.links[0].tcp;
            let read = tcp.keep_alive.map(|k| (k.after.as_secs(), k.interval.as_secs(), k.probes));
            assert_eq!((read, tcp.user_timeout.map(|t| t.as_secs())), (keep_alive, user_timeout), "{text}");
        }
    }

    #[test]
    fn three_mistakes_are_named_at_once_each_with_its_place() {
        let text = format!("[daemon]\nshards = 100\ncolour = 1\n[journal]\n  reply = \"maybe\"\n{LINK}");
        assert_eq!(
            findings(&text),
            [
                "f.toml:2:10: `daemon.shards` is 100; it must be a power of two",
                "f.toml:3:1: unknown key `daemon.colour`",
                "f.toml:5:11: `journal.reply` is \"maybe\"; it must be one of async, fsync",
            ]
        );
    }

    #[test]
    fn every_mistake_has_its_words() {
        let link = |more: &str| format!("{LINK}{more}\n");
        let table = [
            (String::new(), 1, "there is no link"),
            (link("max_frame_bytes = 70000"), 4, "between 64 and 65535"),
            (link("[products.a]\nranges = [\"4\"]"), 4, "needs a `number`"),
            (link("[products.a]\nnumber = 128\nranges = [\"4\"]"), 5, "between 1 and 127"),
            (link("[products.a]\nnumber = 1"), 4, "no card number is named"),
            (link("[products.a]\nnumber = 1\nranges = [\"41x\"]"), 6, "is no range"),
            (link("[products.a]\nnumber = 1\nranges = [\"41\", \"40-42\"]"), 6, "have numbers in common"),
            (
                link(
                    "[products.a]\nnumber = 1\nranges = [\"41\"]\n[products.b]\nnumber = 1\nranges = [\"42\"]",
                ),
                8,
                "is the number of product `a`",
            ),
            (
                link(
                    "[products.a]\nnumber = 1\nranges = [\"41\"]\n[products.b]\nnumber = 2\nranges = [\"41\"]",
                ),
                9,
                "of product `a`",
            ),
            (link("[products.\"a b\"]\nnumber = 1\nranges = [\"4\"]"), 4, "is not of letters"),
            (link("station_id = \"12A\""), 4, "digits"),
            (link("sign_on = \"them\""), 4, "one of peer, us, both"),
            (link("before_sign_on = \"wait\""), 4, "one of serve, decline"),
            (link("sign_on_group = \"12345\""), 4, "is for `sign_on`"),
            (link("sign_on = \"us\"\nsign_on_group = \"12x\""), 5, "is not 1 to 11 digits"),
            (link("sign_on = \"us\"\nsign_on_prefixes = [\"411111111111\"]"), 5, "is not 1 to 11 digits"),
            (link("sign_on = \"us\"\nsign_on_prefixes = [\"41\", \"41\"]"), 5, "stands there twice"),
            (link("network_timeout_ms = 0"), 4, "between 1 and"),
            (link("sign_on_pause_ms = 0"), 4, "between 1 and"),
            (link("echo_misses = 0"), 4, "between 1 and"),
            (link("idle_s = 30\necho_s = 30"), 5, "by `idle_s`, which is 30"),
            (link("tcp_keep_alive_interval_s = 0"), 4, "between 1 and"),
            (link("tcp_user_timeout_s = 59"), 4, "the keep-alive, which gives up after 60 s"),
            (link("receive_buffer_kib = 100000"), 4, "between 0 and"),
            (link("forwarding_id = \"123456789012\""), 4, "1 to 11 digits"),
            (link("service_indicator = \"\""), 4, "printable"),
            (link("security_code = \"\u{e4}\""), 4, "printable"),
            (link("allow = \"10.0.0.0/8\""), 4, "a list of strings"),
            (link("allow = [\"::1\", \"10.0.0.1/8\"]"), 4, "10.0.0.0/8 is the network"),
            (link("connections_max = 4\nconnections_per_peer_max = 5"), 5, "more than `connections_max`"),
            (link("parked_max = 70000"), 4, "more than `daemon.parked_max`, which is 65536"),
            (link("[links.visa]"), 4, "duplicate"),
            (
                link("[links.b]\ndialect = \"visa\"\nlisten = \"0.0.0.0:8583\""),
                6,
                "is where link `visa` listens",
            ),
            (link("[links.b]\ndialect = \"visa\"\nlisten = \"127.0.0.1:8580\""), 6, "`admin.listen`"),
            (link("[links.b]\ndialect = \"odd\"\nlisten = \"127.0.0.1:1\""), 5, "give its `dialect_file`"),
            (link("[links.b]\ndialect = \"\"\nlisten = \"127.0.0.1:1\""), 5, "not built in"),
            (link("[links.b]\ndialect = \"visa\""), 4, "`links.b.listen` or its `connect` is missing"),
            (link("[links.b]\nlisten = \"127.0.0.1:1\""), 4, "`links.b.dialect` is missing"),
            (link("[links.B]\ndialect = \"visa\"\nlisten = \"127.0.0.1:1\""), 4, "lower-case"),
            (link("[links.b]\ndialect = \"visa\"\nlisten = \"localhost:1\""), 6, "no address and port"),
            (link("[journal]\nmax_unsynced_ms = 0"), 5, "between 1 and"),
            (
                link("[journal]\nmax_unsynced_ms = 2\ngather_us = 2000"),
                6,
                "shorter than `journal.max_unsynced_ms`",
            ),
            (link("[journal]\nmax_unsynced_ms = 2\npace_us = 2000"), 6, "`journal.pace_us` must be shorter"),
            (link("[journal]\nahead_max = 0"), 5, "between 1 and"),
            (link("[journal]\nfsync_above = { \"USD\" = 1 }"), 5, "three digits"),
            (link("[journal.fsync_above]\n\"840\" = -1"), 5, "between 0 and"),
            (link("[daemon]\ndrain_quiet_ms = 40000"), 5, "`daemon.drain_limit_ms`, which is 30000"),
            (link("[daemon]\ntime_zone_offset_minutes = 900"), 5, "between -720 and 840"),
            (link("[daemon]\nbusy_poll_us = 2000000"), 5, "between 0 and"),
            (link("[hold_increase.a]\npercent = 20"), 4, "needs `mcc`"),
            (link("[hold_increase.a]\nmcc = [\"5812\"]"), 4, "needs `percent` or `at_least`"),
            (link("[hold_increase.a]\nmcc = [\"5812\"]\npercent = 101"), 6, "between 1 and 100"),
            (link("[hold_increase.a]\nmcc = [\"5\"]\npercent = 10"), 5, "no merchant category"),
            (link("[hold_increase.a]\nmcc = [\"5542\"]\nat_least = { \"USD\" = 1 }"), 6, "three digits"),
            (link("[expiry.a]\nmcc = [\"7011\"]"), 4, "needs `days`, `hours` or `seconds`"),
            (
                link("[expiry.a]\nhours = 1\nseconds = 60"),
                4,
                "needs `days`, `hours` or `seconds`, one of them",
            ),
            (link("[expiry.a]\nseconds = 0"), 5, "between 1 and"),
            (link("[expiry.a]\ndays = 400"), 5, "between 1 and 366"),
            (link("[ledger]\nauthorizations_max = 100"), 4, "`authorizations_per_card`"),
            (link("[ledger]\nclosed_per_slot = 2000"), 5, "leaves no room for open ones"),
            (link("[product]\nverification = 1"), 5, "must be a string"),
            (link("[snapshots]\nmib_per_s = 0"), 5, "between 1 and"),
            (link("[history]\nmatch_days = 400"), 5, "between 0 and 366"),
            (link("[history]\ndisk_share_percent = 0"), 5, "between 1 and 90"),
            (link("[history]\nclosed_days = 2"), 5, "unknown key `history.closed_days`"),
            (link("[colour]"), 4, "unknown key `colour`"),
        ];
        for (text, line, words) in table {
            let findings = findings(&text);
            assert_eq!(findings.len(), 1, "{text}: {findings:?}");
            assert!(findings[0].starts_with(&format!("f.toml:{line}:")), "{text}: {findings:?}");
            assert!(findings[0].contains(words), "{text}: {findings:?}");
        }
    }

    #[test]
    fn any_port_clashes_with_nothing() {
        let text = "[links.a]\ndialect = \"visa\"\nlisten = \"127.0.0.1:0\"\n\
            [links.b]\ndialect = \"visa\"\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
        assert_eq!(findings(text), [""; 0]);
    }
}
