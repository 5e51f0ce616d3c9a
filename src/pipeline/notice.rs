//! What is worth a counter or a line in the log: why something was dropped, and what the network did not take.

use std::fmt;

use crate::dialect::inbound::Fault;
use crate::dialect::inbound::Reject;
use crate::domain::request::Stan;

/// Why a message was not answered or not served, or a socket closed. Each is a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Reason {
    /// The stream's framing was lost; the socket is closed.
    Framing,
    /// A message that cannot be read, answered as the dialect says (R24).
    Malformed,
    /// The same, and what must be echoed could not be read either.
    MalformedUnanswered,
    /// A message that is right and not served.
    Unsupported,
    /// A response to nothing that was asked.
    UnmatchedResponse,
    /// The network did not take an answer of ours.
    Rejected,
    /// The network says that an answer of ours did not arrive (0190).
    Undelivered,
    /// An answer that does not fit its dialect.
    Unwritable,
    /// A reversal or advice that could not be kept, so that the peer sends it again (R2).
    Unkept,
    /// An answer whose record was not durable by its deadline (R3).
    Late,
    /// An answer that waited when the journal failed (R2).
    JournalFailed,
    /// The peer stopped in the middle of a frame.
    PartialFrame,
    /// The peer was silent for too long.
    Idle,
    /// The peer does not read its answers.
    NotReading,
    /// More sockets than the link may have.
    TooManyConnections,
    /// More sockets from one address than the link may have.
    TooManyFromPeer,
    /// An address that may not connect.
    PeerNotAllowed,
    /// A request before the sign-on, or after the peer's sign-off, which is declined.
    NotSignedOn,
    /// The peer has left too many echoes unanswered.
    EchoesMissed,
    /// The peer has answered next to nothing of what was forwarded on this socket.
    NothingAnswered,
}

impl Reason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 20] = [
        Self::Framing,
        Self::Malformed,
        Self::MalformedUnanswered,
        Self::Unsupported,
        Self::UnmatchedResponse,
        Self::Rejected,
        Self::Undelivered,
        Self::Unwritable,
        Self::Unkept,
        Self::Late,
        Self::JournalFailed,
        Self::PartialFrame,
        Self::Idle,
        Self::NotReading,
        Self::TooManyConnections,
        Self::TooManyFromPeer,
        Self::PeerNotAllowed,
        Self::NotSignedOn,
        Self::EchoesMissed,
        Self::NothingAnswered,
    ];

    /// Its name in metrics and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Framing => "framing",
            Self::Malformed => "malformed",
            Self::MalformedUnanswered => "malformed-unanswered",
            Self::Unsupported => "unsupported",
            Self::UnmatchedResponse => "unmatched-response",
            Self::Rejected => "rejected",
            Self::Undelivered => "undelivered",
            Self::Unwritable => "unwritable",
            Self::Unkept => "unkept",
            Self::Late => "late",
            Self::JournalFailed => "journal-failed",
            Self::PartialFrame => "partial-frame",
            Self::Idle => "idle",
            Self::NotReading => "not-reading",
            Self::TooManyConnections => "too-many-connections",
            Self::TooManyFromPeer => "too-many-from-peer",
            Self::PeerNotAllowed => "peer-not-allowed",
            Self::NotSignedOn => "not-signed-on",
            Self::EchoesMissed => "echoes-missed",
            Self::NothingAnswered => "nothing-answered",
        }
    }
}

/// Something for the log. It never holds card data.
#[derive(Clone, Copy, Debug)]
pub struct Notice {
    /// What was done about it.
    pub reason: Reason,
    /// What was wrong, when a message was.
    pub fault: Option<Fault>,
    /// The MTI, when it could be read.
    pub mti: Option<u16>,
}

/// Why the network did not take a message of ours: four digits (Visa H14), or nothing when its header has none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RejectCode(pub Option<u16>);

impl fmt::Display for RejectCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(code) => write!(f, "{code:04}"),
            None => f.write_str("none"),
        }
    }
}

/// A message of ours that the network did not take (R24), for its alarm. It never holds card data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rejection {
    /// Why.
    pub code: RejectCode,
    /// The MTI of our message; zero when it cannot be read.
    pub mti: u16,
    /// DE 11 of our message.
    pub stan: Option<Stan>,
    /// Whether it was the answer to a request, of which our leg is then undone (R4).
    pub answer: bool,
}

impl Rejection {
    pub(super) fn of(reject: &Reject) -> Self {
        Self {
            code: RejectCode(reject.code),
            mti: reject.mti,
            stan: reject.stan,
            answer: reject.answer.is_some(),
        }
    }
}
