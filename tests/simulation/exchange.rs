//! One purchase as its network knows it: what was asked, what was told and to whom, and what the books must say of it
//! in the end.
//!
//! This is the independent model. It knows messages and answers only, and its rules are these:
//!
//! - what was approved and never undone is held (01xx) or posted (02xx) with the amount that the answer names;
//! - what was declined, or answered 91, takes nothing;
//! - a full reversal, whenever it was sent, leaves nothing;
//! - the network's own decision, told by an advice, replaces ours, whichever came first;
//! - a completion posts its own amount in place of the hold, and of the increments of its purchase;
//! - an increment is held by itself; the reversal of what it adds to takes it along;
//! - a partial reversal leaves its amount at the most; the advice of the end at a pump is what is held;
//! - a credit pends until its completion, or its clearing record, posts it;
//! - a clearing record posts its own amount in place of the hold, unless a completion has;
//! - what lives for a short time only is held by nobody once that is over, but a completion posts it all the same.
//!
//! Where a network cannot know what is true, because no answer came in time, because two answers said different things,
//! or because a crash took the record of an answer within the window that `async` allows, it settles the purchase by a
//! reversal or an advice of its own, as networks do (R2, R4). It repeats either until it is acknowledged. So at the end
//! the rules above leave nothing open.

use super::messages::Message;
use super::messages::Named;

/// What is bought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// 0100: a hold.
    Purchase,
    /// 0100 for cash.
    Cash,
    /// 0100 at a terminal that takes a part of the amount.
    Partial,
    /// 0200: a posting.
    Sale,
    /// 0200: money back.
    Refund,
    /// 0100 for no amount: what the card has.
    Inquiry,
    /// 0100 for an estimated amount, to which increments add.
    Estimate,
    /// 0100 that adds to an estimate.
    Increment,
    /// 0100 at a pump.
    Fuel,
    /// 0100: money back, which pends.
    Credit,
    /// 0100 at a merchant whose holds end soon.
    Short,
}

impl Kind {
    pub(crate) const fn mti(self) -> u16 {
        match self {
            Self::Sale | Self::Refund => 200,
            _ => 100,
        }
    }

    const fn processing(self) -> &'static str {
        match self {
            Self::Cash => "010000",
            Self::Refund | Self::Credit => "200000",
            Self::Inquiry => "300000",
            _ => "000000",
        }
    }
}

/// DE 18 of a merchant, and of one whose holds live for [`SHORT_S`] seconds.
const MERCHANT: u16 = 5411;
pub(crate) const SHORT_MERCHANT: u16 = 7995;
pub(crate) const SHORT_S: u32 = 25;

/// A reversal, an advice or a completion: sent again until it is acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Follow {
    pub(crate) message: Message,
    pub(crate) sent: u32,
    /// The acknowledgement has left the daemon.
    pub(crate) told: bool,
    /// The network has it.
    pub(crate) heard: bool,
}

/// Which of an exchange's messages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Which {
    Request,
    /// Of both legs.
    Reversal,
    /// Of our answer only, which came too late.
    Timeout,
    /// What the network decided in our place.
    Advice,
    Completion,
    /// A partial reversal.
    Cut,
    /// The advice of the amount at the end of what is held.
    PumpEnd,
    /// A record of a clearing file.
    Clearing,
}

impl Which {
    pub(crate) const FOLLOWS: [Self; 7] = [
        Self::Reversal,
        Self::Timeout,
        Self::Advice,
        Self::Completion,
        Self::Cut,
        Self::PumpEnd,
        Self::Clearing,
    ];
}

/// DE 39, DE 38 and DE 4 of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    pub(crate) code: String,
    pub(crate) approval: String,
    pub(crate) amount: i64,
}

/// One purchase.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) link: usize,
    pub(crate) wallet: u64,
    pub(crate) kind: Kind,
    pub(crate) request: Message,
    /// How often the request went out.
    pub(crate) sent: u32,
    /// The network's timer has run out, or it got its answer: what comes now comes late.
    pub(crate) over: bool,
    /// The first answer that left the daemon, other than 91.
    pub(crate) told: Option<Told>,
    /// It left with its record on disk.
    pub(crate) firm: bool,
    /// Its record is this one or an earlier one.
    pub(crate) record: u64,
    /// When it left, microseconds of the simulation.
    pub(crate) told_at: u64,
    /// The first answer that arrived.
    pub(crate) heard: Option<Told>,
    /// An answer of 91 has left.
    pub(crate) refused: bool,
    pub(crate) reversal: Option<Follow>,
    pub(crate) timeout: Option<Follow>,
    pub(crate) advice: Option<Follow>,
    pub(crate) completion: Option<Follow>,
    pub(crate) cut: Option<Follow>,
    pub(crate) pump_end: Option<Follow>,
    pub(crate) clearing: Option<Follow>,
    /// Its increments.
    pub(crate) increments: Vec<u32>,
    /// What it adds to has been ended by the network.
    pub(crate) ended: bool,
}

/// What an exchange must have left in the books.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Left {
    Nothing,
    Held(i64),
    Pending(i64),
    /// Negative for a credit.
    Posted(i64),
}

pub(crate) const APPROVED: &str = "00";
const APPROVED_PARTIALLY: &str = "10";
const UNAVAILABLE: &str = "91";
/// What no request of a simulation may get: a reused key, a malfunction, a wrong format.
const NEVER: [&str; 3] = ["94", "96", "30"];

impl Told {
    pub(crate) fn is_refusal(&self) -> bool {
        self.code == UNAVAILABLE
    }

    pub(crate) fn approves(&self) -> bool {
        self.code == APPROVED || self.code == APPROVED_PARTIALLY
    }

    pub(crate) fn is_possible(&self) -> bool {
        !NEVER.contains(&self.code.as_str())
    }
}

impl Exchange {
    pub(crate) fn new(
        link: usize,
        (wallet, pan): (u64, u64),
        kind: Kind,
        (number, named): (u32, Named),
        (amount, currency): (i64, u16),
    ) -> Self {
        let request = Message {
            named,
            number,
            root: number,
            mcc: if kind == Kind::Short { SHORT_MERCHANT } else { MERCHANT },
            estimated: matches!(kind, Kind::Estimate | Kind::Increment),
            adds: kind == Kind::Increment,
            keeps: None,
            ends: false,
            pan,
            processing: kind.processing(),
            amount: if kind == Kind::Inquiry { 0 } else { amount },
            currency,
            takes_part: kind == Kind::Partial,
            original: None,
            approval: None,
            decided: None,
            timed_out: false,
        };
        Self {
            link,
            wallet,
            kind,
            request,
            sent: 0,
            over: false,
            told: None,
            firm: false,
            record: 0,
            told_at: 0,
            heard: None,
            refused: false,
            reversal: None,
            timeout: None,
            advice: None,
            completion: None,
            cut: None,
            pump_end: None,
            clearing: None,
            increments: Vec::new(),
            ended: false,
        }
    }

    pub(crate) const fn follow(&self, which: Which) -> Option<&Follow> {
        match which {
            Which::Request => None,
            Which::Reversal => self.reversal.as_ref(),
            Which::Timeout => self.timeout.as_ref(),
            Which::Advice => self.advice.as_ref(),
            Which::Completion => self.completion.as_ref(),
            Which::Cut => self.cut.as_ref(),
            Which::PumpEnd => self.pump_end.as_ref(),
            Which::Clearing => self.clearing.as_ref(),
        }
    }

    pub(crate) const fn follow_mut(&mut self, which: Which) -> &mut Option<Follow> {
        match which {
            Which::Request | Which::Reversal => &mut self.reversal,
            Which::Timeout => &mut self.timeout,
            Which::Advice => &mut self.advice,
            Which::Completion => &mut self.completion,
            Which::Cut => &mut self.cut,
            Which::PumpEnd => &mut self.pump_end,
            Which::Clearing => &mut self.clearing,
        }
    }

    /// Whether a completion, or a clearing record, has been sent of it: it is posted.
    pub(crate) const fn is_presented(&self) -> bool {
        self.completion.is_some() || self.clearing.is_some()
    }

    /// Whether the network has begun to settle it by itself.
    pub(crate) const fn is_settled_by_network(&self) -> bool {
        self.reversal.is_some() || self.timeout.is_some() || self.advice.is_some()
    }

    /// The message of a reversal, an advice or a completion.
    pub(crate) fn following(&self, which: Which, advice: bool, mut named: Named) -> Message {
        let request = &self.request;
        let original = Some(request.named.clone());
        match which {
            // A clearing record is no message; it goes by the keys of the request.
            Which::Request | Which::Clearing => request.clone(),
            Which::Cut => {
                named.mti = 420;
                Message { named, original, takes_part: false, ..request.clone() }
            }
            Which::PumpEnd => {
                named.mti = 120;
                let decided = Some(APPROVED);
                Message { named, original, decided, ends: true, takes_part: false, ..request.clone() }
            }
            Which::Reversal | Which::Timeout => {
                named.mti = if advice || which == Which::Timeout { 420 } else { 400 };
                let timed_out = which == Which::Timeout;
                Message { named, original, timed_out, takes_part: false, ..request.clone() }
            }
            Which::Advice => {
                // It goes by the request's own trace number and time.
                named = Named { mti: request.named.mti + 20, ..request.named.clone() };
                let decided = Some(if advice { APPROVED } else { "05" });
                Message { named, decided, timed_out: true, takes_part: false, ..request.clone() }
            }
            Which::Completion => {
                named.mti = 220;
                let approval = self.heard.as_ref().map(|heard| heard.approval.clone());
                let decided = Some(APPROVED);
                Message { named, original, approval, decided, takes_part: false, ..request.clone() }
            }
        }
    }

    /// Whether nothing more is to come of it.
    pub(crate) fn is_settled(&self) -> bool {
        let follows = Which::FOLLOWS.into_iter().filter_map(|which| self.follow(which));
        self.over && follows.into_iter().all(|follow| follow.heard)
    }

    fn taken(&self, amount: i64) -> Left {
        match self.kind {
            _ if amount == 0 => Left::Nothing,
            Kind::Inquiry => Left::Nothing,
            Kind::Refund => Left::Posted(-amount),
            Kind::Sale => Left::Posted(amount),
            Kind::Credit => Left::Pending(amount),
            Kind::Purchase
            | Kind::Cash
            | Kind::Partial
            | Kind::Estimate
            | Kind::Increment
            | Kind::Fuel
            | Kind::Short => Left::Held(amount),
        }
    }

    /// What the books must say of it once all is acknowledged.
    pub(crate) fn left(&self) -> Left {
        if self.reversal.is_some() || self.ended {
            return Left::Nothing;
        }
        if let Some(completion) = self.completion.as_ref().or(self.clearing.as_ref()) {
            let amount = completion.message.amount;
            return Left::Posted(if self.kind == Kind::Credit { -amount } else { amount });
        }
        if let Some(end) = &self.pump_end {
            return Left::Held(end.message.amount);
        }
        if let Some(advice) = &self.advice {
            let approved = advice.message.decided == Some(APPROVED);
            return if approved { self.taken(advice.message.amount) } else { Left::Nothing };
        }
        match &self.heard {
            Some(heard) if heard.approves() => {
                let cut = self.cut.as_ref().and_then(|cut| cut.message.keeps);
                self.taken(cut.map_or(heard.amount, |keeps| heard.amount.min(keeps)))
            }
            _ => Left::Nothing,
        }
    }

    /// What we ourselves approved and nobody has undone: more than there was can it never be.
    pub(crate) fn ours(&self) -> i64 {
        let undone = self.is_settled_by_network() || self.is_presented() || self.pump_end.is_some();
        // What has expired may have been spent again.
        let ends = self.kind == Kind::Short;
        match self.left() {
            Left::Held(amount) | Left::Posted(amount) if !undone && !ends => amount,
            _ => 0,
        }
    }
}
