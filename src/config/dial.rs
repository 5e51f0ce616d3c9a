//! The keys of `[links.NAME]` for a link that connects instead of listening.

use core::net::SocketAddr;
use core::time::Duration;

use crate::config;
use crate::settings::Section;

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
        if !section.has("connect") {
            for key in [
                "connect_sockets",
                "connect_timeout_ms",
                "connect_again_ms",
                "connect_again_max_ms",
                "first_byte_ms",
            ] {
                if section.has(key) {
                    section.report_at(key, "this is for a link that connects; give its `connect`");
                }
            }
            return None;
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
        let ms = |key, range, default| Duration::from_millis(section.integer_or(key, range, default));
        let first = ms("connect_again_ms", 1..=600_000, 200);
        let most = ms("connect_again_max_ms", 1..=3_600_000, 30_000);
        if most < first {
            let message = format!("less than `connect_again_ms`, which is {}", first.as_millis());
            section.report_at("connect_again_max_ms", message);
        }
        let first_byte = ms("first_byte_ms", 0..=600_000, 0);
        Some(Self {
            addresses,
            sockets: config::integer_or(section, "connect_sockets", 1..=1_024, 1),
            timeout: ms("connect_timeout_ms", 1..=600_000, 5_000),
            again: (first, most.max(first)),
            first_byte: Some(first_byte).filter(|limit| !limit.is_zero()),
        })
    }
}
