//! Mastercard's clearing files: IPM messages, each behind a length of four bytes.

use crate::clearing::Agreement;
use crate::clearing::Alphabet;
use crate::clearing::Context;
use crate::clearing::FileHeader;
use crate::clearing::Item;
use crate::clearing::Located;
use crate::clearing::Reason;
use crate::clearing::Scope;
use crate::clearing::Skipped;
use crate::clearing::Trailer;
use crate::clearing::error::ClearingError;
use crate::clearing::error::Fault;
use crate::clearing::input::FILL;
use crate::clearing::input::Input;
use crate::clearing::ipm_fields;
use crate::clearing::ipm_fields::WITH_SUBELEMENTS;
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
use crate::domain::day::TimeOfDay;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::InstitutionId;
use crate::domain::party::Text;
use crate::domain::request::ApprovalCode;
use crate::domain::request::Stan;
use crate::domain::trace;
use crate::iso8583::content;
use crate::iso8583::digits;
use crate::iso8583::digits::ASCII_ZERO;
use crate::iso8583::digits::EBCDIC_ZERO;
use crate::iso8583::spec::Layout;
use crate::iso8583::subfields::Tagging;
use crate::iso8583::view::ParseError;
use crate::iso8583::view::Rule;
use crate::iso8583::view::Spans;
use crate::iso8583::view::View;

/// Bytes of a record's length.
pub(super) const LENGTH: usize = 4;
/// An MTI and two bitmaps.
pub(super) const SHORTEST: usize = 20;
/// Far above what the fields of a record can add up to in practice, and below what a wrong length would say.
pub(super) const LONGEST: usize = 16 * 1024;

/// First presentment and its relatives.
pub(super) const PRESENTMENT: u16 = 1240;
pub(super) const ADMINISTRATIVE: u16 = 1644;
const CHARGEBACK: u16 = 1442;
const FEE: u16 = 1740;

/// DE 24 of a file's header and trailer.
pub(super) const FILE_HEADER: u64 = 697;
pub(super) const FILE_TRAILER: u64 = 695;
/// DE 24 of presentments: the first, and the second in full or in part.
pub(super) const FIRST: u64 = 200;
pub(super) const SECOND: [u64; 2] = [205, 282];

/// DE 25 of a part of a transaction (R20).
pub(super) const PARTIAL: u64 = 1403;
pub(super) const FINAL: u64 = 1404;

/// PDS: message reversal indicator, file id, processing mode, currency exponents, file amount checksum, message count.
pub(super) const REVERSAL_INDICATOR: u16 = 25;
pub(super) const FILE_ID: u16 = 105;
pub(super) const PROCESSING_MODE: u16 = 122;
pub(super) const CURRENCY_EXPONENTS: u16 = 148;
pub(super) const AMOUNT_CHECKSUM: u16 = 301;
pub(super) const MESSAGE_COUNT: u16 = 306;

/// The checksum has sixteen digits; what is above them is left out.
pub(super) const CHECKSUM_MODULUS: u128 = 10_u128.pow(16);

/// What the messages of a file add up to, its header included.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) messages: u64,
    pub(super) amount: u128,
}

/// The state of reading one file.
pub(super) struct Ipm {
    layout: Layout,
    spans: Spans,
    alphabet: Alphabet,
    context: Context,
    /// A header was read, and its trailer not yet.
    in_file: bool,
    /// Since the header; `None` when reading began behind it.
    totals: Option<Totals>,
    /// How many files ended with a trailer.
    trailers: u64,
    /// The length zero that ends a file was read.
    closing: bool,
}

impl Ipm {
    pub(super) fn new(alphabet: Alphabet, hex_bitmap: bool, context: Context, resumed: bool) -> Self {
        Self {
            layout: ipm_fields::layout(alphabet, hex_bitmap),
            spans: Spans::default(),
            alphabet,
            context,
            in_file: resumed,
            totals: None,
            trailers: 0,
            closing: false,
        }
    }

    pub(super) fn next_item(&mut self, input: &mut Input) -> Option<Result<Located, ClearingError>> {
        if self.closing {
            return self.close(input);
        }
        let position = input.position();
        let rest = input.rest();
        let Some(length) = rest.first_chunk::<LENGTH>() else { return self.at_end(input) };
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 {
            input.skip(LENGTH);
            self.closing = true;
            return self.close(input);
        }
        if !(SHORTEST..=LONGEST).contains(&length) {
            return Some(Err(ClearingError { position, fault: Fault::Length { found: length as u64 } }));
        }
        if rest.len() < LENGTH + length {
            return input.starved().map(Err);
        }
        let message = input.first(LENGTH + length).get(LENGTH..).unwrap_or_default();
        let read = self.message(message);
        input.take(LENGTH + length);
        Some(match read {
            Ok(item) => Ok(Located { position, item }),
            Err(fault) => Err(ClearingError { position, fault }),
        })
    }

    /// Fewer bytes than a length has are left. A file whose trailer was read may end without the length zero.
    fn at_end(&self, input: &Input) -> Option<Result<Located, ClearingError>> {
        let whole = input.rest().is_empty() && !self.in_file && self.trailers > 0;
        if whole && input.has_ended() && input.ends_with_a_block() {
            return Some(Ok(Located { position: input.position(), item: Item::End }));
        }
        input.starved().map(Err)
    }

    /// Behind the length zero there is nothing but fill.
    fn close(&mut self, input: &mut Input) -> Option<Result<Located, ClearingError>> {
        if std::mem::take(&mut self.in_file) {
            return Some(Err(ClearingError { position: input.position(), fault: Fault::NoTrailer }));
        }
        let fill = input.rest().iter().take_while(|byte| matches!(**byte, 0 | FILL)).count();
        input.skip(fill);
        if !input.rest().is_empty() {
            return Some(Err(ClearingError { position: input.position(), fault: Fault::AfterEnd }));
        }
        if input.has_ended() && input.ends_with_a_block() {
            return Some(Ok(Located { position: input.position(), item: Item::End }));
        }
        input.starved().map(Err)
    }

    fn message(&mut self, message: &[u8]) -> Result<Item, Fault> {
        let (view, error) = match View::parse(&self.layout, message, &mut self.spans) {
            Ok(view) => (view, None),
            Err(broken) => (broken.view, Some(broken.error)),
        };
        if let Some(error) = error.filter(has_no_head) {
            return Err(Fault::Message(error));
        }
        let (mti, function) = (view.mti(), view.number(24));
        let amount = view.number(4).map_or(0, u128::from);
        if (mti, function) == (ADMINISTRATIVE, Some(FILE_HEADER)) {
            // Where reading began behind a header, its trailer may have been before that.
            let again = std::mem::replace(&mut self.in_file, true) && self.totals.is_some();
            self.totals = Some(Totals { messages: 1, amount });
            if again {
                return Err(Fault::HeaderAgain);
            }
            let subelements = Subelements::of(&view, self.alphabet)?;
            return Ok(Item::Header(subelements.header()));
        }
        if let Some(totals) = &mut self.totals {
            totals.messages += 1;
            totals.amount += amount;
        }
        if (mti, function) == (ADMINISTRATIVE, Some(FILE_TRAILER)) {
            let subelements = Subelements::of(&view, self.alphabet)?;
            let (was_in_file, totals) = (std::mem::take(&mut self.in_file), self.totals.take());
            self.trailers += 1;
            if !was_in_file {
                return Err(Fault::OutsideFile);
            }
            return subelements.trailer(totals).map(Item::Trailer);
        }
        let reason = match mti {
            PRESENTMENT => {
                if let Some(error) = error {
                    return Err(Fault::Message(error));
                }
                if !self.in_file {
                    return Err(Fault::OutsideFile);
                }
                return presentment(&view, self.context, self.alphabet).map(Item::Presentment);
            }
            CHARGEBACK => Reason::Chargeback,
            FEE => Reason::Fee,
            // One whose function cannot be read may be a trailer.
            ADMINISTRATIVE if function.is_none() => {
                return Err(error.map_or(FUNCTION_CODE, Fault::Message));
            }
            ADMINISTRATIVE => Reason::Administrative,
            _ => Reason::Unknown,
        };
        let code = u32::from(mti) * 1000 + function.unwrap_or(0) as u32;
        Ok(Item::Skipped(Skipped { reason, code }))
    }
}

/// Whether not even the MTI and the bitmaps could be read.
const fn has_no_head(error: &ParseError) -> bool {
    matches!(
        error.rule,
        Rule::MtiCutOff | Rule::MtiNotDigits | Rule::BitmapCutOff | Rule::BitmapNotHex | Rule::MessageTooLong
    )
}

const fn field(name: &'static str, expected: &'static str) -> Fault {
    Fault::Field { name, expected }
}

const FUNCTION_CODE: Fault = field("DE 24", "200, 205 or 282 in a presentment, and present in an MTI 1644");
const SUBELEMENTS: Fault =
    field("private data (DE 48, 62, 123 to 125)", "tags of four digits and lengths of three");

/// The private data subelements that are used here.
#[derive(Clone, Copy, Default)]
struct Subelements<'a> {
    zero: u8,
    reversal: Option<&'a [u8]>,
    exponents: Option<&'a [u8]>,
    file_id: Option<&'a [u8]>,
    mode: Option<&'a [u8]>,
    checksum: Option<&'a [u8]>,
    count: Option<&'a [u8]>,
}

impl<'a> Subelements<'a> {
    fn of(view: &View<'a>, alphabet: Alphabet) -> Result<Self, Fault> {
        let tagging: Tagging = ipm_fields::subelements(alphabet);
        let zero = if alphabet == Alphabet::Ebcdic { EBCDIC_ZERO } else { ASCII_ZERO };
        let mut found = Self { zero, ..Self::default() };
        for content in WITH_SUBELEMENTS.iter().filter_map(|field| view.content(*field)) {
            for element in tagging.elements(content) {
                let element = element.map_err(|_| SUBELEMENTS)?;
                let slot = match element.id {
                    REVERSAL_INDICATOR => &mut found.reversal,
                    FILE_ID => &mut found.file_id,
                    PROCESSING_MODE => &mut found.mode,
                    CURRENCY_EXPONENTS => &mut found.exponents,
                    AMOUNT_CHECKSUM => &mut found.checksum,
                    MESSAGE_COUNT => &mut found.count,
                    _ => continue,
                };
                slot.get_or_insert(element.content);
            }
        }
        Ok(found)
    }

    fn character(&self, byte: u8) -> u8 {
        if self.zero == EBCDIC_ZERO { digits::from_ebcdic(byte) } else { byte }
    }

    fn first_is(&self, content: Option<&[u8]>, character: u8) -> bool {
        content.and_then(<[u8]>::first).is_some_and(|byte| self.character(*byte) == character)
    }

    fn header(&self) -> FileHeader {
        let mut id = [b' '; 25];
        for (to, from) in id.iter_mut().zip(self.file_id.unwrap_or_default()) {
            *to = self.character(*from);
        }
        FileHeader { id: Text(id), test: self.first_is(self.mode, b'T') }
    }

    fn number(&self, content: &[u8], fault: Fault) -> Result<u64, Fault> {
        if content.is_empty() {
            return Err(fault);
        }
        content::zoned(content, self.zero, false).ok_or(fault)
    }

    /// Compares a trailer with what was read: the checksum is the sum of every message's DE 4, whatever its currency,
    /// and the count is of every message with header and trailer.
    fn trailer(&self, totals: Option<Totals>) -> Result<Trailer, Fault> {
        let count = self.count.map(|count| self.number(count, field("PDS 0306", "digits"))).transpose()?;
        let checksum =
            self.checksum.map(|sum| self.number(sum, field("PDS 0301", "sixteen digits"))).transpose()?;
        if count.is_none() && checksum.is_none() {
            return Err(Fault::EmptyTrailer);
        }
        let agreement = |said: Option<u64>| match (said, totals) {
            (None, _) => Agreement::NotGiven,
            (_, None) => Agreement::NotChecked,
            _ => Agreement::Agreed,
        };
        if let Some(Totals { messages, amount }) = totals {
            if let Some(said) = count.filter(|said| *said != messages) {
                return Err(Fault::Count { what: "messages", said, found: messages });
            }
            let found = (amount % CHECKSUM_MODULUS) as u64;
            if let Some(said) = checksum.filter(|said| *said != found) {
                return Err(Fault::Sum { what: "DE 4", said, found });
            }
        }
        Ok(Trailer { scope: Scope::File, counts: agreement(count), sums: agreement(checksum) })
    }

    /// Amounts are in minor units of ISO 4217. A record that counts otherwise would be wrong by a factor of ten.
    fn agree_on(&self, currency: Currency) -> Result<(), Fault> {
        let wrong =
            field("PDS 0148", "for each currency three digits, and the decimals that ISO 4217 gives it");
        for entry in self.exponents.unwrap_or_default().chunks(4) {
            let (code, exponent) = entry.split_at_checked(3).ok_or(wrong)?;
            let (code, exponent) = (self.number(code, wrong)?, self.number(exponent, wrong)?);
            if code == u64::from(currency.numeric()) && exponent != u64::from(currency.exponent()) {
                return Err(wrong);
            }
        }
        Ok(())
    }
}

fn presentment(view: &View<'_>, context: Context, alphabet: Alphabet) -> Result<Presentment, Fault> {
    let subelements = Subelements::of(view, alphabet)?;
    let money = |amount: u8, currency: u8, expected| -> Result<Option<Money>, Fault> {
        let Some(minor) = view.number(amount) else { return Ok(None) };
        let code = view.number(currency).filter(|code| *code != 0);
        let code = code.and_then(|code| Currency::new(code as u16));
        let code = code.ok_or(expected)?;
        subelements.agree_on(code)?;
        Ok(Some(Money::new(minor as i64, code)))
    };
    let amount = money(4, 49, field("DE 49", "a currency"))?.ok_or(field("DE 4", "present"))?;
    let (local_date, local_time) = local_moment(view)?;
    let mut approval_code = [b' '; 6];
    let has_code = view.exact_text(38, &mut approval_code);
    Ok(Presentment {
        network: context.network,
        function: function(view, &subelements)?,
        part: match view.number(25) {
            Some(PARTIAL) => Part::Partial,
            Some(FINAL) => Part::Final,
            _ => Part::Whole,
        },
        pan: pan(view)?,
        arn: arn(view)?,
        amount,
        billing: money(6, 51, field("DE 51", "a currency, with DE 6"))?,
        settlement: money(5, 50, field("DE 50", "a currency, with DE 5"))?,
        authorized: None,
        approval_code: approval_code_of(approval_code).filter(|_| has_code),
        network_reference: life_cycle(view),
        rrn: text(view, 37),
        stan: view.number(11).map(|number| Stan(number as u32)),
        terminal: text(view, 41),
        merchant: text(view, 42),
        mcc: view.number(26).unwrap_or(0) as u16,
        country: country(view, alphabet),
        acquirer: InstitutionId(view.number(32).unwrap_or(0)),
        local_date,
        local_time,
    })
}

fn function(view: &View<'_>, subelements: &Subelements<'_>) -> Result<Function, Fault> {
    let code = view.number(24).ok_or(FUNCTION_CODE)?;
    let usage = match code {
        FIRST => Usage::First,
        _ if SECOND.contains(&code) => Usage::Second,
        _ => return Err(FUNCTION_CODE),
    };
    let purpose = match view.number(3).ok_or(field("DE 3", "present"))? / 10_000 {
        0 | 9 | 10 | 11 | 18 => Purpose::Purchase,
        1 | 17 => Purpose::Cash,
        20 => Purpose::Refund,
        26 | 28 => Purpose::OriginalCredit,
        _ => return Err(field("DE 3", "00, 01, 09, 10, 11, 17, 18, 20, 26 or 28 in front")),
    };
    let reversal = subelements.first_is(subelements.reversal, b'R');
    let code = u32::from(PRESENTMENT) * 10_000 + code as u32 * 10 + u32::from(reversal);
    Ok(Function { purpose, reversal, usage, code })
}

fn pan(view: &View<'_>) -> Result<Pan, Fault> {
    let wrong = field("DE 2", "a card number");
    let mut buffer = [0; PAN_DIGITS_MAX];
    Pan::from_ascii(view.text(2, &mut buffer).ok_or(wrong)?).map_err(|_| wrong)
}

fn arn(view: &View<'_>) -> Result<Arn, Fault> {
    let mut arn = [0; ARN_DIGITS];
    let whole = view.exact_text(31, &mut arn);
    Arn::new(arn).filter(|_| whole).ok_or(field("DE 31", "23 digits"))
}

/// An approval code, when there is one: not blank, not zeros, and nothing but what can be shown.
pub(super) fn approval_code_of(code: [u8; 6]) -> Option<ApprovalCode> {
    let shown = code.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    let empty = code == [b' '; 6] || code == [b'0'; 6];
    (shown && !empty).then_some(ApprovalCode(code))
}

/// DE 12: YYMMDDhhmmss, of this century.
fn local_moment(view: &View<'_>) -> Result<(Option<Day>, Option<TimeOfDay>), Fault> {
    let Some(digits) = view.number(12).filter(|digits| *digits > 0) else { return Ok((None, None)) };
    let (date, time) = (digits / 1_000_000, (digits % 1_000_000) as u32);
    let day = Day::new(2000 + (date / 10_000) as u16, (date / 100 % 100) as u8, (date % 100) as u8);
    let wrong = field("DE 12", "a date and a time");
    Ok((Some(day.ok_or(wrong)?), Some(TimeOfDay::new(time).ok_or(wrong)?)))
}

/// DE 63: an indicator of one character, then the trace id; some leave the indicator out. An id without it has 13
/// characters, or 15 with its padding.
fn life_cycle(view: &View<'_>) -> u64 {
    let mut buffer = [0; 40];
    let text = view.text(63, &mut buffer).unwrap_or_default();
    let id = if matches!(text.len(), 14 | 16) { text.get(1..).unwrap_or_default() } else { text };
    trace::reference(id).unwrap_or(0)
}

/// The last three characters of DE 43, when they are letters.
fn country(view: &View<'_>, alphabet: Alphabet) -> Text<3> {
    let last = view.content(43).and_then(<[u8]>::last_chunk::<3>);
    let letters = last.map(|last| match alphabet {
        Alphabet::Ascii => *last,
        Alphabet::Ebcdic => last.map(digits::from_ebcdic),
    });
    letters.filter(|letters| letters.iter().all(u8::is_ascii_uppercase)).map_or(Text::BLANK, Text)
}

fn text<const N: usize>(view: &View<'_>, field: u8) -> Text<N> {
    let mut buffer = [b' '; N];
    let _written = view.text(field, &mut buffer);
    Text(buffer)
}
