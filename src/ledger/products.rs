//! Limits and controls of products: rules that each card of a product, or each wallet with its cards of that product,
//! is held to by itself.
//!
//! Every slot has the rules of all products, so that a decision stays in its shard. A counter is made when a rule
//! counts the first use of a card or a wallet. Once the rule is another than the one that it was made for, the counter
//! is stale: it counts as nothing, is no part of the state, and gives its place to whoever needs it.

use std::collections::BTreeMap;

use crate::domain::control::Control;
use crate::domain::event::Sequence;
use crate::domain::limit::Limit;
use crate::domain::limit::Number;
use crate::domain::limit::Subject;
use crate::domain::limit::Window;
use crate::domain::party::Slot;
use crate::domain::product::CardProductSet;
use crate::domain::product::ProductNumber;
use crate::domain::time::Timestamp;
use crate::domain::usage::MerchantPrint;
use crate::domain::usage::Usage;
use crate::domain::zone::ZoneName;

use super::apply::ApplyError;
use super::limits::Counter;
use super::limits::Full;
use super::limits::LimitView;
use super::limits::Limits;
use super::limits::Owners;
use super::shard::Shard;
use super::sliding::Sliding;

/// A limit that each card or each wallet of a product has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Rule {
    pub(super) number: Number,
    /// The record that set it: its counters were made later.
    pub(super) since: Sequence,
    pub(super) limit: Limit,
    /// Each wallet has one for all its cards of the product, not each card.
    pub(super) per_wallet: bool,
}

impl Rule {
    /// Whose counter a use is counted by.
    const fn subject(&self, owners: Owners) -> Subject {
        if self.per_wallet { Subject::Wallet(owners.wallet) } else { Subject::Card(owners.card) }
    }
}

/// The rules of all products, by slot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Rules {
    pub(super) limits: BTreeMap<(Slot, ProductNumber), Vec<Rule>>,
    pub(super) controls: BTreeMap<(Slot, ProductNumber), Vec<(Number, Control)>>,
    /// The products that have rules in any slot, a bit each.
    ruled: u128,
}

impl Rules {
    fn limits_of(&self, slot: Slot, product: ProductNumber) -> &[Rule] {
        self.limits.get(&(slot, product)).map_or(&[], Vec::as_slice)
    }

    fn controls_of(&self, slot: Slot, product: ProductNumber) -> &[(Number, Control)] {
        self.controls.get(&(slot, product)).map_or(&[], Vec::as_slice)
    }

    /// Those that count what these use.
    pub(super) fn of(&self, owners: Owners) -> &[Rule] {
        owners.product.map_or(&[], |product| self.limits_of(Slot::of_wallet(owners.wallet), product))
    }

    fn controls(&self, owners: Owners) -> &[(Number, Control)] {
        owners.product.map_or(&[], |product| self.controls_of(Slot::of_wallet(owners.wallet), product))
    }

    /// Whether a product has rules.
    pub(super) const fn has(&self, product: ProductNumber) -> bool {
        self.ruled & product.bit() != 0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ruled == 0
    }

    /// Puts a limit into its place, or takes it away.
    pub(super) fn put_limit(
        &mut self,
        slot: Slot,
        product: ProductNumber,
        number: Number,
        rule: Option<Rule>,
    ) {
        let list = self.limits.entry((slot, product)).or_default();
        list.retain(|known| known.number != number);
        list.extend(rule);
        list.sort_by_key(|rule| rule.number);
        if list.is_empty() {
            self.limits.remove(&(slot, product));
        }
        self.mark(product);
    }

    /// Puts a control into its place, or takes it away.
    pub(super) fn put_control(
        &mut self,
        slot: Slot,
        product: ProductNumber,
        number: Number,
        control: Option<Control>,
    ) {
        let list = self.controls.entry((slot, product)).or_default();
        list.retain(|(known, _)| *known != number);
        list.extend(control.map(|control| (number, control)));
        list.sort_by_key(|(number, _)| *number);
        if list.is_empty() {
            self.controls.remove(&(slot, product));
        }
        self.mark(product);
    }

    fn mark(&mut self, product: ProductNumber) {
        let has = self.limits.keys().chain(self.controls.keys()).any(|(_, known)| *known == product);
        self.ruled = self.ruled & !product.bit() | if has { product.bit() } else { 0 };
    }

    /// Most limits that any product has in a slot.
    pub(super) fn most(&self) -> usize {
        self.limits.values().map(Vec::len).max().unwrap_or(0)
    }
}

/// A limit of a product as it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RuleView {
    /// Its number.
    pub number: Number,
    /// The limit.
    pub limit: Limit,
    /// Each wallet has a counter for all its cards of the product, not each card.
    pub per_wallet: bool,
    /// The time zone that it goes by, if it names one.
    pub zone: Option<ZoneName>,
}

impl Limits {
    /// Whether a product has rules.
    pub(super) const fn has_rules(&self, product: ProductNumber) -> bool {
        self.rules.has(product)
    }

    /// Whether what a counter has counted still counts: its rule is the one that it was made for.
    pub(super) fn is_live(&self, counter: &Counter) -> bool {
        let Some(product) = counter.product else { return true };
        let Some(slot) = counter.subject.slot() else { return false };
        let per_wallet = matches!(counter.subject, Subject::Wallet(_));
        self.rules.limits_of(slot, product).iter().any(|rule| {
            Some(rule.number) == counter.number
                && rule.since <= counter.since
                && rule.per_wallet == per_wallet
        })
    }

    /// The counter of a product's limit of this number; it may be stale.
    pub(super) fn product_counter(
        &self,
        subject: Subject,
        product: ProductNumber,
        number: Number,
    ) -> Option<u32> {
        self.find_counter(subject, |counter| {
            counter.product == Some(product) && counter.number == Some(number)
        })
    }

    /// The counter by which a rule counts what these use, if it has counted any of it.
    fn live_counter(&self, owners: Owners, rule: &Rule) -> Option<&Counter> {
        let at = self.product_counter(rule.subject(owners), owners.product?, rule.number)?;
        Some(self.counters.at(at)).filter(|counter| counter.since >= rule.since)
    }

    /// What counts against a rule at a time.
    fn used_of_rule(&self, owners: Owners, rule: &Rule, seconds: u64) -> i64 {
        self.live_counter(owners, rule).map_or(0, |counter| self.used(counter, seconds))
    }

    /// The first control of the product that a use does not pass.
    pub(super) fn refusing_control(&self, owners: Owners, usage: &Usage) -> Option<&Control> {
        let controls = self.rules.controls(owners).iter().map(|(_, control)| control);
        controls.into_iter().find(|control| !control.passes(usage, MerchantPrint(0)))
    }

    /// The first limit of the product that taking so much would pass. `takes` says how much of it each is about.
    pub(super) fn refusing_rule(
        &self,
        owners: Owners,
        takes: impl Fn(&Limit) -> i64,
        now: Timestamp,
    ) -> Option<&Limit> {
        let passes = |rule: &&Rule| {
            let takes = takes(&rule.limit);
            let used = || self.used_of_rule(owners, rule, now.seconds());
            takes == 0 || used().saturating_add(takes) <= rule.limit.max
        };
        self.rules.of(owners).iter().find(|rule| !passes(rule)).map(|rule| &rule.limit)
    }

    /// How many counters would have to be made before everything that these use can be counted.
    pub(super) fn missing_counters(&self, owners: Owners) -> usize {
        let Some(product) = owners.product else { return 0 };
        let rules = self.rules.of(owners).iter();
        rules
            .filter(|rule| self.product_counter(rule.subject(owners), product, rule.number).is_none())
            .count()
    }

    /// Makes the counters of the rules that count a use, and says which rules do: bits by number.
    ///
    /// # Errors
    /// There is no room for all of them. Those that were made count nothing.
    pub(super) fn open_counters(
        &mut self,
        owners: Owners,
        record: Sequence,
        usage: &Usage,
        time: Timestamp,
    ) -> Result<u16, Full> {
        let Some(product) = owners.product else { return Ok(0) };
        let mut by = 0;
        for n in 0..self.rules.of(owners).len() {
            let Some(rule) = self.rules.of(owners).get(n).copied() else { break };
            if rule.limit.window == Window::Transaction || !rule.limit.filter.fits(usage) {
                continue;
            }
            by |= rule.number.bit();
            let subject = rule.subject(owners);
            if let Some(at) = self.product_counter(subject, product, rule.number) {
                if self.counters.at(at).since >= rule.since {
                    continue;
                }
                self.remove_counter(at);
            }
            let index = self.zones.index(subject, rule.limit.window, time.seconds());
            let counter = Counter {
                subject,
                since: record,
                limit: rule.limit,
                used: 0,
                window: index,
                number: Some(rule.number),
                product: Some(product),
            };
            self.insert_counter(counter, Sliding::new(index))?;
        }
        Ok(by)
    }

    /// Takes a counter out of the table.
    pub(super) fn remove_counter(&mut self, at: u32) {
        let counter = *self.counters.at(at);
        if let Window::Sliding(_) = counter.limit.window {
            self.sliding.remove(counter.window);
        }
        self.subjects.remove(self.hash_of(counter.subject), at);
        self.counters.at_mut(at).number = None;
        self.counters.remove(at);
    }

    /// Sets a product's limit in a slot, or removes it. One that counts the same as the one that it replaces goes on
    /// from what was counted.
    pub(super) fn set_rule(
        &mut self,
        (by, slot): (Sequence, Slot),
        (product, per_wallet): (ProductNumber, bool),
        number: Number,
        limit: Option<Limit>,
    ) {
        let known = self.rules.limits_of(slot, product).iter().find(|rule| rule.number == number).copied();
        let rule = limit.map(|limit| {
            let same =
                known.filter(|known| known.per_wallet == per_wallet && limit.counts_like(&known.limit));
            Rule { number, since: same.map_or(by, |same| same.since), limit, per_wallet }
        });
        self.rules.put_limit(slot, product, number, rule);
    }

    /// The limits of a product in a slot, in the order of their numbers.
    #[must_use]
    pub fn rules_of(&self, slot: Slot, product: ProductNumber) -> Vec<RuleView> {
        let view = |rule: &Rule| RuleView {
            number: rule.number,
            limit: rule.limit,
            per_wallet: rule.per_wallet,
            zone: self.zones.name(slot, rule.limit.window),
        };
        self.rules.limits_of(slot, product).iter().map(view).collect()
    }

    /// The controls of a product in a slot, in the order of their numbers.
    #[must_use]
    pub fn product_controls_of(&self, slot: Slot, product: ProductNumber) -> &[(Number, Control)] {
        self.rules.controls_of(slot, product)
    }

    /// The products that have rules in a slot.
    #[must_use]
    pub fn ruled_products(&self, slot: Slot) -> Vec<ProductNumber> {
        let numbers = (1..=ProductNumber::MAX).filter_map(ProductNumber::new);
        let has = |product: &ProductNumber| {
            !self.rules.limits_of(slot, *product).is_empty()
                || !self.rules.controls_of(slot, *product).is_empty()
        };
        numbers.filter(has).collect()
    }

    /// The limits of the product that these have counters of their own for, with what counts against them.
    pub(super) fn product_limits_of(&self, owners: Owners, now: Timestamp) -> Vec<LimitView> {
        let view = |rule: &Rule| {
            let (subject, window) = (rule.subject(owners), rule.limit.window);
            let index = self.zones.index(subject, window, now.seconds());
            LimitView {
                number: rule.number,
                limit: rule.limit,
                used: self.used_of_rule(owners, rule, now.seconds()),
                ends_s: self.zones.begins(subject, window, index.saturating_add(1)),
                zone: self.zone_name(subject, window),
            }
        };
        self.rules.of(owners).iter().map(view).collect()
    }
}

impl Shard {
    /// Sets or removes a limit of a product in one slot.
    pub(super) fn set_product_limit(
        &mut self,
        by: Sequence,
        event: &crate::domain::event::LimitSet,
        (product, per_wallet): (ProductNumber, bool),
    ) -> Result<(), ApplyError> {
        if event.limit.is_some_and(|limit| !self.limits.zones.has(event.slot, limit.window)) {
            return Err(ApplyError::NoSuchZone);
        }
        self.limits.set_rule((by, event.slot), (product, per_wallet), event.number, event.limit);
        Ok(())
    }

    /// Puts a card into a product, or takes it out of one. What the limits of the one before have counted of the card
    /// stays behind.
    pub(super) fn set_card_product(&mut self, event: &CardProductSet) -> Result<(), ApplyError> {
        let position = self.card_position(event.card).ok_or(ApplyError::NoSuchCard)?;
        if let Some(before) = self.cards.at(position).product() {
            let subject = Subject::Card(event.card);
            for number in (1..=Number::MAX).filter_map(Number::new) {
                if let Some(at) = self.limits.product_counter(subject, before, number) {
                    self.limits.remove_counter(at);
                }
            }
        }
        self.cards.at_mut(position).set_product(event.product);
        Ok(())
    }

    /// Gives the places of stale counters to whoever needs them. They are no part of the state.
    pub fn drop_stale(&mut self) {
        let limits = &self.limits;
        let all = limits.counters.iter().filter(|(_, counter)| counter.number.is_some());
        let stale: Vec<(u32, Subject)> = all
            .filter(|(_, counter)| !limits.is_live(counter))
            .map(|(at, counter)| (at, counter.subject))
            .collect();
        for (at, subject) in stale {
            // A copy that is being made is of a time when it may have counted.
            if let (true, Some(wallet)) = (self.copying.is_some(), self.wallet_of_subject(subject)) {
                self.preserve(wallet);
            }
            self.limits.remove_counter(at);
        }
    }

    /// Of `most` cards from a place on, those that are not of the product that their numbers say, with that product;
    /// and where to go on, if there are more.
    #[must_use]
    pub fn misplaced(
        &self,
        from: u32,
        most: u32,
        product_of: &dyn Fn(crate::domain::card::Pan) -> Option<ProductNumber>,
    ) -> (Vec<CardProductSet>, Option<u32>) {
        let (end, all) = (from.saturating_add(most), self.cards.used());
        let found = (from..end.min(all)).filter_map(|at| {
            let card = self.cards.at(at);
            let (value, digits) = card.number();
            let pan = crate::domain::card::Pan::from_value(value, digits).ok()?;
            let (slot, product) = (Slot::of_card(card.reference), product_of(pan));
            (product != card.product()).then_some(CardProductSet { slot, card: card.reference, product })
        });
        (found.collect(), (end < all).then_some(end))
    }

    /// The slots that it holds.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + use<> {
        let first = self.first_slot;
        (first..first + self.slots.len() as u16).filter_map(Slot::new)
    }
}
