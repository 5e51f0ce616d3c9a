//! What we have forwarded: by which name a party knows it, and how it ended (R30).
//!
//! A repeat goes on under the name of the first message, and DE 90 of a reversal names what the party saw. What is kept
//! is bounded by time and by count, the oldest leave first, and leaving by count is counted.

use std::collections::VecDeque;

use crate::domain::action::ActionCode;
use crate::domain::card::Pan;
use crate::domain::event::Sequence;
use crate::domain::forward::Carried;
use crate::domain::forward::Original;
use crate::domain::forward::OwnKey;
use crate::domain::money::Money;
use crate::domain::party::InstitutionId;
use crate::domain::party::Rrn;
use crate::domain::party::TerminalId;
use crate::domain::request::ApprovalCode;
use crate::domain::request::MessageClass;
use crate::domain::request::MessageKey;
use crate::domain::request::OriginalData;
use crate::domain::request::ProcessingCode;
use crate::domain::request::Stan;
use crate::domain::time::Timestamp;
use crate::domain::time::TransmissionTime;

use super::exchange::Spreading;

/// How what was forwarded has ended, as far as a repeat or a reversal has to know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It waits for its answer.
    Open,
    /// The party has answered: it is the one to ask again.
    Answered,
    /// There was no answer, or no way to ask: whoever asked got 91.
    GivenUp,
    /// We have decided in the party's place: a repeat gets the same again.
    StoodIn(ActionCode, Option<ApprovalCode>),
}

/// One message that was forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// The record of its `Forwarded`.
    pub exchange: Sequence,
    /// When that was, seconds since 1970.
    pub at_s: u32,
    /// How the party knows it: the request's name, or that of the advice after we have stood in.
    pub own: OwnKey,
    /// 01xx or 02xx.
    pub class: MessageClass,
    /// DE 7 as it came.
    pub transmission: TransmissionTime,
    /// DE 32.
    pub acquirer: InstitutionId,
    /// DE 33.
    pub forwarder: InstitutionId,
    /// DE 37.
    pub rrn: Rrn,
    /// DE 41.
    pub terminal: TerminalId,
    /// DE 3.
    pub processing_code: ProcessingCode,
    /// DE 4 in DE 49.
    pub amount: Money,
    /// How it ended.
    pub standing: Standing,
    /// By DE 11 and by DE 37: fingerprints that lead here.
    pub(super) prints: [u64; 2],
    /// The one before it with the same first fingerprint, if that is still there.
    pub(super) older: u64,
}

impl Known {
    /// None: no number is so high.
    pub(super) const NO_OLDER: u64 = u64::MAX;

    /// As DE 90 names it to the party.
    #[must_use]
    pub const fn original(&self) -> Original {
        Original { class: self.class, key: self.own, acquirer: self.acquirer, forwarder: self.forwarder }
    }

    /// Whether a message with its key asks for something else (R5): that is 94.
    #[must_use]
    pub fn differs_from(&self, carried: &Carried) -> bool {
        (self.processing_code, self.amount) != (carried.processing_code, carried.amount)
    }
}

/// What is kept.
#[derive(Clone, Debug, Default)]
pub struct Originals {
    ring: VecDeque<Known>,
    /// How many have left, so that the first of the ring is number `left`.
    left: u64,
    by_stan: Spreading<u64, u64>,
    by_rrn: Spreading<u64, u64>,
    by_exchange: Spreading<u64, u64>,
    /// Messages that peers have told us to pass on, by their fingerprints: the record that stored them.
    told: Spreading<u64, Sequence>,
    told_in_order: VecDeque<(u32, u64)>,
    most: usize,
    window_s: u32,
    shortened: u64,
}

fn print_of_stan(network: u32, pan: Pan, class: MessageClass, stan: Stan) -> u64 {
    print(&[network.into(), pan.value(), pan.digits().into(), class as u64, stan.0.into()])
}

fn print_of_rrn(network: u32, pan: Pan, rrn: Rrn, terminal: TerminalId) -> u64 {
    let [a, b, c, d, e, f, g, h, i, j, k, l] = rrn.0;
    let (high, low) =
        (u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from(u32::from_le_bytes([i, j, k, l])));
    print(&[network.into(), pan.value(), high, low, u64::from_le_bytes(terminal.0)])
}

fn print(words: &[u64; 5]) -> u64 {
    let mut bytes = [0; 40];
    for (to, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *to = word.to_le_bytes();
    }
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

impl Originals {
    /// Keeps so many, each for so long.
    #[must_use]
    pub fn new(most: usize, window_s: u32) -> Self {
        Self { most: most.max(1), window_s, ..Self::default() }
    }

    /// How many are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether none is kept.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// How many have left before their time, since there were too many.
    #[must_use]
    pub const fn shortened(&self) -> u64 {
        self.shortened
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Known> {
        self.ring.iter()
    }

    /// The newest of them, newest first.
    pub fn newest(&self, most: usize) -> impl Iterator<Item = &Known> {
        self.ring.iter().rev().take(most)
    }

    /// Keeps what is forwarded now.
    pub(super) fn add(&mut self, exchange: Sequence, time: Timestamp, own: OwnKey, carried: &Carried) {
        let key = &carried.key;
        let prints = [
            print_of_stan(key.network.0, carried.pan, carried.class, key.stan),
            print_of_rrn(key.network.0, carried.pan, key.rrn, key.terminal),
        ];
        self.keep(Known {
            exchange,
            at_s: u32::try_from(time.seconds()).unwrap_or(u32::MAX),
            own,
            class: carried.class,
            transmission: key.transmission,
            acquirer: key.acquirer,
            forwarder: carried.forwarder,
            rrn: key.rrn,
            terminal: key.terminal,
            processing_code: carried.processing_code,
            amount: carried.amount,
            standing: Standing::Open,
            prints,
            older: Known::NO_OLDER,
        });
    }

    pub(super) fn keep(&mut self, mut known: Known) {
        self.forget(known.at_s);
        let number = self.left + self.ring.len() as u64;
        known.older = self.by_stan.insert(known.prints[0], number).unwrap_or(Known::NO_OLDER);
        if !known.rrn.is_blank() {
            self.by_rrn.insert(known.prints[1], number);
        }
        self.by_exchange.insert(known.exchange.0, number);
        self.ring.push_back(known);
    }

    fn forget(&mut self, now_s: u32) {
        while let Some(first) = self.ring.front() {
            let is_over = first.at_s.saturating_add(self.window_s) < now_s;
            if !is_over && self.ring.len() < self.most {
                return;
            }
            self.shortened += u64::from(!is_over);
            let ([by_stan, by_rrn], exchange) = (first.prints, first.exchange.0);
            for (map, print) in [(&mut self.by_stan, by_stan), (&mut self.by_rrn, by_rrn)] {
                if map.get(&print) == Some(&self.left) {
                    map.remove(&print);
                }
            }
            self.by_exchange.remove(&exchange);
            self.ring.pop_front();
            self.left += 1;
        }
    }

    fn at(&self, number: u64) -> Option<&Known> {
        self.ring.get(usize::try_from(number.checked_sub(self.left)?).ok()?)
    }

    /// Other bounds, to which it comes down as more is kept.
    pub(super) fn bound(&mut self, most: usize, window_s: u32) {
        (self.most, self.window_s) = (most.max(1), window_s);
    }

    /// A reversal or an advice was stored for the party: its repeat is acknowledged, and not told again.
    pub(super) fn note_told(&mut self, stored: Sequence, now_s: u32, print: u64) {
        while let Some((at_s, oldest)) = self.told_in_order.front().copied() {
            if at_s.saturating_add(self.window_s) >= now_s && self.told_in_order.len() < self.most {
                break;
            }
            self.told.remove(&oldest);
            self.told_in_order.pop_front();
        }
        if self.told.insert(print, stored).is_none() {
            self.told_in_order.push_back((now_s, print));
        }
    }

    /// The record that stored a message with this fingerprint.
    #[must_use]
    pub fn told(&self, print: u64) -> Option<Sequence> {
        self.told.get(&print).copied()
    }

    /// Fingerprints of what was told, the oldest first, with when and by which record.
    pub fn all_told(&self) -> impl Iterator<Item = (u32, u64, Sequence)> + '_ {
        let of = |(at_s, print): &(u32, u64)| Some((*at_s, *print, *self.told.get(print)?));
        self.told_in_order.iter().filter_map(of)
    }

    /// What was forwarded under this record.
    #[must_use]
    pub fn of_exchange(&self, exchange: Sequence) -> Option<&Known> {
        self.at(*self.by_exchange.get(&exchange.0)?)
    }

    pub(super) fn of_exchange_mut(&mut self, exchange: Sequence) -> Option<&mut Known> {
        let number = self.by_exchange.get(&exchange.0)?.checked_sub(self.left)?;
        self.ring.get_mut(usize::try_from(number).ok()?)
    }

    /// What a request repeats (R5): the same key but for DE 7, which a repeat may have anew.
    #[must_use]
    pub fn repeated_by(&self, carried: &Carried, repeat: bool) -> Option<&Known> {
        let key = &carried.key;
        let print = print_of_stan(key.network.0, carried.pan, carried.class, key.stan);
        self.among(print, |known| {
            (known.rrn, known.terminal, known.acquirer) == (key.rrn, key.terminal, key.acquirer)
                && (repeat || known.transmission == key.transmission)
        })
    }

    /// What a reversal or an advice is about: by DE 90, or by DE 37 and DE 41 (R7).
    #[must_use]
    pub fn about(&self, key: &MessageKey, pan: Pan, original: Option<&OriginalData>) -> Option<&Known> {
        let by_data = original.and_then(|original| {
            let class = original.class?;
            let print = print_of_stan(key.network.0, pan, class, original.stan);
            self.among(print, |known| {
                let acquirer = original.acquirer.0 == 0 || original.acquirer == known.acquirer;
                let transmission = original.transmission.is_none_or(|time| time == known.transmission);
                acquirer && transmission
            })
        });
        by_data.or_else(|| {
            let print = print_of_rrn(key.network.0, pan, key.rrn, key.terminal);
            let known = self.at(*self.by_rrn.get(&print)?)?;
            ((known.rrn, known.terminal) == (key.rrn, key.terminal)).then_some(known)
        })
    }

    /// The newest with a fingerprint that is it.
    fn among(&self, print: u64, is_it: impl Fn(&Known) -> bool) -> Option<&Known> {
        let mut number = *self.by_stan.get(&print)?;
        loop {
            let known = self.at(number)?;
            if known.prints[0] == print && is_it(known) {
                return Some(known);
            }
            number = known.older;
        }
    }
}
