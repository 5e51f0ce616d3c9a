//! A party's requests and stored messages under random events, against lists of them.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use proptest::prelude::*;

use crate::domain::action::ActionCode;
use crate::domain::card::CardStatus;
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
use crate::domain::party::NameId;
use crate::domain::party::Slot;
use crate::domain::request::ApprovalCode;
use crate::domain::request::Legs;
use crate::domain::time::Timestamp;
use crate::switch::originals::Standing;
use crate::switch::queue::Item;
use crate::switch::queue::Place;
use crate::switch::stand_in::Exposure;
use crate::switch::trunk::Bounds;
use crate::switch::trunk::Counts;
use crate::switch::trunk::ItemId;
use crate::switch::trunk::Trunk;

use super::carried;
use super::cases;
use super::dollars;
use super::euros;
use super::own;

pub(crate) const BOUNDS: Bounds = Bounds { stored_max: 20, originals_max: 9, reversal_window_s: 40 };
const CARDS: u8 = 3;

/// What happens. Numbers choose among what there is, and now and then something that there is not.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    Forward { card: u8, minor: i64, billed: bool, again: Option<usize> },
    Conclude { which: usize, end: u8 },
    Store { card: u8, about: Option<usize>, is_advice: bool, names_it: bool },
    CardEnds { card: u8 },
    Settle { which: usize, settlement: usize },
    Send,
    Again { which: usize, later: u64, refused: bool },
    Later(u64),
}

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let forward = (0..CARDS, 1..9_i64, any::<bool>(), proptest::option::weighted(0.1, any::<usize>()));
    let store = (0..CARDS, proptest::option::of(any::<usize>()), any::<bool>(), any::<bool>());
    prop_oneof![
        5 => forward.prop_map(|(card, minor, billed, again)| Step::Forward { card, minor, billed, again }),
        5 => (any::<usize>(), 0..6_u8).prop_map(|(which, end)| Step::Conclude { which, end }),
        4 => store.prop_map(|(card, about, is_advice, names_it)| {
            Step::Store { card, about, is_advice, names_it }
        }),
        1 => (0..CARDS).prop_map(|card| Step::CardEnds { card }),
        4 => (any::<usize>(), 0..Settlement::ALL.len())
            .prop_map(|(which, settlement)| Step::Settle { which, settlement }),
        4 => Just(Step::Send),
        2 => (any::<usize>(), 0..50_u64, any::<bool>())
            .prop_map(|(which, later, refused)| Step::Again { which, later, refused }),
        1 => (0..30_u64).prop_map(Step::Later),
    ]
}

/// Lists of what a party was asked and must be told.
#[derive(Clone, Default)]
pub(crate) struct Model {
    pub(crate) record: u64,
    now_ns: u64,
    open: BTreeMap<Sequence, Forwarded>,
    /// In the order in which they go.
    items: Vec<(ItemId, Item)>,
    /// What was forwarded, and how it stands.
    forwarded: Vec<(Sequence, u64, OwnKey, Standing)>,
    /// Records of requests of which a peer has told something, and of those of which an operator has taken out
    /// something.
    advised: BTreeSet<Sequence>,
    purged: BTreeSet<Sequence>,
    counts: Counts,
}

/// It gives back all of what it is about.
fn is_whole(item: &Item) -> bool {
    matches!(item.message.tells, Tells::Reversal { replacement: None, .. })
}

impl Model {
    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_seconds(1_000 + self.record)
    }

    /// The event of a step, where it is one.
    pub(crate) fn event(&self, step: Step) -> Option<Event> {
        let (slot, to) = (Slot::wrapping(3), NameId::of("processor"));
        let next = self.record as u32 + 1;
        Some(match step {
            Step::Forward { card, minor, billed, again } => {
                let mut carried = carried(card, next, card);
                carried.amount = dollars(minor);
                carried.billing = billed.then(|| euros(minor + 1));
                let names = self.forwarded.iter().map(|(_, _, own, _)| *own);
                let names: Vec<OwnKey> = names.collect();
                let again = again.and_then(|at| names.get(at % names.len().max(1)).copied());
                Event::Forwarded(Forwarded { slot, to, own: again.unwrap_or(own(next, 0)), carried })
            }
            Step::Conclude { which, end } => {
                let open = self.open.keys().copied().chain([Sequence(999_999)]);
                let open: Vec<Sequence> = open.collect();
                let (reversal, advice) = (own(next, 1), own(next, 2));
                let stood_in = |reversal, advice, action| {
                    let approval_code = Some(ApprovalCode(*b"0A1B2C"));
                    Ended::StoodIn { reversal, advice, action, approval_code }
                };
                let ended = match end {
                    0 => Ended::Answered(*b"00"),
                    1 => Ended::TimedOut { reversal },
                    2 => Ended::Unsent,
                    3 => stood_in(Some(reversal), Some(advice), ActionCode::Approved),
                    4 => stood_in(None, Some(advice), ActionCode::Approved),
                    _ => stood_in(Some(reversal), None, ActionCode::Unavailable),
                };
                Event::Concluded(Concluded { slot, to, exchange: open[which % open.len()], ended })
            }
            Step::Store { card, about, is_advice, names_it } => {
                let asked: Vec<_> = self.open.iter().collect();
                let about = about.and_then(|at| asked.get(at % (asked.len() + 1)).copied());
                let carried = about.map_or(carried(card, next, card), |(_, forwarded)| forwarded.carried);
                let original = about.filter(|_| names_it).map(|(_, forwarded)| Original {
                    class: carried.class,
                    key: forwarded.own,
                    acquirer: carried.key.acquirer,
                    forwarder: carried.forwarder,
                });
                let tells = match is_advice {
                    true => Tells::Advice { approved: true, approval_code: None, original },
                    false => Tells::Reversal {
                        replacement: None,
                        legs: if card.is_multiple_of(2) { Legs::Both } else { Legs::Ours },
                        approval_code: None,
                        original,
                        as_received: None,
                    },
                };
                // Some are about a request that has ended long ago.
                let has_ended = |record: &Sequence| !self.open.contains_key(record);
                let ended = self.forwarded.iter().map(|(record, ..)| *record).filter(has_ended);
                let ended: Vec<Sequence> = ended.chain([Sequence(999_999)]).collect();
                let ended = (card == 0).then(|| ended[self.record as usize % ended.len()]);
                let exchange = about.map(|(exchange, _)| *exchange).or(ended);
                let message = Message { own: own(next, 3), carried, tells };
                Event::Stored(Stored { slot, to, exchange, message })
            }
            Step::CardEnds { card } => {
                let tells = Tells::CardEnded { status: CardStatus::ENDED[usize::from(card) % 3] };
                let message = Message { own: own(next, 3), carried: carried(card, next, card), tells };
                Event::Stored(Stored { slot, to, exchange: None, message })
            }
            Step::Settle { which, settlement } => {
                let ItemId { stored, advice } = self.item(which);
                let settlement = Settlement::ALL[settlement].0;
                Event::Settled(Settled { slot, to, stored, advice, settlement })
            }
            Step::Send | Step::Again { .. } | Step::Later(_) => return None,
        })
    }

    fn item(&self, which: usize) -> ItemId {
        let unknown = ItemId { stored: Sequence(999_999), advice: which.is_multiple_of(2) };
        let ids = self.items.iter().map(|(id, _)| *id).chain([unknown]);
        let ids: Vec<ItemId> = ids.collect();
        ids[which % ids.len()]
    }

    fn at(&mut self, id: ItemId) -> Option<&mut Item> {
        self.items.iter_mut().find(|(other, _)| *other == id).map(|(_, item)| item)
    }

    pub(crate) fn happens(&mut self, event: &Event) {
        self.record += 1;
        let (record, time) = (Sequence(self.record), self.time());
        match event {
            Event::Forwarded(forwarded) => {
                self.open.insert(record, *forwarded);
                self.counts.forwarded += 1;
                let now = time.seconds();
                self.forwarded.retain(|(_, at, ..)| at + u64::from(BOUNDS.reversal_window_s) >= now);
                self.forwarded.push((record, now, forwarded.own, Standing::Open));
                let over = self.forwarded.len().saturating_sub(BOUNDS.originals_max);
                self.forwarded.drain(..over);
            }
            Event::Concluded(concluded) => self.concluded(record, concluded),
            Event::Stored(stored) => {
                if matches!(stored.message.tells, Tells::Advice { .. }) {
                    self.advised.extend(stored.exchange);
                }
                let after = stored.exchange.filter(|exchange| self.open.contains_key(exchange));
                let id = ItemId { stored: record, advice: false };
                self.add(id, stored.message, stored.exchange, after, after.is_some());
            }
            Event::Settled(settled) => self.settled(settled),
            _ => {}
        }
    }

    fn concluded(&mut self, record: Sequence, concluded: &Concluded) {
        let Some(forwarded) = self.open.remove(&concluded.exchange) else { return };
        let Forwarded { own, carried, .. } = forwarded;
        let (class, acquirer, forwarder) = (carried.class, carried.key.acquirer, carried.forwarder);
        let original = Some(Original { class, key: own, acquirer, forwarder });
        let (replacement, legs) = (None, Legs::Ours);
        let reversal =
            Tells::Reversal { replacement, legs, approval_code: None, original, as_received: None };
        let (reverses, advises, standing) = match concluded.ended {
            Ended::Answered(code) => (None, None, Standing::Answered(code)),
            Ended::Unsent => (None, None, Standing::Unsent),
            Ended::TimedOut { reversal } => (Some(reversal), None, Standing::GivenUp),
            Ended::StoodIn { reversal, advice, action, approval_code } => {
                (reversal, advice, Standing::StoodIn(action, approval_code))
            }
        };
        self.counts.answered += u64::from(matches!(standing, Standing::Answered(_)));
        self.counts.timed_out += u64::from(reverses.is_some());
        if let Standing::StoodIn(action, _) = standing {
            self.counts.stood_in[usize::from(!action.is_approval())] += 1;
        }
        // The peer has reversed all of it already, and that is not dead.
        let is_reversed = self.items.iter().any(|(_, item)| {
            is_whole(item) && item.after == Some(concluded.exchange) && item.place != Place::Dead
        });
        if let Some(own) = reverses.filter(|_| !is_reversed) {
            let id = ItemId { stored: record, advice: false };
            self.add(id, Message { own, carried, tells: reversal }, Some(concluded.exchange), None, true);
        }
        if let Some(own) = advises {
            let (approved, approval_code) = (true, Some(ApprovalCode(*b"0A1B2C")));
            let tells = Tells::Advice { approved, approval_code, original };
            self.add(
                ItemId { stored: record, advice: true },
                Message { own, carried, tells },
                Some(concluded.exchange),
                None,
                false,
            );
        }
        for (_, item) in &mut self.items {
            let is_original = |of: Option<Original>| of.is_some_and(|of| of.key == own);
            let of_it =
                matches!(item.message.tells, Tells::Reversal { original, .. } if is_original(original));
            item.unanswered &= !(of_it && matches!(standing, Standing::Answered(_)));
            item.after = item.after.filter(|after| *after != concluded.exchange);
        }
        if let Some(known) = self.forwarded.iter_mut().find(|(of, ..)| *of == concluded.exchange) {
            (known.2, known.3) = (advises.unwrap_or(known.2), standing);
        }
    }

    fn add(
        &mut self,
        id: ItemId,
        message: Message,
        about: Option<Sequence>,
        after: Option<Sequence>,
        is_unanswered: bool,
    ) {
        let original = match message.tells {
            Tells::Reversal { original, .. } => original,
            Tells::Advice { .. } | Tells::CardEnded { .. } => None,
        };
        let is_first = original.is_some_and(|original| self.reversal_of(original.key).is_none());
        let (slot, since) = (Slot::wrapping(3), self.time());
        let unanswered = is_unanswered && is_first;
        let item = Item { about, after, unanswered, ..Item::new(slot, since, message) };
        self.items.push((id, item));
        self.counts.stored += 1;
    }

    fn settled(&mut self, settled: &Settled) {
        let id = ItemId { stored: settled.stored, advice: settled.advice };
        let Some(item) = self.at(id) else { return };
        let was_dead = item.place == Place::Dead;
        let about = item.about.filter(|_| settled.settlement == Settlement::Purged);
        self.purged.extend(about);
        let Some(item) = self.at(id) else { return };
        match settled.settlement {
            Settlement::Held => item.place = Place::Held,
            Settlement::Released => item.place = Place::Waiting,
            Settlement::DeadLetter => (item.place, item.after) = (Place::Dead, None),
            Settlement::Acknowledged | Settlement::NotNeeded | Settlement::Purged => {
                self.items.retain(|(other, _)| *other != id);
            }
        }
        self.counts.settled[settled.settlement as usize] += 1;
        if was_dead && matches!(settled.settlement, Settlement::Held | Settlement::Released) {
            self.takes_its_turn(id);
        }
    }

    /// Among those of its card it goes by its age, but behind one that is on its way.
    fn takes_its_turn(&mut self, id: ItemId) {
        let Some(at) = self.items.iter().position(|(other, _)| *other == id) else { return };
        let (_, item) = self.items.remove(at);
        let mut of_card = self.items.iter().enumerate().filter(|(_, (_, other))| {
            other.message.carried.pan == item.message.carried.pan && other.place != Place::Dead
        });
        let mut at = self.items.len();
        let first = of_card.clone().next();
        if first.is_some_and(|(_, (_, first))| first.place == Place::InFlight) {
            of_card.next();
        }
        if let Some((before, _)) = of_card.find(|(_, (other, _))| *other > id) {
            at = before;
        }
        self.items.insert(at, (id, item));
    }

    /// Those that may go now: of each card the first, unless it is held, on its way, or too early.
    fn may_go(&self) -> Vec<(u64, ItemId)> {
        let mut due = Vec::new();
        for card in 0..CARDS {
            let pan = super::card(card);
            let first = self
                .items
                .iter()
                .find(|(_, item)| item.message.carried.pan == pan && item.place != Place::Dead);
            let goes = |item: &Item| {
                item.place == Place::Waiting && item.after.is_none() && item.not_before_ns <= self.now_ns
            };
            due.extend(first.filter(|(_, item)| goes(item)).map(|(id, item)| (item.not_before_ns, *id)));
        }
        due.sort_unstable();
        due
    }

    fn reversal_of(&self, request: OwnKey) -> Option<ItemId> {
        let reverses = |item: &Item| match item.message.tells {
            Tells::Reversal { original: Some(original), .. } => item.unanswered && original.key == request,
            _ => false,
        };
        self.items.iter().find(|(_, item)| reverses(item)).map(|(id, _)| *id)
    }

    fn exposure(&self, of: &Carried) -> Exposure {
        let billed = |of: &Carried| of.billing.unwrap_or(of.amount);
        let of_card = self.items.iter().filter(|(id, item)| {
            let carried = &item.message.carried;
            id.advice && carried.pan == of.pan && billed(carried).currency == billed(of).currency
        });
        of_card.fold(Exposure::default(), |sum, (_, item)| Exposure {
            minor: sum.minor + billed(&item.message.carried).minor,
            count: sum.count + 1,
        })
    }

    fn step(&mut self, trunk: &mut Trunk, step: Step) -> Result<(), TestCaseError> {
        if let Some(event) = self.event(step) {
            self.happens(&event);
            trunk.apply(Sequence(self.record), self.time(), &event);
            return Ok(());
        }
        match step {
            Step::Send => {
                let next = trunk.queue().next(self.now_ns);
                prop_assert_eq!(next, self.may_go().first().map(|(_, id)| *id));
                if let Some(id) = next {
                    trunk.queue_mut().sent(id);
                    let item = self.at(id).expect("an item");
                    (item.place, item.attempts) = (Place::InFlight, item.attempts + 1);
                    item.is_answered = false;
                }
            }
            Step::Again { which, later, refused } => {
                let (id, later) = (self.item(which), self.now_ns + later);
                trunk.queue_mut().again(id, later, refused);
                if let Some(item) = self.at(id) {
                    item.not_before_ns = later;
                    item.refusals += u32::from(refused);
                    if item.place == Place::InFlight {
                        item.place = Place::Waiting;
                    }
                }
            }
            Step::Later(ns) => self.now_ns += ns,
            _ => {}
        }
        Ok(())
    }

    fn agrees(&self, trunk: &Trunk) -> Result<(), TestCaseError> {
        let open: Vec<_> = self.open.iter().map(|(record, forwarded)| (*record, *forwarded)).collect();
        prop_assert_eq!(trunk.open(), open);
        let queue = trunk.queue();
        let mut items = self.items.clone();
        items.sort_unstable_by_key(|(id, _)| *id);
        let kept: Vec<_> = queue.iter().map(|(id, item)| (*id, *item)).collect();
        prop_assert_eq!(&kept, &items);
        let count = |place| items.iter().filter(|(_, item)| item.place == place).count();
        prop_assert_eq!((queue.len(), queue.is_empty()), (items.len(), items.is_empty()));
        prop_assert_eq!((queue.in_flight(), queue.dead()), (count(Place::InFlight), count(Place::Dead)));
        prop_assert_eq!(queue.next(self.now_ns), self.may_go().first().map(|(_, id)| *id));
        prop_assert_eq!(trunk.is_full(), items.len() >= BOUNDS.stored_max);
        prop_assert_eq!(trunk.counts(), &self.counts);
        for carried in items.iter().map(|(_, item)| &item.message.carried) {
            prop_assert_eq!(trunk.exposure(carried), self.exposure(carried));
        }
        for (exchange, forwarded) in &self.open {
            prop_assert_eq!(trunk.exposure(&forwarded.carried), self.exposure(&forwarded.carried));
            let reverses = items.iter().any(|(_, item)| is_whole(item) && item.after == Some(*exchange));
            prop_assert_eq!(queue.reverses(*exchange), reverses);
        }
        let known = trunk
            .originals()
            .iter()
            .map(|known| (known.exchange, known.own, known.standing, known.advised, known.purged));
        let known: Vec<_> = known.collect();
        let expected = |(record, _, own, standing): &(Sequence, u64, OwnKey, Standing)| {
            (*record, *own, *standing, self.advised.contains(record), self.purged.contains(record))
        };
        let expected: Vec<_> = self.forwarded.iter().map(expected).collect();
        prop_assert_eq!(known, expected);
        for (_, _, own, _) in &self.forwarded {
            prop_assert_eq!(trunk.reversal_of(*own), self.reversal_of(*own));
            prop_assert!(trunk.standing_of(*own).is_some());
            // By DE 11 alone it is the newest that has it.
            let newest =
                self.forwarded.iter().rev().map(|(_, _, own, _)| *own).find(|new| new.stan == own.stan);
            prop_assert_eq!(trunk.named_lately(own.stan), newest);
        }
        self.keeps_the_rules()
    }

    /// What must hold however it comes about.
    fn keeps_the_rules(&self) -> Result<(), TestCaseError> {
        for card in 0..CARDS {
            let of_card = self.items.iter().filter(|(_, item)| item.message.carried.pan == super::card(card));
            let going = of_card.filter(|(_, item)| item.place == Place::InFlight).count();
            prop_assert!(going <= 1, "two of one card on their way");
        }
        // Of our own reversals each names another request.
        let mut reversed: Vec<OwnKey> = Vec::new();
        for (_, item) in self.items.iter().filter(|(_, item)| item.unanswered) {
            if let Tells::Reversal { original: Some(original), .. } = item.message.tells {
                prop_assert!(!reversed.contains(&original.key), "{:?} is reversed twice", original.key);
                reversed.push(original.key);
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn r29_r32_what_a_party_must_be_told_is_what_lists_hold(steps in proptest::collection::vec(step(), 1..120)) {
        let (mut trunk, mut model) = (Trunk::new(BOUNDS), Model::default());
        for step in steps {
            model.step(&mut trunk, step)?;
            model.agrees(&trunk)?;
        }
    }

    /// However often a request is reversed by its peer while it waits, and however it ends, the party is told of one
    /// reversal of ours at most, and of none when the peer's is stored (R29).
    #[test]
    fn r29_a_request_is_reversed_by_us_once_or_not_at_all(
        by_peer in 0..3_usize,
        end in 0..6_u8,
        held in any::<bool>(),
    ) {
        let (mut trunk, mut model) = (Trunk::new(BOUNDS), Model::default());
        let forward = Step::Forward { card: 1, minor: 5, billed: false, again: None };
        let (conclude, hold) = (Step::Conclude { which: 0, end }, Step::Settle { which: 0, settlement: 4 });
        let store = Step::Store { card: 1, about: Some(0), is_advice: false, names_it: true };
        model.step(&mut trunk, forward)?;
        for _ in 0..by_peer {
            model.step(&mut trunk, store)?;
        }
        if held {
            model.step(&mut trunk, hold)?;
        }
        model.step(&mut trunk, conclude)?;
        // A second end of the same request is no end.
        model.step(&mut trunk, conclude)?;
        model.agrees(&trunk)?;
        let is_reversal = |item: &Item| matches!(item.message.tells, Tells::Reversal { .. });
        let reversals = trunk.queue().iter().filter(|(_, item)| is_reversal(item)).count();
        let ours = usize::from(by_peer == 0 && matches!(end, 1 | 3 | 5));
        prop_assert_eq!(reversals, by_peer + ours);
    }
}
