//! Elements that the dialect's table does not have: they are kept as they came, and counted by their path.
//!
//! Networks add tags and subfields twice a year. Whoever runs the daemon should learn of one from a counter, and not
//! from a decline.

use std::fmt;

use crate::dialect::Dialect;
use crate::dialect::chip::CRYPTOGRAM_TAG;
use crate::dialect::inbound::Fault;
use crate::iso8583::digits;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::subfields;
use crate::iso8583::subfields::Element;
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

/// The elements that a table knows, by the fields whose elements it lists.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// All fields that have to be looked at.
    pub(super) fields: FieldSet,
    /// Fields that can be read and have no row of their own.
    pub(super) others: FieldSet,
    /// Fields with parts that a bitmap names.
    pub(super) parts: Vec<(u8, KnownParts)>,
    /// Fields with elements behind an id of digits.
    pub(super) ids: Vec<(u8, KnownIds)>,
    /// Fields of datasets, with the ids that have a row.
    pub(super) sets: Vec<(u8, Vec<u16>)>,
    /// Fields of tags.
    pub(super) tags: Vec<(u8, KnownTags)>,
}

/// The parts of a field with a bitmap of so many bytes: their bits, in the bitmap's own order.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownParts {
    width: usize,
    rows: u64,
}

impl KnownParts {
    /// The parts that a content names and the table lacks, the first one in the highest bit.
    #[inline(always)]
    pub(super) fn strange(self, content: &[u8]) -> u64 {
        subfields::part_bitmap(content, self.width).unwrap_or(0) & !self.rows
    }
}

/// The mark of an element that the table has.
const KNOWN: u8 = 1;
/// The mark of an application cryptogram.
const CRYPTOGRAM: u8 = 1 << 1;
/// The mark of an element that no answer repeats.
const WITHHELD: u8 = 1 << 2;
/// The mark of an element that is divided in the same way itself.
const DIVIDED: u8 = 1 << 3;

/// The marks that all elements have, and those that some have.
#[derive(Clone, Copy)]
pub(super) struct Marks {
    all: u8,
    some: u8,
}

impl Marks {
    /// Of no element.
    pub(super) const NONE: Self = Self { all: KNOWN, some: 0 };

    /// Whether an element is there that the table lacks.
    pub(super) const fn strange(self) -> bool {
        self.all & KNOWN == 0
    }

    /// Whether an application cryptogram is there.
    pub(super) const fn cryptogram(self) -> bool {
        self.some & CRYPTOGRAM != 0
    }

    /// Whether an element is there that no answer repeats.
    pub(super) const fn withheld(self) -> bool {
        self.some & WITHHELD != 0
    }

    /// With those of one more.
    #[inline(always)]
    pub(super) const fn with(self, marks: u8) -> Self {
        Self { all: self.all & marks, some: self.some | marks }
    }
}

/// The ids of a field's elements, or of an element's own, with marks. Those of two digits have a place each.
#[derive(Clone, Debug)]
pub(super) struct KnownIds {
    pub(super) tagging: Tagging,
    short: [u8; 100],
    others: Vec<(u16, u8)>,
    /// The elements that are divided themselves.
    inner: Vec<(u16, KnownIds)>,
}

impl KnownIds {
    fn new(tagging: Tagging, table: &Subfields) -> Self {
        let mut ids = Self { tagging, short: [0; 100], others: Vec::new(), inner: Vec::new() };
        for part in &table.parts {
            ids.mark(part.number, KNOWN);
            let divided = part.parts.as_ref().filter(|parts| !parts.parts.is_empty());
            if let Some((parts, tagging)) = divided.and_then(|parts| Some((parts, parts.tagging()?))) {
                ids.mark(part.number, DIVIDED);
                ids.inner.push((part.number, Self::new(tagging, parts)));
            }
        }
        for id in &table.withheld {
            ids.mark(*id, WITHHELD);
        }
        ids
    }

    fn mark(&mut self, id: u16, mark: u8) {
        match self.short.get_mut(usize::from(id)) {
            Some(marks) => *marks |= mark,
            None => self.others.push((id, mark)),
        }
    }

    #[inline(always)]
    pub(super) fn marks(&self, id: u16) -> u8 {
        match self.short.get(usize::from(id)) {
            Some(marks) => *marks,
            None => self.others.iter().filter(|(other, _)| *other == id).fold(0, |all, (_, mark)| all | mark),
        }
    }

    /// What is known of an element's own elements, when it has these marks and is divided.
    #[inline(always)]
    pub(super) fn inside(&self, id: u16, marks: u8) -> Option<&Self> {
        if marks & DIVIDED == 0 {
            return None;
        }
        self.inner.iter().find(|(outer, _)| *outer == id).map(|(_, inner)| inner)
    }

    /// Whether the table lacks one of a content's elements.
    #[inline(never)]
    pub(super) fn is_strange(&self, content: &[u8]) -> bool {
        self.unknown(content).next().is_some()
    }

    /// The elements that the table lacks. What cannot be read further is no element; the field stays as it came.
    fn unknown<'a>(&self, content: &'a [u8]) -> impl Iterator<Item = Element<'a>> {
        let elements = self.tagging.elements(content).map_while(Result::ok);
        elements.filter(|element| self.marks(element.id) & KNOWN == 0)
    }
}

/// The tags of a field, with marks. Each short one has a place, so that looking costs no search.
#[derive(Clone, Debug)]
pub(super) struct KnownTags {
    datasets: bool,
    /// Marks of tags of one byte, then of `9Fxx` and `5Fxx` with a second byte below 80.
    short: [u8; 512],
    others: Vec<u32>,
}

/// The places of `9Fxx` and `5Fxx`.
const NINE_F: usize = 0x100;
const FIVE_F: usize = 0x180;

impl KnownTags {
    fn new(datasets: bool) -> Self {
        let mut tags = Self { datasets, short: [0; 512], others: Vec::new() };
        tags.mark(CRYPTOGRAM_TAG, CRYPTOGRAM);
        tags
    }

    const fn place(tag: u32) -> Option<usize> {
        match tag {
            0..=0xff => Some(tag as usize),
            0x9f00..=0x9f7f => Some(NINE_F | (tag & 0x7f) as usize),
            0x5f00..=0x5f7f => Some(FIVE_F | (tag & 0x7f) as usize),
            _ => None,
        }
    }

    fn mark(&mut self, tag: u32, mark: u8) {
        match Self::place(tag) {
            Some(place) => self.short[place] |= mark,
            None => self.others.push(tag),
        }
    }

    fn marks(&self, tag: u32) -> u8 {
        match Self::place(tag) {
            Some(place) => self.short[place],
            None if self.others.contains(&tag) => KNOWN,
            None => 0,
        }
    }

    /// The contents of tags in the content of a field: one, or one for each dataset. What cannot be read further is no
    /// element; the field stays as it came.
    fn contents<'a>(&self, content: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let (plain, sets) = if self.datasets { (None, content) } else { (Some(content), &[][..]) };
        plain.into_iter().chain(tlv::datasets(sets).map_while(Result::ok).map(|set| set.content))
    }

    /// Walks the tags of a field.
    #[inline(always)]
    pub(super) fn walk(&self, content: &[u8]) -> Marks {
        if !self.datasets {
            return self.walk_tags(content, Marks::NONE);
        }
        let sets = tlv::datasets(content).map_while(Result::ok);
        sets.fold(Marks::NONE, |marks, set| self.walk_tags(set.content, marks))
    }

    #[inline(never)]
    fn walk_tags(&self, content: &[u8], mut marks: Marks) -> Marks {
        let mut rest = content;
        loop {
            // Nearly all tags have one byte, or two after 9F or 5F, and a short length.
            let (place, length, after) = match *rest {
                [0x9f, second, length, ref after @ ..] if (second | length) < 0x80 => {
                    (NINE_F | usize::from(second), length, after)
                }
                [0x5f, second, length, ref after @ ..] if (second | length) < 0x80 => {
                    (FIVE_F | usize::from(second), length, after)
                }
                [tag, length, ref after @ ..] if tag & 0x1f != 0x1f && length < 0x80 && tag != 0 => {
                    (usize::from(tag), length, after)
                }
                _ => {
                    let mut tags = tlv::tags(rest);
                    let Some(Ok(tag)) = tags.next() else { return marks };
                    marks = marks.with(self.marks(tag.tag));
                    rest = tags.rest();
                    continue;
                }
            };
            let Some(after) = after.get(usize::from(length)..) else { return marks };
            marks = marks.with(self.short[place]);
            rest = after;
        }
    }
}

impl Known {
    /// Reads `[known_tags]`, a list of tags in hex for a field, and takes the rest from the tables of subfields.
    pub(super) fn read(root: &Section<'_>, subfields: &[Option<Subfields>], others: FieldSet) -> Self {
        let mut known = Self { fields: others, others, ..Self::default() };
        for (field, table) in subfields.iter().enumerate() {
            let (Ok(field), Some(table)) = (u8::try_from(field), table) else { continue };
            if let Form::Bitmap(width) = table.form {
                let numbers = table.parts.iter().map(|part| part.number).filter(|n| (1..=64).contains(n));
                let rows = numbers.fold(0, |rows, number| rows | 1 << (64 - number));
                known.parts.push((field, KnownParts { width: usize::from(width.min(8)), rows }));
            } else if let Form::Tagged(tagging) = table.form {
                known.ids.push((field, KnownIds::new(tagging, table)));
            } else if table.form == Form::Datasets && !table.parts.is_empty() {
                known.sets.push((field, table.parts.iter().map(|part| part.number).collect()));
            } else {
                continue;
            }
            known.fields.insert(field);
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
            known.fields.insert(field);
            known.tags.push((field, read_tags(&section, &key, form == Some(Form::Datasets))));
        }
        section.finish();
        known
    }
}

fn read_tags(section: &Section<'_>, key: &str, datasets: bool) -> KnownTags {
    let mut tags = KnownTags::new(datasets);
    for word in section.text(key).unwrap_or_default().split_whitespace() {
        match digits::hex_bytes(word.as_bytes()).filter(|bytes| (1..=4).contains(&bytes.len())) {
            Some(bytes) => tags.mark(bytes.iter().fold(0, |tag, byte| tag << 8 | u32::from(*byte)), KNOWN),
            None => section.report_at(key, format!("\"{word}\" is no tag: 1 to 4 bytes in hex")),
        }
    }
    tags
}

impl Dialect {
    /// Tells `found` of every element of a message that the table does not have. Only fields are looked at whose
    /// elements the table lists; nothing is allocated. What [`Dialect::decode`] does not find strange has none.
    pub fn unknown_elements(&self, view: &View<'_>, mut found: impl FnMut(Path)) {
        let mut found = |field, part| found(Path { field, part });
        for field in view.fields().and(self.known.others).iter() {
            found(field, Part::Whole);
        }
        for (field, parts) in &self.known.parts {
            let mut strange = view.content(*field).map_or(0, |content| parts.strange(content));
            while strange != 0 {
                let lead = strange.leading_zeros();
                strange &= !(1 << 63 >> lead);
                found(*field, Part::Subfield(lead as u16 + 1));
            }
        }
        for (field, known) in &self.known.ids {
            let content = view.content(*field).unwrap_or_default();
            for element in known.tagging.elements(content).map_while(Result::ok) {
                let marks = known.marks(element.id);
                if marks & KNOWN == 0 {
                    found(*field, Part::Subfield(element.id));
                }
                for inner in
                    known.inside(element.id, marks).iter().flat_map(|inside| inside.unknown(element.content))
                {
                    found(*field, Part::Inner(element.id, inner.id));
                }
            }
        }
        for (field, rows) in &self.known.sets {
            let sets = tlv::datasets(view.content(*field).unwrap_or_default()).map_while(Result::ok);
            for set in sets.filter(|set| !rows.contains(&u16::from(set.id))) {
                found(*field, Part::Dataset(set.id));
            }
        }
        for (field, known) in &self.known.tags {
            let contents = known.contents(view.content(*field).unwrap_or_default());
            for tag in contents.flat_map(tlv::tags).filter_map(Result::ok) {
                if known.marks(tag.tag) & KNOWN == 0 {
                    found(*field, Part::Tag(tag.tag));
                }
            }
        }
    }
}
