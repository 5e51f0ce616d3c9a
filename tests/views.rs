//! What may be seen of the past: balances as of a record and a time, statements page by page, what is open. All of it
//! over a running daemon's HTTP face, held against what that face said when it was the present.

#![expect(clippy::expect_used, clippy::panic, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;

use harness::House;
use harness::PURCHASE;
use harness::Peer;
use harness::SEED;
use harness::as_if_killed_with;
use harness::config;
use harness::eventually;
use harness::original;
use harness::seed;
use harness::with;
use serde_json::Value as Json;
use serde_json::json;
use turnpike::config::Config;
use turnpike::domain::event::Bounds;
use turnpike::domain::event::Event;
use turnpike::domain::event::Sequence;
use turnpike::domain::party::SLOTS;
use turnpike::domain::party::Slot;
use turnpike::domain::time::Timestamp;
use turnpike::edge::clock;
use turnpike::edge::daemon;
use turnpike::edge::disk::Disk;
use turnpike::edge::keys;
use turnpike::journal::recover::Opener;
use turnpike::journal::recover::recover;
use turnpike::journal::snapshot::Tail;
use turnpike::ledger::books::Books;
use turnpike::ledger::room::Needs;
use turnpike::ledger::shard::Shard;
use turnpike::recovery::Replay;
use turnpike::recovery::one_slot::Source;
use turnpike::recovery::one_slot::Span;
use turnpike::recovery::one_slot::Witness;
use turnpike::recovery::one_slot::replay;

const WALLETS: [u64; 4] = [1, 2, 8, 100];

fn problem(answer: &Json) -> &str {
    answer["type"].as_str().and_then(|kind| kind.strip_prefix("urn:turnpike:problem:")).unwrap_or_default()
}

fn get(house: &House, path: &str) -> (u16, Json) {
    let (status, body) = house.get(path);
    (status, serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}")))
}

/// Status, head and body of an answer.
fn get_with(house: &House, path: &str, header: &str) -> (u16, String, String) {
    let mut socket = TcpStream::connect(house.daemon().admin).expect("the face listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: turnpike\r\nConnection: close\r\n{header}\r\n");
    socket.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).expect("an answer in text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head.to_owned(), body.to_owned())
}

/// Does what must be done.
fn does(house: &House, path: &str, key: &str, rest: Json) -> u64 {
    let created = Timestamp::from_seconds(clock::wall().seconds()).to_string();
    let mut body = json!({ "key": key, "created": created });
    body.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
    let (status, answer) = house.verb("POST", path, &body.to_string());
    assert_eq!(status, 200, "{path} {body}: {answer}");
    answer["sequence"].as_u64().expect("its record")
}

/// One round of all that changes a balance or holds something. `n` makes it another round's.
fn round(house: &House, peer: &mut Peer, n: u32, mut after: impl FnMut()) {
    let mut done = |path: &str, what: &str, rest: Json| {
        let sequence = does(house, path, &format!("{what}-{n}"), rest);
        after();
        sequence
    };
    done("/v1/wallets/1/fund", "f", json!({"currency":"840","amount":20_000}));
    done("/v1/transfers", "t", json!({"from":1,"to":2,"currency":"840","amount":700,"reason":"=rent"}));
    done("/v1/wallets/100/fund", "g", json!({"currency":"978","amount":n + 1}));
    done("/v1/transfers", "u", json!({"from":8,"to":100,"currency":"978","amount":11}));
    let paid =
        done("/v1/payments", "p", json!({"from":1,"merchant":2,"currency":"840","amount":300,"fee":7}));
    let refund = format!("/v1/wallets/2/payments/{paid}/refunds");
    done(&refund, "r", json!({"currency":"840","amount":100,"returns_fee":true}));
    done("/v1/wallets/2/adjust", "a", json!({"currency":"840","amount":-13,"reason":"word"}));
    done("/v1/wallets/1/withdraw", "w", json!({"currency":"840","amount":150}));
    let stan = |offset: u32| format!("{:06}", 1 + n * 10 + offset);
    let mut sent = |mti, offset, changes: &harness::Values<'_>| {
        let (trace, rrn) = (stan(offset), format!("REF{:09}", n * 10 + offset));
        let answer = peer.ask(mti, &with(&with(PURCHASE, &[(11, &trace), (37, &rrn)]), changes));
        let code = answer.value(39).to_owned();
        after();
        code
    };
    assert_eq!(sent(100, 0, &[(4, "000000000120")]), "00", "a hold");
    assert_eq!(sent(200, 1, &[(4, "000000000230")]), "00", "a purchase");
    assert_eq!(sent(100, 2, &[(4, "000000000340")]), "00", "a hold");
    let of = original(100, &stan(2));
    assert_eq!(sent(420, 3, &[(4, "000000000340"), (90, &of)]), "00", "its reversal");
    assert_eq!(sent(100, 4, &[(3, "200000"), (4, "000000000050")]), "00", "a credit that pends");
    assert_ne!(sent(100, 5, &[(4, "000099999999")]), "00", "a decline");
    // Answers to cards do not wait for the disk.
    let pipeline = &house.daemon().face.pipeline;
    eventually("all is durable", || pipeline.durable() == pipeline.appended());
}

fn opens(house: &House) {
    let (status, answer) =
        house.verb("PUT", "/v1/wallets/100", r#"{"accounts":[{"currency":"840"},{"currency":"978"}]}"#);
    assert_eq!(status, 200, "{answer}");
}

/// What each wallet's live balance said, by record.
type Said = BTreeMap<(u64, u64), Json>;

fn listen(house: &House, said: &mut Said) {
    for wallet in WALLETS {
        let now = house.json(&format!("/v1/wallets/{wallet}/balance"));
        let sequence = now["sequence"].as_u64().expect("a number");
        said.insert((wallet, sequence), now);
    }
}

fn agrees(house: &House, said: &Said, what: &str) {
    for ((wallet, sequence), then) in said {
        let (status, seen) = get(house, &format!("/v1/wallets/{wallet}/balance?as_of_sequence={sequence}"));
        assert_eq!((status, &seen), (200, then), "{what}: wallet {wallet} at record {sequence}");
    }
}

#[test]
fn as_of_a_record_is_what_the_live_balance_said_then_over_snapshots_and_starts() {
    let (house, directory) = House::fresh(|_| {});
    opens(&house);
    let mut said = Said::new();
    let mut peer = house.connect("iso87");
    for n in 0..3 {
        round(&house, &mut peer, n, || listen(&house, &mut said));
        agrees(&house, &said, "without a snapshot");
        if n > 0 {
            assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
        }
    }
    assert!(said.len() > 120, "{}", said.len());
    assert!(said.values().any(|then| then["accounts"][0]["pending_credits"] == 150), "a credit pends");
    agrees(&house, &said, "over snapshots");
    let last = house.daemon().face.pipeline.durable();
    let (then, _copy) = as_if_killed_with(directory.path(), |config| config.daemon.shards = 4);
    agrees(&then, &said, "after a start");
    let mut peer = then.connect("iso87");
    round(&then, &mut peer, 7, || listen(&then, &mut said));
    assert_eq!(then.verb("POST", "/v1/snapshots", "").0, 200);
    round(&then, &mut peer, 8, || listen(&then, &mut said));
    agrees(&then, &said, "with shards of another size");
    assert!(said.keys().any(|(_, sequence)| *sequence > last.0));
}

#[test]
fn as_of_a_time_is_of_everything_before_it() {
    let (house, _directory) = House::fresh(|_| {});
    opens(&house);
    let mut said: Vec<(Timestamp, Json)> = Vec::new();
    let mut peer = house.connect("visa");
    round(&house, &mut peer, 0, || {
        // Nothing else is appended: the time after an answer is after its record, and before the next one.
        let now = house.json("/v1/wallets/1/balance");
        said.push((clock::wall(), now));
    });
    for (time, then) in &said {
        let time = format!("{}.{:09}Z", &time.to_string()[..19], time.0 % 1_000_000_000);
        let seen = house.json(&format!("/v1/wallets/1/balance?as_of_time={time}"));
        assert_eq!(seen["accounts"], then["accounts"], "{time}");
        assert!(seen["sequence"].as_u64() >= then["sequence"].as_u64(), "{time}: {seen} {then}");
        // A statement up to that time closes with it.
        let page = house.json(&format!("/v1/wallets/1/statement?to={time}&limit=1000"));
        for (closing, account) in page["closing"]
            .as_array()
            .into_iter()
            .flatten()
            .zip(seen["accounts"].as_array().into_iter().flatten())
        {
            assert_eq!((&closing["posted"], &closing["held"]), (&account["posted"], &account["held"]));
        }
    }
    let (status, answer) = get(&house, "/v1/wallets/1/balance?as_of_time=1980-01-01T00:00:00Z");
    assert_eq!((status, problem(&answer)), (404, "no-such-wallet"), "nobody was there: {answer}");
}

fn number(value: &Json, name: &str) -> i64 {
    value[name].as_i64().unwrap_or_else(|| panic!("`{name}` in {value}"))
}

/// Posted and held of each account.
fn sums(accounts: &Json) -> BTreeMap<i64, (i64, i64)> {
    let accounts = accounts.as_array().expect("a list").iter();
    accounts.map(|of| (number(of, "account"), (number(of, "posted"), number(of, "held")))).collect()
}

/// All pages of a statement, with what must hold of each.
fn pages(house: &House, wallet: u64, query: &str, mut between: impl FnMut()) -> Vec<Json> {
    let mut pages: Vec<Json> = Vec::new();
    let mut token = String::new();
    loop {
        let page = house.json(&format!("/v1/wallets/{wallet}/statement?{query}{token}"));
        let mut balances = sums(&page["opening"]);
        for entry in page["entries"].as_array().expect("a list") {
            let of = balances.entry(number(entry, "account")).or_default();
            of.0 += number(entry, "amount");
            of.1 += number(entry, "held_change");
            assert_eq!(*of, (number(entry, "posted"), number(entry, "held")), "{entry}");
        }
        let closing = sums(&page["closing"]);
        balances.retain(|_, of| *of != (0, 0));
        let moved: BTreeMap<i64, (i64, i64)> =
            closing.iter().filter(|(_, of)| **of != (0, 0)).map(|(number, of)| (*number, *of)).collect();
        assert_eq!(balances, moved, "entries are closing less opening: {page}");
        if let Some(before) = pages.last() {
            assert_eq!(before["closing"], page["opening"]);
            assert_eq!(number(before, "to") + 1, number(&page, "from"));
        }
        token = match page["next"].as_str() {
            Some(next) => format!("&page_token={next}"),
            None => String::new(),
        };
        pages.push(page);
        if token.is_empty() {
            return pages;
        }
        between();
    }
}

fn entries(pages: &[Json]) -> Vec<Json> {
    pages.iter().flat_map(|page| page["entries"].as_array().expect("a list").clone()).collect()
}

#[test]
fn the_pages_of_a_statement_add_up_and_stay_what_they_are_while_money_moves() {
    let (house, _directory) = House::fresh(|_| {});
    opens(&house);
    let mut peer = house.connect("iso87");
    for n in 0..3 {
        round(&house, &mut peer, n, || {});
        if n == 1 {
            assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
        }
    }
    let end = house.daemon().face.pipeline.durable().0;
    let mut n = 100;
    for wallet in WALLETS {
        let whole = pages(&house, wallet, &format!("to={end}&limit=1000"), || {});
        let all = entries(&whole);
        assert_eq!(whole.len(), 1);
        assert!(all.len() > 3, "{}", all.len());
        for limit in [1, 2, 3, 7] {
            // Without `to` a statement ends where the first page was asked for.
            let ends = house.daemon().face.pipeline.durable().0;
            let split = pages(&house, wallet, &format!("limit={limit}"), || {
                n += 1;
                does(&house, "/v1/wallets/1/fund", &format!("x-{n}"), json!({"currency":"840","amount":1}));
            });
            assert_eq!(split.last().map(|page| number(page, "to") as u64), Some(ends));
            let mut seen = entries(&split);
            seen.retain(|entry| number(entry, "sequence") as u64 <= end);
            assert_eq!(seen, all, "wallet {wallet}, {limit} a page");
        }
        // Each entry is the balance as of its record.
        for entry in &all {
            let path = format!("/v1/wallets/{wallet}/balance?as_of_sequence={}", entry["sequence"]);
            let then = house.json(&path);
            let account = &then["accounts"][number(entry, "account") as usize];
            for name in ["posted", "held", "available", "currency"] {
                assert_eq!(account[name], entry[name], "{name} of {entry}");
            }
        }
        // A part begins and ends where it says.
        let (from, to) = (number(&all[1], "sequence"), number(&all[2], "sequence"));
        let part = pages(&house, wallet, &format!("from={from}&to={to}"), || {});
        assert_eq!(entries(&part), all[1..=2]);
    }
    let kinds: Vec<Json> = entries(&pages(&house, 1, &format!("to={end}&limit=1000"), || {}));
    let kinds: Vec<&str> = kinds.iter().filter_map(|entry| entry["kind"].as_str()).take(13).collect();
    let expected = "account-funded fund transfer payment refund withdraw hold purchase hold reversal fund";
    assert_eq!(kinds[..11].join(" "), expected);
}

#[test]
fn an_entry_says_what_it_was() {
    let (house, _directory) = House::fresh(|_| {});
    opens(&house);
    let mut peer = house.connect("iso87");
    round(&house, &mut peer, 0, || {});
    let all = entries(&pages(&house, 1, "", || {}));
    let of = |kind: &str| all.iter().find(|entry| entry["kind"] == kind).unwrap_or_else(|| panic!("{kind}"));
    let card = of("purchase")["card"].clone();
    let table = [
        ("transfer", json!({"amount":-700,"counterparty":2,"counterparty_account":0,"reason":"=rent"})),
        ("refund", json!({"amount":100,"counterparty":2})),
        ("hold", json!({"amount":0,"held_change":120,"merchant":"MERCHANT0000001","terminal":"TERMID01"})),
        ("purchase", json!({"amount":-230,"mcc":"5999","pan":"411111******1111","currency":"840"})),
        ("reversal", json!({"held_change":-340,"card":card,"about":of("hold")["sequence"]})),
    ];
    for (kind, expected) in table {
        for (name, value) in expected.as_object().expect("an object") {
            if (kind, name.as_str()) == ("reversal", "about") {
                assert!(of(kind)[name].as_u64().is_some_and(|about| about > 0), "{}", of(kind));
                continue;
            }
            assert_eq!(&of(kind)[name], value, "{name} of {}", of(kind));
        }
    }
    let other = entries(&pages(&house, 2, "", || {}));
    let got = other.iter().find(|entry| entry["kind"] == "transfer").expect("what came in");
    assert_eq!((&got["amount"], &got["counterparty"]), (&json!(700), &json!(1)));
}

#[test]
fn a_page_as_csv_has_the_entries_of_the_same_page_as_json() {
    let (house, _directory) = House::fresh(|_| {});
    opens(&house);
    let mut peer = house.connect("iso87");
    round(&house, &mut peer, 0, || {});
    let to = house.daemon().face.pipeline.durable().0;
    let first = house.json(&format!("/v1/wallets/1/statement?to={to}&limit=5"));
    let token = first["next"].as_str().expect("another page");
    let path = format!("/v1/wallets/1/statement?to={to}&limit=5");
    for (header, format) in [("Accept: text/csv\r\n", ""), ("", "&format=csv")] {
        for (page_token, page) in [
            (String::new(), first.clone()),
            (format!("&page_token={token}"), house.json(&format!("{path}&page_token={token}"))),
        ] {
            let (status, head, body) = get_with(&house, &format!("{path}{format}{page_token}"), header);
            assert_eq!(status, 200, "{body}");
            assert!(head.contains("text/csv; charset=utf-8; header=present"), "{head}");
            let next = page["next"].as_str().map(|next| format!("page_token={next}>; rel=\"next\""));
            let linked = next.as_ref().is_some_and(|next| head.contains(next));
            assert_eq!((linked, head.contains("rel=\"next\"")), (next.is_some(), next.is_some()), "{head}");
            assert!(body.lines().count() > 3 && body.matches("\r\n").count() == body.matches('\n').count());
            let mut reader = csv::Reader::from_reader(body.as_bytes());
            let rows: Vec<BTreeMap<String, String>> =
                reader.deserialize().map(|row| row.expect("a row")).collect();
            let of_kind = |kind: &str| rows.iter().filter(|row| row["kind"] == kind).count();
            let opening = page["opening"].as_array().expect("a list");
            assert_eq!((of_kind("opening"), of_kind("closing")), (opening.len(), 1), "{body}");
            for (row, account) in rows.iter().zip(opening) {
                assert_eq!(row["posted"], account["posted"].to_string());
            }
            let between = &rows[opening.len()..rows.len() - 1];
            let entries = page["entries"].as_array().expect("a list");
            assert_eq!(between.len(), entries.len());
            for (row, entry) in between.iter().zip(entries) {
                for (name, cell) in row {
                    let text = match &entry[name.as_str()] {
                        Json::Null => String::new(),
                        Json::String(text) if text.starts_with('=') => format!("'{text}"),
                        Json::String(text) => text.clone(),
                        other => other.to_string(),
                    };
                    assert_eq!(*cell, text, "{name} of {entry}");
                }
            }
        }
    }
    let (_, _, body) = get_with(&house, &format!("/v1/wallets/1/statement?to={to}&format=csv"), "");
    assert!(body.contains(",'=rent,"), "no text is a formula: {body}");
}

#[test]
fn what_is_open_is_listed_page_by_page() {
    let (house, _directory) = House::fresh(|_| {});
    opens(&house);
    let mut peer = house.connect("iso87");
    for n in 0..5 {
        round(&house, &mut peer, n, || {});
    }
    // While the pages of the first are read there are two more rounds.
    for (name, path, state, count) in
        [("holds", "holds", "held", 5), ("pending_credits", "pending-credits", "pending-credit", 7)]
    {
        let whole = house.json(&format!("/v1/wallets/1/{path}"));
        let all = whole[name].as_array().expect("a list");
        assert_eq!((all.len(), &whole["next"]), (count, &Json::Null), "{whole}");
        for one in all {
            assert_eq!((&one["state"], &one["pan"]), (&json!(state), &json!("411111******1111")), "{one}");
            assert!(one["merchant_print"].as_str().is_some_and(|print| print.len() == 8), "{one}");
            assert!(one["amount"].is_i64() && one["card"].is_u64() && one["approval_code"].is_string());
            assert!(one["hold_until"].is_string(), "{one}");
        }
        let mut seen: Vec<Json> = Vec::new();
        let mut token = String::new();
        for page in 0.. {
            let shown = house.json(&format!("/v1/wallets/1/{path}?limit=2{token}"));
            seen.extend(shown[name].as_array().expect("a list").iter().cloned());
            let Some(next) = shown["next"].as_str() else { break };
            token = format!("&page_token={next}");
            // What is new comes before the first page, and shifts none.
            round(&house, &mut peer, 50 + page + u32::from(state == "held") * 10, || {});
        }
        assert_eq!(seen, *all, "{name}");
    }
    let held: i64 = house.json("/v1/wallets/1/holds")["holds"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| number(one, "taken") + number(one, "fee"))
        .sum();
    assert_eq!(held, house.balance(1).1, "what is held is the sum of holds");
}

#[test]
fn what_cannot_be_shown_is_a_problem_with_a_type_that_stays() {
    let (house, directory) = House::fresh(|_| {});
    opens(&house);
    let mut peer = house.connect("iso87");
    round(&house, &mut peer, 0, || {});
    let token = |path: &str| {
        let next = house.json(path)["next"].as_str().expect("another page").to_owned();
        format!("page_token={next}")
    };
    let of_one = token("/v1/wallets/1/statement?limit=1");
    let mut changed = of_one.clone().into_bytes();
    let last = changed.len() - 1;
    changed[last] = if changed[last] == b'0' { b'1' } else { b'0' };
    let changed = String::from_utf8(changed).expect("digits");
    round(&house, &mut peer, 1, || {});
    let of_holds = token("/v1/wallets/1/holds?limit=1");
    let before = house.json("/v1/audit/balance");
    let table: [(&str, u16, &str); 28] = [
        ("/v1/wallets/x/balance", 400, "malformed"),
        ("/v1/wallets/4111111111111111/balance", 404, "no-such-wallet"),
        ("/v1/wallets/1/balance?as_of_sequence=1&as_of_time=2026-11-29T18:00:00Z", 400, "malformed"),
        ("/v1/wallets/1/balance?as_of_sequence=x", 400, "malformed"),
        ("/v1/wallets/1/balance?as_of_sequence=-1", 400, "malformed"),
        ("/v1/wallets/1/balance?as_of_time=yesterday", 400, "malformed"),
        ("/v1/wallets/1/balance?at=5", 400, "malformed"),
        ("/v1/wallets/1/balance?as_of_sequence=99999999", 422, "of-the-future"),
        ("/v1/wallets/1/balance?as_of_time=2200-01-01T00:00:00Z", 422, "of-the-future"),
        ("/v1/wallets/1/balance?as_of_sequence=0", 404, "no-such-wallet"),
        ("/v1/wallets/100/balance?as_of_sequence=1", 404, "no-such-wallet"),
        ("/v1/wallets/77/statement", 404, "no-such-wallet"),
        ("/v1/wallets/1/statement?format=pdf", 400, "malformed"),
        ("/v1/wallets/1/statement?limit=0", 400, "malformed"),
        ("/v1/wallets/1/statement?from=0", 400, "malformed"),
        ("/v1/wallets/1/statement?from=9&to=5", 400, "malformed"),
        ("/v1/wallets/1/statement?from=99999999", 422, "of-the-future"),
        ("/v1/wallets/1/statement?to=99999999", 422, "of-the-future"),
        ("/v1/wallets/1/statement?to=2200-01-01T00:00:00Z", 422, "of-the-future"),
        ("/v1/wallets/1/statement?page_token=1", 400, "page-token"),
        ("/v1/wallets/1/holds?page_token=zz", 400, "page-token"),
        ("/v1/wallets/1/holds?limit=1001", 400, "malformed"),
        ("/v1/events", 400, "malformed"),
        ("/v1/events?from=0", 400, "malformed"),
        ("/v1/events?from=5&to=4", 400, "malformed"),
        ("/v1/events?from=1&slots=1024", 400, "malformed"),
        ("/v1/events?from=1&limit=0", 400, "malformed"),
        ("/v1/events?from=99999999", 422, "of-the-future"),
    ];
    for (path, status, name) in table {
        let (found, head, body) = get_with(&house, path, "");
        let answer: Json = serde_json::from_str(&body).unwrap_or_default();
        assert_eq!((found, problem(&answer)), (status, name), "{path}: {body}");
        assert!(head.contains("application/problem+json") && answer["status"] == status, "{path}: {head}");
        assert!(!body.contains("411111111111"), "what came is not repeated: {body}");
    }
    // A token of another wallet, another question, or one that was changed.
    for path in [
        format!("/v1/wallets/2/statement?limit=1&{of_one}"),
        format!("/v1/wallets/1/statement?limit=1&from=2&{of_one}"),
        format!("/v1/wallets/1/statement?limit=1&to=9&{of_one}"),
        format!("/v1/wallets/1/statement?limit=1&{changed}"),
        format!("/v1/wallets/1/statement?limit=1&{of_holds}"),
        format!("/v1/wallets/1/holds?limit=1&{of_one}"),
        format!("/v1/wallets/2/holds?limit=1&{of_holds}"),
        format!("/v1/wallets/1/pending-credits?limit=1&{of_holds}"),
    ] {
        let (status, answer) = get(&house, &path);
        assert_eq!((status, problem(&answer)), (400, "page-token"), "{path}: {answer}");
    }
    assert_eq!(get(&house, &format!("/v1/wallets/1/statement?limit=1&{of_one}")).0, 200);
    assert_eq!(house.json("/v1/audit/balance"), before, "nothing has changed");
    // A token is good after a start, too.
    let path = format!("/v1/wallets/1/statement?limit=1&{of_one}");
    let (then, _copy) = as_if_killed_with(directory.path(), |_| {});
    assert_eq!(get(&then, &path), get(&house, &path));
}

#[test]
fn what_was_recycled_is_refused_with_the_oldest_point_and_the_rest_is_seen() {
    for kept in [2, 9] {
        recycles(kept);
    }
}

/// A daemon that has started five times and made four snapshots, of which so many are kept.
fn recycles(kept: u32) {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = |config: &mut Config| {
        config.journal.retained_segments = 0;
        config.snapshots.kept = kept;
    };
    let house = House::start(&config(directory.path(), settings), Some(&seed(SEED))).expect("a start");
    opens(&house);
    let mut said = Said::new();
    let mut house = Some(house);
    // Each start begins a segment, and snapshots cover what is before them.
    for n in 0..4 {
        let running = house.take().expect("a daemon");
        let mut peer = running.connect("iso87");
        round(&running, &mut peer, n, || listen(&running, &mut said));
        assert_eq!(running.verb("POST", "/v1/snapshots", "").0, 200);
        drop(peer);
        running.drain();
        house = Some(House::start(&config(directory.path(), settings), None).expect("a start"));
    }
    let house = house.expect("a daemon");
    if kept == 9 {
        // The oldest snapshot was made beside the first segment, which stays with it.
        return agrees(&house, &said, "more snapshots, more of the past");
    }
    let (status, answer) = get(&house, "/v1/wallets/1/balance?as_of_sequence=3");
    assert_eq!((status, problem(&answer)), (410, "recycled"), "{answer}");
    let words = answer["detail"].as_str().expect("words");
    let oldest = words.split(|character: char| !character.is_ascii_digit()).find(|word| !word.is_empty());
    let oldest: u64 = oldest.and_then(|word| word.parse().ok()).expect("the oldest record");
    let (mut seen, mut gone) = (0, 0);
    for ((wallet, sequence), then) in &said {
        let path = format!("/v1/wallets/{wallet}/balance?as_of_sequence={sequence}");
        let (status, answer) = get(&house, &path);
        // Cuts of other slots may be some records later or earlier.
        match status {
            200 => {
                assert_eq!(answer, *then);
                seen += 1;
            }
            _ => {
                assert_eq!((status, problem(&answer)), (410, "recycled"), "{path}: {answer}");
                assert!(*sequence <= oldest + 64, "{path}: {answer}");
                gone += 1;
            }
        }
    }
    assert!(seen > 20 && gone > 20, "{seen} seen, {gone} gone");
    // A statement that does not say where to begin begins there.
    let all = pages(&house, 1, "limit=3", || {});
    assert!(number(&all[0], "from") as u64 > oldest - 64 && all.len() > 3);
    let (status, answer) = get(&house, "/v1/wallets/1/statement?from=2");
    assert_eq!((status, problem(&answer)), (410, "recycled"), "{answer}");
    let (status, answer) = get(&house, "/v1/events?from=1&limit=1");
    assert_eq!((status, problem(&answer)), (410, "recycled"), "{answer}");
}

#[test]
fn few_look_into_the_past_at_once_and_the_others_are_told_to_come_again() {
    let (house, _directory) = House::fresh(|config| config.admin.reads_max = 1);
    opens(&house);
    let mut peer = house.connect("iso87");
    for n in 0..4 {
        round(&house, &mut peer, n, || {});
    }
    let end = house.daemon().face.pipeline.durable().0;
    let expected = house.json(&format!("/v1/wallets/1/balance?as_of_sequence={end}"));
    let path = format!("/v1/wallets/1/balance?as_of_sequence={end}");
    let served: usize = thread::scope(|scope| {
        let askers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut served = 0;
                    for _ in 0..20 {
                        let (status, head, body) = get_with(&house, &path, "");
                        let answer: Json = serde_json::from_str(&body).expect("JSON");
                        if status == 200 {
                            assert_eq!(answer, expected);
                            served += 1;
                        } else {
                            assert_eq!((status, problem(&answer)), (503, "busy"), "{body}");
                            assert!(head.to_ascii_lowercase().contains("retry-after: 1"), "{head}");
                        }
                    }
                    served
                })
            })
            .collect();
        askers.into_iter().map(|asker| asker.join().expect("answers")).sum()
    });
    assert!(served > 0);
}

struct Nobody;

impl Witness for Nobody {
    fn begins(&mut self, _: &Shard) {}

    fn applied(&mut self, _: &Shard, _: Sequence, _: Timestamp, _: &Event) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn goes_on(&self) -> bool {
        true
    }
}

/// By record and slot: the state hash of the slot before that record, where it has one of its own.
fn hashes(data: &Path, every: u64) -> Vec<(Sequence, Slot, String)> {
    let disk = Disk::look_at(data);
    let keys = keys::load(&data.join("keys/master.key"), true).expect("keys");
    let opener = Opener { seal: &keys.vault, fingerprint: keys.vault.fingerprint() };
    let mut needs = Needs::default();
    recover(&disk, opener, Sequence(0), |_, _, event| needs.count(&event)).expect("a journal");
    let mut whole = Replay::new(Books::by_slot(&needs, Bounds::default(), keys.table_seed()));
    let slots: Vec<Slot> = [1, 2, 8, 100]
        .map(|wallet| Slot::of_wallet(turnpike::domain::party::WalletId(wallet)))
        .into_iter()
        .chain((0..SLOTS).step_by(97).filter_map(Slot::new))
        .collect();
    let mut hashes = Vec::new();
    let mut before = |books: &Books, sequence: Sequence| {
        if sequence.0.is_multiple_of(every) {
            for slot in &slots {
                let hash = books.shards[usize::from(slot.number())].state_hash();
                hashes.push((Sequence(sequence.0 - 1), *slot, hash.to_string()));
            }
        }
    };
    whole.journal_in_order(&disk, opener, Tail::default(), &mut before, None).expect("it fits");
    hashes
}

/// All that a slot's books are: not only balances, and wherever a look begins.
#[test]
fn the_books_of_one_slot_are_those_of_the_whole_journal() {
    let (house, directory) = House::fresh(|_| {});
    opens(&house);
    let mut peer = house.connect("iso87");
    for n in 0..6 {
        round(&house, &mut peer, n, || {});
        if n == 1 || n == 3 {
            assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
        }
    }
    drop(peer);
    house.drain();
    let data = directory.path();
    let disk = Disk::look_at(data);
    let keys = keys::load(&data.join("keys/master.key"), true).expect("keys");
    let most = daemon::capacity(&config(data, |_| {}));
    let all = hashes(data, 7);
    assert!(all.len() > 150, "{}", all.len());
    let source = Source {
        storage: &disk,
        seal: &keys.vault,
        keys: &keys.vault,
        seed: keys.table_seed(),
        most,
        durable: all.last().expect("a record").0,
    };
    for (sequence, slot, expected) in &all {
        let span = Span { after: *sequence, through: *sequence };
        let (shard, at) = replay(&source, *slot, span, &mut Nobody).expect("it can be seen");
        assert_eq!((at, shard.state_hash().to_string()), (*sequence, expected.clone()), "{slot:?}");
    }
}

/// A lot of transfers in one body.
fn transfers(from: u64, to: u64, name: &str) -> String {
    let created = Timestamp::from_seconds(clock::wall().seconds()).to_string();
    let plain = json!({"created":created,"from":from,"to":to,"currency":"840","amount":1});
    let one = |n: u64| {
        let mut one = plain.clone();
        one["key"] = json!(format!("{name}-{n}"));
        one
    };
    json!({ "transfers": (0..400).map(one).collect::<Vec<Json>>() }).to_string()
}

#[test]
fn the_past_stays_what_it_was_while_snapshots_and_segments_go_under_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut settings = config(directory.path(), |config| {
        config.journal.segment_mib = 1;
        config.journal.spare_segments = 2;
        config.journal.retained_segments = 0;
        config.admin.reads_max = 4;
    });
    settings.wallets.bounds.keys_max = 400_000;
    let house = House::start(&settings, Some(&seed(SEED))).expect("a start");
    let (said, stop) = (Mutex::new(Vec::<Json>::new()), AtomicBool::new(false));
    let (house, said, stop) = (&house, &said, &stop);
    let going = || !stop.load(Ordering::Relaxed);
    let counts: Vec<[u64; 3]> = thread::scope(|scope| {
        for number in 0..2 {
            scope.spawn(move || {
                for round in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (from, to) = if number == 0 { (1, 2) } else { (2, 1) };
                    let body = transfers(from, to, &format!("{number}-{round}"));
                    assert_eq!(house.verb("POST", "/v1/transfers/batch", &body).0, 200);
                    let now = house.json("/v1/wallets/1/balance");
                    said.lock().expect("no panic").push(now);
                }
            });
        }
        scope.spawn(move || {
            while going() {
                assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
            }
        });
        let readers: Vec<_> = (0..3)
            .map(|number| {
                scope.spawn(move || {
                    let mut counts = [0; 3];
                    for turn in 0_usize.. {
                        if !going() {
                            break;
                        }
                        let then = {
                            let said = said.lock().expect("no panic");
                            // Now among the newest, now anywhere.
                            let among = if turn % 2 == 0 { said.len().min(8) } else { said.len() };
                            let back = (turn * 7 + number) % among.max(1) + 1;
                            said.len().checked_sub(back).map(|at| said[at].clone())
                        };
                        let Some(then) = then else { continue };
                        let path = format!("/v1/wallets/1/balance?as_of_sequence={}", then["sequence"]);
                        let (status, seen) = get(house, &path);
                        match (status, problem(&seen)) {
                            (200, _) => assert_eq!(seen, then),
                            (410, "recycled") => counts[1] += 1,
                            (503, "busy") => counts[2] += 1,
                            _ => panic!("{path}: {status} {seen}"),
                        }
                        counts[0] += u64::from(status == 200);
                    }
                    counts
                })
            })
            .collect();
        eventually("many are written", || house.daemon().face.pipeline.durable().0 > 60_000);
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().expect("answers")).collect()
    });
    let seen: u64 = counts.iter().map(|counts| counts[0]).sum();
    let gone: u64 = counts.iter().map(|counts| counts[1]).sum();
    assert!(seen > 20 && gone > 0, "{counts:?}");
}
