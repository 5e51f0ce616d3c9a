//! One line of JSON: a flat object of texts and whole numbers, read into a [`Row`].

use crate::clearing::error::Fault;
use crate::clearing::row::COLUMNS;
use crate::clearing::row::Row;
use crate::clearing::row::digits_of;

/// What a line says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Line {
    /// A record; the row has its values.
    Record,
    /// The end of the file: how many records, and the sum of their amounts.
    End {
        /// How many records.
        records: u64,
        /// The sum.
        sum: u64,
    },
}

const RECORDS: &[u8] = b"records";
const SUM: &[u8] = b"sum";

struct Scan<'l> {
    line: &'l [u8],
    at: usize,
}

/// A mistake at a place of the line, from 1.
const fn wrong(column: usize, expected: &'static str) -> Fault {
    Fault::Line { name: "", column, expected }
}

/// Reads one line.
pub(super) fn read(line: &[u8], row: &mut Row) -> Result<Line, Fault> {
    row.clear();
    let mut scan = Scan { line, at: 0 };
    let (mut records, mut sum) = (None, None);
    let mut place = 0;
    scan.expect(b'{', "an object, which begins with {")?;
    while scan.peek() != Some(b'}') {
        if place > 0 || records.is_some() || sum.is_some() {
            scan.expect(b',', "a comma or }")?;
        }
        let column = scan.column();
        let key = scan.key()?;
        scan.expect(b':', "a colon")?;
        if key == RECORDS || key == SUM {
            let slot = if key == RECORDS { &mut records } else { &mut sum };
            let at = scan.column();
            let number = digits_of(scan.plain()).ok_or(wrong(at, "a whole number"))?;
            if slot.replace(number).is_some() {
                return Err(wrong(column, "each key once"));
            }
            continue;
        }
        // Most writers keep the order of the columns.
        let found = (place..COLUMNS.len()).chain(0..place).find(|at| COLUMNS[*at].as_bytes() == key);
        let found = found.ok_or(wrong(column, "a column of docs/clearing.md as key"))?;
        if row.has(found) {
            return Err(wrong(column, "each key once"));
        }
        place = found + 1;
        scan.peek();
        row.add(found, scan.column(), |text| scan.value(text))?;
    }
    scan.at += 1;
    if scan.peek().is_some() {
        return Err(wrong(scan.column(), "the end of the line"));
    }
    match (records, sum, place) {
        (None, None, _) => Ok(Line::Record),
        (Some(records), Some(sum), 0) => Ok(Line::End { records, sum }),
        _ => Err(wrong(1, "records and sum, and nothing else, in the last line")),
    }
}

impl<'l> Scan<'l> {
    const fn column(&self) -> usize {
        self.at + 1
    }

    /// The next character that is no space.
    fn peek(&mut self) -> Option<u8> {
        while matches!(self.line.get(self.at), Some(b' ' | b'\t')) {
            self.at += 1;
        }
        self.line.get(self.at).copied()
    }

    fn expect(&mut self, character: u8, expected: &'static str) -> Result<(), Fault> {
        if self.peek() != Some(character) {
            return Err(wrong(self.column(), expected));
        }
        self.at += 1;
        Ok(())
    }

    /// A text without escapes.
    fn key(&mut self) -> Result<&'l [u8], Fault> {
        self.expect(b'"', "a key in quotes")?;
        let start = self.at;
        let rest = self.line.get(start..).unwrap_or_default();
        let length = rest.iter().position(|byte| *byte == b'"').ok_or(wrong(start, "a key in quotes"))?;
        self.at = start + length + 1;
        Ok(rest.get(..length).unwrap_or_default())
    }

    /// What stands up to the next comma, bracket or space.
    fn plain(&mut self) -> &'l [u8] {
        self.peek();
        let rest = self.line.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| matches!(byte, b',' | b'}' | b' ' | b'\t'));
        let plain = rest.get(..length.unwrap_or(rest.len())).unwrap_or_default();
        self.at += plain.len();
        plain
    }

    /// A text, a whole number, or null, which is the same as no key.
    fn value(&mut self, to: &mut Vec<u8>) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            let column = self.column();
            let plain = self.plain();
            if plain == b"null" {
                return Ok(());
            }
            if plain.is_empty() || !plain.iter().all(u8::is_ascii_digit) {
                return Err(wrong(column, "a text in quotes, a whole number, or null"));
            }
            to.extend_from_slice(plain);
            return Ok(());
        }
        self.at += 1;
        loop {
            let column = self.column();
            match self.line.get(self.at).copied() {
                Some(b'"') => break,
                Some(b'\\') => {
                    self.at += 1;
                    let escaped = self.line.get(self.at).copied();
                    let escaped = escaped.filter(|byte| matches!(byte, b'"' | b'\\' | b'/'));
                    to.push(escaped.ok_or(wrong(column, r#"no escape but \", \\ and \/"#))?);
                }
                Some(byte) if byte.is_ascii_graphic() || byte == b' ' => to.push(byte),
                Some(_) => return Err(wrong(column, "printable ASCII")),
                None => return Err(wrong(column, "a quote behind the text")),
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(())
    }
}
