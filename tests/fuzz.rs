//! What the fuzz targets hold, on the corpus that is kept and on seeded changes of it, without a fuzzer.
//!
//! `TURNPIKE_FUZZ_MUTATIONS` sets how many changed inputs each target tries (default 1,000). `scripts/fuzz` runs the
//! fuzzer itself, which looks for new ones.

#![expect(clippy::expect_used, clippy::panic, reason = "what does not hold fails where it is found")]

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::path::PathBuf;

use targets::TARGETS;
use targets::Target;

#[path = "../fuzz/targets/mod.rs"]
#[expect(unreachable_pub, reason = "they are a library of their own for the fuzzer")]
mod targets;

/// Bytes of a kept input: larger ones say nothing that a small one does not.
const INPUT_BYTES_MAX: u64 = 16 * 1024;
/// Inputs that are kept for all targets together.
const INPUTS_MAX: usize = 1_000;

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target.name)
}

fn kept(target: &Target) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder(target))
        .expect("the corpus is there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).expect("a file")).collect()
}

/// Runs one input, and shows it when something does not hold.
fn tried(target: &Target, input: &[u8]) {
    if catch_unwind(|| (target.run)(input)).is_err() {
        let hex: String = input.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{}: {hex}", target.name);
    }
}

/// A generator of whole numbers that gives the same ones on every machine (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end.max(1) as u64) as usize
    }
}

/// A few changes, each small or a piece of another input.
fn changed(input: &[u8], other: &[u8], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..=chance.below(4) {
        let at = chance.below(bytes.len());
        let byte = [0, 1, 0x7f, 0x80, 0xff, b'0', b'9', chance.below(256) as u8][chance.below(8)];
        match chance.below(7) {
            0 | 1 if !bytes.is_empty() => bytes[at] = byte,
            2 if !bytes.is_empty() => bytes[at] ^= 1 << chance.below(8),
            3 => bytes.truncate(at),
            4 if !bytes.is_empty() => drop(bytes.drain(at..bytes.len().min(at + 1 + chance.below(4)))),
            5 => {
                let from = chance.below(other.len());
                let piece = other[from..].iter().copied().take(1 + chance.below(40));
                drop(bytes.splice(at..at, piece));
            }
            _ => bytes.insert(at.min(bytes.len()), byte),
        }
    }
    bytes
}

#[test]
fn what_the_fuzz_targets_hold_holds_for_the_corpus_and_its_neighbours() {
    let mutations =
        std::env::var("TURNPIKE_FUZZ_MUTATIONS").map_or(1_000, |count| count.parse().expect("a number"));
    std::thread::scope(|scope| {
        for target in TARGETS {
            scope.spawn(move || {
                let inputs = [(target.seeds)(), kept(target)].concat();
                inputs.iter().for_each(|input| tried(target, input));
                let mut chance = Chance(42);
                for _ in 0..mutations {
                    let (one, other) = (chance.below(inputs.len()), chance.below(inputs.len()));
                    tried(target, &changed(&inputs[one], &inputs[other], &mut chance));
                }
            });
        }
    });
}

#[test]
fn the_corpus_is_small() {
    let mut inputs = 0;
    for target in TARGETS {
        for entry in fs::read_dir(folder(target)).expect("the corpus is there") {
            let bytes = entry.expect("an entry").metadata().expect("a file").len();
            assert!(bytes <= INPUT_BYTES_MAX, "{}: an input of {bytes} bytes", target.name);
            inputs += 1;
        }
    }
    assert!(inputs <= INPUTS_MAX, "{inputs} inputs are kept");
}

/// Numbers that issuers gave out for tests, and such as no issuer has.
const TEST_CARDS: [&str; 3] = ["411111", "400000", "422222"];

#[test]
fn the_corpus_holds_no_card_of_anybody() {
    for target in TARGETS {
        for input in [(target.seeds)(), kept(target)].concat() {
            let (dialect, bodies) = match target.name {
                "visa" => (&*targets::VISA, vec![input]),
                "iso87" => (&*targets::ISO87, vec![input]),
                "mastercard" => (&*targets::MASTERCARD, vec![input]),
                "iso87_binary" => (&*targets::ISO87_BINARY, vec![input]),
                "session" => targets::session::messages(&input),
                _ => continue,
            };
            for card in bodies.iter().filter_map(|body| targets::frames::card_of(dialect, body)) {
                let allowed = card.starts_with('0') || TEST_CARDS.iter().any(|test| card.starts_with(test));
                assert!(allowed, "{}: a card number that is no test card's", target.name);
            }
        }
    }
}
