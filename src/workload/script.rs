//! The life cycles that traffic has: which messages follow each other, whom they are about, and for how much. What each
//! does to the books stands in [`crate::workload::life`].

/// Messages of the longest life cycle.
pub(super) const STEPS_MAX: usize = 6;
/// It names no step.
const NOBODY: u8 = u8::MAX;

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Act {
    /// 0100.
    Authorize(Manner),
    /// 0100 that adds to the first (R17).
    Increment,
    /// 0100 that adds to a purchase that was reversed, and must be declined.
    LateIncrement,
    /// 0200.
    Sell,
    /// 0120, approved: what the network decided in our place (R4).
    StandIn,
    /// 0120, declined.
    StandInDecline,
    /// 0120 with the amount at the end (Visa DE 25 = 06, Mastercard DE 60 = 191).
    PumpEnd,
    /// 0220.
    Complete,
    /// 0400.
    Reverse,
    /// 0420.
    ReverseByAdvice,
    /// 0420 with DE 95.
    Cut,
    /// The step that it names, once more: 0101, 0121, 0201, 0221, 0401, 0421, or the same record of a clearing file.
    Repeat,
    /// A record of a clearing file (R20).
    Present(Portion),
    /// A record that takes back what the one that it names has posted.
    TakeBack,
    /// Nothing is sent: the time of what is held runs out (R19).
    Expire,
}

impl Act {
    /// No message is sent for it.
    pub(super) const fn is_quiet(self) -> bool {
        matches!(self, Self::Present(_) | Self::TakeBack | Self::Expire)
    }
}

/// How much of a purchase a record of a clearing file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Portion {
    Whole,
    /// The first of two.
    First,
    /// The last of two.
    Last,
}

/// What a request says about its amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Manner {
    Plain,
    /// It may be incremented (Visa DE 60.10 = 2, Mastercard DE 61.7 = 4).
    Estimated,
    /// It is what will be cleared (Mastercard DE 48 SE 61.5 = 1).
    Final,
    /// A part of it is cash (DE 54).
    CashBack,
    /// More than there is.
    OverLimit,
    /// Its merchant is of a category whose holds live for seconds.
    Brief,
}

/// How much, as a part of what the life cycle began with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Part {
    Whole,
    Quarter,
    Half,
    FiveQuarters,
    /// Nothing: it only extends the time of what is held.
    Nothing,
}

impl Part {
    /// The amount, minor units.
    pub(super) const fn of(self, whole: u32) -> u32 {
        match self {
            Self::Whole => whole,
            Self::Quarter => whole / 4 + 1,
            Self::Half => whole / 2 + 1,
            Self::FiveQuarters => whole.saturating_add(whole / 4),
            Self::Nothing => 0,
        }
    }
}

/// One message of a life cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    pub(super) act: Act,
    part: Part,
    of: u8,
}

impl Step {
    const fn new(act: Act) -> Self {
        Self { act, part: Part::Whole, of: NOBODY }
    }

    /// About this step.
    const fn of(mut self, step: u8) -> Self {
        self.of = step;
        self
    }

    const fn part(mut self, part: Part) -> Self {
        self.part = part;
        self
    }

    /// The step that it is about.
    pub(super) fn named(self) -> Option<usize> {
        (self.of != NOBODY).then_some(usize::from(self.of))
    }

    /// DE 4 beside what the life cycle began with; of a partial reversal what is to stay.
    pub(super) const fn amount(self, whole: u32) -> u32 {
        self.part.of(whole)
    }
}

/// A life cycle.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Script {
    /// The name in a mix and in reports.
    pub(super) name: &'static str,
    /// How often it begins in a mix of everything, in thousandths.
    pub(super) weight: u32,
    /// DE 3.
    pub(super) processing: u32,
    /// It gives money to the cardholder (R15).
    pub(super) credit: bool,
    /// It needs the network's id of the transaction, which only Visa and Mastercard have.
    pub(super) by_id: bool,
    /// The steps from this one on go in any order, and all but the first of them without waiting for an answer; past
    /// the end where each waits for the one before it.
    pub(super) shuffled_from: usize,
    pub(super) steps: &'static [Step],
}

const AUTHORIZE: Step = Step::new(Act::Authorize(Manner::Plain));
const ESTIMATE: Step = Step::new(Act::Authorize(Manner::Estimated));
const ADD: Step = Step::new(Act::Increment).of(0);
const SELL: Step = Step::new(Act::Sell);
const STAND_IN: Step = Step::new(Act::StandIn);
const COMPLETE: Step = Step::new(Act::Complete);
const REVERSE: Step = Step::new(Act::Reverse);
const UNDO: Step = Step::new(Act::ReverseByAdvice);
const CUT: Step = Step::new(Act::Cut);
const AGAIN: Step = Step::new(Act::Repeat);
const BRIEF: Step = Step::new(Act::Authorize(Manner::Brief));
const EXPIRE: Step = Step::new(Act::Expire).of(0);
const PRESENT: Step = Step::new(Act::Present(Portion::Whole));
const PRESENT_FIRST: Step = Step::new(Act::Present(Portion::First));
const PRESENT_LAST: Step = Step::new(Act::Present(Portion::Last));
const TAKE_BACK: Step = Step::new(Act::TakeBack);

const PURCHASE: u32 = 0;
const CASH_BACK: u32 = 90_000;
const FUNDING: u32 = 100_000;
const QUASI_CASH: u32 = 110_000;
const REFUND: u32 = 200_000;
const ORIGINAL_CREDIT: u32 = 260_000;
const PAYMENT: u32 = 280_000;

const fn script(name: &'static str, weight: u32, steps: &'static [Step]) -> Script {
    let shuffled_from = STEPS_MAX;
    Script { name, weight, processing: PURCHASE, credit: false, by_id: false, shuffled_from, steps }
}

const fn by_id(name: &'static str, weight: u32, steps: &'static [Step]) -> Script {
    Script { by_id: true, ..script(name, weight, steps) }
}

const fn shuffled(from: usize, name: &'static str, weight: u32, steps: &'static [Step]) -> Script {
    Script { shuffled_from: from, ..script(name, weight, steps) }
}

const fn kind(processing: u32, name: &'static str, weight: u32, steps: &'static [Step]) -> Script {
    let credit = matches!(processing, REFUND | ORIGINAL_CREDIT);
    Script { processing, credit, ..script(name, weight, steps) }
}

/// All of them.
pub(super) static SCRIPTS: [Script; 50] = [
    // Increments (R17), and what ends them: a completion of all, the reversal of one, of the whole, by its first.
    by_id(
        "increment",
        20,
        &[
            ESTIMATE,
            ADD.part(Part::Quarter),
            AGAIN.of(1),
            ADD.part(Part::Half),
            COMPLETE.of(0).part(Part::FiveQuarters),
        ],
    ),
    by_id(
        "increment-reversal",
        15,
        &[ESTIMATE, ADD.part(Part::Half), UNDO.of(1).part(Part::Half), AGAIN.of(2), COMPLETE.of(0)],
    ),
    by_id(
        "increment-whole",
        10,
        &[ESTIMATE, ADD.part(Part::Quarter), ADD.part(Part::Half), REVERSE.of(0), AGAIN.of(3)],
    ),
    by_id(
        "increment-late",
        5,
        &[ESTIMATE, REVERSE.of(0), Step::new(Act::LateIncrement).of(0).part(Part::Half)],
    ),
    by_id(
        "increment-after",
        5,
        &[ESTIMATE, COMPLETE.of(0), ADD.part(Part::Quarter), UNDO.of(2).part(Part::Quarter)],
    ),
    by_id("extension", 5, &[ESTIMATE, ADD.part(Part::Nothing), UNDO.of(0)]),
    by_id(
        "estimate",
        15,
        &[
            ESTIMATE,
            ADD.part(Part::Half),
            CUT.of(0).part(Part::Quarter),
            COMPLETE.of(0).part(Part::Half),
            AGAIN.of(3),
        ],
    ),
    script("final", 10, &[Step::new(Act::Authorize(Manner::Final)), COMPLETE.of(0)]),
    // Partial reversals (R7): for less, for more, which changes nothing, and then a completion or a full one.
    script(
        "partial-reversal",
        20,
        &[
            AUTHORIZE,
            CUT.of(0).part(Part::Half),
            AGAIN.of(1),
            CUT.of(0).part(Part::FiveQuarters),
            COMPLETE.of(0).part(Part::Half),
        ],
    ),
    script(
        "partial-then-full",
        10,
        &[AUTHORIZE, CUT.of(0).part(Part::Half), CUT.of(0).part(Part::Quarter), REVERSE.of(0), AGAIN.of(1)],
    ),
    script("partial-of-sale", 10, &[SELL, CUT.of(0).part(Part::Half), AGAIN.of(1), UNDO.of(0)]),
    // A reversal and the repeats of both, in any order behind the request, and with it.
    shuffled(1, "reversal-storm", 15, &[AUTHORIZE, REVERSE.of(0), AGAIN.of(1), AGAIN.of(0)]),
    shuffled(0, "early-storm", 15, &[UNDO.of(2), AGAIN.of(0), AUTHORIZE, AGAIN.of(2)]),
    // Completions (R14).
    script("completion", 60, &[AUTHORIZE, COMPLETE.of(0), AGAIN.of(1)]),
    script("completion-under", 20, &[AUTHORIZE, COMPLETE.of(0).part(Part::Half), AGAIN.of(1), AGAIN.of(0)]),
    script("completion-over", 20, &[AUTHORIZE, COMPLETE.of(0).part(Part::FiveQuarters)]),
    script(
        "completion-twice",
        5,
        &[AUTHORIZE, COMPLETE.of(0).part(Part::Half), COMPLETE.of(0).part(Part::Quarter)],
    ),
    script("completion-late", 5, &[AUTHORIZE, REVERSE.of(0), COMPLETE.of(0).part(Part::Half)]),
    script(
        "completion-reversal",
        10,
        &[AUTHORIZE, COMPLETE.of(0).part(Part::Half), UNDO.of(1).part(Part::Half), AGAIN.of(2)],
    ),
    script("completion-alone", 5, &[COMPLETE, AGAIN.of(0), UNDO.of(0)]),
    script(
        "pump",
        20,
        &[
            ESTIMATE,
            Step::new(Act::PumpEnd).of(0).part(Part::FiveQuarters),
            AGAIN.of(1),
            COMPLETE.of(0).part(Part::FiveQuarters),
        ],
    ),
    script("pump-under", 10, &[ESTIMATE, Step::new(Act::PumpEnd).of(0).part(Part::Quarter), UNDO.of(0)]),
    // What the network decided in our place (R4).
    script("stand-in", 15, &[AUTHORIZE, STAND_IN.of(0), AGAIN.of(1), COMPLETE.of(0)]),
    script("stand-in-alone", 10, &[STAND_IN, AGAIN.of(0), UNDO.of(0), AGAIN.of(2)]),
    script("stand-in-decline", 5, &[AUTHORIZE, Step::new(Act::StandInDecline).of(0), AGAIN.of(1)]),
    // Single messages.
    script(
        "single-message",
        20,
        &[SELL, AGAIN.of(0), COMPLETE.of(0).part(Part::Half), REVERSE.of(0), AGAIN.of(3)],
    ),
    // Credits (R15), and debits of other kinds.
    kind(REFUND, "refund", 20, &[AUTHORIZE, AGAIN.of(0), COMPLETE.of(0), AGAIN.of(2)]),
    kind(REFUND, "refund-sale", 15, &[SELL, AGAIN.of(0), UNDO.of(0), AGAIN.of(2)]),
    kind(ORIGINAL_CREDIT, "original-credit", 15, &[AUTHORIZE, COMPLETE.of(0), AGAIN.of(1)]),
    kind(FUNDING, "account-funding", 10, &[AUTHORIZE, AGAIN.of(0), COMPLETE.of(0)]),
    kind(QUASI_CASH, "quasi-cash", 10, &[AUTHORIZE, UNDO.of(0), AGAIN.of(1)]),
    kind(
        CASH_BACK,
        "cash-back",
        10,
        &[
            Step::new(Act::Authorize(Manner::CashBack)),
            CUT.of(0).part(Part::Half),
            COMPLETE.of(0).part(Part::Half),
        ],
    ),
    // We have declined it, and the network has approved it.
    script(
        "stand-in-over",
        5,
        &[Step::new(Act::Authorize(Manner::OverLimit)), STAND_IN.of(0), UNDO.of(1), AGAIN.of(2)],
    ),
    kind(REFUND, "refund-reversal", 10, &[AUTHORIZE, REVERSE.of(0), AGAIN.of(1)]),
    kind(REFUND, "refund-advice", 5, &[COMPLETE, AGAIN.of(0)]),
    // Clearing (R20): what it captures, what it finds ended or posted, what belongs to nothing, and what it takes back.
    script("presentment", 40, &[AUTHORIZE, PRESENT.of(0), AGAIN.of(1)]),
    script("presentment-under", 15, &[AUTHORIZE, PRESENT.of(0).part(Part::Half)]),
    script("presentment-over", 10, &[AUTHORIZE, PRESENT.of(0).part(Part::FiveQuarters)]),
    script(
        "presentment-parts",
        15,
        &[
            AUTHORIZE,
            PRESENT_FIRST.of(0).part(Part::Half),
            PRESENT_LAST.of(0).part(Part::Quarter),
            AGAIN.of(1),
        ],
    ),
    script("presentment-late", 5, &[AUTHORIZE, REVERSE.of(0), PRESENT.of(0).part(Part::Half)]),
    script(
        "presentment-twice",
        5,
        &[AUTHORIZE, PRESENT.of(0).part(Part::Half), PRESENT.of(0).part(Part::Quarter)],
    ),
    script(
        "presentment-reversal",
        10,
        &[AUTHORIZE, PRESENT.of(0), TAKE_BACK.of(1), AGAIN.of(2), AGAIN.of(1)],
    ),
    script("presentment-sale", 10, &[SELL, PRESENT.of(0), AGAIN.of(1)]),
    script("presentment-completed", 10, &[AUTHORIZE, COMPLETE.of(0), PRESENT.of(0)]),
    script("presentment-alone", 5, &[PRESENT, AGAIN.of(0), TAKE_BACK.of(0)]),
    by_id(
        "presentment-increment",
        10,
        &[ESTIMATE, ADD.part(Part::Half), PRESENT.of(0).part(Part::FiveQuarters), AGAIN.of(1)],
    ),
    kind(REFUND, "presentment-refund", 10, &[AUTHORIZE, PRESENT.of(0), AGAIN.of(1)]),
    // Expiry (R19), and what comes after it.
    script("expiry", 10, &[BRIEF, EXPIRE, AGAIN.of(0)]),
    script("expiry-presentment", 5, &[BRIEF, EXPIRE, PRESENT.of(0)]),
    script("expiry-completion", 5, &[BRIEF, EXPIRE, COMPLETE.of(0), REVERSE.of(0)]),
];

impl Script {
    /// The step whose message gives the purchase the network's id.
    pub(super) fn root(&self) -> usize {
        let asks = |step: &Step| matches!(step.act, Act::Authorize(_) | Act::Sell);
        self.steps.iter().position(asks).unwrap_or(0)
    }

    /// Whether it has records of clearing files.
    pub(super) fn clears(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.act, Act::Present(_) | Act::TakeBack))
    }

    /// Whether what it holds runs out.
    pub(super) fn expires(&self) -> bool {
        self.steps.iter().any(|step| step.act == Act::Expire)
    }

    /// Which number a step has among those of the life cycle; repeats go by that of what they repeat.
    pub(super) fn rank(&self, step: usize) -> u32 {
        let own = self.steps.iter().take(step).filter(|step| step.act != Act::Repeat);
        own.count() as u32
    }

    /// Whether the message at this place of the order waits for the answers to those before it.
    pub(super) const fn waits(&self, place: usize) -> bool {
        place <= self.shuffled_from
    }

    /// DE 3, in the words of this network: what Visa calls an original credit is a payment for Mastercard.
    pub(super) const fn processing(&self, payments: bool) -> u32 {
        if payments && self.processing == ORIGINAL_CREDIT { PAYMENT } else { self.processing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_fits_and_names_what_goes_before_it() {
        for script in &SCRIPTS {
            assert!((2..=STEPS_MAX).contains(&script.steps.len()), "{}", script.name);
            for (at, step) in script.steps.iter().enumerate() {
                let later = at < script.shuffled_from;
                let earlier = step.named().is_none_or(|named| named < at || !later);
                assert!(earlier && step.named() != Some(at), "{} {at}", script.name);
                let needs = matches!(
                    step.act,
                    Act::Repeat
                        | Act::Reverse
                        | Act::ReverseByAdvice
                        | Act::Cut
                        | Act::TakeBack
                        | Act::Expire
                );
                assert!(!needs || step.named().is_some_and(|named| named < script.steps.len()));
            }
            assert_eq!(
                SCRIPTS.iter().filter(|other| other.name == script.name).count(),
                1,
                "{}",
                script.name
            );
        }
    }
}
