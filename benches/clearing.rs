//! What reading a clearing file costs a record, by format: bytes to presentments in portions of 64 KiB, as the edge has
//! them, with every count and sum compared. Each file has a hundred thousand records; a BASE II record is three
//! components.

#![expect(clippy::expect_used, reason = "what fails here ends the bench")]

use std::hint::black_box;

use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use turnpike::clearing::Alphabet;
use turnpike::clearing::Context;
use turnpike::clearing::Format;
use turnpike::clearing::Separator;
use turnpike::clearing::check::Check;
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

const NETWORK: &str = "network";
const RECORDS: u64 = 100_000;
const PORTION: usize = 64 * 1024;

/// A purchase as the network settles it, with what matching needs.
fn presentment(number: u64, mastercard: bool) -> Presentment {
    let currency = Currency::new(978).expect("a currency");
    let amount = Money::new(1_000 + (number % 9_000) as i64, currency);
    let mut arn = *b"24445006331000000000000";
    arn[11..].copy_from_slice(format!("{number:012}").as_bytes());
    Presentment {
        network: NameId::of(NETWORK),
        function: Function { purpose: Purpose::Purchase, reversal: false, usage: Usage::First, code: 501 },
        part: Part::Whole,
        pan: Pan::from_value(4_111_110_000_000_000 + number * 7, 16).expect("a card number"),
        arn: Arn::new(arn).expect("digits"),
        amount,
        billing: Some(Money::new(amount.minor * 11 / 10, Currency::new(840).expect("a currency"))),
        settlement: mastercard.then_some(amount),
        authorized: (!mastercard).then_some(amount),
        approval_code: Some(ApprovalCode(*b"A1B2C3")),
        network_reference: 1_000_000 + number,
        rrn: Text(*b"322817000011"),
        stan: Some(Stan((number % 1_000_000) as u32)),
        terminal: Text(*b"TERM0001"),
        merchant: Text(*b"MERCHANT0000001"),
        mcc: 5411,
        country: Text(*b"DEU"),
        acquirer: InstitutionId(10_012_345),
        local_date: Day::new(2026, 11, 27),
        local_time: TimeOfDay::new(123_456),
    }
}

fn reading(criterion: &mut Criterion) {
    let day = Day::new(2026, 11, 28).expect("a day");
    let context = Context { network: NameId::of(NETWORK), day };
    let ipm = |alphabet, blocked| Format::Ipm { alphabet, blocked, hex_bitmap: false };
    let base_two = |alphabet| Format::BaseTwo { alphabet, separator: Separator::None };
    let formats = [
        ("ipm, ASCII", ipm(Alphabet::Ascii, false)),
        ("ipm, EBCDIC, blocked", ipm(Alphabet::Ebcdic, true)),
        ("base two, ASCII", base_two(Alphabet::Ascii)),
        ("base two, EBCDIC", base_two(Alphabet::Ebcdic)),
        ("csv", Format::Csv),
        ("json lines", Format::JsonLines),
    ];
    let mut group = criterion.benchmark_group("a clearing file is read and checked");
    group.throughput(Throughput::Elements(RECORDS)).sample_size(20);
    for (name, format) in formats {
        let (mut writer, mut file) = (Writer::new(format, NETWORK, day, 1), Vec::new());
        writer.begin(&mut file);
        for number in 0..RECORDS {
            let one = presentment(number, matches!(format, Format::Ipm { .. }));
            writer.presentment(&one, &mut file).expect("what the format can say");
        }
        writer.finish(&mut file);
        let read = || Check::whole(format, context, black_box(&file).chunks(PORTION));
        assert_eq!(read().expect("a right file").presentments, RECORDS);
        group.bench_function(name, |bencher| bencher.iter(read));
    }
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
