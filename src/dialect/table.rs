//! A dialect's table read from TOML, every mistake reported with its place.

use xxhash_rust::xxh3::xxh3_64;

use crate::dialect::Courtesy;
use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::MessageHeader;
use crate::dialect::division;
use crate::dialect::framing;
use crate::dialect::header::Literal;
use crate::dialect::needed;
use crate::dialect::network;
use crate::dialect::network::Sender;
use crate::dialect::numbers::Usual;
use crate::dialect::unknown::Known;
use crate::domain::action::ActionCode;
use crate::iso8583::digits;
use crate::iso8583::frame::Framing;
use crate::iso8583::spec::Content;
use crate::iso8583::spec::Count;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::spec::FieldSpec;
use crate::iso8583::spec::HIGHEST_FIELD;
use crate::iso8583::spec::Layout;
use crate::iso8583::spec::Length;
use crate::iso8583::spec::Pad;
use crate::iso8583::spec::Prefix;
use crate::settings::Document;
use crate::settings::Finding;
use crate::settings::Section;

const MAPPINGS: &[(&str, Mapping)] =
    &[("visa", Mapping::Visa), ("mastercard", Mapping::Mastercard), ("iso87", Mapping::Iso87)];
const HEADERS: &[(&str, MessageHeader)] =
    &[("none", MessageHeader::None), ("visa", MessageHeader::Visa), ("literal", MessageHeader::Literal)];
/// Whether the answer has our own literal.
const LITERALS: &[(&str, bool)] = &[("echo", false), ("set", true)];
/// The longest literal.
const LITERAL_BYTES_MAX: usize = 64;
const COURTESIES: &[(&str, Courtesy)] = &[("echo", Courtesy::Echo), ("ignore", Courtesy::Ignore)];
const PADS: &[(&str, Pad)] = &[("left", Pad::Left), ("right", Pad::Right), ("right-f", Pad::RightF)];
/// What a length counts, with the encoding that it goes with; what hex counts when nothing is said is bytes.
const COUNTS: &[(&str, (Encoding, Count))] = &[
    ("digits", (Encoding::Bcd, Count::Digits)),
    ("bytes", (Encoding::Bcd, Count::Bytes)),
    ("characters", (Encoding::Hex, Count::Bytes)),
];

/// DE 39 of an advice that tells of an approval, where a dialect does not list them.
const APPROVED_CODES: [[u8; 2]; 6] = [*b"00", *b"08", *b"10", *b"11", *b"85", *b"87"];

/// The answers that we write.
const ANSWERED: [u16; 5] = [110, 210, 410, 430, 810];

/// The encodings that fields have unless they say otherwise.
#[derive(Clone, Copy)]
pub(super) struct Defaults {
    numeric: Encoding,
    pub(super) text: Encoding,
    length: Encoding,
}

pub(super) fn read(file: &str, text: &str) -> Result<Dialect, Vec<Finding>> {
    let document = Document::parse(file, text);
    let root = document.root();
    let dialect = read_root(file, &root);
    root.finish();
    let findings = document.into_findings();
    if findings.is_empty() { Ok(dialect) } else { Err(findings) }
}

fn read_root(file: &str, root: &Section<'_>) -> Dialect {
    if !root.has("mapping") {
        root.report("`mapping` is missing; it must be one of visa, mastercard, iso87");
    }
    let mapping = root.choice("mapping", MAPPINGS).unwrap_or(Mapping::Iso87);
    let (mut layout, defaults) = read_encoding(root);
    let mut names = vec![Box::default(); usize::from(HIGHEST_FIELD) + 1];
    let mut secret = FieldSet::EMPTY;
    let declared = read_fields(root, mapping, defaults, &mut layout, &mut names, &mut secret);
    let others = read_other_fields(root, defaults, &mut layout, &mut names, declared);
    let subfields = division::read_subfields(root, defaults, declared, &layout);
    let responses = read_responses(root, mapping, declared);
    let guarded = division::guarded(&subfields);
    division::check_withheld(root, mapping, &subfields, &responses);
    let message = read_message(root, defaults.text);
    let mut dialect = Dialect {
        name: file.into(),
        mapping,
        header: message.header,
        literal: message.literal,
        usual: Usual::of(&layout),
        layout,
        framing: read_framing(root, message.header),
        keep_alive: message.keep_alive,
        session_control: message.session_control,
        name_malformed_field: message.name_malformed_field,
        response_codes: read_response_codes(root),
        refund_codes: read_refund_codes(root),
        approved_codes: message.approved_codes,
        network_codes: network::read_network_codes(root),
        sender: Sender::default(),
        responses,
        names,
        known: Known::read(root, &subfields, others),
        secret,
        subfields,
        guarded,
        station: None,
        writing: 0,
    };
    dialect.writing = writing(&dialect);
    dialect
}

/// A number for how a dialect writes fields and what its DE 39 means. Its framing and its headers do not count.
fn writing(dialect: &Dialect) -> u64 {
    let layout = &dialect.layout;
    let head = (dialect.mapping, layout.mti(), layout.bitmap(), layout.unannounced_second());
    let codes = (&dialect.response_codes, &dialect.refund_codes, &dialect.approved_codes);
    let fields: Vec<(u8, &FieldSpec)> = layout.fields().collect();
    xxh3_64(format!("{head:?} {codes:?} {fields:?}").as_bytes())
}

struct Message {
    header: MessageHeader,
    literal: Literal,
    keep_alive: Courtesy,
    session_control: Courtesy,
    name_malformed_field: bool,
    approved_codes: Vec<[u8; 2]>,
}

fn read_message(root: &Section<'_>, text: Encoding) -> Message {
    let mut message = Message {
        header: MessageHeader::None,
        literal: Literal::default(),
        keep_alive: Courtesy::Ignore,
        session_control: Courtesy::Ignore,
        name_malformed_field: false,
        approved_codes: APPROVED_CODES.to_vec(),
    };
    if let Some(section) = root.section("message") {
        message.header = section.choice("header", HEADERS).unwrap_or(message.header);
        message.literal = read_literal(&section, message.header, text);
        message.keep_alive = section.choice("keep_alive", COURTESIES).unwrap_or(message.keep_alive);
        message.session_control =
            section.choice("session_control", COURTESIES).unwrap_or(message.session_control);
        message.name_malformed_field = section.flag_or("name_malformed_field", false);
        if section.has("approved_codes") {
            let codes = section.texts("approved_codes");
            message.approved_codes = codes.iter().filter_map(|text| two_characters(text)).collect();
            if message.approved_codes.len() < codes.len() {
                section.report_at(
                    "approved_codes",
                    "`message.approved_codes` has codes of two letters or digits",
                );
            }
        }
        section.finish();
    }
    message
}

/// The text of a literal header, in the encoding of texts.
fn read_literal(section: &Section<'_>, header: MessageHeader, encoding: Encoding) -> Literal {
    let text = section.text("header_text");
    let set = section.choice("header_answer", LITERALS).unwrap_or(false);
    if header != MessageHeader::Literal {
        for key in ["header_text", "header_answer"] {
            if section.has(key) {
                section.report_at(
                    key,
                    format!("`message.{key}` goes with `header = \"literal\"`, and only with it"),
                );
            }
        }
        return Literal::default();
    }
    let text = text.unwrap_or_default();
    if text.is_empty()
        || text.len() > LITERAL_BYTES_MAX
        || !text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
    {
        let message = format!("`message.header_text` must be 1 to {LITERAL_BYTES_MAX} characters of ASCII");
        section.report_at("header_text", message);
    }
    let ebcdic = encoding == Encoding::Ebcdic;
    let bytes = text.bytes().map(|byte| if ebcdic { digits::to_ebcdic(byte) } else { byte });
    Literal { own: bytes.collect(), set }
}

pub(super) fn required<'d>(root: &Section<'d>, key: &str) -> Option<Section<'d>> {
    if !root.has(key) {
        root.report(format!("the table `{key}` is missing"));
    }
    root.section(key)
}

fn required_choice(section: &Section<'_>, key: &str, choices: &[(&str, Encoding)]) -> Encoding {
    if !section.has(key) {
        section.report(format!("`{}.{key}` is missing", section.path()));
    }
    section.choice(key, choices).unwrap_or(Encoding::Ascii)
}

fn read_encoding(root: &Section<'_>) -> (Layout, Defaults) {
    let characters = [("ascii", Encoding::Ascii), ("ebcdic", Encoding::Ebcdic)];
    let digits = [("ascii", Encoding::Ascii), ("ebcdic", Encoding::Ebcdic), ("bcd", Encoding::Bcd)];
    let bitmaps = [("binary", Encoding::Binary), ("hex", Encoding::Hex), ("ebcdic-hex", Encoding::Ebcdic)];
    let Some(section) = required(root, "encoding") else {
        let ascii = Encoding::Ascii;
        return (Layout::new(ascii, Encoding::Hex), Defaults { numeric: ascii, text: ascii, length: ascii });
    };
    let layout =
        Layout::new(required_choice(&section, "mti", &digits), required_choice(&section, "bitmap", &bitmaps));
    let defaults = Defaults {
        numeric: required_choice(&section, "numeric", &digits),
        text: required_choice(&section, "text", &characters),
        length: required_choice(&section, "length", &length_encodings()),
    };
    let layout = layout.with_unannounced_second(section.flag_or("unannounced_second", false));
    section.finish();
    (layout, defaults)
}

const fn length_encodings() -> [(&'static str, Encoding); 4] {
    [
        ("ascii", Encoding::Ascii),
        ("ebcdic", Encoding::Ebcdic),
        ("bcd", Encoding::Bcd),
        ("binary", Encoding::Binary),
    ]
}

fn read_framing(root: &Section<'_>, header: MessageHeader) -> Framing {
    let Some(section) = required(root, "framing") else { return Framing::default() };
    let framing = framing::read(&section);
    if framing.tpdu.is_some() && header == MessageHeader::Visa {
        section.report_at("tpdu", "a TPDU does not stand in front of Visa's header");
    }
    section.finish();
    framing
}

fn read_response_codes(root: &Section<'_>) -> Vec<(ActionCode, [u8; 2])> {
    let Some(section) = required(root, "response_codes") else { return Vec::new() };
    let mut codes = Vec::new();
    for (action, name) in ActionCode::ALL {
        let optional = action.falls_back_to().is_some();
        let text = if optional { section.text(name) } else { section.required_text(name) };
        codes.extend(text.and_then(|text| response_code(&section, name, text)).map(|code| (*action, code)));
    }
    // A table that was written before there was such a code sends what it sends for an older one.
    for (action, _) in ActionCode::ALL {
        let older = action.falls_back_to().filter(|_| !codes.iter().any(|(known, _)| known == action));
        let code = older.and_then(|older| codes.iter().find(|(known, _)| *known == older));
        let code = code.map(|(_, code)| *code);
        codes.extend(code.map(|code| (*action, code)));
    }
    section.finish();
    codes
}

/// What differs in answers to refunds; a table that may be left out.
fn read_refund_codes(root: &Section<'_>) -> Vec<(ActionCode, [u8; 2])> {
    let Some(section) = root.section("refund_response_codes") else { return Vec::new() };
    let mut codes = Vec::new();
    for (action, name) in ActionCode::ALL {
        let Some(text) = section.text(name) else { continue };
        codes.extend(response_code(&section, name, text).map(|code| (*action, code)));
    }
    section.finish();
    codes
}

/// A value of DE 39; what is wrong is reported.
fn response_code(section: &Section<'_>, key: &str, text: &str) -> Option<[u8; 2]> {
    let code = two_characters(text);
    if code.is_none() {
        section.report_at(key, format!("`{}.{key}` must be two letters or digits", section.path()));
    }
    code
}

/// A code of DE 39.
pub(super) fn two_characters(text: &str) -> Option<[u8; 2]> {
    let code: [u8; 2] = text.as_bytes().try_into().ok()?;
    code.iter().all(u8::is_ascii_alphanumeric).then_some(code)
}

fn read_responses(root: &Section<'_>, mapping: Mapping, declared: FieldSet) -> Vec<(u16, FieldSet)> {
    let Some(section) = required(root, "responses") else { return Vec::new() };
    let mut responses = Vec::new();
    for key in section.keys() {
        let mti = if key.len() == 4 { key.parse::<u16>().ok() } else { None };
        let fields = section.integers(&key, 2..=u64::from(HIGHEST_FIELD));
        let Some(mti) = mti else {
            section.report_at(&key, format!("`responses.{key}` is not named by an MTI of four digits"));
            continue;
        };
        let fields: Vec<u8> = fields.into_iter().map(|field| field as u8).collect();
        for field in &fields {
            if !declared.has(*field) {
                section
                    .report_at(&key, format!("`responses.{key}` names field {field}, which the table lacks"));
            } else if needed::is_never_echoed(*field, mapping) {
                section.report_at(&key, format!("`responses.{key}` must not echo field {field}"));
            }
        }
        responses.push((mti, FieldSet::of(&fields)));
    }
    for mti in ANSWERED {
        if !responses.iter().any(|(known, _)| *known == mti) {
            section.report(format!("`responses.{mti:04}` is missing"));
        }
    }
    section.finish();
    responses
}

/// A number as the name of a table. `02` is refused, so that no field has two rows under two spellings.
pub(super) fn number_of(key: &str) -> Option<u8> {
    key.parse::<u8>().ok().filter(|number| number.to_string() == key)
}

/// Fills the field table, and gives back every field that has a row, a wrong one too: one mistake is reported once.
fn read_fields(
    root: &Section<'_>,
    mapping: Mapping,
    defaults: Defaults,
    layout: &mut Layout,
    names: &mut [Box<str>],
    secret: &mut FieldSet,
) -> FieldSet {
    if !root.has("fields") {
        root.report("the table `fields` is missing");
    }
    let mut declared = FieldSet::EMPTY;
    for (key, section) in root.sections("fields") {
        let number = number_of(key).filter(|n| (2..=HIGHEST_FIELD).contains(n) && *n != 65);
        match number {
            Some(field) => {
                declared.insert(field);
                if let Some(spec) = read_spec(&section, defaults) {
                    needed::check(field, &spec, mapping, &section);
                    layout.define(field, spec);
                }
                if let (Some(name), Some(slot)) = (section.text("name"), names.get_mut(usize::from(field))) {
                    *slot = name.into();
                }
                if section.flag_or("secret", false) {
                    secret.insert(field);
                }
                section.finish();
            }
            None => section.report(format!(
                "`fields.{key}` is no data element: 2 to {HIGHEST_FIELD}, and 65 stands for the third bitmap"
            )),
        }
    }
    needed::check_all(declared, root);
    declared
}

/// Gives every field in a range that has no row of its own the same one (`other_fields`), and gives these back: nobody
/// knows what they are, and they do not keep a message from being read.
fn read_other_fields(
    root: &Section<'_>,
    defaults: Defaults,
    layout: &mut Layout,
    names: &mut [Box<str>],
    declared: FieldSet,
) -> FieldSet {
    let mut others = FieldSet::EMPTY;
    let Some(section) = root.section("other_fields") else { return others };
    let numbers = 66..=u64::from(HIGHEST_FIELD);
    let first = section.integer_or("first", numbers.clone(), 129) as u8;
    let last = section.integer_or("last", numbers, u64::from(HIGHEST_FIELD)) as u8;
    let name = section.text("name").unwrap_or("Unknown");
    if let Some(spec) = read_spec(&section, defaults) {
        if !matches!(spec.length, Length::Variable { .. }) {
            section.report_at("format", "fields of which nothing is known say their length");
        }
        for field in (first..=last).filter(|field| !declared.has(*field)) {
            layout.define(field, spec);
            others.insert(field);
            if let Some(slot) = names.get_mut(usize::from(field)) {
                *slot = name.into();
            }
        }
    }
    section.finish();
    others
}

/// One row: `format = "n..19"` and what it changes of the defaults.
pub(super) fn read_spec(section: &Section<'_>, defaults: Defaults) -> Option<FieldSpec> {
    let text = section.required_text("format");
    let encoding = section.choice("encoding", Encoding::ALL);
    let count = section.choice("count", COUNTS);
    let pad = section.choice("pad", PADS).unwrap_or(Pad::Left);
    let checked = section.flag_or("checked", true);
    let prefix = section.text("prefix");
    let text = text?;
    let Some((content, variable, units)) = read_format(text) else {
        section.report_at(
            "format",
            format!(
                "\"{text}\" is no format: n, a, an, ans, b, z or x, then `..` when variable, then 1 to 9999"
            ),
        );
        return None;
    };
    let encoding = encoding.unwrap_or(match content {
        Content::Numeric | Content::Track => defaults.numeric,
        Content::Text | Content::Signed => defaults.text,
        Content::Binary => Encoding::Binary,
    });
    if !fits(content, encoding) {
        section.report_at(
            "encoding",
            format!("a field of format \"{text}\" cannot be written in this encoding"),
        );
        return None;
    }
    if count.is_some_and(|(of, _)| of != encoding) || count.is_some() && content == Content::Signed {
        section
            .report_at("count", "only BCD fields count digits or bytes, and only fields in hex characters");
    }
    let signed = content == Content::Signed && encoding == Encoding::Bcd;
    let digits = signed || matches!(content, Content::Numeric | Content::Track) || encoding == Encoding::Hex;
    let count = count.map_or(if digits { Count::Digits } else { Count::Bytes }, |(_, count)| count);
    let length = if variable {
        Length::Variable { prefix: read_prefix(section, prefix, units, defaults)?, max: units }
    } else {
        if prefix.is_some() {
            section.report_at("prefix", "a field of fixed length has no prefix");
        }
        Length::Fixed(units)
    };
    if variable && content == Content::Numeric && count == Count::Bytes && pad == Pad::Right {
        section.report_at(
            "pad",
            "where a length counts bytes, a zero behind the digits is taken for one of them",
        );
    }
    Some(FieldSpec { length, content, encoding, count, pad, checked })
}

fn read_format(text: &str) -> Option<(Content, bool, u16)> {
    let (class, rest) = text.split_at(text.find(|c: char| !c.is_ascii_lowercase())?);
    let content = match class {
        "n" => Content::Numeric,
        "a" | "an" | "ans" => Content::Text,
        "b" => Content::Binary,
        "z" => Content::Track,
        "x" => Content::Signed,
        _ => return None,
    };
    let variable = rest.starts_with("..");
    let digits = rest.strip_prefix("..").unwrap_or(rest);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let units = digits.parse::<u16>().ok().filter(|units| (1..=9999).contains(units))?;
    Some((content, variable, units))
}

const fn fits(content: Content, encoding: Encoding) -> bool {
    match content {
        Content::Numeric | Content::Track => {
            matches!(encoding, Encoding::Ascii | Encoding::Ebcdic | Encoding::Bcd)
        }
        Content::Text => matches!(encoding, Encoding::Ascii | Encoding::Ebcdic),
        Content::Signed => matches!(encoding, Encoding::Ascii | Encoding::Ebcdic | Encoding::Bcd),
        Content::Binary => matches!(encoding, Encoding::Binary | Encoding::Hex),
    }
}

fn read_prefix(section: &Section<'_>, text: Option<&str>, max: u16, defaults: Defaults) -> Option<Prefix> {
    let Some(text) = text else {
        // The narrowest that can say the maximum: LL up to 99, LLL up to 999; a byte up to 255.
        let widths = (1..=4).map(|width| Prefix { encoding: defaults.length, width });
        let narrowest = match defaults.length {
            Encoding::Ascii | Encoding::Ebcdic => 2,
            _ => 1,
        };
        return widths
            .filter(|prefix| prefix.width >= narrowest)
            .find(|prefix| prefix.largest() >= u32::from(max));
    };
    let name = text.trim_end_matches(|c: char| c.is_ascii_digit());
    let width = text.get(name.len()..).and_then(|digits| digits.parse::<u8>().ok());
    let encodings = length_encodings();
    let encoding = encodings.iter().find(|(known, _)| *known == name).map(|(_, encoding)| *encoding);
    let (Some(encoding), Some(width @ 1..=4)) = (encoding, width) else {
        section.report_at(
            "prefix",
            format!("\"{text}\" is no prefix: ascii, ebcdic, bcd or binary, then its bytes, 1 to 4"),
        );
        return None;
    };
    let prefix = Prefix { encoding, width };
    if prefix.largest() < u32::from(max) {
        section.report_at("prefix", format!("a length of \"{text}\" cannot say {max}"));
        return None;
    }
    Some(prefix)
}
