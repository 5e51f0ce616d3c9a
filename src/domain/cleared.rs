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
use super::fee::Charge;
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
use super::share::Shares;
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
    /// What is charged for it on top.
    pub charge: Option<Charge>,
    /// What further accounts bear of what is posted beyond what was held.
    pub shares: Shares,
    /// The configuration it was handled under.
    pub configuration: u32,
}

/// What a clearing record is known by (R20): the same one in a second file, or twice in one, is posted once.
///
/// Of the card only the digits that may be shown are in it, since an acquirer gives a reference number only once; so
/// what is made of it may stand on disk (R34).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordKey {
    /// The network.
    pub network: NameId,
    /// The acquirer's name for it.
    pub arn: Arn,
    /// The card.
    pub card: MaskedPan,
    /// What it is.
    pub function: Function,
    /// The amount of the transaction.
    pub amount: Money,
    /// Which part of the transaction.
    pub part: Part,
    /// The network's own id of the transaction. It counts where the acquirer gave the record no name (all zeros).
    pub network_reference: u64,
    /// DE 38. It counts there too.
    pub approval_code: Option<ApprovalCode>,
}

/// 128 bits that stand for a record's key, the same on every machine and at every start.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordPrint(pub u128);

/// What a reversal and its presentment have in common: network, acquirer reference and card.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ArnPrint(pub u64);

/// Bytes of network, acquirer reference, masked card number, and what stands for a reference of zeros.
const NAMED_BYTES: usize = 4 + ARN_DIGITS + 4 + 2 + 1 + 8 + 6;

impl RecordKey {
    fn named(&self) -> [u8; NAMED_BYTES] {
        let (first6, last4, digits) = self.card.parts();
        let mut bytes = [0; NAMED_BYTES];
        let (name, rest) = bytes.split_at_mut(4 + ARN_DIGITS);
        name[..4].copy_from_slice(&self.network.0.to_le_bytes());
        name[4..].copy_from_slice(self.arn.ascii());
        rest[..4].copy_from_slice(&first6.to_le_bytes());
        rest[4..6].copy_from_slice(&last4.to_le_bytes());
        rest[6] = digits;
        if self.arn.is_zero() {
            rest[7..15].copy_from_slice(&self.network_reference.to_le_bytes());
            rest[15..].copy_from_slice(&self.approval_code.map_or([0; 6], |code| code.0));
        }
        bytes
    }

    /// What the record is found again by.
    #[must_use]
    pub fn print(&self) -> RecordPrint {
        let Self { function, amount, part, .. } = self;
        let mut bytes = [0; NAMED_BYTES + 5 + 10 + 3];
        let (name, rest) = bytes.split_at_mut(NAMED_BYTES);
        name.copy_from_slice(&self.named());
        rest[..4].copy_from_slice(&function.code.to_le_bytes());
        rest[4] = function.purpose as u8 | if function.reversal { 1 << 7 } else { 0 };
        rest[5..13].copy_from_slice(&amount.minor.to_le_bytes());
        rest[13..15].copy_from_slice(&amount.currency.numeric().to_le_bytes());
        rest[15..].copy_from_slice(&part.bytes());
        RecordPrint(xxh3_128(&bytes))
    }

    /// What its reversal is found by.
    #[must_use]
    pub fn arn_print(&self) -> ArnPrint {
        ArnPrint(xxh3_64(&self.named()))
    }
}

impl Cleared {
    /// What it is known by. `card` is the card's number, masked.
    #[must_use]
    pub const fn key(&self, card: MaskedPan) -> RecordKey {
        let Self { network, arn, function, amount, part, network_reference, approval_code, .. } = *self;
        RecordKey { network, arn, card, function, amount, part, network_reference, approval_code }
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
        Usage { kind, mcc, currency, merchant, ..Usage::default() }
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
    use crate::domain::clearing::Usage;

    fn key() -> RecordKey {
        let pan = Pan::from_ascii(b"4111111111111111").expect("a card number");
        RecordKey {
            network: NameId::of("visa"),
            arn: Arn::new(*b"24445006331001234567890").expect("digits"),
            card: pan.masked(),
            function: Function {
                purpose: Purpose::Purchase,
                reversal: false,
                usage: Usage::First,
                code: 501,
            },
            amount: Money::new(1234, Currency::new(840).expect("a currency")),
            part: Part::Whole,
            network_reference: 0,
            approval_code: None,
        }
    }

    #[test]
    fn r20_every_part_of_a_key_tells_in_its_print_but_the_middle_of_the_card_number() {
        let one = key();
        let card = |digits: &[u8]| Pan::from_ascii(digits).expect("a card number").masked();
        let currency = Currency::new(978).expect("a currency");
        let function = one.function;
        let zeros = RecordKey { arn: Arn::new([b'0'; ARN_DIGITS]).expect("digits"), ..one };
        let all = [
            one,
            RecordKey { network: NameId::of("mastercard"), ..one },
            RecordKey { arn: Arn::new([b'2'; ARN_DIGITS]).expect("digits"), ..one },
            RecordKey { card: card(b"4111111111111112"), ..one },
            RecordKey { card: card(b"04111111111111111"), ..one },
            RecordKey { function: Function { code: 2501, ..function }, ..one },
            RecordKey { function: Function { reversal: true, ..function }, ..one },
            RecordKey { function: Function { purpose: Purpose::Refund, ..function }, ..one },
            RecordKey { amount: Money::new(1235, one.amount.currency), ..one },
            RecordKey { amount: Money::new(1234, currency), ..one },
            RecordKey { part: Part::Partial, ..one },
            RecordKey { part: Part::Final, ..one },
            RecordKey { part: Part::Numbered { sequence: 1, count: 2 }, ..one },
            RecordKey { part: Part::Numbered { sequence: 2, count: 2 }, ..one },
            zeros,
            RecordKey { network_reference: 7, ..zeros },
            RecordKey { approval_code: Some(ApprovalCode(*b"A1B2C3")), ..zeros },
        ];
        let mut different: Vec<RecordPrint> = all.iter().map(RecordKey::print).collect();
        different.sort_unstable();
        different.dedup();
        assert_eq!(different.len(), all.len());
        // Neither what may not be shown is in it, nor what only some formats have.
        for same in [
            RecordKey { card: card(b"4111112222221111"), ..one },
            RecordKey { network_reference: 7, ..one },
            RecordKey { approval_code: Some(ApprovalCode(*b"A1B2C3")), ..one },
        ] {
            assert_eq!((same.print(), same.arn_print()), (one.print(), one.arn_print()));
        }
        // The same for ever: it decides whether a record of an older file was posted.
        assert_eq!(one.print(), RecordPrint(128_914_369_583_160_746_605_078_848_863_284_455_752));
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
