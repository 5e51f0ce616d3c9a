//! Visa's clearing files: BASE II transactions of component records (TCR), each of 168 characters.

use crate::clearing::Agreement;
use crate::clearing::Alphabet;
use crate::clearing::Context;
use crate::clearing::Item;
use crate::clearing::Located;
use crate::clearing::Reason;
use crate::clearing::Scope;
use crate::clearing::Separator;
use crate::clearing::Skipped;
use crate::clearing::Trailer;
use crate::clearing::error::ClearingError;
use crate::clearing::error::Fault;
use crate::clearing::error::Position;
use crate::clearing::input::Input;
use crate::clearing::tcr;
use crate::clearing::tcr::Record;
use crate::clearing::tcr::TCR;
use crate::domain::clearing::Presentment;

/// Transaction codes of a file's frame.
pub(super) const FILE_HEADER: u8 = 90;
pub(super) const BATCH_TRAILER: u8 = 91;
pub(super) const FILE_TRAILER: u8 = 92;

/// A sum has fifteen digits; what is above them is left out.
pub(super) const SUM_MODULUS: u128 = 10_u128.pow(15);

/// What a transaction code stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A sale, a credit or cash, or the reversal of one.
    Presentment,
    /// A chargeback, whose amounts stand where those of a presentment do.
    Chargeback,
    /// A transaction with amounts, and nobody here knows where.
    Fee,
    /// Any other. It is not known whether it has amounts that count.
    Other(Reason),
}

const fn kind(code: u8) -> Kind {
    match code {
        5..=7 | 25..=27 => Kind::Presentment,
        15..=17 | 35..=37 => Kind::Chargeback,
        10 | 20 => Kind::Fee,
        // Fraud advices, captured authorizations, reports, settlement, and text.
        33 | 40 | 44..=48 | 50..=58 => Kind::Other(Reason::Administrative),
        _ => Kind::Other(Reason::Unknown),
    }
}

/// What the transactions since a header or a batch trailer add up to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) transactions: u64,
    pub(super) components: u64,
    pub(super) monetary: u64,
    /// Some of those that were passed over may have been monetary.
    maybe_monetary: u64,
    /// The amount of one that was passed over is not known.
    unknown_amounts: bool,
    pub(super) source: Sides,
    pub(super) destination: Sides,
    /// Trailers in it, which some senders count as transactions and components.
    trailers: u64,
}

/// Sums of what takes from cardholders and of what gives to them, minor units of whatever currency.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sides {
    debits: u128,
    credits: u128,
}

impl Sides {
    const fn add(&mut self, credit: bool, amount: u64) {
        if credit {
            self.credits += amount as u128;
        } else {
            self.debits += amount as u128;
        }
    }

    const fn and(self, other: Self) -> Self {
        Self { debits: self.debits + other.debits, credits: self.credits + other.credits }
    }

    pub(super) const fn sum(self) -> u64 {
        ((self.debits + self.credits) % SUM_MODULUS) as u64
    }

    const fn net(self) -> u64 {
        (self.debits.abs_diff(self.credits) % SUM_MODULUS) as u64
    }
}

impl Totals {
    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            transactions: self.transactions + other.transactions,
            components: self.components + other.components,
            monetary: self.monetary + other.monetary,
            maybe_monetary: self.maybe_monetary + other.maybe_monetary,
            unknown_amounts: self.unknown_amounts || other.unknown_amounts,
            source: self.source.and(other.source),
            destination: self.destination.and(other.destination),
            trailers: self.trailers + other.trailers,
        }
    }

    /// Counts a monetary transaction.
    pub(super) const fn add(&mut self, credit: bool, source: u64, destination: u64) {
        self.transactions += 1;
        self.monetary += 1;
        self.source.add(credit, source);
        self.destination.add(credit, destination);
    }

    /// Counts a transaction that is passed over, and says why it is.
    fn add_other(&mut self, kind: Kind, record: &Record<'_>) -> Result<Reason, Fault> {
        let reason = match kind {
            Kind::Presentment | Kind::Chargeback => {
                let (source, destination) = tcr::amounts(record)?;
                // A chargeback gives back what its presentment took; its reversal takes it again.
                let credit = matches!(record.code(), 15 | 17 | 36);
                self.add(credit, source, destination);
                return Ok(Reason::Chargeback);
            }
            Kind::Fee => {
                self.monetary += 1;
                Reason::Fee
            }
            Kind::Other(reason) => {
                self.maybe_monetary += 1;
                reason
            }
        };
        self.unknown_amounts = true;
        self.transactions += 1;
        Ok(reason)
    }

    /// Compares a trailer with what was read. A number of zeros is none.
    ///
    /// Public sources do not say whether trailers count themselves, nor whether a sum is of all amounts or debits less
    /// credits: either is taken.
    fn compare(&self, trailer: &Record<'_>, scope: Scope) -> Result<Trailer, Fault> {
        let said = tcr::trailer(trailer)?;
        let spare = if scope == Scope::File { self.trailers + 2 } else { 1 };
        let counts = [
            ("monetary transactions", said.monetary, self.monetary, self.maybe_monetary),
            ("transactions", said.transactions, self.transactions, spare),
            ("component records", said.components, self.components, spare),
        ];
        let (mut count, mut sum) = (Agreement::NotGiven, Agreement::NotGiven);
        for (what, said, found, spare) in counts.into_iter().filter(|(_, said, ..)| *said > 0) {
            if !(found..=found + spare).contains(&said) {
                return Err(Fault::Count { what, said, found });
            }
            count = Agreement::Agreed;
        }
        let sums = [
            ("source amounts", said.source, self.source),
            ("destination amounts", said.destination, self.destination),
        ];
        for (what, said, sides) in sums.into_iter().filter(|(_, said, _)| *said > 0) {
            let agrees = said == sides.sum() || said == sides.net();
            if !agrees && !self.unknown_amounts {
                return Err(Fault::Sum { what, said, found: sides.sum() });
            }
            if !agrees {
                sum = Agreement::NotChecked;
            } else if sum == Agreement::NotGiven {
                sum = Agreement::Agreed;
            }
        }
        let says_nothing = count == Agreement::NotGiven && sum == Agreement::NotGiven;
        if says_nothing && self.monetary > 0 {
            return Err(Fault::EmptyTrailer);
        }
        Ok(Trailer { scope, counts: count, sums: sum })
    }
}

/// A transaction whose next component may still come.
#[derive(Clone, Copy, Debug)]
struct Open {
    position: Position,
    code: u8,
    qualifier: u8,
    last: u8,
    result: Result<Item, Fault>,
}

/// The state of reading one file.
pub(super) struct BaseTwo {
    alphabet: Alphabet,
    separator: Separator,
    context: Context,
    /// Nothing comes behind a file's trailer but another header.
    closed: bool,
    /// How many files ended with a trailer.
    trailers: u64,
    /// A file's header was read, or a transaction.
    begun: bool,
    /// Since the last batch trailer; `None` when reading began within the batch.
    batch: Option<Totals>,
    /// Of the batches that ended; `None` when reading began within the file.
    file: Option<Totals>,
    open: Option<Open>,
}

impl BaseTwo {
    pub(super) fn new(alphabet: Alphabet, separator: Separator, context: Context, resumed: bool) -> Self {
        let totals = (!resumed).then(Totals::default);
        Self {
            alphabet,
            separator,
            context,
            closed: false,
            trailers: 0,
            begun: resumed,
            batch: totals,
            file: totals,
            open: None,
        }
    }

    pub(super) fn next_item(&mut self, input: &mut Input) -> Option<Result<Located, ClearingError>> {
        loop {
            let position = input.position();
            let separator = self.separator.bytes();
            let length = TCR + separator.len();
            let rest = input.rest();
            // The last record may go without what separates records.
            let last = input.has_ended() && rest.len() == TCR;
            if rest.len() < length && !last {
                return self.at_end(input);
            }
            let length = if last { TCR } else { length };
            let bytes = input.first(length);
            let record = match bytes.split_first_chunk::<TCR>() {
                Some((record, behind)) if last || behind == separator => Record::new(record, self.alphabet),
                _ => {
                    let found = length_of_line(bytes, separator) as u64;
                    return Some(Err(ClearingError { position, fault: Fault::Length { found } }));
                }
            };
            if begins_anew(&record)
                && let Some(open) = self.open.take()
            {
                return Some(finished(open));
            }
            let read = self.record(&record, position);
            input.take(length);
            match read {
                Ok(Some(item)) => return Some(Ok(Located { position, item })),
                Ok(None) => {}
                Err(fault) => return Some(Err(ClearingError { position, fault })),
            }
        }
    }

    fn at_end(&mut self, input: &Input) -> Option<Result<Located, ClearingError>> {
        if !input.has_ended() || !input.rest().is_empty() {
            return input.starved().map(Err);
        }
        if let Some(open) = self.open.take() {
            return Some(finished(open));
        }
        let position = input.position();
        if !self.closed {
            let fault = if self.begun { Fault::NoTrailer } else { Fault::Cut };
            // Said once.
            self.closed = true;
            return Some(Err(ClearingError { position, fault }));
        }
        Some(Ok(Located { position, item: Item::End }))
    }

    /// Takes a record. A transaction is kept until its last component has come.
    fn record(&mut self, record: &Record<'_>, position: Position) -> Result<Option<Item>, Fault> {
        let code = record.number(tcr::TRANSACTION_CODE).ok_or(tcr::CODE)? as u8;
        let component = record.component().ok_or(tcr::CODE)?;
        match code {
            FILE_HEADER => return self.header(record).map(Some),
            _ if std::mem::take(&mut self.closed) => {
                self.begun = true;
                return Err(Fault::OutsideFile);
            }
            BATCH_TRAILER => {
                let batch = self.batch.replace(Totals::default());
                let counted = batch.map(|batch| Totals { trailers: batch.trailers + 1, ..batch });
                self.file = self.file.zip(counted).map(|(file, batch)| file.and(batch));
                return compare(batch, record, Scope::Batch).map(Some);
            }
            FILE_TRAILER => {
                let (batch, file) =
                    (self.batch.replace(Totals::default()), self.file.replace(Totals::default()));
                self.closed = true;
                self.begun = false;
                self.trailers += 1;
                if batch.is_some_and(|batch| batch.transactions > 0) {
                    return Err(Fault::NoTrailer);
                }
                return compare(file, record, Scope::File).map(Some);
            }
            _ => self.begun = true,
        }
        if let Some(batch) = &mut self.batch {
            batch.components += 1;
        }
        if component == 0 {
            let result = self.begin(record, code);
            let qualifier = record.byte(3);
            self.open = Some(Open { position, code, qualifier, last: 0, result });
            return Ok(None);
        }
        let Some(open) = self.open.as_mut() else { return Err(Fault::Component { number: component }) };
        if (open.code, open.qualifier) != (code, record.byte(3)) || component <= open.last {
            return Err(Fault::Component { number: component });
        }
        open.last = component;
        if let Ok(Item::Presentment(presentment)) = &mut open.result
            && let Err(fault) = tcr::add_component(presentment, component, record)
        {
            open.result = Err(fault);
        }
        Ok(None)
    }

    fn header(&mut self, record: &Record<'_>) -> Result<Item, Fault> {
        // Where reading began behind a header, its trailer may have been before that.
        let again = std::mem::replace(&mut self.begun, true) && !self.closed && self.file.is_some();
        self.closed = false;
        (self.batch, self.file) = (Some(Totals::default()), Some(Totals::default()));
        if again {
            return Err(Fault::HeaderAgain);
        }
        Ok(Item::Header(tcr::file_header(record)))
    }

    /// Begins a transaction and counts it.
    fn begin(&mut self, record: &Record<'_>, code: u8) -> Result<Item, Fault> {
        let kind = kind(code);
        if kind != Kind::Presentment {
            // Where reading began within the batch, nothing is compared.
            let mut uncounted = Totals::default();
            let reason = self.batch.as_mut().unwrap_or(&mut uncounted).add_other(kind, record)?;
            return Ok(Item::Skipped(Skipped { reason, code: u32::from(code) }));
        }
        let presentment: Presentment = tcr::presentment(record, code, self.context)?;
        if let Some(batch) = &mut self.batch {
            let destination = presentment.billing.map_or(0, |money| money.minor as u64);
            batch.add(presentment.function.is_credit(), presentment.amount.minor as u64, destination);
        }
        Ok(Item::Presentment(presentment))
    }
}

/// Whether what came before is whole: a file's header has no component number.
fn begins_anew(record: &Record<'_>) -> bool {
    !(1..FILE_HEADER).contains(&record.code()) || record.component().is_none_or(|component| component == 0)
}

/// How long a line is that does not end where it should.
fn length_of_line(bytes: &[u8], separator: &[u8]) -> usize {
    let ends = bytes.windows(separator.len().max(1)).position(|window| window == separator);
    ends.unwrap_or(bytes.len())
}

fn compare(totals: Option<Totals>, trailer: &Record<'_>, scope: Scope) -> Result<Item, Fault> {
    let unchecked = Trailer { scope, counts: Agreement::NotChecked, sums: Agreement::NotChecked };
    totals.map_or(Ok(unchecked), |totals| totals.compare(trailer, scope)).map(Item::Trailer)
}

fn finished(open: Open) -> Result<Located, ClearingError> {
    let Open { position, result, .. } = open;
    match result {
        Ok(item) => Ok(Located { position, item }),
        Err(fault) => Err(ClearingError { position, fault }),
    }
}
