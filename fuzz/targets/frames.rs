//! A message as a peer sends it: whatever decodes can be described, answered and written again.

use std::ops::Range;

use turnpike::dialect::Dialect;
use turnpike::dialect::Mapping;
use turnpike::dialect::MessageHeader;
use turnpike::dialect::answer::response_mti;
use turnpike::dialect::describe::describe;
use turnpike::dialect::inbound::Context;
use turnpike::dialect::inbound::Inbound;
use turnpike::dialect::inbound::Received;
use turnpike::dialect::tree;
use turnpike::dialect::tree::Node;
use turnpike::domain::action::ActionCode;
use turnpike::domain::answer::Answer;
use turnpike::domain::answer::Balances;
use turnpike::domain::answer::PartialApproval;
use turnpike::domain::event::Sequence;
use turnpike::domain::money::Money;
use turnpike::domain::party::NameId;
use turnpike::domain::request::ApprovalCode;
use turnpike::domain::request::AuthorizationRequest;
use turnpike::iso8583::frame::Kind;
use turnpike::iso8583::spec::Bitmaps;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::view::Spans;
use turnpike::iso8583::view::View;

/// The most that an answer is longer than its request: DE 38, 39, 44 and 54, and a second bitmap in hex.
pub const ANSWER_ADDS_MAX: usize = 128;

/// Fields that never go back to the peer (R25).
const NEVER_ANSWERED: [u8; 8] = [14, 35, 36, 45, 52, 53, 55, 152];

pub fn visa(bytes: &[u8]) {
    stream(&super::VISA, bytes);
    body(&super::VISA, bytes);
}

pub fn iso87(bytes: &[u8]) {
    stream(&super::ISO87, bytes);
    body(&super::ISO87, bytes);
}

pub fn mastercard(bytes: &[u8]) {
    stream(&super::MASTERCARD, bytes);
    body(&super::MASTERCARD, bytes);
}

pub fn iso87_binary(bytes: &[u8]) {
    stream(&super::ISO87_BINARY, bytes);
    body(&super::ISO87_BINARY, bytes);
}

pub fn mastercard_seeds() -> Vec<Vec<u8>> {
    bodies(&super::MASTERCARD)
}

pub fn iso87_binary_seeds() -> Vec<Vec<u8>> {
    bodies(&super::ISO87_BINARY)
}

pub fn visa_seeds() -> Vec<Vec<u8>> {
    bodies(&super::VISA)
}

pub fn iso87_seeds() -> Vec<Vec<u8>> {
    bodies(&super::ISO87)
}

/// Where every message of these targets comes from.
pub fn context() -> Context {
    Context { network: NameId::of("network"), link: NameId::of("link") }
}

/// Messages without framing, from a short one to one with every kind of field.
pub fn bodies(dialect: &Dialect) -> Vec<Vec<u8>> {
    let frames = frames(dialect);
    frames.into_iter().map(|frame| frame[dialect.framing().prefix_bytes()..].to_vec()).collect()
}

/// The same with their framing.
pub fn frames(dialect: &Dialect) -> Vec<Vec<u8>> {
    let visa = dialect.header() == MessageHeader::Visa;
    let chip = if visa { "01000F820239009F26081122334455667788" } else { "820239009F26081122334455667788" };
    let plain = [
        (2, "4111111111111111"),
        (3, "000000"),
        (4, "000000005000"),
        (7, "1124123456"),
        (11, "123456"),
        (14, "3012"),
        (18, "5999"),
        (32, "12345678901"),
        (37, "REF123456789"),
        (41, "TERMID01"),
        (42, "MERCHANT0000001"),
        (49, "840"),
    ];
    let original = [(90, "010012345611241234561234567890100000000000")];
    let rich = [
        (19, "840"),
        (28, "D00000100"),
        (35, "4111111111111111D30122011234567890"),
        (48, if dialect.mapping() == Mapping::Mastercard { "R8701M" } else { "anything" }),
        (52, "0102030405060708"),
        (54, "0040840D000000020000"),
        (55, chip),
    ];
    let private = [
        (60, "050000100001"),
        (62, "4000000000000000123456789012345F"),
        (63, "8000000002"),
        (126, "0040000000000000F1F1F1F2F3F4"),
    ];
    let network = [
        (15, "1124"),
        (48, "R6105100016313MCC12300111249203123"),
        (61, "0000004000800840902101234"),
        (63, "MCC123001"),
        (112, "0010042102"),
    ];
    let mastercard = dialect.mapping() == Mapping::Mastercard;
    let private = match (visa, mastercard) {
        (true, _) => &private[..],
        (_, true) => &network[..],
        _ => &[],
    };
    let table: [(u16, Vec<(u8, &str)>); 14] = [
        (100, plain.to_vec()),
        (101, [&plain[..], &rich].concat()),
        (200, [&plain[..], &[(6, "000000004600"), (51, "978")]].concat()),
        (100, [&plain[..], private].concat()),
        (100, [&plain[..1], &[(3, "310000")], &plain[3..]].concat()),
        (400, [&plain[..], &original].concat()),
        (421, [&plain[..], &rich, &original].concat()),
        (302, plain.to_vec()),
        (120, [&plain[..], &[(38, "A1B2C3"), (39, "00")]].concat()),
        (221, [&plain[..], &[(39, "05")]].concat()),
        (190, [&plain[..], &[(39, "82")]].concat()),
        (620, plain.to_vec()),
        (110, [&plain[..], &[(39, "00")]].concat()),
        (800, vec![(7, "1124123456"), (11, "000001"), (70, if visa { "071" } else { "001" })]),
    ];
    table.into_iter().map(|(mti, values)| compose(dialect, mti, values)).collect()
}

fn compose(dialect: &Dialect, mti: u16, mut values: Vec<(u8, &str)>) -> Vec<u8> {
    values.sort_by_key(|(field, _)| *field);
    let bytes = |(field, text): &(u8, &str)| (*field, bytes_of(dialect, *field, text));
    let owned: Vec<(u8, Option<Vec<u8>>)> = values.iter().map(bytes).collect();
    let values: Vec<(u8, Value<'_>)> = values
        .iter()
        .zip(&owned)
        .map(|((field, text), (_, bytes))| (*field, bytes.as_deref().map_or(Value::Text(text), Value::Bytes)))
        .collect();
    let mut out = Vec::new();
    dialect.compose(mti, &values, &mut out).unwrap_or_else(|error| panic!("{mti:04}: {error}"));
    out
}

/// Visa's private fields are written here in hex, whatever their table row says.
fn bytes_of(dialect: &Dialect, field: u8, text: &str) -> Option<Vec<u8>> {
    let private = dialect.header() == MessageHeader::Visa && [62, 63, 126].contains(&field);
    if private { turnpike::iso8583::digits::hex_bytes(text.as_bytes()) } else { None }
}

/// Bytes as a socket delivers them: every frame that is found lies inside of them.
fn stream(dialect: &Dialect, bytes: &[u8]) {
    let _text = describe(dialect, bytes);
    let mut at = 0;
    while let Ok(Some(frame)) = dialect.frame(&bytes[at..]) {
        assert!(frame.total > 0 && at + frame.total <= bytes.len(), "a frame ends within the bytes");
        assert!(frame.body.end <= frame.total && frame.body.start <= frame.body.end);
        at += frame.total;
    }
}

/// Bytes as the body of one frame.
pub fn body(dialect: &Dialect, body: &[u8]) {
    let mut framed = Vec::new();
    let start = dialect.framing().begin(&mut framed);
    framed.extend_from_slice(body);
    if body.is_empty() || dialect.framing().finish(&mut framed, start).is_err() {
        return;
    }
    let frame = dialect.frame(&framed).expect("it was framed here").expect("it is whole");
    assert_eq!((frame.total, &framed[frame.body.clone()], frame.kind), (framed.len(), body, Kind::Message));
    let text = describe(dialect, &framed);
    is_shown_in_order(dialect, &framed);
    let mut spans = Spans::default();
    match dialect.decode(body, context(), &mut spans) {
        Ok(received) => {
            hides_the_card(dialect, &received.view, &text);
            let mut strange = false;
            dialect.unknown_elements(&received.view, |path| {
                strange = true;
                assert!(path.to_string().starts_with("DE"));
            });
            assert_eq!(received.strange, strange, "it is strange when it has unknown elements");
            written_again(dialect, &received.view);
            answered(dialect, &received, body.len());
        }
        Err(malformed) => {
            assert!(!malformed.fault.to_string().is_empty());
            let mut out = Vec::new();
            let is_answered = dialect.write_malformed(&malformed, &mut out);
            assert_eq!(is_answered, !out.is_empty(), "an answer or nothing");
            if let (Some(view), true) = (malformed.view, is_answered) {
                is_an_answer(dialect, &view, &out);
            }
        }
    }
}

/// What is shown of a message lies within it, each part within what it is a part of, and in order.
pub fn is_shown_in_order(dialect: &Dialect, bytes: &[u8]) {
    tree::messages(dialect, bytes)
        .iter()
        .for_each(|message| parts_lie_within(&message.nodes, 0..bytes.len()));
}

fn parts_lie_within(nodes: &[Node], whole: Range<usize>) {
    let mut from = whole.start;
    for node in nodes {
        let Some(offset) = node.offset else { continue };
        let end = offset + node.length;
        assert!(offset >= from && end <= whole.end, "{} at {offset}, {} bytes", node.id, node.length);
        from = offset;
        parts_lie_within(&node.parts, offset..end);
    }
}

/// A card number with a right check digit is masked wherever it stands.
fn hides_the_card(dialect: &Dialect, view: &View<'_>, text: &str) {
    let Some(number) = dialect.value(view, 2).filter(|number| number.len() >= 13) else { return };
    if luhn(&number) && !number.starts_with('0') {
        assert!(!text.contains(&number), "a card number is shown");
    }
}

/// The card number of a message's DE 2, when its check digit is right.
pub fn card_of(dialect: &Dialect, body: &[u8]) -> Option<String> {
    let mut spans = Spans::default();
    let view = match dialect.decode(body, context(), &mut spans) {
        Ok(received) => received.view,
        Err(malformed) => malformed.view?,
    };
    dialect.value(&view, 2).filter(|number| number.len() >= 13 && luhn(number))
}

/// Whether the check digit of a card number is right.
fn luhn(number: &str) -> bool {
    let digits = number.bytes().rev().map(|byte| u32::from(byte.wrapping_sub(b'0')));
    let sum: u32 = digits
        .enumerate()
        .map(|(at, digit)| if at % 2 == 0 { digit } else { digit * 2 / 10 + digit * 2 % 10 })
        .sum();
    sum.is_multiple_of(10)
}

/// Every value of a message, written again, is read as the same values.
fn written_again(dialect: &Dialect, view: &View<'_>) {
    let values: Vec<(u8, String)> = view
        .fields()
        .iter()
        .map(|field| (field, dialect.value(view, field).expect("a field that was read")))
        .collect();
    let borrowed: Vec<(u8, Value<'_>)> = values.iter().map(|(f, v)| (*f, Value::Text(v))).collect();
    let mut out = Vec::new();
    dialect
        .compose_message(view.mti(), &borrowed, Bitmaps::AS_NEEDED, &mut out)
        .unwrap_or_else(|error| panic!("written again: {error}"));
    let mut spans = Spans::default();
    let again = View::parse(dialect.layout(), &out, &mut spans)
        .unwrap_or_else(|broken| panic!("written again: {}", broken.error));
    assert_eq!((again.mti(), again.fields()), (view.mti(), view.fields()));
    for (field, value) in &values {
        assert_eq!(dialect.value(&again, *field).as_ref(), Some(value), "field {field}");
    }
}

/// Every answer that a decision could lead to can be written.
fn answered(dialect: &Dialect, received: &Received<'_>, length: usize) {
    let mut out = Vec::new();
    let mti = received.view.mti();
    let written = |result: Result<(), turnpike::dialect::answer::WriteError>, out: &mut Vec<u8>| {
        let fits = length + ANSWER_ADDS_MAX <= dialect.framing().max as usize;
        match result {
            Ok(()) => is_an_answer(dialect, &received.view, out),
            Err(error) => assert!(out.is_empty() && !fits, "{mti:04}: {error}"),
        }
        out.clear();
    };
    match received.inbound {
        Inbound::Authorization(request) => {
            for answer in answers(&request) {
                written(dialect.write_answer(received, &answer, &mut out), &mut out);
            }
        }
        Inbound::Reversal(_) | Inbound::Advice(_) | Inbound::Administrative(_) => {
            let answer = Answer::decline(ActionCode::Approved, Sequence(1));
            written(dialect.write_answer(received, &answer, &mut out), &mut out);
        }
        Inbound::NetworkManagement(request) => {
            written(dialect.write_network_answer(received, &request, &mut out), &mut out);
        }
        Inbound::Unsupported { mti } if (mti / 10).is_multiple_of(10) && received.view.has(11) => {
            written(dialect.write_refusal(received, ActionCode::InvalidTransaction, &mut out), &mut out);
        }
        Inbound::NetworkAdvice(_)
        | Inbound::Unsupported { .. }
        | Inbound::Undelivered(_)
        | Inbound::Response(_)
        | Inbound::Reject(_) => {}
    }
}

fn answers(request: &AuthorizationRequest) -> [Answer; 4] {
    let decline = Answer::decline(ActionCode::InsufficientFunds, Sequence(1));
    let approval = Answer {
        action: ActionCode::Approved,
        approval_code: Some(ApprovalCode(*b"A1B2C3")),
        ..Answer::decline(ActionCode::Approved, Sequence(1))
    };
    let half = |money: Money| Money::new(money.minor / 2, money.currency);
    let billing = request.billing.unwrap_or(request.amount);
    let partial =
        PartialApproval { amount: half(request.amount), billing: half(billing), original: request.amount };
    let balances = Balances { ledger: i64::MIN, available: i64::MAX, currency: request.amount.currency };
    [
        decline,
        approval,
        Answer { action: ActionCode::ApprovedPartially, partial: Some(partial), ..approval },
        Answer { balances: Some(balances), ..approval },
    ]
}

/// What was written is one whole frame that answers the request, and gives nothing secret back.
fn is_an_answer(dialect: &Dialect, request: &View<'_>, out: &[u8]) {
    let frame = dialect.frame(out).expect("framing of our own").expect("a whole frame");
    assert_eq!(frame.total, out.len(), "one frame");
    let mut spans = Spans::default();
    let answer = match dialect.decode(&out[frame.body], context(), &mut spans) {
        Ok(received) => received.view,
        Err(malformed) => panic!("an answer of ours: {}", malformed.fault),
    };
    assert_eq!(answer.mti(), response_mti(request.mti()));
    assert!(answer.has(39), "an answer has DE 39");
    assert_eq!(dialect.value(&answer, 11), dialect.value(request, 11), "the peer matches by DE 11");
    for field in NEVER_ANSWERED {
        assert!(!answer.has(field), "field {field} never goes back");
    }
}
