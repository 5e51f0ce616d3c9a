//! The whole path in memory: frames of a socket's read buffer in, answers out, through codec, directory, shard,
//! decision, journal record and gate. No sockets; the journal's writer runs on its own thread, over files that forget.
//!
//! `TURNPIKE_BENCH_WALLETS` sets the number of wallets (default 1,000,000). Each iteration serves one buffer of 64
//! requests, all new; a reversal for each keeps the number of live holds level.

#![expect(clippy::expect_used, reason = "what fails here ends the bench")]

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::BatchSize;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use turnpike::authorizer::Authorizer;
use turnpike::authorizer::CreditsAt;
use turnpike::authorizer::approval_code::ApprovalCodes;
use turnpike::authorizer::expiry::ExpiryTable;
use turnpike::authorizer::increase::Increases;
use turnpike::crypto::keys::Keys;
use turnpike::dialect::Dialect;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::card::ServiceCode;
use turnpike::domain::card::Verification;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::Configured;
use turnpike::domain::event::Event;
use turnpike::domain::money::Currency;
use turnpike::domain::moved::KeysKept;
use turnpike::domain::party::WalletId;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::Now;
use turnpike::domain::time::Timestamp;
use turnpike::iso8583::value::Value;
use turnpike::journal::recover::Recovered;
use turnpike::journal::storage::Storage;
use turnpike::journal::storage::StorageError;
use turnpike::journal::storage::StorageFile;
use turnpike::journal::writer::Settings;
use turnpike::journal::writer::Writer;
use turnpike::ledger::books::Books;
use turnpike::ledger::books::Layout;
use turnpike::ledger::presented::Tolerance;
use turnpike::ledger::shard::Capacity;
use turnpike::link::state;
use turnpike::link::state::Moment;
use turnpike::link::state::SocketId;
use turnpike::pipeline::channel::Channel;
use turnpike::pipeline::channel::ChannelSettings;
use turnpike::pipeline::core::Pipeline;
use turnpike::pipeline::gate::Policy;
use turnpike::pipeline::gate::Reply;
use turnpike::pipeline::seeding::NewAccount;
use turnpike::pipeline::seeding::NewCard;
use turnpike::pipeline::seeding::Opened;
use turnpike::pipeline::station::Seat;
use turnpike::pipeline::station::Station;
use zeroize::Zeroizing;

const FRAMES: usize = 64;
const NOW: Now = Now::by(Timestamp::from_seconds(1_795_392_000));

fn pan(n: u64) -> Pan {
    Pan::from_value(4_000_000_000_000_000 + n, 16).expect("a card number")
}

fn pipeline(wallets: u64) -> (Pipeline, Writer<Forgetful>) {
    let totals = Capacity {
        wallets: wallets as usize,
        further_accounts: 0,
        cards: wallets as usize,
        authorizations: 4_000_000,
        limits: 16,
        counted: 16,
    };
    let bounds = Bounds::default();
    let books = Books::new(Layout::new(256), totals, bounds, 42);
    let keys = Arc::new(Keys::from_master(Zeroizing::new([7; 32])));
    let settings = Settings { segment_bytes: 64 << 20, epoch_min: 1 };
    let writer = Writer::begin(Forgetful, &Recovered::default(), keys.vault.fingerprint(), settings)
        .expect("memory does not fail");
    let authorizer = Authorizer {
        codes: ApprovalCodes::new([3; 16]),
        time_zone_offset_minutes: 0,
        expiry: ExpiryTable { rows: Vec::new(), otherwise_s: 7 * 86_400 },
        increases: Increases::default(),
        credits: CreditsAt::Clearing,
        clearing_tolerance: Tolerance(20),
        configuration: 1,
    };
    let policy = Policy {
        reply: Reply::Async,
        fsync_above: Vec::new(),
        max_unsynced_ns: u64::MAX,
        max_unsynced_records: 1 << 16,
        gather_ns: 1_000_000,
        pace_ns: 600_000,
        ahead_max: 768,
        parked_max: 65_536,
    };
    (Pipeline::new(books, writer.start(), authorizer, keys, policy), writer)
}

fn populate(pipeline: &Pipeline, wallets: u64) {
    assert!(
        pipeline
            .commit_to_all(
                &Event::Configured(Configured {
                    version: 1,
                    bounds: Bounds::default(),
                    keys: KeysKept::default()
                }),
                NOW
            )
            .is_some()
    );
    for n in 0..wallets {
        let wallet = WalletId(n + 1);
        let currency = Currency::new(840).expect("a currency");
        let account = NewAccount { wallet, currency, balance: 1 << 40, overdraft: 0 };
        open(pipeline, || pipeline.open_account(&account, NOW));
        let card = NewCard {
            wallet,
            pan: pan(n),
            expiry: Expiry::new(2812).expect("a month"),
            service_code: ServiceCode(201),
            status: CardStatus::Active,
            verification: Verification::None,
            key: None,
        };
        open(pipeline, || pipeline.open_card(&card, NOW));
    }
}

/// Opens something, and waits for the writer when the journal has no room.
fn open(pipeline: &Pipeline, opened: impl Fn() -> Opened) {
    while opened() == Opened::Later {
        pipeline.wake_writer();
        std::thread::yield_now();
    }
}

/// Files that take everything and keep nothing.
struct Forgetful;

impl Storage for Forgetful {
    type File = Self;

    fn list(&self, _: &str) -> Result<Vec<String>, StorageError> {
        Ok(Vec::new())
    }
    fn open(&self, _: &str) -> Result<Self, StorageError> {
        Ok(Self)
    }
    fn create(&self, _: &str) -> Result<Self, StorageError> {
        Ok(Self)
    }
    fn rename(&self, _: &str, _: &str) -> Result<(), StorageError> {
        Ok(())
    }
    fn remove(&self, _: &str) -> Result<(), StorageError> {
        Ok(())
    }
    fn sync_directory(&self, _: &str) -> Result<(), StorageError> {
        Ok(())
    }
}

impl StorageFile for Forgetful {
    fn length(&self) -> Result<u64, StorageError> {
        Ok(0)
    }
    fn read_at(&self, _: u64, _: &mut [u8]) -> Result<usize, StorageError> {
        Ok(0)
    }
    fn write_at(&mut self, _: u64, _: &[u8]) -> Result<(), StorageError> {
        Ok(())
    }
    fn sync(&mut self) -> Result<(), StorageError> {
        Ok(())
    }
    fn truncate(&mut self, _: u64) -> Result<(), StorageError> {
        Ok(())
    }
}

/// Requests and their reversals as a socket delivers them.
struct Traffic {
    dialect: Dialect,
    wallets: u64,
    next: u64,
}

impl Traffic {
    fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(FRAMES * 400);
        for _ in 0..FRAMES / 2 {
            self.next += 1;
            let n = self.next;
            self.message(100, n, &mut buffer);
            // The reversal of one that is a few buffers old.
            self.message(400, n.saturating_sub(1000).max(1), &mut buffer);
        }
        buffer
    }

    fn message(&self, mti: u16, n: u64, out: &mut Vec<u8>) {
        let card = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % self.wallets;
        let mut digits = [0; 19];
        let start = pan(card).clear_ascii(&mut digits);
        let number = std::str::from_utf8(&digits[start..]).expect("digits");
        let (stan, rrn) = (format!("{:06}", n % 1_000_000), format!("{n:012}"));
        let mut fields: Vec<(u8, Value<'_>)> = vec![
            (2, number.into()),
            (3, "000000".into()),
            (4, "000000001500".into()),
            (7, "1123101500".into()),
            (11, stan.as_str().into()),
            (12, "101500".into()),
            (13, "1123".into()),
            (14, "2812".into()),
            (18, "5999".into()),
            (19, "840".into()),
            (22, "0510".into()),
            (25, "00".into()),
            (32, "12345678901".into()),
            (37, rrn.as_str().into()),
            (41, "TERMID01".into()),
            (42, "CARD ACCEPTOR".into()),
            (43, "ACQUIRER NAME            CITY NAME    US".into()),
            (49, "840".into()),
        ];
        if mti == 100 {
            fields.push((60, "05000040".into()));
        }
        self.dialect.compose(mti, &fields, out).expect("a message");
    }
}

fn whole_path(criterion: &mut Criterion) {
    let wallets =
        std::env::var("TURNPIKE_BENCH_WALLETS").ok().and_then(|n| n.parse().ok()).unwrap_or(1_000_000);
    let (pipeline, mut writer) = pipeline(wallets);
    std::thread::scope(|scope| {
        scope.spawn(|| pipeline.run_writer(&mut writer, &|_| ()));
        populate(&pipeline, wallets);
        measure(criterion, &pipeline, wallets);
        pipeline.close();
    });
}

fn measure(criterion: &mut Criterion, pipeline: &Pipeline, wallets: u64) {
    let dialect = || Dialect::built_in("visa").expect("it is compiled in");
    let mut traffic = Traffic { dialect: dialect(), wallets, next: 0 };
    let settings = ChannelSettings {
        dialect: dialect(),
        context: ChannelSettings::context_of("visa", "visa"),
        answer_deadline_ms: 4_000,
        parked_max: 4096,
    };
    let link = Station::new(state::Settings::default());
    let seat = Seat { station: &link, socket: SocketId(1), moment: Moment(1) };
    let mut channel = Channel::default();
    let mut out = Vec::with_capacity(128 * 1024);
    let mut group = criterion.benchmark_group(format!("whole path in memory, {wallets} wallets"));
    group.throughput(Throughput::Elements(FRAMES as u64)).measurement_time(Duration::from_secs(8));
    group.bench_function("request and reversal, visa, buffers of 64", |bencher| {
        bencher.iter_batched_ref(
            || traffic.buffer(),
            |buffer| {
                out.clear();
                let served = channel.receive(&settings, pipeline, seat, &|| NOW, buffer, &mut out);
                assert_eq!(black_box(served), Ok(buffer.len()));
                channel.release(pipeline, NOW, &mut out);
                channel.written(NOW);
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, whole_path);
criterion_main!(benches);
