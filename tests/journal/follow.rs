//! Following: whatever is written, rolled, restarted and recycled meanwhile, a follower hands out every durable record
//! once and in order, or says that it was recycled.

use std::ops::ControlFlow;

use proptest::prelude::*;
use proptest::sample::Index;

use crate::journal::events::Journal;
use crate::journal::events::NOW;
use crate::journal::events::cases;
use crate::journal::events::purchase;
use crate::journal::events::records_beyond;
use crate::journal::events::vault;
use crate::journal::memory::Memory;
use turnpike::domain::event::Sequence;
use turnpike::domain::time::Timestamp;
use turnpike::journal::follow::FollowError;
use turnpike::journal::follow::Follower;
use turnpike::journal::follow::last_before;
use turnpike::journal::follow::oldest;
use turnpike::journal::segment;
use turnpike::journal::storage::Storage;
use turnpike::journal::storage::StorageFile;

/// What happens next.
#[derive(Clone, Debug)]
enum Move {
    /// So many records are appended and written.
    Write(u64),
    /// So many are appended and not written.
    Append(u64),
    Mark,
    /// The writer ends and another begins, after a kill.
    Restart,
    /// Segments up to one of them are recycled, as far as that may be.
    Recycle(Index),
    /// One of the followers takes so many records.
    Follow(Index, usize),
}

fn any_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => (1_u64..3_000).prop_map(Move::Write),
        1 => (1_u64..100).prop_map(Move::Append),
        1 => Just(Move::Mark),
        1 => Just(Move::Restart),
        1 => any::<Index>().prop_map(Move::Recycle),
        5 => (any::<Index>(), 1_usize..6_000).prop_map(|(which, count)| Move::Follow(which, count)),
    ]
}

/// Takes up to `count` records. Each is the next one, and what it says it is.
fn follow(follower: &mut Follower<Memory>, durable: Sequence, count: usize) -> Result<usize, FollowError> {
    let vault = vault();
    let (mut left, mut expected) = (count, follower.next());
    while left > 0
        && follower.advance(durable, &mut |record| {
            assert_eq!(record.sequence, expected);
            assert!(record.sequence <= durable);
            assert_eq!(record.decode(&vault), Ok(purchase(expected.0)));
            expected = expected.next();
            left -= 1;
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?
    {}
    assert_eq!(follower.next(), expected);
    Ok(count - left)
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn every_durable_record_is_handed_out_once_whatever_is_written_and_recycled(
        moves in proptest::collection::vec(any_move(), 1..60),
        begins in proptest::collection::vec(any::<Index>(), 3),
    ) {
        let memory = Memory::new();
        let mut journal = Journal::open(&memory);
        let mut covered = Sequence(0);
        let begin = |at: &Index, last: u64, first: u64| {
            let from = Sequence(first + at.index((last + 2 - first) as usize) as u64);
            Follower::begin(memory.clone(), from).expect("it is there, or comes next")
        };
        let mut followers: Vec<_> = begins.iter().map(|at| begin(at, 0, 1)).collect();
        let mut told = 0;
        for step in moves {
            match step {
                Move::Write(count) => {
                    journal.append(count);
                    journal.write();
                }
                Move::Append(count) => {
                    // Room for what is written later.
                    if journal.buffer.records() < 4_000 {
                        journal.append(count);
                    }
                }
                Move::Mark => {
                    journal.writer.write_mark().expect("a good disk");
                }
                Move::Restart => journal = Journal::open_beyond(&memory, covered),
                Move::Recycle(which) => {
                    let (recovered, _) = records_beyond(&memory, covered).expect("a whole journal");
                    let known = &recovered.segments;
                    covered = covered.max(known[which.index(known.len())].last.min(journal.writer.durable()));
                    segment::release(&memory, known, covered, 1 << 20, 3).expect("a good disk");
                }
                Move::Follow(which, count) => {
                    let at = which.index(followers.len());
                    let durable = journal.writer.durable();
                    match follow(&mut followers[at], durable, count) {
                        Ok(took) => {
                            told += took;
                            prop_assert!(took == count || followers[at].next() == durable.next());
                        }
                        Err(FollowError::Gone { oldest: first }) => {
                            prop_assert_eq!(Ok(first), oldest(&memory));
                            prop_assert!(first > followers[at].next());
                            let gone = Follower::begin(memory.clone(), Sequence(first.0 - 1)).map(|_| ());
                            prop_assert_eq!(gone, Err(FollowError::Gone { oldest: first }));
                            followers[at] = begin(&which, durable.0, first.0);
                        }
                        Err(other) => prop_assert!(false, "{other}"),
                    }
                }
            }
        }
        // In the end each comes to the end, or has been left behind.
        let durable = journal.writer.durable();
        for follower in &mut followers {
            match follow(follower, durable, usize::MAX) {
                Ok(took) => told += took,
                Err(error) => prop_assert!(matches!(error, FollowError::Gone { .. }), "{error}"),
            }
        }
        let _counted = told;
    }
}

#[test]
fn the_last_record_before_a_time_is_found_over_segments() {
    let memory = Memory::new();
    let mut journal = Journal::open(&memory);
    let time = |number: u64| Timestamp(NOW.0 + number * 10);
    let mut last = 0;
    for round in 0..3 {
        for _ in 0..6_000 {
            last += 1;
            // Two of a time.
            journal.buffer.append(&purchase(last), time(last / 2), &vault()).expect("room");
        }
        journal.write();
        if round == 1 {
            journal = Journal::open(&memory);
        }
    }
    assert!(segment::list(&memory).expect("names").len() >= 3);
    let durable = journal.writer.durable();
    for number in [1, 2, 3, 1_000, 2_999, 3_000, 3_001, 5_999, 6_000, 6_001, 9_000] {
        let expected = Sequence((number * 2 - 1).min(last));
        assert_eq!(last_before(&memory, time(number), durable), Ok(expected), "before {number}");
        let a_little_later = Timestamp(time(number).0 + 1);
        let expected = Sequence((number * 2 + 1).min(last));
        assert_eq!(last_before(&memory, a_little_later, durable), Ok(expected), "after {number}");
    }
    assert_eq!(last_before(&memory, NOW, durable), Ok(Sequence(0)), "nothing had happened");
    assert_eq!(last_before(&memory, time(u64::MAX >> 8), Sequence(77)), Ok(Sequence(77)), "what is durable");
    // Once the beginning is gone, what was before it is not known.
    let (recovered, _) = records_beyond(&memory, Sequence(0)).expect("a whole journal");
    let covered = recovered.segments[0].last;
    segment::release(&memory, &recovered.segments, covered, 1 << 20, 0).expect("a good disk");
    let gone = Err(FollowError::Gone { oldest: covered.next() });
    assert_eq!(last_before(&memory, NOW, durable), gone);
    assert_eq!(last_before(&memory, time(durable.0), durable), Ok(durable));
}

#[test]
fn a_durable_batch_that_is_changed_is_told_and_not_passed_over() {
    let memory = Memory::new();
    let mut journal = Journal::open(&memory);
    for _ in 0..3 {
        journal.append(10);
        journal.write();
    }
    let durable = journal.writer.durable();
    let mut follower = Follower::begin(memory.clone(), Sequence(1)).expect("a journal");
    let mut file = memory.open(&segment::name(1)).expect("a file");
    file.write_at(2 * 4096 + 200, &[0xff; 8]).expect("a good disk");
    assert_eq!(follow(&mut follower, durable, 10), Ok(10));
    let error = follow(&mut follower, durable, 1).map(|_| ()).expect_err("it is changed");
    let words = error.to_string();
    assert!(words.contains("journal/00000001.seg") && words.contains("record 11"), "{words}");
}
