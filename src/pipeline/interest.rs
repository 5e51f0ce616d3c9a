//! Interest: set for accounts, and paid out once a day is over, some accounts of one shard at a time.

use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::interest::Accrual;
use crate::domain::interest::DayNumber;
use crate::domain::interest::InterestPaid;
use crate::domain::interest::InterestSet;
use crate::domain::interest::Terms;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::time::Now;
use crate::domain::time::Timestamp;
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
    /// The day that records are of now.
    #[must_use]
    pub fn today(&self, now: Now) -> DayNumber {
        DayNumber::of(Timestamp::from_seconds(self.seconds(now)))
    }

    /// What an account earns; `None` when that is nothing.
    #[must_use]
    pub fn interest_of(&self, wallet: WalletId, account: u16) -> Option<Terms> {
        self.lock(Slot::of_wallet(wallet)).accrual(wallet, account).map(|accrual| accrual.terms)
    }

    /// Goes on with a pass by one step: pays out what is due among the next accounts, as often as it is due.
    pub fn pay_interest(&self, pass: &mut Pass, now: Now) -> Step {
        let Some(shard) = self.shards.get(pass.shard) else { return Step::End };
        let mut shard = shard.lock();
        let today = self.today(now);
        let (due, last) = shard.interest_due(pass.after, ACCOUNTS, today);
        let mut paid = false;
        for event in due {
            let mut next = Some(event);
            while let Some(event) = next {
                if !self.admits(now) || self.commit(&mut shard, &Event::InterestPaid(event), now).is_none() {
                    return Step::Later;
                }
                paid = true;
                // What was paid earns from the next day on, which may be over too.
                let again = |accrual: &Accrual| {
                    let posted = shard.wallet_accounts(event.wallet)?;
                    let posted = posted.iter().find(|known| known.number == event.account)?.posted;
                    accrual.due(today, posted)
                };
                let payout = shard.accrual(event.wallet, event.account).and_then(again);
                next = payout.map(|payout| InterestPaid { payout, ..event });
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
        let last = shard.last_payout(wallet, account, self.today(now)).filter(|_| terms.is_none());
        if let Some(last) = last {
            self.commit(&mut shard, &Event::InterestPaid(last), now).ok_or(NotKept::Unavailable)?;
        }
        let event = Event::InterestSet(InterestSet { slot, wallet, account, terms });
        let committed = self.commit(&mut shard, &event, now);
        drop(shard);
        self.wake_writer();
        committed.map(|(sequence, _)| sequence).ok_or(NotKept::Unavailable)
    }
}
