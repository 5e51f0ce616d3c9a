//! When an answer leaves: the durability policy, in one place (R1, R3).

use crate::domain::answer::Answer;
use crate::domain::card::CardRef;
use crate::domain::event::Sequence;
use crate::domain::money::Money;
use crate::domain::request::AuthorizationRequest;

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
    /// How long records may gather before they are written, while many answers wait for them, nanoseconds.
    pub pace_ns: u64,
    /// How many requests may be decided ahead of the disk with [`Reply::Fsync`]: past it no more are read, so that what
    /// has been read is answered soon.
    pub ahead_max: usize,
    /// How many answers may wait in all.
    pub parked_max: usize,
}

/// What an answer waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wait {
    /// The record that must be durable before the answer leaves; zero when it may leave at once.
    pub record: Sequence,
    /// The card of the authorization that this record made, to be marked if the answer is never sent (R3).
    pub authorizes: Option<CardRef>,
}

impl Wait {
    /// It may leave at once.
    pub const NONE: Self = Self::until(Sequence(0));

    /// Until this record is durable: what was told before, or what the peer forgets once it is acknowledged (R1).
    #[must_use]
    pub const fn until(record: Sequence) -> Self {
        Self { record, authorizes: None }
    }
}

impl Policy {
    /// Whether the answer to a new request waits for its record. Repeats, advices and reversals wait in every mode.
    #[must_use]
    pub fn request_waits(&self, request: &AuthorizationRequest, answer: &Answer) -> bool {
        self.answer_waits(request.amount, request.billing, answer.action.is_approval())
    }

    /// The same by what it is about: the amount, in both currencies that it has, and whether it is approved.
    #[must_use]
    pub fn answer_waits(&self, amount: Money, billing: Option<Money>, approved: bool) -> bool {
        let large = |amount: Money| {
            self.fsync_above
                .iter()
                .any(|above| above.currency == amount.currency && amount.minor > above.minor)
        };
        // Both are looked at: what is held is one of them, or a part of it.
        let is_large = || large(amount) || billing.is_some_and(large);
        self.reply == Reply::Fsync || approved && is_large()
    }
}

/// Answers of one socket that wait for the disk, in the order in which they were made. Their bytes stand in one
/// buffer, so that parking and letting go allocate nothing once it has grown.
#[derive(Default)]
pub struct Parked {
    waiting: std::collections::VecDeque<(Waiting, usize)>,
    /// Card numbers are among them.
    bytes: Vec<u8>,
    /// Where the first waiting answer begins.
    start: usize,
    /// How many of them approve something.
    approvals: usize,
}

impl core::fmt::Debug for Parked {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Parked").field("waiting", &self.waiting).finish_non_exhaustive()
    }
}

/// One answer that waits. Times are by [`crate::domain::time::Now::elapsed_ns`]: a wall clock that is set makes nothing
/// late, and nothing that is late early.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waiting {
    /// What it waits for.
    pub wait: Wait,
    /// When its request was read.
    pub received: u64,
    /// When it was decided.
    pub decided: u64,
    /// Past it the answer is not sent (R3).
    pub deadline: u64,
}

/// What becomes of an answer that has waited.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Its record is durable.
    Leaves,
    /// Its deadline has passed (R3).
    Late,
}

impl Parked {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// How many of them tell that something is approved: somebody stands at a till for it.
    #[must_use]
    pub const fn approvals(&self) -> usize {
        self.approvals
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// When the first deadline is.
    #[must_use]
    pub fn deadline(&self) -> Option<u64> {
        self.waiting.front().map(|(waiting, _)| waiting.deadline)
    }

    /// The record that the newest of them waits for.
    #[must_use]
    pub fn newest(&self) -> Option<Sequence> {
        self.waiting.back().map(|(waiting, _)| waiting.wait.record)
    }

    /// Parks the bytes from `from` on, and takes them out of `out`.
    pub fn park(&mut self, waiting: Waiting, out: &mut Vec<u8>, from: usize) {
        self.approvals += usize::from(waiting.wait.authorizes.is_some());
        self.waiting.push_back((waiting, out.len() - from));
        self.bytes.extend_from_slice(&out[from..]);
        out.truncate(from);
    }

    /// Moves every answer whose record is durable to `out`, and drops those whose deadline has passed: `ended` is told
    /// of each. An answer never overtakes one before it: records are durable in order, but a repeat may depend on an
    /// earlier one. `elapsed_ns` is the time.
    pub fn release(
        &mut self,
        durable: Sequence,
        elapsed_ns: u64,
        out: &mut Vec<u8>,
        mut ended: impl FnMut(&Waiting, Fate),
    ) {
        while let Some((first, len)) = self.waiting.front().copied() {
            if first.deadline < elapsed_ns {
                ended(&first, Fate::Late);
            } else if first.wait.record <= durable {
                ended(&first, Fate::Leaves);
                out.extend_from_slice(&self.bytes[self.start..self.start + len]);
            } else {
                break;
            }
            self.start += len;
            self.approvals -= usize::from(first.wait.authorizes.is_some());
            self.waiting.pop_front();
        }
        if self.waiting.is_empty() {
            self.bytes.clear();
            self.start = 0;
        } else if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
    }

    /// Forgets all that waits; `unsent` is told what each of them waited for.
    pub fn drop_all(&mut self, unsent: impl FnMut(Wait)) {
        self.waiting.drain(..).map(|(waiting, _)| waiting.wait).for_each(unsent);
        self.bytes.clear();
        (self.start, self.approvals) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::action::ActionCode;
    use crate::domain::card::Pan;
    use crate::domain::money::Currency;
    use crate::domain::party::InstitutionId;
    use crate::domain::party::NameId;
    use crate::domain::party::Text;
    use crate::domain::request::Finality;
    use crate::domain::request::MessageClass;
    use crate::domain::request::MessageKey;
    use crate::domain::request::Presented;
    use crate::domain::request::ProcessingCode;
    use crate::domain::request::Stan;
    use crate::domain::time::TransmissionTime;
    use crate::domain::usage::Channel;

    fn money(minor: i64, currency: u16) -> Money {
        Money::new(minor, Currency::new(currency).expect("a currency"))
    }

    fn purchase(amount: Money, billing: Option<Money>) -> AuthorizationRequest {
        let processing_code = ProcessingCode(0);
        AuthorizationRequest {
            key: MessageKey {
                network: NameId(1),
                link: NameId(1),
                stan: Stan(1),
                transmission: TransmissionTime::default(),
                acquirer: InstitutionId(1),
                rrn: Text::BLANK,
                terminal: Text::BLANK,
                merchant: Text::BLANK,
                network_reference: 0,
            },
            class: MessageClass::Authorization,
            repeat: false,
            pan: Pan::from_value(4_123_450_000_000_000, 16).expect("a card number"),
            expiry: None,
            processing_code,
            kind: processing_code.kind(),
            amount,
            billing,
            mcc: 0,
            country: 0,
            entry_mode: 0,
            channel: Channel::Chip,
            partial_supported: false,
            merchant_initiated: false,
            increment: false,
            finality: Finality::Undefined,
            card_present: false,
            presented: Presented::default(),
        }
    }

    #[test]
    fn r1_which_answers_to_requests_wait_for_the_disk() {
        let (dollars, euros) = (|minor| money(minor, 840), |minor| money(minor, 978));
        let approval = Answer::decline(ActionCode::Approved, Sequence(7));
        let decline = Answer::decline(ActionCode::InsufficientFunds, Sequence(7));
        let table = [
            (Reply::Async, dollars(10_000), None, approval, false),
            (Reply::Async, dollars(10_001), None, approval, true),
            (Reply::Async, dollars(10_001), None, decline, false),
            (Reply::Async, euros(10_001), None, approval, false),
            // Bought in one currency and held in another.
            (Reply::Async, euros(9_000), Some(dollars(10_001)), approval, true),
            (Reply::Async, euros(90_000), Some(dollars(10_000)), approval, false),
            (Reply::Async, dollars(10_001), Some(euros(9_000)), approval, true),
            (Reply::Fsync, dollars(1), None, approval, true),
            (Reply::Fsync, dollars(1), None, decline, true),
        ];
        for (reply, amount, billing, answer, waits) in table {
            let policy = Policy {
                reply,
                fsync_above: vec![dollars(10_000)],
                max_unsynced_ns: 1,
                max_unsynced_records: 1,
                gather_ns: 0,
                pace_ns: 0,
                ahead_max: usize::MAX,
                parked_max: 1,
            };
            let request = purchase(amount, billing);
            assert_eq!(policy.request_waits(&request, &answer), waits, "{reply:?} {amount:?} {billing:?}");
        }
    }

    #[test]
    fn r3_what_is_too_late_is_not_sent() {
        let mut parked = Parked::default();
        for (sequence, deadline, text) in [(5, 100, "five"), (3, 110, "three"), (9, 120, "nine")] {
            let mut out = format!("sent{text}").into_bytes();
            let wait = Wait::until(Sequence(sequence));
            parked.park(Waiting { wait, received: 1, decided: 2, deadline }, &mut out, 4);
            assert_eq!(out, b"sent");
        }
        let (mut out, mut late) = (Vec::new(), Vec::new());
        let mut release = |durable, now, out: &mut Vec<u8>| {
            parked.release(Sequence(durable), now, out, |waiting, fate| {
                if fate == Fate::Late {
                    late.push(waiting.wait.record.0);
                }
            });
            (parked.len(), parked.deadline())
        };
        assert_eq!(release(4, 90, &mut out), (3, Some(100)));
        assert_eq!(release(5, 105, &mut out), (1, Some(120)));
        assert_eq!(out, b"three");
        assert_eq!(release(9, 120, &mut out), (0, None));
        assert_eq!(out, b"threenine");
        assert_eq!(late, [5]);
    }
}
