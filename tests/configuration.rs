//! The files in `config/` are right, the commented one says what the defaults are, and damaged files are refused in
//! words.

use std::fs;
use std::io;
use std::path::PathBuf;

use proptest::prelude::ProptestConfig;
use proptest::prelude::any;
use proptest::proptest;
use turnpike::config::Config;
use turnpike::config::seed::COLUMNS;
use turnpike::config::seed::Seed;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn files() -> io::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder())? {
        let path = entry?.path();
        // The dialects in their folder have a test of their own.
        if path.is_dir() {
            continue;
        }
        files.push((path.display().to_string(), fs::read_to_string(&path)?));
    }
    Ok(files)
}

#[test]
fn every_file_is_right() {
    let files = files().expect("the folder can be read");
    assert!(files.len() >= 2);
    for (name, text) in files {
        if let Err(findings) = Config::from_toml(&name, &text) {
            let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
            panic!("{}", findings.join("\n"));
        }
    }
}

#[test]
fn the_commented_file_holds_the_defaults() {
    let text = fs::read_to_string(folder().join("turnpike.toml")).expect("a file");
    let links = "[links.visa]\ndialect = \"visa\"\nlisten = \"127.0.0.1:8583\"\nstation_id = \"000001\"\n\
        [links.mastercard]\ndialect = \"mastercard\"\nlisten = \"127.0.0.1:8584\"\n\
        [links.iso87]\ndialect = \"iso87-ascii\"\nlisten = \"127.0.0.1:8585\"\n\
        [journal]\nfsync_above = { \"840\" = 10000, \"978\" = 10000 }\n";
    let written = Config::from_toml("turnpike.toml", &text).expect("a right file");
    let defaults = Config::from_toml("links", links).expect("a right file");
    assert_eq!(written.daemon, defaults.daemon);
    assert_eq!(written.admin, defaults.admin);
    assert_eq!(written.ledger, defaults.ledger);
    assert_eq!(written.wallets, defaults.wallets);
    assert_eq!(written.journal, defaults.journal);
    assert_eq!(written.snapshots, defaults.snapshots);
    assert_eq!(written.history, defaults.history);
    assert_eq!(written.verification, defaults.verification);
    assert_eq!(written.links, defaults.links);
}

const CARDS: [&str; 2] = ["4929123456781234", "5204740000001010"];

fn cases() -> ProptestConfig {
    let cases = std::env::var("TURNPIKE_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(200);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) }
}

/// The text with some bytes replaced.
fn damaged(text: &str, places: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for (place, byte) in places {
        let place = place % bytes.len();
        bytes[place] = *byte;
    }
    bytes
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_damaged_configuration_is_read_or_refused(
        places in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)
    ) {
        let text = fs::read_to_string(folder().join("turnpike.toml")).unwrap_or_default();
        let text = String::from_utf8_lossy(&damaged(&text, &places)).into_owned();
        let findings = Config::from_toml("damaged.toml", &text).err();
        let lines = text.lines().count() + 1;
        assert!(findings.is_none_or(|all| !all.is_empty() && all.iter().all(|f| (1..=lines).contains(&f.line))));
    }

    #[test]
    fn r22_a_damaged_seed_file_is_read_or_refused_and_shows_no_card_number(
        places in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..8)
    ) {
        let mut text = COLUMNS.join(",") + "\n";
        for (wallet, pan) in CARDS.iter().cycle().take(8).enumerate() {
            text += &format!("{},840,100,0,{pan},2912,201,active\n", wallet % 2 + 1);
        }
        if let Err(findings) = Seed::from_csv("damaged.csv", &damaged(&text, &places)) {
            let told: String = findings.iter().map(ToString::to_string).collect();
            assert!(!findings.is_empty() && CARDS.iter().all(|pan| !told.contains(&pan[6..12])), "{told}");
        }
    }
}
