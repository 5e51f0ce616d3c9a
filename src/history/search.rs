//! What is looked for, and what was found.

use std::ops::RangeInclusive;

use crate::domain::event::Sequence;
use crate::domain::money::Currency;
use crate::domain::request::ApprovalCode;
use crate::domain::request::Stan;

use super::entry;
use super::entry::Day;
use super::entry::Entry;

/// What an entry must be like; what is `None` fits all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Search {
    /// The source network, as an authorization keeps it.
    pub network: Option<u16>,
    /// Visa DE 62.2 and its like.
    pub network_reference: Option<u64>,
    /// DE 37.
    pub rrn: Option<[u8; 12]>,
    /// DE 11.
    pub stan: Option<Stan>,
    /// DE 38.
    pub approval_code: Option<ApprovalCode>,
    /// The ledger's fingerprint of DE 41.
    pub terminal: Option<u32>,
    /// The ledger's fingerprint of DE 42.
    pub merchant: Option<u32>,
    /// DE 4, minor units.
    pub amount: Option<RangeInclusive<i64>>,
    /// DE 49.
    pub currency: Option<Currency>,
    /// When it was closed, seconds since 1970.
    pub closed_s: Option<RangeInclusive<u32>>,
    /// The record that made it.
    pub made: Option<RangeInclusive<Sequence>>,
}

/// A column whose number must lie between two.
pub(super) type Test = (usize, u64, u64);

impl Search {
    /// The same over the numbers that entries are stored as.
    pub(super) fn tests(&self) -> Vec<Test> {
        let mut tests = Vec::new();
        let mut equals = |column: usize, value: Option<u64>| {
            tests.extend(value.map(|value| (column, value, value)));
        };
        let rrn = self.rrn.as_ref().map(entry::numbers_of_text);
        equals(entry::NETWORK_REFERENCE, self.network_reference);
        equals(entry::RRN_LOW, rrn.map(|(_, low)| low));
        equals(entry::RRN_HIGH, rrn.map(|(high, _)| high));
        equals(entry::STAN, self.stan.map(|stan| stan.0.into()));
        equals(entry::APPROVAL_CODE, self.approval_code.map(|code| entry::number_of_code(code.0)));
        equals(entry::TERMINAL, self.terminal.map(u64::from));
        equals(entry::MERCHANT, self.merchant.map(u64::from));
        equals(entry::NETWORK, self.network.map(u64::from));
        equals(entry::CURRENCY, self.currency.map(|currency| currency.numeric().into()));
        let amount = self
            .amount
            .as_ref()
            .map(|range| (entry::AMOUNT, entry::ordered(*range.start()), entry::ordered(*range.end())));
        let closed = self
            .closed_s
            .as_ref()
            .map(|range| (entry::CHANGED, u64::from(*range.start()), u64::from(*range.end())));
        let made = self.made.as_ref().map(|range| (entry::MADE, !range.end().0, !range.start().0));
        tests.extend([amount, closed, made].into_iter().flatten());
        tests
    }
}

/// How much one look may find and read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Most entries.
    pub entries: usize,
    /// Most blocks of 16 KiB that are read; more only where nothing would come of it otherwise, one for each run of a
    /// day.
    pub blocks: u64,
}

/// What was found of one card, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Found {
    /// The entries, by the record that made them.
    pub entries: Vec<Entry>,
    /// A limit was reached, and there may be more: they were made before this record.
    pub more_before: Option<Sequence>,
    /// How many blocks were read.
    pub blocks: u64,
}

/// What was found of all cards: newest day first, within a day by card, and of a card newest first.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Entry>,
    /// Where to go on; `None` when all was looked at.
    pub next: Option<Cursor>,
    /// How many blocks were read.
    pub blocks: u64,
}

/// Where a search has come to. It stays good while runs are merged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// The day.
    pub day: Day,
    /// The key within the day that was looked at last; `None` at its start.
    pub after: Option<u128>,
}
