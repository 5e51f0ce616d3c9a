//! Store and forward: messages that a party must be told, however long it takes.
//!
//! Several go at once, but of one card one after the other, in the order in which they were stored: a host that gets an
//! advice before the reversal that it follows would hold the money twice. Each keeps its name over all attempts, so
//! that the party knows a repeat (R5); a message is tried until it is acknowledged (R32), refused as often as it may
//! be, or taken out by an operator.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

use crate::domain::card::Pan;
use crate::domain::event::Sequence;
use crate::domain::forward::Message;
use crate::domain::forward::OwnKey;
use crate::domain::forward::Tells;
use crate::domain::party::Slot;
use crate::domain::request::Stan;
use crate::domain::time::Timestamp;

use super::exchange::Spreading;

/// Names a stored message: the record that stored it, and which of the two that one record can store.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ItemId {
    /// The record.
    pub stored: Sequence,
    /// The advice, not the reversal.
    pub advice: bool,
}

/// Where a stored message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// It waits for its turn.
    Waiting,
    /// It went out and its acknowledgement is awaited. After a start it is waiting again.
    InFlight,
    /// An operator holds it back, and what comes after it for the card.
    Held,
    /// It was refused as often as it may be. What comes after it goes on.
    Dead,
}

impl Place {
    /// Its name on the HTTP face.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::InFlight => "in-flight",
            Self::Held => "held",
            Self::Dead => "dead",
        }
    }
}

/// One stored message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Item {
    /// Where messages about its card are kept.
    pub slot: Slot,
    /// When it was stored.
    pub since: Timestamp,
    /// The message.
    pub message: Message,
    /// The record of the request that it is about, where that is known.
    pub about: Option<Sequence>,
    /// The request that it reverses or follows, which has to end before it goes.
    pub after: Option<Sequence>,
    /// It reverses a request that had no answer when it was stored: a late one says whether it is needed (R29).
    pub unanswered: bool,
    /// Where it is.
    pub place: Place,
    /// How often it went out, since the start.
    pub attempts: u32,
    /// How often it was refused, since the start.
    pub refusals: u32,
    /// The party has answered it since it went out last, and not taken it.
    pub is_answered: bool,
    /// When it may go, by a clock that never goes back, nanoseconds.
    pub not_before_ns: u64,
}

impl Item {
    /// A message that waits and has not been sent, about no request that is known.
    #[must_use]
    pub const fn new(slot: Slot, since: Timestamp, message: Message) -> Self {
        Self {
            slot,
            since,
            message,
            about: None,
            after: None,
            unanswered: false,
            place: Place::Waiting,
            attempts: 0,
            refusals: 0,
            is_answered: false,
            not_before_ns: 0,
        }
    }
}

/// The stored messages of one link.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    items: BTreeMap<ItemId, Item>,
    /// By the names under which the party is told them.
    named: Spreading<u64, ItemId>,
    /// By DE 11 of those names: the latest of each.
    by_stan: Spreading<u32, ItemId>,
    /// Of each card with stored messages, by its fingerprint: those that are not dead, the oldest first.
    cards: Spreading<u64, VecDeque<ItemId>>,
    /// Those that wait for the end of a request, by its record.
    waiting: Spreading<u64, Vec<ItemId>>,
    /// Those that may go, by when.
    due: BTreeSet<(u64, ItemId)>,
    in_flight: usize,
    dead: usize,
}

/// A name of ours as one word.
pub(super) fn named(own: OwnKey) -> u64 {
    u64::from(own.stan.0) << 32 | u64::from(own.transmission.digits())
}

/// A card's fingerprint.
pub(super) fn card(pan: Pan) -> u64 {
    pan.value().rotate_left(5) ^ u64::from(pan.digits())
}

impl Queue {
    /// How many are stored, dead ones among them.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether none is stored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// How many are on their way.
    #[must_use]
    pub const fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many are dead.
    #[must_use]
    pub const fn dead(&self) -> usize {
        self.dead
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, id: ItemId) -> Option<&Item> {
        self.items.get(&id)
    }

    /// All of them, the oldest first, after one of them.
    pub fn after(&self, id: ItemId) -> impl Iterator<Item = (&ItemId, &Item)> {
        self.items.range((core::ops::Bound::Excluded(id), core::ops::Bound::Unbounded))
    }

    /// All of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (&ItemId, &Item)> {
        self.items.iter()
    }

    pub(super) fn add(&mut self, id: ItemId, item: Item) {
        if item.place == Place::Dead {
            self.dead += 1;
        } else {
            let line = self.cards.entry(card(item.message.carried.pan)).or_default();
            // A start may add what waits for a request before what is older.
            let at = if line.back().is_none_or(|last| *last < id) {
                line.len()
            } else {
                line.partition_point(|other| *other < id)
            };
            line.insert(at, id);
        }
        if let Some(after) = item.after {
            self.waiting.entry(after.0).or_default().push(id);
        }
        let pan = item.message.carried.pan;
        self.named.insert(named(item.message.own), id);
        self.by_stan.insert(item.message.own.stan.0, id);
        self.items.insert(id, item);
        self.consider(pan);
    }

    /// The message that the party is told under this name.
    #[must_use]
    pub fn of_name(&self, own: OwnKey) -> Option<ItemId> {
        self.named.get(&named(own)).copied()
    }

    /// The latest message that the party is told with this DE 11.
    #[must_use]
    pub fn of_stan(&self, stan: Stan) -> Option<ItemId> {
        self.by_stan.get(&stan.0).copied()
    }

    /// What is stored about a card and not dead, the oldest first.
    pub fn about(&self, pan: Pan) -> impl Iterator<Item = (ItemId, &Item)> {
        let line = self.cards.get(&card(pan)).into_iter().flatten();
        let items = line.filter_map(|id| Some((*id, self.items.get(id)?)));
        items.filter(move |(_, item)| item.message.carried.pan == pan)
    }

    /// Whether it can have gone out: what waits for the end of a request, or for its card's older messages, has not,
    /// whatever a start had to suppose.
    #[must_use]
    pub fn can_have_gone(&self, id: ItemId) -> bool {
        let is_first = |pan| self.cards.get(&card(pan)).and_then(VecDeque::front) == Some(&id);
        self.items.get(&id).is_some_and(|item| {
            let is_next = item.place == Place::Dead || is_first(item.message.carried.pan);
            item.attempts > 0 && item.after.is_none() && is_next
        })
    }

    /// Takes a message out.
    pub(super) fn remove(&mut self, id: ItemId) -> Option<Item> {
        let item = self.items.remove(&id)?;
        let own = item.message.own;
        if self.named.get(&named(own)) == Some(&id) {
            self.named.remove(&named(own));
        }
        if self.by_stan.get(&own.stan.0) == Some(&id) {
            self.by_stan.remove(&own.stan.0);
        }
        self.in_flight -= usize::from(item.place == Place::InFlight);
        self.dead -= usize::from(item.place == Place::Dead);
        self.waits_no_more(id, item.after);
        self.leave_line(id, &item);
        Some(item)
    }

    fn waits_no_more(&mut self, id: ItemId, after: Option<Sequence>) {
        let Some(after) = after else { return };
        if let Some(waiting) = self.waiting.get_mut(&after.0) {
            waiting.retain(|other| *other != id);
            if waiting.is_empty() {
                self.waiting.remove(&after.0);
            }
        }
    }

    fn leave_line(&mut self, id: ItemId, item: &Item) {
        self.due.remove(&(item.not_before_ns, id));
        let pan = item.message.carried.pan;
        if let Some(line) = self.cards.get_mut(&card(pan)) {
            if line.front() == Some(&id) {
                line.pop_front();
            } else {
                line.retain(|other| *other != id);
            }
            if line.is_empty() {
                self.cards.remove(&card(pan));
            }
        }
        self.consider(pan);
    }

    /// What was dead takes the place of its age again, as it will have after a start. What is on its way stays first.
    fn join_line(&mut self, id: ItemId, item: &Item) {
        let line = self.cards.entry(card(item.message.carried.pan)).or_default();
        let first = line.front().and_then(|first| Some((*first, *self.items.get(first)?)));
        let goes = first.is_some_and(|(_, first)| first.place == Place::InFlight);
        let from = usize::from(goes);
        let at = line.iter().skip(from).position(|other| *other > id).map_or(line.len(), |at| from + at);
        line.insert(at, id);
        if let (0, Some((first, item))) = (at, first) {
            self.due.remove(&(item.not_before_ns, first));
        }
    }

    /// Lets the first of a card go, if nothing holds it.
    fn consider(&mut self, pan: Pan) {
        let Some(first) = self.cards.get(&card(pan)).and_then(|line| line.front()).copied() else { return };
        if let Some(item) = self.items.get(&first)
            && item.place == Place::Waiting
            && item.after.is_none()
        {
            self.due.insert((item.not_before_ns, first));
        }
    }

    pub(super) fn set_place(&mut self, id: ItemId, place: Place) {
        let Some(item) = self.items.get_mut(&id) else { return };
        let before = core::mem::replace(&mut item.place, place);
        // Nobody tells it any more when the request has ended.
        let after = if place == Place::Dead { item.after.take() } else { None };
        let item = *item;
        self.waits_no_more(id, after);
        self.in_flight -= usize::from(before == Place::InFlight);
        self.in_flight += usize::from(place == Place::InFlight);
        self.dead -= usize::from(before == Place::Dead);
        self.dead += usize::from(place == Place::Dead);
        match (before, place) {
            (Place::Dead, Place::Dead) => {}
            (_, Place::Dead) => self.leave_line(id, &item),
            (Place::Dead, _) => self.join_line(id, &item),
            _ => {}
        }
        if place != Place::Waiting {
            self.due.remove(&(item.not_before_ns, id));
        }
        self.consider(item.message.carried.pan);
    }

    /// A request has ended: what waited for that waits no longer.
    pub(super) fn request_ended(&mut self, exchange: Sequence, pan: Pan) {
        for id in self.waiting.remove(&exchange.0).unwrap_or_default() {
            if let Some(item) = self.items.get_mut(&id) {
                item.after = None;
            }
        }
        self.consider(pan);
    }

    /// The request that it reverses was answered after all.
    pub(super) fn is_of_answered(&mut self, id: ItemId) {
        if let Some(item) = self.items.get_mut(&id) {
            item.unanswered = false;
        }
    }

    /// Whether a message is stored that reverses this request as a whole.
    #[must_use]
    pub fn reverses(&self, exchange: Sequence) -> bool {
        let whole = |item: &Item| matches!(item.message.tells, Tells::Reversal { replacement: None, .. });
        self.waiting_for(exchange).any(|(_, item)| whole(item))
    }

    /// What waits for the end of a request, the oldest first.
    pub fn waiting_for(&self, exchange: Sequence) -> impl Iterator<Item = (ItemId, &Item)> {
        let waiting = self.waiting.get(&exchange.0).into_iter().flatten();
        waiting.filter_map(|id| Some((*id, self.items.get(id)?)))
    }

    /// The next that may go.
    #[must_use]
    pub fn next(&self, now_ns: u64) -> Option<ItemId> {
        self.due.first().filter(|(not_before, _)| *not_before <= now_ns).map(|(_, id)| *id)
    }

    /// It goes out.
    pub fn sent(&mut self, id: ItemId) {
        if let Some(item) = self.items.get_mut(&id) {
            item.attempts = item.attempts.saturating_add(1);
            item.is_answered = false;
            self.set_place(id, Place::InFlight);
        }
    }

    /// The party has answered, and not taken it.
    pub fn is_answered(&mut self, id: ItemId) {
        if let Some(item) = self.items.get_mut(&id) {
            item.is_answered = true;
        }
    }

    /// After a start nobody knows what went out before: whatever is stored goes as a repeat.
    pub fn recovered(&mut self) {
        for item in self.items.values_mut() {
            item.attempts = item.attempts.max(1);
            item.not_before_ns = 0;
        }
    }

    /// It was not acknowledged, or not sent: it goes again, no earlier than this.
    pub fn again(&mut self, id: ItemId, not_before_ns: u64, refused: bool) {
        let Some(item) = self.items.get_mut(&id) else { return };
        self.due.remove(&(item.not_before_ns, id));
        item.not_before_ns = not_before_ns;
        item.refusals += u32::from(refused);
        if item.place == Place::InFlight {
            self.set_place(id, Place::Waiting);
        } else {
            let pan = item.message.carried.pan;
            self.consider(pan);
        }
    }
}
