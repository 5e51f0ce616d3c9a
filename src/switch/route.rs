//! Work in hand.
