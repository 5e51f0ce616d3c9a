//! Messages that go on to another party: bit for bit where both write alike, by value where not, and back again.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails where it stands")]

mod foreign;
mod mutation;

use std::fs;
use std::path::Path;

use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop;
use turnpike::dialect::Dialect;
use turnpike::dialect::Mapping;
use turnpike::dialect::carry::Carriage;
use turnpike::dialect::carry::Carried39;
use turnpike::dialect::carry::Carry;
use turnpike::dialect::carry::CarryError;
use turnpike::dialect::inbound::Context;
use turnpike::dialect::inbound::Inbound;
use turnpike::dialect::inbound::Received;
use turnpike::domain::action::ActionCode;
use turnpike::domain::answer::Answer;
use turnpike::domain::answer::Balances;
use turnpike::domain::answer::PartialApproval;
use turnpike::domain::card::Pan;
use turnpike::domain::event::Sequence;
use turnpike::domain::forward::Carried;
use turnpike::domain::forward::Message;
use turnpike::domain::forward::Original;
use turnpike::domain::forward::OwnKey;
use turnpike::domain::forward::Tells;
use turnpike::domain::money::Currency;
use turnpike::domain::money::Money;
use turnpike::domain::party::InstitutionId;
use turnpike::domain::party::NameId;
use turnpike::domain::party::Text;
use turnpike::domain::request::ApprovalCode;
use turnpike::domain::request::Legs;
use turnpike::domain::request::MessageClass;
use turnpike::domain::request::MessageKey;
use turnpike::domain::request::OriginalData;
use turnpike::domain::request::ProcessingCode;
use turnpike::domain::request::Replacement;
use turnpike::domain::request::Stan;
use turnpike::domain::time::Expiry;
use turnpike::domain::time::TransmissionTime;
use turnpike::domain::trace;
use turnpike::iso8583::digits::hex_bytes;
use turnpike::iso8583::digits::hex_text;
use turnpike::iso8583::spec::FieldSet;
use turnpike::iso8583::value::Value;
use turnpike::iso8583::value::ValueError;
use turnpike::iso8583::view::Spans;
use turnpike::iso8583::view::View;

type Values<'v> = [(u8, &'v str)];
/// Whoever asks and whoever is asked.
type Pair = (&'static str, &'static str);
type Result<T> = std::result::Result<T, CarryError>;

const DIALECTS: [&str; 4] = ["visa", "mastercard", "iso87-ascii", "iso87-binary"];
/// Their folders of kept messages.
const CORPORA: [&str; 4] = ["visa", "mastercard", "iso87", "iso87_binary"];
const BEFORE: &[u8] = b"before";

fn dialect(name: &str) -> Dialect {
    Dialect::built_in(name).expect("a dialect that is compiled in")
}

fn context() -> Context {
    Context { network: NameId::of("network"), link: NameId::of("link") }
}

fn own() -> OwnKey {
    OwnKey { stan: Stan(900_017), transmission: transmission(1_231_235_959) }
}

fn transmission(digits: u32) -> TransmissionTime {
    TransmissionTime::new(digits).expect("a date and a time")
}

/// What passes everything.
fn open() -> Carriage {
    Carriage { pin: Carry::Pass, mac: Carry::Pass, mappings: Vec::new() }
}

fn frame(dialect: &Dialect, mti: u16, values: &Values<'_>) -> Vec<u8> {
    let values: Vec<(u8, Value<'_>)> = values.iter().map(|(f, v)| (*f, Value::Text(v))).collect();
    let mut out = Vec::new();
    dialect.compose(mti, &values, &mut out).unwrap_or_else(|error| panic!("{error}"));
    out
}

fn body<'f>(dialect: &Dialect, frame: &'f [u8]) -> &'f [u8] {
    let found = dialect.frame(frame).expect("a right frame").expect("a whole frame");
    assert_eq!(found.total, frame.len());
    &frame[found.body]
}

/// A frame's message without header.
fn message<'f>(dialect: &Dialect, frame: &'f [u8]) -> &'f [u8] {
    &body(dialect, frame)[dialect.header_bytes()..]
}

fn read<'a>(dialect: &'a Dialect, frame: &'a [u8], spans: &'a mut Spans) -> Received<'a> {
    let received = dialect.decode(body(dialect, frame), context(), spans);
    received.unwrap_or_else(|malformed| panic!("{}: {malformed:?}", dialect.name()))
}

fn values_of(dialect: &Dialect, frame: &[u8]) -> Vec<(u8, String)> {
    let mut spans = Spans::default();
    let view = read(dialect, frame, &mut spans).view;
    view.fields().iter().map(|field| (field, dialect.value(&view, field).expect("a field"))).collect()
}

/// The values with others; an empty one leaves the field out.
fn with<'v>(values: &Values<'v>, changes: &Values<'v>) -> Vec<(u8, &'v str)> {
    let mut values: Vec<(u8, &str)> = values.to_vec();
    for (field, value) in changes {
        values.retain(|(known, _)| known != field);
        if !value.is_empty() {
            values.push((*field, value));
        }
    }
    values.sort_by_key(|(field, _)| *field);
    values
}

/// A request in `from` on its way to `to`, and the fields that were left out.
fn carried(from: &Dialect, asked: &[u8], to: &Dialect, carriage: &Carriage) -> Result<(Vec<u8>, FieldSet)> {
    let (mut spans, mut out) = (Spans::default(), BEFORE.to_vec());
    let received = read(from, asked, &mut spans);
    let dropped = from.carry_request(&received, to, own(), carriage, false, &mut out);
    match dropped {
        Ok(dropped) => Ok((out.split_off(BEFORE.len()), dropped)),
        Err(error) => {
            assert_eq!(out, BEFORE, "nothing is left of what could not be written");
            Err(error)
        }
    }
}

/// The party's answer on its way back.
fn returned(
    asker: &Dialect,
    asked: &[u8],
    from: &Dialect,
    answer: &[u8],
    carriage: &Carriage,
) -> Result<(Vec<u8>, Carried39)> {
    let (mut spans, mut other, mut out) = (Spans::default(), Spans::default(), BEFORE.to_vec());
    let (asked, answer) = (read(asker, asked, &mut spans), read(from, answer, &mut other));
    match asker.carry_answer(&asked, from, &answer, carriage, &mut out) {
        Ok(carried) => Ok((out.split_off(BEFORE.len()), carried)),
        Err(error) => {
            assert_eq!(out, BEFORE, "nothing is left of what could not be written");
            Err(error)
        }
    }
}

/// What a party that speaks this dialect answers.
fn answered(dialect: &Dialect, request: &[u8], answer: &Answer) -> Vec<u8> {
    let (mut spans, mut out) = (Spans::default(), Vec::new());
    let received = read(dialect, request, &mut spans);
    dialect.write_answer(&received, answer, &mut out).unwrap_or_else(|error| panic!("{error}"));
    out
}

fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::new(840).expect("a currency"))
}

fn answer(action: ActionCode) -> Answer {
    let mut answer = Answer::decline(action, Sequence(1));
    answer.approval_code = action.is_approval().then_some(ApprovalCode(*b"A1B2C3"));
    if action == ActionCode::ApprovedPartially {
        let part = usd(2_000);
        answer.partial = Some(PartialApproval { amount: part, billing: part, original: usd(5_000) });
    }
    answer
}

// ---- alike

/// A message with everything that a table may lack or write in its own way: an odd number of packed digits, unknown
/// tags and subfields, three bitmaps.
fn strange(name: &str) -> Vec<(u8, &'static str)> {
    let plain: &Values<'static> = &[
        (2, "4111111111111111116"),
        (3, "000000"),
        (4, "000000005000"),
        (7, "0604123456"),
        (11, "123456"),
        (19, "840"),
        (32, "1234567"),
        (35, "4111111111111111116D30122010000"),
        (37, "REF123456789"),
        (41, "TERMID01"),
        (42, "MERCHANT0000001"),
        (49, "840"),
        (52, "0102030405060708"),
        (53, "2001010100000000"),
    ];
    let more: &Values<'static> = match name {
        "visa" => &[
            (55, "010008DF7F01AA8202390077000101"),
            (62, "4000000400000000012345678901234500"),
            (63, "8000000002"),
            (104, "7700029F01"),
            (150, "C1C2"),
            (192, "00"),
        ],
        "mastercard" => &[
            (48, "R9904ABCD9203123"),
            (55, "DF7F01AA82023900"),
            (63, "MCS01106L"),
            (108, "0100403AB"),
            (150, "strange"),
        ],
        _ => &[(55, "DF7F01AA82023900"), (63, "\u{e9}"), (128, "0102030405060708"), (150, "strange")],
    };
    with(&with(plain, &[]), more)
}

/// Bodies of messages: those that others published, those that a fuzzer kept, and some of ours.
fn kept(at: usize) -> Vec<Vec<u8>> {
    let dialect = dialect(DIALECTS[at]);
    let mut bodies = vec![body(&dialect, &frame(&dialect, 100, &strange(DIALECTS[at]))).to_vec()];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(CORPORA[at]);
    for entry in fs::read_dir(folder).expect("the corpus is there") {
        bodies.push(fs::read(entry.expect("an entry").path()).expect("a file"));
    }
    for case in foreign::cases("visa_mastercard.jsonl").into_iter().flatten() {
        let bytes = hex_bytes(case["hex"].as_str().expect("hex").as_bytes()).expect("hex");
        if let Ok(Some(found)) = dialect.frame(&bytes) {
            bodies.push(bytes[found.body].to_vec());
        }
    }
    bodies
}

/// A message goes on and differs in nothing but its name. False when it cannot be read or is nothing that goes on.
fn goes_on_alike(dialect: &Dialect, body: &[u8]) -> bool {
    let (mut spans, mut out) = (Spans::default(), BEFORE.to_vec());
    let Ok(received) = dialect.decode(body, context(), &mut spans) else { return false };
    if matches!(received.inbound, Inbound::Reject(_) | Inbound::Response(_)) {
        return false;
    }
    let dropped = dialect.carry_request(&received, dialect, own(), &open(), false, &mut out);
    let view = &received.view;
    let dropped = dropped.unwrap_or_else(|error| panic!("{error}: {}", hex_text(body)));
    assert_eq!(dropped, view.named().without(view.fields()), "{}", hex_text(body));
    let mut message = message(dialect, &out[BEFORE.len()..]).to_vec();
    let mut other = Spans::default();
    let again = View::parse(dialect.layout(), &message, &mut other);
    let again = again.unwrap_or_else(|broken| panic!("{}: {}", broken.error, hex_text(body)));
    let names = FieldSet::of(&[7, 11]);
    assert_eq!((again.mti(), again.bitmaps().count), (view.mti(), view.bitmaps().count));
    assert_eq!(again.fields(), view.fields().or(names), "{}", hex_text(body));
    for field in view.fields().without(names).iter() {
        assert_eq!(again.raw(field), view.raw(field), "field {field} of {}", hex_text(body));
    }
    assert_eq!((again.number(7), again.number(11)), (Some(1_231_235_959), Some(900_017)));
    if dropped.is_empty() && view.fields().includes(names) {
        let places = [7, 11].map(|field| (again.offsets(field).expect("it is there").0, field));
        for (at, field) in places {
            let raw = view.raw(field).expect("it is there");
            message[at..at + raw.len()].copy_from_slice(raw);
        }
        let whole = &body[body.len() - message.len()..];
        assert_eq!(hex_text(&message), hex_text(whole), "with its own name again");
    }
    true
}

#[test]
fn a_message_goes_on_bit_for_bit() {
    for (at, name) in DIALECTS.iter().enumerate() {
        let dialect = dialect(name);
        let gone = kept(at).iter().filter(|body| goes_on_alike(&dialect, body)).count();
        assert!(gone > 10, "{name}: {gone} of {} went on", kept(at).len());
        // Ours is one of them, with all that is strange in it.
        let frame = frame(&dialect, 100, &strange(name));
        let mut spans = Spans::default();
        let received = read(&dialect, &frame, &mut spans);
        assert!(received.strange, "{name}");
        let bitmaps = if received.view.has(150) { 3 } else { 1 };
        assert_eq!(received.view.bitmaps().count, bitmaps, "{name}");
        assert!(goes_on_alike(&dialect, body(&dialect, &frame)));
    }
}

#[test]
fn a_damaged_message_goes_on_bit_for_bit_where_it_can_be_read() {
    let bodies: Vec<Vec<Vec<u8>>> = (0..DIALECTS.len()).map(kept).collect();
    let dialects = DIALECTS.map(dialect);
    proptest::proptest!(|(which in any::<prop::sample::Index>(), one in any::<prop::sample::Index>(),
        edits in mutation::edits())| {
        let which = which.index(DIALECTS.len());
        let body = mutation::edited(one.get::<Vec<u8>>(&bodies[which]), edits);
        goes_on_alike(&dialects[which], &body);
    });
}

/// Whoever asks over us gets byte for byte what it would have got from the party itself.
#[test]
fn an_answer_comes_back_bit_for_bit() {
    let mut compared = 0;
    for (at, name) in DIALECTS.iter().enumerate() {
        let dialect = dialect(name).with_station(123_456);
        for asked in kept(at) {
            let mut frame = Vec::new();
            let start = dialect.framing().begin(&mut frame);
            frame.extend_from_slice(&asked);
            dialect.framing().finish(&mut frame, start).expect("short enough");
            let mut spans = Spans::default();
            let Ok(received) = dialect.decode(&asked, context(), &mut spans) else { continue };
            let is_asked = matches!(
                received.inbound,
                Inbound::Authorization(_) | Inbound::Reversal(_) | Inbound::Advice(_)
            );
            if !is_asked || received.view.fields() != received.view.named() {
                continue;
            }
            for action in [ActionCode::Approved, ActionCode::InsufficientFunds, ActionCode::ApprovedPartially]
            {
                let (on, _) = carried(&dialect, &frame, &dialect, &open()).expect("it goes on");
                let theirs = answered(&dialect, &on, &answer(action));
                let (back, said) =
                    returned(&dialect, &frame, &dialect, &theirs, &open()).expect("it comes back");
                let direct = answered(&dialect, &frame, &answer(action));
                assert_eq!(hex_text(&back), hex_text(&direct), "{name}: {}", hex_text(&asked));
                assert_eq!(said.approved, action.is_approval());
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "{compared}");
}

#[test]
fn r25_nothing_secret_comes_back() {
    for name in DIALECTS {
        let dialect = dialect(name);
        let asked = frame(&dialect, 100, &strange(name));
        let secret: &Values<'_> = &[
            (14, "3012"),
            (35, "4111111111111111116D30122010000"),
            (45, "B4111^X"),
            (52, "0102030405060708"),
        ];
        let chip = strange(name).iter().find(|(field, _)| *field == 55).expect("chip data").1;
        let told: &Values<'_> = &[
            (2, "4111111111111111116"),
            (3, "000000"),
            (4, "000000005000"),
            (7, "1231235959"),
            (11, "900017"),
            (37, "REF123456789"),
            (38, "A1B2C3"),
            (39, "00"),
            (49, "840"),
        ];
        let restored = with(told, &[(7, "0604123456"), (11, "123456")]);
        let own: Vec<(u8, String)> = restored.iter().map(|(f, v)| (*f, (*v).to_owned())).collect();
        // Each alone, all together, and the request's chip data.
        let one_by_one = secret.iter().map(std::slice::from_ref);
        for secret in one_by_one.chain([secret, &[(55, chip)], &[(128, "0102030405060708")]]) {
            let theirs = frame(&dialect, 110, &with(told, secret));
            let (back, _) =
                returned(&dialect, &asked, &dialect, &theirs, &Carriage::default()).expect("it comes back");
            assert_eq!(values_of(&dialect, &back), own, "{name} {secret:?}");
        }
        // The party's own chip data.
        let theirs = if name == "visa" { "01000491028A02" } else { "91028A02" };
        let theirs = frame(&dialect, 110, &with(told, &[(55, theirs)]));
        let (back, _) = returned(&dialect, &asked, &dialect, &theirs, &open()).expect("it comes back");
        assert_eq!(values_of(&dialect, &back).len(), own.len() + 1, "{name}");
    }
    // A part of a field: key blocks and a CVC 2 stay here, the result of its verification comes back.
    let dialect = dialect("mastercard");
    let asked = frame(&dialect, 100, &strange("mastercard"));
    for (private, back) in
        [("R8701M9203123", Some("R8701M")), ("9203123", None), ("R9902AB", Some("R9902AB"))]
    {
        let told: &Values<'_> = &[(7, "1231235959"), (11, "900017"), (39, "00"), (48, private)];
        let theirs = frame(&dialect, 110, told);
        let (frame, _) = returned(&dialect, &asked, &dialect, &theirs, &open()).expect("it comes back");
        let values = values_of(&dialect, &frame);
        let found = values.iter().find(|(field, _)| *field == 48).map(|(_, value)| value.as_str());
        assert_eq!(found, back);
    }
}

#[test]
fn an_answer_without_a_name_gets_that_of_its_request() {
    for name in DIALECTS {
        let dialect = dialect(name);
        let asked = frame(&dialect, 100, &strange(name));
        let theirs = frame(&dialect, 110, &[(11, "900017"), (39, "05"), (60, "31")]);
        let (back, said) = returned(&dialect, &asked, &dialect, &theirs, &open()).expect("it comes back");
        let values = values_of(&dialect, &back);
        let expected = [(7, "0604123456"), (11, "123456"), (39, "05"), (60, "31")];
        assert_eq!(values, expected.map(|(field, value)| (field, value.to_owned())), "{name}");
        let left_out = FieldSet::EMPTY;
        assert_eq!(said, Carried39 { code: *b"05", approved: false, action: None, left_out });
    }
}

#[test]
fn what_answers_something_else_does_not_come_back() {
    for (name, from) in DIALECTS.iter().flat_map(|name| DIALECTS.map(|from| (name, from))) {
        let (asker, from) = (dialect(name), dialect(from));
        let asked = frame(&asker, 100, &strange(name));
        for (mti, code) in [(210, "00"), (410, "00"), (810, "00"), (110, "")] {
            let theirs = frame(&from, mti, &with(&[(7, "1231235959"), (11, "900017")], &[(39, code)]));
            let back = returned(&asker, &asked, &from, &theirs, &open());
            assert_eq!(back, Err(CarryError::NoAnswer), "{name} {mti}");
        }
        // What came is no answer at all.
        let theirs = frame(&from, 100, &strange(from.name()));
        assert_eq!(returned(&asker, &asked, &from, &theirs, &open()), Err(CarryError::NoAnswer));
    }
}

#[test]
fn framing_and_station_make_no_other_dialect() {
    let tables = DIALECTS.map(dialect);
    for (at, one) in tables.iter().enumerate() {
        for (other_at, other) in tables.iter().enumerate() {
            assert_eq!(one.writes_like(other), at == other_at, "{} {}", one.name(), other.name());
        }
        let framing = turnpike::iso8583::frame::Framing { before: 2, ..one.framing().clone() };
        assert!(one.writes_like(&one.clone().with_framing(framing).with_station(42)));
    }
    // Its own codes make it one, since a code may mean something else.
    let table = include_str!("../src/dialect/tables/iso87-ascii.toml");
    for (from, to) in [("= \"51\"", "= \"61\""), ("n..19", "n..18"), ("unannounced_second = true", "")] {
        let other = table.replacen(from, to, 1);
        assert_ne!(other, table);
        let other = Dialect::from_toml("other.toml", &other).expect("a right table");
        assert!(!tables[2].writes_like(&other), "{from}");
    }
}

#[test]
fn a_message_that_goes_on_has_our_header_and_the_partys_framing() {
    let visa = dialect("visa").with_station(123_456);
    let asked = frame(&dialect("visa").with_station(7), 100, &strange("visa"));
    let (on, _) = carried(&dialect("visa"), &asked, &visa, &open()).expect("it goes on");
    let header = &body(&visa, &on)[..visa.header_bytes()];
    assert_eq!(header[8..11], [0x12, 0x34, 0x56], "our station");
    let text = include_str!("../src/dialect/tables/iso87-ascii.toml");
    let text = text.replace("header = \"none\"", "header = \"literal\"\nheader_text = \"ISO015000077\"");
    let framing = "length_bytes = 4\nlength_encoding = \"ascii\"\ntpdu = \"swap\"";
    let text = text.replace("length_bytes = 2\nlength_encoding = \"binary\"", framing);
    let host = Dialect::from_toml("host.toml", &text).unwrap_or_else(|findings| panic!("{findings:?}"));
    let plain = dialect("iso87-ascii");
    let asked = frame(&plain, 100, &strange("iso87-ascii"));
    let (on, dropped) = carried(&plain, &asked, &host, &open()).expect("it goes on");
    assert!(host.writes_like(&plain) && dropped.is_empty());
    assert_eq!(&body(&host, &on)[5..17], b"ISO015000077");
    assert_eq!(message(&host, &on).len(), message(&plain, &asked).len());
}

// ---- across

/// A purchase with every field that goes across, as all dialects show it.
const WHOLE: &Values<'static> = &[
    (2, "4111111111111111116"),
    (3, "002000"),
    (4, "000000005000"),
    (5, "000000004900"),
    (6, "000000004500"),
    (7, "0604123456"),
    (9, "61000000"),
    (10, "62000000"),
    (11, "123456"),
    (12, "143456"),
    (13, "0604"),
    (14, "3012"),
    (15, "0605"),
    (16, "0606"),
    (17, "0607"),
    (18, "5999"),
    (19, "036"),
    (20, "276"),
    (22, "051"),
    (23, "007"),
    (25, "59"),
    (26, "06"),
    (28, "D00000100"),
    (32, "012345"),
    (33, "12345678901"),
    (35, "4111111111111111116D30122010000"),
    (37, "REF123456789"),
    (41, "TERMID01"),
    (42, "MERCHANT 1     "),
    (43, "ACQUIRER NAME            CITY NAME    US"),
    (45, "B4111111111111111116^DOE/J^3012201"),
    (49, "036"),
    (50, "840"),
    (51, "978"),
    (53, "2001010100000000"),
    (54, "0040840D000000020000"),
    (55, "820239009F26081122334455667788DF7F01AA"),
    (90, "010012345606041234560000001234500000000000"),
    (95, "000000001000000000000000000000000900000000"),
    (100, "123"),
    (102, "ACCOUNT 1"),
    (103, "ACCOUNT 2"),
];
/// The same under our name.
const NAMED: [(u8, &str); 2] = [(7, "1231235959"), (11, "900017")];

/// How a dialect writes what the standard leaves open.
fn as_written(name: &str) -> &'static [(u8, &'static str)] {
    match name {
        "visa" => &[(22, "0510"), (55, "010013820239009F26081122334455667788DF7F01AA")],
        _ => &[],
    }
}

/// Fields that mean something to one network only.
fn private(name: &str) -> &'static [(u8, &'static str)] {
    match name {
        "visa" => &[
            (44, "5"),
            (48, "X"),
            (60, "050000400000"),
            (62, "40000000000000000123456789012345"),
            (126, "00"),
        ],
        "mastercard" => {
            &[(44, "5"), (48, "R6105100009203123"), (61, "0000000000800840902101234"), (63, "MCS01106L")]
        }
        _ => {
            &[(21, "840"), (47, "X"), (48, "R6105100009203123"), (60, "X"), (63, "X"), (104, "X"), (127, "X")]
        }
    }
}

fn pairs() -> impl Iterator<Item = (&'static str, &'static str)> {
    let all = DIALECTS.iter().flat_map(|one| DIALECTS.iter().map(move |other| (*one, *other)));
    all.filter(|(one, other)| one != other)
}

/// Whatever a peer sends: what goes across is read there as the same request, or it stays here.
#[test]
fn a_damaged_message_goes_across_as_the_same_request_or_not_at_all() {
    let bodies: Vec<Vec<Vec<u8>>> = (0..DIALECTS.len()).map(kept).collect();
    let dialects = DIALECTS.map(dialect);
    let which = (0..DIALECTS.len(), 0..DIALECTS.len());
    let mut config = proptest::test_runner::Config::with_cases(2_000);
    config.max_global_rejects = u32::MAX;
    proptest::proptest!(config, |((one, other) in which, body in any::<prop::sample::Index>(),
        edits in mutation::edits())| {
        let (from, to) = (&dialects[one], &dialects[other]);
        let body = mutation::edited(body.get::<Vec<u8>>(&bodies[one]), edits);
        let (mut spans, mut out) = (Spans::default(), Vec::new());
        let Ok(received) = from.decode(&body, context(), &mut spans) else { return Ok(()) };
        let Inbound::Authorization(asked) = received.inbound else { return Ok(()) };
        if from.carry_request(&received, to, own(), &open(), false, &mut out).is_err() {
            assert!(out.is_empty());
            return Ok(());
        }
        let mut spans = Spans::default();
        let Inbound::Authorization(went) = read(to, &out, &mut spans).inbound else { panic!("no request") };
        assert_eq!((went.key.stan, went.key.transmission), (own().stan, own().transmission));
        assert_eq!((went.key.acquirer, went.key.rrn), (asked.key.acquirer, asked.key.rrn));
        assert_eq!((went.key.terminal, went.key.merchant), (asked.key.terminal, asked.key.merchant));
        assert_eq!((went.class, went.repeat, went.pan), (asked.class, asked.repeat, asked.pan));
        assert_eq!((went.amount, went.billing, went.expiry), (asked.amount, asked.billing, asked.expiry));
        assert_eq!((went.processing_code, went.mcc), (asked.processing_code, asked.mcc));
    });
}

#[test]
fn the_standards_fields_go_across_by_value() {
    for (from, to) in pairs() {
        let asked = with(&with(WHOLE, as_written(from)), private(from));
        let mut expected = with(&with(WHOLE, as_written(to)), &NAMED);
        if from == "visa" {
            // Behind the one amount of Visa's DE 95 nothing counts.
            expected = with(&expected, &[(95, "000000001000000000000000000000000000000000")]);
        }
        let (from, to) = (dialect(from), dialect(to));
        let (on, dropped) = carried(&from, &frame(&from, 100, &asked), &to, &open())
            .unwrap_or_else(|error| panic!("{error}"));
        let expected: Vec<(u8, String)> = expected.iter().map(|(f, v)| (*f, (*v).to_owned())).collect();
        assert_eq!(values_of(&to, &on), expected, "{} to {}", from.name(), to.name());
        let named: Vec<u8> = private(from.name()).iter().map(|(field, _)| *field).collect();
        assert_eq!(dropped, FieldSet::of(&named), "{} to {}", from.name(), to.name());
        let mut spans = Spans::default();
        assert!(matches!(read(&to, &on, &mut spans).inbound, Inbound::Authorization(_)));
    }
}

/// DE 90 is never a format error, and so may have anything in it.
const NO_DIGITS: &str = "0100X23456060412345600000012345XXXXXXXXXXX";

#[test]
fn what_is_written_in_other_ways_becomes_the_same() {
    // From, to, field, as it came, as it went on; nothing for a field that is left out.
    let table: &[(&str, &str, u8, &str, &str)] = &[
        ("iso87-ascii", "visa", 49, "USD", "840"),
        ("iso87-ascii", "mastercard", 49, "AUD", "036"),
        ("iso87-ascii", "iso87-binary", 51, "EUR", "978"),
        ("iso87-ascii", "visa", 50, "ZZZ", ""),
        ("visa", "iso87-ascii", 22, "0720", "072"),
        ("visa", "mastercard", 22, "9012", "901"),
        ("mastercard", "visa", 22, "810", "8100"),
        ("iso87-ascii", "visa", 35, "4111111111111111=30122010000", "4111111111111111D30122010000"),
        ("visa", "iso87-binary", 55, "6200009F01", ""),
        ("mastercard", "iso87-ascii", 90, NO_DIGITS, NO_DIGITS),
        ("mastercard", "visa", 90, NO_DIGITS, ""),
        ("iso87-ascii", "mastercard", 43, "CAF\u{c9}", "CAF\u{c9}"),
    ];
    for (from, to, field, came, went) in table {
        let (from, to) = (dialect(from), dialect(to));
        let plain =
            with(&strange("iso87-ascii"), &[(55, ""), (63, ""), (128, ""), (150, ""), (*field, came)]);
        let on = carried(&from, &frame(&from, 100, &plain), &to, &open());
        if *field == 55 {
            assert_eq!(on, Err(CarryError::Field { field: 55, error: ValueError::WrongCharacter }));
            continue;
        }
        let (on, dropped) = on.unwrap_or_else(|error| panic!("{field}: {error}"));
        let values = values_of(&to, &on);
        let found = values.iter().find(|(known, _)| known == field).map_or("", |(_, value)| value.trim_end());
        assert_eq!(found, *went, "{} to {}", from.name(), to.name());
        assert_eq!(dropped.has(*field), went.is_empty());
    }
}

/// The built-in ASCII table with other rows; an empty one takes the field out.
fn changed(rows: &[(u8, &str)]) -> Dialect {
    let table = include_str!("../src/dialect/tables/iso87-ascii.toml");
    let line = |line: &str| {
        let key = line.split(' ').next().and_then(|key| key.parse::<u8>().ok());
        match rows.iter().find(|(field, _)| Some(*field) == key && line.contains("name = ")) {
            Some((_, "")) => None,
            Some((field, format)) => Some(format!("{field} = {{ {format}, name = \"Other\" }}\n")),
            None => Some(format!("{line}\n")),
        }
    };
    let (fields, _) = table.split_once("[subfields.54]").expect("divisions");
    let mut text: String = fields.lines().filter_map(line).collect();
    if rows.contains(&(95, "")) {
        text = text.replace("90, 95,", "90,");
    }
    Dialect::from_toml("changed.toml", &text).unwrap_or_else(|findings| panic!("{findings:?}"))
}

#[test]
fn what_a_dialect_cannot_hold_is_left_out_or_keeps_the_message_here() {
    let ascii = dialect("iso87-ascii");
    let field = |field, error| Err(CarryError::Field { field, error });
    // The party's row, the value that goes, and what comes of it: the value there, left out, or an error.
    let table: &[(u8, &str, &str, Result<Option<&str>>)] = &[
        (41, "format = \"ans16\"", "TERMID01", Ok(Some("TERMID01        "))),
        (42, "format = \"ans..10\"", "SHOP", Ok(Some("SHOP      "))),
        (42, "format = \"ans..10\"", "MERCHANT0000001", Ok(None)),
        (4, "format = \"n18\"", "000000005000", Ok(Some("000000000000005000"))),
        (17, "format = \"n3\"", "0607", Ok(Some("607"))),
        (17, "format = \"n3\"", "1207", Ok(None)),
        (43, "", "X", Ok(None)),
        (22, "format = \"n3\"", "051", Ok(Some("051"))),
        (22, "format = \"n4\"", "051", Ok(Some("0510"))),
        (35, "format = \"z..19\"", "4111111111111111=30122010000", field(35, ValueError::TooLong)),
        (2, "format = \"n..16\"", "4111111111111111116", field(2, ValueError::TooLong)),
        (52, "format = \"b8\", encoding = \"hex\"", "0102030405060708", Ok(Some("0102030405060708"))),
        (52, "", "0102030405060708", field(52, ValueError::UnknownField)),
        (55, "format = \"b..5\"", "820239009F26081122334455667788", field(55, ValueError::TooLong)),
        (55, "format = \"b..99\", encoding = \"hex\"", "82023900DF7F01AA", Ok(Some("82023900DF7F01AA"))),
        (55, "format = \"ans..99\"", "82023900DF7F01AA", Ok(Some("82023900DF7F01AA"))),
        (
            95,
            "format = \"an30\"",
            "000000001000000000000000000000000900000000",
            field(95, ValueError::TooLong),
        ),
    ];
    for (number, row, value, expected) in table {
        let to = changed(&[(*number, row)]);
        let plain =
            &with(&strange("iso87-ascii"), &[(55, ""), (63, ""), (128, ""), (150, ""), (52, ""), (53, "")]);
        let asked = frame(&ascii, 100, &with(plain, &[(*number, value)]));
        let on = carried(&ascii, &asked, &to, &open());
        let found = on.map(|(on, dropped)| {
            let value =
                values_of(&to, &on).into_iter().find(|(known, _)| known == number).map(|(_, value)| value);
            let left_out = value.is_none().then_some(*number);
            assert_eq!(dropped.iter().collect::<Vec<u8>>(), Vec::from_iter(left_out));
            value
        });
        assert_eq!(found, expected.map(|value| value.map(str::to_owned)), "{number} {row}");
    }
}

#[test]
fn private_fields_go_where_they_are_mapped() {
    let table: &[(Pair, u8, u8, &str, Option<&str>)] = &[
        (("mastercard", "iso87-ascii"), 48, 48, "R6105100009203123", Some("R6105100009203123")),
        (("iso87-ascii", "iso87-binary"), 63, 127, "anything", Some("anything")),
        (("iso87-binary", "mastercard"), 48, 48, "R6105100009203123", Some("R6105100009203123")),
        (("iso87-ascii", "visa"), 48, 48, "", None),
        // Longer than the field there.
        (("iso87-ascii", "visa"), 48, 59, "more than fourteen", None),
        // Bytes are no characters.
        (("visa", "iso87-ascii"), 62, 62, "40000000000000000123456789012345", None),
        (("iso87-ascii", "visa"), 62, 62, "4000000000000000", None),
    ];
    for ((from, to), field, into, value, went) in table {
        let (from, to) = (dialect(from), dialect(to));
        let asked = with(WHOLE, as_written(from.name()));
        let asked = frame(&from, 100, &with(&asked, &[(*field, value)]));
        let carriage = Carriage { mappings: vec![(*field, *into)], ..open() };
        let (on, dropped) = carried(&from, &asked, &to, &carriage).expect("it goes on");
        let values = values_of(&to, &on);
        let found = values.iter().find(|(known, _)| known == into).map(|(_, value)| value.as_str());
        assert_eq!(
            (found, dropped.has(*field)),
            (*went, went.is_none() && !value.is_empty()),
            "{field} {into}"
        );
    }
    let (visa, ascii) = (dialect("visa"), dialect("iso87-ascii"));
    for (field, into, right) in [
        (48, 48, true),
        (126, 126, false),
        (62, 62, false),
        (35, 48, false),
        (48, 35, false),
        (52, 62, false),
        (125, 125, false),
        (130, 130, false),
        (44, 48, true),
    ] {
        assert_eq!(visa.mapping_fault(field, &ascii, into).is_none(), right, "{field} {into}");
    }
    // No mapping takes the place of what the standard says, or lets a track through where it must not be.
    let asked = frame(&ascii, 100, &strange("iso87-ascii"));
    let carriage = Carriage { mappings: vec![(35, 48), (52, 63), (63, 2)], ..open() };
    let (on, _) = carried(&ascii, &asked, &dialect("iso87-binary"), &carriage).expect("it goes on");
    let values = values_of(&dialect("iso87-binary"), &on);
    assert!(values.iter().all(|(field, _)| ![48, 63].contains(field)));
    assert_eq!(values[0], (2, "4111111111111111116".to_owned()));
}

#[test]
fn pins_and_codes_go_on_only_where_they_are_let() {
    let (pin, code) = ((52, "0102030405060708"), (128, "1122334455667788"));
    let plain: &Values<'_> = &[
        (2, "4111111111111111"),
        (3, "000000"),
        (4, "000000005000"),
        (7, "0604123456"),
        (11, "123456"),
        (37, "REF123456789"),
        (49, "840"),
    ];
    let carriage = |pin, mac| Carriage { pin, mac, mappings: Vec::new() };
    let (refuse, pass, drop) = (Carry::Refuse, Carry::Pass, Carry::Drop);
    // What it has, how it is let, and what is there in the end.
    let table: &[(&Values<'_>, Carriage, Result<&Values<'_>>)] = &[
        (&[], Carriage::default(), Ok(&[])),
        (&[pin], Carriage::default(), Err(CarryError::Pin)),
        (&[pin], carriage(drop, pass), Err(CarryError::Pin)),
        (&[(53, "2001010100000000")], carriage(refuse, pass), Err(CarryError::Pin)),
        (&[pin], carriage(pass, refuse), Ok(&[pin])),
        (&[code], Carriage::default(), Err(CarryError::Mac)),
        (&[code], carriage(refuse, pass), Ok(&[code])),
        (&[code], carriage(refuse, drop), Ok(&[])),
        (&[pin, code], carriage(pass, drop), Ok(&[pin])),
        (&[pin, code], carriage(refuse, drop), Err(CarryError::Pin)),
    ];
    for (from, to) in DIALECTS.iter().flat_map(|from| DIALECTS.map(|to| (from, to))) {
        let (from, to) = (dialect(from), dialect(to));
        for (has, carriage, expected) in table {
            let asked = frame(&from, 100, &with(plain, has));
            let on = carried(&from, &asked, &to, carriage);
            let expected = expected.map(|expected| {
                let expected = with(&with(plain, &NAMED), expected);
                let dropped =
                    if expected.contains(&code) || !has.contains(&code) { vec![] } else { vec![128] };
                let values: Vec<(u8, String)> = expected.iter().map(|(f, v)| (*f, (*v).to_owned())).collect();
                (values, FieldSet::of(&dropped))
            });
            let found = on.map(|(on, dropped)| (values_of(&to, &on), dropped));
            assert_eq!(found, expected, "{} to {}: {has:?} {carriage:?}", from.name(), to.name());
        }
    }
    // A network's own PIN data: it passes between two of the same dialect, and has no place in another.
    for (name, own) in [("visa", (152, "0102030405060708")), ("mastercard", (125, "1234"))] {
        let (from, other) = (dialect(name), dialect("iso87-ascii"));
        let asked = frame(&from, 100, &with(plain, &[own]));
        assert_eq!(carried(&from, &asked, &from, &Carriage::default()), Err(CarryError::Pin), "{name}");
        assert!(carried(&from, &asked, &from, &open()).is_ok());
        let lost = carried(&from, &asked, &other, &open());
        assert_eq!(lost, Err(CarryError::Field { field: own.0, error: ValueError::UnknownField }));
    }
}

#[test]
fn an_answer_means_the_same_to_whoever_asked() {
    for (name, party) in DIALECTS.iter().flat_map(|name| DIALECTS.map(|party| (*name, party))) {
        let (asker, from) = (dialect(name), dialect(party));
        let asked = with(
            WHOLE,
            &with(as_written(name), &[(49, "840"), (50, "840"), (51, "840"), (6, "000000005000")]),
        );
        for mti in [100, 200] {
            let asked = frame(&asker, mti, &asked);
            let (on, _) = carried(&asker, &asked, &from, &open()).expect("it goes on");
            for (action, said) in ActionCode::ALL {
                let told = format!("{name} asks {party}: {said}");
                let theirs = answered(&from, &on, &answer(*action));
                let (back, outcome) = returned(&asker, &asked, &from, &theirs, &open())
                    .unwrap_or_else(|error| panic!("{told}: {error}"));
                let values = values_of(&asker, &back);
                let value =
                    |field: u8| values.iter().find(|(known, _)| *known == field).map(|(_, v)| v.as_str());
                let code: [u8; 2] = value(39).expect("DE 39").as_bytes().try_into().expect("two characters");
                let read = asker.action_of(code).unwrap_or_else(|| panic!("{told}: {code:?}"));
                assert_eq!(read.is_approval(), action.is_approval(), "{told}");
                assert_eq!(outcome.approved, action.is_approval(), "{told}");
                assert_eq!(outcome.code, from.response_code(*action), "{told}");
                assert_eq!(outcome.action.map(ActionCode::is_approval), Some(action.is_approval()), "{told}");
                assert_eq!(value(38), action.is_approval().then_some("A1B2C3"), "{told}");
                assert_eq!((value(7), value(11)), (Some("0604123456"), Some("123456")), "{told}");
                assert_eq!(value(37), Some("REF123456789"), "{told}");
                let part = *action == ActionCode::ApprovedPartially;
                let (amount, settled) =
                    if part { ("000000002000", "000000001960") } else { ("000000005000", "000000004900") };
                assert_eq!((value(4), value(6)), (Some(amount), Some(amount)), "{told}");
                assert_eq!(value(5).unwrap_or(settled), settled, "{told}");
                let original = part.then_some("0057840D000000005000");
                assert_eq!(value(54), original, "{told}");
                assert!([14, 35, 45, 52, 53, 55].iter().all(|field| value(*field).is_none()), "{told}");
                let mut spans = Spans::default();
                let Inbound::Response(response) = read_answer(&asker, &back, &mut spans) else {
                    panic!("{told}")
                };
                assert_eq!(
                    (response.stan, response.transmission),
                    (Stan(123_456), Some(transmission(604_123_456)))
                );
                assert_eq!(response.acquirer, InstitutionId(12_345), "{told}");
                assert_eq!((response.rrn, response.terminal), (Text(*b"REF123456789"), Text(*b"TERMID01")));
                assert_eq!(response.amount.money(), Some(usd(if part { 2_000 } else { 5_000 })), "{told}");
                assert_eq!(response.approval_code.is_some(), action.is_approval());
                assert_eq!((response.response_code, response.mti), (code, mti + 10), "{told}");
            }
        }
    }
}

fn read_answer(dialect: &Dialect, frame: &[u8], spans: &mut Spans) -> Inbound {
    let received = dialect.decode(body(dialect, frame), context(), spans);
    received.unwrap_or_else(|malformed| panic!("{malformed:?}")).inbound
}

#[test]
fn a_part_is_told_with_its_amount_or_not_at_all() {
    let (asker, from) = (dialect("visa"), dialect("iso87-ascii"));
    let asked = with(WHOLE, &with(as_written("visa"), &[(49, "840"), (51, "840"), (6, "000000004500")]));
    let asked = frame(&asker, 100, &asked);
    let named: &Values<'_> = &[(7, "1231235959"), (11, "900017")];
    // What the party says beside DE 7 and 11; DE 39, 4 and 6 that whoever asked gets.
    let told = |code, amount, billed| Ok([code, amount, billed]);
    let table: &[(&Values<'_>, Result<[&str; 3]>)] = &[
        (&[(4, "000000002000"), (39, "10"), (49, "840")], told("10", "000000002000", "000000001800")),
        (
            &[(4, "000000002000"), (6, "000000001700"), (39, "10"), (49, "840")],
            told("10", "000000002000", "000000001700"),
        ),
        // A billing amount above what was asked for is not believed.
        (
            &[(4, "000000002000"), (6, "000000009900"), (39, "10"), (49, "USD")],
            told("10", "000000002000", "000000001800"),
        ),
        (&[(4, "000000004000"), (39, "87"), (49, "840")], told("10", "000000004000", "000000003600")),
        (&[(4, "000000005000"), (39, "10"), (49, "840")], told("10", "000000005000", "000000004500")),
        (&[(39, "10")], Err(CarryError::Approval)),
        (&[(39, "87")], Err(CarryError::Approval)),
        (&[(4, "000000000000"), (39, "10"), (49, "840")], Err(CarryError::Approval)),
        (&[(4, "000000005001"), (39, "10"), (49, "840")], Err(CarryError::Approval)),
        (&[(4, "000000002000"), (39, "10"), (49, "978")], Err(CarryError::Approval)),
        // Other approvals that the table lists are whole ones.
        (&[(39, "11")], told("00", "000000005000", "000000004500")),
        (&[(39, "08")], told("00", "000000005000", "000000004500")),
    ];
    for (said, expected) in table {
        let theirs = frame(&from, 110, &with(named, said));
        let back = returned(&asker, &asked, &from, &theirs, &open());
        let back = back.map(|(back, outcome)| {
            assert!(outcome.approved, "{said:?}");
            let values = values_of(&asker, &back);
            [39, 4, 6]
                .map(|field| values.iter().find(|(known, _)| *known == field).expect("it is told").1.clone())
        });
        let expected = expected.map(|told| told.map(str::to_owned));
        assert_eq!(back, expected, "{said:?}");
    }
}

#[test]
fn balances_accounts_and_the_partys_chip_data_come_back() {
    for (name, party) in pairs() {
        let (asker, from) = (dialect(name), dialect(party));
        let inquiry = with(&with(WHOLE, as_written(name)), &[(3, "302000")]);
        let asked = frame(&asker, 100, &inquiry);
        let (on, _) = carried(&asker, &asked, &from, &open()).expect("it goes on");
        let currency = Currency::new(36).expect("a currency");
        let mut balances = answer(ActionCode::Approved);
        balances.balances = Some(Balances { ledger: 123, available: -45, currency });
        let theirs = answered(&from, &on, &balances);
        let (back, _) = returned(&asker, &asked, &from, &theirs, &open()).expect("it comes back");
        let values = values_of(&asker, &back);
        let told = values.iter().find(|(field, _)| *field == 54).expect("balances").1.as_str();
        assert_eq!(told, "2001036C0000000001232002036D000000000045", "{name} asks {party}");
        let chip = |name| if name == "visa" { "01000491028A02" } else { "91028A02" };
        let said: &Values<'_> = &[
            (7, "1231235959"),
            (11, "900017"),
            (38, "A1B2C3"),
            (39, "05"),
            (44, "X"),
            (55, chip(party)),
            (102, "OTHER"),
        ];
        let theirs = frame(&from, 110, said);
        let (back, _) = returned(&asker, &asked, &from, &theirs, &open()).expect("it comes back");
        let values = values_of(&asker, &back);
        let value = |field: u8| values.iter().find(|(known, _)| *known == field).map(|(_, v)| v.as_str());
        assert_eq!((value(39), value(55), value(102)), (Some("05"), Some(chip(name)), Some("OTHER")));
        // No code of a decline, and nothing of the network's own.
        assert_eq!((value(38), value(44)), (None, None));
        // A cryptogram of the card's is the request's.
        let echoed = format!("{}9F26081122334455667788", if party == "visa" { "01000B" } else { "" });
        let theirs = frame(&from, 110, &with(said, &[(55, &echoed)]));
        let (back, _) = returned(&asker, &asked, &from, &theirs, &open()).expect("it comes back");
        assert!(values_of(&asker, &back).iter().all(|(field, _)| *field != 55), "{name} asks {party}");
    }
}

/// An advice and a reversal that go on themselves, and their answers.
#[test]
fn advices_and_reversals_go_across_too() {
    for (name, party) in pairs() {
        let (asker, to) = (dialect(name), dialect(party));
        let whole = with(WHOLE, as_written(name));
        for (mti, code, went) in [(120, "00", Some("00")), (120, "51", Some("51")), (420, "17", None)] {
            let asked = frame(&asker, mti, &with(&whole, &[(39, code)]));
            let (on, dropped) = carried(&asker, &asked, &to, &open()).expect("it goes on");
            let values = values_of(&to, &on);
            let found = values.iter().find(|(field, _)| *field == 39).map(|(_, value)| value.as_str());
            let same_network = asker.mapping() == to.mapping();
            let went = if same_network { Some(code) } else { went };
            assert_eq!((found, dropped.has(39)), (went, went.is_none()), "{name} to {party}: {mti} {code}");
            let mut spans = Spans::default();
            let inbound = read_answer(&to, &on, &mut spans);
            if let Inbound::Advice(advice) = &inbound {
                assert_eq!(advice.approved, code == "00");
            } else {
                assert!(matches!(inbound, Inbound::Reversal(_)));
            }
            let theirs = answered(&to, &on, &answer(ActionCode::Approved));
            let (back, outcome) = returned(&asker, &asked, &to, &theirs, &open()).expect("it comes back");
            assert!(outcome.approved);
            let values = values_of(&asker, &back);
            assert!(values.contains(&(39, "00".to_owned())) && values.iter().all(|(field, _)| *field != 38));
        }
    }
}

// ---- stored

/// The network's id of a transaction in the terms of a mapping.
fn reference(mapping: Mapping, number: u64) -> u64 {
    match mapping {
        Mapping::Visa => number % 999_999_999_999_999 + 1,
        Mapping::Mastercard => {
            let text = format!("M{:08}{:02}{:02}", number % 100_000_000, number % 12 + 1, number % 31 + 1);
            trace::reference(text.as_bytes()).expect("a trace id")
        }
        Mapping::Iso87 => 0,
    }
}

fn money(most: i64) -> impl Strategy<Value = Money> {
    (1..=most, 1..=999_u16)
        .prop_map(|(minor, numeric)| Money::new(minor, Currency::new(numeric).expect("a currency")))
}

fn times() -> impl Strategy<Value = TransmissionTime> {
    (1..=12_u32, 1..=28_u32, 0..24_u32, 0..60_u32).prop_map(|(month, day, hour, minute)| {
        transmission(((month * 100 + day) * 100 + hour) * 10_000 + minute * 100)
    })
}

fn own_keys() -> impl Strategy<Value = OwnKey> {
    (1..=999_999_u32, times()).prop_map(|(stan, transmission)| OwnKey { stan: Stan(stan), transmission })
}

fn institutions() -> impl Strategy<Value = InstitutionId> {
    proptest::prop_oneof![
        proptest::prelude::Just(InstitutionId(0)),
        (1..=99_999_999_999_u64).prop_map(InstitutionId),
        (1..=9_999_u64).prop_map(InstitutionId),
    ]
}

fn texts<const N: usize>() -> impl Strategy<Value = Text<N>> {
    proptest::prop_oneof![
        proptest::prelude::Just(Text::BLANK),
        prop::collection::vec(prop::sample::select(b"0123456789ABC XYZ".to_vec()), 1..=N)
            .prop_map(|bytes| Text::from_ascii(&bytes)),
    ]
}

fn codes() -> impl Strategy<Value = Option<ApprovalCode>> {
    prop::option::of(
        prop::array::uniform6(prop::sample::select(b"0123456789ABCXYZ".to_vec())).prop_map(ApprovalCode),
    )
}

fn classes() -> impl Strategy<Value = MessageClass> {
    prop::sample::select(vec![MessageClass::Authorization, MessageClass::Financial])
}

fn carried_words() -> impl Strategy<Value = Carried> {
    let key = (institutions(), texts(), texts(), texts());
    let card = (8..=19_u8, any::<u64>(), prop::option::of((0..99_u16, 1..=12_u16)), 0..=999_999_u32);
    let more = (0..=9_999_u16, 0..=999_u16, 0..=9_u16, institutions());
    (key, card, more, classes(), money(999_999_999_999), prop::option::of(money(999_999_999_999))).prop_map(
        |(key, card, more, class, amount, billing)| {
            let (acquirer, rrn, terminal, merchant) = key;
            let (digits, number, expiry, code) = card;
            let (mcc, country, mode, forwarder) = more;
            let number = number % 10_u64.pow(u32::from(digits));
            Carried {
                key: MessageKey {
                    network: NameId::of("other"),
                    link: NameId::of("other"),
                    stan: Stan(1),
                    transmission: transmission(101_000_000),
                    acquirer,
                    rrn,
                    terminal,
                    merchant,
                    network_reference: 0,
                },
                class,
                pan: Pan::from_value(number, digits).expect("a card number"),
                expiry: expiry.and_then(|(year, month)| Expiry::new(year * 100 + month)),
                processing_code: ProcessingCode(code),
                amount,
                billing,
                mcc,
                country,
                entry_mode: mode,
                forwarder,
            }
        },
    )
}

fn originals() -> impl Strategy<Value = Original> {
    (classes(), own_keys(), institutions(), institutions())
        .prop_map(|(class, key, acquirer, forwarder)| Original { class, key, acquirer, forwarder })
}

fn tellings() -> impl Strategy<Value = Tells> {
    let received = (prop::option::of(classes()), 0..=999_999_u32, prop::option::of(times()), institutions())
        .prop_map(|(class, stan, transmission, acquirer)| OriginalData {
            class,
            stan: Stan(stan),
            transmission,
            acquirer,
        });
    let amounts = (1..=999_999_999_999_i64, prop::option::of(1..=999_999_999_999_i64))
        .prop_map(|(amount, billing)| Replacement { amount, billing });
    proptest::prop_oneof![
        (
            (prop::option::of(amounts), any::<bool>()),
            codes(),
            prop::option::of(originals()),
            prop::option::of(received)
        )
            .prop_map(|((replacement, ours), approval_code, original, as_received)| {
                Tells::Reversal {
                    replacement,
                    // Mastercard says one or the other.
                    legs: if ours && replacement.is_none() { Legs::Ours } else { Legs::Both },
                    approval_code,
                    original,
                    as_received,
                }
            }),
        (any::<bool>(), codes(), prop::option::of(originals())).prop_map(
            |(approved, approval_code, original)| Tells::Advice { approved, approval_code, original }
        ),
    ]
}

fn stored_messages() -> impl Strategy<Value = Message> {
    (own_keys(), carried_words(), tellings()).prop_map(|(own, carried, tells)| Message {
        own,
        carried,
        tells,
    })
}

fn original_of(tells: &Tells) -> Option<OriginalData> {
    let seen = |original: &Original| OriginalData {
        class: Some(original.class),
        stan: original.key.stan,
        transmission: Some(original.key.transmission),
        acquirer: original.acquirer,
    };
    match tells {
        Tells::Reversal { original, as_received, .. } => original.as_ref().map(seen).or(*as_received),
        Tells::Advice { original, .. } => original.as_ref().map(seen),
        Tells::CardEnded { .. } => None,
    }
}

/// What is read of a stored message is what it tells.
fn reads_back(dialect: &Dialect, source: Option<&Dialect>, mut message: Message, repeat: bool) {
    let source_mapping = source.map(Dialect::mapping);
    message.carried.key.network_reference =
        source_mapping.map_or(42, |mapping| reference(mapping, message.carried.key.acquirer.0));
    let mut out = BEFORE.to_vec();
    let written = dialect.write_stored(&message, source, repeat, &mut out);
    written.unwrap_or_else(|error| panic!("{}: {error}", dialect.name()));
    let (mut spans, frame) = (Spans::default(), &out[BEFORE.len()..]);
    let received = read(dialect, frame, &mut spans);
    assert!(!received.strange);
    let Message { own, carried, tells } = &message;
    let known = source_mapping == Some(dialect.mapping());
    let expected = MessageKey {
        network: NameId::of("network"),
        link: NameId::of("link"),
        stan: own.stan,
        transmission: own.transmission,
        network_reference: if known { carried.key.network_reference } else { 0 },
        ..carried.key
    };
    let has = |field| received.view.has(field);
    assert!([35, 36, 45, 52, 53, 55, 126].iter().all(|secret| !has(*secret)), "R32");
    assert_eq!((has(37), has(90)), (!carried.key.rrn.is_blank(), original_of(tells).is_some()));
    assert_eq!(received.view.number(33).unwrap_or(0), carried.forwarder.0);
    let written_mode = has(22).then(|| dialect.value(&received.view, 22).expect("it is there"));
    let mode = source.filter(|_| carried.entry_mode > 0).map(|source| {
        let text =
            if source.name() == "visa" { "000" } else { "00" }.to_owned() + &carried.entry_mode.to_string();
        let wide = dialect.name() == "visa";
        if wide { format!("{text:0<4}") } else { text[..3].to_owned() }
    });
    assert_eq!(written_mode, mode);
    match (&received.inbound, tells) {
        (Inbound::Reversal(read), Tells::Reversal { replacement, legs, approval_code, .. }) => {
            assert_eq!(read.key, expected);
            assert_eq!((read.advice, read.repeat, read.legs), (true, repeat, *legs));
            assert_eq!((read.pan, read.processing_code), (carried.pan, carried.processing_code));
            assert_eq!((read.amount, read.billing), (carried.amount, carried.billing));
            assert_eq!((read.replacement, read.approval_code), (*replacement, *approval_code));
            assert_eq!(read.original, original_of(tells));
            let reason = match (dialect.mapping(), replacement.is_some(), legs) {
                (Mapping::Visa, true, _) => 2504,
                (Mapping::Visa, false, _) => 2502,
                (Mapping::Mastercard, true, _) => 32,
                (Mapping::Mastercard, false, Legs::Both) => 6,
                (Mapping::Mastercard, false, Legs::Ours) => 82,
                (Mapping::Iso87, _, Legs::Both) => 0,
                (Mapping::Iso87, _, Legs::Ours) => 68,
            };
            assert_eq!(read.reason, reason);
            assert!(!has(14));
        }
        (Inbound::Advice(read), Tells::Advice { approved, approval_code, .. }) => {
            assert_eq!(read.key, expected);
            assert_eq!((read.class, read.repeat, read.approved), (carried.class, repeat, *approved));
            assert_eq!((read.pan, read.processing_code), (carried.pan, carried.processing_code));
            assert_eq!((read.amount, read.billing), (carried.amount, carried.billing));
            assert_eq!((read.mcc, read.country), (carried.mcc, carried.country));
            assert_eq!((read.approval_code, read.original), (*approval_code, original_of(tells)));
            assert_eq!((read.increment, read.completes), (false, carried.class == MessageClass::Financial));
            assert_eq!(received.view.number(14), carried.expiry.map(|expiry| u64::from(expiry.digits())));
        }
        (other, _) => panic!("{other:?}"),
    }
}

#[test]
fn a_stored_message_reads_back_as_what_it_tells() {
    let dialects = DIALECTS.map(dialect);
    let sources = prop::option::of(0..DIALECTS.len());
    proptest::proptest!(|(message in stored_messages(), to in 0..DIALECTS.len(), source in sources,
        repeat in any::<bool>())| {
        reads_back(&dialects[to], source.map(|source| &dialects[source]), message, repeat);
    });
}

/// Field by field, once for each network.
#[test]
fn a_stored_message_has_what_its_network_wants() {
    let original = Original {
        class: MessageClass::Authorization,
        key: OwnKey { stan: Stan(17), transmission: transmission(604_123_456) },
        acquirer: InstitutionId(12_345),
        forwarder: InstitutionId(678),
    };
    let message = |tells, class, reference| Message {
        own: own(),
        carried: Carried {
            key: MessageKey {
                network: NameId::of("network"),
                link: NameId::of("link"),
                stan: Stan(1),
                transmission: transmission(101_000_000),
                acquirer: InstitutionId(12_345),
                rrn: Text(*b"REF123456789"),
                terminal: Text(*b"TERMID01"),
                merchant: Text(*b"MERCHANT 1     "),
                network_reference: reference,
            },
            class,
            pan: Pan::from_ascii(b"4111111111111111").expect("a card number"),
            expiry: Expiry::new(3012),
            processing_code: ProcessingCode(2_000),
            amount: usd(5_000),
            billing: Some(usd(4_500)),
            mcc: 5999,
            country: 36,
            entry_mode: 51,
            forwarder: InstitutionId(678),
        },
        tells,
    };
    let part = Some(Replacement { amount: 1_000, billing: Some(900) });
    let code = Some(ApprovalCode(*b"A1B2C3"));
    let reversal = Tells::Reversal {
        replacement: part,
        legs: Legs::Both,
        approval_code: code,
        original: Some(original),
        as_received: None,
    };
    let (replacement, legs, approval_code) = (None, Legs::Ours, code);
    let timed_out =
        Tells::Reversal { replacement, legs, approval_code, original: Some(original), as_received: None };
    let advice = Tells::Advice { approved: false, approval_code: None, original: None };
    let trace_id = trace::reference(b"MCC1234560604").expect("a trace id");
    let common: &Values<'_> = &[
        (2, "4111111111111111"),
        (3, "002000"),
        (4, "000000005000"),
        (6, "000000004500"),
        (7, "1231235959"),
        (11, "900017"),
        (18, "5999"),
        (19, "036"),
        (32, "012345"),
        (33, "000678"),
        (37, "REF123456789"),
        (41, "TERMID01"),
        (42, "MERCHANT 1     "),
        (49, "840"),
        (51, "840"),
    ];
    let reversed: &Values<'_> = &[(38, "A1B2C3"), (90, "010000001706041234560000001234500000000678")];
    let both = "000000001000000000000000000000000900000000";
    let table: &[(&str, Tells, u16, MessageClass, u64, &Values<'_>)] = &[
        (
            "visa",
            reversal,
            420,
            MessageClass::Authorization,
            123_456_789_012_345,
            &[
                (22, "0051"),
                (25, "00"),
                (61, "000000000000000000000000000000000900"),
                (62, "40000000000000000123456789012345"),
                (63, "A0000000022504"),
                (95, "000000001000000000000000000000000000000000"),
            ],
        ),
        (
            "mastercard",
            reversal,
            420,
            MessageClass::Financial,
            trace_id,
            &[(22, "051"), (39, "32"), (48, "6315MCC1234560604  "), (95, both)],
        ),
        (
            "iso87-ascii",
            reversal,
            420,
            MessageClass::Authorization,
            0,
            &[(22, "051"), (25, "00"), (32, "12345"), (33, "678"), (95, both)],
        ),
        (
            "visa",
            timed_out,
            420,
            MessageClass::Authorization,
            0,
            &[(22, "0051"), (25, "00"), (63, "B00000000225029020")],
        ),
        ("mastercard", timed_out, 420, MessageClass::Authorization, 0, &[(22, "051"), (39, "82")]),
        (
            "iso87-ascii",
            timed_out,
            420,
            MessageClass::Authorization,
            0,
            &[(22, "051"), (25, "00"), (32, "12345"), (33, "678"), (39, "68")],
        ),
        (
            "visa",
            advice,
            120,
            MessageClass::Authorization,
            0,
            &[(14, "3012"), (22, "0051"), (25, "00"), (39, "05"), (63, "8000000002")],
        ),
        (
            "mastercard",
            advice,
            220,
            MessageClass::Financial,
            0,
            &[(14, "3012"), (22, "051"), (39, "05"), (60, "1000000")],
        ),
    ];
    for (name, tells, mti, class, reference, more) in table {
        let dialect = dialect(name);
        let message = message(*tells, *class, *reference);
        let mut expected = with(common, more);
        if *mti == 420 {
            expected = with(&expected, reversed);
        }
        for repeat in [false, true] {
            let mut out = Vec::new();
            dialect.write_stored(&message, Some(&dialect), repeat, &mut out).expect("it is written");
            let mut spans = Spans::default();
            assert_eq!(read(&dialect, &out, &mut spans).view.mti(), mti + u16::from(repeat));
            let expected: Vec<(u8, String)> = expected.iter().map(|(f, v)| (*f, (*v).to_owned())).collect();
            assert_eq!(values_of(&dialect, &out), expected, "{name}");
        }
    }
    // Without what stays of it, a reversal would give back the whole.
    let lacking = changed(&[(95, "")]);
    let mut out = BEFORE.to_vec();
    let message = message(reversal, MessageClass::Authorization, 0);
    let refused = lacking.write_stored(&message, None, false, &mut out).expect_err("no DE 95");
    assert_eq!((refused.to_string().starts_with("field 95"), out.as_slice()), (true, BEFORE));
}
