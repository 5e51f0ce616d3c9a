//! Damage: cut at every byte, every bit flipped, files lost, foreign or mistaken.

use crate::journal::memory::Memory;
use turnpike::crypto::vault::Vault;
use turnpike::domain::event::Sequence;
use turnpike::journal::batch::BATCH_HEADER_BYTES;
use turnpike::journal::batch::BatchHeader;
use turnpike::journal::recover::Opener;
use turnpike::journal::recover::RecoverError;
use turnpike::journal::recover::recover;

use crate::journal::events::Journal;
use crate::journal::events::are_the_first;
use crate::journal::events::journal_of;
use crate::journal::events::records;
use crate::journal::events::records_beyond;

const FIRST: &str = "journal/00000001.seg";

fn with(name: &str, bytes: &[u8]) -> Memory {
    let memory = Memory::new();
    memory.put(name, bytes);
    memory
}

/// What stands behind the place where a tail was torn off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Behind {
    /// Nothing: the file grew as it was written.
    Nothing,
    /// Zeros: the file was a spare.
    Zeros,
}

#[test]
fn a_tail_torn_at_any_byte_of_the_last_64_kib_leaves_a_prefix() {
    let batches = [1, 20, 40, 3, 1, 2, 1, 5, 1, 60, 1, 1, 2, 1];
    let memory = journal_of(&batches);
    let whole = memory.content(FIRST).expect("a segment");
    let ends: Vec<u64> = (0..=batches.len()).map(|count| batches[..count].iter().sum()).collect();
    assert!(whole.len() >= 4096 + 65_536, "{} bytes", whole.len());
    for (behind, step) in [(Behind::Nothing, 1), (Behind::Zeros, 7)] {
        for cut in (whole.len() - 65_536..whole.len()).step_by(step) {
            let mut bytes = whole[..cut].to_vec();
            if behind == Behind::Zeros {
                bytes.resize(whole.len(), 0);
            }
            let disk = with(FIRST, &bytes);
            let (recovered, records) = records(&disk).expect("a prefix");
            let last = recovered.last.0;
            assert!(ends.contains(&last) && are_the_first(&records), "{behind:?}, cut at {cut}");
            match &recovered.torn {
                Some(torn) => {
                    let until = torn.offset + torn.bytes;
                    assert!(torn.offset < cut as u64 && torn.last.0 == last, "cut at {cut}: {torn}");
                    assert!(until >= cut as u64 || behind == Behind::Zeros, "cut at {cut}: {torn}");
                }
                None => {
                    let rest = bytes.get(recovered.segments[0].end as usize..).unwrap_or_default();
                    assert!(rest.iter().all(|byte| *byte == 0), "{behind:?}, cut at {cut}");
                }
            }
            if cut % 4093 == 0 {
                goes_on(&disk, last);
            }
        }
    }
}

/// A start cuts the tail and goes on behind what is left of the journal.
fn goes_on(disk: &Memory, last: u64) {
    let mut journal = Journal::open(disk);
    journal.append(3);
    journal.write();
    let (recovered, records) = records(disk).expect("a whole journal");
    assert_eq!((recovered.last.0, recovered.torn), (last + 3, None));
    assert!(are_the_first(&records));
}

#[test]
fn a_header_cut_at_any_byte_is_refused() {
    let whole = journal_of(&[1]).content(FIRST).expect("a segment");
    for cut in 0..4096 {
        let refused = records(&with(FIRST, &whole[..cut]));
        assert!(matches!(refused, Err(RecoverError::HeaderDamaged { .. })), "cut at {cut}");
    }
}

#[test]
fn every_flipped_bit_is_cut_above_the_marks_or_refused() {
    let memory = journal_of(&[2, 1, 12, 1]);
    let mut bytes = memory.content(FIRST).expect("a segment");
    let (all, _) = records(&memory).expect("a whole journal");
    let (mut cut, mut refused, mut same) = (0, 0, 0);
    for at in 0..bytes.len() {
        for bit in 0..8 {
            bytes[at] ^= 1 << bit;
            let found = records(&with(FIRST, &bytes));
            bytes[at] ^= 1 << bit;
            match found {
                Ok((recovered, records)) => {
                    assert!(are_the_first(&records), "byte {at} bit {bit}");
                    // Only the last batch, which nothing marks, may be cut; and then it is reported.
                    assert!(recovered.last >= all.marked, "byte {at} bit {bit}");
                    if recovered.last < all.last {
                        let torn = recovered.torn.expect("a report");
                        assert!(at as u64 >= torn.offset && torn.last == recovered.last);
                        cut += 1;
                    } else {
                        // Nothing reads the zeros that a batch is filled up with.
                        assert!(at >= 4096 && bytes[at] == 0, "byte {at} bit {bit} was not seen");
                        same += 1;
                    }
                }
                Err(error) => {
                    assert!(error.to_string().contains(FIRST), "{error}");
                    assert!(at < 4096 || error.to_string().contains("offset"), "{error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(cut > 1000 && refused > 30_000, "{cut} cut, {refused} refused, {same} without a trace");
}

#[test]
fn a_mark_protects_the_last_batch() {
    let memory = Memory::new();
    let mut journal = Journal::open(&memory);
    journal.append(3);
    journal.write();
    journal.writer.write_mark().expect("a good disk");
    let mut bytes = memory.content(FIRST).expect("a segment");
    bytes[4096 + 200] ^= 1;
    let error = records(&with(FIRST, &bytes)).expect_err("damage");
    let text = error.to_string();
    assert!(
        matches!(error, RecoverError::Damaged { offset: 4096, batch: 1, sequence: Sequence(1), .. }),
        "{text}"
    );
    assert!(text.contains("the batch at offset 8192 of journal/00000001.seg marks it as durable"), "{text}");
}

#[test]
fn a_next_segment_proves_that_the_end_of_this_one_was_durable() {
    let memory = journal_of(&[5, 5]);
    drop(Journal::open(&memory));
    let mut bytes = memory.content(FIRST).expect("a segment");
    bytes[8192 + 100] ^= 1;
    memory.put(FIRST, &bytes);
    let text = records(&memory).expect_err("damage").to_string();
    assert!(text.contains("the header of journal/00000002.seg continues behind it"), "{text}");
}

#[test]
fn a_torn_tail_before_a_restart_stays_dead() {
    let memory = journal_of(&[5, 5]);
    let mut bytes = memory.content(FIRST).expect("a segment");
    bytes[8192 + 100] ^= 1;
    memory.put(FIRST, &bytes);
    assert_eq!(records(&memory).expect("a torn tail").0.last, Sequence(5));
    let mut journal = Journal::open(&memory);
    journal.append(4);
    journal.write();
    let after = records(&memory).expect("a whole journal");
    // The cut did not reach the disk before the power failed again.
    memory.put(FIRST, &bytes);
    let (recovered, records) = records(&memory).expect("a whole journal");
    assert_eq!((recovered.last, recovered.torn, recovered.epoch), (Sequence(9), None, 2));
    assert_eq!(records, after.1);
    assert!(are_the_first(&records));
}

/// Whoever reads ahead meets the next batch, which does not continue the changed one, before the record is decoded.
#[test]
fn a_record_that_cannot_be_read_is_named_before_what_is_behind_it() {
    let mut bytes = journal_of(&[2, 9, 3]).content(FIRST).expect("a segment");
    let first = BatchHeader::parse(&bytes[4096..]).expect("a batch");
    let start = 4096 + first.bytes_on_disk();
    let header = BatchHeader::parse(&bytes[start..]).expect("a batch");
    let end = start + BATCH_HEADER_BYTES + header.body_bytes as usize;
    let record = start + BATCH_HEADER_BYTES + 4 * (header.body_bytes as usize / 9);
    for (at, what) in [(2, "kind 255"), (3, "layout 255"), (14, "flags"), (15, "flags")] {
        let before = std::mem::replace(&mut bytes[record + at], 0xFF);
        header.stamp(&mut bytes[start..end], 1);
        let error = records(&with(FIRST, &bytes)).expect_err(what);
        assert!(
            matches!(error, RecoverError::Record { offset, sequence: Sequence(7), .. } if offset == start as u64),
            "{what}: {error}"
        );
        assert!(error.to_string().contains(what), "{what}: {error}");
        bytes[record + at] = before;
    }
    // Records are older than those before them: told after what the record itself holds.
    bytes[record + 6..record + 14].fill(0);
    header.stamp(&mut bytes[start..end], 1);
    let error = records(&with(FIRST, &bytes)).expect_err("an old record");
    assert!(matches!(error, RecoverError::Broken { field: "time at least", .. }), "{error}");
}

#[test]
fn recovered_twice_is_as_recovered_once() {
    let memory = journal_of(&[5, 8000, 5]);
    let once = records(&memory).expect("a whole journal");
    assert_eq!(records(&memory).expect("a whole journal"), once);
}

/// Names and contents.
type Files<'a> = &'a [(&'a str, &'a [u8])];

#[test]
fn what_is_not_this_journal_is_refused_by_name() {
    let memory = journal_of(&[5, 8000, 8000]);
    let [first, second, third] =
        [1, 2, 3].map(|number| memory.content(&turnpike::journal::segment::name(number)).expect("a segment"));
    let [second_name, third_name] = ["journal/00000002.seg", "journal/00000003.seg"];
    let newer = {
        let mut bytes = first.clone();
        bytes[8] = 2;
        bytes
    };
    let other_journal = journal_of(&[4, 7000]).content(FIRST).expect("a segment");
    let table: [(&str, Files<'_>, &str); 8] = [
        ("foreign", &[(FIRST, &[b'x'; 5000])], "00000001.seg is not a segment"),
        ("empty", &[(FIRST, &[])], "00000001.seg is damaged"),
        ("newer", &[(FIRST, &newer)], "00000001.seg has format 2"),
        ("misnamed", &[(FIRST, &second)], "00000001.seg is segment 2"),
        ("start missing", &[(second_name, &second)], "begins with record"),
        ("middle missing", &[(FIRST, &first), (third_name, &third)], "00000002.seg is missing"),
        ("cut", &[(FIRST, &first[..8192]), (second_name, &second)], "00000002.seg continues behind it"),
        ("mixed", &[(FIRST, &other_journal), (second_name, &second)], "00000002.seg does not continue"),
    ];
    for (case, files, expected) in table {
        let disk = Memory::new();
        for (name, bytes) in files {
            disk.put(name, bytes);
        }
        let text = records(&disk).expect_err(case).to_string();
        assert!(text.contains(expected), "{case}: {text}");
    }
}

#[test]
fn a_journal_that_ends_before_its_snapshots_is_refused() {
    for (memory, text) in [(Memory::new(), "ends with record 0"), (journal_of(&[5]), "ends with record 5")] {
        let error = records_beyond(&memory, Sequence(6)).expect_err("a lost end").to_string();
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn another_key_is_told_before_anything_is_read() {
    let memory = journal_of(&[5]);
    let other = Vault::new([8; 32].into());
    let opener = Opener { seal: &other, fingerprint: other.fingerprint() };
    let mut fed = 0;
    let error = recover(&memory, opener, Sequence(0), |_, _, _| fed += 1).expect_err("another key");
    assert_eq!((error, fed), (RecoverError::WrongKey { file: FIRST.to_owned() }, 0));
}
