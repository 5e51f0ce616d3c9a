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
    /// The party has answered with this DE 39: it is the one to ask again.
    Answered([u8; 2]),
    /// There was no answer: whoever asked got 91.
    GivenUp,
    /// No byte of it was written: it is as if it had never been here, and may have gone to another party.
    Unsent,
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
    /// A peer has told since what was decided elsewhere.
    pub advised: bool,
    /// An operator has taken out something that was stored about it.
    pub purged: bool,
    /// A peer has reversed all of it.
    pub reversed: bool,
    /// By DE 11 and by DE 37: fingerprints that lead here.
    pub(super) prints: [u64; 2],
    /// The number of the one before it in each of the two chains that it stands in.
    pub(super) older: [u64; 2],
}

impl Known {
    /// None: no number is so high.
    pub(super) const NO_OLDER: [u64; 2] = [NOTHING; 2];

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

/// None: no number is so high.
const NOTHING: u64 = u64::MAX;
/// Steps along a chain.
const WALK_MAX: usize = 1_024;
/// Places where a chain may begin, at first.
const HEADS_MIN: usize = 1_024;

/// Where chains begin, by the low bits of a fingerprint: the number of the newest. Nothing is ever taken out: a number
/// that has left ends its chain, since all after it are older. So what is kept costs two writes, and leaving none.
#[derive(Clone, Debug, Default)]
struct Heads(Vec<u64>);

impl Heads {
    fn of(&self, print: u64) -> u64 {
        self.0.get(print as usize & self.0.len().wrapping_sub(1)).copied().unwrap_or(NOTHING)
    }

    fn set(&mut self, print: u64, number: u64) -> u64 {
        let place = print as usize & (self.0.len() - 1);
        core::mem::replace(&mut self.0[place], number)
    }
}

/// What is kept.
#[derive(Clone, Debug, Default)]
pub struct Originals {
    ring: VecDeque<Known>,
    /// How many have left, so that the first of the ring is number `left`.
    left: u64,
    by_stan: Heads,
    by_rrn: Heads,
    /// By [`Memo`].
    memos: [Recent; 3],
    most: usize,
    window_s: u32,
    shortened: u64,
}

/// What fingerprints are kept of, beside what was forwarded, with the record that stored a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Memo {
    /// Of a message that a peer told us to pass on: its repeat is acknowledged, and not told again.
    Told,
    /// Of the request that a reversal is about which came before it: that is declined (R4).
    Tombstone,
    /// Of what a message is about that was never forwarded: whatever comes of it goes to the same party.
    Subject,
}

impl Memo {
    pub(super) const ALL: [Self; 3] = [Self::Told, Self::Tombstone, Self::Subject];
}

/// Fingerprints with the records that they are of, for a time.
#[derive(Clone, Debug, Default)]
pub(super) struct Recent {
    records: Spreading<u64, Sequence>,
    /// Each time that one was kept: when, and by which record. The last time counts.
    in_order: VecDeque<(u32, u64, Sequence)>,
    /// How many have left, so that the first in order is number `left`.
    left: u64,
}

impl Recent {
    fn get(&self, print: u64) -> Option<Sequence> {
        self.records.get(&print).copied()
    }

    fn keep(&mut self, print: u64, record: Sequence, now_s: u32, most: usize, window_s: u32) {
        while let Some((at_s, oldest, of)) = self.in_order.front().copied() {
            if at_s.saturating_add(window_s) >= now_s && self.in_order.len() < most {
                break;
            }
            if self.get(oldest) == Some(of) {
                self.records.remove(&oldest);
            }
            self.in_order.pop_front();
            self.left += 1;
        }
        self.records.insert(print, record);
        self.in_order.push_back((now_s, print, record));
    }

    /// The number after the newest.
    pub(super) fn end(&self) -> u64 {
        self.left + self.in_order.len() as u64
    }

    /// The one before a number, with when and by which record; `None` when all before it have left.
    pub(super) fn before(&self, number: u64) -> Option<(u32, u64, Sequence)> {
        let place = number.checked_sub(1)?.checked_sub(self.left)?;
        self.in_order.get(usize::try_from(place).ok()?).copied()
    }

    /// One that is older than all that is here.
    fn restore(&mut self, at_s: u32, print: u64, record: Sequence) {
        self.records.entry(print).or_insert(record);
        self.in_order.push_front((at_s, print, record));
    }
}

/// The fingerprint of a request that DE 90 names; `None` when it does not say of which class it was.
pub(super) fn print_of_original(key: &MessageKey, pan: Pan, original: &OriginalData) -> Option<u64> {
    let digits = original.transmission.map_or(0, TransmissionTime::digits);
    Some(print_of_tombstone(key.network.0, pan, original.class?, original.stan, digits))
}

/// The fingerprint of what a request is, or a message is about: what passes unchanged from end to end, else DE 11.
pub(super) fn print_of_subject(carried: &Carried, original: Option<&OriginalData>) -> u64 {
    let Carried { key, pan, class, .. } = carried;
    if key.rrn.is_blank() {
        let (class, stan) = original.map_or((*class, key.stan), |of| (of.class.unwrap_or(*class), of.stan));
        return print_of_stan(key.network.0, *pan, class, stan);
    }
    print_of_rrn(key.network.0, *pan, key.rrn, key.terminal)
}

fn print_of_tombstone(network: u32, pan: Pan, class: MessageClass, stan: Stan, digits: u32) -> u64 {
    let when = u64::from(stan.0) << 32 | u64::from(digits);
    print(&[network.into(), pan.value(), pan.digits().into(), class as u64, when])
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

    /// Keeps what is forwarded now, and gives it its number.
    pub(super) fn add(&mut self, exchange: Sequence, time: Timestamp, own: OwnKey, carried: &Carried) -> u64 {
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
            advised: false,
            purged: false,
            reversed: false,
            prints,
            older: Known::NO_OLDER,
        })
    }

    pub(super) fn keep(&mut self, mut known: Known) -> u64 {
        self.forget(known.at_s);
        if self.ring.len() >= self.by_stan.0.len() {
            self.grow();
        }
        let number = self.left + self.ring.len() as u64;
        known.older = [
            self.by_stan.set(known.prints[0], number),
            if known.rrn.is_blank() { NOTHING } else { self.by_rrn.set(known.prints[1], number) },
        ];
        self.ring.push_back(known);
        number
    }

    /// The number after the newest.
    pub(super) fn end(&self) -> u64 {
        self.left + self.ring.len() as u64
    }

    /// The one before a number; `None` when all before it have left.
    pub(super) fn before(&self, number: u64) -> Option<&Known> {
        self.at(number.checked_sub(1)?)
    }

    /// One that is older than all that is here. What is restored is found once [`Self::restored`] was called.
    pub(super) fn restore(&mut self, known: Known) {
        self.ring.push_front(known);
    }

    /// All is there. Gives each with its number.
    pub(super) fn restored(&mut self) -> impl Iterator<Item = (u64, Sequence)> + '_ {
        self.grow();
        (self.left..).zip(self.ring.iter().map(|known| known.exchange))
    }

    /// One that is older than all of its kind that are here.
    pub(super) fn restore_memo(&mut self, memo: Memo, at_s: u32, print: u64, stored: Sequence) {
        self.memos[memo as usize].restore(at_s, print, stored);
    }

    /// Makes room for more chains, and puts all that is kept into them anew.
    fn grow(&mut self) {
        let heads = (self.ring.len() * 2).next_power_of_two().max(HEADS_MIN);
        (self.by_stan, self.by_rrn) = (Heads(vec![NOTHING; heads]), Heads(vec![NOTHING; heads]));
        for (known, number) in self.ring.iter_mut().zip(self.left..) {
            known.older = [
                self.by_stan.set(known.prints[0], number),
                if known.rrn.is_blank() { NOTHING } else { self.by_rrn.set(known.prints[1], number) },
            ];
        }
    }

    fn forget(&mut self, now_s: u32) {
        while let Some(first) = self.ring.front() {
            let is_over = first.at_s.saturating_add(self.window_s) < now_s;
            if !is_over && self.ring.len() < self.most {
                return;
            }
            self.shortened += u64::from(!is_over);
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

    /// Keeps a fingerprint.
    pub(super) fn note(&mut self, memo: Memo, stored: Sequence, now_s: u32, print: u64) {
        self.memos[memo as usize].keep(print, stored, now_s, self.most, self.window_s);
    }

    /// The record that stored a message with this fingerprint.
    #[must_use]
    pub fn told(&self, print: u64) -> Option<Sequence> {
        self.memos[Memo::Told as usize].get(print)
    }

    /// The record that stored the reversal of a request that comes only now.
    #[must_use]
    pub fn tombstone(&self, carried: &Carried) -> Option<Sequence> {
        let Carried { key, pan, class, .. } = carried;
        // DE 90 may leave out when it was.
        let print = |digits| print_of_tombstone(key.network.0, *pan, *class, key.stan, digits);
        let tombstones = &self.memos[Memo::Tombstone as usize];
        let named = tombstones.get(print(key.transmission.digits()));
        let named = named.or_else(|| tombstones.get(print(0)));
        named.or_else(|| tombstones.get(print_of_subject(carried, None)))
    }

    /// Whether the party was told of what this message is, or is about, without ever having been asked.
    #[must_use]
    pub fn has_heard_of(&self, carried: &Carried, original: Option<&OriginalData>) -> bool {
        let subjects = &self.memos[Memo::Subject as usize];
        !subjects.records.is_empty() && subjects.get(print_of_subject(carried, original)).is_some()
    }

    /// Fingerprints by [`Memo`].
    pub(super) const fn recent(&self) -> &[Recent; 3] {
        &self.memos
    }

    /// The one with a record, while it is kept.
    pub(super) fn of_exchange(&mut self, exchange: Sequence) -> Option<&mut Known> {
        // They are kept in the order of their records.
        let at = self.ring.binary_search_by_key(&exchange, |known| known.exchange).ok()?;
        self.ring.get_mut(at)
    }

    /// The one with a number, while it is kept.
    pub(super) fn at_mut(&mut self, number: u64) -> Option<&mut Known> {
        let place = number.checked_sub(self.left)?;
        self.ring.get_mut(usize::try_from(place).ok()?)
    }

    /// What a request repeats (R5): the same key but for DE 7, which a repeat may have anew.
    #[must_use]
    pub fn repeated_by(&self, carried: &Carried, repeat: bool) -> Option<&Known> {
        let key = &carried.key;
        let print = print_of_stan(key.network.0, carried.pan, carried.class, key.stan);
        self.among(0, print, |known| {
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
            self.among(0, print, |known| {
                let acquirer = original.acquirer.0 == 0 || original.acquirer == known.acquirer;
                let transmission = original.transmission.is_none_or(|time| time == known.transmission);
                acquirer && transmission
            })
        });
        by_data.or_else(|| {
            if key.rrn.is_blank() {
                return None;
            }
            let print = print_of_rrn(key.network.0, pan, key.rrn, key.terminal);
            self.among(1, print, |known| (known.rrn, known.terminal) == (key.rrn, key.terminal))
        })
    }

    /// The newest with a fingerprint of DE 11 (0) or DE 37 (1) that is it. What was never sent is not looked at.
    fn among(&self, chain: usize, print: u64, is_it: impl Fn(&Known) -> bool) -> Option<&Known> {
        let mut number = if chain == 0 { self.by_stan.of(print) } else { self.by_rrn.of(print) };
        // Whoever sends one card and DE 11 over and over makes a long chain: what is far down in it is not found.
        for _ in 0..WALK_MAX {
            let known = self.at(number)?;
            if known.prints[chain] == print && known.standing != Standing::Unsent && is_it(known) {
                return Some(known);
            }
            number = known.older[chain];
        }
        None
    }
}
