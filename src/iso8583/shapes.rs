//! Fields of a frequent shape, read without a look at their table row.

use crate::iso8583::digits;
use crate::iso8583::spec::Row;
use crate::iso8583::spec::Shape;
use crate::iso8583::view::Span;

/// Reads a field of a frequent shape and says where it ends; `None` when it has another or anything is wrong with it.
#[inline(always)]
pub(super) fn quick(row: &Row, body: &[u8], at: usize) -> Option<(Span, usize)> {
    // More than half of all fields: a branch of its own is foretold better than a jump to one of many places.
    if row.shape == Shape::Bcd {
        let bytes = usize::from(row.bytes);
        let end = at + bytes;
        return digits::is_bcd_before(body, end, bytes, row.pad).then_some((Span::fixed(at, row), end));
    }
    match row.shape {
        Shape::Other | Shape::Bcd => None,
        Shape::Plain => {
            let end = at + usize::from(row.bytes);
            (end <= body.len()).then_some((Span::fixed(at, row), end))
        }
        Shape::Zoned => {
            let end = at + usize::from(row.bytes);
            let right = digits::is_zoned_before(body, end, usize::from(row.units), row.zero);
            right.then_some((Span::fixed(at, row), end))
        }
        Shape::CountedPlain => {
            let units = usize::from(*body.get(at)?);
            let end = at + 1 + units;
            let right = units <= usize::from(row.units) && end <= body.len();
            right.then_some((Span::new(at, at + 1, end, units), end))
        }
        Shape::CountedBcd => {
            let units = usize::from(*body.get(at)?);
            let bytes = units.div_ceil(2);
            let end = at + 1 + bytes;
            let right = units <= usize::from(row.units.min(16))
                && units > 0
                && digits::is_bcd_before(body, end, bytes, digits::odd_pad(units));
            right.then_some((Span::new(at, at + 1, end, units), end))
        }
        Shape::CountedTrack => {
            let units = usize::from(*body.get(at)?);
            let end = at + 1 + units.div_ceil(2);
            let bytes = body.get(at + 1..end)?;
            let right = units <= usize::from(row.units)
                && bytes.first()? >> 4 & digits::odd_pad(units) == 0
                && digits::is_bcd_track(bytes);
            right.then_some((Span::new(at, at + 1, end, units), end))
        }
        Shape::LengthPlain | Shape::LengthZoned => {
            let content = at + usize::from(row.prefix);
            let units = zoned_length(body.get(at..content)?, row.prefix_zero)?;
            let end = content + units;
            let right = units <= usize::from(row.units)
                && if row.shape == Shape::LengthPlain {
                    end <= body.len()
                } else {
                    // Sixteen digits and less are looked at in one piece: there is always so much in front of them.
                    match units {
                        1..=16 => digits::is_zoned_before(body, end, units, row.zero),
                        _ => digits::is_zoned(body.get(content..end)?, row.zero),
                    }
                };
            right.then_some((Span::new(at, content, end, units), end))
        }
    }
}

/// A length of two or three digits of one byte each.
#[inline(always)]
fn zoned_length(bytes: &[u8], zero: u8) -> Option<usize> {
    let (tens, ones, hundreds) = match *bytes {
        [tens, ones] => (tens ^ zero, ones ^ zero, 0),
        [hundreds, tens, ones] => (tens ^ zero, ones ^ zero, hundreds ^ zero),
        _ => return None,
    };
    let digits = tens <= 9 && ones <= 9 && hundreds <= 9;
    digits.then(|| usize::from(hundreds) * 100 + usize::from(tens) * 10 + usize::from(ones))
}
