//! Cards, wallets, accounts and authorizations: one shard as a value, and [`shard::Shard::apply`], the only way it
//! changes.
//!
//! Invariants, each held by a test:
//! - For each currency, wallets, funding and settlement sum to zero after every event.
//! - `held` of an account is the sum of its open holds.
//! - Equal journals give equal state hashes, whatever the number of shards, the hash seeds or the order of loading.
//! - After the tables were reserved, no event allocates.

pub mod advise;
pub mod answers;
pub mod apply;
pub mod audit;
pub mod authorization;
pub mod books;
pub mod chain;
pub mod clearing;
mod counting;
pub mod departed;
pub mod directory;
mod expire;
pub mod fees;
pub mod group;
pub mod image;
pub mod index;
pub mod interest;
pub mod kept;
mod limited;
pub mod limits;
mod limits_image;
mod limits_part;
mod lists;
pub mod lookahead;
pub mod mandates;
mod moved;
pub mod older;
pub mod one_slot;
pub mod prefetch;
pub mod presented;
pub mod products;
pub mod quotes;
mod recall;
pub mod restore;
mod reverse;
pub mod room;
pub mod shard;
pub mod share;
pub mod slab;
mod sliding;
pub mod state_hash;
pub mod suspense;
pub mod totals;
pub mod view;
pub mod wallet_view;
mod zones;
