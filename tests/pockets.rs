//! Assets, rates, further accounts of wallets and what is done with them, over HTTP and over a card's link; the same
//! after a start from records and from a snapshot.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::fs;
use std::process::Command;

use harness::House;
use harness::LINKS;
use harness::PURCHASE;
use harness::as_if_killed_with;
use harness::with;
use serde_json::Value as Json;
use serde_json::json;
use turnpike::domain::time::Timestamp;
use turnpike::edge::clock;

fn created() -> String {
    Timestamp::from_seconds(clock::wall().seconds()).to_string()
}

/// A body with a key that is made now.
fn body(key: &str, mut rest: Json) -> Json {
    rest["key"] = key.into();
    rest["created"] = created().into();
    rest
}

fn send(house: &House, method: &str, path: &str, body: &Json) -> (u16, Json) {
    house.verb(method, path, &body.to_string())
}

/// Sends what must be done.
fn does(house: &House, method: &str, path: &str, body: &Json) -> Json {
    let (status, answer) = send(house, method, path, body);
    assert_eq!(status, 200, "{method} {path} {body}: {answer}");
    answer
}

/// Posted and held of each of a wallet's accounts.
fn accounts(house: &House, wallet: u64) -> Vec<(i64, i64)> {
    let shown = house.json(&format!("/v1/wallets/{wallet}"));
    let accounts = shown["accounts"].as_array().unwrap_or_else(|| panic!("{shown}")).iter();
    let number = |account: &Json, name: &str| account[name].as_i64().expect("a number");
    accounts.map(|account| (number(account, "posted"), number(account, "held"))).collect()
}

/// What the house has exchanged, by currency. Each sums to zero.
fn exchanged(house: &House) -> Vec<(String, String)> {
    let shown = house.json("/v1/audit/balance");
    let all = shown["currencies"].as_array().expect("a list").iter().map(|of| {
        assert_eq!((&of["sum"], &of["transit"]), (&json!("0"), &json!("0")), "{of}");
        [&of["currency"], &of["exchange"]].map(|text| text.as_str().expect("a text").to_owned())
    });
    all.map(|[currency, exchange]| (currency, exchange)).filter(|(_, exchange)| exchange != "0").collect()
}

/// Wallet 1 with 1,000.00 dollars, and pockets of 500.00 more dollars, 20.000000 of a stablecoin and 3.00000000 units
/// of a fund.
fn pockets(house: &House) {
    for (code, decimals, currency) in [("USDC", 6, "7000"), ("FUND", 8, "9000")] {
        for _ in 0..2 {
            let asset = json!({ "decimals": decimals, "name": "An asset" });
            let answer = does(house, "PUT", &format!("/v1/assets/{code}"), &asset);
            assert_eq!((&answer["currency"], &answer["decimals"]), (&json!(currency), &json!(decimals)));
        }
    }
    let rates = json!({"rates": [
        {"from": "USDC", "to": "840", "price": "0.9998", "spread_ppm": 1_000},
        {"from": "840", "to": "USDC", "price": "1.0001"},
        {"from": "9000", "to": "840", "price": "104.25", "spread_ppm": 2_500},
        {"from": "840", "to": "FUND", "price": "0.0096", "spread_ppm": 0},
    ]});
    assert_eq!(does(house, "POST", "/v1/rates", &rates)["set"], 4);
    for (account, currency, again) in
        [(1, "840", false), (2, "USDC", false), (3, "9000", false), (2, "7000", true)]
    {
        let path = format!("/v1/wallets/1/accounts/{account}");
        assert_eq!(does(house, "PUT", &path, &json!({ "currency": currency }))["again"], again);
    }
    for (account, currency, amount) in [(1, "840", 50_000), (2, "USDC", 20_000_000), (3, "FUND", 300_000_000)]
    {
        let fund = json!({ "account": account, "currency": currency, "amount": amount });
        does(house, "POST", "/v1/wallets/1/fund", &body(&format!("fund {account}").replace(' ', "-"), fund));
    }
}

#[test]
fn money_goes_between_ones_own_pockets_and_from_one_asset_to_another() {
    let (house, directory) = House::fresh(|_| {});
    pockets(&house);
    let shown = house.json("/v1/wallets/1");
    assert_eq!(
        (&shown["accounts"][2]["asset"], &shown["accounts"][0]["asset"]),
        (&json!("USDC"), &Json::Null)
    );
    // Between pockets of one asset it is a transfer.
    let own =
        json!({"from": 1, "from_account": 0, "to": 1, "to_account": 1, "currency": "840", "amount": 10_000});
    does(&house, "POST", "/v1/transfers", &body("t", own));
    assert_eq!(accounts(&house, 1)[..2], [(90_000, 0), (60_000, 0)]);
    assert_eq!(exchanged(&house), []);
    // 100.00 dollars are 100.010000 of the stablecoin; said twice, done once.
    let buy = json!({"wallet": 1, "from_account": 1, "currency": "840", "to_currency": "USDC", "amount": 10_000,
        "at_least": 100_000_000});
    let buy = body("c-1", buy);
    for again in [false, true] {
        assert_eq!(does(&house, "POST", "/v1/conversions", &buy)["again"], again);
    }
    // 1.00000000 of the fund is 104.25 less 0.26, rounded down.
    let sell = json!({"wallet": 1, "currency": "FUND", "to_account": 0, "to_currency": "840", "amount": 100_000_000});
    does(&house, "POST", "/v1/conversions", &body("c-2", sell));
    let expected = [(100_398, 0), (50_000, 0), (120_010_000, 0), (200_000_000, 0)];
    assert_eq!(accounts(&house, 1), expected);
    let told = [("840", "-398"), ("7000", "-100010000"), ("9000", "100000000")];
    let told: Vec<(String, String)> = told.map(|(of, sum)| (of.to_owned(), sum.to_owned())).to_vec();
    assert_eq!(exchanged(&house), told);
    // The owner sees both sides of each, and what there was before.
    let statement = house.json("/v1/wallets/1/statement?limit=1000");
    let all = statement["entries"].as_array().expect("entries").iter();
    let of = all.filter(|entry| entry["kind"] == "conversion");
    let seen: Vec<(u64, i64)> = of
        .map(|entry| {
            (entry["account"].as_u64().expect("a number"), entry["amount"].as_i64().expect("a number"))
        })
        .collect();
    assert_eq!(seen, [(1, -10_000), (2, 100_010_000), (0, 10_398), (3, -100_000_000)]);
    let first = statement["entries"].as_array().expect("entries").iter();
    let first = first.filter(|entry| entry["kind"] == "conversion").map(|entry| &entry["sequence"]).next();
    let before = first.and_then(Json::as_u64).expect("its record") - 1;
    let then = house.json(&format!("/v1/wallets/1/balance?as_of_sequence={before}"));
    let posted = |account: usize| then["accounts"][account]["posted"].as_i64();
    assert_eq!([posted(1), posted(2), posted(3)], [Some(60_000), Some(20_000_000), Some(300_000_000)]);
    // A rate that has changed is another one from then on, and what was done stays.
    let changed =
        json!({"rates": [{"from": "FUND", "to": "840", "price": "50"}, {"from": "840", "to": "FUND"}]});
    does(&house, "POST", "/v1/rates", &changed);
    assert_eq!(house.json("/v1/rates")["rates"].as_array().map(Vec::len), Some(3));
    for snapshot in [false, true] {
        if snapshot {
            assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
        }
        let (then, _copy) = as_if_killed_with(directory.path(), |config| config.daemon.shards = 4);
        for path in ["/v1/wallets/1", "/v1/assets", "/v1/rates", "/v1/audit/balance"] {
            let [mut before, mut after] = [house.json(path), then.json(path)];
            for shown in [&mut before, &mut after] {
                shown["sequence"] = Json::Null;
                shown["state_hash"] = Json::Null;
            }
            assert_eq!(after, before, "{path}, snapshot: {snapshot}");
        }
        assert_eq!(does(&then, "POST", "/v1/conversions", &buy)["again"], true);
        let sell = json!({"wallet": 1, "currency": "FUND", "to_account": 0, "to_currency": "840", "amount": 1_000_000});
        does(&then, "POST", "/v1/conversions", &body("c-3", sell));
        assert_eq!(accounts(&then, 1)[0], (100_448, 0), "at the rate of now");
    }
}

#[test]
fn r13_a_card_spends_pockets_in_the_owners_order_in_every_dialect() {
    for (link, _) in LINKS {
        let (house, directory) = House::fresh(|config| config.daemon.shards = 16);
        pockets(&house);
        let path = "/v1/wallets/1/spending";
        does(&house, "PUT", path, &json!({"accounts": [2, 0, 3]}));
        assert_eq!(house.json("/v1/wallets/1")["spending"], json!([2, 0, 3]));
        let mut peer = house.connect(link);
        let ask = |peer: &mut harness::Peer, stan: &str, amount: &str| {
            peer.ask(100, &with(PURCHASE, &[(11, stan), (4, amount)])).value(39).to_owned()
        };
        // 20.000000 of the stablecoin are 19.97 dollars; 30.03 are the wallet's own.
        assert_eq!(ask(&mut peer, "000001", "000000005000"), "00");
        let coins = accounts(&house, 1)[2].1;
        assert!((19_990_000..=20_000_000).contains(&coins), "{coins}");
        assert_eq!(accounts(&house, 1)[0].1, 3_003);
        // What no account has is declined, and the pocket that is not in the order is left alone.
        assert_eq!(ask(&mut peer, "000002", "000000150000"), "51");
        assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
        assert_eq!(ask(&mut peer, "000003", "000000100000"), "00");
        let held = accounts(&house, 1);
        assert_eq!((held[0].1, held[1].1), (100_000, 0));
        assert_eq!(house.json("/v1/audit/holds")["orphans"], 0);
        let shown = &house.json("/v1/wallets/1/authorizations")["authorizations"][0];
        assert_eq!(shown["shares"].as_array().map(Vec::len), Some(1), "{shown}");
        // Acknowledged, so what came before it is on disk.
        does(&house, "PUT", "/v1/wallets/2/status", &json!({"status": "frozen"}));
        let statement = house.json("/v1/wallets/1/statement?limit=1000");
        let of = statement["entries"].as_array().expect("entries").iter();
        let of = of.filter(|entry| entry["kind"] == "hold").map(|entry| &entry["held_change"]);
        let sum: i64 = of.map(|change| change.as_i64().expect("a number")).sum();
        assert_eq!(sum, held.iter().map(|(_, held)| held).sum::<i64>(), "{link}");
        let (then, copy) = as_if_killed_with(directory.path(), |config| config.daemon.shards = 4);
        assert_eq!(accounts(&then, 1), held, "{link}");
        // A reversal gives back to whom it came from, whatever rates are now.
        does(&then, "POST", "/v1/rates", &json!({"rates": [{"from": "FUND", "to": "840", "price": "1"}]}));
        let mut peer = then.connect(link);
        let original = "010000000306041234561234567890100000000000";
        let reversal = with(PURCHASE, &[(11, "900001"), (4, "000000100000"), (14, ""), (90, original)]);
        assert_eq!(peer.ask(420, &reversal).outcome(), (430, "00"));
        let after = accounts(&then, 1);
        assert_eq!((after[0].1, after[2].1, after[3].1), (3_003, coins, 0), "{link}");
        // What is posted is turned into dollars then.
        does(&then, "POST", "/v1/rates", &json!({"rates": [{"from": "FUND", "to": "840", "price": "500"}]}));
        let sale = with(PURCHASE, &[(11, "000004"), (4, "000000100000")]);
        assert_eq!(peer.ask(200, &sale).value(39), "00");
        let posted = accounts(&then, 1);
        assert_eq!(posted[0], (3_003, 3_003), "{link}");
        assert!(posted[3].0 < 300_000_000, "{link}");
        assert_eq!(exchanged(&then).len(), 2, "{link}");
        drop(peer);
        let hash = then.drain().hash;
        let (again, _copy) = as_if_killed_with(&copy.path().join("data"), |config| config.daemon.shards = 1);
        assert_eq!(again.daemon().face.last_hash.lock().0, hash, "{link}");
    }
}

#[test]
fn what_cannot_be_done_with_assets_says_why_and_changes_nothing() {
    let (house, _directory) = House::fresh(|_| {});
    pockets(&house);
    let before = (accounts(&house, 1), house.json("/v1/rates"), house.json("/v1/assets"));
    let rate = |from: &str, to: &str, price: &str, spread_ppm: u32| {
        json!({"rates": [{"from": "FUND", "to": "840", "price": "1"},
            {"from": from, "to": to, "price": price, "spread_ppm": spread_ppm}]})
    };
    let convert = |from: &str, to: &str, amount: Json| {
        body("no", json!({"wallet": 1, "currency": from, "to_currency": to, "amount": amount}))
    };
    let earn =
        |rate_ppm: Json, rule: &str| json!({"rate_ppm": rate_ppm, "day_count": rule, "paid_out": "daily"});
    let rates = "/v1/rates";
    let conversions = "/v1/conversions";
    let of_account = "/v1/wallets/1/accounts/";
    let transfer =
        |currency: &str| body("no", json!({"from": 1, "to": 2, "currency": currency, "amount": 1}));
    let table: Vec<(&str, String, Json, u16, &str)> = vec![
        ("POST", rates.into(), rate("840", "USDC", "0", 0), 422, "invalid-rate"),
        ("POST", rates.into(), rate("840", "USDC", "0.000", 0), 422, "invalid-rate"),
        ("POST", rates.into(), rate("840", "USDC", "-1", 0), 422, "invalid-rate"),
        ("POST", rates.into(), rate("840", "USDC", "1e3", 0), 422, "invalid-rate"),
        ("POST", rates.into(), rate("840", "840", "1", 0), 422, "invalid-rate"),
        ("POST", rates.into(), rate("840", "978", "1", 1_000_000), 422, "invalid-rate"),
        ("POST", rates.into(), rate("840", "NONE", "1", 0), 404, "no-such-asset"),
        ("POST", rates.into(), rate("840", "7001", "1", 0), 404, "no-such-asset"),
        (
            "POST",
            rates.into(),
            json!({"rates": [{"from": "840", "to": "978", "price": 1.5}]}),
            400,
            "malformed",
        ),
        ("POST", rates.into(), json!({"rates": []}), 400, "malformed"),
        ("POST", conversions.into(), convert("840", "978", json!(100)), 404, "no-rate"),
        ("POST", conversions.into(), convert("840", "840", json!(100)), 404, "no-rate"),
        ("POST", conversions.into(), convert("FUND", "840", json!(1)), 409, "comes-to-less"),
        ("POST", conversions.into(), convert("FUND", "840", json!(0)), 422, "invalid-amount"),
        ("POST", conversions.into(), convert("FUND", "840", json!(-5)), 422, "invalid-amount"),
        ("POST", conversions.into(), convert("FUND", "840", json!(1.5)), 400, "malformed"),
        ("POST", conversions.into(), convert("FUND", "840", json!(300_000_001)), 409, "insufficient-funds"),
        (
            "POST",
            conversions.into(),
            body("no", json!({"wallet": 2, "currency": "840", "to_currency": "USDC", "amount": 100})),
            404,
            "no-such-account",
        ),
        (
            "POST",
            conversions.into(),
            body(
                "no",
                json!({"wallet": 1, "currency": "840", "to_currency": "USDC", "amount": 100, "at_least": 1_000_200}),
            ),
            409,
            "comes-to-less",
        ),
        // An asset that the other lacks.
        ("POST", "/v1/transfers".into(), transfer("USDC"), 404, "no-such-account"),
        ("POST", "/v1/transfers".into(), transfer("NONE"), 404, "no-such-asset"),
        ("POST", "/v1/transfers".into(), transfer("7840"), 404, "no-such-account"),
        ("POST", "/v1/transfers".into(), transfer("0840"), 400, "malformed"),
        ("POST", "/v1/transfers".into(), transfer("14000"), 400, "malformed"),
        ("PUT", "/v1/assets/USDC".into(), json!({"decimals": 2}), 409, "other-decimals"),
        ("PUT", "/v1/assets/usdc".into(), json!({"decimals": 6}), 400, "malformed"),
        ("PUT", "/v1/assets/X".into(), json!({"decimals": 6}), 400, "malformed"),
        ("PUT", "/v1/assets/MANY".into(), json!({"decimals": 13}), 422, "no-asset-number"),
        ("PUT", format!("{of_account}2"), json!({"currency": "840"}), 409, "other-account"),
        ("PUT", format!("{of_account}9"), json!({"currency": "840"}), 409, "other-account"),
        ("PUT", format!("{of_account}4"), json!({"currency": "7777"}), 404, "no-such-asset"),
        ("PUT", format!("{of_account}4"), json!({"currency": "840", "overdraft": -1}), 400, "malformed"),
        ("PUT", "/v1/wallets/999/accounts/0".into(), json!({"currency": "840"}), 404, "no-such-wallet"),
        ("PUT", "/v1/wallets/1/spending".into(), json!({"accounts": [0, 7]}), 404, "no-such-account"),
        ("PUT", "/v1/wallets/1/spending".into(), json!({"accounts": [0, 0]}), 400, "malformed"),
        ("PUT", "/v1/wallets/1/spending".into(), json!({"accounts": [0, 1, 2, 3, 4, 5]}), 400, "malformed"),
        ("PUT", format!("{of_account}0/interest"), earn(json!(1), "30/360"), 400, "malformed"),
        (
            "PUT",
            format!("{of_account}0/interest"),
            earn(json!(10_000_001), "actual/365"),
            422,
            "invalid-rate",
        ),
        ("PUT", format!("{of_account}0/interest"), earn(json!(0.5), "actual/365"), 400, "malformed"),
        ("PUT", format!("{of_account}7/interest"), earn(json!(1), "actual/365"), 404, "no-such-account"),
    ];
    for (method, path, body, status, name) in table {
        let (got, problem) = send(&house, method, &path, &body);
        let expected = json!(format!("urn:turnpike:problem:{name}"));
        assert_eq!((got, &problem["type"]), (status, &expected), "{method} {path} {body}: {problem}");
    }
    let after = (accounts(&house, 1), house.json("/v1/rates"), house.json("/v1/assets"));
    assert_eq!(after, before);
    assert_eq!(house.json("/v1/wallets/1")["spending"], json!([]));
}

#[test]
fn rates_come_from_a_file_all_or_none() {
    let (house, directory) = House::fresh(|_| {});
    pockets(&house);
    let file = directory.path().join("rates.csv");
    let run = |text: Option<&str>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
        command.args(["rates", "--http", &house.daemon().admin.to_string()]);
        if let Some(text) = text {
            fs::write(&file, text).expect("a file");
            command.arg(&file);
        }
        let done = command.output().expect("it runs");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        (done.status.code(), text(done.stdout), text(done.stderr))
    };
    let heading = "from,to,price,spread_ppm\n";
    let (code, out, err) = run(Some(&format!("{heading}# euros\n978,840,1.0845,1500\nFUND,840,,\n")));
    assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
    assert!(out.starts_with("2 rates set, record "), "{out}");
    let (code, out, _) = run(None);
    let listed =
        format!("{heading}840,7000,1.0001,0\n840,9000,0.0096,0\n978,840,1.0845,1500\n7000,840,0.9998,1000\n");
    assert_eq!((code, out.as_str()), (Some(0), listed.as_str()));
    let table = [
        ("from,to\n978,840\n".to_owned(), "rates.csv:1: the first line must be `from,to,price,spread_ppm`"),
        (format!("{heading}978,840,1,0\n978,840,zero,0\n"), "rates.csv:3: a price is a decimal number"),
        (format!("{heading}978,840,0,0\n"), "rates.csv:2: a price is a decimal number above zero"),
        (format!("{heading}978,840,1,half\n"), "rates.csv:2: `spread_ppm` is a whole number"),
        (format!("{heading}978,840\n"), "rates.csv:2:"),
        (heading.to_owned(), "there are no rates in it"),
        (format!("{heading}978,840,2,0\n978,NONE,1,0\n"), "there is no asset NONE (404)"),
    ];
    for (text, words) in table {
        let (code, _, err) = run(Some(&text));
        assert!(code != Some(0) && err.contains(words), "{text}: {code:?} {err}");
    }
    assert_eq!(run(None).1, listed, "nothing has changed");
}
