//! The session of a link behind its lock, with the one flag of it that a request reads.

use core::sync::atomic::AtomicBool;
use core::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::link::session::Session;
use crate::link::state::Moment;
use crate::link::state::Settings;
use crate::link::state::SocketId;

/// A link's session, shared by its sockets.
#[derive(Debug)]
pub struct Station {
    session: Mutex<Session>,
    /// Written whenever the session was used, so that a request needs no lock.
    refuses: AtomicBool,
    /// Whether whoever has to sign on has: the same for messages that go the other way.
    serves: AtomicBool,
}

impl Station {
    /// A link without a socket.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let session = Session::new(settings);
        Self {
            refuses: AtomicBool::new(session.refuses_requests()),
            serves: AtomicBool::new(session.takes_requests()),
            session: Mutex::new(session),
        }
    }

    /// Uses the session.
    pub fn with<R>(&self, work: impl FnOnce(&mut Session) -> R) -> R {
        let mut session = self.session.lock();
        let result = work(&mut session);
        self.refuses.store(session.refuses_requests(), Ordering::Release);
        self.serves.store(session.takes_requests(), Ordering::Release);
        result
    }

    /// Whether the peer can be asked something now.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.serves.load(Ordering::Acquire)
    }

    /// Whether requests are declined now, because nobody has signed on.
    #[must_use]
    pub fn refuses_requests(&self) -> bool {
        self.refuses.load(Ordering::Acquire)
    }
}

/// One socket's place in the session, while what it has read is served.
#[derive(Clone, Copy, Debug)]
pub struct Seat<'s> {
    /// The session.
    pub station: &'s Station,
    /// The socket.
    pub socket: SocketId,
    /// When it was read.
    pub moment: Moment,
}
