//! How much more than a request asks for is held where the final amount is known later: a tip, a tank of fuel.
//!
//! The network's message names what the terminal knows; what is cleared may be more, and is posted whatever is there
//! (R20). Holding more keeps that money from being spent elsewhere. It never makes a request decline: where the account
//! has less, less is held, and nothing on top where a limit has no room for all of it.

use std::ops::RangeInclusive;

use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::NameId;
use crate::domain::request::AuthorizationRequest;
use crate::domain::request::Finality;
use crate::domain::request::MessageClass;
use crate::domain::request::TransactionKind;

/// A row of the table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Row {
    /// The source network; `None` for all.
    pub network: Option<NameId>,
    /// DE 18, one of these.
    pub mccs: Vec<RangeInclusive<u16>>,
    /// So many hundredths of what is asked for are held on top.
    pub percent: u32,
    /// Less than this is not held, by currency, minor units.
    pub at_least: Vec<Money>,
}

/// The table (`[hold_increase.NAME]`): the first row that fits counts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Increases {
    /// Its rows.
    pub rows: Vec<Row>,
}

impl Increases {
    /// How much more than `asked` of an account in this currency is to be held, minor units: zero for all but the
    /// first request of a purchase that is only authorized and whose amount is not final.
    #[must_use]
    pub fn of(&self, request: &AuthorizationRequest, asked: i64, currency: Currency) -> i64 {
        let may_grow = request.class == MessageClass::Authorization
            && request.kind == TransactionKind::Purchase
            && request.finality != Finality::Final
            && !request.increment;
        let fits = |row: &&Row| {
            row.network.is_none_or(|network| network == request.key.network)
                && row.mccs.iter().any(|range| range.contains(&request.mcc))
        };
        let row = if may_grow { self.rows.iter().find(fits) } else { None };
        let Some(row) = row.filter(|_| asked > 0) else { return 0 };
        // Rounded down: a cent that nobody asked for is not held (R12).
        let part = i128::from(asked) * i128::from(row.percent) / 100;
        let grown = asked.saturating_add(i64::try_from(part).unwrap_or(i64::MAX));
        let least = row.at_least.iter().find(|least| least.currency == currency);
        grown.max(least.map_or(0, |least| least.minor)) - asked
    }
}
