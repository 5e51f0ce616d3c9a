//! The house rules as tests: which room may import which, who may touch the world, and how long things may be.
//!
//! The checks read source text. They are a guard rail and no compiler: a macro could evade them. Each check is a
//! function from text to complaints, and the last part of this file shows each of them complaining.

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::path::PathBuf;

/// Every room: its floor, its name, and the rooms that it may import besides itself and `settings`.
const ROOMS: &[(u8, &str, &str)] = &[
    (0, "domain", ""),
    (0, "iso8583", ""),
    (0, "settings", ""),
    (1, "clearing", "domain iso8583"),
    (1, "crypto", "domain"),
    (1, "ledger", "domain"),
    (1, "journal", "domain"),
    (1, "dialect", "domain iso8583"),
    (2, "authorizer", "domain crypto ledger"),
    (2, "switch", "domain"),
    (2, "link", "domain iso8583 crypto dialect"),
    (3, "recovery", "domain ledger journal switch"),
    (3, "history", "domain ledger journal"),
    (3, "workload", "domain iso8583 dialect"),
    (4, "pipeline", "domain iso8583 crypto ledger journal dialect authorizer switch link recovery history"),
    (4, "config", ALL_BELOW),
    (5, "edge", ALL_BELOW),
];
const ALL_BELOW: &str = "*";

/// Reads TOML with positions for whoever has settings. Only the words of the field do without it.
const SETTINGS: &str = "settings";

/// Rooms that have their place in the table and are not built yet.
const NOT_BUILT: &[&str] = &[];

/// The one room that touches the world, and the files beside the rooms that may do so too.
const EDGE: &str = "edge";
const DOORS: &[&str] = &["main.rs", "cli.rs"];

/// Names through which code reads files, sockets, clocks, chance, threads, the environment, or prints.
const WORLD: &[&str] = &[
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "std::process",
    "SystemTime",
    "Instant",
    "tokio",
    "axum",
    "socket2",
    "rustix",
    "rand",
    "getrandom",
    "RandomState",
    "println!",
    "print!",
    "eprintln!",
    "eprint!",
];

/// Where state is shared between threads.
const ROOMS_WITH_LOCKS: &[&str] = &["pipeline", "edge"];
/// Files beside those rooms that may hold an atomic: the card directory, which is read without a lock.
const FILES_WITH_ATOMICS: &[&str] = &["src/ledger/directory.rs"];
/// Files that may hold unsafe code; each says why, and what was measured.
const FILES_WITH_UNSAFE_CODE: &[&str] = &["src/ledger/prefetch.rs"];
const LOCKS: &[&str] = &["Mutex", "RwLock"];
const ATOMIC_PREFIX: &str = "Atomic";

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const LINE_CHARS_MAX: usize = 120;

/// Notes to oneself. Spelled in halves, so that this file passes its own check.
const NOTES: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("HA", "CK")];

// ---- the checks over the repository

#[test]
fn a_room_imports_only_what_its_floor_allows() {
    complain(rooms().flat_map(|(room, source)| {
        let mut allowed = allowed(&room);
        let mut complaints = forbidden_imports(&room, &allowed, &source.code);
        allowed.push("domain");
        complaints.extend(forbidden_imports(&room, &allowed, &source.tests));
        if source.is_room_root {
            complaints.extend(climbs_out(&source.code));
        }
        source.named(complaints)
    }));
}

#[test]
fn only_the_edge_touches_the_world() {
    complain(
        rooms()
            .filter(|(room, _)| room != EDGE)
            .flat_map(|(_, source)| source.named(world_mentions(&source.code))),
    );
}

#[test]
fn locks_and_atomics_stand_in_two_rooms_only() {
    complain(
        rooms()
            .filter(|(room, _)| !ROOMS_WITH_LOCKS.contains(&room.as_str()))
            .filter(|(_, source)| !FILES_WITH_ATOMICS.contains(&source.name.as_str()))
            .flat_map(|(_, source)| source.named(lock_mentions(&source.code))),
    );
}

#[test]
fn unsafe_code_stands_in_named_files_only() {
    let with: Vec<String> = sources("src")
        .filter(|source| places(&source.code, "unsafe").next().is_some())
        .map(|source| source.name)
        .collect();
    assert_eq!(with, FILES_WITH_UNSAFE_CODE);
}

#[test]
fn the_folders_are_the_rooms() {
    let mut found = BTreeSet::new();
    let mut strays = Vec::new();
    for entry in fs::read_dir(root().join("src")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().is_dir() {
            found.insert(name);
        } else if name != "lib.rs" && !DOORS.contains(&name.as_str()) {
            strays.push(name);
        }
    }
    let known: BTreeSet<String> =
        ROOMS.iter().map(|(_, room, _)| (*room).to_owned()).filter(|room| !is_not_built(room)).collect();
    assert_eq!(found, known, "folders under src/ against the table of rooms");
    assert!(strays.is_empty(), "files beside the rooms: {strays:?}");
}

#[test]
fn the_map_lists_the_rooms_in_floor_order() {
    let with_code: BTreeSet<String> =
        rooms().filter(|(_, source)| !source.code.trim().is_empty()).map(|(room, _)| room).collect();
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap_or_default();
    complain(map_errors(&text, &with_code).into_iter());
}

#[test]
fn the_table_of_rooms_points_downwards() {
    for (floor, room, imports) in ROOMS {
        for import in imports.split_whitespace().filter(|import| *import != ALL_BELOW) {
            assert!(floor_of(import).is_some_and(|below| below < *floor), "{room} imports {import}");
        }
    }
}

#[test]
fn files_functions_and_lines_have_a_size() {
    complain(sources("src").flat_map(|source| {
        let mut complaints = oversized_file(source.code_lines);
        complaints.extend(long_functions(&source.code));
        complaints.extend(long_lines(&source.text));
        source.named(complaints)
    }));
    let beside = ["tests", "benches", "fuzz"].into_iter().flat_map(sources);
    complain(beside.flat_map(|source| source.named(long_lines(&source.text))));
}

#[test]
fn nothing_is_left_as_a_note_to_oneself() {
    let all = ["src", "tests", "benches", "fuzz"].into_iter().flat_map(sources);
    complain(all.flat_map(|source| source.named(notes(&source.text))));
}

fn complain(complaints: impl Iterator<Item = String>) {
    let complaints: Vec<String> = complaints.collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

// ---- the sources

/// One file, taken apart: comments and the insides of literals are blank in `code` and `tests`.
struct Source {
    name: String,
    is_room_root: bool,
    text: String,
    code: String,
    tests: String,
    code_lines: usize,
}

impl Source {
    fn read(path: &Path, is_test: bool) -> Self {
        let name = path.strip_prefix(root()).unwrap_or(path).display().to_string();
        let text = fs::read_to_string(path).unwrap_or_default();
        let bare = without_comments_and_literals(&text);
        let whole = Range { start: 0, end: bare.len() };
        let modules = if is_test { vec![whole] } else { test_modules(&bare) };
        let code = without(&bare, &modules);
        let tests = without(&bare, &gaps(&modules, bare.len()));
        let test_lines: usize = modules.iter().map(|module| bare[module.clone()].lines().count()).sum();
        let code_lines = text.lines().count().saturating_sub(test_lines);
        let is_room_root = name.ends_with("/mod.rs") && name.matches('/').count() == 2;
        Self { name, is_room_root, text, code, tests, code_lines }
    }

    fn named(&self, complaints: Vec<String>) -> Vec<String> {
        complaints.into_iter().map(|complaint| format!("{}: {complaint}", self.name)).collect()
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &str) -> impl Iterator<Item = Source> {
    let mut paths = Vec::new();
    collect_paths(&root().join(folder), &mut paths);
    paths.sort();
    let tests: BTreeSet<PathBuf> = paths.iter().flat_map(|path| test_files_declared_in(path)).collect();
    paths.into_iter().map(move |path| Source::read(&path, tests.iter().any(|test| path.starts_with(test))))
}

fn collect_paths(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect_paths(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

/// Files and folders that a `#[cfg(test)] mod name;` in this file stands for.
fn test_files_declared_in(path: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let stem = path.file_stem().unwrap_or_default();
    let parent = path.parent().unwrap_or(path);
    let folder = if stem == "mod" || stem == "lib" { parent.to_owned() } else { parent.join(stem) };
    declared_test_modules(&without_comments_and_literals(&text))
        .into_iter()
        .flat_map(|module| [folder.join(format!("{module}.rs")), folder.join(module)])
        .collect()
}

/// Every file of every room, with its room's name.
fn rooms() -> impl Iterator<Item = (String, Source)> {
    sources("src").filter_map(|source| {
        let (room, _) = source.name.strip_prefix("src/")?.split_once('/')?;
        Some((room.to_owned(), source))
    })
}

fn floor_of(room: &str) -> Option<u8> {
    ROOMS.iter().find(|(_, name, _)| *name == room).map(|(floor, _, _)| *floor)
}

/// What a room may import, itself included.
fn allowed(room: &str) -> Vec<&'static str> {
    let Some((floor, itself, imports)) = ROOMS.iter().find(|(_, name, _)| *name == room) else {
        return Vec::new();
    };
    let below = ROOMS.iter().filter(|(other, _, _)| other < floor).map(|(_, name, _)| *name);
    let mut allowed: Vec<&str> =
        if *imports == ALL_BELOW { below.collect() } else { imports.split_whitespace().collect() };
    allowed.push(itself);
    if room != "domain" {
        allowed.push(SETTINGS);
    }
    allowed
}

fn is_not_built(room: &str) -> bool {
    NOT_BUILT.contains(&room)
}

// ---- the checks on one text

fn forbidden_imports(room: &str, allowed: &[&str], code: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if is_name_before(code, at) {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let name: String = rest.chars().take_while(|c| is_name_char(*c)).collect();
        if name.is_empty() {
            complaints.push(format!("line {}: one `use` a line, no group", line_of(code, at)));
        } else if !allowed.contains(&name.as_str()) {
            complaints.push(format!("line {}: `{room}` must not import `{name}`", line_of(code, at)));
        }
    }
    for (at, _) in code.match_indices("super::super") {
        complaints.push(format!("line {}: `super::super`; write the path from `crate`", line_of(code, at)));
    }
    complaints
}

/// In a room's own `mod.rs`, `super` is the crate.
fn climbs_out(code: &str) -> Vec<String> {
    code.match_indices("super::")
        .map(|(at, _)| format!("line {}: `super` leads out of the room", line_of(code, at)))
        .collect()
}

fn world_mentions(code: &str) -> Vec<String> {
    let grouped = code.match_indices("std::{").map(|(at, _)| (at, "a group of `std` imports"));
    let named = WORLD.iter().flat_map(|name| places(code, name).map(|at| (at, *name)));
    named
        .chain(grouped)
        .map(|(at, name)| format!("line {}: {name} belongs to `{EDGE}`", line_of(code, at)))
        .collect()
}

fn lock_mentions(code: &str) -> Vec<String> {
    let atomics = code
        .match_indices(ATOMIC_PREFIX)
        .filter(|(at, _)| !is_name_before(code, *at))
        .map(|(at, _)| (at, ATOMIC_PREFIX));
    let locks = LOCKS.iter().flat_map(|name| places(code, name).map(|at| (at, *name)));
    locks
        .chain(atomics)
        .map(|(at, name)| format!("line {}: {name} in a pure room", line_of(code, at)))
        .collect()
}

/// The map lists nothing but rooms, in the order of floors, and every room that has code.
fn map_errors(map: &str, with_code: &BTreeSet<String>) -> Vec<String> {
    let listed: Vec<&str> =
        map.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let strangers =
        listed.iter().filter(|room| floor_of(room).is_none()).map(|room| format!("{room} is no room"));
    let missing = with_code
        .iter()
        .filter(|room| !listed.contains(&room.as_str()))
        .map(|room| format!("`pub mod {room};` is missing"));
    let disordered =
        (!listed.is_sorted_by_key(|room| floor_of(room))).then(|| "not in floor order".to_owned());
    let logic =
        mentions(&without_comments_and_literals(map), "fn").then(|| "the map holds no code".to_owned());
    strangers
        .chain(missing)
        .chain(disordered)
        .chain(logic)
        .map(|what| format!("src/lib.rs: {what}"))
        .collect()
}

fn oversized_file(lines: usize) -> Vec<String> {
    let oversized = lines > FILE_LINES_MAX;
    oversized.then(|| format!("{lines} lines without tests; at most {FILE_LINES_MAX}")).into_iter().collect()
}

fn long_functions(code: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for at in places(code, "fn") {
        let Some(open) = body_start(code, at) else { continue };
        let end = block_end(code, open);
        let lines = code[at..end].matches('\n').count() + 1;
        if lines > FUNCTION_LINES_MAX {
            let place = line_of(code, at);
            complaints
                .push(format!("line {place}: a function of {lines} lines; at most {FUNCTION_LINES_MAX}"));
        }
    }
    complaints
}

fn long_lines(text: &str) -> Vec<String> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.chars().count()))
        .filter(|(_, chars)| *chars > LINE_CHARS_MAX)
        .map(|(line, chars)| format!("line {line}: {chars} characters; at most {LINE_CHARS_MAX}"))
        .collect()
}

fn notes(text: &str) -> Vec<String> {
    NOTES
        .iter()
        .flat_map(|word| places(text, word).map(move |at| format!("line {}: {word}", line_of(text, at))))
        .collect()
}

// ---- reading Rust, as far as the checks need it

/// The text with comments and the insides of string and character literals blank. Lines stay where they are.
fn without_comments_and_literals(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut bare = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = comment_end(&chars, at).or_else(|| literal_end(&chars, at));
        let Some(end) = end else {
            bare.push(chars[at]);
            at += 1;
            continue;
        };
        let end = end.min(chars.len());
        bare.extend(chars[at..end].iter().map(|c| if *c == '\n' { '\n' } else { ' ' }));
        at = end;
    }
    bare
}

fn comment_end(chars: &[char], at: usize) -> Option<usize> {
    match (chars[at], chars.get(at + 1)?) {
        ('/', '/') => Some(at + chars[at..].iter().position(|c| *c == '\n').unwrap_or(chars.len() - at)),
        ('/', '*') => {
            let (mut depth, mut place) = (1, at + 2);
            while depth > 0 && place < chars.len() {
                let pair = (chars[place], chars.get(place + 1).copied().unwrap_or(' '));
                (depth, place) = match pair {
                    ('/', '*') => (depth + 1, place + 2),
                    ('*', '/') => (depth - 1, place + 2),
                    _ => (depth, place + 1),
                };
            }
            Some(place)
        }
        _ => None,
    }
}

fn literal_end(chars: &[char], at: usize) -> Option<usize> {
    match chars[at] {
        '"' => Some(quoted_end(chars, at)),
        'r' if at == 0 || !is_name_char(chars[at - 1]) || chars[at - 1] == 'b' => raw_string_end(chars, at),
        // A lifetime has no second quote where a character would have it.
        '\'' if chars.get(at + 1) == Some(&'\\') => Some(quoted_end(chars, at)),
        '\'' if chars.get(at + 2) == Some(&'\'') => Some(at + 3),
        _ => None,
    }
}

fn quoted_end(chars: &[char], at: usize) -> usize {
    let mut place = at + 1;
    while place < chars.len() && chars[place] != chars[at] {
        place += if chars[place] == '\\' { 2 } else { 1 };
    }
    place + 1
}

fn raw_string_end(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    if chars.get(at + 1 + hashes) != Some(&'"') {
        return None;
    }
    let closing: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let inside = at + 2 + hashes;
    let length = chars[inside..].windows(closing.len()).position(|window| window == closing);
    Some(length.map_or(chars.len(), |length| inside + length + closing.len()))
}

/// Where the modules under `#[cfg(test)]` stand.
fn test_modules(bare: &str) -> Vec<Range<usize>> {
    bare.match_indices("#[cfg(test)]")
        .map(|(at, attribute)| (at, at + attribute.len()))
        .filter(|(_, after)| bare[*after..].trim_start().starts_with("mod "))
        .filter_map(|(at, after)| Some(at..block_end(bare, body_start(bare, after)?)))
        .collect()
}

/// The text with these places blank.
fn without(bare: &str, places: &[Range<usize>]) -> String {
    let mut rest = bare.to_owned();
    for place in places {
        rest.replace_range(place.clone(), &blank(&bare[place.clone()]));
    }
    rest
}

/// The places between these.
fn gaps(places: &[Range<usize>], length: usize) -> Vec<Range<usize>> {
    let starts = std::iter::once(0).chain(places.iter().map(|place| place.end));
    let ends = places.iter().map(|place| place.start).chain(std::iter::once(length));
    starts.zip(ends).map(|(start, end)| start..end).collect()
}

fn declared_test_modules(bare: &str) -> Vec<String> {
    bare.match_indices("#[cfg(test)]")
        .filter_map(|(at, attribute)| bare[at + attribute.len()..].trim_start().strip_prefix("mod "))
        .filter_map(|rest| rest.split_once(';'))
        .map(|(name, _)| name.trim().to_owned())
        .filter(|name| name.chars().all(is_name_char))
        .collect()
}

/// Where the braces of an item begin; `None` when it ends with a semicolon instead.
fn body_start(bare: &str, item: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in bare[item..].char_indices() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' => return Some(item + at),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// Just after the brace that closes the one at `open`.
fn block_end(bare: &str, open: usize) -> usize {
    let mut depth = 0;
    for (at, c) in bare[open..].char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return open + at + 1;
        }
    }
    bare.len()
}

/// Spaces, as many bytes long as the text, in as many lines.
fn blank(text: &str) -> String {
    text.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect()
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn is_name_before(text: &str, at: usize) -> bool {
    text[..at].chars().next_back().is_some_and(is_name_char)
}

/// Where a name stands as a whole name.
fn places(text: &str, name: &str) -> impl Iterator<Item = usize> {
    text.match_indices(name)
        .map(|(at, _)| at)
        .filter(move |at| !is_name_before(text, *at))
        .filter(move |at| !text[at + name.len()..].chars().next().is_some_and(is_name_char))
}

fn mentions(text: &str, name: &str) -> bool {
    places(text, name).next().is_some()
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

// ---- every check is able to complain

#[test]
fn a_wrong_import_is_found() {
    let table = [
        ("use crate::ledger::Shard;", 1),
        ("use crate::domain::card::Pan;\nuse crate::journal::Record;", 0),
        ("fn f() -> crate::edge::Clock {}", 1),
        ("use crate::{domain, journal};", 1),
        ("use super::super::ledger::Shard;", 1),
        ("// use crate::ledger::Shard;\nlet text = \"crate::ledger\";", 0),
        ("/* crate::ledger /* nested */ crate::edge */", 0),
        ("let raw = r#\"crate::ledger \"quoted\" \"#; use crate::edge::x;", 1),
        ("macrocrate::ledger", 0),
        ("let quote = '\"'; use crate::ledger::x; let other = '\"';", 1),
    ];
    for (text, complaints) in table {
        let found = forbidden_imports("journal", &allowed("journal"), &without_comments_and_literals(text));
        assert_eq!(found.len(), complaints, "{text}: {found:?}");
    }
}

#[test]
fn climbing_out_of_a_room_is_found() {
    assert_eq!(climbs_out("use super::ledger::Shard;").len(), 1);
    assert_eq!(climbs_out("pub(super) fn shared() {}").len(), 0);
}

#[test]
fn touching_the_world_is_found() {
    let table = [
        ("use std::fs::File;", 1),
        ("use std::{fs, io};", 1),
        ("let now = std::time::Instant::now();", 1),
        ("use std::time::Duration;", 0),
        ("tokio::spawn(serve());", 1),
        ("aws_lc_rs::rand::fill(&mut key);", 1),
        ("println!(\"hello\");", 1),
        ("// println!(\"hello\")", 0),
        ("let operand = brand;", 0),
    ];
    for (text, complaints) in table {
        let found = world_mentions(&without_comments_and_literals(text));
        assert_eq!(found.len(), complaints, "{text}: {found:?}");
    }
}

#[test]
fn a_lock_or_an_atomic_is_found() {
    for (text, complaints) in [
        ("shard: Mutex<Shard>", 1),
        ("count: AtomicU64, last: RwLock<u8>", 2),
        ("struct NonAtomic; struct Mutexes;", 0),
    ] {
        assert_eq!(lock_mentions(text).len(), complaints, "{text}");
    }
}

#[test]
fn a_wrong_map_is_found() {
    let with_code: BTreeSet<String> = ["domain", "ledger"].map(str::to_owned).into();
    let table = [
        ("pub mod domain;\npub mod ledger;\n", 0),
        ("pub mod domain;\n", 1),
        ("pub mod ledger;\npub mod domain;\n", 1),
        ("pub mod domain;\npub mod ledger;\npub mod helpers;\n", 2),
        ("pub mod domain;\npub mod ledger;\nfn logic() {}\n", 1),
    ];
    for (map, complaints) in table {
        let found = map_errors(map, &with_code);
        assert_eq!(found.len(), complaints, "{map}: {found:?}");
    }
}

#[test]
fn tests_are_parted_from_code() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    use crate::link::x;\n}\nuse crate::ledger::y;\n";
    let modules = test_modules(text);
    let code = without(text, &modules);
    let tests = without(text, &gaps(&modules, text.len()));
    assert!(!code.contains("link") && code.contains("ledger"));
    assert!(tests.contains("link") && !tests.contains("ledger"));
    assert_eq!((line_of(&code, code.len()), line_of(&tests, tests.len())), (7, 7));
    assert_eq!(declared_test_modules("#[cfg(test)]\nmod model;\nmod other;"), ["model"]);
    let literals = "let a = '\\'' ; let b = \"é\"; fn f<'a>(x: &'a str) {}";
    assert!(!without_comments_and_literals(literals).contains('é'));
    assert!(without_comments_and_literals(literals).contains("&'a str"));
}

#[test]
fn what_is_too_long_is_found() {
    let body = |lines: usize| format!("fn long(a: [u8; 4]) {{\n{}}}\n", "    step();\n".repeat(lines));
    assert_eq!(long_functions(&body(FUNCTION_LINES_MAX - 2)).len(), 0);
    assert_eq!(long_functions(&body(FUNCTION_LINES_MAX - 1)).len(), 1);
    assert_eq!(long_functions("trait T { fn without_body(&self) -> [u8; 4]; }").len(), 0);
    assert_eq!(long_lines(&"x".repeat(LINE_CHARS_MAX)).len(), 0);
    assert_eq!(long_lines(&"x".repeat(LINE_CHARS_MAX + 1)).len(), 1);
    assert_eq!(oversized_file(FILE_LINES_MAX).len(), 0);
    assert_eq!(oversized_file(FILE_LINES_MAX + 1).len(), 1);
}

#[test]
fn a_note_to_oneself_is_found() {
    for word in NOTES {
        assert_eq!(notes(&format!("// {word}: later")).len(), 1);
        assert_eq!(notes(&format!("let {}s = 1;", word.to_lowercase())).len(), 0);
    }
}
