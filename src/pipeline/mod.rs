//! How the rooms are joined: shards behind locks, the journal's buffer, the gate that answers wait at, and
//! the bounds of all of them.
//!
//! A request runs to completion on the thread that read it: look-up, shard lock, decision, record, apply, answer.
//! Locks are taken in one order: history, opening of cards, shard (lower first), journal buffer.

pub mod asking;
pub mod assets;
pub mod channel;
pub mod clearing;
pub mod core;
pub mod expiry;
pub mod gate;
pub mod interest;
pub mod issuing;
pub mod limits;
mod lookahead;
pub mod mandates;
pub mod moving;
pub mod notice;
pub mod past;
pub mod products;
pub mod recall;
pub mod seeding;
pub mod snapshot;
pub mod spread;
pub mod station;
pub mod switching;
pub mod tally;
pub mod unknown;
pub mod views;
pub mod wallet_view;
pub mod writer;
pub mod zones;
