//! What the log says of peers: who it was, what was wrong, and the alarms that no other line may crowd out.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::io;
use std::io::Write;
use std::sync::Mutex;
use std::sync::OnceLock;

use harness::House;
use harness::LINKS;
use harness::PURCHASE;
use harness::Peer;
use harness::eventually;
use harness::frame;
use harness::reject;
use harness::with;

/// What every daemon of this process has logged.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOG.lock().expect("no test panics in here").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A daemon whose lines are kept.
fn house() -> (House, tempfile::TempDir) {
    static STARTED: OnceLock<()> = OnceLock::new();
    STARTED.get_or_init(|| tracing_subscriber::fmt().with_ansi(false).with_writer(|| Log).init());
    House::fresh(|_| {})
}

/// The lines about a peer.
fn lines(peer: &Peer) -> Vec<String> {
    let text = String::from_utf8(LOG.lock().expect("no test panics in here").clone()).expect("text");
    let address = format!("peer={} ", peer.socket.local_addr().expect("an address"));
    text.lines().filter(|line| line.contains(&address)).map(str::to_owned).collect()
}

#[test]
fn a_frame_that_cannot_be_is_named_with_its_peer_and_what_is_wrong() {
    let (house, _directory) = house();
    for (link, _) in LINKS {
        let mut peer = house.connect(link);
        // 4,097 bytes are announced, and 4,096 are allowed.
        peer.write(&[0x10, 0x01, 0, 0][..peer.dialect.framing().prefix_bytes()]);
        peer.expect_closed();
        eventually("it is logged", || !lines(&peer).is_empty());
        let lines = lines(&peer);
        assert_eq!(lines.len(), 1, "{lines:?}");
        for words in [
            "WARN",
            "closed",
            &format!("link=\"{link}\""),
            "reason=\"framing\"",
            "the frame says it has 4097 bytes, and 4096 are allowed",
        ] {
            assert!(lines[0].contains(words), "{words}: {}", lines[0]);
        }
    }
}

#[test]
fn r24_a_reject_is_an_alarm_with_its_code_and_our_trace_number_whatever_else_is_logged() {
    let (house, _directory) = house();
    let mut peer = house.connect("visa");
    // More than the lines that a socket has.
    let malformed = frame(&peer.dialect, 100, &with(PURCHASE, &[(4, "")])).repeat(200);
    peer.write(&malformed);
    for _ in 0..200 {
        assert_eq!(peer.receive().expect("an answer").outcome(), (110, "12"));
    }
    peer.write(&frame(&peer.dialect, 100, PURCHASE));
    let answer = peer.receive_frame().expect("an answer");
    let echo = harness::echo_frame(&peer.dialect, "000042");
    let headless = &answer[..4];
    let table = [
        (&answer[..], 0x0555, "code=0555 mti=\"0110\" stan=\"000001\" answer=true"),
        (&echo[..], 0x0007, "code=0007 mti=\"0800\" stan=\"000042\" answer=false"),
        (headless, 0x0007, "code=0007 mti=\"0000\" stan=\"\" answer=false"),
    ];
    for (ours, code, _) in table {
        peer.write(&reject(ours, code));
    }
    peer.echo();
    let lines = lines(&peer);
    let alarms: Vec<&String> = lines.iter().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(alarms.len(), table.len(), "{alarms:?}");
    for ((.., words), line) in table.iter().zip(alarms) {
        assert!(line.contains(words), "{words}: {line}");
    }
    let counted = |code| house.metric(&format!("turnpike_rejects_total{{link=\"visa\",code=\"{code}\"}}"));
    assert_eq!((counted("0555"), counted("0007"), house.dropped("visa", "rejected")), (1, 2, 3));
    let others = lines.len() - table.len();
    assert!((1..=40).contains(&others), "{others} lines of one socket about 200 mistakes");
}
