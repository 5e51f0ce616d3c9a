//! What is not ours goes to whoever it belongs to, and comes back: where it goes ([`route`]), what waits for an answer
//! ([`exchange`]) and whether one is its answer ([`matching`]), what we decide when no answer comes ([`stand_in`]), and
//! what a party must still be told ([`trunk`]).
//!
//! Everything here is a value: time comes as an argument, and what is to be done comes out. What must outlast a crash
//! is in [`trunk::Trunk`], which changes by events only, live and in recovery.

pub mod card_file;
pub mod exchange;
pub mod image;
pub mod matching;
pub mod originals;
pub mod queue;
pub mod route;
pub mod settings;
pub mod stand_in;
pub mod trunk;

#[cfg(test)]
mod tests;
