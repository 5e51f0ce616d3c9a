//! `[products.NAME]`: named sets of cards that limits and controls can be set for.

use crate::domain::product::PanRange;
use crate::domain::product::ProductNumber;
use crate::domain::product::Products;
use crate::settings::Section;

/// `[products.NAME]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProductSettings {
    /// Its name, for whoever sets limits.
    pub name: String,
    /// What records name it by: it keeps its number as long as there is a journal.
    pub number: ProductNumber,
    /// What the numbers of its cards begin with.
    pub ranges: Vec<PanRange>,
}

/// Reads every product, and reports what two of them cannot share.
pub(super) fn read(root: &Section<'_>) -> Vec<ProductSettings> {
    let mut products: Vec<ProductSettings> = Vec::new();
    for (name, section) in root.sections("products") {
        let number = section.integer("number", 1..=ProductNumber::MAX.into());
        let number = number.and_then(|number| u8::try_from(number).ok()).and_then(ProductNumber::new);
        if !section.has("number") {
            section.report(format!(
                "`products.{name}` needs a `number` of its own, 1 to {}",
                ProductNumber::MAX
            ));
        }
        let right = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || !name.bytes().all(right) {
            section
                .report(format!("the name \"{}\" is not of letters, digits, - and _", name.escape_default()));
        }
        if let Some(other) = products.iter().find(|other| Some(other.number) == number) {
            section.report_at("number", format!("is the number of product `{}`", other.name));
        }
        let ranges = ranges(&section, &products);
        section.finish();
        if let Some(number) = number {
            products.push(ProductSettings { name: name.to_owned(), number, ranges });
        }
    }
    products
}

fn ranges(section: &Section<'_>, others: &[ProductSettings]) -> Vec<PanRange> {
    let mut ranges: Vec<PanRange> = Vec::new();
    let texts = section.texts("ranges");
    if texts.is_empty() {
        section.report_at("ranges", "no card number is named; `ranges` has beginnings such as \"411111\"");
    }
    for text in texts {
        let Some(range) = PanRange::of_text(text) else {
            let most = PanRange::DIGITS_MAX;
            let message = format!(
                "\"{text}\" is no range such as \"411111\" or \"411111-411119\", of at most {most} digits"
            );
            section.report_at("ranges", message);
            continue;
        };
        if let Some(other) = ranges.iter().find(|other| range.clashes(other)) {
            section.report_at("ranges", format!("\"{range}\" and \"{other}\" have numbers in common"));
        }
        for other in others {
            if let Some(of_other) = other.ranges.iter().find(|known| range.clashes(known)) {
                let name = &other.name;
                let message =
                    format!("\"{range}\" has numbers in common with \"{of_other}\" of product `{name}`");
                section.report_at("ranges", message);
            }
        }
        ranges.push(range);
    }
    ranges
}

/// Which cards are of which of these products.
#[must_use]
pub fn products(settings: &[ProductSettings]) -> Products {
    let of = |product: &ProductSettings| {
        let number = product.number;
        product.ranges.iter().map(move |range| (*range, number)).collect::<Vec<_>>()
    };
    Products::new(settings.iter().flat_map(of).collect())
}
