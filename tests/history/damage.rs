//! Damage: a bit flipped anywhere, files cut, lost, mixed up. It is refused, or what is read is the truth.

use turnpike::domain::event::Sequence;
use turnpike::history::entry::Day;
use turnpike::history::error::HistoryError;
use turnpike::history::index::History;
use turnpike::history::index::Settings;
use turnpike::history::search::Search;
use turnpike::journal::storage::Storage;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::history::memory::Crash;
use crate::history::memory::Memory;
use crate::history::model::ALL;
use crate::history::model::EVER;
use crate::history::model::Journal;
use crate::history::model::Model;
use crate::history::model::merge_all;
use crate::history::model::open;
use crate::history::model::same;

const RECORDS: usize = 1_500;

/// A history of some runs, its files, and the journal.
fn files() -> (Journal, Vec<(String, Vec<u8>)>) {
    let mut journal = Journal::new(2);
    (journal.cards, journal.day_records) = (300, 700);
    (0..RECORDS).for_each(|_| journal.grow());
    let memory = Memory::new();
    let mut history = open(&memory, 400).expect("an empty history");
    journal.feed(0..RECORDS - 9, &mut history).expect("a good disk");
    merge_all(&mut history, 100_000).expect("a good disk");
    history.flush(Sequence(RECORDS as u64 - 9)).expect("a good disk");
    journal.feed(RECORDS - 9..RECORDS, &mut history).expect("a good disk");
    history.flush(journal.last()).expect("a good disk");
    let names = memory.list("history").expect("a directory");
    let file = |name: String| memory.content(&name).map(|content| (name, content));
    (journal, names.into_iter().filter_map(file).collect())
}

fn disk_of<'f>(files: impl IntoIterator<Item = (&'f str, &'f [u8])>) -> Memory {
    let memory = Memory::new();
    files.into_iter().for_each(|(name, content)| memory.put(name, content));
    memory
}

fn with(files: &[(String, Vec<u8>)], changed: &str, content: Option<&[u8]>) -> Memory {
    let kept = files.iter().filter(|(name, _)| name != changed);
    let changed = content.map(|content| (changed, content));
    disk_of(kept.map(|(name, content)| (name.as_str(), content.as_slice())).chain(changed))
}

/// Opens it and reads everything; whatever is not refused must be right.
fn read_all(disk: &Memory, journal: &Journal, file: &str) -> Result<(), HistoryError> {
    let named = |error: HistoryError| {
        assert!(error.to_string().contains(file), "{error} is about {file}");
        error
    };
    let history = open(disk, 400).map_err(named)?;
    let contained = history.facts().contained_to.0 as usize;
    assert!(contained == RECORDS || history.damaged().is_some());
    let model = Model::of(journal, contained, Day(0));
    let all = history.search(&EVER, &Search::default(), None, ALL).map_err(named)?;
    same(&all.entries, &model.search(&EVER, &Search::default()), &file);
    match history.damaged() {
        Some(error) => Err(named(error.clone())),
        None => Ok(()),
    }
}

#[test]
fn no_bit_is_read_as_truth_that_was_flipped() {
    let (journal, files) = files();
    let newest = files.iter().map(|(name, _)| name).filter(|name| name.ends_with("manifest")).max();
    let newest = newest.expect("a manifest").clone();
    assert!(files.len() >= 6, "{} files", files.len());
    for (name, content) in &files {
        let is_run = name.ends_with("run");
        let step = if is_run { content.len() / 400 } else { 1 };
        for at in (0..content.len()).step_by(step.max(1)).chain(content.len() - 16..content.len()) {
            let mut changed = content.clone();
            changed[at] ^= 1 << (at % 8);
            let read = read_all(&with(&files, name, Some(&changed)), &journal, name);
            assert_eq!(read.is_err(), is_run || *name == newest, "{name} at {at}: {read:?}");
        }
    }
}

#[test]
fn files_that_are_cut_lost_or_mixed_up_are_refused() {
    let (journal, files) = files();
    let runs: Vec<&(String, Vec<u8>)> = files.iter().filter(|(name, _)| name.ends_with("run")).collect();
    for (name, content) in &runs {
        assert!(matches!(
            read_all(&with(&files, name, None), &journal, name),
            Err(HistoryError::Missing { file }) if file == *name
        ));
        for length in [0, 1, 127, content.len() / 2, content.len() - 1] {
            let cut = read_all(&with(&files, name, Some(&content[..length])), &journal, name);
            assert!(matches!(cut, Err(HistoryError::Damaged { .. })), "{name} cut at {length}: {cut:?}");
        }
        let longer: Vec<u8> = content.iter().copied().chain([0]).collect();
        assert!(read_all(&with(&files, name, Some(&longer)), &journal, name).is_err());
        for (other, _) in runs.iter().filter(|(other, _)| other != name) {
            let mixed = read_all(&with(&files, other, Some(content)), &journal, other);
            assert!(matches!(mixed, Err(HistoryError::Damaged { .. })), "{name} as {other}: {mixed:?}");
        }
    }
    // Runs without a manifest are no new history.
    let runs = disk_of(runs.iter().map(|(name, content)| (name.as_str(), content.as_slice())));
    let lost = open(&runs, 400).expect_err("no manifest");
    assert!(matches!(lost, HistoryError::Missing { .. }) && lost.to_string().contains("build"), "{lost}");
    let settings = Settings { entries_max: 400 };
    let mut rebuilt = History::rebuild(runs.clone(), settings).expect("a good disk");
    assert_eq!(rebuilt.facts().contained_to, Sequence(0));
    journal.feed(0..RECORDS, &mut rebuilt).expect("a good disk");
    rebuilt.flush(journal.last()).expect("a good disk");
    drop(rebuilt);
    assert_eq!(read_all(&runs, &journal, ""), Ok(()));
}

/// A file's bytes again, with what its checksum is over.
fn sealed(content: &mut [u8], from: usize, number: u64) -> [u8; 16] {
    let at = content.len() - 16;
    let checksum = xxh3_128_with_seed(&content[from..at], number).to_le_bytes();
    content[at..].copy_from_slice(&checksum);
    checksum
}

fn number_of(name: &str) -> u64 {
    name.chars().filter(char::is_ascii_digit).collect::<String>().parse().expect("a number")
}

#[test]
fn a_whole_run_of_an_unknown_kind_is_refused_by_its_name() {
    let (journal, files) = files();
    let (runs, manifests): (Vec<_>, Vec<_>) = files.iter().partition(|(name, _)| name.ends_with("run"));
    let newest = manifests.iter().max().expect("a manifest");
    for (name, content) in runs {
        for kind in [1, 0, 2, 255] {
            let (mut run, mut manifest) = (content.clone(), newest.1.clone());
            let trailer = run.len() - 128;
            let blocks = u32::from_le_bytes(run[trailer + 32..trailer + 36].try_into().expect("four bytes"));
            assert_eq!(run[trailer + 10], 1, "{name}");
            run[trailer + 10] = kind;
            let checksum = sealed(&mut run, blocks as usize * 16 * 1024, number_of(name));
            let (described, _) = manifest[48..].as_chunks_mut::<48>();
            let of_run = |described: &&mut [u8; 48]| described[..8] == number_of(name).to_le_bytes();
            described.iter_mut().find(of_run).expect("it counts")[24..40].copy_from_slice(&checksum);
            sealed(&mut manifest, 0, number_of(&newest.0));
            let disk = with(&files, name, Some(&run));
            disk.put(&newest.0, &manifest);
            let read = read_all(&disk, &journal, name);
            let offset = trailer as u64 + 10;
            assert!(
                match &read {
                    Ok(()) => kind == 1,
                    Err(HistoryError::Damaged { file, offset: at, what }) =>
                        kind != 1 && file == name && *at == offset && what.contains("kind"),
                    Err(_) => false,
                },
                "{name} of kind {kind}: {read:?}"
            );
        }
    }
}

#[test]
fn the_manifest_before_serves_when_the_newest_is_damaged() {
    let (journal, files) = files();
    let mut manifests: Vec<&String> =
        files.iter().map(|(name, _)| name).filter(|name| name.ends_with("manifest")).collect();
    manifests.sort();
    let [before, newest] = manifests[..] else { panic!("two are kept: {manifests:?}") };
    let disk = with(&files, newest, Some(b"nothing"));
    let mut history = open(&disk, 400).expect("the one before");
    assert!(history.damaged().is_some_and(|error| error.to_string().contains(newest)));
    assert_eq!(history.facts().contained_to, Sequence(RECORDS as u64 - 9));
    journal.feed(RECORDS - 9..RECORDS, &mut history).expect("a good disk");
    history.flush(journal.last()).expect("a good disk");
    drop(history);
    assert_eq!(read_all(&disk, &journal, ""), Ok(()));
    let both = with(&files, newest, Some(b"nothing"));
    both.put(before, b"nothing");
    assert!(matches!(open(&both, 400), Err(HistoryError::Damaged { file, .. }) if file == *newest));
    let mut newer = files.iter().find(|(name, _)| name == newest).expect("it").1.clone();
    newer[8] = 9;
    let newer = open(&with(&files, newest, Some(&newer)), 400);
    assert!(matches!(newer, Err(HistoryError::NewerFormat { format: 9, .. })));
}

#[test]
fn the_manifest_before_still_has_its_runs_after_a_merge() {
    let mut journal = Journal::new(2);
    (journal.cards, journal.day_records) = (300, 700);
    (0..RECORDS).for_each(|_| journal.grow());
    let disk = Memory::new();
    let mut history = open(&disk, 20).expect("an empty history");
    journal.feed(0..RECORDS, &mut history).expect("a good disk");
    history.flush(journal.last()).expect("a good disk");
    let mut merges = 0;
    while history.merge_step(u64::MAX).expect("a good disk").more {
        merges += 1;
        let newest = disk.list("history").expect("a directory").into_iter().max_by_key(|name| {
            let is_manifest = name.ends_with("manifest");
            (is_manifest, name.clone())
        });
        let damaged = disk.after(Crash::KeepWritten);
        damaged.put(&newest.expect("a manifest"), b"nothing");
        let before = open(&damaged, 20).expect("the manifest before");
        assert!(before.damaged().is_some());
        Model::of(&journal, RECORDS, Day(0)).check(&before, &mut journal, 3);
    }
    assert!(merges > 2);
}

#[test]
fn a_damaged_run_is_not_merged_into_another() {
    let mut journal = Journal::new(2);
    (journal.cards, journal.day_records) = (300, 700);
    (0..RECORDS).for_each(|_| journal.grow());
    let memory = Memory::new();
    let mut history = open(&memory, 400).expect("an empty history");
    journal.feed(0..RECORDS, &mut history).expect("a good disk");
    drop(history);
    let name = "history/00000001.run";
    let mut content = memory.content(name).expect("the first run");
    content[100] ^= 1;
    memory.put(name, &content);
    let mut history = open(&memory, 400).expect("footers are whole");
    for _ in 0..3 {
        let refused = merge_all(&mut history, 10_000);
        assert!(matches!(&refused, Err(HistoryError::Damaged { file, offset: 0, .. }) if file == name));
    }
    let facts = history.facts();
    drop(history);
    assert_eq!(open(&memory, 400).expect("as before").facts(), facts);
}
