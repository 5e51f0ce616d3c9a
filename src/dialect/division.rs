//! How fields are divided into parts, read from a dialect's table.

use crate::dialect::Mapping;
use crate::dialect::mastercard;
use crate::dialect::needed;
use crate::dialect::table::Defaults;
use crate::dialect::table::number_of;
use crate::dialect::table::read_spec;
use crate::iso8583::spec::Encoding;
use crate::iso8583::spec::FieldSet;
use crate::iso8583::spec::FieldSpec;
use crate::iso8583::spec::HIGHEST_FIELD;
use crate::iso8583::spec::Layout;
use crate::iso8583::spec::Length;
use crate::iso8583::subfields::Form;
use crate::iso8583::subfields::Subfield;
use crate::iso8583::subfields::Subfields;
use crate::iso8583::subfields::Tagging;
use crate::settings::Section;

/// Keys of a division that are no parts.
const OWN_KEYS: [&str; 7] =
    ["form", "bitmap_bytes", "without_bitmap", "id_digits", "length_digits", "lead", "withheld"];

/// Reads `subfields`: by field, how it is divided.
pub(super) fn read_subfields(
    root: &Section<'_>,
    defaults: Defaults,
    declared: FieldSet,
    layout: &Layout,
) -> Vec<Option<Subfields>> {
    let mut all = vec![None; usize::from(HIGHEST_FIELD) + 1];
    for (key, section) in root.sections("subfields") {
        match number_of(key).filter(|field| declared.has(*field)) {
            Some(field) => {
                all[usize::from(field)] = read_division(&section, defaults, layout.field(field));
            }
            None => {
                section.report(format!("`subfields.{key}` does not name a field of the table"));
                let _parts = read_division(&section, defaults, None);
            }
        }
        section.finish();
    }
    all
}

/// Fields with parts that are never echoed.
pub(super) fn guarded(subfields: &[Option<Subfields>]) -> FieldSet {
    let mut guarded = FieldSet::EMPTY;
    for (division, field) in subfields.iter().zip(0_u8..) {
        if division.as_ref().is_some_and(|division| !division.withheld.is_empty()) {
            guarded.insert(field);
        }
    }
    guarded
}

/// Reports what would let a secret go back to whom it came from: the mapping knows what DE 48 may hold.
pub(super) fn check_withheld(
    root: &Section<'_>,
    mapping: Mapping,
    subfields: &[Option<Subfields>],
    responses: &[(u16, FieldSet)],
) {
    let field = mastercard::PRIVATE_DATA;
    let echoed = responses.iter().any(|(_, fields)| fields.has(field));
    if mapping != Mapping::Mastercard || !echoed {
        return;
    }
    let division = subfields.get(usize::from(field)).and_then(Option::as_ref);
    let withheld =
        division.filter(|division| division.tagging().is_some()).map(|division| &division.withheld);
    let safe = withheld.is_some_and(|ids| mastercard::NEVER_ECHOED.iter().all(|id| ids.contains(id)));
    if !safe {
        let ids = mastercard::NEVER_ECHOED.map(|id| id.to_string()).join(", ");
        root.report_at(
            "subfields",
            format!("answers echo field {field}: `subfields.{field}` must withhold {ids}"),
        );
    }
}

/// One division: its form, and its parts with theirs. `divided` is the row of what it divides.
fn read_division(
    section: &Section<'_>,
    defaults: Defaults,
    divided: Option<&FieldSpec>,
) -> Option<Subfields> {
    let encoding = divided.map_or(defaults.text, |spec| spec.encoding);
    let form = section.required_text("form").and_then(|form| read_form(section, form, defaults, encoding));
    let mut parts: Vec<Subfield> = Vec::new();
    for key in section.keys().iter().filter(|key| !OWN_KEYS.contains(&key.as_str())) {
        let Some(part) = read_part(section, key, defaults, form) else { continue };
        if parts.iter().any(|known| known.number == part.number) {
            section.report_at(key, format!("`{key}` names a part that is there already"));
        }
        parts.push(part);
    }
    parts.sort_by_key(|part| part.number);
    if let (Some(Form::Positional | Form::Repeated), Some(divided)) = (form, divided) {
        check_widths(section, &parts, needed::longest(divided));
    }
    let withheld = section.integers("withheld", 0..=9999);
    if !withheld.is_empty() && !matches!(form, Some(Form::Tagged(_))) {
        section.report_at("withheld", "`withheld` goes with `form = \"tagged\"`, and only with it");
    }
    let withheld = withheld.into_iter().map(|id| id as u16).collect();
    let without_bitmap = read_without_bitmap(section, form, &parts);
    Some(Subfields::new(form?, parts, withheld, without_bitmap))
}

/// The parts of a content that came without its bitmap.
fn read_without_bitmap(section: &Section<'_>, form: Option<Form>, parts: &[Subfield]) -> Vec<u16> {
    let numbers: Vec<u16> =
        section.integers("without_bitmap", 1..=64).into_iter().map(|number| number as u16).collect();
    let fixed = |number: &u16| {
        parts.iter().any(|part| part.number == *number && matches!(part.spec.length, Length::Fixed(_)))
    };
    if !numbers.is_empty() && !matches!(form, Some(Form::Bitmap(_))) {
        section
            .report_at("without_bitmap", "`without_bitmap` goes with `form = \"bitmap\"`, and only with it");
    } else if !numbers.iter().all(fixed) || !numbers.is_sorted() {
        let message = "`without_bitmap` names parts of fixed length, by rising number";
        section.report_at("without_bitmap", message);
    }
    numbers
}

/// Reports the first part that ends behind the content that it is a part of.
fn check_widths(section: &Section<'_>, parts: &[Subfield], longest: usize) {
    let mut end = 0;
    for part in parts {
        end += usize::from(part.spec.max());
        if end > longest {
            let message = format!("part {} ends at {end}, and what is divided at {longest}", part.number);
            return section.report_at(&part.number.to_string(), message);
        }
    }
}

fn read_form(section: &Section<'_>, form: &str, defaults: Defaults, encoding: Encoding) -> Option<Form> {
    let bytes = section.integer("bitmap_bytes", 1..=8);
    if (form == "bitmap") != section.has("bitmap_bytes") {
        section.report("`bitmap_bytes` goes with `form = \"bitmap\"`, and only with it");
    }
    let (id, length) = (section.integer("id_digits", 1..=4), section.integer("length_digits", 1..=4));
    let lead = section.integer_or("lead", 0..=9, 0);
    let tagging = ["id_digits", "length_digits"].map(|key| section.has(key));
    if tagging != [form == "tagged"; 2] || section.has("lead") && form != "tagged" {
        section.report("`id_digits` and `length_digits` go with `form = \"tagged\"`, and only with it");
    }
    match form {
        "bitmap" => Some(Form::Bitmap(bytes.unwrap_or(8) as u8)),
        "positional" => Some(Form::Positional),
        "repeated" => Some(Form::Repeated),
        "tagged" => Some(Form::Tagged(Tagging {
            id_digits: id? as u8,
            length_digits: length? as u8,
            lead: lead as u8,
            encoding: match encoding {
                Encoding::Ascii | Encoding::Ebcdic => encoding,
                _ => defaults.text,
            },
        })),
        "tags" => Some(Form::Tags),
        "datasets" => Some(Form::Datasets),
        _ => {
            section.report_at(
                "form",
                "`form` must be one of bitmap, positional, repeated, tagged, tags, datasets",
            );
            None
        }
    }
}

fn read_part(section: &Section<'_>, key: &str, defaults: Defaults, form: Option<Form>) -> Option<Subfield> {
    let part = section.section(key)?;
    let numbers = match form {
        Some(Form::Tagged(tagging)) => 0..=10_u16.pow(u32::from(tagging.id_digits)) - 1,
        Some(Form::Datasets) => 0..=255,
        _ => 1..=64,
    };
    let number = key.parse::<u16>().ok().filter(|number| numbers.contains(number));
    let spec = read_spec(&part, defaults);
    let name = part.text("name").unwrap_or_default().into();
    if number.is_none() {
        part.report(format!("`{key}` is no number of a subfield"));
    }
    let positional = matches!(form, Some(Form::Positional | Form::Repeated));
    if positional && spec.is_some_and(|spec| matches!(spec.length, Length::Variable { .. })) {
        part.report("a part that is told by its position has a fixed length");
    }
    let parts = part.section("parts").and_then(|inner| {
        let parts = read_division(&inner, defaults, spec.as_ref());
        inner.finish();
        parts
    });
    let secret = part.flag_or("secret", false);
    part.finish();
    Some(Subfield::new(number?, name, spec?, parts, secret))
}
