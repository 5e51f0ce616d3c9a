//! A network's file of cards that may not be used, as a link's party wants to be told of one (0302, R32).
//!
//! What stands in such a record is a matter between the network and whoever issues the card: it comes from the
//! configuration, element by element, and only the card, the names and the dates are ours.

use std::collections::BTreeMap;

use crate::domain::card::CardStatus;
use crate::domain::card::Pan;
use crate::domain::forward::OwnKey;
use crate::domain::party::Rrn;
use crate::domain::time::Expiry;
use crate::domain::time::Timestamp;

use super::route::IinRange;

/// Stands in an element for the last day of the record, YYMMDD.
pub const UNTIL: &str = "{until}";
/// Stands in an element for the card's DE 14, YYMM.
pub const EXPIRY: &str = "{expiry}";

const DAY_MS: u64 = 86_400_000;

/// `[links.NAME.card_file]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CardFile {
    /// The cards of this network.
    pub iins: Vec<IinRange>,
    /// DE 101: which file.
    pub name: Box<str>,
    /// DE 91: what is done with the record; 1 adds it.
    pub code: Box<str>,
    /// For how many days the record is to stand.
    pub days: u32,
    /// What else is said of a card with this status, by data element. A status that is not here is not told.
    pub records: Vec<(CardStatus, BTreeMap<u8, Box<str>>)>,
}

impl CardFile {
    /// Whether the network wants to know that this card has this status.
    #[must_use]
    pub fn wants(&self, pan: Pan, status: CardStatus) -> bool {
        self.iins.iter().any(|iins| iins.holds(pan)) && self.records.iter().any(|(known, _)| *known == status)
    }

    /// The elements of the message about a card with this status, but for its number; `None` when that is not told any
    /// more. It was stored `since`, and has these names.
    #[must_use]
    pub fn elements(
        &self,
        status: CardStatus,
        own: OwnKey,
        rrn: Rrn,
        expiry: Option<Expiry>,
        since: Timestamp,
    ) -> Option<Vec<(u8, String)>> {
        let (_, record) = self.records.iter().find(|(known, _)| *known == status)?;
        let expiry = expiry.map(|expiry| format!("{:04}", expiry.digits()));
        let mut elements = BTreeMap::from([
            (7, format!("{:010}", own.transmission.digits())),
            (11, format!("{:06}", own.stan.0)),
            (37, rrn.to_string()),
            (91, self.code.to_string()),
            (101, self.name.to_string()),
        ]);
        let last = since.plus_ms(u64::from(self.days) * DAY_MS).civil();
        let until = format!("{:02}{:02}{:02}", last.year.rem_euclid(100), last.month, last.day);
        elements.extend(record.iter().map(|(element, text)| {
            (*element, text.replace(UNTIL, &until).replace(EXPIRY, expiry.as_deref().unwrap_or("0000")))
        }));
        Some(elements.into_iter().collect())
    }
}
