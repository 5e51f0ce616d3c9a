//! What was given is found, whatever was flushed, merged, let go of or opened again in between.

use turnpike::domain::card::CardRef;
use turnpike::domain::event::Sequence;
use turnpike::history::entry::Day;
use turnpike::history::index::History;
use turnpike::history::index::Settings;
use turnpike::history::search::Cursor;
use turnpike::history::search::Limit;
use turnpike::history::search::Search;

use crate::history::memory::Memory;
use crate::history::model::ALL;
use crate::history::model::EVER;
use crate::history::model::FIRST_DAY;
use crate::history::model::Journal;
use crate::history::model::Model;
use crate::history::model::merge_all;
use crate::history::model::open;
use crate::history::model::same;

const SEEDS: u64 = 40;

#[test]
fn r9_whatever_was_closed_is_found_as_it_was_last() {
    let (mut merges, mut drops, mut reopened) = (0, 0, 0);
    for seed in 0..SEEDS {
        println!("seed {seed}");
        let mut journal = Journal::new(seed);
        let memory = Memory::new();
        let entries_max = [7, 60, 900][journal.random.below(3) as usize];
        let mut history = open(&memory, entries_max).expect("an empty history");
        let mut first_day = Day(0);
        for _ in 0..40 {
            let taken = journal.given.len();
            match journal.random.below(9) {
                0..=3 => {
                    for _ in 0..journal.random.below(200) {
                        journal.grow();
                    }
                    journal.feed(taken..journal.given.len(), &mut history).expect("a good disk");
                }
                4 => history.flush(journal.last()).expect("a good disk"),
                5 | 6 => {
                    let budget = 1 << journal.random.below(22);
                    for _ in 0..journal.random.below(40) {
                        merges += u32::from(history.merge_step(budget).expect("a good disk").bytes > 0);
                    }
                }
                7 if journal.random.one_in(3) => {
                    first_day = first_day.max(Day(FIRST_DAY + journal.random.below(6) as u32));
                    history.drop_older_than(first_day).expect("a good disk");
                    drops += 1;
                }
                _ => {
                    drop(history);
                    history = open(&memory, entries_max).expect("whole runs");
                    let contained = history.facts().contained_to.0 as usize;
                    Model::of(&journal, contained, first_day).check(&history, &mut journal, 3);
                    // Some of it twice.
                    let from = contained - journal.random.below(contained as u64 + 1).min(50) as usize;
                    journal.feed(from..taken, &mut history).expect("a good disk");
                    reopened += 1;
                }
            }
            let model = Model::of(&journal, journal.given.len(), first_day);
            model.check(&history, &mut journal, 5);
        }
    }
    assert!(merges > 300 && drops > 15 && reopened > 150, "{merges} {drops} {reopened}");
}

/// A history of so many records, flushed and not merged.
fn history_of(journal: &mut Journal, records: usize, entries_max: usize) -> (Memory, History<Memory>) {
    let memory = Memory::new();
    let mut history = open(&memory, entries_max).expect("an empty history");
    (0..records).for_each(|_| journal.grow());
    journal.feed(0..records, &mut history).expect("a good disk");
    history.flush(journal.last()).expect("a good disk");
    (memory, history)
}

#[test]
fn feeding_twice_changes_nothing() {
    for seed in 0..8 {
        let mut journal = Journal::new(seed);
        let (_, mut history) = history_of(&mut journal, 2_000, 90);
        let model = Model::of(&journal, 2_000, Day(0));
        for merges in [false, true] {
            journal.feed(0..2_000, &mut history).expect("a good disk");
            model.check(&history, &mut journal, 20);
            if merges {
                history.flush(journal.last()).expect("a good disk");
                merge_all(&mut history, 50_000).expect("a good disk");
                model.check(&history, &mut journal, 20);
            }
        }
        let rebuilt = history_of(&mut Journal::new(seed), 2_000, 90).1;
        model.check(&rebuilt, &mut journal, 20);
    }
}

#[test]
fn pages_make_up_the_whole() {
    for seed in 0..12 {
        let mut journal = Journal::new(seed);
        let (_, mut history) = history_of(&mut journal, 3_000, 400);
        (0..150).for_each(|_| journal.grow());
        journal.feed(3_000..3_150, &mut history).expect("a good disk");
        let model = Model::of(&journal, 3_150, Day(0));
        for _ in 0..30 {
            let (card, search) = (journal.card(), journal.search());
            let entries = 1 + journal.random.below(40) as usize;
            let limit = Limit { entries, blocks: 1 + journal.random.below(6) };
            let (mut found, mut until) = (Vec::new(), Sequence(u64::MAX));
            loop {
                let made = search.made.clone().unwrap_or(Sequence(0)..=Sequence(u64::MAX));
                let search = Search { made: Some(*made.start()..=until.min(*made.end())), ..search.clone() };
                let page = history.find(card, &search, limit).expect("whole runs");
                assert!(page.entries.len() <= limit.entries);
                found.extend(page.entries);
                let Some(before) = page.more_before else { break };
                assert!(before <= until, "it goes on");
                until = Sequence(before.0 - 1);
            }
            same(&found, &model.find(card, &search), &(card, &search, limit));

            let (mut found, mut cursor): (Vec<_>, Option<Cursor>) = (Vec::new(), None);
            loop {
                let page = history.search(&EVER, &search, cursor, limit).expect("whole runs");
                assert!(page.entries.len() <= limit.entries);
                let runs = history.facts().runs as u64;
                assert!(page.blocks <= limit.blocks.max(runs), "{} of {limit:?}", page.blocks);
                found.extend(page.entries);
                assert!(page.next.is_none() || page.next != cursor, "it goes on");
                if page.next.is_none() {
                    break;
                }
                cursor = page.next;
                // A cursor stays good while runs are merged.
                history.merge_step(20_000).expect("a good disk");
            }
            same(&found, &model.search(&EVER, &search), &(&search, limit));
        }
    }
}

#[test]
fn merging_leaves_a_run_a_day_in_bounded_steps() {
    let mut journal = Journal::new(3);
    (journal.cards, journal.day_records) = (100_000, 20_000);
    let (memory, mut history) = history_of(&mut journal, 100_000, 450);
    assert!(history.facts().runs > 200);
    let budget = 40_000;
    loop {
        let step = history.merge_step(budget).expect("a good disk");
        // A step ends behind a block of each of the runs, and the one that it makes.
        assert!(step.bytes <= budget + 20 * 16_384, "{step:?}");
        if !step.more {
            break;
        }
    }
    let facts = history.facts();
    // Five days that are over, with a run each; the runs of the last one are merged by size.
    assert!(facts.runs < 6 + 30, "{facts:?}");
    let model = Model::of(&journal, 100_000, Day(0));
    let (mut blocks, looks) = (0, 3_000);
    for _ in 0..looks {
        let card = journal.card();
        let found = history.find(card, &Search::default(), ALL).expect("whole runs");
        same(&found.entries, &model.find(card, &Search::default()), &card);
        assert!(found.blocks <= 2 * found.entries.len() as u64 + 6, "{}", found.blocks);
        blocks += found.blocks;
    }
    assert!(blocks < 2 * looks, "{blocks} blocks for {looks} cards");
    assert_eq!(history.find(CardRef(u64::MAX >> 1), &Search::default(), ALL).expect("none").blocks, 0);
    // What the last two manifests do not name is gone.
    history.flush(Sequence(200_000)).expect("a good disk");
    history.flush(Sequence(200_001)).expect("a good disk");
    let files = turnpike::journal::storage::Storage::list(&memory, "history").expect("a directory");
    assert_eq!(files.len(), facts.runs + 2, "{files:?}");
    // Some numbers of these entries are as wide as can be, and limits have counted a third of them.
    assert!(facts.bytes_on_disk < 130 * facts.entries, "{facts:?}");
    assert!(facts.bytes_resident < 4 * facts.entries, "{facts:?}");
    assert!(facts.entries as usize >= model.len());
}

#[test]
fn old_days_are_let_go_of_with_their_files() {
    let mut journal = Journal::new(5);
    journal.day_records = 500;
    let (memory, mut history) = history_of(&mut journal, 5_000, 200);
    let before = history.facts();
    assert_eq!(before.oldest_day, Some(Day(FIRST_DAY)));
    history.drop_older_than(Day(FIRST_DAY + 7)).expect("a good disk");
    let facts = history.facts();
    assert_eq!((facts.oldest_day, facts.first_day), (Some(Day(FIRST_DAY + 7)), Day(FIRST_DAY + 7)));
    assert!(facts.bytes_on_disk < before.bytes_on_disk / 2);
    history.flush(Sequence(5_001)).expect("a good disk");
    let files = turnpike::journal::storage::Storage::list(&memory, "history").expect("a directory");
    assert_eq!(files.len(), facts.runs + 2, "{files:?}");
    // They do not come back, not even from the journal.
    journal.feed(0..5_000, &mut history).expect("a good disk");
    Model::of(&journal, 5_000, Day(FIRST_DAY + 7)).check(&history, &mut journal, 20);
    history.drop_older_than(Day(FIRST_DAY)).expect("nothing to do");
    assert_eq!(history.facts().first_day, Day(FIRST_DAY + 7));
    drop(history);
    assert_eq!(open(&memory, 9).expect("whole runs").facts().first_day, Day(FIRST_DAY + 7));
}

#[test]
fn memory_has_a_bound() {
    let mut journal = Journal::new(1);
    (0..400).for_each(|_| journal.grow());
    let settings = Settings { entries_max: 20 };
    let mut history = History::open(Memory::new(), settings).expect("an empty history");
    journal.feed(0..400, &mut history).expect("a good disk");
    let facts = history.facts();
    assert!(facts.entries_unflushed <= 20, "{facts:?}");
    Model::of(&journal, 400, Day(0)).check(&history, &mut journal, 20);
}
