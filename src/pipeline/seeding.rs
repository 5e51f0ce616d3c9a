//! Opening accounts and cards, and what is set on them from outside: journaled like anything else (R22).

use crate::domain::card::CardStatus;
use crate::domain::card::Pan;
use crate::domain::card::ServiceCode;
use crate::domain::card::Verification;
use crate::domain::event::AccountFunded;
use crate::domain::event::CardOpened;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::event::WalletStatusSet;
use crate::domain::interest::DayNumber;
use crate::domain::interest::InterestSet;
use crate::domain::money::Currency;
use crate::domain::moved::CallerKey;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::domain::time::Expiry;
use crate::domain::time::Now;
use crate::ledger::directory::PanHash;
use crate::ledger::kept::Done;
use crate::ledger::shard::Account;
use crate::ledger::shard::Shard;

use super::core::Pipeline;

/// An account to be opened and funded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewAccount {
    /// Whose.
    pub wallet: WalletId,
    /// In which currency.
    pub currency: Currency,
    /// What is put in, minor units.
    pub balance: i64,
    /// How far below zero it may go, minor units.
    pub overdraft: i64,
}

/// A card to be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NewCard {
    /// Whose.
    pub wallet: WalletId,
    /// Its number.
    pub pan: Pan,
    /// Its month.
    pub expiry: Expiry,
    /// From the track.
    pub service_code: ServiceCode,
    /// Whether it may be used.
    pub status: CardStatus,
    /// What its product asks for (R28).
    pub verification: Verification,
    /// The caller's name for it, where a verb asks for it.
    pub key: Option<CallerKey>,
}

/// What came of opening something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opened {
    /// It is open now.
    New,
    /// It was open before: the same file was being loaded when the daemon stopped.
    Already,
    /// The journal has no room now; try again when the writer has caught up.
    Later,
    /// A table is full: raise the setting of this name.
    Full(&'static str),
    /// The card is on another wallet, or its wallet is not open.
    Refused,
    /// Something was opened under this caller's key before.
    Under(Done),
}

impl Pipeline {
    /// Opens and funds an account.
    #[must_use]
    pub fn open_account(&self, account: &NewAccount, now: Now) -> Opened {
        let slot = Slot::of_wallet(account.wallet);
        let mut shard = self.lock(slot);
        let accounts = shard.wallet_accounts(account.wallet).unwrap_or_default();
        if accounts.iter().any(|known| known.currency == account.currency) {
            return Opened::Already;
        }
        if !shard.has_room_for_wallet() {
            return Opened::Full("wallets_max");
        }
        let event = Event::AccountFunded(AccountFunded {
            slot,
            wallet: account.wallet,
            account: accounts.len() as u16,
            currency: account.currency,
            amount: account.balance,
            overdraft: account.overdraft,
        });
        match self.commit(&mut shard, &event, now) {
            Some(_) => Opened::New,
            None => Opened::Later,
        }
    }

    /// Opens a card on a wallet that is not closed. Under a key only one is opened, however many ask at once (R10).
    #[must_use]
    pub fn open_card(&self, card: &NewCard, now: Now) -> Opened {
        let slot = Slot::of_wallet(card.wallet);
        let under = |shard: &Shard| card.key.and_then(|key| shard.done_under(slot, key.print));
        let _opening = self.opening.lock();
        if let Some(done) = under(&self.lock(slot)) {
            return Opened::Under(done);
        }
        if let (shard, Some(position)) = self.locate(card.pan) {
            let owner = shard.wallet_of(shard.card(position));
            return if owner == card.wallet { Opened::Already } else { Opened::Refused };
        }
        let hash = PanHash::of(card.pan, self.seed);
        if !self.directory.has_room() {
            return Opened::Full("cards_max");
        }
        let mut shard = self.lock(slot);
        if let Some(done) = under(&shard) {
            return Opened::Under(done);
        }
        let status = shard.wallet_status(card.wallet);
        // What a seed file has is opened as it is.
        let closed = card.key.is_some() && status == Some(WalletStatus::Closed);
        if closed || status.is_none() {
            return Opened::Refused;
        }
        if !shard.has_room_for_card() {
            return Opened::Full("cards_max");
        }
        let event = Event::CardOpened(CardOpened {
            slot,
            wallet: card.wallet,
            card: shard.next_card_ref(slot),
            pan: card.pan,
            expiry: card.expiry,
            service_code: card.service_code,
            status: card.status,
            verification: card.verification,
            key: card.key,
        });
        let before = shard.kept_counts();
        let Some((_, applied)) = self.commit(&mut shard, &event, now) else { return Opened::Later };
        self.verbs.count(before, shard.kept_counts());
        match applied.opened.map(|location| self.directory.insert(hash, location)) {
            Some(Ok(())) => Opened::New,
            _ => Opened::Full("cards_max"),
        }
    }

    /// Gives a wallet a status. Returns the record that must be durable before this is acknowledged (R1), which is
    /// the last one when the wallet has the status already; `Err` without such a wallet, or when the journal takes
    /// nothing now.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn set_wallet_status(
        &self,
        wallet: WalletId,
        status: WalletStatus,
        now: Now,
    ) -> Result<Sequence, NotSet> {
        if !self.admits(now) {
            return Err(NotSet::Unavailable);
        }
        let slot = Slot::of_wallet(wallet);
        let mut shard = self.lock(slot);
        let before = shard.wallet_status(wallet).ok_or(NotSet::NotThere("wallet"))?;
        if before == status {
            return Ok(shard.applied());
        }
        let event = Event::WalletStatusSet(WalletStatusSet { slot, wallet, status });
        let committed = self.commit(&mut shard, &event, now);
        drop(shard);
        self.wake_writer();
        committed.map(|(sequence, _)| sequence).ok_or(NotSet::Unavailable)
    }
}

impl Pipeline {
    /// Closes a wallet whose accounts are at zero and hold nothing. `None` where one is not, or has earned more than it
    /// has room for.
    ///
    /// # Errors
    /// There is no such wallet, or the journal takes nothing now.
    pub fn close_wallet(&self, wallet: WalletId, now: Now) -> Result<Option<Sequence>, NotSet> {
        if !self.admits(now) {
            return Err(NotSet::Unavailable);
        }
        let slot = Slot::of_wallet(wallet);
        let mut shard = self.lock(slot);
        let accounts = shard.wallet_accounts(wallet).ok_or(NotSet::NotThere("wallet"))?;
        if shard.wallet_status(wallet) == Some(WalletStatus::Closed) {
            return Ok(Some(shard.applied()));
        }
        let is_empty = |accounts: &[Account]| accounts.iter().all(|of| of.posted == 0 && of.held == 0);
        if !is_empty(&accounts) {
            return Ok(None);
        }
        // What was earned and not paid is the owner's; nothing is earned afterwards.
        let numbers = || accounts.iter().map(|account| account.number);
        let today = DayNumber::of(now.wall);
        let payouts: Vec<_> =
            numbers().filter_map(|number| shard.last_payout(wallet, number, today)).collect();
        if !payouts.iter().all(|payout| shard.has_range_for_interest(payout)) {
            return Ok(None);
        }
        for payout in payouts {
            self.commit(&mut shard, &Event::InterestPaid(payout), now).ok_or(NotSet::Unavailable)?;
        }
        if !is_empty(&shard.wallet_accounts(wallet).unwrap_or_default()) {
            self.wake_writer();
            return Ok(None);
        }
        for account in numbers().filter(|number| shard.accrual(wallet, *number).is_some()).collect::<Vec<_>>()
        {
            let ended = InterestSet { slot, wallet, account, terms: None };
            self.commit(&mut shard, &Event::InterestSet(ended), now).ok_or(NotSet::Unavailable)?;
        }
        let event = Event::WalletStatusSet(WalletStatusSet { slot, wallet, status: WalletStatus::Closed });
        let committed = self.commit(&mut shard, &event, now);
        drop(shard);
        self.wake_writer();
        committed.map(|(sequence, _)| Some(sequence)).ok_or(NotSet::Unavailable)
    }
}

/// Why something was not set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NotSet {
    /// There is nothing of this kind with the number that was given.
    NotThere(&'static str),
    /// The card's status is one for good.
    Ended(CardStatus),
    /// A table is full: raise the setting of this name.
    Full(&'static str),
    /// So many of these were told that there are no more numbers for others.
    Spent(&'static str),
    /// The journal fails or is past its bounds.
    Unavailable,
}
