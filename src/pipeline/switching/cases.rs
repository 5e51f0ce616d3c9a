//! Answers that answer nothing: kept with the nearest candidate and what differs, so that a person can see why.

use std::collections::VecDeque;

use crate::domain::card::MaskedPan;
use crate::domain::party::Rrn;
use crate::domain::request::Stan;
use crate::domain::time::Timestamp;

/// The newest cases that are kept of each line.
const KEPT: usize = 256;

/// What an answer turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// It approves what had been given up already: its reversal stands (R29).
    LateApproval = 0,
    /// It declines what had been given up already: the reversal is not needed if it has not been sent.
    LateDecline = 1,
    /// What it answers was answered before.
    Duplicate = 2,
    /// It has the STAN of what waits, and another data element of another message.
    Mismatch = 3,
    /// Nothing that is known of has its STAN.
    Orphan = 4,
    /// The message that was forwarded has come back to us.
    Loop = 5,
    /// It has the STAN of one that waits, and all the rest of another that waits too.
    Collision = 6,
}

impl Kind {
    /// Every one with its name on the HTTP face.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::LateApproval, "late-approval"),
        (Self::LateDecline, "late-decline"),
        (Self::Duplicate, "duplicate"),
        (Self::Mismatch, "mismatch"),
        (Self::Orphan, "orphan"),
        (Self::Loop, "loop"),
        (Self::Collision, "collision"),
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// One of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Case {
    /// When.
    pub at: Timestamp,
    /// What it turned out to be.
    pub kind: Kind,
    /// Its MTI.
    pub mti: u16,
    /// Its DE 11.
    pub stan: Stan,
    /// Its DE 37, when it has one.
    pub rrn: Option<Rrn>,
    /// Its DE 39.
    pub code: [u8; 2],
    /// The card of the nearest candidate.
    pub card: Option<MaskedPan>,
    /// DE 37 of the nearest candidate.
    pub nearest: Option<Rrn>,
    /// The data element that differs; zero is the MTI.
    pub differs: Option<u8>,
    /// The STAN of one that waits which it would answer if it had that.
    pub fits: Option<Stan>,
}

/// The newest cases, and how many there were.
#[derive(Clone, Debug, Default)]
pub struct Cases {
    newest: VecDeque<Case>,
    counts: [u64; Kind::ALL.len()],
}

impl Cases {
    /// One more.
    pub fn add(&mut self, case: Case) {
        self.counts[case.kind as usize] += 1;
        if self.newest.len() == KEPT {
            self.newest.pop_front();
        }
        self.newest.push_back(case);
    }

    /// How many there were of each kind.
    #[must_use]
    pub const fn counts(&self) -> [u64; Kind::ALL.len()] {
        self.counts
    }

    /// The newest, newest last.
    pub fn iter(&self) -> impl Iterator<Item = &Case> {
        self.newest.iter()
    }
}
