//! Clearing files: however a file comes, it is read the same, ends, and names no place outside itself.

use turnpike::clearing::Alphabet;
use turnpike::clearing::Context;
use turnpike::clearing::Format;
use turnpike::clearing::Item;
use turnpike::clearing::Located;
use turnpike::clearing::Reader;
use turnpike::clearing::Separator;
use turnpike::clearing::error::ClearingError;
use turnpike::clearing::write::Writer;
use turnpike::domain::card::Pan;
use turnpike::domain::clearing::Arn;
use turnpike::domain::clearing::Function;
use turnpike::domain::clearing::Part;
use turnpike::domain::clearing::Presentment;
use turnpike::domain::clearing::Purpose;
use turnpike::domain::clearing::Usage;
use turnpike::domain::day::Day;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::party::InstitutionId;
use turnpike::domain::party::NameId;
use turnpike::domain::party::Text;
use turnpike::domain::request::ApprovalCode;

const FORMATS: [Format; 7] = [
    Format::Ipm { alphabet: Alphabet::Ascii, blocked: false, hex_bitmap: false },
    Format::Ipm { alphabet: Alphabet::Ebcdic, blocked: true, hex_bitmap: false },
    Format::Ipm { alphabet: Alphabet::Ascii, blocked: false, hex_bitmap: true },
    Format::BaseTwo { alphabet: Alphabet::Ascii, separator: Separator::LineFeed },
    Format::BaseTwo { alphabet: Alphabet::Ebcdic, separator: Separator::None },
    Format::Csv,
    Format::JsonLines,
];

fn day() -> Day {
    Day::new(2026, 11, 28).expect("a day")
}

fn read(format: Format, bytes: &[u8], portion: usize) -> Vec<Result<Located, ClearingError>> {
    let mut reader = Reader::new(format, Context { network: NameId::of("network"), day: day() });
    let mut all = Vec::new();
    for bytes in bytes.chunks(portion) {
        reader.feed(bytes);
        all.extend(std::iter::from_fn(|| reader.next_item()));
    }
    reader.end();
    all.extend(std::iter::from_fn(|| reader.next_item()));
    all
}

pub fn run(bytes: &[u8]) {
    let Ok(format) = Format::detect(bytes) else { return };
    let all = read(format, bytes, bytes.len().max(1));
    assert_eq!(read(format, bytes, 7), all, "in portions of 7");
    for next in &all {
        let position = next.as_ref().map_or_else(|error| error.position, |located| located.position);
        assert!(position.offset <= bytes.len() as u64 && position.record > 0);
    }
    match all.last() {
        Some(Ok(located)) => assert!(matches!(located.item, Item::End)),
        Some(Err(error)) => assert!(!error.fault.leaves_records(), "{error}"),
        None => panic!("neither an end nor an error"),
    }
}

/// A file of each format with a presentment and its reversal.
pub fn seeds() -> Vec<Vec<u8>> {
    let currency = Currency::new(978).expect("a currency");
    let presentment = |reversal| Presentment {
        network: NameId::of("network"),
        function: Function { purpose: Purpose::Purchase, reversal, usage: Usage::First, code: 0 },
        part: Part::Whole,
        pan: Pan::from_ascii(b"4111111111111111").expect("a card number"),
        arn: Arn::new(*b"24445006331001234567890").expect("digits"),
        amount: Money::new(1234, currency),
        billing: Some(Money::new(1300, currency)),
        settlement: None,
        authorized: None,
        approval_code: Some(ApprovalCode(*b"A1B2C3")),
        network_reference: 123_456,
        rrn: Text::BLANK,
        stan: None,
        terminal: Text(*b"TERM0001"),
        merchant: Text::from_ascii(b"A \"MERCHANT\""),
        mcc: 5411,
        country: Text(*b"DEU"),
        acquirer: InstitutionId(400_001),
        local_date: Some(day()),
        local_time: None,
    };
    let file = |format| {
        let (mut writer, mut file) = (Writer::new(format, "network", day(), 1), Vec::new());
        writer.begin(&mut file);
        for reversal in [false, true] {
            writer.presentment(&presentment(reversal), &mut file).expect("every format can say it");
        }
        writer.finish(&mut file);
        file
    };
    FORMATS.into_iter().map(file).collect()
}
