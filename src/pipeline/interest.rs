//! Interest: set for accounts, and paid out once a day is over, some accounts of one shard at a time.

use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::interest::DayNumber;
use crate::domain::interest::InterestSet;
use crate::domain::interest::Terms;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::domain::time::Now;
use crate::ledger::interest::Place;

use super::assets::NotKept;
use super::core::Pipeline;

/// Accounts that are looked at under one hold of a lock.
const ACCOUNTS: usize = 256;

/// Where a pass over all accounts that earn stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pass {
    shard: usize,
    after: Option<Place>,
}

/// What came of a step of a pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// There is more to look at.
    More,
    /// The pass has come to its end.
    End,
    /// The journal takes nothing now: the step is to be done again.
    Later,
}

impl Pipeline {
    /// What an account earns; `None` when that is nothing.
    #[must_use]
    pub fn interest_of(&self, wallet: WalletId, account: u16) -> Option<Terms> {
        self.lock(Slot::of_wallet(wallet)).accrual(wallet, account).map(|accrual| accrual.terms)
    }

    /// Goes on with a pass by one step: pays out what is due among the next accounts, as often as it is due.
    pub fn pay_interest(&self, pass: &mut Pass, now: Now) -> Step {
        let Some(shard) = self.shards.get(pass.shard) else { return Step::End };
        let mut shard = shard.lock();
        let today = DayNumber::of(now.wall);
        let (due, last) = shard.interest_due(pass.after, ACCOUNTS, today);
        let mut paid = false;
        for event in due {
            let mut next = Some(event);
            while let Some(event) = next {
                if !self.admits(now) || self.commit(&mut shard, &Event::InterestPaid(event), now).is_none() {
                    self.wake_writer();
                    return Step::Later;
                }
                paid = true;
                // What was paid earns from the next day on, which may be over too.
                next = shard.next_payout(event.wallet, event.account, today);
            }
        }
        *pass = match last {
            Some(place) => Pass { after: Some(place), ..*pass },
            None => Pass { shard: pass.shard + 1, after: None },
        };
        drop(shard);
        if paid {
            self.wake_writer();
        }
        if pass.shard < self.shards.len() { Step::More } else { Step::End }
    }

    /// Sets what an account earns from today on, or that it earns no more: then it is paid out first. Returns the
    /// record on which the answer waits.
    ///
    /// # Errors
    /// Why nothing was done.
    pub fn set_interest(
        &self,
        wallet: WalletId,
        account: u16,
        terms: Option<Terms>,
        now: Now,
    ) -> Result<Sequence, NotKept> {
        if !self.admits(now) {
            return Err(NotKept::Unavailable);
        }
        let slot = Slot::of_wallet(wallet);
        let mut shard = self.lock(slot);
        let accounts = shard.wallet_accounts(wallet).ok_or(NotKept::NoSuchWallet)?;
        if !accounts.iter().any(|known| known.number == account) {
            return Err(NotKept::NoSuchAccount(account));
        }
        let known = shard.accrual(wallet, account).map(|accrual| accrual.terms);
        if known == terms {
            return Ok(shard.applied());
        }
        if terms.is_some() && shard.wallet_status(wallet) == Some(WalletStatus::Closed) {
            return Err(NotKept::Closed);
        }
        let today = DayNumber::of(now.wall);
        let last = shard.last_payout(wallet, account, today).filter(|_| terms.is_none());
        if let Some(last) = last {
            if !shard.has_range_for_interest(&last) {
                return Err(NotKept::OutOfRange);
            }
            self.commit(&mut shard, &Event::InterestPaid(last), now).ok_or(NotKept::Unavailable)?;
        }
        let event = Event::InterestSet(InterestSet { slot, wallet, account, terms });
        let committed = self.commit(&mut shard, &event, now);
        drop(shard);
        self.wake_writer();
        committed.map(|(sequence, _)| sequence).ok_or(NotKept::Unavailable)
    }
}
