//! Reads a message in place: offsets into its bytes, nothing copied, nothing allocated.

use std::fmt;

use crate::iso8583::content;
use crate::iso8583::digits;
use crate::iso8583::digits::ASCII_ZERO;
use crate::iso8583::digits::EBCDIC_ZERO;
use crate::iso8583::read;
use crate::iso8583::read::Head;
use crate::iso8583::read::Span;
use crate::iso8583::shapes;
use crate::iso8583::spec::Bitmaps;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::spec::Inside;
use crate::iso8583::spec::Layout;
use crate::iso8583::spec::Shape;
use crate::iso8583::spec::place;

/// What a message breaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rule {
    /// The message ends inside its MTI.
    #[error("the message ends inside its MTI")]
    MtiCutOff,
    /// The MTI is not four digits.
    #[error("the MTI is not four digits")]
    MtiNotDigits,
    /// The message ends inside a bitmap.
    #[error("the message ends inside a bitmap")]
    BitmapCutOff,
    /// A bitmap in hex has another character.
    #[error("a bitmap has a character that is no hex digit")]
    BitmapNotHex,
    /// The bitmap names a field that the dialect does not have, so that its end cannot be known.
    #[error("the dialect has no such field")]
    UnknownField,
    /// The message ends inside a length.
    #[error("the message ends inside the field's length")]
    LengthCutOff,
    /// A length is not made of digits.
    #[error("the field's length is not a number")]
    LengthNotDigits,
    /// A length is above the field's maximum.
    #[error("the field is longer than the dialect allows")]
    TooLong,
    /// The message ends inside a field.
    #[error("the message ends inside the field")]
    CutOff,
    /// A numeric field has something else than digits.
    #[error("the field is not numeric")]
    NotNumeric,
    /// The spare nibble of an odd number of digits is not the pad.
    #[error("the field's spare nibble is not its pad")]
    WrongPad,
    /// A track has something else than digits and separators.
    #[error("the field is no track data")]
    NotTrack,
    /// A signed amount does not start with C or D.
    #[error("the amount's sign is neither C nor D")]
    NoSign,
    /// A field in hex has another character.
    #[error("the field has a character that is no hex digit")]
    NotHex,
    /// Bytes are left after the last field.
    #[error("bytes are left after the last field")]
    TrailingBytes,
    /// Longer than any message may be.
    #[error("the message is longer than 65535 bytes")]
    MessageTooLong,
}

/// Why bytes are no message. It says where and which rule, and never holds the bytes themselves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ParseError {
    /// The data element, when one is at fault.
    pub field: Option<u8>,
    /// Where in the message, from 0.
    pub offset: u16,
    /// What is wrong.
    pub rule: Rule,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(f, "field {field} at offset {}: {}", self.offset, self.rule),
            None => write!(f, "at offset {}: {}", self.offset, self.rule),
        }
    }
}

impl std::error::Error for ParseError {}

/// What one message has where. It is reused from message to message and need not be cleared.
#[derive(Clone, Debug)]
pub struct Spans {
    pub(super) head: Head,
    /// By their places. There is one for every number that a byte can hold, so that no look at it has to be checked.
    pub(super) fields: [Span; 256],
}

impl Default for Spans {
    fn default() -> Self {
        Self { head: Head::begin(false), fields: [Span::default(); 256] }
    }
}

/// A message that was read, in place.
#[derive(Clone, Copy)]
pub struct View<'a> {
    layout: &'a Layout,
    body: &'a [u8],
    spans: &'a Spans,
}

/// A message with a mistake, and what could be read of it.
#[derive(Clone, Copy)]
pub struct Broken<'a> {
    /// The fields that could be read, for an answer that says what is wrong (R24).
    pub view: View<'a>,
    /// The first mistake.
    pub error: ParseError,
}

impl<'a> View<'a> {
    /// Reads a message that starts with its MTI and fills the slice to its end.
    ///
    /// A mistake in a field's content is kept and reading goes on, since the fields after it have a place; a mistake
    /// in a length or an unknown field ends it.
    ///
    /// # Errors
    /// The first mistake, with a view of the fields that are right.
    #[inline(always)]
    pub fn parse(layout: &'a Layout, body: &'a [u8], spans: &'a mut Spans) -> Result<View<'a>, Broken<'a>> {
        let error =
            if read::at_once(layout, body, false, spans) { None } else { read::again(layout, body, spans) };
        let view = View { layout, body, spans };
        match error {
            None => Ok(view),
            Some(error) => Err(Broken { view, error }),
        }
    }

    /// The MTI as a number of four digits, 100 for `0100`.
    #[inline]
    #[must_use]
    pub const fn mti(&self) -> u16 {
        self.spans.head.mti
    }

    /// The fields that the bitmaps name, without 1 and 65.
    #[inline]
    #[must_use]
    pub const fn named(&self) -> FieldSet {
        self.spans.head.named
    }

    /// The fields that were read and are right. Of a message without a mistake these are all that are named.
    #[inline]
    #[must_use]
    pub const fn fields(&self) -> FieldSet {
        self.spans.head.read
    }

    /// The bitmaps that the message has.
    #[inline]
    #[must_use]
    pub const fn bitmaps(&self) -> Bitmaps {
        self.spans.head.bitmaps
    }

    /// The field table that it was read with.
    #[inline]
    #[must_use]
    pub const fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// Whether the field is there.
    #[inline(always)]
    #[must_use]
    pub const fn has(&self, field: u8) -> bool {
        self.spans.head.read.has(field)
    }

    #[inline(always)]
    fn span(&self, field: u8) -> Option<Span> {
        if self.has(field) { Some(self.spans.fields[place(field)]) } else { None }
    }

    /// The field as it is on the wire, with its length.
    #[inline]
    #[must_use]
    pub fn raw(&self, field: u8) -> Option<&'a [u8]> {
        let span = self.span(field)?;
        self.body.get(span.start()..span.end())
    }

    /// The bytes of the message.
    #[inline(always)]
    pub(crate) const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Where one field starts in the message, with its length, and where another one ends. Both were read.
    #[inline(always)]
    pub(crate) fn range(&self, first: u8, last: u8) -> (usize, usize) {
        (self.spans.fields[place(first)].start(), self.spans.fields[place(last)].end())
    }

    /// The field's content as it is on the wire, without its length.
    #[inline]
    #[must_use]
    pub fn content(&self, field: u8) -> Option<&'a [u8]> {
        let span = self.span(field)?;
        self.body.get(span.content()..span.end())
    }

    /// Where the field starts in the message, with its length, and where its content starts.
    #[must_use]
    pub fn offsets(&self, field: u8) -> Option<(usize, usize)> {
        let span = self.span(field)?;
        Some((span.start(), span.content()))
    }

    /// The field's length in digits, characters or bytes; of BCD always in digits, whatever its length counts.
    #[inline]
    #[must_use]
    pub fn units(&self, field: u8) -> Option<usize> {
        Some(self.span(field)?.units())
    }

    /// The field as a number; `None` when it is absent, not all digits, or above 64 bits.
    #[inline(always)]
    #[must_use]
    pub fn number(&self, field: u8) -> Option<u64> {
        // The mapping names its fields as constants: inlined, most of this is decided when it is compiled.
        let span = self.span(field)?;
        let row = &self.layout.rows()[place(field)];
        match (row.shape, row.digits) {
            (_, 0) => self.number_of(field, span),
            (Shape::Wide, mask) => digits::wide_before(self.body, span.end(), mask),
            (_, mask) => Some(shapes::join(row, digits::load_before(self.body, span.end())? & mask)),
        }
    }

    /// The number in a field of exactly `N` digits of one byte each, as its table row says; `None` when it is absent.
    #[inline(always)]
    pub(crate) fn zoned_number<const N: usize>(&self, field: u8) -> Option<u64> {
        let start = self.span(field)?.start();
        Some(digits::zoned_number(self.body.get(start..start + N)?.first_chunk::<N>()?))
    }

    /// The number in a field of exactly `N` bytes of BCD, as its table row says; `None` when it is absent.
    #[inline(always)]
    pub(crate) fn packed_number<const N: usize>(&self, field: u8) -> Option<u64> {
        let start = self.span(field)?.start();
        Some(digits::packed_number(self.body.get(start..start + N)?.first_chunk::<N>()?))
    }

    #[inline(never)]
    fn number_of(&self, field: u8, span: Span) -> Option<u64> {
        let (end, units) = (span.end(), span.units());
        match (self.layout.rows()[place(field)].inside, units) {
            (Inside::Bcd, 1..=16) => digits::bcd_before(self.body, end, units),
            (Inside::Zoned, 1..=16) => digits::zoned_before(self.body, end, units),
            _ => self.number_by_spec(field, span),
        }
    }

    #[cold]
    #[inline(never)]
    fn number_by_spec(&self, field: u8, span: Span) -> Option<u64> {
        content::number(self.layout.field(field)?, self.body.get(span.content()..span.end())?, span.units())
    }

    /// Writes the field's characters into `to` when there are exactly `N` and each is one byte; tells whether it did.
    #[inline(always)]
    pub(crate) fn exact_text<const N: usize>(&self, field: u8, to: &mut [u8; N]) -> bool {
        let Some(content) = self.content(field).and_then(|content| <&[u8; N]>::try_from(content).ok()) else {
            return false;
        };
        match self.layout.rows()[place(field)].zero {
            ASCII_ZERO => *to = *content,
            EBCDIC_ZERO => {
                for (to, from) in to.iter_mut().zip(content) {
                    *to = digits::from_ebcdic(*from);
                }
            }
            _ => return false,
        }
        true
    }

    /// One of the field's characters, as [`View::text`] would write it.
    #[inline(always)]
    #[must_use]
    pub fn character(&self, field: u8, at: usize) -> Option<u8> {
        let content = self.content(field)?;
        match self.layout.rows()[place(field)].zero {
            ASCII_ZERO => content.get(at).copied(),
            EBCDIC_ZERO => content.get(at).map(|byte| digits::from_ebcdic(*byte)),
            _ => content::character(self.layout.field(field)?, content, self.units(field)?, at),
        }
    }

    /// Writes the field's characters (ASCII, or hex of binary content) into `buffer` and returns those written.
    /// What does not fit is left out; `None` when the field is absent.
    #[inline]
    #[must_use]
    pub fn text<'b>(&self, field: u8, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let spec = self.layout.field(field)?;
        let length = content::characters(spec, self.content(field)?, self.units(field)?, buffer);
        buffer.get(..length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iso8583::spec::Content;
    use crate::iso8583::spec::Count;
    use crate::iso8583::spec::Encoding;
    use crate::iso8583::spec::FieldSpec;
    use crate::iso8583::spec::Length;
    use crate::iso8583::spec::Pad;
    use crate::iso8583::spec::Prefix;

    fn layout() -> Layout {
        let mut layout = Layout::new(Encoding::Bcd, Encoding::Binary);
        let row = |length, content, encoding| FieldSpec {
            length,
            content,
            encoding,
            count: if encoding == Encoding::Bcd { Count::Digits } else { Count::Bytes },
            pad: Pad::Left,
            checked: true,
        };
        let prefix = Prefix { encoding: Encoding::Binary, width: 1 };
        let ascii = Prefix { encoding: Encoding::Ascii, width: 2 };
        layout.define(2, row(Length::Variable { prefix, max: 19 }, Content::Numeric, Encoding::Bcd));
        layout.define(3, row(Length::Fixed(6), Content::Numeric, Encoding::Bcd));
        layout.define(19, row(Length::Fixed(3), Content::Numeric, Encoding::Bcd));
        layout.define(35, row(Length::Variable { prefix, max: 37 }, Content::Track, Encoding::Bcd));
        layout.define(42, row(Length::Fixed(3), Content::Text, Encoding::Ebcdic));
        layout.define(48, row(Length::Variable { prefix: ascii, max: 20 }, Content::Text, Encoding::Ascii));
        layout.define(70, row(Length::Fixed(3), Content::Numeric, Encoding::Bcd));
        layout.define(130, row(Length::Fixed(2), Content::Binary, Encoding::Binary));
        layout
    }

    #[test]
    fn a_message_is_read_in_place() {
        let hex = "0100E0002000004000008400000000000000400000000000000005012345000042\
                   0840C1C2F10070ABCD";
        let body = digits::hex_bytes(hex.as_bytes()).expect("hex");
        let (layout, mut spans) = (layout(), Spans::default());
        let view = View::parse(&layout, &body, &mut spans);
        let view = view.unwrap_or_else(|broken| panic!("{}", broken.error));
        assert_eq!((view.mti(), view.bitmaps().count), (100, 3));
        assert_eq!(view.fields().iter().collect::<Vec<_>>(), [2, 3, 19, 42, 70, 130]);
        assert_eq!((view.number(2), view.units(2)), (Some(12_345), Some(5)));
        assert_eq!((view.number(3), view.number(19), view.number(70)), (Some(42), Some(840), Some(70)));
        assert_eq!(view.raw(2), Some([5, 1, 0x23, 0x45].as_slice()));
        assert_eq!(view.content(2), Some([1, 0x23, 0x45].as_slice()));
        assert_eq!(view.text(42, &mut [0; 8]), Some(b"AB1".as_slice()));
        assert_eq!(view.content(130), Some([0xab, 0xcd].as_slice()));
        assert_eq!((view.has(4), view.number(4), view.number(42)), (false, None, None));
    }

    #[test]
    fn mistakes_are_told_with_field_and_offset_and_the_rest_stays_readable() {
        let at = |field, offset, rule| ParseError { field, offset, rule };
        let table: &[(&str, ParseError, &[u8])] = &[
            ("01", at(None, 0, Rule::MtiCutOff), &[]),
            ("01A0", at(None, 0, Rule::MtiNotDigits), &[]),
            ("010040000000", at(None, 2, Rule::BitmapCutOff), &[]),
            ("0100C000000000000000", at(None, 10, Rule::BitmapCutOff), &[]),
            ("01002800000000000000000042", at(Some(5), 13, Rule::UnknownField), &[3]),
            ("01004000000000000000", at(Some(2), 10, Rule::LengthCutOff), &[]),
            ("01004000000000000000144111", at(Some(2), 10, Rule::TooLong), &[]),
            ("0100400000000000000004411", at(Some(2), 11, Rule::CutOff), &[]),
            ("01006000000000000000044A11000042", at(Some(2), 11, Rule::NotNumeric), &[3]),
            ("0100600000000000000003F411000042", at(Some(2), 11, Rule::WrongPad), &[3]),
            ("0100200000000000000000004200", at(None, 13, Rule::TrailingBytes), &[3]),
            ("0100200000002000000000004204411E", at(Some(35), 14, Rule::NotTrack), &[3]),
            ("0100200000000001000000004230784142", at(Some(48), 13, Rule::LengthNotDigits), &[3]),
        ];
        let layout = layout();
        for (hex, error, readable) in table {
            // An odd digit at the end is left out.
            let body = digits::hex_bytes(&hex.as_bytes()[..hex.len() / 2 * 2]).expect("hex");
            let mut spans = Spans::default();
            let broken = View::parse(&layout, &body, &mut spans).err().expect("a mistake");
            assert_eq!(broken.error, *error, "{hex}");
            assert_eq!(broken.view.fields().iter().collect::<Vec<_>>(), *readable, "{hex}");
        }
    }

    #[test]
    fn characters_that_are_read_at_once_are_those_of_the_text() {
        let prefix = Prefix { encoding: Encoding::Binary, width: 1 };
        let contents = [Content::Numeric, Content::Text, Content::Binary, Content::Track, Content::Signed];
        let mut exact = 0;
        for (content, (name, encoding)) in
            contents.iter().flat_map(|c| Encoding::ALL.iter().map(move |e| (*c, *e)))
        {
            for (length, checked) in [
                (Length::Fixed(4), true),
                (Length::Fixed(4), false),
                (Length::Variable { prefix, max: 9 }, true),
                (Length::Variable { prefix, max: 9 }, false),
            ] {
                let mut layout = Layout::new(Encoding::Bcd, Encoding::Binary);
                let spec =
                    FieldSpec { length, content, encoding, count: Count::Digits, pad: Pad::Left, checked };
                layout.define(2, spec);
                let mut body = digits::hex_bytes(b"01004000000000000000").expect("hex");
                body.extend(matches!(length, Length::Variable { .. }).then_some(4));
                body.extend_from_slice(&b"C\xf1\x311\x99\x00\x42\xc1"[..spec.bytes(4)]);
                let mut spans = Spans::default();
                let view = View::parse(&layout, &body, &mut spans).unwrap_or_else(|broken| broken.view);
                let (mut buffer, mut at_once) = ([0; 16], [0; 4]);
                let text = view.text(2, &mut buffer);
                let named = format!("{content:?} {name} {length:?} {checked}");
                if view.exact_text(2, &mut at_once) {
                    exact += 1;
                    assert_eq!(text, Some(at_once.as_slice()), "{named}");
                }
                for at in 0..16 {
                    let character = text.and_then(|text| text.get(at).copied());
                    assert_eq!(view.character(2, at), character, "{named} at {at}");
                }
            }
        }
        assert!(exact > 0);
    }
}
