//! The ledger's `apply` of holds and their reversals on uniformly chosen cards, at 1 k, 1 M and 10 M wallets (or those
//! in `TURNPIKE_BENCH_WALLETS`, separated by commas). One shard lock would be taken for each; there is none here.
//!
//! `TURNPIKE_BENCH_LIVE` holds are alive meanwhile: what the index costs shows only when it is as full as it may be.
//!
//! Resident memory is printed as well: of each place for an authorization, its share of the index included, and of a
//! wallet with one account and one card, fixed tables included.

#![expect(clippy::expect_used, reason = "what fails here ends the bench")]

mod events;

use std::hint::black_box;
use std::time::Duration;

use criterion::BatchSize;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use turnpike::domain::card::CardRef;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::Event;
use turnpike::domain::event::Sequence;
use turnpike::domain::party::Slot;
use turnpike::domain::party::WalletId;
use turnpike::domain::time::Timestamp;
use turnpike::ledger::books::Books;
use turnpike::ledger::books::Layout;
use turnpike::ledger::shard::Capacity;

const NOW: Timestamp = Timestamp::from_seconds(1_795_392_000);
/// Holds and reversals of one iteration.
const BATCH: u64 = 256;
const AUTHORIZATIONS: usize = 4_000_000;
/// Holds that are alive, unless it is said otherwise.
const LIVE: usize = 4 * BATCH as usize;

struct Bench {
    books: Books,
    cards: Vec<(WalletId, CardRef)>,
    sequence: u64,
    /// Holds that have not been reversed, oldest first.
    open: std::collections::VecDeque<(usize, Sequence)>,
    /// How many there may be.
    live: usize,
}

impl Bench {
    fn new(wallets: u64) -> Self {
        let totals = Capacity {
            wallets: wallets as usize,
            further_accounts: 0,
            cards: wallets as usize,
            authorizations: AUTHORIZATIONS,
            limits: 16,
            counted: 16,
        };
        let books = Books::new(Layout::new(256), totals, Bounds::default(), 42);
        let live = std::env::var("TURNPIKE_BENCH_LIVE").ok().and_then(|live| live.parse().ok());
        let (live, open) = (live.unwrap_or(LIVE), std::collections::VecDeque::new());
        let mut bench = Self { books, cards: Vec::new(), sequence: 0, open, live };
        for n in 0..wallets {
            bench.open_wallet(n);
        }
        bench
    }

    fn open_wallet(&mut self, n: u64) {
        let wallet = WalletId(n + 1);
        let slot = Slot::of_wallet(wallet);
        self.apply(&events::funded(n));
        let card = self.books.shards[self.books.layout.shard_of(slot)].next_card_ref(slot);
        self.apply(&events::opened(n, card));
        self.cards.push((wallet, card));
    }

    fn apply(&mut self, event: &Event) -> Sequence {
        self.sequence += 1;
        let sequence = Sequence(self.sequence);
        self.books.apply(sequence, NOW, event).expect("it fits");
        sequence
    }

    /// Holds on random cards, and as many reversals of holds that are a few batches old.
    fn events(&mut self) -> Vec<Event> {
        let mut all = Vec::with_capacity(2 * BATCH as usize);
        for n in 0..BATCH {
            let next = self.sequence + 1 + all.len() as u64;
            let at = (next.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) as usize % self.cards.len();
            let (wallet, card) = self.cards[at];
            let key = events::key(next * 1000 + n);
            all.push(events::hold(wallet, card, key));
            self.open.push_back((at, Sequence(next)));
            if self.open.len() > self.live {
                let (at, undoes) = self.open.pop_front().unwrap_or_default();
                let (wallet, card) = self.cards[at];
                all.push(events::reversal(wallet, card, key, undoes));
            }
        }
        all
    }
}

/// Resident memory of this process, bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

/// Prints what a place for an authorization takes: the difference between books with and without them.
fn print_place(wallets: u64) {
    let with = |authorizations| {
        let totals = Capacity {
            wallets: wallets as usize,
            further_accounts: 0,
            cards: wallets as usize,
            authorizations,
            limits: 16,
            counted: 16,
        };
        let before = resident();
        let books = Books::new(Layout::new(256), totals, Bounds::default(), 42);
        let places: u64 = books.shards.iter().map(|shard| shard.fill().authorizations_max).sum();
        (resident().saturating_sub(before), places, books)
    };
    // Both stay until the end: memory that the one gives back would be used for the other.
    let ((none, few, _one), (all, places, _other)) = (with(0), with(AUTHORIZATIONS));
    let bytes = all.saturating_sub(none);
    let (place, asked) = (bytes / (places - few), bytes / AUTHORIZATIONS as u64);
    println!("{wallets} wallets: {place} bytes a place of {places}, {asked} for each that is asked for");
}

fn apply(criterion: &mut Criterion) {
    let wanted =
        std::env::var("TURNPIKE_BENCH_WALLETS").unwrap_or_else(|_| "1000,1000000,10000000".to_owned());
    for wallets in wanted.split(',').filter_map(|text| text.parse::<u64>().ok()) {
        print_place(wallets);
        let before = resident();
        let mut bench = Bench::new(wallets);
        // What the bench itself remembers of a card is no part of the ledger.
        let own = wallets * size_of::<(Slot, WalletId, CardRef)>() as u64;
        let bytes = resident().saturating_sub(before + own) / wallets;
        println!(
            "{wallets} wallets: {bytes} bytes each, resident, with the fixed tables for 4 M authorizations"
        );
        while bench.open.len() < bench.live {
            for event in bench.events() {
                bench.apply(&event);
            }
        }
        let mut group = criterion.benchmark_group("ledger apply, hold and reversal");
        group.throughput(Throughput::Elements(2 * BATCH)).measurement_time(Duration::from_secs(6));
        group.bench_function(format!("{wallets} wallets"), |bencher| {
            let bench = std::cell::RefCell::new(&mut bench);
            bencher.iter_batched(
                || bench.borrow_mut().events(),
                |events| {
                    let mut bench = bench.borrow_mut();
                    for event in &events {
                        black_box(bench.apply(event));
                    }
                },
                BatchSize::PerIteration,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, apply);
criterion_main!(benches);
