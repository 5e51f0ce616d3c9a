//! What is approved in a party's place, case by case.

use crate::domain::action::ActionCode;
use crate::domain::forward::Carried;
use crate::domain::request::Presented;
use crate::domain::request::ProcessingCode;
use crate::switch::stand_in::Exposure;
use crate::switch::stand_in::Floor;
use crate::switch::stand_in::Rules;
use crate::switch::stand_in::Verdict;

use super::carried;
use super::dollars;
use super::euros;

#[test]
fn r32_what_is_approved_in_a_partys_place_is_what_its_rules_allow() {
    let rules = Rules {
        name: "small".into(),
        transactions: vec![0, 9, 20, 30],
        floors: vec![
            Floor { most: dollars(10_000), mccs: vec![(5541, 5542)] },
            Floor { most: dollars(1), mccs: vec![(6011, 6011)] },
            Floor { most: dollars(5_000), mccs: Vec::new() },
            Floor { most: euros(4_000), mccs: Vec::new() },
        ],
        exposure: vec![dollars(9_000)],
        count: 3,
    };
    let request = || Carried { amount: dollars(5_000), ..carried(1, 1, 1) };
    let code = |code| Carried { processing_code: ProcessingCode(code), ..request() };
    let at = |mcc, minor| Carried { mcc, amount: dollars(minor), ..request() };
    let (none, cryptogram) = (Presented::default(), Presented::CRYPTOGRAM.with(Presented::TRACK));
    let so_far = |minor, count| Exposure { minor, count };
    let table = [
        ("the floor", request(), none, so_far(0, 0), true),
        ("above it", at(5411, 5_001), none, so_far(0, 0), false),
        ("the floor of a category", at(5542, 9_000), none, so_far(0, 0), true),
        ("a lower one", at(6011, 2), none, so_far(0, 0), false),
        ("nothing", at(5411, 0), none, so_far(0, 0), false),
        ("less than nothing", at(5411, -1), none, so_far(0, 0), false),
        ("up to the cap", request(), none, so_far(4_000, 1), true),
        ("above it", request(), none, so_far(4_001, 1), false),
        ("no sum is too large", request(), none, so_far(i64::MAX, 1), false),
        ("the last of so many", at(5411, 1), none, so_far(2, 2), true),
        ("one more", at(5411, 1), none, so_far(3, 3), false),
        (
            "what is billed counts",
            Carried { billing: Some(euros(4_000)), ..request() },
            none,
            so_far(0, 0),
            true,
        ),
        (
            "not what was asked",
            Carried { billing: Some(euros(4_001)), ..request() },
            none,
            so_far(0, 0),
            false,
        ),
        (
            "a currency without a cap",
            Carried { amount: euros(1), ..request() },
            none,
            so_far(i64::MAX, 2),
            true,
        ),
        ("cash back is named", code(90_000), none, so_far(0, 0), true),
        ("cash is not", code(10_000), none, so_far(0, 0), false),
        ("a refund can wait", code(200_000), none, so_far(0, 0), false),
        ("so can a question", code(300_000), none, so_far(0, 0), false),
        ("a chip's cryptogram", request(), cryptogram, so_far(0, 0), true),
        ("a PIN", request(), cryptogram.with(Presented::PIN), so_far(0, 0), false),
    ];
    for (what, carried, presented, exposure, approved) in table {
        let expected = if approved { Verdict::Approve } else { Verdict::Decline(ActionCode::Unavailable) };
        assert_eq!(rules.decide(&carried, presented, exposure), expected, "{what}");
    }
}
