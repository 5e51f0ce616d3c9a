//! Which format a file has, by its first bytes.

use crate::clearing::Alphabet;
use crate::clearing::COLUMNS;
use crate::clearing::Format;
use crate::clearing::Separator;
use crate::clearing::error::ClearingError;
use crate::clearing::error::Fault;
use crate::clearing::error::Position;
use crate::clearing::input::BLOCK;
use crate::clearing::input::BLOCK_DATA;
use crate::clearing::input::FILL;
use crate::clearing::ipm::LENGTH;
use crate::clearing::ipm::LONGEST;
use crate::clearing::ipm::SHORTEST;
use crate::clearing::plain::BYTE_ORDER_MARK;
use crate::clearing::tcr::TCR;
use crate::iso8583::digits::ASCII_ZERO;
use crate::iso8583::digits::EBCDIC_ZERO;

/// How many bytes of a file are enough to tell its format for certain; of a shorter file, all of them.
pub const HEAD: usize = 16 * 1024;

impl Format {
    /// The format of a file that begins with these bytes. A head of [`HEAD`] bytes, or the whole file, is wanted.
    ///
    /// # Errors
    /// [`Fault::UnknownFormat`].
    pub fn detect(head: &[u8]) -> Result<Self, ClearingError> {
        let position = Position { record: 1, offset: 0 };
        Self::known(head).ok_or(ClearingError { position, fault: Fault::UnknownFormat })
    }

    fn known(head: &[u8]) -> Option<Self> {
        let text = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
        if text.strip_prefix(COLUMNS[0].as_bytes()).is_some_and(|rest| rest.starts_with(b",")) {
            return Some(Self::Csv);
        }
        if head.trim_ascii_start().starts_with(b"{") {
            return Some(Self::JsonLines);
        }
        ipm(head).or_else(|| base_two(head))
    }
}

fn base_two(head: &[u8]) -> Option<Format> {
    let alphabet = alphabet_of(head.get(..2)?)?;
    let separator = Separator::ALL.into_iter().rev().find(|separator| {
        let Some(behind) = head.get(TCR..).and_then(|behind| behind.strip_prefix(separator.bytes())) else {
            return false;
        };
        behind.is_empty() || behind.get(..2).and_then(alphabet_of) == Some(alphabet)
    });
    separator.map(|separator| Format::BaseTwo { alphabet, separator })
}

/// The alphabet in which all of these are digits.
fn alphabet_of(digits: &[u8]) -> Option<Alphabet> {
    let all = |zero: u8| digits.iter().all(|byte| byte.wrapping_sub(zero) < 10);
    match (all(ASCII_ZERO), all(EBCDIC_ZERO)) {
        (true, _) => Some(Alphabet::Ascii),
        (_, true) => Some(Alphabet::Ebcdic),
        _ => None,
    }
}

fn ipm(head: &[u8]) -> Option<Format> {
    let alphabet = begins_with_a_message(head)?;
    let bitmap = head.get(LENGTH + 4..LENGTH + 4 + 32);
    let hex_bitmap = bitmap.is_some_and(|bitmap| bitmap.iter().all(u8::is_ascii_hexdigit));
    Some(Format::Ipm { alphabet, blocked: is_blocked(head), hex_bitmap })
}

/// The alphabet of the MTI behind a length, when there are both.
fn begins_with_a_message(bytes: &[u8]) -> Option<Alphabet> {
    let length = u32::from_be_bytes(*bytes.first_chunk::<LENGTH>()?) as usize;
    let mti = bytes.get(LENGTH..LENGTH + 4)?;
    if (SHORTEST..=LONGEST).contains(&length) { alphabet_of(mti) } else { None }
}

/// Two bytes of fill stand behind every block. Two spaces of EBCDIC look the same, so that records tell when they can.
fn is_blocked(head: &[u8]) -> bool {
    let blocks = head.chunks_exact(BLOCK);
    if blocks.len() == 0 || !blocks.clone().all(|block| block.get(BLOCK_DATA..) == Some(&[FILL; 2])) {
        return false;
    }
    let rest = blocks.remainder();
    let data: Vec<u8> = blocks
        .filter_map(|block| block.get(..BLOCK_DATA))
        .chain([rest.get(..BLOCK_DATA).unwrap_or(rest)])
        .flatten()
        .copied()
        .collect();
    records_follow(&data) >= records_follow(head)
}

/// How well bytes read as records; a later one is better.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Reading {
    /// What should be a record is none.
    Wrong,
    /// They are records as far as the bytes go.
    Cut,
    /// They are records, and the length zero ends them.
    Whole,
}

fn records_follow(mut bytes: &[u8]) -> Reading {
    while let Some(length) = bytes.first_chunk::<LENGTH>() {
        let length = u32::from_be_bytes(*length) as usize;
        if length == 0 {
            return Reading::Whole;
        }
        if bytes.len() >= LENGTH + 4 && begins_with_a_message(bytes).is_none() {
            return Reading::Wrong;
        }
        bytes = bytes.get(LENGTH + length..).unwrap_or_default();
    }
    Reading::Cut
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_first_bytes() {
        let heading = COLUMNS.join(",");
        let card = |text: &str| format!("{text:<168}");
        let ebcdic =
            |text: &str| -> Vec<u8> { text.bytes().map(crate::iso8583::digits::to_ebcdic).collect() };
        let base_two = |alphabet, separator| Some(Format::BaseTwo { alphabet, separator });
        let (header, draft) = (card("90400012"), card("0500"));
        let table: Vec<(Vec<u8>, Option<Format>)> = vec![
            (heading.clone().into_bytes(), Some(Format::Csv)),
            ([BYTE_ORDER_MARK, heading.as_bytes()].concat(), Some(Format::Csv)),
            (b"{\"network\":\"visa\"}".to_vec(), Some(Format::JsonLines)),
            (header.clone().into_bytes(), base_two(Alphabet::Ascii, Separator::None)),
            ([&*header, &draft].concat().into_bytes(), base_two(Alphabet::Ascii, Separator::None)),
            ([&*header, "\n", &draft].concat().into_bytes(), base_two(Alphabet::Ascii, Separator::LineFeed)),
            ([&*header, "\n"].concat().into_bytes(), base_two(Alphabet::Ascii, Separator::LineFeed)),
            (
                [&*header, "\r\n", &draft].concat().into_bytes(),
                base_two(Alphabet::Ascii, Separator::CarriageReturn),
            ),
            (ebcdic(&header), base_two(Alphabet::Ebcdic, Separator::None)),
            (
                [ebcdic(&header), vec![0x15], ebcdic(&draft)].concat(),
                base_two(Alphabet::Ebcdic, Separator::NewLine),
            ),
            (header.as_bytes()[..100].to_vec(), None),
            (b"network;function".to_vec(), None),
            (b"%PDF-1.7".to_vec(), None),
            (Vec::new(), None),
            (vec![0; 4], None),
        ];
        for (head, format) in table {
            assert_eq!(Format::detect(&head).ok(), format, "{:?}", String::from_utf8_lossy(&head));
        }
    }

    #[test]
    fn fill_is_told_from_spaces() {
        let record = |length: usize, space: u8| -> Vec<u8> {
            let mut record = (length as u32).to_be_bytes().to_vec();
            record.extend([0xf1, 0xf2, 0xf4, 0xf0]);
            record.resize(LENGTH + length, space);
            record
        };
        // Nothing but spaces, so that they stand at the places of fill, too.
        let plain: Vec<u8> = std::iter::repeat_n(record(500, FILL), 20).flatten().collect();
        let blocked: Vec<u8> =
            plain.chunks_exact(BLOCK_DATA).flat_map(|block| [block, &[FILL; 2]].concat()).collect();
        let is = |head: &[u8]| match Format::detect(head) {
            Ok(Format::Ipm { alphabet: Alphabet::Ebcdic, blocked, .. }) => blocked,
            other => panic!("{other:?}"),
        };
        for length in [1014, 2028, 3000, blocked.len()] {
            assert!(!is(&plain[..length]), "{length}");
            assert!(is(&blocked[..length]), "{length}");
        }
        assert!(!is(&record(500, 0)));
        // Spaces in the last record, which the length zero follows where there are no blocks.
        let short = [record(900, 0), record(300, FILL), vec![0; LENGTH]].concat();
        assert!(!is(&short) && short[BLOCK_DATA..BLOCK] == [FILL; 2]);
    }
}
