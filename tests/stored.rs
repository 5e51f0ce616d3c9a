//! `turnpike stored` against a daemon whose processor is gone: what waits, and what an operator does about it.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::net::SocketAddr;
use std::net::TcpListener;
use std::process::Command;
use std::process::Output;

use harness::House;
use harness::PURCHASE;
use harness::SEED;
use harness::seed;
use harness::with;

/// A card that is not ours, and routed to the processor.
const CARD: &str = "5204740000001010";

/// Nobody listens there any more.
fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

fn house(directory: &tempfile::TempDir) -> House {
    let more = format!(
        "[links.processor]\ndialect = \"visa\"\nconnect = [\"{}\"]\n\
         [routes.processor]\niin = [\"520474\"]\nto = [\"processor\"]\n",
        nobody()
    );
    let config = harness::config_with(directory.path(), &more);
    House::start(&config, Some(&seed(SEED))).expect("a start")
}

fn stored(http: SocketAddr, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
    let output = command.arg("stored").arg("--http").arg(http.to_string()).args(arguments).output();
    let Output { status, stdout, stderr } = output.expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn what_waits_is_listed_held_released_and_taken_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = house(&directory);
    let http = house.daemon().admin;
    let of_link = |arguments: &[&str]| {
        let (code, said, complained) = stored(http, &[&["--link", "processor"], arguments].concat());
        assert_eq!((code, complained.as_str()), (Some(0), ""), "{arguments:?}");
        said
    };
    assert_eq!(of_link(&[]), "");
    let mut network = house.connect("visa");
    for stan in ["000011", "000012", "000013"] {
        let original = harness::original(100, stan);
        let reference = format!("REF000{stan}");
        let reversal = with(PURCHASE, &[(2, CARD), (11, stan), (37, &reference), (90, &original)]);
        assert_eq!(network.ask(420, &reversal).outcome(), (430, "00"));
    }
    let listed = of_link(&["list"]);
    assert_eq!(of_link(&[]), listed, "a list is what it does unless told otherwise");
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 3);
    for (line, stan) in lines.iter().zip(["000011", "000012", "000013"]) {
        let words = "waiting reversal of 520474******1010: 5000 minor units of 840, STAN ";
        assert!(line.contains(words), "{line}");
        assert!(line.contains(&format!(" for {stan}, RRN REF000{stan}, since 20")), "{line}");
        assert!(line.ends_with(", 0 attempts, 0 refused"), "{line}");
    }
    let ids: Vec<&str> = lines.iter().filter_map(|line| line.split_once(' ')).map(|(id, _)| id).collect();
    let states = || -> Vec<String> {
        let listed = of_link(&["list"]);
        listed.lines().filter_map(|line| Some(line.split(' ').nth(1)?.to_owned())).collect()
    };
    let table: [(&str, usize, &str, &[&str]); 4] = [
        ("hold", 1, "held", &["waiting", "held", "waiting"]),
        ("release", 1, "released", &["waiting", "waiting", "waiting"]),
        ("hold", 0, "held", &["held", "waiting", "waiting"]),
        ("purge", 2, "purged", &["held", "waiting"]),
    ];
    for (verb, at, told, expected) in table {
        assert_eq!(of_link(&[verb, ids[at]]), format!("{}: {told}\n", ids[at]));
        assert_eq!(states(), expected, "{verb}");
    }
    let table = [
        ("pause", "down, serving, stored messages are paused: 2 stored, 0 on their way, 0 dead; 0 requests"),
        ("resume", "down, serving, stored messages are sent: 2 stored"),
        ("drain", "down, draining, stored messages are sent: 2 stored"),
        ("serve", "down, serving, stored messages are sent: 2 stored"),
    ];
    for (verb, words) in table {
        let said = of_link(&[verb]);
        assert!(said.starts_with(words), "{verb}: {said}");
    }
    assert!(of_link(&["pace", "100"]).starts_with("down, serving, stored messages are sent: 2 stored"));
    assert_eq!(house.json("/v1/links/processor")["switch"]["stored_per_second_max"], 100);
    assert_eq!(of_link(&["cases"]), "");
    drop(network);
    house.drain();
}

#[test]
fn what_cannot_be_done_is_refused_in_words() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = house(&directory);
    let http = house.daemon().admin;
    for query in ["", "?per_second=", "?per_second=x", "?per_second=-1", "?per_second=1000001"] {
        let (status, answer) = house.verb("POST", &format!("/v1/links/processor/queue/pace{query}"), "");
        assert_eq!(status, 400, "{query}");
        assert!(
            answer["error"].as_str().is_some_and(|error| error.contains("`per_second` from 0")),
            "{answer}"
        );
    }
    let table: [(SocketAddr, &[&str], i32, &str); 9] = [
        (http, &["--link", "processor", "pace", "1000001"], 2, "1000001"),
        (http, &["--link", "processor", "purge", "77"], 65, "no such message is stored"),
        (http, &["--link", "processor", "hold", "x y"], 65, "\"x y\" names no stored message"),
        (http, &["--link", "processor", "hold", "../../livez?"], 65, "names no stored message"),
        (http, &["--link", "nowhere"], 65, "there is no link \"nowhere\""),
        (http, &["--link", "a/b\r\nX: y"], 65, "there is no link"),
        (http, &["--link", "processor", "forget"], 2, "forget"),
        (http, &["list"], 2, "--link"),
        (nobody(), &["--link", "processor"], 69, "is a daemon running there?"),
    ];
    for (http, arguments, code, words) in table {
        let (found, said, complained) = stored(http, arguments);
        assert_eq!((found, said.as_str()), (Some(code), ""), "{arguments:?}: {complained}");
        assert!(complained.contains(words), "{arguments:?}: {complained}");
    }
    house.drain();
}
