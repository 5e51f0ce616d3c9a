//! One shard: a range of slots with everything that their wallets own.
//!
//! A shard is a plain value: no lock, no clock, no I/O. `authorizer` reads it, [`Shard::apply`] changes it.

use crate::domain::card::CardRef;
use crate::domain::card::CardStatus;
use crate::domain::card::MaskedPan;
use crate::domain::card::Pan;
use crate::domain::card::Verification;
use crate::domain::event::Bounds;
use crate::domain::event::Sequence;
use crate::domain::money::Currency;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::domain::product::ProductNumber;
use crate::domain::time::Expiry;
use crate::domain::time::Timestamp;

use super::answers::Answers;
use super::authorization::Authorization;
use super::departed::Departures;
use super::fees::Fees;
use super::image::Copying;
use super::index::Index;
use super::interest::Earning;
use super::kept::Kept;
use super::limits::Limits;
use super::quotes::Quotes;
use super::share::Sharing;
use super::slab::NONE;
use super::slab::Slab;
use super::suspense::Filed;
use super::totals::Totals;

/// The least that a shard has spare of anything.
const SPARE_MIN: usize = 64;

/// How many of each thing one shard has room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Capacity {
    /// Wallets.
    pub wallets: usize,
    /// Accounts beyond a wallet's first.
    pub further_accounts: usize,
    /// Cards.
    pub cards: usize,
    /// Authorizations and tombstones, open and closed.
    pub authorizations: usize,
    /// Limits, and as many controls.
    pub limits: usize,
    /// Authorizations that limits have counted.
    pub counted: usize,
}

impl Capacity {
    /// What one of `shards` shards needs for these totals. Wallets are spread by hash, and each takes what it owns
    /// along: what a shard has of a thing strays from its even share by the square root of that share, and further the
    /// more of it each wallet has. Six times as far is left spare: no shard of a thousand is full before all are, but
    /// once in a million.
    #[must_use]
    pub const fn share(totals: Self, shards: usize) -> Self {
        const fn part(total: usize, wallets: usize, shards: usize) -> usize {
            let even = total.div_ceil(shards);
            if shards == 1 {
                return even;
            }
            let of_wallet = match even.saturating_mul(total).checked_div(wallets) {
                Some(of_wallet) => of_wallet,
                None => even,
            };
            let six_deviations = 6 * even.saturating_add(of_wallet).isqrt();
            // Where few wallets have all, no share is safe; an eighth is what is spent on it.
            let most = even / 8 + SPARE_MIN;
            let spare = if six_deviations < most { six_deviations } else { most };
            even + if spare < SPARE_MIN { SPARE_MIN } else { spare }
        }
        let Self { wallets, further_accounts, cards, authorizations, limits, counted } = totals;
        Self {
            wallets: part(wallets, wallets, shards),
            further_accounts: part(further_accounts, wallets, shards),
            cards: part(cards, wallets, shards),
            authorizations: part(authorizations, wallets, shards),
            limits: part(limits, wallets, shards),
            counted: part(counted, wallets, shards),
        }
    }
}

/// An account: a balance in one currency, minor units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Account {
    /// What was posted.
    pub posted: i64,
    /// What open authorizations hold.
    pub held: i64,
    /// How far `available` may count below zero.
    pub overdraft: i64,
    /// The position of the wallet's next account.
    pub(super) next: u32,
    /// Its currency.
    pub currency: Currency,
    /// Its number in the wallet, from 0.
    pub number: u16,
}

/// The furthest that a balance goes to either side by what is taken: the other half of 64 bits is for what is given
/// back later, which cannot be refused any more. It would take millions of the largest amounts.
pub const BALANCE_MAX: i64 = i64::MAX / 2;

impl Account {
    /// An account with nothing in it.
    #[must_use]
    pub const fn empty(currency: Currency, number: u16) -> Self {
        Self { posted: 0, held: 0, overdraft: 0, next: NONE, currency, number }
    }

    /// `posted + overdraft - held`. Saturates: amounts near the limits of 64 bits are refused before they get here.
    #[must_use]
    pub const fn available(&self) -> i64 {
        self.posted.saturating_add(self.overdraft).saturating_sub(self.held)
    }
}

/// A wallet with its first account inside, so that the usual decision touches one place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wallet {
    pub(super) id: WalletId,
    pub(super) status: WalletStatus,
    /// It or one of its cards has, or had, limits or controls.
    pub(super) limited: bool,
    /// It has an order in which its accounts are spent.
    pub(super) spends: bool,
    /// One of its accounts earns interest.
    pub(super) earns: bool,
    pub(super) account: Account,
    /// The card that was opened last.
    pub(super) newest_card: u32,
}

impl Wallet {
    /// A wallet that may be used, with its first account and nothing else.
    pub(super) const fn new(id: WalletId, account: Account) -> Self {
        let status = WalletStatus::Active;
        Self { id, status, limited: false, spends: false, earns: false, account, newest_card: NONE }
    }
}

/// A card of ours.
#[derive(Clone, Copy)]
pub struct Card {
    pan: u64,
    /// Its reference.
    pub reference: CardRef,
    pub(super) wallet: u32,
    /// The card of its wallet that was opened before it.
    pub(super) older_card: u32,
    /// Its open authorizations, newest first.
    pub(super) open: u32,
    /// Its closed authorizations and tombstones, oldest first.
    pub(super) closed_oldest: u32,
    pub(super) closed_newest: u32,
    /// How many there are of both.
    pub(super) authorizations: u16,
    /// How many of them are tombstones.
    pub(super) tombstones: u16,
    /// Its month.
    pub expiry: Expiry,
    /// From the track.
    pub service_code: u16,
    pan_digits: u8,
    /// Whether it may be used.
    pub status: CardStatus,
    /// What its product asks for (R28).
    pub verification: Verification,
    /// The number of its product, zero for none; and a bit: it or its wallet has, or had, limits or controls.
    marks: u8,
}

// With 10 M wallets of a card each, every eight bytes of either are 80 MB.
const _: () = assert!(size_of::<Wallet>() == 48 && size_of::<Card>() == 48);

impl std::fmt::Debug for Card {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { reference, expiry, status, .. } = self;
        f.debug_struct("Card")
            .field("pan", &self.masked())
            .field("reference", reference)
            .field("expiry", expiry)
            .field("status", status)
            .finish_non_exhaustive()
    }
}

impl Card {
    pub(super) fn new(event: &crate::domain::event::CardOpened, wallet: u32, older_card: u32) -> Self {
        Self {
            pan: event.pan.value(),
            reference: event.card,
            wallet,
            older_card,
            open: NONE,
            closed_oldest: NONE,
            closed_newest: NONE,
            authorizations: 0,
            tombstones: 0,
            expiry: event.expiry,
            service_code: event.service_code.0,
            pan_digits: event.pan.digits(),
            status: event.status,
            verification: event.verification,
            marks: 0,
        }
    }

    /// Whether limits or controls of its own or of its wallet may have a say about it, or limits have counted it.
    pub(super) const fn limited(&self) -> bool {
        self.marks & Self::LIMITED != 0
    }

    pub(super) const fn set_limited(&mut self) {
        self.marks |= Self::LIMITED;
    }

    /// Its product.
    #[must_use]
    pub const fn product(&self) -> Option<ProductNumber> {
        ProductNumber::new(self.marks & !Self::LIMITED)
    }

    pub(super) const fn set_product(&mut self, product: Option<ProductNumber>) {
        let number = match product {
            Some(product) => product.get(),
            None => 0,
        };
        self.marks = self.marks & Self::LIMITED | number;
    }

    /// What is above the number of its product in its marks.
    const LIMITED: u8 = 1 << 7;

    /// Its number as it is kept: the value and how many digits.
    pub(super) const fn number(&self) -> (u64, u8) {
        (self.pan, self.pan_digits)
    }

    /// Its number, which cannot print: for a network that must be told of the card.
    #[must_use]
    pub fn pan(&self) -> Option<Pan> {
        Pan::from_value(self.pan, self.pan_digits).ok()
    }

    /// First six and last four digits.
    #[must_use]
    pub fn masked(&self) -> MaskedPan {
        self.pan().map_or(MaskedPan::new(0, 0, 0), Pan::masked)
    }

    /// Whether this is the card of a number: the whole number is compared (R34).
    #[must_use]
    pub const fn is(&self, pan: Pan) -> bool {
        self.pan == pan.value() && self.pan_digits == pan.digits()
    }
}

/// What a slot keeps for itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlotState {
    /// Approvals so far: the counter that approval codes are made from (R8).
    pub(super) approvals: u64,
    /// Cards opened so far: the serial part of card references.
    pub(super) cards: u32,
    /// The authorization that was closed first, and the one that was closed last.
    pub(super) closed_oldest: u32,
    pub(super) closed_newest: u32,
    pub(super) closed_len: u32,
}

/// Counts of what was given up early because a bound was reached; each is a metric and an alarm (R6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shortened {
    /// Closed authorizations dropped before `closed_window` was over.
    pub closed: u64,
    /// Answers overwritten before `repeat_window` was over.
    pub answers: u64,
}

/// A range of slots.
#[derive(Debug)]
pub struct Shard {
    pub(super) seed: u64,
    pub(super) first_slot: u16,
    pub(super) bounds: Bounds,
    pub(super) slots: Box<[SlotState]>,
    pub(super) wallets: Slab<Wallet>,
    pub(super) wallet_index: Index,
    pub(super) accounts: Slab<Account>,
    pub(super) cards: Slab<Card>,
    pub(super) card_index: Index,
    pub(super) authorizations: Slab<Authorization>,
    /// How many of them are open.
    pub(super) open_authorizations: u64,
    pub(super) answers: Answers,
    /// Message fingerprints to authorizations, and with [`super::chain::ANSWER_BIT`] to answers.
    pub(super) messages: Index,
    pub(super) limits: Limits,
    pub(super) filed: Filed,
    pub(super) fees: Fees,
    pub(super) sharing: Sharing,
    pub(super) quotes: Quotes,
    pub(super) earning: Earning,
    /// What verbs have left, by slot.
    pub(super) kept: Box<[Kept]>,
    /// How many keys, payments and mandates that is.
    pub(super) kept_counts: [u64; 3],
    pub(super) totals: Vec<Totals>,
    pub(super) shortened: Shortened,
    pub(super) applied: Sequence,
    /// The record that is being applied, or was last, and its time.
    pub(super) applying: (Sequence, Timestamp),
    /// What left memory, for the history.
    pub(super) departures: Departures,
    /// The card that was looked up last: the event that is applied next is nearly always about it.
    pub(super) last_card: u32,
    /// A copy for a snapshot that is being made.
    pub(super) copying: Option<Copying>,
}

/// Currencies that a shard has room for before its table of totals grows.
const CURRENCIES_RESERVED: usize = 16;

impl Shard {
    /// An empty shard for `slots` slots from `first_slot` on. `seed` keys its hash tables; it changes nothing that
    /// can be seen from outside.
    #[must_use]
    pub fn new(first_slot: Slot, slots: u16, capacity: Capacity, bounds: Bounds, seed: u64) -> Self {
        let empty =
            SlotState { approvals: 0, cards: 0, closed_oldest: NONE, closed_newest: NONE, closed_len: 0 };
        let answers = Answers::new(usize::from(slots), bounds.answers_per_slot);
        Self {
            seed,
            first_slot: first_slot.number(),
            bounds,
            slots: vec![empty; usize::from(slots)].into_boxed_slice(),
            wallets: Slab::with_capacity(capacity.wallets),
            wallet_index: Index::with_capacity(capacity.wallets),
            accounts: Slab::with_capacity(capacity.further_accounts),
            cards: Slab::with_capacity(capacity.cards),
            card_index: Index::with_capacity(capacity.cards),
            messages: Index::half_full(capacity.authorizations + answers.capacity()),
            authorizations: Slab::touched(capacity.authorizations, Authorization::VACANT),
            open_authorizations: 0,
            answers,
            limits: Limits::with_capacity(capacity.limits, capacity.counted, seed),
            filed: Filed::default(),
            fees: Fees::default(),
            sharing: Sharing::default(),
            quotes: Quotes::default(),
            earning: Earning::new(),
            kept: vec![Kept::default(); usize::from(slots)].into_boxed_slice(),
            kept_counts: [0; 3],
            totals: Vec::with_capacity(CURRENCIES_RESERVED),
            shortened: Shortened::default(),
            applied: Sequence(0),
            applying: (Sequence(0), Timestamp(0)),
            departures: Departures::default(),
            last_card: NONE,
            copying: None,
        }
    }

    pub(super) fn slot_of(&self, slot: Slot) -> usize {
        usize::from(slot.number() - self.first_slot)
    }

    /// Whether a slot is one of its own.
    #[must_use]
    pub const fn holds(&self, slot: Slot) -> bool {
        let number = slot.number();
        number >= self.first_slot && ((number - self.first_slot) as usize) < self.slots.len()
    }

    /// The card at a position that the directory proposed, if it is the card of this number (R34).
    #[must_use]
    pub fn card_at(&self, position: u32, pan: Pan) -> Option<&Card> {
        self.cards.get(position).filter(|card| card.is(pan))
    }

    /// Asks for the cache line of a card.
    pub fn prefetch_card(&self, position: u32) {
        self.cards.prefetch(position);
    }

    /// The card at a position that was verified before.
    #[must_use]
    pub fn card(&self, position: u32) -> &Card {
        self.cards.at(position)
    }

    /// The position of a card by its reference.
    #[must_use]
    pub fn card_position(&self, reference: CardRef) -> Option<u32> {
        if self.cards.get(self.last_card).is_some_and(|card| card.reference == reference) {
            return Some(self.last_card);
        }
        self.card_index.find(hash_u64(reference.0, self.seed), |at| self.cards.at(at).reference == reference)
    }

    /// Remembers which card the next event is about.
    pub const fn expect_card(&mut self, position: u32) {
        self.last_card = position;
    }

    pub(super) fn wallet_position(&self, wallet: WalletId) -> Option<u32> {
        self.wallet_index.find(hash_u64(wallet.0, self.seed), |at| self.wallets.at(at).id == wallet)
    }

    /// Whose card it is.
    #[must_use]
    pub fn wallet_of(&self, card: &Card) -> WalletId {
        self.wallets.at(card.wallet).id
    }

    /// The accounts of a wallet at a position, in the order in which they were opened.
    pub(super) fn accounts_of(&self, wallet: u32) -> impl Iterator<Item = &Account> {
        let first = &self.wallets.at(wallet).account;
        std::iter::successors(Some(first), |account| self.accounts.get(account.next))
    }

    /// The first account of a card's wallet in a currency.
    #[must_use]
    pub fn account_in(&self, card: &Card, currency: Currency) -> Option<&Account> {
        self.accounts_of(card.wallet).find(|account| account.currency == currency)
    }

    /// The first account of a card's wallet.
    #[must_use]
    pub fn first_account(&self, card: &Card) -> &Account {
        &self.wallets.at(card.wallet).account
    }

    /// Whether the card's wallet may be used, and if not, why.
    #[must_use]
    pub fn wallet_status_of(&self, card: &Card) -> WalletStatus {
        self.wallets.at(card.wallet).status
    }

    /// Whether the card's wallet may be used.
    #[must_use]
    pub fn wallet_is_active(&self, card: &Card) -> bool {
        self.wallet_status_of(card) == WalletStatus::Active
    }

    /// The currency of the account that an authorization took from.
    #[must_use]
    pub fn account_currency(&self, authorization: &Authorization) -> Option<Currency> {
        let wallet = self.cards.at(authorization.card).wallet;
        self.accounts_of(wallet).find(|account| account.number == authorization.account).map(|a| a.currency)
    }

    /// The cards of a wallet at a position, newest first.
    pub(super) fn cards_of(&self, wallet: u32) -> impl Iterator<Item = &Card> {
        let newest = self.cards.get(self.wallets.at(wallet).newest_card);
        std::iter::successors(newest, |card| self.cards.get(card.older_card))
    }

    pub(super) fn account_mut(&mut self, wallet: u32, number: u16) -> Option<&mut Account> {
        if self.wallets.at(wallet).account.number == number {
            return Some(&mut self.wallets.at_mut(wallet).account);
        }
        let mut position = self.wallets.at(wallet).account.next;
        while self.accounts.get(position)?.number != number {
            position = self.accounts.at(position).next;
        }
        Some(self.accounts.at_mut(position))
    }

    pub(super) fn totals_mut(&mut self, currency: Currency) -> &mut Totals {
        let found = self.totals.iter().position(|totals| totals.currency == currency);
        let at = found.unwrap_or_else(|| {
            self.totals.push(Totals { currency, ..Totals::default() });
            self.totals.len() - 1
        });
        &mut self.totals[at]
    }

    /// How many approvals a slot has given: what its next approval code is made from (R8).
    #[must_use]
    pub fn approvals(&self, slot: Slot) -> u64 {
        self.slots[self.slot_of(slot)].approvals
    }

    /// The reference that the next card of a slot gets.
    #[must_use]
    pub fn next_card_ref(&self, slot: Slot) -> CardRef {
        let serial = self.slots[self.slot_of(slot)].cards + 1;
        CardRef::new(slot, serial)
    }

    /// Whether one more authorization or tombstone fits.
    #[must_use]
    pub fn has_room_for_authorization(&self, card: &Card) -> bool {
        // A full card gives up its oldest closed authorization; one whose authorizations are all open has no room.
        !self.authorizations.is_full()
            && (u32::from(card.authorizations) < self.bounds.authorizations_per_card
                || card.closed_oldest != NONE)
    }

    /// Whether a posting fits. One that ends an open authorization does on a full card too: that one may leave memory
    /// for it.
    #[must_use]
    pub fn has_room_for_posting(&self, card: &Card, ends_one: bool) -> bool {
        ends_one && !self.authorizations.is_full() || self.has_room_for_authorization(card)
    }

    /// Whether the wallet, its account and a card still fit.
    #[must_use]
    pub fn has_room_for_wallet(&self) -> bool {
        !self.wallets.is_full() && !self.accounts.is_full()
    }

    /// Whether one more card fits.
    #[must_use]
    pub fn has_room_for_card(&self) -> bool {
        !self.cards.is_full()
    }

    /// The limits and controls of its cards and wallets.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The bounds in force.
    #[must_use]
    pub const fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The last record that was applied here.
    #[must_use]
    pub const fn applied(&self) -> Sequence {
        self.applied
    }
}

/// Hashes an identifier under the shard's seed.
pub(super) fn hash_u64(value: u64, seed: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(&value.to_le_bytes(), seed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::party::SLOTS;

    #[test]
    fn every_shard_has_room_for_the_wallets_that_come_to_it_and_what_they_bring_along() {
        for (wallets, each) in [(50, 9), (2_000, 1), (20_000, 3), (300_000, 1), (300_000, 8)] {
            let totals = Capacity {
                wallets,
                further_accounts: wallets,
                cards: 2 * wallets,
                authorizations: each * wallets,
                limits: wallets,
                counted: each * wallets,
            };
            for shards in [1, 2, 16, 256] {
                let room = Capacity::share(totals, shards);
                let mut came = vec![0; shards];
                for n in 1..=wallets as u64 {
                    let slot = Slot::of_wallet(WalletId(n)).number();
                    came[usize::from(slot) * shards / usize::from(SLOTS)] += 1;
                }
                let most = came.into_iter().max().unwrap_or(0);
                let case = format!("{wallets} wallets, {each} each, {shards} shards: {most}, {room:?}");
                assert!(most <= room.wallets && most <= room.further_accounts, "{case}");
                assert!(2 * most <= room.cards && each * most <= room.authorizations, "{case}");
                assert!(most <= room.limits && each * most <= room.counted, "{case}");
            }
        }
    }

    #[test]
    fn what_is_spare_is_bounded_and_shrinks_as_shards_grow() {
        let spare = |wallets, authorizations: usize| {
            let totals = Capacity {
                wallets,
                further_accounts: 0,
                cards: wallets,
                authorizations,
                limits: 0,
                counted: 0,
            };
            Capacity::share(totals, 256).authorizations - authorizations.div_ceil(256)
        };
        let table = [
            (1_000, 256, 64),
            (1_000_000, 2_000_000, 6 * 153),
            (10_000_000, 5_624_288, 6 * 185),
            // All on few wallets.
            (1_000, 2_000_000, 7_813 / 8 + 64),
        ];
        for (wallets, authorizations, expected) in table {
            assert_eq!(spare(wallets, authorizations), expected, "{authorizations} of {wallets} wallets");
        }
    }
}
