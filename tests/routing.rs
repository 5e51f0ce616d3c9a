//! `turnpike route` from the command line: the table, which row takes a message and why, and what cannot be asked.

#![expect(clippy::expect_used, reason = "what fails here fails the test")]

#[expect(dead_code, reason = "each test uses a part of what they share")]
mod harness;

use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use harness::PURCHASE;
use harness::Values;
use harness::dialect;
use harness::frame;
use harness::with;
use turnpike::iso8583::digits::hex_text;

const CONFIG: &str = r#"
[links.visa]
dialect = "visa"
listen = "127.0.0.1:8583"
[links.till]
dialect = "iso87-ascii"
listen = "127.0.0.1:8584"
[links.east]
dialect = "mastercard"
connect = ["127.0.0.1:9000"]
[links.west]
dialect = "mastercard"
connect = ["127.0.0.1:9001"]
[routes.debit]
iin = ["520474-520475"]
to = ["east", "west"]
stand_in = "small"
[routes.fuel]
iin = ["520474"]
mcc = ["5541-5542"]
to = ["west", "east"]
strategy = "weighted"
weights = [9, 1]
[routes.dear]
iin = ["52"]
amount_min = 100000
currency = ["840"]
to = ["west"]
[routes.test-cards]
iin = ["5204740000001"]
to = ["ledger"]
[routes.till]
from = ["till"]
transaction = ["20"]
country = ["250"]
to = ["east", "west"]
strategy = "round-robin"
[stand_in.small]
floor = { "840" = 5000 }
"#;

fn route(config: &Path, arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_turnpike"));
    let command = command.arg("route").arg("--config").arg(config).args(arguments);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = piped.spawn().expect("it runs");
    // It may end without reading.
    let _ = process.stdin.take().expect("a pipe").write_all(input);
    let Output { status, stdout, stderr } = process.wait_with_output().expect("it ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

/// A directory with a configuration in it.
fn written(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("turnpike.toml");
    std::fs::write(&file, text).expect("a file");
    (directory, file)
}

#[test]
fn the_table_is_listed_as_it_is_written() {
    let (_directory, file) = written(CONFIG);
    let (code, said, complained) = route(&file, &[], b"");
    let expected = "\
debit: iin 520474-520475 -> east, else west; without an answer `stand_in.small` decides
fuel: iin 520474, mcc 5541-5542 -> west (9), east (1) by weight; without an answer it is declined
dear: iin 52, amount from 100000, currency 840 -> west; without an answer it is declined
test-cards: iin 5204740000001 -> ledger
till: transaction 20, country 250, from till -> east, west by turns; without an answer it is declined
whatever no row takes: ledger
";
    assert_eq!((code, said.as_str(), complained.as_str()), (Some(0), expected, ""));
    let (code, said, _) = route(&file, &["--link", "visa"], b"");
    assert_eq!((code, said.contains("till:"), said.contains("debit:")), (Some(0), false, true), "{said}");
}

#[test]
fn it_tells_which_row_takes_cards_and_why() {
    let (_directory, file) = written(CONFIG);
    // What is asked, and lines of the answer.
    let table: [(&[&str], &[&str]); 10] = [
        (
            &["--iin", "411111"],
            &[
                "cards that begin with 411111: whatever else they say",
                "\ntaken by `till` given its transaction, country, from: goes to east, west by turns; without",
                "\nelse no row takes it: it is for the ledger",
                "  `till` may fit (0 digits, 3 more)",
            ],
        ),
        (
            &["--iin", "411111", "--type", "00"],
            &["\nno row takes it", "`till` does not, by its `transaction`"],
        ),
        (
            &["--iin", "520475", "--mcc", "5541", "--amount", "1", "--link", "visa"],
            &[
                "\ntaken by `debit`: no other row fits",
                "\ngoes to east, else west; without an answer `stand_in.small` decides",
                "  `debit` fits (6 digits, 0 more): iin 520474-520475",
                "  `fuel` does not, by its `iin`: iin 520474, mcc 5541-5542",
            ],
        ),
        (
            &["--iin", "520474", "--mcc", "5541", "--amount", "1200", "--currency", "840", "--type", "00"],
            &[
                "520474: transaction 00, 1200 minor units of 840, merchant category 5541",
                "\ntaken by `fuel`: of as many digits it has 1 more conditions, `debit` has 0",
                "\ngoes to west (9), east (1) by weight; without an answer it is declined",
                "  `dear` does not, by its `amount`: iin 52, amount from 100000, currency 840",
                "a row names more digits than these",
            ],
        ),
        (
            &["--iin", "520474"],
            &["\ntaken by `fuel` given its mcc: goes to west", "\nelse taken by `debit`: no other row fits"],
        ),
        (
            &["--iin", "52", "--amount", "100000", "--currency", "978", "--link", "visa"],
            &["from `visa`", "\nno row takes it", "  `dear` does not, by its `currency`", "by its `from`"],
        ),
        (
            &["--iin", "529999", "--amount", "100000"],
            &["\ntaken by `dear` given its currency: goes to west", "\nelse taken by `till`"],
        ),
        (
            &["--iin", "40", "--country", "250", "--type", "20", "--link", "till"],
            &["country 250, from `till`", "\ntaken by `till`: no other row fits"],
        ),
        (&["--iin", "40", "--country", "251"], &["no row takes it", "by its `country`"]),
        (
            &["--iin", "5204740000001010", "--mcc", "5411"],
            &[
                "begin with 520474**********:",
                "\ntaken by `test-cards`: it names 13 digits of the card, `debit` names 6",
                "\ngoes to ledger",
            ],
        ),
    ];
    for (arguments, lines) in table {
        let (code, said, complained) = route(&file, arguments, b"");
        assert_eq!((code, complained.as_str()), (Some(0), ""), "{arguments:?}");
        for line in lines {
            assert!(said.contains(line), "{arguments:?}: {line}: {said}");
        }
        assert!(!said.contains("0000001010"), "the card is masked: {said}");
    }
}

#[test]
fn it_tells_which_row_takes_a_message_and_why() {
    let (_directory, file) = written(CONFIG);
    let original = harness::original(100, "000001");
    let cards = |changes: &Values<'_>| -> Vec<(u8, String)> {
        let values = with(&with(PURCHASE, &[(2, "5204740000002010")]), changes);
        values.into_iter().map(|(field, value)| (field, value.to_owned())).collect()
    };
    let table = [
        (
            "visa",
            100,
            cards(&[(18, "5541")]),
            vec![
                "0100 of 520474******2010: transaction 00, 5000 minor units of 840, merchant category 5541",
                "taken by `fuel`",
            ],
        ),
        ("visa", 200, cards(&[]), vec!["0200 of", "taken by `debit`", "  `fuel` does not, by its `mcc`"]),
        (
            "till",
            420,
            cards(&[(90, &original)]),
            vec![
                "0420 of 520474******2010",
                "a reversal has no merchant category",
                "taken by `fuel`",
                "from `till`",
            ],
        ),
        (
            "till",
            100,
            cards(&[(2, "5204740000001010")]),
            vec![
                "0100 of 520474******1010",
                "taken by `test-cards`: it names 13 digits of the card, `debit` names 6",
            ],
        ),
    ];
    for (link, mti, values, lines) in table {
        let dialect = dialect(if link == "visa" { "visa" } else { "iso87-ascii" });
        let values: Vec<(u8, &str)> = values.iter().map(|(field, value)| (*field, value.as_str())).collect();
        let framed = frame(&dialect, mti, &values);
        let body = dialect.frame(&framed).expect("a frame").expect("a whole one").body;
        let whole = hex_text(&framed);
        let bare = hex_text(&framed[body]);
        let asked = ["--explain", "--link", link];
        let answers = [
            route(&file, &[&asked[..], &[&whole]].concat(), b""),
            route(&file, &[&asked[..], &[&bare]].concat(), b""),
            route(&file, &[&asked[..], &["-"]].concat(), whole.as_bytes()),
            route(&file, &asked, &framed),
        ];
        for (code, said, complained) in answers {
            assert_eq!((code, complained.as_str()), (Some(0), ""), "{link} {mti}");
            for line in &lines {
                assert!(said.contains(line), "{link} {mti}: {line}: {said}");
            }
            assert!(!said.contains("0000002010") && !said.contains("0000001010"), "masked: {said}");
        }
    }
}

#[test]
fn what_cannot_be_asked_is_refused_in_words() {
    let (_directory, file) = written(CONFIG);
    let (_other, ambiguous) = written(&CONFIG.replace("mcc = [\"5541-5542\"]\n", ""));
    let visa = dialect("visa");
    let echo =
        hex_text(&frame(&dialect("iso87-ascii"), 800, &[(7, "0604123456"), (11, "999999"), (70, "301")]));
    let message = hex_text(&frame(&visa, 100, PURCHASE));
    let explain = ["--explain", "--link", "till"];
    let explaining = |message: &'static str| [&explain[..], &[message]].concat();
    let table: [(&Path, Vec<&str>, i32, &str); 12] = [
        (&file, explaining("0100zz"), 65, "the message: it is neither hex"),
        (&file, explaining("0100"), 65, "cannot be read in the dialect of `till`"),
        (&file, [&explain[..], &[&message]].concat(), 65, "cannot be read in the dialect of `till`"),
        (&file, [&explain[..], &[&echo]].concat(), 65, "0800 is for the link itself"),
        (&file, vec!["--explain", "00"], 2, "--link"),
        (&file, vec!["--iin", "41x"], 2, "begins with 1 to 19 digits"),
        (&file, vec!["--iin", "40-41"], 2, "begins with 1 to 19 digits"),
        (&file, vec!["--iin", "41", "--currency", "USD"], 2, "three digits such as 840"),
        (&file, vec!["--mcc", "5411"], 2, "--iin"),
        (
            &file,
            vec!["--iin", "41", "--link", "nowhere"],
            2,
            "there is no link `nowhere`; there are visa, till",
        ),
        (&ambiguous, vec![], 78, "as strong as each other"),
        (Path::new("/nowhere.toml"), vec![], 78, "/nowhere.toml"),
    ];
    for (config, arguments, code, words) in table {
        let (found, said, complained) = route(config, &arguments, b"");
        assert_eq!((found, said.as_str()), (Some(code), ""), "{arguments:?}: {complained}");
        assert!(complained.contains(words), "{arguments:?}: {complained}");
    }
}
