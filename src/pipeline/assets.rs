//! Assets and rates, further accounts of wallets, and the order in which these are spent.

use std::collections::BTreeSet;

use crate::domain::asset::AssetCode;
use crate::domain::asset::AssetName;
use crate::domain::asset::AssetSet;
use crate::domain::asset::Rate;
use crate::domain::asset::RateSet;
use crate::domain::event::AccountFunded;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::money::Currency;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::domain::share::Spending;
use crate::domain::share::SpendingSet;
use crate::domain::time::Now;
use crate::ledger::quotes::QUOTES_MAX;
use crate::ledger::quotes::Quotes;

use super::core::Pipeline;

/// Why assets, rates or accounts are as they were.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NotKept {
    /// The asset is known with other decimals, which never change.
    #[error("this asset has {0} decimals, for good")]
    OtherDecimals(u32),
    /// No asset has such decimals, or there is no number left for one more with them.
    #[error("an asset has up to 12 decimals, and there are 1,000 with each number of them")]
    NoNumber,
    /// The asset is not known.
    #[error("there is no asset {0}")]
    NoSuchAsset(Currency),
    /// The rate is none.
    #[error(
        "there is no rate from {0} to {1} like this: they are two assets, and the spread is below a million"
    )]
    NoRate(Currency, Currency),
    /// There is no such wallet.
    #[error("there is no such wallet")]
    NoSuchWallet,
    /// The wallet has no such account.
    #[error("this wallet has no account {0}")]
    NoSuchAccount(u16),
    /// The wallet has the account in another currency, or its next account has another number.
    #[error("{0}")]
    OtherAccount(&'static str),
    /// The balance would leave its range.
    #[error("the balance would leave its range")]
    OutOfRange,
    /// The wallet is closed.
    #[error("this wallet is closed")]
    Closed,
    /// There would be more rates than may be.
    #[error("there are up to 10,000 rates")]
    ManyRates,
    /// A table is full.
    #[error("the table is full; raise `ledger.{0}`")]
    Full(&'static str),
    /// The journal takes nothing now.
    #[error("the journal takes nothing now; try again, and look at /readyz")]
    Unavailable,
}

impl Pipeline {
    /// Every asset and rate as they are now.
    #[must_use]
    pub fn quotes(&self) -> Quotes {
        self.lock(Quotes::HOME).quotes().clone()
    }

    /// The asset of a code.
    #[must_use]
    pub fn asset_of_code(&self, code: AssetCode) -> Option<Currency> {
        self.lock(Quotes::HOME).quotes().asset_of_code(code).map(|known| known.asset)
    }

    /// The code of an asset.
    #[must_use]
    pub fn code_of_asset(&self, asset: Currency) -> Option<AssetCode> {
        let known = || self.lock(Quotes::HOME).quotes().asset(asset);
        asset.is_asset().then(known).flatten().map(|known| known.code)
    }

    /// Makes an asset known, or gives one that is known another name. Returns its number, and the record on which the
    /// answer waits; it is the last one when nothing has changed.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn set_asset(
        &self,
        code: AssetCode,
        decimals: u16,
        name: AssetName,
        now: Now,
    ) -> Result<(Currency, Sequence), NotKept> {
        let _one_at_a_time = self.opening.lock();
        let quotes = self.quotes();
        let asset = match quotes.asset_of_code(code) {
            Some(known) if known.asset.exponent() != u32::from(decimals) => {
                return Err(NotKept::OtherDecimals(known.asset.exponent()));
            }
            Some(known) if known.name == name => return Ok((known.asset, self.appended())),
            Some(known) => known.asset,
            None if quotes.assets().count() >= QUOTES_MAX => return Err(NotKept::NoNumber),
            None => quotes.next_asset(decimals).ok_or(NotKept::NoNumber)?,
        };
        match self.keep_quotes(&[Event::AssetSet(AssetSet { asset, code, name })], now) {
            (0, _) => Err(NotKept::Unavailable),
            (_, sequence) => Ok((asset, sequence)),
        }
    }

    /// Whether rates may be set and withdrawn like this.
    ///
    /// # Errors
    /// Why one of them may not.
    pub fn check_rates(&self, rates: &[RateSet]) -> Result<(), NotKept> {
        let quotes = self.quotes();
        let mut pairs: BTreeSet<_> = quotes.rates().map(|rate| (rate.from, rate.to)).collect();
        for RateSet { from, to, quote } in rates {
            for asset in [*from, *to].into_iter().filter(|asset| asset.is_asset()) {
                quotes.asset(asset).ok_or(NotKept::NoSuchAsset(asset))?;
            }
            match quote {
                Some(quote) if Rate::new(*from, *to, *quote, Sequence(0)).is_none() => {
                    return Err(NotKept::NoRate(*from, *to));
                }
                Some(_) => _ = pairs.insert((*from, *to)),
                None => _ = pairs.remove(&(*from, *to)),
            }
        }
        if pairs.len() > QUOTES_MAX { Err(NotKept::ManyRates) } else { Ok(()) }
    }

    /// Sets and withdraws rates that were checked, one after the other, as many as the journal has room for now.
    /// Returns how many, and the record on which the answer waits.
    pub fn set_rates(&self, rates: &[RateSet], now: Now) -> (usize, Sequence) {
        let _one_at_a_time = self.opening.lock();
        let events: Vec<Event> = rates.iter().map(|set| Event::RateSet(*set)).collect();
        self.keep_quotes(&events, now)
    }

    /// Journals what is set, as far as there is room, and gives every shard a copy.
    fn keep_quotes(&self, events: &[Event], now: Now) -> (usize, Sequence) {
        let (mut kept, mut last) = (0, Sequence(0));
        {
            let mut home = self.lock(Quotes::HOME);
            for event in events.iter().take_while(|_| self.admits(now)) {
                let Some((sequence, _)) = self.commit(&mut home, event, now) else { break };
                (kept, last) = (kept + 1, sequence);
            }
        }
        self.copy_quotes();
        self.wake_writer();
        (kept, last)
    }

    /// Gives every shard what the one that keeps assets and rates has.
    pub(super) fn copy_quotes(&self) {
        let quotes = self.quotes();
        for shard in &self.shards {
            let mut shard = shard.lock();
            if !shard.holds(Quotes::HOME) {
                shard.copy_quotes(&quotes);
            }
        }
    }

    /// Opens a further account of a wallet under the next number, in any asset. Returns the record on which the answer
    /// waits, and whether it was open before.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn open_pocket(
        &self,
        wallet: WalletId,
        (number, currency): (u16, Currency),
        overdraft: i64,
        now: Now,
    ) -> Result<(Sequence, bool), NotKept> {
        self.must_know(currency)?;
        if !self.admits(now) {
            return Err(NotKept::Unavailable);
        }
        let slot = Slot::of_wallet(wallet);
        let mut shard = self.lock(slot);
        let accounts = shard.wallet_accounts(wallet).ok_or(NotKept::NoSuchWallet)?;
        if let Some(known) = accounts.iter().find(|known| known.number == number) {
            let same = known.currency == currency && known.overdraft == overdraft;
            let other =
                NotKept::OtherAccount("this account is there in another currency or with another overdraft");
            return if same { Ok((shard.applied(), true)) } else { Err(other) };
        }
        if shard.wallet_status(wallet) == Some(WalletStatus::Closed) {
            return Err(NotKept::Closed);
        }
        let next = accounts.iter().map(|known| known.number).max().and_then(|last| last.checked_add(1));
        if next != Some(number) || accounts.len() >= Self::ACCOUNTS_MAX {
            return Err(NotKept::OtherAccount("accounts are numbered one by one, and a wallet has up to 64"));
        }
        if !shard.has_room_for_wallet() {
            return Err(NotKept::Full("wallets_max"));
        }
        let event = AccountFunded { slot, wallet, account: number, currency, amount: 0, overdraft };
        let committed = self.commit(&mut shard, &Event::AccountFunded(event), now);
        drop(shard);
        self.wake_writer();
        committed.map(|(sequence, _)| (sequence, false)).ok_or(NotKept::Unavailable)
    }

    /// Most accounts of a wallet.
    pub const ACCOUNTS_MAX: usize = 64;

    /// Whether something is a currency, or an asset that is known.
    ///
    /// # Errors
    /// It is an asset that is not.
    pub fn must_know(&self, currency: Currency) -> Result<(), NotKept> {
        let known = !currency.is_asset() || self.code_of_asset(currency).is_some();
        if known { Ok(()) } else { Err(NotKept::NoSuchAsset(currency)) }
    }

    /// Sets in which order a wallet's accounts are spent. Returns the record on which the answer waits.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn set_spending(&self, wallet: WalletId, order: Spending, now: Now) -> Result<Sequence, NotKept> {
        if !self.admits(now) {
            return Err(NotKept::Unavailable);
        }
        let slot = Slot::of_wallet(wallet);
        let mut shard = self.lock(slot);
        let accounts = shard.wallet_accounts(wallet).ok_or(NotKept::NoSuchWallet)?;
        let there = |number: &u16| accounts.iter().any(|known| known.number == *number);
        if let Some(missing) = order.as_slice().iter().find(|number| !there(number)) {
            return Err(NotKept::NoSuchAccount(*missing));
        }
        if shard.wallet_status(wallet) == Some(WalletStatus::Closed) {
            return Err(NotKept::Closed);
        }
        if shard.wallet_spending(wallet).copied().unwrap_or_default() == order {
            return Ok(shard.applied());
        }
        let event = Event::SpendingSet(SpendingSet { slot, wallet, order });
        let committed = self.commit(&mut shard, &event, now);
        drop(shard);
        self.wake_writer();
        committed.map(|(sequence, _)| sequence).ok_or(NotKept::Unavailable)
    }

    /// In which order a wallet's accounts are spent; empty where each authorization takes from one alone.
    #[must_use]
    pub fn spending(&self, wallet: WalletId) -> Spending {
        self.lock(Slot::of_wallet(wallet)).wallet_spending(wallet).copied().unwrap_or_default()
    }
}
