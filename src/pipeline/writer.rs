//! The writer's side of the pipeline: when what has gathered is written, and who wakes the writer.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::domain::event::Sequence;
use crate::journal::buffer::Buffer;
use crate::journal::buffer::Pending;
use crate::journal::storage::Storage;
use crate::journal::writer::JournalError;
use crate::journal::writer::Writer;

use super::core::Pipeline;
use super::gate::Reply;

/// How long the writer waits for records before it marks what is durable.
const IDLE_MARK: Duration = Duration::from_millis(50);
/// More answers than this wait for the disk only when many requests come at once: group commits are paced then.
const PACED_ABOVE: usize = 64;
/// With [`Reply::Async`] mostly what is told afterwards waits: reversals, advices, repeats. While no approval does,
/// groups are paced from here on, by a third of the pace: a sync takes time from requests, and who waits has seconds.
const PACED_ABOVE_IN_ASYNC: usize = 4;

/// What the writer is doing, for those who may have to wake it.
#[repr(u8)]
pub(super) enum WriterState {
    /// It writes, and will look at the buffer again by itself.
    Busy,
    /// It waits for a record.
    Waits,
    /// It has records and lets more gather, as long as no answer waits for them.
    Gathers,
    /// It has records for which answers wait, and lets more gather until they are many.
    Paces,
    /// The same, until an approval waits too.
    PacesTold,
}

impl Pipeline {
    /// Wakes the writer if it waits and there is reason to. Called once for each batch of messages, not for each
    /// record.
    pub fn wake_writer(&self) {
        let state = self.window.writer.load(Ordering::Acquire);
        let waits = state == WriterState::Waits as u8 && self.appended() > self.durable();
        let gathers = state == WriterState::Gathers as u8 && self.parked() > 0;
        let paces = state == WriterState::Paces as u8 && self.is_group_large()
            || state == WriterState::PacesTold as u8
                && (self.parked_approvals() > 0 || self.is_group_large());
        if waits || gathers || paces {
            let _journal = self.journal.lock();
            self.wake.notify_one();
        }
    }

    /// Takes no more records, from whatever thread: what is in memory from now on is what will be on disk.
    pub fn take_no_more(&self) {
        self.window.over.store(true, Ordering::Release);
        // Whoever is appending has the lock; whoever comes later sees it.
        let _journal = self.journal.lock();
    }

    /// Says that no more records will come: the writer makes the last ones durable and returns.
    pub fn close(&self) {
        self.window.closing.store(true, Ordering::Release);
        self.stop_looking();
        let _journal = self.journal.lock();
        self.wake.notify_one();
    }

    /// Whether no more records will come.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.window.closing.load(Ordering::Acquire)
    }

    /// Makes records durable until the pipeline is closed: takes what has gathered, writes and syncs it as one group,
    /// publishes the durable sequence. `publish` is also called when the journal has failed, so that whoever waits
    /// learns of it.
    ///
    /// # Errors
    /// The journal failed; nothing more will be durable.
    pub fn run_writer<S: Storage>(
        &self,
        writer: &mut Writer<S>,
        publish: &dyn Fn(Sequence),
    ) -> Result<(), JournalError> {
        let mut pending = self.spare();
        loop {
            let Some(taken) = self.await_gathered(&mut pending) else { return Ok(()) };
            let written = if taken { writer.write(&mut pending) } else { writer.write_mark() };
            let written = self.written(written);
            if taken || self.has_failed() {
                publish(self.durable());
            }
            written?;
        }
    }

    /// Memory for [`Self::take_gathered`].
    #[must_use]
    pub fn spare(&self) -> Pending {
        self.journal.lock().spare()
    }

    /// Takes what has gathered, for the writer. False when nothing has.
    pub fn take_gathered(&self, pending: &mut Pending) -> bool {
        let mut journal = self.journal.lock();
        let gathered = !journal.is_empty();
        if gathered {
            self.take(&mut journal, pending);
        }
        gathered
    }

    fn take(&self, journal: &mut Buffer, pending: &mut Pending) {
        let since = self.window.filling_since.swap(0, Ordering::Relaxed);
        self.window.writing_since.store(since, Ordering::Relaxed);
        journal.take(pending);
    }

    /// What became of writing what was taken: from here on it is durable, or nothing is any more.
    ///
    /// # Errors
    /// The writer's.
    pub fn written(&self, written: Result<Sequence, JournalError>) -> Result<(), JournalError> {
        match written {
            Ok(durable) => {
                self.window.writing_since.store(0, Ordering::Relaxed);
                self.window.durable.store(durable.0, Ordering::Release);
                Ok(())
            }
            Err(error) => {
                self.fail();
                Err(error)
            }
        }
    }

    fn set_writer(&self, state: WriterState) {
        self.window.writer.store(state as u8, Ordering::Release);
    }

    /// Waits for records and takes them. False when none came for a while; `None` when none will come any more.
    fn await_gathered(&self, pending: &mut Pending) -> Option<bool> {
        let mut journal = self.journal.lock();
        if journal.is_empty() {
            if self.window.closing.load(Ordering::Acquire) {
                return None;
            }
            self.set_writer(WriterState::Waits);
            self.wake.wait_for(&mut journal, IDLE_MARK);
            self.set_writer(WriterState::Busy);
            if journal.is_empty() {
                return Some(false);
            }
        }
        // A sync costs the processor the same for one record as for hundreds, and so does every socket's write of the
        // answers that it lets go. While nobody waits for the disk, or very many do, some more may gather; that widens
        // the window by this much and no more.
        let gathers = match (self.policy.reply, self.parked()) {
            (Reply::Async, 0) => Some((WriterState::Gathers, self.policy.gather_ns)),
            _ if self.is_group_large() => None,
            (_, waiting) if waiting > PACED_ABOVE => Some((WriterState::Paces, self.policy.pace_ns)),
            (Reply::Async, waiting) if waiting > PACED_ABOVE_IN_ASYNC && self.parked_approvals() == 0 => {
                Some((WriterState::PacesTold, self.policy.pace_ns / 3))
            }
            _ => None,
        };
        if let Some((state, ns)) = gathers
            && !self.window.closing.load(Ordering::Acquire)
        {
            self.set_writer(state);
            self.wake.wait_for(&mut journal, Duration::from_nanos(ns));
            self.set_writer(WriterState::Busy);
        }
        self.take(&mut journal, pending);
        Some(true)
    }

    /// Whether so much has gathered that waiting for more gains nothing.
    fn is_group_large(&self) -> bool {
        self.appended().0.saturating_sub(self.durable().0) >= self.policy.ahead_max as u64 / 2
    }
}
