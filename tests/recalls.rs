//! Authorizations that have left memory, over real sockets: what comes about them later nets to the same money as if
//! they had stayed, whatever happens to the daemon and to its history in between (R6, R7, R9).

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::path::Path;

use harness::House;
use harness::LINKS;
use harness::PURCHASE;
use harness::Peer;
use harness::SEED;
use harness::Values;
use harness::config;
use harness::original;
use harness::records_by_kind;
use harness::seed;
use harness::with;
use turnpike::config::Config;

/// Closed authorizations that a slot keeps in memory.
const KEPT: u32 = 4;

/// Settings under which little stays in memory.
fn forgetful(data: &Path) -> Config {
    config(data, |config| {
        config.ledger.bounds.closed_per_slot = KEPT;
        config.ledger.bounds.answers_per_slot = 2;
        config.journal.retained_segments = 1_000;
    })
}

fn start(data: &Path) -> House {
    House::start(&forgetful(data), Some(&seed(SEED))).expect("a start")
}

/// Purchases on wallet 1 that are reversed at once, until whatever was closed before has left memory, and declines,
/// until whatever was answered before is forgotten.
fn push_out(peer: &mut Peer, numbers: &mut u32) {
    for _ in 0..KEPT {
        let (first, second) = (*numbers + 1, *numbers + 2);
        *numbers += 2;
        let (stan, rrn) = (format!("{first:06}"), format!("PUSH{first:08}"));
        let values = with(PURCHASE, &[(4, "000000000100"), (11, &stan), (37, &rrn)]);
        assert_eq!(peer.ask(100, &values).outcome(), (110, "00"));
        let (own, named) = (format!("{second:06}"), original(100, &stan));
        let values = with(&values, &[(11, &own), (14, ""), (90, &named)]);
        assert_eq!(peer.ask(400, &values).outcome(), (410, "00"));
    }
    for _ in 0..2 {
        *numbers += 1;
        let (stan, rrn) = (format!("{numbers:06}"), format!("PUSH{numbers:08}"));
        let values = with(PURCHASE, &[(4, "000099999999"), (11, &stan), (37, &rrn)]);
        assert_eq!(peer.ask(100, &values).outcome(), (110, "51"));
    }
}

/// A message, and what wallet 1 has posted and held after it. All are answered 00.
type Told<'v> = (u16, &'v Values<'v>, (i64, i64));

const FREE: (i64, i64) = (100_000, 0);
const PAID: (i64, i64) = (95_000, 0);

/// Every step but the first comes when all that the steps before have closed has left memory.
struct Life<'v> {
    name: &'static str,
    steps: &'v [Told<'v>],
}

fn lives(check: &mut dyn FnMut(&Life<'_>)) {
    let sale = &original(200, "000001");
    let request = &original(100, "000001");
    let named = |other: &'static str, of: &'static str| [(11, other), (90, of)];
    let sale: &'static str = sale.clone().leak();
    let request: &'static str = request.clone().leak();
    let (undo_sale, undo_request) = (named("000002", sale), named("000002", request));
    let complete = [(11, "000003"), (39, "00"), (90, request)];
    let approved = [(39, "00")];
    let mut life = |name, steps: &[Told<'_>]| check(&Life { name, steps });
    life(
        "a posting is reversed once",
        &[(200, &[], PAID), (420, &undo_sale, FREE), (421, &undo_sale, FREE), (400, &undo_sale, FREE)],
    );
    life(
        "a completion is posted once",
        &[
            (100, &[], (100_000, 5_000)),
            (220, &complete, PAID),
            (221, &complete, PAID),
            (220, &complete, PAID),
        ],
    );
    life(
        "what was reversed is paid when it is completed, once",
        &[
            (100, &[], (100_000, 5_000)),
            (400, &undo_request, FREE),
            (400, &undo_request, FREE),
            (220, &complete, PAID),
            (221, &complete, PAID),
        ],
    );
    life(
        "a reversal of what never came is repeated",
        &[(420, &undo_request, FREE), (421, &undo_request, FREE), (420, &undo_request, FREE)],
    );
    life(
        "a stand-in advice about a sale that was answered comes late",
        &[(200, &[], PAID), (220, &approved, PAID), (221, &approved, PAID), (420, &undo_sale, FREE)],
    );
}

fn told(house: &House, peer: &mut Peer, life: &Life<'_>, at: usize, link: &str) {
    let (mti, changes, balance) = life.steps[at];
    let values = with(PURCHASE, changes);
    let values = if mti / 100 == 4 { with(&values, &[(14, "")]) } else { values };
    let answer = peer.ask(mti, &values);
    let what = format!("{link}: {}: step {at}", life.name);
    assert_eq!(answer.outcome(), (mti + 10 - mti % 2, "00"), "{what}");
    assert_eq!(house.balance(1), balance, "{what}");
}

#[test]
fn r9_what_has_left_memory_is_matched_all_the_same() {
    for (link, _) in LINKS {
        lives(&mut |life| {
            let directory = tempfile::tempdir().expect("a directory");
            let house = start(directory.path());
            let mut peer = house.connect(link);
            let mut numbers = 1_000;
            for at in 0..life.steps.len() {
                told(&house, &mut peer, life, at, link);
                push_out(&mut peer, &mut numbers);
            }
            let asked = house.daemon().face.pipeline.asked();
            assert!(asked.look_ups > 0 && asked.recalled > 0, "{link}: {}: {asked:?}", life.name);
            assert_eq!((asked.failed, asked.refused, asked.waiting), (0, 0, 0));
            drop(peer);
            let drained = house.drain();
            assert!(records_by_kind(directory.path())["recalled"] > 0);
            let house = start(directory.path());
            let replayed = *house.daemon().face.last_hash.lock();
            assert_eq!(replayed, (drained.hash, drained.last), "{link}: {}: replay asks nobody", life.name);
        });
    }
}

#[test]
fn r9_a_restart_and_a_lost_history_change_nothing() {
    lives(&mut |life| {
        for lost in [false, true] {
            let directory = tempfile::tempdir().expect("a directory");
            let data = directory.path();
            let mut numbers = 1_000;
            for at in 0..life.steps.len() {
                let house = start(data);
                let mut peer = house.connect("visa");
                told(&house, &mut peer, life, at, "visa");
                push_out(&mut peer, &mut numbers);
                drop(peer);
                house.drain();
                if lost {
                    std::fs::remove_dir_all(data.join("history")).expect("it was there");
                }
            }
        }
    });
}
