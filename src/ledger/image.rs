//! A shard as bytes, for snapshots: what it knows, without an address, a position or an order of hashing.
//!
//! The copy is as of one record, the cut, though it is made in steps with the shard's lock let go in between. At the
//! cut the slots' own part is copied, which is small. Then wallets follow, some at a time. Whatever changes a wallet
//! that has not been copied yet copies it first, as it was (`Shard::preserve`): the cost falls on the events of one
//! shard while it is copied, a wallet at most once.
//!
//! ```text
//! shard part   slots u16, currencies u16 (with the bit of exchange in a u16 of its own behind it), with a bit of it
//!              most limits of a product u16
//!   currency   number u16, wallets i128, funding i128, settlement i128, held i128
//!     with a bit of the number of currencies: fees i128; with another: transit i128, adjustments i128; with one more:
//!     exchange i128, interest i128
//!   slot       number u16, approvals u64, cards u32, answers u32
//!     answer   fingerprint u64, sequence u64, amount i64, posted i64, available i64, DE 7 u32, answered u32, DE 3 u32,
//!              DE 49 u16, account's currency u16, DE 38 [6], action u8
//!     with the highest bit of the number of currencies: what waits on suspense, and files, see `suspense`
//!     with the bit below it: time zones, see `zones`; with the next: rules of products, see `limits_image`; with the
//!     one that says fees: those of products, see `fees`; with that of transit: keys and payments, see `kept`
//!   with the bit of exchange, after the slots: assets and rates, see `quotes`
//! wallet       id u64, status u8, accounts u16, cards u16
//!   account    number u16, currency u16, posted i64, held i64, overdraft i64
//!   card       reference u64, number u64, digits u8, month u16, service code u16, status u8, verification u8,
//!              product u8, open u16, closed u16
//!     open, newest first, then closed, oldest first: an authorization each, see `put_authorization`, and what further
//!     accounts bear of it, see `share`
//!   with the bit below the highest of the status, before the cards: the order in which accounts are spent, see
//!     `share`; with the next, behind that: what accounts have earned, see `interest`
//!   with the highest bit of the status: limits, controls and what was counted, see `limits_image`
//! ```
//! Integers are little-endian. Fingerprints depend on the seed of the shard's hashes, so an image is read under the
//! same seed. An image holds whole card numbers: whoever writes it anywhere seals it.

use crate::domain::card::CardIdentity;
use crate::domain::card::CardRef;
use crate::domain::event::Effect;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::moved::Side;
use crate::domain::party::Slot;
use crate::domain::product::ProductNumber;

use super::answers::Remembered;
use super::authorization::Authorization;
use super::shard::Card;
use super::shard::Shard;

/// A copy of a shard that is being made.
#[derive(Debug)]
pub(super) struct Copying {
    /// Wallets from this position on are still to be copied, up to the ones that were opened after the cut.
    next: u32,
    end: u32,
    /// Which of them were copied before their turn: a bit each.
    copied: Box<[u64]>,
    /// Their images.
    early: Vec<u8>,
    early_wallets: u64,
}

/// Bytes that are reserved for wallets which change before their turn, so that few events have to grow the memory.
const EARLY_BYTES: usize = 64 * 1024;

/// Marks the number of currencies where slots know of suspense and clearing files.
pub(super) const FILED: u16 = 1 << 15;
/// Marks the number of currencies where slots know of time zones.
pub(super) const ZONED: u16 = 1 << 14;
/// Marks the number of currencies where slots have rules of products.
pub(super) const RULED: u16 = 1 << 13;

/// Marks the number of currencies where slots have fees, or fees were charged.
pub(super) const CHARGED: u16 = 1 << 12;

/// Marks the number of currencies where verbs have left something.
pub(super) const MOVED: u16 = 1 << 11;

/// Marks the number of currencies where assets were turned into others, interest was paid, or there are rates.
pub(super) const EXCHANGED: u16 = 1 << 10;

/// Marks the status of a wallet behind whose cards limits follow.
pub(super) const LIMITED: u8 = 1 << 7;
/// Marks the status of a wallet that has an order in which its accounts are spent.
pub(super) const SPENDS: u8 = 1 << 6;
/// Marks the status of a wallet that has an account which earns interest.
pub(super) const EARNS: u8 = 1 << 5;

/// How far a copy has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Step {
    /// Wallets whose images were appended.
    pub wallets: u64,
    /// Whether more are to come.
    pub more: bool,
}

impl Shard {
    /// Begins a copy as of the last record that was applied, and appends the shard part of the image.
    pub fn begin_copy(&mut self, out: &mut Vec<u8>) {
        let end = self.wallets.len() as u32;
        self.copying = Some(Copying {
            next: 0,
            end,
            copied: vec![0; (end as usize).div_ceil(64)].into_boxed_slice(),
            early: Vec::with_capacity(EARLY_BYTES),
            early_wallets: 0,
        });
        self.put_shard(out);
    }

    /// Appends the images of further wallets until about `bytes` were appended.
    pub fn copy_on(&mut self, bytes: usize, out: &mut Vec<u8>) -> Step {
        let Some(mut copying) = self.copying.take() else { return Step::default() };
        let (limit, mut wallets) = (out.len() + bytes, 0);
        while copying.next < copying.end && out.len() < limit {
            self.ask_for_copy(copying.next);
            if !copying.is_copied(copying.next) {
                self.put_wallet(copying.next, out);
                wallets += 1;
            }
            copying.next += 1;
        }
        let more = copying.next < copying.end;
        self.copying = Some(copying);
        Step { wallets, more }
    }

    /// Ends the copy: returns the images of the wallets that changed before their turn, and how many there are.
    pub fn end_copy(&mut self) -> (Vec<u8>, u64) {
        self.copying.take().map_or_else(Default::default, |copying| (copying.early, copying.early_wallets))
    }

    /// Copies the wallet that an event is about to change, if that is still to be done.
    pub(super) fn preserve_for(&mut self, event: &Event) {
        let wallet = match event {
            Event::CardOpened(event) => self.wallet_position(event.wallet),
            Event::AccountFunded(event) => self.wallet_position(event.wallet),
            Event::WalletStatusSet(event) => self.wallet_position(event.wallet),
            Event::SpendingSet(event) => self.wallet_position(event.wallet),
            Event::InterestSet(event) => self.wallet_position(event.wallet),
            Event::InterestPaid(event) => self.wallet_position(event.wallet),
            Event::CardStatusSet(event) => self.wallet_by_card(CardIdentity::Known(event.card)),
            Event::LimitSet(event) => self.wallet_of_subject(event.subject),
            Event::ControlSet(event) => self.wallet_of_subject(event.subject),
            // What changes no account is part of its slot, which was copied at the cut.
            Event::Cleared(event) if event.outcome.is_suspended() => None,
            Event::Decided(event) if event.effect == Effect::None => None,
            Event::Decided(event) => self.wallet_by_card(event.card),
            Event::Reversed(event) => self.wallet_by_card(event.card),
            Event::Advised(event) => self.wallet_by_card(event.card),
            Event::Unanswered(event) => self.wallet_by_card(CardIdentity::Known(event.card)),
            Event::Expired(event) => self.wallet_by_card(CardIdentity::Known(event.card)),
            Event::Cleared(event) => self.wallet_by_card(event.card),
            Event::Recalled(event) => self.wallet_by_card(CardIdentity::Known(event.card)),
            Event::CardProductSet(event) => self.wallet_by_card(CardIdentity::Known(event.card)),
            Event::Moved(event) => {
                let [from, to] = self.wallets_of_moved(event);
                from.into_iter().for_each(|wallet| self.preserve(wallet));
                to
            }
            Event::Configured(_)
            | Event::Seeded(_)
            | Event::Noted(_)
            | Event::FilePosted(_)
            | Event::ZoneSet(_)
            | Event::FeeSet(_)
            | Event::AssetSet(_)
            | Event::RateSet(_)
            | Event::MandateGiven(_)
            | Event::MandateCancelled(_) => None,
            Event::Forwarded(_) | Event::Concluded(_) | Event::Stored(_) | Event::Settled(_) => None,
        };
        if let Some(wallet) = wallet {
            self.preserve(wallet);
        }
    }

    fn wallet_by_card(&self, card: CardIdentity) -> Option<u32> {
        self.position_of(card).ok().map(|card| self.cards.at(card).wallet)
    }

    /// Copies a wallet before it changes, if a copy is being made and has not come to it.
    pub(super) fn preserve(&mut self, wallet: u32) {
        let Some(mut copying) = self.copying.take() else { return };
        if (copying.next..copying.end).contains(&wallet) && !copying.is_copied(wallet) {
            self.put_wallet(wallet, &mut copying.early);
            copying.copied[wallet as usize / 64] |= 1 << (wallet % 64);
            copying.early_wallets += 1;
        }
        self.copying = Some(copying);
    }

    /// What slots of the shard know of that most have nothing of.
    fn marks(&self) -> u16 {
        let filed = if self.filed.is_empty() { 0 } else { FILED };
        let zoned = if self.limits.zones.is_empty() { 0 } else { ZONED };
        let ruled = if self.limits.rules.is_empty() { 0 } else { RULED };
        let any_fees = !self.fees.is_empty() || self.totals.iter().any(|totals| totals.fees != 0);
        let charged = if any_fees { CHARGED } else { 0 };
        let any_moved = self.kept.iter().any(|kept| !kept.is_empty())
            || self.totals.iter().any(|totals| totals.transit != 0 || totals.adjustments != 0);
        let moved = if any_moved { MOVED } else { 0 };
        // Marks and a number of a thousand currencies have no room together.
        let many = self.totals.len() >= usize::from(EXCHANGED);
        let any_exchanged = many
            || self.own_quotes().is_some()
            || self.totals.iter().any(|totals| totals.exchange != 0 || totals.interest != 0);
        let exchanged = if any_exchanged { EXCHANGED } else { 0 };
        filed | zoned | ruled | charged | moved | exchanged
    }

    fn put_shard(&self, out: &mut Vec<u8>) {
        put(out, (self.slots.len() as u16).to_le_bytes());
        let marks = self.marks();
        let [filed, zoned, ruled, charged, moved, exchanged] =
            [FILED, ZONED, RULED, CHARGED, MOVED, EXCHANGED].map(|mark| marks & mark);
        if exchanged == 0 {
            put(out, (self.totals.len() as u16 | marks).to_le_bytes());
        } else {
            put(out, marks.to_le_bytes());
            put(out, (self.totals.len() as u16).to_le_bytes());
        }
        if ruled != 0 {
            put(out, (self.limits.rules.most() as u16).to_le_bytes());
        }
        for totals in &self.totals {
            put(out, totals.currency.numeric().to_le_bytes());
            for amount in [totals.wallets, totals.funding, totals.settlement, totals.held] {
                put(out, amount.to_le_bytes());
            }
            if charged != 0 {
                put(out, totals.fees.to_le_bytes());
            }
            if moved != 0 {
                put(out, totals.transit.to_le_bytes());
                put(out, totals.adjustments.to_le_bytes());
            }
            if exchanged != 0 {
                put(out, totals.exchange.to_le_bytes());
                put(out, totals.interest.to_le_bytes());
            }
        }
        for (index, slot) in self.slots.iter().enumerate() {
            put(out, (self.first_slot + index as u16).to_le_bytes());
            put(out, slot.approvals.to_le_bytes());
            put(out, slot.cards.to_le_bytes());
            put(out, (self.answers.of_slot(index).count() as u32).to_le_bytes());
            for answer in self.answers.of_slot(index) {
                put_answer(&answer, out);
            }
            let number = Slot::wrapping(u64::from(self.first_slot) + index as u64);
            if filed != 0 {
                self.put_filed(number, out);
            }
            if zoned != 0 {
                self.limits.zones.put(number, out);
            }
            if ruled != 0 {
                self.limits.rules.put(number, out);
            }
            if charged != 0 {
                self.fees.put(number, out);
            }
            if moved != 0 {
                self.kept[index].put(out);
            }
        }
        if exchanged != 0 {
            let quotes = self.own_quotes();
            put(out, [u8::from(quotes.is_some())]);
            quotes.into_iter().for_each(|quotes| quotes.put(out));
        }
    }

    fn put_wallet(&self, position: u32, out: &mut Vec<u8>) {
        let wallet = self.wallets.at(position);
        put(out, wallet.id.0.to_le_bytes());
        let limited = if wallet.limited { LIMITED } else { 0 };
        let spends = if wallet.spends { SPENDS } else { 0 };
        let earns = if wallet.earns { EARNS } else { 0 };
        put(out, [wallet.status as u8 | limited | spends | earns]);
        put(out, (self.accounts_of(position).count() as u16).to_le_bytes());
        put(out, (self.cards_of(position).count() as u16).to_le_bytes());
        for account in self.accounts_of(position) {
            put(out, account.number.to_le_bytes());
            put(out, account.currency.numeric().to_le_bytes());
            for amount in [account.posted, account.held, account.overdraft] {
                put(out, amount.to_le_bytes());
            }
        }
        if wallet.spends {
            self.put_spending(wallet.id, out);
        }
        if wallet.earns {
            self.put_earning(wallet.id, out);
        }
        for card in self.cards_of(position) {
            self.put_card(card, out);
        }
        if wallet.limited {
            self.put_limits(position, out);
        }
    }

    fn put_card(&self, card: &Card, out: &mut Vec<u8>) {
        let (number, digits) = card.number();
        let CardRef(reference) = card.reference;
        put(out, reference.to_le_bytes());
        put(out, number.to_le_bytes());
        put(out, [digits]);
        put(out, card.expiry.digits().to_le_bytes());
        put(out, card.service_code.to_le_bytes());
        put(out, [card.status as u8, card.verification as u8]);
        put(out, [card.product().map_or(0, ProductNumber::get)]);
        let counts = out.len();
        put(out, [0; 4]);
        let (mut open, mut closed) = (0_u16, 0_u16);
        for (_, entry) in self.open_of(card) {
            put_authorization(entry, out);
            self.put_shares(entry, out);
            open += 1;
        }
        for (_, entry) in self.closed_of(card) {
            put_authorization(entry, out);
            self.put_shares(entry, out);
            closed += 1;
        }
        out[counts..counts + 2].copy_from_slice(&open.to_le_bytes());
        out[counts + 2..counts + 4].copy_from_slice(&closed.to_le_bytes());
    }
}

impl Copying {
    const fn is_copied(&self, wallet: u32) -> bool {
        self.copied[wallet as usize / 64] >> (wallet % 64) & 1 != 0
    }
}

pub(super) fn put<const N: usize>(out: &mut Vec<u8>, bytes: [u8; N]) {
    out.extend_from_slice(&bytes);
}

pub(super) fn put_side(out: &mut Vec<u8>, side: Side) {
    put(out, side.wallet.0.to_le_bytes());
    put(out, side.account.to_le_bytes());
}

fn put_answer(answer: &Remembered, out: &mut Vec<u8>) {
    let Sequence(sequence) = answer.sequence;
    put(out, answer.fingerprint.to_le_bytes());
    put(out, sequence.to_le_bytes());
    for amount in [answer.amount, answer.posted, answer.available] {
        put(out, amount.to_le_bytes());
    }
    for number in [answer.transmission, answer.answered_s, answer.processing_code] {
        put(out, number.to_le_bytes());
    }
    put(out, answer.currency.to_le_bytes());
    put(out, answer.account_currency.to_le_bytes());
    put(out, answer.approval_code);
    put(out, [answer.action as u8]);
}

/// Everything but positions: numbers of eight bytes, then of four, of two, of one, then DE 37 and DE 38.
fn put_authorization(entry: &Authorization, out: &mut Vec<u8>) {
    for number in [entry.sequence.0, entry.network_reference, entry.acquirer, entry.closed_by.0] {
        put(out, number.to_le_bytes());
    }
    for amount in [entry.amount, entry.taken, entry.answered] {
        put(out, amount.to_le_bytes());
    }
    let Authorization { stan, transmission, terminal, merchant, coded, .. } = *entry;
    for number in [stan, transmission, terminal, merchant, coded.bits(), entry.changed_s, entry.hold_until_s]
    {
        put(out, number.to_le_bytes());
    }
    for number in [entry.network, entry.currency, entry.account] {
        put(out, number.to_le_bytes());
    }
    put(out, [entry.action as u8, entry.class, entry.state as u8, entry.legs.0]);
    put(out, entry.rrn);
    put(out, entry.approval_code);
}
