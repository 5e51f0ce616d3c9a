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
use crate::iso8583::tlv::Dataset;
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
    /// By field, what is known of its elements.
    elements: Vec<Option<KnownElements>>,
}

/// What a table knows of the elements of one field.
#[derive(Clone, Debug)]
pub(super) enum KnownElements {
    /// Parts that a bitmap names.
    Parts(KnownParts),
    /// Elements behind an id of digits.
    Ids(KnownIds),
    /// Datasets of tags.
    Sets(KnownSets),
    /// Tags.
    Tags(KnownTags),
}

/// The datasets of a field: the ids that have a row, none when any may come; and the tags in them, when they are
/// listed.
#[derive(Clone, Debug, Default)]
pub(super) struct KnownSets {
    rows: Vec<u16>,
    tags: Option<KnownTags>,
}

impl KnownSets {
    /// Whether the table lacks a dataset.
    #[inline(always)]
    fn lacks(&self, set: &Dataset<'_>) -> bool {
        !self.rows.is_empty() && !self.rows.contains(&u16::from(set.id))
    }

    /// The marks of the tags in all datasets, and of datasets that the table lacks. What cannot be read further is no
    /// element; the field stays as it came.
    #[inline(never)]
    pub(super) fn walk(&self, content: &[u8]) -> Marks {
        let mut marks = Marks::NONE;
        for set in tlv::datasets(content).map_while(Result::ok) {
            if self.lacks(&set) {
                marks = marks.with(LACKING);
            }
            if let Some(tags) = &self.tags {
                marks = tags.walk(set.content, marks);
            }
        }
        marks
    }
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

/// The mark of an element that the table lacks.
const LACKING: u8 = 1;
/// The mark of an application cryptogram.
const CRYPTOGRAM: u8 = 1 << 1;
/// The mark of an element that no answer repeats.
const WITHHELD: u8 = 1 << 2;
/// The mark of an element that is divided in the same way itself.
const DIVIDED: u8 = 1 << 3;

/// The marks that some elements have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Marks(u8);

impl Marks {
    /// Of no element.
    pub(super) const NONE: Self = Self(0);

    /// Whether an element is there that the table lacks.
    pub(super) const fn strange(self) -> bool {
        self.0 & LACKING != 0
    }

    /// Whether an application cryptogram is there.
    pub(super) const fn cryptogram(self) -> bool {
        self.0 & CRYPTOGRAM != 0
    }

    /// Whether an element is there that no answer repeats.
    pub(super) const fn withheld(self) -> bool {
        self.0 & WITHHELD != 0
    }

    /// With those of one more.
    #[inline(always)]
    pub(super) const fn with(self, marks: u8) -> Self {
        Self(self.0 | marks)
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
        let mut ids = Self { tagging, short: [LACKING; 100], others: Vec::new(), inner: Vec::new() };
        for part in &table.parts {
            *ids.slot(part.number) &= !LACKING;
            let divided = part.parts.as_ref().filter(|parts| !parts.parts.is_empty());
            if let Some((parts, tagging)) = divided.and_then(|parts| Some((parts, parts.tagging()?))) {
                *ids.slot(part.number) |= DIVIDED;
                ids.inner.push((part.number, Self::new(tagging, parts)));
            }
        }
        for id in &table.withheld {
            *ids.slot(*id) |= WITHHELD;
        }
        ids
    }

    /// The place for the marks of an id.
    fn slot(&mut self, id: u16) -> &mut u8 {
        if let Some(marks) = self.short.get_mut(usize::from(id)) {
            return marks;
        }
        let known = self.others.iter().position(|(other, _)| *other == id);
        let at = known.unwrap_or(self.others.len());
        if known.is_none() {
            self.others.push((id, LACKING));
        }
        &mut self.others[at].1
    }

    #[inline(always)]
    pub(super) fn marks(&self, id: u16) -> u8 {
        match self.short.get(usize::from(id)) {
            Some(marks) => *marks,
            None => self.others.iter().find(|(other, _)| *other == id).map_or(LACKING, |(_, marks)| *marks),
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

    /// Tells `found` of the elements that the table lacks, and of those in elements that are divided themselves.
    fn find_unknown(&self, content: &[u8], mut found: impl FnMut(Part)) {
        for element in self.tagging.elements(content).map_while(Result::ok) {
            let marks = self.marks(element.id);
            if marks & LACKING != 0 {
                found(Part::Subfield(element.id));
            }
            let inside = self.inside(element.id, marks);
            for inner in inside.iter().flat_map(|inside| inside.unknown(element.content)) {
                found(Part::Inner(element.id, inner.id));
            }
        }
    }

    /// The elements that the table lacks. What cannot be read further is no element; the field stays as it came.
    fn unknown<'a>(&self, content: &'a [u8]) -> impl Iterator<Item = Element<'a>> {
        let elements = self.tagging.elements(content).map_while(Result::ok);
        elements.filter(|element| self.marks(element.id) & LACKING != 0)
    }
}

/// The tags of a field, with marks. Each short one has a place, so that looking costs no search.
#[derive(Clone, Debug)]
pub(super) struct KnownTags {
    /// Marks of tags of one byte, then of `9Fxx` and `5Fxx` with a second byte below 80.
    short: Box<[u8; 512]>,
    /// The others that the table has.
    others: Vec<u32>,
}

/// The places of `9Fxx` and `5Fxx`.
const NINE_F: usize = 0x100;
const FIVE_F: usize = 0x180;

impl KnownTags {
    fn new() -> Self {
        let mut tags = Self { short: Box::new([LACKING; 512]), others: Vec::new() };
        if let Some(place) = Self::place(CRYPTOGRAM_TAG) {
            tags.short[place] |= CRYPTOGRAM;
        }
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

    fn add(&mut self, tag: u32) {
        match Self::place(tag) {
            Some(place) => self.short[place] &= !LACKING,
            None => self.others.push(tag),
        }
    }

    fn marks(&self, tag: u32) -> u8 {
        match Self::place(tag) {
            Some(place) => self.short[place],
            None if self.others.contains(&tag) => 0,
            None => LACKING,
        }
    }

    /// Tells `found` of the tags that the table lacks.
    fn find_unknown(&self, content: &[u8], mut found: impl FnMut(Part)) {
        for tag in tlv::tags(content).filter_map(Result::ok) {
            if self.marks(tag.tag) & LACKING != 0 {
                found(Part::Tag(tag.tag));
            }
        }
    }

    /// These marks with those of a content's tags. What cannot be read further is no element; the field stays as it
    /// came.
    #[inline(never)]
    pub(super) fn walk(&self, content: &[u8], mut marks: Marks) -> Marks {
        let mut rest = content;
        loop {
            // A tag of one byte, or of two with 9F or 5F, and a short length: as nearly all tags have.
            let (place, length, after) = match *rest {
                [0x9f, second @ ..0x80, length @ ..0x80, ref after @ ..] => {
                    (NINE_F + usize::from(second), length, after)
                }
                [0x5f, second @ ..0x80, length @ ..0x80, ref after @ ..] => {
                    (FIVE_F + usize::from(second), length, after)
                }
                [first @ 1..=0xff, length @ ..0x80, ref after @ ..] if first & 0x1f != 0x1f => {
                    (usize::from(first), length, after)
                }
                _ => match self.first(rest) {
                    Some((of_tag, after)) => {
                        marks = marks.with(of_tag);
                        rest = after;
                        continue;
                    }
                    None => return marks,
                },
            };
            let Some(after) = after.get(usize::from(length)..) else { return marks };
            marks = marks.with(self.short[place]);
            rest = after;
        }
    }

    /// The marks of the first tag, and what stands behind it.
    #[inline(never)]
    fn first<'a>(&self, content: &'a [u8]) -> Option<(u8, &'a [u8])> {
        let mut tags = tlv::tags(content);
        let tag = tags.next()?.ok()?;
        Some((self.marks(tag.tag), tags.rest()))
    }
}

impl Known {
    /// Reads `[known_tags]`, a list of tags in hex for a field, and takes the rest from the tables of subfields.
    pub(super) fn read(root: &Section<'_>, subfields: &[Option<Subfields>], others: FieldSet) -> Self {
        let mut known = Self { fields: others, others, elements: vec![None; subfields.len()] };
        for (field, table) in subfields.iter().enumerate() {
            let (Ok(field), Some(table)) = (u8::try_from(field), table) else { continue };
            if let Form::Bitmap(width) = table.form {
                let numbers = table.parts.iter().map(|part| part.number).filter(|n| (1..=64).contains(n));
                let rows = numbers.fold(0, |rows, number| rows | 1 << (64 - number));
                known.add(field, KnownElements::Parts(KnownParts { width: usize::from(width.min(8)), rows }));
            } else if let Form::Tagged(tagging) = table.form {
                known.add(field, KnownElements::Ids(KnownIds::new(tagging, table)));
            } else if table.form == Form::Datasets && !table.parts.is_empty() {
                let rows = table.parts.iter().map(|part| part.number).collect();
                known.add(field, KnownElements::Sets(KnownSets { rows, tags: None }));
            }
        }
        let Some(section) = root.section("known_tags") else { return known };
        for key in section.keys() {
            let field = key.parse::<u8>().ok();
            let form = field.and_then(|field| subfields.get(usize::from(field))?.as_ref()).map(|s| s.form);
            let (Some(field), Some(form @ (Form::Tags | Form::Datasets))) = (field, form) else {
                section.report_at(&key, format!("`known_tags.{key}` does not name a field of tags"));
                let _reported = section.text(&key);
                continue;
            };
            let tags = read_tags(&section, &key);
            let rows = match known.of(field) {
                Some(KnownElements::Sets(sets)) => sets.rows.clone(),
                _ => Vec::new(),
            };
            let elements = match form {
                Form::Datasets => KnownElements::Sets(KnownSets { rows, tags: Some(tags) }),
                _ => KnownElements::Tags(tags),
            };
            known.add(field, elements);
        }
        section.finish();
        known
    }

    fn add(&mut self, field: u8, elements: KnownElements) {
        if let Some(slot) = self.elements.get_mut(usize::from(field)) {
            *slot = Some(elements);
            self.fields.insert(field);
        }
    }

    /// What is known of a field's elements.
    #[inline(always)]
    pub(super) fn of(&self, field: u8) -> Option<&KnownElements> {
        self.elements.get(usize::from(field))?.as_ref()
    }
}

fn read_tags(section: &Section<'_>, key: &str) -> KnownTags {
    let mut tags = KnownTags::new();
    for word in section.text(key).unwrap_or_default().split_whitespace() {
        match digits::hex_bytes(word.as_bytes()).filter(|bytes| (1..=4).contains(&bytes.len())) {
            Some(bytes) => tags.add(bytes.iter().fold(0, |tag, byte| tag << 8 | u32::from(*byte))),
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
        for field in view.fields().and(self.known.fields).iter() {
            let Some((content, known)) = view.content(field).zip(self.known.of(field)) else { continue };
            let mut found = |part| found(field, part);
            match known {
                KnownElements::Parts(parts) => {
                    let mut strange = parts.strange(content);
                    while strange != 0 {
                        let lead = strange.leading_zeros();
                        strange &= !(1 << 63 >> lead);
                        found(Part::Subfield(lead as u16 + 1));
                    }
                }
                KnownElements::Ids(ids) => ids.find_unknown(content, found),
                KnownElements::Sets(sets) => {
                    let readable = || tlv::datasets(content).map_while(Result::ok);
                    for set in readable().filter(|set| sets.lacks(set)) {
                        found(Part::Dataset(set.id));
                    }
                    for (set, tags) in
                        readable().flat_map(|set| sets.tags.iter().map(move |tags| (set, tags)))
                    {
                        tags.find_unknown(set.content, &mut found);
                    }
                }
                KnownElements::Tags(tags) => tags.find_unknown(content, &mut found),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// A walk finds the marks of the tags that are read one by one.
        #[test]
        fn tags_have_the_marks_that_each_has(
            tags in proptest::collection::vec((0..9_usize, 0..4_usize), 0..12),
            cut: proptest::sample::Index,
            other in proptest::option::of((proptest::prelude::any::<proptest::sample::Index>(), 0..=255_u8)),
        ) {
            let mut known = KnownTags::new();
            [0x82, 0x9f10, 0x9f26, 0x5f2a, 0xdf_8101].into_iter().for_each(|tag| known.add(tag));
            let names = ["82", "9F10", "9F26", "5F2A", "DF8101", "84", "9F11", "5F9001", "00"];
            let mut content = Vec::new();
            for (tag, length) in tags {
                content.extend(digits::hex_bytes(names[tag].as_bytes()).expect("hex"));
                content.push(length as u8);
                content.resize(content.len() + length, 0x9f);
            }
            content.truncate(cut.index(content.len() + 1));
            if let Some((at, byte)) = other.filter(|_| !content.is_empty()) {
                let at = at.index(content.len());
                content[at] = byte;
            }
            let read = tlv::tags(&content).map_while(Result::ok);
            let marks = read.fold(Marks::NONE, |marks, tag| marks.with(known.marks(tag.tag)));
            assert_eq!(known.walk(&content, Marks::NONE), marks, "{content:02x?}");
        }
    }
}
