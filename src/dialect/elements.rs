//! The elements inside a message's fields, walked once: whether the table has all of them, and what they tell.

use crate::dialect::Dialect;
use crate::dialect::Mapping;
use crate::dialect::mastercard;
use crate::dialect::mastercard::PrivateData;
use crate::dialect::unknown::CRYPTOGRAM_TAG;
use crate::dialect::unknown::Marks;
use crate::iso8583::subfields::Form;
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
    #[inline(never)]
    pub(super) fn elements<'a>(&self, view: &View<'a>) -> Elements<'a> {
        let (mut seen, mut private) = (Elements::NONE, PrivateData::NONE);
        for (field, parts) in &self.known.parts {
            seen.strange |= view.content(*field).is_some_and(|content| parts.strange(content) != 0);
        }
        for known in &self.known.ids {
            let Some(content) = view.content(known.field) else { continue };
            let mastercard = self.mapping == Mapping::Mastercard && known.field == mastercard::PRIVATE_DATA;
            let mut marks = Marks::NONE;
            // An empty one is no longer there once what is withheld is left out.
            let mut readable = !content.is_empty();
            for element in known.tagging.elements(content) {
                let Ok(element) = element else {
                    readable = false;
                    break;
                };
                marks = marks.with(known.marks(element.id));
                if mastercard {
                    private.take(&element);
                }
            }
            seen.strange |= marks.strange();
            seen.open &= readable && !marks.withheld();
        }
        seen.private = private;
        let mut chip = view.content(CHIP_DATA);
        for (field, tags) in &self.known.tags {
            let Some(content) = view.content(*field) else { continue };
            let marks = tags.walk(content);
            seen.strange |= marks.strange();
            if *field == CHIP_DATA {
                (seen.cryptogram, chip) = (marks.cryptogram(), None);
            }
        }
        if let Some(content) = chip {
            seen.cryptogram = self.has_cryptogram(content);
        }
        seen
    }

    /// The same of chip data whose tags the table does not list.
    #[cold]
    fn has_cryptogram(&self, content: &[u8]) -> bool {
        let found = |content| tlv::find(content, CRYPTOGRAM_TAG).is_some();
        match self.subfields(CHIP_DATA).map(|subfields| subfields.form) {
            Some(Form::Datasets) => tlv::datasets(content).flatten().any(|set| found(set.content)),
            _ => found(content),
        }
    }
}
