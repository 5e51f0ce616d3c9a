//! Our own books of what every answer did to the money, and what was wrong with an answer. It shares nothing with the
//! ledger: it knows answers only.

use crate::workload::exchange::Kind;
use crate::workload::life::Totals;
use crate::workload::population::Account;
use crate::workload::presenting::Cleared;

/// Mistakes that are kept as examples.
const EXAMPLES_MAX: usize = 20;

/// What is wrong with an answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(usize)]
pub enum Mistake {
    /// It answers nothing that was sent.
    ToNothing,
    /// A second answer to one message.
    Second,
    /// It cannot be read, or has another MTI than the answer must have.
    Unreadable,
    /// More is taken from an account than could ever be available.
    AboveAvailable,
    /// A part is approved that is larger than the whole.
    PartAboveWhole,
    /// A repeat is answered with another DE 39, DE 38, DE 4 or DE 54 than its first.
    RepeatDiffers,
    /// A reversal, advice or network message is not answered with an approval.
    NotAcknowledged,
    /// Approved although its reversal came first.
    ApprovedAfterReversal,
    /// A DE 39 that this request cannot get.
    UnexpectedCode,
    /// A record of a clearing file has become something else than what it is.
    ClearedOtherwise,
}

impl Mistake {
    /// All, with what reports call them.
    pub const ALL: [(Self, &'static str); 10] = [
        (Self::ToNothing, "answer-to-nothing"),
        (Self::Second, "second-answer"),
        (Self::Unreadable, "unreadable-answer"),
        (Self::AboveAvailable, "approved-above-available"),
        (Self::PartAboveWhole, "part-above-whole"),
        (Self::RepeatDiffers, "repeat-answered-differently"),
        (Self::NotAcknowledged, "not-acknowledged"),
        (Self::ApprovedAfterReversal, "approved-after-reversal"),
        (Self::UnexpectedCode, "unexpected-code"),
        (Self::ClearedOtherwise, "cleared-otherwise"),
    ];

    /// What reports call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// One mistake with its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Example {
    /// What is wrong.
    pub mistake: Mistake,
    /// The exchange, when it is known.
    pub number: Option<u32>,
    /// What the exchange is about, when it is known.
    pub kind: Option<Kind>,
    /// DE 39 of the answer.
    pub code: [u8; 2],
    /// What became of it, of a record of a clearing file.
    pub cleared: Option<ClearedExample>,
}

/// A record of a clearing file that became something else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClearedExample {
    /// The life cycle that it is of.
    pub life: &'static str,
    /// What it should have become.
    pub expected: Cleared,
    /// What it has become; `None` for nothing that a record of ours can become.
    pub became: Option<Cleared>,
}

/// What answers did to one account, minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Book {
    /// Approved and not undone for certain: no reversal of it was even sent. It can never be above the limit.
    pub firm: i64,
    /// The part of it that 02xx took.
    pub firm_posted: i64,
    /// Held: approvals of 01xx less acknowledged reversals.
    pub held: i64,
    /// Posted since the run began: approvals of 02xx less acknowledged reversals, with its sign.
    pub posted: i64,
    /// Approvals of life cycles that are as firm, less credits that may have come.
    further: i64,
    touched: bool,
}

/// The books.
#[derive(Clone, Debug)]
pub struct Model {
    books: Vec<Book>,
    /// What life cycles did, apart so that it costs nothing where there are none.
    lives: Vec<Totals>,
    mistakes: [u64; Mistake::ALL.len()],
    examples: Vec<Example>,
}

impl Model {
    /// Books for so many accounts.
    #[must_use]
    pub fn new(accounts: usize) -> Self {
        Self {
            books: vec![Book::default(); accounts],
            lives: vec![Totals::default(); accounts],
            mistakes: [0; Mistake::ALL.len()],
            examples: Vec::with_capacity(EXAMPLES_MAX),
        }
    }

    /// An approval took `amount`. `reversed`: a reversal of it was sent already; `released`: and acknowledged. False
    /// when it is more than could ever be available.
    #[inline]
    pub(super) fn take(
        &mut self,
        place: u32,
        account: &Account,
        (kind, amount): (Kind, u32),
        (reversed, released): (bool, bool),
    ) -> bool {
        let Some(book) = self.books.get_mut(place as usize) else { return true };
        book.touched = true;
        if !released {
            match kind {
                Kind::Sale => book.posted -= i64::from(amount),
                _ => book.held += i64::from(amount),
            }
        }
        if !reversed {
            book.firm += i64::from(amount);
            book.firm_posted += posted(kind, amount);
        }
        // All of `firm` was taken together: at the latest of those decisions every other one still stood.
        book.firm + book.further <= account.balance.saturating_add(account.overdraft)
    }

    /// An approval of a life cycle took `amount`. False when it is more than could ever be available.
    pub(super) fn take_life(&mut self, place: u32, account: &Account, amount: i64) -> bool {
        let Some(book) = self.books.get_mut(place as usize) else { return true };
        book.further += amount;
        book.firm + book.further <= account.balance.saturating_add(account.overdraft)
    }

    /// Something was sent that may undo so much of a life cycle's approvals.
    pub(super) fn loosen_life(&mut self, place: u32, amount: i64) {
        if let Some(book) = self.books.get_mut(place as usize) {
            book.further -= amount;
        }
    }

    /// Something was sent that may give so much.
    pub(super) fn expect_credit(&mut self, place: u32, amount: u32) {
        if let Some(book) = self.books.get_mut(place as usize) {
            book.further -= i64::from(amount);
        }
    }

    /// What a life cycle did is no longer `before` but `after`.
    pub(super) fn move_life(&mut self, place: u32, before: Totals, after: Totals) {
        if let (Some(life), Some(book)) =
            (self.lives.get_mut(place as usize), self.books.get_mut(place as usize))
        {
            life.held += after.held - before.held;
            life.posted += after.posted - before.posted;
            book.touched = true;
        }
    }

    /// A reversal of an approval was sent: from now on it may be undone.
    #[inline]
    pub(super) fn loosen(&mut self, place: u32, kind: Kind, amount: u32) {
        if let Some(book) = self.books.get_mut(place as usize) {
            book.firm -= i64::from(amount);
            book.firm_posted -= posted(kind, amount);
        }
    }

    /// A reversal of an approval was acknowledged.
    #[inline]
    pub(super) fn give_back(&mut self, place: u32, kind: Kind, amount: u32) {
        if let Some(book) = self.books.get_mut(place as usize) {
            match kind {
                Kind::Sale => book.posted += i64::from(amount),
                _ => book.held -= i64::from(amount),
            }
        }
    }

    pub(super) fn mistake(&mut self, example: Example) {
        self.mistakes[example.mistake as usize] += 1;
        if self.examples.len() < EXAMPLES_MAX {
            self.examples.push(example);
        }
    }

    /// What was posted and what is held of each account since the run began, by its place in the population; posted
    /// with its sign.
    pub fn money(&self) -> impl Iterator<Item = (i64, i64)> {
        let both = self.books.iter().zip(&self.lives);
        both.map(|(book, life)| (book.posted + life.posted, book.held + life.held))
    }

    /// What life cycles did to each account.
    pub(super) fn lives(&self) -> &[Totals] {
        &self.lives
    }

    /// The books by an account's place in the population, without life cycles.
    #[must_use]
    pub fn books(&self) -> &[Book] {
        &self.books
    }

    /// Places of accounts that an approval ever took from.
    pub fn touched(&self) -> impl Iterator<Item = usize> {
        self.books.iter().enumerate().filter(|(_, book)| book.touched).map(|(place, _)| place)
    }

    /// How often each mistake was made, in the order of [`Mistake::ALL`].
    #[must_use]
    pub const fn mistakes(&self) -> &[u64; Mistake::ALL.len()] {
        &self.mistakes
    }

    /// The first mistakes.
    #[must_use]
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }
}

/// What an approval of this kind posts, minor units.
const fn posted(kind: Kind, amount: u32) -> i64 {
    if matches!(kind, Kind::Sale) { amount as i64 } else { 0 }
}
