//! Interest of accounts: counted by the days of records' times before a balance changes, so that a replay comes to the
//! same, and paid out by records of their own.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::domain::interest::Accrual;
use crate::domain::interest::DayCount;
use crate::domain::interest::DayNumber;
use crate::domain::interest::InterestPaid;
use crate::domain::interest::InterestSet;
use crate::domain::interest::PaidOut;
use crate::domain::interest::Payout;
use crate::domain::interest::Terms;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::time::Timestamp;

use super::apply::ApplyError;
use super::image::put;
use super::restore::ImageError;
use super::restore::Take;
use super::shard::BALANCE_MAX;
use super::shard::Shard;
use super::state_hash::StateHash;

/// How accruals are told apart in the state hash from what else is in it.
const ACCRUAL_KIND: u8 = 45;

/// An account by its wallet and number.
pub type Place = (WalletId, u16);

/// What the accounts of a shard have earned and not been paid.
pub(super) type Earning = BTreeMap<Place, Accrual>;

impl Shard {
    /// What an account has earned and not been paid, up to the last change of its balance; `None` when it earns
    /// nothing.
    #[must_use]
    pub fn accrual(&self, wallet: WalletId, account: u16) -> Option<&Accrual> {
        self.earning.get(&(wallet, account))
    }

    /// What is to be paid out on a day, among so many accounts that earn from the one behind `after` on; and the last
    /// of these, `None` behind which there are no more.
    #[must_use]
    pub fn interest_due(
        &self,
        after: Option<Place>,
        accounts: usize,
        today: DayNumber,
    ) -> (Vec<InterestPaid>, Option<Place>) {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self.earning.range((from, Bound::Unbounded));
        let (mut due, mut last) = (Vec::new(), None);
        for (place, accrual) in rest.by_ref().take(accounts) {
            let (wallet, account) = *place;
            last = Some(*place);
            let payout = self.posted_of(wallet, account).and_then(|posted| fitting(accrual, today, posted));
            let slot = Slot::of_wallet(wallet);
            due.extend(payout.map(|payout| InterestPaid { slot, wallet, account, payout }));
        }
        let more = rest.next().is_some();
        (due, last.filter(|_| more))
    }

    /// What is next to be paid out to an account on a day.
    #[must_use]
    pub fn next_payout(&self, wallet: WalletId, account: u16, today: DayNumber) -> Option<InterestPaid> {
        let (accrual, posted) = (self.accrual(wallet, account)?, self.posted_of(wallet, account)?);
        let slot = Slot::of_wallet(wallet);
        fitting(accrual, today, posted).map(|payout| InterestPaid { slot, wallet, account, payout })
    }

    /// Whether an account has room for what it is to be paid out.
    #[must_use]
    pub fn has_range_for_interest(&self, event: &InterestPaid) -> bool {
        self.posted_of(event.wallet, event.account).is_some_and(|posted| fits(&event.payout, posted))
    }

    /// What an account is to be paid out before it stops to earn on a day.
    #[must_use]
    pub fn last_payout(&self, wallet: WalletId, account: u16, today: DayNumber) -> Option<InterestPaid> {
        let mut accrual = *self.accrual(wallet, account)?;
        accrual.count_to(today.before(), self.posted_of(wallet, account)?);
        let (slot, payout) = (Slot::of_wallet(wallet), accrual.last_payout());
        (payout.units > 0).then_some(InterestPaid { slot, wallet, account, payout })
    }

    fn posted_of(&self, wallet: WalletId, number: u16) -> Option<i64> {
        let wallet = self.wallet_position(wallet)?;
        self.accounts_of(wallet).find(|account| account.number == number).map(|account| account.posted)
    }

    /// Counts the days that are over at what an account has posted, before that changes.
    pub(super) fn count_days(&mut self, wallet: u32, number: u16) {
        let owner = self.wallets.at(wallet);
        if owner.earns {
            let (id, (_, now)) = (owner.id, self.applying);
            self.count_days_to(id, number, now);
        }
    }

    fn count_days_to(&mut self, wallet: WalletId, number: u16, now: Timestamp) {
        let posted = self.posted_of(wallet, number).unwrap_or(0);
        if let Some(accrual) = self.earning.get_mut(&(wallet, number)) {
            accrual.count_to(DayNumber::of(now).before(), posted);
        }
    }

    pub(super) fn set_interest(&mut self, time: Timestamp, event: &InterestSet) -> Result<(), ApplyError> {
        let wallet = self.wallet_position(event.wallet).ok_or(ApplyError::NoSuchAccount)?;
        self.posted_of(event.wallet, event.account).ok_or(ApplyError::NoSuchAccount)?;
        self.count_days_to(event.wallet, event.account, time);
        let place = (event.wallet, event.account);
        match (event.terms, self.earning.get_mut(&place)) {
            (Some(terms), Some(accrual)) => accrual.terms = terms,
            (Some(terms), None) => {
                self.earning.insert(place, Accrual::begun(terms, DayNumber::of(time)));
            }
            (None, _) => {
                self.earning.remove(&place);
            }
        }
        self.mark_earning(wallet);
        Ok(())
    }

    fn mark_earning(&mut self, wallet: u32) {
        let id = self.wallets.at(wallet).id;
        let earns = self.earning.range((id, 0)..=(id, u16::MAX)).next().is_some();
        self.wallets.at_mut(wallet).earns = earns;
    }

    pub(super) fn pay_interest(&mut self, event: &InterestPaid) -> Result<(), ApplyError> {
        let InterestPaid { wallet: id, account: number, payout, .. } = *event;
        let wallet = self.wallet_position(id).ok_or(ApplyError::NoSuchAccount)?;
        let posted = self.posted_of(id, number).ok_or(ApplyError::NoSuchAccount)?;
        let mut accrual = *self.accrual(id, number).ok_or(ApplyError::OtherInterest)?;
        accrual.count_to(payout.through, posted);
        let accrual = accrual.paid(&payout).ok_or(ApplyError::OtherInterest)?;
        let account = self.account_mut(wallet, number).ok_or(ApplyError::NoSuchAccount)?;
        account.posted = account.posted.checked_add(payout.units).ok_or(ApplyError::Overflow)?;
        let currency = account.currency;
        self.earning.insert((id, number), accrual);
        let totals = self.totals_mut(currency);
        totals.wallets += i128::from(payout.units);
        totals.interest -= i128::from(payout.units);
        Ok(())
    }

    /// Adds what a wallet's accounts have earned to its image.
    pub(super) fn put_earning(&self, wallet: WalletId, out: &mut Vec<u8>) {
        let all = || self.earning.range((wallet, 0)..=(wallet, u16::MAX));
        put(out, (all().count() as u16).to_le_bytes());
        all().for_each(|((_, account), accrual)| put_accrual(*account, accrual, out));
    }

    pub(super) fn take_earning(&mut self, take: &mut Take<'_>, wallet: u32) -> Result<(), ImageError> {
        let id = self.wallets.at(wallet).id;
        for _ in 0..take.u16()? {
            let (account, accrual) = take_accrual(take)?;
            self.earning.insert((id, account), accrual);
        }
        self.mark_earning(wallet);
        Ok(())
    }

    pub(super) fn hash_earning(&self, hash: &mut StateHash) {
        let mut bytes = Vec::new();
        for ((wallet, account), accrual) in &self.earning {
            bytes.clear();
            put(&mut bytes, wallet.0.to_le_bytes());
            put_accrual(*account, accrual, &mut bytes);
            hash.add_bytes(ACCRUAL_KIND, &bytes);
        }
    }
}

/// What is due, where the account can take it: what it cannot is paid once there is room.
fn fitting(accrual: &Accrual, today: DayNumber, posted: i64) -> Option<Payout> {
    accrual.due(today, posted).filter(|payout| fits(payout, posted))
}

fn fits(payout: &Payout, posted: i64) -> bool {
    posted.checked_add(payout.units).is_some_and(|after| after <= BALANCE_MAX)
}

/// Passes over what a wallet's accounts have earned in an image.
pub(super) fn skip_earning(take: &mut Take<'_>) -> Result<(), ImageError> {
    (0..take.u16()?).try_for_each(|_| take_accrual(take).map(|_| ()))
}

fn put_accrual(account: u16, accrual: &Accrual, out: &mut Vec<u8>) {
    let Accrual { terms, through, parts, owed } = *accrual;
    put(out, account.to_le_bytes());
    put(out, terms.rate_ppm.to_le_bytes());
    put(out, [terms.day_count as u8, terms.paid_out as u8]);
    put(out, through.0.to_le_bytes());
    put(out, parts.to_le_bytes());
    put(out, owed.to_le_bytes());
}

fn take_accrual(take: &mut Take<'_>) -> Result<(u16, Accrual), ImageError> {
    let (account, rate_ppm) = (take.u16()?, take.u32()?);
    let day_count = DayCount::from_code(take.u8()?).ok_or(ImageError::Value("day count"))?;
    let paid_out = PaidOut::from_code(take.u8()?).ok_or(ImageError::Value("day of interest"))?;
    let terms = Terms { rate_ppm, day_count, paid_out };
    let (through, parts, owed) = (DayNumber(take.u32()?), take.u128()?, take.u128()?);
    Ok((account, Accrual { terms, through, parts, owed }))
}
