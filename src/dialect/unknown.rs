//! Elements that the dialect's table does not have: they are kept as they came, and counted by their path.
//!
//! Networks add tags and subfields twice a year. Whoever runs the daemon should learn of one from a counter, and not
//! from a decline.

use std::fmt;

use crate::dialect::Dialect;
use crate::dialect::inbound::Fault;
use crate::iso8583::digits;
use crate::iso8583::subfields;
use crate::iso8583::subfields::Form;
use crate::iso8583::subfields::Subfields;
use crate::iso8583::subfields::Tagging;
use crate::iso8583::tlv;
use crate::iso8583::view::Rule;
use crate::iso8583::view::View;
use crate::settings::Section;

/// Where an unknown element stands: `DE129`, `DE62.30` or `DE55.9F51`. It never holds a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Path {
    field: u8,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Whole,
    Subfield(u16),
    Tag(u32),
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Whole => write!(f, "DE{}", self.field),
            Part::Subfield(number) => write!(f, "DE{}.{number}", self.field),
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
    /// Fields with parts that a bitmap names.
    pub(super) parts: Vec<(u8, KnownParts)>,
    /// Fields with elements behind an id of digits.
    pub(super) ids: Vec<KnownIds>,
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
/// The mark of an application cryptogram, and its tag.
const CRYPTOGRAM: u8 = 1 << 1;
pub(super) const CRYPTOGRAM_TAG: u32 = 0x9f26;
/// The mark of an element that no answer repeats.
const WITHHELD: u8 = 1 << 2;

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

/// The ids of a field's elements, with marks. Those of two digits have a place each.
#[derive(Clone, Debug)]
pub(super) struct KnownIds {
    pub(super) field: u8,
    pub(super) tagging: Tagging,
    short: [u8; 100],
    others: Vec<(u16, u8)>,
}

impl KnownIds {
    fn new(field: u8, tagging: Tagging, table: &Subfields) -> Self {
        let mut ids = Self { field, tagging, short: [0; 100], others: Vec::new() };
        let known = table.parts.iter().map(|part| (part.number, KNOWN));
        for (id, mark) in known.chain(table.withheld.iter().map(|id| (*id, WITHHELD))) {
            match ids.short.get_mut(usize::from(id)) {
                Some(marks) => *marks |= mark,
                None => ids.others.push((id, mark)),
            }
        }
        ids
    }

    #[inline(always)]
    pub(super) fn marks(&self, id: u16) -> u8 {
        match self.short.get(usize::from(id)) {
            Some(marks) => *marks,
            None => self.others.iter().filter(|(other, _)| *other == id).fold(0, |all, (_, mark)| all | mark),
        }
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
    pub(super) fn read(root: &Section<'_>, subfields: &[Option<Subfields>]) -> Self {
        let mut known = Self::default();
        for (field, table) in subfields.iter().enumerate() {
            let (Ok(field), Some(table)) = (u8::try_from(field), table) else { continue };
            if let Form::Bitmap(width) = table.form {
                let numbers = table.parts.iter().map(|part| part.number).filter(|n| (1..=64).contains(n));
                let rows = numbers.fold(0, |rows, number| rows | 1 << (64 - number));
                known.parts.push((field, KnownParts { width: usize::from(width.min(8)), rows }));
            } else if let Form::Tagged(tagging) = table.form {
                known.ids.push(KnownIds::new(field, tagging, table));
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
        for (field, parts) in &self.known.parts {
            let mut strange = view.content(*field).map_or(0, |content| parts.strange(content));
            while strange != 0 {
                let lead = strange.leading_zeros();
                strange &= !(1 << 63 >> lead);
                found(*field, Part::Subfield(lead as u16 + 1));
            }
        }
        for known in &self.known.ids {
            let elements = known.tagging.elements(view.content(known.field).unwrap_or_default());
            for element in
                elements.map_while(Result::ok).filter(|element| known.marks(element.id) & KNOWN == 0)
            {
                found(known.field, Part::Subfield(element.id));
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
