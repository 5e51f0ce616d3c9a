//! Kills the real process while transfers come over HTTP, and proves from the outside that each of them was done once
//! and whole: what was answered is there under its record, and whatever is sent again adds nothing.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;
mod process;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process::Child;
use std::process::Command;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use process::spawn;
use serde_json::Value as Json;
use serde_json::json;
use turnpike::domain::time::Timestamp;
use turnpike::edge::clock;

const WALLETS: u64 = 60;
const BALANCE: i64 = 1_000_000;
/// Clients that send at once, each its own batches one after the other.
const CLIENTS: u64 = 3;
const BATCH: u64 = 40;

struct Daemon {
    directory: tempfile::TempDir,
    process: Child,
    http: SocketAddr,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _waited = self.process.wait();
    }
}

fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound")
}

/// Status and body; `None` when the daemon is gone before it has answered.
fn ask(http: SocketAddr, method: &str, path: &str, body: &str) -> Option<(u16, Json)> {
    let mut socket = TcpStream::connect(http).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: turnpike\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).ok()?))
}

fn until_ready(daemon: &mut Daemon) {
    let begun = Instant::now();
    while ask(daemon.http, "GET", "/readyz", "").is_none_or(|(status, _)| status != 200) {
        let log = || fs::read_to_string(daemon.directory.path().join("log")).unwrap_or_default();
        assert!(daemon.process.try_wait().expect("its state").is_none(), "it has ended: {}", log());
        assert!(begun.elapsed() < Duration::from_secs(60), "not ready: {}", log());
        thread::sleep(Duration::from_millis(10));
    }
}

fn start(shards: u16) -> Daemon {
    let directory = tempfile::tempdir().expect("a directory");
    let http = free_port();
    let settings = format!(
        "[daemon]\nshards = {shards}\n[admin]\nlisten = \"{http}\"\n[journal]\nsegment_mib = 1\n\
         [snapshots]\nevery_s = 1\n[links.visa]\ndialect = \"visa\"\nlisten = \"127.0.0.1:0\"\n"
    );
    fs::write(directory.path().join("turnpike.toml"), settings).expect("settings");
    let mut seed = "wallet,currency,balance,overdraft,pan,expiry,service_code,status\n".to_owned();
    for wallet in 1..=WALLETS {
        let pan = 4_000_000_000_000_000 + wallet * 10;
        seed.push_str(&format!("{wallet},840,{BALANCE},0,{pan},3012,201,active\n"));
    }
    fs::write(directory.path().join("seed.csv"), seed).expect("a seed");
    let process = spawn(directory.path());
    let mut daemon = Daemon { directory, process, http };
    until_ready(&mut daemon);
    daemon
}

/// The transfers of a batch: the same ones whenever they are asked for.
fn batch(round: u64, client: u64, number: u64) -> Json {
    // A key is as old as its round, which the test does not outlive.
    let created = Timestamp::from_seconds(clock::wall().seconds()).to_string();
    let one = |n: u64| {
        let spread = (round * 7 + client * 131 + number * 17 + n * 29) % WALLETS;
        let to = (spread + 1 + n % 11) % WALLETS;
        let key = format!("{round}-{client}-{number}-{n}");
        let amount = 1 + (n * 37 + number) % 90;
        json!({"key":key,"created":created,"from":1 + spread,"to":1 + to,"currency":"840","amount":amount})
    };
    json!({ "transfers": (0..BATCH).map(one).filter(|one| one["from"] != one["to"]).collect::<Vec<Json>>() })
}

/// What each wallet should have after these batches, each done once.
fn expected(batches: &[Json]) -> BTreeMap<u64, i64> {
    let mut balances: BTreeMap<u64, i64> = (1..=WALLETS).map(|wallet| (wallet, BALANCE)).collect();
    for transfer in batches.iter().flat_map(|batch| batch["transfers"].as_array().expect("a list")) {
        let number = |name: &str| transfer[name].as_u64().expect("a number");
        *balances.get_mut(&number("from")).expect("a wallet") -= number("amount") as i64;
        *balances.get_mut(&number("to")).expect("a wallet") += number("amount") as i64;
    }
    balances
}

fn balances(http: SocketAddr) -> BTreeMap<u64, i64> {
    let posted = |wallet: u64| {
        let (status, shown) = ask(http, "GET", &format!("/v1/wallets/{wallet}"), "").expect("an answer");
        assert_eq!(status, 200, "{shown}");
        shown["accounts"][0]["posted"].as_i64().expect("a number")
    };
    (1..=WALLETS).map(|wallet| (wallet, posted(wallet))).collect()
}

/// Sends batches until the daemon is gone. Returns how many were begun, and what was answered, by batch.
fn client(http: SocketAddr, round: u64, client: u64, done: &AtomicU64) -> (u64, BTreeMap<u64, Json>) {
    let (mut answered, mut number) = (BTreeMap::new(), 0);
    loop {
        let body = batch(round, client, number).to_string();
        let answer = ask(http, "POST", "/v1/transfers/batch", &body);
        number += 1;
        match answer {
            Some((200, answer)) => {
                let results = answer["results"].as_array().expect("a list");
                assert!(results.iter().all(|one| one["status"] == 200), "{answer}");
                answered.insert(number - 1, answer);
                done.fetch_add(1, Ordering::Relaxed);
            }
            Some((status, answer)) => assert_eq!(status, 503, "{answer}"),
            None => return (number, answered),
        }
    }
}

#[test]
fn r10_a_killed_daemon_has_done_each_transfer_once_and_whole() {
    let kills: u64 = std::env::var("TURNPIKE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let mut daemon = start(16);
    let mut all: Vec<Json> = Vec::new();
    let (mut in_flight, mut again) = (0, 0);
    for round in 0..kills.max(3) {
        let done = AtomicU64::new(0);
        let (http, process) = (daemon.http, &mut daemon.process);
        let told: Vec<(u64, BTreeMap<u64, Json>)> = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|number| {
                    scope.spawn({
                        let done = &done;
                        move || client(http, round, number, done)
                    })
                })
                .collect();
            while done.load(Ordering::Relaxed) < 40 + round * 7 {
                thread::sleep(Duration::from_millis(1));
            }
            process.kill().expect("it dies");
            process.wait().expect("it is dead");
            clients.into_iter().map(|client| client.join().expect("a client")).collect()
        });
        daemon.process = spawn(daemon.directory.path());
        until_ready(&mut daemon);
        for (number, (begun, answered)) in (0..).zip(&told) {
            for at in 0..*begun {
                let asked = batch(round, number, at);
                let (status, answer) =
                    ask(daemon.http, "POST", "/v1/transfers/batch", &asked.to_string()).expect("an answer");
                assert_eq!(status, 200, "{answer}");
                let results = answer["results"].as_array().expect("a list");
                assert!(results.iter().all(|one| one["status"] == 200), "{answer}");
                match answered.get(&at) {
                    // What was answered is there, under the record that was told.
                    Some(first) => {
                        for (first, now) in first["results"].as_array().expect("a list").iter().zip(results) {
                            assert_eq!((&first["sequence"], &now["again"]), (&now["sequence"], &json!(true)));
                        }
                    }
                    None => {
                        in_flight += 1;
                        again += results.iter().filter(|one| one["again"] == true).count();
                    }
                }
                all.push(asked);
            }
        }
        assert_eq!(balances(daemon.http), expected(&all), "after kill {round}");
        let (_, sums) = ask(daemon.http, "GET", "/v1/audit/balance", "").expect("an answer");
        let of = &sums["currencies"][0];
        assert_eq!((&of["sum"], &of["transit"]), (&json!("0"), &json!("0")), "{of}");
    }
    println!("{in_flight} batches were not answered, of which {again} transfers were done");
    daemon.process.kill().expect("it dies");
    daemon.process.wait().expect("it is dead");
    let verified = Command::new(env!("CARGO_BIN_EXE_turnpike"))
        .args(["journal", "verify", "--data-dir"])
        .arg(daemon.directory.path().join("data"))
        .output()
        .expect("it runs");
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
}
