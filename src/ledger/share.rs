//! What further accounts bear of an authorization (R13), and in which order a wallet's accounts are spent.
//!
//! An authorization holds and posts as if its own account had all of it. Its shares stand beside that: each holds an
//! amount of another account, and takes so much less of the own account's hold. What is posted of a hold takes its
//! shares along in their order: they are turned into the own account's currency at their rates, between the accounts
//! and the house's exchange account, which has a leg in each asset. What is given back goes to them in reverse order.
//!
//! What the network has promised and no account had is a share too, the last one, of the own account: it changes
//! nothing there, and is given back first.
//!
//! Shares of a hold are let go of when it ends. Those of a posting stay as long as it is in memory, since it may be
//! given back.

use std::collections::BTreeMap;

use crate::domain::event::Sequence;
use crate::domain::party::WalletId;
use crate::domain::share::Share;
use crate::domain::share::Shares;
use crate::domain::share::Spending;
use crate::domain::share::SpendingSet;

use super::apply::ApplyError;
use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::image::put;
use super::restore::ImageError;
use super::restore::Take;
use super::shard::Account;
use super::shard::BALANCE_MAX;
use super::shard::Card;
use super::shard::Shard;
use super::state_hash::StateHash;

/// How orders are told apart in the state hash from what else is in it, and shares.
const ORDER_KIND: u8 = 41;
const SHARE_KIND: u8 = 42;

/// A share as it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Borne {
    share: Share,
    /// It is taken from before the authorization's own account.
    ahead: bool,
    /// How much of what it covers has gone over to postings.
    gone: i64,
    /// How much of what it covers is held.
    held: i64,
    /// How much of what it covers is posted.
    taken: i64,
}

impl Borne {
    const fn new(share: Share, ahead: bool) -> Self {
        Self { share, ahead, gone: 0, held: 0, taken: 0 }
    }

    /// What is held and posted of its account, minor units of that.
    fn amounts(&self) -> (i64, i64) {
        let cost = |from: i64, covered: i64| self.share.cost_of(from + covered) - self.share.cost_of(from);
        (cost(self.gone, self.held), cost(self.gone + self.held, self.taken))
    }
}

/// What a further account bears of an authorization.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ShareView {
    /// Its number in the wallet.
    pub account: u16,
    /// What is held or posted of its asset, minor units.
    pub amount: i64,
    /// How much of the authorization that stands for.
    pub covers: i64,
    /// The record that set the rate; zero between accounts of one asset.
    pub rate: Sequence,
}

/// A share on its way to the authorization that is opened next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Coming {
    share: Share,
    ahead: bool,
}

/// The shares of all authorizations, and the orders of all wallets that have one.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    borne: BTreeMap<Sequence, Vec<Borne>>,
    orders: BTreeMap<WalletId, Spending>,
    coming: Vec<Coming>,
}

impl Shard {
    /// In which order the accounts of a card's wallet are spent; `None` where each authorization takes from one alone.
    #[must_use]
    pub fn spending_of(&self, card: &Card) -> Option<&Spending> {
        let wallet = self.wallets.at(card.wallet);
        if wallet.spends { self.sharing.orders.get(&wallet.id) } else { None }
    }

    /// The same of a wallet.
    #[must_use]
    pub fn wallet_spending(&self, wallet: WalletId) -> Option<&Spending> {
        self.sharing.orders.get(&wallet)
    }

    /// An account of a card's wallet by its number.
    #[must_use]
    pub fn account_numbered(&self, card: &Card, number: u16) -> Option<&Account> {
        self.accounts_of(card.wallet).find(|account| account.number == number)
    }

    /// The number that the next account of a card's wallet gets; `None` when no further one fits.
    #[must_use]
    pub fn next_account(&self, card: &Card) -> Option<u16> {
        if self.accounts.is_full() {
            return None;
        }
        self.accounts_of(card.wallet).map(|account| account.number).max()?.checked_add(1)
    }

    /// What further accounts bear of an authorization, as it stands.
    pub fn shares_of(&self, authorization: &Authorization) -> impl Iterator<Item = ShareView> {
        let all = self.sharing.borne.get(&authorization.sequence).filter(|_| authorization.is_shared());
        // What nobody had stands there under the own account's number.
        let own = authorization.account;
        all.into_iter().flatten().filter(move |of| of.share.account != own).map(|of| {
            let (held, taken) = of.amounts();
            let (account, rate) = (of.share.account, of.share.rate);
            ShareView { account, amount: held + taken, covers: of.held + of.taken, rate }
        })
    }

    /// What an authorization and the open increments of its purchase hold of an account, with what is charged for
    /// them: what a posting of it takes over.
    #[must_use]
    pub fn held_for_posting(&self, card: &Card, named: &Authorization, account: u16) -> i64 {
        let open = self.open_of(card).map(|(_, entry)| entry);
        let due = |entry: &&Authorization| {
            let member = entry.sequence == named.sequence || entry.is_increment() && entry.is_of_group(named);
            member && entry.account == account && entry.state == AuthorizationState::Held
        };
        open.filter(due)
            .fold(0, |sum: i64, entry| sum.saturating_add(entry.taken).saturating_add(self.fee_of(entry)))
    }

    /// What an authorization and the open increments of its purchase hold, by account: on their own, and what others
    /// bear.
    #[must_use]
    pub fn held_by_accounts(&self, card: &Card, named: &Authorization) -> Vec<(u16, i64)> {
        let mut all = Vec::new();
        for (_, entry) in self.open_of(card) {
            let member = entry.sequence == named.sequence || entry.is_increment() && entry.is_of_group(named);
            if !member || entry.state != AuthorizationState::Held {
                continue;
            }
            let mut own = entry.taken.saturating_add(self.fee_of(entry));
            for share in self.shares_of(entry) {
                own = own.saturating_sub(share.covers);
                all.push((share.account, share.amount));
            }
            all.push((entry.account, own));
        }
        all
    }

    pub(super) fn set_spending(&mut self, event: &SpendingSet) -> Result<(), ApplyError> {
        let wallet = self.wallet_position(event.wallet).ok_or(ApplyError::NoSuchAccount)?;
        self.keep_spending(wallet, event.order);
        Ok(())
    }

    fn keep_spending(&mut self, wallet: u32, order: Spending) {
        let place = self.wallets.at_mut(wallet);
        place.spends = !order.as_slice().is_empty();
        match place.spends {
            true => self.sharing.orders.insert(place.id, order),
            false => self.sharing.orders.remove(&place.id),
        };
    }

    /// Has the authorization that is opened next bear these shares too.
    pub(super) fn expect_shares(&mut self, shares: &Shares) {
        let ahead = usize::from(shares.ahead());
        let all = shares.as_slice().iter().enumerate();
        self.sharing.coming.extend(all.map(|(at, share)| Coming { share: *share, ahead: at < ahead }));
    }

    /// Opens an account without anything in it, where shares say so.
    pub(super) fn open_for_shares(
        &mut self,
        card: u32,
        number: u16,
        shares: &Shares,
    ) -> Result<(), ApplyError> {
        let Some(currency) = shares.opens() else { return Ok(()) };
        self.add_account(self.cards.at(card).wallet, Account::empty(currency, number))?;
        self.totals_mut(currency);
        Ok(())
    }

    /// Has an authorization that was opened bear the shares that were announced.
    pub(super) fn bear_shares(&mut self, position: u32) -> Result<(), ApplyError> {
        if self.sharing.coming.is_empty() {
            return Ok(());
        }
        let mut coming = std::mem::take(&mut self.sharing.coming);
        let entry = *self.authorizations.at(position);
        // Those ahead stay ahead, wherever they came from.
        coming.sort_by_key(|of| !of.ahead);
        let mut all = self.sharing.borne.remove(&entry.sequence).unwrap_or_default();
        for Coming { share, ahead } in coming.drain(..) {
            let mut borne = Borne::new(share, ahead);
            let (held, taken) = match entry.state {
                AuthorizationState::Held => (share.covers, 0),
                AuthorizationState::Posted => (0, share.covers),
                _ => continue,
            };
            self.change_share(&entry, &mut borne, (0, held, taken))?;
            all.push(borne);
        }
        all.sort_by_key(|of| !of.ahead);
        self.sharing.coming = coming;
        self.keep_shares(position, all);
        Ok(())
    }

    /// Gives back `less` of what an authorization held or had posted, `total` with what was charged for it, to its
    /// shares: the last first.
    pub(super) fn give_back_shares(
        &mut self,
        position: u32,
        total: i64,
        less: i64,
    ) -> Result<(), ApplyError> {
        let entry = *self.authorizations.at(position);
        if !entry.is_shared() || less <= 0 {
            return Ok(());
        }
        let mut all = self.sharing.borne.remove(&entry.sequence).unwrap_or_default();
        let shared = all.iter().fold(0_i64, |sum, of| sum.saturating_add(of.held + of.taken));
        let (mut own, mut left) = (total.saturating_sub(shared).max(0), less);
        let behind = all.iter().filter(|of| !of.ahead).count();
        for (at, borne) in all.iter_mut().rev().enumerate() {
            if at == behind {
                left -= own.min(left);
                own = 0;
            }
            let back = left.min(borne.held + borne.taken);
            left -= back;
            let (held, taken) = (borne.held - back.min(borne.held), borne.taken - back.min(borne.taken));
            let after = Borne { held, taken, ..*borne };
            let returned = borne.amounts().1 - after.amounts().1;
            if self.has_range_for(entry.card, borne.share.account, returned) {
                self.change_share(&entry, borne, (borne.gone, held, taken))?;
            } else {
                // It has become too rich to take it back: what it gave stays exchanged.
                *borne = after;
            }
        }
        self.keep_shares(position, all);
        Ok(())
    }

    /// Hands the shares of the first `part` of what an authorization holds, of `total` with what is charged for it,
    /// over to the posting that is opened next.
    pub(super) fn hand_over_shares(
        &mut self,
        position: u32,
        total: i64,
        part: i64,
    ) -> Result<(), ApplyError> {
        let entry = *self.authorizations.at(position);
        if !entry.is_shared() || part <= 0 || entry.state != AuthorizationState::Held {
            return Ok(());
        }
        let mut all = self.sharing.borne.remove(&entry.sequence).unwrap_or_default();
        let shared = all.iter().fold(0_i64, |sum, of| sum.saturating_add(of.held));
        let (mut own, mut left) = (total.saturating_sub(shared).max(0), part);
        for borne in &mut all {
            if !borne.ahead {
                left -= own.min(left);
                own = 0;
            }
            let covers = left.min(borne.held);
            if covers == 0 {
                continue;
            }
            left -= covers;
            let amount = borne.share.cost_of(borne.gone + covers) - borne.share.cost_of(borne.gone);
            let share = Share { amount, covers, ..borne.share };
            self.sharing.coming.push(Coming { share, ahead: borne.ahead });
            self.change_share(&entry, borne, (borne.gone + covers, borne.held - covers, 0))?;
        }
        self.keep_shares(position, all);
        Ok(())
    }

    /// Hands over the shares of what a posting of so much, with what is charged for it, takes of an authorization and
    /// of the open increments of its purchase.
    pub(super) fn hand_over_all_shares(
        &mut self,
        position: u32,
        account: u16,
        posted: i64,
    ) -> Result<(), ApplyError> {
        let named = *self.authorizations.at(position);
        let open = self.open_of(self.cards.at(named.card));
        let of_purchase = open.filter(|(at, entry)| {
            (*at == position || entry.is_increment() && entry.is_of_group(&named)) && entry.account == account
        });
        let mut members: Vec<(Sequence, u32)> = of_purchase.map(|(at, entry)| (entry.sequence, at)).collect();
        members.sort_unstable();
        let mut left = posted;
        for (_, at) in members {
            let entry = *self.authorizations.at(at);
            let total = entry.taken.saturating_add(self.fee_of(&entry));
            let part = left.min(total);
            self.hand_over_shares(at, total, part)?;
            left -= part.max(0);
        }
        Ok(())
    }

    /// Forgets the shares of an authorization that leaves memory. What they have taken stays as it is.
    pub(super) fn forget_shares(&mut self, entry: &Authorization) {
        if entry.is_shared() {
            self.sharing.borne.remove(&entry.sequence);
        }
    }

    fn keep_shares(&mut self, position: u32, mut all: Vec<Borne>) {
        all.retain(|of| of.held != 0 || of.taken != 0);
        let place = self.authorizations.at_mut(position);
        place.set_shared(!all.is_empty());
        if !all.is_empty() {
            self.sharing.borne.insert(place.sequence, all);
        }
    }

    /// Makes a share stand as it is to, on its account, on the authorization's own, and on the exchange account.
    fn change_share(
        &mut self,
        entry: &Authorization,
        borne: &mut Borne,
        (gone, held, taken): (i64, i64, i64),
    ) -> Result<(), ApplyError> {
        let wallet = self.cards.at(entry.card).wallet;
        let after = Borne { gone, held, taken, ..*borne };
        let (before_held, before_taken) = borne.amounts();
        let (after_held, after_taken) = after.amounts();
        let (more_held, more_taken) = (after_held - before_held, after_taken - before_taken);
        let (covers_held, covers_taken) = (held - borne.held, taken - borne.taken);
        self.change_account(wallet, borne.share.account, more_held, -more_taken)?;
        self.change_account(wallet, entry.account, -covers_held, covers_taken)?;
        *borne = after;
        Ok(())
    }

    /// Changes what an account has held and posted; what is posted comes from the exchange account, or goes there.
    fn change_account(&mut self, wallet: u32, number: u16, held: i64, posted: i64) -> Result<(), ApplyError> {
        if posted != 0 {
            self.count_days(wallet, number);
        }
        let account = self.account_mut(wallet, number).ok_or(ApplyError::NoSuchAccount)?;
        let currency = account.currency;
        let sum = |balance: i64, change: i64| balance.checked_add(change).ok_or(ApplyError::Overflow);
        (account.held, account.posted) = (sum(account.held, held)?, sum(account.posted, posted)?);
        let totals = self.totals_mut(currency);
        totals.held += i128::from(held);
        totals.wallets += i128::from(posted);
        totals.exchange -= i128::from(posted);
        Ok(())
    }

    /// Whether an account can take so much more, and what cannot be refused later on top of it.
    fn has_range_for(&self, card: u32, number: u16, more: i64) -> bool {
        let mut accounts = self.accounts_of(self.cards.at(card).wallet);
        let account = accounts.find(|account| account.number == number);
        let after = account.and_then(|account| account.posted.checked_add(more));
        more == 0 || after.is_some_and(|after| after <= BALANCE_MAX)
    }

    /// What of an account's hold is not what its own authorizations take: what it bears of others, less what others
    /// bear of them.
    pub(super) fn shared_on(&self, wallet: u32, number: u16) -> i64 {
        if self.sharing.borne.is_empty() {
            return 0;
        }
        let cards = self.cards_of(wallet);
        let open = cards.flat_map(|card| self.open_of(card)).map(|(_, entry)| entry);
        let shared = open.filter(|entry| entry.is_shared());
        let borne = shared.flat_map(|entry| {
            let all = self.sharing.borne.get(&entry.sequence);
            all.into_iter().flatten().map(|of| (entry.account, of))
        });
        borne.fold(0_i64, |sum, (own, of)| {
            let bears = if of.share.account == number { of.amounts().0 } else { 0 };
            let is_borne = if own == number { of.held } else { 0 };
            sum.saturating_add(bears).saturating_sub(is_borne)
        })
    }

    /// Checks that what has shares is marked so, and that nothing else has.
    pub(super) fn audit_shares(&self) -> Result<(), String> {
        let marked = self
            .authorizations
            .iter()
            .filter(|(_, entry)| entry.state != AuthorizationState::Vacant && entry.is_shared());
        let (mut count, mut found) = (0, 0);
        for (_, entry) in marked {
            count += 1;
            found += usize::from(self.sharing.borne.contains_key(&entry.sequence));
        }
        let known = self.sharing.borne.len();
        if count == found && found == known && self.sharing.coming.is_empty() {
            return Ok(());
        }
        Err(format!("{count} authorizations are marked as shared, {found} are of {known} that are"))
    }

    /// Adds a wallet's order to its image.
    pub(super) fn put_spending(&self, wallet: WalletId, out: &mut Vec<u8>) {
        let order = self.sharing.orders.get(&wallet).copied().unwrap_or_default();
        put(out, [order.as_slice().len() as u8]);
        order.as_slice().iter().for_each(|account| put(out, account.to_le_bytes()));
    }

    pub(super) fn take_spending(&mut self, take: &mut Take<'_>, wallet: u32) -> Result<(), ImageError> {
        let order = take_order(take)?;
        self.keep_spending(wallet, order);
        Ok(())
    }

    /// Adds an authorization's shares to its image.
    pub(super) fn put_shares(&self, entry: &Authorization, out: &mut Vec<u8>) {
        if !entry.is_shared() {
            return;
        }
        let all = self.sharing.borne.get(&entry.sequence).map_or(&[][..], Vec::as_slice);
        put(out, (all.len() as u16).to_le_bytes());
        all.iter().for_each(|borne| put_borne(borne, out));
    }

    /// Reads what an authorization has with it in an image.
    pub(super) fn take_shares(
        &mut self,
        take: &mut Take<'_>,
        entry: &Authorization,
    ) -> Result<(), ImageError> {
        let all = take_borne(take, entry)?;
        if entry.is_shared() {
            self.sharing.borne.insert(entry.sequence, all);
        }
        Ok(())
    }

    /// Adds all of it to the state hash.
    pub(super) fn hash_shares(&self, hash: &mut StateHash) {
        let mut bytes = Vec::new();
        for (wallet, order) in &self.sharing.orders {
            bytes.clear();
            put(&mut bytes, wallet.0.to_le_bytes());
            order.as_slice().iter().for_each(|account| put(&mut bytes, account.to_le_bytes()));
            hash.add_bytes(ORDER_KIND, &bytes);
        }
        for (sequence, all) in &self.sharing.borne {
            bytes.clear();
            put(&mut bytes, sequence.0.to_le_bytes());
            all.iter().for_each(|borne| put_borne(borne, &mut bytes));
            hash.add_bytes(SHARE_KIND, &bytes);
        }
    }
}

/// Reads an order of accounts.
pub(super) fn take_order(take: &mut Take<'_>) -> Result<Spending, ImageError> {
    let accounts = (0..take.u8()?).map(|_| take.u16()).collect::<Result<Vec<_>, _>>()?;
    Spending::new(&accounts).ok_or(ImageError::Value("order of accounts"))
}

/// Reads the shares that follow an authorization; none where it has none.
pub(super) fn take_borne_of(take: &mut Take<'_>, entry: &Authorization) -> Result<(), ImageError> {
    take_borne(take, entry).map(|_| ())
}

fn put_borne(borne: &Borne, out: &mut Vec<u8>) {
    let Borne { share, ahead, gone, held, taken } = *borne;
    put(out, share.account.to_le_bytes());
    put(out, [u8::from(ahead)]);
    put(out, share.rate.0.to_le_bytes());
    for amount in [share.amount, share.covers, gone, held, taken] {
        put(out, amount.to_le_bytes());
    }
}

fn take_borne(take: &mut Take<'_>, entry: &Authorization) -> Result<Vec<Borne>, ImageError> {
    let count = if entry.is_shared() { take.u16()? } else { 0 };
    let one = |take: &mut Take<'_>| {
        let (account, ahead, rate) = (take.u16()?, take.u8()? != 0, take.sequence()?);
        let share = Share { account, amount: take.i64()?, covers: take.i64()?, rate };
        Ok(Borne { share, ahead, gone: take.i64()?, held: take.i64()?, taken: take.i64()? })
    };
    (0..count).map(|_| one(take)).collect()
}
