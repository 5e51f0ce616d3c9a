//! Every way of telling messages apart in a stream, over real sockets. The frames are put together here by hand, so
//! that the daemon's own framing is not what checks it.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use harness::House;
use harness::PURCHASE;
use harness::config;
use harness::dialect;
use harness::frame;
use harness::read;
use harness::seed;
use harness::with;
use turnpike::config::Config;
use turnpike::config::link::LinkSettings;

const STX: u8 = 0x02;
const ETX: u8 = 0x03;

/// One way: the link's framing in TOML, the bytes before and after a message of a request and of its answer, and a
/// poll with what comes back.
struct Way {
    name: &'static str,
    framing: &'static str,
    /// Length, and whether it is the answer's; the bytes in front of the message's MTI and after its end.
    around: fn(usize, bool) -> (Vec<u8>, Vec<u8>),
    poll: &'static [u8],
    polled: &'static [u8],
    /// A byte behind all: the exclusive or of the message and what stands after it.
    check: bool,
    /// Changes of the built-in table, for what is no part of a link's framing.
    table: &'static [(&'static str, &'static str)],
}

impl Way {
    const fn of(name: &'static str, framing: &'static str, around: fn(usize, bool) -> Around) -> Self {
        Self { name, framing, around, poll: &[], polled: &[], check: false, table: &[] }
    }

    const fn polled_with(self, poll: &'static [u8]) -> Self {
        Self { poll, polled: poll, ..self }
    }
}

type Around = (Vec<u8>, Vec<u8>);

fn tail(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

fn be(length: usize, width: usize) -> Vec<u8> {
    length.to_be_bytes()[size_of::<usize>() - width..].to_vec()
}

fn tpdu(answer: bool, swapped: bool) -> [u8; 5] {
    if answer && swapped { [0x60, 0x12, 0x34, 0x00, 0x03] } else { [0x60, 0x00, 0x03, 0x12, 0x34] }
}

fn bcd(length: usize) -> Vec<u8> {
    let pair = |pair: usize| (pair / 10 * 16 + pair % 10) as u8;
    vec![pair(length / 100), pair(length % 100)]
}

const RESERVED: &str = "before_bytes = \"6001\", length_bytes = 2, after_bytes = \"FF\"";
const SERIAL: &str = "before_bytes = \"02\", length_bytes = 0, trailer = \"03\", check = true";
const TPDU_SWAP: &str = "length_bytes = 2, tpdu = \"swap\"";
const IGNORES: &[(&str, &str)] = &[("keep_alive = \"echo\"", "keep_alive = \"ignore\"")];
const LITERAL: &[(&str, &str)] =
    &[("header = \"none\"", "header = \"literal\"\nheader_text = \"ISO015000077\"")];
const LITERAL_SET: &[(&str, &str)] =
    &[("header = \"none\"", "header = \"literal\"\nheader_text = \"ISO015000077\"\nheader_answer = \"set\"")];

/// Section 6 of the field's customs, row by row.
fn ways() -> Vec<Way> {
    vec![
        Way::of("2 bytes", "length_bytes = 2", |n, _| (be(n, 2), vec![])).polled_with(&[0, 0]),
        Way::of("1 byte and 2 more", "length_bytes = 1, after = 2", |n, _| {
            ([be(n, 1), vec![0, 0]].concat(), vec![])
        })
        .polled_with(&[0, 0, 0]),
        Way::of("2 bytes that count themselves", "length_bytes = 2, inclusive = true", |n, _| {
            (be(n + 2, 2), vec![])
        })
        .polled_with(&[0, 0]),
        Way::of("2 bytes, lowest first", "length_bytes = 2, little_endian = true", |n, _| {
            (vec![n as u8, (n >> 8) as u8], vec![])
        })
        .polled_with(&[0, 0]),
        Way::of("3 bytes", "length_bytes = 3", |n, _| (be(n, 3), vec![])).polled_with(&[0, 0, 0]),
        Way::of("4 bytes", "length_bytes = 4", |n, _| (be(n, 4), vec![])).polled_with(&[0, 0, 0, 0]),
        Way::of(
            "4 bytes, lowest first, counting themselves",
            "length_bytes = 4, little_endian = true, inclusive = true",
            |n, _| (vec![(n + 4) as u8, ((n + 4) >> 8) as u8, 0, 0], vec![]),
        ),
        Way::of("5 bytes", "length_bytes = 5", |n, _| (be(n, 5), vec![])),
        Way::of("6 bytes", "length_bytes = 6", |n, _| (be(n, 6), vec![])),
        Way::of("2 BCD bytes", "length_bytes = 2, length_encoding = \"bcd\"", |n, _| (bcd(n), vec![]))
            .polled_with(&[0, 0]),
        Way::of("4 ASCII digits", "length_bytes = 4, length_encoding = \"ascii\"", |n, _| {
            (format!("{n:04}").into_bytes(), vec![])
        })
        .polled_with(b"0000"),
        Way::of(
            "6 ASCII digits that count themselves",
            "length_bytes = 6, length_encoding = \"ascii\", inclusive = true",
            |n, _| (format!("{:06}", n + 6).into_bytes(), vec![]),
        ),
        Way::of("4 EBCDIC digits", "length_bytes = 4, length_encoding = \"ebcdic\"", |n, _| {
            (format!("{n:04}").bytes().map(|digit| digit - b'0' + 0xf0).collect(), vec![])
        })
        .polled_with(&[0xf0; 4]),
        Way::of("4 hex digits", "length_bytes = 4, length_encoding = \"hex\"", |n, _| {
            (format!("{n:04X}").into_bytes(), vec![])
        })
        .polled_with(b"0000"),
        Way::of("2 bytes, then 2 reserved", "length_bytes = 2, after = 2", |n, _| {
            ([be(n, 2), vec![0, 0]].concat(), vec![])
        })
        .polled_with(&[0; 4]),
        Way::of("2 reserved, then 2 bytes", "length_bytes = 2, before = 2", |n, _| {
            ([vec![0, 0], be(n, 2)].concat(), vec![])
        })
        .polled_with(&[0; 4]),
        Way::of("a trailer that is counted", "length_bytes = 2, trailer = \"03\"", |n, _| {
            (be(n + 1, 2), tail(&[ETX]))
        })
        .polled_with(&[0, 0]),
        Way::of(
            "a trailer that is not counted",
            "length_bytes = 2, trailer = \"0D0A\", trailer_counted = false",
            |n, _| (be(n, 2), tail(b"\r\n")),
        ),
        Way::of("no length, up to ETX", "length_bytes = 0, trailer = \"03\"", |_, _| (vec![], tail(&[ETX])))
            .polled_with(&[ETX]),
        Way::of("a protocol's id, 2 bytes, and one that is always set", RESERVED, |n, _| {
            ([vec![0x60, 0x01], be(n, 2), vec![0xff]].concat(), vec![])
        })
        .polled_with(&[0x60, 0x01, 0, 0, 0xff]),
        Way {
            check: true,
            ..Way::of("STX, ETX and a check", SERIAL, |_, _| (vec![STX], tail(&[ETX])))
                .polled_with(&[STX, ETX, ETX])
        },
        Way::of("a TPDU that is swapped", TPDU_SWAP, |n, answer| {
            ([be(n + 5, 2), tpdu(answer, true).to_vec()].concat(), vec![])
        })
        .polled_with(&[0, 0]),
        Way::of("a TPDU that is kept", "length_bytes = 2, tpdu = \"keep\"", |n, answer| {
            ([be(n + 5, 2), tpdu(answer, false).to_vec()].concat(), vec![])
        }),
        Way::of(
            "a TPDU behind BCD",
            "length_bytes = 2, length_encoding = \"bcd\", tpdu = \"swap\"",
            |n, a| ([bcd(n + 5), tpdu(a, true).to_vec()].concat(), vec![]),
        ),
        Way::of(
            "a TPDU behind hex",
            "length_bytes = 4, length_encoding = \"hex\", tpdu = \"swap\"",
            |n, a| ([format!("{:04X}", n + 5).into_bytes(), tpdu(a, true).to_vec()].concat(), vec![]),
        ),
        Way {
            table: IGNORES,
            poll: &[0, 0],
            ..Way::of("polls that are passed over", "length_bytes = 2", |n, _| (be(n, 2), vec![]))
        },
        Way {
            table: LITERAL,
            ..Way::of("a literal that is echoed", "length_bytes = 2", |n, _| {
                ([be(n + 12, 2), b"ISO026000013".to_vec()].concat(), vec![])
            })
        },
        Way {
            table: LITERAL_SET,
            ..Way::of("a literal that is set, and ETX", "length_bytes = 2, trailer = \"03\"", |n, answer| {
                let literal = if answer { b"ISO015000077" } else { b"ISO026000013" };
                ([be(n + 13, 2), literal.to_vec()].concat(), tail(&[ETX]))
            })
        },
        Way {
            table: LITERAL,
            ..Way::of("a TPDU and a literal", TPDU_SWAP, |n, answer| {
                let head = [be(n + 17, 2), tpdu(answer, true).to_vec(), b"ISO026000013".to_vec()];
                (head.concat(), vec![])
            })
        },
    ]
}

/// A link for each way, from TOML. What is changed of the table is in a file of its own.
fn links(directory: &Path, ways: &[Way]) -> Vec<LinkSettings> {
    let built_in = include_str!("../src/dialect/tables/iso87-ascii.toml");
    let mut text = String::new();
    for (n, way) in ways.iter().enumerate() {
        text += &format!("[links.w{n}]\nlisten = \"127.0.0.1:0\"\nframing = {{ {} }}\n", way.framing);
        if way.table.is_empty() {
            text += "dialect = \"iso87-ascii\"\n";
            continue;
        }
        let mut table = built_in.to_owned();
        for (from, to) in way.table {
            assert!(table.contains(from), "{from}");
            table = table.replacen(from, to, 1);
        }
        let file = directory.join(format!("w{n}.toml"));
        fs::write(&file, table).expect("a file");
        text += &format!("dialect = \"w{n}\"\ndialect_file = \"{}\"\n", file.display());
    }
    Config::from_toml("links.toml", &text).expect("right settings").links
}

struct Wire<'w> {
    way: &'w Way,
    socket: TcpStream,
}

impl Wire<'_> {
    /// The frame of a purchase of one cent.
    fn request(&self, stan: &str) -> Vec<u8> {
        let iso87 = dialect("iso87-ascii");
        let framed = frame(&iso87, 100, &with(PURCHASE, &[(4, "000000000001"), (11, stan)]));
        let message = &framed[2..];
        let (head, tail) = (self.way.around)(message.len(), false);
        [&head, message, &tail, &self.check(message, &tail)].concat()
    }

    /// What stands behind all.
    fn check(&self, message: &[u8], tail: &[u8]) -> Vec<u8> {
        let check = message.iter().chain(tail).fold(0, |check, byte| check ^ byte);
        if self.way.check { vec![check] } else { vec![] }
    }

    fn take(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.socket.read_exact(&mut bytes).expect("so many bytes");
        bytes
    }

    /// Reads the answer to a purchase, whose message has this length, and checks all that is around it.
    fn answer(&mut self, length: usize, stan: &str) {
        let (head, tail) = (self.way.around)(length, true);
        assert_eq!(self.take(head.len()), head, "{}: before the answer", self.way.name);
        let message = self.take(length);
        assert_eq!(self.take(tail.len()), tail, "{}: after the answer", self.way.name);
        let check = self.check(&message, &tail);
        assert_eq!(self.take(check.len()), check, "{}: the answer's check", self.way.name);
        let message = read(&dialect("iso87-ascii"), &message);
        assert_eq!((message.outcome(), message.value(11)), ((110, "00"), stan), "{}", self.way.name);
    }

    fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).expect("the daemon reads");
    }
}

#[test]
fn every_framing_with_pipelined_frames_partial_reads_and_a_poll_in_between() {
    let ways = ways();
    let directory = tempfile::tempdir().expect("a directory");
    let config = config(directory.path(), |config| config.links.extend(links(directory.path(), &ways)));
    let house = House::start(&config, Some(&seed(harness::SEED))).expect("a start");
    // The length of an answer, which is the same for every purchase.
    let mut plain = house.connect("iso87");
    plain.send(100, &with(PURCHASE, &[(11, "999990")]));
    let mut length = [0; 2];
    plain.socket.read_exact(&mut length).expect("an answer");
    let length = usize::from(u16::from_be_bytes(length));

    for (n, way) in ways.iter().enumerate() {
        let (_, _, address) =
            *house.daemon().links.iter().find(|(name, _, _)| *name == format!("w{n}")).expect("a link");
        let socket = TcpStream::connect(address).expect("the link listens");
        socket.set_nodelay(true).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        let mut wire = Wire { way, socket };
        let stan = |k: usize| format!("{:06}", n * 10 + k);
        let stans = [stan(1), stan(2), stan(3)];
        let [first, second, third] = stans.each_ref().map(|stan| wire.request(stan));
        let half = third.len() / 2;
        wire.write(&[&first, way.poll, &second, &third[..half]].concat());
        wire.answer(length, &stans[0]);
        assert_eq!(wire.take(way.polled.len()), way.polled, "{}: the poll", way.name);
        wire.answer(length, &stans[1]);
        for byte in &third[half..] {
            wire.write(&[*byte]);
        }
        wire.answer(length, &stans[2]);
        assert_eq!(house.dropped_in_all(&format!("w{n}")), 0, "{}", way.name);
        let polls = house.metric(&format!("turnpike_keep_alives_total{{link=\"w{n}\"}}"));
        assert_eq!(polls, u64::from(!way.poll.is_empty()), "{}", way.name);
    }
    let purchases = 3 * ways.len() as i64;
    assert_eq!(house.balance(1), (100_000, 5_000 + purchases), "each purchase held its cent once");
}

#[test]
fn framing_that_does_not_go_together_is_refused_with_its_place() {
    let table = [
        ("length_bytes = 0", "must end with a `trailer`"),
        ("length_bytes = 0, trailer = \"03\", inclusive = true", "without a length"),
        ("length_bytes = 7", "must be between 0 and 6"),
        ("length_encoding = \"latin\"", "must be one of ascii, ebcdic, bcd, binary, hex"),
        ("length_encoding = \"ascii\", little_endian = true", "only a binary length"),
        ("trailer = \"\"", "1 to 4 bytes in hex"),
        ("trailer = \"3\"", "1 to 4 bytes in hex"),
        ("before = 1, before_bytes = \"02\"", "in place of `before`"),
        ("after_bytes = \"0\"", "1 to 16 bytes in hex"),
        ("check = true", "without a length"),
        ("trailer_counted = false", "there is no trailer"),
        ("tpdu = \"turn\"", "must be one of swap, keep"),
        ("session_control = true", "the last of four bytes"),
        ("max = 100", "`max_frame_bytes`"),
        ("colour = 1", "unknown key `links.a.framing.colour`"),
    ];
    for (framing, expected) in table {
        let text = format!(
            "[links.a]\ndialect = \"iso87-ascii\"\nlisten = \"127.0.0.1:0\"\nframing = {{ {framing} }}\n"
        );
        let findings = Config::from_toml("links.toml", &text).expect_err("a refusal");
        assert!(findings[0].message.contains(expected), "{framing}: {}", findings[0]);
        assert_eq!((findings[0].line, findings[0].column > 10), (4, true), "{framing}: {}", findings[0]);
    }
}
