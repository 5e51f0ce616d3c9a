//! Messages from values, and values from messages: for a load generator, for tests, and for people.

use crate::dialect::Dialect;
use crate::dialect::answer::WriteError;
use crate::dialect::answer::at;
use crate::iso8583::build::Builder;
use crate::iso8583::spec::Bitmaps;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::value;
use crate::iso8583::value::Value;
use crate::iso8583::view::View;

impl Dialect {
    /// Appends the whole frame of a message: framing, the network's header, MTI, bitmaps and these fields, in
    /// ascending order. Text is padded to a fixed field's length.
    ///
    /// # Errors
    /// A field does not take its value, or comes out of order; nothing was appended.
    pub fn compose(&self, mti: u16, values: &[(u8, Value<'_>)], out: &mut Vec<u8>) -> Result<(), WriteError> {
        let from = self.station.unwrap_or(0);
        self.framed(0, from, out, |out| self.compose_message(mti, values, Bitmaps::AS_NEEDED, out))
    }

    /// Appends a message from its MTI on, without header and framing, with at least these bitmaps.
    ///
    /// # Errors
    /// A field does not take its value, or comes out of order.
    pub fn compose_message(
        &self,
        mti: u16,
        values: &[(u8, Value<'_>)],
        bitmaps: Bitmaps,
        out: &mut Vec<u8>,
    ) -> Result<(), WriteError> {
        let mut fields = FieldSet::EMPTY;
        for (field, _) in values {
            fields.insert(*field);
        }
        let mut builder = Builder::begin(&self.layout, out, mti, fields, bitmaps);
        for (field, value) in values {
            at(*field, builder.value(*field, *value))?;
        }
        builder.finish();
        Ok(())
    }

    /// A field's value as text: digits and characters, hex for binary. It is not masked.
    #[must_use]
    pub fn value(&self, view: &View<'_>, field: u8) -> Option<String> {
        let spec = self.layout.field(field)?;
        Some(value::decode(spec, view.content(field)?, view.units(field)?))
    }
}
