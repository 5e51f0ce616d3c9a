//! What `turnpike decode --guess` finds out: the framing, header, encodings and dialect of messages of others, and of
//! messages of every dialect that is compiled in, framed in every customary way.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails where it stands")]

mod foreign;
#[expect(dead_code, reason = "each test uses a part of what they share")]
mod harness;

use harness::PURCHASE;
use harness::frame;
use harness::with;
use serde_json::Value as Json;
use turnpike::dialect::Dialect;
use turnpike::dialect::guess::Guess;
use turnpike::dialect::guess::guess;
use turnpike::iso8583::digits::hex_bytes;
use turnpike::iso8583::frame::Framing;
use turnpike::iso8583::frame::Kind;
use turnpike::iso8583::frame::Tpdu;
use turnpike::iso8583::spec::Encoding;
use turnpike::iso8583::spec::Prefix;

/// A capture that begins or ends inside a frame.
#[test]
fn what_is_cut_off_at_an_end_of_the_input_is_passed_over() {
    for name in Dialect::built_in_names() {
        let dialect = Dialect::built_in(name).expect("a dialect that is compiled in");
        let stans = ["000001", "000002", "000003", "000004"];
        let frames = stans.map(|stan| frame(&dialect, 100, &with(PURCHASE, &[(11, stan)])));
        let stream = frames.concat();
        let one = frames[0].len();
        for (from, to) in [(0, 2 * one + 20), (one / 2, stream.len() - one / 2)] {
            let found = best(&[&stream[from..to]], &format!("{name} {from} to {to}"));
            assert_eq!(found.base(), name, "{from} to {to}: {}", found.text());
            assert_eq!(found.framing(), Some(dialect.framing()), "{from} to {to}: {}", found.text());
            let before = if from > 0 { one - from } else { 0 };
            let behind = to % one;
            let said = format!("{before} bytes in front of them and {behind} behind");
            assert!(found.reasons()[0].contains(&said), "{said}: {}", found.text());
        }
    }
}

fn best(streams: &[&[u8]], what: &str) -> Guess {
    let guesses = guess(streams, &[]);
    guesses.first().cloned().unwrap_or_else(|| panic!("{what}: nothing fits"))
}

#[test]
fn frames_of_others_are_recognized_one_by_one_and_together() {
    let Some(cases) = foreign::cases("visa_mastercard.jsonl") else { return };
    for (name, start) in [("visa", "visa"), ("mastercard", "mastercard CIS")] {
        let Some(dialect) = Dialect::built_in(name) else { continue };
        let of_it = |case: &&Json| case["dialect"].as_str().is_some_and(|text| text.starts_with(start));
        let frames: Vec<Vec<u8>> = cases
            .iter()
            .filter(of_it)
            .map(|case| hex_bytes(case["hex"].as_str().expect("hex").as_bytes()).expect("hex"))
            .collect();
        assert!(frames.len() > 2, "{name}");
        let check = |bytes: &[u8], frames: usize| {
            let found = best(&[bytes], name);
            assert_eq!((found.base(), found.is_base_as_it_stands()), (name, true), "{}", found.text());
            assert_eq!(found.framing(), Some(dialect.framing()), "{}", found.text());
            let expected = format!("[links.guessed]\ndialect = \"{name}\"\nlisten = \"127.0.0.1:9000\"\n");
            assert_eq!(found.link(), expected);
            assert_eq!(found.json()["messages"], frames);
        };
        for frame in &frames {
            check(frame, 1);
        }
        check(&frames.concat(), frames.len());
        // Without their framing they are messages side by side.
        let bodies: Vec<&[u8]> =
            frames.iter().map(|frame| &frame[dialect.framing().prefix_bytes()..]).collect();
        let found = best(&bodies, name);
        assert_eq!((found.base(), found.framing()), (name, None), "{}", found.text());
    }
}

fn length(encoding: Encoding, width: u8) -> Framing {
    Framing { length: Prefix { encoding, width }, ..Framing::default() }
}

/// The customs of section 6 of the field's reference.
fn framings() -> Vec<Framing> {
    use Encoding::Ascii;
    use Encoding::Bcd;
    use Encoding::Binary;
    use Encoding::Ebcdic;
    use Encoding::Hex;
    let swap = Some(Tpdu::Swap);
    vec![
        length(Binary, 2),
        Framing { inclusive: true, ..length(Binary, 2) },
        Framing { little_endian: true, ..length(Binary, 2) },
        Framing { little_endian: true, inclusive: true, ..length(Binary, 2) },
        length(Binary, 3),
        length(Binary, 4),
        Framing { inclusive: true, ..length(Binary, 4) },
        Framing { little_endian: true, ..length(Binary, 4) },
        length(Bcd, 2),
        length(Ascii, 4),
        Framing { inclusive: true, ..length(Ascii, 4) },
        length(Ascii, 3),
        length(Hex, 4),
        length(Ebcdic, 4),
        Framing { after: 2, ..length(Binary, 2) },
        Framing { before: 2, ..length(Binary, 2) },
        Framing { trailer: vec![3], ..length(Binary, 2) },
        Framing { trailer: vec![3], trailer_counted: false, ..length(Binary, 2) },
        Framing { tpdu: swap, ..length(Binary, 2) },
        Framing { tpdu: swap, inclusive: true, ..length(Binary, 2) },
        Framing { tpdu: swap, ..length(Bcd, 2) },
        Framing { tpdu: swap, ..length(Hex, 4) },
    ]
}

/// A purchase, an echo test, and a reversal advice.
fn stream(dialect: &Dialect) -> Vec<u8> {
    let echo = [(7, "0604123456"), (11, "999999"), (70, "301")];
    let reversal =
        with(PURCHASE, &[(38, "A1B2C3"), (90, "010000000106041234560001234567800000000000"), (14, "")]);
    [frame(dialect, 100, PURCHASE), frame(dialect, 800, &echo), frame(dialect, 420, &reversal)].concat()
}

/// The messages of a stream under a framing, and the stream that they make again.
fn again(framing: &Framing, stream: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut bodies, mut again) = (Vec::new(), Vec::new());
    let mut at = 0;
    while let Some(frame) = framing.next(&stream[at..]).expect("right framing") {
        assert_eq!(frame.kind, Kind::Message, "{framing:?}");
        let body = stream[at..][frame.body].to_vec();
        let start = framing.begin(&mut again);
        again.extend_from_slice(&body);
        framing.finish(&mut again, start).expect("short enough");
        bodies.push(body);
        at += frame.total;
    }
    assert_eq!(at, stream.len());
    (bodies, again)
}

#[test]
fn every_dialect_is_recognized_in_every_framing() {
    let mut recognized = 0;
    for name in Dialect::built_in_names() {
        let built_in = Dialect::built_in(name).expect("a dialect that is compiled in");
        for framing in framings() {
            if framing.tpdu.is_some() && name == "visa" {
                continue;
            }
            let dialect = built_in.clone().with_framing(framing.clone());
            let stream = stream(&dialect);
            let found = best(&[&stream], name);
            assert_eq!(
                (found.base(), found.is_base_as_it_stands()),
                (name, true),
                "{framing:?}: {}",
                found.text()
            );
            // Two framings may stand for the same bytes: 00 00 01 35 is a length of four, or of two behind two.
            let guessed = found.framing().unwrap_or_else(|| panic!("{name} {framing:?}: no framing"));
            assert_eq!(guessed.tpdu, framing.tpdu, "{name}");
            assert_eq!(again(guessed, &stream), again(&framing, &stream), "{name} {framing:?}: {guessed:?}");
            assert_eq!(again(guessed, &stream).1, stream, "{name} {framing:?}: {guessed:?}");
            recognized += 1;
        }
    }
    let all = framings().len() * Dialect::built_in_names().len();
    assert_eq!(recognized, all - 4, "all but Visa behind a TPDU");
}

#[test]
fn one_frame_with_a_poll_is_enough_and_an_etx_does_for_a_length() {
    let iso87 = Dialect::built_in("iso87-ascii").expect("a dialect");
    let etx = Framing { trailer: vec![3], ..length(Encoding::Binary, 0) };
    for (framing, poll) in [
        (length(Encoding::Binary, 2), vec![0, 0]),
        (length(Encoding::Ascii, 4), b"0000".to_vec()),
        (etx, vec![3]),
    ] {
        let dialect = iso87.clone().with_framing(framing.clone());
        let stream = [poll, frame(&dialect, 100, PURCHASE)].concat();
        let found = best(&[&stream], "iso87-ascii");
        assert_eq!(found.base(), "iso87-ascii");
        let found = found.framing().expect("a framing");
        assert_eq!((found.length, &found.trailer), (framing.length, &framing.trailer));
    }
}

/// What tables with other encodings and headers write is found, and the file that is made of it reads it.
#[test]
fn other_encodings_and_headers_give_a_dialect_file_that_reads_them() {
    let built_in = include_str!("../src/dialect/tables/iso87-ascii.toml");
    let literal = ("header = \"none\"", "header = \"literal\"\nheader_text = \"ISO015000077\"");
    let ebcdic = [
        ("mti = \"ascii\"", "mti = \"ebcdic\""),
        ("bitmap = \"hex\"", "bitmap = \"binary\""),
        ("numeric = \"ascii\"", "numeric = \"ebcdic\""),
        ("text = \"ascii\"", "text = \"ebcdic\""),
        ("length = \"ascii\"", "length = \"ebcdic\""),
    ];
    let packed = [
        ("mti = \"ascii\"", "mti = \"bcd\""),
        ("bitmap = \"hex\"", "bitmap = \"binary\""),
        ("numeric = \"ascii\"", "numeric = \"bcd\""),
        ("length = \"ascii\"", "length = \"binary\""),
    ];
    let table: [&[(&str, &str)]; 6] = [
        &[literal],
        &[literal, ("length_bytes = 2", "length_bytes = 2\ntrailer = \"03\"")],
        &[literal, ("length_bytes = 2", "length_bytes = 2\ntpdu = \"swap\"")],
        &[("bitmap = \"hex\"", "bitmap = \"binary\"")],
        &ebcdic,
        &packed,
    ];
    for changes in table {
        let mut text = built_in.to_owned();
        for (from, to) in changes {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        let dialect = Dialect::from_toml("mine.toml", &text).expect("a right table");
        let stream = stream(&dialect);
        let found = best(&[&stream], &format!("{changes:?}"));
        let made = Dialect::from_toml("guessed.toml", &found.table())
            .unwrap_or_else(|findings| panic!("{changes:?}: {}\n{}", findings[0], found.table()));
        let (read, expected) = (turnpike::dialect::tree::messages(&made, &stream), 3);
        assert_eq!(read.len(), expected, "{changes:?}: {}", found.text());
        for message in &read {
            assert_eq!(message.mistakes, [], "{changes:?}: {}", found.text());
        }
        assert_eq!(
            made.framing(),
            &Framing { max: made.framing().max, ..dialect.framing().clone() },
            "{changes:?}"
        );
        assert_eq!(made.header(), dialect.header(), "{changes:?}");
        assert_eq!(self::stream(&made), stream, "{changes:?}: what it writes is the same");
    }
}

#[test]
fn what_fits_nothing_is_no_guess() {
    let visa = Dialect::built_in("visa").expect("a dialect");
    let whole = frame(&visa, 100, PURCHASE);
    let cut = &whole[..whole.len() - 3];
    let long = [whole.as_slice(), &[0xff, 0xff]].concat();
    for bytes in [&[][..], &[0], &[1, 2, 3, 4, 5, 6], b"hello, world", cut, &long] {
        let found = guess(&[bytes], &[]);
        assert!(found.is_empty(), "{}", found[0].text());
    }
}
