//! What a load test does: whom it calls, what it sends, how fast, how long, and what must hold at the end.

use std::net::SocketAddr;
use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::dialect::Dialect;
use crate::edge::dialects;
use crate::edge::loadtest::profile::Ramp;
use crate::edge::loadtest::profile::Steps;
use crate::edge::loadtest::schedule::Piece;
use crate::edge::loadtest::schedule::pieces;
use crate::edge::loadtest::schedule::planned;
use crate::edge::loadtest::threshold::Threshold;
use crate::edge::loadtest::verbs;
use crate::edge::text::FileError;
use crate::workload::identity::Run;
use crate::workload::population::Population;
use crate::workload::traffic::Traffic;

/// Largest weight of a target.
const WEIGHT_MAX: u32 = 1_000;
/// Most connections of a target.
const CONNECTIONS_MAX: usize = 4_096;

/// One peer: a dialect and where it listens.
#[derive(Clone, Debug)]
pub struct Target {
    /// What reports call it.
    pub name: String,
    /// How it speaks.
    pub dialect: Dialect,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its share of an open loop's messages, beside the other targets' weights.
    pub weight: u32,
    /// Connections to it; `None` is as many as the plan says.
    pub connections: Option<usize>,
}

impl Target {
    /// A target called as its dialect, with a weight of one.
    #[must_use]
    pub fn new(dialect: Dialect, address: SocketAddr) -> Self {
        Self { name: dialect.name().to_owned(), dialect, address, weight: 1, connections: None }
    }

    /// A target from `dialect=host:port`, the dialect being built in or a dialect file, and after commas
    /// `name=`, `weight=` and `connections=`.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (dialect, rest) =
            text.split_once('=').ok_or_else(|| format!("`{text}` is not of the form dialect=address"))?;
        let mut words = rest.split(',');
        let address = words.next().unwrap_or_default();
        let found = address.to_socket_addrs().ok().and_then(|mut found| found.next());
        let address = found
            .ok_or_else(|| format!("`{address}` is not an address with a port, such as 127.0.0.1:8583"))?;
        let dialect = match Dialect::built_in(dialect) {
            Some(dialect) => dialect,
            None => from_file(dialect)?,
        };
        let mut target = Self::new(dialect, address);
        for word in words {
            target.set(word)?;
        }
        Ok(target)
    }

    fn set(&mut self, word: &str) -> Result<(), String> {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let range = |most: u32| {
            let number: Option<u32> = value.parse().ok();
            number
                .filter(|number| (1..=most).contains(number))
                .ok_or_else(|| format!("`{word}`: {key} is from 1 to {most}"))
        };
        match key {
            "name" if !value.is_empty() && value.chars().all(plain) => value.clone_into(&mut self.name),
            "name" => return Err(format!("`{word}`: a name has letters, digits, `-`, `_` and `.`")),
            "weight" => self.weight = range(WEIGHT_MAX)?,
            "connections" => self.connections = Some(range(CONNECTIONS_MAX as u32)? as usize),
            _ => return Err(format!("`{word}` is none of name=, weight= and connections=")),
        }
        Ok(())
    }
}

/// Gives targets of one name a number each, so that reports tell them apart.
pub fn tell_apart(targets: &mut [Target]) {
    for place in 1..targets.len() {
        let (before, rest) = targets.split_at_mut(place);
        let Some(target) = rest.first_mut() else { break };
        let name = target.name.clone();
        let mut number = 1;
        while before.iter().any(|other| other.name == target.name) {
            number += 1;
            target.name = format!("{name}-{number}");
        }
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
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Pace {
    /// So many messages a second over all connections, whatever is answered (an open loop). Latency counts from when
    /// a message was due.
    Open {
        /// Messages a second.
        rate: u64,
    },
    /// An open loop whose rate changes evenly.
    Ramp(Ramp),
    /// An open loop whose rates are held one after the other.
    Steps {
        /// The rates.
        rates: Steps,
        /// How long each is held.
        each: Duration,
    },
    /// So many messages in flight on each connection (a closed loop): as fast as they are answered.
    Closed {
        /// Messages in flight.
        window: usize,
    },
}

impl Pace {
    /// What reports call it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Open { .. } => "constant",
            Self::Ramp(_) => "ramp",
            Self::Steps { .. } => "steps",
            Self::Closed { .. } => "window",
        }
    }

    /// Whether the rate changes, so that there is a knee to be found.
    #[must_use]
    pub const fn climbs(&self) -> bool {
        matches!(self, Self::Ramp(_) | Self::Steps { .. })
    }
}

/// A whole load test.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Whom it calls.
    pub targets: Vec<Target>,
    /// Connections to each target that does not say so itself.
    pub connections: usize,
    /// How fast.
    pub pace: Pace,
    /// How long messages are sent. Steps are as long as they say.
    pub length: Duration,
    /// Stops earlier after so many messages.
    pub messages: Option<u64>,
    /// What is due so early counts neither as latency nor in rates.
    pub warm_up: Duration,
    /// How long an answer is waited for.
    pub timeout: Duration,
    /// What is sent.
    pub traffic: Traffic,
    /// Reaches the level of [`Self::traffic`] before the time begins; what that takes is not counted.
    pub fill: bool,
    /// Makes all frames before the first is sent; needs [`Self::messages`] or an open loop.
    pub prepare: bool,
    /// For whom.
    pub population: Population,
    /// Settles what has no answer (R33) and signs off.
    pub settle: bool,
    /// The daemon's HTTP face, where money is compared. `None` compares nothing.
    pub http: Option<SocketAddr>,
    /// Verbs of wallets that are sent beside it, over [`Self::http`].
    pub verbs: Option<verbs::Settings>,
    /// Most wallets that are compared one by one; above, a seeded sample. The totals cover all.
    pub verify_wallets: usize,
    /// The peer sends frames back as they came: nothing is judged, and only latencies mean something.
    pub echo: bool,
    /// What must hold.
    pub thresholds: Vec<Threshold>,
    /// A step holds while its 99.9th percentile is not above this; `None` is ten times that of the first step.
    pub knee_within: Option<Duration>,
    /// The daemon's process on this machine, whose processor time is watched.
    pub daemon: Option<u32>,
    /// Set from outside to end the run early.
    pub interrupted: Arc<AtomicBool>,
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
            fill: false,
            prepare: false,
            population,
            settle: true,
            http: None,
            verbs: None,
            verify_wallets: 10_000,
            echo: false,
            thresholds: Vec::new(),
            knee_within: None,
            daemon: None,
            interrupted: Arc::default(),
            run,
        }
    }

    /// The parts of an open loop with their rates; none for a closed one.
    #[must_use]
    pub(super) fn pieces(&self) -> Vec<Piece> {
        match &self.pace {
            Pace::Open { rate } => pieces(&[(self.length, *rate)]),
            Pace::Ramp(ramp) => pieces(&ramp.pieces(self.length)),
            Pace::Steps { rates, each } => {
                let parts: Vec<(Duration, u64)> = rates.0.iter().map(|rate| (*each, *rate)).collect();
                pieces(&parts)
            }
            Pace::Closed { .. } => Vec::new(),
        }
    }

    /// How long messages are sent.
    #[must_use]
    pub fn sending(&self) -> Duration {
        match &self.pace {
            Pace::Steps { rates, each } => {
                each.saturating_mul(u32::try_from(rates.0.len()).unwrap_or(u32::MAX))
            }
            _ => self.length,
        }
    }

    /// The target of each connection. Connections of all targets alternate.
    #[must_use]
    pub fn places(&self) -> Vec<usize> {
        let connections = |target: &Target| target.connections.unwrap_or(self.connections);
        let most = self.targets.iter().map(connections).max().unwrap_or(0);
        let all = 0..self.targets.len();
        (0..most)
            .flat_map(|round| all.clone().map(move |target| (target, round)))
            .filter(|(target, round)| *round < connections(&self.targets[*target]))
            .map(|(target, _)| target)
            .collect()
    }

    /// Messages that a prepared run makes beforehand; `None` when nothing bounds them.
    #[must_use]
    pub fn prepared_messages(&self) -> Option<u64> {
        let pieces = self.pieces();
        let by_rate = pieces.last().map(|last| planned(&pieces, 0, last.end));
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
            ("visa=127.0.0.1:1,weight=0", "weight is from 1 to 1000"),
            ("visa=127.0.0.1:1,connections=x", "connections is from 1 to 4096"),
            ("visa=127.0.0.1:1,name=a b", "a name has letters"),
            ("visa=127.0.0.1:1,color=red", "is none of"),
        ] {
            assert!(Target::parse(text).is_err_and(|error| error.contains(words)), "{text}");
        }
    }

    #[test]
    fn targets_have_names_weights_and_connections_of_their_own() {
        let target = |text: &str| Target::parse(text).expect(text);
        let mut targets = vec![
            target("visa=127.0.0.1:1,weight=3,connections=2"),
            target("visa=127.0.0.1:2"),
            target("visa=localhost:3,name=east"),
        ];
        tell_apart(&mut targets);
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(names, ["visa", "visa-2", "east"]);
        let pace = Pace::Open { rate: 10 };
        let mut plan = Plan::new(targets, Population::default(), pace, Duration::from_secs(1), Run::new(1));
        assert_eq!(plan.places(), [0, 1, 2, 0]);
        plan.connections = 3;
        assert_eq!(plan.places(), [0, 1, 2, 0, 1, 2, 1, 2]);
    }
}
