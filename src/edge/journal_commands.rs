//! `turnpike journal`: what is in a data directory, whether it holds, and what is in its records.

use std::path::Path;

use crate::crypto::keys::Keys;
use crate::domain::event::Sequence;
use crate::edge::commands::complain;
use crate::edge::commands::say;
use crate::edge::disk::Disk;
use crate::edge::exit;
use crate::edge::keys;
use crate::journal::inspect::Inspection;
use crate::journal::inspect::inspect as inspect_journal;
use crate::journal::record::Kind;
use crate::journal::recover::Opener;
use crate::journal::snapshot;
use crate::journal::snapshot::Part;
use crate::ledger::books::Layout;
use crate::ledger::restore::Counts;
use crate::ledger::shard::Capacity;
use crate::recovery;
use crate::recovery::verify::Verified;
use crate::recovery::verify::verify as verify_all;

/// `turnpike journal inspect`: what is in each segment. Records are counted, not shown.
#[must_use]
pub fn inspect(data_dir: &Path, batches: bool) -> u8 {
    let inspection = inspect_journal(&Disk::look_at(data_dir), Sequence(0), batches);
    say(&inspection);
    if inspection.verdict.is_ok() { exit::OK } else { exit::DATA }
}

/// Room for what a journal and its snapshots hold, counted beforehand.
fn capacity_of(inspection: &Inspection, snapshots: Counts) -> Capacity {
    let mut counts = [0_usize; Kind::ALL.len()];
    for segment in &inspection.segments {
        for (sum, count) in counts.iter_mut().zip(segment.kinds.0) {
            *sum += usize::try_from(count).unwrap_or(usize::MAX);
        }
    }
    let count = |kind| Kind::ALL.iter().position(|(known, _)| *known == kind).map_or(0, |at| counts[at]);
    Capacity {
        wallets: count(Kind::AccountFunded) + snapshots.wallets,
        further_accounts: count(Kind::AccountFunded) + snapshots.accounts,
        cards: count(Kind::CardOpened) + snapshots.cards,
        authorizations: count(Kind::Decided)
            + count(Kind::Reversed)
            + count(Kind::Advised)
            + snapshots.authorizations,
    }
}

/// Reads the journal and all snapshots and compares them.
fn verified(disk: &Disk, keys: &Keys) -> Result<Verified, String> {
    let mut counts = Counts::default();
    for number in snapshot::list(disk).map_err(|error| error.to_string())? {
        // A damaged one is told below.
        let _ = snapshot::read(disk, number, &keys.vault, &mut |part, _, body| {
            if part == Part::Wallets {
                counts.add(body).map_err(|error| error.to_string())?;
            }
            Ok(())
        });
    }
    let oldest = snapshot::list(disk).map_err(|error| error.to_string())?.first().copied();
    let tail = oldest.and_then(|oldest| snapshot::read_tail(disk, oldest, &keys.vault).ok());
    let inspection = inspect_journal(disk, tail.unwrap_or_default().covered, false);
    if let Err(error) = &inspection.verdict {
        return Err(error.to_string());
    }
    if inspection.segments.is_empty() {
        return Err("there is no journal".to_owned());
    }
    let opener = Opener { seal: &keys.vault, fingerprint: keys.vault.fingerprint() };
    let capacity = capacity_of(&inspection, counts);
    let settings = recovery::Settings { layout: Layout::new(1), capacity, seed: keys.table_seed() };
    verify_all(disk, opener, &keys.vault, settings).map_err(|error| error.to_string())
}

/// `turnpike journal verify`: rebuilds the books from every record and checks that they hold.
#[must_use]
pub fn verify(data_dir: &Path, key_file: Option<&Path>) -> u8 {
    let disk = Disk::look_at(data_dir);
    let in_data_dir = data_dir.join("keys/master.key");
    let keys = match keys::load(key_file.unwrap_or(&in_data_dir), true) {
        Ok(keys) => keys,
        Err(error) => {
            complain(error);
            return exit::DATA;
        }
    };
    let Verified { rebuilt, compared, damaged } = match verified(&disk, &keys) {
        Ok(verified) => verified,
        Err(error) => {
            complain(error);
            return exit::DATA;
        }
    };
    for error in &damaged {
        complain(error);
    }
    let mut differs = !damaged.is_empty();
    for (number, tail, slot) in compared {
        let (covered, last) = (tail.covered.0, tail.last.0);
        match slot {
            None => {
                say(format!("snapshot     {number} of records {covered} to {last} agrees with the journal"))
            }
            Some(slot) => {
                complain(format!(
                    "snapshot {number} differs from the journal in slot {slot}; do not start from it"
                ));
                differs = true;
            }
        }
    }
    if let Some((number, tail)) = rebuilt.snapshot {
        say(format!("begins with  snapshot {number} of {} wallets", tail.wallets));
    }
    let recovered = &rebuilt.recovered;
    say(format!("records      {}", recovered.records));
    say(format!("segments     {}", recovered.segments.len()));
    say(format!("last epoch   {}", recovered.epoch));
    say(format!("last record  {} at {}", recovered.last.0, recovered.time));
    if let Some(torn) = &recovered.torn {
        say(format!("torn tail    {torn}"));
    }
    for totals in rebuilt.books.totals() {
        say(format!(
            "currency {}  wallets {}  funding {}  settlement {}  held {}  sum {}",
            totals.currency,
            totals.wallets,
            totals.funding,
            totals.settlement,
            totals.held,
            totals.sum()
        ));
    }
    say(format!("state hash   {}", rebuilt.books.state_hash()));
    match rebuilt.books.audit() {
        Ok(()) => {
            say("the books hold: every currency sums to zero, and what is held is the sum of open holds");
            if differs { exit::DATA } else { exit::OK }
        }
        Err(finding) => {
            complain(format!("the books do not hold: {finding}"));
            exit::DATA
        }
    }
}
