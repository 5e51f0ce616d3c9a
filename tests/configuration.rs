//! The files in `config/` are right, and the commented one says what the defaults are.

use std::fs;
use std::io;
use std::path::PathBuf;

use turnpike::config::Config;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn files() -> io::Result<Vec<(String, String)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder())? {
        let path = entry?.path();
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
        [links.iso87]\ndialect = \"iso87-ascii\"\nlisten = \"127.0.0.1:8585\"\n\
        [journal]\nfsync_above = { \"840\" = 10000, \"978\" = 10000 }\n";
    let written = Config::from_toml("turnpike.toml", &text).expect("a right file");
    let defaults = Config::from_toml("links", links).expect("a right file");
    assert_eq!(written.daemon, defaults.daemon);
    assert_eq!(written.admin, defaults.admin);
    assert_eq!(written.ledger, defaults.ledger);
    assert_eq!(written.journal, defaults.journal);
    assert_eq!(written.verification, defaults.verification);
    assert_eq!(written.links, defaults.links);
}
