//! How much room every slot needs for what a journal or a snapshot holds, counted beforehand.
//!
//! A start divides the room of its configuration evenly, since wallets are spread by hash. What a journal holds need
//! not be even: a slot is a few wallets, and one of them may have most of the traffic.

use crate::domain::card::CardIdentity;
use crate::domain::event::Advised;
use crate::domain::event::Effect;
use crate::domain::event::Event;
use crate::domain::event::LimitSet;
use crate::domain::event::Recalled;
use crate::domain::event::Sequence;
use crate::domain::party::SLOTS;
use crate::domain::party::Slot;
use crate::domain::product::ProductNumber;
use crate::domain::request::MessageClass;

use super::shard::Capacity;

/// The most that each slot may come to hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Needs {
    slots: Box<[Capacity]>,
    /// By slot: uses that the limits of a product may have counted, each by counters of its own.
    uses: Box<[usize]>,
    /// Most limits that a product has; and by product those that were set, a bit each.
    rules: usize,
    set: Box<[u32]>,
}

impl Default for Needs {
    fn default() -> Self {
        Self {
            slots: vec![Capacity::default(); usize::from(SLOTS)].into_boxed_slice(),
            uses: vec![0; usize::from(SLOTS)].into_boxed_slice(),
            rules: 0,
            set: vec![0; usize::from(ProductNumber::MAX) + 1].into_boxed_slice(),
        }
    }
}

impl Needs {
    /// Of one slot.
    #[must_use]
    pub fn of(&self, slot: Slot) -> Capacity {
        let at = usize::from(slot.number());
        let mut needs = self.slots[at];
        // A card and a wallet have a counter for each limit of a product at most, once they were used.
        needs.limits += self.uses[at].min(needs.cards + needs.wallets) * self.rules;
        needs
    }

    /// A product has so many limits.
    pub(super) fn expect_rules(&mut self, most: usize) {
        self.rules = self.rules.max(most);
    }

    /// Cards of all slots.
    #[must_use]
    pub fn cards(&self) -> usize {
        self.slots.iter().map(|slot| slot.cards).sum()
    }

    pub(super) fn of_mut(&mut self, slot: Slot) -> &mut Capacity {
        &mut self.slots[usize::from(slot.number())]
    }

    /// Counts what applying an event may add.
    pub fn count(&mut self, event: &Event) {
        let Some(slot) = event.slot() else { return };
        if let Event::LimitSet(LimitSet { subject, number, .. }) = event
            && let Some((product, _)) = subject.product()
        {
            let set = &mut self.set[usize::from(product.get())];
            *set |= 1 << number.get();
            let most = set.count_ones() as usize;
            return self.expect_rules(most);
        }
        let ruled = self.rules > 0;
        let needs = self.of_mut(slot);
        let adds = match event {
            Event::CardOpened(_) => {
                needs.cards += 1;
                return;
            }
            Event::AccountFunded(_) => {
                // It is a wallet's first or a further one; which, only the books know.
                needs.wallets += 1;
                needs.further_accounts += 1;
                return;
            }
            Event::LimitSet(_) | Event::ControlSet(_) => {
                needs.limits += 1;
                return;
            }
            Event::Decided(decided) => {
                needs.further_accounts += usize::from(decided.shares.opens().is_some());
                decided.effect != Effect::None
            }
            Event::Advised(Advised { shares, .. }) if shares.opens().is_some() => {
                needs.further_accounts += 1;
                true
            }
            // A completion posts beside what it completes.
            Event::Advised(Advised { effect: Effect::Post(_), .. }) => true,
            // What finds itself cleared leaves that, and nothing else.
            Event::Advised(Advised {
                effect: Effect::None, class: MessageClass::Financial, sets, ..
            }) => *sets != Sequence(0),
            Event::Advised(advised) => advised.sets == Sequence(0) && advised.effect != Effect::None,
            Event::Recalled(_) => true,
            Event::Reversed(reversed) => {
                // A tombstone, or what a partial one is remembered by; on a card of ours only.
                let leaves = reversed.undoes == Sequence(0) || reversed.keeps.is_some();
                leaves && matches!(reversed.card, CardIdentity::Known(_))
            }
            Event::Cleared(cleared) => !cleared.outcome.is_suspended(),
            _ => false,
        };
        needs.authorizations += usize::from(adds);
        // Nothing is counted before there is a limit. An advice may be counted for the first time though it opens
        // nothing.
        let recalled = matches!(event, Event::Recalled(Recalled { counted: None, .. }));
        let comes_back = matches!(event, Event::Recalled(_)) && !recalled;
        let counted = comes_back
            || (needs.limits > 0 || ruled)
                && (adds && !recalled
                    || matches!(event, Event::Advised(advised) if advised.effect != Effect::None));
        needs.counted += usize::from(counted);
        self.uses[usize::from(slot.number())] += usize::from(counted && ruled);
    }
}
