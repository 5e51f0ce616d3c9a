//! Writes lines of CSV and of JSON.

use std::fmt::Display;
use std::fmt::Write;

use crate::clearing::plain::END;
use crate::clearing::plain::SUM_MODULUS;
use crate::clearing::row;
use crate::clearing::row::COLUMNS;
use crate::clearing::write::WriteError;
use crate::domain::card::PAN_DIGITS_MAX;
use crate::domain::clearing::Part;
use crate::domain::clearing::Presentment;
use crate::domain::clearing::Usage;
use crate::domain::money::Money;
use crate::domain::party::Text;

pub(super) struct Plain {
    json: bool,
    network: Box<str>,
    records: u64,
    sum: u128,
}

/// The values of a line, one after the other, in the order of the columns.
struct Line<'o> {
    json: bool,
    place: usize,
    value: String,
    out: &'o mut Vec<u8>,
}

impl Line<'_> {
    /// Adds the next column; nothing leaves it empty.
    fn push(&mut self, value: Option<impl Display>) {
        self.value.clear();
        if let Some(value) = value {
            let _infallible = write!(self.value, "{value}");
        }
        let name = COLUMNS.get(self.place).copied().unwrap_or_default();
        let first = self.place == 0;
        self.place += 1;
        if !self.json {
            let comma = if first { "" } else { "," };
            let quote = if self.value.contains([',', '"']) { "\"" } else { "" };
            let value = self.value.replace('"', "\"\"");
            self.out.extend([comma, quote, &value, quote].into_iter().flat_map(str::bytes));
        } else if !self.value.is_empty() {
            let start = if first { "{\"" } else { ",\"" };
            let escaped = self.value.replace('\\', r"\\").replace('"', "\\\"");
            self.out.extend([start, name, "\":\"", &escaped, "\""].into_iter().flat_map(str::bytes));
        }
    }

    fn money(&mut self, money: Option<Money>) -> Result<(), WriteError> {
        if money.is_some_and(|money| money.minor < 0) {
            return Err(WriteError("a negative amount"));
        }
        self.push(money.map(|money| money.minor));
        self.push(money.map(|money| money.currency));
        Ok(())
    }

    fn text<const N: usize>(&mut self, text: Text<N>) -> Result<(), WriteError> {
        if !text.0.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ') {
            return Err(WriteError("characters that are not ASCII"));
        }
        self.push(Some(text));
        Ok(())
    }
}

impl Plain {
    pub(super) fn new(json: bool, network: &str) -> Self {
        Self { json, network: network.into(), records: 0, sum: 0 }
    }

    pub(super) fn heading(&self, out: &mut Vec<u8>) {
        if !self.json {
            out.extend_from_slice(COLUMNS.join(",").as_bytes());
            out.push(b'\n');
        }
    }

    pub(super) fn last_line(&self, out: &mut Vec<u8>) {
        let (records, sum) = (self.records, self.sum % SUM_MODULUS);
        let end = String::from_utf8_lossy(END);
        let line = if self.json {
            format!("{{\"records\":{records},\"sum\":{sum}}}\n")
        } else {
            format!("{end},{records},{sum}\n")
        };
        out.extend_from_slice(line.as_bytes());
    }

    pub(super) fn presentment(
        &mut self,
        presentment: &Presentment,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let function = presentment.function;
        let mut line = Line { json: self.json, place: 0, value: String::new(), out };
        let reversal = if function.reversal { row::REVERSAL } else { "" };
        line.push(Some(&self.network));
        line.push(Some(format_args!("{}{reversal}", function.purpose.name())));
        line.push(Some(function.code));
        line.push(Some(if function.usage == Usage::First { row::FIRST } else { row::SECOND }));
        match presentment.part {
            Part::Whole => line.push(Some(row::WHOLE)),
            Part::Partial => line.push(Some(row::PARTIAL)),
            Part::Final => line.push(Some(row::FINAL)),
            Part::Numbered { sequence, count } => line.push(Some(format_args!("{sequence}/{count}"))),
        }
        let mut digits = [0; PAN_DIGITS_MAX];
        let start = presentment.pan.clear_ascii(&mut digits);
        line.push(Some(String::from_utf8_lossy(&digits[start..])));
        line.push(Some(presentment.arn));
        line.money(Some(presentment.amount))?;
        line.money(presentment.billing)?;
        line.money(presentment.settlement)?;
        line.money(presentment.authorized)?;
        line.push(presentment.approval_code);
        line.push(Some(presentment.network_reference).filter(|reference| *reference > 0));
        line.text(presentment.rrn)?;
        line.push(presentment.stan.map(|stan| stan.0));
        line.text(presentment.terminal)?;
        line.text(presentment.merchant)?;
        line.push(Some(presentment.mcc).filter(|mcc| *mcc > 0));
        line.text(presentment.country)?;
        line.push(Some(presentment.acquirer.0).filter(|acquirer| *acquirer > 0));
        line.push(presentment.local_date);
        line.push(presentment.local_time);
        out.extend_from_slice(if self.json { b"}\n" } else { b"\n" });
        self.records += 1;
        self.sum += u128::from(presentment.amount.minor.unsigned_abs());
        Ok(())
    }
}
