//! What we have asked a party and what waits for its answer: own STANs, strong matching, deadlines (R30).
//!
//! An entry is found by the DE 11 that we gave it, which no other has that waits; whether an answer is really its
//! answer is told by what else the answer echoes ([`super::matching`]). Entries have a place and a generation, so that
//! a handle to one that has ended names no other. Those with the same time limit stand in one list in the order of
//! their deadlines, so that opening, ending and timing out cost the same however many there are.

use std::collections::HashMap;
use std::hash::BuildHasherDefault;
use std::hash::Hasher;

use crate::domain::card::Pan;
use crate::domain::event::Sequence;
use crate::domain::forward::Carried;
use crate::domain::forward::OwnKey;
use crate::domain::request::MessageKey;
use crate::domain::request::Stan;
use crate::domain::time::TransmissionTime;

use super::matching::Answering;
use super::matching::MatchKey;
use super::matching::Sent;
use super::matching::difference;
use super::matching::fits_but_for_name;
use super::trunk::ItemId;

/// STANs run from 1 to this (DE 11 of all zeros names nothing).
pub const STAN_MAX: u32 = 999_999;
/// After a start STANs go on so far behind the last one that is on record: an earlier life may have used those between,
/// and lost their records.
const STAN_LEAP: u32 = 131_072;
const NONE: u32 = u32::MAX;
/// Entries that are looked at for one that an answer under another's name fits.
const LOOKED_AT: usize = 256;

/// Spreads keys that are hashes already, or small numbers.
#[derive(Clone, Copy, Default)]
pub struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        // Fibonacci hashing, with the high half folded down: tables look at both ends.
        let mixed = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ mixed >> 32;
    }
}

pub(super) type Spreading<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

/// What an entry is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A request that somebody waits for: the record of its `Forwarded`.
    Request(Sequence),
    /// The repeat of a request that the party has answered before: a record that is no earlier than that of the answer.
    /// It changes nothing, so that it has no record of its own; without an answer in time whoever asked gets none, and
    /// nothing is reversed.
    Again {
        /// That record.
        record: Sequence,
        /// DE 39 of the answer.
        first: [u8; 2],
    },
    /// A stored message.
    Item(ItemId),
}

/// One message of ours that waits for its answer. `R` is where it went and where its answer goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Open<R> {
    /// What it is for.
    pub purpose: Purpose,
    /// How we named it.
    pub own: OwnKey,
    /// The MTI that its answer has.
    pub answer_mti: u16,
    /// What it carries.
    pub carried: Carried,
    /// The fingerprint of the key that a request came with; `None` for a message of our own.
    pub source: Option<u64>,
    /// When it went out, by a clock that never goes back, nanoseconds.
    pub sent_ns: u64,
    /// When it is given up.
    pub deadline_ns: u64,
    /// Where it went, and where its answer goes.
    pub way: R,
}

/// Names an entry, and no later one in its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Handle {
    place: u32,
    generation: u32,
}

/// What an answer was found to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// The answer to this entry.
    Answer(Handle),
    /// It has the STAN of this entry and another one's data element.
    Differs {
        /// The nearest candidate.
        nearest: Handle,
        /// The data element that differs.
        field: u8,
    },
    /// Nothing waits under its STAN.
    Nothing,
}

/// Why an exchange cannot be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// As many wait as may.
    Full,
    /// All STANs of this second are used up (R30).
    NoStan,
}

#[derive(Clone, Debug)]
struct Place<R> {
    open: Option<Open<R>>,
    generation: u32,
    lane: u16,
    /// The neighbours in its lane; the next free place in `next` while it is free.
    before: u32,
    next: u32,
}

/// Entries with one time limit, the oldest first.
#[derive(Clone, Copy, Debug)]
struct Lane {
    limit_ns: u64,
    first: u32,
    last: u32,
}

/// What waits for answers on one link.
#[derive(Clone, Debug)]
pub struct Exchanges<R> {
    places: Vec<Place<R>>,
    free: u32,
    count: usize,
    most: usize,
    lanes: Vec<Lane>,
    by_stan: Spreading<u32, u32>,
    /// By the fingerprint of the key that a request came with: a repeat finds what waits already.
    by_source: Spreading<u64, u32>,
    /// By the fingerprint of what stays the same whoever passes it on: how many wait.
    by_passage: Spreading<u64, u32>,
    next_stan: u32,
    /// The second in which STANs are given now, and how many were.
    second: TransmissionTime,
    given: u32,
}

/// A fingerprint of the key by which a message's repeat is known (R5). DE 7 is left out, since a repeat may have
/// another. `kind` tells messages with one key apart: the first two digits of the MTI, whatever its repeat says.
#[must_use]
pub fn source_print(key: &MessageKey, pan: Pan, kind: u8) -> u64 {
    let mut bytes = [0; 64];
    let parts: [&[u8]; 8] = [
        &key.network.0.to_le_bytes(),
        &key.stan.0.to_le_bytes(),
        &key.acquirer.0.to_le_bytes(),
        &key.rrn.0,
        &key.terminal.0,
        &pan.value().to_le_bytes(),
        &[pan.digits()],
        &[kind],
    ];
    let mut at = 0;
    for part in parts {
        bytes[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    }
    xxhash_rust::xxh3::xxh3_64(&bytes[..at])
}

/// A fingerprint of what passes unchanged from end to end: card, DE 37, DE 41, amount and class. `None` without a DE
/// 37.
fn passage_print(carried: &Carried) -> Option<u64> {
    let Carried { key, pan, amount, class, .. } = carried;
    if key.rrn.is_blank() {
        return None;
    }
    let mut bytes = [0; 40];
    bytes[..8].copy_from_slice(&pan.value().to_le_bytes());
    bytes[8..16].copy_from_slice(&amount.minor.to_le_bytes());
    bytes[16..28].copy_from_slice(&key.rrn.0);
    bytes[28..36].copy_from_slice(&key.terminal.0);
    bytes[36] = *class as u8;
    Some(xxhash_rust::xxh3::xxh3_64(&bytes))
}

impl<R> Exchanges<R> {
    /// Room for so many at once. `last` is the last STAN that is on record.
    #[must_use]
    pub fn new(most: usize, last: Option<Stan>) -> Self {
        let next_stan = last.map_or(1, |last| (last.0 % STAN_MAX + STAN_LEAP) % STAN_MAX + 1);
        Self {
            places: Vec::new(),
            free: NONE,
            count: 0,
            most,
            lanes: Vec::new(),
            by_stan: Spreading::default(),
            by_source: Spreading::default(),
            by_passage: Spreading::default(),
            next_stan,
            second: TransmissionTime::default(),
            given: 0,
        }
    }

    /// How many wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether none waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether no more may wait.
    #[must_use]
    pub const fn is_full(&self) -> bool {
        self.count >= self.most
    }

    /// The next name for a message of ours: no other has it that waits, nor one of this second.
    ///
    /// # Errors
    /// All of this second were given.
    pub fn name(&mut self, now: TransmissionTime) -> Result<OwnKey, Refusal> {
        if now != self.second {
            (self.second, self.given) = (now, 0);
        }
        while self.given < STAN_MAX {
            let stan = self.next_stan;
            self.next_stan = self.next_stan % STAN_MAX + 1;
            self.given += 1;
            if !self.by_stan.contains_key(&stan) {
                return Ok(OwnKey { stan: Stan(stan), transmission: now });
            }
        }
        Err(Refusal::NoStan)
    }

    /// Whether a name is free: a stored message keeps its own over all attempts.
    #[must_use]
    pub fn is_free(&self, own: OwnKey) -> bool {
        !self.by_stan.contains_key(&own.stan.0)
    }

    /// Enters a message that goes out now. `limit_ns` is how long such a message may take, of which there are few:
    /// among those with one limit deadlines nearly come in order.
    ///
    /// # Errors
    /// Too many wait, or its STAN is taken.
    pub fn open(&mut self, open: Open<R>, limit_ns: u64) -> Result<Handle, Refusal> {
        if self.is_full() {
            return Err(Refusal::Full);
        }
        if !self.is_free(open.own) {
            return Err(Refusal::NoStan);
        }
        let lane = self.lane(limit_ns);
        let (stan, source) = (open.own.stan.0, open.source);
        let passage = source.and_then(|_| passage_print(&open.carried));
        let place = self.take_place(open);
        self.append(place, lane);
        self.by_stan.insert(stan, place);
        if let Some(source) = source {
            self.by_source.insert(source, place);
        }
        if let Some(passage) = passage {
            *self.by_passage.entry(passage).or_default() += 1;
        }
        self.count += 1;
        Ok(Handle { place, generation: self.places[place as usize].generation })
    }

    fn take_place(&mut self, open: Open<R>) -> u32 {
        if self.free == NONE {
            let place = self.places.len() as u32;
            let (open, generation) = (Some(open), 0);
            self.places.push(Place { open, generation, lane: 0, before: NONE, next: NONE });
            return place;
        }
        let place = self.free;
        let free = &mut self.places[place as usize];
        self.free = free.next;
        free.open = Some(open);
        place
    }

    fn lane(&mut self, limit_ns: u64) -> u16 {
        let known = self.lanes.iter().position(|lane| lane.limit_ns == limit_ns);
        let at = known.unwrap_or_else(|| {
            self.lanes.push(Lane { limit_ns, first: NONE, last: NONE });
            self.lanes.len() - 1
        });
        at as u16
    }

    /// Puts an entry behind those of its lane whose deadlines are no later. Those that are were read later and sent
    /// earlier: a few at the end.
    fn append(&mut self, place: u32, lane: u16) {
        let deadline = |place: u32| {
            let open = self.places.get(place as usize).and_then(|place| place.open.as_ref());
            open.map(|open| open.deadline_ns)
        };
        let (own, of_lane) = (deadline(place), self.lanes[usize::from(lane)]);
        let (mut before, mut next) = (of_lane.last, NONE);
        while before != NONE && deadline(before) > own {
            (before, next) = (self.places[before as usize].before, before);
        }
        let entry = &mut self.places[place as usize];
        (entry.lane, entry.before, entry.next) = (lane, before, next);
        match before {
            NONE => self.lanes[usize::from(lane)].first = place,
            before => self.places[before as usize].next = place,
        }
        match next {
            NONE => self.lanes[usize::from(lane)].last = place,
            next => self.places[next as usize].before = place,
        }
    }

    /// The entry of a handle, while it waits.
    #[must_use]
    pub fn get(&self, handle: Handle) -> Option<&Open<R>> {
        let place = self.places.get(handle.place as usize)?;
        place.open.as_ref().filter(|_| place.generation == handle.generation)
    }

    /// The same, to be changed: the way back of a request that came again on another socket.
    pub fn get_mut(&mut self, handle: Handle) -> Option<&mut Open<R>> {
        let place = self.places.get_mut(handle.place as usize)?;
        place.open.as_mut().filter(|_| place.generation == handle.generation)
    }

    /// All that wait, of each time limit the one first whose deadline is.
    pub fn iter(&self) -> impl Iterator<Item = (Handle, &Open<R>)> {
        self.lanes.iter().flat_map(|lane| {
            let entry = |at: u32| Some((at, self.places.get(at as usize)?));
            let entries = core::iter::successors(entry(lane.first), move |(_, place)| entry(place.next));
            entries.filter_map(|(at, place)| {
                let handle = Handle { place: at, generation: place.generation };
                place.open.as_ref().map(|open| (handle, open))
            })
        })
    }

    /// What waits that came with this fingerprint.
    #[must_use]
    pub fn of_source(&self, source: u64) -> Option<Handle> {
        let place = *self.by_source.get(&source)?;
        let generation = self.places[place as usize].generation;
        self.places[place as usize].open.as_ref().map(|_| Handle { place, generation })
    }

    /// Whether the same message is on its way to this party now: if it comes from there, it has come back.
    #[must_use]
    pub fn has_gone(&self, carried: &Carried) -> bool {
        passage_print(carried).is_some_and(|passage| self.by_passage.contains_key(&passage))
    }

    /// Takes an entry out: it has ended, however it did.
    pub fn end(&mut self, handle: Handle) -> Option<Open<R>> {
        let entry = self.places.get_mut(handle.place as usize)?;
        if entry.generation != handle.generation {
            return None;
        }
        let open = entry.open.take()?;
        let (before, next, lane) = (entry.before, entry.next, usize::from(entry.lane));
        entry.generation = entry.generation.wrapping_add(1);
        entry.next = self.free;
        self.free = handle.place;
        match before {
            NONE => self.lanes[lane].first = next,
            before => self.places[before as usize].next = next,
        }
        match next {
            NONE => self.lanes[lane].last = before,
            next => self.places[next as usize].before = before,
        }
        self.by_stan.remove(&open.own.stan.0);
        if let Some(source) = open.source {
            self.passed(&open.carried);
            // One that came by two sockets at once may wait twice.
            if self.by_source.get(&source) == Some(&handle.place) {
                self.by_source.remove(&source);
            }
        }
        self.count -= 1;
        Some(open)
    }

    fn passed(&mut self, carried: &Carried) {
        let Some(passage) = passage_print(carried) else { return };
        if let Some(count) = self.by_passage.get_mut(&passage) {
            *count -= 1;
            if *count == 0 {
                self.by_passage.remove(&passage);
            }
        }
    }

    /// One that is past its deadline.
    #[must_use]
    pub fn overdue(&self, now_ns: u64) -> Option<Handle> {
        self.lanes.iter().find_map(|lane| {
            let place = self.places.get(lane.first as usize)?;
            let open = place.open.as_ref().filter(|open| open.deadline_ns <= now_ns);
            open.map(|_| Handle { place: lane.first, generation: place.generation })
        })
    }

    /// Nanoseconds for which the oldest has waited.
    #[must_use]
    pub fn oldest_ns(&self, now_ns: u64) -> u64 {
        let firsts = self.lanes.iter().filter_map(|lane| self.places.get(lane.first as usize)?.open.as_ref());
        firsts.map(|open| now_ns.saturating_sub(open.sent_ns)).max().unwrap_or(0)
    }

    /// What an answer answers, for a party whose answers are known by this key.
    #[must_use]
    pub fn find(&self, answering: &Answering, key: MatchKey) -> Found {
        let Some(place) = self.by_stan.get(&answering.stan.0) else { return Found::Nothing };
        let entry = &self.places[*place as usize];
        let Some(open) = &entry.open else { return Found::Nothing };
        let handle = Handle { place: *place, generation: entry.generation };
        match difference(key, &open.sent(), answering) {
            None => Found::Answer(handle),
            Some(field) => Found::Differs { nearest: handle, field },
        }
    }

    /// An entry that an answer fits but for the name that it has: DE 37 and all else that passes unchanged are that
    /// one's. The oldest of each time limit are looked at, 256 in all: this is for what should not happen.
    #[must_use]
    pub fn fits_but_for_name(&self, answering: &Answering) -> Option<&Open<R>> {
        let mut open = self.iter().map(|(_, open)| open).take(LOOKED_AT);
        open.find(|open| open.own.stan != answering.stan && fits_but_for_name(&open.sent(), answering))
    }
}

impl<R> Open<R> {
    /// What an answer to it must echo.
    #[inline]
    fn sent(&self) -> Sent {
        Sent::of(self.own, self.answer_mti, &self.carried)
    }
}
