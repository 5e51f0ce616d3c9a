//! `turnpike load` as a person runs it: the built binary, its exit codes, its words and its files.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

fn turnpike(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
    command.args(words.split_whitespace()).stdin(Stdio::null());
    command
}

fn run(words: &str) -> Output {
    turnpike(words).output().expect("the binary runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn report(directory: &TempDir) -> Value {
    let text = fs::read(directory.path().join("report.json")).expect("a report");
    serde_json::from_slice(&text).expect("JSON")
}

fn files(directory: &Path) -> String {
    let directory = directory.display();
    format!("--json {directory}/report.json --html {directory}/report.html --hlog {directory}/report.hlog")
}

/// An echo server of two dialects that ends with the test.
struct Echo {
    process: Child,
    address: SocketAddr,
    mastercard: SocketAddr,
}

impl Echo {
    fn start() -> Self {
        let free = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
        let [address, mastercard] = free.each_ref().map(|listener| listener.local_addr().expect("bound"));
        drop(free);
        let words =
            format!("echo --listen {address} --dialect visa --listen {mastercard} --dialect mastercard");
        let process = turnpike(&words).spawn().expect("the binary runs");
        let echo = Self { process, address, mastercard };
        let begun = Instant::now();
        while TcpStream::connect(mastercard).is_err() {
            assert!(begun.elapsed() < PATIENCE, "the echo server does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        echo
    }

    fn load(&self) -> String {
        format!(
            "load --target visa={} --target mastercard={} --wallets 100 --echo-peer --no-verify",
            self.address, self.mastercard
        )
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _gone_already = self.process.wait();
    }
}

#[test]
fn bad_input_is_named_before_anything_is_sent() {
    let directory = TempDir::new().expect("a directory");
    let partial = directory.path().join("partial.json");
    fs::write(&partial, r#"{ "schema_version": 1, "partial": true }"#).expect("written");
    let target = "load --target visa=127.0.0.1:1 --no-verify";
    for (words, code, told) in [
        ("load".to_owned(), 2, "no --target is named"),
        (
            format!("{target} --threshold auth.p99"),
            2,
            "`auth.p99` has no comparison; write it as auth.p99<2ms",
        ),
        (format!("{target} --threshold auth.p99<2"), 2, "`2` is no limit for auth.p99"),
        (format!("{target} --rate 0"), 2, "`0` sends nothing: a rate is at least 1 a second"),
        (
            format!("{target} --steps 5k,fast"),
            2,
            "`fast` is no rate; write messages a second as 5000, 50k or 1.5M",
        ),
        (format!("{target} --ramp 0..5k"), 2, "sends nothing"),
        (format!("{target} --mix rebate=1"), 2, "`rebate` is no kind of traffic; the kinds are purchase"),
        (format!("{target} --prepare --messages 5 --mix life"), 2, "messages of life cycles follow answers"),
        (format!("{target} --warm-up 5s --for 5s"), 2, "nothing would be measured"),
        (format!("{target} --baseline {}", partial.display()), 65, "is a partial report"),
        (format!("{target} --baseline /nowhere/old.json"), 65, "/nowhere/old.json: No such file"),
        ("load --target visa=127.0.0.1:1,weight=0".to_owned(), 2, "weight is from 1 to 1000"),
        ("load --target visa=nowhere".to_owned(), 2, "`nowhere` is not an address with a port"),
        ("echo".to_owned(), 2, "--listen <ADDR>"),
        ("echo --listen 127.0.0.1:0 --dialect nobodys".to_owned(), 2, "no dialect `nobodys`; there are visa"),
        (
            "echo --listen 127.0.0.1:0 --listen 127.0.0.1:0 --listen 127.0.0.1:0 --dialect visa --dialect mastercard"
                .to_owned(),
            2,
            "there are 3 --listen and 2 --dialect",
        ),
    ] {
        let output = run(&words);
        assert_eq!(output.status.code(), Some(code), "{words}: {}", stderr(&output));
        assert!(stderr(&output).contains(told), "{words}: {}", stderr(&output));
    }
}

#[test]
fn peers_that_are_not_there_or_say_nothing_leave_a_partial_report() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let nobody = free.local_addr().expect("bound");
    drop(free);
    let deaf = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = deaf.local_addr().expect("bound");
    thread::spawn(move || {
        for mut stream in deaf.incoming().flatten() {
            thread::spawn(move || stream.read_to_end(&mut Vec::new()));
        }
    });
    for (address, told) in [(nobody, "cannot be reached"), (silent, "does not answer a sign-on (0800)")] {
        let directory = TempDir::new().expect("a directory");
        let output = run(&format!(
            "load --target visa={address} --wallets 100 --no-verify --rate 100 --for 20s --timeout 300ms {}",
            files(directory.path())
        ));
        assert_eq!(output.status.code(), Some(69), "{}", stderr(&output));
        assert!(stderr(&output).contains(told) && stderr(&output).contains(&address.to_string()));
        let report = report(&directory);
        assert_eq!((&report["partial"], &report["valid"]), (&true.into(), &false.into()));
        assert!(report["partial_reason"].as_str().is_some_and(|reason| reason.contains(told)), "{report:#}");
        assert_eq!(report["conditions"]["targets"][0]["address"], address.to_string());
        let page = fs::read_to_string(directory.path().join("report.html")).expect("a page");
        assert!(page.contains("PARTIAL</b>") && page.contains(told), "{page}");
        assert!(
            fs::read_to_string(directory.path().join("report.hlog"))
                .is_ok_and(|log| log.contains("[Partial"))
        );
    }
}

#[test]
fn a_run_writes_its_reports_and_is_judged() {
    let echo = Echo::start();
    let directory = TempDir::new().expect("a directory");
    let output = run(&format!(
        "{} --rate 2k --for 2s --warm-up 500ms --connections 2 --prepare --threshold auth.p99<50s {}",
        echo.load(),
        files(directory.path())
    ));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let first = report(&directory);
    assert_eq!((&first["partial"], &first["conditions"]["profile"]), (&false.into(), &"constant".into()));
    assert_eq!((&first["rate"]["planned"], &first["sent"]), (&2_000.into(), &4_000.into()));
    let page = fs::read_to_string(directory.path().join("report.html")).expect("a page");
    for part in ["Latency by percentile", "Rate over time", "Latency over time", "Answers over time"] {
        assert!(page.contains(&format!("<h2>{part}")), "{part}");
    }
    let baseline = directory.path().join("report.json").display().to_string();
    let (far, near) = ("--max-regress 90000000%", "--max-regress 0%");
    for (tolerance, rate, code) in [(far, "2k", 0), (near, "1k", 99)] {
        let again = format!("{} --rate {rate} --for 1s --baseline {baseline} {tolerance}", echo.load());
        let output = run(&again);
        assert_eq!(output.status.code(), Some(code), "{}", String::from_utf8_lossy(&output.stdout));
        let said = String::from_utf8_lossy(&output.stdout).contains("rate REGRESSED");
        assert_eq!(said, code == 99);
    }
    let output = run(&format!("{} --rate 1k --for 1s --threshold rate>1000000000", echo.load()));
    assert_eq!(output.status.code(), Some(99));
}

#[test]
fn an_interrupted_run_reports_what_it_has() {
    let echo = Echo::start();
    let directory = TempDir::new().expect("a directory");
    let words = format!("{} --rate 1k --for 60s {}", echo.load(), files(directory.path()));
    let load = turnpike(&words).stdout(Stdio::piped()).spawn().expect("the binary runs");
    thread::sleep(Duration::from_millis(1_500));
    let process = Pid::from_raw(i32::try_from(load.id()).expect("a number")).expect("a process");
    kill_process(process, Signal::INT).expect("sent");
    let output = load.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("PARTIAL    interrupted"));
    let report = report(&directory);
    assert_eq!(report["partial_reason"], "interrupted");
    let length = report["counted_ns"].as_u64().expect("a length");
    assert!(length > 0 && length < 60_000_000_000, "{length}");
}
