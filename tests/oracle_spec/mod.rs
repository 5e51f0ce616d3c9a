//! What our codec and the one of the crate `iso8583_rs` have in common: ISO 8583:1987 in ASCII, in the words of both.

use std::fmt::Write;

use turnpike::dialect::Dialect;
use turnpike::iso8583::spec::Content;
use turnpike::iso8583::spec::FieldSpec;
use turnpike::iso8583::spec::Length;

/// The variable through which the oracle is told its specification.
pub(crate) const SPECIFICATION: &str = "SPEC_FILE";
/// The message types that it is told of.
pub(crate) const MTIS: [u16; 8] = [100, 110, 120, 200, 400, 420, 800, 810];

/// ISO 8583:1987 in ASCII with binary bitmaps: the oracle knows no others.
pub(crate) fn ours() -> Dialect {
    let table = include_str!("../../src/dialect/tables/iso87-ascii.toml");
    let table = table.replace("bitmap = \"hex\"", "bitmap = \"binary\"");
    Dialect::from_toml("oracle.toml", &table).expect("a right table")
}

/// Fields that both can carry: those in characters, and those in bytes of fixed length.
pub(crate) fn fields(dialect: &Dialect) -> Vec<(u8, FieldSpec)> {
    let shared = dialect
        .layout()
        .fields()
        .filter(|(_, spec)| spec.content != Content::Binary || matches!(spec.length, Length::Fixed(_)));
    shared.map(|(field, spec)| (field, *spec)).collect()
}

/// The same table in the oracle's words.
pub(crate) fn specification(dialect: &Dialect) -> String {
    let selectors = MTIS.map(|mti| format!("      - \"{mti:04}\"\n")).concat();
    let head = "type: Fixed\n    len: 4\n    data_encoding: ASCII\n";
    let mut text = format!(
        "name: Shared\nid: 1\nheader_fields:\n  - name: \"message_type\"\n    id: 1\n    {head}    children: []\n\
         messages:\n  - name: \"any\"\n    id: 1\n    selector:\n{selectors}    fields:\n\
         \x20     - name: \"message_type\"\n        id: 1\n        type: Fixed\n        len: 4\n\
         \x20       data_encoding: ASCII\n\
         \x20     - name: \"bitmap\"\n        id: 2\n        type: Bitmapped\n        len: 0\n\
         \x20       data_encoding: BINARY\n        children:\n"
    );
    for (field, spec) in fields(dialect) {
        let (kind, length) = match spec.length {
            Length::Fixed(units) => ("Fixed", units),
            Length::Variable { prefix, .. } => ("Variable", u16::from(prefix.width)),
        };
        let encoding = if spec.content == Content::Binary { "BINARY" } else { "ASCII" };
        let indent = "\n            ";
        let lines = [
            format!("          - name: \"{field}\""),
            format!("id: {}", 100 + u16::from(field)),
            format!("type: {kind}"),
            format!("len: {length}"),
            "len_encoding: ASCII".to_owned(),
            format!("data_encoding: {encoding}"),
            format!("position: {field}"),
        ];
        let _written = writeln!(text, "{}", lines.join(indent));
    }
    text
}
