//! `[ledger]` and `[journal]`: how much there is room for, and what must be on disk before an answer leaves.

use crate::config;
use crate::domain::event::Bounds;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::party::SLOTS;
use crate::settings::Section;

const SECONDS_PER_DAY: u32 = 86_400;

/// `[ledger]`. Tables are reserved for these counts at start and never grow while serving.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerSettings {
    /// Most wallets.
    pub wallets_max: u32,
    /// Most cards.
    pub cards_max: u32,
    /// Most authorizations that are kept in memory, closed ones included.
    pub authorizations_max: u32,
    /// Most limits, and as many controls.
    pub limits_max: u32,
    /// Most authorizations that limits have counted and that may still be given back.
    pub counted_max: u32,
    /// How many days a hold stands unless something ends it earlier.
    pub hold_days: u32,
    /// What state depends on; recorded at every start.
    pub bounds: Bounds,
}

impl Default for LedgerSettings {
    fn default() -> Self {
        Self {
            wallets_max: 1_000_000,
            cards_max: 1_000_000,
            authorizations_max: 2_000_000,
            limits_max: 100_000,
            counted_max: 200_000,
            hold_days: 7,
            bounds: Bounds::default(),
        }
    }
}

impl LedgerSettings {
    pub(super) fn read(section: Option<Section<'_>>) -> Self {
        let mut ledger = Self::default();
        let Some(section) = section else { return ledger };
        let read = |key, range, default| config::integer_or(&section, key, range, default);
        let many = 1..=2_000_000_000;
        ledger.wallets_max = read("wallets_max", many.clone(), ledger.wallets_max);
        ledger.cards_max = read("cards_max", many.clone(), ledger.cards_max);
        ledger.authorizations_max = read("authorizations_max", many.clone(), ledger.authorizations_max);
        ledger.limits_max = read("limits_max", many.clone(), ledger.limits_max);
        ledger.counted_max = read("counted_max", many, ledger.counted_max);
        ledger.hold_days = read("hold_days", 1..=365, ledger.hold_days);
        let bounds = &mut ledger.bounds;
        bounds.authorizations_per_card =
            read("authorizations_per_card", 1..=65_535, bounds.authorizations_per_card);
        bounds.closed_per_slot = read("closed_per_slot", 1..=16_777_216, bounds.closed_per_slot);
        bounds.answers_per_slot =
            read("answers_per_slot", 1..=Bounds::ANSWERS_PER_SLOT_MAX, bounds.answers_per_slot);
        // A repeat must find a closed authorization: no window of repeats is longer than the shortest stay, a day.
        bounds.repeat_window_s = read("repeat_window_s", 1..=SECONDS_PER_DAY, bounds.repeat_window_s);
        let closed_days = bounds.closed_window_s / SECONDS_PER_DAY;
        bounds.closed_window_s = read("closed_days", 1..=365, closed_days) * SECONDS_PER_DAY;
        if !section.has("closed_per_slot") {
            // Closed ones may take up half of a small table.
            let half = ledger.authorizations_max / 2 / u32::from(SLOTS);
            bounds.closed_per_slot = bounds.closed_per_slot.min(half.max(1));
        }
        let closed = u64::from(bounds.closed_per_slot) * u64::from(SLOTS);
        if bounds.authorizations_per_card > ledger.authorizations_max {
            section.report("`authorizations_per_card` is more than `authorizations_max`");
        } else if closed >= u64::from(ledger.authorizations_max) && section.has("closed_per_slot") {
            let message = format!(
                "`closed_per_slot` for {SLOTS} slots is {closed}, which leaves no room for open ones in \
                 `authorizations_max`"
            );
            section.report_at("closed_per_slot", message);
        }
        section.finish();
        ledger
    }
}

/// When the answer to a request leaves (R1). Answers to advices and reversals wait for the disk in either case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reply {
    /// Once its record is in the journal's buffer; what could be lost is bounded by `max_unsynced_*`.
    Async,
    /// Once its record is on disk.
    Fsync,
}

/// `[journal]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JournalSettings {
    /// When the answer to a request leaves.
    pub reply: Reply,
    /// With [`Reply::Async`]: amounts above these wait for the disk too, in minor units, ordered by currency.
    fsync_above: Vec<(Currency, i64)>,
    /// Oldest age of a record that is not on disk, milliseconds; past it requests are answered 91 (R2).
    pub max_unsynced_ms: u64,
    /// Most records that are not on disk; past it requests are answered 91 (R2).
    pub max_unsynced_records: u64,
    /// How long records may gather before they are written while no answer waits for them, microseconds.
    pub gather_us: u64,
    /// How long records may gather before they are written while many answers wait for them, microseconds.
    pub pace_us: u64,
    /// With [`Reply::Fsync`]: requests that are decided ahead of the disk; past it no more are read.
    pub ahead_max: u32,
    /// Size of a segment file, mebibytes.
    pub segment_mib: u32,
    /// Segment files that are kept ready.
    pub spare_segments: u32,
    /// The newest segment files that are kept though snapshots cover them.
    pub retained_segments: u32,
    /// Room that is kept back for a full disk, mebibytes; 0 for none.
    pub reserve_mib: u32,
    /// With less than this free on the disk, requests are answered 91 (R2), mebibytes; 0 for no such bound.
    pub disk_free_min_mib: u32,
}

impl Default for JournalSettings {
    fn default() -> Self {
        Self {
            reply: Reply::Async,
            fsync_above: Vec::new(),
            max_unsynced_ms: 50,
            max_unsynced_records: 65_536,
            gather_us: 1_000,
            pace_us: 600,
            ahead_max: 768,
            segment_mib: 64,
            spare_segments: 2,
            retained_segments: 16,
            reserve_mib: 64,
            disk_free_min_mib: 256,
        }
    }
}

impl JournalSettings {
    /// The amounts above which an approval waits for the disk in every mode, by currency.
    #[must_use]
    pub fn fsync_above(&self) -> Vec<Money> {
        self.fsync_above.iter().map(|(currency, minor)| Money::new(*minor, *currency)).collect()
    }

    pub(super) fn read(section: Option<Section<'_>>) -> Self {
        let mut journal = Self::default();
        let Some(section) = section else { return journal };
        let modes = [("async", Reply::Async), ("fsync", Reply::Fsync)];
        journal.reply = section.choice("reply", &modes).unwrap_or(journal.reply);
        journal.fsync_above = section.section("fsync_above").map(read_amounts).unwrap_or_default();
        journal.max_unsynced_ms = section.integer_or("max_unsynced_ms", 1..=60_000, journal.max_unsynced_ms);
        journal.max_unsynced_records =
            section.integer_or("max_unsynced_records", 1..=16_777_216, journal.max_unsynced_records);
        journal.gather_us = section.integer_or("gather_us", 0..=100_000, journal.gather_us);
        journal.pace_us = section.integer_or("pace_us", 0..=100_000, journal.pace_us);
        for (name, us) in [("gather_us", journal.gather_us), ("pace_us", journal.pace_us)] {
            if us >= journal.max_unsynced_ms * 1_000 {
                let message = format!("`journal.{name}` must be shorter than `journal.max_unsynced_ms`");
                section.report_at(name, message);
            }
        }
        journal.ahead_max = config::integer_or(&section, "ahead_max", 1..=16_777_216, journal.ahead_max);
        journal.segment_mib = config::integer_or(&section, "segment_mib", 1..=4_096, journal.segment_mib);
        journal.spare_segments =
            config::integer_or(&section, "spare_segments", 0..=64, journal.spare_segments);
        journal.retained_segments =
            config::integer_or(&section, "retained_segments", 1..=16_777_216, journal.retained_segments);
        journal.reserve_mib = config::integer_or(&section, "reserve_mib", 0..=65_536, journal.reserve_mib);
        journal.disk_free_min_mib =
            config::integer_or(&section, "disk_free_min_mib", 0..=1_048_576, journal.disk_free_min_mib);
        section.finish();
        journal
    }
}

pub(super) fn read_amounts(section: Section<'_>) -> Vec<(Currency, i64)> {
    let mut amounts = Vec::new();
    for key in section.keys() {
        let amount = section.integer(&key, 0..=i64::MAX as u64);
        match currency(&key) {
            Some(currency) => amounts.extend(amount.map(|amount| (currency, amount as i64))),
            None => {
                section.report_at(&key, format!("`{key}` is no ISO 4217 code of three digits such as 840"))
            }
        }
    }
    section.finish();
    amounts.sort_unstable();
    amounts
}

fn currency(text: &str) -> Option<Currency> {
    let three_digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    if three_digits { Currency::new(text.parse().ok()?) } else { None }
}
