//! What a wallet's accounts can give together for an authorization, and what each of them bears of it (R13).

use crate::domain::asset::Rate;
use crate::domain::event::Sequence;
use crate::domain::fee::Charge;
use crate::domain::money::Currency;
use crate::domain::money::Money;
use crate::domain::share::Share;
use crate::domain::share::Shares;
use crate::ledger::authorization::Authorization;
use crate::ledger::shard::Account;
use crate::ledger::shard::Card;
use crate::ledger::shard::Shard;

/// The accounts of a wallet that has an order in which they are spent.
pub(super) struct Purse<'s> {
    shard: &'s Shard,
    card: &'s Card,
    own: Account,
    /// What is let go of with what is decided, by account.
    freed: Vec<(u16, i64)>,
}

/// A further account in the order.
struct Further<'s> {
    account: &'s Account,
    /// What of its hold is let go of.
    freed: i64,
    /// `None` where it has the same asset.
    rate: Option<&'s Rate>,
    ahead: bool,
}

impl Further<'_> {
    /// What it can give, in its own asset: what is posted and not held. It never goes below zero for another account.
    fn has(&self) -> i64 {
        self.account.posted.saturating_sub(self.account.held).saturating_add(self.freed).max(0)
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
        shard.spending_of(card).map(|_| Self { shard, card, own: *own, freed: Vec::new() })
    }

    /// The same where an authorization and the increments of its purchase end with it, which were held on another
    /// account.
    fn freed_of(mut self, ended: &Authorization) -> Self {
        self.freed = self.shard.held_by_accounts(self.card, ended);
        self.own.held = self.own.held.saturating_sub(self.freed_on(self.own.number));
        self
    }

    fn freed_on(&self, account: u16) -> i64 {
        let of_account = self.freed.iter().filter(|(number, _)| *number == account);
        of_account.fold(0, |sum, (_, held)| sum.saturating_add(*held))
    }

    /// The account that an authorization takes from whose amount is in none of the currencies that the wallet has
    /// (R11): a new one in the first of these that an account in the order is turned into.
    fn opened(shard: &Shard, card: &Card, currencies: impl Iterator<Item = Currency>) -> Option<Account> {
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
    fn further(&self) -> impl Iterator<Item = Further<'s>> + '_ {
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
                freed: self.freed_on(*number),
                rate: rate.filter(|_| !same),
                ahead: at < place,
            })
        });
        all.take(Shares::ACCOUNTS_MAX)
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

    /// What the others bear of so much. What nobody has is the own account's, and stands last.
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
        left -= own.take().unwrap_or(0).min(left);
        if left > 0 && !shares.is_empty() {
            let owed = Share { account: self.own.number, amount: left, covers: left, rate: Sequence(0) };
            let _there_is_room = shares.push(owed, false);
        }
        shares
    }
}

/// The account that is opened for an authorization in a currency that the wallet lacks, and the amount in it: of those
/// that the message has the first that an account is turned into. A limit of an amount counts in its own currency: none
/// is passed by through an account that is opened.
pub(super) fn opened_for(amounts: [Money; 2], shard: &Shard, card: &Card) -> Option<(Account, i64)> {
    let account = Purse::opened(shard, card, amounts.into_iter().map(|amount| amount.currency))?;
    let amount = amounts.into_iter().find(|amount| amount.currency == account.currency)?;
    (!shard.counts_other_amounts(card, account.currency)).then_some((account, amount.minor))
}

/// What further accounts bear of an amount with what is charged for it, where an authorization is set or ended by it,
/// of which `before` is there already.
pub(super) fn shares_of(
    shard: &Shard,
    card: &Card,
    own: &Account,
    (amount, charge): (i64, Option<Charge>),
    (known, before): (Option<&Authorization>, i64),
) -> Shares {
    let Some(mut purse) = Purse::of(shard, card, own) else { return Shares::NONE };
    if let Some(ended) = known.filter(|known| known.account != own.number) {
        purse = purse.freed_of(ended);
    }
    let need = amount.saturating_add(shard.charged_for(card, charge, amount)).saturating_sub(before);
    if need > 0 { purse.bear(need) } else { Shares::NONE }
}
