//! Fields inside a field: with a bitmap of their own, by position, or as tags. The field itself stays byte for byte.

use crate::iso8583::content;
use crate::iso8583::spec::FieldSpec;
use crate::iso8583::spec::Length;

/// How the parts of a field stand in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A bitmap of so many bytes, then the parts that it names.
    Bitmap(u8),
    /// One after the other, each of a fixed number of characters (digits of binary content); the end may be missing.
    Positional,
    /// BER-TLV.
    Tags,
    /// Datasets of BER-TLV: id, two bytes of length, tags.
    Datasets,
}

/// One part of a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subfield {
    /// Its number, from 1.
    pub number: u8,
    /// Its name.
    pub name: Box<str>,
    /// How it stands on the wire.
    pub spec: FieldSpec,
}

/// How one field is divided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subfields {
    /// How the parts stand in the field.
    pub form: Form,
    /// The parts, by rising number.
    pub parts: Vec<Subfield>,
}

/// One part that was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Part<'s, 'a> {
    /// Its table row.
    pub subfield: &'s Subfield,
    /// Its content, without a length.
    pub content: &'a [u8],
    /// Its length as its table row counts.
    pub units: usize,
    /// Where it starts in the field's content.
    pub offset: usize,
}

impl Part<'_, '_> {
    /// The part as a number; `None` when it is not all digits.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        content::number(&self.subfield.spec, self.content, self.units)
    }

    /// Writes the part's characters into `buffer` and returns those written.
    #[must_use]
    pub fn text<'b>(&self, buffer: &'b mut [u8]) -> &'b [u8] {
        let length = content::characters(&self.subfield.spec, self.content, self.units, buffer);
        buffer.get(..length).unwrap_or_default()
    }
}

/// The parts cannot be read from this one on; the field stays as it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("subfield {number} at offset {offset} cannot be read")]
pub struct SubfieldError {
    /// The part; zero for the bitmap.
    pub number: u8,
    /// Where in the field's content.
    pub offset: usize,
}

/// The parts of a field with a bitmap, one after the other.
#[derive(Clone, Debug)]
pub struct Parts<'s, 'a> {
    table: &'s Subfields,
    content: &'a [u8],
    named: u64,
    at: usize,
    broken: bool,
}

impl Subfields {
    /// Reads the parts of a field with a bitmap.
    #[inline]
    #[must_use]
    pub fn parts<'s, 'a>(&'s self, content: &'a [u8]) -> Parts<'s, 'a> {
        let width = if let Form::Bitmap(width) = self.form { usize::from(width.min(8)) } else { 0 };
        let Some(bitmap) = content.get(..width) else {
            return Parts { table: self, content, named: 0, at: 0, broken: true };
        };
        let named = match bitmap.first_chunk::<8>() {
            Some(whole) => u64::from_be_bytes(*whole),
            // The first part in the highest bit.
            None => bitmap.iter().rev().fold(0, |named, byte| named >> 8 | u64::from(*byte) << 56),
        };
        Parts { table: self, content, named, at: width, broken: false }
    }

    /// One part of a field with a bitmap; `None` when it is absent or cannot be read.
    #[must_use]
    pub fn find<'s, 'a>(&'s self, content: &'a [u8], number: u8) -> Option<Part<'s, 'a>> {
        let mut parts = self.parts(content);
        for subfield in &self.parts {
            let wanted = bit_of(subfield.number);
            if parts.named & wanted == 0 {
                continue;
            }
            // A part without a row stands in front of it, so that nobody knows where this one starts.
            if subfield.number > number || parts.named > wanted | (wanted - 1) {
                return None;
            }
            let part = parts.read_as(subfield)?;
            if subfield.number == number {
                return Some(part);
            }
            parts.named &= !wanted;
        }
        None
    }
}

/// The bit of a part in its bitmap; none for a number that no bitmap has.
const fn bit_of(number: u8) -> u64 {
    if number >= 1 && number <= 64 { 1 << (64 - number) } else { 0 }
}

impl<'s, 'a> Iterator for Parts<'s, 'a> {
    type Item = Result<Part<'s, 'a>, SubfieldError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            // An empty field has no bitmap, and that is no mistake.
            let error = SubfieldError { number: 0, offset: self.at };
            return (!std::mem::take(&mut self.content).is_empty()).then_some(Err(error));
        }
        if self.named == 0 {
            if self.at < self.content.len() {
                let offset = self.at;
                self.at = self.content.len();
                return Some(Err(SubfieldError { number: 0, offset }));
            }
            return None;
        }
        let lead = self.named.leading_zeros();
        self.named &= !(1 << 63 >> lead);
        let number = lead as u8 + 1;
        let part = self.read(number);
        if part.is_none() {
            self.named = 0;
            let offset = std::mem::replace(&mut self.at, self.content.len());
            return Some(Err(SubfieldError { number, offset }));
        }
        part.map(Ok)
    }
}

impl<'s, 'a> Parts<'s, 'a> {
    fn read(&mut self, number: u8) -> Option<Part<'s, 'a>> {
        self.read_as(self.table.parts.iter().find(|part| part.number == number)?)
    }

    #[inline(always)]
    fn read_as(&mut self, subfield: &'s Subfield) -> Option<Part<'s, 'a>> {
        let offset = self.at;
        let mut at = self.at;
        let units = match subfield.spec.length {
            Length::Fixed(units) => usize::from(units),
            Length::Variable { prefix, max } => {
                let end = at + usize::from(prefix.width);
                let units = content::length_value(prefix, self.content.get(at..end)?)?;
                at = end;
                if units > usize::from(max) {
                    return None;
                }
                units
            }
        };
        let end = at.checked_add(subfield.spec.bytes(units))?;
        let content = self.content.get(at..end)?;
        self.at = end;
        Some(Part { subfield, content, units, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iso8583::digits::hex_bytes;
    use crate::iso8583::spec::Content;
    use crate::iso8583::spec::Count;
    use crate::iso8583::spec::Encoding;
    use crate::iso8583::spec::Pad;
    use crate::iso8583::spec::Prefix;

    fn part(number: u8, length: Length, encoding: Encoding) -> Subfield {
        let bcd = encoding == Encoding::Bcd;
        let spec = FieldSpec {
            length,
            content: if bcd { Content::Numeric } else { Content::Text },
            encoding,
            count: if bcd { Count::Digits } else { Count::Bytes },
            pad: Pad::Left,
            checked: true,
        };
        Subfield { number, name: "part".into(), spec }
    }

    #[test]
    fn parts_are_found_by_their_bitmap() {
        let prefix = Prefix { encoding: Encoding::Binary, width: 1 };
        let parts = vec![
            part(1, Length::Fixed(1), Encoding::Ebcdic),
            part(2, Length::Fixed(15), Encoding::Bcd),
            part(16, Length::Variable { prefix, max: 3 }, Encoding::Ascii),
        ];
        let table = Subfields { form: Form::Bitmap(2), parts };
        let read = |hex: &str| -> Vec<Result<(u8, usize), u8>> {
            let content = hex_bytes(hex.as_bytes()).expect("hex");
            let parts = table.parts(&content);
            parts.map(|p| p.map(|p| (p.subfield.number, p.units)).map_err(|error| error.number)).collect()
        };
        assert_eq!(read("C001E80123456789012345024142"), [Ok((1, 1)), Ok((2, 15)), Ok((16, 2))]);
        assert_eq!(read("0000"), []);
        assert_eq!(read(""), []);
        assert_eq!(read("C0"), [Err(0)]);
        assert_eq!(read("000001"), [Err(0)], "bytes are left");
        assert_eq!(read("A000E8"), [Ok((1, 1)), Err(3)], "no such part");
        assert_eq!(read("00010441424344"), [Err(16)], "too long");
        assert_eq!(read("4000012345"), [Err(2)], "cut off");
        let content = hex_bytes(b"C001E80123456789012345024142").expect("hex");
        let reference = table.find(&content, 2).and_then(|part| part.number());
        assert_eq!(reference, Some(123_456_789_012_345));
        assert!(table.find(&content, 3).is_none() && table.find(&content[..4], 2).is_none());
    }
}
