//! What the history costs: building it, looking a card up with a warm and with a dropped page cache, going through a
//! day, and how many bytes an entry takes on disk and in memory.
//!
//! `TURNPIKE_BENCH_DIR` names a directory on the disk to measure; without it, one under the target directory is
//! used. `TURNPIKE_BENCH_ENTRIES` says how many entries (10,000,000 unless it is set), of ten days.

#![expect(
    clippy::expect_used,
    clippy::float_arithmetic,
    reason = "what fails here ends the bench; it prints ratios"
)]

mod processor;

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use processor::processor_time;
use rustix::fs::Advice;
use turnpike::domain::action::ActionCode;
use turnpike::domain::card::CardRef;
use turnpike::domain::event::Sequence;
use turnpike::domain::fee::CodeAndCharge;
use turnpike::domain::party::SLOTS;
use turnpike::domain::party::Slot;
use turnpike::domain::request::ProcessingCode;
use turnpike::edge::disk::Disk;
use turnpike::history::entry::Day;
use turnpike::history::entry::Entry;
use turnpike::history::index::DIRECTORY;
use turnpike::history::index::History;
use turnpike::history::index::Settings;
use turnpike::history::search::Limit;
use turnpike::history::search::Search;
use turnpike::ledger::authorization::Authorization;
use turnpike::ledger::authorization::AuthorizationState;
use turnpike::ledger::authorization::LegState;
use turnpike::ledger::slab::NONE;

const DAYS: u64 = 10;
const FIRST_DAY: u32 = 20_780;
/// Half as many cards as entries, so that a card has two.
const ENTRIES_PER_CARD: u64 = 2;
const MERGE_STEP_BYTES: u64 = 1 << 20;
const LIMIT: Limit = Limit { entries: 64, blocks: 64 };

/// SplitMix64.
const fn mixed(number: u64) -> u64 {
    let mut value = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

fn card(number: u64) -> CardRef {
    let slot = Slot::new((number % u64::from(SLOTS)) as u16).expect("a slot");
    CardRef::new(slot, (number / u64::from(SLOTS)) as u32)
}

/// The `number`-th of `entries`: closed, let go of two days later, as varied as what networks send.
fn entry(number: u64, entries: u64) -> (Day, Entry) {
    let random = mixed(number);
    let part = |bits: u32, below: u64| mixed(random ^ u64::from(bits)) % below;
    let per_day = (entries / DAYS).max(1);
    let day = Day(FIRST_DAY + (number / per_day) as u32);
    let second = number % per_day * 86_400 / per_day;
    let closed_s = (u64::from(day.0) - 2) * 86_400 + second;
    let amount = (1 + part(1, 100)) * (1 + part(2, 300));
    let stan = part(3, 1_000_000);
    let reversed = part(4, 8) == 0;
    let version = Sequence(1_000_000_000 + number * 2);
    let mut rrn = *b"633100000000";
    for (digit, power) in rrn[4..].iter_mut().zip([10_000_000, 1_000_000, 100_000, 10_000, 1_000, 100, 10, 1])
    {
        *digit += ((second / 3_600 * 1_000_000 + stan) / power % 10) as u8;
    }
    let code = mixed(random).to_le_bytes();
    let authorization = Authorization {
        sequence: Sequence(version.0 - 4 * per_day - part(5, per_day.max(1))),
        network_reference: 386_327_000_000_000 + part(6, 1_000_000_000_000),
        acquirer: 400_000 + part(7, 2_000) * 37,
        rrn,
        stan: stan as u32,
        transmission: (1_124_000_000 + second / 3_600 * 10_000 + part(8, 60) * 100 + part(9, 60)) as u32,
        terminal: mixed(part(10, 500_000)) as u32,
        merchant: mixed(part(11, 200_000)) as u32,
        chain_next: NONE,
        card: NONE,
        approval_code: std::array::from_fn(|n| {
            b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[usize::from(code[n]) % 36]
        }),
        network: [0x1234, 0x9876][part(12, 2) as usize],
        coded: CodeAndCharge::new(ProcessingCode([0, 0, 0, 10_000, 200_000][part(13, 5) as usize]), None),
        amount: amount as i64,
        taken: if reversed { 0 } else { amount as i64 },
        answered: amount as i64,
        closed_by: Sequence(version.0 - 4 * per_day + part(14, 1_000)),
        changed_s: closed_s as u32,
        hold_until_s: (closed_s + 5 * 86_400 + part(15, 86_400)) as u32,
        closed_previous: NONE,
        closed_next: NONE,
        currency: [840, 840, 978, 826][part(16, 4) as usize],
        account: 0,
        action: ActionCode::Approved,
        class: 1 + u8::from(part(17, 10) == 0),
        state: AuthorizationState::Reversed,
        legs: LegState(u8::from(reversed)),
    };
    (day, Entry::new(card(part(18, entries / ENTRIES_PER_CARD)), version, &authorization, None))
}

fn directory() -> PathBuf {
    let root = std::env::var_os("TURNPIKE_BENCH_DIR")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned(), PathBuf::from);
    let directory = root.join("history-bench");
    let _ = fs::remove_dir_all(&directory);
    directory
}

fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Time that went by, and processor time of it: on a machine that does other things too only that is comparable.
#[derive(Default)]
struct Spent {
    wall: Duration,
    processor: Duration,
}

impl Spent {
    fn on<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (began, processor) = (Instant::now(), processor_time());
        let done = work();
        self.wall += began.elapsed();
        self.processor += processor_time() - processor;
        done
    }

    fn print(&self, what: &str, entries: u64) {
        println!(
            "build, {what:<12} {:>5.2} M entries/s, {:>5.0} ns of processor time an entry",
            per_second(entries, self.wall) / 1e6,
            self.processor.as_secs_f64() * 1e9 / entries as f64,
        );
    }
}

/// Feeds all entries, flushes whenever memory is full, and merges as much as there is to merge after each flush.
fn build(history: &mut History<Disk>, entries: u64) {
    let (mut feeding, mut flushing, mut merging) = (Spent::default(), Spent::default(), Spent::default());
    let (mut moved, mut longest) = (0, Duration::ZERO);
    let mut batch = Vec::with_capacity(65_536);
    let mut number = 0;
    while number < entries {
        batch.clear();
        batch.extend((number..entries.min(number + 65_536)).map(|number| entry(number, entries)));
        number += batch.len() as u64;
        feeding.on(|| {
            for (day, entry) in &batch {
                history.insert(*day, entry).expect("room");
            }
        });
        flushing.on(|| history.flush(Sequence(number)).expect("a good disk"));
        loop {
            let began = Instant::now();
            let step = merging.on(|| history.merge_step(MERGE_STEP_BYTES).expect("a good disk"));
            longest = longest.max(began.elapsed());
            moved += step.bytes;
            if !step.more {
                break;
            }
        }
    }
    feeding.print("into memory", entries);
    flushing.print("flushing", entries);
    merging.print("merging", entries);
    println!(
        "merging: {:.0} bytes read and written for an entry, {:.0} MB/s; the longest step of 1 MiB took {longest:?}",
        moved as f64 / entries as f64,
        per_second(moved, merging.wall) / 1e6,
    );
}

/// Looks up so many cards, and prints how it went.
fn look_ups(name: &str, history: &History<Disk>, count: u64, chosen: impl Fn(u64) -> CardRef) {
    let (mut blocks, mut found) = (0, 0);
    let mut took = Vec::with_capacity(count as usize);
    let processor = processor_time();
    for n in 0..count {
        let card = chosen(n);
        let began = Instant::now();
        let result = history.find(card, &Search::default(), LIMIT).expect("whole runs");
        took.push(began.elapsed());
        blocks += result.blocks;
        found += result.entries.len() as u64;
    }
    let (all, processor): (Duration, _) = (took.iter().sum(), processor_time() - processor);
    took.sort_unstable();
    let of = |share: u64| took[(count * share / 1000) as usize];
    println!(
        "look-ups, {name}: {:>7.0}/s, processor {:>5.1} us, p50 {:?}, p99 {:?}, p99.9 {:?}; {:.2} blocks, {:.2} found",
        per_second(count, all),
        processor.as_secs_f64() * 1e6 / count as f64,
        of(500),
        of(990),
        of(999),
        blocks as f64 / count as f64,
        found as f64 / count as f64,
    );
}

/// Asks the kernel to let go of what it has read and written.
fn drop_page_cache(directory: &Path) {
    for file in fs::read_dir(directory.join(DIRECTORY)).into_iter().flatten().flatten() {
        let file = fs::File::open(file.path()).expect("a file");
        file.sync_all().expect("a good disk");
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).expect("advice");
    }
}

fn main() {
    let entries = std::env::var("TURNPIKE_BENCH_ENTRIES").ok().and_then(|text| text.parse().ok());
    let entries: u64 = entries.unwrap_or(10_000_000);
    let directory = directory();
    let disk = Disk::open(&directory).expect("a directory");
    let mut history = History::open(disk.clone(), Settings::default()).expect("an empty history");
    build(&mut history, entries);
    let facts = history.facts();
    println!(
        "facts: {} runs, {:.1} bytes an entry on disk, {:.2} bytes an entry resident",
        facts.runs,
        facts.bytes_on_disk as f64 / facts.entries as f64,
        facts.bytes_resident as f64 / facts.entries as f64,
    );
    drop(history);
    let began = Instant::now();
    let history = History::open(disk, Settings::default()).expect("whole runs");
    println!("opened in {:?}", began.elapsed());

    let cards = entries / ENTRIES_PER_CARD;
    look_ups("warming up", &history, 20_000, |n| card(mixed(n ^ 1 << 40) % cards));
    look_ups("warm", &history, 200_000, |n| card(mixed(n ^ 1 << 41) % cards));
    look_ups("no such card", &history, 200_000, |n| card(cards + mixed(n) % cards));
    drop_page_cache(&directory);
    look_ups("page cache dropped", &history, 5_000, |n| card(mixed(n ^ 1 << 42) % cards));

    let search = Search { merchant: Some(mixed(77) as u32), ..Search::default() };
    let day = Day(FIRST_DAY + 3);
    for name in ["cold", "warm"] {
        let began = Instant::now();
        let all = Limit { entries: 10_000, blocks: u64::MAX };
        let page = history.search(&(day..=day), &search, None, all).expect("whole runs");
        println!(
            "search of a day for a merchant, {name}: {} blocks in {:?}, {} entries",
            page.blocks,
            began.elapsed(),
            page.entries.len()
        );
    }
    drop(history);
    let _ = fs::remove_dir_all(&directory);
}
