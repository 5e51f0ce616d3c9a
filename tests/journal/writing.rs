//! Writing: batches, segments, spares, marks, and a writer that stays closed after a failure.

use crate::journal::memory::Crash;
use crate::journal::memory::Fault;
use crate::journal::memory::Memory;
use turnpike::domain::event::Sequence;
use turnpike::domain::time::Timestamp;
use turnpike::edge::disk::Disk;
use turnpike::journal::batch::BATCH_BYTES_MAX;
use turnpike::journal::batch::BLOCK_BYTES;
use turnpike::journal::buffer::Buffer;
use turnpike::journal::buffer::Full;
use turnpike::journal::buffer::Start;
use turnpike::journal::inspect::inspect;
use turnpike::journal::segment;
use turnpike::journal::storage::Operation;
use turnpike::journal::writer::Settings;
use turnpike::journal::writer::Writer;

use crate::journal::events::Journal;
use crate::journal::events::NOW;
use crate::journal::events::are_the_first;
use crate::journal::events::card_opened;
use crate::journal::events::journal_of;
use crate::journal::events::largest;
use crate::journal::events::purchase;
use crate::journal::events::records;
use crate::journal::events::vault;

const START: Start = Start { epoch: 1, last: Sequence(0), time: Timestamp(0) };

#[test]
fn a_full_buffer_refuses_and_changes_nothing() {
    let mut buffer = Buffer::new(START, 3);
    for number in 1..=3 {
        assert_eq!(buffer.append(&purchase(number), NOW, &vault()), Ok((Sequence(number), NOW)));
    }
    assert_eq!(buffer.append(&purchase(4), NOW, &vault()), Err(Full));
    let mut pending = buffer.spare();
    buffer.take(&mut pending);
    assert_eq!((pending.records(), buffer.records(), buffer.last()), (3, 0, Sequence(3)));
    assert_eq!(buffer.append(&purchase(4), NOW, &vault()), Ok((Sequence(4), NOW)));
}

#[test]
fn every_size_of_buffer_takes_what_it_promises() {
    for records_max in [1, 2, 1000, 1363, 1364, 1365, 5000, 65_536] {
        let mut buffer = Buffer::new(START, records_max);
        for number in 1..=records_max as u64 {
            assert!(buffer.append(&largest(), NOW, &vault()).is_ok(), "{number} of {records_max}");
        }
        assert_eq!(buffer.append(&purchase(0), NOW, &vault()), Err(Full));
    }
}

#[test]
fn r19_time_in_the_journal_never_goes_back() {
    let mut buffer = Buffer::new(Start { time: Timestamp(50), ..START }, 10);
    for (now, time) in [(40, 50), (60, 60), (55, 60), (60, 60), (61, 61)] {
        let (_, at) = buffer.append(&purchase(1), Timestamp(now), &vault()).expect("room");
        assert_eq!(at, Timestamp(time));
    }
}

#[test]
fn batches_stand_on_blocks_and_stay_within_their_size() {
    let memory = journal_of(&[1, 30, 8000, 3]);
    let inspection = inspect(&memory, Sequence(0), true);
    let batches: Vec<_> = inspection.segments.iter().flat_map(|segment| &segment.listing).collect();
    assert!(batches.len() > 6 && inspection.segments.len() > 1, "{inspection}");
    for batch in batches {
        assert_eq!(batch.offset % BLOCK_BYTES as u64, 0);
        assert!(batch.header.bytes_on_disk() <= BATCH_BYTES_MAX);
    }
    let (recovered, records) = records(&memory).expect("a whole journal");
    assert_eq!((recovered.records, recovered.torn), (8034, None));
    assert!(are_the_first(&records));
}

#[test]
fn one_write_and_one_sync_for_all_that_is_pending() {
    let memory = Memory::new();
    let mut journal = Journal::open(&memory);
    let (writes, syncs) = memory.operations();
    journal.append(4000);
    journal.write();
    assert_eq!(memory.operations(), (writes + 1, syncs + 1));
}

#[test]
fn r1_what_is_called_durable_was_synced() {
    let memory = Memory::new();
    let mut journal = Journal::open(&memory);
    for count in [1, 5, 3000, 7000, 2] {
        journal.append(count);
        journal.write();
        let (recovered, records) = records(&memory.after(Crash::LoseUnsynced)).expect("a whole journal");
        assert_eq!(recovered.last, journal.writer.durable());
        assert!(are_the_first(&records));
    }
    assert_eq!(journal.writer.durable(), journal.buffer.last());
}

#[test]
fn an_idle_writer_marks_what_is_durable_once() {
    let memory = Memory::new();
    let mut journal = Journal::open(&memory);
    journal.writer.write_mark().expect("a good disk");
    journal.append(5);
    journal.write();
    assert_eq!(records(&memory).expect("a whole journal").0.marked, Sequence(0));
    for _ in 0..3 {
        assert_eq!(journal.writer.write_mark(), Ok(Sequence(5)));
    }
    let (recovered, _) = records(&memory).expect("a whole journal");
    assert_eq!((recovered.marked, recovered.batches, recovered.records), (Sequence(5), 2, 5));
    journal.append(5);
    journal.write();
    assert_eq!(records(&memory).expect("a whole journal").0.last, Sequence(10));
}

#[test]
fn r2_a_writer_that_failed_once_never_writes_again() {
    for operation in [Operation::Write, Operation::Sync] {
        let memory = Memory::new();
        let mut journal = Journal::open(&memory);
        journal.append(5);
        journal.write();
        memory.fail(operation, 0);
        journal.append(5);
        journal.buffer.take(&mut journal.pending);
        let first = journal.writer.write(&mut journal.pending).expect_err("a bad disk");
        // The disk is good again, and it does not matter.
        memory.fail(operation, u64::MAX);
        let before = memory.operations();
        for _ in 0..3 {
            assert_eq!(journal.writer.write(&mut journal.pending), Err(first.clone()));
            assert_eq!(journal.writer.write_mark(), Err(first.clone()));
        }
        assert_eq!(memory.operations(), before);
        assert_eq!(journal.writer.durable(), Sequence(5));
        assert!(first.to_string().contains("journal/00000001.seg"), "{first}");
        // A restart from disk decides again.
        let mut again = Journal::open(&memory.after(Crash::LoseUnsynced));
        assert_eq!(again.buffer.last(), Sequence(5));
        again.append(1);
        again.write();
    }
}

#[test]
fn what_is_read_at_a_start_is_on_disk_before_anything_follows_it() {
    // What a failed sync has dropped is read until the power fails, and a later sync does not write it.
    for fault in [Fault::Dropped, Fault::Short] {
        let memory = Memory::new();
        let mut journal = Journal::open(&memory);
        journal.append(5);
        journal.write();
        memory.inject(Operation::Sync, 0, fault);
        journal.append(5);
        journal.buffer.take(&mut journal.pending);
        assert!(journal.writer.write(&mut journal.pending).is_err());
        let killed = memory.after(Crash::KeepWritten);
        assert_eq!(records(&killed).expect("a whole journal").0.last, Sequence(10), "{fault:?}");
        let mut again = Journal::open(&killed);
        again.append(1);
        again.write();
        let (recovered, records) = records(&killed.after(Crash::LoseUnsynced)).expect("a whole journal");
        assert_eq!((recovered.last, recovered.torn), (Sequence(11), None), "{fault:?}");
        assert!(are_the_first(&records));
    }
}

#[test]
fn a_new_segment_that_cannot_be_made_closes_the_writer() {
    for operation in [Operation::Create, Operation::Rename, Operation::SyncDirectory, Operation::List] {
        let memory = Memory::new();
        let mut journal = Journal::open(&memory);
        memory.fail(operation, 0);
        journal.append(8000);
        journal.buffer.take(&mut journal.pending);
        let error = journal.writer.write(&mut journal.pending).expect_err("no segment");
        assert_eq!(journal.writer.write_mark(), Err(error));
        for crash in [Crash::LoseUnsynced, Crash::KeepWritten] {
            let (recovered, records) = records(&memory.after(crash)).expect("a whole journal");
            assert!(recovered.last >= journal.writer.durable() && are_the_first(&records));
        }
    }
}

#[test]
fn the_epoch_rises_at_every_start() {
    let memory = Memory::new();
    for epoch in 1..6 {
        let mut journal = Journal::open(&memory);
        assert_eq!(journal.writer.start().epoch, epoch);
        if epoch % 2 == 0 {
            journal.append(3);
            journal.write();
        }
    }
    let (recovered, records) = records(&memory).expect("a whole journal");
    assert_eq!((recovered.epoch, recovered.last, recovered.segments.len()), (5, Sequence(6), 5));
    assert!(are_the_first(&records));
}

#[test]
fn the_epoch_is_at_least_what_is_set() {
    let memory = Memory::new();
    for (epoch_min, epoch) in [(1000, 1000), (1000, 1001), (5, 1002)] {
        let (recovered, _) = records(&memory).expect("a whole journal");
        let settings = Settings { epoch_min, ..Settings::default() };
        let writer = Writer::begin(memory.clone(), &recovered, vault().fingerprint(), settings);
        assert_eq!(writer.expect("a new segment").start().epoch, epoch);
    }
}

#[test]
fn a_spare_that_cannot_be_finished_gives_its_room_back() {
    let memory = Memory::new();
    let mut journal = Journal::open(&memory);
    memory.fail(Operation::Write, 0);
    assert!(segment::make_spare(&memory, 1 << 20).is_err());
    memory.fail(Operation::Write, u64::MAX);
    assert_eq!((memory.content("journal/spare.tmp"), segment::spares(&memory)), (None, Ok(0)));
    journal.append(1);
    journal.write();
}

#[test]
fn recovery_never_appends_to_a_segment_and_gives_its_rest_back() {
    let memory = Memory::new();
    segment::make_spare(&memory, 1 << 20).expect("a good disk");
    let mut journal = Journal::open(&memory);
    journal.append(3);
    journal.write();
    let before = memory.content("journal/00000001.seg").expect("a segment");
    assert_eq!(before.len(), 1 << 20);
    let mut journal = Journal::open(&memory);
    journal.append(3);
    journal.write();
    let after = memory.content("journal/00000001.seg").expect("a segment");
    assert_eq!(after, before[..2 * BLOCK_BYTES]);
    assert_eq!(records(&memory).expect("a whole journal").0.last, Sequence(6));
}

#[test]
fn segments_that_snapshots_cover_become_spares_and_their_content_is_never_read() {
    let memory = Memory::new();
    for _ in 0..3 {
        segment::make_spare(&memory, 1 << 20).expect("a good disk");
    }
    let mut journal = Journal::open(&memory);
    journal.append(8000);
    journal.write();
    journal.append(8000);
    journal.write();
    let (recovered, _) = records(&memory).expect("a whole journal");
    let covered = recovered.segments[1].last;
    assert_eq!((recovered.segments.len(), segment::spares(&memory)), (3, Ok(0)));
    let released = segment::release(&memory, &recovered.segments, covered, 1 << 20, 8);
    assert_eq!((released, segment::spares(&memory)), (Ok(2), Ok(2)));

    // What is left begins behind record 1, which only a reader with a snapshot may accept.
    let refusal = records(&memory).expect_err("no snapshot").to_string();
    assert!(refusal.contains("journal/00000003.seg"), "{refusal}");
    let writer = Writer::begin(
        memory.clone(),
        &recovered,
        vault().fingerprint(),
        Settings { segment_bytes: 0, epoch_min: 1 },
    );
    let mut writer = writer.expect("a segment from a spare");
    assert_eq!(segment::spares(&memory), Ok(1));
    let mut buffer = Buffer::new(writer.start(), 100);
    let mut pending = buffer.spare();
    for round in 0..20 {
        let inspection = inspect(&memory, covered, false);
        let found = inspection.verdict.expect("a whole journal");
        assert_eq!((found.last, found.torn), (Sequence(16_000 + round), None), "round {round}");
        assert!(found.segments[1].header.recycled);
        buffer.append(&purchase(round), NOW, &vault()).expect("room");
        buffer.take(&mut pending);
        writer.write(&mut pending).expect("a good disk");
    }
}

#[test]
fn segments_that_grew_until_they_were_full_become_spares() {
    let memory = Memory::new();
    let mut journal = Journal::open(&memory);
    for _ in 0..160 {
        journal.append(100);
        journal.write();
    }
    let (recovered, _) = records(&memory).expect("a whole journal");
    let [first, second, last] = recovered.segments.as_slice() else { panic!("{:?}", recovered.segments) };
    assert!(first.length < 1 << 20, "it had no spare: {}", first.length);
    let released = segment::release(&memory, &recovered.segments, second.last, 1 << 20, 8);
    assert_eq!((released, segment::spares(&memory)), (Ok(2), Ok(2)), "before {}", last.header.number);
}

#[test]
fn too_many_spares_and_short_segments_are_removed() {
    let memory = Memory::new();
    for _ in 0..3 {
        let mut journal = Journal::open(&memory);
        journal.append(1);
        journal.write();
    }
    let (recovered, _) = records(&memory).expect("a whole journal");
    let released = segment::release(&memory, &recovered.segments, Sequence(3), 1 << 20, 8);
    assert_eq!((released, segment::spares(&memory), segment::list(&memory)), (Ok(2), Ok(0), Ok(vec![3])));
}

#[test]
fn a_listing_shows_kinds_and_no_card_number() {
    let memory = Memory::new();
    let mut journal = Journal::open(&memory);
    journal.buffer.append(&card_opened(1), NOW, &vault()).expect("room");
    journal.append(2);
    journal.write();
    let listing = inspect(&memory, Sequence(0), true).to_string();
    for part in ["journal/00000001.seg", "card-opened 1, decided 2", "whole to the end", "records 1..=3"] {
        assert!(listing.contains(part), "{part} in {listing}");
    }
    assert!(!listing.contains("4111"), "{listing}");
}

#[test]
fn the_real_disk_keeps_what_was_written() {
    let directory = tempfile::tempdir().expect("a directory");
    for round in 1..=3 {
        let disk = Disk::open(directory.path()).expect("a free directory");
        segment::make_spare(&disk, 1 << 20).expect("a good disk");
        let mut journal = Journal::open(&disk);
        journal.append(1000);
        journal.write();
        journal.append(7000);
        journal.write();
        journal.writer.write_mark().expect("a good disk");
        let (recovered, records) = records(&disk).expect("a whole journal");
        assert_eq!(
            (recovered.last, recovered.epoch, recovered.torn),
            (Sequence(round * 8000), round as u32, None)
        );
        assert!(are_the_first(&records));
    }
}
