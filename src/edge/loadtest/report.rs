//! What a load test found: for a person, for a machine, and as an exit code. Ratios are of integers, rounded down.

use std::fmt;
use std::fmt::Write;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::Value;
use serde_json::json;

use crate::domain::time::Timestamp;
use crate::edge::loadtest::measure::Latencies;
use crate::edge::loadtest::measure::Measured;
use crate::edge::loadtest::plan::Pace;
use crate::edge::loadtest::plan::Plan;
use crate::edge::loadtest::threshold::Metric;
use crate::edge::loadtest::threshold::Of;
use crate::edge::loadtest::threshold::Percentile;
use crate::edge::loadtest::threshold::Threshold;
use crate::edge::loadtest::verify::Comparison;
use crate::workload::acquirer::Acquirer;
use crate::workload::exchange::Kind;
use crate::workload::model::Example;
use crate::workload::model::Mistake;

/// The exit code of a load test whose threshold failed, or whose money differs.
pub const FAILED: u8 = 99;

/// More than this many thousandths late, and the generator was the limit.
const LATE_PERMILLE_MAX: u64 = 10;
/// More than this many thousandths busy, and the generator was the limit.
const BUSY_PERMILLE_MAX: u64 = 900;

const GROUPS: [&str; 3] = ["auth", "reversal", "management"];
const PERCENTILES: [(&str, u32); 5] =
    [("p50", 50_000), ("p90", 90_000), ("p99", 99_000), ("p99.9", 99_900), ("max", 100_000)];

/// A threshold and how it went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judged {
    /// The threshold.
    pub threshold: Threshold,
    /// What was measured, in the metric's unit.
    pub measured: u64,
    /// Whether it was met.
    pub met: bool,
}

/// What a load test found.
#[derive(Clone, Debug)]
pub struct Report {
    /// When sending began.
    pub began: Timestamp,
    /// How fast messages were to be offered.
    pub pace: Pace,
    /// Connections over all targets.
    pub connections: usize,
    /// What was measured.
    pub measured: Measured,
    /// Messages that were sent, by kind.
    pub kinds: Vec<(&'static str, u64)>,
    /// Answers by DE 39.
    pub codes: Vec<(String, u64)>,
    /// Answers that say "not now" (91) or "out of order" (96).
    pub refused: u64,
    /// Answers that came after they were given up.
    pub late_answers: u64,
    /// Exchanges without an answer that were settled by a reversal (R33).
    pub settled: u64,
    /// Exchanges that may have moved money and could not be settled.
    pub unsettled: u64,
    /// Mistakes in answers, in the order of [`Mistake::ALL`].
    pub mistakes: [u64; Mistake::ALL.len()],
    /// The first of them.
    pub examples: Vec<Example>,
    /// The comparison of the money; `None` when none was asked for.
    pub comparison: Option<Comparison>,
    /// The thresholds.
    pub thresholds: Vec<Judged>,
    /// Cards of the seed file that could not be used.
    pub cards_left_out: u64,
    /// Nothing was judged: the peer sent frames back as they came.
    pub echo: bool,
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        acquirer: &Acquirer,
        measured: Measured,
        settled: u64,
        comparison: Option<Comparison>,
        began: Timestamp,
    ) -> Self {
        let mut open = Vec::new();
        if plan.settle {
            acquirer.unsettled(&mut open);
        }
        let others = [Kind::Late, Kind::Echo].map(|kind| (kind, kind.name()));
        let kinds = Kind::DRAWN.into_iter().chain(others).map(|(kind, name)| (name, acquirer.sent_by(kind)));
        let codes = acquirer.codes_seen().map(|(code, count)| (String::from_utf8_lossy(&code).into(), count));
        let mut report = Self {
            began,
            pace: plan.pace,
            connections: plan.targets.len() * plan.connections,
            measured,
            kinds: kinds.filter(|(_, count)| *count > 0).collect(),
            codes: codes.collect(),
            refused: acquirer.refusals_seen(),
            late_answers: acquirer.late_answers(),
            settled,
            unsettled: open.len() as u64,
            mistakes: *acquirer.model().mistakes(),
            examples: acquirer.model().examples().to_vec(),
            comparison,
            thresholds: Vec::new(),
            cards_left_out: acquirer.population().left_out(),
            echo: plan.echo,
        };
        report.thresholds = plan
            .thresholds
            .iter()
            .map(|threshold| {
                let measured = report.metric(threshold.metric);
                Judged { threshold: threshold.clone(), measured, met: threshold.is_met(measured) }
            })
            .collect();
        report
    }

    /// Messages that were answered a second, in the time in which messages were sent.
    #[must_use]
    pub fn rate(&self) -> u64 {
        per_second(self.measured.answered, self.measured.sending)
    }

    /// Mistakes, differences, and what could not be settled: anything above zero is wrong money or a wrong answer.
    #[must_use]
    pub fn mismatches(&self) -> u64 {
        let differences = self.comparison.as_ref().map_or(0, |comparison| comparison.differences);
        self.mistakes.iter().sum::<u64>() + differences + self.unsettled
    }

    /// What a threshold looks at.
    #[must_use]
    pub fn metric(&self, metric: Metric) -> u64 {
        match metric {
            Metric::Latency(of, percentile) => {
                let group = match of {
                    Of::Authorization => 0,
                    Of::Reversal => 1,
                    Of::Management => 2,
                };
                at(&self.measured.groups[group].response, percentile)
            }
            Metric::Errors => {
                let errors = u128::from(self.refused + self.measured.given_up) * 1_000_000;
                u64::try_from(errors / u128::from(self.measured.sent.max(1))).unwrap_or(u64::MAX)
            }
            Metric::Mismatch => self.mismatches(),
            Metric::Unanswered => self.measured.given_up,
            Metric::Rate => self.rate(),
        }
    }

    /// Why the figures say more about the generator than about the daemon, when they do.
    #[must_use]
    pub fn invalid(&self) -> Option<String> {
        let late = permille(self.measured.late, self.measured.sent);
        if late > LATE_PERMILLE_MAX {
            return Some(format!("generator was the limit: {late} of 1000 messages left late"));
        }
        let busy = self.busy_permille();
        let closed = matches!(self.pace, Pace::Closed { .. });
        (closed && busy > BUSY_PERMILLE_MAX)
            .then(|| format!("generator was the limit: it was busy for {busy} of 1000 parts of the time"))
    }

    fn busy_permille(&self) -> u64 {
        let part = u64::try_from(self.measured.busy.as_nanos()).unwrap_or(u64::MAX);
        permille(part, u64::try_from(self.measured.sending.as_nanos()).unwrap_or(u64::MAX))
    }

    /// 0, or 99 when a threshold failed, the money differs or an answer was wrong.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let met = self.thresholds.iter().all(|judged| judged.met);
        if met && self.mismatches() == 0 { 0 } else { FAILED }
    }

    /// Everything, for a machine. Times are nanoseconds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let measured = &self.measured;
        let latencies: serde_json::Map<String, Value> = GROUPS
            .iter()
            .zip(&measured.groups)
            .map(|(name, group)| ((*name).to_owned(), latencies_json(group)))
            .collect();
        let pairs = |pairs: Vec<(String, u64)>| -> Value {
            pairs.into_iter().map(|(name, count)| (name, Value::from(count))).collect()
        };
        let mistakes = Mistake::ALL.iter().zip(self.mistakes);
        let planned = match self.pace {
            Pace::Open { rate } => json!({ "rate": rate }),
            Pace::Closed { window } => json!({ "window": window }),
        };
        json!({
            "schema": 1,
            "began": self.began.to_string(),
            "planned": planned,
            "connections": self.connections,
            "sending_ns": measured.sending.as_nanos() as u64,
            "sent": measured.sent,
            "answered": measured.answered,
            "rate": self.rate(),
            "unanswered": measured.given_up,
            "late_answers": self.late_answers,
            "settled": self.settled,
            "unsettled": self.unsettled,
            "lost_connections": measured.lost_connections,
            "kinds": pairs(self.kinds.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()),
            "response_codes": pairs(self.codes.clone()),
            "latency_ns": latencies,
            "mismatches": self.mismatches(),
            "mistakes": pairs(mistakes.map(|((_, name), count)| ((*name).to_owned(), count)).collect()),
            "examples": self.examples.iter().map(example).collect::<Vec<String>>(),
            "money": self.comparison.as_ref().map(comparison_json),
            "generator": {
                "busy_permille": self.busy_permille(),
                "processor_ns": measured.processor.as_nanos() as u64,
                "late": measured.late,
                "held_back": measured.held_back,
                "slip_max_ns": measured.slip_max.as_nanos() as u64,
                "invalid": self.invalid(),
            },
            "thresholds": self.thresholds.iter().map(|judged| json!({
                "threshold": judged.threshold.to_string(),
                "measured": judged.measured,
                "met": judged.met,
            })).collect::<Vec<Value>>(),
            "exit_code": self.exit_code(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = &self.measured;
        match self.pace {
            Pace::Open { rate } => write!(f, "planned {rate}/s")?,
            Pace::Closed { window } => write!(f, "planned {window} in flight a connection")?,
        }
        let (seconds, ms) = (measured.sending.as_secs(), measured.sending.subsec_millis());
        writeln!(f, " on {} connections for {seconds}.{ms:03} s", self.connections)?;
        writeln!(f, "achieved {}/s: {} sent, {} answered", self.rate(), measured.sent, measured.answered)?;
        let sent: Vec<String> = self.kinds.iter().map(|(name, count)| format!("{name} {count}")).collect();
        writeln!(f, "sent       {}", sent.join(", "))?;
        let codes: Vec<String> = self.codes.iter().map(|(code, count)| format!("{code}: {count}")).collect();
        writeln!(f, "DE 39      {}", codes.join(", "))?;
        for (name, group) in
            GROUPS.iter().zip(&measured.groups).filter(|(_, group)| !group.response.is_empty())
        {
            writeln!(f, "{name:<11}{} from due", latency_line(&group.response))?;
            writeln!(f, "{:<11}{} from sent", "", latency_line(&group.service))?;
        }
        writeln!(
            f,
            "open       {} unanswered, {} late answers, {} settled, {} not settled, {} connections lost",
            measured.given_up, self.late_answers, self.settled, self.unsettled, measured.lost_connections
        )?;
        self.write_money(f)?;
        self.write_generator(f)?;
        for judged in &self.thresholds {
            let word = if judged.met { "met" } else { "FAILED" };
            writeln!(f, "threshold {} {word}, measured {}", judged.threshold, judged.measured)?;
        }
        Ok(())
    }
}

impl Report {
    fn write_money(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.echo {
            return writeln!(f, "money      not judged: the peer only sends back what it gets");
        }
        let mistakes: u64 = self.mistakes.iter().sum();
        writeln!(f, "answers    {mistakes} wrong")?;
        for ((_, name), count) in Mistake::ALL.iter().zip(self.mistakes).filter(|(_, count)| *count > 0) {
            writeln!(f, "           {name} {count}")?;
        }
        for one in &self.examples {
            writeln!(f, "           {}", example(one))?;
        }
        if self.cards_left_out > 0 {
            writeln!(f, "           {} cards without 16 digits were left out", self.cards_left_out)?;
        }
        match &self.comparison {
            None => writeln!(f, "money      not compared"),
            Some(found) => {
                writeln!(
                    f,
                    "money      {} differences in {} of {} wallets and the totals of all, at sequence {}",
                    found.differences, found.wallets, found.of_wallets, found.sequence
                )?;
                found.told.iter().try_for_each(|words| writeln!(f, "           {words}"))
            }
        }
    }

    fn write_generator(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measured = &self.measured;
        let (busy, slip) = (self.busy_permille(), time(measured.slip_max.as_nanos() as u64));
        writeln!(
            f,
            "generator  busy {}.{} % of the time, {} of processor time; {} messages late, {} held back by the peer, \
             slip at most {slip}",
            busy / 10,
            busy % 10,
            time(measured.processor.as_nanos() as u64),
            measured.late,
            measured.held_back
        )?;
        match self.invalid() {
            Some(why) => writeln!(f, "invalid    {why}"),
            None => Ok(()),
        }
    }
}

fn example(example: &Example) -> String {
    let mut words = example.mistake.name().to_owned();
    if let Some(kind) = example.kind {
        let _infallible = write!(words, ": {}", kind.name());
    }
    if let Some(number) = example.number {
        let _infallible = write!(words, " {number}");
    }
    let _infallible = write!(words, " answered {}", String::from_utf8_lossy(&example.code));
    words
}

fn comparison_json(found: &Comparison) -> Value {
    json!({
        "wallets": found.wallets,
        "of_wallets": found.of_wallets,
        "differences": found.differences,
        "told": found.told,
        "sequence": found.sequence,
    })
}

fn latencies_json(latencies: &Latencies) -> Value {
    let of = |histogram: &Histogram<u64>| {
        let mut row: serde_json::Map<String, Value> = PERCENTILES
            .iter()
            .map(|(name, percentile)| {
                ((*name).to_owned(), Value::from(at(histogram, Percentile(*percentile))))
            })
            .collect();
        row.insert("samples".to_owned(), Value::from(histogram.len()));
        Value::Object(row)
    };
    json!({ "from_due": of(&latencies.response), "from_sent": of(&latencies.service) })
}

fn latency_line(histogram: &Histogram<u64>) -> String {
    let mut line = String::new();
    for (name, percentile) in PERCENTILES {
        let _infallible = write!(line, "{name} {}, ", time(at(histogram, Percentile(percentile))));
    }
    let _infallible = write!(line, "{} samples", histogram.len());
    line
}

/// Nanoseconds at a percentile; the histogram counts quantiles in floating point.
fn at(histogram: &Histogram<u64>, percentile: Percentile) -> u64 {
    if percentile.0 >= 100_000 {
        return histogram.max();
    }
    #[expect(clippy::float_arithmetic, reason = "a rank among samples, not money")]
    let quantile = f64::from(percentile.0) / 100_000.0;
    histogram.value_at_quantile(quantile)
}

/// A time with three digits or more in the unit that suits it.
fn time(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{}.{} us", ns / 1_000, ns / 100 % 10),
        1_000_000..1_000_000_000 => format!("{}.{:02} ms", ns / 1_000_000, ns / 10_000 % 100),
        _ => format!("{}.{:02} s", ns / 1_000_000_000, ns / 10_000_000 % 100),
    }
}

fn permille(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 1_000 / u128::from(whole.max(1))).unwrap_or(u64::MAX)
}

fn per_second(count: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(count) * 1_000_000_000 / time.as_nanos().max(1)).unwrap_or(u64::MAX)
}
