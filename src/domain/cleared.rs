//! What became of a clearing record (R14, R15, R20), as the journal keeps it.

use xxhash_rust::xxh3::xxh3_64;
use xxhash_rust::xxh3::xxh3_128;

use super::card::CardIdentity;
use super::card::MaskedPan;
use super::clearing::ARN_DIGITS;
use super::clearing::Arn;
use super::clearing::Function;
use super::clearing::Part;
use super::event::Sequence;
use super::money::Currency;
use super::money::Money;
use super::party::InstitutionId;
use super::party::MerchantId;
use super::party::NameId;
use super::party::Rrn;
use super::party::Slot;
use super::party::TerminalId;
use super::request::ApprovalCode;
use super::request::ProcessingCode;
use super::usage::Channel;
use super::usage::Kinds;
use super::usage::MerchantPrint;
use super::usage::Usage;

/// What became of a clearing record.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Clearance {
    /// It posts what an open authorization holds or pends.
    Captured = 0,
    /// It posts, though what it was authorized by is open no more: captured before, expired or reversed (R14).
    Late = 1,
    /// A message had posted it before (02xx): nothing moves (R14).
    AlreadyPosted = 2,
    /// Nothing is known that it belongs to. It posts all the same: the network has paid.
    Forced = 3,
    /// A reversal that gives back what its presentment posted.
    Returned = 4,
    /// It is about a card that is not ours: the amount waits on the suspense account.
    UnknownCard = 5,
    /// The wallet has no account in any of its currencies: the amount waits on the suspense account.
    CurrencyNotHeld = 6,
    /// It answers a chargeback, which the wallet never heard of: the amount waits on the suspense account.
    SecondPresentment = 7,
    /// The account's balance cannot take it: the amount waits on the suspense account.
    AmountOutOfRange = 8,
}

impl Clearance {
    /// Every outcome with its name in reports, in the order of their codes.
    pub const ALL: [(Self, &'static str); 9] = [
        (Self::Captured, "captured"),
        (Self::Late, "late"),
        (Self::AlreadyPosted, "already-posted"),
        (Self::Forced, "forced"),
        (Self::Returned, "returned"),
        (Self::UnknownCard, "suspense-unknown-card"),
        (Self::CurrencyNotHeld, "suspense-currency-not-held"),
        (Self::SecondPresentment, "suspense-second-presentment"),
        (Self::AmountOutOfRange, "suspense-amount-out-of-range"),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The outcome of this code (its discriminant).
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).map(|(outcome, _)| *outcome)
    }

    /// Whether the amount waits on the suspense account, and no wallet has moved.
    #[must_use]
    pub const fn is_suspended(self) -> bool {
        matches!(
            self,
            Self::UnknownCard | Self::CurrencyNotHeld | Self::SecondPresentment | Self::AmountOutOfRange
        )
    }

    /// Whether a wallet's account is posted to.
    #[must_use]
    pub const fn posts(self) -> bool {
        matches!(self, Self::Captured | Self::Late | Self::Forced)
    }
}

/// By what a clearing record and an authorization belong together (R7, R8), the strongest last.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum MatchedBy {
    /// Nothing.
    Nothing = 0,
    /// DE 37, DE 41 and DE 42.
    Reference = 1,
    /// DE 38 in the same currency, with an amount that is within the tolerance.
    ApprovalCode = 2,
    /// The network's id of the transaction.
    NetworkReference = 3,
    /// The acquirer's reference number: a reversal and its presentment.
    Arn = 4,
}

impl MatchedBy {
    /// Every kind with its name in reports, in the order of their codes.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Nothing, "nothing"),
        (Self::Reference, "reference"),
        (Self::ApprovalCode, "approval-code"),
        (Self::NetworkReference, "network-reference"),
        (Self::Arn, "arn"),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The kind of this code (its discriminant).
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).map(|(by, _)| *by)
    }
}

/// A clearing record was posted, or it was seen that nothing is to be posted of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cleared {
    /// The wallet's slot, or the unknown card's.
    pub slot: Slot,
    /// The card.
    pub card: CardIdentity,
    /// The account that it is posted to, by its number in the wallet.
    pub account: u16,
    /// The network that the file is from.
    pub network: NameId,
    /// What the record is.
    pub function: Function,
    /// Which part of its transaction it is.
    pub part: Part,
    /// The acquirer's name for it.
    pub arn: Arn,
    /// In the currency of the transaction. Never negative.
    pub amount: Money,
    /// In the currency of the cardholder.
    pub billing: Option<Money>,
    /// DE 38, when given.
    pub approval_code: Option<ApprovalCode>,
    /// The network's own id of the transaction; zero when absent.
    pub network_reference: u64,
    /// DE 37; blank when absent.
    pub rrn: Rrn,
    /// DE 41; blank when absent.
    pub terminal: TerminalId,
    /// DE 42; blank when absent.
    pub merchant: MerchantId,
    /// The acquiring institution; zero when absent.
    pub acquirer: InstitutionId,
    /// Merchant category code; zero when absent.
    pub mcc: u16,
    /// What became of it.
    pub outcome: Clearance,
    /// By what it was matched.
    pub by: MatchedBy,
    /// The record of the authorization that it posts, of the posting that it gives back, or of the one that a message
    /// had made; zero for none.
    pub matches: Sequence,
    /// What leaves the account for settlement, minor units; negative when the account gets it. With a suspended record
    /// what leaves the suspense account.
    pub posted: i64,
    /// In which currency that is.
    pub posted_in: Currency,
    /// The configuration it was handled under.
    pub configuration: u32,
}

/// What a clearing record is found again by (R20): 128 bits of its network, acquirer reference, card, function, amount
/// and part. Of the card only the digits that may be shown go in, since the acquirer gives a reference only once; so
/// they may stand in the journal (R34).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordPrint(pub u128);

/// What a reversal and its presentment have in common: network, acquirer reference and card.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArnPrint(pub u64);

/// Bytes of network, acquirer reference and masked card number.
const NAMED_BYTES: usize = 4 + ARN_DIGITS + 4 + 2 + 1;

fn named(network: NameId, arn: &Arn, card: MaskedPan) -> [u8; NAMED_BYTES] {
    let (first6, last4, digits) = card.parts();
    let mut bytes = [0; NAMED_BYTES];
    bytes[..4].copy_from_slice(&network.0.to_le_bytes());
    bytes[4..4 + ARN_DIGITS].copy_from_slice(arn.ascii());
    let rest = &mut bytes[4 + ARN_DIGITS..];
    rest[..4].copy_from_slice(&first6.to_le_bytes());
    rest[4..6].copy_from_slice(&last4.to_le_bytes());
    rest[6] = digits;
    bytes
}

impl ArnPrint {
    /// Of a record of a network about a card.
    #[must_use]
    pub fn of(network: NameId, arn: &Arn, card: MaskedPan) -> Self {
        Self(xxh3_64(&named(network, arn, card)))
    }
}

impl RecordPrint {
    /// Of a record of a network about a card.
    #[must_use]
    pub fn of(network: NameId, arn: &Arn, card: MaskedPan, code: u32, amount: Money, part: Part) -> Self {
        let mut bytes = [0; NAMED_BYTES + 4 + 8 + 2 + 3];
        let (name, rest) = bytes.split_at_mut(NAMED_BYTES);
        name.copy_from_slice(&named(network, arn, card));
        rest[..4].copy_from_slice(&code.to_le_bytes());
        rest[4..12].copy_from_slice(&amount.minor.to_le_bytes());
        rest[12..14].copy_from_slice(&amount.currency.numeric().to_le_bytes());
        rest[14..].copy_from_slice(&part.bytes());
        Self(xxh3_128(&bytes))
    }
}

impl Cleared {
    /// What it is found again by. `card` is the card's number, masked.
    #[must_use]
    pub fn print(&self, card: MaskedPan) -> RecordPrint {
        RecordPrint::of(self.network, &self.arn, card, self.function.code, self.amount, self.part)
    }

    /// DE 3 of such a transaction.
    #[must_use]
    pub const fn processing_code(&self) -> ProcessingCode {
        self.function.purpose.processing_code()
    }

    /// What limits look at. A clearing file does not say how the card was used, nor the country as a number.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let (kind, merchant) = (Kinds::of(self.processing_code().kind()), MerchantPrint::of(&self.merchant));
        let Self { mcc, amount: Money { currency, .. }, .. } = *self;
        Usage { channel: Channel::default(), kind, mcc, country: 0, currency, merchant }
    }
}

/// How far the posting of a clearing file has come. The records before the place it names are on disk when it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FilePosted {
    /// Chosen by the file's checksum.
    pub slot: Slot,
    /// Checksum of the file.
    pub checksum: u128,
    /// Presentments and reversals that are done, from the file's start.
    pub records: u64,
    /// All of them.
    pub of: u64,
}

impl FilePosted {
    /// Of a file with this checksum.
    #[must_use]
    pub const fn new(checksum: u128, records: u64, of: u64) -> Self {
        Self { slot: slot_of_file(checksum), checksum, records, of }
    }

    /// Whether the file is posted to its end.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.records >= self.of
    }
}

/// The slot that keeps what is known of a file.
#[must_use]
pub const fn slot_of_file(checksum: u128) -> Slot {
    Slot::wrapping(checksum as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::card::Pan;
    use crate::domain::clearing::Purpose;

    #[test]
    fn r20_every_part_of_a_record_tells_in_its_print_but_the_middle_of_the_card_number() {
        let print = |network: &str, arn: u8, pan: &[u8], code, amount: (i64, u16), part| {
            let card = Pan::from_ascii(pan).expect("a card number").masked();
            let amount = Money::new(amount.0, Currency::new(amount.1).expect("a currency"));
            let arn = Arn::new([arn; ARN_DIGITS]).expect("digits");
            RecordPrint::of(NameId::of(network), &arn, card, code, amount, part)
        };
        let (pan, other) = (b"4111111111111111", b"4111111111111112");
        let numbered = |sequence| Part::Numbered { sequence, count: 2 };
        let all = [
            print("visa", b'2', pan, 501, (1234, 840), Part::Whole),
            print("mastercard", b'2', pan, 501, (1234, 840), Part::Whole),
            print("visa", b'3', pan, 501, (1234, 840), Part::Whole),
            print("visa", b'2', other, 501, (1234, 840), Part::Whole),
            print("visa", b'2', b"04111111111111111", 501, (1234, 840), Part::Whole),
            print("visa", b'2', pan, 2501, (1234, 840), Part::Whole),
            print("visa", b'2', pan, 501, (1235, 840), Part::Whole),
            print("visa", b'2', pan, 501, (1234, 978), Part::Whole),
            print("visa", b'2', pan, 501, (1234, 840), Part::Partial),
            print("visa", b'2', pan, 501, (1234, 840), Part::Final),
            print("visa", b'2', pan, 501, (1234, 840), numbered(1)),
            print("visa", b'2', pan, 501, (1234, 840), numbered(2)),
        ];
        let mut different = all.to_vec();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), all.len());
        // The same for ever: it decides whether a record of an older file was posted.
        assert_eq!(all[0], RecordPrint(79_902_589_015_227_080_429_708_880_533_927_737_003));
        let same = print("visa", b'2', b"4111112222221111", 501, (1234, 840), Part::Whole);
        assert_eq!(same, all[0], "what may not be shown is not in it");
    }

    #[test]
    fn codes_name_what_they_stand_for() {
        for (at, (outcome, name)) in Clearance::ALL.into_iter().enumerate() {
            assert_eq!(Clearance::from_code(at as u8), Some(outcome));
            assert_eq!(outcome.name(), name);
        }
        for (at, (by, _)) in MatchedBy::ALL.into_iter().enumerate() {
            assert_eq!(MatchedBy::from_code(at as u8), Some(by));
        }
        for (at, (purpose, _)) in Purpose::ALL.into_iter().enumerate() {
            assert_eq!(Purpose::from_code(at as u8), Some(purpose));
        }
        assert_eq!(Clearance::from_code(9), None);
    }

    #[test]
    fn an_acquirer_reference_is_packed_and_read_again() {
        let arn = Arn::new(*b"24445006331001234567890").expect("digits");
        assert_eq!(Arn::from_packed(arn.packed()), Some(arn));
        assert_eq!(arn.packed()[0], 0x02);
        assert_eq!(Arn::from_packed([0xFF; 12]), None);
        assert_eq!(Arn::from_packed([0x1A; 12]), None);
    }
}
