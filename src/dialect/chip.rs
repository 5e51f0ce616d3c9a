//! Whether chip data (DE 55) holds an application cryptogram. Chip data that cannot be read counts as one: a card that
//! is to be verified must not be approved because its data came in another form than the table says (R28).

use crate::iso8583::digits;
use crate::iso8583::spec::Content;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::FieldSpec;
use crate::iso8583::subfields::Form;
use crate::iso8583::tlv;

/// Application cryptogram.
pub(super) const CRYPTOGRAM_TAG: u32 = 0x9f26;
/// How deep a template may lie in others.
const DEPTH_MAX: usize = 4;
/// The longest chip data that is read where it is written in hex.
const HEX_BYTES_MAX: usize = 1024;

/// Whether a cryptogram came, or what may be one.
#[inline]
pub(super) fn has_cryptogram(spec: &FieldSpec, form: Option<Form>, content: &[u8]) -> bool {
    if matches!(spec.content, Content::Binary) && spec.encoding != Encoding::Hex {
        let direct = |content: &[u8]| tlv::find(content, CRYPTOGRAM_TAG).is_some();
        return match form {
            Some(Form::Datasets) => tlv::datasets(content).flatten().any(|set| direct(set.content)),
            _ => direct(content),
        } || may_have(content);
    }
    may_have_in_hex(spec, content)
}

/// The same of content that does not show one at first sight.
#[cold]
fn may_have(content: &[u8]) -> bool {
    let (plain, wrapped) = (in_tags(content, 0), in_datasets(content));
    // Neither reading to the end, or one that finds it.
    plain.or(wrapped).is_none() || plain == Some(true) || wrapped == Some(true)
}

#[cold]
fn may_have_in_hex(spec: &FieldSpec, content: &[u8]) -> bool {
    let mut buffer = [0; HEX_BYTES_MAX];
    let ebcdic = spec.encoding == Encoding::Ebcdic;
    let nibble = |byte: u8| digits::hex_nibble(if ebcdic { digits::from_ebcdic(byte) } else { byte });
    let (pairs, rest) = content.as_chunks::<2>();
    let Some(bytes) = buffer.get_mut(..pairs.len()) else { return true };
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        let (Some(high), Some(low)) = (nibble(*high), nibble(*low)) else { return true };
        *byte = high << 4 | low;
    }
    !rest.is_empty() || may_have(bytes)
}

/// Whether there is one among these tags and inside them; `None` when they cannot be read to their end.
fn in_tags(content: &[u8], depth: usize) -> Option<bool> {
    let mut found = false;
    for tag in tlv::tags(content) {
        let tag = tag.ok()?;
        found |= tag.tag == CRYPTOGRAM_TAG;
        if tag.is_constructed() {
            found |= if depth < DEPTH_MAX { in_tags(tag.value, depth + 1)? } else { return None };
        }
    }
    Some(found)
}

fn in_datasets(content: &[u8]) -> Option<bool> {
    let mut found = false;
    for set in tlv::datasets(content) {
        found |= in_tags(set.ok()?.content, 0)?;
    }
    Some(found)
}
