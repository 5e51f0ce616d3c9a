//! Power failures at any point: what was durable is there, and nothing that was never appended.

use proptest::prelude::*;

use crate::journal::memory::Crash;
use crate::journal::memory::Memory;
use turnpike::domain::event::Sequence;
use turnpike::journal::segment;
use turnpike::journal::storage::Operation;

use crate::journal::events::Journal;
use crate::journal::events::cases;
use crate::journal::events::follow_each_other;
use crate::journal::events::records_beyond;

/// What happens to a journal, one after the other.
#[derive(Clone, Debug)]
enum Step {
    /// So many records, then a write.
    Write(u64),
    Mark,
    Spare,
    /// A snapshot covers all that is durable.
    Release,
    /// The disk fails at one of the next operations, and then the power.
    Fail(Operation, u64, Vec<u64>, Crash),
    Power(Crash),
}

fn step() -> impl Strategy<Value = Step> {
    let crash = || {
        prop_oneof![
            1 => Just(Crash::LoseUnsynced),
            1 => Just(Crash::KeepWritten),
            3 => any::<u64>().prop_map(Crash::Tear),
        ]
    };
    let operation = prop_oneof![
        3 => Just(Operation::Write),
        3 => Just(Operation::Sync),
        1 => Just(Operation::Rename),
        1 => Just(Operation::SyncDirectory),
        1 => Just(Operation::Create),
    ];
    let size = || prop_oneof![4 => 1..40_u64, 1 => 1000..8000_u64];
    prop_oneof![
        4 => size().prop_map(Step::Write),
        1 => Just(Step::Mark),
        1 => Just(Step::Spare),
        1 => Just(Step::Release),
        2 => (operation, 0..4_u64, proptest::collection::vec(size(), 1..6), crash())
            .prop_map(|(operation, after, writes, crash)| Step::Fail(operation, after, writes, crash)),
        2 => crash().prop_map(Step::Power),
    ]
}

/// Starts again after a crash: nothing durable is lost, nothing is made up, and a second look sees the same.
fn restart(memory: &Memory, covered: Sequence, durable: Sequence, appended: Sequence) -> Journal<Memory> {
    let (recovered, found) = records_beyond(memory, covered).expect("never damage");
    assert!(
        recovered.last >= durable && recovered.last <= appended,
        "{durable:?}..={appended:?}: {recovered:?}"
    );
    assert!(follow_each_other(&found));
    assert_eq!(records_beyond(memory, covered).expect("the same again").1, found);
    Journal::open_beyond(memory, covered)
}

/// Also crashes in the middle of a start.
fn crash_while_starting(memory: &Memory, covered: Sequence, operation: Operation, seed: u64) -> Memory {
    let disk = memory.after(Crash::KeepWritten);
    disk.fail(operation, 0);
    let (recovered, _) = records_beyond(&disk, covered).expect("never damage");
    let settings = turnpike::journal::writer::Settings { segment_bytes: 0, epoch_min: 1 };
    let fingerprint = crate::journal::events::vault().fingerprint();
    let begun = turnpike::journal::writer::Writer::begin(disk.clone(), &recovered, fingerprint, settings);
    drop(begun);
    disk.after(Crash::Tear(seed))
}

fn run(steps: &[Step]) {
    let mut memory = Memory::new();
    let mut covered = Sequence(0);
    let mut journal = Journal::open(&memory);
    for step in steps {
        match step {
            Step::Write(count) => {
                journal.append(*count);
                journal.write();
            }
            Step::Mark => {
                journal.writer.write_mark().expect("a good disk");
            }
            Step::Spare => segment::make_spare(&memory, 1 << 20).expect("a good disk"),
            Step::Release => {
                let (recovered, _) = records_beyond(&memory, covered).expect("never damage");
                covered = recovered.segments.last().map_or(covered, |last| Sequence(last.header.first.0 - 1));
                segment::release(&memory, &recovered.segments, covered, 1 << 20, 2).expect("a good disk");
            }
            Step::Fail(operation, after, writes, crash) => {
                memory.fail(*operation, *after);
                for count in writes {
                    journal.append(*count);
                    journal.buffer.take(&mut journal.pending);
                    if journal.writer.write(&mut journal.pending).is_err() {
                        break;
                    }
                }
                let (durable, appended) = (journal.writer.durable(), journal.buffer.last());
                memory = memory.after(*crash);
                if let Crash::Tear(seed) = crash {
                    memory = crash_while_starting(&memory, covered, *operation, *seed);
                }
                journal = restart(&memory, covered, durable, appended);
            }
            Step::Power(crash) => {
                let (durable, appended) = (journal.writer.durable(), journal.buffer.last());
                memory = memory.after(*crash);
                journal = restart(&memory, covered, durable, appended);
            }
        }
    }
    let (durable, appended) = (journal.writer.durable(), journal.buffer.last());
    restart(&memory.after(Crash::KeepWritten), covered, durable, appended);
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn r1_no_crash_loses_what_was_durable(steps in proptest::collection::vec(step(), 1..24)) {
        run(&steps);
    }
}
