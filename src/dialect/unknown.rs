//! Elements that the dialect's table does not have: they are kept as they came, and counted by their path.
//!
//! Networks add tags and subfields twice a year. Whoever runs the daemon should learn of one from a counter, and not
//! from a decline.

use std::fmt;

use crate::dialect::Dialect;
use crate::dialect::inbound::Fault;
use crate::iso8583::digits;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::subfields::Form;
use crate::iso8583::subfields::Subfields;
use crate::iso8583::subfields::Tagging;
use crate::iso8583::tlv;
use crate::iso8583::view::Rule;
use crate::iso8583::view::View;
use crate::settings::Section;

/// Where an unknown element stands: `DE129`, `DE62.30`, `DE48.33.99`, `DE104.77` or `DE55.9F51`. It never holds a
/// value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    field: u8,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Whole,
    Subfield(u16),
    /// An element inside an element.
    Inner(u16, u16),
    Dataset(u8),
    Tag(u32),
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Whole => write!(f, "DE{}", self.field),
            Part::Subfield(number) => write!(f, "DE{}.{number}", self.field),
            Part::Inner(outer, number) => write!(f, "DE{}.{outer}.{number}", self.field),
            Part::Dataset(id) => write!(f, "DE{}.{id:02X}", self.field),
            Part::Tag(tag) => write!(f, "DE{}.{tag:02X}", self.field),
        }
    }
}

impl Path {
    /// The field that a message was refused for, because the dialect does not have it.
    #[must_use]
    pub fn of_fault(fault: &Fault) -> Option<Self> {
        match fault {
            Fault::Wire(error) if error.rule == Rule::UnknownField => {
                Some(Self { field: error.field?, part: Part::Whole })
            }
            _ => None,
        }
    }
}

/// What is known of the fields whose elements are looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Fields that can be read and have no row of their own.
    others: FieldSet,
    bitmaps: Vec<KnownParts>,
    tagged: Vec<KnownIds>,
    datasets: Vec<KnownSets>,
    tags: Vec<KnownTags>,
}

/// A field of elements behind an id of digits: the ids that have a row.
#[derive(Clone, Debug)]
struct KnownIds {
    field: u8,
    tagging: Tagging,
    rows: Vec<u16>,
    /// The rows of elements that are divided in the same way themselves.
    inner: Vec<(u16, Tagging, Vec<u16>)>,
}

/// A field of datasets: the ids that have a row.
#[derive(Clone, Debug)]
struct KnownSets {
    field: u8,
    rows: Vec<u16>,
}

/// A field with a bitmap: the bits of its rows, in the bitmap's own order.
#[derive(Clone, Debug)]
struct KnownParts {
    field: u8,
    width: usize,
    rows: u64,
}

/// A field of tags. A bit for each short one, so that looking costs no search.
#[derive(Clone, Debug)]
struct KnownTags {
    field: u8,
    datasets: bool,
    one_byte: [u64; 4],
    /// `5Fxx` and `9Fxx`, with a second byte below 80.
    two_bytes: [u128; 2],
    others: Vec<u32>,
}

impl KnownTags {
    fn bit(tag: u32) -> u128 {
        1 << (tag & 0x7f)
    }

    fn insert(&mut self, tag: u32) {
        match tag {
            0..=0xff => self.one_byte[(tag >> 6) as usize] |= 1 << (tag & 63),
            0x5f00..=0x5f7f => self.two_bytes[0] |= Self::bit(tag),
            0x9f00..=0x9f7f => self.two_bytes[1] |= Self::bit(tag),
            _ => self.others.push(tag),
        }
    }

    #[inline(always)]
    fn has(&self, tag: u32) -> bool {
        match tag {
            0..=0xff => self.one_byte[(tag >> 6) as usize] >> (tag & 63) & 1 == 1,
            0x5f00..=0x5f7f => self.two_bytes[0] & Self::bit(tag) != 0,
            0x9f00..=0x9f7f => self.two_bytes[1] & Self::bit(tag) != 0,
            _ => self.others.contains(&tag),
        }
    }

    #[inline]
    fn look(&self, content: &[u8], found: &mut impl FnMut(Path)) {
        // What cannot be read further is no element; the field stays as it came.
        for tag in tlv::tags(content).map_while(Result::ok) {
            if !self.has(tag.tag) {
                found(Path { field: self.field, part: Part::Tag(tag.tag) });
            }
        }
    }
}

impl Known {
    /// Reads `[known_tags]`, a list of tags in hex for a field, and takes the rest from the tables of subfields.
    pub(super) fn read(root: &Section<'_>, subfields: &[Option<Subfields>], others: FieldSet) -> Self {
        let mut known = Self { others, ..Self::default() };
        for (field, table) in subfields.iter().enumerate() {
            let (Ok(field), Some(table)) = (u8::try_from(field), table) else { continue };
            if let Form::Bitmap(width) = table.form {
                let numbers = table.parts.iter().map(|part| part.number).filter(|n| (1..=64).contains(n));
                let rows = numbers.fold(0, |rows, number| rows | 1 << (64 - number));
                known.bitmaps.push(KnownParts { field, width: usize::from(width.min(8)), rows });
            } else if let Form::Tagged(tagging) = table.form {
                let numbers =
                    |table: &Subfields| table.parts.iter().map(|part| part.number).collect::<Vec<u16>>();
                let divided = table.parts.iter().filter_map(|part| {
                    let parts = part.parts.as_ref().filter(|parts| !parts.parts.is_empty())?;
                    Some((part.number, parts.tagging()?, numbers(parts)))
                });
                known.tagged.push(KnownIds {
                    field,
                    tagging,
                    rows: numbers(table),
                    inner: divided.collect(),
                });
            } else if table.form == Form::Datasets && !table.parts.is_empty() {
                let rows = table.parts.iter().map(|part| part.number).collect();
                known.datasets.push(KnownSets { field, rows });
            }
        }
        let Some(section) = root.section("known_tags") else { return known };
        for key in section.keys() {
            let field = key.parse::<u8>().ok();
            let form = field.and_then(|field| subfields.get(usize::from(field))?.as_ref()).map(|s| s.form);
            let (Some(field), Some(Form::Tags | Form::Datasets)) = (field, form) else {
                section.report_at(&key, format!("`known_tags.{key}` does not name a field of tags"));
                let _reported = section.text(&key);
                continue;
            };
            let datasets = form == Some(Form::Datasets);
            let (one_byte, two_bytes) = ([0; 4], [0; 2]);
            let mut tags = KnownTags { field, datasets, one_byte, two_bytes, others: Vec::new() };
            for word in section.text(&key).unwrap_or_default().split_whitespace() {
                match digits::hex_bytes(word.as_bytes()).filter(|bytes| (1..=4).contains(&bytes.len())) {
                    Some(bytes) => tags.insert(bytes.iter().fold(0, |tag, byte| tag << 8 | u32::from(*byte))),
                    None => section.report_at(&key, format!("\"{word}\" is no tag: 1 to 4 bytes in hex")),
                }
            }
            known.tags.push(tags);
        }
        section.finish();
        known
    }
}

impl Dialect {
    /// Tells `found` of every element of a message that the table does not have. Only fields are looked at whose
    /// elements the table lists; nothing is allocated.
    #[inline]
    pub fn unknown_elements(&self, view: &View<'_>, mut found: impl FnMut(Path)) {
        for field in view.fields().and(self.known.others).iter() {
            found(Path { field, part: Part::Whole });
        }
        for known in &self.known.bitmaps {
            let Some(bitmap) = view.content(known.field).and_then(|content| content.get(..known.width))
            else {
                continue;
            };
            // The first part in the highest bit.
            let named = bitmap.iter().rev().fold(0, |named, byte| named >> 8 | u64::from(*byte) << 56);
            let mut strange = named & !known.rows;
            while strange != 0 {
                let lead = strange.leading_zeros();
                strange &= !(1 << 63 >> lead);
                found(Path { field: known.field, part: Part::Subfield(lead as u16 + 1) });
            }
        }
        for known in &self.known.tagged {
            let Some(content) = view.content(known.field) else { continue };
            for element in known.tagging.elements(content).map_while(Result::ok) {
                if !known.rows.contains(&element.id) {
                    found(Path { field: known.field, part: Part::Subfield(element.id) });
                }
                let Some((_, tagging, rows)) = known.inner.iter().find(|(id, ..)| *id == element.id) else {
                    continue;
                };
                for inner in tagging.elements(element.content).map_while(Result::ok) {
                    if !rows.contains(&inner.id) {
                        found(Path { field: known.field, part: Part::Inner(element.id, inner.id) });
                    }
                }
            }
        }
        for known in &self.known.datasets {
            let Some(content) = view.content(known.field) else { continue };
            for set in tlv::datasets(content).map_while(Result::ok) {
                if !known.rows.contains(&u16::from(set.id)) {
                    found(Path { field: known.field, part: Part::Dataset(set.id) });
                }
            }
        }
        for known in &self.known.tags {
            let Some(content) = view.content(known.field) else { continue };
            if known.datasets {
                for set in tlv::datasets(content).map_while(Result::ok) {
                    known.look(set.content, &mut found);
                }
            } else {
                known.look(content, &mut found);
            }
        }
    }
}
