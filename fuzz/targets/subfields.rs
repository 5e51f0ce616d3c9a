//! Every field that one of the four built-in tables divides: its parts lie inside of it, and every way of looking at
//! them agrees.
//!
//! The first byte chooses the field, the rest is its content.

use turnpike::dialect::Dialect;
use turnpike::dialect::describe::describe;
use turnpike::iso8583::digits::hex_bytes;
use turnpike::iso8583::spec::HIGHEST_FIELD;
use turnpike::iso8583::subfields::Form;
use turnpike::iso8583::subfields::Subfields;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::value::decode;

pub fn run(bytes: &[u8]) {
    let Some((choice, content)) = bytes.split_first() else { return };
    let divided = divided();
    let (dialect, field, table) = divided[usize::from(*choice) % divided.len()];
    match table.form {
        Form::Bitmap(_) => parts(table, content),
        Form::Tagged(tagging) => super::de48::agrees(tagging, content),
        Form::Tags | Form::Datasets => super::tags::run(content),
        // These are read where they are shown.
        Form::Positional | Form::Repeated => {}
    }
    // The same within a message, as a person would look at it.
    let values: [(u8, Value<'_>); 2] = [(11, "000001".into()), (field, content.into())];
    let mut out = Vec::new();
    if dialect.compose(100, &values[usize::from(field < 11)..], &mut out).is_ok() {
        let text = describe(dialect, &out);
        assert!(text.contains(&format!("DE {field} ")), "the field is named");
        super::frames::is_shown_in_order(dialect, &out);
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let table: [(&'static Dialect, u8, &str); 15] = [
        (&super::VISA, 62, "C000000000000000E8123456789012345F"),
        (&super::VISA, 62, "4000000000000000123456789012345F"),
        (&super::VISA, 63, "F00000000212340101"),
        (&super::VISA, 126, "0041000000000000F1F1F1F2F3F403C1C2C3"),
        (&super::VISA, 60, "0500001000010000"),
        (&super::VISA, 55, "01000F820239009F26081122334455667788"),
        (&super::VISA, 44, "F540D4E8"),
        (&super::VISA, 90, "0100123456112412345612345678901000000000000"),
        (&super::ISO87, 54, "0040840D000000020000"),
        (&super::ISO87_BINARY, 55, "820239009F26081122334455667788"),
        (&super::ISO87_BINARY, 90, "010012345611241234561234567890100000000000"),
        (&super::MASTERCARD, 48, "D9F6F1F0F5F1F0F0F0F0F9F2F0F3F1F2F3"),
        (&super::MASTERCARD, 61, "F0F0F0F0F0F0F4F0F0F0F8F0F0F8F4F0"),
        (&super::MASTERCARD, 108, "F0F1F0F0F8F0F1F0F0F4C1C2C3C4"),
        (&super::MASTERCARD, 112, "F0F0F1F0F0F4F2F1F0F2"),
    ];
    let divided = divided();
    let choice = |dialect: &Dialect, field: u8| {
        let known =
            divided.iter().position(|(other, known, _)| other.name() == dialect.name() && *known == field);
        known.expect("a divided field") as u8
    };
    let bytes = |hex: &str| hex_bytes(hex.as_bytes()).unwrap_or_else(|| hex.as_bytes().to_vec());
    table.iter().map(|(dialect, field, hex)| [&[choice(dialect, *field)], &bytes(hex)[..]].concat()).collect()
}

fn divided() -> Vec<(&'static Dialect, u8, &'static Subfields)> {
    let dialects: [&'static Dialect; 4] =
        [&super::VISA, &super::ISO87, &super::MASTERCARD, &super::ISO87_BINARY];
    let of = |dialect: &'static Dialect| {
        (2..=HIGHEST_FIELD).filter_map(move |field| Some((dialect, field, dialect.subfields(field)?)))
    };
    dialects.into_iter().flat_map(of).collect()
}

fn parts(table: &Subfields, content: &[u8]) {
    let mut at = 0;
    let mut found = Vec::new();
    let mut whole = true;
    for part in table.parts(content) {
        let part = match part {
            Ok(part) => part,
            Err(error) => {
                // What stands behind a part without a row can be read when its length is known.
                whole &= error.length.is_some();
                continue;
            }
        };
        assert!(whole, "nothing is read behind what cannot be read");
        assert!(part.offset >= at && part.offset + part.content.len() <= content.len());
        at = part.offset + part.content.len();
        let text = decode(&part.subfield.spec, part.content, part.units);
        let mut buffer = [0; 600];
        assert!(part.text(&mut buffer).len() <= 2 * part.content.len());
        if let Some(number) = part.number() {
            assert!(text.bytes().all(|byte| byte.is_ascii_digit()), "a number is all digits");
            assert_eq!(text.parse().unwrap_or(0), number, "a number is what is shown");
        }
        found.push((part.subfield.number, part.offset, part.units));
    }
    for number in 1..=64 {
        let part = table.find(content, number).map(|part| (part.subfield.number, part.offset, part.units));
        let known = found.iter().find(|(known, _, _)| *known == number).copied();
        assert_eq!(part, known, "part {number}");
    }
}
