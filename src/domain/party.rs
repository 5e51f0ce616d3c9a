//! Who takes part: wallets and their slots, institutions, terminals, merchants, links and networks.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

/// A wallet: what a customer's money is kept in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct WalletId(pub u64);

/// Whether a wallet may be used.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum WalletStatus {
    /// In use.
    Active = 0,
    /// Blocked for a time.
    Frozen = 1,
    /// Closed for good.
    Closed = 2,
}

impl WalletStatus {
    /// Every status with its name on the HTTP face.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::Active, "active"), (Self::Frozen, "frozen"), (Self::Closed, "closed")];

    /// The status of this code (its discriminant).
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).map(|(status, _)| *status)
    }

    /// The status of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(status, _)| *status)
    }

    /// Its name on the HTTP face.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// How many slots there are. Fixed for ever: records name slots, and a slot never changes its wallets.
pub const SLOTS: u16 = 1024;

/// One of the 1,024 parts that wallets are divided into. Shards, and later partitions, are ranges of slots.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Slot(u16);

impl Slot {
    /// The slot of a wallet.
    #[must_use]
    pub fn of_wallet(wallet: WalletId) -> Self {
        Self((xxh3_64(&wallet.0.to_le_bytes()) % u64::from(SLOTS)) as u16)
    }

    /// The slot where messages about a card that is not ours are kept.
    #[must_use]
    pub fn of_unknown_card(card: super::card::MaskedPan) -> Self {
        let (first6, last4, digits) = card.parts();
        let key = u64::from(first6) << 32 | u64::from(last4) << 8 | u64::from(digits);
        Self((xxh3_64(&key.to_le_bytes()) % u64::from(SLOTS)) as u16)
    }

    /// The slot of a card of ours: its reference begins with it.
    #[must_use]
    pub const fn of_card(card: super::card::CardRef) -> Self {
        Self((card.0 >> super::card::CardRef::SERIAL_BITS) as u16 % SLOTS)
    }

    /// The slot of anything that is spread by a number of its own.
    #[must_use]
    pub const fn wrapping(number: u64) -> Self {
        Self((number % SLOTS as u64) as u16)
    }

    /// The slot with this number; `None` from 1,024 on.
    #[must_use]
    pub const fn new(number: u16) -> Option<Self> {
        if number < SLOTS { Some(Self(number)) } else { None }
    }

    /// Its number, below 1,024.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }
}

/// A name from the configuration, as the number that records carry: the low half of its hash, so that it means the
/// same after the configuration was reordered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct NameId(pub u32);

impl NameId {
    /// The number of a name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(xxh3_64(name.as_bytes()) as u32)
    }
}

/// Fixed-width text of the card-acceptor fields, kept as it came (in ASCII), padded with spaces.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Text<const N: usize>(pub [u8; N]);

impl<const N: usize> Text<N> {
    /// All spaces: the field was not in the message.
    pub const BLANK: Self = Self([b' '; N]);

    /// Takes up to `N` bytes, padded with spaces on the right.
    #[must_use]
    pub fn from_ascii(text: &[u8]) -> Self {
        let mut bytes = [b' '; N];
        for (to, from) in bytes.iter_mut().zip(text) {
            *to = *from;
        }
        Self(bytes)
    }

    /// Whether nothing but spaces is in it.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.0.iter().all(|byte| *byte == b' ')
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self::BLANK
    }
}

impl<const N: usize> fmt::Display for Text<N> {
    /// Trailing spaces are left out, and what could steer a terminal is shown as a dot.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
        for &byte in &self.0[..end] {
            let shown = if byte.is_ascii_graphic() || byte == b' ' { char::from(byte) } else { '.' };
            fmt::Write::write_char(f, shown)?;
        }
        Ok(())
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// Retrieval reference number (DE 37).
pub type Rrn = Text<12>;
/// Card acceptor terminal identification (DE 41).
pub type TerminalId = Text<8>;
/// Card acceptor identification code (DE 42).
pub type MerchantId = Text<15>;

/// An institution (DE 32, 33, 100): up to eleven digits. Zero stands for "not given", as in DE 90.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct InstitutionId(pub u64);
