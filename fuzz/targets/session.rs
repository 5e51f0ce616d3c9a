//! A link with everything behind it but sockets and disks: bytes of a peer in pieces, over books in memory.
//!
//! Whatever comes, nothing is answered that was not asked, what is answered is bounded by what came, the books sum to
//! zero and are rebuilt from the journal as they were, and how the bytes were cut makes no difference.
//!
//! The first byte is [`Setting`]'s, the second seeds the sizes of pieces. Then comes the stream as it is, or a length
//! of two bytes and a body again and again, which is framed here: so a mutation does not cost the framing.

use std::sync::Arc;

use turnpike::authorizer::Authorizer;
use turnpike::authorizer::approval_code::ApprovalCodes;
use turnpike::crypto::keys::Keys;
use turnpike::dialect::Dialect;
use turnpike::dialect::answer::response_mti;
use turnpike::domain::card::CardStatus;
use turnpike::domain::card::Pan;
use turnpike::domain::card::PanSeal;
use turnpike::domain::card::ServiceCode;
use turnpike::domain::card::Verification;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::Configured;
use turnpike::domain::event::Event;
use turnpike::domain::event::Sequence;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::party::WalletId;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::Timestamp;
use turnpike::iso8583::frame::Kind;
use turnpike::iso8583::view::Spans;
use turnpike::journal::record;
use turnpike::journal::record::RECORD_BYTES_MAX;
use turnpike::journal::recover::Opener;
use turnpike::journal::recover::Recovered;
use turnpike::journal::recover::recover;
use turnpike::journal::writer::Settings;
use turnpike::journal::writer::Writer;
use turnpike::ledger::books::Books;
use turnpike::ledger::books::Layout;
use turnpike::ledger::shard::Capacity;
use turnpike::ledger::state_hash::StateHash;
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
use turnpike::recovery;
use zeroize::Zeroizing;

use super::frames;
use super::memory::Memory;

/// 24 November 2026, 12:34:56 UTC.
const NOW: Timestamp = Timestamp::from_seconds(1_795_523_696);
const CAPACITY: Capacity = Capacity { wallets: 4, further_accounts: 4, cards: 4, authorizations: 24 };
const INPUT_BYTES_MAX: usize = 16 * 1024;
/// Records that may wait for the writer: more than such an input causes.
const RECORDS_MAX: u64 = 2_048;
const CARDS: [(u64, u64, u16, CardStatus, Verification); 4] = [
    (1, 4_111_111_111_111_111, 840, CardStatus::Active, Verification::None),
    (2, 4_222_222_222_222_220, 978, CardStatus::Active, Verification::None),
    (3, 4_000_000_000_000_036, 840, CardStatus::Active, Verification::Required),
    (4, 4_000_000_000_000_044, 840, CardStatus::Lost, Verification::None),
];

/// What the first byte says.
#[derive(Clone, Copy)]
struct Setting {
    iso87: bool,
    fsync: bool,
    /// Only a few answers may wait, so that others are refused.
    narrow: bool,
    /// The stream comes as it is.
    raw: bool,
}

impl Setting {
    const fn of(byte: u8) -> Self {
        Self { iso87: byte & 1 != 0, fsync: byte & 2 != 0, narrow: byte & 4 != 0, raw: byte & 8 != 0 }
    }

    fn dialect(self) -> &'static Dialect {
        if self.iso87 { &super::ISO87 } else { &super::VISA }
    }
}

pub fn run(bytes: &[u8]) {
    if bytes.len() > INPUT_BYTES_MAX {
        return;
    }
    let setting = Setting::of(super::byte(bytes, 0));
    let rest = bytes.get(2..).unwrap_or_default();
    let stream = if setting.raw { rest.to_vec() } else { framed(setting.dialect(), rest) };
    let whole = served(setting, &stream, None);
    let pieces = served(setting, &stream, Some(super::byte(bytes, 1)));
    // With a narrow gate it matters when the disk was ready.
    if !setting.narrow {
        assert_eq!(whole.answers, pieces.answers, "how bytes are cut makes no difference");
        assert_eq!(whole.hash, pieces.hash, "how bytes are cut makes no difference");
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for flags in 0..16 {
        let setting = Setting::of(flags);
        let dialect = setting.dialect();
        let parts = if setting.raw { frames::frames(dialect) } else { frames::bodies(dialect) };
        let mut stream = Vec::new();
        for part in &parts {
            if !setting.raw {
                stream.extend_from_slice(&(part.len() as u16).to_be_bytes());
            }
            stream.extend_from_slice(part);
        }
        // Everything twice: the second time all are repeats.
        seeds.push([&[flags, 3][..], &stream, &stream].concat());
    }
    seeds
}

/// The dialect of an input, and the bodies of its messages.
pub fn messages(bytes: &[u8]) -> (&'static Dialect, Vec<Vec<u8>>) {
    let setting = Setting::of(super::byte(bytes, 0));
    let rest = bytes.get(2..).unwrap_or_default();
    let stream = if setting.raw { rest.to_vec() } else { framed(setting.dialect(), rest) };
    let frames = split(setting.dialect(), &stream).into_iter();
    (setting.dialect(), frames.map(|(_, _, body)| body).collect())
}

fn framed(dialect: &Dialect, mut rest: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(after.len());
        let start = dialect.framing().begin(&mut stream);
        stream.extend_from_slice(&after[..length]);
        if dialect.framing().finish(&mut stream, start).is_err() {
            break;
        }
        rest = &after[length..];
    }
    stream
}

/// The books with a journal in memory.
struct House {
    pipeline: Pipeline,
    writer: Writer<Memory>,
    memory: Memory,
    keys: Arc<Keys>,
}

fn house(setting: Setting) -> House {
    let bounds =
        Bounds { answers_per_slot: 2, closed_per_slot: 2, authorizations_per_card: 6, ..Bounds::default() };
    let books = Books::new(Layout::new(1), CAPACITY, bounds, 42);
    let keys = Arc::new(Keys::from_master(Zeroizing::new([7; 32])));
    let memory = Memory::default();
    let settings = Settings { segment_bytes: 1 << 20, epoch_min: 1 };
    let fingerprint = keys.vault.fingerprint();
    let writer = Writer::begin(memory.clone(), &Recovered::default(), fingerprint, settings);
    let writer = writer.expect("memory does not fail");
    let authorizer = Authorizer {
        codes: ApprovalCodes::new([3; 16]),
        time_zone_offset_minutes: 0,
        hold_s: 7 * 86_400,
        configuration: 1,
    };
    let policy = Policy {
        reply: if setting.fsync { Reply::Fsync } else { Reply::Async },
        fsync_above: vec![Money::new(4_000, Currency::new(840).expect("a currency"))],
        max_unsynced_ns: u64::MAX,
        max_unsynced_records: RECORDS_MAX,
        gather_ns: 0,
        parked_max: 1 << 16,
    };
    let pipeline = Pipeline::new(books, writer.start(), authorizer, Arc::clone(&keys), policy);
    // From here on a run of the writer ends when nothing is left to write.
    pipeline.close();
    let mut house = House { pipeline, writer, memory, keys };
    populate(&house.pipeline, bounds);
    house.sync();
    house
}

fn populate(pipeline: &Pipeline, bounds: Bounds) {
    let configured = Event::Configured(Configured { version: 1, bounds });
    assert!(pipeline.commit_to_all(&configured, NOW).is_some());
    for (wallet, number, currency, status, verification) in CARDS {
        let wallet = WalletId(wallet);
        let currency = Currency::new(currency).expect("a currency");
        let account = NewAccount { wallet, currency, balance: 20_000, overdraft: 500 };
        let card = NewCard {
            wallet,
            pan: Pan::from_value(number, 16).expect("a card number"),
            expiry: Expiry::new(3012).expect("a month"),
            service_code: ServiceCode(201),
            status,
            verification,
        };
        assert_eq!(pipeline.open_account(&account, NOW), Opened::New);
        assert_eq!(pipeline.open_card(&card, NOW), Opened::New);
    }
}

impl House {
    fn sync(&mut self) {
        self.pipeline.run_writer(&mut self.writer, &|_| ()).expect("memory does not fail");
        assert_eq!(self.pipeline.durable(), self.pipeline.appended());
    }

    /// The books as the journal tells them.
    fn rebuilt(&self) -> StateHash {
        let opener = Opener { seal: &self.keys.vault, fingerprint: self.keys.vault.fingerprint() };
        let settings = recovery::Settings { layout: Layout::new(1), capacity: CAPACITY, seed: 43 };
        let rebuilt = recovery::rebuild(&self.memory, opener, settings);
        let books = rebuilt.unwrap_or_else(|error| panic!("{error}")).books;
        assert_eq!(books.audit(), Ok(()), "held is the sum of open holds, and every chain is whole");
        books.state_hash()
    }
}

struct Served {
    /// Frames that were sent, in order of their bytes.
    answers: Vec<Vec<u8>>,
    hash: StateHash,
}

/// Serves a stream at once, or in pieces whose sizes come from a seed, as a socket does.
fn served(setting: Setting, stream: &[u8], pieces: Option<u8>) -> Served {
    let mut house = house(setting);
    let settings = ChannelSettings {
        dialect: setting.dialect().clone(),
        context: ChannelSettings::context_of("link", "network"),
        answer_deadline_ms: 4_000,
        parked_max: if setting.narrow { 3 } else { 1 << 16 },
    };
    let station = Station::new(state::Settings::default());
    let seat = Seat { station: &station, socket: SocketId(1), moment: Moment(1) };
    let mut channel = Channel::default();
    let mut out = Vec::new();
    let (mut start, mut end) = (0, 0);
    let mut size = u32::from(pieces.unwrap_or(0));
    while end < stream.len() {
        size = size.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let piece = if pieces.is_some() { 1 + (size >> 16) as usize % 300 } else { stream.len() };
        end = stream.len().min(end + piece);
        let arrived = &stream[start..end];
        match channel.receive(&settings, &house.pipeline, seat, &|| NOW, arrived, &mut out) {
            Ok(served) => start += served,
            Err(_) => break,
        }
        if pieces.is_some() && size.is_multiple_of(5) {
            house.sync();
            channel.release(&house.pipeline, NOW, &mut out);
        }
    }
    assert!(channel.take_notices().count() <= 8, "what goes to the log is bounded");
    house.sync();
    channel.release(&house.pipeline, NOW, &mut out);
    assert!(!channel.waits() && house.pipeline.parked() == 0, "nothing waits for ever");
    assert!(!house.pipeline.has_failed());
    for totals in house.pipeline.audit().totals {
        assert_eq!(totals.sum(), 0, "the books sum to zero");
    }
    let (hash, _) = house.pipeline.state_hash();
    if pieces.is_some() {
        assert_eq!(house.rebuilt(), hash, "the journal tells the same books");
    }
    Served { answers: answers_to(&settings.dialect, stream, &out), hash }
}

/// MTI and DE 11 of a message, as far as they can be read.
fn name_of(dialect: &Dialect, body: &[u8]) -> (u16, Option<String>) {
    let mut spans = Spans::default();
    let context = ChannelSettings::context_of("peer", "peer");
    let view = match dialect.decode(body, context, &mut spans) {
        Ok(received) => Some(received.view),
        Err(malformed) => malformed.view,
    };
    view.map_or((0, None), |view| (view.mti(), dialect.value(&view, 11)))
}

fn split(dialect: &Dialect, stream: &[u8]) -> Vec<(Kind, Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Ok(Some(frame)) = dialect.frame(&stream[at..]) {
        let whole = stream[at..at + frame.total].to_vec();
        found.push((frame.kind, whole, stream[at + frame.body.start..at + frame.body.end].to_vec()));
        at += frame.total;
    }
    found
}

/// Every frame that was sent answers one that came, each of those is answered once at most, and none is much longer.
fn answers_to(dialect: &Dialect, stream: &[u8], out: &[u8]) -> Vec<Vec<u8>> {
    let came = split(dialect, stream);
    let sent = split(dialect, out);
    assert_eq!(sent.iter().map(|(_, whole, _)| whole.len()).sum::<usize>(), out.len(), "whole frames only");
    assert!(out.len() <= stream.len() + came.len() * frames::ANSWER_ADDS_MAX, "bounded by what came");
    let mut asked: Vec<(u16, Option<String>)> = Vec::new();
    let mut courtesies = 0;
    for (kind, _, body) in &came {
        match kind {
            Kind::Message => {
                let (mti, stan) = name_of(dialect, body);
                asked.push((response_mti(mti), stan));
            }
            _ => courtesies += 1,
        }
    }
    let mut echoed = 0;
    for (kind, _, body) in &sent {
        if *kind != Kind::Message {
            echoed += 1;
            continue;
        }
        let answer = name_of(dialect, body);
        let at = asked.iter().position(|name| *name == answer);
        asked.swap_remove(at.unwrap_or_else(|| panic!("{answer:?} answers nothing")));
    }
    assert!(echoed <= courtesies, "a courtesy is returned once");
    let mut answers: Vec<Vec<u8>> = sent.into_iter().map(|(_, whole, _)| whole).collect();
    answers.sort();
    answers
}

/// The records of a session with a bit of everything, sealed with another seal.
pub fn records(seal: &dyn PanSeal, epoch: u32) -> Vec<Vec<u8>> {
    let setting = Setting { iso87: true, fsync: false, narrow: false, raw: true };
    let mut house = house(setting);
    let settings = ChannelSettings {
        dialect: setting.dialect().clone(),
        context: ChannelSettings::context_of("link", "network"),
        answer_deadline_ms: 4_000,
        parked_max: 64,
    };
    let stream = frames::frames(setting.dialect()).concat();
    let station = Station::new(state::Settings::default());
    let seat = Seat { station: &station, socket: SocketId(1), moment: Moment(1) };
    let mut out = Vec::new();
    let served = Channel::default().receive(&settings, &house.pipeline, seat, &|| NOW, &stream, &mut out);
    assert_eq!(served, Ok(stream.len()));
    house.sync();
    let opener = Opener { seal: &house.keys.vault, fingerprint: house.keys.vault.fingerprint() };
    let mut records = Vec::new();
    let recovered = recover(&house.memory, opener, Sequence(0), |sequence, time, event| {
        let mut record = [0; RECORD_BYTES_MAX];
        let length = record::encode(&event, time, sequence, epoch, seal, &mut record);
        records.push(record[..length].to_vec());
    });
    recovered.unwrap_or_else(|error| panic!("{error}"));
    records
}
