//! Goes over a whole file before its first record is posted (R20).

use std::collections::BTreeMap;
use std::fmt;

use crate::clearing::Agreement;
use crate::clearing::Context;
use crate::clearing::Format;
use crate::clearing::Item;
use crate::clearing::Located;
use crate::clearing::Reader;
use crate::clearing::Reason;
use crate::clearing::error::ClearingError;
use crate::clearing::error::Fault;
use crate::clearing::error::Position;
use crate::domain::clearing::Presentment;
use crate::domain::clearing::Purpose;
use crate::domain::money::Currency;

/// Most findings that are kept. A file of another kind would have one in every record.
const FINDINGS_MAX: usize = 100;

/// What records of one currency add up to, minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    /// Taken from cardholders.
    pub debits: u128,
    /// Given to cardholders.
    pub credits: u128,
}

/// What a file has in it, once it is known to be right.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Summary {
    /// Presentments and reversals.
    pub presentments: u64,
    /// The same by purpose, in the order of [`Purpose::ALL`]: presentments, then reversals.
    pub by_function: [[u64; 2]; Purpose::ALL.len()],
    /// Those that say that more will come.
    pub partial: u64,
    /// What is posted, by currency ([`Presentment::billed`]).
    pub sums: BTreeMap<Currency, Sums>,
    /// Records that were passed over, in the order of [`Reason::ALL`].
    pub skipped: [u64; Reason::ALL.len()],
    /// Files with a header in it.
    pub headers: u64,
    /// A header says that it is a test.
    pub test: bool,
    /// Trailers, all of which agree.
    pub trailers: u64,
    /// Trailers whose sums could not be compared: one has none, or counts a record whose amount is not known here.
    pub sums_not_compared: u64,
}

/// What is wrong with a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Findings {
    /// The first hundred, in the order of the file. There is at least one.
    pub first: Vec<ClearingError>,
    /// How many there are.
    pub count: u64,
}

impl fmt::Display for Findings {
    /// A line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.first {
            writeln!(f, "{error}")?;
        }
        match self.count.saturating_sub(self.first.len() as u64) {
            0 => Ok(()),
            more => writeln!(f, "and {more} more"),
        }
    }
}

impl std::error::Error for Findings {}

/// Takes every item of a file, and says at the end whether it may be posted.
#[derive(Clone, Debug, Default)]
pub struct Check {
    summary: Summary,
    findings: Vec<ClearingError>,
    count: u64,
    last: Position,
    ended: bool,
}

impl Check {
    /// Nothing was taken yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what [`Reader::next_item`] gave.
    pub fn take(&mut self, next: &Result<Located, ClearingError>) {
        let Located { position, item } = match next {
            Ok(located) => located,
            Err(error) => {
                self.last = error.position;
                self.find(*error);
                return;
            }
        };
        self.last = *position;
        match item {
            Item::Header(header) => {
                self.summary.headers += 1;
                self.summary.test |= header.test;
            }
            Item::Presentment(presentment) => self.summary.add(presentment),
            Item::Skipped(skipped) => self.summary.skipped[skipped.reason as usize] += 1,
            Item::Trailer(trailer) => {
                self.summary.trailers += 1;
                self.summary.sums_not_compared += u64::from(trailer.sums != Agreement::Agreed);
            }
            Item::End => self.ended = true,
        }
    }

    fn find(&mut self, error: ClearingError) {
        self.count += 1;
        if self.findings.len() < FINDINGS_MAX {
            self.findings.push(error);
        }
    }

    /// What is in the file.
    ///
    /// # Errors
    /// What is wrong with it: no record of it may be posted.
    pub fn finish(mut self) -> Result<Summary, Findings> {
        if !self.ended && self.count == 0 {
            self.find(ClearingError { position: self.last, fault: Fault::Cut });
        }
        if self.count > 0 {
            return Err(Findings { first: self.findings, count: self.count });
        }
        Ok(self.summary)
    }

    /// Reads a file whose bytes come in these portions.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn whole<'b>(
        format: Format,
        context: Context,
        portions: impl IntoIterator<Item = &'b [u8]>,
    ) -> Result<Summary, Findings> {
        let (mut reader, mut check) = (Reader::new(format, context), Self::new());
        for portion in portions {
            reader.feed(portion);
            while let Some(next) = reader.next_item() {
                check.take(&next);
            }
        }
        reader.end();
        while let Some(next) = reader.next_item() {
            check.take(&next);
        }
        check.finish()
    }
}

impl Summary {
    fn add(&mut self, presentment: &Presentment) {
        let (function, billed) = (presentment.function, presentment.billed());
        self.presentments += 1;
        self.by_function[function.purpose as usize][usize::from(function.reversal)] += 1;
        self.partial += u64::from(!presentment.part.is_final());
        let sums = self.sums.entry(billed.currency).or_default();
        let side = if function.is_credit() { &mut sums.credits } else { &mut sums.debits };
        *side += u128::from(billed.minor.unsigned_abs());
    }
}
