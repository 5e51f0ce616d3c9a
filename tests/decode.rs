//! `turnpike decode` from the command line: every way of giving bytes, trees and JSON, what cannot be read, and two
//! messages side by side.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test uses a part of what they share")]
mod harness;

use std::io::Write;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use harness::PAN;
use harness::PURCHASE;
use harness::dialect;
use harness::frame;
use harness::with;
use serde_json::Value as Json;
use turnpike::dialect::Dialect;
use turnpike::dialect::tree;
use turnpike::dialect::tree::Node;
use turnpike::iso8583::digits::hex_text;

fn decode(arguments: &[&str], input: &[u8]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
    let command = command.arg("decode").args(arguments);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = piped.spawn().expect("it runs");
    // It may end without reading.
    let _ = process.stdin.take().expect("a pipe").write_all(input);
    process.wait_with_output().expect("it ends")
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn complained(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

fn documents(output: &Output) -> Vec<Json> {
    said(output).lines().map(|line| serde_json::from_str(line).expect("a document on a line")).collect()
}

fn stream() -> Vec<u8> {
    let iso87 = dialect("iso87-ascii");
    let echo = [(7, "0604123456"), (11, "999999"), (70, "301")];
    [frame(&iso87, 100, PURCHASE), vec![0, 0], frame(&iso87, 800, &echo)].concat()
}

#[test]
fn one_input_in_every_dress_gives_one_output() {
    let stream = stream();
    let hex = hex_text(&stream);
    let expected = said(&decode(&["--dialect", "iso87-ascii", &hex], b""));
    for line in [
        "    0  133  frame: 2 bytes in front of the message",
        "MTI: 0100  (ISO 8583:1987, authorization request, acquirer)",
        "DE 2 Primary account number: 411111******1111",
        "DE 3 Processing code: 000000  (goods and services, from default, to default)",
        "DE 4 Amount, transaction: 000000005000  (50.00 USD)",
        "frame: keep-alive, without a message",
        "DE 70 Network management information code: 301  (echo test)",
    ] {
        assert!(expected.contains(line), "{line}: {expected}");
    }
    let spaced: Vec<String> = stream.iter().map(|byte| format!("0x{byte:02x},")).collect();
    let mut dump = String::new();
    for (n, line) in stream.chunks(16).enumerate() {
        let bytes: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        dump += &format!("{:08x}  {:<47}  |{}|\n", n * 16, bytes.join(" "), ".".repeat(line.len()));
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("frames.bin");
    std::fs::write(&file, &stream).expect("a file");
    let file = file.to_str().expect("UTF-8");
    let lower = hex.to_lowercase();
    let table: [(&[&str], &[u8]); 5] = [
        (&["-"], lower.as_bytes()),
        (&["-"], &stream),
        (&["--file", file], b""),
        (&[&spaced.join(" ")], b""),
        (&["-"], dump.as_bytes()),
    ];
    for (arguments, input) in table {
        let output = decode(&[&["--dialect", "iso87-ascii"], arguments].concat(), input);
        assert_eq!((said(&output), output.status.code()), (expected.clone(), Some(0)), "{arguments:?}");
    }
    // Messages without framing, one on a line.
    let bodies: Vec<String> = [&stream[2..133], &stream[137..]].iter().map(|body| hex_text(body)).collect();
    let output = decode(&["--json", "--dialect", "iso87-ascii", "-"], bodies.join("\n").as_bytes());
    let mtis: Vec<Json> = documents(&output).iter().map(|document| document["mti"].clone()).collect();
    assert_eq!(mtis, ["0100", "0800"]);
}

/// Offsets and lengths of every node are within those of its parent, and the fields follow one another without a gap.
fn check_places(node: &Json, within: std::ops::Range<u64>) {
    let place = |node: &Json| {
        let start = node["offset"].as_u64().expect("an offset");
        start..start + node["length"].as_u64().expect("a length")
    };
    let own = place(node);
    assert!(within.start <= own.start && own.end <= within.end, "{node}");
    for part in node["parts"].as_array().expect("parts") {
        check_places(part, own.clone());
    }
}

#[test]
fn json_has_a_stable_shape_and_says_the_same() {
    let output = decode(&["--json", "--dialect", "iso87-ascii", "-"], &stream());
    let documents = documents(&output);
    let kinds: Vec<&Json> = documents.iter().map(|document| &document["kind"]).collect();
    assert_eq!(kinds, ["message", "keep-alive", "message"]);
    for document in &documents {
        let keys: Vec<&String> = document.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["dialect", "errors", "framing", "kind", "length", "mti", "offset", "parts"]);
    }
    let first = &documents[0];
    let parts = first["parts"].as_array().expect("parts");
    let mut at = 2;
    for part in parts {
        let keys: Vec<&String> = part.as_object().expect("an object").keys().collect();
        assert_eq!(keys, ["hidden", "id", "length", "meaning", "name", "offset", "parts", "value", "what"]);
        assert_eq!(part["offset"], at, "{part}");
        at += part["length"].as_u64().expect("a length");
        check_places(part, 0..133);
    }
    assert_eq!(at, 133, "nothing is left out");
    let field = |id: &str| parts.iter().find(|part| part["what"] == "field" && part["id"] == id);
    assert_eq!(field("2").expect("a field")["value"], "411111******1111");
    assert_eq!(field("49").expect("a field")["meaning"], "USD, US dollar");
    let pan = said(&output);
    assert!(!pan.contains(PAN));
}

#[test]
fn parts_tags_and_datasets_have_names_places_and_meanings() {
    let visa = dialect("visa");
    let chip = "0100159F0206000000005000950580000480005F2A020840";
    let message = frame(&visa, 100, &with(PURCHASE, &[(55, chip), (22, "0510")]));
    let message = tree::messages(&visa, &message).remove(0);
    let find = |id: &str| {
        fn find<'n>(nodes: &'n [Node], id: &str) -> Option<&'n Node> {
            nodes.iter().find_map(|node| if node.id == id { Some(node) } else { find(&node.parts, id) })
        }
        find(&message.nodes, id).map(|node| (node.name.as_str(), node.value.clone(), node.meaning.clone()))
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(find("55.9F02"), Some(("Amount, authorized", some("000000005000"), None)));
    assert_eq!(find("55.5F2A"), Some(("Transaction currency code", some("0840"), some("USD, US dollar"))));
    assert_eq!(find("22"), Some(("Point of service entry mode", some("0510"), some("chip, takes a PIN"))));
    assert_eq!(find("H1"), Some(("Header length", some("16"), None)));
}

#[test]
fn what_cannot_be_read_is_named_with_field_offset_and_rule() {
    let iso87 = dialect("iso87-ascii");
    let whole = frame(&iso87, 100, PURCHASE);
    let mut letters = whole.clone();
    let at = whole.len() - 26 - 8 - 12 - 13;
    letters[60] = b'x';
    let table: [(&str, &[u8], &str, &str); 4] = [
        (
            "cut off",
            &whole[..at],
            "the input ends inside the frame",
            "DE 11 System trace audit number: 000001",
        ),
        ("a letter", &letters, "is not numeric", "DE 49 Currency code, transaction: (3 bytes, not shown in"),
        (
            "two bytes more",
            &[&whole[..], &[0xff, 0xff]].concat(),
            "the frame says it has 65535",
            "DE 49 Currency",
        ),
        ("nothing", &[1, 2, 3], "at offset", ""),
    ];
    for (what, bytes, rule, shown) in table {
        let output = decode(&["--dialect", "iso87-ascii", "--input", "raw", "-"], bytes);
        assert_eq!(output.status.code(), Some(65), "{what}");
        assert!(complained(&output).contains(rule), "{what}: {}", complained(&output));
        assert!(said(&output).contains(shown), "{what}: {}", said(&output));
        assert!(!said(&output).contains(PAN), "{what}");
    }
    let output = decode(&["--dialect", "iso87-ascii", "--input", "raw", "-"], &letters);
    let complaint = complained(&output);
    assert!(complaint.starts_with("field ") && complaint.contains(" at offset "), "{complaint}");
}

/// Changes of one message against another, and what is said of them.
#[test]
fn two_messages_side_by_side() {
    let iso87 = dialect("iso87-ascii");
    let secret = with(PURCHASE, &[(35, "4111111111111111=29122011234567890"), (52, "0102030405060708")]);
    let base = frame(&iso87, 100, &secret);
    let other = |changes: &[(u8, &'static str)]| {
        let changed: Vec<(u8, &str)> = with(&secret, changes);
        frame(&iso87, 100, &changed)
    };
    let table = [
        (base.clone(), vec![], 0),
        (
            other(&[(4, "000000005001")]),
            vec!["changed  DE 4 Amount, transaction: 000000005000 -> 000000005001"],
            1,
        ),
        (other(&[(37, "")]), vec!["only-a   DE 37 Retrieval reference number: REF000000001"], 1),
        (other(&[(38, "A1B2C3")]), vec!["only-b   DE 38 Authorization identification response: A1B2C3"], 1),
        (
            other(&[(2, "4111112222221111"), (52, "0102030405060709")]),
            vec![
                "changed  DE 2 Primary account number: 411111******1111 -> 411111******1111",
                "changed  DE 52 PIN data: (8 bytes, not shown) -> (8 bytes, not shown)",
            ],
            1,
        ),
        (
            other(&[(35, "4111111111111111=29122011234567891")]),
            vec!["changed  DE 35 Track 2 data: (34 bytes, not shown) -> (34 bytes, not shown)"],
            1,
        ),
    ];
    for (second, lines, code) in &table {
        let (a, b) = (hex_text(&base), hex_text(second));
        let output = decode(&["--diff", "--dialect", "iso87-ascii", &a, &b], b"");
        assert_eq!(output.status.code(), Some(*code), "{lines:?}: {}", complained(&output));
        let found = said(&output);
        let expected = if lines.is_empty() { vec!["equal"] } else { lines.clone() };
        assert_eq!(found.lines().collect::<Vec<_>>(), expected);
        let output = decode(&["--diff", "--json", "--dialect", "iso87-ascii", &a, &b], b"");
        let json: Json = serde_json::from_str(&said(&output)).expect("JSON");
        assert_eq!((&json["equal"], output.status.code()), (&Json::Bool(*code == 0), Some(*code)));
        let rows = json["rows"].as_array().expect("rows");
        let differing = rows.iter().filter(|row| row["status"] != "same").count();
        assert_eq!(differing, lines.len());
        for hidden in [PAN, "4111112222221111", "0102030405060708", "2912201123456789"] {
            assert!(!said(&output).contains(hidden) && !found.contains(hidden), "{hidden}");
        }
    }
}

#[test]
fn parts_are_compared_and_dialects_may_differ() {
    let (visa, iso87) = (dialect("visa"), dialect("iso87-ascii"));
    let chip = |amount: &str| format!("9F0206{amount}9F36020034");
    let of = |dialect: &Dialect, amount: &str| {
        hex_text(&frame(dialect, 100, &with(PURCHASE, &[(55, &chip(amount))])))
    };
    let (a, b) = (of(&iso87, "000000005000"), of(&iso87, "000000005001"));
    let output = decode(&["--diff", "--dialect", "iso87-ascii", &a, &b], b"");
    assert_eq!(said(&output).trim_end(), "changed  55.9F02 Amount, authorized: 000000005000 -> 000000005001");
    // One purchase in two dialects: only what stands in front of it differs.
    let (a, b) = (hex_text(&frame(&visa, 100, PURCHASE)), hex_text(&frame(&iso87, 100, PURCHASE)));
    let arguments = ["--diff", "--all", "--dialect-a", "visa", "--dialect-b", "iso87-ascii", &a, &b];
    let output = decode(&arguments, b"");
    let differing: Vec<String> =
        said(&output).lines().filter(|line| !line.starts_with("same ")).map(str::to_owned).collect();
    assert!(differing.iter().all(|line| line.starts_with("only-a   H")), "{differing:?}");
    assert!(said(&output).contains("same     DE 4 Amount, transaction: 000000005000"));
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_field_that_the_table_calls_secret_is_never_shown() {
    let table = include_str!("../config/dialects/base24-style.toml");
    let host = Dialect::from_toml("host.toml", table).expect("a right table");
    let key = "0011223344556677";
    let message = frame(&host, 800, &[(7, "0604123456"), (11, "000001"), (48, key), (70, "161"), (123, key)]);
    let text = turnpike::dialect::describe::describe(&host, &message);
    assert!(text.contains("DE 123 Cryptographic service message: (16 bytes, not shown)"), "{text}");
    assert!(text.contains("161  (key exchange)") && !text.contains(key), "{text}");
}

#[test]
fn wrong_usage_is_refused_in_words() {
    let hex = hex_text(&frame(&dialect("iso87-ascii"), 100, PURCHASE));
    let table: [(&[&str], i32, &str); 8] = [
        (&[&hex], 2, "--dialect"),
        (&["--dialect", "iso87-ascii"], 2, "MESSAGE"),
        (&["--dialect", "amex", &hex], 78, "`amex` is no dialect (visa"),
        (&["--dialect", "iso87-ascii", "zz"], 65, "message 1: it is neither hex"),
        (&["--diff", "--dialect", "iso87-ascii", &hex], 2, "give two of them"),
        (&["--dialect", "iso87-ascii", "--input", "hex", "MDEwMA=="], 65, "line 1 has an odd number"),
        (&["--guess", "00112233"], 65, "no framing, header and dialect fit"),
        (&["--dialect", "iso87-ascii", "--file", "/nowhere"], 65, "/nowhere"),
    ];
    for (arguments, code, words) in table {
        let output = decode(arguments, b"");
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", complained(&output));
        assert!(complained(&output).contains(words), "{arguments:?}: {}", complained(&output));
    }
}
