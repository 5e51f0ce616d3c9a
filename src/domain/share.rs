//! What further accounts of a wallet bear of an authorization (R13).
//!
//! An authorization takes from one account, in whose currency it is. Where that has less, or the wallet's owner wants
//! others to be spent before it, those bear shares of it: each holds an amount of its own asset, which stands for so
//! much of the authorization's at the rate of when it was decided. Taken in order, given back in reverse. What the
//! network has promised and no account had is the last share, of the authorization's own account.

use super::event::Sequence;
use super::money::Currency;
use super::party::Slot;
use super::party::WalletId;

/// What one account bears.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Share {
    /// Its number in the wallet.
    pub account: u16,
    /// So much of its asset, minor units,
    pub amount: i64,
    /// stands for so much of what the authorization takes.
    pub covers: i64,
    /// The record that set the rate; zero between accounts of one asset.
    pub rate: Sequence,
}

impl Share {
    /// How much of its asset the first `covered` of what it covers costs, rounded up to a whole unit. Steps add up:
    /// what they cost together is what all of it costs.
    #[must_use]
    pub fn cost_of(&self, covered: i64) -> i64 {
        let (amount, covers) = (i128::from(self.amount), i128::from(self.covers.max(1)));
        let cost = (amount * i128::from(covered) + covers - 1).div_euclid(covers);
        i64::try_from(cost).unwrap_or(i64::MAX)
    }
}

/// What further accounts bear of one authorization, in the order in which they are taken from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Shares {
    list: [Share; Self::MAX],
    len: u8,
    ahead: u8,
    opens: Option<Currency>,
}

impl Shares {
    /// Most of them: further accounts, and what nobody had.
    pub const MAX: usize = Self::ACCOUNTS_MAX + 1;
    /// Most further accounts.
    pub const ACCOUNTS_MAX: usize = 4;
    /// None, as with nearly all authorizations.
    pub const NONE: Self = Self {
        list: [Share { account: 0, amount: 0, covers: 0, rate: Sequence(0) }; Self::MAX],
        len: 0,
        ahead: 0,
        opens: None,
    };

    /// Whether no further account bears anything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All of them, in order.
    #[must_use]
    pub fn as_slice(&self) -> &[Share] {
        &self.list[..usize::from(self.len)]
    }

    /// How many of them are taken from before the authorization's own account.
    #[must_use]
    pub const fn ahead(&self) -> u8 {
        self.ahead
    }

    /// In which currency the authorization's own account is opened with it, empty: the wallet had none.
    #[must_use]
    pub const fn opens(&self) -> Option<Currency> {
        self.opens
    }

    /// The same, with the account opened.
    #[must_use]
    pub const fn opening(self, currency: Currency) -> Self {
        Self { opens: Some(currency), ..self }
    }

    /// Adds one behind the others, `ahead` of the authorization's own account or behind that. `false` when there is no
    /// room, or one that is ahead would stand behind another that is not.
    pub fn push(&mut self, share: Share, ahead: bool) -> bool {
        let at = usize::from(self.len);
        if at == Self::MAX || ahead && self.ahead != self.len {
            return false;
        }
        self.list[at] = share;
        self.len += 1;
        self.ahead += u8::from(ahead);
        true
    }
}

/// In which order a wallet's accounts are spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spending {
    list: [u16; Self::MAX],
    len: u8,
}

impl Spending {
    /// Most accounts in an order: an authorization's own and those that bear shares of it.
    pub const MAX: usize = Shares::ACCOUNTS_MAX + 1;

    /// An order of accounts; `None` when there are too many, or one is there twice.
    #[must_use]
    pub fn new(accounts: &[u16]) -> Option<Self> {
        let mut order = Self::default();
        for account in accounts {
            if usize::from(order.len) == Self::MAX || order.as_slice().contains(account) {
                return None;
            }
            order.list[usize::from(order.len)] = *account;
            order.len += 1;
        }
        Some(order)
    }

    /// The accounts in order. Without any, each authorization takes from one account alone.
    #[must_use]
    pub fn as_slice(&self) -> &[u16] {
        &self.list[..usize::from(self.len)]
    }
}

/// A wallet was told in which order its accounts are spent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SpendingSet {
    /// The wallet's slot.
    pub slot: Slot,
    /// Which wallet.
    pub wallet: WalletId,
    /// From now on.
    pub order: Spending,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_a_share_add_up_to_all_of_it() {
        for (amount, covers) in [(1, 1), (7, 3), (3, 7), (100_000, 99), (99, 100_000), (i64::MAX / 2, 12_345)]
        {
            let share = Share { account: 1, amount, covers, rate: Sequence(1) };
            assert_eq!((share.cost_of(0), share.cost_of(covers)), (0, amount));
            let mut before = 0;
            for covered in (1..=covers).step_by(1.max(covers as usize / 97)) {
                let cost = share.cost_of(covered);
                assert!(
                    cost >= before
                        && i128::from(cost) * i128::from(covers) >= i128::from(amount) * i128::from(covered)
                );
                before = cost;
            }
        }
    }

    #[test]
    fn shares_and_orders_are_bounded() {
        let share = |account| Share { account, amount: 1, covers: 2, rate: Sequence(0) };
        let mut shares = Shares::NONE;
        assert!(shares.is_empty());
        assert!(shares.push(share(1), true) && shares.push(share(2), false));
        assert!(!shares.push(share(3), true));
        assert!((3..=5).all(|account| shares.push(share(account), false)) && !shares.push(share(6), false));
        assert_eq!((shares.as_slice().len(), shares.ahead()), (5, 1));
        assert_eq!(Spending::new(&[3, 0, 7]).map(|order| order.as_slice().to_vec()), Some(vec![3, 0, 7]));
        assert_eq!([Spending::new(&[1, 1]), Spending::new(&[0, 1, 2, 3, 4, 5])], [None; 2]);
        assert!(Spending::new(&[]).is_some_and(|order| order.as_slice().is_empty()));
    }
}
