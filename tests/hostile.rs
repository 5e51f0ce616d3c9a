//! Peers that mean harm or are broken, in numbers, against a daemon that others use: each of these others keeps
//! getting every answer, and when it is over sockets, answers that wait and memory are as they were.
//!
//! The daemon is a process of its own, so that its memory and its log are its own.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use harness::HEADING;
use harness::LINKS;
use harness::PURCHASE;
use harness::Peer;
use harness::SEED;
use harness::echo_frame;
use harness::eventually;
use harness::frame;
use harness::http_get;
use harness::network_code;
use harness::reading;
use harness::with;
use turnpike::domain::request::NetworkManagement;

/// Sockets of a crowd.
const CROWD: usize = 1_000;
/// Milliseconds after which a peer that stopped in the middle, or does not read, is closed.
const PATIENCE_MS: u64 = 1_500;

/// A daemon in a process of its own.
struct Process {
    child: Child,
    directory: tempfile::TempDir,
    admin: SocketAddr,
    links: [(&'static str, SocketAddr); LINKS.len()],
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address")
}

impl Process {
    fn start(reply: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let admin = free_address();
        let links = LINKS.map(|(link, _)| (link, free_address()));
        let mut settings = format!(
            "[daemon]\nshards = 16\ndrain_quiet_ms = 100\n[admin]\nlisten = \"{admin}\"\n\
             [ledger]\nwallets_max = 1000\ncards_max = 1000\nauthorizations_max = 400000\n\
             authorizations_per_card = 60000\nclosed_per_slot = 16\n\
             [journal]\nreply = \"{reply}\"\nmax_unsynced_ms = 60000\nsegment_mib = 64\nspare_segments = 0\n"
        );
        for ((link, address), (_, dialect)) in links.iter().zip(LINKS) {
            settings += &format!(
                "[links.{link}]\ndialect = \"{dialect}\"\nlisten = \"{address}\"\nconnections_max = 4096\n\
                 write_timeout_ms = {PATIENCE_MS}\npartial_frame_ms = {PATIENCE_MS}\n"
            );
        }
        let write = |name: &str, text: &str| {
            let path = directory.path().join(name);
            fs::write(&path, text).expect("a file");
            path
        };
        let config = write("turnpike.toml", &settings);
        let wallets = write("seed.csv", &format!("{HEADING}{}", SEED.replace("100000", "100000000")));
        let log = fs::File::create(directory.path().join("log")).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_turnpike"))
            .args(["serve".as_ref(), "--config".as_ref(), config.as_os_str()])
            .args(["--data-dir".as_ref(), directory.path().join("data").as_os_str()])
            .args(["--seed".as_ref(), wallets.as_os_str()])
            .env_remove("RUST_LOG")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("the daemon starts");
        let process = Self { child, directory, admin, links };
        eventually("it is ready", || {
            TcpStream::connect(admin).is_ok() && http_get(admin, "/readyz").0 == 200
        });
        process
    }

    fn address(&self, link: &str) -> SocketAddr {
        self.links.iter().find(|(name, _)| *name == link).expect("a link of this name").1
    }

    fn peer(&self, link: &str) -> Peer {
        let (_, dialect) = LINKS.iter().find(|(name, _)| *name == link).expect("a link of this name");
        Peer::connect(dialect, self.address(link))
    }

    fn socket(&self, link: &str) -> TcpStream {
        TcpStream::connect(self.address(link)).expect("the link listens")
    }

    fn metric(&self, metric: &str) -> u64 {
        reading(&http_get(self.admin, "/metrics").1, metric)
    }

    fn connections(&self, link: &str) -> u64 {
        self.metric(&format!("turnpike_connections{{link=\"{link}\"}}"))
    }

    fn dropped(&self, link: &str, reason: &str) -> u64 {
        self.metric(&format!("turnpike_dropped_total{{link=\"{link}\",reason=\"{reason}\"}}"))
    }

    /// Resident memory, in KiB.
    fn memory(&self) -> u64 {
        let status = Path::new("/proc").join(self.child.id().to_string()).join("status");
        let status = fs::read_to_string(status).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident memory");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    fn log_lines(&self) -> usize {
        fs::read_to_string(self.directory.path().join("log")).expect("a log").lines().count()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Only when a test fails is it still there.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks without a pause on every link until it is told to stop. Every request is answered with an approval.
fn behave(process: &Process, stop: &AtomicBool) -> u64 {
    let mut peers = LINKS.map(|(link, _)| process.peer(link));
    let mut asked = 0;
    while !stop.load(Ordering::Relaxed) {
        for peer in &mut peers {
            let (stan, rrn) = (format!("{:06}", asked % 1_000_000), format!("G{asked:011}"));
            let answer = peer.ask(100, &with(PURCHASE, &[(4, "000000000001"), (11, &stan), (37, &rrn)]));
            assert_eq!((answer.outcome(), answer.value(11)), ((110, "00"), stan.as_str()));
        }
        asked += 1;
        std::thread::sleep(Duration::from_millis(1));
    }
    asked
}

/// Does harm while somebody behaves, and looks that everything is as it was before.
fn harmless(process: &Process, what: &str, harm: impl FnOnce()) {
    let before = process.memory();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let good = scope.spawn(|| behave(process, &stop));
        harm();
        stop.store(true, Ordering::Relaxed);
        assert!(good.join().expect("it got every answer") > 0, "{what}");
    });
    for (link, _) in LINKS {
        eventually(what, || process.connections(link) == 0);
    }
    eventually(what, || process.metric("turnpike_answers_parked") == 0);
    let after = process.memory();
    // What the books keep of the good purchases, and what an allocator keeps, with room to spare.
    assert!(after < before + 48 * 1024, "{what}: {before} KiB before, {after} KiB after");
}

fn sign_on(peer: &Peer) -> Vec<u8> {
    let code = network_code(&peer.dialect, NetworkManagement::SignOn);
    frame(&peer.dialect, 800, &[(7, "0604123456"), (11, "000001"), (70, &code)])
}

/// Sends without ever reading until the daemon has closed the socket.
fn never_read(mut socket: TcpStream, burst: &[u8]) {
    socket.set_write_timeout(Some(Duration::from_secs(30))).expect("a socket");
    while socket.write_all(burst).is_ok() {}
}

#[test]
fn a_crowd_of_idle_sockets_costs_little() {
    let process = Process::start("async");
    harmless(&process, "idle sockets", || {
        let before = process.memory();
        let crowd: Vec<TcpStream> = (0..CROWD).map(|n| process.socket(LINKS[n % LINKS.len()].0)).collect();
        eventually("all are open", || {
            LINKS.iter().map(|(link, _)| process.connections(link)).sum::<u64>() >= CROWD as u64
        });
        let each = process.memory().saturating_sub(before) / CROWD as u64;
        println!("an idle socket costs {each} KiB");
        assert!(each < 16, "an idle socket costs {each} KiB");
        // One message each makes them grow no further than a message needs.
        for (n, mut socket) in crowd.iter().enumerate() {
            let dialect = harness::dialect(LINKS[n % LINKS.len()].1);
            socket.write_all(&echo_frame(&dialect, "000001")).expect("it reads");
            assert!(socket.read(&mut [0; 512]).expect("an answer") > 0);
        }
        let each = process.memory().saturating_sub(before) / CROWD as u64;
        println!("a socket that spoke once costs {each} KiB");
        assert!(each < 48, "a socket that spoke once costs {each} KiB");
    });
}

#[test]
fn frames_that_never_end_are_closed_in_time_and_hold_no_memory() {
    let process = Process::start("async");
    harmless(&process, "half a frame and a length with nothing behind it", || {
        let before = process.memory();
        let mut crowd = Vec::new();
        for n in 0..CROWD {
            let (link, dialect) = LINKS[n % LINKS.len()];
            let mut socket = process.socket(link);
            let whole = frame(&harness::dialect(dialect), 100, PURCHASE);
            let bytes: &[u8] = match n % 3 {
                // The most that a length can say: longer than is allowed, and closed at once.
                0 => &[0xff, 0xff, 0, 0],
                // The most that is allowed.
                1 => &[0x10, 0x00, 0, 0],
                _ => &whole[..whole.len() / 2],
            };
            socket.write_all(bytes).expect("it reads");
            crowd.push(socket);
        }
        let each = process.memory().saturating_sub(before) / CROWD as u64;
        assert!(each < 48, "half a frame costs {each} KiB");
        for mut socket in crowd {
            socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
            assert!(matches!(socket.read(&mut [0]), Ok(0) | Err(_)), "it is closed and nothing is answered");
        }
    });
    let [framing, partial] = ["framing", "partial-frame"]
        .map(|reason| LINKS.iter().map(|(link, _)| process.dropped(link, reason)).sum::<u64>());
    assert_eq!((framing, partial), (CROWD.div_ceil(3) as u64, CROWD as u64 - CROWD.div_ceil(3) as u64));
    // A hundred of each link in ten seconds, the end of which may fall into the test.
    let lines = process.log_lines();
    assert!(lines < CROWD, "{lines} lines in the log");
}

#[test]
fn slow_senders_are_served_and_hold_up_nobody() {
    let process = Process::start("async");
    harmless(&process, "a byte at a time", || {
        let mut peers: Vec<Peer> = (0..20).map(|n| process.peer(LINKS[n % LINKS.len()].0)).collect();
        let requests: Vec<Vec<u8>> = peers.iter().map(|peer| echo_frame(&peer.dialect, "000001")).collect();
        for at in 0..requests.iter().map(Vec::len).max().unwrap_or(0) {
            for (peer, request) in peers.iter_mut().zip(&requests) {
                if let Some(byte) = request.get(at) {
                    peer.write(&[*byte]);
                }
            }
        }
        for peer in &mut peers {
            assert_eq!(peer.receive().expect("an answer").outcome(), (810, "00"));
        }
    });
}

#[test]
fn peers_that_never_read_are_closed_and_take_no_room_at_the_gate() {
    // Every answer waits for the disk, so that those nobody reads are parked first.
    let process = Process::start("fsync");
    harmless(&process, "answers that nobody reads", || {
        let most = std::thread::scope(|scope| {
            let deaf: Vec<_> = (0..24)
                .map(|n| {
                    let peer = process.peer(LINKS[n % LINKS.len()].0);
                    let burst: Vec<u8> = (0..200)
                        .flat_map(|m| {
                            let (stan, rrn) = (format!("{m:06}"), format!("D{n:03}{m:08}"));
                            let changes = [(2, "4222222222222220"), (4, "000000000001"), (11, &stan[..])];
                            frame(&peer.dialect, 100, &with(&with(PURCHASE, &changes), &[(37, &rrn)]))
                        })
                        .collect();
                    scope.spawn(move || never_read(peer.socket, &burst))
                })
                .collect();
            let mut most = 0;
            while !deaf.iter().all(|deaf| deaf.is_finished()) {
                most = most.max(process.memory());
                std::thread::sleep(Duration::from_millis(50));
            }
            most
        });
        assert!(most < 512 * 1024, "{most} KiB at most");
    });
    let closed = LINKS.iter().map(|(link, _)| process.dropped(link, "not-reading")).sum::<u64>();
    assert_eq!(closed, 24);
}

/// DE 55 with a tag of four bytes.
fn chip(link: &str, tag: u32) -> String {
    let tags = format!("82023900{tag:04X}04C0FFEE77");
    if link == "visa" { format!("01{:04X}{tags}", tags.len() / 2) } else { tags }
}

#[test]
fn an_unknown_element_is_counted_by_its_path_and_shown_once_without_its_value() {
    let process = Process::start("async");
    // A field of which the dialect knows nothing.
    let mut peer = process.peer("visa");
    let unknown = with(PURCHASE, &[(4, "000000000001"), (11, "900000"), (129, "C0FFEE")]);
    assert_eq!(peer.ask(100, &unknown).outcome(), (110, "00"));
    assert_eq!(process.metric("turnpike_unknown_elements_total{link=\"visa\",path=\"DE129\"}"), 1);
    for (link, _) in LINKS {
        let mut peer = process.peer(link);
        // A peer that chooses ever new tags gets no more counters than there is room for.
        for (n, tag) in [0x9f51; 30].into_iter().chain(0xdf01..0xdf70).enumerate() {
            let (stan, chip) = (format!("{n:06}"), chip(link, tag));
            let answer = peer.ask(100, &with(PURCHASE, &[(4, "000000000001"), (11, &stan), (55, &chip)]));
            assert_eq!(answer.outcome(), (110, "00"), "{link}: what is unknown declines nothing");
        }
        let counted = |path: &str| {
            process.metric(&format!("turnpike_unknown_elements_total{{link=\"{link}\",path=\"{path}\"}}"))
        };
        assert_eq!((counted("DE55.9F51"), counted("DE55.DF01"), counted("DE55.82")), (30, 1, 0), "{link}");
        let paths = if link == "visa" { 62 } else { 63 };
        assert_eq!(counted("other"), 0x6f - paths, "{link}");
    }
    let log = fs::read_to_string(process.directory.path().join("log")).expect("a log");
    let lines = log.lines().filter(|line| line.contains("DE55.9F51")).count();
    assert_eq!(lines, LINKS.len(), "once for each link");
    assert!(!log.to_uppercase().contains("C0FFEE"), "never with its value");
}

#[test]
fn an_element_that_is_new_to_an_old_socket_is_counted_and_shown_as_well() {
    let process = Process::start("async");
    for (link, _) in LINKS {
        let mut peer = process.peer(link);
        for n in 0..301 {
            let tag = if n == 300 { 0x9f51 } else { 0x9f26 };
            let (stan, chip) = (format!("{n:06}"), chip(link, tag));
            let answer = peer.ask(100, &with(PURCHASE, &[(4, "000000000001"), (11, &stan), (55, &chip)]));
            assert_eq!(answer.outcome(), (110, "00"), "{link} {n}");
        }
        let metric = format!("turnpike_unknown_elements_total{{link=\"{link}\",path=\"DE55.9F51\"}}");
        assert_eq!(process.metric(&metric), 1, "{link}");
    }
    let log = fs::read_to_string(process.directory.path().join("log")).expect("a log");
    assert_eq!(
        log.lines().filter(|line| line.contains("DE55.9F51")).count(),
        LINKS.len(),
        "once for each link"
    );
}

#[test]
fn floods_and_storms_are_counted_and_not_logged_line_by_line() {
    let process = Process::start("async");
    let flood = |link: &str, sockets: usize, bytes: &[u8]| {
        for _ in 0..sockets {
            let mut socket = process.socket(link);
            // The daemon may close while this is written.
            let _ = socket.write_all(bytes);
            let _ = socket.shutdown(Shutdown::Write);
            let _ = socket.read_to_end(&mut Vec::new());
        }
    };
    harmless(&process, "floods and storms", || {
        for (link, _) in LINKS {
            let peer = process.peer(link);
            let without_stan = frame(&peer.dialect, 100, &with(PURCHASE, &[(11, ""), (37, "")]));
            flood(link, 20, &without_stan.repeat(500));
            // Bytes of no protocol: a web browser, and noise.
            flood(link, 100, b"GET / HTTP/1.1\r\nHost: turnpike\r\n\r\n");
            let noise: Vec<u8> = (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
            flood(link, 100, &noise);
            flood(link, 1_000, &[]);
            // Sign-on after sign-on, each right and each answered.
            flood(link, 20, &sign_on(&peer).repeat(500));
        }
    });
    for (link, _) in LINKS {
        // Noise may look like a message now and then.
        assert!(process.dropped(link, "malformed-unanswered") >= 20 * 500, "{link}");
        assert!(process.dropped(link, "framing") > 0, "{link}");
    }
    let lines = process.log_lines();
    assert!(lines < 1_500, "{lines} lines in the log");
}
