//! What commutes (R21): every order of up to six events of one purchase, over the authorizer and the ledger. Two orders
//! that differ by two neighbours changing places must end in the same books, unless docs/lifecycle.md has a row for the
//! two; and each row is shown to be needed, with the books that it promises.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test of a purchase uses a part of what they share")]
mod purchase;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use purchase::Books;
use purchase::House;
use purchase::WALLET;
use purchase::advice;
use purchase::presentment;
use purchase::request;
use purchase::reversal;
use turnpike::authorizer::increase;
use turnpike::domain::clearing::Presentment;
use turnpike::domain::request::Advice;
use turnpike::domain::request::ApprovalCode;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
use turnpike::domain::request::ReversalRequest;

/// What can happen to a purchase of 100.00: an increment of 20.00, the network's word that it approved that, a partial
/// reversal that leaves 70.00 of the first
/// 100.00, a reversal of those 100.00, the network's word that it approved them, a completion with 110.00, its
/// clearing record with the same amount, that record in a second file, and the end of its time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
enum Step {
    Request,
    Repeat,
    Increment,
    IncrementAdvice,
    PartialReversal,
    Reversal,
    ReversalRepeat,
    Advice,
    Completion,
    Clearing,
    ClearingAgain,
    Expiry,
}

const STEPS: [(Step, &str); 12] = [
    (Step::Request, "request"),
    (Step::Repeat, "repeat"),
    (Step::Increment, "increment"),
    (Step::IncrementAdvice, "advice of the increment"),
    (Step::PartialReversal, "partial reversal"),
    (Step::Reversal, "reversal"),
    (Step::ReversalRepeat, "repeat of the reversal"),
    (Step::Advice, "stand-in advice"),
    (Step::Completion, "completion"),
    (Step::Clearing, "clearing"),
    (Step::ClearingAgain, "clearing again"),
    (Step::Expiry, "expiry"),
];

fn take(house: &mut House, step: Step) {
    house.later(1);
    match step {
        Step::Request => _ = house.decide(&request(1, 10_000)),
        Step::Repeat => _ = house.decide(&AuthorizationRequest { repeat: true, ..request(1, 10_000) }),
        Step::Increment => {
            _ = house.decide(&AuthorizationRequest { increment: true, ..request(2, 2_000) });
        }
        Step::IncrementAdvice => {
            house.advise(&Advice { increment: true, ..advice(2, MessageClass::Authorization, 2_000) });
        }
        Step::PartialReversal => house.reverse(&reversal(3, Some(7_000))),
        Step::Reversal => house.reverse(&reversal(4, None)),
        Step::ReversalRepeat => house.reverse(&ReversalRequest { repeat: true, ..reversal(4, None) }),
        Step::Advice => house.advise(&advice(1, MessageClass::Authorization, 10_000)),
        Step::Completion => house.advise(&advice(5, MessageClass::Financial, 11_000)),
        Step::Clearing | Step::ClearingAgain => house.clear(&presentment(11_000)),
        Step::Expiry => house.expire(),
    }
}

fn books_after(steps: &[Step]) -> Books {
    books_in(House::new(&[(840, 100_000)]), steps)
}

fn books_in(mut house: House, steps: &[Step]) -> Books {
    steps.iter().for_each(|step| take(&mut house, *step));
    house.books()[0]
}

/// Every order of every set of up to `most` steps, and the books after it.
fn all_orders(most: usize, house: impl Fn() -> House) -> BTreeMap<Vec<Step>, Books> {
    let mut found = BTreeMap::new();
    let mut open: Vec<Vec<Step>> = vec![Vec::new()];
    while let Some(order) = open.pop() {
        if order.len() < most {
            let more = STEPS.iter().map(|(step, _)| *step).filter(|step| !order.contains(step));
            open.extend(more.map(|step| order.iter().copied().chain([step]).collect()));
        }
        let books = books_in(house(), &order);
        found.insert(order, books);
    }
    found
}

/// A row of the table: two events, an order of events in which they are neighbours, and the books after it and after
/// the two have changed places.
struct Row {
    pair: (Step, Step),
    order: Vec<Step>,
    books: [Books; 2],
}

fn step(name: &str) -> Step {
    let found = STEPS.iter().find(|(_, known)| *known == name.trim());
    found.unwrap_or_else(|| panic!("docs/lifecycle.md names `{name}`, which is no event")).0
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lifecycle.md");
    let text = fs::read_to_string(path).expect("a document");
    let (_, section) = text.split_once("## What does not commute").expect("the section");
    let section = section.split("\n## ").next().expect("a section");
    let lines = section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| first"));
    let books = |cell: &str| -> Books {
        let (posted, held) = cell.trim().split_once(" / ").expect("posted / held");
        (posted.parse().expect("a number"), held.parse().expect("a number"))
    };
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').collect();
        let [first, second, order, one, other, _why] = cells[..] else { panic!("six cells: {line}") };
        Row {
            pair: (step(first), step(second)),
            order: order.split(',').map(step).collect(),
            books: [books(one), books(other)],
        }
    };
    lines.map(row).collect()
}

fn swapped(order: &[Step], at: usize) -> Vec<Step> {
    let mut other = order.to_vec();
    other.swap(at, at + 1);
    other
}

#[test]
fn r21_what_does_not_commute_is_in_the_table_and_nothing_else_is() {
    let most = std::env::var("TURNPIKE_ORDER").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let rows = rows();
    assert_commutes_but_for(&all_orders(most, || House::new(&[(840, 100_000)])), &rows);
    for Row { pair, order, books } in rows {
        let at = order.windows(2).position(|two| (two[0], two[1]) == pair);
        let at = at.unwrap_or_else(|| panic!("{pair:?} are no neighbours in {order:?}"));
        let found = [books_after(&order), books_after(&swapped(&order, at))];
        assert_eq!(found, books, "{pair:?} in {order:?}");
        assert_ne!(books[0], books[1], "{pair:?} needs no row");
    }
}

#[test]
fn r21_what_is_held_on_top_changes_no_order_and_posts_nothing() {
    let most = std::env::var("TURNPIKE_ORDER").ok().and_then(|text| text.parse().ok()).unwrap_or(4);
    let plain = all_orders(most, || House::new(&[(840, 100_000)]));
    let more = all_orders(most, || {
        let mut house = House::new(&[(840, 100_000)]);
        house.authorizer.increases.rows =
            vec![increase::Row { mccs: vec![5999..=5999], percent: 20, ..increase::Row::default() }];
        house
    });
    assert_commutes_but_for(&more, &rows());
    let mut on_top = 0;
    for (order, (posted, held)) in &more {
        let (of_plain, least) = plain[order];
        assert_eq!(*posted, of_plain, "{order:?}");
        assert!((least..=least + least / 5).contains(held), "{order:?}: {held} and {least} without");
        on_top += u32::from(*held > least);
    }
    assert!(on_top > 20, "{on_top}");
}

/// DE 38 of the first request that was approved.
fn approval(house: &House) -> Option<ApprovalCode> {
    let views = house.shard.wallet_authorizations(WALLET).expect("the wallet");
    let codes = views.iter().map(|view| (view.authorization.sequence, view.authorization.approval_code));
    codes.filter(|(_, code)| *code != [0; 6]).min().map(|(_, code)| ApprovalCode(code))
}

#[test]
fn r21_a_record_without_the_networks_id_and_a_completion_post_once_in_any_order() {
    let first = request(1, 10_000);
    let record = |amount| Presentment { network_reference: 0, rrn: first.key.rrn, ..presentment(amount) };
    let completion =
        Advice { original: reversal(9, None).original, ..advice(5, MessageClass::Financial, 11_000) };
    // The completion names the request by DE 90 and DE 38 alone, or by the network's id.
    let by_code = |house: &House| Advice {
        key: MessageKey { network_reference: 0, ..completion.key },
        approval_code: approval(house),
        ..completion
    };
    let steps = [Step::Completion, Step::Clearing, Step::ClearingAgain, Step::Expiry, Step::Repeat];
    let mut orders: Vec<Vec<Step>> = vec![Vec::new()];
    for _ in 0..steps.len() {
        let longer = |order: &Vec<Step>| {
            let more = steps.into_iter().filter(|step| !order.contains(step)).collect::<Vec<_>>();
            let order = order.clone();
            more.into_iter().map(move |step| order.iter().copied().chain([step]).collect())
        };
        orders = orders.iter().flat_map(longer).collect();
    }
    assert_eq!(orders.len(), 120);
    // By what the completion names the request, and whether its record has DE 38.
    let names = [(true, true), (true, false), (false, true), (false, false)];
    for (order, (coded, with_code)) in orders.iter().flat_map(|order| names.map(|names| (order, names))) {
        let at = |step| order.iter().position(|other| *other == step);
        // A completion with keys of its own that comes after the end of the hold is known by DE 38 alone.
        if coded && !with_code && at(Step::Expiry) < at(Step::Completion) {
            continue;
        }
        let mut house = House::new(&[(840, 100_000)]);
        let _approved = house.decide(&first);
        let approval_code = approval(&house).filter(|_| with_code);
        for step in order {
            house.later(1);
            match step {
                Step::Clearing | Step::ClearingAgain => {
                    house.clear(&Presentment { approval_code, ..record(11_000) });
                }
                Step::Completion if coded => {
                    let completion = by_code(&house);
                    house.advise(&completion);
                }
                Step::Completion => house.advise(&completion),
                other => take(&mut house, *other),
            }
        }
        assert_eq!(house.books()[0], (-11_000, 0), "{order:?}, {coded}, {with_code}");
    }
}

/// Two orders that differ by two neighbours changing places end in the same books, but for the pairs of these rows.
fn assert_commutes_but_for(orders: &BTreeMap<Vec<Step>, Books>, rows: &[Row]) {
    let listed: BTreeSet<(Step, Step)> = rows.iter().map(|row| row.pair).collect();
    let mut missing: BTreeMap<(Step, Step), (Vec<Step>, Books, Books)> = BTreeMap::new();
    for (order, books) in orders {
        for at in 0..order.len().saturating_sub(1) {
            let pair = (order[at], order[at + 1]);
            if pair.0 > pair.1 || listed.contains(&pair) {
                continue;
            }
            let other = orders[&swapped(order, at)];
            if other != *books {
                let found = missing.entry(pair).or_insert((order.clone(), *books, other));
                if order.len() < found.0.len() {
                    *found = (order.clone(), *books, other);
                }
            }
        }
    }
    let told: Vec<String> = missing
        .iter()
        .map(|(pair, (order, one, other))| format!("{pair:?} in {order:?}: {one:?}, {other:?}"))
        .collect();
    assert!(missing.is_empty(), "not in docs/lifecycle.md:\n{}", told.join("\n"));
}
