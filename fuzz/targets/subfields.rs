//! Every field that a built-in table divides: its parts lie inside of it, and every way of looking at them agrees.
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
    if matches!(table.form, Form::Bitmap(_)) {
        parts(table, content);
    } else {
        super::tags::run(content);
    }
    // The same within a message, as a person would look at it.
    let values: [(u8, Value<'_>); 2] = [(11, "000001".into()), (field, content.into())];
    let mut out = Vec::new();
    if dialect.compose(100, &values[usize::from(field < 11)..], &mut out).is_ok() {
        let text = describe(dialect, &out);
        assert!(text.contains(&format!("DE {field} ")), "the field is named");
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let table = [
        (62, "C000000000000000E8123456789012345F"),
        (62, "4000000000000000123456789012345F"),
        (63, "F00000000212340101"),
        (126, "0041000000000000F1F1F1F2F3F403C1C2C3"),
        (60, "0500001000010000"),
        (55, "01000F820239009F26081122334455667788"),
        (44, "F540D4E8"),
        (90, "0100123456112412345612345678901000000000000"),
    ];
    let divided = divided();
    let choice = |field| divided.iter().position(|(_, known, _)| *known == field).expect("a divided field");
    let bytes = |hex: &str| hex_bytes(hex.as_bytes()).unwrap_or_else(|| hex.as_bytes().to_vec());
    table.iter().map(|(field, hex)| [&[choice(*field) as u8][..], &bytes(hex)].concat()).collect()
}

fn divided() -> Vec<(&'static Dialect, u8, &'static Subfields)> {
    let dialects: [&'static Dialect; 2] = [&super::VISA, &super::ISO87];
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
        let value = table.find(content, number).and_then(|part| part.number());
        assert_eq!(table.number(content, number), value, "the number in part {number}");
    }
}
