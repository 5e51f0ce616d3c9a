//! A journal whose checksums are right and whose records are anything: it is read back, or refused with a reason.
//!
//! The first byte says how the rest becomes batches: how many records the first one claims (low nibble), and whether
//! there is a second batch, a wrong chain, a torn end, a mark from the future.

use turnpike::domain::card::CardRef;
use turnpike::domain::card::Pan;
use turnpike::domain::card::PanSeal;
use turnpike::domain::card::SEALED_PAN_BYTES;
use turnpike::domain::card::SealNonce;
use turnpike::domain::card::SealedPan;
use turnpike::domain::event::Event;
use turnpike::domain::event::Sequence;
use turnpike::domain::time::Timestamp;
use turnpike::journal::batch::BATCH_HEADER_BYTES;
use turnpike::journal::batch::BLOCK_BYTES;
use turnpike::journal::batch::BatchHeader;
use turnpike::journal::inspect::inspect;
use turnpike::journal::record;
use turnpike::journal::record::RECORD_BYTES_MAX;
use turnpike::journal::recover::Opener;
use turnpike::journal::segment;
use turnpike::journal::segment::SegmentHeader;
use turnpike::ledger::books::Layout;
use turnpike::ledger::shard::Capacity;
use turnpike::recovery;
use turnpike::recovery::crew::Alone;

use super::frames;
use super::memory::Memory;
use super::play;
use super::session::Setting;
use super::session::Step;

const EPOCH: u32 = 7;
const FINGERPRINT: [u8; 8] = *b"somebody";

const TWO_BATCHES: u8 = 0x10;
const WRONG_CHAIN: u8 = 0x20;
const TORN: u8 = 0x40;
const MARKED_AHEAD: u8 = 0x80;

/// Seals without a key, so that a mutated card number is read and not refused.
struct Plain;

impl PanSeal for Plain {
    fn seal(&self, pan: Pan, _: SealNonce, _: CardRef) -> SealedPan {
        let mut sealed = [0; SEALED_PAN_BYTES];
        let mut digits = [0; 19];
        let start = pan.clear_ascii(&mut digits);
        sealed[..digits.len() - start].copy_from_slice(&digits[start..]);
        SealedPan(sealed)
    }

    fn open(&self, sealed: &SealedPan, _: SealNonce, _: CardRef) -> Option<Pan> {
        let end = sealed.0.iter().position(|byte| *byte == 0)?;
        Pan::from_ascii(&sealed.0[..end]).ok()
    }
}

pub fn run(bytes: &[u8]) {
    let how = super::byte(bytes, 0);
    let records = bytes.get(1..).unwrap_or_default();
    if records.len() > 4 * BLOCK_BYTES {
        return;
    }
    if !written_again(records) {
        return;
    }
    let storage = Memory::default();
    storage.put(&segment::name(1), segment_of(how, records));
    let _listing = inspect(&storage, Sequence(0), true);
    let settings = recovery::Settings {
        layout: Layout::new(1),
        capacity: Capacity {
            wallets: 8,
            further_accounts: 8,
            cards: 8,
            authorizations: 32,
            limits: 64,
            counted: 4_000,
        },
        seed: 1,
    };
    let opener = Opener { seal: &Plain, fingerprint: FINGERPRINT };
    if let Err(error) = recovery::rebuild(&storage, opener, settings, &Alone) {
        assert!(!error.to_string().is_empty());
    }
}

/// Rings of answers that are made anew for every record would be all that is tried.
const ANSWERS_PER_SLOT_MAX: u32 = 16;

/// A record that can be read is written as it was. Tells whether books that fit into little memory can be made.
fn written_again(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    let mut sequence = 1;
    let mut fits = true;
    while let Ok((frame, event)) = record::decode(rest, SealNonce { epoch: EPOCH, sequence }, &Plain) {
        let mut out = [0; RECORD_BYTES_MAX];
        let length = record::encode(&event, frame.time, Sequence(sequence), EPOCH, &Plain, &mut out);
        let again = record::decode(&out[..length], SealNonce { epoch: EPOCH, sequence }, &Plain);
        let (again_frame, again_event) = again.expect("what was written can be read");
        assert_eq!((again_frame.time, again_event), (frame.time, event));
        if let Event::Configured(configured) = event {
            fits &= configured.bounds.answers_per_slot <= ANSWERS_PER_SLOT_MAX;
        }
        rest = &rest[frame.length..];
        sequence += 1;
    }
    fits
}

fn segment_of(how: u8, records: &[u8]) -> Vec<u8> {
    let header = SegmentHeader {
        partition: 0,
        epoch: EPOCH,
        number: 1,
        first: Sequence(1),
        first_batch: 1,
        chain: 0,
        fingerprint: FINGERPRINT,
        recycled: false,
    };
    let mut file = header.block();
    let count = u32::from(how & 0x0f);
    let split = if how & TWO_BATCHES == 0 { records.len() } else { records.len() / 2 };
    let (first, second) = records.split_at(split);
    let mut batch = batch_header(first, count);
    let chain = push_batch(&mut batch, first, &mut file);
    if how & TWO_BATCHES != 0 {
        let mut next = batch_header(second, count);
        next.number = 2;
        next.first = batch.last().next();
        next.chain = if how & WRONG_CHAIN == 0 { chain } else { !chain };
        let ahead = Sequence(batch.last().0 + u64::from(how & MARKED_AHEAD != 0) * 5);
        (next.durable, next.durable_batch) = (ahead, 1);
        push_batch(&mut next, second, &mut file);
    }
    if how & TORN != 0 {
        file.truncate(file.len() - file.len().min(100 + records.len()));
    }
    file
}

/// The last record's time goes into the batch's, so that right records make a right batch.
fn batch_header(records: &[u8], count: u32) -> BatchHeader {
    let mut rest = records;
    let mut time = Timestamp(0);
    for _ in 0..count {
        let Ok(frame) = record::frame(rest) else { break };
        time = frame.time;
        rest = &rest[frame.length..];
    }
    BatchHeader {
        partition: 0,
        epoch: EPOCH,
        count,
        number: 1,
        first: Sequence(1),
        time,
        durable: Sequence(0),
        durable_batch: 0,
        body_bytes: records.len() as u32,
        chain: 0,
    }
}

fn push_batch(header: &mut BatchHeader, records: &[u8], file: &mut Vec<u8>) -> u128 {
    let mut batch = vec![0; BATCH_HEADER_BYTES];
    batch.extend_from_slice(records);
    let checksum = header.stamp(&mut batch, 1);
    batch.resize(header.bytes_on_disk(), 0);
    file.extend_from_slice(&batch);
    checksum
}

/// The records of a session with a bit of everything.
fn records() -> Vec<Vec<u8>> {
    let setting = Setting::of(&[1]);
    let steps = [Step::Sends(0, frames::frames(setting.dialect).concat())];
    let events = play::played(&setting, &steps, false).house.events();
    let encoded = |(sequence, time, event): &(Sequence, Timestamp, Event)| {
        let mut record = [0; RECORD_BYTES_MAX];
        let length = record::encode(event, *time, *sequence, EPOCH, &Plain, &mut record);
        record[..length].to_vec()
    };
    events.iter().map(encoded).collect()
}

/// The records of a session, behind each way of making batches.
pub fn seeds() -> Vec<Vec<u8>> {
    let records = records();
    let mut seeds = Vec::new();
    for count in [1, 2, 4, 8, 12] {
        let end = records.iter().take(count).map(Vec::len).sum();
        let body = &records.concat()[..end];
        seeds.push([&[count as u8][..], body].concat());
    }
    // Two batches of equal records, so that half the bytes is half the records.
    let pair = [records[0].clone(), records[0].clone()].concat();
    for how in [TWO_BATCHES, TWO_BATCHES | WRONG_CHAIN, TWO_BATCHES | MARKED_AHEAD, TORN] {
        seeds.push([&[how | 1][..], &pair].concat());
    }
    seeds
}
