//! Writes component records of BASE II.

use crate::clearing::Alphabet;
use crate::clearing::Separator;
use crate::clearing::base_two;
use crate::clearing::base_two::Totals;
use crate::clearing::tcr;
use crate::clearing::tcr::Place;
use crate::clearing::tcr::TCR;
use crate::clearing::write::WriteError;
use crate::domain::card::PAN_DIGITS_MAX;
use crate::domain::card::Pan;
use crate::domain::clearing::Part;
use crate::domain::clearing::Presentment;
use crate::domain::clearing::Purpose;
use crate::domain::clearing::Usage;
use crate::domain::day::Day;
use crate::domain::money::Money;
use crate::iso8583::digits;

/// Digits of the processor that a generated file names.
const PROCESSOR: u64 = 400_000;

pub(super) struct BaseTwo {
    alphabet: Alphabet,
    separator: Separator,
    day: Day,
    number: u16,
    batch: Totals,
    file: Totals,
    batches: u64,
}

/// A record of spaces that is being filled.
struct Card([u8; TCR]);

impl Card {
    fn new(code: u8, qualifier: u8, component: u8) -> Self {
        let mut card = Self([b' '; TCR]);
        let _fits = card.number(tcr::TRANSACTION_CODE, u64::from(code));
        card.text(tcr::QUALIFIER, &[qualifier]);
        card.text(tcr::COMPONENT, &[b'0' + component]);
        card
    }

    fn at(&mut self, (first, length): Place) -> &mut [u8] {
        self.0.get_mut(first - 1..first - 1 + length).unwrap_or_default()
    }

    fn text(&mut self, place: Place, text: &[u8]) {
        for (to, from) in self.at(place).iter_mut().zip(text) {
            *to = *from;
        }
    }

    fn number(&mut self, place: Place, number: u64) -> Result<(), WriteError> {
        let mut rest = number;
        for to in self.at(place).iter_mut().rev() {
            *to = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        if rest == 0 { Ok(()) } else { Err(WriteError("a number of so many digits")) }
    }

    fn money(&mut self, amount: Place, currency: Place, money: Option<Money>) -> Result<(), WriteError> {
        let minor = money.map_or(Ok(0), |money| u64::try_from(money.minor));
        self.number(amount, minor.map_err(|_| WriteError("a negative amount"))?)?;
        match money.map(|money| money.currency.numeric()) {
            Some(0) => Err(WriteError("currency 000")),
            Some(code) => self.number(currency, u64::from(code)),
            None => Ok(()),
        }
    }

    fn pan(&mut self, pan: Pan) -> Result<(), WriteError> {
        let mut digits = [0; PAN_DIGITS_MAX];
        let start = pan.clear_ascii(&mut digits);
        let (account, extension) = digits.split_at(16);
        let right = match (pan.digits(), &digits[start..]) {
            (13, _) => {
                self.text(tcr::ACCOUNT, b"000");
                self.text((8, 13), &digits[start..]);
                true
            }
            (16, number) if !number.starts_with(b"000") => {
                self.text(tcr::ACCOUNT, number);
                true
            }
            (19, _) if extension != b"000" => {
                self.text(tcr::ACCOUNT, account);
                true
            }
            _ => false,
        };
        self.text(tcr::ACCOUNT_EXTENSION, if pan.digits() == 19 { extension } else { b"000" });
        if right { Ok(()) } else { Err(WriteError("a card number of this length, or with such zeros")) }
    }
}

impl BaseTwo {
    pub(super) fn new(alphabet: Alphabet, separator: Separator, day: Day, number: u16) -> Self {
        let (batch, file) = (Totals::default(), Totals::default());
        Self { alphabet, separator, day, number, batch, file, batches: 0 }
    }

    fn push(&self, card: &Card, out: &mut Vec<u8>) {
        match self.alphabet {
            Alphabet::Ascii => out.extend_from_slice(&card.0),
            Alphabet::Ebcdic => out.extend(card.0.iter().map(|character| digits::to_ebcdic(*character))),
        }
        out.extend_from_slice(self.separator.bytes());
    }

    /// YYDDD.
    fn processing_day(&self) -> u64 {
        u64::from(self.day.year() % 100) * 1000 + u64::from(self.day.of_year())
    }

    pub(super) fn header(&mut self, out: &mut Vec<u8>) {
        let mut card = Card::new(base_two::FILE_HEADER, b'0', 0);
        let number = PROCESSOR * 100_000 + self.processing_day();
        let fits = card.number(tcr::FILE_PROCESSOR_AND_DAY, number);
        debug_assert_eq!(fits, Ok(()));
        let _shortened = card.number(tcr::FILE_NUMBER, u64::from(self.number));
        self.push(&card, out);
    }

    pub(super) fn presentment(
        &mut self,
        presentment: &Presentment,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let function = presentment.function;
        let code = match function.purpose {
            Purpose::Purchase => 5,
            Purpose::Refund | Purpose::OriginalCredit => 6,
            Purpose::Cash => 7,
        };
        let code = if function.reversal { code + 20 } else { code };
        let is_original_credit = function.purpose == Purpose::OriginalCredit;
        let qualifier = if is_original_credit { tcr::ORIGINAL_CREDIT } else { b'0' };
        self.push(&draft(presentment, Card::new(code, qualifier, 0))?, out);
        let mut components = 1;
        if !presentment.merchant.is_blank() || !presentment.terminal.is_blank() {
            let mut card = Card::new(code, qualifier, 1);
            card.text(tcr::CARD_ACCEPTOR, &presentment.merchant.0);
            card.text(tcr::TERMINAL, &presentment.terminal.0);
            self.push(&card, out);
            components += 1;
        }
        let (sequence, count) = match presentment.part {
            Part::Whole => (0, 0),
            Part::Numbered { sequence, count } => (sequence, count),
            Part::Partial | Part::Final => return Err(WriteError("a part without a number")),
        };
        if presentment.network_reference > 0 || presentment.authorized.is_some() || sequence + count > 0 {
            let mut card = Card::new(code, qualifier, 5);
            card.number(tcr::TRANSACTION_ID, presentment.network_reference)?;
            card.money(tcr::AUTHORIZED_AMOUNT, tcr::AUTHORIZED_CURRENCY, presentment.authorized)?;
            card.number(tcr::CLEARING_SEQUENCE, u64::from(sequence))?;
            card.number(tcr::CLEARING_COUNT, u64::from(count))?;
            self.push(&card, out);
            components += 1;
        }
        self.batch.components += components;
        let destination = presentment.billing.map_or(0, |money| money.minor as u64);
        self.batch.add(function.is_credit(), presentment.amount.minor as u64, destination);
        Ok(())
    }

    fn trailer_card(&self, code: u8, totals: Totals, spare: u64) -> Card {
        let mut card = Card::new(code, b'0', 0);
        let numbers = [
            ((5, 6), PROCESSOR),
            ((11, 5), self.processing_day()),
            (tcr::TRAILER_DESTINATION, totals.destination.sum()),
            (tcr::TRAILER_MONETARY, totals.monetary),
            ((43, 6), self.batches),
            (tcr::TRAILER_COMPONENTS, totals.components + spare),
            (tcr::TRAILER_TRANSACTIONS, totals.transactions + spare),
            (tcr::TRAILER_SOURCE, totals.source.sum()),
        ];
        for (place, number) in numbers {
            let fits = card.number(place, number);
            debug_assert_eq!(fits, Ok(()));
        }
        card
    }

    pub(super) fn end_batch(&mut self, out: &mut Vec<u8>) {
        self.batches += 1;
        let batch = std::mem::take(&mut self.batch);
        // A trailer counts itself.
        let card = self.trailer_card(base_two::BATCH_TRAILER, batch, 1);
        self.push(&card, out);
        self.file = self.file.and(batch);
    }

    pub(super) fn trailer(&mut self, out: &mut Vec<u8>) {
        if self.batch.transactions > 0 || self.batches == 0 {
            self.end_batch(out);
        }
        let card = self.trailer_card(base_two::FILE_TRAILER, self.file, self.batches + 1);
        self.push(&card, out);
    }
}

/// The first component.
fn draft(presentment: &Presentment, mut card: Card) -> Result<Card, WriteError> {
    card.pan(presentment.pan)?;
    card.text(tcr::ACQUIRER_REFERENCE, presentment.arn.ascii());
    card.number(tcr::ACQUIRER, presentment.acquirer.0)?;
    if let Some(day) = presentment.local_date {
        card.number(tcr::PURCHASE_DATE, u64::from(day.month()) * 100 + u64::from(day.day()))?;
    }
    card.money(tcr::DESTINATION_AMOUNT, tcr::DESTINATION_CURRENCY, presentment.billing)?;
    card.money(tcr::SOURCE_AMOUNT, tcr::SOURCE_CURRENCY, Some(presentment.amount))?;
    card.text(tcr::COUNTRY, &presentment.country.0);
    card.number(tcr::CATEGORY, u64::from(presentment.mcc))?;
    card.text(tcr::USAGE, if presentment.function.usage == Usage::Second { b"2" } else { b"1" });
    if let Some(code) = presentment.approval_code {
        card.text(tcr::AUTHORIZATION_CODE, &code.0);
    }
    Ok(card)
}
