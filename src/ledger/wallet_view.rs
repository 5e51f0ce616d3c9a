//! How a wallet stands: its accounts, and what is open on them.

use crate::domain::card::MaskedPan;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;

use super::authorization::AuthorizationState;
use super::shard::Account;
use super::shard::Shard;
use super::view::AuthorizationView;

/// A wallet as plain values, made under its shard's lock or in books of one's own.
#[derive(Clone, Debug)]
pub struct WalletView {
    /// Whether it may be used.
    pub status: WalletStatus,
    /// Its accounts, in their order.
    pub accounts: Vec<Account>,
    /// What holds or pends, newest first, each with its card's number as it may be shown.
    pub open: Vec<(AuthorizationView, MaskedPan)>,
}

impl WalletView {
    /// What is open in one state, newest first.
    pub fn in_state(
        &self,
        state: AuthorizationState,
    ) -> impl Iterator<Item = &(AuthorizationView, MaskedPan)> {
        self.open.iter().filter(move |(view, _)| view.authorization.state == state)
    }

    /// What will be credited to an account, minor units (R15): it is neither posted nor available.
    #[must_use]
    pub fn pending_credits(&self, account: u16) -> i64 {
        let pending = self.in_state(AuthorizationState::Pending).map(|(view, _)| &view.authorization);
        let of_account = pending.filter(|of| of.account == account);
        of_account.fold(0, |sum, of| sum.saturating_add(of.taken))
    }
}

impl Shard {
    /// How a wallet stands; `None` when there is no such wallet here.
    #[must_use]
    pub fn wallet_view(&self, wallet: WalletId) -> Option<WalletView> {
        let status = self.wallet_status(wallet)?;
        let accounts = self.wallet_accounts(wallet)?;
        let open = self.wallet_open(wallet)?.into_iter();
        let with_number = |view: AuthorizationView| Some((self.card_view(view.card)?.pan, view));
        let open = open.filter_map(with_number).map(|(pan, view)| (view, pan)).collect();
        Some(WalletView { status, accounts, open })
    }
}
