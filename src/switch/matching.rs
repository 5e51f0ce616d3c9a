//! Whether an answer is one to a message of ours.
//!
//! DE 11 finds the message; what else an answer echoes tells whether it is really its answer. Of those elements some
//! name the message, and a party may change or leave out one of them: which of them count is the link's to say
//! ([`MatchKey`]). The amounts are the decision and no name: no key leaves them out, since an answer that approves more
//! than was asked for, or all of it and states another amount, must not be taken for what it is not.

use crate::domain::forward::Carried;
use crate::domain::forward::OwnKey;
use crate::domain::money::Money;
use crate::domain::money::Stated;
use crate::domain::party::InstitutionId;
use crate::domain::party::Rrn;
use crate::domain::party::TerminalId;
use crate::domain::request::Stan;
use crate::domain::time::TransmissionTime;

/// The data elements that name a message and that answers echo, DE 11 among them: what a key is made of.
pub const NAMING: [u8; 5] = [7, 11, 32, 37, 41];
/// Those that tell what was decided: DE 4 in DE 49, DE 6 in DE 51.
const DECIDING: [u8; 4] = [4, 6, 49, 51];

/// DE 7: when a message was sent.
pub const TRANSMISSION: u8 = 7;
/// DE 11: our trace number.
pub const STAN: u8 = 11;
/// DE 32: the acquiring institution.
pub const ACQUIRER: u8 = 32;
/// DE 37: the retrieval reference number.
pub const RRN: u8 = 37;
/// DE 41: the terminal.
pub const TERMINAL: u8 = 41;

/// Why a list of data elements is no key.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// DE 11 is not in it.
    #[error("DE 11 is missing: answers are found by it, so that it is a part of every key")]
    WithoutStan,
    /// An element stands there twice.
    #[error("DE {0} stands there twice")]
    Twice(u8),
    /// An amount or its currency.
    #[error(
        "DE {0} is not what a message is known by but what is decided: it is always compared, leave it out"
    )]
    Decision(u8),
    /// An element that is not compared.
    #[error("no answer is compared by DE {0}; those that can be named are 7, 11, 32, 37 and 41")]
    NotComparable(u8),
}

/// The data elements in which an answer must agree with what it answers, besides its MTI and its amounts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MatchKey {
    /// A bit for each data element.
    elements: u64,
    /// An answer must have them, where the message that it answers had them.
    named: bool,
}

impl Default for MatchKey {
    fn default() -> Self {
        Self::STRONG
    }
}

impl MatchKey {
    /// Everything that can be compared, as far as an answer has it.
    pub const STRONG: Self = Self { elements: bits(&NAMING), named: false };
    /// What stays the same whatever we call a message.
    const PASSING: Self = Self { elements: bits(&[ACQUIRER, RRN, TERMINAL]), named: false };

    /// The key of these elements. An answer must have them too, where the message had them.
    ///
    /// # Errors
    /// What is wrong with the list, the first mistake in its order.
    pub fn of(elements: &[u8]) -> Result<Self, KeyError> {
        let mut key = Self { elements: 0, named: true };
        for &element in elements {
            if DECIDING.contains(&element) {
                return Err(KeyError::Decision(element));
            }
            if !NAMING.contains(&element) {
                return Err(KeyError::NotComparable(element));
            }
            if key.has(element) {
                return Err(KeyError::Twice(element));
            }
            key.elements |= bits(&[element]);
        }
        if key.has(STAN) { Ok(key) } else { Err(KeyError::WithoutStan) }
    }

    /// Whether it has this element.
    #[inline]
    #[must_use]
    pub const fn has(self, element: u8) -> bool {
        element < 64 && self.elements >> element & 1 == 1
    }

    /// Its elements in order.
    pub fn elements(self) -> impl Iterator<Item = u8> {
        NAMING.into_iter().filter(move |element| self.has(*element))
    }

    /// Whether its elements were named one by one: then an answer must have them.
    #[must_use]
    pub const fn is_named(self) -> bool {
        self.named
    }

    /// Whether nothing in it tells an answer that comes a whole round of DE 11 too late from the one that waits then.
    #[must_use]
    pub const fn is_weak(self) -> bool {
        !self.has(TRANSMISSION) && !self.has(RRN)
    }

    /// Whether one element of an answer disagrees with what was sent.
    #[inline]
    fn disagrees<T: PartialEq>(self, element: u8, sent: Option<T>, said: Option<T>) -> bool {
        self.has(element)
            && match (sent, said) {
                (None, _) => false,
                (Some(_), None) => self.named,
                (Some(sent), Some(said)) => sent != said,
            }
    }

    /// Whether one answer could be taken for that to either of two messages with one DE 11 and one type.
    #[must_use]
    pub fn confuses(self, one: &Sent, other: &Sent) -> bool {
        fn alike<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
            one.zip(other).is_none_or(|(one, other)| one == other)
        }
        let told_apart = [
            self.has(TRANSMISSION) && !alike(one.transmission, other.transmission),
            self.has(ACQUIRER) && !alike(one.acquirer, other.acquirer),
            self.has(RRN) && !alike(one.rrn, other.rrn),
            self.has(TERMINAL) && !alike(one.terminal, other.terminal),
        ];
        one.answer_mti == other.answer_mti && !told_apart.contains(&true)
    }
}

const fn bits(elements: &[u8]) -> u64 {
    let (mut bits, mut at) = (0, 0);
    while at < elements.len() {
        bits |= 1 << elements[at];
        at += 1;
    }
    bits
}

/// What an answer to a message of ours must echo. `None` is what the message did not have: it is not compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    /// The MTI that its answer has.
    pub answer_mti: u16,
    /// DE 7.
    pub transmission: Option<TransmissionTime>,
    /// DE 32.
    pub acquirer: Option<InstitutionId>,
    /// DE 37.
    pub rrn: Option<Rrn>,
    /// DE 41.
    pub terminal: Option<TerminalId>,
    /// DE 4 in DE 49.
    pub amount: Stated,
    /// DE 6 in DE 51.
    pub billing: Stated,
}

impl Sent {
    /// What was sent of a message under a name of ours.
    #[inline]
    #[must_use]
    pub fn of(own: OwnKey, answer_mti: u16, carried: &Carried) -> Self {
        let Carried { key, amount, billing, .. } = carried;
        Self {
            answer_mti,
            transmission: Some(own.transmission),
            acquirer: given(key.acquirer),
            rrn: Some(key.rrn).filter(|rrn| !rrn.is_blank()),
            terminal: Some(key.terminal).filter(|terminal| !terminal.is_blank()),
            // An inquiry may have no amount and no currency.
            amount: if *amount == Money::default() { Stated::NOTHING } else { Stated::of(*amount) },
            billing: billing.map_or(Stated::NOTHING, Stated::of),
        }
    }
}

/// An institution, unless it is the zero that stands for none.
#[inline]
#[must_use]
pub fn given(institution: InstitutionId) -> Option<InstitutionId> {
    Some(institution).filter(|institution| institution.0 != 0)
}

/// What an answer says of what it answers. `None` is what it does not have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answering {
    /// Its MTI.
    pub mti: u16,
    /// DE 11.
    pub stan: Stan,
    /// DE 7.
    pub transmission: Option<TransmissionTime>,
    /// DE 32.
    pub acquirer: Option<InstitutionId>,
    /// DE 37.
    pub rrn: Option<Rrn>,
    /// DE 41.
    pub terminal: Option<TerminalId>,
    /// DE 4 in DE 49.
    pub amount: Stated,
    /// DE 6 in DE 51.
    pub billing: Stated,
    /// It approves all that was asked for, so that its amounts are those of the request. Otherwise they may be less: a
    /// part is approved, or nothing.
    pub whole: bool,
}

/// The first data element in which an answer disagrees with what it should echo; zero stands for the MTI. DE 11 is not
/// looked at: it has led here.
#[inline]
#[must_use]
pub fn difference(key: MatchKey, sent: &Sent, answering: &Answering) -> Option<u8> {
    let table = [
        (0, answering.mti != sent.answer_mti),
        (TRANSMISSION, key.disagrees(TRANSMISSION, sent.transmission, answering.transmission)),
        (RRN, key.disagrees(RRN, sent.rrn, answering.rrn)),
        (TERMINAL, key.disagrees(TERMINAL, sent.terminal, answering.terminal)),
        (ACQUIRER, key.disagrees(ACQUIRER, sent.acquirer, answering.acquirer)),
        (4, is_not_of(sent.amount, answering.amount, answering.whole)),
        (6, is_not_of(sent.billing, answering.billing, answering.whole)),
    ];
    table.into_iter().find(|(_, disagrees)| *disagrees).map(|(element, _)| element)
}

/// Whether an answer that has another DE 11 is otherwise one to this message: it has its DE 37, and nothing else that
/// passes unchanged differs.
#[must_use]
pub fn fits_but_for_name(sent: &Sent, answering: &Answering) -> bool {
    let has_rrn = sent.rrn.is_some() && sent.rrn == answering.rrn;
    has_rrn && difference(MatchKey::PASSING, sent, answering).is_none()
}

/// Whether an amount of an answer is not what the one that was asked for allows: the same when all of it is approved,
/// else that or less, in its currency.
#[inline]
fn is_not_of(asked: Stated, said: Stated, whole: bool) -> bool {
    let other_currency = |(asked, said)| asked != said;
    let other_amount = |(asked, said): (i64, i64)| !(if whole { asked } else { 0 }..=asked).contains(&said);
    asked.currency.zip(said.currency).is_some_and(other_currency)
        || asked.minor.zip(said.minor).is_some_and(other_amount)
}
