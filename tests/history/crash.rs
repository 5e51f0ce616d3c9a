//! Faults and power failures at every call: what a flush said is contained is there, and nothing that is not whole.

use turnpike::domain::event::Sequence;
use turnpike::history::entry::Day;
use turnpike::history::error::HistoryError;
use turnpike::history::index::History;
use turnpike::history::index::Settings;
use turnpike::journal::storage::Operation;

use crate::history::memory::Crash;
use crate::history::memory::Fault;
use crate::history::memory::Memory;
use crate::history::model::FIRST_DAY;
use crate::history::model::Journal;
use crate::history::model::Model;
use crate::history::model::merge_all;
use crate::history::model::open;

const ENTRIES_MAX: usize = 40;
const RECORDS: usize = 420;

/// What a history does in its life.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Is given records up to this one, and flushes by itself when it is full.
    Feed(usize),
    Flush(usize),
    Merge(u64),
    Drop(Day),
    Open,
    Rebuild,
}

fn life(journal: &mut Journal) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut fed = 0;
    while fed < RECORDS {
        fed = (fed + 1 + journal.random.below(70) as usize).min(RECORDS);
        steps.push(Step::Feed(fed));
        if journal.random.one_in(2) {
            steps.push(Step::Flush(fed));
        }
        let budget = [100, 5_000, 60_000][journal.random.below(3) as usize];
        (0..journal.random.below(5)).for_each(|_| steps.push(Step::Merge(budget)));
        if journal.random.one_in(5) {
            steps.push(Step::Drop(Day(FIRST_DAY + journal.random.below(3) as u32)));
        }
        if journal.random.one_in(6) {
            steps.push(Step::Open);
        }
    }
    if journal.random.one_in(3) {
        steps.push(Step::Rebuild);
        steps.push(Step::Feed(RECORDS / 2));
        steps.push(Step::Flush(RECORDS / 2));
    }
    steps
}

/// A history on a disk, with what it has promised.
struct Life<'a> {
    journal: &'a Journal,
    disk: Memory,
    history: Option<History<Memory>>,
    /// Records that were flushed, and the first day that is kept.
    promised: (Sequence, Day),
    /// As much as may be found.
    attempted: (Sequence, Day),
}

impl<'a> Life<'a> {
    fn new(journal: &'a Journal, disk: Memory) -> Self {
        let nothing = (Sequence(0), Day(0));
        Self { journal, disk, history: None, promised: nothing, attempted: nothing }
    }

    fn step(&mut self, step: Step) -> Result<(), HistoryError> {
        let settings = Settings { entries_max: ENTRIES_MAX };
        if let Step::Rebuild = step {
            self.history = None;
            self.promised = (Sequence(0), Day(0));
            self.history = Some(History::rebuild(self.disk.clone(), settings)?);
            self.attempted = self.promised;
            return Ok(());
        }
        let opens = matches!(step, Step::Open);
        let mut history = match self.history.take().filter(|_| !opens) {
            Some(history) => history,
            None => open(&self.disk, ENTRIES_MAX)?,
        };
        let fed = history.facts().contained_to.0 as usize;
        let done = match step {
            Step::Feed(to) => {
                self.attempted.0 = self.attempted.0.max(Sequence(to as u64));
                self.journal.feed(fed..to.max(fed), &mut history)
            }
            Step::Flush(to) => {
                self.attempted.0 = self.attempted.0.max(Sequence(to as u64));
                // After a start the records that are not contained come again.
                let fed = self.journal.feed(fed..to.max(fed), &mut history);
                fed.and_then(|()| history.flush(Sequence(to as u64)))
            }
            Step::Merge(budget) => history.merge_step(budget).map(|_| ()),
            Step::Drop(day) => {
                self.attempted.1 = self.attempted.1.max(day);
                history.drop_older_than(day)
            }
            Step::Open | Step::Rebuild => Ok(()),
        };
        let facts = history.facts();
        assert!(facts.contained_to >= self.promised.0 && facts.first_day >= self.promised.1);
        self.promised = (facts.contained_to, facts.first_day);
        self.history = Some(history);
        done
    }
}

/// Opens what a crash has left, holds it against the journal, and goes on to its end.
fn check(life: &Life<'_>, crash: Crash, steps: &[Step]) {
    let disk = life.disk.after(crash);
    let history = match open(&disk, ENTRIES_MAX) {
        // Only what is being rebuilt may be in such a state, and then it is rebuilt again.
        Err(HistoryError::Missing { .. }) if steps.iter().any(|step| matches!(step, Step::Rebuild)) => {
            let settings = Settings { entries_max: ENTRIES_MAX };
            History::rebuild(disk.clone(), settings)
        }
        opened => opened,
    };
    let mut history = history.unwrap_or_else(|error| panic!("{crash:?}: {error}"));
    let facts = history.facts();
    let found = (facts.contained_to, facts.first_day);
    assert!(found.0 >= life.promised.0 && found.0 <= life.attempted.0, "{crash:?}: {found:?}");
    assert!(found.1 >= life.promised.1 && found.1 <= life.attempted.1, "{crash:?}: {found:?}");
    assert_eq!(history.damaged(), None);
    let mut looks = Journal::new(1);
    looks.cards = life.journal.cards;
    let contained = facts.contained_to.0 as usize;
    Model::of(life.journal, contained, facts.first_day).check(&history, &mut looks, 2);
    life.journal.feed(contained..RECORDS, &mut history).expect("a good disk");
    history.flush(life.journal.last()).expect("a good disk");
    merge_all(&mut history, 30_000).expect("a good disk");
    Model::of(life.journal, RECORDS, facts.first_day).check(&history, &mut looks, 2);
}

/// Goes through a life on a disk on which one call goes wrong. `false` when that call never came.
fn live(journal: &Journal, steps: &[Step], fault: (Operation, u64, Fault), seed: u64) -> bool {
    let disk = Memory::seeded(seed);
    let mut life = Life::new(journal, disk.clone());
    let (operation, after, fault) = fault;
    disk.inject(operation, after, fault);
    for (at, step) in steps.iter().enumerate() {
        let Err(error) = life.step(*step) else { continue };
        assert!(matches!(error, HistoryError::Storage(_)), "{error}");
        let done = &steps[..=at];
        for crash in [Crash::LoseUnsynced, Crash::KeepWritten, Crash::Tear(seed), Crash::Tear(seed + 1)] {
            check(&life, crash, done);
        }
        // The power stays, and the call is made again; the rest of the life goes as if nothing had happened.
        for step in &steps[at..] {
            life.step(*step).expect("a good disk");
        }
        check(&life, Crash::LoseUnsynced, steps);
        return true;
    }
    // What failed was to be tried again later, or was never called.
    check(&life, Crash::Tear(seed), steps);
    false
}

#[test]
fn r9_no_fault_and_no_crash_loses_what_was_flushed() {
    let operations = [
        (Operation::Create, &[Fault::Error][..]),
        (Operation::Write, &[Fault::Error, Fault::Short]),
        (Operation::Sync, &[Fault::Error, Fault::Short, Fault::Dropped]),
        (Operation::Rename, &[Fault::Error]),
        (Operation::SyncDirectory, &[Fault::Error]),
        (Operation::Remove, &[Fault::Error]),
        (Operation::List, &[Fault::Error]),
        (Operation::Open, &[Fault::Error]),
        (Operation::Length, &[Fault::Error]),
        (Operation::Read, &[Fault::Error]),
    ];
    for seed in 0..3 {
        let mut journal = Journal::new(seed);
        (journal.cards, journal.day_records) = ([5, 40, 400][seed as usize], 130);
        (0..RECORDS).for_each(|_| journal.grow());
        let steps = life(&mut journal);
        let mut faults = 0;
        for (operation, kinds) in operations {
            for kind in kinds {
                // Removing and listing what is left over may fail unnoticed, so some calls without an error end it.
                let (mut after, mut unnoticed) = (0, 0);
                while unnoticed < 4 {
                    let failed = live(&journal, &steps, (operation, after, *kind), seed * 1_000 + after);
                    unnoticed = if failed { 0 } else { unnoticed + 1 };
                    faults += u32::from(failed);
                    after += 1;
                }
            }
        }
        assert!(faults > 100, "{faults} faults in {steps:?}");
    }
}

#[test]
fn a_crash_between_any_two_calls_leaves_what_was_flushed() {
    for seed in 10..30 {
        let mut journal = Journal::new(seed);
        (journal.cards, journal.day_records) = (50, 110);
        (0..RECORDS).for_each(|_| journal.grow());
        let steps = life(&mut journal);
        let mut life = Life::new(&journal, Memory::seeded(seed));
        for (at, step) in steps.iter().enumerate() {
            life.step(*step).expect("a good disk");
            for crash in [Crash::LoseUnsynced, Crash::KeepWritten, Crash::Tear(seed + at as u64)] {
                check(&life, crash, &steps[..=at]);
            }
        }
    }
}

type Call = dyn Fn(&mut History<Memory>) -> Result<(), HistoryError>;

#[test]
fn a_call_that_failed_has_changed_nothing() {
    let operations = [Operation::Create, Operation::Write, Operation::Sync, Operation::SyncDirectory];
    for operation in operations.into_iter().chain([Operation::Rename]) {
        for after in 0..4 {
            let mut journal = Journal::new(7);
            (journal.cards, journal.day_records) = (30, 20);
            (0..60).for_each(|_| journal.grow());
            let disk = Memory::seeded(after);
            let mut history = open(&disk, 60).expect("an empty history");
            journal.feed(0..40, &mut history).expect("a good disk");
            history.flush(Sequence(40)).expect("a good disk");
            journal.feed(40..60, &mut history).expect("room");
            let model = Model::of(&journal, 60, Day(0));
            let facts = history.facts();
            disk.inject(operation, after, Fault::Error);
            let calls: [&Call; 3] =
                [&|history| history.flush(Sequence(60)), &|history| merge_all(history, 1_000), &|history| {
                    history.drop_older_than(Day(FIRST_DAY))
                }];
            for call in calls {
                let before = history.facts();
                if call(&mut history).is_err() {
                    assert_eq!(history.facts(), before, "{operation} {after}");
                    model.check(&history, &mut journal, 5);
                    call(&mut history).expect("a good disk");
                }
                model.check(&history, &mut journal, 5);
            }
            assert!(facts.entries_unflushed > 0 && history.facts().entries_unflushed == 0);
            drop(history);
            model.check(&open(&disk, 60).expect("whole runs"), &mut journal, 5);
        }
    }
}

#[test]
fn a_full_disk_is_waited_for() {
    let mut journal = Journal::new(4);
    (journal.cards, journal.day_records) = (50, 110);
    (0..RECORDS).for_each(|_| journal.grow());
    let disk = Memory::new();
    let mut life = Life::new(&journal, disk.clone());
    let mut refused = 0;
    for to in (30..RECORDS).step_by(30) {
        disk.leave_room(4096 * (to as u64 / 30 % 7));
        for step in [Step::Flush(to), Step::Merge(50_000), Step::Drop(Day(FIRST_DAY + to as u32 / 300))] {
            if let Err(error) = life.step(step) {
                assert!(matches!(&error, HistoryError::Storage(error) if error.full), "{error}");
                refused += 1;
                disk.mend();
                check(&life, Crash::LoseUnsynced, &[]);
                life.step(step).expect("room");
            }
        }
        disk.mend();
        check(&life, Crash::Tear(to as u64), &[]);
    }
    assert!(refused > 10, "{refused} calls found the disk full");
}
