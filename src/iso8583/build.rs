//! Writes a message field by field, copying what it echoes from the request's own bytes.

use crate::iso8583::digits;
use crate::iso8583::digits::ASCII_ZERO;
use crate::iso8583::digits::EBCDIC_ZERO;
use crate::iso8583::spec::Bitmaps;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::spec::FieldSpec;
use crate::iso8583::spec::Inside;
use crate::iso8583::spec::Layout;
use crate::iso8583::spec::Shape;
use crate::iso8583::spec::place;
use crate::iso8583::value;
use crate::iso8583::value::Value;
use crate::iso8583::value::ValueError;
use crate::iso8583::view::View;

/// A message being written at the end of a buffer. Fields come in ascending order; the bitmaps are written last.
pub struct Builder<'o> {
    layout: &'o Layout,
    out: &'o mut Vec<u8>,
    bitmap_at: usize,
    bitmaps: usize,
    unannounced_second: bool,
    lower_case: bool,
    named: FieldSet,
    last: u8,
}

impl<'o> Builder<'o> {
    /// Begins a message with room for the bitmaps of these fields, and for more when `like` has more: an answer to a
    /// host that always sends two bitmaps has two.
    #[inline(always)]
    #[must_use]
    pub fn begin(
        layout: &'o Layout,
        out: &'o mut Vec<u8>,
        mti: u16,
        fields: FieldSet,
        like: Bitmaps,
    ) -> Self {
        let [high, low] = [mti / 100, mti].map(|pair| digits::bcd_pair((pair % 100) as u8));
        let zoned = |zone: u8| [high >> 4, high & 0x0f, low >> 4, low & 0x0f].map(|digit| zone | digit);
        match layout.mti() {
            Encoding::Bcd => out.extend_from_slice(&[high, low]),
            Encoding::Ebcdic => out.extend_from_slice(&zoned(digits::EBCDIC_ZERO)),
            _ => out.extend_from_slice(&zoned(digits::ASCII_ZERO)),
        }
        let bitmap_at = out.len();
        let bitmaps = fields.bitmaps().max(usize::from(like.count.min(3)));
        // Room for as many as there can be, and what is too much taken back: a constant size is cheaper.
        out.extend_from_slice(&[0; 3 * 16]);
        out.truncate(bitmap_at + bitmaps * bitmap_bytes(layout));
        let unannounced_second = like.unannounced_second && fields.bitmaps() <= 2;
        let lower_case = like.lower_case;
        Self {
            layout,
            out,
            bitmap_at,
            bitmaps,
            unannounced_second,
            lower_case,
            named: FieldSet::EMPTY,
            last: 1,
        }
    }

    #[inline]
    fn name(&mut self, field: u8) -> Result<&'o FieldSpec, ValueError> {
        let spec = self.layout.field(field).ok_or(ValueError::UnknownField)?;
        self.take_place(field)?;
        Ok(spec)
    }

    #[inline]
    fn take_place(&mut self, field: u8) -> Result<(), ValueError> {
        if field <= self.last || usize::from(field) > self.bitmaps * 64 {
            return Err(ValueError::OutOfOrder);
        }
        self.last = field;
        self.named.insert(field);
        Ok(())
    }

    fn unless_failed(&mut self, field: u8, written: Result<(), ValueError>) -> Result<(), ValueError> {
        if written.is_err() {
            self.named.remove(field);
        }
        written
    }

    /// Copies a field as it stands in a message of the same layout; nothing when that has none.
    ///
    /// # Errors
    /// The field is out of order.
    #[inline]
    pub fn copy(&mut self, from: &View<'_>, field: u8) -> Result<(), ValueError> {
        if from.has(field) {
            self.take_place(field)?;
            self.append(from, field, field);
        }
        Ok(())
    }

    /// Writes these fields of a message of the same layout as they stand in it, but those in `new`, which `write`
    /// writes. Fields that stand side by side there are copied at once.
    ///
    /// # Errors
    /// What `write` says, with its field.
    #[inline(always)]
    pub(crate) fn echo(
        &mut self,
        from: &View<'_>,
        fields: FieldSet,
        new: FieldSet,
        write: impl Fn(u8, &mut Self) -> Result<(), ValueError>,
    ) -> Result<(), (u8, ValueError)> {
        self.echo_word(from, 0, fields, new, &write)?;
        if fields.bitmaps() > 1 {
            self.echo_others(from, fields, new, &write)?;
        }
        self.named = self.named.or(fields);
        Ok(())
    }

    #[inline(never)]
    fn echo_others(
        &mut self,
        from: &View<'_>,
        fields: FieldSet,
        new: FieldSet,
        write: &impl Fn(u8, &mut Self) -> Result<(), ValueError>,
    ) -> Result<(), (u8, ValueError)> {
        self.echo_word(from, 1, fields, new, write)?;
        self.echo_word(from, 2, fields, new, write)
    }

    /// The fields of one bitmap.
    #[inline(always)]
    fn echo_word(
        &mut self,
        from: &View<'_>,
        word: usize,
        fields: FieldSet,
        new: FieldSet,
        write: &impl Fn(u8, &mut Self) -> Result<(), ValueError>,
    ) -> Result<(), (u8, ValueError)> {
        let (mut rest, base) = (fields.word(word), 1 + 64 * word as u8);
        // No run goes on past these.
        let breaks = (from.named().word(word) & !rest) | new.word(word);
        while rest != 0 {
            let first = rest.trailing_zeros() & 63;
            let field = base + first as u8;
            let stop = breaks & u64::MAX << first;
            let run = rest & (stop & stop.wrapping_neg()).wrapping_sub(1);
            if run == 0 {
                rest &= rest - 1;
                self.last = field - 1;
                write(field, self).map_err(|error| (field, error))?;
                continue;
            }
            rest ^= run;
            self.append(from, field, base + (run.ilog2() & 63) as u8);
        }
        Ok(())
    }

    /// Appends what stands from the first of these fields to the last.
    #[inline(always)]
    fn append(&mut self, from: &View<'_>, first: u8, last: u8) {
        let (start, end) = from.range(first, last);
        let body = from.body();
        // A copy of constant size, and what is too much taken back, is cheaper than the exact one.
        match body.get(start..start + 32).and_then(<[u8]>::first_chunk::<32>) {
            Some(more) if end.wrapping_sub(start) <= more.len() => {
                let length = self.out.len() + end.wrapping_sub(start);
                self.out.extend_from_slice(more);
                self.out.truncate(length);
            }
            _ => self.out.extend_from_slice(body.get(start..end).unwrap_or_default()),
        }
    }

    /// Writes a number into a numeric field.
    ///
    /// # Errors
    /// The field is unknown, out of order, or too short for the number.
    #[inline]
    pub fn number(&mut self, field: u8, number: u64) -> Result<(), ValueError> {
        let spec = self.name(field)?;
        let written = value::encode_number(spec, number, self.out);
        self.unless_failed(field, written)
    }

    /// Writes ASCII characters.
    ///
    /// # Errors
    /// The field is unknown, out of order, or cannot hold them.
    #[inline]
    pub fn text(&mut self, field: u8, text: &[u8]) -> Result<(), ValueError> {
        let spec = self.name(field)?;
        let written = value::encode_characters(spec, text, self.out);
        self.unless_failed(field, written)
    }

    /// Writes a field of an answer, while [`Builder::echo`] says that it is its turn: as many ASCII characters as the
    /// field has, without padding and without a check where it takes any.
    ///
    /// # Errors
    /// The field is unknown or cannot hold them.
    #[inline(always)]
    pub(crate) fn exact_text<const N: usize>(&mut self, field: u8, text: &[u8; N]) -> Result<(), ValueError> {
        let row = &self.layout.rows()[place(field)];
        match row.zero {
            _ if (row.shape, row.inside, row.bytes) != (Shape::Fixed, Inside::Anything, N as u16) => {}
            EBCDIC_ZERO => {
                self.extend_short(text.iter().map(|character| digits::to_ebcdic(*character)));
                return Ok(());
            }
            ASCII_ZERO => {
                self.out.extend_from_slice(text);
                return Ok(());
            }
            _ => {}
        }
        let spec = self.layout.field(field).ok_or(ValueError::UnknownField)?;
        value::encode_characters(spec, text, self.out)
    }

    /// Appends up to eight bytes. They are put together in a register: what is written byte by byte cannot be read at
    /// once for a while.
    #[inline(always)]
    fn extend_short(&mut self, bytes: impl ExactSizeIterator<Item = u8>) {
        let length = self.out.len() + bytes.len();
        let word = bytes.zip(0_u32..8).fold(0, |word, (byte, place)| word | u64::from(byte) << (8 * place));
        self.out.extend_from_slice(&word.to_le_bytes());
        self.out.truncate(length);
    }

    /// Writes a value.
    ///
    /// # Errors
    /// The field is unknown, out of order, or cannot hold it.
    pub fn value(&mut self, field: u8, value: Value<'_>) -> Result<(), ValueError> {
        let spec = self.name(field)?;
        let written = value::encode(spec, value, self.out);
        self.unless_failed(field, written)
    }

    /// Writes a variable field whose content `fill` appends, and then the length in front of it.
    ///
    /// # Errors
    /// The field is unknown, out of order, of fixed length, or too short for the content; nothing was appended.
    #[inline]
    pub(crate) fn filled(&mut self, field: u8, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), ValueError> {
        let spec = self.name(field)?;
        let written = value::encode_filled(spec, self.out, fill);
        self.unless_failed(field, written)
    }

    /// Writes the bitmaps; the message is whole.
    #[inline(always)]
    pub fn finish(mut self) {
        if self.bitmaps > 1 && !self.unannounced_second {
            self.named.insert(1);
        }
        if self.bitmaps > 2 {
            self.named.insert(65);
        }
        let width = bitmap_bytes(self.layout);
        let room = &mut self.out[self.bitmap_at..self.bitmap_at + self.bitmaps * width];
        if self.layout.bitmap() == Encoding::Binary {
            for (room, word) in room.as_chunks_mut::<8>().0.iter_mut().zip(self.named.0) {
                *room = word.reverse_bits().to_be_bytes();
            }
            return;
        }
        let ebcdic = self.layout.bitmap() == Encoding::Ebcdic;
        for (room, word) in room.as_chunks_mut::<16>().0.iter_mut().zip(self.named.0) {
            let word = word.reverse_bits();
            for (at, byte) in room.iter_mut().enumerate() {
                let upper = digits::nibble_character((word >> (60 - 4 * at)) as u8 & 0x0f);
                let character = if self.lower_case { upper.to_ascii_lowercase() } else { upper };
                *byte = if ebcdic { digits::to_ebcdic(character) } else { character };
            }
        }
    }
}

const fn bitmap_bytes(layout: &Layout) -> usize {
    if matches!(layout.bitmap(), Encoding::Binary) { 8 } else { 16 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iso8583::spec::Content;
    use crate::iso8583::spec::Count;
    use crate::iso8583::spec::Length;
    use crate::iso8583::spec::Pad;
    use crate::iso8583::spec::Prefix;

    #[test]
    fn what_is_written_at_once_is_what_the_table_row_says() {
        let prefix = Prefix { encoding: Encoding::Ascii, width: 2 };
        let contents = [Content::Numeric, Content::Text, Content::Binary, Content::Track, Content::Signed];
        let lengths =
            [Length::Fixed(1), Length::Fixed(2), Length::Fixed(3), Length::Variable { prefix, max: 9 }];
        let specs =
            contents.iter().flat_map(|content| Encoding::ALL.iter().map(move |(_, e)| (*content, *e)));
        for ((content, encoding), length) in specs.flat_map(|of| lengths.map(|length| (of, length))) {
            for (checked, text) in
                [(true, b"A1"), (false, b"A1"), (true, b"00"), (false, b"00"), (true, b"D1")]
            {
                let spec =
                    FieldSpec { length, content, encoding, count: Count::Digits, pad: Pad::Left, checked };
                let mut layout = Layout::new(Encoding::Bcd, Encoding::Binary);
                layout.define(39, spec);
                let mut out = Vec::new();
                let fields = FieldSet::of(&[39]);
                let mut builder = Builder::begin(&layout, &mut out, 110, fields, Bitmaps::AS_NEEDED);
                let written = builder.exact_text(39, text);
                let mut plain = Vec::new();
                let expected = value::encode_characters(&spec, text, &mut plain);
                assert_eq!((written, &out[10..]), (expected, plain.as_slice()), "{text:?} {spec:?}");
            }
        }
    }
}
