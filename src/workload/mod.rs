//! Seeded traffic of a card network's acquiring side, and an independent model of the money.
//!
//! [`acquirer::Acquirer`] is the whole: it draws exchanges ([`traffic`]) for a [`population`], writes their frames from
//! [`template`]s, matches answers ([`reading`]) by the exchange's number in DE 37 ([`identity`], R33), and keeps its
//! own books of what every answer did ([`model`]). Whole life cycles are scripts (`script`) whose messages follow each
//! other's answers (`living`), with the model's rules for what they do (`life`), and what they wait for beside answers
//! ([`presenting`]). It knows no clock and no socket: times
//! are arguments, and equal seeds give equal traffic.
//!
//! [`party::Book`] is the issuer of `turnpike simulate`, and [`network::Network`] the network: it does not judge
//! answers, but lives by them, and repeats, reverses and stands in as networks do.

pub mod acquirer;
pub mod answers;
pub mod chance;
pub mod exchange;
mod form;
pub mod identity;
mod life;
mod living;
pub mod model;
pub mod network;
pub mod party;
pub mod population;
pub mod presenting;
pub mod reading;
mod script;
pub mod template;
pub mod traffic;

#[cfg(test)]
pub(crate) mod issuer;
#[cfg(test)]
mod tests;
