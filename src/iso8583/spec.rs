//! How each data element stands on the wire.

use crate::iso8583::check::Check;
use crate::iso8583::check::first_bytes;
use crate::iso8583::digits::ASCII_ZERO;
use crate::iso8583::digits::EBCDIC_ZERO;
use crate::iso8583::runs::Runs;

/// The highest data element of three bitmaps.
pub const HIGHEST_FIELD: u8 = 192;

/// How characters or digits become bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Encoding {
    /// One byte a character.
    Ascii,
    /// One byte a character, code page 500.
    Ebcdic,
    /// Two digits a byte.
    Bcd,
    /// Bytes as they are; as a length, a big-endian number.
    Binary,
    /// Two ASCII hex characters a byte.
    Hex,
}

impl Encoding {
    /// Every encoding with its name in dialect files.
    pub const ALL: &[(&str, Self)] = &[
        ("ascii", Self::Ascii),
        ("ebcdic", Self::Ebcdic),
        ("bcd", Self::Bcd),
        ("binary", Self::Binary),
        ("hex", Self::Hex),
    ];

    /// The byte of the digit zero where characters have a byte each, ASCII or EBCDIC; else 0.
    pub(crate) const fn zero(self) -> u8 {
        match self {
            Self::Ascii => ASCII_ZERO,
            Self::Ebcdic => EBCDIC_ZERO,
            _ => 0,
        }
    }
}

/// What a field may contain.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Content {
    /// `n`: decimal digits.
    Numeric,
    /// `a`, `an`, `ans`: characters, not checked.
    Text,
    /// `b`: bytes.
    Binary,
    /// `z`: track data: digits and the separator, `=` or D.
    Track,
    /// `x+n`: C or D, then digits. In BCD the sign is a character of ASCII, and the digits behind it are packed.
    Signed,
}

/// What a length counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Count {
    /// Digits or characters; of hex, the bytes that its pairs stand for.
    Digits,
    /// Bytes on the wire; of hex, its characters.
    Bytes,
}

/// Where the spare nibble of an odd number of BCD digits stands, and what is in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Pad {
    /// A zero before the digits.
    Left,
    /// A zero after them.
    Right,
    /// An F after them.
    RightF,
}

/// The length in front of a variable field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Prefix {
    /// ASCII or EBCDIC digits, BCD, or binary.
    pub encoding: Encoding,
    /// Bytes on the wire, 1 to 4.
    pub width: u8,
}

impl Prefix {
    /// The largest length that it can say.
    #[must_use]
    pub const fn largest(self) -> u32 {
        let width = self.width as u32;
        match self.encoding {
            Encoding::Ascii | Encoding::Ebcdic => 10_u32.pow(width) - 1,
            Encoding::Bcd => 10_u32.pow(2 * width) - 1,
            Encoding::Binary | Encoding::Hex => {
                if width >= 4 {
                    u32::MAX
                } else {
                    (1 << (8 * width)) - 1
                }
            }
        }
    }
}

/// How long a field is, in what [`Count`] says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Length {
    /// Always this long.
    Fixed(u16),
    /// A length, then so much content, at most `max`.
    Variable {
        /// How the length is written.
        prefix: Prefix,
        /// The longest that is accepted.
        max: u16,
    },
}

/// How one data element stands on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FieldSpec {
    /// Its length.
    pub length: Length,
    /// What it may contain.
    pub content: Content,
    /// How that becomes bytes.
    pub encoding: Encoding,
    /// What its length counts.
    pub count: Count,
    /// Where a spare nibble stands.
    pub pad: Pad,
    /// Whether the content is checked when a message is read. DE 90 is never a format error.
    pub checked: bool,
}

impl FieldSpec {
    /// How many bytes `units` of content take.
    #[inline]
    #[must_use]
    pub const fn bytes(&self, units: usize) -> usize {
        match (self.encoding, self.count) {
            // The sign is a character.
            (Encoding::Bcd, _) if matches!(self.content, Content::Signed) => {
                if units == 0 {
                    0
                } else {
                    1 + (units - 1).div_ceil(2)
                }
            }
            (Encoding::Bcd, Count::Digits) => units.div_ceil(2),
            (Encoding::Hex, Count::Digits) => units * 2,
            _ => units,
        }
    }

    /// The most units that it may have.
    #[must_use]
    pub const fn max(&self) -> u16 {
        match self.length {
            Length::Fixed(units) => units,
            Length::Variable { max, .. } => max,
        }
    }
}

/// Where a field ends: one of the few ways in which nearly all fields say it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Shape {
    /// Its length is fixed, and its first eight bytes tell whether it is right.
    Fixed,
    /// Its length is fixed: 9 to 16 digits of one byte each.
    Wide,
    /// A length of one binary byte stands in front.
    Counted,
    /// A length of two digits of one byte each.
    TwoDigits,
    /// A length of three digits of one byte each.
    ThreeDigits,
    /// Any other way, and no field at all: the table row says.
    Other,
}

/// What is in a field that has one of these shapes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Inside {
    /// Whatever the bytes are.
    Anything,
    /// Digits of one byte each.
    Zoned,
    /// Digits and separators of one byte each.
    ZonedTrack,
    /// BCD digits, the spare nibble in front.
    Bcd,
    /// BCD digits and separators, the spare nibble in front.
    BcdTrack,
}

/// A table row in short: what reading a field of a frequent shape needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Row {
    /// Where it ends.
    pub(crate) shape: Shape,
    /// What is in it.
    pub(crate) inside: Inside,
    /// The byte of the digit zero, when its characters have a byte each, ASCII or EBCDIC.
    pub(crate) zero: u8,
    /// The same of its length.
    pub(crate) prefix_zero: u8,
    /// Its length, or the longest that is accepted.
    pub(crate) units: u16,
    /// Bytes on the wire, when it is fixed.
    pub(crate) bytes: u16,
    /// `units` in the highest sixteen bits and `bytes` in those below.
    pub(crate) span: u64,
    /// What its first bytes must be.
    pub(crate) check: Check,
    /// Of the eight bytes that end with it, the last one highest, the bits of its digits, when its length is fixed; of
    /// a wide one, of the eight bytes in front of its last eight. Zero for all others.
    pub(crate) digits: u64,
}

impl Row {
    const OTHER: Self = Self {
        shape: Shape::Other,
        inside: Inside::Anything,
        zero: 0,
        prefix_zero: 0,
        units: 0,
        bytes: 0,
        span: 0,
        check: Check::NONE,
        digits: 0,
    };

    pub(crate) fn of(spec: &FieldSpec) -> Self {
        let Some(inside) = Inside::of(spec) else { return Self::OTHER };
        let (units, zero) = (spec.max(), spec.encoding.zero());
        let bytes = spec.bytes(usize::from(units)).min(usize::from(u16::MAX)) as u16;
        let (shape, prefix_zero) = match spec.length {
            Length::Fixed(_) => (Self::fixed(inside, units), 0),
            Length::Variable { prefix, .. } => (Self::variable(prefix), prefix.encoding.zero()),
        };
        let check = match inside {
            Inside::Bcd => Check::bcd(units),
            Inside::Zoned => Check::zoned(units, zero),
            _ => Check::NONE,
        };
        let span = u64::from(units) << 48 | u64::from(bytes) << 32;
        let digits = match (shape, inside) {
            (Shape::Fixed, Inside::Bcd) => first_bytes(bytes, 0xff).swap_bytes(),
            (Shape::Fixed, Inside::Zoned) => first_bytes(bytes, 0x0f).swap_bytes(),
            (Shape::Wide, _) => first_bytes(bytes - 8, 0x0f).swap_bytes(),
            _ => 0,
        };
        Self { shape, inside, zero, prefix_zero, units, bytes, span, check, digits }
    }

    fn fixed(inside: Inside, units: u16) -> Shape {
        match (inside, units) {
            (Inside::Anything, _) | (Inside::Bcd, 1..=16) | (Inside::Zoned, 1..=8) => Shape::Fixed,
            (Inside::Zoned, 9..=16) => Shape::Wide,
            _ => Shape::Other,
        }
    }

    fn variable(prefix: Prefix) -> Shape {
        match (prefix.encoding, prefix.width) {
            (Encoding::Binary, 1) => Shape::Counted,
            (Encoding::Ascii | Encoding::Ebcdic, 2) => Shape::TwoDigits,
            (Encoding::Ascii | Encoding::Ebcdic, 3) => Shape::ThreeDigits,
            _ => Shape::Other,
        }
    }
}

impl Inside {
    /// `None` for what is read by its table row only.
    fn of(spec: &FieldSpec) -> Option<Self> {
        // Its content says how many digits it has.
        if spec.encoding == Encoding::Bcd && spec.count == Count::Bytes {
            return None;
        }
        let bcd = spec.encoding == Encoding::Bcd && spec.pad == Pad::Left;
        let zoned = matches!(spec.encoding, Encoding::Ascii | Encoding::Ebcdic);
        let plain = matches!(spec.content, Content::Text | Content::Binary) && spec.encoding != Encoding::Hex;
        match spec.content {
            _ if plain || !spec.checked => {
                let fixed = matches!(spec.length, Length::Fixed(_));
                (fixed || spec.bytes(2) == 2).then_some(Self::Anything)
            }
            Content::Numeric if bcd => Some(Self::Bcd),
            Content::Numeric if zoned => Some(Self::Zoned),
            Content::Track if bcd => Some(Self::BcdTrack),
            Content::Track if zoned => Some(Self::ZonedTrack),
            _ => None,
        }
    }
}

/// Where a field stands in tables that begin with field 1, as bitmaps do.
#[inline(always)]
pub(crate) const fn place(field: u8) -> usize {
    field.wrapping_sub(1) as usize
}

/// A dialect's whole field table.
#[derive(Clone, Debug)]
pub struct Layout {
    mti: Encoding,
    bitmap: Encoding,
    unannounced_second: bool,
    fields: Box<[Option<FieldSpec>; HIGHEST_FIELD as usize + 1]>,
    /// By their places. One for every number that a byte can hold, so that no look at it has to be checked.
    rows: Box<[Row; 256]>,
    runs: Runs,
}

impl Layout {
    /// A table without fields. The MTI is ASCII, EBCDIC or BCD; the bitmap binary or hex.
    #[must_use]
    pub fn new(mti: Encoding, bitmap: Encoding) -> Self {
        let fields = Box::new([None; HIGHEST_FIELD as usize + 1]);
        Self {
            mti,
            bitmap,
            unannounced_second: false,
            fields,
            rows: Box::new([Row::OTHER; 256]),
            runs: Runs::new(mti),
        }
    }

    /// Accepts a second bitmap that the first one's bit 1 does not announce. Some hosts always send two.
    #[must_use]
    pub fn with_unannounced_second(mut self, accepted: bool) -> Self {
        self.unannounced_second = accepted;
        self
    }

    /// Whether a second bitmap may come unannounced.
    #[must_use]
    pub const fn unannounced_second(&self) -> bool {
        self.unannounced_second
    }

    /// Adds a field, 2 to 192 without 65, which says that a third bitmap follows. Others are not taken.
    pub fn define(&mut self, field: u8, spec: FieldSpec) {
        if field >= 2
            && field != 65
            && let Some(slot) = self.fields.get_mut(usize::from(field))
        {
            *slot = Some(spec);
            let row = Row::of(&spec);
            self.runs.define(field, &row);
            self.rows[place(field)] = row;
        }
    }

    /// The field's table row.
    #[inline(always)]
    #[must_use]
    pub fn field(&self, field: u8) -> Option<&FieldSpec> {
        self.fields.get(usize::from(field))?.as_ref()
    }

    /// The table rows in short, by the field's place.
    #[inline(always)]
    pub(crate) const fn rows(&self) -> &[Row; 256] {
        &self.rows
    }

    /// Which fields are read together.
    #[inline(always)]
    pub(crate) const fn runs(&self) -> &Runs {
        &self.runs
    }

    /// Every field of the table in order.
    pub fn fields(&self) -> impl Iterator<Item = (u8, &FieldSpec)> {
        self.fields.iter().zip(0_u8..).filter_map(|(spec, field)| Some((field, spec.as_ref()?)))
    }

    /// How the MTI is written.
    #[must_use]
    pub const fn mti(&self) -> Encoding {
        self.mti
    }

    /// How the bitmaps are written.
    #[must_use]
    pub const fn bitmap(&self) -> Encoding {
        self.bitmap
    }
}

/// The bitmaps of a message: how many, and whether the second is there unannounced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bitmaps {
    /// 1 to 3.
    pub count: u8,
    /// The second is there and bit 1 does not announce it.
    pub unannounced_second: bool,
    /// Hex digits are written a to f.
    pub lower_case: bool,
}

impl Bitmaps {
    /// As many as the fields need.
    pub const AS_NEEDED: Self = Self { count: 1, unannounced_second: false, lower_case: false };
}

/// A set of data elements: one word for each bitmap, the first field in the lowest bit, since the lowest bit that is
/// set is found faster than the highest.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct FieldSet(pub(crate) [u64; 3]);

impl FieldSet {
    /// No field.
    pub const EMPTY: Self = Self([0; 3]);

    /// The set of these fields.
    #[must_use]
    pub const fn of(fields: &[u8]) -> Self {
        let (mut set, mut at) = (Self::EMPTY, 0);
        while at < fields.len() {
            set.insert(fields[at]);
            at += 1;
        }
        set
    }

    /// Adds a field, 1 to 192.
    #[inline]
    pub const fn insert(&mut self, field: u8) {
        if field >= 1 && field <= HIGHEST_FIELD {
            self.0[(field as usize - 1) / 64] |= 1 << ((field - 1) % 64);
        }
    }

    /// Takes a field out.
    #[inline]
    pub const fn remove(&mut self, field: u8) {
        if field >= 1 && field <= HIGHEST_FIELD {
            self.0[(field as usize - 1) / 64] &= !(1 << ((field - 1) % 64));
        }
    }

    /// Takes out a field, 1 to 192, and all after it.
    pub(crate) const fn keep_below(&mut self, field: u8) {
        let (word, bit) = ((field as usize - 1) / 64, (field - 1) % 64);
        self.0[word] &= !(u64::MAX << bit);
        let mut later = word + 1;
        while later < self.0.len() {
            self.0[later] = 0;
            later += 1;
        }
    }

    /// The fields of one bitmap, from 0; none from 3 on.
    #[inline(always)]
    pub(crate) fn word(&self, bitmap: usize) -> u64 {
        self.0.get(bitmap).copied().unwrap_or(0)
    }

    /// Whether a field is in the set.
    #[inline]
    #[must_use]
    pub const fn has(&self, field: u8) -> bool {
        field >= 1
            && field <= HIGHEST_FIELD
            && self.0[(field as usize - 1) / 64] >> ((field - 1) % 64) & 1 == 1
    }

    /// What both have.
    #[inline]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self([self.0[0] & other.0[0], self.0[1] & other.0[1], self.0[2] & other.0[2]])
    }

    /// What either has.
    #[inline]
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self([self.0[0] | other.0[0], self.0[1] | other.0[1], self.0[2] | other.0[2]])
    }

    /// What it has and the other has not.
    #[inline]
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self([self.0[0] & !other.0[0], self.0[1] & !other.0[1], self.0[2] & !other.0[2]])
    }

    /// Whether it has every field of `other`.
    #[must_use]
    pub fn includes(self, other: Self) -> bool {
        self.and(other) == other
    }

    /// Whether it has no field.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0[0] | self.0[1] | self.0[2] == 0
    }

    /// How many bitmaps it takes: one, two, or three.
    #[inline]
    #[must_use]
    pub const fn bitmaps(&self) -> usize {
        if self.0[2] != 0 {
            3
        } else if self.0[1] != 0 {
            2
        } else {
            1
        }
    }

    /// The fields in order.
    #[inline]
    pub fn iter(self) -> Fields {
        let [word, second, third] = self.0;
        Fields { word, base: 1, later: [second, third] }
    }
}

impl std::fmt::Debug for FieldSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// The fields of a set in order.
#[derive(Clone, Debug)]
pub struct Fields {
    word: u64,
    base: u8,
    later: [u64; 2],
}

impl Iterator for Fields {
    type Item = u8;

    #[inline]
    fn next(&mut self) -> Option<u8> {
        while self.word == 0 {
            if self.later == [0; 2] {
                return None;
            }
            self.word = self.later[0];
            self.later = [self.later[1], 0];
            self.base += 64;
        }
        let lowest = self.word.trailing_zeros();
        self.word &= self.word - 1;
        Some(self.base + lowest as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_fields() {
        let all: Vec<u8> = (1..=HIGHEST_FIELD).collect();
        let mut set = FieldSet::of(&all);
        assert_eq!(set.iter().collect::<Vec<_>>(), all);
        set.remove(64);
        assert!(set.has(63) && !set.has(64) && set.has(65) && !set.has(0) && !set.has(193));
        let table = [(vec![2, 64], 1), (vec![65], 2), (vec![2, 128], 2), (vec![129], 3), (vec![], 1)];
        for (fields, bitmaps) in table {
            assert_eq!(FieldSet::of(&fields).bitmaps(), bitmaps, "{fields:?}");
        }
    }
}
