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
        let target = Target { dialect: dialect.clone(), address: frames.local_addr().expect("bound") };
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
        for (pace, prepare) in paces.into_iter().flat_map(|pace| [(pace, false), (pace, true)]) {
            let report = block_on(async {
                let peer = Peer::start(dialect, Planted::Nothing).await;
                let mut plan = peer.plan(pace);
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
        let targets = vec![Target { dialect, address }];
        let mut plan = Plan::new(targets, population(), pace, Duration::from_secs(20), Run::new(5));
        (plan.messages, plan.echo) = (Some(5_000), true);
        drive(plan).await.expect("a report")
    });
    assert_eq!((report.measured.answered, report.exit_code()), (5_000, 0), "{report}");
    assert!(report.to_string().contains("money      not judged"));
}

#[test]
fn a_peer_that_is_not_there_is_named() {
    let error = block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        drop(listener);
        let target = Target { dialect: Dialect::built_in("visa").expect("built in"), address };
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
    ] {
        assert!(read(words).is_err_and(|error| error.exit_code() == 2), "{words}");
    }
    let plan = |words| plan_of(&read(words).expect("right").load).map_err(|(code, _)| code);
    assert_eq!(plan("").err(), Some(exit::USAGE));
    assert_eq!(plan("--target visa=127.0.0.1:1 --window 4 --prepare").err(), Some(exit::USAGE));
    assert_eq!(plan("--target visa=127.0.0.1:1 --seed-file /nowhere.csv").err(), Some(exit::DATA));
    let right = plan("--target visa=127.0.0.1:1 --rate 5000 --for 2s --prepare").expect("a plan");
    assert_eq!(right.prepared_messages(), Some(10_000));
}
