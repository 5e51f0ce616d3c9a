//! What one socket's task is given to write by others: requests that are forwarded to its peer, and answers that come
//! back to it.
//!
//! Whoever has something for the socket appends it under a short lock and wakes its task once; the task takes all that
//! has gathered in one write. What must be on disk before it leaves waits here, as answers do (R1). An outbox is
//! bounded: a peer that takes nothing is asked nothing more.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use crate::domain::event::Sequence;
use crate::domain::time::Now;
use crate::link::state::SocketId;
use crate::pipeline::gate::Fate;
use crate::pipeline::gate::Parked;
use crate::pipeline::gate::Wait;
use crate::pipeline::gate::Waiting;

/// Bytes that may gather for a peer that does not take them.
const READY_BYTES_MAX: usize = 4 << 20;
/// Messages that may wait for the disk.
const PARKED_MAX: usize = 65_536;

/// It has card numbers in clear, and so it cannot print.
#[derive(Default)]
struct Gathered {
    ready: Vec<u8>,
    parked: Parked,
}

/// What is to be written to one socket.
pub struct Outbox {
    /// The socket.
    pub socket: SocketId,
    gathered: Mutex<Gathered>,
    /// Bytes in `ready`, and messages in `parked`, so that the task looks without a lock.
    ready: AtomicUsize,
    parked: AtomicUsize,
    closed: AtomicBool,
    /// Requests that came on this socket, were forwarded, and wait for their answers.
    owed: AtomicUsize,
    wake: Box<dyn Fn() + Send + Sync>,
    /// Requests that were forwarded on this socket.
    pub asked: AtomicU64,
    /// Of them, those that were answered.
    pub answered: AtomicU64,
    /// Of them, those that were not answered in time, in a row.
    pub silent: AtomicU64,
    /// No more is asked on it until an echo comes back: nearly nothing of what was asked was answered.
    pub quarantined: AtomicBool,
    /// Since when, by a clock that never goes back, nanoseconds.
    pub quarantined_at_ns: AtomicU64,
    /// Quarantined once more, or for too long: its task closes it.
    condemned: AtomicBool,
}

impl core::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Outbox").field("socket", &self.socket).finish_non_exhaustive()
    }
}

impl Outbox {
    /// Of a socket whose task `wake` wakes.
    #[must_use]
    pub fn new(socket: SocketId, wake: impl Fn() + Send + Sync + 'static) -> Self {
        let none = || AtomicU64::new(0);
        Self {
            socket,
            gathered: Mutex::default(),
            ready: AtomicUsize::new(0),
            parked: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            owed: AtomicUsize::new(0),
            wake: Box::new(wake),
            asked: none(),
            answered: none(),
            silent: none(),
            quarantined: AtomicBool::new(false),
            quarantined_at_ns: none(),
            condemned: AtomicBool::new(false),
        }
    }

    /// Whether it takes one more message.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
            && self.ready.load(Ordering::Relaxed) < READY_BYTES_MAX
            && self.parked.load(Ordering::Relaxed) < PARKED_MAX
    }

    /// Gives the socket a whole frame, which leaves once the record is durable. False when it is closed or full: then
    /// no byte of it is ever written.
    pub fn put(&self, frame: &[u8], record: Sequence, deadline_ns: u64, durable: Sequence, now: Now) -> bool {
        if !self.has_room() {
            return false;
        }
        let mut gathered = self.gathered.lock();
        // It may have closed since: what comes after that would stay here, and count as sent.
        if self.is_closed() {
            return false;
        }
        // Nothing overtakes what waits.
        if gathered.parked.is_empty() && record <= durable {
            gathered.ready.extend_from_slice(frame);
        } else {
            let (received, decided) = (now.elapsed_ns, now.elapsed_ns);
            let waiting = Waiting { wait: Wait::until(record), received, decided, deadline: deadline_ns };
            let mut bytes = frame.to_vec();
            gathered.parked.park(waiting, &mut bytes, 0);
        }
        let before = self.ready.swap(gathered.ready.len(), Ordering::AcqRel);
        self.parked.store(gathered.parked.len(), Ordering::Release);
        drop(gathered);
        if before == 0 {
            (self.wake)();
        }
        true
    }

    /// One more request of this socket waits for somebody else's answer.
    pub(super) fn owe(&self) {
        self.owed.fetch_add(1, Ordering::Relaxed);
    }

    /// One fewer does.
    pub(super) fn settle(&self) {
        self.owed.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether an answer is still to come, or to leave.
    #[must_use]
    pub fn owes(&self) -> bool {
        self.owed.load(Ordering::Relaxed) > 0 || self.waits() || self.ready.load(Ordering::Acquire) > 0
    }

    /// Whether something waits for the disk.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.parked.load(Ordering::Acquire) > 0
    }

    /// Moves everything that may leave now to `out`. Returns how many were too late and are not sent (R3).
    pub fn take(&self, durable: Sequence, now: Now, out: &mut Vec<u8>) -> usize {
        if self.ready.load(Ordering::Acquire) == 0 && !self.waits() {
            return 0;
        }
        let mut late = 0;
        let mut gathered = self.gathered.lock();
        let Gathered { ready, parked } = &mut *gathered;
        if out.is_empty() {
            core::mem::swap(out, ready);
        } else {
            out.extend_from_slice(ready);
            ready.clear();
        }
        parked.release(durable, now.elapsed_ns, out, |_, fate| late += usize::from(fate == Fate::Late));
        self.ready.store(0, Ordering::Release);
        self.parked.store(parked.len(), Ordering::Release);
        late
    }

    /// The socket is gone: nothing is taken any more, and what was not written never is.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let mut gathered = self.gathered.lock();
        *gathered = Gathered::default();
        self.ready.store(0, Ordering::Release);
        self.parked.store(0, Ordering::Release);
    }

    /// Whether the socket is gone.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Has its task close it.
    pub fn condemn(&self) {
        self.condemned.store(true, Ordering::Release);
    }

    /// Whether it is to be closed.
    #[must_use]
    pub fn is_condemned(&self) -> bool {
        self.condemned.load(Ordering::Acquire)
    }

    /// The peer has answered an echo on it: it works both ways, whatever became of what was asked before.
    pub fn is_proven(&self) {
        if self.quarantined.swap(false, Ordering::AcqRel) {
            self.silent.store(0, Ordering::Relaxed);
        }
    }
}
