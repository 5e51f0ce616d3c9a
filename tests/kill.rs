//! Kills the real process under load and proves from the outside what is there after the restart: holds, postings, and
//! the answers that were given, whatever they said.
//!
//! `TURNPIKE_KILLS` says how often; half of the kills are in `fsync` mode, half in `async`. Half of each come while
//! snapshots are made one after the other, and segments are recycled behind them.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

mod process;

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use process::spawn;
use serde_json::Value;
use turnpike::edge::loadtest::drive;
use turnpike::edge::loadtest::http::Http;
use turnpike::edge::loadtest::plan::Pace;
use turnpike::edge::loadtest::plan::Plan;
use turnpike::edge::loadtest::plan::Target;
use turnpike::workload::acquirer::Acquirer;
use turnpike::workload::exchange::Exchange;
use turnpike::workload::exchange::Kind;
use turnpike::workload::identity::Run;
use turnpike::workload::population::Composition;
use turnpike::workload::population::Population;
use turnpike::workload::traffic::Mix;

const WALLETS: u32 = 400;
/// Answers before each kill, at least.
const ANSWERS: u64 = 10_000;
/// What `async` may lose, in records.
const UNSYNCED_MAX: u64 = 2_000;
/// Answers that are asked for again after the restart: what they are about, which they are, and whether `async` may
/// have lost their records.
type Answers = (&'static str, fn(&Exchange) -> bool, Lost);
const ANSWERED: [Answers; 8] = [
    ("holds", |one| one.taken() > 0 && !one.posts(), Lost::AsTheBooksShow),
    ("postings", |one| one.taken() > 0 && one.posts(), Lost::AsTheBooksShow),
    ("partial approvals", |one| one.taken() > 0 && one.kind() == Kind::Partial, Lost::AsTheBooksShow),
    ("declines", |one| DECLINED.contains(&one.kind()) && one.taken() == 0, Lost::Perhaps),
    ("inquiries", |one| matches!(one.kind(), Kind::Inquiry | Kind::Verification), Lost::Perhaps),
    ("reversals", |one| one.kind().undoes(), Lost::Never),
    ("advices", |one| matches!(one.kind(), Kind::LifeAdvice | Kind::LifeCompletion), Lost::Never),
    ("reversals of life cycles", is_reversal_of_life, Lost::Never),
];
const DECLINED: [Kind; 4] = [Kind::OverLimit, Kind::UnknownCard, Kind::BlockedCard, Kind::Late];
/// Whether a kill comes among whole life cycles, with and without snapshots.
const fn has_lives(kill: u64) -> bool {
    kill / 4 % 2 == 1
}

fn is_reversal_of_life(one: &Exchange) -> bool {
    matches!(one.kind(), Kind::LifeReversal | Kind::LifeReversalAdvice)
}

/// DE 39 of what changed nothing, in both dialects: it is decided anew.
const REFUSED: [&[u8; 2]; 2] = [b"91", b"96"];
/// How many of each, and as many of the latest.
const REPEATS: usize = 40;

/// Whether `async` may have lost the record of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lost {
    Never,
    AsTheBooksShow,
    Perhaps,
}

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_killed_daemon_has_what_it_answered_or_says_how_much_it_may_lose() {
    let kills: u64 = std::env::var("TURNPIKE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let (mut missing, mut from_snapshots) = (0, 0);
    for kill in 0..kills {
        let reply = if kill % 2 == 0 { "fsync" } else { "async" };
        let (lost, from_snapshot) = one_kill(kill, reply);
        missing += lost;
        from_snapshots += u64::from(from_snapshot);
    }
    println!(
        "{kills} kills; in async mode {missing} answered approvals were missing in all; \
         {from_snapshots} starts began with a snapshot"
    );
    assert!(from_snapshots >= kills / 4, "the ones with snapshots begin with them: {from_snapshots}");
}

/// One daemon, its directory and its addresses.
struct Daemon {
    directory: tempfile::TempDir,
    process: Child,
    http: SocketAddr,
    visa: SocketAddr,
    iso87: SocketAddr,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _waited = self.process.wait();
    }
}

/// Addresses that are free now, each another: all are bound before the first is let go.
fn free_ports() -> [SocketAddr; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("bound"))
}

fn start(directory: &Path, http: SocketAddr) -> Child {
    let mut process = spawn(directory);
    let begun = Instant::now();
    while block_on(async { page(http, "/readyz").await.is_none() }) {
        let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
        let ended = process.try_wait().expect("its state");
        assert!(ended.is_none() && begun.elapsed() < PATIENCE, "not ready: {}", log());
        thread::sleep(Duration::from_millis(5));
    }
    process
}

impl Daemon {
    fn new(reply: &str, population: &Population) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let [http, visa, iso87] = free_ports();
        let config = format!(
            "[admin]\nlisten = \"{http}\"\n\
             [ledger]\nwallets_max = 1000\ncards_max = 1000\nauthorizations_max = 400000\nclosed_per_slot = 128\n\
             [journal]\nreply = \"{reply}\"\nsegment_mib = 1\nspare_segments = 1\nretained_segments = 1\n\
             max_unsynced_records = {UNSYNCED_MAX}\n\
             [links.visa]\ndialect = \"visa\"\nlisten = \"{visa}\"\n\
             [links.iso87]\ndialect = \"iso87-ascii\"\nlisten = \"{iso87}\"\n"
        );
        fs::write(directory.path().join("turnpike.toml"), config).expect("written");
        fs::write(directory.path().join("seed.csv"), population.to_seed_csv()).expect("written");
        let process = start(directory.path(), http);
        Self { directory, process, http, visa, iso87 }
    }

    fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("ended");
    }

    fn restart(&mut self) {
        self.process = start(self.directory.path(), self.http);
    }

    /// Asks for one snapshot after the other until the daemon is gone. Returns how many were made.
    fn keep_making_snapshots(&self) -> thread::JoinHandle<u64> {
        let http = self.http;
        thread::spawn(move || {
            let mut made = 0;
            while let Ok(mut socket) = TcpStream::connect(http) {
                let request = "POST /v1/snapshots HTTP/1.1\r\nHost: turnpike\r\nConnection: close\r\n\r\n";
                let mut answer = String::new();
                let asked = socket.write_all(request.as_bytes());
                if asked.is_ok() && socket.read_to_string(&mut answer).is_ok() {
                    made += u64::from(answer.starts_with("HTTP/1.1 200"));
                }
            }
            made
        })
    }

    /// Whether the last start began with a snapshot.
    fn began_with_a_snapshot(&self) -> bool {
        let log = fs::read_to_string(self.directory.path().join("log")).expect("a log");
        let start = log.lines().rfind(|line| line.contains("books rebuilt")).expect("it was told");
        !start.contains("snapshot=0 ")
    }

    fn plan(&self, kill: u64, population: Population) -> Plan {
        let target =
            |dialect: &str, address| Target::parse(&format!("{dialect}={address}")).expect("a target");
        let targets = vec![target("visa", self.visa), target("iso87-ascii", self.iso87)];
        let pace = Pace::Closed { window: 64 };
        let mut plan = Plan::new(targets, population, pace, PATIENCE, Run::new(kill));
        plan.traffic.seed = kill;
        plan.traffic.mix = if has_lives(kill) {
            Mix::life()
        } else {
            Mix::parse(
                "purchase=66,sale=12,cash=4,partial=2,over-limit=2,unknown-card=1,blocked-card=1,inquiry=2,\
                 verification=1,repeat=3,reversal=4,reversal-advice=4,reversal-repeat=1,early-reversal=1",
            )
            .expect("a mix")
        };
        plan.settle = false;
        plan
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

async fn page(http: SocketAddr, path: &str) -> Option<Value> {
    Http::connect(http).await.ok()?.get(path).await.ok()
}

/// Waits until the daemon's books have so many records.
fn wait_for_records(http: SocketAddr, records: u64) {
    let begun = Instant::now();
    block_on(async {
        let mut http = Http::connect(http).await.expect("the HTTP face");
        while begun.elapsed() < PATIENCE {
            let page = http.get("/v1/audit/balance").await.expect("the totals");
            if page["sequence"].as_u64().unwrap_or(0) >= records {
                return;
            }
        }
    });
}

/// Kills once. Returns how many answers are missing, and whether the start after it began with a snapshot.
fn one_kill(kill: u64, reply: &str) -> (u64, bool) {
    let population =
        Population::generate(Composition { second_currency_every: 0, ..Composition::of(WALLETS, kill) });
    let mut daemon = Daemon::new(reply, &population);
    let plan = daemon.plan(kill, population);
    let again = plan.clone();
    let load = thread::spawn(move || block_on(drive::drive_keeping(plan)).expect("a report"));
    let snapshots = (kill % 4 >= 2).then(|| daemon.keep_making_snapshots());
    // Not every record is an answer: wallets, cards, and declines on the way.
    wait_for_records(daemon.http, ANSWERS * 6 / 5 + 2 * u64::from(WALLETS) + kill * 7_919 % 3_000);
    daemon.kill();
    if let Some(snapshots) = snapshots {
        let made = snapshots.join().expect("it ends when the daemon does");
        assert!(made >= 1, "kill {kill} {reply}: a snapshot was made before");
    }
    let (report, acquirer) = load.join().expect("the load ends when the daemon does");
    assert!(report.measured.answered >= ANSWERS, "kill {kill} {reply}:\n{report}");
    assert_eq!(report.mistakes.iter().sum::<u64>(), 0, "kill {kill} {reply}:\n{report}");
    daemon.restart();
    println!("kill {kill} {reply}: {} answers before it", report.measured.answered);
    let missing = block_on(compare(daemon.http, &acquirer, &again.run));
    let allowed = if reply == "fsync" { 0 } else { UNSYNCED_MAX };
    assert!(missing.len() as u64 <= allowed, "kill {kill} {reply}: {} answers are missing", missing.len());
    repeats(&daemon, again, acquirer, &missing, kill, reply);
    (missing.len() as u64, daemon.began_with_a_snapshot())
}

/// Compares wallets with what was answered; returns the approvals that are not there.
async fn compare(http: SocketAddr, acquirer: &Acquirer, run: &Run) -> HashSet<u32> {
    let mut http = Http::connect(http).await.expect("the HTTP face");
    let totals = http.get("/v1/audit/balance").await.expect("the totals");
    for row in totals["currencies"].as_array().expect("currencies") {
        assert_eq!(row["sum"], "0", "the books add up: {row}");
    }
    let firm = |exchange: &&Exchange| exchange.taken() > 0 && !exchange.is_reversed();
    let mut expected: HashMap<u32, Vec<&Exchange>> = HashMap::new();
    for exchange in acquirer.exchanges().iter().filter(firm) {
        expected.entry(exchange.account()).or_default().push(exchange);
    }
    let mut missing = HashSet::new();
    let accounts = acquirer.population().accounts().iter().zip(acquirer.taken_between());
    for (place, (account, between)) in accounts.enumerate() {
        let path = format!("/v1/wallets/{}", account.wallet.0);
        let wallet = http.get(&path).await.expect("the wallet");
        let amount = |name: &str| wallet["accounts"][0][name].as_i64().expect("an amount");
        let list = http.get(&format!("{path}/authorizations")).await.expect("its authorizations");
        let list = list["authorizations"].as_array().expect("a list");
        let known: HashSet<&str> = list.iter().filter_map(|one| one["rrn"].as_str()).collect();
        let (mut lost_held, mut lost_posted, mut gained) = (0, 0, 0);
        for exchange in expected.get(&(place as u32)).into_iter().flatten() {
            let rrn = run.rrn(exchange.number());
            if !known.contains(str::from_utf8(&rrn).expect("digits")) {
                let amount = i64::from(exchange.taken());
                match (exchange.posts(), exchange.is_credit()) {
                    (true, true) => gained += amount,
                    (true, false) => lost_posted += amount,
                    (false, true) => {}
                    (false, false) => lost_held += amount,
                }
                missing.insert(exchange.number());
            }
        }
        for (what, taken, (least, most), (lost, gained)) in [
            ("held", amount("held"), between.held, (lost_held, 0)),
            ("posted", account.balance - amount("posted"), between.posted, (lost_posted, gained)),
        ] {
            assert!(
                least - lost <= taken && taken <= most + gained,
                "{path}: {taken} is {what}, {least} less {lost} to {most} and {gained}"
            );
        }
    }
    missing
}

/// Repeats of what was answered, whose records are there, get the first answers and leave no new records.
fn repeats(daemon: &Daemon, plan: Plan, acquirer: Acquirer, missing: &HashSet<u32>, kill: u64, reply: &str) {
    let is_there = |exchange: &&Exchange, lost: Lost| {
        let answered = exchange.answer().is_some_and(|(code, _)| !REFUSED.contains(&&code));
        // The acknowledgement of a reversal says that it is on disk; without one, it and its original may be lost.
        let shown = !missing.contains(&exchange.number()) && !exchange.is_reversed();
        answered && (reply == "fsync" || lost == Lost::Never || lost == Lost::AsTheBooksShow && shown)
    };
    let mut sample = Vec::new();
    for (what, is_one, lost) in ANSWERED {
        let all = acquirer.exchanges().iter().filter(|exchange| is_one(exchange) && is_there(exchange, lost));
        let all: Vec<u32> = all.map(Exchange::number).collect();
        // Without life cycles there is none of theirs, and among them few approvals of a part stay.
        let of_lives = matches!(what, "advices" | "reversals of life cycles");
        let never = if has_lives(kill) { what == "partial approvals" } else { of_lives };
        assert!(
            !all.is_empty() || never || lost == Lost::Perhaps && reply == "async",
            "kill {kill} {reply}: no {what}"
        );
        // The latest, which a kill would lose first, and some of every age.
        let step = (all.len() / REPEATS).max(1);
        sample.extend(all.iter().rev().take(REPEATS).chain(all.iter().step_by(step)));
    }
    sample.sort_unstable();
    sample.dedup();
    let answers = |acquirer: &Acquirer| -> u64 {
        let exchanges = sample.iter().filter_map(|number| acquirer.exchanges().get(*number));
        exchanges.map(|exchange| u64::from(exchange.answers())).sum()
    };
    let sent = |acquirer: &Acquirer| acquirer.sent_by(Kind::Repeat) + acquirer.sent_by(Kind::ReversalRepeat);
    let counts =
        |acquirer: &Acquirer| (answers(acquirer).wrapping_sub(sent(acquirer)), acquirer.refusals_seen());
    let (before, records_before) = (counts(&acquirer), records(daemon.http));
    let acquirer = block_on(drive::repeat(&plan, acquirer, &sample)).expect("the daemon is back");
    let (mistakes, examples) = (acquirer.model().mistakes(), acquirer.model().examples());
    assert_eq!(mistakes.iter().sum::<u64>(), 0, "kill {kill} {reply}: {examples:?}");
    assert_eq!(
        counts(&acquirer),
        before,
        "kill {kill} {reply}: each repeat is answered, and none is refused"
    );
    assert_eq!(records(daemon.http), records_before, "kill {kill} {reply}: a repeat was decided anew");
}

fn records(http: SocketAddr) -> u64 {
    let page = block_on(page(http, "/v1/audit/balance")).expect("the totals");
    page["sequence"].as_u64().expect("a number")
}
