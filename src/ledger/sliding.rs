//! What was counted in a sliding window: sixty whole parts, and the one that is being filled.
//!
//! Together they always cover the window, and up to one part more: no stretch of its length ever holds more than the
//! limit, and what was counted is let go of at most a sixtieth of the window late.

use crate::domain::limit::Window;

/// Parts that count.
pub(super) const PARTS: usize = Window::PARTS as usize + 1;

/// The parts, as a ring by their numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sliding {
    /// The sum of all parts.
    pub(super) total: i64,
    /// The number of the newest.
    pub(super) newest: u32,
    pub(super) parts: [i64; PARTS],
}

impl Sliding {
    /// Nothing was counted.
    pub(super) const fn new(newest: u32) -> Self {
        Self { total: 0, newest, parts: [0; PARTS] }
    }

    const fn place(part: u32) -> usize {
        part as usize % PARTS
    }

    /// What counts when `now` is the newest part.
    pub(super) fn used(&self, now: u32) -> i64 {
        let passed = now.saturating_sub(self.newest);
        if passed as usize >= PARTS {
            return 0;
        }
        let over = (1..=passed).map(|n| self.parts[Self::place(self.newest.wrapping_add(n))]);
        over.fold(self.total, i64::saturating_sub)
    }

    /// Adds to a part, which becomes the newest if it is later; one that counts no more is left alone.
    pub(super) fn add(&mut self, part: u32, amount: i64) {
        if part > self.newest {
            self.total = self.used(part);
            for n in 1..=(part - self.newest).min(PARTS as u32) {
                self.parts[Self::place(self.newest.wrapping_add(n))] = 0;
            }
            self.newest = part;
        }
        if (self.newest - part) < PARTS as u32 {
            let sum = &mut self.parts[Self::place(part)];
            *sum = sum.saturating_add(amount);
            self.total = self.total.saturating_add(amount);
        }
    }
}
