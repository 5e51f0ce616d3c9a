//! What must outlast a crash about one party: requests that are open, messages that it must still be told, and under
//! which names it knows what. It changes by [`Trunk::apply`] only, live and in recovery.

use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::forward::Carried;
use crate::domain::forward::Concluded;
use crate::domain::forward::Ended;
use crate::domain::forward::Forwarded;
use crate::domain::forward::Message;
use crate::domain::forward::Original;
use crate::domain::forward::OwnKey;
use crate::domain::forward::Settled;
use crate::domain::forward::Settlement;
use crate::domain::forward::Stored;
use crate::domain::forward::Tells;
use crate::domain::party::Slot;
use crate::domain::request::ApprovalCode;
use crate::domain::request::Legs;
use crate::domain::request::Stan;
use crate::domain::time::Timestamp;

use super::exchange::Spreading;
use super::exchange::source_print;
use super::originals::Memo;
use super::originals::Originals;
use super::originals::Standing;
use super::originals::print_of_original;
use super::originals::print_of_subject;
use super::queue::Item;
use super::queue::Place;
use super::queue::Queue;
use super::queue::card;
use super::queue::named;
use super::stand_in::Exposure;

pub use super::queue::ItemId;

/// Forwarded messages that are looked through for the name in an answer that answers nothing.
const LOOKED_THROUGH: usize = 256;

/// Bounds of what is kept of a party.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Messages that may be stored. Reversals of our own are stored beyond it: they replace requests that were open.
    pub stored_max: usize,
    /// Forwarded messages whose names are kept.
    pub originals_max: usize,
    /// For how long, seconds (R30).
    pub reversal_window_s: u32,
}

impl Default for Bounds {
    /// While a journal is read nobody knows yet how much of each link is to be kept.
    fn default() -> Self {
        Self { stored_max: usize::MAX, originals_max: 1 << 20, reversal_window_s: 31 * 86_400 }
    }
}

/// What was counted since the start, or the snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Requests that were forwarded.
    pub forwarded: u64,
    /// Of them, those that the party has answered.
    pub answered: u64,
    /// Of them, those that it has not answered in time.
    pub timed_out: u64,
    /// Requests that we have decided in the party's place, by approval and by decline.
    pub stood_in: [u64; 2],
    /// Messages that were stored.
    pub stored: u64,
    /// Stored messages by what became of them, as [`Settlement`] counts.
    pub settled: [u64; Settlement::ALL.len()],
}

/// One party.
#[derive(Clone, Debug)]
pub struct Trunk {
    bounds: Bounds,
    /// By its record; with the number under which its name is kept.
    open: Spreading<u64, (Forwarded, u64)>,
    queue: Queue,
    originals: Originals,
    /// What was approved in the party's place and not acknowledged by it, by card and currency.
    exposures: Spreading<(u64, u16), Exposure>,
    /// Reversals of requests that had no answer, by the request's name: a late answer finds them.
    late: Spreading<u64, ItemId>,
    /// The newest name of them by its DE 11 alone, for parties that change or leave out DE 7.
    late_by_stan: Spreading<u32, OwnKey>,
    last_stan: Option<Stan>,
    /// The last record that was applied.
    applied: Sequence,
    counts: Counts,
}

fn exposed(carried: &Carried) -> (u64, u16) {
    let amount = carried.billing.unwrap_or(carried.amount);
    (card(carried.pan), amount.currency.numeric())
}

impl Trunk {
    /// A party that was never asked anything.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            open: Spreading::default(),
            queue: Queue::default(),
            originals: Originals::new(bounds.originals_max, bounds.reversal_window_s),
            exposures: Spreading::default(),
            late: Spreading::default(),
            late_by_stan: Spreading::default(),
            last_stan: None,
            applied: Sequence(0),
            counts: Counts::default(),
        }
    }

    /// Other bounds from now on.
    pub fn bound(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.originals.bound(bounds.originals_max, bounds.reversal_window_s);
    }

    /// Requests that are open, the oldest first.
    #[must_use]
    pub fn open(&self) -> Vec<(Sequence, Forwarded)> {
        let open = self.open.iter().map(|(sequence, (forwarded, _))| (Sequence(*sequence), *forwarded));
        let mut open: Vec<_> = open.collect();
        open.sort_unstable_by_key(|(sequence, _)| *sequence);
        open
    }

    /// Messages that it must still be told.
    #[must_use]
    pub const fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The same, to be sent from.
    pub const fn queue_mut(&mut self) -> &mut Queue {
        &mut self.queue
    }

    /// Under which names it knows what.
    #[must_use]
    pub const fn originals(&self) -> &Originals {
        &self.originals
    }

    /// What was counted.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The last DE 11 of ours that is on record.
    #[must_use]
    pub const fn last_stan(&self) -> Option<Stan> {
        self.last_stan
    }

    /// The last record that was applied.
    #[must_use]
    pub const fn applied(&self) -> Sequence {
        self.applied
    }

    /// Whether no more messages of others may be stored.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.queue.len() >= self.bounds.stored_max
    }

    /// What was approved for a card in the party's place, in the currency of this message, and not acknowledged (R32).
    #[must_use]
    pub fn exposure(&self, carried: &Carried) -> Exposure {
        self.exposures.get(&exposed(carried)).copied().unwrap_or_default()
    }

    /// The stored reversal of a request that had no answer in time, by the request's name.
    #[must_use]
    pub fn reversal_of(&self, own: OwnKey) -> Option<ItemId> {
        self.late.get(&named(own)).copied()
    }

    /// How what the party was asked under this name has ended, if that was lately. Looked through from the newest: this
    /// is for what should not happen.
    #[must_use]
    pub fn standing_of(&self, own: OwnKey) -> Option<Standing> {
        let mut newest = self.originals.newest(LOOKED_THROUGH);
        newest.find(|known| known.own == own).map(|known| known.standing)
    }

    /// The name with this DE 11 under which the party was asked last, if that was lately or is not told of yet.
    #[must_use]
    pub fn named_lately(&self, stan: Stan) -> Option<OwnKey> {
        let mut newest = self.originals.newest(LOOKED_THROUGH).map(|known| known.own);
        newest.find(|own| own.stan == stan).or_else(|| self.late_by_stan.get(&stan.0).copied())
    }

    pub(super) fn restore_open(&mut self, sequence: Sequence, forwarded: Forwarded) {
        self.open.insert(sequence.0, (forwarded, u64::MAX));
    }

    /// What is there already is the same.
    pub(super) fn restore_item(&mut self, id: ItemId, item: Item) {
        if self.queue.get(id).is_some() {
            return;
        }
        let Message { carried, tells, .. } = &item.message;
        match tells {
            Tells::Reversal { original: Some(original), .. } if item.unanswered => {
                self.late.insert(named(original.key), id);
                self.late_by_stan.insert(original.key.stan.0, original.key);
            }
            Tells::Advice { .. } if id.advice => self.expose(carried),
            _ => {}
        }
        self.queue.add(id, item);
    }

    pub(super) const fn restore_originals(&mut self) -> &mut Originals {
        &mut self.originals
    }

    /// All of a snapshot is there: records may follow.
    pub fn restored(&mut self) {
        for (number, exchange) in self.originals.restored() {
            if let Some((_, kept)) = self.open.get_mut(&exchange.0) {
                *kept = number;
            }
        }
    }

    pub(super) const fn restore_stan(&mut self, last: Option<Stan>) {
        self.last_stan = last;
    }

    /// Changes it as a record says. What is about something that is not there changes nothing: it has ended before.
    pub fn apply(&mut self, sequence: Sequence, time: Timestamp, event: &Event) {
        match event {
            Event::Forwarded(event) => {
                self.counts.forwarded += 1;
                self.last_stan = Some(event.own.stan);
                let number = self.originals.add(sequence, time, event.own, &event.carried);
                self.open.insert(sequence.0, (*event, number));
            }
            Event::Concluded(event) => self.conclude(sequence, time, event),
            Event::Stored(event) => self.store(sequence, time, event),
            Event::Settled(event) => self.settle(event),
            _ => {}
        }
        self.applied = sequence;
    }

    fn conclude(&mut self, sequence: Sequence, time: Timestamp, event: &Concluded) {
        let Some((forwarded, number)) = self.open.remove(&event.exchange.0) else { return };
        let (standing, advice) = match event.ended {
            Ended::Answered(code) => {
                self.counts.answered += 1;
                // What reverses it reverses that answer, and no late one.
                if let Some(reversal) = self.no_longer_late(forwarded.own) {
                    self.queue.is_of_answered(reversal);
                }
                (Standing::Answered(code), None)
            }
            Ended::Unsent => (Standing::Unsent, None),
            Ended::TimedOut { reversal } => {
                self.counts.timed_out += 1;
                self.undo(sequence, time, &forwarded, event.exchange, reversal);
                (Standing::GivenUp, None)
            }
            Ended::StoodIn { reversal, advice, action, approval_code } => {
                self.counts.timed_out += u64::from(reversal.is_some());
                self.counts.stood_in[usize::from(!action.is_approval())] += 1;
                if let Some(reversal) = reversal {
                    self.undo(sequence, time, &forwarded, event.exchange, reversal);
                }
                if let Some(advice) = advice {
                    self.advise(sequence, time, &forwarded, event.exchange, advice, approval_code);
                }
                (Standing::StoodIn(action, approval_code), advice)
            }
        };
        if let Some(known) = self.originals.at_mut(number) {
            known.standing = standing;
            known.own = advice.unwrap_or(known.own);
        }
        self.queue.request_ended(event.exchange, forwarded.carried.pan);
    }

    /// Stores the reversal of a request that had no answer, unless whoever asked has reversed it already (R29).
    fn undo(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        forwarded: &Forwarded,
        exchange: Sequence,
        own: OwnKey,
    ) {
        self.last_stan = Some(own.stan);
        let carried = forwarded.carried;
        if self.queue.reverses(exchange) {
            return;
        }
        let original = Some(original(forwarded));
        // Only what the party has decided: an advice of what was decided in its place may follow (R4).
        let legs = Legs::Ours;
        let tells =
            Tells::Reversal { replacement: None, legs, approval_code: None, original, as_received: None };
        let id = ItemId { stored: sequence, advice: false };
        let is_first = self.is_first(forwarded.own, id);
        self.add(id, (time, forwarded.slot), Message { own, carried, tells }, Some(exchange), None, is_first);
    }

    /// Whether this is the first stored reversal of a request without an answer. A late answer finds that one.
    fn is_first(&mut self, request: OwnKey, id: ItemId) -> bool {
        let is_first = *self.late.entry(named(request)).or_insert(id) == id;
        if is_first {
            self.late_by_stan.insert(request.stan.0, request);
        }
        is_first
    }

    fn no_longer_late(&mut self, request: OwnKey) -> Option<ItemId> {
        if self.late_by_stan.get(&request.stan.0) == Some(&request) {
            self.late_by_stan.remove(&request.stan.0);
        }
        self.late.remove(&named(request))
    }

    fn advise(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        forwarded: &Forwarded,
        exchange: Sequence,
        own: OwnKey,
        approval_code: Option<ApprovalCode>,
    ) {
        self.last_stan = Some(own.stan);
        let carried = forwarded.carried;
        let tells = Tells::Advice { approved: true, approval_code, original: Some(original(forwarded)) };
        let id = ItemId { stored: sequence, advice: true };
        self.add(id, (time, forwarded.slot), Message { own, carried, tells }, Some(exchange), None, false);
        self.expose(&carried);
    }

    fn expose(&mut self, carried: &Carried) {
        let exposure = self.exposures.entry(exposed(carried)).or_default();
        exposure.minor = exposure.minor.saturating_add(carried.billing.unwrap_or(carried.amount).minor);
        exposure.count += 1;
    }

    fn store(&mut self, sequence: Sequence, time: Timestamp, event: &Stored) {
        self.last_stan = Some(event.message.own.stan);
        let Message { carried, tells, .. } = &event.message;
        let id = ItemId { stored: sequence, advice: false };
        let (original, as_received) = match tells {
            Tells::Reversal { original, as_received, .. } => (*original, as_received.as_ref()),
            Tells::Advice { original, .. } => (*original, None),
            // It is about no message, so that nothing has to be remembered for another.
            Tells::CardEnded { .. } => {
                self.add(id, (time, event.slot), event.message, None, None, false);
                return;
            }
        };
        let now_s = u32::try_from(time.seconds()).unwrap_or(u32::MAX);
        for print in told_prints(carried, tells) {
            self.originals.note(Memo::Told, sequence, now_s, print);
        }
        if original.is_none() {
            self.originals.note(Memo::Subject, sequence, now_s, print_of_subject(carried, as_received));
        }
        if original.is_none() && matches!(tells, Tells::Reversal { .. }) {
            let print = match as_received {
                Some(of) => print_of_original(&carried.key, carried.pan, of),
                None => Some(print_of_subject(carried, None)),
            };
            if let Some(print) = print {
                self.originals.note(Memo::Tombstone, sequence, now_s, print);
            }
        }
        if let Some(known) = event.exchange.and_then(|exchange| self.originals.of_exchange(exchange)) {
            known.advised |= matches!(tells, Tells::Advice { .. });
            known.reversed |= matches!(tells, Tells::Reversal { replacement: None, legs: Legs::Both, .. });
        }
        let after = event.exchange.filter(|exchange| self.open.contains_key(&exchange.0));
        let unanswered = match *tells {
            Tells::Reversal { original: Some(original), .. } if after.is_some() => {
                self.is_first(original.key, id)
            }
            _ => false,
        };
        self.add(id, (time, event.slot), event.message, event.exchange, after, unanswered);
    }

    fn add(
        &mut self,
        id: ItemId,
        (since, slot): (Timestamp, Slot),
        message: Message,
        about: Option<Sequence>,
        after: Option<Sequence>,
        unanswered: bool,
    ) {
        self.counts.stored += 1;
        let item = Item { about, after, unanswered, ..Item::new(slot, since, message) };
        self.queue.add(id, item);
    }

    fn settle(&mut self, event: &Settled) {
        let id = ItemId { stored: event.stored, advice: event.advice };
        if self.queue.get(id).is_none() {
            return;
        }
        self.counts.settled[event.settlement as usize] += 1;
        let about = self.queue.get(id).and_then(|item| item.about);
        let known = about.filter(|_| event.settlement == Settlement::Purged);
        if let Some(known) = known.and_then(|exchange| self.originals.of_exchange(exchange)) {
            known.purged = true;
        }
        match event.settlement {
            Settlement::Held => self.queue.set_place(id, Place::Held),
            Settlement::DeadLetter => self.queue.set_place(id, Place::Dead),
            Settlement::Released => self.queue.set_place(id, Place::Waiting),
            Settlement::Acknowledged | Settlement::NotNeeded | Settlement::Purged => self.drop_item(id),
        }
    }

    fn drop_item(&mut self, id: ItemId) {
        let Some(item) = self.queue.remove(id) else { return };
        let Message { carried, tells, .. } = item.message;
        match tells {
            Tells::Reversal { original: Some(original), .. }
                if self.late.get(&named(original.key)) == Some(&id) =>
            {
                self.no_longer_late(original.key);
            }
            Tells::Advice { .. } if id.advice => self.give_back(&carried),
            _ => {}
        }
    }

    /// The host knows of what was approved in its place: it counts against nothing here any more.
    fn give_back(&mut self, carried: &Carried) {
        let of = exposed(carried);
        if let Some(exposure) = self.exposures.get_mut(&of) {
            exposure.minor = exposure.minor.saturating_sub(carried.billing.unwrap_or(carried.amount).minor);
            exposure.count = exposure.count.saturating_sub(1);
            if exposure.count == 0 {
                self.exposures.remove(&of);
            }
        }
    }
}

/// Fingerprints of a message that a peer tells: the key that it came with (R5), its class and what it does. The first
/// has DE 7 and is the message's own; the second is for repeats, which may have another. That a time-out takes back
/// what was decided in a party's place is the same as that this was declined.
#[must_use]
pub fn told_prints(carried: &Carried, tells: &Tells) -> [u64; 2] {
    let does = match tells {
        Tells::Advice { approved: true, .. } => 20,
        Tells::Advice { approved: false, .. }
        | Tells::Reversal { legs: Legs::Ours, replacement: None, .. } => 30,
        Tells::CardEnded { .. } => 60,
        Tells::Reversal { replacement: None, .. } => 40,
        Tells::Reversal { .. } => 50,
    };
    let print = source_print(&carried.key, carried.pan, does + carried.class as u8);
    let time = u64::from(carried.key.transmission.digits()) + 1;
    [print ^ time.wrapping_mul(0x9E37_79B9_7F4A_7C15), print]
}

/// A request as DE 90 of what is about it names it.
const fn original(forwarded: &Forwarded) -> Original {
    let Forwarded { own, carried, .. } = forwarded;
    Original { class: carried.class, key: *own, acquirer: carried.key.acquirer, forwarder: carried.forwarder }
}
