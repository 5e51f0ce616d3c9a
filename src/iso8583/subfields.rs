//! Fields inside a field: with a bitmap of their own, by position, or behind ids. The field itself stays byte for byte.

use crate::iso8583::content;
use crate::iso8583::digits;
use crate::iso8583::digits::ASCII_ZERO;
use crate::iso8583::digits::EBCDIC_ZERO;
use crate::iso8583::shapes;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::FieldSpec;
use crate::iso8583::spec::Length;
use crate::iso8583::spec::Prefix;
use crate::iso8583::spec::Row;
use crate::iso8583::spec::Shape;
use crate::iso8583::value;

/// How the parts of a field stand in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A bitmap of so many bytes, then the parts that it names.
    Bitmap(u8),
    /// One after the other, each of a fixed number of characters (digits of binary content); the end may be missing.
    Positional,
    /// The same positions again and again, to the end.
    Repeated,
    /// Each behind its id and its length, both in digits.
    Tagged(Tagging),
    /// BER-TLV.
    Tags,
    /// Datasets of BER-TLV: id, two bytes of length, tags.
    Datasets,
}

/// How ids and lengths of tagged elements are written (Mastercard DE 48: a lead of one character, then id and length
/// of two digits each).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tagging {
    /// Digits of an id, 1 to 4.
    pub id_digits: u8,
    /// Digits of a length, 1 to 4. It counts bytes.
    pub length_digits: u8,
    /// Characters in front of the first element. They are not there when the first one is a digit.
    pub lead: u8,
    /// The digits are ASCII or EBCDIC.
    pub encoding: Encoding,
}

/// One part of a field.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subfield {
    /// Its number, from 1; of a tagged element, its id.
    pub number: u16,
    /// Its name.
    pub name: Box<str>,
    /// How it stands on the wire. A tagged element says its own length.
    pub spec: FieldSpec,
    /// How it is divided itself.
    pub parts: Option<Subfields>,
    /// It is never shown.
    pub secret: bool,
    row: Row,
    /// Bytes on the wire, when its length is fixed and its content need not be asked how many digits it has.
    bytes: Option<u16>,
}

impl Subfield {
    /// A part, and how it is divided itself.
    #[must_use]
    pub fn new(number: u16, name: Box<str>, spec: FieldSpec, parts: Option<Subfields>, secret: bool) -> Self {
        let row = Row::of(&spec);
        let bytes = matches!(row.shape, Shape::Fixed | Shape::Wide).then_some(row.bytes);
        Self { number, name, spec, parts, secret, row, bytes }
    }
}

/// How one field is divided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subfields {
    /// How the parts stand in the field.
    pub form: Form,
    /// The parts, by rising number.
    pub parts: Vec<Subfield>,
    /// Ids of tagged elements that never go back to whom they came from.
    pub withheld: Vec<u16>,
    /// What a content without its bitmap consists of (Visa DE 62 in its older form): parts of fixed length, in order.
    pub without_bitmap: Vec<u16>,
    /// The lengths that such a content can have, a bit for each; the last one is for those from 63 on.
    lengths_without_bitmap: u64,
    /// Where the parts with low numbers stand in `parts`: no part has the last place.
    places: [u8; 65],
}

/// One part that was found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Part<'s, 'a> {
    /// Its table row.
    pub subfield: &'s Subfield,
    /// Its content, without a length.
    pub content: &'a [u8],
    /// Its length in digits, characters or bytes; of BCD always in digits.
    pub units: usize,
    /// Where it starts in the field's content.
    pub offset: usize,
}

impl Part<'_, '_> {
    /// The part as a number; `None` when it is not all digits.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        number_by_spec(&self.subfield.spec, self.content, self.units)
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
    /// The part; zero for the bitmap, and where an id should stand.
    pub number: u16,
    /// Where in the field's content.
    pub offset: usize,
    /// How long the part is, when what stands behind it says so: the parts that follow can be read.
    pub length: Option<usize>,
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
    /// A division with its parts, by rising number.
    #[must_use]
    pub fn new(form: Form, parts: Vec<Subfield>, withheld: Vec<u16>, without_bitmap: Vec<u16>) -> Self {
        let mut places = [u8::MAX; 65];
        for (part, place) in parts.iter().zip(0..u8::MAX) {
            if let Some(known) = places.get_mut(usize::from(part.number)) {
                *known = place;
            }
        }
        let (mut lengths_without_bitmap, mut end) = (0, 0);
        for part in without_bitmap.iter().filter_map(|number| parts.iter().find(|p| p.number == *number)) {
            end += part.spec.bytes(usize::from(part.spec.max()));
            lengths_without_bitmap |= 1 << end.min(63);
        }
        Self { form, parts, withheld, without_bitmap, lengths_without_bitmap, places }
    }

    /// Reads the parts of a field with a bitmap.
    #[inline]
    #[must_use]
    pub fn parts<'s, 'a>(&'s self, content: &'a [u8]) -> Parts<'s, 'a> {
        if self.lengths_without_bitmap >> content.len().min(63) & 1 == 1
            && let Some(named) = self.named_without_bitmap(content)
        {
            return Parts { table: self, content, named, at: 0, broken: false };
        }
        self.mapped(content)
    }

    /// The parts of a content that has no bitmap; `None` when it has one. The end may be missing.
    #[cold]
    fn named_without_bitmap(&self, content: &[u8]) -> Option<u64> {
        let (mut named, mut end) = (0, 0);
        for subfield in self.without_bitmap.iter().filter_map(|number| self.row(*number)) {
            end += subfield.spec.bytes(usize::from(subfield.spec.max()));
            named |= bit_of(subfield.number);
            if end == content.len() {
                return (!self.mapped(content).all(|part| part.is_ok())).then_some(named);
            }
        }
        None
    }

    #[inline]
    fn mapped<'s, 'a>(&'s self, content: &'a [u8]) -> Parts<'s, 'a> {
        let width = if let Form::Bitmap(width) = self.form { usize::from(width.min(8)) } else { 0 };
        match part_bitmap(content, width) {
            Some(named) => Parts { table: self, content, named, at: width, broken: false },
            None => Parts { table: self, content, named: 0, at: 0, broken: true },
        }
    }

    /// One part of a field with a bitmap; `None` when it is absent or cannot be read.
    #[inline(always)]
    #[must_use]
    pub fn find<'s, 'a>(&'s self, content: &'a [u8], number: u16) -> Option<Part<'s, 'a>> {
        let mut parts = self.parts(content);
        let wanted = bit_of(number);
        if parts.named & wanted == 0 {
            return None;
        }
        // Those that stand in front of it.
        let mut before = parts.named & !(wanted | (wanted - 1));
        while before != 0 {
            let lead = before.leading_zeros();
            before &= !(1 << 63 >> lead);
            if parts.read(lead as u16 + 1).is_none() {
                return self.find_behind_unknown(content, number);
            }
        }
        parts.read(number)
    }

    #[cold]
    fn find_behind_unknown<'s, 'a>(&'s self, content: &'a [u8], number: u16) -> Option<Part<'s, 'a>> {
        self.parts(content).flatten().find(|part| part.subfield.number == number)
    }

    /// The number in one part of a field with a bitmap; `None` when it is absent, cannot be read, or is no number.
    #[must_use]
    pub fn number(&self, content: &[u8], number: u16) -> Option<u64> {
        let Part { subfield, content, units, .. } = self.find(content, number)?;
        shapes::short_number(&subfield.row, content)
            .or_else(|| number_by_spec(&subfield.spec, content, units))
    }

    /// The row of a part.
    #[must_use]
    pub fn row(&self, number: u16) -> Option<&Subfield> {
        match self.places.get(usize::from(number)) {
            Some(place) => self.parts.get(usize::from(*place)),
            None => self.parts.iter().find(|part| part.number == number),
        }
    }

    /// The value of a tagged element: by its row, else as text.
    #[must_use]
    pub fn value(&self, element: &Element<'_>) -> String {
        match (self.row(element.id), self.form) {
            (Some(Subfield { spec, .. }), _) => {
                let bytes = element.content.len();
                let counted = if spec.encoding == Encoding::Bcd { bytes * 2 } else { bytes };
                value::decode(spec, element.content, content::units(spec, element.content, counted))
            }
            (None, Form::Tagged(tagging)) => tagging.characters(element.content),
            _ => String::new(),
        }
    }

    fn goes_back(&self, element: &Element<'_>, added: &[Added]) -> bool {
        !self.withheld.contains(&element.id) && added.iter().all(|added| added.id != element.id)
    }

    /// Whether anything of a content may go back to whom it came from, with `added` in the order of their ids.
    #[must_use]
    pub fn has_open(&self, content: &[u8], added: &[Added]) -> bool {
        let Some(tagging) = self.tagging() else { return false };
        !added.is_empty()
            || !tagging.lead(content).is_empty()
            || tagging.elements(content).flatten().any(|element| self.goes_back(&element, added))
    }

    /// Appends what may go back: the lead, and the elements that are not withheld as they came, with `added` among
    /// them. What stands behind an element that cannot be read is left out, since nobody knows what it is.
    pub fn append_open(&self, content: &[u8], added: &[Added], out: &mut Vec<u8>) {
        let Some(tagging) = self.tagging() else { return };
        out.extend_from_slice(tagging.lead(content));
        let mut waiting = added;
        let put = |element: &Added, out: &mut Vec<u8>| {
            tagging.push_head(element.id, element.content().len(), out);
            out.extend_from_slice(element.content());
        };
        for element in tagging.elements(content).flatten() {
            while let Some((next, rest)) = waiting.split_first()
                && next.id <= element.id
            {
                put(next, out);
                waiting = rest;
            }
            if self.goes_back(&element, added) {
                out.extend_from_slice(element.raw);
            }
        }
        waiting.iter().for_each(|next| put(next, out));
    }

    /// How the elements are tagged, when they are.
    #[inline]
    #[must_use]
    pub const fn tagging(&self) -> Option<Tagging> {
        if let Form::Tagged(tagging) = self.form { Some(tagging) } else { None }
    }
}

/// An element that an answer adds: its id and one or two bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Added {
    /// Its id.
    pub id: u16,
    bytes: [u8; 2],
    length: u8,
}

impl Added {
    /// With one byte.
    #[must_use]
    pub const fn one(id: u16, byte: u8) -> Self {
        Self { id, bytes: [byte, 0], length: 1 }
    }

    /// With two.
    #[must_use]
    pub const fn two(id: u16, bytes: [u8; 2]) -> Self {
        Self { id, bytes, length: 2 }
    }

    fn content(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// One tagged element, whether the table has a row for it or not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// Its id.
    pub id: u16,
    /// Its content.
    pub content: &'a [u8],
    /// The whole of it, with id and length.
    pub raw: &'a [u8],
    /// Where it starts in the field's content.
    pub offset: usize,
}

/// The tagged elements of a field, one after the other.
#[derive(Clone, Debug)]
pub struct Elements<'a> {
    tagging: Tagging,
    content: &'a [u8],
    at: usize,
}

impl Tagging {
    const fn zero(self) -> u8 {
        if matches!(self.encoding, Encoding::Ebcdic) { EBCDIC_ZERO } else { ASCII_ZERO }
    }

    /// The characters in front of the first element; none when the first one is a digit.
    #[inline]
    #[must_use]
    pub fn lead(self, content: &[u8]) -> &[u8] {
        match content.first() {
            Some(first) if self.lead > 0 && first.wrapping_sub(self.zero()) > 9 => {
                content.get(..usize::from(self.lead)).unwrap_or(content)
            }
            _ => &[],
        }
    }

    /// Bytes as text in the encoding of ids and lengths.
    #[must_use]
    pub fn characters(self, content: &[u8]) -> String {
        let latin = |byte: &u8| match self.encoding {
            Encoding::Ebcdic => digits::from_ebcdic(*byte),
            _ => *byte,
        };
        content.iter().map(|byte| char::from(latin(byte))).collect()
    }

    /// The content of the first element with this id; `None` when there is none before they cannot be read.
    #[must_use]
    pub fn find(self, content: &[u8], id: u16) -> Option<&[u8]> {
        let mut elements = self.elements(content).map_while(Result::ok);
        elements.find(|element| element.id == id).map(|element| element.content)
    }

    /// Reads the elements.
    #[inline]
    #[must_use]
    pub fn elements(self, content: &[u8]) -> Elements<'_> {
        Elements { tagging: self, content, at: self.lead(content).len() }
    }

    /// Appends the head of an element whose content of so many bytes follows.
    pub fn push_head(self, id: u16, length: usize, out: &mut Vec<u8>) {
        for (value, digits) in [(usize::from(id), self.id_digits), (length, self.length_digits)] {
            value::push_length(Prefix { encoding: self.encoding, width: digits }, value, out);
        }
    }
}

impl<'a> Elements<'a> {
    #[inline(always)]
    fn digits(&self, from: usize, count: u8) -> Option<usize> {
        let zero = self.tagging.zero();
        let bytes = self.content.get(from..from + usize::from(count))?;
        if let [tens, ones] = *bytes {
            let (tens, ones) = (tens.wrapping_sub(zero), ones.wrapping_sub(zero));
            return (tens < 10 && ones < 10).then_some(usize::from(tens) * 10 + usize::from(ones));
        }
        bytes.iter().try_fold(0, |value, byte| {
            let digit = byte.wrapping_sub(zero);
            (digit < 10).then_some(value * 10 + usize::from(digit))
        })
    }

    /// Whether all of the content was read.
    #[inline(always)]
    pub(crate) const fn is_at_end(&self) -> bool {
        self.at >= self.content.len()
    }

    /// The next element; `None` when there is none, or it cannot be read.
    #[inline(always)]
    pub(crate) fn read(&mut self) -> Option<Element<'a>> {
        let Tagging { id_digits, length_digits, .. } = self.tagging;
        let offset = self.at;
        let length_at = offset + usize::from(id_digits);
        let content_at = length_at + usize::from(length_digits);
        let id = self.digits(offset, id_digits)?;
        let end = content_at + self.digits(length_at, length_digits)?;
        let (raw, content) = (self.content.get(offset..end)?, self.content.get(content_at..end)?);
        self.at = end;
        Some(Element { id: id as u16, content, raw, offset })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Result<Element<'a>, SubfieldError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.is_at_end() {
            return None;
        }
        let offset = self.at;
        match self.read() {
            Some(element) => Some(Ok(element)),
            None => {
                let number = self.digits(offset, self.tagging.id_digits).unwrap_or(0) as u16;
                self.at = self.content.len();
                Some(Err(SubfieldError { number, offset, length: None }))
            }
        }
    }
}

#[inline(never)]
fn number_by_spec(spec: &FieldSpec, content: &[u8], units: usize) -> Option<u64> {
    // Other than a field's, a part's content was not checked when it was read.
    content::check(spec, content, units).ok()?;
    content::number(spec, content, units)
}

/// The bitmap of so many bytes, 8 at most, that a content starts with, the first part in the highest bit.
#[inline(always)]
pub(crate) fn part_bitmap(content: &[u8], width: usize) -> Option<u64> {
    let bitmap = content.get(..width)?;
    Some(match bitmap.first_chunk::<8>() {
        Some(whole) => u64::from_be_bytes(*whole),
        None => bitmap.iter().rev().fold(0, |named, byte| named >> 8 | u64::from(*byte) << 56),
    })
}

/// The bit of a part in its bitmap; none for a number that no bitmap has.
const fn bit_of(number: u16) -> u64 {
    if number >= 1 && number <= 64 { 1 << (64 - number) } else { 0 }
}

impl<'s, 'a> Iterator for Parts<'s, 'a> {
    type Item = Result<Part<'s, 'a>, SubfieldError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            // An empty field has no bitmap, and that is no mistake.
            let error = SubfieldError { number: 0, offset: self.at, length: None };
            return (!std::mem::take(&mut self.content).is_empty()).then_some(Err(error));
        }
        if self.named == 0 {
            if self.at < self.content.len() {
                let offset = self.at;
                self.at = self.content.len();
                return Some(Err(SubfieldError { number: 0, offset, length: None }));
            }
            return None;
        }
        let lead = self.named.leading_zeros();
        self.named &= !(1 << 63 >> lead);
        let number = lead as u16 + 1;
        let part = self.read(number);
        if part.is_none() {
            let length = self.unknown_length(number);
            if length.is_none() {
                self.named = 0;
            }
            let end = length.map_or(self.content.len(), |length| self.at + length);
            let offset = std::mem::replace(&mut self.at, end);
            return Some(Err(SubfieldError { number, offset, length }));
        }
        part.map(Ok)
    }
}

impl<'s, 'a> Parts<'s, 'a> {
    /// How long a part without a row is: what those behind it leave, when there are some and all are of fixed length.
    #[cold]
    fn unknown_length(&self, number: u16) -> Option<usize> {
        let (mut behind, mut rest) = (0, self.named);
        if rest == 0 || self.table.row(number).is_some() {
            return None;
        }
        while rest != 0 {
            let lead = rest.leading_zeros();
            rest &= !(1 << 63 >> lead);
            let spec = &self.table.row(lead as u16 + 1)?.spec;
            let Length::Fixed(units) = spec.length else { return None };
            behind += spec.bytes(usize::from(units));
        }
        self.content.len().checked_sub(self.at + behind)
    }

    #[inline(always)]
    fn read(&mut self, number: u16) -> Option<Part<'s, 'a>> {
        let subfield = self.table.row(number)?;
        let offset = self.at;
        if let Some(bytes) = subfield.bytes {
            let end = offset + usize::from(bytes);
            let content = self.content.get(offset..end)?;
            self.at = end;
            return Some(Part { subfield, content, units: usize::from(subfield.row.units), offset });
        }
        let (at, units) = match subfield.spec.length {
            Length::Fixed(units) => (offset, usize::from(units)),
            Length::Variable { prefix, max } => self.length(prefix, max)?,
        };
        let end = at.checked_add(subfield.spec.bytes(units))?;
        let content = self.content.get(at..end)?;
        let units = content::units(&subfield.spec, content, units);
        self.at = end;
        Some(Part { subfield, content, units, offset })
    }

    /// Where the content of a part starts that has its length in front, and how long it is.
    #[inline(never)]
    fn length(&self, prefix: Prefix, max: u16) -> Option<(usize, usize)> {
        let end = self.at + usize::from(prefix.width);
        let units = content::length_value(prefix, self.content.get(self.at..end)?)?;
        (units <= usize::from(max)).then_some((end, units))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iso8583::digits::hex_bytes;
    use crate::iso8583::spec::Content;
    use crate::iso8583::spec::Count;
    use crate::iso8583::spec::Pad;

    fn part(number: u16, length: Length, encoding: Encoding) -> Subfield {
        let bcd = encoding == Encoding::Bcd;
        let spec = FieldSpec {
            length,
            content: if bcd { Content::Numeric } else { Content::Text },
            encoding,
            count: if bcd { Count::Digits } else { Count::Bytes },
            pad: Pad::Left,
            checked: true,
        };
        Subfield::new(number, "part".into(), spec, None, false)
    }

    #[test]
    fn parts_are_found_by_their_bitmap() {
        let prefix = Prefix { encoding: Encoding::Binary, width: 1 };
        let parts = vec![
            part(1, Length::Fixed(1), Encoding::Ebcdic),
            part(2, Length::Fixed(15), Encoding::Bcd),
            part(16, Length::Variable { prefix, max: 3 }, Encoding::Ascii),
        ];
        let table = Subfields::new(Form::Bitmap(2), parts, Vec::new(), Vec::new());
        let read = |hex: &str| -> Vec<Result<(u16, usize), u16>> {
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
        assert_eq!(
            read("E801E80123456789012345AABB00"),
            [Ok((1, 1)), Ok((2, 15)), Err(3)],
            "a variable part follows"
        );
        assert_eq!(read("1000AABB"), [Err(4)], "no part behind it");
        assert_eq!(read("00010441424344"), [Err(16)], "too long");
        assert_eq!(read("4000012345"), [Err(2)], "cut off");
        // A part without a row, and one behind it: what is left is the one without.
        let parts =
            vec![part(2, Length::Fixed(3), Encoding::Bcd), part(4, Length::Fixed(1), Encoding::Ebcdic)];
        let gap = Subfields::new(Form::Bitmap(1), parts, Vec::new(), vec![2, 4]);
        type Found = Result<(u16, usize), (u16, Option<usize>)>;
        let gaps = |hex: &str| -> Vec<Found> {
            let content = hex_bytes(hex.as_bytes()).expect("hex");
            let parts = gap.parts(&content);
            parts
                .map(|p| p.map(|p| (p.subfield.number, p.offset)).map_err(|e| (e.number, e.length)))
                .collect()
        };
        assert_eq!(gaps("700123AABBCCC1"), [Ok((2, 1)), Err((3, Some(3))), Ok((4, 6))]);
        assert_eq!(gaps("700123C1"), [Ok((2, 1)), Err((3, Some(0))), Ok((4, 3))]);
        assert_eq!(gaps("70"), [Err((2, None))]);
        assert_eq!(gaps("F80123C1"), [Err((1, None))], "two without rows");
        let content = hex_bytes(b"700123AABBCCC1").expect("hex");
        assert_eq!(gap.find(&content, 4).map(|part| part.content), Some([0xc1].as_slice()));
        assert!(gap.find(&content, 3).is_none());
        // Without a bitmap: as long as its parts, and no right content with one.
        assert_eq!(gaps("0123C1"), [Ok((2, 0)), Ok((4, 2))]);
        assert_eq!(gaps("0123"), [Ok((2, 0))]);
        assert_eq!(gaps("400123"), [Ok((2, 1))]);
        assert_eq!(gap.find(&[0x01, 0x23, 0xc1], 2).and_then(|part| part.number()), Some(123));
        let content = hex_bytes(b"C001E80123456789012345024142").expect("hex");
        let reference = table.find(&content, 2).and_then(|part| part.number());
        assert_eq!(reference, Some(123_456_789_012_345));
        assert!(table.find(&content, 3).is_none() && table.find(&content[..4], 2).is_none());
        // A nibble that is no digit, and a spare one that is not zero.
        for hex in ["40000123456789A12345", "40001123456789012345"] {
            let content = hex_bytes(hex.as_bytes()).expect("hex");
            assert_eq!(table.find(&content, 2).and_then(|part| part.number()), None, "{hex}");
        }
    }

    #[test]
    fn elements_are_found_behind_their_ids() {
        let tagging = |id_digits, length_digits, lead| Tagging {
            id_digits,
            length_digits,
            lead,
            encoding: Encoding::Ascii,
        };
        let two = tagging(2, 2, 1);
        type Read<'t> = Vec<Result<(u16, &'t str), (u16, usize)>>;
        let table: &[(Tagging, &str, &str, Read<'_>)] = &[
            (two, "R6105100009203123", "R", vec![Ok((61, "10000")), Ok((92, "123"))]),
            (two, "6105100009203123", "", vec![Ok((61, "10000")), Ok((92, "123"))]),
            (two, "R", "R", vec![]),
            (two, "", "", vec![]),
            (two, "R6300", "R", vec![Ok((63, ""))]),
            (two, "R3801Z61051", "R", vec![Ok((38, "Z")), Err((61, 6))]),
            (two, "R38x1Z", "R", vec![Err((38, 1))]),
            (two, "RR801Z", "R", vec![Err((0, 1))]),
            (tagging(3, 3, 0), "0010042102", "", vec![Ok((1, "2102"))]),
            (tagging(2, 3, 0), "0100401AB99000", "", vec![Ok((1, "01AB")), Ok((99, ""))]),
            (tagging(4, 3, 0), "0023003CT6", "", vec![Ok((23, "CT6"))]),
        ];
        for (tagging, text, lead, expected) in table {
            let ebcdic = Tagging { encoding: Encoding::Ebcdic, ..*tagging };
            let wire: Vec<u8> = text.bytes().map(digits::to_ebcdic).collect();
            for (tagging, content) in [(*tagging, text.as_bytes()), (ebcdic, wire.as_slice())] {
                let read: Vec<_> = tagging
                    .elements(content)
                    .map(|element| match element {
                        Ok(element) => {
                            assert_eq!(&content[element.offset..][..element.raw.len()], element.raw);
                            let place = element.offset + element.raw.len() - element.content.len();
                            Ok((element.id, &text[place..place + element.content.len()]))
                        }
                        Err(error) => Err((error.number, error.offset)),
                    })
                    .collect();
                assert_eq!(read, *expected, "{text}");
                assert_eq!(tagging.lead(content).len(), lead.len(), "{text}");
                let mut head = Vec::new();
                tagging.push_head(7, 5, &mut head);
                assert_eq!(head.len(), usize::from(tagging.id_digits + tagging.length_digits));
            }
        }
    }

    proptest::proptest! {
        /// What is found without a look at the parts in front of it is what is found by reading them all.
        #[test]
        fn a_part_is_found_where_it_is_read(named: u8, rest in proptest::collection::vec(0..5_u8, 0..12)) {
            let prefix = Prefix { encoding: Encoding::Binary, width: 1 };
            let fixed = |number, units| part(number, Length::Fixed(units), Encoding::Bcd);
            let variable = part(5, Length::Variable { prefix, max: 3 }, Encoding::Ascii);
            // None has the number 3.
            let parts = vec![fixed(1, 1), fixed(2, 3), fixed(4, 2), variable, fixed(6, 4), fixed(8, 1)];
            let table = Subfields::new(Form::Bitmap(1), parts, Vec::new(), vec![1, 2]);
            let content = [&[named], rest.as_slice()].concat();
            for number in 0..=9 {
                let read = table.parts(&content).flatten().find(|part| part.subfield.number == number);
                assert!(table.find(&content, number) == read, "{number} of {content:?}");
            }
        }

        /// Whatever came, nothing that is withheld goes back, and what goes back can be read to its end.
        #[test]
        fn withheld_elements_never_go_back(
            text in "[RT]?(1[01]|61|9[0-9]|[0-9x]{2})(0[0-4]|[0-9x]{2})[0-9A-Z]{0,4}(3801Z|9203123|[0-9A-Z]{0,9}){0,4}",
            added in proptest::sample::subsequence(
                vec![Added::one(83, b'U'), Added::two(84, *b"21"), Added::one(87, b'P')],
                0..=3,
            ),
        ) {
            let encoding = Encoding::Ascii;
            let tagging = Tagging { id_digits: 2, length_digits: 2, lead: 1, encoding };
            let withheld = vec![10, 11, 87, 92];
            let table = Subfields::new(Form::Tagged(tagging), Vec::new(), withheld, Vec::new());
            let mut out = Vec::new();
            table.append_open(text.as_bytes(), &added, &mut out);
            let mut results = 0;
            for element in tagging.elements(&out) {
                let element = element.expect("what is written can be read");
                let ours =
                    added.iter().any(|added| element.id == added.id && element.content == added.content());
                assert!(ours || !table.withheld.contains(&element.id), "{} of {text}", element.id);
                results += usize::from(ours);
            }
            assert_eq!(results, added.len(), "{text}");
            assert_eq!(table.has_open(text.as_bytes(), &added), !out.is_empty(), "{text}");
        }
    }
}
