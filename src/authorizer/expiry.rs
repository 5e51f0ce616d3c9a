//! How long a hold lives unless something ends it earlier (R19): a table of rows, of which the first that fits counts.
//!
//! The networks' rules change with the years and differ by region, so that every number is configuration
//! (`[expiry.NAME]`); config/turnpike.toml has what is public of them.

use std::ops::RangeInclusive;

use crate::domain::party::NameId;
use crate::domain::request::Advice;
use crate::domain::request::AuthorizationRequest;
use crate::domain::request::Finality;
use crate::domain::time::Timestamp;

/// Who started a payment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Initiator {
    /// The cardholder.
    Cardholder,
    /// A merchant, with what it has on file.
    Merchant,
}

/// What a row of the table is for; what it leaves out fits everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Row {
    /// The source network.
    pub network: Option<NameId>,
    /// What the acquirer says about the amount.
    pub finality: Option<Finality>,
    /// Who started it.
    pub initiator: Option<Initiator>,
    /// Whether the card was there.
    pub card_present: Option<bool>,
    /// Money for the cardholder, which pends (R15).
    pub credit: Option<bool>,
    /// DE 18, one of these.
    pub mccs: Vec<RangeInclusive<u16>>,
    /// How long it lives, in seconds, the network's grace included.
    pub lives_s: u32,
}

/// What is known of an authorization whose hold begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    /// The source network.
    pub network: NameId,
    /// What the acquirer says about the amount.
    pub finality: Finality,
    /// A merchant started it.
    pub merchant_initiated: bool,
    /// The card was there.
    pub card_present: bool,
    /// Money for the cardholder.
    pub credit: bool,
    /// DE 18; zero when absent.
    pub mcc: u16,
}

impl Terms {
    /// Those of a request.
    #[must_use]
    pub const fn of(request: &AuthorizationRequest) -> Self {
        Self {
            network: request.key.network,
            finality: request.finality,
            merchant_initiated: request.merchant_initiated,
            card_present: request.card_present,
            credit: request.kind.is_credit(),
            mcc: request.mcc,
        }
    }

    /// Those of an advice, of which only the cardholder is known to have started it.
    #[must_use]
    pub fn of_advice(advice: &Advice) -> Self {
        Self {
            network: advice.key.network,
            finality: advice.finality,
            merchant_initiated: false,
            card_present: advice.card_present,
            credit: advice.is_credit(),
            mcc: advice.mcc,
        }
    }
}

/// The table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExpiryTable {
    /// Its rows; the first that fits counts.
    pub rows: Vec<Row>,
    /// How long anything else lives, in seconds.
    pub otherwise_s: u32,
}

impl ExpiryTable {
    /// When what begins now ends, seconds since 1970.
    #[must_use]
    pub fn until_s(&self, terms: &Terms, now: Timestamp) -> u32 {
        let row = self.rows.iter().find(|row| row.fits(terms));
        (now.seconds() as u32).saturating_add(row.map_or(self.otherwise_s, |row| row.lives_s))
    }
}

impl Row {
    fn fits(&self, terms: &Terms) -> bool {
        let initiator = if terms.merchant_initiated { Initiator::Merchant } else { Initiator::Cardholder };
        self.network.is_none_or(|network| network == terms.network)
            && self.finality.is_none_or(|finality| finality == terms.finality)
            && self.initiator.is_none_or(|known| known == initiator)
            && self.card_present.is_none_or(|present| present == terms.card_present)
            && self.credit.is_none_or(|credit| credit == terms.credit)
            && (self.mccs.is_empty() || self.mccs.iter().any(|range| range.contains(&terms.mcc)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_S: u32 = 86_400;

    #[test]
    fn r19_the_first_row_that_fits_counts() {
        let visa = NameId::of("visa");
        let rows = vec![
            Row {
                network: Some(visa),
                finality: Some(Finality::Estimated),
                mccs: vec![3501..=3999, 7011..=7011],
                lives_s: 30 * DAY_S,
                ..Row::default()
            },
            Row { network: Some(visa), card_present: Some(true), lives_s: 5 * DAY_S, ..Row::default() },
            Row { initiator: Some(Initiator::Merchant), lives_s: 4 * DAY_S, ..Row::default() },
            Row { credit: Some(true), lives_s: 20 * DAY_S, ..Row::default() },
        ];
        let expiry = ExpiryTable { rows, otherwise_s: 7 * DAY_S };
        let plain = Terms {
            network: visa,
            finality: Finality::Undefined,
            merchant_initiated: false,
            card_present: false,
            credit: false,
            mcc: 5411,
        };
        let estimated = Terms { finality: Finality::Estimated, ..plain };
        let other = NameId::of("mastercard");
        let table = [
            (plain, 7),
            (Terms { mcc: 7011, ..plain }, 7),
            (Terms { mcc: 7011, ..estimated }, 30),
            (Terms { mcc: 3999, ..estimated }, 30),
            (Terms { mcc: 4000, ..estimated }, 7),
            (Terms { mcc: 7011, network: other, ..estimated }, 7),
            (Terms { card_present: true, merchant_initiated: true, ..plain }, 5),
            (Terms { merchant_initiated: true, ..plain }, 4),
            (Terms { merchant_initiated: true, network: other, ..plain }, 4),
            (Terms { credit: true, ..plain }, 20),
        ];
        let now = Timestamp::from_seconds(1_000_000);
        for (terms, days) in table {
            assert_eq!(expiry.until_s(&terms, now), 1_000_000 + days * DAY_S, "{terms:?}");
        }
    }
}
