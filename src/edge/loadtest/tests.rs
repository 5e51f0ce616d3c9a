//! The driver against a small peer in the same process, over real sockets.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

use super::*;
use crate::dialect::Dialect;
use crate::edge::loadtest::drive::drive_keeping;
use crate::workload::issuer::Issuer;
use crate::workload::issuer::Planted;

const WALLETS: u32 = 50;

fn population() -> Population {
    Population::generate(Composition { balance: 10_000_000, ..Composition::of(WALLETS, 3) })
}

/// Serves frames on one listener and wallets over HTTP on another, from the same books.
struct Peer {
    target: Target,
    http: SocketAddr,
}

impl Peer {
    async fn start(dialect: &str, planted: Planted) -> Self {
        let dialect = Dialect::built_in(dialect).expect("built in");
        let issuer = Rc::new(RefCell::new(Issuer::new(&population(), planted)));
        let frames = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let http = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = Target::new(dialect.clone(), frames.local_addr().expect("bound"));
        let address = http.local_addr().expect("bound");
        let books = Rc::clone(&issuer);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = frames.accept().await {
                let (issuer, dialect) = (Rc::clone(&issuer), dialect.clone());
                tokio::task::spawn_local(async move { serve_frames(stream, issuer, dialect).await });
            }
        });
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = http.accept().await {
                let books = Rc::clone(&books);
                tokio::task::spawn_local(async move { serve_pages(stream, books).await });
            }
        });
        Self { target, http: address }
    }

    fn plan(&self, pace: Pace) -> Plan {
        let targets = vec![self.target.clone()];
        let mut plan = Plan::new(targets, population(), pace, Duration::from_secs(20), Run::new(5));
        plan.messages = Some(4_000);
        plan.connections = 2;
        plan.http = Some(self.http);
        plan.timeout = Duration::from_millis(300);
        plan
    }
}

async fn serve_frames(mut stream: TcpStream, issuer: Rc<RefCell<Issuer>>, dialect: Dialect) {
    let (mut input, mut output) = (Vec::new(), Vec::new());
    while stream.read_buf(&mut input).await.is_ok_and(|count| count > 0) {
        let whole = issuer.borrow_mut().answer(&dialect, &input, &mut output);
        input.drain(..whole);
        if stream.write_all(&output).await.is_err() {
            return;
        }
        output.clear();
    }
}

async fn serve_pages(mut stream: TcpStream, issuer: Rc<RefCell<Issuer>>) {
    let mut input = Vec::new();
    while stream.read_buf(&mut input).await.is_ok_and(|count| count > 0) {
        if !input.ends_with(b"\r\n\r\n") {
            continue;
        }
        let text = String::from_utf8_lossy(&input).into_owned();
        let path = text.split(' ').nth(1).unwrap_or_default().to_owned();
        input.clear();
        let body = page(&path, &issuer.borrow()).to_string();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
            return;
        }
    }
}

fn page(path: &str, issuer: &Issuer) -> serde_json::Value {
    use serde_json::json;
    let all = || issuer.accounts.iter().map(|((wallet, currency), money)| (*wallet, *currency, *money));
    if path == "/v1/audit/balance" {
        let mut rows = Vec::new();
        for name in ["840", "978"] {
            let rows_of = all().filter(|(_, currency, _)| currency.to_string() == name);
            let (posted, held) = rows_of.fold((0, 0), |sum, (_, _, (p, h))| (sum.0 + p, sum.1 + h));
            rows.push(json!({
                "currency": name, "wallets": posted.to_string(), "held": held.to_string(), "sum": "0",
            }));
        }
        return json!({ "sequence": 7, "currencies": rows });
    }
    let wallet: u64 = path.rsplit('/').next().and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut accounts: Vec<_> = all().filter(|(of, _, _)| *of == wallet).collect();
    accounts.sort_by_key(|(_, currency, _)| *currency);
    let accounts: Vec<_> = accounts
        .iter()
        .enumerate()
        .map(|(n, (_, _, (posted, held)))| json!({ "account": n, "posted": posted, "held": held }))
        .collect();
    json!({ "wallet": wallet, "accounts": accounts })
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

#[test]
fn a_right_peer_passes_in_every_pace_and_dialect() {
    let paces = [Pace::Closed { window: 64 }, Pace::Open { rate: 20_000 }];
    for dialect in Dialect::built_in_names() {
        for (pace, prepare) in paces.iter().flat_map(|pace| [(pace.clone(), false), (pace.clone(), true)]) {
            let report = block_on(async {
                let peer = Peer::start(dialect, Planted::Nothing).await;
                let mut plan = peer.plan(pace.clone());
                plan.prepare = prepare;
                plan.thresholds = ["ledger.mismatch==0", "err==0", "unanswered==0", "auth.max<60s"]
                    .iter()
                    .map(|text| Threshold::parse(text).expect(text))
                    .collect();
                drive(plan).await.expect("a report")
            });
            assert_eq!(report.exit_code(), 0, "{dialect} {pace:?}\n{report}");
            assert_eq!((report.measured.sent, report.measured.answered), (4_000, 4_000), "{report}");
            let compared = report.comparison.as_ref().map(|found| (found.wallets, found.differences));
            assert_eq!(compared, Some((u64::from(WALLETS), 0)));
            let json = report.to_json();
            assert_eq!((&json["exit_code"], &json["mismatches"]), (&0.into(), &0.into()));
            assert!(report.to_string().contains("money      0 differences in 50 of 50 wallets"), "{report}");
        }
    }
}

#[test]
fn a_level_that_is_reached_beforehand_counts_as_nothing_and_is_kept() {
    const LEVEL: u32 = 600;
    let paces = [Pace::Closed { window: 16 }, Pace::Open { rate: 40_000 }];
    for (pace, prepare) in paces.iter().flat_map(|pace| [(pace.clone(), false), (pace.clone(), true)]) {
        let report = block_on(async {
            let peer = Peer::start("visa", Planted::Nothing).await;
            let mut plan = peer.plan(pace.clone());
            (plan.fill, plan.prepare, plan.traffic.level) = (true, prepare, Some(LEVEL));
            plan.traffic.mix = Mix::parse("purchase=9,over-limit=1").expect("a mix");
            drive(plan).await.expect("a report")
        });
        assert_eq!(report.exit_code(), 0, "{pace:?}\n{report}");
        assert_eq!((report.measured.sent, report.measured.answered), (4_000, 4_000), "{report}");
        let sent = |name| report.kinds.iter().find(|(kind, _)| *kind == name).map_or(0, |(_, count)| *count);
        let reversed = sent("reversal") + sent("reversal-advice");
        let left = sent("purchase") - reversed;
        assert!((u64::from(LEVEL)..=u64::from(LEVEL) + 2).contains(&left), "{left} left\n{report}");
        assert!(reversed > 1_500, "{report}");
        // Intervals have the answers that came in them, not those to what was sent before.
        let recorded = &report.recorded;
        let parts = recorded.intervals.iter().chain([&recorded.after]);
        let codes: u64 = parts.flat_map(|part| part.codes.iter().map(|(_, count)| *count)).sum();
        assert_eq!(codes, 4_000, "{report}");
    }
}

#[test]
fn wrong_money_and_missed_thresholds_end_with_99() {
    for (planted, words) in [
        (Planted::ForgetsHold, "the answers say"),
        (Planted::AnswersTwice, "second-answer"),
        (Planted::Refuses, "threshold err==0 FAILED"),
    ] {
        let report = block_on(async {
            let peer = Peer::start("visa", planted).await;
            let mut plan = peer.plan(Pace::Closed { window: 32 });
            plan.thresholds = vec![Threshold::parse("err==0").expect("a threshold")];
            drive(plan).await.expect("a report")
        });
        assert_eq!(report.exit_code(), FAILED_CODE, "{planted:?}\n{report}");
        assert!(report.to_string().contains(words), "{planted:?}\n{report}");
    }
}

const FAILED_CODE: u8 = report::FAILED;

#[test]
fn r33_silence_is_settled_before_the_money_is_compared() {
    let (report, acquirer) = block_on(async {
        let peer = Peer::start("iso87-ascii", Planted::SaysNothing).await;
        let mut plan = peer.plan(Pace::Closed { window: 32 });
        plan.messages = Some(1_000);
        drive_keeping(plan).await.expect("a report")
    });
    assert!(report.measured.given_up > 10 && report.settled > 5, "{report}");
    assert_eq!((report.unsettled, report.exit_code()), (0, 0), "{report}");
    let mut open = Vec::new();
    acquirer.unsettled(&mut open);
    assert!(open.is_empty());
}

#[test]
fn an_echo_peer_is_measured_and_not_judged() {
    let report = block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let dialect = Dialect::built_in("visa").expect("built in");
        let framing = dialect.framing().clone();
        tokio::task::spawn_local(async move { echo::serve(listener, &framing).await });
        let pace = Pace::Closed { window: 64 };
        let targets = vec![Target::new(dialect, address)];
        let mut plan = Plan::new(targets, population(), pace, Duration::from_secs(20), Run::new(5));
        (plan.messages, plan.echo) = (Some(5_000), true);
        drive(plan).await.expect("a report")
    });
    assert_eq!((report.measured.answered, report.exit_code()), (5_000, 0), "{report}");
    assert!(report.to_string().contains("money      not judged"));
}

/// A peer that reads and says nothing after so many writes; zero is nothing at all. At the end of its patience it
/// closes.
async fn start_silent(answers: usize, patience: Duration) -> Target {
    let dialect = Dialect::built_in("visa").expect("built in");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let target = Target::new(dialect.clone(), listener.local_addr().expect("bound"));
    tokio::task::spawn_local(async move {
        let issuer = Rc::new(RefCell::new(Issuer::new(&population(), Planted::Nothing)));
        while let Ok((mut stream, _)) = listener.accept().await {
            let (issuer, dialect) = (Rc::clone(&issuer), dialect.clone());
            tokio::task::spawn_local(async move {
                let (mut input, mut left) = (Vec::new(), answers);
                let served = async {
                    while stream.read_buf(&mut input).await.is_ok_and(|count| count > 0) {
                        let mut output = Vec::new();
                        let whole = issuer.borrow_mut().answer(&dialect, &input, &mut output);
                        input.drain(..whole);
                        if left > 0 && !output.is_empty() {
                            left -= 1;
                            stream.write_all(&output).await.expect("written");
                        }
                    }
                };
                let _closed_or_out_of_patience = tokio::time::timeout(patience, served).await;
            });
        }
    });
    target
}

#[test]
fn a_run_that_its_peer_does_not_finish_is_reported_in_part() {
    // How many writes are made, how long the peer stays, and what the report says.
    let second = Duration::from_secs(1);
    for (answers, patience, words, some) in [
        (1, second * 60, "the peer fell silent: no answer for 0.", false),
        (20, second * 60, "the peer fell silent: no answer for 0.", true),
        (usize::MAX, second / 2, "the peer closed 1 of 1 connections", true),
    ] {
        let report = block_on(async {
            let targets = vec![start_silent(answers, patience).await];
            let pace = Pace::Open { rate: 500 };
            let mut plan = Plan::new(targets, population(), pace, second * 30, Run::new(5));
            plan.timeout = Duration::from_millis(300);
            plan.thresholds = vec![Threshold::parse("unanswered==0").expect("a threshold")];
            drive(plan).await.expect("a report")
        });
        let json = report.to_json();
        assert_eq!((&json["partial"], &json["valid"]), (&true.into(), &false.into()), "{report}");
        assert!(json["partial_reason"].as_str().is_some_and(|reason| reason.starts_with(words)), "{report}");
        assert_eq!(report.exit_code(), exit::UNAVAILABLE, "{report}");
        assert_eq!(report.measured.answered > 0, some, "{report}");
        assert!(report.to_string().starts_with("PARTIAL    the peer"), "{report}");
        assert!(report.to_html().contains("PARTIAL</b> the peer"));
    }
}

#[test]
fn a_peer_that_never_answers_is_named() {
    let error = block_on(async {
        let targets = vec![start_silent(0, Duration::from_secs(60)).await];
        let pace = Pace::Open { rate: 500 };
        let mut plan = Plan::new(targets, population(), pace, Duration::from_secs(30), Run::new(5));
        plan.timeout = Duration::from_millis(200);
        drive(plan).await.err()
    });
    let words = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(words.contains("does not answer a sign-on"), "{words}");
}

#[test]
fn a_run_can_be_interrupted_and_still_settles() {
    let report = block_on(async {
        let peer = Peer::start("visa", Planted::Nothing).await;
        let mut plan = peer.plan(Pace::Open { rate: 2_000 });
        plan.messages = None;
        let interrupted = Arc::clone(&plan.interrupted);
        tokio::task::spawn_local(async move {
            tokio::time::sleep(Duration::from_millis(400)).await;
            interrupted.store(true, Ordering::Relaxed);
        });
        drive(plan).await.expect("a report")
    });
    assert_eq!((report.exit_code(), report.unsettled), (INTERRUPTED, 0), "{report}");
    assert!(report.comparison.as_ref().is_some_and(|found| found.differences == 0), "{report}");
    assert!(report.measured.sent < 40_000 && report.measured.answered > 0, "{report}");
}

#[test]
fn several_links_share_a_rate_by_weight_and_are_told_apart() {
    let (report, log) = block_on(async {
        let (visa, iso) =
            (Peer::start("visa", Planted::Nothing), Peer::start("iso87-ascii", Planted::Nothing));
        let (visa, iso) = (visa.await, iso.await);
        let mut plan = visa.plan(Pace::Open { rate: 1_000 });
        plan.length = Duration::from_millis(2_500);
        plan.warm_up = Duration::from_millis(500);
        (plan.messages, plan.http) = (None, None);
        plan.traffic.mix = Mix::purchases();
        plan.targets = vec![visa.target.clone(), iso.target.clone(), visa.target.clone()];
        plan.targets[0].weight = 3;
        plan.targets[1].connections = Some(1);
        plan::tell_apart(&mut plan.targets);
        let report = drive(plan).await.expect("a report");
        let log = report.to_hlog().expect("a log");
        (report, log)
    });
    assert_eq!(report.exit_code(), 0, "{report}");
    let json = report.to_json();
    let samples = |link: &str| {
        json["latency_ns_by_link"][link]["auth"]["from_due"]["samples"].as_u64().expect("samples")
    };
    // 1000/s for two seconds after the warm-up, three to one to one.
    assert_eq!([samples("visa"), samples("iso87-ascii"), samples("visa-2")], [1_200, 400, 400], "{report}");
    assert_eq!(json["latency_ns"]["auth"]["from_sent"]["samples"], 2_000);
    assert_eq!((&json["sent"], &json["rate"]["planned"]), (&2_500.into(), &1_000.into()));
    assert_eq!(json["intervals"].as_array().map(Vec::len), Some(3));
    assert_eq!(json["intervals"][0]["warm_up"], true);
    assert_eq!(json["schema_version"], json::SCHEMA_VERSION);
    check_log(&log, &report);
    let page = report.to_html();
    assert!(page.contains("visa-2 auth") && !page.contains("http:") && !page.contains("<script"), "{page}");
}

/// The log holds every sample of the report, the warm-up under tags of its own.
fn check_log(log: &[u8], report: &Report) {
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::IntervalLogIterator;
    use hdrhistogram::serialization::interval_log::LogEntry;
    let (mut counted, mut warm_up) = (0, 0);
    for entry in IntervalLogIterator::new(log) {
        let LogEntry::Interval(line) = entry.expect("an entry") else { continue };
        let encoded = line.encoded_histogram();
        let bytes = base64_bytes(encoded);
        let histogram: hdrhistogram::Histogram<u64> =
            Deserializer::new().deserialize(&mut bytes.as_slice()).expect("a histogram");
        let tag = line.tag().map(|tag| tag.as_str().to_owned()).unwrap_or_default();
        if tag.ends_with(".auth.due") {
            *(if tag.starts_with("warm-up.") { &mut warm_up } else { &mut counted }) += histogram.len();
        }
    }
    let all = report.groups[0].as_ref().map_or(0, |latencies| latencies.response.len());
    assert_eq!((counted, warm_up), (all, 500));
}

fn base64_bytes(text: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    let digits: Vec<u8> = text.bytes().filter_map(digit).collect();
    let bytes = digits.chunks(4).flat_map(|four| {
        let value =
            four.iter().fold(0_u32, |value, digit| value << 6 | u32::from(*digit)) << (6 * (4 - four.len()));
        value.to_be_bytes()[1..four.len()].to_vec()
    });
    bytes.collect()
}

#[test]
fn steps_and_ramps_are_driven_and_judged() {
    let paces = [
        Pace::Steps { rates: Steps(vec![500, 1_000, 1_500]), each: Duration::from_millis(500) },
        Pace::Ramp(Ramp { from: 200, to: 1_800 }),
    ];
    for pace in paces {
        let report = block_on(async {
            let peer = Peer::start("visa", Planted::Nothing).await;
            let mut plan = peer.plan(pace.clone());
            (plan.messages, plan.length) = (None, Duration::from_millis(1_500));
            plan.knee_within = Some(Duration::from_secs(60));
            drive(plan).await.expect("a report")
        });
        assert_eq!(report.exit_code(), 0, "{report}");
        assert!(report.measured.sent.abs_diff(1_500) <= 20, "{report}");
        let knee = report.knee.as_ref().expect("a knee");
        assert_eq!(knee.steps.len(), if matches!(pace, Pace::Ramp(_)) { 20 } else { 3 });
        assert!(knee.steps.windows(2).all(|two| two[0].planned < two[1].planned), "{report}");
        let json = report.to_json();
        assert_eq!(json["knee"]["steps"].as_array().map(Vec::len), Some(knee.steps.len()));
        assert!(report.to_html().contains("<h2>Knee</h2>"));
    }
}

#[test]
fn a_run_is_compared_with_an_earlier_one() {
    let run = || {
        block_on(async {
            let peer = Peer::start("visa", Planted::Nothing).await;
            let mut plan = peer.plan(Pace::Open { rate: 5_000 });
            plan.messages = Some(2_000);
            drive(plan).await.expect("a report")
        })
    };
    let before = run().to_json();
    let tolerance = Tolerance::parse("5000000%").expect("a tolerance");
    for (rate, code) in [(before["rate"]["answered"].clone(), 0), ((1_u64 << 60).into(), report::FAILED)] {
        let mut earlier = before.clone();
        earlier["rate"]["answered"] = rate;
        let tolerance = if code == 0 { tolerance } else { Tolerance::parse("5%").expect("a tolerance") };
        let baseline = Baseline::read("a", earlier.to_string().as_bytes(), tolerance).expect("a baseline");
        let mut now = run();
        now.compare(&baseline);
        assert_eq!(now.exit_code(), code, "{now}");
        assert_eq!(now.to_string().contains("rate REGRESSED"), code != 0, "{now}");
        assert!(now.compared.iter().any(|compared| compared.name == "auth.p99"), "{now}");
    }
}

#[test]
fn what_the_peer_does_not_read_is_not_the_generators_fault() {
    let report = block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(8_192).expect("a small buffer");
        socket.bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let listener = socket.listen(1).expect("listens");
        let dialect = Dialect::built_in("visa").expect("built in");
        let target = Target::new(dialect, listener.local_addr().expect("bound"));
        tokio::task::spawn_local(async move {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            let mut input = vec![0; 1 << 16];
            // The sign-on is answered; then it pauses until much more is due than sockets hold.
            let mut pause = Some(Duration::from_millis(600));
            while let Ok(count @ 1..) = stream.read(&mut input).await {
                stream.write_all(&input[..count]).await.expect("written");
                if let Some(pause) = pause.take() {
                    tokio::time::sleep(pause).await;
                }
            }
        });
        let pace = Pace::Open { rate: 100_000 };
        let length = Duration::from_millis(800);
        let mut plan = Plan::new(vec![target], population(), pace, length, Run::new(5));
        (plan.echo, plan.prepare) = (true, true);
        drive(plan).await.expect("a report")
    });
    assert!(report.counted().0.held_back > 1_000, "{report}");
}

#[test]
fn a_peer_that_is_not_there_is_named() {
    let error = block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let target = Target::new(Dialect::built_in("visa").expect("built in"), address);
        let pace = Pace::Open { rate: 10 };
        drive(Plan::new(vec![target], population(), pace, Duration::from_secs(1), Run::new(5))).await.err()
    });
    let words = error.map(|error| error.to_string()).unwrap_or_default();
    assert!(words.starts_with("visa at 127.0.0.1:") && words.contains("cannot be reached"), "{words}");
}

#[test]
fn r22_a_generated_population_survives_its_seed_file() {
    let of = Composition { blocked_every: 5, ..Composition::of(200, 4) };
    let population = Population::generate(of);
    let now = Timestamp::from_seconds(1_795_000_000);
    let again = population_of_seed("seed.csv", population.to_seed_csv().as_bytes(), now).expect("a seed");
    assert_eq!(again.accounts(), population.accounts());
    assert_eq!((again.good_cards(), again.left_out()), (population.good_cards(), 0));
    assert!(
        population_of_seed("seed.csv", b"nonsense", now).is_err_and(|words| words.contains("seed.csv:1"))
    );
}

#[test]
fn arguments_are_checked_before_anything_is_sent() {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        load: LoadArgs,
    }
    use clap::Parser;
    let read = |words: &str| Line::try_parse_from(format!("load {words}").split_whitespace());
    for words in [
        "--rate 0",
        "--threshold auth.p99",
        "--target visa",
        "--mix purchase=0",
        "--window 0",
        "--for 10",
        "--rate 5 --window 5",
        "--rate 5 --ramp 1..2",
        "--steps 5,6 --for 10s",
        "--steps 5,0",
        "--ramp 5",
        "--fill",
        "--max-regress 5",
        "--baseline x --max-regress 5",
    ] {
        assert!(read(words).is_err_and(|error| error.exit_code() == 2), "{words}");
    }
    let plan = |words| plan_of(&read(words).expect("right").load).map_err(|(code, _)| code);
    assert_eq!(plan("").err(), Some(exit::USAGE));
    assert_eq!(plan("--target visa=127.0.0.1:1 --window 4 --prepare").err(), Some(exit::USAGE));
    for words in [
        "--target visa=127.0.0.1:1,weight=2 --window 5",
        "--target visa=127.0.0.1:1 --warm-up 30s",
        "--target visa=127.0.0.1:1 --for 0s",
        "--target visa=127.0.0.1:1 --daemon-pid 4294967295",
    ] {
        assert_eq!(plan(words).err(), Some(exit::USAGE), "{words}");
    }
    assert_eq!(plan("--target visa=127.0.0.1:1 --seed-file /nowhere.csv").err(), Some(exit::DATA));
    let right = plan("--target visa=127.0.0.1:1 --rate 5000 --for 2s --prepare").expect("a plan");
    assert_eq!(right.prepared_messages(), Some(10_000));
    let steps = plan("--target visa=127.0.0.1:1 --steps 1k..3k/1k --step-for 2s").expect("a plan");
    assert_eq!((steps.sending().as_secs(), steps.prepared_messages()), (6, Some(12_000)));
}
