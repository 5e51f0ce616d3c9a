//! Histograms of fixed buckets, as Prometheus reads them. The library's own keep every sample until they are read;
//! these are a few counters, to which whoever counts adds once a batch.

use std::fmt::Write;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use crate::pipeline::spread::BOUNDS;
use crate::pipeline::spread::Spread;

/// What the values of a histogram are, with the first bound in that unit; each next bound is twice the one before it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unit {
    /// Nanoseconds, from 1 us; shown in seconds.
    Seconds,
    /// Things, from one.
    Count,
    /// Bytes, from a block of 4 KiB.
    Bytes,
}

/// The first bound of bytes.
pub(super) const BLOCK: u64 = 4_096;

/// One time series.
pub(super) struct Histogram {
    name: &'static str,
    /// Names with values, comma separated, as they are shown.
    labels: String,
    unit: Unit,
    counts: [AtomicU64; BOUNDS + 1],
    sum: AtomicU64,
}

impl Histogram {
    pub(super) fn new(name: &'static str, unit: Unit, labels: &[(&str, &str)]) -> Self {
        let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        Self {
            name,
            labels: labels.join(","),
            unit,
            counts: [const { AtomicU64::new(0) }; BOUNDS + 1],
            sum: AtomicU64::new(0),
        }
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// Adds what was counted elsewhere, which then counts anew.
    pub(super) fn add<const STEP: u64>(&self, spread: &mut Spread<STEP>) {
        if spread.is_empty() {
            return;
        }
        let sum = spread.drain(|bucket, count| {
            self.counts[bucket].fetch_add(count, Ordering::Relaxed);
        });
        self.sum.fetch_add(sum, Ordering::Relaxed);
    }

    /// Adds one value.
    pub(super) fn record(&self, value: u64) {
        let bucket = match self.unit {
            Unit::Seconds => Spread::<1_000>::bucket(value),
            Unit::Count => Spread::<1>::bucket(value),
            Unit::Bytes => Spread::<BLOCK>::bucket(value),
        };
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Appends its lines, without the one of its type.
    pub(super) fn render(&self, out: &mut String) {
        let Self { name, labels, .. } = self;
        let separator = if labels.is_empty() { "" } else { "," };
        let mut total = 0;
        for (at, count) in self.counts.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            let bound = if at < BOUNDS { self.bound(at) } else { "+Inf".to_owned() };
            let _ = writeln!(out, "{name}_bucket{{{labels}{separator}le=\"{bound}\"}} {total}");
        }
        let braces = if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        let sum = self.sum.load(Ordering::Relaxed);
        let sum = if self.unit == Unit::Seconds { seconds(sum) } else { sum.to_string() };
        let _ = writeln!(out, "{name}_sum{braces} {sum}\n{name}_count{braces} {total}");
    }

    fn bound(&self, at: usize) -> String {
        match self.unit {
            Unit::Seconds => seconds(1_000 << at),
            Unit::Count => (1_u64 << at).to_string(),
            Unit::Bytes => (BLOCK << at).to_string(),
        }
    }
}

/// Nanoseconds as seconds, without zeros at the end.
pub(super) fn seconds(ns: u64) -> String {
    let text = format!("{}.{:09}", ns / 1_000_000_000, ns % 1_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::spread::Times;

    #[test]
    fn buckets_are_cumulative_and_bounds_are_in_base_units() {
        let histogram = Histogram::new("h_seconds", Unit::Seconds, &[("stage", "x")]);
        let mut times = Times::default();
        times.add(900, 2);
        times.add(3_000, 1);
        times.add(10_000_000_000, 1);
        histogram.add(&mut times);
        histogram.record(2_000);
        let mut out = String::new();
        histogram.render(&mut out);
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines[0], "h_seconds_bucket{stage=\"x\",le=\"0.000001\"} 2");
        assert_eq!(lines[1], "h_seconds_bucket{stage=\"x\",le=\"0.000002\"} 3");
        assert_eq!(lines[2], "h_seconds_bucket{stage=\"x\",le=\"0.000004\"} 4");
        assert_eq!(lines[22], "h_seconds_bucket{stage=\"x\",le=\"4.194304\"} 4");
        assert_eq!(lines[23], "h_seconds_bucket{stage=\"x\",le=\"+Inf\"} 5");
        assert_eq!(lines[24], "h_seconds_sum{stage=\"x\"} 10.0000068");
        assert_eq!(lines[25], "h_seconds_count{stage=\"x\"} 5");
    }

    #[test]
    fn counts_and_bytes_have_bounds_of_their_own() {
        for (unit, value, first, sum) in [
            (Unit::Count, 1, "h_bucket{le=\"1\"} 1", "h_sum 1"),
            (Unit::Bytes, 4_096, "h_bucket{le=\"4096\"} 1", "h_sum 4096"),
        ] {
            let histogram = Histogram::new("h", unit, &[]);
            histogram.record(value);
            let mut out = String::new();
            histogram.render(&mut out);
            assert!(out.starts_with(first) && out.contains(sum), "{out}");
        }
    }
}
