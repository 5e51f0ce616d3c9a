//! What is worth a counter or a line in the log: why something was dropped.

use crate::dialect::inbound::Fault;

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
}

impl Reason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Self; 19] = [
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
