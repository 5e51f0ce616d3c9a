//! How a card is being used, as limits and controls look at it: channel, kind, merchant and place.

use std::fmt;

use xxhash_rust::xxh3::xxh3_64;

use super::money::Currency;
use super::party::MerchantId;
use super::party::Text;
use super::request::MessageKey;
use super::request::ProcessingCode;
use super::request::TransactionKind;

/// The way in which a card is used. The dialect tells it from what the network says.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum Channel {
    /// None of the others, or the message does not say: keyed at a counter, by mail or telephone.
    #[default]
    Other = 0,
    /// The chip was read by contact.
    Chip = 1,
    /// Chip or stripe data came by radio.
    Contactless = 2,
    /// The magnetic stripe was read, a chip that could not be read included.
    MagneticStripe = 3,
    /// Electronic commerce, or a card number that a merchant keeps on file.
    Ecommerce = 4,
    /// A cash machine, however it read the card.
    Atm = 5,
}

impl Channel {
    /// Every channel with its name in files and on the HTTP face.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Other, "other"),
        (Self::Chip, "chip"),
        (Self::Contactless, "contactless"),
        (Self::MagneticStripe, "magstripe"),
        (Self::Ecommerce, "ecommerce"),
        (Self::Atm, "atm"),
    ];

    /// The channel of this code (its discriminant).
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).map(|(channel, _)| *channel)
    }

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// What is paid for, as far as limits tell it apart: bits, so that several can be named at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Kinds(pub u8);

impl Kinds {
    /// Every kind with its name on the HTTP face.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self(1), "purchase"), (Self(1 << 1), "cash"), (Self(1 << 2), "other")];
    /// The bits that are in use.
    pub const MASK: u8 = 7;

    /// The names of what is in it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.into_iter().filter(move |(kind, _)| self.0 & kind.0 != 0).map(|(_, name)| name)
    }

    /// The one bit of a kind of transaction: cash back is part of a purchase, and what is as good as cash is cash.
    #[must_use]
    pub const fn of(kind: TransactionKind) -> Self {
        match kind {
            TransactionKind::Purchase | TransactionKind::PurchaseWithCashBack => Self(1),
            TransactionKind::Cash | TransactionKind::QuasiCash => Self(1 << 1),
            _ => Self(1 << 2),
        }
    }
}

/// A set of channels: bits, by the channel's code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Channels(pub u8);

impl Channels {
    /// The bits that are in use.
    pub const MASK: u8 = (1 << Channel::ALL.len()) - 1;

    /// With one more.
    #[must_use]
    pub const fn with(self, channel: Channel) -> Self {
        Self(self.0 | 1 << channel as u8)
    }

    /// The names of what is in it.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Channel::ALL.into_iter().filter(move |(channel, _)| self.has(*channel)).map(|(_, name)| name)
    }

    /// Whether a channel is in it.
    #[must_use]
    pub const fn has(self, channel: Channel) -> bool {
        self.0 >> channel as u8 & 1 != 0
    }
}

/// Stands for a merchant's DE 42: half of a hash with no key, the same for ever. Zero stands for no merchant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct MerchantPrint(pub u64);

impl MerchantPrint {
    /// The fingerprint of a DE 42.
    #[must_use]
    pub fn of(merchant: &MerchantId) -> Self {
        if merchant.is_blank() { Self(0) } else { Self(xxh3_64(&merchant.0).max(1)) }
    }

    /// The fingerprint of a DE 42 that is given as text, of 1 to 15 printable characters.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Self> {
        let fits = !text.is_empty() && text.len() <= 15 && text.bytes().all(|byte| matches!(byte, 32..=126));
        let print = Self::of(&Text::from_ascii(text.as_bytes()));
        (fits && print.0 != 0).then_some(print)
    }
}

impl fmt::Display for MerchantPrint {
    /// Sixteen digits to the base of 16.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for MccRange {
    /// As [`MccRange::of_text`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            return write!(f, "{:04}", self.first);
        }
        write!(f, "{:04}-{:04}", self.first, self.last)
    }
}

/// A range of merchant category codes (DE 18), both ends included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MccRange {
    /// The lowest, 0 to 9999.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

impl MccRange {
    /// A range; `None` when it is empty or has more than four digits.
    #[must_use]
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first <= last && last <= 9999 { Some(Self { first, last }) } else { None }
    }

    /// No category.
    pub const NONE: Self = Self { first: 1, last: 0 };

    /// Whether a code is in it. Zero, for a message without one, is in none.
    #[must_use]
    pub const fn has(self, mcc: u16) -> bool {
        mcc != 0 && self.first <= mcc && mcc <= self.last
    }

    /// The ranges of a text: `5411`, `5500-5599`, or the name of a group.
    #[must_use]
    pub fn of_text(text: &str) -> Option<Vec<Self>> {
        if let Some((_, ranges)) = MCC_GROUPS.iter().find(|(name, _)| *name == text) {
            return Some(ranges.iter().map(|(first, last)| Self { first: *first, last: *last }).collect());
        }
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let number = |digits: &str| {
            let four = digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_digit());
            if four { digits.parse::<u16>().ok() } else { None }
        };
        Some(vec![Self::new(number(first)?, number(last)?)?])
    }
}

/// Groups of category codes by name. A limit or a control keeps the ranges, so that a change here changes none that is
/// set. The codes are those of ISO 18245 and the networks' public lists.
pub const MCC_GROUPS: &[(&str, &[(u16, u16)])] = &[
    ("adult", &[(5967, 5967), (7273, 7273), (7297, 7297)]),
    ("airlines", &[(3000, 3350), (4511, 4511)]),
    ("alcohol-tobacco", &[(5813, 5813), (5921, 5921), (5993, 5993)]),
    ("car-rental", &[(3351, 3500), (7512, 7513), (7519, 7519)]),
    ("cash", &[(6010, 6011)]),
    ("fuel", &[(5541, 5542), (5552, 5552), (5983, 5983)]),
    ("gambling", &[(7800, 7802), (7995, 7995), (9406, 9406), (9754, 9754)]),
    ("groceries", &[(5411, 5411), (5422, 5422), (5441, 5441), (5451, 5451), (5462, 5462), (5499, 5499)]),
    ("lodging", &[(3501, 3999), (7011, 7012)]),
    ("quasi-cash", &[(4829, 4829), (6050, 6051), (6211, 6211), (6529, 6540)]),
    ("restaurants", &[(5811, 5814)]),
    ("transport", &[(4011, 4011), (4111, 4112), (4121, 4121), (4131, 4131), (4784, 4784), (4789, 4789)]),
];

/// What limits and controls look at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// How the card is used.
    pub channel: Channel,
    /// What is paid for: one bit.
    pub kind: Kinds,
    /// DE 18; zero when absent.
    pub mcc: u16,
    /// DE 19; zero when absent.
    pub country: u16,
    /// DE 4, where a control may ask for it; else zero.
    pub amount: i64,
    /// DE 49.
    pub currency: Currency,
    /// DE 42.
    pub merchant: MerchantPrint,
    /// The merchant asks by itself, with what it keeps on file of the card.
    pub merchant_initiated: bool,
}

impl Usage {
    /// That of a message with this key, DE 3, DE 49, channel, DE 18 and DE 19.
    #[must_use]
    pub fn of(
        key: &MessageKey,
        code: ProcessingCode,
        currency: Currency,
        channel: Channel,
        mcc: u16,
        country: u16,
    ) -> Self {
        let (kind, merchant) = (Kinds::of(code.kind()), MerchantPrint::of(&key.merchant));
        Self { channel, kind, mcc, country, amount: 0, currency, merchant, merchant_initiated: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn category_codes_are_read_from_text() {
        type Ranges = &'static [(u16, u16)];
        let table: [(&str, Option<Ranges>); 11] = [
            ("5411", Some(&[(5411, 5411)])),
            ("5500-5599", Some(&[(5500, 5599)])),
            ("0742", Some(&[(742, 742)])),
            ("cash", Some(&[(6010, 6011)])),
            ("5599-5500", None),
            ("541", None),
            ("54111", None),
            ("+541", None),
            ("5411-", None),
            ("", None),
            ("casino", None),
        ];
        for (text, ranges) in table {
            let expected = ranges.map(|ranges| {
                ranges.iter().map(|(first, last)| MccRange { first: *first, last: *last }).collect()
            });
            assert_eq!(MccRange::of_text(text), expected, "{text}");
        }
    }

    #[test]
    fn groups_are_in_order_and_their_ranges_are_ranges() {
        assert!(MCC_GROUPS.is_sorted_by_key(|(name, _)| name));
        for (name, ranges) in MCC_GROUPS {
            assert!(ranges.iter().all(|(first, last)| MccRange::new(*first, *last).is_some()), "{name}");
            assert!(ranges.is_sorted(), "{name}");
        }
    }

    #[test]
    fn a_merchant_is_told_by_what_stands_in_the_field() {
        let print = MerchantPrint::of_text("SHOP 1").expect("a merchant");
        assert_eq!(print, MerchantPrint::of(&Text::from_ascii(b"SHOP 1         ")));
        assert_ne!(print, MerchantPrint::of(&Text::from_ascii(b"SHOP 2")));
        assert_eq!(MerchantPrint::of(&Text::BLANK), MerchantPrint(0));
        for none in ["", "   ", "1234567890123456", "a\u{e4}"] {
            assert_eq!(MerchantPrint::of_text(none), None, "{none}");
        }
    }
}
