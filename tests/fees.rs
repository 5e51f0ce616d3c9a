//! Fees of products: held and posted with what they are charged for, and given back with it, in every order of events,
//! over real sockets and through starts.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;
#[expect(dead_code, reason = "each test of a purchase uses a part of what they share")]
mod purchase;
mod steps;

use std::path::Path;

use harness::LINKS;
use harness::PAN;
use harness::PURCHASE;
use harness::SEED;
use harness::as_if_killed_with;
use harness::config;
use harness::seed;
use harness::with;
use purchase::House;
use purchase::WALLET;
use purchase::advice;
use purchase::money;
use purchase::presentment;
use purchase::request;
use purchase::reversal;
use steps::Step;
use steps::clear;
use steps::complete;
use steps::give_back;
use steps::reverse;
use steps::reverse_sale;
use steps::step;
use turnpike::config::Config;
use turnpike::config::products::ProductSettings;
use turnpike::domain::action::ActionCode;
use turnpike::domain::card::CardRef;
use turnpike::domain::clearing::Function;
use turnpike::domain::clearing::Part;
use turnpike::domain::clearing::Presentment;
use turnpike::domain::clearing::Purpose;
use turnpike::domain::event::Event;
use turnpike::domain::fee::Fee;
use turnpike::domain::fee::FeeSet;
use turnpike::domain::fee::Tariff;
use turnpike::domain::limit::Filter;
use turnpike::domain::limit::Number;
use turnpike::domain::party::Slot;
use turnpike::domain::product::CardProductSet;
use turnpike::domain::product::PanRange;
use turnpike::domain::product::ProductNumber;
use turnpike::domain::request::Advice;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::ReversalRequest;
use turnpike::domain::request::TransactionKind;

const FLAT: i64 = 250;

/// 2.50, and a tenth.
fn tariff(most: i64) -> Tariff {
    Tariff::new(FLAT, 1_000, 0, most).expect("a tariff")
}

fn set_fee(house: &mut House, tariff: Option<Tariff>) {
    let slot = Slot::of_wallet(WALLET);
    let (product, number) = (ProductNumber::new(1).expect("a number"), Number::new(1).expect("a number"));
    let currency = money(0, 840).currency;
    let fee =
        tariff.map(|tariff| Fee { currency, outside: 0, converted: false, filter: Filter::ALL, tariff });
    house.record(&Event::FeeSet(FeeSet { slot, product, number, fee }));
}

/// A wallet with 1,000.00 whose card is of a product that charges 2.50 and a tenth.
fn house() -> House {
    let mut house = House::new(&[(840, 100_000)]);
    let slot = Slot::of_wallet(WALLET);
    let card = CardRef::new(slot, 1);
    house.record(&Event::CardProductSet(CardProductSet { slot, card, product: ProductNumber::new(1) }));
    set_fee(&mut house, Some(tariff(Tariff::MOST_MAX)));
    house
}

/// What the wallet has posted since it was funded, what it has held, and what was charged.
fn books(house: &House) -> (i64, i64, i128) {
    let (posted, held) = house.books()[0];
    let totals = house.shard.totals()[0];
    assert_eq!(totals.sum(), 0);
    (posted, held, totals.fees)
}

/// What happens, step by step, and the books after it.
type Case = (&'static str, Vec<Step>, (i64, i64, i128));

fn ask(stan: u32, amount: i64) -> Step {
    step(move |house| assert_eq!(house.decide(&request(stan, amount)), ActionCode::Approved))
}

fn add(stan: u32, amount: i64) -> Step {
    step(move |house| {
        let more = AuthorizationRequest { increment: true, ..request(stan, amount) };
        assert_eq!(house.decide(&more), ActionCode::Approved);
    })
}

fn change_fee(tariff: Option<Tariff>) -> Step {
    step(move |house| set_fee(house, tariff))
}

#[test]
fn a_fee_is_taken_changed_and_given_back_with_what_it_is_charged_for() {
    let expire = || step(House::expire);
    let table: Vec<Case> = vec![
        ("held with the amount", vec![ask(1, 10_000)], (0, 11_250, 0)),
        ("a repeat holds nothing", vec![ask(1, 10_000), ask(1, 10_000)], (0, 11_250, 0)),
        ("what is added costs its share", vec![ask(1, 10_000), add(2, 2_000)], (0, 13_450, 0)),
        ("a part is given back", vec![ask(1, 10_000), reverse(3, Some(7_000))], (0, 7_950, 0)),
        ("all is given back", vec![ask(1, 10_000), add(2, 2_000), reverse(3, None)], (0, 0, 0)),
        ("it ends with the hold", vec![ask(1, 10_000), expire()], (0, 0, 0)),
        ("posted by a completion", vec![ask(1, 10_000), complete(11_000)], (-12_350, 0, 1_350)),
        ("of a completion of nothing", vec![ask(1, 10_000), complete(0)], (0, 0, 0)),
        ("posted by a clearing record", vec![ask(1, 10_000), clear(9_000, Part::Whole)], (-10_150, 0, 1_150)),
        (
            "a posting of all that was added",
            vec![ask(1, 10_000), add(2, 2_000), clear(12_000, Part::Whole)],
            (-13_450, 0, 1_450),
        ),
        (
            "posted once",
            vec![ask(1, 10_000), complete(9_000), clear(9_000, Part::Whole)],
            (-10_150, 0, 1_150),
        ),
        (
            "posted though it was held no more",
            vec![ask(1, 10_000), expire(), complete(9_000)],
            (-10_150, 0, 1_150),
        ),
        ("posted though nobody asked", vec![clear(9_000, Part::Whole)], (-10_150, 0, 1_150)),
        (
            "told by the network",
            vec![step(|house| {
                house.advise(&advice(1, MessageClass::Authorization, 10_000));
            })],
            (0, 11_250, 0),
        ),
        (
            "changed by the network",
            vec![ask(1, 10_000), step(|house| house.advise(&advice(1, MessageClass::Authorization, 8_000)))],
            (0, 9_050, 0),
        ),
        (
            "declined by the network",
            vec![
                ask(1, 10_000),
                step(|house| {
                    house.advise(&Advice {
                        approved: false,
                        ..advice(1, MessageClass::Authorization, 10_000)
                    });
                }),
            ],
            (0, 0, 0),
        ),
        (
            "a part is posted, with what is charged once",
            vec![ask(1, 10_000), clear(6_000, Part::Numbered { sequence: 1, count: 2 })],
            (-6_850, 4_400, 850),
        ),
        (
            "the other part costs its share",
            vec![
                ask(1, 10_000),
                clear(6_000, Part::Numbered { sequence: 1, count: 2 }),
                clear(4_000, Part::Numbered { sequence: 2, count: 2 }),
            ],
            (-11_250, 0, 1_250),
        ),
        (
            "parts of what was held no more",
            vec![
                ask(1, 10_000),
                expire(),
                clear(4_000, Part::Numbered { sequence: 1, count: 2 }),
                clear(6_000, Part::Numbered { sequence: 2, count: 2 }),
            ],
            (-11_250, 0, 1_250),
        ),
        (
            "parts of an increment alone",
            vec![
                add(2, 10_000),
                clear(4_000, Part::Numbered { sequence: 1, count: 2 }),
                clear(6_000, Part::Numbered { sequence: 2, count: 2 }),
            ],
            (-11_250, 0, 1_250),
        ),
        (
            "what takes back a refund that nobody knows",
            vec![step(|house| {
                let of = presentment(5_000);
                let function = Function { purpose: Purpose::Refund, reversal: true, ..of.function };
                house.clear(&Presentment { function, network_reference: 0, ..of });
            })],
            (-5_000, 0, 0),
        ),
        (
            "the posting is given back",
            vec![ask(1, 10_000), clear(9_000, Part::Whole), give_back(9_000)],
            (0, 0, 0),
        ),
        (
            "posted at once and reversed",
            vec![
                step(|house| {
                    let sale = AuthorizationRequest { class: MessageClass::Financial, ..request(1, 10_000) };
                    assert_eq!(house.decide(&sale), ActionCode::Approved);
                    assert_eq!(books(house), (-11_250, 0, 1_250));
                }),
                reverse_sale(3, Some(4_000)),
                step(|house| assert_eq!(books(house), (-4_650, 0, 650))),
                reverse_sale(4, None),
            ],
            (0, 0, 0),
        ),
        (
            "posted at once, cleared late at another amount, and both are given back",
            vec![
                step(|house| {
                    let sale = AuthorizationRequest { class: MessageClass::Financial, ..request(1, 5_000) };
                    assert_eq!(house.decide(&sale), ActionCode::Approved);
                }),
                clear(9_000, Part::Whole),
                reverse_sale(3, None),
                give_back(9_000),
            ],
            (0, 0, 0),
        ),
        (
            "a refund is no reversal: the fee stays",
            vec![
                ask(1, 10_000),
                complete(9_000),
                step(|house| {
                    let function = Function { purpose: Purpose::Refund, ..presentment(9_000).function };
                    let refund = Presentment { function, network_reference: 0, ..presentment(9_000) };
                    house.clear(&refund);
                }),
            ],
            (-1_150, 0, 1_150),
        ),
        (
            "an open authorization keeps what it was told",
            vec![
                ask(1, 10_000),
                change_fee(Some(Tariff::new(9_999, 0, 0, 9_999).expect("a tariff"))),
                add(2, 2_000),
                step(|house| assert_eq!(books(house), (0, 13_450, 0))),
                change_fee(None),
                complete(9_000),
            ],
            (-10_150, 0, 1_150),
        ),
        ("none is charged any more", vec![change_fee(None), ask(1, 10_000)], (0, 10_000, 0)),
        ("never more than its most", vec![change_fee(Some(tariff(500))), ask(1, 10_000)], (0, 10_500, 0)),
    ];
    for (what, steps, expected) in table {
        let mut house = house();
        for take in &steps {
            house.later(1);
            take(&mut house);
        }
        assert_eq!(books(&house), expected, "{what}");
    }
}

#[test]
fn money_that_the_fee_needs_is_not_there_twice() {
    // 1,000.00: what costs 2.50 and a tenth may be 906.82, for 90.68 and 2.50.
    let table = [
        (90_682, false, ActionCode::Approved, 100_000),
        (90_683, false, ActionCode::InsufficientFunds, 0),
        (90_683, true, ActionCode::ApprovedPartially, 100_000),
        (100_000, true, ActionCode::ApprovedPartially, 100_000),
    ];
    for (amount, partial_supported, action, held) in table {
        let mut house = house();
        let asked = AuthorizationRequest { partial_supported, ..request(1, amount) };
        assert_eq!(house.decide(&asked), action, "{amount}");
        assert_eq!(books(&house), (0, held, 0), "{amount}");
    }
    // Where not even a cent and its fee are there, no part is.
    let mut house = house();
    assert_eq!(house.decide(&request(1, 90_500)), ActionCode::Approved);
    let asked = AuthorizationRequest { partial_supported: true, ..request(2, 500) };
    assert_eq!(house.decide(&asked), ActionCode::InsufficientFunds);
    // What is asked about, and what comes in, costs nothing.
    let mut house = self::house();
    for kind in [TransactionKind::BalanceInquiry, TransactionKind::Refund] {
        assert_eq!(house.decide(&AuthorizationRequest { kind, ..request(1, 10_000) }), ActionCode::Approved);
        assert_eq!(books(&house).1, 0, "{kind:?}");
    }
}

#[test]
fn a_fee_is_for_the_uses_that_it_names_and_the_first_of_several_counts() {
    let slot = Slot::of_wallet(WALLET);
    let charged = |fees: &[Fee], changes: &dyn Fn(&mut AuthorizationRequest)| {
        let mut house = House::new(&[(840, 100_000), (978, 100_000)]);
        let (card, product) = (CardRef::new(slot, 1), ProductNumber::new(1).expect("a number"));
        house.record(&Event::CardProductSet(CardProductSet { slot, card, product: Some(product) }));
        for (number, fee) in (1..).filter_map(Number::new).zip(fees) {
            house.record(&Event::FeeSet(FeeSet { slot, product, number, fee: Some(*fee) }));
        }
        let mut asked = request(1, 10_000);
        changes(&mut asked);
        assert_eq!(house.decide(&asked), ActionCode::Approved);
        house.shard.wallet_authorizations(WALLET).expect("the wallet")[0].fee
    };
    let (dollars, euros) = (money(0, 840).currency, money(0, 978).currency);
    let flat = |flat| Tariff::new(flat, 0, 0, Tariff::MOST_MAX).expect("a tariff");
    let plain =
        Fee { currency: dollars, outside: 0, converted: false, filter: Filter::ALL, tariff: flat(100) };
    let abroad = Fee { outside: 840, tariff: flat(200), ..plain };
    let converted = Fee { converted: true, tariff: flat(300), ..plain };
    let in_euros = Fee { currency: euros, tariff: flat(400), ..plain };
    let in_yen = Fee { filter: Filter { currency: Some(money(0, 392).currency), ..Filter::ALL }, ..plain };
    let yen = |request: &mut AuthorizationRequest| {
        (request.amount, request.billing) = (money(10_000, 392), Some(money(7_000, 840)));
    };
    let in_country = |country| move |request: &mut AuthorizationRequest| request.country = country;
    type Changes<'c> = &'c dyn Fn(&mut AuthorizationRequest);
    let table: [(&str, &[Fee], Changes<'_>, i64); 12] = [
        ("everywhere", &[plain], &|_| {}, 100),
        ("at home", &[abroad], &|_| {}, 0),
        ("abroad", &[abroad], &in_country(826), 200),
        ("nobody says where", &[abroad], &in_country(0), 0),
        ("the first that fits", &[abroad, plain], &in_country(826), 200),
        ("the next that fits", &[abroad, plain], &|_| {}, 100),
        ("in the account's currency", &[converted], &|_| {}, 0),
        ("in another one", &[converted], &yen, 300),
        ("in that one", &[in_yen], &yen, 100),
        ("from another account", &[plain], &|request| request.amount = money(10_000, 978), 0),
        ("from that account", &[plain, in_euros], &|request| request.amount = money(10_000, 978), 400),
        ("none", &[], &|_| {}, 0),
    ];
    for (what, fees, changes, fee) in table {
        assert_eq!(charged(fees, changes), fee, "{what}");
    }
}

/// The events of a purchase that may change places, each once.
fn events() -> Vec<(&'static str, Step)> {
    vec![
        ("request", step(|house| _ = house.decide(&request(1, 10_000)))),
        (
            "increment",
            step(|house| {
                _ = house.decide(&AuthorizationRequest { increment: true, ..request(2, 2_000) });
            }),
        ),
        ("partial reversal", reverse(3, Some(7_000))),
        ("reversal", reverse(4, None)),
        (
            "repeat of the reversal",
            step(|house| {
                house.reverse(&ReversalRequest { repeat: true, ..reversal(4, None) });
            }),
        ),
        ("advice", step(|house| house.advise(&advice(1, MessageClass::Authorization, 10_000)))),
        ("completion", complete(11_000)),
        ("clearing", clear(11_000, Part::Whole)),
        ("expiry", step(House::expire)),
    ]
}

#[test]
fn r21_a_fee_is_what_its_tariff_says_of_the_books_without_it_in_every_order() {
    let events = events();
    let (mut orders, mut charged) = (vec![Vec::new()], 0);
    while let Some(order) = orders.pop() {
        if order.len() < 5 {
            let more = (0..events.len()).filter(|event| !order.contains(event));
            orders.extend(more.map(|event| [order.as_slice(), &[event]].concat()));
        }
        let lived = |mut house: House| {
            for event in &order {
                house.later(1);
                (events[*event].1)(&mut house);
            }
            books(&house)
        };
        let names: Vec<&str> = order.iter().map(|event| events[*event].0).collect();
        let (posted, held, none) = lived(House::new(&[(840, 100_000)]));
        let (with_posted, with_held, fees) = lived(house());
        assert_eq!((none, i128::from(posted - with_posted)), (0, fees), "{names:?}");
        // One posting, if any; of what is held one is charged the flat part, and an increment alone is not.
        assert_eq!(fees, i128::from(tariff(Tariff::MOST_MAX).of(-posted, false)), "{names:?}");
        let share = held + held / 10;
        let began = held != 0 && held != 2_000;
        assert_eq!(with_held, share + if began { FLAT } else { 0 }, "{names:?}");
        charged += u32::from(fees > 0) + u32::from(began);
    }
    assert!(charged > 1_000, "{charged}");
}

fn products(data: &Path, shards: u16) -> Config {
    config(data, |config| set_products(config, shards))
}

fn set_products(config: &mut Config, shards: u16) {
    config.daemon.shards = shards;
    config.products = vec![ProductSettings {
        name: "gold".to_owned(),
        number: ProductNumber::new(1).expect("a number"),
        ranges: vec![PanRange::of_text("4111").expect("a range")],
    }];
}

/// What the first account of wallet 1 has posted and held, and what was charged in all.
fn shown(house: &harness::House) -> (i64, i64, String) {
    let wallet = house.json("/v1/wallets/1");
    let account = &wallet["accounts"][0];
    let numbers = [&account["posted"], &account["held"]].map(|number| number.as_i64().expect("a number"));
    let sums = house.json("/v1/audit/balance");
    let dollars = sums["currencies"].as_array().expect("a list").iter();
    let fees = dollars.filter(|of| of["currency"] == "840").map(|of| of["fees"].as_str().expect("a sum"));
    (numbers[0], numbers[1], fees.collect())
}

#[test]
fn a_fee_is_set_for_a_product_and_is_the_same_after_a_start_from_records_and_from_a_snapshot() {
    for (link, _) in LINKS {
        for snapshot in [false, true] {
            let directory = tempfile::tempdir().expect("a directory");
            let start = harness::House::start(&products(directory.path(), 16), Some(&seed(SEED)));
            let house = start.expect("a start");
            let fees = "/v1/products/gold/fees";
            let cash = r#"{"currency":"840","flat":250,"kinds":["cash"]}"#;
            let shops = r#"{"currency":"840","basis_points":1000,"mcc":["5900-5999"]}"#;
            for (number, body) in [(1, cash), (2, shops)] {
                let (status, answer) = house.verb("PUT", &format!("{fees}/{number}"), body);
                assert_eq!((status, answer["set"].as_bool()), (200, Some(true)), "{answer}");
            }
            assert_eq!(house.json(fees)["fees"][1]["fee"]["mcc"][0], "5900-5999");
            let mut peer = house.connect(link);
            let before = shown(&house);
            assert_eq!((before.1, before.2.as_str()), (0, "0"));
            // Cash of 50.00 for 2.50, then a purchase of 50.00 for a tenth.
            let ask = |peer: &mut harness::Peer, stan: &str, changes: &harness::Values<'_>| {
                let message = with(&with(PURCHASE, &[(11, stan)]), changes);
                peer.ask(100, &message).value(39).to_owned()
            };
            assert_eq!(ask(&mut peer, "000001", &[(3, "010000")]), "00");
            assert_eq!(shown(&house).1, 5_250);
            if snapshot {
                assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
            }
            assert_eq!(ask(&mut peer, "000002", &[]), "00");
            let list = house.json("/v1/wallets/1/authorizations");
            let charged = |n: usize| list["authorizations"][n]["fee"].as_i64().expect("a number");
            assert_eq!((charged(0), charged(1)), (500, 250), "{link}: {list}");
            assert_eq!(shown(&house).1, 10_750, "{link}");
            // Acknowledged, so what came before it is on disk.
            assert_eq!(house.verb("PUT", "/v1/wallets/2/status", r#"{"status":"frozen"}"#).0, 200);
            let (then, copy) = as_if_killed_with(directory.path(), |config| set_products(config, 4));
            assert_eq!(shown(&then), shown(&house), "{link}, snapshot: {snapshot}");
            assert_eq!(then.json(fees), house.json(fees));
            assert_eq!(then.json("/v1/wallets/1/authorizations"), list);
            // A fee that is removed stays with what it was charged for.
            assert_eq!(then.verb("DELETE", &format!("{fees}/1"), "").0, 200);
            let mut peer = then.connect(link);
            let original = "010000000106041234561234567890100000000000";
            let reversal = with(PURCHASE, &[(11, "900001"), (3, "010000"), (14, ""), (90, original)]);
            assert_eq!(peer.ask(420, &reversal).outcome(), (430, "00"));
            assert_eq!(shown(&then).1, 5_500, "{link}");
            assert_eq!(ask(&mut peer, "000003", &[(3, "010000")]), "00");
            assert_eq!(shown(&then).1, 11_000, "cash in a shop is as in a shop: {link}");
            drop(peer);
            let drained = then.drain();
            let again =
                harness::House::start(&products(&copy.path().join("data"), 8), None).expect("a start");
            assert_eq!(again.daemon().face.last_hash.lock().0, drained.hash, "snapshot: {snapshot}");
        }
    }
}

#[test]
fn a_fee_that_cannot_be_set_says_why() {
    let directory = tempfile::tempdir().expect("a directory");
    let start = harness::House::start(&products(directory.path(), 4), Some(&seed(SEED)));
    let house = start.expect("a start");
    let flat = r#"{"currency":"840","flat":1}"#;
    for (method, path, body, status, words) in [
        ("PUT", "/v1/products/silver/fees/1", flat, 404, "no such product"),
        ("GET", "/v1/products/silver/fees", "", 404, "no such product"),
        ("PUT", "/v1/products/gold/fees/17", flat, 400, "1 to 16"),
        (
            "PUT",
            "/v1/products/gold/fees/1",
            r#"{"currency":"840","flat":1.5}"#,
            400,
            "`flat` must be a whole number",
        ),
        ("DELETE", "/v1/products/gold/fees/1", "", 404, "no such fee"),
    ] {
        let (got, answer) = house.verb(method, path, body);
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(got == status && error.contains(words), "{method} {path}: {got} {error}");
    }
    assert_eq!(PAN.get(..4), Some("4111"), "the card is of the product");
}
