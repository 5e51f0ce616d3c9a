//! The content of one field: its class, its number, its characters, and what a length says.

use crate::iso8583::digits;
use crate::iso8583::digits::ASCII_ZERO;
use crate::iso8583::digits::EBCDIC_ZERO;
use crate::iso8583::spec::Content;
use crate::iso8583::spec::Count;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::FieldSpec;
use crate::iso8583::spec::Length;
use crate::iso8583::spec::Pad;
use crate::iso8583::spec::Prefix;
use crate::iso8583::view::Rule;

/// The length of a content as values count it: `counted` is what the length on the wire says.
///
/// A length in bytes leaves open whether a BCD field has an odd number of digits, so that the content says it: a
/// variable one begins with the zero, or ends with the F, that its row pads with.
#[inline]
#[must_use]
pub fn units(spec: &FieldSpec, content: &[u8], counted: usize) -> usize {
    if spec.encoding == Encoding::Bcd && spec.count == Count::Bytes && spec.content != Content::Signed {
        packed_digits(spec, content)
    } else {
        counted
    }
}

#[cold]
fn packed_digits(spec: &FieldSpec, content: &[u8]) -> usize {
    let padded = match (spec.length, spec.pad) {
        (Length::Fixed(_), _) | (_, Pad::Right) => false,
        (_, Pad::Left) => content.first().is_some_and(|byte| byte >> 4 == 0),
        (_, Pad::RightF) => content.last().is_some_and(|byte| byte & 0x0f == 0x0f),
    };
    content.len() * 2 - usize::from(padded)
}

/// The number in a field's content; `None` when it is not all digits or above 64 bits.
#[inline]
#[must_use]
pub fn number(spec: &FieldSpec, content: &[u8], units: usize) -> Option<u64> {
    let trusted = spec.checked && matches!(spec.content, Content::Numeric);
    match spec.encoding {
        Encoding::Bcd if spec.content == Content::Signed => None,
        Encoding::Bcd => {
            if units % 2 == 1 && spec.pad != Pad::Left {
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
pub(crate) fn zoned(content: &[u8], zero: u8, trusted: bool) -> Option<u64> {
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
        Encoding::Bcd if spec.content == Content::Signed => signed_characters(spec, content, units, buffer),
        Encoding::Binary | Encoding::Bcd => {
            let (skip, length) = digits_in(spec, content, units);
            let length = length.min(buffer.len());
            let (half, whole) = buffer[..length].split_at_mut(skip.min(length));
            for (to, byte) in half.iter_mut().zip(content) {
                *to = digits::nibble_character(byte & 0x0f);
            }
            for (to, byte) in whole.chunks_mut(2).zip(content.iter().skip(skip)) {
                for (to, nibble) in to.iter_mut().zip([byte >> 4, byte & 0x0f]) {
                    *to = digits::nibble_character(nibble);
                }
            }
            length
        }
    }
}

/// The sign, which is a character, and the digits behind it.
fn signed_characters(spec: &FieldSpec, content: &[u8], units: usize, buffer: &mut [u8]) -> usize {
    let (Some((sign, digits)), Some((first, rest))) = (content.split_first(), buffer.split_first_mut())
    else {
        return 0;
    };
    *first = *sign;
    1 + characters(&FieldSpec { content: Content::Numeric, ..*spec }, digits, units - 1, rest)
}

/// One of the characters that [`characters`] writes.
#[inline]
pub(crate) fn character(spec: &FieldSpec, content: &[u8], units: usize, place: usize) -> Option<u8> {
    match spec.encoding {
        Encoding::Ascii | Encoding::Hex => content.get(place).copied(),
        Encoding::Ebcdic => content.get(place).map(|byte| digits::from_ebcdic(*byte)),
        Encoding::Bcd if spec.content == Content::Signed => {
            let (sign, digits) = content.split_first()?;
            let digit = FieldSpec { content: Content::Numeric, ..*spec };
            place.checked_sub(1).map_or(Some(*sign), |place| character(&digit, digits, units - 1, place))
        }
        Encoding::Binary | Encoding::Bcd => {
            let (skip, length) = digits_in(spec, content, units);
            let byte = content.get((place + skip) / 2).filter(|_| place < length)?;
            let nibble = if (place + skip).is_multiple_of(2) { byte >> 4 } else { byte & 0x0f };
            Some(digits::nibble_character(nibble))
        }
    }
}

/// Of the nibbles of a content, how many are left out in front, and how many count.
fn digits_in(spec: &FieldSpec, content: &[u8], units: usize) -> (usize, usize) {
    let odd = spec.encoding == Encoding::Bcd && units % 2 == 1;
    (usize::from(odd && spec.pad == Pad::Left), (content.len() * 2).saturating_sub(usize::from(odd)))
}

/// What a length says; `None` when it is not made of digits.
#[inline(always)]
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
        (Content::Signed, Encoding::Bcd) => {
            let Some((sign, digits)) = bytes.split_first() else { return Ok(()) };
            right(matches!(sign, b'C' | b'D'), Rule::NoSign)?;
            check_bcd(spec, digits, units - 1)
        }
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
    if units % 2 == 1 {
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
            if units % 2 == 1 {
                let (first, last) = (bytes.first().map_or(0, |b| b >> 4), bytes.last().map_or(0, |b| b & 15));
                let (nibble, pad) = match spec.pad {
                    Pad::Left => (first, 0),
                    Pad::Right => (last, 0),
                    Pad::RightF => (last, 0x0f),
                };
                right(nibble == pad, Rule::WrongPad)?;
                last_nibble_free = spec.pad == Pad::RightF;
            }
            match bytes.split_last() {
                Some((last, head)) if last_nibble_free => {
                    right(digits::is_bcd_track(head) && digits::is_bcd_track(&[last >> 4]), Rule::NotTrack)
                }
                _ => right(digits::is_bcd_track(bytes), Rule::NotTrack),
            }
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
