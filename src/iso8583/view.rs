//! Reads a message in place: offsets into its bytes, nothing copied, nothing allocated.

use std::fmt;

use crate::iso8583::digits;
use crate::iso8583::digits::ASCII_ZERO;
use crate::iso8583::digits::EBCDIC_ZERO;
use crate::iso8583::spec::Bitmaps;
use crate::iso8583::spec::Content;
use crate::iso8583::spec::Count;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::spec::FieldSpec;
use crate::iso8583::spec::HIGHEST_FIELD;
use crate::iso8583::spec::Layout;
use crate::iso8583::spec::Length;
use crate::iso8583::spec::Pad;
use crate::iso8583::spec::Prefix;

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

/// Where one field stands: its start with the length, its content, and its end.
#[derive(Clone, Copy, Default, Debug)]
struct Span {
    start: u16,
    content: u16,
    end: u16,
    units: u16,
}

/// The offsets of one message's fields. It is reused from message to message and need not be cleared.
#[derive(Clone, Debug)]
pub struct Spans([Span; HIGHEST_FIELD as usize + 1]);

impl Default for Spans {
    fn default() -> Self {
        Self([Span::default(); HIGHEST_FIELD as usize + 1])
    }
}

/// A message that was read, in place.
#[derive(Clone, Copy)]
pub struct View<'a> {
    layout: &'a Layout,
    body: &'a [u8],
    spans: &'a Spans,
    named: FieldSet,
    read: FieldSet,
    mti: u16,
    bitmaps: Bitmaps,
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
    pub fn parse(layout: &'a Layout, body: &'a [u8], spans: &'a mut Spans) -> Result<View<'a>, Broken<'a>> {
        let mut outcome = attempt(layout, body, spans, false);
        if layout.unannounced_second() && outcome.error.is_some() {
            // A host that always sends two bitmaps: only one of the two readings fits to the last byte.
            let second = attempt(layout, body, spans, true);
            if second.error.is_none() {
                outcome = second;
            } else {
                outcome = attempt(layout, body, spans, false);
            }
        }
        let Outcome { mti, named, read, bitmaps, error } = outcome;
        let view = View { layout, body, spans, named, read, mti, bitmaps };
        match error {
            None => Ok(view),
            Some(error) => Err(Broken { view, error }),
        }
    }

    /// The MTI as a number of four digits, 100 for `0100`.
    #[inline]
    #[must_use]
    pub const fn mti(&self) -> u16 {
        self.mti
    }

    /// The fields that the bitmaps name, without 1 and 65.
    #[inline]
    #[must_use]
    pub const fn named(&self) -> FieldSet {
        self.named
    }

    /// The fields that were read and are right. Of a message without a mistake these are all that are named.
    #[inline]
    #[must_use]
    pub const fn fields(&self) -> FieldSet {
        self.read
    }

    /// The bitmaps that the message has.
    #[inline]
    #[must_use]
    pub const fn bitmaps(&self) -> Bitmaps {
        self.bitmaps
    }

    /// The field table that it was read with.
    #[inline]
    #[must_use]
    pub const fn layout(&self) -> &'a Layout {
        self.layout
    }

    /// Whether the field is there.
    #[inline]
    #[must_use]
    pub const fn has(&self, field: u8) -> bool {
        self.read.has(field)
    }

    #[inline]
    fn span(&self, field: u8) -> Option<Span> {
        if self.read.has(field) { self.spans.0.get(usize::from(field)).copied() } else { None }
    }

    /// The field as it is on the wire, with its length.
    #[inline]
    #[must_use]
    pub fn raw(&self, field: u8) -> Option<&'a [u8]> {
        let span = self.span(field)?;
        self.body.get(usize::from(span.start)..usize::from(span.end))
    }

    /// The field's content as it is on the wire, without its length.
    #[inline]
    #[must_use]
    pub fn content(&self, field: u8) -> Option<&'a [u8]> {
        let span = self.span(field)?;
        self.body.get(usize::from(span.content)..usize::from(span.end))
    }

    /// Where the field starts in the message, with its length, and where its content starts.
    #[must_use]
    pub fn offsets(&self, field: u8) -> Option<(usize, usize)> {
        let span = self.span(field)?;
        Some((usize::from(span.start), usize::from(span.content)))
    }

    /// The field's length in digits, characters or bytes, as its table row counts.
    #[inline]
    #[must_use]
    pub fn units(&self, field: u8) -> Option<usize> {
        Some(usize::from(self.span(field)?.units))
    }

    /// The field as a number; `None` when it is absent, not all digits, or above 64 bits.
    #[inline]
    #[must_use]
    pub fn number(&self, field: u8) -> Option<u64> {
        let span = self.span(field)?;
        let content = self.body.get(usize::from(span.content)..usize::from(span.end))?;
        let spec = self.layout.field(field)?;
        number(spec, content, usize::from(span.units))
    }

    /// Writes the field's characters (ASCII, or hex of binary content) into `buffer` and returns those written.
    /// What does not fit is left out; `None` when the field is absent.
    #[inline]
    #[must_use]
    pub fn text<'b>(&self, field: u8, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
        let spec = self.layout.field(field)?;
        let length = characters(spec, self.content(field)?, self.units(field)?, buffer);
        buffer.get(..length)
    }
}

/// The number in a field's content; `None` when it is not all digits or above 64 bits.
#[inline]
#[must_use]
pub fn number(spec: &FieldSpec, content: &[u8], units: usize) -> Option<u64> {
    let trusted = spec.checked && matches!(spec.content, Content::Numeric);
    match spec.encoding {
        Encoding::Bcd => {
            if spec.count == Count::Digits && units % 2 == 1 && spec.pad != Pad::Left {
                let (last, head) = content.split_last()?;
                let last = last >> 4;
                let right = last < 10 && digits::is_bcd(head);
                let value = digits::bcd_value(head)?.checked_mul(10)?.checked_add(u64::from(last))?;
                return right.then_some(value);
            }
            if trusted || digits::is_bcd(content) { digits::bcd_value(content) } else { None }
        }
        Encoding::Ascii => zoned(content, ASCII_ZERO, trusted),
        Encoding::Ebcdic => zoned(content, EBCDIC_ZERO, trusted),
        Encoding::Binary | Encoding::Hex => None,
    }
}

#[inline]
fn zoned(content: &[u8], zero: u8, trusted: bool) -> Option<u64> {
    if trusted || digits::is_zoned(content, zero) { digits::zoned_value(content) } else { None }
}

/// Writes a field's characters into `buffer`, Latin-1, and returns how many were written.
#[inline]
#[must_use]
pub fn characters(spec: &FieldSpec, content: &[u8], units: usize, buffer: &mut [u8]) -> usize {
    match spec.encoding {
        Encoding::Ascii | Encoding::Hex => {
            let length = content.len().min(buffer.len());
            buffer[..length].copy_from_slice(&content[..length]);
            length
        }
        Encoding::Ebcdic => {
            for (to, from) in buffer.iter_mut().zip(content) {
                *to = digits::from_ebcdic(*from);
            }
            content.len().min(buffer.len())
        }
        Encoding::Binary | Encoding::Bcd => {
            let odd = spec.encoding == Encoding::Bcd && spec.count == Count::Digits && units % 2 == 1;
            let nibbles = content.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]);
            let skip = usize::from(odd && spec.pad == Pad::Left);
            let length = (content.len() * 2).saturating_sub(usize::from(odd)).min(buffer.len());
            for (to, nibble) in buffer[..length].iter_mut().zip(nibbles.skip(skip)) {
                *to = digits::nibble_character(nibble);
            }
            length
        }
    }
}

/// One reading of a message from its start.
struct Outcome {
    mti: u16,
    named: FieldSet,
    read: FieldSet,
    bitmaps: Bitmaps,
    error: Option<ParseError>,
}

#[inline]
fn attempt(layout: &Layout, body: &[u8], spans: &mut Spans, unannounced_second: bool) -> Outcome {
    let mut reader = Reader { layout, body, at: 0, error: None };
    let mut outcome = Outcome {
        mti: 0,
        named: FieldSet::EMPTY,
        read: FieldSet::EMPTY,
        bitmaps: Bitmaps { count: 0, unannounced_second },
        error: None,
    };
    let ended = match reader.head(&mut outcome) {
        Ok(()) => reader.fields(outcome.named, spans, &mut outcome.read),
        Err(error) => Err(error),
    };
    outcome.error = reader.error.or(ended.err());
    outcome
}

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

    #[inline]
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let bytes = self.body.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn head(&mut self, head: &mut Outcome) -> Result<(), ParseError> {
        if self.body.len() > usize::from(u16::MAX) {
            return Err(self.fault(None, Rule::MessageTooLong));
        }
        head.mti = self.mti()?;
        let first = self.bitmap()?;
        head.named.0[0] = first & !(1 << 63);
        head.bitmaps.count = 1;
        if first >> 63 == 1 {
            head.bitmaps.unannounced_second = false;
            let second = self.bitmap()?;
            head.named.0[1] = second & !(1 << 63);
            head.bitmaps.count = 2;
            if second >> 63 == 1 {
                head.named.0[2] = self.bitmap()?;
                head.bitmaps.count = 3;
            }
        } else if head.bitmaps.unannounced_second {
            let second = self.bitmap()?;
            if second >> 63 == 1 {
                return Err(self.fault(None, Rule::UnknownField));
            }
            head.named.0[1] = second;
            head.bitmaps.count = 2;
        }
        Ok(())
    }

    fn mti(&mut self) -> Result<u16, ParseError> {
        let encoding = self.layout.mti();
        let width = if encoding == Encoding::Bcd { 2 } else { 4 };
        let Some(bytes) = self.take(width) else { return Err(self.fault(None, Rule::MtiCutOff)) };
        let value = match encoding {
            Encoding::Bcd if digits::is_bcd(bytes) => digits::bcd_value(bytes),
            Encoding::Ascii => zoned(bytes, ASCII_ZERO, false),
            Encoding::Ebcdic => zoned(bytes, EBCDIC_ZERO, false),
            _ => None,
        };
        let Some(mti) = value else {
            self.at = 0;
            return Err(self.fault(None, Rule::MtiNotDigits));
        };
        Ok(mti as u16)
    }

    fn bitmap(&mut self) -> Result<u64, ParseError> {
        if self.layout.bitmap() == Encoding::Binary {
            return match self.take(8).and_then(|bytes| bytes.first_chunk::<8>()) {
                Some(bytes) => Ok(u64::from_be_bytes(*bytes)),
                None => Err(self.fault(None, Rule::BitmapCutOff)),
            };
        }
        let start = self.at;
        let Some(bytes) = self.take(16) else { return Err(self.fault(None, Rule::BitmapCutOff)) };
        let ebcdic = self.layout.bitmap() == Encoding::Ebcdic;
        let mut bits = 0;
        for &byte in bytes {
            let character = if ebcdic { digits::from_ebcdic(byte) } else { byte };
            let Some(nibble) = digits::hex_nibble(character) else {
                self.at = start;
                return Err(self.fault(None, Rule::BitmapNotHex));
            };
            bits = bits << 4 | u64::from(nibble);
        }
        Ok(bits)
    }

    #[inline]
    fn fields(&mut self, named: FieldSet, spans: &mut Spans, read: &mut FieldSet) -> Result<(), ParseError> {
        *read = named;
        for (word, base) in [1_u8, 65, 129].into_iter().enumerate() {
            let mut bits = named.0[word];
            while bits != 0 {
                let lead = bits.leading_zeros();
                bits &= !(1 << 63 >> lead);
                let field = base + lead as u8;
                if let Err(error) = self.field(field, spans, read) {
                    // Nothing from here on has a place.
                    read.0[word] &= !(u64::MAX >> lead);
                    for later in &mut read.0[word + 1..] {
                        *later = 0;
                    }
                    return Err(error);
                }
            }
        }
        if self.at != self.body.len() {
            return Err(self.fault(None, Rule::TrailingBytes));
        }
        Ok(())
    }

    #[inline]
    fn field(&mut self, field: u8, spans: &mut Spans, read: &mut FieldSet) -> Result<(), ParseError> {
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
        if let Some(span) = spans.0.get_mut(usize::from(field)) {
            *span = Span {
                start: start as u16,
                content: content as u16,
                end: self.at as u16,
                units: units as u16,
            };
        }
        if spec.checked
            && let Err(rule) = check(spec, bytes, units)
        {
            read.remove(field);
            let error = ParseError { field: Some(field), offset: content as u16, rule };
            self.error.get_or_insert(error);
        }
        Ok(())
    }

    #[inline]
    fn length(&mut self, field: u8, prefix: Prefix) -> Result<usize, ParseError> {
        let start = self.at;
        let Some(bytes) = self.take(usize::from(prefix.width)) else {
            return Err(self.fault(Some(field), Rule::LengthCutOff));
        };
        let Some(value) = length_value(prefix, bytes) else {
            self.at = start;
            return Err(self.fault(Some(field), Rule::LengthNotDigits));
        };
        Ok(value)
    }
}

/// What a length says; `None` when it is not made of digits.
#[inline]
pub(crate) fn length_value(prefix: Prefix, bytes: &[u8]) -> Option<usize> {
    let value = match (prefix.encoding, bytes) {
        (Encoding::Binary, [length]) => return Some(usize::from(*length)),
        (Encoding::Binary, _) => bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
        (Encoding::Bcd, _) if digits::is_bcd(bytes) => digits::bcd_value(bytes)?,
        (Encoding::Ascii, _) => zoned(bytes, ASCII_ZERO, false)?,
        (Encoding::Ebcdic, _) => zoned(bytes, EBCDIC_ZERO, false)?,
        _ => return None,
    };
    // Above any maximum, whatever the width of the length.
    Some(value.min(u64::from(u32::MAX >> 1)) as usize)
}

/// Checks a field's content against its class.
#[inline]
pub(crate) fn check(spec: &FieldSpec, bytes: &[u8], units: usize) -> Result<(), Rule> {
    match (spec.content, spec.encoding) {
        (Content::Numeric, Encoding::Bcd) => check_bcd(spec, bytes, units),
        (Content::Numeric, Encoding::Ascii) => right(digits::is_zoned(bytes, ASCII_ZERO), Rule::NotNumeric),
        (Content::Numeric, Encoding::Ebcdic) => right(digits::is_zoned(bytes, EBCDIC_ZERO), Rule::NotNumeric),
        (Content::Track, encoding) => check_track(spec, encoding, bytes, units),
        (Content::Signed, encoding) => check_signed(encoding, bytes),
        (_, Encoding::Hex) => {
            right(bytes.iter().all(|byte| digits::hex_nibble(*byte).is_some()), Rule::NotHex)
        }
        _ => Ok(()),
    }
}

#[inline]
const fn right(right: bool, rule: Rule) -> Result<(), Rule> {
    if right { Ok(()) } else { Err(rule) }
}

#[inline]
fn check_bcd(spec: &FieldSpec, bytes: &[u8], units: usize) -> Result<(), Rule> {
    if spec.count == Count::Digits && units % 2 == 1 {
        let (Some(first), Some((last, head))) = (bytes.first(), bytes.split_last()) else {
            return Ok(());
        };
        return match spec.pad {
            Pad::Left => {
                right(first >> 4 == 0, Rule::WrongPad)?;
                right(digits::is_bcd(bytes), Rule::NotNumeric)
            }
            Pad::Right | Pad::RightF => {
                let pad = if spec.pad == Pad::Right { 0 } else { 0x0f };
                right(last & 0x0f == pad, Rule::WrongPad)?;
                right(digits::is_bcd(head) && last >> 4 < 10, Rule::NotNumeric)
            }
        };
    }
    right(digits::is_bcd(bytes), Rule::NotNumeric)
}

fn check_track(spec: &FieldSpec, encoding: Encoding, bytes: &[u8], units: usize) -> Result<(), Rule> {
    let allowed = |character: u8| character.is_ascii_digit() || character == b'=' || character == b'D';
    match encoding {
        Encoding::Ascii => right(bytes.iter().all(|byte| allowed(*byte)), Rule::NotTrack),
        Encoding::Ebcdic => {
            right(bytes.iter().all(|byte| allowed(digits::from_ebcdic(*byte))), Rule::NotTrack)
        }
        Encoding::Bcd => {
            let mut last_nibble_free = false;
            if spec.count == Count::Digits && units % 2 == 1 {
                let (first, last) = (bytes.first().map_or(0, |b| b >> 4), bytes.last().map_or(0, |b| b & 15));
                let (nibble, pad) = match spec.pad {
                    Pad::Left => (first, 0),
                    Pad::Right => (last, 0),
                    Pad::RightF => (last, 0x0f),
                };
                right(nibble == pad, Rule::WrongPad)?;
                last_nibble_free = spec.pad == Pad::RightF;
            }
            let digit_or_separator = |nibble: u8| nibble < 10 || nibble == 0x0d;
            let count = bytes.len() * 2 - usize::from(last_nibble_free);
            let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0x0f]).take(count);
            right(nibbles.into_iter().all(digit_or_separator), Rule::NotTrack)
        }
        Encoding::Binary | Encoding::Hex => Ok(()),
    }
}

fn check_signed(encoding: Encoding, bytes: &[u8]) -> Result<(), Rule> {
    let Some((sign, rest)) = bytes.split_first() else { return Ok(()) };
    let (sign, zero) = match encoding {
        Encoding::Ebcdic => (digits::from_ebcdic(*sign), EBCDIC_ZERO),
        _ => (*sign, ASCII_ZERO),
    };
    right(matches!(sign, b'C' | b'D'), Rule::NoSign)?;
    right(digits::is_zoned(rest, zero), Rule::NotNumeric)
}
