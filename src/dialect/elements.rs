//! The elements inside a message's fields, walked once: whether the table has all of them, and what they tell.

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::chip;
use crate::dialect::mastercard;
use crate::dialect::mastercard::PrivateData;
use crate::dialect::unknown::KnownElements;
use crate::dialect::unknown::KnownIds;
use crate::dialect::unknown::Marks;
use crate::iso8583::spec::FieldSet;
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

impl<'a> Elements<'a> {
    const NONE: Self = Self { strange: false, open: true, cryptogram: false, private: PrivateData::NONE };

    /// Takes over what the elements behind ids in one field tell; Mastercard's `private` ones by their meaning too.
    #[inline(never)]
    fn walk_ids(&mut self, ids: &KnownIds, content: &'a [u8], private: bool) {
        let (mut marks, mut elements) = (Marks::NONE, ids.tagging.elements(content));
        while let Some(element) = elements.read() {
            let of_element = ids.marks(element.id);
            marks = marks.with(of_element);
            if let Some(inside) = ids.inside(element.id, of_element) {
                self.strange |= inside.is_strange(element.content);
            }
            if private {
                self.private.take(&element);
            }
        }
        // An empty one is no longer there once what is withheld is left out.
        let readable = elements.is_at_end() && !content.is_empty();
        self.strange |= marks.strange();
        self.open &= readable && !marks.withheld();
    }
}

impl Dialect {
    /// Walks the elements of every field whose elements the table lists, and chip data whether it does or not.
    #[inline(always)]
    pub(super) fn elements<'a>(&self, view: &View<'a>) -> Elements<'a> {
        let mut seen = Elements::NONE;
        let looked_at = view.fields().and(self.known.fields);
        if !looked_at.is_empty() || view.has(CHIP_DATA) {
            self.walk_elements(view, looked_at, &mut seen);
        }
        seen
    }

    #[inline(never)]
    fn walk_elements<'a>(&self, view: &View<'a>, fields: FieldSet, seen: &mut Elements<'a>) {
        seen.strange = !fields.and(self.known.others).is_empty();
        for field in fields.iter() {
            let Some((content, known)) = view.content(field).zip(self.known.of(field)) else { continue };
            let marks = match known {
                KnownElements::Parts(parts) => {
                    seen.strange |= parts.strange(content) != 0;
                    continue;
                }
                KnownElements::Ids(ids) => {
                    let private = self.mapping == Mapping::Mastercard && field == mastercard::PRIVATE_DATA;
                    seen.walk_ids(ids, content, private);
                    continue;
                }
                KnownElements::Sets(sets) => sets.walk(content),
                KnownElements::Tags(tags) => tags.walk(content, Marks::NONE),
            };
            seen.strange |= marks.strange();
            seen.cryptogram |= field == CHIP_DATA && marks.cryptogram();
        }
        // What the walk does not find may be there in another form (R28).
        seen.cryptogram = seen.cryptogram || view.has(CHIP_DATA) && self.may_have_cryptogram(view);
    }

    #[inline(never)]
    fn may_have_cryptogram(&self, view: &View<'_>) -> bool {
        let Some((spec, content)) = self.layout.field(CHIP_DATA).zip(view.content(CHIP_DATA)) else {
            return false;
        };
        chip::has_cryptogram(spec, self.subfields(CHIP_DATA).map(|subfields| subfields.form), content)
    }
}
