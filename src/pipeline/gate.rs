//! When an answer leaves: the durability policy, in one place (R1, R3).

use crate::domain::answer::Answer;
use crate::domain::event::Sequence;
use crate::domain::money::Money;

/// What answers to requests wait for (`reply` in the configuration).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reply {
    /// For their record to be in the journal's buffer; the window until it is durable is bounded.
    #[default]
    Async,
    /// For the group commit that holds their record.
    Fsync,
}

/// The policy and its bounds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// What answers to requests wait for.
    pub reply: Reply,
    /// Approvals of more than this wait for the disk in every mode.
    pub fsync_above: Vec<Money>,
    /// How long a record may stay in memory before new requests are refused, nanoseconds.
    pub max_unsynced_ns: u64,
    /// How many records may stay in memory before new requests are refused.
    pub max_unsynced_records: u64,
    /// How long records may gather before they are written, while no answer waits for them, nanoseconds.
    pub gather_ns: u64,
    /// How many answers may wait in all.
    pub parked_max: usize,
}

/// What kind of message is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answering {
    /// A request that is decided now: `reply` governs.
    Request(Money),
    /// A message whose first was answered before: its answer waits for the record that it repeats.
    Repeat,
    /// An advice or a reversal: the peer forgets it once it is acknowledged, so it waits in every mode.
    Advice,
}

impl Policy {
    /// The record that must be durable before the answer leaves; zero when it may leave at once.
    #[must_use]
    pub fn waits_for(&self, answering: Answering, answer: &Answer) -> Sequence {
        let waits = match answering {
            Answering::Repeat | Answering::Advice => true,
            Answering::Request(amount) => self.reply == Reply::Fsync || self.is_large(amount, answer),
        };
        if waits { answer.depends_on } else { Sequence(0) }
    }

    fn is_large(&self, amount: Money, answer: &Answer) -> bool {
        answer.action.is_approval()
            && self
                .fsync_above
                .iter()
                .any(|above| above.currency == amount.currency && amount.minor > above.minor)
    }
}

/// Answers of one socket that wait for the disk, in the order in which they were made. Their bytes stand in one
/// buffer, so that parking and letting go allocate nothing once it has grown.
#[derive(Debug, Default)]
pub struct Parked {
    waiting: std::collections::VecDeque<Waiting>,
    bytes: Vec<u8>,
    /// Where the first waiting answer begins.
    start: usize,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    sequence: Sequence,
    /// Nanoseconds since 1970; past it the answer is not sent (R3).
    deadline: u64,
    len: usize,
}

/// What became of answers that waited.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Released {
    /// Sent.
    pub sent: usize,
    /// Past their deadline, and not sent.
    pub late: usize,
}

impl Parked {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the first deadline is, nanoseconds since 1970.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.waiting.front().map(|waiting| waiting.deadline)
    }

    /// Parks the bytes from `from` on, and takes them out of `out`.
    pub fn park(&mut self, sequence: Sequence, deadline: u64, out: &mut Vec<u8>, from: usize) {
        self.waiting.push_back(Waiting { sequence, deadline, len: out.len() - from });
        self.bytes.extend_from_slice(&out[from..]);
        out.truncate(from);
    }

    /// Moves every answer whose record is durable to `out`, and drops those whose deadline has passed. An answer
    /// never overtakes one before it: records are durable in order, but a repeat may depend on an earlier one.
    pub fn release(&mut self, durable: Sequence, now: u64, out: &mut Vec<u8>) -> Released {
        let mut released = Released::default();
        while let Some(first) = self.waiting.front().copied() {
            if first.deadline < now {
                released.late += 1;
            } else if first.sequence <= durable {
                out.extend_from_slice(&self.bytes[self.start..self.start + first.len]);
                released.sent += 1;
            } else {
                break;
            }
            self.start += first.len;
            self.waiting.pop_front();
        }
        if self.waiting.is_empty() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        released
    }

    /// Forgets all that waits: the journal has failed, and the network's time-out settles them (R2). Returns how many
    /// there were.
    pub fn drop_all(&mut self) -> usize {
        let dropped = self.waiting.len();
        self.waiting.clear();
        self.bytes.clear();
        self.start = 0;
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::action::ActionCode;
    use crate::domain::money::Currency;

    #[test]
    fn r1_what_waits_for_the_disk() {
        let dollars = |minor| Money::new(minor, Currency::new(840).expect("a currency"));
        let approval = Answer::decline(ActionCode::Approved, Sequence(7));
        let decline = Answer::decline(ActionCode::InsufficientFunds, Sequence(7));
        let table = [
            (Reply::Async, Answering::Request(dollars(10_000)), approval, 0),
            (Reply::Async, Answering::Request(dollars(10_001)), approval, 7),
            (Reply::Async, Answering::Request(dollars(10_001)), decline, 0),
            (Reply::Fsync, Answering::Request(dollars(1)), approval, 7),
            (Reply::Fsync, Answering::Request(dollars(1)), decline, 7),
            (Reply::Async, Answering::Repeat, approval, 7),
            (Reply::Async, Answering::Advice, approval, 7),
            (Reply::Fsync, Answering::Advice, approval, 7),
        ];
        for (reply, answering, answer, sequence) in table {
            let policy = Policy {
                reply,
                fsync_above: vec![dollars(10_000)],
                max_unsynced_ns: 1,
                max_unsynced_records: 1,
                gather_ns: 0,
                parked_max: 1,
            };
            assert_eq!(policy.waits_for(answering, &answer), Sequence(sequence), "{reply:?} {answering:?}");
        }
    }

    #[test]
    fn r3_what_is_too_late_is_not_sent() {
        let mut parked = Parked::default();
        for (sequence, deadline, text) in [(5, 100, "five"), (3, 110, "three"), (9, 120, "nine")] {
            let mut out = format!("sent{text}").into_bytes();
            parked.park(Sequence(sequence), deadline, &mut out, 4);
            assert_eq!(out, b"sent");
        }
        let mut out = Vec::new();
        assert_eq!(parked.release(Sequence(4), 90, &mut out), Released::default());
        assert_eq!(parked.release(Sequence(5), 105, &mut out), Released { sent: 1, late: 1 });
        assert_eq!(out, b"three");
        assert_eq!((parked.len(), parked.deadline()), (1, Some(120)));
        assert_eq!(parked.release(Sequence(9), 120, &mut out), Released { sent: 1, late: 0 });
        assert_eq!(out, b"threenine");
        assert!(parked.is_empty());
    }
}
