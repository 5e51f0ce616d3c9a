//! Advices, refunds, and reversals of one leg over the wire (R4, R14, R15): whoever decided, in whichever order it is
//! told, there is one hold or one posting, or none.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use harness::FREE;
use harness::House;
use harness::LINKS;
use harness::PURCHASE;
use harness::Peer;
use harness::Step;
use harness::Values;
use harness::eventually;
use harness::original;
use harness::run_steps;
use harness::with;

/// Says what stands in Visa's DE 63: the network, and why a message was sent or decided.
fn private_use(parts: &[(u8, &str)]) -> String {
    let mut bitmap = 0_u32;
    let mut text = String::new();
    for (number, digits) in parts {
        bitmap |= 1 << (24 - u32::from(*number));
        text.push_str(digits);
    }
    format!("{bitmap:06X}{text}")
}

/// The whole life in every dialect.
fn check(steps: &[Step<'_>]) {
    for (link, _) in LINKS {
        run_steps(link, steps);
    }
}

const APPROVED: (u8, &str) = (39, "00");
const DECLINED: (u8, &str) = (39, "05");
const LARGE: (u8, &str) = (4, "000000200000");
const HELD: (i64, i64) = (100_000, 5_000);
const PAID: (i64, i64) = (95_000, 0);

#[test]
fn r4_a_stand_in_advice_alone_is_held_once() {
    check(&[(120, &[APPROVED], "00", HELD), (121, &[APPROVED], "00", HELD), (120, &[APPROVED], "00", HELD)]);
}

#[test]
fn r4_a_stand_in_advice_holds_what_is_not_there() {
    check(&[
        (120, &[APPROVED, LARGE], "00", (100_000, 200_000)),
        (100, &[(11, "000002")], "51", (100_000, 200_000)),
    ]);
}

#[test]
fn r4_the_networks_outcome_counts_whatever_we_said() {
    // We approved and it did too: one hold. We approved and it declined: none. We declined and it approved: held.
    check(&[(100, &[], "00", HELD), (120, &[APPROVED], "00", HELD)]);
    check(&[(100, &[], "00", HELD), (120, &[DECLINED], "00", FREE), (121, &[DECLINED], "00", FREE)]);
    check(&[(100, &[LARGE], "51", FREE), (120, &[LARGE, APPROVED], "00", (100_000, 200_000))]);
    check(&[(120, &[DECLINED], "00", FREE), (120, &[DECLINED, (11, "000002")], "00", FREE)]);
}

#[test]
fn r4_a_late_request_after_the_advice_gets_its_outcome_and_no_second_hold() {
    check(&[(120, &[APPROVED, (38, "STIP01")], "00", HELD), (100, &[], "00", HELD)]);
}

#[test]
fn r4_a_full_reversal_undoes_both_legs_and_a_late_advice_comes_to_nothing() {
    check(&[
        (100, &[], "00", HELD),
        (420, &[], "00", FREE),
        (120, &[APPROVED], "00", FREE),
        (121, &[APPROVED], "00", FREE),
    ]);
    // Also when the reversal is the first that is heard of it.
    check(&[(420, &[], "00", FREE), (120, &[APPROVED], "00", FREE), (100, &[], "", FREE)]);
    check(&[(120, &[APPROVED], "00", HELD), (400, &[], "00", FREE), (100, &[], "00", FREE)]);
}

#[test]
fn r4_a_time_out_undoes_our_leg_only() {
    // Visa's 63.4 says that the network decided by itself.
    let timeout = private_use(&[(1, "0002"), (3, "2502"), (4, "9020")]);
    let plain = private_use(&[(1, "0002"), (3, "2501")]);
    let (timeout, plain) = ((63, timeout.as_str()), (63, plain.as_str()));
    let advice: &Values<'_> = &[APPROVED, timeout];
    run_steps("visa", &[(100, &[], "00", HELD), (420, &[timeout], "00", FREE), (120, advice, "00", HELD)]);
    run_steps("visa", &[(100, &[], "00", HELD), (120, advice, "00", HELD), (420, &[timeout], "00", HELD)]);
    run_steps("visa", &[(420, &[timeout], "00", FREE), (120, advice, "00", HELD), (100, &[], "00", HELD)]);
    // The customer's own reversal ends all of it, in any order.
    run_steps(
        "visa",
        &[
            (100, &[], "00", HELD),
            (420, &[timeout], "00", FREE),
            (120, advice, "00", HELD),
            (400, &[plain], "00", FREE),
            (121, advice, "00", FREE),
        ],
    );
    run_steps(
        "visa",
        &[
            (100, &[], "00", HELD),
            (420, &[timeout], "00", FREE),
            (421, &[plain], "00", FREE),
            (120, advice, "00", FREE),
        ],
    );
    run_steps(
        "visa",
        &[(420, &[timeout], "00", FREE), (420, &[plain], "00", FREE), (120, advice, "00", FREE)],
    );
    // The advice and the customer's reversal have names of their own, and both name the request.
    let (request, part) = (original(100, "000001"), format!("{:012}{:030}", 2_000, 0));
    let (request, part) = ((90, request.as_str()), (95, part.as_str()));
    for id in [(62, ""), (62, "40000000000000000123456789012345")] {
        let advice: &Values<'_> = &[APPROVED, timeout, id, (11, "000002"), request];
        let reversal: &Values<'_> = &[plain, id, (11, "000003"), request];
        run_steps(
            "visa",
            &[
                (100, &[id], "00", HELD),
                (420, &[timeout, id], "00", FREE),
                (120, advice, "00", HELD),
                (420, &[plain, id, (11, "000004"), request, part], "00", (100_000, 2_000)),
                (420, reversal, "00", FREE),
                (421, reversal, "00", FREE),
                (121, advice, "00", FREE),
            ],
        );
    }
    // What the network has told of another message of the purchase stays.
    let id = (62, "40000000000000000123456789012345");
    let other: &Values<'_> = &[APPROVED, timeout, id, (4, "000000003000"), (11, "000005")];
    run_steps(
        "visa",
        &[
            (100, &[id], "00", HELD),
            (420, &[timeout, id], "00", FREE),
            (120, &[APPROVED, timeout, id, (11, "000002"), request], "00", HELD),
            (120, other, "00", (100_000, 8_000)),
            (420, &[plain, id, (11, "000003"), request], "00", (100_000, 3_000)),
        ],
    );
    // What is undone is the network's own outcome too when the reversal itself is lost and only its repeat comes.
    run_steps(
        "visa",
        &[
            (100, &[], "00", HELD),
            (420, &[timeout], "00", FREE),
            (120, advice, "00", HELD),
            (421, &[timeout], "00", HELD),
            (421, &[plain], "00", FREE),
            (421, &[plain], "00", FREE),
        ],
    );
}

#[test]
fn r14_a_financial_advice_posts_once_and_takes_the_hold_with_it() {
    check(&[(220, &[APPROVED], "00", PAID), (221, &[APPROVED], "00", PAID)]);
    check(&[(200, &[], "00", PAID), (220, &[APPROVED], "00", PAID), (420, &[], "00", FREE)]);
    // A completion names the hold by its approval code, with an amount of its own.
    let (of_hold, of_completion) = (original(100, "000001"), original(220, "000009"));
    for (link, _) in LINKS {
        let (house, _directory) = House::fresh(|_| {});
        let mut peer = house.connect(link);
        let code = peer.ask(100, PURCHASE).value(38).to_owned();
        let completion = [(4, "000000003000"), (11, "000009"), (38, code.as_str())];
        assert_eq!(peer.ask(220, &with(PURCHASE, &completion)).outcome(), (230, "00"));
        assert_eq!(house.balance(1), (97_000, 0), "{link}: the hold is gone, and 30.00 are paid");
        let list = house.json("/v1/wallets/1/authorizations");
        let states: Vec<_> = (0..2).map(|at| list["authorizations"][at]["state"].as_str()).collect();
        assert_eq!(states, [Some("posted"), Some("captured")], "{link}: {list}");
        // What the completion posted is not given back by a reversal of what it completed.
        let undone = with(PURCHASE, &[(90, &of_hold), (11, "000010")]);
        assert_eq!(peer.ask(420, &undone).outcome(), (430, "00"));
        assert_eq!(house.balance(1), (97_000, 0), "{link}: r14");
        // It has its own reversal; and its repeat, much later, posts nothing again.
        let undone = with(PURCHASE, &[(4, "000000003000"), (90, &of_completion), (11, "000011")]);
        assert_eq!(peer.ask(420, &undone).outcome(), (430, "00"));
        assert_eq!(house.balance(1), (100_000, 0), "{link}");
        assert_eq!(peer.ask(221, &with(PURCHASE, &completion)).outcome(), (230, "00"));
        assert_eq!(house.balance(1), (100_000, 0), "{link}");
    }
}

#[test]
fn r15_a_refund_is_approved_and_credits_nothing_until_it_is_settled() {
    let refund = (3, "200000");
    check(&[(100, &[refund], "00", FREE), (400, &[refund], "00", FREE)]);
    check(&[(200, &[refund], "00", (105_000, 0)), (420, &[refund], "00", FREE)]);
    check(&[(100, &[refund], "00", FREE), (220, &[refund, APPROVED], "00", (105_000, 0))]);
    check(&[(100, &[refund, (2, "4999999999999996")], "14", FREE)]);
}

#[test]
fn r15_a_refund_reaches_a_frozen_card_and_has_the_codes_that_visa_takes() {
    let (house, _directory) = House::fresh(|_| {});
    for (link, wallet_closed) in [("visa", "57"), ("iso87", "62")] {
        let mut peer = house.connect(link);
        let refund = |pan| with(PURCHASE, &[(2, pan), (3, "200000"), (14, "")]);
        assert_eq!(peer.ask(100, &refund("4000000000000036")).value(39), "00", "{link}: frozen");
        assert_eq!(peer.ask(100, &refund("4000000000000069")).value(39), "46", "{link}: closed");
        house.set_status(1, "closed");
        assert_eq!(peer.ask(100, &refund("4111111111111111")).value(39), wallet_closed, "{link}");
        house.set_status(1, "active");
    }
}

#[test]
fn r4_a_rejected_answer_undoes_our_leg() {
    let (house, _directory) = House::fresh(|_| {});
    let mut peer = house.connect("visa");
    peer.write(&harness::frame(&harness::dialect("visa"), 100, PURCHASE));
    let answer = peer.receive_frame().expect("an answer");
    assert_eq!(house.balance(1), HELD);
    peer.write(&harness::reject(&answer, 0x0555));
    eventually("the hold is released", || house.balance(1) == FREE);
    assert_eq!(house.dropped("visa", "rejected"), 1);
    // The network may still have decided by itself.
    assert_eq!(peer.ask(120, &with(PURCHASE, &[APPROVED])).outcome(), (130, "00"));
    assert_eq!(house.balance(1), HELD);
}

#[test]
fn r4_a_negative_acknowledgement_undoes_our_leg_and_gets_no_answer() {
    for (link, _) in LINKS {
        let (house, _directory) = House::fresh(|_| {});
        let mut peer = house.connect(link);
        assert_eq!(peer.ask(100, PURCHASE).outcome(), (110, "00"));
        peer.send(190, PURCHASE);
        eventually("the hold is released", || house.balance(1) == FREE);
        // The next answer is the next request's.
        assert_eq!(peer.ask(100, &with(PURCHASE, &[(11, "000002")])).outcome(), (110, "00"));
        // One that names nothing of ours changes nothing.
        peer.send(190, &with(PURCHASE, &[(11, "000077"), (37, "000000000077")]));
        assert_eq!(peer.ask(100, &with(PURCHASE, &[(11, "000003")])).outcome(), (110, "00"));
        assert_eq!((house.balance(1), house.dropped(link, "undelivered")), ((100_000, 10_000), 2));
    }
}

#[test]
fn r23_an_administrative_advice_is_kept_and_a_file_update_is_not_supported() {
    for (link, _) in LINKS {
        let (house, directory) = House::fresh(|_| {});
        let mut peer = house.connect(link);
        assert_eq!(peer.ask(620, &[(7, "0604123456"), (11, "000001")]).outcome(), (630, "00"));
        assert_eq!(peer.ask(621, PURCHASE).outcome(), (630, "00"));
        assert_eq!(peer.ask(302, PURCHASE).outcome(), (312, "40"));
        assert_eq!(peer.ask(600, PURCHASE).value(39), "12", "an administrative request");
        assert_eq!(house.balance(1), FREE);
        drop(peer);
        house.drain();
        let records = harness::records_by_kind(directory.path());
        assert_eq!(records.get("noted"), Some(&2), "{link}: {records:?}");
    }
}

#[test]
fn r4_what_an_advice_has_set_is_the_same_after_a_restart() {
    let (house, directory) = House::fresh(|_| {});
    let mut peer: Peer = house.connect("visa");
    peer.ask(100, PURCHASE);
    peer.ask(120, &with(PURCHASE, &[APPROVED, (4, "000000004000")]));
    peer.ask(120, &with(PURCHASE, &[APPROVED, (11, "000002"), (37, "000000000002")]));
    peer.ask(220, &with(PURCHASE, &[APPROVED, (11, "000003"), (37, "000000000003")]));
    peer.ask(100, &with(PURCHASE, &[(3, "200000"), (11, "000004"), (37, "000000000004")]));
    assert_eq!(house.balance(1), (95_000, 9_000));
    drop(peer);
    let before = house.drain();
    let house = House::start(&harness::config(directory.path(), |_| {}), None).expect("the same books");
    assert_eq!(house.balance(1), (95_000, 9_000));
    let mut peer = house.connect("visa");
    assert_eq!(
        peer.ask(121, &with(PURCHASE, &[APPROVED, (11, "000002"), (37, "000000000002")])).outcome(),
        (130, "00")
    );
    assert_eq!(house.balance(1), (95_000, 9_000));
    drop(peer);
    assert_eq!(house.drain().hash, before.hash);
}
