//! A dialect's table that a user wrote: it is refused with findings, or it can be used without a panic.
//!
//! An input is a whole table, or `@` with the name of a built-in one and then lines of a number and a text, each of
//! which takes the place of that line in it: small inputs reach deep.

use turnpike::dialect::Dialect;
use turnpike::dialect::describe::describe;
use turnpike::dialect::inbound::Context;
use turnpike::dialect::inbound::Inbound;
use turnpike::domain::action::ActionCode;
use turnpike::domain::answer::Answer;
use turnpike::domain::event::Sequence;
use turnpike::domain::party::NameId;
use turnpike::domain::request::ApprovalCode;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::view::Spans;

const TABLES: [(&str, &str); 4] = [
    ("visa", include_str!("../../src/dialect/tables/visa.toml")),
    ("iso87-ascii", include_str!("../../src/dialect/tables/iso87-ascii.toml")),
    ("mastercard", include_str!("../../src/dialect/tables/mastercard.toml")),
    ("iso87-binary", include_str!("../../src/dialect/tables/iso87-binary.toml")),
];

pub fn run(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let text = patched(text).unwrap_or_else(|| text.to_owned());
    match Dialect::from_toml("fuzz.toml", &text) {
        Err(findings) => {
            assert!(!findings.is_empty(), "a refusal says why");
            let lines = text.lines().count() + 1;
            for finding in findings {
                assert!(finding.line >= 1 && finding.line <= lines, "a finding has a place");
                assert!(!finding.to_string().is_empty());
            }
        }
        Ok(dialect) => used(&dialect),
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for (name, table) in TABLES {
        seeds.push(format!("@{name}\n").into_bytes());
        // Single lines of each kind, changed a little.
        for (n, line) in table.lines().enumerate().filter(|(_, line)| line.contains('=')).step_by(17) {
            seeds.push(format!("@{name}\n{} {line}\n", n + 1).into_bytes());
            let other = line.replace("bcd", "ascii").replace("n..", "ans..").replace("fixed", "b");
            seeds.push(format!("@{name}\n{} {other}\n{} x = 1\n", n + 1, n + 2).into_bytes());
        }
    }
    let head = "mapping = \"iso87\"\n[encoding]\nmti = \"ascii\"\nbitmap = \"hex\"\n";
    seeds.push(format!("{head}[fields.2]\nformat = \"n..19\"\n").into_bytes());
    seeds
}

fn patched(text: &str) -> Option<String> {
    let mut lines = text.strip_prefix('@')?.lines();
    let name = lines.next()?;
    let (_, table) = TABLES.iter().find(|(known, _)| *known == name)?;
    let mut table: Vec<&str> = table.lines().collect();
    for line in lines {
        let (number, replacement) = line.split_once(' ').unwrap_or((line, ""));
        if let Some(place) = number.parse::<usize>().ok().and_then(|n| table.get_mut(n.checked_sub(1)?)) {
            *place = replacement;
        }
    }
    Some(table.join("\n"))
}

/// Messages are written, read, described and answered; any of it may be refused, since a table may be silly.
fn used(dialect: &Dialect) {
    let context = Context { network: NameId::of("network"), link: NameId::of("link") };
    let values: [(u8, &str); 9] = [
        (2, "4111111111111111"),
        (3, "000000"),
        (4, "000000005000"),
        (7, "1124123456"),
        (11, "123456"),
        (37, "REF123456789"),
        (49, "840"),
        (54, "0040840D000000020000"),
        (70, "301"),
    ];
    for mti in [100, 420, 800] {
        for count in [values.len(), 5] {
            let values: Vec<(u8, Value<'_>)> =
                values[..count].iter().map(|(f, v)| (*f, (*v).into())).collect();
            let mut frame = Vec::new();
            if dialect.compose(mti, &values, &mut frame).is_err() {
                assert!(frame.is_empty(), "what could not be written is taken back");
                continue;
            }
            for end in (0..=frame.len()).rev().take(40) {
                let _text = describe(dialect, &frame[..end]);
                answered(dialect, context, &frame[..end]);
            }
        }
    }
}

fn answered(dialect: &Dialect, context: Context, bytes: &[u8]) {
    let body = dialect.frame(bytes).ok().flatten().map_or(0..bytes.len(), |frame| frame.body);
    let mut spans = Spans::default();
    let mut out = Vec::new();
    match dialect.decode(&bytes[body], context, &mut spans) {
        Ok(received) => {
            let answer = Answer {
                approval_code: Some(ApprovalCode(*b"A1B2C3")),
                ..Answer::decline(ActionCode::Approved, Sequence(1))
            };
            let written = match &received.inbound {
                Inbound::NetworkManagement(request) => {
                    dialect.write_network_answer(&received, request, &mut out)
                }
                _ => dialect.write_answer(&received, &answer, &mut out),
            };
            assert_eq!(written.is_err(), out.is_empty(), "an answer or an error");
        }
        Err(malformed) => {
            assert_eq!(dialect.write_malformed(&malformed, &mut out), !out.is_empty());
        }
    }
}
