//! Posting of clearing files over HTTP, after messages over sockets (R14, R15, R20): what becomes of each record, and
//! that neither a second file nor a crash posts anything twice.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use harness::House;
use harness::PAN;
use harness::PURCHASE;
use harness::Values;
use harness::config;
use harness::http_get;
use harness::with;
use serde_json::Value as Json;
use turnpike::clearing::Alphabet;
use turnpike::clearing::Format;
use turnpike::clearing::Separator;
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

/// Visa DE 62.2 of the purchase, and what clearing says of it.
const VISA_ID: (u8, &str) = (62, "40000000000000000123456789012345");
const REFERENCE: u64 = 123_456_789_012_345;
/// Another purchase's.
const VISA_OTHER_ID: (u8, &str) = (62, "40000000000000000123456789012399");
const OTHER_REFERENCE: u64 = 123_456_789_012_399;
/// 63.1, and 63.3 = 3900: an increment.
const INCREMENT: (u8, &str) = (63, "A0000000023900");
const APPROVED: (u8, &str) = (39, "00");

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::new(840).expect("a currency"))
}

fn pan(digits: &str) -> Pan {
    Pan::from_ascii(digits.as_bytes()).expect("a card number")
}

/// An acquirer's reference number.
fn arn(number: u64) -> Arn {
    let digits = format!("2444500{number:016}");
    Arn::new(*digits.as_bytes().first_chunk().expect("23 digits")).expect("digits")
}

/// The record of a purchase of 50.00 on wallet 1.
fn record(number: u64) -> Presentment {
    Presentment {
        network: NameId::of("visa"),
        function: function(Purpose::Purchase, false),
        part: Part::Whole,
        pan: pan(PAN),
        arn: arn(number),
        amount: usd(5_000),
        billing: None,
        settlement: None,
        authorized: None,
        approval_code: None,
        network_reference: REFERENCE,
        rrn: Text::BLANK,
        stan: None,
        terminal: Text::BLANK,
        merchant: Text::from_ascii(b"MERCHANT0000001"),
        mcc: 5999,
        country: Text::from_ascii(b"US"),
        acquirer: InstitutionId(444_500),
        local_date: Some(day()),
        local_time: None,
    }
}

fn function(purpose: Purpose, reversal: bool) -> Function {
    let code = match purpose {
        Purpose::Purchase => 501,
        Purpose::Refund => 601,
        Purpose::Cash => 701,
        Purpose::OriginalCredit => 621,
    };
    Function { purpose, reversal, usage: Usage::First, code: code + if reversal { 2_000 } else { 0 } }
}

fn day() -> Day {
    Day::new(2026, 6, 4).expect("a day")
}

fn file(format: Format, records: &[Presentment]) -> Vec<u8> {
    let mut writer = Writer::new(format, "visa", day(), 1);
    let mut out = Vec::new();
    writer.begin(&mut out);
    for record in records {
        writer.presentment(record, &mut out).expect("the format has it all");
    }
    writer.end_batch(&mut out);
    writer.finish(&mut out);
    out
}

/// Sends a file. Status and body of the answer.
fn send(admin: SocketAddr, query: &str, bytes: &[u8]) -> (u16, Json) {
    let mut socket = TcpStream::connect(admin).expect("the face listens");
    let head = format!(
        "POST /v1/clearing{query} HTTP/1.1\r\nHost: turnpike\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        bytes.len()
    );
    socket.write_all(head.as_bytes()).expect("it reads");
    // It may have seen enough before the end.
    let _cut = socket.write_all(bytes);
    let mut answer = String::new();
    let _ended = socket.read_to_string(&mut answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).expect("JSON"))
}

fn json(admin: SocketAddr, path: &str) -> Json {
    let (status, body) = http_get(admin, path);
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).expect("JSON")
}

/// Sends a file and waits until its posting has ended. How it stands then.
fn post(admin: SocketAddr, bytes: &[u8]) -> Json {
    let (status, state) = send(admin, "?explain=all", bytes);
    assert_eq!(status, 202, "{state}");
    ended(admin, &state)
}

fn ended(admin: SocketAddr, state: &Json) -> Json {
    let path = format!("/v1/clearing/{}", state["file"].as_str().expect("a file"));
    let limit = Instant::now() + Duration::from_secs(60);
    loop {
        let state = json(admin, &path);
        if state["state"] != "posting" {
            return state;
        }
        assert!(Instant::now() < limit, "it never ends: {state}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The lines of a file's report, without its marks.
fn lines(admin: SocketAddr, state: &Json) -> Vec<Json> {
    let file = state["file"].as_str().expect("a file");
    let (mut from, mut found) = (0, Vec::new());
    loop {
        let (status, body) = http_get(admin, &format!("/v1/clearing/{file}/records?from={from}"));
        assert_eq!(status, 200, "{body}");
        if body.is_empty() {
            return found;
        }
        from += body.len();
        let all = body.lines().map(|line| serde_json::from_str::<Json>(line).expect("JSON"));
        found.extend(all.filter(|line| line.get("mark").is_none()));
    }
}

fn sums_to_zero(house: &House) {
    let audit = house.json("/v1/audit/balance");
    for currency in audit["currencies"].as_array().expect("a list") {
        assert_eq!(currency["sum"], "0", "{currency}");
    }
}

/// The fields of a [`Case`].
type Row<'c> = (&'c str, Vec<(u16, &'c Values<'c>)>, Vec<Presentment>, &'c str, (i64, i64));

/// A message, the records of one file that come after it, and what is posted and held of wallet 1 then.
struct Case<'c> {
    name: &'c str,
    messages: Vec<(u16, &'c Values<'c>)>,
    records: Vec<Presentment>,
    /// What becomes of each record.
    outcomes: &'c str,
    /// What was posted and is held.
    books: (i64, i64),
}

fn check(case: &Case<'_>) {
    let (house, _directory) = House::fresh(|_| {});
    let mut peer = house.connect("visa");
    for (mti, changes) in &case.messages {
        let answer = peer.ask(*mti, &with(PURCHASE, changes));
        assert_eq!(answer.value(39), "00", "{}: {mti:04}", case.name);
    }
    let admin = house.daemon().admin;
    let bytes = file(Format::JsonLines, &case.records);
    let state = post(admin, &bytes);
    let all = lines(admin, &state);
    let outcomes: Vec<&str> = all.iter().map(|line| line["outcome"].as_str().expect("a text")).collect();
    assert_eq!(outcomes.join(" "), case.outcomes, "{}: {all:#?}", case.name);
    let (posted, held) = house.balance(1);
    assert_eq!((posted - 100_000, held), case.books, "{}: {all:#?}", case.name);
    sums_to_zero(&house);
    // The same file again, and the same records in another: nothing changes.
    let again = post(admin, &bytes);
    assert_eq!((&again["state"], &again["done"]), (&"posted".into(), &case.records.len().into()), "{again}");
    assert_eq!(again["tally"], state["tally"], "{}: its report is still there", case.name);
    let other = post(admin, &file(Format::Csv, &case.records));
    assert_eq!(other["tally"]["repeated"], case.records.len(), "{}: {other}", case.name);
    assert_eq!((posted, held), house.balance(1), "{}: twice", case.name);
    drop(peer);
    house.drain();
}

#[test]
fn r14_r20_every_record_has_one_outcome() {
    let hundred: &Values<'_> = &[VISA_ID, (4, "000000010000")];
    let add: &Values<'_> = &[VISA_ID, INCREMENT, (4, "000000002000"), (11, "000002"), (37, "REF000000002")];
    let done: &Values<'_> = &[VISA_ID, APPROVED, (11, "000003"), (37, "REF000000003")];
    let undo: &Values<'_> = &[VISA_ID, (14, ""), (11, "000004")];
    let refund: &Values<'_> = &[VISA_ID, (3, "200000")];
    let part = |number, sequence, minor| Presentment {
        part: Part::Numbered { sequence, count: 3 },
        amount: usd(minor),
        ..record(number)
    };
    let of = |minor, number| Presentment { amount: usd(minor), ..record(number) };
    let reversed = |minor, number| Presentment {
        function: function(Purpose::Purchase, true),
        amount: usd(minor),
        ..record(number)
    };
    let given = |number| Presentment { function: function(Purpose::Refund, false), ..record(number) };
    let unknown = Presentment { pan: pan("4012888888881881"), ..record(1) };
    let foreign = Presentment {
        amount: Money::new(700, Currency::new(392).expect("a currency")),
        network_reference: 0,
        ..record(1)
    };
    let billed = Presentment { billing: Some(usd(4_711)), ..foreign };
    let second = Presentment {
        function: Function { usage: Usage::Second, code: 502, ..function(Purpose::Purchase, false) },
        ..record(1)
    };
    #[rustfmt::skip]
    let table: Vec<Row<'_>> = vec![
        ("a purchase", vec![(100, &[VISA_ID])], vec![record(1)], "captured", (-5_000, 0)),
        ("with a tip", vec![(100, &[VISA_ID])], vec![of(6_000, 1)], "captured", (-6_000, 0)),
        ("less than authorized", vec![(100, hundred)], vec![of(4_000, 1)], "captured", (-4_000, 0)),
        ("with its increment", vec![(100, &[VISA_ID]), (100, add)], vec![of(7_000, 1)], "captured", (-7_000, 0)),
        ("two of one purchase", vec![(100, hundred)], vec![of(4_000, 1), of(6_000, 2)], "captured late", (-10_000, 0)),
        ("in parts, the last to come", vec![(100, hundred)],
         vec![part(1, 1, 3_000), part(2, 2, 3_000)],
         "captured captured", (-6_000, 4_000)),
        ("in parts, all", vec![(100, hundred)],
         vec![part(1, 1, 3_000), part(2, 2, 3_000), part(3, 3, 3_000)],
         "captured captured captured", (-9_000, 0)),
        ("in parts that are more than was held", vec![(100, hundred)],
         vec![part(1, 1, 8_000), part(2, 2, 8_000)],
         "captured captured", (-16_000, 0)),
        ("posted by a message", vec![(200, &[VISA_ID])], vec![record(1)], "already-posted", (-5_000, 0)),
        ("posted by a message, in parts", vec![(200, hundred)],
         vec![part(1, 1, 3_000), part(2, 3, 7_000)],
         "already-posted already-posted", (-10_000, 0)),
        ("posted by a message, twice presented", vec![(200, &[VISA_ID])],
         vec![record(1), record(2)],
         "already-posted late", (-10_000, 0)),
        ("completed by a message", vec![(100, hundred), (220, done)], vec![record(1)], "already-posted", (-5_000, 0)),
        ("reversed before", vec![(100, &[VISA_ID]), (420, undo)], vec![record(1)], "late", (-5_000, 0)),
        ("nothing known", vec![], vec![record(1)], "forced", (-5_000, 0)),
        ("reversed later in the file", vec![(100, &[VISA_ID])],
         vec![record(1), reversed(5_000, 1)],
         "captured returned", (0, 0)),
        ("a reversal of what a message posted", vec![(200, &[VISA_ID])],
         vec![record(1), reversed(5_000, 1)],
         "already-posted returned", (0, 0)),
        ("a reversal before its presentment", vec![(100, &[VISA_ID])],
         vec![reversed(5_000, 1), record(1)],
         "forced captured", (0, 0)),
        ("a reversal of another amount", vec![(100, &[VISA_ID])],
         vec![record(1), reversed(4_000, 1)],
         "captured forced", (-1_000, 0)),
        ("a refund", vec![(100, refund)], vec![given(1)], "captured", (5_000, 0)),
        ("a refund of a purchase", vec![(100, &[VISA_ID])], vec![given(1)], "forced", (5_000, 5_000)),
        ("the same record twice", vec![(100, &[VISA_ID])],
         vec![record(1), record(1)],
         "captured repeated", (-5_000, 0)),
        ("a card of nobody", vec![], vec![unknown], "suspense-unknown-card", (0, 0)),
        ("a currency that the wallet lacks", vec![], vec![foreign], "suspense-currency-not-held", (0, 0)),
        ("the cardholder's currency", vec![], vec![billed], "forced", (-4_711, 0)),
        ("a second presentment", vec![], vec![second], "suspense-second-presentment", (0, 0)),
    ];
    for (name, messages, records, outcomes, books) in table {
        check(&Case { name, messages, records, outcomes, books });
    }
}

#[test]
fn r7_r8_a_record_without_the_networks_id_is_matched_by_approval_code_or_reference() {
    let (house, _directory) = House::fresh(|_| {});
    let mut peer = house.connect("visa");
    let admin = house.daemon().admin;
    let mut code = [0; 6];
    let answer = peer.ask(100, &with(PURCHASE, &[(4, "000000010000")]));
    code.copy_from_slice(answer.value(38).as_bytes());
    let bare = |number, minor, code: Option<[u8; 6]>| Presentment {
        network_reference: 0,
        approval_code: code.map(ApprovalCode),
        amount: usd(minor),
        ..record(number)
    };
    // Too far above what was authorized by less than the network's id: forced, and told what it nearly was.
    let state = post(admin, &file(Format::Csv, &[bare(1, 12_001, Some(code))]));
    let [line] = &lines(admin, &state)[..] else { panic!("one line") };
    assert_eq!(
        (&line["outcome"], &line["near"][0]["differs_in"]),
        (&"forced".into(), &"amount".into()),
        "{line}"
    );
    assert_eq!((state["tally"]["near_misses"].as_u64(), house.balance(1)), (Some(1), (87_999, 10_000)));
    let state = post(admin, &file(Format::Csv, &[bare(2, 12_000, Some(code))]));
    let [line] = &lines(admin, &state)[..] else { panic!("one line") };
    assert_eq!(
        (&line["outcome"], &line["matched_by"]),
        (&"captured".into(), &"approval-code".into()),
        "{line}"
    );
    assert_eq!(
        (&line["above_authorized"], &line["matched"]["held"]),
        (&2_000.into(), &10_000.into()),
        "{line}"
    );
    assert_eq!(house.balance(1), (75_999, 0));
    // By DE 37, DE 41 and DE 42.
    let keys = [(11, "000009"), (37, "REF000000009")];
    assert_eq!(peer.ask(100, &with(PURCHASE, &keys)).value(39), "00");
    let by_reference = Presentment {
        rrn: Text::from_ascii(b"REF000000009"),
        terminal: Text::from_ascii(b"TERMID01"),
        ..bare(3, 5_000, None)
    };
    let state = post(admin, &file(Format::Csv, &[by_reference]));
    assert_eq!(lines(admin, &state)[0]["matched_by"], "reference");
    assert_eq!(house.balance(1), (70_999, 0));
    sums_to_zero(&house);
}

#[test]
fn r15_a_credit_that_was_given_at_once_gets_the_difference() {
    for (cleared, balance) in [(5_000, 105_000), (6_000, 106_000), (4_500, 104_500)] {
        let (house, _directory) =
            House::fresh(|config| config.lifecycle.credits = turnpike::authorizer::CreditsAt::Authorization);
        let mut peer = house.connect("visa");
        let answer = peer.ask(100, &with(PURCHASE, &[VISA_ID, (3, "260000")]));
        assert_eq!((answer.value(39), house.balance(1)), ("00", (105_000, 0)));
        let credit = Presentment {
            function: function(Purpose::OriginalCredit, false),
            amount: usd(cleared),
            ..record(1)
        };
        let back = Presentment { function: function(Purpose::OriginalCredit, true), ..credit };
        let admin = house.daemon().admin;
        let state = post(admin, &file(Format::Csv, &[credit]));
        assert_eq!(lines(admin, &state)[0]["outcome"], "already-posted", "{cleared}");
        assert_eq!(house.balance(1), (balance, 0), "{cleared}");
        let state = post(admin, &file(Format::Csv, &[back]));
        assert_eq!(lines(admin, &state)[0]["outcome"], "returned", "{cleared}");
        assert_eq!(house.balance(1), (100_000, 0), "{cleared}");
        sums_to_zero(&house);
    }
}

#[test]
fn r20_every_format_posts_and_no_card_number_is_in_a_report() {
    let formats = [
        Format::Ipm { alphabet: Alphabet::Ascii, blocked: false, hex_bitmap: false },
        Format::Ipm { alphabet: Alphabet::Ebcdic, blocked: true, hex_bitmap: false },
        Format::BaseTwo { alphabet: Alphabet::Ascii, separator: Separator::LineFeed },
        Format::BaseTwo { alphabet: Alphabet::Ebcdic, separator: Separator::None },
        Format::Csv,
        Format::JsonLines,
    ];
    for format in formats {
        let (house, directory) = House::fresh(|_| {});
        let ipm = matches!(format, Format::Ipm { .. });
        let link = if ipm { "mastercard" } else { "visa" };
        let mut peer = house.connect(link);
        let id: &Values<'_> = if ipm { &[(63, "MCC0000A2"), (15, "0604")] } else { &[VISA_ID] };
        let approval = peer.ask(100, &with(PURCHASE, id));
        let mut code = [0; 6];
        code.copy_from_slice(approval.value(38).as_bytes());
        let of_ipm = Presentment {
            network_reference: turnpike::domain::trace::reference(b"MCC0000A20604").expect("a trace id"),
            approval_code: Some(ApprovalCode(code)),
            function: Function { code: 12_402_000, ..record(1).function },
            country: Text::from_ascii(b"USA"),
            ..record(1)
        };
        let admin = house.daemon().admin;
        let state = post(admin, &file(format, &[if ipm { of_ipm } else { record(1) }]));
        let all = lines(admin, &state);
        assert_eq!(all[0]["outcome"], "captured", "{format:?}: {all:#?}");
        assert_eq!(all[0]["matched_by"], "network-reference", "{format:?}: {all:#?}");
        assert_eq!(house.balance(1), (95_000, 0), "{format:?}");
        let report = directory.path().join("clearing");
        for entry in report.read_dir().expect("the reports") {
            let text = std::fs::read_to_string(entry.expect("an entry").path()).expect("a report");
            assert!(text.contains("411111******1111") && !text.contains(PAN), "{format:?}: {text}");
        }
    }
}

#[test]
fn r20_a_file_that_is_wrong_posts_nothing() {
    let (house, _directory) = House::fresh(|config| config.clearing.file_mib_max = 1);
    let admin = house.daemon().admin;
    let whole = file(Format::Csv, &[record(1), record(2)]);
    let wrong_count = String::from_utf8(whole.clone()).expect("text").replace("end,2,", "end,3,");
    let cut = &whole[..whole.len() / 2];
    let big = [b"network,".as_slice(), &vec![b' '; 2 << 20]].concat();
    let table: [(&str, &[u8], u16, &str); 5] = [
        ("cut in the middle", cut, 422, "nothing of it was posted"),
        ("a wrong count", wrong_count.as_bytes(), 422, "nothing of it was posted"),
        ("nothing", b"", 422, ""),
        ("another kind", b"GIF89a", 422, ""),
        ("too long", &big, 413, "file_mib_max"),
    ];
    for (name, bytes, status, words) in table {
        let (found, body) = send(admin, "", bytes);
        let error = body["error"].as_str().expect("an error");
        assert!(found == status && error.contains(words) && !error.is_empty(), "{name}: {found} {body}");
        assert!(!error.contains(PAN), "{name}: {error}");
        assert_eq!(house.balance(1), harness::FREE, "{name}");
    }
    assert_eq!(send(admin, "?explain=some", &whole).0, 400);
    assert_eq!(http_get(admin, "/v1/clearing/xyz").0, 400);
    assert_eq!(http_get(admin, &format!("/v1/clearing/{:032x}", 7)).0, 404);
    assert_eq!(http_get(admin, &format!("/v1/clearing/{:032x}/records", 7)).0, 404);
    // Whoever begins to send and does not go on holds up nobody for long, and a broken connection not at all.
    let mut half = TcpStream::connect(admin).expect("the face listens");
    let head = "POST /v1/clearing HTTP/1.1\r\nHost: turnpike\r\nContent-Length: 1000\r\n\r\nnetwork,";
    half.write_all(head.as_bytes()).expect("it reads");
    harness::eventually("the half file holds the place", || send(admin, "", &whole).0 == 409);
    drop(half);
    harness::eventually("the place is free again", || send(admin, "", b"GIF89a").0 == 422);
    assert_eq!(post(admin, &whole)["state"], "posted");
}

#[test]
fn what_waits_on_suspense_is_shown_and_outlasts_a_restart() {
    let (house, directory) = House::fresh(|_| {});
    let admin = house.daemon().admin;
    let unknown = |number| Presentment { pan: pan("4012888888881881"), ..record(number) };
    let back = Presentment { function: function(Purpose::Purchase, true), ..unknown(1) };
    let bytes = file(Format::Csv, &[unknown(1), unknown(2), back]);
    let state = post(admin, &bytes);
    assert_eq!(state["tally"]["outcomes"]["suspense-unknown-card"], 3, "{state}");
    let shown = |admin| {
        let page = json(admin, "/v1/suspense");
        let first = page["suspended"][0].clone();
        (page["count"].as_u64(), first["pan"].clone(), first["amount"].clone())
    };
    let expected = (Some(3), "401288******1881".into(), 5_000.into());
    assert_eq!(shown(admin), expected);
    let suspense = |house: &House| house.json("/v1/audit/balance")["currencies"][0]["suspense"].clone();
    assert_eq!(suspense(&house), "-5000");
    sums_to_zero(&house);
    // By way of a snapshot, and of the journal behind it.
    for snapshot in [true, false] {
        let later = file(Format::Csv, &[unknown(if snapshot { 3 } else { 4 })]);
        if snapshot {
            assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
        }
        let _ = post(admin, &later);
    }
    let hash = house.drain().hash;
    let house = House::start(&config(directory.path(), |_| {}), None).expect("a restart");
    let admin = house.daemon().admin;
    assert_eq!(house.json("/v1/audit/balance")["state_hash"]["hash"], hash.to_string());
    assert_eq!((shown(admin).0, suspense(&house)), (Some(5), "-15000".into()));
    let again = post(admin, &bytes);
    assert_eq!((&again["state"], suspense(&house)), (&"posted".into(), "-15000".into()), "{again}");
    sums_to_zero(&house);
}

/// A daemon of its own process, which can be killed.
struct Process {
    child: Child,
    admin: SocketAddr,
}

impl Process {
    fn start(directory: &std::path::Path) -> Self {
        let admin: SocketAddr = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
            listener.local_addr().expect("an address")
        };
        let settings = format!(
            "[daemon]\ndrain_quiet_ms = 50\n[admin]\nlisten = \"{admin}\"\n[ledger]\nwallets_max = 1000\n\
             cards_max = 1000\nauthorizations_max = 100000\nauthorizations_per_card = 400\n[journal]\n\
             segment_mib = 8\nspare_segments = 0\n[links.visa]\ndialect = \"visa\"\nlisten = \"127.0.0.1:0\"\n"
        );
        std::fs::write(directory.join("config.toml"), settings).expect("a configuration");
        let seed = directory.join("seed.csv");
        let child = Command::new(env!("CARGO_BIN_EXE_turnpike"))
            .arg("serve")
            .arg("--config")
            .arg(directory.join("config.toml"))
            .arg("--seed")
            .arg(seed)
            .arg("--data-dir")
            .arg(directory.join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let process = Self { child, admin };
        harness::eventually("it is ready", || {
            TcpStream::connect(admin).is_ok() && http_get(admin, "/readyz").0 == 200
        });
        process
    }

    fn kill(mut self) {
        self.child.kill().expect("a signal");
        self.child.wait().expect("an end");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _ended = self.child.wait();
    }
}

#[test]
fn a_posting_that_is_killed_goes_on_and_posts_nothing_twice() {
    const WALLETS: u64 = 50;
    const RECORDS: u64 = 20_000;
    let directory = tempfile::tempdir().expect("a directory");
    let pan_of = |wallet: u64| format!("400000000000{wallet:04}");
    let seed: String = std::iter::once(harness::HEADING.to_owned())
        .chain((1..=WALLETS).map(|n| format!("{n},840,1000000,0,{},3012,201,active\n", pan_of(n))))
        .collect();
    std::fs::write(directory.path().join("seed.csv"), seed).expect("a seed");
    let records: Vec<Presentment> = (0..RECORDS)
        .map(|n| Presentment {
            pan: pan(&pan_of(n % WALLETS + 1)),
            network_reference: 0,
            amount: usd(1 + n as i64 % 97),
            ..record(n)
        })
        .collect();
    let mut expected = vec![1_000_000_i64; WALLETS as usize];
    for (n, record) in records.iter().enumerate() {
        expected[n % WALLETS as usize] -= record.amount.minor;
    }
    let format = Format::BaseTwo { alphabet: Alphabet::Ascii, separator: Separator::LineFeed };
    let bytes = file(format, &records);
    let (mut kills, mut cut) = (0, 0);
    let state = loop {
        let process = Process::start(directory.path());
        let (status, state) = send(process.admin, "", &bytes);
        assert_eq!(status, 202, "{state}");
        let path = format!("/v1/clearing/{}", state["file"].as_str().expect("a file"));
        if kills < 4 {
            // Each time a little further.
            let aim = RECORDS * (kills + 1) / 5;
            let done = || json(process.admin, &path)["done"].as_u64().expect("a number");
            harness::eventually("it comes further", || done() >= aim);
            cut += u64::from(done() < RECORDS);
            process.kill();
            kills += 1;
            continue;
        }
        break (ended(process.admin, &state), process);
    };
    let (state, process) = state;
    assert!(cut > 0, "it was never killed before its end");
    assert_eq!((&state["state"], &state["done"]), (&"posted".into(), &RECORDS.into()), "{state}");
    for (n, expected) in expected.iter().enumerate() {
        let wallet = json(process.admin, &format!("/v1/wallets/{}", n + 1));
        assert_eq!(wallet["accounts"][0]["posted"], *expected, "wallet {}", n + 1);
    }
    let tally = &state["tally"];
    let told = tally["outcomes"]["forced"].as_u64().unwrap_or(0) + tally["repeated"].as_u64().unwrap_or(0);
    assert_eq!(told + state["tally_from"].as_u64().expect("a number"), RECORDS, "{state}");
}

#[test]
fn r20_what_was_posted_is_known_after_a_restart() {
    for snapshot in [false, true] {
        let (house, directory) = House::fresh(|_| {});
        let records: Vec<Presentment> =
            (0..20).map(|n| Presentment { network_reference: 0, ..record(n) }).collect();
        let first = post(house.daemon().admin, &file(Format::Csv, &records));
        assert_eq!(first["tally"]["outcomes"]["forced"], 20, "{first}");
        if snapshot {
            assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
        }
        house.drain();
        let house = House::start(&config(directory.path(), |_| {}), None).expect("a restart");
        let again = post(house.daemon().admin, &file(Format::JsonLines, &records));
        assert_eq!(again["tally"]["repeated"], 20, "{snapshot}: {again}");
        assert_eq!(house.balance(1), (0, 0));
    }
}

#[test]
fn r9_what_has_left_memory_is_matched_and_posted_once() {
    let (house, directory) = House::fresh(|config| config.ledger.bounds.closed_window_s = 1);
    let mut peer = house.connect("visa");
    let admin = house.daemon().admin;
    let others = [VISA_OTHER_ID, (11, "000007"), (37, "REF000000007")];
    // One that a message posts, one that clearing posts, and one that is reversed.
    assert_eq!(peer.ask(200, &with(PURCHASE, &[VISA_ID])).value(39), "00");
    assert_eq!(peer.ask(100, &with(PURCHASE, &others)).value(39), "00");
    let other = |number| Presentment { network_reference: OTHER_REFERENCE, ..record(number) };
    let first = post(admin, &file(Format::Csv, &[other(1)]));
    assert_eq!(first["tally"]["outcomes"]["captured"], 1, "{first}");
    std::thread::sleep(Duration::from_millis(2_100));
    // What comes next lets go of what is over.
    for n in 0..4 {
        let stan = format!("{:06}", 20 + n);
        let rrn = format!("REF{:09}", 20 + n);
        let fresh = peer.ask(100, &with(PURCHASE, &[(11, &stan), (37, &rrn), (4, "000000000100")]));
        assert_eq!(fresh.value(39), "00");
    }
    let in_memory = house.json("/v1/wallets/1/authorizations");
    let closed = in_memory["authorizations"].as_array().expect("a list").clone();
    assert!(closed.iter().all(|entry| entry["state"] == "held"), "all else has left: {in_memory}");
    let restart = |house: House| {
        house.drain();
        House::start(&config(directory.path(), |_| {}), None).expect("a restart")
    };
    drop(peer);
    let mut house = house;
    for (posted, format) in [(false, Format::JsonLines), (true, Format::Csv)] {
        let admin = house.daemon().admin;
        let back = Presentment { function: function(Purpose::Purchase, true), ..other(1) };
        let state = post(admin, &file(format, &[record(2), other(1), back]));
        let outcomes: Vec<String> = lines(admin, &state)
            .iter()
            .map(|line| line["outcome"].as_str().expect("a text").to_owned())
            .collect();
        let expected = if posted {
            ["repeated", "repeated", "repeated"]
        } else {
            ["already-posted", "repeated", "returned"]
        };
        assert_eq!(outcomes, expected, "{state}");
        assert_eq!(house.balance(1), (95_000, 400), "{state}");
        sums_to_zero(&house);
        house = restart(house);
    }
}

#[test]
fn a_posting_that_is_stopped_in_order_goes_on_where_it_was() {
    const RECORDS: u64 = 3_000;
    let (house, directory) = House::fresh(|_| {});
    let records: Vec<Presentment> =
        (0..RECORDS).map(|n| Presentment { network_reference: 0, amount: usd(1), ..record(n) }).collect();
    let bytes = file(Format::Csv, &records);
    let (status, state) = send(house.daemon().admin, "", &bytes);
    assert_eq!(status, 202, "{state}");
    house.drain();
    let house = House::start(&config(directory.path(), |_| {}), None).expect("a restart");
    let state = post(house.daemon().admin, &bytes);
    let tally = &state["tally"];
    let told = (&tally["outcomes"]["forced"], &tally["repeated"], &state["tally_from"]);
    assert_eq!(told, (&RECORDS.into(), &0.into(), &0.into()), "{state}");
    assert_eq!(house.balance(1), (100_000 - RECORDS as i64, 0));
    sums_to_zero(&house);
}
