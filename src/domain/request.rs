//! What a peer asks for, freed from its encoding.

use std::fmt;

use super::action::ActionCode;
use super::card::Pan;
use super::money::Money;
use super::party::InstitutionId;
use super::party::MerchantId;
use super::party::NameId;
use super::party::Rrn;
use super::party::TerminalId;
use super::time::Expiry;
use super::time::TransmissionTime;
use super::usage::Channel;
use super::usage::Usage;

/// System trace audit number (DE 11): six digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Stan(pub u32);

/// Authorization identification response (DE 38): six characters 0-9 A-Z (R8).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ApprovalCode(pub [u8; 6]);

impl fmt::Display for ApprovalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| fmt::Write::write_char(f, char::from(*byte)))
    }
}

impl fmt::Debug for ApprovalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

/// What the first two digits of the processing code (DE 3) ask for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum TransactionKind {
    /// Goods and services (00).
    Purchase,
    /// Cash at a machine or a teller (01, 17).
    Cash,
    /// Goods with cash on top (09): the cash is inside DE 4 (R11).
    PurchaseWithCashBack,
    /// Money for another account, or a wallet elsewhere (10): account funding, AFT.
    AccountFunding,
    /// What is as good as cash (11): chips, money orders, cheques.
    QuasiCash,
    /// Money back for goods that were returned (20): a credit (R15).
    Refund,
    /// Money from somebody else (26): an original credit, OCT (R15).
    OriginalCredit,
    /// Money from somebody else in Mastercard's words (28): a payment (R15).
    Payment,
    /// What the card has (30).
    BalanceInquiry,
    /// Whether the card is good, for no amount (R16).
    AccountVerification,
    /// A token for the card (R16).
    TokenRequest,
    /// Anything else, by its two digits.
    Other(u8),
}

impl TransactionKind {
    /// Whether it gives money to the cardholder (R15).
    #[must_use]
    pub const fn is_credit(self) -> bool {
        matches!(self, Self::Refund | Self::OriginalCredit | Self::Payment)
    }

    /// Whether a part of the amount can be approved, where the terminal takes one: not of cash, of money that goes to
    /// another account, and of credits (R12).
    #[must_use]
    pub const fn is_divisible(self) -> bool {
        matches!(self, Self::Purchase | Self::PurchaseWithCashBack)
    }
}

/// What the acquirer says about the amount of a request (protocol.md 5.3), which decides how long its hold lives (R19).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum Finality {
    /// Nothing.
    #[default]
    Undefined = 0,
    /// It is estimated, and may be incremented: Visa DE 60.10 = 2 or 3, Mastercard DE 61.7 = 4 (preauthorization).
    Estimated = 1,
    /// It is what will be cleared: Mastercard DE 48 SE 61.5 = 1.
    Final = 2,
}

/// Processing code (DE 3): transaction type, from-account and to-account, two digits each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ProcessingCode(pub u32);

impl ProcessingCode {
    /// The transaction type, 0 to 99.
    #[must_use]
    pub const fn transaction_type(self) -> u8 {
        (self.0 / 10_000) as u8
    }

    /// What the transaction type asks for. Account verification and token requests are not told by DE 3; the
    /// dialect tells them.
    #[must_use]
    pub const fn kind(self) -> TransactionKind {
        match self.transaction_type() {
            0 => TransactionKind::Purchase,
            1 | 17 => TransactionKind::Cash,
            9 => TransactionKind::PurchaseWithCashBack,
            10 => TransactionKind::AccountFunding,
            11 => TransactionKind::QuasiCash,
            20 => TransactionKind::Refund,
            26 => TransactionKind::OriginalCredit,
            28 => TransactionKind::Payment,
            30 => TransactionKind::BalanceInquiry,
            other => TransactionKind::Other(other),
        }
    }
}

/// The MTI class of a request: 01xx holds, 02xx posts (R14).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum MessageClass {
    /// 01xx: an approval is a hold.
    Authorization = 1,
    /// 02xx: an approval is a posting.
    Financial = 2,
}

impl MessageClass {
    /// The class of this digit of the MTI.
    #[must_use]
    pub const fn from_digit(digit: u8) -> Option<Self> {
        match digit {
            1 => Some(Self::Authorization),
            2 => Some(Self::Financial),
            _ => None,
        }
    }
}

/// What names one message of one source, for repeats and for matching (R5, R7). The card is apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MessageKey {
    /// The source network; two links of one network share it.
    pub network: NameId,
    /// The link it came on. Not part of the key: a repeat may come on another.
    pub link: NameId,
    /// DE 11.
    pub stan: Stan,
    /// DE 7.
    pub transmission: TransmissionTime,
    /// DE 32; zero when absent.
    pub acquirer: InstitutionId,
    /// DE 37; blank when absent.
    pub rrn: Rrn,
    /// DE 41; blank when absent.
    pub terminal: TerminalId,
    /// DE 42; blank when absent.
    pub merchant: MerchantId,
    /// The network's own id of the transaction (Visa DE 62.2; Mastercard's trace id as a number); zero when absent.
    pub network_reference: u64,
}

/// What the cardholder or the card presented, for `needs` and for the record. The values themselves end here.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Presented(pub u8);

impl Presented {
    /// A PIN block (DE 52).
    pub const PIN: Self = Self(1);
    /// Track data (DE 35, 45).
    pub const TRACK: Self = Self(1 << 1);
    /// A chip cryptogram (DE 55, tag 9F26).
    pub const CRYPTOGRAM: Self = Self(1 << 2);
    /// A CVV2 (Visa DE 126.10, Mastercard DE 48 SE 92).
    pub const CVV2: Self = Self(1 << 3);
    /// What 3-D Secure gave (Mastercard DE 48 SE 43).
    pub const AUTHENTICATION: Self = Self(1 << 4);
    /// An address to be verified (Visa DE 123, Mastercard DE 48 SE 82 with DE 120).
    pub const ADDRESS: Self = Self(1 << 5);

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in here.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// A request that asks for a decision: 0100, 0101, 0200, 0201.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuthorizationRequest {
    /// Names the message.
    pub key: MessageKey,
    /// 01xx or 02xx.
    pub class: MessageClass,
    /// The MTI says that this is a repeat (its last digit is odd).
    pub repeat: bool,
    /// DE 2 (or from the track).
    pub pan: Pan,
    /// DE 14, or from the track.
    pub expiry: Option<Expiry>,
    /// DE 3.
    pub processing_code: ProcessingCode,
    /// What it asks for; DE 3, or account verification.
    pub kind: TransactionKind,
    /// DE 4 in DE 49.
    pub amount: Money,
    /// DE 6 in DE 51: what is held when present (R11).
    pub billing: Option<Money>,
    /// DE 18; zero when absent.
    pub mcc: u16,
    /// DE 19; zero when absent.
    pub country: u16,
    /// DE 22; zero when absent.
    pub entry_mode: u16,
    /// How the card is used.
    pub channel: Channel,
    /// The terminal can take a part of the amount (Visa DE 60.10 = 1 or 3, Mastercard DE 48 SE 61; R12).
    pub partial_supported: bool,
    /// A merchant started it, without the cardholder (Visa DE 126.13 and 63.3, Mastercard DE 48 SE 22 and DE 61.4; R12,
    /// R19).
    pub merchant_initiated: bool,
    /// It adds to an authorization that it names by the network's id: Visa DE 63.3 = 3900, Mastercard DE 61.7 = 4 with
    /// DE 48 SE 63 (R17).
    pub increment: bool,
    /// What is said about its amount.
    pub finality: Finality,
    /// The card was there (DE 22: read by chip, contactless or magnetic stripe).
    pub card_present: bool,
    /// What came to be verified.
    pub presented: Presented,
}

impl AuthorizationRequest {
    /// What limits and controls look at.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let currency = self.amount.currency;
        let usage =
            Usage::of(&self.key, self.processing_code, currency, self.channel, self.mcc, self.country);
        // What is added to a purchase is none that comes again and again.
        let merchant_initiated = self.merchant_initiated && !self.increment;
        Usage { merchant_initiated, amount: self.amount.minor, ..usage }
    }

    /// What a hold is taken in: DE 6 and DE 51 when present, else DE 4 and DE 49 (R11).
    #[must_use]
    pub fn billed(&self) -> Money {
        self.billing.unwrap_or(self.amount)
    }
}

/// Which message a reversal names (DE 90): the original's class and key parts. Zero institutions match any (R7).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OriginalData {
    /// The class of the original's MTI; `None` when the digits make no sense.
    pub class: Option<MessageClass>,
    /// The original's DE 11.
    pub stan: Stan,
    /// The original's DE 7; `None` when it is all zeros or no date.
    pub transmission: Option<TransmissionTime>,
    /// The original's DE 32.
    pub acquirer: InstitutionId,
}

/// What was decided without us, or after us, and has to be taken over: 0120, 0220 and their repeats (R4, R14). An
/// advice is never declined: it says what has happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advice {
    /// Names the advice itself.
    pub key: MessageKey,
    /// 01xx holds, 02xx posts.
    pub class: MessageClass,
    /// The MTI says that this is a repeat.
    pub repeat: bool,
    /// DE 2.
    pub pan: Pan,
    /// DE 3.
    pub processing_code: ProcessingCode,
    /// DE 18; zero when absent.
    pub mcc: u16,
    /// DE 19; zero when absent.
    pub country: u16,
    /// How the card was used.
    pub channel: Channel,
    /// What is said about its amount.
    pub finality: Finality,
    /// The card was there.
    pub card_present: bool,
    /// DE 4 in DE 49.
    pub amount: Money,
    /// DE 6 in DE 51 (R11).
    pub billing: Option<Money>,
    /// Whether what it tells was approved: its own DE 39, or none.
    pub approved: bool,
    /// Why it was sent: Mastercard DE 60, Visa 63.3 or 63.4; zero when it does not say.
    pub reason: u16,
    /// DE 38 that was given to the terminal.
    pub approval_code: Option<ApprovalCode>,
    /// DE 90.
    pub original: Option<OriginalData>,
    /// It adds to an authorization that it names by the network's id, as an [`AuthorizationRequest`] does (R17).
    pub increment: bool,
    /// It tells the amount at the end of what was authorized before, which may be another one: Visa DE 25 = 06 or
    /// 63.3 = 2104, Mastercard DE 60 = 191 (fuel). A 0220 always does.
    pub completes: bool,
}

impl Advice {
    /// What is taken: DE 6 and DE 51 when present, else DE 4 and DE 49 (R11).
    #[must_use]
    pub fn billed(&self) -> Money {
        self.billing.unwrap_or(self.amount)
    }

    /// Whether it gives money to the cardholder.
    #[must_use]
    pub fn is_credit(&self) -> bool {
        self.processing_code.kind().is_credit()
    }
}

/// Whose decision a reversal undoes (R4): ours and the network's are kept apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum Legs {
    /// Ours and the network's: the purchase did not take place.
    #[default]
    Both = 0,
    /// Only ours: our answer came too late, or did not arrive. The network's stand-in advice may follow.
    Ours = 1,
}

impl Legs {
    /// The legs of this code (its discriminant).
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Both),
            1 => Some(Self::Ours),
            _ => None,
        }
    }
}

/// Something that the network tells and asks nothing about (0620): kept and acknowledged (R23).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AdministrativeAdvice {
    /// Names it. Its terminal and merchant are blank when it is about no card.
    pub key: MessageKey,
    /// The MTI as a number.
    pub mti: u16,
    /// DE 2, when it is about a card.
    pub pan: Option<Pan>,
    /// Why it was sent: Mastercard DE 60, Visa 63.3; zero when it does not say.
    pub reason: u16,
}

/// What is to stay of an amount (DE 95): the rest is reversed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Replacement {
    /// Instead of DE 4, minor units of DE 49 (DE 95, first part).
    pub amount: i64,
    /// Instead of DE 6, minor units of DE 51 (Mastercard DE 95, third part; Visa DE 61.3); `None` when it is not told.
    pub billing: Option<i64>,
}

/// A reversal: 0400, 0401, 0420, 0421. It is never declined. A message that says that an answer of ours did not
/// arrive (Mastercard 0190, Visa's reject of our own 0110) is one of our leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReversalRequest {
    /// Names the reversal itself.
    pub key: MessageKey,
    /// An advice (0420) or a request (0400); both do the same.
    pub advice: bool,
    /// The MTI says that this is a repeat.
    pub repeat: bool,
    /// DE 2.
    pub pan: Pan,
    /// DE 3.
    pub processing_code: ProcessingCode,
    /// DE 4 in DE 49.
    pub amount: Money,
    /// DE 6 in DE 51 (R11).
    pub billing: Option<Money>,
    /// What is to stay (DE 95 that is not all zeros, R7); `None` for a full reversal.
    pub replacement: Option<Replacement>,
    /// DE 38 of the original, when given.
    pub approval_code: Option<ApprovalCode>,
    /// DE 90.
    pub original: Option<OriginalData>,
    /// Whose decision it undoes (R4).
    pub legs: Legs,
    /// Why it was sent: Mastercard DE 39, Visa 63.3; zero when it does not say.
    pub reason: u16,
}

/// The number of a group or of a card prefix in DE 2 of an 0800: 1 to 11 digits. It is too short for a card number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct MemberId {
    value: u64,
    digits: u8,
}

impl MemberId {
    /// Most digits of one.
    pub const DIGITS_MAX: u8 = 11;

    /// A number of this many digits; `None` when they are none or too many.
    #[must_use]
    pub const fn new(value: u64, digits: u8) -> Option<Self> {
        let fits = digits > 0 && digits <= Self::DIGITS_MAX && value < 10_u64.pow(digits as u32);
        if fits { Some(Self { value, digits }) } else { None }
    }

    /// The digits of a text; `None` when it is no such number.
    #[must_use]
    pub fn from_digits(text: &str) -> Option<Self> {
        let digits = u8::try_from(text.len()).ok()?;
        let value =
            if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok()? } else { return None };
        Self::new(value, digits)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}", self.value, width = usize::from(self.digits))
    }
}

/// For whom a sign-on or a sign-off speaks (R23).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Scope {
    /// The whole link.
    #[default]
    Link,
    /// A group of cards, by its number in DE 2.
    Group(MemberId),
    /// The cards with a prefix, which is in DE 2.
    Prefix(MemberId),
}

/// A password of the link (DE 96). It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SecurityCode(pub Box<str>);

impl fmt::Debug for SecurityCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// What one side asks of the link itself (0800 with DE 70), or says of it (0820).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NetworkManagement {
    /// The sender takes up service.
    SignOn,
    /// The sender leaves service.
    SignOff,
    /// Are you there?
    Echo,
    /// The sender wants the advices that were stored for it.
    StoredAdvices,
    /// The sender wants no more of them.
    StoredAdvicesStop,
    /// There are no more of them.
    StoredAdvicesEnd,
    /// A key is offered or asked for, by its code of DE 70. It is not carried out.
    KeyExchange(u16),
    /// A code that we do not know, or do not carry out when a peer asks for it.
    Unsupported(u16),
}

/// The outcome of a network management request, as [`ActionCode`]. We store no advices and no keys (R23).
#[must_use]
pub const fn network_management_outcome(what: NetworkManagement) -> ActionCode {
    match what {
        NetworkManagement::SignOn | NetworkManagement::SignOff | NetworkManagement::Echo => {
            ActionCode::Approved
        }
        NetworkManagement::StoredAdvices
        | NetworkManagement::StoredAdvicesStop
        | NetworkManagement::StoredAdvicesEnd
        | NetworkManagement::KeyExchange(_)
        | NetworkManagement::Unsupported(_) => ActionCode::InvalidTransaction,
    }
}
