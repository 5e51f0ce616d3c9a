//! The elements inside a message's fields, walked once: whether the table has all of them, and what they tell.

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::chip;
use crate::dialect::mastercard;
use crate::dialect::mastercard::PrivateData;
use crate::dialect::unknown::Marks;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::tlv;
use crate::iso8583::view::View;

/// Chip data (DE 55).
const CHIP_DATA: u8 = 55;

/// What the elements of a message tell.
#[derive(Clone, Copy)]
pub(super) struct Elements<'a> {
    /// The table lacks some of them.
    pub(super) strange: bool,
    /// None is withheld from answers, and all can be read.
    pub(super) open: bool,
    /// Chip data has an application cryptogram.
    pub(super) cryptogram: bool,
    /// What Mastercard's DE 48 says.
    pub(super) private: PrivateData<'a>,
}

impl Elements<'_> {
    const NONE: Self = Self { strange: false, open: true, cryptogram: false, private: PrivateData::NONE };
}

impl Dialect {
    /// Walks the elements of every field whose elements the table lists, and chip data whether it does or not.
    #[inline(always)]
    pub(super) fn elements<'a>(&self, view: &View<'a>) -> Elements<'a> {
        let looked_at = view.fields().and(self.known.fields);
        if looked_at == FieldSet::EMPTY && !view.has(CHIP_DATA) {
            return Elements::NONE;
        }
        self.walk_elements(view)
    }

    #[inline(never)]
    fn walk_elements<'a>(&self, view: &View<'a>) -> Elements<'a> {
        let (mut seen, mut private) = (Elements::NONE, PrivateData::NONE);
        seen.strange = view.fields().and(self.known.others) != FieldSet::EMPTY;
        for (field, parts) in &self.known.parts {
            seen.strange |= view.content(*field).is_some_and(|content| parts.strange(content) != 0);
        }
        for (field, known) in &self.known.ids {
            let Some(content) = view.content(*field) else { continue };
            let mastercard = self.mapping == Mapping::Mastercard && *field == mastercard::PRIVATE_DATA;
            let mut marks = Marks::NONE;
            // An empty one is no longer there once what is withheld is left out.
            let mut readable = !content.is_empty();
            for element in known.tagging.elements(content) {
                let Ok(element) = element else {
                    readable = false;
                    break;
                };
                let of_element = known.marks(element.id);
                marks = marks.with(of_element);
                if let Some(inside) = known.inside(element.id, of_element) {
                    seen.strange |= inside.is_strange(element.content);
                }
                if mastercard {
                    private.take(&element);
                }
            }
            seen.strange |= marks.strange();
            seen.open &= readable && !marks.withheld();
        }
        seen.private = private;
        for (field, rows) in &self.known.sets {
            let Some(content) = view.content(*field) else { continue };
            let mut sets = tlv::datasets(content).map_while(Result::ok);
            seen.strange |= sets.any(|set| !rows.contains(&u16::from(set.id)));
        }
        for (field, tags) in &self.known.tags {
            let Some(content) = view.content(*field) else { continue };
            let marks = tags.walk(content);
            seen.strange |= marks.strange();
            seen.cryptogram |= *field == CHIP_DATA && marks.cryptogram();
        }
        // What the walk does not find may be there in another form (R28).
        seen.cryptogram = seen.cryptogram || self.may_have_cryptogram(view);
        seen
    }

    #[inline(always)]
    fn may_have_cryptogram(&self, view: &View<'_>) -> bool {
        let Some((spec, content)) = self.layout.field(CHIP_DATA).zip(view.content(CHIP_DATA)) else {
            return false;
        };
        chip::has_cryptogram(spec, self.subfields(CHIP_DATA).map(|subfields| subfields.form), content)
    }
}
