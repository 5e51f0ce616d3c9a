//! The forms in which a dialect file may write its fields, from bytes to a request and back.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails where it stands")]

use turnpike::dialect::Dialect;
use turnpike::dialect::describe::describe;
use turnpike::dialect::guess::guess;
use turnpike::dialect::inbound::Context;
use turnpike::dialect::inbound::Inbound;
use turnpike::domain::action::ActionCode;
use turnpike::domain::party::NameId;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::domain::request::Presented;
use turnpike::iso8583::digits::hex_bytes;
use turnpike::iso8583::digits::hex_text;
use turnpike::iso8583::spec::Content;
use turnpike::iso8583::spec::Encoding;
use turnpike::iso8583::spec::Length;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::view::Spans;

fn table(name: &str) -> String {
    let path = format!("{}/src/dialect/tables/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The table with other rows for some fields, and what is wrong with them.
fn changed(base: &str, rows: &[(u8, &str)]) -> Result<Dialect, String> {
    let lines = base.lines().map(|line| {
        let field = line.split(' ').next().and_then(|key| key.parse::<u8>().ok());
        let row = rows.iter().find(|(known, _)| Some(*known) == field && line.contains("name = "));
        row.map_or_else(|| line.to_owned(), |(field, row)| format!("{field} = {{ {row} }}"))
    });
    // Rows of fields come before those of their parts.
    let (fields, parts) = base.split_once("\n[subfields").expect("subfields");
    let count = fields.lines().count();
    let text = lines.take(count).collect::<Vec<_>>().join("\n") + "\n\n[subfields" + parts;
    Dialect::from_toml("changed", &text)
        .map_err(|findings| findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// What every dialect needs of a purchase.
const PURCHASE: [(u8, &str); 6] =
    [(2, "4111111111111111"), (3, "000000"), (4, "5000"), (7, "0604123456"), (11, "123456"), (49, "840")];

fn context() -> Context {
    Context { network: NameId::of("network"), link: NameId::of("link") }
}

fn request(dialect: &Dialect, body: &[u8]) -> AuthorizationRequest {
    let mut spans = Spans::default();
    match dialect.decode(body, context(), &mut spans).map(|received| received.inbound) {
        Ok(Inbound::Authorization(request)) => request,
        other => panic!("{other:?}: {}", hex_text(body)),
    }
}

/// The message of a frame without header.
fn composed(dialect: &Dialect, mti: u16, values: &[(u8, &str)]) -> Vec<u8> {
    let values: Vec<(u8, Value<'_>)> =
        values.iter().map(|(field, value)| (*field, (*value).into())).collect();
    let mut out = Vec::new();
    dialect.compose(mti, &values, &mut out).unwrap_or_else(|error| panic!("{error}"));
    out.split_off(dialect.framing().prefix_bytes())
}

#[test]
fn every_field_of_the_third_bitmap_is_read_and_written_again() {
    for name in Dialect::built_in_names() {
        let dialect = Dialect::built_in(name).expect("a dialect that is compiled in");
        let text = dialect.layout().field(129).is_some_and(|spec| spec.content == Content::Text);
        for field in 129..=192 {
            let spec = dialect.layout().field(field).unwrap_or_else(|| panic!("{name}: {field}"));
            let value = match spec.length {
                Length::Fixed(_) if spec.content == Content::Numeric => "1".repeat(usize::from(spec.max())),
                Length::Fixed(_) if spec.content == Content::Text => "A".repeat(usize::from(spec.max())),
                Length::Fixed(_) => "C0".repeat(usize::from(spec.max())),
                Length::Variable { .. } if text => "any text".to_owned(),
                Length::Variable { .. } => "C0FFEE".to_owned(),
            };
            let values = [&PURCHASE[..], &[(field, value.as_str())]].concat();
            let message = composed(&dialect, 100, &values);
            let mut spans = Spans::default();
            let received =
                dialect.decode(&message, context(), &mut spans).unwrap_or_else(|m| panic!("{name}: {m:?}"));
            assert!(matches!(received.inbound, Inbound::Authorization(_)), "{name}: {field}");
            assert_eq!(
                dialect.value(&received.view, field).as_deref(),
                Some(value.as_str()),
                "{name}: {field}"
            );
            let header = received.header.len();
            let mut again = Vec::new();
            let raw: Vec<(u8, Value<'_>)> = received
                .view
                .fields()
                .iter()
                .filter_map(|field| Some((field, received.view.content(field)?.into())))
                .collect();
            let bitmaps = received.view.bitmaps();
            dialect.compose_message(100, &raw, bitmaps, &mut again).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(hex_text(&again), hex_text(&message[header..]), "{name}: {field}");
            let mut unknown = Vec::new();
            dialect.unknown_elements(&received.view, |path| unknown.push(path.to_string()));
            let has_row = matches!(field, 130..=140 | 142..=149 | 152) && name == "visa";
            let expected = if has_row { Vec::new() } else { vec![format!("DE{field}")] };
            assert_eq!(unknown, expected, "{name}");
        }
    }
    let table = table("iso87-ascii")
        .replace("[other_fields]\nformat = \"ans..999\"", "[other_fields]\nformat = \"ans3\"");
    let findings = Dialect::from_toml("mine.toml", &table).expect_err("a refusal");
    assert!(findings[0].message.contains("say their length"), "{findings:?}");
}

#[test]
fn signs_and_hex_are_read_in_every_form_and_written_as_they_came() {
    // The built-in table, a row, the field's wire in hex behind the purchase's fields, and its value.
    let table: &[(&str, u8, &str, &str, &str)] = &[
        ("iso87-binary", 28, "format = \"x9\", encoding = \"bcd\"", "4400000100", "D00000100"),
        (
            "iso87-binary",
            28,
            "format = \"x8\", encoding = \"bcd\", pad = \"right-f\"",
            "431234567F",
            "C1234567",
        ),
        ("iso87-binary", 28, "format = \"x9\"", "443030303030313030", "D00000100"),
        ("iso87-ascii", 48, "format = \"b..99\", encoding = \"hex\"", "3032306146 66", "0aFf"),
        (
            "iso87-ascii",
            48,
            "format = \"b..99\", encoding = \"hex\", count = \"characters\"",
            "3034306146 66",
            "0aFf",
        ),
        ("iso87-ascii", 48, "format = \"b3\", encoding = \"hex\"", "306146466666", "0aFFff"),
    ];
    for (name, field, row, wire, value) in table {
        let row = format!("{row}, name = \"changed\"");
        let dialect = changed(&self::table(name), &[(*field, &row)]).expect("a right table");
        let wire = wire.replace(' ', "");
        let mut values = PURCHASE.to_vec();
        values.push((*field, value));
        values.sort_by_key(|(field, _)| *field);
        let message = composed(&dialect, 100, &values);
        assert!(hex_text(&message).contains(&wire), "{row}: {}", hex_text(&message));
        let mut spans = Spans::default();
        let received =
            dialect.decode(&message, context(), &mut spans).unwrap_or_else(|m| panic!("{row}: {m:?}"));
        assert_eq!(dialect.value(&received.view, *field).as_deref(), Some(*value), "{row}");
    }
    let refused = [
        (
            "iso87-binary",
            28,
            "format = \"x9\", encoding = \"bcd\", count = \"bytes\"",
            "only BCD fields count",
        ),
        ("iso87-binary", 11, "format = \"n6\", count = \"characters\"", "only fields in hex characters"),
        (
            "iso87-ascii",
            55,
            "format = \"b..99\", encoding = \"hex\", count = \"bytes\"",
            "only fields in hex",
        ),
    ];
    for (name, field, row, expected) in refused {
        let row = format!("{row}, name = \"changed\"");
        let findings = changed(&self::table(name), &[(field, &row)]).expect_err("a refusal");
        assert!(findings.contains(expected), "{row}: {findings}");
    }
}

#[test]
fn currencies_come_as_numbers_or_as_letters() {
    let iso87 = Dialect::built_in("iso87-ascii").expect("a dialect that is compiled in");
    for (code, numeric) in
        [("840", Some(840)), ("USD", Some(840)), ("EUR", Some(978)), ("BYN", Some(933)), ("XXY", None)]
    {
        let values = [&PURCHASE[..5], &[(49, code)]].concat();
        let message = composed(&iso87, 100, &values);
        let mut spans = Spans::default();
        let found = match iso87.decode(&message, context(), &mut spans).map(|received| received.inbound) {
            Ok(Inbound::Authorization(request)) => Some(request.amount.currency.numeric()),
            _ => None,
        };
        assert_eq!(found, numeric, "{code}");
        let text = describe(&iso87, &message);
        assert_eq!(
            text.contains("DE 4 Amount, transaction: 000000005000  (50.00 "),
            numeric.is_some(),
            "{text}"
        );
    }
    let long = "x".repeat(99);
    let message = composed(&iso87, 110, &[(39, "00"), (44, &long)]);
    assert!(describe(&iso87, &message).contains(&long), "DE 44 is as long as hosts make it");
}

#[test]
fn a_host_that_sends_bytes_in_hex_is_guessed() {
    let mut table = table("iso87-ascii");
    for (field, name) in [(52, "PIN data"), (64, "Message authentication code")] {
        let row = format!("{field} = {{ format = \"b8\", name");
        table = table.replace(&row, &format!("{field} = {{ format = \"b8\", encoding = \"hex\", name"));
        assert!(table.contains(name));
    }
    let host = Dialect::from_toml("host", &table).expect("a right table");
    let values = [&PURCHASE[..], &[(52, "0102030405060708"), (64, "1122334455667788")]].concat();
    let values: Vec<(u8, Value<'_>)> =
        values.iter().map(|(field, value)| (*field, (*value).into())).collect();
    let mut frame = Vec::new();
    host.compose(100, &values, &mut frame).expect("a message");
    let guesses = guess(&[&frame], &[]);
    let best = guesses.first().expect("a guess");
    assert_eq!((best.base(), best.is_base_as_it_stands()), ("iso87-ascii", false), "{}", best.text());
    let made = Dialect::from_toml("made", &best.table()).expect("a right table");
    assert_eq!(made.layout().field(52).map(|spec| spec.encoding), Some(Encoding::Hex));
    assert!(describe(&made, &frame).contains("DE 52 PIN data: (16 bytes, not shown)"));
}

#[test]
fn chip_data_in_hex_is_found_and_shown() {
    let rows = [
        ("iso87-ascii", "format = \"b..999\", encoding = \"hex\""),
        ("iso87-ascii", "format = \"b..999\", encoding = \"hex\", count = \"characters\""),
        ("iso87-ascii", "format = \"ans..999\""),
        ("mastercard", "format = \"ans..999\""),
    ];
    let content = "820239005F2A0208409f26081122334455667788";
    for (name, row) in rows {
        let row = format!("{row}, name = \"Chip data\"");
        let dialect = changed(&table(name), &[(55, &row)]).expect("a right table");
        for (content, cryptogram) in [(content, true), (&content[..18], false), (&content[..20], true)] {
            let message = composed(&dialect, 100, &[&PURCHASE[..], &[(55, content)]].concat());
            let found = request(&dialect, &message).presented;
            let expected = if cryptogram { Presented::CRYPTOGRAM } else { Presented::default() };
            assert_eq!(found, expected, "{row}: {content}");
        }
        let text = describe(&dialect, &composed(&dialect, 100, &[&PURCHASE[..], &[(55, content)]].concat()));
        for line in [
            "    8  tag 82",
            "   10  tag 5F2A Transaction currency code: 0840  (USD, US dollar)",
            "   22  tag 9F26",
        ] {
            assert!(text.contains(&line.replace("  tag", "    tag")), "{row}: {line} in {text}");
        }
    }
}

#[test]
fn hex_bitmaps_keep_their_case_and_answers_have_that_of_their_request() {
    let dialect = Dialect::built_in("iso87-ascii").expect("a dialect that is compiled in");
    for lower in [false, true] {
        let values =
            [&PURCHASE[..5], &[(37, "REF123456789"), (39, "00"), (41, "TERMID01"), (49, "840")]].concat();
        let mut body = composed(&dialect, 100, &values);
        if lower {
            body[4..20].make_ascii_lowercase();
        }
        assert_eq!(body[4..20].iter().any(u8::is_ascii_lowercase), lower, "the bitmap has letters");
        let mut spans = Spans::default();
        let received = dialect.decode(&body, context(), &mut spans).unwrap_or_else(|m| panic!("{m:?}"));
        let raw: Vec<(u8, Value<'_>)> = received
            .view
            .fields()
            .iter()
            .filter_map(|field| Some((field, received.view.content(field)?.into())))
            .collect();
        let mut again = Vec::new();
        let written = dialect.compose_message(100, &raw, received.view.bitmaps(), &mut again);
        assert!(written.is_ok() && again == body, "{}", String::from_utf8_lossy(&again));
        let mut answer = Vec::new();
        dialect.write_refusal(&received, ActionCode::NotPermitted, &mut answer).expect("an answer");
        let bitmap = &answer[2 + 4..2 + 20];
        assert_eq!(bitmap.iter().any(u8::is_ascii_lowercase), lower, "{}", String::from_utf8_lossy(bitmap));
    }
}

/// Digits or a track, packed, behind a length of one byte.
fn packed(digits: &str, count: &str, pad: &str) -> String {
    let nibbles = match (digits.len() % 2, pad) {
        (0, _) => digits.to_owned(),
        (_, "left") => format!("0{digits}"),
        (_, "right") => format!("{digits}0"),
        _ => format!("{digits}F"),
    };
    let length = if count == "digits" { digits.len() } else { nibbles.len() / 2 };
    format!("{length:02X}{nibbles}")
}

#[test]
fn packed_card_numbers_and_tracks_are_read_by_every_count_and_pad() {
    let base = table("iso87-binary");
    let rest = ["000000", "000000005000", "0604123456", "123456"].concat();
    for (count, pad) in
        ["digits", "bytes"].into_iter().flat_map(|count| ["left", "right", "right-f"].map(|pad| (count, pad)))
    {
        let how = format!("count = \"{count}\", pad = \"{pad}\", prefix = \"binary1\", name = \"changed\"");
        let (digits, track) = if count == "digits" { ("n..19", "z..37") } else { ("n..10", "z..19") };
        let number = format!("format = \"{digits}\", {how}");
        let track = format!("format = \"{track}\", {how}");
        let rows = [(2, number.as_str()), (35, track.as_str())];
        if count == "bytes" && pad == "right" {
            let findings = changed(&base, &rows).expect_err("nobody could tell a pad from a digit");
            assert!(
                findings.contains("is taken for one of them") && findings.lines().count() == 1,
                "{findings}"
            );
        }
        let numbers = if count == "bytes" && pad == "right" { &rows[1..] } else { &rows[..] };
        let dialect = changed(&base, numbers).expect("a right table");
        for pan in ["4123700000000", "412370000000002", "4123700000000010", "4123700000000000019"] {
            let (value, length) = (pan.parse::<u64>().expect("a number"), pan.len() as u8);
            if numbers.len() == 2 {
                let wire = packed(pan, count, pad);
                let bytes =
                    hex_bytes(format!("01007220000000008000{wire}{rest}0840").as_bytes()).expect("hex");
                let found = request(&dialect, &bytes);
                assert_eq!((found.pan.value(), found.pan.digits()), (value, length), "{count} {pad} {wire}");
                let values =
                    [(2, pan), (3, "000000"), (4, "5000"), (7, "0604123456"), (11, "123456"), (49, "840")];
                assert_eq!(hex_text(&composed(&dialect, 100, &values)), hex_text(&bytes), "{count} {pad}");
            }
            for more in ["", "1"] {
                let track = format!("{pan}D2912101{more}");
                let wire = packed(&track, count, pad);
                let bytes =
                    hex_bytes(format!("01003220000020008000{rest}{wire}0840").as_bytes()).expect("hex");
                let found = request(&dialect, &bytes);
                assert_eq!((found.pan.value(), found.pan.digits()), (value, length), "{count} {pad} {wire}");
                assert_eq!(found.expiry.map(|expiry| expiry.digits()), Some(2912), "{count} {pad} {wire}");
                let values = [
                    (3, "000000"),
                    (4, "5000"),
                    (7, "0604123456"),
                    (11, "123456"),
                    (35, &*track),
                    (49, "840"),
                ];
                assert_eq!(hex_text(&composed(&dialect, 100, &values)), hex_text(&bytes), "{count} {pad}");
            }
        }
    }
}
