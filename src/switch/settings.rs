//! How a party is treated.

use super::matching::MatchKey;
use super::trunk::Bounds;

/// How a link is treated as a party that is asked. Times are nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PartySettings {
    /// How long it may take to answer.
    pub timeout_ns: u64,
    /// So much earlier than the asking link's own deadline a forwarded request is given up, so that the answer still
    /// arrives.
    pub margin_ns: u64,
    /// Most requests that wait for it at once, and fewest when it is slow.
    pub in_flight: (usize, usize),
    /// Time-outs in a row after which it is asked only now and then, and how often that is.
    pub sick_after: u32,
    /// How long a sick party is left alone before the next request tries it.
    pub probe_ns: u64,
    /// Stored messages that go at once, and how many a second at most (zero is no limit).
    pub window: usize,
    /// Stored messages a second at most; zero is no limit.
    pub per_second: u32,
    /// How long after an attempt that was not acknowledged the next one is made: the first time, and at most.
    pub again_ns: (u64, u64),
    /// Refusals after which a stored message is dead.
    pub refusals_max: u32,
    /// Its sockets end at one host, which knows a repeat for what it is: what was asked on a socket that is gone is
    /// asked again on another (R31).
    pub one_host: bool,
    /// What its answers are known by.
    pub match_on: MatchKey,
    /// Bounds of what is kept.
    pub bounds: Bounds,
}
