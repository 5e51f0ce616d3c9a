//! What is stored for a party, written anew for every attempt: reversals (0420) and advices (0120, 0220).

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::advice::TIMED_OUT_ISO87;
use crate::dialect::advice::TIMED_OUT_MASTERCARD;
use crate::dialect::answer::WriteError;
use crate::dialect::carry::card_file::CARD_FILE_UPDATE;
use crate::dialect::carry::card_file::FILE_NAME;
use crate::dialect::lifecycle::AMOUNT;
use crate::dialect::lifecycle::REPLACEMENT_AMOUNTS;
use crate::dialect::mastercard;
use crate::dialect::needed::longest;
use crate::domain::action::ActionCode;
use crate::domain::card::PAN_DIGITS_MAX;
use crate::domain::forward::Message;
use crate::domain::forward::Original;
use crate::domain::forward::Tells;
use crate::domain::money::Currency;
use crate::domain::party::InstitutionId;
use crate::domain::party::Text;
use crate::domain::request::Legs;
use crate::domain::request::MessageClass;
use crate::domain::request::OriginalData;
use crate::domain::request::Replacement;
use crate::domain::trace;
use crate::iso8583::build::Builder;
use crate::iso8583::digits::to_ebcdic;
use crate::iso8583::spec::Bitmaps;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::subfields::Form;
use crate::iso8583::value;
use crate::iso8583::value::Value;
use crate::iso8583::value::ValueError;

/// All that a stored message can have.
const FIELDS: [u8; 27] =
    [2, 3, 4, 6, 7, 11, 14, 18, 19, 22, 25, 32, 33, 37, 38, 39, 41, 42, 48, 49, 51, 60, 61, 62, 63, 90, 95];
/// Without these it would tell something else. Others are left out where a dialect lacks them or cannot hold them.
const ESSENTIAL: FieldSet = FieldSet::of(&[2, 3, 4, 7, 11, 37, 49, REPLACEMENT_AMOUNTS]);
/// Visa DE 63: the network's id in 63.1 (0002), why a reversal was sent in 63.3.
const VISA_NETWORK: (u16, u64) = (1, 2);
const VISA_REASON: u16 = 3;
/// Visa 63.4 of a reversal: the party did not answer in time, so that its own decision alone is undone (R4).
const VISA_DECIDED_BY_NETWORK: u16 = 4;
const VISA_TIMED_OUT: u64 = 9020;
/// Visa 63.3 of a reversal: what it is about was not completed, or a part of it was not.
const VISA_NOT_COMPLETED: u64 = 2502;
const VISA_IN_PART: u64 = 2504;
/// Visa DE 62.2: the transaction identifier.
const VISA_TRANSACTION: u16 = 2;
/// Mastercard DE 39 of a reversal: an error, or a part.
const MASTERCARD_ERROR: &str = "06";
const MASTERCARD_IN_PART: &str = "32";
/// Mastercard DE 60 of an advice: decided at the issuer's option, without more to say.
const MASTERCARD_ADVICE: &str = "1000000";
/// Characters of Mastercard's trace id in DE 48, padded.
const TRACE_ID: usize = trace::TRACE_ID + 2;
/// Digits that institutions have at least on networks; leading zeros count to them.
const INSTITUTION_DIGITS: usize = 6;
/// Digits of an institution in DE 90.
const ORIGINAL_INSTITUTION: usize = 11;

/// What goes into a field.
enum Content {
    /// The card number, which is not copied before it is written.
    Card,
    Text(String),
    /// As it stands on the wire.
    Bytes(Vec<u8>),
}

impl Dialect {
    /// Appends the whole frame of a message that was stored for a party, in its dialect: 0420, 0120 or 0220, or as a
    /// repeat 0421, 0121 or 0221. It has the same name in every attempt.
    ///
    /// `source` is the dialect in which came what it is about. The network's id of the transaction and DE 22 go out
    /// only where that is known, and the id only to a dialect of the same network: others do not know it.
    ///
    /// # Errors
    /// It does not fit the frame, or a field without which it would tell something else; or a card has ended, which
    /// goes into a file that only the link knows ([`Self::write_card_file`]). Nothing was appended.
    pub fn write_stored(
        &self,
        message: &Message,
        source: Option<&Self>,
        repeat: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        if let Tells::CardEnded { .. } = message.tells {
            return Err(WriteError::Field { field: FILE_NAME, error: ValueError::UnknownField });
        }
        let stored = Stored { dialect: self, source, message };
        self.framed(0, self.station.unwrap_or(0), out, |out| stored.append(repeat, out))
    }
}

struct Stored<'a> {
    dialect: &'a Dialect,
    source: Option<&'a Dialect>,
    message: &'a Message,
}

impl Stored<'_> {
    fn mti(&self, repeat: bool) -> u16 {
        let mti = match (&self.message.tells, self.message.carried.class) {
            (Tells::Reversal { .. }, _) => 420,
            (Tells::Advice { .. }, MessageClass::Authorization) => 120,
            (Tells::Advice { .. }, MessageClass::Financial) => 220,
            (Tells::CardEnded { .. }, _) => CARD_FILE_UPDATE,
        };
        mti + u16::from(repeat)
    }

    fn append(&self, repeat: bool, out: &mut Vec<u8>) -> Result<(), WriteError> {
        let layout = &self.dialect.layout;
        let known = |field: &u8| ESSENTIAL.has(*field) || layout.field(*field).is_some();
        let contents = FIELDS.into_iter().filter(known).map(|field| (field, self.content(field)));
        let contents: Vec<(u8, Content)> =
            contents.filter_map(|(field, content)| Some((field, content?))).collect();
        let fields: Vec<u8> = contents.iter().map(|(field, _)| *field).collect();
        let fields = FieldSet::of(&fields);
        let mut builder = Builder::begin(layout, out, self.mti(repeat), fields, Bitmaps::AS_NEEDED);
        for (field, content) in &contents {
            let written = match content {
                Content::Card => {
                    let mut room = [0; PAN_DIGITS_MAX];
                    let start = self.message.carried.pan.clear_ascii(&mut room);
                    builder.text(*field, room.get(start..).unwrap_or_default())
                }
                Content::Text(text) => builder.value(*field, Value::Text(text)),
                Content::Bytes(bytes) => builder.value(*field, Value::Bytes(bytes)),
            };
            match written {
                Err(error) if ESSENTIAL.has(*field) => {
                    return Err(WriteError::Field { field: *field, error });
                }
                _ => {}
            }
        }
        builder.finish();
        Ok(())
    }

    /// What goes into a field; `None` for nothing.
    fn content(&self, field: u8) -> Option<Content> {
        let Message { own, carried, tells } = self.message;
        let key = &carried.key;
        // One without the other says nothing.
        let billing = carried.billing.filter(|_| [6, 51].iter().all(|field| self.has_row(*field)));
        match field {
            2 => Some(Content::Card),
            3 => digits(carried.processing_code.0, 6),
            4 => digits(carried.amount.minor.unsigned_abs(), AMOUNT),
            6 => digits(billing?.minor.unsigned_abs(), AMOUNT),
            7 => digits(own.transmission.digits(), 10),
            11 => digits(own.stan.0, 6),
            14 if matches!(tells, Tells::Advice { .. }) => digits(carried.expiry?.digits(), 4),
            18 if carried.mcc > 0 => digits(carried.mcc, 4),
            19 if carried.country > 0 => digits(carried.country, 3),
            22 if carried.entry_mode > 0 => self.entry_mode(carried.entry_mode),
            25 if self.dialect.mapping != Mapping::Mastercard => digits(0_u8, 2),
            32 => self.institution(key.acquirer),
            33 => self.institution(carried.forwarder),
            // As long as it came, since it stays the same from end to end (R30).
            37 if !key.rrn.is_blank() => Some(Content::Text(latin(&key.rrn.0))),
            38 => self.approval_code(),
            39 => self.code(),
            41 => text(&key.terminal),
            42 => text(&key.merchant),
            48 | 60..=63 => self.private(field),
            49 => currency(carried.amount.currency),
            51 => currency(billing?.currency),
            90 => self.original(),
            REPLACEMENT_AMOUNTS => self.replacement().map(|what| self.replacement_amounts(what)),
            _ => None,
        }
    }

    fn has_row(&self, field: u8) -> bool {
        self.dialect.layout.field(field).is_some()
    }

    /// DE 22 in as many digits as this dialect has: what stands behind the second says less and less.
    fn entry_mode(&self, mode: u16) -> Option<Content> {
        let width = |dialect: &Dialect| dialect.layout.field(22).map(longest);
        let (from, to) = (width(self.source?)?, width(self.dialect)?);
        let mut digits = format!("{mode:0from$}");
        if digits.len() > from {
            return None;
        }
        digits.truncate(to);
        Some(Content::Text(format!("{digits:0<to$}")))
    }

    fn institution(&self, id: InstitutionId) -> Option<Content> {
        let least = if self.dialect.mapping == Mapping::Iso87 { 1 } else { INSTITUTION_DIGITS };
        if id.0 > 0 { digits(id.0, least) } else { None }
    }

    fn approval_code(&self) -> Option<Content> {
        let (Tells::Reversal { approval_code, .. } | Tells::Advice { approval_code, .. }) =
            &self.message.tells
        else {
            return None;
        };
        approval_code.map(|code| Content::Text(latin(&code.0)))
    }

    /// DE 39: what was decided; of a reversal, where the network wants it there, why.
    fn code(&self) -> Option<Content> {
        match &self.message.tells {
            Tells::Advice { approved: true, .. } => {
                Some(Content::Text(latin(&self.dialect.response_code(ActionCode::Approved))))
            }
            Tells::Advice { .. } => Some(Content::Text(latin(&self.dialect.plain_decline()))),
            Tells::CardEnded { .. } => None,
            Tells::Reversal { legs, .. } => {
                let reason = match (self.dialect.mapping, legs) {
                    (Mapping::Mastercard, _) if self.replacement().is_some() => MASTERCARD_IN_PART.to_owned(),
                    (Mapping::Mastercard, Legs::Ours) => latin(TIMED_OUT_MASTERCARD),
                    (Mapping::Mastercard, Legs::Both) => MASTERCARD_ERROR.to_owned(),
                    (Mapping::Iso87, Legs::Ours) => latin(TIMED_OUT_ISO87),
                    (Mapping::Iso87, Legs::Both) | (Mapping::Visa, _) => return None,
                };
                Some(Content::Text(reason))
            }
        }
    }

    /// Whether it undoes no more than what the party itself has decided.
    const fn is_of_one_leg(&self) -> bool {
        matches!(self.message.tells, Tells::Reversal { legs: Legs::Ours, .. })
    }

    fn replacement(&self) -> Option<Replacement> {
        match &self.message.tells {
            Tells::Reversal { replacement, .. } => *replacement,
            Tells::Advice { .. } | Tells::CardEnded { .. } => None,
        }
    }

    /// DE 95: what is to stay of DE 4, and of DE 6 where the network has it here.
    fn replacement_amounts(&self, what: Replacement) -> Content {
        let amount = what.amount.unsigned_abs();
        let billing = match self.dialect.mapping {
            Mapping::Visa => 0,
            Mapping::Mastercard | Mapping::Iso87 => what.billing.unwrap_or(0).unsigned_abs(),
        };
        Content::Text(format!("{amount:0AMOUNT$}{:0AMOUNT$}{billing:0AMOUNT$}{:06}", 0, 0))
    }

    /// DE 90 as the party saw the original; else as it came.
    fn original(&self) -> Option<Content> {
        let text = match &self.message.tells {
            Tells::Reversal { original: Some(original), .. }
            | Tells::Advice { original: Some(original), .. } => {
                let Original { class, key, acquirer, forwarder } = original;
                let transmission = key.transmission.digits();
                original_data(Some(*class), key.stan.0, transmission, *acquirer, *forwarder)
            }
            Tells::Reversal { as_received: Some(received), .. } => {
                let OriginalData { class, stan, transmission, acquirer } = received;
                let transmission = transmission.map_or(0, |time| time.digits());
                original_data(*class, stan.0, transmission, *acquirer, InstitutionId(0))
            }
            _ => return None,
        };
        Some(Content::Text(text))
    }

    /// What networks want in private fields, and the network's id of the transaction.
    fn private(&self, field: u8) -> Option<Content> {
        let reference = self.message.carried.key.network_reference;
        let ours = self.source.is_some_and(|source| source.mapping == self.dialect.mapping);
        let reference = Some(reference).filter(|reference| ours && *reference > 0);
        let advice = matches!(self.message.tells, Tells::Advice { .. });
        match (self.dialect.mapping, field) {
            (Mapping::Mastercard, mastercard::PRIVATE_DATA) => self.trace_id(reference?),
            (Mapping::Mastercard, 60) if advice => Some(Content::Text(MASTERCARD_ADVICE.to_owned())),
            (Mapping::Visa, 61) => {
                let billing = self.replacement()?.billing?.unsigned_abs();
                Some(Content::Text(format!("{:0AMOUNT$}{:0AMOUNT$}{billing:0AMOUNT$}", 0, 0)))
            }
            (Mapping::Visa, 62) => self.parts(field, &[(VISA_TRANSACTION, reference?)]),
            (Mapping::Visa, 63) if advice => self.parts(field, &[VISA_NETWORK]),
            (Mapping::Visa, 63) => {
                let in_part = self.replacement().is_some();
                let reason = if in_part { VISA_IN_PART } else { VISA_NOT_COMPLETED };
                let parts = [VISA_NETWORK, (VISA_REASON, reason), (VISA_DECIDED_BY_NETWORK, VISA_TIMED_OUT)];
                self.parts(field, &parts[..if self.is_of_one_leg() { 3 } else { 2 }])
            }
            _ => None,
        }
    }

    /// Mastercard's DE 48 with nothing but the trace id; `None` for an id that does not fit a number.
    fn trace_id(&self, reference: u64) -> Option<Content> {
        let tagging = self.dialect.subfields(mastercard::PRIVATE_DATA)?.tagging()?;
        let mut content = Vec::new();
        tagging.push_head(mastercard::TRACE_ID, TRACE_ID, &mut content);
        let padded = trace::text(reference)?.into_iter().chain(*b"  ");
        let ebcdic = tagging.encoding == Encoding::Ebcdic;
        content.extend(padded.map(|byte| if ebcdic { to_ebcdic(byte) } else { byte }));
        Some(Content::Bytes(content))
    }

    /// A field with a bitmap of its own and these numbers, by rising part; `None` when the table has no such parts.
    fn parts(&self, field: u8, numbers: &[(u16, u64)]) -> Option<Content> {
        let division = self.dialect.subfields(field)?;
        let Form::Bitmap(width) = division.form else { return None };
        let width = usize::from(width.min(8));
        let (mut bitmap, mut content) = (0_u64, vec![0; width]);
        for (number, value) in numbers {
            if usize::from(*number) > 8 * width {
                return None;
            }
            bitmap |= 1_u64.checked_shl(64 - u32::from(*number))?;
            value::encode_number(&division.row(*number)?.spec, *value, &mut content).ok()?;
        }
        for (to, from) in content.iter_mut().take(width).zip(bitmap.to_be_bytes()) {
            *to = from;
        }
        Some(Content::Bytes(content))
    }
}

fn digits(value: impl Into<u64>, width: usize) -> Option<Content> {
    Some(Content::Text(format!("{:0width$}", value.into())))
}

fn currency(currency: Currency) -> Option<Content> {
    digits(currency.numeric(), 3)
}

/// `None` for a field that was not in the message.
fn text<const N: usize>(text: &Text<N>) -> Option<Content> {
    let trimmed = text.0.trim_ascii_end();
    (!text.is_blank()).then(|| Content::Text(latin(trimmed)))
}

fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

/// MTI 4, DE 11 6, DE 7 10, DE 32 11, DE 33 11. An institution that does not fit is left open: zeros match any.
fn original_data(
    class: Option<MessageClass>,
    stan: u32,
    transmission: u32,
    acquirer: InstitutionId,
    forwarder: InstitutionId,
) -> String {
    let mti = class.map_or(0, |class| class as u16 * 100);
    let open = |id: InstitutionId| if id.0 < 100_000_000_000 { id.0 } else { 0 };
    let width = ORIGINAL_INSTITUTION;
    format!(
        "{mti:04}{:06}{transmission:010}{:0width$}{:0width$}",
        stan % 1_000_000,
        open(acquirer),
        open(forwarder)
    )
}
