//! What a clearing file says: presentments, freed from their encoding, and what tells one from another (R20).

use std::fmt;

use crate::domain::card::Pan;
use crate::domain::cleared::RecordKey;
use crate::domain::day::Day;
use crate::domain::day::TimeOfDay;
use crate::domain::money::Money;
use crate::domain::party::InstitutionId;
use crate::domain::party::MerchantId;
use crate::domain::party::NameId;
use crate::domain::party::Rrn;
use crate::domain::party::TerminalId;
use crate::domain::party::Text;
use crate::domain::request::ApprovalCode;
use crate::domain::request::ProcessingCode;
use crate::domain::request::Stan;

/// Digits of an acquirer reference number.
pub const ARN_DIGITS: usize = 23;

/// Acquirer reference number (IPM DE 31; BASE II TCR 0): 23 ASCII digits that the acquirer gives to a presentment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Arn([u8; ARN_DIGITS]);

impl Arn {
    /// From ASCII; `None` when a byte is no digit.
    #[must_use]
    pub fn new(digits: [u8; ARN_DIGITS]) -> Option<Self> {
        digits.iter().all(u8::is_ascii_digit).then_some(Self(digits))
    }

    /// Whether the acquirer gave none: all digits are zero.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0 == [b'0'; ARN_DIGITS]
    }

    /// The digits in ASCII.
    #[must_use]
    pub const fn ascii(&self) -> &[u8; ARN_DIGITS] {
        &self.0
    }

    /// The digits packed, two a byte, the first byte holding one.
    #[must_use]
    pub fn packed(&self) -> [u8; 12] {
        let mut packed = [0; 12];
        for (at, digit) in self.0.iter().enumerate() {
            let half = at + 1;
            packed[half / 2] |= (digit - b'0') << if half.is_multiple_of(2) { 4 } else { 0 };
        }
        packed
    }

    /// From [`Self::packed`]; `None` when a half is no digit.
    #[must_use]
    pub fn from_packed(packed: [u8; 12]) -> Option<Self> {
        let half = |at: usize| packed[at / 2] >> (if at.is_multiple_of(2) { 4 } else { 0 }) & 15;
        let digits = std::array::from_fn(|at| b'0' + half(at + 1));
        if half(0) != 0 { None } else { Self::new(digits) }
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|digit| fmt::Write::write_char(f, char::from(*digit)))
    }
}

impl fmt::Debug for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a presentment is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Purpose {
    /// Goods and services, with or without cash back (TC 05; DE 3 = 00, 09, 10, 11, 18).
    Purchase = 0,
    /// Cash (TC 07; DE 3 = 01, 17).
    Cash = 1,
    /// Money back for goods that were returned (TC 06; DE 3 = 20): a credit.
    Refund = 2,
    /// Money that was sent to the card (TC 06 with qualifier 2; DE 3 = 26, 28): a credit.
    OriginalCredit = 3,
}

impl Purpose {
    /// Every purpose with its name in files and reports, in the order of their codes.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Purchase, "purchase"),
        (Self::Cash, "cash"),
        (Self::Refund, "refund"),
        (Self::OriginalCredit, "original-credit"),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// Whether it gives money to the cardholder, as long as it is not reversed.
    #[must_use]
    pub const fn is_credit(self) -> bool {
        matches!(self, Self::Refund | Self::OriginalCredit)
    }

    /// DE 3 of such a transaction.
    #[must_use]
    pub const fn processing_code(self) -> ProcessingCode {
        ProcessingCode(match self {
            Self::Purchase => 0,
            Self::Cash => 10_000,
            Self::Refund => 200_000,
            Self::OriginalCredit => 260_000,
        })
    }

    /// The purpose of this code (its discriminant).
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).map(|(purpose, _)| *purpose)
    }
}

/// Whether a presentment is the first one, or came again after a chargeback.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum Usage {
    /// The first presentment (BASE II usage code 1; DE 24 = 200).
    #[default]
    First = 0,
    /// A second presentment, which answers a chargeback (usage code 2; DE 24 = 205, 282).
    Second = 1,
}

/// What a record is: a presentment for some purpose, or the reversal of one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Function {
    /// What it is, or what it reverses, is for.
    pub purpose: Purpose,
    /// It gives back the posting of an earlier record and makes no new hold (R20).
    pub reversal: bool,
    /// The first presentment or a second one.
    pub usage: Usage,
    /// What the file itself says, as the record's key needs it: in BASE II transaction code, qualifier and usage code
    /// as one number of four digits; in IPM the MTI, DE 24, and 1 for a reversal, as one number of eight.
    pub code: u32,
}

impl Function {
    /// Whether it gives money to the cardholder.
    #[must_use]
    pub const fn is_credit(self) -> bool {
        self.purpose.is_credit() != self.reversal
    }
}

/// Which part of a transaction a presentment is (R20).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Part {
    /// All of it.
    #[default]
    Whole,
    /// One of several that are numbered (BASE II TCR 5, multiple clearing sequence number and count).
    Numbered {
        /// Its number, from 1.
        sequence: u8,
        /// How many there are; zero when nobody knows.
        count: u8,
    },
    /// One of several, and more will come (IPM DE 25 = 1403).
    Partial,
    /// The last of several (IPM DE 25 = 1404).
    Final,
}

impl Part {
    /// Whether nothing more is to come, so that the rest of the hold is released.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Whole | Self::Final => true,
            Self::Partial => false,
            Self::Numbered { sequence, count } => sequence >= count,
        }
    }

    /// As three bytes, for records and fingerprints.
    pub(crate) const fn bytes(self) -> [u8; 3] {
        match self {
            Self::Whole => [0; 3],
            Self::Numbered { sequence, count } => [1, sequence, count],
            Self::Partial => [2, 0, 0],
            Self::Final => [3, 0, 0],
        }
    }

    /// The part that these bytes stand for.
    pub(crate) const fn from_bytes(bytes: [u8; 3]) -> Option<Self> {
        match bytes {
            [0, 0, 0] => Some(Self::Whole),
            [1, sequence, count] => Some(Self::Numbered { sequence, count }),
            [2, 0, 0] => Some(Self::Partial),
            [3, 0, 0] => Some(Self::Final),
            _ => None,
        }
    }
}

/// One record that moves money: what a merchant's bank asks for, gives back, or takes back.
///
/// Its `Debug` shows the card number masked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Presentment {
    /// The network that the file is from; the same as in [`MessageKey`](crate::domain::request::MessageKey).
    pub network: NameId,
    /// What it is.
    pub function: Function,
    /// Which part of the transaction it is.
    pub part: Part,
    /// The card (IPM DE 2; TCR 0).
    pub pan: Pan,
    /// The acquirer's name for the record.
    pub arn: Arn,
    /// In the currency of the transaction (DE 4 in DE 49; source amount). Never negative.
    pub amount: Money,
    /// In the currency of the cardholder (DE 6 in DE 51; destination amount).
    pub billing: Option<Money>,
    /// In the currency in which the network settles with us (DE 5 in DE 50).
    pub settlement: Option<Money>,
    /// What was approved (TCR 5).
    pub authorized: Option<Money>,
    /// DE 38; `None` when it is absent or blank.
    pub approval_code: Option<ApprovalCode>,
    /// The network's own id of the transaction, as the authorization had it: Visa's transaction identifier (TCR 5), or
    /// Mastercard's trace id (DE 63) as a number; zero when absent.
    pub network_reference: u64,
    /// DE 37; blank when absent.
    pub rrn: Rrn,
    /// DE 11, when the format has it.
    pub stan: Option<Stan>,
    /// DE 41; TCR 1.
    pub terminal: TerminalId,
    /// DE 42; TCR 1.
    pub merchant: MerchantId,
    /// Merchant category code (DE 26; TCR 0); zero when absent.
    pub mcc: u16,
    /// Where the merchant is, in the letters that the format has for it: three (IPM DE 43) or two (TCR 0).
    pub country: Text<3>,
    /// The acquiring institution (DE 32; the acquirer's business id of TCR 0); zero when absent.
    pub acquirer: InstitutionId,
    /// The day of the transaction where it took place.
    pub local_date: Option<Day>,
    /// The time of day there.
    pub local_time: Option<TimeOfDay>,
}

impl Presentment {
    /// What is posted: the cardholder's amount when the file has one, else that of the transaction (R11).
    #[must_use]
    pub fn billed(&self) -> Money {
        self.billing.unwrap_or(self.amount)
    }

    /// What it is known by (R20).
    #[must_use]
    pub fn key(&self) -> RecordKey {
        let Self { network, arn, pan, function, amount, part, network_reference, approval_code, .. } = *self;
        RecordKey {
            network,
            arn,
            card: pan.masked(),
            function,
            amount,
            part,
            network_reference,
            approval_code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r20_what_says_that_more_will_come_is_not_final() {
        let numbered = |sequence, count| Part::Numbered { sequence, count };
        let table = [
            (Part::Whole, true),
            (Part::Partial, false),
            (Part::Final, true),
            (numbered(1, 3), false),
            (numbered(2, 3), false),
            (numbered(3, 3), true),
            (numbered(1, 1), true),
            (numbered(4, 3), true),
            (numbered(2, 0), true),
        ];
        for (part, is_final) in table {
            assert_eq!(part.is_final(), is_final, "{part:?}");
        }
    }

    #[test]
    fn a_reversal_turns_the_direction_and_no_card_number_is_shown() {
        let function = |purpose, reversal| Function { purpose, reversal, usage: Usage::First, code: 0 };
        for (purpose, _) in Purpose::ALL {
            assert_ne!(function(purpose, false).is_credit(), function(purpose, true).is_credit());
        }
        assert!(function(Purpose::Refund, false).is_credit() && function(Purpose::Cash, true).is_credit());
        assert_eq!(Arn::new([b' '; ARN_DIGITS]), None);
    }
}
