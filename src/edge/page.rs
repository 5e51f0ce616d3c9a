//! What `/metrics` shows of the daemon's state, read when it is asked for.

use std::fmt::Display;
use std::fmt::Write;
use std::time::Duration;

use rustix::time::ClockId;
use rustix::time::clock_gettime;

use crate::domain::time::Timestamp;
use crate::edge::clearing::Counters;
use crate::edge::clock;
use crate::edge::histogram::Histogram;
use crate::edge::histogram::seconds;
use crate::edge::history;
use crate::edge::snapshots::Made;
use crate::edge::snapshots::Status;
use crate::ledger::shard::Capacity;
use crate::ledger::totals::Totals;
use crate::pipeline::asking::Counts;
use crate::pipeline::core::Pipeline;

/// What the start has found; it does not change any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// When the daemon started.
    pub started: Timestamp,
    /// How long the books took to be rebuilt.
    pub took: Duration,
    /// Records that the journal has.
    pub records: u64,
    /// Records that were applied; those that the snapshot had were not.
    pub applied: u64,
    /// The snapshot that the books began with; zero for none.
    pub snapshot: u64,
    /// Snapshots that were passed over because they are damaged.
    pub damaged: u64,
    /// Bytes of the journal's torn tail.
    pub torn_bytes: u64,
    /// The room that the configuration asks for.
    pub capacity: Capacity,
}

/// A text for Prometheus.
pub(super) struct Page(String);

/// One reading: labels as they are shown, and the value.
pub(super) type Sample = (String, String);

fn plain(value: impl Display) -> [Sample; 1] {
    [(String::new(), value.to_string())]
}

impl Page {
    /// Goes on after what others have written.
    pub(super) const fn after(text: String) -> Self {
        Self(text)
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }

    pub(super) fn gauge(&mut self, name: &str, samples: impl IntoIterator<Item = Sample>) {
        self.metric(name, "gauge", samples);
    }

    pub(super) fn counter(&mut self, name: &str, samples: impl IntoIterator<Item = Sample>) {
        self.metric(name, "counter", samples);
    }

    fn metric(&mut self, name: &str, kind: &str, samples: impl IntoIterator<Item = Sample>) {
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
        for (labels, value) in samples {
            let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
            let _ = writeln!(self.0, "{name}{braces} {value}");
        }
    }

    /// Histograms of one name after each other.
    pub(super) fn histograms<'h>(&mut self, histograms: impl IntoIterator<Item = &'h Histogram>) {
        let mut name = "";
        for histogram in histograms {
            if histogram.name() != name {
                name = histogram.name();
                let _ = writeln!(self.0, "# TYPE {name} histogram");
            }
            histogram.render(&mut self.0);
        }
    }

    pub(super) fn journal(&mut self, pipeline: &Pipeline) {
        let unsynced = pipeline.unsynced(clock::now());
        self.gauge("turnpike_journal_appended_sequence", plain(pipeline.appended().0));
        self.gauge("turnpike_journal_durable_sequence", plain(pipeline.durable().0));
        self.gauge("turnpike_journal_unsynced_records", plain(unsynced.records));
        self.gauge("turnpike_journal_unsynced_seconds", plain(seconds(unsynced.age_ns)));
        self.gauge("turnpike_journal_failed", plain(u8::from(pipeline.has_failed())));
        self.gauge("turnpike_answers_parked", plain(pipeline.parked()));
    }

    pub(super) fn ledger(&mut self, pipeline: &Pipeline, capacity: &Capacity) {
        let (fill, shortened) = (pipeline.fill(), pipeline.shortened());
        self.gauge("turnpike_ledger_wallets", plain(fill.wallets));
        self.gauge("turnpike_ledger_cards", plain(fill.cards));
        self.gauge("turnpike_ledger_authorizations", plain(fill.authorizations));
        self.gauge("turnpike_ledger_authorizations_open", plain(fill.open_authorizations));
        self.gauge("turnpike_ledger_authorizations_max", plain(fill.authorizations_max));
        self.gauge("turnpike_ledger_limits", plain(fill.limits));
        self.gauge("turnpike_ledger_controls", plain(fill.controls));
        self.gauge("turnpike_ledger_counted", plain(fill.counted));
        let [keys, payments, mandates] = pipeline.verbs().kept();
        let tables = [
            ("wallets", fill.wallets, capacity.wallets as u64),
            ("cards", fill.cards, capacity.cards as u64),
            ("authorizations", fill.authorizations, fill.authorizations_max),
            ("limits", fill.limits, fill.limits_max),
            ("controls", fill.controls, fill.limits_max),
            ("counted", fill.counted, fill.counted_max),
            ("keys", keys, pipeline.verbs().bounds().keys_max),
            ("payments", payments, pipeline.verbs().bounds().payments_max),
            ("mandates", mandates, pipeline.verbs().bounds().mandates_max),
        ];
        let ratios = tables.map(|(table, used, room)| (format!("table=\"{table}\""), ratio(used, room)));
        self.gauge("turnpike_ledger_fill_ratio", ratios);
        self.counter("turnpike_ledger_closed_window_shortened_total", plain(shortened.closed));
        self.counter("turnpike_ledger_repeat_window_shortened_total", plain(shortened.answers));
        self.counter("turnpike_ledger_authorizations_expired_total", plain(pipeline.expiring().expired()));
        self.gauge("turnpike_ledger_expiry_halted", plain(u64::from(pipeline.expiring().is_halted())));
        let verbs = pipeline.verbs();
        let outcomes = verbs.outcomes().map(|(verb, outcome, count)| {
            (format!("verb=\"{verb}\",outcome=\"{outcome}\""), count.to_string())
        });
        self.counter("turnpike_wallet_verbs_total", outcomes);
        self.sums(&pipeline.audit().totals);
    }

    pub(super) fn clearing(&mut self, counters: &Counters) {
        let readings = counters.readings();
        let readings = readings.map(|(outcome, count)| (format!("outcome=\"{outcome}\""), count.to_string()));
        self.counter("turnpike_clearing_records_total", readings);
    }

    fn sums(&mut self, totals: &[Totals]) {
        let posted = totals.iter().flat_map(|totals| {
            let sides = [
                ("wallets", totals.wallets),
                ("funding", totals.funding),
                ("settlement", totals.settlement),
                ("suspense", totals.suspense),
                ("fees", totals.fees),
                ("transit", totals.transit),
                ("adjustments", totals.adjustments),
                ("exchange", totals.exchange),
                ("interest", totals.interest),
            ];
            let currency = totals.currency;
            sides.map(|(side, sum)| (format!("currency=\"{currency}\",side=\"{side}\""), sum.to_string()))
        });
        self.gauge("turnpike_ledger_posted_minor_units", posted);
        let each = |value: fn(&Totals) -> i128| {
            totals
                .iter()
                .map(move |totals| (format!("currency=\"{}\"", totals.currency), value(totals).to_string()))
        };
        self.gauge("turnpike_ledger_held_minor_units", each(|totals| totals.held));
        self.gauge("turnpike_ledger_sum_minor_units", each(Totals::sum));
    }

    /// Nothing but the counter before the first snapshot since the start.
    pub(super) fn snapshots(&mut self, status: &Status) {
        self.counter("turnpike_snapshots_failed_total", plain(status.failures));
        self.gauge("turnpike_snapshot_running", plain(u8::from(status.running)));
        let Some(Made { bytes, took, at, tail, .. }) = status.last else { return };
        self.gauge("turnpike_snapshot_age_seconds", plain(of_duration(at.elapsed())));
        self.gauge("turnpike_snapshot_bytes", plain(bytes));
        self.gauge("turnpike_snapshot_duration_seconds", plain(of_duration(took)));
        self.gauge("turnpike_snapshot_covered_sequence", plain(tail.covered.0));
    }

    /// Nothing where there is to be no history.
    pub(super) fn history(&mut self, status: &history::Status, asked: &Counts) {
        let facts = &status.facts;
        self.gauge("turnpike_history_working", plain(u8::from(status.works())));
        self.gauge("turnpike_history_entries", plain(facts.entries));
        self.gauge("turnpike_history_entries_unflushed", plain(facts.entries_unflushed));
        self.gauge("turnpike_history_runs", plain(facts.runs));
        self.gauge("turnpike_history_disk_bytes", plain(facts.bytes_on_disk));
        self.gauge("turnpike_history_resident_bytes", plain(facts.bytes_resident));
        self.gauge("turnpike_history_contained_sequence", plain(facts.contained_to.0));
        self.counter("turnpike_history_failures_total", plain(status.failures));
        self.counter("turnpike_history_days_shortened_total", plain(status.shortened_days));
        self.counter("turnpike_history_look_ups_total", plain(asked.look_ups));
        self.counter("turnpike_history_look_ups_failed_total", plain(asked.failed));
        self.counter("turnpike_history_look_ups_refused_total", plain(asked.refused));
        self.gauge("turnpike_history_look_ups_waiting", plain(asked.waiting));
        self.counter("turnpike_history_recalled_total", plain(asked.recalled));
        self.counter("turnpike_history_without_total", plain(asked.without));
    }

    pub(super) fn facts(&mut self, facts: &Facts) {
        self.gauge("turnpike_recovery_records", plain(facts.records));
        self.gauge("turnpike_recovery_records_applied", plain(facts.applied));
        self.gauge("turnpike_recovery_duration_seconds", plain(of_duration(facts.took)));
        self.gauge("turnpike_recovery_snapshot_number", plain(facts.snapshot));
        self.gauge("turnpike_recovery_snapshots_damaged", plain(facts.damaged));
        self.gauge("turnpike_recovery_torn_bytes", plain(facts.torn_bytes));
        let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
        self.gauge("turnpike_build_info", [(version, "1".to_owned())]);
        self.gauge("process_start_time_seconds", plain(seconds(facts.started.0)));
    }

    /// Under the names that Prometheus has for every process. Memory is told where the system tells it (Linux).
    pub(super) fn process(&mut self) {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        let cpu = Duration::try_from(cpu).unwrap_or_default();
        self.counter("process_cpu_seconds_total", plain(of_duration(cpu)));
        if let Some(bytes) = resident_bytes() {
            self.gauge("process_resident_memory_bytes", plain(bytes));
        }
    }
}

fn of_duration(duration: Duration) -> String {
    seconds(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// To six decimals.
fn ratio(used: u64, room: u64) -> String {
    let millionths = used.saturating_mul(1_000_000) / room.max(1);
    format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000)
}

fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_shown_as_prometheus_reads_them() {
        let mut page = Page::after("before\n".to_owned());
        page.gauge("a", plain(1));
        page.counter("b_total", [("x=\"y\"".to_owned(), ratio(1, 3)), ("x=\"z\"".to_owned(), ratio(3, 2))]);
        let text = "before\n# TYPE a gauge\na 1\n# TYPE b_total counter\n\
                    b_total{x=\"y\"} 0.333333\nb_total{x=\"z\"} 1.500000\n";
        assert_eq!(page.into_text(), text);
    }
}
