//! Between two dialects that write alike: the bytes as they came, but for DE 7 and DE 11.

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::header;
use crate::dialect::inbound::Received;
use crate::dialect::mastercard;
use crate::domain::forward::OwnKey;
use crate::iso8583::build::Builder;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::value;
use crate::iso8583::view::View;

use super::CarryError;
use super::MESSAGE_CODES;
use super::own_number;
use super::repeats_chip_data;
use super::write_own;

/// What names a message, and is not the same on both sides.
const NAMES: FieldSet = FieldSet::of(&[7, 11]);
/// Fields of a request that never go back, though a party's answer may have them (R25): the expiry date, tracks, PIN
/// data and what protects it, new PINs, a cryptogram.
const SECRET: FieldSet = FieldSet::of(&[14, 35, 36, 45, 52, 53, 96, 125, 136, 152]);
/// Visa's DE 126: a CVV2 and a CAVV.
const VISA_PRIVATE_USE: u8 = 126;

impl Dialect {
    pub(super) fn request_alike(
        &self,
        asked: &Received<'_>,
        to: &Self,
        (mti, own): (u16, OwnKey),
        dropped: FieldSet,
        out: &mut Vec<u8>,
    ) -> Result<FieldSet, CarryError> {
        let view = &asked.view;
        to.framed(0, to.station.unwrap_or(0), out, |out| -> Result<(), CarryError> {
            let own_bytes = |field, room: &mut [u8]| {
                let spec = self.layout.field(field);
                spec.is_some_and(|spec| value::overwrite_number(spec.encoding, own_number(own, field), room))
            };
            let is_as_it_came = dropped.is_empty() && mti == view.mti();
            if is_as_it_came && append_renamed(view, own_bytes, out) {
                return Ok(());
            }
            let fields = view.fields().without(dropped).or(NAMES);
            let mut builder = Builder::begin(&to.layout, out, mti, fields, view.bitmaps());
            let written = builder.echo(view, fields, NAMES, |field, builder| write_own(own, field, builder));
            written.map_err(|(field, error)| CarryError::Field { field, error })?;
            builder.finish();
            Ok(())
        })?;
        Ok(view.named().without(view.fields()).or(dropped))
    }

    pub(super) fn answer_alike(
        &self,
        asked: &Received<'_>,
        answer: &Received<'_>,
        pass_codes: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), CarryError> {
        let start = self.framing.begin(out);
        let body = header::begin_answer(self.heading(), asked.header, self.station, out);
        if let Err(error) = self.append_answer_alike(&asked.view, answer, pass_codes, out) {
            out.truncate(start);
            return Err(error);
        }
        header::finish(self.answer_header(asked.header), body, out);
        Ok(self.framing.finish(out, start)?)
    }

    fn append_answer_alike(
        &self,
        asked: &View<'_>,
        answer: &Received<'_>,
        pass_codes: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), CarryError> {
        let view = &answer.view;
        let left_out = self.not_back(asked, view, pass_codes);
        let asked_bytes = |field, room: &mut [u8]| match asked.raw(field) {
            Some(bytes) if bytes.len() == room.len() => {
                room.copy_from_slice(bytes);
                true
            }
            _ => false,
        };
        if answer.open && left_out.is_empty() && append_renamed(view, asked_bytes, out) {
            return Ok(());
        }
        let mut fields = view.fields().without(left_out).without(NAMES).or(asked.fields().and(NAMES));
        let guarded = if answer.open { FieldSet::EMPTY } else { self.guarded.and(fields) };
        for field in guarded.iter() {
            let end = out.len();
            if !self.append_told(view, field, out) {
                fields.remove(field);
            }
            out.truncate(end);
        }
        let new = NAMES.or(guarded).and(fields);
        let mut builder = Builder::begin(&self.layout, out, view.mti(), fields, view.bitmaps());
        let written = builder.echo(view, fields, new, |field, builder| {
            if guarded.has(field) {
                builder.filled(field, |out| _ = self.append_told(view, field, out))
            } else {
                builder.copy(asked, field)
            }
        });
        written.map_err(|(field, error)| CarryError::Field { field, error })?;
        builder.finish();
        Ok(())
    }

    /// The fields of an answer that do not go back.
    fn not_back(&self, asked: &View<'_>, answer: &View<'_>, pass_codes: bool) -> FieldSet {
        let mut fields = if pass_codes { SECRET } else { SECRET.or(MESSAGE_CODES) };
        if self.mapping == Mapping::Visa {
            fields.insert(VISA_PRIVATE_USE);
        }
        if repeats_chip_data(asked, answer) {
            fields.insert(55);
        }
        fields.and(answer.fields())
    }

    /// Appends the elements of an answer's private field that may go back, and tells whether there are any: what the
    /// table withholds stays here, but not the party's own result of a verification.
    #[cold]
    fn append_told(&self, view: &View<'_>, field: u8, out: &mut Vec<u8>) -> bool {
        let Some((division, content)) = self.subfields(field).zip(view.content(field)) else { return false };
        let Some(tagging) = division.tagging() else { return false };
        let start = out.len();
        out.extend_from_slice(tagging.lead(content));
        for element in tagging.elements(content).map_while(Result::ok) {
            let withheld =
                division.withheld.contains(&element.id) && !mastercard::RESULTS.contains(&element.id);
            if !withheld {
                out.extend_from_slice(element.raw);
            }
        }
        out.len() > start
    }
}

/// Appends a whole message, and lets `write` write over DE 7 and DE 11. False, and nothing is appended, when that
/// cannot be: a field is missing or cannot be read.
#[inline]
fn append_renamed(view: &View<'_>, write: impl Fn(u8, &mut [u8]) -> bool, out: &mut Vec<u8>) -> bool {
    if view.fields() != view.named() || !view.fields().includes(NAMES) {
        return false;
    }
    let start = out.len();
    out.extend_from_slice(view.body());
    let written = NAMES.iter().all(|field| {
        let (first, end) = view.range(field, field);
        out.get_mut(start + first..start + end).is_some_and(|room| write(field, room))
    });
    if !written {
        out.truncate(start);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::needed::is_never_echoed;
    use crate::iso8583::spec::HIGHEST_FIELD;

    /// What a party says of its own: chip data, codes over its own bytes, its answer to a cryptogram.
    const OF_THE_PARTY: [u8; 5] = [55, 64, 128, 139, 140];

    #[test]
    fn what_no_answer_of_ours_repeats_does_not_come_back_either() {
        for mapping in [Mapping::Visa, Mapping::Mastercard, Mapping::Iso87] {
            for field in (2..=HIGHEST_FIELD).filter(|field| !OF_THE_PARTY.contains(field)) {
                let secret = SECRET.has(field) || mapping == Mapping::Visa && field == VISA_PRIVATE_USE;
                assert_eq!(secret, is_never_echoed(field, mapping), "{mapping:?} {field}");
            }
        }
    }
}
