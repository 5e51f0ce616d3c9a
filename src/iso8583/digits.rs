//! Digits and characters as bytes: BCD, ASCII and EBCDIC, checked and converted eight bytes at a time.

use std::hint::cold_path;

/// Code page 500 to Latin-1. The two are one-to-one, so any byte survives the way there and back.
const FROM_EBCDIC: [u8; 256] = [
    0x00, 0x01, 0x02, 0x03, 0x9c, 0x09, 0x86, 0x7f, 0x97, 0x8d, 0x8e, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 0x10,
    0x11, 0x12, 0x13, 0x9d, 0x85, 0x08, 0x87, 0x18, 0x19, 0x92, 0x8f, 0x1c, 0x1d, 0x1e, 0x1f, 0x80, 0x81,
    0x82, 0x83, 0x84, 0x0a, 0x17, 0x1b, 0x88, 0x89, 0x8a, 0x8b, 0x8c, 0x05, 0x06, 0x07, 0x90, 0x91, 0x16,
    0x93, 0x94, 0x95, 0x96, 0x04, 0x98, 0x99, 0x9a, 0x9b, 0x14, 0x15, 0x9e, 0x1a, 0x20, 0xa0, 0xe2, 0xe4,
    0xe0, 0xe1, 0xe3, 0xe5, 0xe7, 0xf1, 0x5b, 0x2e, 0x3c, 0x28, 0x2b, 0x21, 0x26, 0xe9, 0xea, 0xeb, 0xe8,
    0xed, 0xee, 0xef, 0xec, 0xdf, 0x5d, 0x24, 0x2a, 0x29, 0x3b, 0x5e, 0x2d, 0x2f, 0xc2, 0xc4, 0xc0, 0xc1,
    0xc3, 0xc5, 0xc7, 0xd1, 0xa6, 0x2c, 0x25, 0x5f, 0x3e, 0x3f, 0xf8, 0xc9, 0xca, 0xcb, 0xc8, 0xcd, 0xce,
    0xcf, 0xcc, 0x60, 0x3a, 0x23, 0x40, 0x27, 0x3d, 0x22, 0xd8, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67,
    0x68, 0x69, 0xab, 0xbb, 0xf0, 0xfd, 0xfe, 0xb1, 0xb0, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f, 0x70, 0x71,
    0x72, 0xaa, 0xba, 0xe6, 0xb8, 0xc6, 0xa4, 0xb5, 0x7e, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7a,
    0xa1, 0xbf, 0xd0, 0xdd, 0xde, 0xae, 0xa2, 0xa3, 0xa5, 0xb7, 0xa9, 0xa7, 0xb6, 0xbc, 0xbd, 0xbe, 0xac,
    0x7c, 0xaf, 0xa8, 0xb4, 0xd7, 0x7b, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0xad, 0xf4,
    0xf6, 0xf2, 0xf3, 0xf5, 0x7d, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, 0x4f, 0x50, 0x51, 0x52, 0xb9, 0xfb, 0xfc,
    0xf9, 0xfa, 0xff, 0x5c, 0xf7, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59, 0x5a, 0xb2, 0xd4, 0xd6, 0xd2,
    0xd3, 0xd5, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0xb3, 0xdb, 0xdc, 0xd9, 0xda,
    0x9f,
];

const TO_EBCDIC: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[FROM_EBCDIC[byte] as usize] = byte as u8;
        byte += 1;
    }
    table
};

/// What an EBCDIC (cp500) digit has in its high nibble, and an ASCII one.
pub(crate) const EBCDIC_ZERO: u8 = 0xf0;
pub(crate) const ASCII_ZERO: u8 = 0x30;

/// The Latin-1 character of a cp500 byte.
#[must_use]
pub const fn from_ebcdic(byte: u8) -> u8 {
    FROM_EBCDIC[byte as usize]
}

/// The cp500 byte of a Latin-1 character.
#[must_use]
pub const fn to_ebcdic(character: u8) -> u8 {
    TO_EBCDIC[character as usize]
}

const fn each(byte: u8) -> u64 {
    byte as u64 * 0x0101_0101_0101_0101
}

/// Up to eight bytes as one big-endian number; longer slices give their last eight.
#[inline]
fn load(bytes: &[u8]) -> u64 {
    // Two loads that overlap cover every length without a loop.
    if let Some(all) = bytes.last_chunk::<8>() {
        return u64::from_be_bytes(*all);
    }
    if let (Some(high), Some(low)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let shift = (bytes.len() - 4) * 8;
        return u64::from(u32::from_be_bytes(*high)) << shift | u64::from(u32::from_be_bytes(*low));
    }
    if let (Some(high), Some(low)) = (bytes.first_chunk::<2>(), bytes.last_chunk::<2>()) {
        let shift = (bytes.len() - 2) * 8;
        return u64::from(u16::from_be_bytes(*high)) << shift | u64::from(u16::from_be_bytes(*low));
    }
    bytes.first().map_or(0, |byte| u64::from(*byte))
}

/// The eight bytes that end where a field ends, the last one highest, of which the field is the last ones: every
/// message has so many in front of its first field. `None` past the end of the bytes.
#[inline(always)]
pub(crate) fn load_before(bytes: &[u8], end: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(..end)?.last_chunk::<8>()?))
}

/// The eight bytes from `at` on, the first one lowest, with zeros for those behind the end.
#[inline(always)]
pub(crate) fn load_from(bytes: &[u8], at: u32) -> u64 {
    let at = at as usize;
    match bytes.get(at..at + 8).and_then(<[u8]>::first_chunk::<8>) {
        Some(whole) => u64::from_le_bytes(*whole),
        None => {
            cold_path();
            load_end(bytes.get(at..).unwrap_or_default())
        }
    }
}

#[inline(never)]
fn load_end(bytes: &[u8]) -> u64 {
    load(bytes).checked_shl(64 - 8 * bytes.len() as u32).unwrap_or(0).swap_bytes()
}

/// The lowest nibbles of a number, 0 to 16 of them.
#[inline(always)]
const fn last_nibbles(x: u64, count: usize) -> u64 {
    if count == 0 { 0 } else { x & u64::MAX >> (64 - 4 * count) }
}

/// The highest bytes of a number, 0 to 8 of them.
#[inline(always)]
const fn last_bytes(count: usize) -> u64 {
    match u64::MAX.checked_shl(64 - 8 * count as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

/// The number of so many BCD digits, 16 at most, that end at `end`. The caller has checked them.
#[inline(always)]
pub(crate) fn bcd_before(bytes: &[u8], end: usize, digits: usize) -> Option<u64> {
    Some(join_bcd(last_nibbles(load_before(bytes, end)?.swap_bytes(), digits)))
}

/// The bits of the first nibble that are zero when digits are packed right-aligned.
#[inline(always)]
pub(crate) const fn odd_pad(digits: usize) -> u8 {
    if digits % 2 == 1 { 0x0f } else { 0 }
}

/// Whether so many bytes, 1 to 8, end at `end` with nothing but BCD digits in them, and a zero in the bits of `pad`
/// of the first nibble.
#[inline(always)]
pub(crate) fn is_bcd_before(bytes: &[u8], end: usize, width: usize, pad: u8) -> bool {
    let Some(x) = load_before(bytes, end) else { return false };
    // What stands before the field is gone, and its first byte is the lowest.
    let x = x >> (64 - 8 * width);
    nibbles_are_digits(x) && x as u8 >> 4 & pad == 0
}

/// Whether so many zoned digits, 1 to 16, end at `end`.
#[inline(always)]
pub(crate) fn is_zoned_before(bytes: &[u8], end: usize, digits: usize, zero: u8) -> bool {
    let Some(x) = load_before(bytes, end) else { return false };
    if digits <= 8 {
        return bytes_are_digits((x ^ each(zero)) & last_bytes(digits));
    }
    // Two loads that overlap.
    let first = load_before(bytes, end - (digits - 8));
    bytes_are_digits(x ^ each(zero)) && first.is_some_and(|first| bytes_are_digits(first ^ each(zero)))
}

/// The number of so many zoned digits, 1 to 16, that end at `end`. The caller has checked them.
#[inline(always)]
pub(crate) fn zoned_before(bytes: &[u8], end: usize, digits: usize) -> Option<u64> {
    let x = load_before(bytes, end)? & each(0x0f);
    if digits <= 8 {
        return Some(join_digits(x & last_bytes(digits)));
    }
    let high = load_before(bytes, end - 8)? & each(0x0f);
    Some(join_digits(high & last_bytes(digits - 8)) * 100_000_000 + join_digits(x))
}

/// The number of 9 to 16 zoned digits that end at `end`; `mask` leaves the digits of those in front of the last eight.
#[inline(always)]
pub(crate) fn wide_before(bytes: &[u8], end: usize, mask: u64) -> Option<u64> {
    let (low, high) = (load_before(bytes, end)?, load_before(bytes, end.checked_sub(8)?)?);
    Some(join_digits(high & mask) * 100_000_000 + join_digits(low & each(0x0f)))
}

/// The number of 2 to 16 zoned digits. The caller has checked them.
#[inline(always)]
pub(crate) fn zoned_number<const N: usize>(zoned: &[u8; N]) -> u64 {
    const { assert!(N >= 2 && N <= 16) };
    // Loads that overlap bring the same bytes to the same place; what is a constant here costs nothing.
    let eight = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes) & each(0x0f));
    let four = |bytes: Option<&[u8; 4]>| bytes.map_or(0, |bytes| u32::from_le_bytes(*bytes));
    let two = |bytes: Option<&[u8; 2]>| bytes.map_or(0, |bytes| u32::from(u16::from_le_bytes(*bytes)));
    match N {
        8.. => {
            let high = eight(zoned.first_chunk()).checked_shl(8 * (16 - N) as u32).unwrap_or(0);
            join_digits(high) * 100_000_000 + join_digits(eight(zoned.last_chunk()))
        }
        4 => join_few_digits(four(zoned.first_chunk()) & each(0x0f) as u32),
        5..8 => {
            let high = u64::from(four(zoned.first_chunk())) << (8 * (8 - N));
            join_digits((high | u64::from(four(zoned.last_chunk())) << 32) & each(0x0f))
        }
        _ => {
            let x = two(zoned.first_chunk()) << (8 * (4 - N)) | two(zoned.last_chunk()) << 16;
            join_few_digits(x & each(0x0f) as u32)
        }
    }
}

/// The number in up to eight bytes of BCD. The caller has checked the digits.
#[inline(always)]
pub(crate) fn packed_number<const N: usize>(packed: &[u8; N]) -> u64 {
    let x = load(packed);
    if N <= 2 { join_few_bcd(x as u32) } else { join_bcd(x) }
}

/// Whether the bytes from `start` to `end`, at least one, have nothing but BCD digits in them. There are eight bytes in
/// front of them.
#[inline(always)]
pub(crate) fn are_bcd(bytes: &[u8], start: usize, end: usize) -> bool {
    let (Some(run), Some(last)) = (bytes.get(start..end), load_before(bytes, end)) else { return false };
    // What the last eight bytes have in front of the run is taken out; of a long run they overlap with others.
    let last = last >> (64 - 8 * run.len().min(8));
    let wrong = |x: u64| x & (x << 1 | x << 2);
    let chunks = run.as_chunks::<8>().0.iter();
    chunks.fold(wrong(last), |all, chunk| all | wrong(u64::from_le_bytes(*chunk))) & each(0x88) == 0
}

/// Whether the bytes from `start` to `end`, at least one, are digits of the zone that starts at `zero`. There are eight
/// bytes in front of them.
#[inline(always)]
pub(crate) fn are_zoned(bytes: &[u8], start: usize, end: usize, zero: u8) -> bool {
    let (Some(run), Some(last)) = (bytes.get(start..end), load_before(bytes, end)) else { return false };
    let last = (last ^ each(zero)) >> (64 - 8 * run.len().min(8));
    let chunks = run.as_chunks::<8>().0.iter();
    let wrong =
        chunks.fold(no_digits(last), |all, chunk| all | no_digits(u64::from_le_bytes(*chunk) ^ each(zero)));
    wrong & each(0x80) == 0
}

/// Whether every nibble is a decimal digit: none has its highest bit together with one of the two in the middle.
#[inline]
const fn nibbles_are_digits(x: u64) -> bool {
    x & (x << 1 | x << 2) & each(0x88) == 0
}

/// Whether every nibble is a decimal digit or D, the separator of a track: with its highest bit, a nibble has the
/// middle two clear, or is 1101.
#[inline]
const fn nibbles_are_track(x: u64) -> bool {
    x & (x << 2 | (x << 1 & !(x << 3))) & each(0x88) == 0
}

/// Whether every nibble is a decimal digit or D, the separator of a track.
#[inline]
pub(crate) fn is_bcd_track(bytes: &[u8]) -> bool {
    let (head, tail) = bytes.split_at(bytes.len() % 8);
    nibbles_are_track(load(head)) && tail.chunks_exact(8).all(|chunk| nibbles_are_track(load(chunk)))
}

/// Whether every byte is a digit of the zone that starts at `zero`, or what separates the parts of a track: D or `=`.
#[inline]
pub(crate) fn is_zoned_track(bytes: &[u8], zero: u8) -> bool {
    let separators = if zero == EBCDIC_ZERO { [to_ebcdic(b'D'), to_ebcdic(b'=')] } else { *b"D=" };
    let [d, equals] = separators.map(each);
    let right = |x: u64| {
        let digits = x ^ each(zero);
        // Most have nothing but digits in them. A byte that is none of the three keeps its highest bit.
        bytes_are_digits(digits)
            || no_digits(digits) & not_zero(x ^ d) & not_zero(x ^ equals) & each(0x80) == 0
    };
    let (chunks, end) = bytes.as_chunks::<8>();
    // Zeros in front of the last bytes: the zone's own zero stands there.
    let last = load(end) | each(zero).checked_shl(8 * end.len() as u32).unwrap_or(0);
    right(last) && chunks.iter().all(|chunk| right(u64::from_be_bytes(*chunk)))
}

/// The highest bit of each byte that is not zero. The other bits mean nothing.
#[inline(always)]
const fn not_zero(x: u64) -> u64 {
    x | ((x & each(0x7f)) + each(0x7f))
}

/// Whether every nibble is a decimal digit.
#[inline]
#[must_use]
pub fn is_bcd(bytes: &[u8]) -> bool {
    if bytes.len() <= 8 {
        return nibbles_are_digits(load(bytes));
    }
    let (head, tail) = bytes.split_at(bytes.len() % 8);
    nibbles_are_digits(load(head)) && tail.chunks_exact(8).all(|chunk| nibbles_are_digits(load(chunk)))
}

#[inline]
fn chunk_is_zoned(bytes: &[u8], zero: u8) -> bool {
    if bytes.is_empty() {
        return true;
    }
    let zeros = each(zero) >> ((8 - bytes.len().min(8)) * 8);
    bytes_are_digits(load(bytes) ^ zeros)
}

/// Whether every byte is 0 to 9.
#[inline]
const fn bytes_are_digits(x: u64) -> bool {
    no_digits(x) & each(0x80) == 0
}

/// The highest bit of each byte that is not 0 to 9. The other bits mean nothing.
#[inline(always)]
const fn no_digits(x: u64) -> u64 {
    x | ((x & each(0x7f)) + each(0x76))
}

/// Whether every byte is a digit of the zone that starts at `zero` (ASCII or EBCDIC).
#[inline]
pub(crate) fn is_zoned(bytes: &[u8], zero: u8) -> bool {
    if bytes.len() <= 8 {
        return chunk_is_zoned(bytes, zero);
    }
    let (head, tail) = bytes.split_at(bytes.len() % 8);
    chunk_is_zoned(head, zero) && tail.chunks_exact(8).all(|chunk| chunk_is_zoned(chunk, zero))
}

/// Eight digits, one in each byte, the first in the lowest.
#[inline(always)]
pub(crate) const fn join_digits(x: u64) -> u64 {
    // Each lane takes up ten, a hundred, ten thousand times what stands in front of it, and every other one counts.
    let pairs = x.wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100 << 16 | 1) >> 16 & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000 << 32 | 1) >> 32
}

/// Up to four BCD digits as a number.
#[inline(always)]
pub(crate) const fn join_few_bcd(x: u32) -> u64 {
    let pairs = x - (x >> 4 & 0x0f0f) * (16 - 10);
    (pairs - (pairs >> 8) * (256 - 100)) as u64
}

/// Four digits, one in each byte, the first in the lowest.
#[inline(always)]
pub(crate) const fn join_few_digits(x: u32) -> u64 {
    let pairs = x.wrapping_mul(10 << 8 | 1) >> 8 & 0x00ff_00ff;
    (pairs.wrapping_mul(100 << 16 | 1) >> 16) as u64
}

/// Four BCD digits as a number; `None` when one is none.
#[inline(always)]
pub(crate) const fn four_bcd(bytes: [u8; 2]) -> Option<u16> {
    let x = u16::from_be_bytes(bytes) as u64;
    if nibbles_are_digits(x) { Some(join_few_bcd(x as u32) as u16) } else { None }
}

/// Four zoned digits as a number; `None` when one is none.
#[inline(always)]
pub(crate) const fn four_zoned(bytes: [u8; 4], zero: u8) -> Option<u16> {
    let x = u32::from_le_bytes(bytes) ^ each(zero) as u32;
    if bytes_are_digits(x as u64) { Some(join_few_digits(x) as u16) } else { None }
}

/// Up to sixteen BCD digits as a number.
#[inline]
pub(crate) const fn join_bcd(x: u64) -> u64 {
    // Each lane loses what its higher half is worth too much.
    let pairs = x - (x >> 4 & each(0x0f)) * (16 - 10);
    let fours = pairs - (pairs >> 8 & 0x00ff_00ff_00ff_00ff) * (256 - 100);
    let eights = fours - (fours >> 16 & 0x0000_ffff_0000_ffff) * (65_536 - 10_000);
    eights - (eights >> 32) * ((1 << 32) - 100_000_000)
}

/// The number that BCD digits mean; `None` above the range of 64 bits. The caller has checked the digits.
#[inline(always)]
pub(crate) fn bcd_value(bytes: &[u8]) -> Option<u64> {
    if bytes.len() <= 8 {
        return Some(join_bcd(load(bytes)));
    }
    let (head, tail) = bytes.split_at(bytes.len() - 8);
    let high = if head.len() <= 8 { join_bcd(load(head)) } else { return None };
    high.checked_mul(10_000_000_000_000_000)?.checked_add(join_bcd(load(tail)))
}

/// The number that zoned digits mean; `None` above the range of 64 bits. The caller has checked the digits.
#[inline]
pub(crate) fn zoned_value(bytes: &[u8]) -> Option<u64> {
    let digits =
        |chunk: &[u8]| join_digits((load(chunk) & (each(0x0f) >> ((8 - chunk.len()) * 8))).swap_bytes());
    let (head, tail) = bytes.split_at(bytes.len() % 8);
    let mut value = if head.is_empty() { 0 } else { digits(head) };
    for chunk in tail.chunks_exact(8) {
        value = value.checked_mul(100_000_000)?.checked_add(digits(chunk))?;
    }
    Some(value)
}

/// A number below 100 as two BCD digits.
#[inline(always)]
pub(crate) const fn bcd_pair(number: u8) -> u8 {
    // 103 / 1024 is a tenth, near enough.
    number + 6 * ((number as u16 * 103) >> 10) as u8
}

/// The character of a nibble: 0-9, then A-F. In a track, D is the separator.
#[inline]
pub(crate) const fn nibble_character(nibble: u8) -> u8 {
    if nibble < 10 { b'0' + nibble } else { b'A' + nibble - 10 }
}

/// The nibble of a hex character.
#[inline]
#[must_use]
pub const fn hex_nibble(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'A'..=b'F' => Some(character - b'A' + 10),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

/// The bytes of a text of hex characters; `None` when there is another character or an odd one at the end.
#[must_use]
pub fn hex_bytes(text: &[u8]) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks_exact(2).map(|pair| Some(hex_nibble(pair[0])? << 4 | hex_nibble(pair[1])?)).collect()
}

/// Bytes as upper-case hex.
#[must_use]
pub fn hex_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(nibble_character(byte >> 4)));
        text.push(char::from(nibble_character(byte & 0x0f)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_ebcdic() {
        for byte in 0..=255 {
            assert_eq!(from_ebcdic(to_ebcdic(byte)), byte);
        }
        let shown: Vec<u8> = [0xc1, 0xe9, 0xf0, 0x40, 0x60].map(from_ebcdic).to_vec();
        assert_eq!(shown, b"AZ0 -");
    }

    #[test]
    fn digits_are_checked_and_read_at_every_length() {
        for length in 0..=24_usize {
            let digits: Vec<u8> = (0..length * 2).map(|at| (at * 7 % 10) as u8).collect();
            let bcd: Vec<u8> = digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect();
            let ascii: Vec<u8> = digits.iter().take(length).map(|digit| digit | ASCII_ZERO).collect();
            let ebcdic: Vec<u8> = digits.iter().take(length).map(|digit| digit | EBCDIC_ZERO).collect();
            assert!(is_bcd(&bcd) && is_zoned(&ascii, ASCII_ZERO) && is_zoned(&ebcdic, EBCDIC_ZERO));
            let value = |count: usize| {
                digits[..count]
                    .iter()
                    .try_fold(0_u64, |value, d| value.checked_mul(10)?.checked_add(u64::from(*d)))
            };
            if length <= 16 {
                assert_eq!(bcd_value(&bcd), value(length * 2), "{length} bytes");
            }
            assert_eq!(zoned_value(&ascii), value(length));
            assert_eq!(zoned_value(&ebcdic), value(length));
            for at in 0..length {
                for wrong in 0..=255_u8 {
                    let spoiled = |good: &[u8]| {
                        let mut bytes = good.to_vec();
                        bytes[at] = wrong;
                        bytes
                    };
                    assert_eq!(is_bcd(&spoiled(&bcd)), wrong >> 4 < 10 && wrong & 15 < 10);
                    let track = |nibble: u8| nibble < 10 || nibble == 13;
                    assert_eq!(is_bcd_track(&spoiled(&bcd)), track(wrong >> 4) && track(wrong & 15));
                    assert_eq!(is_zoned(&spoiled(&ascii), ASCII_ZERO), wrong.is_ascii_digit());
                    assert_eq!(is_zoned(&spoiled(&ebcdic), EBCDIC_ZERO), (0xf0..=0xf9).contains(&wrong));
                }
            }
        }
    }

    #[test]
    fn pairs_and_four_digits_are_written_and_read() {
        for number in 0..10_000_u16 {
            let [high, low] = [number / 100, number % 100].map(|pair| bcd_pair(pair as u8));
            assert_eq!(four_bcd([high, low]), Some(number));
            let nibbles = [high >> 4, high & 0x0f, low >> 4, low & 0x0f];
            for zero in [ASCII_ZERO, EBCDIC_ZERO] {
                let zoned = nibbles.map(|nibble| zero | nibble);
                assert_eq!(four_zoned(zoned, zero), Some(number));
                assert_eq!(four_zoned(zoned, zero ^ 0x10), None);
            }
        }
        assert_eq!((four_bcd([0x0a, 0]), four_zoned(*b"01:0", ASCII_ZERO)), (None, None));
    }

    #[test]
    fn tracks_are_checked_at_every_length() {
        for zero in [ASCII_ZERO, EBCDIC_ZERO] {
            let wire = |text: &[u8]| -> Vec<u8> {
                text.iter().map(|byte| if zero == EBCDIC_ZERO { to_ebcdic(*byte) } else { *byte }).collect()
            };
            for length in 0..=24 {
                let track = wire(&b"0123456789=D987654321=D0"[..length]);
                assert!(is_zoned_track(&track, zero), "{length}");
                for at in 0..length {
                    for wrong in 0..=255_u8 {
                        let mut spoiled = track.clone();
                        spoiled[at] = wrong;
                        let right = wire(b"0123456789=D").contains(&wrong);
                        assert_eq!(is_zoned_track(&spoiled, zero), right, "{length} {at} {wrong:02x}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_behind_the_end_is_zero() {
        let bytes: Vec<u8> = (1..=11).collect();
        for at in 0..14_u32 {
            let expected =
                (0..8).map(|n| u64::from(bytes.get(at as usize + n).copied().unwrap_or(0)) << (8 * n));
            assert_eq!(load_from(&bytes, at), expected.sum::<u64>(), "{at}");
        }
    }

    #[test]
    fn digits_are_checked_and_read_from_their_end() {
        let front = [0xff; 8];
        for count in 0..=16_usize {
            let digits: Vec<u8> = (0..count).map(|at| (at * 7 + 3) as u8 % 10).collect();
            let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(*digit));
            let padded: Vec<u8> = std::iter::repeat_n(0, count % 2).chain(digits.iter().copied()).collect();
            let packed = padded.chunks(2).map(|pair| pair[0] << 4 | pair[1]);
            let bcd: Vec<u8> = front.into_iter().chain(packed).collect();
            assert_eq!(bcd_before(&bcd, bcd.len(), count), Some(value));
            assert_eq!((bcd_before(&bcd, bcd.len() + 1, count), bcd_before(&bcd, 7, count)), (None, None));
            let (width, pad) = (bcd.len() - 8, if count % 2 == 1 { 0x0f } else { 0 });
            if width == 0 {
                continue;
            }
            assert!(is_bcd_before(&bcd, bcd.len(), width, pad));
            assert!(!is_bcd_before(&bcd, bcd.len() + 1, width, pad) && !is_bcd_before(&bcd, 7, 1, pad));
            for at in 8..bcd.len() {
                for wrong in 0..=255_u8 {
                    let mut spoiled = bcd.clone();
                    spoiled[at] = wrong;
                    let padded = at > 8 || count % 2 == 0 || wrong >> 4 == 0;
                    let right = padded && wrong >> 4 < 10 && wrong & 15 < 10;
                    assert_eq!(is_bcd_before(&spoiled, spoiled.len(), width, pad), right);
                }
            }
            for zero in [ASCII_ZERO, EBCDIC_ZERO] {
                let zoned: Vec<u8> =
                    front.into_iter().chain(digits.iter().map(|digit| digit | zero)).collect();
                assert_eq!(zoned_before(&zoned, zoned.len(), count), Some(value));
                assert!(is_zoned_before(&zoned, zoned.len(), count, zero));
                if count > 8 {
                    let mask = last_bytes(count - 8) & each(0x0f);
                    assert_eq!(wide_before(&zoned, zoned.len(), mask), Some(value));
                    assert_eq!(wide_before(&zoned, 7, mask), None);
                }
                for at in 8..zoned.len() {
                    for wrong in 0..=255_u8 {
                        let mut spoiled = zoned.clone();
                        spoiled[at] = wrong;
                        let right = (zero..zero + 10).contains(&wrong);
                        assert_eq!(is_zoned_before(&spoiled, spoiled.len(), count, zero), right);
                    }
                }
            }
        }
    }

    #[test]
    fn numbers_of_constant_width_are_read() {
        fn zoned<const N: usize>(bytes: &[u8]) {
            let exact = bytes.first_chunk::<N>().expect("as many");
            assert_eq!(Some(zoned_number(exact)), zoned_value(exact), "{exact:?}");
        }
        fn packed<const N: usize>(bytes: &[u8]) {
            let exact = bytes.first_chunk::<N>().expect("as many");
            assert_eq!(Some(packed_number(exact)), bcd_value(exact), "{exact:?}");
        }
        let digit = |start: u8, at: u8| (start + at * 7) % 10;
        for start in 0..10 {
            for zero in [ASCII_ZERO, EBCDIC_ZERO] {
                let bytes: Vec<u8> = (0..16).map(|at| digit(start, at) | zero).collect();
                let widths =
                    [zoned::<2>, zoned::<3>, zoned::<4>, zoned::<5>, zoned::<6>, zoned::<7>, zoned::<8>];
                let wide = [zoned::<9>, zoned::<10>, zoned::<11>, zoned::<12>, zoned::<13>, zoned::<16>];
                widths.iter().chain(&wide).for_each(|same| same(&bytes));
            }
            let bytes: Vec<u8> = (0..8).map(|at| digit(start, at) << 4 | digit(start, at + 3)).collect();
            let widths =
                [packed::<1>, packed::<2>, packed::<3>, packed::<4>, packed::<5>, packed::<6>, packed::<8>];
            widths.iter().for_each(|same| same(&bytes));
        }
    }

    #[test]
    fn hex_there_and_back() {
        assert_eq!(hex_bytes(b"00fFa5").as_deref(), Some([0, 0xff, 0xa5].as_slice()));
        assert_eq!(hex_text(&[0, 0xff, 0xa5]), "00FFA5");
        assert_eq!((hex_bytes(b"0"), hex_bytes(b"0g")), (None, None));
    }
}
