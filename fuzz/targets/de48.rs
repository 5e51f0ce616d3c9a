//! Mastercard's DE 48: a category code, then subelements behind two digits of id and two of length, some of them
//! divided again. Every way of reading it agrees with a naive one, what is written again is the same, and what is
//! secret in it shows nowhere and goes back to nobody.
//!
//! The first byte says whether digits are in ASCII, which mutates well, or in EBCDIC as the network writes them; the
//! rest is the content.

use std::ops::Range;
use std::sync::LazyLock;

use turnpike::dialect::Dialect;
use turnpike::dialect::describe;
use turnpike::dialect::tree;
use turnpike::dialect::tree::Node;
use turnpike::domain::action::ActionCode;
use turnpike::domain::answer::Answer;
use turnpike::domain::event::Sequence;
use turnpike::iso8583::digits::to_ebcdic;
use turnpike::iso8583::spec::Encoding;
use turnpike::iso8583::subfields::Added;
use turnpike::iso8583::subfields::Subfields;
use turnpike::iso8583::subfields::Tagging;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::view::Spans;

use super::frames;

/// Subelements that are not shown: key blocks, what 3-D Secure gave, the CVC 2.
const HIDDEN: [u16; 4] = [10, 11, 43, CVC2];
/// Those that do not go back (R25).
const WITHHELD: [u16; 7] = [10, 11, 33, 43, ADDRESS_RESULT, CVC_RESULT, CVC2];
const ADDRESS: u16 = 82;
const ADDRESS_RESULT: u16 = 83;
const CVC_RESULT: u16 = 87;
const CVC2: u16 = 92;
/// A subelement with a card number in its part 2.
const MAPPED_NUMBER: u16 = 33;

/// The same table with everything in ASCII.
static ASCII: LazyLock<Dialect> = LazyLock::new(|| {
    let table = include_str!("../../src/dialect/tables/mastercard.toml").replace("\"ebcdic\"", "\"ascii\"");
    Dialect::from_toml("mastercard-ascii", &table).expect("a right table")
});

pub fn run(bytes: &[u8]) {
    let Some((choice, content)) = bytes.split_first() else { return };
    let dialect: &Dialect = if choice & 1 == 0 { &ASCII } else { &super::MASTERCARD };
    let table = dialect.subfields(48).expect("DE 48 is divided");
    let tagging = table.tagging().expect("into elements behind their ids");
    all_agree(table, content);
    goes_back(table, tagging, content);
    if let Some(framed) = message(dialect, content) {
        is_served(dialect, table, tagging, content, &framed);
        hides(dialect, tagging, content, &framed);
    }
}

pub fn seeds() -> Vec<Vec<u8>> {
    let table = [
        "R6105100009203123",
        "T420701032124328jJJLtQa+Iws8AREAEbjsA1MAAAA=6105000009203456",
        "T33390101C0216411111111111111103043012050290",
        "T22080504C10122080504M101",
        "R710650V 06  6315MCC1230010101  ",
        "P1108ABCDEFGH1004\x01\x02\x03\x048701Q",
        "6105100002001S",
        "U8701M37069000019203",
        "R3732MERCHANT DATA OF ANY KIND 0000014302AB4301C",
        "X99",
        "R",
        "",
    ];
    let ascii = table.iter().map(|text| [&[0], text.as_bytes()].concat());
    let ebcdic = table.iter().map(|text| [1].into_iter().chain(text.bytes().map(to_ebcdic)).collect());
    ascii.chain(ebcdic).collect()
}

/// An element as the naive reader finds it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Found {
    id: u16,
    raw: Range<usize>,
    content: Range<usize>,
}

/// Reads elements, and says where it cannot go on.
fn naive(tagging: Tagging, content: &[u8]) -> (Vec<Found>, usize) {
    let number = |at: usize, digits: u8| {
        let digits = content.get(at..at + usize::from(digits))?;
        let values = digits.iter().map(|byte| Some(usize::from(digit(tagging, *byte)?)));
        values.into_iter().try_fold(0, |value, digit| Some(value * 10 + digit?))
    };
    let (id_digits, length_digits) = (tagging.id_digits, tagging.length_digits);
    let head = usize::from(id_digits + length_digits);
    let mut at = if number(0, 1).is_none() { usize::from(tagging.lead).min(content.len()) } else { 0 };
    let mut found = Vec::new();
    while let Some(id) = number(at, id_digits) {
        let Some(length) = number(at + usize::from(id_digits), length_digits) else { break };
        let end = at + head + length;
        if end > content.len() {
            break;
        }
        found.push(Found { id: id as u16, raw: at..end, content: at + head..end });
        at = end;
    }
    (found, at)
}

fn digit(tagging: Tagging, byte: u8) -> Option<u8> {
    let zero = coded(tagging, b'0');
    (zero..=zero + 9).contains(&byte).then(|| byte - zero)
}

/// A character in the encoding of a table.
const fn coded(tagging: Tagging, character: u8) -> u8 {
    if matches!(tagging.encoding, Encoding::Ebcdic) { to_ebcdic(character) } else { character }
}

/// What the tagging reads is what the naive reader does, and is written again as it was.
pub fn agrees(tagging: Tagging, content: &[u8]) {
    let (known, end) = naive(tagging, content);
    let mut read = Vec::new();
    let mut written = tagging.lead(content).to_vec();
    let mut broken = None;
    for element in tagging.elements(content) {
        assert!(broken.is_none(), "nothing is read behind what cannot be read");
        match element {
            Ok(element) => {
                let raw = element.offset..element.offset + element.raw.len();
                assert_eq!(&content[raw.clone()], element.raw, "an element lies where it says");
                let inner = raw.end - element.content.len()..raw.end;
                assert_eq!(&content[inner.clone()], element.content);
                tagging.push_head(element.id, element.content.len(), &mut written);
                written.extend_from_slice(element.content);
                read.push(Found { id: element.id, raw, content: inner });
            }
            Err(error) => broken = Some(error.offset),
        }
    }
    assert_eq!(read, known);
    assert_eq!(broken, (end < content.len()).then_some(end), "it stops where nothing can be read");
    assert_eq!(written, content[..end], "what is written again is the same");
    for id in 0..100 {
        let first = known.iter().find(|found| found.id == id).map(|found| &content[found.content.clone()]);
        assert_eq!(tagging.find(content, id), first, "element {id}");
    }
}

/// The same of the elements inside of elements.
fn all_agree(table: &Subfields, content: &[u8]) {
    let Some(tagging) = table.tagging() else { return };
    agrees(tagging, content);
    for found in naive(tagging, content).0 {
        if let Some(inner) = table.row(found.id).and_then(|row| row.parts.as_ref()) {
            all_agree(inner, &content[found.content]);
        }
    }
}

/// What may go back: all but what is withheld, with a result among it.
fn goes_back(table: &Subfields, tagging: Tagging, content: &[u8]) {
    let mut expected = tagging.lead(content).to_vec();
    let open = naive(tagging, content).0.into_iter().filter(|found| !WITHHELD.contains(&found.id));
    open.for_each(|found| expected.extend_from_slice(&content[found.raw]));
    let mut out = Vec::new();
    table.append_open(content, &[], &mut out);
    assert_eq!(out, expected, "what goes back is what came, in its order");
    assert_eq!(table.has_open(content, &[]), !out.is_empty());
    let mut again = Vec::new();
    table.append_open(&out, &[], &mut again);
    assert_eq!(again, out, "what goes back is whole");
    let byte = coded(tagging, b'P');
    let result = Added::one(CVC_RESULT, byte);
    let mut with = Vec::new();
    table.append_open(content, &[result], &mut with);
    assert_eq!(with.len(), out.len() + 5, "one element of one byte is added");
    assert_eq!(tagging.find(&with, CVC_RESULT), Some([byte].as_slice()), "and found again");
}

/// A message with this DE 48 is read, looked through for what is unknown, and answered.
fn is_served(dialect: &Dialect, table: &Subfields, tagging: Tagging, content: &[u8], framed: &[u8]) {
    let frame = dialect.frame(framed).expect("framing of our own").expect("a whole frame");
    let body = &framed[frame.body];
    frames::body(dialect, body);
    let mut spans = Spans::default();
    let Ok(received) = dialect.decode(body, frames::context(), &mut spans) else { return };
    assert_eq!(received.view.content(48), Some(content), "a field is what was written");
    let mut strange = Vec::new();
    dialect.unknown_elements(&received.view, |path| strange.push(path.to_string()));
    assert_eq!(strange, unknown(table, tagging, content));
    let answer = Answer::decline(ActionCode::Approved, Sequence(1));
    let mut out = Vec::new();
    dialect.write_answer(&received, &answer, &mut out).expect("it is not too long");
    let frame = dialect.frame(&out).expect("framing of our own").expect("a whole frame");
    let mut spans = Spans::default();
    let Ok(answered) = dialect.decode(&out[frame.body], frames::context(), &mut spans) else {
        panic!("an answer of ours is read")
    };
    let came =
        |id| naive(tagging, content).0.into_iter().any(|found| found.id == id && !found.content.is_empty());
    let results = [(ADDRESS, ADDRESS_RESULT, b'U'), (CVC2, CVC_RESULT, b'P')];
    let results = results.into_iter().filter(|(id, ..)| came(*id));
    let results: Vec<Added> = results.map(|(_, id, result)| Added::one(id, coded(tagging, result))).collect();
    let mut expected = Vec::new();
    table.append_open(content, &results, &mut expected);
    assert_eq!(answered.view.content(48).unwrap_or_default(), expected, "a code that came was not processed");
}

fn message(dialect: &Dialect, content: &[u8]) -> Option<Vec<u8>> {
    let values: [(u8, Value<'_>); 8] = [
        (2, "4111111111111111".into()),
        (3, "000000".into()),
        (4, "000000005000".into()),
        (7, "1124123456".into()),
        (11, "123456".into()),
        (32, "12345678901".into()),
        (48, content.into()),
        (49, "840".into()),
    ];
    let mut out = Vec::new();
    dialect.compose(100, &values, &mut out).ok()?;
    Some(out)
}

/// The elements without a row, in the order in which they stand.
fn unknown(table: &Subfields, tagging: Tagging, content: &[u8]) -> Vec<String> {
    let mut strange = Vec::new();
    for outer in naive(tagging, content).0 {
        let row = table.row(outer.id);
        if row.is_none() {
            strange.push(format!("DE48.{}", outer.id));
        }
        let divided = row.and_then(|row| row.parts.as_ref());
        let Some((parts, tagging)) = divided.and_then(|parts| Some((parts, parts.tagging()?))) else {
            continue;
        };
        let inner = naive(tagging, &content[outer.content]).0.into_iter();
        let inner = inner.filter(|inner| parts.row(inner.id).is_none());
        strange.extend(inner.map(|inner| format!("DE48.{}.{}", outer.id, inner.id)));
    }
    strange
}

/// What must not show can be any other digits, and what is shown stays the same.
fn hides(dialect: &Dialect, tagging: Tagging, content: &[u8], framed: &[u8]) {
    let messages = tree::messages(dialect, framed);
    let fields = messages.iter().flat_map(|message| &message.nodes);
    fields.filter(|node| node.id == "48").for_each(all_hidden);
    let mut other = content.to_vec();
    for range in secrets(tagging, content) {
        other[range].iter_mut().for_each(|byte| {
            *byte = digit(tagging, *byte).map_or(*byte, |digit| coded(tagging, b'0' + (digit + 3) % 10));
        });
    }
    let other = message(dialect, &other).expect("it is as long as the other");
    let json = |bytes: &[u8]| -> Vec<String> {
        let messages = tree::messages(dialect, bytes);
        messages.iter().map(|message| describe::json(dialect, message).to_string()).collect()
    };
    let text = |bytes: &[u8]| describe::describe(dialect, bytes);
    assert!(text(framed) == text(&other) && json(framed) == json(&other), "a secret is shown");
}

fn all_hidden(node: &Node) {
    let id = node.id.split('.').nth(1).and_then(|id| id.parse().ok());
    let is_secret = id.is_some_and(|id| HIDDEN.contains(&id));
    assert!(!is_secret || node.hidden && node.meaning.is_none() && node.parts.is_empty(), "DE {}", node.id);
    node.parts.iter().for_each(all_hidden);
}

/// Where in a content stands what is hidden, and the middle of a mapped card number.
fn secrets(tagging: Tagging, content: &[u8]) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    for outer in naive(tagging, content).0 {
        if HIDDEN.contains(&outer.id) {
            secrets.push(outer.content);
        } else if outer.id == MAPPED_NUMBER {
            let inner = &content[outer.content.clone()];
            for part in naive(Tagging { lead: 0, ..tagging }, inner).0.into_iter().filter(|part| part.id == 2)
            {
                let number = &inner[part.content.clone()];
                let is_long = number.len() >= 13 && number.iter().all(|byte| digit(tagging, *byte).is_some());
                let start = outer.content.start + part.content.start;
                secrets.extend(is_long.then(|| start + 6..start + number.len() - 4));
            }
        }
    }
    secrets
}
