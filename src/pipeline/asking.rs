//! Messages that wait for a look-up in the history, and where their outcomes are left.
//!
//! No lock is held for a message that waits, and nothing is kept of it but itself. Whoever asked may be gone when the
//! outcome comes: what was decided stands, and the network's repeat of the message gets the same answer.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use parking_lot::Condvar;
use parking_lot::Mutex;

use crate::domain::time::Now;

use super::core::Outcome;
use super::core::Pipeline;
use super::recall::Told;

/// Most messages that wait in all. What comes then is not answered, and the peer sends it again (R2).
pub const WAITING_MAX: usize = 4_096;

/// A message that waits.
#[derive(Debug)]
pub struct Asked {
    /// The message.
    pub told: Told,
    /// When it was read.
    pub received: Now,
    /// By which its socket knows it.
    pub ticket: u64,
    /// Where its outcome is left.
    pub mailbox: Arc<Mailbox>,
}

/// Where outcomes are left for one socket.
pub struct Mailbox {
    outcomes: Mutex<Vec<(u64, Outcome)>>,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mailbox").finish_non_exhaustive()
    }
}

impl Mailbox {
    /// `wake` is called when there is an outcome.
    #[must_use]
    pub fn new(wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self { outcomes: Mutex::default(), wake: Box::new(wake) }
    }

    fn put(&self, ticket: u64, outcome: Outcome) {
        self.outcomes.lock().push((ticket, outcome));
        (self.wake)();
    }

    pub(super) fn take(&self) -> Vec<(u64, Outcome)> {
        std::mem::take(&mut *self.outcomes.lock())
    }
}

/// What was asked of the history since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Look-ups that were made.
    pub look_ups: u64,
    /// Authorizations that were brought back.
    pub recalled: u64,
    /// Look-ups that failed; their messages were not answered.
    pub failed: u64,
    /// Messages that found no room to wait; they were not answered.
    pub refused: u64,
    /// Messages that were about nothing in memory and decided by that, since no history worked.
    pub without: u64,
    /// Messages that wait now.
    pub waiting: usize,
}

/// Where messages wait.
#[derive(Debug, Default)]
pub(super) struct Desk {
    waiting: Mutex<VecDeque<Asked>>,
    wake: Condvar,
    closed: AtomicBool,
    /// There should be a history, and it could not be opened.
    lacks_history: AtomicBool,
    look_ups: AtomicU64,
    recalled: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
    without: AtomicU64,
}

impl Desk {
    /// Counts a message that was decided without the history, if there should be one.
    pub(super) fn count_if_lacking(&self) {
        if self.lacks_history.load(Ordering::Relaxed) {
            self.count_without();
        }
    }

    pub(super) fn count_look_up(&self) {
        self.look_ups.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_recalled(&self, recalled: usize) {
        self.recalled.fetch_add(recalled as u64, Ordering::Relaxed);
    }

    pub(super) fn count_without(&self) {
        self.without.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_failure(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Pipeline {
    /// Says that there should be a history and none could be opened: what is decided without it is counted.
    pub fn lacks_history(&self) {
        self.desk.lacks_history.store(true, Ordering::Relaxed);
    }

    /// Has a message wait for a look-up. False when there is no room.
    pub(super) fn ask(&self, asked: Asked) -> bool {
        let mut waiting = self.desk.waiting.lock();
        let is_open = !self.desk.closed.load(Ordering::Acquire);
        let taken = is_open && waiting.len() < WAITING_MAX;
        if taken {
            waiting.push_back(asked);
            self.desk.wake.notify_one();
        } else {
            self.desk.refused.fetch_add(1, Ordering::Relaxed);
        }
        taken
    }

    /// Looks up for one message after the other, until [`Self::stop_looking`]. What waits then is still looked up.
    pub fn run_look_ups(&self, now: &dyn Fn() -> Now) {
        while let Some(Asked { told, received, ticket, mailbox }) = self.next_asked() {
            let outcome = self.told_after_recall(&told, received, now);
            mailbox.put(ticket, outcome);
            self.wake_writer();
        }
    }

    fn next_asked(&self) -> Option<Asked> {
        let mut waiting = self.desk.waiting.lock();
        loop {
            if let Some(asked) = waiting.pop_front() {
                return Some(asked);
            }
            if self.desk.closed.load(Ordering::Acquire) {
                return None;
            }
            self.desk.wake.wait(&mut waiting);
        }
    }

    /// Has [`Self::run_look_ups`] return once nothing waits.
    pub fn stop_looking(&self) {
        let _waiting = self.desk.waiting.lock();
        self.desk.closed.store(true, Ordering::Release);
        self.desk.wake.notify_all();
    }

    /// What was asked of the history.
    #[must_use]
    pub fn asked(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Desk { look_ups, recalled, failed, refused, without, waiting, .. } = &self.desk;
        Counts {
            look_ups: count(look_ups),
            recalled: count(recalled),
            failed: count(failed),
            refused: count(refused),
            without: count(without),
            waiting: waiting.lock().len(),
        }
    }
}
