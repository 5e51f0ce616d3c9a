//! The forms in which a dialect file may write its fields, from bytes to a request and back.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails where it stands")]

use turnpike::dialect::Dialect;
use turnpike::dialect::inbound::Context;
use turnpike::dialect::inbound::Inbound;
use turnpike::domain::party::NameId;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::iso8583::digits::hex_bytes;
use turnpike::iso8583::digits::hex_text;
use turnpike::iso8583::spec::Content;
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
            let findings = changed(&base, &rows).err().expect("nobody could tell a pad from a digit");
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
