//! What we answer, before a dialect writes it.

use super::action::ActionCode;
use super::event::Sequence;
use super::money::Currency;
use super::money::Money;
use super::request::ApprovalCode;

/// What an account has, for DE 54 of a balance inquiry.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Balances {
    /// Posted (ledger balance, amount type 01), minor units.
    pub ledger: i64,
    /// Posted plus overdraft less held (available balance, amount type 02), minor units.
    pub available: i64,
    /// What both are in.
    pub currency: Currency,
}

/// A part of the amount was approved (R12).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartialApproval {
    /// The part in the transaction's currency: the new DE 4.
    pub amount: Money,
    /// The part in the currency that the network billed: the new DE 6. It is what is held, if the wallet has that
    /// currency; if not, the first one is.
    pub billing: Money,
    /// What was asked for, in the transaction's currency: DE 54 type 57.
    pub original: Money,
}

/// The answer to one request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Becomes DE 39.
    pub action: ActionCode,
    /// Becomes DE 38; approvals of requests have one, declines and answers to advices and reversals have none.
    pub approval_code: Option<ApprovalCode>,
    /// Becomes DE 4, DE 6 and DE 54 when a part was approved.
    pub partial: Option<PartialApproval>,
    /// Becomes DE 54 of a balance inquiry.
    pub balances: Option<Balances>,
    /// The record that this answer depends on: its own, or the one that it repeats. Zero when there is none.
    pub depends_on: Sequence,
}

impl Answer {
    /// An answer that says only why not.
    #[must_use]
    pub const fn decline(action: ActionCode, depends_on: Sequence) -> Self {
        Self { action, approval_code: None, partial: None, balances: None, depends_on }
    }
}
