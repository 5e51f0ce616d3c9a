//! What people paste: hex in many dresses, base64, raw bytes, and what dump tools print.

use std::ops::Range;
use std::path::PathBuf;

use crate::iso8583::digits;

/// What a command reads messages from.
#[derive(clap::Args, Clone, Debug)]
pub(in crate::edge) struct InputArgs {
    /// How the input is written.
    #[arg(long, value_enum, default_value = "auto")]
    pub(in crate::edge) input: Coding,
    /// Reads this file too, after the messages.
    #[arg(long = "file", value_name = "FILE")]
    pub(in crate::edge) files: Vec<PathBuf>,
    /// Messages in hex or base64, dumps with offsets; `-` is standard input.
    #[arg(value_name = "MESSAGE", required_unless_present = "files")]
    pub(in crate::edge) messages: Vec<String>,
}

/// How an input is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(in crate::edge) enum Coding {
    /// Whatever fits: bytes that are no text are raw; text is a dump, hex, a message in characters, or base64, in this
    /// order.
    Auto,
    /// Hex digits, with spaces, line ends, commas, colons and `0x` between them, or a dump with offsets.
    Hex,
    /// Base64, either alphabet.
    Base64,
    /// Bytes as they are.
    Raw,
}

/// Why an input cannot be read. It never holds the input.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(in crate::edge) enum InputError {
    /// There is nothing in it.
    #[error("there are no bytes in it")]
    Empty,
    /// Neither hex nor base64.
    #[error(
        "it is neither hex (line {line} has something else), nor a dump, nor base64; `--input raw` takes a message in \
         characters as it is"
    )]
    Neither {
        /// The first line that is no hex.
        line: usize,
    },
    /// Hex with half a byte.
    #[error("line {line} has an odd number of hex digits, or something that is none")]
    NotHex {
        /// Which line.
        line: usize,
    },
    /// No base64.
    #[error("it is no base64")]
    NotBase64,
    /// A dump whose offsets do not follow from its bytes.
    #[error("line {line} of the dump has an offset that does not follow from the bytes before it")]
    Offset {
        /// Which line.
        line: usize,
    },
}

impl InputError {
    /// The same mistake so many lines further on.
    pub(in crate::edge) fn further(self, lines: usize) -> Self {
        match self {
            Self::Neither { line } => Self::Neither { line: line + lines },
            Self::NotHex { line } => Self::NotHex { line: line + lines },
            Self::Offset { line } => Self::Offset { line: line + lines },
            Self::Empty | Self::NotBase64 => self,
        }
    }
}

/// Bytes in pieces: a line of hex each, or a packet of a dump. What they are together depends on what is in them.
pub(in crate::edge) type Pieces = Vec<Vec<u8>>;

/// Reads an input.
///
/// # Errors
/// It is not written as `coding` says.
pub(in crate::edge) fn read(bytes: &[u8], coding: Coding) -> Result<Pieces, InputError> {
    let pieces = match coding {
        Coding::Raw => vec![bytes.to_vec()],
        Coding::Base64 => vec![base64(bytes).ok_or(InputError::NotBase64)?],
        Coding::Hex => match dump(bytes)? {
            Some(pieces) => pieces,
            None => hex(bytes)?,
        },
        Coding::Auto if !bytes.iter().all(|byte| is_text(*byte)) => vec![bytes.to_vec()],
        Coding::Auto => match dump(bytes)? {
            Some(pieces) => pieces,
            None => match (hex(bytes), base64(bytes).filter(|_| is_whole_base64(bytes))) {
                (Ok(pieces), _) => pieces,
                (Err(_), _) if begins_message(bytes) => messages(bytes),
                (Err(_), Some(bytes)) => vec![bytes],
                (Err(InputError::NotHex { line }), None) => return Err(InputError::Neither { line }),
                (Err(error), None) => return Err(error),
            },
        },
    };
    let pieces: Pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
    if pieces.is_empty() { Err(InputError::Empty) } else { Ok(pieces) }
}

/// Where the beginning of a longer text can be cut, so that both sides can be read by themselves: behind its last whole
/// line, or in front of the last line of a dump that begins a piece. `None` where there is no such place.
pub(in crate::edge) fn cut(text: &[u8]) -> Option<usize> {
    let begins = |line: &[u8]| dump_line(line).is_some_and(|line| line.offset == 0);
    let first = lines(text).map(|(_, line)| line).find(|line| !line.is_empty()).unwrap_or_default();
    let is_dump = begins(first) || lines(text).any(|(_, line)| line.starts_with(b"0x0000:"));
    // What is behind the last line's end may be a part of a line.
    let end = text.iter().rposition(|byte| *byte == b'\n').map(|last| last + 1)?;
    if !is_dump {
        return Some(end);
    }
    let mut start = end;
    for line in text.get(..end - 1).unwrap_or_default().rsplit(|byte| *byte == b'\n') {
        start -= line.len() + 1;
        if begins(line.trim_ascii()) {
            break;
        }
    }
    // In front of a dump's first piece stands nothing that can be read.
    let before = text.get(..start).unwrap_or_default();
    lines(before).any(|(_, line)| begins(line)).then_some(start)
}

/// Whether a byte stands in text.
pub(in crate::edge) const fn is_text(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\n' | b'\r' | b'\t')
}

/// Whether text begins like a message in characters: MTI and a bitmap in hex, maybe behind a literal such as
/// `ISO025000070`.
fn begins_message(text: &[u8]) -> bool {
    const LITERAL: usize = 12;
    let begins = |text: &[u8]| {
        let (mti, bitmap) = (text.get(..4).unwrap_or_default(), text.get(4..20).unwrap_or_default());
        matches!(mti, [b'0'..=b'2' | b'8' | b'9', b'1'..=b'8', b'0'..=b'9', b'0'..=b'5'])
            && bitmap.len() == 16
            && bitmap.iter().all(u8::is_ascii_hexdigit)
    };
    begins(text) || text.starts_with(b"ISO") && begins(text.get(LITERAL..).unwrap_or_default())
}

/// Messages in characters, one on a line: blanks at an end may belong to it.
fn messages(text: &[u8]) -> Pieces {
    text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line).to_vec()).collect()
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    (1..).zip(bytes.split(|byte| *byte == b'\n').map(|line| line.trim_ascii()))
}

/// Hex digits; a piece for each line that has any.
fn hex(bytes: &[u8]) -> Result<Pieces, InputError> {
    let mut pieces = Vec::new();
    let mut halves = None;
    for (number, line) in lines(bytes) {
        let mut piece = Vec::with_capacity(line.len());
        for token in line.split(|byte| b" \t,:;-".contains(byte)) {
            let token = token.strip_prefix(b"0x").or_else(|| token.strip_prefix(b"\\x")).unwrap_or(token);
            piece.extend(token.iter().filter(|byte| **byte != b'\r'));
        }
        if !piece.iter().all(u8::is_ascii_hexdigit) {
            return Err(InputError::NotHex { line: number });
        }
        if !piece.len().is_multiple_of(2) {
            halves.get_or_insert(number);
        }
        pieces.push(piece);
    }
    let Some(line) = halves else {
        return Ok(pieces.iter().filter_map(|piece| digits::hex_bytes(piece)).collect());
    };
    // A line may have been broken in the middle of a byte: then all of them are one piece.
    digits::hex_bytes(&pieces.concat()).map(|whole| vec![whole]).ok_or(InputError::NotHex { line })
}

/// Whether base64 can be told from a word: long enough, and padded to groups of four.
fn is_whole_base64(bytes: &[u8]) -> bool {
    let characters = bytes.iter().filter(|byte| !byte.is_ascii_whitespace()).count();
    characters >= 8 && characters.is_multiple_of(4)
}

fn base64(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut characters: Vec<u8> = bytes.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    while characters.last() == Some(&b'=') {
        characters.pop();
    }
    let mut out = Vec::with_capacity(characters.len() * 3 / 4);
    for group in characters.chunks(4) {
        let mut bits = 0_u32;
        for character in group {
            let value = match character {
                b'A'..=b'Z' => character - b'A',
                b'a'..=b'z' => character - b'a' + 26,
                b'0'..=b'9' => character - b'0' + 52,
                b'+' | b'-' => 62,
                b'/' | b'_' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        let [_, a, b, c] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        match group.len() {
            4 => out.extend([a, b, c]),
            3 => out.extend([a, b]),
            2 => out.push(a),
            _ => return None,
        }
    }
    Some(out)
}

/// One line of a dump: its offset, and its bytes.
struct DumpLine {
    offset: usize,
    bytes: Vec<u8>,
}

/// What `xxd`, `hexdump -C`, `od -A x -t x1`, `tcpdump -x` and Wireshark print; `None` when it is nothing of
/// the kind. Each
/// offset of zero begins a piece, and of a captured packet only what TCP carries is kept.
fn dump(bytes: &[u8]) -> Result<Option<Pieces>, InputError> {
    let tcpdump = lines(bytes).any(|(_, line)| line.starts_with(b"0x0000:"));
    // Wireshark's offsets have four digits and no colon.
    let wireshark =
        lines(bytes).find(|(_, line)| !line.is_empty()).is_some_and(|(_, line)| line.starts_with(b"0000  "));
    let mut pieces: Pieces = Vec::new();
    let (mut last, mut repeats) = (Vec::new(), false);
    for (number, line) in lines(bytes).filter(|(_, line)| !line.is_empty()) {
        if line == b"*" && !pieces.is_empty() {
            repeats = true;
            continue;
        }
        let Some(DumpLine { offset, bytes }) = dump_line(line) else {
            match (pieces.is_empty(), tcpdump) {
                // Between packets stand lines about them.
                (_, true) => continue,
                (true, false) => return Ok(None),
                (false, false) => return Err(InputError::Offset { line: number }),
            }
        };
        if pieces.is_empty() && offset != 0 {
            return Ok(None);
        }
        if offset == 0 && (pieces.is_empty() || !bytes.is_empty()) {
            pieces.push(Vec::new());
        }
        let Some(piece) = pieces.last_mut() else { continue };
        fill(piece, &last, offset, repeats).ok_or(InputError::Offset { line: number })?;
        piece.extend_from_slice(&bytes);
        (last, repeats) = (bytes, false);
    }
    if pieces.is_empty() {
        return Ok(None);
    }
    if tcpdump || wireshark {
        pieces = pieces.iter().map(|packet| tcp_payload(packet).to_vec()).collect();
    }
    Ok(Some(pieces))
}

/// The most that a `*` may stand for.
const REPEATED_MAX: usize = 1 << 20;

/// Brings a piece to an offset: it is there already, or `*` stood for repetitions of the last line.
fn fill(piece: &mut Vec<u8>, last: &[u8], offset: usize, repeats: bool) -> Option<()> {
    while repeats && !last.is_empty() && piece.len() < offset.min(REPEATED_MAX) {
        piece.extend_from_slice(last);
    }
    (piece.len() == offset).then_some(())
}

fn dump_line(line: &[u8]) -> Option<DumpLine> {
    let text = std::str::from_utf8(line).ok()?;
    let end = text.find(|c: char| c == ':' || c.is_whitespace()).unwrap_or(text.len());
    let (head, rest) = text.split_at(end);
    let digits = head.strip_prefix("0x").unwrap_or(head);
    let colon = rest.starts_with(':');
    // Without a colon only the six to eight digits of `hexdump` and `od` are an offset, and two blanks follow or one;
    // or Wireshark's four, with blanks behind them.
    let short = !colon && digits.len() == 4 && (rest.starts_with("  ") || rest.is_empty());
    if !(4..=16).contains(&digits.len()) || !colon && !short && digits.len() < 6 {
        return None;
    }
    let offset = usize::from_str_radix(digits, 16).ok()?;
    let rest = rest.strip_prefix(':').unwrap_or(rest).trim_start();
    let part: Range<usize> = match rest.find('|') {
        Some(bar) => 0..bar,
        // Two blanks end the hex of `xxd` and `tcpdump`; without a colon they only divide sixteen bytes in two.
        None if colon => 0..rest.find("  ").unwrap_or(rest.len()),
        None if short => 0..rest.find("   ").unwrap_or(rest.len()),
        None => 0..rest.len(),
    };
    let hex: Vec<u8> = rest.get(part)?.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    Some(DumpLine { offset, bytes: digits::hex_bytes(&hex)? })
}

/// What TCP carries in a captured packet; the whole packet when it is none that is known.
fn tcp_payload(packet: &[u8]) -> &[u8] {
    /// Bytes of an Ethernet header.
    const ETHERNET: usize = 14;
    let ip = match packet.get(12..ETHERNET) {
        Some([0x08, 0x00] | [0x86, 0xdd]) => packet.get(ETHERNET..).unwrap_or_default(),
        _ => packet,
    };
    let payload = || {
        let (head, end) = match ip.first()? >> 4 {
            4 if ip.get(9)? == &6 => {
                (usize::from(ip[0] & 0x0f) * 4, usize::from(u16::from_be_bytes([*ip.get(2)?, *ip.get(3)?])))
            }
            6 if ip.get(6)? == &6 => (40, 40 + usize::from(u16::from_be_bytes([*ip.get(4)?, *ip.get(5)?]))),
            _ => return None,
        };
        let tcp = usize::from(ip.get(head + 12)? >> 4) * 4;
        // Short frames are padded behind the end of the packet.
        ip.get(head + tcp..end)
    };
    payload().unwrap_or(packet)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, coding: Coding, expected: &[&str]) {
        let read = read(text.as_bytes(), coding).unwrap_or_else(|error| panic!("{error}: {text}"));
        let read: Vec<String> = read.iter().map(|piece| digits::hex_text(piece)).collect();
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn hex_in_every_dress() {
        for (text, expected) in [
            ("0100a2B3", vec!["0100A2B3"]),
            ("01 00 a2 b3\n", vec!["0100A2B3"]),
            ("0x01, 0x00, 0xa2", vec!["0100A2"]),
            ("\\x01 \\x00", vec!["0100"]),
            ("01:00:a2", vec!["0100A2"]),
            ("0100\r\n\r\n0200\r\n", vec!["0100", "0200"]),
            ("010\n0a2", vec!["0100A2"]),
        ] {
            check(text, Coding::Auto, &expected);
            check(text, Coding::Hex, &expected);
        }
    }

    #[test]
    fn dumps_of_the_usual_tools() {
        let bytes = "303130300123456789ABCDEF20304142C1C2C3";
        let xxd = [
            "00000000: 3031 3030 0123 4567 89ab cdef 2030 4142  0100.#Eg.... 0AB",
            "00000010: c1c2 c3                                  ...",
        ];
        let hexdump = [
            "00000000  30 31 30 30 01 23 45 67  89 ab cd ef 20 30 41 42  |0100.#Eg.... 0AB|",
            "00000010  c1 c2 c3                                          |...|",
            "00000013",
        ];
        let od = ["000000 30 31 30 30 01 23 45 67 89 ab cd ef 20 30 41 42", "000010 c1 c2 c3", "000013"];
        let tcpdump = [
            "\t0x0000:  3031 3030 0123 4567 89ab cdef 2030 4142  0100.#Eg.....0AB",
            "\t0x0010:  c1c2 c3                                  ...",
        ];
        let wireshark = [
            "0000  30 31 30 30 01 23 45 67 89 ab cd ef 20 30 41 42   0100.#Eg.... 0AB",
            "0010  c1 c2 c3                                          ...",
        ];
        for text in [&xxd[..], &hexdump, &od, &tcpdump, &wireshark] {
            check(&text.join("\n"), Coding::Auto, &[bytes]);
        }
        // What is repeated is left out by `hexdump -C`.
        let zeros = "00000000  30 30 30 30 30 30 30 30  30 30 30 30 30 30 30 30  |0000000000000000|";
        let text = [zeros, "*", "00000030  31  |1|", "00000031"].join("\n");
        check(&text, Coding::Auto, &[&format!("{}31", "30".repeat(48))]);
    }

    #[test]
    fn of_captured_packets_the_payload_is_kept() {
        let ip = "4500 002e 0000 4000 4006 0000 7f00 0001 7f00 0001";
        let tcp = "1234 2187 0000 0001 0000 0001 5018 0200 0000 0000";
        let lines = format!("{ip} {tcp} 0004 3031 3030").replace(' ', "");
        let mut text = String::new();
        for _ in 0..2 {
            text += "12:00:00.000 IP localhost.4660 > localhost.8583: Flags [P.], length 6\n";
            for (n, line) in lines.as_bytes().chunks(32).enumerate() {
                let groups: Vec<&str> =
                    line.chunks(4).map(|group| std::str::from_utf8(group).unwrap_or_default()).collect();
                text += &format!("\t0x{:04x}:  {}  ........\n", n * 16, groups.join(" "));
            }
        }
        check(&text, Coding::Auto, &["000430313030", "000430313030"]);
    }

    #[test]
    fn messages_in_characters_are_taken_as_they_are() {
        let message = "0100722000000000800016411111111111111100000000000000500006041234561234 56XYZ ";
        let literal = format!("ISO025000070{message}");
        for text in [message, &literal] {
            check(text, Coding::Auto, &[&digits::hex_text(text.as_bytes())]);
        }
        let hex = digits::hex_text(message.as_bytes());
        check(&format!("{message}\r\n{message}\n"), Coding::Auto, &[&hex, &hex]);
    }

    #[test]
    fn base64_and_raw_bytes() {
        check("MDEwMA==", Coding::Auto, &["30313030"]);
        check("MDEwMMHC\nw8T_-w==", Coding::Auto, &["30313030C1C2C3C4FFFB"]);
        check("MDEwMMHCw8T_-w", Coding::Base64, &["30313030C1C2C3C4FFFB"]);
        check("0100", Coding::Raw, &["30313030"]);
        assert_eq!(read(&[1, 0, 0xc1], Coding::Auto), Ok(vec![vec![1, 0, 0xc1]]));
    }

    #[test]
    fn a_longer_text_is_cut_where_both_sides_can_be_read() {
        let dump = "0000  30 31\n0010  32\n0000  33 34\n0002\n00";
        let tcpdump = "about\n\t0x0000:  3031\n\t0x0002:  32\nabout\n\t0x0000:  33\n";
        for (text, at) in [
            ("0100\n0200\n03", Some(10)),
            ("0100\n", Some(5)),
            ("0100", None),
            ("", None),
            (dump, Some(dump.find("0000  33").expect("a piece"))),
            ("00000000: 3031 01\n00000002: 32 2\n", None),
            (tcpdump, Some(tcpdump.rfind("\t0x0000").expect("a packet"))),
            ("about\n\t0x0000:  3031\n", None),
        ] {
            assert_eq!(cut(text.as_bytes()), at, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_refused_in_words_without_the_input() {
        for (text, coding, expected) in [
            ("", Coding::Auto, InputError::Empty),
            ("01\nzz!", Coding::Auto, InputError::Neither { line: 2 }),
            ("010", Coding::Hex, InputError::NotHex { line: 1 }),
            ("01!", Coding::Base64, InputError::NotBase64),
            ("00000000: 3031\n00000004: 3031", Coding::Auto, InputError::Offset { line: 2 }),
        ] {
            assert_eq!(read(text.as_bytes(), coding), Err(expected), "{text}");
        }
    }
}
