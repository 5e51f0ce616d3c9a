//! What a wallet's accounts can give together for an authorization, and what each of them bears of it (R13).

use crate::domain::asset::Rate;
use crate::domain::event::Sequence;
use crate::domain::fee::Charge;
use crate::domain::money::Currency;
use crate::domain::share::Share;
use crate::domain::share::Shares;
use crate::ledger::shard::Account;
use crate::ledger::shard::Card;
use crate::ledger::shard::Shard;

/// The accounts of a wallet that has an order in which they are spent.
pub(super) struct Purse<'s> {
    shard: &'s Shard,
    card: &'s Card,
    own: Account,
}

/// A further account in the order.
struct Further<'s> {
    account: &'s Account,
    /// `None` where it has the same asset.
    rate: Option<&'s Rate>,
    ahead: bool,
}

impl Further<'_> {
    /// What it can give, in its own asset: what is posted and not held. It never goes below zero for another account.
    fn has(&self) -> i64 {
        self.account.posted.saturating_sub(self.account.held).max(0)
    }

    /// What that covers.
    fn covers(&self) -> i64 {
        match self.rate {
            None => self.has(),
            Some(rate) => rate.bought_with(self.has()).unwrap_or(0),
        }
    }

    fn share(&self, covers: i64) -> Option<Share> {
        let amount = match self.rate {
            None => covers,
            Some(rate) => rate.cost_of(covers)?,
        };
        let rate = self.rate.map_or(Sequence(0), |rate| rate.version);
        (amount > 0).then_some(Share { account: self.account.number, amount, covers, rate })
    }
}

impl<'s> Purse<'s> {
    /// The purse of an authorization that takes from an account; `None` where no other account is spent with it.
    pub(super) fn of(shard: &'s Shard, card: &'s Card, own: &Account) -> Option<Self> {
        shard.spending_of(card).map(|_| Self { shard, card, own: *own })
    }

    /// The account that an authorization takes from whose amount is in none of the currencies that the wallet has
    /// (R11): a new one in the first of these that an account in the order is turned into.
    pub(super) fn opened(
        shard: &Shard,
        card: &Card,
        currencies: impl Iterator<Item = Currency>,
    ) -> Option<Account> {
        let order = shard.spending_of(card)?.as_slice();
        let number = shard.next_account(card)?;
        let quotes = shard.quotes();
        let turned_into = |currency: &Currency| {
            let mut accounts = order.iter().filter_map(|number| shard.account_numbered(card, *number));
            accounts.any(|account| quotes.rate(account.currency, *currency).is_some())
        };
        let currency = currencies.into_iter().find(turned_into)?;
        Some(Account::empty(currency, number))
    }

    /// The other accounts, in order, as far as they can give anything for this one.
    fn further(&self) -> impl Iterator<Item = Further<'s>> {
        let (shard, card, own) = (self.shard, self.card, self.own);
        let order = shard.spending_of(card).map_or(&[][..], |order| order.as_slice());
        // Where it is not named itself, it is spent first.
        let place = order.iter().position(|number| *number == own.number).unwrap_or(0);
        let others = order.iter().enumerate().filter(move |(_, number)| **number != own.number);
        let all = others.filter_map(move |(at, number)| {
            let account = shard.account_numbered(card, *number)?;
            let same = account.currency == own.currency;
            let rate = shard.quotes().rate(account.currency, own.currency);
            (same || rate.is_some()).then_some(Further {
                account,
                rate: rate.filter(|_| !same),
                ahead: at < place,
            })
        });
        all.take(Shares::MAX)
    }

    /// An account that has available what all of them can give together.
    pub(super) fn together(&self) -> Account {
        let further = self.further().fold(0_i64, |sum, of| sum.saturating_add(of.covers()));
        // What the account owes is to be had by nobody.
        let all = self.own.available().saturating_add(further);
        let mut together = self.own;
        (together.posted, together.held, together.overdraft) = (all, 0, 0);
        together
    }

    /// What the others bear of so much. What they cannot, the account itself does.
    pub(super) fn bear(&self, need: i64) -> Shares {
        let mut shares = Shares::NONE;
        let (mut left, mut own) = (need, Some(self.own.available().max(0)));
        for of in self.further() {
            if !of.ahead {
                left -= own.take().unwrap_or(0).min(left);
            }
            let covers = of.covers().min(left);
            if covers <= 0 {
                continue;
            }
            if let Some(share) = of.share(covers)
                && shares.push(share, of.ahead)
            {
                left -= covers;
            }
        }
        shares
    }
}

/// What further accounts bear of an amount with what is charged for it, where `before` of it is there already.
pub(super) fn shares_of(
    shard: &Shard,
    card: &Card,
    own: &Account,
    (amount, charge): (i64, Option<Charge>),
    before: i64,
) -> Shares {
    let Some(purse) = Purse::of(shard, card, own) else { return Shares::NONE };
    let need = amount.saturating_add(shard.charged_for(card, charge, amount)).saturating_sub(before);
    if need > 0 { purse.bear(need) } else { Shares::NONE }
}
