//! What one authorization costs in the codec: bytes to domain, and the answer to bytes. Beside it, what the crate
//! `iso8583_rs` takes for a message that it can read, in the same run.

#![expect(clippy::expect_used, reason = "a benchmark that cannot go on ends where it stands")]

use std::hint::black_box;
use std::process::Command;
use std::process::ExitCode;

use criterion::BatchSize;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use iso8583_rs::iso8583::iso_spec::spec;
use oracle_spec::SPECIFICATION;
use turnpike::dialect::Dialect;
use turnpike::dialect::carry::Carriage;
use turnpike::dialect::inbound::Context;
use turnpike::domain::action::ActionCode;
use turnpike::domain::answer::Answer;
use turnpike::domain::event::Sequence;
use turnpike::domain::forward::OwnKey;
use turnpike::domain::party::NameId;
use turnpike::domain::request::ApprovalCode;
use turnpike::domain::request::Stan;
use turnpike::domain::time::TransmissionTime;
use turnpike::iso8583::build::Builder;
use turnpike::iso8583::spec::Bitmaps;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::view::Spans;
use turnpike::iso8583::view::View;

#[path = "../tests/oracle_spec/mod.rs"]
mod oracle_spec;

/// A chip purchase with the fields that a Visa acquirer sends.
const VISA_PURCHASE: &[(u8, &str)] = &[
    (2, "4123700000000019"),
    (3, "000000"),
    (4, "000000004200"),
    (7, "0816170936"),
    (11, "000011"),
    (12, "140936"),
    (13, "0816"),
    (14, "3112"),
    (18, "5999"),
    (19, "840"),
    (22, "0720"),
    (23, "011"),
    (25, "00"),
    (32, "12345678901"),
    (35, "4123700000000019D31122011212120531127"),
    (37, "322817000011"),
    (41, "TERMID01"),
    (42, "CARD ACCEPTOR  "),
    (43, "ACQUIRER NAME            CITY NAME    US"),
    (49, "840"),
    (
        55,
        "01005F9F3303204000950580000100009F37049BADBCAB9F100706010A03A000009F26080123456789ABCDEF9F360200FF820200\
         009C01009F1A0208409A030101019F02060000000123005F2A0208409F03060000000000008407A0000000031010",
    ),
    (60, "050000400000"),
    (62, "C000000000000000E80123456789012345"),
    (63, "8000000002"),
];

/// A chip purchase with the fields that Mastercard sends.
const MASTERCARD_PURCHASE: &[(u8, &str)] = &[
    (2, "5204740000001010"),
    (3, "000000"),
    (4, "000000001500"),
    (6, "000000001500"),
    (7, "1207233149"),
    (10, "61000000"),
    (11, "000017"),
    (12, "233149"),
    (13, "1207"),
    (14, "2912"),
    (15, "1207"),
    (16, "1207"),
    (18, "5499"),
    (22, "051"),
    (23, "000"),
    (32, "012345"),
    (35, "5204740000001010D29121412201084690846"),
    (37, "085000100003"),
    (41, "TERMID01"),
    (42, "CARD ACCEPTOR  "),
    (43, "ACQUIRER NAME          CITY NAME     MO "),
    (48, "R610510000"),
    (49, "840"),
    (51, "840"),
    (
        55,
        "5F2A020840820258008407A0000000041010950500000000009A032012079C01009F02060000000015009F1008010103A00000DAC1\
         9F1A0208409F260842215634A0B2C4A79F2701809F3303E0E8E89F34034403009F3602021D9F370413D46EBF",
    ),
    (61, "0000000000800840902101234"),
    (63, "MCS01106L"),
];

const ISO87_PURCHASE: &[(u8, &str)] = &[
    (2, "4123700000000019"),
    (3, "000000"),
    (4, "000000004200"),
    (7, "0816170936"),
    (11, "000011"),
    (12, "140936"),
    (13, "0816"),
    (14, "3112"),
    (18, "5999"),
    (22, "051"),
    (25, "00"),
    (32, "12345678901"),
    (37, "322817000011"),
    (41, "TERMID01"),
    (42, "CARD ACCEPTOR  "),
    (49, "840"),
];

fn frame(dialect: &Dialect, values: &[(u8, &str)]) -> Vec<u8> {
    let values: Vec<(u8, Value<'_>)> = values.iter().map(|(f, v)| (*f, Value::Text(v))).collect();
    let mut out = Vec::new();
    if let Err(error) = dialect.compose(100, &values, &mut out) {
        eprintln!("the request cannot be written: {error}");
        std::process::exit(1);
    }
    out
}

fn codec(criterion: &mut Criterion) {
    let context = Context { network: NameId::of("network"), link: NameId::of("link") };
    let answer = Answer {
        approval_code: Some(ApprovalCode(*b"A1B2C3")),
        ..Answer::decline(ActionCode::Approved, Sequence(1))
    };
    for (name, values) in [
        ("visa", VISA_PURCHASE),
        ("mastercard", MASTERCARD_PURCHASE),
        ("iso87-ascii", ISO87_PURCHASE),
        ("iso87-binary", ISO87_PURCHASE),
    ] {
        let Some(dialect) = Dialect::built_in(name) else { continue };
        let request = frame(&dialect, values);
        let body = request[dialect.framing().prefix_bytes()..].to_vec();
        let message_at = if name == "visa" { 22 } else { 0 };
        let mut spans = Spans::default();
        let mut out = Vec::with_capacity(4096);
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(1));
        group.bench_function("parse", |bencher| {
            bencher.iter(|| {
                let body = black_box(&body[message_at..]);
                View::parse(dialect.layout(), body, &mut spans).map(|view| view.mti()).ok()
            });
        });
        group.bench_function("decode", |bencher| {
            bencher.iter(|| dialect.decode(black_box(&body), context, &mut spans).map(|r| r.inbound).ok());
        });
        group.bench_function("decode and answer", |bencher| {
            bencher.iter(|| {
                out.clear();
                if let Ok(received) = &dialect.decode(black_box(&body), context, &mut spans) {
                    let written = dialect.write_answer(received, black_box(&answer), &mut out);
                    black_box(written.is_ok());
                }
                out.len()
            });
        });
        group.finish();
    }
}

/// A Visa purchase that goes on to another party, and its answer that comes back: to a party of the same dialect, and
/// to one of another. The answer's request is read again, as it is in the daemon.
fn carried(criterion: &mut Criterion) {
    let context = Context { network: NameId::of("network"), link: NameId::of("link") };
    let approval = Answer {
        approval_code: Some(ApprovalCode(*b"A1B2C3")),
        ..Answer::decline(ActionCode::Approved, Sequence(1))
    };
    let asker = Dialect::built_in("visa").expect("compiled in");
    let asked = frame(&asker, VISA_PURCHASE);
    let asked = &asked[asker.framing().prefix_bytes()..];
    let own = OwnKey {
        stan: Stan(900_017),
        transmission: TransmissionTime::new(604_123_456).expect("a date and a time"),
    };
    let carriage = Carriage::default();
    for party in ["visa", "iso87-ascii"] {
        let party = Dialect::built_in(party).expect("compiled in");
        let (mut spans, mut other) = (Spans::default(), Spans::default());
        let (mut on, mut answer) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
        let received = asker.decode(asked, context, &mut spans).expect("a right request");
        asker.carry_request(&received, &party, own, &carriage, false, &mut on).expect("it goes on");
        let forwarded = party.decode(&on[party.framing().prefix_bytes()..], context, &mut other);
        let written = party.write_answer(&forwarded.expect("a right request"), &approval, &mut answer);
        written.expect("an answer that fits");
        let answer = &answer[party.framing().prefix_bytes()..];
        let mut group = criterion.benchmark_group(format!("carry a Visa 0100 to {}", party.name()));
        group.throughput(Throughput::Elements(1));
        group.bench_function("on", |bencher| {
            bencher.iter(|| {
                on.clear();
                let dropped =
                    asker.carry_request(black_box(&received), &party, own, &carriage, false, &mut on);
                dropped.map(|_| on.len()).ok()
            });
        });
        let (mut spans, mut other, mut back) = (Spans::default(), Spans::default(), Vec::with_capacity(4096));
        group.bench_function("its 0110 back", |bencher| {
            bencher.iter(|| {
                back.clear();
                let asked = asker.decode(black_box(asked), context, &mut spans).ok()?;
                let answer = party.decode(black_box(answer), context, &mut other).ok()?;
                asker.carry_answer(&asked, &party, &answer, &carriage, &mut back).ok()
            });
        });
        group.finish();
    }
}

/// The same message read and written again, by ours and by the other codec. Ours reads in place and copies into a
/// buffer that is used again; the other keeps each value by itself.
fn beside_another_codec(criterion: &mut Criterion) {
    let dialect = oracle_spec::ours();
    let values: Vec<(u8, Value<'_>)> = ISO87_PURCHASE.iter().map(|(f, v)| (*f, Value::Text(v))).collect();
    let mut message = Vec::new();
    dialect.compose_message(100, &values, Bitmaps::AS_NEEDED, &mut message).expect("a right message");
    let mut group = criterion.benchmark_group("the same message decoded and encoded");
    group.throughput(Throughput::Elements(1));
    let (mut spans, mut out) = (Spans::default(), Vec::with_capacity(4096));
    let again = |message: &[u8], spans: &mut Spans, out: &mut Vec<u8>| {
        out.clear();
        let Ok(view) = View::parse(dialect.layout(), message, spans) else { return };
        let mut builder =
            Builder::begin(dialect.layout(), out, view.mti(), view.fields(), Bitmaps::AS_NEEDED);
        let written = view.fields().iter().all(|field| builder.copy(&view, field).is_ok());
        black_box(written);
        builder.finish();
    };
    again(&message, &mut spans, &mut out);
    assert_eq!(out, message);
    group.bench_function("turnpike", |bencher| {
        bencher.iter(|| {
            again(black_box(&message), &mut spans, &mut out);
            out.len()
        });
    });
    let oracle = spec("");
    let theirs = |mut owned: Vec<u8>| oracle.parse(&mut owned).ok().and_then(|read| read.assemble().ok());
    assert_eq!(theirs(message.clone()), Some(message.clone()));
    group.bench_function("iso8583_rs", |bencher| {
        bencher.iter_batched(|| message.clone(), theirs, BatchSize::SmallInput);
    });
    group.finish();
}

criterion_group!(benches, codec, carried, beside_another_codec);

/// The other codec reads its specification once a process, from the file that an environment variable names: the
/// benchmark runs itself again with that variable set.
fn main() -> ExitCode {
    if std::env::var_os(SPECIFICATION).is_some() {
        benches();
        Criterion::default().configure_from_args().final_summary();
        return ExitCode::SUCCESS;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("specification.yaml");
    std::fs::write(&file, oracle_spec::specification(&oracle_spec::ours())).expect("a file");
    let mut again = Command::new(std::env::current_exe().expect("this benchmark"));
    let status = again.args(std::env::args_os().skip(1)).env(SPECIFICATION, &file).status().expect("it runs");
    if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
