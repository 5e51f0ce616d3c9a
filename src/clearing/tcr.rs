//! One component record of BASE II: what stands at which of its 168 positions, from public sources only.

use crate::clearing::Alphabet;
use crate::clearing::Context;
use crate::clearing::FileHeader;
use crate::clearing::error::Fault;
use crate::clearing::ipm::approval_code_of;
use crate::domain::card::PAN_DIGITS_MAX;
use crate::domain::card::Pan;
use crate::domain::clearing::ARN_DIGITS;
use crate::domain::clearing::Arn;
use crate::domain::clearing::Function;
use crate::domain::clearing::Part;
use crate::domain::clearing::Presentment;
use crate::domain::clearing::Purpose;
use crate::domain::clearing::Usage;
use crate::domain::day::Day;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::InstitutionId;
use crate::domain::party::Text;
use crate::iso8583::content;
use crate::iso8583::digits;

/// Characters of a record.
pub(super) const TCR: usize = 168;

/// A field: its first position, from 1, and how many characters it has.
pub(super) type Place = (usize, usize);

// Every component.
pub(super) const TRANSACTION_CODE: Place = (1, 2);
pub(super) const QUALIFIER: Place = (3, 1);
pub(super) const COMPONENT: Place = (4, 1);
// TCR 0 of a draft.
pub(super) const ACCOUNT: Place = (5, 16);
pub(super) const ACCOUNT_EXTENSION: Place = (21, 3);
pub(super) const ACQUIRER_REFERENCE: Place = (27, 23);
pub(super) const ACQUIRER: Place = (50, 8);
pub(super) const PURCHASE_DATE: Place = (58, 4);
pub(super) const DESTINATION_AMOUNT: Place = (62, 12);
pub(super) const DESTINATION_CURRENCY: Place = (74, 3);
pub(super) const SOURCE_AMOUNT: Place = (77, 12);
pub(super) const SOURCE_CURRENCY: Place = (89, 3);
pub(super) const COUNTRY: Place = (130, 3);
pub(super) const CATEGORY: Place = (133, 4);
pub(super) const USAGE: Place = (147, 1);
pub(super) const AUTHORIZATION_CODE: Place = (152, 6);
// TCR 1.
pub(super) const CARD_ACCEPTOR: Place = (81, 15);
pub(super) const TERMINAL: Place = (96, 8);
// TCR 5.
pub(super) const TRANSACTION_ID: Place = (5, 15);
pub(super) const AUTHORIZED_AMOUNT: Place = (20, 12);
pub(super) const AUTHORIZED_CURRENCY: Place = (32, 3);
pub(super) const CLEARING_SEQUENCE: Place = (45, 2);
pub(super) const CLEARING_COUNT: Place = (47, 2);
// File header.
pub(super) const FILE_PROCESSOR_AND_DAY: Place = (3, 11);
pub(super) const TEST_OPTION: Place = (30, 4);
pub(super) const FILE_NUMBER: Place = (77, 3);
// Trailers of a batch and of a file.
pub(super) const TRAILER_DESTINATION: Place = (16, 15);
pub(super) const TRAILER_MONETARY: Place = (31, 12);
pub(super) const TRAILER_COMPONENTS: Place = (49, 12);
pub(super) const TRAILER_TRANSACTIONS: Place = (75, 9);
pub(super) const TRAILER_SOURCE: Place = (102, 15);

/// What marks an original credit in a credit voucher.
pub(super) const ORIGINAL_CREDIT: u8 = b'2';

pub(super) const CODE: Fault =
    field("the first four characters", "transaction code, qualifier and component number");

const fn field(name: &'static str, expected: &'static str) -> Fault {
    Fault::Field { name, expected }
}

/// A record as it stands in the file.
#[derive(Clone, Copy)]
pub(super) struct Record<'a> {
    bytes: &'a [u8; TCR],
    alphabet: Alphabet,
}

impl<'a> Record<'a> {
    pub(super) const fn new(bytes: &'a [u8; TCR], alphabet: Alphabet) -> Self {
        Self { bytes, alphabet }
    }

    /// What stands at a place.
    #[inline]
    fn at(&self, (first, length): Place) -> &'a [u8] {
        self.bytes.get(first - 1..first - 1 + length).unwrap_or_default()
    }

    /// A byte's character.
    #[inline]
    const fn character(&self, byte: u8) -> u8 {
        match self.alphabet {
            Alphabet::Ascii => byte,
            Alphabet::Ebcdic => digits::from_ebcdic(byte),
        }
    }

    /// The character at a position.
    #[inline]
    pub(super) fn byte(&self, position: usize) -> u8 {
        self.bytes.get(position - 1).map_or(b' ', |byte| self.character(*byte))
    }

    /// The characters at a place, as many as there is room for.
    fn characters<const N: usize>(&self, place: Place) -> [u8; N] {
        let mut characters = [b' '; N];
        for (to, from) in characters.iter_mut().zip(self.at(place)) {
            *to = self.character(*from);
        }
        characters
    }

    /// The number of the component: 0 to 9, and A to F as some have it.
    pub(super) fn component(&self) -> Option<u8> {
        digits::hex_nibble(self.byte(COMPONENT.0))
    }

    /// The transaction code; 0 when it is none.
    pub(super) fn code(&self) -> u8 {
        self.number(TRANSACTION_CODE).unwrap_or(0) as u8
    }

    /// The digits at a place as a number.
    #[inline]
    pub(super) fn number(&self, place: Place) -> Option<u64> {
        let zero = match self.alphabet {
            Alphabet::Ascii => digits::ASCII_ZERO,
            Alphabet::Ebcdic => digits::EBCDIC_ZERO,
        };
        content::zoned(self.at(place), zero, false)
    }

    /// The same, where blanks stand for zero.
    #[inline]
    fn number_or_blank(&self, place: Place) -> Option<u64> {
        self.number(place).or_else(|| self.is_blank(place).then_some(0))
    }

    fn is_blank(&self, place: Place) -> bool {
        self.at(place).iter().all(|byte| self.character(*byte) == b' ')
    }
}

/// Source and destination amount of a draft.
pub(super) fn amounts(record: &Record<'_>) -> Result<(u64, u64), Fault> {
    let source = record.number(SOURCE_AMOUNT).ok_or(field("source amount", "digits"))?;
    let destination = record.number_or_blank(DESTINATION_AMOUNT);
    Ok((source, destination.ok_or(field("destination amount", "digits, or blank"))?))
}

fn currency(record: &Record<'_>, place: Place) -> Option<Currency> {
    record.number(place).filter(|code| *code > 0).and_then(|code| Currency::new(code as u16))
}

/// The first component of a draft.
pub(super) fn presentment(record: &Record<'_>, code: u8, context: Context) -> Result<Presentment, Fault> {
    let (source, destination) = amounts(record)?;
    let source_currency =
        currency(record, SOURCE_CURRENCY).ok_or(field("source currency", "three digits"))?;
    let billing = match (destination, currency(record, DESTINATION_CURRENCY)) {
        (0, None) => None,
        (minor, Some(currency)) => Some(Money::new(minor as i64, currency)),
        (_, None) => return Err(field("destination currency", "three digits, with a destination amount")),
    };
    let arn: [u8; ARN_DIGITS] = record.characters(ACQUIRER_REFERENCE);
    let acquirer =
        record.number_or_blank(ACQUIRER).ok_or(field("acquirer's business id", "digits, or blank"))?;
    let mcc = record.number_or_blank(CATEGORY).ok_or(field("merchant category code", "digits, or blank"))?;
    Ok(Presentment {
        network: context.network,
        function: function(record, code)?,
        part: Part::Whole,
        pan: pan(record)?,
        arn: Arn::new(arn).ok_or(field("acquirer reference number", "23 digits"))?,
        amount: Money::new(source as i64, source_currency),
        billing,
        settlement: None,
        authorized: None,
        approval_code: approval_code_of(record.characters(AUTHORIZATION_CODE)),
        network_reference: 0,
        rrn: Text::BLANK,
        stan: None,
        terminal: Text::BLANK,
        merchant: Text::BLANK,
        mcc: mcc as u16,
        country: Text(record.characters(COUNTRY)),
        acquirer: InstitutionId(acquirer),
        local_date: purchase_date(record, context.day)?,
        local_time: None,
    })
}

fn function(record: &Record<'_>, code: u8) -> Result<Function, Fault> {
    let usage_code = match record.byte(USAGE.0) {
        b' ' => 0,
        digit => {
            digits::hex_nibble(digit).filter(|digit| *digit < 10).ok_or(field("usage code", "1 or 2"))?
        }
    };
    let qualifier = record.number(QUALIFIER).ok_or(CODE)?;
    let purpose = match code % 20 {
        5 => Purpose::Purchase,
        6 if record.byte(QUALIFIER.0) == ORIGINAL_CREDIT => Purpose::OriginalCredit,
        6 => Purpose::Refund,
        _ => Purpose::Cash,
    };
    Ok(Function {
        purpose,
        reversal: code > 20,
        usage: if usage_code == 2 { Usage::Second } else { Usage::First },
        code: u32::from(code) * 100 + qualifier as u32 * 10 + u32::from(usage_code),
    })
}

/// Sixteen digits, and three more of the longest numbers. A shorter one has zeros in front; no card number begins with
/// three of them.
fn pan(record: &Record<'_>) -> Result<Pan, Fault> {
    let wrong = field("account number", "a card number of 13, 16 or 19 digits");
    let digits: [u8; PAN_DIGITS_MAX] = record.characters((ACCOUNT.0, ACCOUNT.1 + ACCOUNT_EXTENSION.1));
    let (number, extension) = digits.split_at(ACCOUNT.1);
    let is_short = number.starts_with(b"000");
    let digits = match extension {
        b"000" | b"   " if is_short => number.get(3..).unwrap_or_default(),
        b"000" | b"   " => number,
        _ => digits.as_slice(),
    };
    Pan::from_ascii(digits).map_err(|_| wrong)
}

/// MMDD, in the year nearest to `day` (R27); `None` for blanks and zeros.
fn purchase_date(record: &Record<'_>, day: Day) -> Result<Option<Day>, Fault> {
    let wrong = field("purchase date", "MMDD");
    match record.number_or_blank(PURCHASE_DATE).ok_or(wrong)? {
        0 => Ok(None),
        date => Day::nearest((date / 100) as u8, (date % 100) as u8, day).ok_or(wrong).map(Some),
    }
}

/// Adds what another component says; those that are not used here are let pass.
pub(super) fn add_component(to: &mut Presentment, component: u8, record: &Record<'_>) -> Result<(), Fault> {
    match component {
        1 => {
            to.merchant = Text(record.characters(CARD_ACCEPTOR));
            to.terminal = Text(record.characters(TERMINAL));
        }
        5 => {
            let id = record.number_or_blank(TRANSACTION_ID);
            to.network_reference = id.ok_or(field("transaction identifier", "15 digits, or blank"))?;
            to.authorized = authorized(record)?;
            to.part = part(record)?;
        }
        _ => {}
    }
    Ok(())
}

fn authorized(record: &Record<'_>) -> Result<Option<Money>, Fault> {
    let minor = record.number_or_blank(AUTHORIZED_AMOUNT);
    let minor = minor.ok_or(field("authorized amount", "digits, or blank"))?;
    match (minor, currency(record, AUTHORIZED_CURRENCY)) {
        (0, None) => Ok(None),
        (minor, Some(currency)) => Ok(Some(Money::new(minor as i64, currency))),
        (_, None) => Err(field("authorization currency", "three digits, with an authorized amount")),
    }
}

fn part(record: &Record<'_>) -> Result<Part, Fault> {
    let wrong = field("multiple clearing sequence number and count", "two digits each, or blank");
    let number = |place| record.number_or_blank(place).map(|number| number as u8).ok_or(wrong);
    Ok(match (number(CLEARING_SEQUENCE)?, number(CLEARING_COUNT)?) {
        (0, 0) => Part::Whole,
        (sequence, count) => Part::Numbered { sequence, count },
    })
}

/// Processor, day and number of a file, and whether it is a test.
pub(super) fn file_header(record: &Record<'_>) -> FileHeader {
    let mut id = [b' '; 25];
    let (front, back) = id.split_at_mut(FILE_PROCESSOR_AND_DAY.1);
    front.copy_from_slice(&record.characters::<{ FILE_PROCESSOR_AND_DAY.1 }>(FILE_PROCESSOR_AND_DAY));
    for (to, from) in back.iter_mut().zip(record.characters::<{ FILE_NUMBER.1 }>(FILE_NUMBER)) {
        *to = from;
    }
    FileHeader { id: Text(id), test: record.characters(TEST_OPTION) == *b"TEST" }
}

/// The counts and sums of a trailer; zero where it has none.
pub(super) struct Said {
    pub(super) monetary: u64,
    pub(super) transactions: u64,
    pub(super) components: u64,
    pub(super) source: u64,
    pub(super) destination: u64,
}

pub(super) fn trailer(record: &Record<'_>) -> Result<Said, Fault> {
    let number = |place| {
        record.number_or_blank(place).ok_or(field("a count or sum of the trailer", "digits, or blank"))
    };
    Ok(Said {
        monetary: number(TRAILER_MONETARY)?,
        transactions: number(TRAILER_TRANSACTIONS)?,
        components: number(TRAILER_COMPONENTS)?,
        source: number(TRAILER_SOURCE)?,
        destination: number(TRAILER_DESTINATION)?,
    })
}
