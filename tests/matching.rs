//! What a party's answers are known by: over real sockets with one key and another, and `turnpike match` over captures.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::io::Write;
use std::net::TcpListener;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use harness::House;
use harness::Message;
use harness::PURCHASE;
use harness::Peer;
use harness::SEED;
use harness::Values;
use harness::dialect;
use harness::eventually;
use harness::frame;
use harness::seed;
use harness::with;
use serde_json::Value as Json;
use turnpike::iso8583::digits::hex_text;

/// A card that is not ours, and routed to the processor.
const CARD: &str = "5204740000001010";
const ANOTHER: &str = "5204740000001028";

/// A daemon with a processor behind it.
struct Desk {
    house: House,
    network: Peer,
    there: Peer,
    _directory: tempfile::TempDir,
}

impl Desk {
    fn new(name: &str, forward: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let text = format!(
            "[links.processor]\ndialect = \"{name}\"\nconnect = [\"{address}\"]\n\
             [links.processor.forward]\nagain_ms = 100\nagain_max_ms = 200\n{forward}\n\
             [routes.processor]\niin = [\"520474\"]\nto = [\"processor\"]\n"
        );
        let directory = tempfile::tempdir().expect("a directory");
        let config = harness::config_with(directory.path(), &text);
        let house = House::start(&config, Some(&seed(SEED))).expect("a start");
        let network = house.connect("visa");
        let (socket, _) = listener.accept().expect("the daemon connects");
        let there = Peer::over(dialect(name), socket);
        let desk = Self { house, network, there, _directory: directory };
        eventually("the processor is connected", || desk.switch()["up"] == true);
        desk
    }

    fn switch(&self) -> Json {
        self.house.json("/v1/links/processor")["switch"].clone()
    }

    fn cases(&self, kind: &str) -> u64 {
        self.switch()["cases"][kind].as_u64().unwrap_or(u64::MAX)
    }

    /// The newest case.
    fn case(&self) -> Json {
        let cases = self.house.json("/v1/links/processor/cases");
        cases["cases"].as_array().and_then(|cases| cases.last()).cloned().unwrap_or_default()
    }

    /// A request as the processor gets it.
    fn asks(&mut self, changes: &Values<'_>) -> Message {
        self.network.send(100, &with(&with(PURCHASE, &[(2, CARD)]), changes));
        self.there.receive().expect("a request")
    }

    fn reply(&mut self, request: &Message, changes: &Values<'_>) {
        let values = echoed(request);
        self.there.send(request.mti - request.mti % 2 + 10, &with(&values, changes));
    }

    fn told(&mut self) -> Message {
        self.network.receive().expect("an answer")
    }

    fn end(self) {
        let Self { house, network, there, .. } = self;
        drop((network, there));
        house.drain();
    }
}

/// What a processor echoes.
fn echoed(request: &Message) -> Vec<(u8, &str)> {
    let echoed = [2, 3, 4, 6, 7, 11, 32, 37, 41, 42, 49, 51, 90];
    let values = request.values.iter().filter(|(field, _)| echoed.contains(field));
    values.map(|(field, value)| (*field, value.as_str())).collect()
}

const PATIENT: &str = "timeout_ms = 30000";

/// What an answer changes, or leaves out, and whether it is one with a key of these elements.
type Row<'v> = (&'v str, &'v [(u8, &'v str)], bool);

#[test]
fn r30_a_key_says_what_an_answer_must_agree_in_and_what_not() {
    let other: &[(u8, &str)] = &[(37, "REF999999999")];
    let table: [Row<'_>; 14] = [
        // By default everything that an answer has, and nothing that it has not.
        ("", other, false),
        ("", &[(37, ""), (41, ""), (32, ""), (7, "")], true),
        ("match_on = [7, 11, 32, 41]", other, true),
        ("match_on = [7, 11, 32, 41]", &[(41, "TERMID99")], false),
        ("match_on = [7, 11, 32, 37]", &[(41, "TERMID99")], true),
        ("match_on = [7, 11, 32, 37]", &[(41, "")], true),
        ("match_on = [11, 37]", &[(7, "0101000000")], true),
        ("match_on = [7, 11, 37]", &[(7, "0101000000")], false),
        ("match_on = [7, 11, 37]", &[(32, "99")], true),
        ("match_on = [11, 32]", &[(32, "99")], false),
        // What is named must be there.
        ("match_on = [7, 11, 37]", &[(37, "")], false),
        ("match_on = [7, 11]", &[(37, ""), (41, ""), (32, "")], true),
        // Whatever the key: nothing answers another DE 11, or approves what was not asked for.
        ("match_on = [11]", &[(11, "888888")], false),
        ("match_on = [11]", &[(4, "000000004999")], false),
    ];
    for (key, changes, is_answer) in table {
        let mut desk = Desk::new("iso87-ascii", &format!("{PATIENT}\n{key}"));
        let asked = desk.asks(&[]);
        desk.reply(&asked, &[changes, &[(38, "A1B2C3"), (39, "00")]].concat());
        if !is_answer {
            eventually("it is a case", || desk.cases("mismatch") + desk.cases("orphan") == 1);
            let case = desk.case();
            assert_eq!(case["differs_in"], changes[0].0, "{key} {changes:?}: {case}");
            desk.reply(&asked, &[(38, "A1B2C3"), (39, "00")]);
        }
        assert_eq!(desk.told().outcome(), (110, "00"), "{key} {changes:?}");
        let cases = desk.cases("mismatch") + desk.cases("orphan");
        assert_eq!(cases, u64::from(!is_answer), "{key} {changes:?}");
        desk.end();
    }
}

#[test]
fn r12_an_answer_in_part_says_so_or_is_none() {
    // DE 4, DE 6 and DE 39 of answers, and the element in which they are none.
    let table = [
        ("000000004999", "000000003999", "10", None),
        ("000000005000", "000000004000", "00", None),
        ("000000000000", "000000000000", "51", None),
        ("000000004999", "000000004000", "00", Some(4)),
        ("000000005001", "000000004000", "10", Some(4)),
        ("000000005000", "000000003999", "00", Some(6)),
        ("000000005000", "000000004001", "10", Some(6)),
        ("000000005000", "000000004001", "51", Some(6)),
    ];
    for (key, to) in [("", "visa"), ("match_on = [11]", "iso87-ascii")] {
        let mut desk = Desk::new(to, &format!("{PATIENT}\n{key}"));
        for (n, (amount, billing, code, differs)) in (1..).zip(table) {
            let (stan, reference) = (format!("{n:06}"), format!("REF{n:09}"));
            let asked = desk.asks(&[(6, "000000004000"), (51, "978"), (11, &stan), (37, &reference)]);
            assert_eq!((asked.value(6), asked.value(51)), ("000000004000", "978"), "{to}");
            let before = desk.cases("mismatch");
            desk.reply(&asked, &[(4, amount), (6, billing), (38, "A1B2C3"), (39, code)]);
            if let Some(element) = differs {
                eventually("it is a case", || desk.cases("mismatch") == before + 1);
                assert_eq!(desk.case()["differs_in"], element, "{to} {amount} {billing} {code}");
                desk.reply(&asked, &[(39, "05")]);
            }
            let code = if differs.is_some() { "05" } else { code };
            assert_eq!(desk.told().outcome(), (110, code), "{to} {amount} {billing}");
        }
        desk.end();
    }
}

#[test]
fn r30_answers_that_are_mixed_up_are_counted_with_the_one_that_they_fit() {
    let mut desk = Desk::new("iso87-ascii", PATIENT);
    let one = desk.asks(&[]);
    let other = desk.asks(&[(2, ANOTHER), (11, "000002"), (37, "REF000000002"), (41, "TERMID02")]);
    // All of the first, under the name of the second.
    desk.reply(&one, &[(11, other.value(11)), (7, other.value(7)), (38, "A1B2C3"), (39, "00")]);
    eventually("it is a case", || desk.cases("collision") == 1);
    let case = desk.case();
    assert_eq!((&case["kind"], &case["differs_in"]), (&"collision".into(), &37.into()));
    assert_eq!((&case["nearest_rrn"], &case["fits_stan"]), (&"REF000000002".into(), &one.value(11).into()));
    // Under the name of nothing.
    desk.reply(&other, &[(11, "777777"), (39, "05")]);
    eventually("it is a case", || desk.cases("orphan") == 1);
    let case = desk.case();
    assert_eq!((&case["differs_in"], &case["fits_stan"]), (&11.into(), &other.value(11).into()));
    assert_eq!(case["nearest_rrn"], "REF000000002");
    let counted = "turnpike_switch_cases_total{link=\"processor\",case=\"collision\"}";
    assert_eq!(desk.house.metric(counted), 1);
    for (request, code) in [(&other, "51"), (&one, "00")] {
        desk.reply(request, &[(38, "A1B2C3"), (39, code)]);
        assert_eq!(desk.told().outcome(), (110, code));
    }
    desk.end();
}

#[test]
fn r29_a_late_answer_is_known_by_the_same_key() {
    // What the party changes, the key, and whether its late decline is of the request.
    let changed: &Values<'_> = &[(37, "REF999999999")];
    let table: [(&Values<'_>, &str, bool); 4] = [
        (changed, "", false),
        (changed, "match_on = [7, 11]", true),
        (&[(7, "0101000000")], "match_on = [11, 37]", true),
        (&[(7, ""), (37, "REF999999999")], "match_on = [11, 37]", false),
    ];
    for (changes, key, is_of_it) in table {
        let mut desk = Desk::new("iso87-ascii", &format!("timeout_ms = 400\n{key}"));
        assert_eq!(desk.house.verb("POST", "/v1/links/processor/queue/pause", "").0, 200);
        let asked = desk.asks(&[]);
        assert_eq!(desk.told().outcome(), (110, "91"));
        eventually("its reversal is stored", || desk.switch()["stored"] == 1);
        desk.reply(&asked, &[changes, &[(39, "05")]].concat());
        let kind = if is_of_it { "late-decline" } else { "mismatch" };
        eventually("it is a case", || desk.cases(kind) == 1);
        assert_eq!(desk.switch()["stored"], u64::from(!is_of_it), "{key} {changes:?}");
        desk.end();
    }
}

#[test]
fn what_a_dialect_has_no_place_for_is_counted_by_its_number() {
    let mut desk = Desk::new("iso87-ascii", PATIENT);
    let counts = |desk: &Desk, link: &str| {
        let switch = desk.house.json(&format!("/v1/links/{link}"))["switch"].clone();
        (switch["elements_dropped"].clone(), switch["elements_dropped_by_number"].clone())
    };
    for n in 1..=2 {
        let (stan, reference) = (format!("{n:06}"), format!("REF{n:09}"));
        let asked = desk.asks(&[(11, &stan), (37, &reference), (48, "PRIVATE"), (104, "C0FFEE")]);
        assert_eq!((asked.value(48), asked.value(104)), ("", ""));
        desk.reply(&asked, &[(44, "A"), (48, "TOLD"), (38, "A1B2C3"), (39, "00")]);
        assert_eq!(desk.told().outcome(), (110, "00"));
    }
    assert_eq!(counts(&desk, "processor"), (4.into(), serde_json::json!({ "48": 2, "104": 2 })));
    assert_eq!(counts(&desk, "visa"), (4.into(), serde_json::json!({ "44": 2, "48": 2 })));
    assert_eq!(counts(&desk, "mastercard").0, 0);
    assert_eq!(desk.house.metric("turnpike_switch_elements_dropped_total{link=\"visa\"}"), 4);
    assert_eq!(desk.switch()["match_on"], serde_json::json!([7, 11, 32, 37, 41]));
    desk.end();
}

// ---- the command

fn run(verb: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
    let piped = command.arg(verb).args(arguments).stdin(Stdio::piped());
    let mut process = piped.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs");
    // It may end without reading.
    let _ = process.stdin.take().expect("a pipe").write_all(input);
    process.wait_with_output().expect("it ends")
}

fn matched(arguments: &[&str], input: &[u8]) -> (Option<i32>, Json) {
    let arguments = [&["--json", "--dialect", "iso87-ascii", "-"], arguments].concat();
    let output = run("match", &arguments, input);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    (output.status.code(), serde_json::from_str(&text).expect("a document"))
}

/// A purchase in a capture: STAN, DE 37 and what else differs from the usual one.
fn asks(stan: &str, reference: &str, changes: &Values<'_>) -> Vec<u8> {
    let named = with(PURCHASE, &[(11, stan), (37, reference)]);
    frame(&dialect("iso87-ascii"), 100, &with(&named, changes))
}

/// Its answer.
fn answers(stan: &str, reference: &str, changes: &Values<'_>) -> Vec<u8> {
    let named = with(PURCHASE, &[(11, stan), (37, reference), (14, ""), (18, ""), (39, "00")]);
    frame(&dialect("iso87-ascii"), 110, &with(&named, changes))
}

/// A reversal of the first purchase, under a name of its own.
fn undo_values<'v>(more: &Values<'v>) -> Vec<(u8, &'v str)> {
    with(&with(PURCHASE, &[(11, "000009"), (37, "REF00000000A")]), more)
}

fn what(report: &Json) -> Vec<&str> {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().filter_map(|finding| finding["what"].as_str()).collect()
}

/// Sixty purchases, three open at a time, with a fault of the party.
fn traffic(change: &Values<'_>) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for n in 0..62_u32 {
        let named = |n: u32| (format!("{n:06}"), format!("REF{n:09}"));
        if n < 60 {
            let (stan, reference) = named(n);
            frames.push(asks(&stan, &reference, &[]));
        }
        if let Some(earlier) = n.checked_sub(2) {
            let (stan, reference) = named(earlier);
            frames.push(answers(&stan, &reference, change));
        }
    }
    frames
}

#[test]
fn a_clean_capture_proves_its_key_and_names_the_strongest() {
    let table: [(&Values<'_>, &str, i32, &[u8]); 6] = [
        (&[], "7,11,32,37,41", 0, &[7, 11, 32, 37, 41]),
        (&[], "7,11", 0, &[7, 11, 32, 37, 41]),
        (&[(41, "")], "7,11,37", 0, &[7, 11, 32, 37]),
        (&[(41, "")], "7,11,37,41", 65, &[7, 11, 32, 37]),
        (&[(37, "REF999999999")], "7,11,41", 0, &[7, 11, 32, 41]),
        (&[(37, "REF999999999")], "7,11,37", 65, &[7, 11, 32, 41]),
    ];
    for (change, key, code, strongest) in table {
        let capture = traffic(change).concat();
        let (found, report) = matched(&["--on", key], &capture);
        assert_eq!(found, Some(code), "{change:?} {key}: {report}");
        assert_eq!((&report["requests"], &report["answers"]), (&60.into(), &60.into()));
        assert_eq!((&report["unique"], &report["right"]), (&true.into(), &(code == 0).into()));
        assert_eq!(report["matched"], if code == 0 { 60 } else { 0 });
        assert_eq!(report["match_on"], serde_json::json!(strongest), "{change:?} {key}");
        let wrong = what(&report);
        assert!(wrong.iter().all(|what| *what == "differs"), "{wrong:?}");
        assert_eq!(
            (wrong.len(), &report["findings_in_all"]),
            (if code == 0 { 0 } else { 60 }, &wrong.len().into())
        );
    }
    // Without a key as much as answers have.
    for (change, code) in [(&[(41, "")], 0), (&[(41, "TERMID99")], 65)] {
        assert_eq!(matched(&[], &traffic(change).concat()).0, Some(code), "{change:?}");
    }
}

#[test]
fn every_element_is_counted_and_no_value_is_shown() {
    let capture = traffic(&[(41, ""), (42, "ANOTHER00000001"), (4, "000000004999"), (39, "10")]).concat();
    let (code, report) = matched(&["--on", "7,11,37"], &capture);
    assert_eq!(code, Some(0), "a part may be approved");
    let element = |number: u8| {
        let elements = report["elements"].as_array().expect("elements");
        let found = elements.iter().find(|element| element["element"] == number).cloned().unwrap_or_default();
        [&found["same"], &found["changed"], &found["absent"]].map(|count| count.as_u64().unwrap_or(u64::MAX))
    };
    let table = [(2, [60, 0, 0]), (11, [60, 0, 0]), (4, [0, 60, 0]), (42, [0, 60, 0]), (41, [0, 0, 60])];
    for (number, counts) in table {
        assert_eq!(element(number), counts, "DE {number}");
    }
    let output = run("match", &["--dialect", "iso87-ascii", "--on", "7,11,37", "-"], &capture);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    for line in [
        "60 requests (0 without an answer, 0 repeats), 60 answers, 0 other messages",
        "key: MTI and DE 7, 11, 37",
        "unique: no two open requests share it",
        "matched: 60 of 60 answers",
        "not in DE 41: they never echo it",
        "match_on = [7, 11, 32, 37]",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    for secret in [harness::PAN, "REF0000", "TERMID01", "MERCHANT"] {
        assert!(!text.contains(secret) && !report.to_string().contains(secret), "{secret}");
    }
}

#[test]
fn what_breaks_a_key_is_found_with_its_place() {
    let a = || asks("000001", "REF00000000A", &[]);
    let b = || asks("000001", "REF00000000B", &[]);
    let c = || asks("000002", "REF00000000C", &[]);
    let of_a = || answers("000001", "REF00000000A", &[]);
    let of_b = || answers("000001", "REF00000000B", &[]);
    let echo = || frame(&dialect("iso87-ascii"), 800, &[(7, "0604123456"), (11, "000001"), (70, "301")]);
    let again =
        || frame(&dialect("iso87-ascii"), 101, &with(PURCHASE, &[(11, "000001"), (37, "REF00000000A")]));
    let undoes = || frame(&dialect("iso87-ascii"), 420, &undo_values(&[]));
    let undone = || frame(&dialect("iso87-ascii"), 430, &undo_values(&[(39, "00")]));
    // Frames, the key, and what is wrong: which frame, what, and the request that it is about.
    type Wrong<'w> = (usize, &'w str, Option<usize>);
    type Row<'w> = (Vec<Vec<u8>>, &'w str, &'w [Wrong<'w>]);
    let table: [Row<'_>; 16] = [
        (vec![a(), b(), of_a(), of_b()], "11,37", &[]),
        (vec![a(), b(), of_a(), of_b()], "7,11,41", &[(1, "collision", Some(0)), (2, "ambiguous", Some(0))]),
        (vec![a(), of_a(), b(), of_b()], "11", &[]),
        (vec![a(), again(), of_a(), again(), of_a()], "11", &[]),
        (vec![a(), echo(), of_a()], "11,37", &[]),
        (vec![a(), of_a(), of_a()], "11,37", &[(2, "answered-before", Some(0))]),
        // An answer once more, which a weak key takes for that to another request.
        (
            vec![a(), of_a(), b(), of_a(), of_b()],
            "11",
            &[(3, "answered-before", Some(0)), (3, "ambiguous", Some(0))],
        ),
        (vec![a(), of_a(), b(), of_a(), of_b()], "11,37", &[(3, "answered-before", Some(0))]),
        (vec![of_a(), a(), of_a()], "11,37", &[(0, "orphan", None)]),
        // A reversal has the reference of what it reverses.
        (vec![a(), of_a(), undoes(), of_a(), undone()], "11,37", &[(3, "answered-before", Some(0))]),
        (vec![a(), undoes(), undone(), of_a()], "11,37", &[]),
        (vec![a(), of_b()], "11,37", &[(1, "differs", Some(0))]),
        // The name of one and the reference of another.
        (vec![a(), c(), answers("000002", "REF00000000A", &[])], "7,11", &[(2, "crossed", Some(1))]),
        (vec![a(), c(), answers("000003", "REF00000000C", &[])], "7,11", &[(2, "crossed", None)]),
        // The right answers come all the same.
        (
            vec![
                a(),
                c(),
                answers("000002", "REF00000000A", &[]),
                answers("000002", "REF00000000C", &[]),
                of_a(),
            ],
            "11,37",
            &[(2, "crossed", Some(1))],
        ),
        (
            vec![a(), answers("000001", "REF00000000A", &[(4, "000000005001")])],
            "11",
            &[(1, "differs", Some(0))],
        ),
    ];
    for (frames, key, expected) in table {
        let offsets: Vec<usize> =
            frames.iter().scan(0, |at, frame| Some(std::mem::replace(at, *at + frame.len()))).collect();
        let expected: Vec<(&str, Json, Json)> = expected
            .iter()
            .map(|(at, what, request)| (*what, offsets[*at].into(), request.map(|n| offsets[n]).into()))
            .collect();
        let pieces: Vec<String> = frames.iter().map(|frame| hex_text(frame)).collect();
        // As one stream of bytes, and as lines of hex.
        for input in [frames.concat(), pieces.join("\n").into_bytes()] {
            let (code, report) = matched(&["--on", key], &input);
            let found: Vec<(&str, Json, Json)> = report["findings"]
                .as_array()
                .expect("findings")
                .iter()
                .map(|found| {
                    let (at, request) = (&found["at"]["offset"], &found["request"]["offset"]);
                    (found["what"].as_str().unwrap_or_default(), at.clone(), request.clone())
                })
                .collect();
            assert_eq!(found, expected, "{key}: {report}");
            assert_eq!(code, Some(if expected.is_empty() { 0 } else { 65 }), "{key}: {report}");
        }
    }
}

#[test]
fn captures_that_are_cut_or_of_both_directions_are_read_as_far_as_they_go() {
    let [a, of_a, b, of_b] = [
        asks("000001", "REF00000000A", &[]),
        answers("000001", "REF00000000A", &[]),
        asks("000002", "REF00000000B", &[]),
        answers("000002", "REF00000000B", &[]),
    ];
    let hex = |bytes: &[u8]| hex_text(bytes);
    let lines = |lines: &[String]| lines.join("\n").into_bytes();
    let all = [a.clone(), of_a.clone(), b.clone(), of_b.clone()].concat();
    let cut = &all[..all.len() - 10];
    let middle = a.len() / 2;
    // The input, its requests and answers, and what is wrong.
    type Row<'w> = (Vec<u8>, (u64, u64), &'w [&'w str]);
    let table: [Row<'_>; 8] = [
        (all.clone(), (2, 2), &[]),
        (cut.to_vec(), (2, 1), &["malformed"]),
        (lines(&[hex(cut)]), (2, 1), &["malformed"]),
        // A message of the other direction between the parts of one.
        (lines(&[hex(&a), hex(&b[..middle]), hex(&of_a), hex(&b[middle..]), hex(&of_b)]), (2, 2), &[]),
        // Messages without framing.
        (lines(&[hex(&a[2..]), hex(&of_a[2..])]), (1, 1), &[]),
        // Its end never comes.
        (lines(&[hex(&b[..middle]), hex(&a), hex(&of_a)]), (1, 1), &["malformed"]),
        // Nonsense between lines, and within a stream.
        (lines(&["FFFF00".to_owned(), hex(&a), hex(&of_a)]), (1, 1), &["malformed"]),
        ([a.clone(), of_a.clone(), vec![0xff; 8], b.clone()].concat(), (1, 1), &["malformed"]),
    ];
    for (n, (input, (requests, answers), wrong)) in table.into_iter().enumerate() {
        let (code, report) = matched(&["--on", "7,11,37"], &input);
        assert_eq!(what(&report), wrong, "{n}: {report}");
        assert_eq!((&report["requests"], &report["answers"]), (&requests.into(), &answers.into()), "{n}");
        assert_eq!(code, Some(if wrong.is_empty() { 0 } else { 65 }), "{n}");
    }
    // Nothing is proved by nothing.
    let (code, report) = matched(&[], &a);
    assert_eq!((code, &report["unique"], &report["match_on"]), (Some(65), &false.into(), &Json::Null));
    let output = run("match", &["--dialect", "iso87-ascii", "-"], b"no hex at all!");
    assert_eq!(output.status.code(), Some(65));
}

#[test]
fn a_long_capture_is_read_in_blocks_and_gives_the_same() {
    // More than a block of bytes, of hex, and of a dump.
    let frames: Vec<Vec<u8>> = (0..12_000_u32)
        .flat_map(|n| {
            let (stan, reference) = (format!("{:06}", n % 1_000_000), format!("REF{n:09}"));
            [asks(&stan, &reference, &[]), answers(&stan, &reference, &[])]
        })
        .collect();
    let hex: Vec<String> = frames.iter().map(|frame| hex_text(frame)).collect();
    let mut dump = String::new();
    for frame in &frames {
        for (n, line) in frame.chunks(16).enumerate() {
            dump += &format!("{:08x}: {}  ...\n", n * 16, hex_text(line));
        }
    }
    let inputs = [frames.concat(), hex.join("\n").into_bytes(), dump.into_bytes()];
    for input in inputs {
        assert!(input.len() > 2 << 20);
        let (code, report) = matched(&["--on", "7,11,37"], &input);
        assert_eq!((code, &report["requests"]), (Some(0), &12_000.into()));
        assert_eq!((&report["matched"], &report["unanswered"]), (&12_000.into(), &0.into()));
    }
    // The last line is wrong: its place is counted over all blocks.
    let wrong = [hex.join("\n"), "zz".to_owned()].join("\n");
    let output = run("match", &["--dialect", "iso87-ascii", "-"], wrong.as_bytes());
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(complained.contains("line 24001 "), "{complained}");
}

#[test]
fn dialect_and_key_come_from_the_link_and_mistakes_have_words() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    let link = |more: &str| {
        format!(
            "[links.there]\ndialect = \"iso87-ascii\"\nlisten = \"127.0.0.1:9000\"\n[links.there.forward]\n{more}\n"
        )
    };
    let (right, weak) =
        (file("right.toml", &link("match_on = [7, 11, 41]")), file("weak.toml", &link("match_on = [11]")));
    let capture = file("capture.hex", &hex_text(&traffic(&[(37, "REF999999999")]).concat()));
    let from = |config: &str, more: &[&str]| {
        let arguments = ["--link", "there", "--config", config, "--file", &capture];
        run("match", &[&arguments, more].concat(), b"").status.code()
    };
    assert_eq!((from(&right, &[]), from(&right, &["--on", "11,37"])), (Some(0), Some(65)));
    for (arguments, code) in [
        (&["--dialect", "iso87-ascii", "--on", "7,37", "00"][..], 2),
        (&["--dialect", "iso87-ascii", "--on", "11,4", "00"], 2),
        (&["--dialect", "none-of-them", "00"], 78),
        (&["--dialect", "iso87-ascii", "--file", "/nowhere"], 65),
        (&["--link", "other", "--config", &right, "00"], 2),
        (&["--link", "there", "00"], 2),
        (&["00"], 2),
    ] {
        assert_eq!(run("match", arguments, b"").status.code(), Some(code), "{arguments:?}");
    }
    // A key that tells a very late answer from none other is right, and worth a word.
    for (config, notes) in [(&right, 0), (&weak, 1)] {
        let output = run("check", &["--config", config], b"");
        let complained = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), complained.lines().count()), (Some(0), notes), "{complained}");
        assert!(notes == 0 || complained.contains(":4:") && complained.contains("neither DE 7 nor DE 37"));
    }
    // What the dialect does not have nobody can agree in.
    let table = include_str!("../src/dialect/tables/iso87-ascii.toml");
    let without = table.lines().filter(|line| !line.starts_with("41 ="));
    // Nor do its answers have it.
    let without: Vec<String> = without.map(|line| line.replace(" 41,", "")).collect();
    let own = file("own.toml", &without.join("\n"));
    let text = link("match_on = [7, 11, 41]")
        .replace("\"iso87-ascii\"", &format!("\"own\"\ndialect_file = \"{own}\""));
    let output = run("check", &["--config", &file("odd.toml", &text)], b"");
    let complained = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(78), "{complained}");
    assert!(complained.contains("`match_on` has DE 41, and the dialect has not"), "{complained}");
}
