//! An authorization that several accounts of a wallet bear (R13): what each of them holds, gives and gets back, in
//! every order of what happens to a purchase.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test of a purchase uses a part of what they share")]
mod purchase;
mod steps;

use purchase::House;
use purchase::WALLET;
use purchase::advice;
use purchase::money;
use purchase::presentment;
use purchase::request;
use purchase::reversal;
use purchase::usd;
use steps::Step;
use steps::clear;
use steps::complete;
use steps::give_back;
use steps::reverse;
use steps::reverse_sale;
use steps::step;
use turnpike::domain::action::ActionCode;
use turnpike::domain::asset::Quote;
use turnpike::domain::asset::RateSet;
use turnpike::domain::card::CardRef;
use turnpike::domain::clearing::Part;
use turnpike::domain::clearing::Presentment;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::Event;
use turnpike::domain::event::LimitSet;
use turnpike::domain::event::Sequence;
use turnpike::domain::fee::Fee;
use turnpike::domain::fee::FeeSet;
use turnpike::domain::fee::Tariff;
use turnpike::domain::limit::Filter;
use turnpike::domain::limit::Limit;
use turnpike::domain::limit::Measure;
use turnpike::domain::limit::Number;
use turnpike::domain::limit::Subject;
use turnpike::domain::limit::Window;
use turnpike::domain::moved::CallerKey;
use turnpike::domain::moved::Moved;
use turnpike::domain::moved::Side;
use turnpike::domain::moved::Sides;
use turnpike::domain::moved::Verb;
use turnpike::domain::party::SLOTS;
use turnpike::domain::party::Slot;
use turnpike::domain::party::Text;
use turnpike::domain::product::CardProductSet;
use turnpike::domain::product::ProductNumber;
use turnpike::domain::request::Advice;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
use turnpike::domain::request::OriginalData;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::ReversalRequest;
use turnpike::domain::request::TransactionKind;
use turnpike::domain::share::Spending;
use turnpike::domain::share::SpendingSet;
use turnpike::domain::time::Timestamp;
use turnpike::ledger::quotes::Quotes;
use turnpike::ledger::shard::Capacity;
use turnpike::ledger::shard::Shard;

/// Rates as a house publishes them: from, to, price, spread in millionths.
type Rates<'r> = &'r [(u16, u16, &'r str, u32)];

/// Gives the house these rates from now on; the first is of record 1,001.
fn quote(house: &mut House, rates: Rates<'_>) {
    let capacity = Capacity { wallets: 1, further_accounts: 1, cards: 1, ..Capacity::default() };
    let mut home = Shard::new(Quotes::HOME, SLOTS, capacity, Bounds::default(), 1);
    for (sequence, &(from, to, price, spread_ppm)) in (1_001..).zip(rates) {
        let price = price.parse().expect("a price");
        let [from, to] = [from, to].map(|numeric| money(0, numeric).currency);
        let set = RateSet { from, to, quote: Some(Quote { price, spread_ppm }) };
        let now = Timestamp::from_seconds(1_795_000_000);
        home.apply(Sequence(sequence), now, &Event::RateSet(set)).expect("a rate");
    }
    house.shard.copy_quotes(home.quotes());
}

fn spend(house: &mut House, order: &[u16]) {
    let order = Spending::new(order).expect("an order");
    house.record(&Event::SpendingSet(SpendingSet { slot: Slot::of_wallet(WALLET), wallet: WALLET, order }));
}

/// 2.50 and a tenth.
fn charge(house: &mut House) {
    let slot = Slot::of_wallet(WALLET);
    let (product, number) = (ProductNumber::new(1).expect("a number"), Number::new(1).expect("a number"));
    let card = CardRef::new(slot, 1);
    house.record(&Event::CardProductSet(CardProductSet { slot, card, product: Some(product) }));
    let tariff = Tariff::new(250, 1_000, 0, Tariff::MOST_MAX).expect("a tariff");
    let currency = usd(0).currency;
    let fee = Some(Fee { currency, outside: 0, converted: false, filter: Filter::ALL, tariff });
    house.record(&Event::FeeSet(FeeSet { slot, product, number, fee }));
}

/// Each currency sums to zero, and what the house got of each for what it gave.
fn exchange(house: &House) -> Vec<(u16, i128)> {
    let totals = house.shard.totals().iter();
    totals
        .map(|of| {
            assert_eq!(of.sum(), 0, "{of:?}");
            (of.currency.numeric(), of.exchange)
        })
        .filter(|(_, exchange)| *exchange != 0)
        .collect()
}

fn ask(stan: u32, amount: i64) -> Step {
    step(move |house| {
        let _action = house.decide(&request(stan, amount));
    })
}

fn sell(stan: u32, amount: i64) -> Step {
    step(move |house| {
        let sale = AuthorizationRequest { class: MessageClass::Financial, ..request(stan, amount) };
        assert_eq!(house.decide(&sale), ActionCode::Approved);
    })
}

fn add(stan: u32, amount: i64) -> Step {
    step(move |house| {
        let _action = house.decide(&AuthorizationRequest { increment: true, ..request(stan, amount) });
    })
}

fn tell(amount: i64) -> Step {
    step(move |house| house.advise(&advice(1, MessageClass::Authorization, amount)))
}

fn requote(rates: &'static [(u16, u16, &'static str, u32)]) -> Step {
    step(move |house| quote(house, rates))
}

fn told_as_refund() -> Step {
    step(|house| {
        let processing_code = ProcessingCode(200_000);
        house.advise(&Advice { processing_code, ..advice(1, MessageClass::Authorization, 10_000) });
    })
}

/// The first part of two, or the second.
const fn part(sequence: u8) -> Part {
    Part::Numbered { sequence, count: 2 }
}

/// What happens, step by step; what each account has posted and holds then; what the house exchanged.
type Case = (&'static str, Vec<Step>, [(i64, i64); 3], Vec<(u16, i128)>);

/// A wallet with 30.00 dollars, 50.00 euros worth 1.08 each, and 90.00 pounds worth 1.25 each, spent in this order. The
/// house keeps a hundredth of the pounds.
fn cases() -> Vec<Case> {
    let expire = || step(House::expire);
    vec![
        ("its own account has all", vec![ask(1, 3_000)], [(0, 3_000), (0, 0), (0, 0)], vec![]),
        // 20.00 are 18.52 euros, rounded up.
        ("the next bears the rest", vec![ask(1, 5_000)], [(0, 3_000), (0, 1_852), (0, 0)], vec![]),
        // 54.00 are all euros; 16.00 are 12.93 pounds at 1.2375.
        ("and the one after it", vec![ask(1, 10_000)], [(0, 3_000), (0, 5_000), (0, 1_293)], vec![]),
        ("all is given back", vec![ask(1, 10_000), reverse(2, None)], [(0, 0); 3], vec![]),
        ("it ends with its time", vec![ask(1, 10_000), expire()], [(0, 0); 3], vec![]),
        // The last that was taken is given back first.
        (
            "a part of the last is given back",
            vec![ask(1, 10_000), reverse(2, Some(9_000))],
            [(0, 3_000), (0, 5_000), (0, 485)],
            vec![],
        ),
        (
            "more than the last is given back",
            vec![ask(1, 10_000), reverse(2, Some(5_000))],
            [(0, 3_000), (0, 1_852), (0, 0)],
            vec![],
        ),
        (
            "what is posted takes the first first",
            vec![ask(1, 10_000), clear(5_000, Part::Whole)],
            [(-3_000, 0), (-1_852, 0), (0, 0)],
            vec![(840, -2_000), (978, 1_852)],
        ),
        (
            "all of it is posted",
            vec![ask(1, 10_000), complete(10_000)],
            [(-3_000, 0), (-5_000, 0), (-1_293, 0)],
            vec![(840, -7_000), (978, 5_000), (826, 1_293)],
        ),
        (
            "at the rates of when it was held",
            vec![
                ask(1, 10_000),
                requote(&[(978, 840, "9", 0), (826, 840, "9", 0)]),
                clear(10_000, Part::Whole),
            ],
            [(-3_000, 0), (-5_000, 0), (-1_293, 0)],
            vec![(840, -7_000), (978, 5_000), (826, 1_293)],
        ),
        // 9.00 more are 1.00 pounds by then.
        (
            "and what is posted beyond it at those of then",
            vec![
                ask(1, 10_000),
                requote(&[(978, 840, "9", 0), (826, 840, "9", 0)]),
                clear(10_900, Part::Whole),
            ],
            [(-3_000, 0), (-5_000, 0), (-1_393, 0)],
            vec![(840, -7_900), (978, 5_000), (826, 1_393)],
        ),
        (
            "in two parts as in one",
            vec![ask(1, 10_000), clear(4_001, part(1)), clear(5_999, part(2))],
            [(-3_000, 0), (-5_000, 0), (-1_293, 0)],
            vec![(840, -7_000), (978, 5_000), (826, 1_293)],
        ),
        (
            "one part of two, and the rest is given back",
            vec![ask(1, 10_000), clear(4_001, part(1)), reverse(2, None)],
            [(-3_000, 0), (-927, 0), (0, 0)],
            vec![(840, -1_001), (978, 927)],
        ),
        (
            "what was added bears shares of its own",
            vec![ask(1, 5_000), add(2, 5_000), clear(10_000, Part::Whole)],
            [(-3_000, 0), (-5_000, 0), (-1_294, 0)],
            vec![(840, -7_000), (978, 5_000), (826, 1_294)],
        ),
        (
            "the posting is given back to whom it came from",
            vec![ask(1, 10_000), clear(10_000, Part::Whole), give_back(10_000)],
            [(0, 0); 3],
            vec![],
        ),
        (
            "posted at once",
            vec![sell(1, 5_000)],
            [(-3_000, 0), (-1_852, 0), (0, 0)],
            vec![(840, -2_000), (978, 1_852)],
        ),
        (
            "posted at once, a part is given back",
            vec![sell(1, 5_000), reverse_sale(2, Some(4_000))],
            [(-3_000, 0), (-926, 0), (0, 0)],
            vec![(840, -1_000), (978, 926)],
        ),
        (
            "posted at once, and all is given back",
            vec![sell(1, 5_000), reverse_sale(2, None)],
            [(0, 0); 3],
            vec![],
        ),
        ("told by the network", vec![tell(5_000)], [(0, 3_000), (0, 1_852), (0, 0)], vec![]),
        ("less by the network", vec![ask(1, 10_000), tell(5_000)], [(0, 3_000), (0, 1_852), (0, 0)], vec![]),
        ("more by the network", vec![ask(1, 3_000), tell(5_000)], [(0, 3_000), (0, 1_852), (0, 0)], vec![]),
        // 30.00, 54.00 and 111.37 are there; what else is paid, its own account owes.
        (
            "posted though nobody has it",
            vec![clear(30_000, Part::Whole)],
            [(-13_463, 0), (-5_000, 0), (-9_000, 0)],
            vec![(840, -16_537), (978, 5_000), (826, 9_000)],
        ),
        // What nobody had is given back first, so that what is left is what it would have been.
        (
            "told of more than there is, and a part is left",
            vec![
                tell(30_000),
                step(|house| {
                    house.reverse(&ReversalRequest { amount: usd(30_000), ..reversal(2, Some(5_000)) })
                }),
                clear(5_000, Part::Whole),
            ],
            [(-3_000, 0), (-1_852, 0), (0, 0)],
            vec![(840, -2_000), (978, 1_852)],
        ),
        (
            "posted though nobody has it, and a part is left",
            vec![
                complete(30_000),
                step(|house| {
                    let of = reversal(2, Some(5_000));
                    let (class, stan) = (Some(MessageClass::Financial), purchase::key(5).stan);
                    let transmission = Some(purchase::key(5).transmission);
                    let original =
                        of.original.map(|original| OriginalData { class, stan, transmission, ..original });
                    house.reverse(&ReversalRequest { amount: usd(30_000), original, ..of });
                }),
            ],
            [(-3_000, 0), (-1_852, 0), (0, 0)],
            vec![(840, -2_000), (978, 1_852)],
        ),
        (
            "cleared in the currency of an account that bore a share: that is free by then",
            vec![
                ask(1, 8_400),
                step(|house| house.clear(&Presentment { amount: money(5_000, 978), ..presentment(0) })),
            ],
            [(0, 0), (-5_000, 0), (0, 0)],
            vec![],
        ),
        (
            "a purchase that the network calls a refund",
            vec![ask(1, 10_000), told_as_refund()],
            [(0, 0); 3],
            vec![],
        ),
        (
            "a refund that the network calls a purchase",
            vec![
                step(|house| {
                    let (processing_code, kind) = (ProcessingCode(200_000), TransactionKind::Refund);
                    let refund = AuthorizationRequest { processing_code, kind, ..request(1, 10_000) };
                    assert_eq!(house.decide(&refund), ActionCode::Approved);
                }),
                tell(10_000),
            ],
            [(0, 3_000), (0, 5_000), (0, 1_293)],
            vec![],
        ),
        ("declined, nobody has it", vec![ask(1, 19_538)], [(0, 0); 3], vec![]),
        ("they have it to the last cent", vec![ask(1, 19_537)], [(0, 3_000), (0, 5_000), (0, 9_000)], vec![]),
    ]
}

fn house() -> House {
    let mut house = House::new(&[(840, 3_000), (978, 5_000), (826, 9_000)]);
    quote(&mut house, &[(978, 840, "1.08", 0), (826, 840, "1.25", 10_000)]);
    spend(&mut house, &[0, 1, 2]);
    house
}

#[test]
fn r13_each_account_bears_its_share_in_order_and_gets_it_back_in_reverse() {
    for (what, steps, books, exchanged) in cases() {
        let mut house = house();
        for take in &steps {
            house.later(1);
            take(&mut house);
        }
        assert_eq!((house.books(), exchange(&house)), (books.to_vec(), exchanged), "{what}");
    }
}

#[test]
fn r13_the_order_is_the_owners() {
    // The order, what is asked for, and what each account holds then.
    let table: [(&[u16], i64, [i64; 3]); 6] = [
        (&[], 3_000, [3_000, 0, 0]),
        (&[1, 0], 2_000, [0, 1_852, 0]),
        (&[1, 0], 6_000, [600, 5_000, 0]),
        (&[2, 1, 0], 12_000, [0, 800, 9_000]),
        (&[2, 0, 1], 14_500, [3_000, 337, 9_000]),
        // Where its own account is not named, it is first.
        (&[2], 4_000, [3_000, 0, 809]),
    ];
    for (order, amount, held) in table {
        let mut house = house();
        spend(&mut house, order);
        assert_eq!(house.decide(&request(1, amount)), ActionCode::Approved, "{order:?}");
        let found: Vec<i64> = house.books().iter().map(|(_, held)| *held).collect();
        assert_eq!(found, held, "{order:?}");
        // What it gives back goes to those that were taken last.
        house.reverse(&reversal(2, None));
        assert_eq!(house.books(), [(0, 0); 3], "{order:?}");
    }
    for (order, rates) in [(&[0_u16][..], true), (&[0, 1, 2], false), (&[], true)] {
        let mut house = house();
        spend(&mut house, order);
        if !rates {
            quote(&mut house, &[]);
        }
        assert_eq!(house.decide(&request(1, 3_001)), ActionCode::InsufficientFunds, "{order:?}");
    }
}

#[test]
fn r11_our_own_rate_is_asked_for_only_where_the_network_gave_no_currency_of_the_wallet() {
    let yen = |billing: Option<i64>| AuthorizationRequest {
        amount: money(10_000, 392),
        billing: billing.map(usd),
        ..request(1, 0)
    };
    let rates: Rates<'_> = &[(978, 840, "1.08", 0), (840, 392, "150", 0), (978, 392, "160", 0)];
    let with = |accounts: &[(u16, i64)], order: &[u16]| {
        let mut house = House::new(accounts);
        quote(&mut house, rates);
        spend(&mut house, order);
        house
    };
    // The network's own amount is in dollars, at its own rate: 67.00 of them, whatever ours is.
    let mut house = with(&[(840, 10_000), (978, 10_000)], &[0, 1]);
    assert_eq!(house.decide(&yen(Some(6_700))), ActionCode::Approved);
    assert_eq!(house.books(), [(0, 6_700), (0, 0)]);
    // It gave yen alone: 10,000 of them are 66.67 dollars at ours, borne by the dollars for an empty account in yen.
    let mut house = with(&[(840, 10_000), (978, 10_000)], &[0, 1]);
    assert_eq!(house.decide(&yen(None)), ActionCode::Approved);
    assert_eq!(house.books(), [(0, 6_667), (0, 0)]);
    let accounts = house.shard.wallet_accounts(WALLET).expect("accounts");
    assert_eq!((accounts.len(), accounts[2].currency, accounts[2].held), (3, money(0, 392).currency, 0));
    // So it is where the network has approved it for us.
    let mut told = with(&[(840, 10_000), (978, 10_000)], &[0, 1]);
    told.advise(&Advice { amount: money(10_000, 392), ..advice(1, MessageClass::Authorization, 0) });
    assert_eq!(told.books(), house.books());
    // What is cleared in yen goes by that account, and the next purchase in yen finds it.
    house.clear(&Presentment { amount: money(10_000, 392), ..presentment(0) });
    assert_eq!(house.books(), [(-6_667, 0), (0, 0)]);
    let more = AuthorizationRequest { amount: money(8_000, 392), ..request(3, 0) };
    let other = AuthorizationRequest { key: MessageKey { network_reference: 100, ..more.key }, ..more };
    assert_eq!(house.decide(&other), ActionCode::Approved);
    assert_eq!(house.books(), [(-6_667, 3_333), (0, 1_876)]);
    assert_eq!(house.shard.wallet_accounts(WALLET).map(|all| all.len()), Some(3));
    // Without an order, or without a rate, the wallet has no such currency.
    for (accounts, order) in [(&[(840, 10_000)][..], &[][..]), (&[(826, 10_000)], &[0])] {
        let mut house = with(accounts, order);
        assert_eq!(house.decide(&yen(None)), ActionCode::CurrencyNotHeld);
        assert_eq!(house.shard.wallet_accounts(WALLET).map(|all| all.len()), Some(1));
    }
    let mut house = with(&[(840, 6_666)], &[0]);
    assert_eq!(house.decide(&yen(None)), ActionCode::InsufficientFunds);
    assert_eq!(house.shard.wallet_accounts(WALLET).map(|all| all.len()), Some(1));
    let part = AuthorizationRequest { partial_supported: true, ..yen(None) };
    assert_eq!(
        house.decide(&AuthorizationRequest { key: purchase::key(9), ..part }),
        ActionCode::ApprovedPartially
    );
    assert_eq!(house.books(), [(0, 6_666)]);
}

#[test]
fn r18_no_limit_is_passed_by_through_an_account_that_is_opened() {
    let limited = |measured: &[u16]| {
        let mut house = House::new(&[(840, 1_000_000)]);
        quote(&mut house, &[(840, 392, "150", 0)]);
        spend(&mut house, &[0]);
        for (number, numeric) in (1..).filter_map(Number::new).zip(measured) {
            let measure = Measure::Amount(money(0, *numeric).currency);
            let (window, filter) = (Window::Lifetime, Filter::ALL);
            let limit = Some(Limit { measure, max: 500_000, window, filter });
            let (slot, subject) = (Slot::of_wallet(WALLET), Subject::Wallet(WALLET));
            house.record(&Event::LimitSet(LimitSet { slot, subject, number, limit }));
        }
        house
    };
    let table: [(&[u16], i64, ActionCode); 4] = [
        (&[], 900_000, ActionCode::Approved),
        (&[840], 100_000, ActionCode::CurrencyNotHeld),
        (&[840, 392], 400_000, ActionCode::Approved),
        (&[840, 392], 600_000, ActionCode::AmountLimitExceeded),
    ];
    for (measured, yen, action) in table {
        let mut house = limited(measured);
        let asked = AuthorizationRequest { amount: money(yen, 392), ..request(1, 0) };
        assert_eq!(house.decide(&asked), action, "{measured:?} {yen}");
    }
}

/// An account that has become too rich for what a reversal would give back to it keeps what it has, and the amount
/// stays with the authorization's own.
#[test]
fn r13_what_an_account_has_no_room_for_stays_exchanged() {
    const RICH: i64 = 4_000_000_000_000_000_000;
    let mut house = House::new(&[(840, 0), (978, RICH)]);
    quote(&mut house, &[(978, 840, "0.000001", 0)]);
    spend(&mut house, &[1, 0]);
    let sale = |stan| {
        let key = MessageKey { network_reference: 100 + u64::from(stan), ..purchase::key(stan) };
        AuthorizationRequest { key, class: MessageClass::Financial, ..request(stan, RICH / 1_000_000) }
    };
    for stan in [1, 2] {
        assert_eq!(house.decide(&sale(stan)), ActionCode::Approved);
        // As much again comes in.
        let (verb, slot) = (Verb::Fund, Slot::of_wallet(WALLET));
        let to = Some(Side { wallet: WALLET, account: 1 });
        let key =
            CallerKey { print: u128::from(stan) << 64 | u128::from(slot.number()), body: 1, until_s: 0 };
        house.record(&Event::Moved(Moved {
            verb,
            key,
            from: None,
            to,
            currency: money(0, 978).currency,
            amount: RICH,
            fee: 0,
            converted: None,
            about: Sequence(0),
            refundable_until_s: 0,
            reason: Text::BLANK,
            configuration: 1,
            sides: Sides::IN,
        }));
    }
    for stan in [1, 2] {
        let of = reversal(10 + stan, None);
        let (class, first) = (Some(MessageClass::Financial), sale(stan).key);
        let original = of.original.map(|original| OriginalData {
            class,
            stan: first.stan,
            transmission: Some(first.transmission),
            ..original
        });
        let key = MessageKey { network_reference: first.network_reference, ..of.key };
        house.reverse(&ReversalRequest { key, original, amount: sale(stan).amount, ..of });
    }
    // Nothing of the two went back: what they gave stays exchanged, and the dollars are the wallet's.
    assert_eq!(house.books(), [(2 * RICH / 1_000_000, 0), (0, 0)]);
    exchange(&house);
}

/// What may happen to a purchase.
fn events() -> Vec<(&'static str, Step)> {
    vec![
        ("request", ask(1, 10_000)),
        ("increment", add(2, 2_001)),
        ("partial reversal", reverse(3, Some(7_003))),
        ("reversal", reverse(4, None)),
        ("less by the network", tell(9_001)),
        ("more by the network", tell(12_007)),
        ("completion", complete(11_000)),
        ("clearing", clear(11_000, Part::Whole)),
        ("first part", clear(4_321, part(1))),
        ("given back", give_back(11_000)),
        ("expiry", step(House::expire)),
    ]
}

/// Every order of up to `most` of the events.
fn orders(events: usize, most: usize) -> Vec<Vec<usize>> {
    let (mut all, mut open) = (Vec::new(), vec![Vec::new()]);
    while let Some(order) = open.pop() {
        if order.len() < most {
            let more = (0..events).filter(|event| !order.contains(event));
            open.extend(more.map(|event| [order.as_slice(), &[event]].concat()));
        }
        all.push(order);
    }
    all
}

fn lived(mut house: House, order: &[usize], events: &[(&'static str, Step)]) -> House {
    for event in order {
        house.later(1);
        (events[*event].1)(&mut house);
    }
    house
}

/// Where two minor units of one account are one of the other's, several accounts have what one would have.
#[test]
fn r13_together_the_accounts_are_what_one_account_would_be_in_every_order() {
    let events = events();
    let several = |order: &[u16], fee: bool| {
        let mut house = House::new(&[(840, 3_333), (978, 4_444), (840, 1_111), (826, 60_000)]);
        quote(&mut house, &[(978, 840, "0.5", 0), (826, 840, "0.5", 0)]);
        spend(&mut house, order);
        if fee {
            charge(&mut house);
        }
        house
    };
    let one = |fee: bool| {
        let mut house = House::new(&[(840, 3_333 + 2_222 + 1_111 + 30_000)]);
        if fee {
            charge(&mut house);
        }
        house
    };
    let mut shared = 0;
    let spendings = [(false, &[&[0_u16, 1, 2, 3][..], &[3, 1, 0]][..]), (true, &[&[1, 2, 0, 3]])];
    for (fee, spendings) in spendings {
        for order in orders(events.len(), 3) {
            let names: Vec<&str> = order.iter().map(|event| events[*event].0).collect();
            let single = lived(one(fee), &order, &events).books()[0];
            for spending in spendings {
                let house = lived(several(spending, fee), &order, &events);
                exchange(&house);
                let worth = [1, 2, 1, 2];
                let (mut posted, mut held) = (0, 0);
                for ((of_posted, of_held), worth) in house.books().into_iter().zip(worth) {
                    assert_eq!((of_posted % worth, of_held % worth), (0, 0), "{names:?}");
                    (posted, held) = (posted + of_posted / worth, held + of_held / worth);
                    shared += u32::from(worth == 2 && of_held > 0);
                }
                assert_eq!((posted, held), single, "{names:?}, {spending:?}, fee {fee}");
            }
        }
    }
    assert!(shared > 1_000, "{shared}");
}

/// At rates that never come out even, no order of events makes or loses a unit: what is given back is all there again,
/// and no account that bears shares goes below zero.
#[test]
fn r13_what_is_given_back_is_all_there_again_in_every_order() {
    let events = events();
    let (mut back, mut taken) = (0, 0);
    for order in orders(events.len(), 4) {
        let mut house = House::new(&[(840, 3_001), (978, 5_003), (826, 90_001)]);
        quote(&mut house, &[(978, 840, "1.0837", 1_700), (826, 840, "1.2951", 12_345)]);
        spend(&mut house, &[1, 0, 2]);
        let house = lived(house, &order, &events);
        let names: Vec<&str> = order.iter().map(|event| events[*event].0).collect();
        exchange(&house);
        let books = house.books();
        for (at, (posted, _)) in books.iter().enumerate().skip(1) {
            assert!([3_001, 5_003, 90_001][at] + posted >= 0, "{names:?}: {books:?}");
        }
        // What gives back a posting of no clearing record that is known is a credit of its own.
        let place = |name: &str| names.iter().position(|of| *of == name);
        if place("given back").is_some_and(|at| place("clearing").is_none_or(|by| by > at)) {
            continue;
        }
        let dollars = house.shard.totals().iter().find(|of| of.currency == usd(0).currency).expect("dollars");
        if dollars.settlement == 0 && books.iter().all(|(_, held)| *held == 0) {
            assert!(books.iter().all(|(posted, _)| *posted == 0), "{names:?}: {books:?}");
            back += 1;
        } else {
            taken += 1;
        }
    }
    assert!(back > 100 && taken > 1_000, "{back} {taken}");
}
