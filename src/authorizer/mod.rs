//! From a request to a decision: `needs` and `decide`.
//!
//! [`Authorizer::decide`] is a straight column of checks in order of precedence, each with one reason; the first that
//! fails is the answer. It reads a shard and changes nothing: what it returns is an event, which the caller journals
//! and applies under the same lock.

pub mod advise;
pub mod approval_code;
pub mod clear;
pub mod decide;
pub mod expiry;
pub mod increase;
pub mod moving;
pub mod needs;
pub mod reverse;
mod share;

use crate::domain::answer::Answer;
use crate::domain::event::Event;
use approval_code::ApprovalCodes;
use expiry::ExpiryTable;
use increase::Increases;

use crate::ledger::presented::Tolerance;
use crate::ledger::shard::Account;
use crate::ledger::shard::BALANCE_MAX;

/// What every decision is made with.
#[derive(Debug)]
pub struct Authorizer {
    /// Makes DE 38.
    pub codes: ApprovalCodes,
    /// The product's time zone, minutes east of UTC: in which a card's month ends (R27).
    pub time_zone_offset_minutes: i32,
    /// How long a hold lives unless something ends it earlier (R19).
    pub expiry: ExpiryTable,
    /// How much more is held than is asked for, where the final amount is known later.
    pub increases: Increases,
    /// When an original credit or a payment reaches the account (R15).
    pub credits: CreditsAt,
    /// How far clearing may be above what was authorized where less than the network's id says what it is about.
    pub clearing_tolerance: Tolerance,
    /// The low half of the configuration's version, for records.
    pub configuration: u32,
}

/// When money from somebody else (OCT, payment) reaches the account (R15).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CreditsAt {
    /// When it is cleared; until then it pends.
    #[default]
    Clearing,
    /// At once.
    Authorization,
}

/// Whether an account can take an amount, in either direction, held or posted: so that an impossible one is refused
/// before it is journaled.
fn takes(account: &Account, amount: i64) -> bool {
    let fits = |balance: Option<i64>| {
        balance.is_some_and(|balance| balance.unsigned_abs() <= BALANCE_MAX.unsigned_abs())
    };
    [account.posted, account.held]
        .into_iter()
        .all(|balance| fits(balance.checked_add(amount)) && fits(balance.checked_sub(amount)))
}

/// What is to be done about a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[expect(clippy::large_enum_variant, reason = "it lives on the stack for one decision; a box would allocate")]
pub enum Decision {
    /// Something happened: journal and apply the event, then answer. The answer depends on the event's own record.
    New(Event, Answer),
    /// Its first was answered: nothing happens, and this is the first answer, with the record that it depends on.
    Repeat(Answer),
}
