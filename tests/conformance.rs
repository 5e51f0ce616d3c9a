//! Messages that other projects published, and mutated ones: what is read, written again, gives the same bytes.
//!
//! The foreign fixtures are not part of this repository. They are read from `../shared/fixtures` or from the folder
//! in `TURNPIKE_FOREIGN_FIXTURES`; in CI they must be there.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails where it stands")]

mod foreign;
mod mutation;

use std::collections::BTreeMap;

use proptest::test_runner::Config;
use proptest::test_runner::TestRunner;
use serde_json::Value as Json;
use turnpike::dialect::Dialect;
use turnpike::dialect::MessageHeader;
use turnpike::dialect::describe::describe;
use turnpike::dialect::guess::guess;
use turnpike::dialect::header::VISA_HEADER_BYTES;
use turnpike::dialect::inbound::Context;
use turnpike::dialect::inbound::Fault;
use turnpike::dialect::tree::messages;
use turnpike::domain::party::NameId;
use turnpike::iso8583::digits::hex_bytes;
use turnpike::iso8583::digits::hex_text;
use turnpike::iso8583::frame::Kind;
use turnpike::iso8583::spec::Bitmaps;
use turnpike::iso8583::subfields::Form;
use turnpike::iso8583::subfields::Subfields;
use turnpike::iso8583::subfields::Tagging;
use turnpike::iso8583::tlv;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::value::decode;
use turnpike::iso8583::view::Spans;
use turnpike::iso8583::view::View;

fn context() -> Context {
    Context { network: NameId::of("network"), link: NameId::of("link") }
}

fn dialect(name: &str) -> Dialect {
    Dialect::built_in(name).expect("a dialect that is compiled in")
}

/// Header and message of a body, by the rule of the dialect's header.
fn divide<'a>(dialect: &Dialect, body: &'a [u8]) -> (&'a [u8], &'a [u8]) {
    let mut length = 0;
    if dialect.header() == MessageHeader::Visa {
        length = usize::from(body[0]);
        if length > VISA_HEADER_BYTES {
            length += usize::from(body[length]);
        }
    }
    body.split_at(length)
}

/// Decodes every field to its value, writes all values again, and compares.
fn same_again(dialect: &Dialect, message: &[u8]) -> Vec<(u8, String)> {
    let mut spans = Spans::default();
    let view = View::parse(dialect.layout(), message, &mut spans)
        .unwrap_or_else(|broken| panic!("{}", broken.error));
    let values: Vec<(u8, String)> = view
        .fields()
        .iter()
        .map(|field| (field, dialect.value(&view, field).expect("a field of the bitmap")))
        .collect();
    let borrowed: Vec<(u8, Value<'_>)> =
        values.iter().map(|(field, value)| (*field, Value::Text(value))).collect();
    let mut again = Vec::new();
    dialect
        .compose_message(view.mti(), &borrowed, view.bitmaps(), &mut again)
        .unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(hex_text(&again), hex_text(message), "decoded and encoded again");
    values
}

fn value_of(values: &[(u8, String)], field: u8) -> &str {
    &values.iter().find(|(known, _)| *known == field).unwrap_or_else(|| panic!("field {field} is missing")).1
}

fn expected_text(json: &Json) -> String {
    let text = json.as_str().unwrap_or_else(|| panic!("{json} is no text"));
    text.strip_prefix("hex:").unwrap_or(text).to_owned()
}

/// Every tag of a content with its value in hex, datasets unwrapped.
fn all_tags(form: Form, content: &[u8]) -> Vec<(String, String)> {
    let read = |content| -> Vec<(String, String)> {
        let tags = tlv::tags(content).map(|tag| tag.expect("a right tag"));
        tags.map(|tag| (format!("{:02X}", tag.tag), hex_text(tag.value))).collect()
    };
    match form {
        Form::Datasets => {
            tlv::datasets(content).flat_map(|set| read(set.expect("a right dataset").content)).collect()
        }
        _ => read(content),
    }
}

fn check_visa_header(expected: &Json, header: &[u8], name: &str) {
    let ranges = [
        ("H01", 0..1),
        ("H02", 1..2),
        ("H03", 2..3),
        ("H04", 3..5),
        ("H05", 5..8),
        ("H06", 8..11),
        ("H07", 11..12),
        ("H08", 12..14),
        ("H09", 14..17),
        ("H10", 17..18),
        ("H11", 18..21),
        ("H12", 21..22),
        ("H13", 22..24),
        ("H14", 24..26),
    ];
    for (key, value) in expected.as_object().expect("the header's parts") {
        if value.is_object() {
            // The header of the message that was rejected, shown below the reject header.
            let inner = header.get(usize::from(header[0])..).expect("a second header");
            check_visa_header(value, inner, name);
            continue;
        }
        let (_, range) = ranges.iter().find(|(known, _)| known == key).expect("a known part of the header");
        let part = hex_text(&header[range.clone()]);
        let wanted = expected_text(value);
        // H7 is one byte; a source that shows its eight bits shows them as digits.
        let bits: String = header[range.clone()].iter().map(|byte| format!("{byte:08b}")).collect();
        assert!(part.eq_ignore_ascii_case(&wanted) || bits == wanted, "{name}: {key} is {part}");
    }
}

/// The parts of a field as the source names them: `SE00` lists those present or is what stands in front of them, `SE01`
/// is part 1, `PDS0146` is element 146.
fn check_parts(dialect: &Dialect, view: &View<'_>, field: u8, expected: &Json, name: &str) {
    let content = view.content(field).expect("the field");
    let table = dialect.subfields(field).expect("the field is divided");
    match table.form {
        Form::Datasets => return check_datasets(content, expected, name),
        Form::Tagged(tagging) => return check_elements(table, tagging, content, expected, name),
        _ => {}
    }
    let parts: Vec<_> = table.parts(content).map(|part| part.expect("a right part")).collect();
    for (key, value) in expected.as_object().expect("parts") {
        let number: u16 = key.trim_start_matches("SE").parse().expect("the number of a part");
        if number == 0 {
            let present: Vec<u16> = parts.iter().map(|part| part.subfield.number).collect();
            let wanted: Vec<u16> = serde_json::from_value(value.clone()).expect("numbers");
            assert_eq!(present, wanted, "{name}: parts of field {field}");
            continue;
        }
        let part = parts.iter().find(|part| part.subfield.number == number).expect("the part");
        let found = decode(&part.subfield.spec, part.content, part.units);
        let wanted = expected_text(value);
        assert!(
            found.trim_end().eq_ignore_ascii_case(wanted.trim_end()),
            "{name}: {field}.{number} is {found}"
        );
    }
}

/// Elements behind ids: all that the source names, with the same values, and the field is made of nothing else.
fn check_elements(table: &Subfields, tagging: Tagging, content: &[u8], expected: &Json, name: &str) {
    let elements: Vec<_> = tagging.elements(content).map(|found| found.expect("a right element")).collect();
    let bytes: usize = elements.iter().map(|element| element.raw.len()).sum();
    assert_eq!(tagging.lead(content).len() + bytes, content.len(), "{name}");
    for (key, value) in expected.as_object().expect("elements") {
        let id = key.trim_start_matches("PDS").trim_start_matches("SE");
        let id: u16 = id.parse().expect("an id");
        let wanted = expected_text(value);
        if key == "SE00" {
            let lead = tagging.characters(tagging.lead(content));
            assert_eq!(lead, wanted, "{name}: what stands in front");
            continue;
        }
        let element = elements.iter().find(|element| element.id == id).expect("the element");
        assert_eq!(table.value(element), wanted, "{name}: element {id}");
    }
    let named = expected.as_object().expect("elements").keys().filter(|key| *key != "SE00").count();
    assert_eq!(elements.len(), named, "{name}: elements that the source does not name");
}

/// Datasets as the source shows them: id, then a list of objects of tags.
fn check_datasets(content: &[u8], expected: &Json, name: &str) {
    for (id, lists) in expected.as_object().expect("datasets") {
        let id = u8::from_str_radix(id, 16).expect("the id of a dataset");
        let found: Vec<(String, String)> = tlv::datasets(content)
            .map(|set| set.expect("a right dataset"))
            .filter(|set| set.id == id)
            .flat_map(|set| tlv::tags(set.content))
            .map(|tag| tag.expect("a right tag"))
            .map(|tag| (format!("{:02X}", tag.tag), hex_text(tag.value)))
            .collect();
        let wanted: Vec<(String, String)> = lists
            .as_array()
            .expect("a list")
            .iter()
            .flat_map(|tags| tags.as_object().expect("tags"))
            .map(|(tag, value)| (tag.to_uppercase(), expected_text(value).to_uppercase()))
            .collect();
        assert_eq!(found, wanted, "{name}: dataset {id:02X}");
    }
}

/// Reads the message of a case, compares every field that the source names, and writes the values again.
fn check_message(dialect: &Dialect, message: &[u8], header: &[u8], case: &Json, name: &str) {
    let values = same_again(dialect, message);
    let mut spans = Spans::default();
    let view = View::parse(dialect.layout(), message, &mut spans).unwrap_or_else(|_| panic!("{name}"));
    assert_eq!(format!("{:04}", view.mti()), case["mti"].as_str().expect("an MTI"), "{name}");
    for (key, expected) in case["fields"].as_object().expect("fields") {
        match key.as_str() {
            "Header" => check_visa_header(expected, header, name),
            "MTI" => assert_eq!(format!("{:04}", view.mti()), expected_text(expected), "{name}"),
            "DE001" => {
                let high: Vec<u8> = view.fields().iter().filter(|field| *field > 64).collect();
                let wanted: Vec<u8> = serde_json::from_value(expected.clone()).expect("numbers");
                assert_eq!(high, wanted, "{name}");
            }
            "PDS" => check_parts(dialect, &view, 48, expected, name),
            pds if pds.starts_with("PDS") => {
                let content = view.content(48).expect("the field");
                let table = dialect.subfields(48).expect("the field is divided");
                let id: u16 = pds.trim_start_matches("PDS").parse().expect("an id");
                let tagging = table.tagging().expect("elements");
                let element = tagging.elements(content).flatten().find(|element| element.id == id);
                let value = element.map(|element| table.value(&element));
                assert_eq!(value, Some(expected_text(expected)), "{name}: {pds}");
            }
            _ => match key.trim_start_matches("DE").split_once(['.', '_']) {
                Some((field, part)) => check_part(dialect, &view, field, part, expected, name),
                None => {
                    let field = key.trim_start_matches("DE").parse().expect("a field's number");
                    if expected.is_object() {
                        check_parts(dialect, &view, field, expected, name);
                    } else {
                        check_value(&view, field, value_of(&values, field), expected, name);
                    }
                }
            },
        }
    }
    // A field may be missing that a request of ours needs; the bytes are right.
    let mut spans = Spans::default();
    if let Err(malformed) = dialect.decode(&[header, message].concat(), context(), &mut spans) {
        assert!(matches!(malformed.fault, Fault::Field { .. }), "{name}: {}", malformed.fault);
    }
}

/// One part of a field by the source's name for it: a tag of DE 55, or a part of a clearing record's DE 43.
fn check_part(dialect: &Dialect, view: &View<'_>, field: &str, part: &str, expected: &Json, name: &str) {
    let field: u8 = field.parse().expect("a field's number");
    let found = if field == 43 {
        // Name, street and city end with a backslash; then postal code, region and country by position.
        let whole = dialect.value(view, 43).expect("the field");
        let lines: Vec<&str> = whole.split('\\').collect();
        let [shop, street, city, place] = lines.as_slice() else { panic!("{name}: {whole}") };
        let found = match part {
            "NAME" => shop,
            "ADDRESS" => street,
            "SUBURB" => city,
            "POSTCODE" => &place[..10],
            "STATE" => &place[10..13],
            _ => &place[13..16],
        };
        found.trim().to_owned()
    } else {
        let form = dialect.subfields(field).expect("the field is divided").form;
        let tags = all_tags(form, view.content(field).expect("the field"));
        tags.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(part)).expect("the tag").1
    };
    let wanted = expected_text(expected);
    assert!(found.eq_ignore_ascii_case(&wanted), "{name}: {field}.{part} is {found}");
}

/// A value as its source prints it: as text, as a number, as a date with its century and separators, without padding,
/// or with a remark in brackets behind it.
fn check_value(view: &View<'_>, field: u8, found: &str, expected: &Json, name: &str) {
    let wanted = expected.as_u64().map_or_else(|| expected_text(expected), |number| number.to_string());
    if let Some(tags) = wanted.strip_prefix("LLL=") {
        let content = view.content(field).expect("the field");
        assert!(tags.starts_with(&format!("{:03}", content.len())), "{name}: {field}");
        for word in tags.split(", ") {
            // "... tags 9A=ASCII 210720"
            let (start, text) = word.rsplit_once("=ASCII ").expect("a tag and its text");
            let tag = start.rsplit(' ').next().unwrap_or_default();
            let hex: String = text.bytes().map(|byte| format!("{byte:02X}")).collect();
            let tags = all_tags(Form::Tags, content);
            assert!(tags.contains(&(tag.to_owned(), hex)), "{name}: {field}.{tag}");
        }
        return;
    }
    let plain = wanted.split('(').next().unwrap_or_default();
    let plain = if plain.is_empty() { wanted.as_str() } else { plain };
    let digits: String = wanted.chars().filter(char::is_ascii_digit).collect();
    let is_date = wanted.contains(':') && wanted.contains('-');
    let same = found.eq_ignore_ascii_case(&wanted)
        || found.trim() == plain.trim()
        || is_date && found.len() + 2 == digits.len() && digits.ends_with(found)
        || is_number(found) && is_number(plain.trim()) && unpadded(found) == unpadded(plain.trim());
    assert!(same, "{name}: field {field} is {found}, not {wanted}");
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn unpadded(number: &str) -> &str {
    number.trim_start_matches('0')
}

#[test]
fn framed_messages_of_others() {
    let Some(cases) = foreign::cases("visa_mastercard.jsonl") else { return };
    let mut checked: BTreeMap<String, u32> = BTreeMap::new();
    for case in cases {
        let described = case["dialect"].as_str().expect("a description");
        let dialect = match described.split_whitespace().take(2).collect::<Vec<_>>()[..] {
            ["visa", _] => dialect("visa"),
            ["mastercard", "CIS"] => dialect("mastercard"),
            _ => clearing_records(&bytes_of(&case), described),
        };
        let count = checked.entry(described.to_owned()).or_default();
        *count += 1;
        let name = format!("case {count} {} of {described}", case["mti"]);
        let bytes = bytes_of(&case);
        let frame = dialect.frame(&bytes).expect("a right frame").expect("a whole frame");
        assert_eq!(frame.total, bytes.len(), "{name}");
        let body = &bytes[frame.body];
        let (header, message) = divide(&dialect, body);
        check_message(&dialect, message, header, &case, &name);
        // The whole again: framing, header as it was, message from its values.
        let mut again = Vec::new();
        let start = dialect.framing().begin(&mut again);
        again.extend_from_slice(body);
        dialect.framing().finish(&mut again, start).expect("short enough");
        assert_eq!(again, bytes, "{name}");
    }
    assert!(checked.len() >= 3, "Visa, Mastercard and clearing: {checked:?}");
}

fn bytes_of(case: &Json) -> Vec<u8> {
    hex_bytes(case["hex"].as_str().expect("hex").as_bytes()).expect("hex")
}

/// A dialect from the built-in ASCII table with other encodings, other rows, and other divisions.
fn changed(encodings: &[(&str, &str)], rows: &BTreeMap<u8, String>, divisions: &str) -> Dialect {
    let base = include_str!("../src/dialect/tables/iso87-ascii.toml");
    let (base, _) = base.split_once("[subfields.").expect("divisions");
    let mut section = "";
    let mut text = String::new();
    for line in base.lines() {
        let key = line.split(' ').next().unwrap_or_default();
        let encoding = encodings.iter().find(|(name, _)| section == "[encoding]" && *name == key);
        let row = key.parse::<u8>().ok().and_then(|field| rows.get(&field)).filter(|_| section == "[fields]");
        if line.starts_with('[') {
            section = line;
        }
        text += &match (encoding, row) {
            (Some((name, value)), _) => format!("{name} = \"{value}\"\n"),
            (_, Some(row)) => format!("{key} = {{ {row} }}\n"),
            _ => format!("{line}\n"),
        };
    }
    let table = format!("{text}\n{divisions}");
    Dialect::from_toml("described.toml", &table).unwrap_or_else(|findings| panic!("{findings:?}"))
}

/// Hosts whose test messages others publish and that differ from the built-in ASCII table in a few ways: encodings,
/// and rows.
type Host = (&'static [(&'static str, &'static str)], &'static [(u8, &'static str)]);
const HOSTS: [Host; 4] = [
    // One that packs two fields, each in its own way, and has a field more in its second bitmap.
    (
        &[("bitmap", "binary")],
        &[
            (19, "format = \"n3\", encoding = \"bcd\""),
            (49, "format = \"n3\", encoding = \"bcd\", pad = \"right\""),
        ],
    ),
    // Numbers packed, and texts in EBCDIC.
    (&[("numeric", "bcd")], &[]),
    (&[("text", "ebcdic")], &[]),
    // Every encoding in one message: what `iso8583_rs` calls its sample specification.
    (
        &[("bitmap", "binary")],
        &[
            (19, "format = \"n3\", encoding = \"ebcdic\""),
            (61, "format = \"ans..9999\", prefix = \"bcd2\""),
            (62, "format = \"ans..255\", encoding = \"ebcdic\", prefix = \"binary1\""),
            (63, "format = \"ans..999\", prefix = \"ebcdic3\""),
            (96, "format = \"an4\""),
        ],
    ),
];

/// A dialect in which bytes without a header can be read to their end, as a frame or as a message alone: one that is
/// compiled in, one of the hosts above, or what is guessed.
fn reading(bytes: &[u8]) -> Option<Dialect> {
    let reads = |dialect: &Dialect| {
        let message = match dialect.frame(bytes) {
            Ok(Some(frame)) if frame.total == bytes.len() => &bytes[frame.body],
            _ => bytes,
        };
        View::parse(dialect.layout(), message, &mut Spans::default()).is_ok()
    };
    let built_in = ["iso87-ascii", "iso87-binary"].map(dialect);
    let hosts = HOSTS.map(|(encodings, rows)| {
        let rows = rows.iter().map(|(field, row)| (*field, (*row).to_owned())).collect();
        changed(encodings, &rows, "[subfields.55]\nform = \"tags\"\n")
    });
    let known = built_in.into_iter().chain(hosts).find(reads);
    known.or_else(|| guess(&[bytes], &[]).first().map(|guess| guess.dialect().clone()))
}

/// A dialect of clearing records: what is guessed, which begins with a file that comes with the program.
fn clearing_records(bytes: &[u8], name: &str) -> Dialect {
    let guesses = guess(&[bytes], &[]);
    let best = guesses.first().unwrap_or_else(|| panic!("{name}: nothing fits"));
    assert!(best.base().starts_with("config/dialects/mastercard-ipm-"), "{name}: {}", best.text());
    best.dialect().clone()
}

#[test]
fn clearing_records_of_others() {
    let Some(cases) = foreign::cases("mastercard_ipm.jsonl") else { return };
    let mut checked = 0;
    // Whole files come with what reads their records.
    for case in cases.iter().filter(|case| case.get("mti").is_some()) {
        let name = case["source"].as_str().unwrap_or_default();
        let bytes = bytes_of(case);
        check_message(&clearing_records(&bytes, name), &bytes, &[], case, name);
        checked += 1;
        // The same with the length that it has in a file, read by the file that comes with the program.
        let encoding = if bytes[0] == 0xf1 { "ebcdic" } else { "ascii" };
        let table = format!("{}/config/dialects/mastercard-ipm-{encoding}.toml", env!("CARGO_MANIFEST_DIR"));
        let table = std::fs::read_to_string(table).expect("a table");
        let hex = bytes[4..].iter().take(16).all(u8::is_ascii_hexdigit);
        let table = if hex { table.replace("bitmap = \"binary\"", "bitmap = \"hex\"") } else { table };
        let shipped = Dialect::from_toml("ipm", &table).expect("a right table");
        let record = [&(bytes.len() as u32).to_be_bytes()[..], &bytes].concat();
        for input in [&record, &bytes] {
            let found = messages(&shipped, input);
            assert!(found.len() == 1 && found[0].mistakes.is_empty(), "{name}: {:?}", found[0].mistakes);
        }
    }
    assert!(checked > 0, "the file has no single record");
}

#[test]
fn mixed_messages_of_others() {
    let Some(cases) = foreign::cases("iso87_mixed.jsonl") else { return };
    assert!(!cases.is_empty());
    for case in cases {
        let name = case["source"].as_str().unwrap_or_default();
        let bytes = bytes_of(&case);
        if let Some(control) = case["fields"].get("session_control") {
            // Four bytes in front of what they count.
            let length = case["fields"]["length"].as_u64().expect("a length") as usize;
            let whole = [bytes.as_slice(), &vec![0; length]].concat();
            let visa = dialect("visa");
            let frame = visa.frame(&whole).expect("a right frame").expect("a whole frame");
            assert_eq!(frame.total, bytes.len() + length, "{name}");
            assert_eq!(frame.kind == Kind::SessionControl, control.as_bool().expect("a flag"), "{name}");
            continue;
        }
        match reading(&bytes) {
            Some(dialect) => check_message(&dialect, &bytes, &[], &case, name),
            None => println!("nothing reads {name}"),
        }
    }
}

#[test]
fn a_message_with_every_encoding_and_a_mac() {
    let Some(cases) = foreign::cases("iso8583_rs.jsonl") else { return };
    assert!(!cases.is_empty());
    for case in cases {
        let words = case["source"].as_str().unwrap_or_default();
        let bytes = bytes_of(&case);
        let sample = reading(&bytes).expect("a dialect that reads it");
        let frame = sample.frame(&bytes).expect("a right frame").expect("a whole frame");
        assert_eq!(frame.total, bytes.len());
        let message = &bytes[frame.body];
        let values = same_again(&sample, message);
        let mut spans = Spans::default();
        let view = View::parse(sample.layout(), message, &mut spans).unwrap_or_else(|_| panic!("{words}"));
        assert_eq!(format!("{:04}", view.mti()), case["mti"].as_str().expect("an MTI"));
        assert_eq!(view.content(128), message.last_chunk::<8>().map(<[u8; 8]>::as_slice), "the MAC is last");
        assert_eq!((value_of(&values, 61), value_of(&values, 62)), ("reserved_1", "reserved-2"));
    }
}

#[test]
fn iso87_ascii_messages_of_others() {
    let Some(cases) = foreign::cases("iso87_ascii.jsonl") else { return };
    let iso = dialect("iso87-ascii");
    assert!(!cases.is_empty());
    for case in cases {
        let name = case["source"].as_str().unwrap_or_default();
        check_message(&iso, &bytes_of(&case), &[], &case, name);
    }
}

/// A long message of each dialect to mutate.
fn seeds(dialect: &Dialect) -> Vec<Vec<u8>> {
    let visa = dialect.header() == MessageHeader::Visa;
    let chip = if visa {
        "01000F820239009F26081122334455667788"
    } else {
        "820239009F260811223344556677889F36020034"
    };
    let mut values: Vec<(u8, &str)> = vec![
        (2, "4111111111111111"),
        (3, "000000"),
        (4, "000000005000"),
        (7, "0604123456"),
        (11, "123456"),
        (14, "2912"),
        (18, "5999"),
        (19, "840"),
        (28, "D00000100"),
        (32, "12345678901"),
        (35, "4111111111111111D29122011234567890"),
        (37, "REF123456789"),
        (41, "TERMID01"),
        (42, "MERCHANT0000001"),
        (48, "R6315MRW0110NZ1206  9203123"),
        (49, "840"),
        (52, "0102030405060708"),
        (54, "0040840D000000020000"),
        (55, chip),
        (90, "020022334406041301050000000000000000000000"),
        (128, "0102030405060708"),
    ];
    if visa {
        values.push((130, "010203"));
        values.push((142, "7100"));
    }
    values.sort_by_key(|(field, _)| *field);
    let values: Vec<(u8, Value<'_>)> = values.into_iter().map(|(f, v)| (f, Value::Text(v))).collect();
    [100, 420]
        .map(|mti| {
            let mut out = Vec::new();
            dialect.compose(mti, &values, &mut out).unwrap_or_else(|error| panic!("{error}"));
            out
        })
        .to_vec()
}

/// What a mutated frame must keep: nothing panics, and what can be read is the same after it was written again.
fn survives(dialect: &Dialect, bytes: &[u8]) {
    let _text = describe(dialect, bytes);
    let Ok(Some(frame)) = dialect.frame(bytes) else { return };
    assert!(frame.total <= bytes.len() && frame.body.end <= frame.total);
    let body = &bytes[frame.body];
    let mut spans = Spans::default();
    let (view, mut out) = match dialect.decode(body, context(), &mut spans) {
        Ok(received) => (received.view, Vec::new()),
        Err(malformed) => {
            let mut out = Vec::new();
            assert_eq!(dialect.write_malformed(&malformed, &mut out), !out.is_empty());
            return;
        }
    };
    let values: Vec<(u8, String)> = view
        .fields()
        .iter()
        .map(|field| (field, dialect.value(&view, field).expect("a field that was read")))
        .collect();
    let borrowed: Vec<(u8, Value<'_>)> = values.iter().map(|(f, v)| (*f, Value::Text(v))).collect();
    dialect
        .compose_message(view.mti(), &borrowed, Bitmaps::AS_NEEDED, &mut out)
        .unwrap_or_else(|error| panic!("{error}"));
    let mut spans = Spans::default();
    let again = View::parse(dialect.layout(), &out, &mut spans)
        .unwrap_or_else(|broken| panic!("written again: {}", broken.error));
    assert_eq!(again.mti(), view.mti());
    assert_eq!(again.fields(), view.fields());
    for (field, value) in &values {
        assert_eq!(dialect.value(&again, *field).as_ref(), Some(value), "field {field}");
    }
}

#[test]
fn mutated_frames_never_panic_and_what_is_read_stays_the_same() {
    let cases = std::env::var("TURNPIKE_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000);
    for name in Dialect::built_in_names() {
        let dialect = dialect(name);
        for seed in seeds(&dialect) {
            survives(&dialect, &seed);
            let mut runner =
                TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
            let result = runner.run(&mutation::edits(), |edits| {
                let bytes = mutation::edited(&seed, edits);
                survives(&dialect, &bytes);
                // The same with a length that is right, so that the change reaches the fields.
                let prefix = dialect.framing().prefix_bytes();
                if let Some(body) = bytes.get(prefix..) {
                    let mut framed = Vec::new();
                    let start = dialect.framing().begin(&mut framed);
                    framed.extend_from_slice(body);
                    if dialect.framing().finish(&mut framed, start).is_ok() {
                        survives(&dialect, &framed);
                    }
                }
                Ok(())
            });
            if let Err(error) = result {
                panic!("{name}: {error}");
            }
        }
    }
}
