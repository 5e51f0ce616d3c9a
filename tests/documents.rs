//! The documents keep step with the code: every rule is stated, and every numbered test belongs to one.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

const RULES: u32 = 35;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The text of all sources below a folder.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(&path).unwrap_or_default();
        }
    }
    text
}

/// The rule numbers of tests: 7 for `fn r7_…`.
fn tested_rules(sources: &str) -> BTreeSet<u32> {
    sources
        .match_indices("fn r")
        .filter_map(|(at, found)| sources[at + found.len()..].split_once('_'))
        .filter_map(|(number, _)| number.parse().ok())
        .collect()
}

/// The parts of the rules' document, by number.
fn stated_rules(document: &str) -> Vec<(u32, &str)> {
    document
        .split("\n### R")
        .skip(1)
        .filter_map(|part| Some((part.split_once(' ')?.0.parse().ok()?, part)))
        .collect()
}

#[test]
fn every_rule_is_stated_once_with_its_reason() {
    let document = fs::read_to_string(root().join("docs/rules.md")).expect("a document");
    let stated = stated_rules(&document);
    let numbers: Vec<u32> = stated.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=RULES).collect::<Vec<u32>>());
    for (number, part) in stated {
        assert!(part.contains("\n*Why:* "), "R{number} has no reason");
    }
}

#[test]
fn a_numbered_test_belongs_to_a_rule_that_is_carried_out() {
    let document = fs::read_to_string(root().join("docs/rules.md")).expect("a document");
    let open: BTreeSet<u32> = stated_rules(&document)
        .into_iter()
        .filter(|(_, part)| part.contains("**Not yet carried out"))
        .map(|(number, _)| number)
        .collect();
    for number in tested_rules(&(sources(&root().join("src")) + &sources(&root().join("tests")))) {
        assert!((1..=RULES).contains(&number), "a test names R{number}, which is no rule");
        assert!(
            !open.contains(&number),
            "R{number} has a test, and docs/rules.md says it is not carried out"
        );
    }
}

#[test]
fn numbered_tests_are_found() {
    let sources = "fn r7_a_reversal() {}\nfn r27_dates() {}\nfn rules() {}\nfn read_r5_x() {}";
    assert_eq!(tested_rules(sources), BTreeSet::from([7, 27]));
}
