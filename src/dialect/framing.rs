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
pub(super) const KEYS: [&str; 13] = [
    "before",
    "before_bytes",
    "length_bytes",
    "length_encoding",
    "little_endian",
    "inclusive",
    "session_control",
    "trailer_counted",
    "after",
    "after_bytes",
    "trailer",
    "check",
    "tpdu",
];
const TRAILER_BYTES_MAX: usize = 4;
const RESERVED_BYTES_MAX: usize = 16;

/// Reads the keys of a framing. What is wrong is reported and its default used; whoever calls finishes the section.
pub fn read(section: &Section<'_>) -> Framing {
    let usual = Framing::default();
    let encoding = section.choice("length_encoding", Encoding::ALL).unwrap_or(usual.length.encoding);
    let [before, after] =
        [("before", "before_bytes"), ("after", "after_bytes")].map(|keys| reserved(section, keys));
    let reserved = [before.as_slice(), after.as_slice()].concat();
    let framing = Framing {
        before: before.len() as u8,
        length: Prefix { encoding, width: section.integer_or("length_bytes", 0..=6, 2) as u8 },
        little_endian: section.flag_or("little_endian", false),
        inclusive: section.flag_or("inclusive", false),
        after: after.len() as u8,
        reserved: if reserved.iter().all(|byte| *byte == 0) { Vec::new() } else { reserved },
        session_control: section.flag_or("session_control", false),
        trailer: hex(section, "trailer", TRAILER_BYTES_MAX),
        check: section.flag_or("check", false),
        trailer_counted: section.flag_or("trailer_counted", true),
        tpdu: section.choice("tpdu", TPDUS),
        max: section.integer_or("max", 64..=65_535, u64::from(usual.max)) as u32,
    };
    check(&framing, section);
    framing
}

/// Reserved bytes: so many zeros, or what they are.
fn reserved(section: &Section<'_>, (count, bytes): (&str, &str)) -> Vec<u8> {
    let zeros = vec![0; section.integer_or(count, 0..=RESERVED_BYTES_MAX as u64, 0) as usize];
    let given = hex(section, bytes, RESERVED_BYTES_MAX);
    if section.has(count) && section.has(bytes) {
        section.report_at(bytes, format!("`{bytes}` stands in place of `{count}`"));
    }
    if given.is_empty() { zeros } else { given }
}

fn hex(section: &Section<'_>, key: &str, most: usize) -> Vec<u8> {
    let Some(text) = section.text(key) else { return Vec::new() };
    let bytes = digits::hex_bytes(text.as_bytes()).unwrap_or_default();
    if !(1..=most).contains(&bytes.len()) {
        section.report_at(key, format!("`{key}` must be 1 to {most} bytes in hex"));
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
        if framing.check {
            section.report_at("check", "the check goes with messages without a length (`length_bytes = 0`)");
        }
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
    let (before, after) = framing.reserved.split_at_checked(usize::from(framing.before)).unwrap_or_default();
    let reserved = |[count, value]: [&'static str; 2], bytes: u8, values: &[u8]| match (bytes, values) {
        (0, _) => None,
        (_, []) => Some((count, bytes.to_string())),
        _ => Some((value, format!("\"{}\"", digits::hex_text(values)))),
    };
    keys.extend(reserved(["before", "before_bytes"], framing.before, before));
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
        ("check", framing.check, usual.check),
    ];
    for (name, flag, usual) in flags {
        if flag != usual {
            keys.push((name, flag.to_string()));
        }
    }
    keys.extend(reserved(["after", "after_bytes"], framing.after, after));
    if !framing.trailer.is_empty() {
        keys.push(("trailer", format!("\"{}\"", digits::hex_text(&framing.trailer))));
    }
    if let Some((name, _)) = TPDUS.iter().find(|(_, known)| Some(*known) == framing.tpdu) {
        keys.push(("tpdu", format!("\"{name}\"")));
    }
    keys
}
