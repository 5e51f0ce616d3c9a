//! The knee of a ramp or of steps: the highest rate that was held, and what gave way above it.

use std::fmt;
use std::time::Duration;

use crate::edge::loadtest::measure::Counts;
use crate::edge::loadtest::measure::Recorded;
use crate::edge::loadtest::measure::together;
use crate::edge::loadtest::schedule::Piece;
use crate::edge::loadtest::text::time;

/// A step holds while at least so many thousandths of what was planned are sent, and answered with a decision.
const HELD_PERMILLE: u64 = 990;
/// Without a bound given, a step's 99.9th percentile may be so many times that of the first.
const TIMES_FIRST: u64 = 10;
/// A core that is busy for so many thousandths of the time is at its limit.
const BUSY_PERMILLE: u64 = 900;
/// More than so many thousandths of answers 91 or 96, of messages held back, and of messages late, say where the limit
/// is.
const REFUSED_PERMILLE: u64 = 1;
const HELD_BACK_PERMILLE: u64 = 10;
const LATE_PERMILLE: u64 = 10;
/// More than so many thousandths of the machine's time taken by its host are no small disturbance.
pub(super) const STOLEN_PERMILLE: u64 = 50;

/// What a limit was met in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Limit {
    /// The generator could not send any faster, or was not run in time; thousandths of messages that left late.
    Generator(u64),
    /// The daemon answered "not now" (91) or "out of order" (96): journal or tables; thousandths of its answers.
    Refused(u64),
    /// A thread of the daemon; its name, and thousandths of its time.
    Daemon(String, u64),
    /// The peer did not read what was written; thousandths of messages.
    HeldBack(u64),
    /// The machine's host took time away; thousandths of all.
    Stolen(u64),
    /// Answers took longer than the bound, or did not come, and nothing else was seen; nanoseconds.
    Latency(u64),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |permille: u64| format!("{}.{} %", permille / 10, permille % 10);
        match self {
            Self::Generator(late) => {
                write!(f, "the generator: {} of messages left late", percent(*late))
            }
            Self::Refused(part) => write!(
                f,
                "the daemon's gate: {} of answers were 91 or 96 (journal behind, or tables full)",
                percent(*part)
            ),
            Self::Daemon(name, busy) => {
                write!(f, "the daemon's processor: thread `{name}` was busy {} of the time", percent(*busy))
            }
            Self::HeldBack(part) => {
                write!(f, "sockets: the peer did not read, {} of messages were held back", percent(*part))
            }
            Self::Stolen(part) => write!(f, "the machine: its host took {} of the time", percent(*part)),
            Self::Latency(ns) => {
                write!(f, "latency: p99.9 was {}; nothing else was seen at its limit", time(*ns))
            }
        }
    }
}

/// One step of the profile and how it went.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Step {
    /// Messages a second that were planned.
    pub planned: u64,
    /// Messages a second that were sent.
    pub sent: u64,
    /// Answers a second that were decisions, not "not now" or "out of order".
    pub answered: u64,
    /// 99.9th percentile from when messages were due, nanoseconds; all groups and links.
    pub p999: u64,
    /// How many samples that is of.
    pub samples: u64,
    /// It was held.
    pub held: bool,
    /// Every limit that was met in it.
    pub limits: Vec<Limit>,
}

/// What the profile found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Knee {
    /// All steps.
    pub steps: Vec<Step>,
    /// The place of the highest step that was held; `None` when none was.
    pub knee: Option<usize>,
    /// The bound on the 99.9th percentile, nanoseconds.
    pub within: u64,
}

impl Knee {
    /// The step above the knee, where something gave way; `None` when all steps were held.
    #[must_use]
    pub fn above(&self) -> Option<&Step> {
        let knee = self.knee.and_then(|place| self.steps.get(place));
        let higher = |step: &&Step| !step.held && knee.is_none_or(|knee| step.planned > knee.planned);
        self.steps.iter().filter(higher).min_by_key(|step| step.planned)
    }

    /// In words: the knee, and what saturated.
    #[must_use]
    pub fn words(&self) -> String {
        let held = match self.knee.and_then(|place| self.steps.get(place)) {
            Some(step) => format!("{}/s was held, p99.9 {}", step.planned, time(step.p999)),
            None => "no step was held".to_owned(),
        };
        let Some(above) = self.above() else {
            return format!("{held}; all steps were held, so the knee is higher");
        };
        let limits: Vec<String> = above.limits.iter().map(ToString::to_string).collect();
        format!("{held}; at {}/s saturated: {}", above.planned, limits.join("; "))
    }
}

/// Finds the knee of a run whose rate climbed.
pub(super) fn find(recorded: &Recorded, pieces: &[Piece], within: Option<Duration>) -> Knee {
    let mut steps: Vec<Step> = pieces.iter().filter_map(|piece| measure(recorded, piece)).collect();
    let first = steps.iter().min_by_key(|step| step.planned).map_or(0, |step| step.p999);
    let bound = within.map_or(first.saturating_mul(TIMES_FIRST), |within| {
        u64::try_from(within.as_nanos()).unwrap_or(u64::MAX)
    });
    judge(&mut steps, bound);
    let held = steps.iter().enumerate().filter(|(_, step)| step.held);
    let knee = held.max_by_key(|(_, step)| step.planned).map(|(place, _)| place);
    Knee { steps, knee, within: bound }
}

fn judge(steps: &mut [Step], bound: u64) {
    for step in steps {
        let achieved = step.sent.min(step.answered);
        let enough = achieved.saturating_mul(1_000) >= step.planned.saturating_mul(HELD_PERMILLE);
        step.held = enough && step.samples > 0 && step.p999 <= bound;
        if !step.held && step.limits.is_empty() {
            step.limits.push(Limit::Latency(step.p999));
        }
    }
}

/// A step as it went; `None` when the run ended before it, or it was warm-up.
fn measure(recorded: &Recorded, piece: &Piece) -> Option<Step> {
    let within = || recorded.counted().filter(|one| one.start >= piece.start && one.end <= piece.end);
    let mut counts = Counts::default();
    within().for_each(|interval| counts.add(&interval.counts));
    let length: u64 = within().map(|interval| interval.end - interval.start).sum();
    if length == 0 {
        return None;
    }
    let refused: u64 = within().map(|interval| interval.refused).sum();
    let (stolen, all) = within()
        .fold((0, 0), |(stolen, all), interval| (stolen + interval.cores.stolen, all + interval.cores.all));
    let daemon = within().filter_map(|interval| interval.daemon.as_ref()).max_by_key(|daemon| daemon.busiest);
    let busiest: Duration =
        within().filter_map(|interval| interval.daemon.as_ref()).map(|daemon| daemon.busiest).sum();
    let latencies = together(recorded.merged(within()).iter());
    let per_second = |count: u64| per(count, 1_000_000_000, length);
    let busiest = per(u64::try_from(busiest.as_nanos()).unwrap_or(u64::MAX), 1_000, length);
    let own = gate_and_generator(per(refused, 1_000, counts.answered), per(counts.late, 1_000, counts.sent));
    let evidence = [
        over(busiest, BUSY_PERMILLE)
            .map(|busy| Limit::Daemon(daemon.map_or(String::new(), |daemon| daemon.name.clone()), busy)),
        over(per(counts.held_back, 1_000, counts.sent), HELD_BACK_PERMILLE).map(Limit::HeldBack),
        over(per(stolen, 1_000, all), STOLEN_PERMILLE).map(Limit::Stolen),
    ];
    Some(Step {
        planned: piece.rate,
        sent: per_second(counts.sent),
        answered: per_second(counts.answered.saturating_sub(refused)),
        p999: latencies.as_ref().map_or(0, |all| all.response.value_at_quantile(0.999)),
        samples: latencies.as_ref().map_or(0, |all| all.response.len()),
        held: false,
        limits: own.into_iter().chain(evidence).flatten().collect(),
    })
}

/// Both are thousandths; what spoiled more comes first.
fn gate_and_generator(refused: u64, late: u64) -> [Option<Limit>; 2] {
    let gate = over(refused, REFUSED_PERMILLE).map(Limit::Refused);
    let generator = over(late, LATE_PERMILLE).map(Limit::Generator);
    if refused > late { [gate, generator] } else { [generator, gate] }
}

fn over(value: u64, limit: u64) -> Option<u64> {
    (value > limit).then_some(value)
}

/// `part` for every `unit` of `whole`, rounded down; zero where there is nothing.
pub(super) fn per(part: u64, unit: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * u128::from(unit) / u128::from(whole.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_spoiled_more_is_named_first() {
        let (gate, generator) = (|n| Some(Limit::Refused(n)), |n| Some(Limit::Generator(n)));
        for (refused, late, limits) in [
            (0, 0, [None, None]),
            (1, 10, [None, None]),
            (72, 23, [gate(72), generator(23)]),
            (23, 72, [generator(72), gate(23)]),
            (2, 0, [gate(2), None]),
            (0, 11, [generator(11), None]),
        ] {
            assert_eq!(gate_and_generator(refused, late), limits, "{refused} {late}");
        }
    }

    #[test]
    fn the_knee_is_the_highest_rate_that_was_held() {
        let step = |planned: u64, answered: u64, p999: u64, limits: &[Limit]| Step {
            planned,
            sent: planned,
            answered,
            p999,
            samples: 1,
            held: false,
            limits: limits.to_vec(),
        };
        let refused = Limit::Refused(300);
        let table: [(Vec<Step>, Option<usize>, &str); 5] = [
            (
                vec![step(100, 100, 5, &[]), step(200, 199, 40, &[]), step(300, 250, 45, &[refused])],
                Some(1),
                "200/s was held, p99.9 40 ns; at 300/s saturated: the daemon's gate: 30.0 % of answers were 91",
            ),
            (
                // One that failed by chance below the knee does not hide it.
                vec![step(100, 100, 5, &[]), step(200, 100, 40, &[]), step(300, 300, 45, &[])],
                Some(2),
                "300/s was held, p99.9 45 ns; all steps were held",
            ),
            (
                vec![step(100, 100, 5, &[]), step(200, 200, 51, &[])],
                Some(0),
                "100/s was held, p99.9 5 ns; at 200/s saturated: latency: p99.9 was 51 ns",
            ),
            (
                vec![step(100, 98, 5, &[Limit::Daemon("main".to_owned(), 990)])],
                None,
                "no step was held; at 100/s",
            ),
            (
                vec![step(300, 200, 5, &[Limit::HeldBack(200)]), step(100, 100, 5, &[])],
                Some(1),
                "at 300/s saturated: sockets: the peer did not read, 20.0 %",
            ),
        ];
        for (mut steps, place, words) in table {
            judge(&mut steps, 50);
            let held = steps.iter().enumerate().filter(|(_, step)| step.held);
            let knee = held.max_by_key(|(_, step)| step.planned).map(|(place, _)| place);
            let knee = Knee { steps, knee, within: 50 };
            assert_eq!(knee.knee, place, "{knee:?}");
            assert!(knee.words().contains(words), "{}", knee.words());
        }
    }
}
