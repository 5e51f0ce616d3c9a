//! Exit codes, by the habits of `sysexits.h`.

/// All is well.
pub const OK: u8 = 0;
/// The command line makes no sense.
pub const USAGE: u8 = 2;
/// Data that was given is wrong: a seed file, a message, a damaged journal.
pub const DATA: u8 = 65;
/// A target or a socket is not to be had.
pub const UNAVAILABLE: u8 = 69;
/// The disk failed.
pub const IO: u8 = 74;
/// The configuration is wrong.
pub const CONFIGURATION: u8 = 78;
/// A load test ran, and a threshold or the money does not hold; or a simulated network was not told all it had to be.
pub const THRESHOLD: u8 = 99;
/// A run was interrupted, as shells have it for SIGINT.
pub const INTERRUPTED: u8 = 130;
