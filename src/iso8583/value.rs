//! One field's value as text, and back to its bytes.

use crate::iso8583::content;
use crate::iso8583::digits;
use crate::iso8583::spec::Content;
use crate::iso8583::spec::Count;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::FieldSpec;
use crate::iso8583::spec::Length;
use crate::iso8583::spec::Pad;
use crate::iso8583::spec::Prefix;

/// A value to be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Digits and characters; hex for binary fields.
    Text(&'a str),
    /// The content as it stands on the wire, without a length.
    Bytes(&'a [u8]),
}

impl<'a> From<&'a str> for Value<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

/// Why a value cannot be written. It never holds the value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ValueError {
    /// The dialect has no such field.
    #[error("the dialect has no such field")]
    UnknownField,
    /// Fields are written in order, once each, within the bitmaps that were begun.
    #[error("fields are written in ascending order, within the bitmaps that were begun")]
    OutOfOrder,
    /// Longer than the field.
    #[error("the value is longer than the field")]
    TooLong,
    /// Shorter than the field, and nothing pads it.
    #[error("the value is shorter than the field")]
    TooShort,
    /// A character that the field cannot hold.
    #[error("the value has a character that the field cannot hold")]
    WrongCharacter,
}

/// The value of a field's content: digits and characters, hex for binary. Bytes that are no ASCII become the Latin-1
/// characters of their code page, so that [`encode`] gives the same bytes again.
#[must_use]
pub fn decode(spec: &FieldSpec, content: &[u8], units: usize) -> String {
    let mut buffer = vec![0; content.len() * 2];
    let length = content::characters(spec, content, units, &mut buffer);
    buffer[..length].iter().map(|byte| char::from(*byte)).collect()
}

/// Appends a field with its length.
///
/// # Errors
/// The value does not fit the field; nothing was appended.
pub fn encode(spec: &FieldSpec, value: Value<'_>, out: &mut Vec<u8>) -> Result<(), ValueError> {
    match value {
        Value::Bytes(bytes) => encode_content(spec, bytes, out),
        Value::Text(text) if text.is_ascii() => encode_characters(spec, text.as_bytes(), out),
        Value::Text(text) => {
            let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            encode_characters(spec, &latin.ok_or(ValueError::WrongCharacter)?, out)
        }
    }
}

/// Appends a number to a numeric field, with leading zeros when the field is fixed.
///
/// # Errors
/// The number has more digits than the field; nothing was appended.
#[inline]
pub fn encode_number(spec: &FieldSpec, value: u64, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let mut buffer = [b'0'; 20];
    let mut rest = value;
    let mut start = buffer.len();
    while rest > 0 || start == buffer.len() {
        start -= 1;
        buffer[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    encode_characters(spec, &buffer[start..], out)
}

/// Writes a number over the digits of a field of fixed length, an even number of them when they are packed. False when
/// its encoding has no digits, or they are too few.
#[inline]
pub(crate) fn overwrite_number(encoding: Encoding, value: u64, room: &mut [u8]) -> bool {
    let mut rest = value;
    match encoding {
        Encoding::Bcd => {
            for byte in room.iter_mut().rev() {
                *byte = digits::bcd_pair((rest % 100) as u8);
                rest /= 100;
            }
        }
        Encoding::Ascii | Encoding::Ebcdic => {
            for byte in room.iter_mut().rev() {
                *byte = encoding.zero() | (rest % 10) as u8;
                rest /= 10;
            }
        }
        Encoding::Binary | Encoding::Hex => return false,
    }
    rest == 0
}

fn encode_content(spec: &FieldSpec, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    let units = match (spec.encoding, spec.count) {
        (Encoding::Bcd, Count::Digits) => match spec.length {
            Length::Fixed(units) => usize::from(units),
            Length::Variable { .. } => bytes.len() * 2,
        },
        (Encoding::Hex, Count::Digits) => bytes.len() / 2,
        _ => bytes.len(),
    };
    length_fits(spec, units)?;
    if bytes.len() != spec.bytes(units) {
        return Err(ValueError::TooShort);
    }
    let start = out.len();
    write_length(spec, units, out);
    let content = out.len();
    out.extend_from_slice(bytes);
    verify(spec, content::units(spec, bytes, units), start, content, out)
}

/// Appends a variable field of one byte a unit whose content `fill` appends, and fills in its length.
pub(crate) fn encode_filled(
    spec: &FieldSpec,
    out: &mut Vec<u8>,
    fill: impl FnOnce(&mut Vec<u8>),
) -> Result<(), ValueError> {
    let Length::Variable { prefix, .. } = spec.length else { return Err(ValueError::TooShort) };
    let start = out.len();
    push_length(prefix, 0, out);
    let content = out.len();
    fill(out);
    let units = out.len() - content;
    let fits = if spec.bytes(units) == units { length_fits(spec, units) } else { Err(ValueError::TooShort) };
    if fits.is_err() {
        out.truncate(start);
        return fits;
    }
    // Written at the end, then moved into its place.
    let end = out.len();
    push_length(prefix, units, out);
    out.copy_within(end.., start);
    out.truncate(end);
    verify(spec, units, start, content, out)
}

/// Appends characters (Latin-1; hex for binary) to a field of any encoding.
pub(crate) fn encode_characters(spec: &FieldSpec, text: &[u8], out: &mut Vec<u8>) -> Result<(), ValueError> {
    if spec.length == Length::Fixed(text.len() as u16) && spec.content == Content::Text {
        // What every answer has, DE 38 and DE 39, needs no padding and no check.
        if spec.encoding == Encoding::Ebcdic {
            out.extend(text.iter().map(|character| digits::to_ebcdic(*character)));
        } else {
            out.extend_from_slice(text);
        }
        return Ok(());
    }
    let pairs = spec.encoding == Encoding::Hex && spec.count == Count::Digits;
    let binary = pairs || spec.encoding == Encoding::Binary;
    let packed_bytes =
        spec.encoding == Encoding::Bcd && spec.count == Count::Bytes && spec.content != Content::Signed;
    let per_unit = if binary || packed_bytes { 2 } else { 1 };
    let (mut before, mut after) = (0, 0);
    if let Length::Fixed(units) = spec.length {
        let missing = (usize::from(units) * per_unit).saturating_sub(text.len());
        match spec.content {
            Content::Numeric => before = missing,
            Content::Text => after = missing,
            _ if missing > 0 => return Err(ValueError::TooShort),
            _ => {}
        }
    }
    let characters = before + text.len() + after;
    if binary && !characters.is_multiple_of(per_unit) {
        return Err(ValueError::TooShort);
    }
    let units = characters.div_ceil(per_unit);
    length_fits(spec, units)?;
    let start = out.len();
    write_length(spec, units, out);
    let content = out.len();
    let zeros = std::iter::repeat_n(b'0', before);
    let padded = zeros.chain(text.iter().copied()).chain(std::iter::repeat_n(b' ', after));
    let written = match spec.encoding {
        Encoding::Ascii => {
            out.extend(padded);
            true
        }
        Encoding::Ebcdic => {
            out.extend(padded.map(digits::to_ebcdic));
            true
        }
        Encoding::Hex => {
            out.extend(padded);
            true
        }
        Encoding::Bcd if spec.content == Content::Signed => {
            let mut padded = padded;
            out.extend(padded.next());
            write_nibbles(spec, characters.saturating_sub(1), padded, out)
        }
        Encoding::Bcd | Encoding::Binary => write_nibbles(spec, characters, padded, out),
    };
    if !written {
        out.truncate(start);
        return Err(ValueError::WrongCharacter);
    }
    verify(spec, if packed_bytes { characters } else { units }, start, content, out)
}

fn write_nibbles(
    spec: &FieldSpec,
    count: usize,
    characters: impl Iterator<Item = u8>,
    out: &mut Vec<u8>,
) -> bool {
    let odd = count % 2 == 1;
    let mut pending = if odd && spec.pad == Pad::Left { Some(0) } else { None };
    for character in characters {
        let nibble = match character {
            b'=' if spec.content == Content::Track => Some(0x0d),
            _ => digits::hex_nibble(character),
        };
        let Some(nibble) = nibble else { return false };
        match pending.take() {
            Some(high) => out.push(high << 4 | nibble),
            None => pending = Some(nibble),
        }
    }
    if let Some(high) = pending {
        out.push(high << 4 | if spec.pad == Pad::RightF { 0x0f } else { 0 });
    }
    true
}

fn length_fits(spec: &FieldSpec, units: usize) -> Result<(), ValueError> {
    match spec.length {
        Length::Fixed(fixed) if units < usize::from(fixed) => Err(ValueError::TooShort),
        _ if units > usize::from(spec.max()) => Err(ValueError::TooLong),
        _ => Ok(()),
    }
}

fn verify(
    spec: &FieldSpec,
    units: usize,
    start: usize,
    content: usize,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    if spec.checked && content::check(spec, &out[content..], units).is_err() {
        out.truncate(start);
        return Err(ValueError::WrongCharacter);
    }
    Ok(())
}

fn write_length(spec: &FieldSpec, units: usize, out: &mut Vec<u8>) {
    if let Length::Variable { prefix, .. } = spec.length {
        push_length(prefix, units, out);
    }
}

/// Appends a length in the width and encoding of its prefix.
pub(crate) fn push_length(prefix: Prefix, length: usize, out: &mut Vec<u8>) {
    let start = out.len();
    let mut rest = length;
    for _ in 0..prefix.width {
        let byte = match prefix.encoding {
            Encoding::Ascii | Encoding::Ebcdic => {
                let digit = (rest % 10) as u8;
                rest /= 10;
                if prefix.encoding == Encoding::Ascii { b'0' + digit } else { 0xf0 + digit }
            }
            Encoding::Bcd => {
                let pair = (rest % 100) as u8;
                rest /= 100;
                ((pair / 10) << 4) | (pair % 10)
            }
            Encoding::Hex => {
                let nibble = (rest & 0x0f) as u8;
                rest >>= 4;
                digits::nibble_character(nibble)
            }
            Encoding::Binary => {
                let byte = (rest & 0xff) as u8;
                rest >>= 8;
                byte
            }
        };
        out.push(byte);
    }
    out[start..].reverse();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(length: Length, content: Content, encoding: Encoding, count: Count, pad: Pad) -> FieldSpec {
        FieldSpec { length, content, encoding, count, pad, checked: true }
    }

    #[test]
    fn values_become_bytes_by_every_rule() {
        use Content::Binary as B;
        use Content::Numeric as N;
        use Content::Signed as X;
        use Content::Text as T;
        use Content::Track as Z;
        let binary1 = Prefix { encoding: Encoding::Binary, width: 1 };
        let ll = Prefix { encoding: Encoding::Ascii, width: 2 };
        let ebcdic3 = Prefix { encoding: Encoding::Ebcdic, width: 3 };
        let bcd2 = Prefix { encoding: Encoding::Bcd, width: 2 };
        let (fixed, var) = (Length::Fixed, |prefix, max| Length::Variable { prefix, max });
        let (d, b) = (Count::Digits, Count::Bytes);
        let table: &[(FieldSpec, &str, &str, &str)] = &[
            (spec(fixed(6), N, Encoding::Bcd, d, Pad::Left), "42", "000042", "000042"),
            (spec(fixed(3), N, Encoding::Bcd, d, Pad::Left), "840", "0840", "840"),
            (spec(fixed(3), N, Encoding::Bcd, d, Pad::Right), "643", "6430", "643"),
            (spec(fixed(3), N, Encoding::Bcd, d, Pad::RightF), "643", "643F", "643"),
            (spec(var(binary1, 19), N, Encoding::Bcd, d, Pad::Left), "12345", "05012345", "12345"),
            (spec(var(bcd2, 19), N, Encoding::Bcd, d, Pad::Left), "890", "00030890", "890"),
            (spec(var(binary1, 37), Z, Encoding::Bcd, d, Pad::Left), "41=30", "05041D30", "41D30"),
            (spec(var(binary1, 37), Z, Encoding::Bcd, d, Pad::RightF), "41D30", "0541D30F", "41D30"),
            (spec(var(ll, 11), N, Encoding::Ascii, d, Pad::Left), "123", "3033313233", "123"),
            (spec(var(ebcdic3, 999), T, Encoding::Ebcdic, d, Pad::Left), "A1", "F0F0F2C1F1", "A1"),
            (spec(fixed(4), T, Encoding::Ebcdic, d, Pad::Left), "A1", "C1F14040", "A1  "),
            (
                spec(fixed(9), X, Encoding::Ebcdic, d, Pad::Left),
                "D00000100",
                "C4F0F0F0F0F0F1F0F0",
                "D00000100",
            ),
            (
                spec(fixed(8), B, Encoding::Binary, b, Pad::Left),
                "0102030405060708",
                "0102030405060708",
                "0102030405060708",
            ),
            (spec(fixed(2), B, Encoding::Hex, d, Pad::Left), "0aFf", "30614666", "0aFf"),
            (spec(var(ll, 99), B, Encoding::Hex, b, Pad::Left), "0aF", "3033306146", "0aF"),
            (spec(var(ll, 99), B, Encoding::Hex, d, Pad::Left), "0aFf", "303230614666", "0aFf"),
            (spec(fixed(9), X, Encoding::Bcd, d, Pad::Left), "D00000100", "4400000100", "D00000100"),
            (spec(fixed(4), X, Encoding::Bcd, d, Pad::Left), "C123", "430123", "C123"),
            (spec(fixed(4), X, Encoding::Bcd, d, Pad::RightF), "C123", "43123F", "C123"),
            (spec(var(binary1, 6), N, Encoding::Bcd, b, Pad::Left), "1234", "021234", "1234"),
            (spec(var(binary1, 6), N, Encoding::Bcd, b, Pad::Left), "123", "020123", "123"),
            (spec(var(binary1, 6), N, Encoding::Bcd, b, Pad::RightF), "123", "02123F", "123"),
            (spec(var(binary1, 6), Z, Encoding::Bcd, b, Pad::Right), "1=3", "021D30", "1D30"),
            (spec(fixed(2), N, Encoding::Bcd, b, Pad::Left), "123", "0123", "0123"),
        ];
        for (spec, text, wire, again) in table {
            let mut out = Vec::new();
            encode(spec, Value::Text(text), &mut out).expect(text);
            assert_eq!(digits::hex_text(&out), *wire, "{text}");
            let skip = if let Length::Variable { prefix, .. } = spec.length { prefix.width } else { 0 };
            let content = &out[usize::from(skip)..];
            let counted =
                if spec.count == d && spec.encoding != Encoding::Hex { again.len() } else { content.len() };
            let units = content::units(spec, content, counted);
            assert_eq!(decode(spec, content, units), *again);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_and_nothing_is_written() {
        let fixed = |content, encoding| spec(Length::Fixed(4), content, encoding, Count::Digits, Pad::Left);
        let table = [
            (fixed(Content::Numeric, Encoding::Bcd), "12345", ValueError::TooLong),
            (fixed(Content::Numeric, Encoding::Bcd), "12a4", ValueError::WrongCharacter),
            (fixed(Content::Numeric, Encoding::Ascii), "12a4", ValueError::WrongCharacter),
            (fixed(Content::Signed, Encoding::Ascii), "D12", ValueError::TooShort),
            (fixed(Content::Signed, Encoding::Ascii), "X123", ValueError::WrongCharacter),
            (fixed(Content::Signed, Encoding::Bcd), "X123", ValueError::WrongCharacter),
            (fixed(Content::Signed, Encoding::Bcd), "D12A", ValueError::WrongCharacter),
            (fixed(Content::Text, Encoding::Ebcdic), "\u{20ac}", ValueError::WrongCharacter),
            (fixed(Content::Binary, Encoding::Binary), "010203", ValueError::TooShort),
        ];
        for (spec, text, error) in table {
            let mut out = vec![7];
            assert_eq!(encode(&spec, Value::Text(text), &mut out), Err(error), "{text}");
            assert_eq!(out, [7]);
        }
    }
}
