//! The verbs of wallets over HTTP: what each does, that it is done once however often it is sent, what is refused and
//! how, and that all of it is there after a start from records and from a snapshot.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use harness::HEADING;
use harness::House;
use harness::PAN;
use harness::PURCHASE;
use harness::SEED;
use harness::as_if_killed_with;
use harness::config;
use harness::seed;
use harness::with;
use serde_json::Value as Json;
use serde_json::json;
use turnpike::authorizer::moving::Order;
use turnpike::authorizer::moving::Party;
use turnpike::config::Config;
use turnpike::config::products::ProductSettings;
use turnpike::domain::event::Sequence;
use turnpike::domain::money::Currency;
use turnpike::domain::moved::CallerKey;
use turnpike::domain::moved::Reason;
use turnpike::domain::moved::Verb;
use turnpike::domain::party::WalletId;
use turnpike::domain::product::PanRange;
use turnpike::domain::product::ProductNumber;
use turnpike::domain::time::Now;
use turnpike::domain::time::Timestamp;
use turnpike::edge::clock;
use turnpike::pipeline::moving::NotMoved;

fn set(config: &mut Config) {
    config.wallets.card_ranges = vec![PanRange::of_text("411112").expect("a range")];
    config.products = vec![ProductSettings {
        name: "gold".to_owned(),
        number: ProductNumber::new(1).expect("a number"),
        ranges: vec![PanRange::of_text("4111").expect("a range")],
    }];
}

/// A daemon with the usual wallets: 1 has 1,000.00, 2 has 50.00 and an overdraft of 5.00, 8 has euros.
fn house() -> (House, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let house = House::start(&config(directory.path(), set), Some(&seed(SEED))).expect("a start");
    (house, directory)
}

/// When a key was made: so many seconds from now.
fn created(offset: i64) -> String {
    let seconds = clock::wall().seconds().checked_add_signed(offset).expect("a time");
    Timestamp::from_seconds(seconds).to_string()
}

/// A body with a key that is made now.
fn body(key: &str, rest: Json) -> Json {
    let mut body = json!({ "key": key, "created": created(0) });
    body.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
    body
}

fn send(house: &House, path: &str, body: &Json) -> (u16, Json) {
    house.verb("POST", path, &body.to_string())
}

/// Sends what must be done.
fn does(house: &House, path: &str, body: &Json) -> Json {
    let (status, answer) = send(house, path, body);
    assert_eq!(status, 200, "{path} {body}: {answer}");
    answer
}

/// What a wallet has posted, by account.
fn posted(house: &House, wallet: u64) -> Vec<i64> {
    let shown = house.json(&format!("/v1/wallets/{wallet}"));
    let accounts = shown["accounts"].as_array().unwrap_or_else(|| panic!("{shown}")).iter();
    accounts.map(|account| account["posted"].as_i64().expect("a number")).collect()
}

/// What the house's accounts have of a currency: funding, fees, adjustments, and the sum of all.
fn sums(house: &House, currency: &str) -> [String; 3] {
    let shown = house.json("/v1/audit/balance");
    let of = shown["currencies"].as_array().expect("a list").iter().find(|of| of["currency"] == currency);
    let of = of.unwrap_or_else(|| panic!("{shown}"));
    assert_eq!((&of["sum"], &of["transit"]), (&json!("0"), &json!("0")), "{of}");
    ["funding", "fees", "adjustments"].map(|name| of[name].as_str().expect("a sum").to_owned())
}

#[test]
fn money_goes_in_from_wallet_to_wallet_to_merchants_and_out() {
    let (house, _directory) = house();
    let open = r#"{"accounts":[{"currency":"840"},{"currency":"978","overdraft":100}]}"#;
    for again in [false, true] {
        let (status, answer) = house.verb("PUT", "/v1/wallets/100", open);
        assert_eq!((status, answer["again"].as_bool()), (200, Some(again)), "{answer}");
    }
    assert_eq!(house.json("/v1/wallets/100")["accounts"][1]["overdraft"], 100);
    let before = sums(&house, "840");
    does(&house, "/v1/wallets/100/fund", &body("f-1", json!({"currency":"840","amount":10_000})));
    assert_eq!(posted(&house, 100), [10_000, 0]);
    does(&house, "/v1/wallets/100/withdraw", &body("w-1", json!({"currency":"840","amount":1_500})));
    let sent = json!({"from":100,"to":1,"currency":"840","amount":2_500,"reason":"rent"});
    let done = does(&house, "/v1/transfers", &body("t-1", sent));
    assert_eq!((done["verb"].as_str(), done["again"].as_bool()), (Some("transfer"), Some(false)));
    assert_eq!((posted(&house, 100), posted(&house, 1)), (vec![6_000, 0], vec![102_500]));
    // Into its overdraft.
    does(&house, "/v1/wallets/100/withdraw", &body("w-2", json!({"currency":"978","amount":100})));
    // 30.00 to a merchant, of which 0.45 are a fee; 10.00 come back with their part of it, then the rest without.
    let pay = json!({"from":100,"merchant":2,"currency":"840","amount":3_000,"fee":45});
    let paid = does(&house, "/v1/payments", &body("p-1", pay));
    let payment = paid["payment"].as_u64().expect("its number");
    assert_eq!((posted(&house, 100)[0], posted(&house, 2)), (3_000, vec![7_955]));
    let refund = format!("/v1/wallets/2/payments/{payment}/refunds");
    does(&house, &refund, &body("r-1", json!({"currency":"840","amount":1_000,"returns_fee":true})));
    assert_eq!((posted(&house, 100)[0], posted(&house, 2)), (4_000, vec![6_970]));
    does(&house, &refund, &body("r-2", json!({"currency":"840","amount":2_000})));
    assert_eq!((posted(&house, 100)[0], posted(&house, 2)), (6_000, vec![4_970]));
    let (status, problem) = send(&house, &refund, &body("r-3", json!({"currency":"840","amount":1})));
    assert_eq!((status, &problem["type"]), (409, &json!("urn:turnpike:problem:refund-too-large")));
    // By somebody's word, below zero if it must be.
    let word = |key, amount| body(key, json!({"currency":"840","amount":amount,"reason":"goodwill 17"}));
    does(&house, "/v1/wallets/100/adjust", &word("a-1", 77));
    does(&house, "/v1/wallets/100/adjust", &word("a-2", -6_100));
    assert_eq!(posted(&house, 100), [-23, -100]);
    let after = sums(&house, "840");
    let number = |text: &String| text.parse::<i64>().expect("a number");
    let changes: Vec<i64> =
        after.iter().zip(&before).map(|(after, before)| number(after) - number(before)).collect();
    assert_eq!(changes, [-8_500, 30, 6_023]);
    // What came over HTTP is spent by card.
    let (status, answer) = send(
        &house,
        "/v1/wallets/100/cards",
        &body("c-1", json!({"pan":"4000000000000093","expiry":"3012"})),
    );
    assert_eq!((status, &answer["pan"]), (200, &json!("400000******0093")));
    does(&house, "/v1/wallets/100/fund", &body("f-2", json!({"currency":"840","amount":5_023})));
    let mut peer = house.connect("iso87");
    let buy = |stan| with(PURCHASE, &[(2, "4000000000000093"), (11, stan)]);
    assert_eq!(peer.ask(100, &buy("000001")).value(39), "00");
    assert_eq!(peer.ask(100, &buy("000002")).value(39), "51");
    // What is held by card is not sent to anybody.
    let (status, problem) =
        send(&house, "/v1/transfers", &body("t-9", json!({"from":100,"to":1,"currency":"840","amount":1})));
    assert_eq!((status, &problem["type"]), (409, &json!("urn:turnpike:problem:insufficient-funds")));
}

#[test]
fn r10_a_verb_is_done_once_whatever_is_sent_and_whoever_starts_again() {
    for snapshot in [false, true] {
        let (house, directory) = house();
        let transfer = body("once", json!({"from":1,"to":2,"currency":"840","amount":700}));
        let first = does(&house, "/v1/transfers", &transfer);
        let issue = body("card", json!({"expiry":"3012"}));
        let card = does(&house, "/v1/wallets/1/cards", &issue);
        let pay = does(
            &house,
            "/v1/payments",
            &body("paid", json!({"from":1,"merchant":2,"currency":"840","amount":300,"fee":3})),
        );
        let payment = pay["payment"].as_u64().expect("its number");
        if snapshot {
            assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
        }
        let refund = body("back", json!({"currency":"840","amount":100,"returns_fee":true}));
        let refund_path = format!("/v1/wallets/2/payments/{payment}/refunds");
        does(&house, &refund_path, &refund);
        let books = (posted(&house, 1), posted(&house, 2), sums(&house, "840"));
        assert_eq!(books.0, [100_000 - 700 - 300 + 100]);
        let (then, copy) = as_if_killed_with(directory.path(), |config| {
            set(config);
            config.daemon.shards = 4;
        });
        for house in [&house, &then] {
            for _ in 0..2 {
                let again = does(house, "/v1/transfers", &transfer);
                assert_eq!((&again["sequence"], &again["again"]), (&first["sequence"], &json!(true)));
                let again = does(house, "/v1/wallets/1/cards", &issue);
                assert_eq!((&again["card"], &again["again"]), (&card["card"], &json!(true)));
                assert_eq!(does(house, &refund_path, &refund)["again"], json!(true));
            }
            // The same key with another body, even with another wallet that pays.
            for other in [
                json!({"from":1,"to":2,"currency":"840","amount":701}),
                json!({"from":2,"to":1,"currency":"840","amount":700}),
                json!({"from":1,"to":2,"currency":"840","amount":700,"reason":"other"}),
            ] {
                let (status, problem) = send(house, "/v1/transfers", &body("once", other));
                assert_eq!((status, &problem["type"]), (409, &json!("urn:turnpike:problem:key-reused")));
            }
            let (status, _) = send(house, "/v1/wallets/1/cards", &body("card", json!({"expiry":"3101"})));
            assert_eq!(status, 409);
            assert_eq!(
                (posted(house, 1), posted(house, 2), sums(house, "840")),
                books,
                "snapshot: {snapshot}"
            );
        }
        // The new card is of its product, and what was refunded is known.
        let shown = then.json(&format!("/v1/cards/{}", card["card"]));
        assert_eq!(shown["product"], "gold");
        let rest = body("rest", json!({"currency":"840","amount":201}));
        assert_eq!(send(&then, &refund_path, &rest).0, 409);
        let rest = body("rest", json!({"currency":"840","amount":200,"returns_fee":true}));
        does(&then, &refund_path, &rest);
        assert_eq!(sums(&then, "840")[1], "0", "the whole fee is back");
        let drained = then.drain();
        let again = House::start(&config(&copy.path().join("data"), set), None).expect("a start");
        assert_eq!(again.daemon().face.last_hash.lock().0, drained.hash, "snapshot: {snapshot}");
    }
}

#[test]
fn a_card_is_issued_drawn_from_a_range_and_replaced() {
    let (house, _directory) = house();
    let drawn = does(&house, "/v1/wallets/1/cards", &body("c-1", json!({"expiry":"3012"})));
    let pan = drawn["pan"].as_str().expect("a masked number");
    assert!(pan.starts_with("411112******") && pan.len() == 16, "{pan}");
    let other = does(&house, "/v1/wallets/1/cards", &body("c-2", json!({"expiry":"3012"})));
    assert_ne!(other["card"], drawn["card"]);
    let given = json!({"pan":"4000000000000093","expiry":"3012","service_code":"221"});
    let card = does(&house, "/v1/wallets/1/cards", &body("c-3", given.clone()));
    assert_eq!(house.json(&format!("/v1/cards/{}", card["card"]))["wallet"], 1);
    for wallet in [1, 2] {
        let (status, problem) =
            send(&house, &format!("/v1/wallets/{wallet}/cards"), &body("c-4", given.clone()));
        assert_eq!((status, &problem["type"]), (409, &json!("urn:turnpike:problem:card-number-taken")));
    }
    let mut peer = house.connect("visa");
    let buy = |stan| with(PURCHASE, &[(2, "4000000000000093"), (11, stan)]);
    assert_eq!(peer.ask(100, &buy("000001")).value(39), "00");
    let replace = body("c-5", json!({"expiry":"3112"}));
    let path = format!("/v1/cards/{}/replace", card["card"]);
    let new = does(&house, &path, &replace);
    assert_eq!((&new["replaces"], &new["wallet"]), (&card["card"], &json!(1)));
    assert_eq!(does(&house, &path, &replace)["card"], new["card"]);
    assert_ne!(peer.ask(100, &buy("000002")).value(39), "00", "the old one is closed");
    assert_eq!(house.json(&format!("/v1/cards/{}", card["card"]))["status"], "closed");
    assert_eq!(house.json("/v1/wallets/1/cards")["cards"].as_array().map(Vec::len), Some(5));
    // A lost card stays lost.
    let lost = house.json("/v1/wallets/4/cards")["cards"][0]["card"].clone();
    does(&house, &format!("/v1/cards/{lost}/replace"), &body("c-6", json!({"expiry":"3112"})));
    assert_eq!(house.json(&format!("/v1/cards/{lost}"))["status"], "lost");
}

#[test]
fn r10_who_asks_at_once_under_one_key_gets_one_card() {
    let (house, _directory) = house();
    let replaced = does(&house, "/v1/wallets/1/cards", &body("c-0", json!({"expiry":"3012"})));
    let replace = format!("/v1/cards/{}/replace", replaced["card"]);
    let given = json!({"pan":"4000000000000093","expiry":"3012"});
    for (round, (path, rest)) in [
        ("/v1/wallets/1/cards", json!({"expiry":"3012"})),
        ("/v1/wallets/1/cards", given),
        (&replace, json!({"expiry":"3112"})),
    ]
    .into_iter()
    .enumerate()
    {
        let before = house.json("/v1/wallets/1/cards")["cards"].as_array().map(Vec::len).expect("a list");
        let same = body(&format!("once-{round}"), rest);
        let answers: Vec<Json> = thread::scope(|scope| {
            let askers: Vec<_> = (0..8).map(|_| scope.spawn(|| does(&house, path, &same))).collect();
            askers.into_iter().map(|asker| asker.join().expect("an answer")).collect()
        });
        assert_eq!(answers.iter().filter(|answer| answer["again"] == false).count(), 1, "{answers:?}");
        assert!(answers.iter().all(|answer| answer["card"] == answers[0]["card"]), "{answers:?}");
        let after = house.json("/v1/wallets/1/cards")["cards"].as_array().map(Vec::len).expect("a list");
        assert_eq!(after, before + 1, "{path}");
    }
}

/// What was forgotten under a shorter window is not taken for new under a longer one.
#[test]
fn r10_a_longer_window_knows_no_key_that_a_shorter_one_may_have_forgotten() {
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("data");
    let window = |key_window_s: u32| {
        let set = |config: &mut Config| config.wallets.bounds.key_window_s = key_window_s;
        config(&data, set)
    };
    let ask = |house: &House, key: &str, offset: i64| {
        let mut whole = body(key, json!({"currency":"840","amount":5}));
        whole["created"] = created(offset).into();
        send(house, "/v1/wallets/1/fund", &whole)
    };
    let house = House::start(&window(60), Some(&seed(SEED))).expect("a start");
    assert_eq!(ask(&house, "recent", 0).0, 200);
    house.drain();
    for (key_window_s, snapshot) in [(86_400, false), (86_400, true), (86_400, false), (172_800, false)] {
        let house = House::start(&window(key_window_s), None).expect("a start");
        let (status, answer) = ask(&house, "recent", 0);
        assert_eq!((status, &answer["again"]), (200, &json!(true)), "{answer}");
        let (status, problem) = ask(&house, "older", -120);
        let expected = json!("urn:turnpike:problem:key-expired");
        assert_eq!((status, &problem["type"]), (422, &expected), "{key_window_s} {snapshot}: {problem}");
        if snapshot {
            assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
        }
        house.drain();
    }
}

/// A clock that is set back makes nothing new of a key that was forgotten while it was ahead.
#[test]
fn r10_a_forgotten_key_stays_too_old_when_the_clock_goes_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let shorter = |config: &mut Config| config.wallets.bounds.key_window_s = 60;
    let house = House::start(&config(directory.path(), shorter), Some(&seed(SEED))).expect("a start");
    let (pipeline, now) = (&house.daemon().face.pipeline, clock::now());
    let seconds = now.wall.seconds();
    // So many that some are in the slot of the first, which goes with them.
    const OTHERS: u128 = 20_000;
    let order = |key: u128| Order {
        verb: Verb::Fund,
        key: CallerKey { print: key, body: 1, until_s: 0 },
        from: None,
        to: Some(Party { wallet: WalletId(1), account: None }),
        currency: Currency::new(840).expect("a currency"),
        amount: 5,
        fee: 0,
        into: None,
        about: Sequence(0),
        returns_fee: false,
        refundable_until_s: 0,
        reason: Reason::BLANK,
    };
    let later = Now { wall: Timestamp::from_seconds(seconds + 61), ..now };
    let posted = || house.balance(1).0;
    let before = posted();
    assert!(pipeline.move_money(&order(1), seconds, now).is_ok_and(|done| !done.again));
    assert!(pipeline.move_money(&order(1), seconds, now).is_ok_and(|done| done.again));
    for other in 2..2 + OTHERS {
        assert!(pipeline.move_money(&order(other), seconds + 61, later).is_ok_and(|done| !done.again));
    }
    let refused = pipeline.move_money(&order(1), seconds, now);
    assert_eq!(refused, Err(NotMoved::KeyExpired(60)));
    assert_eq!(posted(), before + 5 + 5 * OTHERS as i64);
}

/// Whoever stops in the middle of a body, or says nothing, has a place for a time and no longer.
#[test]
fn who_stops_in_a_request_makes_room_for_others() {
    let directory = tempfile::tempdir().expect("a directory");
    let few = |config: &mut Config| {
        config.admin.sockets_max = 3;
        config.admin.idle = Duration::from_secs(1);
    };
    let house = House::start(&config(directory.path(), few), Some(&seed(SEED))).expect("a start");
    let stopped = [
        "",
        "POST /v1/wallets/1/fund HTTP/1.1\r\nHost: turnpike\r\nContent-Length: 900\r\n\r\n{",
        "POST /v1/transfers/bulk HTTP/1.1\r\nHost: turnpike\r\nContent-Length: 900\r\n\r\n{}\n",
    ];
    let mut crowd: Vec<TcpStream> = Vec::new();
    for text in stopped {
        let mut socket = TcpStream::connect(house.daemon().admin).expect("it listens");
        socket.write_all(text.as_bytes()).expect("it reads");
        crowd.push(socket);
    }
    // It waits until one of them is gone, and is served then.
    assert_eq!(house.get("/livez").0, 200);
    for mut socket in crowd {
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        let mut rest = Vec::new();
        let ended = socket.read_to_end(&mut rest);
        assert!(
            ended.is_ok() || ended.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
        );
    }
}

#[test]
fn a_wallet_is_closed_when_nothing_is_in_it() {
    let (house, _directory) = house();
    let close = |wallet: u64| send(&house, &format!("/v1/wallets/{wallet}/close"), &json!({}));
    let (status, problem) = close(2);
    assert_eq!((status, &problem["type"]), (409, &json!("urn:turnpike:problem:balance-not-zero")));
    does(&house, "/v1/wallets/2/withdraw", &body("w", json!({"currency":"840","amount":5_000})));
    for _ in 0..2 {
        assert_eq!(close(2).0, 200);
    }
    assert_eq!(house.json("/v1/wallets/2")["status"], "closed");
    for (path, rest) in [
        ("/v1/wallets/2/fund", json!({"currency":"840","amount":1})),
        ("/v1/transfers", json!({"from":1,"to":2,"currency":"840","amount":1})),
        ("/v1/wallets/2/cards", json!({"expiry":"3012"})),
        ("/v1/wallets/2/adjust", json!({"currency":"840","amount":1,"reason":"no"})),
    ] {
        let (status, problem) = send(&house, path, &body(path, rest));
        assert_eq!((status, &problem["type"]), (409, &json!("urn:turnpike:problem:wallet-status")), "{path}");
    }
    // Frozen: nothing leaves, and what comes is kept.
    assert_eq!(house.verb("PUT", "/v1/wallets/1/status", r#"{"status":"frozen"}"#).0, 200);
    let (status, _) =
        send(&house, "/v1/wallets/1/withdraw", &body("x", json!({"currency":"840","amount":1})));
    assert_eq!(status, 409);
    does(&house, "/v1/wallets/1/fund", &body("y", json!({"currency":"840","amount":1})));
}

#[test]
fn a_mandate_is_charged_within_its_bounds_and_no_more_once_it_is_cancelled() {
    let (house, directory) = house();
    let path = "/v1/wallets/1/mandates";
    let give = |key: &str, rest: Json| {
        let mut whole = json!({"payee":2,"currency":"840","max":1_500,"period":"month"});
        whole.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        body(key, whole)
    };
    let subscription = give("m-1", json!({"charges_max":1}));
    let given = does(&house, path, &subscription);
    let mandate = given["mandate"].as_u64().expect("its number");
    let again = does(&house, path, &subscription);
    assert_eq!((&again["mandate"], &again["again"]), (&given["mandate"], &json!(true)));
    let charges = format!("{path}/{mandate}/charges");
    let charge = body("c-1", json!({"amount":999,"reason":"October"}));
    for again in [false, true] {
        assert_eq!(does(&house, &charges, &charge)["again"], again);
    }
    assert_eq!((posted(&house, 1), posted(&house, 2)), (vec![99_001], vec![5_999]));
    // Twice in its period.
    let (status, problem) = send(&house, &charges, &body("c-2", json!({"amount":1})));
    assert_eq!((status, &problem["type"]), (409, &json!("urn:turnpike:problem:mandate-exhausted")));
    let jar = does(&house, path, &give("m-2", json!({"max":500,"period":"week"})))["mandate"].clone();
    let tips = format!("{path}/{jar}/charges");
    for (n, amount, status) in [(1, 200, 200), (2, 200, 200), (3, 200, 409), (4, 100, 200), (5, 0, 422)] {
        let got = send(&house, &tips, &body(&format!("tip-{n}"), json!({ "amount": amount })));
        assert_eq!(got.0, status, "{n}: {}", got.1);
    }
    let shown = house.json(&format!("{path}/{jar}"));
    assert_eq!((&shown["used"], &shown["charges"], &shown["ended"]), (&json!(500), &json!(3), &json!(false)));
    assert_eq!(shown["latest"][0]["amount"], 100);
    assert_eq!(house.json(path)["mandates"].as_array().map(Vec::len), Some(2));
    // Another one's mandate is none of this wallet's.
    let (status, problem) = send(&house, &format!("/v1/wallets/2/mandates/{mandate}/cancel"), &json!({}));
    assert_eq!((status, &problem["type"]), (404, &json!("urn:turnpike:problem:no-such-mandate")));
    for again in [false, true] {
        assert_eq!(does(&house, &format!("{path}/{jar}/cancel"), &json!({}))["again"], again);
    }
    let (status, problem) = send(&house, &tips, &body("tip-6", json!({"amount":1})));
    assert_eq!((status, &problem["type"]), (409, &json!("urn:turnpike:problem:mandate-ended")));
    let before = (house.json(path), posted(&house, 1));
    assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
    let last = does(&house, path, &give("m-3", json!({"period":"once","until":created(3_600)})));
    let (then, _copy) = as_if_killed_with(directory.path(), set);
    assert_eq!(then.json(path), house.json(path));
    assert_eq!((then.json(path)["mandates"].as_array().map(Vec::len), posted(&then, 1)), (Some(3), before.1));
    does(&then, &format!("{path}/{}/charges", last["mandate"]), &body("c-9", json!({"amount":1_500})));
    for (name, wrong, status) in [
        ("malformed", give("x", json!({"period":"fortnight"})), 400),
        ("malformed", give("x", json!({"until":created(-5)})), 400),
        ("invalid-amount", give("x", json!({"max":0})), 422),
        ("no-such-wallet", give("x", json!({"payee":999})), 404),
        ("no-such-account", give("x", json!({"currency":"978"})), 404),
        ("to-itself", give("x", json!({"payee":1})), 422),
        ("key-reused", give("m-1", json!({"max":1})), 409),
    ] {
        let (got, problem) = send(&then, path, &wrong);
        let kind = format!("urn:turnpike:problem:{name}");
        assert_eq!((got, problem["type"].as_str()), (status, Some(kind.as_str())), "{wrong}: {problem}");
    }
}

#[test]
fn what_makes_no_sense_is_a_problem_with_a_name_and_changes_nothing() {
    let (house, _directory) = house();
    let before = (posted(&house, 1), posted(&house, 2), sums(&house, "840"));
    let transfer = |rest: Json| {
        let mut whole = json!({"from":1,"to":2,"currency":"840","amount":5});
        whole.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        body("k", whole)
    };
    let table: Vec<(&str, Json, u16, &str)> = vec![
        ("/v1/transfers", transfer(json!({"to":1})), 422, "to-itself"),
        ("/v1/transfers", transfer(json!({"amount":0})), 422, "invalid-amount"),
        ("/v1/transfers", transfer(json!({"amount":-5})), 422, "invalid-amount"),
        ("/v1/transfers", transfer(json!({"amount":1.5})), 400, "malformed"),
        ("/v1/transfers", transfer(json!({"amount":"5"})), 400, "malformed"),
        ("/v1/transfers", transfer(json!({"amount":9_223_372_036_854_775_808_u64})), 400, "malformed"),
        ("/v1/transfers", transfer(json!({"amount":i64::MAX})), 409, "insufficient-funds"),
        ("/v1/transfers", transfer(json!({"amount":100_001})), 409, "insufficient-funds"),
        ("/v1/transfers", transfer(json!({"currency":"392"})), 404, "no-such-account"),
        ("/v1/transfers", transfer(json!({"currency":"USD"})), 400, "malformed"),
        ("/v1/transfers", transfer(json!({"to":8})), 404, "no-such-account"),
        ("/v1/transfers", transfer(json!({"to":8,"currency":"978"})), 404, "no-such-account"),
        ("/v1/transfers", transfer(json!({"to":999})), 404, "no-such-wallet"),
        ("/v1/transfers", transfer(json!({"from":999})), 404, "no-such-wallet"),
        ("/v1/transfers", transfer(json!({"from_account":3})), 404, "no-such-account"),
        ("/v1/transfers", transfer(json!({"from":3})), 200, ""),
        ("/v1/transfers", transfer(json!({"amuont":5})), 400, "malformed"),
        ("/v1/transfers", transfer(json!({"key":""})), 400, "malformed"),
        ("/v1/transfers", transfer(json!({"key":"with space"})), 400, "malformed"),
        ("/v1/transfers", transfer(json!({"key":"k".repeat(65)})), 400, "malformed"),
        ("/v1/transfers", transfer(json!({"created":"yesterday"})), 400, "malformed"),
        ("/v1/transfers", transfer(json!({"created":created(-90_000)})), 422, "key-expired"),
        ("/v1/transfers", transfer(json!({"created":created(900)})), 422, "key-of-the-future"),
        ("/v1/transfers", transfer(json!({"reason":"ü"})), 400, "malformed"),
        ("/v1/transfers", json!([]), 400, "malformed"),
        ("/v1/transfers/batch", json!({"transfers":[]}), 400, "malformed"),
        (
            "/v1/payments",
            body("k", json!({"from":1,"merchant":2,"currency":"840","amount":5,"fee":5})),
            422,
            "invalid-amount",
        ),
        (
            "/v1/payments",
            body("k", json!({"from":1,"merchant":2,"currency":"840","amount":5,"fee":-1})),
            422,
            "invalid-amount",
        ),
        (
            "/v1/wallets/2/payments/7/refunds",
            body("k", json!({"currency":"840","amount":5})),
            404,
            "no-such-payment",
        ),
        ("/v1/wallets/x/fund", body("k", json!({"currency":"840","amount":5})), 400, "malformed"),
        ("/v1/wallets/1/adjust", body("k", json!({"currency":"840","amount":5})), 400, "malformed"),
        ("/v1/wallets/1/fund", body("k", json!({"currency":"840","amount":i64::MAX})), 422, "out-of-range"),
        ("/v1/wallets/1/cards", body("k", json!({"expiry":"3013"})), 400, "malformed"),
        ("/v1/wallets/1/cards", body("k", json!({"expiry":"3012","pan":"4111"})), 400, "malformed"),
        ("/v1/wallets/1/cards", body("k", json!({"expiry":"3012","pan":PAN})), 409, "card-number-taken"),
        ("/v1/wallets/999/cards", body("k", json!({"expiry":"3012"})), 404, "no-such-wallet"),
        ("/v1/cards/999/replace", body("k", json!({"expiry":"3012"})), 404, "no-such-card"),
        ("/v1/wallets/999/close", json!({}), 404, "no-such-wallet"),
    ];
    for (path, body, status, name) in table {
        if status == 200 {
            continue;
        }
        let (got, problem) = send(&house, path, &body);
        let kind = problem["type"].as_str().unwrap_or_default();
        assert_eq!(
            (got, kind),
            (status, format!("urn:turnpike:problem:{name}").as_str()),
            "{path} {body}: {problem}"
        );
        assert_eq!(problem["status"], status);
        let told = problem.to_string();
        assert!(!told.contains(PAN) && !problem["detail"].as_str().unwrap_or_default().is_empty(), "{told}");
    }
    // A card number in a place of its own is not told either.
    for changes in [
        json!({"amount":PAN}),
        json!({PAN:1}),
        json!({"from":PAN}),
        json!({"from":4_111_111_111_111_111_u64}),
        json!({"reason":format!("card {PAN}")}),
    ] {
        let (_, problem) = send(&house, "/v1/transfers", &transfer(changes));
        assert!(!problem.to_string().contains("41111111"), "{problem}");
    }
    let large = format!("{{\"key\":\"{}\"}}", "x".repeat(10 << 20));
    let (status, problem) = house.verb("POST", "/v1/transfers", &large);
    assert_eq!((status, &problem["type"]), (413, &json!("urn:turnpike:problem:body-too-large")));
    assert_eq!((posted(&house, 1), posted(&house, 2), sums(&house, "840")), before);
}

#[test]
fn many_transfers_are_done_each_for_itself() {
    let (house, _directory) = house();
    let one = |key: String, to: u64, amount: i64| {
        body(&key, json!({"from":1,"to":to,"currency":"840","amount":amount}))
    };
    let mut transfers: Vec<Json> = (0..300).map(|n| one(format!("b-{n}"), 2, 10)).collect();
    transfers[7]["to"] = json!(999);
    transfers[8]["amount"] = json!(1_000_000);
    transfers[9]["key"] = json!("");
    transfers[10]["key"] = json!("b-0");
    for round in 0..2 {
        let answer = does(&house, "/v1/transfers/batch", &json!({ "transfers": transfers }));
        let results = answer["results"].as_array().expect("a list");
        assert_eq!(results.len(), 300);
        let status = |n: usize| results[n]["status"].as_u64().expect("a status");
        assert_eq!([7, 8, 9, 10, 11].map(status), [404, 409, 400, 200, 200], "{answer}");
        assert_eq!(results[10]["again"], true, "the same key and the same body is the same transfer");
        assert_eq!(results[0]["again"], round == 1);
        assert_eq!(posted(&house, 1), [100_000 - 296 * 10]);
    }
    let too_many: Vec<Json> = (0..1_001).map(|n| one(format!("m-{n}"), 2, 1)).collect();
    assert_eq!(send(&house, "/v1/transfers/batch", &json!({ "transfers": too_many })).0, 400);
}

/// The lines of an answer to transfers in bulk. `length` is what the request says of its body.
fn bulk(house: &House, text: &str, length: usize) -> Vec<Json> {
    let mut socket = TcpStream::connect(house.daemon().admin).expect("the face listens");
    let head = format!(
        "POST /v1/transfers/bulk HTTP/1.1\r\nHost: turnpike\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).expect("it reads");
    let mut reading = socket.try_clone().expect("a second handle");
    let answer = std::thread::spawn(move || {
        let mut answer = Vec::new();
        let _cut = reading.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    });
    socket.write_all(text.as_bytes()).expect("it reads");
    if length > text.len() {
        socket.shutdown(Shutdown::Write).expect("half closed");
    }
    let answer = answer.join().expect("an answer");
    // Chunks have their lengths on lines of their own.
    answer
        .lines()
        .filter(|line| line.starts_with('{'))
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

#[test]
fn transfers_in_bulk_are_answered_line_by_line_and_go_on_where_they_were_cut() {
    let (house, _directory) = house();
    let line = |n: u32| {
        format!("{}\n", body(&format!("bulk-{n}"), json!({"from":1,"to":2,"currency":"840","amount":1})))
    };
    let mut text: String = (0..2_500).map(line).collect();
    text.push_str("\n  \n{\"broken\"\n");
    text.push_str(line(2_500).trim_end());
    // Cut in the middle of a line: that one is not done, and what came before is.
    let half = text.find("bulk-1200").expect("it is there") + 3;
    let told = bulk(&house, &text[..half], text.len());
    assert!(told.len() <= 1_201 && told.iter().filter(|told| told["status"] == 200).count() <= 1_200);
    assert_eq!(posted(&house, 1), [98_800]);
    let told = bulk(&house, &text, text.len());
    assert_eq!(told.len(), 2_502, "{:?}", told.last());
    let again = told.iter().filter(|told| told["again"] == true).count();
    assert_eq!(again, 1_200);
    assert_eq!((told[0]["line"].as_u64(), told[2_501]["line"].as_u64()), (Some(1), Some(2_504)));
    assert_eq!((&told[2_500]["status"], &told[2_500]["line"]), (&json!(400), &json!(2_503)));
    assert_eq!((posted(&house, 1), posted(&house, 2)), (vec![97_499], vec![7_501]));
    let told = bulk(&house, &"x".repeat(10_000), 10_000);
    assert_eq!((told.len(), &told[0]["status"]), (1, &json!(400)), "{told:?}");
}

#[test]
fn no_more_keys_are_kept_than_may_be() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path(), |config| {
        set(config);
        (config.wallets.bounds.keys_max, config.wallets.bounds.payments_max) = (5, 2);
    });
    let house = House::start(&config, Some(&seed(SEED))).expect("a start");
    let pay = |n: u32| {
        let rest = json!({"from":1,"merchant":2,"currency":"840","amount":10});
        send(&house, "/v1/payments", &body(&format!("p-{n}"), rest))
    };
    let full = json!("urn:turnpike:problem:full");
    let statuses: Vec<u16> = (0..3).map(|n| pay(n).0).collect();
    assert_eq!((statuses, &pay(3).1["type"]), (vec![200, 200, 503], &full));
    let fund = |n: u32| {
        send(&house, "/v1/wallets/1/fund", &body(&format!("f-{n}"), json!({"currency":"840","amount":1})))
    };
    let statuses: Vec<u16> = (0..4).map(|n| fund(n).0).collect();
    assert_eq!((statuses, &fund(4).1["type"]), (vec![200, 200, 200, 503], &full));
    assert_eq!(fund(0).1["again"], true, "what is known is answered all the same");
}

/// Runs `turnpike load` with verbs against a daemon of its wallets while `meanwhile` is done to it. Returns its exit
/// code and what it reports.
fn loaded(meanwhile: impl FnOnce(&House)) -> (Option<i32>, Json) {
    let binary = env!("CARGO_BIN_EXE_turnpike");
    let directory = tempfile::tempdir().expect("a directory");
    let [wallets, report] = ["wallets.csv", "report.json"].map(|name| directory.path().join(name));
    let made = Command::new(binary).args(["load", "--make-seed", "200"]).output().expect("it runs");
    std::fs::write(&wallets, &made.stdout).expect("a seed file");
    let lines = String::from_utf8(made.stdout).expect("text");
    let lines = lines.strip_prefix(HEADING).expect("a heading");
    let house = House::start(&config(directory.path(), set), Some(&seed(lines))).expect("a start");
    let visa = house.daemon().links.iter().find(|(name, _, _)| name == "visa").expect("a link").2;
    let words = format!(
        "load --target visa={visa} --connections 2 --rate 500 --for 3s --http {} --verbs 400 --verb-wallets 20",
        house.daemon().admin
    );
    let load = Command::new(binary)
        .args(words.split(' '))
        .arg("--seed-file")
        .arg(&wallets)
        .arg("--json")
        .arg(&report)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it runs");
    thread::sleep(Duration::from_millis(1_500));
    meanwhile(&house);
    let output = load.wait_with_output().expect("it ends");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    let report = std::fs::read(report).expect("a report");
    (output.status.code(), serde_json::from_slice(&report).expect("JSON"))
}

#[test]
fn a_load_sends_verbs_beside_messages_and_compares_all_of_it_to_the_cent() {
    let (code, report) = loaded(|_| ());
    let verbs = &report["verbs"];
    assert_eq!((code, &report["mismatches"]), (Some(0), &json!(0)), "{verbs}");
    assert_eq!((&report["money"]["differences"], &report["money"]["wallets"]), (&json!(0), &json!(200)));
    for kind in ["transfer", "payment", "refund", "charge"] {
        assert!(verbs["done"][kind].as_u64().is_some_and(|done| done > 0), "{kind}: {verbs}");
    }
    assert!(verbs["again"].as_u64().is_some_and(|again| again > 0), "{verbs}");
    // No way there and back takes less than a microsecond.
    assert!(verbs["latency_ns"]["p50"].as_u64().is_some_and(|p50| p50 > 1_000), "{verbs}");

    // Money that none of its verbs has moved is found in the wallet where it is, and in the sum of all.
    let (code, report) = loaded(|house| {
        let fund = body("strange", json!({ "currency": "840", "amount": 7 }));
        does(house, &format!("/v1/wallets/{}/fund", (1_u64 << 40) + 3), &fund);
    });
    let verbs = &report["verbs"];
    assert_eq!((code, &verbs["differences"], &verbs["wrong"]), (Some(99), &json!(1), &json!(0)), "{verbs}");
    assert!(
        verbs["told"][0].as_str().is_some_and(|told| told.starts_with("wallet 1099511627779: ")),
        "{verbs}"
    );
}
