//! Fields of a frequent shape, read without a look at their table row.

use crate::iso8583::digits;
use crate::iso8583::spec::Inside;
use crate::iso8583::spec::Row;
use crate::iso8583::spec::Shape;

/// How many units a field has, and where its content starts. `None` when its length cannot be read or it has another
/// shape.
#[inline(always)]
pub(super) fn length(row: &Row, body: &[u8], at: usize) -> Option<(usize, usize)> {
    match row.shape {
        Shape::Counted => Some((usize::from(*body.get(at)?), at + 1)),
        Shape::TwoDigits => {
            let [tens, ones] = body.get(at..at + 2)?.first_chunk::<2>()?.map(|byte| byte ^ row.prefix_zero);
            (tens <= 9 && ones <= 9).then_some((usize::from(tens) * 10 + usize::from(ones), at + 2))
        }
        Shape::ThreeDigits => {
            let digits = body.get(at..at + 3)?.first_chunk::<3>()?.map(|byte| byte ^ row.prefix_zero);
            let [hundreds, tens, ones] = digits.map(usize::from);
            let right = hundreds <= 9 && tens <= 9 && ones <= 9;
            right.then_some((hundreds * 100 + tens * 10 + ones, at + 3))
        }
        Shape::Fixed | Shape::Wide => Some((usize::from(row.units), at)),
        Shape::Other => None,
    }
}

/// Where a content of so many digits ends; `None` when the message does, or anything is wrong with it. Every message
/// has at least eight bytes in front of its first field.
#[inline(always)]
pub(super) fn end(row: &Row, body: &[u8], content: usize, units: usize) -> Option<usize> {
    // BCD digits take half a byte each.
    let half = usize::from(matches!(row.inside, Inside::Bcd | Inside::BcdTrack));
    let end = content + ((units + half) >> half);
    let right = match row.inside {
        // Sixteen digits and less are looked at in one piece.
        Inside::Bcd if (1..=16).contains(&units) => {
            digits::is_bcd_before(body, end, end - content, digits::odd_pad(units))
        }
        Inside::Zoned if (1..=16).contains(&units) => digits::is_zoned_before(body, end, units, row.zero),
        _ => body.get(content..end).is_some_and(|bytes| is_right(row, bytes, units)),
    };
    right.then_some(end)
}

/// Whether the content of a field is what it must be, whatever its length.
#[inline(never)]
fn is_right(row: &Row, bytes: &[u8], units: usize) -> bool {
    match row.inside {
        Inside::Anything => true,
        Inside::Bcd => pad_is_right(bytes, units) && digits::is_bcd(bytes),
        Inside::Zoned => digits::is_zoned(bytes, row.zero),
        Inside::BcdTrack => pad_is_right(bytes, units) && digits::is_bcd_track(bytes),
        Inside::ZonedTrack => digits::is_zoned_track(bytes, row.zero),
    }
}

fn pad_is_right(bytes: &[u8], units: usize) -> bool {
    bytes.first().is_none_or(|first| first >> 4 & digits::odd_pad(units) == 0)
}

/// The digits of a field of at most eight bytes, the last one highest, as a number.
#[inline(always)]
pub(super) const fn join(row: &Row, digits: u64) -> u64 {
    match row.inside {
        Inside::Zoned if row.bytes <= 4 => digits::join_few_digits((digits >> 32) as u32),
        Inside::Zoned => digits::join_digits(digits),
        _ if row.bytes <= 2 => digits::join_few_bcd(digits.swap_bytes() as u32),
        _ => digits::join_bcd(digits.swap_bytes()),
    }
}

/// The number in a content that is not checked yet; `None` when it is wrong, or needs a look at its table row.
#[inline(always)]
pub(super) fn short_number(row: &Row, content: &[u8]) -> Option<u64> {
    let start = digits::load_from(content, 0);
    let short = row.shape == Shape::Fixed && row.digits != 0 && content.len() == usize::from(row.bytes);
    let right = short && row.check.is_right(start);
    right.then(|| join(row, start.wrapping_shl(64 - 8 * u32::from(row.bytes)) & row.digits))
}
