//! The metrics of a daemon that has served traffic of every kind: each is in the document with its type and labels, and
//! the other way round; labels take their values from the configuration and the code.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use harness::House;
use harness::LINKS;
use harness::PURCHASE;
use harness::Peer;
use harness::Values;
use harness::eventually;
use harness::frame;
use harness::http;
use harness::network_code;
use harness::reject;
use harness::with;
use turnpike::domain::action::ActionCode;
use turnpike::domain::cleared::Clearance;
use turnpike::domain::forward::Settlement;
use turnpike::domain::moved::Verb;
use turnpike::domain::request::NetworkManagement;
use turnpike::pipeline::notice::Reason;
use turnpike::pipeline::switching::cases::Kind as Case;
use turnpike::pipeline::tally::MTIS;

/// A word that peers put wherever text may stand.
const WORD: &str = "ZYXWVUTS";

/// Type and names of labels.
type Shape = (String, BTreeSet<String>);

/// A metric's name, its labels with their values, and its reading.
type Series = (String, Vec<(String, String)>, String);

/// Every series of a scrape: name, labels, value.
fn series(text: &str) -> Vec<Series> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let series = lines.map(|line| {
        let (head, value) = line.rsplit_once(' ').expect("a value");
        let (name, labels) = head.split_once('{').unwrap_or((head, ""));
        let pairs = labels.trim_end_matches('}').split(',').filter_map(|pair| pair.split_once('='));
        let pairs = pairs.map(|(key, value)| (key.to_owned(), value.trim_matches('"').to_owned()));
        (name.to_owned(), pairs.collect(), value.to_owned())
    });
    series.collect()
}

/// The shapes of what a scrape shows. The parts of a histogram stand for it.
fn shown(text: &str) -> BTreeMap<String, Shape> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let types: BTreeMap<&str, &str> = types.collect();
    let mut shapes: BTreeMap<String, Shape> = BTreeMap::new();
    for (name, labels, _) in series(text) {
        let whole = ["_bucket", "_sum", "_count"].iter().find_map(|part| name.strip_suffix(part));
        let name = whole.filter(|whole| types.get(whole) == Some(&"histogram")).unwrap_or(&name);
        let kind = types.get(name).copied().unwrap_or("without a type");
        let keys = labels.into_iter().map(|(key, _)| key).filter(|key| key != "le");
        let shape = shapes.entry(name.to_owned()).or_insert_with(|| (kind.to_owned(), BTreeSet::new()));
        shape.1.extend(keys);
    }
    shapes
}

/// The shapes that the document lists.
fn listed() -> BTreeMap<String, Shape> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let document = fs::read_to_string(path).expect("a document");
    let mut shapes = BTreeMap::new();
    for row in document.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [name, kind, labels, meaning, ..] = cells[..] else { continue };
        let labels = labels.split(", ").map(|label| label.trim_matches('`').to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        assert!(!meaning.is_empty(), "{name} has no meaning");
        let before = shapes.insert(name.trim_end_matches('`').to_owned(), (kind.to_owned(), labels));
        assert_eq!(before, None, "{name} is listed twice");
    }
    shapes
}

fn management(peer: &mut Peer, what: NetworkManagement, stan: &str) {
    let code = network_code(&peer.dialect, what);
    let answer = peer.ask(800, &[(7, "0604123456"), (11, stan), (70, &code)]);
    assert_eq!(answer.outcome(), (810, "00"));
}

/// Messages of every kind on one link, each with a word of its own where text may stand.
fn traffic(house: &House, link: &str) {
    let mut peer = house.connect(link);
    management(&mut peer, NetworkManagement::SignOn, "000001");
    let table: [(u16, &Values<'_>); 9] = [
        (100, &[(11, "000011"), (37, "REF000000011")]),
        (101, &[(11, "000011"), (37, "REF000000011")]),
        (200, &[(11, "000012"), (37, "REF000000012")]),
        (100, &[(11, "000013"), (37, "REF000000013"), (4, "000009900000")]),
        (100, &[(11, "000014"), (37, "REF000000014"), (52, "0102030405060708")]),
        (120, &[(11, "000015"), (37, "REF000000015"), (39, "00")]),
        (420, &[(11, "000016"), (37, "REF000000011")]),
        (620, &[(11, "000017")]),
        (302, &[(11, "000018")]),
    ];
    for (mti, changes) in table {
        let word = [(41, WORD), (42, WORD), (43, WORD)];
        let answer = peer.ask(mti, &with(&with(PURCHASE, changes), &word));
        assert_eq!(answer.mti, mti + 10 - mti % 2, "{link}: {mti:04}");
    }
    // Without DE 4, an answer to nothing, and a type that nobody serves.
    assert_eq!(peer.ask(100, &with(PURCHASE, &[(4, "")])).mti, 110);
    peer.write(&frame(&peer.dialect, 110, PURCHASE));
    peer.write(&frame(&peer.dialect, 910, PURCHASE));
    management(&mut peer, NetworkManagement::SignOff, "000019");
    let mut lost = house.connect(link);
    lost.write(&[0xff, 0xff, 0, 0]);
    lost.expect_closed();
}

/// What only Visa's messages have: a reject, a frame without a message, an element that nobody knows.
fn traffic_of_visa(house: &House) {
    let mut peer = house.connect("visa");
    peer.write(&frame(&peer.dialect, 100, &with(PURCHASE, &[(11, "000021"), (37, "REF000000021")])));
    let answer = peer.receive_frame().expect("an answer");
    peer.write(&reject(&answer, 0x0555));
    peer.write(&[0, 0, 0, 0]);
    assert_eq!(peer.receive().map(|answer| answer.mti), Some(0), "it comes back");
    let unknown = with(PURCHASE, &[(11, "000022"), (37, "REF000000022"), (129, "C0FFEE")]);
    peer.ask(100, &unknown);
    peer.echo();
    // An echo of ours, which the peer answers.
    std::thread::scope(|scope| {
        let admin = house.daemon().admin;
        let order = scope.spawn(move || http(admin, "POST", "/v1/links/visa/echo", "").0);
        let request = peer.receive().expect("an 0800");
        let stan = request.value(11).to_owned();
        peer.send(810, &[(7, request.value(7)), (11, &stan), (39, "00"), (70, request.value(70))]);
        assert_eq!(order.join().expect("it does not panic"), 200);
    });
}

fn served() -> (House, tempfile::TempDir, String) {
    let (house, directory) = House::fresh(|config| harness::route(config, "999999", "packed"));
    for (link, _) in LINKS {
        traffic(&house, link);
    }
    traffic_of_visa(&house);
    assert_eq!(http(house.daemon().admin, "POST", "/v1/snapshots", "").0, 200);
    let closed = || LINKS.iter().all(|(link, _)| house.metric(&of_link("turnpike_connections", link)) == 0);
    eventually("every socket has counted", closed);
    let (status, text) = house.get("/metrics");
    assert_eq!(status, 200);
    (house, directory, text)
}

fn of_link(metric: &str, link: &str) -> String {
    format!("{metric}{{link=\"{link}\"}}")
}

#[test]
fn every_metric_is_described_and_every_described_metric_is_there() {
    let (house, _directory, text) = served();
    assert_eq!(shown(&text), listed());
    // And they say what was sent.
    let answers = |link, mti, action| {
        let labels = format!("link=\"{link}\",mti=\"{mti}\",action=\"{action}\"");
        harness::reading(&text, &format!("turnpike_answers_total{{{labels}}}"))
    };
    for (link, _) in LINKS {
        for (mti, action, count) in [
            ("0101", "approved", 1),
            ("0200", "approved", 1),
            ("0100", "insufficient-funds", 1),
            ("0302", "function-not-supported", 1),
            ("0420", "approved", 1),
            ("0800", "approved", if link == "visa" { 3 } else { 2 }),
        ] {
            assert_eq!(answers(link, mti, action), count, "{link}: {mti} {action}");
        }
        let count = |stage: &str| {
            let labels = format!("{{link=\"{link}\",stage=\"{stage}\"}}");
            harness::reading(&text, &format!("turnpike_message_stage_seconds_count{labels}"))
        };
        let frames = harness::reading(&text, &of_link("turnpike_frames_total", link));
        assert_eq!(count("decided"), frames, "{link}: every message was decided");
        let answered: u64 = series(&text)
            .iter()
            .filter(|(name, labels, _)| name == "turnpike_answers_total" && labels[0].1 == link)
            .map(|(_, _, value)| value.parse::<u64>().expect("a number"))
            .sum();
        assert_eq!(count("written"), answered, "{link}: every answer was written");
        assert!((1..=answered).contains(&count("durable")), "{link}: some waited for the disk");
        assert_eq!(harness::reading(&text, &of_link("turnpike_link_in_flight", link)), 0);
    }
    let durable = house.daemon().face.pipeline.durable().0;
    assert_eq!(harness::reading(&text, "turnpike_journal_commit_records_sum"), durable, "each record once");
    for currency in ["840", "978"] {
        let sum = format!("turnpike_ledger_sum_minor_units{{currency=\"{currency}\"}} 0\n");
        assert!(text.contains(&sum), "{currency}");
    }
    let held = "turnpike_ledger_held_minor_units{currency=\"978\"} 0\n";
    let posted = "turnpike_ledger_posted_minor_units{currency=\"978\",side=\"wallets\"} 70000\n";
    assert!(text.contains(held) && text.contains(posted), "{text}");
}

#[test]
fn no_label_takes_its_value_from_a_peer() {
    let (_house, _directory, text) = served();
    assert!(!text.contains(WORD), "{text}");
    let links: Vec<&str> = LINKS.iter().map(|(link, _)| *link).collect();
    let is_path = |value: &str| {
        value.strip_prefix("DE").is_some_and(|rest| rest.chars().all(|c| c.is_ascii_hexdigit() || c == '.'))
    };
    for (name, labels, value) in series(&text) {
        for (key, value) in labels {
            let value = value.as_str();
            let known = match key.as_str() {
                "link" => links.contains(&value),
                "mti" => MTIS.iter().any(|(_, known)| *known == value),
                "action" => ActionCode::ALL.iter().any(|(_, known)| *known == value),
                "reason" => Reason::ALL.iter().any(|known| known.name() == value),
                "stage" => ["decided", "durable", "written"].contains(&value),
                "table" => {
                    let tables = ["wallets", "cards", "authorizations", "limits", "controls", "counted"];
                    tables.contains(&value) || ["keys", "payments", "mandates"].contains(&value)
                }
                "verb" => Verb::ALL.iter().any(|(_, known)| *known == value),
                "outcome" => {
                    ["repeated", "done", "again", "refused"].contains(&value)
                        || Clearance::ALL.iter().any(|(_, known)| *known == value)
                }
                "side" => [
                    "wallets",
                    "funding",
                    "settlement",
                    "suspense",
                    "fees",
                    "transit",
                    "adjustments",
                    "exchange",
                    "interest",
                ]
                .contains(&value),
                "currency" => ["840", "978"].contains(&value),
                "settlement" => Settlement::ALL.iter().any(|(_, known)| *known == value),
                "case" => Case::ALL.iter().any(|(_, known)| *known == value),
                "version" => value == env!("CARGO_PKG_VERSION"),
                "le" => value == "+Inf" || value.parse::<f64>().is_ok(),
                "path" => value == "other" || is_path(value),
                "code" => {
                    ["other", "none"].contains(&value) || value.len() == 4 && value.parse::<u16>().is_ok()
                }
                _ => false,
            };
            assert!(known, "{name}: {key}=\"{value}\"");
        }
        assert!(value.parse::<f64>().is_ok(), "{name}: {value}");
    }
}
