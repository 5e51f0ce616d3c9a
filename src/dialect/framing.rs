//! How messages are told apart in a stream, read from TOML and written as TOML: `[framing]` of a dialect, and
//! `framing = { ... }` of a link, which stands in its place.

use crate::iso8583::digits;
use crate::iso8583::frame::Framing;
use crate::iso8583::frame::Tpdu;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::Prefix;
use crate::settings::Section;

const TPDUS: &[(&str, Tpdu)] = &[("swap", Tpdu::Swap), ("keep", Tpdu::Keep)];
/// Every key but `max`.
pub(super) const KEYS: [&str; 10] = [
    "before",
    "length_bytes",
    "length_encoding",
    "little_endian",
    "inclusive",
    "session_control",
    "trailer_counted",
    "after",
    "trailer",
    "tpdu",
];
const TRAILER_BYTES_MAX: usize = 4;

/// Reads the keys of a framing. What is wrong is reported and its default used; whoever calls finishes the section.
pub fn read(section: &Section<'_>) -> Framing {
    let usual = Framing::default();
    let encoding = section.choice("length_encoding", Encoding::ALL).unwrap_or(usual.length.encoding);
    let framing = Framing {
        before: section.integer_or("before", 0..=16, 0) as u8,
        length: Prefix { encoding, width: section.integer_or("length_bytes", 0..=6, 2) as u8 },
        little_endian: section.flag_or("little_endian", false),
        inclusive: section.flag_or("inclusive", false),
        after: section.integer_or("after", 0..=16, 0) as u8,
        session_control: section.flag_or("session_control", false),
        trailer: trailer(section),
        trailer_counted: section.flag_or("trailer_counted", true),
        tpdu: section.choice("tpdu", TPDUS),
        max: section.integer_or("max", 64..=65_535, u64::from(usual.max)) as u32,
    };
    check(&framing, section);
    framing
}

fn trailer(section: &Section<'_>) -> Vec<u8> {
    let Some(text) = section.text("trailer") else { return Vec::new() };
    let bytes = digits::hex_bytes(text.as_bytes()).unwrap_or_default();
    if !(1..=TRAILER_BYTES_MAX).contains(&bytes.len()) {
        section.report_at("trailer", "the trailer must be one to four bytes in hex");
        return Vec::new();
    }
    bytes
}

/// What does not go together.
fn check(framing: &Framing, section: &Section<'_>) {
    if framing.little_endian && framing.length.encoding != Encoding::Binary {
        section.report_at("little_endian", "only a binary length can have its lowest byte first");
    }
    if framing.session_control && framing.prefix_bytes() != 4 {
        section.report_at("session_control", "session control is told by the last of four bytes");
    }
    if !framing.trailer_counted && framing.trailer.is_empty() {
        section.report_at("trailer_counted", "there is no trailer that the length could count");
    }
    if framing.length.width > 0 {
        return;
    }
    if framing.trailer.is_empty() && !section.has("trailer") {
        section.report_at("length_bytes", "without a length a message must end with a `trailer`");
    }
    for key in ["length_encoding", "little_endian", "inclusive", "trailer_counted", "session_control"] {
        if section.has(key) {
            section.report_at(key, "without a length (`length_bytes = 0`) this says nothing");
        }
    }
}

/// The keys of a framing with their values in TOML, those left out that are as [`read`] would have them, and `max`.
#[must_use]
pub fn keys(framing: &Framing) -> Vec<(&'static str, String)> {
    let usual = Framing::default();
    let mut keys = Vec::new();
    if framing.before > 0 {
        keys.push(("before", framing.before.to_string()));
    }
    keys.push(("length_bytes", framing.length.width.to_string()));
    let encoding = Encoding::ALL.iter().find(|(_, known)| *known == framing.length.encoding);
    if let Some((name, _)) = encoding.filter(|_| framing.length.width > 0) {
        keys.push(("length_encoding", format!("\"{name}\"")));
    }
    let flags = [
        ("little_endian", framing.little_endian, usual.little_endian),
        ("inclusive", framing.inclusive, usual.inclusive),
        ("session_control", framing.session_control, usual.session_control),
        ("trailer_counted", framing.trailer_counted, usual.trailer_counted),
    ];
    for (name, flag, usual) in flags {
        if flag != usual {
            keys.push((name, flag.to_string()));
        }
    }
    if framing.after > 0 {
        keys.push(("after", framing.after.to_string()));
    }
    if !framing.trailer.is_empty() {
        keys.push(("trailer", format!("\"{}\"", digits::hex_text(&framing.trailer))));
    }
    if let Some((name, _)) = TPDUS.iter().find(|(_, known)| Some(*known) == framing.tpdu) {
        keys.push(("tpdu", format!("\"{name}\"")));
    }
    keys
}
