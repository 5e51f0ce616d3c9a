//! What a live or lately closed authorization keeps in memory: 128 bytes.
//!
//! Every message that takes something has one of its own: a request, an increment of it (R17), a completion that posts.
//! Those of one purchase share the network's id of the transaction and are its group ([`Authorization::is_of_group`]);
//! what the purchase holds is the sum over its group.
//!
//! ```text
//!   0100        0200, 0220, clearing   0100 refund          reversal without an original
//!    |                    |                 |                            |
//!   Held                Posted           Pending                     Tombstone
//!    |                    |                 |
//!    +-- completed or cleared (the posting is one of its own) --> Captured
//!    +-- its time is over -----------------------------------> Expired
//!    +--------------------+-----------------+-- reversed -----> Reversed
//!   (a partial reversal leaves less in place, and is remembered for its repeats as Cut)
//! ```
//! Held, Pending: open. All others are closed; they stay for repeats, late originals and late advices, and leave in the
//! order in which they were closed, by `closed_window` and by count (`domain::event::Bounds`). docs/lifecycle.md has
//! the whole table; tests/lifecycle.rs holds it against the code.
//!
//! Who decided is kept apart from where it stands ([`LegState`], R4): an advice of the network sets the outcome,
//! whatever we said, and a reversal of our leg alone changes nothing once the network's is known.

use crate::domain::action::ActionCode;
use crate::domain::closed::Closed;
use crate::domain::event::Sequence;
use crate::domain::fee::CodeAndCharge;
use crate::domain::request::Legs;
use crate::domain::request::MessageClass;

use super::slab::NONE;

/// Where an authorization stands in its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum AuthorizationState {
    /// Its amount is held.
    Held = 0,
    /// Its amount was posted (02xx, clearing; R14).
    Posted = 1,
    /// A full reversal undid it, or an advice of the network that declined.
    Reversed = 2,
    /// No authorization: its reversal came first (R4).
    Tombstone = 3,
    /// The place is empty.
    Vacant = 4,
    /// A credit that was approved and is not settled: on no balance (R15).
    Pending = 5,
    /// What it held was posted by a message of its own, or will not be.
    Captured = 6,
    /// Its time was over before it was captured (R19).
    Expired = 7,
    /// No authorization: a partial reversal, kept for its repeats (R5).
    Cut = 8,
    /// No authorization: of a posting and the clearing record of it the one that came later, or what took a posting
    /// back; it moves nothing itself, and is kept so that it is known again (R14, R20).
    Settled = 9,
}

impl AuthorizationState {
    /// Its name on the HTTP face.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Posted => "posted",
            Self::Reversed => "reversed",
            Self::Tombstone => "tombstone",
            Self::Vacant => "vacant",
            Self::Pending => "pending-credit",
            Self::Captured => "captured",
            Self::Expired => "expired",
            Self::Cut => "partial-reversal",
            Self::Settled => "settled",
        }
    }

    /// The state of this code (its discriminant).
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Held),
            1 => Some(Self::Posted),
            2 => Some(Self::Reversed),
            3 => Some(Self::Tombstone),
            4 => Some(Self::Vacant),
            5 => Some(Self::Pending),
            6 => Some(Self::Captured),
            7 => Some(Self::Expired),
            8 => Some(Self::Cut),
            9 => Some(Self::Settled),
            _ => None,
        }
    }

    /// Whether something is still to come of it: it holds or pends.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Held | Self::Pending)
    }

    /// Whether it is what a request or an advice asked for, not only the trace of a reversal.
    #[must_use]
    pub const fn is_authorization(self) -> bool {
        !matches!(self, Self::Tombstone | Self::Vacant | Self::Cut | Self::Settled)
    }
}

/// What is known of the two legs of an authorization, our answer and the network's own decision (R4), as bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LegState(pub u8);

impl LegState {
    /// Our answer came too late or did not arrive: it counts for nothing.
    pub const OURS_UNDONE: Self = Self(1);
    /// The network approved; its advice said so.
    pub const NETWORK_APPROVED: Self = Self(1 << 1);
    /// The network declined; its advice said so.
    pub const NETWORK_DECLINED: Self = Self(1 << 2);
    /// A reversal undid both legs: the purchase did not take place, whatever comes later.
    pub const BOTH_UNDONE: Self = Self(1 << 3);
    /// Our answer was too late and was not sent (R3). What it means is the network's to say.
    pub const UNANSWERED: Self = Self(1 << 4);
    /// A reversal came after what closed it, and undid a leg that stood until then: it has a record of its own.
    pub const UNDONE_LATER: Self = Self(1 << 5);

    /// It posts what another one held, or what none was known for: a completion or a clearing record.
    pub const CAPTURE: Self = Self(1 << 6);
    /// A partial reversal left less of it: nothing that comes later makes it more again.
    pub const CUT: Self = Self(1 << 7);

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

/// One authorization, or the tombstone of one. Fields that matching reads stand first. It is two cache lines, and lies
/// on no third one.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Authorization {
    /// The record that made it.
    pub sequence: Sequence,
    /// Visa DE 62.2 and its like; zero for none.
    pub network_reference: u64,
    /// DE 32 of the message (of the original, for a tombstone); zero for none.
    pub acquirer: u64,
    /// DE 37.
    pub rrn: [u8; 12],
    /// DE 11 (of the original, for a tombstone).
    pub stan: u32,
    /// DE 7 (of the original, for a tombstone; zero when not known).
    pub transmission: u32,
    /// Fingerprint of DE 41.
    pub terminal: u32,
    /// Fingerprint of DE 42.
    pub merchant: u32,
    /// The next one of the same card: older while it is open, closed later once it is closed.
    pub chain_next: u32,
    /// The card's position.
    pub card: u32,
    /// DE 38.
    pub approval_code: [u8; 6],
    /// The source network, the low half of its name's number.
    pub network: u16,
    /// DE 3, and what is charged on top of what it takes.
    pub coded: CodeAndCharge,

    /// DE 4, minor units.
    pub amount: i64,
    /// Held, posted or pending, minor units of the account's currency.
    pub taken: i64,
    /// What the first answer approved, in the same units: its repeats say so again, whatever became of it since. Of a
    /// capture what no first request was known for when it came; of what is settled the record of the posting that
    /// it is about.
    pub answered: i64,
    /// The record that closed it; zero while it is open.
    pub closed_by: Sequence,
    /// When it was made, and from its closing on when it was closed; seconds since 1970.
    pub changed_s: u32,
    /// When its hold ends, seconds since 1970; zero for none.
    pub hold_until_s: u32,
    /// The one closed before it in its slot.
    pub closed_previous: u32,
    /// The one closed after it in its slot.
    pub closed_next: u32,
    /// DE 49.
    pub currency: u16,
    /// The account's number in its wallet.
    pub account: u16,
    /// The outcome of the request.
    pub action: ActionCode,
    /// 1 or 2; 3 for a clearing record; 4 for a partial reversal; 0 for a tombstone that does not know it. With
    /// [`Self::INCREMENT`] it adds to another one, with [`Self::SHARED`] further accounts bear shares of it.
    pub class: u8,
    /// Where it stands.
    pub state: AuthorizationState,
    /// Who decided it.
    pub legs: LegState,
}

// At 10 M wallets with 5 M live holds, every eight bytes here are 40 MB.
const _: () = assert!(size_of::<Authorization>() == 128);

impl Authorization {
    /// An empty place.
    pub(super) const VACANT: Self = Self {
        sequence: Sequence(0),
        network_reference: 0,
        acquirer: 0,
        rrn: [0; 12],
        stan: 0,
        transmission: 0,
        terminal: 0,
        merchant: 0,
        chain_next: NONE,
        card: NONE,
        approval_code: [0; 6],
        network: 0,
        amount: 0,
        taken: 0,
        answered: 0,
        closed_by: Sequence(0),
        coded: CodeAndCharge::NONE,
        changed_s: 0,
        hold_until_s: 0,
        closed_previous: NONE,
        closed_next: NONE,
        currency: 0,
        account: 0,
        action: ActionCode::Approved,
        class: 0,
        state: AuthorizationState::Vacant,
        legs: LegState(0),
    };

    /// The class of the message that made it; `None` for a tombstone that does not know it.
    #[must_use]
    pub const fn class(&self) -> Option<MessageClass> {
        MessageClass::from_digit(self.digit())
    }

    /// Marks the class of what adds to another authorization (R17).
    pub const INCREMENT: u8 = 1 << 7;

    /// Marks the class of what came back from the history, which has an earlier version of it.
    pub const RECALLED: u8 = 1 << 6;

    /// Marks the class of what further accounts bear shares of (R13).
    pub const SHARED: u8 = 1 << 5;

    /// The class without marks.
    #[must_use]
    pub const fn digit(&self) -> u8 {
        self.class & !(Self::INCREMENT | Self::RECALLED | Self::SHARED)
    }

    /// Whether it came back from the history.
    #[must_use]
    pub const fn is_recalled(&self) -> bool {
        self.class & Self::RECALLED != 0
    }

    /// Whether further accounts bear shares of it (R13).
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.class & Self::SHARED != 0
    }

    pub(super) const fn set_shared(&mut self, shared: bool) {
        self.class = self.class & !Self::SHARED | if shared { Self::SHARED } else { 0 };
    }

    /// Whether it adds to another one.
    #[must_use]
    pub const fn is_increment(&self) -> bool {
        self.class & Self::INCREMENT != 0
    }

    /// Whether the two are of one purchase: the network gave them the same id. One without an id is a group by itself.
    #[must_use]
    pub const fn is_of_group(&self, other: &Self) -> bool {
        self.network_reference != 0
            && self.network_reference == other.network_reference
            && self.network == other.network
    }

    /// Whether it is what a request or an advice asked for. What a clearing record left is none of that: no message
    /// gives a presentment back (R14).
    #[must_use]
    pub const fn is_of_message(&self) -> bool {
        match self.state {
            AuthorizationState::Settled => self.class().is_some(),
            state => state.is_authorization() && !self.is_clearing(),
        }
    }

    /// Whether it posts what another one held, or what none was known for.
    #[must_use]
    pub const fn is_capture(&self) -> bool {
        self.legs.has(LegState::CAPTURE)
    }

    /// Whether a request that comes after it, though it was sent before, must be declined: what it asks for has been
    /// undone (R4), or posted without it.
    #[must_use]
    pub const fn declines_late_request(&self) -> bool {
        // What is settled has there the record of its posting, which says so itself.
        let orphan = self.is_capture() && self.settles().is_none() && self.answered != 0;
        matches!(self.state, AuthorizationState::Tombstone) || orphan
    }
}

impl Authorization {
    /// Everything but where it stands, that it came back once, and what further accounts bear of it.
    #[must_use]
    pub const fn closed(&self) -> Closed {
        Closed {
            sequence: self.sequence,
            closed_by: self.closed_by,
            network_reference: self.network_reference,
            acquirer: self.acquirer,
            amount: self.amount,
            taken: self.taken,
            answered: self.answered,
            stan: self.stan,
            transmission: self.transmission,
            terminal: self.terminal,
            merchant: self.merchant,
            coded: self.coded,
            changed_s: self.changed_s,
            hold_until_s: self.hold_until_s,
            network: self.network,
            currency: self.currency,
            account: self.account,
            action: self.action,
            class: self.class & !(Self::RECALLED | Self::SHARED),
            state: self.state as u8,
            legs: self.legs.0,
            rrn: self.rrn,
            approval_code: self.approval_code,
        }
    }

    /// The authorization as it left, with the mark that it is back; `None` if that is none that could have left.
    #[must_use]
    pub const fn recalled(of: &Closed) -> Option<Self> {
        let Some(state) = AuthorizationState::from_code(of.state) else { return None };
        if state.is_open() || matches!(state, AuthorizationState::Vacant) {
            return None;
        }
        Some(Self {
            sequence: of.sequence,
            closed_by: of.closed_by,
            network_reference: of.network_reference,
            acquirer: of.acquirer,
            amount: of.amount,
            taken: of.taken,
            answered: of.answered,
            stan: of.stan,
            transmission: of.transmission,
            terminal: of.terminal,
            merchant: of.merchant,
            coded: of.coded,
            changed_s: of.changed_s,
            hold_until_s: of.hold_until_s,
            network: of.network,
            currency: of.currency,
            account: of.account,
            action: of.action,
            class: of.class | Self::RECALLED,
            state,
            legs: LegState(of.legs),
            rrn: of.rrn,
            approval_code: of.approval_code,
            ..Self::VACANT
        })
    }
}

/// What a reversal of these legs leaves on the authorization.
#[must_use]
pub const fn undone_by(legs: Legs) -> LegState {
    match legs {
        Legs::Both => LegState::OURS_UNDONE.with(LegState::BOTH_UNDONE),
        Legs::Ours => LegState::OURS_UNDONE,
    }
}
