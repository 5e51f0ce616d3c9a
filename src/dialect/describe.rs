//! A message as a person reads it: offsets, fields, names, values, parts. Card data is masked, and so is anything that
//! could be a card number, wherever it stands.

use std::fmt::Write;

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::MessageHeader;
use crate::dialect::header;
use crate::iso8583::digits;
use crate::iso8583::frame::Kind;
use crate::iso8583::subfields::Form;
use crate::iso8583::subfields::Subfields;
use crate::iso8583::tlv;
use crate::iso8583::value;
use crate::iso8583::view::Spans;
use crate::iso8583::view::View;

/// Fewest and most digits that are taken for a card number in free text.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// A whole frame or a body as text, a line for each field and part. What cannot be read is said at its place.
#[must_use]
pub fn describe(dialect: &Dialect, bytes: &[u8]) -> String {
    let mut text = String::new();
    let framed = dialect.frame(bytes).ok().flatten().filter(|frame| frame.total == bytes.len());
    let (body, start) = match framed {
        Some(frame) if frame.kind == Kind::KeepAlive => {
            line(&mut text, 0, "frame", "keep-alive, without a message");
            return text;
        }
        Some(frame) if frame.kind == Kind::SessionControl => {
            line(&mut text, 0, "frame", "session control");
            return text;
        }
        Some(frame) => {
            line(&mut text, 0, "frame", &format!("{} bytes of message", frame.body.len()));
            (bytes.get(frame.body.clone()).unwrap_or_default(), frame.body.start)
        }
        None => (bytes, 0),
    };
    let split = match header::split(dialect.header(), body) {
        Ok(split) => split,
        Err(error) => {
            line(&mut text, start, "header", &error.to_string());
            return text;
        }
    };
    let message_at = start + body.len() - split.message.len();
    let mut headers = body.get(..body.len() - split.message.len()).unwrap_or_default();
    let mut at = start;
    while dialect.header() == MessageHeader::Visa && !headers.is_empty() {
        let length = usize::from(headers[0]).clamp(1, headers.len());
        let (one, rest) = headers.split_at(length);
        describe_header(&mut text, one, at);
        headers = rest;
        at += length;
    }
    let mut spans = Spans::default();
    let (view, error) = match View::parse(dialect.layout(), split.message, &mut spans) {
        Ok(view) => (view, None),
        Err(broken) => (broken.view, Some(broken.error)),
    };
    line(&mut text, message_at, "MTI", &format!("{:04}", view.mti()));
    for field in view.named().iter() {
        describe_field(dialect, &view, field, message_at, &mut text);
    }
    if let Some(error) = error {
        line(&mut text, message_at + usize::from(error.offset), "malformed", &error.to_string());
    }
    text
}

fn line(text: &mut String, offset: usize, what: &str, value: &str) {
    // Writing to a string does not fail.
    let _ = writeln!(text, "{offset:>5}  {what}: {value}");
}

fn part_line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "         {name}: {value}");
}

fn describe_header(text: &mut String, bytes: &[u8], offset: usize) {
    line(text, offset, "header", &format!("{} bytes", bytes.len()));
    for (name, range) in HEADER_PARTS {
        if let Some(part) = bytes.get(range.clone()) {
            part_line(text, name, &digits::hex_text(part));
        }
    }
}

/// Visa's header, by the numbers of its parts.
const HEADER_PARTS: [(&str, std::ops::Range<usize>); 14] = [
    ("H1 length", 0..1),
    ("H2 flag and format", 1..2),
    ("H3 text format", 2..3),
    ("H4 total length", 3..5),
    ("H5 destination station", 5..8),
    ("H6 source station", 8..11),
    ("H7 round-trip control", 11..12),
    ("H8 BASE I flags", 12..14),
    ("H9 message status", 14..17),
    ("H10 batch number", 17..18),
    ("H11 reserved", 18..21),
    ("H12 user information", 21..22),
    ("H13 bitmap", 22..24),
    ("H14 reject code", 24..26),
];

fn describe_field(dialect: &Dialect, view: &View<'_>, field: u8, base: usize, text: &mut String) {
    let what = format!("DE {field} {}", dialect.field_name(field));
    let Some(content) = view.content(field) else {
        let _ = writeln!(text, "    -  {what}: (not read)");
        return;
    };
    let offset = base + view.offsets(field).map_or(0, |(start, _)| start);
    let clear = dialect.value(view, field).unwrap_or_default();
    let secret = secrecy(field);
    match (secret, dialect.subfields(field)) {
        (Secrecy::Hidden, _) => line(text, offset, &what, &format!("({} bytes, not shown)", content.len())),
        (Secrecy::CardNumber, _) => line(text, offset, &what, &mask_card_number(&clear)),
        (Secrecy::Open, None) => line(text, offset, &what, &shown(&clear)),
        (Secrecy::Open, Some(parts)) => {
            line(text, offset, &what, &format!("{} bytes", content.len()));
            if !describe_parts(dialect, field, parts, content, &clear, text) {
                // Parts that cannot be read may hide what the table would have masked.
                part_line(text, "unreadable", "(the rest is not shown)");
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Open,
    CardNumber,
    Hidden,
}

/// Card number; extended card number, tracks 2, 3 and 1, PIN blocks, and what the third bitmap keeps of one.
const fn secrecy(field: u8) -> Secrecy {
    match field {
        2 => Secrecy::CardNumber,
        34 | 35 | 36 | 45 | 52 | 152 => Secrecy::Hidden,
        _ => Secrecy::Open,
    }
}

fn describe_parts(
    dialect: &Dialect,
    field: u8,
    parts: &Subfields,
    content: &[u8],
    clear: &str,
    text: &mut String,
) -> bool {
    match parts.form {
        Form::Bitmap(_) => {
            for part in parts.parts(content) {
                let Ok(part) = part else { return false };
                let name = format!("{field}.{} {}", part.subfield.number, part.subfield.name);
                let value = value::decode(&part.subfield.spec, part.content, part.units);
                // Visa 126.10 is the CVV2.
                let cvv2 = dialect.mapping() == Mapping::Visa && (field, part.subfield.number) == (126, 10);
                part_line(text, &name, &if cvv2 { "(not shown)".to_owned() } else { shown(&value) });
            }
            true
        }
        Form::Positional => {
            let characters: Vec<char> = clear.chars().collect();
            // A card number may lie across two parts: look at the whole first.
            let masked: Vec<char> = shown(clear).chars().collect();
            let mut at = 0;
            for part in &parts.parts {
                let width = usize::from(part.spec.max());
                let Some(value) = masked.get(at..at + width) else { break };
                let value: String = value.iter().collect();
                part_line(text, &format!("{field}.{} {}", part.number, part.name), &value);
                at += width;
            }
            if at < characters.len() {
                let rest: String = masked.get(at..).unwrap_or_default().iter().collect();
                part_line(text, "rest", &rest);
            }
            true
        }
        Form::Tags => describe_tags(content, text),
        Form::Datasets => tlv::datasets(content).all(|set| match set {
            Ok(set) => {
                part_line(text, &format!("dataset {:02X}", set.id), &format!("{} bytes", set.content.len()));
                describe_tags(set.content, text)
            }
            Err(_) => false,
        }),
    }
}

/// Card number, track 2 equivalent, track 1 and 2 discretionary data, cardholder name, enciphered PIN.
const SECRET_TAGS: [u32; 8] = [0x5a, 0x57, 0x56, 0x9f1f, 0x9f20, 0x9f6b, 0x5f20, 0x99];

fn describe_tags(content: &[u8], text: &mut String) -> bool {
    tlv::tags(content).all(|tag| match tag {
        Ok(tag) => {
            let value = if SECRET_TAGS.contains(&tag.tag) {
                format!("({} bytes, not shown)", tag.value.len())
            } else {
                shown(&digits::hex_text(tag.value))
            };
            part_line(text, &format!("tag {:02X}", tag.tag), &value);
            true
        }
        Err(_) => false,
    })
}

/// First six and last four, of a number that is long enough; of a short one the last four.
fn mask_card_number(number: &str) -> String {
    let length = number.len();
    let first = if length >= *CARD_DIGITS.start() { 6 } else { 0 };
    let last = length.saturating_sub(4);
    number
        .chars()
        .enumerate()
        .map(|(at, digit)| if at < first || (at >= last && length > 4) { digit } else { '*' })
        .collect()
}

/// A value fit for a terminal: control characters as dots, and everything that could be a card number masked.
#[must_use]
pub fn shown(clear: &str) -> String {
    let mut characters: Vec<char> =
        clear.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '.' }).collect();
    mask_where_digits(&mut characters, |c| c.to_digit(10));
    // Text that stands in a binary field: hex pairs 30 to 39 (ASCII) or F0 to F9 (EBCDIC).
    mask_hex_digits(&mut characters, '3');
    mask_hex_digits(&mut characters, 'F');
    characters.into_iter().collect()
}

fn mask_where_digits(characters: &mut [char], digit: impl Fn(char) -> Option<u32>) {
    let found: Vec<Option<u32>> = characters.iter().map(|c| digit(*c)).collect();
    for range in card_numbers(&found) {
        for character in &mut characters[range.start + 6..range.end - 4] {
            *character = '*';
        }
    }
}

fn mask_hex_digits(characters: &mut [char], zone: char) {
    for shift in 0..2 {
        let Some(shifted) = characters.get_mut(shift..) else { return };
        let pairs: Vec<Option<u32>> = shifted
            .chunks_exact(2)
            .map(|pair| if pair[0].eq_ignore_ascii_case(&zone) { pair[1].to_digit(10) } else { None })
            .collect();
        for range in card_numbers(&pairs) {
            for character in &mut shifted[(range.start + 6) * 2..(range.end - 4) * 2] {
                *character = '*';
            }
        }
    }
}

/// Where card numbers may stand: 13 to 19 digits in a row with a right check digit, anywhere in a longer run too.
fn card_numbers(digits: &[Option<u32>]) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    for start in 0..digits.len() {
        for length in CARD_DIGITS {
            let Some(run) = digits.get(start..start + length) else { break };
            let Some(run) = run.iter().copied().collect::<Option<Vec<u32>>>() else { break };
            // No card number starts with a zero: amounts and dates with leading zeros stay readable.
            if luhn(&run) && run[0] != 0 {
                found.push(start..start + length);
            }
        }
    }
    found
}

fn luhn(digits: &[u32]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(at, digit)| match (at % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) if double > 9 => double - 9,
            (_, double) => double,
        })
        .sum();
    sum.is_multiple_of(10)
}
