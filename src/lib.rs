//! Turnpike: a card authorization and payment switch daemon.
//!
//! The rooms, in floor order; a room imports only what stands above it here (`tests/architecture.rs` holds the
//! table). Everything is pure but [`edge`].
//!
//! ```text
//! floor 0   domain      the field's words as types; events
//!           iso8583     bytes <-> message: MTI, bitmap, encodings, field tables, framing
//!           settings    TOML tables read with positions, every finding reported
//! floor 1   crypto      the vault that seals card numbers
//!           ledger      cards, wallets, accounts, authorizations: one shard as a value, and `apply`
//!           clearing    clearing files -> presentments
//!           journal     records, batches, segments, group commit, over a storage trait
//!           dialect     the one room that knows both bytes and domain
//! floor 2   authorizer  the checks in order, then the hold
//!           switch      routing, exchanges, stand-in, store-and-forward
//!           link        a session without a socket
//! floor 3   recovery    journal -> ledger, through the same `apply`
//!           history     closed authorizations on disk, found by card for as long as they can be matched
//!           workload    seeded traffic and an independent model of the money
//! floor 4   pipeline    joins the rooms: shards and locks, durability gate, bounds
//!           config      TOML text -> checked settings
//! floor 5   edge        the only room that touches the world
//! ```

pub mod domain;
pub mod iso8583;
pub mod settings;

pub mod clearing;
pub mod crypto;
pub mod dialect;
pub mod journal;
pub mod ledger;

pub mod authorizer;
pub mod link;
pub mod switch;

pub mod history;
pub mod recovery;
pub mod workload;

pub mod config;
pub mod pipeline;

pub mod edge;
