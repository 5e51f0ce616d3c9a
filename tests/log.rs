//! What the log says of peers: who it was and what was wrong.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::io;
use std::io::Write;
use std::sync::Mutex;
use std::sync::OnceLock;

use harness::House;
use harness::LINKS;
use harness::Peer;
use harness::eventually;

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
