//! The switch over real sockets: a network asks, the daemon forwards, a processor answers, or does not.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use harness::House;
use harness::Message;
use harness::PURCHASE;
use harness::Peer;
use harness::SEED;
use harness::Values;
use harness::dialect;
use harness::eventually;
use harness::seed;
use harness::with;
use turnpike::config::Config;

/// A card that is not ours, and routed to the processor.
const CARD: &str = "5204740000001010";

/// A processor that does not answer is given up soon, and told again soon.
const SOON: &str = "timeout_ms = 400\nagain_ms = 100\nagain_max_ms = 200";

/// A processor that waits for the daemon to connect.
struct Processor {
    listener: TcpListener,
    dialect: &'static str,
}

impl Processor {
    fn new(dialect: &'static str) -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").expect("a free port"), dialect }
    }

    fn accept(&self) -> Peer {
        let (socket, _) = self.listener.accept().expect("the daemon connects");
        Peer::over(dialect(self.dialect), socket)
    }

    /// The first message of a daemon that has started anew: one that was ended may have connected once more before.
    fn first_message(&self) -> (Peer, Message) {
        loop {
            let mut peer = self.accept();
            if let Some(message) = peer.receive() {
                return (peer, message);
            }
        }
    }

    /// The settings of a daemon that forwards cards of the processor to it.
    fn settings(&self, data: &Path, forward: &str, more: &str) -> Config {
        let address = self.listener.local_addr().expect("an address");
        let dialect = self.dialect;
        let to = if more.contains("to = ") { "" } else { "to = [\"processor\"]" };
        let text = format!(
            "[links.processor]\ndialect = \"{dialect}\"\nconnect = [\"{address}\"]\n\
             connect_again_ms = 20\nconnect_again_max_ms = 50\n\
             [links.processor.forward]\n{forward}\n\
             [routes.processor]\niin = [\"520474\"]\n{to}\n{more}\n"
        );
        harness::config_with(data, &text)
    }

    /// A daemon, a network's socket, and the processor's.
    fn house(&self, more: &str) -> (House, tempfile::TempDir, Peer, Peer) {
        self.patient_house(SOON, more)
    }

    fn patient_house(&self, forward: &str, more: &str) -> (House, tempfile::TempDir, Peer, Peer) {
        let directory = tempfile::tempdir().expect("a directory");
        let config = self.settings(directory.path(), forward, more);
        let house = House::start(&config, Some(&seed(SEED))).expect("a start");
        let network = house.connect("visa");
        let processor = self.accept();
        is_up(&house);
        (house, directory, network, processor)
    }
}

fn is_up(house: &House) {
    eventually("the processor is connected", || house.json("/v1/links/processor")["switch"]["up"] == true);
}

fn switch(house: &House, what: &str) -> u64 {
    house.json("/v1/links/processor")["switch"][what].as_u64().unwrap_or(u64::MAX)
}

fn purchase<'v>(changes: &Values<'v>) -> Vec<(u8, &'v str)> {
    with(&with(PURCHASE, &[(2, CARD)]), changes)
}

/// Stands in for a processor below a floor limit.
const STAND_IN: &str = "stand_in = \"small\"\n[stand_in.small]\nfloor = { \"840\" = 6000 }\n\
    exposure = { \"840\" = 9000 }\ncount = 5\n";

/// The answer of a processor: what it echoes, and what it adds.
fn reply(peer: &mut Peer, request: &Message, changes: &Values<'_>) {
    let mti = request.mti - request.mti % 2 + 10;
    let echoed: Vec<(u8, &str)> = request
        .values
        .iter()
        .filter(|(field, _)| [2, 3, 4, 7, 11, 32, 37, 41, 42, 49, 90].contains(field))
        .map(|(field, value)| (*field, value.as_str()))
        .collect();
    peer.send(mti, &with(&echoed, changes));
}

/// The processor approves, and the network hears of it.
fn approves(network: &mut Peer, there: &mut Peer, asked: &Message) {
    reply(there, asked, &[(38, "A1B2C3"), (39, "00")]);
    assert_eq!(network.receive().expect("an answer").outcome(), (110, "00"));
}

/// A purchase that the processor approves, as it was asked.
fn approved(network: &mut Peer, there: &mut Peer, changes: &Values<'_>) -> Message {
    network.send(100, &purchase(changes));
    let asked = there.receive().expect("a request");
    approves(network, there, &asked);
    asked
}

/// DE 90 of a message about this request, as the processor saw it.
fn names(request: &Message) -> String {
    let institution = |field: u8| format!("{:0>11}", request.value(field));
    format!("0100{}{}{}{}", request.value(11), request.value(7), institution(32), institution(33))
}

#[test]
fn r30_a_request_goes_on_under_a_name_of_ours_and_its_answer_comes_back() {
    for to in ["visa", "iso87-ascii", "iso87-binary", "mastercard"] {
        let processor = Processor::new(to);
        let (house, _directory, mut network, mut there) = processor.house("");
        for (stan, code, approved) in [("000001", "00", true), ("000002", "51", false)] {
            network.send(100, &purchase(&[(11, stan), (37, &format!("REF000{stan}"))]));
            let asked = there.receive().expect("a request");
            assert_eq!((asked.mti, asked.value(2), asked.value(4)), (100, CARD, "000000005000"), "{to}");
            assert_eq!(asked.value(37), format!("REF000{stan}"), "{to}: DE 37 passes unchanged");
            assert_ne!(asked.value(7), "0604123456", "{to}: DE 7 is ours");
            let approval: &Values<'_> = if approved { &[(38, "A1B2C3"), (39, code)] } else { &[(39, code)] };
            reply(&mut there, &asked, approval);
            let answer = network.receive().expect("an answer");
            assert_eq!(answer.outcome(), (110, code), "{to}");
            assert_eq!((answer.value(7), answer.value(11)), ("0604123456", stan), "{to}: as they came");
            assert_eq!(answer.value(38), if approved { "A1B2C3" } else { "" }, "{to}");
        }
        // What is ours is answered here.
        assert_eq!(network.ask(100, &with(PURCHASE, &[(11, "000003")])).outcome(), (110, "00"));
        assert_eq!((switch(&house, "forwarded"), switch(&house, "answered")), (2, 2));
        assert_eq!(switch(&house, "in_flight"), 0);
        drop((network, there));
        house.drain();
    }
}

#[test]
fn r29_a_request_without_an_answer_is_declined_and_reversed_once() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) = processor.house("");
    network.send(100, &purchase(&[]));
    let asked = there.receive().expect("a request");
    assert_eq!(network.receive().expect("an answer").outcome(), (110, "91"));
    let reversal = there.receive().expect("a reversal");
    assert_eq!((reversal.mti, reversal.value(90)), (420, names(&asked).as_str()));
    assert_ne!(reversal.value(11), asked.value(11), "it has a name of its own");
    // Not acknowledged: it comes again under the same name.
    let repeat = there.receive().expect("a repeat");
    assert_eq!((repeat.mti, repeat.value(11)), (421, reversal.value(11)));
    // Too late, and an approval: that is a case, and the reversal stands.
    reply(&mut there, &asked, &[(38, "LATE01"), (39, "00")]);
    eventually("a case", || house.json("/v1/links/processor")["switch"]["cases"]["late-approval"] == 1);
    assert_eq!(switch(&house, "stored"), 1);
    reply(&mut there, &repeat, &[(39, "00")]);
    eventually("the queue is empty", || switch(&house, "stored") == 0);
    // The same request again has had its answer; nothing goes on.
    assert_eq!(network.ask(101, &purchase(&[])).outcome(), (110, "91"));
    assert_eq!((switch(&house, "forwarded"), switch(&house, "timed_out")), (1, 1));
    drop((network, there));
    house.drain();
}

#[test]
fn r29_a_late_decline_takes_back_a_reversal_that_has_not_gone_out() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) = processor.house("");
    assert_eq!(house.verb("POST", "/v1/links/processor/queue/pause", "").0, 200);
    network.send(100, &purchase(&[]));
    let asked = there.receive().expect("a request");
    assert_eq!(network.receive().expect("an answer").outcome(), (110, "91"));
    eventually("it is stored", || switch(&house, "stored") == 1);
    // A decline of another request under its name is not of it.
    reply(&mut there, &asked, &[(37, "REF999999999"), (39, "05")]);
    eventually("it is a case", || house.json("/v1/links/processor")["switch"]["cases"]["mismatch"] == 1);
    assert_eq!(switch(&house, "stored"), 1);
    reply(&mut there, &asked, &[(39, "05")]);
    eventually("it is not needed", || switch(&house, "stored") == 0);
    assert_eq!(house.json("/v1/links/processor")["switch"]["settled"]["not-needed"], 1);
    drop((network, there));
    house.drain();
}

#[test]
fn r30_a_reversal_of_the_network_names_what_the_processor_saw() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) = processor.house("");
    let asked = approved(&mut network, &mut there, &[]);
    let original = harness::original(100, "000001");
    let reversal = purchase(&[(11, "000002"), (90, &original)]);
    for mti in [420, 421] {
        assert_eq!(network.ask(mti, &reversal).outcome(), (430, "00"), "taken at once, and once");
    }
    let told = there.receive().expect("a reversal");
    assert_eq!((told.mti, told.value(90)), (420, names(&asked).as_str()));
    reply(&mut there, &told, &[(39, "00")]);
    eventually("the queue is empty", || switch(&house, "stored") == 0);
    // One about nothing that went this way goes on as it came.
    let unknown = harness::original(100, "000777");
    let changes = [(11, "000003"), (37, "REF000000777"), (90, unknown.as_str())];
    assert_eq!(network.ask(420, &purchase(&changes)).outcome(), (430, "00"));
    let told = there.receive().expect("a reversal");
    assert_eq!(&told.value(90)[4..10], "000777");
    reply(&mut there, &told, &[(39, "00")]);
    eventually("the queue is empty", || switch(&house, "stored") == 0);
    drop((network, there));
    house.drain();
}

#[test]
fn r30_no_answer_is_given_to_another_request() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) = processor.house("");
    network.send(100, &purchase(&[]));
    let asked = there.receive().expect("a request");
    let cases = |name: &str| house.json("/v1/links/processor")["switch"]["cases"][name].as_u64();
    // The field that differs, and what that is taken for.
    let table: [(&Values<'_>, &str); 4] = [
        (&[(37, "REF999999999"), (39, "00")], "mismatch"),
        (&[(4, "000000005001"), (39, "00")], "mismatch"),
        (&[(41, "TERMID99"), (39, "00")], "mismatch"),
        (&[(11, "888888"), (39, "00")], "orphan"),
    ];
    for (n, (changes, _)) in table.iter().enumerate() {
        reply(&mut there, &asked, changes);
        let so_far = |kind| table[..=n].iter().filter(|(_, known)| *known == kind).count() as u64;
        eventually("it is a case", || {
            ["mismatch", "orphan"].iter().all(|kind| cases(kind) == Some(so_far(*kind)))
        });
    }
    approves(&mut network, &mut there, &asked);
    // The same answer again answers nothing.
    reply(&mut there, &asked, &[(38, "A1B2C3"), (39, "00")]);
    eventually("a duplicate", || cases("duplicate") == Some(1));
    let shown = house.json("/v1/links/processor/cases");
    let differs: Vec<u64> = shown["cases"]
        .as_array()
        .expect("cases")
        .iter()
        .filter_map(|case| case["differs_in"].as_u64())
        .collect();
    // What it would answer under another name is known.
    assert_eq!(differs, [37, 4, 41, 11]);
    drop((network, there));
    house.drain();
}

#[test]
fn r5_a_repeat_waits_for_the_answer_or_is_asked_again_under_the_same_name() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) = processor.house("");
    network.send(100, &purchase(&[]));
    let asked = there.receive().expect("a request");
    // While it waits a repeat goes nowhere, and takes the answer.
    network.send(101, &purchase(&[]));
    assert_eq!(network.ask(101, &purchase(&[(4, "000000006000")])).outcome(), (110, "94"));
    approves(&mut network, &mut there, &asked);
    network.send(101, &purchase(&[]));
    let again = there.receive().expect("the repeat");
    assert_eq!((again.mti, again.value(11), again.value(7)), (101, asked.value(11), asked.value(7)));
    reply(&mut there, &again, &[(38, "A1B2C3"), (39, "00")]);
    assert_eq!(network.receive().expect("an answer").value(38), "A1B2C3");
    assert_eq!(network.ask(101, &purchase(&[(4, "000000006000")])).outcome(), (110, "94"));
    drop((network, there));
    house.drain();
}

#[test]
fn r6_a_repeat_gets_its_first_answer_though_its_link_has_signed_off() {
    let processor = Processor::new("iso87-ascii");
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = processor.settings(directory.path(), SOON, STAND_IN);
    config.links.iter_mut().for_each(|link| link.session.decline_before_sign_on = link.name == "visa");
    let house = House::start(&config, Some(&seed(SEED))).expect("a start");
    let (mut network, there) = (house.connect("visa"), processor.accept());
    let manage = |network: &mut Peer, stan, code| {
        let values = [(7, "0604123456"), (11, stan), (70, code)];
        assert_eq!(network.ask(800, &values).outcome(), (810, "00"));
    };
    manage(&mut network, "000901", "071");
    is_up(&house);
    drop(there);
    eventually("it is gone", || house.json("/v1/links/processor")["switch"]["up"] == false);
    let first = network.ask(100, &purchase(&[]));
    assert_eq!(first.outcome(), (110, "00"));
    manage(&mut network, "000902", "072");
    assert_eq!(network.ask(101, &purchase(&[])), first);
    assert_eq!(
        network.ask(100, &purchase(&[(11, "000002")])).outcome(),
        (110, "91"),
        "a new one is not taken"
    );
    assert_eq!(house.dropped("visa", "not-signed-on"), 2);
    drop(network);
    house.drain();
}

#[test]
fn r32_we_stand_in_for_a_processor_that_is_gone_and_tell_it_when_it_is_back() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, there) = processor.house(STAND_IN);
    drop(there);
    eventually("it is gone", || house.json("/v1/links/processor")["switch"]["up"] == false);
    // Above the floor, below it, above what a card may have, and below it once more.
    let table = [("7000", "91"), ("5000", "00"), ("5000", "91"), ("4000", "00")];
    for (n, (amount, code)) in table.iter().enumerate() {
        let (stan, amount) = (format!("{n:06}"), format!("{amount:0>12}"));
        let reference = format!("REF000{stan}");
        let answer = network.ask(100, &purchase(&[(4, &amount), (11, &stan), (37, &reference)]));
        assert_eq!(answer.outcome(), (110, *code), "{n}");
    }
    assert_eq!((switch(&house, "stood_in_approved"), switch(&house, "stored")), (2, 2));
    let mut there = processor.accept();
    let mut told = Vec::new();
    for _ in 0..2 {
        let advice = there.receive().expect("an advice");
        assert_eq!((advice.mti, advice.value(39)), (120, "00"));
        assert_eq!(advice.value(38).len(), 6);
        told.push(advice.value(4).to_owned());
        // Of one card they come one after the other.
        reply(&mut there, &advice, &[(39, "00")]);
    }
    assert_eq!(told, ["000000005000", "000000004000"]);
    eventually("the queue is empty", || switch(&house, "stored") == 0);
    drop((network, there));
    house.drain();
}

#[test]
fn r29_what_was_open_when_the_daemon_was_killed_is_reversed_after_the_start() {
    let processor = Processor::new("iso87-ascii");
    let (house, directory, mut network, mut there) = processor.patient_house("timeout_ms = 30000", "");
    network.send(100, &purchase(&[]));
    let asked = there.receive().expect("a request");
    approved(&mut network, &mut there, &[(11, "000002"), (37, "REF000000002")]);
    eventually("it is on disk", || {
        house.metric("turnpike_journal_durable_sequence")
            == house.metric("turnpike_journal_appended_sequence")
    });
    let copy = harness::copy_of(directory.path());
    let config = processor.settings(copy.path(), SOON, "");
    drop((house, there, network));
    let house = House::start(&config, Some(&seed(SEED))).expect("a start");
    let (mut there, reversal) = processor.first_message();
    assert_eq!((reversal.mti, reversal.value(90)), (420, names(&asked).as_str()));
    assert!(reversal.value(11) > asked.value(11), "no name is given twice");
    reply(&mut there, &reversal, &[(39, "00")]);
    eventually("the queue is empty", || switch(&house, "stored") == 0);
    drop(there);
    house.drain();
}

#[test]
fn a_party_that_is_gone_is_connected_again_and_others_do_not_notice() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, there) = processor.house("");
    drop(there);
    for n in 0..20 {
        let stan = format!("{n:06}");
        assert_eq!(
            network.ask(100, &with(PURCHASE, &[(4, "000000000100"), (11, &stan)])).outcome(),
            (110, "00")
        );
        let _there = processor.accept();
        std::thread::sleep(Duration::from_millis(10));
    }
    let mut there = processor.accept();
    is_up(&house);
    network.send(100, &purchase(&[]));
    let asked = loop {
        let message = there.receive().expect("a request");
        if message.mti == 100 {
            break message;
        }
    };
    approves(&mut network, &mut there, &asked);
    drop((network, there));
    house.drain();
}

#[test]
fn r31_another_route_is_taken_only_where_nothing_was_written_on_the_first() {
    let (first, second) = (Processor::new("iso87-ascii"), Processor::new("iso87-ascii"));
    let backup = second.listener.local_addr().expect("an address");
    let more = format!(
        "to = [\"processor\", \"backup\"]\n[links.backup]\ndialect = \"iso87-ascii\"\nconnect = [\"{backup}\"]\n"
    );
    let (house, _directory, mut network, mut there) = first.house(&more);
    let mut other = second.accept();
    eventually("the backup is connected", || house.json("/v1/links/backup")["switch"]["up"] == true);
    // Written to the first and not answered: it is reversed there, and nobody else is asked.
    network.send(100, &purchase(&[]));
    let asked = there.receive().expect("a request");
    assert_eq!(network.receive().expect("an answer").outcome(), (110, "91"));
    let reversal = there.receive().expect("a reversal");
    assert_eq!((reversal.mti, reversal.value(90)), (420, names(&asked).as_str()));
    reply(&mut there, &reversal, &[(39, "00")]);
    drop((there, first));
    eventually("it is gone", || house.json("/v1/links/processor")["switch"]["up"] == false);
    network.send(100, &purchase(&[(11, "000002"), (37, "REF000000002")]));
    let asked = other.receive().expect("a request");
    assert_eq!(asked.value(37), "REF000000002", "the first that the backup sees");
    reply(&mut other, &asked, &[(38, "A1B2C3"), (39, "00")]);
    assert_eq!(network.receive().expect("an answer").outcome(), (110, "00"));
    // What it is about has gone to the backup, so its reversal does, whoever is there.
    let original = harness::original(100, "000002");
    let reversal = purchase(&[(11, "000003"), (37, "REF000000002"), (90, &original)]);
    assert_eq!(network.ask(420, &reversal).outcome(), (430, "00"));
    assert_eq!(other.receive().expect("a reversal").value(90), names(&asked));
    drop((network, other));
    house.drain();
}

#[test]
fn what_is_stored_is_held_let_go_and_taken_out_by_an_operator_and_outlasts_a_start_from_a_snapshot() {
    let processor = Processor::new("iso87-ascii");
    let (house, directory, mut network, there) = processor.house("");
    drop(there);
    eventually("it is gone", || house.json("/v1/links/processor")["switch"]["up"] == false);
    let ask = |network: &mut Peer, n: u32| {
        let (stan, reference) = (format!("{n:06}"), format!("REF000{n:06}"));
        let original = harness::original(100, &format!("{:06}", 100 + n));
        let reversal = purchase(&[(11, &stan), (37, &reference), (90, &original)]);
        let reversal: Vec<(u8, String)> = reversal.iter().map(|(f, v)| (*f, (*v).to_owned())).collect();
        let reversal: Vec<(u8, &str)> = reversal.iter().map(|(f, v)| (*f, v.as_str())).collect();
        assert_eq!(network.ask(420, &reversal).outcome(), (430, "00"));
    };
    (1..=3).for_each(|n| ask(&mut network, n));
    let ids = |house: &House| -> Vec<(String, String)> {
        let list = house.json("/v1/links/processor/stored?limit=10");
        let text = |one: &serde_json::Value, key: &str| one[key].as_str().expect("a text").to_owned();
        list["messages"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| (text(one, "id"), text(one, "state")))
            .collect()
    };
    let all = ids(&house);
    assert_eq!(all.len(), 3);
    let verb = |house: &House, id: &str, verb: &str| {
        house.verb("POST", &format!("/v1/links/processor/stored/{id}/{verb}"), "").0
    };
    // The daemon connects again all the time: then the first is on its way, until nobody has answered it.
    eventually("the first is held", || verb(&house, &all[0].0, "hold") == 200);
    assert_eq!(verb(&house, &all[1].0, "purge"), 200);
    assert_eq!(
        (verb(&house, &all[1].0, "purge"), verb(&house, "x", "hold"), verb(&house, "1", "eat")),
        (404, 400, 404)
    );
    assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200);
    ask(&mut network, 4);
    let copy = harness::copy_of(directory.path());
    drop((house, network));
    let house = House::start(&processor.settings(copy.path(), SOON, ""), Some(&seed(SEED))).expect("a start");
    let states: Vec<String> = ids(&house).into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, ["held", "waiting", "waiting"], "of one card they go in order, and the first is held");
    assert_eq!(verb(&house, &all[0].0, "release"), 200);
    let (mut there, mut told) = processor.first_message();
    for n in [1, 3, 4] {
        assert_eq!((told.mti, told.value(37)), (421, format!("REF000{n:06}").as_str()));
        reply(&mut there, &told, &[(39, "00")]);
        if n < 4 {
            told = there.receive().expect("a reversal");
        }
    }
    eventually("the queue is empty", || switch(&house, "stored") == 0);
    drop(there);
    house.drain();
}

#[test]
fn a_party_that_says_nothing_takes_nothing_from_the_others() {
    let processor = Processor::new("iso87-ascii");
    let forward = "timeout_ms = 600\nin_flight_max = 32\nin_flight_min = 4\nsick_after = 10";
    let (house, _directory, mut network, there) = processor.patient_house(forward, "");
    for n in 0..200 {
        let (stan, reference) = (format!("{n:06}"), format!("REF000{n:06}"));
        network.send(100, &purchase(&[(11, &stan), (37, &reference)]));
    }
    // 32 wait, and all others are answered at once.
    for _ in 0..168 {
        assert_eq!(network.receive().expect("an answer").outcome(), (110, "91"));
    }
    assert_eq!((switch(&house, "in_flight"), switch(&house, "forwarded")), (32, 32));
    let page = house.json("/v1/links/processor")["switch"].clone();
    let socket = &page["sockets"][0];
    assert_eq!([&socket["asked"], &socket["in_flight"]], [32, 32], "{page}");
    assert_eq!((&socket["answered"], &socket["answered_permille"]), (&0.into(), &serde_json::Value::Null));
    assert!(socket["oldest_in_flight_us"].as_u64() > Some(0), "{page}");
    assert!((1..=600).contains(&page["in_flight_ends_within_ms"].as_u64().unwrap_or(0)), "{page}");
    assert_eq!(network.ask(100, &with(PURCHASE, &[(11, "000900")])).outcome(), (110, "00"), "ours is ours");
    for _ in 0..32 {
        assert_eq!(network.receive().expect("an answer").outcome(), (110, "91"));
    }
    assert_eq!(house.json("/v1/links/processor")["switch"]["sick"], true);
    assert!(switch(&house, "in_flight_allowed") < 8, "it gets less to do");
    let page = house.json("/v1/links/processor")["switch"].clone();
    let socket = &page["sockets"][0];
    assert_eq!([&socket["in_flight"], &socket["answered_permille"]], [0, 0], "{page}");
    assert_eq!(network.ask(100, &purchase(&[(11, "000901")])).outcome(), (110, "91"), "and nothing for now");
    drop((network, there));
    house.drain();
}

#[test]
fn stored_messages_that_nobody_acknowledges_keep_no_request_from_its_answer() {
    let processor = Processor::new("iso87-ascii");
    let forward = "timeout_ms = 20000\nin_flight_max = 4\nin_flight_min = 4\nwindow = 64";
    let (house, _directory, mut network, mut there) = processor.patient_house(forward, "");
    for n in 0..20 {
        undoes(&mut network, &format!("{n:06}"), &format!("520474000000{n:04}"));
    }
    (0..20).for_each(|_| assert_eq!(there.receive().expect("a reversal").mti, 420));
    assert_eq!((switch(&house, "stored_on_their_way"), switch(&house, "in_flight")), (20, 0));
    let _asked = approved(&mut network, &mut there, &[(11, "000100")]);
    drop((network, there, house));
}

#[test]
fn a_party_that_was_slow_is_asked_one_request_at_a_time_until_it_is_not() {
    let processor = Processor::new("iso87-ascii");
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = processor.settings(directory.path(), "timeout_ms = 20000", "");
    // What comes on this link is given up after 750 ms.
    let hasty = config.links.iter_mut().find(|link| link.name == "iso87").expect("a link");
    hasty.answer_deadline_ms = 1_000;
    let house = House::start(&config, Some(&seed(SEED))).expect("a start");
    let (mut patient, mut hasty, mut there) =
        (house.connect("visa"), house.connect("iso87"), processor.accept());
    is_up(&house);
    patient.send(100, &purchase(&[(11, "000001")]));
    let asked = there.receive().expect("a request");
    std::thread::sleep(Duration::from_millis(900));
    approves(&mut patient, &mut there, &asked);
    assert!(switch(&house, "latency_us") > 800_000);
    // The first goes all the same, and the second is answered at once while the first waits.
    hasty.send(100, &purchase(&[(11, "000002"), (37, "REF000000002")]));
    let asked = there.receive().expect("a request");
    hasty.send(100, &purchase(&[(11, "000003"), (37, "REF000000003")]));
    let refused = hasty.receive().expect("an answer");
    assert_eq!((refused.value(11), refused.outcome()), ("000003", (110, "91")));
    approves(&mut hasty, &mut there, &asked);
    assert_eq!(switch(&house, "forwarded"), 2);
    drop((patient, hasty, there, house));
}

#[test]
fn stored_messages_go_at_the_pace_that_an_operator_sets() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) = processor.house("");
    let verb = |verb: &str| house.verb("POST", &format!("/v1/links/processor/queue/{verb}"), "").0;
    assert_eq!((verb("pause"), verb("pace?per_second=2")), (200, 200));
    for n in 0..5 {
        undoes(&mut network, &format!("{n:06}"), &format!("520474000000{n:04}"));
    }
    let began = std::time::Instant::now();
    assert_eq!(verb("resume"), 200);
    for _ in 0..5 {
        let told = there.receive().expect("a reversal");
        reply(&mut there, &told, &[(39, "00")]);
    }
    // Five at two a second reach into a third one, and the second is a whole one.
    assert!(began.elapsed() > Duration::from_millis(900), "{:?}", began.elapsed());
    eventually("the queue is empty", || switch(&house, "stored") == 0);
    drop((network, there, house));
}

#[test]
fn a_message_that_comes_back_does_not_go_round() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) = processor.house("");
    let routes = house.json("/v1/routes");
    let expected = serde_json::json!([{
        "name": "processor", "takes": "iin 520474", "to": "processor; without an answer it is declined",
    }]);
    assert_eq!((&routes["rows"], &routes["version"]), (&expected, &1.into()), "{routes}");
    network.send(100, &purchase(&[]));
    let asked = there.receive().expect("a request");
    let back: Vec<(u8, &str)> = asked.values.iter().map(|(field, value)| (*field, value.as_str())).collect();
    // Under its own trace number, too.
    assert_eq!(there.ask(100, &with(&back, &[(11, "424242")])).outcome(), (110, "91"));
    assert_eq!(house.json("/v1/links/processor")["switch"]["cases"]["loop"], 1);
    approves(&mut network, &mut there, &asked);
    drop((network, there));
    house.drain();
}

#[test]
fn a_socket_that_answers_nothing_is_asked_nothing_more() {
    let processor = Processor::new("iso87-ascii");
    let sockets = "timeout_ms = 200\nsick_after = 1000000";
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = processor.settings(directory.path(), sockets, "");
    for link in &mut config.links {
        link.dial.iter_mut().for_each(|dial| dial.sockets = 2);
    }
    let house = House::start(&config, Some(&seed(SEED))).expect("a start");
    let mut network = house.connect("visa");
    let (deaf, mut good) = (processor.accept(), processor.accept());
    is_up(&house);
    let answering = std::thread::spawn(move || {
        while let Some(message) = good.receive() {
            if message.mti == 800 {
                continue;
            }
            let code: &Values<'_> =
                if message.mti == 100 { &[(38, "A1B2C3"), (39, "00")] } else { &[(39, "00")] };
            reply(&mut good, &message, code);
        }
    });
    let mut answered = 0;
    for n in 0..400 {
        let (stan, reference) = (format!("{n:06}"), format!("REF000{n:06}"));
        let outcome = network.ask(100, &purchase(&[(11, &stan), (37, &reference)])).value(39).to_owned();
        answered = if outcome == "00" { answered + 1 } else { 0 };
        if answered == 20 {
            break;
        }
    }
    assert_eq!(answered, 20, "everything goes to the socket that answers");
    let sockets = house.json("/v1/links/processor")["switch"]["sockets"].clone();
    let quarantined =
        sockets.as_array().expect("a list").iter().filter(|socket| socket["quarantined"] == true).count();
    assert_eq!(quarantined, 1);
    drop(network);
    drop(deaf);
    house.drain();
    answering.join().expect("the socket is closed in the end");
}

#[test]
fn r29_a_part_that_is_given_back_while_a_request_waits_does_not_stand_for_its_reversal() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) = processor.house("");
    network.send(100, &purchase(&[]));
    let asked = there.receive().expect("a request");
    let original = harness::original(100, "000001");
    let part = format!("{:012}{:030}", 2_000, 0);
    let reversal = purchase(&[(11, "000002"), (90, &original), (95, &part)]);
    assert_eq!(network.ask(420, &reversal).outcome(), (430, "00"));
    assert_eq!(network.receive().expect("an answer").outcome(), (110, "91"));
    // Both are told, the part first.
    let mut kept = Vec::new();
    for _ in 0..2 {
        let told = there.receive().expect("a reversal");
        assert_eq!(told.value(90), names(&asked));
        kept.push(told.value(95).get(..12).unwrap_or("000000000000").to_owned());
        reply(&mut there, &told, &[(39, "00")]);
    }
    assert_eq!(kept, ["000000002000", "000000000000"]);
    eventually("the queue is empty", || switch(&house, "stored") == 0);
    drop((network, there));
    house.drain();
}

#[test]
fn what_is_stored_for_a_link_that_is_gone_from_the_configuration_waits_until_it_is_back() {
    let processor = Processor::new("iso87-ascii");
    let (house, directory, mut network, there) = processor.house("");
    drop(there);
    eventually("it is gone", || house.json("/v1/links/processor")["switch"]["up"] == false);
    let original = harness::original(100, "000777");
    assert_eq!(network.ask(420, &purchase(&[(11, "000002"), (90, &original)])).outcome(), (430, "00"));
    let first = harness::copy_of(directory.path());
    drop((house, network));
    // Without the link and its routes, and with snapshots that cover what was stored.
    let without = harness::config(first.path(), |_| {});
    let house = House::start(&without, Some(&seed(SEED))).expect("a start");
    (0..3).for_each(|_| assert_eq!(house.verb("POST", "/v1/snapshots", "").0, 200));
    let second = harness::copy_of(first.path());
    drop(house);
    let house =
        House::start(&processor.settings(second.path(), SOON, ""), Some(&seed(SEED))).expect("a start");
    let (mut there, told) = processor.first_message();
    assert_eq!((told.mti, &told.value(90)[4..10]), (421, "000777"));
    reply(&mut there, &told, &[(39, "00")]);
    eventually("the queue is empty", || switch(&house, "stored") == 0);
    drop(there);
    house.drain();
}

#[test]
fn r30_a_reversal_goes_where_its_request_went_whatever_the_table_says_by_then() {
    let processor = Processor::new("iso87-ascii");
    let rows = "currency = [\"840\"]\namount_max = 6000\n";
    let (house, _directory, mut network, mut there) = processor.house(rows);
    approved(&mut network, &mut there, &[]);
    // Completed for more than the row takes, and then given back.
    let original = harness::original(100, "000001");
    let completion = purchase(&[(4, "000000007000"), (11, "000002"), (39, "00"), (90, &original)]);
    assert_eq!(network.ask(220, &completion).outcome(), (230, "00"));
    let reversal = purchase(&[(4, "000000007000"), (11, "000003"), (90, &original)]);
    assert_eq!(network.ask(420, &reversal).outcome(), (430, "00"));
    for mti in [220, 420] {
        let told = there.receive().expect("it is told");
        assert_eq!((told.mti, told.value(4)), (mti, "000000007000"));
        reply(&mut there, &told, &[(39, "00")]);
    }
    // A request of so much is ours, and so is what is about it.
    assert_eq!(network.ask(100, &purchase(&[(4, "000000007000"), (11, "000004")])).outcome(), (110, "14"));
    drop((network, there));
    house.drain();
}

/// A host that holds the routed card, and the wire to it, which loses what a test wants lost.
struct Host {
    house: House,
    _directory: tempfile::TempDir,
    peer: Peer,
    wire: Peer,
}

impl Host {
    fn new(dialect: &str, wire: Peer) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let config = harness::config(directory.path(), |_| {});
        let cards = seed(&format!("1,840,100000,0,{CARD},3012,201,active\n"));
        let house = House::start(&config, Some(&cards)).expect("a start");
        let (link, _) = harness::LINKS.iter().find(|(_, of)| *of == dialect).expect("a link");
        Self { peer: house.connect(link), house, _directory: directory, wire }
    }

    /// What the daemon sends next reaches the host, which answers.
    fn hears(&mut self) -> (Message, Vec<u8>) {
        let frame = self.wire.receive_frame().expect("a message");
        self.peer.write(&frame);
        let body = self.wire.dialect.frame(&frame).expect("right framing").expect("a frame").body;
        let heard = harness::read(&self.wire.dialect, &frame[body]);
        (heard, self.peer.receive_frame().expect("an answer"))
    }

    /// The same, and its answer reaches the daemon.
    fn answers(&mut self) -> u16 {
        let (heard, answer) = self.hears();
        self.wire.write(&answer);
        heard.mti
    }

    fn held(&self) -> i64 {
        self.house.balance(1).1
    }
}

#[test]
fn r4_r29_what_was_approved_in_a_hosts_place_is_held_there_once_and_given_back() {
    for to in ["visa", "mastercard", "iso87-ascii"] {
        let processor = Processor::new(to);
        let (house, _directory, mut network, wire) = processor.house(STAND_IN);
        let mut host = Host::new(to, wire);
        // The host has approved the first, and has never heard of the second.
        for (stan, reaches) in [("000001", true), ("000002", false)] {
            let reference = format!("REF000{stan}");
            network.send(100, &purchase(&[(4, "000000004000"), (11, stan), (37, &reference)]));
            if reaches {
                assert_eq!(host.hears().0.mti, 100);
                assert_eq!(host.held(), 4_000, "{to}: it has approved");
            } else {
                host.wire.receive_frame().expect("a request");
            }
            assert_eq!(network.receive().expect("an answer").outcome(), (110, "00"), "{to}: we stand in");
            assert_eq!([host.answers(), host.answers()], [420, 120], "{to}");
            assert_eq!(host.held(), 4_000, "{to}: once");
            let (original, next) = (harness::original(100, stan), format!("1{}", &stan[1..]));
            let names = [(11, next.as_str()), (37, &reference), (90, &original)];
            let reversal = with(&purchase(&[(4, "000000004000")]), &names);
            assert_eq!(network.ask(420, &reversal).outcome(), (430, "00"));
            assert_eq!(host.answers(), 420);
            assert_eq!(host.held(), 0, "{to}: it is given back");
        }
        eventually("the queue is empty", || switch(&house, "stored") == 0);
        drop((network, host));
        house.drain();
    }
}

#[test]
fn r4_r29_what_a_network_approves_after_our_decline_is_held_there_until_it_is_reversed() {
    for to in ["visa", "mastercard", "iso87-ascii"] {
        let processor = Processor::new(to);
        let (house, _directory, mut network, wire) = processor.house("");
        let mut host = Host::new(to, wire);
        network.send(100, &purchase(&[]));
        assert_eq!(host.hears().0.mti, 100);
        assert_eq!(network.receive().expect("an answer").outcome(), (110, "91"));
        assert_eq!(host.answers(), 420);
        assert_eq!(host.held(), 0, "{to}: our reversal");
        // The network's own time-out says nothing new.
        let original = harness::original(100, "000001");
        let reversal = |stan, private| purchase(&[(11, stan), (63, private), (90, &original)]);
        let timed_out = reversal("000002", "B00000000225029020");
        assert_eq!(network.ask(420, &timed_out).outcome(), (430, "00"));
        assert_eq!((switch(&house, "stored"), host.held()), (0, 0), "{to}");
        // It has stood in; then it takes that back.
        let advice = purchase(&[(11, "000003"), (38, "A1B2C3"), (39, "00"), (90, &original)]);
        assert_eq!(network.ask(120, &advice).outcome(), (130, "00"));
        assert_eq!((host.answers(), host.held()), (120, 5_000), "{to}: it is held");
        assert_eq!(network.ask(420, &reversal("000004", "")).outcome(), (430, "00"));
        assert_eq!((host.answers(), host.held()), (420, 0), "{to}: and given back");
        // Another one is reversed before the advice of it comes: then the two come to nothing.
        let more = [(11, "000005"), (37, "REF000000005")];
        network.send(100, &purchase(&more));
        assert_eq!(host.hears().0.mti, 100);
        assert_eq!(network.receive().expect("an answer").outcome(), (110, "91"));
        assert_eq!((host.answers(), host.held()), (420, 0), "{to}");
        let original = harness::original(100, "000005");
        let original = [(37, "REF000000005"), (90, original.as_str())];
        let reversal = with(&purchase(&[(11, "000006")]), &original);
        let advice = with(&purchase(&[(11, "000007"), (38, "A1B2C3"), (39, "00")]), &original);
        for (mti, message) in [(420, &reversal), (120, &advice), (421, &reversal), (121, &advice)] {
            assert_eq!(network.ask(mti, message).outcome(), (mti - mti % 2 + 10, "00"), "{to}");
            assert_eq!((switch(&house, "stored"), host.held()), (0, 0), "{to}");
        }
        drop((network, host));
        house.drain();
    }
}

#[test]
fn r28_a_pin_that_nobody_has_looked_at_is_not_approved_in_a_partys_place() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) =
        processor.patient_house(&format!("pin = \"pass\"\n{SOON}"), STAND_IN);
    let pin = (52, "0123456789ABCDEF");
    let requests = |stan: &'static str| purchase(&[(4, "000000001000"), (11, stan)]);
    network.send(100, &with(&requests("000001"), &[pin]));
    there.receive().expect("a request");
    assert_eq!(network.receive().expect("an answer").outcome(), (110, "91"), "it was asked");
    drop(there);
    eventually("it is gone", || house.json("/v1/links/processor")["switch"]["up"] == false);
    assert_eq!(network.ask(100, &with(&requests("000002"), &[pin])).outcome(), (110, "91"), "it is gone");
    assert_eq!(network.ask(100, &requests("000003")).outcome(), (110, "00"), "without a PIN");
    drop(network);
    house.drain();
}

#[test]
fn r4_an_answer_of_ours_that_came_too_late_takes_back_what_we_approved_in_a_hosts_place() {
    for to in ["visa", "mastercard", "iso87-ascii"] {
        let processor = Processor::new(to);
        let (house, _directory, mut network, wire) = processor.house(STAND_IN);
        let mut host = Host::new(to, wire);
        network.send(100, &purchase(&[]));
        host.wire.receive_frame().expect("a request");
        assert_eq!(network.receive().expect("an answer").outcome(), (110, "00"), "{to}: we stand in");
        assert_eq!([host.answers(), host.answers()], [420, 120], "{to}");
        assert_eq!(host.held(), 5_000, "{to}");
        let original = harness::original(100, "000001");
        let timed_out = purchase(&[(11, "000002"), (63, "B00000000225029020"), (90, &original)]);
        assert_eq!(network.ask(420, &timed_out).outcome(), (430, "00"));
        assert_eq!((host.answers(), host.held()), (120, 0), "{to}: the network does not know of it");
        assert_eq!(network.ask(421, &timed_out).outcome(), (430, "00"));
        // It has approved by itself: that is held. Its time-out of our answer says nothing about that.
        let advice = purchase(&[(11, "000003"), (38, "A1B2C3"), (39, "00"), (90, &original)]);
        assert_eq!(network.ask(120, &advice).outcome(), (130, "00"));
        assert_eq!((host.answers(), host.held()), (120, 5_000), "{to}");
        let again = with(&timed_out, &[(11, "000004")]);
        assert_eq!(network.ask(420, &again).outcome(), (430, "00"));
        assert_eq!((switch(&house, "stored"), host.held()), (0, 5_000), "{to}");
        drop((network, host));
        house.drain();
    }
}

#[test]
fn r4_what_an_operator_took_out_says_nothing_about_an_answer_that_came_too_late() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, wire) = processor.house(STAND_IN);
    let mut host = Host::new("iso87-ascii", wire);
    assert_eq!(house.verb("POST", "/v1/links/processor/queue/pause", "").0, 200);
    network.send(100, &purchase(&[]));
    host.wire.receive_frame().expect("a request");
    assert_eq!(network.receive().expect("an answer").outcome(), (110, "00"), "we stand in");
    // The host never heard of the request, so an operator takes its reversal out.
    let list = house.json("/v1/links/processor/stored?limit=10");
    let first = list["messages"][0]["id"].as_str().expect("a reversal").to_owned();
    assert_eq!(house.verb("POST", &format!("/v1/links/processor/stored/{first}/purge"), "").0, 200);
    assert_eq!(house.verb("POST", "/v1/links/processor/queue/resume", "").0, 200);
    assert_eq!((host.answers(), host.held()), (120, 5_000));
    let original = harness::original(100, "000001");
    let timed_out = purchase(&[(11, "000002"), (63, "B00000000225029020"), (90, &original)]);
    assert_eq!(network.ask(420, &timed_out).outcome(), (430, "00"));
    assert_eq!((host.answers(), host.held()), (120, 0), "the network does not know of it");
    drop((network, host));
    house.drain();
}

#[test]
fn r5_two_messages_of_one_trace_number_are_two_unless_one_repeats_the_other() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) = processor.house("");
    let (original, part) = (harness::original(100, "000777"), format!("{:012}{:030}", 2_000, 0));
    let named = purchase(&[(11, "000777"), (90, &original)]);
    // A part is given back, then all of it, then all of it a second later; then that is repeated.
    let table: [(u16, &Values<'_>, bool); 5] = [
        (420, &[(95, &part)], true),
        (420, &[], true),
        (420, &[], false),
        (420, &[(7, "0604123457")], true),
        (421, &[(7, "0604123458")], false),
    ];
    for (n, (mti, changes, told)) in table.iter().enumerate() {
        assert_eq!(network.ask(*mti, &with(&named, changes)).outcome(), (430, "00"), "{n}");
        if *told {
            let told = there.receive().expect("a reversal");
            assert_eq!(told.value(95).is_empty(), n > 0, "{n}");
            reply(&mut there, &told, &[(39, "00")]);
        }
        eventually("nothing is stored", || switch(&house, "stored") == 0);
    }
    drop((network, there));
    house.drain();
}

#[test]
fn r32_a_party_that_cannot_decide_is_told_again_until_it_can() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) = processor.house("");
    let original = harness::original(100, "000777");
    assert_eq!(network.ask(420, &purchase(&[(11, "000002"), (90, &original)])).outcome(), (430, "00"));
    for code in ["96", "91", "96", "91", "96", "00"] {
        let told = there.receive().expect("a reversal");
        reply(&mut there, &told, &[(39, code)]);
    }
    eventually("it is taken", || switch(&house, "stored") == 0);
    assert_eq!(house.json("/v1/links/processor")["switch"]["settled"]["dead-letter"], 0);
    drop((network, there));
    house.drain();
}

#[test]
fn r32_an_acknowledgement_that_takes_longer_than_it_is_waited_for_counts_all_the_same() {
    let processor = Processor::new("iso87-ascii");
    // It is not told again while this lasts.
    let patient = "timeout_ms = 100\nagain_ms = 60000\nagain_max_ms = 60000";
    let (house, _directory, mut network, mut there) = processor.patient_house(patient, "");
    let original = harness::original(100, "000777");
    assert_eq!(network.ask(420, &purchase(&[(11, "000003"), (90, &original)])).outcome(), (430, "00"));
    let told = there.receive().expect("a reversal");
    eventually("nobody waits for its answer", || switch(&house, "stored_on_their_way") == 0);
    assert_eq!(switch(&house, "stored"), 1);
    // What is of another message changes nothing.
    reply(&mut there, &told, &[(37, "REF999999999"), (39, "00")]);
    eventually("it is a case", || cases(&house) == 1);
    assert_eq!(switch(&house, "stored"), 1);
    reply(&mut there, &told, &[(39, "00")]);
    eventually("the queue is empty", || switch(&house, "stored") == 0);
    assert_eq!(house.json("/v1/links/processor")["switch"]["settled"]["acknowledged"], 1);
    assert_eq!(cases(&house), 1);
    drop((network, there));
    house.drain();
}

/// What is stored for the processor is not told again while a test lasts, and its answers are always late.
const LATE: &str = "timeout_ms = 100\nagain_ms = 60000\nagain_max_ms = 60000";

/// A reversal that the network sends of something that nobody knows, under this trace number and of this card.
fn undoes(network: &mut Peer, stan: &str, card: &str) {
    let (original, reference) = (harness::original(100, "000777"), format!("REF000{stan}"));
    let reversal = purchase(&[(2, card), (11, stan), (37, &reference), (90, &original)]);
    assert_eq!(network.ask(420, &reversal).outcome(), (430, "00"));
}

/// It has been told to the processor, and nobody waits for the answer any more.
fn told_in_vain(house: &House, there: &mut Peer) -> Message {
    let told = there.receive().expect("a reversal");
    eventually("nobody waits for its answer", || switch(house, "stored_on_their_way") == 0);
    told
}

/// How many cases there are of any kind.
fn cases(house: &House) -> u64 {
    let cases = &house.json("/v1/links/processor")["switch"]["cases"];
    cases.as_object().map_or(0, |cases| cases.values().filter_map(serde_json::Value::as_u64).sum())
}

/// The stored messages: which, where they stand, and how often they were refused.
fn listed(house: &House) -> Vec<(String, String, u64)> {
    let list = house.json("/v1/links/processor/stored?limit=10");
    let messages = list["messages"].as_array().expect("a list").clone();
    let text = |one: &serde_json::Value, key: &str| one[key].as_str().expect("a text").to_owned();
    let row = |one| (text(one, "id"), text(one, "state"), one["refusals"].as_u64().expect("a count"));
    messages.iter().map(row).collect()
}

#[test]
fn r32_a_late_acknowledgement_is_known_by_what_it_echoes() {
    let weak = format!("match_on = [11, 41]\n{LATE}");
    // The link, what the answer has not or has otherwise, and whether it is taken.
    type Row<'r> = (&'r str, &'r Values<'r>, bool);
    let table: [Row<'_>; 7] = [
        (LATE, &[], true),
        (LATE, &[(7, "")], true),
        (LATE, &[(7, ""), (37, "")], false),
        (LATE, &[(7, ""), (37, "REF999999999")], false),
        (LATE, &[(7, "0101000000")], false),
        (LATE, &[(4, "000000000001")], true),
        (&weak, &[(7, ""), (37, "")], true),
    ];
    for (forward, changes, taken) in table {
        let processor = Processor::new("iso87-ascii");
        let (house, _directory, mut network, mut there) = processor.patient_house(forward, "");
        undoes(&mut network, "000003", CARD);
        let told = told_in_vain(&house, &mut there);
        reply(&mut there, &told, &[&[(39, "00")], changes].concat());
        if taken {
            eventually("it is taken", || switch(&house, "stored") == 0);
        } else {
            eventually("it is a case", || cases(&house) == 1);
            assert_eq!(switch(&house, "stored"), 1, "{changes:?}");
        }
        drop((network, there, house));
    }
}

#[test]
fn r32_a_late_refusal_counts_once_and_moves_nothing_that_a_person_holds() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) = processor.patient_house(LATE, "");
    undoes(&mut network, "000003", CARD);
    let told = told_in_vain(&house, &mut there);
    let states = |house: &House| -> Vec<(String, u64)> {
        listed(house).into_iter().map(|(_, state, refusals)| (state, refusals)).collect()
    };
    for _ in 0..5 {
        reply(&mut there, &told, &[(39, "12")]);
        // Nor does one that cannot decide put off the next attempt for as long as it says so.
        reply(&mut there, &told, &[(39, "91")]);
    }
    there.echo();
    assert_eq!(states(&house), [("waiting".to_owned(), 1)]);
    let (id, ..) = listed(&house).remove(0);
    let verb = |verb: &str| house.verb("POST", &format!("/v1/links/processor/stored/{id}/{verb}"), "").0;
    assert_eq!(verb("hold"), 200);
    reply(&mut there, &told, &[(39, "12")]);
    there.echo();
    assert_eq!(states(&house), [("held".to_owned(), 1)]);
    reply(&mut there, &told, &[(39, "00")]);
    eventually("that it is done is news all the same", || switch(&house, "stored") == 0);
    drop((network, there));
    house.drain();
}

#[test]
fn a_party_that_takes_what_it_is_told_and_decides_nothing_is_sick_all_the_same() {
    let processor = Processor::new("iso87-ascii");
    let forward = "timeout_ms = 150\nagain_ms = 50\nsick_after = 4\nprobe_ms = 60000";
    let (house, _directory, mut network, mut there) = processor.patient_house(forward, "");
    let telling = std::thread::spawn(move || {
        let mut told = 0;
        while let Some(message) = there.receive() {
            if matches!(message.mti, 420 | 421) {
                told += 1;
                reply(&mut there, &message, &[(39, "00")]);
            }
        }
        told
    });
    let mut asked = 0;
    while house.json("/v1/links/processor")["switch"]["sick"] != true {
        let (stan, reference) = (format!("{asked:06}"), format!("REF000{asked:06}"));
        network.send(100, &purchase(&[(11, &stan), (37, &reference)]));
        assert_eq!(network.receive().expect("an answer").outcome(), (110, "91"));
        asked += 1;
        assert!(asked <= 4, "four in a row are enough");
        eventually("its reversal is told", || switch(&house, "stored") == 0);
    }
    assert_eq!(asked, 4);
    let sockets = house.json("/v1/links/processor")["switch"]["sockets"].clone();
    assert_eq!((&sockets[0]["answered"], &sockets[0]["unanswered_in_a_row"]), (&0.into(), &4.into()));
    drop((network, house));
    assert!(telling.join().expect("it ends") >= 4);
}

#[test]
fn r32_a_queue_of_many_cards_drains_though_every_acknowledgement_is_late() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) = processor.patient_house(LATE, "");
    for n in 0..64 {
        undoes(&mut network, &format!("{n:06}"), &format!("520474000000{n:04}"));
    }
    let told: Vec<Message> = (0..64).map(|_| there.receive().expect("a reversal")).collect();
    eventually("nobody waits for their answers", || switch(&house, "stored_on_their_way") == 0);
    assert_eq!(switch(&house, "stored"), 64);
    let link = house.json("/v1/links/processor")["switch"].clone();
    assert_eq!((&link["up"], &link["sick"]), (&true.into(), &false.into()), "only requests tell how it is");
    assert_eq!(link["sockets"][0]["quarantined"], false);
    for message in told {
        reply(&mut there, &message, &[(39, "00")]);
    }
    eventually("the queue is empty", || switch(&house, "stored") == 0);
    assert_eq!(house.json("/v1/links/processor")["switch"]["settled"]["acknowledged"], 64);
    drop((network, there));
    house.drain();
}

/// A daemon with two sockets to the processor, and both of them.
fn two_doors(processor: &Processor, forward: &str) -> (House, tempfile::TempDir, Peer, [Peer; 2]) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut config = processor.settings(directory.path(), forward, "");
    for link in &mut config.links {
        link.dial.iter_mut().for_each(|dial| dial.sockets = 2);
    }
    let house = House::start(&config, Some(&seed(SEED))).expect("a start");
    let network = house.connect("visa");
    let doors = [processor.accept(), processor.accept()];
    let open = || house.json("/v1/links/processor")["switch"]["sockets"].as_array().map(Vec::len);
    eventually("both are open", || open() == Some(2));
    (house, directory, network, doors)
}

/// By which of two sockets a message comes.
fn comes_by(doors: &mut [Peer; 2]) -> (usize, Message) {
    let short = Some(Duration::from_millis(20));
    doors.iter().for_each(|door| door.socket.set_read_timeout(short).expect("a socket"));
    let mut byte = [0];
    let came = |door: &Peer, byte: &mut [u8]| door.socket.peek(byte).is_ok_and(|read| read > 0);
    let at = (0..500).find_map(|_| doors.iter().position(|door| came(door, &mut byte)));
    let at = at.expect("a message");
    doors[at].socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
    (at, doors[at].receive().expect("a message"))
}

#[test]
fn r31_what_was_asked_on_a_socket_that_is_gone_is_asked_again_on_another_of_one_host() {
    for (dialect, pin) in [("iso87-ascii", ""), ("visa", ""), ("iso87-binary", "pin = \"pass\"\n")] {
        let processor = Processor::new(dialect);
        let forward = format!("timeout_ms = 20000\none_host = true\n{pin}");
        let (house, _directory, mut network, mut doors) = two_doors(&processor, &forward);
        let block: &Values<'_> =
            if pin.is_empty() { &[] } else { &[(52, "0123456789ABCDEF"), (53, "0101010100000000")] };
        network.send(100, &purchase(block));
        let (at, asked) = comes_by(&mut doors);
        doors[at].socket.shutdown(std::net::Shutdown::Both).expect("a socket");
        let other = &mut doors[1 - at];
        other.socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        let again = other.receive().expect("it comes again");
        assert_eq!((asked.mti, again.mti), (100, 101), "{dialect}");
        assert_eq!(asked.values, again.values, "{dialect}: all of it but the MTI");
        assert_eq!(switch(&house, "asked_again"), 1);
        approves(&mut network, other, &again);
        assert_eq!((switch(&house, "forwarded"), switch(&house, "answered")), (1, 1));
        assert_eq!((switch(&house, "timed_out"), switch(&house, "stored")), (0, 0));
        let metric = "turnpike_switch_asked_again_total{link=\"processor\"}";
        assert_eq!(house.metric(metric), 1);
        drop((network, doors));
        house.drain();
    }
}

#[test]
fn r31_it_waits_for_a_socket_that_opens_in_time_and_goes_once_more_at_most() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, there) =
        processor.patient_house("timeout_ms = 3000\none_host = true\nagain_ms = 100", "");
    let mut there = there;
    network.send(100, &purchase(&[]));
    let asked = there.receive().expect("a request");
    drop(there);
    let mut there = processor.accept();
    let again = there.receive().expect("it comes again");
    assert_eq!((again.mti, again.value(11)), (101, asked.value(11)));
    drop(there);
    // What makes a host close its sockets is not sent to every one of them.
    let mut there = processor.accept();
    assert_eq!(network.receive().expect("an answer").outcome(), (110, "91"));
    let undone = there.receive().expect("its reversal");
    assert_eq!((undone.mti, undone.value(90)), (420, names(&asked).as_str()));
    reply(&mut there, &undone, &[(39, "00")]);
    eventually("the queue is empty", || switch(&house, "stored") == 0);
    assert_eq!((switch(&house, "asked_again"), switch(&house, "timed_out")), (1, 1));
    drop((network, there));
    house.drain();
}

#[test]
fn r31_sockets_that_end_at_nobody_knows_how_many_hosts_are_asked_nothing_twice() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut doors) = two_doors(&processor, "timeout_ms = 500");
    network.send(100, &purchase(&[]));
    let (at, asked) = comes_by(&mut doors);
    doors[at].socket.shutdown(std::net::Shutdown::Both).expect("a socket");
    assert_eq!(network.receive().expect("an answer").outcome(), (110, "91"));
    let other = &mut doors[1 - at];
    other.socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
    let undone = other.receive().expect("its reversal");
    assert_eq!((undone.mti, undone.value(90)), (420, names(&asked).as_str()));
    assert_eq!(switch(&house, "asked_again"), 0);
    drop((network, doors, house));
}

#[test]
fn r30_an_answer_to_what_asks_for_no_amount_may_state_one() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, network, mut there) = processor.house("");
    drop(network);
    // Visa has an amount in every request.
    let mut network = house.connect("iso87");
    network.send(100, &purchase(&[(3, "300000"), (4, ""), (49, "")]));
    let asked = there.receive().expect("a request");
    assert_eq!((asked.value(4), asked.value(49)), ("", ""));
    reply(&mut there, &asked, &[(4, "000000000000"), (49, "840"), (39, "00")]);
    assert_eq!(network.receive().expect("an answer").outcome(), (110, "00"));
    drop((network, there));
    house.drain();
}

#[test]
fn what_came_before_another_table_stays_where_it_went() {
    let processor = Processor::new("iso87-ascii");
    let (house, directory, mut network, mut there) = processor.house("");
    let table = |more: &str| {
        let config = processor.settings(directory.path(), SOON, more);
        let board = house.daemon().face.pipeline.switchboard().cloned().expect("a switch");
        board.set_table(config.routes.table().clone());
    };
    // One purchase is ours, one the processor's.
    assert_eq!(network.ask(100, PURCHASE).outcome(), (110, "00"));
    let asked = approved(&mut network, &mut there, &[(11, "000002"), (37, "REF000000002")]);
    // Then it is the other way round.
    table(
        "to = [\"processor\"]\n[routes.ours]\niin = [\"411111\"]\nto = [\"processor\"]\n\
         [routes.theirs]\niin = [\"52047400\"]\nto = [\"ledger\"]\n",
    );
    assert_eq!(network.ask(101, PURCHASE).outcome(), (110, "00"));
    assert_eq!(house.balance(1), (100_000, 5_000), "held once");
    network.send(101, &purchase(&[(11, "000002"), (37, "REF000000002")]));
    let again = there.receive().expect("the repeat, and nothing of ours");
    assert_eq!((again.mti, again.value(37)), (101, "REF000000002"));
    approves(&mut network, &mut there, &again);
    let ours = harness::original(100, "000001");
    let reversal = with(PURCHASE, &[(11, "000003"), (90, &ours)]);
    assert_eq!(network.ask(420, &reversal).outcome(), (430, "00"));
    assert_eq!(house.balance(1), (100_000, 0), "given back here");
    let theirs = harness::original(100, "000002");
    let reversal = purchase(&[(11, "000004"), (37, "REF000000002"), (90, &theirs)]);
    assert_eq!(network.ask(420, &reversal).outcome(), (430, "00"));
    assert_eq!(there.receive().expect("a reversal").value(90), names(&asked));
    drop((network, there));
    house.drain();
}

#[test]
fn r5_another_answer_to_a_repeat_is_given_to_nobody() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) = processor.house("");
    approved(&mut network, &mut there, &[]);
    network.send(101, &purchase(&[]));
    let again = there.receive().expect("the repeat");
    reply(&mut there, &again, &[(39, "94")]);
    eventually("it is a case", || house.json("/v1/links/processor")["switch"]["cases"]["duplicate"] == 1);
    // What comes next is the answer to something else.
    assert_eq!(network.ask(100, &with(PURCHASE, &[(11, "000009")])).value(11), "000009");
    drop((network, there));
    house.drain();
}

#[test]
fn r4_a_reject_of_an_answer_that_was_a_processors_is_told_to_it() {
    let processor = Processor::new("iso87-ascii");
    let (house, _directory, mut network, mut there) = processor.house("");
    let frame = harness::frame(&network.dialect, 100, &purchase(&[]));
    network.write(&frame);
    let asked = there.receive().expect("a request");
    reply(&mut there, &asked, &[(38, "A1B2C3"), (39, "00")]);
    let answer = network.receive_frame().expect("an answer");
    network.write(&harness::reject(&answer, 16));
    let told = there.receive().expect("a reversal");
    assert_eq!((told.mti, told.value(90), told.value(39)), (420, names(&asked).as_str(), "68"));
    reply(&mut there, &told, &[(39, "00")]);
    eventually("it is told", || switch(&house, "stored") == 0);
    // Of one that went nowhere there is nothing to tell, and it may come again.
    drop(there);
    eventually("it is gone", || house.json("/v1/links/processor")["switch"]["up"] == false);
    let next = purchase(&[(11, "000002"), (37, "REF000000002")]);
    network.send(100, &next);
    let answer = network.receive_frame().expect("an answer");
    network.write(&harness::reject(&answer, 16));
    network.echo();
    assert_eq!(switch(&house, "stored"), 0);
    let mut there = processor.accept();
    is_up(&house);
    network.send(101, &next);
    let asked = there.receive().expect("a request");
    approves(&mut network, &mut there, &asked);
    drop((network, there));
    house.drain();
}
