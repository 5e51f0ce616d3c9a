//! What must be found out before a request can be decided (R28).

use crate::domain::card::Verification;
use crate::domain::event::Facts;
use crate::domain::request::Presented;
use crate::ledger::shard::Card;

/// The missing facts of a request; none for a plain purchase on a card whose product asks for nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Needs(u8);

impl Needs {
    /// Nothing is missing: the request runs to completion.
    pub const NONE: Self = Self(0);
    /// The PIN block must be verified.
    pub const PIN: Self = Self(1);
    /// The chip's cryptogram must be verified.
    pub const CRYPTOGRAM: Self = Self(1 << 1);

    /// Whether all of `other` is missing.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0 && other.0 != 0
    }
}

/// Which facts a decision about this card lacks.
#[must_use]
pub fn needs(presented: Presented, card: &Card, facts: Facts) -> Needs {
    if card.verification == Verification::None {
        return Needs::NONE;
    }
    let mut missing = 0;
    for (shown, need) in [(Presented::PIN, Needs::PIN), (Presented::CRYPTOGRAM, Needs::CRYPTOGRAM)] {
        // A fact's bit is the bit of the need that it answers.
        if presented.has(shown) && facts.0 & u16::from(need.0) == 0 {
            missing |= need.0;
        }
    }
    Needs(missing)
}
