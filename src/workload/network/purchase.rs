//! One purchase as the network knows it: what was drawn for it, what it has sent and heard, and what that leaves.

use crate::domain::request::MessageClass;
use crate::workload::chance::Chance;
use crate::workload::form::Form;

/// Messages of one purchase have numbers in a row, so that what names each of them follows from the purchase.
pub(super) const NUMBERS: u32 = 4;
/// Most repeats of a request.
const REPEATS_MAX: usize = 2;

/// One of the messages of a purchase.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(super) enum Which {
    /// 0100 or 0200.
    Request = 0,
    /// 0120 or 0220: what the network decided by itself.
    Advice = 1,
    /// 0400 or 0420.
    Reversal = 2,
}

impl Which {
    pub(super) const ALL: [Self; 3] = [Self::Request, Self::Advice, Self::Reversal];
}

/// What the network does about a request without an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum OnTimeout {
    /// Asks again: 0101, 0201.
    Repeat,
    /// Tells the terminal that nothing came of it, and reverses it.
    Reverse,
    /// Decides by itself: approves, or declines.
    StandIn(bool),
}

/// What is drawn for a purchase before anything of it is sent. The same seed and place give the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Plan {
    pub(super) card: u32,
    /// Its place among the currencies.
    pub(super) currency: u32,
    /// Minor units.
    pub(super) amount: u32,
    pub(super) class: MessageClass,
    pub(super) cash: bool,
    /// The network decides by itself and does not ask: approves, or declines.
    pub(super) alone: Option<bool>,
    on_timeout: [OnTimeout; REPEATS_MAX + 1],
    /// The cardholder gives it back so many milliseconds after it was approved.
    pub(super) cancelled_after: Option<u64>,
    /// It is reversed by 0420 and not by 0400.
    pub(super) by_advice: bool,
}

impl Plan {
    pub(super) fn draw(seed: u64, place: u32, cards: u32, currencies: u32, amounts: (u32, u32)) -> Self {
        let mut chance = Chance::new(seed ^ u64::from(place).wrapping_mul(0xD6E8_FEB8_6659_FD93));
        let one_in = |chance: &mut Chance, count| chance.below(count) == 0;
        let financial = one_in(&mut chance, 5);
        let (least, most) = amounts;
        Self {
            card: chance.below(cards),
            currency: chance.below(currencies),
            amount: least + chance.below((most - least).saturating_add(1)),
            class: if financial { MessageClass::Financial } else { MessageClass::Authorization },
            cash: !financial && one_in(&mut chance, 8),
            alone: one_in(&mut chance, 32).then(|| !one_in(&mut chance, 4)),
            on_timeout: std::array::from_fn(|times| match chance.below(8) {
                0..4 if times < REPEATS_MAX => OnTimeout::Repeat,
                0 | 4 | 5 => OnTimeout::StandIn(true),
                1 => OnTimeout::StandIn(false),
                _ => OnTimeout::Reverse,
            }),
            cancelled_after: one_in(&mut chance, 8).then(|| 50 + u64::from(chance.below(2_000))),
            by_advice: one_in(&mut chance, 2),
        }
    }

    pub(super) fn on_timeout(&self, times: u8) -> OnTimeout {
        self.on_timeout[usize::from(times).min(REPEATS_MAX)]
    }

    const fn is_financial(&self) -> bool {
        matches!(self.class, MessageClass::Financial)
    }

    /// Which composed frame a message is made from.
    pub(super) fn form(&self, which: Which, purchase: &Purchase) -> Form {
        let financial = self.is_financial();
        match which {
            Which::Request if financial => Form::Sale,
            Which::Request if self.cash => Form::Cash,
            Which::Request => Form::Purchase,
            Which::Advice => match (financial, purchase.request.is_begun(), purchase.approves) {
                (false, true, true) => Form::StandIn,
                (false, true, false) => Form::StandInDecline,
                (false, false, true) => Form::StandInAlone,
                (false, false, false) => Form::StandInDeclineAlone,
                (true, true, true) => Form::SaleStandIn,
                (true, true, false) => Form::SaleStandInDecline,
                (true, false, true) => Form::SaleStandInAlone,
                (true, false, false) => Form::SaleStandInDeclineAlone,
            },
            Which::Reversal => match (self.by_advice, purchase.approval() != [0; 6]) {
                (false, false) => Form::Reversal,
                (false, true) => Form::ReversalWithCode,
                (true, false) => Form::Advice,
                (true, true) => Form::AdviceWithCode,
            },
        }
    }
}

/// One message: when it was made, how often it went out, and whether it is answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Message {
    /// DE 7; zero before it is made.
    pub(super) transmission: u32,
    /// As often as the network believes to have sent it.
    pub(super) sent: u16,
    /// Nothing more is waited for.
    pub(super) over: bool,
}

impl Message {
    pub(super) const fn is_begun(&self) -> bool {
        self.transmission != 0
    }
}

/// What an answer to a request says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Told {
    /// DE 39.
    pub(super) code: [u8; 2],
    /// DE 38; zeros when absent.
    pub(super) approval: [u8; 6],
    /// How much is approved, minor units; zero for a decline.
    pub(super) amount: i64,
}

/// What has happened of a purchase.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Purchase {
    pub(super) request: Message,
    pub(super) advice: Message,
    pub(super) reversal: Message,
    /// What the advice tells.
    pub(super) approves: bool,
    /// The first answer to the request.
    pub(super) heard: Option<Told>,
    /// How often no answer came in time.
    pub(super) timeouts: u8,
}

impl Purchase {
    pub(super) const fn message(&self, which: Which) -> &Message {
        match which {
            Which::Request => &self.request,
            Which::Advice => &self.advice,
            Which::Reversal => &self.reversal,
        }
    }

    pub(super) const fn message_mut(&mut self, which: Which) -> &mut Message {
        match which {
            Which::Request => &mut self.request,
            Which::Advice => &mut self.advice,
            Which::Reversal => &mut self.reversal,
        }
    }

    /// Whether the network has begun to settle it by itself.
    pub(super) const fn is_settled_by_us(&self) -> bool {
        self.advice.is_begun() || self.reversal.is_begun()
    }

    /// DE 38 of its approval.
    pub(super) fn approval(&self) -> [u8; 6] {
        self.heard.map_or([0; 6], |heard| heard.approval)
    }

    /// What is held or posted of it when all is acknowledged: nothing after a reversal, what the network decided if it
    /// did, and else what was answered. Minor units.
    pub(super) fn left(&self, plan: &Plan) -> i64 {
        if self.reversal.is_begun() {
            return 0;
        }
        if self.advice.is_begun() {
            return if self.approves { i64::from(plan.amount) } else { 0 };
        }
        self.heard.map_or(0, |heard| heard.amount)
    }
}
