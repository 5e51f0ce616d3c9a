//! Card numbers, and the references that stand for them everywhere else.

use std::fmt;

/// Fewest digits of a primary account number that is accepted (ISO/IEC 7812 allows 8 to 19).
pub const PAN_DIGITS_MIN: usize = 8;
/// Most digits of a primary account number (DE 2 is `n..19`).
pub const PAN_DIGITS_MAX: usize = 19;

/// Powers of ten by their number of zeros.
const POWERS: [u64; PAN_DIGITS_MAX + 1] = {
    let mut powers = [1; PAN_DIGITS_MAX + 1];
    let mut zeros = 1;
    while zeros < powers.len() {
        powers[zeros] = powers[zeros - 1] * 10;
        zeros += 1;
    }
    powers
};

/// A primary account number (DE 2). It has no `Display` and no serialization, and its `Debug` masks it.
///
/// Held as its value and its number of digits: nineteen digits fit an unsigned 64-bit integer.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pan {
    value: u64,
    digits: u8,
}

/// Why a text is no card number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PanError {
    /// Fewer than 8 or more than 19 digits.
    #[error("a card number has {PAN_DIGITS_MIN} to {PAN_DIGITS_MAX} digits")]
    Length,
    /// Something that is not a decimal digit.
    #[error("a card number has decimal digits only")]
    NotDigits,
}

impl Pan {
    /// Reads ASCII digits.
    ///
    /// # Errors
    /// The length is out of range, or a byte is not a digit.
    pub fn from_ascii(digits: &[u8]) -> Result<Self, PanError> {
        if !(PAN_DIGITS_MIN..=PAN_DIGITS_MAX).contains(&digits.len()) {
            return Err(PanError::Length);
        }
        let mut value = 0_u64;
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return Err(PanError::NotDigits);
            }
            value = value * 10 + u64::from(digit);
        }
        Ok(Self { value, digits: digits.len() as u8 })
    }

    /// A card number from its value and its number of digits; the inverse of [`Pan::value`] and [`Pan::digits`].
    ///
    /// # Errors
    /// The length is out of range, or the value has more digits than that.
    pub const fn from_value(value: u64, digits: u8) -> Result<Self, PanError> {
        if (digits as usize) < PAN_DIGITS_MIN || digits as usize > PAN_DIGITS_MAX {
            return Err(PanError::Length);
        }
        if value >= POWERS[digits as usize] {
            return Err(PanError::Length);
        }
        Ok(Self { value, digits })
    }

    /// The number as an integer, without its leading zeros. For keyed hashing, comparison and sealing only.
    #[must_use]
    pub const fn value(self) -> u64 {
        self.value
    }

    /// How many digits it has, leading zeros included.
    #[must_use]
    pub const fn digits(self) -> u8 {
        self.digits
    }

    /// Writes the clear digits, right-aligned in 19 bytes, and returns where they start. Used where a message
    /// or a sealed record is made; the caller must not let the buffer reach a log.
    #[must_use]
    pub fn clear_ascii(self, buffer: &mut [u8; PAN_DIGITS_MAX]) -> usize {
        let mut value = self.value;
        for byte in buffer.iter_mut().rev() {
            *byte = b'0' + (value % 10) as u8;
            value /= 10;
        }
        PAN_DIGITS_MAX - self.digits as usize
    }

    /// First six and last four digits, the most that may be shown (PCI DSS 3.4.1).
    #[must_use]
    pub const fn masked(self) -> MaskedPan {
        // A short number would be nearly whole with ten digits shown: it keeps only its last four.
        let first6 =
            if self.digits >= 13 { (self.value / 10_u64.pow(self.digits as u32 - 6)) as u32 } else { 0 };
        MaskedPan { first6, last4: (self.value % 10_000) as u16, digits: self.digits }
    }

    /// Whether the check digit is right (ISO/IEC 7812-1 annex B).
    #[must_use]
    pub const fn check_digit_is_right(self) -> bool {
        let mut value = self.value;
        let mut sum = 0;
        let mut double = false;
        while value > 0 {
            let mut digit = value % 10;
            if double {
                digit = digit * 2 - if digit > 4 { 9 } else { 0 };
            }
            sum += digit;
            double = !double;
            value /= 10;
        }
        sum % 10 == 0
    }
}

impl fmt::Debug for Pan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.masked(), f)
    }
}

/// What may be shown of a card number: `411111******1111`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MaskedPan {
    first6: u32,
    last4: u16,
    digits: u8,
}

impl MaskedPan {
    /// From the parts that a record keeps: the first six digits, the last four, and the length.
    #[must_use]
    pub const fn new(first6: u32, last4: u16, digits: u8) -> Self {
        Self { first6, last4, digits }
    }

    /// First six digits as a number, last four as a number, and how many digits there are.
    #[must_use]
    pub const fn parts(self) -> (u32, u16, u8) {
        (self.first6, self.last4, self.digits)
    }
}

impl fmt::Display for MaskedPan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.digits);
        if digits >= 13 {
            write!(f, "{:06}{:*<width$}{:04}", self.first6, "", self.last4, width = digits - 10)
        } else {
            write!(f, "{:*<width$}{:04}", "", self.last4, width = digits.saturating_sub(4))
        }
    }
}

impl fmt::Debug for MaskedPan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Stands for one card everywhere but in the card's own record. Given once, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CardRef(pub u64);

impl CardRef {
    /// The bits below the slot: which card of the slot it is.
    pub const SERIAL_BITS: u32 = 40;

    /// The reference of a slot's card with this serial number.
    #[must_use]
    pub const fn new(slot: super::party::Slot, serial: u32) -> Self {
        Self((slot.number() as u64) << Self::SERIAL_BITS | serial as u64)
    }
}

/// Which card a message names, as far as we know it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CardIdentity {
    /// One of ours.
    Known(CardRef),
    /// Not one of ours: only what may be shown is kept.
    Unknown(MaskedPan),
}

/// Whether a card may be used (the seed file's `status`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum CardStatus {
    /// In use.
    Active = 0,
    /// Blocked for a time by the customer or by us.
    Frozen = 1,
    /// Reported lost.
    Lost = 2,
    /// Reported stolen.
    Stolen = 3,
    /// Closed for good.
    Closed = 4,
}

impl CardStatus {
    /// Every status with its name in files and on the HTTP face.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Active, "active"),
        (Self::Frozen, "frozen"),
        (Self::Lost, "lost"),
        (Self::Stolen, "stolen"),
        (Self::Closed, "closed"),
    ];

    /// Those that are for good: such a card is never used again.
    pub const ENDED: [Self; 3] = [Self::Lost, Self::Stolen, Self::Closed];

    /// The status of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(status, _)| *status)
    }

    /// The status of this code (its discriminant).
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).map(|(status, _)| *status)
    }

    /// Its name in files and on the HTTP face.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// A three-digit service code from the card's track.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ServiceCode(pub u16);

/// Whether a card's product asks for what the cardholder presented to be verified (R28).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Verification {
    /// What came is not checked, and the answer says "not performed".
    None = 0,
    /// A PIN or a cryptogram must be verified; without a way to do so the request is declined.
    Required = 1,
}

impl Verification {
    /// The setting of this code (its discriminant).
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            1 => Some(Self::Required),
            _ => None,
        }
    }
}

/// Seals and opens card numbers where they are stored. The only implementation is `crypto::Vault`.
/// Several threads may use it at a time.
pub trait PanSeal: Sync {
    /// Seals a card number under a nonce that is never used twice, bound to its card reference.
    fn seal(&self, pan: Pan, nonce: SealNonce, card: CardRef) -> SealedPan;

    /// Opens it again; `None` when the key does not fit or a byte has changed.
    fn open(&self, sealed: &SealedPan, nonce: SealNonce, card: CardRef) -> Option<Pan>;
}

/// Where a sealed card number is written: the epoch rises at every start, so no pair comes twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealNonce {
    /// The journal's epoch.
    pub epoch: u32,
    /// The record's sequence.
    pub sequence: u64,
}

/// Bytes of a sealed card number: ten of ciphertext and a tag of sixteen.
pub const SEALED_PAN_BYTES: usize = 26;

/// A card number that only the vault can open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SealedPan(pub [u8; SEALED_PAN_BYTES]);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_number_reads_writes_and_masks() {
        let table = [
            ("4111111111111111", "411111******1111"),
            ("0000000000001234567", "000000*********4567"),
            ("9999999999999999999", "999999*********9999"),
            ("4222222222222", "422222***2222"),
            ("12345678", "****5678"),
        ];
        for (clear, masked) in table {
            let pan = Pan::from_ascii(clear.as_bytes()).expect("a card number");
            let mut buffer = [0; PAN_DIGITS_MAX];
            let start = pan.clear_ascii(&mut buffer);
            assert_eq!(&buffer[start..], clear.as_bytes());
            assert_eq!(format!("{pan:?}"), masked);
            assert_eq!(Pan::from_value(pan.value(), pan.digits()), Ok(pan));
        }
        assert_eq!(Pan::from_ascii(b"41111111x1111111"), Err(PanError::NotDigits));
        assert_eq!(Pan::from_ascii(b"1234567"), Err(PanError::Length));
        assert_eq!(Pan::from_ascii(b"12345678901234567890"), Err(PanError::Length));
    }

    #[test]
    fn check_digits() {
        for (clear, right) in
            [("4111111111111111", true), ("4111111111111112", false), ("5204740000001010", true)]
        {
            assert_eq!(Pan::from_ascii(clear.as_bytes()).expect("digits").check_digit_is_right(), right);
        }
    }
}
