//! `turnpike history`: builds the history again from the journal, or proves that it has what the journal says. The
//! daemon must not be running.

use std::path::Path;

use crate::crypto::keys::Keys;
use crate::domain::event::Sequence;
use crate::edge::commands::complain;
use crate::edge::commands::say;
use crate::edge::disk::Disk;
use crate::edge::disk::DiskError;
use crate::edge::exit;
use crate::edge::keys;
use crate::history::entry::Day;
use crate::history::entry::Entry;
use crate::history::error::HistoryError;
use crate::history::index::Facts;
use crate::history::index::History;
use crate::history::index::Settings;
use crate::history::search::Limit;
use crate::history::search::Search;
use crate::journal::recover::Opener;
use crate::ledger::departed::Departed;
use crate::pipeline::past;
use crate::recovery::Listener;
use crate::recovery::verify::Verified;
use crate::recovery::verify::verify as verify_books;

/// How much is read or merged at once.
const PAGE: Limit = Limit { entries: 65_536, blocks: 4_096 };
const MERGE_BYTES: u64 = 64 << 20;

/// The data directory with its keys; complains and returns the exit code otherwise.
fn open(data_dir: &Path, key_file: Option<&Path>) -> Result<(Disk, Keys), u8> {
    let in_data_dir = data_dir.join("keys/master.key");
    let keys = keys::load(key_file.unwrap_or(&in_data_dir), true).map_err(|error| {
        complain(error);
        exit::DATA
    })?;
    let disk = Disk::open(data_dir).map_err(|error| {
        complain(&error);
        if matches!(error, DiskError::Locked { .. }) { exit::UNAVAILABLE } else { exit::IO }
    })?;
    Ok((disk, keys))
}

/// Reads the whole journal and tells what left memory, as far back as it goes.
fn read_journal(disk: &Disk, keys: &Keys, left: &mut dyn FnMut(&Departed)) -> Result<Verified, u8> {
    let opener = Opener { seal: &keys.vault, fingerprint: keys.vault.fingerprint() };
    let mut listener = Listener { known_to: Sequence(0), left };
    verify_books(disk, opener, &keys.vault, keys.table_seed(), Some(&mut listener)).map_err(|error| {
        complain(error);
        exit::DATA
    })
}

fn failed(error: HistoryError) -> u8 {
    let code = if matches!(error, HistoryError::Storage(_)) { exit::IO } else { exit::DATA };
    complain(error);
    code
}

/// `turnpike history rebuild`: removes the history and feeds it again from the journal.
#[must_use]
pub fn rebuild(data_dir: &Path, key_file: Option<&Path>) -> u8 {
    code_of(rebuild_all(data_dir, key_file))
}

fn rebuild_all(data_dir: &Path, key_file: Option<&Path>) -> Result<u8, u8> {
    let (disk, keys) = open(data_dir, key_file)?;
    let mut history = History::rebuild(disk.clone(), Settings::default()).map_err(failed)?;
    let mut trouble = None;
    let mut give = |departed: &Departed| {
        if trouble.is_none() && past::give(&mut history, departed).is_err() {
            trouble = history.flush(Sequence(departed.by.0 - 1)).err();
            let _there_is_room = past::give(&mut history, departed);
        }
    };
    let Verified { rebuilt, .. } = read_journal(&disk, &keys, &mut give)?;
    match trouble {
        Some(error) => return Err(failed(error)),
        None => history.flush(rebuilt.recovered.last).map_err(failed)?,
    }
    while history.merge_step(MERGE_BYTES).map_err(failed)?.more {}
    tell(&history.facts());
    if rebuilt.told_after > Sequence(0) {
        let after = rebuilt.told_after.0;
        say(format!("begins after record {after}: the journal and its snapshots do not reach back further"));
    }
    Ok(exit::OK)
}

/// `turnpike history verify`: reads every block, and looks up whatever the journal says has left memory.
#[must_use]
pub fn verify(data_dir: &Path, key_file: Option<&Path>) -> u8 {
    code_of(verify_all(data_dir, key_file))
}

fn verify_all(data_dir: &Path, key_file: Option<&Path>) -> Result<u8, u8> {
    let (disk, keys) = open(data_dir, key_file)?;
    let history = History::open(disk.clone(), Settings::default()).map_err(failed)?;
    if let Some(error) = history.damaged() {
        complain(error);
        return Err(exit::DATA);
    }
    let facts = history.facts();
    let (mut entries, mut cursor) = (0_u64, None);
    loop {
        let days = Day(0)..=Day(u32::MAX);
        let page = history.search(&days, &Search::default(), cursor, PAGE).map_err(failed)?;
        entries += page.entries.len() as u64;
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let (mut compared, mut wrong, mut trouble) = (0_u64, Vec::new(), None);
    let mut compare = |departed: &Departed| {
        if departed.by > facts.contained_to || Day::of(departed.time) < facts.first_day || trouble.is_some() {
            return;
        }
        compared += 1;
        match is_there(&history, departed) {
            Ok(true) => {}
            Ok(false) => wrong.push((departed.authorization.sequence, departed.by)),
            Err(error) => trouble = Some(error),
        }
    };
    let Verified { rebuilt, .. } = read_journal(&disk, &keys, &mut compare)?;
    if let Some(error) = trouble {
        return Err(failed(error));
    }
    tell(&facts);
    say(format!("authorizations  {entries}"));
    say(format!("compared        {compared} that left memory, from record {} on", rebuilt.told_after.0 + 1));
    if facts.contained_to > rebuilt.recovered.last {
        complain("the history is of another journal, or of a later state of this one");
        return Err(exit::DATA);
    }
    match wrong.first() {
        None => Ok(exit::OK),
        Some((sequence, by)) => {
            let (count, sequence, by) = (wrong.len(), sequence.0, by.0);
            complain(format!(
                "{count} are missing or differ, first the authorization of record {sequence} that left at record \
                 {by}; run `turnpike history rebuild`"
            ));
            Err(exit::DATA)
        }
    }
}

/// Whether the history has it as it left, or as it was later.
fn is_there(history: &History<Disk>, departed: &Departed) -> Result<bool, HistoryError> {
    let made = departed.authorization.sequence;
    let search = Search { made: Some(made..=made), ..Search::default() };
    let found = history.find(departed.card, &search, PAGE)?;
    let expected = Entry::new(departed.card, departed.by, &departed.authorization, departed.counted);
    Ok(found.entries.first().is_some_and(|entry| entry.version > departed.by || *entry == expected))
}

fn tell(facts: &Facts) {
    let oldest = facts.oldest_day.map_or("none".to_owned(), |day| day.to_string());
    say(format!("entries         {}", facts.entries));
    say(format!("runs            {} of {} bytes", facts.runs, facts.bytes_on_disk));
    say(format!("oldest day      {oldest}"));
    say(format!("contained to    record {}", facts.contained_to.0));
}

const fn code_of(result: Result<u8, u8>) -> u8 {
    match result {
        Ok(code) | Err(code) => code,
    }
}
