//! Sockets that send more than can be served: they get a turn like everybody, what they are not given stays unread in
//! bounded buffers, and whoever is polite gets every answer.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use harness::House;
use harness::PURCHASE;
use harness::Peer;
use harness::echo_frame;
use harness::eventually;
use harness::frame;
use harness::with;
use rustix::net::sockopt;
use turnpike::config::Config;
use turnpike::config::money::Reply;
use turnpike::edge::link::LinkRuntime;
use turnpike::edge::tcp::TURN_BYTES;

/// Memory is the process's: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());
/// Sockets that flood.
const FLOODERS: usize = 4;
/// Bytes that a flooder's own system may keep unsent.
const SEND_BUFFER: usize = 64 << 10;

/// Requests with trace numbers of their own, as one piece.
fn requests(peer: &Peer, from: usize, count: usize) -> Vec<u8> {
    let one = |n: usize| {
        let (stan, rrn) = (format!("{:06}", n % 1_000_000), format!("F{n:011}"));
        let changes = [(4, "000000000001"), (11, stan.as_str()), (37, rrn.as_str())];
        frame(&peer.dialect, 100, &with(PURCHASE, &changes))
    };
    (from..from + count).flat_map(one).collect()
}

/// Writes as much as is taken while nobody reads, and tells how much that was.
fn fill(socket: &mut TcpStream, bytes: &[u8]) -> usize {
    socket.set_nonblocking(true).expect("a socket");
    let (mut sent, mut refusals) = (0, 0);
    // The system takes a moment to hand on what it took.
    while refusals < 20 && sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(written) => sent += written,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "the daemon has not closed it");
                refusals += 1;
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
    socket.set_nonblocking(false).expect("a socket");
    sent
}

fn of_name<'h>(house: &'h House, name: &str) -> &'h Arc<LinkRuntime> {
    let links = house.daemon().face.links.get().expect("they listen");
    links.iter().find(|link| link.name == name).expect("a link of this name")
}

/// One worker, and room for what the flood leaves behind.
fn one_worker(config: &mut Config) {
    config.daemon.worker_threads = 1;
    config.ledger.authorizations_max = 400_000;
    config.ledger.bounds.authorizations_per_card = 100_000;
}

/// The number of the record of a wallet's newest authorization.
fn newest(house: &House, wallet: u64) -> u64 {
    let json = house.json(&format!("/v1/wallets/{wallet}/authorizations"));
    json["authorizations"][0]["sequence"].as_u64().expect("it has one")
}

#[test]
fn a_flood_has_one_turn_before_whoever_else_waits() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (house, _directory) = House::fresh(one_worker);
    let mut flooders: Vec<Peer> = (0..FLOODERS).map(|_| house.connect("visa")).collect();
    let mut polite = [house.connect("visa"), house.connect("packed")];
    let mut waiting = house.connect("iso87");
    // Each flooder has sent a lot before, so that it is read as much at once as it ever is.
    for (n, flooder) in flooders.iter_mut().enumerate() {
        sockopt::set_socket_send_buffer_size(&flooder.socket, SEND_BUFFER).expect("a socket");
        let burst = requests(flooder, n * 10_000, 2_000);
        let mut socket = flooder.socket.try_clone().expect("a socket");
        std::thread::scope(|scope| {
            scope.spawn(move || socket.write_all(&burst).expect("the daemon reads"));
            for _ in 0..2_000 {
                assert_eq!(flooder.receive().expect("an answer").outcome(), (110, "00"));
            }
        });
    }
    let length = requests(&flooders[0], 0, 1).len();
    let echo = echo_frame(&waiting.dialect, "000001");
    // While this thread has the session of a third link, the worker waits for it with that link's echo in its hands.
    let before = of_name(&house, "iso87").station.with(|_| {
        waiting.write(&echo);
        std::thread::sleep(Duration::from_millis(300));
        for (n, flooder) in flooders.iter_mut().enumerate() {
            let burst = requests(flooder, 100_000 + n * 20_000, 20_000);
            let sent = fill(&mut flooder.socket, &burst);
            assert!(sent > 2 * TURN_BYTES, "more than a turn waits: {sent} bytes");
            assert!(sent < 1 << 20, "what is not read is bounded: {sent} bytes");
        }
        let before = house.daemon().face.pipeline.appended().0;
        for (peer, pan, currency) in [(0, "4222222222222220", "840"), (1, "4000000000000085", "978")] {
            let own = with(PURCHASE, &[(2, pan), (4, "000000000001"), (49, currency)]);
            polite[peer].send(100, &own);
        }
        before
    });
    for peer in &mut polite {
        assert_eq!(peer.receive().expect("an answer").outcome(), (110, "00"));
    }
    let turns = (FLOODERS * (TURN_BYTES / length + 1)) as u64;
    for wallet in [2, 8] {
        let earlier = newest(&house, wallet) - before;
        assert!(
            earlier <= turns + 2,
            "{earlier} records before wallet {wallet}'s; a turn of each is {turns}"
        );
    }
}

/// Resident memory of this process, daemon included, in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("resident memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Sends the same requests again and again and reads whatever comes, until it is told to stop.
fn flood(peer: &Peer, bytes: &[u8], stop: &AtomicBool) {
    std::thread::scope(|scope| {
        let mut reader = peer.socket.try_clone().expect("a socket");
        scope.spawn(move || {
            let mut buffer = [0; 65_536];
            while reader.read(&mut buffer).is_ok_and(|read| read > 0) {}
        });
        let mut writer = &peer.socket;
        while !stop.load(Ordering::Relaxed) {
            writer.write_all(bytes).expect("the daemon reads");
        }
        peer.socket.shutdown(Shutdown::Both).expect("a socket");
    });
}

#[test]
fn whoever_is_polite_gets_every_answer_while_others_flood_and_memory_is_bounded() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    for reply in [Reply::Async, Reply::Fsync] {
        let (house, _directory) = House::fresh(|config| {
            one_worker(config);
            config.journal.reply = reply;
            config.links.iter_mut().for_each(|link| link.parked_max = 512);
        });
        let stop = AtomicBool::new(false);
        let frames = || house.metric("turnpike_frames_total{link=\"visa\"}");
        std::thread::scope(|scope| {
            for n in 0..FLOODERS {
                let (peer, stop) = (house.connect("visa"), &stop);
                scope.spawn(move || {
                    let bytes = requests(&peer, n * 10_000, 2_000);
                    flood(&peer, &bytes, stop);
                });
            }
            eventually("the flood is on", || frames() > 20_000);
            let (memory_before, frames_before) = (memory(), frames());
            for link in ["visa", "packed"] {
                let mut peer = house.connect(link);
                for n in 0..200 {
                    let (stan, rrn) = (format!("{n:06}"), format!("P{n:011}"));
                    let changes = [(2, "4222222222222220"), (4, "000000000001"), (11, stan.as_str())];
                    let answer = peer.ask(100, &with(&with(PURCHASE, &changes), &[(37, rrn.as_str())]));
                    assert_eq!((answer.outcome(), answer.value(11)), ((110, "00"), stan.as_str()), "{link}");
                }
            }
            let (flooded, grown) = (frames() - frames_before, memory().saturating_sub(memory_before));
            stop.store(true, Ordering::Relaxed);
            assert!(flooded > 1_000, "the flood went on meanwhile: {flooded} messages");
            assert!(grown < 64 << 10, "{grown} KiB more while others flood");
        });
        eventually("none waits", || house.metric("turnpike_answers_parked") == 0);
        assert_eq!(house.dropped_in_all("packed"), 0);
    }
}
