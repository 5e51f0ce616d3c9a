//! What a socket counts between two looks at it: messages, answers, and what was dropped.

use crate::domain::action::ActionCode;

use super::notice::Reason;
use super::unknown::UnknownElements;

/// Room for every [`ActionCode`].
const ACTIONS: usize = 96;

/// What a socket has counted since it was last asked.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Messages read.
    pub frames: u64,
    /// Frames without a message.
    pub keep_alives: u64,
    /// Network management messages, whatever became of them (R23).
    pub management: u64,
    /// Approvals although something was presented that nobody verified (R28).
    pub unverified: u64,
    /// Elements that the dialect does not have.
    pub unknown: UnknownElements,
    answers: [u32; ACTIONS],
    dropped: [u32; Reason::ALL.len()],
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            frames: 0,
            keep_alives: 0,
            management: 0,
            unverified: 0,
            unknown: UnknownElements::default(),
            answers: [0; ACTIONS],
            dropped: [0; Reason::ALL.len()],
        }
    }
}

impl Tally {
    /// Answers of this outcome.
    #[must_use]
    pub fn answers(&self, action: ActionCode) -> u64 {
        self.answers.get(action as usize).copied().unwrap_or(0).into()
    }

    /// Things dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: Reason) -> u64 {
        self.dropped[reason as usize].into()
    }

    /// Counts from zero again.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// Counts something that is dropped.
    pub fn drop_for(&mut self, reason: Reason) {
        self.dropped[reason as usize] += 1;
    }

    /// Counts an answer.
    pub fn answer(&mut self, action: ActionCode) {
        if let Some(count) = self.answers.get_mut(action as usize) {
            *count += 1;
        }
    }
}
