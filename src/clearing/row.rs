//! One line of a plain file: its values by column, and the presentment that they say.

use crate::clearing::error::Fault;
use crate::clearing::ipm::approval_code_of;
use crate::domain::card::Pan;
use crate::domain::clearing::Arn;
use crate::domain::clearing::Function;
use crate::domain::clearing::Part;
use crate::domain::clearing::Presentment;
use crate::domain::clearing::Purpose;
use crate::domain::clearing::Usage;
use crate::domain::day::Day;
use crate::domain::day::TimeOfDay;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::InstitutionId;
use crate::domain::party::NameId;
use crate::domain::party::Text;
use crate::domain::request::Stan;

/// The columns of a plain file, in their order.
pub const COLUMNS: [&str; 26] = [
    "network",
    "function",
    "function_code",
    "usage",
    "part",
    "pan",
    "arn",
    "amount",
    "currency",
    "billing_amount",
    "billing_currency",
    "settlement_amount",
    "settlement_currency",
    "authorized_amount",
    "authorized_currency",
    "approval_code",
    "network_reference",
    "rrn",
    "stan",
    "terminal",
    "merchant",
    "mcc",
    "country",
    "acquirer",
    "local_date",
    "local_time",
];

// The columns by their places.
const NETWORK: usize = 0;
const FUNCTION: usize = 1;
const FUNCTION_CODE: usize = 2;
const USAGE: usize = 3;
const PART: usize = 4;
const PAN: usize = 5;
const ARN: usize = 6;
/// The currency stands behind each amount.
const AMOUNT: usize = 7;
const BILLING: usize = 9;
const SETTLEMENT: usize = 11;
const AUTHORIZED: usize = 13;
const APPROVAL_CODE: usize = 15;
const NETWORK_REFERENCE: usize = 16;
const RRN: usize = 17;
const STAN: usize = 18;
const TERMINAL: usize = 19;
const MERCHANT: usize = 20;
const MCC: usize = 21;
const COUNTRY: usize = 22;
const ACQUIRER: usize = 23;
const LOCAL_DATE: usize = 24;
const LOCAL_TIME: usize = 25;

/// What a function's name has behind it when it is a reversal.
pub(super) const REVERSAL: &str = "-reversal";
/// Names of usages and parts.
pub(super) const FIRST: &str = "first";
pub(super) const SECOND: &str = "second";
pub(super) const WHOLE: &str = "whole";
pub(super) const PARTIAL: &str = "partial";
pub(super) const FINAL: &str = "final";

/// Digits of the largest amount: far above DE 4.
const AMOUNT_DIGITS: usize = 15;

/// The code of a function whose line gives none.
pub(super) const fn code_of(purpose: Purpose, usage: Usage, reversal: bool) -> u32 {
    1 + purpose as u32 + 10 * usage as u32 + 100 * reversal as u32
}

#[derive(Clone, Copy, Debug, Default)]
struct Cell {
    start: u32,
    end: u32,
    /// Where it begins in the line, from 1; zero when the line does not have it.
    column: u32,
}

/// The values of one line. It is used again for the next.
#[derive(Default)]
pub(super) struct Row {
    text: Vec<u8>,
    cells: [Cell; COLUMNS.len()],
}

impl Row {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.cells = [Cell::default(); COLUMNS.len()];
    }

    /// Whether the line had a column.
    pub(super) fn has(&self, place: usize) -> bool {
        self.cells.get(place).is_some_and(|cell| cell.column > 0)
    }

    /// Adds a column whose value `fill` appends; it begins in the line at `column`, from 1.
    pub(super) fn add<E>(
        &mut self,
        place: usize,
        column: usize,
        fill: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let start = self.text.len() as u32;
        fill(&mut self.text)?;
        if let Some(cell) = self.cells.get_mut(place) {
            *cell = Cell { start, end: self.text.len() as u32, column: column as u32 };
        }
        Ok(())
    }

    /// The value of a column; empty when the line does not have it.
    #[inline]
    fn at(&self, place: usize) -> &[u8] {
        let Some(Cell { start, end, .. }) = self.cells.get(place) else { return &[] };
        self.text.get(*start as usize..*end as usize).unwrap_or_default()
    }

    #[cold]
    fn wrong(&self, place: usize, expected: &'static str) -> Fault {
        let column = self.cells.get(place).map_or(0, |cell| cell.column as usize);
        Fault::Line { name: COLUMNS.get(place).copied().unwrap_or_default(), column: column.max(1), expected }
    }

    fn number(&self, place: usize, digits: usize, expected: &'static str) -> Result<Option<u64>, Fault> {
        let value = self.at(place);
        if value.is_empty() {
            return Ok(None);
        }
        let number = if value.len() <= digits { digits_of(value) } else { None };
        number.ok_or_else(|| self.wrong(place, expected)).map(Some)
    }

    fn money(&self, place: usize) -> Result<Option<Money>, Fault> {
        let minor = self.number(place, AMOUNT_DIGITS, "minor units, at most 15 digits")?;
        let expected = "three digits of ISO 4217, and there when its amount is";
        let code = self.number(place + 1, 3, expected)?;
        // "84" is no currency, nor is "000".
        let whole = self.at(place + 1).len() == 3;
        let code = code.filter(|code| whole && *code != 0).and_then(|code| Currency::new(code as u16));
        match (minor, code) {
            (Some(minor), Some(currency)) => Ok(Some(Money::new(minor as i64, currency))),
            (None, None) => Ok(None),
            (Some(_), None) => Err(self.wrong(place + 1, expected)),
            (None, Some(_)) => Err(self.wrong(place, "there when its currency is")),
        }
    }

    fn text<const N: usize>(&self, place: usize, expected: &'static str) -> Result<Text<N>, Fault> {
        let value = self.at(place);
        if value.len() > N { Err(self.wrong(place, expected)) } else { Ok(Text::from_ascii(value)) }
    }

    /// What the line says.
    pub(super) fn presentment(&self) -> Result<Presentment, Fault> {
        let network = std::str::from_utf8(self.at(NETWORK)).unwrap_or_default();
        if network.is_empty() {
            return Err(self.wrong(NETWORK, "the name of a network"));
        }
        let arn = self.at(ARN).first_chunk().copied().filter(|arn: &[u8; 23]| arn == self.at(ARN));
        Ok(Presentment {
            network: NameId::of(network),
            function: self.function()?,
            part: self.part()?,
            pan: Pan::from_ascii(self.at(PAN)).map_err(|_| self.wrong(PAN, "8 to 19 digits"))?,
            arn: arn.and_then(Arn::new).ok_or_else(|| self.wrong(ARN, "23 digits"))?,
            amount: self.money(AMOUNT)?.ok_or_else(|| self.wrong(AMOUNT, "there"))?,
            billing: self.money(BILLING)?,
            settlement: self.money(SETTLEMENT)?,
            authorized: self.money(AUTHORIZED)?,
            approval_code: match self.at(APPROVAL_CODE) {
                [] => None,
                code => <[u8; 6]>::try_from(code).map_or_else(
                    |_| Err(self.wrong(APPROVAL_CODE, "six characters")),
                    |code| Ok(approval_code_of(code)),
                )?,
            },
            network_reference: self.number(NETWORK_REFERENCE, 20, "a number of 64 bits")?.unwrap_or(0),
            rrn: self.text(RRN, "at most 12 characters")?,
            stan: self.number(STAN, 6, "at most 6 digits")?.map(|number| Stan(number as u32)),
            terminal: self.text(TERMINAL, "at most 8 characters")?,
            merchant: self.text(MERCHANT, "at most 15 characters")?,
            mcc: self.number(MCC, 4, "at most 4 digits")?.unwrap_or(0) as u16,
            country: self.text(COUNTRY, "at most 3 characters")?,
            acquirer: InstitutionId(self.number(ACQUIRER, 11, "at most 11 digits")?.unwrap_or(0)),
            local_date: self.date()?,
            local_time: self.time()?,
        })
    }

    fn function(&self) -> Result<Function, Fault> {
        let name = self.at(FUNCTION);
        let stem = name.strip_suffix(REVERSAL.as_bytes());
        let known = Purpose::ALL.iter().find(|(_, known)| known.as_bytes() == stem.unwrap_or(name));
        let expected = "purchase, cash, refund or original-credit, with -reversal behind it or not";
        let (purpose, reversal) = known
            .map(|(purpose, _)| (*purpose, stem.is_some()))
            .ok_or_else(|| self.wrong(FUNCTION, expected))?;
        let usage = match self.at(USAGE) {
            b"" | b"first" => Usage::First,
            b"second" => Usage::Second,
            _ => return Err(self.wrong(USAGE, "first or second")),
        };
        let code = self.number(FUNCTION_CODE, 9, "at most 9 digits")?.map(|code| code as u32);
        Ok(Function { purpose, reversal, usage, code: code.unwrap_or(code_of(purpose, usage, reversal)) })
    }

    fn part(&self) -> Result<Part, Fault> {
        let value = self.at(PART);
        let numbered = || {
            let slash = value.iter().position(|byte| *byte == b'/')?;
            let (sequence, count) = (value.get(..slash)?, value.get(slash + 1..)?);
            let number =
                |digits: &[u8]| digits_of(digits).filter(|_| digits.len() <= 2).map(|number| number as u8);
            Some(Part::Numbered { sequence: number(sequence)?, count: number(count)? })
        };
        match value {
            b"" | b"whole" => Ok(Part::Whole),
            b"partial" => Ok(Part::Partial),
            b"final" => Ok(Part::Final),
            _ => numbered().ok_or_else(|| self.wrong(PART, "whole, partial, final, or number/count as 1/2")),
        }
    }

    fn date(&self) -> Result<Option<Day>, Fault> {
        let wrong = || self.wrong(LOCAL_DATE, "a day as 2026-11-28");
        let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *self.at(LOCAL_DATE) else {
            return if self.at(LOCAL_DATE).is_empty() { Ok(None) } else { Err(wrong()) };
        };
        let digits = digits_of(&[y0, y1, y2, y3, m0, m1, d0, d1]).ok_or_else(wrong)?;
        let (month, day) = ((digits / 100 % 100) as u8, (digits % 100) as u8);
        Day::new((digits / 10_000) as u16, month, day).ok_or_else(wrong).map(Some)
    }

    fn time(&self) -> Result<Option<TimeOfDay>, Fault> {
        let wrong = || self.wrong(LOCAL_TIME, "a time as 23:59:59");
        let [h0, h1, b':', m0, m1, b':', s0, s1] = *self.at(LOCAL_TIME) else {
            return if self.at(LOCAL_TIME).is_empty() { Ok(None) } else { Err(wrong()) };
        };
        let digits = digits_of(&[h0, h1, m0, m1, s0, s1]).ok_or_else(wrong)?;
        TimeOfDay::new(digits as u32).ok_or_else(wrong).map(Some)
    }
}

/// Digits as a number; `None` for none, another character, or above 64 bits.
pub(super) fn digits_of(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit < 10 { number.checked_mul(10)?.checked_add(u64::from(digit)) } else { None }
    })
}
