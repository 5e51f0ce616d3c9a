//! The field table of IPM records: much of ISO 8583:1993, lengths from public sources only.

use crate::clearing::Alphabet;
use crate::iso8583::spec::Content;
use crate::iso8583::spec::Count;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::FieldSpec;
use crate::iso8583::spec::Layout;
use crate::iso8583::spec::Length;
use crate::iso8583::spec::Pad;
use crate::iso8583::spec::Prefix;
use crate::iso8583::subfields::Tagging;

/// The fields that hold private data subelements (PDS).
pub(super) const WITH_SUBELEMENTS: [u8; 5] = [48, 62, 123, 124, 125];

enum Row {
    /// Digits, so many.
    Digits(u16),
    /// Digits, at most so many, behind a length of two.
    Counted(u16),
    /// Characters, so many, not checked: what is not used here need not be right.
    Text(u16),
    /// Characters, at most so many, behind a length of two.
    Text2(u16),
    /// The same behind a length of three.
    Text3,
    /// Bytes, so many.
    Bytes(u16),
    /// Bytes behind a length of three.
    Bytes3,
}

/// What an IPM record has in a field. Only what is used is checked.
const fn row(field: u8) -> Row {
    match field {
        2 => Row::Counted(19),
        3 | 11 => Row::Digits(6),
        4..=6 | 12 => Row::Digits(12),
        24 | 49..=51 => Row::Digits(3),
        25 | 26 => Row::Digits(4),
        32 => Row::Counted(11),
        7 | 74..=81 => Row::Text(10),
        8..=10 | 41 | 71 => Row::Text(8),
        13..=18 => Row::Text(4),
        19..=21 | 23 | 40 | 68..=70 => Row::Text(3),
        22 | 37 | 82..=85 => Row::Text(12),
        27 | 66 | 91 => Row::Text(1),
        28 | 29 => Row::Text(9),
        30 => Row::Text(24),
        31 => Row::Text2(23),
        38 | 73 => Row::Text(6),
        39 | 67 | 92 => Row::Text(2),
        42 => Row::Text(15),
        53 | 86..=89 => Row::Text(16),
        90 => Row::Text(42),
        97 => Row::Text(17),
        98 => Row::Text(25),
        33..=36 | 43..=45 | 93..=95 | 99..=103 => Row::Text2(99),
        52 | 64 | 128 => Row::Bytes(8),
        96 => Row::Bytes(16),
        55 => Row::Bytes3,
        _ => Row::Text3,
    }
}

const fn encoding(alphabet: Alphabet) -> Encoding {
    match alphabet {
        Alphabet::Ascii => Encoding::Ascii,
        Alphabet::Ebcdic => Encoding::Ebcdic,
    }
}

/// How private data subelements stand in their fields: four digits of tag, three of length.
pub(super) const fn subelements(alphabet: Alphabet) -> Tagging {
    Tagging { id_digits: 4, length_digits: 3, lead: 0, encoding: encoding(alphabet) }
}

/// The table of a file.
pub(super) fn layout(alphabet: Alphabet, hex_bitmap: bool) -> Layout {
    let characters = encoding(alphabet);
    let bitmap = if hex_bitmap { Encoding::Hex } else { Encoding::Binary };
    // The records always have two bitmaps; some writers leave bit 1 unset.
    let mut layout = Layout::new(characters, bitmap).with_unannounced_second(true);
    for field in (2..=128).filter(|field| *field != 65) {
        let variable = |width, max| Length::Variable { prefix: Prefix { encoding: characters, width }, max };
        let (length, content) = match row(field) {
            Row::Digits(digits) => (Length::Fixed(digits), Content::Numeric),
            Row::Counted(max) => (variable(2, max), Content::Numeric),
            Row::Text(length) => (Length::Fixed(length), Content::Text),
            Row::Text2(max) => (variable(2, max), Content::Text),
            Row::Text3 => (variable(3, 999), Content::Text),
            Row::Bytes(length) => (Length::Fixed(length), Content::Binary),
            Row::Bytes3 => (variable(3, 999), Content::Binary),
        };
        let binary = content == Content::Binary;
        let encoding = if binary { Encoding::Binary } else { characters };
        let count = if binary { Count::Bytes } else { Count::Digits };
        layout.define(field, FieldSpec { length, content, encoding, count, pad: Pad::Left, checked: true });
    }
    layout
}
