//! A card of ours is lost, stolen or closed, and its network is told until it knows (R32).

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::collections::BTreeMap;
use std::process::Command;
use std::process::Stdio;

use harness::House;
use harness::Message;
use harness::PAN;
use harness::Peer;
use harness::SEED;
use harness::Values;
use harness::eventually;
use harness::seed;
use harness::with;
use serde_json::Value as Json;
use serde_json::json;

/// What each dialect's network is told, besides the names of the message: of a card that is lost, stolen or closed.
const RECORDS: &str = "lost = { \"14\" = \"{expiry}\", \"73\" = \"{until}\", \"120\" = \"4C4F5354\" }\n\
                       stolen = { \"120\" = \"53\" }\n";
const SOON: &str =
    "[links.LINK.forward]\ntimeout_ms = 300\nagain_ms = 50\nagain_max_ms = 100\nrefusals_max = 2\n";

fn settings(link: &str, records: &str) -> String {
    let forward = SOON.replace("LINK", link);
    format!("[links.{link}.card_file]\niin = [\"4\"]\nname = \"E2\"\ndays = 30\n{records}{forward}")
}

fn house(directory: &tempfile::TempDir, link: &str) -> House {
    let config = harness::config_with(directory.path(), &settings(link, RECORDS));
    House::start(&config, Some(&seed(SEED))).expect("a start")
}

/// The card's reference.
fn card(house: &House) -> u64 {
    house.json("/v1/wallets/1/cards")["cards"][0]["card"].as_u64().expect("a reference")
}

fn becomes(house: &House, status: &str) -> (u16, Json) {
    let (path, body) = (format!("/v1/cards/{}/status", card(house)), format!("{{\"status\":\"{status}\"}}"));
    house.verb("POST", &path, &body)
}

fn told(house: &House) -> Json {
    house.json(&format!("/v1/cards/{}", card(house)))["networks_told"].clone()
}

fn stored(house: &House, link: &str) -> Json {
    house.json(&format!("/v1/links/{link}/stored"))["messages"].clone()
}

/// The answer of a network.
fn reply(peer: &mut Peer, request: &Message, code: &str) {
    let echoed = request.values.iter().filter(|(field, _)| [2, 7, 11, 37, 91, 101].contains(*field));
    let echoed: Vec<(u8, &str)> = echoed.map(|(field, value)| (*field, value.as_str())).collect();
    let answer: &Values<'_> = &[(39, code)];
    peer.send(312, &with(&echoed, answer));
}

/// What comes from the house that is no network management.
fn hears(peer: &mut Peer) -> Message {
    loop {
        let message = peer.receive().expect("a message");
        if message.mti / 100 != 8 {
            return message;
        }
    }
}

#[test]
fn r32_the_network_of_a_lost_card_is_told_until_it_has_answered() {
    for link in ["visa", "mastercard", "iso87", "packed"] {
        let directory = tempfile::tempdir().expect("a directory");
        let house = house(&directory, link);
        let mut network = house.connect(link);
        network.echo();
        let (status, answer) = becomes(&house, "lost");
        assert_eq!((status, &answer["networks_told"]), (200, &json!([link])), "{answer}");
        let first = hears(&mut network);
        let again = hears(&mut network);
        assert_eq!((first.mti, again.mti), (302, 303), "{link}: nobody has answered");
        assert_eq!(first.values, again.values, "{link}: it is the same message");
        let expected = BTreeMap::from([(2, PAN), (91, "1"), (101, "E2"), (120, "4C4F5354")]);
        for (element, value) in expected {
            assert_eq!(first.value(element), value, "{link}: DE {element}");
        }
        let until = first.value(73);
        assert!(until.len() == 6 && until.bytes().all(|byte| byte.is_ascii_digit()), "{link}: {until}");
        // Mastercard's 0312 has no DE 37.
        let rrn = if link == "mastercard" { 0 } else { 12 };
        assert_eq!((first.value(14), first.value(37).len()), ("3012", rrn), "{link}");
        let list = stored(&house, link);
        assert_eq!((&list[0]["what"], &list[0]["card_status"]), (&"card-file".into(), &"lost".into()));
        assert!(!list.to_string().contains(PAN), "{list}");
        reply(&mut network, &again, "00");
        eventually("it has taken it", || stored(&house, link) == Json::Array(Vec::new()));
        let known = told(&house);
        let expected = ("taken", "00", "lost", link);
        let found = ["state", "response_code", "status", "link"].map(|key| known[0][key].as_str());
        assert_eq!(found, [expected.0, expected.1, expected.2, expected.3].map(Some), "{known}");
        // What it knows is not told again; that the card is stolen is news.
        assert_eq!(becomes(&house, "lost").0, 200);
        assert_eq!(stored(&house, link), Json::Array(Vec::new()));
        assert_eq!(becomes(&house, "stolen").0, 200);
        let known = told(&house);
        assert_eq!(
            (&known[0]["status"], &known[0]["response_code"]),
            (&"stolen".into(), &Json::Null),
            "{known}"
        );
        let mut news = hears(&mut network);
        // It may have been told of the first once more before its answer was read.
        while news.value(11) == first.value(11) {
            news = hears(&mut network);
        }
        assert_eq!((news.mti, news.value(120), news.value(73)), (302, "53", ""), "{link}");
        reply(&mut network, &news, "00");
        eventually("it has taken that", || told(&house)[0]["state"] == "taken");
        assert_eq!(told(&house)[0]["status"], "stolen");
        // Nobody has said what is told of closed ones.
        let (status, answer) = becomes(&house, "closed");
        assert_eq!((status, &answer["networks_told"]), (200, &json!([])), "{answer}");
        assert_eq!(stored(&house, link), Json::Array(Vec::new()));
        drop(network);
        house.drain();
    }
}

#[test]
fn r32_what_a_network_was_not_told_is_told_after_a_start_and_what_it_refuses_waits_for_a_person() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = house(&directory, "visa");
    // Nobody is connected.
    assert_eq!(becomes(&house, "lost").0, 200);
    assert_eq!(becomes(&house, "lost").0, 200, "whoever was not answered says it again");
    assert_eq!(stored(&house, "visa").as_array().map(Vec::len), Some(1), "and it is stored once");
    assert_eq!(told(&house)[0]["state"], "waiting");
    let copy = harness::copy_of(directory.path());
    drop(house);
    let config = harness::config_with(copy.path(), &settings("visa", RECORDS));
    let house = House::start(&config, Some(&seed(SEED))).expect("a start");
    let mut network = house.connect("visa");
    // Twice is enough, unless an answer came so late that it was taken for one to the next attempt.
    let mut refused = 0;
    while stored(&house, "visa")[0]["state"] != "dead" {
        let message = hears(&mut network);
        assert_eq!((message.mti, message.value(120)), (303, "4C4F5354"));
        reply(&mut network, &message, "25");
        refused += 1;
        std::thread::sleep(std::time::Duration::from_millis(30));
    }
    assert!(refused >= 2, "{refused}");
    let known = told(&house);
    assert_eq!((&known[0]["state"], &known[0]["response_code"]), (&"dead".into(), &"25".into()));
    let purchase = network.ask(100, harness::PURCHASE);
    assert_eq!(purchase.mti, 110);
    assert_ne!(purchase.value(39), "00", "it is lost, whatever the network knows");
    // Another start knows of it too, and whoever says it again lets it go.
    drop(network);
    house.drain();
    let house = House::start(&config, Some(&seed(SEED))).expect("a start");
    assert_eq!((&told(&house)[0]["state"], &told(&house)[0]["response_code"]), (&"dead".into(), &Json::Null));
    assert_eq!(becomes(&house, "lost").0, 200);
    assert_eq!(stored(&house, "visa").as_array().map(Vec::len), Some(1), "the same one");
    let mut network = house.connect("visa");
    let message = hears(&mut network);
    reply(&mut network, &message, "00");
    eventually("it has taken it", || told(&house)[0]["state"] == "taken");
    drop(network);
    house.drain();
}

#[test]
fn r32_what_the_configuration_does_not_say_any_more_waits_and_does_not_die() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = house(&directory, "visa");
    assert_eq!(becomes(&house, "stolen").1["networks_told"], json!(["visa"]));
    house.drain();
    let config = harness::config_with(directory.path(), &settings("visa", "closed = {}\n"));
    let house = House::start(&config, Some(&seed(SEED))).expect("a start");
    let mut network = house.connect("visa");
    network.echo();
    // It would have gone by now.
    std::thread::sleep(std::time::Duration::from_millis(300));
    network.echo();
    assert_eq!(
        (&told(&house)[0]["state"], &told(&house)[0]["status"]),
        (&"waiting".into(), &"stolen".into())
    );
    drop(network);
    house.drain();
}

#[test]
fn r32_every_network_that_wants_to_know_is_told_and_of_the_cards_of_a_closed_wallet_too() {
    let directory = tempfile::tempdir().expect("a directory");
    let records = "closed = { \"120\" = \"58\" }\n";
    let more = settings("visa", records) + &settings("iso87", records);
    let config = harness::config_with(directory.path(), &more);
    let house = House::start(&config, Some(&seed(SEED))).expect("a start");
    let mut networks = ["visa", "iso87"].map(|link| house.connect(link));
    networks.iter_mut().for_each(Peer::echo);
    let (status, answer) = house.verb("PUT", "/v1/wallets/1/status", "{\"status\":\"closed\"}");
    assert_eq!((status, &answer["networks_told"]), (200, &json!(["iso87", "visa"])), "{answer}");
    for network in &mut networks {
        let message = hears(network);
        assert_eq!((message.mti, message.value(2), message.value(120)), (302, PAN, "58"));
        reply(network, &message, "00");
    }
    eventually("both have taken it", || {
        let known = told(&house);
        known.as_array().is_some_and(|all| all.len() == 2 && all.iter().all(|one| one["state"] == "taken"))
    });
    // A person may hold one back, and take it out.
    let (_, answer) = house.verb("PUT", "/v1/wallets/2/status", "{\"status\":\"closed\"}");
    assert_eq!(answer["networks_told"], json!(["iso87", "visa"]));
    networks.iter_mut().for_each(|network| drop(hears(network)));
    let id = stored(&house, "visa")[0]["id"].as_str().expect("an id").to_owned();
    let verb = |verb: &str| house.verb("POST", &format!("/v1/links/visa/stored/{id}/{verb}"), "").0;
    eventually("it is held", || verb("hold") == 200);
    assert_eq!(stored(&house, "visa")[0]["state"], "held");
    assert_eq!(verb("purge"), 200);
    assert_eq!(stored(&house, "visa"), json!([]));
    drop((networks, house));
}

#[test]
fn r32_a_simulated_network_takes_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = house(&directory, "visa");
    let links = &house.daemon().links;
    let (_, _, address) = links.iter().find(|(name, ..)| name == "visa").expect("the link");
    let (address, book) = (address.to_string(), directory.path().join("book.json").display().to_string());
    let words =
        ["simulate", "--role", "network", "--dialect", "visa", "--connect", &address, "--book", &book];
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
    command.args(words).args(["--iin", "411111", "--rate", "1", "--for", "60s"]);
    let mut network = command.stdout(Stdio::null()).spawn().expect("it runs");
    assert_eq!(becomes(&house, "stolen").0, 200);
    eventually("it has taken it", || told(&house)[0]["state"] == "taken");
    let id = network.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
    network.wait().expect("it ends");
    let book: Json = serde_json::from_slice(&std::fs::read(&book).expect("a book")).expect("JSON");
    assert_eq!(book["counts"]["cards told to be lost, stolen or closed"], 1, "{book}");
    house.drain();
}

#[test]
fn a_record_that_the_dialect_cannot_write_is_reported_before_anything_listens() {
    let directory = tempfile::tempdir().expect("a directory");
    for (records, words) in [
        ("lost = { \"127\" = \"no hex\" }\n", "a card that is lost"),
        ("closed = { \"126\" = \"0102\", \"73\" = \"30 days\" }\n", "a card that is closed"),
    ] {
        let config = harness::config_with(directory.path(), &settings("visa", records));
        let refused = House::start(&config, Some(&seed(SEED))).err().expect("a finding");
        let told = refused.to_string();
        assert!(told.contains(words) && told.contains("field"), "{told}");
    }
}
