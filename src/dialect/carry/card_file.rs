//! What a network is told of a card that may not be used any more: an update of its file of such cards (0302), so that
//! it approves nothing with it in our place (R32).

use crate::dialect::Dialect;
use crate::dialect::answer::WriteError;
use crate::dialect::answer::response_mti;
use crate::domain::card::PAN_DIGITS_MAX;
use crate::domain::card::Pan;
use crate::iso8583::build::Builder;
use crate::iso8583::spec::Bitmaps;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::value::Value;

/// The MTI of an update of a file of cards.
pub(super) const CARD_FILE_UPDATE: u16 = 302;
const RRN: u8 = 37;
/// DE 101: which file.
pub(super) const FILE_NAME: u8 = 101;

impl Dialect {
    /// Appends the whole frame of an 0302 about this card, or of its repeat 0303. `elements` are all others, as text
    /// and in ascending order; DE 37 is left out where this dialect's 0312 does not echo it.
    ///
    /// # Errors
    /// An element is unknown, or does not take its text; nothing was appended.
    pub fn write_card_file(
        &self,
        pan: Pan,
        elements: &[(u8, String)],
        repeat: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let mti = CARD_FILE_UPDATE + u16::from(repeat);
        let echoes = self.response_fields(response_mti(CARD_FILE_UPDATE));
        let elements = || elements.iter().filter(|(field, _)| *field != RRN || echoes.has(RRN));
        let mut fields = FieldSet::of(&[2]);
        elements().for_each(|(field, _)| fields.insert(*field));
        self.framed(0, self.station.unwrap_or(0), out, |out| {
            let mut builder = Builder::begin(&self.layout, out, mti, fields, Bitmaps::AS_NEEDED);
            let mut room = [0; PAN_DIGITS_MAX];
            let start = pan.clear_ascii(&mut room);
            let of = |field| move |error| WriteError::Field { field, error };
            builder.text(2, room.get(start..).unwrap_or_default()).map_err(of(2))?;
            for (field, text) in elements() {
                builder.value(*field, Value::Text(text)).map_err(of(*field))?;
            }
            builder.finish();
            Ok(())
        })
    }
}
