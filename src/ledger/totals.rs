//! What all accounts of a currency add up to, those of the house among them.

use crate::domain::money::Currency;

/// What one currency's accounts add up to in a shard, minor units. All but what is held sums to zero.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// The currency.
    pub currency: Currency,
    /// Posted on wallets.
    pub wallets: i128,
    /// The funding account: the opposite of what was put into wallets.
    pub funding: i128,
    /// The settlement account: what is owed to networks and merchants.
    pub settlement: i128,
    /// The suspense account: what was cleared and no wallet could take.
    pub suspense: i128,
    /// The fee account: what cardholders were charged.
    pub fees: i128,
    /// What has left a wallet of one slot for a wallet of another, less what has arrived here: zero over all slots.
    pub transit: i128,
    /// The adjustment account: what was put into wallets and taken out by somebody's word.
    pub adjustments: i128,
    /// The exchange account: what the house got of this for other assets, less what it gave.
    pub exchange: i128,
    /// The interest account: what accounts were paid for their balances.
    pub interest: i128,
    /// Held by open authorizations, what is charged for them among it.
    pub held: i128,
}

impl Totals {
    /// The sum of all postings: zero, or money was made or lost.
    #[must_use]
    pub const fn sum(&self) -> i128 {
        self.wallets + self.others()
    }

    /// Posted on everything but wallets.
    #[must_use]
    pub const fn others(&self) -> i128 {
        let Self { funding, settlement, suspense, fees, transit, adjustments, exchange, interest, .. } =
            *self;
        funding + settlement + suspense + fees + transit + adjustments + exchange + interest
    }

    /// Adds another shard's totals of the same currency.
    pub const fn add(&mut self, other: &Self) {
        self.wallets += other.wallets;
        self.funding += other.funding;
        self.settlement += other.settlement;
        self.suspense += other.suspense;
        self.fees += other.fees;
        self.transit += other.transit;
        self.adjustments += other.adjustments;
        self.exchange += other.exchange;
        self.interest += other.interest;
        self.held += other.held;
    }
}
