//! Another codec as oracle: of well-formed frames `iso8583_rs` and ours read the same fields, and write the same bytes.
//!
//! It reads its specification once a process, from the file that an environment variable names, so that the test runs
//! itself again with that variable set. It stops the process on input that it does not expect, which is why it sees
//! right frames only, and why it is no dependency of the daemon.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails where it stands")]

mod oracle_spec;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::process::Command;

use iso8583_rs::iso8583::iso_spec::Spec;
use iso8583_rs::iso8583::iso_spec::new_msg;
use iso8583_rs::iso8583::iso_spec::spec;
use oracle_spec::MTIS;
use oracle_spec::SPECIFICATION;
use oracle_spec::fields;
use oracle_spec::ours;
use oracle_spec::specification;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::prop;
use proptest::test_runner::Config;
use proptest::test_runner::RngAlgorithm;
use proptest::test_runner::TestRng;
use proptest::test_runner::TestRunner;
use turnpike::dialect::Dialect;
use turnpike::iso8583::spec::Bitmaps;
use turnpike::iso8583::spec::Content;
use turnpike::iso8583::spec::FieldSpec;
use turnpike::iso8583::spec::Length;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::view::Spans;
use turnpike::iso8583::view::View;

const CASES: u32 = 1_000;
/// Longest content that is made: the oracle's time grows with it.
const UNITS_MAX: usize = 120;

/// A value that the field takes, of any length that it may have.
fn value(spec: FieldSpec) -> impl Strategy<Value = String> {
    let most = usize::from(spec.max());
    let least = if matches!(spec.length, Length::Fixed(_)) { most } else { 1 };
    let most = most.min(UNITS_MAX.max(least));
    let per_unit = if spec.content == Content::Binary { 2 } else { 1 };
    let characters: &[u8] = match spec.content {
        Content::Numeric | Content::Signed => b"0123456789",
        Content::Track => b"0123456789=D",
        Content::Text => b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz -/.,+*\\",
        Content::Binary => b"0123456789ABCDEF",
    };
    let length = least * per_unit..=most * per_unit;
    let drawn = prop::collection::vec(prop::sample::select(characters), length);
    drawn.prop_map(move |mut bytes| {
        if let (Content::Signed, Some(sign)) = (spec.content, bytes.first_mut()) {
            *sign = if *sign % 2 == 0 { b'C' } else { b'D' };
        }
        String::from_utf8(bytes).expect("ASCII")
    })
}

/// An MTI and the values of some fields.
fn message(dialect: &Dialect) -> impl Strategy<Value = (u16, BTreeMap<u8, String>)> + use<> {
    let some = prop::sample::subsequence(fields(dialect), 1..24);
    let values = some.prop_flat_map(|chosen| {
        let values: Vec<_> = chosen.into_iter().map(|(field, spec)| (Just(field), value(spec))).collect();
        values
    });
    (prop::sample::select(&MTIS[..]), values).prop_map(|(mti, values)| (mti, values.into_iter().collect()))
}

/// What the oracle reads of a message; it stops where it does not understand.
fn read_by_oracle(oracle: &'static Spec, bytes: &[u8], fields: &[u8]) -> Option<BTreeMap<u8, String>> {
    let mut owned = bytes.to_vec();
    let read = catch_unwind(AssertUnwindSafe(|| oracle.parse(&mut owned).ok()));
    let message = read.ok().flatten()?;
    let values = fields.iter().map(|field| Some((*field, message.bmp_child_value(u32::from(*field)).ok()?)));
    values.collect()
}

fn same(ours: &str, theirs: &str) -> bool {
    ours.eq_ignore_ascii_case(theirs)
}

fn compare(dialect: &Dialect, oracle: &'static Spec, mti: u16, values: &BTreeMap<u8, String>) {
    let borrowed: Vec<(u8, Value<'_>)> = values.iter().map(|(f, v)| (*f, Value::Text(v))).collect();
    let mut written = Vec::new();
    dialect
        .compose_message(mti, &borrowed, Bitmaps::AS_NEEDED, &mut written)
        .unwrap_or_else(|error| panic!("{error}"));
    // Ours is read by both.
    let mut spans = Spans::default();
    let view = View::parse(dialect.layout(), &written, &mut spans)
        .unwrap_or_else(|broken| panic!("{}", broken.error));
    let present: Vec<u8> = view.fields().iter().collect();
    assert_eq!(present, values.keys().copied().collect::<Vec<u8>>());
    let theirs = read_by_oracle(oracle, &written, &present).expect("the oracle reads what we write");
    for (field, value) in values {
        let ours = dialect.value(&view, *field).expect("a field that is there");
        assert_eq!(&ours, value, "field {field}");
        assert!(same(&ours, &theirs[field]), "field {field}: the oracle reads {}", theirs[field]);
    }
    // What the oracle writes of the same values are the same bytes.
    let segment = oracle.get_message_from_header(&format!("{mti:04}")).expect("a message of this type");
    let mut message = new_msg(oracle, segment);
    message.set("message_type", &format!("{mti:04}")).expect("a type");
    for (field, value) in values {
        message.set_on(u32::from(*field), value).expect("a value");
    }
    assert_eq!(message.assemble().expect("bytes"), written);
}

#[test]
fn well_formed_messages_are_the_same_to_another_codec() {
    if std::env::var_os(SPECIFICATION).is_none() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("specification.yaml");
        std::fs::write(&file, specification(&ours())).expect("a file");
        let mut again = Command::new(std::env::current_exe().expect("this test"));
        again.args(["--exact", "well_formed_messages_are_the_same_to_another_codec", "--nocapture"]);
        let output = again.env(SPECIFICATION, &file).output().expect("it runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.contains(&format!("{CASES} messages compared")), "{said}");
        return;
    }
    let (dialect, oracle) = (ours(), spec(""));
    // Equal in every run: a difference that is found stays found.
    let chance = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, chance);
    let compared = std::cell::Cell::new(0);
    let result = runner.run(&message(&dialect), |(mti, values)| {
        compare(&dialect, oracle, mti, &values);
        compared.set(compared.get() + 1);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    println!("{} messages compared", compared.get());
}
