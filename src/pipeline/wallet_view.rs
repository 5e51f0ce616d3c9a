//! How a wallet stands now, and of which record that is.

use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::ledger::wallet_view::WalletView;

use super::core::Pipeline;

impl Pipeline {
    /// Whether there is such a wallet.
    #[must_use]
    pub fn has_wallet(&self, wallet: WalletId) -> bool {
        self.lock(Slot::of_wallet(wallet)).wallet_status(wallet).is_some()
    }

    /// How a wallet stands, with everything up to the record that is returned and nothing after it; `None` when there
    /// is no such wallet. That record may not be durable yet.
    #[must_use]
    pub fn wallet_view(&self, wallet: WalletId) -> Option<(WalletView, Sequence)> {
        let shard = self.lock(Slot::of_wallet(wallet));
        // Whatever was appended for this shard has been applied to it: both happen under its lock.
        let sequence = self.appended();
        shard.wallet_view(wallet).map(|view| (view, sequence))
    }
}
