//! Products: which cards are of them, and their limits, controls and fees, which every slot has.
//!
//! A rule is set slot by slot, the first one first, and acknowledged once all have it on disk. Where a crash comes
//! between, the next start gives the others what the first slot has.

use crate::domain::card::CardRef;
use crate::domain::card::Pan;
use crate::domain::control::Control;
use crate::domain::control::ControlSet;
use crate::domain::event::Event;
use crate::domain::event::LimitSet;
use crate::domain::event::Sequence;
use crate::domain::fee::Fee;
use crate::domain::fee::FeeSet;
use crate::domain::limit::Limit;
use crate::domain::limit::Number;
use crate::domain::limit::Subject;
use crate::domain::party::Slot;
use crate::domain::product::ProductNumber;
use crate::domain::time::Now;
use crate::domain::time::Timestamp;
use crate::domain::zone::Zone;
use crate::domain::zone::ZoneTable;
use crate::ledger::limits::LimitView;
use crate::ledger::products::RuleView;
use crate::ledger::shard::Shard;

use super::core::Pipeline;
use super::limits::in_slot;
use super::seeding::NotSet;

/// The slot that tells what all should have.
const FIRST: Slot = Slot::wrapping(0);
/// So many cards are looked at under one hold of a lock.
const CARDS_AT_ONCE: u32 = 4_096;

/// How far a pass over all cards has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Assigning {
    shard: usize,
    from: u32,
    /// Cards that are of another product than before.
    pub moved: u64,
}

/// What all slots should have of a product.
struct Wanted {
    product: ProductNumber,
    limits: Vec<(RuleView, Option<ZoneTable>)>,
    controls: Vec<(Number, Control)>,
    fees: Vec<(Number, Fee)>,
}

impl Pipeline {
    /// Puts every card into the product that its number says. Returns whether all are done; if not, the journal has no
    /// room now.
    #[must_use]
    pub fn assign_products(
        &self,
        product_of: &dyn Fn(Pan) -> Option<ProductNumber>,
        pass: &mut Assigning,
        now: Now,
    ) -> bool {
        while let Some(shard) = self.shards.get(pass.shard) {
            let mut shard = shard.lock();
            let (moves, next) = shard.misplaced(pass.from, CARDS_AT_ONCE, product_of);
            for event in moves {
                if self.commit(&mut shard, &Event::CardProductSet(event), now).is_none() {
                    return false;
                }
                pass.moved += 1;
            }
            (pass.shard, pass.from) = next.map_or((pass.shard + 1, 0), |next| (pass.shard, next));
        }
        self.wake_writer();
        true
    }

    /// Sets a limit of each card or of each wallet of a product, or removes it. With a time zone, its window goes by
    /// that one.
    ///
    /// # Errors
    /// Why nothing was done, or, where the journal fails on the way, not all.
    pub fn set_product_limit(
        &self,
        (product, per_wallet): (ProductNumber, bool),
        number: Number,
        limit: Option<Limit>,
        zone: Option<&ZoneTable>,
        now: Now,
    ) -> Result<Sequence, NotSet> {
        let known = self.product_limits(product);
        if limit.is_none() && !known.iter().any(|view| view.number == number) {
            return Err(NotSet::NotThere("limit"));
        }
        self.in_every_slot(now, |shard, slot, events| {
            events.extend(limit_events(shard, slot, (product, per_wallet), number, limit, zone)?);
            Ok(())
        })
    }

    /// Sets a control of each card of a product, or removes it.
    ///
    /// # Errors
    /// Why nothing was done, or, where the journal fails on the way, not all.
    pub fn set_product_control(
        &self,
        product: ProductNumber,
        number: Number,
        control: Option<Control>,
        now: Now,
    ) -> Result<Sequence, NotSet> {
        let known = self.product_controls(product);
        if control.is_none() && !known.iter().any(|(known, _)| *known == number) {
            return Err(NotSet::NotThere("control"));
        }
        self.in_every_slot(now, |_, slot, events| {
            events.push(control_event(slot, product, number, control));
            Ok(())
        })
    }

    /// Sets a fee of a product's cards, or removes it.
    ///
    /// # Errors
    /// Why nothing was done, or, where the journal fails on the way, not all.
    pub fn set_product_fee(
        &self,
        product: ProductNumber,
        number: Number,
        fee: Option<Fee>,
        now: Now,
    ) -> Result<Sequence, NotSet> {
        if fee.is_none() && !self.product_fees(product).iter().any(|(known, _)| *known == number) {
            return Err(NotSet::NotThere("fee"));
        }
        self.in_every_slot(now, |shard, slot, events| {
            // All slots have the same ones, so that it is the first that refuses, before anything was set.
            if fee.is_some_and(|fee| !shard.has_room_for_tariff(slot, &fee.tariff)) {
                return Err(NotSet::Spent("tariffs"));
            }
            events.push(Event::FeeSet(FeeSet { slot, product, number, fee }));
            Ok(())
        })
    }

    /// Journals and applies what each slot is to have, one after the other.
    fn in_every_slot(
        &self,
        now: Now,
        events_of: impl Fn(&Shard, Slot, &mut Vec<Event>) -> Result<(), NotSet>,
    ) -> Result<Sequence, NotSet> {
        if !self.admits(now) {
            return Err(NotSet::Unavailable);
        }
        // Two at once could come to one slot in one order and to another in the other.
        let _one_at_a_time = self.opening.lock();
        let mut last = Sequence(0);
        for shard in &self.shards {
            let mut shard = shard.lock();
            for slot in shard.slots() {
                let mut events = Vec::new();
                events_of(&shard, slot, &mut events)?;
                for event in &events {
                    (last, _) = self.commit(&mut shard, event, now).ok_or(NotSet::Unavailable)?;
                }
            }
            shard.drop_stale();
        }
        self.wake_writer();
        Ok(last)
    }

    /// Gives every slot the rules that the first one has. Returns how many were set; `None` when the journal has no
    /// room now: then the rest is still to be done.
    pub fn level_products(&self, now: Now) -> Option<usize> {
        let _one_at_a_time = self.opening.lock();
        let wanted = {
            let first = self.lock(FIRST);
            let all = (1..=ProductNumber::MAX).filter_map(ProductNumber::new);
            all.map(|product| wanted(&first, product)).collect::<Vec<_>>()
        };
        let mut set = 0;
        for shard in &self.shards {
            let mut shard = shard.lock();
            for slot in shard.slots() {
                let mut known = shard.limits().ruled_products(slot);
                known.extend(shard.charging_products(slot));
                known.extend(wanted.iter().filter(|of| !of.is_empty()).map(|of| of.product));
                known.sort_unstable();
                known.dedup();
                let of_slot = wanted.iter().filter(|of| known.contains(&of.product));
                let events: Vec<Event> = of_slot.flat_map(|of| of.differs(&shard, slot)).collect();
                for event in &events {
                    self.commit(&mut shard, event, now)?;
                    set += 1;
                }
            }
            shard.drop_stale();
        }
        self.wake_writer();
        Some(set)
    }

    /// The limits of a product in the order of their numbers.
    #[must_use]
    pub fn product_limits(&self, product: ProductNumber) -> Vec<RuleView> {
        self.lock(FIRST).limits().rules_of(FIRST, product)
    }

    /// The controls of a product in the order of their numbers.
    #[must_use]
    pub fn product_controls(&self, product: ProductNumber) -> Vec<(Number, Control)> {
        self.lock(FIRST).limits().product_controls_of(FIRST, product).to_vec()
    }

    /// The fees of a product in the order of their numbers.
    #[must_use]
    pub fn product_fees(&self, product: ProductNumber) -> Vec<(Number, Fee)> {
        self.lock(FIRST).product_fees_of(FIRST, product).collect()
    }

    /// The limits of its product that count a card, with what counts against them; `None` when there is no such card.
    #[must_use]
    pub fn product_limits_of(&self, card: CardRef, now: Timestamp) -> Option<Vec<LimitView>> {
        self.lock(Slot::of_card(card)).product_limits_of(card, now)
    }
}

fn wanted(first: &Shard, product: ProductNumber) -> Wanted {
    let limits = first.limits();
    let table =
        |view: &RuleView| limits.zones_of(FIRST).iter().find(|zone| Some(zone.name()) == view.zone).cloned();
    let views = limits.rules_of(FIRST, product);
    Wanted {
        product,
        limits: views.into_iter().map(|view| (view, table(&view))).collect(),
        controls: limits.product_controls_of(FIRST, product).to_vec(),
        fees: first.product_fees_of(FIRST, product).collect(),
    }
}

impl Wanted {
    fn is_empty(&self) -> bool {
        self.limits.is_empty() && self.controls.is_empty() && self.fees.is_empty()
    }

    /// What a slot is to be told so that it has the same.
    fn differs(&self, shard: &Shard, slot: Slot) -> Vec<Event> {
        let product = self.product;
        let (limits, controls) =
            (shard.limits().rules_of(slot, product), shard.limits().product_controls_of(slot, product));
        let fees: Vec<(Number, Fee)> = shard.product_fees_of(slot, product).collect();
        let mut events = Vec::new();
        for number in (1..=Number::MAX).filter_map(Number::new) {
            let wanted = self.limits.iter().find(|(view, _)| view.number == number);
            let known = limits.iter().find(|view| view.number == number);
            if wanted.map(|(view, _)| without_zone(view)) != known.map(without_zone) {
                let per_wallet = wanted.is_some_and(|(view, _)| view.per_wallet);
                let (limit, zone) =
                    (wanted.map(|(view, _)| view.limit), wanted.and_then(|(_, zone)| zone.as_ref()));
                let told = limit_events(shard, slot, (product, per_wallet), number, limit, zone);
                events.extend(told.unwrap_or_default());
            }
            let wanted = self.controls.iter().find(|(of, _)| *of == number);
            if wanted != controls.iter().find(|(of, _)| *of == number) {
                events.push(control_event(slot, product, number, wanted.map(|(_, control)| *control)));
            }
            let fee_of =
                |fees: &[(Number, Fee)]| fees.iter().find(|(of, _)| *of == number).map(|(_, fee)| *fee);
            let fee = fee_of(&self.fees);
            if fee != fee_of(&fees) {
                events.push(Event::FeeSet(FeeSet { slot, product, number, fee }));
            }
        }
        events
    }
}

/// A limit with its zone by name alone: slots number zones for themselves.
fn without_zone(view: &RuleView) -> RuleView {
    let mut view = *view;
    if view.zone.is_some() {
        view.limit.window = view.limit.window.in_zone(Zone::default());
    }
    view
}

fn limit_events(
    shard: &Shard,
    slot: Slot,
    (product, per_wallet): (ProductNumber, bool),
    number: Number,
    limit: Option<Limit>,
    zone: Option<&ZoneTable>,
) -> Result<Vec<Event>, NotSet> {
    let (mut limit, mut events) = (limit, Vec::new());
    if let (Some(limit), Some(zone)) = (&mut limit, zone) {
        limit.window = limit.window.in_zone(in_slot(shard, slot, zone, &mut events)?);
    }
    let subject = if per_wallet { Subject::EachWallet(product) } else { Subject::EachCard(product) };
    events.push(Event::LimitSet(LimitSet { slot, subject, number, limit }));
    Ok(events)
}

fn control_event(slot: Slot, product: ProductNumber, number: Number, control: Option<Control>) -> Event {
    Event::ControlSet(ControlSet { slot, subject: Subject::EachCard(product), number, control })
}
