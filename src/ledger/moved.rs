//! Applying what a verb has moved: each side to its own wallet, with legs that sum to zero by themselves.

use crate::domain::event::Sequence;
use crate::domain::money::Currency;
use crate::domain::moved::Moved;
use crate::domain::moved::Side;
use crate::domain::moved::Sides;
use crate::domain::moved::Verb;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::time::Timestamp;

use super::apply::ApplyError;
use super::kept::Payment;
use super::mandates::Charge;
use super::shard::Account;
use super::shard::Shard;

impl Shard {
    /// Applies the sides that are of this shard.
    pub(super) fn moved(
        &mut self,
        sequence: Sequence,
        time: Timestamp,
        event: &Moved,
    ) -> Result<(), ApplyError> {
        let here = event.within(|slot| self.holds(slot)).sides;
        // Both are looked at before either is changed.
        let from = event
            .from
            .filter(|_| here.has(Sides::OUT))
            .map(|side| self.changed(side, (event.currency, -event.amount)));
        let from = from.transpose()?;
        let received = (event.received_in(), event.received());
        let to = event.to.filter(|_| here.has(Sides::IN)).map(|side| self.changed(side, received));
        let to = to.transpose()?;
        let refunds = event.verb == Verb::Refund && from.is_some();
        if refunds {
            self.refund(event)?;
        }
        if let (Verb::Charge, Some(_), Some(payer)) = (event.verb, &from, event.from) {
            let at_s = time.seconds() as u32;
            let charge = Charge { sequence, amount: event.received(), at_s };
            self.charge_mandate(payer.slot(), event.about, charge)?;
        }
        if let Some((wallet, account)) = from {
            self.write_account(wallet, account);
            let amount = i128::from(event.amount);
            let totals = self.totals_mut(event.currency);
            totals.wallets -= amount;
            match (event.to, event.verb) {
                (Some(_), _) if event.converted.is_some() => totals.exchange += amount,
                (Some(_), _) => totals.transit += amount,
                (None, Verb::Adjustment) => totals.adjustments += amount,
                (None, _) => totals.funding += amount,
            }
        }
        if let (Some(_), Some(side)) = (to, event.to) {
            // Where both sides are of one wallet, the first has changed it meanwhile.
            let (wallet, account) = self.changed(side, received)?;
            self.write_account(wallet, account);
            let (received, fee) = (i128::from(event.received()), i128::from(event.fee));
            let totals = self.totals_mut(event.received_in());
            totals.wallets += received;
            totals.fees += fee;
            match (event.from, event.verb) {
                (Some(_), _) if event.converted.is_some() => totals.exchange -= received,
                (Some(_), _) => totals.transit -= received + fee,
                (None, Verb::Adjustment) => totals.adjustments -= received + fee,
                (None, _) => totals.funding -= received + fee,
            }
            if let (Verb::Payment, Some(payer), 1..) = (event.verb, event.from, event.refundable_until_s) {
                self.keep_payment(sequence, event, payer, side);
            }
        }
        if here.has(Sides::KEY) {
            self.remember_key(event.key.slot(), &event.key, sequence);
        }
        let now_s = time.seconds() as u32;
        for (_, slot) in event.slots().into_iter().filter(|(side, _)| here.has(*side)) {
            slot.into_iter().for_each(|slot| self.drop_kept(slot, now_s));
        }
        Ok(())
    }

    /// An account of a side after it got an amount.
    fn changed(&self, side: Side, (currency, amount): (Currency, i64)) -> Result<(u32, Account), ApplyError> {
        let wallet = self.wallet_position(side.wallet).ok_or(ApplyError::NoSuchAccount)?;
        let of_side = |account: &&Account| account.number == side.account && account.currency == currency;
        let mut account = *self.accounts_of(wallet).find(of_side).ok_or(ApplyError::NoSuchAccount)?;
        account.posted = account.posted.checked_add(amount).ok_or(ApplyError::Overflow)?;
        Ok((wallet, account))
    }

    fn write_account(&mut self, wallet: u32, account: Account) {
        self.count_days(wallet, account.number);
        if let Some(place) = self.account_mut(wallet, account.number) {
            *place = account;
        }
    }

    fn keep_payment(&mut self, sequence: Sequence, event: &Moved, payer: Side, payee: Side) {
        self.add_payment(
            payee.slot(),
            Payment {
                sequence,
                payer,
                payee,
                currency: event.currency,
                amount: event.amount,
                fee: event.fee,
                refunded: 0,
                fee_refunded: 0,
                until_s: event.refundable_until_s,
            },
        );
    }

    fn refund(&mut self, event: &Moved) -> Result<(), ApplyError> {
        let at = self.slot_of(event.from.map_or_else(Slot::default, |merchant| merchant.slot()));
        let payment = self.kept[at].payment_mut(event.about).ok_or(ApplyError::NoSuchPayment)?;
        let refunded = payment.refunded.checked_add(event.received()).ok_or(ApplyError::Overflow)?;
        payment.refunded = refunded;
        payment.fee_refunded -= event.fee;
        Ok(())
    }

    /// The wallets of a movement that are here, for whoever copies them before they change.
    pub(super) fn wallets_of_moved(&self, event: &Moved) -> [Option<u32>; 2] {
        [event.from, event.to].map(|side| {
            let wallet = side.filter(|side| self.holds(side.slot()))?.wallet;
            self.wallet_position(wallet)
        })
    }

    /// An account of a wallet: the one with a number, or else the first in a currency. `None` when there is none, or it
    /// is in another currency.
    #[must_use]
    pub fn account_for_verb(
        &self,
        wallet: WalletId,
        number: Option<u16>,
        currency: Currency,
    ) -> Option<&Account> {
        let wallet = self.wallet_position(wallet)?;
        let fits = |account: &&Account| {
            account.currency == currency && number.is_none_or(|number| number == account.number)
        };
        self.accounts_of(wallet).find(fits)
    }
}
