//! What an operator asks a link to do, and how it went.

/// What can be ordered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Order {
    /// Ask the peer whether it is there.
    Echo,
    /// Sign on now, without waiting for the pause to end.
    SignOn,
    /// Sign off, and stay so until a sign-on is ordered.
    SignOff,
}

/// Names one order that was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ticket(u64);

/// Why an order was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotTaken {
    /// There is nobody to send it to.
    #[error("the link has no socket")]
    NoSocket,
    /// One like it, or one against it, is under way.
    #[error("the link is busy with another order")]
    Busy,
    /// The daemon is being stopped.
    #[error("the link is draining")]
    Draining,
}

/// How an order went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The peer answered "00".
    Accepted {
        /// Microseconds from sending it to its answer.
        round_trip_us: u64,
    },
    /// The peer answered something else: its DE 39.
    Refused([u8; 2]),
    /// The peer did not answer in time.
    NotAnswered,
    /// The socket that it went out on is gone.
    Lost,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Taken {
    ticket: Ticket,
    outcome: Option<Outcome>,
}

/// The last order of each kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Orders {
    taken: [Option<Taken>; 3],
    tickets: u64,
}

impl Orders {
    pub(super) fn is_open(&self, order: Order) -> bool {
        self.taken[order as usize].is_some_and(|taken| taken.outcome.is_none())
    }

    pub(super) fn take(&mut self, order: Order) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.taken[order as usize] = Some(Taken { ticket, outcome: None });
        ticket
    }

    /// Ends an order that is open; otherwise nothing happens.
    pub(super) fn end(&mut self, order: Order, outcome: Outcome) {
        if let Some(taken) = self.taken[order as usize].as_mut().filter(|taken| taken.outcome.is_none()) {
            taken.outcome = Some(outcome);
        }
    }

    pub(super) fn end_all(&mut self, outcome: Outcome) {
        for order in [Order::Echo, Order::SignOn, Order::SignOff] {
            self.end(order, outcome);
        }
    }

    /// How it went; `None` while it is under way. One that a later order has replaced reads as lost.
    pub(super) fn outcome(&self, order: Order, ticket: Ticket) -> Option<Outcome> {
        match self.taken[order as usize] {
            Some(taken) if taken.ticket == ticket => taken.outcome,
            _ => Some(Outcome::Lost),
        }
    }
}
