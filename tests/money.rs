//! What messages of one purchase leave on its accounts and count against limits, case by case: the authorizer over the
//! ledger.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

mod purchase;

use purchase::House;
use purchase::WALLET;
use purchase::advice;
use purchase::key;
use purchase::money;
use purchase::presentment;
use purchase::request;
use purchase::reversal;
use purchase::usd;
use turnpike::authorizer::CreditsAt;
use turnpike::authorizer::clear::Clearing;
use turnpike::domain::action::ActionCode;
use turnpike::domain::clearing::Arn;
use turnpike::domain::clearing::Function;
use turnpike::domain::clearing::Part;
use turnpike::domain::clearing::Presentment;
use turnpike::domain::event::Event;
use turnpike::domain::event::LimitSet;
use turnpike::domain::limit::Filter;
use turnpike::domain::limit::Limit;
use turnpike::domain::limit::Measure;
use turnpike::domain::limit::Number;
use turnpike::domain::limit::Subject;
use turnpike::domain::limit::Window;
use turnpike::domain::party::Slot;
use turnpike::domain::party::Text;
use turnpike::domain::request::Advice;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::domain::request::Legs;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
use turnpike::domain::request::OriginalData;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::Replacement;
use turnpike::domain::request::ReversalRequest;
use turnpike::domain::request::TransactionKind;

const HOLDS: MessageClass = MessageClass::Authorization;
const POSTS: MessageClass = MessageClass::Financial;

/// An original credit (R15).
const CREDIT: ProcessingCode = ProcessingCode(260_000);

fn dollars() -> House {
    House::new(&[(840, 100_000)])
}

fn increment(stan: u32, amount: i64) -> AuthorizationRequest {
    AuthorizationRequest { increment: true, ..request(stan, amount) }
}

/// The network's word about an increment.
fn added(stan: u32, amount: i64) -> Advice {
    Advice { increment: true, ..advice(stan, HOLDS, amount) }
}

/// Of another purchase of the same card.
fn of_purchase(network_reference: u64, key: MessageKey) -> MessageKey {
    MessageKey { network_reference, ..key }
}

/// A reversal of the first request that was a 02xx.
fn reversal_of_posting(stan: u32, replacement: Option<i64>) -> ReversalRequest {
    let of = reversal(stan, replacement);
    let original = of.original.map(|original| OriginalData { class: Some(POSTS), ..original });
    ReversalRequest { original, ..of }
}

/// One that names the purchase by the network's id alone.
fn reversal_of_all(stan: u32, amount: i64, replacement: Option<i64>) -> ReversalRequest {
    ReversalRequest { original: None, amount: usd(amount), ..reversal(stan, replacement) }
}

/// Counts uses for ever.
fn limit_uses(house: &mut House, max: i64) {
    let limit = Limit { measure: Measure::Count, max, window: Window::Lifetime, filter: Filter::ALL };
    house.record(&Event::LimitSet(LimitSet {
        slot: Slot::of_wallet(WALLET),
        subject: Subject::Wallet(WALLET),
        number: Number::new(1).expect("a number"),
        limit: Some(limit),
    }));
}

/// Counts what is paid for ever, in USD.
fn limit_amount(house: &mut House) {
    let measure = Measure::Amount(usd(0).currency);
    let limit = Limit { measure, max: i64::MAX, window: Window::Lifetime, filter: Filter::ALL };
    house.record(&Event::LimitSet(LimitSet {
        slot: Slot::of_wallet(WALLET),
        subject: Subject::Wallet(WALLET),
        number: Number::new(1).expect("a number"),
        limit: Some(limit),
    }));
}

fn uses(house: &House) -> i64 {
    house.shard.limits_of(Subject::Wallet(WALLET), house.now).expect("the wallet")[0].used
}

/// When everything open ends, each once.
fn ends(house: &House) -> Vec<u32> {
    let views = house.shard.wallet_authorizations(WALLET).expect("the wallet");
    let open = views.iter().map(|view| view.authorization).filter(|entry| entry.state.is_open());
    let mut ends: Vec<u32> = open.map(|entry| entry.hold_until_s).collect();
    ends.dedup();
    ends
}

#[test]
fn r4_an_increment_that_the_network_approved_adds_to_the_purchase() {
    for amount in [2_000, 10_000] {
        let both = 10_000 + amount;
        let begun = || {
            let mut house = dollars();
            limit_uses(&mut house, 9);
            house.decide(&request(1, 10_000));
            house.advise(&added(2, amount));
            house.advise(&Advice { repeat: true, ..added(2, amount) });
            assert_eq!((house.books()[0], uses(&house)), ((0, both), 1));
            house
        };
        // A completion by the network's id alone ends all of it.
        let mut house = begun();
        house.advise(&advice(5, POSTS, both));
        assert_eq!((house.books()[0], uses(&house)), ((-both, 0), 1));
        // Its own reversal, and the one of the whole.
        let mut house = begun();
        let of = key(2);
        let named = OriginalData {
            class: Some(HOLDS),
            stan: of.stan,
            transmission: Some(of.transmission),
            acquirer: of.acquirer,
        };
        let one = ReversalRequest { original: Some(named), amount: usd(amount), ..reversal(3, None) };
        house.reverse(&one);
        assert_eq!((house.books()[0], uses(&house)), ((0, 10_000), 1));
        let mut house = begun();
        house.reverse(&reversal(4, None));
        assert_eq!((house.books()[0], uses(&house)), ((0, 0), 0));
        // What it adds to was undone, or it was itself, before it is told.
        house.advise(&added(6, amount));
        assert_eq!(house.books()[0], (0, 0));
        if amount != 10_000 {
            let mut house = dollars();
            house.decide(&request(1, 10_000));
            house.reverse(&one);
            house.advise(&added(2, amount));
            assert_eq!(house.books()[0], (0, 10_000));
        }
        // What we declined and the network approved; what both approved.
        let mut house = House::new(&[(840, 10_000)]);
        house.decide(&request(1, 10_000));
        assert_eq!(house.decide(&increment(2, amount)), ActionCode::InsufficientFunds);
        house.advise(&added(2, amount));
        assert_eq!(house.books()[0], (0, both));
        let mut house = dollars();
        house.decide(&request(1, 10_000));
        house.decide(&increment(2, amount));
        house.advise(&added(2, amount + 100));
        assert_eq!(house.books()[0], (0, both + 100));
    }
}

#[test]
fn r4_an_increment_of_another_merchant_is_a_purchase_of_its_own() {
    let mut house = dollars();
    limit_uses(&mut house, 9);
    house.decide(&request(1, 10_000));
    let other = added(2, 2_000);
    house.advise(&Advice { key: MessageKey { merchant: Text::from_ascii(b"BANK"), ..other.key }, ..other });
    assert_eq!((house.books()[0], uses(&house)), ((0, 12_000), 2));
    house.reverse(&reversal(4, None));
    assert_eq!((house.books()[0], uses(&house)), ((0, 2_000), 1));
}

#[test]
fn r7_the_reversal_of_what_is_closed_releases_nothing_else() {
    for completed in [true, false] {
        let mut house = dollars();
        house.decide(&request(1, 10_000));
        if completed {
            house.advise(&advice(5, POSTS, 10_000));
        } else {
            house.expire();
        }
        let posted = if completed { -10_000 } else { 0 };
        house.decide(&increment(2, 10_000));
        assert_eq!(house.books()[0], (posted, 10_000));
        house.reverse(&reversal(4, None));
        assert_eq!(house.books()[0], (posted, 10_000));
    }
    // Amounts of two currencies have no sum.
    let mut house = House::new(&[(840, 100_000), (978, 100_000)]);
    house.decide(&request(1, 7_000));
    let other = request(2, 0);
    let merchant = Text::from_ascii(b"BANK");
    let key = MessageKey { merchant, ..other.key };
    house.decide(&AuthorizationRequest { key, amount: money(3_000, 978), ..other });
    assert_eq!(house.books(), [(0, 7_000), (0, 3_000)]);
    house.reverse(&reversal(4, None));
    assert_eq!(house.books(), [(0, 0), (0, 3_000)]);
}

#[test]
fn r7_a_whole_purchase_is_undone_though_its_closed_ones_leave_memory() {
    let mut house = dollars();
    house.bound(1, 32);
    house.decide(&request(1, 10_000));
    house.decide(&AuthorizationRequest { class: POSTS, ..request(2, 3_000) });
    assert_eq!(house.books()[0], (-3_000, 10_000));
    house.reverse(&reversal_of_all(4, 99, None));
    assert_eq!(house.books()[0], (0, 0));
}

#[test]
fn r7_a_part_of_several_accounts_is_the_same_part_of_each() {
    let accounts = [(840, 100_000), (978, 100_000)];
    let euros = |amount| Some(money(amount, 978));
    let mut house = House::new(&accounts);
    house.decide(&request(1, 10_000));
    house.decide(&AuthorizationRequest { billing: euros(4_001), ..increment(2, 5_000) });
    assert_eq!(house.books(), [(0, 10_000), (0, 4_001)]);
    house.reverse(&reversal_of_all(3, 15_000, Some(7_500)));
    assert_eq!(house.books(), [(0, 5_000), (0, 2_000)]);
    // What was left of one account says nothing about another.
    let mut house = House::new(&accounts);
    house.decide(&request(1, 10_000));
    house.reverse(&reversal(3, Some(7_000)));
    house.advise(&Advice { billing: euros(8_000), ..advice(1, HOLDS, 10_000) });
    assert_eq!(house.books(), [(0, 0), (0, 8_000)]);
}

#[test]
fn r7_what_a_partial_reversal_leaves_of_a_posting_is_not_posted_again() {
    let posting = AuthorizationRequest { class: POSTS, ..request(1, 10_000) };
    // The completion comes after the reversal, or is repeated long after it.
    let mut house = dollars();
    house.decide(&posting);
    house.reverse(&reversal_of_posting(3, Some(7_000)));
    assert_eq!(house.books()[0], (-7_000, 0));
    house.advise(&advice(5, POSTS, 10_000));
    assert_eq!(house.books()[0], (-7_000, 0));
    house.advise(&advice(6, POSTS, 4_000));
    assert_eq!(house.books()[0], (-4_000, 0));
    let mut house = dollars();
    house.decide(&posting);
    house.advise(&advice(5, POSTS, 10_000));
    house.reverse(&reversal_of_posting(3, Some(7_000)));
    house.later(u64::from(house.shard.bounds().repeat_window_s) + 60);
    house.advise(&Advice { repeat: true, ..advice(5, POSTS, 10_000) });
    assert_eq!(house.books()[0], (-7_000, 0));
    // Nothing else is known of the purchase.
    let mut house = dollars();
    house.reverse(&reversal_of_posting(3, Some(7_000)));
    house.advise(&advice(5, POSTS, 20_000));
    assert_eq!(house.books()[0], (-7_000, 0));
}

#[test]
fn r7_a_partial_reversal_that_changes_nothing_bounds_what_the_network_tells() {
    let ask = AuthorizationRequest { partial_supported: true, ..request(1, 10_000) };
    let house = || {
        let mut house = House::new(&[(840, 6_000)]);
        assert_eq!(house.decide(&ask), ActionCode::ApprovedPartially);
        house
    };
    let told = advice(1, HOLDS, 10_000);
    let mut before = house();
    before.reverse(&reversal(3, Some(7_000)));
    assert_eq!(before.books()[0], (0, 6_000));
    before.advise(&told);
    assert_eq!(before.books()[0], (0, 7_000));
    let mut after = house();
    after.advise(&told);
    after.reverse(&reversal(3, Some(7_000)));
    assert_eq!(after.books()[0], (0, 7_000));
    // One of the whole leaves what there is of each.
    let mut whole = house();
    whole.reverse(&reversal_of_all(3, 9_000, Some(7_000)));
    whole.reverse(&reversal(7, Some(8_000)));
    whole.advise(&told);
    assert_eq!(whole.books()[0], (0, 6_000));
}

#[test]
fn r15_a_credit_that_was_given_at_once_goes_back_when_the_network_declined_it() {
    let credit = AuthorizationRequest {
        processing_code: CREDIT,
        kind: TransactionKind::OriginalCredit,
        ..request(1, 10_000)
    };
    let told = Advice { processing_code: CREDIT, ..advice(1, HOLDS, 10_000) };
    for (approved, posted) in [(false, 0), (true, 10_000)] {
        let mut house = dollars();
        house.authorizer.credits = CreditsAt::Authorization;
        house.decide(&credit);
        assert_eq!(house.books()[0], (10_000, 0));
        house.advise(&Advice { approved, ..told });
        assert_eq!(house.books()[0], (posted, 0));
        house.reverse(&reversal(4, None));
        assert_eq!(house.books()[0], (0, 0));
    }
}

#[test]
fn r14_a_completion_of_nothing_ends_the_hold() {
    let mut house = dollars();
    limit_uses(&mut house, 9);
    house.decide(&request(1, 10_000));
    house.decide(&increment(2, 2_000));
    house.advise(&advice(5, POSTS, 0));
    assert_eq!((house.books()[0], uses(&house)), ((0, 0), 0));
    // The network's word about the request comes late; one that was declined ends nothing.
    house.advise(&advice(1, HOLDS, 10_000));
    assert_eq!(house.books()[0], (0, 0));
    let mut house = dollars();
    house.decide(&request(1, 10_000));
    house.advise(&Advice { approved: false, ..advice(5, POSTS, 0) });
    assert_eq!(house.books()[0], (0, 10_000));
}

#[test]
fn r14_what_ends_a_hold_has_room_on_a_card_that_is_full() {
    let full = || {
        let mut house = dollars();
        house.bound(32, 2);
        for (stan, purchase) in [(1, 99), (2, 98)] {
            let ask = request(stan, 10_000);
            house.decide(&AuthorizationRequest { key: of_purchase(purchase, ask.key), ..ask });
        }
        assert_eq!(house.books()[0], (0, 20_000));
        house
    };
    let mut house = full();
    house.advise(&advice(5, POSTS, 11_000));
    assert_eq!(house.books()[0], (-11_000, 10_000));
    let mut house = full();
    house.clear(&presentment(11_000));
    assert_eq!(house.books()[0], (-11_000, 10_000));
    // What ends nothing has none.
    let house = full();
    let card = house.shard.card(house.card);
    let part = Presentment { part: Part::Partial, ..presentment(11_000) };
    let other = advice(5, POSTS, 11_000);
    let other = Advice { key: of_purchase(97, other.key), ..other };
    assert!(matches!(
        house.authorizer.clear(&part, &house.shard, Some(card)),
        Clearing::Full("authorizations")
    ));
    assert!(house.authorizer.advise(&other, house.now, 0, &house.shard, Some(card)).is_none());
}

#[test]
fn r17_a_purchase_lives_as_long_as_the_one_of_it_that_lives_longest() {
    let mut house = dollars();
    house.authorizer.expiry.otherwise_s = 1_000;
    house.decide(&request(1, 10_000));
    let longest = ends(&house);
    house.authorizer.expiry.otherwise_s = 100;
    house.decide(&increment(2, 2_000));
    house.advise(&added(3, 3_000));
    assert_eq!((house.books()[0], ends(&house)), ((0, 15_000), longest.clone()));
    // Nor does what the network tells of it end it earlier.
    house.advise(&advice(1, HOLDS, 9_000));
    assert_eq!((house.books()[0], ends(&house)), ((0, 14_000), longest.clone()));
    // What only extends, of the network.
    house.authorizer.expiry.otherwise_s = 5_000;
    house.advise(&added(4, 0));
    assert_eq!(house.books()[0], (0, 14_000));
    assert!(ends(&house).len() == 1 && ends(&house) > longest);
}

#[test]
fn r18_an_increment_is_a_use_only_where_it_adds_to_nothing() {
    // One of nothing that the network makes more of.
    let mut house = dollars();
    limit_uses(&mut house, 9);
    house.decide(&request(1, 10_000));
    house.decide(&increment(2, 0));
    house.advise(&added(2, 2_000));
    assert_eq!((house.books()[0], uses(&house)), ((0, 12_000), 1));
    // Of purchases that are not known each is one.
    let mut house = dollars();
    limit_uses(&mut house, 2);
    let unknown = |purchase| {
        let ask = increment(purchase as u32, 1_000);
        AuthorizationRequest { key: of_purchase(purchase, ask.key), ..ask }
    };
    let expected = [ActionCode::Approved, ActionCode::Approved, ActionCode::CountLimitExceeded];
    assert_eq!([11, 12, 13].map(|purchase| house.decide(&unknown(purchase))), expected);
    assert_eq!(uses(&house), 2);
    let told = |purchase| {
        let told = added(purchase as u32, 1_000);
        Advice { key: of_purchase(purchase, told.key), ..told }
    };
    house.advise(&told(13));
    assert_eq!((house.books()[0], uses(&house)), ((0, 3_000), 3));
    // What began was given back, and the purchase took place all the same.
    let mut house = dollars();
    limit_uses(&mut house, 9);
    house.decide(&request(1, 10_000));
    house.decide(&increment(2, 2_000));
    house.reverse(&ReversalRequest { legs: Legs::Ours, ..reversal(4, None) });
    assert_eq!((house.books()[0], uses(&house)), ((0, 2_000), 0));
    house.advise(&advice(5, POSTS, 12_000));
    assert_eq!((house.books()[0], uses(&house)), ((-12_000, 0), 1));
}

#[test]
fn r14_a_balance_keeps_room_for_what_is_given_back() {
    const MOST: i64 = i64::MAX / 2;
    let posting = |amount| AuthorizationRequest { class: POSTS, ..request(1, amount) };
    // What is on the account, and whether 100.00 can be taken.
    for (funds, takes) in [(MOST - 10_000, true), (MOST - 9_999, false), (i64::MAX - 10, false)] {
        let expected = if takes { -10_000 } else { 0 };
        let mut house = House::new(&[(840, funds)]);
        let action = if takes { ActionCode::Approved } else { ActionCode::InvalidAmount };
        assert_eq!(house.decide(&posting(10_000)), action);
        assert_eq!(house.books()[0], (expected, 0), "{funds}");
        let mut house = House::new(&[(840, funds)]);
        house.advise(&advice(5, POSTS, 10_000));
        assert_eq!(house.books()[0], (expected, 0), "{funds}");
        let mut house = House::new(&[(840, funds)]);
        house.clear(&presentment(10_000));
        assert_eq!(house.books()[0], (expected, 0), "{funds}");
    }
    // A credit in between would leave no room for the first to go back.
    let mut house = House::new(&[(840, i64::MAX - 10)]);
    house.decide(&posting(10_000));
    let credit = advice(6, POSTS, 10_000);
    let key = of_purchase(98, credit.key);
    house.advise(&Advice { key, processing_code: CREDIT, ..credit });
    house.reverse(&reversal_of_posting(4, None));
    house.reverse(&ReversalRequest {
        replacement: Some(Replacement { amount: 1, billing: None }),
        ..reversal_of_posting(7, None)
    });
    assert_eq!(house.books()[0], (0, 0));
}

#[test]
fn r18_parts_of_a_hold_count_what_they_take_and_no_more() {
    // Parts of 100.00 and an increment of 20.00: each with what is counted after it.
    let parts = |sequence, amount| Presentment {
        part: Part::Numbered { sequence, count: 3 },
        arn: Arn::new([b'1' + sequence; 23]).expect("digits"),
        ..presentment(amount)
    };
    let table: [(&[i64], &[i64]); 4] = [
        (&[3_000, 3_000, 6_000], &[12_000, 12_000, 12_000]),
        (&[11_000, 500, 500], &[12_000, 12_000, 12_000]),
        (&[3_000, 3_000, 3_000], &[12_000, 12_000, 9_000]),
        (&[13_000, 1_000, 1_000], &[13_000, 14_000, 15_000]),
    ];
    for (amounts, counted) in table {
        let mut house = House::new(&[(840, 100_000)]);
        limit_amount(&mut house);
        house.decide(&request(1, 10_000));
        house.decide(&AuthorizationRequest { increment: true, ..request(2, 2_000) });
        assert_eq!(uses(&house), 12_000);
        for (n, (amount, counted)) in amounts.iter().zip(counted).enumerate() {
            house.clear(&parts(n as u8 + 1, *amount));
            assert_eq!(uses(&house), *counted, "after part {n} of {amounts:?}");
        }
    }
}

#[test]
fn r14_a_record_after_what_a_message_has_posted_of_it_posts_nothing() {
    let posting = |amount| AuthorizationRequest { class: POSTS, ..request(1, amount) };
    // A part of it was approved.
    let mut house = House::new(&[(840, 4_000)]);
    house.decide(&AuthorizationRequest { partial_supported: true, ..posting(10_000) });
    house.clear(&presentment(4_000));
    assert_eq!(house.books()[0], (-4_000, 0));
    // A part of it was reversed.
    let mut house = dollars();
    house.decide(&posting(10_000));
    house.reverse(&reversal_of_posting(3, Some(5_000)));
    house.clear(&presentment(5_000));
    assert_eq!(house.books()[0], (-5_000, 0));
    // An advice has set another amount.
    let mut house = dollars();
    house.decide(&posting(10_000));
    house.advise(&advice(1, POSTS, 15_000));
    house.clear(&presentment(15_000));
    assert_eq!(house.books()[0], (-15_000, 0));
    // The wallet has none of the record's currencies.
    let mut house = dollars();
    house.decide(&AuthorizationRequest {
        amount: money(1_500_000, 392),
        billing: Some(usd(10_000)),
        ..posting(10_000)
    });
    house.clear(&Presentment { amount: money(1_500_000, 392), ..presentment(0) });
    assert_eq!(house.books()[0], (-10_000, 0));
    assert_eq!(house.shard.suspended().count(), 0);
    // The record says less than the completion, and the hold that both are about was reversed.
    let mut house = dollars();
    house.decide(&request(1, 10_000));
    house.reverse(&reversal(3, None));
    house.advise(&advice(5, POSTS, 10_000));
    house.clear(&Presentment { network_reference: 0, rrn: key(1).rrn, ..presentment(10_000) });
    assert_eq!(house.books()[0], (-10_000, 0));
}

#[test]
fn r14_a_completion_and_its_record_are_undone_alike_whichever_came_first() {
    let completion = advice(5, POSTS, 10_000);
    // By DE 90 alone: the record has named the request by the network's id.
    let by_original = Advice {
        key: MessageKey { network_reference: 0, ..completion.key },
        original: reversal(9, None).original,
        ..completion
    };
    let of_completion = |replacement| ReversalRequest {
        key: completion.key,
        amount: usd(10_000),
        original: None,
        ..reversal(5, replacement)
    };
    let after = |completion: &Advice, record_first: bool, then: &dyn Fn(&mut House)| {
        let mut house = dollars();
        house.decide(&request(1, 10_000));
        for clears in [record_first, !record_first] {
            if clears { house.clear(&presentment(10_000)) } else { house.advise(completion) }
        }
        assert_eq!(house.books()[0], (-10_000, 0));
        then(&mut house);
        house.books()[0]
    };
    type Then<'t> = &'t dyn Fn(&mut House);
    let table: [(Then<'_>, (i64, i64)); 5] = [
        (&|house| house.reverse(&of_completion(None)), (0, 0)),
        (&|house| house.reverse(&of_completion(Some(7_000))), (-7_000, 0)),
        // What names the purchase alone is about the request, and gives no posting back.
        (&|house| house.reverse(&reversal_of_all(6, 10_000, None)), (-10_000, 0)),
        // It was posted: it is not held as well.
        (&|house| house.advise(&advice(1, HOLDS, 10_000)), (-10_000, 0)),
        (&|house| house.advise(&advice(5, HOLDS, 10_000)), (-10_000, 0)),
    ];
    for (n, (then, books)) in table.into_iter().enumerate() {
        for record_first in [false, true] {
            assert_eq!(after(&completion, record_first, then), books, "{n}, {record_first}");
        }
    }
    for record_first in [false, true] {
        assert_eq!(after(&by_original, record_first, &|_| {}), (-10_000, 0));
    }
}

#[test]
fn r20_the_reversal_of_a_part_gives_that_part_of_a_posting_back() {
    let part = |sequence, amount| Presentment {
        part: Part::Numbered { sequence, count: 2 },
        arn: Arn::new([b'1' + sequence; 23]).expect("digits"),
        ..presentment(amount)
    };
    let reversed = |of: Presentment| Presentment {
        function: Function { reversal: true, code: 2_501, ..of.function },
        ..of
    };
    let (one, other) = (part(1, 3_000), part(2, 7_000));
    let mut house = dollars();
    limit_amount(&mut house);
    house.decide(&AuthorizationRequest { class: POSTS, ..request(1, 10_000) });
    house.clear(&one);
    house.clear(&reversed(one));
    assert_eq!((house.books()[0], uses(&house)), ((-7_000, 0), 7_000));
    // It is given back once, and the rest is as it was.
    house.clear(&Presentment { part: Part::Whole, ..reversed(one) });
    assert_eq!(house.books()[0], (-4_000, 0), "forced");
    house.clear(&other);
    assert_eq!(house.books()[0], (-4_000, 0), "posted already");
    house.clear(&reversed(other));
    assert_eq!((house.books()[0], uses(&house)), ((3_000, 0), 0));
    // Where records say nothing in the account's currency, it is the same part of what was posted, and it goes back to
    // the account that it came from, whatever others the wallet has.
    for accounts in [&[(978, 100_000)][..], &[(978, 100_000), (840, 100_000)]] {
        let mut house = House::new(accounts);
        house.advise(&Advice { billing: Some(money(9_000, 978)), ..advice(5, POSTS, 10_000) });
        let (one, other) = (part(1, 6_000), part(2, 4_000));
        [one, other].iter().for_each(|part| house.clear(part));
        assert_eq!(house.books()[0], (-9_000, 0), "{accounts:?}");
        house.clear(&reversed(one));
        assert_eq!(house.books()[0], (-3_600, 0), "{accounts:?}");
        house.clear(&reversed(other));
        assert_eq!(house.books()[0], (0, 0), "{accounts:?}");
        assert!(house.books()[1..].iter().all(|other| *other == (0, 0)), "{accounts:?}");
    }
}

#[test]
fn r18_what_a_part_takes_of_an_increment_or_posts_elsewhere_stays_counted() {
    let part = Presentment { part: Part::Partial, ..presentment(11_500) };
    // An increment gives a part of what it holds to the record, and then its time is over.
    let mut house = dollars();
    limit_amount(&mut house);
    house.decide(&request(1, 10_000));
    house.decide(&increment(2, 2_000));
    house.clear(&part);
    assert_eq!((house.books()[0], uses(&house)), ((-11_500, 500), 12_000));
    house.expire();
    assert_eq!((house.books()[0], uses(&house)), ((-11_500, 0), 11_500));
    // What was held is on another account.
    let mut house = House::new(&[(978, 100_000), (840, 100_000)]);
    limit_amount(&mut house);
    house.decide(&AuthorizationRequest { billing: Some(money(9_000, 978)), ..request(1, 10_000) });
    house.clear(&Presentment { amount: usd(4_000), ..part });
    assert_eq!((house.books(), uses(&house)), (vec![(0, 9_000), (-4_000, 0)], 4_000));
}
