//! What the first bytes of a field must be, looked at all at once.

/// What the first eight bytes of a field must be, as masks, so that fields of all kinds are checked alike and without
/// a branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Check {
    /// The high nibbles of digits that have a byte each.
    zone: u64,
    /// Bits that must be as in `zone`.
    fixed: u64,
    /// The highest bit of each nibble that must be a decimal digit.
    digits: u64,
}

impl Check {
    pub(crate) const NONE: Self = Self { zone: 0, fixed: 0, digits: 0 };

    pub(crate) fn bcd(digits: u16) -> Self {
        let spare = if digits % 2 == 1 { 0xf0 } else { 0 };
        Self { zone: 0, fixed: spare, digits: first_bytes(digits.div_ceil(2), 0x88) }
    }

    pub(crate) fn zoned(digits: u16, zero: u8) -> Self {
        let of = |byte| first_bytes(digits, byte);
        Self { zone: of(zero), fixed: of(0xf0), digits: of(0x08) }
    }

    /// Whether a field that starts with these bytes, the first one lowest, is right.
    #[inline(always)]
    pub(crate) const fn is_right(&self, start: u64) -> bool {
        let x = start ^ self.zone;
        // No digit has its highest bit together with one of the two in the middle.
        x & (self.fixed | (x << 1 | x << 2) & self.digits) == 0
    }
}

/// Up to eight times the same byte, from the lowest on.
pub(crate) fn first_bytes(count: u16, byte: u8) -> u64 {
    (0..count.min(8)).fold(0, |bytes, _| bytes << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iso8583::digits::ASCII_ZERO;
    use crate::iso8583::digits::EBCDIC_ZERO;

    /// A field of so many digits, each encoding, with one byte that may be anything.
    #[test]
    fn a_check_takes_digits_and_their_pad() {
        for digits in 1..=16_u16 {
            let width = usize::from(digits.div_ceil(2));
            let bcd = Check::bcd(digits);
            for (at, wrong) in (0..8).flat_map(|at| (0..=255).map(move |wrong| (at, wrong))) {
                let mut bytes = [0xff; 8];
                bytes[..width].fill(0x12);
                if digits % 2 == 1 {
                    bytes[0] = 0x02;
                }
                assert!(bcd.is_right(u64::from_le_bytes(bytes)), "{digits}");
                bytes[at] = wrong;
                let padded = at > 0 || digits % 2 == 0 || wrong >> 4 == 0;
                let right = at >= width || padded && wrong >> 4 < 10 && wrong & 15 < 10;
                assert_eq!(bcd.is_right(u64::from_le_bytes(bytes)), right, "{digits} {at} {wrong:02x}");
                for zero in [ASCII_ZERO, EBCDIC_ZERO] {
                    let mut bytes = [0x0f; 8];
                    bytes[..usize::from(digits.min(8))].fill(zero | 7);
                    bytes[at] = wrong;
                    let right = at >= usize::from(digits) || wrong & 0xf0 == zero && wrong & 15 < 10;
                    let check = Check::zoned(digits, zero);
                    assert_eq!(check.is_right(u64::from_le_bytes(bytes)), right, "{digits} {at} {wrong:02x}");
                }
            }
        }
    }
}
