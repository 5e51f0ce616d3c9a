//! Whole life cycles under load: the real daemon and the real generator, every script of the mix in three dialects over
//! several sockets, and no wallet a cent off; and a wallet that is changed behind the generator's back is reported.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value as Json;
use tempfile::TempDir;
use turnpike::dialect::Dialect;
use turnpike::iso8583::value::Value;

const PATIENCE: Duration = Duration::from_secs(60);
const WALLETS: u32 = 300;
/// Every kind of message, and every life cycle.
const KINDS: usize = 16;
const SCRIPTS: usize = 50;

fn turnpike(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
    command.args(words.split_whitespace()).stdin(Stdio::null()).env("NO_COLOR", "1");
    command
}

/// The daemon's process with its directory and addresses.
struct Daemon {
    directory: TempDir,
    process: Child,
    http: SocketAddr,
    links: [(&'static str, SocketAddr); 3],
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _waited = self.process.wait();
    }
}

impl Daemon {
    /// Starts on free ports. Another may take one between two moments: then it is tried again with others.
    fn start(reply: &str) -> Self {
        (0..5).find_map(|_| Self::try_start(reply)).expect("free ports")
    }

    fn try_start(reply: &str) -> Option<Self> {
        let directory = TempDir::new().expect("a directory");
        let free = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [http, visa, mastercard, iso] = free.each_ref().map(|port| port.local_addr().expect("bound"));
        drop(free);
        let links = [("visa", visa), ("mastercard", mastercard), ("iso87-ascii", iso)];
        let mut config = format!(
            "[admin]\nlisten = \"{http}\"\n\
             [ledger]\nwallets_max = 1000\ncards_max = 1000\nauthorizations_max = 800000\nclosed_per_slot = 512\n\
             [lifecycle]\nexpire_every_s = 1\n[expiry.brief]\nmcc = [\"4784\"]\nseconds = 1\n\
             [journal]\nreply = \"{reply}\"\nsegment_mib = 8\nspare_segments = 1\n"
        );
        for (dialect, address) in links {
            config.push_str(&format!("[links.{dialect}]\ndialect = \"{dialect}\"\nlisten = \"{address}\"\n"));
        }
        let seed = turnpike(&format!("load --make-seed {WALLETS}")).output().expect("the binary runs");
        fs::write(directory.path().join("turnpike.toml"), config).expect("written");
        fs::write(directory.path().join("seed.csv"), seed.stdout).expect("written");
        let log = fs::File::create(directory.path().join("log")).expect("a log");
        let process = turnpike("serve --config turnpike.toml --seed seed.csv --data-dir data")
            .current_dir(directory.path())
            .stdout(Stdio::from(log.try_clone().expect("a log")))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("the daemon starts");
        let mut daemon = Self { directory, process, http, links };
        let begun = Instant::now();
        while daemon.page("/readyz").is_none() {
            let log = || fs::read_to_string(daemon.directory.path().join("log")).unwrap_or_default();
            if daemon.process.try_wait().expect("its state").is_some() {
                assert!(log().contains("in use"), "{}", log());
                return None;
            }
            assert!(begun.elapsed() < PATIENCE, "not ready: {}", log());
            thread::sleep(Duration::from_millis(10));
        }
        Some(daemon)
    }

    /// The body of a page; `None` when it is not 200.
    fn page(&self, path: &str) -> Option<String> {
        let mut socket = TcpStream::connect(self.http).ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: turnpike\r\nConnection: close\r\n\r\n");
        let mut answer = String::new();
        socket.write_all(request.as_bytes()).ok()?;
        socket.read_to_string(&mut answer).ok()?;
        let body = answer.strip_prefix("HTTP/1.1 200")?.split_once("\r\n\r\n")?.1;
        Some(body.to_owned())
    }

    fn load(&self, more: &str) -> Command {
        let targets: String =
            self.links.iter().map(|(dialect, address)| format!("--target {dialect}={address} ")).collect();
        let directory = self.directory.path().display();
        let mut command = turnpike(&format!(
            "load {targets} --http {} --seed-file {directory}/seed.csv --connections 3 --mix life \
             --expires-after 5s --json {directory}/report.json {more}",
            self.http
        ));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn report(&self) -> Json {
        let text = fs::read(self.directory.path().join("report.json")).expect("a report");
        serde_json::from_slice(&text).expect("JSON")
    }
}

fn words(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn r33_no_wallet_is_a_cent_off_after_whole_life_cycles() {
    for (reply, pace) in [
        ("async", "--window 64 --messages 60000 --for 120s"),
        ("async", "--rate 2k --for 6s"),
        ("fsync", "--window 128 --messages 20000 --for 120s"),
    ] {
        let daemon = Daemon::start(reply);
        // On a slow disk the daemon sheds, and what has no answer is settled: that costs answers, and no cent.
        let output = daemon.load(&format!("{pace} --threshold ledger.mismatch==0")).output();
        let output = output.expect("the binary runs");
        assert_eq!(output.status.code(), Some(0), "{reply} {pace}: {}", words(&output));
        let report = daemon.report();
        let counts = |name: &str| report[name].as_object().map_or(0, serde_json::Map::len);
        assert!(counts("kinds") >= KINDS && counts("lives") == SCRIPTS, "{report:#}");
        let told = format!("money      0 differences in {WALLETS} of {WALLETS} wallets");
        assert!(words(&output).contains(&told), "{}", words(&output));
        no_hold_is_orphaned(daemon);
    }
}

/// What is held is what open authorizations hold, live and by the journal of a daemon that was killed.
fn no_hold_is_orphaned(mut daemon: Daemon) {
    let page = daemon.page("/v1/audit/holds").expect("a page");
    let holds: Json = serde_json::from_str(&page).expect("JSON");
    assert_eq!((&holds["orphans"], &holds["told"]), (&0.into(), &Json::Array(Vec::new())), "{holds}");
    assert!(holds["open_authorizations"].as_u64().is_some_and(|open| open > 1_000), "{holds}");
    assert!(holds["accounts"].as_u64().is_some_and(|accounts| accounts >= u64::from(WALLETS)), "{holds}");
    daemon.process.kill().expect("killed");
    daemon.process.wait().expect("ended");
    let verified = turnpike("journal verify --data-dir data")
        .current_dir(daemon.directory.path())
        .output()
        .expect("the binary runs");
    assert_eq!(verified.status.code(), Some(0), "{}", words(&verified));
}

#[test]
fn a_daemon_that_dies_ends_the_run_with_what_there_is_of_a_report() {
    let mut daemon = Daemon::start("async");
    let load = daemon.load("--rate 500 --for 300s --timeout 2s").spawn().expect("the binary runs");
    thread::sleep(Duration::from_secs(2));
    daemon.process.kill().expect("killed");
    daemon.process.wait().expect("ended");
    let output = load.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(69), "{}", words(&output));
    let report = daemon.report();
    assert_eq!((&report["partial"], &report["valid"]), (&true.into(), &false.into()), "{report:#}");
    assert!(report["partial_reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{report:#}");
    assert!(report["answered"].as_u64() > Some(100), "{report:#}");
}

#[test]
fn what_is_changed_behind_the_generators_back_is_reported() {
    let daemon = Daemon::start("async");
    let load = daemon.load("--rate 500 --for 4s").spawn().expect("the binary runs");
    thread::sleep(Duration::from_millis(1_500));
    let seed = fs::read_to_string(daemon.directory.path().join("seed.csv")).expect("the seed");
    let card = seed.lines().nth(7).and_then(|line| line.split(',').nth(4)).expect("a card");
    // One cent, at somebody else's terminal.
    let (dialect, address) = (Dialect::built_in("visa").expect("built in"), daemon.links[0].1);
    let values = [
        (2, card),
        (3, "000000"),
        (4, "000000000001"),
        (7, "0604123456"),
        (11, "000001"),
        (14, "2912"),
        (32, "12345678901"),
        (37, "NOBODYS00001"),
        (41, "TERMID01"),
        (42, "MERCHANT0000001"),
        (49, "840"),
    ]
    .map(|(field, text)| (field, Value::Text(text)));
    let mut frame = Vec::new();
    dialect.compose(100, &values, &mut frame).expect("values that fit");
    let mut socket = TcpStream::connect(address).expect("connected");
    socket.set_read_timeout(Some(PATIENCE)).expect("set");
    socket.write_all(&frame).expect("written");
    let mut answer = [0; 512];
    assert!(socket.read(&mut answer).expect("an answer") > 0);
    let output = load.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(99), "{}", words(&output));
    let told = words(&output);
    assert!(told.contains("wallet 7 account 0: posted"), "{told}");
    assert!(told.contains("answers    0 wrong"), "{told}");
}
