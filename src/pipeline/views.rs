//! What the HTTP face shows, gathered under the locks and handed out as plain values.

use crate::domain::card::CardRef;
use crate::domain::event::Sequence;
use crate::domain::party::Slot;
use crate::domain::party::WalletId;
use crate::domain::party::WalletStatus;
use crate::ledger::audit::Holds;
use crate::ledger::authorization::Authorization;
use crate::ledger::books::sum_totals;
use crate::ledger::shard::Account;
use crate::ledger::shard::Shortened;
use crate::ledger::state_hash::StateHash;
use crate::ledger::totals::Totals;
use crate::ledger::view::AuthorizationView;
use crate::ledger::view::Fill;

use super::core::Pipeline;

/// The sums of each currency at one sequence.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Audit {
    /// By currency.
    pub totals: Vec<Totals>,
    /// Everything up to this record is in them, and nothing after it.
    pub sequence: Sequence,
}

impl Pipeline {
    /// A wallet's status and accounts; `None` when there is no such wallet.
    #[must_use]
    pub fn wallet(&self, wallet: WalletId) -> Option<(WalletStatus, Vec<Account>)> {
        let shard = self.lock(Slot::of_wallet(wallet));
        Some((shard.wallet_status(wallet)?, shard.wallet_accounts(wallet)?))
    }

    /// The authorizations of a wallet that are in memory, newest first; `None` when there is no such wallet.
    #[must_use]
    pub fn wallet_authorizations(&self, wallet: WalletId) -> Option<Vec<AuthorizationView>> {
        self.lock(Slot::of_wallet(wallet)).wallet_authorizations(wallet)
    }

    /// An authorization that has left memory, as those in memory are shown.
    #[must_use]
    pub fn older_view(&self, card: CardRef, authorization: &Authorization) -> AuthorizationView {
        self.lock(Slot::of_card(card)).older_view(card, authorization)
    }

    /// The sums at one sequence: every shard is locked for the time it takes to copy its few totals.
    #[must_use]
    pub fn audit(&self) -> Audit {
        let shards: Vec<_> = self.shards.iter().map(|shard| shard.lock()).collect();
        let sequence = self.appended();
        Audit { totals: sum_totals(shards.iter().map(|shard| shard.totals())), sequence }
    }

    /// What the open authorizations of each account hold beside what it says, one shard after the other: a shard
    /// decides nothing while its own are added up.
    #[must_use]
    pub fn audit_holds(&self) -> Holds {
        let mut holds = Holds::default();
        for shard in &self.shards {
            shard.lock().audit_holds(&mut holds);
        }
        holds
    }

    /// The state hash, with the sequence that it is of. Stops every decision while it walks all tables: for a drain.
    #[must_use]
    pub fn state_hash(&self) -> (StateHash, Sequence) {
        let shards: Vec<_> = self.shards.iter().map(|shard| shard.lock()).collect();
        let mut hash =
            shards.iter().map(|shard| shard.state_hash()).fold(StateHash::default(), StateHash::join);
        hash.add_totals(&sum_totals(shards.iter().map(|shard| shard.totals())));
        (hash, self.appended())
    }

    /// How full the tables are, one shard after the other.
    #[must_use]
    pub fn fill(&self) -> Fill {
        let mut fill = Fill::default();
        for shard in &self.shards {
            fill.add(&shard.lock().fill());
        }
        fill
    }

    /// What was given up early because a bound was reached, since the start.
    #[must_use]
    pub fn shortened(&self) -> Shortened {
        let mut sum = Shortened::default();
        for shard in &self.shards {
            let of_shard = shard.lock().shortened();
            sum.closed += of_shard.closed;
            sum.answers += of_shard.answers;
        }
        sum
    }
}
