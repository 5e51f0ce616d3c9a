//! Messages that other projects published, and mutated ones: what is read, written again, gives the same bytes.
//!
//! The foreign fixtures are not part of this repository. They are read from `../shared/fixtures` or from the folder
//! in `TURNPIKE_FOREIGN_FIXTURES`; in CI they must be there.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails where it stands")]

use std::path::PathBuf;

use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::test_runner::Config;
use proptest::test_runner::TestRunner;
use serde_json::Value as Json;
use turnpike::dialect::Dialect;
use turnpike::dialect::MessageHeader;
use turnpike::dialect::describe::describe;
use turnpike::dialect::header::VISA_HEADER_BYTES;
use turnpike::dialect::inbound::Context;
use turnpike::domain::party::NameId;
use turnpike::iso8583::digits::hex_bytes;
use turnpike::iso8583::digits::hex_text;
use turnpike::iso8583::spec::Bitmaps;
use turnpike::iso8583::subfields::Form;
use turnpike::iso8583::tlv;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::value::decode;
use turnpike::iso8583::view::Spans;
use turnpike::iso8583::view::View;

/// The cases of one fixture file; `None` when there is no such folder and none is demanded.
fn foreign(file: &str) -> Option<Vec<Json>> {
    let folder = std::env::var_os("TURNPIKE_FOREIGN_FIXTURES")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures"), PathBuf::from);
    let path = folder.join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        assert!(
            std::env::var("CI").is_err(),
            "{} is not there; in CI the foreign fixtures must be",
            path.display()
        );
        println!("skipped: {} is not there; TURNPIKE_FOREIGN_FIXTURES names its folder", path.display());
        return None;
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let cases = lines.map(|line| serde_json::from_str::<Json>(line).expect("a line of JSON"));
    Some(cases.filter(|case| case.get("_header").is_none()).collect())
}

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

/// The parts of a field as the source names them: `SE00` lists those present, `SE01` is part 1.
fn check_parts(dialect: &Dialect, view: &View<'_>, field: u8, expected: &Json, name: &str) {
    let content = view.content(field).expect("the field");
    let table = dialect.subfields(field).expect("the field is divided");
    if table.form == Form::Datasets {
        return check_datasets(content, expected, name);
    }
    let parts: Vec<_> = table.parts(content).map(|part| part.expect("a right part")).collect();
    for (key, value) in expected.as_object().expect("parts") {
        let number: u8 = key.trim_start_matches("SE").parse().expect("the number of a part");
        if number == 0 {
            let present: Vec<u8> = parts.iter().map(|part| part.subfield.number).collect();
            let wanted: Vec<u8> = serde_json::from_value(value.clone()).expect("numbers");
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

#[test]
fn visa_messages_of_others() {
    let Some(cases) = foreign("visa_mastercard.jsonl") else { return };
    let visa = dialect("visa");
    let mut checked = 0;
    for case in cases {
        if !case["dialect"].as_str().unwrap_or_default().starts_with("visa") {
            continue;
        }
        let name = format!("case {} {}", checked + 1, case["mti"]);
        let bytes = hex_bytes(case["hex"].as_str().expect("hex").as_bytes()).expect("hex");
        let frame = visa.frame(&bytes).expect("a right frame").expect("a whole frame");
        assert_eq!(frame.total, bytes.len(), "{name}");
        let body = &bytes[frame.body];
        let (header, message) = divide(&visa, body);
        let values = same_again(&visa, message);
        let mut spans = Spans::default();
        let view = View::parse(visa.layout(), message, &mut spans).unwrap_or_else(|_| panic!("{name}"));
        for (key, expected) in case["fields"].as_object().expect("fields") {
            match key.as_str() {
                "Header" => check_visa_header(expected, header, &name),
                "MTI" => assert_eq!(format!("{:04}", view.mti()), expected_text(expected), "{name}"),
                "DE001" => {
                    let high: Vec<u8> = view.fields().iter().filter(|field| *field > 64).collect();
                    let wanted: Vec<u8> = serde_json::from_value(expected.clone()).expect("numbers");
                    assert_eq!(high, wanted, "{name}");
                }
                _ => {
                    let field: u8 = key.trim_start_matches("DE").parse().expect("a field's number");
                    if expected.is_object() {
                        check_parts(&visa, &view, field, expected, &name);
                    } else {
                        let (found, wanted) = (value_of(&values, field), expected_text(expected));
                        assert!(found.eq_ignore_ascii_case(&wanted), "{name}: field {field}");
                    }
                }
            }
        }
        // The whole again: framing, header as it was, message from its values.
        let mut spans = Spans::default();
        assert!(visa.decode(body, context(), &mut spans).is_ok(), "{name}");
        let mut again = Vec::new();
        let start = visa.framing().begin(&mut again);
        again.extend_from_slice(body);
        visa.framing().finish(&mut again, start).expect("short enough");
        assert_eq!(again, bytes, "{name}");
        checked += 1;
    }
    assert!(checked > 0, "the file has no Visa case");
}

#[test]
fn iso87_ascii_messages_of_others() {
    let Some(cases) = foreign("iso87_ascii.jsonl") else { return };
    let iso = dialect("iso87-ascii");
    assert!(!cases.is_empty());
    for case in cases {
        let name = case["source"].as_str().unwrap_or_default();
        let message = hex_bytes(case["hex"].as_str().expect("hex").as_bytes()).expect("hex");
        let values = same_again(&iso, &message);
        let mut spans = Spans::default();
        let view = View::parse(iso.layout(), &message, &mut spans).unwrap_or_else(|_| panic!("{name}"));
        let mti: u16 = case["mti"].as_str().expect("an MTI").parse().expect("digits");
        assert_eq!(view.mti(), mti, "{name}");
        for (key, expected) in case["fields"].as_object().expect("fields") {
            let (field, part) = key.split_once('.').map_or((key.as_str(), None), |(f, p)| (f, Some(p)));
            let field: u8 = field.parse().expect("a field's number");
            let wanted = expected_text(expected);
            let found = match part {
                None => value_of(&values, field).to_owned(),
                Some(tag) => {
                    let form = iso.subfields(field).expect("the field is divided").form;
                    let tags = all_tags(form, view.content(field).expect("the field"));
                    tags.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(tag)).expect("the tag").1
                }
            };
            assert!(found.eq_ignore_ascii_case(&wanted), "{name}: field {key} is {found}");
        }
        let mut spans = Spans::default();
        assert!(iso.decode(&message, context(), &mut spans).is_ok(), "{name}");
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
        (48, "anything"),
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
            let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4);
            let mut runner =
                TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
            let result = runner.run(&edits, |edits| {
                let mut bytes = seed.clone();
                for (at, byte, how) in edits {
                    let at = at.index(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
                    match how {
                        0 if !bytes.is_empty() => bytes[at] = byte,
                        1 if !bytes.is_empty() => bytes[at] ^= 1 << (byte % 8),
                        2 => bytes.truncate(at),
                        _ => bytes.insert(at, byte),
                    }
                }
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
