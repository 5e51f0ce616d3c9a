//! Money over the wire, in every dialect: what is approved, held, posted, given back and repeated, through drains,
//! restarts and seed files.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::process::Command;
use std::time::Duration;

use harness::HEADING;
use harness::House;
use harness::LINKS;
use harness::Message;
use harness::PURCHASE;
use harness::Peer;
use harness::SEED;
use harness::Values;
use harness::as_if_killed;
use harness::config;
use harness::eventually;
use harness::frame;
use harness::http_get;
use harness::network_code;
use harness::original;
use harness::seed;
use harness::with;
use turnpike::config::Config;
use turnpike::config::money::Reply;
use turnpike::domain::card::Verification;
use turnpike::domain::request::NetworkManagement;

/// A link, the fields of a request on it, its MTI, and the answer that it got.
type Answered = (&'static str, Vec<(u8, String)>, u16, Message);

/// The reversal of the usual purchase that had this trace number.
fn reversal<'v>(stan: &'v str, original: &'v str) -> Vec<(u8, &'v str)> {
    with(PURCHASE, &[(11, stan), (14, ""), (90, original)])
}

/// What Visa has, or the others, where they differ.
fn of<'t>(link: &str, visa: &'t str, others: &'t str) -> &'t str {
    if link == "visa" { visa } else { others }
}

fn for_each_link(test: impl Fn(&House, &str, &mut Peer)) {
    for (link, _) in LINKS {
        let (house, _directory) = House::fresh(|_| {});
        let mut peer = house.connect(link);
        test(&house, link, &mut peer);
        assert_eq!(house.dropped_in_all(link), 0);
        let audit = house.json("/v1/audit/balance");
        for currency in audit["currencies"].as_array().expect("a list") {
            assert_eq!(currency["sum"], "0", "the books sum to zero: {currency}");
        }
    }
}

// ---- requests

#[test]
fn an_approved_purchase_is_held_and_shown() {
    for_each_link(|house, link, peer| {
        assert_eq!(house.balance(1), (100_000, 0));
        let answer = peer.ask(100, PURCHASE);
        assert_eq!(answer.outcome(), (110, "00"));
        let code = answer.value(38);
        assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{code}");
        let echoed = [2, 3, 4, 7, 11, 32, 37, 41, 42, 49].into_iter();
        for field in echoed.filter(|field| link != "mastercard" || *field != 42) {
            let sent = PURCHASE.iter().find(|(known, _)| *known == field).map_or("", |(_, value)| value);
            assert_eq!(answer.value(field), sent, "{link}: field {field} is echoed");
        }
        for field in [14, 18, 35, 45, 52, 53, 55] {
            assert_eq!(answer.value(field), "", "{link}: field {field} is not in an answer");
        }
        assert_eq!(house.balance(1), (100_000, 5_000));
        let list = house.json("/v1/wallets/1/authorizations");
        let shown = &list["authorizations"][0];
        assert_eq!(shown["approval_code"], code);
        assert_eq!((shown["taken"].as_i64(), shown["stan"].as_str()), (Some(5_000), Some("000001")));
        assert_eq!(shown["state"], "held");
    });
}

#[test]
fn declines_have_each_dialects_code_and_move_nothing() {
    // What is changed of the usual purchase, DE 39 of Visa, of Mastercard and of the others, and the wallet that must
    // be as it was.
    let table: &[(&str, &Values<'_>, [&str; 3], u64)] = &[
        ("more than is there", &[(4, "000000100001")], ["51", "51", "51"], 1),
        (
            "more than is there with overdraft",
            &[(2, "4222222222222220"), (4, "000000005501")],
            ["51", "51", "51"],
            2,
        ),
        ("a card of nobody", &[(2, "4999999999999996")], ["14", "14", "14"], 1),
        ("a card with another length", &[(2, "41111111111111110")], ["14", "14", "14"], 1),
        ("frozen", &[(2, "4000000000000036")], ["62", "62", "62"], 3),
        ("lost", &[(2, "4000000000000044")], ["41", "41", "41"], 4),
        ("stolen", &[(2, "4000000000000051")], ["43", "43", "43"], 5),
        ("closed", &[(2, "4000000000000069")], ["46", "14", "46"], 6),
        ("expired", &[(2, "4000000000000077"), (14, "2001")], ["54", "54", "54"], 7),
        ("another month", &[(14, "3011")], ["54", "54", "54"], 1),
        ("a currency that the wallet has not", &[(49, "392")], ["57", "57", "57"], 1),
        ("no amount", &[(4, "000000000000")], ["13", "13", "13"], 1),
        ("a type that is none", &[(3, "990000")], ["12", "12", "12"], 1),
    ];
    for_each_link(|house, link, peer| {
        for (n, (what, changes, [visa, mastercard, iso87], wallet)) in table.iter().enumerate() {
            let before = house.balance(*wallet);
            let stan = format!("{n:06}");
            let mut values = with(PURCHASE, changes);
            values = with(&values, &[(11, &stan)]);
            let answer = peer.ask(if n % 2 == 0 { 100 } else { 200 }, &values);
            let others = if link == "mastercard" { mastercard } else { iso87 };
            assert_eq!(answer.value(39), of(link, visa, others), "{link}: {what}");
            assert_eq!(answer.value(38), "", "{link}: {what}: a decline has no DE 38");
            assert_eq!(house.balance(*wallet), before, "{link}: {what}");
        }
    });
}

#[test]
fn an_overdraft_can_be_used_to_its_last_cent() {
    for_each_link(|house, _, peer| {
        let values = with(PURCHASE, &[(2, "4222222222222220"), (4, "000000005500")]);
        assert_eq!(peer.ask(100, &values).outcome(), (110, "00"));
        assert_eq!(house.balance(2), (5_000, 5_500));
    });
}

#[test]
fn r11_what_the_network_billed_is_held() {
    for_each_link(|house, _, peer| {
        let billed = [(2, "4000000000000085"), (6, "000000004600"), (51, "978")];
        assert_eq!(peer.ask(100, &with(PURCHASE, &billed)).outcome(), (110, "00"));
        assert_eq!(house.balance(8), (70_000, 4_600));
    });
}

#[test]
fn r12_a_part_is_approved_where_the_terminal_takes_one() {
    for (link, terminal) in [("visa", (60, "000000000001")), ("mastercard", (48, "R610510000"))] {
        takes_a_part(link, terminal);
    }
}

fn takes_a_part(link: &str, terminal: (u8, &str)) {
    let (house, _directory) = House::fresh(|_| {});
    let mut peer = house.connect(link);
    let partly = [(4, "000000120000"), terminal];
    let answer = peer.ask(100, &with(PURCHASE, &partly));
    assert_eq!(answer.outcome(), (110, "10"));
    assert_eq!(answer.value(4), "000000100000", "the part that is approved");
    assert_eq!(answer.value(54), "0057840D000000120000", "what was asked for");
    assert_eq!(answer.value(38).len(), 6);
    assert_eq!(house.balance(1), (100_000, 100_000));
    let again = peer.ask(101, &with(PURCHASE, &partly));
    assert_eq!(again, answer, "a repeat gets the first answer");
    // Not for cash.
    let cash = [(2, "4222222222222220"), (3, "010000"), (4, "000000120000"), terminal];
    assert_eq!(peer.ask(100, &with(PURCHASE, &cash)).outcome(), (110, "51"));
    assert_eq!(house.balance(2), (5_000, 0));
}

#[test]
fn a_balance_inquiry_shows_the_balances_and_holds_nothing() {
    for_each_link(|house, _, peer| {
        assert_eq!(peer.ask(100, PURCHASE).outcome(), (110, "00"));
        let inquiry = with(PURCHASE, &[(3, "301000"), (4, "000000000000"), (11, "000002")]);
        let answer = peer.ask(100, &inquiry);
        assert_eq!(answer.outcome(), (110, "00"));
        assert_eq!(answer.value(54), "1001840C0000001000001002840C000000095000");
        assert_eq!(house.balance(1), (100_000, 5_000));
    });
}

#[test]
fn r16_an_account_verification_finds_no_reason_to_decline() {
    let told = [("visa", (25, "51")), ("mastercard", (61, "0000008000800840902101234"))];
    for (link, verifies) in told {
        let (house, _directory) = House::fresh(|_| {});
        let mut peer = house.connect(link);
        let verification = [(4, "000000000000"), verifies];
        assert_eq!(peer.ask(100, &with(PURCHASE, &verification)).outcome(), (110, "85"), "{link}");
        let frozen = [(2, "4000000000000036"), (4, "000000000000"), verifies];
        assert_eq!(peer.ask(100, &with(PURCHASE, &frozen)).outcome(), (110, "62"), "{link}");
        assert_eq!(house.balance(1), (100_000, 0));
    }
}

#[test]
fn r16_a_token_request_is_declined() {
    for (link, asks) in [("visa", (63, "A0000000023700")), ("mastercard", (61, "0000009000800840902101234"))]
    {
        let (house, _directory) = House::fresh(|_| {});
        let mut peer = house.connect(link);
        for (mti, amount) in [(100, "000000000000"), (101, "000000000000"), (200, "000000005000")] {
            let answer = peer.ask(mti, &with(PURCHASE, &[(4, amount), asks]));
            assert_eq!((answer.value(39), answer.value(38)), ("57", ""), "{link}");
        }
        assert_eq!(house.balance(1), (100_000, 0), "{link}");
    }
}

#[test]
fn r7_a_mastercard_reversal_finds_its_original_by_the_trace_id() {
    let (house, _directory) = House::fresh(|_| {});
    let mut peer = house.connect("mastercard");
    // Nothing but the network's id names the originals: no DE 90, other trace numbers.
    let first = [(11, "000001"), (15, "0604"), (37, "REF000000001"), (63, "MCC0000A1")];
    let second = [(11, "000002"), (15, "0604"), (37, "REF000000002"), (63, "MCC0000A2"), (4, "000000000700")];
    assert_eq!(peer.ask(100, &with(PURCHASE, &first)).outcome(), (110, "00"));
    assert_eq!(peer.ask(100, &with(PURCHASE, &second)).outcome(), (110, "00"));
    assert_eq!(house.balance(1), (100_000, 5_700));
    let table = [
        ("000011", "R6315MCC0000A20604  ", 5_000),
        // The reference of another day is another transaction.
        ("000012", "R6313MCC0000A10605", 5_000),
        ("000013", "R6313MCC0000A10604", 0),
    ];
    for (stan, private, held) in table {
        let undo =
            [(4, "000000000100"), (11, stan), (14, ""), (15, "0605"), (37, "REV000000001"), (48, private)];
        let undo = with(&with(PURCHASE, &undo), &[(63, "MCC0000ZZ")]);
        for mti in [420, 421] {
            let answer = peer.ask(mti, &undo);
            assert_eq!((answer.outcome(), answer.value(48)), ((430, "00"), private), "{stan}");
            assert_eq!(house.balance(1), (100_000, held), "{stan}");
        }
    }
}

#[test]
fn r28_what_cannot_be_verified_is_declined_where_it_must_be() {
    let (plain, _directory) = House::fresh(|_| {});
    let (strict, _other) = House::fresh(|config| config.verification = Verification::Required);
    for (link, _) in LINKS {
        let cryptogram = of(link, "01000B9F26080102030405060708", "9F26080102030405060708");
        // Tags without their dataset, and tags that end too early.
        let other = of(link, "9F26080102030405060708", "820239009F26080102");
        let table: &[(&Values<'_>, &str)] = &[
            (&[(11, "000001")], "00"),
            (&[(11, "000002"), (52, "0102030405060708")], "86"),
            (&[(11, "000003"), (55, cryptogram)], of(link, "82", "88")),
            (&[(11, "000004"), (55, other)], of(link, "82", "88")),
        ];
        for (house, is_strict) in [(&strict, true), (&plain, false)] {
            let mut peer = house.connect(link);
            for (changes, code) in table {
                let expected = if is_strict { *code } else { "00" };
                assert_eq!(peer.ask(100, &with(PURCHASE, changes)).outcome(), (110, expected), "{link}");
            }
            let unverified = format!("turnpike_verification_not_performed_total{{link=\"{link}\"}}");
            assert_eq!(house.metric(&unverified), if is_strict { 0 } else { 3 }, "{link}");
        }
    }
}

// ---- repeats

#[test]
fn r5_a_repeat_gets_the_first_answer_and_another_amount_94() {
    for_each_link(|house, link, peer| {
        let first = peer.ask(100, PURCHASE);
        let declined = with(PURCHASE, &[(4, "000000999999"), (11, "000002")]);
        let refused = peer.ask(100, &declined);
        assert_eq!((first.value(39), refused.value(39)), ("00", "51"));
        let mut other_socket = house.connect(link);
        for mti in [100, 101, 101] {
            assert_eq!(peer.ask(mti, PURCHASE), first, "{link}");
            assert_eq!(other_socket.ask(mti, PURCHASE), first, "{link}: on another socket");
            assert_eq!(peer.ask(mti, &declined), refused, "{link}");
        }
        // A repeat may have a transmission time of its own.
        let later = with(PURCHASE, &[(7, "0604123511")]);
        assert_eq!(peer.ask(101, &later).value(38), first.value(38), "{link}");
        let differs: &[&Values<'_>] = &[&[(4, "000000005001")], &[(3, "010000")], &[(49, "978")]];
        for changes in differs {
            let answer = peer.ask(101, &with(PURCHASE, changes));
            assert_eq!((answer.outcome(), answer.value(38)), ((110, "94"), ""), "{link}");
        }
        assert_eq!(house.balance(1), (100_000, 5_000));
    });
}

#[test]
fn r5_the_same_request_at_once_on_two_sockets_is_decided_once() {
    const REQUESTS: usize = 200;
    // Workers that sleep when there is nothing to do, and workers that look by themselves for a while.
    let busy = [Duration::ZERO, Duration::from_millis(20)];
    for ((link, _), busy) in LINKS.iter().flat_map(|link| busy.map(|busy| (*link, busy))) {
        let (house, _directory) = House::fresh(|config| {
            config.daemon.worker_threads = 2;
            config.daemon.busy_poll = busy;
        });
        let mut peers = [house.connect(link), house.connect(link)];
        // A request, its repeat, and the same request again, for every trace number.
        let mut stream = Vec::new();
        for stan in 0..REQUESTS {
            let stan = format!("{stan:06}");
            let values = with(PURCHASE, &[(4, "000000000001"), (11, &stan)]);
            for mti in [100, 101, 100] {
                stream.extend(frame(&peers[0].dialect, mti, &values));
            }
        }
        std::thread::scope(|scope| {
            for peer in &peers {
                let mut socket = &peer.socket;
                let stream = &stream;
                scope.spawn(move || socket.write_all(stream).expect("the daemon reads"));
            }
        });
        let mut codes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for peer in &mut peers {
            for _ in 0..REQUESTS * 3 {
                let answer = peer.receive().expect("an answer");
                assert_eq!(answer.outcome(), (110, "00"));
                codes.entry(answer.value(11).to_owned()).or_default().insert(answer.value(38).to_owned());
            }
        }
        assert_eq!(codes.len(), REQUESTS);
        assert!(codes.values().all(|of_one| of_one.len() == 1), "{link}: one DE 38 for each request");
        let different: BTreeSet<&String> = codes.values().flatten().collect();
        assert_eq!(different.len(), REQUESTS, "{link}: and none twice (R8)");
        assert_eq!(house.balance(1), (100_000, REQUESTS as i64), "{link}");
        // Long after that they are awake again with the first byte.
        std::thread::sleep(busy * 2);
        peers.iter_mut().for_each(Peer::echo);
    }
}

// ---- reversals

#[test]
fn r4_a_reversal_releases_the_hold_once_however_often_it_comes() {
    for_each_link(|house, link, peer| {
        for (n, mtis) in [[400, 401, 400], [420, 421, 421]].into_iter().enumerate() {
            let stan = format!("00001{n}");
            let request = with(PURCHASE, &[(11, &stan)]);
            let approval = peer.ask(100, &request);
            assert_eq!(approval.value(39), "00");
            assert_eq!(house.balance(1), (100_000, 5_000));
            let named = original(100, &stan);
            let trace = format!("00002{n}");
            for mti in mtis {
                let answer = peer.ask(mti, &reversal(&trace, &named));
                assert_eq!(answer.outcome(), (mtis[0] + 10, "00"), "{link}");
                assert_eq!((answer.value(11), answer.value(38)), (trace.as_str(), ""), "{link}");
                assert_eq!(house.balance(1), (100_000, 0), "{link}");
            }
            // The request again: its first answer, and no second hold.
            assert_eq!(peer.ask(101, &request), approval, "{link}");
            assert_eq!(house.balance(1), (100_000, 0), "{link}");
        }
    });
}

#[test]
fn r4_a_request_after_its_reversal_is_declined() {
    for_each_link(|house, link, peer| {
        let named = original(100, "000001");
        for _ in 0..2 {
            assert_eq!(peer.ask(420, &reversal("000002", &named)).outcome(), (430, "00"), "{link}");
        }
        for mti in [100, 101] {
            assert_eq!(peer.ask(mti, PURCHASE).outcome(), (110, of(link, "79", "12")), "{link}");
        }
        assert_eq!(house.balance(1), (100_000, 0));
        // Only that one: the next purchase of the same card is approved.
        let next = with(PURCHASE, &[(11, "000003"), (37, "REF000000003")]);
        assert_eq!(peer.ask(100, &next).outcome(), (110, "00"), "{link}");
    });
}

#[test]
fn r4_a_reversal_for_a_card_of_nobody_is_acknowledged() {
    for_each_link(|_, _, peer| {
        let named = original(100, "000001");
        let unknown = with(&reversal("000002", &named), &[(2, "4999999999999996")]);
        for mti in [420, 421] {
            assert_eq!(peer.ask(mti, &unknown).outcome(), (430, "00"));
        }
    });
}

#[test]
fn r14_a_financial_request_posts_and_its_reversal_gives_back() {
    for_each_link(|house, _, peer| {
        let answer = peer.ask(200, PURCHASE);
        assert_eq!((answer.outcome(), answer.value(38).len()), ((210, "00"), 6));
        assert_eq!(house.balance(1), (95_000, 0));
        let named = original(200, "000001");
        for mti in [420, 421] {
            assert_eq!(peer.ask(mti, &reversal("000002", &named)).outcome(), (430, "00"));
            assert_eq!(house.balance(1), (100_000, 0));
        }
        assert_eq!(peer.ask(201, PURCHASE), answer);
        assert_eq!(house.balance(1), (100_000, 0));
    });
}

// ---- what is durable, and restarts

#[test]
fn r1_what_waited_for_the_disk_is_there_after_a_crash() {
    type Change = fn(&mut Config);
    let everything: Change = |config| config.journal.reply = Reply::Fsync;
    let large: Change = |config| {
        let text = "[journal]\nfsync_above = { \"840\" = 4999 }\nmax_unsynced_ms = 60000\nspare_segments = 0\n\
                    [links.x]\ndialect = \"visa\"\nlisten = \"127.0.0.1:0\"";
        config.journal = Config::from_toml("large.toml", text).expect("right settings").journal;
    };
    for (link, _) in LINKS {
        for change in [everything, large] {
            let (house, directory) = House::fresh(change);
            let mut peer = house.connect(link);
            let first = peer.ask(100, PURCHASE);
            let face = &house.daemon().face;
            assert_eq!(face.pipeline.durable(), face.pipeline.appended(), "{link}");
            let (then, _copy) = as_if_killed(directory.path());
            assert_eq!(then.balance(1), (100_000, 5_000), "{link}");
            assert_eq!(then.connect(link).ask(101, PURCHASE), first, "{link}");
            // A reversal waits in every mode.
            let named = original(100, "000001");
            assert_eq!(peer.ask(420, &reversal("000002", &named)).outcome(), (430, "00"), "{link}");
            let (then, _copy) = as_if_killed(directory.path());
            assert_eq!(then.balance(1), (100_000, 0), "{link}");
        }
    }
}

#[test]
fn r6_after_a_restart_repeats_get_their_first_answer_and_the_books_are_the_same() {
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path(), |_| {});
    let mut house = House::start(&config, Some(&seed(SEED))).expect("a start");
    let mut answers: Vec<Answered> = Vec::new();
    for round in 0..3 {
        for (link, _) in LINKS {
            let mut peer = house.connect(link);
            let stans: Vec<String> = (0..6).map(|n| format!("{round:03}{n:03}")).collect();
            let named = original(100, &stans[0]);
            let table: &[(u16, &Values<'_>)] = &[
                (100, &[(11, &stans[0])]),
                (200, &[(11, &stans[1])]),
                (100, &[(11, &stans[2]), (4, "000000999999")]),
                (100, &[(11, &stans[3]), (2, "4999999999999996")]),
                (100, &[(11, &stans[4]), (3, "301000"), (4, "000000000000")]),
                (420, &[(11, &stans[5]), (14, ""), (90, &named)]),
            ];
            for (mti, changes) in table {
                let values = with(PURCHASE, changes);
                let answer = peer.ask(*mti, &values);
                let owned = values.iter().map(|(field, value)| (*field, (*value).to_owned())).collect();
                answers.push((link, owned, *mti, answer));
            }
        }
        let balances: Vec<(i64, i64)> = (1..=8).map(|wallet| house.balance(wallet)).collect();
        let drained = house.drain();
        house = House::start(&config, None).expect("a start from disk");
        let (hash, last) = *house.daemon().face.last_hash.lock();
        assert_eq!((hash, last), (drained.hash, drained.last), "the same state from the journal alone");
        let after: Vec<(i64, i64)> = (1..=8).map(|wallet| house.balance(wallet)).collect();
        assert_eq!(after, balances);
        for (link, values, mti, first) in &answers {
            let values: Vec<(u8, &str)> = values.iter().map(|(f, v)| (*f, v.as_str())).collect();
            let again = house.connect(link).ask(mti + 1, &values);
            assert_eq!(&again, first, "{link}: {mti:04} after a restart");
        }
        let after: Vec<(i64, i64)> = (1..=8).map(|wallet| house.balance(wallet)).collect();
        assert_eq!(after, balances, "repeats move nothing");
    }
}

// ---- drain (R26)

#[test]
fn r26_a_drain_signs_off_and_answers_until_it_is_quiet() {
    for (link, _) in LINKS {
        let (house, directory) = House::fresh(|_| {});
        let admin = house.daemon().admin;
        assert_eq!(house.get("/readyz").0, 200);
        let mut peer = house.connect(link);
        peer.echo();
        let draining = house.begin_drain();
        let sign_off = peer.receive().expect("a sign-off");
        let code = network_code(&peer.dialect, NetworkManagement::SignOff);
        assert_eq!((sign_off.mti, sign_off.value(70)), (800, code.as_str()), "{link}");
        assert_eq!(http_get(admin, "/readyz").0, 503, "{link}");
        // Longer than the quiet time: it does not end before its sign-off is answered.
        for stan in ["000001", "000002", "000003"] {
            std::thread::sleep(Duration::from_millis(150));
            let answer = peer.ask(100, &with(PURCHASE, &[(11, stan)]));
            assert_eq!(answer.outcome(), (110, "00"), "{link}: good customers are served to the end");
        }
        assert!(!draining.has_ended());
        let answer = [(7, sign_off.value(7)), (11, sign_off.value(11)), (39, "00"), (70, sign_off.value(70))];
        let mut last = frame(&peer.dialect, 810, &answer);
        last.extend(frame(&peer.dialect, 100, &with(PURCHASE, &[(11, "000004")])));
        peer.write(&last);
        assert_eq!(peer.receive().expect("an answer").outcome(), (110, "00"), "{link}");
        peer.expect_closed();
        let drained = draining.end();
        assert_eq!(drained.totals.first().map(|totals| (totals.held, totals.sum())), Some((20_000, 0)));
        let again = House::start(&config(directory.path(), |_| {}), None).expect("a start from disk");
        assert_eq!(again.balance(1), (100_000, 20_000), "{link}");
    }
}

#[test]
fn r26_a_peer_that_never_answers_the_sign_off_is_closed_at_the_limit() {
    let (house, _directory) = House::fresh(|config| config.daemon.drain_limit_ms = 300);
    let mut peer = house.connect("visa");
    peer.echo();
    let draining = house.begin_drain();
    assert_eq!(peer.receive().expect("a sign-off").mti, 800);
    peer.expect_closed();
    draining.end();
}

#[test]
fn r26_a_link_may_drain_without_a_sign_off() {
    let (house, _directory) = House::fresh(|config| {
        config.links.iter_mut().for_each(|link| link.sign_off_on_drain = false);
    });
    let mut peers = LINKS.map(|(link, _)| house.connect(link));
    peers.iter_mut().for_each(Peer::echo);
    let draining = house.begin_drain();
    peers.iter_mut().for_each(Peer::expect_closed);
    draining.end();
}

// ---- the data directory and the seed file (R22)

#[test]
fn a_data_directory_has_one_daemon_at_a_time() {
    let (house, directory) = House::fresh(|_| {});
    let config = config(directory.path(), |_| {});
    let refusal = House::start(&config, None).err().expect("a refusal").to_string();
    assert!(refusal.contains("is in use by another turnpike"), "{refusal}");
    house.connect("visa").echo();
    house.drain();
    House::start(&config, None).expect("it is free again");
}

#[test]
fn r22_the_same_seed_file_is_skipped_and_another_refused() {
    let (house, directory) = House::fresh(|_| {});
    let config = config(directory.path(), |_| {});
    assert_eq!(house.connect("visa").ask(200, PURCHASE).outcome(), (210, "00"));
    let drained = house.drain();
    let again = House::start(&config, Some(&seed(SEED))).expect("a start with the same file");
    assert_eq!(again.balance(1), (95_000, 0), "it is not funded again");
    let configured = 1;
    assert_eq!(again.daemon().face.pipeline.appended().0, drained.last.0 + configured);
    again.drain();
    let other = seed("1,840,777,0,4111111111111111,3012,201,active\n");
    let refusal = House::start(&config, Some(&other)).err().expect("a refusal").to_string();
    assert!(refusal.contains("is not the seed file"), "{refusal}");
    let last = House::start(&config, None).expect("a start without a file");
    assert_eq!(last.balance(1), (95_000, 0), "the refused file changed nothing");
}

#[test]
fn r22_a_seed_file_that_was_loaded_in_part_must_be_named_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let small = config(directory.path(), |config| {
        config.daemon.shards = 1;
        config.ledger.wallets_max = 3;
    });
    let refusal = House::start(&small, Some(&seed(SEED))).err().expect("no room").to_string();
    assert!(refusal.contains("wallets_max"), "{refusal}");
    let large = config(directory.path(), |_| {});
    let refusal = House::start(&large, None).err().expect("a part of the wallets is not served").to_string();
    assert!(refusal.contains("loaded in part"), "{refusal}");
    let house = House::start(&large, Some(&seed(SEED))).expect("the rest is loaded");
    assert_eq!((house.balance(1), house.balance(8)), ((100_000, 0), (70_000, 0)));
    house.drain();
    House::start(&large, None).expect("now it is complete");
}

#[test]
fn r22_a_seed_file_with_a_wrong_line_loads_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let wrong = format!("{HEADING}{SEED}9,840,1,0,4000000000000093,3013,201,active\n");
    fs::write(path("seed.csv"), wrong).expect("a file");
    let settings =
        "[admin]\nlisten = \"127.0.0.1:0\"\n[links.visa]\ndialect = \"visa\"\nlisten = \"127.0.0.1:0\"\n";
    fs::write(path("turnpike.toml"), settings).expect("a file");
    let mut serve = Command::new(env!("CARGO_BIN_EXE_turnpike"));
    serve.arg("serve").arg("--config").arg(path("turnpike.toml"));
    let ended = serve.arg("--seed").arg(path("seed.csv")).arg("--data-dir").arg(path("data")).output();
    let ended = ended.expect("it runs");
    assert_eq!(ended.status.code(), Some(65));
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(told.contains("seed.csv:10:") && told.contains("nothing was loaded"), "{told}");
    assert!(!told.contains("4000000000000093"), "{told}");
    assert!(!path("data").exists(), "not even a data directory was made");
}

#[test]
fn a_wallet_that_is_none_is_an_error_of_the_caller() {
    let (house, _directory) = House::fresh(|_| {});
    eventually("it is ready", || house.get("/readyz").0 == 200);
    for (path, status) in [
        ("/livez", 200),
        ("/v1/wallets/1", 200),
        ("/v1/wallets/99", 404),
        ("/v1/wallets/99/authorizations", 404),
        ("/v1/wallets/x", 400),
        ("/v1/wallets/18446744073709551616", 400),
        ("/v2", 404),
    ] {
        assert_eq!(house.get(path).0, status, "{path}");
    }
}
