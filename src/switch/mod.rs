//! What is not ours goes to whoever it belongs to, and comes back: where it goes ([`route`]), what waits for an answer
//! ([`exchange`]), what we decide when no answer comes ([`stand_in`]), and what a party must still be told ([`trunk`]).
//!
//! Everything here is a value: time comes as an argument, and what is to be done comes out.

pub mod exchange;
pub mod route;
pub mod stand_in;
pub mod trunk;
