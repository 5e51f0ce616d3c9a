//! Exchanges: a message of ours and what was answered, kept by number in a ring that is made before the run.

use crate::workload::reading::Reading;

/// What an exchange is about.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Kind {
    /// 0100, goods and services, within the balance as far as is known.
    Purchase,
    /// 0100, cash at a machine.
    Cash,
    /// 0200: an approval posts.
    Sale,
    /// 0100 over the balance at a terminal that takes a part (R12); Visa and Mastercard only.
    Partial,
    /// 0100 over the balance.
    OverLimit,
    /// 0100 for a card that nobody has.
    UnknownCard,
    /// 0100 for a card that is frozen, lost, expired and so on.
    BlockedCard,
    /// 0100, what the card has.
    Inquiry,
    /// 0100 for no amount, whether the card is good (R16); Visa and Mastercard only.
    Verification,
    /// 0101 or 0201 of an earlier 01xx or 0200.
    Repeat,
    /// 0400 of an earlier approval.
    Reversal,
    /// 0420 of an earlier approval.
    ReversalAdvice,
    /// 0401 or 0421 of an earlier reversal.
    ReversalRepeat,
    /// 0420 of a request that comes after it (R4).
    EarlyReversal,
    /// The 0100 that comes after its reversal.
    Late,
    /// 0800, are you there.
    Echo,
    /// 0800, the peer takes up service.
    SignOn,
    /// 0800, the peer leaves service.
    SignOff,
    /// 0100 of a life cycle.
    LifeAuthorization,
    /// 0200 of a life cycle.
    LifeSale,
    /// 0120 of a life cycle.
    LifeAdvice,
    /// 0220 of a life cycle.
    LifeCompletion,
    /// 0400 of a life cycle.
    LifeReversal,
    /// 0420 of a life cycle.
    LifeReversalAdvice,
    /// Record of a clearing file, of a life cycle.
    LifePresentment,
}

impl Kind {
    /// How many there are.
    pub const COUNT: usize = 25;

    /// Those that a mix can name, with their names.
    pub const DRAWN: [(Self, &'static str); 14] = [
        (Self::Purchase, "purchase"),
        (Self::Cash, "cash"),
        (Self::Sale, "sale"),
        (Self::Partial, "partial"),
        (Self::OverLimit, "over-limit"),
        (Self::UnknownCard, "unknown-card"),
        (Self::BlockedCard, "blocked-card"),
        (Self::Inquiry, "inquiry"),
        (Self::Verification, "verification"),
        (Self::Repeat, "repeat"),
        (Self::Reversal, "reversal"),
        (Self::ReversalAdvice, "reversal-advice"),
        (Self::ReversalRepeat, "reversal-repeat"),
        (Self::EarlyReversal, "early-reversal"),
    ];

    /// The name in a mix and in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        let found = Self::DRAWN.iter().find(|(kind, _)| *kind == self);
        found.map_or_else(
            || match self {
                Self::Late => "late-original",
                Self::Echo => "echo",
                Self::SignOn => "sign-on",
                Self::LifeAuthorization => "life-0100",
                Self::LifeSale => "life-0200",
                Self::LifeAdvice => "life-0120",
                Self::LifeCompletion => "life-0220",
                Self::LifeReversal => "life-0400",
                Self::LifeReversalAdvice => "life-0420",
                Self::LifePresentment => "life-clearing",
                _ => "sign-off",
            },
            |(_, name)| name,
        )
    }

    /// Asks for a decision for the first time, so that it can be repeated.
    #[must_use]
    pub const fn asks(self) -> bool {
        matches!(
            self,
            Self::Purchase
                | Self::Cash
                | Self::Sale
                | Self::Partial
                | Self::OverLimit
                | Self::UnknownCard
                | Self::BlockedCard
                | Self::Inquiry
                | Self::Verification
                | Self::Late
        )
    }

    /// An approval takes money.
    #[must_use]
    pub const fn takes(self) -> bool {
        matches!(
            self,
            Self::Purchase | Self::Cash | Self::Sale | Self::Partial | Self::OverLimit | Self::Late
        )
    }

    /// Undoes what an earlier one took.
    #[must_use]
    pub const fn undoes(self) -> bool {
        matches!(self, Self::Reversal | Self::ReversalAdvice | Self::EarlyReversal)
    }

    /// Is a message of a life cycle; what it does depends on its place there.
    #[inline]
    #[must_use]
    pub const fn is_of_life(self) -> bool {
        self as u8 >= Self::LifeAuthorization as u8
    }

    /// Those of life cycles.
    pub const OF_LIVES: [Self; 7] = [
        Self::LifeAuthorization,
        Self::LifeSale,
        Self::LifeAdvice,
        Self::LifeCompletion,
        Self::LifeReversal,
        Self::LifeReversalAdvice,
        Self::LifePresentment,
    ];

    /// Is sent again under the number of another exchange.
    #[must_use]
    pub const fn repeats(self) -> bool {
        matches!(self, Self::Repeat | Self::ReversalRepeat)
    }
}

/// No exchange.
pub const NONE: u32 = u32::MAX;

/// It was sent.
pub(super) const SENT: u8 = 1;
/// It was answered, or (a repeat) its second answer came.
pub(super) const DONE: u8 = 1 << 1;
/// A reversal of it was sent.
pub(super) const REVERSAL_SENT: u8 = 1 << 2;
/// A reversal of it was acknowledged.
pub(super) const RELEASED: u8 = 1 << 3;
/// Its answer was waited for long enough.
pub(super) const GIVEN_UP: u8 = 1 << 4;
/// Its answer took money.
pub(super) const TOOK: u8 = 1 << 5;
/// It was not sent yet, but its repeat was.
pub(super) const AHEAD: u8 = 1 << 6;

/// One exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exchange {
    /// When it should have been sent, nanoseconds of the run.
    pub(super) due: u64,
    /// When it was sent, nanoseconds of the run.
    pub(super) sent: u64,
    /// Its number.
    pub(super) number: u32,
    /// Its card: a place in the population's table, or an unknown card's serial number.
    pub(super) card: u32,
    /// Its account: a place in the population's table.
    pub(super) account: u32,
    /// What it asks for, minor units.
    pub(super) amount: u32,
    /// What it took, minor units.
    pub(super) taken: u32,
    /// The exchange that it undoes or repeats; [`NONE`] when it does neither.
    pub(super) other: u32,
    /// The latest repeat of it; [`NONE`] when there is none.
    pub(super) again: u32,
    /// DE 7.
    pub(super) transmission: u32,
    /// DE 4 and DE 54 of the first answer, as a fingerprint.
    pub(super) money: u64,
    /// DE 39 of the first answer.
    pub(super) code: [u8; 2],
    /// DE 38 of the first answer; zeros when it has none.
    pub(super) approval: [u8; 6],
    pub(super) stream: u16,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    /// Answers that may come, and that came.
    pub(super) expected: u8,
    pub(super) answers: u8,
    /// Of a message of a life cycle: the place of its script, and its step there.
    pub(super) script: u8,
    pub(super) step: u8,
}

impl Exchange {
    const EMPTY: Self = Self {
        due: 0,
        sent: 0,
        number: NONE,
        card: 0,
        account: 0,
        amount: 0,
        taken: 0,
        other: NONE,
        again: NONE,
        transmission: 0,
        money: 0,
        code: [0; 2],
        approval: [0; 6],
        stream: 0,
        kind: Kind::Echo,
        flags: 0,
        expected: 1,
        answers: 0,
        script: 0,
        step: 0,
    };

    pub(super) const fn new(number: u32, kind: Kind, stream: u16) -> Self {
        Self { number, kind, stream, ..Self::EMPTY }
    }

    #[inline]
    pub(super) const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Keeps what its answer says.
    #[inline]
    pub(super) const fn keep(&mut self, answer: &Reading) {
        (self.code, self.approval, self.money) = (answer.code, answer.approval, answer.money());
    }

    /// Whether an answer says what was said first: DE 39, DE 38, DE 4 and DE 54.
    pub(super) fn is_said_again(&self, answer: &Reading) -> bool {
        (self.code, self.approval, self.money) == (answer.code, answer.approval, answer.money())
    }

    /// Its number.
    #[must_use]
    pub const fn number(&self) -> u32 {
        self.number
    }

    /// What it is about.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// DE 39 and DE 38 of its first answer; `None` before it.
    #[must_use]
    pub const fn answer(&self) -> Option<([u8; 2], [u8; 6])> {
        if self.answers > 0 { Some((self.code, self.approval)) } else { None }
    }

    /// How many answers came, those to its repeats included.
    #[must_use]
    pub const fn answers(&self) -> u8 {
        self.answers
    }

    /// What its approval took, minor units; zero for anything else.
    #[must_use]
    pub const fn taken(&self) -> u32 {
        self.taken
    }

    /// An approval of it posts at once (02xx).
    #[must_use]
    pub const fn posts(&self) -> bool {
        matches!(self.kind, Kind::Sale | Kind::LifeSale)
    }

    /// The place of its account in the population.
    #[must_use]
    pub const fn account(&self) -> u32 {
        self.account
    }

    /// A reversal of it was sent.
    #[must_use]
    pub const fn is_reversed(&self) -> bool {
        self.has(REVERSAL_SENT)
    }

    const fn is_owed_an_answer(&self) -> bool {
        self.has(SENT) && !self.has(DONE)
    }

    /// Its reversal is under way: once that is acknowledged, what it took is given back.
    const fn awaits_release(&self) -> bool {
        self.has(TOOK) && self.has(REVERSAL_SENT) && !self.has(RELEASED)
    }
}

/// The latest exchanges by number. Older ones that still wait for an answer, of their own or of their reversal, are set
/// aside.
#[derive(Clone, Debug)]
pub struct Exchanges {
    ring: Vec<Exchange>,
    next: u32,
    aside: Vec<Exchange>,
}

impl Exchanges {
    /// Room for at least this many.
    #[must_use]
    pub fn with_room(latest: usize) -> Self {
        let room = latest.clamp(1 << 10, 1 << 31).next_power_of_two();
        Self { ring: vec![Exchange::EMPTY; room], next: 0, aside: Vec::new() }
    }

    /// How many are remembered.
    #[must_use]
    pub const fn room(&self) -> usize {
        self.ring.len()
    }

    /// The number that the next one gets.
    #[must_use]
    pub const fn next_number(&self) -> u32 {
        self.next
    }

    #[inline]
    const fn place(&self, number: u32) -> usize {
        number as usize & (self.ring.len() - 1)
    }

    pub(super) fn push(&mut self, exchange: Exchange) {
        let place = self.place(exchange.number);
        let old = &self.ring[place];
        if old.number != NONE && (old.is_owed_an_answer() || old.awaits_release()) {
            self.aside.push(*old);
        }
        self.ring[place] = exchange;
        self.next = exchange.number + 1;
    }

    /// The exchange of this number, while it is remembered.
    #[inline]
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&Exchange> {
        let found = &self.ring[self.place(number)];
        if found.number == number && number != NONE {
            return Some(found);
        }
        let place = self.aside.binary_search_by_key(&number, |exchange| exchange.number).ok()?;
        self.aside.get(place)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, number: u32) -> Option<&mut Exchange> {
        let place = self.place(number);
        if self.ring[place].number == number && number != NONE {
            return Some(&mut self.ring[place]);
        }
        let place = self.aside.binary_search_by_key(&number, |exchange| exchange.number).ok()?;
        self.aside.get_mut(place)
    }

    /// All that are remembered, by rising number.
    pub fn iter(&self) -> impl Iterator<Item = &Exchange> {
        let oldest = self.next.saturating_sub(self.ring.len() as u32);
        let latest = (oldest..self.next).map(|number| &self.ring[self.place(number)]);
        self.aside.iter().chain(latest)
    }

    /// Those whose answer is missing.
    pub fn unanswered(&self) -> impl Iterator<Item = &Exchange> {
        self.iter().filter(|exchange| exchange.is_owed_an_answer())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_exchanges_that_wait_for_an_answer_are_set_aside() {
        let mut exchanges = Exchanges::with_room(1);
        for number in 0..5_000 {
            let mut exchange = Exchange::new(number, Kind::Echo, 0);
            exchange.flags = match number % 1_000 {
                7 => SENT,
                8 => SENT | DONE | TOOK | REVERSAL_SENT,
                9 => SENT | DONE | TOOK | REVERSAL_SENT | RELEASED,
                _ => SENT | DONE | TOOK,
            };
            exchanges.push(exchange);
        }
        let unanswered: Vec<u32> = exchanges.unanswered().map(Exchange::number).collect();
        assert_eq!(unanswered, [7, 1_007, 2_007, 3_007, 4_007]);
        assert_eq!(exchanges.get(7).map(Exchange::number), Some(7));
        assert_eq!(exchanges.get(1_008).map(Exchange::number), Some(1_008));
        assert_eq!([exchanges.get(9), exchanges.get(10)], [None, None]);
        assert_eq!(exchanges.get(4_999).map(Exchange::number), Some(4_999));
        assert_eq!((exchanges.get(5_000), exchanges.get(NONE)), (None, None));
    }
}
