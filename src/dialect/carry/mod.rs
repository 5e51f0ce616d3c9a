//! A message goes on to another party, and its answer comes back.
//!
//! Between two dialects that write alike (`same`) everything stays bit for bit but DE 7 and DE 11, which name the
//! message to whoever gets it (R30). Between others (`across`) the standard's fields go by their values, and private
//! ones only where the configuration maps them. What is stored for a party goes in the domain's words (`stored`).

mod across;
mod card_file;
mod convert;
mod outcome;
mod same;
mod stored;

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::inbound::Inbound;
use crate::dialect::inbound::Received;
use crate::dialect::inbound::Response;
use crate::domain::action::ActionCode;
use crate::domain::forward::OwnKey;
use crate::iso8583::build::Builder;
use crate::iso8583::frame::FrameError;
use crate::iso8583::spec::Content;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::value::ValueError;
use crate::iso8583::view::View;

use super::answer::response_mti;

/// PIN block, what protects it, and the block of a second PIN (Visa's third bitmap).
const PIN_DATA: FieldSet = FieldSet::of(&[52, 53]);
const SECONDARY_PIN: u8 = 152;
/// A new PIN (Mastercard).
const NEW_PIN: u8 = 125;
/// Codes over the bytes of the message.
const MESSAGE_CODES: FieldSet = FieldSet::of(&[64, 128]);
/// Fields that each network fills with something of its own: none goes to another dialect unless it is mapped.
const PRIVATE: FieldSet = FieldSet::of(&[
    44, 46, 47, 48, 56, 57, 58, 59, 60, 61, 62, 63, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114,
    115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 126, 127,
]);

/// What becomes of data that means something between two parties only.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Carry {
    /// A message that has it does not go on.
    #[default]
    Refuse,
    /// It goes on as it came.
    Pass,
    /// The message goes on without it. Of a PIN this is the same as refusing it: whoever asks counts on its being
    /// verified.
    Drop,
}

/// How messages go on to a party.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Carriage {
    /// PIN data (DE 52, 53; Visa's 152; Mastercard's 125). It can pass where both sides share a key.
    pub pin: Carry,
    /// Message authentication codes (DE 64, 128). One that passes is right only where nobody checks it, or it covers
    /// nothing that changes: DE 7 and DE 11 do, and between dialects everything does.
    pub mac: Carry,
    /// Private fields that go into another dialect, each into the one of the same content: `(48, 48)`.
    pub mappings: Vec<(u8, u8)>,
}

/// Why a message cannot go on, or an answer cannot come back. Nothing was appended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CarryError {
    /// It has PIN data, and that does not pass.
    #[error("PIN data does not go on here")]
    Pin,
    /// It has a message authentication code, and that does not pass.
    #[error("a message authentication code does not go on here")]
    Mac,
    /// A field without which it would mean something else.
    #[error("field {field}: {error}")]
    Field {
        /// The data element, of the message that came.
        field: u8,
        /// Why.
        error: ValueError,
    },
    /// It is no answer to what was asked: another message type, or no DE 39.
    #[error("it does not answer what was asked")]
    NoAnswer,
    /// It approves in a way that the other side cannot be told: a part whose amount is not there.
    #[error("it approves what the other side cannot be told")]
    Approval,
    /// Its frame.
    #[error("{0}")]
    Frame(#[from] FrameError),
}

/// What a party's answer said.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Carried39 {
    /// DE 39 as the party wrote it.
    pub code: [u8; 2],
    /// The party approved it, and whoever asked was told so.
    pub approved: bool,
    /// The outcome in our words; `None` for a code that the party's table does not have.
    pub action: Option<ActionCode>,
    /// What else it has for which the dialect of whoever asked has no place. What is withheld is not among it.
    pub left_out: FieldSet,
}

impl Dialect {
    /// Whether the other one writes every message as this one does, and means the same by DE 39. Framing and headers
    /// may differ.
    #[must_use]
    pub const fn writes_like(&self, other: &Self) -> bool {
        self.writing == other.writing
    }

    /// Why a private field cannot go on into a field of another dialect; `None` when it can.
    #[must_use]
    pub fn mapping_fault(&self, field: u8, to: &Self, into: u8) -> Option<&'static str> {
        if !PRIVATE.has(field) || !PRIVATE.has(into) {
            return Some("only private fields are mapped: 44, 46 to 48, 56 to 63, 104 to 124, 126 and 127");
        }
        let is_binary = |dialect: &Self, field| {
            dialect.layout.field(field).map(|spec| matches!(spec.content, Content::Binary))
        };
        match (is_binary(self, field), is_binary(to, into)) {
            (None, _) => Some("the dialect of whoever asks has no such field"),
            (_, None) => Some("the dialect of whoever is asked has no such field"),
            (Some(one), Some(other)) if one != other => Some("one field has bytes and the other characters"),
            _ => None,
        }
    }

    /// Appends the whole frame of a request that goes on to a party that speaks `to`, under a name of ours; with
    /// `repeat` as 0101 or 0201, whatever it came as (R31). Gives back the fields that are left out.
    ///
    /// # Errors
    /// It has what does not go on, or loses its meaning.
    pub fn carry_request(
        &self,
        asked: &Received<'_>,
        to: &Self,
        own: OwnKey,
        carriage: &Carriage,
        repeat: bool,
        out: &mut Vec<u8>,
    ) -> Result<FieldSet, CarryError> {
        let has = asked.view.fields();
        if carriage.pin != Carry::Pass && !has.and(pin_data(self.mapping)).is_empty() {
            return Err(CarryError::Pin);
        }
        let codes = has.and(MESSAGE_CODES);
        if carriage.mac == Carry::Refuse && !codes.is_empty() {
            return Err(CarryError::Mac);
        }
        let dropped = if carriage.mac == Carry::Drop { codes } else { FieldSet::EMPTY };
        let mti = asked.view.mti();
        let named = (if repeat { mti | 1 } else { mti }, own);
        if self.writes_like(to) {
            self.request_alike(asked, to, named, dropped, out)
        } else {
            self.request_across(asked, to, named, dropped, &carriage.mappings, out)
        }
    }

    /// Appends the whole frame of the answer to a request that went on, made of the party's own answer: `self` is the
    /// dialect of whoever asked, `asked` what it asked, read again, and `from` the party's dialect.
    ///
    /// Nothing secret goes back that the answer may repeat (R25).
    ///
    /// # Errors
    /// It answers something else, or approves what whoever asked cannot be told: then what was asked is to be reversed.
    pub fn carry_answer(
        &self,
        asked: &Received<'_>,
        from: &Self,
        answer: &Received<'_>,
        carriage: &Carriage,
        out: &mut Vec<u8>,
    ) -> Result<Carried39, CarryError> {
        let Inbound::Response(response) = &answer.inbound else { return Err(CarryError::NoAnswer) };
        let answers = response.mti == response_mti(asked.view.mti()) && answer.view.has(39);
        if !answers {
            return Err(CarryError::NoAnswer);
        }
        if self.writes_like(from) {
            self.answer_alike(asked, answer, carriage.mac == Carry::Pass, out)?;
            Ok(from.carried(response, self))
        } else {
            self.answer_across(asked, from, answer, response, out)
        }
    }

    /// What an answer of this dialect says, for one to whom `to` speaks.
    fn carried(&self, response: &Response, to: &Self) -> Carried39 {
        let code = response.response_code;
        let (approved, action) = (self.is_approval(code), self.action_towards(code, to));
        Carried39 { code, approved, action, left_out: FieldSet::EMPTY }
    }
}

/// The fields with PINs.
const fn pin_data(mapping: Mapping) -> FieldSet {
    let mut fields = PIN_DATA;
    match mapping {
        Mapping::Visa => fields.insert(SECONDARY_PIN),
        Mapping::Mastercard => fields.insert(NEW_PIN),
        Mapping::Iso87 => {}
    }
    fields
}

/// Writes DE 7 or DE 11 of ours.
fn write_own(own: OwnKey, field: u8, builder: &mut Builder<'_>) -> Result<(), ValueError> {
    builder.number(field, own_number(own, field))
}

fn own_number(own: OwnKey, field: u8) -> u64 {
    u64::from(if field == 7 { own.transmission.digits() } else { own.stan.0 })
}

/// Whether the answer repeats the request's chip data: that never goes back (R25).
fn repeats_chip_data(asked: &View<'_>, answer: &View<'_>) -> bool {
    answer.has(55) && answer.content(55) == asked.content(55)
}
