//! Reads a message from its start: MTI, bitmaps, then field by field, as offsets into its bytes.

use std::hint::cold_path;

use crate::iso8583::content;
use crate::iso8583::digits;
use crate::iso8583::digits::ASCII_ZERO;
use crate::iso8583::digits::EBCDIC_ZERO;
use crate::iso8583::shapes;
use crate::iso8583::spec::Bitmaps;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::spec::Inside;
use crate::iso8583::spec::Layout;
use crate::iso8583::spec::Length;
use crate::iso8583::spec::Prefix;
use crate::iso8583::spec::Row;
use crate::iso8583::spec::Shape;
use crate::iso8583::spec::place;
use crate::iso8583::view::ParseError;
use crate::iso8583::view::Rule;
use crate::iso8583::view::Spans;

/// Where one field stands: its start with the length, its content, its end, and its length as its table row counts.
/// Sixteen bits each, in one number, so that it is written and read at once.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Span(u64);

impl Span {
    #[inline(always)]
    pub(super) const fn new(start: usize, content: usize, end: usize, units: usize) -> Self {
        Self(start as u64 | (content as u64) << 16 | (end as u64) << 32 | (units as u64) << 48)
    }

    /// The span of a field of fixed length, when `start` is where it starts, in three places, and `row` what its row
    /// adds.
    #[inline(always)]
    pub(super) const fn at(start: u64, row: u64) -> Self {
        Self(start.wrapping_add(row))
    }

    /// The span of a field of fixed length that starts here.
    #[inline(always)]
    pub(super) const fn fixed(start: usize, row: &Row) -> Self {
        // Start, content and end at once, and what the row adds to them: no sum is above the message's length.
        Self((start as u64 * 0x0001_0001_0001).wrapping_add(row.span))
    }

    #[inline(always)]
    pub(super) const fn start(self) -> usize {
        (self.0 & 0xffff) as usize
    }

    #[inline(always)]
    pub(super) const fn content(self) -> usize {
        (self.0 >> 16 & 0xffff) as usize
    }

    #[inline(always)]
    pub(super) const fn end(self) -> usize {
        (self.0 >> 32 & 0xffff) as usize
    }

    #[inline(always)]
    pub(super) const fn units(self) -> usize {
        (self.0 >> 48) as usize
    }
}

/// What stands in front of the fields, and which of them are there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) mti: u16,
    pub(super) bitmaps: Bitmaps,
    pub(super) named: FieldSet,
    /// Those of them that were read and are right.
    pub(super) read: FieldSet,
    /// Where the first field starts, or what cannot be read.
    at: usize,
}

impl Head {
    pub(super) const fn begin(unannounced_second: bool) -> Self {
        let bitmaps = Bitmaps { count: 0, unannounced_second, lower_case: false };
        Self { mti: 0, bitmaps, named: FieldSet::EMPTY, read: FieldSet::EMPTY, at: 0 }
    }

    #[inline(always)]
    fn read(&mut self, layout: &Layout, body: &[u8]) -> Result<(), Rule> {
        if body.len() > usize::from(u16::MAX) {
            return Err(Rule::MessageTooLong);
        }
        self.read_mti(layout.mti(), body)?;
        let first = self.read_bitmap(layout, body)?;
        self.named.0[0] = first & !1;
        self.bitmaps.count = 1;
        if first & 1 == 1 {
            self.bitmaps.unannounced_second = false;
            let second = self.read_bitmap(layout, body)?;
            self.named.0[1] = second & !1;
            self.bitmaps.count = 2;
            if second & 1 == 1 {
                self.named.0[2] = self.read_bitmap(layout, body)?;
                self.bitmaps.count = 3;
            }
        } else if self.bitmaps.unannounced_second {
            let second = self.read_bitmap(layout, body)?;
            if second & 1 == 1 {
                return Err(Rule::UnknownField);
            }
            self.named.0[1] = second;
            self.bitmaps.count = 2;
        }
        Ok(())
    }

    #[inline(always)]
    fn read_mti(&mut self, encoding: Encoding, body: &[u8]) -> Result<(), Rule> {
        let (value, width) = if encoding == Encoding::Bcd {
            (digits::four_bcd(*body.first_chunk().ok_or(Rule::MtiCutOff)?), 2)
        } else {
            let zero = if encoding == Encoding::Ebcdic { EBCDIC_ZERO } else { ASCII_ZERO };
            (digits::four_zoned(*body.first_chunk().ok_or(Rule::MtiCutOff)?, zero), 4)
        };
        self.mti = value.ok_or(Rule::MtiNotDigits)?;
        self.at = width;
        Ok(())
    }

    /// A bitmap with the first field in the lowest bit.
    #[inline(always)]
    fn read_bitmap(&mut self, layout: &Layout, body: &[u8]) -> Result<u64, Rule> {
        let rest = body.get(self.at..).unwrap_or_default();
        if layout.bitmap() == Encoding::Binary {
            let bitmap = rest.first_chunk::<8>().ok_or(Rule::BitmapCutOff)?;
            self.at += bitmap.len();
            return Ok(u64::from_be_bytes(*bitmap).reverse_bits());
        }
        let bitmap = rest.first_chunk::<16>().ok_or(Rule::BitmapCutOff)?;
        let (bits, lower_case) = read_hex(bitmap, layout.bitmap());
        self.bitmaps.lower_case |= lower_case;
        let bits = bits.ok_or(Rule::BitmapNotHex)?;
        self.at += bitmap.len();
        Ok(bits)
    }
}

/// A bitmap in hex, and whether a character up to the first wrong one is in lower case. It takes no [`Head`], so that
/// this stays in registers until it is whole.
#[inline(never)]
fn read_hex(bitmap: &[u8; 16], encoding: Encoding) -> (Option<u64>, bool) {
    let (mut bits, mut lower_case) = (0, false);
    for &byte in bitmap {
        let character = if encoding == Encoding::Ebcdic { digits::from_ebcdic(byte) } else { byte };
        lower_case |= character.is_ascii_lowercase();
        let Some(nibble) = digits::hex_nibble(character) else { return (None, lower_case) };
        bits = bits << 4 | u64::from(nibble);
    }
    (Some(bits.reverse_bits()), lower_case)
}

/// Reads a message that has no mistake, and a second bitmap that nothing announces when `unannounced_second` says so.
/// False when there is a mistake, wherever it is.
#[inline(never)]
pub(super) fn at_once(layout: &Layout, body: &[u8], unannounced_second: bool, spans: &mut Spans) -> bool {
    let mut head = Head::begin(unannounced_second);
    if head.read(layout, body).is_err() {
        return false;
    }
    head.read = head.named;
    spans.head = head;
    let mut at = head.at as u32;
    for (bitmap, named) in head.named.0.into_iter().enumerate() {
        if named != 0 {
            let Some(end) = fields_of(layout, body, at, bitmap, named, &mut spans.fields) else {
                return false;
            };
            at = end;
        }
    }
    at as usize == body.len()
}

/// Reads these fields of one bitmap from `at` on and says where they end; `None` when one is wrong. The loop is what
/// most of the time of reading goes into: what a field needs is in its short table row, and no branch but one depends
/// on what is in a field of fixed length.
#[inline(never)]
fn fields_of(
    layout: &Layout,
    body: &[u8],
    mut at: u32,
    bitmap: usize,
    named: u64,
    spans: &mut [Span; 256],
) -> Option<u32> {
    let (rows, together) = (layout.rows().as_chunks::<64>().0.get(bitmap)?, layout.runs().word(bitmap));
    let spans = spans.as_chunks_mut::<64>().0.get_mut(bitmap)?;
    let mut rest = named;
    while rest != 0 {
        let place = (rest.trailing_zeros() & 63) as usize;
        if together >> place & 1 == 1 {
            // All up to the next field of another kind.
            let others = rest & !together;
            let run = rest & (others & others.wrapping_neg()).wrapping_sub(1);
            at = layout.runs().read(bitmap, run, body, at, spans)?;
            rest ^= run;
            continue;
        }
        rest &= rest - 1;
        let (row, span) = (&rows[place], &mut spans[place]);
        // Half of the others. The sum of all fields' lengths fits by far, and the end is looked at last.
        if row.shape == Shape::Fixed
            && (row.inside == Inside::Anything || row.check.is_right(digits::load_from(body, at)))
        {
            *span = Span::fixed(at as usize, row);
            at += u32::from(row.bytes);
            continue;
        }
        if row.shape == Shape::Wide {
            // Two loads that overlap.
            let end = at + u32::from(row.bytes);
            let (first, last) = (digits::load_from(body, at), digits::load_from(body, end - 8));
            if row.check.is_right(first) && row.check.is_right(last) {
                *span = Span::fixed(at as usize, row);
                at = end;
                continue;
            }
        }
        let from = at as usize;
        if let Some((units, content)) = shapes::length(row, body, from)
            && units <= usize::from(row.units)
        {
            let end = match row.inside {
                Inside::Anything => Some(content + units).filter(|end| *end <= body.len()),
                _ => shapes::end(row, body, content, units),
            };
            if let Some(end) = end {
                *span = Span::new(from, content, end, units);
                at = end as u32;
                continue;
            }
        }
        cold_path();
        let mut reader = Reader { layout, body, at: from, error: None };
        let Ok((read, true)) = reader.one((64 * bitmap + place + 1) as u8) else { return None };
        *span = read;
        at = read.end() as u32;
    }
    Some(at)
}

/// Reads a message that is not right at first sight: it has a second bitmap that nothing announces, or a mistake, which
/// is returned.
#[cold]
#[inline(never)]
pub(super) fn again(layout: &Layout, body: &[u8], spans: &mut Spans) -> Option<ParseError> {
    // A host that always sends two bitmaps: only one of the two readings fits to the last byte.
    if layout.unannounced_second() && at_once(layout, body, true, spans) {
        return None;
    }
    let mut head = Head::begin(false);
    let begun = head.read(layout, body);
    let mut reader = Reader { layout, body, at: head.at, error: None };
    let ended = match begun {
        Ok(()) => {
            head.read = head.named;
            reader.one_by_one(&mut spans.fields, &mut head.read)
        }
        Err(rule) => Err(reader.fault(None, rule)),
    };
    spans.head = head;
    reader.error.or(ended.err())
}

/// Reads field by field, and says what is wrong with one.
struct Reader<'a> {
    layout: &'a Layout,
    body: &'a [u8],
    at: usize,
    error: Option<ParseError>,
}

impl<'a> Reader<'a> {
    #[cold]
    fn fault(&self, field: Option<u8>, rule: Rule) -> ParseError {
        ParseError { field, offset: self.at.min(usize::from(u16::MAX)) as u16, rule }
    }

    #[inline(always)]
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let bytes = self.body.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    /// Reads these fields as far as they have a place, and leaves those that are right.
    fn one_by_one(&mut self, spans: &mut [Span; 256], fields: &mut FieldSet) -> Result<(), ParseError> {
        for field in fields.iter() {
            match self.one(field) {
                Ok((span, right)) => {
                    spans[place(field)] = span;
                    if !right {
                        fields.remove(field);
                    }
                }
                Err(error) => {
                    // Nothing from here on has a place.
                    fields.keep_below(field);
                    return Err(error);
                }
            }
        }
        if self.at != self.body.len() {
            return Err(self.fault(None, Rule::TrailingBytes));
        }
        Ok(())
    }

    /// Reads a field of any shape and tells whether its content is right. The first mistake is kept.
    #[inline(never)]
    fn one(&mut self, field: u8) -> Result<(Span, bool), ParseError> {
        let Some(spec) = self.layout.field(field) else {
            return Err(self.fault(Some(field), Rule::UnknownField));
        };
        let start = self.at;
        let units = match spec.length {
            Length::Fixed(units) => usize::from(units),
            Length::Variable { prefix, max } => {
                let units = self.length(field, prefix)?;
                if units > usize::from(max) {
                    self.at = start;
                    return Err(self.fault(Some(field), Rule::TooLong));
                }
                units
            }
        };
        let content = self.at;
        let Some(bytes) = self.take(spec.bytes(units)) else {
            return Err(self.fault(Some(field), Rule::CutOff));
        };
        let units = content::units(spec, bytes, units);
        let checked = if spec.checked { content::check(spec, bytes, units) } else { Ok(()) };
        if let Err(rule) = checked {
            let error = ParseError { field: Some(field), offset: content as u16, rule };
            self.error.get_or_insert(error);
        }
        Ok((Span::new(start, content, self.at, units), checked.is_ok()))
    }

    #[inline(always)]
    fn length(&mut self, field: u8, prefix: Prefix) -> Result<usize, ParseError> {
        let start = self.at;
        let Some(bytes) = self.take(usize::from(prefix.width)) else {
            return Err(self.fault(Some(field), Rule::LengthCutOff));
        };
        let Some(value) = content::length_value(prefix, bytes) else {
            self.at = start;
            return Err(self.fault(Some(field), Rule::LengthNotDigits));
        };
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::iso8583::build::Builder;
    use crate::iso8583::spec::Content;
    use crate::iso8583::spec::Count;
    use crate::iso8583::spec::FieldSpec;
    use crate::iso8583::spec::Pad;
    use crate::iso8583::view::View;

    /// Fields of every shape: number, content, length, and digits of the length in front of it.
    const ROWS: [(u8, Content, u16, u8); 15] = [
        (2, Content::Numeric, 19, 2),
        (3, Content::Numeric, 6, 0),
        (4, Content::Numeric, 12, 0),
        (5, Content::Numeric, 16, 0),
        (6, Content::Numeric, 17, 0),
        (7, Content::Numeric, 9, 0),
        (19, Content::Numeric, 3, 0),
        (32, Content::Numeric, 11, 2),
        (35, Content::Track, 37, 2),
        (41, Content::Text, 8, 0),
        (48, Content::Text, 120, 3),
        (55, Content::Binary, 99, 2),
        (70, Content::Numeric, 3, 0),
        (96, Content::Binary, 8, 0),
        (130, Content::Numeric, 1, 0),
    ];

    /// A table of these fields. Lengths of BCD fields are one binary byte, or two.
    fn layout(digits: Encoding) -> Layout {
        let mut layout = Layout::new(digits, Encoding::Binary);
        for (field, content, units, width) in ROWS {
            let encoding = match content {
                Content::Binary => Encoding::Binary,
                Content::Text if digits == Encoding::Bcd => Encoding::Ebcdic,
                _ => digits,
            };
            let prefix = match digits {
                Encoding::Bcd => Prefix { encoding: Encoding::Binary, width: width.div_ceil(2) },
                _ => Prefix { encoding: digits, width },
            };
            let length =
                if width == 0 { Length::Fixed(units) } else { Length::Variable { prefix, max: units } };
            let count = if encoding == Encoding::Bcd { Count::Digits } else { Count::Bytes };
            layout
                .define(field, FieldSpec { length, content, encoding, count, pad: Pad::Left, checked: true });
        }
        layout
    }

    /// A right message with some of the fields, whose characters come from `noise`.
    fn message(layout: &Layout, chosen: &[bool], noise: &[u8]) -> Vec<u8> {
        let rows = || ROWS.iter().zip(chosen).filter(|(_, chosen)| **chosen).map(|(row, _)| row);
        let fields = FieldSet::of(&rows().map(|(field, ..)| *field).collect::<Vec<u8>>());
        let mut out = Vec::new();
        let mut builder = Builder::begin(layout, &mut out, 100, fields, Bitmaps::AS_NEEDED);
        let mut noise = noise.iter().copied().cycle();
        let mut next = || noise.next().unwrap_or(0);
        for (field, content, units, width) in rows() {
            let length = if *width == 0 { *units } else { u16::from(next()) % (units + 1) };
            if *content == Content::Binary {
                let bytes: Vec<u8> = (0..length).map(|_| next()).collect();
                builder.value(*field, bytes[..].into()).expect("it fits");
            } else {
                let digits: String = (0..length).map(|_| char::from(b'0' + next() % 10)).collect();
                builder.value(*field, digits.as_str().into()).expect("it fits");
            }
        }
        builder.finish();
        out
    }

    fn cases() -> ProptestConfig {
        let cases =
            std::env::var("TURNPIKE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2_000);
        ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
    }

    proptest! {
        #![proptest_config(cases())]

        #[test]
        fn what_is_read_at_once_is_what_is_read_field_by_field(
            digits in prop::sample::select(vec![Encoding::Bcd, Encoding::Ascii, Encoding::Ebcdic]),
            chosen in vec(any::<bool>(), ROWS.len()),
            noise in vec(any::<u8>(), 1..400),
            mistakes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            end in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        ) {
            let layout = layout(digits);
            let mut body = message(&layout, &chosen, &noise);
            let right = mistakes.is_empty() && end.is_none();
            for (at, byte) in mistakes {
                let at = at.index(body.len());
                body[at] = byte;
            }
            body.truncate(end.map_or(body.len(), |end| end.index(body.len())));
            let (mut fast, mut slow) = (Spans::default(), Spans::default());
            let at_once = at_once(&layout, &body, false, &mut fast);
            let error = again(&layout, &body, &mut slow);
            prop_assert_eq!(at_once, error.is_none(), "{:?}", error);
            prop_assert!(at_once || !right);
            if at_once {
                prop_assert_eq!(fast.head.named, slow.head.named);
                let view = View::parse(&layout, &body, &mut fast);
                let Ok(view) = view else { return Err(TestCaseError::fail("it is right")) };
                for field in view.fields().iter() {
                    let (here, there) = (view.offsets(field).expect("read"), slow.fields[place(field)]);
                    prop_assert_eq!(here, (there.start(), there.content()), "field {}", field);
                    let content = view.content(field).expect("read");
                    prop_assert_eq!(content, &body[there.content()..there.end()], "field {}", field);
                    prop_assert_eq!(view.units(field), Some(there.units()), "field {}", field);
                    let spec = layout.field(field).expect("a row");
                    let number = content::number(spec, content, there.units());
                    prop_assert_eq!(view.number(field), number, "field {}", field);
                }
            }
        }
    }
}
