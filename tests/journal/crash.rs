//! Power failures at any point: what was durable is there, and nothing that was never appended.

use proptest::prelude::*;

use turnpike::domain::event::Sequence;
use turnpike::journal::memory::Crash;
use turnpike::journal::memory::Memory;
use turnpike::journal::segment;
use turnpike::journal::storage::Operation;

use crate::journal::events::Journal;
use crate::journal::events::are_the_first;
use crate::journal::events::cases;
use crate::journal::events::records;

/// What happens to a journal, one after the other.
#[derive(Clone, Debug)]
enum Step {
    /// So many records, then a write.
    Write(u64),
    Mark,
    Spare,
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
    let size = || prop_oneof![4 => 1..40_u64, 1 => 1000..4000_u64];
    prop_oneof![
        4 => size().prop_map(Step::Write),
        1 => Just(Step::Mark),
        1 => Just(Step::Spare),
        2 => (operation, 0..4_u64, proptest::collection::vec(size(), 1..6), crash())
            .prop_map(|(operation, after, writes, crash)| Step::Fail(operation, after, writes, crash)),
        2 => crash().prop_map(Step::Power),
    ]
}

/// Starts again after a crash: nothing durable is lost, nothing is made up, and a second look sees the same.
fn restart(memory: &Memory, durable: Sequence, appended: Sequence) -> Journal<Memory> {
    let (recovered, found) = records(memory).expect("never damage");
    assert!(
        recovered.last >= durable && recovered.last <= appended,
        "{durable:?}..={appended:?}: {recovered:?}"
    );
    assert!(are_the_first(&found));
    assert_eq!(records(memory).expect("the same again").1, found);
    Journal::open(memory)
}

/// Also crashes in the middle of a start.
fn crash_while_starting(memory: &Memory, operation: Operation, seed: u64) -> Memory {
    let disk = memory.after(Crash::KeepWritten);
    disk.fail(operation, 0);
    let (recovered, _) = records(&disk).expect("never damage");
    let settings = turnpike::journal::writer::Settings { segment_bytes: 0 };
    let fingerprint = crate::journal::events::vault().fingerprint();
    let begun = turnpike::journal::writer::Writer::begin(disk.clone(), &recovered, fingerprint, settings);
    drop(begun);
    disk.after(Crash::Tear(seed))
}

fn run(steps: &[Step]) {
    let mut memory = Memory::new();
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
                    memory = crash_while_starting(&memory, *operation, *seed);
                }
                journal = restart(&memory, durable, appended);
            }
            Step::Power(crash) => {
                let (durable, appended) = (journal.writer.durable(), journal.buffer.last());
                memory = memory.after(*crash);
                journal = restart(&memory, durable, appended);
            }
        }
    }
    let (durable, appended) = (journal.writer.durable(), journal.buffer.last());
    restart(&memory.after(Crash::KeepWritten), durable, appended);
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn r1_no_crash_loses_what_was_durable(steps in proptest::collection::vec(step(), 1..24)) {
        run(&steps);
    }
}
