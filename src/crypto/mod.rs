//! Keys, and the vault that seals card numbers where they are stored.
//!
//! One master key of 32 bytes comes from a key file. Everything else is derived from it by name, so that no two
//! purposes share key bytes. Nothing here reads a file: `edge` reads it and checks who else may.

pub mod keys;
pub mod vault;
