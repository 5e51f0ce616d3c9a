//! `turnpike journal`: what is in a data directory, whether it holds, and what is in its records.

use std::path::Path;

use crate::crypto::keys::Keys;
use crate::domain::event::Sequence;
use crate::edge::commands::complain;
use crate::edge::commands::say;
use crate::edge::disk::Disk;
use crate::edge::exit;
use crate::edge::keys;
use crate::journal::inspect::inspect as inspect_journal;
use crate::journal::recover::Opener;
use crate::journal::segment;
use crate::ledger::totals::Totals;
use crate::recovery::verify::Verified;
use crate::recovery::verify::verify as verify_all;

/// `turnpike journal inspect`: what is in each segment. Records are counted, not shown.
#[must_use]
pub fn inspect(data_dir: &Path, batches: bool) -> u8 {
    let inspection = inspect_journal(&Disk::look_at(data_dir), Sequence(0), batches);
    say(&inspection);
    if inspection.verdict.is_ok() { exit::OK } else { exit::DATA }
}

/// Reads the journal and all snapshots and compares them.
fn verified(disk: &Disk, keys: &Keys) -> Result<Verified, String> {
    if segment::survey(disk).map_err(|error| error.to_string())?.is_empty() {
        return Err("there is no journal".to_owned());
    }
    let opener = Opener { seal: &keys.vault, fingerprint: keys.vault.fingerprint() };
    verify_all(disk, opener, &keys.vault, keys.table_seed(), None).map_err(|error| error.to_string())
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
        say(sums_of(&totals));
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

/// What a currency's accounts add up to, on one line.
fn sums_of(totals: &Totals) -> String {
    let Totals { currency, wallets, funding, settlement, suspense, fees, .. } = totals;
    let Totals { transit, adjustments, exchange, interest, held, .. } = totals;
    let accounts = format!("funding {funding}  settlement {settlement}  suspense {suspense}  fees {fees}");
    let sum = totals.sum();
    format!(
        "currency {currency}  wallets {wallets}  {accounts}  transit {transit}  adjustments {adjustments}  \
         exchange {exchange}  interest {interest}  held {held}  sum {sum}"
    )
}
