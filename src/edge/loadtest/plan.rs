//! What a load test does: whom it calls, what it sends, how fast, how long, and what must hold at the end.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::dialect::Dialect;
use crate::edge::dialects;
use crate::edge::loadtest::threshold::Threshold;
use crate::edge::text::FileError;
use crate::workload::identity::Run;
use crate::workload::population::Population;
use crate::workload::traffic::Traffic;

/// One peer: a dialect and where it listens.
#[derive(Clone, Debug)]
pub struct Target {
    /// How it speaks.
    pub dialect: Dialect,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Target {
    /// A target from `dialect=address`, the dialect being built in or a dialect file.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (dialect, address) =
            text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form dialect=address"))?;
        let address = address
            .parse()
            .map_err(|_| format!("`{address}` is not an address with a port, such as 127.0.0.1:8583"))?;
        let dialect = match Dialect::built_in(dialect) {
            Some(dialect) => dialect,
            None => from_file(dialect)?,
        };
        Ok(Self { dialect, address })
    }
}

fn from_file(name: &str) -> Result<Dialect, String> {
    dialects::from_file(Path::new(name)).map_err(|error| match error {
        FileError::Wrong(_) => error.to_string(),
        FileError::Unreadable(error) => {
            let names = Dialect::built_in_names().join(", ");
            format!("no dialect `{name}`; there are {names}, and as a file: {error}")
        }
    })
}

/// How fast messages are offered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// So many messages a second over all connections, whatever is answered (an open loop). Latency counts from when
    /// a message was due.
    Open {
        /// Messages a second.
        rate: u64,
    },
    /// So many messages in flight on each connection (a closed loop): as fast as they are answered.
    Closed {
        /// Messages in flight.
        window: usize,
    },
}

/// A whole load test.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whom it calls.
    pub targets: Vec<Target>,
    /// Connections to each target.
    pub connections: usize,
    /// How fast.
    pub pace: Pace,
    /// How long messages are sent.
    pub length: Duration,
    /// Stops earlier after so many messages.
    pub messages: Option<u64>,
    /// Latencies of so long are left out at the beginning.
    pub warm_up: Duration,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// What is sent.
    pub traffic: Traffic,
    /// Makes all frames before the first is sent; needs [`Self::messages`] or an open loop.
    pub prepare: bool,
    /// For whom.
    pub population: Population,
    /// Settles what has no answer (R33) and signs off.
    pub settle: bool,
    /// The daemon's HTTP face, where money is compared. `None` compares nothing.
    pub http: Option<SocketAddr>,
    /// Most wallets that are compared one by one; above, a seeded sample. The totals cover all.
    pub verify_wallets: usize,
    /// The peer sends frames back as they came: nothing is judged, and only latencies mean something.
    pub echo: bool,
    /// What must hold.
    pub thresholds: Vec<Threshold>,
    /// Tells this run from others on the same daemon.
    pub run: Run,
}

impl Plan {
    /// A plan with nothing unusual in it: mixed traffic, one connection a target, everything settled.
    #[must_use]
    pub fn new(targets: Vec<Target>, population: Population, pace: Pace, length: Duration, run: Run) -> Self {
        Self {
            targets,
            connections: 1,
            pace,
            length,
            messages: None,
            warm_up: Duration::ZERO,
            timeout: Duration::from_secs(5),
            traffic: Traffic::default(),
            prepare: false,
            population,
            settle: true,
            http: None,
            verify_wallets: 10_000,
            echo: false,
            thresholds: Vec::new(),
            run,
        }
    }

    /// Messages that a prepared run makes beforehand; `None` when nothing bounds them.
    #[must_use]
    pub fn prepared_messages(&self) -> Option<u64> {
        let by_rate = match self.pace {
            Pace::Open { rate } => {
                Some(u64::try_from(u128::from(rate) * self.length.as_millis() / 1000).unwrap_or(u64::MAX))
            }
            Pace::Closed { .. } => None,
        };
        match (self.messages, by_rate) {
            (Some(messages), Some(by_rate)) => Some(messages.min(by_rate)),
            (messages, by_rate) => messages.or(by_rate),
        }
    }
}

/// A length of time from words such as `30s`, `500ms` or `2m`.
///
/// # Errors
/// What is wrong, in words.
pub fn duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let wrong = || format!("`{text}` is no length of time; write it as 500ms, 30s, 2m or 1h");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(ms).map(Duration::from_millis).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_targets_are_read_or_refused_in_words() {
        for (text, ms) in [("500ms", 500), ("30s", 30_000), ("2m", 120_000), ("1h", 3_600_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)));
        }
        for text in ["", "s", "10", "1.5s", "10 s", "99999999999999999999h"] {
            assert!(duration(text).is_err_and(|error| error.contains("is no length of time")), "{text}");
        }
        assert!(Target::parse("visa=127.0.0.1:8583").is_ok_and(|target| target.dialect.name() == "visa"));
        for (text, words) in [
            ("visa", "not of the form"),
            ("visa=localhost", "not an address"),
            ("amex=127.0.0.1:1", "no dialect `amex`; there are visa"),
        ] {
            assert!(Target::parse(text).is_err_and(|error| error.contains(words)), "{text}");
        }
    }
}
