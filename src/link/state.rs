//! The words of a session: what it goes by, where it is, what happens to it, and what it asks for.

use crate::domain::request::NetworkManagement;
use crate::domain::request::Scope;
use crate::domain::request::Stan;
use crate::domain::time::TransmissionTime;

/// A point in time: microseconds of a clock that never goes back.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Moment(pub u64);

impl Moment {
    /// Later by this.
    #[must_use]
    pub const fn plus(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }

    /// Microseconds since an earlier one; zero when that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Names one socket of a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SocketId(pub u64);

/// Who signs on (R23).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignOn {
    /// The peer does.
    Peer,
    /// We do.
    Us,
    /// Each side does for itself.
    Both,
}

/// What a session goes by. Times are microseconds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// Who signs on.
    pub sign_on: SignOn,
    /// For whom we sign on and off, one request each. There is at least one.
    pub scopes: Vec<Scope>,
    /// Whether we ask for stored advices once we are signed on.
    pub stored_advices: bool,
    /// Whether there is a way to stop them, which we then use before we sign off.
    pub stop_stored_advices: bool,
    /// Whether requests are declined before the sign-on.
    pub decline_before_sign_on: bool,
    /// How long an answer to a request of ours may take.
    pub answer_us: u64,
    /// How long we wait before we ask again.
    pub pause_us: u64,
    /// How long a socket is quiet before an echo; `None` for never.
    pub echo_us: Option<u64>,
    /// A socket is closed after this many echoes in a row without an answer.
    pub echo_misses: u32,
    /// Whether a drain begins with our sign-off (R26).
    pub sign_off_on_drain: bool,
}

impl Default for Settings {
    /// The peer signs on, everything is served, and nothing is sent by timers.
    fn default() -> Self {
        Self {
            sign_on: SignOn::Peer,
            scopes: vec![Scope::Link],
            stored_advices: false,
            stop_stored_advices: false,
            decline_before_sign_on: false,
            answer_us: 10_000_000,
            pause_us: 10_000_000,
            echo_us: None,
            echo_misses: 3,
            sign_off_on_drain: true,
        }
    }
}

/// Where we are with signing on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ours {
    /// We are not signed on.
    Off,
    /// The peer has accepted all of our sign-ons.
    On,
    /// Our sign-off is under way.
    Leaving,
}

/// Where the request for stored advices is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Advices {
    /// Nothing was asked, or not with success.
    NotAsked,
    /// Asked, and not answered yet.
    Asked,
    /// The peer has agreed and sends them.
    Running,
    /// The peer has said that there are no more (0820).
    Ended,
    /// We have stopped them.
    Stopped,
}

/// What a socket has to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send this request.
    Ask {
        /// What.
        what: NetworkManagement,
        /// For whom.
        scope: Scope,
        /// DE 11.
        stan: Stan,
    },
    /// Close: too many echoes were not answered.
    Close,
}

/// Something for the log and the counters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Happening {
    /// The peer has signed on.
    PeerSignedOn(Scope),
    /// The peer has signed off.
    PeerSignedOff(Scope),
    /// We are signed on.
    SignedOn,
    /// We are signed off.
    SignedOff,
    /// The peer did not take a request of ours: its DE 39.
    Refused(NetworkManagement, [u8; 2]),
    /// The peer did not answer a request of ours in time.
    NotAnswered(NetworkManagement),
    /// The peer has no more stored advices.
    AdvicesEnded,
    /// The last socket is gone.
    Lost,
    /// There is a socket again.
    Returned,
}

/// What the session has counted since the daemon started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Sign-ons that were carried out, on either side.
    pub sign_ons: u64,
    /// Sign-offs that were carried out, on either side.
    pub sign_offs: u64,
    /// How often the last socket was lost.
    pub losses: u64,
    /// Requests of ours that were refused.
    pub refused: u64,
    /// Requests of ours that were not answered in time.
    pub unanswered: u64,
    /// Key exchanges of the peer that were refused.
    pub key_exchanges: u64,
}

/// A network management request of the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PeerRequest {
    /// What it asks for.
    pub what: NetworkManagement,
    /// For whom.
    pub scope: Scope,
    /// DE 11.
    pub stan: Stan,
    /// DE 7.
    pub transmission: TransmissionTime,
}
