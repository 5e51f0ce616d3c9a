//! How fast the books come back from the journal: wallets with a card each are opened, then authorized on uniformly
//! chosen cards, holds kept level by reversals. Both parts are timed apart, and the processor time of all threads is
//! printed beside the time that passed. So is a look at one slot over the whole journal, which is what a balance as of
//! a point and a page of a statement cost.
//!
//! `TURNPIKE_BENCH_DIR` names a directory on the disk to measure; without it, one under the target directory is used.
//! `TURNPIKE_BENCH_WALLETS` (1,000,000), `TURNPIKE_BENCH_LIVE` holds (half of that) and `TURNPIKE_BENCH_RECORDS` of
//! traffic (10,000,000) say how much there is, `TURNPIKE_BENCH_THREADS` who reads it (one a processor). With
//! `TURNPIKE_BENCH_KEEP` the journals stay, and are used again by the next run. They are read from the kernel's page
//! cache, as after a restart of the daemon alone.

#![expect(clippy::expect_used, reason = "what fails here ends the bench")]

mod events;
mod processor;

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use processor::processor_time;
use turnpike::crypto::vault::Vault;
use turnpike::domain::card::CardRef;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::Configured;
use turnpike::domain::event::Event;
use turnpike::domain::event::Sequence;
use turnpike::domain::moved::KeysKept;
use turnpike::domain::party::SLOTS;
use turnpike::domain::party::Slot;
use turnpike::domain::party::WalletId;
use turnpike::domain::time::Timestamp;
use turnpike::edge::crew::Threads;
use turnpike::edge::disk::Disk;
use turnpike::journal::buffer::Buffer;
use turnpike::journal::recover::Opener;
use turnpike::journal::recover::recover;
use turnpike::journal::writer::Settings;
use turnpike::journal::writer::Writer;
use turnpike::ledger::books::Layout;
use turnpike::ledger::shard::Capacity;
use turnpike::ledger::shard::Shard;
use turnpike::recovery;
use turnpike::recovery::Rebuilt;
use turnpike::recovery::one_slot;
use turnpike::recovery::one_slot::Source;
use turnpike::recovery::one_slot::Span;
use turnpike::recovery::one_slot::Witness;

const NOW: Timestamp = Timestamp::from_seconds(1_795_392_000);
/// Records of one group commit.
const GROUP: usize = 16_384;
/// How often each journal is read.
const ROUNDS: usize = 5;
const SEED: u64 = 42;

/// How much is measured.
#[derive(Clone, Copy)]
struct Size {
    wallets: u64,
    live: usize,
    records: u64,
    crew: Threads,
}

impl Size {
    fn asked_for() -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        let wallets = number("TURNPIKE_BENCH_WALLETS").unwrap_or(1_000_000).max(1);
        let live = number("TURNPIKE_BENCH_LIVE").unwrap_or(wallets / 2) as usize;
        let records = number("TURNPIKE_BENCH_RECORDS").unwrap_or(10_000_000);
        let threads = number("TURNPIKE_BENCH_THREADS").map(|threads| Threads::new(threads as usize));
        Self { wallets, live, records, crew: threads.unwrap_or_else(Threads::for_each_processor) }
    }

    fn settings(self) -> recovery::Settings {
        let bounds = Bounds::default();
        let closed = usize::from(SLOTS) * bounds.closed_per_slot as usize;
        let capacity = Capacity {
            wallets: self.wallets as usize,
            further_accounts: 0,
            cards: self.wallets as usize,
            authorizations: self.live + closed,
            limits: 16,
            counted: 16,
        };
        recovery::Settings { layout: Layout::new(256), capacity, seed: SEED }
    }
}

fn vault() -> Vault {
    Vault::new([7; 32].into())
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Writes a journal, record by record.
struct Keeping {
    writer: Writer<Disk>,
    buffer: Buffer,
    pending: turnpike::journal::buffer::Pending,
    vault: Vault,
    in_group: usize,
}

impl Keeping {
    fn begin(directory: &Path) -> Result<Self, String> {
        let vault = vault();
        let disk = Disk::open(directory).map_err(text)?;
        let opener = Opener { seal: &vault, fingerprint: vault.fingerprint() };
        let recovered = recover(&disk, opener, Sequence(0), |_, _, _| {}).map_err(text)?;
        let writer =
            Writer::begin(disk, &recovered, vault.fingerprint(), Settings::default()).map_err(text)?;
        let buffer = Buffer::new(writer.start(), GROUP);
        let pending = buffer.spare();
        Ok(Self { writer, buffer, pending, vault, in_group: 0 })
    }

    fn event(&mut self, event: &Event) -> Result<Sequence, String> {
        let (sequence, _) = self.buffer.append(event, NOW, &self.vault).map_err(text)?;
        self.in_group += 1;
        if self.in_group == GROUP {
            self.flush()?;
        }
        Ok(sequence)
    }

    fn flush(&mut self) -> Result<(), String> {
        self.in_group = 0;
        self.buffer.take(&mut self.pending);
        self.writer.write(&mut self.pending).map_err(text)?;
        Ok(())
    }
}

/// Opens every wallet, and returns where each has its card.
fn open_all(keeping: &mut Keeping, size: Size) -> Result<Vec<(WalletId, CardRef)>, String> {
    let bounds = Bounds::default();
    keeping.event(&Event::Configured(Configured { version: 1, bounds, keys: KeysKept::default() }))?;
    let mut serials = vec![0_u32; usize::from(SLOTS)];
    let mut cards = Vec::with_capacity(size.wallets as usize);
    for n in 0..size.wallets {
        let wallet = WalletId(n + 1);
        let slot = Slot::of_wallet(wallet);
        keeping.event(&events::funded(n))?;
        let serial = &mut serials[usize::from(slot.number())];
        *serial += 1;
        let card = CardRef::new(slot, *serial);
        keeping.event(&events::opened(n, card))?;
        cards.push((wallet, card));
    }
    keeping.flush()?;
    Ok(cards)
}

/// Holds on random cards; once there are as many as may live, each is followed by the reversal of the oldest.
fn authorize(keeping: &mut Keeping, size: Size, cards: &[(WalletId, CardRef)]) -> Result<(), String> {
    let mut open = VecDeque::with_capacity(size.live + 1);
    let mut written = 0;
    for n in 0_u64.. {
        if written >= size.records {
            break;
        }
        let at = (n.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20) as usize % cards.len();
        let (wallet, card) = cards[at];
        let undoable = keeping.event(&events::hold(wallet, card, events::key(n)))?;
        open.push_back((at, n, undoable));
        written += 1;
        if open.len() > size.live
            && let Some((at, n, undoes)) = open.pop_front()
        {
            let (wallet, card) = cards[at];
            keeping.event(&events::reversal(wallet, card, events::key(n), undoes))?;
            written += 1;
        }
    }
    keeping.flush()
}

/// The journal of the opening alone, and the one with traffic behind it.
fn journals(size: Size) -> Result<(PathBuf, PathBuf), String> {
    let root = std::env::var_os("TURNPIKE_BENCH_DIR")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned(), PathBuf::from);
    let name = format!("recovery-bench-{}-{}-{}", size.wallets, size.live, size.records);
    let (opened, whole) = (root.join(format!("{name}-opened")), root.join(name));
    if !whole.join("complete").exists() {
        for directory in [&opened, &whole] {
            let _ = std::fs::remove_dir_all(directory);
        }
        let mut keeping = Keeping::begin(&opened)?;
        let cards = open_all(&mut keeping, size)?;
        drop(keeping);
        std::fs::create_dir_all(whole.join("journal")).map_err(text)?;
        for entry in std::fs::read_dir(opened.join("journal")).map_err(text)? {
            let entry = entry.map_err(text)?;
            std::fs::copy(entry.path(), whole.join("journal").join(entry.file_name())).map_err(text)?;
        }
        authorize(&mut Keeping::begin(&whole)?, size, &cards)?;
        std::fs::write(whole.join("complete"), "").map_err(text)?;
    }
    Ok((opened, whole))
}

/// Rebuilds the books, and says how many records there were, how long it took, and how much processor time.
fn rebuild(directory: &Path, size: Size) -> Result<(u64, Duration, Duration, Rebuilt), String> {
    let vault = vault();
    let disk = Disk::open(directory).map_err(text)?;
    let opener = Opener { seal: &vault, fingerprint: vault.fingerprint() };
    let (began, used) = (Instant::now(), processor_time());
    let rebuilt = recovery::rebuild(&disk, opener, size.settings(), &size.crew).map_err(text)?;
    Ok((rebuilt.applied, began.elapsed(), processor_time() - used, rebuilt))
}

/// Replays one slot over the whole journal, as a look into the past does. Returns how many records there were.
fn look(directory: &Path, size: Size) -> Result<(u64, Duration, Duration), String> {
    struct Nobody;
    impl Witness for Nobody {
        fn begins(&mut self, _: &Shard) {}

        fn applied(&mut self, _: &Shard, _: Sequence, _: Timestamp, _: &Event) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }

        fn goes_on(&self) -> bool {
            true
        }
    }
    let vault = vault();
    let disk = Disk::look_at(directory);
    let opener = Opener { seal: &vault, fingerprint: vault.fingerprint() };
    let durable = recover(&disk, opener, Sequence(0), |_, _, _| {}).map_err(text)?.last;
    let most = size.settings().capacity;
    let source = Source { storage: &disk, seal: &vault, keys: &vault, seed: SEED, most, durable };
    let (began, used) = (Instant::now(), processor_time());
    let span = Span { after: durable, through: durable };
    let slot = Slot::of_wallet(WalletId(1));
    one_slot::replay(&source, slot, span, &mut Nobody).map_err(text)?;
    Ok((durable.0, began.elapsed(), processor_time() - used))
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all.get(all.len() / 2).copied().unwrap_or_default()
}

fn print(what: &str, records: u64, took: Duration, used: Duration) {
    let per = |time: Duration| time.as_nanos() / u128::from(records.max(1));
    let rate = u128::from(records) * 1000 / took.as_millis().max(1);
    println!(
        "{what}: {records} records in {took:.2?}, {rate} records/s, {} ns each, {} ns of processor time",
        per(took),
        per(used)
    );
}

fn run() -> Result<(), String> {
    let size = Size::asked_for();
    let (opened, whole) = journals(size)?;
    println!("{} wallets, {} holds alive", size.wallets, size.live);
    let empty = Instant::now();
    drop(turnpike::ledger::books::Books::new(
        Layout::new(256),
        size.settings().capacity,
        Bounds::default(),
        SEED,
    ));
    println!("empty books: {:.2?}", empty.elapsed());
    let (mut of_opening, mut of_traffic) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    let mut counts = (0, 0);
    for round in 0..ROUNDS {
        let (few, took_few, used_few, _) = rebuild(&opened, size)?;
        let (all, took, used, rebuilt) = rebuild(&whole, size)?;
        if round == 0 {
            println!("state {}", rebuilt.books.state_hash());
        }
        counts = (few, all - few);
        of_opening.0.push(took_few);
        of_opening.1.push(used_few);
        of_traffic.0.push(took.saturating_sub(took_few));
        of_traffic.1.push(used.saturating_sub(used_few));
    }
    let looks: Vec<_> = (0..ROUNDS).map(|_| look(&whole, size)).collect::<Result<_, _>>()?;
    print("opening", counts.0, median(of_opening.0), median(of_opening.1));
    print("traffic", counts.1, median(of_traffic.0), median(of_traffic.1));
    let records = looks.first().map_or(0, |(records, _, _)| *records);
    let [took, used] = [|look: &(u64, Duration, Duration)| look.1, |look: &(u64, Duration, Duration)| look.2]
        .map(|of| median(looks.iter().map(of).collect()));
    print("one slot", records, took, used);
    if std::env::var_os("TURNPIKE_BENCH_KEEP").is_none() {
        for directory in [opened, whole] {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
    Ok(())
}

fn main() {
    if let Err(error) = run() {
        println!("not measured: {error}");
    }
}
