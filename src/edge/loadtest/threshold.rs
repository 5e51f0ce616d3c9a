//! Thresholds: `auth.p99<2ms`, `err<0.01%`, `ledger.mismatch==0`. All arithmetic is on integers.

use std::fmt;

/// What a threshold looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Metric {
    /// A percentile of a group's latency from when messages were due; nanoseconds.
    Latency(Of, Percentile),
    /// Refused (91, 96) or unanswered messages, in millionths of those sent.
    Errors,
    /// Accounts and totals that differ, and mistakes in answers.
    Mismatch,
    /// Messages whose answer never came.
    Unanswered,
    /// Answers a second.
    Rate,
    /// Answers in millionths of what was planned.
    Achieved,
}

/// Whose latency.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// 01xx and 02xx.
    Authorization,
    /// 0400 and 0401.
    Reversal,
    /// Advices: 0420 and 0421.
    Advice,
    /// 08xx.
    Management,
}

/// Which percentile, in thousandths; 100,000 is the largest value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Percentile(pub u32);

/// How it is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

/// A condition that the run must meet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Threshold {
    text: String,
    /// What it looks at.
    pub metric: Metric,
    comparison: Comparison,
    limit: u64,
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

const COMPARISONS: [(&str, Comparison); 5] = [
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("==", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl Threshold {
    /// A threshold from its text.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, comparison, value) = COMPARISONS
            .iter()
            .find_map(|(sign, comparison)| {
                text.split_once(sign).map(|(name, value)| (name.trim(), *comparison, value.trim()))
            })
            .ok_or_else(|| format!("`{text}` has no comparison; write it as auth.p99<2ms"))?;
        let metric = metric(name).ok_or_else(|| {
            format!(
                "`{name}` is nothing that is measured; there are auth, reversal, advice and management with .p50, \
                 .p90, .p99, .p99.9 and .max, and err, ledger.mismatch, unanswered, rate, achieved"
            )
        })?;
        let limit = limit(metric, value).ok_or_else(|| {
            format!("`{value}` is no limit for {name}; write 2ms for times, 0.01% for err and achieved")
        })?;
        Ok(Self { text: text.to_owned(), metric, comparison, limit })
    }

    /// Whether what was measured meets it.
    #[must_use]
    pub const fn is_met(&self, measured: u64) -> bool {
        match self.comparison {
            Comparison::Less => measured < self.limit,
            Comparison::LessOrEqual => measured <= self.limit,
            Comparison::Equal => measured == self.limit,
            Comparison::GreaterOrEqual => measured >= self.limit,
            Comparison::Greater => measured > self.limit,
        }
    }
}

fn metric(name: &str) -> Option<Metric> {
    match name {
        "err" => return Some(Metric::Errors),
        "ledger.mismatch" => return Some(Metric::Mismatch),
        "unanswered" => return Some(Metric::Unanswered),
        "rate" => return Some(Metric::Rate),
        "achieved" => return Some(Metric::Achieved),
        _ => {}
    }
    let (of, percentile) = name.split_once('.')?;
    let of = match of {
        "auth" => Of::Authorization,
        "reversal" => Of::Reversal,
        "advice" => Of::Advice,
        "management" => Of::Management,
        _ => return None,
    };
    let percentile = match percentile {
        "max" => 100_000,
        _ => u32::try_from(millionths(percentile.strip_prefix('p')?)? / 1_000).ok()?,
    };
    (1..=100_000).contains(&percentile).then_some(Metric::Latency(of, Percentile(percentile)))
}

fn limit(metric: Metric, value: &str) -> Option<u64> {
    let split = value.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(value.len());
    let (number, unit) = value.split_at(split);
    let number = millionths(number)?;
    let factor: u64 = match (metric, unit) {
        (Metric::Latency(..), "ns") => 1,
        (Metric::Latency(..), "us") => 1_000,
        (Metric::Latency(..), "ms") => 1_000_000,
        (Metric::Latency(..), "s") => 1_000_000_000,
        (Metric::Errors | Metric::Achieved, "%") => 10_000,
        (Metric::Errors | Metric::Achieved, "") => 1_000_000,
        (Metric::Mismatch | Metric::Unanswered | Metric::Rate, "") => 1,
        _ => return None,
    };
    u64::try_from(u128::from(number) * u128::from(factor) / 1_000_000).ok()
}

/// A decimal number of at most six places, in millionths.
pub(super) fn millionths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 6 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let part: u64 = format!("{part:0<6}").parse().ok()?;
    whole.checked_mul(1_000_000)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_are_read_and_met_or_not() {
        let latency = |of, percentile| Metric::Latency(of, Percentile(percentile));
        let table = [
            ("auth.p99<2ms", latency(Of::Authorization, 99_000), 1_999_999, 2_000_000),
            ("auth.p99.9 <= 1.5us", latency(Of::Authorization, 99_900), 1_500, 1_501),
            ("reversal.max<1s", latency(Of::Reversal, 100_000), 1, 1_000_000_000),
            ("err<0.01%", Metric::Errors, 99, 100),
            ("err<=0.5", Metric::Errors, 500_000, 500_001),
            ("ledger.mismatch==0", Metric::Mismatch, 0, 1),
            ("unanswered==0", Metric::Unanswered, 0, 3),
            ("rate>=1000", Metric::Rate, 1_000, 999),
            ("rate>1000", Metric::Rate, 1_001, 1_000),
            ("achieved>=99%", Metric::Achieved, 990_000, 989_999),
            ("advice.p50<1us", latency(Of::Advice, 50_000), 999, 1_000),
        ];
        for (text, metric, met, missed) in table {
            let threshold = Threshold::parse(text).expect(text);
            assert_eq!(threshold.metric, metric, "{text}");
            assert!(threshold.is_met(met) && !threshold.is_met(missed), "{text}");
            assert_eq!(threshold.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_threshold_is_refused_in_words() {
        for (text, words) in [
            ("auth.p99", "has no comparison"),
            ("auth<2ms", "is nothing that is measured"),
            ("auth.p101<2ms", "is nothing that is measured"),
            ("auth.px<2ms", "is nothing that is measured"),
            ("auth.p99<2", "is no limit"),
            ("auth.p99<-2ms", "is no limit"),
            ("err<1ms", "is no limit"),
            ("rate>1.x", "is no limit"),
            ("err<", "is no limit"),
        ] {
            assert!(Threshold::parse(text).is_err_and(|error| error.contains(words)), "{text}");
        }
    }
}
