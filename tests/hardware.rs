//! Failing hardware, for real: the daemon's own process on real files, whose calls fail or wait (`hardware/faults.c`,
//! loaded before the C library), and on a small file system that runs full.
//!
//! Nothing is answered 00 without a record, readiness turns red, and a daemon that starts again has everything that was
//! acknowledged (R1, R2, R3).

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use harness::HEADING;
use harness::Message;
use harness::PURCHASE;
use harness::Peer;
use harness::SEED;
use harness::eventually;
use harness::http_get;
use harness::reading;
use harness::with;
use rustix::process::Pid;
use rustix::process::Signal;
use rustix::process::kill_process;
use serde_json::Value as Json;
use turnpike::edge::tcp::FSYNC_TURN_BYTES;

const PATIENCE: Duration = Duration::from_secs(60);
/// What a start leaves of a purchase of 50.00 on wallet 1.
const AMOUNT: i64 = 5_000;

/// The library that makes calls fail, compiled once.
fn faults() -> &'static Path {
    static LIBRARY: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = LIBRARY.get_or_init(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let library = directory.path().join("faults.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hardware/faults.c");
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([&library, &source])
            .arg("-ldl")
            .status()
            .expect("a C compiler, which the build needs too");
        assert!(compiled.success());
        (directory, library)
    });
    library
}

/// A daemon's process with its directory.
struct Daemon {
    directory: tempfile::TempDir,
    process: Child,
    admin: SocketAddr,
    link: SocketAddr,
    /// Runs it where a small file system is mounted.
    wrapper: Option<String>,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _waited = self.process.wait();
    }
}

/// Addresses that are free now: both are bound before the first is let go.
fn free_ports() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("bound"))
}

impl Daemon {
    /// Starts with these settings of `[journal]` and waits until it answers.
    fn start(journal: &str, wrapper: Option<String>) -> Self {
        Self::start_with(journal, 1_000, wrapper)
    }

    fn start_with(journal: &str, answer_deadline_ms: u32, wrapper: Option<String>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let [admin, link] = free_ports();
        let config = format!(
            "[admin]\nlisten = \"{admin}\"\n\
             [daemon]\nshards = 16\ndrain_quiet_ms = 50\ndrain_limit_ms = 2000\n\
             [ledger]\nwallets_max = 100\ncards_max = 100\nauthorizations_max = 40000\nclosed_per_slot = 16\n\
             authorizations_per_card = 5000\n\
             [journal]\nspare_segments = 0\n{journal}\n\
             [links.iso87]\ndialect = \"iso87-ascii\"\nlisten = \"{link}\"\n\
             answer_deadline_ms = {answer_deadline_ms}\n"
        );
        fs::write(directory.path().join("turnpike.toml"), config).expect("written");
        fs::write(directory.path().join("seed.csv"), format!("{HEADING}{SEED}")).expect("written");
        fs::create_dir(directory.path().join("data")).expect("a directory");
        let process = Self::spawn(directory.path(), wrapper.as_deref());
        let mut daemon = Self { directory, process, admin, link, wrapper };
        daemon.wait_for_page();
        daemon
    }

    fn spawn(directory: &Path, wrapper: Option<&str>) -> Child {
        let log = fs::File::options().create(true).append(true).open(directory.join("log")).expect("a log");
        let binary = env!("CARGO_BIN_EXE_turnpike");
        let mut command = match wrapper {
            None => Command::new(binary),
            Some(script) => {
                let mut command = Command::new("unshare");
                command.args(["-rm", "sh", "-c", script, "sh", binary]);
                command
            }
        };
        command
            .args(["serve", "--config", "turnpike.toml", "--seed", "seed.csv", "--data-dir", "data"])
            .current_dir(directory)
            .env("LD_PRELOAD", faults())
            .env("TURNPIKE_FAULTS", directory.join("faults"))
            .stdout(Stdio::from(log.try_clone().expect("a log")))
            .stderr(Stdio::from(log))
            .spawn()
            .expect("the daemon starts")
    }

    /// Waits until the HTTP face answers, ready or not.
    fn wait_for_page(&mut self) {
        let begun = Instant::now();
        while std::net::TcpStream::connect(self.admin).is_err() {
            let ended = self.process.try_wait().expect("its state");
            assert!(ended.is_none() && begun.elapsed() < PATIENCE, "it does not serve: {}", self.log());
            thread::sleep(Duration::from_millis(5));
        }
        // It is bound before the links are, and answers after.
        assert_eq!(http_get(self.admin, "/livez").0, 200);
    }

    fn restart(&mut self) {
        self.process = Self::spawn(self.directory.path(), self.wrapper.as_deref());
        self.wait_for_page();
        assert_eq!(self.ready(), (200, Json::Null), "{}", self.log());
    }

    /// Lets calls fail from now on; an empty text ends it.
    fn inject(&self, faults: &str) {
        // In place of the old one at once, since it is read at any time.
        let [new, file] = ["faults.new", "faults"].map(|name| self.directory.path().join(name));
        fs::write(&new, faults).expect("written");
        fs::rename(&new, &file).expect("in place");
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    fn connect(&self) -> Peer {
        Peer::connect("iso87-ascii", self.link)
    }

    /// The status of `/readyz`, and the checks that fail.
    fn ready(&self) -> (u16, Json) {
        let (status, body) = http_get(self.admin, "/readyz");
        let page: Json = serde_json::from_str(&body).expect("JSON");
        let checks = page["checks"].as_object().expect("checks");
        let red: Vec<&str> =
            checks.iter().filter(|(_, good)| **good == Json::Bool(false)).map(|(name, _)| &**name).collect();
        (status, if red.is_empty() { Json::Null } else { Json::from(red) })
    }

    fn metric(&self, name: &str) -> u64 {
        reading(&http_get(self.admin, "/metrics").1, name)
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.metric(&format!("turnpike_dropped_total{{link=\"iso87\",reason=\"{reason}\"}}"))
    }

    /// What is held on wallet 1. The books sum to zero.
    fn held(&self) -> i64 {
        let json = |path| -> Json { serde_json::from_str(&http_get(self.admin, path).1).expect("JSON") };
        for row in json("/v1/audit/balance")["currencies"].as_array().expect("currencies") {
            assert_eq!(row["sum"], "0", "{row}");
        }
        json("/v1/wallets/1")["accounts"][0]["held"].as_i64().expect("an amount")
    }

    /// Asks for a clean stop and returns the exit code.
    fn stop(&mut self) -> Option<i32> {
        let process = Pid::from_child(&self.process);
        kill_process(process, Signal::TERM).expect("a signal");
        self.process.wait().expect("it ends").code()
    }

    fn expect_logged(&self, parts: &[&str]) {
        let log = self.log();
        for part in parts {
            assert!(log.contains(part), "no \"{part}\" in:\n{log}");
        }
    }

    /// The journal on disk can be read from its start, and the books hold.
    fn expect_whole(&self) {
        let verified = Command::new(env!("CARGO_BIN_EXE_turnpike"))
            .args(["journal", "verify", "--data-dir"])
            .arg(self.data())
            .output()
            .expect("it runs");
        assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    }
}

/// A message about the purchase of this number.
fn send(peer: &mut Peer, mti: u16, number: u32) {
    let (stan, rrn) = (format!("{number:06}"), format!("REF{number:09}"));
    let mut changes = vec![(11, stan.as_str()), (37, rrn.as_str())];
    if mti == 120 {
        changes.push((39, "00"));
    }
    peer.send(mti, &with(PURCHASE, &changes));
}

fn ask(peer: &mut Peer, mti: u16, number: u32) -> Message {
    send(peer, mti, number);
    peer.receive().expect("an answer")
}

/// Sends a message that gets no answer.
fn ask_in_vain(peer: &mut Peer, mti: u16, number: u32) {
    send(peer, mti, number);
    peer.echo();
}

const WITHOUT_RESERVE: &str = "reply = \"fsync\"\nsegment_mib = 1\nreserve_mib = 0\ndisk_free_min_mib = 0";

#[test]
fn r2_a_disk_that_fails_ends_approvals_until_the_next_start() {
    // What fails, and what the log says. A new segment is opened and renamed when the first mebibyte is full.
    let table: [(&str, &[&str]); 6] = [
        ("pwrite 5 journal/", &["could not write", "journal/00000001.seg", "os error 5"]),
        ("pwrite 28 journal/", &["could not write", "journal/00000001.seg", "os error 28"]),
        ("fdatasync 5 journal/", &["could not sync", "journal/00000001.seg", "os error 5"]),
        ("fdatasync 28 journal/", &["could not sync", "journal/00000001.seg", "os error 28"]),
        ("open 30 journal/", &["could not create", "journal/next.tmp", "os error 30"]),
        ("rename 30 journal/", &["could not rename", "journal/next.tmp", "os error 30"]),
    ];
    for (fault, words) in table {
        let mut daemon = Daemon::start(WITHOUT_RESERVE, None);
        let mut peer = daemon.connect();
        assert_eq!(daemon.ready(), (200, Json::Null));
        assert_eq!(ask(&mut peer, 100, 1).outcome(), (110, "00"), "{fault}");
        assert_eq!(ask(&mut peer, 100, 2).outcome(), (110, "00"), "{fault}");
        assert_eq!(ask(&mut peer, 420, 2).outcome(), (430, "00"), "{fault}");
        daemon.inject(fault);
        let answered = until_it_fails(&daemon, &mut peer);
        let held = daemon.held();
        assert_eq!(daemon.ready(), (503, Json::from(vec!["journal"])), "{fault}");
        assert_eq!(daemon.metric("turnpike_journal_failed"), 1, "{fault}");
        eventually("what waited is dropped", || daemon.dropped("journal-failed") == 1);
        // The disk is good again, and it does not matter.
        daemon.inject("");
        assert_eq!(ask(&mut peer, 100, 9_001).outcome(), (110, "91"), "{fault}");
        ask_in_vain(&mut peer, 400, 1);
        ask_in_vain(&mut peer, 120, 9_002);
        assert_eq!(ask(&mut peer, 101, 1).outcome(), (110, "00"), "{fault}: it is on disk");
        assert_eq!(daemon.held(), held, "{fault}: nothing has changed");
        assert_eq!(daemon.stop(), Some(74), "{fault}");
        daemon.expect_logged(words);
        daemon.expect_logged(&["the journal is closed for good", "requests are declined from now on"]);

        daemon.restart();
        let mut peer = daemon.connect();
        for number in [1].into_iter().chain(answered.clone()) {
            assert_eq!(ask(&mut peer, 101, number).outcome(), (110, "00"), "{fault}: {number}");
        }
        // The one that was not answered may be there or not; all others are.
        let least = AMOUNT * (1 + answered.len() as i64);
        let held = daemon.held();
        assert!(held == least || held == least + AMOUNT, "{fault}: {held} of {least}");
        assert_eq!(ask(&mut peer, 420, 1).outcome(), (430, "00"), "{fault}");
        assert_eq!(daemon.held(), held - AMOUNT, "{fault}");
        drop(peer);
        assert_eq!(daemon.stop(), Some(0), "{fault}: {}", daemon.log());
        daemon.expect_whole();
    }
}

/// Sends purchases, and reversals once there are ten of them, so that the money lasts, until one is not answered since
/// the journal has failed. Returns the numbers of the purchases that were approved.
fn until_it_fails(daemon: &Daemon, peer: &mut Peer) -> std::ops::Range<u32> {
    let mut number = 100;
    loop {
        send(peer, if number < 110 { 100 } else { 420 }, number);
        if !answers(daemon, peer) {
            return 100..number.min(110);
        }
        assert_eq!(peer.receive().expect("an answer").value(39), "00");
        number += 1;
    }
}

/// Waits for an answer. False when the journal fails before there is one.
fn answers(daemon: &Daemon, peer: &Peer) -> bool {
    let begun = Instant::now();
    peer.socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a socket");
    let answered = loop {
        if peer.socket.peek(&mut [0]).is_ok_and(|bytes| bytes > 0) {
            break true;
        }
        if daemon.metric("turnpike_journal_failed") == 1 {
            break false;
        }
        assert!(begun.elapsed() < PATIENCE, "no answer, and no failure: {}", daemon.log());
    };
    peer.socket.set_read_timeout(Some(PATIENCE)).expect("a socket");
    answered
}

#[test]
fn r3_a_stalled_disk_is_a_degraded_state() {
    let journal = "reply = \"async\"\nmax_unsynced_ms = 300\ngather_us = 0\nreserve_mib = 0\n\
                   disk_free_min_mib = 0";
    let mut daemon = Daemon::start(journal, None);
    let mut peer = daemon.connect();
    assert_eq!(ask(&mut peer, 100, 1).outcome(), (110, "00"));
    eventually("it is on disk", || daemon.metric("turnpike_journal_unsynced_records") == 0);
    daemon.inject("fdatasync 600000 journal/");
    assert_eq!(ask(&mut peer, 100, 2).outcome(), (110, "00"), "within the bounds approvals go on");
    ask_in_vain(&mut peer, 420, 1);
    eventually("it is red", || daemon.ready() == (503, Json::from(vec!["journal_within_bounds"])));
    let held = daemon.held();
    assert_eq!(ask(&mut peer, 100, 3).outcome(), (110, "91"), "past them they do not");
    assert_eq!(daemon.held(), held, "and nothing changes");
    eventually("the answer is late", || daemon.dropped("late") == 1);
    assert_eq!(daemon.metric("turnpike_journal_failed"), 0);
    daemon.inject("");
    eventually("it is green", || daemon.ready() == (200, Json::Null));
    // What was late is not sent: the next thing that comes is the answer to this.
    peer.echo();
    assert_eq!(ask(&mut peer, 421, 1).outcome(), (430, "00"), "the peer has sent it again");
    assert_eq!(ask(&mut peer, 100, 4).outcome(), (110, "00"));
    assert_eq!(daemon.held(), 2 * AMOUNT);
    drop(peer);
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    daemon.expect_whole();
}

/// Purchases of 0.01 that are sent at once to a disk that stalls: several times what may wait for it on one socket.
const CROWD: u64 = 10_000;
/// What may wait for the disk on one socket, by default.
const PARKED_MAX: u64 = 4_096;

/// More than all of them may be decided ahead of the disk.
const AHEAD_MANY: u32 = 100_000;

/// A daemon that syncs nothing, and a socket on which more was sent than may wait.
fn crowded(max_unsynced_ms: u32, ahead_max: u32, answer_deadline_ms: u32) -> (Daemon, Peer) {
    let settings = format!(
        "reply = \"fsync\"\nmax_unsynced_ms = {max_unsynced_ms}\nahead_max = {ahead_max}\nreserve_mib = 0\n\
         disk_free_min_mib = 0"
    );
    let daemon = Daemon::start_with(&settings, answer_deadline_ms, None);
    daemon.inject("fdatasync 600000 journal/");
    let peer = daemon.connect();
    let purchase = |number: u64| {
        let (stan, rrn) = (format!("{number:06}"), format!("REF{number:09}"));
        let own = [(4, "000000000001"), (11, stan.as_str()), (37, rrn.as_str())];
        harness::frame(&peer.dialect, 100, &with(PURCHASE, &own))
    };
    let crowd: Vec<u8> = (0..CROWD).flat_map(purchase).collect();
    let mut socket = peer.socket.try_clone().expect("a socket");
    // It blocks for as long as the daemon does not read.
    thread::spawn(move || socket.write_all(&crowd).expect("the daemon reads"));
    (daemon, peer)
}

#[test]
fn r3_a_socket_that_is_left_unread_is_read_again_once_nothing_waits() {
    let (mut daemon, mut peer) = crowded(60_000, AHEAD_MANY, 1_000);
    // Nothing becomes durable: answers are dropped when they are late, and make room each time.
    eventually("all is read", || daemon.metric("turnpike_frames_total{link=\"iso87\"}") == CROWD);
    assert!(daemon.dropped("late") >= CROWD - PARKED_MAX, "{}", daemon.dropped("late"));
    daemon.inject("");
    let echo = harness::echo_frame(&peer.dialect, "999999");
    peer.write(&echo);
    let last = loop {
        let answer = peer.receive().expect("an answer");
        assert_ne!(answer.outcome(), (110, "91"), "what could not be served was left unread");
        if answer.mti == 810 {
            break answer;
        }
    };
    assert_eq!(last.outcome(), (810, "00"));
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
}

#[test]
fn no_more_is_read_than_may_be_decided_ahead_of_the_disk() {
    let ahead_max = 100;
    let (mut daemon, mut peer) = crowded(60_000, ahead_max, 60_000);
    let frames = || daemon.metric("turnpike_frames_total{link=\"iso87\"}");
    let parked = || daemon.metric("turnpike_answers_parked");
    eventually("as many wait as may", || parked() >= u64::from(ahead_max));
    // A socket that has nothing waiting is not read either, whatever the one before it did in its turn.
    let mut other = daemon.connect();
    send(&mut other, 100, 19_999);
    thread::sleep(Duration::from_millis(100));
    let length = harness::frame(&peer.dialect, 100, PURCHASE).len();
    let most = u64::from(ahead_max) + (FSYNC_TURN_BYTES / length + 1) as u64;
    assert!(parked() <= most && frames() <= most, "{} and {} of at most {most}", parked(), frames());
    daemon.inject("");
    for n in 0..CROWD {
        assert_eq!(
            peer.receive().expect("an answer").value(11),
            format!("{n:06}"),
            "all are served, in order"
        );
    }
    assert_eq!(other.receive().expect("an answer").value(11), "019999");
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
}

#[test]
fn r2_past_the_bounds_a_socket_is_read_and_answered_91() {
    let (daemon, mut peer) = crowded(300, AHEAD_MANY, 60_000);
    assert_eq!(peer.receive().expect("an answer").outcome(), (110, "91"));
    eventually("all is read", || daemon.metric("turnpike_frames_total{link=\"iso87\"}") == CROWD);
}

#[test]
fn r2_the_reserve_is_given_back_on_a_full_disk() {
    let journal = "reply = \"fsync\"\nsegment_mib = 1\nreserve_mib = 1\ndisk_free_min_mib = 0";
    let mut daemon = Daemon::start(journal, None);
    let mut peer = daemon.connect();
    let reserve = daemon.data().join("reserve");
    assert_eq!(reserve.metadata().expect("a reserve").len(), 1 << 20);
    assert_eq!(ask(&mut peer, 100, 1).outcome(), (110, "00"));
    // Full for as long as the reserve is there.
    daemon.inject(&format!("pwrite 28 journal/ {}", reserve.display()));
    assert_eq!(ask(&mut peer, 100, 2).outcome(), (110, "00"), "the journal goes on");
    daemon.expect_logged(&["the disk is full: the reserve was given back"]);
    drop(peer);
    // There is room on the real disk, so that it is made again at once.
    eventually("the reserve is whole again", || reserve.exists() && daemon.ready() == (200, Json::Null));
    daemon.inject("");
    assert_eq!(daemon.held(), 2 * AMOUNT);
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    daemon.expect_whole();
}

#[test]
fn r2_requests_are_refused_before_the_disk_is_full() {
    // No disk has a tebibyte less one free, or this test says so.
    let journal = "reply = \"fsync\"\nreserve_mib = 0\ndisk_free_min_mib = 1048576";
    let mut daemon = Daemon::start(journal, None);
    let mut peer = daemon.connect();
    assert_eq!(daemon.ready(), (503, Json::from(vec!["disk_space"])));
    assert!(daemon.metric("turnpike_disk_free_bytes") > 0);
    assert_eq!(ask(&mut peer, 100, 1).outcome(), (110, "91"));
    assert_eq!(daemon.held(), 0);
    assert_eq!(ask(&mut peer, 120, 2).outcome(), (130, "00"), "an advice is taken");
    assert_eq!(ask(&mut peer, 420, 2).outcome(), (430, "00"), "and a reversal");
    daemon.expect_logged(&["the disk is nearly full"]);
    drop(peer);
    assert_eq!(daemon.stop(), Some(0), "{}", daemon.log());
    daemon.expect_whole();
}

/// Whether this user may mount a file system of its own.
fn may_mount() -> bool {
    let tried = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    tried.is_ok_and(|output| output.status.success())
}

#[test]
fn r2_a_small_file_system_runs_full() {
    if !may_mount() {
        println!("not run: this user may not mount a file system in a name space of its own");
        return;
    }
    let journal = "reply = \"fsync\"\nsegment_mib = 1\nreserve_mib = 2\ndisk_free_min_mib = 1";
    let script = "mount -t tmpfs -o size=8m tmpfs data && exec \"$@\" ".to_owned();
    let mut daemon = Daemon::start(journal, Some(script));
    let mut peer = daemon.connect();
    assert_eq!(daemon.ready(), (200, Json::Null));
    assert_eq!(ask(&mut peer, 100, 1).outcome(), (110, "00"));
    // The directory as the daemon's name space has it.
    let data = PathBuf::from(format!("/proc/{}/cwd/data", daemon.process.id()));
    fill(&data.join("other"));
    assert_eq!(daemon.metric("turnpike_journal_failed"), 0);
    eventually("the alarm", || daemon.ready() == (503, Json::from(vec!["disk_space"])));
    assert_eq!(ask(&mut peer, 100, 2).outcome(), (110, "91"));
    assert_eq!(daemon.held(), AMOUNT);
    // What must be taken is taken, from the reserve.
    for number in 10..20 {
        assert_eq!(ask(&mut peer, 120, number).outcome(), (130, "00"));
    }
    assert!(!data.join("reserve").exists(), "{}", daemon.log());
    assert_eq!(daemon.metric("turnpike_journal_failed"), 0);
    // Somebody has made room.
    fs::remove_file(data.join("other")).expect("removed");
    eventually("it is green", || daemon.ready() == (200, Json::Null));
    assert!(data.join("reserve").exists());
    assert_eq!(ask(&mut peer, 100, 3).outcome(), (110, "00"));
    // Full again, and this time until nothing is left.
    fill(&data.join("other"));
    let mut number = 1_000;
    while daemon.metric("turnpike_journal_failed") == 0 {
        fill(&data.join(format!("other-{number}")));
        send(&mut peer, 120, number);
        number += 1;
    }
    eventually("all is red", || daemon.ready() == (503, Json::from(vec!["disk_space", "journal"])));
    drop(peer);
    assert_eq!(daemon.stop(), Some(74));
    daemon.expect_logged(&["could not write", "os error 28", "the reserve was given back"]);
}

/// Takes all the room that is left.
fn fill(file: &Path) {
    let mut file = fs::File::create(file).expect("a name");
    while file.write(&[1; 4096]).is_ok() {}
}
