//! Sessions over real sockets: who signs on, stored advices, loss and return, echoes, orders over HTTP, what happens
//! before a sign-on, and who may connect at all (R23, R26).

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::collections::BTreeSet;
use std::path::Path;
use std::thread::JoinHandle;

use harness::House;
use harness::LINKS;
use harness::Message;
use harness::PURCHASE;
use harness::Peer;
use harness::config;
use harness::eventually;
use harness::frame;
use harness::http;
use harness::seed;
use harness::with;
use serde_json::Value as Json;
use turnpike::config::Config;
use turnpike::config::link::LinkSettings;
use turnpike::config::peers::Network;
use turnpike::domain::request::MemberId;
use turnpike::domain::request::Scope;
use turnpike::domain::request::SecurityCode;
use turnpike::edge::daemon::StartError;
use turnpike::link::state::SignOn;

/// A daemon whose links are changed alike.
fn house(change: impl Fn(&mut LinkSettings)) -> (House, tempfile::TempDir) {
    House::fresh(|config| config.links.iter_mut().for_each(change))
}

/// We sign on, and try again soon.
fn us(link: &mut LinkSettings) {
    link.session.sign_on = SignOn::Us;
    link.session.sign_on_pause_ms = 20;
}

fn state(house: &House, link: &str) -> Json {
    house.json(&format!("/v1/links/{link}"))
}

/// The state's text or number under a key.
fn shows(house: &House, link: &str, key: &str, value: impl Into<Json>) {
    assert_eq!(state(house, link)[key], value.into(), "{link}: {key}");
}

fn metric(house: &House, name: &str, link: &str) -> u64 {
    house.metric(&format!("turnpike_link_{name}{{link=\"{link}\"}}"))
}

/// The next message, which must be an 0800 of ours with this code.
fn asked(peer: &mut Peer, code: &str) -> Message {
    let request = peer.receive().expect("a request");
    assert_eq!((request.mti, request.value(70)), (800, code), "{request:?}");
    request
}

/// Answers a request of ours.
fn answer(peer: &mut Peer, request: &Message, response_code: &str) {
    let echoed = [7, 11, 70].map(|field| (field, request.value(field)));
    peer.send(810, &with(&echoed, &[(39, response_code)]));
}

/// Takes an 0800 with this code and accepts it.
fn accept(peer: &mut Peer, code: &str) -> Message {
    let request = asked(peer, code);
    answer(peer, &request, "00");
    request
}

/// The peer asks, under a trace number of its own.
fn ask(peer: &mut Peer, mti: u16, stan: &str, code: &str) -> Message {
    peer.ask(mti, &[(7, "0604123456"), (11, stan), (70, code)])
}

/// The codes of a link's dialect: sign-on, sign-off.
fn codes(link: &str) -> (&'static str, &'static str) {
    match link {
        "visa" => ("071", "072"),
        "mastercard" => ("061", "062"),
        _ => ("001", "002"),
    }
}

/// The code of an echo.
fn echo_code(link: &str) -> &'static str {
    if link == "mastercard" { "270" } else { "301" }
}

/// The settings of one link.
fn named<'c>(config: &'c mut Config, name: &str) -> &'c mut LinkSettings {
    config.links.iter_mut().find(|link| link.name == name).expect("a link of this name")
}

// ---- we sign on

#[test]
fn r23_we_sign_on_and_ask_for_stored_advices_and_again_after_a_loss() {
    let (house, _directory) = house(|link| {
        us(link);
        link.session.decline_before_sign_on = true;
    });
    shows(&house, "visa", "us", "signed-off");
    let mut first = house.connect("visa");
    let sign_on = asked(&mut first, "071");
    shows(&house, "visa", "us", "signing-on");
    assert_eq!(first.ask(100, PURCHASE).outcome(), (110, "91"));
    // A second socket of the link: nothing is asked twice, and what is answered there counts as well.
    let mut second = house.connect("visa");
    second.echo();
    answer(&mut second, &sign_on, "00");
    accept(&mut second, "078");
    eventually("stored advices run", || metric(&house, "stored_advices_running", "visa") == 1);
    assert_eq!(first.ask(100, PURCHASE).outcome(), (110, "00"));
    let shown = state(&house, "visa");
    assert_eq!((&shown["us"], &shown["stored_advices"]), (&"signed-on".into(), &"running".into()));
    assert_eq!(shown["sockets"].as_array().map(Vec::len), Some(2));
    assert_eq!(metric(&house, "signed_on", "visa"), 1);
    // One socket is left: nothing is lost.
    drop(first);
    eventually("one is left", || house.metric("turnpike_connections{link=\"visa\"}") == 1);
    second.echo();
    assert_eq!((metric(&house, "losses_total", "visa"), metric(&house, "signed_on", "visa")), (0, 1));
    drop(second);
    eventually("the loss is seen", || metric(&house, "losses_total", "visa") == 1);
    assert_eq!(metric(&house, "signed_on", "visa"), 0);
    let mut third = house.connect("visa");
    accept(&mut third, "071");
    accept(&mut third, "078");
    third.echo();
    assert_eq!(metric(&house, "sign_ons_total", "visa"), 2);
    assert_eq!(house.dropped_in_all("visa"), 1, "the request before the sign-on");
}

#[test]
fn r23_a_peer_that_refuses_or_says_nothing_is_asked_again_until_it_accepts() {
    let (house, _directory) = house(|link| {
        us(link);
        link.session.stored_advices = false;
        link.session.network_timeout_ms = 60;
    });
    for (link, _) in LINKS {
        let mut peer = house.connect(link);
        let code = codes(link).0;
        let refused = asked(&mut peer, code);
        answer(&mut peer, &refused, "91");
        let unanswered = asked(&mut peer, code);
        let last = asked(&mut peer, code);
        // Too late: it answers nothing any more.
        answer(&mut peer, &unanswered, "00");
        answer(&mut peer, &last, "00");
        eventually("signed on", || metric(&house, "signed_on", link) == 1);
        assert_eq!(house.dropped(link, "unmatched-response"), 1, "{link}");
        assert_eq!(metric(&house, "requests_refused_total", link), 1, "{link}");
        assert_eq!(metric(&house, "requests_unanswered_total", link), 1, "{link}");
        let stans: Vec<&str> = [&refused, &unanswered, &last].iter().map(|asked| asked.value(11)).collect();
        assert_eq!(stans, ["000001", "000002", "000003"], "{link}");
    }
}

#[test]
fn r23_an_answer_with_another_code_answers_nothing() {
    let (house, _directory) = house(us);
    for (link, _) in LINKS {
        let (on, off) = codes(link);
        let mut peer = house.connect(link);
        let sign_on = asked(&mut peer, on);
        for code in [off, echo_code(link), "999"] {
            peer.send(810, &[(7, sign_on.value(7)), (11, sign_on.value(11)), (39, "00"), (70, code)]);
        }
        peer.echo();
        shows(&house, link, "us", "signing-on");
        assert_eq!(
            (house.dropped(link, "unmatched-response"), metric(&house, "signed_on", link)),
            (3, 0),
            "{link}"
        );
        // A peer that leaves DE 70 out is understood by DE 11.
        peer.send(810, &[(7, sign_on.value(7)), (11, sign_on.value(11)), (39, "00")]);
        eventually("signed on", || metric(&house, "signed_on", link) == 1);
        assert_eq!(house.dropped_in_all(link), 3, "{link}");
    }
}

/// `iso87-ascii` with the codes of a network that signs on by group and prefix.
fn group_dialect(directory: &Path) -> std::path::PathBuf {
    let table = include_str!("../src/dialect/tables/iso87-ascii.toml");
    let codes = "[network_management]\n\
        sign_on = [61, 1]\nsign_off = [62, 2]\necho = [270]\n\
        group_sign_on = [61]\ngroup_sign_off = [62]\nprefix_sign_on = [1, 65]\nprefix_sign_off = [2, 66]\n\
        stored_advices = [60]\nstored_advices_end = [363]\nrefused = \"57\"\n";
    let old = "[network_management]\nsign_on = [1, 71]\nsign_off = [2, 72]\necho = [301]\n";
    let refused = "refused = \"12\"\n";
    assert!(table.contains(old) && table.contains(refused));
    let file = directory.join("group.toml");
    std::fs::write(&file, table.replace(refused, "").replace(old, codes)).expect("a file");
    file
}

#[test]
fn r23_groups_and_prefixes_on_both_sides_and_the_end_of_stored_advices() {
    let directory = tempfile::tempdir().expect("a directory");
    let member = |digits| MemberId::from_digits(digits).expect("digits");
    let settings = config(directory.path(), |config| {
        config.links.retain(|link| link.name == "iso87");
        let link = named(config, "iso87");
        us(link);
        link.dialect = "group".to_owned();
        link.dialect_file = Some(group_dialect(directory.path()));
        link.session.scopes = vec![Scope::Group(member("00123")), Scope::Prefix(member("520474"))];
        link.session.sender.forwarding_institution = Some("00000012345".into());
        link.session.sender.service_indicator = Some("1000000".into());
        link.session.sender.security_code = Some(SecurityCode("00112233445566778899aabbccddeeff".into()));
    });
    let house = House::start(&settings, Some(&seed(harness::SEED))).expect("a start");
    let mut peer = house.connect_like("iso87", "iso87-ascii");
    let group = accept(&mut peer, "061");
    let fields = [2, 33, 94, 96].map(|field| group.value(field).to_ascii_lowercase());
    assert_eq!(fields, ["00123", "00000012345", "1000000", "00112233445566778899aabbccddeeff"]);
    assert_eq!(accept(&mut peer, "001").value(2), "520474");
    accept(&mut peer, "060");
    // MTI, DE 2, DE 70; DE 39 and DE 44 of the answer.
    let table = [
        ("000001", "00077", "061", "00", ""),
        ("000002", "41111111111", "065", "00", ""),
        ("000003", "", "001", "00", ""),
        ("000004", "00077", "061", "00", ""),
        ("000005", "41111111111", "065", "00", ""),
        ("000006", "41111111111", "066", "00", ""),
        ("000007", "4111111111111111", "065", "30", "002"),
        ("000008", "00077", "161", "57", ""),
        ("000009", "", "162", "57", ""),
        ("000010", "", "060", "57", ""),
        ("000011", "", "999", "57", ""),
    ];
    for (stan, member, code, response_code, field) in table {
        let request = with(&[(7, "0604123456"), (11, stan), (70, code)], &[(2, member)]);
        let answer = peer.ask(800, &request);
        assert_eq!((answer.mti, answer.value(39), answer.value(44)), (810, response_code, field), "{stan}");
    }
    let members = serde_json::json!([
        { "kind": "group", "id": "00077", "signed_on": true },
        { "kind": "prefix", "id": "41111111111", "signed_on": false },
    ]);
    shows(&house, "iso87", "members", members);
    shows(&house, "iso87", "stored_advices", "running");
    assert_eq!(metric(&house, "key_exchanges_refused_total", "iso87"), 2);
    assert_eq!(metric(&house, "members_signed_on", "iso87"), 1);
    // An 0820 is not answered: the echo's answer comes first.
    peer.send(820, &[(7, "0604123456"), (11, "000020"), (70, "363")]);
    assert_eq!(ask(&mut peer, 800, "000021", "270").outcome(), (810, "00"));
    shows(&house, "iso87", "stored_advices", "ended");
    let text = house.get("/v1/links").1 + &house.get("/metrics").1;
    assert!(!text.contains("00112233") && !text.contains("4111111111111111"));
}

#[test]
fn r23_a_link_whose_dialect_cannot_say_it_is_refused_at_the_start() {
    let member = MemberId::from_digits("00123").expect("digits");
    type Change<'c> = &'c dyn Fn(&mut LinkSettings);
    let table: [(&str, Change<'_>); 3] = [
        ("no code for SignOn of Group", &|link| link.session.scopes = vec![Scope::Group(member)]),
        ("field 96", &|link| link.session.sender.security_code = Some(SecurityCode("short".into()))),
        ("field 94", &|link| link.session.sender.service_indicator = Some("much too long".into())),
    ];
    for (words, change) in table {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = config(directory.path(), |config| {
            us(named(config, "iso87"));
            change(named(config, "iso87"));
        });
        let error = House::start(&settings, None).err().expect("a refusal");
        assert!(matches!(error, StartError::Dialect(_)), "{words}: {error}");
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.to_string().starts_with("test.toml:"), "a place in the configuration: {error}");
    }
}

// ---- the peer signs on

#[test]
fn r23_before_the_sign_on_requests_are_declined_where_it_is_set_so() {
    let (house, _directory) = house(|link| link.session.decline_before_sign_on = true);
    for (n, (link, _)) in LINKS.into_iter().enumerate() {
        let (on, off) = codes(link);
        let (mut peer, mut other) = (house.connect(link), house.connect(link));
        assert_eq!(peer.ask(100, PURCHASE).outcome(), (110, "91"), "{link}");
        assert_eq!(peer.ask(200, PURCHASE).outcome(), (210, "91"), "{link}");
        // A reversal is always taken, and an advice: here of a decline, which holds nothing.
        let reversal = with(PURCHASE, &[(11, "000500"), (37, "REF000000500")]);
        assert_eq!(peer.ask(400, &reversal).outcome(), (410, "00"), "{link}");
        let advice = with(PURCHASE, &[(11, "000600"), (37, "REF000000600"), (39, "05")]);
        assert_eq!(peer.ask(120, &advice).outcome(), (130, "00"), "{link}");
        assert_eq!(house.balance(1).1, 5_000 * n as i64, "{link}: nothing has changed");
        // Sign-on and request in one write, then on the other socket.
        let mut stream = frame(&peer.dialect, 800, &[(7, "0604123456"), (11, "000002"), (70, on)]);
        stream.extend(frame(&peer.dialect, 100, &with(PURCHASE, &[(11, "000700")])));
        peer.write(&stream);
        assert_eq!(peer.receive().expect("an answer").outcome(), (810, "00"), "{link}");
        assert_eq!(peer.receive().expect("an answer").outcome(), (110, "00"), "{link}");
        assert_eq!(other.ask(101, &with(PURCHASE, &[(11, "000700")])).outcome(), (110, "00"), "{link}");
        assert_eq!(ask(&mut other, 800, "000003", off).outcome(), (810, "00"), "{link}");
        assert_eq!(peer.ask(100, &with(PURCHASE, &[(11, "000800")])).outcome(), (110, "91"), "{link}");
        assert_eq!(house.dropped(link, "not-signed-on"), 3, "{link}");
        shows(&house, link, "declines_requests", true);
    }
}

#[test]
fn r23_a_repeated_sign_on_gets_its_answer_again_and_counts_once() {
    let (house, _directory) = house(|_| {});
    for (link, _) in LINKS {
        let (on, off) = codes(link);
        let mut peer = house.connect(link);
        let first = ask(&mut peer, 800, "000001", on);
        assert_eq!(first.outcome(), (810, "00"), "{link}");
        assert_eq!(ask(&mut peer, 800, "000001", on), first, "{link}");
        assert_eq!(ask(&mut peer, 801, "000001", on), first, "{link}");
        assert_eq!(ask(&mut peer, 800, "000002", off).outcome(), (810, "00"), "{link}");
        // A repeat that was under way crosswise does not sign on again.
        assert_eq!(ask(&mut peer, 801, "000001", on), first, "{link}");
        assert_eq!(metric(&house, "signed_on", link), 0, "{link}");
        assert_eq!(metric(&house, "sign_ons_total", link), 1, "{link}");
        assert_eq!(metric(&house, "sign_offs_total", link), 1, "{link}");
    }
}

// ---- echoes

#[test]
fn r23_a_socket_that_misses_its_echoes_is_closed_and_no_other() {
    let (house, _directory) = house(|link| {
        link.session.echo_ms = Some(40);
        link.session.network_timeout_ms = 40;
        link.session.echo_misses = 2;
    });
    for (link, _) in LINKS {
        let (mut silent, mut good) = (house.connect(link), house.connect(link));
        let good = std::thread::spawn(move || {
            let mut echoes = 0;
            while let Some(request) = good.receive() {
                assert_eq!((request.mti, request.value(70)), (800, echo_code(link)));
                answer(&mut good, &request, "00");
                echoes += 1;
                if echoes == 6 {
                    break;
                }
            }
            (good, echoes)
        });
        asked(&mut silent, echo_code(link));
        asked(&mut silent, echo_code(link));
        silent.expect_closed();
        eventually("it is counted", || house.dropped(link, "echoes-missed") == 1);
        let (_good, echoes) = good.join().expect("it goes on");
        assert_eq!(echoes, 6, "{link}: who answers stays");
        assert!(metric(&house, "requests_unanswered_total", link) >= 2, "{link}");
        assert!(state(&house, link)["echo_round_trip_us"].as_u64().is_some(), "{link}");
    }
}

// ---- orders over HTTP

/// An order, which is answered when the peer has answered.
fn order(house: &House, link: &str, verb: &str) -> JoinHandle<(u16, String)> {
    let (admin, path) = (house.daemon().admin, format!("/v1/links/{link}/{verb}"));
    std::thread::spawn(move || http(admin, "POST", &path, ""))
}

/// Status and, when the peer has answered, its DE 39.
fn ended(order: JoinHandle<(u16, String)>) -> (u16, Option<String>) {
    let (status, body) = order.join().expect("an answer over HTTP");
    let body: Json = serde_json::from_str(&body).expect("JSON");
    (status, body["response_code"].as_str().map(str::to_owned))
}

#[test]
fn r23_an_operator_orders_echo_sign_on_and_sign_off() {
    let (house, _directory) = house(|link| link.session.network_timeout_ms = 2_000);
    for verb in ["echo", "sign-on", "sign-off"] {
        assert_eq!(ended(order(&house, "nobody", verb)), (404, None));
        assert_eq!(ended(order(&house, "visa", verb)), (503, None), "without a socket");
    }
    assert_eq!(house.get("/v1/links/nobody").0, 404);
    for (link, _) in LINKS {
        let (on, off) = codes(link);
        let mut peer = house.connect(link);
        peer.echo();
        for (verb, code) in [("echo", echo_code(link)), ("sign-on", on), ("sign-off", off)] {
            let waits = order(&house, link, verb);
            let request = asked(&mut peer, code);
            assert_eq!(ended(order(&house, link, verb)), (409, None), "{link} {verb}: one at a time");
            answer(&mut peer, &request, "00");
            assert_eq!(ended(waits), (200, Some("00".to_owned())), "{link} {verb}");
        }
        let refused = order(&house, link, "sign-on");
        let request = asked(&mut peer, on);
        answer(&mut peer, &request, "96");
        assert_eq!(ended(refused), (502, Some("96".to_owned())), "{link}");
        shows(&house, link, "us", "signed-off");
        let waits = order(&house, link, "echo");
        asked(&mut peer, echo_code(link));
        drop(peer);
        assert_eq!(ended(waits), (504, None), "{link}: the socket was lost");
    }
    let listed = house.json("/v1/links");
    let names: BTreeSet<&str> =
        listed["links"].as_array().into_iter().flatten().filter_map(|link| link["link"].as_str()).collect();
    assert_eq!(names, LINKS.iter().map(|(link, _)| *link).collect());
}

#[test]
fn r23_an_order_that_the_peer_does_not_answer_says_so() {
    let (house, _directory) = house(|link| link.session.network_timeout_ms = 50);
    let mut peer = house.connect("visa");
    peer.echo();
    let waits = order(&house, "visa", "echo");
    asked(&mut peer, "301");
    assert_eq!(ended(waits), (504, None));
    let shown = state(&house, "visa");
    assert_eq!(shown["requests_unanswered"], 1);
    let socket = &shown["sockets"][0];
    assert_eq!((&socket["echo_misses"], &socket["frames"]), (&1.into(), &1.into()));
    let own = peer.socket.local_addr().expect("an address").to_string();
    assert_eq!(socket["peer"], own.as_str());
}

// ---- drain

#[test]
fn r26_a_link_signs_off_once_whatever_its_sockets() {
    for (link, _) in LINKS {
        let (house, _directory) = house(|_| {});
        let mut peers = [house.connect(link), house.connect(link)];
        peers.iter_mut().for_each(Peer::echo);
        let draining = house.begin_drain();
        // It comes on either socket; on the other nothing comes before an echo's answer.
        let has_come = |peer: &Peer| {
            peer.socket.set_nonblocking(true).expect("a socket");
            let come = peer.socket.peek(&mut [0]).is_ok_and(|bytes| bytes > 0);
            peer.socket.set_nonblocking(false).expect("a socket");
            come
        };
        eventually("a sign-off on either", || peers.iter().any(has_come));
        if has_come(&peers[1]) {
            peers.reverse();
        }
        let [mut signed, mut quiet] = peers;
        let sign_off = asked(&mut signed, codes(link).1);
        quiet.echo();
        answer(&mut signed, &sign_off, "00");
        signed.expect_closed();
        quiet.expect_closed();
        draining.end();
    }
}

// ---- who may connect

#[test]
fn an_address_that_is_not_allowed_is_closed_unread() {
    let networks = |texts: &[&str]| -> Option<Vec<Network>> {
        texts.iter().map(|text| Network::parse(text).ok()).collect()
    };
    let (house, _directory) = House::fresh(|config| {
        named(config, "visa").allow = networks(&["10.0.0.0/8", "::1"]);
        named(config, "iso87").allow = networks(&["10.0.0.0/8", "127.0.0.0/8"]);
    });
    for _ in 0..3 {
        house.connect("visa").expect_closed();
    }
    eventually("they are counted", || house.dropped("visa", "peer-not-allowed") == 3);
    assert_eq!(house.metric("turnpike_frames_total{link=\"visa\"}"), 0);
    house.connect("iso87").echo();
    assert_eq!(house.dropped_in_all("iso87"), 0);
}

#[test]
fn one_address_takes_no_more_than_its_places() {
    let (house, _directory) = house(|link| link.connections_per_peer_max = 2);
    for (link, _) in LINKS {
        let mut peers = [house.connect(link), house.connect(link)];
        peers.iter_mut().for_each(Peer::echo);
        house.connect(link).expect_closed();
        eventually("it is counted", || house.dropped(link, "too-many-from-peer") == 1);
        let [kept, gone] = peers;
        drop(gone);
        eventually("the place is free", || {
            house.metric(&format!("turnpike_connections{{link=\"{link}\"}}")) == 1
        });
        house.connect(link).echo();
        drop(kept);
    }
}

#[test]
fn a_frame_is_timed_from_its_first_byte_however_the_rest_drips() {
    let (house, _directory) = house(|link| link.partial_frame_ms = 200);
    for (link, _) in LINKS {
        let mut peer = house.connect(link);
        let whole = frame(&peer.dialect, 100, PURCHASE);
        // A whole message with the beginning of another, which then comes byte by byte.
        peer.write(&[&whole[..], &whole[..10]].concat());
        assert_eq!(peer.receive().expect("an answer").mti, 110, "{link}");
        peer.socket.set_read_timeout(Some(std::time::Duration::from_millis(5))).expect("a socket");
        let mut dripped = whole[10..whole.len() - 1].iter().cycle();
        let closed = |peer: &mut Peer| {
            let waits = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
            !matches!(std::io::Read::read(&mut peer.socket, &mut [0]), Err(error) if waits(&error))
        };
        let bytes = (10..whole.len() - 1)
            .take_while(|_| {
                let byte = dripped.next().copied().unwrap_or(0);
                std::io::Write::write_all(&mut peer.socket, &[byte]).is_ok() && !closed(&mut peer)
            })
            .count();
        assert!(bytes < whole.len() - 11, "{link}: it is closed before the message is whole");
        eventually("it is counted", || house.dropped(link, "partial-frame") == 1);
    }
}
