//! One field's value in another dialect's bytes.

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::lifecycle::AMOUNT;
use crate::dialect::lifecycle::REPLACEMENT_AMOUNTS;
use crate::dialect::meaning;
use crate::dialect::needed::longest;
use crate::iso8583::build::Builder;
use crate::iso8583::digits;
use crate::iso8583::spec::Content;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::FieldSpec;
use crate::iso8583::spec::Length;
use crate::iso8583::subfields::Form;
use crate::iso8583::tlv;
use crate::iso8583::value::ValueError;
use crate::iso8583::view::View;

/// Chip data.
const CHIP_DATA: u8 = 55;
/// Id of the dataset that is chip data, where it comes in datasets (Visa).
const CHIP_DATASET: u8 = 1;
/// The longest field that goes across, in characters: two for each byte of binary ones.
const CHARACTERS_MAX: usize = 4096;

/// Room for a value on its way.
pub(super) struct Buffers {
    characters: [u8; CHARACTERS_MAX],
    bytes: [u8; CHARACTERS_MAX / 2],
}

impl Buffers {
    pub(super) const fn new() -> Self {
        Self { characters: [0; CHARACTERS_MAX], bytes: [0; CHARACTERS_MAX / 2] }
    }
}

/// Writes a field of `from`'s message into a field of `to`'s.
pub(super) fn value(
    from: &Dialect,
    view: &View<'_>,
    (field, into): (u8, u8),
    to: &Dialect,
    builder: &mut Builder<'_>,
    buffers: &mut Buffers,
) -> Result<(), ValueError> {
    let spec = to.layout.field(into).ok_or(ValueError::UnknownField)?;
    let narrowed = field == REPLACEMENT_AMOUNTS && from.mapping != to.mapping;
    if field == into && view.layout().field(field) == Some(spec) && !narrowed {
        return builder.copy(view, field);
    }
    let length = characters(view, field, &mut buffers.characters)?;
    let text = buffers.characters.get_mut(..length).ok_or(ValueError::TooLong)?;
    match into {
        22 => entry_mode(text, spec, builder),
        49..=51 => currency(text, into, spec, builder),
        REPLACEMENT_AMOUNTS if narrowed && from.mapping == Mapping::Visa => {
            // Visa has one amount, and uses nothing behind it.
            text.iter_mut().skip(AMOUNT).for_each(|unused| *unused = b'0');
            builder.text(into, text)
        }
        _ => builder.text(into, fitted(text, spec)),
    }
}

/// Writes a field's characters into `buffer` and says how many there are.
fn characters(view: &View<'_>, field: u8, buffer: &mut [u8]) -> Result<usize, ValueError> {
    let (Some(spec), Some(content)) = (view.layout().field(field), view.content(field)) else {
        return Err(ValueError::UnknownField);
    };
    let per_byte = if matches!(spec.encoding, Encoding::Bcd | Encoding::Binary) { 2 } else { 1 };
    if content.len() * per_byte > buffer.len() {
        return Err(ValueError::TooLong);
    }
    view.text(field, buffer).map(<[u8]>::len).ok_or(ValueError::UnknownField)
}

/// The text without what only pads it, where it is longer than the field: spaces behind characters, and zeros in front
/// of a number of fixed length.
fn fitted<'t>(text: &'t [u8], spec: &FieldSpec) -> &'t [u8] {
    let most = longest(spec);
    match (spec.content, spec.length) {
        (Content::Text, _) => {
            let mut text = text;
            while let (true, [head @ .., b' ']) = (text.len() > most, text) {
                text = head;
            }
            text
        }
        (Content::Numeric, Length::Fixed(_)) => {
            let mut text = text;
            while let (true, [b'0', rest @ ..]) = (text.len() > most, text) {
                text = rest;
            }
            text
        }
        _ => text,
    }
}

/// DE 22: two digits say how the card number came and one whether a PIN can be entered; Visa has a filler behind them.
fn entry_mode(text: &[u8], spec: &FieldSpec, builder: &mut Builder<'_>) -> Result<(), ValueError> {
    let (width, mut digits) = (longest(spec), [b'0'; 4]);
    let digits = digits.get_mut(..width).ok_or(ValueError::TooShort)?;
    for (to, from) in digits.iter_mut().zip(text) {
        *to = *from;
    }
    builder.text(22, digits)
}

/// A currency, which may come in letters where the field takes digits only.
fn currency(text: &[u8], field: u8, spec: &FieldSpec, builder: &mut Builder<'_>) -> Result<(), ValueError> {
    if spec.content != Content::Numeric || text.iter().all(u8::is_ascii_digit) {
        return builder.text(field, text);
    }
    let letters = std::str::from_utf8(text).ok().and_then(meaning::numeric_of);
    builder.number(field, u64::from(letters.ok_or(ValueError::WrongCharacter)?))
}

/// Writes chip data: the same tags, within a dataset where the dialect has it so.
pub(super) fn chip_data(
    from: &Dialect,
    view: &View<'_>,
    to: &Dialect,
    builder: &mut Builder<'_>,
    buffers: &mut Buffers,
) -> Result<(), ValueError> {
    let spec = to.layout.field(CHIP_DATA).ok_or(ValueError::UnknownField)?;
    let in_datasets = |dialect: &Dialect| {
        dialect.subfields(CHIP_DATA).is_some_and(|subfields| subfields.form == Form::Datasets)
    };
    let Buffers { characters, bytes } = buffers;
    let content = plain_bytes(view, characters, bytes)?;
    let tags = if in_datasets(from) { chip_dataset(content)? } else { content };
    let length = u16::try_from(tags.len()).map_err(|_| ValueError::TooLong)?.to_be_bytes();
    let head = [CHIP_DATASET, length[0], length[1]];
    let head = if in_datasets(to) { head.as_slice() } else { &[] };
    if spec.encoding == Encoding::Binary && matches!(spec.length, Length::Variable { .. }) {
        return builder.filled(CHIP_DATA, |out| {
            out.extend_from_slice(head);
            out.extend_from_slice(tags);
        });
    }
    let pairs = head.iter().chain(tags);
    let needed = 2 * (head.len() + tags.len());
    let hex = characters.get_mut(..needed).ok_or(ValueError::TooLong)?;
    for (pair, byte) in hex.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
        *pair = [byte >> 4, byte & 0x0f].map(digits::nibble_character);
    }
    builder.text(CHIP_DATA, hex)
}

/// Chip data as bytes, also where it is written in hex.
fn plain_bytes<'b>(view: &View<'b>, buffer: &mut [u8], bytes: &'b mut [u8]) -> Result<&'b [u8], ValueError> {
    let content = view.content(CHIP_DATA).ok_or(ValueError::UnknownField)?;
    if view.layout().field(CHIP_DATA).is_some_and(|spec| spec.encoding == Encoding::Binary) {
        return Ok(content);
    }
    let length = characters(view, CHIP_DATA, buffer)?;
    let (pairs, rest) = buffer.get(..length).unwrap_or_default().as_chunks::<2>();
    let bytes = bytes.get_mut(..pairs.len()).ok_or(ValueError::TooLong)?;
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let nibbles = digits::hex_nibble(*high).zip(digits::hex_nibble(*low));
        let (high, low) = nibbles.ok_or(ValueError::WrongCharacter)?;
        *byte = high << 4 | low;
    }
    if rest.is_empty() { Ok(bytes) } else { Err(ValueError::WrongCharacter) }
}

/// The tags of chip data among datasets.
fn chip_dataset(content: &[u8]) -> Result<&[u8], ValueError> {
    let mut sets = tlv::datasets(content).map_while(Result::ok);
    let chip = sets.find(|set| set.id == CHIP_DATASET);
    chip.map(|set| set.content).ok_or(ValueError::WrongCharacter)
}
