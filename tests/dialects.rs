//! Dialects of users: the one in `config/dialects` links and authorizes, what is wrong with a file is named with its
//! place, and docs/dialects.md says what the loader reads.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails where it stands")]

#[expect(dead_code, reason = "each test over sockets uses a part of what they share")]
mod harness;

use std::fs;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::time::Duration;

use harness::House;
use harness::config;
use harness::read;
use harness::seed;
use turnpike::config::Config;
use turnpike::config::seed::Seed;
use turnpike::dialect::Dialect;
use turnpike::iso8583::frame::Framing;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn example() -> PathBuf {
    root().join("config/dialects/base24-style.toml")
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn turnpike(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_turnpike")).args(arguments).output().expect("it runs")
}

/// A daemon with one more link, which speaks the example's dialect.
fn house(directory: &Path, seed: &Seed) -> House {
    let file = example();
    let links = format!(
        "[links.host]\ndialect = \"host\"\ndialect_file = \"{}\"\nlisten = \"127.0.0.1:0\"\n",
        file.display()
    );
    let links = Config::from_toml("links.toml", &links).expect("a right link").links;
    House::start(&config(directory, |config| config.links.extend(links)), Some(seed)).expect("a start")
}

#[test]
fn the_example_links_and_authorizes() {
    let directory = tempfile::tempdir().expect("a directory");
    let house = house(directory.path(), &seed(harness::SEED));
    let (_, _, address) = *house.daemon().links.iter().find(|(name, ..)| name == "host").expect("the link");
    let mut socket = TcpStream::connect(address).expect("the link listens");
    socket.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
    let dialect = Dialect::from_toml("host", &text(&example())).expect("a right file");
    // Written by hand: header, MTI, bitmap, fields.
    let card = ["164111111111111111", "000000", "000000005000"].concat();
    let acceptor = ["0512345", "REF000000017", "TERMID01", "MERCHANT0000001", "840"].concat();
    let sign_on =
        ["ISO005000070", "0800", "82200000000000000400000000000000", "0604123500", "000018", "001"].concat();
    let purchase = ["ISO025000070", "0100", "723C448108C08000", &card, "0604123456", "000017"].concat()
        + &["083456", "0604", "3012", "5411", "051", "00", &acceptor].concat();
    let reversal = ["ISO025000070", "0420", "F220000108C080000000004000000000", &card, "0604123500"].concat()
        + &["000018", &acceptor, "0100", "000017", "0604123456", "00000012345", "00000000000"].concat();
    let table = [
        (&sign_on, (810, "00"), "ISO005000070", 0),
        (&purchase, (110, "00"), "ISO025000070", 5_000),
        (&purchase, (110, "00"), "ISO025000070", 5_000),
        (&reversal, (430, "00"), "ISO025000070", 0),
    ];
    for (message, outcome, literal, held) in table {
        let length = u16::try_from(message.len() + 1).expect("short enough").to_be_bytes();
        socket.write_all(&[&length, message.as_bytes(), &[3]].concat()).expect("the daemon reads");
        let mut length = [0; 2];
        socket.read_exact(&mut length).expect("an answer");
        let mut body = vec![0; usize::from(u16::from_be_bytes(length))];
        socket.read_exact(&mut body).expect("the whole of it");
        assert_eq!(body.pop(), Some(3), "ETX");
        assert!(body.starts_with(literal.as_bytes()), "{message}");
        let answer = read(&dialect, &body);
        assert_eq!(answer.outcome(), outcome, "{message}");
        assert_eq!(house.balance(1), (100_000, held), "{message}");
    }
    assert_eq!(house.dropped_in_all("host"), 0);
}

#[test]
fn load_proves_the_money_on_a_dialect_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let wallets = turnpike(&["load", "--make-seed", "50"]).stdout;
    let file = directory.path().join("wallets.csv");
    fs::write(&file, &wallets).expect("a file");
    let seed = Seed::from_csv("wallets.csv", &wallets).expect("a right seed file");
    let seed_file = file.to_str().expect("a path in UTF-8");
    for more in [&["--messages", "1", "--mix", "purchase=1"][..], &["--messages", "500", "--window", "8"]] {
        let data = tempfile::tempdir().expect("a directory");
        let house = house(data.path(), &seed);
        let (_, _, address) =
            house.daemon().links.iter().find(|(name, ..)| name == "host").expect("the link");
        let target = format!("{}={address}", example().display());
        let http = house.daemon().admin.to_string();
        let common = ["load", "--target", &target, "--http", &http, "--seed-file", seed_file];
        let output = turnpike(&[&common[..], more].concat());
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{more:?}: {said}");
        assert_eq!(house.metric("turnpike_link_signed_on{link=\"host\"}"), 0, "it signs off at the end");
        assert_eq!(house.dropped_in_all("host"), 0);
    }
}

#[test]
fn check_names_file_line_and_column() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("mine.toml");
    let right = text(&example());
    let link = directory.path().join("link.toml");
    let config = "[links.mine]\ndialect = \"mine\"\ndialect_file = \"FILE\"\nlisten = \"127.0.0.1:9000\"\n";
    fs::write(&link, config.replace("FILE", file.to_str().expect("UTF-8"))).expect("a file");
    let check = |text: &[u8]| {
        fs::write(&file, text).expect("a file");
        let mut both = Vec::new();
        for (flag, path) in [("--dialect-file", &file), ("--config", &link)] {
            let output = turnpike(&["check", flag, path.to_str().expect("UTF-8")]);
            both.push((output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned()));
        }
        assert_eq!(both[0], both[1], "a dialect alone and through its link");
        both.remove(0)
    };
    assert_eq!(check(right.as_bytes()), (Some(0), String::new()));
    // A letter of Latin-1 in a comment.
    let latin = [right.as_bytes(), b"# K\xf6ln\n"].concat();
    let place = format!("{}:{}:4: this byte is not UTF-8", file.display(), right.lines().count() + 1);
    assert!(check(&latin).1.starts_with(&place), "{place}: {}", check(&latin).1);
    let row = "11 = { format = \"n6\", name = \"System trace audit number\" }";
    // What is changed, to what, the column of the mistake in the line, and what is said.
    let table = [
        (row, format!("{row}\n{row}"), 1, "duplicate key"),
        (row, format!("{row}\n011 = {{ format = \"n6\", name = \"The same\" }}"), 7, "is no data element"),
        (row, row.replace("n6", "n0"), 17, "is no format"),
        (row, row.replace("n6", "n..99999"), 17, "is no format"),
        (row, row.replace("n6\"", "n..120\", prefix = \"ascii2\""), 36, "cannot say 120"),
        (row, row.replace("n6\"", "n6\", encoding = \"latin\""), 34, "must be one of ascii, ebcdic"),
        ("mti = \"ascii\"", "mti = \"binary\"".to_owned(), 7, "`encoding.mti` is \"binary\""),
        ("header_answer = \"echo\"", "header_answer = \"turn\"".to_owned(), 17, "must be one of echo, set"),
        ("header_text = \"ISO025000070\"", "header_text = \"\"".to_owned(), 15, "1 to 64 characters"),
        ("header = \"literal\"", "header = \"none\"".to_owned(), 15, "goes with `header = \"literal\"`"),
        ("trailer = \"03\"", "trailer = \"3\"".to_owned(), 11, "1 to 4 bytes in hex"),
        ("length_bytes = 2", "length_bytes = 0".to_owned(), 19, "this says nothing"),
    ];
    for (from, to, column, expected) in table {
        assert!(right.contains(from), "{from}");
        let (code, said) = check(right.replacen(from, &to, 1).as_bytes());
        assert_eq!(code, Some(78), "{to}: {said}");
        let found = said.lines().find(|line| line.contains(expected));
        let found = found.unwrap_or_else(|| panic!("{to}: {said}"));
        let place = found.strip_prefix(&format!("{}:", file.display())).expect("the file comes first");
        let mut place = place.splitn(3, ':');
        let line: usize = place.next().and_then(|line| line.parse().ok()).expect("a line");
        assert!(line > 5, "{found}");
        assert_eq!(place.next().and_then(|column| column.parse().ok()), Some(column), "{found}");
    }
}

#[test]
fn check_names_the_mistakes_of_a_configuration_and_of_its_dialects_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let write = |name: &str, text: &str| fs::write(path(name), text).expect("a file");
    write("mine.toml", &text(&example()).replacen("trailer = \"03\"", "trailer = \"3\"", 1));
    let config = "[daemon]\nshards = 100\n\
        [links.a]\ndialect = \"mine\"\ndialect_file = \"DIR/mine.toml\"\nlisten = \"nowhere\"\n\
        [links.b]\ndialect = \"mine\"\ndialect_file = \"DIR/absent.toml\"\nlisten = \"127.0.0.1:9001\"\n\
        [links.c]\ndialect = \"visa\"\nlisten = \"127.0.0.1:9002\"\n  framing = { tpdu = \"swap\" }\n\
        [links.d]\ndialect = \"iso87-ascii\"\nlisten = \"127.0.0.1:9003\"\nsign_on = \"us\"\nsign_on_group = \"12\"\n\
        [links.e]\ndialect = \"iso87-ascii\"\nlisten = \"127.0.0.1:9004\"\nservice_indicator = \"too long a text\"\n\
        [links.f]\ndialect = \"mine\"\ndialect_file = \"DIR/mine.toml\"\n[links.g]\nlisten = \"127.0.0.1:9005\"\n";
    write("turnpike.toml", &config.replace("DIR", directory.path().to_str().expect("UTF-8")));
    let output = turnpike(&["check", "--config", &path("turnpike.toml")]);
    let said = String::from_utf8(output.stderr).expect("UTF-8");
    let trailer =
        text(&example()).lines().position(|line| line.starts_with("trailer = ")).expect("a trailer") + 1;
    let trailer = format!("{trailer}:11");
    let table = [
        ("turnpike.toml", "2:10", "a power of two"),
        ("turnpike.toml", "6:10", "no address and port"),
        ("turnpike.toml", "9:16", "absent.toml cannot be read: "),
        ("turnpike.toml", "14:13", "a TPDU does not stand in front of Visa's header"),
        ("turnpike.toml", "19:17", "no code for SignOn of Group"),
        ("turnpike.toml", "19:17", "no code for SignOff of Group"),
        ("turnpike.toml", "23:21", "field 94"),
        ("turnpike.toml", "24:1", "`links.f.listen` or its `connect` is missing"),
        ("turnpike.toml", "27:1", "`links.g.dialect` is missing"),
        // Named once, whoever uses it.
        ("mine.toml", &trailer, "1 to 4 bytes in hex"),
    ];
    assert_eq!((output.status.code(), said.lines().count()), (Some(78), table.len()), "{said}");
    for ((file, place, words), line) in table.into_iter().zip(said.lines()) {
        let place = format!("{}:{place}: ", path(file));
        assert!(line.starts_with(&place) && line.contains(words), "{place}{words}: {said}");
    }
}

/// The guess that the document begins with, from the dump that it shows.
#[test]
fn the_document_tells_how_the_example_came_to_be() {
    let document = text(&root().join("docs/dialects.md"));
    let dump = document.split("```").nth(1).and_then(|block| block.strip_prefix("text\n")).expect("a dump");
    let directory = tempfile::tempdir().expect("a directory");
    let (input, made) = (directory.path().join("dump.txt"), directory.path().join("mine.toml"));
    fs::write(&input, dump).expect("a file");
    let (input, made_at) = (input.to_str().expect("UTF-8"), made.to_str().expect("UTF-8"));
    let output = turnpike(&["decode", "--guess", "--dialect-out", made_at, "--file", input]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    let shown = document.split("```").nth(3).expect("what the guess says");
    for line in shown.lines().filter(|line| line.starts_with("  - ")) {
        assert!(said.contains(line), "{line}: {said}");
    }
    let (made, example) = (text(&made), text(&example()));
    let made = Dialect::from_toml("mine.toml", &made).expect("a right file");
    let example = Dialect::from_toml("example.toml", &example).expect("a right file");
    assert_eq!(made.framing(), &Framing { max: made.framing().max, ..example.framing().clone() });
    assert_eq!((made.header(), made.header_bytes()), (example.header(), example.header_bytes()));
    // Both read the dump to its end.
    let path = self::example();
    for dialect in [made_at, path.to_str().expect("UTF-8")] {
        let output = turnpike(&["decode", "--dialect", dialect, "--file", input]);
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        assert_eq!(output.status.code(), Some(0), "{dialect}: {said}");
        assert!(said.contains("DE 2 Primary account number: 411111******1111"), "{said}");
        assert!(said.contains("(echo test)"), "{said}");
    }
}

#[test]
fn the_document_names_every_key_that_a_table_has() {
    let document = text(&root().join("docs/dialects.md"));
    let mut tables: Vec<String> = vec![text(&example())];
    for entry in fs::read_dir(root().join("src/dialect/tables")).expect("the tables").flatten() {
        tables.push(text(&entry.path()));
    }
    let mut keys = 0;
    for table in tables {
        let mut outcomes = false;
        for line in table.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with('[') {
                outcomes = line.ends_with("response_codes]");
            }
            // `check` names the outcomes that are missing.
            if outcomes && !line.starts_with('[') {
                continue;
            }
            let named = line.strip_prefix('[').and_then(|line| line.strip_suffix(']'));
            let section = named.map(|name| name.split('.').next().unwrap_or(name).to_owned());
            let key = line.split_once(" = ").map(|(key, _)| key.to_owned());
            let is_word = |word: &String| word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            for word in section.into_iter().chain(key).filter(is_word) {
                let named =
                    document.contains(&format!("`{word}`")) || document.contains(&format!("`[{word}"));
                assert!(named, "docs/dialects.md does not name `{word}`");
                keys += 1;
            }
        }
    }
    assert!(keys > 30);
    for key in [
        "before",
        "after",
        "before_bytes",
        "after_bytes",
        "check",
        "tpdu",
        "trailer_counted",
        "stored_advices_stop",
        "key_exchange",
        "known_tags",
        "parts",
        "little_endian",
        "inclusive",
        "secret",
        "pad",
        "count",
    ] {
        assert!(
            document.contains(&format!("`{key}`")) || document.contains(&format!("`[{key}]`")),
            "docs/dialects.md does not name `{key}`"
        );
    }
}
