//! The stream of records: each durable one once and in order, whatever is written, rolled, recycled, cut off or killed
//! meanwhile, and never one that is not there afterwards.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;
mod process;

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use harness::House;
use harness::PURCHASE;
use harness::SEED;
use harness::config;
use harness::config_with;
use harness::eventually;
use harness::http;
use harness::seed;
use harness::with;
use process::spawn;
use serde_json::Value as Json;
use serde_json::json;
use turnpike::domain::party::Slot;
use turnpike::domain::party::WalletId;
use turnpike::domain::time::Timestamp;
use turnpike::edge::clock;

const EVENTS: &str = "Accept: text/event-stream\r\n";

/// One item of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Item {
    Record(u64, Json),
    /// It is still there, or how far it has come.
    Idle(Option<u64>),
    Problem(Json),
}

/// The reading end of a stream.
struct Stream {
    from: BufReader<TcpStream>,
    status: u16,
    head: String,
    /// What of the body has come and is not read.
    unread: Vec<u8>,
    over: bool,
}

impl Stream {
    /// Asks for a stream; `None` when the daemon is gone.
    fn try_open(http: SocketAddr, path: &str, headers: &str) -> Option<Self> {
        let mut socket = TcpStream::connect(http).ok()?;
        socket.set_read_timeout(Some(Duration::from_secs(30))).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: turnpike\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).ok()?;
        let mut from = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if from.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok())?;
        let chunked = head.contains("transfer-encoding: chunked");
        let mut stream = Self { from, status, head, unread: Vec::new(), over: false };
        if !chunked {
            stream.over = true;
            let length = stream.head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
            stream.from.read_exact(&mut body).ok()?;
            stream.unread = body;
        }
        Some(stream)
    }

    fn open(house: &House, path: &str, headers: &str) -> Self {
        let stream = Self::try_open(house.daemon().admin, path, headers).expect("an answer");
        assert_eq!(stream.status, 200, "{path}: {}", String::from_utf8_lossy(&stream.unread));
        stream
    }

    /// Takes one more chunk. False when there is none.
    fn more(&mut self) -> bool {
        let mut line = String::new();
        if self.over || self.from.read_line(&mut line).unwrap_or(0) == 0 {
            self.over = true;
            return false;
        }
        let Ok(length) = usize::from_str_radix(line.trim(), 16) else { panic!("no chunk: {line}") };
        let mut chunk = vec![0; length + 2];
        if self.from.read_exact(&mut chunk).is_err() || length == 0 {
            self.over = true;
            return false;
        }
        self.unread.extend_from_slice(&chunk[..length]);
        true
    }

    /// What stands before the next `end`.
    fn part(&mut self, end: &str) -> Option<String> {
        loop {
            let found = self.unread.windows(end.len()).position(|bytes| bytes == end.as_bytes());
            if let Some(at) = found {
                let rest = self.unread.split_off(at + end.len());
                let part = std::mem::replace(&mut self.unread, rest);
                return Some(String::from_utf8(part[..at].to_vec()).expect("text"));
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// The next item; `None` when the stream has ended. Lines and events are read alike.
    fn next(&mut self) -> Option<Item> {
        if self.head.contains("application/x-ndjson") {
            let line = self.part("\n")?;
            return Some(if line.is_empty() { Item::Idle(None) } else { item(&line) });
        }
        let block = self.part("\n\n")?;
        let field = |name: &str| {
            block.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim_start().to_owned())
        };
        let id: Option<u64> = field("id:").map(|id| id.parse().expect("a record's number"));
        let Some(data) = field("data:") else { return Some(Item::Idle(id)) };
        let found = item(&data);
        match &found {
            Item::Record(sequence, _) => assert_eq!(id, Some(*sequence), "{block}"),
            _ => assert_eq!((id, field("event:").as_deref()), (None, Some("problem")), "{block}"),
        }
        Some(found)
    }

    /// The next record.
    fn record(&mut self) -> Option<(u64, Json)> {
        loop {
            match self.next()? {
                Item::Record(sequence, record) => return Some((sequence, record)),
                Item::Idle(_) => {}
                Item::Problem(problem) => panic!("a problem: {problem}"),
            }
        }
    }

    /// All records up to one, which are each there once.
    fn until(&mut self, first: u64, last: u64) -> Vec<Json> {
        (first..=last)
            .map(|expected| {
                let (sequence, record) = self.record().unwrap_or_else(|| panic!("it ends before {expected}"));
                assert_eq!(sequence, expected);
                record
            })
            .collect()
    }
}

fn item(text: &str) -> Item {
    let json: Json = serde_json::from_str(text).unwrap_or_else(|_| panic!("no JSON: {text}"));
    match json["sequence"].as_u64() {
        Some(sequence) => Item::Record(sequence, json),
        None => Item::Problem(json),
    }
}

fn problem_of(json: &Json) -> &str {
    json["type"].as_str().and_then(|kind| kind.strip_prefix("urn:turnpike:problem:")).unwrap_or_default()
}

fn fund(house: &House, key: &str) -> u64 {
    let created = Timestamp::from_seconds(clock::wall().seconds()).to_string();
    let body = json!({"key":key,"created":created,"currency":"840","amount":1,"reason":"a little"});
    let (status, answer) = house.verb("POST", "/v1/wallets/1/fund", &body.to_string());
    assert_eq!(status, 200, "{answer}");
    answer["sequence"].as_u64().expect("its record")
}

fn durable(house: &House) -> u64 {
    house.daemon().face.pipeline.durable().0
}

/// A lot of transfers in one body.
fn transfers(from: u64, to: u64, name: &str, count: u64) -> String {
    let created = Timestamp::from_seconds(clock::wall().seconds()).to_string();
    let amounts = json!({"created":created,"from":from,"to":to,"currency":"840","amount":1});
    let one = |n: u64| {
        let mut one = amounts.clone();
        one["key"] = json!(format!("{name}-{n}"));
        one
    };
    json!({ "transfers": (0..count).map(one).collect::<Vec<Json>>() }).to_string()
}

#[test]
fn a_stream_has_what_the_journal_has_in_either_form_and_in_parts() {
    let (house, _directory) = House::fresh(|_| {});
    let mut peer = house.connect("iso87");
    for n in 1..=20 {
        fund(&house, &format!("f-{n}"));
        let trace = format!("{n:06}");
        assert_eq!(peer.ask(100, &with(PURCHASE, &[(4, "000000000010"), (11, &trace)])).value(39), "00");
    }
    let last = durable(&house);
    let lines = Stream::open(&house, &format!("/v1/events?from=1&to={last}"), "").until(1, last);
    let events = Stream::open(&house, &format!("/v1/events?from=1&to={last}"), EVENTS).until(1, last);
    assert_eq!(lines, events);
    let moved = lines.iter().find(|line| line["kind"] == "moved").expect("a verb");
    assert_eq!((&moved["verb"], &moved["words"]), (&json!("fund"), &json!("a little")));
    // From and to anywhere, by numbers or by a count; then the stream ends.
    for (query, first, end) in [
        (format!("from=7&to={last}"), 7, last),
        ("from=3&limit=4".to_owned(), 3, 6),
        (format!("from={last}&limit=1"), last, last),
        ("from=5&to=5&limit=9".to_owned(), 5, 5),
    ] {
        for headers in ["", EVENTS] {
            let mut stream = Stream::open(&house, &format!("/v1/events?{query}"), headers);
            assert_eq!(stream.until(first, end), lines[first as usize - 1..end as usize], "{query}");
            assert_eq!(stream.record(), None, "{query}");
        }
    }
    // Some slots, and what is about all.
    let slot = moved["slot"].as_u64().expect("a slot");
    let mut stream = Stream::open(&house, &format!("/v1/events?from=1&to={last}&slots={slot}"), "");
    let mut some = Vec::new();
    while let Some((_, record)) = stream.record() {
        some.push(record);
    }
    assert!(some.contains(moved) && some.len() < lines.len() / 2, "{}", some.len());
    assert!(some.iter().any(|record| record["kind"] == "configured"));
}

#[test]
fn a_stream_follows_what_becomes_durable_and_says_that_it_is_there() {
    let directory = tempfile::tempdir().expect("a directory");
    let soon = |config: &mut turnpike::config::Config| config.admin.idle = Duration::from_secs(1);
    let house = House::start(&config(directory.path(), soon), Some(&seed(SEED))).expect("a start");
    let next = durable(&house) + 1;
    let mut lines = Stream::open(&house, &format!("/v1/events?from={next}"), "");
    let mut events = Stream::open(&house, &format!("/v1/events?from={next}"), EVENTS);
    let mut some = Stream::open(&house, &format!("/v1/events?from={next}&slots=1"), EVENTS);
    // Longer than a silent socket would be kept open.
    for stream in [&mut lines, &mut events, &mut some] {
        for _ in 0..5 {
            let idle = stream.next();
            assert!(matches!(idle, Some(Item::Idle(None | Some(_)))), "{idle:?}");
        }
    }
    for n in 0..30 {
        let sequence = fund(&house, &format!("n-{n}"));
        assert_eq!(lines.record().map(|(of, _)| of), Some(sequence));
        assert_eq!(events.record().map(|(of, _)| of), Some(sequence));
    }
    // Whoever sees a part is told how far all has come.
    let last = durable(&house);
    while some.next().expect("it goes on") != Item::Idle(Some(last)) {}
    // A daemon that stops has told all that it did.
    drop(some);
    let sequence = fund(&house, "last");
    house.drain();
    for stream in [&mut lines, &mut events] {
        let mut told = Vec::new();
        while let Some((of, _)) = stream.record() {
            told.push(of);
        }
        assert_eq!(told.first(), Some(&sequence));
    }
}

/// However much is written that nobody asked for, a stream says that it is there, and how far it has come.
#[test]
fn a_stream_of_a_quiet_slot_says_how_far_it_has_come_while_others_write() {
    let directory = tempfile::tempdir().expect("a directory");
    let short = |config: &mut turnpike::config::Config| config.admin.idle = Duration::from_secs(1);
    let house = House::start(&config(directory.path(), short), Some(&seed(SEED))).expect("a start");
    let begun = fund(&house, "begin");
    let busy = Slot::of_wallet(WalletId(1)).number();
    let quiet = if busy == 7 { 8 } else { 7 };
    let mut stream = Stream::open(&house, &format!("/v1/events?from={}&slots={quiet}", begun + 1), EVENTS);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0.. {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                fund(&house, &format!("busy-{n}"));
            }
        });
        // Twice, so that the second says more than the first.
        let mut seen = Vec::new();
        while seen.len() < 2 {
            match stream.next() {
                Some(Item::Idle(Some(record))) if !seen.contains(&record) => seen.push(record),
                // A caller's key may have that slot.
                Some(Item::Idle(_) | Item::Record(..)) => {}
                other => panic!("{other:?}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
        assert!(begun < seen[0] && seen[0] < seen[1], "{begun} {seen:?}");
    });
}

#[test]
fn every_record_comes_once_while_verbs_and_cards_write_and_segments_roll() {
    let directory = tempfile::tempdir().expect("a directory");
    // Segments of one MiB, of which spares are made that are recycled.
    let more = "[wallets]\nkeys_max = 200000\n";
    let mut settings = config_with(directory.path(), more);
    settings.journal.segment_mib = 1;
    settings.journal.retained_segments = 200;
    settings.admin.streams_max = 8;
    let house = House::start(&settings, Some(&seed(SEED))).expect("a start");
    let stop = AtomicBool::new(false);
    let told: Vec<u64> = thread::scope(|scope| {
        let (house, stop) = (&house, &stop);
        let writers: Vec<_> = (0..2)
            .map(|number| {
                scope.spawn(move || {
                    let mut round = 0;
                    while !stop.load(Ordering::Relaxed) {
                        let (from, to) = if number == 0 { (1, 2) } else { (2, 1) };
                        let body = transfers(from, to, &format!("{number}-{round}"), 300);
                        let admin = house.daemon().admin;
                        assert_eq!(http(admin, "POST", "/v1/transfers/batch", &body).0, 200);
                        round += 1;
                    }
                })
            })
            .collect();
        let cards = scope.spawn(move || {
            let mut peer = house.connect("iso87");
            let mut trace = 0;
            while !stop.load(Ordering::Relaxed) {
                trace += 1;
                let (stan, rrn) = (format!("{:06}", trace % 1_000_000), format!("R{trace:011}"));
                peer.ask(200, &with(PURCHASE, &[(4, "000000000001"), (11, &stan), (37, &rrn)]));
            }
        });
        let readers: Vec<_> = [("", false), (EVENTS, false), (EVENTS, true), ("", true)]
            .into_iter()
            .map(|(headers, reconnects)| {
                scope.spawn(move || {
                    let mut stream = Stream::open(house, "/v1/events?from=1", headers);
                    let (mut seen, mut end) = (0, u64::MAX);
                    while seen < end {
                        if stop.load(Ordering::Relaxed) && end == u64::MAX {
                            end = durable(house);
                        }
                        if reconnects && seen % 1_999 == 1_998 {
                            let again = format!("{headers}Last-Event-ID: {seen}\r\n");
                            stream = Stream::open(house, "/v1/events?from=1", &again);
                        }
                        let (sequence, _) = stream.record().expect("it goes on");
                        assert_eq!(sequence, seen + 1, "each record once and in order");
                        seen = sequence;
                    }
                    seen
                })
            })
            .collect();
        // Three segments at least.
        eventually("some segments are full", || durable(house) > 25_000);
        stop.store(true, Ordering::Relaxed);
        writers.into_iter().for_each(|writer| writer.join().expect("it writes"));
        cards.join().expect("it sends");
        // What was written last is there too.
        fund(house, "end");
        readers.into_iter().map(|reader| reader.join().expect("it reads")).collect()
    });
    assert!(told.iter().all(|told| *told > 25_000), "{told:?}");
    let rolled = fs::read_dir(directory.path().join("journal")).expect("a directory").count();
    assert!(rolled >= 3, "{rolled} segments");
}

#[test]
fn there_are_so_many_streams_and_one_that_ends_makes_room() {
    let (house, _directory) = House::fresh(|config| config.admin.streams_max = 1);
    let last = durable(&house);
    let first = Stream::open(&house, &format!("/v1/events?from={}", last + 1), "");
    let refused = Stream::try_open(house.daemon().admin, "/v1/events?from=1", "").expect("an answer");
    let body: Json = serde_json::from_slice(&refused.unread).expect("JSON");
    assert_eq!((refused.status, problem_of(&body)), (503, "busy"), "{body}");
    assert!(refused.head.contains("retry-after: 1"), "{}", refused.head);
    drop(first);
    eventually("its place is free", || {
        Stream::try_open(house.daemon().admin, "/v1/events?from=1&limit=1", "")
            .is_some_and(|stream| stream.status == 200)
    });
    // Who had all that was asked for is told to come back no more.
    let again = format!("{EVENTS}Last-Event-ID: {last}\r\n");
    eventually("it has had all", || {
        Stream::try_open(house.daemon().admin, &format!("/v1/events?from=1&to={last}"), &again)
            .is_some_and(|stream| stream.status == 204)
    });
    for header in ["Last-Event-ID: x\r\n", "Last-Event-ID: 4111111111111111\r\n"] {
        let refused = Stream::try_open(house.daemon().admin, "/v1/events?from=1", header).expect("an answer");
        let body = String::from_utf8_lossy(&refused.unread).into_owned();
        assert!([400, 422].contains(&refused.status) && !body.contains("411111"), "{body}");
    }
}

fn resident_bytes(process: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap_or(0) << 10
}

#[test]
fn who_does_not_read_costs_bounded_memory_holds_up_nobody_and_is_told_what_was_recycled() {
    let more = "[journal]\nsegment_mib = 1\nretained_segments = 1\n[wallets]\nkeys_max = 400000\n";
    let daemon = Daemon::start(more);
    let http = daemon.http;
    let fill = |rounds: std::ops::Range<u64>| {
        for round in rounds {
            let body = transfers(1 + round % 2, 2 - round % 2, &format!("s-{round}"), 900);
            assert_eq!(harness::http(http, "POST", "/v1/transfers/batch", &body).0, 200);
        }
    };
    let open = |path: &str, form| Stream::try_open(http, path, form).expect("an answer");
    // The journal's own memory is in use from the first round on.
    fill(0..40);
    let mut deaf: Vec<Stream> =
        ["", EVENTS].into_iter().map(|form| open("/v1/events?from=1", form)).collect();
    let before = resident_bytes(&daemon.process);
    fill(40..80);
    // Somebody who reads has everything while the others read nothing.
    let mut reader = open("/v1/events?from=1", "");
    let mut read = 0;
    while read < 80 * 900 {
        let (sequence, _) = reader.record().expect("it goes on");
        assert_eq!(sequence, read + 1);
        read = sequence;
    }
    drop(reader);
    let grown = resident_bytes(&daemon.process).saturating_sub(before);
    // It is some 40 MB of text for each of the deaf. What grows is what verbs keep, too.
    assert!(grown < 24 << 20, "{grown} bytes more");
    for round in 0..3 {
        assert_eq!(harness::http(http, "POST", "/v1/snapshots", "").0, 200);
        fill(80 + round * 4..84 + round * 4);
    }
    let data = daemon.directory.path().join("data");
    let oldest = turnpike::journal::follow::oldest(&turnpike::edge::disk::Disk::look_at(&data));
    let oldest = oldest.expect("a journal").0;
    assert!(oldest > 50_000, "something was recycled: {oldest}");
    for stream in &mut deaf {
        let (mut seen, mut told) = (0, None);
        while let Some(item) = stream.next() {
            match item {
                Item::Record(sequence, _) => {
                    assert_eq!((sequence, &told), (seen + 1, &None));
                    seen = sequence;
                }
                Item::Problem(problem) => told = Some(problem),
                Item::Idle(_) => {}
            }
        }
        let told = told.expect("a last word");
        assert_eq!((problem_of(&told), told["status"].as_u64()), ("recycled", Some(410)), "{told}");
        assert!(told["detail"].as_str().is_some_and(|words| words.contains(&format!("record {oldest}"))));
        assert!(seen > 0 && seen < oldest, "{seen} seen, {oldest} is the oldest");
    }
}

struct Daemon {
    directory: tempfile::TempDir,
    process: Child,
    http: SocketAddr,
}

impl Daemon {
    /// Starts the real process in a directory of its own, with more settings.
    fn start(more: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let bound = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let http = bound.local_addr().expect("bound");
        drop(bound);
        let settings = format!(
            "[daemon]\nshards = 16\n[admin]\nlisten = \"{http}\"\n{more}\
             [links.visa]\ndialect = \"visa\"\nlisten = \"127.0.0.1:0\"\n"
        );
        fs::write(directory.path().join("turnpike.toml"), settings).expect("settings");
        fs::write(directory.path().join("seed.csv"), format!("{}{SEED}", harness::HEADING)).expect("a seed");
        let process = spawn(directory.path());
        let mut daemon = Self { directory, process, http };
        until_ready(&mut daemon);
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _waited = self.process.wait();
    }
}

fn until_ready(daemon: &mut Daemon) {
    let begun = Instant::now();
    loop {
        let ready = Stream::try_open(daemon.http, "/readyz", "Connection: close\r\n");
        if ready.is_some_and(|ready| ready.status == 200) {
            return;
        }
        let log = || fs::read_to_string(daemon.directory.path().join("log")).unwrap_or_default();
        assert!(daemon.process.try_wait().expect("its state").is_none(), "it has ended: {}", log());
        assert!(begun.elapsed() < Duration::from_secs(60), "not ready: {}", log());
        thread::sleep(Duration::from_millis(10));
    }
}

/// Sends transfers until the daemon is gone.
fn writes(http: SocketAddr, name: &str, done: &AtomicU64) {
    for round in 0.. {
        let body = transfers(1 + round % 2, 2 - round % 2, &format!("{name}-{round}"), 40);
        let Ok(mut socket) = TcpStream::connect(http) else { return };
        let head = format!(
            "POST /v1/transfers/batch HTTP/1.1\r\nHost: turnpike\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let sent = socket.write_all(head.as_bytes()).and_then(|()| socket.write_all(body.as_bytes()));
        let mut answer = String::new();
        if sent.is_err() || socket.read_to_string(&mut answer).is_err() || !answer.contains(" 200 OK") {
            return;
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_killed_daemon_has_streamed_nothing_that_is_not_there_afterwards() {
    let more = "[journal]\nsegment_mib = 1\nreply = \"async\"\n[snapshots]\nevery_s = 1\n";
    let mut daemon = Daemon::start(more);
    let http = daemon.http;
    // All that was ever streamed, by its number, over all lives of the daemon.
    let mut streamed: Vec<Json> = Vec::new();
    for round in 0..4 {
        let done = AtomicU64::new(0);
        let more: Vec<Json> = thread::scope(|scope| {
            let writer = scope.spawn(|| writes(http, &format!("k-{round}"), &done));
            let seen = streamed.len();
            let reader = scope.spawn(move || {
                let mut more = Vec::new();
                let again = format!("{EVENTS}Last-Event-ID: {seen}\r\n");
                let mut stream = Stream::try_open(http, "/v1/events?from=1", &again).expect("a stream");
                while let Some((sequence, record)) = stream.record() {
                    more.push(record);
                    assert_eq!(sequence as usize, seen + more.len());
                }
                more
            });
            let begun = Instant::now();
            while done.load(Ordering::Relaxed) < 20 + round * 9 {
                assert!(begun.elapsed() < Duration::from_secs(60), "it answers");
                thread::sleep(Duration::from_millis(1));
            }
            daemon.process.kill().expect("it dies");
            daemon.process.wait().expect("it is dead");
            writer.join().expect("it ends");
            reader.join().expect("it ends")
        });
        streamed.extend(more);
        assert!(streamed.len() as u64 > 400 * (round + 1), "{}", streamed.len());
        daemon.process = spawn(daemon.directory.path());
        until_ready(&mut daemon);
        // What was streamed is what the journal has, to the last byte.
        let last = streamed.len();
        let mut stream =
            Stream::try_open(http, &format!("/v1/events?from=1&to={last}"), "").expect("a stream");
        if stream.status == 410 {
            let body: Json = serde_json::from_slice(&stream.unread).expect("JSON");
            let words =
                body["detail"].as_str().expect("words").split(['d', ':']).collect::<Vec<_>>().join(" ");
            let oldest: usize =
                words.split(' ').find_map(|word| word.parse().ok()).unwrap_or_else(|| panic!("{body}"));
            let path = format!("/v1/events?from={oldest}&to={last}");
            let mut stream = Stream::try_open(http, &path, "").expect("a stream");
            assert_eq!(stream.until(oldest as u64, last as u64), streamed[oldest - 1..]);
        } else {
            assert_eq!(stream.until(1, last as u64), streamed);
        }
    }
}
