//! Which events records hold, and in which layouts these are written.

use crate::domain::event::Event;

/// The layout that most kinds have had from the beginning.
pub(super) const FIRST_VERSION: u8 = 1;

/// Which event a record holds, as its kind byte says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// [`Event::Configured`].
    Configured = 1,
    /// [`Event::Seeded`].
    Seeded = 2,
    /// [`Event::CardOpened`].
    CardOpened = 3,
    /// [`Event::AccountFunded`].
    AccountFunded = 4,
    /// [`Event::Decided`].
    Decided = 5,
    /// [`Event::Reversed`].
    Reversed = 6,
    /// [`Event::WalletStatusSet`].
    WalletStatusSet = 7,
    /// [`Event::Advised`].
    Advised = 8,
    /// [`Event::Noted`].
    Noted = 9,
    /// [`Event::Unanswered`].
    Unanswered = 10,
    /// [`Event::Expired`].
    Expired = 11,
    /// [`Event::CardStatusSet`].
    CardStatusSet = 12,
    /// [`Event::LimitSet`].
    LimitSet = 13,
    /// [`Event::ControlSet`].
    ControlSet = 14,
    /// [`Event::Cleared`].
    Cleared = 15,
    /// [`Event::FilePosted`].
    FilePosted = 16,
    /// [`Event::Recalled`].
    Recalled = 17,
    /// [`Event::ZoneSet`].
    ZoneSet = 18,
    /// [`Event::CardProductSet`].
    CardProductSet = 19,
    /// [`Event::Forwarded`].
    Forwarded = 20,
    /// [`Event::Concluded`].
    Concluded = 21,
    /// [`Event::Stored`].
    Stored = 22,
    /// [`Event::Settled`].
    Settled = 23,
    /// [`Event::FeeSet`].
    FeeSet = 24,
    /// [`Event::Moved`].
    Moved = 25,
    /// [`Event::MandateGiven`].
    MandateGiven = 26,
    /// [`Event::MandateCancelled`].
    MandateCancelled = 27,
    /// [`Event::AssetSet`].
    AssetSet = 28,
    /// [`Event::RateSet`].
    RateSet = 29,
    /// [`Event::SpendingSet`].
    SpendingSet = 30,
    /// [`Event::InterestSet`].
    InterestSet = 31,
    /// [`Event::InterestPaid`].
    InterestPaid = 32,
}

impl Kind {
    /// Every kind with its name in listings.
    pub const ALL: [(Self, &'static str); 32] = [
        (Self::Configured, "configured"),
        (Self::Seeded, "seeded"),
        (Self::CardOpened, "card-opened"),
        (Self::AccountFunded, "account-funded"),
        (Self::Decided, "decided"),
        (Self::Reversed, "reversed"),
        (Self::WalletStatusSet, "wallet-status-set"),
        (Self::Advised, "advised"),
        (Self::Noted, "noted"),
        (Self::Unanswered, "unanswered"),
        (Self::Expired, "expired"),
        (Self::CardStatusSet, "card-status-set"),
        (Self::LimitSet, "limit-set"),
        (Self::ControlSet, "control-set"),
        (Self::Cleared, "cleared"),
        (Self::FilePosted, "file-posted"),
        (Self::Recalled, "recalled"),
        (Self::ZoneSet, "zone-set"),
        (Self::CardProductSet, "card-product-set"),
        (Self::Forwarded, "forwarded"),
        (Self::Concluded, "concluded"),
        (Self::Stored, "stored"),
        (Self::Settled, "settled"),
        (Self::FeeSet, "fee-set"),
        (Self::Moved, "moved"),
        (Self::MandateGiven, "mandate-given"),
        (Self::MandateCancelled, "mandate-cancelled"),
        (Self::AssetSet, "asset-set"),
        (Self::RateSet, "rate-set"),
        (Self::SpendingSet, "spending-set"),
        (Self::InterestSet, "interest-set"),
        (Self::InterestPaid, "interest-paid"),
    ];

    /// The kind of an event.
    #[must_use]
    pub const fn of(event: &Event) -> Self {
        match event {
            Event::Configured(_) => Self::Configured,
            Event::Seeded(_) => Self::Seeded,
            Event::CardOpened(_) => Self::CardOpened,
            Event::AccountFunded(_) => Self::AccountFunded,
            Event::Decided(_) => Self::Decided,
            Event::Reversed(_) => Self::Reversed,
            Event::WalletStatusSet(_) => Self::WalletStatusSet,
            Event::Advised(_) => Self::Advised,
            Event::Noted(_) => Self::Noted,
            Event::Unanswered(_) => Self::Unanswered,
            Event::Expired(_) => Self::Expired,
            Event::CardStatusSet(_) => Self::CardStatusSet,
            Event::LimitSet(_) => Self::LimitSet,
            Event::ControlSet(_) => Self::ControlSet,
            Event::Cleared(_) => Self::Cleared,
            Event::FilePosted(_) => Self::FilePosted,
            Event::Recalled(_) => Self::Recalled,
            Event::ZoneSet(_) => Self::ZoneSet,
            Event::CardProductSet(_) => Self::CardProductSet,
            Event::Forwarded(_) => Self::Forwarded,
            Event::Concluded(_) => Self::Concluded,
            Event::Stored(_) => Self::Stored,
            Event::Settled(_) => Self::Settled,
            Event::FeeSet(_) => Self::FeeSet,
            Event::Moved(_) => Self::Moved,
            Event::MandateGiven(_) => Self::MandateGiven,
            Event::MandateCancelled(_) => Self::MandateCancelled,
            Event::AssetSet(_) => Self::AssetSet,
            Event::RateSet(_) => Self::RateSet,
            Event::SpendingSet(_) => Self::SpendingSet,
            Event::InterestSet(_) => Self::InterestSet,
            Event::InterestPaid(_) => Self::InterestPaid,
        }
    }

    /// Its name in listings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        // Kinds count from one.
        Self::ALL[self as usize - 1].1
    }

    /// The layout that is written now; older ones stay readable.
    pub(super) const fn version(self) -> u8 {
        match self {
            // The second says which requests are increments, the third how the card was used, the fourth what is
            // charged, the fifth what further accounts bear.
            Self::Decided => 5,
            // The second says where and how the card was used, the third which advices are of increments, the fourth
            // what is charged, the fifth what further accounts bear.
            Self::Advised => 5,
            // The second says what is charged, the third what further accounts bear.
            Self::Cleared => 3,
            // The second says for how long callers' keys are remembered.
            Self::Configured => 2,
            // The second says what becomes of what.
            Self::Moved => 2,
            // The second has the caller's key.
            Self::CardOpened => 2,
            // The second says whose decision is undone, and why; the third how much of what.
            Self::Reversed => 3,
            // The second says what limits had counted, the third what is charged.
            Self::Recalled => 3,
            _ => FIRST_VERSION,
        }
    }

    /// The kind of this byte.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        // Kinds count from one.
        match code.checked_sub(1) {
            Some(at) if (at as usize) < Self::ALL.len() => Some(Self::ALL[at as usize].0),
            _ => None,
        }
    }
}
