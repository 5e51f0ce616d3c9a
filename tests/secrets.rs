//! Card data stays inside: the real binary is fed card numbers, tracks, PIN blocks and CVV2s, in messages that are
//! right and in damaged ones, and then everything that it wrote or said is searched for them.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use harness::HEADING;
use harness::LINKS;
use harness::PURCHASE;
use harness::Peer;
use harness::Values;
use harness::echo_frame;
use harness::frame;
use harness::http_get;
use harness::with;
use turnpike::dialect::Dialect;
use turnpike::dialect::Mapping;
use turnpike::dialect::describe::describe;
use turnpike::iso8583::digits::hex_bytes;
use turnpike::iso8583::digits::hex_text;

/// A card of ours, one of nobody, and one in the track only, with right check digits: free text is masked by those.
const KNOWN: &str = "4929183746501828";
const UNKNOWN: &str = "4716592038475615";
const IN_TRACK: &str = "4539718264039586";
const TRACK_2: &str = "4539718264039586D30122018374650192837";
const TRACK_1: &str = "B4539718264039586^QUIXOTE/ALONSO^30122019182736450";
const PIN_BLOCK: &str = "A7C3E9B15D2F8864";
/// Visa 126.10: a CVV2 is present, its result is wanted, and the number itself.
const CVV2: &str = "117391";

/// What must not be found. Of card numbers and of a track's tail the middle, so that no masking hides a leak.
const MARKERS: [(&str, &str); 7] = [
    ("the known card", "918374650182"),
    ("the unknown card", "659203847561"),
    ("the card in the track", "971826403958"),
    ("the discretionary data of track 2", "8374650192837"),
    ("the name in track 1", "QUIXOTE"),
    ("the discretionary data of track 1", "9182736450"),
    ("the CVV2", CVV2),
];

fn ebcdic(text: &str) -> Vec<u8> {
    let character = |byte| match byte {
        b'0'..=b'9' => byte - b'0' + 0xf0,
        b'A'..=b'I' => byte - b'A' + 0xc1,
        b'J'..=b'R' => byte - b'J' + 0xd1,
        b'S'..=b'Z' => byte - b'S' + 0xe2,
        other => other,
    };
    text.bytes().map(character).collect()
}

/// Fewer bytes come by chance in a file of some megabytes.
const BYTES_MIN: usize = 5;

/// Every way in which a text may stand in bytes.
fn shapes(text: &str) -> Vec<Vec<u8>> {
    let ascii = text.as_bytes().to_vec();
    let mut shapes = vec![ascii, ebcdic(text)];
    // BCD at either nibble.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let whole = |digits: &str| hex_bytes(digits.as_bytes()).expect("pairs of digits");
        shapes.push(whole(&text[..text.len() & !1]));
        shapes.push(whole(&text[1..1 + ((text.len() - 1) & !1)]));
    }
    as_printed(shapes)
}

/// Bytes as they are, in hex of either case, and as a list of decimal numbers.
fn as_printed(shapes: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let all = shapes.into_iter().filter(|raw| raw.len() >= BYTES_MIN).flat_map(|raw| {
        let hex = hex_text(&raw).into_bytes();
        let list = format!("{raw:?}");
        let list = list.trim_matches(['[', ']']).as_bytes().to_vec();
        [hex.to_ascii_lowercase(), hex, list, raw]
    });
    all.collect()
}

/// Markers with all their shapes.
fn wanted() -> Vec<(&'static str, Vec<u8>)> {
    let texts = MARKERS.iter().flat_map(|(what, text)| shapes(text).into_iter().map(|shape| (*what, shape)));
    let pin = as_printed(vec![hex_bytes(PIN_BLOCK.as_bytes()).expect("pairs of digits")]);
    texts.chain(pin.into_iter().map(|shape| ("the PIN block", shape))).collect()
}

fn found_in(bytes: &[u8]) -> Vec<&'static str> {
    let found = |shape: &Vec<u8>| bytes.windows(shape.len()).any(|window| window == shape);
    wanted().iter().filter(|(_, shape)| found(shape)).map(|(what, _)| *what).collect()
}

/// The real binary, with everything that it says.
struct Served {
    child: Child,
    stdout: PathBuf,
    said: Option<std::thread::JoinHandle<String>>,
    admin: Option<SocketAddr>,
    links: Vec<(String, SocketAddr)>,
}

impl Drop for Served {
    fn drop(&mut self) {
        // Nothing of a test that failed stays behind; of one that did not, it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The value of `key=` in a line of the diagnostics.
fn value_in<'l>(line: &'l str, key: &str) -> Option<&'l str> {
    let start = line.find(&format!("{key}="))? + key.len() + 1;
    line[start..].split_whitespace().next().map(|value| value.trim_matches('"'))
}

fn serve(directory: &Path) -> Served {
    let stdout = directory.join("stdout");
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
    command.arg("serve").arg("--config").arg(directory.join("turnpike.toml"));
    command.arg("--data-dir").arg(directory.join("data")).arg("--seed").arg(directory.join("seed.csv"));
    command.env("NO_COLOR", "1").env("RUST_LOG", "trace").stderr(Stdio::piped());
    command.stdout(fs::File::create(&stdout).expect("a file"));
    let child = command.spawn().expect("it runs");
    let mut served = Served { child, stdout, said: None, admin: None, links: Vec::new() };
    let stderr = served.child.stderr.take().expect("its diagnostics");
    let (sender, lines) = mpsc::channel();
    served.said = Some(std::thread::spawn(move || {
        let mut said = String::new();
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            said.push_str(&line);
            said.push('\n');
            // Nobody listens any more once it is ready.
            let _ = sender.send(line);
        }
        said
    }));
    while served.admin.is_none() {
        let line = lines.recv_timeout(Duration::from_secs(30)).expect("it says when it is ready");
        if let (Some(link), Some(address)) = (value_in(&line, "link"), value_in(&line, "address")) {
            served.links.push((link.to_owned(), address.parse().expect("an address")));
        }
        served.admin = value_in(&line, "admin").map(|admin| admin.parse().expect("an address"));
    }
    served
}

fn write_files(directory: &Path) {
    let settings = r#"
[daemon]
drain_quiet_ms = 50
drain_limit_ms = 500
[admin]
listen = "127.0.0.1:0"
[ledger]
wallets_max = 1000
cards_max = 1000
authorizations_max = 40000
closed_per_slot = 16
[journal]
max_unsynced_ms = 60000
segment_mib = 2
spare_segments = 1
[links.visa]
dialect = "visa"
listen = "127.0.0.1:0"
[links.mastercard]
dialect = "mastercard"
listen = "127.0.0.1:0"
[links.iso87]
dialect = "iso87-ascii"
listen = "127.0.0.1:0"
[links.packed]
dialect = "iso87-binary"
listen = "127.0.0.1:0"
"#;
    fs::write(directory.join("turnpike.toml"), settings).expect("a file");
    let lines: String = [(1, KNOWN), (2, IN_TRACK)]
        .map(|(wallet, pan)| format!("{wallet},840,100000,0,{pan},3012,201,active\n"))
        .concat();
    fs::write(directory.join("seed.csv"), format!("{HEADING}{lines}")).expect("a file");
}

/// A message with card numbers where none belong.
fn stray(dialect: &Dialect) -> Vec<u8> {
    let stray: &Values<'_> = &[(2, KNOWN), (43, KNOWN), (48, UNKNOWN), (102, IN_TRACK)];
    frame(dialect, 100, &with(PURCHASE, stray))
}

/// Messages with card data in every place that a dialect has for it.
fn messages(dialect: &Dialect) -> Vec<Vec<u8>> {
    let (field, cvv2) = match dialect.mapping() {
        Mapping::Visa => (126, format!("0040000000000000{}", hex_text(&ebcdic(CVV2)))),
        // The card number as the network maps it, then the code.
        Mapping::Mastercard => (48, format!("R33250101C0216{UNKNOWN}9206{CVV2}")),
        Mapping::Iso87 => (126, CVV2.to_owned()),
    };
    let known: &Values<'_> = &[(2, KNOWN), (52, PIN_BLOCK), (field, &cvv2)];
    let track: &Values<'_> = &[(2, ""), (14, ""), (35, TRACK_2), (45, TRACK_1)];
    let all: &Values<'_> = &[(2, UNKNOWN), (35, TRACK_2), (45, TRACK_1), (52, PIN_BLOCK), (field, &cvv2)];
    let original = "010000000106041234561234567890100000000000";
    let reversal: &Values<'_> = &[(2, KNOWN), (14, ""), (35, TRACK_2), (90, original)];
    let unknown: &Values<'_> = &[(2, UNKNOWN), (14, ""), (45, TRACK_1), (90, original)];
    let table: [(&[u16], &Values<'_>); 6] = [
        (&[100, 101, 200], known),
        (&[100, 200], track),
        (&[100, 200, 101], all),
        (&[110, 120, 302, 600, 900], all),
        (&[400, 420, 421], reversal),
        (&[420, 421], unknown),
    ];
    let sent = table.iter().flat_map(|(mtis, changes)| mtis.iter().map(|mti| (*mti, *changes)));
    let composed = sent.enumerate().map(|(n, (mti, changes))| {
        let trace = format!("{n:06}");
        frame(dialect, mti, &with(&with(PURCHASE, changes), &[(11, &trace)]))
    });
    composed.collect()
}

/// A message cut off, and with a byte of nonsense, at many places.
fn damaged(dialect: &Dialect, whole: &[u8]) -> Vec<Vec<u8>> {
    let body = &whole[dialect.framing().prefix_bytes()..];
    let framed = |body: &[u8]| {
        let mut out = Vec::new();
        let start = dialect.framing().begin(&mut out);
        out.extend_from_slice(body);
        dialect.framing().finish(&mut out, start).expect("short enough");
        out
    };
    let cut = (1..body.len()).step_by(9).map(|length| framed(&body[..length]));
    let nonsense = (0..body.len()).step_by(7).map(|at| {
        let mut body = body.to_vec();
        body[at] = 0xff;
        framed(&body)
    });
    cut.chain(nonsense).chain([framed(&[body, b"4929183746501828"].concat())]).collect()
}

/// Sends frames, and waits until all of them are served.
fn feed(peer: &mut Peer, frames: &[Vec<u8>]) {
    for some in frames.chunks(50) {
        peer.write(&some.concat());
        let last = echo_frame(&peer.dialect, "999999");
        peer.write(&last);
        loop {
            let answer = peer.receive().expect("an answer");
            if (answer.mti, answer.value(11)) == (810, "999999") {
                break;
            }
        }
    }
}

/// Every file below a directory, but the key.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("a name").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else if !path.ends_with("keys/master.key") {
            files.push(path);
        }
    }
    files
}

/// What another verb prints.
fn printed(arguments: &[&str]) -> Vec<u8> {
    let output = output(arguments);
    assert!(!output.stdout.is_empty(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    [output.stdout, output.stderr].concat()
}

fn output(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_turnpike")).args(arguments).output().expect("it runs")
}

#[test]
fn the_search_finds_every_marker_where_it_was_sent() {
    for (_, name) in LINKS {
        let sent = messages(&harness::dialect(name)).concat();
        let mut missing: Vec<&str> = MARKERS.iter().map(|(what, _)| *what).chain(["the PIN block"]).collect();
        let found = found_in(&sent);
        missing.retain(|what| !found.contains(what));
        assert!(missing.is_empty(), "{name}: {missing:?} not found in what was sent");
    }
}

#[test]
fn no_card_data_leaves_the_daemon_but_in_answers_to_its_peers() {
    let directory = tempfile::tempdir().expect("a directory");
    write_files(directory.path());
    let mut served = serve(directory.path());
    let mut peers = Vec::new();
    for (link, name) in LINKS {
        let (_, address) = served.links.iter().find(|(known, _)| known == link).expect("a link");
        let mut peer = Peer::connect(name, *address);
        let mut whole = messages(&peer.dialect);
        whole.push(stray(&peer.dialect));
        feed(&mut peer, &whole);
        for message in &whole {
            let frames = damaged(&peer.dialect, message);
            feed(&mut peer, &frames);
        }
        // An unfinished frame, and one that is too long, with a card number behind it.
        peer.write(&whole[0][..whole[0].len() / 2]);
        let mut lost = Peer::connect(name, *address);
        lost.write(&[&[0xff, 0xff, 0, 0], KNOWN.as_bytes(), TRACK_1.as_bytes()].concat());
        lost.expect_closed();
        peers.push(peer);
    }
    let mut places: Vec<(String, Vec<u8>)> = Vec::new();
    for path in [
        "/livez",
        "/readyz",
        "/metrics",
        "/v1/wallets/1",
        "/v1/wallets/2",
        "/v1/wallets/3",
        "/v1/wallets/1/authorizations",
        "/v1/wallets/2/authorizations",
        "/v1/audit/balance",
        "/v1/wallets/1/balance",
        "/v1/wallets/1/balance?as_of_sequence=7",
        "/v1/wallets/1/statement?limit=1000",
        "/v1/wallets/2/statement?limit=1000&format=csv",
        "/v1/wallets/1/holds",
        "/v1/wallets/2/pending-credits",
    ] {
        let (_, body) = http_get(served.admin.expect("it has said where"), path);
        places.push((path.to_owned(), body.into_bytes()));
    }
    // Every record up to the one that a balance was of.
    let balance: serde_json::Value = serde_json::from_slice(&places[9].1).expect("JSON");
    let events = format!("/v1/events?from=1&to={}", balance["sequence"]);
    let (_, body) = http_get(served.admin.expect("it has said where"), &events);
    assert!(body.matches("\"kind\":\"decided\"").count() > 10, "{body}");
    places.push((events, body.into_bytes()));
    let shown = String::from_utf8_lossy(&places[6].1).into_owned();
    assert!(shown.contains("approval_code"), "something was approved: {shown}");
    for (path, body) in places.iter().skip(9) {
        let shown = String::from_utf8_lossy(body).into_owned();
        assert!(shown.contains("840") || path.ends_with("credits"), "{path} shows something: {shown}");
    }
    let child = rustix::process::Pid::from_child(&served.child);
    rustix::process::kill_process(child, rustix::process::Signal::TERM).expect("a signal");
    assert!(served.child.wait().expect("it ends").success());
    let stderr = served.said.take().expect("a thread").join().expect("its diagnostics");
    assert!(stderr.contains("malformed") && stderr.contains("stopped"), "{stderr}");
    places.push(("stderr".to_owned(), stderr.into_bytes()));
    places.push(("stdout".to_owned(), fs::read(&served.stdout).expect("a file")));
    let data = directory.path().join("data");
    let kept = files(&data);
    assert!(kept.iter().any(|path| path.extension().is_some_and(|extension| extension == "seg")));
    places.extend(kept.iter().map(|path| (path.display().to_string(), fs::read(path).expect("a file"))));
    let data = data.to_str().expect("a path in UTF-8");
    places.push(("inspect".to_owned(), printed(&["journal", "inspect", "--batches", "--data-dir", data])));
    places.push(("verify".to_owned(), printed(&["journal", "verify", "--data-dir", data])));
    for format in ["jsonl", "csv"] {
        let export = printed(&["journal", "export", "--data-dir", data, "--format", format]);
        places.push((format!("export as {format}"), export));
    }
    for (place, bytes) in places {
        assert_eq!(found_in(&bytes), Vec::<&str>::new(), "in {place}");
    }
}

#[test]
fn a_message_is_shown_to_a_person_without_card_data() {
    for (_, name) in LINKS {
        let dialect = harness::dialect(name);
        // A damaged number in free text cannot be told from any other number.
        let text = describe(&dialect, &stray(&dialect));
        assert_eq!(found_in(text.as_bytes()), Vec::<&str>::new(), "{name}: {text}");
        for message in messages(&dialect) {
            let hex = hex_text(&message);
            let mut text = printed(&["decode", "--dialect", name, &hex]);
            text.extend(printed(&["decode", "--json", "--dialect", name, &hex]));
            // Not every message is of a type that is guessed; then it says so.
            let guessed = output(&["decode", "--guess", &hex]);
            text.extend([guessed.stdout, guessed.stderr].concat());
            for form in
                [&["match", "--dialect", name, &hex][..], &["match", "--json", "--dialect", name, &hex]]
            {
                let matched = output(form);
                text.extend([matched.stdout, matched.stderr].concat());
            }
            text.extend(printed(&["decode", "--diff", "--all", "--dialect", name, &hex, &hex]));
            let shown = damaged(&dialect, &message).into_iter().map(|frame| describe(&dialect, &frame));
            for text in shown.map(String::into_bytes).chain([text]) {
                let mut found = found_in(&text);
                // Six digits in a field that the dialect leaves to private use are known to nobody.
                found.retain(|what| dialect.mapping() != Mapping::Iso87 || *what != "the CVV2");
                assert_eq!(found, Vec::<&str>::new(), "{name}: {}", String::from_utf8_lossy(&text));
            }
        }
    }
}
