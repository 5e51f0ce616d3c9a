//! What a load test found: for a person, for a machine, and as an exit code. Ratios are of integers, rounded down.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::domain::time::Timestamp;
use crate::edge::exit;
use crate::edge::loadtest::baseline::Baseline;
use crate::edge::loadtest::baseline::Compared;
use crate::edge::loadtest::drive::LoadError;
use crate::edge::loadtest::host::Cores;
use crate::edge::loadtest::host::Host;
use crate::edge::loadtest::host::Processor;
use crate::edge::loadtest::knee;
use crate::edge::loadtest::knee::Knee;
use crate::edge::loadtest::knee::STOLEN_PERMILLE;
use crate::edge::loadtest::knee::per;
use crate::edge::loadtest::measure::Counts;
use crate::edge::loadtest::measure::Interval;
use crate::edge::loadtest::measure::Latencies;
use crate::edge::loadtest::measure::Recorded;
use crate::edge::loadtest::measure::together;
use crate::edge::loadtest::plan::Pace;
use crate::edge::loadtest::plan::Plan;
use crate::edge::loadtest::pump::Stop;
use crate::edge::loadtest::text::time;
use crate::edge::loadtest::threshold::Metric;
use crate::edge::loadtest::threshold::Percentile;
use crate::edge::loadtest::threshold::Threshold;
use crate::edge::loadtest::verbs;
use crate::edge::loadtest::verify::Comparison;
use crate::workload::acquirer::Acquirer;
use crate::workload::answers::Group;
use crate::workload::exchange::Kind;
use crate::workload::model::Example;
use crate::workload::model::Mistake;

/// The exit code of a load test whose threshold failed, or whose money differs.
pub const FAILED: u8 = exit::THRESHOLD;

/// The exit code of a run that was interrupted, as shells have it for SIGINT.
pub const INTERRUPTED: u8 = exit::INTERRUPTED;

/// More than this many thousandths late, and the generator was the limit.
const LATE_PERMILLE_MAX: u64 = 10;
/// More than this many thousandths busy in a closed loop, and the generator was the limit.
const BUSY_PERMILLE_MAX: u64 = 900;
/// Had the generator less than this many thousandths of the time in which it was busy, others ran on its core.
const OWN_PERMILLE_MIN: u64 = 800;
/// Below this many thousandths busy that does not matter.
const BUSY_PERMILLE_TOLD: u64 = 100;
/// A run that achieves less than this many thousandths of its plan is looked into.
const ACHIEVED_PERMILLE_MIN: u64 = 990;

/// What groups are called, in the order of [`Group`].
pub const GROUPS: [&str; Group::COUNT] = ["auth", "reversal", "advice", "management"];
pub(super) const PERCENTILES: [(&str, u32); 6] = [
    ("p50", 50_000),
    ("p90", 90_000),
    ("p99", 99_000),
    ("p99.9", 99_900),
    ("p99.99", 99_990),
    ("max", 100_000),
];

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

impl Judged {
    /// What was measured, in words.
    pub(super) fn words(&self) -> String {
        match self.threshold.metric {
            Metric::Latency(..) => time(self.measured),
            Metric::Errors | Metric::Achieved => {
                format!("{}.{:04} %", self.measured / 10_000, self.measured % 10_000)
            }
            Metric::Mismatch | Metric::Unanswered | Metric::Rate => self.measured.to_string(),
        }
    }
}

/// A target as it was called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// What reports call it.
    pub name: String,
    /// Its dialect's name.
    pub dialect: String,
    /// Where it listens.
    pub address: String,
    /// Its share of an open loop.
    pub weight: u32,
    /// Connections to it.
    pub connections: usize,
}

/// Under which conditions was measured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conditions {
    /// The machine.
    pub host: Host,
    /// Whom it called.
    pub links: Vec<Link>,
    /// How fast messages were to be offered.
    pub pace: Pace,
    /// How long they were to be sent.
    pub length: Duration,
    /// What was left out at the beginning.
    pub warm_up: Duration,
    /// How long an answer was waited for.
    pub timeout: Duration,
    /// The seed of the traffic.
    pub seed: u64,
    /// Holds that were kept alive, where that was not left to the mix.
    pub level: Option<u32>,
    /// They were made before the time began.
    pub filled: bool,
    /// Frames were made before the run.
    pub prepared: bool,
}

impl Conditions {
    fn of(plan: &Plan) -> Self {
        let places = plan.places();
        let link = |(place, target): (usize, &super::plan::Target)| Link {
            name: target.name.clone(),
            dialect: target.dialect.name().to_owned(),
            address: target.address.to_string(),
            weight: target.weight,
            connections: places.iter().filter(|other| **other == place).count(),
        };
        Self {
            host: Host::look(),
            links: plan.targets.iter().enumerate().map(link).collect(),
            pace: plan.pace.clone(),
            length: plan.sending(),
            warm_up: plan.warm_up,
            timeout: plan.timeout,
            seed: plan.traffic.seed,
            level: plan.traffic.level,
            filled: plan.fill,
            prepared: plan.prepare,
        }
    }
}

/// Why a report is of a part only, and the exit code for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Partial {
    /// In words.
    pub reason: String,
    /// The exit code.
    pub code: u8,
}

/// What a run found out beside the answers themselves.
pub(super) struct Found {
    pub(super) began: Timestamp,
    pub(super) recorded: Recorded,
    pub(super) settled: u64,
    pub(super) late_answers: u64,
    pub(super) comparison: Option<Comparison>,
    pub(super) stop: Option<Stop>,
    pub(super) verbs: Option<verbs::Found>,
    pub(super) verbs_lost: bool,
}

/// What a load test found.
#[derive(Clone, Debug)]
pub struct Report {
    /// When sending began.
    pub began: Timestamp,
    /// Under which conditions.
    pub conditions: Conditions,
    /// What happened, the warm-up included.
    pub measured: Counts,
    /// The same by interval.
    pub recorded: Recorded,
    /// Latencies by link and group, without the warm-up.
    pub cells: Vec<Option<Latencies>>,
    /// Latencies by group over all links, without the warm-up.
    pub groups: [Option<Latencies>; Group::COUNT],
    /// Messages that were sent, by kind.
    pub kinds: Vec<(&'static str, u64)>,
    /// Life cycles that were begun, by their names in a mix.
    pub lives: Vec<(&'static str, u64)>,
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
    /// What came of verbs of wallets; `None` when there were none, or nobody answered any more.
    pub verbs: Option<verbs::Found>,
    /// There were some, and what came of them is not known.
    pub verbs_lost: bool,
    /// The thresholds.
    pub thresholds: Vec<Judged>,
    /// Cards of the seed file that could not be used.
    pub cards_left_out: u64,
    /// Nothing was judged: the peer sent frames back as they came.
    pub echo: bool,
    /// Why it is of a part of a run only; `None` for a whole one.
    pub partial: Option<Partial>,
    /// The knee of a run whose rate climbed.
    pub knee: Option<Knee>,
    /// The comparison with an earlier report.
    pub compared: Vec<Compared>,
}

impl Report {
    /// The report of a run that could not even begin.
    #[must_use]
    pub fn not_begun(conditions: Conditions, error: &LoadError, now: Timestamp) -> Self {
        let partial = Partial { reason: error.to_string(), code: error.exit_code() };
        Self {
            began: now,
            conditions,
            measured: Counts::default(),
            recorded: Recorded::default(),
            cells: Vec::new(),
            groups: [const { None }; Group::COUNT],
            kinds: Vec::new(),
            lives: Vec::new(),
            codes: Vec::new(),
            refused: 0,
            late_answers: 0,
            settled: 0,
            unsettled: 0,
            mistakes: [0; Mistake::ALL.len()],
            examples: Vec::new(),
            comparison: None,
            verbs: None,
            verbs_lost: false,
            thresholds: Vec::new(),
            cards_left_out: 0,
            echo: false,
            partial: Some(partial),
            knee: None,
            compared: Vec::new(),
        }
    }

    /// The conditions of a plan.
    #[must_use]
    pub fn conditions(plan: &Plan) -> Conditions {
        Conditions::of(plan)
    }

    pub(super) fn new(plan: &Plan, acquirer: &Acquirer, found: Found) -> Self {
        let mut open = Vec::new();
        if plan.settle {
            acquirer.unsettled(&mut open);
        }
        let others = [Kind::Late, Kind::Echo].map(|kind| (kind, kind.name()));
        let of_lives = Kind::OF_LIVES.map(|kind| (kind, kind.name()));
        let kinds = Kind::DRAWN.into_iter().chain(others).chain(of_lives);
        let kinds = kinds.map(|(kind, name)| (name, acquirer.sent_by(kind)));
        let codes = acquirer.codes_seen().map(|(code, count)| (String::from_utf8_lossy(&code).into(), count));
        let recorded = found.recorded;
        let cells = recorded.merged(recorded.counted());
        let group = |group| together(cells.iter().skip(group).step_by(Group::COUNT));
        let groups = [group(0), group(1), group(2), group(3)];
        let knee = plan.pace.climbs().then(|| knee::find(&recorded, &plan.pieces(), plan.knee_within));
        let code = |stop| if stop == Stop::Interrupted { INTERRUPTED } else { exit::UNAVAILABLE };
        let mut report = Self {
            began: found.began,
            conditions: Conditions::of(plan),
            measured: recorded.counts,
            groups,
            cells,
            recorded,
            kinds: kinds.filter(|(_, count)| *count > 0).collect(),
            lives: acquirer.lives_begun().filter(|(_, count)| *count > 0).collect(),
            codes: codes.collect(),
            refused: acquirer.refusals_seen(),
            late_answers: found.late_answers,
            settled: found.settled,
            unsettled: open.len() as u64,
            mistakes: *acquirer.model().mistakes(),
            examples: acquirer.model().examples().to_vec(),
            comparison: found.comparison,
            verbs: found.verbs,
            verbs_lost: found.verbs_lost,
            thresholds: Vec::new(),
            cards_left_out: acquirer.population().left_out(),
            echo: plan.echo,
            partial: found.stop.map(|stop| Partial { reason: stop.to_string(), code: code(stop) }),
            knee,
            compared: Vec::new(),
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

    /// Compares it with an earlier one.
    pub fn compare(&mut self, baseline: &Baseline) {
        self.compared = baseline.compare(&self.to_json());
    }

    /// What happened after the warm-up while messages were sent, and how long that was.
    #[must_use]
    pub fn counted(&self) -> (Counts, Duration) {
        let mut counts = Counts::default();
        self.recorded.counted().for_each(|interval| counts.add(&interval.counts));
        let length = self.recorded.counted().map(|interval| interval.end - interval.start).sum();
        (counts, Duration::from_nanos(length))
    }

    /// Messages a second that were planned after the warm-up; `None` for a closed loop.
    #[must_use]
    pub fn planned_rate(&self) -> Option<u64> {
        let planned = self.recorded.counted().map(|interval| interval.planned).sum();
        let open = !matches!(self.conditions.pace, Pace::Closed { .. });
        open.then(|| per_second(planned, self.counted().1))
    }

    /// Messages a second that were sent after the warm-up.
    #[must_use]
    pub fn sent_rate(&self) -> u64 {
        let (counts, length) = self.counted();
        per_second(counts.sent, length)
    }

    /// Answers a second after the warm-up, while messages were sent.
    #[must_use]
    pub fn rate(&self) -> u64 {
        let (counts, length) = self.counted();
        per_second(counts.answered, length)
    }

    /// Mistakes, differences, and what could not be settled: anything above zero is wrong money or a wrong answer.
    #[must_use]
    pub fn mismatches(&self) -> u64 {
        self.wrong() + self.unsettled
    }

    /// Mistakes and differences.
    fn wrong(&self) -> u64 {
        let differences = self.comparison.as_ref().map_or(0, |comparison| comparison.differences);
        self.mistakes.iter().sum::<u64>() + differences
    }

    /// What a threshold looks at.
    #[must_use]
    pub fn metric(&self, metric: Metric) -> u64 {
        let millionths = |part, whole| per(part, 1_000_000, whole);
        match metric {
            Metric::Latency(of, percentile) => {
                let latencies = self.groups.get(of as usize).and_then(Option::as_ref);
                latencies.map_or(0, |latencies| at(&latencies.response, percentile))
            }
            Metric::Errors => millionths(self.refused + self.measured.given_up, self.measured.sent),
            Metric::Mismatch => self.mismatches(),
            Metric::Unanswered => self.measured.given_up,
            Metric::Rate => self.rate(),
            Metric::Achieved => millionths(self.rate(), self.planned_rate().unwrap_or_else(|| self.rate())),
        }
    }

    /// Why the figures say more about the generator or the machine than about the daemon, where they do.
    #[must_use]
    pub fn invalid(&self) -> Vec<String> {
        let (counts, length) = self.counted();
        let mut reasons = Vec::new();
        let (late, busy) = (per(counts.late, 1_000, counts.sent), self.busy_permille());
        let processor = u64::try_from(self.processor().all.as_nanos()).unwrap_or(u64::MAX);
        let own = per(processor, 1_000, counts.busy);
        if late > LATE_PERMILLE_MAX {
            reasons.push(format!("the generator was the limit: {late} of 1000 messages left late"));
        }
        // An open loop sends what has become due meanwhile at once: it is always busy at a high rate, and late at its
        // limit. A closed loop is never late.
        let closed = matches!(self.conditions.pace, Pace::Closed { .. });
        if closed && busy > BUSY_PERMILLE_MAX {
            reasons.push(format!(
                "the generator was the limit: it was busy for {busy} of 1000 parts of the time"
            ));
        }
        if processor > 0 && busy > BUSY_PERMILLE_TOLD && own < OWN_PERMILLE_MIN {
            reasons.push(format!(
                "the generator did not have its core: it ran for {own} of 1000 parts of the time in which it was busy"
            ));
        }
        let planned = self.planned_rate().unwrap_or(0);
        let short = per(self.sent_rate(), 1_000, planned) < ACHIEVED_PERMILLE_MIN;
        if planned > 0 && !length.is_zero() && short && counts.held_back == 0 && reasons.is_empty() {
            reasons.push(format!(
                "the generator was the limit: it sent {} of {planned} a second, and no peer held it back",
                self.sent_rate()
            ));
        }
        let stolen = self.stolen_permille();
        if stolen > STOLEN_PERMILLE {
            reasons.push(format!("the machine's host took {stolen} of 1000 parts of its time for others"));
        }
        reasons
    }

    /// Thousandths of the time in which the generator had something to do.
    #[must_use]
    pub fn busy_permille(&self) -> u64 {
        let (counts, length) = self.counted();
        per(counts.busy, 1_000, u64::try_from(length.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Thousandths of the machine's time that its host took.
    #[must_use]
    pub fn stolen_permille(&self) -> u64 {
        let cores = self.recorded.counted().fold(Cores::default(), |sum, interval| Cores {
            all: sum.all + interval.cores.all,
            stolen: sum.stolen + interval.cores.stolen,
        });
        per(cores.stolen, 1_000, cores.all)
    }

    /// Processor time of the generator while messages were sent, without the warm-up.
    #[must_use]
    pub fn processor(&self) -> Processor {
        self.recorded.counted().fold(Processor::default(), |sum, Interval { processor, .. }| Processor {
            all: sum.all + processor.all,
            user: sum.user + processor.user,
            system: sum.system + processor.system,
        })
    }

    /// Processor time of the daemon's threads without the warm-up, and of it for each answer that came; `None` where
    /// they were not watched.
    #[must_use]
    pub fn daemon(&self) -> Option<(Duration, Duration)> {
        let used: Option<Vec<Duration>> = self
            .recorded
            .counted()
            .map(|interval| interval.daemon.as_ref().map(|daemon| daemon.all))
            .collect();
        let all: Duration = used.filter(|used| !used.is_empty())?.into_iter().sum();
        let answered = u128::from(self.counted().0.answered.max(1));
        Some((all, Duration::from_nanos(u64::try_from(all.as_nanos() / answered).unwrap_or(u64::MAX))))
    }

    /// The longest time between due and sent, without the warm-up; nanoseconds.
    #[must_use]
    pub fn slip_max(&self) -> u64 {
        self.recorded.counted().map(|interval| interval.slip).max().unwrap_or(0)
    }

    /// 99 when money or an answer was wrong; else what ended the run early; else 99 when a threshold failed or a
    /// figure regressed; else 0.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let of_verbs = self.verbs.as_ref().map_or(0, verbs::Found::mistakes);
        if self.wrong() > 0 || of_verbs > 0 || self.verbs_lost && self.partial.is_none() {
            return FAILED;
        }
        if let Some(partial) = &self.partial {
            return partial.code;
        }
        let met = self.thresholds.iter().all(|judged| judged.met);
        let kept = self.compared.iter().all(|compared| !compared.regressed);
        if met && kept && self.unsettled == 0 { 0 } else { FAILED }
    }
}

/// Nanoseconds at a percentile; the histogram counts quantiles in floating point.
pub(super) fn at(histogram: &Histogram<u64>, percentile: Percentile) -> u64 {
    if percentile.0 >= 100_000 {
        return histogram.max();
    }
    #[expect(clippy::float_arithmetic, reason = "a rank among samples, not money")]
    let quantile = f64::from(percentile.0) / 100_000.0;
    histogram.value_at_quantile(quantile)
}

fn per_second(count: u64, time: Duration) -> u64 {
    u64::try_from(u128::from(count) * 1_000_000_000 / time.as_nanos().max(1)).unwrap_or(u64::MAX)
}
