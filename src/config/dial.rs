//! The keys of `[links.NAME]` for a link that connects instead of listening.

use core::net::SocketAddr;
use core::time::Duration;

use crate::config;
use crate::settings::Section;

/// What only a link that connects has, beside `connect`.
const KEYS: [&str; 5] =
    ["connect_sockets", "connect_timeout_ms", "connect_again_ms", "connect_again_max_ms", "first_byte_ms"];

/// A link that we connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DialSettings {
    /// Where the party listens. Each address gets its sockets.
    pub addresses: Vec<SocketAddr>,
    /// Sockets to each address.
    pub sockets: u32,
    /// How long a connection may take to be made.
    pub timeout: Duration,
    /// How long after a failure the next attempt is made: at first, and at most. Between them it doubles.
    pub again: (Duration, Duration),
    /// A socket on which nothing has come for so long after it was made is given up; `None` for never.
    pub first_byte: Option<Duration>,
}

impl DialSettings {
    /// Reads them; `None` for a link that listens.
    pub(super) fn read(section: &Section<'_>) -> Option<Self> {
        let ms = |key, range, default| Duration::from_millis(section.integer_or(key, range, default));
        let sockets = config::integer_or(section, "connect_sockets", 1..=1_024, 1);
        let timeout = ms("connect_timeout_ms", 1..=600_000, 5_000);
        let first = ms("connect_again_ms", 1..=600_000, 200);
        let most = ms("connect_again_max_ms", 1..=3_600_000, 30_000);
        let first_byte = ms("first_byte_ms", 0..=600_000, 0);
        if !section.has("connect") {
            for key in KEYS.iter().filter(|key| section.has(key)) {
                section.report_at(key, "this is for a link that connects; give its `connect`");
            }
            return None;
        }
        if section.has_nothing("connect") {
            section
                .report_at("connect", "there is no address to connect to; name one, or let the link listen");
        }
        let mut addresses: Vec<SocketAddr> = Vec::new();
        for text in section.texts("connect") {
            match text.parse() {
                Ok(address) if addresses.contains(&address) => {
                    section.report_at("connect", format!("{text} stands there twice"));
                }
                Ok(address) if address.port() == 0 => {
                    section.report_at("connect", format!("{text} has no port to connect to"));
                }
                Ok(address) => addresses.push(address),
                Err(_) => {
                    let message = format!("\"{text}\" is no address and port such as 10.0.0.1:9000");
                    section.report_at("connect", message);
                }
            }
        }
        if most < first {
            let message = format!("less than `connect_again_ms`, which is {}", first.as_millis());
            section.report_at("connect_again_max_ms", message);
        }
        Some(Self {
            addresses,
            sockets,
            timeout,
            again: (first, most.max(first)),
            first_byte: Some(first_byte).filter(|limit| !limit.is_zero()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    const LINK: &str = "[links.there]\ndialect = \"visa\"\n";

    #[test]
    fn what_is_written_is_taken_and_the_rest_has_a_default() {
        let of = |text: &str| {
            let config = Config::from_toml("f.toml", &format!("{LINK}{text}")).expect("a right file");
            config.links[0].dial.clone()
        };
        assert_eq!(of("listen = \"127.0.0.1:9000\"\n"), None);
        let addresses: Vec<SocketAddr> =
            ["10.0.0.1:9000", "[::1]:9001"].iter().filter_map(|text| text.parse().ok()).collect();
        let ms = Duration::from_millis;
        let plain = DialSettings {
            addresses,
            sockets: 1,
            timeout: ms(5_000),
            again: (ms(200), ms(30_000)),
            first_byte: None,
        };
        let connect = "connect = [\"10.0.0.1:9000\", \"[::1]:9001\"]\n";
        assert_eq!(of(connect), Some(plain.clone()));
        let more = "connect_sockets = 4\nconnect_timeout_ms = 100\nconnect_again_ms = 20\nconnect_again_max_ms = 20\n\
            first_byte_ms = 500\n";
        let expected = DialSettings {
            sockets: 4,
            timeout: ms(100),
            again: (ms(20), ms(20)),
            first_byte: Some(ms(500)),
            ..plain
        };
        assert_eq!(of(&format!("{connect}{more}")), Some(expected));
    }

    #[test]
    fn every_mistake_has_its_place_and_its_words() {
        let connect = "connect = [\"10.0.0.1:9000\"]\n";
        let with = |line: &str| format!("{connect}{line}");
        let listens = |line: &str| format!("listen = \"127.0.0.1:9000\"\n{line}");
        let table = [
            ("connect = [\"processor:9000\"]".to_owned(), 3, "\"processor:9000\" is no address and port"),
            ("connect = [\"10.0.0.1\"]".to_owned(), 3, "\"10.0.0.1\" is no address and port"),
            ("connect = [\"10.0.0.1:0\"]".to_owned(), 3, "10.0.0.1:0 has no port to connect to"),
            ("connect = [\"10.0.0.1:9\", \"10.0.0.1:9\"]".to_owned(), 3, "10.0.0.1:9 stands there twice"),
            ("connect = []".to_owned(), 3, "there is no address to connect to"),
            ("connect = \"10.0.0.1:9000\"".to_owned(), 3, "must be a list of strings"),
            (with("listen = \"127.0.0.1:9000\""), 3, "a link listens or connects: it has `listen` too"),
            (with("connect_sockets = 0"), 4, "between 1 and 1024"),
            (with("connect_timeout_ms = 0"), 4, "between 1 and"),
            (with("connect_again_ms = 0"), 4, "between 1 and"),
            (
                with("connect_again_ms = 50\nconnect_again_max_ms = 49"),
                5,
                "less than `connect_again_ms`, which is 50",
            ),
            (with("connect_again_ms = 30001"), 1, "less than `connect_again_ms`, which is 30001"),
            (with("first_byte_ms = 600001"), 4, "between 0 and"),
            (with("connect_ms = 1"), 4, "unknown key `links.there.connect_ms`"),
            (listens("connect_sockets = 2"), 4, "this is for a link that connects; give its `connect`"),
            (listens("connect_timeout_ms = 2"), 4, "give its `connect`"),
            (listens("connect_again_ms = 2"), 4, "give its `connect`"),
            (listens("connect_again_max_ms = 2"), 4, "give its `connect`"),
            (listens("first_byte_ms = 2"), 4, "give its `connect`"),
        ];
        for (text, line, words) in table {
            let findings = Config::from_toml("f.toml", &format!("{LINK}{text}\n")).err().unwrap_or_default();
            let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
            assert_eq!(findings.len(), 1, "{text}: {findings:?}");
            assert!(findings[0].starts_with(&format!("f.toml:{line}:")), "{text}: {findings:?}");
            assert!(findings[0].contains(words), "{text}: {findings:?}");
        }
    }
}
