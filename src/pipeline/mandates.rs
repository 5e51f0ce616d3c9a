//! Giving mandates, cancelling and showing them.

use crate::authorizer::moving::Party;
use crate::authorizer::moving::Refusal;
use crate::authorizer::moving::asked_again;
use crate::domain::event::Event;
use crate::domain::event::Sequence;
use crate::domain::mandate::MandateCancelled;
use crate::domain::mandate::MandateGiven;
use crate::domain::mandate::Period;
use crate::domain::mandate::Terms;
use crate::domain::money::Currency;
use crate::domain::moved::CallerKey;
use crate::domain::moved::Side;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::domain::time::Now;
use crate::ledger::mandates::Mandate;

use super::core::Pipeline;
use super::moving::Carried;
use super::moving::NotMoved;

/// A mandate that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// Who is to be charged.
    pub payer: Party,
    /// Who is to get it.
    pub payee: Party,
    /// In which currency.
    pub currency: Currency,
    /// The most that may be charged in a period, minor units.
    pub max: i64,
    /// How many charges there may be in one; zero for any number.
    pub charges_max: u16,
    /// How often both begin anew.
    pub period: Period,
    /// When it ends by itself, seconds since 1970; zero for never.
    pub until_s: u32,
}

impl Pipeline {
    /// Gives a mandate under the payer's key. Its record is its name. `created_s` is when the caller made the key.
    ///
    /// # Errors
    /// Why it was not given. Nothing has changed.
    pub fn give_mandate(
        &self,
        asked: &Asked,
        key: &CallerKey,
        created_s: u64,
        now: Now,
    ) -> Result<Carried, NotMoved> {
        let Asked { payer, payee, currency, max, charges_max, period, until_s } = *asked;
        let key = self.kept_key(key, created_s);
        let slot = Slot::of_wallet(payer.wallet);
        // The payee may be in another shard; an account never goes away again.
        let of_payee = self.account_of(payee, currency);
        let mut shard = self.lock(slot);
        if let Some(done) = shard.done_under(slot, key.print) {
            return Ok(Carried { sequence: asked_again(&done, &key)?, again: true });
        }
        if max <= 0 {
            return Err(Refusal::InvalidAmount.into());
        }
        let status = shard.wallet_status(payer.wallet).ok_or(Refusal::NoSuchWallet(payer.wallet))?;
        if status == WalletStatus::Closed {
            return Err(Refusal::WalletStatus(payer.wallet, status).into());
        }
        let account = shard.account_for_verb(payer.wallet, payer.account, currency);
        let account = account.ok_or(Refusal::NoSuchAccount(payer.wallet, currency))?.number;
        let payer = Side { wallet: payer.wallet, account };
        let payee = of_payee?;
        if payer == payee {
            return Err(Refusal::ToItself.into());
        }
        let now_s = self.seconds(now) as u32;
        let forgets = shard.forgets_next(slot, now_s)[0];
        self.admit_key(created_s, || forgets, now)?;
        let [.., mandates] = self.verbs.kept();
        if mandates >= self.verbs.bounds().mandates_max && !shard.forgets_mandate(slot, now_s) {
            return Err(NotMoved::Full("mandates"));
        }
        let terms = Terms { payer, payee, currency, max, charges_max, period, until_s };
        let before = shard.kept_counts();
        let event = Event::MandateGiven(MandateGiven { slot, terms, key });
        let committed = self.commit(&mut shard, &event, now);
        self.verbs.count(before, shard.kept_counts());
        drop(shard);
        self.wake_writer();
        let (sequence, _) = committed.ok_or(NotMoved::Unavailable)?;
        Ok(Carried { sequence, again: false })
    }

    fn account_of(&self, party: Party, currency: Currency) -> Result<Side, NotMoved> {
        let shard = self.lock(Slot::of_wallet(party.wallet));
        shard.wallet_status(party.wallet).ok_or(Refusal::NoSuchWallet(party.wallet))?;
        let account = shard.account_for_verb(party.wallet, party.account, currency);
        let account = account.ok_or(Refusal::NoSuchAccount(party.wallet, currency))?.number;
        Ok(Side { wallet: party.wallet, account })
    }

    /// Cancels a mandate; one that was cancelled before stays so.
    ///
    /// # Errors
    /// The payer has given no such mandate, or the journal takes nothing now.
    pub fn cancel_mandate(&self, payer: WalletId, mandate: Sequence, now: Now) -> Result<Carried, NotMoved> {
        let slot = Slot::of_wallet(payer);
        let mut shard = self.lock(slot);
        let known = shard.mandate(slot, mandate).filter(|known| known.terms.payer.wallet == payer);
        let known = known.ok_or(Refusal::NoSuchMandate(payer, mandate))?;
        if known.cancelled_s != 0 {
            return Ok(Carried { sequence: shard.applied(), again: true });
        }
        if !self.admits(now) {
            return Err(NotMoved::Unavailable);
        }
        let event = Event::MandateCancelled(MandateCancelled { slot, mandate });
        let committed = self.commit(&mut shard, &event, now);
        drop(shard);
        self.wake_writer();
        let (sequence, _) = committed.ok_or(NotMoved::Unavailable)?;
        Ok(Carried { sequence, again: false })
    }

    /// A mandate of a payer.
    #[must_use]
    pub fn mandate(&self, payer: WalletId, mandate: Sequence) -> Option<Mandate> {
        let slot = Slot::of_wallet(payer);
        let shard = self.lock(slot);
        shard.mandate(slot, mandate).filter(|known| known.terms.payer.wallet == payer).cloned()
    }

    /// The mandates of a payer, oldest first; `None` without such a wallet.
    #[must_use]
    pub fn mandates_of(&self, payer: WalletId) -> Option<Vec<Mandate>> {
        let shard = self.lock(Slot::of_wallet(payer));
        shard.wallet_status(payer)?;
        Some(shard.mandates_of(payer).cloned().collect())
    }
}
