//! What goes on to another party: requests that the switch forwards, and what it stores until the party has taken it.
//!
//! Everything is in the domain's words: enough to reverse a request after a crash, and to tell a host what was decided
//! in its place. Track data, CVV2 and PIN blocks have no place here (R32).

use super::action::ActionCode;
use super::card::CardStatus;
use super::card::Pan;
use super::event::Sequence;
use super::money::Money;
use super::party::InstitutionId;
use super::party::NameId;
use super::party::Slot;
use super::request::ApprovalCode;
use super::request::Legs;
use super::request::MessageClass;
use super::request::MessageKey;
use super::request::OriginalData;
use super::request::ProcessingCode;
use super::request::Replacement;
use super::request::Stan;
use super::time::Expiry;
use super::time::TransmissionTime;

/// How we name a message of ours to the party that gets it (R30).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct OwnKey {
    /// DE 11.
    pub stan: Stan,
    /// DE 7.
    pub transmission: TransmissionTime,
}

/// A message of somebody else's that goes on: what a party needs to know of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Carried {
    /// Names it as it came.
    pub key: MessageKey,
    /// 01xx or 02xx, of what it is about.
    pub class: MessageClass,
    /// DE 2.
    pub pan: Pan,
    /// DE 14.
    pub expiry: Option<Expiry>,
    /// DE 3.
    pub processing_code: ProcessingCode,
    /// DE 4 in DE 49.
    pub amount: Money,
    /// DE 6 in DE 51.
    pub billing: Option<Money>,
    /// DE 18; zero when absent.
    pub mcc: u16,
    /// DE 19; zero when absent.
    pub country: u16,
    /// DE 22; zero when absent.
    pub entry_mode: u16,
    /// DE 33; zero when absent.
    pub forwarder: InstitutionId,
}

/// What a reversal or an advice of ours is about, as the party that gets it saw it (DE 90, R30).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Original {
    /// The class of its MTI.
    pub class: MessageClass,
    /// How it was named.
    pub key: OwnKey,
    /// DE 32.
    pub acquirer: InstitutionId,
    /// DE 33.
    pub forwarder: InstitutionId,
}

/// What a stored message tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tells {
    /// An amount is given back (0420): all of it, or what is above the replacement.
    Reversal {
        /// DE 95.
        replacement: Option<Replacement>,
        /// Whose decision is undone: after a request that was not answered in time only the party's own, since an
        /// advice of what was decided in its place may follow (R4, R29).
        legs: Legs,
        /// DE 38 of what is reversed.
        approval_code: Option<ApprovalCode>,
        /// DE 90 as the party saw the original; `None` when we did not forward it or know of it no longer.
        original: Option<Original>,
        /// DE 90 as it came, for that case.
        as_received: Option<OriginalData>,
    },
    /// Something was decided elsewhere (0120, 0220): by us in its place, or before us.
    Advice {
        /// Whether it was approved.
        approved: bool,
        /// DE 38 that was given.
        approval_code: Option<ApprovalCode>,
        /// DE 90 as the party saw what it is about.
        original: Option<Original>,
    },
    /// A card of ours is lost, stolen or closed: its network is to approve nothing with it in our place (0302, R32).
    CardEnded {
        /// Which of the three.
        status: CardStatus,
    },
}

/// A message that a party must be told, however long it takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    /// How it is named, in every attempt.
    pub own: OwnKey,
    /// What it is about.
    pub carried: Carried,
    /// What it tells.
    pub tells: Tells,
}

/// A request went on to another party, or will as soon as this is on disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Forwarded {
    /// Where messages about its card are kept.
    pub slot: Slot,
    /// The link.
    pub to: NameId,
    /// How it is named there.
    pub own: OwnKey,
    /// The request.
    pub carried: Carried,
}

/// How a forwarded request ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The party answered with this DE 39.
    Answered([u8; 2]),
    /// The party did not answer in time: what it may have done is to be reversed, under this name (R29).
    TimedOut {
        /// How the reversal is named.
        reversal: OwnKey,
    },
    /// No byte of it was written, so that there is nothing to reverse (R31).
    Unsent,
    /// The party did not answer in time, or was not asked, and we have decided in its place (R29).
    StoodIn {
        /// How the reversal of what we have sent is named; `None` when nothing was sent.
        reversal: Option<OwnKey>,
        /// How the advice of what we have approved is named; `None` when we have declined.
        advice: Option<OwnKey>,
        /// What we have decided.
        action: ActionCode,
        /// DE 38 that we gave.
        approval_code: Option<ApprovalCode>,
    },
}

/// A forwarded request has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Concluded {
    /// That of [`Forwarded`].
    pub slot: Slot,
    /// The link.
    pub to: NameId,
    /// The record of [`Forwarded`].
    pub exchange: Sequence,
    /// How.
    pub ended: Ended,
}

/// A message was stored for a party.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Where messages about its card are kept.
    pub slot: Slot,
    /// The link.
    pub to: NameId,
    /// The record of the request that it is about: while that is open, it waits for its end.
    pub exchange: Option<Sequence>,
    /// The message.
    pub message: Message,
}

/// What became of a stored message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Settlement {
    /// The party has acknowledged it.
    Acknowledged = 0,
    /// The party refused it as often as it may be tried.
    DeadLetter = 1,
    /// It is no longer needed: the party declined what it reverses, late (R29).
    NotNeeded = 2,
    /// An operator took it out.
    Purged = 3,
    /// An operator holds it back: it stays.
    Held = 4,
    /// An operator lets it go on, from where it was held or dead.
    Released = 5,
}

impl Settlement {
    /// Every one with its name on the HTTP face.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Acknowledged, "acknowledged"),
        (Self::DeadLetter, "dead-letter"),
        (Self::NotNeeded, "not-needed"),
        (Self::Purged, "purged"),
        (Self::Held, "held"),
        (Self::Released, "released"),
    ];

    /// The one of this code (its discriminant).
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).map(|(settlement, _)| *settlement)
    }

    /// Its name on the HTTP face.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Something became of a stored message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settled {
    /// That of [`Stored`] or [`Concluded`].
    pub slot: Slot,
    /// The link.
    pub to: NameId,
    /// The record that stored it.
    pub stored: Sequence,
    /// One [`Concluded`] can store two: whether this is about its advice, not its reversal.
    pub advice: bool,
    /// What.
    pub settlement: Settlement,
}
