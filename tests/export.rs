//! The journal as text, by the real binary: what was sent is what is printed, in both formats, without a card number.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::collections::BTreeMap;
use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;

use harness::House;
use harness::PURCHASE;
use harness::SEED;
use harness::config;
use harness::eventually;
use harness::records_by_kind;
use harness::seed;
use harness::with;
use serde_json::Value as Json;

/// A card number with a right check digit that fits DE 42.
const IN_MERCHANT: &str = "378282246310005";

fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
    command.args(["journal", "export", "--data-dir"]).arg(data).args(arguments);
    command
}

/// Exit code, stdout and stderr.
fn export(data: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = command(data, arguments).output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// Records as name and value in text, those in JSON.
fn from_jsonl(text: &str) -> Vec<BTreeMap<String, String>> {
    let line = |line: &str| {
        let Ok(Json::Object(fields)) = serde_json::from_str(line) else { return BTreeMap::new() };
        let text = |value: Json| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        fields.into_iter().map(|(name, value)| (name, text(value))).collect()
    };
    text.lines().map(line).collect()
}

/// The same from CSV: what is empty is not there.
fn from_csv(text: &str) -> Vec<BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().expect("a line of names").clone();
    let record = |record: csv::StringRecord| {
        let pairs = names.iter().zip(record.iter()).filter(|(_, value)| !value.is_empty());
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    reader.records().map(|line| record(line.expect("as many cells as names"))).collect()
}

/// Sends one message of each kind, and returns when all of it is on disk.
fn messages_of_every_kind(house: &House) {
    let mut peer = house.connect("iso87");
    let original = (90, "010000000106041234561234567890100000000000");
    let table: [(u16, &harness::Values<'_>, &str); 8] = [
        (100, &[(42, IN_MERCHANT), (41, "A,\"B\" C")], "00"),
        (101, &[(42, IN_MERCHANT), (41, "A,\"B\" C")], "00"),
        (200, &[(11, "000002"), (37, "REF000000002"), (22, "051"), (19, "276")], "00"),
        (100, &[(11, "000003"), (37, "REF000000003"), (4, "000009900000")], "51"),
        (100, &[(11, "000004"), (37, "REF000000004"), (2, "4929183746501828")], "14"),
        (120, &[(11, "000005"), (37, "REF000000005"), (39, "00"), (38, "STIP01")], "00"),
        (420, &[(11, "000006"), original, (41, "A,\"B\" C")], "00"),
        (620, &[(11, "000007")], "00"),
    ];
    for (mti, changes, code) in table {
        assert_eq!(peer.ask(mti, &with(PURCHASE, changes)).value(39), code, "{mti:04} {changes:?}");
    }
    house.set_status(2, "frozen");
}

/// A kind of record, which one of it, and what some of its columns hold.
type Expected<'e> = (&'e str, usize, &'e [(&'e str, &'e str)]);

#[test]
fn what_was_sent_is_printed_in_both_formats_without_a_card_number() {
    let (house, directory) = House::fresh(|_| {});
    messages_of_every_kind(&house);
    // While the daemon runs, and once it has ended.
    let running = export(directory.path(), &[]);
    house.drain();
    let (code, jsonl, told) = export(directory.path(), &[]);
    assert_eq!((running.0, code), (Some(0), Some(0)), "{} {told}", running.2);
    assert_eq!(running.1, jsonl);
    let records = from_jsonl(&jsonl);
    let in_journal: u64 = records_by_kind(directory.path()).values().sum();
    assert_eq!(records.len() as u64, in_journal);
    assert!(
        told.contains(&format!("{in_journal} records, up to record {in_journal}: the journal ends")),
        "{told}"
    );
    let (code, csv, _) = export(directory.path(), &["--format", "csv"]);
    assert_eq!((code, from_csv(&csv)), (Some(0), records.clone()), "both say the same");
    for text in [&jsonl, &csv] {
        let cards = SEED.lines().filter_map(|line| line.split(',').nth(4));
        for card in cards.chain(["4929183746501828", IN_MERCHANT]) {
            assert!(!text.contains(card), "{card} in {text}");
        }
        assert!(text.contains("378282*****0005") && text.contains("411111******1111"), "{text}");
    }
    let of = |kind: &str| -> Vec<_> { records.iter().filter(|record| record["kind"] == kind).collect() };
    let expected: [Expected<'_>; 11] = [
        ("configured", 0, &[("answers_per_slot", "64"), ("closed_per_slot", "32")]),
        ("seeded", 1, &[("lines", "8"), ("complete", "true")]),
        ("card-opened", 0, &[("wallet", "1"), ("pan", "411111******1111"), ("expiry", "3012")]),
        ("account-funded", 1, &[("wallet", "2"), ("amount", "5000"), ("overdraft", "500")]),
        (
            "decided",
            0,
            &[
                ("class", "authorization"),
                ("repeat", "false"),
                ("stan", "000001"),
                ("transmission", "0604123456"),
                ("acquirer", "12345678901"),
                ("rrn", "REF000000001"),
                ("terminal", "A,\"B\" C"),
                ("processing_code", "000000"),
                ("mcc", "5999"),
                ("amount", "5000"),
                ("currency", "840"),
                ("action", "approved"),
                ("effect", "hold"),
                ("effect_amount", "5000"),
                ("posted_before", "100000"),
                ("held_before", "0"),
            ],
        ),
        (
            "decided",
            1,
            &[("class", "financial"), ("effect", "post"), ("country", "276"), ("entry_mode", "051")],
        ),
        ("decided", 2, &[("action", "insufficient-funds"), ("effect", "none"), ("held_before", "5000")]),
        ("decided", 3, &[("action", "unknown-card"), ("pan", "492918******1828")]),
        ("advised", 0, &[("approved", "true"), ("approval_code", "STIP01"), ("effect", "hold")]),
        ("reversed", 0, &[("original_stan", "000001"), ("advice", "true"), ("legs", "both")]),
        ("wallet-status-set", 0, &[("wallet", "2"), ("status", "frozen")]),
    ];
    for (kind, nth, fields) in expected {
        for (name, value) in fields {
            assert_eq!(of(kind)[nth].get(*name).map_or("", String::as_str), *value, "{kind} {nth}: {name}");
        }
    }
    assert_eq!((of("decided").len(), of("noted").len()), (4, 1));
    assert_eq!(of("reversed")[0]["undoes"], of("decided")[0]["sequence"], "the reversal names what it undid");
    assert!(of("decided")[0]["time"].ends_with('Z') && of("decided")[0].contains_key("approval_code"));
}

#[test]
fn records_are_chosen_by_number_and_kind() {
    let (house, directory) = House::fresh(|_| {});
    messages_of_every_kind(&house);
    house.drain();
    let numbers = |arguments: &[&str]| -> (Option<i32>, Vec<String>) {
        let (code, text, _) = export(directory.path(), arguments);
        (code, from_jsonl(&text).into_iter().map(|record| record["sequence"].clone()).collect())
    };
    assert_eq!(
        numbers(&["--from", "4", "--to", "6"]),
        (Some(0), ["4", "5", "6"].map(str::to_owned).to_vec())
    );
    assert_eq!(numbers(&["--kind", "configured"]), (Some(0), vec!["1".to_owned()]));
    assert_eq!(numbers(&["--from", "100000"]), (Some(0), Vec::new()));
    assert_eq!(numbers(&["--from", "7", "--to", "6"]), (Some(2), Vec::new()));
    assert_eq!(numbers(&["--kind", "nothing"]), (Some(2), Vec::new()));
    fs::remove_dir_all(directory.path().join("journal")).expect("there is one");
    assert_eq!(numbers(&[]).0, Some(65));
}

/// A directory whose journal has two segments: a start each.
fn two_segments() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path(), |_| {});
    House::start(&config, Some(&seed(SEED))).expect("a start").drain();
    House::start(&config, None).expect("a start").drain();
    directory
}

#[test]
fn a_journal_whose_first_segments_were_recycled_is_printed_from_where_it_begins() {
    let directory = two_segments();
    let (_, whole, _) = export(directory.path(), &["--kind", "configured"]);
    fs::remove_file(directory.path().join("journal/00000001.seg")).expect("a segment");
    let (code, rest, told) = export(directory.path(), &[]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(rest.lines().next(), whole.lines().last(), "it begins with the second start");
    assert!(told.contains("the journal begins with record"), "{told}");
}

#[test]
fn damage_ends_it_with_what_is_before() {
    let directory = two_segments();
    let path = directory.path().join("journal/00000001.seg");
    let mut bytes = fs::read(&path).expect("a segment");
    // In a record of the first batch.
    bytes[4096 + 100] ^= 1;
    fs::write(&path, bytes).expect("a segment");
    let (code, printed, told) = export(directory.path(), &[]);
    assert_eq!((code, printed.as_str()), (Some(65), ""), "{told}");
    assert!(
        told.contains("stopped before record 1: ") && told.contains("is damaged at offset 4096"),
        "{told}"
    );
}

#[test]
fn a_reader_that_goes_away_ends_it_well() {
    let (house, directory) = House::fresh(|_| {});
    let mut peer = house.connect("visa");
    // More than a pipe holds.
    for n in 0..400 {
        let (stan, rrn) = (format!("{n:06}"), format!("G{n:011}"));
        peer.ask(100, &with(PURCHASE, &[(4, "000000000001"), (11, &stan), (37, &rrn)]));
    }
    eventually("it is on disk", || {
        let pipeline = &house.daemon().face.pipeline;
        pipeline.durable() == pipeline.appended()
    });
    for format in ["jsonl", "csv"] {
        let mut child = command(directory.path(), &["--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut first = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut first).expect("a line");
        assert!(first.contains("sequence"), "{first}");
        let mut told = String::new();
        child.stderr.take().expect("its diagnostics").read_to_string(&mut told).expect("text");
        assert_eq!((child.wait().expect("it ends").code(), told.as_str()), (Some(0), ""), "{format}");
    }
}

#[test]
fn every_column_is_described() {
    let directory = two_segments();
    let (_, csv, _) = export(directory.path(), &["--format", "csv", "--kind", "noted"]);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/export.md");
    let document = fs::read_to_string(path).expect("a document");
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | "));
    let described: Vec<&str> =
        rows.flat_map(|(names, _)| names.trim_end_matches('`').split("`, `")).collect();
    assert_eq!(described.join(","), csv.trim_end());
}
