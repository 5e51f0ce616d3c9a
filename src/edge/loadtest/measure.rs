//! What is measured while a run goes: latencies by group, lateness, and the generator's own work.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::workload::answers::Group;

/// Latencies above this count as this.
const LATENCY_MAX_NS: u64 = 600_000_000_000;
/// A message that is sent so long after it was due was late.
pub(super) const LATE_NS: u64 = 1_000_000;

/// Latencies of one group.
#[derive(Clone, Debug)]
pub struct Latencies {
    /// From when a message was due; the one to judge a system by.
    pub response: Histogram<u64>,
    /// From when it was sent.
    pub service: Histogram<u64>,
}

impl Latencies {
    fn new() -> Result<Self, hdrhistogram::CreationError> {
        let histogram = || Histogram::new_with_bounds(1, LATENCY_MAX_NS, 3);
        Ok(Self { response: histogram()?, service: histogram()? })
    }
}

/// Everything that is counted while the run goes.
#[derive(Clone, Debug)]
pub struct Measured {
    /// By [`Group`].
    pub groups: [Latencies; 3],
    /// Messages that were sent.
    pub sent: u64,
    /// Answers that came in time.
    pub answered: u64,
    /// Messages whose answer was given up.
    pub given_up: u64,
    /// Messages that the generator sent more than a millisecond after they were due.
    pub late: u64,
    /// The same, while the peer did not take what was there to be written.
    pub held_back: u64,
    /// The longest time between due and sent.
    pub slip_max: Duration,
    /// Time in which messages were sent.
    pub sending: Duration,
    /// The part of it in which the generator had something to do.
    pub busy: Duration,
    /// Processor time that the generator's thread had meanwhile.
    pub processor: Duration,
    /// Connections that the peer closed.
    pub lost_connections: usize,
}

impl Measured {
    /// Nothing yet.
    ///
    /// # Errors
    /// The histograms cannot be made; their bounds are constants.
    pub(super) fn new() -> Result<Self, hdrhistogram::CreationError> {
        Ok(Self {
            groups: [Latencies::new()?, Latencies::new()?, Latencies::new()?],
            sent: 0,
            answered: 0,
            given_up: 0,
            late: 0,
            held_back: 0,
            slip_max: Duration::ZERO,
            sending: Duration::ZERO,
            busy: Duration::ZERO,
            processor: Duration::ZERO,
            lost_connections: 0,
        })
    }

    #[inline]
    pub(super) fn latency(&mut self, group: Group, since_due: u64, since_sent: u64) {
        let latencies = &mut self.groups[group as usize];
        latencies.response.saturating_record(since_due);
        latencies.service.saturating_record(since_sent);
    }
}

/// Processor time of the calling thread so far; zero where the system does not tell.
pub(super) fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let ns = text.split_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(ns.unwrap_or(0))
}
