//! Clearing files: what is written is read again, what was written by hand or by others is read as it says, and a file
//! that was cut or changed is noticed.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails where it stands")]

mod foreign;
mod mutation;

use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop;
use proptest::strategy::ValueTree;
use proptest::test_runner::Config;
use proptest::test_runner::TestRunner;
use serde_json::Value as Json;
use turnpike::clearing::Agreement;
use turnpike::clearing::Alphabet;
use turnpike::clearing::COLUMNS;
use turnpike::clearing::Context;
use turnpike::clearing::Format;
use turnpike::clearing::Item;
use turnpike::clearing::Located;
use turnpike::clearing::Reader;
use turnpike::clearing::Reason;
use turnpike::clearing::Separator;
use turnpike::clearing::check::Check;
use turnpike::clearing::check::Sums;
use turnpike::clearing::error::ClearingError;
use turnpike::clearing::error::Fault;
use turnpike::clearing::write::Writer;
use turnpike::domain::card::Pan;
use turnpike::domain::clearing::Arn;
use turnpike::domain::clearing::Function;
use turnpike::domain::clearing::Part;
use turnpike::domain::clearing::Presentment;
use turnpike::domain::clearing::Purpose;
use turnpike::domain::clearing::Usage;
use turnpike::domain::day::Day;
use turnpike::domain::day::TimeOfDay;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::party::InstitutionId;
use turnpike::domain::party::NameId;
use turnpike::domain::party::Text;
use turnpike::domain::request::ApprovalCode;
use turnpike::domain::request::Stan;
use turnpike::domain::trace;
use turnpike::iso8583::digits::hex_bytes;
use turnpike::iso8583::digits::to_ebcdic;

const NETWORK: &str = "network";

fn today() -> Day {
    Day::new(2026, 11, 28).expect("a day")
}

fn context() -> Context {
    Context { network: NameId::of(NETWORK), day: today() }
}

const fn ipm(alphabet: Alphabet, blocked: bool, hex_bitmap: bool) -> Format {
    Format::Ipm { alphabet, blocked, hex_bitmap }
}

const fn base_two(alphabet: Alphabet, separator: Separator) -> Format {
    Format::BaseTwo { alphabet, separator }
}

const FORMATS: [Format; 12] = [
    ipm(Alphabet::Ascii, false, false),
    ipm(Alphabet::Ascii, true, false),
    ipm(Alphabet::Ebcdic, false, false),
    ipm(Alphabet::Ebcdic, true, false),
    ipm(Alphabet::Ascii, false, true),
    ipm(Alphabet::Ebcdic, true, true),
    base_two(Alphabet::Ascii, Separator::None),
    base_two(Alphabet::Ascii, Separator::LineFeed),
    base_two(Alphabet::Ascii, Separator::CarriageReturn),
    base_two(Alphabet::Ebcdic, Separator::NewLine),
    Format::Csv,
    Format::JsonLines,
];

/// All items and errors of a file that comes in portions of a size.
fn read(format: Format, file: &[u8], portion: usize) -> (Vec<Located>, Vec<ClearingError>) {
    read_with(Reader::new(format, context()), file, portion)
}

fn read_with(mut reader: Reader, file: &[u8], portion: usize) -> (Vec<Located>, Vec<ClearingError>) {
    let (mut items, mut errors) = (Vec::new(), Vec::new());
    let mut take = |reader: &mut Reader| {
        while let Some(next) = reader.next_item() {
            match next {
                Ok(item) => items.push(item),
                Err(error) => errors.push(error),
            }
        }
    };
    for bytes in file.chunks(portion) {
        reader.feed(bytes);
        take(&mut reader);
    }
    reader.end();
    take(&mut reader);
    (items, errors)
}

fn presentments(items: &[Located]) -> Vec<Presentment> {
    let of = |located: &Located| match located.item {
        Item::Presentment(presentment) => Some(presentment),
        _ => None,
    };
    items.iter().filter_map(of).collect()
}

/// A file of these, with batches of `batch` where there are batches.
fn write(format: Format, records: &[Presentment], batch: usize) -> Vec<u8> {
    let (mut writer, mut file) = (Writer::new(format, NETWORK, today(), 7), Vec::new());
    writer.begin(&mut file);
    for batch in records.chunks(batch) {
        for record in batch {
            writer.presentment(record, &mut file).unwrap_or_else(|error| panic!("{error}: {record:?}"));
        }
        writer.end_batch(&mut file);
    }
    writer.finish(&mut file);
    file
}

// ---- presentments that a format can say

fn text<const N: usize>() -> impl Strategy<Value = Text<N>> {
    // A first character that is no space, since trailing ones are padding and a blank field is none.
    let characters = prop::collection::vec(0x20..0x7f_u8, 0..N);
    prop::option::of((0x21..0x7f_u8, characters)).prop_map(|text| {
        text.map_or(Text::BLANK, |(first, rest)| Text::from_ascii(&[&[first], rest.as_slice()].concat()))
    })
}

fn money() -> impl Strategy<Value = Money> {
    let currency = prop::sample::select(vec![840_u16, 978, 392, 414, 36, 999]);
    (0..1_000_000_000_000_i64, currency)
        .prop_map(|(minor, code)| Money::new(minor, Currency::new(code).expect("a currency")))
}

fn digits(count: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(b'0'..=b'9', count)
}

fn pan(lengths: &'static [usize]) -> impl Strategy<Value = Pan> {
    // The first digit is that of a network, and the last one is not zero.
    prop::sample::select(lengths).prop_flat_map(|length| digits(length - 2)).prop_map(|middle| {
        Pan::from_ascii(&[b"4".as_slice(), &middle, b"1"].concat()).expect("a card number")
    })
}

fn approval_code() -> impl Strategy<Value = Option<ApprovalCode>> {
    let code = prop::collection::vec(prop::sample::select(b"123456789ABCXYZ".to_vec()), 6);
    prop::option::of(code.prop_map(|code| ApprovalCode(code.try_into().expect("six"))))
}

fn local() -> impl Strategy<Value = Option<(Day, TimeOfDay)>> {
    let time = (0..24_u32, 0..60_u32, 0..60_u32).prop_map(|(hour, minute, second)| {
        TimeOfDay::new(hour * 10_000 + minute * 100 + second).expect("a time")
    });
    // Within half a year of the file's day, so that the year can be told.
    let day =
        (1..=12_u8, 1..=28_u8).prop_map(|(month, day)| Day::nearest(month, day, today()).expect("a day"));
    prop::option::of((day, time))
}

/// What every format can say; each format's own function takes the rest away or adds it.
fn any_presentment(pans: &'static [usize]) -> impl Strategy<Value = Presentment> {
    let function = (prop::sample::select(Purpose::ALL.to_vec()), any::<bool>(), any::<bool>());
    let monies = (money(), prop::option::of(money()), prop::option::of(money()), prop::option::of(money()));
    let texts = (text(), text(), text(), prop::option::of(0..1_000_000_u32));
    let numbers = (0..10_000_u16, 0..100_000_000_u64, any::<u64>());
    let country = prop::sample::select(vec!["   ", "USA", "DEU", "AUS"]);
    let rest = (pan(pans), digits(23), approval_code(), country, local());
    (function, monies, texts, numbers, rest).prop_map(|(function, monies, texts, numbers, rest)| {
        let ((purpose, _), reversal, second) = function;
        let usage = if second { Usage::Second } else { Usage::First };
        Presentment {
            network: NameId::of(NETWORK),
            function: Function { purpose, reversal, usage, code: 0 },
            part: Part::Whole,
            pan: rest.0,
            arn: Arn::new(rest.1.try_into().expect("23")).expect("digits"),
            amount: monies.0,
            billing: monies.1,
            settlement: monies.2,
            authorized: monies.3,
            approval_code: rest.2,
            network_reference: numbers.2,
            rrn: texts.0,
            stan: texts.3.map(Stan),
            terminal: texts.1,
            merchant: texts.2,
            mcc: numbers.0,
            country: Text::from_ascii(rest.3.as_bytes()),
            acquirer: InstitutionId(numbers.1),
            local_date: rest.4.map(|(day, _)| day),
            local_time: rest.4.map(|(_, time)| time),
        }
    })
}

fn sayable(format: Format) -> prop::strategy::BoxedStrategy<Presentment> {
    let part = prop_oneof_parts(format);
    match format {
        Format::Ipm { .. } => (any_presentment(&[8, 13, 16, 19]), part)
            .prop_map(|(one, part)| {
                let (Function { reversal, usage, .. }, first) =
                    (one.function, trace::reference(b"MCC0000010101"));
                let code = 12_400_000 + if usage == Usage::First { 2000 } else { 2050 } + u32::from(reversal);
                // A trace id of nine letters and digits and a day, or none.
                let reference = first.map_or(0, |first| first + one.network_reference % (1 << 40));
                Presentment {
                    function: Function { code, ..one.function },
                    part,
                    network_reference: if one.network_reference % 7 == 0 { 0 } else { reference },
                    authorized: None,
                    ..one
                }
            })
            .boxed(),
        Format::BaseTwo { .. } => (any_presentment(&[13, 16, 19]), part)
            .prop_map(|(one, part)| {
                let Function { purpose, reversal, usage, .. } = one.function;
                let base = match purpose {
                    Purpose::Purchase => 500,
                    Purpose::Refund => 600,
                    Purpose::OriginalCredit => 620,
                    Purpose::Cash => 700,
                };
                let code = base + if reversal { 2000 } else { 0 } + if usage == Usage::First { 1 } else { 2 };
                Presentment {
                    function: Function { code, ..one.function },
                    part,
                    network_reference: one.network_reference % 1_000_000_000_000_000,
                    settlement: None,
                    rrn: Text::BLANK,
                    stan: None,
                    local_time: None,
                    ..one
                }
            })
            .boxed(),
        Format::Csv | Format::JsonLines => {
            (any_presentment(&[8, 13, 16, 17, 19]), part, 0..1_000_000_000_u32)
                .prop_map(|(one, part, code)| Presentment {
                    function: Function { code, ..one.function },
                    part,
                    ..one
                })
                .boxed()
        }
    }
}

fn prop_oneof_parts(format: Format) -> prop::strategy::BoxedStrategy<Part> {
    let numbered =
        (1..100_u8, 0..100_u8).prop_map(|(sequence, count)| Part::Numbered { sequence, count }).boxed();
    let others = [Part::Partial, Part::Final].map(|part| Just(part).boxed());
    let whole = Just(Part::Whole).boxed();
    let all: Vec<_> = match format {
        Format::Ipm { .. } => [whole].into_iter().chain(others).collect(),
        Format::BaseTwo { .. } => vec![whole, numbered],
        Format::Csv | Format::JsonLines => [whole, numbered].into_iter().chain(others).collect(),
    };
    prop::strategy::Union::new(all).boxed()
}

fn cases(few: u32) -> Config {
    let asked = std::env::var("TURNPIKE_CASES").ok().and_then(|text| text.parse().ok());
    Config { cases: asked.unwrap_or(few), failure_persistence: None, ..Config::default() }
}

/// Runs a property on files of a format.
fn on_files(format: Format, few: u32, test: impl Fn(&[Presentment], usize, usize)) {
    let records = prop::collection::vec(sayable(format), 0..12);
    let result = TestRunner::new(cases(few)).run(
        &(records, 1..5_usize, 1..3000_usize),
        |(records, batch, portion)| {
            test(&records, batch, portion);
            Ok(())
        },
    );
    if let Err(error) = result {
        panic!("{format:?}: {error}");
    }
}

/// A file of every format that has one of everything.
fn samples() -> impl Iterator<Item = (Format, Vec<Presentment>, Vec<u8>)> {
    FORMATS.into_iter().map(|format| {
        let mut runner = TestRunner::deterministic();
        let strategy = prop::collection::vec(sayable(format), 9);
        let records = strategy.new_tree(&mut runner).expect("a value").current();
        let file = write(format, &records, 4);
        (format, records, file)
    })
}

// ---- there and back

#[test]
fn what_is_written_is_read_again_in_any_portions() {
    for format in FORMATS {
        on_files(format, 60, |records, batch, portion| {
            let file = write(format, records, batch);
            assert_eq!(Format::detect(&file), Ok(format));
            let (items, errors) = read(format, &file, portion);
            assert_eq!(errors, []);
            assert_eq!(presentments(&items), records);
            assert!(matches!(items.last(), Some(Located { item: Item::End, .. })));
            let trailers = items.iter().filter_map(|located| match located.item {
                Item::Trailer(trailer) => Some(trailer),
                _ => None,
            });
            let has_money = records.iter().any(|record| record.amount.minor > 0);
            let agree = trailers.filter(|trailer| trailer.sums == Agreement::Agreed).count();
            assert!(agree > 0 || !has_money, "no sum was compared");
        });
    }
}

#[test]
fn reading_goes_on_at_the_position_of_any_item() {
    for (format, records, file) in samples() {
        let (items, errors) = read(format, &file, 500);
        assert_eq!((errors.len(), presentments(&items)), (0, records));
        for (at, from) in items[..items.len() - 1].iter().enumerate() {
            let rest = &file[from.position.offset as usize..];
            let reader = Reader::resume(format, context(), from.position);
            let (again, errors) = read_with(reader, rest, 333);
            assert_eq!(errors, [], "{format:?} from {:?}", from.position);
            let places = |items: &[Located]| -> Vec<_> { items.iter().map(|item| item.position).collect() };
            assert_eq!(places(&again), places(&items[at..]), "{format:?}");
            assert_eq!(presentments(&again), presentments(&items[at..]), "{format:?}");
        }
    }
}

// ---- damage

#[test]
fn r20_a_file_that_is_cut_at_any_byte_is_an_error_or_has_lost_nothing() {
    for (format, records, file) in samples() {
        let mut unnoticed = 0;
        for length in 0..file.len() {
            let (items, errors) = read(format, &file[..length], 4096);
            if errors.is_empty() {
                unnoticed += 1;
                assert_eq!(presentments(&items), records, "{format:?} cut at {length} of {}", file.len());
            }
            let summary = Check::whole(format, context(), [&file[..length]]);
            assert_eq!(summary.is_err(), !errors.is_empty(), "{format:?} cut at {length}");
        }
        // What ends a line or a file and holds nothing.
        assert!(unnoticed <= 4, "{format:?}: {unnoticed} cuts were not noticed");
    }
}

#[test]
fn r20_a_record_that_is_missing_doubled_or_changed_is_noticed() {
    for (format, _, file) in samples() {
        let (items, _) = read(format, &file, 4096);
        let places: Vec<usize> = items.iter().map(|item| item.position.offset as usize).collect();
        for pair in 0..items.len() - 1 {
            // Blocks move their fill with them; the other formats show the same.
            if matches!(format, Format::Ipm { blocked: true, .. })
                || !matches!(items[pair].item, Item::Presentment(_))
            {
                continue;
            }
            let (before, record, after) =
                (&file[..places[pair]], &file[places[pair]..places[pair + 1]], &file[places[pair + 1]..]);
            let missing = [before, after].concat();
            let doubled = [before, record, record, after].concat();
            for wrong in [missing, doubled] {
                let (_, errors) = read(format, &wrong, 4096);
                let told =
                    |error: &ClearingError| matches!(error.fault, Fault::Count { .. } | Fault::Sum { .. });
                assert!(errors.iter().any(told), "{format:?} record {pair}: {errors:?}");
            }
        }
    }
}

#[test]
fn mutated_files_never_panic_and_end() {
    for (format, _, file) in samples() {
        let result =
            TestRunner::new(cases(400)).run(&(mutation::edits(), 1..5000_usize), |(edits, portion)| {
                let bytes = mutation::edited(&file, edits);
                let _found = Format::detect(&bytes);
                for format in FORMATS {
                    let (items, errors) = read(format, &bytes, portion);
                    assert!(items.len() + errors.len() <= bytes.len() + 3, "more items than bytes");
                    let last = items.iter().filter(|located| matches!(located.item, Item::End)).count();
                    assert!(
                        last == 1 || errors.iter().any(|error| !error.fault.leaves_records()),
                        "{errors:?}"
                    );
                    for error in &errors {
                        assert!(error.position.offset <= bytes.len() as u64 && error.position.record > 0);
                        assert!(!error.to_string().is_empty());
                    }
                }
                Ok(())
            });
        if let Err(error) = result {
            panic!("{format:?}: {error}");
        }
    }
}

// ---- written by hand

/// A record of BASE II with texts at positions from 1.
fn card(parts: &[(usize, &str)]) -> String {
    let mut card = vec![b' '; 168];
    for (first, text) in parts {
        card[first - 1..first - 1 + text.len()].copy_from_slice(text.as_bytes());
    }
    String::from_utf8(card).expect("ASCII")
}

fn money_of(minor: i64, currency: u16) -> Money {
    Money::new(minor, Currency::new(currency).expect("a currency"))
}

fn draft(start: &str, account: &str, amount: &str, more: &[(usize, &str)]) -> String {
    let parts = [
        (1, start),
        (5, account),
        (27, "24445006331001234567890"),
        (58, "1231"),
        (62, "000000000000"),
        (77, amount),
        (89, "978"),
        (147, "1"),
    ];
    card(&[&parts, more].concat())
}

/// Header, two presentments, a chargeback, a fee, a reversal, and trailers.
fn base_two_cards() -> Vec<String> {
    let first = draft(
        "0500",
        "4111111111111111000",
        "000000001234",
        &[
            (50, "10012345"),
            (58, "1127"),
            (62, "000000001400"),
            (74, "840"),
            (92, "CORNER SHOP"),
            (117, "BERLIN"),
            (130, "DE "),
            (133, "5411"),
            (152, "A1B2C3"),
        ],
    );
    let acceptor = card(&[(1, "0501"), (81, "MERCHANT0000001"), (96, "TERM0001")]);
    let payment = card(&[
        (1, "0505"),
        (5, "000123456789012"),
        (20, "000000005000"),
        (32, "978"),
        (45, "01"),
        (47, "02"),
    ]);
    let credit = draft("0620", "4111111111111111234", "000000000500", &[(58, "0102"), (147, " ")]);
    let chargeback = draft("1500", "4111111111111111000", "000000000066", &[]);
    let fee = card(&[(1, "1000")]);
    let reversal = draft("2700", "0004222222222222000", "000000002000", &[(58, "0000"), (147, "2")]);
    // Debits 12.34, credits 5.00 + 0.66 + 20.00; five transactions in seven components.
    let sums = [(31, "000000000005"), (49, "000000000008"), (75, "000000006")];
    let batch =
        card(&[&[(1, "9100"), (16, "000000000001400"), (102, "000000000003800")], &sums[..]].concat());
    let file = card(&[(1, "9200"), (31, "000000000005"), (102, "000000000001332")]);
    let header = card(&[(1, "90"), (3, "40001226332"), (30, "TEST"), (77, "042")]);
    vec![header, first, acceptor, payment, credit, chargeback, fee, reversal, batch, file]
}

fn visa_presentment() -> Presentment {
    Presentment {
        network: NameId::of(NETWORK),
        function: Function { purpose: Purpose::Purchase, reversal: false, usage: Usage::First, code: 501 },
        part: Part::Numbered { sequence: 1, count: 2 },
        pan: Pan::from_ascii(b"4111111111111111").expect("a card number"),
        arn: Arn::new(*b"24445006331001234567890").expect("digits"),
        amount: money_of(1234, 978),
        billing: Some(money_of(1400, 840)),
        settlement: None,
        authorized: Some(money_of(5000, 978)),
        approval_code: Some(ApprovalCode(*b"A1B2C3")),
        network_reference: 123_456_789_012,
        rrn: Text::BLANK,
        stan: None,
        terminal: Text(*b"TERM0001"),
        merchant: Text(*b"MERCHANT0000001"),
        mcc: 5411,
        country: Text(*b"DE "),
        acquirer: InstitutionId(10_012_345),
        local_date: Day::new(2026, 11, 27),
        local_time: None,
    }
}

#[test]
fn a_base_two_file_is_read_as_it_says() {
    let cards = base_two_cards();
    let ascii: Vec<u8> = cards.concat().into_bytes();
    let lines: Vec<u8> = cards.iter().flat_map(|card| format!("{card}\r\n").into_bytes()).collect();
    let ebcdic: Vec<u8> = ascii.iter().map(|byte| to_ebcdic(*byte)).collect();
    for (file, length) in [(ascii, 168), (lines, 170), (ebcdic, 168)] {
        let format = Format::detect(&file).expect("a format");
        let (items, errors) = read(format, &file, 1000);
        assert_eq!(errors, []);
        let places: Vec<_> = items.iter().map(|item| (item.position.record, item.position.offset)).collect();
        let starts = [0, 1, 4, 5, 6, 7, 8, 9, 10_u64];
        assert_eq!(places, starts.map(|record| (record + 1, record * length)));
        let read = presentments(&items);
        assert_eq!(read[0], visa_presentment());
        let [_, credit, reversal] = read[..] else { panic!("{} presentments", read.len()) };
        assert_eq!(
            (credit.function.purpose, credit.function.code, credit.pan.digits()),
            (Purpose::OriginalCredit, 620, 19)
        );
        // R27: 2 January is nearer in the next year.
        assert_eq!(credit.local_date, Day::new(2027, 1, 2));
        assert_eq!(
            (
                reversal.function.purpose,
                reversal.function.reversal,
                reversal.function.usage,
                reversal.pan.digits()
            ),
            (Purpose::Cash, true, Usage::Second, 13)
        );
        assert_eq!((reversal.local_date, reversal.part, reversal.billing), (None, Part::Whole, None));
        let Item::Header(header) = items[0].item else { panic!("no header") };
        assert_eq!((header.id.to_string(), header.test), ("40001226332042".to_owned(), true));
        let summary = Check::whole(format, context(), [&*file]).expect("a right file");
        assert_eq!((summary.presentments, summary.partial, summary.trailers), (3, 1, 2));
        assert_eq!(summary.by_function, [[1, 0], [0, 1], [0, 0], [1, 0]]);
        assert_eq!(summary.skipped, [1, 1, 0, 0]);
        let dollars = Sums { debits: 1400, credits: 0 };
        let euros = Sums { debits: 0, credits: 2500 };
        let sums: Vec<_> = summary.sums.iter().map(|(currency, sums)| (currency.numeric(), *sums)).collect();
        assert_eq!(sums, [(840, dollars), (978, euros)]);
        assert!(summary.test && summary.sums_not_compared == 0);
    }
}

/// An IPM message in ASCII: MTI, bitmaps in hex, fields.
fn message(mti: &str, bitmaps: &str, fields: &str) -> Vec<u8> {
    [mti.as_bytes(), &hex_bytes(bitmaps.as_bytes()).expect("hex"), fields.as_bytes()].concat()
}

/// DE 24, 48 and 71.
const ADMINISTRATIVE: &str = "80000100000100000200000000000000";
/// DE 2 to 6, 11, 12, 24 to 26, 31, 32, 37, 38, 41 to 43, 48 to 51, 63 and 71.
const PRESENTMENT: &str = "FC3001C30CE1E0020200000000000000";
/// DE 2 to 4, 24, 49 and 71.
const CHARGEBACK: &str = "F0000100000080000200000000000000";

/// Header, a presentment, its reversal, a chargeback, and a trailer.
fn ipm_messages() -> Vec<Vec<u8>> {
    let presentment = |subelements: &str, life_cycle: &str, number: &str| {
        let fields = [
            "165204740000001010",                                   // 2
            "000000",                                               // 3
            "000000009999",                                         // 4
            "000000008800",                                         // 5
            "000000008899",                                         // 6
            "000017",                                               // 11
            "261127233149",                                         // 12
            "200",                                                  // 24
            "1403",                                                 // 25
            "5812",                                                 // 26
            "2357995796331000001230612",                            // 31
            "06012345",                                             // 32
            "085000100003",                                         // 37
            "Z9Y8X7",                                               // 38
            "TERMID01",                                             // 41
            "CARD ACCEPTOR  ",                                      // 42
            r"49BIG BOBS\80 KERNDALE ST\DANERLEY\3103      VICAUS", // 43
            subelements,                                            // 48
            "036",                                                  // 49
            "978",                                                  // 50
            "840",                                                  // 51
            life_cycle,                                             // 63
            number,                                                 // 71
        ];
        message("1240", PRESENTMENT, &fields.concat())
    };
    vec![
        message("1644", ADMINISTRATIVE, "697040010502500126112800000012345000070122001T00000001"),
        presentment("0190148012036284029782", "0161MCS0301551127  ", "00000002"),
        presentment("03301480120362840297820025007R261128", "013MCS0301551127", "00000003"),
        message("1442", CHARGEBACK, "16520474000000101000000000000000010045003600000004"),
        message(
            "1644",
            ADMINISTRATIVE,
            "695070010502500126112800000012345000070301016000000000002009803060080000000500000005",
        ),
    ]
}

fn mastercard_presentment() -> Presentment {
    Presentment {
        network: NameId::of(NETWORK),
        function: Function {
            purpose: Purpose::Purchase,
            reversal: false,
            usage: Usage::First,
            code: 12_402_000,
        },
        part: Part::Partial,
        pan: Pan::from_ascii(b"5204740000001010").expect("a card number"),
        arn: Arn::new(*b"57995796331000001230612").expect("digits"),
        amount: money_of(9999, 36),
        billing: Some(money_of(8899, 840)),
        settlement: Some(money_of(8800, 978)),
        authorized: None,
        approval_code: Some(ApprovalCode(*b"Z9Y8X7")),
        network_reference: trace::reference(b"MCS0301551127").expect("a number"),
        rrn: Text(*b"085000100003"),
        stan: Some(Stan(17)),
        terminal: Text(*b"TERMID01"),
        merchant: Text(*b"CARD ACCEPTOR  "),
        mcc: 5812,
        country: Text(*b"AUS"),
        acquirer: InstitutionId(12_345),
        local_date: Day::new(2026, 11, 27),
        local_time: TimeOfDay::new(233_149),
    }
}

/// Messages behind their lengths, and the length zero.
fn variable_blocks(messages: &[Vec<u8>]) -> Vec<u8> {
    let behind_length = |message: &Vec<u8>| [&(message.len() as u32).to_be_bytes()[..], message].concat();
    let mut file: Vec<u8> = messages.iter().flat_map(behind_length).collect();
    file.extend_from_slice(&[0; 4]);
    file
}

/// Blocks of 1012 bytes with two of fill behind each, the last one filled up.
fn in_blocks(file: &[u8]) -> Vec<u8> {
    let block = |data: &[u8]| {
        let mut block = data.to_vec();
        block.resize(1014, 0x40);
        block
    };
    file.chunks(1012).flat_map(block).collect()
}

/// The same message in EBCDIC: all but its bitmaps.
fn in_ebcdic(message: &[u8]) -> Vec<u8> {
    let is_bitmap = |at: usize| (4..20).contains(&at);
    message
        .iter()
        .enumerate()
        .map(|(at, byte)| if is_bitmap(at) { *byte } else { to_ebcdic(*byte) })
        .collect()
}

#[test]
fn an_ipm_file_is_read_as_it_says() {
    let ascii = ipm_messages();
    let ebcdic: Vec<Vec<u8>> = ascii.iter().map(|message| in_ebcdic(message)).collect();
    for (messages, alphabet) in [(ascii, Alphabet::Ascii), (ebcdic, Alphabet::Ebcdic)] {
        let plain = variable_blocks(&messages);
        for (file, blocked) in [(in_blocks(&plain), true), (plain, false)] {
            assert_eq!(Format::detect(&file), Ok(ipm(alphabet, blocked, false)));
            let (items, errors) = read(ipm(alphabet, blocked, false), &file, 700);
            assert_eq!(errors, []);
            let reversal = Presentment {
                function: Function { reversal: true, code: 12_402_001, ..mastercard_presentment().function },
                ..mastercard_presentment()
            };
            assert_eq!(presentments(&items), [mastercard_presentment(), reversal]);
            let Item::Header(header) = items[0].item else { panic!("no header") };
            assert_eq!((&*header.id.to_string(), header.test), ("0012611280000001234500007", true));
            let Item::Skipped(skipped) = items[3].item else { panic!("no chargeback") };
            assert_eq!((skipped.reason, skipped.code), (Reason::Chargeback, 1_442_450));
            let summary =
                Check::whole(ipm(alphabet, blocked, false), context(), [&*file]).expect("a right file");
            assert_eq!((summary.by_function[0], summary.partial, summary.trailers), ([1, 1], 2, 1));
            let sums = summary.sums.get(&Currency::new(840).expect("a currency"));
            assert_eq!(sums, Some(&Sums { debits: 8899, credits: 8899 }));
        }
    }
}

#[test]
fn files_that_were_joined_are_each_compared_with_their_own_trailer() {
    let messages = ipm_messages();
    let twice = [messages.as_slice(), &messages].concat();
    let cards = [base_two_cards(), base_two_cards()].concat().concat().into_bytes();
    let table = [
        (ipm(Alphabet::Ascii, false, false), variable_blocks(&twice), 4, 2),
        (base_two(Alphabet::Ascii, Separator::None), cards, 6, 4),
    ];
    for (format, file, records, trailers) in table {
        let summary = Check::whole(format, context(), file.chunks(100)).expect("a right file");
        assert_eq!((summary.presentments, summary.headers, summary.trailers), (records, 2, trailers));
        let (items, _) = read(format, &file, 100);
        for from in &items[1..items.len() - 1] {
            let rest = &file[from.position.offset as usize..];
            let (_, errors) = read_with(Reader::resume(format, context(), from.position), rest, 100);
            assert_eq!(errors, [], "from {:?}", from.position);
        }
    }
}

const CSV_LINE: &str = "visa,refund-reversal,,second,2/3,4111111111111111,24445006331001234567890,1234,978,,,,,,,\
                        A1B2C3,18446744073709551615,,,,\"A, \"\"B\"\"\",5411,DE,,2026-11-27,23:59:59";

fn plain_presentment() -> Presentment {
    Presentment {
        network: NameId::of("visa"),
        function: Function { purpose: Purpose::Refund, reversal: true, usage: Usage::Second, code: 113 },
        part: Part::Numbered { sequence: 2, count: 3 },
        billing: None,
        authorized: None,
        network_reference: u64::MAX,
        terminal: Text::BLANK,
        merchant: Text::from_ascii(b"A, \"B\""),
        country: Text(*b"DE "),
        acquirer: InstitutionId(0),
        local_time: TimeOfDay::new(235_959),
        ..visa_presentment()
    }
}

const JSON_LINE: &str = r#" { "amount" : 1234, "currency":"978", "network":"visa","function":"refund-reversal",
"usage":"second","part":"2/3","pan":"4111111111111111","arn":"24445006331001234567890","approval_code":"A1B2C3",
"network_reference":18446744073709551615,"rrn":null,"merchant":"A, \"B\"","mcc":5411,"country":"DE",
"local_date":"2026-11-27","local_time":"23:59:59"} "#;

#[test]
fn plain_files_are_read_as_they_say() {
    let heading = COLUMNS.join(",");
    let csv = format!("\u{feff}{heading}\r\n{CSV_LINE}\r\n{CSV_LINE}\r\nend,2,2468\r\n");
    let json = JSON_LINE.replace('\n', "");
    let json = format!("{json}\n{json}\n{{\"records\":2,\"sum\":2468}}");
    for file in [csv, json] {
        let format = Format::detect(file.as_bytes()).expect("a format");
        let (items, errors) = read(format, file.as_bytes(), 11);
        assert_eq!(errors, []);
        assert_eq!(presentments(&items), [plain_presentment(); 2]);
    }
}

#[test]
fn r20_the_last_line_of_a_plain_file_is_compared() {
    let table = [
        (2, 2468, "none"),
        (3, 2468, "record 4 at byte 596: the trailer counts 3 records, and there are 2"),
        (1, 2468, "the trailer counts 1 records, and there are 2"),
        (
            2,
            2469,
            "record 4 at byte 596: the trailer's sum of amounts is 2469, and that of the records is 2468",
        ),
    ];
    for (records, sum, told) in table {
        let csv = format!("{}\n{CSV_LINE}\n{CSV_LINE}\nend,{records},{sum}\n", COLUMNS.join(","));
        let error = first_error(Format::Csv, csv.as_bytes());
        assert!(error.contains(told), "{records} {sum}: {error}");
        let line = JSON_LINE.replace('\n', "");
        let json = format!("{line}\n{line}\n{{\"records\":{records},\"sum\":{sum}}}\n");
        let error = first_error(Format::JsonLines, json.as_bytes());
        let (_, told) = told.split_once(": ").unwrap_or(("", told));
        assert!(error.contains(told), "{records} {sum}: {error}");
    }
}

// ---- mistakes

/// The first error of a file as it is told.
fn first_error(format: Format, file: &[u8]) -> String {
    let (_, errors) = read(format, file, 4096);
    errors.first().map_or_else(|| "none".to_owned(), ClearingError::to_string)
}

#[test]
fn mistakes_in_plain_files_are_told_with_line_and_column() {
    let heading = COLUMNS.join(",");
    let csv = |from: &str, to: &str| {
        assert!(CSV_LINE.contains(from), "{from}");
        let line = CSV_LINE.replacen(from, to, 1);
        first_error(Format::Csv, format!("{heading}\n{CSV_LINE}\n{line}\nend,2,2468\n").as_bytes())
    };
    let table = [
        ("visa,", ",", "column 1: network should be the name of a network"),
        ("refund-", "refunds-", "column 6: function should be purchase, cash, refund or original-credit"),
        (",second", ",third", "column 23: usage should be first or second"),
        ("2/3", "2/", "column 30: part should be whole, partial, final"),
        ("4111111111111111", "4111-1111", "column 34: pan should be 8 to 19 digits"),
        ("24445006331001234567890", "2444500633100123456789X", "column 51: arn should be 23 digits"),
        (",1234,", ",12.34,", "column 75: amount should be minor units"),
        (",1234,", ",,", "column 75: amount should be there when its currency is"),
        (",978,", ",EUR,", "column 80: currency should be three digits"),
        (",978,", ",,", "column 80: currency should be three digits"),
        ("A1B2C3", "A1B2C", "column 90: approval_code should be six characters"),
        ("18446744073709551615", "18446744073709551616", "column 97: network_reference should be"),
        ("\"A,", "A\",", "column 122: merchant should be printable ASCII"),
        (",5411,", ",54110,", "mcc should be at most 4 digits"),
        ("2026-11-27", "2026-11-31", "local_date should be a day as 2026-11-28"),
        ("23:59:59", "24:00:00", "local_time should be a time as 23:59:59"),
        ("23:59:59", "23:59:59,", "expected the end of the line"),
        (",23:59:59", "", "local_time should be behind a comma"),
    ];
    for (from, to, told) in table {
        let error = csv(from, to);
        assert!(error.starts_with("line 3 at byte ") && error.contains(told), "{from}: {error}");
        assert!(!error.contains("4111"), "{error}");
    }
    let json = |line: &str| first_error(Format::JsonLines, format!("{line}\n").as_bytes());
    let table = [
        ("[1]", "column 1: expected an object"),
        ("{\"network\":\"a\",\"network\":\"a\"}", "column 16: expected each key once"),
        ("{\"net\":\"a\"}", "column 2: expected a column of docs/clearing.md as key"),
        ("{\"amount\":12.5}", "column 11: expected a text in quotes, a whole number, or null"),
        ("{\"amount\":-1}", "column 11: expected a text in quotes, a whole number, or null"),
        ("{\"rrn\":\"\\n\"}", "column 9: expected no escape but"),
        ("{\"rrn\":\"a}", "column 11: expected a quote behind the text"),
        ("{\"rrn\":\"a\"", "column 11: expected a comma or }"),
        ("{\"rrn\":\"a\"} x", "column 13: expected the end of the line"),
        ("{\"records\":1}", "column 1: expected records and sum, and nothing else"),
        ("{\"rrn\":\"a\"}", "column 1: network should be the name of a network"),
    ];
    for (line, told) in table {
        let error = json(line);
        assert!(error.starts_with("line 1 at byte 0: ") && error.contains(told), "{line}: {error}");
    }
    assert!(
        first_error(Format::Csv, b"network,pan\n").contains("column 9: the first line is not the heading")
    );
}

#[test]
fn mistakes_in_ipm_files_are_told_with_record_and_offset() {
    let changed = |number: usize, from: &str, to: &str| {
        let mut messages = ipm_messages();
        let text = String::from_utf8_lossy(&messages[number][20..]).replacen(from, to, 1);
        messages[number].truncate(20);
        messages[number].extend_from_slice(text.as_bytes());
        first_error(ipm(Alphabet::Ascii, false, false), &variable_blocks(&messages))
    };
    let table = [
        (
            1,
            "5204740000001010",
            "520474000000101X",
            "record 2 at byte 78: field 2 at offset 22: the field is not numeric",
        ),
        (1, "000000000000009999", "300000000000009999", "DE 3 should be 00, 01"),
        (1, "200140358", "205140358", "none"),
        (1, "200140358", "260140358", "DE 24 should be 200, 205 or 282"),
        (1, "2357995796331000001230612", "225799579633100000123061", "DE 31 should be 23 digits"),
        (1, "0148012036284029782", "0148012036084029782", "PDS 0148 should be"),
        (1, "0148012", "0148013", "private data (DE 48, 62, 123 to 125) should be tags"),
        (1, "036978840", "USD978840", "field 49 at offset"),
        (1, "261127233149", "261327233149", "DE 12 should be a date and a time"),
        (
            1,
            "000000009999",
            "000000009998",
            "the trailer's sum of DE 4 is 20098, and that of the records is 20097",
        ),
        (4, "00000005", "00000006", "record 5 at byte 755: the trailer counts 6 messages, and there are 5"),
        (4, "0301016", "0399016", "none"),
        (4, "695070", "696070", "no trailer confirms the records before"),
        (0, "697", "696", "a presentment outside header and trailer"),
    ];
    for (number, from, to, told) in table {
        let error = changed(number, from, to);
        assert!(error.contains(told), "{from} to {to}: {error}");
        assert!(!error.contains("520474"), "{error}");
    }
    let plain = ipm(Alphabet::Ascii, false, false);
    let messages = ipm_messages();
    let file = variable_blocks(&messages);
    let table = [
        (vec![0, 0, 0, 19], "no record is 19 bytes long"),
        (vec![0, 1, 0, 0], "no record is 65536 bytes long"),
        ([&*file, b"x"].concat(), "bytes behind the end of the file"),
        (variable_blocks(&messages[1..]), "a presentment outside header and trailer"),
        (variable_blocks(&messages[..4]), "no trailer confirms the records before"),
        (
            variable_blocks(&[&messages[..4], &messages].concat()),
            "a second header before the first one's trailer",
        ),
        (file[..file.len() - 4].to_vec(), "none"),
        (file[..file.len() - 5].to_vec(), "the file ends inside a record or before its end"),
        (Vec::new(), "the file ends inside a record or before its end"),
    ];
    for (file, told) in table {
        let error = first_error(plain, &file);
        assert!(error.contains(told), "{told}: {error}");
    }
    let mut blocks = in_blocks(&variable_blocks(&[&messages[..4], &[messages[4].clone()]].concat()));
    blocks[1013] = 0;
    let error = first_error(ipm(Alphabet::Ascii, true, false), &blocks);
    assert!(error.contains("the two bytes behind a block are not 0x40"), "{error}");
}

#[test]
fn mistakes_in_base_two_files_are_told_with_record_and_offset() {
    let changed = |number: usize, first: usize, text: &str| {
        let mut cards = base_two_cards();
        cards[number].replace_range(first - 1..first - 1 + text.len(), text);
        first_error(base_two(Alphabet::Ascii, Separator::None), cards.concat().as_bytes())
    };
    let table = [
        (1, 5, "41111111111111X1", "record 2 at byte 168: account number should be a card number"),
        (1, 27, " ", "acquirer reference number should be 23 digits"),
        (1, 58, "0230", "purchase date should be MMDD"),
        (1, 77, "00000000123 ", "source amount should be digits"),
        (1, 89, "EUR", "source currency should be three digits"),
        (1, 74, "   ", "destination currency should be three digits, with a destination amount"),
        (1, 147, "X", "usage code should be 1 or 2"),
        (3, 5, "X", "transaction identifier should be 15 digits"),
        (3, 45, "X", "multiple clearing sequence number and count should be"),
        (3, 4, "1", "record 4 at byte 504: component record 1 does not belong to the transaction before it"),
        (3, 1, "07", "component record 5 does not belong"),
        (3, 32, "   ", "authorization currency should be three digits"),
        (4, 1, "X", "the first four characters should be transaction code"),
        (8, 31, "000000000006", "the trailer counts 6 monetary transactions, and there are 5"),
        (8, 49, "000000000009", "the trailer counts 9 component records, and there are 7"),
        (8, 16, "000000000001401", "none"),
        (1, 77, "000000001235", "none"),
        (8, 1, "92", "no trailer confirms the records before"),
    ];
    for (number, first, text, told) in table {
        let error = changed(number, first, text);
        assert!(error.contains(told), "record {number}, {first} {text}: {error}");
        assert!(!error.contains("4111"), "{error}");
    }
    let without_trailer = base_two_cards()[..9].concat();
    let error = first_error(base_two(Alphabet::Ascii, Separator::None), without_trailer.as_bytes());
    assert!(error.contains("record 10 at byte 1512: no trailer confirms the records before"), "{error}");
    let format = base_two(Alphabet::Ascii, Separator::LineFeed);
    let short = first_error(format, format!("{:168}\n{:167}\n{:168}\n", "9040", "0500", "0500").as_bytes());
    assert!(short.contains("no record is 167 bytes long"), "{short}");
}

#[test]
fn r20_sums_of_a_batch_without_fees_are_compared() {
    // The fee, whose amount nobody here knows, is not there.
    let changed = |number: usize, first: usize, text: &str| {
        let mut cards = base_two_cards();
        cards.remove(6);
        for (number, first, text) in [
            (7, 31, "000000000004"),
            (7, 49, "000000000006"),
            (7, 75, "000000004"),
            (8, 31, "000000000004"),
            (number, first, text),
        ] {
            cards[number].replace_range(first - 1..first - 1 + text.len(), text);
        }
        let format = base_two(Alphabet::Ascii, Separator::None);
        first_error(format, cards.concat().as_bytes())
    };
    assert_eq!(changed(0, 1, "90"), "none");
    let table = [
        (
            1,
            77,
            "000000001235",
            "the trailer's sum of source amounts is 3800, and that of the records is 3801",
        ),
        (1, 62, "000000001401", "the trailer's sum of destination amounts is 1400"),
        (5, 77, "000000000067", "the trailer's sum of source amounts is 3800"),
        (8, 102, "000000000001331", "the trailer's sum of source amounts is 1331"),
        (8, 102, "000000000003800", "none"),
        (7, 102, "000000000001332", "none"),
    ];
    for (number, first, text, told) in table {
        let error = changed(number, first, text);
        assert!(error.contains(told), "record {number}, {first} {text}: {error}");
    }
}

// ---- written by others

#[test]
fn clearing_records_of_others_are_found_in_every_framing() {
    let Some(cases) = foreign::cases("mastercard_ipm.jsonl") else { return };
    let bytes = |case: &Json| hex_bytes(case["hex"].as_str().expect("hex").as_bytes()).expect("hex");
    let (records, files): (Vec<&Json>, Vec<&Json>) = cases.iter().partition(|case| case.get("mti").is_some());
    let wrapped = records.iter().flat_map(|record| {
        let plain = variable_blocks(&vec![bytes(record); 5]);
        [(in_blocks(&plain), 5), (plain, 5)]
    });
    let whole = files.iter().map(|file| (bytes(file), 3));
    let mut checked = 0;
    for (file, count) in wrapped.chain(whole) {
        let format = Format::detect(&file).expect("a format");
        let (items, errors) = read(format, &file, 100);
        assert_eq!(errors, [], "{format:?}");
        let skipped = items
            .iter()
            .filter(|located| matches!(located.item, Item::Skipped(skipped) if skipped.code == 1_144_333));
        assert_eq!((skipped.count(), items.len()), (count, count + 1), "{format:?}");
        checked += 1;
    }
    assert!(checked > 6, "{checked} files");
}

#[test]
fn a_record_of_others_is_read_as_they_say() {
    let Some(cases) = foreign::cases("mastercard_ipm.jsonl") else { return };
    for (encoding, alphabet) in [("latin_1", Alphabet::Ascii), ("cp500", Alphabet::Ebcdic)] {
        let found =
            cases.iter().find(|case| case["dialect"].as_str().is_some_and(|text| text.contains(encoding)));
        let case = found.filter(|case| case.get("mti").is_some()).expect("a record");
        let (record, fields) = (case["hex"].as_str().expect("hex"), &case["fields"]);
        let mut record = hex_bytes(record.as_bytes()).expect("hex");
        let hex_bitmap = alphabet == Alphabet::Ebcdic;
        let digits = |text: &str| -> Vec<u8> {
            text.bytes()
                .map(|byte| if alphabet == Alphabet::Ebcdic { to_ebcdic(byte) } else { byte })
                .collect()
        };
        // Its MTI, its DE 3 and its DE 24 are of a kind that nobody knows: behind the bitmaps stand DE 2 with a length,
        // DE 3, 4, 12, 22 and 24.
        let fields_at = if hex_bitmap { 36 } else { 20 };
        record[..4].copy_from_slice(&digits("1240"));
        record[fields_at + 18..fields_at + 24].copy_from_slice(&digits("010000"));
        record[fields_at + 60..fields_at + 63].copy_from_slice(&digits("200"));
        let (mut messages, mut count) = (Vec::new(), 0_usize);
        let empty = write(ipm(alphabet, false, hex_bitmap), &[], 1);
        let (frame, _) = read(ipm(alphabet, false, hex_bitmap), &empty, 100);
        let trailer_at = frame[1].position.offset as usize;
        messages.extend_from_slice(&empty[..trailer_at]);
        for _ in 0..3 {
            messages.extend_from_slice(&(record.len() as u32).to_be_bytes());
            messages.extend_from_slice(&record);
            count += 1;
        }
        messages.extend_from_slice(&empty[trailer_at..]);
        let (items, errors) = read(ipm(alphabet, false, hex_bitmap), &messages, 100);
        let fault = Fault::Count { what: "messages", said: 2, found: 5 };
        assert_eq!(errors.iter().map(|error| error.fault).collect::<Vec<_>>(), [fault]);
        let read = presentments(&items);
        assert_eq!(read.len(), count);
        let is = |name: &str, value: &str| assert_eq!(fields[name].as_str(), Some(value), "{name}");
        let one = read[0];
        assert_eq!(Pan::from_ascii(fields["DE2"].as_str().expect("DE 2").as_bytes()), Ok(one.pan));
        assert_eq!(
            (fields["DE4"].as_i64(), fields["DE26"].as_u64()),
            (Some(one.amount.minor), Some(one.mcc.into()))
        );
        is("DE31", &one.arn.to_string());
        is("DE38", &one.approval_code.expect("a code").to_string());
        is("DE42", &one.merchant.to_string());
        is("DE43_COUNTRY", &one.country.to_string());
        is("DE49", &one.amount.currency.to_string());
        let moment = (one.local_date.expect("a day"), one.local_time.expect("a time"));
        is("DE12", &format!("{} {}", moment.0, moment.1));
        assert_eq!(one.function.purpose, Purpose::Cash);
    }
}

#[test]
fn r20_the_command_says_what_is_in_a_file_or_what_is_wrong_with_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("file");
    let check = || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_turnpike"));
        let ended = command.args(["clearing", "check"]).arg(&path).output().expect("it runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (ended.status.code(), text(&ended.stdout), text(&ended.stderr))
    };
    assert_eq!(check().0, Some(74), "there is no file");
    for (format, records, file) in samples() {
        std::fs::write(&path, &file).expect("written");
        let (code, told, _) = check();
        assert_eq!(code, Some(0), "{format:?}: {told}");
        assert!(told.contains(&format!("\n{} presentments and reversals\n", records.len())), "{told}");
        // A byte less than half of it.
        std::fs::write(&path, &file[..file.len() / 2 - 1]).expect("written");
        let (code, told, wrong) = check();
        assert_eq!((code, told.as_str()), (Some(65), ""), "{format:?}");
        assert!(wrong.contains("nothing of it may be posted"), "{format:?}: {wrong}");
        for record in &records {
            assert!(!wrong.contains(&record.pan.value().to_string()), "{format:?}: {wrong}");
        }
    }
    std::fs::write(&path, "neither this nor that").expect("written");
    assert_eq!(check().0, Some(65));
}
