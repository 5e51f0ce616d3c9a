//! What the journal costs: appending a record, a group commit on a real disk, recovery.
//!
//! `TURNPIKE_BENCH_DIR` names a directory on the disk to measure; without it, one under the target directory is
//! used. A file system in memory is refused: its sync costs nothing.

use std::hint::black_box;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use criterion::BatchSize;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;

use turnpike::crypto::vault::Vault;
use turnpike::domain::action::ActionCode;
use turnpike::domain::card::CardIdentity;
use turnpike::domain::card::CardRef;
use turnpike::domain::card::SealNonce;
use turnpike::domain::event::Decided;
use turnpike::domain::event::Effect;
use turnpike::domain::event::Event;
use turnpike::domain::event::Facts;
use turnpike::domain::event::Sequence;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::party::InstitutionId;
use turnpike::domain::party::NameId;
use turnpike::domain::party::Slot;
use turnpike::domain::party::Text;
use turnpike::domain::party::WalletId;
use turnpike::domain::request::ApprovalCode;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
use turnpike::domain::request::Presented;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::Stan;
use turnpike::domain::share::Shares;
use turnpike::domain::time::Timestamp;
use turnpike::domain::time::TransmissionTime;
use turnpike::domain::usage::Channel;
use turnpike::edge::disk::Disk;
use turnpike::journal::buffer::Buffer;
use turnpike::journal::buffer::Start;
use turnpike::journal::record::RECORD_BYTES_MAX;
use turnpike::journal::record::decode;
use turnpike::journal::record::encode;
use turnpike::journal::recover::Opener;
use turnpike::journal::recover::recover;
use turnpike::journal::segment;
use turnpike::journal::writer::Settings;
use turnpike::journal::writer::Writer;

const NOW: Timestamp = Timestamp(1_795_000_000_000_000_000);
const RECORDS_MAX: usize = 65_536;
/// The magic of tmpfs, as statfs(2) tells it.
const TMPFS: i64 = 0x0102_1994;

fn purchase(number: u64) -> Event {
    let dollars = Currency::new(840).unwrap_or_default();
    Event::Decided(Decided {
        slot: Slot::of_wallet(WalletId(number)),
        card: CardIdentity::Known(CardRef(number)),
        wallet: WalletId(number),
        account: 0,
        key: MessageKey {
            network: NameId::of("visa"),
            link: NameId::of("visa"),
            stan: Stan((number % 1_000_000) as u32),
            transmission: TransmissionTime::at(NOW),
            acquirer: InstitutionId(412_345),
            rrn: Text::from_ascii(b"632710123456"),
            terminal: Text::from_ascii(b"TERM0001"),
            merchant: Text::from_ascii(b"MERCHANT0000001"),
            network_reference: 386_327_000_000_000 + number,
        },
        class: MessageClass::Authorization,
        repeat: false,
        processing_code: ProcessingCode(0),
        mcc: 5411,
        country: 840,
        entry_mode: 51,
        channel: Channel::Other,
        amount: Money::new(1250, dollars),
        billing: None,
        presented: Presented::TRACK,
        facts: Facts(0),
        action: ActionCode::Approved,
        approval_code: Some(ApprovalCode(*b"0A1B2C")),
        effect: Effect::Hold(1250),
        charge: None,
        shares: Shares::NONE,
        increment: false,
        posted_before: 100_000,
        held_before: 1250,
        overdraft: 0,
        configuration: 0xC0FF_EE00,
        hold_until_s: 1_795_604_800,
        decided_after_us: 12,
    })
}

fn vault() -> Vault {
    Vault::new([7; 32].into())
}

fn records(c: &mut Criterion) {
    let vault = vault();
    let events: Vec<Event> = (1..=1024).map(purchase).collect();
    let mut group = c.benchmark_group("record");
    group.throughput(Throughput::Elements(1)).measurement_time(Duration::from_secs(2));
    group.bench_function("encode a decided purchase", |b| {
        let mut out = [0; RECORD_BYTES_MAX];
        let mut next = 0;
        b.iter(|| {
            next = (next + 1) % events.len();
            black_box(encode(black_box(&events[next]), NOW, Sequence(1), 1, &vault, &mut out))
        });
    });
    group.bench_function("decode a decided purchase", |b| {
        let mut out = [0; RECORD_BYTES_MAX];
        encode(&events[0], NOW, Sequence(1), 1, &vault, &mut out);
        let place = SealNonce { epoch: 1, sequence: 1 };
        b.iter(|| black_box(decode(black_box(&out), place, &vault)));
    });
    group.finish();

    let mut group = c.benchmark_group("buffer");
    group.measurement_time(Duration::from_secs(2));
    for count in [16_u64, 256, 4096] {
        group.throughput(Throughput::Elements(count));
        let start = Start { epoch: 1, last: Sequence(0), time: NOW };
        let mut buffer = Buffer::new(start, RECORDS_MAX);
        let mut pending = buffer.spare();
        group.bench_function(format!("append {count} purchases and take them"), |b| {
            b.iter_batched(
                || (),
                |()| {
                    for event in events.iter().cycle().take(count as usize) {
                        let _ = black_box(buffer.append(event, NOW, &vault));
                    }
                    buffer.take(&mut pending);
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A fresh data directory on the disk that is measured.
fn data_directory(name: &str) -> Result<PathBuf, String> {
    let root = std::env::var_os("TURNPIKE_BENCH_DIR")
        .map_or_else(|| Path::new(env!("CARGO_TARGET_TMPDIR")).to_owned(), PathBuf::from);
    let kind = rustix::fs::statfs(&root).map_err(|error| format!("{}: {error}", root.display()))?.f_type;
    if kind == TMPFS {
        return Err(format!(
            "{} is in memory; set TURNPIKE_BENCH_DIR to a directory on a disk",
            root.display()
        ));
    }
    let directory = root.join(format!("journal-bench-{name}"));
    let _ = std::fs::remove_dir_all(&directory);
    Ok(directory)
}

/// Opens a new journal in the directory and returns what appends to it and writes it.
fn begin(directory: &Path, spares: usize) -> Result<(Disk, Writer<Disk>, Buffer), String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let disk = Disk::open(directory).map_err(|error| text(&error))?;
    for _ in 0..spares {
        segment::make_spare(&disk, Settings::default().segment_bytes).map_err(|error| text(&error))?;
    }
    let vault = vault();
    let opener = Opener { seal: &vault, fingerprint: vault.fingerprint() };
    let recovered = recover(&disk, opener, Sequence(0), |_, _, _| {}).map_err(|error| text(&error))?;
    let writer = Writer::begin(disk.clone(), &recovered, vault.fingerprint(), Settings::default());
    let writer = writer.map_err(|error| text(&error))?;
    let buffer = Buffer::new(writer.start(), RECORDS_MAX);
    Ok((disk, writer, buffer))
}

/// Prints the median and the 99th percentile of a group commit, append, write and fdatasync together.
fn group_commits(name: &str, spares: usize) -> Result<(), String> {
    let vault = vault();
    let events: Vec<Event> = (1..=1024).map(purchase).collect();
    for (count, rounds) in [(1, 1500), (16, 1500), (256, 1000), (4096, 150)] {
        let directory = data_directory(name)?;
        let (_, mut writer, mut buffer) = begin(&directory, spares)?;
        let mut pending = buffer.spare();
        let mut took: Vec<Duration> = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let began = Instant::now();
            for event in events.iter().cycle().take(count) {
                buffer.append(event, NOW, &vault).map_err(|full| full.to_string())?;
            }
            buffer.take(&mut pending);
            writer.write(&mut pending).map_err(|error| error.to_string())?;
            took.push(began.elapsed());
        }
        let all: Duration = took.iter().sum();
        took.sort_unstable();
        let (p50, p99) = (took[rounds / 2].as_micros(), took[rounds * 99 / 100].as_micros());
        let rate = (count * rounds) as u128 * 1_000_000 / all.as_micros().max(1);
        println!(
            "group commit, {name:<8} {count:>5} records: p50 {p50:>6} us, p99 {p99:>6} us, {rate:>8} records/s"
        );
        drop(writer);
        let _ = std::fs::remove_dir_all(&directory);
    }
    Ok(())
}

/// Prints how fast a journal of two million records is read back.
fn recovery() -> Result<(), String> {
    let vault = vault();
    let directory = data_directory("recovery")?;
    let (disk, mut writer, mut buffer) = begin(&directory, 0)?;
    let mut pending = buffer.spare();
    for round in 0..32 {
        for number in 0..RECORDS_MAX as u64 {
            let event = purchase(round * RECORDS_MAX as u64 + number);
            buffer.append(&event, NOW, &vault).map_err(|full| full.to_string())?;
        }
        buffer.take(&mut pending);
        writer.write(&mut pending).map_err(|error| error.to_string())?;
    }
    for _ in 0..3 {
        let opener = Opener { seal: &vault, fingerprint: vault.fingerprint() };
        let mut sum = 0_u64;
        let began = Instant::now();
        let feed =
            |sequence: Sequence, _, event: Event| sum += sequence.0 + u64::from(event.slot().is_some());
        let recovered = recover(&disk, opener, Sequence(0), feed).map_err(|error| error.to_string())?;
        let took = began.elapsed();
        let rate = u128::from(recovered.records) * 1_000_000 / took.as_micros().max(1);
        println!("recovery: {} records in {took:?}, {rate} records/s", recovered.records);
        black_box(sum);
    }
    let _ = std::fs::remove_dir_all(&directory);
    Ok(())
}

fn disk(_: &mut Criterion) {
    let done =
        group_commits("growing", 0).and_then(|()| group_commits("spares", 2)).and_then(|()| recovery());
    if let Err(error) = done {
        println!("not measured: {error}");
    }
}

criterion_group!(benches, records, disk);
criterion_main!(benches);
