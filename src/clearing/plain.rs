//! Plain files, line by line: CSV with a heading, and JSON lines.

use crate::clearing::Agreement;
use crate::clearing::Item;
use crate::clearing::Located;
use crate::clearing::Scope;
use crate::clearing::Trailer;
use crate::clearing::error::ClearingError;
use crate::clearing::error::Fault;
use crate::clearing::error::Position;
use crate::clearing::input::Input;
use crate::clearing::json;
use crate::clearing::json::Line;
use crate::clearing::row::COLUMNS;
use crate::clearing::row::Row;
use crate::clearing::row::digits_of;

/// Bytes of the longest line.
const LONGEST: usize = 16 * 1024;
/// What is said of a longer one, whose end may not have come yet.
const TOO_LONG: Fault = Fault::Length { found: LONGEST as u64 + 1 };
/// What the first cell of the last line of CSV has.
pub(super) const END: &[u8] = b"end";
/// What some editors put in front of a text.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
/// The sum of the last line has sixteen digits; what is above them is left out.
pub(super) const SUM_MODULUS: u128 = 10_u128.pow(16);

/// The state of reading one file.
pub(super) struct Plain {
    json: bool,
    row: Row,
    heading_expected: bool,
    /// Records and the sum of their amounts; `None` when reading began behind the first.
    totals: Option<(u64, u128)>,
    begun: bool,
    ended: bool,
}

impl Plain {
    pub(super) fn csv(resumed: bool) -> Self {
        Self { heading_expected: !resumed, ..Self::new(false, resumed) }
    }

    pub(super) fn json(resumed: bool) -> Self {
        Self::new(true, resumed)
    }

    fn new(json: bool, resumed: bool) -> Self {
        let totals = (!resumed).then_some((0, 0));
        Self { json, row: Row::default(), heading_expected: false, totals, begun: resumed, ended: false }
    }

    pub(super) fn next_item(&mut self, input: &mut Input) -> Option<Result<Located, ClearingError>> {
        loop {
            let position = input.position();
            let error = |fault| Some(Err(ClearingError { position, fault }));
            let rest = input.rest();
            let (length, taken) = match rest.iter().position(|byte| *byte == b'\n') {
                Some(length) => (length, length + 1),
                None if rest.len() > LONGEST => return error(TOO_LONG),
                None if !input.has_ended() => return None,
                None if rest.is_empty() => return self.at_end(position),
                None => (rest.len(), rest.len()),
            };
            if self.ended {
                return error(Fault::AfterEnd);
            }
            if length > LONGEST {
                return error(TOO_LONG);
            }
            let line = input.first(length);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.begun = true;
            if std::mem::take(&mut self.heading_expected) {
                if let Some(column) = differs_from_heading(line) {
                    return error(Fault::Heading { column });
                }
                input.take(taken);
                continue;
            }
            let read = self.line(line);
            input.take(taken);
            return Some(match read {
                Ok(item) => Ok(Located { position, item }),
                Err(fault) => Err(ClearingError { position, fault }),
            });
        }
    }

    fn at_end(&mut self, position: Position) -> Option<Result<Located, ClearingError>> {
        if self.ended {
            return Some(Ok(Located { position, item: Item::End }));
        }
        // Said once.
        self.ended = true;
        let fault = if self.begun { Fault::NoTrailer } else { Fault::Cut };
        Some(Err(ClearingError { position, fault }))
    }

    fn line(&mut self, line: &[u8]) -> Result<Item, Fault> {
        let read = if self.json { json::read(line, &mut self.row) } else { split(line, &mut self.row) };
        if let Line::End { records, sum } = read? {
            return self.end(records, sum).map(Item::Trailer);
        }
        let presentment = self.row.presentment()?;
        if let Some((records, sum)) = &mut self.totals {
            *records += 1;
            *sum += u128::from(presentment.amount.minor.unsigned_abs());
        }
        Ok(Item::Presentment(presentment))
    }

    fn end(&mut self, said_records: u64, said: u64) -> Result<Trailer, Fault> {
        self.ended = true;
        let agreement = match self.totals {
            None => Agreement::NotChecked,
            Some((found, _)) if found != said_records => {
                return Err(Fault::Count { what: "records", said: said_records, found });
            }
            Some((_, sum)) if sum % SUM_MODULUS != u128::from(said) => {
                let found = (sum % SUM_MODULUS) as u64;
                return Err(Fault::Sum { what: "amounts", said, found });
            }
            Some(_) => Agreement::Agreed,
        };
        Ok(Trailer { scope: Scope::File, counts: agreement, sums: agreement })
    }
}

/// Where a line is not the heading, from 1.
fn differs_from_heading(line: &[u8]) -> Option<usize> {
    let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
    let heading = COLUMNS.join(",");
    let heading = heading.as_bytes();
    (line != heading).then(|| 1 + heading.iter().zip(line).take_while(|(one, other)| one == other).count())
}

/// Splits a line of CSV. A value is in quotes, with quotes doubled, or has none.
fn split(line: &[u8], row: &mut Row) -> Result<Line, Fault> {
    row.clear();
    if let Some(end) = line.strip_prefix(END).and_then(|rest| rest.strip_prefix(b",")) {
        return end_of(end);
    }
    let mut at = 0;
    for (place, name) in COLUMNS.iter().enumerate() {
        if place > 0 {
            if line.get(at) != Some(&b',') {
                return Err(Fault::Line { name, column: at + 1, expected: "behind a comma" });
            }
            at += 1;
        }
        row.add(place, at + 1, |text| {
            let length = cell(line.get(at..).unwrap_or_default(), text);
            let (length, right) = length.map_or_else(|length| (length, false), |length| (length, true));
            at += length;
            if right { Ok(()) } else { Err(Fault::Line { name, column: at + 1, expected: CELL }) }
        })?;
    }
    if at < line.len() {
        return Err(Fault::Line { name: "", column: at + 1, expected: "the end of the line" });
    }
    Ok(Line::Record)
}

const CELL: &str = "printable ASCII, in quotes when it has a comma, with quotes doubled";

/// Appends a value, and says how many bytes of the line it takes; or where it is wrong.
fn cell(line: &[u8], to: &mut Vec<u8>) -> Result<usize, usize> {
    let Some(quoted) = line.strip_prefix(b"\"") else {
        let end = line.iter().position(|byte| *byte == b',').unwrap_or(line.len());
        let value = line.get(..end).unwrap_or_default();
        if let Some(wrong) = value.iter().position(|byte| !is_shown(*byte) || *byte == b'"') {
            return Err(wrong);
        }
        to.extend_from_slice(value);
        return Ok(end);
    };
    let mut at = 0;
    loop {
        match (quoted.get(at), quoted.get(at + 1)) {
            (Some(b'"'), Some(b'"')) => {
                to.push(b'"');
                at += 2;
            }
            (Some(b'"'), _) => return Ok(at + 2),
            (Some(byte), _) if is_shown(*byte) => {
                to.push(*byte);
                at += 1;
            }
            _ => return Err(at + 1),
        }
    }
}

const fn is_shown(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte == b' '
}

/// The last line: how many records, and the sum of their amounts.
fn end_of(rest: &[u8]) -> Result<Line, Fault> {
    let comma = rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len());
    let (records, sum) = rest.split_at(comma);
    let numbers = digits_of(records).zip(sum.strip_prefix(b",").and_then(digits_of));
    let expected = "end, the number of records, the sum of their amounts";
    let (records, sum) = numbers.ok_or(Fault::Line { name: "", column: END.len() + 2, expected })?;
    Ok(Line::End { records, sum })
}
