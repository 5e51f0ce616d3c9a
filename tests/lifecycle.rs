//! What happens to an authorization after its first answer, over the wire: increments (R17), partial reversals (R7),
//! completions (R14), credits (R15), and the end of its time (R19).

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use harness::FREE;
use harness::House;
use harness::LINKS;
use harness::PURCHASE;
use harness::Values;
use harness::config;
use harness::eventually;
use harness::original;
use harness::run_steps;
use harness::seed;
use harness::with;
use turnpike::authorizer::CreditsAt;
use turnpike::authorizer::increase;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;

const APPROVED: (u8, &str) = (39, "00");

/// The network's id of the purchase: Visa DE 62.2.
const VISA_ID: (u8, &str) = (62, "40000000000000000123456789012345");
/// Another purchase's.
const VISA_OTHER_ID: (u8, &str) = (62, "40000000000000000123456789012399");
/// 63.1, and 63.3 = 3900: an increment.
const VISA_INCREMENT: (u8, &str) = (63, "A0000000023900");
/// Mastercard's: DE 63 with DE 15, or DE 48 SE 63 that names it.
const MASTERCARD_ID: [(u8, &str); 2] = [(63, "MCC0000A2"), (15, "0604")];
const TRACE_ID: (u8, &str) = (48, "R6315MCC0000A20604  ");
/// DE 61, whose seventh position says preauthorization.
const PREAUTHORIZATION: (u8, &str) = (61, "0000004000800840902101234");

#[test]
fn r17_an_increment_adds_and_has_its_own_reversal() {
    let of = original(100, "000002");
    let visa: [&Values<'_>; 3] = [
        &[VISA_ID],
        &[VISA_ID, VISA_INCREMENT, (4, "000000002000"), (11, "000002"), (37, "REF000000002")],
        &[VISA_ID, (4, "000000002000"), (11, "000003"), (37, "REF000000003"), (90, &of)],
    ];
    let [id, day] = MASTERCARD_ID;
    let add: &Values<'_> = &[
        PREAUTHORIZATION,
        TRACE_ID,
        (63, "MCC0000A9"),
        day,
        (4, "000000002000"),
        (11, "000002"),
        (37, "REF000000002"),
    ];
    let mastercard: [&Values<'_>; 3] = [
        &[id, day, PREAUTHORIZATION],
        add,
        &[TRACE_ID, (4, "000000002000"), (11, "000003"), (37, "REF000000003"), (90, &of)],
    ];
    for (link, [first, add, undo_one]) in [("visa", visa), ("mastercard", mastercard)] {
        // One leg, then the whole by the id alone, with an amount that no message has.
        let by_id = if link == "visa" { VISA_ID } else { TRACE_ID };
        let whole: &Values<'_> = &[by_id, (4, "000000009999"), (11, "000004"), (37, "REF000000004")];
        run_steps(
            link,
            &[
                (100, first, "00", (100_000, 5_000)),
                (100, add, "00", (100_000, 7_000)),
                (101, add, "00", (100_000, 7_000)),
                (420, undo_one, "00", (100_000, 5_000)),
                (421, undo_one, "00", (100_000, 5_000)),
                (420, whole, "00", FREE),
                (421, whole, "00", FREE),
                // It adds to what was undone.
                (100, &with(add, &[(11, "000005"), (37, "REF000000005")]), "", FREE),
            ],
        );
        // The whole at once, by the amount of both.
        let both: &Values<'_> = &[by_id, (4, "000000007000"), (11, "000004"), (37, "REF000000004")];
        run_steps(
            link,
            &[
                (100, first, "00", (100_000, 5_000)),
                (100, add, "00", (100_000, 7_000)),
                (420, both, "00", FREE),
            ],
        );
        // A completion takes the place of all of it, and what adds to it then is a purchase of its own.
        let completion: &Values<'_> =
            &[by_id, APPROVED, (4, "000000006500"), (11, "000004"), (37, "REF000000004")];
        run_steps(
            link,
            &[
                (100, first, "00", (100_000, 5_000)),
                (100, add, "00", (100_000, 7_000)),
                (220, completion, "00", (93_500, 0)),
                (221, completion, "00", (93_500, 0)),
                (100, &with(add, &[(11, "000005"), (37, "REF000000005")]), "00", (93_500, 2_000)),
            ],
        );
    }
    // One that names nothing that we know is a purchase like any other.
    run_steps(
        "visa",
        &[
            (100, &[VISA_ID], "00", (100_000, 5_000)),
            (100, &[VISA_OTHER_ID, VISA_INCREMENT, (11, "000002")], "00", (100_000, 10_000)),
        ],
    );
}

#[test]
fn r4_an_increment_that_the_network_approved_in_our_place_adds() {
    let amount: &Values<'_> = &[APPROVED, (4, "000000002000"), (11, "000002"), (37, "REF000000002")];
    let [id, day] = MASTERCARD_ID;
    let visa = with(amount, &[VISA_ID, VISA_INCREMENT]);
    let mastercard = with(amount, &[PREAUTHORIZATION, TRACE_ID, (63, "MCC0000A9"), day]);
    let lives: [(&str, &Values<'_>, &Values<'_>, _); 2] = [
        ("visa", &[VISA_ID], &visa, VISA_ID),
        ("mastercard", &[id, day, PREAUTHORIZATION], &mastercard, TRACE_ID),
    ];
    for (link, first, add, by_id) in lives {
        let completion: &Values<'_> =
            &[by_id, APPROVED, (4, "000000006500"), (11, "000004"), (37, "REF000000004")];
        // Also one of the same amount as the first.
        for (amount, held) in [("000000002000", 7_000), ("000000005000", 10_000)] {
            let add = with(add, &[(4, amount)]);
            run_steps(
                link,
                &[
                    (100, first, "00", (100_000, 5_000)),
                    (120, &add, "00", (100_000, held)),
                    (121, &add, "00", (100_000, held)),
                    (220, completion, "00", (93_500, 0)),
                    // It is told late, once more.
                    (120, &with(&add, &[(11, "000006"), (37, "REF000000006")]), "00", (93_500, 0)),
                ],
            );
        }
    }
}

#[test]
fn r14_a_completion_of_nothing_ends_the_hold() {
    let nothing = (4, "000000000000");
    for (link, _) in LINKS {
        run_steps(
            link,
            &[
                (100, &[], "00", (100_000, 5_000)),
                (220, &[(39, "05"), nothing, (11, "000002")], "00", (100_000, 5_000)),
                (220, &[APPROVED, nothing], "00", FREE),
                (221, &[APPROVED, nothing], "00", FREE),
                (120, &[APPROVED], "00", FREE),
            ],
        );
    }
}

#[test]
fn r17_an_increment_of_nothing_only_extends() {
    let (house, _directory) = House::fresh(|config| config.lifecycle.expiry.otherwise_s = 10);
    let mut peer = house.connect("mastercard");
    let [id, day] = MASTERCARD_ID;
    assert_eq!(peer.ask(100, &with(PURCHASE, &[id, day, PREAUTHORIZATION])).value(39), "00");
    let until = |house: &House| {
        let list = house.json("/v1/wallets/1/authorizations");
        let all = list["authorizations"].as_array().expect("a list").clone();
        all.iter().map(|entry| entry["hold_until"].as_str().expect("a time").to_owned()).min().expect("one")
    };
    let before = until(&house);
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let more = [PREAUTHORIZATION, TRACE_ID, (63, "MCC0000A9"), day, (4, "000000000000"), (11, "000002")];
    assert_eq!(peer.ask(100, &with(PURCHASE, &more)).value(39), "00");
    assert_eq!(house.balance(1), (100_000, 5_000));
    assert!(until(&house) > before, "{before}");
    // Without anything to extend it makes no sense.
    let strange = [(48, "R6315MCC0000ZZ0604  "), (11, "000003")];
    assert_eq!(peer.ask(100, &with(&with(PURCHASE, &more), &strange)).value(39), "13");
}

#[test]
fn r7_a_partial_reversal_leaves_the_replacement_amount() {
    let kept = |amount: &str| format!("{amount:0<42}");
    let (twenty, thirty, hundred) = (kept("000000002000"), kept("000000003000"), kept("000000010000"));
    let (of, posted) = (original(100, "000001"), original(200, "000001"));
    let full: &Values<'_> = &[(14, ""), (90, &of)];
    let part: &Values<'_> = &[(14, ""), (90, &of), (11, "000002"), (95, &thirty)];
    let less: &Values<'_> = &[(14, ""), (90, &of), (11, "000003"), (95, &twenty)];
    let more: &Values<'_> = &[(14, ""), (90, &of), (11, "000004"), (95, &hundred)];
    let back: &Values<'_> = &[(14, ""), (90, &posted), (11, "000002"), (95, &thirty)];
    for (link, _) in LINKS {
        run_steps(
            link,
            &[
                (100, &[], "00", (100_000, 5_000)),
                (420, part, "00", (100_000, 3_000)),
                (421, part, "00", (100_000, 3_000)),
                // It never takes more.
                (420, more, "00", (100_000, 3_000)),
                (400, less, "00", (100_000, 2_000)),
                (421, part, "00", (100_000, 2_000)),
                // The network's own outcome comes late, with the whole amount.
                (120, &[APPROVED], "00", (100_000, 2_000)),
                (420, full, "00", FREE),
                (421, less, "00", FREE),
            ],
        );
        // It comes first: the request is late, and the network's own outcome is held net of it.
        run_steps(
            link,
            &[
                (420, part, "00", FREE),
                (100, &[], "", FREE),
                (120, &[APPROVED], "00", (100_000, 3_000)),
                (420, full, "00", FREE),
            ],
        );
        run_steps(
            link,
            &[(200, &[], "00", (95_000, 0)), (420, back, "00", (97_000, 0)), (421, back, "00", (97_000, 0))],
        );
    }
}

#[test]
fn r4_a_completion_at_the_pump_takes_the_place_of_what_was_held() {
    let less: &Values<'_> = &[VISA_ID, APPROVED, (25, "06"), (4, "000000003120"), (11, "000002")];
    run_steps(
        "visa",
        &[
            (100, &[VISA_ID], "00", (100_000, 5_000)),
            (120, less, "00", (100_000, 3_120)),
            (121, less, "00", (100_000, 3_120)),
        ],
    );
    let [id, day] = MASTERCARD_ID;
    let more: &Values<'_> =
        &[TRACE_ID, APPROVED, (60, "1910000"), (4, "000000007450"), (11, "000002"), (37, "REF000000002")];
    run_steps(
        "mastercard",
        &[(100, &[id, day], "00", (100_000, 5_000)), (120, more, "00", (100_000, 7_450))],
    );
}

#[test]
fn r11_every_kind_of_debit_is_held_whole() {
    // Cash back is inside DE 4; account funding and quasi-cash are never approved for a part.
    for (link, _) in LINKS {
        for kind in ["000000", "010000", "090000", "100000", "110000", "170000"] {
            run_steps(link, &[(100, &[(3, kind)], "00", (100_000, 5_000))]);
        }
    }
    let part = (60, "050000000001");
    let large = (4, "000000150000");
    for (kind, code, held) in
        [("000000", "10", 100_000), ("090000", "10", 100_000), ("100000", "51", 0), ("110000", "51", 0)]
    {
        run_steps("visa", &[(100, &[(3, kind), part, large], code, (100_000, held))]);
    }
}

#[test]
fn r15_money_from_somebody_else_comes_at_clearing_or_at_once() {
    for (link, kind) in [("visa", "260000"), ("mastercard", "280000"), ("iso87", "260000")] {
        let credit: &Values<'_> = &[(3, kind)];
        run_steps(
            link,
            &[
                (100, credit, "00", FREE),
                (220, &[(3, kind), APPROVED], "00", (105_000, 0)),
                (221, &[(3, kind), APPROVED], "00", (105_000, 0)),
            ],
        );
        let (house, _directory) = House::fresh(|config| config.lifecycle.credits = CreditsAt::Authorization);
        let mut peer = house.connect(link);
        let steps = [(100, (105_000, 0)), (101, (105_000, 0)), (420, FREE), (421, FREE)];
        for (mti, balance) in steps {
            let answer = peer.ask(mti, &with(PURCHASE, credit));
            assert_eq!((answer.value(39), house.balance(1)), ("00", balance), "{link}: {mti:04}");
        }
        // What was given is not given again when the completion says so.
        let next: &Values<'_> = &[(3, kind), (11, "000002"), (37, "REF000000002")];
        assert_eq!(peer.ask(100, &with(PURCHASE, next)).value(39), "00");
        assert_eq!(peer.ask(220, &with(&with(PURCHASE, next), &[APPROVED])).value(39), "00");
        assert_eq!(house.balance(1), (105_000, 0), "{link}");
    }
}

#[test]
fn r19_a_hold_ends_with_its_time_and_nothing_holds_it_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = config(directory.path(), |config| {
        config.lifecycle.expiry.otherwise_s = 1;
        config.lifecycle.expire_every_s = 1;
    });
    let mut house = House::start(&settings, Some(&seed(harness::SEED))).expect("a start");
    let mut peer = house.connect("visa");
    let held = peer.ask(100, &with(PURCHASE, &[VISA_ID]));
    assert_eq!((held.value(39), house.balance(1).1), ("00", 5_000));
    eventually("the hold ends", || house.balance(1) == FREE);
    assert_eq!(house.metric("turnpike_ledger_authorizations_expired_total"), 1);
    for _ in 0..2 {
        let state = house.json("/v1/wallets/1/authorizations")["authorizations"][0]["state"].clone();
        assert_eq!(state, "expired");
        let mut peer = house.connect("visa");
        // Its repeat is answered as it was; the network's late word and a late reversal hold and free nothing.
        for (mti, code) in [(101, held.value(38)), (120, ""), (420, "")] {
            let answer = peer.ask(mti, &with(PURCHASE, &[VISA_ID]));
            assert_eq!((answer.value(39), answer.value(38)), ("00", code), "{mti:04}");
            assert_eq!(house.balance(1), FREE, "{mti:04}");
        }
        let drained = house.drain();
        house = House::start(&settings, None).expect("a start from disk");
        let (hash, last) = *house.daemon().face.last_hash.lock();
        assert_eq!((hash, last), (drained.hash, drained.last), "the same state from the journal alone");
    }
}

#[test]
fn r12_more_is_held_where_the_final_amount_is_known_later_and_nothing_declines_for_it() {
    let rows = || {
        let dollars = Money::new(10_000, Currency::new(840).expect("a currency"));
        vec![
            increase::Row { mccs: vec![5812..=5814], percent: 20, ..increase::Row::default() },
            increase::Row { mccs: vec![5542..=5542], at_least: vec![dollars], ..increase::Row::default() },
        ]
    };
    let meal: &Values<'_> = &[(18, "5812")];
    let pump: &Values<'_> = &[(18, "5542"), (4, "000000000100")];
    let full_tank: &Values<'_> = &[(18, "5542"), (4, "000000012000")];
    let most: &Values<'_> = &[(18, "5812"), (4, "000000095000")];
    let too_much: &Values<'_> = &[(18, "5812"), (4, "000000100001")];
    let posted: &Values<'_> = &[(18, "5812")];
    let cash: &Values<'_> = &[(18, "5812"), (3, "010000")];
    let elsewhere: &Values<'_> = &[(18, "5815")];
    // A request, what it gets, and what is held and posted then.
    let table: [(u16, &Values<'_>, &str, (i64, i64)); 8] = [
        (100, meal, "00", (100_000, 6_000)),
        (100, pump, "00", (100_000, 10_000)),
        (100, full_tank, "00", (100_000, 12_000)),
        // As much as there is, and no decline for what nobody asked for.
        (100, most, "00", (100_000, 100_000)),
        (100, too_much, "51", FREE),
        // What is posted, is cash, or is bought elsewhere is what it says.
        (200, posted, "00", (95_000, 0)),
        (100, cash, "00", (100_000, 5_000)),
        (100, elsewhere, "00", (100_000, 5_000)),
    ];
    for (mti, changes, code, books) in table {
        let (house, _directory) = House::fresh(|config| config.lifecycle.increases.rows = rows());
        let mut peer = house.connect("visa");
        let answer = peer.ask(mti, &with(PURCHASE, changes));
        assert_eq!((answer.value(39), house.balance(1)), (code, books), "{mti:04} {changes:?}");
        // The answer names what was asked for, again and again.
        let asked = with(PURCHASE, changes).iter().find(|(field, _)| *field == 4).map(|(_, amount)| *amount);
        assert_eq!(Some(answer.value(4)), asked, "{mti:04} {changes:?}");
        assert_eq!(peer.ask(mti + 1, &with(PURCHASE, changes)).value(39), code);
        assert_eq!(house.balance(1), books, "its repeat");
    }
    for (link, _) in LINKS {
        // What is cleared or told in the end counts, and all of it is given back.
        for (last, books) in [
            ((220, [(18, "5812"), APPROVED, (4, "000000005700")].as_slice()), (94_300, 0)),
            ((120, [(18, "5812"), APPROVED].as_slice()), (100_000, 5_000)),
            ((420, [(18, "5812")].as_slice()), FREE),
        ] {
            let (house, _directory) = House::fresh(|config| config.lifecycle.increases.rows = rows());
            let mut peer = house.connect(link);
            assert_eq!(peer.ask(100, &with(PURCHASE, meal)).value(39), "00");
            let of = original(100, "000001");
            let (mti, changes) = last;
            let named = if mti == 420 { (90, of.as_str()) } else { (14, "3012") };
            assert_eq!(peer.ask(mti, &with(&with(PURCHASE, changes), &[named])).value(39), "00", "{link}");
            assert_eq!(house.balance(1), books, "{link}: {mti:04}");
        }
    }
    // A limit that has no room for more on top lets pass what was asked for.
    let (house, _directory) = House::fresh(|config| config.lifecycle.increases.rows = rows());
    let mut peer = house.connect("visa");
    let limit = r#"{"measure":"amount","currency":"840","max":5500,"window":"transaction"}"#;
    let (status, body) = house.verb("PUT", "/v1/wallets/1/limits/1", limit);
    assert_eq!(status, 200, "{body}");
    assert_eq!(peer.ask(100, &with(PURCHASE, meal)).value(39), "00");
    assert_eq!(house.balance(1), (100_000, 5_000));
}
