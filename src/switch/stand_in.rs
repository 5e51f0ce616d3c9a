//! What we decide in a party's place when it cannot be asked or does not answer (R29, R32).
//!
//! Only what a party has allowed beforehand is approved: kinds of transactions, amounts up to a floor limit, and for
//! each card no more together than a cap until the party has acknowledged what was approved. All else is 91.

use crate::domain::action::ActionCode;
use crate::domain::forward::Carried;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::request::Presented;
use crate::domain::request::ProcessingCode;
use crate::domain::request::TransactionKind;

/// What was approved for one card in one currency and is not acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Exposure {
    /// Minor units.
    pub minor: i64,
    /// How many approvals.
    pub count: u32,
}

/// A floor limit: the most of one approval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Floor {
    /// What is billed, in this currency.
    pub most: Money,
    /// DE 18, from and to; empty is any.
    pub mccs: Vec<(u16, u16)>,
}

/// What is decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is approved, and the party is told.
    Approve,
    /// It is not.
    Decline(ActionCode),
}

/// The rules of one name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rules {
    /// Its name in the configuration.
    pub name: Box<str>,
    /// What may be approved: the first two digits of DE 3.
    pub transactions: Vec<u8>,
    /// Floor limits; the first that fits counts, and what none fits is not approved.
    pub floors: Vec<Floor>,
    /// The most that a card may have together, unacknowledged. A currency without one has no cap.
    pub exposure: Vec<Money>,
    /// The most approvals that a card may have so.
    pub count: u32,
}

/// Whether nobody has to decide about a transaction before its party can: it gives money to the cardholder, or asks for
/// what only the party knows.
#[must_use]
pub const fn can_wait(code: ProcessingCode) -> bool {
    let kind = code.kind();
    kind.is_credit() || matches!(kind, TransactionKind::BalanceInquiry)
}

impl Rules {
    /// Decides about a request, given what came to be verified and what its card has already. A PIN that nobody has
    /// looked at approves nothing (R28).
    #[must_use]
    pub fn decide(&self, carried: &Carried, presented: Presented, exposure: Exposure) -> Verdict {
        let amount = carried.billing.unwrap_or(carried.amount);
        let named = self.transactions.contains(&carried.processing_code.transaction_type());
        // Nothing of value is approved without an amount.
        let approved = amount.minor > 0
            && !can_wait(carried.processing_code)
            && !presented.has(Presented::PIN)
            && named
            && self.floor(amount.currency, carried.mcc).is_some_and(|most| amount.minor <= most)
            && exposure.count < self.count
            && self.cap(amount.currency).is_none_or(|cap| exposure.minor.saturating_add(amount.minor) <= cap);
        if approved { Verdict::Approve } else { Verdict::Decline(ActionCode::Unavailable) }
    }

    fn floor(&self, currency: Currency, mcc: u16) -> Option<i64> {
        let fits = |floor: &&Floor| {
            let among = floor.mccs.iter().any(|(from, to)| (*from..=*to).contains(&mcc));
            floor.most.currency == currency && (floor.mccs.is_empty() || among)
        };
        self.floors.iter().find(fits).map(|floor| floor.most.minor)
    }

    fn cap(&self, currency: Currency) -> Option<i64> {
        self.exposure.iter().find(|cap| cap.currency == currency).map(|cap| cap.minor)
    }
}
