//! Links over real sockets, in every dialect: sign-on and echo, framing, what is malformed, and peers that misbehave
//! while others go on being served.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::collections::BTreeSet;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::time::Duration;

use harness::House;
use harness::LINKS;
use harness::Message;
use harness::PURCHASE;
use harness::Peer;
use harness::Values;
use harness::echo_frame;
use harness::eventually;
use harness::frame;
use harness::with;
use turnpike::config::money::Reply;
use turnpike::dialect::Dialect;
use turnpike::dialect::MessageHeader;
use turnpike::dialect::header::VISA_HEADER_BYTES;
use turnpike::iso8583::digits::hex_bytes;
use turnpike::iso8583::digits::to_ebcdic;
use turnpike::iso8583::spec::Encoding;
use turnpike::iso8583::view::Spans;
use turnpike::iso8583::view::View;

// ---- network management

#[test]
fn r23_sign_on_echo_sign_off_and_refused_key_exchange() {
    let (house, _directory) = House::fresh(|_| {});
    // MTI, DE 70, DE 39, and whether the peer is signed on after it.
    let visa: &[(u16, &str, &str, u64)] = &[
        (800, "071", "00", 1),
        (800, "301", "00", 1),
        (800, "161", "12", 1),
        (800, "162", "12", 1),
        (800, "999", "12", 1),
        (800, "072", "00", 0),
        (801, "071", "00", 1),
    ];
    let iso87: &[(u16, &str, &str, u64)] = &[
        (800, "001", "00", 1),
        (800, "301", "00", 1),
        (800, "161", "12", 1),
        (800, "101", "12", 1),
        (800, "002", "00", 0),
        (801, "071", "00", 1),
    ];
    let mastercard: &[(u16, &str, &str, u64)] = &[
        (800, "061", "00", 1),
        (800, "270", "00", 1),
        (800, "161", "96", 1),
        (800, "162", "96", 1),
        (800, "060", "96", 1),
        (800, "062", "00", 0),
        (801, "001", "00", 1),
    ];
    for ((link, _), table) in LINKS.into_iter().zip([visa, mastercard, iso87, iso87]) {
        let mut peer = house.connect(link);
        for (n, (mti, code, response_code, signed_on)) in table.iter().enumerate() {
            let stan = format!("{n:06}");
            let request = [(7, "0604123456"), (11, stan.as_str()), (37, "415600000042"), (70, *code)];
            let answer = peer.ask(*mti, &request);
            assert_eq!(answer.mti, 810, "{link} {code}");
            let expected = with(&request, &[(39, response_code)]);
            let found: Vec<(u8, &str)> = answer.values.iter().map(|(f, v)| (*f, v.as_str())).collect();
            assert_eq!(found, expected, "{link} {code}: what is echoed, and DE 39");
            let gauge = format!("turnpike_link_signed_on{{link=\"{link}\"}}");
            assert_eq!(house.metric(&gauge), *signed_on, "{link} {code}");
        }
        assert_eq!(house.dropped_in_all(link), 0);
    }
}

#[test]
fn r23_sign_on_belongs_to_the_link_and_not_to_the_socket() {
    let (house, _directory) = House::fresh(|_| {});
    let mut first = house.connect("visa");
    let sign_on = [(7, "0604123456"), (11, "000001"), (70, "071")];
    assert_eq!(first.ask(800, &sign_on).outcome(), (810, "00"));
    drop(first);
    let mut second = house.connect("visa");
    assert_eq!(second.ask(100, PURCHASE).outcome(), (110, "00"));
    assert_eq!(house.metric("turnpike_link_signed_on{link=\"visa\"}"), 1);
    assert_eq!(house.metric("turnpike_link_signed_on{link=\"iso87\"}"), 0);
}

#[test]
fn keep_alives_are_answered_and_session_control_is_passed_over() {
    let (house, _directory) = House::fresh(|_| {});
    let table: &[(&str, &[u8], bool)] = &[
        ("visa", &[0, 0, 0, 0], true),
        ("visa", &[0, 4, 0, 0x20, 1, 2, 3, 4], false),
        ("mastercard", &[0, 0], true),
        ("iso87", &[0, 0], true),
    ];
    for (link, bytes, answered) in table {
        let mut peer = house.connect(link);
        peer.write(bytes);
        if *answered {
            let mut answer = vec![0xff; bytes.len()];
            peer.socket.read_exact(&mut answer).expect("an answer");
            assert_eq!(answer, *bytes, "{link}");
        }
        // Whatever else had been sent would come before this answer.
        peer.echo();
    }
    assert_eq!(house.metric("turnpike_keep_alives_total{link=\"visa\"}"), 2);
    assert_eq!(house.metric("turnpike_keep_alives_total{link=\"iso87\"}"), 1);
}

// ---- framing

#[test]
fn several_messages_in_one_write_and_one_message_byte_by_byte() {
    let (house, _directory) = House::fresh(|_| {});
    for (link, _) in LINKS {
        let mut peer = house.connect(link);
        let stans = ["000001", "000002", "000003", "000004"];
        let mut stream = Vec::new();
        for stan in stans {
            stream.extend(frame(&peer.dialect, 100, &with(PURCHASE, &[(11, stan), (4, "000000000001")])));
        }
        peer.write(&stream);
        for stan in stans {
            let answer = peer.receive().expect("an answer");
            assert_eq!((answer.outcome(), answer.value(11)), ((110, "00"), stan));
        }
        // The last frame's first half comes with the frame before it.
        let single = frame(&peer.dialect, 100, &with(PURCHASE, &[(11, "000005")]));
        for byte in single {
            peer.write(&[byte]);
        }
        let answer = peer.receive().expect("an answer");
        assert_eq!((answer.outcome(), answer.value(11)), ((110, "00"), "000005"));
        let (whole, half) = (frame(&peer.dialect, 100, &with(PURCHASE, &[(11, "000006")])), 30);
        let cut: Vec<u8> = [&whole[..], &whole[..half]].concat();
        peer.write(&cut);
        assert_eq!(peer.receive().expect("an answer").value(11), "000006");
        peer.write(&whole[half..]);
        assert_eq!(peer.receive().expect("the same answer").value(11), "000006");
    }
}

#[test]
fn requests_sent_without_waiting_are_all_answered_once() {
    const REQUESTS: u32 = 500;
    let (house, _directory) = House::fresh(|config| config.journal.reply = Reply::Fsync);
    for (link, _) in LINKS {
        let mut peer = house.connect(link);
        let answers = burst(&mut peer, REQUESTS);
        assert!(answers.iter().all(|answer| answer.outcome() == (110, "00")), "{link}");
        let answered: BTreeSet<&str> = answers.iter().map(|answer| answer.value(11)).collect();
        assert_eq!(answered.len(), REQUESTS as usize, "{link}: none twice");
        peer.echo();
    }
    assert_eq!(house.balance(1), (100_000, LINKS.len() as i64 * i64::from(REQUESTS)));
}

/// Sends requests of one cent each at once, and takes as many answers.
fn burst(peer: &mut Peer, requests: u32) -> Vec<Message> {
    let stans = (0..requests).map(|n| format!("{n:06}"));
    let cents = |stan: &String| {
        frame(&peer.dialect, 100, &with(PURCHASE, &[(4, "000000000001"), (11, stan.as_str())]))
    };
    let stream: Vec<u8> = stans.flat_map(|stan| cents(&stan)).collect();
    peer.write(&stream);
    Vec::from_iter(std::iter::from_fn(|| peer.receive()).take(requests as usize))
}

#[test]
fn r2_what_finds_no_room_to_wait_is_answered_91_and_changes_nothing() {
    let (house, _directory) = House::fresh(|config| {
        config.journal.reply = Reply::Fsync;
        config.links.iter_mut().for_each(|link| link.parked_max = 8);
    });
    let mut held = 0;
    for (link, _) in LINKS {
        let mut peer = house.connect(link);
        let answers = burst(&mut peer, 500);
        let stans: BTreeSet<&str> = answers.iter().map(|answer| answer.value(11)).collect();
        assert_eq!(stans.len(), 500, "{link}: each is answered once");
        let count = |code| answers.iter().filter(|answer| answer.outcome() == (110, code)).count() as i64;
        assert_eq!(count("00") + count("91"), 500, "{link}");
        assert!(count("00") >= 8 && count("91") > 0, "{link}: {} approved", count("00"));
        held += count("00");
        assert_eq!(house.balance(1), (100_000, held), "{link}");
    }
}

#[test]
fn r3_an_answer_that_is_too_late_is_not_sent_and_its_hold_stays() {
    let (house, _directory) = House::fresh(|config| {
        config.journal.reply = Reply::Fsync;
        config.links.iter_mut().for_each(|link| link.answer_deadline_ms = 1);
    });
    // A peer that sends nothing more waits no longer than others do.
    let peers = LINKS.into_iter().flat_map(|(link, _)| [(link, false), (link, true)]);
    for (n, (link, half_closes)) in peers.enumerate() {
        let mut peer = house.connect(link);
        let late = house.dropped(link, "late");
        for stan in 0..100 {
            let (stan, rrn) = (format!("{stan:06}"), format!("LATE{:08}", u8::from(half_closes)));
            peer.send(100, &with(PURCHASE, &[(4, "000000000001"), (11, &stan), (37, &rrn)]));
        }
        if half_closes {
            peer.socket.shutdown(Shutdown::Write).expect("a socket");
        }
        // How fast the disk is decides how many are late; those that are not are answered.
        let held = 100 * (n as i64 + 1);
        eventually("all are decided", || house.balance(1).1 == held);
        eventually("none waits", || house.metric("turnpike_answers_parked") == 0);
        if !half_closes {
            let last = echo_frame(&peer.dialect, "999999");
            peer.write(&last);
        }
        let answers = std::iter::from_fn(|| peer.receive()).take_while(|answer| answer.mti == 110);
        let answered = answers.inspect(|answer| assert_eq!(answer.value(39), "00")).count() as u64;
        eventually("each is answered or late", || answered + house.dropped(link, "late") - late == 100);
        assert_eq!(house.balance(1), (100_000, held), "{link}");
    }
}

#[test]
fn a_frame_longer_than_allowed_closes_its_socket_only() {
    let (house, _directory) = House::fresh(|_| {});
    // 4,097 bytes are announced, and 4,096 are allowed.
    let table: &[(&str, &[u8])] = &[("visa", &[0x10, 0x01, 0, 0]), ("iso87", &[0x10, 0x01])];
    for (link, head) in table {
        let (mut bad, mut good) = (house.connect(link), house.connect(link));
        good.echo();
        let mut stream = frame(&bad.dialect, 100, PURCHASE);
        stream.extend_from_slice(head);
        bad.write(&stream);
        let before = bad.receive().expect("what came before is answered");
        assert_eq!(before.outcome(), (110, "00"));
        bad.expect_closed();
        assert_eq!(house.dropped(link, "framing"), 1);
        good.echo();
    }
}

// ---- what is malformed (R24)

/// How a dialect answers: DE 39 and DE 44, or not at all.
type Answered = Option<(&'static str, &'static str)>;

/// A kind of mistake: the frame, and the answer of Visa and of the others.
struct Mistake {
    name: &'static str,
    frame: fn(&Dialect) -> Vec<u8>,
    visa: Answered,
    others: Answered,
}

/// Where the message starts in a frame.
fn message_at(dialect: &Dialect) -> usize {
    let header = if dialect.header() == MessageHeader::Visa { VISA_HEADER_BYTES } else { 0 };
    dialect.framing().prefix_bytes() + header
}

/// A purchase with these fields besides, and the bytes of one field from its start on changed.
fn corrupted(dialect: &Dialect, more: &Values<'_>, field: u8, bytes: &[u8]) -> Vec<u8> {
    let mut whole = frame(dialect, 100, &with(PURCHASE, more));
    let start = message_at(dialect);
    let mut spans = Spans::default();
    let view = View::parse(dialect.layout(), &whole[start..], &mut spans).map_err(|broken| broken.error);
    let at = start + view.expect("a right message").offsets(field).expect("a field").0;
    whole[at..at + bytes.len()].copy_from_slice(bytes);
    whole
}

fn plain(dialect: &Dialect, changes: &Values<'_>) -> Vec<u8> {
    frame(dialect, 100, &with(PURCHASE, changes))
}

/// A frame around any bytes.
fn framed(dialect: &Dialect, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let start = dialect.framing().begin(&mut out);
    out.extend_from_slice(body);
    dialect.framing().finish(&mut out, start).expect("short enough");
    out
}

/// A purchase whose frame holds a byte less, or these bytes more.
fn resized(dialect: &Dialect, less: usize, more: &[u8]) -> Vec<u8> {
    let whole = frame(dialect, 100, PURCHASE);
    let body = &whole[dialect.framing().prefix_bytes()..whole.len() - less];
    framed(dialect, &[body, more].concat())
}

fn is_visa(dialect: &Dialect) -> bool {
    dialect.header() == MessageHeader::Visa
}

/// A purchase whose bitmap is cut off, or, where it is in hex, has a character that is no digit.
fn without_bitmap(dialect: &Dialect) -> Vec<u8> {
    let whole = frame(dialect, 100, PURCHASE);
    let mti_bytes = if dialect.layout().mti() == Encoding::Bcd { 2 } else { 4 };
    let start = dialect.framing().prefix_bytes();
    let bitmap_at = message_at(dialect) + mti_bytes;
    if dialect.layout().bitmap() == Encoding::Binary {
        return framed(dialect, &whole[start..bitmap_at + 5]);
    }
    let mut body = whole[start..].to_vec();
    body[bitmap_at - start + 7] = b'x';
    framed(dialect, &body)
}

/// The bytes of digits in the encoding of the dialect's numbers. A letter stands for a nibble that is no digit.
fn digits(dialect: &Dialect, text: &str) -> Vec<u8> {
    match dialect.layout().field(4).expect("an amount").encoding {
        Encoding::Bcd => hex_bytes(text.as_bytes()).expect("pairs of digits"),
        Encoding::Ebcdic => text.bytes().map(to_ebcdic).collect(),
        _ => text.as_bytes().to_vec(),
    }
}

/// A length of two digits as it stands in front of DE 2 and DE 32.
fn length(dialect: &Dialect, value: u8) -> Vec<u8> {
    if is_visa(dialect) { vec![value] } else { digits(dialect, &format!("{value:02}")) }
}

const MALFORMED: &[Mistake] = &[
    Mistake { name: "garbage", frame: |dialect| framed(dialect, &[0xaa; 60]), visa: None, others: None },
    Mistake { name: "one byte", frame: |dialect| framed(dialect, &[0x16]), visa: None, others: None },
    Mistake { name: "a bitmap that cannot be", frame: without_bitmap, visa: None, others: None },
    Mistake {
        name: "a length above the field's, before the trace number",
        frame: |dialect| corrupted(dialect, &[], 2, &length(dialect, 99)),
        visa: None,
        others: None,
    },
    Mistake {
        name: "a length above the field's, after the trace number",
        frame: |dialect| corrupted(dialect, &[], 32, &length(dialect, 99)),
        visa: None,
        others: Some(("30", "032")),
    },
    Mistake {
        name: "a length that is no number",
        frame: |dialect| corrupted(dialect, &[], 32, &[0xff]),
        visa: None,
        others: Some(("30", "032")),
    },
    Mistake {
        name: "letters in a number that is echoed",
        frame: |dialect| corrupted(dialect, &[], 4, &digits(dialect, "AB")),
        visa: None,
        others: Some(("30", "004")),
    },
    Mistake {
        name: "letters in a number that is not echoed",
        frame: |dialect| corrupted(dialect, &[], 18, &digits(dialect, "AB")),
        visa: Some(("12", "")),
        others: Some(("30", "018")),
    },
    Mistake {
        name: "a time that is none",
        frame: |dialect| plain(dialect, &[(7, "1331246060")]),
        visa: Some(("12", "")),
        others: Some(("30", "007")),
    },
    Mistake {
        name: "a date that is none",
        frame: |dialect| plain(dialect, &[(13, "0230")]),
        visa: Some(("12", "")),
        others: Some(("30", "013")),
    },
    Mistake {
        name: "a month that is none",
        frame: |dialect| plain(dialect, &[(14, "3013")]),
        visa: Some(("12", "")),
        others: Some(("30", "014")),
    },
    Mistake {
        name: "no trace number",
        frame: |dialect| plain(dialect, &[(11, "")]),
        visa: None,
        others: None,
    },
    Mistake {
        name: "no amount",
        frame: |dialect| plain(dialect, &[(4, "")]),
        visa: Some(("12", "")),
        others: Some(("30", "004")),
    },
    Mistake {
        name: "bytes after the last field",
        frame: |dialect| resized(dialect, 0, &[0x31, 0x32]),
        visa: Some(("12", "")),
        others: Some(("30", "")),
    },
    Mistake {
        name: "an end inside the last field",
        frame: |dialect| resized(dialect, 1, &[]),
        visa: None,
        others: Some(("30", "049")),
    },
    Mistake {
        name: "network management without its code",
        frame: |dialect| frame(dialect, 800, &[(7, "0604123456"), (11, "000001")]),
        visa: Some(("12", "")),
        others: Some(("30", "070")),
    },
];

#[test]
fn r24_what_is_malformed_is_answered_as_the_dialect_says_and_counted() {
    let (house, _directory) = House::fresh(|_| {});
    for (link, _) in LINKS {
        let (mut bad, mut good) = (house.connect(link), house.connect(link));
        for mistake in MALFORMED {
            let expected = if link == "visa" { mistake.visa } else { mistake.others };
            let reason = if expected.is_some() { "malformed" } else { "malformed-unanswered" };
            let (before, all) = (house.dropped(link, reason), house.dropped_in_all(link));
            // A good message right behind it: what is malformed spoils nothing but itself.
            let mut stream = (mistake.frame)(&bad.dialect);
            stream.extend(echo_frame(&bad.dialect, "777777"));
            bad.write(&stream);
            let mut next = bad.receive().expect("an answer");
            if let Some((response_code, field)) = expected {
                assert_eq!(next.value(39), response_code, "{link}: {}: {next:?}", mistake.name);
                assert_eq!(next.value(44), field, "{link}: {}: {next:?}", mistake.name);
                assert_ne!(next.value(11), "777777", "{link}: {}", mistake.name);
                next = bad.receive().expect("an answer");
            }
            assert_eq!((next.outcome(), next.value(11)), ((810, "00"), "777777"), "{link}: {}", mistake.name);
            assert_eq!(house.dropped(link, reason), before + 1, "{link}: {}", mistake.name);
            assert_eq!(house.dropped_in_all(link), all + 1, "{link}: {}", mistake.name);
            good.echo();
        }
        assert_eq!(house.balance(1), (100_000, 0), "nothing that was malformed moved money");
    }
}

#[test]
fn r24_what_is_not_served_is_refused_and_what_asks_nothing_is_counted() {
    let (house, _directory) = House::fresh(|_| {});
    // MTI, the answer's, and the counter.
    let table: &[(u16, Option<u16>, &str)] = &[
        (500, Some(510), "unsupported"),
        (600, Some(610), "unsupported"),
        (900, Some(910), "unsupported"),
        (110, None, "unmatched-response"),
        (410, None, "unmatched-response"),
        (810, None, "unmatched-response"),
    ];
    for (link, _) in LINKS {
        let mut peer = house.connect(link);
        for (mti, answer, reason) in table {
            let before = house.dropped(link, reason);
            peer.send(*mti, &with(PURCHASE, &[(39, if answer.is_none() { "00" } else { "" })]));
            if let Some(answer) = answer {
                let refusal = peer.receive().expect("an answer");
                assert_eq!(refusal.outcome(), (*answer, "12"), "{link} {mti:04}");
                assert_eq!(refusal.value(11), "000001", "{link} {mti:04}: it can be matched");
                assert_eq!(refusal.value(7), "0604123456", "{link} {mti:04}: it can be matched");
            }
            peer.echo();
            assert_eq!(house.dropped(link, reason), before + 1, "{link} {mti:04}");
        }
        // An answer without a trace number could not be matched.
        peer.send(600, &with(PURCHASE, &[(11, "")]));
        peer.echo();
    }
    assert_eq!(house.balance(1), (100_000, 0));
}

// ---- peers that misbehave

#[test]
fn an_unfinished_frame_closes_its_socket_after_a_time() {
    let (house, _directory) = House::fresh(|config| {
        config.links.iter_mut().for_each(|link| link.partial_frame_ms = 300);
    });
    for (link, _) in LINKS {
        let mut good = house.connect(link);
        let mut silent = house.connect(link);
        let whole = frame(&silent.dialect, 100, PURCHASE);
        silent.write(&whole[..whole.len() / 2]);
        silent.expect_closed();
        eventually("it is counted", || house.dropped(link, "partial-frame") == 1);
        // One that never stops sending, and never comes to an end.
        let mut slow = house.connect(link);
        slow.socket.set_read_timeout(Some(Duration::from_millis(40))).expect("a socket");
        let closed = whole[..whole.len() - 1].iter().any(|byte| {
            let sent = slow.socket.write_all(&[*byte]);
            let waits = |error: &std::io::Error| error.kind() == std::io::ErrorKind::WouldBlock;
            sent.is_err() || !matches!(slow.socket.read(&mut [0]), Err(error) if waits(&error))
        });
        assert!(closed, "{link}: a byte now and then is not a frame");
        eventually("it is counted", || house.dropped(link, "partial-frame") == 2);
        good.echo();
    }
}

#[test]
fn a_silent_peer_is_closed_after_its_idle_time() {
    let (house, _directory) = House::fresh(|config| config.links[0].idle_s = Some(1));
    let mut forgotten = house.connect("visa");
    let mut other = house.connect("iso87");
    forgotten.echo();
    forgotten.expect_closed();
    eventually("it is counted", || house.dropped("visa", "idle") == 1);
    other.echo();
    assert_eq!(house.dropped("iso87", "idle"), 0);
}

/// The timer that the system has running on the daemon's end of a socket: 2 is the keep-alive's.
#[cfg(target_os = "linux")]
fn timer(peer: &Peer) -> String {
    let port =
        |address: std::io::Result<std::net::SocketAddr>| format!(":{:04X}", address.expect("open").port());
    let (daemon, own) = (port(peer.socket.peer_addr()), port(peer.socket.local_addr()));
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of sockets");
    let mut rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row[1].ends_with(&daemon) && row[2].ends_with(&own)).expect("its row");
    row[5].split(':').next().unwrap_or_default().to_owned()
}

#[cfg(target_os = "linux")]
#[test]
fn the_system_watches_every_socket_unless_it_is_set_otherwise() {
    let (house, _directory) = House::fresh(|config| config.links[0].tcp.keep_alive = None);
    for (n, (link, _)) in LINKS.into_iter().enumerate() {
        let mut peers = [house.connect(link), house.connect(link)];
        peers.iter_mut().for_each(Peer::echo);
        let expected = if n == 0 { "00" } else { "02" };
        // Until what was sent last is acknowledged, that timer is another one.
        eventually("the timer runs", || peers.iter().all(|peer| timer(peer) == expected));
    }
}

#[test]
fn a_peer_that_never_reads_is_closed_and_disturbs_nobody() {
    let (house, _directory) = House::fresh(|config| {
        config.links.iter_mut().for_each(|link| link.write_timeout_ms = 500);
    });
    for (link, _) in LINKS {
        let (mut deaf, mut good) = (house.connect(link), house.connect(link));
        let request = echo_frame(&deaf.dialect, "000001");
        let stream = request.repeat(1000);
        let writer = std::thread::spawn(move || {
            // Ends when the daemon has closed the socket.
            while deaf.socket.write_all(&stream).is_ok() {}
            deaf
        });
        while !writer.is_finished() {
            good.echo();
        }
        drop(writer.join());
        eventually("it is counted", || house.dropped(link, "not-reading") == 1);
        good.echo();
    }
}

#[test]
fn a_socket_too_many_is_closed_and_a_freed_place_is_taken() {
    let (house, _directory) = House::fresh(|config| {
        config.links.iter_mut().for_each(|link| link.connections_max = 2);
    });
    for (link, _) in LINKS {
        let mut peers = [house.connect(link), house.connect(link)];
        peers.iter_mut().for_each(Peer::echo);
        house.connect(link).expect_closed();
        eventually("it is counted", || house.dropped(link, "too-many-connections") == 1);
        peers.iter_mut().for_each(Peer::echo);
        let [kept, gone] = peers;
        drop(gone);
        let open = format!("turnpike_connections{{link=\"{link}\"}}");
        eventually("the place is free", || house.metric(&open) == 1);
        house.connect(link).echo();
        drop(kept);
    }
}

#[test]
fn a_peer_that_has_said_all_gets_the_answers_that_wait_for_the_disk() {
    let (house, _directory) = House::fresh(|config| config.journal.reply = Reply::Fsync);
    for (link, _) in LINKS {
        for n in 0..20 {
            let mut peer = house.connect(link);
            // The half of a frame behind the last request comes to nothing.
            let mut stream = Vec::new();
            for m in 0..=n {
                let (stan, rrn) = (format!("{m:06}"), format!("H{n:03}{m:08}"));
                let changes = [(4, "000000000001"), (11, &stan[..]), (37, &rrn[..])];
                stream.extend(frame(&peer.dialect, 100, &with(PURCHASE, &changes)));
            }
            stream.extend(&frame(&peer.dialect, 100, PURCHASE)[..30]);
            peer.write(&stream);
            peer.socket.shutdown(Shutdown::Write).expect("a socket");
            for m in 0..=n {
                let answer = peer.receive().expect("an answer");
                let stan = format!("{m:06}");
                assert_eq!((answer.outcome(), answer.value(11)), ((110, "00"), &stan[..]), "{link} {n}");
            }
            peer.expect_closed();
        }
        eventually("none is left", || house.metric(&format!("turnpike_connections{{link=\"{link}\"}}")) == 0);
        assert_eq!(house.dropped_in_all(link), 0, "{link}");
    }
    assert_eq!(house.metric("turnpike_answers_parked"), 0);
}

#[test]
fn a_peer_that_leaves_before_its_answer_leaves_the_others_alone() {
    let (house, _directory) = House::fresh(|_| {});
    for (link, _) in LINKS {
        let mut good = house.connect(link);
        for n in 0..50 {
            let mut peer = house.connect(link);
            let stan = format!("{n:06}");
            peer.send(100, &with(PURCHASE, &[(4, "000000000001"), (11, &stan)]));
        }
        good.echo();
        let open = format!("turnpike_connections{{link=\"{link}\"}}");
        eventually("only one is left", || house.metric(&open) == 1);
        let answers: Vec<Message> = (0..50)
            .map(|n| {
                let stan = format!("{n:06}");
                good.ask(101, &with(PURCHASE, &[(4, "000000000001"), (11, &stan)]))
            })
            .collect();
        assert!(answers.iter().all(|answer| answer.outcome() == (110, "00")), "{link}");
    }
    // The first request or its repeat held the amount, and never both.
    assert_eq!(house.balance(1), (100_000, 50 * LINKS.len() as i64));
}
