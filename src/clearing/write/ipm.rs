//! Writes IPM messages.

use std::fmt::Write;

use crate::clearing::Alphabet;
use crate::clearing::ipm;
use crate::clearing::ipm::CHECKSUM_MODULUS;
use crate::clearing::ipm::Totals;
use crate::clearing::ipm_fields;
use crate::clearing::write::WriteError;
use crate::domain::card::PAN_DIGITS_MAX;
use crate::domain::clearing::Part;
use crate::domain::clearing::Presentment;
use crate::domain::clearing::Purpose;
use crate::domain::clearing::Usage;
use crate::domain::day::Day;
use crate::domain::money::Money;
use crate::domain::trace;
use crate::iso8583::build::Builder;
use crate::iso8583::spec::Bitmaps;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::spec::Layout;
use crate::iso8583::value::ValueError;

/// The records always have two bitmaps.
const BITMAPS: Bitmaps = Bitmaps { count: 2, unannounced_second: false, lower_case: false };

pub(super) struct Ipm {
    layout: Layout,
    totals: Totals,
    day: Day,
    number: u16,
    /// Subelements of the message that is being written.
    subelements: String,
}

/// Why a field could not be written; its name says enough.
const fn field(name: &'static str) -> impl Fn(ValueError) -> WriteError {
    move |_| WriteError(name)
}

fn push(subelements: &mut String, tag: u16, value: impl std::fmt::Display) {
    let start = subelements.len();
    let _infallible = write!(subelements, "{tag:04}000{value}");
    let length = subelements.len() - start - 7;
    subelements.replace_range(start + 4..start + 7, &format!("{length:03}"));
}

impl Ipm {
    pub(super) fn new(alphabet: Alphabet, hex_bitmap: bool, day: Day, number: u16) -> Self {
        let layout = ipm_fields::layout(alphabet, hex_bitmap);
        Self { layout, totals: Totals::default(), day, number, subelements: String::new() }
    }

    /// Appends a message behind its length.
    fn message(
        layout: &Layout,
        mti: u16,
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut Builder<'_>) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        let start = out.len();
        out.extend_from_slice(&[0; ipm::LENGTH]);
        let mut builder = Builder::begin(layout, out, mti, FieldSet::of(&[128]), BITMAPS);
        fill(&mut builder)?;
        builder.finish();
        let length = (out.len() - start - ipm::LENGTH) as u32;
        out[start..start + ipm::LENGTH].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    /// A header or a trailer. What it holds fits always.
    fn administrative(&mut self, function: u64, out: &mut Vec<u8>) {
        self.totals.messages += 1;
        let (layout, subelements, messages) = (&self.layout, &self.subelements, self.totals.messages);
        let written = Self::message(layout, ipm::ADMINISTRATIVE, out, |builder| {
            builder.number(24, function).map_err(field("DE 24"))?;
            builder.text(48, subelements.as_bytes()).map_err(field("DE 48"))?;
            builder.number(71, messages).map_err(field("DE 71"))
        });
        debug_assert_eq!(written, Ok(()));
    }

    /// Type of file, day, processor, and number in 25 digits (PDS 0105).
    fn push_file_id(&mut self) {
        let day = self.day;
        let (year, month, date) = (day.year() % 100, day.month(), day.day());
        let id = format!("001{year:02}{month:02}{date:02}{:011}{:05}", 0, self.number);
        self.subelements.clear();
        push(&mut self.subelements, ipm::FILE_ID, id);
    }

    pub(super) fn header(&mut self, out: &mut Vec<u8>) {
        self.push_file_id();
        push(&mut self.subelements, ipm::PROCESSING_MODE, 'P');
        self.administrative(ipm::FILE_HEADER, out);
    }

    pub(super) fn trailer(&mut self, out: &mut Vec<u8>) {
        self.push_file_id();
        let sum = self.totals.amount % CHECKSUM_MODULUS;
        push(&mut self.subelements, ipm::AMOUNT_CHECKSUM, format_args!("{sum:016}"));
        push(&mut self.subelements, ipm::MESSAGE_COUNT, format_args!("{:08}", self.totals.messages + 1));
        self.administrative(ipm::FILE_TRAILER, out);
        out.extend_from_slice(&[0; ipm::LENGTH]);
    }

    pub(super) fn presentment(
        &mut self,
        presentment: &Presentment,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        self.push_subelements(presentment);
        let (layout, subelements, number) = (&self.layout, &self.subelements, self.totals.messages + 1);
        Self::message(layout, ipm::PRESENTMENT, out, |builder| {
            fields_to_25(presentment, builder)?;
            fields_from_26(presentment, builder)?;
            builder.text(48, subelements.as_bytes()).map_err(field("DE 48"))?;
            let monies =
                [(49, Some(presentment.amount)), (50, presentment.settlement), (51, presentment.billing)];
            for (de, money) in monies {
                if let Some(money) = money {
                    builder.number(de, u64::from(money.currency.numeric())).map_err(field("DE 49 to 51"))?;
                }
            }
            if presentment.network_reference > 0 {
                let id = trace::text(presentment.network_reference).ok_or(WriteError("this trace id"))?;
                builder.text(63, &[b"1", id.as_slice(), b"  "].concat()).map_err(field("DE 63"))?;
            }
            builder.number(71, number).map_err(field("DE 71"))
        })?;
        self.totals.messages = number;
        self.totals.amount += u128::from(presentment.amount.minor.unsigned_abs());
        Ok(())
    }

    /// The reversal indicator with its day, and the decimals of every currency.
    fn push_subelements(&mut self, presentment: &Presentment) {
        let Self { subelements, day, .. } = self;
        subelements.clear();
        if presentment.function.reversal {
            let (year, month, date) = (day.year() % 100, day.month(), day.day());
            let value = format_args!("R{year:02}{month:02}{date:02}");
            push(subelements, ipm::REVERSAL_INDICATOR, value);
        }
        let monies = [Some(presentment.amount), presentment.settlement, presentment.billing];
        let mut exponents = String::new();
        for Money { currency, .. } in monies.into_iter().flatten() {
            let _infallible = write!(exponents, "{currency}{}", currency.exponent());
        }
        push(subelements, ipm::CURRENCY_EXPONENTS, exponents);
    }
}

/// An amount as its field has it.
fn minor(money: Money) -> Result<u64, WriteError> {
    u64::try_from(money.minor).map_err(|_| WriteError("a negative amount"))
}

fn fields_to_25(presentment: &Presentment, builder: &mut Builder<'_>) -> Result<(), WriteError> {
    let mut digits = [0; PAN_DIGITS_MAX];
    let start = presentment.pan.clear_ascii(&mut digits);
    builder.text(2, &digits[start..]).map_err(field("DE 2"))?;
    let kind = match presentment.function.purpose {
        Purpose::Purchase => 0,
        Purpose::Cash => 1,
        Purpose::Refund => 20,
        Purpose::OriginalCredit => 28,
    };
    builder.number(3, kind * 10_000).map_err(field("DE 3"))?;
    let monies = [(4, Some(presentment.amount)), (5, presentment.settlement), (6, presentment.billing)];
    for (de, money) in monies {
        if let Some(money) = money {
            builder.number(de, minor(money)?).map_err(field("an amount of more than 12 digits"))?;
        }
    }
    if let Some(stan) = presentment.stan {
        builder.number(11, u64::from(stan.0)).map_err(field("DE 11"))?;
    }
    if let Some(day) = presentment.local_date {
        if !(2000..2100).contains(&day.year()) {
            return Err(WriteError("a day of another century"));
        }
        let date = u64::from(day.year() % 100) * 10_000 + u64::from(day.month()) * 100 + u64::from(day.day());
        let time = presentment.local_time.map_or(0, |time| u64::from(time.digits()));
        builder.number(12, date * 1_000_000 + time).map_err(field("DE 12"))?;
    }
    let usage = if presentment.function.usage == Usage::First { ipm::FIRST } else { ipm::SECOND[0] };
    builder.number(24, usage).map_err(field("DE 24"))?;
    match presentment.part {
        Part::Whole => Ok(()),
        Part::Partial => builder.number(25, ipm::PARTIAL).map_err(field("DE 25")),
        Part::Final => builder.number(25, ipm::FINAL).map_err(field("DE 25")),
        Part::Numbered { .. } => Err(WriteError("the number of a part")),
    }
}

fn fields_from_26(presentment: &Presentment, builder: &mut Builder<'_>) -> Result<(), WriteError> {
    builder.number(26, u64::from(presentment.mcc)).map_err(field("DE 26"))?;
    builder.text(31, presentment.arn.ascii()).map_err(field("DE 31"))?;
    if presentment.acquirer.0 > 0 {
        builder.number(32, presentment.acquirer.0).map_err(field("DE 32"))?;
    }
    if !presentment.rrn.is_blank() {
        builder.text(37, &presentment.rrn.0).map_err(field("DE 37"))?;
    }
    if let Some(code) = presentment.approval_code {
        builder.text(38, &code.0).map_err(field("DE 38"))?;
    }
    if !presentment.terminal.is_blank() {
        builder.text(41, &presentment.terminal.0).map_err(field("DE 41"))?;
    }
    if !presentment.merchant.is_blank() {
        builder.text(42, &presentment.merchant.0).map_err(field("DE 42"))?;
    }
    if !presentment.country.is_blank() {
        // Name, street and city, then postal code, region and country at their places from the end.
        let place = [br"MERCHANT\STREET\CITY\             ".as_slice(), &presentment.country.0].concat();
        builder.text(43, &place).map_err(field("DE 43"))?;
    }
    Ok(())
}
