//! The whole pure core under a seeded clock, network and disk.
//!
//! One seed is one small world in one thread: four networks, each in a built-in dialect, the wires between them and the
//! daemon, the daemon's rooms joined as `edge` joins them, and a disk in memory. Nothing reads a clock or a thread's
//! luck: what happens next is the first of a queue ordered by simulated time and by when it was scheduled, and every
//! choice comes from one seeded source. So a seed is a story that can be told again.
//!
//! - [`world`]: time, wires that delay, cut in pieces and break, clock steps, crashes, starts, snapshots;
//! - [`peer`]: networks that time out, repeat, reverse, stand in and complete;
//! - [`daemon`]: the pipeline, a channel for each socket and a station for each link;
//! - [`exchange`]: the independent model of one purchase, with its rules;
//! - [`callers`]: money that is moved over HTTP, and asked for again;
//! - [`books`]: what is held against what.
//!
//! - [`switching`]: a world of its own, in which the daemon stands between networks and hosts ([`host`]).
//!
//! `TURNPIKE_SIMULATIONS` says how many seeds are tried; `TURNPIKE_SIMULATION_SEED` tells the story of one on stderr.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

mod books;
mod callers;
mod clearing;
mod daemon;
mod exchange;
mod host;
#[path = "../memory/mod.rs"]
mod memory;
mod messages;
mod peer;
mod population;
mod switching;
mod world;

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use world::Tales;
use world::World;

const SIMULATIONS: u64 = 40;

/// What must have happened in a run of a few seeds: a simulation in which something never happens proves nothing of it.
const MUST_HAPPEN: [&str; 44] = [
    "approvals",
    "declines",
    "answers 91",
    "answers after the time-out",
    "answers lost in async",
    "answers cut in the middle",
    "requests cut in the middle",
    "repeats that were answered",
    "reversals",
    "reversals before their requests",
    "stand-ins",
    "clearing records",
    "clearing records of completions",
    "completions",
    "increments",
    "completions of estimates",
    "partial reversals",
    "ends at a pump",
    "late completions",
    "records that captured",
    "records of what a message had posted",
    "records of what had ended",
    "holds that expired",
    "passes that the clock halted",
    "time-outs",
    "clock steps",
    "kills",
    "power failures",
    "stops in order",
    "starts that failed",
    "starts from a snapshot",
    "torn tails",
    "journals that failed",
    "snapshots",
    "snapshots that were given up",
    "snapshots that were verified",
    "fund",
    "withdraw",
    "transfer",
    "conversion",
    "errands that had been done",
    "errands without the money",
    "errands that were put off",
    "errands that were lost",
];

/// Names the seed when its world ends with a panic.
struct Naming(u64);

impl Drop for Naming {
    fn drop(&mut self) {
        if thread::panicking() {
            let Self(seed) = self;
            eprintln!(
                "seed {seed} failed; its story: TURNPIKE_SIMULATION_SEED={seed} cargo test --test simulation"
            );
        }
    }
}

fn live(seed: u64, traced: bool) -> (u64, Tales) {
    let _naming = Naming(seed);
    let mut world = World::new(seed, traced);
    let lived = world.live();
    (lived, world.tales)
}

fn live_between(seed: u64, traced: bool) -> (u64, Tales) {
    let _naming = Naming(seed);
    let mut world = switching::World::new(seed, traced);
    let lived = world.live();
    (lived, world.tales)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn whatever_happens_the_books_and_the_networks_agree() {
    tell(live, &MUST_HAPPEN);
}

#[test]
fn r29_r30_r32_whatever_happens_networks_and_hosts_agree() {
    tell(live_between, &switching::MUST_HAPPEN);
}

#[expect(clippy::float_arithmetic, reason = "it says how fast it was")]
fn tell(live: fn(u64, bool) -> (u64, Tales), must_happen: &[&str]) {
    if let Some(seed) = number("TURNPIKE_SIMULATION_SEED") {
        let (lived, tales) = live(seed, true);
        println!("seed {seed} lived {} s: {tales:#?}", lived / world::S);
        return;
    }
    let seeds = number("TURNPIKE_SIMULATIONS").unwrap_or(SIMULATIONS);
    let (next, lived, told) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(Tales::new()));
    let began = Instant::now();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let (us, tales) = live(seed, false);
                    lived.fetch_add(us, Ordering::Relaxed);
                    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
                    tales.into_iter().for_each(|(what, count)| *told.entry(what).or_default() += count);
                }
            });
        }
    });
    let (took, lived) = (began.elapsed(), Duration::from_micros(lived.into_inner()));
    let told = told.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("{told:#?}");
    println!(
        "{seeds} seeds lived {:.0} s in {:.1} s on {threads} threads: {:.0} times as fast as life",
        lived.as_secs_f64(),
        took.as_secs_f64(),
        lived.as_secs_f64() / took.as_secs_f64()
    );
    if seeds >= SIMULATIONS {
        let missing = must_happen.iter().find(|what| !told.contains_key(*what));
        assert_eq!(missing, None, "this never happens");
    }
}
