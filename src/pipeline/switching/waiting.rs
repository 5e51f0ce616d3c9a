//! What waits for an answer of a party, socket by socket.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::time::Now;
use crate::link::state::SocketId;
use crate::switch::exchange::Purpose;

use super::Line;
use super::outbox::Outbox;

/// The requests of a line that wait for an answer.
#[derive(Debug)]
pub struct Waiting {
    /// The sockets that are open.
    pub sockets: Vec<WaitingThere>,
    /// When all of them have ended, answered or not, nanoseconds from now.
    pub ends_in_ns: u64,
}

/// One socket, and what waits on it.
#[derive(Debug)]
pub struct WaitingThere {
    /// The socket.
    pub outbox: Arc<Outbox>,
    /// Requests that were asked on it.
    pub requests: u64,
    /// For how long the oldest of them has waited, nanoseconds.
    pub oldest_ns: u64,
}

impl Line {
    /// The requests that wait for an answer.
    #[must_use]
    pub fn waiting(&self, now: Now) -> Waiting {
        let none = |outbox| WaitingThere { outbox, requests: 0, oldest_ns: 0 };
        let mut sockets: Vec<WaitingThere> = self.sockets().into_iter().map(none).collect();
        let places: HashMap<SocketId, usize> =
            sockets.iter().map(|waiting| waiting.outbox.socket).zip(0..).collect();
        let mut ends_in_ns = 0;
        let state = self.lock();
        let requests = state.exchanges.iter().filter(|(_, open)| !matches!(open.purpose, Purpose::Item(_)));
        for (_, open) in requests {
            ends_in_ns = ends_in_ns.max(open.deadline_ns.saturating_sub(now.elapsed_ns));
            let place = places.get(&open.way.there.socket).and_then(|place| sockets.get_mut(*place));
            if let Some(waiting) = place {
                waiting.requests += 1;
                waiting.oldest_ns = waiting.oldest_ns.max(now.elapsed_ns.saturating_sub(open.sent_ns));
            }
        }
        Waiting { sockets, ends_in_ns }
    }
}
