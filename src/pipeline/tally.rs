//! What a socket counts between two looks at it: messages, answers, what was dropped, and how long it took.

use crate::domain::action::ActionCode;

use super::notice::Reason;
use super::spread::Times;
use super::unknown::UnknownElements;

/// The types of messages that are told apart; every other one counts as the last. A peer cannot add to them.
pub const MTIS: [(u16, &str); 19] = [
    (100, "0100"),
    (101, "0101"),
    (120, "0120"),
    (121, "0121"),
    (200, "0200"),
    (201, "0201"),
    (220, "0220"),
    (221, "0221"),
    (302, "0302"),
    (400, "0400"),
    (401, "0401"),
    (420, "0420"),
    (421, "0421"),
    (600, "0600"),
    (620, "0620"),
    (621, "0621"),
    (800, "0800"),
    (820, "0820"),
    (0, "other"),
];

/// The place of a message's type in [`MTIS`].
fn place_of(mti: u16) -> u8 {
    let place = MTIS.iter().position(|(known, _)| *known == mti).unwrap_or(MTIS.len() - 1);
    place as u8
}

/// Answers of one outcome to messages of one type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answers {
    mti: u16,
    /// The place of the message's type in [`MTIS`].
    pub kind: u8,
    /// The outcome.
    pub action: ActionCode,
    /// How many.
    pub count: u32,
}

/// What a socket has counted since it was last asked.
#[derive(Clone, Debug, Default)]
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
    /// From the read of a message to its decision.
    pub decided: Times,
    /// From the decision until the record was durable, of answers that waited for it.
    pub durable: Times,
    /// From the read of a message until its answer was written to the socket.
    pub written: Times,
    /// Few at a time: types and outcomes of one batch.
    answers: Vec<Answers>,
    dropped: [u32; Reason::ALL.len()],
}

impl Tally {
    /// Answers by type of message and outcome.
    #[must_use]
    pub fn answers(&self) -> &[Answers] {
        &self.answers
    }

    /// Things dropped for this reason.
    #[must_use]
    pub fn dropped(&self, reason: Reason) -> u64 {
        self.dropped[reason as usize].into()
    }

    /// Counts from zero again. What was counted over time is taken out by [`Times::drain`].
    pub fn clear(&mut self) {
        self.frames = 0;
        self.keep_alives = 0;
        self.management = 0;
        self.unverified = 0;
        self.unknown = UnknownElements::default();
        self.answers.clear();
        self.dropped = [0; Reason::ALL.len()];
    }

    /// Counts something that is dropped.
    pub fn drop_for(&mut self, reason: Reason) {
        self.dropped[reason as usize] += 1;
    }

    /// Counts answers that were too late to be sent.
    pub fn drop_late(&mut self, count: usize) {
        self.dropped[Reason::Late as usize] += u32::try_from(count).unwrap_or(u32::MAX);
    }

    /// Counts an answer to a message of this type; zero for one that could not be read.
    pub fn answer(&mut self, mti: u16, action: ActionCode) {
        let known = |answers: &&mut Answers| answers.mti == mti && answers.action == action;
        match self.answers.iter_mut().find(known) {
            Some(answers) => answers.count += 1,
            None => self.begin(mti, action),
        }
    }

    #[cold]
    fn begin(&mut self, mti: u16, action: ActionCode) {
        self.answers.push(Answers { mti, kind: place_of(mti), action, count: 1 });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_by_type_and_outcome() {
        let mut tally = Tally::default();
        for (mti, action) in [
            (100, ActionCode::Approved),
            (100, ActionCode::UnknownCard),
            (100, ActionCode::Approved),
            (9999, ActionCode::FormatError),
        ] {
            tally.answer(mti, action);
        }
        let counted = |answers: &Answers| (MTIS[usize::from(answers.kind)].1, answers.action, answers.count);
        assert_eq!(
            tally.answers().iter().map(counted).collect::<Vec<_>>(),
            [
                ("0100", ActionCode::Approved, 2),
                ("0100", ActionCode::UnknownCard, 1),
                ("other", ActionCode::FormatError, 1),
            ]
        );
        tally.clear();
        assert!(tally.answers().is_empty());
    }
}
