//! What the fields that answers and mappings need must be able to hold, so that no table passes `check` with which
//! money is held and no answer can be written.

use crate::dialect::Mapping;
use crate::iso8583::spec::Content;
use crate::iso8583::spec::Count;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::spec::FieldSpec;
use crate::iso8583::spec::Length;
use crate::settings::Section;

/// What a field's meaning is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Made {
    /// `n`.
    Digits,
    /// `a`, `an`, `ans`.
    Characters,
    /// Either.
    Any,
}

/// What one field must be able to hold.
struct Need {
    field: u8,
    /// Whether a table must have it; others are held to it when they are there.
    always: bool,
    made: Made,
    /// Fewest and most digits or characters; of a fixed field both the same.
    least: u16,
    most: u16,
    /// What people may write, and what for.
    words: &'static str,
}

const fn exactly(field: u8, always: bool, made: Made, width: u16, words: &'static str) -> Need {
    Need { field, always, made, least: width, most: width, words }
}

const fn at_least(field: u8, always: bool, made: Made, width: u16, words: &'static str) -> Need {
    Need { field, always, made, least: width, most: u16::MAX, words }
}

const NEEDS: [Need; 18] = [
    at_least(2, true, Made::Digits, 16, "n..16 or longer, for a card number"),
    exactly(3, true, Made::Digits, 6, "n6"),
    Need { field: 4, always: true, made: Made::Digits, least: 12, most: 18, words: "n12, for an amount" },
    Need { field: 5, always: false, made: Made::Digits, least: 12, most: 18, words: "n12, for an amount" },
    Need { field: 6, always: false, made: Made::Digits, least: 12, most: 18, words: "n12, for an amount" },
    exactly(7, true, Made::Digits, 10, "n10, for a date and time"),
    exactly(11, true, Made::Digits, 6, "n6"),
    exactly(14, false, Made::Digits, 4, "n4, for a month"),
    exactly(37, true, Made::Any, 12, "an12"),
    exactly(38, true, Made::Characters, 6, "an6, for the approval code (R8)"),
    exactly(39, true, Made::Characters, 2, "an2, for a response code"),
    at_least(44, true, Made::Characters, 3, "ans..3 or longer, for the number of a field (R24)"),
    exactly(49, true, Made::Any, 3, "n3 or an3, for a currency"),
    exactly(50, false, Made::Any, 3, "n3 or an3, for a currency"),
    exactly(51, false, Made::Any, 3, "n3 or an3, for a currency"),
    at_least(54, true, Made::Characters, 40, "ans..40 or longer, for two amounts"),
    exactly(70, true, Made::Digits, 3, "n3"),
    exactly(90, false, Made::Any, 42, "n42"),
];

/// Visa's DE 44 says in its fifteenth character what became of a CAVV (R28).
const VISA_RESPONSE_DATA: Need =
    at_least(44, true, Made::Characters, 15, "ans..15 or longer, for the results of verification (R28)");

/// The most digits or characters that a field may have.
pub(super) const fn longest(spec: &FieldSpec) -> usize {
    let units = spec.max() as usize;
    match (spec.encoding, spec.count) {
        (Encoding::Binary, _) | (Encoding::Bcd, Count::Bytes) => units * 2,
        _ => units,
    }
}

impl Need {
    fn is_met(&self, spec: &FieldSpec) -> bool {
        let made = match spec.content {
            Content::Numeric => self.made != Made::Characters,
            Content::Text => self.made != Made::Digits,
            Content::Binary | Content::Track | Content::Signed => false,
        };
        let fixed = matches!(spec.length, Length::Fixed(_)) || self.least != self.most;
        let range = usize::from(self.least)..=usize::from(self.most);
        made && fixed && range.contains(&longest(spec))
    }
}

/// Reports a row that cannot hold what its field is for.
pub(super) fn check(field: u8, spec: &FieldSpec, mapping: Mapping, section: &Section<'_>) {
    let usual = NEEDS.iter().find(|need| need.field == field);
    let need = if field == 44 && mapping == Mapping::Visa { Some(&VISA_RESPONSE_DATA) } else { usual };
    if let Some(need) = need.filter(|need| !need.is_met(spec)) {
        section.report_at("format", format!("field {field} must be {}", need.words));
    }
}

/// Reports the fields that every table must have and this one lacks.
pub(super) fn check_all(declared: FieldSet, root: &Section<'_>) {
    let missing = NEEDS.iter().filter(|need| need.always && !declared.has(need.field));
    let missing: Vec<String> = missing.map(|need| need.field.to_string()).collect();
    if !missing.is_empty() && root.has("fields") {
        let missing = missing.join(", ");
        root.report_at("fields", format!("the table `fields` lacks what every dialect needs: {missing}"));
    }
}

/// Fields of a request that never go back (R25): the expiry date, tracks, PIN data and what protects it, chip data,
/// new PINs, and codes over the request's own bytes.
const NEVER_ECHOED: [u8; 15] = [14, 35, 36, 45, 52, 53, 55, 64, 96, 125, 128, 136, 139, 140, 152];
/// Visa's DE 126: a CVV2 and a CAVV.
const VISA_PRIVATE_USE: u8 = 126;

/// Whether no answer may take the field over.
pub(super) fn is_never_echoed(field: u8, mapping: Mapping) -> bool {
    NEVER_ECHOED.contains(&field) || mapping == Mapping::Visa && field == VISA_PRIVATE_USE
}
