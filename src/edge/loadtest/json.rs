//! A report for a machine. Times are nanoseconds, rates are a second.

use hdrhistogram::Histogram;
use serde_json::Value;
use serde_json::json;

use crate::edge::loadtest::knee::Knee;
use crate::edge::loadtest::measure::Interval;
use crate::edge::loadtest::measure::Latencies;
use crate::edge::loadtest::measure::together;
use crate::edge::loadtest::plan::Pace;
use crate::edge::loadtest::report::Conditions;
use crate::edge::loadtest::report::GROUPS;
use crate::edge::loadtest::report::PERCENTILES;
use crate::edge::loadtest::report::Report;
use crate::edge::loadtest::report::at;
use crate::edge::loadtest::text::example;
use crate::edge::loadtest::threshold::Percentile;
use crate::edge::loadtest::verbs;
use crate::edge::loadtest::verify::Comparison;
use crate::workload::answers::Group;
use crate::workload::model::Mistake;

/// The version of the form. It rises when a key is taken away or means something else.
pub const SCHEMA_VERSION: u64 = 1;

impl Report {
    /// Everything, for a machine.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let measured = &self.measured;
        let by_link: Value = self
            .conditions
            .links
            .iter()
            .zip(self.cells.chunks(Group::COUNT))
            .map(|(link, cells)| (link.name.clone(), groups_json(cells)))
            .collect();
        let mistakes = Mistake::ALL.iter().zip(self.mistakes);
        json!({
            "schema_version": SCHEMA_VERSION,
            "generator_version": env!("CARGO_PKG_VERSION"),
            "partial": self.partial.is_some(),
            "partial_reason": self.partial.as_ref().map(|partial| &partial.reason),
            "valid": self.partial.is_none() && self.invalid().is_empty(),
            "invalid": self.invalid(),
            "began": self.began.to_string(),
            "conditions": self.conditions.to_json(),
            "rate": { "planned": self.planned_rate(), "sent": self.sent_rate(), "answered": self.rate() },
            "counted_ns": self.counted().1.as_nanos() as u64,
            "sent": measured.sent,
            "answered": measured.answered,
            "unanswered": measured.given_up,
            "late_answers": self.late_answers,
            "settled": self.settled,
            "unsettled": self.unsettled,
            "kinds": pairs(self.kinds.iter().map(|(name, count)| ((*name).to_owned(), *count))),
            "lives": pairs(self.lives.iter().map(|(name, count)| ((*name).to_owned(), *count))),
            "response_codes": pairs(self.codes.iter().cloned()),
            "refused": self.refused,
            "latency_ns": groups_json(&self.groups),
            "latency_ns_by_link": by_link,
            "mismatches": self.mismatches(),
            "mistakes": pairs(mistakes.map(|((_, name), count)| ((*name).to_owned(), count))),
            "examples": self.examples.iter().map(example).collect::<Vec<String>>(),
            "money": self.comparison.as_ref().map(comparison_json),
            "verbs": self.verbs.as_ref().map(verbs_json),
            "generator": self.generator_json(),
            "daemon": self.daemon().map(|(all, each)| json!({
                "processor_ns": all.as_nanos() as u64,
                "per_answer_ns": each.as_nanos() as u64,
            })),
            "knee": self.knee.as_ref().map(knee_json),
            "thresholds": self.thresholds.iter().map(|judged| json!({
                "threshold": judged.threshold.to_string(),
                "measured": judged.measured,
                "met": judged.met,
            })).collect::<Vec<Value>>(),
            "baseline": self.compared.iter().map(|compared| json!({
                "name": compared.name,
                "before": compared.before,
                "now": compared.now,
                "regressed": compared.regressed,
            })).collect::<Vec<Value>>(),
            "intervals": self.recorded.intervals.iter().map(interval_json).collect::<Vec<Value>>(),
            "after_sending": { "answered": self.recorded.after.counts.answered,
                "unanswered": self.recorded.after.counts.given_up },
            "exit_code": self.exit_code(),
        })
    }

    fn generator_json(&self) -> Value {
        let (counts, _) = self.counted();
        let processor = self.processor();
        json!({
            "busy_permille": self.busy_permille(),
            "processor_ns": processor.all.as_nanos() as u64,
            "user_ns": processor.user.as_nanos() as u64,
            "system_ns": processor.system.as_nanos() as u64,
            "stolen_permille": self.stolen_permille(),
            "late": counts.late,
            "held_back": counts.held_back,
            "slip_max_ns": self.slip_max(),
        })
    }
}

impl Conditions {
    fn to_json(&self) -> Value {
        let profile = match &self.pace {
            Pace::Open { rate } => json!({ "rate": rate }),
            Pace::Ramp(ramp) => json!({ "from": ramp.from, "to": ramp.to }),
            Pace::Steps { rates, each } => json!({ "rates": rates.0, "each_ns": each.as_nanos() as u64 }),
            Pace::Closed { window } => json!({ "window": window }),
        };
        json!({
            "host": {
                "cores": self.host.cores.1,
                "cores_of_generator": self.host.cores.0,
                "processor": self.host.processor,
                "kernel": self.host.kernel,
            },
            "targets": self.links.iter().map(|link| json!({
                "name": link.name,
                "dialect": link.dialect,
                "address": link.address,
                "weight": link.weight,
                "connections": link.connections,
            })).collect::<Vec<Value>>(),
            "profile": self.pace.name(),
            "plan": profile,
            "length_ns": self.length.as_nanos() as u64,
            "warm_up_ns": self.warm_up.as_nanos() as u64,
            "timeout_ns": self.timeout.as_nanos() as u64,
            "seed": self.seed,
            "level": self.level,
            "filled": self.filled,
            "prepared": self.prepared,
        })
    }
}

fn pairs(pairs: impl Iterator<Item = (String, u64)>) -> Value {
    pairs.map(|(name, count)| (name, Value::from(count))).collect()
}

fn groups_json(groups: &[Option<Latencies>]) -> Value {
    let known = GROUPS.iter().zip(groups).filter_map(|(name, group)| Some((*name, group.as_ref()?)));
    known.map(|(name, group)| (name.to_owned(), latencies_json(group))).collect()
}

fn latencies_json(latencies: &Latencies) -> Value {
    json!({ "from_due": histogram_json(&latencies.response), "from_sent": histogram_json(&latencies.service) })
}

fn histogram_json(histogram: &Histogram<u64>) -> Value {
    let percentiles = PERCENTILES
        .iter()
        .map(|(name, percentile)| ((*name).to_owned(), at(histogram, Percentile(*percentile))));
    pairs(percentiles.chain([("min".to_owned(), histogram.min()), ("samples".to_owned(), histogram.len())]))
}

fn interval_json(interval: &Interval) -> Value {
    let cells: Vec<Option<Latencies>> = (0..interval.cells()).map(|cell| interval.latencies(cell)).collect();
    let all = together(cells.iter());
    json!({
        "start_ns": interval.start,
        "end_ns": interval.end,
        "warm_up": interval.warm_up,
        "planned": interval.planned,
        "sent": interval.counts.sent,
        "answered": interval.counts.answered,
        "unanswered": interval.counts.given_up,
        "late": interval.counts.late,
        "held_back": interval.counts.held_back,
        "slip_max_ns": interval.slip,
        "busy_ns": interval.counts.busy,
        "processor_ns": interval.processor.all.as_nanos() as u64,
        "stolen_ticks": interval.cores.stolen,
        "daemon": interval.daemon.as_ref().map(|daemon| json!({
            "processor_ns": daemon.all.as_nanos() as u64,
            "busiest_ns": daemon.busiest.as_nanos() as u64,
            "busiest": daemon.name,
        })),
        "response_codes": pairs(interval.codes.iter().map(|(code, count)| {
            (String::from_utf8_lossy(code).into_owned(), *count)
        })),
        "latency_ns": all.as_ref().map(|all| histogram_json(&all.response)),
    })
}

fn knee_json(knee: &Knee) -> Value {
    let steps: Vec<Value> = knee
        .steps
        .iter()
        .map(|step| {
            json!({
                "planned": step.planned,
                "sent": step.sent,
                "answered": step.answered,
                "p99.9_ns": step.p999,
                "samples": step.samples,
                "held": step.held,
                "limits": step.limits.iter().map(ToString::to_string).collect::<Vec<String>>(),
            })
        })
        .collect();
    json!({
        "rate": knee.knee.and_then(|place| knee.steps.get(place)).map(|step| step.planned),
        "within_ns": knee.within,
        "saturated": knee.above().and_then(|step| step.limits.first()).map(ToString::to_string),
        "words": knee.words(),
        "steps": steps,
    })
}

fn verbs_json(found: &verbs::Found) -> Value {
    let at = |percentile| super::report::at(&found.latency, Percentile(percentile));
    json!({
        "wallets": found.settings.wallets,
        "rate_planned": found.settings.rate,
        "length_ns": found.length.as_nanos() as u64,
        "done": found.done,
        "again": found.again,
        "wrong": found.wrong,
        "unanswered": found.unanswered,
        "differences": found.differences,
        "told": found.told,
        "latency_ns": { "p50": at(50_000), "p99": at(99_000), "p99.9": at(99_900), "max": found.latency.max() },
    })
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
