//! A message as a person reads it: offsets, fields, names, values, parts. Card data is masked, and so is anything that
//! could be a card number, wherever it stands.

use std::fmt::Write;

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::MessageHeader;
use crate::dialect::header;
use crate::dialect::mastercard;
use crate::iso8583::digits;
use crate::iso8583::frame::Kind;
use crate::iso8583::spec::Content;
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
    let split = match header::split(dialect.heading(), body) {
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
    let mistake = error.map(|error| usize::from(error.offset));
    for field in view.named().iter() {
        // A bitmap or a length that is wrong puts card data where the table has something else.
        let doubtful = mistake.is_some_and(|mistake| !is_told_apart(&view, field, mistake));
        describe_field(dialect, &view, field, message_at, doubtful, &mut text);
    }
    if let Some(error) = error {
        line(&mut text, message_at + usize::from(error.offset), "malformed", &error.to_string());
    }
    text
}

/// Whether a field of a malformed message is what its number says, as far as one can see: a number in front of the
/// mistake.
fn is_told_apart(view: &View<'_>, field: u8, mistake: usize) -> bool {
    let number = view.layout().field(field).is_some_and(|spec| spec.content == Content::Numeric);
    number && view.offsets(field).is_some_and(|(start, _)| start < mistake)
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

fn describe_field(
    dialect: &Dialect,
    view: &View<'_>,
    field: u8,
    base: usize,
    doubtful: bool,
    text: &mut String,
) {
    let what = format!("DE {field} {}", dialect.field_name(field));
    let Some(content) = view.content(field) else {
        let _ = writeln!(text, "    -  {what}: (not read)");
        return;
    };
    let offset = base + view.offsets(field).map_or(0, |(start, _)| start);
    if doubtful {
        let hidden = format!("({} bytes, not shown in a malformed message)", content.len());
        return line(text, offset, &what, &hidden);
    }
    let clear = dialect.value(view, field).unwrap_or_default();
    let parts = dialect.subfields(field);
    match (secrecy(dialect.mapping(), field, parts), parts) {
        (Secrecy::Hidden, _) => line(text, offset, &what, &format!("({} bytes, not shown)", content.len())),
        (Secrecy::CardNumber, _) => line(text, offset, &what, &mask_card_number(&clear)),
        (Secrecy::Open, None) => line(text, offset, &what, &shown(&clear)),
        (Secrecy::Open, Some(parts)) => {
            line(text, offset, &what, &format!("{} bytes", content.len()));
            let divided = Divided { mapping: dialect.mapping(), path: vec![u16::from(field)], parts };
            if !divided.describe(content, &clear, text) {
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

/// Card number; extended card number, tracks 2, 3 and 1, PIN blocks, what the third bitmap keeps of one, and a field
/// with secret parts when the table does not tell where they are.
fn secrecy(mapping: Mapping, field: u8, parts: Option<&Subfields>) -> Secrecy {
    match (mapping, field) {
        (_, 2) => Secrecy::CardNumber,
        (_, 34 | 35 | 36 | 45 | 52 | 152) => Secrecy::Hidden,
        (Mapping::Mastercard, mastercard::PRIVATE_DATA)
            if parts.and_then(Subfields::tagging).is_none_or(|tagging| tagging.id_digits != 2) =>
        {
            Secrecy::Hidden
        }
        _ => Secrecy::Open,
    }
}

/// Visa 126.10 is the CVV2. Mastercard DE 48 has key blocks (10, 11), what 3-D Secure gave (43), the CVC 2 (92) and
/// in 33.2 a card number.
fn secrecy_of_part(mapping: Mapping, path: &[u16]) -> Secrecy {
    match (mapping, path) {
        (Mapping::Visa, [126, 10]) => Secrecy::Hidden,
        (Mapping::Mastercard, [48, id, ..]) if [mastercard::UCAF, mastercard::CVC2].contains(id) => {
            Secrecy::Hidden
        }
        (Mapping::Mastercard, [48, id, ..]) if mastercard::NEVER_ECHOED.contains(id) => Secrecy::Hidden,
        (Mapping::Mastercard, [48, 33, 2]) => Secrecy::CardNumber,
        _ => Secrecy::Open,
    }
}

/// A field, or a part of one, and how it is divided.
struct Divided<'d> {
    mapping: Mapping,
    /// The field's number, then the numbers of parts: 48, 33.
    path: Vec<u16>,
    parts: &'d Subfields,
}

impl Divided<'_> {
    /// Shows the parts of a content; false when they cannot be read to the end.
    fn describe(&self, content: &[u8], clear: &str, text: &mut String) -> bool {
        match self.parts.form {
            Form::Bitmap(_) => self.parts.parts(content).all(|part| match part {
                Ok(part) => {
                    let value = value::decode(&part.subfield.spec, part.content, part.units);
                    self.part(part.subfield.number, part.content, &value, text)
                }
                Err(_) => false,
            }),
            Form::Positional | Form::Repeated => {
                self.positions(clear, text);
                true
            }
            Form::Tagged(tagging) => {
                let lead = tagging.characters(tagging.lead(content));
                if !lead.is_empty() {
                    part_line(text, &format!("{} lead", self.name()), &shown(&lead));
                }
                tagging.elements(content).all(|element| match element {
                    Ok(element) => self.part(element.id, element.content, &self.parts.value(&element), text),
                    Err(_) => false,
                })
            }
            Form::Tags => describe_tags(content, text),
            Form::Datasets => tlv::datasets(content).all(|set| match set {
                Ok(set) => {
                    let bytes = format!("{} bytes", set.content.len());
                    part_line(text, &format!("dataset {:02X}", set.id), &bytes);
                    describe_tags(set.content, text)
                }
                Err(_) => false,
            }),
        }
    }

    fn name(&self) -> String {
        let numbers: Vec<String> = self.path.iter().map(u16::to_string).collect();
        numbers.join(".")
    }

    /// One part, and its parts when it is divided itself.
    fn part(&self, number: u16, content: &[u8], value: &str, text: &mut String) -> bool {
        let row = self.parts.row(number);
        let name = format!("{}.{number} {}", self.name(), row.map_or("", |row| &row.name));
        let path = [self.path.as_slice(), &[number]].concat();
        match (secrecy_of_part(self.mapping, &path), row.and_then(|row| row.parts.as_ref())) {
            (Secrecy::Hidden, _) => part_line(text, &name, "(not shown)"),
            (Secrecy::CardNumber, _) => part_line(text, &name, &mask_card_number(value)),
            (Secrecy::Open, None) => part_line(text, &name, &shown(value)),
            (Secrecy::Open, Some(parts)) => {
                part_line(text, &name, &format!("{} bytes", content.len()));
                return Divided { mapping: self.mapping, path, parts }.describe(content, value, text);
            }
        }
        true
    }

    /// Parts of fixed width; the last one may be cut, and repeated ones begin again after it.
    fn positions(&self, clear: &str, text: &mut String) {
        // A card number may lie across two parts: look at the whole first.
        let masked: Vec<char> = shown(clear).chars().collect();
        let mut at = 0;
        loop {
            let start = at;
            for part in &self.parts.parts {
                let width = usize::from(part.spec.max());
                let Some(value) = masked.get(at..at + width) else { break };
                let value: String = value.iter().collect();
                part_line(text, &format!("{}.{} {}", self.name(), part.number, part.name), &value);
                at += width;
            }
            if at == start || self.parts.form != Form::Repeated {
                break;
            }
        }
        if at < masked.len() {
            let rest: String = masked.get(at..).unwrap_or_default().iter().collect();
            part_line(text, "rest", &rest);
        }
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
