//! What each fuzz target does with bytes, and the inputs that it starts from.
//!
//! These are plain functions that panic when something does not hold. `bins/` gives them to a fuzzer; `tests/fuzz.rs`
//! of the package above gives them the committed corpus, so that whatever was found once stays found.

use std::sync::LazyLock;

use turnpike::dialect::Dialect;

pub mod clearing;
pub mod de48;
pub mod dialect_file;
pub mod frames;
pub mod house;
pub mod journal;
pub mod memory;
pub mod play;
pub mod session;
pub mod subfields;
pub mod tags;

/// One fuzz target.
pub struct Target {
    /// Its name, which is also that of its folder under `corpus/`.
    pub name: &'static str,
    /// Tries one input.
    pub run: fn(&[u8]),
    /// Inputs that reach deep, for a corpus to grow from.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "visa", run: frames::visa, seeds: frames::visa_seeds },
    Target { name: "iso87", run: frames::iso87, seeds: frames::iso87_seeds },
    Target { name: "mastercard", run: frames::mastercard, seeds: frames::mastercard_seeds },
    Target { name: "iso87_binary", run: frames::iso87_binary, seeds: frames::iso87_binary_seeds },
    Target { name: "de48", run: de48::run, seeds: de48::seeds },
    Target { name: "tags", run: tags::run, seeds: tags::seeds },
    Target { name: "subfields", run: subfields::run, seeds: subfields::seeds },
    Target { name: "dialect_file", run: dialect_file::run, seeds: dialect_file::seeds },
    Target { name: "session", run: session::run, seeds: session::seeds },
    Target { name: "journal", run: journal::run, seeds: journal::seeds },
    Target { name: "clearing", run: clearing::run, seeds: clearing::seeds },
];

/// Mastercard's dialect.
pub static MASTERCARD: LazyLock<Dialect> = LazyLock::new(|| built_in("mastercard"));
/// ISO 8583:1987 in packed digits.
pub static ISO87_BINARY: LazyLock<Dialect> = LazyLock::new(|| built_in("iso87-binary"));
/// Visa's dialect.
pub static VISA: LazyLock<Dialect> = LazyLock::new(|| built_in("visa"));
/// ISO 8583:1987 in ASCII.
pub static ISO87: LazyLock<Dialect> = LazyLock::new(|| built_in("iso87-ascii"));

fn built_in(name: &str) -> Dialect {
    Dialect::built_in(name).expect("it is compiled in")
}

/// A byte of a seed's or an input's head; zero past its end.
fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}
