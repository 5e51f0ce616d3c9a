//! `[links.NAME]`: one party, and how it is spoken to.

use core::net::SocketAddr;
use std::path::PathBuf;

use crate::config;
use crate::config::card_file;
use crate::config::dial::DialSettings;
use crate::config::forward;
use crate::config::forward::ForwardSettings;
use crate::config::peers;
use crate::config::peers::Network;
use crate::config::process;
use crate::config::session::SessionSettings;
use crate::config::tcp::TcpSettings;
use crate::dialect::Dialect;
use crate::dialect::framing;
use crate::iso8583::frame::Framing;
use crate::settings::Section;
use crate::switch::card_file::CardFile;

const NAME_BYTES_MAX: usize = 32;

/// `[links.NAME]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkSettings {
    /// The name: lower-case letters, digits, `-` and `_`.
    pub name: String,
    /// How its messages look.
    pub dialect: String,
    /// Where the dialect is read from when it is not a built-in one.
    pub dialect_file: Option<PathBuf>,
    /// The source network of its messages (R5): two links of one network share it.
    pub network: String,
    /// Where it connects to us; `None` for a link that we connect.
    pub listen: Option<SocketAddr>,
    /// Where we connect to it; `None` for a link that listens.
    pub dial: Option<DialSettings>,
    /// How it is treated as a party that requests are forwarded to.
    pub forward: ForwardSettings,
    /// Its network's file of cards that may not be used.
    pub card_file: Option<CardFile>,
    /// How its messages are told apart in a stream, when that differs from what the dialect says. Its limit is
    /// [`Self::max_frame_bytes`].
    pub framing: Option<Framing>,
    /// Most bytes of a frame after its length.
    pub max_frame_bytes: u32,
    /// Who may connect; `None` is anybody.
    pub allow: Option<Vec<Network>>,
    /// Most sockets at a time.
    pub connections_max: u32,
    /// Most sockets of one address at a time.
    pub connections_per_peer_max: u32,
    /// An answer that is not ready this many milliseconds after its request was read is not sent (R3).
    pub answer_deadline_ms: u64,
    /// Most answers on one socket that wait for the disk.
    pub parked_max: u32,
    /// A socket is closed after this many seconds without a message; `None` for never.
    pub idle_s: Option<u64>,
    /// A socket is closed when the peer has not taken an answer for this many milliseconds.
    pub write_timeout_ms: u64,
    /// A socket is closed when the rest of a frame has not come for this many milliseconds.
    pub partial_frame_ms: u64,
    /// How the system finds out that a peer is gone.
    pub tcp: TcpSettings,
    /// Our station in Visa headers: up to six digits.
    pub station_id: Option<u32>,
    /// Whether a drain begins with a sign-off (R26).
    pub sign_off_on_drain: bool,
    /// Who signs on, and how the peer is watched (R23).
    pub session: SessionSettings,
}

impl LinkSettings {
    /// Reads one link. What is missing or wrong is reported, and something else stands in its place.
    pub(super) fn read(name: &str, section: &Section<'_>) -> Self {
        check_name(name, section);
        let dialect_file = process::path(section, "dialect_file");
        let dialect = section.required_text("dialect");
        let dial = DialSettings::read(section);
        let listen = config::address(section, "listen");
        match (section.has("listen"), &dial) {
            (false, None) => {
                section.report(format!("`{}.listen` or its `connect` is missing", section.path()))
            }
            (true, Some(_)) => {
                section.report_at("connect", "a link listens or connects: it has `listen` too")
            }
            _ => {}
        }
        let network = section.text("network").or(dialect);
        let idle_s = section.integer_or("idle_s", 0..=86_400, 0);
        if let Some(dialect) = dialect {
            check_dialect(dialect, dialect_file.is_some(), section);
        }
        let connections_max = config::integer_or(section, "connections_max", 1..=65_536, 256);
        Self {
            name: name.to_owned(),
            dialect: dialect.unwrap_or_default().to_owned(),
            dialect_file,
            network: network.unwrap_or_default().to_owned(),
            listen,
            dial,
            forward: forward::read(section.section("forward")),
            card_file: card_file::read(section.section("card_file")),
            framing: section.section("framing").map(|section| read_framing(section)),
            max_frame_bytes: config::integer_or(section, "max_frame_bytes", 64..=65_535, 4_096),
            allow: peers::read(section, "allow"),
            connections_max,
            connections_per_peer_max: per_peer(section, connections_max),
            answer_deadline_ms: section.integer_or("answer_deadline_ms", 1..=60_000, 4_000),
            parked_max: config::integer_or(section, "parked_max", 1..=16_777_216, 4_096),
            idle_s: (idle_s > 0).then_some(idle_s),
            write_timeout_ms: section.integer_or("write_timeout_ms", 1..=600_000, 10_000),
            partial_frame_ms: section.integer_or("partial_frame_ms", 1..=600_000, 30_000),
            tcp: TcpSettings::read(section),
            station_id: station(section),
            sign_off_on_drain: section.flag_or("sign_off_on_drain", true),
            session: SessionSettings::read(section, idle_s),
        }
    }
}

/// As many as the link may have in all, unless it says otherwise.
fn per_peer(section: &Section<'_>, connections_max: u32) -> u32 {
    let per_peer = config::integer_or(section, "connections_per_peer_max", 1..=65_536, connections_max);
    if per_peer > connections_max {
        let message = format!("more than `connections_max`, which is {connections_max}");
        section.report_at("connections_per_peer_max", message);
    }
    per_peer
}

fn read_framing(section: Section<'_>) -> Framing {
    let framing = framing::read(&section);
    if section.has("max") {
        section.report_at("max", "the limit of a link's frames is its `max_frame_bytes`");
    }
    section.finish();
    framing
}

fn check_dialect(dialect: &str, has_file: bool, section: &Section<'_>) {
    let built_in = Dialect::built_in_names();
    if !has_file && !built_in.contains(&dialect) {
        let built_in = built_in.join(", ");
        let message = format!("\"{dialect}\" is not built in ({built_in}); give its `dialect_file`");
        section.report_at("dialect", message);
    }
}

/// A link's name is a label of metrics and a part of paths on the HTTP face.
fn check_name(name: &str, section: &Section<'_>) {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
        section.report(format!(
            "a link's name is 1 to {NAME_BYTES_MAX} lower-case letters, digits, `-` and `_`; \"{name}\" is not"
        ));
    }
}

fn station(section: &Section<'_>) -> Option<u32> {
    let text = section.text("station_id")?;
    let digits = (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        section.report_at("station_id", "a station has 1 to 6 digits");
    }
    text.parse().ok().filter(|_| digits)
}
