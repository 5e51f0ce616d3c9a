//! Comparison with an earlier report: rate and percentiles, each with a tolerance.

use serde_json::Value;

use crate::edge::loadtest::json::SCHEMA_VERSION;
use crate::edge::loadtest::threshold::millionths;

/// Percentiles that are compared, and how many samples each needs on both sides to mean something.
const COMPARED: [(&str, u64); 4] = [("p50", 20), ("p90", 100), ("p99", 1_000), ("p99.9", 10_000)];

/// How much worse something may be than before, in millionths.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tolerance(u64);

impl Tolerance {
    /// A tolerance from words such as `5%`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let number = text.strip_suffix('%').and_then(|number| millionths(number.trim()));
        number
            .map(|number| Self(number / 100))
            .ok_or_else(|| format!("`{text}` is no tolerance; write it as 5% or 0.5%"))
    }

    /// The largest value that is not worse, where more is worse.
    fn most(self, before: u64) -> u64 {
        let allowed = u128::from(before) * u128::from(1_000_000 + self.0) / 1_000_000;
        u64::try_from(allowed).unwrap_or(u64::MAX)
    }

    /// The least value that is not worse, where less is worse.
    fn least(self, before: u64) -> u64 {
        let allowed = u128::from(before) * u128::from(1_000_000_u64.saturating_sub(self.0));
        u64::try_from(allowed.div_ceil(1_000_000)).unwrap_or(u64::MAX)
    }
}

/// One figure of both reports.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compared {
    /// What it is, such as `auth.p99`.
    pub name: String,
    /// Before; nanoseconds, or answers a second.
    pub before: u64,
    /// Now.
    pub now: u64,
    /// It is worse by more than the tolerance.
    pub regressed: bool,
}

/// An earlier report to compare with.
#[derive(Clone, PartialEq, Debug)]
pub struct Baseline {
    report: Value,
    tolerance: Tolerance,
}

impl Baseline {
    /// A baseline from the JSON of an earlier run.
    ///
    /// # Errors
    /// It is no report, of another version, or of a run that did not finish or says nothing about the daemon.
    pub fn read(name: &str, text: &[u8], tolerance: Tolerance) -> Result<Self, String> {
        let report: Value =
            serde_json::from_slice(text).map_err(|error| format!("{name} is no JSON: {error}"))?;
        match report["schema_version"].as_u64() {
            Some(SCHEMA_VERSION) => {}
            Some(other) => {
                return Err(format!("{name} has schema version {other}; this one compares {SCHEMA_VERSION}"));
            }
            None => return Err(format!("{name} is no report of a load test: it has no schema_version")),
        }
        if report["partial"].as_bool() != Some(false) {
            return Err(format!("{name} is a partial report; compare with one of a whole run"));
        }
        if !report["rate"]["answered"].is_u64() {
            return Err(format!("{name} has no rate to compare with"));
        }
        Ok(Self { report, tolerance })
    }

    /// Compares this run's report with it. What either has too few samples of is left out.
    pub(super) fn compare(&self, now: &Value) -> Vec<Compared> {
        let mut compared = Vec::new();
        let rate = |report: &Value| report["rate"]["answered"].as_u64().unwrap_or(0);
        let (before, after) = (rate(&self.report), rate(now));
        compared.push(Compared {
            name: "rate".to_owned(),
            before,
            now: after,
            regressed: after < self.tolerance.least(before),
        });
        for (group, latencies) in self.report["latency_ns"].as_object().into_iter().flatten() {
            for (name, samples) in COMPARED {
                let of = |latencies: &Value| {
                    let from_due = &latencies["from_due"];
                    let enough = from_due["samples"].as_u64().is_some_and(|count| count >= samples);
                    from_due[name].as_u64().filter(|_| enough)
                };
                let (Some(before), Some(after)) = (of(latencies), of(&now["latency_ns"][group])) else {
                    continue;
                };
                let regressed = after > self.tolerance.most(before);
                compared.push(Compared { name: format!("{group}.{name}"), before, now: after, regressed });
            }
        }
        compared
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(rate: u64, p50: u64, p99: u64, samples: u64) -> Value {
        let from_due = json!({ "p50": p50, "p90": p50, "p99": p99, "p99.9": p99, "samples": samples });
        json!({
            "schema_version": SCHEMA_VERSION, "partial": false, "rate": { "answered": rate },
            "latency_ns": { "auth": { "from_due": from_due } },
        })
    }

    #[test]
    fn what_is_worse_by_more_than_the_tolerance_has_regressed() {
        let before = report(1_000, 200, 1_000, 5_000);
        let table: [(&str, Value, &[&str]); 7] = [
            ("5%", report(1_000, 200, 1_000, 5_000), &[]),
            ("5%", report(950, 210, 1_050, 5_000), &[]),
            ("5%", report(949, 211, 1_051, 5_000), &["rate", "auth.p50", "auth.p90", "auth.p99"]),
            ("0%", report(2_000, 100, 1_001, 5_000), &["auth.p99"]),
            ("0.5%", report(995, 201, 1_005, 5_000), &[]),
            // Too few samples for a 99th percentile.
            ("5%", report(1_000, 200, 9_000, 999), &[]),
            ("200%", report(1, 600, 3_000, 5_000), &[]),
        ];
        for (tolerance, now, regressed) in table {
            let tolerance = Tolerance::parse(tolerance).expect("a tolerance");
            let baseline =
                Baseline::read("old.json", before.to_string().as_bytes(), tolerance).expect("a baseline");
            let found: Vec<String> = baseline
                .compare(&now)
                .into_iter()
                .filter(|compared| compared.regressed)
                .map(|compared| compared.name)
                .collect();
            assert_eq!(found, regressed, "{now}");
        }
    }

    #[test]
    fn what_is_no_baseline_is_refused_in_words() {
        let tolerance = Tolerance::parse("5%").expect("a tolerance");
        let mut partial = report(1, 1, 1, 1);
        partial["partial"] = json!(true);
        let mut other = report(1, 1, 1, 1);
        other["schema_version"] = json!(SCHEMA_VERSION + 1);
        for (text, words) in [
            ("{", "is no JSON"),
            ("{}", "has no schema_version"),
            (partial.to_string().as_str(), "is a partial report"),
            (other.to_string().as_str(), "has schema version"),
        ] {
            let refused = Baseline::read("old.json", text.as_bytes(), tolerance);
            assert!(refused.as_ref().is_err_and(|error| error.contains(words)), "{refused:?}");
        }
        for text in ["5", "%", "-5%", "x%", "5%%"] {
            assert!(Tolerance::parse(text).is_err_and(|error| error.contains("is no tolerance")), "{text}");
        }
    }
}
