//! What has happened, as `ledger::apply` consumes it and the journal keeps it.
//!
//! An event carries inputs, facts and outcome: replay applies it and never decides again. Card numbers appear in
//! [`CardOpened`] only; everything else names a [`CardRef`].

use super::action::ActionCode;
use super::asset::AssetSet;
use super::asset::RateSet;
use super::card::CardIdentity;
use super::card::CardRef;
use super::card::CardStatus;
use super::card::Pan;
use super::card::ServiceCode;
use super::card::Verification;
use super::cleared::Cleared;
use super::cleared::FilePosted;
use super::closed::Closed;
use super::closed::Counted;
use super::control::ControlSet;
use super::fee::Charge;
use super::fee::FeeSet;
use super::forward::Concluded;
use super::forward::Forwarded;
use super::forward::Settled;
use super::forward::Stored;
use super::interest::InterestPaid;
use super::interest::InterestSet;
use super::limit::Limit;
use super::limit::Number;
use super::limit::Subject;
use super::mandate::MandateCancelled;
use super::mandate::MandateGiven;
use super::money::Currency;
use super::money::Money;
use super::moved::CallerKey;
use super::moved::KeysKept;
use super::moved::Moved;
use super::moved::Sides;
use super::party::NameId;
use super::party::Slot;
use super::party::WalletId;
use super::party::WalletStatus;
use super::product::CardProductSet;
use super::request::ApprovalCode;
use super::request::Legs;
use super::request::MessageClass;
use super::request::MessageKey;
use super::request::OriginalData;
use super::request::Presented;
use super::request::ProcessingCode;
use super::share::Shares;
use super::share::SpendingSet;
use super::time::Expiry;
use super::usage::Channel;
use super::usage::Usage;
use super::zone::ZoneSet;

/// The number of a record in the journal: 1, 2, 3 and so on, without a gap. Zero stands for "none".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The one after.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// The bounds that state depends on, as they were when the daemon started. Replay uses these, not today's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// How long an answered decline is remembered, in seconds (R6).
    pub repeat_window_s: u32,
    /// How many answered declines and inquiries a slot remembers at most.
    pub answers_per_slot: u32,
    /// How many closed authorizations and tombstones a slot keeps in memory at most.
    pub closed_per_slot: u32,
    /// How long a closed authorization stays in memory, in seconds.
    pub closed_window_s: u32,
    /// How many authorizations one card has at most, closed ones that are still kept included.
    pub authorizations_per_card: u32,
}

impl Bounds {
    /// The most that `answers_per_slot` may be: a ring is made for each of 1,024 slots at once.
    pub const ANSWERS_PER_SLOT_MAX: u32 = 65_536;
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            repeat_window_s: 600,
            answers_per_slot: 256,
            closed_per_slot: 512,
            closed_window_s: 2 * 86_400,
            authorizations_per_card: 512,
        }
    }
}

/// The daemon started, with this configuration. The first record of every epoch; it touches every slot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Configured {
    /// Checksum of the configuration's text; later records name its low half.
    pub version: u64,
    /// What state depends on.
    pub bounds: Bounds,
    /// For how long callers' keys are remembered.
    pub keys: KeysKept,
}

/// The seed file began to load, or was loaded to its end (R22).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seeded {
    /// Checksum of the file.
    pub checksum: u128,
    /// Lines with data.
    pub lines: u64,
    /// Every line is loaded.
    pub complete: bool,
}

/// A card was opened on a wallet; the wallet too, if this is its first card.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CardOpened {
    /// The wallet's slot.
    pub slot: Slot,
    /// Whose card it is.
    pub wallet: WalletId,
    /// Its reference, given here.
    pub card: CardRef,
    /// Its number; sealed where the record is written.
    pub pan: Pan,
    /// Its month.
    pub expiry: Expiry,
    /// From the track.
    pub service_code: ServiceCode,
    /// Whether it may be used.
    pub status: CardStatus,
    /// What its product asks for (R28).
    pub verification: Verification,
    /// The caller's name for it, where a verb opened it.
    pub key: Option<CallerKey>,
}

/// An account was opened and funded: a posting between the funding account and the wallet (R22).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AccountFunded {
    /// The wallet's slot.
    pub slot: Slot,
    /// Whose account it is.
    pub wallet: WalletId,
    /// Its number in the wallet, from 0.
    pub account: u16,
    /// Its currency.
    pub currency: Currency,
    /// What was put in, minor units; the funding account has the opposite leg.
    pub amount: i64,
    /// How far below zero it may go, minor units.
    pub overdraft: i64,
}

/// A wallet was given a status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WalletStatusSet {
    /// The wallet's slot.
    pub slot: Slot,
    /// Which wallet.
    pub wallet: WalletId,
    /// Whether it may be used from now on.
    pub status: WalletStatus,
}

/// A card was given a status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CardStatusSet {
    /// The wallet's slot.
    pub slot: Slot,
    /// Which card.
    pub card: CardRef,
    /// Whether it may be used from now on.
    pub status: CardStatus,
}

/// A limit was set or removed (R18).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LimitSet {
    /// The wallet's slot.
    pub slot: Slot,
    /// Whose limit.
    pub subject: Subject,
    /// Which one.
    pub number: Number,
    /// What it is from now on; `None` when it was removed.
    pub limit: Option<Limit>,
}

/// What an answered request did to the account.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Effect {
    /// Nothing: a decline, an inquiry, a verification.
    #[default]
    None,
    /// Holds this many minor units of the account's currency.
    Hold(i64),
    /// Posts this many minor units from the account to settlement; a negative number from settlement to the account.
    Post(i64),
    /// Notes that so many minor units will be credited. Neither held nor posted until they are settled (R15).
    Pend(i64),
}

impl Effect {
    /// The amount held or posted, minor units; zero for none.
    #[must_use]
    pub const fn amount(self) -> i64 {
        match self {
            Self::None => 0,
            Self::Hold(amount) | Self::Post(amount) | Self::Pend(amount) => amount,
        }
    }
}

/// What was found out before the decision. A plain purchase needs none (R28: "not performed").
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Facts(pub u16);

/// A request was decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decided {
    /// The wallet's slot, or the unknown card's.
    pub slot: Slot,
    /// The card.
    pub card: CardIdentity,
    /// The wallet; zero for an unknown card.
    pub wallet: WalletId,
    /// The account that was looked at, by its number in the wallet.
    pub account: u16,
    /// Names the message.
    pub key: MessageKey,
    /// 01xx or 02xx.
    pub class: MessageClass,
    /// It came as a repeat, and its first was never seen.
    pub repeat: bool,
    /// DE 3.
    pub processing_code: ProcessingCode,
    /// DE 18.
    pub mcc: u16,
    /// DE 19.
    pub country: u16,
    /// DE 22.
    pub entry_mode: u16,
    /// How the card was used.
    pub channel: Channel,
    /// DE 4 in DE 49.
    pub amount: Money,
    /// DE 6 in DE 51.
    pub billing: Option<Money>,
    /// What came to be verified.
    pub presented: Presented,
    /// What was found out before the decision.
    pub facts: Facts,
    /// The outcome.
    pub action: ActionCode,
    /// DE 38, when approved.
    pub approval_code: Option<ApprovalCode>,
    /// What it does to the account.
    pub effect: Effect,
    /// What is charged for it on top.
    pub charge: Option<Charge>,
    /// What further accounts bear of effect and charge.
    pub shares: Shares,
    /// It adds to an open authorization, whose time to live it extends to its own (R17).
    pub increment: bool,
    /// The account's posted balance before.
    pub posted_before: i64,
    /// What the account had held before.
    pub held_before: i64,
    /// What the account could go below zero.
    pub overdraft: i64,
    /// The configuration it was decided under: the low half of [`Configured::version`].
    pub configuration: u32,
    /// When the hold ends unless something ends it earlier, in seconds since 1970; zero for no hold.
    pub hold_until_s: u32,
    /// From the read of its last byte to the decision, microseconds.
    pub decided_after_us: u32,
}

/// A reversal arrived. It names what it undid, so that replay does not match again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reversed {
    /// The wallet's slot, or the unknown card's.
    pub slot: Slot,
    /// The card.
    pub card: CardIdentity,
    /// Names the reversal itself.
    pub key: MessageKey,
    /// An advice (0420) or a request (0400).
    pub advice: bool,
    /// It came as a repeat.
    pub repeat: bool,
    /// DE 3.
    pub processing_code: ProcessingCode,
    /// DE 4 in DE 49.
    pub amount: Money,
    /// DE 90.
    pub original: Option<OriginalData>,
    /// DE 38 of the original, when given.
    pub approval_code: Option<ApprovalCode>,
    /// The record of the authorization that it undoes; zero when none matched and a tombstone was left.
    pub undoes: Sequence,
    /// The whole purchase is undone: the authorization and all others with its network's id (R7).
    pub whole: bool,
    /// What is to stay of it (DE 95), minor units: in the account's currency, or where nothing was found, and where a
    /// purchase has taken from several accounts, in that of `amount`. `None` for a full reversal.
    pub keeps: Option<i64>,
    /// Whose decision it undoes (R4).
    pub legs: Legs,
    /// Why it was sent: Mastercard DE 39, Visa 63.3; zero when it does not say.
    pub reason: u16,
    /// The configuration it was handled under.
    pub configuration: u32,
    /// From the read of its last byte to the decision, microseconds.
    pub decided_after_us: u32,
}

/// An advice arrived. It names the authorization whose outcome it sets, so that replay does not match again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advised {
    /// The wallet's slot, or the unknown card's.
    pub slot: Slot,
    /// The card.
    pub card: CardIdentity,
    /// The account that it changes, by its number in the wallet.
    pub account: u16,
    /// Names the advice itself.
    pub key: MessageKey,
    /// 01xx or 02xx.
    pub class: MessageClass,
    /// It came as a repeat.
    pub repeat: bool,
    /// DE 3.
    pub processing_code: ProcessingCode,
    /// DE 18.
    pub mcc: u16,
    /// DE 19.
    pub country: u16,
    /// How the card was used.
    pub channel: Channel,
    /// DE 4 in DE 49.
    pub amount: Money,
    /// DE 6 in DE 51.
    pub billing: Option<Money>,
    /// What it tells was approved.
    pub approved: bool,
    /// Why it was sent.
    pub reason: u16,
    /// DE 38, when given.
    pub approval_code: Option<ApprovalCode>,
    /// The record of the open authorization whose outcome it sets; zero for none.
    pub sets: Sequence,
    /// What became of it: `Approved` when it was applied, else why it could not be.
    pub action: ActionCode,
    /// What the authorization holds, has posted or pends from now on.
    pub effect: Effect,
    /// What is charged for it on top.
    pub charge: Option<Charge>,
    /// What further accounts bear of effect and charge.
    pub shares: Shares,
    /// It adds to an open authorization, whose time to live it extends to its own (R17).
    pub increment: bool,
    /// The configuration it was handled under.
    pub configuration: u32,
    /// When the hold ends unless something ends it earlier, in seconds since 1970; zero for no hold.
    pub hold_until_s: u32,
    /// From the read of its last byte to the decision, microseconds.
    pub decided_after_us: u32,
}

impl Decided {
    /// What limits look at.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage::of(&self.key, self.processing_code, self.amount.currency, self.channel, self.mcc, self.country)
    }
}

impl Advised {
    /// What limits look at.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage::of(&self.key, self.processing_code, self.amount.currency, self.channel, self.mcc, self.country)
    }
}

/// An authorization's time was over before anything ended it (R19).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Expired {
    /// The wallet's slot.
    pub slot: Slot,
    /// The card.
    pub card: CardRef,
    /// The record of the authorization.
    pub authorization: Sequence,
}

/// An administrative advice arrived (0620). It changes no balance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Noted {
    /// The slot of the card that it names, or of its trace number.
    pub slot: Slot,
    /// The card; `None` when it names none.
    pub card: Option<CardIdentity>,
    /// Names the message.
    pub key: MessageKey,
    /// The MTI as a number.
    pub mti: u16,
    /// Why it was sent.
    pub reason: u16,
}

/// The answer that approved an authorization was too late and was not sent (R3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unanswered {
    /// The wallet's slot.
    pub slot: Slot,
    /// The card.
    pub card: CardRef,
    /// The record of the authorization.
    pub authorization: Sequence,
}

/// A closed authorization came back from the history, since a message may be about it (R9). It is here in full, so that
/// replay needs no history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Recalled {
    /// The wallet's slot.
    pub slot: Slot,
    /// The card.
    pub card: CardRef,
    /// The authorization.
    pub closed: Closed,
    /// What limits had counted of it, where there was room to take it back.
    pub counted: Option<Counted>,
}

/// Something that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// The daemon started.
    Configured(Configured),
    /// The seed file began or ended.
    Seeded(Seeded),
    /// A card was opened.
    CardOpened(CardOpened),
    /// An account was opened and funded.
    AccountFunded(AccountFunded),
    /// A request was decided.
    Decided(Decided),
    /// A reversal arrived.
    Reversed(Reversed),
    /// A wallet was given a status.
    WalletStatusSet(WalletStatusSet),
    /// An advice arrived.
    Advised(Advised),
    /// An administrative advice arrived.
    Noted(Noted),
    /// An approval was not sent.
    Unanswered(Unanswered),
    /// An authorization's time was over.
    Expired(Expired),
    /// A card was given a status.
    CardStatusSet(CardStatusSet),
    /// A limit was set or removed.
    LimitSet(LimitSet),
    /// A control was set or removed.
    ControlSet(ControlSet),
    /// A clearing record was posted.
    Cleared(Cleared),
    /// A clearing file was posted, up to a place in it.
    FilePosted(FilePosted),
    /// A closed authorization came back.
    Recalled(Recalled),
    /// A time zone was told.
    ZoneSet(ZoneSet),
    /// A card was put into a product.
    CardProductSet(CardProductSet),
    /// A fee of a product was set or removed.
    FeeSet(FeeSet),
    /// Money was moved by a verb.
    Moved(Moved),
    /// A mandate was given.
    MandateGiven(MandateGiven),
    /// A mandate was cancelled.
    MandateCancelled(MandateCancelled),
    /// An asset was made known.
    AssetSet(AssetSet),
    /// A rate was set or withdrawn.
    RateSet(RateSet),
    /// A wallet's accounts were put in an order.
    SpendingSet(SpendingSet),
    /// An account earns interest, or no more.
    InterestSet(InterestSet),
    /// Interest was paid out.
    InterestPaid(InterestPaid),
    /// A request goes on to another party. It is the switch's, as are the three after it: the ledger has none of them.
    Forwarded(Forwarded),
    /// A forwarded request has ended.
    Concluded(Concluded),
    /// A message was stored for a party.
    Stored(Stored),
    /// Something became of a stored message.
    Settled(Settled),
}

impl Event {
    /// The slot it belongs to; `None` when it touches every slot or none. Of money that was moved that of the
    /// caller's key; [`Event::other_slots`] are the others.
    #[must_use]
    pub fn slot(&self) -> Option<Slot> {
        match self {
            Self::Configured(_) | Self::Seeded(_) => None,
            Self::CardOpened(event) => Some(event.slot),
            Self::AccountFunded(event) => Some(event.slot),
            Self::Decided(event) => Some(event.slot),
            Self::Reversed(event) => Some(event.slot),
            Self::WalletStatusSet(event) => Some(event.slot),
            Self::Advised(event) => Some(event.slot),
            Self::Noted(event) => Some(event.slot),
            Self::Unanswered(event) => Some(event.slot),
            Self::Expired(event) => Some(event.slot),
            Self::CardStatusSet(event) => Some(event.slot),
            Self::LimitSet(event) => Some(event.slot),
            Self::ControlSet(event) => Some(event.slot),
            Self::Cleared(event) => Some(event.slot),
            Self::FilePosted(event) => Some(event.slot),
            Self::Recalled(event) => Some(event.slot),
            Self::Forwarded(event) => Some(event.slot),
            Self::Concluded(event) => Some(event.slot),
            Self::Stored(event) => Some(event.slot),
            Self::Settled(event) => Some(event.slot),
            Self::ZoneSet(event) => Some(event.slot),
            Self::CardProductSet(event) => Some(event.slot),
            Self::FeeSet(event) => Some(event.slot),
            Self::Moved(event) => Some(event.key.slot()),
            Self::MandateGiven(event) => Some(event.slot),
            Self::MandateCancelled(event) => Some(event.slot),
            // They are of no wallet. One slot keeps them, as good as any other.
            Self::AssetSet(_) | Self::RateSet(_) => Some(Slot::default()),
            Self::SpendingSet(event) => Some(event.slot),
            Self::InterestSet(event) => Some(event.slot),
            Self::InterestPaid(event) => Some(event.slot),
        }
    }

    /// Further slots that it belongs to.
    #[must_use]
    pub fn other_slots(&self) -> [Option<Slot>; 2] {
        match self {
            Self::Moved(event) => event.others(),
            _ => [None; 2],
        }
    }

    /// The part of it that is about slots which a test lets pass; `None` when nothing is.
    #[must_use]
    pub fn within(&self, is_due: impl Fn(Slot) -> bool) -> Option<Self> {
        match self {
            Self::Moved(event) => {
                let part = event.within(is_due);
                (part.sides != Sides::NONE).then_some(Self::Moved(part))
            }
            other => is_due(other.slot().unwrap_or_default()).then_some(*other),
        }
    }

    /// The link that it is about, when it is the switch's and not the ledger's.
    #[must_use]
    pub const fn trunk(&self) -> Option<NameId> {
        match self {
            Self::Forwarded(event) => Some(event.to),
            Self::Concluded(event) => Some(event.to),
            Self::Stored(event) => Some(event.to),
            Self::Settled(event) => Some(event.to),
            _ => None,
        }
    }
}
