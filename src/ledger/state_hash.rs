//! The state hash: a sum mod 2^128 over everything a ledger knows, so that it depends on no address, shard, hash seed
//! or order. Two ledgers that applied the same journal have the same hash.

use xxhash_rust::xxh3::Xxh3;

use crate::domain::product::ProductNumber;

use super::authorization::Authorization;
use super::authorization::AuthorizationState;
use super::shard::Shard;
use super::totals::Totals;

/// A sum of hashes of logical things.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StateHash(pub u128);

impl std::fmt::Display for StateHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl StateHash {
    /// Joins what two disjoint parts of a ledger hash to.
    #[must_use]
    pub const fn join(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    fn add(&mut self, kind: u8, values: &[&[u64]]) {
        let mut hasher = Xxh3::new();
        hasher.update(&[kind]);
        for value in values.iter().copied().flatten() {
            hasher.update(&value.to_le_bytes());
        }
        self.0 = self.0.wrapping_add(hasher.digest128());
    }

    /// Adds a thing that is written as bytes.
    pub(super) fn add_bytes(&mut self, kind: u8, bytes: &[u8]) {
        let mut hasher = Xxh3::new();
        hasher.update(&[kind]);
        hasher.update(bytes);
        self.0 = self.0.wrapping_add(hasher.digest128());
    }

    /// Adds a ledger's totals, summed over all its shards.
    pub fn add_totals(&mut self, totals: &[Totals]) {
        for total in totals {
            let mut hasher = Xxh3::new();
            hasher.update(&[0]);
            hasher.update(&total.currency.numeric().to_le_bytes());
            for value in [total.wallets, total.funding, total.settlement, total.suspense, total.held] {
                hasher.update(&value.to_le_bytes());
            }
            // Accounts that many ledgers never use are in the hash once they are used.
            for (tag, value) in [
                (1, total.fees),
                (2, total.transit),
                (3, total.adjustments),
                (4, total.exchange),
                (5, total.interest),
            ] {
                if value != 0 {
                    hasher.update(&[tag]);
                    hasher.update(&value.to_le_bytes());
                }
            }
            self.0 = self.0.wrapping_add(hasher.digest128());
        }
    }
}

/// What an authorization is found by and repeated from. Its terminal and merchant are kept as fingerprints under this
/// process's seed, so they are left out: the record, whose number is hashed, has them.
fn named(entry: &Authorization) -> [u64; 9] {
    let [first, second] = [&entry.rrn[..6], &entry.rrn[6..]].map(padded);
    let codes =
        u64::from(entry.coded.bits()) << 32 | u64::from(entry.currency) << 16 | u64::from(entry.account);
    [
        entry.network_reference,
        entry.acquirer,
        first,
        second,
        u64::from(entry.stan) << 32 | u64::from(entry.transmission),
        u64::from(entry.class) << 48 | u64::from(entry.network) << 32,
        entry.amount as u64,
        codes,
        padded(&entry.approval_code),
    ]
}

/// Up to eight bytes as a number.
fn padded(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

impl Shard {
    /// The hash of what this shard knows, its totals left out (they are split differently by another number of
    /// shards; see [`StateHash::add_totals`]).
    #[must_use]
    pub fn state_hash(&self) -> StateHash {
        let mut hash = StateHash::default();
        for (position, wallet) in self.wallets.iter() {
            for account in self.accounts_of(position) {
                let (number, currency) = (u64::from(account.number), u64::from(account.currency.numeric()));
                let traits = number << 32 | currency << 16 | wallet.status as u64;
                let amounts = [account.posted as u64, account.held as u64, account.overdraft as u64];
                hash.add(1, &[&[wallet.id.0, traits], &amounts]);
            }
        }
        for (_, card) in self.cards.iter() {
            let owner = self.wallets.at(card.wallet).id.0;
            let product = u16::from(card.product().map_or(0, ProductNumber::get));
            let standing = product << 8 | card.verification as u16;
            let traits = [card.expiry.digits(), card.service_code, card.status as u16, standing];
            let traits = traits.iter().fold(0, |all, part| all << 16 | u64::from(*part));
            hash.add(2, &[&[card.reference.0, owner, traits]]);
        }
        for (_, entry) in self.authorizations.iter() {
            if entry.state != AuthorizationState::Vacant {
                let card = self.cards.at(entry.card).reference.0;
                let state = u64::from(entry.legs.0) << 16
                    | u64::from(entry.state as u8) << 8
                    | u64::from(entry.action as u8);
                let times = u64::from(entry.changed_s) << 32 | u64::from(entry.hold_until_s);
                let outcome = [entry.taken as u64, entry.answered as u64, entry.closed_by.0, times];
                hash.add(3, &[&[entry.sequence.0, card, state], &outcome, &named(entry)]);
            }
        }
        for entry in self.answers.iter() {
            let code = padded(&entry.approval_code);
            let codes = u64::from(entry.processing_code) << 32
                | u64::from(entry.currency) << 16
                | u64::from(entry.account_currency);
            let times = u64::from(entry.transmission) << 32 | u64::from(entry.answered_s);
            let amounts = [entry.amount as u64, entry.posted as u64, entry.available as u64];
            let outcome = [entry.sequence.0, u64::from(entry.action as u8), code, codes, times];
            hash.add(4, &[&outcome, &amounts]);
        }
        for (slot, state) in self.slots.iter().enumerate() {
            if state.approvals > 0 || state.cards > 0 {
                let number = slot as u64 + u64::from(self.first_slot);
                hash.add(
                    5,
                    &[&[number, state.approvals, u64::from(state.cards), u64::from(state.closed_len)]],
                );
            }
        }
        self.limits.hash_into(&mut hash);
        self.hash_filed(&mut hash);
        self.fees.hash_into(&mut hash);
        self.hash_shares(&mut hash);
        self.hash_quotes(&mut hash);
        self.hash_earning(&mut hash);
        for (slot, kept) in (self.first_slot..).zip(&self.kept) {
            kept.hash_into(slot, &mut hash);
        }
        hash
    }
}
