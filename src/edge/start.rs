//! What a start does before anything is served: the books are found.

use std::time::Instant;

use crate::authorizer::Authorizer;
use crate::authorizer::approval_code::ApprovalCodes;
use crate::config::Config;
use crate::config::products::products;
use crate::crypto::keys::Keys;
use crate::domain::event::Seeded;
use crate::domain::event::Sequence;
use crate::domain::moved::KeysKept;
use crate::edge::api::Issuing;
use crate::edge::clock;
use crate::edge::crew::Threads;
use crate::edge::daemon::StartError;
use crate::edge::daemon::capacity;
use crate::edge::disk::Disk;
use crate::edge::history::Starting;
use crate::edge::page::Facts;
use crate::journal::recover::Opener;
use crate::journal::recover::Recovered;
use crate::ledger::books::Books;
use crate::ledger::books::Layout;
use crate::ledger::state_hash::StateHash;
use crate::pipeline::gate::Policy;
use crate::pipeline::gate::Reply;
use crate::recovery;
use crate::recovery::Rebuilt;
use crate::recovery::Trunks;

/// What recovery leaves for the start.
pub(super) struct Found {
    pub(super) books: Books,
    pub(super) recovered: Recovered,
    pub(super) seeded: Option<Seeded>,
    /// For how long callers' keys were remembered by the last start.
    pub(super) keys_kept: KeysKept,
    pub(super) hash: (StateHash, Sequence),
    pub(super) facts: Facts,
    pub(super) told_after: Sequence,
    pub(super) trunks: Trunks,
}

pub(super) fn rebuild(
    config: &Config,
    disk: &Disk,
    keys: &Keys,
    past: Option<&mut Starting>,
) -> Result<Found, StartError> {
    let began = Instant::now();
    let settings = recovery::Settings {
        layout: Layout::new(config.daemon.shards),
        capacity: capacity(config),
        seed: keys.table_seed(),
    };
    let rebuilt = match past {
        Some(past) => past.restore(disk, keys, settings)?,
        None => {
            recovery::restore(disk, opener_of(keys), &keys.vault, settings, &Threads::for_each_processor())?
        }
    };
    let Rebuilt { books, trunks, recovered, seeded, snapshot, applied, damaged, told_after, .. } = rebuilt;
    let keys_kept = rebuilt.configured.map(|configured| configured.keys).unwrap_or_default();
    for error in &damaged {
        tracing::error!("{error}; the books are rebuilt without it");
    }
    let facts = Facts {
        started: clock::wall(),
        took: began.elapsed(),
        records: recovered.records,
        applied,
        snapshot: snapshot.map_or(0, |(number, _)| number),
        damaged: damaged.len() as u64,
        torn_bytes: recovered.torn.as_ref().map_or(0, |torn| torn.bytes),
        capacity: settings.capacity,
    };
    let hash = books.state_hash();
    let live: u64 = books.shards.iter().map(|shard| shard.fill().open_authorizations).sum();
    tracing::info!(
        snapshot = facts.snapshot,
        records = facts.records,
        applied,
        ms = facts.took.as_millis() as u64,
        live_authorizations = live,
        %hash,
        "books rebuilt"
    );
    for totals in books.totals() {
        tracing::info!(currency = %totals.currency, sum = totals.sum() as i64, "sum of all postings");
    }
    if let Some(torn) = &recovered.torn {
        tracing::warn!("cut {torn}");
    }
    let hash = (hash, recovered.last);
    Ok(Found { books, recovered, seeded, keys_kept, hash, facts, told_after, trunks })
}

pub(super) fn opener_of(keys: &Keys) -> Opener<'_> {
    Opener { seal: &keys.vault, fingerprint: keys.vault.fingerprint() }
}

pub(super) fn authorizer(config: &Config, keys: &Keys) -> Authorizer {
    Authorizer {
        codes: ApprovalCodes::new(*keys.approval_code_key()),
        time_zone_offset_minutes: config.daemon.time_zone_offset_minutes,
        expiry: config.lifecycle.expiry.clone(),
        increases: config.lifecycle.increases.clone(),
        credits: config.lifecycle.credits,
        clearing_tolerance: config.clearing.tolerance,
        configuration: config.checksum() as u32,
    }
}

/// What cards are issued by.
pub(super) fn issuing(config: &Config) -> Issuing {
    Issuing {
        ranges: config.wallets.card_ranges.clone(),
        digits: config.wallets.card_digits,
        verification: config.verification,
        products: products(&config.products),
    }
}

pub(super) fn policy(config: &Config) -> Policy {
    Policy {
        reply: match config.journal.reply {
            crate::config::money::Reply::Async => Reply::Async,
            crate::config::money::Reply::Fsync => Reply::Fsync,
        },
        fsync_above: config.journal.fsync_above(),
        max_unsynced_ns: config.journal.max_unsynced_ms * 1_000_000,
        max_unsynced_records: config.journal.max_unsynced_records,
        gather_ns: config.journal.gather_us * 1_000,
        pace_ns: config.journal.pace_us * 1_000,
        ahead_max: config.journal.ahead_max as usize,
        parked_max: config.daemon.parked_max as usize,
    }
}
