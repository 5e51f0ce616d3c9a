//! In steady state, no message makes the daemon allocate: purchases and reversals over real sockets, with the number
//! of live holds level, while an allocator counts what the worker and the journal's thread ask it for.
//!
//! `TURNPIKE_ALLOC_MESSAGES` sets the number of messages that are counted (default 200,000; the full run is 1,000,000).

#![expect(clippy::expect_used, reason = "what fails here fails the test")]
#![expect(unsafe_code, reason = "an allocator cannot be counted without being one")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::collections::VecDeque;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use harness::House;
use harness::LINKS;
use harness::PAN;
use harness::PURCHASE;
use harness::Peer;
use harness::config;
use harness::frame;
use harness::seed;
use harness::with;
use turnpike::config::Config;
use turnpike::config::money::Reply;
use turnpike::config::seed::Seed;

/// Messages of one write: a purchase each, or a reversal each.
const IN_FLIGHT: usize = 128;
const WALLETS: u64 = 256;
/// How many rounds a hold lives before it is reversed.
const LIVE_ROUNDS: usize = 8;

/// Chip data in plain tags.
const CHIP: &str = "82023900950500000000009F26081122334455667788";

/// What networks send besides, by the dialect's name: chip data, and elements inside private fields.
fn private(dialect: &str) -> &'static [(u8, &'static str)] {
    match dialect {
        "visa" => &[
            (55, "01001682023900950500000000009F26081122334455667788"),
            (60, "050000400000"),
            (62, "C000000000000000E80123456789012345"),
            (63, "8000000002"),
        ],
        // Extended condition codes, and a card verification code, to which the answer has a result.
        "mastercard" => &[
            (15, "0604"),
            (48, "R6105100009203123"),
            (55, CHIP),
            (61, "0000000000800840902101234"),
            (63, "MCS01106L"),
        ],
        _ => &[(55, CHIP)],
    }
}

/// The system's allocator, with a count of what the daemon's threads ask for while it is wanted.
struct Counting;

/// Threads whose allocations are counted, by how their names start.
const COUNTED: [&str; 2] = ["worker-", "journal"];

static WANTED: AtomicBool = AtomicBool::new(false);
static ALLOCATIONS: [AtomicU64; COUNTED.len()] = [AtomicU64::new(0), AtomicU64::new(0)];
/// The first one that should not be is shown with its stack.
static SHOWN: AtomicBool = AtomicBool::new(true);

thread_local! {
    /// The thread's place in `COUNTED`, once its name was looked at.
    static PLACE: Cell<Option<Option<usize>>> = const { Cell::new(None) };
    /// Counting may allocate, which must not be counted.
    static IS_COUNTING: Cell<bool> = const { Cell::new(false) };
}

fn place() -> Option<usize> {
    PLACE.get().unwrap_or_else(|| {
        let thread = std::thread::current();
        let name = thread.name()?;
        let place = COUNTED.iter().position(|counted| name.starts_with(counted));
        PLACE.set(Some(place));
        place
    })
}

fn count(bytes: usize) {
    if !WANTED.load(Ordering::Relaxed) || IS_COUNTING.replace(true) {
        return;
    }
    if let Some(place) = place() {
        ALLOCATIONS[place].fetch_add(1, Ordering::Relaxed);
        if !SHOWN.swap(true, Ordering::Relaxed) {
            eprintln!("{} asks for {bytes} bytes:\n{}", COUNTED[place], Backtrace::force_capture());
        }
    }
    IS_COUNTING.set(false);
}

/// Counts what the daemon's threads allocate meanwhile.
fn counted(work: impl FnOnce()) -> [u64; COUNTED.len()] {
    ALLOCATIONS.iter().for_each(|allocations| allocations.store(0, Ordering::SeqCst));
    WANTED.store(true, Ordering::SeqCst);
    work();
    WANTED.store(false, Ordering::SeqCst);
    ALLOCATIONS.each_ref().map(|allocations| allocations.load(Ordering::SeqCst))
}

// SAFETY: every call is handed on to the system's allocator as it came; counting touches no memory of the caller's.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`, and the pointer came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: the caller keeps the contract of `realloc`, and the pointer came from the system's allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn messages() -> u64 {
    std::env::var("TURNPIKE_ALLOC_MESSAGES").map_or(200_000, |count| count.parse().expect("a number"))
}

/// A card number of a wallet, from 1.
fn pan(wallet: u64) -> String {
    if wallet == 1 { PAN.to_owned() } else { format!("{}", 4_000_000_000_000_000 + wallet) }
}

/// Frames that are sent at once, and how many there are.
#[derive(Default)]
struct Burst {
    stream: Vec<u8>,
    count: usize,
}

/// One peer with its running numbers.
struct Load {
    peer: Peer,
    /// Purchases so far; every one has a key of its own.
    made: u64,
    /// Reversals of purchases whose holds live.
    reversals: VecDeque<Burst>,
    answers: Vec<u8>,
}

impl Load {
    fn new(peer: Peer) -> Self {
        Self { peer, made: 0, reversals: VecDeque::new(), answers: Vec::new() }
    }

    /// Sends frames and waits for as many answers, which must all say DE 39 = 00.
    fn exchange(&mut self, burst: &Burst) {
        self.peer.write(&burst.stream);
        self.answers.clear();
        let mut room = [0; 65_536];
        let (mut at, mut seen) = (0, 0);
        while seen < burst.count {
            let bytes = self.peer.socket.read(&mut room).expect("answers");
            assert!(bytes > 0, "the daemon closed the socket");
            self.answers.extend_from_slice(&room[..bytes]);
            while let Some(frame) = self.peer.dialect.frame(&self.answers[at..]).expect("right framing") {
                let body = &self.answers[at..][frame.body.clone()];
                assert_eq!(harness::read(&self.peer.dialect, body).value(39), "00");
                at += frame.total;
                seen += 1;
            }
        }
        assert_eq!((seen, at), (burst.count, self.answers.len()));
    }

    /// Purchases on wallets in turn; once enough holds live, a reversal for each of the oldest.
    fn round(&mut self, in_flight: usize) {
        let (mut purchases, mut reversals) = (Burst::default(), Burst::default());
        for _ in 0..in_flight {
            let n = self.made;
            self.made += 1;
            let (pan, stan) = (pan(n % WALLETS + 1), format!("{:06}", n % 1_000_000));
            let rrn = format!("{n:012}");
            let values = with(PURCHASE, &[(2, &pan), (11, &stan), (37, &rrn)]);
            let values = with(&values, private(self.peer.dialect.name()));
            purchases.stream.extend(frame(&self.peer.dialect, 100, &values));
            let original = format!("0100{stan}06041234561234567890100000000000");
            let values = with(&values, &[(14, ""), (90, &original)]);
            let mti = if n.is_multiple_of(2) { 400 } else { 420 };
            reversals.stream.extend(frame(&self.peer.dialect, mti, &values));
        }
        (purchases.count, reversals.count) = (in_flight, in_flight);
        self.exchange(&purchases);
        self.reversals.push_back(reversals);
        if self.reversals.len() > LIVE_ROUNDS {
            let oldest = self.reversals.pop_front().expect("there are some");
            self.exchange(&oldest);
        }
    }
}

fn settings(directory: &Path, reply: Reply) -> Config {
    config(directory, |config| {
        config.journal.reply = reply;
        // One segment is enough for all: a new file may cost what it costs.
        config.journal.segment_mib = 4_096;
        // Small bounds of what is remembered are soon reached, so that it is replaced from then on.
        config.ledger.bounds.answers_per_slot = 16;
    })
}

fn wallets() -> Seed {
    let line = |wallet| format!("{wallet},840,1000000,0,{},3012,201,active\n", pan(wallet));
    seed(&(1..=WALLETS).map(line).collect::<String>())
}

fn check_steady_state(reply: Reply, messages: u64) {
    let directory = tempfile::tempdir().expect("a directory");
    let house = House::start(&settings(directory.path(), reply), Some(&wallets())).expect("a start");
    // Every other wallet has limits that count, and a control.
    for wallet in (1..=WALLETS).step_by(2) {
        let sliding =
            r#"{"measure":"amount","currency":"840","max":90000000000,"window":"sliding","seconds":60}"#;
        let day = r#"{"measure":"count","max":90000000000,"window":"day"}"#;
        let lock = r#"{"rule":"lock"}"#;
        for (what, body) in [("limits/1", sliding), ("limits/2", day), ("controls/1", lock)] {
            assert_eq!(house.verb("PUT", &format!("/v1/wallets/{wallet}/{what}"), body).0, 200);
        }
    }
    let mut loads = LINKS.map(|(link, _)| Load::new(house.connect(link)));
    // Everything grows to its largest first: bursts that are larger than what is counted.
    for load in &mut loads {
        for _ in 0..4 {
            load.round(IN_FLIGHT * 4);
        }
        for _ in 0..100 {
            load.round(IN_FLIGHT);
        }
    }
    let live = || house.metric("turnpike_ledger_authorizations_open");
    assert_eq!(live(), (LINKS.len() * LIVE_ROUNDS * IN_FLIGHT) as u64);
    SHOWN.store(false, Ordering::SeqCst);
    let allocations = counted(|| {
        let mut sent = 0;
        while sent < messages {
            for load in &mut loads {
                load.round(IN_FLIGHT);
                sent += 2 * IN_FLIGHT as u64;
            }
        }
    });
    SHOWN.store(true, Ordering::SeqCst);
    assert_eq!(live(), (LINKS.len() * LIVE_ROUNDS * IN_FLIGHT) as u64, "live holds are level");
    assert_eq!(allocations, [0, 0], "allocations of {COUNTED:?} in {messages} messages, {reply:?}");
}

#[test]
fn no_message_makes_the_daemon_allocate() {
    // A start and a new socket do allocate, on each of these threads: what follows is not merely never seen.
    let starting = counted(|| {
        let directory = tempfile::tempdir().expect("a directory");
        let house = House::start(&settings(directory.path(), Reply::Async), None).expect("a start");
        house.connect("visa").echo();
        house.drain();
    });
    assert!(starting.iter().all(|allocations| *allocations > 0), "{COUNTED:?}: {starting:?}");
    for reply in [Reply::Async, Reply::Fsync] {
        check_steady_state(reply, messages() / 2);
    }
}
